/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os.h -- the operating system as one table of functions: `struct commitlog_os`.
 *
 * Owns: the only way by which the library allocates, makes a system call, reads a clock, sleeps,
 *       starts a thread or calls libpmem.
 * Invariants: 1. every function takes the table first, so that a layer that injects faults can
 *       keep its state in `ctx`, call the table it wraps, and change any answer; 2. results are
 *       >= 0 or a negative errno, never errno itself; 3. EINTR never comes out of a file
 *       operation; 4. a short read or write does: hiding it would hide a device that is full, so
 *       the loops are the clg_os_*_all helpers; 5. descriptors are close-on-exec and no call
 *       follows a symbolic link below the store's directory; 6. outputs are untouched on failure.
 * Threads and locks: any thread; the default table is constant; its wall clock keeps what it was
 *       told last, for each thread.
 * Happy path: clg_os_default() -> open_dir -> open_at -> pwrite -> fdatasync -> close.
 * Failure modes: the errno says which; a caller that must not go on after a failed flush latches
 *       it (never flushes again): the table does not.
 */
#ifndef CLG_OS_OS_H
#define CLG_OS_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/bytes.h"

struct commitlog_os;

/* Waits without end. Everywhere a timeout or deadline is taken. */
#define CLG_OS_FOREVER INT64_MAX

#define CLG_OS_NS_PER_S INT64_C(1000000000)
#define CLG_OS_NS_PER_MS INT64_C(1000000)

enum clg_os_open_flag {
    CLG_OS_OPEN_READ = 1,
    CLG_OS_OPEN_WRITE = 2,
    CLG_OS_OPEN_CREATE = 4,
    CLG_OS_OPEN_EXCLUSIVE = 8, /* with CREATE: -EEXIST if the name is taken, by anything */
    CLG_OS_OPEN_TRUNCATE = 16,
    CLG_OS_OPEN_DIRECTORY = 32,
    /* Writes go past the cache, and what it has of their range is dropped, also where it is mapped.
     * Buffers, offsets and sizes in whole pages; -EINVAL, from the open or from a write, where the
     * file system cannot. */
    CLG_OS_OPEN_DIRECT = 64
};

enum clg_os_fallocate_mode {
    CLG_OS_FALLOCATE_EXTEND = 0,    /* reserve blocks; grow the size */
    CLG_OS_FALLOCATE_KEEP_SIZE = 1, /* reserve blocks; leave the size */
    CLG_OS_FALLOCATE_PUNCH = 2,     /* give blocks back; the range reads as zeros */
    CLG_OS_FALLOCATE_ZERO = 3       /* range reads as zeros, blocks stay reserved */
};

enum clg_os_prot { CLG_OS_PROT_NONE = 0, CLG_OS_PROT_READ = 1, CLG_OS_PROT_WRITE = 2 };

enum clg_os_map_flag {
    CLG_OS_MAP_SHARED = 1,
    CLG_OS_MAP_PRIVATE = 2,
    CLG_OS_MAP_ANONYMOUS = 4, /* fd is ignored, bytes begin as zeros */
    CLG_OS_MAP_NORESERVE = 8,
    CLG_OS_MAP_SYNC = 16, /* only where the file is on DAX: -EOPNOTSUPP elsewhere */
    CLG_OS_MAP_POPULATE = 32
};

enum clg_os_advice {
    CLG_OS_ADVISE_POPULATE_READ,
    CLG_OS_ADVISE_POPULATE_WRITE, /* -EINVAL before Linux 5.14 */
    CLG_OS_ADVISE_DONTFORK,
    CLG_OS_ADVISE_WIPEONFORK,
    CLG_OS_ADVISE_DONTNEED,
    CLG_OS_ADVISE_WILLNEED,
    CLG_OS_ADVISE_SEQUENTIAL,
    CLG_OS_ADVISE_RANDOM,
    CLG_OS_ADVISE_DONTDUMP,
    CLG_OS_ADVISE_HUGE /* before the first touch; what alloc gave of 2 MiB or more may be advised it
                        */
};

