/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads_test.c -- everything at once from many threads of one process.
 *
 * Writers append records, batches and reservations (committed or aborted); readers follow by
 * cursor, hold leases while retention drops what they point to, look up keys and times; others
 * flush, checkpoint and retain; the store is closed and
 * opened again several times. Each queue stays contiguous, each writer's serials rise in each
 * queue, each body proves itself, and in the end the queues have exactly as many entries as were
 * claimed. Made for ThreadSanitizer; no part depends on timing.
 *
 * Environment: SEED, DURATION (seconds, default 5, over both engines), WRITERS (default 4), READERS
 * (default 2).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/dirs.h"
#include "load.h"

enum { QUEUES = 4, WRITERS_MAX = 32, READERS_MAX = 16, BATCH = 5, KEYS = 64 };

struct stress {
    char path[DIRS_PATH_MAX];
    struct commitlog_store *store;
    uint32_t topic;
    uint64_t engine;
    _Atomic uint64_t claimed[QUEUES]; /* entries that the queue must have */
    _Atomic bool stop;
    _Atomic bool writers_done;
    uint32_t writers;
    uint32_t readers;
};

struct worker {
    struct stress *stress;
    pthread_t id;
    struct rng rng;
    uint32_t number;
    uint64_t serial[QUEUES];
    uint64_t last_offset[QUEUES]; /* plus one */
};

static void key_make(char out[16], struct commitlog_slice *key, uint32_t writer, uint64_t serial)
{
    int size = snprintf(out, 16, "k%u-%u", writer, (unsigned)(serial % KEYS));
    *key = (struct commitlog_slice){out, (size_t)size};
}

static size_t draw_bytes(struct rng *rng)
{
    return (size_t)rng_between(rng, LOAD_HEAD_BYTES, rng_chance(rng, 1, 10) ? LOAD_BODY_MAX : 300);
}

static uint32_t draw_level(struct rng *rng)
{
    uint64_t draw = rng_below(rng, 100);
    return draw == 0  ? COMMITLOG_LEVEL_DURABLE
           : draw < 8 ? COMMITLOG_LEVEL_WRITTEN
                      : COMMITLOG_LEVEL_NONE;
}

/* A receipt must be later than all earlier ones of this thread in this queue. */
static void check_receipt(struct worker *worker, uint32_t queue,
                          const struct commitlog_receipt *receipt)
{
    CHECKF(receipt->queue_offset + 1 > worker->last_offset[queue], "offset %llu after %llu",
           (unsigned long long)receipt->queue_offset,
           (unsigned long long)worker->last_offset[queue]);
    worker->last_offset[queue] = receipt->queue_offset + 1;
    atomic_fetch_add(&worker->stress->claimed[queue], 1);
}

/* What was appended can be read at once by whoever appended it, unless retention was faster. */
static void read_back(struct worker *worker, const struct commitlog_receipt *receipt,
                      uint64_t serial)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct load_head head;
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_get(worker->stress->store, receipt->position, &message, &lease, &err);
    if (rc == COMMITLOG_ETOOSMALL)
        return;
    /* A reservation of another thread in front holds it back. */
    if (rc == COMMITLOG_EBEYOND)
        return;
    CHECK_OK(rc, &err);
    CHECK(load_proves(&message, &head));
    CHECK(head.writer == worker->number && head.serial == serial);
    CHECK(message.queue_offset == receipt->queue_offset);
    commitlog_lease_release(lease);
}

static void write_one(struct worker *worker)
{
    uint8_t bytes[LOAD_BODY_MAX];
    char key_text[16];
    struct commitlog_slice body = {bytes, draw_bytes(&worker->rng)};
    struct commitlog_slice key;
    struct commitlog_record record = {.struct_bytes = sizeof record};
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    uint32_t queue = (uint32_t)rng_below(&worker->rng, QUEUES);
    uint64_t serial = ++worker->serial[queue];
    load_fill(bytes, body.bytes, worker->number, queue, serial, rng_next(&worker->rng));
    key_make(key_text, &key, worker->number, serial);
    record.topic = worker->stress->topic;
    record.queue = queue;
    record.level = draw_level(&worker->rng);
    record.body = &body;
    record.body_count = 1;
    record.keys = &key;
    record.key_count = 1;
    CHECK_OK(
        commitlog_append_record(worker->stress->store, &record, COMMITLOG_FOREVER, &receipt, &err),
        &err);
    check_receipt(worker, queue, &receipt);
    if (rng_chance(&worker->rng, 1, 8))
        read_back(worker, &receipt, serial);
}

