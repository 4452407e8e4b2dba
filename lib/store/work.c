/* SPDX-License-Identifier: BSD-2-Clause */
/* work.c -- the writer's table of work, and changes of it. See work.h. */
#include "store/work.h"

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"

#define WORK_BODY_BYTES 1024u

static int work_take(void *ctx, const struct clg_work_table *table)
{
    struct commitlog_store *store = ctx;
    return clg_work_table_copy(&store->work, table);
}

int clg_work_init(struct commitlog_store *store, struct commitlog_error *err)
{
    clg_work_table_init(&store->work, store->os);
    /* A .state has less of what is below the first offsets than the log has that was folded. */
    clg_lookup_trim_work(store->core->fold);
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
                    const struct clg_append *before, int32_t room_ms,
                    struct commitlog_receipt *receipts, struct commitlog_error *err)
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
    if (rc != COMMITLOG_OK) {
        rc = clg_fail(err, rc, 0, CLG_NO_POSITION, "work of a group");
    } else {
        struct commitlog_slice slice = {body, bytes};
        struct clg_append items[2];
        uint32_t at = 0;
        if (before != NULL) {
            items[at++] = *before;
        }
        items[at] = (struct clg_append){.kind = CLG_KIND_WORK,
                                        .queue_number = CLG_QUEUE_NONE,
                                        .body = &slice,
                                        .body_count = 1,
                                        .body_bytes = bytes};
        items[0].frees = true;
        rc = clg_store_append(store, items, at + 1, clg_store_until(store, room_ms), receipts, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_work_table_apply(&store->work, &change);
        clg_log_nudge(store->core->log);
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

/* The group is there. */
static struct clg_group_change work_offsets(const struct commitlog_receiver *receiver,
                                            uint32_t count)
{
    const struct clg_group *group = clg_groups_find(&receiver->group, &receiver->store->groups);
    CLG_ASSERT(group != NULL && count > 0);
    return (struct clg_group_change){.name = group->name,
                                     .name_bytes = group->name_bytes,
                                     .operation = CLG_GROUP_OFFSETS,
                                     .epoch = group->epoch,
                                     .count = count};
}

int clg_work_commit(const struct commitlog_receiver *receiver,
                    const struct clg_group_entry *offsets, uint32_t count, int32_t room_ms,
                    struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    struct commitlog_store *store = receiver->store;
    const struct clg_group_change change = work_offsets(receiver, count);
    return clg_groups_append(store, &change, offsets, false, clg_store_until(store, room_ms),
                             receipt, err);
}

int clg_work_commit_with(const struct commitlog_receiver *receiver,
                         const struct clg_group_entry *offsets, uint32_t offset_count,
                         const struct clg_work_entry *entries, uint32_t count, int32_t room_ms,
                         struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    struct commitlog_store *store = receiver->store;
    const struct commitlog_group *group = &receiver->group;
    const uint8_t *name = (const uint8_t *)group->name;
    struct commitlog_receipt receipts[2] = {{0}};
    struct clg_group_item item;
    if (count == 0) {
        return clg_work_commit(receiver, offsets, offset_count, room_ms, receipt, err);
    }
    if (offset_count == 0) {
        return clg_work_append(store, name, group->name_bytes, entries, count, NULL, room_ms,
                               receipt, err);
    }
    const struct clg_group_change change = work_offsets(receiver, offset_count);
    int rc = clg_groups_make_item(store, &change, offsets, &item, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    rc = clg_work_append(store, name, group->name_bytes, entries, count, &item.item, room_ms,
                         receipts, err);
    if (rc == COMMITLOG_OK) {
        /* The log has it first: they are of other offsets, and the table is the same. */
        clg_groups_apply_item(store, &item, receipts[0].position);
        *receipt = receipts[1];
    }
    clg_groups_free_item(store, &item);
    return rc;
}

int clg_work_settle(const struct commitlog_receiver *receiver, uint32_t queue_number,
                    int32_t room_ms, struct commitlog_receipt *receipt, struct commitlog_error *err)
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
    return clg_work_commit(receiver, &entry, 1, room_ms, receipt, err);
}

/* ---- what is asked of it ---- */

struct work_ask {
    const struct commitlog_group *group;
    uint32_t queue_number;
    uint64_t offset;
    uint64_t first; /* of the queue: a table may still know what was below */
    struct commitlog_work_info info;
};

static int work_look(void *ctx, const struct clg_work_table *table)
{
    struct work_ask *ask = ctx;
    const struct clg_work_queue *queue = clg_work_table_find(
        table, ask->group->name, ask->group->name_bytes, ask->group->hash, ask->queue_number);
    const struct clg_work_run *run =
        queue == NULL ? NULL : clg_work_queue_from(queue, clg_max_u64(ask->offset, ask->first));
    if (run == NULL) {
        return COMMITLOG_ENOTFOUND;
    }
    const uint64_t gone = ask->first > run->offset ? ask->first - run->offset : 0;
    CLG_ASSERT(gone < run->count);
    ask->info = (struct commitlog_work_info){.struct_bytes = sizeof(ask->info),
                                             .state = run->state,
                                             .offset = run->offset + gone,
                                             .count = run->count - (uint32_t)gone,
                                             .attempts = run->attempts,
                                             .visible_at_ms = run->visible_at_ms};
    return COMMITLOG_OK;
}

static int work_first(const struct clg_core *core, uint32_t queue_number, uint64_t visible,
                      uint64_t *out_first, struct commitlog_error *err)
{
    struct clg_lookup_range range = {0};
    int rc = clg_lookup_range(core->fold, queue_number, visible, &range);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc == COMMITLOG_ENOTFOUND ? COMMITLOG_EINVAL : rc, 0, CLG_NO_POSITION,
                        "work of a group: where its queue begins");
    }
    *out_first = CLG_PLANTED(WORK_BELOW_FIRST) ? 0 : range.min;
    return COMMITLOG_OK;
}

