/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_open.c -- what a segment file says about itself: headers, size, footer. See segment.h.
 *
 * Invariants: everything is read by pread and decoded from private memory; opening writes nothing
 *       but, for a writer, block reservations that a copy with holes has lost.
 * Threads and locks: none; the segment is not shared yet, or sealing is the caller's to serialise.
 * Happy path: both header copies verify, are the same and name this position; the size is right.
 * Failure modes: one enum clg_segment_state each, all tested.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "base/order.h"
#include "segment/segment.h"
#include "segment/segment_name.h"

#define HEADER_COPIES 2u

CLG_STATIC_ASSERT(CLG_SEGMENT_DATA_START == HEADER_COPIES * CLG_FORMAT_PAGE_BYTES,
                  "records begin behind the header copies");

const char *clg_segment_state_text(enum clg_segment_state state)
{
    switch (state) {
    case CLG_SEGMENT_GOOD:
        return "good";
    case CLG_SEGMENT_ONE_COPY:
        return "one of two header copies is damaged or old";
    case CLG_SEGMENT_LONG:
        return "longer than its header says";
    case CLG_SEGMENT_SHORT:
        return "shorter than its header says";
    case CLG_SEGMENT_EMPTY:
        return "no header, only zeros";
    case CLG_SEGMENT_NO_HEADER:
        return "both header copies are damaged";
    case CLG_SEGMENT_DISAGREE:
        return "the header copies differ";
    case CLG_SEGMENT_MISNAMED:
        return "its header belongs to another position";
    case CLG_SEGMENT_OLD:
        return "an older file: the next segment follows another one of this name";
    case CLG_SEGMENT_FOREIGN:
        return "belongs to another store";
    case CLG_SEGMENT_NEWER:
        return "written by a newer version";
    case CLG_SEGMENT_UNREADABLE:
        return "header cannot be read";
    case CLG_SEGMENT_NO_FILE:
        return "no such file";
    case CLG_SEGMENT_ODD:
        return "a directory, a link or a pipe has the name of the segment";
    case CLG_SEGMENT_LINKED:
        return "the file of the segment has a second name (a hard link)";
    case CLG_SEGMENT_NOT_OPENED:
        return "cannot be opened";
    }
    return "unknown";
}

static int open_state_code(enum clg_segment_state state)
{
    CLG_ASSERT(state > CLG_SEGMENT_SHORT);
    CLG_ASSERT(state < CLG_SEGMENT_NOT_OPENED);
    return state == CLG_SEGMENT_FOREIGN      ? COMMITLOG_EFOREIGN
           : state == CLG_SEGMENT_NEWER      ? COMMITLOG_EVERSION
           : state == CLG_SEGMENT_UNREADABLE ? COMMITLOG_EIO
           : state == CLG_SEGMENT_NO_FILE    ? COMMITLOG_ENOTFOUND
                                             : COMMITLOG_EDAMAGED;
}

static int open_fail(enum clg_segment_state state, uint64_t base, struct commitlog_error *err)
{
    CLG_ASSERT(base <= CLG_POSITION_MAX);
    int code = open_state_code(state);
    CLG_ASSERT(code < 0);
    return clg_fail(err, code, 0, base, "segment %020" PRIu64 ".log: %s", base,
                    clg_segment_state_text(state));
}

/* What the two copies say, as they were read. */
struct open_copies {
    uint8_t pages[HEADER_COPIES][CLG_FORMAT_PAGE_BYTES];
    int read[HEADER_COPIES];   /* 0 or a negative errno */
    int decode[HEADER_COPIES]; /* 0 or a COMMITLOG_E... */
    struct clg_segment_header headers[HEADER_COPIES];
};

/* Who may write the store may write none of it when one segment has a flag that forbids it: also
 * where this segment is only going to be read. */
