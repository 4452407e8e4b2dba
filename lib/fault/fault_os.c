/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault_os.c -- the os table of the machine: files, directories, locks, clock. Memory, threads,
 * futexes and events are those of the real system. See machine.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "fault/machine.h"

static void fault_lock(struct commitlog_fault *m)
{
    CLG_ASSERT(m != NULL);
    int rc = pthread_mutex_lock(&m->lock);
    CLG_ASSERT(rc == 0);
    (void)rc;
}

static int64_t fault_unlock(struct commitlog_fault *m, int64_t result)
{
    CLG_ASSERT(m != NULL);
    m->clock_ns += 1000;
    int rc = pthread_mutex_unlock(&m->lock);
    CLG_ASSERT(rc == 0);
    (void)rc;
    return result;
}

static struct fault_fd *fault_fd_of(struct commitlog_fault *m, int fd)
{
    CLG_ASSERT(m != NULL);
    if (fd < FAULT_FD_FIRST || fd >= FAULT_FD_FIRST + (int)FAULT_FDS) {
        return NULL;
    }
    struct fault_fd *slot = &m->fds[fd - FAULT_FD_FIRST];
    CLG_ASSERT(slot >= m->fds);
    return slot->used && !slot->is_void ? slot : NULL;
}

static struct fault_inode *fault_inode_of(struct commitlog_fault *m, int fd)
{
    struct fault_fd *slot = fault_fd_of(m, fd);
    CLG_ASSERT(slot == NULL || slot->inode < m->inode_count);
    CLG_ASSERT(slot == NULL || m->inodes[slot->inode].used);
    return slot == NULL ? NULL : &m->inodes[slot->inode];
}

static int fault_fd_new(struct commitlog_fault *m, uint32_t inode, bool writable)
{
    CLG_ASSERT(inode < m->inode_count);
    for (size_t i = 0; i < FAULT_FDS; i++) {
        if (!m->fds[i].used) {
            m->fds[i] = (struct fault_fd){.used = true, .writable = writable, .inode = inode};
            m->inodes[inode].handles++;
            CLG_ASSERT(m->inodes[inode].used);
            return FAULT_FD_FIRST + (int)i;
        }
    }
    return -EMFILE;
}

/* One component. */
static int64_t fault_step(struct commitlog_fault *m, uint32_t dir, const char *name)
{
    CLG_ASSERT(dir < m->inode_count);
    if (!m->inodes[dir].is_dir) {
        return -ENOTDIR;
    }
    const struct fault_entry *entry = clg_fault_list_find(&m->inodes[dir].entries, name);
    CLG_ASSERT(entry == NULL || m->inodes[entry->inode].used);
    return entry == NULL ? -ENOENT : (int64_t)entry->inode;
}

int64_t clg_fault_lookup(struct commitlog_fault *m, const char *path)
{
    int64_t at = 0;
    CLG_ASSERT(path != NULL);
    while (*path != '\0' && at >= 0) {
        size_t bytes = strcspn(path, "/");
        char name[FAULT_NAME_MAX + 1];
        if (bytes > FAULT_NAME_MAX) {
            return -ENAMETOOLONG;
        }
        memcpy(name, path, bytes);
        name[bytes] = '\0';
        if (bytes > 0 && strcmp(name, ".") != 0) {
            at = fault_step(m, (uint32_t)at, name);
        }
        path += bytes;
        path += *path == '/';
    }
    CLG_ASSERT(at < (int64_t)m->inode_count);
    return at;
}

/* The directory a name is in: its inode, or NULL and *rc. Names have one component. */
static struct fault_inode *fault_dir(struct commitlog_fault *m, int dirfd, const char *name,
                                     int *rc)
{
    struct fault_inode *dir = fault_inode_of(m, dirfd);
    CLG_ASSERT(rc != NULL);
    *rc = 0;
    if (dir == NULL) {
        *rc = -EBADF;
    } else if (!dir->is_dir) {
        *rc = -ENOTDIR;
        dir = NULL;
    } else if (name != NULL && (strchr(name, '/') != NULL || strlen(name) > FAULT_NAME_MAX)) {
        *rc = -EINVAL;
        dir = NULL;
    }
    CLG_ASSERT((dir == NULL) == (*rc != 0));
    return dir;
}

