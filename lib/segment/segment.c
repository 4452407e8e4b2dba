/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.c -- life of an open segment: references, descriptor, maps, reads, writes, unlink.
 *
 * Invariants: see segment.h. A descriptor that is in use (fd_users > 0), belongs to a segment that
 *       is not sealed, or can no longer be had by name is not closed before the last reference.
 * Threads and locks: `lock` around descriptor and map making; the I/O itself runs outside of it.
 * Happy path: pread: users + 1, read, users - 1. map: one acquire load.
 * Failure modes: every text begins with the file's name.
 */
#include "segment/segment.h"

#include <errno.h>
#include <inttypes.h>

#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
#include "segment/segment_name.h"

CLG_STATIC_ASSERT(sizeof(uintptr_t) == sizeof(uint64_t), "a map's address fits its atomic word");

/* All texts of this file: name, then what was done. */
static int segment_fail_os(const struct clg_segment *segment, int rc, uint64_t position,
                           const char *what, struct commitlog_error *err)
{
    CLG_ASSERT(rc < 0);
    CLG_ASSERT(what != NULL);
    if (rc == -ENODATA) {
        return clg_fail(err, COMMITLOG_EDAMAGED, ENODATA, position,
                        "segment %020" PRIu64 ".log: %s at %" PRIu64
                        ": the file ends before, at %" PRIu64 " of %" PRIu64 " bytes",
                        segment->base, what, position, segment->file_bytes, segment->bytes);
    }
    return clg_fail_os(err, rc, position, "segment %020" PRIu64 ".log: %s at %" PRIu64,
                       segment->base, what, position);
}

static int segment_fail_read_only(const struct clg_segment *segment, uint64_t position,
                                  struct commitlog_error *err)
{
    CLG_ASSERT(segment != NULL);
    CLG_ASSERT(position >= segment->base);
    return clg_fail(err, COMMITLOG_EMISUSE, 0, position,
                    "segment %020" PRIu64 ".log: not open for writing", segment->base);
}

int clg_segment_wrap_fd(const struct clg_segment_dir *dir, const struct clg_segment_header *header,
                        int fd, bool writable, struct clg_segment **out,
                        struct commitlog_error *err)
{
    CLG_ASSERT(fd >= 0);
    CLG_ASSERT(clg_segment_size_ok(header->size));
    struct clg_segment *segment = dir->os->alloc(dir->os, sizeof(*segment));
    if (segment == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, header->base, "segment %020" PRIu64 ".log",
                        header->base);
    }
    segment->dir = dir;
    segment->base = header->base;
    segment->bytes = header->size;
    segment->data_start = clg_segment_data_start(header);
    segment->data_end = clg_segment_data_end(header);
    segment->salt = header->salt;
    segment->header = *header;
    segment->file_bytes = header->size;
    segment->fd = fd;
    segment->fd_writable = writable;
    clg_mutex_init(&segment->lock);
    clg_store_relaxed_u32(&segment->refs, 1);
    clg_segment_invariants(segment);
    *out = segment;
    return 0;
}

void clg_segment_ref(struct clg_segment *segment)
{
    uint32_t before = clg_add_relaxed_u32(&segment->refs, 1);
    CLG_ASSERT(before > 0);
    CLG_ASSERT(before < UINT32_MAX);
    (void)before;
}

static void segment_destroy(struct clg_segment *segment)
{
    const struct commitlog_os *os = segment->dir->os;
    CLG_ASSERT(clg_load_relaxed_u32(&segment->refs) == 0);
    CLG_ASSERT(segment->fd_users == 0);
    uint64_t map = clg_load_relaxed_u64(&segment->map);
    if (map != 0) {
        (void)os->unmap(os, (void *)(uintptr_t)map, (size_t)segment->bytes);
    }
    if (segment->write_map != NULL) {
        (void)os->unmap(os, segment->write_map, (size_t)segment->bytes);
    }
    clg_os_close_fd(os, &segment->fd);
    os->free(os, segment);
}

