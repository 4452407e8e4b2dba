/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_fixture.h -- a directory with segments for the tests of lib/segment, a table that can be
 * told to fail, and records written one by one.
 *
 * Owns: struct world (one per test, in its own process or between setup and teardown).
 */
#ifndef TESTS_UNIT_SEGMENT_FIXTURE_H
#define TESTS_UNIT_SEGMENT_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "format/record.h"
#include "format/topic_record.h"
#include "segment/segment.h"
#include "segment/segment_create.h"
#include "segment/segment_name.h"
#include "support/dirs.h"

#define SMALL (UINT64_C(64) << 10)

struct world {
    struct commitlog_os os;
    char path[DIRS_PATH_MAX];
    struct clg_segment_dir dir;
    /* Reads that touch this range of a file fail; whole: not even what is before it comes. */
    uint64_t bad_from;
    uint64_t bad_to;
    bool bad_whole;
    int fail_fallocate; /* negative errno, 0: none */
    int fail_zero_range;
    int fail_fsync;
    uint64_t fail_fsync_from; /* number of the first one that fails, from 1; 0: each */
    int fail_alloc;
    _Atomic uint64_t fsyncs;
    _Atomic uint64_t writes;
    _Atomic uint64_t read_bytes;
    int written; /* what is_written answers */
};

static inline struct world *world_of(const struct commitlog_os *os)
{
    return os->ctx;
}

static inline int64_t world_pread(const struct commitlog_os *os, int fd, void *buf, size_t size,
                                  uint64_t at)
{
    struct world *w = world_of(os);
    if (at < w->bad_to && at + size > w->bad_from) {
        if (w->bad_whole || at >= w->bad_from) {
            return -EIO;
        }
        size = (size_t)(w->bad_from - at);
    }
    int64_t got = clg_os_default()->pread(clg_os_default(), fd, buf, size, at);
    w->read_bytes += got > 0 ? (uint64_t)got : 0;
    return got;
}

static inline int world_is_written(const struct commitlog_os *os, int fd, uint64_t at,
                                   uint64_t size)
{
    (void)fd;
    (void)at;
    (void)size;
    return world_of(os)->written;
}

static inline int64_t world_pwrite(const struct commitlog_os *os, int fd, const void *buf,
                                   size_t size, uint64_t at)
{
    world_of(os)->writes++;
    return clg_os_default()->pwrite(clg_os_default(), fd, buf, size, at);
}

static inline int world_fallocate(const struct commitlog_os *os, int fd,
                                  enum clg_os_fallocate_mode mode, uint64_t at, uint64_t size)
{
    struct world *w = world_of(os);
    if (mode == CLG_OS_FALLOCATE_ZERO && w->fail_zero_range != 0) {
        return w->fail_zero_range;
    }
    if (mode != CLG_OS_FALLOCATE_ZERO && w->fail_fallocate != 0) {
        return w->fail_fallocate;
    }
    return clg_os_default()->fallocate(clg_os_default(), fd, mode, at, size);
}

static inline int world_fsync(const struct commitlog_os *os, int fd)
{
    struct world *w = world_of(os);
    uint64_t number = ++w->fsyncs;
    return w->fail_fsync != 0 && number >= w->fail_fsync_from
               ? w->fail_fsync
               : clg_os_default()->fsync(clg_os_default(), fd);
}

static inline int world_fdatasync(const struct commitlog_os *os, int fd)
{
    struct world *w = world_of(os);
    w->fsyncs++;
    return w->fail_fsync != 0 ? w->fail_fsync : clg_os_default()->fdatasync(clg_os_default(), fd);
}

static inline void *world_alloc(const struct commitlog_os *os, size_t size)
{
    struct world *w = world_of(os);
    return w->fail_alloc != 0 ? NULL : clg_os_default()->alloc(clg_os_default(), size);
}

static inline void world_begin_at(struct world *w, const char *path)
{
    w->os = *clg_os_default();
    w->os.ctx = w;
    w->os.pread = world_pread;
    w->os.pwrite = world_pwrite;
    w->os.fallocate = world_fallocate;
    w->os.fsync = world_fsync;
    w->os.fdatasync = world_fdatasync;
    w->os.is_written = world_is_written;
    w->os.alloc = world_alloc;
    w->dir = (struct clg_segment_dir){.os = &w->os, .file_mode = 0600, .uuid = {1, 2, 3, 4}};
    w->dir.fd = w->os.open_dir(&w->os, path);
    ck_assert_int_ge(w->dir.fd, 0);
}

static inline void world_begin(struct world *w)
{
    memset(w, 0, sizeof(*w));
    dirs_make(w->path, "segment");
    world_begin_at(w, w->path);
}

static inline void world_end(struct world *w)
{
    clg_os_close_fd(&w->os, &w->dir.fd);
    dirs_remove(w->path);
}

static inline void world_file(const struct world *w, uint64_t base, char out[DIRS_PATH_MAX])
{
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, base);
    path_join(out, w->path, name);
}

static inline struct clg_segment *world_create(struct world *w, uint64_t base, uint64_t bytes)
{
    struct clg_segment_plan plan = {.base = base, .bytes = bytes, .epoch = 1, .first_time = 1000};
    struct clg_segment *segment = NULL;
    struct commitlog_error err;
    clg_error_clear(&err);
    int rc = clg_segment_create(&w->dir, &plan, &segment, &err);
    ck_assert_msg(rc == 0, "%s", err.message);
    return segment;
}

