/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_writer.c -- a minimal writer over the formats. See sim_writer.h.
 */
#include "crash/sim_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/plant.h"
#include "format/record.h"
#include "format/topic_record.h"
#include "segment/segment_create.h"
#include "segment/segment_scan.h"

static int writer_live_open(struct sim_writer *w)
{
    const struct commitlog_os *os = w->os;
    char path[] = "/shm/clg-sim";
    int dir = os->open_dir(os, "/shm");
    w->live_fd = os->open_at(
        os, dir, "clg-sim",
        CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE | CLG_OS_OPEN_TRUNCATE, 0600);
    (void)os->close(os, dir);
    if (w->live_fd < 0) {
        return w->live_fd;
    }
    struct clg_live_header header;
    memset(&header, 0, sizeof(header));
    header.device = w->dir.device;
    header.inode = w->dir.inode;
    header.session = w->session;
    header.start_time = 1;
    header.ring_bytes = SIM_RING_BYTES;
    header.histograms = CLG_HISTOGRAMS;
    header.ring_offset = CLG_LIVE_RING_AT;
    header.area_bytes = CLG_LIVE_RING_AT + SIM_RING_BYTES;
    header.created = w->time;
    header.pid = 1;
    header.engine = CLG_ENGINE_STAGED;
    header.epoch = w->epoch;
    memcpy(header.uuid, w->result.uuid, CLG_UUID_BYTES);
    memcpy(header.boot_id, w->dir.boot_id, CLG_BOOT_ID_BYTES);
    uint8_t page[CLG_FORMAT_PAGE_BYTES];
    clg_live_header_encode(page, &header);
    int rc = os->ftruncate(os, w->live_fd, header.area_bytes);
    if (rc >= 0) {
        rc = clg_os_pwrite_all(os, w->live_fd, page, sizeof(page), 0);
    }
    if (rc >= 0) {
        rc = clg_store_dir_write_lock(&w->dir, w->result.uuid, w->session, path, NULL);
    }
    return rc;
}

static int writer_position(struct sim_writer *w, size_t at, uint64_t value)
{
    return w->staged ? clg_os_pwrite_all(w->os, w->live_fd, &value, sizeof(value), at) : 0;
}

static int writer_show(struct sim_writer *w)
{
    int rc = writer_position(w, offsetof(struct clg_live_area, claimed), w->position);
    rc = rc < 0
             ? rc
             : writer_position(w, offsetof(struct clg_live_area, published), w->history->published);
    rc = rc < 0 ? rc : writer_position(w, offsetof(struct clg_live_area, written), w->written);
    rc = rc < 0 ? rc : writer_position(w, offsetof(struct clg_live_area, durable), w->durable);
    return rc < 0 ? COMMITLOG_EIO : 0;
}

int sim_open(struct sim_writer *w, struct commitlog_fault *machine, struct sim_history *history,
             bool staged, uint32_t mode)
{
    struct commitlog_error err;
    memset(w, 0, sizeof(*w));
    clg_error_clear(&err);
    w->os = commitlog_fault_os(machine);
    w->history = history;
    w->staged = staged;
    w->live_fd = -1;
    w->session = commitlog_fault_count(machine, COMMITLOG_FAULT_ANY) + 1;
    struct clg_store_dir_options dir_options = {.create = COMMITLOG_CREATE_IF_MISSING};
    int rc = clg_store_dir_open(w->os, SIM_PATH, &dir_options, &w->dir, &err);
    if (rc != 0) {
        return rc;
    }
    clg_segment_set_init(&w->set, w->os);
    clg_checkpoint_file_init(&w->checkpoint_file, w->os);
    w->open = true;
    struct clg_recovery_options options = {
        .mode = mode, .segment_bytes = SIM_SEGMENT_BYTES, .session = w->session};
    rc = clg_recovery_run(&w->dir, &options, &w->set, &w->result, &err);
    if (rc == 0) {
        w->epoch = w->result.epoch;
        w->time = w->result.last_store_time + 1;
        w->position = w->written = w->durable = w->result.end;
        w->active = clg_segment_set_pin_last(&w->set);
        w->checkpoint = w->result.checkpoint;
        w->queue_offset = w->position;
        rc = clg_checkpoint_file_open(&w->checkpoint_file, w->dir.dir_fd, true, &err);
    }
    if (rc == 0) {
        struct clg_checkpoint newest;
        rc = clg_checkpoint_file_read(&w->checkpoint_file, NULL, false, &newest, &err);
    }
    if (rc == 0 && staged) {
        w->history->published = w->position;
        rc = writer_live_open(w) < 0 ? COMMITLOG_EIO : writer_show(w);
    }
    if (rc != 0) {
        if (getenv("SIM_VERBOSE") != NULL) {
            (void)fprintf(stderr, "open: %d %s\n", rc, err.message);
        }
        sim_abandon(w);
    }
    return rc;
}