static void *os_alloc(const struct commitlog_os *os, size_t bytes)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(bytes > 0);
    fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_ALLOC, false);
    (void)fault_unlock(m, 0);
    CLG_ASSERT(rc <= 1);
    return rc < 0 ? NULL : m->real->alloc(m->real, bytes);
}

static void os_free(const struct commitlog_os *os, void *ptr)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(m->real != NULL);
    CLG_ASSERT(m->real != os);
    m->real->free(m->real, ptr);
}

static int os_open_dir(const struct commitlog_os *os, const char *path)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_OPEN, false);
    CLG_ASSERT(path != NULL);
    if (rc >= 0) {
        rc = clg_fault_lookup(m, path);
    }
    if (rc >= 0) {
        rc = m->inodes[rc].is_dir ? fault_fd_new(m, (uint32_t)rc, false) : -ENOTDIR;
    }
    CLG_ASSERT(rc < 0 || rc >= FAULT_FD_FIRST);
    return (int)fault_unlock(m, rc);
}

static int64_t fault_create(struct commitlog_fault *m, int dirfd, const char *name, uint32_t mode,
                            bool is_dir)
{
    uint32_t at;
    int rc = clg_fault_inode_new(m, is_dir, mode, &at);
    CLG_ASSERT(name != NULL);
    if (rc < 0) {
        return rc;
    }
    struct fault_inode *dir = fault_inode_of(m, dirfd); /* the array may have moved */
    CLG_ASSERT(dir != NULL);
    m->inodes[at].tmpfs = dir->tmpfs;
    rc = clg_fault_dir_change(dir, name, at, NULL);
    return rc < 0 ? rc : (int64_t)at;
}

static int os_open_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t flags,
                      uint32_t mode)
{
    struct commitlog_fault *m = clg_fault_of(os);
    bool create = (flags & CLG_OS_OPEN_CREATE) != 0;
    fault_lock(m);
    int rc;
    struct fault_inode *dir = fault_dir(m, dirfd, name, &rc);
    int64_t found = dir == NULL ? rc : fault_step(m, (uint32_t)(dir - m->inodes), name);
    bool makes = create && found == -ENOENT;
    rc = clg_fault_enter(m, COMMITLOG_FAULT_OPEN, makes);
    CLG_ASSERT(rc <= 1);
    if (rc < 0) {
        found = rc;
    } else if (makes) {
        found = fault_create(m, dirfd, name, mode, false);
        clg_fault_write_back(m);
    } else if (found >= 0 && create && (flags & CLG_OS_OPEN_EXCLUSIVE) != 0) {
        found = -EEXIST;
    }
    if (found >= 0) {
        bool want_dir = (flags & CLG_OS_OPEN_DIRECTORY) != 0;
        if (m->inodes[found].is_dir != want_dir) {
            found = want_dir ? -ENOTDIR : -EISDIR;
        } else {
            if ((flags & CLG_OS_OPEN_TRUNCATE) != 0) {
                (void)clg_fault_resize(m, &m->inodes[found], 0);
            }
            found = fault_fd_new(m, (uint32_t)found, (flags & CLG_OS_OPEN_WRITE) != 0);
        }
    }
    CLG_ASSERT(found < 0 || found >= FAULT_FD_FIRST);
    return (int)fault_unlock(m, found);
}

static void fault_drop_lock(struct commitlog_fault *m, int fd)
{
    struct fault_fd *slot = fault_fd_of(m, fd);
    CLG_ASSERT(slot != NULL);
    struct fault_inode *inode = &m->inodes[slot->inode];
    if (inode->lock_owner == fd) {
        inode->lock_owner = -1;
    }
    if (slot->shared) {
        CLG_ASSERT(inode->lock_shared > 0);
        inode->lock_shared--;
        slot->shared = false;
    }
}

