/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpoint_file.c -- DIR/CHECKPOINT. See checkpoint_file.h.
 *
 * Invariants: one fdatasync per write, on the descriptor that wrote; never after a failed one.
 * Threads and locks: one writer.
 * Happy path: read -> write, write, ...
 * Failure modes: checkpoint_file.h. A slot that cannot be read counts as damaged, not as absent.
 */
#include "view/checkpoint_file.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "view/image.h"

#define CHECKPOINT_TEMP CLG_CHECKPOINT_NAME ".tmp"

void clg_checkpoint_file_init(struct clg_checkpoint_file *file, const struct commitlog_os *os)
{
    CLG_ASSERT(file != NULL);
    CLG_ASSERT(os != NULL);
    *file = (struct clg_checkpoint_file){.os = os, .fd = -1};
}

int clg_checkpoint_file_open(struct clg_checkpoint_file *file, int dirfd, bool writable,
                             struct commitlog_error *err)
{
    const struct commitlog_os *os = file->os;
    CLG_ASSERT(file->fd == -1);
    CLG_ASSERT(dirfd >= 0);
    uint32_t flags = CLG_OS_OPEN_READ | (writable ? (uint32_t)CLG_OS_OPEN_WRITE : 0u);
    int fd = os->open_at(os, dirfd, CLG_CHECKPOINT_NAME, flags, 0);
    if (fd == -ENOENT) {
        return clg_fail(err, COMMITLOG_ENOTFOUND, ENOENT, CLG_NO_POSITION,
                        "no " CLG_CHECKPOINT_NAME);
    }
    if (fd < 0) {
        return clg_fail_os(err, fd, CLG_NO_POSITION, "open " CLG_CHECKPOINT_NAME);
    }
    file->fd = fd;
    return 0;
}

int clg_checkpoint_file_create(struct clg_checkpoint_file *file, int dirfd, uint32_t mode,
                               struct clg_checkpoint *checkpoint, struct commitlog_error *err)
{
    const struct commitlog_os *os = file->os;
    struct clg_image image;
    CLG_ASSERT(file->fd == -1);
    CLG_ASSERT(checkpoint->first <= checkpoint->checkpointed);
    int rc = clg_image_alloc(os, CLG_CHECKPOINT_BYTES, &image);
    if (rc != 0) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "create " CLG_CHECKPOINT_NAME);
    }
    image.in_place = true;
    checkpoint->sequence = 1;
    clg_checkpoint_encode(image.bytes + (size_t)clg_checkpoint_slot(checkpoint->sequence) *
                                            CLG_FORMAT_PAGE_BYTES,
                          checkpoint);
    rc = clg_image_write(os, dirfd, CLG_CHECKPOINT_NAME, CHECKPOINT_TEMP, mode, &image, err);
    clg_image_free(os, &image);
    if (rc == 0) {
        rc = clg_checkpoint_file_open(file, dirfd, true, err);
    }
    if (rc == 0) {
        file->sequence = checkpoint->sequence;
        CLG_ASSERT(file->fd >= 0);
    }
    return rc;
}

int clg_checkpoint_file_read(struct clg_checkpoint_file *file, const uint8_t *uuid, bool read_only,
                             struct clg_checkpoint *out, struct commitlog_error *err)
{
    const struct commitlog_os *os = file->os;
    struct clg_image image;
    CLG_ASSERT(file->fd >= 0);
    CLG_ASSERT(out != NULL);
    int rc = clg_image_alloc(os, CLG_CHECKPOINT_BYTES, &image);
    if (rc != 0) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "read " CLG_CHECKPOINT_NAME);
    }
    int read_rc = 0;
    for (uint32_t slot = 0; slot < CLG_CHECKPOINT_SLOTS; slot++) {
        uint8_t *at = image.bytes + (size_t)slot * CLG_FORMAT_PAGE_BYTES;
        rc = clg_os_pread_all(os, file->fd, at, CLG_FORMAT_PAGE_BYTES,
                              (uint64_t)slot * CLG_FORMAT_PAGE_BYTES);
        if (rc < 0 && !clg_os_is_data_error(rc)) {
            clg_image_free(os, &image);
            return clg_fail_os(err, rc, CLG_NO_POSITION, "read " CLG_CHECKPOINT_NAME);
        }
        if (rc < 0) {
            /* Neither a valid slot nor an empty one. */
            memset(at, 0xff, CLG_FORMAT_PAGE_BYTES);
            read_rc = rc;
        }
    }
    struct clg_checkpoint checkpoint;
    rc = clg_checkpoint_choose(image.bytes, uuid, read_only, &checkpoint);
    clg_image_free(os, &image);
    if (rc != 0) {
        return read_rc < 0 && read_rc != -ENODATA && rc == COMMITLOG_EDAMAGED
                   ? clg_fail_os(err, read_rc, CLG_NO_POSITION, "read " CLG_CHECKPOINT_NAME)
                   : clg_fail(err, rc, 0, CLG_NO_POSITION, CLG_CHECKPOINT_NAME);
    }
    file->sequence = checkpoint.sequence;
    *out = checkpoint;
    return 0;
}

