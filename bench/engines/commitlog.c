/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * commitlog.c -- libcommitlog, with its two engines. An append is one call, and with BENCH_DURABLE
 * and batches of one record the append itself waits for the disk. Where commits of many records are
 * one call, that is commitlog_append_batch, all or nothing: bodies are borrowed until then, as
 * bench_body() allows.
 */
#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "commitlog.h"

#include "engines/engines.h"
#include "support/bench.h"
#include "support/direct.h"

enum { FETCH = 1024, NAME_BYTES = 32 };

struct topic {
    _Atomic uint32_t number; /* UINT32_MAX: not asked for yet */
};
/* Fillers are flushed as often as durable appends are: prewrite = auto goes by that. */
enum { FILLER_BYTES = 64 * 1024, FILLER_FLUSH = 8, POLL_NS = 1000000 };

struct store {
    struct commitlog_store *store;
    struct topic *topics;
    uint32_t topic_count;
    uint32_t queues_each;
    uint32_t drain_topic;
    uint32_t append_level; /* of each append */
    uint32_t commit_level; /* of a batch that is one call */
    uint32_t batch;
    bool sync;                   /* a commit has to ask for the disk */
    struct commitlog_cursor *at; /* of store_get_lent; NULL: none yet */
    uint32_t at_queue;
};

struct writer {
    struct store *store;
    uint64_t end; /* of what it has appended since its last commit; 0: nothing */
    /* What is in no commit yet, of commitlog-batch: arrays as long as a batch. */
    struct commitlog_record *records;
    struct commitlog_slice *bodies;
    uint32_t count;
};

static void version(char *out, size_t size)
{
    (void)snprintf(out, size, "libcommitlog %s", commitlog_version_text());
}

static uint32_t topic_open(struct store *store, uint32_t index)
{
    char name[NAME_BYTES];
    struct commitlog_error err = {.message = ""};
    uint32_t topic = 0;
    int length = snprintf(name, sizeof(name), "bench%u", index);
    direct_need(
        commitlog_topic_open(store->store, name, (size_t)length, store->queues_each, &topic, &err),
        "topic", &err);
    atomic_store_explicit(&store->topics[index].number, topic, memory_order_relaxed);
    return topic;
}

/* A user that opens a store again asks for the topics it needs, when it needs them. */
static uint32_t topic_of(struct store *store, uint32_t index)
{
    uint32_t topic = atomic_load_explicit(&store->topics[index].number, memory_order_relaxed);
    return topic != UINT32_MAX ? topic : topic_open(store, index);
}

/* *queue: its number among all; then that within its topic, whose number is returned. */
static uint32_t place_of(struct store *store, uint32_t *queue)
{
    uint32_t index = 0;
    if (store->topic_count > 1) {
        index = *queue / store->queues_each;
        *queue %= store->queues_each;
    }
    return topic_of(store, index);
}

static void topics_open(struct store *store, const struct bench_wanted *wanted)
{
    store->topic_count = wanted->topics;
    store->queues_each = wanted->queues / wanted->topics;
    store->topics = bench_alloc(wanted->topics * sizeof(*store->topics));
    for (uint32_t i = 0; i < wanted->topics; i++) {
        atomic_init(&store->topics[i].number, UINT32_MAX);
        if (!wanted->again) {
            (void)topic_open(store, i);
        }
    }
}

uint64_t bench_commitlog_stat(struct commitlog_store *store, const char *name)
{
    const char *found = "";
    uint64_t value = 0;
    for (uint32_t i = 0; strcmp(found, name) != 0; i++) {
        direct_need(commitlog_stat(store, i, &found, &value), name, NULL);
    }
    return value;
}

/* Segment files, among them the one that is ready before it is needed. */
static uint64_t segment_files(const char *directory)
{
    char path[BENCH_PATH_MAX + 8];
    uint64_t count = 0;
    (void)snprintf(path, sizeof(path), "%s/log", directory);
    DIR *log = opendir(path);
    if (log == NULL) {
        bench_die("%s: %s", path, strerror(errno));
    }
    for (struct dirent *entry = readdir(log); entry != NULL; entry = readdir(log)) {
        size_t length = strlen(entry->d_name);
        count += length > 4 && strcmp(entry->d_name + length - 4, ".log") == 0 ? 1 : 0;
    }
    (void)closedir(log);
    return count;
}

static void wait_for_files(const char *directory, uint64_t count)
{
    while (segment_files(directory) < count) {
        (void)nanosleep(&(struct timespec){.tv_nsec = POLL_NS}, NULL);
    }
}

