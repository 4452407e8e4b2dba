/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_quarantine.c -- what a plan is about to cut is copied first.
 *
 * Invariants: a step that succeeds has its copy durable, or there was nothing in the range.
 * Failure modes: ENOSPC; EIO: what could not be read is no torn write. Nothing is cut then.
 */
#include <inttypes.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "recovery/run_internal.h"
#include "segment/quarantine.h"
#include "segment/segment_name.h"
#include "segment/segment_scan.h"

/* The log ends where a block did not read. A torn write leaves such a block, and it stays so; a
 * device that gives nothing any more, or gives now what it refused before, has not said where the
 * log ends: on its word nothing is cut. */
static int quarantine_check_unread(struct run *r, struct clg_segment *segment, uint64_t from,
                                   uint64_t to)
{
    uint8_t block[CLG_FORMAT_PAGE_BYTES];
    int rc = 0;
    CLG_ASSERT(from < to);
    for (uint64_t at = from; rc >= 0 && at < to;) {
        uint64_t size = clg_min_u64(to - at, sizeof(block) - at % sizeof(block));
        rc = clg_segment_pread_raw(segment, block, (size_t)size, at);
        at += size;
    }
    if (rc >= 0) {
        return clg_fail(r->err, COMMITLOG_EIO, r->facts->end_errno, from,
                        "segment %020" PRIu64 ".log: what could not be read behind %" PRIu64
                        " can be read now: open again",
                        segment->base, from);
    }
    int header = clg_segment_ask_device(segment);
    return header < 0 ? clg_fail_os(r->err, header, from,
                                    "segment %020" PRIu64 ".log: not even its header can be read "
                                    "any more: the device fails, a torn write would not do this",
                                    segment->base)
                      : 0;
}

static struct clg_quarantine quarantine_of(const struct run *r)
{
    return (struct clg_quarantine){r->dir->os, r->dir->quarantine_fd, r->plan->epoch,
                                   r->dir->file_mode};
}

static int quarantine_done(struct run *r, int rc)
{
    if (rc != 0) {
        clg_wrap(r->err, "nothing was cut, open read-only or make room");
        return rc;
    }
    r->counts->quarantined++;
    return 0;
}

/* In pieces as they are read; of fillers there is only a header. */
int clg_run_quarantine_staged(struct run *r, const struct clg_plan_step *step)
{
    const struct clg_quarantine quarantine = quarantine_of(r);
    const struct clg_fact_segment *fact = clg_facts_segment_at(r->facts, step->from);
    struct clg_quarantine_copy copy;
    const uint8_t *bytes;
    uint32_t count;
    uint32_t size;
    int rc = 0;
    if (fact == NULL || fact->segment == NULL) {
        return clg_fail(r->err, COMMITLOG_EINTERNAL, 0, step->from, "quarantine: no segment");
    }
    for (uint64_t at = step->from; rc == 0 && at < step->to; at += size) {
        rc = clg_stage_fetch(&r->stage, fact->segment, at, step->to, &bytes, &count, &size, r->err);
        if (rc != 0) {
            return rc;
        }
        if (count == size) {
            rc = quarantine_done(
                r, clg_quarantine_bytes(&quarantine, at, bytes, count, "stage", &copy, r->err));
        }
    }
    return rc;
}

int clg_run_quarantine(struct run *r, const struct clg_plan_step *step)
{
    const struct clg_quarantine quarantine = quarantine_of(r);
    struct clg_quarantine_copy copy;
    CLG_ASSERT(step->from < step->to);
    int rc;
    if (step->kind == CLG_STEP_QUARANTINE_FILE) {
        char name[CLG_SEGMENT_NAME_BYTES];
        clg_segment_name_make(name, CLG_FILE_LOG, step->from);
        rc = clg_quarantine_file(&quarantine, r->dir->log_fd, name, step->from, "segment", &copy,
                                 r->err);
    } else {
        const struct clg_fact_segment *fact = clg_facts_segment_at(r->facts, step->from);
        if (fact == NULL || fact->segment == NULL) {
            return clg_fail(r->err, COMMITLOG_EINTERNAL, 0, step->from, "quarantine: no segment");
        }
        bool is_tail = step->to > r->plan->end;
        uint64_t x = r->facts->prefix_end;
        if (is_tail && r->facts->end_reason == CLG_END_UNREADABLE && step->from <= x &&
            x < step->to && !CLG_PLANTED(DEAD_DEVICE_CUT)) {
            rc = quarantine_check_unread(r, fact->segment, x, step->to);
            if (rc != 0) {
                return rc;
            }
        }
        struct clg_scan scan;
        uint64_t nonzero;
        clg_scan_init(&scan, fact->segment, 0, CLG_SCAN_FULL);
        uint64_t end = clg_min_u64(step->to, fact->segment->data_end);
        rc = clg_scan_all_zero(&scan, step->from, end, &nonzero, NULL);
        clg_scan_free(&scan);
        if (rc == 0 && nonzero == end && end == step->to) {
            return 0; /* nothing in it to keep */
        }
        rc = clg_quarantine_range(&quarantine, fact->segment, step->from, step->to,
                                  is_tail ? "tail" : "damage", &copy, r->err);
    }
    return quarantine_done(r, rc);
}
