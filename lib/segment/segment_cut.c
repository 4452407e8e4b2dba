/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_cut.c -- see segment_cut.h.
 *
 * Invariants: zeros are always written, also where zeros are read: the cache may show what the disk
 *       does not have.
 * Threads and locks: none.
 * Happy path: one ZERO_RANGE and one fsync; or pieces of 1 MiB.
 * Failure modes: the code and text of the failing call, with "cut", "rewrite" or "fill" before it.
 */
#include "segment/segment_cut.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "segment/segment_name.h"

#define CUT_PIECE_BYTES (UINT64_C(1) << 20)
#define CUT_SECTOR_BYTES 512u
/* The mmap engine touches pages that far ahead of the records, a little more for its last step. */
#define CUT_AHEAD_BYTES (UINT64_C(5) << 20)
#define CUT_AHEAD_PIECE_BYTES (UINT64_C(64) << 10)

static uint8_t *cut_buffer(struct clg_segment *segment, struct commitlog_error *err)
{
    const struct commitlog_os *os = segment->dir->os;
    CLG_ASSERT(os != NULL);
    uint8_t *buffer = os->alloc(os, CUT_PIECE_BYTES);
    if (buffer == NULL) {
        (void)clg_fail(err, COMMITLOG_ENOMEM, 0, segment->base,
                       "segment %020" PRIu64 ".log: a buffer", segment->base);
    }
    return buffer;
}

/* A part of a block that cannot be read cannot be written either, for the kernel reads the rest. So
 * all of it is written, and what does not read of the rest as zeros: it is lost already. */
static int cut_write_block(struct clg_segment *segment, const uint8_t *bytes, uint32_t size,
                           uint64_t position, struct commitlog_error *err)
{
    uint8_t block[CLG_FORMAT_PAGE_BYTES];
    const uint32_t at = (uint32_t)(position % CLG_FORMAT_PAGE_BYTES);
    CLG_ASSERT(size <= CLG_FORMAT_PAGE_BYTES - at);
    for (uint32_t i = 0; i < CLG_FORMAT_PAGE_BYTES; i += CUT_SECTOR_BYTES) {
        int rc = clg_segment_pread_raw(segment, block + i, CUT_SECTOR_BYTES, position - at + i);
        if (rc < 0 && !clg_os_is_data_error(rc)) {
            return clg_fail_os(err, rc, position,
                               "segment %020" PRIu64 ".log: read around %" PRIu64, segment->base,
                               position);
        }
        if (rc < 0) {
            memset(block + i, 0, CUT_SECTOR_BYTES);
        }
    }
    memcpy(block + at, bytes, size);
    return clg_segment_pwrite(segment, block, sizeof(block), position - at, err);
}

/* Over what may not be readable. */
static int cut_write(struct clg_segment *segment, const uint8_t *bytes, uint64_t size,
                     uint64_t position, struct commitlog_error *err)
{
    struct commitlog_error own;
    clg_error_clear(&own);
    int rc = clg_segment_pwrite(segment, bytes, (size_t)size, position, &own);
    if (rc == 0 || own.os_errno == 0 || !clg_os_is_data_error(-own.os_errno)) {
        return clg_error_give(err, rc, &own);
    }
    rc = 0;
    while (rc == 0 && size > 0) {
        uint64_t part = clg_min_u64(size, CLG_FORMAT_PAGE_BYTES - position % CLG_FORMAT_PAGE_BYTES);
        rc = cut_write_block(segment, bytes, (uint32_t)part, position, err);
        bytes += part;
        position += part;
        size -= part;
    }
    return rc;
}

static int cut_write_zeros(struct clg_segment *segment, uint64_t from, uint64_t to,
                           struct commitlog_error *err)
{
    CLG_ASSERT(from <= to);
    CLG_ASSERT(to <= segment->base + segment->bytes);
    uint8_t *zeros = cut_buffer(segment, err);
    if (zeros == NULL) {
        return COMMITLOG_ENOMEM;
    }
    int rc = 0;
    while (rc == 0 && from < to) {
        uint64_t piece = clg_min_u64(CUT_PIECE_BYTES, to - from);
        rc = cut_write(segment, zeros, piece, from, err);
        from += piece;
    }
    segment->dir->os->free(segment->dir->os, zeros);
    return rc;
}

