/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_index.c -- keys into the table, candidates out of tables and files. See key_index.h.
 *
 * Invariants: a query goes strictly down in position, so that no record comes twice and the lock
 *       may be given up between two calls.
 * Threads and locks: the fold lock.
 * Happy path of a query: active table -> finished segments from newest to oldest, those outside
 *       the time window skipped without touching their files.
 * Failure modes: EDAMAGED: a file contradicts itself; its slot is NONE now, rebuild and ask again.
 */
#include "view/key_index.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "format/attributes.h"
#include "format/record.h"
#include "view/key_internal.h"

int clg_key_index_add(struct clg_view *view, uint64_t hash, uint32_t place)
{
    struct clg_key_index *index = clg_key_of(view);
    CLG_ASSERT(view->ops == &clg_key_index_ops);
    int rc = clg_key_table_add(view->context.os, &index->table, hash, place);
    if (rc == COMMITLOG_ELIMIT) {
        index->contradictions++;
        rc = 0;
    }
    CLG_ASSERT(rc == 0 || rc == COMMITLOG_ENOMEM);
    return rc;
}

static const struct clg_topic *key_topic(const struct clg_view *view, uint32_t queue_number)
{
    const struct clg_registry *registry = view->context.registry;
    CLG_ASSERT(registry != NULL);
    return clg_registry_owner(registry, queue_number, NULL);
}

/* A reference has the hashes of its original's keys, for the topic it is in. */
static int key_add_hashes(struct clg_view *view, const struct clg_record_view *record,
                          const struct clg_attribute *attribute)
{
    uint64_t place = (record->position - record->segment_base) / CLG_RECORD_ALIGN;
    int rc = 0;
    for (size_t at = 0; rc == 0 && at + 8 <= attribute->bytes; at += 8) {
        rc = clg_key_index_add(view, clg_load_le64(attribute->value + at), (uint32_t)place);
    }
    return rc;
}

static int key_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct clg_key_index *index = clg_key_of(view);
    const struct clg_record_header *header = &record->header;
    CLG_ASSERT(header->kind == CLG_KIND_MESSAGE || header->kind == CLG_KIND_REFERENCE);
    if (header->attribute_bytes == 0) {
        return 0;
    }
    CLG_ASSERT(record->position >= record->segment_base);
    const struct clg_topic *topic = NULL;
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    clg_attribute_iterator_init(&iterator, record->attributes, header->attribute_bytes);
    int rc = clg_attribute_next(&iterator, &attribute);
    for (; rc == 1; rc = clg_attribute_next(&iterator, &attribute)) {
        if (attribute.type == CLG_ATTRIBUTE_KEY_HASHES && header->kind == CLG_KIND_REFERENCE) {
            int added = key_add_hashes(view, record, &attribute);
            if (added != 0) {
                return added;
            }
            continue;
        }
        if (attribute.type != CLG_ATTRIBUTE_KEY || header->kind != CLG_KIND_MESSAGE) {
            continue;
        }
        topic = topic == NULL ? key_topic(view, header->queue_number) : topic;
        if (topic == NULL) {
            break;
        }
        uint64_t hash = clg_key_hash(topic->name_hash, attribute.value, attribute.bytes);
        uint64_t place = (record->position - record->segment_base) / CLG_RECORD_ALIGN;
        CLG_ASSERT(place <= UINT32_MAX);
        int added = clg_key_index_add(view, hash, (uint32_t)place);
        if (added != 0) {
            return added;
        }
    }
    if (rc != 0) {
        index->contradictions++;
    }
    return 0;
}

static int key_create(const struct clg_view_context *context, uint32_t slot, struct clg_view **out)
{
    CLG_ASSERT(context->os != NULL);
    CLG_ASSERT(slot < CLG_VIEWS_MAX);
    struct clg_key_index *index = context->os->alloc(context->os, sizeof(*index));
    if (index == NULL) {
        return COMMITLOG_ENOMEM;
    }
    index->view = (struct clg_view){.ops = &clg_key_index_ops, .context = *context, .slot = slot};
    *out = &index->view;
    return 0;
}

static void key_reset(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_key_index_ops);
    clg_key_table_free(view->context.os, &clg_key_of(view)->table);
    CLG_ASSERT(clg_key_of(view)->table.count == 0);
}

static void key_destroy(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_key_index_ops);
    const struct commitlog_os *os = view->context.os;
    key_reset(view);
    os->free(os, view);
}

static int key_advance(struct clg_view *view, struct clg_view_item *item)
{
    CLG_ASSERT(view->ops == &clg_key_index_ops);
    CLG_ASSERT(item->slots[view->slot].state != CLG_SLOT_NONE);
    (void)view;
    (void)item;
    return 0; /* nothing of one segment's keys depends on another's */
}

static uint64_t key_memory(const struct clg_view *view)
{
    const struct clg_key_index *index = (const struct clg_key_index *)view;
    CLG_ASSERT(view->ops == &clg_key_index_ops);
    return sizeof(*index) + index->table.bytes + index->frozen_bytes;
}

uint64_t clg_key_index_contradictions(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_key_index_ops);
    return ((const struct clg_key_index *)view)->contradictions;
}

/* Candidates of one query as they are collected. */
struct key_out {
    uint64_t *positions;
    uint32_t max;
    uint32_t count;
};

