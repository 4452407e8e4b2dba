/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work_test.c -- many threads of one process share the work on a topic.
 *
 * A writer appends; workers, each with a receiver of its own, acknowledge most of what they are
 * given, give some back, one in 64 always, and sit on some until their time is over; a looker lists
 * what is out, another flushes, checkpoints and retains what is consumed. The attempts of a message
 * rise by one each time, nothing that was acknowledged comes again, and in the end every message is
 * acknowledged or one dead letter.
 *
 * Environment: SEED, DURATION (seconds, default 4, over both engines), WORKERS (default 4).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/dirs.h"
#include "load.h"

enum { QUEUES = 3, WORKERS_MAX = 16, OFFSETS_MAX = 1 << 18, ATTEMPTS = 4, VISIBILITY_MS = 40 };

enum { CELL_DONE = 1 << 30 };

struct stress {
    char path[DIRS_PATH_MAX];
    struct commitlog_store *store;
    struct commitlog_group *group;
    uint32_t topic;
    _Atomic bool stop;
    _Atomic uint64_t appended[QUEUES];
    _Atomic uint64_t over;           /* acknowledged */
    _Atomic uint32_t *cells[QUEUES]; /* by offset: attempts seen, CELL_DONE */
    _Atomic uint64_t lapsed;
};

struct worker {
    struct stress *stress;
    pthread_t id;
    struct rng rng;
    uint32_t number;
};

static void *writer_main(void *arg)
{
    struct worker *worker = arg;
    struct stress *stress = worker->stress;
    uint8_t body[LOAD_BODY_MAX];
    uint64_t serial = 0;
    while (!atomic_load(&stress->stop)) {
        struct commitlog_receipt receipt = {0};
        uint32_t queue = (uint32_t)rng_below(&worker->rng, QUEUES);
        size_t bytes = (size_t)rng_between(&worker->rng, LOAD_HEAD_BYTES, 300);
        load_fill(body, bytes, worker->number, queue, ++serial, rng_next(&worker->rng));
        CHECK_RC(commitlog_append(stress->store, stress->topic, queue, body, bytes,
                                  COMMITLOG_LEVEL_NONE, &receipt),
                 COMMITLOG_OK);
        CHECK(receipt.queue_offset < OFFSETS_MAX);
        atomic_fetch_add(&stress->appended[queue], 1);
        if (serial % 8 == 0)
            sleep_ms(1);
    }
    return NULL;
}

static struct commitlog_receiver *open_receiver(struct stress *stress)
{
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof options, .max_attempts = ATTEMPTS, .visibility_ms = VISIBILITY_MS};
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_receiver_open(stress->group, stress->topic, &options, &receiver, &err),
             &err);
    return receiver;
}

static void take(struct stress *stress, const struct commitlog_message *message,
                 const struct commitlog_delivery *given)
{
    struct load_head head;
    CHECKF(load_proves(message, &head), "body at %llu", (unsigned long long)message->position);
    CHECK(head.queue == given->queue && given->queue < QUEUES && given->offset < OFFSETS_MAX);
    _Atomic uint32_t *cell = &stress->cells[given->queue][given->offset];
    uint32_t seen = atomic_load(cell);
    do { /* others may have had it since it was given out here, and be faster to say so */
        CHECKF((seen & CELL_DONE) == 0 || (seen & ~(uint32_t)CELL_DONE) > given->attempt,
               "queue %u offset %llu attempt %u: it is done", given->queue,
               (unsigned long long)given->offset, given->attempt);
        CHECKF(seen != given->attempt, "queue %u offset %llu: attempt %u twice", given->queue,
               (unsigned long long)given->offset, given->attempt);
    } while (seen < given->attempt && !atomic_compare_exchange_weak(cell, &seen, given->attempt));
}

