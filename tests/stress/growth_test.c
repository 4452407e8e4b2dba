/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * growth_test.c -- a topic grows while threads append keyed messages.
 *
 * Each writer numbers the messages of its keys and appends them by record, by batch and by
 * reservation; the main thread lets the topic grow step by step. One reader consumes as a group
 * that keeps to the gates, in any order of the queues: of every key it gets the numbers one after
 * the other. Another follows all queues in log order: it gets all of them, too, and where they lie
 * agrees with one point for each growth, before which no key is routed by the new number and behind
 * which none is by the old one. A third follows in a read-only store.
 *
 * Environment: SEED, DURATION (seconds, default 4, over both engines), WRITERS (default 3).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "../support/dirs.h"
#include "../support/prog.h"

enum { WRITERS_MAX = 8, KEYS = 16, BATCH = 6, STEPS = 6, FETCH = 32 };
enum { NAME_MAX_BYTES = 16 };

static const uint32_t counts[STEPS] = {2, 4, 12, 24, 48, 96};

struct letter {
    uint32_t writer;
    uint32_t key;
    uint64_t number; /* of the key, from 1 on */
};

struct stress {
    char path[DIRS_PATH_MAX];
    struct commitlog_store *store;
    uint32_t topic;
    _Atomic bool stop;
    _Atomic bool writers_done;
    _Atomic uint64_t sent;
};

struct writer {
    struct stress *stress;
    pthread_t id;
    struct rng rng;
    uint32_t number;
    uint64_t next[KEYS];
};

struct reader {
    struct stress *stress;
    pthread_t id;
    struct rng rng;
    bool read_only;
    uint64_t seen[WRITERS_MAX][KEYS];
    uint64_t count;
    uint64_t closed; /* a queue was not open */
};

static size_t key_name(uint32_t writer, uint32_t key, char name[NAME_MAX_BYTES])
{
    return (size_t)snprintf(name, NAME_MAX_BYTES, "w%u-%u", writer, key);
}

/* ---- writers ---- */

struct draft {
    struct letter letter;
    char name[NAME_MAX_BYTES];
    struct commitlog_slice key;
    struct commitlog_slice body;
};

static void draft_make(struct writer *writer, struct draft *draft, struct commitlog_record *record)
{
    uint32_t key = (uint32_t)rng_below(&writer->rng, KEYS);
    draft->letter = (struct letter){writer->number, key, ++writer->next[key]};
    draft->key.data = draft->name;
    draft->key.bytes = key_name(writer->number, key, draft->name);
    draft->body = (struct commitlog_slice){&draft->letter, sizeof draft->letter};
    *record = (struct commitlog_record){.struct_bytes = sizeof *record,
                                        .topic = writer->stress->topic,
                                        .queue = COMMITLOG_QUEUE_AUTO,
                                        .body = &draft->body,
                                        .body_count = 1,
                                        .keys = &draft->key,
                                        .key_count = 1};
}

static void write_reserved(struct writer *writer)
{
    struct commitlog_store *store = writer->stress->store;
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_record record;
    struct draft draft;
    void *body = NULL;
    draft_make(writer, &draft, &record);
    CHECK_OK(commitlog_reserve(store, &record, sizeof draft.letter, COMMITLOG_FOREVER, &reservation,
                               &body, &err),
             &err);
    memcpy(body, &draft.letter, sizeof draft.letter);
    CHECK_OK(commitlog_commit(reservation, COMMITLOG_FOREVER, NULL, &err), &err);
}

