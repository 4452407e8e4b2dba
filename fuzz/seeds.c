/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seeds.c -- makes the first inputs of all fuzz targets: seeds DIR writes DIR/<target>/<name>.
 *
 * Stores are made through the library on a machine in memory, in the states that recovery meets:
 * closed, left open by a writer that died, with a stage not drained, of several segments; each of
 * them is an input of `store`, and its files are inputs of the targets for single files. The
 * machine is deterministic, so the same library makes the same seeds.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "commitlog.h"
#include "format/attributes.h"
#include "format/limits.h"
#include "format/record.h"
#include "format/segment_header.h"
#include "support/check.h"
#include "support/disk.h"
#include "support/repair.h"
#include "support/texts.h"
#include "support/transactions.h"
#include "support/work.h"

#define SEEDS_RECORDS_MAX 20u
#define SEEDS_SEGMENT_RECORDS_MAX 256u
#define SEEDS_DELAYS 43 /* options of store.c */
#define SEEDS_TRANSACTIONS 44
#define SEEDS_HEADER_CHECK_AT 8u /* in the body of a reference */

static const char *seeds_dir;

static void seeds_write(const char *target, const char *name, const void *data, size_t bytes)
{
    char path[1024];
    (void)snprintf(path, sizeof(path), "%s/%s", seeds_dir, target);
    FUZZ_CHECK(mkdir(path, 0755) == 0 || errno == EEXIST);
    (void)snprintf(path, sizeof(path), "%s/%s/%s", seeds_dir, target, name);
    FILE *file = fopen(path, "wb");
    FUZZ_CHECK(file != NULL && fwrite(data, 1, bytes, file) == bytes && fclose(file) == 0);
}

static void seeds_bundle(const char *target, const char *name, const struct fuzz_bundle *bundle)
{
    uint8_t *room = malloc(FUZZ_BUNDLE_BYTES_MAX);
    FUZZ_CHECK(room != NULL);
    size_t bytes = fuzz_bundle_pack(bundle, room, FUZZ_BUNDLE_BYTES_MAX);
    FUZZ_CHECK(bytes > 0);
    seeds_write(target, name, room, bytes);
    free(room);
}

/* The files of one kind, each an input of its own. */
static void seeds_single(const char *target, const char *name, const struct fuzz_bundle *from,
                         uint8_t kind)
{
    for (uint32_t i = 0; i < from->count; i++) {
        if (from->files[i].kind == kind) {
            char each[128];
            struct fuzz_bundle one = {.options = from->options, .count = 1};
            one.files[0] = from->files[i];
            (void)snprintf(each, sizeof(each), "%s-%u-%u", name, kind, i);
            seeds_bundle(target, each, &one);
        }
    }
}

/* Records of a segment: the first ones hold every kind there is. */
static void seeds_records(const char *name, const struct fuzz_file *segment)
{
    uint32_t at = (uint32_t)CLG_SEGMENT_DATA_START;
    for (uint32_t i = 0; i < SEEDS_RECORDS_MAX && at + CLG_RECORD_MIN <= segment->bytes; i++) {
        uint32_t size = clg_record_size(clg_load_le32(segment->data + at));
        if (size < CLG_RECORD_MIN || size > segment->bytes - at || size > 1024) {
            return;
        }
        char each[128];
        struct fuzz_bundle one = {.options = clg_load_le64(segment->data + CLG_SEGMENT_AT_SALT)};
        struct fuzz_file *record = fuzz_bundle_add(&one, FUZZ_RECORD, segment->position + at, size);
        memcpy(record->data, segment->data + at, size);
        (void)snprintf(each, sizeof(each), "%s-%u", name, i);
        seeds_bundle("record", each, &one);
        fuzz_bundle_free(&one);
        at += size;
    }
}

