/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_scan.c -- one record after the other. See segment_scan.h.
 *
 * Invariants: every byte that decides something is in the scan's own buffer when it is looked at;
 *       sizes are compared with the room in the segment before they are used.
 * Threads and locks: none.
 * Happy path: load header -> bounds, header check -> load the rest -> body check -> move on.
 * Failure modes: a read that fails is tried once more with only the blocks it needs, so that a bad
 *       block fails the record in it and not its neighbours.
 */
#include "segment/segment_scan.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/attributes.h"
#include "format/topic_record.h"
#include "segment/segment_scan_internal.h"

const char *clg_scan_verdict_text(enum clg_scan_verdict verdict)
{
    switch (verdict) {
    case CLG_SCAN_OK:
        return "ok";
    case CLG_SCAN_END:
        return "end of the segment";
    case CLG_SCAN_FREE:
        return "free";
    case CLG_SCAN_CLAIMED:
        return "claimed, never committed";
    case CLG_SCAN_BAD_HEADER:
        return "header fails its check";
    case CLG_SCAN_BAD_BODY:
        return "body fails its check";
    case CLG_SCAN_BAD_BATCH:
        return "batch is not whole";
    case CLG_SCAN_BAD_MEMBER:
        return "of a batch that is not whole";
    case CLG_SCAN_BAD_READ:
        return "cannot be read";
    }
    return "unknown";
}

void clg_scan_init(struct clg_scan *scan, struct clg_segment *segment, uint64_t position,
                   enum clg_scan_mode mode)
{
    CLG_ASSERT(segment != NULL);
    CLG_ASSERT(mode == CLG_SCAN_HEADER_ONLY || mode == CLG_SCAN_FULL);
    *scan = (struct clg_scan){
        .segment = segment,
        .os = segment->dir->os,
        .mode = mode,
        .next = position == 0 ? segment->data_start : position,
        .min_epoch = segment->header.epoch,
        .min_time = segment->header.first_time,
        .read_ahead = CLG_SCAN_WINDOW_BYTES,
    };
}

int clg_scan_use_map(struct clg_scan *scan, struct commitlog_error *err)
{
    CLG_ASSERT(scan->buffer == NULL);
    const uint8_t *map = NULL;
    int rc = clg_segment_map(scan->segment, &map, err);
    if (rc == 0) {
        scan->window = map;
        scan->window_at = scan->segment->base;
        scan->window_bytes = scan->segment->bytes; /* a short file has no map */
    }
    return rc;
}

void clg_scan_free(struct clg_scan *scan)
{
    CLG_ASSERT(scan->buffer != NULL || scan->buffer_bytes == 0);
    scan->os->free(scan->os, scan->buffer);
    scan->buffer = NULL;
    scan->buffer_bytes = 0;
    scan->window_bytes = 0;
}

void clg_scan_skip(struct clg_scan *scan, uint64_t position)
{
    CLG_ASSERT(scan->segment != NULL);
    CLG_ASSERT(position <= CLG_POSITION_MAX);
    scan->next = position;
    scan->batch_end = 0;
    scan->members_end = 0;
}

void clg_scan_seek(struct clg_scan *scan, uint64_t position)
{
    clg_scan_skip(scan, position);
    CLG_ASSERT(scan->next == position);
    scan->data_to = 0; /* the caller may have written meanwhile */
    if (scan->buffer != NULL) {
        scan->window_bytes = 0;
    }
}

/* ---- the window ---- */

static int scan_grow(struct clg_scan *scan, uint64_t bytes, struct commitlog_error *err)
{
    CLG_ASSERT(bytes <= scan->segment->bytes);
    CLG_ASSERT(scan->buffer != NULL || scan->window_bytes == 0);
    if (bytes <= scan->buffer_bytes) {
        return 0;
    }
    uint64_t room = clg_max_u64(bytes, CLG_SCAN_WINDOW_BYTES + CLG_SCAN_BLOCK_BYTES);
    room = clg_align_up(clg_min_u64(room, scan->segment->bytes), CLG_SCAN_BLOCK_BYTES);
    uint8_t *buffer = scan->os->alloc(scan->os, (size_t)room);
    if (buffer == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, scan->next,
                        "segment %020" PRIu64 ".log: scan: no memory for %" PRIu64 " bytes",
                        scan->segment->base, room);
    }
    scan->os->free(scan->os, scan->buffer);
    scan->buffer = buffer;
    scan->buffer_bytes = room;
    scan->window_bytes = 0;
    return 0;
}

