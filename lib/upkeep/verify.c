/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verify.c -- reads a whole store and says whether it is sound. See verify.h.
 *
 * The log is scanned here from its first record to the end that recovery's facts give; the derived
 * files of sealed segments are in verify_view.c, those of the whole store in verify_state.c.
 */
#include "upkeep/verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/attributes.h"
#include "format/topic_record.h"
#include "segment/segment_scan.h"
#include "upkeep/damage_list.h"
#include "upkeep/verify_internal.h"
#include "view/checkpoint_file.h"

#define VERIFY_PROGRESS_BYTES (UINT64_C(1) << 20)
#define VERIFY_LINE_BYTES 256u
#define VERIFY_KEYS_MAX 64u
#define VERIFY_TOPICS_MAX 256u
#define VERIFY_SECTOR_BYTES 512u /* the smallest that a device writes as a whole */

int clg_verify_damage(struct clg_verify *v, const struct commitlog_damage *damage)
{
    const struct clg_recovery_report *report = v->options->report;
    CLG_ASSERT(damage->struct_bytes == sizeof(*damage));
    v->counts->damaged_ranges++;
    if (report != NULL && report->damage(report->ctx, damage) != 0) {
        return clg_fail(v->err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "report");
    }
    CLG_ASSERT(v->counts->damaged_ranges > 0);
    return 0;
}

int clg_verify_say(struct clg_verify *v, uint64_t from, uint64_t to, const char *reason)
{
    struct commitlog_damage damage;
    CLG_ASSERT(from <= to);
    CLG_ASSERT(reason != NULL);
    clg_damage_make(&damage, from, to, reason);
    return clg_verify_damage(v, &damage);
}

int clg_verify_note(struct clg_verify *v, const char *text)
{
    const struct clg_recovery_report *report = v->options->report;
    CLG_ASSERT(text != NULL);
    return report != NULL && report->line(report->ctx, text) != 0
               ? clg_fail(v->err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "report")
               : 0;
}

int clg_verify_tick(struct clg_verify *v, uint64_t bytes)
{
    v->counts->bytes += bytes;
    CLG_ASSERT(v->reported <= v->counts->bytes);
    if (v->options->progress == NULL || v->counts->bytes - v->reported < VERIFY_PROGRESS_BYTES) {
        return 0;
    }
    v->reported = v->counts->bytes;
    CLG_ASSERT(v->options->progress != NULL);
    return v->options->progress(v->options->progress_ctx, v->counts->bytes, v->total) != 0
               ? clg_fail(v->err, COMMITLOG_EINTERRUPTED, 0, CLG_NO_POSITION,
                          "verification was cancelled")
               : 0;
}

/* One failure: report it and move behind it. */
static int verify_failed(struct clg_verify *v, struct clg_scan *scan,
                         const struct clg_scan_record *record, uint64_t limit)
{
    uint64_t to = clg_scan_damage_end(record);
    CLG_ASSERT(record->position < limit);
    if (to == 0) {
        struct clg_scan_search search;
        uint64_t from = record->position + CLG_RECORD_ALIGN;
        int rc =
            from < limit ? clg_scan_resync(scan, from, limit, &search, NULL) : COMMITLOG_ENOTFOUND;
        if (rc != 0 && rc != COMMITLOG_ENOTFOUND && rc != COMMITLOG_EDAMAGED) {
            return clg_fail(v->err, rc, 0, from, "verify");
        }
        to = rc == 0 ? search.found : limit;
    }
    struct commitlog_damage damage;
    clg_damage_make(&damage, record->position, to,
                    record->verdict == CLG_SCAN_FREE ? "no record verifies here"
                                                     : clg_scan_verdict_text(record->verdict));
    if (clg_scan_damage_is_one(record)) {
        damage.queue = record->header.queue_number;
        damage.from_offset = record->header.queue_offset;
        damage.to_offset = record->header.queue_offset + 1;
    }
    CLG_ASSERT(to > record->position);
    clg_scan_skip(scan, to);
    return clg_verify_damage(v, &damage);
}

