/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold_ends.c -- how far queues had come, by what names their offsets where messages are gone.
 *
 * Salvage may lose the newest messages of a queue and keep what lies behind them: what groups have
 * committed, or will with a transaction, what was given out, and where the parents of a growth
 * were. No message may get an offset that these call consumed already: the group would never be
 * given it. So the queue goes on behind all that is named, and what is between is lost, for readers
 * to be told. Without damage nothing is named that is not there.
 *
 * Invariants: the bound of clg_consume_queue_reach. A number that no topic has goes to no new one.
 * Threads and locks: the only thread, while a store opens; the fold lock.
 * Happy path: everything is folded -> nothing is raised.
 * Failure modes: ENOMEM. What lies is counted as a contradiction, and raises nothing.
 */
#include "base/bytes.h"
#include "base/invariant.h"
#include "format/transaction_record.h"
#include "view/consume_queue.h"
#include "view/expiry_view.h"
#include "view/fold_internal.h"
#include "view/groups_view.h"
#include "view/timers_view.h"
#include "view/topics_view.h"
#include "view/transactions_view.h"
#include "view/work_view.h"

static int ends_groups(struct clg_view *queues, const struct clg_group_table *table)
{
    int rc = 0;
    for (uint32_t g = 0; rc == 0 && g < table->count; g++) {
        const struct clg_group *group = table->groups[g];
        for (uint32_t i = 0; rc == 0 && i < group->offset_count; i++) {
            const struct clg_group_offset *known = &group->offsets[i];
            rc = clg_consume_queue_reach(queues, known->queue_number, known->offset,
                                         known->position);
        }
    }
    return rc;
}

/* A number that something names is given to no other topic. */
static void ends_skip(struct clg_registry *registry, uint32_t queue)
{
    if (clg_registry_queue(registry, queue) == NULL &&
        queue / CLG_REGISTRY_CHUNK < CLG_REGISTRY_CHUNKS) {
        clg_registry_skip(registry, queue + 1);
    }
}

/* Runs do not say which record they are of: it lies before the end. */
static int ends_work(struct clg_view *queues, const struct clg_work_table *table, uint64_t end)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < table->count; i++) {
        const struct clg_work_queue *work = table->queues[i];
        if (work->run_count > 0) {
            const struct clg_work_run *last = &work->runs[work->run_count - 1];
            rc = clg_consume_queue_reach(queues, work->queue_number, last->offset + last->count,
                                         end);
        }
    }
    return rc;
}

static int ends_transaction(struct clg_view *queues, struct clg_registry *registry,
                            const struct clg_transaction *transaction, uint64_t end)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < transaction->offset_count; i++) {
        const struct clg_transaction_offsets *offsets = transaction->offsets[i];
        struct clg_transaction_mark mark;
        if (clg_transaction_mark_decode(offsets->body, offsets->bytes, &mark) != COMMITLOG_OK) {
            continue;
        }
        for (uint32_t j = 0; rc == 0 && j < mark.offsets.count; j++) {
            const struct clg_group_entry entry = clg_group_change_entry(&mark.offsets, j);
            ends_skip(registry, entry.queue_number);
            rc = clg_consume_queue_reach(queues, entry.queue_number, entry.offset,
                                         clg_min_u64(offsets->position, end));
        }
    }
    return rc;
}

static int ends_transactions(struct clg_view *queues, struct clg_registry *registry,
                             const struct clg_transaction_table *table, uint64_t end)
{
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < table->count; i++) {
        rc = ends_transaction(queues, registry, table->transactions[i], end);
    }
    return rc;
}

static void ends_names(struct clg_fold *fold)
{
    struct clg_registry *registry = fold->config.registry;
    const struct clg_timer_table *timers = clg_timers_view_table(fold->views[CLG_VIEW_TIMERS]);
    const struct clg_transaction_table *open =
        clg_transactions_view_table(fold->views[CLG_VIEW_TRANSACTIONS]);
    const struct clg_expiry_table *expiry = clg_expiry_view_table(fold->views[CLG_VIEW_EXPIRY]);
    const struct clg_group_table *groups = clg_groups_view_table(fold->views[CLG_VIEW_GROUPS]);
    struct clg_timer timer;
    for (uint32_t cursor = 0; clg_timer_next(timers, &cursor, &timer);) {
        ends_skip(registry, timer.queue_number);
    }
    for (uint32_t i = 0; i < open->count; i++) {
        for (uint32_t j = 0; j < open->transactions[i]->message_count; j++) {
            ends_skip(registry, open->transactions[i]->messages[j].queue_number);
        }
    }
    for (uint32_t i = 0; i < expiry->count; i++) {
        ends_skip(registry, expiry->rows[i].first_queue);
    }
    for (uint32_t i = 0; i < groups->count; i++) { /* also of who has consumed nothing of it yet */
        for (uint32_t j = 0; j < groups->groups[i]->offset_count; j++) {
            ends_skip(registry, groups->groups[i]->offsets[j].queue_number);
        }
    }
}

int clg_fold_reach_ends(struct clg_fold *fold, uint64_t end)
{
    struct clg_view *queues = fold->views[CLG_VIEW_QUEUES];
    CLG_ASSERT(clg_mutex_is_held(&fold->lock));
    ends_names(fold);
    int rc = ends_groups(queues, clg_groups_view_table(fold->views[CLG_VIEW_GROUPS]));
    if (rc == 0) {
        rc = ends_work(queues, clg_work_view_table(fold->views[CLG_VIEW_WORK]), end);
    }
    if (rc == 0) {
        rc =
            ends_transactions(queues, fold->config.registry,
                              clg_transactions_view_table(fold->views[CLG_VIEW_TRANSACTIONS]), end);
    }
    return rc == 0 ? clg_topics_reach_marks(fold->views[CLG_VIEW_TOPICS], queues) : rc;
}
