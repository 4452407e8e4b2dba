/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * receipt.c -- what was given out is acknowledged, extended or given back. See work.h.
 *
 * What was given out again since, or is done, is not touched: the attempt tells.
 */
#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "store/work.h"

#define RECEIPT_SMALL 32u

/* What is still given out for the attempt that is named, by queue and offset. */
struct receipt_set {
    struct commitlog_receiver *receiver;
    const struct commitlog_delivery *deliveries;
    uint32_t asked;
    uint32_t level;
    int (*change)(struct receipt_set *set, void *ctx, struct commitlog_error *err);
    void *ctx;
    struct clg_work_entry *entries;
    uint32_t count;
    uint32_t missing;
    struct commitlog_receipt receipt;
    struct clg_work_entry small[RECEIPT_SMALL];
};

static int receipt_order(const struct clg_work_entry *a, const struct clg_work_entry *b)
{
    if (a->queue_number != b->queue_number) {
        return a->queue_number < b->queue_number ? -1 : 1;
    }
    return a->offset < b->offset ? -1 : a->offset > b->offset ? 1 : 0;
}

/* Mostly they come in order. */
static void receipt_sort(struct clg_work_entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const struct clg_work_entry entry = entries[i];
        uint32_t at = i;
        while (at > 0 && receipt_order(&entries[at - 1], &entry) > 0) {
            entries[at] = entries[at - 1];
            at--;
        }
        entries[at] = entry;
    }
}

/* Under the lock. */
static void receipt_collect(struct receipt_set *set)
{
    const struct commitlog_receiver *receiver = set->receiver;
    const struct clg_topic *topic =
        clg_registry_topic(&receiver->store->core->registry, receiver->topic);
    uint32_t kept = 0;
    set->missing = 0;
    for (uint32_t i = 0; i < set->asked; i++) {
        const struct commitlog_delivery *delivery = &set->deliveries[i];
        bool known = delivery->queue < clg_topic_queues(topic);
        uint32_t number = known ? clg_topic_number(topic, delivery->queue) : CLG_QUEUE_NONE;
        const struct clg_work_queue *queue = known ? clg_work_find(receiver, number) : NULL;
        const struct clg_work_run *run =
            queue == NULL ? NULL : clg_work_queue_at(queue, delivery->offset);
        if (run == NULL || run->state != CLG_WORK_PENDING ||
            (run->attempts != delivery->attempt && !CLG_PLANTED(ACK_STALE))) {
            set->missing++;
            continue;
        }
        set->entries[kept++] = (struct clg_work_entry){.offset = delivery->offset,
                                                       .queue_number = number,
                                                       .count = 1,
                                                       .attempts = run->attempts,
                                                       .state = CLG_WORK_PENDING};
    }
    receipt_sort(set->entries, kept);
    uint32_t count = 0;
    for (uint32_t i = 0; i < kept; i++) { /* one named twice counts once */
        if (count == 0 || receipt_order(&set->entries[count - 1], &set->entries[i]) != 0) {
            set->entries[count++] = set->entries[i];
        }
    }
    set->count = count;
}

/* Without waiting for room: when there is some, times are taken anew. */
static int receipt_append(struct receipt_set *set, const struct clg_work_entry *entries,
                          uint32_t count, struct commitlog_error *err)
{
    const struct commitlog_group *group = &set->receiver->group;
    struct commitlog_store *store = set->receiver->store;
    return clg_work_append(store, (const uint8_t *)group->name, group->name_bytes, entries, count,
                           NULL, 0, &set->receipt, err);
}

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int receipt_attempt(void *ctx, struct commitlog_error *err)
{
    struct receipt_set *set = ctx;
    struct commitlog_store *store = set->receiver->store;
    int rc = COMMITLOG_OK;
    clg_mutex_lock(store->os, &store->group_lock);
    if (clg_groups_find(&set->receiver->group, &store->groups) == NULL) {
        rc = clg_groups_not_found(&set->receiver->group, err);
    } else {
        receipt_collect(set);
        rc = set->count > 0 ? set->change(set, set->ctx, err) : COMMITLOG_OK;
    }
    clg_mutex_unlock(store->os, &store->group_lock);
    return rc;
}

