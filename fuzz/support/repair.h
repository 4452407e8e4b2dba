/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * repair.h -- makes the checks of a changed file hold again, so that what lies behind them is
 * reached.
 *
 * Written after commitlog-format(5) with the library's hash and encoders; it validates nothing: a
 * size that contradicts the file is clipped.
 */
#ifndef FUZZ_SUPPORT_REPAIR_H
#define FUZZ_SUPPORT_REPAIR_H

#include "bundle.h"

/* Offsets of what looks like records of a segment, in order; at most `max`. */
uint32_t fuzz_segment_records(const struct fuzz_file *segment, uint32_t *offsets, uint32_t max);
/* Seals the record at `at` of a segment file. */
void fuzz_repair_record(struct fuzz_file *segment, uint32_t at);
/* Everything in the file that carries a check. `salt` is for FUZZ_RECORD. */
void fuzz_repair_file(struct fuzz_file *file, uint64_t salt);
/* The records that a live area holds and its segment does not. */
void fuzz_repair_ring(struct fuzz_file *live, const struct fuzz_bundle *bundle);

#endif
