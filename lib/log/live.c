/* live.c -- making, finding and giving up the live area. See live.h. */
#include "log/live.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "os/lock.h"

#define LIVE_DIR_NAME "LIVE"
#define LIVE_TEMPORARY ".tmp"
#define LIVE_ZERO_BYTES 65536u

/* A copy of the store has the same UUID, but not the same directory: a writer of one must not take
 * the area of the other's away, or what only that holds. */
static void live_name(char name[CLG_LIVE_NAME_BYTES], const uint8_t uuid[CLG_UUID_BYTES],
                      uint64_t device, uint64_t inode)
{
    static const char digits[] = "0123456789abcdef";
    char hex[2 * CLG_UUID_BYTES + 1];
    for (uint32_t i = 0; i < CLG_UUID_BYTES; i++) {
        hex[2 * i] = digits[uuid[i] >> 4];
        hex[2 * i + 1] = digits[uuid[i] & 15];
    }
    hex[2 * CLG_UUID_BYTES] = '\0';
    (void)snprintf(name, CLG_LIVE_NAME_BYTES, "commitlog-%s-%" PRIx64 "-%" PRIx64, hex, device,
                   CLG_PLANTED(LIVE_BY_UUID) ? 0 : inode);
}

int clg_live_tmpfs_path(const struct commitlog_os *os, char path[CLG_LIVE_PATH_MAX + 1],
                        const uint8_t uuid[CLG_UUID_BYTES], uint64_t device, uint64_t inode)
{
    char name[CLG_LIVE_NAME_BYTES];
    int rc = os->tmpfs_dir(os, path, CLG_LIVE_PATH_MAX - sizeof(name) - sizeof(LIVE_TEMPORARY));
    if (rc >= 0) {
        size_t bytes = strlen(path);
        live_name(name, uuid, device, inode);
        (void)snprintf(path + bytes, CLG_LIVE_PATH_MAX + 1 - bytes, "/%s", name);
    }
    return rc;
}

/* Blocks for every byte: DIR/LIVE is also written, because a file system may still have to
 * convert unwritten blocks, and could fail to, when a mapped page is written back. */
static int live_allocate(struct clg_live *live, bool prewrite)
{
    const struct commitlog_os *os = live->os;
    uint64_t bytes = live->header.area_bytes;
    int rc = os->fallocate(os, live->fd, CLG_OS_FALLOCATE_EXTEND, 0, bytes);
    if (rc == -EOPNOTSUPP) {
        rc = os->ftruncate(os, live->fd, bytes);
        prewrite = true;
    }
    if (rc < 0 || !prewrite) {
        return rc;
    }
    void *zeros = os->alloc(os, LIVE_ZERO_BYTES);
    if (zeros == NULL) {
        return -ENOMEM;
    }
    for (uint64_t at = 0; rc >= 0 && at < bytes; at += LIVE_ZERO_BYTES) {
        uint64_t n = bytes - at < LIVE_ZERO_BYTES ? bytes - at : LIVE_ZERO_BYTES;
        rc = clg_os_pwrite_all(os, live->fd, zeros, n, at);
    }
    os->free(os, zeros);
    return rc;
}