/* The first segment of a store is not prepared: the records of the run begin in the second. */
static void fill_first(const struct store *store, const struct bench_wanted *wanted)
{
    static const uint8_t zeros[FILLER_BYTES];
    wait_for_files(wanted->directory, 2);
    for (unsigned i = 1; bench_commitlog_stat(store->store, "segments") < 2; i++) {
        uint32_t level = i % FILLER_FLUSH == 0 ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
        direct_need(commitlog_append(store->store, store->drain_topic, 0, zeros, sizeof(zeros),
                                     level, NULL),
                    "fill a segment", NULL);
    }
    if (wanted->space == BENCH_SPACE_READY) {
        wait_for_files(wanted->directory, 3);
    }
}

static void *store_open(const struct bench_engine *engine, const struct bench_wanted *wanted)
{
    struct store *store = bench_alloc(sizeof(*store));
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    bool mapped = engine == &bench_engine_commitlog_mmap;
    direct_need(commitlog_options_create(&options), "options", NULL);
    direct_need(commitlog_options_set(options, COMMITLOG_OPT_ENGINE,
                                      mapped ? COMMITLOG_ENGINE_MMAP : COMMITLOG_ENGINE_STAGED,
                                      NULL),
                "engine", NULL);
    direct_need(
        commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, wanted->segment_bytes, NULL),
        "segment_bytes", NULL);
    direct_need(commitlog_open(wanted->directory, options, &store->store, &err), "open", &err);
    commitlog_options_free(options);
    topics_open(store, wanted);
    direct_need(commitlog_topic_open(store->store, "drain", 5, 1, &store->drain_topic, &err),
                "topic", &err);
    bool durable = wanted->promise == BENCH_DURABLE;
    store->append_level =
        durable && wanted->batch == 1 ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
    store->commit_level = durable ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
    store->batch = wanted->batch;
    store->sync = durable && wanted->batch != 1;
    if (wanted->space != BENCH_SPACE_NEW) {
        fill_first(store, wanted);
    }
    return store;
}

static void *writer_open(void *store, uint32_t thread)
{
    struct writer *writer = bench_alloc(sizeof(*writer));
    (void)thread;
    writer->store = store;
    return writer;
}

static void *writer_open_batch(void *at, uint32_t thread)
{
    struct writer *writer = writer_open(at, thread);
    size_t room = writer->store->batch;
    writer->records = bench_alloc(room * sizeof(*writer->records));
    writer->bodies = bench_alloc(room * sizeof(*writer->bodies));
    return writer;
}

static void writer_append(void *at, uint32_t queue, uint64_t offset, const void *body, size_t bytes)
{
    struct writer *writer = at;
    struct commitlog_receipt receipt;
    (void)offset;
    uint32_t topic = place_of(writer->store, &queue);
    int32_t rc = commitlog_append(writer->store->store, topic, queue, body, bytes,
                                  writer->store->append_level, &receipt);
    if (rc != COMMITLOG_OK) {
        direct_need(rc, "append", NULL);
    }
    writer->end = receipt.end_position;
}

static void writer_commit(void *at)
{
    struct writer *writer = at;
    struct commitlog_error err = {.message = ""};
    if (writer->store->sync && writer->end != 0) {
        direct_need(commitlog_sync(writer->store->store, writer->end, COMMITLOG_FOREVER, &err),
                    "sync", &err);
    }
    writer->end = 0;
}

static void writer_collect(void *at, uint32_t queue, uint64_t offset, const void *body,
                           size_t bytes)
{
    struct writer *writer = at;
    (void)offset;
    uint32_t topic = place_of(writer->store, &queue);
    uint32_t i = writer->count++;
    writer->bodies[i] = (struct commitlog_slice){body, bytes};
    writer->records[i] = (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                                   .topic = topic,
                                                   .queue = queue,
                                                   .level = writer->store->commit_level,
                                                   .body = &writer->bodies[i],
                                                   .body_count = 1};
}

static void writer_commit_batch(void *at)
{
    struct writer *writer = at;
    struct commitlog_error err = {.message = ""};
    if (writer->count == 0) {
        return;
    }
    direct_need(commitlog_append_batch(writer->store->store, writer->records, writer->count,
                                       COMMITLOG_FOREVER, NULL, &err),
                "append a batch", &err);
    writer->count = 0;
}

static void writer_close(void *at)
{
    struct writer *writer = at;
    free(writer->records);
    free(writer->bodies);
    free(writer);
}

static void store_drain(void *at)
{
    /* An empty record behind all others, of a topic that nobody reads. */
    const struct store *store = at;
    direct_need(commitlog_append(store->store, store->drain_topic, 0, NULL, 0,
                                 COMMITLOG_LEVEL_WRITTEN, NULL),
                "drain", NULL);
}