/* The lock is one host's, and one file's: where it did not keep another writer out, that one's slot
 * is newer than ours. What cannot be read now says nothing. */
static bool checkpoint_overtaken(const struct clg_checkpoint_file *file)
{
    struct clg_checkpoint_file as_it_is = *file;
    struct clg_checkpoint newest;
    return clg_checkpoint_file_read(&as_it_is, NULL, true, &newest, NULL) == 0 &&
           newest.sequence > file->sequence && !CLG_PLANTED(TWO_WRITERS);
}

int clg_checkpoint_file_write(struct clg_checkpoint_file *file, struct clg_checkpoint *checkpoint,
                              struct commitlog_error *err)
{
    const struct commitlog_os *os = file->os;
    uint8_t slot[CLG_FORMAT_PAGE_BYTES];
    CLG_ASSERT(file->fd >= 0);
    CLG_ASSERT(checkpoint->first <= checkpoint->checkpointed &&
               checkpoint->checkpointed <= checkpoint->durable);
    if (file->failed) {
        return clg_fail(err, COMMITLOG_EFAILED, 0, CLG_NO_POSITION,
                        CLG_CHECKPOINT_NAME ": a write failed before");
    }
    if (checkpoint_overtaken(file)) {
        file->failed = true;
        return clg_fail(err, COMMITLOG_EFAILED, 0, CLG_NO_POSITION,
                        CLG_CHECKPOINT_NAME ": another writer has opened the store meanwhile");
    }
    checkpoint->sequence = file->sequence + (CLG_PLANTED(ONE_SLOT) ? 2 : 1);
    clg_checkpoint_encode(slot, checkpoint);
    uint64_t at = (uint64_t)clg_checkpoint_slot(checkpoint->sequence) * CLG_FORMAT_PAGE_BYTES;
    int rc = clg_os_pwrite_all(os, file->fd, slot, sizeof(slot), at);
    if (rc >= 0) {
        rc = os->fdatasync(os, file->fd);
    }
    if (rc < 0) {
        file->failed = true;
        return clg_fail_os(err, rc, CLG_NO_POSITION, "write " CLG_CHECKPOINT_NAME);
    }
    file->sequence = checkpoint->sequence;
    return 0;
}

void clg_checkpoint_file_close(struct clg_checkpoint_file *file)
{
    CLG_ASSERT(file->os != NULL);
    clg_os_close_fd(file->os, &file->fd);
    CLG_ASSERT(file->fd == -1);
}

int clg_checkpoint_first_now(const struct commitlog_os *os, int dirfd, const uint8_t *uuid,
                             uint64_t *out_first, struct commitlog_error *err)
{
    struct clg_checkpoint_file file;
    struct clg_checkpoint now = {0};
    CLG_ASSERT(dirfd >= 0);
    clg_checkpoint_file_init(&file, os);
    int rc = clg_checkpoint_file_open(&file, dirfd, false, err);
    if (rc == 0) {
        rc = clg_checkpoint_file_read(&file, uuid, true, &now, err);
        clg_checkpoint_file_close(&file);
    }
    if (rc == 0) {
        *out_first = now.first;
    }
    return rc;
}