/* At the core of now; *out_again: it is one whose files another writer has taken. */
static int work_ask_once(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                         struct work_ask *ask, struct clg_follow_reads *reads, bool *out_again,
                         struct commitlog_error *err)
{
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = 0;
    int rc = clg_store_fold_now(store, &core, &visible, err);
    *out_again = false;
    if (rc == COMMITLOG_OK &&
        clg_store_queue(core, topic, queue, &ask->queue_number) != COMMITLOG_OK) {
        rc = clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                      "no topic %u with a queue %u is open", topic, queue);
    }
    if (rc == COMMITLOG_OK) {
        rc = work_first(core, ask->queue_number, visible, &ask->first, err);
        *out_again = clg_follow_again(store, core->generation, reads, &rc);
    }
    if (rc == COMMITLOG_OK && store->read_only) {
        rc = clg_fold_work(core->fold, work_look, ask);
    } else if (rc == COMMITLOG_OK) {
        clg_mutex_lock(store->os, &store->group_lock);
        rc = work_look(ask, &store->work);
        clg_mutex_unlock(store->os, &store->group_lock);
    }
    clg_core_unref(core);
    return rc;
}

int32_t commitlog_group_work(struct commitlog_group *group, uint32_t topic, uint32_t queue,
                             uint64_t offset, struct commitlog_work_info *out,
                             struct commitlog_error *err)
{
    int rc = group == NULL || out == NULL ? COMMITLOG_EINVAL : clg_store_enter(group->store);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "work of a group");
    }
    struct work_ask ask = {.group = group, .offset = offset};
    struct clg_follow_reads reads = {0};
    bool again;
    do {
        rc = work_ask_once(group->store, topic, queue, &ask, &reads, &again, err);
    } while (again);
    if (rc == COMMITLOG_ENOTFOUND) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "group %s has no work there", group->name);
    }
    if (rc == COMMITLOG_OK) {
        clg_copy_out(out, &ask.info, sizeof(ask.info));
    } else if (rc == COMMITLOG_EBUSY) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "work of a group");
    }
    return rc;
}
