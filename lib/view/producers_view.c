/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * producers_view.c -- marks and producer records into a table, and the table into .state. See
 * producers_view.h.
 *
 * In .state a producer is u64 position of the record that carried it forward, u64 bytes of what
 * follows, and the body of the control record that would carry it forward, in the order in which
 * they were heard.
 */
#include "view/producers_view.h"

#include "base/bytes.h"
#include "base/invariant.h"
#include "format/attributes.h"
#include "format/format.h"
#include "format/producer_record.h"
#include "format/record.h"
#include "format/topic_record.h"

#define STATE_PRODUCER_BYTES 16u
#define STATE_AT_POSITION 0u
#define STATE_AT_BYTES 8u

CLG_FORMAT_ASSERT(STATE_AT_POSITION == 0u && STATE_AT_BYTES == 8u);
CLG_FORMAT_ASSERT(STATE_PRODUCER_BYTES == STATE_AT_BYTES + 8u);

struct producers_view {
    struct clg_view view;
    struct clg_producer_table table;
    uint64_t batch_end; /* of the newest batch */
    uint64_t contradictions;
};

/* Are all appends that it remembers before there? */
static bool producers_is_of(const struct clg_producer_state *state, uint64_t position)
{
    for (uint32_t i = 0; i < state->count; i++) {
        if (state->receipts[i].end_position > position) {
            return false;
        }
    }
    return true;
}

static int producers_apply_state(struct producers_view *producers,
                                 const struct clg_record_view *record)
{
    struct clg_producer_state state;
    if (clg_producer_state_decode(record->body, record->body_bytes, &state) != 0 ||
        !producers_is_of(&state, record->position)) {
        producers->contradictions++;
        return 0;
    }
    int rc = state.operation == CLG_PRODUCER_STATE
                 ? clg_producer_table_prepare(&producers->table, state.id)
                 : 0;
    if (rc == 0) {
        clg_producer_apply_state(&producers->table, &state, record->position);
    }
    return rc;
}

static int producers_apply_mark(struct producers_view *producers,
                                const struct clg_record_view *record, const uint8_t *value)
{
    struct clg_producer_mark mark;
    if (clg_producer_mark_decode(value, CLG_PRODUCER_ATTRIBUTE_BYTES, &mark) != 0) {
        producers->contradictions++;
        return 0;
    }
    int rc = clg_producer_table_prepare(&producers->table, mark.id);
    if (rc == 0) {
        /* As the appender was told: members of a batch have its end. */
        const bool member = (record->header.flags & CLG_RECORD_MEMBER) != 0;
        const uint64_t end = record->position + clg_record_size(record->header.word);
        const struct clg_producer_receipt receipt = {
            .position = record->position,
            .end_position = member && end < producers->batch_end ? producers->batch_end : end,
            .queue_offset = record->header.queue_offset,
            .store_time = record->header.store_time,
            .epoch = record->header.epoch};
        clg_producer_apply_mark(&producers->table, &mark, &receipt);
    }
    return rc;
}

static int producers_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct producers_view *producers = (struct producers_view *)view;
    CLG_ASSERT(view->ops == &clg_producers_view_ops);
    uint8_t kind = record->header.kind;
    if (CLG_LIKELY(kind == CLG_KIND_MESSAGE) || kind == CLG_KIND_TIMER) {
        const uint8_t *mark = clg_producer_find_mark(&record->header, record->attributes);
        return mark != NULL ? producers_apply_mark(producers, record, mark) : 0;
    }
    if (kind == CLG_KIND_BATCH) {
        struct clg_batch batch;
        bool good = clg_batch_decode(record->body, record->body_bytes, &batch) == 0;
        producers->batch_end = good ? record->next_position + batch.member_bytes : 0;
        return 0; /* one that is not whole is not folded */
    }
    CLG_ASSERT(kind == CLG_KIND_PRODUCER);
    return producers_apply_state(producers, record);
}

static int producers_create(const struct clg_view_context *context, uint32_t slot,
                            struct clg_view **out)
{
    CLG_ASSERT(slot < CLG_VIEWS_MAX);
    struct producers_view *producers = context->os->alloc(context->os, sizeof(*producers));
    if (producers == NULL) {
        return COMMITLOG_ENOMEM;
    }
    producers->view =
        (struct clg_view){.ops = &clg_producers_view_ops, .context = *context, .slot = slot};
    clg_producer_table_init(&producers->table, context->os);
    *out = &producers->view;
    return 0;
}

