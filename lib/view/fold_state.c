/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold_state.c -- the .state file: small state as of the beginning of the active segment.
 *
 * The active segment has to be folded at every opening anyway, so nothing of it is in the file. The
 * file's own section says which segments stood before it, and names the newest record folded: a
 * log that does not have exactly these is not the log of this state.
 *
 * Invariants: written only when everything folded is durable, so recovery never cuts below it.
 * Threads and locks: files, then lock to collect; no lock to make room, to check and to write.
 * Happy path: save: collect -> write -> remove older ones. Restore: open -> compare -> views.
 * Failure modes: any doubt while restoring resets everything; the caller tries an older file, or
 *       folds the log.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "format/record.h"
#include "format/state_file.h"
#include "segment/segment_scan.h"
#include "view/fold_internal.h"
#include "view/lookup.h"

/* Old files removed per call; what is left goes with the next one. */
#define STATE_OLD_MAX 16u
/* Of a buffer, for what is created between making it and filling it. */
#define STATE_SPARE_PART 16u
#define STATE_SPARE_BYTES 4096u

static uint64_t state_fold_bytes(const struct clg_fold *fold)
{
    return CLG_STATE_FOLD_BYTES + (uint64_t)fold->segments.count * CLG_STATE_ITEM_BYTES;
}

static uint64_t state_bytes(const struct clg_fold *fold)
{
    uint64_t bytes = CLG_VIEW_HEADER_BYTES + clg_state_section_bytes(state_fold_bytes(fold));
    for (uint32_t i = 0; i < fold->view_count; i++) {
        const struct clg_view *view = fold->views[i];
        if (view != NULL && view->ops->state_id != 0) {
            bytes += clg_state_section_bytes(view->ops->save_bytes(view));
        }
    }
    CLG_ASSERT(bytes > CLG_VIEW_HEADER_BYTES);
    return bytes;
}

static void state_put_fold(const struct clg_fold *fold, uint64_t salt, uint8_t *out)
{
    const struct clg_view_segments *segments = &fold->segments;
    CLG_ASSERT(out != NULL);
    clg_store_le64(out + CLG_STATE_FOLD_AT_ACTIVE, segments->active_base);
    clg_store_le64(out + CLG_STATE_FOLD_AT_SALT, salt);
    clg_store_le64(out + CLG_STATE_FOLD_AT_LAST, fold->last_position);
    clg_store_le32(out + CLG_STATE_FOLD_AT_LAST_CHECK, fold->last_header_check);
    clg_store_le32(out + CLG_STATE_FOLD_AT_COUNT, segments->count);
    clg_store_le64(out + CLG_STATE_FOLD_AT_ZERO, 0);
    uint8_t *at = out + CLG_STATE_FOLD_BYTES;
    for (uint32_t i = 0; i < segments->count; i++) {
        const struct clg_view_item *item = clg_view_segments_at(segments, i);
        CLG_ASSERT(item->id.base < segments->active_base);
        clg_store_le64(at + CLG_STATE_ITEM_AT_BASE, item->id.base);
        clg_store_le64(at + CLG_STATE_ITEM_AT_SALT, item->id.salt);
        clg_store_le64(at + CLG_STATE_ITEM_AT_END, item->id.end);
        clg_store_le64(at + CLG_STATE_ITEM_AT_OLDEST, (uint64_t)item->first_time);
        clg_store_le64(at + CLG_STATE_ITEM_AT_NEWEST, (uint64_t)item->last_time);
        at += CLG_STATE_ITEM_BYTES;
    }
}

/* A buffer for what the state takes, and the lock held from when it was found large enough. Its
 * pages are there already: a million topics have some 80 MB of it, whose faults would keep readers
 * waiting. On failure the lock is held too. */
