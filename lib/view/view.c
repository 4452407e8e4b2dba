/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view.c -- the finished segments of the views: finding them, opening their files on first use.
 *
 * Invariants: items ascend by base. A slot that turns out damaged becomes NONE; the fold rebuilds
 *       every NONE slot before the look-up is tried again.
 * Threads and locks: under the fold lock.
 * Happy path: clg_view_segments_find -> clg_view_slot_open.
 * Failure modes: COMMITLOG_EDAMAGED: rebuild; others are passed on and the slot stays ON_DISK.
 */
#include "view/view.h"

#include <string.h>

#include "base/invariant.h"

uint32_t clg_view_segments_below(const struct clg_view_segments *segments, uint64_t limit)
{
    CLG_ASSERT(segments != NULL);
    CLG_ASSERT(segments->start + segments->count <= segments->room);
    uint32_t low = 0;
    uint32_t high = segments->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (clg_view_segments_at(segments, middle)->id.base < limit) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? UINT32_MAX : low - 1;
}

struct clg_view_item *clg_view_segments_find(const struct clg_view_segments *segments,
                                             uint64_t base)
{
    CLG_ASSERT(segments != NULL);
    if (base == UINT64_MAX) {
        return NULL;
    }
    uint32_t index = clg_view_segments_below(segments, base + 1);
    if (index == UINT32_MAX) {
        return NULL;
    }
    struct clg_view_item *item = clg_view_segments_at(segments, index);
    CLG_ASSERT(item->id.base <= base);
    return item->id.base == base ? item : NULL;
}

void clg_view_slot_clear(struct clg_view *view, struct clg_view_slot *slot)
{
    CLG_ASSERT(view->ops->sealed);
    CLG_ASSERT(slot != NULL);
    if (slot->data != NULL) {
        view->ops->release(view, slot);
    }
    clg_image_free(view->context.os, &slot->image);
    memset(slot, 0, sizeof(*slot));
}

static int slot_load(struct clg_view *view, struct clg_view_item *item)
{
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, view->ops->file, item->id.base);
    struct clg_image_file file;
    int rc = clg_image_file_open(view->context.os, view->context.view_dirfd, name, &file);
    if (rc != 0) {
        return rc;
    }
    CLG_ASSERT(file.fd >= 0);
    struct clg_image image = {0};
    rc = view->ops->check(view, &item->id, &file);
    if (rc == 0) {
        rc = clg_image_file_map(&file, &image);
    }
    clg_image_file_close(&file);
    if (rc == 0) {
        rc = view->ops->install(view, item, &image, CLG_SLOT_MAPPED);
        if (rc != 0) {
            clg_image_free(view->context.os, &image);
        }
    }
    CLG_ASSERT(rc != 0 || item->slots[view->slot].state == CLG_SLOT_MAPPED);
    return rc;
}

int clg_view_slot_open(struct clg_view *view, struct clg_view_item *item)
{
    CLG_ASSERT(view->ops->sealed);
    CLG_ASSERT(view->slot < CLG_VIEWS_MAX);
    struct clg_view_slot *slot = &item->slots[view->slot];
    if (CLG_LIKELY(slot->state != CLG_SLOT_ON_DISK && slot->state != CLG_SLOT_NONE)) {
        return 0;
    }
    if (slot->state == CLG_SLOT_NONE) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = slot_load(view, item);
    if (rc == 0) {
        /* Once per file and process: an entry that rotted would otherwise answer a search by time
         * or tag wrongly, which no look at the record can show. */
        rc = view->ops->verify(view, item);
    }
    if (rc == 0 || rc == COMMITLOG_ENOMEM || rc == COMMITLOG_ELIMIT || rc == COMMITLOG_EACCESS) {
        return rc;
    }
    /* Gone, of another segment, damaged, from a newer version, unreadable: the log has it all. */
    clg_view_slot_clear(view, slot);
    return COMMITLOG_EDAMAGED;
}
