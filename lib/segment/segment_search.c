/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_search.c -- behind damage: where do records begin again, where is anything at all?
 * See clg_scan_resync and its neighbours in segment_scan.h.
 *
 * Invariants: every 8-byte step of a readable block is looked at once; a block that does not read
 *       is skipped as a whole; work is bounded also for a file made to be expensive.
 * Threads and locks: as the scan.
 * Happy path: a load and a compare per step; a header check where the word looks like one.
 * Failure modes: see segment_scan.h.
 */
#include <inttypes.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "segment/segment_scan.h"
#include "segment/segment_scan_internal.h"

/* A run of bytes in the scan's buffer, or one block that does not read. */
struct search_chunk {
    const uint8_t *bytes; /* NULL: unreadable */
    uint64_t from;
    uint64_t to;
};

static int search_next_chunk(struct clg_scan *scan, uint64_t from, uint64_t to,
                             struct search_chunk *chunk, struct commitlog_error *err)
{
    CLG_ASSERT(from < to);
    CLG_ASSERT(to <= scan->segment->base + scan->segment->bytes);
    uint64_t need = clg_min_u64(CLG_RECORD_ALIGN, to - from);
    scan->read_ahead = clg_min_u64(CLG_SCAN_WINDOW_BYTES, to - from);
    int rc = clg_scan_load(scan, from, need, &chunk->bytes, err);
    if (rc < 0) {
        return rc;
    }
    chunk->from = from;
    if (rc > 0) {
        chunk->bytes = NULL;
        chunk->to =
            clg_min_u64(to, clg_align_down(from, CLG_SCAN_BLOCK_BYTES) + CLG_SCAN_BLOCK_BYTES);
        return 0;
    }
    /* What the read gave: up to a bad block, if there is one. */
    uint64_t have = scan->window_at + scan->window_bytes;
    chunk->to = have >= to ? to : clg_align_down(have, CLG_RECORD_ALIGN);
    CLG_ASSERT(chunk->to > from);
    return 0;
}

/* Over what the file system knows to be zero, in whole blocks, and what a short file lacks. */
static uint64_t search_skip_hole(struct clg_scan *scan, uint64_t at, uint64_t to)
{
    if (at < to && clg_scan_file_ends(scan, at, clg_min_u64(CLG_RECORD_ALIGN, to - at))) {
        return to;
    }
    uint64_t data = clg_segment_next_data(scan->segment, at);
    CLG_ASSERT(data >= at);
    return clg_min_u64(to, clg_max_u64(at, clg_align_down(data, CLG_SCAN_BLOCK_BYTES)));
}

static void search_skip_block(struct clg_scan_search *search, const struct search_chunk *chunk)
{
    CLG_ASSERT(chunk->bytes == NULL);
    CLG_ASSERT(chunk->to - chunk->from <= CLG_SCAN_BLOCK_BYTES);
    if (search->unreadable == 0) {
        search->first_unreadable = chunk->from;
    }
    search->unreadable++;
    search->all_zero = false;
}

/* The next step in the chunk whose word could begin a record, or its end. */
static uint64_t search_candidate(const struct search_chunk *chunk, uint64_t from, uint64_t data_end,
                                 bool *all_zero)
{
    CLG_ASSERT(from >= chunk->from);
    CLG_ASSERT(from % CLG_RECORD_ALIGN == 0);
    for (uint64_t at = from; at + CLG_RECORD_ALIGN <= chunk->to; at += CLG_RECORD_ALIGN) {
        uint64_t value = clg_load_le64(chunk->bytes + (at - chunk->from));
        if (CLG_LIKELY(value == 0)) {
            continue;
        }
        uint32_t word = (uint32_t)value;
        uint32_t size = clg_record_size(word);
        if (clg_record_state(word) == CLG_RECORD_COMMITTED && size >= CLG_RECORD_MIN &&
            size <= data_end - at) {
            return at;
        }
        *all_zero = false;
    }
    return chunk->to;
}

/* Of all searches of a scan together. */
static uint64_t search_hash_left(const struct clg_scan *scan)
{
    const uint64_t most = clg_scan_hash_most(scan->segment->bytes);
    return scan->searched < most ? most - scan->searched : 0;
}

