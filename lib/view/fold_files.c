/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold_files.c -- upkeep of view files: build and write, scrub, drop.
 *
 * Invariants: a file is written only for a segment that is durable to its end: recovery cuts
 *       nothing below the durable position, so no file can say more than the log. While an image
 *       is written without the lock nobody frees it: `files` is held, and look-ups clear only what
 *       is mapped.
 * Threads and locks: files, then lock in short pieces.
 * Happy path: FROZEN -> link -> build -> MEMORY -> write -> MAPPED. A reader's: FROZEN -> MAPPED.
 * Failure modes: a view file that cannot be written is tried again by the next call; the image goes
 *       on answering from memory. What cannot be mapped stays in memory.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "view/fold_internal.h"

#define LINK_PIECE 1024u
/* A reader looks for the files of so many segments when there is another one. */
#define TAKE_SEGMENTS 4u

static bool files_can_write(const struct clg_fold *fold)
{
    return !fold->config.read_only && fold->config.view_dirfd >= 0;
}

static bool files_is_work(const struct clg_fold *fold, const struct clg_view_item *item, uint32_t v,
                          uint64_t durable)
{
    const struct clg_view_slot *slot = &item->slots[v];
    CLG_ASSERT(v < CLG_VIEWS_MAX);
    if (slot->state == CLG_SLOT_FROZEN) {
        return true;
    }
    return slot->state == CLG_SLOT_MEMORY && !slot->written && files_can_write(fold) &&
           item->id.end <= durable;
}

/* The oldest image with something to do; under the lock. NULL: none. */
static struct clg_view_item *files_find(struct clg_fold *fold, uint64_t durable, uint32_t *view)
{
    CLG_ASSERT(clg_mutex_is_held(&fold->lock));
    CLG_ASSERT(view != NULL);
    for (uint32_t i = 0; i < fold->segments.count; i++) {
        struct clg_view_item *item = clg_view_segments_at(&fold->segments, i);
        for (uint32_t v = 0; v < fold->view_count; v++) {
            if (item->id.end > fold->segments.first && files_is_work(fold, item, v, durable)) {
                *view = v;
                return item;
            }
        }
    }
    return NULL;
}

/* Entered and left with the lock held; given up in between. */
static int files_build(struct clg_fold *fold, struct clg_view *view, uint64_t base,
                       struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    struct clg_view_item *item = clg_view_segments_find(&fold->segments, base);
    CLG_ASSERT(item != NULL);
    CLG_ASSERT(item->slots[view->slot].state == CLG_SLOT_FROZEN);
    while (view->ops->link != NULL && view->ops->link(view, item, LINK_PIECE) == 1) {
        clg_mutex_unlock(os, &fold->lock);
        clg_mutex_lock(os, &fold->lock);
        item = clg_view_segments_find(&fold->segments, base);
    }
    const struct clg_view_item copy = *item;
    struct clg_image image = {0};
    clg_mutex_unlock(os, &fold->lock);
    int rc = view->ops->build(view, &copy, &image);
    clg_mutex_lock(os, &fold->lock);
    if (rc == 0) {
        item = clg_view_segments_find(&fold->segments, base);
        rc = view->ops->install(view, item, &image, CLG_SLOT_MEMORY);
        if (rc != 0) {
            clg_image_free(os, &image);
        }
    }
    return rc == 0 ? 0
                   : clg_fail(err, rc, 0, base, "build %s of segment %020llu", view->ops->name,
                              (unsigned long long)base);
}

static int files_map(struct clg_view *view, const struct clg_view_segment *id, const char *name,
                     struct clg_image *out)
{
    struct clg_image_file file;
    int rc = clg_image_file_open(view->context.os, view->context.view_dirfd, name, &file);
    if (rc != 0) {
        return rc;
    }
    CLG_ASSERT(file.fd >= 0);
    rc = view->ops->check(view, id, &file);
    if (rc == 0) {
        rc = clg_image_file_map(&file, out);
    }
    clg_image_file_close(&file);
    CLG_ASSERT(rc != 0 || out->mapped);
    return rc;
}

