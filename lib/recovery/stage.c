/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stage.c -- evidence from the live area of a writer that is gone. See stage.h.
 */
#include "recovery/stage.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/topic_record.h"
#include "log/live.h"

#define STAGE_WINDOW_BYTES (UINT64_C(256) << 10)
/* A process that ends gives up its locks a moment before it counts as gone. */
#define STAGE_WRITER_LOOKS 20u
#define STAGE_WRITER_PAUSE_NS (2 * CLG_OS_NS_PER_MS)

/* The shared words are in the machine's own order and were written by this machine. All are zero in
 * an area whose writer died while it opened: it was never anybody's, and does not agree. */
static int stage_load_positions(struct clg_stage *stage, bool *agree)
{
    uint32_t closed;
    struct clg_live_facts *live = &stage->live;
    const struct {
        void *to;
        size_t bytes;
        size_t at;
    } words[] = {{&live->first, 8, offsetof(struct clg_live_area, first)},
                 {&live->durable, 8, offsetof(struct clg_live_area, durable)},
                 {&live->written, 8, offsetof(struct clg_live_area, written)},
                 {&live->published, 8, offsetof(struct clg_live_area, published)},
                 {&live->claimed, 8, offsetof(struct clg_live_area, claimed)},
                 {&closed, 4, offsetof(struct clg_live_area, closed)}};
    CLG_ASSERT(stage->fd >= 0);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        int rc = clg_os_pread_all(stage->os, stage->fd, words[i].to, words[i].bytes, words[i].at);
        if (rc < 0) {
            return rc;
        }
    }
    live->failed = closed == CLG_LIVE_FAILED;
    bool ordered = live->first <= live->durable && live->durable <= live->written &&
                   live->written <= live->published && live->published <= live->claimed &&
                   live->claimed <= CLG_POSITION_MAX;
    bool aligned = ((live->durable | live->written | live->claimed) & (CLG_RECORD_ALIGN - 1)) == 0;
    live->unsound = !ordered || !aligned;
    *agree = !live->unsound && live->claimed > 0;
    CLG_ASSERT(agree != NULL);
    return 0;
}

static bool stage_ring_ok(const struct clg_live_header *header, uint64_t area_bytes)
{
    CLG_ASSERT(header != NULL);
    if (header->engine == CLG_ENGINE_MMAP) {
        return header->ring_bytes == 0;
    }
    return header->engine == CLG_ENGINE_STAGED && clg_is_power_of_two(header->ring_bytes) &&
           header->ring_bytes >= CLG_RING_MIN && header->ring_bytes <= CLG_RING_MAX &&
           header->ring_offset == clg_live_ring_offset(header->histograms) &&
           header->ring_offset + header->ring_bytes <= area_bytes;
}

/* Of this store, and of the session whose stage counts? */
static bool stage_is_ours(const struct clg_live_header *header, const struct clg_store_dir *dir,
                          uint64_t session)
{
    CLG_ASSERT(header != NULL);
    return CLG_PLANTED(STALE_STAGE) ||
           (header->device == dir->device && header->inode == dir->inode &&
            (!dir->last_known || header->session == dir->last.session) &&
            (session == 0 || header->session == session));
}

/* Somebody has taken LOCK away from a writer that goes on: the number of a process, when it began
 * and the boot name one for ever. Where that cannot be told, it is gone. This process itself is no
 * witness: it may have become another program since. */
static bool stage_is_held(const struct clg_stage *stage)
{
    const struct commitlog_os *os = stage->os;
    const struct clg_live_header *header = &stage->header;
    CLG_ASSERT(stage->fd >= 0);
    for (uint32_t i = 0; i < STAGE_WRITER_LOOKS; i++) {
        uint32_t closed = CLG_LIVE_CLOSED;
        uint64_t start = 0;
        if (header->start_time == 0 || header->pid == (uint32_t)os->pid(os) ||
            clg_os_pread_all(os, stage->fd, &closed, sizeof(closed),
                             offsetof(struct clg_live_area, closed)) < 0 ||
            closed != CLG_LIVE_OPEN || os->pid_start(os, header->pid, &start) < 0 ||
            start != header->start_time) {
            return false;
        }
        os->sleep_ns(os, STAGE_WRITER_PAUSE_NS);
    }
    return true;
}

