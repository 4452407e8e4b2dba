/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold_views.c -- the list of views. A new one is added here and in the enum beside its index.
 *
 * Invariants: topics first: a record's topic is known before the record is indexed.
 * Threads and locks: constant data. Happy path, failure modes: none.
 */
#include "base/invariant.h"
#include "view/consume_queue.h"
#include "view/expiry_view.h"
#include "view/fold_internal.h"
#include "view/groups_view.h"
#include "view/key_index.h"
#include "view/producers_view.h"
#include "view/timers_view.h"
#include "view/topics_view.h"
#include "view/transactions_view.h"
#include "view/work_view.h"

CLG_STATIC_ASSERT(CLG_VIEW_COUNT <= CLG_VIEWS_MAX, "each view has a slot in every segment");

const struct clg_view_ops *const clg_fold_views[CLG_VIEW_COUNT] = {
    [CLG_VIEW_TOPICS] = &clg_topics_view_ops,
    [CLG_VIEW_QUEUES] = &clg_consume_queue_ops,
    [CLG_VIEW_KEYS] = &clg_key_index_ops,
    [CLG_VIEW_GROUPS] = &clg_groups_view_ops,
    [CLG_VIEW_PRODUCERS] = &clg_producers_view_ops,
    [CLG_VIEW_TIMERS] = &clg_timers_view_ops,
    [CLG_VIEW_WORK] = &clg_work_view_ops,
    [CLG_VIEW_TRANSACTIONS] = &clg_transactions_view_ops,
    [CLG_VIEW_EXPIRY] = &clg_expiry_view_ops,
};
