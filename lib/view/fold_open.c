/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold_open.c -- the views of a store that opens: newest .state, view files, the log for the rest.
 *
 * Per segment from the state's position on: the views whose file is good take it as applied; the
 * others, and those without files, get the records. The active segment is always read. Where only
 * views without files need a segment, headers, control records and messages with a producer's mark
 * are verified; where entries or keys are made from it, every byte is, because tag and keys lie
 * behind the header.
 *
 * Invariants: nothing is read through a map before it was read by pread; no file is written. View
 *       files that belong to no finished segment are removed: after a cut the log would grow over
 *       them again.
 * Threads and locks: the only thread; the fold lock is taken for the assertions' sake.
 * Happy path: sweep -> restore -> segment by segment -> publish to the registry.
 * Failure modes: EDAMAGED with the position unless skip_damage; EINTERRUPTED; ENOMEM.
 */
#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "format/record.h"
#include "view/fold_internal.h"
#include "view/topics_view.h"

#define OPEN_STATES_MAX 8u
#define OPEN_REMOVE_MAX 64u
#define OPEN_PROGRESS_NS (INT64_C(100) * CLG_OS_NS_PER_MS)
#define OPEN_LOOK_EVERY 1024u

struct open_sweep {
    uint64_t first;  /* view files of segments below it are orphans */
    uint64_t active; /* and those from here on are of no finished segment */
    uint64_t end;
    bool remove;
    uint64_t states[OPEN_STATES_MAX]; /* newest first */
    uint32_t state_count;
    struct clg_segment_name orphans[OPEN_REMOVE_MAX];
    uint32_t orphan_count;
};

static void sweep_add_state(struct open_sweep *sweep, uint64_t position)
{
    uint32_t at = sweep->state_count;
    CLG_ASSERT(at <= OPEN_STATES_MAX);
    if (at == OPEN_STATES_MAX) {
        if (sweep->states[at - 1] >= position) {
            return;
        }
        at--;
    } else {
        sweep->state_count++;
    }
    while (at > 0 && sweep->states[at - 1] < position) {
        sweep->states[at] = sweep->states[at - 1];
        at--;
    }
    sweep->states[at] = position;
    CLG_ASSERT(at == 0 || sweep->states[at - 1] >= position);
}

static int sweep_name(void *ctx, const char *text, enum clg_os_type type)
{
    struct open_sweep *sweep = ctx;
    struct clg_segment_name name;
    CLG_ASSERT(text != NULL);
    if (type != CLG_OS_FILE || !clg_segment_name_parse(text, &name) || name.kind == CLG_FILE_LOG) {
        return 0;
    }
    bool orphan = name.temporary;
    if (!orphan && name.kind == CLG_FILE_STATE) {
        if (name.position <= sweep->end) {
            sweep_add_state(sweep, name.position);
        }
        orphan = name.position > sweep->end;
    } else if (!orphan) {
        orphan = name.position < sweep->first ||
                 (name.position >= sweep->active && !CLG_PLANTED(VIEW_AHEAD));
    }
    if (orphan && sweep->remove && sweep->orphan_count < OPEN_REMOVE_MAX) {
        sweep->orphans[sweep->orphan_count++] = name;
    }
    CLG_ASSERT(sweep->orphan_count <= OPEN_REMOVE_MAX);
    return 0;
}

/* Lists view/ until nothing is left to remove. Failures do not stop an opening: a stale file is
 * refused when it is read, and replaced when its segment is finished. */
static void open_sweep_dir(struct clg_fold *fold, struct open_sweep *sweep)
{
    const struct commitlog_os *os = fold->config.os;
    bool again = fold->config.view_dirfd >= 0;
    CLG_ASSERT(sweep->first <= sweep->active);
    while (again) {
        sweep->state_count = 0;
        sweep->orphan_count = 0;
        if (os->list_dir(os, fold->config.view_dirfd, sweep_name, sweep) < 0) {
            break;
        }
        again = sweep->orphan_count == OPEN_REMOVE_MAX;
        for (uint32_t i = 0; i < sweep->orphan_count; i++) {
            char text[CLG_SEGMENT_NAME_BYTES];
            if (sweep->orphans[i].temporary) {
                clg_segment_name_make_temp(text, sweep->orphans[i].kind,
                                           sweep->orphans[i].position);
            } else {
                clg_segment_name_make(text, sweep->orphans[i].kind, sweep->orphans[i].position);
            }
            int rc = os->unlink_at(os, fold->config.view_dirfd, text);
            again = again && (rc >= 0 || rc == -ENOENT);
        }
    }
}

struct open_run {
    struct clg_fold *fold;
    const struct clg_fold_opening *opening;
    struct clg_fold_report *report;
    uint32_t mask; /* views that take records; the others have their file */
    uint32_t until_look;
    int64_t told_at_ns;
    struct commitlog_error *err;
};