/* 0 and *agree, or a negative errno. */
static int stage_judge(struct clg_stage *stage, const struct clg_store_dir *dir,
                       const uint8_t *uuid, uint64_t session, bool *agree)
{
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    struct clg_os_stat stat;
    struct clg_live_header *header = &stage->header;
    CLG_ASSERT(stage->fd >= 0);
    *agree = false;
    int rc = dir->os->stat_fd(dir->os, stage->fd, &stat);
    if (rc < 0 || stat.size_bytes < CLG_LIVE_HISTOGRAMS_AT) {
        stage->live.unsound = rc >= 0 && dir->last_known;
        return rc < 0 ? rc : 0;
    }
    rc = clg_os_pread_all(dir->os, stage->fd, page, sizeof(page), 0);
    if (rc < 0) {
        return rc;
    }
    rc = clg_live_area_check(page, stat.size_bytes, uuid,
                             CLG_PLANTED(STALE_STAGE) ? NULL : dir->boot_id, header);
    if (rc != 0 && rc != COMMITLOG_EFOREIGN) {
        /* In DIR a power cut leaves it in any state, and may leave nothing of LOCK. */
        stage->live.unsound = dir->last_known || memcmp(page + CLG_LIVE_AT_BOOT_ID, dir->boot_id,
                                                        CLG_BOOT_ID_BYTES) == 0;
    }
    if (rc != 0 || !stage_is_ours(header, dir, session)) {
        return 0;
    }
    if (!dir->last_known && stage_is_held(stage)) {
        stage->held = true;
        return 0;
    }
    if (!stage_ring_ok(header, stat.size_bytes)) {
        stage->live.unsound = true;
        return 0;
    }
    CLG_ASSERT(header->epoch > 0 || !*agree);
    return stage_load_positions(stage, agree);
}

/* A writer that died while it opened may leave its epoch to the next one. */
static bool stage_is_younger(const struct clg_stage *stage, const struct clg_stage *other)
{
    return stage->live.epoch != other->live.epoch ? stage->live.epoch > other->live.epoch
                                                  : stage->header.created > other->header.created;
}

