/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_scan.c -- reads the records behind the checkpoint: first while all is well, then what is
 * still valid behind the first failure. See facts.h.
 *
 * Invariants: X is the first position that neither the segment nor the stage can explain; behind it
 *       every position either belongs to a valid record or to a range.
 * Failure modes: ENOMEM, EINTERRUPTED.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/topic_record.h"
#include "recovery/facts_internal.h"
#include "segment/segment_scan.h"

struct facts_scan {
    struct clg_facts *facts;
    struct clg_stage *stage;
    const struct clg_facts_options *options;
    struct clg_scan_bounds bounds;
    bool behind; /* X is known */
    bool stop;   /* nothing behind X needs to be read */
    uint64_t reported;
};

#define SCAN_PROGRESS_BYTES (UINT64_C(1) << 20)

static int scan_tick(struct facts_scan *s, uint64_t bytes, struct commitlog_error *err)
{
    struct clg_facts *facts = s->facts;
    facts->bytes_scanned += bytes;
    CLG_ASSERT(s->reported <= facts->bytes_scanned);
    if (s->options->progress == NULL || facts->bytes_scanned - s->reported < SCAN_PROGRESS_BYTES) {
        return 0;
    }
    s->reported = facts->bytes_scanned;
    if (s->options->progress(s->options->progress_ctx, facts->bytes_scanned, facts->bytes_total) !=
        0) {
        return clg_fail(err, COMMITLOG_EINTERRUPTED, 0, CLG_NO_POSITION, "recovery was cancelled");
    }
    return 0;
}

static int scan_add_range(struct facts_scan *s, uint64_t from, uint64_t to,
                          enum clg_range_kind kind, const struct clg_record_header *header,
                          struct commitlog_error *err)
{
    struct clg_facts *facts = s->facts;
    CLG_ASSERT(from < to);
    if (facts->range_count >= CLG_FACTS_RANGES_MAX) {
        facts->more_ranges = true;
        return 0;
    }
    void *items = facts->ranges;
    int rc = clg_facts_grow(facts->os, &items, facts->range_count, &facts->range_room,
                            sizeof(*facts->ranges), err);
    facts->ranges = items;
    if (rc != 0) {
        return rc;
    }
    struct clg_fact_range *range = &facts->ranges[facts->range_count++];
    memset(range, 0, sizeof(*range));
    range->from = from;
    range->to = to;
    range->kind = kind;
    range->queue = CLG_QUEUE_NONE;
    range->epoch = s->bounds.epoch;
    range->store_time = s->bounds.time;
    if (header != NULL) {
        range->queue = header->queue_number;
        range->queue_offset = header->queue_offset;
    }
    CLG_ASSERT(facts->range_count <= facts->range_room);
    return 0;
}

/* The record at `position`; none can say that the log begins behind it. */
static void scan_note_first(struct facts_scan *s, const struct clg_record_header *header,
                            uint64_t position, const uint8_t *body, size_t body_bytes)
{
    uint64_t first;
    CLG_ASSERT(header != NULL);
    if (header->kind == CLG_KIND_FIRST && body != NULL &&
        clg_first_decode(body, body_bytes, &first) == 0 && first <= position) {
        s->facts->first_record = first; /* the newest: one before may have been taken back */
    }
}

/* `records`: 0 for a claim, more than 1 for what the stage has of a batch, of which this is the
 * last one. */
static void scan_accept(struct facts_scan *s, const struct clg_record_header *header, uint64_t end,
                        uint64_t records)
{
    struct clg_facts *facts = s->facts;
    CLG_ASSERT(header->epoch >= s->bounds.epoch);
    s->bounds.epoch = header->epoch;
    s->bounds.time = header->store_time;
    if (header->epoch > facts->max_epoch) {
        facts->max_epoch = header->epoch;
    }
    facts->valid_end = end;
    /* Also of what lies behind X: salvage keeps it, and what is cut had this time for once. */
    if (header->store_time > facts->last_store_time) {
        facts->last_store_time = header->store_time;
    }
    uint64_t start = end - clg_min_u64(end, clg_record_size(header->word));
    if (start < facts->sure && facts->sure < end) {
        facts->straddled = true;
        facts->straddling = start;
    }
    if (s->behind) {
        /* Behind what the writer had claimed it was building a batch, the last member not yet. */
        facts->records_behind += !facts->live.usable || start < facts->live.claimed ? records : 0;
        return;
    }
    facts->is_outrun = facts->is_outrun || clg_facts_outruns(facts, header);
    CLG_ASSERT(end > facts->first);
}

