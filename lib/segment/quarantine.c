/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quarantine.c -- see quarantine.h.
 *
 * Invariants: temporary name, copy, fsync, rename that replaces nothing, fsync of the directory.
 * Threads and locks: none.
 * Happy path: 1 MiB at a time.
 * Failure modes: a piece that does not read is read again block by block; only the bad blocks
 *       become zeros. Any failure of the copy removes the temporary file, which gives a full disk
 *       its blocks back.
 */
#include "segment/quarantine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"

#define QUARANTINE_PIECE_BYTES (UINT64_C(1) << 20)
#define QUARANTINE_BLOCK_BYTES UINT64_C(4096)
/* As many recoveries killed at the same position before it gives up. */
#define QUARANTINE_COPIES_MAX 1000u
#define QUARANTINE_WHAT_MAX 32
/* Epoch, position, `what`, and NUL; the rest of a name is for the counter. */
#define QUARANTINE_STEM_BYTES (10 + 1 + 20 + 1 + QUARANTINE_WHAT_MAX + 1)

/* Where the bytes come from: one of the three. */
struct quarantine_source {
    struct clg_segment *segment;
    const uint8_t *memory;
    int fd;
    uint64_t at; /* position, or offset */
    uint64_t bytes;
};

static int quarantine_read(const struct clg_quarantine *quarantine,
                           const struct quarantine_source *source, uint64_t offset, void *buf,
                           uint64_t size)
{
    CLG_ASSERT(size <= source->bytes);
    CLG_ASSERT(offset <= source->bytes - size);
    if (source->memory != NULL) {
        memcpy(buf, source->memory + offset, (size_t)size);
        return 0;
    }
    if (source->segment != NULL) {
        return clg_segment_pread_raw(source->segment, buf, (size_t)size, source->at + offset);
    }
    return clg_os_pread_all(quarantine->os, source->fd, buf, (size_t)size, source->at + offset);
}

/* One piece; bad blocks become zeros and are counted. A negative errno: the read failed for another
 * reason than the data, of which a copy must not show zeros. */
static int quarantine_read_piece(const struct clg_quarantine *quarantine,
                                 const struct quarantine_source *source, uint64_t offset,
                                 uint8_t *buf, uint64_t size, uint64_t *bad)
{
    CLG_ASSERT(size > 0);
    CLG_ASSERT(size <= QUARANTINE_PIECE_BYTES);
    int rc = quarantine_read(quarantine, source, offset, buf, size);
    if (rc >= 0) {
        return 0;
    }
    uint64_t done = 0;
    while (done < size && clg_os_is_data_error(rc)) {
        uint64_t place = source->at + offset + done;
        uint64_t block = QUARANTINE_BLOCK_BYTES - place % QUARANTINE_BLOCK_BYTES;
        block = clg_min_u64(block, size - done);
        int got = quarantine_read(quarantine, source, offset + done, buf + done, block);
        if (got < 0) {
            memset(buf + done, 0, (size_t)block);
            *bad += block;
            rc = got;
        }
        done += block;
    }
    return clg_os_is_data_error(rc) ? 0 : rc;
}

static int quarantine_copy_to(const struct clg_quarantine *quarantine, int fd,
                              const struct quarantine_source *source, uint64_t *unreadable)
{
    const struct commitlog_os *os = quarantine->os;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(unreadable != NULL);
    uint8_t *buffer = os->alloc(os, QUARANTINE_PIECE_BYTES);
    if (buffer == NULL) {
        return -ENOMEM;
    }
    int rc = 0;
    for (uint64_t at = 0; rc >= 0 && at < source->bytes;) {
        uint64_t piece = clg_min_u64(QUARANTINE_PIECE_BYTES, source->bytes - at);
        rc = quarantine_read_piece(quarantine, source, at, buffer, piece, unreadable);
        if (rc >= 0) {
            rc = clg_os_pwrite_all(os, fd, buffer, (size_t)piece, at);
        }
        at += piece;
    }
    os->free(os, buffer);
    return rc < 0 ? rc : os->fsync(os, fd);
}

/* The first free name of this position takes the temporary file. */
static int quarantine_publish(const struct clg_quarantine *quarantine, const char *temp,
                              const char *stem, char name[CLG_QUARANTINE_NAME_BYTES])
{
    const struct commitlog_os *os = quarantine->os;
    CLG_ASSERT(strcmp(temp, stem) != 0);
    int rc = -EEXIST;
    for (uint32_t n = 1; rc == -EEXIST && n <= QUARANTINE_COPIES_MAX; n++) {
        int length = n == 1 ? snprintf(name, CLG_QUARANTINE_NAME_BYTES, "%s", stem)
                            : snprintf(name, CLG_QUARANTINE_NAME_BYTES, "%s.%" PRIu32, stem, n);
        if (length < 0 || length >= CLG_QUARANTINE_NAME_BYTES) {
            return -ENAMETOOLONG;
        }
        rc = os->rename_at(os, quarantine->dirfd, temp, quarantine->dirfd, name, true);
    }
    return rc < 0 ? rc : os->fsync(os, quarantine->dirfd);
}

