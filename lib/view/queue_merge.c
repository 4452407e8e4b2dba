/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_merge.c -- several queues in log order, by a heap. See queue_merge.h.
 *
 * Invariants: a lane in the heap has an entry at [taken]; every entry delivered lies below `told`,
 *       every one not yet delivered at or above it, so lanes may be filled again from `told` at
 *       any time.
 * Threads and locks: one thread; no lock is held between calls.
 * Happy path: refill lanes that ran dry -> heap -> take the smallest, refill, sift down.
 * Failure modes: a code from a look-up is returned when nothing was collected yet, and comes again
 *       with the next call otherwise.
 */
#include "view/queue_merge.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"

struct merge_lane {
    uint64_t next_offset; /* of the first entry not read ahead */
    uint32_t queue;
    uint32_t count;
    uint32_t taken;
    bool placed; /* next_offset is known */
    struct clg_lookup_entry ahead[CLG_MERGE_AHEAD];
};

struct clg_merge {
    struct clg_fold *fold;
    const struct commitlog_os *os;
    uint64_t told;
    uint64_t skipped;
    uint32_t lane_count;
    uint32_t heap_count;
    struct merge_lane *lanes;
    uint32_t *heap; /* lane indices */
};

int clg_merge_open(struct clg_fold *fold, const struct commitlog_os *os, uint32_t first_queue,
                   uint32_t queues, uint64_t position, struct clg_merge **out)
{
    CLG_ASSERT(queues > 0);
    CLG_ASSERT(out != NULL);
    struct clg_merge *merge = os->alloc(os, sizeof(*merge));
    if (merge == NULL) {
        return COMMITLOG_ENOMEM;
    }
    *merge = (struct clg_merge){.fold = fold, .os = os, .told = position, .lane_count = queues};
    merge->lanes = clg_os_alloc_array(os, queues, sizeof(*merge->lanes));
    merge->heap = clg_os_alloc_array(os, queues, sizeof(*merge->heap));
    if (merge->lanes == NULL || merge->heap == NULL) {
        clg_merge_close(merge);
        return COMMITLOG_ENOMEM;
    }
    for (uint32_t i = 0; i < queues; i++) {
        merge->lanes[i].queue = first_queue + i;
    }
    *out = merge;
    return 0;
}

int clg_merge_open_topic(struct clg_fold *fold, const struct commitlog_os *os,
                         const struct clg_topic *topic, uint32_t queues, uint64_t position,
                         struct clg_merge **out)
{
    CLG_ASSERT(queues <= clg_topic_queues(topic));
    int rc = clg_merge_open(fold, os, topic->first_queue, queues, position, out);
    for (uint32_t i = 0; rc == 0 && i < queues; i++) {
        (*out)->lanes[i].queue = clg_topic_number(topic, i);
    }
    return rc;
}

void clg_merge_close(struct clg_merge *merge)
{
    if (merge == NULL) {
        return;
    }
    const struct commitlog_os *os = merge->os;
    CLG_ASSERT(merge->heap_count <= merge->lane_count);
    os->free(os, merge->lanes);
    os->free(os, merge->heap);
    os->free(os, merge);
}

void clg_merge_seek(struct clg_merge *merge, uint64_t position)
{
    CLG_ASSERT(merge->lanes != NULL);
    for (uint32_t i = 0; i < merge->lane_count; i++) {
        merge->lanes[i].count = 0;
        merge->lanes[i].taken = 0;
        merge->lanes[i].placed = false;
    }
    merge->heap_count = 0;
    merge->told = position;
    CLG_ASSERT(merge->heap_count == 0);
}

uint64_t clg_merge_tell(const struct clg_merge *merge)
{
    CLG_ASSERT(merge != NULL);
    return merge->told;
}

/* Reads ahead; count stays 0 when nothing is visible. Lost offsets are passed over. */
static int merge_fill(struct clg_merge *merge, struct merge_lane *lane, uint64_t visible)
{
    CLG_ASSERT(lane->taken == lane->count);
    lane->count = 0;
    lane->taken = 0;
    if (!lane->placed) {
        int rc =
            clg_lookup_position(merge->fold, lane->queue, merge->told, visible, &lane->next_offset);
        if (rc != 0) {
            return rc;
        }
        lane->placed = true;
    }
    while (lane->count == 0) {
        struct clg_lookup_entry got[CLG_MERGE_AHEAD];
        uint32_t count = 0;
        uint64_t bound = 0;
        int rc = clg_lookup_entries(merge->fold, lane->queue, lane->next_offset, visible, got,
                                    CLG_MERGE_AHEAD, &count, &bound);
        if (rc == COMMITLOG_ETOOSMALL) {
            CLG_ASSERT(bound > lane->next_offset);
            merge->skipped += bound - lane->next_offset;
            lane->next_offset = bound;
            continue;
        }
        if (rc != 0) {
            /* EBEYOND: the caller's visible position went back, or is not folded yet. */
            return rc == COMMITLOG_EEND || rc == COMMITLOG_EBEYOND ? 0 : rc;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (got[i].position != CLG_NO_POSITION && got[i].position >= merge->told) {
                lane->ahead[lane->count++] = got[i];
            }
        }
        const struct clg_lookup_entry *last = &got[count - 1];
        /* A run of lost offsets may be longer than anybody wants to walk. */
        lane->next_offset = last->queue_offset + clg_max_u64(last->lost, 1);
    }
    return 0;
}