void sim_abandon(struct sim_writer *w)
{
    if (!w->open) {
        return;
    }
    clg_checkpoint_file_close(&w->checkpoint_file);
    clg_segment_unref(w->active);
    clg_segment_unref(w->result.prepared);
    clg_segment_set_free(&w->set);
    if (w->live_fd >= 0) {
        (void)w->os->close(w->os, w->live_fd);
    }
    clg_store_dir_close(&w->dir);
    w->active = NULL;
    w->open = false;
}

static void writer_remember(struct sim_writer *w, const uint8_t *record, uint32_t size,
                            uint8_t kind)
{
    struct sim_history *h = w->history;
    if (h->count == SIM_HISTORY_MAX) {
        abort();
    }
    struct sim_record *item = &h->items[h->count++];
    item->position = w->position;
    item->size = size;
    item->kind = kind;
    item->hash = clg_hash64(record, kind == CLG_KIND_PAD ? CLG_RECORD_HEADER_BYTES : size, 0);
}

/* Into the ring or the segment. */
static int writer_store(struct sim_writer *w, const uint8_t *record, uint64_t position,
                        uint32_t size)
{
    if (!w->staged) {
        return clg_segment_pwrite(w->active, record, size, position, NULL);
    }
    uint64_t at = position & (SIM_RING_BYTES - 1);
    uint64_t before = clg_min_u64(size, SIM_RING_BYTES - at);
    int rc = clg_os_pwrite_all(w->os, w->live_fd, record, before, CLG_LIVE_RING_AT + at);
    if (rc >= 0 && before < size) {
        rc = clg_os_pwrite_all(w->os, w->live_fd, record + before, size - before, CLG_LIVE_RING_AT);
    }
    return rc < 0 ? COMMITLOG_EIO : 0;
}

static uint32_t writer_build(struct sim_writer *w, uint8_t *record, uint64_t position, uint8_t kind,
                             const uint8_t *body, uint32_t body_bytes, bool claimed)
{
    uint32_t size = clg_record_bytes(0, body_bytes);
    struct clg_record_header header;
    memset(&header, 0, sizeof(header));
    header.word = clg_record_word(size, claimed ? CLG_RECORD_CLAIMED : CLG_RECORD_COMMITTED);
    header.queue_offset = w->queue_offset++;
    header.store_time = w->time++;
    header.epoch = w->epoch;
    header.queue_number = kind == CLG_KIND_MESSAGE ? 3 : CLG_QUEUE_NONE;
    header.durable_back = clg_durable_back_encode(position, w->durable);
    header.kind = kind;
    header.flags = clg_record_padding(0, body_bytes);
    memset(record, 0, size);
    clg_record_encode_header(record, &header);
    if (body_bytes > 0) {
        memcpy(record + CLG_RECORD_HEADER_BYTES, body, body_bytes);
    }
    uint64_t seed = clg_record_seed(w->active->salt, position);
    if (claimed) {
        (void)clg_record_seal_header(record, size, seed);
        clg_store_le32(record, header.word);
    } else {
        clg_store_le32(record, clg_record_seal(record, size, seed));
    }
    return size;
}

static int writer_pad(struct sim_writer *w)
{
    uint8_t record[CLG_RECORD_HEADER_BYTES] = {0};
    struct clg_record_header header;
    uint32_t size = (uint32_t)(w->active->data_end - w->position);
    memset(&header, 0, sizeof(header));
    header.word = clg_record_word(size, CLG_RECORD_COMMITTED);
    header.store_time = w->time++;
    header.epoch = w->epoch;
    header.queue_number = CLG_QUEUE_NONE;
    header.durable_back = clg_durable_back_encode(w->position, w->durable);
    header.kind = CLG_KIND_PAD;
    clg_record_encode_header(record, &header);
    uint64_t seed = clg_record_seed(w->active->salt, w->position);
    clg_store_le32(record, clg_record_seal_header(record, size, seed));
    int rc = clg_segment_pwrite(w->active, record, sizeof(record), w->position, NULL);
    if (rc == 0) {
        writer_remember(w, record, size, CLG_KIND_PAD);
    }
    return rc;
}