static int cut_zero_range(struct clg_segment *segment, uint64_t from, uint64_t to,
                          struct commitlog_error *err)
{
    const struct commitlog_os *os = segment->dir->os;
    CLG_ASSERT(from <= to);
    if (from == to) {
        return 0;
    }
    CLG_ASSERT(segment->fd_writable);
    int rc = os->fallocate(os, segment->fd, CLG_OS_FALLOCATE_ZERO, from - segment->base, to - from);
    if (rc >= 0) {
        return 0;
    }
    if (rc != -EOPNOTSUPP && rc != -ENOSYS && rc != -EINVAL) {
        return clg_fail_os(err, rc, from, "segment %020" PRIu64 ".log: zero from %" PRIu64,
                           segment->base, from);
    }
    return cut_write_zeros(segment, from, to, err);
}

/* fsync, not fdatasync: zeroing a range changes extents, and a cut is rare. */
static int cut_fsync(struct clg_segment *segment, struct commitlog_error *err)
{
    const struct commitlog_os *os = segment->dir->os;
    CLG_ASSERT(segment->fd >= 0);
    CLG_ASSERT(segment->fd_writable);
    int rc = os->fsync(os, segment->fd);
    return rc < 0 ? clg_fail_os(err, rc, segment->base, "segment %020" PRIu64 ".log: flush",
                                segment->base)
                  : 0;
}

int clg_segment_clear_footer(struct clg_segment *segment, struct commitlog_error *err)
{
    CLG_ASSERT(segment->data_end < segment->base + segment->bytes);
    if (!segment->fd_writable) {
        return clg_fail(err, COMMITLOG_EMISUSE, 0, segment->data_end,
                        "segment %020" PRIu64 ".log: clear the footer: not open for writing",
                        segment->base);
    }
    int rc = cut_write_zeros(segment, segment->data_end, segment->base + segment->bytes, err);
    if (rc == 0) {
        rc = cut_fsync(segment, err);
    }
    if (rc == 0) {
        (void)atomic_fetch_and_explicit(&segment->flags, ~(uint32_t)CLG_SEGMENT_SEALED,
                                        memory_order_acq_rel);
    }
    return rc;
}

int clg_segment_cut(struct clg_segment *segment, uint64_t position, struct commitlog_error *err)
{
    CLG_ASSERT(position >= segment->data_start && position <= segment->data_end);
    CLG_ASSERT(position % CLG_RECORD_ALIGN == 0);
    int rc = clg_segment_clear_footer(segment, err);
    if (rc == 0) {
        rc = cut_zero_range(segment, position, segment->data_end, err);
    }
    if (rc == 0) {
        rc = cut_fsync(segment, err);
    }
    if (rc != 0) {
        clg_wrap(err, "cut at %" PRIu64, position);
    }
    return rc;
}

/* Past the cache where the file system can do that; otherwise *fd is -1. */
static int rewrite_open(struct clg_segment *segment, int *fd, struct commitlog_error *err)
{
    const struct commitlog_os *os = segment->dir->os;
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, segment->base);
    int rc = os->open_at(os, segment->dir->fd, name,
                         CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_DIRECT, 0);
    CLG_ASSERT(*fd == -1);
    if (rc >= 0) {
        *fd = rc;
        return 0;
    }
    return rc == -EINVAL || rc == -EOPNOTSUPP
               ? 0
               : clg_fail_os(err, rc, segment->base, "segment %020" PRIu64 ".log: open",
                             segment->base);
}

