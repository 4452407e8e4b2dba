/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_linux_flush.c -- fdatasync and fsync, and whether their success can be believed. See os.h.
 *
 * A file system that gives up while it flushes may call the flush a success (Linux 6.18,
 * tests/powercut/sync.sh shows it on bare files): the transaction that the flush stands on is torn
 * down by another thread's failure, so there is nothing left to wait for, and nobody looks again.
 * On xfs it is the log that shuts down, on ext4 the journal that aborts. What was written lies in
 * extents that the disk still knows as never written, and reads as zeros after a power cut. But
 * before it was torn down the file system has been marked as dead, so asking afterwards is enough:
 *
 *   xfs: any read, also of nothing, is refused with EIO, and so is fstat;
 *   ext4: any change is refused with EROFS as it begins, also one that then has nothing to change,
 *       as to remove an attribute that the file has not. (To set a time makes the inode dirty, and
 *       where there is no journal the next fdatasync writes that out, too: a third slower.) Who may
 *       not, or has no attributes, sets a time all the same: that is not told, but marks the file
 *       system, and then a write of nothing is refused;
 *   btrfs: any write, also of nothing, is refused with EROFS.
 *
 * Invariants: 1. a flush is one system call repeated while it fails with EINTR; 2. after one that
 *       succeeded nothing is flushed again: the questions move no data and wait for no device;
 *       3. only EIO and EROFS are answers, whatever else keeps a question from being asked is not.
 * Threads and locks: none.
 * Happy path: fdatasync, fstatfs, one to three questions: some microseconds.
 * Failure modes: negative errno.
 */
#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "os/os_linux.h"

/* 0, or the negative errno by which the file system says that it is dead. */
static int flush_answer(int64_t rc)
{
    return rc < 0 && (errno == EIO || errno == EROFS) ? -errno : 0;
}

static int flush_ask_xfs(int fd)
{
    char none;
    struct stat found;
    CLG_ASSERT(fd >= 0);
    /* Not fstat if it can be helped: once a time was seen, the next write has to record another. */
    if (pread(fd, &none, 0, 0) == 0) {
        return 0;
    }
    int rc = flush_answer(-1);
    return rc != 0 ? rc : flush_answer(fstat(fd, &found)); /* a directory */
}

static int flush_ask_ext4(int fd)
{
    CLG_ASSERT(fd >= 0);
    if (fremovexattr(fd, "user.commitlog.none") == 0 || errno == ENODATA) {
        return 0;
    }
    int rc = flush_answer(-1);
    if (rc == 0) {
        rc = flush_answer(futimens(fd, NULL));
    }
    if (rc != 0 || pwrite(fd, "", 0, 0) == 0) {
        return rc;
    }
    rc = flush_answer(-1);
    return rc != 0 ? rc : flush_answer(futimens(fd, NULL)); /* a directory */
}

/* After a flush that succeeded: is the file system still there that said so? */
static int flush_ask(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0) {
        return flush_answer(-1);
    }
    switch (clg_linux_fs_type((uint32_t)fs.f_type)) {
    case CLG_OS_FS_EXT:
        return flush_ask_ext4(fd);
    case CLG_OS_FS_XFS:
        return flush_ask_xfs(fd);
    case CLG_OS_FS_BTRFS:
        return flush_answer(pwrite(fd, "", 0, 0));
    case CLG_OS_FS_TMPFS:
    case CLG_OS_FS_OTHER:
        break;
    }
    return 0;
}

int clg_linux_fdatasync(const struct commitlog_os *os, int fd)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    int rc;
    /* EINTR says that nothing was decided yet, unlike EIO, which is never tried again. */
    do {
        rc = fdatasync(fd);
    } while (rc < 0 && errno == EINTR);
    return rc == 0 ? flush_ask(fd) : -errno;
}

int clg_linux_fsync(const struct commitlog_os *os, int fd)
{
    (void)os;
    CLG_ASSERT(fd >= 0);
    int rc;
    do {
        rc = fsync(fd);
    } while (rc < 0 && errno == EINTR);
    return rc == 0 ? flush_ask(fd) : -errno;
}

#define FLUSH_EXTENTS 32u

/* How far from `at` on the blocks are the file's own and written, by one question. */
static uint64_t flush_written_to(int fd, uint64_t at, uint64_t end)
{
    union {
        struct fiemap map;
        uint8_t room[sizeof(struct fiemap) + FLUSH_EXTENTS * sizeof(struct fiemap_extent)];
    } asked;
    CLG_ASSERT(at < end);
    memset(&asked, 0, sizeof(asked));
    asked.map.fm_start = at;
    asked.map.fm_length = end - at;
    asked.map.fm_extent_count = FLUSH_EXTENTS;
    if (ioctl(fd, FS_IOC_FIEMAP, &asked.map) != 0) {
        return at;
    }
    CLG_ASSERT(asked.map.fm_mapped_extents <= FLUSH_EXTENTS);
    for (uint32_t i = 0; i < asked.map.fm_mapped_extents; i++) {
        struct fiemap_extent extent;
        memcpy(&extent, asked.room + sizeof(struct fiemap) + i * sizeof(extent), sizeof(extent));
        uint32_t plain = FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_MERGED;
        if (extent.fe_logical > at || (extent.fe_flags & ~plain) != 0) {
            break;
        }
        at = clg_max_u64(at, extent.fe_logical + extent.fe_length);
    }
    return clg_min_u64(at, end);
}

/* Only where the meaning of the answer is known: what is on the disk, once it was flushed. */
int clg_linux_is_written(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size)
{
    (void)os;
    struct statfs fs;
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(at <= INT64_MAX && size <= INT64_MAX);
    enum clg_os_fs type =
        fstatfs(fd, &fs) < 0 ? CLG_OS_FS_OTHER : clg_linux_fs_type((uint32_t)fs.f_type);
    if (type != CLG_OS_FS_EXT && type != CLG_OS_FS_XFS) {
        return 0;
    }
    uint64_t end = at + size;
    for (uint64_t next = at; at < end; at = next) {
        next = flush_written_to(fd, at, end);
        if (next == at) {
            return 0;
        }
    }
    return 1;
}
