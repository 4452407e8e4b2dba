/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault_disk.c -- a disk with a volatile write cache, as one file of a FUSE file system.
 *
 *     fault_disk PLATTER DIRECTORY     serves DIRECTORY/disk and DIRECTORY/ctl until unmounted
 *
 * A loop device and a file system of the running kernel go on top of DIRECTORY/disk. What is
 * written is in the cache until a flush (FUSE's fsync) puts it on the platter; a power cut decides
 * for each cached piece whether it had got there by itself.
 *
 * Commands, one for each write to DIRECTORY/ctl:
 *     cut drop | cut keep | cut random SEED PERCENT
 *                             the power goes: nothing, all, or so many of a hundred cached pieces
 *                             survive, each for itself, and every request fails from then on
 *     arm write|flush N CUT   the same as CUT (as above, without the word) at the N-th request of
 *                             that kind from now, in the middle of it
 *     revive                  the power is back
 *     fail KIND N COUNT       the N-th request of that kind from now and COUNT - 1 behind it fail
 *                             with EIO. KIND: read, write, flush, or the writes of one sort by what
 *                             is in them: journal (of ext4 or xfs; the log trees of btrfs),
 *                             checkpoint and data (of a store), meta (what is none of these)
 *     bad OFFSET BYTES        reads of this range fail; what is written of it, whole or from an
 *                             end, can be read again
 *     lie on|off              flushes are confirmed and not done: a disk that breaks its promise
 *     slow MS                 each flush takes so much longer, and all requests wait for it
 *     reset                   no faults from now on
 * Reading DIRECTORY/ctl gives the counters as NAME=VALUE words.
 *
 * Owns: the platter file, the cache. No threads.
 * Invariants: 1. `front`, a private mapping of the platter, is what reads see: the platter with the
 *       cache over it; 2. a page of it differs from the platter only where a piece is cached, so
 *       dropping its private pages is the loss of the cache; 3. a piece never crosses PIECE_BYTES,
 *       the unit that is written whole or not at all (file systems rely on more than a sector);
 *       4. pieces reach the platter in the order in which they were written, so of two versions of
 *       a block the older one may be what survives.
 * Failure modes: no memory or no platter ends it, which the kernel sees as a dead disk.
 */
#define _GNU_SOURCE
#define FUSE_USE_VERSION 31
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE_BYTES = 4096, COMMAND_BYTES = 512, SLOW_MS_MAX = 1000 };

struct piece {
    struct piece *next;
    size_t at;
    size_t bytes;
    uint8_t data[];
};

/* The kinds from REQUEST_DATA on are sorts of writes; such a request counts for both. */
enum request {
    REQUEST_READ,
    REQUEST_WRITE,
    REQUEST_FLUSH,
    REQUEST_DATA,
    REQUEST_JOURNAL,
    REQUEST_CHECKPOINT,
    REQUEST_META,
    REQUESTS
};
static const char *const request_names[REQUESTS] = {"read",    "write",      "flush", "data",
                                                    "journal", "checkpoint", "meta"};

struct fault {
    uint64_t from; /* number of the first request that fails; 0: none */
    uint64_t count;
};

struct disk {
    int platter;
    uint8_t *front;
    size_t bytes;
    struct piece *first;
    struct piece **last;
    uint64_t cached;
    bool off;
    bool lies;
    unsigned slow_ms;
    uint64_t requests[REQUESTS];
    struct fault faults[REQUESTS];
    uint64_t failed; /* requests that a fault made fail, not those without power */
    uint64_t armed_at[REQUESTS];
    char armed_cut[COMMAND_BYTES];
    size_t bad_at;
    size_t bad_bytes;
};

static struct disk disk = {.platter = -1, .last = &disk.first};

static _Noreturn void give_up(const char *what)
{
    perror(what);
    _exit(1);
}

