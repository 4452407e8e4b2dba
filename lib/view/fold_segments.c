/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold_segments.c -- the list of finished segments, and making the data of one again.
 *
 * Invariants: items ascend by base. A rebuilt image says the same as the lost one but for links to
 *       older segments, which it leaves to a search.
 * Threads and locks: under the fold lock.
 * Happy path: clg_fold_end_segment at a pad.
 * Failure modes: ENOMEM: repeat. Rebuild: whatever reading the segment gives; bytes that do not
 *       verify are passed over, because a damaged record must not hide its neighbours.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/record.h"
#include "view/fold_internal.h"

#define SEGMENTS_ROOM_FIRST 16u

static int segments_make_room(struct clg_fold *fold)
{
    struct clg_view_segments *segments = &fold->segments;
    const struct commitlog_os *os = fold->config.os;
    if (segments->start + segments->count < segments->room) {
        return 0;
    }
    if (segments->start > segments->room / 2) {
        memmove(segments->items, &segments->items[segments->start],
                segments->count * sizeof(*segments->items));
        segments->start = 0;
        return 0;
    }
    uint32_t room = segments->room == 0 ? SEGMENTS_ROOM_FIRST : segments->room * 2;
    CLG_ASSERT(room > segments->count);
    struct clg_view_item *items =
        clg_os_grow_array(os, segments->items, segments->room, room, sizeof(*items));
    if (items == NULL) {
        return COMMITLOG_ENOMEM;
    }
    segments->items = items;
    segments->room = room;
    CLG_ASSERT(segments->start + segments->count < segments->room);
    return 0;
}

int clg_fold_item_need(struct clg_fold *fold, const struct clg_view_segment *id,
                       struct clg_view_item **out)
{
    struct clg_view_segments *segments = &fold->segments;
    struct clg_view_item *item = clg_view_segments_find(segments, id->base);
    if (item == NULL) {
        int rc = segments_make_room(fold);
        if (rc != 0) {
            return rc;
        }
        CLG_ASSERT(segments->count == 0 ||
                   clg_view_segments_at(segments, segments->count - 1)->id.base < id->base);
        item = clg_view_segments_at(segments, segments->count);
        memset(item, 0, sizeof(*item));
        item->id = *id;
        item->first_time = INT64_MIN;
        item->last_time = INT64_MAX;
        segments->count++;
    }
    CLG_ASSERT(item->id.base == id->base);
    *out = item;
    return 0;
}

/* The slot of the segment that ends is still to be filled: no file of it was found at opening. */
static bool end_fills(const struct clg_fold *fold, const struct clg_view_item *item, uint32_t v)
{
    const struct clg_view *view = fold->views[v];
    return view != NULL && view->ops->sealed &&
           (item == NULL || item->slots[v].state == CLG_SLOT_NONE);
}

/* All memory first: a segment of which one view had moved its data and another had not would be
 * looked up, and made again from a file to which its end is not written yet. */
static int end_reserve(struct clg_fold *fold, const struct clg_view_segment *id,
                       void *reserved[CLG_VIEWS_MAX], struct clg_view_item **item)
{
    int rc = 0;
    *item = clg_view_segments_find(&fold->segments, id->base);
    for (uint32_t v = 0; rc == 0 && v < fold->view_count; v++) {
        if (end_fills(fold, *item, v)) {
            reserved[v] = fold->views[v]->ops->reserve(fold->views[v]);
            rc = reserved[v] == NULL ? COMMITLOG_ENOMEM : 0;
        }
    }
    if (rc == 0) {
        rc = clg_fold_item_need(fold, id, item);
    }
    for (uint32_t v = 0; rc != 0 && v < fold->view_count; v++) {
        fold->config.os->free(fold->config.os, reserved[v]);
    }
    return rc;
}

int clg_fold_end_segment(struct clg_fold *fold, const struct clg_view_segment *id)
{
    struct clg_view_item *item = NULL;
    void *reserved[CLG_VIEWS_MAX] = {NULL};
    CLG_ASSERT(fold->segments.active_base == id->base);
    int rc = end_reserve(fold, id, reserved, &item);
    if (rc != 0) {
        return rc;
    }
    for (uint32_t v = 0; v < fold->view_count; v++) {
        if (end_fills(fold, item, v)) {
            fold->views[v]->ops->freeze(fold->views[v], item, reserved[v]);
            CLG_ASSERT(item->slots[v].state == CLG_SLOT_FROZEN);
        }
    }
    /* Where no record could be read the times are as unknown as before. */
    if (fold->segments.active_first_time <= fold->segments.active_last_time) {
        item->first_time = fold->segments.active_first_time;
        item->last_time = fold->segments.active_last_time;
    }
    fold->segments.active_first_time = INT64_MAX;
    fold->segments.active_last_time = INT64_MIN;
    return 0;
}