static void open_read_copies(const struct clg_segment_dir *dir, int fd, struct open_copies *copies)
{
    CLG_ASSERT(fd >= 0);
    memset(copies, 0, sizeof(*copies));
    for (uint32_t i = 0; i < HEADER_COPIES; i++) {
        uint64_t at = (uint64_t)i * CLG_FORMAT_PAGE_BYTES;
        int64_t n = clg_os_pread_most(dir->os, fd, copies->pages[i], CLG_FORMAT_PAGE_BYTES, at);
        if (n < 0) {
            copies->read[i] = (int)n;
            copies->decode[i] = COMMITLOG_EIO;
            continue;
        }
        CLG_ASSERT(n <= (int64_t)CLG_FORMAT_PAGE_BYTES);
        copies->decode[i] = clg_segment_header_decode(copies->pages[i], dir->uuid, dir->read_only,
                                                      &copies->headers[i]);
    }
}

/* A read that failed and says nothing about the data: 0, or a negative errno. */
static int open_read_failed(const struct open_copies *copies)
{
    for (uint32_t i = 0; i < HEADER_COPIES; i++) {
        CLG_ASSERT(copies->read[i] <= 0);
        if (copies->read[i] < 0 && !clg_os_is_data_error(copies->read[i])) {
            return copies->read[i];
        }
    }
    CLG_ASSERT(HEADER_COPIES == 2);
    return 0;
}

/* Neither copy verifies: the answer that says most. */
static enum clg_segment_state open_judge_bad(const struct open_copies *copies)
{
    const int *code = copies->decode;
    CLG_ASSERT(code[0] != 0);
    CLG_ASSERT(code[1] != 0);
    if (code[0] == COMMITLOG_EVERSION || code[1] == COMMITLOG_EVERSION) {
        return CLG_SEGMENT_NEWER;
    }
    if (code[0] == COMMITLOG_EFOREIGN || code[1] == COMMITLOG_EFOREIGN) {
        return CLG_SEGMENT_FOREIGN;
    }
    if (copies->read[0] < 0 && copies->read[1] < 0) {
        return CLG_SEGMENT_UNREADABLE;
    }
    if (copies->read[0] == 0 && copies->read[1] == 0 &&
        clg_is_zero(copies->pages[0], sizeof(copies->pages))) {
        return CLG_SEGMENT_EMPTY;
    }
    return CLG_SEGMENT_NO_HEADER;
}

/* Which of two copies that both belong here was written last: 0 or 1, or 2 if none says so. The
 * other one is a page that a disk did not write, from a segment that was here before. */
static uint32_t open_newer(const struct open_copies *copies)
{
    const struct clg_segment_header *a = &copies->headers[0];
    const struct clg_segment_header *b = &copies->headers[1];
    CLG_ASSERT(copies->decode[0] == 0);
    CLG_ASSERT(copies->decode[1] == 0);
    if (a->epoch != b->epoch) {
        return a->epoch > b->epoch ? 0 : 1;
    }
    if (a->created != b->created) {
        return a->created > b->created ? 0 : 1;
    }
    return HEADER_COPIES;
}

static enum clg_segment_state open_judge(const struct open_copies *copies, uint64_t base,
                                         const struct clg_segment_header **out)
{
    const int *code = copies->decode;
    CLG_ASSERT(out != NULL);
    if (code[0] != 0 && code[1] != 0) {
        return open_judge_bad(copies);
    }
    bool here[HEADER_COPIES];
    for (uint32_t i = 0; i < HEADER_COPIES; i++) {
        here[i] = code[i] == 0 && copies->headers[i].base == base;
    }
    if (!here[0] && !here[1]) {
        return CLG_SEGMENT_MISNAMED;
    }
    uint32_t good = here[0] ? 0 : 1;
    if (here[0] && here[1]) {
        *out = &copies->headers[0];
        if (memcmp(copies->pages[0], copies->pages[1], CLG_FORMAT_PAGE_BYTES) == 0) {
            return CLG_SEGMENT_GOOD;
        }
        good = open_newer(copies);
        if (good == HEADER_COPIES) {
            return CLG_SEGMENT_DISAGREE;
        }
    }
    CLG_ASSERT(code[good] == 0);
    *out = &copies->headers[good];
    /* The other one is intact, but of another store or version: no accident of one block. */
    int other = code[1 - good];
    bool intact = other == COMMITLOG_EFOREIGN || other == COMMITLOG_EVERSION;
    return intact ? CLG_SEGMENT_DISAGREE : CLG_SEGMENT_ONE_COPY;
}

