/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c -- a bundle as a store in memory; see disk.h. */
#include "disk.h"

#include <errno.h>
#include <string.h>

#include <sanitizer/asan_interface.h>

#include "base/checksum.h"
#include "check.h"
#include "format/limits.h"
#include "format/lock_file.h"
#include "segment/segment_name.h"

#define DISK_MAPS_MAX 64u
/* A header may ask for segments of 32 GiB: the disk is full then. */
#define DISK_FREE_BYTES (UINT64_C(16) << 20)

/* Blocks given out in place of maps; the os table has no room for state of ours. */
static void *disk_maps[DISK_MAPS_MAX];
static bool disk_exact;
static const struct commitlog_os *disk_machine_os;

/* Scans and readers take and give back large buffers all the time, and pages that are new each time
 * are what that costs. A block is used again for its exact size only, and AddressSanitizer is told
 * while nobody has it. */
#define DISK_LARGE_BYTES ((size_t)16 << 10)
#define DISK_LARGE_MAX 64u
#define DISK_KEPT_BYTES ((size_t)2 << 20)
static struct disk_large {
    void *block;
    size_t bytes;
    bool used;
} disk_large[DISK_LARGE_MAX];

static const char *const disk_folders[FUZZ_KINDS] = {
    [FUZZ_LOG] = "log/", [FUZZ_CQ] = "view/", [FUZZ_KEY] = "view/", [FUZZ_STATE] = "view/"};
static const char *const disk_names[FUZZ_KINDS] = {
    [FUZZ_CHECKPOINT] = "CHECKPOINT", [FUZZ_LOCK] = "LOCK", [FUZZ_LIVE] = "LIVE"};
static const enum clg_segment_file disk_kinds[FUZZ_KINDS] = {[FUZZ_LOG] = CLG_FILE_LOG,
                                                             [FUZZ_CQ] = CLG_FILE_CQ,
                                                             [FUZZ_KEY] = CLG_FILE_KEY,
                                                             [FUZZ_STATE] = CLG_FILE_STATE};

static void disk_drop(const struct commitlog_os *os, struct disk_large *large)
{
    if (large->block != NULL) {
        ASAN_UNPOISON_MEMORY_REGION(large->block, large->bytes);
        clg_os_default()->free(os, large->block);
    }
    *large = (struct disk_large){0};
}

static void *disk_alloc(const struct commitlog_os *os, size_t bytes)
{
    struct disk_large *place = NULL;
    for (uint32_t i = 0; bytes >= DISK_LARGE_BYTES && i < DISK_LARGE_MAX; i++) {
        if (!disk_large[i].used && disk_large[i].bytes == bytes) {
            disk_large[i].used = true;
            ASAN_UNPOISON_MEMORY_REGION(disk_large[i].block, bytes);
            memset(disk_large[i].block, 0, bytes);
            return disk_large[i].block;
        }
        place = disk_large[i].used ? place : &disk_large[i];
    }
    if (place == NULL) {
        return disk_machine_os->alloc(os, bytes);
    }
    void *block =
        clg_os_default()->alloc(os, bytes); /* it may outlive this machine, which counts */
    if (block != NULL) {
        disk_drop(os, place);
        *place = (struct disk_large){block, bytes, true};
    }
    return block;
}

static void disk_free(const struct commitlog_os *os, void *ptr)
{
    for (uint32_t i = 0; ptr != NULL && i < DISK_LARGE_MAX; i++) {
        if (disk_large[i].block == ptr) {
            FUZZ_CHECK(disk_large[i].used);
            disk_large[i].used = false;
            ASAN_POISON_MEMORY_REGION(ptr, disk_large[i].bytes);
            return;
        }
    }
    disk_machine_os->free(os, ptr);
}

static int disk_flush(const struct commitlog_os *os, int fd)
{
    (void)os;
    return fd < 0 ? -EBADF : 0;
}

static int disk_write_back(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size,
                           bool wait)
{
    (void)at;
    (void)size;
    (void)wait;
    return disk_flush(os, fd);
}

static int disk_drop_cache(const struct commitlog_os *os, int fd, uint64_t at, uint64_t size)
{
    return disk_write_back(os, fd, at, size, false);
}