/* Calls `change` under the lock with what is found. */
static int receipt_run(struct receipt_set *set, const char *what, struct commitlog_error *err)
{
    struct commitlog_receiver *receiver = set->receiver;
    if (receiver == NULL || set->deliveries == NULL || set->asked == 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "%s: none given", what);
    }
    struct commitlog_store *store = receiver->store;
    int rc = clg_groups_enter_write(store, set->level, what, err);
    if (rc == COMMITLOG_OK && set->asked > CLG_WORK_ENTRIES_MAX) {
        rc = clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION, "%s: %u at once, %u are the most",
                      what, set->asked, CLG_WORK_ENTRIES_MAX);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    set->entries = set->asked <= RECEIPT_SMALL
                       ? set->small
                       : clg_os_alloc_array(store->os, set->asked, sizeof(*set->entries));
    if (set->entries == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "%s", what);
    }
    const struct clg_until until = clg_store_until(store, COMMITLOG_FOREVER);
    rc = clg_store_attempt(store, receipt_attempt, set, clg_store_until(store, CLG_GROUPS_ROOM_MS),
                           err);
    if (set->entries != set->small) {
        store->os->free(store->os, set->entries);
    }
    if (rc == COMMITLOG_OK && set->receipt.end_position > 0) {
        rc = clg_append_finish(store, clg_append_level(store, set->level), 1, until, 0,
                               &set->receipt, err);
    }
    if (rc == COMMITLOG_OK && set->missing > 0) {
        rc = clg_fail(err, COMMITLOG_ENOTFOUND, 0, CLG_NO_POSITION,
                      "%s: %u of %u are not, or not any more, given out for this attempt", what,
                      set->missing, set->asked);
    }
    return rc;
}

/* ---- acknowledge ---- */

/* From the committed offset on, or from the queue's first if retention or expiry has passed that:
 * nobody will acknowledge what was before. Of what is not folded yet the next receive sees to it.
 */
static uint64_t ack_from(const struct receipt_set *set, uint32_t number, uint64_t committed)
{
    const struct clg_core *core = set->receiver->store->core;
    struct clg_lookup_range range = {0};
    int rc = clg_lookup_range(core->fold, number, clg_fold_position(core->fold), &range);
    return rc == COMMITLOG_OK ? clg_max_u64(committed, range.min) : committed;
}

/* Over what is acknowledged now and what was before. *at: behind the entries that are below it. */
static uint64_t ack_reach(const struct receipt_set *set, uint32_t *at, uint64_t from)
{
    uint32_t number = set->entries[*at].queue_number;
    const struct clg_work_queue *queue = clg_work_find(set->receiver, number);
    uint64_t reach = from;
    for (;;) {
        while (*at < set->count && set->entries[*at].queue_number == number &&
               set->entries[*at].offset <= reach) {
            reach = set->entries[*at].offset == reach ? reach + 1 : reach;
            (*at)++;
        }
        const struct clg_work_run *run = clg_work_queue_at(queue, reach);
        if (run == NULL || run->state != CLG_WORK_DONE) {
            return reach;
        }
        reach = run->offset + run->count;
    }
}

/* Neighbours become one entry. */
static void ack_add(struct clg_work_entry *done, uint32_t *count,
                    const struct clg_work_entry *entry)
{
    struct clg_work_entry *last = *count == 0 ? NULL : &done[*count - 1];
    if (last != NULL && last->queue_number == entry->queue_number &&
        last->offset + last->count == entry->offset) {
        last->count++;
        return;
    }
    done[(*count)++] = (struct clg_work_entry){.offset = entry->offset,
                                               .queue_number = entry->queue_number,
                                               .count = 1,
                                               .state = CLG_WORK_DONE};
}

/* What reaches from the committed offset on is committed, and needs no more than that; the rest is
 * done by itself. All of it or nothing: who is told that it failed asks again. */
static int ack_apply(struct receipt_set *set, void *ctx, struct commitlog_error *err)
{
    const struct clg_group *group =
        clg_groups_find(&set->receiver->group, &set->receiver->store->groups);
    struct clg_group_entry *offsets = ctx;
    uint32_t offset_count = 0;
    uint32_t done = 0;
    for (uint32_t at = 0; at < set->count;) {
        uint32_t number = set->entries[at].queue_number;
        const struct clg_group_offset *known = clg_group_find_offset(group, number);
        uint64_t committed = known == NULL ? 0 : known->offset;
        uint64_t reach = ack_reach(set, &at, ack_from(set, number, committed));
        if (reach > committed) {
            offsets[offset_count++] =
                (struct clg_group_entry){.queue_number = number, .offset = reach};
        }
        while (at < set->count && set->entries[at].queue_number == number) {
            ack_add(set->entries, &done, &set->entries[at++]); /* behind what is read */
        }
    }
    return offset_count == 0 && done == 0
               ? COMMITLOG_OK
               : clg_work_commit_with(set->receiver, offsets, offset_count, set->entries, done, 0,
                                      &set->receipt, err);
}