/* `bytes` of whole pages at `at`, with what the cache shows of them. */
static int rewrite_piece(struct clg_segment *segment, int *fd, uint8_t *buffer, uint64_t at,
                         size_t bytes, struct commitlog_error *err)
{
    const struct commitlog_os *os = segment->dir->os;
    CLG_ASSERT(at % CLG_FORMAT_PAGE_BYTES == 0 && bytes % CLG_FORMAT_PAGE_BYTES == 0);
    int rc = clg_segment_pread(segment, buffer, bytes, at, err);
    if (rc == 0 && *fd >= 0) {
        int written = clg_os_pwrite_all(os, *fd, buffer, bytes, at - segment->base);
        if (written != -EINVAL) {
            return written < 0 ? clg_fail_os(err, written, at,
                                             "segment %020" PRIu64 ".log: write at %" PRIu64,
                                             segment->base, at)
                               : 0;
        }
        clg_os_close_fd(os, fd);
    }
    if (rc == 0) {
        (void)os->drop_cache(os, segment->fd, at - segment->base, bytes);
        rc = clg_segment_pwrite(segment, buffer, bytes, at, err);
    }
    CLG_ASSERT(*fd == -1 || rc != 0);
    return rc;
}

static int rewrite_pages(struct clg_segment *segment, uint64_t from, uint64_t to,
                         struct commitlog_error *err)
{
    const struct commitlog_os *os = segment->dir->os;
    uint8_t *room = os->alloc(os, CUT_PIECE_BYTES + CLG_FORMAT_PAGE_BYTES);
    int fd = -1;
    CLG_ASSERT(from < to);
    if (room == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, segment->base,
                        "segment %020" PRIu64 ".log: a buffer", segment->base);
    }
    uint8_t *buffer =
        room + (clg_align_up((uintptr_t)room, CLG_FORMAT_PAGE_BYTES) - (uintptr_t)room);
    /* What is dirty goes first, and a failure of the last writer's is told here: neither matters,
     * because everything is written again and flushed. */
    (void)os->write_back(os, segment->fd, from - segment->base, to - from, true);
    int rc = rewrite_open(segment, &fd, err);
    for (uint64_t at = from; rc == 0 && at < to;) {
        uint64_t piece = clg_min_u64(CUT_PIECE_BYTES, to - at);
        rc = rewrite_piece(segment, &fd, buffer, at, (size_t)piece, err);
        at += piece;
    }
    clg_os_close_fd(os, &fd);
    os->free(os, room);
    return rc;
}

/* The device is not asked to begin before all is written: it takes longer in pieces. */
int clg_segment_rewrite_begin(struct clg_segment *segment, const uint8_t *bytes, uint64_t from,
                              uint64_t to, struct commitlog_error *err)
{
    CLG_ASSERT(from < to && to <= segment->base + segment->bytes);
    CLG_ASSERT(from % CLG_FORMAT_PAGE_BYTES == 0 && to % CLG_FORMAT_PAGE_BYTES == 0);
    uint8_t *buffer = bytes == NULL ? cut_buffer(segment, err) : NULL;
    int rc = bytes == NULL && buffer == NULL ? COMMITLOG_ENOMEM : 0;
    for (uint64_t at = from; rc == 0 && at < to;) {
        size_t piece = (size_t)clg_min_u64(CUT_PIECE_BYTES, to - at);
        rc = bytes != NULL ? 0 : clg_segment_pread(segment, buffer, piece, at, err);
        if (rc == 0) {
            const uint8_t *piece_bytes = bytes != NULL ? bytes + (at - from) : buffer;
            rc = clg_segment_pwrite(segment, piece_bytes, piece, at, err);
        }
        at += piece;
    }
    segment->dir->os->free(segment->dir->os, buffer);
    if (rc != 0) {
        clg_wrap(err, "rewrite of [%" PRIu64 ", %" PRIu64 ")", from, to);
    }
    return rc;
}

