/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counted_fixture.h -- the machine of fault_fixture.h behind a table that counts, of each function,
 * the calls of a thread.
 *
 * Owns: what fault_fixture.h owns; the table; the counts of each thread. To free NULL is no call.
 */
#ifndef TESTS_UNIT_COUNTED_FIXTURE_H
#define TESTS_UNIT_COUNTED_FIXTURE_H

#include <stddef.h>

#include "unit/fault_fixture.h"

enum { COUNTED_WORDS = sizeof(struct commitlog_os) / sizeof(void *) };

/* By the place of the function in the table. */
static _Thread_local struct {
    bool is_on;
    uint32_t counts[COUNTED_WORDS];
    const char *last;
} calls;

static struct commitlog_os counted;

#define COUNTED_WORD(name) (offsetof(struct commitlog_os, name) / sizeof(void *))
#define COUNTED_CALLS(name) (calls.counts[COUNTED_WORD(name)])

static inline void counted_note(size_t word, const char *name)
{
    if (calls.is_on) {
        calls.counts[word]++;
        calls.last = name;
    }
}

/* This thread's, from now on. */
static inline void counted_begin(void)
{
    memset(&calls, 0, sizeof(calls));
    calls.is_on = true;
}

/* How many there were. */
static inline uint32_t counted_end(void)
{
    uint32_t all = 0;
    calls.is_on = false;
    for (size_t i = 0; i < COUNTED_WORDS; i++) {
        all += calls.counts[i];
    }
    return all;
}

