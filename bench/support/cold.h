/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cold.h -- a process that reads the old part of a live store over and over, each time from the
 * device: before each pass it takes the files of that part out of the page cache.
 *
 * Reads by pread (option borrow = 0), because pages that are mapped stay in the cache.
 */
#ifndef BENCH_SUPPORT_COLD_H
#define BENCH_SUPPORT_COLD_H

#include <stdint.h>

struct bench;

struct cold_figures {
    uint64_t bytes;        /* of bodies, each checked by the library */
    uint64_t device_bytes; /* that the kernel read for them */
    uint64_t passes;
};

/* Fills the old part: records of `bytes` in the topic "cold", `total_bytes` together, and closes
 * the store. The process that reads was started before, and waits. */
void cold_start(const struct bench *bench, const char *options, uint64_t total_bytes,
                uint32_t bytes);
/* The store is open for writing again. Returns when the first records were read. */
void cold_go(void);
struct cold_figures cold_figures(void);
void cold_end(void);

#endif
