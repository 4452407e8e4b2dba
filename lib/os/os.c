/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os.c -- helpers over the table: loops for whole reads and writes, arrays, deadlines. See os.h.
 *
 * Invariants: no system call here: everything goes through the table given, so a fault layer sees
 *       each piece of a long write.
 * Threads and locks: none.
 * Happy path: one call of the table.
 * Failure modes: a write that makes no progress is -EIO, a read at the end of the file -ENODATA.
 */
#include "os/os.h"

#include <errno.h>
#include <limits.h>

#include "base/invariant.h"
#include "base/plant.h"

/* Pieces handed to one pwritev. */
#define OS_PIECES_MAX 16

int clg_os_pwrite_all(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                      uint64_t at)
{
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(buf != NULL || size == 0);
    size_t done = 0;
    while (done < size) {
        int64_t n = os->pwrite(os, fd, clg_at_const(buf, done), size - done, at + done);
        if (n < 0) {
            return (int)n;
        }
        if (n == 0) {
            return -EIO;
        }
        CLG_ASSERT((uint64_t)n <= size - done);
        done = CLG_PLANTED(SHORT_WRITE) ? size : done + (size_t)n;
    }
    return 0;
}

bool clg_os_is_data_error(int rc)
{
    CLG_ASSERT(rc < 0);
    CLG_ASSERT(rc > INT_MIN);
    return rc == -EIO || rc == -ENODATA || rc == -EILSEQ || rc == -EBADMSG || rc == -EUCLEAN ||
           rc == -EREMOTEIO || rc == -ENXIO;
}

int64_t clg_os_pread_most(const struct commitlog_os *os, int fd, void *buf, size_t size,
                          uint64_t at)
{
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(buf != NULL || size == 0);
    size_t done = 0;
    while (done < size) {
        int64_t n = os->pread(os, fd, clg_at(buf, done), size - done, at + done);
        if (n < 0) {
            return n;
        }
        if (n == 0) {
            break;
        }
        CLG_ASSERT((uint64_t)n <= size - done);
        done += (size_t)n;
    }
    return (int64_t)done;
}

int clg_os_pread_all(const struct commitlog_os *os, int fd, void *buf, size_t size, uint64_t at)
{
    CLG_ASSERT(fd >= 0);
    int64_t n = clg_os_pread_most(os, fd, buf, size, at);
    if (n < 0) {
        return (int)n;
    }
    CLG_ASSERT((uint64_t)n <= size);
    return (uint64_t)n == size ? 0 : -ENODATA;
}

int clg_os_pwritev_all(const struct commitlog_os *os, int fd, const struct clg_piece *pieces,
                       size_t count, uint64_t at)
{
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(pieces != NULL || count == 0);
    size_t next = 0;    /* first piece not yet written completely */
    size_t skipped = 0; /* bytes of it that are written */
    for (;;) {
        struct clg_piece window[OS_PIECES_MAX];
        size_t used = 0;
        while (next < count && pieces[next].size == skipped) {
            next++;
            skipped = 0;
        }
        for (size_t i = next; i < count && used < OS_PIECES_MAX; i++) {
            size_t cut = i == next ? skipped : 0;
            if (pieces[i].size > cut) {
                window[used].data = clg_at_const(pieces[i].data, cut);
                window[used].size = pieces[i].size - cut;
                used++;
            }
        }
        if (used == 0) {
            return 0;
        }
        int64_t n = os->pwritev(os, fd, window, used, at);
        if (n <= 0) {
            return n < 0 ? (int)n : -EIO;
        }
        at += (uint64_t)n;
        size_t left = (size_t)n;
        while (left > 0) {
            CLG_ASSERT(next < count);
            size_t rest = pieces[next].size - skipped;
            size_t step = left < rest ? left : rest;
            skipped += step;
            left -= step;
            if (skipped == pieces[next].size) {
                next++;
                skipped = 0;
            }
        }
    }
}

void *clg_os_alloc_array(const struct commitlog_os *os, size_t count, size_t size)
{
    CLG_ASSERT(size > 0);
    uint64_t bytes;
    if (!clg_mul_u64(count, size, &bytes)) {
        return NULL;
    }
    CLG_ASSERT(count == 0 || bytes / count == size);
    return os->alloc(os, bytes > 0 ? (size_t)bytes : size);
}

void *clg_os_grow_array(const struct commitlog_os *os, void *old, size_t old_count,
                        size_t new_count, size_t size)
{
    CLG_ASSERT(new_count >= old_count);
    CLG_ASSERT(old != NULL || old_count == 0);
    void *grown = clg_os_alloc_array(os, new_count, size);
    if (grown == NULL) {
        return NULL;
    }
    if (old_count > 0) {
        memcpy(grown, old, old_count * size);
    }
    os->free(os, old);
    return grown;
}

int64_t clg_os_deadline(const struct commitlog_os *os, int64_t timeout_ns)
{
    if (timeout_ns < 0 || timeout_ns == CLG_OS_FOREVER) {
        return CLG_OS_FOREVER;
    }
    int64_t now = os->clock_mono_ns(os);
    CLG_ASSERT(now >= 0);
    return timeout_ns > CLG_OS_FOREVER - now ? CLG_OS_FOREVER : now + timeout_ns;
}

int64_t clg_os_left(const struct commitlog_os *os, int64_t deadline_mono_ns)
{
    if (deadline_mono_ns == CLG_OS_FOREVER) {
        return CLG_OS_FOREVER;
    }
    int64_t now = os->clock_mono_ns(os);
    CLG_ASSERT(now >= 0);
    return deadline_mono_ns > now ? deadline_mono_ns - now : 0;
}

void clg_os_keep_in_place(const struct commitlog_os *os, int fd, struct clg_os_fs_info *out)
{
    struct clg_os_fs_info info = {.type = CLG_OS_FS_OTHER};
    CLG_ASSERT(fd >= 0);
    (void)os->fs_info(os, fd, &info); /* unknown: no promise */
    if (info.type == CLG_OS_FS_BTRFS && !info.nocow) {
        info.nocow = os->set_nocow(os, fd) >= 0;
    }
    if (out != NULL) {
        *out = info;
    }
    CLG_ASSERT(out == NULL || out->type == info.type);
}

void clg_os_close_fd(const struct commitlog_os *os, int *fd)
{
    CLG_ASSERT(fd != NULL);
    if (*fd >= 0) {
        (void)os->close(os, *fd);
        *fd = -1;
    }
    CLG_ASSERT(*fd == -1);
}
