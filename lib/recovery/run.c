/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.c -- executes a plan: the only part of recovery that writes. See run.h.
 *
 * Order comes from the plan; each step here is durable, or is flushed by the plan's FLUSH step,
 * before the checkpoint that relies on it.
 */
#include "recovery/run.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "recovery/facts_internal.h"
#include "recovery/run_internal.h"
#include "segment/segment_create.h"
#include "segment/segment_cut.h"
#include "segment/segment_name.h"
#include "segment/segment_scan.h"

static int run_segment(struct run *r, uint64_t position, struct clg_segment **out)
{
    const struct clg_fact_segment *fact = clg_facts_segment_at(r->facts, position);
    CLG_ASSERT(out != NULL);
    if (fact == NULL || fact->segment == NULL) {
        return clg_fail(r->err, COMMITLOG_EINTERNAL, 0, position, "no segment at %" PRIu64,
                        position);
    }
    *out = fact->segment;
    CLG_ASSERT(clg_segment_holds(fact->segment, position));
    return clg_segment_make_writable(fact->segment, r->err);
}

int clg_run_sync_dir(const struct run *r, int fd, const char *what)
{
    const struct commitlog_os *os = r->dir->os;
    CLG_ASSERT(what != NULL);
    int rc = os->fsync(os, fd);
    CLG_ASSERT(fd >= 0);
    return rc < 0 ? clg_fail_os(r->err, rc, CLG_NO_POSITION, "flush %s", what) : 0;
}

static int run_sync_once(const struct run *r, int fd, const char *what, bool *is_flushed)
{
    int rc = *is_flushed ? 0 : clg_run_sync_dir(r, fd, what);
    *is_flushed = rc == 0;
    return rc;
}

/* Derived from bytes that are about to change or go. Flushed before they do, by a repetition too:
 * by base, salt and end a file that came back would still be the segment's, and its entries would
 * lead to what is not there any more; nor would another salvage remove it, for holes are sound. */
static int run_drop_views(struct run *r, uint64_t base)
{
    static const enum clg_segment_file kinds[] = {CLG_FILE_CQ, CLG_FILE_KEY};
    const struct commitlog_os *os = r->dir->os;
    CLG_ASSERT(sizeof(kinds) / sizeof(kinds[0]) == 2);
    if (r->dir->view_fd < 0 || (r->viewless && r->viewless_base == base)) {
        return 0;
    }
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        char name[CLG_SEGMENT_NAME_BYTES];
        clg_segment_name_make(name, kinds[i], base);
        int rc = os->unlink_at(os, r->dir->view_fd, name);
        if (rc < 0 && rc != -ENOENT && rc != -EISDIR) { /* a directory is nobody's view */
            return clg_fail_os(r->err, rc, base, "remove view/%s", name);
        }
    }
    int rc = clg_run_sync_dir(r, r->dir->view_fd, "view/");
    r->viewless = rc == 0;
    r->viewless_base = base;
    return rc;
}

/* The directory is flushed after each one: a later name never goes after an earlier one came back,
 * so no crash makes a gap. */
static int run_unlink(struct run *r, uint64_t base)
{
    const struct commitlog_os *os = r->dir->os;
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, base);
    CLG_ASSERT(r->dir->locked);
    int rc = run_drop_views(r, base);
    if (rc != 0) {
        return rc;
    }
    rc = os->unlink_at(os, r->dir->log_fd, name);
    if (rc < 0 && rc != -ENOENT) {
        return clg_fail_os(r->err, rc, base, "remove segment %s", name);
    }
    return clg_run_sync_dir(r, r->dir->log_fd, "log/");
}

static int run_remove_tmp(struct run *r, size_t index)
{
    const struct commitlog_os *os = r->dir->os;
    const struct clg_fact_name *item = &r->facts->tmp_names[index];
    CLG_ASSERT(index < r->facts->tmp_count);
    int fd = item->where == CLG_WHERE_LOG    ? r->dir->log_fd
             : item->where == CLG_WHERE_VIEW ? r->dir->view_fd
                                             : r->dir->dir_fd;
    CLG_ASSERT(fd >= 0);
    int rc = os->unlink_at(os, fd, item->name);
    return rc < 0 && rc != -ENOENT
               ? clg_fail_os(r->err, rc, CLG_NO_POSITION, "remove %s", item->name)
               : 0;
}