static int live_map(struct clg_live *live)
{
    const struct commitlog_os *os = live->os;
    uint32_t prot = CLG_OS_PROT_READ | (live->writable ? (uint32_t)CLG_OS_PROT_WRITE : 0);
    void *area = NULL;
    uint64_t area_bytes = live->header.ring_offset;
    int rc = os->map(os, live->fd, 0, area_bytes, prot, CLG_OS_MAP_SHARED, &area);
    if (rc < 0) {
        return rc;
    }
    live->area = area;
    live->histograms = (struct clg_live_histogram *)(void *)clg_at(area, CLG_LIVE_HISTOGRAMS_AT);
    live->histogram_count =
        live->header.histograms < CLG_HISTOGRAMS ? live->header.histograms : CLG_HISTOGRAMS;
    void *ring = NULL;
    if (live->ring_bytes > 0) {
        rc = os->map_twice(os, live->fd, area_bytes, live->ring_bytes, prot, &ring);
        if (rc < 0) {
            (void)os->unmap(os, area, area_bytes);
            live->area = NULL;
            live->histogram_count = 0;
            return rc;
        }
        live->ring = ring;
    }
    if (live->writable) {
        /* A child that wrote through the parent's stage would corrupt it. */
        (void)os->advise(os, area, area_bytes, CLG_OS_ADVISE_DONTFORK);
        if (ring != NULL) {
            (void)os->advise(os, ring, 2 * live->ring_bytes, CLG_OS_ADVISE_DONTFORK);
        }
    }
    return 0;
}

/* Under a temporary name first: a reader never finds half an area. */
static int live_create_file(struct clg_live *live, const char *temporary, bool prewrite)
{
    const struct commitlog_os *os = live->os;
    int fd = os->unlink_at(os, live->dirfd, temporary);
    if (fd >= 0 || fd == -ENOENT) {
        fd = os->open_at(os, live->dirfd, temporary,
                         CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE |
                             CLG_OS_OPEN_EXCLUSIVE,
                         0600);
    }
    if (fd < 0) {
        return fd;
    }
    live->fd = fd;
    int rc = live_allocate(live, prewrite);
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    if (rc >= 0) {
        clg_live_header_encode(page, &live->header);
        rc = clg_os_pwrite_all(os, fd, page, sizeof(page), 0);
    }
    if (rc >= 0) {
        rc = live_map(live);
    }
    if (rc >= 0) {
        rc = os->rename_at(os, live->dirfd, temporary, live->dirfd, live->name, false);
        rc = rc == -EISDIR ? -ENOTDIR : rc; /* something else has its name: commitlog_open(3) */
    }
    if (rc < 0) {
        (void)os->unlink_at(os, live->dirfd, temporary);
    }
    return rc;
}

static int live_create_tmpfs(struct clg_live *live)
{
    const struct commitlog_os *os = live->os;
    char dir[1024];
    int rc = os->tmpfs_dir(os, dir, sizeof(dir));
    if (rc < 0) {
        return rc;
    }
    live->dirfd = os->open_dir(os, dir);
    if (live->dirfd < 0) {
        return live->dirfd;
    }
    live->owns_dirfd = true;
    live_name(live->name, live->header.uuid, live->header.device, live->header.inode);
    (void)snprintf(live->path, sizeof(live->path), "%s/%s", dir, live->name);
    char temporary[sizeof(live->name) + 4];
    (void)snprintf(temporary, sizeof(temporary), "%s" LIVE_TEMPORARY, live->name);
    return live_create_file(live, temporary, false);
}

static int live_create_dir(struct clg_live *live, int store_dirfd)
{
    const struct commitlog_os *os = live->os;
    struct clg_os_fs_info fs;
    int rc = os->fs_info(os, store_dirfd, &fs);
    if (rc < 0) {
        return rc;
    }
    if (fs.type == CLG_OS_FS_OTHER || fs.network || fs.type == CLG_OS_FS_BTRFS) {
        /* A shared map may not be coherent there; on btrfs a full disk makes stores to it fail. */
        return -EOPNOTSUPP;
    }
    live->dirfd = store_dirfd;
    live->owns_dirfd = false;
    (void)snprintf(live->name, sizeof(live->name), "%s", LIVE_DIR_NAME);
    (void)snprintf(live->path, sizeof(live->path), "%s", LIVE_DIR_NAME);
    return live_create_file(live, LIVE_DIR_NAME LIVE_TEMPORARY, true);
}