static int os_close(const struct commitlog_os *os, int fd)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(fd >= 0);
    if (fd < FAULT_FD_FIRST) {
        return m->real->close(m->real, fd);
    }
    fault_lock(m);
    struct fault_fd *slot = fault_fd_of(m, fd);
    if (slot != NULL) {
        fault_drop_lock(m, fd);
        CLG_ASSERT(m->inodes[slot->inode].handles > 0);
        m->inodes[slot->inode].handles--;
        slot->used = false;
        clg_fault_inode_collect(m);
    } else if (fd < FAULT_FD_FIRST + (int)FAULT_FDS) {
        m->fds[fd - FAULT_FD_FIRST].used = false;
    }
    return (int)fault_unlock(m, 0);
}

static int64_t os_pread(const struct commitlog_os *os, int fd, void *buf, size_t size, uint64_t at)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_READ, false);
    struct fault_inode *inode = fault_inode_of(m, fd);
    CLG_ASSERT(buf != NULL || size == 0);
    if (rc >= 0 && (inode == NULL || inode->is_dir)) {
        rc = -EBADF;
    } else if (rc >= 0 && inode->bad_bytes > 0 && at < inode->bad_at + inode->bad_bytes
               && inode->bad_at < at + size) {
        rc = -EIO;
    } else if (rc >= 0) {
        size = rc == 1 && size > 1 ? size / 2 : size;
        rc = m->real->pread(m->real, inode->memory_fd, buf, size, at);
    }
    CLG_ASSERT(rc <= (int64_t)size);
    return fault_unlock(m, rc);
}

static int64_t fault_write(struct commitlog_fault *m, int fd, const struct clg_piece *pieces,
                           size_t count, uint64_t at)
{
    struct fault_fd *slot = fault_fd_of(m, fd);
    struct fault_inode *inode = fault_inode_of(m, fd);
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
        rc = bytes == 0 ? 0
                        : clg_os_pwrite_all(m->real, inode->memory_fd, pieces[i].data, bytes,
                                            at + done);
        done += bytes;
    }
    if (rc < 0) {
        return rc;
    }
    clg_fault_touch(inode, at, limit);
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
    fault_lock(m);
    int64_t rc = fault_write(m, fd, &piece, 1, at);
    CLG_ASSERT(rc <= (int64_t)size);
    return fault_unlock(m, rc);
}

static int64_t os_pwritev(const struct commitlog_os *os, int fd, const struct clg_piece *pieces,
                          size_t count, uint64_t at)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(pieces != NULL);
    fault_lock(m);
    int64_t rc = fault_write(m, fd, pieces, count, at);
    CLG_ASSERT(rc != 0 || count > 0);
    return fault_unlock(m, rc);
}

static int os_sync(const struct commitlog_os *os, int fd)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    struct fault_inode *inode = fault_inode_of(m, fd);
    bool is_dir = inode != NULL && inode->is_dir;
    int rc = clg_fault_enter(m, is_dir ? COMMITLOG_FAULT_SYNC_DIR : COMMITLOG_FAULT_SYNC, true);
    CLG_ASSERT(rc <= 1);
    if (inode == NULL) {
        rc = rc < 0 ? rc : -EBADF;
    } else if (is_dir) {
        rc = rc < 0 ? rc : clg_fault_journal_apply(m, inode, FAULT_JOURNAL_ALL);
    } else if (rc < 0) {
        if (!m->dead) { /* some of it reached the disk; the rest is believed clean */
            (void)clg_fault_sync_file(m, inode, FAULT_SYNC_CHANCE);
            (void)clg_fault_sync_file(m, inode, FAULT_SYNC_FAILED);
        }
    } else {
        rc = clg_fault_sync_file(m, inode, FAULT_SYNC_ALL);
    }
    CLG_ASSERT(inode == NULL || inode->used);
    return (int)fault_unlock(m, rc > 0 ? 0 : rc);
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
    fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_ALLOCATE, true);
    struct fault_inode *inode = fault_inode_of(m, fd);
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
    if (rc >= 0 && (mode == CLG_OS_FALLOCATE_ZERO || mode == CLG_OS_FALLOCATE_PUNCH)
        && at < inode->size) {
        rc = fault_zero(m, inode, at, clg_min_u64(size, inode->size - at));
    }
    if (rc >= 0) {
        clg_fault_write_back(m);
    }
    CLG_ASSERT(m->inodes[0].used);
    return (int)fault_unlock(m, rc > 0 ? 0 : rc);
}