/* The file was shorter than its header says; the missing part reads as zeros afterwards. */
static int run_extend(struct run *r, const struct clg_plan_step *step)
{
    const struct commitlog_os *os = r->dir->os;
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, step->from);
    CLG_ASSERT(step->to > step->from);
    int fd = os->open_at(os, r->dir->log_fd, name, CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
    if (fd < 0) {
        return clg_fail_os(r->err, fd, step->from, "open segment %s", name);
    }
    uint64_t bytes = step->to - step->from;
    int rc = os->fallocate(os, fd, CLG_OS_FALLOCATE_EXTEND, 0, bytes);
    if (rc == -EOPNOTSUPP) {
        rc = os->ftruncate(os, fd, bytes); /* grows: it is shorter than that */
    }
    if (rc >= 0) {
        rc = os->fsync(os, fd);
    }
    clg_os_close_fd(os, &fd);
    CLG_ASSERT(fd == -1);
    return rc < 0 ? clg_fail_os(r->err, rc, step->from, "extend segment %s", name) : 0;
}

static int run_create(struct run *r, const struct clg_plan_step *step)
{
    struct clg_segment_plan plan;
    struct clg_segment *made = NULL;
    memset(&plan, 0, sizeof(plan));
    CLG_ASSERT(step->from < step->to);
    plan.base = step->from;
    plan.bytes = step->to - step->from;
    plan.epoch = r->plan->epoch;
    plan.first_time = r->facts->last_store_time;
    /* One that fills a gap has successors: it must not demand more than their records have. */
    int rc = 0;
    if (r->plan->again) {
        const struct clg_fact_segment *after = clg_facts_segment_at(r->facts, step->to);
        plan.epoch = 1;
        plan.first_time = 0;
        plan.salt = after != NULL && after->segment != NULL
                        ? after->segment->header.predecessor_salt
                        : 0;               /* the successor goes on from it */
        rc = run_drop_views(r, plan.base); /* by that they would be of this one */
    }
    const struct clg_fact_segment *before =
        step->from > 0 ? clg_facts_segment_at(r->facts, step->from - 1) : NULL;
    if (before != NULL && before->segment != NULL) {
        plan.predecessor_end = before->segment->data_end;
        plan.predecessor_salt = before->segment->salt;
    }
    rc = rc != 0 ? rc : clg_segment_create(&r->dir->segment_dir, &plan, &made, r->err);
    clg_segment_unref(made);
    CLG_ASSERT(rc != 0 || made != NULL);
    return rc == COMMITLOG_EEXIST ? 0 : rc;
}

static int run_restore(struct run *r, const struct clg_plan_step *step)
{
    uint64_t at = step->from;
    CLG_ASSERT(step->from < step->to);
    while (at < step->to) {
        struct clg_segment *segment;
        const uint8_t *bytes;
        uint32_t count;
        uint32_t size;
        int rc = run_segment(r, at, &segment);
        if (rc == 0) {
            rc = clg_stage_fetch(&r->stage, segment, at, step->to, &bytes, &count, &size, r->err);
        }
        if (rc == 0) {
            rc = clg_segment_pwrite(segment, bytes, count, at, r->err);
        }
        if (rc != 0) {
            return rc;
        }
        CLG_ASSERT(size >= CLG_RECORD_MIN);
        at += size;
    }
    r->counts->records_from_stage += r->facts->staged[step->index].records;
    return 0;
}

static int run_hole(struct run *r, const struct clg_plan_step *step)
{
    const struct clg_fact_claim *claim = &r->facts->claims[step->index];
    struct clg_segment *segment;
    CLG_ASSERT(step->index < r->facts->claim_count);
    CLG_ASSERT(step->to - step->from == claim->size);
    int rc = run_segment(r, step->from, &segment);
    if (rc == 0) {
        rc = clg_segment_write_hole(segment, step->from, claim->size, &claim->header, r->err);
    }
    if (rc == 0) {
        r->counts->holes_made++;
    }
    return rc;
}

