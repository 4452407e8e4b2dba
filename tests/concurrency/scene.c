/* SPDX-License-Identifier: BSD-2-Clause */
/* scene.c -- the store of one schedule. See scene.h. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fault/machine.h"
#include "format/topic_record.h"
#include "scene.h"
#include "store/store.h"

typedef unsigned long long ull;

struct scene scene;

/* What of the positions was seen and checked already. */
static struct {
    struct commitlog_fault *machine;
    int64_t (*pwrite)(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                      uint64_t at);
    struct commitlog_os os;
    uint64_t first;
    uint64_t durable;
    uint64_t written;
    uint64_t published;
    uint64_t claimed;
} seen;

static uint8_t scene_room[SCENE_SEGMENT];

/* ---- bytes of the log ------------------------------------------------------------------------ */

static uint64_t segment_base(uint64_t position)
{
    return position - position % SCENE_SEGMENT;
}

static struct fault_inode *segment_file(uint64_t base)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/store/log/%020llu.log", (ull)base);
    int64_t inode = clg_fault_lookup(seen.machine, path);
    WEAVE_CHECK(inode >= 0, "no file %s", path);
    return &seen.machine->inodes[inode];
}

static void file_read(uint64_t from, uint8_t *out, size_t bytes)
{
    struct fault_inode *file = segment_file(segment_base(from));
    ssize_t got = pread(file->memory_fd, out, bytes, (off_t)(from - segment_base(from)));
    WEAVE_CHECK(got == (ssize_t)bytes, "%llu: the file ends", (ull)from);
}

/* The records of [from, to) whose bytes lie at `bytes` (NULL: in the files): all committed, no
 * batch is cut. A pad may end at its header, or where the next segment's data begin. */
static void walk(uint64_t from, uint64_t to, const uint8_t *bytes, const char *what)
{
    uint64_t at = from;
    while (at < to) {
        uint8_t head[CLG_RECORD_HEADER_BYTES + CLG_BATCH_BODY_BYTES] = {0};
        struct clg_record_header header;
        if (bytes != NULL)
            memcpy(head, bytes + (at - from), clg_min_u64(sizeof head, to - at));
        else
            file_read(at, head, sizeof head);
        clg_record_decode(head, &header);
        uint64_t size = clg_record_size(header.word);
        WEAVE_CHECK(clg_record_state(header.word) == CLG_RECORD_COMMITTED && size >= CLG_RECORD_MIN,
                    "%s [%llu, %llu): %llu is not committed", what, (ull)from, (ull)to, (ull)at);
        if (header.kind == CLG_KIND_PAD && bytes != NULL) {
            at += CLG_RECORD_HEADER_BYTES;
            break;
        }
        if (header.kind == CLG_KIND_BATCH) {
            struct clg_batch batch;
            WEAVE_CHECK(
                clg_batch_decode(head + CLG_RECORD_HEADER_BYTES, CLG_BATCH_BODY_BYTES, &batch) == 0,
                "%llu: batch", (ull)at);
            WEAVE_CHECK(at + size + batch.member_bytes <= to, "%s: %llu cuts the batch at %llu",
                        what, (ull)to, (ull)at);
        }
        at = clg_record_next(at, size, header.kind);
    }
    WEAVE_CHECK(at == to, "%s: %llu is within the record that ends at %llu", what, (ull)to,
                (ull)at);
}

/* The ring has no pads' bodies, and of it only what was not drained is asked for. */
static void walk_published(uint64_t from, uint64_t to)
{
    const struct clg_log *log = scene.log;
    uint64_t at = from;
    if (log->ring == NULL || atomic_load(&log->ring_floor) > from) {
        walk(from, to, NULL, "published");
        return;
    }
    while (at < to) {
        const uint8_t *record = log->ring + (at & log->ring_mask);
        struct clg_record_header header;
        clg_record_decode(record, &header);
        if (header.kind == CLG_KIND_PAD) {
            WEAVE_CHECK(clg_record_state(header.word) == CLG_RECORD_COMMITTED, "pad at %llu",
                        (ull)at);
            at = clg_record_next(at, clg_record_size(header.word), header.kind);
            continue;
        }
        uint64_t end = clg_min_u64(to, segment_base(at) + SCENE_SEGMENT - CLG_SEGMENT_FOOTER);
        uint64_t size = clg_record_size(header.word);
        WEAVE_CHECK(clg_record_state(header.word) == CLG_RECORD_COMMITTED, "published %llu: %llu",
                    (ull)to, (ull)at);
        if (header.kind == CLG_KIND_BATCH) {
            struct clg_batch batch;
            WEAVE_CHECK(clg_batch_decode(record + CLG_RECORD_HEADER_BYTES, CLG_BATCH_BODY_BYTES,
                                         &batch) == 0,
                        "%llu: batch", (ull)at);
            WEAVE_CHECK(at + size + batch.member_bytes <= end,
                        "published %llu is within the batch at %llu", (ull)to, (ull)at);
        }
        at += size;
    }
    WEAVE_CHECK(at == to, "published %llu is within the record that ends at %llu", (ull)to,
                (ull)at);
}