void clg_segment_unref(struct clg_segment *segment)
{
    if (segment == NULL) {
        return;
    }
    /* acq_rel: what other holders did with the maps happens before they go away. */
    uint32_t before = clg_sub_acqrel_u32(&segment->refs, 1);
    CLG_ASSERT(before > 0);
    if (before == 1) {
        segment_destroy(segment);
    }
}

uint32_t clg_segment_flags(const struct clg_segment *segment)
{
    uint32_t flags = clg_load_acquire_u32(&segment->flags); /* ORDER(segment-sealed) */
    CLG_ASSERT((flags & ~(uint32_t)(CLG_SEGMENT_SEALED | CLG_SEGMENT_UNLINKED)) == 0);
    return flags;
}

/* Under lock. The descriptor, opened again if it was closed; or a negative errno. */
static int segment_fd_locked(struct clg_segment *segment)
{
    CLG_ASSERT(clg_mutex_is_held(&segment->lock));
    if (segment->fd >= 0) {
        return segment->fd;
    }
    CLG_ASSERT(!segment->held_open);
    if ((clg_segment_flags(segment) & CLG_SEGMENT_UNLINKED) != 0) {
        return -ENOENT;
    }
    const struct clg_segment_dir *dir = segment->dir;
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, segment->base);
    int fd = dir->os->open_at(dir->os, dir->fd, name, CLG_OS_OPEN_READ, 0);
    if (fd >= 0) {
        segment->fd = fd;
        segment->fd_writable = false;
    }
    return fd;
}

/* The descriptor with a user counted, so that nobody closes it; -EBADF: not one for writing. */
static int segment_fd_get(struct clg_segment *segment, bool for_writing)
{
    const struct commitlog_os *os = segment->dir->os;
    clg_mutex_lock(os, &segment->lock);
    int fd = for_writing && !segment->fd_writable ? -EBADF : segment_fd_locked(segment);
    if (fd >= 0) {
        segment->fd_users++;
        CLG_ASSERT(segment->fd_users > 0);
    }
    clg_mutex_unlock(os, &segment->lock);
    return fd;
}

static void segment_fd_put(struct clg_segment *segment)
{
    const struct commitlog_os *os = segment->dir->os;
    clg_mutex_lock(os, &segment->lock);
    CLG_ASSERT(segment->fd_users > 0);
    CLG_ASSERT(segment->fd >= 0);
    segment->fd_users--;
    clg_mutex_unlock(os, &segment->lock);
}

bool clg_segment_close_idle(struct clg_segment *segment)
{
    const struct commitlog_os *os = segment->dir->os;
    bool closed = false;
    clg_mutex_lock(os, &segment->lock);
    bool sealed = (clg_segment_flags(segment) & CLG_SEGMENT_SEALED) != 0;
    if (sealed && segment->fd >= 0 && segment->fd_users == 0 && !segment->held_open &&
        segment->write_map == NULL) {
        clg_os_close_fd(os, &segment->fd);
        segment->fd_writable = false;
        closed = true;
    }
    CLG_ASSERT(!closed || segment->fd == -1);
    clg_mutex_unlock(os, &segment->lock);
    return closed;
}

int clg_segment_make_writable(struct clg_segment *segment, struct commitlog_error *err)
{
    const struct clg_segment_dir *dir = segment->dir;
    CLG_ASSERT((clg_segment_flags(segment) & CLG_SEGMENT_UNLINKED) == 0);
    if (dir->read_only || clg_segment_is_short(segment)) {
        return segment_fail_read_only(segment, segment->base, err);
    }
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, segment->base);
    int rc = 0;
    clg_mutex_lock(dir->os, &segment->lock);
    if (!segment->fd_writable) {
        rc = segment->fd_users > 0 ? -EBUSY
                                   : dir->os->open_at(dir->os, dir->fd, name,
                                                      CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE, 0);
        if (rc >= 0) {
            clg_os_close_fd(dir->os, &segment->fd);
            segment->fd = rc;
            segment->fd_writable = true;
        }
    }
    CLG_ASSERT(rc < 0 || segment->fd >= 0);
    clg_mutex_unlock(dir->os, &segment->lock);
    if (rc < 0) {
        return segment_fail_os(segment, rc, segment->base, "open for writing", err);
    }
    return 0;
}