/* Why a read gave no more than `have` bytes from `at`: a positive errno that is a verdict on the
 * data, or a negative code when the call failed and the data may be sound. */
static int scan_read_error(struct clg_scan *scan, uint64_t at, int64_t have,
                           struct commitlog_error *err)
{
    CLG_ASSERT(at >= scan->segment->base);
    int64_t rc = have;
    if (have >= 0) {
        /* It stopped short: asked with one byte, because the answer comes only then. */
        uint8_t byte;
        CLG_ASSERT(clg_segment_holds(scan->segment, at + (uint64_t)have));
        rc = clg_segment_pread_some(scan->segment, &byte, 1, at + (uint64_t)have);
        rc = rc == 0 ? -ENODATA : rc < 0 ? rc : -EIO;
    }
    if (clg_os_is_data_error((int)rc)) {
        return (int)-rc;
    }
    return clg_fail_os(err, (int)rc, at, "segment %020" PRIu64 ".log: read", scan->segment->base);
}

int clg_scan_load(struct clg_scan *scan, uint64_t at, uint64_t need, const uint8_t **out,
                  struct commitlog_error *err)
{
    struct clg_segment *segment = scan->segment;
    CLG_ASSERT(at >= segment->base && need > 0);
    CLG_ASSERT(need <= segment->bytes && at - segment->base <= segment->bytes - need);
    if (at >= scan->window_at && at - scan->window_at <= scan->window_bytes &&
        need <= scan->window_bytes - (at - scan->window_at)) {
        *out = scan->window + (at - scan->window_at);
        return 0;
    }
    uint64_t file_end = segment->base + clg_min_u64(segment->bytes, segment->file_bytes);
    if (at + need > file_end) {
        return ENODATA;
    }
    uint64_t start = clg_align_down(at, CLG_SCAN_BLOCK_BYTES);
    uint64_t least = clg_min_u64(clg_align_up(at + need, CLG_SCAN_BLOCK_BYTES), file_end) - start;
    uint64_t bytes = clg_min_u64(file_end - start, clg_max_u64(least, scan->read_ahead));
    int rc = scan_grow(scan, bytes, err);
    if (rc != 0) {
        return rc;
    }
    int64_t n = clg_segment_pread_some(segment, scan->buffer, (size_t)bytes, start);
    if (n < (int64_t)(at + need - start) && bytes > least) {
        n = clg_segment_pread_some(segment, scan->buffer, (size_t)least, start);
    }
    scan->window = scan->buffer;
    scan->window_at = start;
    scan->window_bytes = n < 0 ? 0 : (uint64_t)n;
    if (n < (int64_t)(at + need - start)) {
        return scan_read_error(scan, start, n, err);
    }
    *out = scan->buffer + (at - start);
    return 0;
}

/* ---- one record ---- */

static int scan_say(struct clg_scan_record *out, enum clg_scan_verdict verdict, const char *why)
{
    CLG_ASSERT(why != NULL);
    CLG_ASSERT(verdict != CLG_SCAN_OK);
    out->verdict = verdict;
    out->why = why;
    return 0;
}

/* A result of clg_scan_load that is not 0. */
static int scan_say_read(struct clg_scan_record *out, int rc)
{
    CLG_ASSERT(rc != 0);
    if (rc < 0) {
        return rc;
    }
    out->os_errno = rc;
    return scan_say(out, CLG_SCAN_BAD_READ,
                    rc == ENODATA ? "the file ends before" : "the device does not give the bytes");
}

