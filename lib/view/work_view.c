/* SPDX-License-Identifier: BSD-2-Clause */
/* work_view.c -- work and group records into a table, and the table into .state. See work_view.h.
 */
#include "view/work_view.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/format.h"
#include "format/group_record.h"
#include "format/record.h"
#include "format/topic_record.h"

/* One queue of a group in .state: fixed part, name, zeros to a multiple of 8, runs. */
#define STATE_QUEUE_BYTES 16u
#define STATE_AT_QUEUE 0u
#define STATE_AT_NAME_BYTES 4u
#define STATE_AT_COUNT 8u
#define STATE_AT_ZERO 12u
#define STATE_RUN_BYTES 32u
#define RUN_AT_OFFSET 0u
#define RUN_AT_VISIBLE 8u
#define RUN_AT_COUNT 16u
#define RUN_AT_ATTEMPTS 20u
#define RUN_AT_STATE 24u
#define RUN_AT_ZERO 28u

CLG_FORMAT_ASSERT(STATE_AT_QUEUE == 0u && STATE_AT_NAME_BYTES == 4u && STATE_AT_COUNT == 8u);
CLG_FORMAT_ASSERT(STATE_QUEUE_BYTES == STATE_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(RUN_AT_OFFSET == 0u && RUN_AT_VISIBLE == 8u && RUN_AT_COUNT == 16u);
CLG_FORMAT_ASSERT(RUN_AT_ATTEMPTS == 20u && RUN_AT_STATE == 24u);
CLG_FORMAT_ASSERT(STATE_RUN_BYTES == RUN_AT_ZERO + 4u);

struct work_view {
    struct clg_view view;
    struct clg_work_table table;
    uint64_t contradictions;
};

static int work_apply_entries(struct work_view *work, const struct clg_record_view *record)
{
    struct clg_work_change change;
    if (clg_work_change_decode(record->body, record->body_bytes, &change) != 0) {
        work->contradictions++;
        return 0;
    }
    int rc = clg_work_table_prepare(&work->table, &change);
    if (rc == 0) {
        clg_work_table_apply(&work->table, &change);
    }
    return rc;
}

static int work_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct work_view *work = (struct work_view *)view;
    CLG_ASSERT(view->ops == &clg_work_view_ops);
    struct clg_group_change change;
    if (record->header.kind == CLG_KIND_WORK) {
        return work_apply_entries(work, record);
    }
    if (!CLG_PLANTED(WORK_UNTRIMMED) &&
        clg_group_change_decode(record->body, record->body_bytes, &change) == 0) {
        clg_work_table_apply_group(&work->table, &change);
    }
    return 0;
}

static int work_create(const struct clg_view_context *context, uint32_t slot, struct clg_view **out)
{
    CLG_ASSERT(slot < CLG_VIEWS_MAX);
    struct work_view *work = context->os->alloc(context->os, sizeof(*work));
    if (work == NULL) {
        return COMMITLOG_ENOMEM;
    }
    work->view = (struct clg_view){.ops = &clg_work_view_ops, .context = *context, .slot = slot};
    clg_work_table_init(&work->table, context->os);
    *out = &work->view;
    return 0;
}

static void work_reset(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_work_view_ops);
    clg_work_table_deinit(&((struct work_view *)view)->table);
}

static void work_destroy(struct clg_view *view)
{
    const struct commitlog_os *os = view->context.os;
    work_reset(view);
    os->free(os, view);
}

static uint64_t work_head_bytes(uint32_t name_bytes)
{
    return clg_align_up(STATE_QUEUE_BYTES + (uint64_t)name_bytes, 8);
}

static uint64_t work_save_bytes(const struct clg_view *view)
{
    const struct clg_work_table *table = &((const struct work_view *)view)->table;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_work_queue *queue = table->queues[i];
        if (queue->run_count > 0) {
            bytes +=
                work_head_bytes(queue->name_bytes) + (uint64_t)queue->run_count * STATE_RUN_BYTES;
        }
    }
    return bytes;
}

static uint8_t *work_save_queue(const struct clg_work_queue *queue, uint8_t *at)
{
    uint64_t head = work_head_bytes(queue->name_bytes);
    memset(at, 0, (size_t)head);
    clg_store_le32(at + STATE_AT_QUEUE, queue->queue_number);
    clg_store_le32(at + STATE_AT_NAME_BYTES, queue->name_bytes);
    clg_store_le32(at + STATE_AT_COUNT, queue->run_count);
    memcpy(at + STATE_QUEUE_BYTES, queue->name, queue->name_bytes);
    at += head;
    for (uint32_t i = 0; i < queue->run_count; i++, at += STATE_RUN_BYTES) {
        const struct clg_work_run *run = &queue->runs[i];
        clg_store_le64(at + RUN_AT_OFFSET, run->offset);
        clg_store_le64(at + RUN_AT_VISIBLE, (uint64_t)run->visible_at_ms);
        clg_store_le32(at + RUN_AT_COUNT, run->count);
        clg_store_le32(at + RUN_AT_ATTEMPTS, run->attempts);
        clg_store_le32(at + RUN_AT_STATE, run->state);
        clg_store_le32(at + RUN_AT_ZERO, 0);
    }
    return at;
}

