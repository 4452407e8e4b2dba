/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * commitlog_fault.h -- a machine that fails on command: an operating system in memory whose disk
 * loses power, whose calls fail and whose sectors rot, all by a seed.
 *
 * For tests of programs that use libcommitlog, and for the library's own. In libcommitlog-fault.a,
 * never in the library. Usage:
 *
 *   struct commitlog_fault *machine;
 *   commitlog_fault_create(42, &machine);
 *   commitlog_options_set_os(options, commitlog_fault_os(machine));
 *   ... open "/store", append ...
 *   commitlog_fault_power_cut(machine);   // calls on old handles now fail
 *   ... close old handles, open again ...
 *
 * The model. Files have two contents: what programs see, and what is on the disk. fsync and
 * fdatasync copy one to the other; at a power cut each 512-byte sector written since then reaches
 * the disk or not, by the seed, and so do names made, renamed or removed since their directory
 * was flushed. Before that the machine writes back some sectors at random by itself. Same seed,
 * same calls: same outcome.
 *
 * Threads: calls through the os table are serialised by one lock; the functions below may be
 * called by any thread. Determinism needs a single thread (option thread = 0).
 */
#ifndef COMMITLOG_FAULT_H
#define COMMITLOG_FAULT_H

#include "commitlog.h"