static int open_progress(struct open_run *run, uint64_t position)
{
    const struct commitlog_os *os = run->fold->config.os;
    if (run->opening->progress == NULL || --run->until_look > 0) {
        return 0;
    }
    run->until_look = OPEN_LOOK_EVERY;
    int64_t now = os->clock_mono_ns(os);
    CLG_ASSERT(now >= run->told_at_ns);
    if (now - run->told_at_ns < OPEN_PROGRESS_NS) {
        return 0;
    }
    run->told_at_ns = now;
    CLG_ASSERT(position <= run->opening->end);
    return run->opening->progress(run->opening->progress_ctx, position, run->opening->end) != 0
               ? COMMITLOG_EINTERRUPTED
               : 0;
}

static int open_apply(void *ctx, const struct clg_record_view *record)
{
    struct open_run *run = ctx;
    CLG_ASSERT(run->mask != 0);
    int rc = clg_fold_apply(run->fold, record, run->mask);
    if (rc == 0) {
        rc = open_progress(run, record->position);
    }
    return rc == 0 ? 0 : clg_fail(run->err, rc, 0, record->position, "fold the log");
}

/* Takes over the files that are good; the mask of views that have to read. */
static int open_load(struct open_run *run, const struct clg_view_segment *id, uint32_t *mask)
{
    struct clg_fold *fold = run->fold;
    struct clg_view_item *item = NULL;
    int rc = clg_fold_item_need(fold, id, &item);
    uint32_t read = clg_fold_all();
    for (uint32_t v = 0; rc == 0 && v < fold->view_count; v++) {
        struct clg_view *view = fold->views[v];
        if (view == NULL || !view->ops->sealed || fold->config.view_dirfd < 0) {
            continue;
        }
        item->slots[v].state = CLG_SLOT_ON_DISK;
        rc = clg_view_slot_open(view, item);
        if (rc == 0) {
            read &= ~(1u << v);
            run->report->images_loaded++;
        } else if (rc == COMMITLOG_EDAMAGED) {
            rc = 0; /* NONE now: filled by freeze */
        }
        CLG_ASSERT(rc != 0 || item->slots[v].state != CLG_SLOT_ON_DISK);
    }
    *mask = read;
    return rc;
}

static int open_advance(struct clg_fold *fold, uint64_t base, uint32_t mask)
{
    struct clg_view_item *item = clg_view_segments_find(&fold->segments, base);
    CLG_ASSERT(item != NULL);
    for (uint32_t v = 0; v < fold->view_count; v++) {
        struct clg_view *view = fold->views[v];
        if (view == NULL || !view->ops->sealed || (mask & (1u << v)) != 0) {
            continue;
        }
        int rc = view->ops->advance(view, item);
        if (rc != 0) {
            return rc;
        }
    }
    CLG_ASSERT(item->id.base == base);
    return 0;
}

static enum clg_scan_mode open_mode(uint32_t mask)
{
    const uint32_t indexed = (1u << CLG_VIEW_QUEUES) | (1u << CLG_VIEW_KEYS);
    return (mask & indexed) != 0 ? CLG_SCAN_FULL : CLG_SCAN_HEADER_ONLY;
}

static int open_segment(struct open_run *run, struct clg_segment *segment, bool is_last,
                        struct commitlog_error *err)
{
    struct clg_fold *fold = run->fold;
    const struct clg_view_segment id = {
        .base = segment->base, .salt = segment->salt, .end = segment->data_end};
    fold->segments.active_base = id.base;
    run->mask = clg_fold_all();
    int rc = is_last ? 0 : open_load(run, &id, &run->mask);
    if (rc != 0) {
        return clg_fail(err, rc, 0, id.base, "view files of segment %020llu",
                        (unsigned long long)id.base);
    }
    struct clg_fold_scan scan = {.segment = segment,
                                 .end = run->opening->end,
                                 .mode = open_mode(run->mask),
                                 .verified_from = run->opening->verified_from,
                                 .may_map = run->opening->may_map,
                                 .skip_damage = fold->config.skip_damage,
                                 .damage = run->opening->damage,
                                 .damage_ctx = run->opening->damage_ctx,
                                 .apply = open_apply,
                                 .ctx = run};
    rc = clg_fold_scan(fold->config.os, &scan, err);
    run->report->scanned_bytes += clg_min_u64(id.end, run->opening->end) - id.base;
    run->report->records += scan.records;
    run->report->damaged_ranges += scan.damaged_ranges;
    run->report->damaged_bytes += scan.damaged_bytes;
    if (rc == 0 && !is_last) {
        rc = open_advance(fold, id.base, run->mask);
        if (rc != 0) {
            (void)clg_fail(err, rc, 0, id.base, "view files of segment %020llu",
                           (unsigned long long)id.base);
        }
    }
    return rc;
}