static int disk_map(const struct commitlog_os *os, int fd, uint64_t at, size_t size, uint32_t prot,
                    uint32_t flags, void **out)
{
    uint32_t slot = 0;
    while (slot < DISK_MAPS_MAX && disk_maps[slot] != NULL) {
        slot++;
    }
    if (!disk_exact || prot != CLG_OS_PROT_READ || (flags & CLG_OS_MAP_ANONYMOUS) != 0 ||
        slot == DISK_MAPS_MAX) {
        return disk_machine_os->map(os, fd, at, size, prot, flags, out);
    }
    void *block = NULL;
    if (posix_memalign(&block, 4096, size) != 0) {
        return -ENOMEM;
    }
    int64_t got = clg_os_pread_most(os, fd, block, size, at);
    if (got < 0 || (uint64_t)got != size) {
        /* A map may go beyond the end of its file; touching that is a signal. None of ours does. */
        struct clg_os_stat stat;
        FUZZ_CHECK(os->stat_fd(os, fd, &stat) >= 0 && at + size <= stat.size_bytes);
        free(block);
        return got < 0 ? (int)got : -EIO;
    }
    disk_maps[slot] = block;
    *out = block;
    return 0;
}

static int disk_unmap(const struct commitlog_os *os, void *addr, size_t size)
{
    for (uint32_t i = 0; i < DISK_MAPS_MAX; i++) {
        if (disk_maps[i] == addr) {
            disk_maps[i] = NULL;
            free(addr);
            return 0;
        }
    }
    return disk_machine_os->unmap(os, addr, size);
}

/* Pages of a block of ours are not to be dropped or taken from children. */
static int disk_advise(const struct commitlog_os *os, void *addr, size_t size,
                       enum clg_os_advice advice)
{
    (void)os;
    (void)addr;
    (void)size;
    (void)advice;
    return 0;
}

void fuzz_disk_set_exact(bool exact)
{
    disk_exact = exact;
}

void fuzz_disk_set_cheap(struct fuzz_disk *disk, bool cheap)
{
    disk->os = *disk_machine_os;
    disk->os.free = disk_free; /* of both kinds of blocks */
    if (cheap) {
        disk->os.alloc = disk_alloc;
        disk->os.fsync = disk_flush;
        disk->os.fdatasync = disk_flush;
        disk->os.write_back = disk_write_back;
        disk->os.drop_cache = disk_drop_cache;
        disk->os.map = disk_map;
        disk->os.unmap = disk_unmap;
        disk->os.advise = disk_advise;
    }
}

void fuzz_disk_make(struct fuzz_disk *disk)
{
    FUZZ_CHECK(commitlog_fault_create(1, &disk->machine) == COMMITLOG_OK);
    disk_machine_os = commitlog_fault_os(disk->machine);
    commitlog_fault_set_free(disk->machine, DISK_FREE_BYTES);
    commitlog_fault_set_sector(disk->machine, 4096);
    disk_exact = false;
    fuzz_disk_set_cheap(disk, true);
    FUZZ_CHECK(disk->os.mkdir_path(&disk->os, FUZZ_STORE, 0700) >= 0);
}

/* Where the live area lies: DIR/LIVE, or the path in tmpfs that LOCK gives. */
static const char *disk_live_path(const struct fuzz_bundle *bundle, struct clg_lock_file *lock)
{
    static const char tmpfs[] = "/shm/";
    for (uint32_t i = 0; i < bundle->count; i++) {
        const struct fuzz_file *file = &bundle->files[i];
        if (file->kind == FUZZ_LOCK) {
            bool good = clg_lock_file_decode(file->data, file->bytes, NULL, lock) == 0;
            const char *path = lock->live_path;
            return good && strncmp(path, tmpfs, strlen(tmpfs)) == 0 &&
                           strchr(path + strlen(tmpfs), '/') == NULL && strlen(path) > strlen(tmpfs)
                       ? path
                       : NULL;
        }
    }
    return NULL;
}

/* The name in its folder. */
static void disk_name(const struct fuzz_file *file, char name[CLG_SEGMENT_NAME_BYTES])
{
    if (disk_folders[file->kind] != NULL) {
        clg_segment_name_make(name, disk_kinds[file->kind], file->position);
    } else {
        (void)snprintf(name, CLG_SEGMENT_NAME_BYTES, "%s", disk_names[file->kind]);
    }
}

