/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan.h -- the life of one writer, drawn from a seed: with which options it opens the store, how
 * fast it works, how long it lives and how it ends.
 */
#ifndef TESTS_SOAK_PLAN_H
#define TESTS_SOAK_PLAN_H

#include "../support/prog.h"

enum {
    PLAN_SEGMENT_MAX = 512 * 1024,
    PLAN_STAGE_MAX = 1024 * 1024,
    PLAN_BODY_MAX = 40 * 1024, /* fits the smallest segment, and not a quarter of the stage */
    PLAN_KEEP_BYTES = 4 * 1024 * 1024 /* retention is asked for no more than this */
};

enum plan_end { PLAN_KILL, PLAN_CLOSE, PLAN_KILL_CLOSING };
enum plan_pace { PLAN_TRICKLE, PLAN_STEADY, PLAN_BURSTS };

struct plan {
    uint64_t seed;
    uint64_t engine, segment, stage, flush, flush_interval_ms, flush_bytes, align, visibility;
    uint64_t live, mlock, borrow, verify_reads, prewrite, thread;
    uint64_t topics; /* bit by bit, those it appends to: the others are idle for its whole life */
    uint64_t retain_bytes, retain_age_ms, scrub;
    enum plan_pace pace;
    enum plan_end end;
    int64_t life_ms;
};

void plan_draw(struct plan *out, uint64_t seed);
/* A life that is over while the store is being opened. */
void plan_hurry(struct plan *plan, struct rng *rng);
struct commitlog_options *plan_options(const struct plan *plan);
/* One line; for the report of a violation. */
void plan_tell(const struct plan *plan, char out[400]);

#endif