void clg_fold_clear_segments(struct clg_fold *fold)
{
    struct clg_view_segments *segments = &fold->segments;
    for (uint32_t i = 0; i < segments->count; i++) {
        struct clg_view_item *item = clg_view_segments_at(segments, i);
        for (uint32_t v = 0; v < fold->view_count; v++) {
            if (fold->views[v] != NULL && fold->views[v]->ops->sealed) {
                clg_view_slot_clear(fold->views[v], &item->slots[v]);
            }
        }
    }
    segments->start = 0;
    segments->count = 0;
    CLG_ASSERT(segments->count == 0);
    CLG_ASSERT(segments->start <= segments->room);
}

static void scan_view(const struct clg_fold_scan *scan, const struct clg_scan_record *record,
                      struct clg_record_view *out)
{
    bool pad = record->header.kind == CLG_KIND_PAD;
    CLG_ASSERT(record->verdict == CLG_SCAN_OK);
    CLG_ASSERT(record->next_position > record->position);
    *out = (struct clg_record_view){.position = record->position,
                                    .next_position =
                                        record->next_position + (pad ? CLG_SEGMENT_GAP : 0),
                                    .segment_base = scan->segment->base,
                                    .header = record->header,
                                    .attributes = record->attributes,
                                    .body = record->body,
                                    .body_bytes = record->body != NULL ? record->body_bytes : 0};
}

/* Go on behind what does not verify. 1: nothing valid follows. */
static int scan_skip(struct clg_fold_scan *scan, struct clg_scan *at,
                     const struct clg_scan_record *record, uint64_t end,
                     struct commitlog_error *err)
{
    uint64_t from = record->position;
    uint64_t to = clg_min_u64(clg_scan_damage_end(record), end);
    CLG_ASSERT(from < end);
    /* Of a file that was cut short nothing comes back. */
    bool is_short = scan->segment->file_bytes < scan->segment->bytes;
    scan->unreadable =
        scan->unreadable ||
        (!is_short && (record->verdict == CLG_SCAN_BAD_READ || record->fault == CLG_SCAN_BAD_READ));
    if (to == 0) {
        struct clg_scan_search search;
        int rc = clg_scan_resync(at, from + CLG_RECORD_ALIGN, end, &search, err);
        scan->unreadable = scan->unreadable || (!is_short && search.unreadable > 0);
        if (rc != 0 && rc != COMMITLOG_ENOTFOUND && rc != COMMITLOG_EDAMAGED) {
            return rc;
        }
        to = rc == 0 ? search.found : end;
    }
    scan->damaged_ranges++;
    scan->damaged_bytes += to - from;
    if (scan->damage != NULL) {
        scan->damage(scan->damage_ctx, from, to);
    }
    CLG_ASSERT(to > from);
    clg_scan_skip(at, to);
    return to < end ? 0 : 1;
}

static int scan_verdict(struct clg_fold_scan *scan, struct clg_scan *at,
                        const struct clg_scan_record *record, struct commitlog_error *err)
{
    if (record->verdict == CLG_SCAN_END) {
        return 1;
    }
    CLG_ASSERT(record->verdict != CLG_SCAN_OK);
    uint64_t end = clg_min_u64(scan->end, scan->segment->data_end);
    if (scan->skip_damage) {
        return scan_skip(scan, at, record, end, err);
    }
    return clg_fail(err, COMMITLOG_EDAMAGED, record->os_errno, record->position,
                    "segment %020llu: %s%s%s", (unsigned long long)scan->segment->base,
                    clg_scan_verdict_text(record->verdict), record->why[0] != '\0' ? ": " : "",
                    record->why);
}

/* Recovery has verified the rest: only what the headers say is wanted. */
static int scan_go_lightly(const struct clg_fold_scan *scan, struct clg_scan *at,
                           struct commitlog_error *err)
{
    at->mode = CLG_SCAN_HEADER_ONLY;
    if (!scan->may_map) {
        return 0;
    }
    clg_scan_free(at);
    return clg_scan_use_map(at, err);
}