static int os_ftruncate(const struct commitlog_os *os, int fd, uint64_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_ALLOCATE, true);
    struct fault_inode *inode = fault_inode_of(m, fd);
    CLG_ASSERT(rc <= 1);
    if (rc >= 0) {
        rc = inode == NULL || inode->is_dir ? -EBADF : clg_fault_resize(m, inode, size);
    }
    CLG_ASSERT(rc < 0 || inode->size == size);
    return (int)fault_unlock(m, rc);
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
    fault_lock(m);
    const struct fault_inode *inode = fault_inode_of(m, fd);
    int rc = m->dead ? -EIO : inode == NULL ? -EBADF : 0;
    CLG_ASSERT(out != NULL);
    if (rc == 0) {
        fault_fill_stat(inode, out);
    }
    CLG_ASSERT(rc <= 0);
    return (int)fault_unlock(m, rc);
}

static int os_stat_at(const struct commitlog_os *os, int dirfd, const char *name,
                      struct clg_os_stat *out)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int rc;
    const struct fault_inode *dir = fault_dir(m, dirfd, name, &rc);
    CLG_ASSERT(out != NULL);
    int64_t found = m->dead      ? -EIO
                    : dir == NULL ? rc
                                  : fault_step(m, (uint32_t)(dir - m->inodes), name);
    if (found >= 0) {
        fault_fill_stat(&m->inodes[found], out);
        found = 0;
    }
    CLG_ASSERT(found <= 0);
    return (int)fault_unlock(m, found);
}

static int os_fs_info(const struct commitlog_os *os, int fd, struct clg_os_fs_info *out)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    const struct fault_inode *inode = fault_inode_of(m, fd);
    CLG_ASSERT(out != NULL);
    if (inode != NULL) {
        memset(out, 0, sizeof(*out));
        out->type = inode->tmpfs ? CLG_OS_FS_TMPFS : CLG_OS_FS_EXT;
        out->total_bytes = m->free_bytes == UINT64_MAX ? UINT64_C(1) << 40 : m->free_bytes;
        out->free_bytes = out->total_bytes - clg_min_u64(m->used_bytes, out->total_bytes);
    }
    CLG_ASSERT(m->inodes[0].used);
    return (int)fault_unlock(m, inode == NULL ? -EBADF : 0);
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

static int os_rename_at(const struct commitlog_os *os, int from_dirfd, const char *from,
                        int to_dirfd, const char *to, bool noreplace)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_RENAME, true);
    int why;
    struct fault_inode *a = fault_dir(m, from_dirfd, from, &why);
    struct fault_inode *b = a == NULL ? NULL : fault_dir(m, to_dirfd, to, &why);
    if (rc >= 0 && b == NULL) {
        rc = why;
    }
    if (rc >= 0) {
        rc = fault_step(m, (uint32_t)(a - m->inodes), from);
    }
    if (rc >= 0 && noreplace && clg_fault_list_find(&b->entries, to) != NULL) {
        rc = -EEXIST;
    }
    if (rc >= 0) {
        CLG_ASSERT(a == b || !noreplace || a != NULL);
        uint32_t inode = (uint32_t)rc;
        rc = clg_fault_dir_change(b, to, inode, a == b ? from : NULL);
        if (rc >= 0 && a != b) {
            rc = clg_fault_dir_change(a, NULL, 0, from);
        }
        clg_fault_write_back(m);
    }
    CLG_ASSERT(rc <= 0);
    return (int)fault_unlock(m, rc);
}

