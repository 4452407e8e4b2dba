/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * machine.h -- what a run finds in the machine's memory and leaves there: pages that are not handed
 * out yet, the page cache, the memory of this process, its files.
 */
#ifndef BENCH_SUPPORT_MACHINE_H
#define BENCH_SUPPORT_MACHINE_H

#include <stdint.h>

/* Touches that much memory and gives it back: below a hypervisor the first touch of a page costs
 * five to ten times a later one, and it must not be the first engine that pays for it. */
void machine_warm(uint64_t bytes);

/* Takes the files below the directory, which nobody maps, out of the page cache. How many of their
 * bytes are still in it. */
uint64_t machine_evict(const char *directory);

/* Memory of this process that no file stands behind: RssAnon and RssShmem, after the heap has given
 * back what is free in it. */
uint64_t machine_memory_bytes(void);

/* Files below the directory, and descriptors that this process has open. */
uint64_t machine_files(const char *directory);
uint64_t machine_descriptors(void);

#endif