/* The power went while the segment was being sealed: each sector is as the footer will be when the
 * next writer seals it again, or zero as before. Segments are sealed in order. Or a writer beside
 * this was at it: then all of it may be there by now. */
static bool verify_is_torn(const struct clg_facts *facts, const struct clg_fact_segment *fact,
                           const struct clg_segment_footer *seen)
{
    uint8_t found[CLG_FORMAT_PAGE_BYTES];
    uint8_t whole[CLG_FORMAT_PAGE_BYTES];
    if (facts->clean || fact->footer_code != COMMITLOG_EDAMAGED || seen->records == 0) {
        return false;
    }
    for (const struct clg_fact_segment *next = fact + 1;
         next < facts->segments + facts->segment_count; next++) {
        if (next->footer_code == 0) {
            return false;
        }
    }
    if (clg_segment_pread(fact->segment, found, sizeof(found), seen->end, NULL) != 0) {
        return false;
    }
    clg_segment_footer_encode(whole, &fact->segment->header, seen);
    bool torn = true;
    for (size_t at = 0; torn && at < sizeof(found); at += VERIFY_SECTOR_BYTES) {
        torn = clg_is_zero(found + at, VERIFY_SECTOR_BYTES) ||
               memcmp(found + at, whole + at, VERIFY_SECTOR_BYTES) == 0;
    }
    return torn;
}

/* sound: `seen` is of all its records. */
static int verify_footer(struct clg_verify *v, const struct clg_facts *facts,
                         const struct clg_fact_segment *fact, const struct clg_segment_footer *seen,
                         bool sound)
{
    uint64_t at = fact->base + fact->bytes - CLG_SEGMENT_FOOTER;
    CLG_ASSERT(fact->segment != NULL);
    if (fact->footer_code != 0 && fact->footer_code != COMMITLOG_ENOTFOUND) {
        if (sound && !fact->rebuilt && verify_is_torn(facts, fact, seen)) {
            return 0;
        }
        return clg_verify_say(v, at, at + CLG_SEGMENT_FOOTER, "the footer fails its check");
    }
    if (fact->footer_code == 0 && sound && !fact->rebuilt &&
        fact->segment->footer.records != seen->records) {
        return clg_verify_say(v, at, at + CLG_SEGMENT_FOOTER,
                              "the footer counts other records than there are");
    }
    CLG_ASSERT(v->err == NULL || seen->records <= v->counts->records);
    return 0;
}

/* Does a queue's file have an entry of it? */
static bool verify_is_queued(const struct clg_record_header *header)
{
    return header->queue_number != CLG_QUEUE_NONE &&
           (header->kind == CLG_KIND_MESSAGE || header->kind == CLG_KIND_REFERENCE ||
            header->kind == CLG_KIND_HOLE);
}

/* Keys of one record; further ones are not counted. */
struct verify_hashes {
    uint64_t hash[VERIFY_KEYS_MAX];
    uint32_t count;
};

/* Queues whose topic the segment defines, as each does before the first record of one; further ones
 * are not kept. Of one whose definition is lost no key is known. */
struct verify_topics {
    struct {
        uint32_t first;
        uint32_t count;
    } queues[VERIFY_TOPICS_MAX];
    uint32_t count;
};

static void verify_topic_add(struct verify_topics *topics, const struct clg_scan_record *record)
{
    struct clg_topic_definition definition;
    if (record->header.kind == CLG_KIND_TOPIC && record->body != NULL &&
        topics->count < VERIFY_TOPICS_MAX &&
        clg_topic_definition_decode(record->body, record->body_bytes, &definition) == 0) {
        topics->queues[topics->count].first = definition.first_queue;
        topics->queues[topics->count++].count = definition.queue_count;
    }
}

static bool verify_topic_known(const struct verify_topics *topics, uint32_t queue)
{
    for (uint32_t i = 0; i < topics->count; i++) {
        if (queue - topics->queues[i].first < topics->queues[i].count) {
            return true;
        }
    }
    return false;
}