#ifdef __cplusplus
extern "C" {
#endif

struct commitlog_fault;

enum { /* kinds of calls; the values index counts and rules */
    COMMITLOG_FAULT_ANY = 0,
    COMMITLOG_FAULT_ALLOC = 1,
    COMMITLOG_FAULT_OPEN = 2,     /* whatever gives a descriptor */
    COMMITLOG_FAULT_READ = 3,     /* pread, and to list a directory */
    COMMITLOG_FAULT_WRITE = 4,    /* pwrite and pwritev */
    COMMITLOG_FAULT_SYNC = 5,     /* fdatasync and fsync of a file */
    COMMITLOG_FAULT_SYNC_DIR = 6, /* fsync of a directory */
    COMMITLOG_FAULT_ALLOCATE = 7, /* fallocate and ftruncate */
    COMMITLOG_FAULT_RENAME = 8,
    COMMITLOG_FAULT_UNLINK = 9,   /* unlink and rmdir */
    COMMITLOG_FAULT_MAKE = 10,    /* mkdir */
    COMMITLOG_FAULT_MAP = 11,
    COMMITLOG_FAULT_LOCK = 12,
    COMMITLOG_FAULT_STAT = 13,    /* questions about a file or the file system */
    COMMITLOG_FAULT_KINDS = 14
};

/* A machine with an empty disk. */
int32_t commitlog_fault_create(uint64_t seed, struct commitlog_fault **out_machine);
/* Every store on it has been closed. NULL is fine. */
void commitlog_fault_free(struct commitlog_fault *machine);
/* For commitlog_options_set_os; lives as long as the machine. */
const struct commitlog_os *commitlog_fault_os(struct commitlog_fault *machine);

/* Calls of a kind so far, the failed ones included. */
uint64_t commitlog_fault_count(const struct commitlog_fault *machine, uint32_t kind);
/* What was given out and has not come back: allocations (ALLOC), descriptors (OPEN), mapped bytes
 * (MAP); 0 for the other kinds. After the last close all three are 0, or something leaks. */
uint64_t commitlog_fault_held(const struct commitlog_fault *machine, uint32_t kind);
/* The nth call of the kind from now on (1 = the next) fails with os_errno (positive), once or for
 * ever. A failed sync leaves its sectors clean but not on the disk, as Linux does, and another
 * write through the cache does not get them there either, as on ext4. A short write is os_errno 0.
 * One rule at a time; nth 0 removes it. */
int32_t commitlog_fault_fail(struct commitlog_fault *machine, uint32_t kind, uint64_t nth,
                             int32_t os_errno, uint32_t for_ever);
/* The power goes right before the nth call that changes something (1 = the next): it and all
 * later ones fail with EIO until commitlog_fault_power_cut is called. 0: never. */
void commitlog_fault_cut_at(struct commitlog_fault *machine, uint64_t nth);
/* 1: commitlog_fault_cut_at has struck. */
uint32_t commitlog_fault_is_dead(const struct commitlog_fault *machine);
/* Calls that changed something so far: what commitlog_fault_cut_at counts. */
uint64_t commitlog_fault_changes(const struct commitlog_fault *machine);

/* The power goes now and comes back: what the disk has is what programs see, in a new boot. Open
 * descriptors and locks are void; memory mapped from files becomes private. */
void commitlog_fault_power_cut(struct commitlog_fault *machine);
/* The process dies and the machine stays up: descriptors and locks are void, caches are kept. */
void commitlog_fault_process_death(struct commitlog_fault *machine);
/* Of 100 unflushed sectors or names, this many reach the disk at a power cut; 50. 0 and 100 are
 * the extremes. */
void commitlog_fault_set_survival(struct commitlog_fault *machine, uint32_t percent);
/* Torn unit in bytes: 512 (default) or 4096. */
void commitlog_fault_set_sector(struct commitlog_fault *machine, uint32_t bytes);
/* Clean cached sectors that differ from the disk (after a failed sync) revert when dropped. */
void commitlog_fault_drop_caches(struct commitlog_fault *machine);
/* Free space on the disk; UINT64_MAX (default): without limit. */
void commitlog_fault_set_free(struct commitlog_fault *machine, uint64_t bytes);

/* Flip bits of a file, both on the disk and in the cache: byte at `at` becomes byte ^ mask.
 * ENOTFOUND: no such file, or it ends before. */
int32_t commitlog_fault_flip(struct commitlog_fault *machine, const char *path, uint64_t at,
                             uint32_t mask);
/* Spoils or replaces what a file holds: [at, at + bytes) of it become these, both on the disk and
 * in the cache. It grows, with zeros in between, if it ends before; it is made if it is not there
 * and its directory is. This and the two that follow are no calls of a program: they neither count
 * nor fail, and nobody has the file open. EINVAL (NULL, a path that does not begin with a slash, a
 * directory, a name that is too long), ENOTFOUND, ENOTDIR (the path leads through a file), ENOSPC,
 * ENOMEM. */
int32_t commitlog_fault_write(struct commitlog_fault *machine, const char *path, uint64_t at,
                              const void *data, uint64_t bytes);
/* A file ends there from now on: cut, or grown by zeros. EINVAL, ENOTFOUND, ENOSPC, ENOMEM. */
int32_t commitlog_fault_resize(struct commitlog_fault *machine, const char *path, uint64_t bytes);
/* The file is gone, its name on the disk too. EINVAL, ENOTFOUND, ENOTDIR, ENOMEM. */
int32_t commitlog_fault_remove(struct commitlog_fault *machine, const char *path);
/* Reads of [at, at + bytes) fail with EIO; bytes 0: all is readable again. ENOTFOUND. */
int32_t commitlog_fault_bad_range(struct commitlog_fault *machine, const char *path, uint64_t at,
                                  uint64_t bytes);
/* Whole content of a file as programs see it; ENOTFOUND. The buffer belongs to the machine until
 * the next call on it. */
int32_t commitlog_fault_content(struct commitlog_fault *machine, const char *path,
                                const void **out_data, uint64_t *out_bytes);
/* Names below a directory, index 0, 1, ... in order; ENOTFOUND past the last. The name belongs to
 * the machine. */
int32_t commitlog_fault_name(struct commitlog_fault *machine, const char *dir_path, uint32_t index,
                             const char **out_name);
/* A copy of the whole machine as it is (maps and descriptors left out): try the same disk twice.
 * Of a machine that commitlog_fault_cut_at has struck, as it was at that moment: with what programs
 * had stored in mapped memory until then, without what they stored there later. So a process can be
 * killed, or the power cut, at any call, while the old handles are closed on the original. */
int32_t commitlog_fault_clone(const struct commitlog_fault *machine, uint64_t seed,
                              struct commitlog_fault **out_machine);

#ifdef __cplusplus
}
#endif

#endif /* COMMITLOG_FAULT_H */
