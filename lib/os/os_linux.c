/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux.c -- the default table: Linux. See os.h.
 *
 * Invariants: constant; every member is set.
 * Threads and locks: none.
 * Happy path: clg_os_default().
 * Failure modes: none here.
 */
#include "os/os_linux.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/invariant.h"

/* In front of what alloc gives, on a cache line of its own. */
struct alloc_head {
    void *from;       /* of malloc, or of the map */
    size_t map_bytes; /* 0: of malloc */
};

/* Whole pages from here on: they come zeroed, so that only what is used is ever touched, which for
 * an array that is filled in any order may be little of it. A sanitizer sees what malloc gave. */
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define ALLOC_SANITIZED
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(ALLOC_SANITIZED)
#define ALLOC_MAP_MIN SIZE_MAX
#else
#define ALLOC_MAP_MIN ((size_t)128 << 10)
#endif
#define ALLOC_HUGE_PAGE ((size_t)2 << 20)

static void *alloc_map(size_t bytes)
{
    void *from = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return from == MAP_FAILED ? NULL : from;
}

/* What could fill a huge page begins where one would, and its head lies in a page before, so that
 * nothing of it has been touched when the caller advises CLG_OS_ADVISE_HUGE. */
void *clg_linux_alloc(const struct commitlog_os *os, size_t bytes)
{
    (void)os;
    CLG_ASSERT(bytes > 0);
    if (bytes > SIZE_MAX - 2 * ALLOC_HUGE_PAGE) {
        return NULL;
    }
    size_t align = bytes >= ALLOC_HUGE_PAGE ? ALLOC_HUGE_PAGE : CLG_CACHE_LINE;
    size_t whole = (size_t)clg_align_up(bytes, CLG_CACHE_LINE) + CLG_CACHE_LINE + align;
    struct alloc_head head = {.map_bytes = bytes >= ALLOC_MAP_MIN ? whole : 0};
    head.from = head.map_bytes > 0 ? alloc_map(whole) : calloc(1, whole);
    if (head.from == NULL) {
        return NULL;
    }
    uintptr_t skip =
        clg_align_up((uintptr_t)head.from + CLG_CACHE_LINE, align) - (uintptr_t)head.from;
    uint8_t *at = clg_at(head.from, skip);
    CLG_ASSERT(skip + bytes <= whole);
    memcpy(at - CLG_CACHE_LINE, &head, sizeof(head));
    return at;
}

void clg_linux_free(const struct commitlog_os *os, void *ptr)
{
    struct alloc_head head;
    (void)os;
    if (ptr == NULL) {
        return;
    }
    CLG_ASSERT(clg_is_aligned((uintptr_t)ptr, CLG_CACHE_LINE));
    memcpy(&head, (uint8_t *)ptr - CLG_CACHE_LINE, sizeof(head));
    if (head.map_bytes == 0) {
        free(head.from);
    } else {
        /* A failing munmap leaves the pages where they are: a leak, nothing worse. */
        (void)munmap(head.from, head.map_bytes);
    }
}

static const struct commitlog_os linux_table = {
    .ctx = NULL,
    .alloc = clg_linux_alloc,
    .free = clg_linux_free,
    .open_dir = clg_linux_open_dir,
    .open_at = clg_linux_open_at,
    .close = clg_linux_close,
    .pread = clg_linux_pread,
    .next_data = clg_linux_next_data,
    .next_hole = clg_linux_next_hole,
    .pwrite = clg_linux_pwrite,
    .pwritev = clg_linux_pwritev,
    .fdatasync = clg_linux_fdatasync,
    .fsync = clg_linux_fsync,
    .is_written = clg_linux_is_written,
    .fallocate = clg_linux_fallocate,
    .ftruncate = clg_linux_ftruncate,
    .stat_fd = clg_linux_stat_fd,
    .stat_at = clg_linux_stat_at,
    .fs_info = clg_linux_fs_info,
    .set_nocow = clg_linux_set_nocow,
    .rename_at = clg_linux_rename_at,
    .unlink_at = clg_linux_unlink_at,
    .rmdir_at = clg_linux_rmdir_at,
    .mkdir_at = clg_linux_mkdir_at,
    .mkdir_path = clg_linux_mkdir_path,
    .list_dir = clg_linux_list_dir,
    .write_back = clg_linux_write_back,
    .drop_cache = clg_linux_drop_cache,
    .lock_file = clg_linux_lock_file,
    .unlock_file = clg_linux_unlock_file,
    .memory_file = clg_linux_memory_file,
    .tmpfs_dir = clg_linux_tmpfs_dir,
    .map = clg_linux_map,
    .map_twice = clg_linux_map_twice,
    .unmap = clg_linux_unmap,
    .protect = clg_linux_protect,
    .advise = clg_linux_advise,
    .lock_pages = clg_linux_lock_pages,
    .unlock_pages = clg_linux_unlock_pages,
    .persist = clg_pmem_persist,
    .futex_wait = clg_linux_futex_wait,
    .futex_wake = clg_linux_futex_wake,
    .eventfd_create = clg_linux_eventfd_create,
    .eventfd_signal = clg_linux_eventfd_signal,
    .eventfd_drain = clg_linux_eventfd_drain,
    .clock_wall_ns = clg_linux_clock_wall_ns,
    .clock_mono_ns = clg_linux_clock_mono_ns,
    .sleep_ns = clg_linux_sleep_ns,
    .thread_start = clg_linux_thread_start,
    .thread_join = clg_linux_thread_join,
    .random = clg_linux_random,
    .boot_id = clg_linux_boot_id,
    .pid = clg_linux_pid,
    .uid = clg_linux_uid,
    .pid_start = clg_linux_pid_start,
    .limit = clg_linux_limit,
    .page_size = clg_linux_page_size,
    .cpu_count = clg_linux_cpu_count,
};

const struct commitlog_os *clg_os_default(void)
{
    return &linux_table;
}