static int stage_open_at(struct clg_stage *stage, const struct clg_store_dir *dir, const char *path,
                         const uint8_t *uuid, uint64_t session, struct commitlog_error *err)
{
    struct commitlog_error why;
    memset(stage, 0, sizeof(*stage));
    stage->os = dir->os;
    clg_error_clear(&why);
    stage->fd = clg_store_dir_open_live(dir, path, &why);
    if (stage->fd < 0) {
        int rc = stage->fd;
        stage->fd = -1;
        if (rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EFOREIGN || rc == COMMITLOG_EFORMAT) {
            return 0;
        }
        /* It may be there: what only the stage has must not be lost for this. */
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    bool agree;
    int rc = stage_judge(stage, dir, uuid, session, &agree);
    if (rc < 0 || !agree) {
        bool unsound = stage->live.unsound;
        memset(&stage->live, 0, sizeof(stage->live));
        stage->live.unsound = unsound;
        clg_stage_close(stage);
        return rc < 0 ? clg_fail_os(err, rc, CLG_NO_POSITION, "read the live area") : 0;
    }
    stage->live.usable = true;
    stage->live.engine = stage->header.engine;
    stage->live.epoch = stage->header.epoch;
    stage->live.session = stage->header.session;
    CLG_ASSERT(stage->live.written <= stage->live.claimed);
    return 0;
}

/* What LOCK would have said. */
static void stage_name(const struct clg_stage *stage, struct clg_store_dir *dir, const char *path)
{
    struct clg_lock_file *last = &dir->last;
    CLG_ASSERT(stage->live.usable && !dir->last_known);
    memset(last, 0, sizeof(*last));
    last->session = stage->header.session;
    last->pid = stage->header.pid;
    last->start_time = stage->header.start_time;
    memcpy(last->uuid, stage->header.uuid, sizeof(last->uuid));
    memcpy(last->boot_id, stage->header.boot_id, sizeof(last->boot_id));
    (void)snprintf(last->live_path, sizeof(last->live_path), "%s", path);
    dir->last_known = true;
}

/* LOCK does not say where. Of two areas that agree, because no checkpoint tells which session was
 * the last one, the younger counts. */
static int stage_find(struct clg_stage *stage, struct clg_store_dir *dir, const uint8_t *uuid,
                      uint64_t session, struct commitlog_error *err)
{
    char path[CLG_LIVE_PATH_MAX + 1];
    const char *found = CLG_STORE_LIVE_NAME;
    struct clg_stage other;
    CLG_ASSERT(!dir->last_known);
    int rc = stage_open_at(stage, dir, found, uuid, session, err);
    if (rc == 0 && clg_live_tmpfs_path(dir->os, path, uuid, dir->device, dir->inode) >= 0) {
        rc = stage_open_at(&other, dir, path, uuid, session, err);
        bool takes =
            rc == 0 &&
            ((other.held && !stage->held) ||
             (other.live.usable && (!stage->live.usable || stage_is_younger(&other, stage))));
        bool unsound = stage->live.unsound || other.live.unsound;
        clg_stage_close(takes ? stage : &other);
        if (takes) {
            *stage = other;
            found = path;
        }
        stage->live.unsound = unsound && !stage->live.usable;
    }
    if (rc == 0 && stage->held && !dir->read_only) {
        rc = clg_fail(err, COMMITLOG_ELOCKED, 0, CLG_NO_POSITION,
                      "process %" PRIu32 " has the store open for writing, as its live area %s "
                      "says, but LOCK was removed or damaged",
                      stage->header.pid, found);
    }
    if (rc != 0) {
        clg_stage_close(stage);
    } else if (stage->live.usable && !dir->read_only) {
        stage_name(stage, dir, found);
    }
    return rc;
}

int clg_stage_open(struct clg_stage *stage, struct clg_store_dir *dir, const uint8_t *uuid,
                   const struct clg_checkpoint *newest, struct commitlog_error *err)
{
    const uint64_t session = newest != NULL ? newest->session : 0;
    memset(stage, 0, sizeof(*stage));
    stage->os = dir->os;
    stage->fd = -1;
    CLG_ASSERT(uuid != NULL);
    if (CLG_PLANTED(STAGE_FORGOTTEN) && !dir->writer_live) {
        return 0;
    }
    if (!dir->last_known) { /* beside a writer it is only being written */
        return dir->writer_live ? 0 : stage_find(stage, dir, uuid, session, err);
    }
    if ((!dir->same_boot && !CLG_PLANTED(STALE_STAGE)) || dir->last.live_path[0] == '\0' ||
        memcmp(dir->last.uuid, uuid, CLG_UUID_BYTES) != 0) {
        return 0;
    }
    int rc = stage_open_at(stage, dir, dir->last.live_path, uuid, session, err);
    if (rc == 0 && !stage->live.usable && !stage->live.unsound) {
        /* A recovery that is over takes the name from LOCK; only a clean close leaves it there and
         * removes the area, and the newest checkpoint tells which it was. */
        stage->live.missing = newest != NULL && !newest->clean && !dir->writer_live;
    }
    return rc;
}

void clg_stage_close(struct clg_stage *stage)
{
    CLG_ASSERT(stage->os != NULL);
    clg_os_close_fd(stage->os, &stage->fd);
    stage->os->free(stage->os, stage->buffer);
    stage->buffer = NULL;
    stage->buffer_bytes = 0;
    stage->window_bytes = 0;
    CLG_ASSERT(stage->fd == -1);
}

static int stage_room(struct clg_stage *stage, size_t bytes, struct commitlog_error *err)
{
    CLG_ASSERT(bytes <= CLG_RING_MAX);
    if (bytes <= stage->buffer_bytes) {
        return 0;
    }
    stage->os->free(stage->os, stage->buffer);
    stage->buffer_bytes = 0;
    stage->window_bytes = 0;
    stage->buffer = stage->os->alloc(stage->os, bytes);
    if (stage->buffer == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, ENOMEM, CLG_NO_POSITION, "read the stage");
    }
    stage->buffer_bytes = bytes;
    CLG_ASSERT(stage->buffer_bytes >= bytes);
    return 0;
}

