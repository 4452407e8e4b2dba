/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * growth.c -- a topic gets more queues, and shrinks back.
 *
 * Invariants: 1. steps are given numbers, and definitions that say which steps there are and which
 *       keys go to are written, by one at a time; 2. a shrink is decided while no group can commit,
 *       no transaction and no timer can begin or end, and takes effect only if no queue that goes
 *       has got a record since it was looked at.
 * Threads and locks: growth_lock, then group_lock, transaction_lock, timer_lock; the log's inside.
 * Happy path: numbers -> record -> `routed`. Failure modes: nothing has changed, but a topic that
 *       could not grow keeps the numbers for the next attempt.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "store/groups.h"
#include "store/store.h"

#define GROWTH_ROOM_MS 5000
/* A queue that is to go gets records while its drain is looked at: so often that is begun again. */
#define GROWTH_TRIES 8

struct growth {
    struct commitlog_store *store;
    struct clg_topic *topic;
    uint32_t queues; /* wanted */
    uint32_t step;   /* that the topic grows by, or the first one that goes */
    bool grows;
    uint64_t *next; /* shrink: ends of the queues that go; 0: nothing of it is to be consumed */
    struct commitlog_receipt receipt;
    int (*change)(struct growth *growth, struct commitlog_error *err); /* under growth_lock */
};

static int growth_begin(struct commitlog_store *store, uint32_t topic, uint32_t queues,
                        uint32_t level, struct growth *out, struct commitlog_error *err)
{
    int rc = clg_groups_enter_write(store, level, "grow or shrink a topic", err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    *out = (struct growth){.store = store, .queues = queues};
    out->topic = clg_registry_topic(&store->core->registry, topic);
    if (out->topic == NULL || queues == 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "no topic has number %u, or %u queues are none", topic, queues);
    }
    return COMMITLOG_OK;
}

static int growth_once(struct growth *growth, uint64_t sum, struct commitlog_error *err)
{
    struct clg_log *log = growth->store->core->log;
    return growth->grows
               ? clg_log_grow_topic(log, growth->topic, growth->step, &growth->receipt, err)
               : clg_log_shrink_topic(log, growth->topic, growth->step, sum, &growth->receipt, err);
}

/* Waits for room. */
static int growth_append(struct growth *growth, uint64_t sum, struct clg_until until,
                         struct commitlog_error *err)
{
    struct commitlog_store *store = growth->store;
    for (;;) {
        uint32_t ticket = clg_log_room_ticket(store->core->log);
        int rc = growth_once(growth, sum, err);
        if (rc == COMMITLOG_EAGAIN) {
            rc = clg_store_make_room(store, err);
            rc = rc == COMMITLOG_OK ? growth_once(growth, sum, err) : rc;
        }
        if (rc != COMMITLOG_EAGAIN) {
            return rc;
        }
        rc = clg_store_wait_room(store, ticket, until, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
    }
}

/* ---- grow ---- */

/* Which step makes so many of them; it has numbers then. */
static int growth_plan(struct growth *growth, struct commitlog_error *err)
{
    struct clg_topic *topic = growth->topic;
    const uint32_t have = clg_topic_routed(topic);
    const uint32_t queues = growth->queues;
    CLG_ASSERT(have > 0);
    if (queues > COMMITLOG_TOPIC_QUEUES_MAX) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION, "a topic has %u queues at most",
                        (unsigned)COMMITLOG_TOPIC_QUEUES_MAX);
    }
    if (queues < have || queues % have != 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "topic %s has %u queues and grows to a multiple of them, not to %u",
                        topic->name, have, queues);
    }
    if (have < clg_topic_queues(topic)) { /* it shrank: the step that went comes back */
        growth->step = clg_topic_step_of(topic, have);
        const struct clg_topic_step step = clg_topic_step(topic, growth->step);
        return queues == step.from + step.queues
                   ? COMMITLOG_OK
                   : clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                              "topic %s had %u queues before it shrank: first it grows to these",
                              topic->name, step.from + step.queues);
    }
    growth->step = clg_topic_steps(topic);
    int rc = clg_registry_add_step(&growth->store->core->registry, topic, growth->step, UINT32_MAX,
                                   queues - have);
    return rc == COMMITLOG_OK ? rc
                              : clg_fail(err, rc, 0, CLG_NO_POSITION, "grow topic %s to %u queues",
                                         topic->name, queues);
}