/* The disk has what the files have. */
static void check_disk(uint64_t from, uint64_t to)
{
    while (from < to) {
        uint64_t base = segment_base(from);
        const struct fault_inode *file = segment_file(base);
        uint64_t end = clg_min_u64(to, base + SCENE_SEGMENT - CLG_SEGMENT_FOOTER);
        if (end > from) {
            file_read(from, scene_room, end - from);
            WEAVE_CHECK(file->disk_size >= end - base &&
                            memcmp(scene_room, file->disk + (from - base), end - from) == 0,
                        "[%llu, %llu) is not on the disk", (ull)from, (ull)end);
        }
        from = base + SCENE_SEGMENT + CLG_SEGMENT_DATA_START;
    }
}

/* ---- at every step --------------------------------------------------------------------------- */

void scene_step(void)
{
    const struct clg_live_area *area = scene.log == NULL ? NULL : scene.log->shared;
    if (area == NULL)
        return;
    uint64_t first = clg_live_load(&area->first);
    uint64_t durable = clg_live_load(&area->durable);
    uint64_t written = clg_live_load(&area->written);
    uint64_t published = clg_live_load(&area->published);
    uint64_t claimed = clg_live_load(&area->claimed);
    /* The mmap engine stores `published` and then `written`, which is never looked at before. */
    WEAVE_CHECK(first <= durable && durable <= written && written <= published &&
                    published <= claimed,
                "first %llu durable %llu written %llu published %llu claimed %llu", (ull)first,
                (ull)durable, (ull)written, (ull)published, (ull)claimed);
    WEAVE_CHECK(first >= seen.first && durable >= seen.durable && written >= seen.written &&
                    published >= seen.published && claimed >= seen.claimed,
                "a position goes back: first %llu durable %llu written %llu published %llu "
                "claimed %llu",
                (ull)first, (ull)durable, (ull)written, (ull)published, (ull)claimed);
    if (published != seen.published)
        walk_published(seen.published, published);
    if (written != seen.written)
        walk(seen.written, written, NULL, "written");
    if (durable != seen.durable)
        check_disk(seen.durable, durable);
    seen.first = first;
    seen.durable = durable;
    seen.written = written;
    seen.published = published;
    seen.claimed = claimed;
}

static int64_t scene_pwrite(const struct commitlog_os *os, int fd, const void *buf, size_t size,
                            uint64_t at)
{
    const struct clg_segment *segment = scene.log != NULL ? scene.log->drain_segment : NULL;
    int64_t rc = seen.pwrite(os, fd, buf, size, at);
    /* At this moment it is in the file. */
    if (segment != NULL && segment->fd == fd && at >= CLG_SEGMENT_DATA_START &&
        at < SCENE_SEGMENT - CLG_SEGMENT_FOOTER)
        walk(segment->base + at, segment->base + at + size, buf, "drained");
    return rc;
}

/* ---- a store -----------------------------------------------------------------------------------
 */

static void option_set(struct commitlog_options *options, int32_t id, uint64_t value)
{
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_options_set(options, id, value, &err), &err);
}