const char *clg_scan_misfit(const struct clg_segment *segment, const struct clg_scan_bounds *bounds,
                            const struct clg_record_header *header, uint64_t position)
{
    uint64_t room = segment->data_end - position;
    uint64_t size = clg_record_size(header->word);
    CLG_ASSERT(position % CLG_RECORD_ALIGN == 0);
    CLG_ASSERT(size >= CLG_RECORD_MIN && size <= room);
    if (header->kind == CLG_KIND_PAD && size != room) {
        return "a pad that does not end the segment";
    }
    if (header->kind != CLG_KIND_PAD && room - size < CLG_RECORD_MIN) {
        return "no room for a pad behind it";
    }
    if (header->epoch < bounds->epoch) {
        return "an epoch below the one before";
    }
    if (header->store_time < bounds->time) {
        return "a store time below the one before";
    }
    if (header->durable_back != CLG_DURABLE_BACK_NONE &&
        (uint64_t)header->durable_back * CLG_RECORD_ALIGN > position) {
        return "a durable position below 0";
    }
    if (clg_segment_is_ghost(segment, position, header)) {
        return "of a session whose end was cut here";
    }
    return NULL;
}

bool clg_scan_file_ends(struct clg_scan *scan, uint64_t at, uint64_t need)
{
    const struct clg_segment *segment = scan->segment;
    uint64_t file_end = segment->base + clg_min_u64(segment->bytes, segment->file_bytes);
    CLG_ASSERT(need > 0);
    if (at + need <= file_end) {
        return false;
    }
    const uint8_t *bytes = NULL;
    return at >= file_end || (clg_scan_load(scan, at, file_end - at, &bytes, NULL) == 0 &&
                              clg_is_zero(bytes, (size_t)(file_end - at)));
}

/* A header where the file ends too early: what is missing counts as zeros, which it becomes when a
 * writer extends the file. It may verify: its record's body does not read then. */
static int scan_load_cut(struct clg_scan *scan, uint64_t position,
                         uint8_t cut[CLG_RECORD_HEADER_BYTES], const uint8_t **bytes,
                         struct commitlog_error *err)
{
    const struct clg_segment *segment = scan->segment;
    uint64_t file_end = segment->base + clg_min_u64(segment->bytes, segment->file_bytes);
    CLG_ASSERT(position + CLG_RECORD_HEADER_BYTES > file_end);
    memset(cut, 0, CLG_RECORD_HEADER_BYTES);
    *bytes = cut;
    if (position >= file_end) {
        return 0;
    }
    const uint8_t *there = NULL;
    int rc = clg_scan_load(scan, position, file_end - position, &there, err);
    if (rc == 0) {
        memcpy(cut, there, (size_t)(file_end - position));
    }
    return rc;
}

int clg_scan_examine_header(struct clg_scan *scan, const struct clg_scan_bounds *bounds,
                            uint64_t position, struct clg_scan_record *out,
                            struct commitlog_error *err)
{
    const struct clg_segment *segment = scan->segment;
    *out = (struct clg_scan_record){
        .position = position, .next_position = position, .why = "", .fault_position = position};
    if (position % CLG_RECORD_ALIGN != 0 || position < segment->data_start ||
        position > segment->data_end || segment->data_end - position < CLG_RECORD_MIN) {
        return scan_say(out, CLG_SCAN_BAD_HEADER, "not a place where a record can begin");
    }
    const uint8_t *bytes = NULL;
    int rc = clg_scan_load(scan, position, CLG_RECORD_HEADER_BYTES, &bytes, err);
    uint8_t cut[CLG_RECORD_HEADER_BYTES];
    bool is_cut = rc == ENODATA;
    if (is_cut) {
        rc = scan_load_cut(scan, position, cut, &bytes, err);
    }
    if (rc != 0) {
        return scan_say_read(out, rc);
    }
    struct clg_record_header header;
    clg_record_decode(bytes, &header);
    if (header.word == 0) {
        out->header_zero = clg_is_zero(bytes, CLG_RECORD_HEADER_BYTES);
        return scan_say(out, CLG_SCAN_FREE, "");
    }
    if (!clg_record_check_bounds(&header, segment->data_end - position)) {
        return scan_say(out, CLG_SCAN_BAD_HEADER, "impossible sizes");
    }
    uint64_t seed = clg_record_seed(segment->salt, position);
    bool claimed = clg_record_state(header.word) == CLG_RECORD_CLAIMED;
    if (claimed ? !clg_record_verify_claimed(bytes, seed)
                : !clg_record_verify_header(bytes, seed)) {
        return scan_say(out, CLG_SCAN_BAD_HEADER, "header check mismatch");
    }
    const char *misfit = clg_scan_misfit(segment, bounds, &header, position);
    if (misfit != NULL) {
        return scan_say(out, CLG_SCAN_BAD_HEADER, misfit);
    }
    out->header = header;
    out->size = clg_record_size(header.word);
    out->next_position = position + out->size;
    CLG_ASSERT(out->next_position <= segment->data_end);
    if (is_cut) {
        return scan_say_read(out, ENODATA);
    }
    if (claimed) {
        return scan_say(out, CLG_SCAN_CLAIMED, "");
    }
    out->verdict = CLG_SCAN_OK;
    return 0;
}