bool fuzz_file_path(const struct fuzz_file *file, char path[FUZZ_PATH_BYTES])
{
    char name[CLG_SEGMENT_NAME_BYTES];
    const char *folder = disk_folders[file->kind];
    if ((folder == NULL && disk_names[file->kind] == NULL) || file->position > CLG_POSITION_MAX) {
        return false;
    }
    disk_name(file, name);
    (void)snprintf(path, FUZZ_PATH_BYTES, "%s/%s%s", FUZZ_STORE, folder != NULL ? folder : "",
                   name);
    return true;
}

static void disk_put(struct fuzz_disk *disk, int dirfd, const char *name,
                     const struct fuzz_file *file)
{
    const struct commitlog_os *os = &disk->os;
    int fd = os->open_at(os, dirfd, name,
                         CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE | CLG_OS_OPEN_EXCLUSIVE, 0600);
    if (fd == -EEXIST) {
        return;
    }
    FUZZ_CHECK(fd >= 0);
    if (file->bytes > 0) {
        FUZZ_CHECK(clg_os_pwrite_all(os, fd, file->data, file->bytes, 0) == 0);
    }
    FUZZ_CHECK(os->close(os, fd) >= 0);
}

struct disk_folders {
    int store;
    int log;
    int view;
};

static void disk_put_other(struct fuzz_disk *disk, const struct disk_folders *folders,
                           const struct fuzz_file *file)
{
    const struct commitlog_os *os = &disk->os;
    uint64_t position = file->position / FUZZ_OTHERS;
    char name[CLG_SEGMENT_NAME_BYTES];
    enum fuzz_other other = (enum fuzz_other)(file->position % FUZZ_OTHERS);
    switch (other) {
    case FUZZ_OTHER_LOG_TMP:
    case FUZZ_OTHER_CQ_TMP:
    case FUZZ_OTHER_KEY_TMP:
    case FUZZ_OTHER_STATE_TMP:
        clg_segment_name_make_temp(name, disk_kinds[other], position);
        disk_put(disk, other == FUZZ_OTHER_LOG_TMP ? folders->log : folders->view, name, file);
        break;
    case FUZZ_OTHER_CHECKPOINT_TMP:
        disk_put(disk, folders->store, "CHECKPOINT.tmp", file);
        break;
    case FUZZ_OTHER_FOREIGN:
        disk_put(disk, folders->log, "x", file);
        break;
    case FUZZ_OTHER_STRANGER:
        disk_put(disk, folders->store, "x", file);
        break;
    case FUZZ_OTHER_DIRECTORY:
        clg_segment_name_make(name, CLG_FILE_LOG, position);
        int rc = os->mkdir_at(os, folders->log, name, 0700);
        FUZZ_CHECK(rc >= 0 || rc == -EEXIST);
        break;
    case FUZZ_OTHERS:
        break;
    }
}

static void disk_put_live(struct fuzz_disk *disk, const char *path, const struct fuzz_file *file)
{
    const struct commitlog_os *os = &disk->os;
    int fd = os->open_dir(os, "/shm");
    FUZZ_CHECK(fd >= 0);
    disk_put(disk, fd, strrchr(path, '/') + 1, file);
    FUZZ_CHECK(os->close(os, fd) >= 0);
}

void fuzz_disk_load(struct fuzz_disk *disk, const struct fuzz_bundle *bundle)
{
    struct clg_lock_file lock;
    fuzz_disk_make(disk);
    const struct commitlog_os *os = &disk->os;
    struct disk_folders folders = {.store = os->open_dir(os, FUZZ_STORE)};
    FUZZ_CHECK(folders.store >= 0 && os->mkdir_at(os, folders.store, "log", 0700) >= 0 &&
               os->mkdir_at(os, folders.store, "view", 0700) >= 0 &&
               os->mkdir_at(os, folders.store, "quarantine", 0700) >= 0);
    folders.log = os->open_dir(os, FUZZ_STORE "/log");
    folders.view = os->open_dir(os, FUZZ_STORE "/view");
    FUZZ_CHECK(folders.log >= 0 && folders.view >= 0);
    const char *live = disk_live_path(bundle, &lock);
    for (uint32_t i = 0; i < bundle->count; i++) {
        const struct fuzz_file *file = &bundle->files[i];
        char name[CLG_SEGMENT_NAME_BYTES];
        if (file->kind == FUZZ_OTHER) {
            if (file->position / FUZZ_OTHERS <= CLG_POSITION_MAX) {
                disk_put_other(disk, &folders, file);
            }
        } else if (file->kind == FUZZ_LIVE && live != NULL) {
            disk_put_live(disk, live, file);
        } else if (disk_folders[file->kind] != NULL && file->position <= CLG_POSITION_MAX) {
            disk_name(file, name);
            disk_put(disk, file->kind == FUZZ_LOG ? folders.log : folders.view, name, file);
        } else if (disk_names[file->kind] != NULL) {
            disk_put(disk, folders.store, disk_names[file->kind], file);
        }
    }
    FUZZ_CHECK(os->close(os, folders.log) >= 0 && os->close(os, folders.view) >= 0 &&
               os->close(os, folders.store) >= 0);
}