/* Does a record verify here? Bodies are hashed as long as that lasts. */
static int search_try(struct clg_scan *scan, uint64_t at, struct clg_scan_search *search,
                      bool *found, struct commitlog_error *err)
{
    CLG_ASSERT(found != NULL);
    struct clg_scan_bounds bounds = {.epoch = scan->min_epoch, .time = scan->min_time};
    struct clg_scan_record record;
    *found = false;
    int rc = clg_scan_examine_header(scan, &bounds, at, &record, err);
    if (rc == 0) {
        search->said_durable = clg_max_u64(search->said_durable, clg_scan_header_durable(&record));
    }
    if (rc != 0 || record.verdict != CLG_SCAN_OK) {
        return rc;
    }
    CLG_ASSERT(record.size >= CLG_RECORD_MIN);
    if (scan->mode == CLG_SCAN_FULL && !clg_record_is_filler(record.header.kind)) {
        if (record.size > search_hash_left(scan)) {
            return clg_fail(err, COMMITLOG_EDAMAGED, 0, at,
                            "segment %020" PRIu64 ".log: search at %" PRIu64
                            ": too many headers without a body",
                            scan->segment->base, at);
        }
        scan->searched += record.size;
        rc = clg_scan_examine(scan, &bounds, at, &record, err);
        if (rc == 0) {
            search->said_durable =
                clg_max_u64(search->said_durable, clg_scan_header_durable(&record));
        }
    }
    *found = rc == 0 && record.verdict == CLG_SCAN_OK;
    return rc;
}

/* All candidates of one chunk; the chunk's bytes are loaded again after each, because looking at
 * a candidate may move the buffer. *next is where the search goes on, or the record found. */
static int search_chunk_records(struct clg_scan *scan, struct search_chunk chunk,
                                struct clg_scan_search *search, uint64_t *next, bool *found,
                                struct commitlog_error *err)
{
    CLG_ASSERT(chunk.bytes != NULL);
    uint64_t at = chunk.from;
    while (at < chunk.to) {
        at = search_candidate(&chunk, at, scan->segment->data_end, &search->all_zero);
        if (at >= chunk.to) {
            break;
        }
        int rc = search_try(scan, at, search, found, err);
        if (rc != 0 || *found) {
            *next = at;
            return rc;
        }
        search->all_zero = false;
        at += CLG_RECORD_ALIGN;
        if (scan->window_at > chunk.from || scan->window_bytes < chunk.to - scan->window_at) {
            break; /* the buffer moved: a new chunk from here */
        }
        chunk.bytes = scan->window + (chunk.from - scan->window_at);
    }
    CLG_ASSERT(at > chunk.from);
    *next = at;
    return 0;
}

/* Where the data ends, if that is before `end`. Asked once for all searches: the file system looks
 * through all its pages for that. */
static uint64_t search_data_end(struct clg_scan *scan, uint64_t at, uint64_t end)
{
    if (scan->data_to == 0 || at < scan->data_from) {
        scan->data_from = at;
        scan->data_to =
            clg_segment_data_limit(scan->segment, at, clg_max_u64(at, scan->segment->data_end));
    }
    return clg_max_u64(at, clg_min_u64(end, scan->data_to));
}

int clg_scan_resync(struct clg_scan *scan, uint64_t from, uint64_t to,
                    struct clg_scan_search *search, struct commitlog_error *err)
{
    uint64_t data_end = scan->segment->data_end;
    CLG_ASSERT(search != NULL);
    CLG_ASSERT(from >= scan->segment->data_start);
    uint64_t end = clg_align_down(clg_min_u64(to, data_end), CLG_RECORD_ALIGN);
    uint64_t at = clg_align_up(from, CLG_RECORD_ALIGN);
    *search = (struct clg_scan_search){
        .found = to, .first_unreadable = CLG_NO_POSITION, .all_zero = true};
    end = clg_min_u64(end, clg_align_up(search_data_end(scan, at, end), CLG_RECORD_ALIGN));
    while ((at = search_skip_hole(scan, at, end)) < end) {
        struct search_chunk chunk;
        int rc = search_next_chunk(scan, at, end, &chunk, err);
        if (rc != 0) {
            return rc;
        }
        if (chunk.bytes == NULL) {
            search_skip_block(search, &chunk);
            at = chunk.to;
            continue;
        }
        bool found = false;
        rc = search_chunk_records(scan, chunk, search, &at, &found, err);
        if (rc != 0) {
            return rc;
        }
        if (found) {
            search->found = at;
            return 0;
        }
    }
    return clg_fail(err, COMMITLOG_ENOTFOUND, 0, from,
                    "segment %020" PRIu64 ".log: no record in [%" PRIu64 ", %" PRIu64 ")",
                    scan->segment->base, from, to);
}

