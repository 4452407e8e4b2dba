/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_sealed.c -- from the active segment's chunks to the immutable .cq file.
 *
 *   freeze   under the fold lock, in proportion to the queues written to, not to the records
 *   link     jump links, in small pieces under the lock: they are looked up in older files
 *   build    the image, without the lock
 *   install  the image takes the place of the frozen data
 *
 * Invariants: the directory index of a queue is the same in frozen data, image and file, and is
 *       determined by the log alone: a rebuilt file fits the links that lead to it.
 * Threads and locks: as view.h.
 * Failure modes: reserve and build: ENOMEM, nothing changed. A jump that cannot be found is left
 *       out: look-ups take more hops.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "view/queue_internal.h"

static void freeze_head(struct clg_queue_frozen_entry *out, uint32_t queue, uint64_t first_entry,
                        const struct clg_queue_head *head)
{
    CLG_ASSERT(head->count > 0);
    CLG_ASSERT(head->last != NULL);
    bool linked = head->link_base != CLG_LINK_NONE;
    out->last = head->last;
    out->directory = (struct clg_queue_directory){
        .first_offset = head->first,
        .first_entry = first_entry,
        .jump_end = 0,
        .prev = {.base = head->link_base, .index = linked ? head->link_index : 0},
        .jump = {.base = CLG_LINK_NONE, .index = 0},
        .queue = queue,
        .count = head->count,
        .ordinal = linked ? head->link_ordinal + 1 : 0};
}

/* Collects the touched heads in ascending queue number and makes them inactive. */
static void freeze_heads(struct clg_consume_queue *cq, struct clg_queue_slot *slot, uint64_t base)
{
    uint64_t entries = 0;
    uint32_t n = 0;
    for (uint32_t chunk = 0; chunk * CLG_HEADS_PER_CHUNK < cq->numbers; chunk++) {
        struct clg_queue_heads *heads = cq->chunks[chunk];
        for (uint32_t word = 0; heads != NULL && word < CLG_HEADS_PER_CHUNK / 64; word++) {
            uint64_t bits = heads->touched[word];
            heads->touched[word] = 0;
            while (bits != 0) {
                uint32_t at = word * 64 + (uint32_t)__builtin_ctzll(bits);
                bits &= bits - 1;
                struct clg_queue_head *head = &heads->heads[at];
                freeze_head(&slot->queues[n], chunk * CLG_HEADS_PER_CHUNK + at, entries, head);
                entries += head->count;
                head->link_base = base;
                head->link_index = n;
                head->link_ordinal = slot->queues[n].directory.ordinal;
                head->count = 0;
                head->last = NULL;
                n++;
            }
        }
    }
    CLG_ASSERT(n == slot->queue_count);
    CLG_ASSERT(entries == slot->entry_count);
}

static size_t reserved_bytes(const struct clg_consume_queue *cq)
{
    return sizeof(struct clg_queue_slot) +
           (size_t)cq->touched_heads * sizeof(struct clg_queue_frozen_entry);
}

void *clg_queue_reserve(const struct clg_view *view)
{
    return view->context.os->alloc(view->context.os, reserved_bytes(clg_queue_of_const(view)));
}

void clg_queue_freeze(struct clg_view *view, struct clg_view_item *item, void *reserved)
{
    struct clg_consume_queue *cq = clg_queue_of(view);
    struct clg_queue_slot *slot = reserved;
    CLG_ASSERT(item->slots[view->slot].data == NULL);
    *slot = (struct clg_queue_slot){.frozen = true,
                                    .arena = cq->arena,
                                    .queues = (struct clg_queue_frozen_entry *)(slot + 1),
                                    .queue_count = (uint32_t)cq->touched_heads,
                                    .entry_count = cq->active_entries,
                                    .bytes = cq->arena.bytes + reserved_bytes(cq)};
    freeze_heads(cq, slot, item->id.base);
    cq->arena = (struct clg_queue_arena){0};
    cq->touched_heads = 0;
    cq->active_entries = 0;
    cq->frozen_bytes += slot->bytes;
    item->slots[view->slot].data = slot;
    item->slots[view->slot].state = CLG_SLOT_FROZEN;
    CLG_ASSERT(cq->arena.blocks == NULL);
}