/* After the scan: what the records made becomes the finished segment's. */
static int open_finish_segment(struct clg_fold *fold, const struct clg_segment *segment,
                               struct commitlog_error *err)
{
    const struct clg_view_segment id = {
        .base = segment->base, .salt = segment->salt, .end = segment->data_end};
    int rc = clg_fold_end_segment(fold, &id);
    CLG_ASSERT(rc <= 0);
    if (rc != 0) {
        return clg_fail(err, rc, 0, id.base, "end of segment %020llu", (unsigned long long)id.base);
    }
    fold->segments.active_base = segment->base + segment->bytes;
    CLG_ASSERT(fold->segments.active_base > id.base);
    return 0;
}

/* Segments from the active one of the state, or from the first, to the end of the log. */
static int open_segments(struct open_run *run, struct commitlog_error *err)
{
    struct clg_fold *fold = run->fold;
    struct clg_segment_set *set = fold->config.set;
    uint64_t from = fold->segments.active_base;
    struct clg_segment *segment = clg_segment_set_pin_first(set);
    int rc = 0;
    CLG_ASSERT(run->report != NULL);
    while (rc == 0 && segment != NULL) {
        struct clg_segment *next = clg_segment_set_pin_after(set, segment->base);
        bool reached = segment->data_start <= run->opening->end;
        if (segment->base >= from && reached) {
            bool is_last = next == NULL || next->data_start > run->opening->end;
            uint64_t data_end = segment->data_end;
            rc = open_segment(run, segment, is_last, err);
            (void)clg_segment_close_idle(segment); /* there may be more than descriptors */
            bool ended = !is_last || run->opening->end >= data_end;
            if (rc == 0 && ended) {
                rc = open_finish_segment(fold, segment, err);
            }
        }
        clg_segment_unref(segment);
        segment = next;
    }
    if (segment != NULL) {
        clg_segment_unref(segment);
    }
    return rc;
}

static void open_restore(struct open_run *run, const struct open_sweep *sweep)
{
    struct clg_fold *fold = run->fold;
    CLG_ASSERT(fold->segments.count == 0);
    for (uint32_t i = 0; i < sweep->state_count; i++) {
        if (clg_fold_restore_state(fold, sweep->states[i]) == 0) {
            run->report->state_position = sweep->states[i];
            return;
        }
        run->report->state_refused++;
    }
    clg_fold_reset(fold);
    CLG_ASSERT(run->report->state_position == 0);
}

int clg_fold_open(struct clg_fold *fold, const struct clg_fold_opening *opening,
                  struct clg_fold_report *report, struct commitlog_error *err)
{
    const struct commitlog_os *os = fold->config.os;
    struct open_sweep sweep = {.end = opening->end, .remove = !fold->config.read_only};
    struct open_run run = {
        .fold = fold, .opening = opening, .report = report, .until_look = 1, .err = err};
    struct clg_segment *last = clg_segment_set_pin_last(fold->config.set);
    uint64_t log_end = 0;
    CLG_ASSERT(!fold->attached);
    memset(report, 0, sizeof(*report));
    if (last == NULL || clg_segment_set_range(fold->config.set, &sweep.first, &log_end) != 0) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "views: a log of no segments");
    }
    sweep.active = last->base;
    clg_segment_unref(last);
    clg_mutex_lock(os, &fold->lock);
    fold->segments.first = opening->first;
    fold->segments.durable = fold->config.sees_durable ? opening->durable : CLG_POSITION_MAX;
    fold->damage = opening->damage;
    fold->damage_ctx = opening->damage_ctx;
    fold->applied = UINT64_MAX; /* nothing to resume */
    run.told_at_ns = os->clock_mono_ns(os) - OPEN_PROGRESS_NS;
    open_sweep_dir(fold, &sweep);
    open_restore(&run, &sweep);
    int rc = open_segments(&run, err);
    if (rc == 0) {
        rc = clg_fold_reach_ends(fold, opening->end);
        rc = rc == 0 ? rc : clg_fail(err, rc, 0, CLG_NO_POSITION, "views: ends of queues");
    }
    if (rc == 0) {
        clg_topics_publish(fold->views[CLG_VIEW_TOPICS], fold->views[CLG_VIEW_QUEUES]);
        fold->applied = opening->end;
        fold->resume_view = 0;
        fold->records = 0;
        clg_store_release_u64(&fold->folded, opening->end); /* ORDER(folded-1) release */
    }
    clg_mutex_unlock(os, &fold->lock);
    CLG_ASSERT(rc <= 0);
    return rc;
}