/* Where the kernel cannot rename without replacing, a file gets its name by a link and loses the
 * temporary one after that: a writer that dies in between leaves it with both. Nobody else made
 * the second one, and who writes next removes it. */
static bool open_has_own_link(const struct clg_segment_dir *dir, uint64_t base,
                              const struct clg_os_stat *stat)
{
    char name[CLG_SEGMENT_NAME_BYTES];
    struct clg_os_stat temporary;
    clg_segment_name_make_temp(name, CLG_FILE_LOG, base);
    CLG_ASSERT(stat->type == CLG_OS_FILE);
    return stat->links == 2 && dir->os->stat_at(dir->os, dir->fd, name, &temporary) >= 0 &&
           temporary.device == stat->device && temporary.inode == stat->inode;
}

/* The descriptor and size of a regular file with one name. */
static int open_file(const struct clg_segment_dir *dir, uint64_t base, bool writable, int *out_fd,
                     struct clg_os_stat *stat, enum clg_segment_state *state,
                     struct commitlog_error *err)
{
    const struct commitlog_os *os = dir->os;
    CLG_ASSERT(!(writable && dir->read_only));
    CLG_ASSERT(base <= CLG_POSITION_MAX);
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, base);
    *state = CLG_SEGMENT_NOT_OPENED;
    /* Before the open, which would wait for ever at a FIFO. */
    int rc = os->stat_at(os, dir->fd, name, stat);
    if (rc == -ENOENT || rc == -ELOOP || (rc >= 0 && stat->type != CLG_OS_FILE)) {
        *state = rc == -ENOENT ? CLG_SEGMENT_NO_FILE : CLG_SEGMENT_ODD;
        return open_fail(*state, base, err);
    }
    if (rc >= 0) {
        uint32_t flags = CLG_OS_OPEN_READ | (writable ? (uint32_t)CLG_OS_OPEN_WRITE : 0);
        rc = os->open_at(os, dir->fd, name, flags, 0);
    }
    if (rc == -ENOENT) { /* a live writer's retention took it between the two calls */
        *state = CLG_SEGMENT_NO_FILE;
        return open_fail(*state, base, err);
    }
    if (rc < 0) {
        return clg_fail_os(err, rc, base, "segment %s: open", name);
    }
    int fd = rc;
    rc = os->stat_fd(os, fd, stat);
    if (rc < 0) {
        clg_os_close_fd(os, &fd);
        return clg_fail_os(err, rc, base, "segment %s: size", name);
    }
    if (stat->type != CLG_OS_FILE || (stat->links != 1 && !open_has_own_link(dir, base, stat))) {
        clg_os_close_fd(os, &fd);
        *state = stat->type != CLG_OS_FILE ? CLG_SEGMENT_ODD
                 : stat->links > 1         ? CLG_SEGMENT_LINKED
                                           : CLG_SEGMENT_NO_FILE; /* just unlinked */
        return open_fail(*state, base, err);
    }
    *out_fd = fd;
    return 0;
}

static int open_promises(const struct clg_segment *segment, bool *out, struct commitlog_error *err)
{
    const struct commitlog_os *os = segment->dir->os;
    CLG_ASSERT(segment->fd >= 0);
    struct clg_os_fs_info info;
    int rc = os->fs_info(os, segment->fd, &info);
    if (rc < 0) {
        return clg_fail_os(err, rc, segment->base, "segment %020" PRIu64 ".log: file system",
                           segment->base);
    }
    *out = info.type == CLG_OS_FS_EXT || info.type == CLG_OS_FS_XFS ||
           info.type == CLG_OS_FS_TMPFS || (info.type == CLG_OS_FS_BTRFS && info.nocow);
    return 0;
}

static int open_fallocate(const struct clg_segment *segment)
{
    const struct commitlog_os *os = segment->dir->os;
    return os->fallocate(os, segment->fd, CLG_OS_FALLOCATE_KEEP_SIZE, 0, segment->bytes);
}