static void seeds_all(const char *name, struct fuzz_disk *disk)
{
    /* Of store.c: plain, borrowed reads, salvage, time that passes, the same and upkeep,
     * transactions. */
    static const uint64_t modes[] = {0,
                                     9,
                                     2,
                                     UINT64_C(1) << SEEDS_DELAYS,
                                     UINT64_C(1) << SEEDS_DELAYS | 64,
                                     UINT64_C(1) << SEEDS_TRANSACTIONS};
    struct fuzz_bundle bundle;
    fuzz_disk_save(disk, &bundle);
    for (uint32_t mode = 0; mode < sizeof(modes) / sizeof(modes[0]); mode++) {
        char each[128];
        bundle.options = modes[mode];
        (void)snprintf(each, sizeof(each), "%s-mode-%u", name, mode);
        seeds_bundle("store", each, &bundle);
    }
    seeds_single("segment", name, &bundle, FUZZ_LOG);
    seeds_single("checkpoint", name, &bundle, FUZZ_CHECKPOINT);
    seeds_single("checkpoint", name, &bundle, FUZZ_LOCK);
    seeds_single("view", name, &bundle, FUZZ_CQ);
    seeds_single("view", name, &bundle, FUZZ_KEY);
    seeds_single("view", name, &bundle, FUZZ_STATE);
    const struct fuzz_file *log = fuzz_bundle_find(&bundle, FUZZ_LOG);
    if (log != NULL) {
        seeds_records(name, log);
    }
    if (fuzz_bundle_find(&bundle, FUZZ_LIVE) != NULL) {
        for (uint32_t i = bundle.count; i > 0; i--) { /* only the active segment is asked for */
            uint8_t kind = bundle.files[i - 1].kind;
            bool last = i == bundle.count || bundle.files[i].kind != FUZZ_LOG;
            if ((kind == FUZZ_LOG && !last) || (kind > FUZZ_LOG && kind < FUZZ_LOCK)) {
                fuzz_bundle_remove(&bundle, i - 1);
            }
        }
        seeds_bundle("live", name, &bundle);
    }
    fuzz_bundle_free(&bundle);
}

static struct commitlog_store *seeds_open(struct fuzz_disk *disk, uint64_t engine, uint64_t live)
{
    const struct {
        int32_t id;
        uint64_t value;
    } values[] = {{COMMITLOG_OPT_ENGINE, engine},
                  {COMMITLOG_OPT_SEGMENT_BYTES, CLG_SEGMENT_MIN},
                  {COMMITLOG_OPT_STAGE_BYTES, CLG_RING_MIN},
                  {COMMITLOG_OPT_THREAD, 0},
                  {COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE},
                  {COMMITLOG_OPT_LIVE_AREA, live}};
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    FUZZ_CHECK(commitlog_options_create(&options) == COMMITLOG_OK);
    for (uint32_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        FUZZ_CHECK(commitlog_options_set(options, values[i].id, values[i].value, NULL) == 0);
    }
    commitlog_options_set_os(options, &disk->os);
    FUZZ_CHECK(commitlog_open(FUZZ_STORE, options, &store, NULL) == COMMITLOG_OK);
    commitlog_options_free(options);
    return store;
}

static void seeds_append(struct commitlog_store *store, uint32_t topic, uint32_t number,
                         uint32_t level)
{
    static const char *const key_names[] = {"key-0", "key-1", "k"};
    static const uint8_t zeros[7000];
    char text[40];
    struct commitlog_slice body = {text, (size_t)snprintf(text, sizeof(text), "body %u", number)};
    struct commitlog_slice keys[] = {{key_names[number % 2], 5}, {key_names[2], 1}};
    struct commitlog_header header = {{"name", 4}, {"value", 5}};
    if (number % 4 == 3) { /* room that costs an input nothing */
        body = (struct commitlog_slice){zeros, sizeof(zeros)};
    }
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = number % 2,
                                      .level = level,
                                      .body = &body,
                                      .body_count = 1};
    if (number % 3 == 0) {
        record.keys = keys;
        record.key_count = 2;
        record.tag = (struct commitlog_slice){"tag", 3};
        record.headers = &header;
        record.header_count = 1;
        record.has_time = 1;
        record.time_ms = 1700000000000 + number;
    }
    FUZZ_CHECK(commitlog_append_record(store, &record, 1000, NULL, NULL) == COMMITLOG_OK);
}