/* The next segment exists before the pad of this one is written; the footer comes after a flush. */
static int writer_roll(struct sim_writer *w)
{
    struct clg_segment *next = NULL;
    int rc = sim_drain(w);
    if (rc == 0 && w->result.prepared != NULL) {
        next = w->result.prepared;
        w->result.prepared = NULL;
    } else if (rc == 0) {
        struct clg_segment_plan plan;
        clg_segment_plan_after(w->active, SIM_SEGMENT_BYTES, w->time, w->epoch, &plan);
        rc = clg_segment_create(&w->dir.segment_dir, &plan, &next, NULL);
    }
    if (rc == 0) {
        rc = writer_pad(w);
    }
    if (rc != 0) {
        clg_segment_unref(next);
        return rc;
    }
    w->position = w->active->data_end + CLG_SEGMENT_GAP;
    w->written = w->position;
    w->history->published = w->position;
    rc = writer_show(w);
    if (rc == 0) {
        rc = clg_segment_flush(w->active, NULL);
    }
    if (rc == 0) {
        w->durable = w->position;
        struct clg_segment_footer footer = {.end = w->active->data_end,
                                            .records = w->records + 1,
                                            .first_time = 0,
                                            .last_time = w->time,
                                            .epoch = w->epoch};
        rc = clg_segment_write_footer(w->active, &footer, NULL);
    }
    clg_segment_unref(w->active);
    w->active = next;
    w->records = 0;
    clg_segment_ref(next);
    int added = clg_segment_set_append(&w->set, next, NULL);
    return rc != 0 ? rc : added;
}

static int writer_room(struct sim_writer *w, uint64_t bytes)
{
    int rc = 0;
    if (w->active->data_end - w->position < bytes + CLG_RECORD_MIN) {
        rc = writer_roll(w);
    }
    if (rc == 0 && w->staged && w->position + bytes - w->written > SIM_RING_BYTES / 2) {
        rc = sim_drain(w);
    }
    return rc;
}

int sim_append(struct sim_writer *w, uint64_t seed, uint32_t body_bytes)
{
    static uint8_t body[4096];
    static uint8_t record[8192];
    for (uint32_t i = 0; i < body_bytes; i++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
        body[i] = (uint8_t)(seed >> 56);
    }
    int rc = writer_room(w, clg_record_bytes(0, body_bytes));
    if (rc != 0) {
        return rc;
    }
    uint32_t size = writer_build(w, record, w->position, CLG_KIND_MESSAGE, body, body_bytes, false);
    writer_remember(w, record, size, CLG_KIND_MESSAGE);
    rc = writer_store(w, record, w->position, size);
    if (rc != 0) {
        return rc;
    }
    w->records++;
    w->position += size;
    if (!w->staged) {
        w->written = w->position;
    }
    rc = writer_show(w);
    w->history->published = w->position;
    return rc != 0 ? rc : writer_show(w);
}

int sim_batch(struct sim_writer *w, uint64_t seed, uint32_t count)
{
    static uint8_t bytes[16384];
    uint8_t body[CLG_BATCH_BODY_BYTES];
    uint64_t checks[64];
    uint32_t header_size = clg_record_bytes(0, sizeof(body));
    uint64_t place = w->position;
    int rc = writer_room(w, sizeof(bytes));
    place = w->position;
    if (rc != 0 || count > 64) {
        return rc;
    }
    uint64_t at = header_size;
    int64_t begun = w->time; /* the header comes first, its time too */
    for (uint32_t i = 0; i < count; i++) {
        uint8_t text[100];
        memset(text, (int)(seed >> 32) + (int)i, sizeof(text));
        uint32_t size = writer_build(w, bytes + at, place + at, CLG_KIND_MESSAGE, text,
                                     (uint32_t)(20 + (seed + i) % 80), false);
        memcpy(&checks[i], bytes + at + CLG_RECORD_AT_CHECK, sizeof(checks[i]));
        at += size;
    }
    struct clg_batch batch = {.count = count,
                              .member_bytes = at - header_size,
                              .member_checks = clg_hash64(checks, count * sizeof(checks[0]), 0)};
    clg_batch_encode(body, &batch);
    int64_t ended = w->time;
    w->time = begun;
    (void)writer_build(w, bytes, place, CLG_KIND_BATCH, body, sizeof(body), false);
    w->time = ended;
    writer_remember(w, bytes, (uint32_t)at, CLG_KIND_BATCH);
    rc = writer_store(w, bytes, place, (uint32_t)at);
    if (rc != 0) {
        return rc;
    }
    w->records += count + 1;
    w->position += at;
    if (!w->staged) {
        w->written = w->position;
    }
    w->history->published = w->position;
    return writer_show(w);
}

int sim_claim(struct sim_writer *w, uint32_t body_bytes)
{
    static uint8_t record[8192];
    uint8_t body[4096] = {0};
    int rc = writer_room(w, clg_record_bytes(0, body_bytes));
    if (rc != 0) {
        return rc;
    }
    uint32_t size = writer_build(w, record, w->position, CLG_KIND_MESSAGE, body, body_bytes, true);
    writer_remember(w, record, size, CLG_KIND_HOLE);
    rc = writer_store(w, record, w->position, size);
    w->position += size;
    return rc != 0 ? rc : writer_show(w);
}

