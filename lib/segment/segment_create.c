/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_create.c -- see segment_create.h.
 *
 * Invariants: the order is: temporary name, no copy-on-write, all blocks, headers, fsync of the
 *       file, rename that replaces nothing, fsync of the directory. A crash at any point leaves a
 *       temporary file or a whole segment.
 * Threads and locks: none.
 * Happy path: begin, allocate, finish.
 * Failure modes: the draft is dropped with its file; the caller begins again or reports.
 */
#include "segment/segment_create.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "segment/segment_name.h"

void clg_segment_plan_after(const struct clg_segment *last, uint64_t bytes, int64_t first_time,
                            uint32_t epoch, struct clg_segment_plan *out)
{
    CLG_ASSERT(clg_segment_size_ok(bytes));
    CLG_ASSERT(last->bytes <= CLG_POSITION_MAX - last->base);
    out->base = last->base + last->bytes;
    out->bytes = bytes;
    out->predecessor_end = last->data_end;
    out->predecessor_salt = last->salt;
    out->salt = 0;
    out->first_time = first_time;
    out->epoch = epoch;
}

static int draft_fail_os(const struct clg_segment_draft *draft, int rc, const char *what,
                         struct commitlog_error *err)
{
    CLG_ASSERT(rc < 0);
    CLG_ASSERT(what != NULL);
    return clg_fail_os(err, rc, draft->header.base, "segment %020" PRIu64 ".log: create: %s",
                       draft->header.base, what);
}

void clg_segment_draft_init(struct clg_segment_draft *draft, const struct clg_segment_dir *dir)
{
    CLG_ASSERT(draft != NULL);
    CLG_ASSERT(!dir->read_only);
    *draft = (struct clg_segment_draft){.dir = dir, .fd = -1};
}

/* A signal (SIGXFSZ) is what a process gets that grows a file over its limit: ask before. */
static int draft_check_limits(const struct clg_segment_dir *dir,
                              const struct clg_segment_plan *plan, struct commitlog_error *err)
{
    CLG_ASSERT(plan->base % CLG_SEGMENT_ALIGN == 0);
    CLG_ASSERT(clg_segment_size_ok(plan->bytes));
    uint64_t limit = UINT64_MAX;
    int rc = dir->os->limit(dir->os, CLG_OS_LIMIT_FILE_SIZE, &limit);
    if (rc >= 0 && limit < plan->bytes) {
        return clg_fail(err, COMMITLOG_ELIMIT, EFBIG, plan->base,
                        "segment %020" PRIu64
                        ".log: create: the process may write files of %" PRIu64
                        " bytes, needed are %" PRIu64,
                        plan->base, limit, plan->bytes);
    }
    if (plan->bytes > CLG_POSITION_MAX - plan->base) {
        return clg_fail(err, COMMITLOG_ELIMIT, 0, plan->base,
                        "segment %020" PRIu64 ".log: create: positions are used up", plan->base);
    }
    return 0;
}

static int draft_fill_header(struct clg_segment_draft *draft, const struct clg_segment_plan *plan,
                             struct commitlog_error *err)
{
    const struct clg_segment_dir *dir = draft->dir;
    struct clg_segment_header header = {
        .base = plan->base,
        .size = plan->bytes,
        .predecessor_end = plan->predecessor_end,
        .predecessor_salt = plan->predecessor_salt,
        .first_time = plan->first_time,
        .created = dir->os->clock_wall_ns(dir->os),
        .epoch = plan->epoch,
        .algorithm = CLG_CHECK_XXH3_64,
    };
    for (uint32_t i = 0; i < CLG_UUID_BYTES; i++) {
        header.uuid[i] = dir->uuid[i];
    }
    uint64_t salt = plan->salt;
    int rc = salt != 0 ? 0 : dir->os->random(dir->os, &salt, sizeof(salt));
    draft->header = header;
    if (rc < 0) {
        return draft_fail_os(draft, rc, "salt", err);
    }
    draft->header.salt = salt == 0 ? 1 : salt; /* 0 means "no predecessor" in the next header */
    CLG_ASSERT(draft->header.salt != 0);
    CLG_ASSERT(draft->header.base == plan->base);
    return 0;
}