static int fault_remove(const struct commitlog_os *os, int dirfd, const char *name, bool is_dir)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_UNLINK, true);
    int why;
    struct fault_inode *dir = fault_dir(m, dirfd, name, &why);
    CLG_ASSERT(name != NULL);
    if (rc >= 0) {
        rc = dir == NULL ? why : fault_step(m, (uint32_t)(dir - m->inodes), name);
    }
    if (rc >= 0 && m->inodes[rc].is_dir != is_dir) {
        rc = is_dir ? -ENOTDIR : -EISDIR;
    } else if (rc >= 0 && is_dir && m->inodes[rc].entries.count > 0) {
        rc = -ENOTEMPTY;
    }
    if (rc >= 0) {
        rc = clg_fault_dir_change(dir, NULL, 0, name);
        clg_fault_inode_collect(m);
        clg_fault_write_back(m);
    }
    CLG_ASSERT(rc <= 0);
    return (int)fault_unlock(m, rc);
}

static int os_unlink_at(const struct commitlog_os *os, int dirfd, const char *name)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT(name != NULL);
    return fault_remove(os, dirfd, name, false);
}

static int os_rmdir_at(const struct commitlog_os *os, int dirfd, const char *name)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT(name != NULL);
    return fault_remove(os, dirfd, name, true);
}

static int os_mkdir_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t mode)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_MAKE, true);
    int why;
    struct fault_inode *dir = fault_dir(m, dirfd, name, &why);
    if (rc >= 0) {
        rc = dir == NULL ? why : fault_step(m, (uint32_t)(dir - m->inodes), name);
        rc = rc >= 0 ? -EEXIST : rc;
        CLG_ASSERT(rc < 0);
        if (rc == -ENOENT) {
            rc = fault_create(m, dirfd, name, mode, true);
            clg_fault_write_back(m);
        }
    }
    CLG_ASSERT(rc < (int64_t)m->inode_count);
    return (int)fault_unlock(m, rc > 0 ? 0 : rc);
}

static int os_mkdir_path(const struct commitlog_os *os, const char *path, uint32_t mode)
{
    const char *last = strrchr(path, '/');
    char parent[1024];
    CLG_ASSERT(path != NULL);
    if (last == NULL || (size_t)(last - path) >= sizeof(parent)) {
        return -EINVAL;
    }
    memcpy(parent, path, (size_t)(last - path));
    parent[last - path] = '\0';
    int fd = os->open_dir(os, parent);
    if (fd < 0) {
        return fd;
    }
    int rc = os->mkdir_at(os, fd, last + 1, mode);
    (void)os->close(os, fd);
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* The names are copied first: the callback may call the table. */
static int os_list_dir(const struct commitlog_os *os, int dirfd, clg_os_list_fn fn, void *fn_ctx)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_READ, false);
    int why;
    const struct fault_inode *dir = fault_dir(m, dirfd, NULL, &why);
    struct fault_list copy = {0};
    if (rc >= 0) {
        rc = dir == NULL ? why : clg_fault_list_copy(&copy, &dir->entries);
    }
    enum clg_os_type *types = calloc(copy.count + 1, sizeof(*types));
    for (size_t i = 0; types != NULL && i < copy.count; i++) {
        types[i] = m->inodes[copy.items[i].inode].is_dir ? CLG_OS_DIRECTORY : CLG_OS_FILE;
    }
    (void)fault_unlock(m, 0);
    CLG_ASSERT(fn != NULL);
    for (size_t i = 0; types != NULL && rc == 0 && i < copy.count; i++) {
        rc = fn(fn_ctx, copy.items[i].name, types[i]);
    }
    free(copy.items);
    rc = types == NULL ? -ENOMEM : rc;
    free(types);
    CLG_ASSERT(copy.count <= copy.room);
    return rc;
}

