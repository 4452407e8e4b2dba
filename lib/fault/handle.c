/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * handle.c -- the lock of the machine, descriptors, and the way along a path. See machine.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "fault/machine.h"

void clg_fault_lock(struct commitlog_fault *m)
{
    CLG_ASSERT(m != NULL);
    int rc = pthread_mutex_lock(&m->lock);
    CLG_ASSERT(rc == 0);
    (void)rc;
}

int64_t clg_fault_unlock(struct commitlog_fault *m, int64_t result)
{
    CLG_ASSERT(m != NULL);
    m->clock_ns += 1000;
    int rc = pthread_mutex_unlock(&m->lock);
    CLG_ASSERT(rc == 0);
    (void)rc;
    return result;
}

struct fault_fd *clg_fault_fd_of(struct commitlog_fault *m, int fd)
{
    CLG_ASSERT(m != NULL);
    if (fd < FAULT_FD_FIRST || fd >= FAULT_FD_FIRST + (int)FAULT_FDS) {
        return NULL;
    }
    struct fault_fd *slot = &m->fds[fd - FAULT_FD_FIRST];
    CLG_ASSERT(slot >= m->fds);
    return slot->used && !slot->is_void ? slot : NULL;
}

struct fault_inode *clg_fault_inode_of(struct commitlog_fault *m, int fd)
{
    struct fault_fd *slot = clg_fault_fd_of(m, fd);
    CLG_ASSERT(slot == NULL || slot->inode < m->inode_count);
    CLG_ASSERT(slot == NULL || m->inodes[slot->inode].used);
    return slot == NULL ? NULL : &m->inodes[slot->inode];
}

int clg_fault_fd_new(struct commitlog_fault *m, uint32_t inode, bool writable)
{
    CLG_ASSERT(inode < m->inode_count);
    for (size_t i = 0; i < FAULT_FDS; i++) {
        if (!m->fds[i].used) {
            m->fds[i] = (struct fault_fd){.used = true, .writable = writable, .inode = inode};
            m->inodes[inode].handles++;
            m->held_fds++;
            CLG_ASSERT(m->inodes[inode].used);
            return FAULT_FD_FIRST + (int)i;
        }
    }
    return -EMFILE;
}

/* One component. */
int64_t clg_fault_step(struct commitlog_fault *m, uint32_t dir, const char *name)
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
            at = clg_fault_step(m, (uint32_t)at, name);
        }
        path += bytes;
        path += *path == '/';
    }
    CLG_ASSERT(at < (int64_t)m->inode_count);
    return at;
}

/* The directory a name is in: its inode, or NULL and *rc. Names have one component. */
struct fault_inode *clg_fault_dir(struct commitlog_fault *m, int dirfd, const char *name, int *rc)
{
    struct fault_inode *dir = clg_fault_inode_of(m, dirfd);
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

void clg_fault_drop_lock(struct commitlog_fault *m, int fd)
{
    struct fault_fd *slot = clg_fault_fd_of(m, fd);
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
