/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault_os.c -- the os table of the machine: locks, maps, clock, and where the rest comes from.
 * Memory, threads, futexes and events are those of the real system. See machine.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "fault/machine.h"

static void *os_alloc(const struct commitlog_os *os, size_t bytes)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(bytes > 0);
    clg_fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_ALLOC, false);
    void *got = rc < 0 ? NULL : m->real->alloc(m->real, bytes);
    m->held_allocs += got != NULL ? 1 : 0;
    (void)clg_fault_unlock(m, 0);
    CLG_ASSERT(rc <= 1);
    return got;
}

static void os_free(const struct commitlog_os *os, void *ptr)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(m->real != NULL);
    CLG_ASSERT(m->real != os);
    if (ptr == NULL) {
        return;
    }
    clg_fault_lock(m);
    CLG_ASSERT(m->held_allocs > 0);
    m->held_allocs--;
    (void)clg_fault_unlock(m, 0);
    m->real->free(m->real, ptr);
}

static int os_lock_file(const struct commitlog_os *os, int fd, bool exclusive)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_LOCK, false);
    struct fault_fd *slot = clg_fault_fd_of(m, fd);
    if (rc >= 0 && slot == NULL) {
        rc = -EBADF;
    } else if (rc >= 0) {
        clg_fault_drop_lock(m, fd);
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
    return (int)clg_fault_unlock(m, rc > 0 ? 0 : rc);
}

static int os_unlock_file(const struct commitlog_os *os, int fd)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    CLG_ASSERT(m->inodes[0].used);
    bool there = clg_fault_fd_of(m, fd) != NULL;
    if (there) {
        clg_fault_drop_lock(m, fd);
    }
    CLG_ASSERT(!there || clg_fault_fd_of(m, fd) != NULL);
    return (int)clg_fault_unlock(m, there ? 0 : -EBADF);
}

static int os_memory_file(const struct commitlog_os *os, const char *name, uint64_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    uint32_t at;
    (void)name;
    clg_fault_lock(m);
    int64_t rc = clg_fault_enter(m, COMMITLOG_FAULT_OPEN, false);
    CLG_ASSERT(m->inodes[0].used);
    if (rc >= 0) {
        rc = clg_fault_inode_new(m, false, 0600, &at);
    }
    if (rc >= 0) {
        m->inodes[at].tmpfs = true;
        rc = clg_fault_resize(m, &m->inodes[at], size);
        rc = rc < 0 ? rc : clg_fault_fd_new(m, at, true);
    }
    CLG_ASSERT(rc < 0 || rc >= FAULT_FD_FIRST);
    return (int)clg_fault_unlock(m, rc);
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

/* The descriptor of the memory behind a file; anonymous memory has none. */
static int fault_memory_fd(struct commitlog_fault *m, int fd, bool anonymous)
{
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_MAP, false);
    const struct fault_inode *inode = clg_fault_inode_of(m, fd);
    CLG_ASSERT(m->inodes[0].used);
    if (rc >= 0) {
        rc = anonymous ? 0 : inode == NULL || inode->is_dir ? -EBADF : inode->memory_fd;
    }
    CLG_ASSERT(rc < FAULT_FD_FIRST);
    return rc;
}

static int os_map(const struct commitlog_os *os, int fd, uint64_t at, size_t size, uint32_t prot,
                  uint32_t flags, void **out)
{
    struct commitlog_fault *m = clg_fault_of(os);
    bool anonymous = (flags & CLG_OS_MAP_ANONYMOUS) != 0;
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(size > 0);
    if ((flags & CLG_OS_MAP_SYNC) != 0) {
        return -EOPNOTSUPP; /* its disk is an ordinary one; no call that could fail otherwise */
    }
    clg_fault_lock(m);
    int rc = fault_memory_fd(m, fd, anonymous);
    if (rc >= 0) {
        rc = m->real->map(m->real, anonymous ? -1 : rc, at, size, prot, flags, out);
    }
    m->held_bytes += rc < 0 ? 0 : size;
    return (int)clg_fault_unlock(m, rc);
}