int clg_segment_map(struct clg_segment *segment, const uint8_t **out, struct commitlog_error *err)
{
    CLG_ASSERT(out != NULL);
    uint64_t map = clg_load_acquire_u64(&segment->map); /* ORDER(segment-map) */
    if (CLG_LIKELY(map != 0)) {
        *out = (const uint8_t *)(uintptr_t)map;
        return 0;
    }
    if (clg_segment_is_short(segment)) {
        return segment_fail_os(segment, -ENODATA, segment->base + segment->file_bytes, "map", err);
    }
    const struct commitlog_os *os = segment->dir->os;
    clg_mutex_lock(os, &segment->lock);
    int rc = 0;
    map = clg_load_relaxed_u64(&segment->map);
    if (map == 0) {
        void *address = NULL;
        bool opens = segment->fd < 0;
        int fd = segment_fd_locked(segment);
        rc = fd < 0 ? fd
                    : os->map(os, fd, 0, (size_t)segment->bytes, CLG_OS_PROT_READ,
                              CLG_OS_MAP_SHARED, &address);
        if (opens) { /* a map needs none, and a store may have more segments than there are */
            clg_os_close_fd(os, &segment->fd);
        }
        if (rc >= 0) {
            CLG_ASSERT(address != NULL);
            map = (uint64_t)(uintptr_t)address;
            clg_store_release_u64(&segment->map, map); /* ORDER(segment-map) */
        }
    }
    clg_mutex_unlock(os, &segment->lock);
    if (rc < 0) {
        return segment_fail_os(segment, rc, segment->base, "map", err);
    }
    *out = (const uint8_t *)(uintptr_t)map;
    return 0;
}

/* Under lock. On DAX with the promise that goes with it; refused everywhere else, and then, as for
 * whatever other reason it is refused, an ordinary map. Persist is tried at once: a library without
 * libpmem cannot. */
static int segment_map_shared(const struct clg_segment *segment, void **out, bool *synced)
{
    const struct commitlog_os *os = segment->dir->os;
    const uint32_t prot = CLG_OS_PROT_READ | CLG_OS_PROT_WRITE;
    CLG_ASSERT(segment->fd >= 0);
    *synced = false;
    if (os->map(os, segment->fd, 0, (size_t)segment->bytes, prot,
                CLG_OS_MAP_SHARED | CLG_OS_MAP_SYNC, out) >= 0) {
        *synced = os->persist(os, *out, 1) >= 0;
        return 0;
    }
    return os->map(os, segment->fd, 0, (size_t)segment->bytes, prot, CLG_OS_MAP_SHARED, out);
}

int clg_segment_map_write(struct clg_segment *segment, uint8_t **out, struct commitlog_error *err)
{
    CLG_ASSERT(out != NULL);
    const struct commitlog_os *os = segment->dir->os;
    int rc = 0;
    clg_mutex_lock(os, &segment->lock);
    if (segment->write_map == NULL) {
        void *address = NULL;
        bool synced = false;
        rc = segment->fd_writable ? segment_map_shared(segment, &address, &synced) : -EACCES;
        if (rc >= 0) {
            CLG_ASSERT(address != NULL);
            segment->write_map = address;
            segment->write_synced = synced;
            /* A child that inherited it could write into the log: a hint that may be refused. */
            (void)os->advise(os, address, (size_t)segment->bytes, CLG_OS_ADVISE_DONTFORK);
        }
    }
    uint8_t *map = segment->write_map;
    clg_mutex_unlock(os, &segment->lock);
    if (rc < 0) {
        return segment_fail_os(segment, rc, segment->base, "map for writing", err);
    }
    *out = map;
    return 0;
}

void clg_segment_unmap_write(struct clg_segment *segment)
{
    const struct commitlog_os *os = segment->dir->os;
    clg_mutex_lock(os, &segment->lock);
    uint8_t *map = segment->write_map;
    segment->write_map = NULL;
    clg_mutex_unlock(os, &segment->lock);
    CLG_ASSERT(map == NULL || segment->bytes > 0);
    if (map != NULL) {
        int rc = os->unmap(os, map, (size_t)segment->bytes);
        CLG_ASSERT(rc >= 0);
        (void)rc;
    }
}

