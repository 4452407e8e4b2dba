/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups_view.c -- group records into a table, and the table into .state. See groups_view.h.
 */
#include "view/groups_view.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "format/format.h"
#include "format/record.h"
#include "format/topic_record.h"

/* One group in .state: fixed part, name, zeros to a multiple of 8, offsets. */
#define STATE_GROUP_BYTES 40u
#define STATE_AT_EPOCH 0u
#define STATE_AT_FLAGS 4u
#define STATE_AT_NAME_BYTES 8u
#define STATE_AT_COUNT 12u
#define STATE_AT_POSITION 16u
#define STATE_AT_LAST 24u
#define STATE_AT_ROOM 32u
#define STATE_OFFSET_BYTES 24u
#define OFFSET_AT_QUEUE 0u
#define OFFSET_AT_ZERO 4u
#define OFFSET_AT_OFFSET 8u
#define OFFSET_AT_POSITION 16u

CLG_FORMAT_ASSERT(STATE_AT_EPOCH == 0u && STATE_AT_FLAGS == 4u && STATE_AT_NAME_BYTES == 8u);
CLG_FORMAT_ASSERT(STATE_AT_COUNT == 12u && STATE_AT_POSITION == 16u && STATE_AT_LAST == 24u);
CLG_FORMAT_ASSERT(STATE_GROUP_BYTES == STATE_AT_ROOM + 8u);
CLG_FORMAT_ASSERT(OFFSET_AT_QUEUE == 0u && OFFSET_AT_ZERO == 4u && OFFSET_AT_OFFSET == 8u);
CLG_FORMAT_ASSERT(STATE_OFFSET_BYTES == OFFSET_AT_POSITION + 8u);

struct groups_view {
    struct clg_view view;
    struct clg_group_table table;
    uint64_t contradictions;
};

static int groups_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct groups_view *groups = (struct groups_view *)view;
    CLG_ASSERT(view->ops == &clg_groups_view_ops);
    CLG_ASSERT(record->header.kind == CLG_KIND_GROUP);
    struct clg_group_change change;
    if (clg_group_change_decode(record->body, record->body_bytes, &change) != 0) {
        groups->contradictions++;
        return 0;
    }
    int rc = clg_group_table_prepare(&groups->table, &change);
    if (rc == 0) {
        clg_group_table_apply(&groups->table, &change, record->position);
    }
    return rc;
}

static int groups_create(const struct clg_view_context *context, uint32_t slot,
                         struct clg_view **out)
{
    CLG_ASSERT(slot < CLG_VIEWS_MAX);
    struct groups_view *groups = context->os->alloc(context->os, sizeof(*groups));
    if (groups == NULL) {
        return COMMITLOG_ENOMEM;
    }
    groups->view =
        (struct clg_view){.ops = &clg_groups_view_ops, .context = *context, .slot = slot};
    clg_group_table_init(&groups->table, context->os);
    *out = &groups->view;
    return 0;
}

static void groups_reset(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_groups_view_ops);
    clg_group_table_deinit(&((struct groups_view *)view)->table);
}

static void groups_destroy(struct clg_view *view)
{
    const struct commitlog_os *os = view->context.os;
    groups_reset(view);
    os->free(os, view);
}

static uint64_t groups_name_room(uint32_t name_bytes)
{
    return clg_align_up(STATE_GROUP_BYTES + name_bytes, 8);
}

static uint64_t groups_save_bytes(const struct clg_view *view)
{
    const struct groups_view *groups = (const struct groups_view *)view;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < groups->table.count; i++) {
        const struct clg_group *group = groups->table.groups[i];
        bytes += groups_name_room(group->name_bytes) +
                 (uint64_t)group->offset_count * STATE_OFFSET_BYTES;
    }
    CLG_ASSERT(bytes % 8 == 0);
    return bytes;
}

static uint8_t *groups_save_one(const struct clg_group *group, uint8_t *at)
{
    uint64_t head = groups_name_room(group->name_bytes);
    memset(at, 0, (size_t)head);
    clg_store_le32(at + STATE_AT_EPOCH, group->epoch);
    clg_store_le32(at + STATE_AT_FLAGS, group->flags);
    clg_store_le32(at + STATE_AT_NAME_BYTES, group->name_bytes);
    clg_store_le32(at + STATE_AT_COUNT, group->offset_count);
    clg_store_le64(at + STATE_AT_POSITION, group->position);
    clg_store_le64(at + STATE_AT_LAST, group->last_position);
    memcpy(at + STATE_GROUP_BYTES, group->name, group->name_bytes);
    at += head;
    for (uint32_t i = 0; i < group->offset_count; i++, at += STATE_OFFSET_BYTES) {
        clg_store_le32(at + OFFSET_AT_QUEUE, group->offsets[i].queue_number);
        clg_store_le32(at + OFFSET_AT_ZERO, 0);
        clg_store_le64(at + OFFSET_AT_OFFSET, group->offsets[i].offset);
        clg_store_le64(at + OFFSET_AT_POSITION, group->offsets[i].position);
    }
    return at;
}

static void groups_save(const struct clg_view *view, uint8_t *out, uint64_t bytes)
{
    const struct groups_view *groups = (const struct groups_view *)view;
    uint8_t *at = out;
    for (uint32_t i = 0; i < groups->table.count; i++) {
        at = groups_save_one(groups->table.groups[i], at);
    }
    CLG_ASSERT(at == out + bytes);
    (void)bytes;
}