static int live_create_private(struct clg_live *live)
{
    const struct commitlog_os *os = live->os;
    live->dirfd = -1;
    live->owns_dirfd = false;
    live->path[0] = '\0';
    int fd = os->memory_file(os, "commitlog-live", live->header.area_bytes);
    if (fd < 0) {
        return fd;
    }
    live->fd = fd;
    int rc = live_map(live);
    if (rc >= 0) {
        clg_live_header_encode(live->area->header, &live->header);
    }
    return rc;
}

static void live_reset(struct clg_live *live)
{
    const struct commitlog_os *os = live->os;
    if (live->ring != NULL) {
        (void)os->unmap(os, live->ring, 2 * live->ring_bytes);
    }
    if (live->area != NULL) {
        (void)os->unmap(os, live->area, live->header.ring_offset);
    }
    clg_os_close_fd(os, &live->fd);
    if (live->owns_dirfd) {
        clg_os_close_fd(os, &live->dirfd);
    }
    live->ring = NULL;
    live->area = NULL;
    live->histograms = NULL;
    live->histogram_count = 0;
    live->dirfd = -1;
    live->owns_dirfd = false;
}

static int live_try(struct clg_live *live, const struct clg_live_config *config, uint32_t place)
{
    int rc;
    if (place == COMMITLOG_LIVE_TMPFS) {
        rc = live_create_tmpfs(live);
    } else if (place == COMMITLOG_LIVE_DIR) {
        rc = live_create_dir(live, config->store_dirfd);
    } else {
        rc = live_create_private(live);
    }
    if (rc < 0) {
        live_reset(live);
    } else {
        live->place = place;
    }
    return rc;
}

int clg_live_create(struct clg_live *live, const struct clg_live_config *config,
                    struct commitlog_error *err)
{
    static const uint32_t order[] = {COMMITLOG_LIVE_TMPFS, COMMITLOG_LIVE_DIR,
                                     COMMITLOG_LIVE_PRIVATE};
    const struct commitlog_os *os = config->os;
    CLG_ASSERT(config->header->ring_bytes == 0 || clg_is_power_of_two(config->header->ring_bytes));
    memset(live, 0, sizeof(*live));
    live->os = os;
    live->fd = -1;
    live->dirfd = -1;
    live->writable = true;
    live->header = *config->header;
    live->header.histograms = CLG_HISTOGRAMS;
    live->header.ring_offset = CLG_LIVE_RING_AT;
    live->header.area_bytes = CLG_LIVE_RING_AT + live->header.ring_bytes;
    live->ring_bytes = live->header.ring_bytes;
    int rc = -EINVAL;
    for (uint32_t i = 0; i < 3; i++) {
        bool wanted = config->place == COMMITLOG_LIVE_AUTO || config->place == order[i];
        if (wanted && (rc = live_try(live, config, order[i])) >= 0) {
            break;
        }
    }
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "create the live area of %llu bytes",
                           (unsigned long long)live->header.area_bytes);
    }
    if (config->lock_pages) {
        live->is_locked =
            os->lock_pages(os, live->area, live->header.ring_offset) >= 0 &&
            (live->ring == NULL || os->lock_pages(os, live->ring, live->ring_bytes) >= 0);
    }
    return COMMITLOG_OK;
}

/* The directory of the file that LOCK names, and its name there. */
static int live_open_parent(const struct commitlog_os *os, int store_dirfd, const char *path,
                            const char **name)
{
    const char *slash = strrchr(path, '/');
    *name = slash == NULL ? path : slash + 1;
    if (slash == NULL) {
        return store_dirfd;
    }
    char dir[CLG_LIVE_PATH_MAX + 1];
    size_t dir_bytes = (size_t)(slash - path);
    if (dir_bytes == 0 || dir_bytes >= sizeof(dir)) {
        return -ENOENT; /* no name that we make */
    }
    memcpy(dir, path, dir_bytes);
    dir[dir_bytes] = '\0';
    return os->open_dir(os, dir);
}