enum clg_os_type { CLG_OS_FILE, CLG_OS_DIRECTORY, CLG_OS_SYMLINK, CLG_OS_OTHER };

struct clg_os_stat {
    uint64_t size_bytes;
    uint64_t allocated_bytes;
    uint64_t device;
    uint64_t inode;
    uint64_t links;
    int64_t mtime_ns;
    uint32_t mode; /* permission bits only */
    uint32_t uid;
    enum clg_os_type type;
};

enum clg_os_fs { CLG_OS_FS_OTHER, CLG_OS_FS_EXT, CLG_OS_FS_XFS, CLG_OS_FS_BTRFS, CLG_OS_FS_TMPFS };

struct clg_os_fs_info {
    enum clg_os_fs type;
    bool dax;       /* this very file or directory is accessed without the page cache */
    bool nocow;     /* FS_NOCOW_FL is set on it */
    bool network;   /* NFS, SMB, Ceph, FUSE: shared maps and locks mean less there */
    uint64_t magic; /* f_type, for messages */
    uint64_t total_bytes;
    uint64_t free_bytes; /* for an unprivileged user */
};

enum clg_os_limit { CLG_OS_LIMIT_FILE_SIZE, CLG_OS_LIMIT_MEMLOCK, CLG_OS_LIMIT_OPEN_FILES };

/* Called once per name, without "." and "..". Non-zero stops the listing and is its result. */
typedef int (*clg_os_list_fn)(void *ctx, const char *name, enum clg_os_type type);

struct commitlog_os {
    /* State of a layer that wraps another table; NULL in the default one. */
    void *ctx;

    /* Memory. alloc gives zeroed bytes, aligned to 64, or NULL; free(NULL) is fine. */
    void *(*alloc)(const struct commitlog_os *os, size_t bytes);
    void (*free)(const struct commitlog_os *os, void *ptr);

    /* Files. open_dir takes a path (links in it are the caller's business); all the other names are
     * relative to a directory descriptor, have no "..", and no component may be a link: -ELOOP.
     * flags: enum clg_os_open_flag. Both return the descriptor. */
    int (*open_dir)(const struct commitlog_os *os, const char *path);
    int (*open_at)(const struct commitlog_os *os, int dirfd, const char *name, uint32_t flags,
                   uint32_t mode);
    int (*close)(const struct commitlog_os *os, int fd);
    int64_t (*pread)(const struct commitlog_os *os, int fd, void *buf, size_t size, uint64_t at);
    /* The first offset at or behind `at` where bytes may be other than zero; INT64_MAX: none. A
     * hint that saves reading what a file system knows to be zero: `at` itself is always right. */
    int64_t (*next_data)(const struct commitlog_os *os, int fd, uint64_t at);
    /* Where next_data is of use again: the first offset at or behind `at` that may lie in such a
     * hole; INT64_MAX: none. */
    int64_t (*next_hole)(const struct commitlog_os *os, int fd, uint64_t at);
    int64_t (*pwrite)(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                      uint64_t at);
    int64_t (*pwritev)(const struct commitlog_os *os, int fd, const struct clg_piece *pieces,
                       size_t count, uint64_t at);
    /* Success is that of the file system too: one that gave up meanwhile is an error. */
    int (*fdatasync)(const struct commitlog_os *os, int fd);
    int (*fsync)(const struct commitlog_os *os, int fd); /* of a directory too */
    /* Behind a flush that succeeded. 1: no block of [at, at+size) is one that the file system knows
     * as never written, so that it would read as zeros after a power cut, whatever the flush said;
     * 0: one is, or it cannot be told here. */
    int (*is_written)(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size);
    int (*fallocate)(const struct commitlog_os *os, int fd, enum clg_os_fallocate_mode mode,
                     uint64_t at, uint64_t size);
    int (*ftruncate)(const struct commitlog_os *os, int fd, uint64_t size);
    int (*stat_fd)(const struct commitlog_os *os, int fd, struct clg_os_stat *out);
    int (*stat_at)(const struct commitlog_os *os, int dirfd, const char *name,
                   struct clg_os_stat *out);
    int (*fs_info)(const struct commitlog_os *os, int fd, struct clg_os_fs_info *out);
    int (*set_nocow)(const struct commitlog_os *os, int fd); /* only works while empty */
    /* noreplace: -EEXIST if the new name is taken, without a race. Where the file system cannot do
     * that at once, the old name may stay beside the new one. */
    int (*rename_at)(const struct commitlog_os *os, int from_dirfd, const char *from, int to_dirfd,
                     const char *to, bool noreplace);
    int (*unlink_at)(const struct commitlog_os *os, int dirfd, const char *name);
    int (*rmdir_at)(const struct commitlog_os *os, int dirfd, const char *name);
    int (*mkdir_at)(const struct commitlog_os *os, int dirfd, const char *name, uint32_t mode);
    int (*mkdir_path)(const struct commitlog_os *os, const char *path, uint32_t mode);
    int (*list_dir)(const struct commitlog_os *os, int dirfd, clg_os_list_fn fn, void *fn_ctx);
    /* Write back [at, at+size) and, with wait, until it is done. Pacing only: not a flush. */
    int (*write_back)(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size, bool wait);
    /* Drop clean cached pages of the range. A hint. */
    int (*drop_cache)(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size);
    /* A lock of the open file description; -EAGAIN if another one holds it. */
    int (*lock_file)(const struct commitlog_os *os, int fd, bool exclusive);
    int (*unlock_file)(const struct commitlog_os *os, int fd);
    /* A file without a name, in memory, of the given size. Returns the descriptor. */
    int (*memory_file)(const struct commitlog_os *os, const char *name, uint64_t size);
    /* A directory on tmpfs where the live area may be put: "/dev/shm". -ENOENT if there is none. */
    int (*tmpfs_dir)(const struct commitlog_os *os, char *path, size_t path_size);

