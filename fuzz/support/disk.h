/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.h -- the files of a bundle as a store on a machine in memory.
 *
 * Owns: a machine of commitlog_fault.h without faults. Flushes do nothing there: nobody cuts the
 *       power. What is mapped for reading from a disk that nobody writes to lies in a block of
 *       exactly the size asked for, so that AddressSanitizer sees a read beyond its end.
 * Invariants: the same bundle gives the same machine: inodes, clock, boot and random numbers.
 * Threads and locks: one thread, and one disk at a time.
 */
#ifndef FUZZ_SUPPORT_DISK_H
#define FUZZ_SUPPORT_DISK_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle.h"
#include "commitlog_fault.h"
#include "os/os.h"

#define FUZZ_STORE "/store"
#define FUZZ_PATH_BYTES 96u

struct fuzz_disk {
    struct commitlog_fault *machine;
    struct commitlog_os os; /* the machine's, with cheap flushes */
};

/* An empty disk with `FUZZ_STORE` on it. */
void fuzz_disk_make(struct fuzz_disk *disk);
/* The same with the files of the bundle; a name that is there already keeps its first file. */
void fuzz_disk_load(struct fuzz_disk *disk, const struct fuzz_bundle *bundle);
/* What is in the store, as a bundle; a file that does not fit is left out. */
void fuzz_disk_save(struct fuzz_disk *disk, struct fuzz_bundle *out);
void fuzz_disk_free(struct fuzz_disk *disk);
/* True: maps for reading are exact copies. Only while nothing is written. */
void fuzz_disk_set_exact(bool exact);
/* False: flushes, allocations and advice go to the machine, which counts them and can fail them. */
void fuzz_disk_set_cheap(struct fuzz_disk *disk, bool cheap);
/* The path of a file of a bundle on the disk; false: it is not there under its own name. */
bool fuzz_file_path(const struct fuzz_file *file, char path[FUZZ_PATH_BYTES]);
/* Hash of all names and contents below a directory, "" for the whole store. */
uint64_t fuzz_disk_hash(struct fuzz_disk *disk, const char *below);
#endif
