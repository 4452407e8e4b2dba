/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store_dir.c -- the directory of a store: its descriptors, its lock, who wrote last.
 *
 * See store_dir.h. Files: a writer makes each directory, then flushes the parent, so that a crash
 * leaves a prefix of the creation, which the next open goes on with.
 */
#include "recovery/store_dir.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/live_area.h"
#include "segment/segment_name.h"

#define STORE_PATH_MAX 4096u

struct store_listing {
    bool foreign;
    bool ours; /* something that only a finished creation leaves */
    char name[CLG_FORMAT_CHECK_BYTES * 8u];
};

static int store_mkdir(const struct commitlog_os *os, int parent_fd, const char *name,
                       uint32_t mode, struct commitlog_error *err)
{
    CLG_ASSERT(parent_fd >= 0);
    CLG_ASSERT((mode & 0700u) == 0700u);
    int rc = os->mkdir_at(os, parent_fd, name, mode);
    if (rc < 0 && rc != -EEXIST) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "make directory %s", name);
    }
    /* Flushed also when it was there: whoever made it may have died before. */
    rc = os->fsync(os, parent_fd);
    return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "flush the directory of %s", name) : 0;
}

/* "a/b/c/" -> "a/b", "c"; "c" -> ".", "c". False when the last part is no plain name. */
static bool store_split(const char *path, char *parent, char *last)
{
    size_t end = strlen(path);
    CLG_ASSERT(end < STORE_PATH_MAX);
    while (end > 0 && path[end - 1] == '/') {
        end--;
    }
    size_t start = end;
    while (start > 0 && path[start - 1] != '/') {
        start--;
    }
    size_t bytes = end - start;
    CLG_ASSERT(start <= end);
    memcpy(last, path + start, bytes);
    last[bytes] = '\0';
    if (bytes == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) {
        return false;
    }
    if (start == 0) {
        memcpy(parent, ".", 2);
    } else {
        memcpy(parent, path, start);
        parent[start] = '\0'; /* keeps its slash: "/" stays "/" */
    }
    return true;
}

/* Opens `last` below parent_fd, making it if the options say so. */
static int store_open_below(struct clg_store_dir *dir, int parent_fd, const char *last,
                            const struct clg_store_dir_options *options,
                            struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    struct clg_os_stat stat;
    CLG_ASSERT(parent_fd >= 0);
    int rc = os->stat_at(os, parent_fd, last, &stat);
    if (rc == -ENOENT) {
        if (options->read_only || options->create == COMMITLOG_CREATE_NEVER) {
            return clg_fail(err, COMMITLOG_ENOTFOUND, ENOENT, CLG_NO_POSITION,
                            "there is no directory %s", last);
        }
        rc = store_mkdir(os, parent_fd, last, dir->dir_mode, err);
        if (rc != 0) {
            return rc;
        }
    } else if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "look at %s", last);
    } else if (stat.type != CLG_OS_DIRECTORY) {
        return clg_fail(err, COMMITLOG_ENOTDIR, ENOTDIR, CLG_NO_POSITION,
                        "%s is a %s, not a directory", last,
                        stat.type == CLG_OS_SYMLINK ? "symbolic link" : "file");
    } else if (!options->read_only) {
        /* Whoever made it may have died before its name was flushed. A failure matters only where
         * nothing finished is in it yet: store_settle asks. */
        dir->parent_flushed = os->fsync(os, parent_fd);
    }
    rc = os->open_at(os, parent_fd, last, CLG_OS_OPEN_READ | CLG_OS_OPEN_DIRECTORY, 0);
    if (rc == -ENOTDIR || rc == -ELOOP) {
        return clg_fail(err, COMMITLOG_ENOTDIR, -rc, CLG_NO_POSITION, "%s is not a directory",
                        last);
    }
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "open %s", last);
    }
    dir->dir_fd = rc;
    return 0;
}