/* Opens it without following a link in its last part. */
static int live_open_named(const struct commitlog_os *os, int store_dirfd, const char *path,
                           uint32_t flags)
{
    const char *name;
    int dirfd = live_open_parent(os, store_dirfd, path, &name);
    if (dirfd < 0) {
        return dirfd;
    }
    int fd = os->open_at(os, dirfd, name, flags, 0);
    if (dirfd != store_dirfd) {
        clg_os_close_fd(os, &dirfd);
    }
    return fd;
}

static int live_foreign(const char *path, int code, struct commitlog_error *err)
{
    return clg_fail(err, code, 0, CLG_NO_POSITION, "the live area %s does not belong to this store",
                    path);
}

static int live_check_file(struct clg_live *live, int store_dirfd, const char *path,
                           const uint8_t *uuid, const uint8_t *boot_id, struct commitlog_error *err)
{
    const struct commitlog_os *os = live->os;
    struct clg_os_stat file;
    struct clg_os_stat store;
    int rc = os->stat_fd(os, live->fd, &file);
    rc = rc < 0 ? rc : os->stat_fd(os, store_dirfd, &store);
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "look at the live area %s", path);
    }
    if (file.type != CLG_OS_FILE || !clg_live_owner_ok(file.uid, store.uid) ||
        (file.mode & 022u) != 0) {
        return live_foreign(path, COMMITLOG_EFOREIGN, err); /* somebody else could have put it */
    }
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    rc = clg_os_pread_all(os, live->fd, page, sizeof(page), 0);
    if (rc < 0 && rc != -ENODATA) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "read the live area %s", path);
    }
    rc = rc < 0 ? COMMITLOG_EFORMAT
                : clg_live_area_check(page, file.size_bytes, uuid, boot_id, &live->header);
    if (rc == COMMITLOG_OK &&
        (live->header.device != store.device || live->header.inode != store.inode)) {
        rc = COMMITLOG_EFOREIGN; /* a copy of the store elsewhere has the same UUID */
    }
    return rc == COMMITLOG_OK ? rc : live_foreign(path, rc, err);
}

/* Only when it is not there may the caller think that the writer has just gone, or shows none. */
static int live_fail_open(int rc, const char *path, struct commitlog_error *err)
{
    CLG_ASSERT(rc < 0);
    if (rc == -ENOENT) {
        return clg_fail(err, COMMITLOG_ENOTFOUND, ENOENT, CLG_NO_POSITION,
                        "there is no live area %s here", path);
    }
    if (rc == -EACCES || rc == -EPERM) {
        return clg_fail(err, COMMITLOG_EACCESS, -rc, CLG_NO_POSITION, CLG_LIVE_UNREADABLE, path);
    }
    return clg_fail_os(err, rc, CLG_NO_POSITION, "open the live area %s", path);
}

int clg_live_attach(struct clg_live *live, const struct commitlog_os *os, int store_dirfd,
                    const char *path, const uint8_t uuid[CLG_UUID_BYTES],
                    const uint8_t boot_id[CLG_BOOT_ID_BYTES], struct commitlog_error *err)
{
    CLG_ASSERT(path != NULL && uuid != NULL);
    memset(live, 0, sizeof(*live));
    live->os = os;
    live->dirfd = -1;
    live->fd = -1;
    if (path[0] == '\0') {
        return clg_fail(err, COMMITLOG_ENOTFOUND, 0, CLG_NO_POSITION,
                        "the writer keeps its live area in private memory");
    }
    int fd = live_open_named(os, store_dirfd, path, CLG_OS_OPEN_READ);
    if (fd < 0) {
        return live_fail_open(fd, path, err);
    }
    live->fd = fd;
    (void)snprintf(live->path, sizeof(live->path), "%s", path);
    int rc = live_check_file(live, store_dirfd, path, uuid, boot_id, err);
    if (rc != COMMITLOG_OK) {
        live_reset(live);
        return rc;
    }
    live->ring_bytes = live->header.ring_bytes;
    rc = live_map(live);
    if (rc < 0) {
        live_reset(live);
        return clg_fail_os(err, rc, CLG_NO_POSITION, "map the live area %s", path);
    }
    return COMMITLOG_OK;
}