uint64_t clg_scan_header_durable(const struct clg_scan_record *record)
{
    uint64_t durable;
    CLG_ASSERT(record->why != NULL || record->verdict == CLG_SCAN_OK);
    bool cut = record->verdict == CLG_SCAN_BAD_READ && record->os_errno == ENODATA;
    bool said = record->size > 0 && clg_record_state(record->header.word) == CLG_RECORD_COMMITTED;
    said = said && (cut || !CLG_PLANTED(TORN_UNHEARD));
    return said && clg_durable_back_decode(record->position, record->header.durable_back, &durable)
               ? durable
               : 0;
}

/* Bodies of control records steer what is built from them: they are checked in both modes. */
static bool scan_wants_body_check(const struct clg_scan *scan, const struct clg_scan_record *record)
{
    uint8_t kind = record->header.kind;
    CLG_ASSERT(record->size >= CLG_RECORD_MIN);
    CLG_ASSERT(record->verdict == CLG_SCAN_OK);
    if (clg_record_is_filler(kind)) {
        return false;
    }
    if (kind != CLG_KIND_MESSAGE) {
        return true;
    }
    return scan->mode == CLG_SCAN_FULL && record->position >= scan->batch_end;
}

int clg_scan_examine(struct clg_scan *scan, const struct clg_scan_bounds *bounds, uint64_t position,
                     struct clg_scan_record *out, struct commitlog_error *err)
{
    int rc = clg_scan_examine_header(scan, bounds, position, out, err);
    if (rc != 0 || out->verdict != CLG_SCAN_OK) {
        return rc;
    }
    out->body_bytes = clg_record_body_bytes(&out->header);
    CLG_ASSERT(out->body_bytes <= out->size);
    if (clg_record_is_filler(out->header.kind)) {
        return 0; /* what lies in a filler is nobody's */
    }
    bool check = scan_wants_body_check(scan, out);
    bool whole = check || scan->mode == CLG_SCAN_FULL || out->size <= CLG_SCAN_SMALL_BYTES;
    uint64_t need = whole ? out->size : CLG_RECORD_HEADER_BYTES + out->header.attribute_bytes;
    const uint8_t *bytes = NULL;
    rc = clg_scan_load(scan, position, need, &bytes, err);
    if (rc != 0) {
        return scan_say_read(out, rc);
    }
    if (!check && scan->mode == CLG_SCAN_HEADER_ONLY && !CLG_PLANTED(MARK_UNCHECKED) &&
        clg_attributes_steer(clg_record_attributes(bytes), out->header.attribute_bytes)) {
        check = true; /* like a control record: state is built from it */
        rc = whole ? 0 : clg_scan_load(scan, position, out->size, &bytes, err);
        whole = true;
    }
    if (rc != 0) {
        return scan_say_read(out, rc);
    }
    uint64_t seed = clg_record_seed(scan->segment->salt, position);
    if (check && !clg_record_verify_body(&out->header, bytes, seed)) {
        return scan_say(out, CLG_SCAN_BAD_BODY, "check mismatch");
    }
    CLG_ASSERT(out->header.attribute_bytes <= out->size - CLG_RECORD_HEADER_BYTES);
    out->attributes = clg_record_attributes(bytes);
    out->body = whole ? clg_record_body(&out->header, bytes) : NULL;
    return 0;
}

/* ---- a batch ---- */