static int store_open_top(struct clg_store_dir *dir, const char *path,
                          const struct clg_store_dir_options *options, struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(dir->dir_fd == -1);
    if (path[0] == '\0' || strlen(path) >= STORE_PATH_MAX) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "empty or too long path");
    }
    char *parts = os->alloc(os, 2 * STORE_PATH_MAX);
    if (parts == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, ENOMEM, CLG_NO_POSITION, "open a store");
    }
    int rc;
    if (!store_split(path, parts, parts + STORE_PATH_MAX)) {
        rc = os->open_dir(os, path);
        if (rc < 0) {
            rc = rc == -ENOENT ? clg_fail(err, COMMITLOG_ENOTFOUND, ENOENT, CLG_NO_POSITION,
                                          "there is no directory %s", path)
                               : clg_fail_os(err, rc, CLG_NO_POSITION, "open %s", path);
        } else {
            dir->dir_fd = rc;
            rc = 0;
        }
    } else {
        int parent = os->open_dir(os, parts);
        if (parent < 0) {
            rc = parent == -ENOENT ? clg_fail(err, COMMITLOG_ENOTFOUND, ENOENT, CLG_NO_POSITION,
                                              "there is no directory %s", parts)
                                   : clg_fail_os(err, parent, CLG_NO_POSITION, "open %s", parts);
        } else {
            rc = store_open_below(dir, parent, parts + STORE_PATH_MAX, options, err);
            clg_os_close_fd(os, &parent);
        }
    }
    os->free(os, parts);
    CLG_ASSERT(rc != 0 || dir->dir_fd >= 0);
    return rc;
}

/* Whoever may write into DIR decides what the library reads: only its owner should. */
static int store_check_owner(struct clg_store_dir *dir, struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    struct clg_os_stat stat;
    int rc = os->stat_fd(os, dir->dir_fd, &stat);
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "look at the store's directory");
    }
    if (stat.type != CLG_OS_DIRECTORY) {
        return clg_fail(err, COMMITLOG_ENOTDIR, ENOTDIR, CLG_NO_POSITION, "not a directory");
    }
    dir->device = stat.device;
    dir->inode = stat.inode;
    dir->owner = stat.uid;
    if (dir->read_only) {
        return 0;
    }
    int64_t uid = os->uid(os);
    if (uid != 0 && uid != (int64_t)stat.uid) {
        return clg_fail(err, COMMITLOG_EACCESS, EPERM, CLG_NO_POSITION,
                        "the store belongs to user %" PRIu32 ", this process is user %" PRId64,
                        stat.uid, uid);
    }
    if ((stat.mode & 0022u & ~dir->dir_mode) != 0) {
        return clg_fail(err, COMMITLOG_EACCESS, EPERM, CLG_NO_POSITION,
                        "others may write into the store's directory (mode %o): chmod go-w",
                        stat.mode);
    }
    CLG_ASSERT(dir->dir_fd >= 0);
    return 0;
}

static bool store_name_is_ours(const char *name, bool *finished)
{
    static const char *const known[] = {
        CLG_STORE_LOCK_NAME, CLG_STORE_LOG_NAME, CLG_STORE_VIEW_NAME, CLG_STORE_QUARANTINE_NAME,
        CLG_STORE_LIVE_NAME, "LIVE.tmp",         "CHECKPOINT.tmp",    "lost+found"};
    CLG_ASSERT(name != NULL);
    CLG_ASSERT(finished != NULL);
    if (strcmp(name, CLG_STORE_CHECKPOINT_NAME) == 0) {
        *finished = true;
        return true;
    }
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, known[i]) == 0) {
            return true;
        }
    }
    return false;
}

static int store_list_top(void *ctx, const char *name, enum clg_os_type type)
{
    struct store_listing *listing = ctx;
    (void)type;
    CLG_ASSERT(name != NULL);
    if (!store_name_is_ours(name, &listing->ours) && !listing->foreign) {
        listing->foreign = true;
        size_t bytes = clg_min_u64(strlen(name), sizeof(listing->name) - 1);
        memcpy(listing->name, name, bytes);
        listing->name[bytes] = '\0';
    }
    return 0;
}