static void seeds_special(struct commitlog_store *store, uint32_t topic, uint32_t number)
{
    struct commitlog_slice body = {"member", 6};
    struct commitlog_record records[2];
    struct commitlog_reservation *reservation = NULL;
    void *place;
    for (uint32_t i = 0; i < 2; i++) {
        records[i] = (struct commitlog_record){.struct_bytes = sizeof(records[i]),
                                               .topic = topic,
                                               .queue = i,
                                               .level = COMMITLOG_LEVEL_NONE,
                                               .body = &body,
                                               .body_count = 1};
    }
    FUZZ_CHECK(commitlog_append_batch(store, records, 2, 1000, NULL, NULL) == COMMITLOG_OK);
    FUZZ_CHECK(commitlog_reserve(store, &records[0], 16, 1000, &reservation, &place, NULL) ==
               COMMITLOG_OK);
    memset(place, 'x', 16);
    if (number % 2 == 0) {
        FUZZ_CHECK(commitlog_abort(reservation) == COMMITLOG_OK);
    } else {
        FUZZ_CHECK(commitlog_commit(reservation, 1000, NULL, NULL) == COMMITLOG_OK);
    }
}

/* `count` records in every shape; the store as it lies when the writer dies, and closed. */
static void seeds_store(const char *name, uint64_t engine, uint32_t count, bool durable)
{
    struct fuzz_disk disk;
    char each[64];
    uint32_t topics[2];
    fuzz_disk_make(&disk);
    struct commitlog_store *store = seeds_open(&disk, engine, COMMITLOG_LIVE_DIR);
    FUZZ_CHECK(commitlog_topic_open(store, "alpha", 5, 2, &topics[0], NULL) == COMMITLOG_OK);
    FUZZ_CHECK(commitlog_topic_open(store, "fuzz", 4, 2, &topics[1], NULL) == COMMITLOG_OK);
    for (uint32_t i = 0; i < count; i++) {
        bool waits = durable && i % 3 == 1;
        seeds_append(store, topics[i / 2 % 2], i,
                     waits ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE);
        if (i % 5 == 2) {
            seeds_special(store, topics[i % 2], i);
        }
        if (i % 16 == 15) {
            uint32_t wait_ms;
            FUZZ_CHECK(commitlog_step(store, 1000000, &wait_ms) == COMMITLOG_OK);
        }
    }
    (void)snprintf(each, sizeof(each), "%s-dead", name);
    seeds_all(each, &disk);
    FUZZ_CHECK(commitlog_close(store, NULL) == COMMITLOG_OK);
    (void)snprintf(each, sizeof(each), "%s-closed", name);
    seeds_all(each, &disk);
    fuzz_disk_free(&disk);
}

/* A claim that its writer did not live to commit. */
static void seeds_claimed(const char *name, uint64_t engine)
{
    struct commitlog_slice body = {"behind", 6};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .level = COMMITLOG_LEVEL_NONE,
                                      .body = &body,
                                      .body_count = 1};
    struct commitlog_reservation *reservation = NULL;
    struct fuzz_disk disk;
    void *place;
    fuzz_disk_make(&disk);
    struct commitlog_store *store = seeds_open(&disk, engine, COMMITLOG_LIVE_TMPFS);
    FUZZ_CHECK(commitlog_topic_open(store, "fuzz", 4, 2, &record.topic, NULL) == COMMITLOG_OK);
    seeds_append(store, record.topic, 1, COMMITLOG_LEVEL_DURABLE);
    FUZZ_CHECK(commitlog_reserve(store, &record, 16, 1000, &reservation, &place, NULL) ==
               COMMITLOG_OK);
    FUZZ_CHECK(commitlog_append_record(store, &record, 1000, NULL, NULL) == COMMITLOG_OK);
    seeds_all(name, &disk);
    FUZZ_CHECK(commitlog_abort(reservation) == COMMITLOG_OK);
    FUZZ_CHECK(commitlog_close(store, NULL) == COMMITLOG_OK);
    fuzz_disk_free(&disk);
}

/* What retention leaves: definitions with offsets, a first position; and the same with the files
 * that it dropped come back. */