static int growth_grow(struct growth *growth, struct commitlog_error *err)
{
    int rc = growth_plan(growth, err);
    growth->grows = true;
    return rc == COMMITLOG_OK ? growth_append(growth, 0, clg_store_until(growth->store, 0), err)
                              : rc;
}

/* The record that says how many there are may not have the level yet. */
static int growth_finish(struct growth *growth, uint32_t level, struct clg_until until,
                         struct commitlog_error *err)
{
    struct commitlog_store *store = growth->store;
    clg_append_published(store);
    until.mono_ns = CLG_OS_FOREVER;
    return clg_append_finish(store, clg_append_level(store, level), 1, until, 0, &growth->receipt,
                             err);
}

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int growth_attempt(void *ctx, struct commitlog_error *err)
{
    struct growth *growth = ctx;
    struct commitlog_store *store = growth->store;
    int rc = COMMITLOG_OK;
    clg_mutex_lock(store->os, &store->growth_lock);
    if (growth->queues != clg_topic_routed(growth->topic)) {
        rc = growth->change(growth, err);
    } else if (clg_topic_steps(growth->topic) > 1) {
        growth->receipt.position = clg_log_topic_changed_at(store->core->log, growth->topic);
        growth->receipt.end_position = growth->receipt.position + 1;
    } else { /* its definition may lie behind an open reservation */
        rc = clg_topics_define_locked(store, growth->topic, err);
        growth->receipt.end_position = clg_log_topic_defined_end(store->core->log, growth->topic);
    }
    clg_mutex_unlock(store->os, &store->growth_lock);
    return rc == COMMITLOG_EAGAIN ? COMMITLOG_ETIMEDOUT : rc;
}

/* Room is waited for without the lock: retention defines topics under it, in upkeep's thread. */
static int growth_change(struct commitlog_store *store, uint32_t topic, uint32_t queues,
                         uint32_t level, int (*change)(struct growth *, struct commitlog_error *),
                         struct commitlog_error *err)
{
    struct growth growth;
    int rc = growth_begin(store, topic, queues, level, &growth, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    growth.change = change;
    const struct clg_until until = clg_store_until(store, GROWTH_ROOM_MS);
    rc = clg_store_attempt(store, growth_attempt, &growth, until, err);
    return rc == COMMITLOG_OK ? growth_finish(&growth, level, until, err) : rc;
}

int32_t commitlog_topic_grow(struct commitlog_store *store, uint32_t topic, uint32_t queues,
                             uint32_t level, struct commitlog_error *err)
{
    return growth_change(store, topic, queues, level, growth_grow, err);
}

/* ---- shrink ---- */

/* The ends of the queues that go, and their sum. What retention took need not be consumed. */
static int growth_ends(struct growth *growth, uint32_t count, uint64_t *out_sum,
                       struct commitlog_error *err)
{
    struct commitlog_store *store = growth->store;
    struct clg_core *core = store->core;
    int rc = clg_fold_run(core->fold, UINT64_MAX, 1024, CLG_FOLD_WAIT, true, err);
    *out_sum = clg_log_next_offsets(core->log, growth->topic, growth->queues,
                                    growth->queues + count, growth->next);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
        struct clg_lookup_range range = {0};
        if (growth->next[i] > 0) {
            rc = clg_lookup_range(core->fold, clg_topic_number(growth->topic, growth->queues + i),
                                  clg_fold_position(core->fold), &range);
            growth->next[i] = range.min >= growth->next[i] ? 0 : growth->next[i];
            rc = rc == COMMITLOG_OK
                     ? rc
                     : clg_fail(err, rc, 0, CLG_NO_POSITION, "where a queue begins and ends");
        }
    }
    return rc;
}

static bool growth_knows_topic(const struct growth *growth, const struct clg_group *group)
{
    const struct clg_registry *registry = &growth->store->core->registry;
    bool knows = false;
    for (uint32_t i = 0; i < group->offset_count && !knows; i++) {
        knows = clg_registry_owner(registry, group->offsets[i].queue_number, NULL) == growth->topic;
    }
    return knows;
}