/* A segment, or what was derived of one that is gone. */
static int store_list_sub(void *ctx, const char *name, enum clg_os_type type)
{
    struct store_listing *listing = ctx;
    struct clg_segment_name parsed;
    (void)type;
    CLG_ASSERT(listing != NULL);
    if (clg_segment_name_parse(name, &parsed) && !parsed.temporary) {
        listing->ours = true;
    }
    return 0;
}

/* Is there a store, the beginning of one, or something that is none of our business? */
static int store_judge_content(struct clg_store_dir *dir,
                               const struct clg_store_dir_options *options,
                               struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    struct store_listing listing;
    memset(&listing, 0, sizeof(listing));
    int rc = os->list_dir(os, dir->dir_fd, store_list_top, &listing);
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "list the store's directory");
    }
    static const char *const subs[] = {CLG_STORE_LOG_NAME, CLG_STORE_VIEW_NAME};
    for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]) && !listing.ours; i++) {
        int fd = os->open_at(os, dir->dir_fd, subs[i], CLG_OS_OPEN_READ | CLG_OS_OPEN_DIRECTORY, 0);
        if (fd >= 0) {
            rc = os->list_dir(os, fd, store_list_sub, &listing);
            clg_os_close_fd(os, &fd);
        }
        if (rc < 0) {
            return clg_fail_os(err, rc, CLG_NO_POSITION, "list %s/", subs[i]);
        }
    }
    CLG_ASSERT(dir->dir_fd >= 0);
    dir->was_empty = !listing.ours;
    if (!listing.ours && listing.foreign) {
        bool creates = !options->read_only && options->create != COMMITLOG_CREATE_NEVER;
        return clg_fail(err, COMMITLOG_EFORMAT, 0, CLG_NO_POSITION,
                        "the directory holds \"%s\" and no store%s", listing.name,
                        creates ? ": nothing was created" : "");
    }
    if (listing.ours && options->create == COMMITLOG_CREATE_ALWAYS && !options->read_only) {
        return clg_fail(err, COMMITLOG_EEXIST, EEXIST, CLG_NO_POSITION, "there is a store already");
    }
    if (!listing.ours && (options->read_only || options->create == COMMITLOG_CREATE_NEVER)) {
        return clg_fail(err, COMMITLOG_ENOTFOUND, 0, CLG_NO_POSITION, "there is no store");
    }
    return 0;
}

int clg_store_dir_open_file(const struct clg_store_dir *dir, const char *name, uint32_t flags,
                            struct clg_os_stat *out, struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    int fd = os->open_at(os, dir->dir_fd, name, flags, dir->file_mode);
    CLG_ASSERT(name != NULL);
    if (fd == -ENOENT) {
        return COMMITLOG_ENOTFOUND;
    }
    int rc = fd < 0 ? fd : os->stat_fd(os, fd, out);
    /* A directory opens for reading only, a socket not at all. */
    if (rc == -EISDIR || rc == -ENXIO || (rc >= 0 && out->type != CLG_OS_FILE)) {
        rc = clg_fail(err, COMMITLOG_ENOTDIR, rc < 0 ? -rc : 0, CLG_NO_POSITION, "%s is not a file",
                      name);
    } else if (rc < 0) {
        rc = clg_fail_os(err, rc, CLG_NO_POSITION, "%s %s", fd < 0 ? "open" : "look at", name);
    }
    if (rc < 0) {
        if (fd >= 0) {
            clg_os_close_fd(os, &fd);
        }
        return rc;
    }
    return fd;
}