/* A group in .state, checked; *out_bytes: what it takes. Every record that it speaks of lies below
 * `upto`; there may be none with settings. */
static int groups_load_head(const uint8_t *at, uint64_t left, uint64_t upto, struct clg_group *out,
                            uint64_t *out_bytes)
{
    if (left < STATE_GROUP_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    *out = (struct clg_group){.epoch = clg_load_le32(at + STATE_AT_EPOCH),
                              .flags = clg_load_le32(at + STATE_AT_FLAGS),
                              .name_bytes = clg_load_le32(at + STATE_AT_NAME_BYTES),
                              .offset_count = clg_load_le32(at + STATE_AT_COUNT),
                              .position = clg_load_le64(at + STATE_AT_POSITION),
                              .last_position = clg_load_le64(at + STATE_AT_LAST)};
    if (out->name_bytes > CLG_GROUP_NAME_MAX || groups_name_room(out->name_bytes) > left ||
        (out->flags & ~CLG_GROUP_FLAGS_KNOWN) != 0 || out->last_position >= upto ||
        (out->position >= upto && out->position != CLG_NO_POSITION) ||
        clg_topic_name_check(at + STATE_GROUP_BYTES, out->name_bytes) != COMMITLOG_OK) {
        return COMMITLOG_EDAMAGED;
    }
    uint64_t head = groups_name_room(out->name_bytes);
    uint64_t offsets = (uint64_t)out->offset_count * STATE_OFFSET_BYTES;
    *out_bytes = head + offsets;
    return offsets <= left - head ? 0 : COMMITLOG_EDAMAGED;
}

/* By way of changes, so that what a record cannot say is not taken from here either. */
static int groups_load_offsets(struct groups_view *groups, const struct clg_group *from,
                               const uint8_t *name, const uint8_t *at, uint64_t upto)
{
    uint8_t body[CLG_GROUP_FIXED_BYTES + CLG_GROUP_NAME_MAX + 8 + CLG_GROUP_ENTRY_BYTES];
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < from->offset_count; i++, at += STATE_OFFSET_BYTES) {
        struct clg_group_entry entry = {.queue_number = clg_load_le32(at + OFFSET_AT_QUEUE),
                                        .offset = clg_load_le64(at + OFFSET_AT_OFFSET)};
        uint64_t position = clg_load_le64(at + OFFSET_AT_POSITION);
        struct clg_group_change change = {.name = name,
                                          .name_bytes = from->name_bytes,
                                          .operation = CLG_GROUP_OFFSETS,
                                          .epoch = from->epoch,
                                          .count = 1};
        size_t bytes = (size_t)clg_group_change_bytes(change.name_bytes, 1);
        if (!clg_is_zero(at + OFFSET_AT_ZERO, 4) || position >= upto ||
            clg_group_change_encode(body, bytes, &change, &entry) != 0 ||
            clg_group_change_decode(body, bytes, &change) != 0) {
            return COMMITLOG_EDAMAGED;
        }
        rc = clg_group_table_prepare(&groups->table, &change);
        if (rc == 0) {
            clg_group_table_apply(&groups->table, &change, position);
        }
    }
    return rc;
}

static int groups_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes, uint64_t upto)
{
    struct groups_view *groups = (struct groups_view *)view;
    for (uint64_t at = 0; at < bytes;) {
        struct clg_group head;
        uint64_t took = 0;
        int rc = groups_load_head(data + at, bytes - at, upto, &head, &took);
        if (rc != 0) {
            return rc;
        }
        const uint8_t *name = data + at + STATE_GROUP_BYTES;
        const struct clg_group_change change = {.name = name,
                                                .name_bytes = head.name_bytes,
                                                .operation = CLG_GROUP_SETTINGS,
                                                .epoch = head.epoch,
                                                .flags = head.flags};
        uint64_t hash = clg_group_name_hash(name, head.name_bytes);
        if (clg_group_table_find(&groups->table, name, head.name_bytes, hash) != NULL) {
            return COMMITLOG_EDAMAGED;
        }
        rc = clg_group_table_prepare(&groups->table, &change);
        if (rc != 0) {
            return rc;
        }
        clg_group_table_apply(&groups->table, &change, head.position);
        rc = groups_load_offsets(groups, &head, name, data + at + groups_name_room(head.name_bytes),
                                 upto);
        if (rc != 0) {
            return rc;
        }
        struct clg_group *group = clg_group_table_find(&groups->table, name, head.name_bytes, hash);
        group->last_position = head.last_position;
        at += took;
    }
    return 0;
}

static uint64_t groups_memory(const struct clg_view *view)
{
    const struct groups_view *groups = (const struct groups_view *)view;
    return sizeof(*groups) + clg_group_table_memory(&groups->table);
}

const struct clg_group_table *clg_groups_view_table(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_groups_view_ops);
    return &((const struct groups_view *)view)->table;
}

uint64_t clg_groups_view_contradictions(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_groups_view_ops);
    return ((const struct groups_view *)view)->contradictions;
}

const struct clg_view_ops clg_groups_view_ops = {
    .name = "groups",
    .state_id = 4,
    .kinds = CLG_VIEW_TAKES(CLG_KIND_GROUP),
    .sealed = false,
    .create = groups_create,
    .destroy = groups_destroy,
    .reset = groups_reset,
    .apply = groups_apply,
    .save_bytes = groups_save_bytes,
    .save = groups_save,
    .restore = groups_restore,
    .memory = groups_memory,
};