static int growth_check_groups(const struct growth *growth, uint32_t count,
                               struct commitlog_error *err)
{
    const struct clg_group_table *groups = &growth->store->groups;
    for (uint32_t g = 0; g < groups->count; g++) {
        const struct clg_group *group = groups->groups[g];
        if (!growth_knows_topic(growth, group)) {
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            const uint32_t queue = growth->queues + i;
            const struct clg_group_offset *known =
                clg_group_find_offset(group, clg_topic_number(growth->topic, queue));
            if (growth->next[i] > 0 && (known == NULL || known->offset < growth->next[i])) {
                return clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                                "topic %s shrinks when queue %u is drained: group %s has not "
                                "consumed it to its end, %llu",
                                growth->topic->name, queue, (const char *)group->name,
                                (unsigned long long)growth->next[i]);
            }
        }
    }
    return COMMITLOG_OK;
}

static bool growth_goes(const struct growth *growth, uint32_t number)
{
    uint32_t index = 0;
    return clg_registry_owner(&growth->store->core->registry, number, &index) == growth->topic &&
           index >= growth->queues;
}

/* Does something wait that will be delivered there? */
static int growth_check_waiting(const struct growth *growth, struct commitlog_error *err)
{
    const struct clg_timer_table *timers = &growth->store->timers;
    const struct clg_transaction_table *transactions = &growth->store->transactions;
    struct clg_timer timer;
    uint32_t cursor = 0;
    bool waits = false;
    while (!waits && clg_timer_next(timers, &cursor, &timer)) {
        waits = growth_goes(growth, timer.queue_number);
    }
    for (uint32_t t = 0; t < transactions->count; t++) {
        const struct clg_transaction *transaction = transactions->transactions[t];
        for (uint32_t i = 0; i < transaction->message_count && !waits; i++) {
            waits = growth_goes(growth, transaction->messages[i].queue_number);
        }
    }
    return waits ? clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                            "topic %s shrinks when no message waits for its time, or for the end "
                            "of its transaction, to go to a queue above %u",
                            growth->topic->name, growth->queues - 1)
                 : COMMITLOG_OK;
}

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int growth_shrink_locked(struct growth *growth, struct commitlog_error *err)
{
    struct commitlog_store *store = growth->store;
    const uint32_t count = clg_topic_routed(growth->topic) - growth->queues;
    uint64_t sum = 0;
    int rc = COMMITLOG_EBUSY;
    clg_mutex_lock(store->os, &store->group_lock);
    clg_mutex_lock(store->os, &store->transaction_lock);
    clg_mutex_lock(store->os, &store->timer_lock);
    for (int i = 0; i < GROWTH_TRIES && rc == COMMITLOG_EBUSY; i++) {
        rc = growth_ends(growth, count, &sum, err);
        if (rc == COMMITLOG_OK) {
            rc = growth_check_groups(growth, count, err);
        }
        if (rc == COMMITLOG_OK) {
            rc = growth_check_waiting(growth, err);
        }
        if (rc != COMMITLOG_OK) {
            break;
        }
        rc = growth_append(growth, sum, clg_store_until(store, 0), err);
        if (rc == COMMITLOG_EBUSY) {
            (void)clg_fail(err, rc, 0, CLG_NO_POSITION,
                           "topic %s shrinks when nobody appends to a queue above %u",
                           growth->topic->name, growth->queues - 1);
        }
    }
    clg_mutex_unlock(store->os, &store->timer_lock);
    clg_mutex_unlock(store->os, &store->transaction_lock);
    clg_mutex_unlock(store->os, &store->group_lock);
    return rc;
}

static int growth_shrink(struct growth *growth, struct commitlog_error *err)
{
    struct commitlog_store *store = growth->store;
    const struct clg_topic *topic = growth->topic;
    const uint32_t have = clg_topic_routed(topic);
    uint32_t step = 0;
    while (step < clg_topic_steps(topic) && clg_topic_step(topic, step).from != growth->queues) {
        step++;
    }
    if (growth->queues > have || step == clg_topic_steps(topic)) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "topic %s has %u queues and shrinks to a number that it had, not to %u",
                        topic->name, have, growth->queues);
    }
    growth->step = step;
    growth->next = clg_os_alloc_array(store->os, have - growth->queues, sizeof(*growth->next));
    if (growth->next == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "shrink topic %s", topic->name);
    }
    int rc = growth_shrink_locked(growth, err);
    store->os->free(store->os, growth->next);
    return rc;
}

int32_t commitlog_topic_shrink(struct commitlog_store *store, uint32_t topic, uint32_t queues,
                               uint32_t level, struct commitlog_error *err)
{
    return growth_change(store, topic, queues, level, growth_shrink, err);
}