static void seeds_retained(void)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                         .keep_bytes = 2 * CLG_SEGMENT_MIN};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    struct fuzz_bundle before;
    struct fuzz_bundle after;
    struct fuzz_disk disk;
    uint32_t topics[2];
    uint32_t wait_ms;
    fuzz_disk_make(&disk);
    struct commitlog_store *store = seeds_open(&disk, COMMITLOG_ENGINE_STAGED, COMMITLOG_LIVE_DIR);
    FUZZ_CHECK(commitlog_topic_open(store, "alpha", 5, 2, &topics[0], NULL) == COMMITLOG_OK);
    FUZZ_CHECK(commitlog_topic_open(store, "fuzz", 4, 2, &topics[1], NULL) == COMMITLOG_OK);
    for (uint32_t i = 0; i < 120; i++) { /* alpha has nothing in what is kept */
        int32_t rc = i == 20    ? commitlog_topic_expire_after(store, topics[1], 9000, 1, NULL)
                     : i == 100 ? commitlog_topic_expire(store, topics[1], INT64_MAX, 1, NULL)
                                : COMMITLOG_OK;
        FUZZ_CHECK(rc == COMMITLOG_OK);
        seeds_append(store, topics[i > 30 || i % 2 == 0], i, COMMITLOG_LEVEL_NONE);
    }
    FUZZ_CHECK(commitlog_sync(store, UINT64_MAX, 1000, NULL) == COMMITLOG_OK &&
               commitlog_step(store, 1000000, &wait_ms) == COMMITLOG_OK);
    fuzz_disk_save(&disk, &before);
    FUZZ_CHECK(commitlog_retain(store, &policy, &retained, NULL) == COMMITLOG_OK &&
               retained.segments_dropped > 0);
    seeds_all("retained", &disk);
    fuzz_disk_save(&disk, &after);
    for (uint32_t i = before.count; i > 0; i--) {
        const struct fuzz_file *file = &before.files[i - 1];
        bool dropped = file->kind == FUZZ_LOG && file->position < retained.first;
        struct fuzz_file *back =
            dropped ? fuzz_bundle_add(&after, FUZZ_LOG, file->position, file->bytes) : NULL;
        if (back != NULL) {
            memcpy(back->data, file->data, file->bytes);
        }
    }
    seeds_bundle("store", "retained-came-back", &after);
    fuzz_bundle_free(&before);
    fuzz_bundle_free(&after);
    FUZZ_CHECK(commitlog_close(store, NULL) == COMMITLOG_OK);
    fuzz_disk_free(&disk);
}

static void seeds_group_offsets(struct commitlog_group *group, const uint32_t *topics,
                                uint32_t epoch, uint64_t offset)
{
    const struct commitlog_group_offset offsets[] = {
        {topics[0], 0, offset}, {topics[0], 1, offset}, {topics[1], 1, offset / 2}};
    FUZZ_CHECK(commitlog_group_commit(group, epoch, offsets, 3, COMMITLOG_LEVEL_NONE, 1000, NULL,
                                      NULL) == COMMITLOG_OK);
}

/* Groups of every kind, in the log and in .state; the same after retention carried them. */
static void seeds_groups(void)
{
    static const char *const names[] = {"fuzz", "billing", "gone"};
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    struct commitlog_group *groups[3];
    struct fuzz_disk disk;
    uint32_t topics[2];
    uint32_t wait_ms;
    uint32_t epoch;
    fuzz_disk_make(&disk);
    struct commitlog_store *store = seeds_open(&disk, COMMITLOG_ENGINE_STAGED, COMMITLOG_LIVE_DIR);
    FUZZ_CHECK(commitlog_topic_open(store, "alpha", 5, 2, &topics[0], NULL) == COMMITLOG_OK);
    FUZZ_CHECK(commitlog_topic_open(store, "fuzz", 4, 2, &topics[1], NULL) == COMMITLOG_OK);
    for (uint32_t g = 0; g < 3; g++) {
        FUZZ_CHECK(
            commitlog_group_open(store, names[g], strlen(names[g]),
                                 COMMITLOG_GROUP_CREATE | (g == 1 ? COMMITLOG_GROUP_KEEP : 0),
                                 &groups[g], NULL) == COMMITLOG_OK);
    }
    for (uint32_t i = 0; i < 60; i++) {
        seeds_append(store, topics[i / 2 % 2], i, COMMITLOG_LEVEL_NONE);
        if (i % 20 == 5) {
            seeds_group_offsets(groups[i / 20], topics, 0, i / 4);
            FUZZ_CHECK(commitlog_group_next_epoch(groups[0], COMMITLOG_LEVEL_NONE, &epoch, NULL) ==
                       COMMITLOG_OK);
        }
    }
    FUZZ_CHECK(commitlog_group_delete(groups[2], COMMITLOG_LEVEL_DURABLE, NULL) == COMMITLOG_OK &&
               commitlog_step(store, 1000000, &wait_ms) == COMMITLOG_OK);
    seeds_all("groups", &disk);
    FUZZ_CHECK(commitlog_group_reset(groups[1], topics[0], COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_END,
                                     0, COMMITLOG_LEVEL_NONE, NULL) == COMMITLOG_OK &&
               commitlog_group_reset(groups[1], topics[1], COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_END,
                                     0, COMMITLOG_LEVEL_NONE, NULL) == COMMITLOG_OK &&
               commitlog_retain(store, &policy, &retained, NULL) == COMMITLOG_OK &&
               retained.segments_dropped > 0);
    for (uint32_t g = 0; g < 3; g++) {
        commitlog_group_close(groups[g]);
    }
    FUZZ_CHECK(commitlog_close(store, NULL) == COMMITLOG_OK);
    seeds_all("groups-carried", &disk);
    fuzz_disk_free(&disk);
}

