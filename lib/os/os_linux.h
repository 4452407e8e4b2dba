/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux.h -- the functions behind the default table; only for the os_linux family.
 *
 * Owns: nothing. os_linux_file.c, _flush.c, _dir.c, _map.c, _wait.c, _host.c, _group.c and
 *       os_pmem.c define these, os_linux.c puts them into the table.
 * Invariants: signatures and contracts are those of os.h; none keeps state.
 * Threads and locks: any thread.
 * Failure modes: negative errno.
 */
#ifndef CLG_OS_OS_LINUX_H
#define CLG_OS_OS_LINUX_H

#include "os/os.h"

void *clg_linux_alloc(const struct commitlog_os *os, size_t bytes);
void clg_linux_free(const struct commitlog_os *os, void *ptr);

/* Resolve the directories in front of the last component of a name, none of which may be a link.
 * Returns a descriptor to give back to clg_linux_parent_close, *leaf points into name. */
int clg_linux_parent_open(int dirfd, const char *name, const char **leaf);
void clg_linux_parent_close(int dirfd, int parent);

/* The same description as another descriptor, if this one is 0, 1 or 2; `fd` is closed then. Where
 * a program was started without those, whatever it, or a library of its, writes as its output or
 * its errors would be written over the beginning of the file that got the number. */
int clg_linux_above_standard(int fd);
int clg_linux_open_dir(const struct commitlog_os *os, const char *path);
int clg_linux_open_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t flags,
                      uint32_t mode);
/* As open_at for kernels without openat2: component by component. */
int clg_linux_open_at_walk(int dirfd, const char *name, uint32_t flags, uint32_t mode);
int clg_linux_close(const struct commitlog_os *os, int fd);
int64_t clg_linux_pread(const struct commitlog_os *os, int fd, void *buf, size_t size, uint64_t at);
int64_t clg_linux_next_data(const struct commitlog_os *os, int fd, uint64_t at);
int64_t clg_linux_next_hole(const struct commitlog_os *os, int fd, uint64_t at);
int64_t clg_linux_pwrite(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                         uint64_t at);
int64_t clg_linux_pwritev(const struct commitlog_os *os, int fd, const struct clg_piece *pieces,
                          size_t count, uint64_t at);
int clg_linux_fdatasync(const struct commitlog_os *os, int fd);
int clg_linux_fsync(const struct commitlog_os *os, int fd);
int clg_linux_is_written(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size);
int clg_linux_fallocate(const struct commitlog_os *os, int fd, enum clg_os_fallocate_mode mode,
                        uint64_t at, uint64_t size);
int clg_linux_ftruncate(const struct commitlog_os *os, int fd, uint64_t size);
int clg_linux_write_back(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size,
                         bool wait);
int clg_linux_drop_cache(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size);
int clg_linux_lock_file(const struct commitlog_os *os, int fd, bool exclusive);
int clg_linux_unlock_file(const struct commitlog_os *os, int fd);
int clg_linux_memory_file(const struct commitlog_os *os, const char *name, uint64_t size);

int clg_linux_stat_fd(const struct commitlog_os *os, int fd, struct clg_os_stat *out);
int clg_linux_stat_at(const struct commitlog_os *os, int dirfd, const char *name,
                      struct clg_os_stat *out);
/* By f_type of statfs. */
enum clg_os_fs clg_linux_fs_type(uint32_t magic);
int clg_linux_fs_info(const struct commitlog_os *os, int fd, struct clg_os_fs_info *out);
int clg_linux_set_nocow(const struct commitlog_os *os, int fd);
int clg_linux_rename_at(const struct commitlog_os *os, int from_dirfd, const char *from,
                        int to_dirfd, const char *to, bool noreplace);
int clg_linux_unlink_at(const struct commitlog_os *os, int dirfd, const char *name);
int clg_linux_rmdir_at(const struct commitlog_os *os, int dirfd, const char *name);
int clg_linux_mkdir_at(const struct commitlog_os *os, int dirfd, const char *name, uint32_t mode);
int clg_linux_mkdir_path(const struct commitlog_os *os, const char *path, uint32_t mode);
int clg_linux_list_dir(const struct commitlog_os *os, int dirfd, clg_os_list_fn fn, void *fn_ctx);
int clg_linux_tmpfs_dir(const struct commitlog_os *os, char *path, size_t path_size);

int clg_linux_map(const struct commitlog_os *os, int fd, uint64_t at, size_t size, uint32_t prot,
                  uint32_t flags, void **out);
int clg_linux_map_twice(const struct commitlog_os *os, int fd, uint64_t at, size_t size,
                        uint32_t prot, void **out);
int clg_linux_unmap(const struct commitlog_os *os, void *addr, size_t size);
int clg_linux_protect(const struct commitlog_os *os, void *addr, size_t size, uint32_t prot);
int clg_linux_advise(const struct commitlog_os *os, void *addr, size_t size,
                     enum clg_os_advice advice);
int clg_linux_lock_pages(const struct commitlog_os *os, const void *addr, size_t size);
int clg_linux_unlock_pages(const struct commitlog_os *os, const void *addr, size_t size);
int clg_pmem_persist(const struct commitlog_os *os, const void *addr, size_t size);

int clg_linux_futex_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                         uint32_t expected, int64_t timeout_ns, bool shared);
int clg_linux_futex_wake(const struct commitlog_os *os, const _Atomic uint32_t *word, int32_t count,
                         bool shared);
int clg_linux_eventfd_create(const struct commitlog_os *os);
int clg_linux_eventfd_signal(const struct commitlog_os *os, int fd);
int clg_linux_eventfd_drain(const struct commitlog_os *os, int fd);
int64_t clg_linux_clock_wall_ns(const struct commitlog_os *os);
int64_t clg_linux_clock_mono_ns(const struct commitlog_os *os);
void clg_linux_sleep_ns(const struct commitlog_os *os, int64_t ns);
int clg_linux_thread_start(const struct commitlog_os *os, void (*fn)(void *arg), void *arg,
                           const char *name, uint64_t *handle);
int clg_linux_thread_join(const struct commitlog_os *os, uint64_t handle);

int clg_linux_random(const struct commitlog_os *os, void *buf, size_t size);
int clg_linux_boot_id(const struct commitlog_os *os, uint8_t id[16]);
int64_t clg_linux_pid(const struct commitlog_os *os);
int64_t clg_linux_uid(const struct commitlog_os *os);
int clg_linux_pid_start(const struct commitlog_os *os, int64_t pid, uint64_t *start);
int clg_linux_limit(const struct commitlog_os *os, enum clg_os_limit which, uint64_t *out);
/* A whole small file as text; what does not fit is cut. 0 or a negative errno. */
int clg_linux_read_text(const char *path, char *text, size_t text_size);
/* Bytes that the control groups leave to what the kernel cannot take back; UINT64_MAX: no limit. */
uint64_t clg_linux_group_room(void);
size_t clg_linux_page_size(const struct commitlog_os *os);
int clg_linux_cpu_count(const struct commitlog_os *os);

#endif
