/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lookup.c -- questions to the views under the fold lock. See lookup.h.
 *
 * Invariants: nothing at or behind min(visible, folded) is shown, nor what has expired.
 * Threads and locks: lock for the length of one question.
 * Happy path: bound -> ask the view -> answer.
 * Failure modes: the view says EDAMAGED: its file is made again and the question asked again; each
 *       round repairs at least one file, so the rounds are bounded by the number of files.
 */
#include "view/lookup.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "base/order.h"
#include "view/consume_queue.h"
#include "view/expiry_view.h"
#include "view/fold_internal.h"
#include "view/key_index.h"
#include "view/work_view.h"

/* With the lock held. */
static struct clg_queue_bounds lookup_bounds(const struct clg_fold *fold, uint32_t queue,
                                             uint64_t visible)
{
    uint64_t folded = clg_load_relaxed_u64(&fold->folded);
    CLG_ASSERT(clg_mutex_is_held(&fold->lock));
    /* A batch that ran out of memory half-way is in the views up to `applied`. */
    bool partial = fold->applied != folded || fold->resume_view != 0;
    return (struct clg_queue_bounds){
        .expired = clg_expiry_view_below(fold->views[CLG_VIEW_EXPIRY], queue, visible),
        .visible = clg_min_u64(visible, folded),
        .all_visible = visible >= folded && !partial};
}

/* True: a file was repaired, ask again. */
static bool lookup_again(struct clg_fold *fold, int *rc)
{
    uint32_t rebuilt = 0;
    if (CLG_LIKELY(*rc != COMMITLOG_EDAMAGED)) {
        return false;
    }
    CLG_ASSERT(clg_mutex_is_held(&fold->lock));
    int repaired = clg_fold_repair(fold, &rebuilt, NULL);
    if (repaired != 0) {
        *rc = repaired;
        return false;
    }
    return rebuilt > 0;
}

uint64_t clg_lookup_expired(struct clg_fold *fold, uint32_t queue, uint64_t visible)
{
    clg_mutex_lock(fold->config.os, &fold->lock);
    uint64_t expired = clg_expiry_view_below(fold->views[CLG_VIEW_EXPIRY], queue, visible);
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return expired;
}