/* A group of no more than what a record is made of, for the target of records. */
static void seeds_group_records(void)
{
    struct fuzz_disk disk;
    struct commitlog_group *group = NULL;
    uint32_t topics[2];
    uint32_t epoch;
    fuzz_disk_make(&disk);
    struct commitlog_store *store = seeds_open(&disk, COMMITLOG_ENGINE_MMAP, COMMITLOG_LIVE_DIR);
    FUZZ_CHECK(commitlog_topic_open(store, "alpha", 5, 2, &topics[0], NULL) == COMMITLOG_OK);
    FUZZ_CHECK(commitlog_topic_open(store, "fuzz", 4, 2, &topics[1], NULL) == COMMITLOG_OK);
    FUZZ_CHECK(
        commitlog_group_open(store, "g\xc3\xa9", 3, COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP,
                             &group, NULL) == COMMITLOG_OK &&
        commitlog_group_next_epoch(group, COMMITLOG_LEVEL_NONE, &epoch, NULL) == COMMITLOG_OK);
    seeds_group_offsets(group, topics, epoch, 0);
    FUZZ_CHECK(commitlog_group_delete(group, COMMITLOG_LEVEL_DURABLE, NULL) == COMMITLOG_OK);
    commitlog_group_close(group);
    seeds_all("group-records", &disk);
    FUZZ_CHECK(commitlog_close(store, NULL) == COMMITLOG_OK);
    fuzz_disk_free(&disk);
}

/* A message that is due in so many ms; its handle. */
static uint64_t seeds_delay(struct commitlog_store *store, const struct fuzz_disk *disk,
                            uint32_t topic, int64_t delay_ms)
{
    static const struct commitlog_slice keys[] = {{"key-0", 5}, {"k", 1}};
    struct commitlog_slice body = {"delayed", 7};
    struct commitlog_header header = {{"name", 4}, {"value", 5}};
    struct commitlog_receipt receipt;
    const struct commitlog_record record = {
        .struct_bytes = sizeof(record),
        .topic = topic,
        .queue = 1,
        .level = COMMITLOG_LEVEL_NONE,
        .body = &body,
        .body_count = 1,
        .keys = keys,
        .key_count = 2,
        .tag = {"tag", 3},
        .headers = &header,
        .header_count = 1,
        .deliver_at_ms = disk->os.clock_wall_ns(&disk->os) / CLG_OS_NS_PER_MS + delay_ms};
    FUZZ_CHECK(commitlog_append_record(store, &record, 1000, &receipt, NULL) == COMMITLOG_OK);
    return receipt.position;
}

static void seeds_pass(struct commitlog_store *store, const struct fuzz_disk *disk, int64_t ms)
{
    uint32_t wait_ms;
    disk->os.sleep_ns(&disk->os, ms * CLG_OS_NS_PER_MS);
    FUZZ_CHECK(commitlog_step(store, 1000000, &wait_ms) == COMMITLOG_OK);
}

static void seeds_cancel(struct commitlog_store *store, uint64_t timer)
{
    FUZZ_CHECK(commitlog_timer_cancel(store, timer, COMMITLOG_LEVEL_DURABLE, NULL) == COMMITLOG_OK);
}

