/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * image.h -- the bytes of one immutable view file: in memory until they are written, then mapped.
 *
 * Invariants: a file with a final name is complete and was flushed before it got the name; it is
 *       never changed afterwards, only replaced or removed.
 * Threads and locks: none; the owner of the struct serialises.
 * Happy path: clg_image_alloc -> fill -> clg_image_write -> clg_image_open -> clg_image_free.
 * Failure modes: open reads by pread whatever will be believed without a further check, so that a
 *       bad sector is an error code (COMMITLOG_EIO) and not a signal; ENOTFOUND: no such file.
 */
#ifndef CLG_VIEW_IMAGE_H
#define CLG_VIEW_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "os/os.h"

struct clg_image {
    uint8_t *bytes;
    uint64_t size;
    bool in_place; /* the file will be written to again, unlike one of a view */
    bool mapped;
};

/* A file being checked: read through clg_image_file_read only. */
struct clg_image_file {
    const struct commitlog_os *os;
    int fd;
    uint64_t size;
};

CLG_MUST_CHECK int clg_image_alloc(const struct commitlog_os *os, uint64_t size,
                                   struct clg_image *out);
void clg_image_free(const struct commitlog_os *os, struct clg_image *image);

/* Temporary file, flushed, renamed over `name`, directory flushed. Nothing is left on failure. */
CLG_MUST_CHECK int clg_image_write(const struct commitlog_os *os, int dirfd, const char *name,
                                   const char *temp_name, uint32_t mode,
                                   const struct clg_image *image, struct commitlog_error *err);

/* ENOTFOUND, EDAMAGED (empty, no regular file), or the code of the failing call. */
CLG_MUST_CHECK int clg_image_file_open(const struct commitlog_os *os, int dirfd, const char *name,
                                       struct clg_image_file *out);
void clg_image_file_close(struct clg_image_file *file);
/* [at, at + bytes): EDAMAGED if the file ends before. */
CLG_MUST_CHECK int clg_image_file_read(const struct clg_image_file *file, uint64_t at, void *buf,
                                       uint64_t bytes);
CLG_MUST_CHECK int clg_image_file_map(const struct clg_image_file *file, struct clg_image *out);

#endif