static void *writer_main(void *arg)
{
    struct writer *writer = arg;
    struct stress *stress = writer->stress;
    struct commitlog_error err = {.message = ""};
    while (!atomic_load(&stress->stop)) {
        struct commitlog_record records[BATCH];
        struct draft drafts[BATCH];
        uint32_t count = rng_chance(&writer->rng, 1, 4) ? BATCH : 1;
        if (rng_chance(&writer->rng, 1, 8)) {
            write_reserved(writer);
            atomic_fetch_add(&stress->sent, 1);
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
            draft_make(writer, &drafts[i], &records[i]);
        CHECK_OK(count == 1 ? commitlog_append_record(stress->store, records, COMMITLOG_FOREVER,
                                                      NULL, &err)
                            : commitlog_append_batch(stress->store, records, count,
                                                     COMMITLOG_FOREVER, NULL, &err),
                 &err);
        atomic_fetch_add(&stress->sent, count);
        if (rng_chance(&writer->rng, 1, 20))
            sleep_ms(1);
    }
    return NULL;
}

/* ---- readers ---- */

static void take(struct reader *reader, const struct commitlog_message *message,
                 struct letter *letter)
{
    CHECK(message->body.bytes == sizeof *letter);
    memcpy(letter, message->body.data, sizeof *letter);
    CHECK(letter->writer < WRITERS_MAX && letter->key < KEYS);
    uint64_t *seen = &reader->seen[letter->writer][letter->key];
    CHECKF(letter->number == *seen + 1, "w%u-%u: number %llu in queue %u behind number %llu",
           letter->writer, letter->key, (unsigned long long)letter->number, message->queue,
           (unsigned long long)*seen);
    *seen = letter->number;
    reader->count++;
}

static uint32_t queue_of(const struct letter *letter, uint32_t queues)
{
    char name[NAME_MAX_BYTES];
    uint32_t queue = 0;
    size_t bytes = key_name(letter->writer, letter->key, name);
    CHECK_RC(commitlog_queue_by_key(name, bytes, queues, &queue), COMMITLOG_OK);
    return queue;
}

/* The lowest step by which it may have been routed, from the one on that was seen before. */
static uint32_t route(const struct letter *letter, uint32_t queue, uint32_t from)
{
    uint32_t step = from;
    while (step < STEPS && queue_of(letter, counts[step]) != queue)
        step++;
    CHECKF(step < STEPS, "w%u-%u number %llu lies in queue %u, when there were %u already",
           letter->writer, letter->key, (unsigned long long)letter->number, queue, counts[from]);
    return step;
}

static struct commitlog_store *reader_store(const struct reader *reader)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    if (!reader->read_only)
        return reader->stress->store;
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, &err), &err);
    CHECK_OK(commitlog_open(reader->stress->path, options, &store, &err), &err);
    commitlog_options_free(options);
    return store;
}

/* Everything in log order. */
static void *log_main(void *arg)
{
    struct reader *reader = arg;
    struct stress *stress = reader->stress;
    struct commitlog_store *store = reader_store(reader);
    struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    uint32_t topic = 0;
    uint32_t step = 0;
    CHECK_OK(commitlog_topic_open(store, "grows", 5, 0, &topic, &err), &err);
    CHECK_OK(commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0,
                                   &cursor, &err),
             &err);
    for (;;) {
        uint32_t count = 0;
        bool last = atomic_load(&stress->writers_done);
        int32_t rc = commitlog_cursor_fetch(cursor, messages, FETCH, 50, &count, NULL);
        CHECK(rc == COMMITLOG_OK || rc == COMMITLOG_EEND);
        for (uint32_t i = 0; i < count; i++) {
            struct letter letter;
            take(reader, &messages[i], &letter);
            uint32_t routed = route(&letter, messages[i].queue, step);
            step = messages[i].queue >= counts[step] ? routed : step;
        }
        if (last && rc == COMMITLOG_EEND)
            break;
    }
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    CHECK_RC(commitlog_topic_info(store, topic, &info), COMMITLOG_OK);
    CHECKF(info.queues == counts[STEPS - 1] && info.step_count == STEPS,
           "%u queues by %u steps in the %s", info.queues, info.step_count,
           reader->read_only ? "reader" : "writer");
    commitlog_cursor_close(cursor);
    if (reader->read_only)
        CHECK_OK(commitlog_close(store, &err), &err);
    return NULL;
}

/* Some of one queue; returns how many. */
static uint32_t consume(struct reader *reader, struct commitlog_group *group, uint32_t queue)
{
    struct stress *stress = reader->stress;
    struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_error err = {.message = ""};
    struct commitlog_group_gate gate = {.struct_bytes = sizeof gate};
    struct commitlog_group_offset at = {stress->topic, queue, 0};
    uint32_t count = 0;
    CHECK_OK(commitlog_group_gate(group, stress->topic, queue, &gate, &err), &err);
    if (gate.open == 0) {
        reader->closed++;
        return 0;
    }
    CHECK_OK(commitlog_group_fetch(group, &at, 1, &err), &err);
    at.offset = at.offset == UINT64_MAX ? 0 : at.offset;
    CHECK_OK(commitlog_cursor_open(stress->store, stress->topic, queue, COMMITLOG_FROM_OFFSET,
                                   at.offset, &cursor, &err),
             &err);
    (void)commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, NULL);
    for (uint32_t i = 0; i < count; i++) {
        struct letter letter;
        CHECK(messages[i].queue_offset == at.offset + i);
        take(reader, &messages[i], &letter);
    }
    commitlog_cursor_close(cursor);
    at.offset += count;
    if (count > 0)
        CHECK_OK(commitlog_group_commit(group, 0, &at, 1, COMMITLOG_LEVEL_NONE, COMMITLOG_FOREVER,
                                        NULL, &err),
                 &err);
    return count;
}

