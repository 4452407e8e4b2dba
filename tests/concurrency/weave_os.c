/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * weave_os.c -- the operating system of the scheduled threads: waits, wakes, threads and sleep are
 * the scheduler's; a call on a file is a step, and then the machine's. See weave.h.
 */
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "weave_internal.h"

/* Names and space: one thing that all calls of this kind touch. */
static uint8_t os_names;

/* One file, whoever has it open: an address of its own for each. *out_shared: it is mapped for
 * writing, so what a read finds can be changed by a store. */
static const volatile void *os_file(const struct commitlog_os *os, int fd, bool *out_shared)
{
    static const uint8_t files[1 << 14];
    struct clg_os_stat stat = {.inode = 0};
    (void)weave.under->stat_fd(os, fd, &stat);
    *out_shared = false;
    for (uint32_t i = 0; i < weave.map_count; i++)
        *out_shared =
            *out_shared || (weave.maps[i].writes && weave.maps[i].inode == stat.inode + 1);
    return &files[stat.inode % sizeof files];
}

/* A word that lies in a file is one place, wherever it is mapped. */
const volatile void *weave_place(const volatile void *at)
{
    for (uint32_t i = 0; i < weave.map_count; i++) {
        const struct weave_map *map = &weave.maps[i];
        uint64_t offset = (uint64_t)((uintptr_t)at - (uintptr_t)map->address);
        if ((uintptr_t)at >= (uintptr_t)map->address && offset < map->bytes)
            return (const volatile void *)(uintptr_t)((map->inode << 40) + map->at +
                                                      offset % map->period);
    }
    return at;
}

static void map_add(const struct commitlog_os *os, int fd, uint64_t at, uint64_t bytes,
                    uint64_t period, bool writes, const void *address)
{
    struct clg_os_stat stat;
    CHECK(weave.map_count < WEAVE_MAPS);
    if (weave.under->stat_fd(os, fd, &stat) >= 0)
        weave.maps[weave.map_count++] = (struct weave_map){.address = address,
                                                           .bytes = bytes,
                                                           .period = period,
                                                           .inode = stat.inode + 1,
                                                           .at = at,
                                                           .writes = writes};
}

static int os_map(const struct commitlog_os *os, int fd, uint64_t at, size_t size, uint32_t prot,
                  uint32_t flags, void **out)
{
    int rc = weave.under->map(os, fd, at, size, prot, flags, out);
    if (rc >= 0 && (flags & CLG_OS_MAP_SHARED) != 0)
        map_add(os, fd, at, size, size, (prot & CLG_OS_PROT_WRITE) != 0, *out);
    return rc;
}

static int os_map_twice(const struct commitlog_os *os, int fd, uint64_t at, size_t size,
                        uint32_t prot, void **out)
{
    int rc = weave.under->map_twice(os, fd, at, size, prot, out);
    if (rc >= 0)
        map_add(os, fd, at, 2 * (uint64_t)size, size, (prot & CLG_OS_PROT_WRITE) != 0, *out);
    return rc;
}

/* What is still in the store buffer may be for this memory. */
static void os_free(const struct commitlog_os *os, void *memory)
{
    if (weave.current != NULL)
        weave_drain(weave.current);
    weave.under->free(os, memory);
}

static int os_unmap(const struct commitlog_os *os, void *address, size_t size)
{
    if (weave.current != NULL)
        weave_drain(weave.current);
    for (uint32_t i = 0; i < weave.map_count; i++) {
        if (weave.maps[i].address == address) {
            weave.maps[i] = weave.maps[--weave.map_count];
            break;
        }
    }
    return weave.under->unmap(os, address, size);
}

static void os_point(const volatile void *at, enum weave_kind kind)
{
    (void)weave_point(at, kind, false);
    if (weave.current != NULL)
        weave_drain(weave.current);
}

static void os_file_point(const struct commitlog_os *os, int fd, enum weave_kind kind)
{
    bool shared = false;
    const volatile void *file = os_file(os, fd, &shared);
    os_point(file, kind == WEAVE_READ && shared ? WEAVE_READ_SHARED : kind);
}

static int os_futex_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                         uint32_t expected, int64_t timeout_ns, bool shared)
{
    struct weave_thread *self = weave.current;
    (void)os;
    if (self == NULL)
        weave_fail(__FILE__, __LINE__, "futex_wait", "outside of all threads: waits for ever");
    os_point(word, WEAVE_WRITE);
    if (atomic_load(word) != expected)
        return -EAGAIN;
    int64_t now = weave_now();
    self->state = WEAVE_WAITS;
    self->word = weave_place(word);
    self->timed_out = false;
    self->queued = ++weave.queued;
    bool for_ever = timeout_ns >= INT64_MAX - now || (weave.patient && shared);
    self->deadline = for_ever ? INT64_MAX : now + timeout_ns;
    weave_block();
    return self->timed_out ? -ETIMEDOUT : 0;
}