static void write_batch(struct worker *worker)
{
    uint8_t bytes[BATCH][LOAD_BODY_MAX];
    struct commitlog_slice body[BATCH];
    struct commitlog_record records[BATCH];
    struct commitlog_receipt receipts[BATCH];
    struct commitlog_error err = {.message = ""};
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < BATCH; i++) {
        uint32_t queue = (uint32_t)rng_below(&worker->rng, QUEUES);
        body[i] = (struct commitlog_slice){bytes[i], draw_bytes(&worker->rng)};
        load_fill(bytes[i], body[i].bytes, worker->number, queue, ++worker->serial[queue],
                  rng_next(&worker->rng));
        records[i].struct_bytes = sizeof records[i];
        records[i].topic = worker->stress->topic;
        records[i].queue = queue;
        records[i].level = draw_level(&worker->rng);
        records[i].body = &body[i];
        records[i].body_count = 1;
    }
    CHECK_OK(commitlog_append_batch(worker->stress->store, records, BATCH, COMMITLOG_FOREVER,
                                    receipts, &err),
             &err);
    for (uint32_t i = 0; i < BATCH; i++)
        check_receipt(worker, records[i].queue, &receipts[i]);
}

static void write_reserved(struct worker *worker)
{
    struct commitlog_record record = {.struct_bytes = sizeof record};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    size_t bytes = draw_bytes(&worker->rng);
    uint32_t queue = (uint32_t)rng_below(&worker->rng, QUEUES);
    void *place = NULL;
    record.topic = worker->stress->topic;
    record.queue = queue;
    record.level = draw_level(&worker->rng);
    CHECK_OK(commitlog_reserve(worker->stress->store, &record, bytes, COMMITLOG_FOREVER,
                               &reservation, &place, &err),
             &err);
    load_fill(place, bytes, worker->number, queue, worker->serial[queue] + 1,
              rng_next(&worker->rng));
    if (rng_chance(&worker->rng, 1, 3)) {
        CHECK_RC(commitlog_abort(reservation), COMMITLOG_OK);
        atomic_fetch_add(&worker->stress->claimed[queue], 1);
        return;
    }
    worker->serial[queue]++;
    CHECK_OK(commitlog_commit(reservation, COMMITLOG_FOREVER, &receipt, &err), &err);
    check_receipt(worker, queue, &receipt);
}

static void *writer_main(void *arg)
{
    struct worker *worker = arg;
    while (!atomic_load(&worker->stress->stop)) {
        uint64_t draw = rng_below(&worker->rng, 10);
        if (draw < 7)
            write_one(worker);
        else if (draw < 8)
            write_batch(worker);
        else
            write_reserved(worker);
    }
    return NULL;
}

struct follow {
    struct commitlog_cursor *cursor;
    struct commitlog_lease *lease; /* of an earlier fetch */
    struct commitlog_message held;
    uint64_t next; /* offset expected, or the least allowed over holes */
    uint64_t serial[WRITERS_MAX];
};

static void follow_take(struct follow *follow, const struct commitlog_message *message)
{
    struct load_head head;
    CHECKF(message->queue_offset >= follow->next, "offset %llu after %llu",
           (unsigned long long)message->queue_offset, (unsigned long long)follow->next);
    CHECKF(load_proves(message, &head), "body at %llu", (unsigned long long)message->position);
    CHECK(head.writer < WRITERS_MAX);
    CHECKF(head.serial > follow->serial[head.writer], "writer %u: serial %llu after %llu",
           head.writer, (unsigned long long)head.serial,
           (unsigned long long)follow->serial[head.writer]);
    follow->serial[head.writer] = head.serial;
    follow->next = message->queue_offset + 1;
}

/* What a lease holds stays as it was, even when retention has removed its file. */
static void follow_release(struct follow *follow)
{
    struct load_head head;
    if (follow->lease == NULL)
        return;
    CHECKF(load_proves(&follow->held, &head), "leased body at %llu",
           (unsigned long long)follow->held.position);
    int32_t rc = commitlog_lease_check(follow->lease);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EREVOKED, "lease: %s", commitlog_error_name(rc));
    commitlog_lease_release(follow->lease);
    follow->lease = NULL;
}

