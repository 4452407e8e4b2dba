/* SPDX-License-Identifier: BSD-2-Clause */
/* transaction_prepare.c -- offsets that a transaction commits, and prepare. See transactions.h. */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "store/transactions.h"

/* ---- offsets ---- */

/* The part of the group, made when it is not there. NULL: no memory. */
static struct clg_transaction_part *transaction_part(struct commitlog_transaction *transaction,
                                                     const struct commitlog_group *group)
{
    const struct commitlog_os *os = transaction->store->os;
    for (uint32_t i = 0; i < transaction->part_count; i++) {
        struct clg_transaction_part *part = &transaction->parts[i];
        if (part->group.name_bytes == group->name_bytes &&
            memcmp(part->group.name, group->name, group->name_bytes) == 0) {
            return part;
        }
    }
    struct clg_transaction_part *grown =
        clg_os_grow_array(os, transaction->parts, transaction->part_count,
                          (size_t)transaction->part_count + 1, sizeof(*grown));
    if (grown == NULL) {
        return NULL;
    }
    transaction->parts = grown;
    grown[transaction->part_count].group = *group;
    return &grown[transaction->part_count];
}

/* Both by ascending queue number; what is new replaces. Returns how many there are. */
static uint32_t transaction_merge(const struct clg_group_entry *old, uint32_t old_count,
                                  const struct clg_group_entry *more, uint32_t more_count,
                                  struct clg_group_entry *out)
{
    uint32_t count = 0;
    uint32_t at = 0;
    for (uint32_t i = 0; i < more_count; i++) {
        while (at < old_count && old[at].queue_number < more[i].queue_number) {
            out[count++] = old[at++];
        }
        at += at < old_count && old[at].queue_number == more[i].queue_number ? 1 : 0;
        out[count++] = more[i];
    }
    while (at < old_count) {
        out[count++] = old[at++];
    }
    return count;
}

static uint64_t transaction_part_bytes(const struct clg_transaction_part *part)
{
    return part->count == 0
               ? 0
               : clg_record_bytes(0, clg_group_change_bytes(part->group.name_bytes, part->count));
}

/* `room` takes what is there and what comes. It becomes the part's, or is the caller's still. */
static int transaction_put_entries(struct commitlog_transaction *transaction,
                                   struct clg_transaction_part *part, uint32_t epoch,
                                   const struct clg_group_entry *more, uint32_t more_count,
                                   struct clg_group_entry *room, struct commitlog_error *err)
{
    const struct clg_transaction_part was = *part;
    if (was.count > 0 && was.epoch != epoch) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "offsets of group %s were given in epoch %u, and now in %u",
                        part->group.name, was.epoch, epoch);
    }
    const struct commitlog_os *os = transaction->store->os;
    uint32_t count = transaction_merge(was.entries, was.count, more, more_count, room);
    uint32_t all = transaction->entry_count - was.count + count;
    if (all > COMMITLOG_GROUP_OFFSETS_MAX) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "a transaction commits offsets of %u queues at most",
                        (unsigned)COMMITLOG_GROUP_OFFSETS_MAX);
    }
    part->count = count;
    uint64_t bytes = transaction_part_bytes(part);
    part->count = was.count;
    int rc = clg_transaction_check_commit(transaction, bytes - transaction_part_bytes(&was), err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    os->free(os, was.entries);
    part->entries = room;
    part->count = count;
    part->epoch = epoch;
    transaction->entry_count = all;
    transaction->part_count += part == &transaction->parts[transaction->part_count] ? 1 : 0;
    return COMMITLOG_OK;
}

/* As a commit of these alone would be judged now; and can the transaction take them? The part is
 * from then on that of the group that there is. */
