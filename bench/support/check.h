/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h -- reads back what a program claims to have appended, byte for byte: a figure for records
 * that are not there would be worth nothing.
 *
 * Failure: bench_die says how many records there were, and how many were wrong.
 */
#ifndef BENCH_SUPPORT_CHECK_H
#define BENCH_SUPPORT_CHECK_H

#include <stdint.h>

#include "support/bench.h"

/* The queue has exactly `count` records, in order, and the one with offset i has the body of record
 * first + i. Of an engine that forgets: those up to the last, and that one at least. */
void bench_check_queue(const struct bench *bench, void *store, uint32_t queue, uint64_t first,
                       uint64_t count);

#endif
