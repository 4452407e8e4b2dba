/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store_lock.c -- LOCK: who has it, and its content, who writes and where its live area is. See
 * store_dir.h.
 *
 * Invariants: its content is written by the holder of the lock only; until recovery is over it
 * names the session and the live area of the writer before, and this boot, because recovery writes
 * too.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "recovery/store_dir.h"

/* A reader that probes holds the lock for an instant: a writer that meets it tries again. */
#define STORE_LOCK_TRIES 20u
#define STORE_LOCK_PAUSE_NS (2 * CLG_OS_NS_PER_MS)

/* 0 or a negative errno. */
static int store_read_lock_file(struct clg_store_dir *dir)
{
    const struct commitlog_os *os = dir->os;
    dir->last_known = false;
    dir->same_boot = true; /* unless LOCK says otherwise: the careful assumption */
    CLG_ASSERT(dir->lock_fd >= 0);
    uint8_t page[CLG_LOCK_FILE_BYTES];
    int64_t n = clg_os_pread_most(os, dir->lock_fd, page, sizeof(page), 0);
    if (n < 0) {
        return (int)n;
    }
    struct clg_lock_file last;
    int rc = clg_lock_file_decode(page, (uint64_t)n, NULL, &last);
    if (rc == 0) {
        dir->last = last;
        dir->last_known = true;
        dir->same_boot = memcmp(last.boot_id, dir->boot_id, CLG_BOOT_ID_BYTES) == 0;
    }
    CLG_ASSERT(dir->same_boot || dir->last_known);
    return 0;
}

static int store_open_lock(struct clg_store_dir *dir, struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    uint32_t flags = CLG_OS_OPEN_READ;
    CLG_ASSERT(dir->lock_fd == -1);
    bool creates = !dir->read_only && !dir->plan_only;
    if (creates) { /* a plan only locks it, also where nothing can be written */
        flags |= (uint32_t)CLG_OS_OPEN_WRITE | (uint32_t)CLG_OS_OPEN_CREATE;
    }
    struct clg_os_stat stat;
    int rc = clg_store_dir_open_file(dir, CLG_STORE_LOCK_NAME, flags, &stat, err);
    if (rc == COMMITLOG_ENOTFOUND) { /* nobody can be writing; or DIR itself has just gone */
        return creates ? clg_fail_os(err, -ENOENT, CLG_NO_POSITION, "create LOCK") : 0;
    }
    if (rc < 0) {
        return rc;
    }
    dir->lock_fd = rc;
    if (creates && stat.size_bytes == 0) {
        clg_os_keep_in_place(os, dir->lock_fd, NULL);
    }
    return 0;
}

static int store_lock(struct clg_store_dir *dir, struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(dir->lock_fd >= 0);
    CLG_ASSERT(!dir->read_only);
    int rc = -EAGAIN;
    for (uint32_t i = 0; i < STORE_LOCK_TRIES && rc == -EAGAIN; i++) {
        if (i > 0) {
            os->sleep_ns(os, STORE_LOCK_PAUSE_NS);
        }
        rc = os->lock_file(os, dir->lock_fd, true);
    }
    if (rc == -EAGAIN) {
        (void)store_read_lock_file(dir);
        if (dir->last_known) {
            return clg_fail(err, COMMITLOG_ELOCKED, EAGAIN, CLG_NO_POSITION,
                            "process %" PRIu32 " has the store open for writing", dir->last.pid);
        }
        return clg_fail(err, COMMITLOG_ELOCKED, EAGAIN, CLG_NO_POSITION,
                        "another process has the store open for writing");
    }
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "lock LOCK");
    }
    dir->locked = true;
    return 0;
}

/* Another file is in its place: nobody writes that has locked this one. */
static void store_forget_lock(struct clg_store_dir *dir)
{
    const struct commitlog_os *os = dir->os;
    struct clg_os_stat mine;
    struct clg_os_stat named;
    if (dir->lock_fd >= 0 && os->stat_fd(os, dir->lock_fd, &mine) >= 0 &&
        os->stat_at(os, dir->dir_fd, CLG_STORE_LOCK_NAME, &named) >= 0 &&
        (named.inode != mine.inode || named.device != mine.device)) {
        clg_os_close_fd(os, &dir->lock_fd);
    }
}

int clg_store_dir_probe(struct clg_store_dir *dir, struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(dir->read_only);
    dir->writer_live = false;
    store_forget_lock(dir);
    if (dir->lock_fd < 0) {
        int rc = store_open_lock(dir, err);
        if (rc != 0 || dir->lock_fd < 0) {
            return rc;
        }
    }
    int rc = os->lock_file(os, dir->lock_fd, false);
    if (rc == -EAGAIN) {
        dir->writer_live = true;
    } else if (rc >= 0) {
        (void)os->unlock_file(os, dir->lock_fd);
    }
    /* Any other answer: a file system without locks, where no writer could have begun. */
    rc = store_read_lock_file(dir);
    CLG_ASSERT(dir->lock_fd >= 0);
    return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "read LOCK") : 0;
}

bool clg_store_dir_moved(struct clg_store_dir *dir, bool live, const struct clg_lock_file *last)
{
    CLG_ASSERT(last != NULL);
    if (clg_store_dir_probe(dir, NULL) != 0) {
        return false;
    }
    /* Also of one that runs: what was read before it wrote LOCK is not of its session, and who
     * takes it for that does not look again when it has closed. */
    return dir->writer_live != live || !clg_lock_file_same(&dir->last, last);
}

int clg_store_dir_open_lock(struct clg_store_dir *dir, struct commitlog_error *err)
{
    int rc = store_open_lock(dir, err);
    if (rc == 0 && dir->read_only) {
        return clg_store_dir_probe(dir, err);
    }
    if (rc != 0 || dir->lock_fd < 0) {
        return rc;
    }
    rc = store_lock(dir, err);
    if (rc != 0) {
        return rc;
    }
    /* It names the live area: not being able to read it is not the same as there being none. */
    rc = store_read_lock_file(dir);
    return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "read LOCK") : 0;
}

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