#define COUNTED_OS const struct commitlog_os *os
#define COUNTED(type, name, parameters, arguments)                                                 \
    static inline type counted_##name parameters                                                   \
    {                                                                                              \
        counted_note(COUNTED_WORD(name), #name);                                                   \
        return commitlog_fault_os(machine)->name arguments;                                        \
    }

COUNTED(void *, alloc, (COUNTED_OS, size_t bytes), (os, bytes))
COUNTED(int, open_dir, (COUNTED_OS, const char *path), (os, path))
COUNTED(int, open_at, (COUNTED_OS, int dirfd, const char *name, uint32_t flags, uint32_t mode),
        (os, dirfd, name, flags, mode))
COUNTED(int, close, (COUNTED_OS, int fd), (os, fd))
COUNTED(int64_t, pread, (COUNTED_OS, int fd, void *buf, size_t size, uint64_t at),
        (os, fd, buf, size, at))
COUNTED(int64_t, next_data, (COUNTED_OS, int fd, uint64_t at), (os, fd, at))
COUNTED(int64_t, next_hole, (COUNTED_OS, int fd, uint64_t at), (os, fd, at))
COUNTED(int64_t, pwrite, (COUNTED_OS, int fd, const void *buf, size_t size, uint64_t at),
        (os, fd, buf, size, at))
COUNTED(int64_t, pwritev,
        (COUNTED_OS, int fd, const struct clg_piece *pieces, size_t count, uint64_t at),
        (os, fd, pieces, count, at))
COUNTED(int, fdatasync, (COUNTED_OS, int fd), (os, fd))
COUNTED(int, fsync, (COUNTED_OS, int fd), (os, fd))
COUNTED(int, is_written, (COUNTED_OS, int fd, uint64_t at, uint64_t size), (os, fd, at, size))
COUNTED(int, fallocate,
        (COUNTED_OS, int fd, enum clg_os_fallocate_mode mode, uint64_t at, uint64_t size),
        (os, fd, mode, at, size))
COUNTED(int, ftruncate, (COUNTED_OS, int fd, uint64_t size), (os, fd, size))
COUNTED(int, stat_fd, (COUNTED_OS, int fd, struct clg_os_stat *out), (os, fd, out))
COUNTED(int, stat_at, (COUNTED_OS, int dirfd, const char *name, struct clg_os_stat *out),
        (os, dirfd, name, out))
COUNTED(int, fs_info, (COUNTED_OS, int fd, struct clg_os_fs_info *out), (os, fd, out))
COUNTED(int, set_nocow, (COUNTED_OS, int fd), (os, fd))
COUNTED(int, rename_at,
        (COUNTED_OS, int from_dirfd, const char *from, int to_dirfd, const char *to,
         bool noreplace),
        (os, from_dirfd, from, to_dirfd, to, noreplace))
COUNTED(int, unlink_at, (COUNTED_OS, int dirfd, const char *name), (os, dirfd, name))
COUNTED(int, rmdir_at, (COUNTED_OS, int dirfd, const char *name), (os, dirfd, name))
COUNTED(int, mkdir_at, (COUNTED_OS, int dirfd, const char *name, uint32_t mode),
        (os, dirfd, name, mode))
COUNTED(int, mkdir_path, (COUNTED_OS, const char *path, uint32_t mode), (os, path, mode))
COUNTED(int, list_dir, (COUNTED_OS, int dirfd, clg_os_list_fn fn, void *fn_ctx),
        (os, dirfd, fn, fn_ctx))
COUNTED(int, write_back, (COUNTED_OS, int fd, uint64_t at, uint64_t size, bool wait),
        (os, fd, at, size, wait))
COUNTED(int, drop_cache, (COUNTED_OS, int fd, uint64_t at, uint64_t size), (os, fd, at, size))
COUNTED(int, lock_file, (COUNTED_OS, int fd, bool exclusive), (os, fd, exclusive))
COUNTED(int, unlock_file, (COUNTED_OS, int fd), (os, fd))
COUNTED(int, memory_file, (COUNTED_OS, const char *name, uint64_t size), (os, name, size))
COUNTED(int, tmpfs_dir, (COUNTED_OS, char *path, size_t path_size), (os, path, path_size))
COUNTED(int, map,
        (COUNTED_OS, int fd, uint64_t at, size_t size, uint32_t prot, uint32_t flags, void **out),
        (os, fd, at, size, prot, flags, out))
COUNTED(int, map_twice, (COUNTED_OS, int fd, uint64_t at, size_t size, uint32_t prot, void **out),
        (os, fd, at, size, prot, out))
COUNTED(int, unmap, (COUNTED_OS, void *addr, size_t size), (os, addr, size))
COUNTED(int, protect, (COUNTED_OS, void *addr, size_t size, uint32_t prot), (os, addr, size, prot))
COUNTED(int, advise, (COUNTED_OS, void *addr, size_t size, enum clg_os_advice advice),
        (os, addr, size, advice))
COUNTED(int, lock_pages, (COUNTED_OS, const void *addr, size_t size), (os, addr, size))
COUNTED(int, unlock_pages, (COUNTED_OS, const void *addr, size_t size), (os, addr, size))
COUNTED(int, persist, (COUNTED_OS, const void *addr, size_t size), (os, addr, size))
COUNTED(int, futex_wait,
        (COUNTED_OS, const _Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns,
         bool shared),
        (os, word, expected, timeout_ns, shared))
COUNTED(int, futex_wake, (COUNTED_OS, const _Atomic uint32_t *word, int32_t count, bool shared),
        (os, word, count, shared))
COUNTED(int, eventfd_create, (COUNTED_OS), (os))
COUNTED(int, eventfd_signal, (COUNTED_OS, int fd), (os, fd))
COUNTED(int, eventfd_drain, (COUNTED_OS, int fd), (os, fd))
COUNTED(int, thread_start,
        (COUNTED_OS, void (*fn)(void *arg), void *arg, const char *name, uint64_t *handle),
        (os, fn, arg, name, handle))
COUNTED(int, thread_join, (COUNTED_OS, uint64_t handle), (os, handle))
COUNTED(int, random, (COUNTED_OS, void *buf, size_t size), (os, buf, size))
COUNTED(int, boot_id, (COUNTED_OS, uint8_t id[16]), (os, id))
COUNTED(int64_t, pid, (COUNTED_OS), (os))
COUNTED(int64_t, uid, (COUNTED_OS), (os))
COUNTED(int, pid_start, (COUNTED_OS, int64_t pid, uint64_t *start), (os, pid, start))
COUNTED(int, limit, (COUNTED_OS, enum clg_os_limit which, uint64_t *out), (os, which, out))
COUNTED(size_t, page_size, (COUNTED_OS), (os))
COUNTED(int, cpu_count, (COUNTED_OS), (os))
COUNTED(int64_t, clock_wall_ns, (COUNTED_OS), (os))
COUNTED(int64_t, clock_mono_ns, (COUNTED_OS), (os))

static inline void counted_free(COUNTED_OS, void *ptr)
{
    if (ptr != NULL) {
        counted_note(COUNTED_WORD(free), "free");
    }
    commitlog_fault_os(machine)->free(os, ptr);
}

static inline void counted_sleep_ns(COUNTED_OS, int64_t ns)
{
    counted_note(COUNTED_WORD(sleep_ns), "sleep_ns");
    commitlog_fault_os(machine)->sleep_ns(os, ns);
}

/* Every function of the machine's table has one here, or it fails. */
static inline void counted_fill(void)
{
    counted = (struct commitlog_os){
        .ctx = commitlog_fault_os(machine)->ctx,
        .alloc = counted_alloc,
        .free = counted_free,
        .open_dir = counted_open_dir,
        .open_at = counted_open_at,
        .close = counted_close,
        .pread = counted_pread,
        .next_data = counted_next_data,
        .next_hole = counted_next_hole,
        .pwrite = counted_pwrite,
        .pwritev = counted_pwritev,
        .fdatasync = counted_fdatasync,
        .fsync = counted_fsync,
        .is_written = counted_is_written,
        .fallocate = counted_fallocate,
        .ftruncate = counted_ftruncate,
        .stat_fd = counted_stat_fd,
        .stat_at = counted_stat_at,
        .fs_info = counted_fs_info,
        .set_nocow = counted_set_nocow,
        .rename_at = counted_rename_at,
        .unlink_at = counted_unlink_at,
        .rmdir_at = counted_rmdir_at,
        .mkdir_at = counted_mkdir_at,
        .mkdir_path = counted_mkdir_path,
        .list_dir = counted_list_dir,
        .write_back = counted_write_back,
        .drop_cache = counted_drop_cache,
        .lock_file = counted_lock_file,
        .unlock_file = counted_unlock_file,
        .memory_file = counted_memory_file,
        .tmpfs_dir = counted_tmpfs_dir,
        .map = counted_map,
        .map_twice = counted_map_twice,
        .unmap = counted_unmap,
        .protect = counted_protect,
        .advise = counted_advise,
        .lock_pages = counted_lock_pages,
        .unlock_pages = counted_unlock_pages,
        .persist = counted_persist,
        .futex_wait = counted_futex_wait,
        .futex_wake = counted_futex_wake,
        .eventfd_create = counted_eventfd_create,
        .eventfd_signal = counted_eventfd_signal,
        .eventfd_drain = counted_eventfd_drain,
        .clock_wall_ns = counted_clock_wall_ns,
        .clock_mono_ns = counted_clock_mono_ns,
        .sleep_ns = counted_sleep_ns,
        .thread_start = counted_thread_start,
        .thread_join = counted_thread_join,
        .random = counted_random,
        .boot_id = counted_boot_id,
        .pid = counted_pid,
        .uid = counted_uid,
        .pid_start = counted_pid_start,
        .limit = counted_limit,
        .page_size = counted_page_size,
        .cpu_count = counted_cpu_count,
    };
    const uint8_t *mine = (const uint8_t *)&counted;
    const uint8_t *below = (const uint8_t *)commitlog_fault_os(machine);
    ck_assert_uint_eq(COUNTED_WORD(ctx), 0);
    for (size_t at = sizeof(void *); at < sizeof(counted); at += sizeof(void *)) {
        const void *const none = NULL;
        ck_assert(memcmp(mine + at, &none, sizeof(none)) != 0);
        ck_assert(memcmp(mine + at, below + at, sizeof(none)) != 0);
    }
}

#endif