void clg_live_wake(const struct clg_live *live)
{
    CLG_ASSERT(live->writable);
    clg_wake_word(live->os, &live->area->wake.published, true);
    clg_wake_word(live->os, &live->area->wake.durable, true);
}

void clg_live_retire(const struct commitlog_os *os, int store_dirfd, const char *path,
                     const uint8_t uuid[CLG_UUID_BYTES])
{
    struct clg_live old;
    memset(&old, 0, sizeof(old));
    old.os = os;
    old.dirfd = -1;
    int fd = path[0] == '\0'
                 ? -1
                 : live_open_named(os, store_dirfd, path, CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE);
    old.fd = fd >= 0 ? fd : -1;
    if (old.fd >= 0 && live_check_file(&old, store_dirfd, path, uuid, NULL, NULL) == COMMITLOG_OK) {
        old.writable = true;
        if (live_map(&old) >= 0) {
            /* One that says FAILED goes on saying it: only what is durable may be shown of it. */
            uint32_t open = CLG_LIVE_OPEN;
            (void)atomic_compare_exchange_strong(&old.area->closed.flag, &open, CLG_LIVE_CLOSED);
            clg_live_wake(&old);
        }
    }
    live_reset(&old);
}

static void live_unlink(const struct commitlog_os *os, int store_dirfd, const char *path)
{
    const char *name;
    int dirfd = live_open_parent(os, store_dirfd, path, &name);
    if (dirfd >= 0) {
        (void)os->unlink_at(os, dirfd, name);
    }
    if (dirfd >= 0 && dirfd != store_dirfd) {
        clg_os_close_fd(os, &dirfd);
    }
}

void clg_live_discard(const struct commitlog_os *os, int store_dirfd, const char *path,
                      const uint8_t uuid[CLG_UUID_BYTES])
{
    struct clg_live old;
    memset(&old, 0, sizeof(old));
    old.os = os;
    old.dirfd = -1;
    int fd = path[0] == '\0' ? -1 : live_open_named(os, store_dirfd, path, CLG_OS_OPEN_READ);
    old.fd = fd >= 0 ? fd : -1;
    if (old.fd >= 0 && live_check_file(&old, store_dirfd, path, uuid, NULL, NULL) == COMMITLOG_OK) {
        live_unlink(os, store_dirfd, path);
    }
    live_reset(&old);
}

void clg_live_discard_unnamed(const struct commitlog_os *os, int store_dirfd,
                              const uint8_t uuid[CLG_UUID_BYTES], uint64_t device, uint64_t inode,
                              const char *keep)
{
    char path[CLG_LIVE_PATH_MAX + 1];
    CLG_ASSERT(keep != NULL);
    if (strcmp(keep, LIVE_DIR_NAME) != 0) {
        clg_live_discard(os, store_dirfd, LIVE_DIR_NAME, uuid);
    }
    if (clg_live_tmpfs_path(os, path, uuid, device, inode) >= 0) {
        if (strcmp(keep, path) != 0) {
            clg_live_discard(os, store_dirfd, path, uuid);
        }
        /* One that died sooner has not given it its name. */
        size_t bytes = strlen(path);
        (void)snprintf(path + bytes, sizeof(path) - bytes, LIVE_TEMPORARY);
        live_unlink(os, store_dirfd, path);
    }
}

void clg_live_close(struct clg_live *live, bool remove_file)
{
    if (live->os == NULL) {
        return;
    }
    if (remove_file && live->writable && live->dirfd >= 0) {
        (void)live->os->unlink_at(live->os, live->dirfd, live->name);
    }
    live_reset(live);
}
