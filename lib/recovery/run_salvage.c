/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_salvage.c -- damaged ranges become recorded holes, so that the log can be walked again.
 *
 * Invariants: the holes of one range cover it exactly; those of a batch are written from its end to
 *       its beginning, the batch header last: killed in between, the batch still fails as a whole
 *       and is done again, and no member of it ever appears alone. A hole has epoch and time of the
 *       last good record before it and is no witness: what its own header said may be what was
 *       wrong with it, and then the next recovery would find the hole damaged, or what follows.
 * Failure modes: EDAMAGED for a range too small for a hole (no record can have been there).
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "recovery/facts_internal.h"
#include "recovery/run_internal.h"
#include "segment/segment_cut.h"
#include "segment/segment_scan.h"

/* The header at `position`, if it verifies and fits before `end`. */
static bool salvage_header(struct clg_segment *segment, uint64_t position, uint64_t end,
                           bool claimed, struct clg_record_header *header)
{
    uint8_t raw[CLG_RECORD_HEADER_BYTES];
    CLG_ASSERT(position < end);
    if (end - position < CLG_RECORD_MIN ||
        clg_segment_pread_raw(segment, raw, sizeof(raw), position) < 0) {
        return false;
    }
    uint64_t seed = clg_record_seed(segment->salt, position);
    bool ok = claimed ? clg_record_verify_claimed(raw, seed) : clg_record_verify_header(raw, seed);
    clg_record_decode(raw, header);
    CLG_ASSERT(end <= segment->data_end);
    return ok && clg_record_check_bounds(header, end - position);
}