static int os_map_twice(const struct commitlog_os *os, int fd, uint64_t at, size_t size,
                        uint32_t prot, void **out)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(size > 0);
    clg_fault_lock(m);
    int rc = fault_memory_fd(m, fd, false);
    if (rc >= 0) {
        rc = m->real->map_twice(m->real, rc, at, size, prot, out);
    }
    m->held_bytes += rc < 0 ? 0 : 2 * size;
    return (int)clg_fault_unlock(m, rc);
}

static int os_unmap(const struct commitlog_os *os, void *addr, size_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int rc = m->real->unmap(m->real, addr, size);
    CLG_ASSERT(rc < 0 || m->held_bytes >= size);
    m->held_bytes -= rc < 0 ? 0 : size;
    CLG_ASSERT(m->inodes[0].used);
    return (int)clg_fault_unlock(m, rc);
}

static int os_eventfd_create(const struct commitlog_os *os)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int rc = clg_fault_enter(m, COMMITLOG_FAULT_OPEN, false);
    if (rc >= 0) {
        rc = m->real->eventfd_create(m->real);
    }
    m->held_fds += rc < 0 ? 0 : 1;
    CLG_ASSERT(rc < FAULT_FD_FIRST);
    return (int)clg_fault_unlock(m, rc);
}

static int64_t os_clock(const struct commitlog_os *os)
{
    struct commitlog_fault *m = clg_fault_of(os);
    clg_fault_lock(m);
    int64_t now = m->clock_ns;
    CLG_ASSERT(now > 0);
    CLG_ASSERT(m->boot > 0);
    return clg_fault_unlock(m, now);
}

static void os_sleep(const struct commitlog_os *os, int64_t ns)
{
    struct commitlog_fault *m = clg_fault_of(os);
    CLG_ASSERT(ns >= 0);
    clg_fault_lock(m);
    m->clock_ns += ns;
    CLG_ASSERT(m->clock_ns > 0);
    (void)clg_fault_unlock(m, 0);
}

/* Who has waited in vain is later by that: with a clock that stands no deadline would ever pass. */
static int os_futex_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                         uint32_t expected, int64_t timeout_ns, bool shared)
{
    struct commitlog_fault *m = clg_fault_of(os);
    int rc = m->real->futex_wait(m->real, word, expected, timeout_ns, shared);
    CLG_ASSERT(rc <= 0);
    if (rc == -ETIMEDOUT) {
        CLG_ASSERT(timeout_ns >= 0);
        os_sleep(os, timeout_ns);
    }
    return rc;
}

static int os_random(const struct commitlog_os *os, void *buf, size_t size)
{
    struct commitlog_fault *m = clg_fault_of(os);
    uint8_t *out = buf;
    CLG_ASSERT(buf != NULL);
    clg_fault_lock(m);
    for (size_t i = 0; i < size; i++) {
        out[i] = (uint8_t)clg_fault_random(m);
    }
    CLG_ASSERT(m->seed != 0);
    return (int)clg_fault_unlock(m, 0);
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
    clg_fault_fill_files(t);
    clg_fault_fill_dirs(t);
    t->alloc = os_alloc;
    t->free = os_free;
    t->lock_file = os_lock_file;
    t->unlock_file = os_unlock_file;
    t->memory_file = os_memory_file;
    t->tmpfs_dir = os_tmpfs_dir;
    t->map = os_map;
    t->map_twice = os_map_twice;
    t->unmap = os_unmap;
    t->eventfd_create = os_eventfd_create;
    t->clock_wall_ns = os_clock;
    t->clock_mono_ns = os_clock;
    t->sleep_ns = os_sleep;
    t->futex_wait = os_futex_wait;
    t->random = os_random;
    t->boot_id = os_boot_id;
    t->uid = os_uid;
    CLG_ASSERT(t->pid_start != NULL);
}