int sim_drain(struct sim_writer *w)
{
    static uint8_t buffer[SIM_RING_BYTES];
    if (!w->staged || w->written == w->history->published) {
        return 0;
    }
    uint64_t bytes = w->history->published - w->written;
    uint64_t at = w->written & (SIM_RING_BYTES - 1);
    uint64_t before = clg_min_u64(bytes, SIM_RING_BYTES - at);
    int rc = clg_os_pread_all(w->os, w->live_fd, buffer, before, CLG_LIVE_RING_AT + at);
    if (rc >= 0 && before < bytes) {
        rc = clg_os_pread_all(w->os, w->live_fd, buffer + before, bytes - before, CLG_LIVE_RING_AT);
    }
    if (rc < 0) {
        return COMMITLOG_EIO;
    }
    rc = clg_segment_pwrite(w->active, buffer, bytes, w->written, NULL);
    if (rc == 0) {
        w->written = w->history->published;
        rc = writer_show(w);
    }
    return rc;
}

int sim_flush(struct sim_writer *w)
{
    int rc = sim_drain(w);
    uint64_t target = w->written;
    if (CLG_PLANTED(ACK_EARLY)) {
        w->history->acked = target;
    }
    if (rc == 0) {
        rc = clg_segment_flush(w->active, NULL);
    }
    if (rc != 0) {
        return rc;
    }
    w->durable = target;
    rc = writer_show(w);
    w->history->acked = target;
    return rc;
}

int sim_checkpoint(struct sim_writer *w, bool clean)
{
    w->checkpoint.durable = w->durable;
    w->checkpoint.checkpointed = w->durable;
    w->checkpoint.epoch = w->epoch;
    w->checkpoint.store_time = w->time;
    w->checkpoint.clean = clean;
    return clg_checkpoint_file_write(&w->checkpoint_file, &w->checkpoint, NULL);
}

/* One record of the walk against the history. */
static const char *check_one(struct sim_writer *w, struct clg_segment *segment,
                             const struct clg_scan_record *record, uint32_t index,
                             bool holes_allowed)
{
    static uint8_t buffer[SIM_SEGMENT_BYTES];
    const struct sim_history *h = w->history;
    if (index >= h->count) {
        return "a record that nobody appended";
    }
    const struct sim_record *item = &h->items[index];
    if (item->position != record->position) {
        return "a record at another place than it was appended";
    }
    if (item->kind == CLG_KIND_HOLE) {
        return record->header.kind == CLG_KIND_HOLE ? NULL : "a dead claim is no hole";
    }
    if (record->header.kind == CLG_KIND_HOLE && holes_allowed) {
        return NULL;
    }
    uint64_t bytes = item->kind == CLG_KIND_PAD ? CLG_RECORD_HEADER_BYTES : item->size;
    if (clg_segment_pread(segment, buffer, bytes, item->position, NULL) != 0) {
        return "a record does not read";
    }
    return clg_hash64(buffer, bytes, 0) == item->hash ? NULL : "a record differs";
}

const char *sim_check(struct sim_writer *w, bool holes_allowed)
{
    struct sim_history *h = w->history;
    uint64_t first = w->result.first;
    uint32_t index = 0;
    const char *wrong = NULL;
    while (index < h->count && h->items[index].position < first) {
        index++;
    }
    for (uint32_t i = 0; wrong == NULL && i < clg_segment_set_count(&w->set); i++) {
        struct clg_segment *segment = clg_segment_set_pin_at(&w->set, i);
        struct clg_scan scan;
        clg_scan_init(&scan, segment, 0, CLG_SCAN_FULL);
        uint64_t unit_end = 0;
        while (wrong == NULL) {
            struct clg_scan_record record;
            if (clg_scan_step(&scan, &record, NULL) != 0) {
                wrong = "out of memory";
            } else if (record.verdict != CLG_SCAN_OK) {
                break;
            } else if (record.position >= unit_end) {
                wrong = check_one(w, segment, &record, index, holes_allowed);
                index++;
                unit_end = record.batch_end;
            }
        }
        if (wrong == NULL && scan.next < segment->data_end && scan.next != w->result.end) {
            wrong = "the log stops before its end";
        }
        uint64_t nonzero;
        if (wrong == NULL && scan.next < segment->data_end &&
            (clg_scan_all_zero(&scan, scan.next, segment->data_end, &nonzero, NULL) != 0 ||
             nonzero != segment->data_end)) {
            wrong = "something is left behind the end";
        }
        clg_scan_free(&scan);
        clg_segment_unref(segment);
    }
    if (wrong == NULL && w->result.end < h->acked) {
        wrong = "an acknowledged record is lost";
    }
    h->count = wrong == NULL ? index : h->count;
    h->published = w->result.end;
    return wrong;
}