/* First byte that is not zero, in whole words where possible. */
static size_t search_zero_run(const uint8_t *bytes, size_t count)
{
    CLG_ASSERT(bytes != NULL);
    size_t i = 0;
    while (i + 8 <= count && clg_load_le64(bytes + i) == 0) {
        i += 8;
    }
    while (i < count && bytes[i] == 0) {
        i++;
    }
    CLG_ASSERT(i <= count);
    return i;
}

int clg_scan_all_zero(struct clg_scan *scan, uint64_t from, uint64_t to, uint64_t *first_nonzero,
                      struct commitlog_error *err)
{
    CLG_ASSERT(first_nonzero != NULL);
    CLG_ASSERT(from >= scan->segment->base);
    uint64_t at = from;
    uint64_t limit = clg_segment_data_limit(scan->segment, from, to);
    while ((at = search_skip_hole(scan, at, limit)) < limit) {
        struct search_chunk chunk;
        int rc = search_next_chunk(scan, at, to, &chunk, err);
        if (rc != 0) {
            return rc;
        }
        if (chunk.bytes == NULL) {
            return clg_fail(err, COMMITLOG_EIO, 0, at,
                            "segment %020" PRIu64 ".log: read at %" PRIu64, scan->segment->base,
                            at);
        }
        size_t count = (size_t)(chunk.to - chunk.from);
        size_t run = search_zero_run(chunk.bytes, count);
        if (run < count) {
            *first_nonzero = at + run;
            return 0;
        }
        at = chunk.to;
    }
    *first_nonzero = to;
    return 0;
}

int clg_scan_last_nonzero(struct clg_scan *scan, uint64_t from, uint64_t to, uint64_t *end,
                          struct commitlog_error *err)
{
    CLG_ASSERT(end != NULL);
    CLG_ASSERT(from >= scan->segment->base);
    uint64_t last = from;
    uint64_t at = from;
    uint64_t limit = clg_segment_data_limit(scan->segment, from, to);
    while ((at = search_skip_hole(scan, at, limit)) < limit) {
        struct search_chunk chunk;
        int rc = search_next_chunk(scan, at, to, &chunk, err);
        if (rc != 0) {
            return rc;
        }
        if (chunk.bytes == NULL) {
            last = chunk.to;
        } else {
            size_t count = (size_t)(chunk.to - chunk.from);
            while (count >= 8 && clg_load_le64(chunk.bytes + count - 8) == 0) {
                count -= 8;
            }
            last = count > 0 && search_zero_run(chunk.bytes, count) < count ? chunk.from + count
                                                                            : last;
        }
        at = chunk.to;
    }
    uint64_t rounded = last > from ? clg_align_up(last, CLG_RECORD_ALIGN) : from;
    *end = clg_min_u64(rounded, clg_max_u64(to, from));
    return 0;
}

bool clg_scan_read_header(struct clg_segment *segment, uint64_t position,
                          struct clg_record_header *out)
{
    uint8_t header[CLG_RECORD_HEADER_BYTES];
    CLG_ASSERT(segment != NULL);
    if (position < segment->data_start || position >= segment->data_end ||
        segment->data_end - position < CLG_RECORD_MIN ||
        clg_segment_pread(segment, header, sizeof(header), position, NULL) != 0 ||
        !clg_record_verify_header(header, clg_record_seed(segment->salt, position))) {
        return false;
    }
    clg_record_decode(header, out);
    return true;
}

bool clg_scan_is_record(struct clg_segment *segment, uint64_t position, uint32_t header_check)
{
    struct clg_record_header header;
    return clg_scan_read_header(segment, position, &header) && header.header_check == header_check;
}