    /* Maps. prot: enum clg_os_prot, flags: enum clg_os_map_flag, advice applies to whole pages. */
    int (*map)(const struct commitlog_os *os, int fd, uint64_t at, size_t size, uint32_t prot,
               uint32_t flags, void **out);
    /* [at, at+size) shared, twice in a row: byte i and byte i+size are the same memory. Unmapped
     * by unmap(os, *out, 2 * size). */
    int (*map_twice)(const struct commitlog_os *os, int fd, uint64_t at, size_t size, uint32_t prot,
                     void **out);
    int (*unmap)(const struct commitlog_os *os, void *addr, size_t size);
    int (*protect)(const struct commitlog_os *os, void *addr, size_t size, uint32_t prot);
    int (*advise)(const struct commitlog_os *os, void *addr, size_t size,
                  enum clg_os_advice advice);
    int (*lock_pages)(const struct commitlog_os *os, const void *addr, size_t size);
    int (*unlock_pages)(const struct commitlog_os *os, const void *addr, size_t size);
    /* Persistent memory: makes stores into a map of CLG_OS_MAP_SYNC durable without a system call.
     * -EOPNOTSUPP: it was built without libpmem. */
    int (*persist)(const struct commitlog_os *os, const void *addr, size_t size);

    /* Waiting. shared: the word is in memory shared between processes. timeout_ns is relative;
     * 0: woken, or no reason at all (look again); -EAGAIN: *word was not expected; -ETIMEDOUT. */
    int (*futex_wait)(const struct commitlog_os *os, const _Atomic uint32_t *word,
                      uint32_t expected, int64_t timeout_ns, bool shared);
    /* Returns how many were woken. count INT32_MAX: all. */
    int (*futex_wake)(const struct commitlog_os *os, const _Atomic uint32_t *word, int32_t count,
                      bool shared);
    int (*eventfd_create)(const struct commitlog_os *os); /* returns the descriptor */
    int (*eventfd_signal)(const struct commitlog_os *os, int fd);
    int (*eventfd_drain)(const struct commitlog_os *os, int fd); /* 1: was signalled, 0: was not */