static void verify_hash_add(struct verify_hashes *hashes, uint64_t hash)
{
    for (uint32_t i = 0; i < hashes->count; i++) {
        if (hashes->hash[i] == hash) {
            return; /* the same key again has no entry */
        }
    }
    if (hashes->count < VERIFY_KEYS_MAX) {
        hashes->hash[hashes->count++] = hash;
    }
}

/* So many entries at least the file of keys has of it. */
static uint64_t verify_keys_of(const struct verify_topics *topics,
                               const struct clg_scan_record *record)
{
    const uint32_t kind = record->header.kind;
    struct verify_hashes hashes = {.count = 0};
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    if ((kind != CLG_KIND_MESSAGE && kind != CLG_KIND_REFERENCE) || record->attributes == NULL ||
        record->header.queue_number == CLG_QUEUE_NONE || record->header.attribute_bytes == 0) {
        return 0;
    }
    clg_attribute_iterator_init(&iterator, record->attributes, record->header.attribute_bytes);
    while (clg_attribute_next(&iterator, &attribute) == 1) {
        if (kind == CLG_KIND_MESSAGE && attribute.type == CLG_ATTRIBUTE_KEY &&
            verify_topic_known(topics, record->header.queue_number)) {
            verify_hash_add(&hashes, clg_key_hash(0, attribute.value, attribute.bytes));
        }
        bool hashed = kind == CLG_KIND_REFERENCE && attribute.type == CLG_ATTRIBUTE_KEY_HASHES;
        for (size_t at = 0; hashed && at + sizeof(uint64_t) <= attribute.bytes;
             at += sizeof(uint64_t)) {
            verify_hash_add(&hashes, clg_load_le64(attribute.value + at));
        }
    }
    return hashes.count;
}