static int state_make_room(struct clg_fold *fold, struct clg_image *out)
{
    const struct commitlog_os *os = fold->config.os;
    int rc = 0;
    clg_mutex_lock(os, &fold->lock);
    for (uint64_t bytes = state_bytes(fold); rc == 0 && bytes > out->size;
         bytes = state_bytes(fold)) {
        clg_mutex_unlock(os, &fold->lock);
        clg_image_free(os, out);
        rc = clg_image_alloc(os, bytes + bytes / STATE_SPARE_PART + STATE_SPARE_BYTES, out);
        if (rc == 0) {
            memset(out->bytes, 0, (size_t)out->size);
        }
        clg_mutex_lock(os, &fold->lock);
    }
    CLG_ASSERT(rc != 0 || out->size >= state_bytes(fold));
    return rc;
}

/* Under the lock: everything into the buffer. */
static void state_collect(const struct clg_fold *fold, uint64_t salt, struct clg_image *image,
                          struct clg_state_writer *writer)
{
    CLG_ASSERT(clg_mutex_is_held(&fold->lock));
    image->size = state_bytes(fold);
    clg_state_writer_init(writer, image->bytes, image->size);
    uint8_t *at = clg_state_writer_section(writer, CLG_STATE_FOLD_ID, state_fold_bytes(fold));
    CLG_ASSERT(at != NULL);
    state_put_fold(fold, salt, at);
    for (uint32_t i = 0; i < fold->view_count; i++) {
        const struct clg_view *view = fold->views[i];
        if (view == NULL || view->ops->state_id == 0) {
            continue;
        }
        uint64_t bytes = view->ops->save_bytes(view);
        at = clg_state_writer_section(writer, view->ops->state_id, bytes);
        CLG_ASSERT(at != NULL);
        view->ops->save(view, at, bytes);
    }
}

/* Without the lock: what was collected gets its header and checks. */
static void state_finish(const struct clg_fold *fold, uint64_t position, uint32_t epoch,
                         const struct clg_image *image, struct clg_state_writer *writer)
{
    struct clg_state_info info = {.position = position, .epoch = epoch};
    memcpy(info.uuid, fold->config.uuid, CLG_UUID_BYTES);
    uint64_t size = clg_state_writer_finish(writer, &info);
    CLG_ASSERT(size == image->size);
    (void)size;
    (void)image;
}

struct state_old {
    uint64_t keep;
    uint64_t positions[STATE_OLD_MAX];
    uint32_t count;
};

static int state_list_old(void *ctx, const char *text, enum clg_os_type type)
{
    struct state_old *old = ctx;
    struct clg_segment_name name;
    CLG_ASSERT(old->count <= STATE_OLD_MAX);
    if (type != CLG_OS_FILE || !clg_segment_name_parse(text, &name) || name.temporary ||
        name.kind != CLG_FILE_STATE || name.position == old->keep || old->count == STATE_OLD_MAX) {
        return 0;
    }
    CLG_ASSERT(name.position != old->keep);
    old->positions[old->count++] = name.position;
    return 0;
}

static int state_remove_old(struct clg_fold *fold, uint64_t keep, struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    struct state_old old = {.keep = keep, .count = 0};
    int rc = os->list_dir(os, fold->config.view_dirfd, state_list_old, &old);
    CLG_ASSERT(old.count <= STATE_OLD_MAX);
    for (uint32_t i = 0; rc >= 0 && i < old.count; i++) {
        char name[CLG_SEGMENT_NAME_BYTES];
        clg_segment_name_make(name, CLG_FILE_STATE, old.positions[i]);
        rc = os->unlink_at(os, fold->config.view_dirfd, name);
        rc = rc == -ENOENT ? 0 : rc;
    }
    return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "remove old .state files") : 0;
}

