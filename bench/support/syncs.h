/* SPDX-License-Identifier: BSD-2-Clause */
/* syncs.h -- how often this process has asked for data to be made durable, and how long it waited;
 * see syncs.c. */
#ifndef BENCH_SUPPORT_SYNCS_H
#define BENCH_SUPPORT_SYNCS_H

#include <stdint.h>

enum bench_sync { BENCH_FSYNC, BENCH_FDATASYNC, BENCH_MSYNC, BENCH_SYNC_RANGE, BENCH_SYNCS };

/* Since it began, by any library in it. */
uint64_t bench_syncs(enum bench_sync which);

/* When the calling thread's requests since its mark began and ended (CLOCK_MONOTONIC); the first
 * BENCH_SYNC_SPANS of them. Valid until the next mark. */
enum { BENCH_SYNC_SPANS = 4096 };
struct bench_sync_span {
    uint64_t from_ns;
    uint64_t to_ns;
};
void bench_syncs_mark(void);
/* When the calling thread's first pwrite since its mark began; 0: there was none. */
uint64_t bench_syncs_first_write_ns(void);
unsigned bench_syncs_spans(const struct bench_sync_span **out);

#endif