/* *fd stays -1 for a reader or a plan when the directory is not there. */
static int store_open_sub(struct clg_store_dir *dir, const char *name, int *fd,
                          struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(*fd == -1);
    int rc = os->open_at(os, dir->dir_fd, name, CLG_OS_OPEN_READ | CLG_OS_OPEN_DIRECTORY, 0);
    if (rc == -ENOENT && (dir->read_only || dir->plan_only)) {
        return 0;
    }
    if (rc == -ENOENT) {
        rc = store_mkdir(os, dir->dir_fd, name, dir->dir_mode, err);
        if (rc != 0) {
            return rc;
        }
        rc = os->open_at(os, dir->dir_fd, name, CLG_OS_OPEN_READ | CLG_OS_OPEN_DIRECTORY, 0);
    }
    if (rc == -ENOTDIR || rc == -ELOOP) {
        return clg_fail(err, COMMITLOG_ENOTDIR, -rc, CLG_NO_POSITION, "%s is not a directory",
                        name);
    }
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "open %s", name);
    }
    *fd = rc;
    CLG_ASSERT(*fd >= 0);
    return 0;
}

/* A creation goes on: what the one before has named must not vanish under what follows. */
static int store_settle(struct clg_store_dir *dir, struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(!dir->read_only);
    if (!dir->was_empty) {
        return 0;
    }
    /* EROFS: it was flushed, but the directory above is on a mount that is read-only, where nothing
     * was made lately. Had its file system given up, what is made in DIR would fail, or DIR is the
     * place of another one. */
    if (dir->parent_flushed < 0 && dir->parent_flushed != -EROFS) {
        return clg_fail_os(err, dir->parent_flushed, CLG_NO_POSITION, "flush the directory above");
    }
    int rc = os->fsync(os, dir->dir_fd);
    CLG_ASSERT(dir->log_fd >= 0);
    return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "flush the store's directory") : 0;
}

static int store_open_rest(struct clg_store_dir *dir, const struct clg_store_dir_options *options,
                           struct commitlog_error *err)
{
    CLG_ASSERT(dir->dir_fd >= 0);
    int rc = clg_store_dir_open_lock(dir, err);
    if (rc != 0) {
        return rc;
    }
    if (!dir->read_only && dir->lock_fd >= 0) {
        /* Judged again under the lock: a store may have been made meanwhile. */
        rc = store_judge_content(dir, options, err);
    }
    if (rc == 0) {
        rc = store_open_sub(dir, CLG_STORE_LOG_NAME, &dir->log_fd, err);
    }
    if (rc == 0) {
        rc = store_open_sub(dir, CLG_STORE_VIEW_NAME, &dir->view_fd, err);
    }
    if (rc == 0) {
        rc = store_open_sub(dir, CLG_STORE_QUARANTINE_NAME, &dir->quarantine_fd, err);
    }
    if (rc == 0 && !dir->read_only && !dir->plan_only) {
        rc = store_settle(dir, err);
    }
    dir->segment_dir.fd = dir->log_fd;
    return rc;
}

static void store_init(struct clg_store_dir *dir, const struct commitlog_os *os,
                       const struct clg_store_dir_options *options)
{
    memset(dir, 0, sizeof(*dir));
    CLG_ASSERT(options != NULL);
    dir->os = os;
    dir->dir_fd = dir->log_fd = dir->view_fd = dir->quarantine_fd = dir->lock_fd = -1;
    dir->read_only = options->read_only;
    dir->plan_only = options->plan_only;
    dir->same_boot = true;
    dir->file_mode = options->file_mode != 0 ? options->file_mode : CLG_STORE_FILE_MODE;
    /* Whoever may read or write files needs to enter the directories. */
    dir->dir_mode = CLG_STORE_DIR_MODE | dir->file_mode | ((dir->file_mode & 0444u) >> 2);
    dir->segment_dir.os = os;
    dir->segment_dir.fd = -1;
    dir->segment_dir.file_mode = dir->file_mode;
    dir->segment_dir.read_only = options->read_only;
    CLG_ASSERT((dir->dir_mode & ~0777u) == 0);
}