int clg_segment_pread_raw(struct clg_segment *segment, void *buf, size_t size, uint64_t position)
{
    CLG_ASSERT(position >= segment->base);
    CLG_ASSERT(size <= segment->bytes && position - segment->base <= segment->bytes - size);
    int fd = segment_fd_get(segment, false);
    if (fd < 0) {
        return fd;
    }
    int rc = clg_os_pread_all(segment->dir->os, fd, buf, size, position - segment->base);
    segment_fd_put(segment);
    return rc < 0 ? rc : 0;
}

int clg_segment_ask_device(struct clg_segment *segment)
{
    const struct commitlog_os *os = segment->dir->os;
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    int fd = segment_fd_get(segment, false);
    if (fd < 0) {
        return fd;
    }
    (void)os->drop_cache(os, fd, 0, 2 * sizeof(page));
    int rc = clg_os_pread_all(os, fd, page, sizeof(page), 0);
    if (rc < 0) {
        rc = clg_os_pread_all(os, fd, page, sizeof(page), sizeof(page));
    }
    segment_fd_put(segment);
    CLG_ASSERT(rc <= 0 || rc == (int)sizeof(page));
    return rc < 0 ? rc : 0;
}

int64_t clg_segment_pread_some(struct clg_segment *segment, void *buf, size_t size,
                               uint64_t position)
{
    const struct commitlog_os *os = segment->dir->os;
    CLG_ASSERT(position >= segment->base);
    CLG_ASSERT(size <= segment->bytes && position - segment->base <= segment->bytes - size);
    int fd = segment_fd_get(segment, false);
    if (fd < 0) {
        return fd;
    }
    int64_t n = 1;
    size_t done = 0;
    while (n > 0 && done < size) {
        n = os->pread(os, fd, clg_at(buf, done), size - done, position - segment->base + done);
        done += n > 0 ? (size_t)n : 0;
    }
    segment_fd_put(segment);
    return done > 0 ? (int64_t)done : n;
}

uint64_t clg_segment_next_data(struct clg_segment *segment, uint64_t position)
{
    const struct commitlog_os *os = segment->dir->os;
    uint64_t end = segment->base + clg_min_u64(segment->bytes, segment->file_bytes);
    CLG_ASSERT(position >= segment->base);
    if (position >= end) {
        return position;
    }
    int fd = segment_fd_get(segment, false);
    if (fd < 0) {
        return position;
    }
    int64_t at = os->next_data(os, fd, position - segment->base);
    segment_fd_put(segment);
    CLG_ASSERT(at >= 0);
    return (uint64_t)at > end - segment->base ? end : segment->base + (uint64_t)at;
}

uint64_t clg_segment_data_limit(struct clg_segment *segment, uint64_t from, uint64_t to)
{
    const struct commitlog_os *os = segment->dir->os;
    uint64_t limit = from;
    uint64_t at = from;
    CLG_ASSERT(from >= segment->base);
    int fd = segment_fd_get(segment, false);
    if (fd < 0) {
        return to;
    }
    while (at < to) {
        int64_t data = os->next_data(os, fd, at - segment->base);
        if (data < 0 || (uint64_t)data >= to - segment->base) {
            break;
        }
        int64_t hole = os->next_hole(os, fd, (uint64_t)data);
        limit = hole <= data || (uint64_t)hole >= to - segment->base
                    ? to
                    : segment->base + (uint64_t)hole;
        at = limit;
    }
    segment_fd_put(segment);
    CLG_ASSERT(limit >= from && (limit <= to || limit == from));
    return limit;
}

int clg_segment_pread(struct clg_segment *segment, void *buf, size_t size, uint64_t position,
                      struct commitlog_error *err)
{
    CLG_ASSERT(buf != NULL || size == 0);
    CLG_ASSERT(clg_segment_holds(segment, position) || size == 0);
    int rc = clg_segment_pread_raw(segment, buf, size, position);
    if (rc == -ENOENT && (clg_segment_flags(segment) & CLG_SEGMENT_UNLINKED) != 0) {
        return clg_fail(err, COMMITLOG_EREVOKED, 0, position,
                        "segment %020" PRIu64 ".log: dropped by retention", segment->base);
    }
    return rc < 0 ? segment_fail_os(segment, rc, position, "read", err) : 0;
}

