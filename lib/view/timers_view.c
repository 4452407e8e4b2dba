/* SPDX-License-Identifier: BSD-2-Clause */
/* timers_view.c -- timers into a table, and the table into .state. See timers_view.h. */
#include "view/timers_view.h"

#include "base/bytes.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/attributes.h"
#include "format/format.h"
#include "format/record.h"
#include "format/reference_record.h"
#include "format/timer_record.h"

/* One timer in .state, in no particular order. */
#define STATE_TIMER_BYTES 32u
#define STATE_AT_ID 0u
#define STATE_AT_POSITION 8u
#define STATE_AT_DUE 16u
#define STATE_AT_QUEUE 24u
#define STATE_AT_SIZE 28u

CLG_FORMAT_ASSERT(STATE_AT_ID == 0u && STATE_AT_POSITION == 8u && STATE_AT_DUE == 16u);
CLG_FORMAT_ASSERT(STATE_AT_QUEUE == 24u && STATE_TIMER_BYTES == STATE_AT_SIZE + 4u);

struct timers_view {
    struct clg_view view;
    struct clg_timer_table table;
    uint64_t contradictions;
};

/* The first attribute, if it says when to deliver. */
static bool timers_mark(const struct clg_record_view *record, struct clg_deliver_at *out)
{
    return record->header.attribute_bytes >= CLG_ATTRIBUTE_HEADER_BYTES + CLG_DELIVER_AT_BYTES &&
           (record->attributes[0] & ~CLG_ATTRIBUTE_CRITICAL) == CLG_ATTRIBUTE_DELIVER_AT &&
           clg_load_le16(record->attributes + 1) == CLG_DELIVER_AT_BYTES &&
           clg_deliver_at_decode(record->attributes + CLG_ATTRIBUTE_HEADER_BYTES,
                                 CLG_DELIVER_AT_BYTES, out) == COMMITLOG_OK;
}

static int timers_add(struct timers_view *timers, const struct clg_record_view *record,
                      const struct clg_deliver_at *at)
{
    int rc = clg_timer_table_prepare(&timers->table, 1);
    if (rc == 0) {
        const struct clg_timer timer = {.id = at->id != 0 ? at->id : record->position,
                                        .position = record->position,
                                        .due_ms = at->due_ms,
                                        .queue_number = at->queue_number,
                                        .size = clg_record_size(record->header.word)};
        clg_timer_add(&timers->table, &timer);
    }
    return rc;
}

static int timers_apply_timer(struct timers_view *timers, const struct clg_record_view *record)
{
    struct clg_deliver_at at;
    uint64_t id = 0;
    if (timers_mark(record, &at)) {
        return timers_add(timers, record, &at);
    }
    if (clg_timer_cancel_decode(record->body, record->body_bytes, &id) != COMMITLOG_OK) {
        timers->contradictions++;
        return 0;
    }
    clg_timer_remove(&timers->table, id);
    return 0;
}

static int timers_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct timers_view *timers = (struct timers_view *)view;
    CLG_ASSERT(view->ops == &clg_timers_view_ops);
    struct clg_deliver_at at;
    struct clg_reference reference;
    if (CLG_LIKELY(record->header.kind == CLG_KIND_MESSAGE)) {
        if (timers_mark(record, &at) && at.id != 0) { /* a copy of one that has been delivered */
            clg_timer_remove(&timers->table, at.id);
        }
        return 0;
    }
    if (record->header.kind == CLG_KIND_TIMER) {
        return timers_apply_timer(timers, record);
    }
    if (record->header.kind == CLG_KIND_REFERENCE) {
        if (clg_reference_decode(record->body, record->body_bytes, &reference) != COMMITLOG_OK) {
            timers->contradictions++;
        } else if (reference.reason == CLG_REFERENCE_TIMER && !CLG_PLANTED(TIMER_TWICE)) {
            clg_timer_remove(&timers->table, reference.origin);
        }
    }
    return 0;
}

static int timers_create(const struct clg_view_context *context, uint32_t slot,
                         struct clg_view **out)
{
    CLG_ASSERT(slot < CLG_VIEWS_MAX);
    struct timers_view *timers = context->os->alloc(context->os, sizeof(*timers));
    if (timers == NULL) {
        return COMMITLOG_ENOMEM;
    }
    timers->view =
        (struct clg_view){.ops = &clg_timers_view_ops, .context = *context, .slot = slot};
    clg_timer_table_init(&timers->table, context->os);
    *out = &timers->view;
    return 0;
}