static int state_active_salt(struct clg_fold *fold, uint64_t *salt)
{
    struct clg_segment *segment = NULL;
    CLG_ASSERT(salt != NULL);
    /* The active segment may not exist yet: everything is folded up to a closing pad. */
    *salt = 0;
    int rc = clg_segment_set_pin(fold->config.set, fold->segments.active_base, &segment);
    if (rc == COMMITLOG_EBEYOND) {
        return 0;
    }
    if (rc == 0) {
        *salt = segment->salt;
        clg_segment_unref(segment);
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

int clg_fold_save_state(struct clg_fold *fold, clg_fold_reach_fn reach, void *ctx, uint32_t epoch,
                        uint64_t *out_position, struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    CLG_ASSERT(out_position != NULL);
    if (fold->config.read_only || fold->config.view_dirfd < 0) {
        return clg_fail(err, COMMITLOG_EMISUSE, 0, CLG_NO_POSITION, "no directory for .state");
    }
    clg_mutex_lock(os, &fold->files);
    clg_lookup_trim_work(fold);
    struct clg_image image = {0};
    struct clg_state_writer writer;
    int rc = state_make_room(fold, &image);
    uint64_t position = clg_load_relaxed_u64(&fold->folded);
    uint64_t active = fold->segments.active_base;
    uint64_t salt = 0;
    /* A batch or a record that some views have and others not, for want of memory, is behind
     * `folded` and would be applied again by whoever loads this. */
    bool half = fold->applied > position || fold->resume_view != 0;
    rc = rc == 0 && half ? COMMITLOG_EMISUSE : rc;
    if (rc == 0) {
        rc = state_active_salt(fold, &salt);
    }
    if (rc == 0) {
        state_collect(fold, salt, &image, &writer);
    }
    clg_mutex_unlock(os, &fold->lock);
    if (rc == 0) {
        state_finish(fold, position, epoch, &image, &writer);
        rc = reach(ctx, position);
    }
    if (rc != 0) {
        clg_image_free(os, &image);
        clg_mutex_unlock(os, &fold->files);
        return clg_fail(err, rc, 0, position, "save .state");
    }
    char name[CLG_SEGMENT_NAME_BYTES];
    char temp[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_STATE, position);
    clg_segment_name_make_temp(temp, CLG_FILE_STATE, position);
    rc = clg_image_write(os, fold->config.view_dirfd, name, temp, fold->config.file_mode, &image,
                         err);
    clg_image_free(os, &image);
    if (rc == 0) {
        rc = state_remove_old(fold, position, err);
    }
    if (rc == 0) {
        clg_mutex_lock(os, &fold->lock);
        fold->state_position = position;
        fold->state_active_base = active;
        clg_mutex_unlock(os, &fold->lock);
        *out_position = position;
    }
    clg_mutex_unlock(os, &fold->files);
    return rc;
}

bool clg_fold_state_due(struct clg_fold *fold)
{
    CLG_ASSERT(fold != NULL);
    if (fold->config.read_only || fold->config.view_dirfd < 0) {
        return false;
    }
    clg_mutex_lock(fold->config.os, &fold->lock);
    uint64_t folded = clg_load_relaxed_u64(&fold->folded);
    /* A state is one of a segment's beginning: within the same segment a new one saves nothing. */
    bool due = fold->segments.active_base > fold->state_active_base &&
               folded - fold->state_position >= 10 * state_bytes(fold);
    CLG_ASSERT(folded >= fold->state_position);
    clg_mutex_unlock(fold->config.os, &fold->lock);
    return due;
}

/* The log's segment at `base` is the one the state speaks of. */
static int state_agree_segment(struct clg_fold *fold, const struct clg_view_segment *id)
{
    struct clg_segment *segment = NULL;
    int rc = clg_segment_set_pin(fold->config.set, id->base, &segment);
    if (rc != 0) {
        return COMMITLOG_EDAMAGED;
    }
    CLG_ASSERT(segment != NULL);
    bool same =
        segment->base == id->base && segment->salt == id->salt && segment->data_end == id->end;
    clg_segment_unref(segment);
    return same ? 0 : COMMITLOG_EDAMAGED;
}

/* The newest record the state has seen is still there. */
static int state_agree_last(struct clg_fold *fold, uint64_t position, uint32_t header_check)
{
    struct clg_segment *segment = NULL;
    if (position == CLG_NO_POSITION) {
        return 0;
    }
    if (clg_segment_set_pin(fold->config.set, position, &segment) != 0) {
        return COMMITLOG_EDAMAGED;
    }
    bool there = clg_scan_is_record(segment, position, header_check);
    CLG_ASSERT(there || position >= segment->base);
    clg_segment_unref(segment);
    return there ? 0 : COMMITLOG_EDAMAGED;
}

static int state_take_items(struct clg_fold *fold, const uint8_t *data, uint32_t count,
                            uint64_t log_first)
{
    uint64_t next = 0; /* base that the next item must have */
    bool started = false;
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = data + CLG_STATE_FOLD_BYTES + (size_t)i * CLG_STATE_ITEM_BYTES;
        const struct clg_view_segment id = {.base = clg_load_le64(at + CLG_STATE_ITEM_AT_BASE),
                                            .salt = clg_load_le64(at + CLG_STATE_ITEM_AT_SALT),
                                            .end = clg_load_le64(at + CLG_STATE_ITEM_AT_END)};
        if (id.base < log_first) {
            continue; /* retention dropped it after the state was written */
        }
        struct clg_view_item *item = NULL;
        int rc = (!started && id.base != log_first) || (started && id.base != next)
                     ? COMMITLOG_EDAMAGED
                     : state_agree_segment(fold, &id);
        if (rc == 0) {
            rc = clg_fold_item_need(fold, &id, &item);
        }
        if (rc != 0) {
            return rc;
        }
        CLG_ASSERT(item != NULL);
        item->first_time = (int64_t)clg_load_le64(at + CLG_STATE_ITEM_AT_OLDEST);
        item->last_time = (int64_t)clg_load_le64(at + CLG_STATE_ITEM_AT_NEWEST);
        for (uint32_t v = 0; v < fold->view_count; v++) {
            bool sealed = fold->views[v] != NULL && fold->views[v]->ops->sealed;
            item->slots[v].state =
                sealed && fold->config.view_dirfd >= 0 ? CLG_SLOT_ON_DISK : CLG_SLOT_NONE;
        }
        started = true;
        next = id.end + CLG_SEGMENT_FOOTER;
    }
    CLG_ASSERT(fold->segments.count <= count);
    return (started && next != fold->segments.active_base) ||
                   (!started && log_first < fold->segments.active_base)
               ? COMMITLOG_EDAMAGED
               : 0;
}

static int state_take_fold(struct clg_fold *fold, const struct clg_state_file *file)
{
    struct clg_state_section section;
    int rc = clg_state_file_find(file, CLG_STATE_FOLD_ID, &section);
    if (rc != 0 || section.bytes < CLG_STATE_FOLD_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    uint32_t count = clg_load_le32(section.data + CLG_STATE_FOLD_AT_COUNT);
    uint64_t log_first = 0;
    uint64_t log_end = 0;
    if ((section.bytes - CLG_STATE_FOLD_BYTES) / CLG_STATE_ITEM_BYTES != count ||
        (section.bytes - CLG_STATE_FOLD_BYTES) % CLG_STATE_ITEM_BYTES != 0 ||
        clg_segment_set_range(fold->config.set, &log_first, &log_end) != 0) {
        return COMMITLOG_EDAMAGED;
    }
    uint64_t active = clg_load_le64(section.data + CLG_STATE_FOLD_AT_ACTIVE);
    uint64_t salt = clg_load_le64(section.data + CLG_STATE_FOLD_AT_SALT);
    uint64_t last = clg_load_le64(section.data + CLG_STATE_FOLD_AT_LAST);
    fold->segments.active_base = active;
    if (active < log_first || active > log_end || file->info.position < active) {
        return COMMITLOG_EDAMAGED;
    }
    rc = state_take_items(fold, section.data, count, log_first);
    if (rc == 0 && salt != 0) {
        struct clg_segment *segment = NULL;
        rc = clg_segment_set_pin(fold->config.set, active, &segment);
        if (rc == 0) {
            rc = segment->base == active && segment->salt == salt ? 0 : COMMITLOG_EDAMAGED;
            clg_segment_unref(segment);
        }
    }
    if (rc == 0 && last != CLG_NO_POSITION && last >= file->info.position) {
        rc = COMMITLOG_EDAMAGED;
    }
    if (rc == 0) {
        rc = state_agree_last(fold, last,
                              clg_load_le32(section.data + CLG_STATE_FOLD_AT_LAST_CHECK));
    }
    return rc;
}

/* Topics come last: what they add to the registry cannot be taken back. */
static int state_take_views(struct clg_fold *fold, const struct clg_state_file *file)
{
    int rc = 0;
    CLG_ASSERT(fold->view_count > CLG_VIEW_TOPICS);
    for (uint32_t i = fold->view_count; rc == 0 && i > 0; i--) {
        struct clg_view *view = fold->views[i - 1];
        struct clg_state_section section;
        if (view == NULL || view->ops->state_id == 0) {
            continue;
        }
        rc = clg_state_file_find(file, view->ops->state_id, &section);
        if (rc == 0) {
            rc = view->ops->restore(view, section.data, section.bytes, file->info.position);
        }
        CLG_ASSERT(rc <= 0);
    }
    return rc;
}

void clg_fold_reset(struct clg_fold *fold)
{
    clg_fold_clear_segments(fold);
    for (uint32_t i = 0; i < fold->view_count; i++) {
        if (fold->views[i] != NULL) {
            fold->views[i]->ops->reset(fold->views[i]);
        }
    }
    fold->segments.active_base = 0;
    CLG_ASSERT(fold->segments.count == 0);
    CLG_ASSERT(!fold->attached);
}

/* Is the file as long as its header says, and as a state of this log may be? One that is larger is
 * not read, which costs time and nothing else. */
static int state_check_length(const struct clg_fold *fold, const struct clg_image_file *file)
{
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    uint64_t first = 0;
    uint64_t end = 0;
    CLG_ASSERT(file->size > 0);
    int rc = clg_segment_set_range(fold->config.set, &first, &end);
    if (rc == 0 && !clg_state_file_can_be(file->size, end - first)) {
        rc = COMMITLOG_EDAMAGED;
    }
    if (rc == 0) {
        rc = clg_image_file_read(file, 0, header, sizeof(header));
    }
    if (rc == 0 && clg_load_le64(header + CLG_STATE_AT_BYTES) != file->size - sizeof(header)) {
        rc = COMMITLOG_EDAMAGED;
    }
    return rc;
}

int clg_fold_restore_state(struct clg_fold *fold, uint64_t position)
{
    const struct commitlog_os *os = fold->config.os;
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_STATE, position);
    struct clg_image_file file;
    int rc = clg_image_file_open(os, fold->config.view_dirfd, name, &file);
    if (rc != 0) {
        return rc;
    }
    struct clg_image image = {0};
    struct clg_state_file state;
    rc = state_check_length(fold, &file);
    if (rc == 0) {
        rc = clg_image_alloc(os, file.size, &image);
    }
    if (rc == 0) {
        rc = clg_image_file_read(&file, 0, image.bytes, file.size);
    }
    clg_image_file_close(&file);
    if (rc == 0) {
        rc = clg_state_file_open(&state, image.bytes, image.size, fold->config.uuid);
    }
    if (rc == 0 && state.info.position != position) {
        rc = COMMITLOG_EDAMAGED;
    }
    if (rc == 0) {
        rc = state_take_fold(fold, &state);
    }
    if (rc == 0) {
        rc = state_take_views(fold, &state);
    }
    clg_image_free(os, &image);
    if (rc != 0) {
        clg_fold_reset(fold);
    } else {
        fold->state_position = position;
        fold->state_active_base = fold->segments.active_base;
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}