static void *group_main(void *arg)
{
    struct reader *reader = arg;
    struct stress *stress = reader->stress;
    struct commitlog_group *group = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_group_open(stress->store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err),
             &err);
    for (;;) {
        struct commitlog_topic_info info = {.struct_bytes = sizeof info};
        bool last = atomic_load(&stress->writers_done);
        uint32_t some = 0;
        CHECK_RC(commitlog_topic_info(stress->store, stress->topic, &info), COMMITLOG_OK);
        uint32_t from = (uint32_t)rng_below(&reader->rng, info.queues_total);
        if (!last && rng_chance(&reader->rng, 1, 4)) /* falls behind at times */
            sleep_ms((int64_t)rng_below(&reader->rng, 20));
        for (uint32_t i = 0; i < info.queues_total; i++)
            some += consume(reader, group, (from + i * 5) % info.queues_total);
        if (last && reader->count == atomic_load(&stress->sent))
            break;
        CHECKF(!last || some > 0, "%llu of %llu consumed, and nothing is open",
               (unsigned long long)reader->count, (unsigned long long)atomic_load(&stress->sent));
    }
    commitlog_group_close(group);
    return NULL;
}

static void open_store(struct stress *stress, uint64_t engine)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, engine, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 256 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, 256 << 10, &err), &err);
    CHECK_OK(commitlog_open(stress->path, options, &stress->store, &err), &err);
    commitlog_options_free(options);
    CHECK_OK(commitlog_topic_open(stress->store, "grows", 5, counts[0], &stress->topic, &err),
             &err);
}

static void run(uint64_t engine, uint64_t seed, uint64_t duration_ms, uint32_t writers)
{
    static struct writer writer[WRITERS_MAX];
    static struct reader reader[3];
    struct stress stress = {.path = ""};
    struct commitlog_error err = {.message = ""};
    char root[DIRS_PATH_MAX];
    dirs_make(root, "growth");
    CHECK(snprintf(stress.path, sizeof stress.path, "%s/store", root) < DIRS_PATH_MAX);
    open_store(&stress, engine);
    for (uint32_t i = 0; i < 3; i++) {
        reader[i] = (struct reader){.stress = &stress, .read_only = i == 2};
        rng_begin(&reader[i].rng, seed * 37 + i);
        CHECK(pthread_create(&reader[i].id, NULL, i == 0 ? group_main : log_main, &reader[i]) == 0);
    }
    for (uint32_t i = 0; i < writers; i++) {
        writer[i] = (struct writer){.stress = &stress, .number = i};
        rng_begin(&writer[i].rng, seed * 31 + i);
        CHECK(pthread_create(&writer[i].id, NULL, writer_main, &writer[i]) == 0);
    }
    for (uint32_t i = 1; i < STEPS; i++) {
        sleep_ms((int64_t)(duration_ms / STEPS));
        CHECK_OK(
            commitlog_topic_grow(stress.store, stress.topic, counts[i], COMMITLOG_LEVEL_NONE, &err),
            &err);
    }
    sleep_ms((int64_t)(duration_ms / STEPS));
    atomic_store(&stress.stop, true);
    for (uint32_t i = 0; i < writers; i++)
        CHECK(pthread_join(writer[i].id, NULL) == 0);
    atomic_store(&stress.writers_done, true);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(pthread_join(reader[i].id, NULL) == 0);
        CHECK(reader[i].count == atomic_load(&stress.sent));
    }
    CHECK_OK(commitlog_close(stress.store, &err), &err);
    printf("%s: %llu messages; a queue was not open %llu times\n",
           engine == COMMITLOG_ENGINE_MMAP ? "mmap" : "staged",
           (unsigned long long)atomic_load(&stress.sent), (unsigned long long)reader[0].closed);
    dirs_remove(root);
}

int main(void)
{
    uint64_t seed = prog_begin("growth_test");
    uint64_t duration_ms = prog_env("DURATION", 4) * 500;
    uint64_t writers = prog_env("WRITERS", 3);
    prog_watchdog(300);
    writers = writers < 1 ? 1 : writers > WRITERS_MAX ? WRITERS_MAX : writers;
    run(COMMITLOG_ENGINE_STAGED, seed, duration_ms, (uint32_t)writers);
    run(COMMITLOG_ENGINE_MMAP, seed + 1, duration_ms, (uint32_t)writers);
    return prog_end();
}