static void producers_reset(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_producers_view_ops);
    struct producers_view *producers = (struct producers_view *)view;
    clg_producer_table_deinit(&producers->table);
    producers->batch_end = 0;
}

static void producers_destroy(struct clg_view *view)
{
    const struct commitlog_os *os = view->context.os;
    producers_reset(view);
    os->free(os, view);
}

static uint64_t producers_save_bytes(const struct clg_view *view)
{
    const struct clg_producer_table *table = &((const struct producers_view *)view)->table;
    return table->count * (STATE_PRODUCER_BYTES + (uint64_t)CLG_PRODUCER_FIXED_BYTES) +
           table->receipts * CLG_PRODUCER_ENTRY_BYTES;
}

static void producers_save(const struct clg_view *view, uint8_t *out, uint64_t bytes)
{
    const struct producers_view *producers = (const struct producers_view *)view;
    uint8_t *at = out;
    for (const struct clg_producer *one = clg_producer_oldest(&producers->table); one != NULL;
         one = clg_producer_next(&producers->table, one)) {
        size_t state_bytes = clg_producer_state_bytes(one->state.count);
        clg_store_le64(at + STATE_AT_POSITION, one->carried_position);
        clg_store_le64(at + STATE_AT_BYTES, state_bytes);
        clg_producer_state_encode(at + STATE_PRODUCER_BYTES, state_bytes, &one->state);
        at += STATE_PRODUCER_BYTES + state_bytes;
    }
    CLG_ASSERT(at == out + bytes);
    (void)bytes;
}

static int producers_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes,
                             uint64_t upto)
{
    struct producers_view *producers = (struct producers_view *)view;
    for (uint64_t at = 0; at < bytes;) {
        if (bytes - at < STATE_PRODUCER_BYTES) {
            return COMMITLOG_EDAMAGED;
        }
        uint64_t left = bytes - at - STATE_PRODUCER_BYTES;
        uint64_t position = clg_load_le64(data + at + STATE_AT_POSITION);
        uint64_t state_bytes = clg_load_le64(data + at + STATE_AT_BYTES);
        struct clg_producer_state state;
        if (state_bytes > left ||
            clg_producer_state_decode(data + at + STATE_PRODUCER_BYTES, (size_t)state_bytes,
                                      &state) != 0 ||
            state.operation != CLG_PRODUCER_STATE || position >= upto ||
            !producers_is_of(&state, upto) ||
            clg_producer_find(&producers->table, state.id) != NULL) {
            return COMMITLOG_EDAMAGED;
        }
        int rc = clg_producer_table_prepare(&producers->table, state.id);
        if (rc != 0) {
            return rc;
        }
        clg_producer_apply_state(&producers->table, &state, position);
        at += STATE_PRODUCER_BYTES + state_bytes;
    }
    return 0;
}

static uint64_t producers_memory(const struct clg_view *view)
{
    const struct producers_view *producers = (const struct producers_view *)view;
    return sizeof(*producers) + clg_producer_table_memory(&producers->table);
}

const struct clg_producer_table *clg_producers_view_table(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_producers_view_ops);
    return &((const struct producers_view *)view)->table;
}

uint64_t clg_producers_view_contradictions(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_producers_view_ops);
    return ((const struct producers_view *)view)->contradictions;
}

const struct clg_view_ops clg_producers_view_ops = {
    .name = "producers",
    .state_id = 5,
    .kinds = CLG_VIEW_TAKES(CLG_KIND_MESSAGE) | CLG_VIEW_TAKES(CLG_KIND_TIMER) |
             CLG_VIEW_TAKES(CLG_KIND_PRODUCER) | CLG_VIEW_TAKES(CLG_KIND_BATCH),
    .attribute_kinds = CLG_VIEW_TAKES(CLG_KIND_MESSAGE),
    .sealed = false,
    .create = producers_create,
    .destroy = producers_destroy,
    .reset = producers_reset,
    .apply = producers_apply,
    .save_bytes = producers_save_bytes,
    .save = producers_save,
    .restore = producers_restore,
    .memory = producers_memory,
};
