/* SPDX-License-Identifier: BSD-2-Clause */
/* work.c -- the writer's table of work, changes of it, and what retention asks. See work.h. */
#include "store/work.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"

#define WORK_BODY_BYTES 1024u
#define WORK_CARRY_ENTRIES 64u
#define WORK_CARRY_ROOM_MS 1000
/* A change waits so long for room in the stage: the lock is held meanwhile. */
#define WORK_ROOM_MS 5000

static int work_take(void *ctx, const struct clg_work_table *table)
{
    struct commitlog_store *store = ctx;
    return clg_work_table_copy(&store->work, table);
}

int clg_work_init(struct commitlog_store *store, struct commitlog_error *err)
{
    clg_work_table_init(&store->work, store->os);
    int rc = clg_fold_work(store->core->fold, work_take, store);
    return rc == COMMITLOG_OK ? rc : clg_fail(err, rc, 0, CLG_NO_POSITION, "work: out of memory");
}

void clg_work_deinit(struct commitlog_store *store)
{
    if (store->work.os != NULL) {
        clg_work_table_deinit(&store->work);
    }
}

int clg_work_append(struct commitlog_store *store, const uint8_t *name, uint32_t name_bytes,
                    const struct clg_work_entry *entries, uint32_t count,
                    const struct clg_append *before, bool carry, int64_t deadline_mono_ns,
                    struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    const struct commitlog_os *os = store->os;
    uint8_t small[WORK_BODY_BYTES];
    struct clg_work_change change = {.name = name, .name_bytes = name_bytes, .count = count};
    size_t bytes = (size_t)clg_work_change_bytes(name_bytes, count);
    uint8_t *body = bytes <= sizeof(small) ? small : os->alloc(os, bytes);
    CLG_ASSERT(clg_mutex_is_held(&store->group_lock));
    if (body == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "work of a group");
    }
    int rc = clg_work_change_encode(body, bytes, &change, entries);
    if (rc == COMMITLOG_OK) {
        rc = clg_work_change_decode(body, bytes, &change); /* its pointers now lead into the body */
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_work_table_prepare(&store->work, &change);
    }
    struct commitlog_receipt receipts[2] = {{0}};
    uint32_t at = 0;
    if (rc != COMMITLOG_OK) {
        rc = clg_fail(err, rc, 0, CLG_NO_POSITION, "work of a group");
    } else {
        struct commitlog_slice slice = {body, bytes};
        struct clg_append items[2];
        if (before != NULL) {
            items[at++] = *before;
        }
        items[at] = (struct clg_append){.kind = CLG_KIND_WORK,
                                        .queue_number = CLG_QUEUE_NONE,
                                        .takes_reserve = carry,
                                        .body = &slice,
                                        .body_count = 1,
                                        .body_bytes = bytes};
        rc = clg_store_append(store, items, at + 1, deadline_mono_ns, receipts, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_work_table_apply(&store->work, &change, receipts[at].position);
        *receipt = receipts[at];
    }
    if (body != small) {
        os->free(os, body);
    }
    return rc;
}

struct clg_work_queue *clg_work_find(const struct commitlog_receiver *receiver,
                                     uint32_t queue_number)
{
    const struct commitlog_group *group = &receiver->group;
    return clg_work_table_find(&receiver->store->work, group->name, group->name_bytes, group->hash,
                               queue_number);
}

int clg_work_settle(const struct commitlog_receiver *receiver, uint32_t queue_number,
                    struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    struct commitlog_store *store = receiver->store;
    const struct clg_work_queue *queue = clg_work_find(receiver, queue_number);
    const struct clg_group *group = clg_groups_find(&receiver->group, &store->groups);
    if (group == NULL) {
        return clg_groups_not_found(&receiver->group, err);
    }
    const struct clg_group_offset *known = clg_group_find_offset(group, queue_number);
    if (queue == NULL || queue->run_count == 0 || known == NULL ||
        queue->runs[0].state != CLG_WORK_DONE || queue->runs[0].offset > known->offset) {
        return COMMITLOG_OK;
    }
    const struct clg_group_entry entry = {.queue_number = queue_number,
                                          .offset = queue->runs[0].offset + queue->runs[0].count};
    struct clg_group_change change = {.name = group->name,
                                      .name_bytes = group->name_bytes,
                                      .operation = CLG_GROUP_OFFSETS,
                                      .epoch = group->epoch,
                                      .count = 1};
    return clg_groups_append(store, &change, &entry, false, clg_store_deadline(store, WORK_ROOM_MS),
                             receipt, err);
}

/* ---- retention ---- */

uint64_t clg_work_carry_cost(struct commitlog_store *store, uint64_t end)
{
    uint64_t bytes = 0;
    clg_mutex_lock(store->os, &store->group_lock);
    for (uint32_t i = 0; i < store->work.count; i++) {
        const struct clg_work_queue *queue = store->work.queues[i];
        uint32_t runs = 0;
        for (uint32_t r = 0; r < queue->run_count; r++) {
            runs += queue->runs[r].position < end ? 1 : 0;
        }
        bytes += (runs + WORK_CARRY_ENTRIES - 1) / WORK_CARRY_ENTRIES *
                     (CLG_RECORD_MIN + clg_work_change_bytes(queue->name_bytes, 0)) +
                 (uint64_t)runs * CLG_WORK_ENTRY_BYTES;
    }
    clg_mutex_unlock(store->os, &store->group_lock);
    return bytes;
}

/* The next runs below `end` from *offset on; what is written again changes the runs behind it. */
static uint32_t work_carry_take(const struct clg_work_queue *queue, uint64_t end, uint64_t *offset,
                                struct clg_work_entry *entries)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < queue->run_count && count < WORK_CARRY_ENTRIES; i++) {
        const struct clg_work_run *run = &queue->runs[i];
        if (run->offset < *offset || run->position >= end) {
            continue;
        }
        entries[count++] = (struct clg_work_entry){.offset = run->offset,
                                                   .visible_at_ms = run->visible_at_ms,
                                                   .queue_number = queue->queue_number,
                                                   .count = run->count,
                                                   .attempts = run->attempts,
                                                   .state = run->state};
        *offset = run->offset + run->count;
    }
    return count;
}

static int work_carry_queue(struct commitlog_store *store, const struct clg_work_queue *queue,
                            uint64_t end, uint64_t *bytes, struct commitlog_error *err)
{
    struct clg_work_entry entries[WORK_CARRY_ENTRIES];
    uint64_t offset = 0;
    int rc = COMMITLOG_OK;
    uint32_t count = work_carry_take(queue, end, &offset, entries);
    while (rc == COMMITLOG_OK && count > 0) {
        struct commitlog_receipt receipt = {0};
        rc = clg_work_append(store, queue->name, queue->name_bytes, entries, count, NULL, true,
                             clg_store_deadline(store, WORK_CARRY_ROOM_MS), &receipt, err);
        *bytes += rc == COMMITLOG_OK ? receipt.end_position - receipt.position : 0;
        count = rc == COMMITLOG_OK ? work_carry_take(queue, end, &offset, entries) : 0;
    }
    return rc;
}

int clg_work_carry(struct commitlog_store *store, uint64_t end, uint64_t *out_bytes,
                   struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    clg_mutex_lock(store->os, &store->group_lock);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < store->work.count; i++) {
        rc = work_carry_queue(store, store->work.queues[i], end, out_bytes, err);
    }
    clg_mutex_unlock(store->os, &store->group_lock);
    if (rc == COMMITLOG_ETIMEDOUT) {
        return clg_fail(err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
                        "an open reservation holds the log: work cannot be carried forward");
    }
    return rc;
}
