/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * consume_queue.h -- the view that finds a record by (queue, queue offset) and by time.
 *
 * Shape: one head of 64 bytes per queue; entries of the active segment in chunks that all lie in
 *       one arena, because they all go at once when the segment ends; finished segments as sorted
 *       directories with entries grouped by queue. Per queue there is never a file, a map or a
 *       block of memory of its own: 1,000,000 queues with one entry each take about 150 MiB.
 * Invariants: 1. entries of a queue ascend without gap inside one segment; between segments
 *       offsets may be missing only where the log lost records; 2. head.next never decreases;
 *       3. links lead to older segments; one that leads to a dropped segment leads nowhere.
 * Threads and locks: the fold lock.
 * Happy path: apply -> freeze -> link -> build -> install; look-ups walk parts from newest to
 *       oldest by prev and jump links: O(log segments) hops.
 * Failure modes: as view.h. An offset below head.next is left out and counted.
 */
#ifndef CLG_VIEW_CONSUME_QUEUE_H
#define CLG_VIEW_CONSUME_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "view/lookup.h"
#include "view/view.h"

extern const struct clg_view_ops clg_consume_queue_ops;

/* Look-ups, under the fold lock, for who sees what lies in [expired, visible), which is not beyond
 * the folded position; all_visible: nothing folded is hidden. Contracts as those of the same name
 * in lookup.h; EDAMAGED: a slot became NONE, rebuild and ask again. */
struct clg_queue_bounds {
    uint64_t expired; /* messages at positions below have; 0: none */
    uint64_t visible;
    bool all_visible;
};

CLG_MUST_CHECK int clg_consume_queue_range(struct clg_view *view, uint32_t queue,
                                           const struct clg_queue_bounds *bounds,
                                           struct clg_lookup_range *out);
CLG_MUST_CHECK int clg_consume_queue_entries(struct clg_view *view, uint32_t queue, uint64_t offset,
                                             const struct clg_queue_bounds *bounds,
                                             struct clg_lookup_entry *entries, uint32_t max,
                                             uint32_t *out_count, uint64_t *out_bound);
CLG_MUST_CHECK int clg_consume_queue_time(struct clg_view *view, uint32_t queue, int64_t time_ns,
                                          uint32_t bound, const struct clg_queue_bounds *bounds,
                                          uint64_t *out_offset);
CLG_MUST_CHECK int clg_consume_queue_position(struct clg_view *view, uint32_t queue,
                                              uint64_t position,
                                              const struct clg_queue_bounds *bounds,
                                              uint64_t *out_offset);

/* One more than the highest queue number that the log carries, whether a topic owns it or not. */
uint32_t clg_consume_queue_numbers(const struct clg_view *view);

/* Folded end of the queue; 0 if it never had a record. */
uint64_t clg_consume_queue_next(const struct clg_view *view, uint32_t queue);
/* Base of the newest segment with a record or a carried pair of the queue; false: its next offset
 * is 0 and needs no evidence. */
bool clg_consume_queue_evidence(const struct clg_view *view, uint32_t queue, uint64_t *base);

/* A record before `position`, by way of another view, says that the queue had come to `next`: it
 * goes on from there, if so many messages had room between what is known of it and the position.
 * Else the record lies, and is counted: nobody was ever given that offset, and queue_fill_gap would
 * not believe the next message. A number that no topic has is not given to a new one. While a store
 * opens. COMMITLOG_ENOMEM. */
CLG_MUST_CHECK int clg_consume_queue_reach(struct clg_view *view, uint32_t queue, uint64_t next,
                                           uint64_t position);

uint64_t clg_consume_queue_contradictions(const struct clg_view *view);

#endif