static void scene_names(void)
{
    struct clg_log *log = scene.log;
    weave_ignore(log->shared->counters, sizeof log->shared->counters);
    weave_ignore(log->live->histograms, log->live->histogram_count * CLG_LIVE_HISTOGRAM_BYTES);
    weave_ignore(log->published_wake.at_ns, sizeof log->published_wake.at_ns);
    weave_ignore(log->durable_wake.at_ns, sizeof log->durable_wake.at_ns);
    weave_ignore(scene.store->own_counters, sizeof scene.store->own_counters);
    weave_name(&log->shared->first, "first");
    weave_name(&log->shared->durable, "durable");
    weave_name(&log->shared->written, "written");
    weave_name(&log->shared->published, "published");
    weave_name(&log->shared->claimed, "claimed");
    weave_name(&log->shared->wake.published, "followers' word");
    weave_name(&log->shared->wake.durable, "followers' word of durable");
    weave_name(&log->published_wake.word, "readers' word");
    weave_name(&log->published_wake.waiters, "readers that wait");
    weave_name(&log->durable_wake.word, "readers' word of durable");
    weave_name(&log->durable_wake.waiters, "readers that wait for durable");
    weave_name(&log->listeners, "listeners");
    weave_name(&log->announced, "announced");
    weave_name(&log->claim_lock, "claim_lock");
    weave_name(&log->drain_lock, "drain_lock");
    weave_name(&log->seal_lock, "seal_lock");
    weave_name(&log->unmap_lock, "unmap_lock");
    weave_name(&log->leader, "leader");
    weave_name(&log->flush_aim, "flush_aim");
    weave_name(&log->flush_sleeps[0].word, "flush_word_0");
    weave_name(&log->flush_sleeps[0].sleepers, "flush_sleepers_0");
    weave_name(&log->flush_sleeps[1].word, "flush_word_1");
    weave_name(&log->flush_sleeps[1].sleepers, "flush_sleepers_1");
    weave_name(&log->flush_sleeps[CLG_FLUSH_NEVER_LEADS].word, "durable_word");
    weave_name(&log->room_word, "room_word");
    weave_name(&log->room_waiters, "room_waiters");
    weave_name(&log->folded, "folded (log)");
    weave_name(&log->latch, "latch");
    weave_name(&log->interrupts, "interrupts");
    weave_name(&scene.store->upkeep.word, "upkeep_word");
    weave_name(&scene.store->drainer.word, "drainer_word");
    weave_name(&scene.store->upkeep.called, "upkeep_called");
    weave_name(&scene.store->drainer.called, "drainer_called");
    weave_name(&scene.store->thread_stop, "thread_stop");
    weave_name(&scene.store->core->refs, "core refs");
    weave_name(&scene.store->refs, "store refs");
}

void scene_open(const struct scene_options *settings)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    memset(&scene, 0, sizeof scene);
    memset(&seen, 0, sizeof seen);
    WEAVE_RC(commitlog_fault_create(1, &seen.machine), COMMITLOG_OK);
    seen.os = *weave_os(commitlog_fault_os(seen.machine));
    seen.pwrite = seen.os.pwrite;
    seen.os.pwrite = scene_pwrite;
    WEAVE_RC(commitlog_options_create(&options), COMMITLOG_OK);
    commitlog_options_set_os(options, &seen.os);
    option_set(options, COMMITLOG_OPT_ENGINE, settings->engine);
    option_set(options, COMMITLOG_OPT_SEGMENT_BYTES, SCENE_SEGMENT);
    option_set(options, COMMITLOG_OPT_STAGE_BYTES, SCENE_RING);
    option_set(options, COMMITLOG_OPT_FLUSH, settings->flush);
    option_set(options, COMMITLOG_OPT_FLUSH_ALIGN_BYTES, settings->align);
    option_set(options, COMMITLOG_OPT_VISIBILITY, settings->visibility);
    option_set(options, COMMITLOG_OPT_THREAD, settings->thread);
    option_set(options, COMMITLOG_OPT_PREWRITE, COMMITLOG_PREWRITE_NO);
    WEAVE_OK(commitlog_open("/store", options, &scene.store, &err), &err);
    commitlog_options_free(options);
    WEAVE_OK(commitlog_topic_open(scene.store, "t", 1, 1, &scene.topic, &err), &err);
    scene.log = scene.store->core->log;
    scene.first_base = clg_log_active_base(scene.log);
    CHECKF(scene.first_base % SCENE_SEGMENT == 0, "base %llu", (ull)scene.first_base);
    scene_names();
    seen.first = clg_log_first(scene.log);
    seen.durable = clg_log_durable(scene.log);
    seen.written = clg_log_written(scene.log);
    seen.published = clg_log_published(scene.log);
    seen.claimed = clg_log_claimed(scene.log);
    scene_append(0, COMMITLOG_LEVEL_DURABLE);
}

const struct commitlog_os *scene_os(void)
{
    return &seen.os;
}

struct commitlog_fault *scene_machine(void)
{
    return seen.machine;
}

struct commitlog_store *scene_reopen(const struct commitlog_os *os)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    WEAVE_RC(commitlog_options_create(&options), COMMITLOG_OK);
    commitlog_options_set_os(options, os);
    option_set(options, COMMITLOG_OPT_THREAD, 0);
    WEAVE_OK(commitlog_open("/store", options, &store, &err), &err);
    commitlog_options_free(options);
    return store;
}

