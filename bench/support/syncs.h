/* SPDX-License-Identifier: BSD-2-Clause */
/* syncs.h -- how often this process has asked for data to be made durable; see syncs.c. */
#ifndef BENCH_SUPPORT_SYNCS_H
#define BENCH_SUPPORT_SYNCS_H

#include <stdint.h>

enum bench_sync { BENCH_FSYNC, BENCH_FDATASYNC, BENCH_MSYNC, BENCH_SYNC_RANGE, BENCH_SYNCS };

/* Since it began, by any library in it. */
uint64_t bench_syncs(enum bench_sync which);

#endif