static int transaction_judge_offsets(struct commitlog_transaction *transaction,
                                     struct clg_transaction_part *part, uint32_t epoch,
                                     const struct clg_group_entry *entries, uint32_t count,
                                     struct clg_group_entry *scratch, struct commitlog_error *err)
{
    struct commitlog_store *store = transaction->store;
    struct clg_transaction *open;
    struct clg_group_change change;
    uint64_t last_position;
    struct commitlog_group *group = &part->group;
    clg_mutex_lock(store->os, &store->transaction_lock);
    int rc = clg_transaction_find_changing(transaction, &open, err);
    clg_mutex_unlock(store->os, &store->transaction_lock);
    if (rc == COMMITLOG_OK && transaction->begins_prepared) {
        rc = clg_fail(err, COMMITLOG_EMISUSE, 0, CLG_NO_POSITION,
                      "a transaction that begins prepared commits no offsets");
    }
    if (rc == COMMITLOG_OK) {
        memcpy(scratch, entries, count * sizeof(*entries));
        clg_mutex_lock(store->os, &store->group_lock);
        rc = group->birth != 0
                 ? clg_transaction_judge(group, epoch, false, scratch, &count, &change, err)
                 : clg_group_offsets_judge(group, epoch, false, false, scratch, &count, &change,
                                           &last_position, err);
        group->birth =
            rc == COMMITLOG_OK ? clg_groups_find(group, &store->groups)->birth : group->birth;
        clg_mutex_unlock(store->os, &store->group_lock);
    }
    return rc;
}

int32_t commitlog_transaction_offsets(struct commitlog_transaction *transaction,
                                      struct commitlog_group *group, uint32_t epoch,
                                      const struct commitlog_group_offset *offsets, uint32_t count,
                                      struct commitlog_error *err)
{
    int rc =
        clg_transaction_enter(transaction, COMMITLOG_LEVEL_NONE, "offsets of a transaction", err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct commitlog_store *store = transaction->store;
    const struct commitlog_os *os = store->os;
    if (group == NULL || group->store != store || offsets == NULL || count == 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "offsets of a transaction: none given, or a group of another store");
    }
    if (count > COMMITLOG_GROUP_OFFSETS_MAX) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "offsets of %u queues at once, %u are the most", count,
                        (unsigned)COMMITLOG_GROUP_OFFSETS_MAX);
    }
    struct clg_transaction_part *part = transaction_part(transaction, group);
    uint32_t most = count + (part != NULL ? part->count : 0);
    struct clg_group_entry *entries = clg_os_alloc_array(os, count, sizeof(*entries));
    struct clg_group_entry *room = clg_os_alloc_array(os, most, sizeof(*room));
    if (part == NULL || entries == NULL || room == NULL) {
        rc = clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "offsets of a transaction");
    } else {
        rc = clg_group_offsets_collect(store, offsets, count, entries, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = transaction_judge_offsets(transaction, part, epoch, entries, count, room, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = transaction_put_entries(transaction, part, epoch, entries, count, room, err);
        room = rc == COMMITLOG_OK ? NULL : room;
    }
    os->free(os, entries);
    os->free(os, room);
    return rc;
}

/* ---- prepare ---- */

struct transaction_prepare {
    struct commitlog_transaction *transaction;
    struct commitlog_receipt receipt;
};

/* One that has nothing in the log yet begins with its state. */
static int transaction_append_state(struct commitlog_transaction *transaction,
                                    struct clg_until until, struct commitlog_receipt *receipt,
                                    struct commitlog_error *err)
{
    struct commitlog_store *store = transaction->store;
    const struct clg_transaction_mark state = {.operation = CLG_TRANSACTION_STATE,
                                               .begin_ms = clg_log_time(store->core->log) /
                                                           CLG_OS_NS_PER_MS,
                                               .group = (const uint8_t *)transaction->group,
                                               .group_bytes = transaction->group_bytes};
    int rc = clg_transactions_append_mark(store, &state, NULL, false, until, receipt, err);
    if (rc == COMMITLOG_OK) {
        transaction->id = receipt->position;
        clg_transaction_own(transaction);
    }
    return rc;
}

/* COMMITLOG_ETIMEDOUT: there is no room now. What is written already stays, and is written again by
 * the next attempt, which changes nothing. */
static int transaction_prepare_locked(struct transaction_prepare *prepare,
                                      struct commitlog_error *err)
{
    struct commitlog_transaction *transaction = prepare->transaction;
    struct commitlog_store *store = transaction->store;
    const struct clg_until until = clg_store_until(store, 0);
    int rc = COMMITLOG_OK;
    if (transaction->id == 0) {
        rc = transaction_append_state(transaction, until, &prepare->receipt, err);
    }
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < transaction->part_count; i++) {
        const struct clg_transaction_part *part = &transaction->parts[i];
        const struct clg_transaction_mark offsets = {
            .operation = CLG_TRANSACTION_OFFSETS,
            .transaction = transaction->id,
            .offsets = {.name = (const uint8_t *)part->group.name,
                        .name_bytes = part->group.name_bytes,
                        .operation = CLG_GROUP_OFFSETS,
                        .epoch = part->epoch,
                        .count = part->count}};
        rc = clg_transactions_append_mark(store, &offsets, part->entries, false, until,
                                          &prepare->receipt, err);
    }
    if (rc == COMMITLOG_OK) {
        int64_t ms =
            transaction->prepared_ms != 0 ? transaction->prepared_ms : CLG_TRANSACTION_PREPARED_MS;
        const struct clg_transaction_mark mark = {
            .operation = CLG_TRANSACTION_PREPARE,
            .transaction = transaction->id,
            .expire_at_ms = clg_log_time(store->core->log) / CLG_OS_NS_PER_MS + ms,
            .messages = transaction->message_count,
            .groups = transaction->part_count};
        rc = clg_transactions_append_mark(store, &mark, NULL, false, until, &prepare->receipt, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_transaction_own(transaction);
    }
    return rc;
}

int clg_transaction_judge(const struct commitlog_group *group, uint32_t epoch, bool was_judged,
                          struct clg_group_entry *entries, uint32_t *count,
                          struct clg_group_change *out, struct commitlog_error *err)
{
    uint64_t last_position;
    int rc = clg_group_offsets_judge(group, epoch, false, was_judged, entries, count, out,
                                     &last_position, err);
    return rc != COMMITLOG_ENOTFOUND
               ? rc
               : clg_fail(err, COMMITLOG_EFENCED, 0, CLG_NO_POSITION,
                          "the group %s, whose offsets the transaction has, was deleted",
                          group->name);
}

/* For the last time: what is prepared can be committed. */
static int transaction_judge_parts(const struct commitlog_transaction *transaction,
                                   struct commitlog_error *err)
{
    const struct commitlog_os *os = transaction->store->os;
    int rc = COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < transaction->part_count; i++) {
        const struct clg_transaction_part *part = &transaction->parts[i];
        struct clg_group_change change;
        uint32_t count = part->count;
        struct clg_group_entry *scratch = clg_os_alloc_array(os, count, sizeof(*scratch));
        if (scratch == NULL) {
            return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "prepare a transaction");
        }
        memcpy(scratch, part->entries, count * sizeof(*scratch));
        rc = clg_transaction_judge(&part->group, part->epoch, false, scratch, &count, &change, err);
        os->free(os, scratch);
    }
    return rc;
}

