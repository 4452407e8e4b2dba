/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault_file.c -- calls on open files: read, write, flush, allocate, look. See machine.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "fault/machine.h"

static int64_t os_pread(const struct commitlog_os *os, int fd, void *buf, size_t size, uint64_t at)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_READ, false);
    struct fault_inode *inode = clg_fault_inode_of(m, fd);
    CLG_ASSERT(buf != NULL || size == 0);
    if (rc >= 0 && (inode == NULL || inode->is_dir)) {
        rc = -EBADF;
    } else if (rc >= 0 && inode->bad_bytes > 0 && at < inode->bad_at + inode->bad_bytes &&
               inode->bad_at < at + size) {
        rc = -EIO;
    } else if (rc >= 0) {
        size = rc == 1 && size > 1 ? size / 2 : size;
        rc = m->real->pread(m->real, inode->memory_fd, buf, size, at);
    }
    CLG_ASSERT(rc <= (int64_t)size);
    return clg_fault_unlock(m, rc);
}

static int64_t fault_write(struct commitlog_fault *m, int fd, const struct clg_piece *pieces,
                           size_t count, uint64_t at)
{
    struct fault_fd *slot = clg_fault_fd_of(m, fd);
    struct fault_inode *inode = clg_fault_inode_of(m, fd);
    uint64_t size = 0;
    CLG_ASSERT(count > 0);
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].size;
    }
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_WRITE, true);
    if (rc < 0) {
        return rc;
    }
    if (slot == NULL || inode->is_dir || !slot->writable) {
        return -EBADF;
    }
    uint64_t limit = rc == 1 && size > 1 ? size / 2 : size;
    rc = clg_fault_allocate(m, inode, at + limit);
    if (rc >= 0 && at + limit > inode->size) {
        rc = clg_fault_resize(m, inode, at + limit);
    }
    uint64_t done = 0;
    for (size_t i = 0; rc >= 0 && i < count && done < limit; i++) {
        uint64_t bytes = clg_min_u64(pieces[i].size, limit - done);
        rc = bytes == 0
                 ? 0
                 : clg_os_pwrite_all(m->real, inode->memory_fd, pieces[i].data, bytes, at + done);
        done += bytes;
    }
    if (rc < 0) {
        return rc;
    }
    if (slot->direct) {
        clg_fault_touch(inode, at, limit);
    }
    clg_fault_write_back(m);
    CLG_ASSERT(done == limit);
    return (int64_t)limit;
}

static int64_t os_pwrite(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                         uint64_t at)
{
    struct commitlog_fault *m = clg_fault_of(os);
    struct clg_piece piece = {buf, size};
    CLG_ASSERT(size > 0);
    clg_fault_lock(m);
    int64_t rc = fault_write(m, fd, &piece, 1, at);
    CLG_ASSERT(rc <= (int64_t)size);
    return clg_fault_unlock(m, rc);
}

static int64_t os_pwritev(const struct commitlog_os *os, int fd, const struct clg_piece *pieces,
                          size_t count, uint64_t at)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(pieces != NULL);
    clg_fault_lock(m);
    int64_t rc = fault_write(m, fd, pieces, count, at);
    CLG_ASSERT(rc != 0 || count > 0);
    return clg_fault_unlock(m, rc);
}

static int os_sync(const struct commitlog_os *os, int fd)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    struct fault_inode *inode = clg_fault_inode_of(m, fd);
    bool is_dir = inode != NULL && inode->is_dir;
    int rc = clg_fault_enter(m, is_dir ? COMMITLOG_FAULT_SYNC_DIR : COMMITLOG_FAULT_SYNC, true);
    CLG_ASSERT(rc <= 1);
    if (inode == NULL) {
        rc = rc < 0 ? rc : -EBADF;
    } else if (is_dir) {
        rc = rc < 0 ? rc : clg_fault_journal_apply(m, inode, FAULT_JOURNAL_ALL);
        clg_fault_inode_collect(m); /* what has lost its last name gives its blocks back */
    } else if (rc < 0) {
        if (!m->dead) { /* some of it reached the disk; the rest is believed clean */
            (void)clg_fault_sync_file(m, inode, FAULT_SYNC_CHANCE);
            (void)clg_fault_sync_file(m, inode, FAULT_SYNC_FAILED);
        }
    } else {
        rc = clg_fault_sync_file(m, inode, FAULT_SYNC_ALL);
    }
    CLG_ASSERT(inode == NULL || inode->used);
    return (int)clg_fault_unlock(m, rc > 0 ? 0 : rc);
}