int clg_fold_scan(const struct commitlog_os *os, struct clg_fold_scan *scan,
                  struct commitlog_error *err)
{
    struct clg_scan at;
    int rc = 0;
    CLG_ASSERT(os != NULL);
    clg_scan_init(&at, scan->segment, 0, scan->mode);
    bool verified = false;
    while (rc == 0 && at.next < scan->end) {
        struct clg_scan_record record;
        if (!verified && at.next >= scan->verified_from) {
            verified = true;
            rc = scan_go_lightly(scan, &at, err);
        }
        if (rc == 0) {
            rc = clg_scan_step(&at, &record, err);
        }
        if (rc != 0) {
            break;
        }
        if (record.verdict != CLG_SCAN_OK) {
            rc = scan_verdict(scan, &at, &record, err);
            continue;
        }
        struct clg_record_view view;
        scan_view(scan, &record, &view);
        scan->records++;
        scan->padded = record.header.kind == CLG_KIND_PAD;
        rc = scan->apply(scan->ctx, &view);
        if (rc != 0) {
            (void)clg_fail(err, rc, 0, view.position, "fold: %srecord in segment %020llu",
                           rc == COMMITLOG_ENOMEM ? "no memory for a " : "",
                           (unsigned long long)scan->segment->base);
        }
    }
    clg_scan_free(&at);
    CLG_ASSERT(rc <= 1);
    return rc == 1 ? 0 : rc;
}

static int rebuild_apply(void *ctx, const struct clg_record_view *record)
{
    struct clg_view *scratch = ctx;
    CLG_ASSERT(scratch != NULL);
    CLG_ASSERT(record != NULL);
    return clg_view_takes(scratch->ops, record->header.kind) ? scratch->ops->apply(scratch, record)
                                                             : 0;
}

#define REBUILD_RANGES 64u
#define REBUILD_AGAIN_NS (INT64_C(1000) * CLG_OS_NS_PER_MS)
/* So often, a second apart, some of a segment did not read until that counts as dead. */
#define REBUILD_DEAD 3u

struct rebuild_ranges {
    uint64_t from[REBUILD_RANGES];
    uint64_t to[REBUILD_RANGES];
    uint32_t count;
};

/* The last one takes in what there is no place for. */
static void rebuild_note(void *ctx, uint64_t from, uint64_t to)
{
    struct rebuild_ranges *ranges = ctx;
    if (ranges->count == REBUILD_RANGES) {
        ranges->to[REBUILD_RANGES - 1] = to;
        return;
    }
    ranges->from[ranges->count] = from;
    ranges->to[ranges->count++] = to;
}

static int rebuild_frozen(struct clg_view *scratch, struct clg_view_item *item,
                          struct clg_image *out, struct commitlog_error *err)
{
    void *reserved = scratch->ops->reserve(scratch);
    int rc = COMMITLOG_ENOMEM;
    if (reserved != NULL) {
        scratch->ops->freeze(scratch, item, reserved);
        if (scratch->ops->detach_links != NULL) {
            scratch->ops->detach_links(scratch, item);
        }
        rc = scratch->ops->build(scratch, item, out);
    }
    return rc == 0 ? 0 : clg_fail(err, rc, 0, item->id.base, "rebuild");
}

/* The image of one segment from its records alone. What does not read may be a device that is
 * silent for a moment: whoever asks is told so, and asks again, for an image without it would hide
 * messages. `dead`: that was so for some time; then what reads is shown. *out_partial: it lacks
 * records, and is written to no file, where nobody would miss them. */
static int rebuild_image(struct clg_fold *fold, struct clg_view *scratch,
                         const struct clg_view_segment *id, bool dead, struct clg_image *out,
                         bool *out_partial, struct commitlog_error *err)
{
    struct clg_segment *segment = NULL;
    struct rebuild_ranges ranges = {.count = 0};
    int rc = clg_segment_set_pin(fold->config.set, id->base, &segment);
    if (rc == 0 && (segment->base != id->base || segment->salt != id->salt)) {
        clg_segment_unref(segment);
        rc = COMMITLOG_EDAMAGED;
    }
    if (rc != 0) {
        return clg_fail(err, rc, 0, id->base, "rebuild: no such segment");
    }
    struct clg_fold_scan scan = {.segment = segment,
                                 .end = id->end,
                                 .mode = CLG_SCAN_FULL,
                                 .verified_from = CLG_NO_POSITION,
                                 .skip_damage = true,
                                 .damage = rebuild_note,
                                 .damage_ctx = &ranges,
                                 .apply = rebuild_apply,
                                 .ctx = scratch};
    rc = clg_fold_scan(fold->config.os, &scan, err);
    bool silent = scan.unreadable && !(dead && scan.records > 0);
    if (rc == 0 && silent && !CLG_PLANTED(REBUILT_UNREAD)) {
        rc = clg_fail(err, COMMITLOG_EIO, EIO, id->base, "rebuild: not all of it reads");
    }
    for (uint32_t i = 0; rc == 0 && fold->damage != NULL && i < ranges.count; i++) {
        fold->damage(fold->damage_ctx, ranges.from[i], ranges.to[i]);
    }
    *out_partial = scan.unreadable || ranges.count > 0;
    (void)clg_segment_close_idle(segment);
    clg_segment_unref(segment);
    struct clg_view_item item = {.id = *id};
    if (rc == 0) {
        rc = rebuild_frozen(scratch, &item, out, err);
    }
    clg_view_slot_clear(scratch, &item.slots[scratch->slot]);
    CLG_ASSERT(rc <= 0);
    return rc;
}

