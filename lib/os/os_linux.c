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

#include "base/invariant.h"

void *clg_linux_alloc(const struct commitlog_os *os, size_t bytes)
{
    (void)os;
    CLG_ASSERT(bytes > 0);
    if (bytes > SIZE_MAX - CLG_CACHE_LINE) {
        return NULL;
    }
    size_t rounded = (size_t)clg_align_up(bytes, CLG_CACHE_LINE);
    void *ptr = aligned_alloc(CLG_CACHE_LINE, rounded);
    if (ptr != NULL) {
        memset(ptr, 0, rounded);
    }
    CLG_ASSERT(clg_is_aligned((uintptr_t)ptr, CLG_CACHE_LINE));
    return ptr;
}

void clg_linux_free(const struct commitlog_os *os, void *ptr)
{
    (void)os;
    free(ptr);
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
    .is_pmem = clg_pmem_is_pmem,
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