/* Follows one queue to the end of the writers' work. */
static void *reader_main(void *arg)
{
    struct worker *worker = arg;
    struct stress *stress = worker->stress;
    struct follow follow = {.next = 0};
    struct commitlog_error err = {.message = ""};
    struct commitlog_message messages[64];
    uint32_t queue = worker->number % QUEUES;
    uint64_t taken = 0;
    CHECK_OK(commitlog_cursor_open(stress->store, stress->topic, queue, COMMITLOG_FROM_FIRST, 0,
                                   &follow.cursor, &err),
             &err);
    for (;;) {
        bool done = atomic_load(&stress->writers_done);
        uint32_t got = 0;
        uint64_t bound = 0;
        int32_t rc =
            commitlog_cursor_fetch(follow.cursor, messages, 64, done ? 0 : 20, &got, &bound);
        if (rc == COMMITLOG_EEND) {
            if (done)
                break;
            continue;
        }
        if (rc == COMMITLOG_ETOOSMALL) {
            CHECK(bound > follow.next);
            follow.next = bound;
            CHECK_RC(commitlog_cursor_seek(follow.cursor, COMMITLOG_FROM_OFFSET, bound),
                     COMMITLOG_OK);
            continue;
        }
        CHECK_RC(rc, COMMITLOG_OK);
        CHECKF(got >= 1 && got <= 64, "%u messages", got);
        for (uint32_t i = 0; i < got; i++)
            follow_take(&follow, &messages[i]);
        taken += got;
        /* Seldom, so that it is held until its segment is gone. */
        if (rng_chance(&worker->rng, 1, 400)) {
            follow_release(&follow);
            follow.held = messages[0];
            CHECK_RC(commitlog_cursor_lease(follow.cursor, &follow.lease), COMMITLOG_OK);
        }
    }
    CHECK(taken > 0);
    follow_release(&follow);
    commitlog_cursor_close(follow.cursor);
    return NULL;
}

static void look_up_key(struct worker *worker)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[8];
    struct commitlog_error err = {.message = ""};
    char text[16];
    struct commitlog_slice key;
    uint32_t writer = (uint32_t)rng_below(&worker->rng, worker->stress->writers);
    uint64_t serial = rng_below(&worker->rng, KEYS);
    uint64_t last = UINT64_MAX;
    uint32_t got = 0;
    key_make(text, &key, writer, serial);
    CHECK_OK(commitlog_cursor_open_key(worker->stress->store, worker->stress->topic, key.data,
                                       key.bytes, 0, INT64_MAX, &cursor, &err),
             &err);
    for (uint32_t calls = 0; calls < 4; calls++) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 8, 0, &got, NULL);
        if (rc == COMMITLOG_EEND)
            break;
        CHECK_RC(rc, COMMITLOG_OK);
        for (uint32_t i = 0; i < got; i++) {
            struct load_head head;
            CHECK(messages[i].position < last);
            last = messages[i].position;
            CHECK(load_proves(&messages[i], &head));
            CHECK(head.writer == writer && head.serial % KEYS == serial);
        }
    }
    commitlog_cursor_close(cursor);
}

/* A reservation that a thread holds just then forbids it. */
static void retain_some(struct commitlog_store *store)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1 << 20};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_retain(store, &policy, &out, &err);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "retain: %s", err.message);
}

/* Flushes, checkpoints, drops, looks things up, and watches the positions. */
static void *upkeep_main(void *arg)
{
    struct worker *worker = arg;
    struct commitlog_store *store = worker->stress->store;
    struct commitlog_positions old = {.struct_bytes = sizeof old};
    struct commitlog_error err = {.message = ""};
    while (!atomic_load(&worker->stress->stop)) {
        struct commitlog_positions now = {.struct_bytes = sizeof now};
        uint64_t offset = 0;
        CHECK_RC(commitlog_positions_get(store, &now), COMMITLOG_OK);
        CHECK(now.first <= now.durable && now.durable <= now.written);
        CHECK(now.written <= now.published && now.published <= now.claimed);
        CHECK(now.first >= old.first && now.durable >= old.durable && now.written >= old.written);
        CHECK(now.published >= old.published && now.claimed >= old.claimed);
        old = now;
        switch (rng_below(&worker->rng, 8)) {
        case 0:
            CHECK_OK(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), &err);
            break;
        case 1:
            CHECK_OK(commitlog_checkpoint(store, &err), &err);
            break;
        case 2:
            retain_some(store);
            break;
        case 3:
            CHECK_RC(commitlog_offset_by_time(store, worker->stress->topic, 0, INT64_MAX,
                                              COMMITLOG_LOWER, &offset),
                     COMMITLOG_OK);
            break;
        default:
            look_up_key(worker);
            break;
        }
    }
    return NULL;
}