static void acknowledge(struct worker *worker, struct commitlog_receiver *receiver,
                        const struct commitlog_delivery *given)
{
    struct stress *stress = worker->stress;
    struct commitlog_error err = {.message = ""};
    uint32_t level =
        rng_chance(&worker->rng, 1, 50) ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE;
    int32_t rc = commitlog_ack(receiver, given, 1, level, &err);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND, "ack: %s", err.message);
    if (rc == COMMITLOG_OK) {
        uint32_t before = atomic_fetch_or(&stress->cells[given->queue][given->offset], CELL_DONE);
        CHECKF(before == given->attempt, "queue %u offset %llu: done at attempt %u, seen %u",
               given->queue, (unsigned long long)given->offset, given->attempt, before);
        atomic_fetch_add(&stress->over, 1);
    } else {
        atomic_fetch_add(&stress->lapsed, 1);
    }
}

static void handle(struct worker *worker, struct commitlog_receiver *receiver,
                   const struct commitlog_delivery *given)
{
    struct commitlog_error err = {.message = ""};
    uint64_t draw = rng_below(&worker->rng, 200);
    int32_t rc = COMMITLOG_OK;
    bool poison = given->offset % 64 == 7; /* nobody can do these */
    if (draw == 0)
        sleep_ms(VISIBILITY_MS + 5);
    else if (draw == 1)
        return; /* forgotten */
    else if (draw == 2)
        rc = commitlog_extend(receiver, given, 1, VISIBILITY_MS * 2, &err);
    if (poison || (draw >= 3 && draw < 20))
        rc = commitlog_nack(receiver, given, 1, (int64_t)rng_below(&worker->rng, 10), &err);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND, "extend or nack: %s", err.message);
    if (!poison && (draw < 3 || draw >= 20))
        acknowledge(worker, receiver, given);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct stress *stress = worker->stress;
    struct commitlog_message messages[8];
    struct commitlog_delivery given[8];
    struct commitlog_error err = {.message = ""};
    struct commitlog_receiver *receiver = open_receiver(stress);
    uint32_t quiet = 0;
    while (quiet < 3) { /* after the writers have stopped, until all of it is over */
        uint32_t count = 0;
        int32_t rc =
            commitlog_receive(receiver, messages, given, 1 + (uint32_t)rng_below(&worker->rng, 8),
                              VISIBILITY_MS, &count, &err);
        /* No room in the stage just when the time was over, perhaps. */
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EEND || rc == COMMITLOG_ETIMEDOUT,
               "receive: %s %s", commitlog_error_name(rc), err.message);
        quiet = rc == COMMITLOG_EEND && atomic_load(&stress->stop) ? quiet + 1 : 0;
        for (uint32_t i = 0; i < count; i++)
            take(stress, &messages[i], &given[i]);
        for (uint32_t i = 0; i < count; i++)
            handle(worker, receiver, &given[i]);
    }
    commitlog_receiver_close(receiver);
    return NULL;
}

static void *upkeep_main(void *arg)
{
    struct worker *worker = arg;
    struct stress *stress = worker->stress;
    struct commitlog_error err = {.message = ""};
    while (!atomic_load(&stress->stop)) {
        const struct commitlog_retention policy = {.struct_bytes = sizeof policy,
                                                   .keep_bytes = 1 << 20};
        struct commitlog_work_info info = {.struct_bytes = sizeof info};
        uint64_t offset = 0;
        uint32_t queue = (uint32_t)rng_below(&worker->rng, QUEUES);
        while (commitlog_group_work(stress->group, stress->topic, queue, offset, &info, &err) ==
               COMMITLOG_OK) {
            CHECK(info.count > 0 && info.offset + info.count > offset);
            offset = info.offset + info.count;
        }
        CHECK_OK(commitlog_checkpoint(stress->store, &err), &err);
        int32_t rc = commitlog_retain(stress->store, &policy, NULL, &err);
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "retain: %s", err.message);
        sleep_ms(20);
    }
    return NULL;
}