void clg_scan_raise(struct clg_scan_bounds *bounds, const struct clg_record_header *header)
{
    CLG_ASSERT(header->epoch >= bounds->epoch);
    CLG_ASSERT(header->store_time >= bounds->time);
    bounds->epoch = header->epoch;
    bounds->time = header->store_time;
}

static int scan_fault(struct clg_scan_record *out, const struct clg_scan_record *member,
                      const char *why)
{
    CLG_ASSERT(out->header.kind == CLG_KIND_BATCH);
    CLG_ASSERT(member->position >= out->position);
    out->fault_position = member->position;
    out->fault = member->verdict;
    out->os_errno = member->os_errno;
    return scan_say(out, CLG_SCAN_BAD_BATCH, why);
}

/* Every member, in the scan's mode; their check fields into `checks` (little-endian). */
static int scan_members(struct clg_scan *scan, struct clg_scan_bounds bounds,
                        const struct clg_batch *batch, uint8_t *checks, struct clg_scan_record *out,
                        struct commitlog_error *err)
{
    uint64_t at = out->next_position;
    struct clg_scan_record member = {.position = at, .verdict = CLG_SCAN_OK};
    clg_scan_raise(&bounds, &out->header);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (at >= out->batch_end) {
            return scan_fault(out, &member, "members end before their count");
        }
        /* Before its body is read: that may be larger than all that is then passed over. */
        int rc = clg_scan_examine_header(scan, &bounds, at, &member, err);
        if (rc == 0 && member.verdict == CLG_SCAN_OK &&
            !clg_batch_member_fits(&member.header, out->batch_end - at)) {
            return scan_fault(out, &member, "a member that cannot be in a batch");
        }
        rc = rc == 0 ? clg_scan_examine(scan, &bounds, at, &member, err) : rc;
        if (rc != 0) {
            return rc;
        }
        if (member.verdict != CLG_SCAN_OK) {
            return scan_fault(out, &member, "a member fails to verify");
        }
        CLG_ASSERT(member.next_position > at);
        clg_store_le64(checks + (size_t)i * 8, member.header.check);
        clg_scan_raise(&bounds, &member.header);
        at = member.next_position;
    }
    if (at != out->batch_end ||
        clg_hash64(checks, (size_t)batch->count * 8, 0) != batch->member_checks) {
        return scan_fault(out, &member, "members do not match their batch");
    }
    return 0;
}

static int scan_batch(struct clg_scan *scan, const struct clg_scan_bounds *bounds,
                      struct clg_scan_record *out, struct commitlog_error *err)
{
    CLG_ASSERT(out->verdict == CLG_SCAN_OK);
    CLG_ASSERT(out->header.kind == CLG_KIND_BATCH && out->body != NULL);
    struct clg_batch batch;
    uint64_t room = scan->segment->data_end - out->next_position;
    struct clg_scan_record self = *out;
    if (clg_batch_decode(out->body, out->body_bytes, &batch) != 0 ||
        !clg_batch_fits(&batch, room)) {
        return scan_fault(out, &self, "impossible numbers in a batch header");
    }
    out->batch_end = out->next_position + batch.member_bytes;
    uint8_t *checks = clg_os_alloc_array(scan->os, batch.count, 8);
    if (checks == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, out->position,
                        "segment %020" PRIu64 ".log: scan: batch of %" PRIu32 " records",
                        scan->segment->base, batch.count);
    }
    int rc = scan_members(scan, *bounds, &batch, checks, out, err);
    scan->os->free(scan->os, checks);
    if (rc != 0 || out->verdict != CLG_SCAN_OK) {
        return rc;
    }
    uint64_t end = out->batch_end;
    /* The members went through the buffer: get the header record back, checked again. */
    rc = clg_scan_examine(scan, bounds, out->position, out, err);
    out->batch_end = end;
    return rc;
}

/* ---- the walk ---- */

static void scan_witness(struct clg_scan *scan, const struct clg_scan_record *record)
{
    uint64_t durable;
    CLG_ASSERT(record->verdict == CLG_SCAN_OK);
    if (clg_durable_back_decode(record->position, record->header.durable_back, &durable)) {
        scan->witnessed = clg_max_u64(scan->witnessed, durable);
    }
}