/* As files_build. */
static int files_write(struct clg_fold *fold, struct clg_view *view, uint64_t base,
                       struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    const struct clg_view_item copy = *clg_view_segments_find(&fold->segments, base);
    CLG_ASSERT(copy.slots[view->slot].state == CLG_SLOT_MEMORY);
    char name[CLG_SEGMENT_NAME_BYTES];
    char temp[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, view->ops->file, base);
    clg_segment_name_make_temp(temp, view->ops->file, base);
    clg_mutex_unlock(os, &fold->lock);
    int rc = clg_image_write(os, fold->config.view_dirfd, name, temp, fold->config.file_mode,
                             &copy.slots[view->slot].image, err);
    struct clg_image image = {0};
    int mapped = rc == 0 ? files_map(view, &copy.id, name, &image) : rc;
    clg_mutex_lock(os, &fold->lock);
    if (rc != 0) {
        return rc;
    }
    struct clg_view_item *item = clg_view_segments_find(&fold->segments, base);
    CLG_ASSERT(item != NULL);
    if (mapped == 0 && view->ops->install(view, item, &image, CLG_SLOT_MAPPED) != 0) {
        clg_image_free(os, &image);
    }
    if (item->slots[view->slot].state == CLG_SLOT_MEMORY) {
        item->slots[view->slot].written = true; /* the file is good; the map has to wait */
    }
    fold->images_written++;
    return 0;
}

int clg_fold_write_images(struct clg_fold *fold, uint64_t durable, bool *out_more,
                          struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    int rc = 0;
    CLG_ASSERT(out_more != NULL);
    clg_mutex_lock(os, &fold->files);
    clg_mutex_lock(os, &fold->lock);
    uint32_t v = 0;
    struct clg_view_item *item = files_find(fold, durable, &v);
    if (item != NULL) {
        uint64_t base = item->id.base;
        CLG_ASSERT(fold->views[v] != NULL);
        rc = item->slots[v].state == CLG_SLOT_FROZEN ? files_build(fold, fold->views[v], base, err)
                                                     : files_write(fold, fold->views[v], base, err);
    }
    *out_more = rc == 0 && files_find(fold, durable, &v) != NULL;
    clg_mutex_unlock(os, &fold->lock);
    clg_mutex_unlock(os, &fold->files);
    return rc;
}

/* As files_build. The file is verified as a whole first: what was folded is known to be right. */
static void files_take(struct clg_fold *fold, struct clg_view *view, uint64_t base)
{
    const struct commitlog_os *os = fold->config.os;
    struct clg_view_item taken = {.id = clg_view_segments_find(&fold->segments, base)->id};
    struct clg_view_slot *slot = &taken.slots[view->slot];
    struct clg_image image = {0};
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, view->ops->file, base);
    clg_mutex_unlock(os, &fold->lock);
    int rc = files_map(view, &taken.id, name, &image);
    if (rc == 0) {
        rc = view->ops->install(view, &taken, &image, CLG_SLOT_MAPPED);
        if (rc != 0) {
            clg_image_free(os, &image);
        }
    }
    rc = rc == 0 ? view->ops->verify(view, &taken) : rc;
    clg_mutex_lock(os, &fold->lock);
    struct clg_view_slot *folded =
        &clg_view_segments_find(&fold->segments, base)->slots[view->slot];
    CLG_ASSERT(folded->state == CLG_SLOT_FROZEN);
    if (rc == 0) {
        clg_view_slot_clear(view, folded);
        *folded = *slot;
    } else {
        clg_view_slot_clear(view, slot); /* not written yet, or not to be mapped, or not good */
    }
}