    /* Time. */
    int64_t (*clock_wall_ns)(const struct commitlog_os *os);
    int64_t (*clock_mono_ns)(const struct commitlog_os *os);
    void (*sleep_ns)(const struct commitlog_os *os, int64_t ns);

    /* Threads, with every signal blocked and a name of at most 15 bytes. */
    int (*thread_start)(const struct commitlog_os *os, void (*fn)(void *arg), void *arg,
                        const char *name, uint64_t *handle);
    int (*thread_join)(const struct commitlog_os *os, uint64_t handle);

    /* Identity and limits. */
    int (*random)(const struct commitlog_os *os, void *buf, size_t size);
    int (*boot_id)(const struct commitlog_os *os, uint8_t id[16]);
    int64_t (*pid)(const struct commitlog_os *os);
    int64_t (*uid)(const struct commitlog_os *os); /* effective */
    /* Start time of a process in clock ticks since boot: with the pid and the boot id it names a
     * process for ever. -ESRCH if it is gone (a zombie is gone). */
    int (*pid_start)(const struct commitlog_os *os, int64_t pid, uint64_t *start);
    /* The soft limit; UINT64_MAX for none. */
    int (*limit)(const struct commitlog_os *os, enum clg_os_limit which, uint64_t *out);
    size_t (*page_size)(const struct commitlog_os *os);
    int (*cpu_count)(const struct commitlog_os *os);
};

/* The real one: constant, nothing to free. */
const struct commitlog_os *clg_os_default(void);

/* All the bytes or an error. Write: 0 bytes written is -EIO. Read: the end of the file before the
 * end of the buffer is -ENODATA; what was read up to there is in the buffer. */
CLG_MUST_CHECK int clg_os_pwrite_all(const struct commitlog_os *os, int fd, const void *buf,
                                     size_t size, uint64_t at);
CLG_MUST_CHECK int clg_os_pread_all(const struct commitlog_os *os, int fd, void *buf, size_t size,
                                    uint64_t at);
/* As pread, but only short at the end of the file. Returns the bytes read. */
CLG_MUST_CHECK int64_t clg_os_pread_most(const struct commitlog_os *os, int fd, void *buf,
                                         size_t size, uint64_t at);
CLG_MUST_CHECK int clg_os_pwritev_all(const struct commitlog_os *os, int fd,
                                      const struct clg_piece *pieces, size_t count, uint64_t at);

/* Does this failure of a read, a negative errno, say that the bytes are not to be had: the device
 * does not give them, or the file ends before? Every other one (descriptors, memory, permission)
 * says nothing about the data: nothing may be cut or called damaged for it. */
bool clg_os_is_data_error(int rc);

/* count * size zeroed bytes; NULL on overflow too. */
CLG_MUST_CHECK void *clg_os_alloc_array(const struct commitlog_os *os, size_t count, size_t size);

/* A larger array with the old items and zeros behind them; the old one is freed. NULL: the old one
 * is as it was. */
CLG_MUST_CHECK void *clg_os_grow_array(const struct commitlog_os *os, void *old, size_t old_count,
                                       size_t new_count, size_t size);

/* Monotonic deadline from now; saturates at CLG_OS_FOREVER, which a negative timeout means too. */
int64_t clg_os_deadline(const struct commitlog_os *os, int64_t timeout_ns);

/* For a file that is still empty and will be written to again and again: on btrfs its bytes are to
 * be replaced where they lie, or replacing them needs room. *out (may be NULL) as fs_info has it.
 */
void clg_os_keep_in_place(const struct commitlog_os *os, int fd, struct clg_os_fs_info *out);

/* Time left: 0 if passed, CLG_OS_FOREVER for an endless one. */
int64_t clg_os_left(const struct commitlog_os *os, int64_t deadline_mono_ns);

/* -1 in *fd means closed already; sets it to -1. Result of close, which nobody can act on: for a
 * file that was written, the flush before it was the one to check. */
void clg_os_close_fd(const struct commitlog_os *os, int *fd);

#endif
