/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store_lock.c -- the content of LOCK: who writes, and where its live area is. See store_dir.h.
 *
 * Invariants: written by the holder of the lock only; until recovery is over it names the session
 *       and the live area of the writer before, and this boot, because recovery writes too.
 */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "recovery/store_dir.h"

static int store_put_lock_file(struct clg_store_dir *dir, const struct clg_lock_file *content,
                               struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(dir->locked);
    uint8_t page[CLG_LOCK_FILE_BYTES];
    int rc = clg_lock_file_encode(page, content);
    if (rc != 0) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "LOCK: the live area's path is too long");
    }
    rc = clg_os_pwrite_all(os, dir->lock_fd, page, sizeof(page), 0);
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "write LOCK");
    }
    dir->last = *content;
    dir->last_known = true;
    return 0;
}

static void store_name_self(const struct clg_store_dir *dir, const uint8_t *uuid,
                            struct clg_lock_file *content)
{
    const struct commitlog_os *os = dir->os;
    int64_t pid = os->pid(os);
    CLG_ASSERT(pid > 0);
    content->pid = (uint32_t)pid;
    content->start_time = 0;
    uint64_t start;
    if (os->pid_start(os, pid, &start) >= 0) {
        content->start_time = start;
    }
    memcpy(content->uuid, uuid, CLG_UUID_BYTES);
    memcpy(content->boot_id, dir->boot_id, CLG_BOOT_ID_BYTES);
    CLG_ASSERT(content->pid != 0);
}

int clg_store_dir_take_over(struct clg_store_dir *dir, const uint8_t *uuid,
                            struct commitlog_error *err)
{
    CLG_ASSERT(dir->locked);
    CLG_ASSERT(uuid != NULL);
    struct clg_lock_file content;
    memset(&content, 0, sizeof(content));
    /* A live area of an earlier boot is worth nothing, and one that a LOCK of another store names
     * was not looked at: keeping its name under ours could only mislead. */
    if (dir->last_known && dir->same_boot && memcmp(dir->last.uuid, uuid, CLG_UUID_BYTES) == 0) {
        content = dir->last;
    }
    store_name_self(dir, uuid, &content);
    bool same_boot = dir->same_boot;
    int rc = store_put_lock_file(dir, &content, err);
    dir->same_boot = same_boot; /* of the last writer, until this recovery is over */
    return rc;
}

int clg_store_dir_write_lock(struct clg_store_dir *dir, const uint8_t *uuid, uint64_t session,
                             const char *live_path, struct commitlog_error *err)
{
    CLG_ASSERT(dir->locked);
    CLG_ASSERT(live_path != NULL);
    struct clg_lock_file content;
    memset(&content, 0, sizeof(content));
    size_t bytes = strlen(live_path);
    if (bytes > CLG_LIVE_PATH_MAX) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION,
                        "LOCK: the live area's path is too long");
    }
    memcpy(content.live_path, live_path, bytes + 1);
    content.session = session;
    store_name_self(dir, uuid, &content);
    return store_put_lock_file(dir, &content, err);
}