static int salvage_one(struct run *r, struct clg_segment *segment,
                       const struct clg_fact_range *range, uint64_t from, uint32_t size,
                       struct clg_record_header *like)
{
    CLG_ASSERT(size >= CLG_RECORD_MIN);
    like->epoch = range->epoch;
    like->store_time = range->store_time;
    like->durable_back = CLG_DURABLE_BACK_NONE;
    int rc = clg_segment_write_hole(segment, from, size, like, r->err);
    if (rc == 0) {
        r->counts->holes_made++;
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* Nothing is known about [from, to). */
static int salvage_unknown(struct run *r, struct clg_segment *segment,
                           const struct clg_fact_range *range, uint64_t from, uint64_t to)
{
    struct clg_record_header like;
    memset(&like, 0, sizeof(like));
    like.queue_number = CLG_QUEUE_NONE;
    if (to - from < CLG_RECORD_MIN) {
        return clg_fail(r->err, COMMITLOG_EDAMAGED, 0, from,
                        "salvage: [%" PRIu64 ", %" PRIu64 ") is too small for a hole", from, to);
    }
    CLG_ASSERT(to <= segment->data_end);
    while (from < to) {
        uint64_t piece = clg_min_u64(to - from, CLG_FILLER_MAX);
        if (piece < to - from && to - from - piece < CLG_RECORD_MIN) {
            piece -= CLG_RECORD_MIN;
        }
        int rc = salvage_one(r, segment, range, from, (uint32_t)piece, &like);
        if (rc != 0) {
            return rc;
        }
        from += piece;
    }
    CLG_ASSERT(from == to);
    return 0;
}

/* Where a member of the batch begins at or behind `from`, `to` if none does: one whose header
 * verifies, and before and behind which a hole fits. */
static int salvage_next(struct run *r, struct clg_scan *scan, uint64_t from, uint64_t to,
                        uint64_t *out)
{
    struct clg_segment *segment = scan->segment;
    struct clg_record_header header;
    int rc = 0;
    *out = from;
    if (from == to || salvage_header(segment, from, to, false, &header)) {
        return 0;
    }
    struct clg_scan_search search = {.found = to};
    for (uint64_t at = from + CLG_RECORD_MIN; rc == 0 && at < to;
         at = search.found + CLG_RECORD_ALIGN) {
        rc = clg_scan_resync(scan, at, to, &search, r->err);
        if (rc == 0 && salvage_header(segment, search.found, to, false, &header)) {
            uint64_t left = to - search.found - clg_record_size(header.word);
            if (left == 0 || left >= CLG_RECORD_MIN) {
                break;
            }
        }
    }
    if (rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EDAMAGED) {
        clg_error_clear(r->err);
        rc = 0;
        search.found = to;
    }
    *out = clg_min_u64(search.found, to);
    return rc;
}

/* Where the members begin whose headers verify. */
static int salvage_members(struct run *r, struct clg_segment *segment,
                           const struct clg_fact_range *range, uint64_t **out, size_t *out_count)
{
    const struct commitlog_os *os = r->dir->os;
    size_t room = 0;
    uint64_t *places = NULL;
    uint64_t at = range->from;
    int rc = 0;
    struct clg_scan scan; /* one for all, so that what it has read serves the next one, too */
    *out_count = 0;
    CLG_ASSERT(range->kind == CLG_RANGE_BATCH || range->kind == CLG_RANGE_MEMBER);
    clg_scan_init(&scan, segment, 0, CLG_SCAN_HEADER_ONLY);
    while (rc == 0 && at < range->to) {
        struct clg_record_header header;
        rc = salvage_next(r, &scan, at, range->to, &at);
        if (rc == 0 && at < range->to && salvage_header(segment, at, range->to, false, &header)) {
            void *items = places;
            rc = clg_facts_grow(os, &items, *out_count, &room, sizeof(*places), r->err);
            places = items;
            if (rc == 0) {
                places[(*out_count)++] = at;
                at += clg_record_size(header.word);
            }
        }
    }
    clg_scan_free(&scan);
    *out = places;
    CLG_ASSERT(*out_count <= room);
    return rc;
}

static int salvage_batch(struct run *r, struct clg_segment *segment,
                         const struct clg_fact_range *range)
{
    uint64_t *places = NULL;
    size_t count = 0;
    uint64_t next = range->to;
    int rc = salvage_members(r, segment, range, &places, &count);
    for (size_t i = count; rc == 0 && i-- > 0;) {
        struct clg_record_header header;
        if (!salvage_header(segment, places[i], range->to, false, &header)) {
            rc = clg_fail(r->err, COMMITLOG_EIO, 0, places[i], "salvage: a header changed");
            break;
        }
        uint64_t end = places[i] + clg_record_size(header.word);
        if (header.kind != CLG_KIND_MESSAGE && header.kind != CLG_KIND_REFERENCE &&
            header.kind != CLG_KIND_HOLE) {
            header.queue_number = CLG_QUEUE_NONE;
            header.queue_offset = 0;
        }
        rc = end < next ? salvage_unknown(r, segment, range, end, next) : 0;
        if (rc == 0) {
            rc = salvage_one(r, segment, range, places[i], clg_record_size(header.word), &header);
        }
        next = places[i];
    }
    if (rc == 0 && next > range->from) {
        rc = salvage_unknown(r, segment, range, range->from, next);
    }
    r->dir->os->free(r->dir->os, places);
    return rc;
}

int clg_run_salvage(struct run *r, struct clg_segment *segment, const struct clg_fact_range *range)
{
    struct clg_record_header header;
    CLG_ASSERT(range->from < range->to);
    CLG_ASSERT(range->to <= segment->data_end);
    if (range->kind == CLG_RANGE_BATCH || range->kind == CLG_RANGE_MEMBER) {
        return salvage_batch(r, segment, range);
    }
    bool known = range->kind == CLG_RANGE_BODY || range->kind == CLG_RANGE_CLAIMED;
    if (known &&
        salvage_header(segment, range->from, range->to, range->kind == CLG_RANGE_CLAIMED,
                       &header) &&
        clg_record_size(header.word) == range->to - range->from) {
        if (header.kind != CLG_KIND_MESSAGE && header.kind != CLG_KIND_REFERENCE) {
            header.queue_number = CLG_QUEUE_NONE;
            header.queue_offset = 0;
        }
        return salvage_one(r, segment, range, range->from, (uint32_t)(range->to - range->from),
                           &header);
    }
    return salvage_unknown(r, segment, range, range->from, range->to);
}
