/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cache.h -- takes the files below a directory out of the kernel's page cache, so that what is read
 * next comes from the device. The machine's host may still have them.
 *
 * The store is closed: what is mapped, or not yet written, stays.
 */
#ifndef BENCH_SUPPORT_CACHE_H
#define BENCH_SUPPORT_CACHE_H

#include <stdint.h>

/* How many bytes of them are there all the same: a figure without it says nothing. */
uint64_t bench_uncache(const char *directory);

#endif