/* The jump of a new file: over two jumps of equal length if its ordinal says so, else to prev. */
static void link_one(struct clg_consume_queue *cq, struct clg_queue_directory *directory)
{
    struct clg_queue_part part;
    CLG_ASSERT(directory->jump.base == CLG_LINK_NONE);
    if (directory->prev.base == CLG_LINK_NONE || directory->ordinal == 0 ||
        directory->prev.index == CLG_LINK_SEARCH ||
        clg_queue_part_at(cq, directory->queue, &directory->prev, &part) != 0) {
        return;
    }
    uint32_t target = clg_queue_jump_ordinal(directory->ordinal);
    if (target == directory->ordinal - 1) {
        directory->jump = directory->prev;
        directory->jump_end = part.first + part.count;
        return;
    }
    struct clg_queue_part middle;
    if (part.jump.base == CLG_LINK_NONE ||
        clg_queue_part_at(cq, directory->queue, &part.jump, &middle) != 0) {
        return;
    }
    struct clg_queue_part end;
    if (middle.jump.base == CLG_LINK_NONE ||
        clg_queue_part_at(cq, directory->queue, &middle.jump, &end) != 0 || end.ordinal != target) {
        return;
    }
    directory->jump = middle.jump;
    directory->jump_end = end.first + end.count;
    CLG_ASSERT(directory->jump_end <= directory->first_offset);
}

int clg_queue_link_some(struct clg_view *view, struct clg_view_item *item, uint32_t budget)
{
    struct clg_queue_slot *slot = item->slots[view->slot].data;
    CLG_ASSERT(item->slots[view->slot].state == CLG_SLOT_FROZEN);
    CLG_ASSERT(slot->linked <= slot->queue_count);
    for (uint32_t i = 0; i < budget && slot->linked < slot->queue_count; i++) {
        link_one(clg_queue_of(view), &slot->queues[slot->linked].directory);
        slot->linked++;
    }
    return slot->linked < slot->queue_count ? 1 : 0;
}

/* Oldest chunk first: chunks are linked backwards, so the place of each follows from its index. */
static void build_entries(uint8_t *out, const struct clg_queue_frozen_entry *queue)
{
    uint32_t end = queue->directory.count;
    CLG_ASSERT(end > 0);
    for (const struct clg_queue_chunk *chunk = queue->last; chunk != NULL; chunk = chunk->prev) {
        CLG_ASSERT(end > chunk->first);
        memcpy(out + (size_t)chunk->first * CLG_QUEUE_ENTRY_BYTES, chunk->entries,
               (size_t)(end - chunk->first) * CLG_QUEUE_ENTRY_BYTES);
        end = chunk->first;
    }
    CLG_ASSERT(end == 0);
}

int clg_queue_build(struct clg_view *view, const struct clg_view_item *item, struct clg_image *out)
{
    const struct clg_queue_slot *slot = item->slots[view->slot].data;
    CLG_ASSERT(slot->frozen);
    uint64_t size = clg_queue_file_bytes(slot->queue_count, slot->entry_count);
    struct clg_image image;
    int rc = clg_image_alloc(view->context.os, size, &image);
    if (rc != 0) {
        return rc;
    }
    uint8_t *entries = image.bytes + clg_queue_file_bytes(slot->queue_count, 0);
    for (uint32_t i = 0; i < slot->queue_count; i++) {
        const struct clg_queue_directory *directory = &slot->queues[i].directory;
        clg_queue_file_put_directory(image.bytes, i, directory);
        build_entries(entries + directory->first_entry * CLG_QUEUE_ENTRY_BYTES, &slot->queues[i]);
    }
    clg_queue_file_finish(image.bytes, slot->queue_count, slot->entry_count, &item->id,
                          view->context.uuid);
    CLG_ASSERT(image.size == size);
    *out = image;
    return 0;
}