int clg_lookup_range(struct clg_fold *fold, uint32_t queue, uint64_t visible,
                     struct clg_lookup_range *out)
{
    int rc;
    CLG_ASSERT(out != NULL);
    if (clg_registry_queue(fold->config.registry, queue) == NULL) {
        return COMMITLOG_ENOTFOUND;
    }
    clg_mutex_lock(fold->config.os, &fold->lock);
    const struct clg_queue_bounds bounds = lookup_bounds(fold, queue, visible);
    do {
        rc = clg_consume_queue_range(fold->views[CLG_VIEW_QUEUES], queue, &bounds, out);
    } while (lookup_again(fold, &rc));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

/* The lock is given back after each queue: who appends or reads waits for one at most. */
void clg_lookup_trim_work(struct clg_fold *fold)
{
    bool more = true;
    for (uint32_t i = 0; more; i++) {
        clg_mutex_lock(fold->config.os, &fold->lock);
        struct clg_work_queue *work = clg_work_view_at(fold->views[CLG_VIEW_WORK], i);
        more = work != NULL;
        if (more && work->run_count > 0) {
            struct clg_queue_bounds bounds =
                lookup_bounds(fold, work->queue_number, CLG_POSITION_MAX);
            /* What would be back after a power cut is not forgotten. */
            bounds.expired = clg_expiry_view_below(fold->views[CLG_VIEW_EXPIRY], work->queue_number,
                                                   clg_fold_durable(fold));
            struct clg_lookup_range range = {0};
            int rc;
            do {
                rc = clg_consume_queue_range(fold->views[CLG_VIEW_QUEUES], work->queue_number,
                                             &bounds, &range);
            } while (lookup_again(fold, &rc));
            clg_work_queue_trim(work, range.min);
        }
        clg_mutex_unlock(fold->config.os, &fold->lock);
    }
}

int clg_lookup_entries(struct clg_fold *fold, uint32_t queue, uint64_t offset, uint64_t visible,
                       struct clg_lookup_entry *entries, uint32_t max, uint32_t *out_count,
                       uint64_t *out_bound)
{
    int rc;
    uint64_t unused;
    CLG_ASSERT(entries != NULL && max > 0);
    CLG_ASSERT(out_count != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    const struct clg_queue_bounds bounds = lookup_bounds(fold, queue, visible);
    do {
        rc =
            clg_consume_queue_entries(fold->views[CLG_VIEW_QUEUES], queue, offset, &bounds, entries,
                                      max, out_count, out_bound != NULL ? out_bound : &unused);
    } while (lookup_again(fold, &rc));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

int clg_lookup_time(struct clg_fold *fold, uint32_t queue, int64_t time_ns, uint32_t bound_kind,
                    uint64_t visible, uint64_t *out_offset)
{
    int rc;
    CLG_ASSERT(out_offset != NULL);
    if (bound_kind != COMMITLOG_LOWER && bound_kind != COMMITLOG_UPPER) {
        return COMMITLOG_EINVAL;
    }
    clg_mutex_lock(fold->config.os, &fold->lock);
    const struct clg_queue_bounds bounds = lookup_bounds(fold, queue, visible);
    do {
        rc = clg_consume_queue_time(fold->views[CLG_VIEW_QUEUES], queue, time_ns, bound_kind,
                                    &bounds, out_offset);
    } while (lookup_again(fold, &rc));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

int clg_lookup_position(struct clg_fold *fold, uint32_t queue, uint64_t position, uint64_t visible,
                        uint64_t *out_offset)
{
    int rc;
    CLG_ASSERT(out_offset != NULL);
    clg_mutex_lock(fold->config.os, &fold->lock);
    const struct clg_queue_bounds bounds = lookup_bounds(fold, queue, visible);
    do {
        rc = clg_consume_queue_position(fold->views[CLG_VIEW_QUEUES], queue, position, &bounds,
                                        out_offset);
    } while (lookup_again(fold, &rc));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return rc;
}

void clg_lookup_key_init(struct clg_lookup_key *query, uint32_t queue, uint64_t hash,
                         int64_t since_ns, int64_t until_ns, uint64_t visible)
{
    CLG_ASSERT(query != NULL);
    *query = (struct clg_lookup_key){.hash = hash,
                                     .queue = queue,
                                     .since_ns = since_ns,
                                     .until_ns = until_ns,
                                     .before = visible,
                                     .hint_base = CLG_NO_POSITION,
                                     .hint_entry = 0};
    CLG_ASSERT(query->hint_base == CLG_NO_POSITION);
}

int clg_lookup_key_next(struct clg_fold *fold, struct clg_lookup_key *query, uint64_t visible,
                        uint64_t *positions, uint32_t max, uint32_t *out_count)
{
    int rc;
    CLG_ASSERT(positions != NULL && max > 0);
    CLG_ASSERT(out_count != NULL);
    if (fold->views[CLG_VIEW_KEYS] == NULL) {
        return COMMITLOG_EUNSUPPORTED;
    }
    clg_mutex_lock(fold->config.os, &fold->lock);
    const uint64_t expired =
        clg_expiry_view_below(fold->views[CLG_VIEW_EXPIRY], query->queue, visible);
    query->before = clg_min_u64(query->before, clg_load_relaxed_u64(&fold->folded));
    do {
        rc = clg_key_index_next(fold->views[CLG_VIEW_KEYS], query, positions, max, out_count);
    } while (lookup_again(fold, &rc));
    clg_mutex_unlock(fold->config.os, &fold->lock);
    if (rc == 0 && expired > 0) { /* newest first: behind one that has, all have */
        uint32_t kept = 0;
        while (kept < *out_count && positions[kept] >= expired) {
            kept++;
        }
        query->before = kept < *out_count ? 0 : query->before;
        *out_count = kept;
    }
    return rc;
}