static bool stage_has(const struct clg_stage *stage, uint64_t position, size_t bytes)
{
    CLG_ASSERT(stage->window_bytes <= stage->buffer_bytes);
    return position >= stage->window_at && position - stage->window_at <= stage->window_bytes &&
           bytes <= stage->window_bytes - (position - stage->window_at);
}

/* [position, position + bytes), which lies before `claimed`; bytes <= ring. */
static int stage_read(struct clg_stage *stage, uint64_t position, size_t bytes, const uint8_t **out,
                      struct commitlog_error *err)
{
    uint64_t ring = stage->header.ring_bytes;
    CLG_ASSERT(bytes <= ring && bytes <= stage->live.claimed - position);
    if (!stage_has(stage, position, bytes)) {
        uint64_t want = clg_min_u64(STAGE_WINDOW_BYTES, stage->live.claimed - position);
        want = clg_min_u64(clg_max_u64(want, bytes), ring);
        int rc = stage_room(stage, want, err);
        if (rc != 0) {
            return rc;
        }
        stage->window_bytes = 0;
        uint64_t at = position & (ring - 1);
        uint64_t before_end = clg_min_u64(want, ring - at);
        uint64_t offset = stage->header.ring_offset;
        rc = clg_os_pread_all(stage->os, stage->fd, stage->buffer, before_end, offset + at);
        if (rc >= 0 && before_end < want) {
            rc = clg_os_pread_all(stage->os, stage->fd, stage->buffer + before_end,
                                  want - before_end, offset);
        }
        if (rc < 0) {
            return clg_fail_os(err, rc, position, "read the live area");
        }
        stage->window_at = position;
        stage->window_bytes = want;
    }
    CLG_ASSERT(stage_has(stage, position, bytes));
    *out = stage->buffer + (position - stage->window_at);
    return 0;
}

/* May this record lie at `position`, by what the stage and the segment allow? What a scan of the
 * segment would refuse once it has been restored is refused here. */
static bool stage_fits(const struct clg_stage *stage, const struct clg_segment *segment,
                       const struct clg_scan_bounds *bounds, uint64_t position,
                       const struct clg_record_header *header)
{
    uint64_t size = clg_record_size(header->word);
    CLG_ASSERT(position < segment->data_end);
    return clg_record_check_bounds(header, segment->data_end - position) &&
           header->epoch == stage->live.epoch && position + size <= stage->live.claimed &&
           (clg_record_is_filler(header->kind) || size <= stage->header.ring_bytes) &&
           clg_scan_misfit(segment, bounds, header, position) == NULL;
}

/* One record, from whose header `bytes` point on: is it there and does it verify? */
static int stage_record(struct clg_stage *stage, const struct clg_segment *segment,
                        const struct clg_scan_bounds *bounds, uint64_t position,
                        struct clg_record_header *header, const uint8_t **bytes,
                        enum clg_stage_verdict *verdict, struct commitlog_error *err)
{
    *verdict = CLG_STAGE_NONE;
    CLG_ASSERT((position & (CLG_RECORD_ALIGN - 1)) == 0);
    if (stage->fd < 0 || stage->header.ring_bytes == 0 || position < stage->live.written ||
        position >= stage->live.claimed || segment->data_end - position < CLG_RECORD_MIN ||
        position < segment->data_start || position >= segment->data_end ||
        stage->live.claimed - position < CLG_RECORD_MIN) {
        return 0;
    }
    uint8_t raw[CLG_RECORD_HEADER_BYTES];
    int rc = stage_read(stage, position, sizeof(raw), bytes, err);
    if (rc != 0) {
        return rc;
    }
    memcpy(raw, *bytes, sizeof(raw));
    uint64_t seed = clg_record_seed(segment->salt, position);
    clg_record_decode(raw, header);
    if (!stage_fits(stage, segment, bounds, position, header)) { /* the cheaper one first */
        return 0;
    }
    bool claimed = clg_record_verify_claimed(raw, seed);
    if (!claimed && !clg_record_verify_header(raw, seed)) {
        return 0;
    }
    if (claimed) {
        *verdict = CLG_STAGE_CLAIMED;
        return 0;
    }
    size_t size = clg_record_is_filler(header->kind) ? CLG_RECORD_HEADER_BYTES
                                                     : clg_record_size(header->word);
    rc = stage_read(stage, position, size, bytes, err);
    if (rc != 0) {
        return rc;
    }
    stage->hashed_bytes += size;
    if (memcmp(*bytes, raw, sizeof(raw)) != 0 || !clg_record_verify_body(header, *bytes, seed)) {
        return 0;
    }
    CLG_ASSERT(clg_record_state(header->word) == CLG_RECORD_COMMITTED);
    *verdict = CLG_STAGE_RECORDS;
    return 0;
}