static int os_write_back(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size,
                         bool wait)
{
    struct commitlog_fault *m = clg_fault_of(os);
    (void)at;
    (void)size;
    (void)wait;
    fault_lock(m);
    struct fault_inode *inode = fault_inode_of(m, fd);
    CLG_ASSERT(m->inodes[0].used);
    if (inode != NULL && !inode->is_dir && !m->dead) {
        (void)clg_fault_sync_file(m, inode, FAULT_SYNC_CHANCE); /* a hint, not a flush */
    }
    CLG_ASSERT(inode == NULL || inode->used);
    return (int)fault_unlock(m, inode == NULL ? -EBADF : 0);
}

static int os_drop_cache(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    (void)at;
    (void)size;
    fault_lock(m);
    struct fault_inode *inode = fault_inode_of(m, fd);
    CLG_ASSERT(m->inodes[0].used);
    if (inode != NULL && !inode->is_dir) {
        (void)clg_fault_sync_file(m, inode, FAULT_SYNC_REVERT);
    }
    CLG_ASSERT(inode == NULL || inode->used);
    return (int)fault_unlock(m, 0);
}

static int os_lock_file(const struct commitlog_os *os, int fd, bool exclusive)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_LOCK, false);
    struct fault_fd *slot = fault_fd_of(m, fd);
    if (rc >= 0 && slot == NULL) {
        rc = -EBADF;
    } else if (rc >= 0) {
        fault_drop_lock(m, fd);
        struct fault_inode *inode = &m->inodes[slot->inode];
        if (inode->lock_owner >= 0 || (exclusive && inode->lock_shared > 0)) {
            rc = -EAGAIN;
        } else if (exclusive) {
            inode->lock_owner = fd;
        } else {
            inode->lock_shared++;
            slot->shared = true;
        }
        CLG_ASSERT(inode->lock_owner < 0 || inode->lock_shared == 0);
    }
    CLG_ASSERT(rc <= 1);
    return (int)fault_unlock(m, rc > 0 ? 0 : rc);
}

static int os_unlock_file(const struct commitlog_os *os, int fd)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    CLG_ASSERT(m->inodes[0].used);
    bool there = fault_fd_of(m, fd) != NULL;
    if (there) {
        fault_drop_lock(m, fd);
    }
    CLG_ASSERT(!there || fault_fd_of(m, fd) != NULL);
    return (int)fault_unlock(m, there ? 0 : -EBADF);
}

static int os_memory_file(const struct commitlog_os *os, const char *name, uint64_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    uint32_t at;
    (void)name;
    fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_OPEN, false);
    CLG_ASSERT(m->inodes[0].used);
    if (rc >= 0) {
        rc = clg_fault_inode_new(m, false, 0600, &at);
    }
    if (rc >= 0) {
        m->inodes[at].tmpfs = true;
        rc = clg_fault_resize(m, &m->inodes[at], size);
        rc = rc < 0 ? rc : fault_fd_new(m, at, true);
    }
    CLG_ASSERT(rc < 0 || rc >= FAULT_FD_FIRST);
    return (int)fault_unlock(m, rc);
}

static int os_tmpfs_dir(const struct commitlog_os *os, char *path, size_t path_size)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT(path != NULL);
    if (path_size < sizeof("/" FAULT_TMPFS_NAME)) {
        return -ENAMETOOLONG;
    }
    memcpy(path, "/" FAULT_TMPFS_NAME, sizeof("/" FAULT_TMPFS_NAME));
    return 0;
}

/* The descriptor of the memory behind a file; a real one is its own. */
static int fault_memory_fd(const struct commitlog_os *os, int fd)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(m->inodes[0].used);
    if (fd < FAULT_FD_FIRST) {
        return fd;
    }
    fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_MAP, false);
    const struct fault_inode *inode = fault_inode_of(m, fd);
    if (rc >= 0) {
        rc = inode == NULL || inode->is_dir ? -EBADF : inode->memory_fd;
    }
    CLG_ASSERT(rc < FAULT_FD_FIRST);
    return (int)fault_unlock(m, rc);
}