int clg_segment_draft_begin(struct clg_segment_draft *draft, const struct clg_segment_plan *plan,
                            struct commitlog_error *err)
{
    const struct commitlog_os *os = draft->dir->os;
    CLG_ASSERT(draft->fd == -1);
    CLG_ASSERT(!draft->named);
    int rc = draft_check_limits(draft->dir, plan, err);
    if (rc == 0) {
        rc = draft_fill_header(draft, plan, err);
    }
    if (rc != 0) {
        return rc;
    }
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make_temp(name, CLG_FILE_LOG, plan->base);
    uint32_t flags =
        CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE | CLG_OS_OPEN_EXCLUSIVE;
    int fd = os->open_at(os, draft->dir->fd, name, flags, draft->dir->file_mode);
    if (fd == -EEXIST && CLG_PLANTED(TMP_ADOPTED)) {
        fd = os->open_at(os, draft->dir->fd, name, flags ^ CLG_OS_OPEN_EXCLUSIVE, 0);
    } else if (fd == -EEXIST) { /* left by a crash */
        rc = os->unlink_at(os, draft->dir->fd, name);
        fd = rc < 0 ? rc : os->open_at(os, draft->dir->fd, name, flags, draft->dir->file_mode);
    }
    if (fd < 0) {
        return draft_fail_os(draft, fd, "temporary file", err);
    }
    struct clg_os_fs_info info;
    clg_os_keep_in_place(os, fd, &info);
    draft->reserved = info.type == CLG_OS_FS_EXT || info.type == CLG_OS_FS_XFS ||
                      info.type == CLG_OS_FS_TMPFS || (info.type == CLG_OS_FS_BTRFS && info.nocow);
    draft->fd = fd;
    draft->allocated = 0;
    draft->prewritten = CLG_SEGMENT_DATA_START;
    return 0;
}

int clg_segment_draft_allocate(struct clg_segment_draft *draft, uint64_t max_bytes,
                               struct commitlog_error *err)
{
    const struct commitlog_os *os = draft->dir->os;
    uint64_t size = draft->header.size;
    CLG_ASSERT(draft->fd >= 0);
    CLG_ASSERT(draft->allocated < size);
    CLG_ASSERT(max_bytes > 0);
    uint64_t piece = clg_min_u64(max_bytes, size - draft->allocated);
    int rc = os->fallocate(os, draft->fd, CLG_OS_FALLOCATE_EXTEND, draft->allocated, piece);
    if (rc == -EOPNOTSUPP || rc == -ENOSYS) {
        /* The size must be final before the name is, even without a promise of blocks. */
        draft->reserved = false;
        piece = size - draft->allocated;
        rc = os->ftruncate(os, draft->fd, size);
    }
    if (rc < 0) {
        return draft_fail_os(draft, rc, "allocate", err);
    }
    draft->allocated += piece;
    return 0;
}

/* Where there is no such call, or none for this process, the kernel writes zeros back as it likes.
 * Any other answer is of a write that failed, and the flush behind it may be told nothing more. */
static int draft_pace(struct clg_segment_draft *draft, uint64_t piece)
{
    const struct commitlog_os *os = draft->dir->os;
    CLG_ASSERT(piece > 0);
    int rc = os->write_back(os, draft->fd, draft->prewritten, piece, true);
    bool refused = rc == -ENOSYS || rc == -EOPNOTSUPP || rc == -EPERM || rc == -EINVAL;
    return refused ? 0 : rc;
}

int clg_segment_draft_prewrite(struct clg_segment_draft *draft, const uint8_t *zeros,
                               uint64_t max_bytes, struct commitlog_error *err)
{
    const struct commitlog_os *os = draft->dir->os;
    CLG_ASSERT(draft->allocated == draft->header.size);
    CLG_ASSERT(draft->prewritten < draft->header.size);
    uint64_t piece = clg_min_u64(max_bytes, draft->header.size - draft->prewritten);
    int rc = clg_os_pwrite_all(os, draft->fd, zeros, (size_t)piece, draft->prewritten);
    if (rc >= 0) {
        rc = draft_pace(draft, piece);
    }
    if (rc < 0) {
        return draft_fail_os(draft, rc, "write zeros", err);
    }
    draft->prewritten += piece;
    return 0;
}