/* The last reference means another record than the one that lies there. */
static void seeds_mistaken(const char *name, struct fuzz_disk *disk)
{
    static uint32_t offsets[SEEDS_SEGMENT_RECORDS_MAX];
    struct fuzz_bundle bundle;
    struct fuzz_file *holder = NULL;
    uint32_t at = 0;
    fuzz_disk_save(disk, &bundle);
    for (uint32_t i = 0; i < bundle.count; i++) {
        struct fuzz_file *file = &bundle.files[i];
        uint32_t count = file->kind == FUZZ_LOG
                             ? fuzz_segment_records(file, offsets, SEEDS_SEGMENT_RECORDS_MAX)
                             : 0;
        for (uint32_t r = 0; r < count; r++) {
            if (file->data[offsets[r] + CLG_RECORD_AT_KIND] == CLG_KIND_REFERENCE) {
                holder = file;
                at = offsets[r];
            }
        }
    }
    FUZZ_CHECK(holder != NULL);
    uint32_t attributes = clg_load_le16(holder->data + at + CLG_RECORD_AT_ATTRIBUTE_BYTES);
    holder->data[at + CLG_RECORD_HEADER_BYTES + attributes + SEEDS_HEADER_CHECK_AT] ^= 0x40;
    fuzz_repair_record(holder, at);
    bundle.options = UINT64_C(1) << SEEDS_DELAYS;
    seeds_bundle("store", name, &bundle);
    fuzz_bundle_free(&bundle);
}

/* Messages that wait, were cancelled, delivered by reference and as a copy; the same after
 * retention has taken the originals away and carried what waits. */
static void seeds_timers(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    struct fuzz_disk disk;
    uint32_t topic;
    fuzz_disk_make(&disk);
    struct commitlog_store *store = seeds_open(&disk, COMMITLOG_ENGINE_STAGED, COMMITLOG_LIVE_DIR);
    FUZZ_CHECK(commitlog_topic_open(store, "fuzz", 4, 2, &topic, NULL) == COMMITLOG_OK);
    (void)seeds_delay(store, &disk, topic, 1000); /* a copy of it is delivered */
    (void)seeds_delay(store, &disk, topic, 600000);
    for (uint32_t i = 0; i < 60; i++) {
        seeds_append(store, topic, i, COMMITLOG_LEVEL_NONE);
        if (i == 40) {
            (void)seeds_delay(store, &disk, topic, 1000);
            seeds_cancel(store, seeds_delay(store, &disk, topic, 1000));
        }
    }
    seeds_pass(store, &disk, 2000);
    (void)seeds_delay(store, &disk, topic, 0);
    seeds_all("timers", &disk);
    FUZZ_CHECK(commitlog_retain(store, &policy, &retained, NULL) == COMMITLOG_OK &&
               retained.segments_dropped > 0 && retained.bytes_carried > 0);
    FUZZ_CHECK(commitlog_close(store, NULL) == COMMITLOG_OK);
    seeds_all("timers-carried", &disk);
    fuzz_disk_free(&disk);
}

/* One of each, for the target of records. */
static void seeds_timer_records(void)
{
    struct fuzz_disk disk;
    uint32_t topic;
    fuzz_disk_make(&disk);
    struct commitlog_store *store = seeds_open(&disk, COMMITLOG_ENGINE_MMAP, COMMITLOG_LIVE_DIR);
    FUZZ_CHECK(commitlog_topic_open(store, "fuzz", 4, 2, &topic, NULL) == COMMITLOG_OK);
    (void)seeds_delay(store, &disk, topic, 1000);
    seeds_cancel(store, seeds_delay(store, &disk, topic, 1000));
    seeds_pass(store, &disk, 2000);
    (void)seeds_delay(store, &disk, topic, 0);
    (void)seeds_delay(store, &disk, topic, 1000);
    seeds_all("timer-records", &disk);
    seeds_mistaken("timer-records-mistaken", &disk);
    FUZZ_CHECK(commitlog_close(store, NULL) == COMMITLOG_OK);
    fuzz_disk_free(&disk);
}

static void seeds_given(void *ctx, const struct commitlog_message *message)
{
    (void)ctx;
    FUZZ_CHECK(message->kind != 0);
}

/* Messages that were given out one by one: done, back, kept, dead letters; behind `more` others,
 * which make copies of the dead letters, the same again. */