static void work_save(const struct clg_view *view, uint8_t *out, uint64_t bytes)
{
    const struct clg_work_table *table = &((const struct work_view *)view)->table;
    uint8_t *at = out;
    for (uint32_t i = 0; i < table->count; i++) {
        if (table->queues[i]->run_count > 0) {
            at = work_save_queue(table->queues[i], at);
        }
    }
    CLG_ASSERT(at == out + bytes);
    (void)bytes;
}

/* By way of changes, so that what a record cannot say is not taken from here either. */
static int work_load_run(struct work_view *work, const uint8_t *name, uint32_t name_bytes,
                         uint32_t queue_number, const uint8_t *at)
{
    uint8_t body[CLG_WORK_FIXED_BYTES + CLG_GROUP_NAME_MAX + 8 + CLG_WORK_ENTRY_BYTES];
    const struct clg_work_entry entry = {.offset = clg_load_le64(at + RUN_AT_OFFSET),
                                         .visible_at_ms =
                                             (int64_t)clg_load_le64(at + RUN_AT_VISIBLE),
                                         .queue_number = queue_number,
                                         .count = clg_load_le32(at + RUN_AT_COUNT),
                                         .attempts = clg_load_le32(at + RUN_AT_ATTEMPTS),
                                         .state = clg_load_le32(at + RUN_AT_STATE)};
    struct clg_work_change change = {.name = name, .name_bytes = name_bytes, .count = 1};
    size_t bytes = (size_t)clg_work_change_bytes(name_bytes, 1);
    if (!clg_is_zero(at + RUN_AT_ZERO, 4) ||
        clg_work_change_encode(body, bytes, &change, &entry) != 0 ||
        clg_work_change_decode(body, bytes, &change) != 0) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = clg_work_table_prepare(&work->table, &change);
    if (rc == 0) {
        clg_work_table_apply(&work->table, &change);
    }
    return rc;
}

static int work_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes, uint64_t upto)
{
    (void)upto;
    struct work_view *work = (struct work_view *)view;
    const uint8_t *at = data;
    const uint8_t *end = data + bytes;
    while (at < end) {
        if ((uint64_t)(end - at) < STATE_QUEUE_BYTES) {
            return COMMITLOG_EDAMAGED;
        }
        uint32_t queue_number = clg_load_le32(at + STATE_AT_QUEUE);
        uint32_t name_bytes = clg_load_le32(at + STATE_AT_NAME_BYTES);
        uint32_t count = clg_load_le32(at + STATE_AT_COUNT);
        uint64_t head = work_head_bytes(name_bytes);
        const uint8_t *name = at + STATE_QUEUE_BYTES;
        if (name_bytes > CLG_GROUP_NAME_MAX || !clg_is_zero(at + STATE_AT_ZERO, 4) ||
            head > (uint64_t)(end - at) || count == 0 ||
            (uint64_t)count * STATE_RUN_BYTES > (uint64_t)(end - at) - head) {
            return COMMITLOG_EDAMAGED;
        }
        at += head;
        uint64_t before = 0;
        for (uint32_t i = 0; i < count; i++, at += STATE_RUN_BYTES) {
            uint64_t offset = clg_load_le64(at + RUN_AT_OFFSET);
            int rc = i > 0 && offset < before
                         ? COMMITLOG_EDAMAGED
                         : work_load_run(work, name, name_bytes, queue_number, at);
            if (rc != 0) {
                return rc;
            }
            before = offset + clg_load_le32(at + RUN_AT_COUNT);
        }
    }
    return 0;
}

static uint64_t work_memory(const struct clg_view *view)
{
    const struct work_view *work = (const struct work_view *)view;
    return sizeof(*work) + clg_work_table_memory(&work->table);
}

const struct clg_work_table *clg_work_view_table(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_work_view_ops);
    return &((const struct work_view *)view)->table;
}

struct clg_work_queue *clg_work_view_at(struct clg_view *view, uint32_t index)
{
    struct work_view *work = (struct work_view *)view;
    CLG_ASSERT(view->ops == &clg_work_view_ops);
    return index < work->table.count ? work->table.queues[index] : NULL;
}

uint64_t clg_work_view_contradictions(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_work_view_ops);
    return ((const struct work_view *)view)->contradictions;
}

const struct clg_view_ops clg_work_view_ops = {
    .name = "work",
    .state_id = 7,
    .kinds = CLG_VIEW_TAKES(CLG_KIND_WORK) | CLG_VIEW_TAKES(CLG_KIND_GROUP),
    .sealed = false,
    .create = work_create,
    .destroy = work_destroy,
    .reset = work_reset,
    .apply = work_apply,
    .save_bytes = work_save_bytes,
    .save = work_save,
    .restore = work_restore,
    .memory = work_memory,
};
