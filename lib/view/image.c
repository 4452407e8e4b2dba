/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.c -- write, check and map one immutable view file. See image.h.
 *
 * Happy path: O_EXCL temporary -> write -> fsync -> rename -> fsync of the directory.
 * Failure modes: a temporary file left by a crash is removed and made again; any failing step
 *       removes what was made and is returned.
 */
#include "view/image.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"

#define IMAGE_PIECE_BYTES 16384u

int clg_image_alloc(const struct commitlog_os *os, uint64_t size, struct clg_image *out)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT(size > 0);
    uint8_t *bytes = (uint8_t *)os->alloc(os, (size_t)size);
    if (bytes == NULL) {
        return COMMITLOG_ENOMEM;
    }
    *out = (struct clg_image){.bytes = bytes, .size = size, .mapped = false};
    return 0;
}

void clg_image_free(const struct commitlog_os *os, struct clg_image *image)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT(image->bytes != NULL || image->size == 0);
    if (image->bytes != NULL && image->mapped) {
        /* A failing munmap leaves the pages where they are: a leak, nothing worse. */
        (void)os->unmap(os, image->bytes, (size_t)image->size);
    } else {
        os->free(os, image->bytes);
    }
    memset(image, 0, sizeof(*image));
}

/* The temporary name is ours alone: the store's lock says that nobody else is making it. */
static int image_create_temp(const struct commitlog_os *os, int dirfd, const char *temp_name,
                             uint32_t mode)
{
    CLG_ASSERT(dirfd >= 0);
    CLG_ASSERT(temp_name[0] != '\0');
    const uint32_t flags = CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE | CLG_OS_OPEN_EXCLUSIVE;
    int fd = os->open_at(os, dirfd, temp_name, flags, mode);
    if (fd == -EEXIST) {
        int rc = os->unlink_at(os, dirfd, temp_name);
        if (rc < 0 && rc != -ENOENT) {
            return rc;
        }
        fd = os->open_at(os, dirfd, temp_name, flags, mode);
    }
    return fd;
}

int clg_image_write(const struct commitlog_os *os, int dirfd, const char *name,
                    const char *temp_name, uint32_t mode, const struct clg_image *image,
                    struct commitlog_error *err)
{
    CLG_ASSERT(image->bytes != NULL);
    CLG_ASSERT(image->size > 0);
    int fd = image_create_temp(os, dirfd, temp_name, mode);
    if (fd < 0) {
        return clg_fail_os(err, fd, CLG_NO_POSITION, "create %s", temp_name);
    }
    if (image->in_place) {
        clg_os_keep_in_place(os, fd, NULL);
    }
    int rc = clg_os_pwrite_all(os, fd, image->bytes, (size_t)image->size, 0);
    if (rc >= 0) {
        rc = os->fsync(os, fd);
    }
    clg_os_close_fd(os, &fd);
    if (rc >= 0) {
        rc = os->rename_at(os, dirfd, temp_name, dirfd, name, false);
    }
    if (rc < 0) {
        /* The first failure is the one to report. */
        (void)os->unlink_at(os, dirfd, temp_name);
        return clg_fail_os(err, rc, CLG_NO_POSITION, "write %s", name);
    }
    rc = os->fsync(os, dirfd);
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "flush the directory of %s", name);
    }
    return 0;
}

int clg_image_file_open(const struct commitlog_os *os, int dirfd, const char *name,
                        struct clg_image_file *out)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT(name[0] != '\0');
    if (dirfd < 0) {
        return COMMITLOG_ENOTFOUND;
    }
    int fd = os->open_at(os, dirfd, name, CLG_OS_OPEN_READ, 0);
    if (fd < 0) {
        if (fd == -ELOOP) {
            return COMMITLOG_EDAMAGED;
        }
        return fd == -ENOENT ? COMMITLOG_ENOTFOUND : clg_error_from_errno(fd);
    }
    struct clg_os_stat stat;
    int rc = os->stat_fd(os, fd, &stat);
    if (rc < 0 || stat.type != CLG_OS_FILE || stat.size_bytes == 0) {
        clg_os_close_fd(os, &fd);
        return rc < 0 ? clg_error_from_errno(rc) : COMMITLOG_EDAMAGED;
    }
    *out = (struct clg_image_file){.os = os, .fd = fd, .size = stat.size_bytes};
    return 0;
}

void clg_image_file_close(struct clg_image_file *file)
{
    CLG_ASSERT(file->os != NULL);
    CLG_ASSERT(file->fd >= 0);
    clg_os_close_fd(file->os, &file->fd);
}

int clg_image_file_read(const struct clg_image_file *file, uint64_t at, void *buf, uint64_t bytes)
{
    CLG_ASSERT(file->fd >= 0);
    CLG_ASSERT(buf != NULL || bytes == 0);
    if (at > file->size || bytes > file->size - at) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = clg_os_pread_all(file->os, file->fd, buf, (size_t)bytes, at);
    if (rc < 0) {
        return rc == -ENODATA ? COMMITLOG_EDAMAGED : clg_error_from_errno(rc);
    }
    return 0;
}

/* All of it is read, for all of it is going to be verified: so a sector that does not read is an
 * error here, and not a signal there. */
static int image_touch(const struct clg_image_file *file, const struct clg_image *image)
{
    const struct commitlog_os *os = file->os;
    int rc = os->advise(os, image->bytes, (size_t)image->size, CLG_OS_ADVISE_POPULATE_READ);
    if (rc >= 0) {
        return 0;
    }
    if (rc == -EFAULT || rc == -EIO || rc == -EHWPOISON) {
        return COMMITLOG_EIO;
    }
    uint8_t piece[IMAGE_PIECE_BYTES]; /* not known to this kernel, or forbidden */
    rc = 0;
    for (uint64_t at = 0; rc == 0 && at < file->size; at += sizeof(piece)) {
        rc = clg_image_file_read(file, at, piece, clg_min_u64(sizeof(piece), file->size - at));
    }
    return rc;
}

int clg_image_file_map(const struct clg_image_file *file, struct clg_image *out)
{
    CLG_ASSERT(file->fd >= 0);
    CLG_ASSERT(file->size > 0);
    void *bytes = NULL;
    int rc = file->os->map(file->os, file->fd, 0, (size_t)file->size, CLG_OS_PROT_READ,
                           CLG_OS_MAP_SHARED, &bytes);
    if (rc < 0) {
        return clg_error_from_errno(rc);
    }
    *out = (struct clg_image){.bytes = (uint8_t *)bytes, .size = file->size, .mapped = true};
    rc = image_touch(file, out);
    if (rc != 0) {
        clg_image_free(file->os, out);
        memset(out, 0, sizeof(*out));
    }
    return rc;
}