/* Blocks that a sparse copy has lost come back before the first append, while it can be refused. */
static int open_reserve(struct clg_segment *segment, const struct clg_os_stat *stat,
                        struct commitlog_error *err)
{
    bool promises = false;
    int rc = open_promises(segment, &promises, err);
    if (rc != 0) {
        return rc;
    }
    bool whole = stat->allocated_bytes >= segment->bytes;
    if (promises && !whole && segment->fd_writable) {
        whole = open_fallocate(segment) >= 0;
    }
    segment->reserved = promises && whole;
    return 0;
}

int clg_segment_reserve(struct clg_segment *segment, struct commitlog_error *err)
{
    bool promises = false;
    int rc = segment->reserved ? 0 : open_promises(segment, &promises, err);
    if (rc != 0 || !promises) {
        return rc;
    }
    rc = open_fallocate(segment);
    if (rc == -EOPNOTSUPP || rc == -ENOSYS) { /* ext without extents, say */
        return 0;
    }
    if (rc < 0) {
        return clg_fail_os(err, rc, segment->base, "segment %020" PRIu64 ".log: reserve its blocks",
                           segment->base);
    }
    segment->reserved = true;
    return 0;
}

static int open_finish(const struct clg_segment_dir *dir, const struct clg_segment_header *header,
                       int fd, bool writable, const struct clg_os_stat *stat,
                       struct clg_segment **out, enum clg_segment_state *state,
                       struct commitlog_error *err)
{
    bool is_short = stat->size_bytes < header->size;
    struct clg_segment *segment;
    int rc = clg_segment_wrap_fd(dir, header, fd, writable && !is_short, &segment, err);
    if (rc != 0) {
        *state = CLG_SEGMENT_NOT_OPENED;
        return rc;
    }
    segment->file_bytes = stat->size_bytes;
    if (is_short) {
        *state = CLG_SEGMENT_SHORT;
    } else if (stat->size_bytes > header->size && *state == CLG_SEGMENT_GOOD) {
        *state = CLG_SEGMENT_LONG;
    }
    struct clg_segment_footer footer;
    struct commitlog_error why;
    clg_error_clear(&why);
    if (!is_short && clg_segment_read_footer(segment, &footer, &why) == 0) {
        clg_segment_set_sealed(segment, &footer);
    } else if (why.os_errno != 0 && !clg_os_is_data_error(-why.os_errno)) {
        rc = why.code;
    } else if (!is_short) {
        rc = open_reserve(segment, stat, &why);
    }
    if (rc != 0) {
        *state = CLG_SEGMENT_NOT_OPENED;
        segment->fd = -1; /* the caller's to close */
        clg_segment_unref(segment);
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    CLG_ASSERT(*state <= CLG_SEGMENT_SHORT);
    clg_segment_invariants(segment);
    *out = segment;
    return 0;
}

int clg_segment_open(const struct clg_segment_dir *dir, uint64_t base, bool writable,
                     struct clg_segment **out, enum clg_segment_state *state,
                     struct commitlog_error *err)
{
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(state != NULL);
    int fd = -1;
    struct clg_os_stat stat;
    int rc = open_file(dir, base, writable, &fd, &stat, state, err);
    if (rc != 0) {
        return rc;
    }
    struct open_copies *copies = dir->os->alloc(dir->os, sizeof(*copies));
    if (copies == NULL) {
        clg_os_close_fd(dir->os, &fd);
        return clg_fail(err, COMMITLOG_ENOMEM, 0, base, "segment %020" PRIu64 ".log: open", base);
    }
    const struct clg_segment_header *header = NULL;
    open_read_copies(dir, fd, copies);
    rc = open_read_failed(copies);
    *state = rc < 0 ? CLG_SEGMENT_NOT_OPENED : open_judge(copies, base, &header);
    if (rc < 0) {
        rc = clg_fail_os(err, rc, base, "segment %020" PRIu64 ".log: read the header", base);
    } else if (*state > CLG_SEGMENT_SHORT) {
        rc = open_fail(*state, base, err);
    } else {
        rc = open_finish(dir, header, fd, writable, &stat, out, state, err);
    }
    dir->os->free(dir->os, copies);
    if (rc != 0) {
        clg_os_close_fd(dir->os, &fd);
    }
    return rc;
}

int clg_segment_open_as(const struct clg_segment_dir *dir, const struct clg_segment_header *header,
                        bool writable, struct clg_segment **out, enum clg_segment_state *state,
                        struct commitlog_error *err)
{
    CLG_ASSERT(out != NULL && state != NULL);
    CLG_ASSERT(clg_segment_size_ok(header->size));
    int fd = -1;
    struct clg_os_stat stat;
    int rc = open_file(dir, header->base, writable, &fd, &stat, state, err);
    if (rc != 0) {
        return rc;
    }
    *state = CLG_SEGMENT_GOOD;
    rc = open_finish(dir, header, fd, writable, &stat, out, state, err);
    if (rc != 0) {
        clg_os_close_fd(dir->os, &fd);
    }
    return rc;
}

int clg_segment_repair_header(struct clg_segment *segment, struct commitlog_error *err)
{
    CLG_ASSERT(segment->header.base == segment->base);
    CLG_ASSERT(segment->header.size == segment->bytes);
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    uint8_t seen[CLG_FORMAT_PAGE_BYTES];
    clg_segment_header_encode(page, &segment->header);
    for (uint32_t i = 0; i < HEADER_COPIES; i++) {
        uint64_t position = segment->base + (uint64_t)i * CLG_FORMAT_PAGE_BYTES;
        int rc = clg_segment_pwrite(segment, page, sizeof(page), position, err);
        if (rc == 0) {
            rc = clg_segment_flush(segment, err);
        }
        if (rc == 0) { /* a device that still does not give it would be repaired for ever */
            rc = clg_segment_pread(segment, seen, sizeof(seen), position, err);
        }
        if (rc != 0) {
            clg_wrap(err, "repair header");
            return rc;
        }
    }
    return 0;
}

void clg_segment_set_sealed(struct clg_segment *segment, const struct clg_segment_footer *footer)
{
    CLG_ASSERT(footer->end == segment->data_end);
    CLG_ASSERT((clg_segment_flags(segment) & CLG_SEGMENT_SEALED) == 0);
    segment->footer = *footer;
    (void)clg_or_acqrel_u32(&segment->flags, CLG_SEGMENT_SEALED); /* ORDER(segment-sealed) */
}

int clg_segment_write_footer(struct clg_segment *segment, const struct clg_segment_footer *footer,
                             struct commitlog_error *err)
{
    CLG_ASSERT(footer->end == segment->data_end);
    CLG_ASSERT(footer->records > 0);
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    clg_segment_footer_encode(page, &segment->header, footer);
    int rc = clg_segment_pwrite(segment, page, sizeof(page), segment->data_end, err);
    if (rc == 0) {
        rc = clg_segment_flush(segment, err);
    }
    if (rc != 0) {
        clg_wrap(err, "seal");
        return rc;
    }
    clg_segment_set_sealed(segment, footer);
    return 0;
}

int clg_segment_read_footer(struct clg_segment *segment, struct clg_segment_footer *out,
                            struct commitlog_error *err)
{
    CLG_ASSERT(out != NULL);
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    int rc = clg_segment_pread(segment, page, sizeof(page), segment->data_end, err);
    if (rc != 0) {
        clg_wrap(err, "footer");
        return rc;
    }
    struct clg_segment_footer footer;
    rc = clg_segment_footer_decode(page, &segment->header, &footer);
    if (rc == COMMITLOG_ENOTFOUND) {
        return clg_fail(err, rc, 0, segment->data_end, "segment %020" PRIu64 ".log: not sealed",
                        segment->base);
    }
    if (rc == 0 && footer.end != segment->data_end) {
        rc = COMMITLOG_EDAMAGED;
    }
    if (rc != 0) {
        return clg_fail(err, rc, 0, segment->data_end,
                        "segment %020" PRIu64 ".log: footer fails its check", segment->base);
    }
    CLG_ASSERT(footer.end == segment->data_end);
    *out = footer;
    return 0;
}