static uint64_t mix(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* ---- the cache ---------------------------------------------------------------------------------
 */

static void cache_add(const uint8_t *data, size_t bytes, size_t at)
{
    memcpy(disk.front + at, data, bytes);
    while (bytes > 0) {
        size_t room = PIECE_BYTES - at % PIECE_BYTES;
        size_t part = bytes < room ? bytes : room;
        struct piece *piece = malloc(sizeof *piece + part);
        if (piece == NULL)
            give_up("cache");
        piece->next = NULL;
        piece->at = at;
        piece->bytes = part;
        memcpy(piece->data, data, part);
        *disk.last = piece;
        disk.last = &piece->next;
        disk.cached++;
        data += part;
        at += part;
        bytes -= part;
    }
}

/* Empties the cache; `percent` of the pieces reach the platter. */
static void cache_end(uint64_t seed, uint64_t percent)
{
    struct piece *next = NULL;
    for (struct piece *piece = disk.first; piece != NULL; piece = next) {
        next = piece->next;
        if ((percent >= 100 || mix(&seed) % 100 < percent) &&
            pwrite(disk.platter, piece->data, piece->bytes, (off_t)piece->at) !=
                (ssize_t)piece->bytes)
            give_up("platter");
        free(piece);
    }
    disk.first = NULL;
    disk.last = &disk.first;
    disk.cached = 0;
    if (madvise(disk.front, disk.bytes, MADV_DONTNEED) != 0)
        give_up("front");
}

/* ---- commands ----------------------------------------------------------------------------------
 */

static bool command_cut(const char *how)
{
    unsigned long long seed = 0, percent = 0;
    if (strcmp(how, "keep") == 0)
        percent = 100;
    else if (strcmp(how, "drop") != 0 && sscanf(how, "random %llu %llu", &seed, &percent) != 2)
        return false;
    cache_end(seed, percent);
    disk.off = true;
    return true;
}

static int request_named(const char *name)
{
    for (int i = 0; i < REQUESTS; i++)
        if (strcmp(name, request_names[i]) == 0)
            return i;
    return -1;
}

static void faults_reset(void)
{
    memset(disk.faults, 0, sizeof disk.faults);
    memset(disk.armed_at, 0, sizeof disk.armed_at);
    disk.bad_bytes = 0;
    disk.lies = false;
    disk.slow_ms = 0;
}

static bool command_run(const char *text)
{
    char name[16] = "";
    unsigned long long a = 0, b = 0;
    int used = 0, kind = -1;
    if (strncmp(text, "cut ", 4) == 0)
        return command_cut(text + 4);
    if (sscanf(text, "arm %15s %llu %n", name, &a, &used) == 2 && used > 0) {
        kind = request_named(name);
        if (kind < 0 || a == 0)
            return false;
        disk.armed_at[kind] = disk.requests[kind] + a;
        snprintf(disk.armed_cut, sizeof disk.armed_cut, "%s", text + used);
        return true;
    }
    if (sscanf(text, "fail %15s %llu %llu", name, &a, &b) == 3) {
        kind = request_named(name);
        if (kind < 0 || a == 0)
            return false;
        disk.faults[kind] = (struct fault){disk.requests[kind] + a, b};
        return true;
    }
    if (sscanf(text, "bad %llu %llu", &a, &b) == 2) {
        disk.bad_at = a;
        disk.bad_bytes = b;
        return true;
    }
    if (sscanf(text, "slow %llu", &a) == 1 && a <= SLOW_MS_MAX)
        disk.slow_ms = (unsigned)a;
    else if (strcmp(text, "revive") == 0)
        disk.off = false;
    else if (strcmp(text, "lie on") == 0 || strcmp(text, "lie off") == 0)
        disk.lies = text[5] == 'n';
    else if (strcmp(text, "reset") == 0)
        faults_reset();
    else
        return false;
    return true;
}

static int counters_text(char *out, size_t room)
{
    int used = 0;
    for (int i = 0; i < REQUESTS; i++)
        used += snprintf(out + used, room - (size_t)used, "%s=%llu ", request_names[i],
                         (unsigned long long)disk.requests[i]);
    return used + snprintf(out + used, room - (size_t)used, "cached=%llu failed=%llu off=%d\n",
                           (unsigned long long)disk.cached, (unsigned long long)disk.failed,
                           disk.off);
}

/* ---- requests ----------------------------------------------------------------------------------
 */

/* What a write is, by the marks that each has in its first bytes, and a store's data in bodies. */
static enum request write_sort(const char *data, size_t bytes)
{
    static const uint8_t jbd2[] = {0xc0, 0x3b, 0x39, 0x98};
    static const uint8_t xfs_log[] = {0xfe, 0xed, 0xba, 0xbe};
    static const uint8_t checkpoint[] = {0x89, 'C', 'L', 'G', 'C', 'H', 'K', 'T'};
    static const uint8_t log_tree[] = {0xfa, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t body[] = {'l', 'l', 'i', 'k', ' ', 'g', 'o', 'l'};
    enum { LOG_TREE_AT = 88 };
    if (bytes < PIECE_BYTES / 8)
        return REQUEST_META;
    if (memcmp(data, jbd2, sizeof jbd2) == 0 || memcmp(data, xfs_log, sizeof xfs_log) == 0 ||
        memcmp(data + LOG_TREE_AT, log_tree, sizeof log_tree) == 0)
        return REQUEST_JOURNAL;
    if (memcmp(data, checkpoint, sizeof checkpoint) == 0)
        return REQUEST_CHECKPOINT;
    return memmem(data, bytes, body, sizeof body) != NULL ? REQUEST_DATA : REQUEST_META;
}

/* Counts a request; false if it must fail. */
static bool request_begin(enum request kind)
{
    const struct fault *fault = &disk.faults[kind];
    uint64_t number = 0;
    if (disk.off)
        return false;
    number = ++disk.requests[kind];
    if (fault->from != 0 && number >= fault->from && number - fault->from < fault->count) {
        disk.failed++;
        return false;
    }
    return true;
}

/* The armed cut, if this request is the one; then the request fails. */
static bool request_cut(enum request kind)
{
    if (disk.armed_at[kind] == 0 || disk.requests[kind] < disk.armed_at[kind])
        return false;
    memset(disk.armed_at, 0, sizeof disk.armed_at);
    if (!command_cut(disk.armed_cut))
        fprintf(stderr, "fault_disk: no such cut: %s\n", disk.armed_cut);
    return disk.off;
}

static bool is_disk(const char *path)
{
    return strcmp(path, "/disk") == 0;
}

static bool is_ctl(const char *path)
{
    return strcmp(path, "/ctl") == 0;
}

static int on_getattr(const char *path, struct stat *out, struct fuse_file_info *info)
{
    (void)info;
    memset(out, 0, sizeof *out);
    out->st_nlink = 1;
    out->st_mode = S_IFREG | 0600;
    if (strcmp(path, "/") == 0) {
        out->st_mode = S_IFDIR | 0700;
        out->st_nlink = 2;
    } else if (is_disk(path)) {
        out->st_size = (off_t)disk.bytes;
    } else if (is_ctl(path)) {
        out->st_size = COMMAND_BYTES;
    } else {
        return -ENOENT;
    }
    return 0;
}

static int on_readdir(const char *path, void *room, fuse_fill_dir_t fill, off_t at,
                      struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    (void)path, (void)at, (void)info, (void)flags;
    fill(room, "disk", NULL, 0, 0);
    fill(room, "ctl", NULL, 0, 0);
    return 0;
}

static int on_open(const char *path, struct fuse_file_info *info)
{
    (void)path;
    info->direct_io = 1; /* the cache is ours, not the kernel's */
    return 0;
}

static int on_truncate(const char *path, off_t bytes, struct fuse_file_info *info)
{
    (void)bytes, (void)info;
    return is_ctl(path) ? 0 : -EPERM; /* a shell's > truncates */
}

static int on_read(const char *path, char *out, size_t bytes, off_t offset,
                   struct fuse_file_info *info)
{
    size_t at = (size_t)offset;
    (void)info;
    if (is_ctl(path)) {
        char text[COMMAND_BYTES];
        size_t length = (size_t)counters_text(text, sizeof text);
        if (at >= length)
            return 0;
        bytes = bytes < length - at ? bytes : length - at;
        memcpy(out, text + at, bytes);
        return (int)bytes;
    }
    if (!request_begin(REQUEST_READ))
        return -EIO;
    if (at >= disk.bytes)
        return 0;
    bytes = bytes < disk.bytes - at ? bytes : disk.bytes - at;
    if (disk.bad_bytes > 0 && at < disk.bad_at + disk.bad_bytes && disk.bad_at < at + bytes) {
        disk.failed++;
        return -EIO;
    }
    memcpy(out, disk.front + at, bytes);
    return (int)bytes;
}

/* What is written can be read again: a disk puts it elsewhere. */
static void bad_written(size_t at, size_t bytes)
{
    size_t end = disk.bad_at + disk.bad_bytes;
    if (disk.bad_bytes == 0 || at >= end || at + bytes <= disk.bad_at)
        return;
    if (at <= disk.bad_at) {
        disk.bad_at = at + bytes < end ? at + bytes : end;
        disk.bad_bytes = end - disk.bad_at;
    } else if (at + bytes >= end) {
        disk.bad_bytes = at - disk.bad_at;
    }
}

static int on_write(const char *path, const char *data, size_t bytes, off_t offset,
                    struct fuse_file_info *info)
{
    size_t at = (size_t)offset;
    bool passes = false;
    (void)info;
    if (is_ctl(path)) {
        char text[COMMAND_BYTES];
        size_t length = bytes < sizeof text - 1 ? bytes : sizeof text - 1;
        memcpy(text, data, length);
        text[length] = '\0';
        text[strcspn(text, "\n")] = '\0';
        return command_run(text) ? (int)bytes : -EINVAL;
    }
    if (at >= disk.bytes || bytes > disk.bytes - at)
        return -ENOSPC;
    passes = request_begin(REQUEST_WRITE);
    passes = request_begin(write_sort(data, bytes)) && passes;
    if (!passes)
        return -EIO;
    cache_add((const uint8_t *)data, bytes, at);
    if (request_cut(REQUEST_WRITE))
        return -EIO;
    bad_written(at, bytes);
    return (int)bytes;
}

static int on_fsync(const char *path, int data_only, struct fuse_file_info *info)
{
    (void)data_only, (void)info;
    if (!is_disk(path))
        return 0;
    if (disk.slow_ms > 0)
        usleep(disk.slow_ms * 1000);
    if (!request_begin(REQUEST_FLUSH) || request_cut(REQUEST_FLUSH))
        return -EIO;
    if (!disk.lies)
        cache_end(0, 100);
    return 0;
}

static int on_fallocate(const char *path, int mode, off_t at, off_t bytes,
                        struct fuse_file_info *info)
{
    (void)path, (void)mode, (void)at, (void)bytes, (void)info;
    return -EOPNOTSUPP; /* no discard: the loop device then offers none */
}

static const struct fuse_operations operations = {.getattr = on_getattr,
                                                  .readdir = on_readdir,
                                                  .open = on_open,
                                                  .truncate = on_truncate,
                                                  .read = on_read,
                                                  .write = on_write,
                                                  .fsync = on_fsync,
                                                  .fallocate = on_fallocate};

int main(int argc, char **argv)
{
    char single[] = "-s", foreground[] = "-f";
    struct stat found;
    if (argc != 3) {
        fprintf(stderr, "usage: fault_disk PLATTER DIRECTORY\n");
        return 2;
    }
    char *arguments[] = {argv[0], single, foreground, argv[2], NULL};
    disk.platter = open(argv[1], O_RDWR | O_CLOEXEC);
    if (disk.platter < 0 || fstat(disk.platter, &found) != 0)
        give_up(argv[1]);
    disk.bytes = (size_t)found.st_size;
    disk.front = mmap(NULL, disk.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE,
                      disk.platter, 0);
    if (disk.front == MAP_FAILED)
        give_up("mmap");
    return fuse_main(4, arguments, &operations, NULL);
}