static int os_futex_wake(const struct commitlog_os *os, const _Atomic uint32_t *word, int32_t count,
                         bool shared)
{
    int woken = 0;
    (void)os;
    (void)shared;
    os_point(word, WEAVE_WRITE);
    while (woken < count) {
        struct weave_thread *first = NULL;
        for (uint32_t i = 0; i < weave.count; i++) {
            struct weave_thread *it = &weave.threads[i];
            if (it->state == WEAVE_WAITS && it->word == weave_place(word) &&
                (first == NULL || it->queued < first->queued))
                first = it;
        }
        if (first == NULL)
            break;
        first->state = WEAVE_READY;
        woken++;
    }
    return woken;
}

static void os_sleep_ns(const struct commitlog_os *os, int64_t ns)
{
    struct weave_thread *self = weave.current;
    if (self == NULL) {
        weave.under->sleep_ns(os, ns);
        return;
    }
    weave_drain(self);
    self->state = WEAVE_WAITS;
    self->word = NULL;
    self->deadline = weave_now() + ns;
    weave_block();
}

static int os_thread_start(const struct commitlog_os *os, void (*fn)(void *arg), void *arg,
                           const char *name, uint64_t *handle)
{
    (void)os;
    weave_spawn(name, fn, arg);
    *handle = weave.count;
    return 0;
}

static int os_thread_join(const struct commitlog_os *os, uint64_t handle)
{
    (void)os;
    CHECK(weave.current != NULL && handle >= 1 && handle <= weave.count);
    weave_drain(weave.current);
    weave.current->joined = (uint32_t)handle - 1;
    while (weave.threads[handle - 1].state != WEAVE_ENDED) {
        weave.current->state = WEAVE_JOINS;
        weave_block();
    }
    return 0;
}

static int64_t os_pread(const struct commitlog_os *os, int fd, void *buf, size_t size, uint64_t at)
{
    os_file_point(os, fd, WEAVE_READ);
    return weave.under->pread(os, fd, buf, size, at);
}

static int64_t os_pwrite(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                         uint64_t at)
{
    os_file_point(os, fd, WEAVE_WRITE);
    return weave.under->pwrite(os, fd, buf, size, at);
}

static int64_t os_pwritev(const struct commitlog_os *os, int fd, const struct clg_piece *pieces,
                          size_t count, uint64_t at)
{
    os_file_point(os, fd, WEAVE_WRITE);
    return weave.under->pwritev(os, fd, pieces, count, at);
}

static int os_fdatasync(const struct commitlog_os *os, int fd)
{
    os_file_point(os, fd, WEAVE_WRITE);
    return weave.under->fdatasync(os, fd);
}

static int os_fsync(const struct commitlog_os *os, int fd)
{
    os_file_point(os, fd, WEAVE_WRITE);
    return weave.under->fsync(os, fd);
}

static int os_open_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t flags,
                      uint32_t mode)
{
    os_point(&os_names, (flags & CLG_OS_OPEN_CREATE) != 0 ? WEAVE_WRITE : WEAVE_READ);
    return weave.under->open_at(os, dirfd, name, flags, mode);
}

static int os_list_dir(const struct commitlog_os *os, int dirfd, clg_os_list_fn fn, void *fn_ctx)
{
    os_point(&os_names, WEAVE_READ);
    return weave.under->list_dir(os, dirfd, fn, fn_ctx);
}

static int os_rename_at(const struct commitlog_os *os, int from_dirfd, const char *from,
                        int to_dirfd, const char *to, bool noreplace)
{
    os_point(&os_names, WEAVE_WRITE);
    return weave.under->rename_at(os, from_dirfd, from, to_dirfd, to, noreplace);
}

static int os_unlink_at(const struct commitlog_os *os, int dirfd, const char *name)
{
    os_point(&os_names, WEAVE_WRITE);
    return weave.under->unlink_at(os, dirfd, name);
}

const struct commitlog_os *weave_os(const struct commitlog_os *under)
{
    weave.under = under;
    weave.os = *under;
    weave.os.futex_wait = os_futex_wait;
    weave.os.futex_wake = os_futex_wake;
    weave.os.sleep_ns = os_sleep_ns;
    weave.os.thread_start = os_thread_start;
    weave.os.thread_join = os_thread_join;
    weave.os.pread = os_pread;
    weave.os.pwrite = os_pwrite;
    weave.os.pwritev = os_pwritev;
    weave.os.fdatasync = os_fdatasync;
    weave.os.fsync = os_fsync;
    weave.os.open_at = os_open_at;
    weave.os.map = os_map;
    weave.os.map_twice = os_map_twice;
    weave.os.unmap = os_unmap;
    weave.os.free = os_free;
    weave.os.list_dir = os_list_dir;
    weave.os.rename_at = os_rename_at;
    weave.os.unlink_at = os_unlink_at;
    weave_name(&os_names, "names of files");
    return &weave.os;
}