static void seeds_work(const char *name, uint64_t engine, uint32_t more)
{
    struct fuzz_disk disk;
    char each[64];
    uint32_t topic;
    fuzz_disk_make(&disk);
    struct commitlog_store *store = seeds_open(&disk, engine, COMMITLOG_LIVE_DIR);
    FUZZ_CHECK(commitlog_topic_open(store, "fuzz", 4, 2, &topic, NULL) == COMMITLOG_OK);
    for (uint32_t i = 0; i < 5; i++) {
        seeds_append(store, topic, 2 * i, COMMITLOG_LEVEL_DURABLE);
    }
    FUZZ_CHECK(fuzz_work_change(store, topic, 0));
    for (uint32_t i = 0; i < more; i++) {
        seeds_append(store, topic, i, COMMITLOG_LEVEL_DURABLE);
    }
    FUZZ_CHECK(more == 0 || fuzz_work_change(store, topic, 1));
    fuzz_work_receive(store, seeds_given, NULL);
    seeds_all(name, &disk);
    FUZZ_CHECK(commitlog_close(store, NULL) == COMMITLOG_OK);
    (void)snprintf(each, sizeof(each), "%s-closed", name);
    seeds_all(each, &disk);
    fuzz_disk_free(&disk);
}

/* Open and ended in each way, then `more` other messages; and, of many, the same after retention
 * has carried what is open, a commit of which makes copies. */
static void seeds_transactions(const char *name, uint64_t engine, uint32_t more)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    struct commitlog_transaction *whole = NULL;
    struct fuzz_disk disk;
    char each[64];
    uint32_t topic;
    uint64_t prepared;
    fuzz_disk_make(&disk);
    struct commitlog_store *store = seeds_open(&disk, engine, COMMITLOG_LIVE_DIR);
    FUZZ_CHECK(commitlog_topic_open(store, "fuzz", 4, 2, &topic, NULL) == COMMITLOG_OK);
    seeds_append(store, topic, 0, COMMITLOG_LEVEL_NONE);
    seeds_append(store, topic, 1, COMMITLOG_LEVEL_DURABLE);
    struct commitlog_transaction *left = fuzz_transactions_fill(store, topic, &prepared);
    for (uint32_t i = 0; i < more; i++) {
        seeds_append(store, topic, i, COMMITLOG_LEVEL_NONE);
    }
    FUZZ_CHECK(commitlog_sync(store, UINT64_MAX, 1000, NULL) == COMMITLOG_OK);
    seeds_all(name, &disk);
    if (more > 0) {
        FUZZ_CHECK(commitlog_transaction_open(store, prepared, &whole, NULL) == COMMITLOG_OK);
        FUZZ_CHECK(commitlog_transaction_commit(whole, COMMITLOG_LEVEL_DURABLE, -1, NULL, NULL) ==
                   COMMITLOG_OK);
        commitlog_transaction_close(whole);
        FUZZ_CHECK(commitlog_retain(store, &policy, &retained, NULL) == COMMITLOG_OK &&
                   retained.segments_dropped > 0 && retained.bytes_carried > 0);
    } else {
        seeds_mistaken("transaction-records-mistaken", &disk);
    }
    FUZZ_CHECK(commitlog_close(store, NULL) == COMMITLOG_OK);
    commitlog_transaction_close(left);
    (void)snprintf(each, sizeof(each), "%s-closed", name);
    seeds_all(each, &disk);
    fuzz_disk_free(&disk);
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        (void)fprintf(stderr, "usage: seeds DIR\n");
        return 2;
    }
    seeds_dir = argv[1];
    FUZZ_CHECK(mkdir(seeds_dir, 0755) == 0 || errno == EEXIST);
    seeds_store("few", COMMITLOG_ENGINE_STAGED, 6, true);
    seeds_store("small", COMMITLOG_ENGINE_STAGED, 14, false);
    seeds_store("mapped", COMMITLOG_ENGINE_MMAP, 20, true);
    seeds_store("segments", COMMITLOG_ENGINE_STAGED, 90, true);
    seeds_claimed("claimed", COMMITLOG_ENGINE_STAGED);
    seeds_claimed("claimed-mapped", COMMITLOG_ENGINE_MMAP);
    seeds_retained();
    seeds_groups();
    seeds_group_records();
    seeds_timers();
    seeds_timer_records();
    seeds_work("work", COMMITLOG_ENGINE_STAGED, 60);
    seeds_work("work-records", COMMITLOG_ENGINE_MMAP, 0);
    seeds_transactions("transactions", COMMITLOG_ENGINE_STAGED, 60);
    seeds_transactions("transaction-records", COMMITLOG_ENGINE_MMAP, 0);
    fuzz_texts(seeds_write);
    return 0;
}
