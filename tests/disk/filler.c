/* SPDX-License-Identifier: BSD-2-Clause */
/* filler.c -- the other files on the disk; see filler.h. */
#define _GNU_SOURCE
#include "filler.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { BTRFS_OWN_BYTES = 12 * 1024 * 1024 };
enum { PIECE_BYTES = 1024 * 1024, BLOCK_BYTES = 4096, PATIENCE_MS = 10000 };

static void filler_space(const struct filler *filler, struct statvfs *out)
{
    CHECKF(statvfs(filler->path, out) == 0, "%s: %s", filler->path, strerror(errno));
}

static uint64_t filler_free_bytes(const struct filler *filler)
{
    struct statvfs space;
    filler_space(filler, &space);
    return (uint64_t)space.f_bavail * space.f_frsize;
}

static bool is_full(int number)
{
    return number == ENOSPC || number == EDQUOT;
}

/* The next file; -1 when there is no room for one. */
static int filler_open(struct filler *filler)
{
    char path[DIRS_PATH_MAX];
    int fd = -1;
    CHECK(snprintf(path, sizeof path, "%s/%u", filler->path, filler->files) < (int)sizeof path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    CHECKF(fd >= 0 || is_full(errno), "%s: %s", path, strerror(errno));
    filler->files += fd >= 0;
    return fd;
}

static void filler_sync(const struct filler *filler)
{
    int fd = open(filler->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    CHECK(fd >= 0 && (syncfs(fd) == 0 || is_full(errno)));
    close(fd);
}

void filler_begin(struct filler *filler, const char *path)
{
    memset(filler, 0, sizeof *filler);
    CHECK(snprintf(filler->path, sizeof filler->path, "%s", path) < (int)sizeof filler->path);
    CHECKF(mkdir(path, 0700) == 0 || errno == EEXIST, "%s: %s", path, strerror(errno));
}

/* Bytes, not reserved blocks: some file systems take back what was only reserved. */
static bool filler_write(int fd, size_t bytes)
{
    static uint8_t data[PIECE_BYTES];
    ssize_t done = 0;
    if (data[0] == 0)
        bytes_fill(data, sizeof data, 1); /* nothing that could be compressed or be a hole */
    done = write(fd, data, bytes);
    CHECKF(done > 0 || is_full(errno), "fill the disk: %s", strerror(errno));
    return done == (ssize_t)bytes;
}

/* btrfs counts as free what it keeps for itself, and counts late. */
void filler_leave(struct filler *filler, uint64_t bytes)
{
    struct statfs system;
    off_t at = 0;
    int fd = filler_open(filler);
    CHECK(fd >= 0 && fstatfs(fd, &system) == 0);
    if ((uint64_t)system.f_type == BTRFS_SUPER_MAGIC)
        bytes += BTRFS_OWN_BYTES;
    for (;;) {
        uint64_t free_now = filler_free_bytes(filler);
        off_t piece = 0;
        if (free_now <= bytes + PIECE_BYTES)
            break;
        piece = (off_t)((free_now - bytes) / 2);
        if (fallocate(fd, 0, at, piece) != 0) {
            CHECKF(is_full(errno) || errno == EOPNOTSUPP, "fallocate: %s", strerror(errno));
            if (is_full(errno) || !filler_write(fd, PIECE_BYTES))
                break;
        }
        at += piece;
        CHECK(fsync(fd) == 0);
        filler_sync(filler);
    }
    close(fd);
}

void filler_leave_inodes(struct filler *filler, uint64_t inodes)
{
    struct statvfs space;
    for (;;) {
        int fd = -1;
        filler_space(filler, &space);
        if (space.f_favail <= inodes || (fd = filler_open(filler)) < 0)
            return;
        close(fd);
    }
}

void filler_take_all(struct filler *filler, bool inodes)
{
    size_t bytes = inodes ? 0 : PIECE_BYTES;
    int fd = -1;
    filler_sync(filler); /* blocks that wait for their allocation count too */
    fd = inodes ? -1 : filler_open(filler);
    while (fd >= 0 && bytes >= BLOCK_BYTES) {
        if (!filler_write(fd, bytes)) {
            CHECK(fsync(fd) == 0 || is_full(errno));
            bytes /= 2;
        }
    }
    if (fd >= 0)
        close(fd);
    while (inodes && (fd = filler_open(filler)) >= 0)
        close(fd);
}

void filler_release(struct filler *filler)
{
    struct name_list list = dirs_list(filler->path, "");
    for (uint32_t i = 0; i < list.count; i++) {
        char path[DIRS_PATH_MAX];
        path_join(path, filler->path, list.names[i]);
        CHECKF(unlink(path) == 0, "%s: %s", path, strerror(errno));
    }
    names_free(&list);
    filler->files = 0;
    filler_sync(filler);
}