static int os_map(const struct commitlog_os *os, int fd, uint64_t at, size_t size, uint32_t prot,
                  uint32_t flags, void **out)
{
    struct commitlog_fault *m = clg_fault_of(os);
    bool anonymous = (flags & CLG_OS_MAP_ANONYMOUS) != 0;
    int memory = anonymous ? fd : fault_memory_fd(os, fd);
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(size > 0);
    if (!anonymous && memory < 0) {
        return memory;
    }
    return m->real->map(m->real, memory, at, size, prot, flags, out);
}

static int os_map_twice(const struct commitlog_os *os, int fd, uint64_t at, size_t size,
                        uint32_t prot, void **out)
{
    struct commitlog_fault *m = clg_fault_of(os);
    int memory = fault_memory_fd(os, fd);
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(size > 0);
    return memory < 0 ? memory : m->real->map_twice(m->real, memory, at, size, prot, out);
}

static int64_t os_clock(const struct commitlog_os *os)
{
    struct commitlog_fault *m = clg_fault_of(os);
    fault_lock(m);
    int64_t now = m->clock_ns;
    CLG_ASSERT(now > 0);
    CLG_ASSERT(m->boot > 0);
    return fault_unlock(m, now);
}

static void os_sleep(const struct commitlog_os *os, int64_t ns)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(ns >= 0);
    fault_lock(m);
    m->clock_ns += ns;
    CLG_ASSERT(m->clock_ns > 0);
    (void)fault_unlock(m, 0);
}

static int os_random(const struct commitlog_os *os, void *buf, size_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    uint8_t *out = buf;
    CLG_ASSERT(buf != NULL);
    fault_lock(m);
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)clg_fault_random(m);
    }
    CLG_ASSERT(m->seed != 0);
    return (int)fault_unlock(m, 0);
}

static int os_boot_id(const struct commitlog_os *os, uint8_t id[16])
{
    const struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(id != NULL);
    CLG_ASSERT(m->boot > 0);
    memset(id, 0, 16);
    memcpy(id, &m->boot, sizeof(m->boot));
    return 0;
}

static int64_t os_uid(const struct commitlog_os *os)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT(os->ctx != NULL);
    return 0;
}

void clg_fault_fill_table(struct commitlog_fault *m)
{
    struct commitlog_os *t = &m->table;
    CLG_ASSERT(m->real != NULL);
    /* What takes no descriptor of a file is the real system's: those functions keep no state. */
    *t = *m->real;
    t->ctx = m;
    t->alloc = os_alloc;
    t->free = os_free;
    t->open_dir = os_open_dir;
    t->open_at = os_open_at;
    t->close = os_close;
    t->pread = os_pread;
    t->pwrite = os_pwrite;
    t->pwritev = os_pwritev;
    t->fdatasync = os_sync;
    t->fsync = os_sync;
    t->fallocate = os_fallocate;
    t->ftruncate = os_ftruncate;
    t->stat_fd = os_stat_fd;
    t->stat_at = os_stat_at;
    t->fs_info = os_fs_info;
    t->set_nocow = os_set_nocow;
    t->rename_at = os_rename_at;
    t->unlink_at = os_unlink_at;
    t->rmdir_at = os_rmdir_at;
    t->mkdir_at = os_mkdir_at;
    t->mkdir_path = os_mkdir_path;
    t->list_dir = os_list_dir;
    t->write_back = os_write_back;
    t->drop_cache = os_drop_cache;
    t->lock_file = os_lock_file;
    t->unlock_file = os_unlock_file;
    t->memory_file = os_memory_file;
    t->tmpfs_dir = os_tmpfs_dir;
    t->map = os_map;
    t->map_twice = os_map_twice;
    t->clock_wall_ns = os_clock;
    t->clock_mono_ns = os_clock;
    t->sleep_ns = os_sleep;
    t->random = os_random;
    t->boot_id = os_boot_id;
    t->uid = os_uid;
    CLG_ASSERT(t->pid_start != NULL);
}
