/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expiry_view.c -- tombstones into a table, and the table into .state. See expiry_view.h.
 */
#include "view/expiry_view.h"

#include "base/bytes.h"
#include "base/invariant.h"
#include "format/format.h"
#include "format/record.h"

/* One topic in .state: the body of a tombstone, and the newest one's position. */
#define STATE_AT_POSITION CLG_TOMBSTONE_BYTES
#define STATE_EXPIRY_BYTES 32u

CLG_FORMAT_ASSERT(STATE_EXPIRY_BYTES == STATE_AT_POSITION + 8u);

struct expiry_view {
    struct clg_view view;
    struct clg_expiry_table table;
    uint64_t contradictions;
};

static int expiry_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct expiry_view *expiry = (struct expiry_view *)view;
    CLG_ASSERT(view->ops == &clg_expiry_view_ops);
    CLG_ASSERT(record->header.kind == CLG_KIND_TOMBSTONE);
    struct clg_tombstone said;
    /* What lies behind it cannot have expired: one that says so is not of this log. */
    if (clg_tombstone_decode(record->body, record->body_bytes, &said) != 0 ||
        said.below > record->position) {
        expiry->contradictions++;
        return 0;
    }
    int rc = clg_expiry_table_prepare(&expiry->table);
    if (rc == 0) {
        clg_expiry_table_apply(&expiry->table, &said, record->position,
                               view->context.segments->durable);
    }
    return rc;
}

static int expiry_create(const struct clg_view_context *context, uint32_t slot,
                         struct clg_view **out)
{
    CLG_ASSERT(slot < CLG_VIEWS_MAX);
    struct expiry_view *expiry = context->os->alloc(context->os, sizeof(*expiry));
    if (expiry == NULL) {
        return COMMITLOG_ENOMEM;
    }
    expiry->view =
        (struct clg_view){.ops = &clg_expiry_view_ops, .context = *context, .slot = slot};
    clg_expiry_table_init(&expiry->table, context->os);
    *out = &expiry->view;
    return 0;
}

static void expiry_reset(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_expiry_view_ops);
    clg_expiry_table_deinit(&((struct expiry_view *)view)->table);
}

static void expiry_destroy(struct clg_view *view)
{
    const struct commitlog_os *os = view->context.os;
    expiry_reset(view);
    os->free(os, view);
}

static uint64_t expiry_save_bytes(const struct clg_view *view)
{
    return (uint64_t)clg_expiry_view_table(view)->count * STATE_EXPIRY_BYTES;
}

static void expiry_save(const struct clg_view *view, uint8_t *out, uint64_t bytes)
{
    const struct clg_expiry_table *table = clg_expiry_view_table(view);
    uint8_t *at = out;
    for (uint32_t i = 0; i < table->count; i++, at += STATE_EXPIRY_BYTES) {
        const struct clg_expiry *row = &table->rows[i];
        const struct clg_tombstone all = {row->first_queue, row->age_ms, row->below};
        clg_tombstone_encode(at, &all);
        clg_store_le64(at + STATE_AT_POSITION, row->position);
    }
    CLG_ASSERT(at == out + bytes);
    (void)bytes;
}

static int expiry_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes, uint64_t upto)
{
    struct clg_expiry_table *table = &((struct expiry_view *)view)->table;
    if (bytes % STATE_EXPIRY_BYTES != 0) {
        return COMMITLOG_EDAMAGED;
    }
    for (const uint8_t *at = data; at < data + bytes; at += STATE_EXPIRY_BYTES) {
        struct clg_tombstone said;
        uint64_t position = clg_load_le64(at + STATE_AT_POSITION);
        if (clg_tombstone_decode(at, CLG_TOMBSTONE_BYTES, &said) != 0 || said.below > position ||
            position >= upto || clg_expiry_find(table, said.first_queue) != NULL) {
            return COMMITLOG_EDAMAGED;
        }
        int rc = clg_expiry_table_prepare(table);
        if (rc != 0) {
            return rc;
        }
        clg_expiry_table_apply(table, &said, position, CLG_POSITION_MAX); /* all of it is durable */
    }
    return 0;
}

static uint64_t expiry_memory(const struct clg_view *view)
{
    return sizeof(struct expiry_view) +
           (uint64_t)clg_expiry_view_table(view)->room * sizeof(struct clg_expiry);
}

uint64_t clg_expiry_view_below(const struct clg_view *view, uint32_t queue, uint64_t visible)
{
    const struct clg_expiry_table *table = clg_expiry_view_table(view);
    if (CLG_LIKELY(table->count == 0)) {
        return 0;
    }
    const struct clg_topic *topic = clg_registry_owner(view->context.registry, queue, NULL);
    const struct clg_expiry *row =
        topic == NULL ? NULL : clg_expiry_find(table, topic->first_queue);
    return row == NULL ? 0 : clg_expiry_below(row, visible);
}

const struct clg_expiry_table *clg_expiry_view_table(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_expiry_view_ops);
    return &((const struct expiry_view *)view)->table;
}

uint64_t clg_expiry_view_contradictions(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_expiry_view_ops);
    return ((const struct expiry_view *)view)->contradictions;
}

const struct clg_view_ops clg_expiry_view_ops = {
    .name = "expiry",
    .state_id = 9,
    .kinds = CLG_VIEW_TAKES(CLG_KIND_TOMBSTONE),
    .sealed = false,
    .create = expiry_create,
    .destroy = expiry_destroy,
    .reset = expiry_reset,
    .apply = expiry_apply,
    .save_bytes = expiry_save_bytes,
    .save = expiry_save,
    .restore = expiry_restore,
    .memory = expiry_memory,
};