static int draft_write_headers(struct clg_segment_draft *draft, struct commitlog_error *err)
{
    const struct commitlog_os *os = draft->dir->os;
    CLG_ASSERT(draft->fd >= 0);
    CLG_ASSERT(draft->allocated == draft->header.size);
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    clg_segment_header_encode(page, &draft->header);
    for (uint64_t at = 0; at < CLG_SEGMENT_DATA_START; at += sizeof(page)) {
        int rc = clg_os_pwrite_all(os, draft->fd, page, sizeof(page), at);
        if (rc < 0) {
            return draft_fail_os(draft, rc, "write header", err);
        }
    }
    /* Not fdatasync: size and extents, once and for all. */
    int rc = CLG_PLANTED(NO_CREATE_SYNC) ? 0 : os->fsync(os, draft->fd);
    return rc < 0 ? draft_fail_os(draft, rc, "flush", err) : 0;
}

int clg_segment_draft_finish(struct clg_segment_draft *draft, struct clg_segment **out,
                             struct commitlog_error *err)
{
    const struct clg_segment_dir *dir = draft->dir;
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(out != NULL);
    int rc = draft_write_headers(draft, err);
    if (rc != 0) {
        return rc;
    }
    struct clg_segment *segment; /* before the rename: afterwards nothing may fail for memory */
    rc = clg_segment_wrap_fd(dir, &draft->header, draft->fd, true, &segment, err);
    if (rc != 0) {
        return rc;
    }
    draft->fd = -1;
    segment->reserved = draft->reserved;
    segment->prewritten = segment->base + draft->prewritten;
    segment->prewritten_known = true;
    char temp[CLG_SEGMENT_NAME_BYTES];
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make_temp(temp, CLG_FILE_LOG, draft->header.base);
    clg_segment_name_make(name, CLG_FILE_LOG, draft->header.base);
    rc = os->rename_at(os, dir->fd, temp, dir->fd, name, true);
    if (rc < 0) {
        (void)os->unlink_at(os, dir->fd, temp);
        clg_segment_unref(segment);
        if (rc == -EEXIST) {
            return clg_fail(err, COMMITLOG_EEXIST, EEXIST, draft->header.base,
                            "segment %s: create: the name is taken", name);
        }
        return draft_fail_os(draft, rc, "rename", err);
    }
    draft->named = true;
    rc = CLG_PLANTED(NO_DIR_SYNC) ? 0 : os->fsync(os, dir->fd);
    if (rc < 0) {
        /* Left there, the next session would find it and flush the directory again, which answers
         * OK though the name may not be on the disk; made anew, it is written anew. */
        (void)os->unlink_at(os, dir->fd, name);
        clg_segment_unref(segment);
        return draft_fail_os(draft, rc, "flush of the directory", err);
    }
    clg_segment_draft_init(draft, dir);
    *out = segment;
    return 0;
}

void clg_segment_draft_abort(struct clg_segment_draft *draft)
{
    const struct clg_segment_dir *dir = draft->dir;
    CLG_ASSERT(dir != NULL);
    if (draft->fd >= 0) {
        char temp[CLG_SEGMENT_NAME_BYTES];
        clg_segment_name_make_temp(temp, CLG_FILE_LOG, draft->header.base);
        (void)dir->os->unlink_at(dir->os, dir->fd, temp);
        clg_os_close_fd(dir->os, &draft->fd);
    }
    clg_segment_draft_init(draft, dir);
    CLG_ASSERT(draft->fd == -1);
}

int clg_segment_create(const struct clg_segment_dir *dir, const struct clg_segment_plan *plan,
                       struct clg_segment **out, struct commitlog_error *err)
{
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(plan != NULL);
    struct clg_segment_draft draft;
    clg_segment_draft_init(&draft, dir);
    int rc = clg_segment_draft_begin(&draft, plan, err);
    if (rc == 0) {
        rc = clg_segment_draft_allocate(&draft, UINT64_MAX, err);
    }
    if (rc == 0) {
        rc = clg_segment_draft_finish(&draft, out, err);
    }
    if (rc != 0) {
        clg_segment_draft_abort(&draft);
    }
    return rc;
}