static uint64_t store_scan(void *at, uint32_t queue, uint64_t from, uint64_t limit,
                           bench_visit visit, void *ctx)
{
    static _Thread_local struct commitlog_message messages[FETCH];
    struct store *store = at;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    uint64_t seen = 0;
    uint32_t topic = place_of(store, &queue);
    direct_need(commitlog_cursor_open(store->store, topic, queue, COMMITLOG_FROM_OFFSET, from,
                                      &cursor, &err),
                "cursor", &err);
    while (seen < limit) {
        uint32_t count = 0;
        uint64_t left = limit - seen;
        int32_t rc = commitlog_cursor_fetch(cursor, messages, left < FETCH ? (uint32_t)left : FETCH,
                                            0, &count, NULL);
        if (rc == COMMITLOG_EEND) {
            break;
        }
        direct_need(rc, "fetch", NULL);
        for (uint32_t i = 0; i < count; i++) {
            visit(ctx, messages[i].queue_offset, messages[i].body.data, messages[i].body.bytes);
        }
        seen += count;
    }
    commitlog_cursor_close(cursor);
    return seen;
}

static size_t store_get(void *at, uint32_t queue, uint64_t offset, void *out, size_t room)
{
    struct store *store = at;
    struct commitlog_message message;
    uint32_t count = 0;
    uint32_t topic = place_of(store, &queue);
    direct_need(commitlog_read_copy(store->store, topic, queue, offset, out, room, &message, 1,
                                    &count, NULL),
                "read", NULL);
    return message.body.bytes;
}

/* A cursor that stays open, as a reader of a queue has one. */
static size_t store_get_lent(void *at, uint32_t queue, uint64_t offset, void *out, size_t room)
{
    struct store *store = at;
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    uint32_t count = 0;
    if (store->at == NULL || store->at_queue != queue) {
        commitlog_cursor_close(store->at);
        store->at_queue = queue;
        uint32_t topic = place_of(store, &queue);
        direct_need(commitlog_cursor_open(store->store, topic, queue, COMMITLOG_FROM_OFFSET, offset,
                                          &store->at, &err),
                    "cursor", &err);
    } else {
        direct_need(commitlog_cursor_seek(store->at, COMMITLOG_FROM_OFFSET, offset), "seek", NULL);
    }
    direct_need(commitlog_cursor_fetch(store->at, &message, 1, 0, &count, NULL), "fetch", NULL);
    memcpy(out, message.body.data, message.body.bytes < room ? message.body.bytes : room);
    return message.body.bytes;
}

static void store_close(void *at)
{
    struct store *store = at;
    struct commitlog_error err = {.message = ""};
    commitlog_cursor_close(store->at);
    direct_need(commitlog_close(store->store, &err), "close", &err);
    free(store->topics);
    free(store);
}

struct commitlog_store *bench_commitlog_store(const struct bench_engine *engine, void *at)
{
    struct store *store = at;
    return engine->open == store_open ? store->store : NULL;
}

#define COMMON                                                                                     \
    .family = "libcommitlog", .durable = true, .points = true, .verifies = true, .prepares = true, \
    .version = version, .open = store_open, .writer_close = writer_close, .drain = store_drain,    \
    .scan = store_scan, .get = store_get, .get_lent = store_get_lent, .close = store_close

#define ONE_BY_ONE                                                                                 \
    .batch = 1, .writer = writer_open, .append = writer_append, .commit = writer_commit,           \
    .losses = {[BENCH_ASYNC] = {.kill = "nothing", .power = "what was not flushed yet"},           \
               [BENCH_DURABLE] = {.kill = "nothing", .power = "nothing"}}

const struct bench_engine bench_engine_commitlog = {
    .name = "commitlog",
    .setting =
        "defaults; commitlog_append at level none, or durable; or commitlog_sync behind a batch",
    ONE_BY_ONE,
    COMMON,
};

const struct bench_engine bench_engine_commitlog_mmap = {
    .name = "commitlog-mmap",
    .setting =
        "engine=mmap; commitlog_append at level none, or durable; or commitlog_sync behind a batch",
    ONE_BY_ONE,
    COMMON,
};

const struct bench_engine bench_engine_commitlog_batch = {
    .name = "commitlog-batch",
    .setting = "defaults; commitlog_append_batch, all or nothing, at level none, or durable",
    .batch = 1000,
    .writer = writer_open_batch,
    .append = writer_collect,
    .commit = writer_commit_batch,
    .losses = {[BENCH_ASYNC] = {.kill = LOST_OPEN, .power = "what was not flushed yet"},
               [BENCH_DURABLE] = {.kill = LOST_OPEN, .power = LOST_OPEN}},
    COMMON,
};