static void disk_save_file(struct fuzz_disk *disk, struct fuzz_bundle *out, uint8_t kind,
                           uint64_t position, const char *path)
{
    const void *data;
    uint64_t bytes;
    if (commitlog_fault_content(disk->machine, path, &data, &bytes) != COMMITLOG_OK) {
        return;
    }
    struct fuzz_file *file =
        bytes > FUZZ_FILE_BYTES_MAX ? NULL : fuzz_bundle_add(out, kind, position, (uint32_t)bytes);
    if (file != NULL) {
        memcpy(file->data, data, (size_t)bytes);
    }
}

void fuzz_disk_save(struct fuzz_disk *disk, struct fuzz_bundle *out)
{
    static const char *const folders[] = {FUZZ_STORE "/log", FUZZ_STORE "/view"};
    const char *name;
    char path[320];
    memset(out, 0, sizeof(*out));
    for (uint32_t f = 0; f < 2; f++) {
        for (uint32_t i = 0; commitlog_fault_name(disk->machine, folders[f], i, &name) == 0; i++) {
            struct clg_segment_name parsed;
            if (!clg_segment_name_parse(name, &parsed) || parsed.temporary) {
                continue;
            }
            for (uint8_t kind = FUZZ_LOG; kind <= FUZZ_STATE; kind++) {
                if (disk_kinds[kind] == parsed.kind) {
                    (void)snprintf(path, sizeof(path), "%s/%s", folders[f], name);
                    disk_save_file(disk, out, kind, parsed.position, path);
                }
            }
        }
    }
    for (uint8_t kind = FUZZ_CHECKPOINT; kind <= FUZZ_LIVE; kind++) {
        (void)snprintf(path, sizeof(path), "%s/%s", FUZZ_STORE, disk_names[kind]);
        disk_save_file(disk, out, kind, 0, path);
    }
    if (fuzz_bundle_find(out, FUZZ_LIVE) == NULL &&
        commitlog_fault_name(disk->machine, "/shm", 0, &name) == 0) {
        (void)snprintf(path, sizeof(path), "/shm/%s", name);
        disk_save_file(disk, out, FUZZ_LIVE, 0, path);
    }
}

void fuzz_disk_free(struct fuzz_disk *disk)
{
    for (uint32_t i = 0; i < DISK_MAPS_MAX; i++) {
        FUZZ_CHECK(disk_maps[i] == NULL);
    }
    for (uint32_t i = 0; i < DISK_LARGE_MAX; i++) {
        FUZZ_CHECK(!disk_large[i].used);
        if (disk_large[i].bytes > DISK_KEPT_BYTES) {
            disk_drop(&disk->os, &disk_large[i]);
        }
    }
    commitlog_fault_free(disk->machine);
}

uint64_t fuzz_disk_hash(struct fuzz_disk *disk, const char *below)
{
    char dir[64];
    char path[400];
    const char *name;
    uint64_t sum = 0;
    (void)snprintf(dir, sizeof(dir), "%s%s", FUZZ_STORE, below);
    for (uint32_t i = 0; commitlog_fault_name(disk->machine, dir, i, &name) == 0; i++) {
        const void *data;
        uint64_t bytes;
        (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
        uint64_t seed = clg_hash64(path, strlen(path), 0);
        if (commitlog_fault_content(disk->machine, path, &data, &bytes) == COMMITLOG_OK) {
            sum += clg_hash64(data, (size_t)bytes, seed + bytes);
        } else {
            sum += seed + fuzz_disk_hash(disk, path + strlen(FUZZ_STORE));
        }
    }
    return sum;
}