static void stage_take(struct clg_stage_found *found, uint64_t position,
                       const struct clg_record_header *header)
{
    uint64_t durable;
    CLG_ASSERT(found->end <= position);
    found->header = *header;
    found->records++;
    found->end = position + clg_record_size(header->word);
    if (clg_durable_back_decode(position, header->durable_back, &durable) &&
        durable > found->witness) {
        found->witness = durable;
    }
    CLG_ASSERT(found->end > position);
}

/* The members of the batch whose header has just been taken; all of them or none. */
static int stage_members(struct clg_stage *stage, const struct clg_segment *segment,
                         struct clg_scan_bounds bounds, const struct clg_batch *batch,
                         struct clg_stage_found *found, struct commitlog_error *err)
{
    uint64_t begin = found->end;
    uint64_t end = begin + batch->member_bytes;
    CLG_ASSERT(found->records == 1);
    if (!clg_batch_fits(batch, segment->data_end - begin)) {
        found->verdict = CLG_STAGE_NONE;
        return 0;
    }
    uint64_t *checks = clg_os_alloc_array(stage->os, batch->count, sizeof(*checks));
    if (checks == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, ENOMEM, begin, "check a batch of the stage");
    }
    int rc = 0;
    uint32_t done = 0;
    while (rc == 0 && done < batch->count && found->end < end) {
        struct clg_record_header header;
        const uint8_t *bytes;
        enum clg_stage_verdict verdict;
        clg_scan_raise(&bounds, &found->header);
        rc = stage_record(stage, segment, &bounds, found->end, &header, &bytes, &verdict, err);
        if (rc != 0 || verdict != CLG_STAGE_RECORDS ||
            !clg_batch_member_fits(&header, end - found->end)) {
            break;
        }
        /* Stored as in the file: little-endian. */
        clg_store_le64(&checks[done], header.check);
        stage_take(found, found->end, &header);
        done++;
    }
    bool whole = done == batch->count && found->end == end &&
                 clg_hash64(checks, done * sizeof(*checks), 0) == batch->member_checks;
    stage->os->free(stage->os, checks);
    found->verdict = whole ? CLG_STAGE_RECORDS : CLG_STAGE_NONE;
    CLG_ASSERT(done <= batch->count);
    return rc;
}

int clg_stage_look(struct clg_stage *stage, const struct clg_segment *segment,
                   const struct clg_scan_bounds *bounds, uint64_t position,
                   struct clg_stage_found *out, struct commitlog_error *err)
{
    CLG_ASSERT(segment != NULL);
    CLG_ASSERT(out != NULL);
    memset(out, 0, sizeof(*out));
    if (stage->hashed_bytes >= clg_scan_hash_most(stage->header.ring_bytes)) {
        return 0; /* a stage that lies, at each place anew */
    }
    struct clg_record_header header;
    const uint8_t *bytes;
    enum clg_stage_verdict verdict;
    int rc = stage_record(stage, segment, bounds, position, &header, &bytes, &verdict, err);
    if (rc != 0 || verdict == CLG_STAGE_NONE) {
        return rc;
    }
    if ((header.flags & CLG_RECORD_MEMBER) != 0) { /* of a batch whose header is not there */
        return 0;
    }
    out->end = position;
    stage_take(out, position, &header);
    out->verdict = verdict;
    if (verdict == CLG_STAGE_RECORDS && header.kind == CLG_KIND_FIRST &&
        (clg_first_decode(clg_record_body(&header, bytes), clg_record_body_bytes(&header),
                          &out->first) != 0 ||
         out->first > position)) {
        out->first = 0;
    }
    if (verdict == CLG_STAGE_RECORDS && header.kind == CLG_KIND_BATCH) {
        struct clg_batch batch;
        if (clg_batch_decode(clg_record_body(&header, bytes), clg_record_body_bytes(&header),
                             &batch) != 0) {
            out->verdict = CLG_STAGE_NONE;
            return 0;
        }
        return stage_members(stage, segment, *bounds, &batch, out, err);
    }
    return 0;
}