static int transaction_prepare_now(void *ctx, struct commitlog_error *err)
{
    struct transaction_prepare *prepare = ctx;
    struct commitlog_store *store = prepare->transaction->store;
    const bool has_offsets = prepare->transaction->part_count > 0;
    int defined = has_offsets ? clg_topics_define_left(store, err) : COMMITLOG_OK;
    if (defined != COMMITLOG_OK) {
        return defined;
    }
    if (has_offsets) {
        clg_mutex_lock(store->os, &store->group_lock);
    }
    clg_mutex_lock(store->os, &store->transaction_lock);
    struct clg_transaction *open;
    int rc = clg_transaction_find_changing(prepare->transaction, &open, err);
    if (rc == COMMITLOG_OK) {
        rc = transaction_judge_parts(prepare->transaction, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = transaction_prepare_locked(prepare, err);
    }
    clg_mutex_unlock(store->os, &store->transaction_lock);
    if (has_offsets) {
        clg_mutex_unlock(store->os, &store->group_lock);
    }
    return rc;
}

int32_t commitlog_transaction_prepare(struct commitlog_transaction *transaction, uint32_t level,
                                      int32_t timeout_ms, struct commitlog_error *err)
{
    int rc = clg_transaction_enter(transaction, level, "prepare a transaction", err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct commitlog_store *store = transaction->store;
    struct transaction_prepare prepare = {.transaction = transaction};
    struct clg_until until = clg_store_until(store, timeout_ms);
    rc = clg_store_attempt(store, transaction_prepare_now, &prepare, until, err);
    return rc == COMMITLOG_OK ? clg_append_finish(store, clg_append_level(store, level), 1, until,
                                                  0, &prepare.receipt, err)
                              : rc;
}