int clg_queue_install(struct clg_view *view, struct clg_view_item *item, struct clg_image *image,
                      enum clg_view_slot_state state)
{
    const struct commitlog_os *os = view->context.os;
    CLG_ASSERT(state == CLG_SLOT_MEMORY || state == CLG_SLOT_MAPPED);
    struct clg_queue_slot *slot = os->alloc(os, sizeof(*slot));
    if (slot == NULL) {
        return COMMITLOG_ENOMEM;
    }
    int rc =
        clg_queue_file_open(&slot->file, image->bytes, image->size, &item->id, view->context.uuid);
    if (rc != 0) {
        os->free(os, slot);
        return rc == COMMITLOG_ENOMEM ? rc : COMMITLOG_EDAMAGED;
    }
    clg_view_slot_clear(view, &item->slots[view->slot]);
    item->slots[view->slot] = (struct clg_view_slot){.state = state, .image = *image, .data = slot};
    CLG_ASSERT(!slot->frozen);
    return 0;
}

int clg_queue_check(struct clg_view *view, const struct clg_view_segment *id,
                    const struct clg_image_file *file)
{
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    int rc = clg_image_file_read(file, 0, header, sizeof(header));
    struct clg_queue_file parsed;
    if (rc == 0) {
        /* Bounds come from the real length; nothing behind the header is touched yet. */
        rc = clg_queue_file_open(&parsed, header, file->size, id, view->context.uuid);
    }
    if (rc != 0) {
        return rc;
    }
    const struct commitlog_os *os = view->context.os;
    uint64_t bytes = clg_queue_file_bytes(parsed.queue_count, 0);
    CLG_ASSERT(bytes <= file->size);
    uint8_t *directory = os->alloc(os, (size_t)bytes);
    if (directory == NULL) {
        return COMMITLOG_ENOMEM;
    }
    rc = clg_image_file_read(file, 0, directory, bytes);
    if (rc == 0) {
        rc = clg_queue_file_open(&parsed, directory, file->size, id, view->context.uuid);
    }
    if (rc == 0) {
        rc = clg_queue_file_verify_directory(&parsed);
    }
    os->free(os, directory);
    CLG_ASSERT(rc <= 0);
    return rc;
}

int clg_queue_verify(struct clg_view *view, const struct clg_view_item *item)
{
    const struct clg_queue_slot *slot = item->slots[view->slot].data;
    CLG_ASSERT(slot != NULL);
    CLG_ASSERT(!slot->frozen);
    int rc = clg_queue_file_verify_directory(&slot->file);
    return rc != 0 ? rc : clg_queue_file_verify_entries(&slot->file);
}

/* Restored heads become what a fold over the segment would have made of them. */
int clg_queue_advance(struct clg_view *view, struct clg_view_item *item)
{
    const struct clg_queue_slot *slot = item->slots[view->slot].data;
    CLG_ASSERT(slot != NULL && !slot->frozen);
    for (uint32_t i = 0; i < slot->file.queue_count; i++) {
        struct clg_queue_directory directory;
        int rc = clg_queue_file_directory(&slot->file, i, &directory);
        if (rc != 0) {
            return COMMITLOG_EDAMAGED;
        }
        rc = clg_queue_raise(clg_queue_of(view), &directory, item->id.base, i);
        if (rc != 0) {
            return rc;
        }
    }
    CLG_ASSERT(slot->file.segment.base == item->id.base);
    return 0;
}

void clg_queue_release(struct clg_view *view, struct clg_view_slot *slot)
{
    struct clg_consume_queue *cq = clg_queue_of(view);
    struct clg_queue_slot *data = slot->data;
    const struct commitlog_os *os = view->context.os;
    CLG_ASSERT(data != NULL);
    CLG_ASSERT(cq->frozen_bytes >= data->bytes);
    if (data->frozen) {
        cq->frozen_bytes -= data->bytes;
        clg_queue_arena_free(os, &data->arena);
    }
    os->free(os, data);
    slot->data = NULL;
}

void clg_queue_detach_links(struct clg_view *view, struct clg_view_item *item)
{
    struct clg_queue_slot *slot = item->slots[view->slot].data;
    CLG_ASSERT(slot->frozen);
    slot->linked = slot->queue_count;
    if (item->id.base == 0) {
        return; /* nothing can be before it */
    }
    CLG_ASSERT(item->id.base >= CLG_SEGMENT_MIN);
    for (uint32_t i = 0; i < slot->queue_count; i++) {
        struct clg_queue_directory *directory = &slot->queues[i].directory;
        directory->prev.base = item->id.base - CLG_SEGMENT_ALIGN;
        directory->prev.index = CLG_LINK_SEARCH;
        directory->ordinal = 1;
    }
}