static void query_table(const struct clg_key_table *table, uint64_t base,
                        struct clg_lookup_key *query, struct key_out *out)
{
    CLG_ASSERT(out->count < out->max);
    uint32_t next = query->hint_base == base && query->hint_entry <= table->count
                        ? query->hint_entry
                        : clg_key_table_newest(table, query->hash);
    while (next != 0 && out->count < out->max) {
        const struct clg_key_entry *entry = clg_key_table_entry(table, next - 1);
        uint64_t position = base + (uint64_t)entry->place * CLG_RECORD_ALIGN;
        next = entry->older;
        if (position < query->before) {
            out->positions[out->count++] = position;
            query->before = position;
        }
    }
    query->hint_base = base;
    query->hint_entry = next;
    CLG_ASSERT(out->count <= out->max);
}

/* First index in the cursor's bucket that is this hash below `limit`, or another hash. */
static void query_skip(struct clg_key_cursor *cursor, uint64_t limit)
{
    uint32_t low = cursor->next;
    uint32_t high = cursor->end;
    CLG_ASSERT(high <= cursor->file->entry_count);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const uint8_t *at = cursor->file->entries + (size_t)middle * CLG_KEY_ENTRY_BYTES;
        bool newer = clg_load_le32(at) == cursor->rest && clg_load_le32(at + 4) >= limit;
        if (newer) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    cursor->next = low;
    CLG_ASSERT(cursor->next <= cursor->end);
}

static int query_file(const struct clg_key_file *file, struct clg_lookup_key *query,
                      struct key_out *out)
{
    struct clg_key_cursor cursor;
    int rc = clg_key_file_find(file, query->hash, &cursor);
    if (rc != 0) {
        return rc;
    }
    uint64_t base = file->segment.base;
    CLG_ASSERT(query->before > base);
    uint64_t below = query->before - base;
    query_skip(&cursor, below / CLG_RECORD_ALIGN + (below % CLG_RECORD_ALIGN != 0 ? 1 : 0));
    uint32_t place;
    while (out->count < out->max && clg_key_cursor_next(&cursor, &place)) {
        uint64_t position = base + (uint64_t)place * CLG_RECORD_ALIGN;
        if (position >= query->before) {
            continue; /* only where a file that changes under us is not sorted any more */
        }
        if (position >= file->segment.end) {
            return COMMITLOG_EDAMAGED;
        }
        out->positions[out->count++] = position;
        query->before = position;
    }
    CLG_ASSERT(out->count <= out->max);
    return 0;
}

static int query_item(struct clg_view *view, struct clg_view_item *item,
                      struct clg_lookup_key *query, struct key_out *out)
{
    int rc = clg_view_slot_open(view, item);
    if (rc != 0) {
        return rc;
    }
    struct clg_view_slot *slot = &item->slots[view->slot];
    const struct clg_key_slot *data = slot->data;
    CLG_ASSERT(data != NULL);
    if (data->frozen) {
        query_table(&data->table, item->id.base, query, out);
        return 0;
    }
    rc = query_file(&data->file, query, out);
    if (rc != 0) {
        if (slot->state != CLG_SLOT_MAPPED) {
            return COMMITLOG_EINTERNAL;
        }
        clg_view_slot_clear(view, slot);
        rc = COMMITLOG_EDAMAGED;
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

int clg_key_index_next(struct clg_view *view, struct clg_lookup_key *query, uint64_t *positions,
                       uint32_t max, uint32_t *out_count)
{
    const struct clg_view_segments *segments = view->context.segments;
    struct key_out out = {.positions = positions, .max = max, .count = 0};
    struct clg_lookup_key at = *query; /* unchanged if we have to be asked again */
    CLG_ASSERT(max > 0);
    if (at.before > segments->active_base && segments->active_first_time <= at.until_ns &&
        segments->active_last_time >= at.since_ns) {
        query_table(&clg_key_of(view)->table, segments->active_base, &at, &out);
    }
    uint32_t index = clg_view_segments_below(segments, at.before);
    while (index != UINT32_MAX && out.count < out.max) {
        struct clg_view_item *item = clg_view_segments_at(segments, index);
        if (item->id.end <= segments->first || item->last_time < at.since_ns) {
            break; /* times never decrease along the log */
        }
        if (item->first_time <= at.until_ns && at.before > item->id.base) {
            int rc = query_item(view, item, &at, &out);
            if (rc != 0) {
                return rc;
            }
        }
        index = index == 0 ? UINT32_MAX : index - 1;
    }
    *query = at;
    *out_count = out.count;
    CLG_ASSERT(out.count <= max);
    return 0;
}

const struct clg_view_ops clg_key_index_ops = {
    .name = "key index",
    .state_id = 0,
    .kinds = CLG_VIEW_TAKES(CLG_KIND_MESSAGE) | CLG_VIEW_TAKES(CLG_KIND_REFERENCE),
    .attribute_kinds = CLG_VIEW_TAKES(CLG_KIND_MESSAGE),
    .sealed = true,
    .file = CLG_FILE_KEY,
    .create = key_create,
    .destroy = key_destroy,
    .reset = key_reset,
    .apply = key_apply,
    .reserve = clg_key_reserve,
    .freeze = clg_key_freeze,
    .build = clg_key_build,
    .install = clg_key_install,
    .check = clg_key_check,
    .advance = key_advance,
    .verify = clg_key_verify,
    .release = clg_key_release,
    .memory = key_memory,
};