static uint64_t count_dead(struct stress *stress)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    uint32_t dead = 0;
    uint32_t count = 0;
    uint64_t found = 0;
    if (commitlog_topic_open(stress->store, "%DLQ%team", 9, 0, &dead, NULL) != COMMITLOG_OK)
        return 0;
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    CHECK_RC(commitlog_queue_info(stress->store, dead, 0, &info), COMMITLOG_OK);
    CHECK_OK(commitlog_cursor_open(stress->store, dead, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
             &err);
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL) == COMMITLOG_OK) {
        uint32_t cell = atomic_load(&stress->cells[message.origin_queue][message.origin_offset]);
        CHECKF(cell == ATTEMPTS, "a dead letter of %u attempts", cell);
        CHECK(message.attempts == ATTEMPTS && message.origin_topic == stress->topic);
        found++;
    }
    commitlog_cursor_close(cursor);
    CHECK(found <= info.next_offset);
    return info.next_offset; /* retention may have taken the first */
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
    CHECK_OK(commitlog_topic_open(stress->store, "jobs", 4, QUEUES, &stress->topic, &err), &err);
    CHECK_OK(commitlog_group_open(stress->store, "team", 4,
                                  COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &stress->group,
                                  &err),
             &err);
}

static void start(struct stress *stress, struct worker *worker, uint32_t number, uint64_t seed,
                  void *(*run)(void *))
{
    *worker = (struct worker){.stress = stress, .number = number};
    rng_begin(&worker->rng, seed * 31 + number);
    CHECK(pthread_create(&worker->id, NULL, run, worker) == 0);
}

static void run(uint64_t engine, uint64_t seed, uint64_t duration_ms, uint32_t count)
{
    static struct worker workers[WORKERS_MAX + 2];
    struct stress stress = {.path = ""};
    struct commitlog_error err = {.message = ""};
    char root[DIRS_PATH_MAX];
    uint64_t appended = 0;
    dirs_make(root, "work");
    CHECK(snprintf(stress.path, sizeof stress.path, "%s/store", root) < DIRS_PATH_MAX);
    for (uint32_t q = 0; q < QUEUES; q++) {
        stress.cells[q] = calloc(OFFSETS_MAX, sizeof *stress.cells[q]);
        CHECK(stress.cells[q] != NULL);
    }
    open_store(&stress, engine);
    start(&stress, &workers[0], 0, seed, writer_main);
    start(&stress, &workers[1], 1, seed, upkeep_main);
    for (uint32_t i = 0; i < count; i++)
        start(&stress, &workers[2 + i], 2 + i, seed, worker_main);
    sleep_ms((int64_t)duration_ms);
    atomic_store(&stress.stop, true);
    for (uint32_t i = 0; i < count + 2; i++)
        CHECK(pthread_join(workers[i].id, NULL) == 0);
    for (uint32_t q = 0; q < QUEUES; q++) {
        struct commitlog_group_offset offset = {.topic = stress.topic, .queue = q};
        CHECK_OK(commitlog_group_fetch(stress.group, &offset, 1, &err), &err);
        CHECKF(offset.offset == atomic_load(&stress.appended[q]), "queue %u: %llu of %llu", q,
               (unsigned long long)offset.offset, (unsigned long long)stress.appended[q]);
        appended += stress.appended[q];
    }
    uint64_t dead = count_dead(&stress);
    CHECKF(stress.over + dead == appended, "%llu done and %llu dead of %llu",
           (unsigned long long)stress.over, (unsigned long long)dead, (unsigned long long)appended);
    CHECK(dead > 0);
    commitlog_group_close(stress.group);
    CHECK_OK(commitlog_close(stress.store, &err), &err);
    printf("%s: %llu appended, %llu acknowledged, %llu dead, %llu came too late\n",
           engine == COMMITLOG_ENGINE_MMAP ? "mmap" : "staged", (unsigned long long)appended,
           (unsigned long long)stress.over, (unsigned long long)dead,
           (unsigned long long)stress.lapsed);
    for (uint32_t q = 0; q < QUEUES; q++)
        free(stress.cells[q]);
    dirs_remove(root);
}

int main(void)
{
    uint64_t seed = prog_begin("work_test");
    uint64_t duration_ms = prog_env("DURATION", 4) * 500;
    uint64_t workers = prog_env("WORKERS", 4);
    prog_watchdog(300);
    workers = workers < 1 ? 1 : workers > WORKERS_MAX ? WORKERS_MAX : workers;
    run(COMMITLOG_ENGINE_STAGED, seed, duration_ms, (uint32_t)workers);
    run(COMMITLOG_ENGINE_MMAP, seed + 1, duration_ms, (uint32_t)workers);
    return prog_end();
}