static void scan_set_end(struct facts_scan *s, uint64_t position, enum clg_end_reason reason,
                         int os_errno, const char *why)
{
    struct clg_facts *facts = s->facts;
    CLG_ASSERT(!s->behind);
    CLG_ASSERT(why != NULL);
    s->behind = true;
    facts->prefix_end = position;
    facts->valid_end = position;
    facts->end_reason = reason;
    facts->end_errno = os_errno;
    facts->end_why = why;
}

/* What the segment does not explain: does the live area? Behind X, too: a salvage keeps what only
 * the stage has. *taken: the scan goes on behind it. */
static int scan_explain(struct facts_scan *s, struct clg_scan *scan,
                        const struct clg_scan_record *record, bool *taken,
                        struct commitlog_error *err)
{
    struct clg_facts *facts = s->facts;
    struct clg_stage_found found;
    *taken = false;
    CLG_ASSERT(record->verdict != CLG_SCAN_OK);
    int rc = clg_stage_look(s->stage, scan->segment, &s->bounds, record->position, &found, err);
    if (rc != 0) {
        return rc;
    }
    if (found.verdict == CLG_STAGE_RECORDS) {
        clg_facts_witness(facts, found.witness,
                          s->behind ? CLG_WITNESS_BEHIND : CLG_WITNESS_RECORD);
        facts->first_record = found.first != 0 ? found.first : facts->first_record;
        rc = clg_facts_add_staged(facts, record->position, &found, err);
    } else if (found.verdict == CLG_STAGE_CLAIMED) {
        rc = clg_facts_add_claim(facts, record->position, &found.header, CLG_CLAIM_STAGE, err);
    } else if (!s->behind && record->verdict == CLG_SCAN_CLAIMED && facts->live.usable &&
               facts->live.engine == CLG_ENGINE_MMAP && record->position >= facts->live.written &&
               record->next_position <= facts->live.claimed) {
        found.header = record->header;
        found.end = record->next_position;
        rc = clg_facts_add_claim(facts, record->position, &record->header, CLG_CLAIM_MAP, err);
    } else {
        return 0;
    }
    if (rc == 0) {
        uint64_t records = found.verdict == CLG_STAGE_RECORDS ? found.records : 0;
        facts->records_scanned += s->behind ? 0 : clg_max_u64(records, 1);
        facts->tail_zero = facts->tail_zero && !s->behind;
        scan_accept(s, &found.header, found.end, records);
        if (s->behind && records > 0) {
            rc = clg_facts_count_staged(facts, s->stage, scan->segment, record->position, found.end,
                                        err);
        }
        clg_scan_skip(scan, found.end);
        scan->min_epoch = s->bounds.epoch;
        scan->min_time = s->bounds.time;
        *taken = true;
    }
    return rc;
}

static void scan_failed(struct facts_scan *s, const struct clg_scan_record *record)
{
    enum clg_end_reason reason = CLG_END_BAD;
    CLG_ASSERT(record->verdict != CLG_SCAN_OK);
    CLG_ASSERT(record->verdict != CLG_SCAN_END);
    if (record->verdict == CLG_SCAN_FREE && record->header_zero) {
        reason = CLG_END_ZERO;
    } else if (record->verdict == CLG_SCAN_BAD_READ) {
        reason = CLG_END_UNREADABLE;
    } else if (record->verdict == CLG_SCAN_CLAIMED) {
        reason = CLG_END_CLAIMED;
    }
    scan_set_end(s, record->position, reason, record->os_errno,
                 record->why != NULL && record->why[0] != '\0'
                     ? record->why
                     : clg_scan_verdict_text(record->verdict));
}