static int run_salvage_hole(struct run *r, const struct clg_plan_step *step)
{
    struct clg_segment *segment;
    int rc = clg_run_begin_salvage(r);
    rc = rc != 0 ? rc : run_segment(r, step->from, &segment);
    rc = rc != 0 ? rc : run_drop_views(r, segment->base);
    if (rc == 0) {
        struct clg_fact_range range = r->facts->ranges[step->index];
        CLG_ASSERT(step->to <= range.to);
        range.to = step->to; /* the plan may keep less than fails to verify */
        r->counts->salvaged = true;
        rc = clg_run_salvage(r, segment, &range);
    }
    return rc;
}

static int run_zero(struct run *r, const struct clg_plan_step *step)
{
    struct clg_segment *segment;
    int rc = run_segment(r, step->from, &segment);
    CLG_ASSERT(step->from < step->to);
    rc = rc != 0 ? rc : run_drop_views(r, segment->base);
    return rc != 0 || CLG_PLANTED(NO_ZERO) ? rc : clg_segment_cut(segment, step->from, r->err);
}

static int run_clear_footer(struct run *r, const struct clg_plan_step *step)
{
    struct clg_segment *segment;
    int rc = run_segment(r, step->from, &segment);
    rc = rc != 0 ? rc : run_drop_views(r, segment->base);
    CLG_ASSERT(rc != 0 || step->from == segment->data_end);
    return rc != 0 ? rc : clg_segment_clear_footer(segment, r->err);
}

/* Calls fn for the part of [from, to) in each segment. */
static int run_each(struct run *r, uint64_t from, uint64_t to,
                    int (*fn)(struct run *r, struct clg_segment *segment, uint64_t from,
                              uint64_t to))
{
    CLG_ASSERT(from <= to);
    for (size_t i = 0; i < r->facts->segment_count; i++) {
        const struct clg_fact_segment *fact = &r->facts->segments[i];
        if (fact->segment == NULL || fact->base + fact->bytes <= from || fact->base > to) {
            continue;
        }
        uint64_t begin = clg_max_u64(from, fact->segment->data_start);
        uint64_t end = clg_min_u64(to, fact->segment->data_end);
        int rc = fn(r, fact->segment, begin, clg_max_u64(begin, end));
        if (rc != 0) {
            return rc;
        }
        CLG_ASSERT(begin >= fact->base);
    }
    return 0;
}

static int run_flush_one(struct run *r, struct clg_segment *segment, uint64_t from, uint64_t to)
{
    CLG_ASSERT(from <= to);
    CLG_ASSERT(segment != NULL);
    int rc = clg_segment_make_writable(segment, r->err);
    bool sealed = (clg_segment_flags(segment) & CLG_SEGMENT_SEALED) != 0;
    if (rc == 0 && (sealed || r->counts->salvaged) && r->facts->same_boot && !r->facts->clean) {
        /* Seen in the cache, perhaps after a failed write-back, like the records; or not seen any
         * more, for a salvage has cleared it. */
        rc = clg_segment_rewrite(segment, segment->data_end, segment->data_end + CLG_SEGMENT_FOOTER,
                                 r->err);
        if (rc != 0 || sealed) {
            return rc;
        }
    }
    /* Stores into a map, that is: what writes by pwrite has touched nothing behind the end. */
    bool staged = r->facts->live.usable && r->facts->live.engine == CLG_ENGINE_STAGED;
    if (rc == 0 && !sealed && staged && segment == r->rewritten) {
        return 0; /* flushed, and nothing was written since */
    }
    if (rc == 0 && to == r->plan->end && r->facts->same_boot && !r->facts->clean && !staged) {
        return clg_segment_rewrite_ahead(segment, to, r->err);
    }
    rc = rc != 0 ? rc : clg_segment_flush(segment, r->err);
    if (rc == 0 && sealed) {
        (void)clg_segment_close_idle(segment); /* there may be more than descriptors */
    }
    return rc;
}

