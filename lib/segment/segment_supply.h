/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_supply.h -- the next segment, made before it is needed.
 *
 * The whole header of the next segment is known as soon as the current one exists: its base is the
 * current base plus size, its predecessor's end is the current data end (a pad always ends there).
 * So a prepared segment gets its final name at once, and taking it is a hand-over without a system
 * call. An empty segment behind the active one is therefore normal in a directory, and recovery
 * must expect it. Its epoch may be older than that of the first record it gets.
 *
 * Invariants: at most one segment ahead; `ready` is complete, flushed and named.
 * Threads and locks: any thread; one mutex, held for one bounded piece of work at a time. Whoever
 *       takes goes before whoever prepares. Lock order: before segment locks, after everything of
 *       the log.
 * Happy path: want after each switch -> step by upkeep until it says done -> take at the switch.
 * Failure modes: a full disk is remembered; steps try again after a pause, take answers ENOSPC.
 *       Any other failure is returned and tried again from the beginning after the same pause, but
 *       for one: a flush of the directory that failed behind the rename is final for this supply.
 */
#ifndef CLG_SEGMENT_SEGMENT_SUPPLY_H
#define CLG_SEGMENT_SEGMENT_SUPPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/order.h"
#include "os/lock.h"
#include "segment/segment.h"
#include "segment/segment_create.h"

/* Zeros are written in pieces of this size, each waited for: unthrottled ones would stand in the
 * device's queue before the flushes of appenders. */
#define CLG_SUPPLY_PIECE_BYTES (UINT64_C(1) << 20)
#define CLG_SUPPLY_RETRY_NS (INT64_C(100) * 1000 * 1000)

struct clg_segment_supply {
    const struct clg_segment_dir *dir;
    struct clg_mutex lock;
    _Atomic uint32_t takers;   /* threads inside take: a step gives way */
    _Atomic uint32_t prewrite; /* changed under lock */
    /* All under lock. */
    bool wanted; /* plan is valid and nothing is ready */
    struct clg_segment_plan plan;
    struct clg_segment_draft draft;
    struct clg_segment *ready;
    uint8_t *zeros;                 /* one piece; allocated when first needed */
    int64_t retry_at_ns;            /* monotonic; do not try before */
    int64_t pause_until_ns;         /* between two pieces of zeros */
    struct commitlog_error failure; /* code 0: none */
    uint64_t made_ahead;            /* taken when ready */
    uint64_t made_late;             /* made inside take */
    uint64_t refused;               /* attempts that found the disk full */
};

struct clg_segment_supply_stats {
    uint64_t made_ahead;
    uint64_t made_late;
    uint64_t refused;
    uint64_t ready_base; /* CLG_NO_POSITION when none is ready */
    int32_t failure;     /* code that stopped the last attempt, 0 */
};

/* `dir` must outlive it. */
void clg_segment_supply_init(struct clg_segment_supply *supply, const struct clg_segment_dir *dir,
                             bool prewrite);
/* From the next piece on; a draft that has enough zeros, or is to have none, is finished. */
void clg_segment_supply_set_prewrite(struct clg_segment_supply *supply, bool prewrite);
static inline bool clg_segment_supply_prewrites(const struct clg_segment_supply *supply)
{
    return clg_load_relaxed_u32(&supply->prewrite) != 0;
}
/* Removes an unfinished file; a finished one stays, empty, for the next opening. */
void clg_segment_supply_free(struct clg_segment_supply *supply);

/* What to prepare. Asking for the same base again changes nothing; asking for another one drops
 * what was begun. Not while a ready one of another base is there (take it first). */
void clg_segment_supply_want(struct clg_segment_supply *supply,
                             const struct clg_segment_plan *plan);
/* Hand in an empty trailing segment found at opening: it is what the next take returns. Takes over
 * the reference. */
void clg_segment_supply_give(struct clg_segment_supply *supply, struct clg_segment *segment);

/* Works for about budget_ns: at least one piece unless waiting. *out_wait_ns: 0 when more can be
 * done at once, CLG_OS_FOREVER when nothing is to do, else when to come back. */
CLG_MUST_CHECK int clg_segment_supply_step(struct clg_segment_supply *supply, int64_t budget_ns,
                                           int64_t *out_wait_ns, struct commitlog_error *err);

/* Space was freed: do not wait out the pause after a full disk. */
void clg_segment_supply_retry(struct clg_segment_supply *supply);

/* True: the disk was full when the next segment was to be made, and it is still to be made. */
bool clg_segment_supply_is_short(struct clg_segment_supply *supply);

/* True if take(base) would be a mere hand-over now. */
bool clg_segment_supply_is_ready(struct clg_segment_supply *supply, uint64_t base);

/* The segment of the plan, with its reference; finished here if it is not ready (what is left of
 * the zeros is written by the drain as it comes there). The base must be the one wanted.
 * COMMITLOG_ENOSPC at once, for CLG_SUPPLY_RETRY_NS after the disk was found full. */
CLG_MUST_CHECK int clg_segment_supply_take(struct clg_segment_supply *supply, uint64_t base,
                                           struct clg_segment **out, struct commitlog_error *err);

void clg_segment_supply_get_stats(struct clg_segment_supply *supply,
                                  struct clg_segment_supply_stats *out);

#endif