static void timers_reset(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_timers_view_ops);
    clg_timer_table_deinit(&((struct timers_view *)view)->table);
}

static void timers_destroy(struct clg_view *view)
{
    const struct commitlog_os *os = view->context.os;
    timers_reset(view);
    os->free(os, view);
}

static uint64_t timers_save_bytes(const struct clg_view *view)
{
    return (uint64_t)((const struct timers_view *)view)->table.count * STATE_TIMER_BYTES;
}

static void timers_save(const struct clg_view *view, uint8_t *out, uint64_t bytes)
{
    const struct timers_view *timers = (const struct timers_view *)view;
    uint8_t *at = out;
    struct clg_timer timer;
    for (uint32_t cursor = 0; clg_timer_next(&timers->table, &cursor, &timer);) {
        clg_store_le64(at + STATE_AT_ID, timer.id);
        clg_store_le64(at + STATE_AT_POSITION, timer.position);
        clg_store_le64(at + STATE_AT_DUE, (uint64_t)timer.due_ms);
        clg_store_le32(at + STATE_AT_QUEUE, timer.queue_number);
        clg_store_le32(at + STATE_AT_SIZE, timer.size);
        at += STATE_TIMER_BYTES;
    }
    CLG_ASSERT(at == out + bytes);
    (void)bytes;
}

static int timers_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes, uint64_t upto)
{
    struct timers_view *timers = (struct timers_view *)view;
    if (bytes % STATE_TIMER_BYTES != 0) {
        return COMMITLOG_EDAMAGED;
    }
    for (const uint8_t *at = data; at < data + bytes; at += STATE_TIMER_BYTES) {
        uint64_t due = clg_load_le64(at + STATE_AT_DUE);
        const struct clg_timer timer = {.id = clg_load_le64(at + STATE_AT_ID),
                                        .position = clg_load_le64(at + STATE_AT_POSITION),
                                        .due_ms = (int64_t)due,
                                        .queue_number = clg_load_le32(at + STATE_AT_QUEUE),
                                        .size = clg_load_le32(at + STATE_AT_SIZE)};
        if (timer.id == 0 || timer.position < timer.id || timer.position >= upto ||
            !clg_is_aligned(timer.id | timer.position, CLG_RECORD_ALIGN) ||
            due > (uint64_t)CLG_DELIVER_AT_MAX_MS || timer.queue_number == CLG_QUEUE_NONE ||
            timer.size == 0 || timer.size % 8 != 0 || timer.size > CLG_TIMER_SIZE_MAX ||
            clg_timer_find(&timers->table, timer.id, NULL)) {
            return COMMITLOG_EDAMAGED;
        }
        int rc = clg_timer_table_prepare(&timers->table, 1);
        if (rc != 0) {
            return rc;
        }
        clg_timer_add(&timers->table, &timer);
    }
    return 0;
}

static uint64_t timers_memory(const struct clg_view *view)
{
    const struct timers_view *timers = (const struct timers_view *)view;
    return sizeof(*timers) + clg_timer_table_memory(&timers->table);
}

const struct clg_timer_table *clg_timers_view_table(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_timers_view_ops);
    return &((const struct timers_view *)view)->table;
}

uint64_t clg_timers_view_contradictions(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_timers_view_ops);
    return ((const struct timers_view *)view)->contradictions;
}

const struct clg_view_ops clg_timers_view_ops = {
    .name = "timers",
    .state_id = 6,
    .kinds = CLG_VIEW_TAKES(CLG_KIND_MESSAGE) | CLG_VIEW_TAKES(CLG_KIND_TIMER) |
             CLG_VIEW_TAKES(CLG_KIND_REFERENCE),
    .attribute_kinds = CLG_VIEW_TAKES(CLG_KIND_MESSAGE),
    .sealed = false,
    .create = timers_create,
    .destroy = timers_destroy,
    .reset = timers_reset,
    .apply = timers_apply,
    .save_bytes = timers_save_bytes,
    .save = timers_save,
    .restore = timers_restore,
    .memory = timers_memory,
};