int32_t commitlog_ack(struct commitlog_receiver *receiver,
                      const struct commitlog_delivery *deliveries, uint32_t count, uint32_t level,
                      struct commitlog_error *err)
{
    struct receipt_set set = {.receiver = receiver,
                              .deliveries = deliveries,
                              .asked = count,
                              .level = level,
                              .change = ack_apply};
    struct clg_group_entry small[RECEIPT_SMALL];
    struct clg_group_entry *offsets = small;
    if (receiver != NULL && count > RECEIPT_SMALL && count <= CLG_WORK_ENTRIES_MAX) {
        offsets = clg_os_alloc_array(receiver->store->os, count, sizeof(*offsets));
        if (offsets == NULL) {
            return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "acknowledge");
        }
    }
    set.ctx = offsets;
    int rc = receipt_run(&set, "acknowledge", err);
    if (offsets != small) {
        receiver->store->os->free(receiver->store->os, offsets);
    }
    return rc;
}

/* ---- extend, give back ---- */

static int64_t receipt_after(const struct commitlog_store *store, int64_t ms)
{
    int64_t now_ms = clg_log_time(store->core->log) / CLG_OS_NS_PER_MS;
    return ms > CLG_DELIVER_AT_MAX_MS - now_ms ? CLG_DELIVER_AT_MAX_MS : now_ms + ms;
}

static int extend_apply(struct receipt_set *set, void *ctx, struct commitlog_error *err)
{
    int64_t until_ms = receipt_after(set->receiver->store, *(const int64_t *)ctx);
    for (uint32_t i = 0; i < set->count; i++) {
        set->entries[i].visible_at_ms = until_ms;
    }
    return receipt_append(set, set->entries, set->count, err);
}

int32_t commitlog_extend(struct commitlog_receiver *receiver,
                         const struct commitlog_delivery *deliveries, uint32_t count,
                         int64_t visibility_ms, struct commitlog_error *err)
{
    struct receipt_set set = {.receiver = receiver,
                              .deliveries = deliveries,
                              .asked = count,
                              .level = COMMITLOG_LEVEL_NONE,
                              .change = extend_apply,
                              .ctx = &visibility_ms};
    if (visibility_ms < 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "extend by %lld ms",
                        (long long)visibility_ms);
    }
    return receipt_run(&set, "extend", err);
}

struct receipt_back {
    int64_t delay_ms;
    bool wants_topic;
};

/* What comes again goes back first, all at once: if that fails, nothing has changed. Then the dead
 * letters, one by one: if one fails, and all of it is asked again, the others go back once more. */
static int nack_apply(struct receipt_set *set, void *ctx, struct commitlog_error *err)
{
    struct receipt_back *back = ctx;
    struct commitlog_receiver *receiver = set->receiver;
    uint32_t kept = 0;
    int rc = COMMITLOG_OK;
    for (uint32_t i = 0; i < set->count; i++) {
        struct clg_work_entry entry = set->entries[i];
        if (entry.attempts >= receiver->max_attempts) {
            back->wants_topic = back->wants_topic || !receiver->has_dead;
            continue;
        }
        int64_t delay_ms =
            back->delay_ms >= 0 ? back->delay_ms : commitlog_delay_level_ms(2 + entry.attempts);
        entry.visible_at_ms = receipt_after(receiver->store, delay_ms);
        set->entries[i] = set->entries[kept];
        set->entries[kept++] = entry;
    }
    if (back->wants_topic) {
        return COMMITLOG_OK; /* the caller makes it, and comes again */
    }
    if (kept > 0) {
        rc = receipt_append(set, set->entries, kept, err);
    }
    receipt_sort(set->entries + kept, set->count - kept); /* they have changed places */
    for (uint32_t i = kept; rc == COMMITLOG_OK && i < set->count; i++) {
        const struct clg_work_entry *entry = &set->entries[i];
        rc = clg_work_bury(receiver, entry->queue_number, entry->offset, 1, entry->attempts,
                           COMMITLOG_DEAD_REFUSED, CLG_GROUPS_ROOM_MS, err);
    }
    return rc;
}

int32_t commitlog_nack(struct commitlog_receiver *receiver,
                       const struct commitlog_delivery *deliveries, uint32_t count,
                       int64_t delay_ms, struct commitlog_error *err)
{
    struct receipt_back back = {.delay_ms = delay_ms};
    if (delay_ms < -1) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "give back: %lld ms",
                        (long long)delay_ms);
    }
    for (;;) {
        struct receipt_set set = {.receiver = receiver,
                                  .deliveries = deliveries,
                                  .asked = count,
                                  .level = COMMITLOG_LEVEL_NONE,
                                  .change = nack_apply,
                                  .ctx = &back};
        back.wants_topic = false;
        int rc = receipt_run(&set, "give back", err);
        if ((rc != COMMITLOG_OK && rc != COMMITLOG_ENOTFOUND) || !back.wants_topic) {
            return rc;
        }
        rc = clg_work_make_dead_topic(receiver, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
    }
}