int clg_store_dir_open(const struct commitlog_os *os, const char *path,
                       const struct clg_store_dir_options *options, struct clg_store_dir *out,
                       struct commitlog_error *err)
{
    CLG_ASSERT(path != NULL);
    CLG_ASSERT(out != NULL);
    struct clg_store_dir *dir = out;
    store_init(dir, os, options);
    int rc = os->boot_id(os, dir->boot_id);
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "read the boot id");
    }
    rc = store_open_top(dir, path, options, err);
    if (rc == 0) {
        rc = store_check_owner(dir, err);
    }
    if (rc == 0) {
        /* Before LOCK is created in somebody else's directory. */
        rc = store_judge_content(dir, options, err);
    }
    if (rc == 0) {
        rc = store_open_rest(dir, options, err);
    }
    if (rc != 0) {
        clg_wrap(err, "store %s", path);
        clg_store_dir_close(dir);
    }
    return rc;
}

void clg_store_dir_close(struct clg_store_dir *dir)
{
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(os != NULL);
    clg_os_close_fd(os, &dir->log_fd);
    clg_os_close_fd(os, &dir->view_fd);
    clg_os_close_fd(os, &dir->quarantine_fd);
    clg_os_close_fd(os, &dir->dir_fd);
    if (dir->locked) {
        (void)os->unlock_file(os, dir->lock_fd);
        dir->locked = false;
    }
    clg_os_close_fd(os, &dir->lock_fd);
    CLG_ASSERT(dir->lock_fd == -1);
}

int clg_store_dir_open_live(const struct clg_store_dir *dir, const char *path,
                            struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(path != NULL);
    char parent[CLG_LIVE_PATH_MAX + 1];
    char last[CLG_LIVE_PATH_MAX + 1];
    bool inside = path[0] != '/';
    if (strlen(path) > CLG_LIVE_PATH_MAX || !store_split(path, parent, last) ||
        (inside && strcmp(parent, ".") != 0)) {
        return clg_fail(err, COMMITLOG_EFORMAT, 0, CLG_NO_POSITION, "live area: no such name");
    }
    int parent_fd = inside ? dir->dir_fd : os->open_dir(os, parent);
    if (parent_fd == -ENOENT) {
        return clg_fail(err, COMMITLOG_ENOTFOUND, ENOENT, CLG_NO_POSITION, "no live area");
    }
    if (parent_fd < 0) {
        return clg_fail_os(err, parent_fd, CLG_NO_POSITION, "live area: open %s", parent);
    }
    int fd = os->open_at(os, parent_fd, last, CLG_OS_OPEN_READ, 0);
    /* One that must not be opened, by who may open the store, is root's own: then it counts. */
    struct clg_os_stat stat = {0};
    bool denied = fd == -EACCES || fd == -EPERM;
    int rc = fd >= 0  ? os->stat_fd(os, fd, &stat)
             : denied ? os->stat_at(os, parent_fd, last, &stat)
                      : 0;
    if (!inside) {
        clg_os_close_fd(os, &parent_fd);
    }
    if (fd == -ENOENT || fd == -ELOOP || fd == -EISDIR) {
        return clg_fail(err, COMMITLOG_ENOTFOUND, -fd, CLG_NO_POSITION, "no live area %s", path);
    }
    bool foreign = stat.type != CLG_OS_FILE || stat.links != 1 ||
                   !clg_live_owner_ok(stat.uid, dir->owner) ||
                   (stat.mode & 0022u & ~dir->file_mode) != 0;
    if (rc >= 0 && (fd >= 0 || denied) && foreign) {
        rc = clg_fail(err, COMMITLOG_EFOREIGN, 0, CLG_NO_POSITION,
                      "live area %s: not a file of the store's owner alone", path);
    } else if (rc >= 0 && denied) {
        rc = clg_fail(err, COMMITLOG_EACCESS, -fd, CLG_NO_POSITION, CLG_LIVE_UNREADABLE, path);
    } else if (fd < 0 || rc < 0) {
        rc = clg_fail_os(err, fd < 0 ? fd : rc, CLG_NO_POSITION, "live area: open %s", path);
    }
    if (rc < 0 && fd >= 0) {
        clg_os_close_fd(os, &fd);
    }
    return rc < 0 ? rc : fd;
}
