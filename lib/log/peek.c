/*
 * peek.c -- a record for the fold: from the ring, from the writer's own map, or copied and checked.
 *
 * In the writer nothing is verified: the record was built by this process. Its ring bytes stay
 * because `folded` is not beyond it yet (stage.c). Only what a large record kept from the ring, or
 * overtook, is read from the segment, and that by pread: pages of a file system that has given up
 * may be gone, and a map of them would end the process of somebody who only appends.
 * In a follower everything is verified, and what is only staged is copied: the copy is good if the
 * writer had not drained it by the time the copy was complete, because ring bytes are reused only
 * after that (ORDER(ring-copy)). A large record is published before `written` says that it never
 * was in the ring: what the ring has there fails its check, and the segment has the last word.
 *
 * Threads and locks: under the fold lock.
 */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "log/commit_log_internal.h"

/* The segment that holds `position`; kept until a record of another one is asked for. */
static int peek_segment(struct clg_log *log, uint64_t position, struct commitlog_error *err)
{
    if (log->peek_segment != NULL && clg_segment_holds(log->peek_segment, position)) {
        return COMMITLOG_OK;
    }
    struct clg_segment *segment = NULL;
    int rc = clg_segment_set_pin(log->set, position, &segment);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, position, "no segment holds the position");
    }
    clg_segment_unref(log->peek_segment);
    log->peek_segment = segment;
    return COMMITLOG_OK;
}

static void peek_fill(const struct clg_log *log, uint64_t position, const uint8_t *record,
                      const struct clg_record_header *header, struct clg_record_view *out)
{
    out->position = position;
    out->next_position = clg_record_next(position, clg_record_size(header->word), header->kind);
    out->segment_base = log->peek_segment->base;
    out->header = *header;
    out->attributes = clg_record_attributes(record);
    out->body = clg_record_body(header, record);
    out->body_bytes = clg_record_is_filler(header->kind) ? 0 : clg_record_body_bytes(header);
}

static bool peek_has(const struct clg_log *log, uint64_t position)
{
    return !log->is_follower &&
           (log->engine->writes_through || position >= clg_load_acquire_u64(&log->ring_floor));
}

static int peek_own(struct clg_log *log, uint64_t position, struct clg_record_view *out,
                    struct commitlog_error *err)
{
    const uint8_t *record;
    if (log->engine->writes_through) {
        const uint8_t *map = NULL;
        int rc = clg_segment_map(log->peek_segment, &map, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        record = map + (position - log->peek_segment->base);
    } else {
        record = log->ring + (position & log->ring_mask);
    }
    struct clg_record_header header;
    clg_record_decode(record, &header);
    CLG_ASSERT(clg_record_check_bounds(&header, log->peek_segment->data_end - position));
    peek_fill(log, position, record, &header, out);
    return COMMITLOG_OK;
}

static int peek_reserve(struct clg_log *log, uint64_t bytes, struct commitlog_error *err)
{
    if (bytes <= log->peek_room) {
        return COMMITLOG_OK;
    }
    uint64_t room = clg_align_up(bytes, 65536);
    uint8_t *buffer = log->os->alloc(log->os, room);
    if (buffer == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "a record of %llu bytes",
                        (unsigned long long)bytes);
    }
    log->os->free(log->os, log->peek_buffer);
    log->peek_buffer = buffer;
    log->peek_room = room;
    return COMMITLOG_OK;
}

/* [position, position + bytes) into the peek buffer, from wherever it is. *staged: may be, and was,
 * copied from the ring. */
static int peek_copy(struct clg_log *log, uint64_t position, uint64_t bytes, bool *staged,
                     struct commitlog_error *err)
{
    if (*staged && log->ring != NULL && clg_live_load(&log->shared->written) <= position &&
        bytes <= log->ring_bytes) {
        memcpy(log->peek_buffer, log->ring + (position & log->ring_mask), bytes);
        clg_fence_acquire(); /* ORDER(ring-copy) */
        if (clg_live_load(&log->shared->written) <= position) {
            return COMMITLOG_OK;
        }
    }
    *staged = false;
    int rc = clg_segment_pread(log->peek_segment, log->peek_buffer, bytes, position, err);
    if (log->is_follower) { /* it may have more segments to fold than descriptors */
        clg_segment_set_keep_open(log->set, log->peek_segment);
    }
    return rc;
}

/* Its header, into the peek buffer too. */
static int peek_header(struct clg_log *log, uint64_t position, uint64_t seed, bool *staged,
                       struct clg_record_header *out, struct commitlog_error *err)
{
    for (;;) {
        int rc = peek_copy(log, position, CLG_RECORD_HEADER_BYTES, staged, err);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        clg_record_decode(log->peek_buffer, out);
        if (clg_record_check_bounds(out, log->peek_segment->data_end - position) &&
            clg_record_verify_header(log->peek_buffer, seed)) {
            return COMMITLOG_OK;
        }
        if (!*staged) {
            return clg_fail(err, COMMITLOG_EDAMAGED, 0, position, "record header fails its check");
        }
        *staged = false;
    }
}

static int peek_checked(struct clg_log *log, uint64_t position, struct clg_record_view *out,
                        struct commitlog_error *err)
{
    uint64_t seed = clg_record_seed(log->peek_segment->salt, position);
    struct clg_record_header header;
    bool staged = log->is_follower;
    int rc = peek_reserve(log, CLG_RECORD_HEADER_BYTES, err);
    if (rc == COMMITLOG_OK) {
        rc = peek_header(log, position, seed, &staged, &header, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (!clg_record_is_filler(header.kind)) {
        uint32_t size = clg_record_size(header.word);
        rc = peek_reserve(log, size, err);
        if (rc == COMMITLOG_OK) {
            rc = peek_copy(log, position, size, &staged, err);
        }
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        struct clg_record_header again;
        clg_record_decode(log->peek_buffer, &again);
        if (memcmp(&again, &header, sizeof(header)) != 0 ||
            !clg_record_verify_body(&header, log->peek_buffer, seed)) {
            return clg_fail(err, COMMITLOG_EDAMAGED, 0, position, "record fails its check");
        }
    }
    peek_fill(log, position, log->peek_buffer, &header, out);
    return COMMITLOG_OK;
}

int clg_log_peek(struct clg_log *log, uint64_t position, struct clg_record_view *out,
                 struct commitlog_error *err)
{
    CLG_ASSERT(position < clg_log_published(log));
    CLG_ASSERT(log->is_follower || position >= clg_load_relaxed_u64(&log->folded));
    int rc = peek_segment(log, position, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    rc = peek_has(log, position) ? peek_own(log, position, out, err)
                                 : peek_checked(log, position, out, err);
    if (rc != COMMITLOG_OK && log->is_follower && position < clg_log_first(log)) {
        rc = clg_fail(err, COMMITLOG_ETOOSMALL, 0, position, "retention took the segment away");
    }
    return rc;
}