/* The oldest segment from `from` on of which a view has no image. NULL: none. */
static const struct clg_view_item *files_find_frozen(struct clg_fold *fold, uint64_t from)
{
    for (uint32_t i = 0; i < fold->segments.count; i++) {
        const struct clg_view_item *item = clg_view_segments_at(&fold->segments, i);
        for (uint32_t v = 0; item->id.base >= from && v < fold->view_count; v++) {
            if (item->slots[v].state == CLG_SLOT_FROZEN) {
                return item;
            }
        }
    }
    return NULL;
}

void clg_fold_take_files(struct clg_fold *fold)
{
    const struct commitlog_os *os = fold->config.os;
    CLG_ASSERT(fold->config.read_only);
    if (fold->config.view_dirfd < 0) {
        return;
    }
    clg_mutex_lock(os, &fold->files); /* nothing is dropped, or built, meanwhile */
    clg_mutex_lock(os, &fold->lock);
    for (uint32_t left = TAKE_SEGMENTS; left > 0; left--) {
        const struct clg_view_item *item = files_find_frozen(fold, fold->take_from);
        if (item == NULL) {
            fold->take_from = 0; /* next time from the oldest one on: it may be written now */
            break;
        }
        const uint64_t base = item->id.base;
        for (uint32_t v = 0; v < fold->view_count; v++) {
            item = clg_view_segments_find(&fold->segments, base);
            if (item->slots[v].state == CLG_SLOT_FROZEN) {
                files_take(fold, fold->views[v], base);
            }
        }
        fold->take_from = base + 1;
    }
    clg_mutex_unlock(os, &fold->lock);
    clg_mutex_unlock(os, &fold->files);
}

bool clg_fold_images_written(struct clg_fold *fold, uint64_t position)
{
    bool written = true;
    if (!files_can_write(fold)) {
        return true;
    }
    clg_mutex_lock(fold->config.os, &fold->lock);
    for (uint32_t i = 0; written && i < fold->segments.count; i++) {
        const struct clg_view_item *item = clg_view_segments_at(&fold->segments, i);
        for (uint32_t v = 0; item->id.end <= position && v < fold->view_count; v++) {
            const struct clg_view_slot *slot = &item->slots[v];
            CLG_ASSERT(slot->state != CLG_SLOT_MAPPED || slot->image.mapped);
            written = written && slot->state != CLG_SLOT_FROZEN &&
                      (slot->state != CLG_SLOT_MEMORY || slot->written);
        }
    }
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return written;
}

/* Reads a whole file by pread and verifies it: a bad sector is an answer here, not a signal. */
static int scrub_file(struct clg_view *view, const struct clg_view_segment *id)
{
    const struct commitlog_os *os = view->context.os;
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, view->ops->file, id->base);
    struct clg_image_file file;
    int rc = clg_image_file_open(os, view->context.view_dirfd, name, &file);
    if (rc != 0) {
        return rc;
    }
    struct clg_image image = {0};
    struct clg_view_item item = {.id = *id};
    rc = clg_image_alloc(os, file.size, &image);
    if (rc == 0) {
        rc = clg_image_file_read(&file, 0, image.bytes, file.size);
    }
    clg_image_file_close(&file);
    if (rc == 0) {
        rc = view->ops->install(view, &item, &image, CLG_SLOT_MEMORY);
    }
    if (item.slots[view->slot].state == CLG_SLOT_NONE) {
        CLG_ASSERT(rc != 0);
        clg_image_free(os, &image);
        return rc;
    }
    rc = view->ops->verify(view, &item);
    clg_view_slot_clear(view, &item.slots[view->slot]);
    CLG_ASSERT(rc <= 0);
    return rc;
}