int clg_segment_pwrite(struct clg_segment *segment, const void *buf, size_t size, uint64_t position,
                       struct commitlog_error *err)
{
    CLG_ASSERT(position >= segment->base);
    CLG_ASSERT(size <= segment->bytes && position - segment->base <= segment->bytes - size);
    int fd = segment_fd_get(segment, true);
    if (fd < 0) {
        return segment_fail_read_only(segment, position, err);
    }
    int rc = clg_os_pwrite_all(segment->dir->os, fd, buf, size, position - segment->base);
    segment_fd_put(segment);
    /* ENODATA is of the medium here: a part of a block that the kernel could not read. */
    return rc < 0 ? clg_fail_os(err, rc, position, "segment %020" PRIu64 ".log: write at %" PRIu64,
                                segment->base, position)
                  : 0;
}

int clg_segment_flush(struct clg_segment *segment, struct commitlog_error *err)
{
    const struct commitlog_os *os = segment->dir->os;
    CLG_ASSERT(!segment->dir->read_only);
    int fd = segment_fd_get(segment, true);
    if (fd < 0) {
        /* Sealed and idle: all of it was flushed before its descriptor was closed. */
        bool sealed = (clg_segment_flags(segment) & CLG_SEGMENT_SEALED) != 0;
        return sealed ? 0 : segment_fail_read_only(segment, segment->base, err);
    }
    int rc = CLG_PLANTED(NO_DATA_SYNC) ? 0 : os->fdatasync(os, fd);
    if (CLG_PLANTED(FLUSH_RETRIED) && rc < 0) {
        rc = os->fdatasync(os, fd);
    }
    segment_fd_put(segment);
    CLG_ASSERT(rc <= 0);
    /* ENODATA is of the medium here, too: not that the file ends before. */
    return rc < 0 ? clg_fail_os(err, rc, segment->base, "segment %020" PRIu64 ".log: flush",
                                segment->base)
                  : 0;
}

int clg_segment_unlink(struct clg_segment *segment, struct commitlog_error *err)
{
    const struct clg_segment_dir *dir = segment->dir;
    CLG_ASSERT(!dir->read_only);
    CLG_ASSERT(clg_load_relaxed_u32(&segment->refs) > 0);
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, segment->base);
    clg_mutex_lock(dir->os, &segment->lock);
    if (clg_load_relaxed_u32(&segment->refs) > 1) {
        /* Somebody holds it and may pread: the name is the last way to a descriptor. Should that
         * fail, such a pread says "revoked"; maps are not touched. */
        segment->held_open = segment_fd_locked(segment) >= 0;
    }
    int rc = dir->os->unlink_at(dir->os, dir->fd, name);
    if (rc >= 0 || rc == -ENOENT) {
        (void)clg_or_acqrel_u32(&segment->flags, CLG_SEGMENT_UNLINKED);
        rc = 0;
    } else {
        segment->held_open = false;
    }
    clg_mutex_unlock(dir->os, &segment->lock);
    return rc < 0 ? segment_fail_os(segment, rc, segment->base, "unlink", err) : 0;
}

int clg_segment_dir_sync(const struct clg_segment_dir *dir, struct commitlog_error *err)
{
    CLG_ASSERT(dir->fd >= 0);
    CLG_ASSERT(!dir->read_only);
    int rc = dir->os->fsync(dir->os, dir->fd);
    return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "flush of the directory log") : 0;
}

void clg_segment_invariants(const struct clg_segment *segment)
{
    CLG_ASSERT(clg_segment_size_ok(segment->bytes));
    CLG_ASSERT(segment->data_start == segment->base + CLG_SEGMENT_DATA_START);
    CLG_ASSERT(segment->data_end == segment->base + segment->bytes - CLG_SEGMENT_FOOTER);
    CLG_ASSERT(segment->data_start < segment->data_end);
    CLG_ASSERT(segment->header.base == segment->base && segment->header.size == segment->bytes);
    CLG_ASSERT(segment->fd >= -1);
    (void)segment;
}