static int fault_zero(struct commitlog_fault *m, struct fault_inode *inode, uint64_t at,
                      uint64_t size)
{
    uint8_t zeros[4096] = {0};
    int rc = 0;
    CLG_ASSERT(!inode->is_dir);
    while (rc >= 0 && size > 0) {
        uint64_t bytes = clg_min_u64(size, sizeof(zeros));
        rc = clg_os_pwrite_all(m->real, inode->memory_fd, zeros, bytes, at);
        if (rc >= 0) {
            clg_fault_touch(inode, at, bytes);
        }
        at += bytes;
        size -= bytes;
    }
    CLG_ASSERT(rc < 0 || size == 0);
    return rc;
}

static int os_fallocate(const struct commitlog_os *os, int fd, enum clg_os_fallocate_mode mode,
                        uint64_t at, uint64_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_ALLOCATE, true);
    struct fault_inode *inode = clg_fault_inode_of(m, fd);
    CLG_ASSERT(at + size >= at);
    if (rc >= 0 && (inode == NULL || inode->is_dir)) {
        rc = -EBADF;
    }
    if (rc >= 0 && mode != CLG_OS_FALLOCATE_PUNCH) {
        rc = clg_fault_allocate(m, inode, at + size);
    }
    if (rc >= 0 && mode == CLG_OS_FALLOCATE_EXTEND && at + size > inode->size) {
        rc = clg_fault_resize(m, inode, at + size);
    }
    if (rc >= 0 && (mode == CLG_OS_FALLOCATE_ZERO || mode == CLG_OS_FALLOCATE_PUNCH) &&
        at < inode->size) {
        rc = fault_zero(m, inode, at, clg_min_u64(size, inode->size - at));
    }
    if (rc >= 0) {
        clg_fault_write_back(m);
    }
    CLG_ASSERT(m->inodes[0].used);
    return (int)clg_fault_unlock(m, rc > 0 ? 0 : rc);
}

static int os_ftruncate(const struct commitlog_os *os, int fd, uint64_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_ALLOCATE, true);
    struct fault_inode *inode = clg_fault_inode_of(m, fd);
    CLG_ASSERT(rc <= 1);
    if (rc >= 0) {
        rc = inode == NULL || inode->is_dir ? -EBADF : clg_fault_resize(m, inode, size);
    }
    CLG_ASSERT(rc < 0 || inode->size == size);
    return (int)clg_fault_unlock(m, rc);
}

static void fault_fill_stat(const struct fault_inode *inode, struct clg_os_stat *out)
{
    memset(out, 0, sizeof(*out));
    CLG_ASSERT(inode->used);
    out->size_bytes = inode->size;
    out->allocated_bytes = inode->allocated;
    out->device = 7;
    out->inode = inode->number;
    out->links = 1;
    out->mode = inode->mode & 0777u;
    out->uid = 0;
    out->type = inode->is_dir ? CLG_OS_DIRECTORY : CLG_OS_FILE;
    CLG_ASSERT(out->inode > 0);
}

static int os_stat_fd(const struct commitlog_os *os, int fd, struct clg_os_stat *out)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    const struct fault_inode *inode = clg_fault_inode_of(m, fd);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_STAT, false);
    rc = rc < 0 ? rc : inode == NULL ? -EBADF : 0;
    CLG_ASSERT(out != NULL);
    if (rc == 0) {
        fault_fill_stat(inode, out);
    }
    CLG_ASSERT(rc <= 0);
    return (int)clg_fault_unlock(m, rc);
}

static int os_stat_at(const struct commitlog_os *os, int dirfd, const char *name,
                      struct clg_os_stat *out)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int rc;
    const struct fault_inode *dir = clg_fault_dir(m, dirfd, name, &rc);
    CLG_ASSERT(out != NULL);
    int64_t found = clg_fault_enter(m, COMMITLOG_FAULT_STAT, false);
    if (found >= 0) {
        found = dir == NULL ? rc : clg_fault_step(m, (uint32_t)(dir - m->inodes), name);
    }
    if (found >= 0) {
        fault_fill_stat(&m->inodes[found], out);
        found = 0;
    }
    CLG_ASSERT(found <= 0);
    return (int)clg_fault_unlock(m, found);
}