static uint64_t merge_key(const struct clg_merge *merge, uint32_t heap_index)
{
    const struct merge_lane *lane = &merge->lanes[merge->heap[heap_index]];
    CLG_ASSERT(lane->taken < lane->count);
    return lane->ahead[lane->taken].position;
}

static void merge_swap(struct clg_merge *merge, uint32_t a, uint32_t b)
{
    uint32_t lane = merge->heap[a];
    CLG_ASSERT(a < merge->lane_count && b < merge->lane_count);
    merge->heap[a] = merge->heap[b];
    merge->heap[b] = lane;
}

static void merge_sift_down(struct clg_merge *merge)
{
    uint32_t at = 0;
    CLG_ASSERT(merge->heap_count > 0);
    for (;;) {
        uint32_t child = 2 * at + 1;
        if (child >= merge->heap_count) {
            return;
        }
        if (child + 1 < merge->heap_count &&
            merge_key(merge, child + 1) < merge_key(merge, child)) {
            child++;
        }
        if (merge_key(merge, at) <= merge_key(merge, child)) {
            return;
        }
        merge_swap(merge, at, child);
        at = child;
    }
}

static void merge_push(struct clg_merge *merge, uint32_t lane)
{
    uint32_t at = merge->heap_count++;
    CLG_ASSERT(merge->heap_count <= merge->lane_count);
    merge->heap[at] = lane;
    while (at > 0 && merge_key(merge, at) < merge_key(merge, (at - 1) / 2)) {
        merge_swap(merge, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
}

/* Lanes that ran dry may have entries now. */
static int merge_refill(struct clg_merge *merge, uint64_t visible)
{
    CLG_ASSERT(merge->heap_count <= merge->lane_count);
    for (uint32_t i = 0; i < merge->lane_count; i++) {
        struct merge_lane *lane = &merge->lanes[i];
        if (lane->taken < lane->count) {
            continue; /* in the heap */
        }
        int rc = merge_fill(merge, lane, visible);
        if (rc != 0) {
            return rc;
        }
        if (lane->count > 0) {
            merge_push(merge, i);
        }
    }
    return 0;
}

/* Takes the smallest entry and refills its lane. */
static int merge_take(struct clg_merge *merge, uint64_t visible, struct clg_merge_entry *out)
{
    struct merge_lane *lane = &merge->lanes[merge->heap[0]];
    CLG_ASSERT(lane->taken < lane->count);
    out->entry = lane->ahead[lane->taken];
    out->queue = lane->queue;
    lane->taken++;
    int rc = 0;
    merge->told = out->entry.position + 1;
    if (lane->taken == lane->count) {
        rc = merge_fill(merge, lane, visible);
        if (rc != 0 || lane->count == 0) {
            merge->heap_count--;
            merge->heap[0] = merge->heap[merge->heap_count];
        }
    }
    if (merge->heap_count > 0) {
        merge_sift_down(merge);
    }
    return rc;
}

int clg_merge_next(struct clg_merge *merge, uint64_t visible, struct clg_merge_entry *entries,
                   uint32_t max, uint32_t *out_count, uint64_t *out_skipped)
{
    uint32_t count = 0;
    CLG_ASSERT(entries != NULL && max > 0);
    CLG_ASSERT(out_count != NULL);
    merge->skipped = 0;
    uint64_t bound = clg_min_u64(visible, clg_fold_position(merge->fold));
    int rc = merge_refill(merge, bound);
    while (rc == 0 && count < max && merge->heap_count > 0 && merge_key(merge, 0) < bound) {
        rc = merge_take(merge, bound, &entries[count]);
        count++;
    }
    if (rc == 0 && count < max) {
        merge->told = clg_max_u64(merge->told, bound);
    }
    if (out_skipped != NULL) {
        *out_skipped = merge->skipped;
    }
    *out_count = count;
    return count > 0 ? 0 : rc;
}