/* Between the scan and the rewrite the kernel may have dropped pages that it believed clean: what
 * was written again must still be what was verified. */
static int run_compare(struct run *r, struct clg_scan *scan)
{
    struct clg_scan_record record;
    CLG_ASSERT(scan->mode == CLG_SCAN_FULL);
    int rc = clg_scan_step(scan, &record, r->err);
    if (rc == 0 && record.verdict != CLG_SCAN_OK) {
        rc = clg_fail(r->err, COMMITLOG_EAGAIN, record.os_errno, record.position,
                      "what was rewritten does not read back: %s",
                      clg_scan_verdict_text(record.verdict));
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* After the flush the bytes are the disk's: are they the same? */
static int run_read_back(struct run *r, struct clg_segment *segment, uint64_t from, uint64_t to)
{
    struct clg_scan scan;
    CLG_ASSERT(from <= to);
    clg_scan_init(&scan, segment, from, CLG_SCAN_FULL);
    int rc = 0;
    while (rc == 0 && scan.next < to) {
        rc = run_compare(r, &scan);
    }
    CLG_ASSERT(rc != 0 || scan.next >= to);
    clg_scan_free(&scan);
    return rc;
}

/* Pages are written from the scan's own buffer, and each record is compared as it is in the buffer
 * from which it was written, or, where it goes on into the next one, as the cache has it then: what
 * was written before is read again. What no buffer holds is inside of fillers, and nobody's. */
static int run_rewrite_cached(struct run *r, struct clg_segment *segment, uint64_t from,
                              uint64_t to)
{
    struct clg_scan scan;
    uint64_t done = clg_align_down(from, CLG_FORMAT_PAGE_BYTES);
    uint64_t end = clg_align_up(to, CLG_FORMAT_PAGE_BYTES);
    CLG_ASSERT(from < to);
    clg_scan_init(&scan, segment, from, CLG_SCAN_FULL);
    int rc = 0;
    while (rc == 0 && scan.next < to) {
        rc = run_compare(r, &scan);
        scan.batch_end = 0; /* its members too: they were compared in buffers of before */
        uint64_t read_to =
            clg_align_down(scan.window_at + scan.window_bytes, CLG_FORMAT_PAGE_BYTES);
        read_to = clg_min_u64(end, read_to);
        if (rc == 0 && scan.window_at > done) { /* of a filler only the header was read */
            rc = clg_segment_rewrite_begin(segment, NULL, done, scan.window_at, r->err);
            done = scan.window_at;
        }
        if (rc == 0 && read_to > done) {
            rc = clg_segment_rewrite_begin(segment, scan.window + (done - scan.window_at), done,
                                           read_to, r->err);
            done = read_to;
        }
    }
    clg_scan_free(&scan);
    return rc == 0 && done < end ? clg_segment_rewrite_begin(segment, NULL, done, end, r->err) : rc;
}

static int run_rewrite_one(struct run *r, struct clg_segment *segment, uint64_t from, uint64_t to)
{
    CLG_ASSERT(from <= to);
    if (from == to) {
        return 0;
    }
    int rc = clg_segment_make_writable(segment, r->err);
    if (CLG_PLANTED(NO_REWRITE)) {
        return rc != 0 ? rc : run_read_back(r, segment, from, to);
    }
    /* A flush that fails may have been about holes of a salvage, which lie anywhere. */
    rc = rc != 0 || r->counts->salvaged ? rc : run_rewrite_cached(r, segment, from, to);
    if (rc == 0 && (r->counts->salvaged || !clg_segment_rewrite_end(segment, from, to))) {
        rc = clg_segment_rewrite(segment, from, to, r->err);
        rc = rc != 0 ? rc : run_read_back(r, segment, from, to);
    }
    if (rc == 0) {
        r->counts->bytes_rewritten += to - from;
        r->rewritten = segment;
    }
    CLG_ASSERT(to <= segment->data_end);
    return rc;
}

static int run_step(struct run *r, const struct clg_plan_step *step)
{
    struct clg_segment *segment;
    int rc;
    CLG_ASSERT(step->kind <= CLG_STEP_CHECKPOINT);
    switch (step->kind) {
    case CLG_STEP_CREATE_SEGMENT:
        return run_create(r, step);
    case CLG_STEP_DELETE_BELOW:
        rc = CLG_PLANTED(FIRST_UNCONFIRMED) ? 0 : clg_run_confirm_first(r);
        return rc != 0 ? rc : run_unlink(r, step->from);
    case CLG_STEP_REMOVE_TMP:
        return run_remove_tmp(r, step->index);
    case CLG_STEP_REPAIR_HEADER:
        rc = r->facts->segments[step->index].rebuilt ? clg_run_begin_salvage(r) : 0;
        rc = rc != 0 ? rc : run_segment(r, step->from, &segment);
        return rc != 0 ? rc : clg_segment_repair_header(segment, r->err);
    case CLG_STEP_EXTEND:
        return run_extend(r, step);
    case CLG_STEP_QUARANTINE_RANGE:
    case CLG_STEP_QUARANTINE_FILE:
    case CLG_STEP_QUARANTINE_STAGED:
        /* One that was killed may have made quarantine/ in the cache only. */
        rc = run_sync_once(r, r->dir->dir_fd, "the store's directory", &r->is_dir_flushed);
        return rc != 0                                    ? rc
               : step->kind == CLG_STEP_QUARANTINE_STAGED ? clg_run_quarantine_staged(r, step)
                                                          : clg_run_quarantine(r, step);
    case CLG_STEP_RESTORE:
        return run_restore(r, step);
    case CLG_STEP_HOLE:
        return run_hole(r, step);
    case CLG_STEP_SALVAGE_HOLE:
        return run_salvage_hole(r, step);
    case CLG_STEP_ZERO:
        return run_zero(r, step);
    case CLG_STEP_UNLINK:
        /* Or removed a later name: were that one back and this one gone, there would be a gap. */
        rc = run_sync_once(r, r->dir->log_fd, "log/", &r->is_log_flushed);
        return rc != 0 ? rc : run_unlink(r, step->from);
    case CLG_STEP_REWRITE:
        return run_each(r, step->from, step->to, run_rewrite_one);
    case CLG_STEP_FLUSH:
        rc = run_each(r, step->from, step->to, run_flush_one);
        return rc != 0 ? rc : clg_run_sync_dir(r, r->dir->log_fd, "log/");
    case CLG_STEP_CLEAR_FOOTER:
        return run_clear_footer(r, step);
    case CLG_STEP_CHECKPOINT:
        return clg_run_checkpoint(r, step);
    }
    return COMMITLOG_EINTERNAL;
}

int clg_run_plan(struct clg_store_dir *dir, struct clg_facts *facts, const struct clg_plan *plan,
                 const struct clg_run_options *options, struct clg_run_counts *counts,
                 struct commitlog_error *err)
{
    CLG_ASSERT(plan->code == 0);
    CLG_ASSERT(dir->locked);
    struct run r;
    memset(&r, 0, sizeof(r));
    r.dir = dir;
    r.facts = facts;
    r.plan = plan;
    r.options = options;
    r.counts = counts;
    r.err = err;
    counts->salvaged = counts->salvaged || facts->checkpoint.salvaging;
    int rc = clg_stage_open(&r.stage, dir, dir->segment_dir.uuid, clg_facts_newest(facts), err);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < plan->step_count; i++) {
        if (options->progress != NULL &&
            options->progress(options->progress_ctx, facts->bytes_scanned, facts->bytes_total) !=
                0) {
            rc =
                clg_fail(err, COMMITLOG_EINTERRUPTED, 0, CLG_NO_POSITION, "recovery was cancelled");
            break;
        }
        rc = run_step(&r, &plan->steps[i]);
        if (rc != 0) {
            clg_wrap(err, "recovery: %s", clg_plan_kind_name(plan->steps[i].kind));
        }
    }
    clg_stage_close(&r.stage);
    return rc;
}