int64_t scene_now_ms(void)
{
    return seen.os.clock_wall_ns(&seen.os) / 1000000;
}

uint32_t scene_topic(const char *name, uint32_t queues)
{
    struct commitlog_error err = {.message = ""};
    uint32_t topic = 0;
    WEAVE_OK(commitlog_topic_open(scene.store, name, strlen(name), queues, &topic, &err), &err);
    return topic;
}

struct commitlog_group *scene_group(const char *name, uint32_t flags)
{
    struct commitlog_group *group = NULL;
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_group_open(scene.store, name, strlen(name), COMMITLOG_GROUP_CREATE | flags,
                                  &group, &err),
             &err);
    return group;
}

struct commitlog_record scene_record(const struct commitlog_slice *body, uint32_t topic)
{
    return (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                     .topic = topic,
                                     .level = COMMITLOG_LEVEL_NONE,
                                     .body = body,
                                     .body_count = 1};
}

static struct scene_body next_body(uint32_t writer)
{
    CHECK(writer < SCENE_WRITERS);
    return (struct scene_body){writer, ++scene.serials[writer]};
}

static void note(struct scene_body body, const struct commitlog_receipt *receipt, uint32_t level)
{
    CHECK(scene.count < SCENE_RECORDS);
    scene.records[scene.count++] =
        (struct scene_record){.body = body, .offset = receipt->queue_offset};
    WEAVE_CHECK(receipt->level >= level, "level %u of %u", receipt->level, level);
    if (level >= COMMITLOG_LEVEL_WRITTEN)
        WEAVE_CHECK(clg_log_written(scene.log) >= receipt->end_position, "not written: %llu",
                    (ull)receipt->position);
    if (level >= COMMITLOG_LEVEL_DURABLE)
        check_disk(receipt->position, receipt->end_position);
}

void scene_append_bytes(uint32_t writer, uint32_t level, size_t bytes)
{
    static uint8_t room[SCENE_SEGMENT];
    struct commitlog_receipt receipt = {.position = 0};
    struct scene_body body = next_body(writer);
    /* Nobody else fills it between here and the copy but with the same zeros behind the head. */
    uint8_t small[sizeof body];
    void *data = bytes <= sizeof small ? small : room;
    CHECK(bytes >= sizeof body && bytes <= sizeof room);
    memcpy(data, &body, sizeof body);
    WEAVE_RC(commitlog_append(scene.store, scene.topic, 0, data, bytes, level, &receipt),
             COMMITLOG_OK);
    note(body, &receipt, level);
}

void scene_append(uint32_t writer, uint32_t level)
{
    scene_append_bytes(writer, level, sizeof(struct scene_body));
}

void scene_batch(uint32_t writer, uint32_t count, uint32_t level)
{
    struct scene_body bodies[8];
    struct commitlog_slice slices[8];
    struct commitlog_record records[8];
    struct commitlog_receipt receipts[8];
    struct commitlog_error err = {.message = ""};
    CHECK(count <= 8);
    memset(records, 0, sizeof records);
    memset(receipts, 0, sizeof receipts);
    for (uint32_t i = 0; i < count; i++) {
        bodies[i] = next_body(writer);
        slices[i] = (struct commitlog_slice){&bodies[i], sizeof bodies[i]};
        records[i].struct_bytes = sizeof records[i];
        records[i].topic = scene.topic;
        records[i].level = level;
        records[i].body = &slices[i];
        records[i].body_count = 1;
    }
    WEAVE_OK(commitlog_append_batch(scene.store, records, count, COMMITLOG_FOREVER, receipts, &err),
             &err);
    for (uint32_t i = 0; i < count; i++)
        note(bodies[i], &receipts[i], level);
}

struct commitlog_reservation *scene_reserve(uint32_t writer, uint32_t level)
{
    struct commitlog_record record = {
        .struct_bytes = sizeof record, .topic = scene.topic, .level = level};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_error err = {.message = ""};
    struct scene_body body = next_body(writer);
    void *place = NULL;
    WEAVE_OK(commitlog_reserve(scene.store, &record, sizeof body, COMMITLOG_FOREVER, &reservation,
                               &place, &err),
             &err);
    memcpy(place, &body, sizeof body);
    return reservation;
}