/* All is well so far. *ended: at the data's end; otherwise X was set. */
static int scan_prefix(struct facts_scan *s, struct clg_scan *scan, bool *ended,
                       struct commitlog_error *err)
{
    *ended = false;
    CLG_ASSERT(!s->behind);
    for (;;) {
        struct clg_scan_record record;
        int rc = clg_scan_step(scan, &record, err);
        if (rc != 0) {
            return rc;
        }
        if (record.verdict == CLG_SCAN_END) {
            *ended = true;
            return 0;
        }
        if (record.verdict == CLG_SCAN_OK) {
            s->facts->records_scanned++;
            scan_note_first(s, &record.header, record.position, record.body, record.body_bytes);
            scan_accept(s, &record.header, record.next_position, 1);
            clg_facts_witness(s->facts, scan->witnessed, CLG_WITNESS_RECORD);
        } else {
            bool taken;
            rc = scan_explain(s, scan, &record, &taken, err);
            if (rc == 0 && !taken) {
                scan_failed(s, &record);
                return 0;
            }
        }
        if (rc == 0) {
            rc = scan_tick(s, scan->next - record.position, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

/* What does not verify from `at` on ends where something in the stage does: at its beginning, or
 * behind what is damaged of it, too. */
static int scan_to_stage(struct facts_scan *s, const struct clg_scan *scan, uint64_t at,
                         uint64_t *to, struct commitlog_error *err)
{
    uint64_t from = at + CLG_RECORD_MIN; /* room for the hole that a salvage makes of it */
    CLG_ASSERT(at < *to);
    return s->facts->live.usable && from < *to
               ? clg_stage_search(s->stage, scan->segment, &s->bounds, from, *to, to, err)
               : 0;
}

/* Nothing verifies at record->position: find what does. */
static int scan_search(struct facts_scan *s, struct clg_scan *scan,
                       const struct clg_scan_record *record, struct clg_fact_segment *fact,
                       struct commitlog_error *err)
{
    uint64_t data_end = scan->segment->data_end;
    uint64_t at = record->position;
    struct clg_scan_search search;
    memset(&search, 0, sizeof(search));
    CLG_ASSERT(at < data_end);
    bool zero = record->verdict == CLG_SCAN_FREE && record->header_zero;
    uint64_t from = zero ? at : at + CLG_RECORD_ALIGN;
    int rc = COMMITLOG_ENOTFOUND;
    if (from < data_end) {
        /* Its text is of no use: that there is no record is an answer here. */
        rc = clg_scan_resync(scan, from, data_end, &search, NULL);
    }
    if (rc != 0 && rc != COMMITLOG_ENOTFOUND && rc != COMMITLOG_EDAMAGED) {
        return clg_fail(err, rc, 0, at, "search behind %" PRIu64, at);
    }
    /* What a header says of the log before it was true when it was sealed, whatever has become of
     * the bytes behind it. Extended, a short file may even hold a record that is whole: what is to
     * be refused is refused before anything is written. */
    uint64_t said = clg_max_u64(search.said_durable, clg_scan_header_durable(record));
    clg_facts_witness(s->facts, said, CLG_WITNESS_BEHIND);
    uint64_t to = rc == 0 ? search.found : data_end;
    const uint64_t found = to;
    bool none = rc == COMMITLOG_ENOTFOUND;
    rc = scan_to_stage(s, scan, at, &to, err);
    if (rc == 0 && to < found && search.unreadable > 0) {
        /* The blocks behind it belong to the next search, which counts them. */
        rc = clg_scan_resync(scan, from, to, &search, err);
        rc = rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EDAMAGED ? 0 : rc;
    }
    if (rc != 0) {
        return rc;
    }
    s->facts->unread_blocks += search.unreadable;
    if (none && to == data_end && zero && search.all_zero && search.unreadable == 0) {
        /* The ordinary end of a segment that is not full. A range all the same: should anything
         * valid lie in a later segment, this is what is missing. */
        clg_scan_skip(scan, data_end);
        return scan_add_range(s, at, data_end, CLG_RANGE_HEADER, NULL, err);
    }
    s->facts->tail_zero = false;
    fact->nonzero = true;
    bool unreadable = record->verdict == CLG_SCAN_BAD_READ || search.unreadable > 0;
    clg_scan_skip(scan, to);
    CLG_ASSERT(to > at);
    rc = scan_add_range(s, at, to, unreadable ? CLG_RANGE_UNREADABLE : CLG_RANGE_HEADER, NULL, err);
    return rc != 0 ? rc : scan_tick(s, to - at, err);
}

/* Behind X: valid records are witnesses, everything else is a range. */
static int scan_behind(struct facts_scan *s, struct clg_scan *scan, struct clg_fact_segment *fact,
                       struct commitlog_error *err)
{
    static const enum clg_range_kind kinds[] = {[CLG_SCAN_BAD_BODY] = CLG_RANGE_BODY,
                                                [CLG_SCAN_BAD_BATCH] = CLG_RANGE_BATCH,
                                                [CLG_SCAN_BAD_MEMBER] = CLG_RANGE_MEMBER,
                                                [CLG_SCAN_CLAIMED] = CLG_RANGE_CLAIMED};
    CLG_ASSERT(s->behind);
    for (;;) {
        struct clg_scan_record record;
        int rc = clg_scan_step(scan, &record, err);
        if (rc != 0 || record.verdict == CLG_SCAN_END) {
            return rc;
        }
        bool search = false;
        bool staged = false;
        clg_facts_witness(s->facts, clg_scan_header_durable(&record), CLG_WITNESS_BEHIND);
        if (record.verdict != CLG_SCAN_OK) {
            rc = scan_explain(s, scan, &record, &staged, err);
        }
        if (rc != 0 || staged) {
            fact->nonzero = fact->nonzero || staged; /* it had a use, whatever the file has */
        } else if (record.verdict == CLG_SCAN_OK) {
            fact->nonzero = true;
            s->facts->tail_zero = false;
            scan_note_first(s, &record.header, record.position, record.body, record.body_bytes);
            scan_accept(s, &record.header, record.next_position, 1);
            clg_facts_count_queue(s->facts, &record.header);
            clg_facts_witness(s->facts, scan->witnessed, CLG_WITNESS_BEHIND);
        } else if (record.verdict != CLG_SCAN_BAD_READ && clg_scan_damage_end(&record) > 0) {
            fact->nonzero = true;
            s->facts->tail_zero = false;
            clg_facts_witness(s->facts, scan->witnessed, CLG_WITNESS_BEHIND);
            uint64_t to = clg_scan_damage_end(&record);
            enum clg_range_kind kind = kinds[record.verdict];
            rc = scan_add_range(s, record.position, to, kind,
                                to == record.next_position ? &record.header : NULL, err);
            clg_scan_skip(scan, to);
        } else {
            search = true;
            rc = scan_search(s, scan, &record, fact, err);
        }
        if (rc == 0 && !search) {
            rc = scan_tick(s, scan->next - record.position, err);
        }
        if (rc != 0) {
            return rc;
        }
    }
}

static int scan_used_end(struct facts_scan *s, struct clg_scan *scan, struct clg_fact_segment *fact,
                         struct commitlog_error *err)
{
    uint64_t data_end = scan->segment->data_end;
    uint64_t from = clg_max_u64(s->facts->prefix_end, scan->segment->data_start);
    CLG_ASSERT(from <= data_end);
    if (fact->footer_code != COMMITLOG_ENOTFOUND) {
        fact->nonzero = true;
        s->facts->tail_zero = false;
        fact->used_end = data_end + CLG_SEGMENT_FOOTER;
        return 0;
    }
    if (!fact->nonzero || from == data_end) {
        fact->used_end = from;
        return 0;
    }
    return clg_scan_last_nonzero(scan, from, data_end, &fact->used_end, err);
}

/* A clean close promises zeros behind its end: look at the place, not at the whole rest. */
static bool scan_clean_stop(const struct facts_scan *s)
{
    const struct clg_facts *facts = s->facts;
    return facts->clean && !s->options->full && facts->prefix_end == facts->checkpoint.durable &&
           (facts->end_reason == CLG_END_ZERO || facts->end_reason == CLG_END_NO_SEGMENT) &&
           clg_facts_none_behind(facts);
}

static int scan_one(struct facts_scan *s, struct clg_fact_segment *fact, uint64_t start,
                    struct commitlog_error *err)
{
    struct clg_scan scan;
    CLG_ASSERT(fact->segment != NULL);
    clg_scan_init(&scan, fact->segment, start, CLG_SCAN_FULL);
    /* A prepared segment's header may be older than the records before it. */
    scan.min_epoch = s->bounds.epoch > scan.min_epoch ? s->bounds.epoch : scan.min_epoch;
    scan.min_time = s->bounds.time > scan.min_time ? s->bounds.time : scan.min_time;
    s->bounds.epoch = scan.min_epoch;
    s->bounds.time = scan.min_time;
    if (s->behind) {
        scan.read_ahead = CLG_SCAN_SMALL_BYTES; /* most likely there is nothing in it */
    }
    bool ended = false;
    int rc = 0;
    size_t ranges = s->facts->range_count;
    bool all = scan.next == fact->segment->data_start && !s->facts->more_ranges;
    if (!s->behind) {
        rc = scan_prefix(s, &scan, &ended, err);
        if (rc == 0 && s->behind && scan_clean_stop(s)) {
            s->stop = true;
            ended = true;
        }
    }
    if (rc == 0 && s->behind && !s->stop) {
        rc = scan_behind(s, &scan, fact, err);
        if (rc == 0) {
            rc = scan_used_end(s, &scan, fact, err);
        }
    }
    CLG_ASSERT(rc != 0 || ended || s->behind);
    fact->whole = rc == 0 && all && scan.next == fact->segment->data_end &&
                  s->facts->range_count == ranges && !s->facts->more_ranges;
    fact->records = scan.records;
    clg_scan_free(&scan);
    return rc;
}

/* A hole in the row of files, or a file without a header. */
static int scan_missing(struct facts_scan *s, uint64_t from, uint64_t to, bool nonzero,
                        const char *why, struct commitlog_error *err)
{
    CLG_ASSERT(from <= to);
    if (!s->behind) {
        /* A file that is no segment may by its name begin before the oldest one, and end in it. */
        uint64_t end = clg_max_u64(from + CLG_SEGMENT_DATA_START, s->facts->first);
        scan_set_end(s, end, CLG_END_BAD, 0, why);
    }
    s->facts->tail_zero = s->facts->tail_zero && !nonzero;
    return to > from ? scan_add_range(s, from, to, CLG_RANGE_SEGMENT, NULL, err) : 0;
}

static int scan_all(struct facts_scan *s, size_t index, uint64_t start, struct commitlog_error *err)
{
    struct clg_facts *facts = s->facts;
    uint64_t expected = index < facts->segment_count ? facts->segments[index].base : 0;
    int rc = 0;
    CLG_ASSERT(index <= facts->segment_count);
    for (size_t i = index; rc == 0 && i < facts->segment_count && !s->stop; i++) {
        struct clg_fact_segment *fact = &facts->segments[i];
        if (clg_facts_is_stray(facts, i)) {
            continue;
        }
        if (fact->base > expected) {
            rc = scan_missing(s, expected, fact->base, false, "a segment is missing", err);
        }
        expected = fact->base + fact->bytes;
        if (rc == 0 && (fact->segment == NULL || (fact->rebuilt && !s->behind))) {
            /* Rebuilt ones are scanned too, but nothing in them counts as accepted. */
            rc = scan_missing(s, fact->base,
                              fact->segment != NULL ? fact->base + CLG_SEGMENT_DATA_START
                                                    : fact->base + fact->bytes,
                              fact->nonzero, clg_segment_state_text(fact->state), err);
        }
        if (rc == 0 && fact->segment != NULL) {
            rc = scan_one(s, fact, i == index ? start : 0, err);
            if (!fact->segment->fd_writable) { /* what may have to be mended stays open */
                (void)clg_segment_close_idle(fact->segment);
            }
        }
    }
    if (rc == 0 && !s->behind) {
        /* Nothing that is kept is there, only files that retention had dropped, or none. */
        uint64_t end =
            index < facts->segment_count ? expected + CLG_SEGMENT_DATA_START : facts->first;
        scan_set_end(s, end, CLG_END_NO_SEGMENT, 0, "no segment follows");
    }
    return rc;
}

void clg_facts_reset_scan(struct clg_facts *facts)
{
    CLG_ASSERT(facts->range_count <= facts->range_room);
    CLG_ASSERT(facts->claim_count <= facts->claim_room);
    facts->range_count = 0;
    facts->claim_count = 0;
    facts->staged_count = 0;
    facts->cut_queue_count = 0;
    facts->cut_others = 0;
    facts->more_ranges = false;
    facts->bytes_scanned = 0;
    facts->first_record = 0;
    facts->records_scanned = 0;
    facts->records_behind = 0;
    facts->unread_blocks = 0;
    facts->straddled = false;
    facts->is_outrun = false;
    facts->tail_zero = true;
    for (size_t i = 0; i < facts->segment_count; i++) {
        facts->segments[i].used_end = facts->segments[i].base;
        facts->segments[i].whole = false;
        facts->segments[i].nonzero =
            facts->segments[i].segment == NULL && facts->segments[i].nonzero;
    }
}

int clg_facts_scan(struct clg_facts *facts, struct clg_stage *stage,
                   const struct clg_facts_options *options, struct commitlog_error *err)
{
    struct facts_scan s;
    memset(&s, 0, sizeof(s));
    s.facts = facts;
    s.stage = stage;
    s.options = options;
    s.bounds.time = INT64_MIN;
    clg_facts_reset_scan(facts);
    CLG_ASSERT(facts->scan_from >= facts->first);
    size_t index = 0;
    while (index < facts->segment_count &&
           (facts->segments[index].base + facts->segments[index].bytes <= facts->scan_from ||
            clg_facts_is_stray(facts, index))) {
        index++;
    }
    size_t before = index; /* behind the file before, whatever is named into that one */
    while (before > 0 && clg_facts_is_stray(facts, before - 1)) {
        before--;
    }
    bool follows = before > 0 && !clg_facts_is_below(facts, &facts->segments[before - 1]);
    if (index == facts->segment_count && follows) {
        /* The newest files are missing: the end of what is left is where the last one ends. */
        index = before - 1;
        facts->scan_from =
            clg_max_u64(facts->first, facts->segments[index].base + CLG_SEGMENT_DATA_START);
    }
    uint64_t start = 0;
    int rc = 0;
    facts->bytes_total = 0;
    for (size_t i = index; i < facts->segment_count; i++) {
        facts->bytes_total += facts->segments[i].bytes;
    }
    if (index < facts->segment_count) {
        const struct clg_fact_segment *fact = &facts->segments[index];
        uint64_t data_start = fact->base + CLG_SEGMENT_DATA_START;
        start = clg_max_u64(facts->scan_from, data_start);
        /* Not the one that follows the file before: what is between is missing. */
        if (fact->base > facts->scan_from) {
            uint64_t end = clg_align_down(facts->first, CLG_SEGMENT_ALIGN) - CLG_SEGMENT_DATA_START;
            if (follows) {
                /* The log ends where the file before does: the checkpoint lies in a missing one. */
                end = facts->segments[before - 1].base + facts->segments[before - 1].bytes;
                facts->scan_from = clg_min_u64(facts->scan_from, end + CLG_SEGMENT_DATA_START);
            }
            scan_set_end(&s, facts->scan_from, CLG_END_BAD, 0, "a segment is missing");
            rc = scan_add_range(&s, end, fact->base, CLG_RANGE_SEGMENT, NULL, err);
        }
    }
    if (rc == 0) {
        rc = scan_all(&s, index, start, err);
    }
    CLG_ASSERT(rc != 0 || facts->prefix_end <= facts->valid_end);
    return rc;
}
