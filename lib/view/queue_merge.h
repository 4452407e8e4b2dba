/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_merge.h -- the entries of several queues in log order: for reading a topic as a whole.
 *
 * A heap of the queues by the position of their next entry, each with a few entries read ahead.
 * Cost per entry is one look-up shared by CLG_MERGE_AHEAD entries and log2(queues) compares,
 * whatever else the log holds; walking the log instead costs every record of every topic.
 *
 * Invariants: entries come in ascending position, each once; what lies below the visible position
 *       of one call is never overtaken by a later call.
 * Threads and locks: one thread at a time per merge; takes the fold lock inside clg_lookup_*.
 * Happy path: clg_merge_open at a position -> clg_merge_next with a rising visible position.
 * Failure modes: those of clg_lookup_entries; the merge stays usable. A queue whose place was
 *       dropped by retention goes on at its first kept entry; *out_skipped counts offsets left out.
 */
#ifndef CLG_VIEW_QUEUE_MERGE_H
#define CLG_VIEW_QUEUE_MERGE_H

#include <stdint.h>

#include "view/lookup.h"

#define CLG_MERGE_AHEAD 8u

struct clg_merge; /* queue_merge.c */

/* Queues first_queue ... first_queue + queues - 1, from the first entry at or behind `position`. */
CLG_MUST_CHECK int clg_merge_open(struct clg_fold *fold, const struct commitlog_os *os,
                                  uint32_t first_queue, uint32_t queues, uint64_t position,
                                  struct clg_merge **out);
/* Queues 0 ... queues - 1 of the topic. */
CLG_MUST_CHECK int clg_merge_open_topic(struct clg_fold *fold, const struct commitlog_os *os,
                                        const struct clg_topic *topic, uint32_t queues,
                                        uint64_t position, struct clg_merge **out);
void clg_merge_close(struct clg_merge *merge);
/* Goes on at another position. */
void clg_merge_seek(struct clg_merge *merge, uint64_t position);

struct clg_merge_entry {
    struct clg_lookup_entry entry;
    uint32_t queue; /* number */
};

/* Up to max entries below `visible`; *out_count 0: none there now. The caller has folded up to
 * `visible`. Holes are delivered too, lost offsets (no position) are not. */
CLG_MUST_CHECK int clg_merge_next(struct clg_merge *merge, uint64_t visible,
                                  struct clg_merge_entry *entries, uint32_t max,
                                  uint32_t *out_count, uint64_t *out_skipped);
/* Everything in these queues below it was delivered. */
uint64_t clg_merge_tell(const struct clg_merge *merge);

#endif