/* Writes records one behind the other. */
struct scribe {
    struct clg_segment *segment;
    uint64_t at;
    uint64_t durable;
    int64_t time;
    uint32_t epoch;
    uint32_t offset;
};

static inline struct scribe scribe_at(struct clg_segment *segment)
{
    return (struct scribe){
        .segment = segment, .at = segment->data_start, .time = 2000, .epoch = 2, .durable = 0};
}

/* A record as it would lie at `at`; returns its check field. */
static inline uint64_t scribe_build(const struct scribe *s, uint64_t at, uint8_t kind,
                                    const void *body, uint32_t body_bytes, uint8_t *out,
                                    uint32_t *out_size)
{
    uint32_t size = clg_record_bytes(0, body_bytes);
    memset(out, 0, size);
    struct clg_record_header header = {.queue_offset = s->offset,
                                       .store_time = s->time,
                                       .epoch = s->epoch,
                                       .queue_number = 7,
                                       .durable_back = clg_durable_back_encode(at, s->durable),
                                       .kind = kind,
                                       .flags = clg_record_padding(0, body_bytes),
                                       .word = clg_record_word(size, 0)};
    if (clg_record_is_filler(kind)) {
        header.flags = 0;
    }
    clg_record_encode_header(out, &header);
    if (body_bytes > 0) {
        memcpy(out + CLG_RECORD_HEADER_BYTES, body, body_bytes);
    }
    uint64_t seed = clg_record_seed(s->segment->salt, at);
    uint32_t word = clg_record_is_filler(kind) ? clg_record_seal_header(out, size, seed)
                                               : clg_record_seal(out, size, seed);
    clg_store_le32(out, word);
    *out_size = size;
    return clg_load_le64(out + CLG_RECORD_AT_CHECK);
}

static inline uint64_t scribe_put(struct scribe *s, uint8_t kind, const void *body,
                                  uint32_t body_bytes)
{
    uint8_t *record = malloc(body_bytes + 64u);
    ck_assert_ptr_nonnull(record);
    uint32_t size;
    (void)scribe_build(s, s->at, kind, body, body_bytes, record, &size);
    ck_assert_int_eq(clg_segment_pwrite(s->segment, record, size, s->at, NULL), 0);
    free(record);
    uint64_t at = s->at;
    s->at += size;
    s->time++;
    s->offset++;
    return at;
}

/* n bytes of a body that depends on its size. */
static inline uint64_t scribe_message(struct scribe *s, uint32_t n)
{
    uint8_t *body = malloc(n + 1u);
    ck_assert_ptr_nonnull(body);
    for (uint32_t i = 0; i < n; i++) {
        body[i] = (uint8_t)(i * 7u + n);
    }
    uint64_t at = scribe_put(s, CLG_KIND_MESSAGE, body, n);
    free(body);
    return at;
}

/* The pad that ends the segment. */
static inline void scribe_pad(struct scribe *s)
{
    uint64_t size = s->segment->data_end - s->at;
    uint8_t *record = calloc(1, (size_t)size);
    ck_assert_ptr_nonnull(record);
    uint32_t got;
    (void)scribe_build(s, s->at, CLG_KIND_PAD, NULL, 0, record, &got);
    struct clg_record_header header = {.store_time = s->time,
                                       .epoch = s->epoch,
                                       .queue_number = CLG_QUEUE_NONE,
                                       .kind = CLG_KIND_PAD,
                                       .durable_back = CLG_DURABLE_BACK_NONE};
    clg_record_encode_header(record, &header);
    uint32_t word =
        clg_record_seal_header(record, (uint32_t)size, clg_record_seed(s->segment->salt, s->at));
    clg_store_le32(record, word);
    ck_assert_int_eq(clg_segment_pwrite(s->segment, record, 48, s->at, NULL), 0);
    free(record);
    s->at += size;
}

/* A batch of `count` messages with bodies of 10, 11, ... bytes; returns its position. */
static inline uint64_t scribe_batch(struct scribe *s, uint32_t count)
{
    uint64_t at = s->at;
    struct scribe members = *s;
    uint8_t record[256];
    uint8_t checks[32 * 8];
    uint8_t body[64];
    ck_assert_uint_le(count, 32);
    memset(body, 0x5a, sizeof(body));
    uint64_t total = 0;
    members.at = at + clg_record_bytes(0, CLG_BATCH_BODY_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size;
        uint64_t check = scribe_build(&members, members.at + total, CLG_KIND_MESSAGE, body, 10 + i,
                                      record, &size);
        clg_store_le64(checks + i * 8, check);
        ck_assert_int_eq(clg_segment_pwrite(s->segment, record, size, members.at + total, NULL), 0);
        total += size;
    }
    struct clg_batch batch = {
        .count = count, .member_bytes = total, .member_checks = clg_hash64(checks, count * 8u, 0)};
    clg_batch_encode(body, &batch);
    (void)scribe_put(s, CLG_KIND_BATCH, body, CLG_BATCH_BODY_BYTES);
    s->at = members.at + total;
    return at;
}

/* Flips bits of one byte in the file. */
static inline void world_flip(struct clg_segment *segment, uint64_t position)
{
    uint8_t byte;
    ck_assert_int_eq(clg_segment_pread(segment, &byte, 1, position, NULL), 0);
    byte ^= 0x10;
    ck_assert_int_eq(clg_segment_pwrite(segment, &byte, 1, position, NULL), 0);
}

#endif