bool clg_segment_rewrite_end(struct clg_segment *segment, uint64_t from, uint64_t to)
{
    const struct commitlog_os *os = segment->dir->os;
    CLG_ASSERT(segment->fd_writable);
    uint64_t begin = clg_align_down(from, CLG_FORMAT_PAGE_BYTES);
    uint64_t end = clg_align_up(to, CLG_FORMAT_PAGE_BYTES);
    CLG_ASSERT(begin >= segment->base && end <= segment->base + segment->bytes);
    return clg_segment_flush(segment, NULL) == 0 &&
           (CLG_PLANTED(UNWRITTEN_UNSEEN) ||
            os->is_written(os, segment->fd, begin - segment->base, end - begin) == 1);
}

int clg_segment_rewrite(struct clg_segment *segment, uint64_t from, uint64_t to,
                        struct commitlog_error *err)
{
    CLG_ASSERT(from <= to && from >= segment->base);
    CLG_ASSERT(to <= segment->base + segment->bytes);
    if (!segment->fd_writable) {
        return clg_fail(err, COMMITLOG_EMISUSE, 0, from,
                        "segment %020" PRIu64 ".log: rewrite: not open for writing", segment->base);
    }
    uint64_t begin = clg_align_down(from, CLG_FORMAT_PAGE_BYTES);
    uint64_t end = clg_align_up(to, CLG_FORMAT_PAGE_BYTES);
    int rc = begin < end ? rewrite_pages(segment, begin, end, err) : 0;
    if (rc == 0) {
        rc = clg_segment_flush(segment, err);
    }
    if (rc != 0) {
        clg_wrap(err, "rewrite of [%" PRIu64 ", %" PRIu64 ")", from, to);
    }
    return rc;
}

int clg_segment_rewrite_ahead(struct clg_segment *segment, uint64_t from,
                              struct commitlog_error *err)
{
    uint64_t end = clg_min_u64(segment->data_end, from + CUT_AHEAD_BYTES);
    CLG_ASSERT(from >= segment->data_start && from <= segment->data_end);
    uint64_t at = clg_align_down(from, CLG_FORMAT_PAGE_BYTES);
    while (at < end) {
        uint64_t begin = clg_segment_next_data(segment, at);
        if (begin >= end) {
            break;
        }
        begin = clg_align_down(begin, CLG_FORMAT_PAGE_BYTES);
        at = clg_min_u64(begin + CUT_AHEAD_PIECE_BYTES, segment->base + segment->bytes);
        int rc = rewrite_pages(segment, begin, at, err);
        if (rc != 0) {
            clg_wrap(err, "rewrite behind %" PRIu64, from);
            return rc;
        }
    }
    return clg_segment_flush(segment, err);
}

int clg_segment_write_hole(struct clg_segment *segment, uint64_t position, uint32_t size,
                           const struct clg_record_header *like, struct commitlog_error *err)
{
    CLG_ASSERT(size >= CLG_RECORD_MIN && size % CLG_RECORD_ALIGN == 0);
    CLG_ASSERT(position >= segment->data_start && position % CLG_RECORD_ALIGN == 0);
    CLG_ASSERT(position <= segment->data_end && size <= segment->data_end - position);
    uint64_t behind = segment->data_end - position - size;
    CLG_ASSERT(behind == 0 || behind >= CLG_RECORD_MIN);
    struct clg_record_header header = *like;
    header.kind = behind == 0 ? CLG_KIND_PAD : CLG_KIND_HOLE;
    header.check = 0;
    header.attribute_bytes = 0;
    header.flags = 0;
    if (behind == 0) {
        header.queue_number = CLG_QUEUE_NONE;
        header.queue_offset = 0;
    }
    header.word = clg_record_word(size, CLG_RECORD_COMMITTED);
    uint8_t bytes[CLG_RECORD_HEADER_BYTES] = {0};
    clg_record_encode_header(bytes, &header);
    uint32_t word = clg_record_seal_header(bytes, size, clg_record_seed(segment->salt, position));
    CLG_ASSERT(word == header.word);
    clg_store_le32(bytes + CLG_RECORD_AT_WORD, word);
    int rc = cut_write(segment, bytes, sizeof(bytes), position, err);
    if (rc != 0) {
        clg_wrap(err, "fill of [%" PRIu64 ", %" PRIu64 ")", position, position + size);
    }
    return rc;
}
