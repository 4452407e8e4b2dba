/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault_dir.c -- calls on names: open, make, rename, remove, list. See machine.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "fault/machine.h"

static int os_open_dir(const struct commitlog_os *os, const char *path)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_OPEN, false);
    CLG_ASSERT(path != NULL);
    if (rc >= 0) {
        rc = clg_fault_lookup(m, path);
    }
    if (rc >= 0) {
        rc = m->inodes[rc].is_dir ? clg_fault_fd_new(m, (uint32_t)rc, false) : -ENOTDIR;
    }
    CLG_ASSERT(rc < 0 || rc >= FAULT_FD_FIRST);
    return (int)clg_fault_unlock(m, rc);
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
    struct fault_inode *dir = clg_fault_inode_of(m, dirfd); /* the array may have moved */
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
    clg_fault_lock(m);
    int rc;
    struct fault_inode *dir = clg_fault_dir(m, dirfd, name, &rc);
    int64_t found = dir == NULL ? rc : clg_fault_step(m, (uint32_t)(dir - m->inodes), name);
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
            found = clg_fault_fd_new(m, (uint32_t)found, (flags & CLG_OS_OPEN_WRITE) != 0);
            if (found >= 0) {
                m->fds[found - FAULT_FD_FIRST].direct = (flags & CLG_OS_OPEN_DIRECT) != 0;
            }
        }
    }
    CLG_ASSERT(found < 0 || found >= FAULT_FD_FIRST);
    return (int)clg_fault_unlock(m, found);
}

static int os_close(const struct commitlog_os *os, int fd)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(fd >= 0);
    clg_fault_lock(m);
    struct fault_fd *slot = clg_fault_fd_of(m, fd);
    bool open = fd < FAULT_FD_FIRST ||
                (fd < FAULT_FD_FIRST + (int)FAULT_FDS && m->fds[fd - FAULT_FD_FIRST].used);
    CLG_ASSERT(!open || m->held_fds > 0);
    m->held_fds -= open ? 1 : 0;
    if (fd < FAULT_FD_FIRST) {
        return (int)clg_fault_unlock(m, m->real->close(m->real, fd));
    }
    if (slot != NULL) {
        clg_fault_drop_lock(m, fd);
        CLG_ASSERT(m->inodes[slot->inode].handles > 0);
        m->inodes[slot->inode].handles--;
        slot->used = false;
        clg_fault_inode_collect(m);
    } else if (fd < FAULT_FD_FIRST + (int)FAULT_FDS) {
        m->fds[fd - FAULT_FD_FIRST].used = false;
    }
    return (int)clg_fault_unlock(m, 0);
}

static int os_rename_at(const struct commitlog_os *os, int from_dirfd, const char *from,
                        int to_dirfd, const char *to, bool noreplace)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_RENAME, true);
    int why;
    struct fault_inode *a = clg_fault_dir(m, from_dirfd, from, &why);
    struct fault_inode *b = a == NULL ? NULL : clg_fault_dir(m, to_dirfd, to, &why);
    if (rc >= 0 && b == NULL) {
        rc = why;
    }
    if (rc >= 0) {
        rc = clg_fault_step(m, (uint32_t)(a - m->inodes), from);
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
    return (int)clg_fault_unlock(m, rc);
}

static int fault_remove(const struct commitlog_os *os, int dirfd, const char *name, bool is_dir)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_UNLINK, true);
    int why;
    struct fault_inode *dir = clg_fault_dir(m, dirfd, name, &why);
    CLG_ASSERT(name != NULL);
    if (rc >= 0) {
        rc = dir == NULL ? why : clg_fault_step(m, (uint32_t)(dir - m->inodes), name);
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
    return (int)clg_fault_unlock(m, rc);
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
    clg_fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_MAKE, true);
    int why;
    struct fault_inode *dir = clg_fault_dir(m, dirfd, name, &why);
    if (rc >= 0) {
        rc = dir == NULL ? why : clg_fault_step(m, (uint32_t)(dir - m->inodes), name);
        rc = rc >= 0 ? -EEXIST : rc;
        CLG_ASSERT(rc < 0);
        if (rc == -ENOENT) {
            rc = fault_create(m, dirfd, name, mode, true);
            clg_fault_write_back(m);
        }
    }
    CLG_ASSERT(rc < (int64_t)m->inode_count);
    return (int)clg_fault_unlock(m, rc > 0 ? 0 : rc);
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
    clg_fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_READ, false);
    int why;
    const struct fault_inode *dir = clg_fault_dir(m, dirfd, NULL, &why);
    struct fault_list copy = {0};
    if (rc >= 0) {
        rc = dir == NULL ? why : clg_fault_list_copy(&copy, &dir->entries);
    }
    enum clg_os_type *types = calloc(copy.count + 1, sizeof(*types));
    for (size_t i = 0; types != NULL && i < copy.count; i++) {
        types[i] = m->inodes[copy.items[i].inode].is_dir ? CLG_OS_DIRECTORY : CLG_OS_FILE;
    }
    (void)clg_fault_unlock(m, 0);
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

void clg_fault_fill_dirs(struct commitlog_os *t)
{
    CLG_ASSERT(t != NULL);
    CLG_ASSERT(t->ctx != NULL);
    t->open_dir = os_open_dir;
    t->open_at = os_open_at;
    t->close = os_close;
    t->rename_at = os_rename_at;
    t->unlink_at = os_unlink_at;
    t->rmdir_at = os_rmdir_at;
    t->mkdir_at = os_mkdir_at;
    t->mkdir_path = os_mkdir_path;
    t->list_dir = os_list_dir;
}
