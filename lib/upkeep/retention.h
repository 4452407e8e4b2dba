/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * retention.h -- which segments go, and the order in which they do.
 *
 * Invariants: 1. oldest first, whole segments, never the active one nor one that is not full and
 *       durable;
 *       2. carry-forward -> flushed -> `first` record flushed -> first in the checkpoint synced ->
 *       unlink one file -> flush the directory: a crash between any two leaves a store that opens;
 *       the next writer takes the record back if the checkpoint does not say the same, and else
 *       unlinks the file; 3. what the policy does not ask for stays, and so does
 *       what somebody needs, as of the moment before the `first` record is written.
 * Threads and locks: the upkeep thread or the caller's; one at a time. The plan is pure.
 * Happy path: clg_retention_plan -> clg_retention_run.
 * Failure modes: COMMITLOG_EBUSY: what would be carried exceeds half of what would be freed;
 *       else what the callbacks return. The result says how far it got.
 */
#ifndef CLG_UPKEEP_RETENTION_H
#define CLG_UPKEEP_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"

struct clg_retention_segment {
    uint64_t base;
    uint64_t size;
    int64_t last_time_ns; /* store time of its last record, or a later one; INT64_MAX: not known */
    bool full;            /* nothing is written to it any more, and all of it is durable */
};

struct clg_retention_policy {
    uint64_t keep_bytes;  /* 0: no limit */
    uint64_t keep_age_ns; /* 0: no limit */
    uint64_t free_bytes;  /* 0: none */
};

struct clg_retention_input {
    const struct clg_retention_segment *segments; /* ascending, the active one included */
    size_t count;
    uint64_t active_base;
    uint64_t kept_from; /* consumer groups have yet to consume what lies from here on */
    int64_t now_ns;     /* store time of now */
    uint64_t disk_free_bytes;
};

/* Number of segments to drop from the front. *out_held (may be NULL): a segment that would go too
 * is kept because of kept_from. */
size_t clg_retention_plan(const struct clg_retention_policy *policy,
                          const struct clg_retention_input *input, bool *out_held);

/* The store's side. Each returns 0 or a negative code and must be idempotent. */
struct clg_retention_ops {
    /* Bytes that `carry` would append for the segment [base, end). */
    int (*carry_cost)(void *ctx, uint64_t base, uint64_t end, uint64_t *out_bytes);
    /* Append again the control state whose newest record lies in [base, end). */
    int (*carry)(void *ctx, uint64_t base, uint64_t end, uint64_t *out_bytes,
                 struct commitlog_error *err);
    /* From here to `release` nobody comes to need what has been kept up to now: the first position
     * that somebody needs already. Both may be NULL. */
    int (*claim)(void *ctx, uint64_t *out_kept_from, struct commitlog_error *err);
    void (*release)(void *ctx);
    int (*append_first)(void *ctx, uint64_t first, struct commitlog_error *err);
    /* What append_first has said is not so: nothing goes now. May be NULL. */
    void (*take_back_first)(void *ctx);
    int (*flush)(void *ctx, struct commitlog_error *err); /* all that is published */
    /* first into the checkpoint, synced; readers see it from then on. */
    int (*checkpoint_first)(void *ctx, uint64_t first, struct commitlog_error *err);
    /* Remove the segment's file and its derived files; *held: bytes that stay mapped. */
    int (*unlink)(void *ctx, uint64_t base, uint64_t *out_held, struct commitlog_error *err);
    int (*flush_dirs)(void *ctx, struct commitlog_error *err);
    /* Between two segments: non-zero stops (close, cancel). May be NULL. */
    int (*pause)(void *ctx);
};

/* Drops the first `drop` segments of `input`. out: filled also on failure, with what was done. */
CLG_MUST_CHECK int clg_retention_run(const struct clg_retention_input *input, size_t drop,
                                     const struct clg_retention_ops *ops, void *ctx,
                                     struct commitlog_retained *out, struct commitlog_error *err);

#endif