int clg_stage_search(struct clg_stage *stage, const struct clg_segment *segment,
                     const struct clg_scan_bounds *bounds, uint64_t from, uint64_t to,
                     uint64_t *out_found, struct commitlog_error *err)
{
    const uint64_t ring = stage->header.ring_bytes;
    /* Of one segment no more than the ring holds; a pad, which holds nothing, may reach further. */
    uint64_t end = clg_max_u64(stage->live.written, segment->data_start) + ring;
    end = clg_min_u64(end, clg_min_u64(to, stage->live.claimed));
    CLG_ASSERT(from >= segment->data_start);
    *out_found = to;
    for (uint64_t at = clg_max_u64(from, stage->live.written); at < end; at += CLG_RECORD_ALIGN) {
        struct clg_stage_found found;
        int rc = clg_stage_look(stage, segment, bounds, at, &found, err);
        if (rc != 0) {
            return rc;
        }
        if (found.verdict != CLG_STAGE_NONE) {
            *out_found = at;
            return 0;
        }
    }
    return 0;
}

/* Behind what was fetched lies another whole record in the window: its size, or 0. */
static uint32_t stage_next_size(const struct clg_stage *stage, uint64_t position, uint64_t to)
{
    struct clg_record_header header;
    CLG_ASSERT(stage->buffer != NULL);
    if (position >= to || !stage_has(stage, position, CLG_RECORD_HEADER_BYTES)) {
        return 0;
    }
    clg_record_decode(stage->buffer + (position - stage->window_at), &header);
    uint32_t size = clg_record_size(header.word);
    bool here = size >= CLG_RECORD_MIN && !clg_record_is_filler(header.kind) &&
                stage_has(stage, position, size);
    CLG_ASSERT(!here || size <= stage->window_bytes);
    return here ? size : 0;
}

int clg_stage_fetch(struct clg_stage *stage, const struct clg_segment *segment, uint64_t position,
                    uint64_t to, const uint8_t **out, uint32_t *out_bytes, uint32_t *out_size,
                    struct commitlog_error *err)
{
    const struct clg_scan_bounds any = {.epoch = 0, .time = INT64_MIN}; /* it has been found */
    struct clg_record_header header;
    enum clg_stage_verdict verdict;
    CLG_ASSERT(out != NULL && out_bytes != NULL && out_size != NULL);
    int rc = stage_record(stage, segment, &any, position, &header, out, &verdict, err);
    if (rc == 0 && verdict != CLG_STAGE_RECORDS) {
        rc = clg_fail(err, COMMITLOG_EAGAIN, 0, position, "the stage changed during recovery");
    }
    if (rc != 0) {
        return rc;
    }
    *out_size = clg_record_size(header.word);
    *out_bytes = CLG_RECORD_HEADER_BYTES;
    if (clg_record_is_filler(header.kind)) {
        return 0;
    }
    uint32_t next = 0;
    while ((next = stage_next_size(stage, position + *out_size, to)) > 0) {
        const uint8_t *bytes; /* in the window already, which does not move */
        rc = stage_record(stage, segment, &any, position + *out_size, &header, &bytes, &verdict,
                          err);
        if (rc != 0 || verdict != CLG_STAGE_RECORDS) {
            break; /* the next call says so */
        }
        CLG_ASSERT(clg_record_size(header.word) == next && bytes == *out + *out_size);
        *out_size += next;
    }
    *out_bytes = *out_size;
    CLG_ASSERT(stage_has(stage, position, *out_bytes));
    return 0;
}