void scene_commit(struct commitlog_reservation *reservation, uint32_t writer, uint32_t level)
{
    struct commitlog_receipt receipt = {.position = 0};
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_commit(reservation, COMMITLOG_FOREVER, &receipt, &err), &err);
    note((struct scene_body){writer, scene.serials[writer]}, &receipt, level);
}

void scene_abort(struct commitlog_reservation *reservation, uint32_t writer)
{
    WEAVE_RC(commitlog_abort(reservation), COMMITLOG_OK);
    CHECK(scene.count < SCENE_RECORDS);
    scene.records[scene.count++] =
        (struct scene_record){.body = {writer, scene.serials[writer]}, .is_hole = true};
}

void scene_fill(uint64_t bytes)
{
    enum { RECORD = 8192 };
    for (;;) {
        uint64_t left = scene.log->active->data_end - scene.log->position;
        if (left <= bytes)
            return;
        uint64_t most = clg_min_u64(left - bytes, RECORD);
        if (most < CLG_RECORD_HEADER_BYTES + sizeof(struct scene_body))
            return;
        scene_append_bytes(0, COMMITLOG_LEVEL_NONE,
                           (size_t)(most - CLG_RECORD_HEADER_BYTES - most % 8));
        scene_step();
    }
}

uint64_t scene_visible(void)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    WEAVE_RC(commitlog_queue_info(scene.store, scene.topic, 0, &info), COMMITLOG_OK);
    return info.next_offset;
}

/* ---- in the end --------------------------------------------------------------------------------
 */

static const struct scene_record *record_of(const struct scene_body *body)
{
    for (uint32_t i = 0; i < scene.count; i++) {
        if (memcmp(&scene.records[i].body, body, sizeof *body) == 0)
            return &scene.records[i];
    }
    return NULL;
}

void scene_check_queue(void)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[8];
    struct commitlog_error err = {.message = ""};
    uint32_t serials[SCENE_WRITERS] = {0};
    uint32_t got = 0;
    uint32_t found = 0;
    uint32_t holes = 0;
    uint64_t position = 0;
    WEAVE_OK(
        commitlog_cursor_open(scene.store, scene.topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
        &err);
    while (commitlog_cursor_fetch(cursor, messages, 8, 0, &got, NULL) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < got; i++) {
            struct scene_body body;
            memcpy(&body, messages[i].body.data, sizeof body);
            const struct scene_record *record = record_of(&body);
            WEAVE_CHECK(record != NULL && !record->is_hole, "writer %u serial %u: never appended",
                        body.writer, body.serial);
            WEAVE_CHECK(record->offset == messages[i].queue_offset,
                        "writer %u serial %u: offset %llu, the receipt says %llu", body.writer,
                        body.serial, (ull)messages[i].queue_offset, (ull)record->offset);
            WEAVE_CHECK(body.serial > serials[body.writer], "writer %u: serial %u after %u",
                        body.writer, body.serial, serials[body.writer]);
            WEAVE_CHECK(messages[i].position > position, "position %llu after %llu",
                        (ull)messages[i].position, (ull)position);
            serials[body.writer] = body.serial;
            position = messages[i].position;
            found++;
        }
    }
    commitlog_cursor_close(cursor);
    for (uint32_t i = 0; i < scene.count; i++)
        holes += scene.records[i].is_hole;
    WEAVE_CHECK(found + holes == scene.count, "%u records, %u holes, of %u appended", found, holes,
                scene.count);
    WEAVE_CHECK(scene_visible() == scene.count, "%llu offsets of %u", (ull)scene_visible(),
                scene.count);
}

void scene_close(void)
{
    struct commitlog_error err = {.message = ""};
    scene.log = NULL;
    WEAVE_OK(commitlog_close(scene.store, &err), &err);
    scene.store = NULL;
}

void scene_finish(void)
{
    if (scene.store != NULL) {
        struct commitlog_error err = {.message = ""};
        scene_step();
        WEAVE_OK(commitlog_sync(scene.store, UINT64_MAX, COMMITLOG_FOREVER, &err), &err);
        scene_step();
        scene_check_queue();
        scene_close();
    }
    for (uint32_t kind = COMMITLOG_FAULT_ALLOC; kind <= COMMITLOG_FAULT_MAP; kind++)
        WEAVE_CHECK(commitlog_fault_held(seen.machine, kind) == 0, "kind %u: %llu left", kind,
                    (ull)commitlog_fault_held(seen.machine, kind));
    commitlog_fault_free(seen.machine);
    seen.machine = NULL;
}
