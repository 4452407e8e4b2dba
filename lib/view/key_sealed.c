/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_sealed.c -- from the active segment's table to the immutable .key file.
 *
 * Sorting is a radix sort over the bytes of the hash: linear whatever the keys are, where a sort
 * by comparing inside buckets is quadratic for a few hot keys. It is stable, and entries enter it
 * newest first, so equal hashes come out newest first.
 *
 * Invariants: the image is determined by the records of the segment alone.
 * Threads and locks: as view.h; build takes no lock.
 * Happy path: freeze (moves a pointer) -> build -> install.
 * Failure modes: ENOMEM: nothing changed, the frozen table goes on answering.
 */
#include <string.h>

#include "base/invariant.h"
#include "view/key_internal.h"

void *clg_key_reserve(const struct clg_view *view)
{
    return view->context.os->alloc(view->context.os, sizeof(struct clg_key_slot));
}

void clg_key_freeze(struct clg_view *view, struct clg_view_item *item, void *reserved)
{
    struct clg_key_index *index = clg_key_of(view);
    struct clg_key_slot *slot = reserved;
    CLG_ASSERT(item->slots[view->slot].data == NULL);
    *slot = (struct clg_key_slot){.frozen = true, .table = index->table};
    memset(&index->table, 0, sizeof(index->table));
    index->frozen_bytes += slot->table.bytes;
    item->slots[view->slot].data = slot;
    item->slots[view->slot].state = CLG_SLOT_FROZEN;
    CLG_ASSERT(index->table.count == 0);
}

/* One pass of the sort over byte `shift` of the hash; false: all bytes are equal, nothing done. */
static bool sort_pass(const struct clg_key_pair *from, struct clg_key_pair *to, uint32_t count,
                      uint32_t shift)
{
    uint32_t ends[256] = {0};
    CLG_ASSERT(count > 0);
    for (uint32_t i = 0; i < count; i++) {
        ends[(from[i].hash >> shift) & 255]++;
    }
    if (ends[(from[0].hash >> shift) & 255] == count) {
        return false;
    }
    uint32_t sum = 0;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t n = ends[i];
        ends[i] = sum;
        sum += n;
    }
    CLG_ASSERT(sum == count);
    for (uint32_t i = 0; i < count; i++) {
        to[ends[(from[i].hash >> shift) & 255]++] = from[i];
    }
    return true;
}

/* Sorts into one of the two arrays and returns it. */
static const struct clg_key_pair *sort_pairs(struct clg_key_pair *a, struct clg_key_pair *b,
                                             uint32_t count)
{
    CLG_ASSERT(a != b);
    for (uint32_t shift = 0; shift < 64 && count > 0; shift += 8) {
        if (sort_pass(a, b, count, shift)) {
            struct clg_key_pair *swap = a;
            a = b;
            b = swap;
        }
    }
    CLG_ASSERT(count < 2 || a[0].hash <= a[count - 1].hash);
    return a;
}

int clg_key_build(struct clg_view *view, const struct clg_view_item *item, struct clg_image *out)
{
    const struct commitlog_os *os = view->context.os;
    const struct clg_key_slot *slot = item->slots[view->slot].data;
    CLG_ASSERT(slot->frozen);
    uint32_t count = slot->table.count;
    uint32_t bits = clg_key_prefix_bits(count);
    uint32_t room = count > 0 ? count : 1;
    struct clg_key_pair *a = clg_os_alloc_array(os, room, sizeof(*a));
    struct clg_key_pair *b = clg_os_alloc_array(os, room, sizeof(*b));
    struct clg_image image = {0};
    int rc = COMMITLOG_ENOMEM;
    if (a != NULL && b != NULL) {
        rc = clg_image_alloc(os, clg_key_file_bytes(count), &image);
    }
    if (rc == 0) {
        for (uint32_t i = 0; i < count; i++) {
            const struct clg_key_entry *entry = clg_key_table_entry(&slot->table, count - 1 - i);
            a[i].hash = clg_key_round(entry->hash, bits);
            a[i].place = entry->place;
        }
        clg_key_file_write(image.bytes, sort_pairs(a, b, count), count, &item->id,
                           view->context.uuid);
        *out = image;
    }
    os->free(os, a);
    os->free(os, b);
    CLG_ASSERT(rc == 0 || rc == COMMITLOG_ENOMEM);
    return rc;
}

int clg_key_install(struct clg_view *view, struct clg_view_item *item, struct clg_image *image,
                    enum clg_view_slot_state state)
{
    const struct commitlog_os *os = view->context.os;
    CLG_ASSERT(state == CLG_SLOT_MEMORY || state == CLG_SLOT_MAPPED);
    struct clg_key_slot *slot = os->alloc(os, sizeof(*slot));
    if (slot == NULL) {
        return COMMITLOG_ENOMEM;
    }
    int rc =
        clg_key_file_open(&slot->file, image->bytes, image->size, &item->id, view->context.uuid);
    if (rc != 0) {
        os->free(os, slot);
        return COMMITLOG_EDAMAGED;
    }
    clg_view_slot_clear(view, &item->slots[view->slot]);
    item->slots[view->slot] = (struct clg_view_slot){.state = state, .image = *image, .data = slot};
    CLG_ASSERT(!slot->frozen);
    return 0;
}

int clg_key_check(struct clg_view *view, const struct clg_view_segment *id,
                  const struct clg_image_file *file)
{
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    int rc = clg_image_file_read(file, 0, header, sizeof(header));
    struct clg_key_file parsed;
    if (rc == 0) {
        /* Buckets are validated when they are used; all entries by the scrub. */
        rc = clg_key_file_open(&parsed, header, file->size, id, view->context.uuid);
    }
    CLG_ASSERT(view->ops == &clg_key_index_ops);
    CLG_ASSERT(rc <= 0);
    return rc;
}

int clg_key_verify(struct clg_view *view, const struct clg_view_item *item)
{
    const struct clg_key_slot *slot = item->slots[view->slot].data;
    CLG_ASSERT(slot != NULL);
    CLG_ASSERT(!slot->frozen);
    return clg_key_file_verify(&slot->file);
}

void clg_key_release(struct clg_view *view, struct clg_view_slot *slot)
{
    struct clg_key_slot *data = slot->data;
    const struct commitlog_os *os = view->context.os;
    CLG_ASSERT(data != NULL);
    if (data->frozen) {
        struct clg_key_index *index = clg_key_of(view);
        CLG_ASSERT(index->frozen_bytes >= data->table.bytes);
        index->frozen_bytes -= data->table.bytes;
        clg_key_table_free(os, &data->table);
    }
    os->free(os, data);
    slot->data = NULL;
}