static int rebuild_slot(struct clg_fold *fold, struct clg_view *view, struct clg_view_item *item,
                        struct commitlog_error *err)
{
    struct clg_view_segments none = {.active_base = item->id.base};
    struct clg_view_context context = view->context;
    context.segments = &none;
    struct clg_view *scratch = NULL;
    CLG_ASSERT(item->slots[view->slot].state == CLG_SLOT_NONE);
    int rc = view->ops->create(&context, view->slot, &scratch);
    if (rc != 0) {
        return clg_fail(err, rc, 0, item->id.base, "rebuild: out of memory");
    }
    struct clg_image image = {0};
    bool partial = false;
    const bool dead = item->slots[view->slot].failures >= REBUILD_DEAD;
    rc = rebuild_image(fold, scratch, &item->id, dead, &image, &partial, err);
    scratch->ops->destroy(scratch);
    if (rc == 0) {
        rc = view->ops->install(view, item, &image, CLG_SLOT_MEMORY);
        if (rc != 0) {
            clg_image_free(fold->config.os, &image);
            rc = clg_fail(err, rc, 0, item->id.base, "rebuild");
        }
    }
    if (rc != 0) {
        clg_wrap(err, "%s of segment %020llu", view->ops->name, (unsigned long long)item->id.base);
        return rc;
    }
    fold->images_rebuilt++;
    CLG_ASSERT(item->slots[view->slot].state == CLG_SLOT_MEMORY);
    item->slots[view->slot].written = partial && !CLG_PLANTED(REBUILT_UNREAD);
    return 0;
}

/* Not again at once, for it means to read all of the segment. */
static int repair_slot(struct clg_fold *fold, struct clg_view *view, struct clg_view_item *item,
                       struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    struct clg_view_slot *slot = &item->slots[view->slot];
    if (slot->failures > 0 && os->clock_mono_ns(os) < slot->retry_at_ns) {
        return clg_fail(err, COMMITLOG_EIO, EIO, item->id.base,
                        "%s of segment %020llu: not all of it read just now", view->ops->name,
                        (unsigned long long)item->id.base);
    }
    int rc = rebuild_slot(fold, view, item, err);
    if (rc == COMMITLOG_EIO) {
        slot->failures++;
        slot->retry_at_ns = clg_os_deadline(os, REBUILD_AGAIN_NS);
    }
    return rc;
}

int clg_fold_repair(struct clg_fold *fold, uint32_t *out_rebuilt, struct commitlog_error *err)
{
    uint32_t rebuilt = 0;
    int failed = 0;
    struct commitlog_error own;
    clg_error_clear(&own);
    CLG_ASSERT(out_rebuilt != NULL);
    for (uint32_t i = 0; i < fold->segments.count; i++) {
        struct clg_view_item *item = clg_view_segments_at(&fold->segments, i);
        if (item->id.end <= fold->segments.first) {
            continue;
        }
        for (uint32_t v = 0; v < fold->view_count; v++) {
            struct clg_view *view = fold->views[v];
            if (view == NULL || !view->ops->sealed || item->slots[v].state != CLG_SLOT_NONE) {
                continue;
            }
            int rc = repair_slot(fold, view, item, failed == 0 ? &own : NULL);
            failed = failed == 0 ? rc : failed; /* others may be what was asked for */
            rebuilt += rc == 0;
        }
    }
    if (rebuilt == 0 && failed != 0) {
        return clg_error_give(err, failed, &own);
    }
    *out_rebuilt = rebuilt;
    CLG_ASSERT(rebuilt <= fold->segments.count * CLG_VIEWS_MAX);
    return 0;
}