static int verify_segment(struct clg_verify *v, const struct clg_facts *facts,
                          const struct clg_fact_segment *fact)
{
    struct clg_scan scan;
    struct clg_segment_footer seen = {.end = fact->segment->data_end};
    struct verify_topics topics = {.count = 0};
    uint64_t before = v->counts->damaged_ranges;
    uint64_t limit = clg_min_u64(v->end, fact->segment->data_end);
    CLG_ASSERT(fact->segment != NULL);
    v->queue_records = 0;
    v->keys = 0;
    clg_scan_init(&scan, fact->segment, 0, CLG_SCAN_FULL);
    scan.min_epoch = v->min_epoch > scan.min_epoch ? v->min_epoch : scan.min_epoch;
    scan.min_time = v->min_time > scan.min_time ? v->min_time : scan.min_time;
    int rc = 0;
    while (rc == 0 && scan.next < limit) {
        struct clg_scan_record record;
        uint64_t at = scan.next;
        rc = clg_scan_step(&scan, &record, v->err);
        if (rc != 0 || record.verdict == CLG_SCAN_END) {
            break;
        }
        if (record.verdict == CLG_SCAN_OK) {
            v->counts->records++;
            v->queue_records += verify_is_queued(&record.header);
            verify_topic_add(&topics, &record);
            v->keys += verify_keys_of(&topics, &record);
            seen.first_time = scan.records == 1 ? record.header.store_time : seen.first_time;
            seen.last_time = record.header.store_time;
            seen.epoch = record.header.epoch;
            v->is_outrun = v->is_outrun || clg_facts_outruns(facts, &record.header);
        } else {
            rc = verify_failed(v, &scan, &record, limit);
        }
        if (rc == 0) {
            rc = clg_verify_tick(v, scan.next - at);
        }
    }
    v->min_epoch = scan.min_epoch;
    v->min_time = scan.min_time;
    seen.records = scan.records;
    clg_scan_free(&scan);
    /* Beside a live writer the segment may have been filled and sealed since `end` was read. */
    bool sound = v->counts->damaged_ranges == before && limit == fact->segment->data_end;
    v->counted = sound;
    v->damaged = v->counts->damaged_ranges > before;
    if (rc == 0) {
        rc = verify_footer(v, facts, fact, &seen, sound);
    }
    if (rc == 0 && fact->footer_code == 0) {
        rc = clg_verify_views(v, fact->segment);
    }
    v->counts->segments++;
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* Beside a live writer: has retention dropped the segment that begins at `base` since the facts
 * were taken? The checkpoint knows before the first file goes, and so does the live area, also if
 * that slot of the checkpoint is lost. */
static bool verify_is_dropped(struct clg_verify *v, const struct clg_facts *facts, uint64_t base)
{
    uint64_t first = clg_max_u64(facts->first, facts->live.first);
    uint64_t now = 0;
    CLG_ASSERT(v->dir->dir_fd >= 0);
    if (!facts->writer_live) {
        return false;
    }
    if (clg_checkpoint_first_now(v->dir->os, v->dir->dir_fd, facts->uuid, &now, NULL) == 0) {
        first = clg_max_u64(first, now);
    }
    CLG_ASSERT(first >= facts->first);
    return first > base + CLG_SEGMENT_DATA_START;
}

static int verify_files(struct clg_verify *v, const struct clg_facts *facts)
{
    uint64_t expected = facts->first - CLG_SEGMENT_DATA_START;
    int rc = 0;
    CLG_ASSERT(facts->first >= CLG_SEGMENT_DATA_START);
    for (size_t i = 0; rc == 0 && i < facts->segment_count; i++) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        /* Where no record lies, files can be wrong all the same. */
        bool ahead = fact->base > v->end;
        if (clg_facts_is_below(facts, fact) || (ahead && facts->writer_live)) {
            continue;
        }
        if (clg_facts_is_stray(facts, i)) {
            rc = clg_verify_say(v, fact->base, fact->base,
                                "a file is named into another segment and is none");
            continue;
        }
        if (fact->base > expected && !verify_is_dropped(v, facts, expected)) {
            rc = clg_verify_say(v, expected, fact->base, "a segment is missing");
        }
        expected = fact->base + fact->bytes;
        bool good = fact->state == CLG_SEGMENT_GOOD || fact->state == CLG_SEGMENT_LONG;
        if (rc == 0 && !good && verify_is_dropped(v, facts, fact->base)) {
            continue;
        }
        if (rc == 0 && fact->segment == NULL && !clg_plan_is_leftover(facts, i)) {
            rc = clg_verify_say(v, fact->base, expected, clg_segment_state_text(fact->state));
        }
        if (rc != 0 || ahead || fact->segment == NULL) {
            continue;
        }
        if (!good) {
            rc = clg_verify_say(v, fact->base, fact->base + CLG_SEGMENT_DATA_START,
                                clg_segment_state_text(fact->state));
        }
        if (rc == 0) {
            rc = verify_segment(v, facts, fact);
            (void)clg_segment_close_idle(fact->segment);
            if (rc == COMMITLOG_EIO && verify_is_dropped(v, facts, fact->base)) {
                clg_error_clear(v->err);
                rc = 0;
            }
        }
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* Behind X, when a witness says that it is not the end. */
static int verify_behind(struct clg_verify *v, const struct clg_facts *facts)
{
    uint64_t known = clg_max_u64(facts->valid_end, facts->witness);
    uint64_t lost = 0;
    if (facts->writer_live || facts->prefix_end >= facts->witness) {
        return 0;
    }
    CLG_ASSERT(known >= facts->prefix_end);
    for (size_t i = 0; i < facts->range_count && facts->ranges[i].from < known; i++) {
        struct commitlog_damage damage;
        if (facts->ranges[i].kind == CLG_RANGE_SEGMENT) {
            continue; /* verify_files has said it */
        }
        clg_recovery_damage(&facts->ranges[i], &damage);
        damage.to_position = clg_min_u64(damage.to_position, known);
        int rc = clg_verify_damage(v, &damage);
        if (rc != 0) {
            return rc;
        }
    }
    if (clg_facts_lost_end(facts, &lost)) {
        return clg_verify_say(v, lost, facts->witness, "durable records are missing");
    }
    CLG_ASSERT(v->counts->damaged_ranges > 0);
    return 0;
}

/* What it said of the end is lost. One slot may be what a power cut left, and is no damage then. */
static int verify_checkpoint(struct clg_verify *v, const struct clg_facts *facts)
{
    char line[VERIFY_LINE_BYTES];
    bool torn = false;
    const char *wrong = clg_facts_checkpoint_wrong(facts, &torn);
    if (wrong == NULL) {
        return 0;
    }
    if (!torn) {
        return clg_verify_say(v, facts->prefix_end, facts->prefix_end, wrong);
    }
    (void)snprintf(line, sizeof(line),
                   "%s, or the power went while it was written: whether the last writer closed the "
                   "store is not known; the next one to open it writes it anew",
                   wrong);
    return clg_verify_note(v, line);
}

/* Whatever it is that makes an open for writing refuse, verify does not call that sound. */
static int verify_plan(struct clg_verify *v, const struct clg_facts *facts)
{
    struct clg_plan plan;
    struct clg_plan_options options = {.mode = COMMITLOG_RECOVER_TAIL};
    if (facts->writer_live || v->counts->damaged_ranges > 0) {
        return 0;
    }
    int rc = clg_plan_make(facts, &options, &plan, v->err);
    if (rc == 0 && plan.code == COMMITLOG_EDAMAGED) {
        const struct clg_fact_segment *fact = clg_facts_segment_at(facts, plan.reason_position);
        uint64_t end =
            fact != NULL ? fact->base + fact->bytes : plan.reason_position + CLG_SEGMENT_ALIGN;
        rc = clg_verify_say(v, plan.reason_position, end, plan.reason);
    }
    clg_plan_free(&plan);
    CLG_ASSERT(rc <= 0);
    return rc;
}

static void verify_summary(const struct clg_verify *v, const struct clg_facts *facts,
                           struct commitlog_recovery *out)
{
    memset(out, 0, sizeof(*out));
    CLG_ASSERT(v->counts != NULL);
    out->struct_bytes = sizeof(*out);
    out->tail = facts->prefix_end < facts->witness                       ? COMMITLOG_TAIL_DAMAGED
                : facts->tail_zero && clg_facts_live_lost(facts) == NULL ? COMMITLOG_TAIL_CLEAN
                : facts->live.usable && clg_facts_live_lost(facts) == NULL
                    ? COMMITLOG_TAIL_TORN
                    : COMMITLOG_TAIL_UNPROVABLE;
    if (v->counts->damaged_ranges > 0) {
        out->tail = COMMITLOG_TAIL_DAMAGED;
    }
    out->clean_close = facts->clean ? 1 : 0;
    out->same_boot = facts->same_boot ? 1 : 0;
    out->epoch = facts->max_epoch;
    out->first = facts->first;
    out->witness = facts->witness;
    out->end = v->end;
    out->bytes_scanned = v->counts->bytes;
    out->records_scanned = v->counts->records;
    out->damaged_ranges = v->counts->damaged_ranges;
    CLG_ASSERT(out->tail <= COMMITLOG_TAIL_DAMAGED);
}

static const char *verify_plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static int verify_line(struct clg_verify *v)
{
    char line[VERIFY_LINE_BYTES];
    CLG_ASSERT(v->counts != NULL);
    (void)snprintf(line, sizeof(line),
                   "verified: %" PRIu64 " segment%s, %" PRIu64 " record%s, %" PRIu64
                   " bytes, %" PRIu64 " derived file%s, %" PRIu64 " damaged range%s",
                   v->counts->segments, verify_plural(v->counts->segments), v->counts->records,
                   verify_plural(v->counts->records), v->counts->bytes, v->counts->view_files,
                   verify_plural(v->counts->view_files), v->counts->damaged_ranges,
                   verify_plural(v->counts->damaged_ranges));
    CLG_ASSERT(line[0] != '\0');
    return clg_verify_note(v, line);
}

/* What no reader is given before a writer has made it good. */
static int verify_await(struct clg_verify *v, const struct clg_facts *facts)
{
    const struct clg_plan_options options = {.mode = COMMITLOG_RECOVER_TAIL, .read_only = true};
    char line[VERIFY_LINE_BYTES];
    struct clg_plan plan;
    bool torn = false;
    const char *wrong = clg_facts_checkpoint_wrong(facts, &torn);
    if (v->options->report == NULL || facts->writer_live) {
        return 0;
    }
    int rc = clg_plan_make(facts, &options, &plan, v->err);
    if (rc != 0) {
        return rc;
    }
    if (plan.unrecovered_bytes > 0) {
        (void)snprintf(line, sizeof(line),
                       "%s: %" PRIu64 " bytes of records behind position %" PRIu64
                       " await recovery%s",
                       wrong != NULL ? wrong : "the last writer did not close the store",
                       plan.unrecovered_bytes, plan.serve_end,
                       plan.tail == COMMITLOG_TAIL_DAMAGED
                           ? ", which the damage keeps from being done"
                           : "; `commitlog recover' or the next writer makes them readable");
        rc = clg_verify_note(v, line);
    }
    clg_plan_free(&plan);
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* Its files cannot even be told apart: why not is all that there is to report. */
static int verify_refused(struct clg_verify *v, struct commitlog_recovery *out)
{
    uint64_t at = v->err != NULL && v->err->position != CLG_NO_POSITION ? v->err->position : 0;
    const char *why = v->err != NULL ? v->err->message : commitlog_error_text(COMMITLOG_EDAMAGED);
    CLG_ASSERT(v->counts->damaged_ranges == 0);
    memset(out, 0, sizeof(*out));
    out->struct_bytes = sizeof(*out);
    out->tail = COMMITLOG_TAIL_DAMAGED;
    int rc = clg_verify_say(v, at, at, why);
    return rc != 0 ? rc : COMMITLOG_EDAMAGED;
}

int clg_verify_run(struct clg_store_dir *dir, const struct clg_verify_options *options,
                   struct clg_verify_counts *counts, struct commitlog_recovery *summary,
                   struct commitlog_error *err)
{
    struct clg_verify v;
    struct clg_facts facts;
    memset(&v, 0, sizeof(v));
    memset(counts, 0, sizeof(*counts));
    v.dir = dir;
    v.options = options;
    v.counts = counts;
    v.err = err;
    v.min_time = INT64_MIN;
    CLG_ASSERT(dir->dir_fd >= 0);
    struct clg_facts_options facts_options = {
        .read_only = true, .progress = options->progress, .progress_ctx = options->progress_ctx};
    int rc = clg_facts_collect(dir, &facts_options, &facts, err);
    if (rc != 0) {
        return rc == COMMITLOG_EDAMAGED ? verify_refused(&v, summary) : rc;
    }
    v.end = facts.prefix_end;
    /* From here on some of it is only in a dead writer's memory; the facts have verified all that
     * in full, wherever it was, because it lies behind the checkpoint. */
    if (facts.staged_count > 0) {
        v.end = clg_min_u64(v.end, facts.staged[0].from);
    }
    if (facts.claim_count > 0) {
        v.end = clg_min_u64(v.end, facts.claims[0].position);
    }
    v.total = facts.prefix_end > facts.first ? facts.prefix_end - facts.first : 0;
    if (facts.is_new) {
        rc = clg_fail(err, COMMITLOG_ENOTFOUND, 0, CLG_NO_POSITION, "there is no store");
    } else {
        rc = verify_files(&v, &facts);
        facts.is_outrun = facts.is_outrun || v.is_outrun;
        rc = rc == 0 ? clg_verify_states(&v, facts.first) : rc;
    }
    if (rc == 0) {
        rc = verify_behind(&v, &facts);
    }
    if (rc == 0) {
        rc = verify_checkpoint(&v, &facts);
    }
    if (rc == 0 && !facts.is_new) {
        rc = verify_plan(&v, &facts);
    }
    if (rc == 0) {
        rc = verify_line(&v);
    }
    if (rc == 0) {
        rc = verify_await(&v, &facts);
    }
    if (rc == 0) {
        verify_summary(&v, &facts, summary);
        if (counts->damaged_ranges > 0) {
            rc =
                clg_fail(err, COMMITLOG_EDAMAGED, 0, CLG_NO_POSITION, "%" PRIu64 " damaged range%s",
                         counts->damaged_ranges, verify_plural(counts->damaged_ranges));
        }
    }
    clg_facts_free(&facts);
    CLG_ASSERT(rc <= 0);
    return rc;
}