static void scan_accept(struct clg_scan *scan, struct clg_scan_record *out)
{
    CLG_ASSERT(out->verdict == CLG_SCAN_OK);
    CLG_ASSERT(out->next_position > scan->next);
    struct clg_scan_bounds bounds = {.epoch = scan->min_epoch, .time = scan->min_time};
    clg_scan_raise(&bounds, &out->header);
    scan->min_epoch = bounds.epoch;
    scan->min_time = bounds.time;
    scan_witness(scan, out);
    if (out->batch_end != 0) {
        scan->batch_end = out->batch_end;
        scan->members_end = out->batch_end;
    } else if (out->position < scan->batch_end) {
        out->batch_end = scan->batch_end;
    }
    scan->next = out->next_position;
    scan->records++;
    /* Hopping over large bodies: what is behind the header is not worth reading. */
    scan->read_ahead = scan->mode == CLG_SCAN_HEADER_ONLY && out->size > CLG_SCAN_SMALL_BYTES
                           ? CLG_SCAN_SMALL_BYTES
                           : CLG_SCAN_WINDOW_BYTES;
}

/* Alone it is nothing, however well it verifies, and nor are those that follow it; what they say of
 * the log before them holds. */
static int scan_judge_member(struct clg_scan *scan, struct clg_scan_bounds bounds,
                             struct clg_scan_record *out, struct commitlog_error *err)
{
    CLG_ASSERT(out->verdict == CLG_SCAN_OK);
    CLG_ASSERT(out->size >= CLG_RECORD_MIN);
    if ((out->header.flags & CLG_RECORD_MEMBER) == 0 || out->position < scan->members_end ||
        CLG_PLANTED(MEMBER_ALONE)) {
        return 0;
    }
    struct clg_scan_record member = *out;
    do {
        scan_witness(scan, &member);
        clg_scan_raise(&bounds, &member.header);
        out->batch_end = member.next_position;
        int rc = clg_scan_examine(scan, &bounds, out->batch_end, &member, err);
        if (rc != 0) {
            return rc;
        }
    } while (member.verdict == CLG_SCAN_OK && (member.header.flags & CLG_RECORD_MEMBER) != 0);
    return scan_say(out, CLG_SCAN_BAD_MEMBER, "the header of its batch is not there");
}

uint64_t clg_scan_damage_end(const struct clg_scan_record *record)
{
    CLG_ASSERT(record->verdict != CLG_SCAN_OK && record->verdict != CLG_SCAN_END);
    bool batch = record->verdict == CLG_SCAN_BAD_BATCH || record->verdict == CLG_SCAN_BAD_MEMBER;
    if (batch && record->batch_end > record->position) {
        return record->batch_end;
    }
    return record->size > 0 ? record->position + record->size : 0;
}

bool clg_scan_damage_is_one(const struct clg_scan_record *record)
{
    return record->verdict == CLG_SCAN_BAD_BODY ||
           (record->verdict == CLG_SCAN_BAD_MEMBER && record->batch_end == record->next_position);
}

int clg_scan_step(struct clg_scan *scan, struct clg_scan_record *out, struct commitlog_error *err)
{
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(scan->segment != NULL);
    if (scan->next == scan->segment->data_end) {
        *out = (struct clg_scan_record){.verdict = CLG_SCAN_END,
                                        .why = "",
                                        .position = scan->next,
                                        .next_position = scan->next,
                                        .fault_position = scan->next};
        return 0;
    }
    struct clg_scan_bounds bounds = {.epoch = scan->min_epoch, .time = scan->min_time};
    int rc = clg_scan_examine(scan, &bounds, scan->next, out, err);
    if (rc == 0 && out->verdict == CLG_SCAN_OK && out->header.kind == CLG_KIND_BATCH) {
        rc = scan_batch(scan, &bounds, out, err);
    }
    if (rc == 0 && out->verdict == CLG_SCAN_OK) {
        rc = scan_judge_member(scan, bounds, out, err);
    }
    if (rc != 0) {
        return rc;
    }
    if (out->verdict == CLG_SCAN_OK) {
        scan_accept(scan, out);
    } else {
        out->attributes = NULL;
        out->body = NULL;
    }
    return 0;
}