static int os_fs_info(const struct commitlog_os *os, int fd, struct clg_os_fs_info *out)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    const struct fault_inode *inode = clg_fault_inode_of(m, fd);
    CLG_ASSERT(out != NULL);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_STAT, false);
    rc = rc < 0 ? rc : inode == NULL ? -EBADF : 0;
    if (rc == 0) {
        memset(out, 0, sizeof(*out));
        out->type = inode->tmpfs ? CLG_OS_FS_TMPFS : CLG_OS_FS_EXT;
        out->total_bytes = m->free_bytes == UINT64_MAX ? UINT64_C(1) << 40 : m->free_bytes;
        out->free_bytes = out->total_bytes - clg_min_u64(m->used_bytes, out->total_bytes);
    }
    CLG_ASSERT(m->inodes[0].used);
    return (int)clg_fault_unlock(m, rc);
}

static int os_set_nocow(const struct commitlog_os *os, int fd)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(m != NULL);
    CLG_ASSERT(fd >= 0);
    (void)m;
    (void)fd;
    return -EOPNOTSUPP;
}

static int os_write_back(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size,
                         bool wait)
{
    struct commitlog_fault *m = clg_fault_of(os);
    (void)at;
    (void)size;
    (void)wait;
    clg_fault_lock(m);
    struct fault_inode *inode = clg_fault_inode_of(m, fd);
    CLG_ASSERT(m->inodes[0].used);
    if (inode != NULL && !inode->is_dir && !m->dead) {
        (void)clg_fault_sync_file(m, inode, FAULT_SYNC_CHANCE); /* a hint, not a flush */
    }
    CLG_ASSERT(inode == NULL || inode->used);
    return (int)clg_fault_unlock(m, inode == NULL ? -EBADF : 0);
}

static int os_drop_cache(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    (void)at;
    (void)size;
    clg_fault_lock(m);
    struct fault_inode *inode = clg_fault_inode_of(m, fd);
    CLG_ASSERT(m->inodes[0].used);
    if (inode != NULL && !inode->is_dir) {
        (void)clg_fault_sync_file(m, inode, FAULT_SYNC_REVERT);
    }
    CLG_ASSERT(inode == NULL || inode->used);
    return (int)clg_fault_unlock(m, 0);
}

/* What a failed sync left behind is not, and of the rest it does not always know. */
static int os_is_written(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    struct fault_inode *inode = clg_fault_inode_of(m, fd);
    CLG_ASSERT(m->inodes[0].used);
    bool known = inode != NULL && !inode->is_dir && clg_fault_random(m) % 4 != 0;
    int rc = known && !clg_fault_has_lost(inode, at, size) ? 1 : 0;
    CLG_ASSERT(inode == NULL || inode->used);
    return (int)clg_fault_unlock(m, rc);
}

/* Every page that is zero counts as one that was never written. */
static int64_t os_next_data(const struct commitlog_os *os, int fd, uint64_t at)
{
    struct commitlog_fault *m = clg_fault_of(os);
    uint8_t page[4096];
    clg_fault_lock(m);
    const struct fault_inode *inode = clg_fault_inode_of(m, fd);
    int64_t found = inode == NULL || inode->is_dir ? (int64_t)at : INT64_MAX;
    for (uint64_t from = at; found == INT64_MAX && from < inode->size;) {
        uint64_t bytes = sizeof(page) - from % sizeof(page);
        int64_t got = m->real->pread(m->real, inode->memory_fd, page, bytes, from);
        if (got <= 0 || !clg_is_zero(page, (size_t)got)) {
            found = (int64_t)from;
        }
        from += bytes;
    }
    return clg_fault_unlock(m, found);
}

/* Of no hole it tells; next_data does. */
static int64_t os_next_hole(const struct commitlog_os *os, int fd, uint64_t at)
{
    (void)os;
    (void)fd;
    (void)at;
    return INT64_MAX;
}

void clg_fault_fill_files(struct commitlog_os *t)
{
    CLG_ASSERT(t != NULL);
    CLG_ASSERT(t->ctx != NULL);
    t->pread = os_pread;
    t->next_data = os_next_data;
    t->next_hole = os_next_hole;
    t->pwrite = os_pwrite;
    t->pwritev = os_pwritev;
    t->fdatasync = os_sync;
    t->fsync = os_sync;
    t->is_written = os_is_written;
    t->fallocate = os_fallocate;
    t->ftruncate = os_ftruncate;
    t->stat_fd = os_stat_fd;
    t->stat_at = os_stat_at;
    t->fs_info = os_fs_info;
    t->set_nocow = os_set_nocow;
    t->write_back = os_write_back;
    t->drop_cache = os_drop_cache;
}