int clg_fold_scrub(struct clg_fold *fold, uint64_t base, uint32_t *out_rebuilt,
                   struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    int rc = COMMITLOG_ENOTFOUND;
    uint32_t rebuilt = 0;
    CLG_ASSERT(out_rebuilt != NULL);
    clg_mutex_lock(os, &fold->files);
    for (uint32_t v = 0; v < fold->view_count; v++) {
        struct clg_view *view = fold->views[v];
        if (view == NULL || !view->ops->sealed) {
            continue;
        }
        clg_mutex_lock(os, &fold->lock);
        struct clg_view_item *item = clg_view_segments_find(&fold->segments, base);
        bool on_disk = item != NULL && (item->slots[v].state == CLG_SLOT_MAPPED ||
                                        item->slots[v].state == CLG_SLOT_ON_DISK);
        const struct clg_view_segment id = item != NULL ? item->id : (struct clg_view_segment){0};
        rc = item == NULL ? COMMITLOG_ENOTFOUND : 0;
        clg_mutex_unlock(os, &fold->lock);
        if (!on_disk) {
            continue;
        }
        rc = scrub_file(view, &id);
        if (rc == 0 || rc == COMMITLOG_ENOMEM || rc == COMMITLOG_ELIMIT) {
            continue;
        }
        clg_mutex_lock(os, &fold->lock);
        uint32_t made = 0;
        item = clg_view_segments_find(&fold->segments, base);
        clg_view_slot_clear(view, &item->slots[v]);
        rc = clg_fold_repair(fold, &made, err);
        rebuilt += made;
        clg_mutex_unlock(os, &fold->lock);
    }
    clg_mutex_unlock(os, &fold->files);
    *out_rebuilt = rebuilt;
    return rc;
}

/* Takes the oldest item off the list; false: it is still needed. */
static bool drop_oldest(struct clg_fold *fold, uint64_t *base, bool *more)
{
    struct clg_view_segments *segments = &fold->segments;
    CLG_ASSERT(clg_mutex_is_held(&fold->lock));
    if (segments->count == 0 || clg_view_segments_at(segments, 0)->id.end > segments->first) {
        *more = false;
        return false;
    }
    struct clg_view_item *item = clg_view_segments_at(segments, 0);
    *base = item->id.base;
    for (uint32_t v = 0; v < fold->view_count; v++) {
        if (fold->views[v] != NULL && fold->views[v]->ops->sealed) {
            clg_view_slot_clear(fold->views[v], &item->slots[v]);
        }
    }
    segments->start++;
    segments->count--;
    *more = segments->count > 0 && clg_view_segments_at(segments, 0)->id.end <= segments->first;
    CLG_ASSERT(segments->start + segments->count <= segments->room);
    return true;
}

int clg_fold_drop_one(struct clg_fold *fold, bool *out_more, struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    uint64_t base = 0;
    int rc = 0;
    CLG_ASSERT(out_more != NULL);
    clg_mutex_lock(os, &fold->files);
    clg_mutex_lock(os, &fold->lock);
    bool dropped = drop_oldest(fold, &base, out_more);
    clg_mutex_unlock(os, &fold->lock);
    for (uint32_t v = 0; dropped && files_can_write(fold) && v < CLG_VIEW_COUNT; v++) {
        if (!clg_fold_views[v]->sealed) {
            continue;
        }
        char name[CLG_SEGMENT_NAME_BYTES];
        clg_segment_name_make(name, clg_fold_views[v]->file, base);
        int unlinked = os->unlink_at(os, fold->config.view_dirfd, name);
        if (unlinked < 0 && unlinked != -ENOENT && rc == 0) {
            rc = clg_fail_os(err, unlinked, base, "remove %s", name);
        }
    }
    clg_mutex_unlock(os, &fold->files);
    return rc;
}

int clg_fold_sync_dir(struct clg_fold *fold, struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    CLG_ASSERT(os != NULL);
    if (!files_can_write(fold)) {
        return 0;
    }
    int rc = os->fsync(os, fold->config.view_dirfd);
    CLG_ASSERT(rc <= 0);
    return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "flush the view directory") : 0;
}
