/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_part.c -- what one segment holds of one queue: from a file, from frozen data, by a link.
 *
 * Invariants: a link is a hint. It is followed only to a segment that is kept, and what it leads to
 *       must say the right queue; else the segments below are searched one by one.
 * Threads and locks: the fold lock.
 * Failure modes: COMMITLOG_EDAMAGED: a slot was found unusable and is NONE now: rebuild, ask again.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "view/queue_internal.h"

/* Kept by retention? */
static bool part_is_kept(const struct clg_view *view, const struct clg_view_item *item)
{
    return item->id.end > view->context.segments->first;
}

/* A value in a verified file contradicts its bounds: it must be made again. What lies in memory
 * was made by us: then it is a bug, and rebuilding would hide it. */
int clg_queue_part_damaged(struct clg_view *view, struct clg_view_item *item)
{
    struct clg_view_slot *slot = &item->slots[view->slot];
    CLG_ASSERT(slot->state != CLG_SLOT_FROZEN);
    if (slot->state != CLG_SLOT_MAPPED) {
        return COMMITLOG_EINTERNAL;
    }
    clg_view_slot_clear(view, slot);
    return COMMITLOG_EDAMAGED;
}

static void part_fill(struct clg_queue_part *out, const struct clg_queue_directory *directory,
                      uint64_t base)
{
    CLG_ASSERT(directory->count > 0);
    CLG_ASSERT(out != NULL);
    *out = (struct clg_queue_part){.base = base,
                                   .first = directory->first_offset,
                                   .jump_end = directory->jump_end,
                                   .prev = directory->prev,
                                   .jump = directory->jump,
                                   .count = directory->count,
                                   .ordinal = directory->ordinal,
                                   .queue = directory->queue};
}

static int part_from_file(struct clg_view *view, struct clg_view_item *item, uint32_t queue,
                          uint32_t index, struct clg_queue_part *out)
{
    const struct clg_queue_slot *slot = item->slots[view->slot].data;
    CLG_ASSERT(slot != NULL && !slot->frozen);
    struct clg_queue_directory directory;
    int rc = COMMITLOG_ENOTFOUND;
    if (index != CLG_LINK_SEARCH) {
        rc = clg_queue_file_directory(&slot->file, index, &directory);
    }
    if (rc == COMMITLOG_ENOTFOUND || (rc == 0 && directory.queue != queue)) {
        rc = clg_queue_file_find(&slot->file, queue, &directory, NULL);
    }
    if (rc != 0) {
        return rc == COMMITLOG_ENOTFOUND ? rc : clg_queue_part_damaged(view, item);
    }
    part_fill(out, &directory, item->id.base);
    out->flat = slot->file.entries + directory.first_entry * CLG_QUEUE_ENTRY_BYTES;
    return 0;
}

static int part_from_frozen(const struct clg_queue_slot *slot, uint64_t base, uint32_t queue,
                            uint32_t index, struct clg_queue_part *out)
{
    CLG_ASSERT(slot->frozen);
    if (index >= slot->queue_count || slot->queues[index].directory.queue != queue) {
        uint32_t low = 0;
        uint32_t high = slot->queue_count;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (slot->queues[middle].directory.queue < queue) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        index = low;
        if (index >= slot->queue_count || slot->queues[index].directory.queue != queue) {
            return COMMITLOG_ENOTFOUND;
        }
    }
    part_fill(out, &slot->queues[index].directory, base);
    out->last = slot->queues[index].last;
    CLG_ASSERT(out->last != NULL);
    return 0;
}

static int part_from_item(struct clg_view *view, struct clg_view_item *item, uint32_t queue,
                          uint32_t index, struct clg_queue_part *out)
{
    int rc = clg_view_slot_open(view, item);
    if (rc != 0) {
        return rc;
    }
    const struct clg_queue_slot *slot = item->slots[view->slot].data;
    CLG_ASSERT(slot != NULL);
    return slot->frozen ? part_from_frozen(slot, item->id.base, queue, index, out)
                        : part_from_file(view, item, queue, index, out);
}

/* The newest kept part in a segment with base < limit. */
static int part_search(struct clg_view *view, uint32_t queue, uint64_t limit,
                       struct clg_queue_part *out)
{
    const struct clg_view_segments *segments = view->context.segments;
    uint32_t index = clg_view_segments_below(segments, limit);
    CLG_ASSERT(index == UINT32_MAX || index < segments->count);
    while (index != UINT32_MAX) {
        struct clg_view_item *item = clg_view_segments_at(segments, index);
        if (!part_is_kept(view, item)) {
            break;
        }
        int rc = part_from_item(view, item, queue, CLG_LINK_SEARCH, out);
        if (rc != COMMITLOG_ENOTFOUND) {
            return rc;
        }
        index = index == 0 ? UINT32_MAX : index - 1;
    }
    return COMMITLOG_ENOTFOUND;
}

int clg_queue_part_at(struct clg_consume_queue *cq, uint32_t queue,
                      const struct clg_queue_link *link, struct clg_queue_part *out)
{
    struct clg_view *view = &cq->view;
    CLG_ASSERT(queue != CLG_QUEUE_NONE);
    CLG_ASSERT(out != NULL);
    if (link->base == CLG_LINK_NONE) {
        return COMMITLOG_ENOTFOUND;
    }
    if (link->index == CLG_LINK_SEARCH) {
        return part_search(view, queue, link->base + 1, out);
    }
    struct clg_view_item *item = clg_view_segments_find(view->context.segments, link->base);
    if (item == NULL && link->base >= view->context.segments->first) {
        /* Not dropped by retention: the file is missing. What is older is still there. */
        return part_search(view, queue, link->base, out);
    }
    if (item == NULL || !part_is_kept(view, item)) {
        return COMMITLOG_ENOTFOUND;
    }
    int rc = part_from_item(view, item, queue, link->index, out);
    if (rc == COMMITLOG_ENOTFOUND) {
        rc = part_search(view, queue, link->base, out);
    }
    return rc;
}