static int quarantine_open_temp(const struct clg_quarantine *quarantine, const char *temp)
{
    const struct commitlog_os *os = quarantine->os;
    uint32_t flags =
        CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE | CLG_OS_OPEN_EXCLUSIVE;
    CLG_ASSERT(temp[0] != '\0');
    CLG_ASSERT(quarantine->dirfd >= 0);
    int fd = os->open_at(os, quarantine->dirfd, temp, flags, quarantine->file_mode);
    if (fd == -EEXIST) { /* half a copy of a recovery that was killed */
        int rc = os->unlink_at(os, quarantine->dirfd, temp);
        fd = rc < 0 ? rc : os->open_at(os, quarantine->dirfd, temp, flags, quarantine->file_mode);
    }
    return fd;
}

static int quarantine_store(const struct clg_quarantine *quarantine,
                            const struct quarantine_source *source, uint64_t position,
                            const char *what, struct clg_quarantine_copy *out,
                            struct commitlog_error *err)
{
    const struct commitlog_os *os = quarantine->os;
    CLG_ASSERT(strlen(what) > 0 && strlen(what) <= QUARANTINE_WHAT_MAX);
    CLG_ASSERT(strchr(what, '/') == NULL);
    char stem[QUARANTINE_STEM_BYTES];
    char temp[QUARANTINE_STEM_BYTES + 4];
    struct clg_quarantine_copy copy = {.bytes = source->bytes};
    (void)snprintf(stem, sizeof(stem), "%010" PRIu32 "-%020" PRIu64 ".%s", quarantine->epoch,
                   position, what);
    (void)snprintf(temp, sizeof(temp), "%s.tmp", stem);
    int fd = quarantine_open_temp(quarantine, temp);
    int rc = fd;
    if (rc >= 0) {
        rc = quarantine_copy_to(quarantine, fd, source, &copy.unreadable);
        clg_os_close_fd(os, &fd);
        if (rc >= 0) {
            rc = quarantine_publish(quarantine, temp, stem, copy.name);
        }
        if (rc < 0) {
            (void)os->unlink_at(os, quarantine->dirfd, temp);
        }
    }
    if (rc < 0) {
        return clg_fail_os(err, rc, position, "quarantine %s: copy of %" PRIu64 " bytes", stem,
                           source->bytes);
    }
    *out = copy;
    return 0;
}

int clg_quarantine_range(const struct clg_quarantine *quarantine, struct clg_segment *segment,
                         uint64_t from, uint64_t to, const char *what,
                         struct clg_quarantine_copy *out, struct commitlog_error *err)
{
    CLG_ASSERT(from <= to && from >= segment->base);
    CLG_ASSERT(to <= segment->base + segment->bytes);
    struct quarantine_source source = {
        .segment = segment, .fd = -1, .at = from, .bytes = to - from};
    return quarantine_store(quarantine, &source, from, what, out, err);
}

int clg_quarantine_file(const struct clg_quarantine *quarantine, int dirfd, const char *name,
                        uint64_t position, const char *what, struct clg_quarantine_copy *out,
                        struct commitlog_error *err)
{
    const struct commitlog_os *os = quarantine->os;
    CLG_ASSERT(name != NULL);
    CLG_ASSERT(dirfd >= 0);
    int fd = os->open_at(os, dirfd, name, CLG_OS_OPEN_READ, 0);
    if (fd < 0) {
        return clg_fail_os(err, fd, position, "quarantine: open %s", name);
    }
    struct clg_os_stat stat;
    int rc = os->stat_fd(os, fd, &stat);
    if (rc < 0) {
        rc = clg_fail_os(err, rc, position, "quarantine: size of %s", name);
    } else {
        struct quarantine_source source = {.fd = fd, .bytes = stat.size_bytes};
        rc = quarantine_store(quarantine, &source, position, what, out, err);
    }
    clg_os_close_fd(os, &fd);
    return rc;
}

int clg_quarantine_bytes(const struct clg_quarantine *quarantine, uint64_t position,
                         const void *data, size_t size, const char *what,
                         struct clg_quarantine_copy *out, struct commitlog_error *err)
{
    CLG_ASSERT(data != NULL || size == 0);
    CLG_ASSERT(out != NULL);
    struct quarantine_source source = {.memory = data, .fd = -1, .bytes = size};
    return quarantine_store(quarantine, &source, position, what, out, err);
}