static void open_store(struct stress *stress)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, stress->engine, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 256 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, 64 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_ASYNC, &err),
             &err);
    CHECK_OK(commitlog_open(stress->path, options, &stress->store, &err), &err);
    commitlog_options_free(options);
    CHECK_OK(commitlog_topic_open(stress->store, "stress", 6, QUEUES, &stress->topic, &err), &err);
}

static void check_counts(struct stress *stress)
{
    for (uint32_t q = 0; q < QUEUES; q++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof info};
        CHECK_RC(commitlog_queue_info(stress->store, stress->topic, q, &info), COMMITLOG_OK);
        CHECKF(info.next_offset == atomic_load(&stress->claimed[q]), "queue %u: %llu of %llu", q,
               (unsigned long long)info.next_offset,
               (unsigned long long)atomic_load(&stress->claimed[q]));
    }
}

static void run_cycle(struct stress *stress, struct worker *writers, struct rng *rng,
                      int64_t milliseconds)
{
    struct worker others[READERS_MAX + 1];
    struct commitlog_error err = {.message = ""};
    open_store(stress);
    check_counts(stress);
    atomic_store(&stress->stop, false);
    atomic_store(&stress->writers_done, false);
    for (uint32_t i = 0; i < stress->writers; i++)
        CHECK(pthread_create(&writers[i].id, NULL, writer_main, &writers[i]) == 0);
    for (uint32_t i = 0; i <= stress->readers; i++) {
        others[i] = (struct worker){.stress = stress, .number = i};
        rng_begin(&others[i].rng, rng_next(rng));
        CHECK(pthread_create(&others[i].id, NULL, i < stress->readers ? reader_main : upkeep_main,
                             &others[i]) == 0);
    }
    sleep_ms(milliseconds);
    atomic_store(&stress->stop, true);
    for (uint32_t i = 0; i < stress->writers; i++)
        CHECK(pthread_join(writers[i].id, NULL) == 0);
    atomic_store(&stress->writers_done, true);
    for (uint32_t i = 0; i <= stress->readers; i++)
        CHECK(pthread_join(others[i].id, NULL) == 0);
    check_counts(stress);
    CHECK_OK(commitlog_close(stress->store, &err), &err);
}

static void run_engine(uint64_t engine, uint64_t seed, int64_t milliseconds)
{
    static struct worker writers[WRITERS_MAX];
    struct stress stress = {.engine = engine};
    struct rng rng;
    char root[DIRS_PATH_MAX];
    uint64_t total = 0;
    rng_begin(&rng, seed);
    stress.writers = (uint32_t)prog_env("WRITERS", 4);
    stress.readers = (uint32_t)prog_env("READERS", 2);
    CHECK(stress.writers >= 1 && stress.writers <= WRITERS_MAX && stress.readers <= READERS_MAX);
    memset(writers, 0, sizeof writers);
    for (uint32_t i = 0; i < stress.writers; i++) {
        writers[i] = (struct worker){.stress = &stress, .number = i};
        rng_begin(&writers[i].rng, rng_next(&rng));
    }
    dirs_make(root, "threads");
    path_join(stress.path, root, "store");
    for (uint32_t cycle = 0; cycle < 4; cycle++)
        run_cycle(&stress, writers, &rng, milliseconds / 4);
    for (uint32_t q = 0; q < QUEUES; q++)
        total += atomic_load(&stress.claimed[q]);
    printf("engine %llu: %llu records\n", (unsigned long long)engine, (unsigned long long)total);
    dirs_remove(root);
}

int main(void)
{
    uint64_t seed = prog_begin("threads_test");
    int64_t milliseconds = (int64_t)prog_env("DURATION", 5) * 1000;
    prog_watchdog((uint64_t)milliseconds / 1000 * 4 + 120);
    run_engine(COMMITLOG_ENGINE_STAGED, seed, milliseconds / 2);
    run_engine(COMMITLOG_ENGINE_MMAP, seed + 1, milliseconds / 2);
    return prog_end();
}
