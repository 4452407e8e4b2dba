/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timers_test.c -- delayed messages from many threads of one process, by the real clock.
 *
 * Writers append messages that are due within the next moments, some as batches, and cancel some;
 * the library's thread delivers; a reader follows the queue and lets retention take what lies
 * behind it, so that what waits is carried forward. Each message comes once, whole, not before its
 * time and not after its cancel, and in the end all have come.
 *
 * It prints how late they came; no check depends on that.
 *
 * Environment: SEED, DURATION (seconds, default 4, over both engines), WRITERS (default 3).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../support/dirs.h"
#include "load.h"

enum { WRITERS_MAX = 8, SERIALS_MAX = 1 << 18, BATCH = 4, LATE_MAX = 1 << 20, MS = 1000000 };

enum sent_state { SENT_NONE, SENT_WAITS, SENT_ENDING, SENT_ENDED, SENT_CAME };

struct sent {
    _Atomic int64_t due_ms;
    _Atomic uint32_t state;
};

struct stress {
    char path[DIRS_PATH_MAX];
    struct commitlog_store *store;
    uint32_t topic;
    _Atomic bool stop;
    _Atomic uint64_t owed; /* appended and not cancelled */
    _Atomic bool writers_done;
    struct sent (*sent)[SERIALS_MAX]; /* by writer and serial */
    int64_t *late_ns;
    uint64_t came;
    uint64_t carried_bytes;
    uint64_t by_reference;
};

struct worker {
    struct stress *stress;
    pthread_t id;
    struct rng rng;
    uint32_t number;
    uint64_t serial;
    uint64_t cancelled;
};

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / MS;
}

/* Most soon, some later, so that they lie in segments that go. */
static int64_t draw_due_ms(struct rng *rng)
{
    return now_ms() + (int64_t)rng_below(rng, rng_chance(rng, 1, 10) ? 1500 : 80);
}

static void make_record(struct worker *worker, struct commitlog_record *record,
                        struct commitlog_slice *body, uint8_t bytes[LOAD_BODY_MAX])
{
    struct stress *stress = worker->stress;
    uint64_t serial = ++worker->serial;
    CHECK(serial < SERIALS_MAX);
    struct sent *sent = &stress->sent[worker->number][serial];
    body->data = bytes;
    body->bytes = (size_t)rng_between(&worker->rng, LOAD_HEAD_BYTES, 800);
    load_fill(bytes, body->bytes, worker->number, 0, serial, rng_next(&worker->rng));
    int64_t due_ms = draw_due_ms(&worker->rng);
    atomic_store(&sent->due_ms, due_ms);
    atomic_store(&sent->state, SENT_WAITS);
    *record = (struct commitlog_record){
        .struct_bytes = sizeof *record,
        .topic = stress->topic,
        .level = rng_chance(&worker->rng, 1, 50) ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE,
        .body = body,
        .body_count = 1,
        .deliver_at_ms = due_ms};
}

/* Between the state ENDING and the answer it may come; behind it, only if the answer was that it
 * had come. */
static void cancel(struct worker *worker, uint64_t serial, uint64_t handle)
{
    struct stress *stress = worker->stress;
    struct commitlog_error err = {.message = ""};
    struct sent *sent = &stress->sent[worker->number][serial];
    uint32_t waits = SENT_WAITS;
    if (!atomic_compare_exchange_strong(&sent->state, &waits, SENT_ENDING))
        return;
    int32_t rc = commitlog_timer_cancel(stress->store, handle, COMMITLOG_LEVEL_NONE, &err);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND, "cancel: %s", err.message);
    uint32_t ending = SENT_ENDING;
    if (rc == COMMITLOG_OK) {
        CHECKF(atomic_compare_exchange_strong(&sent->state, &ending, SENT_ENDED),
               "%u.%llu came and was cancelled", worker->number, (unsigned long long)serial);
        atomic_fetch_sub(&stress->owed, 1);
        worker->cancelled++;
    } else if (!atomic_compare_exchange_strong(&sent->state, &ending, SENT_WAITS)) {
        CHECK(ending == SENT_CAME);
    }
}

static void write_some(struct worker *worker)
{
    static _Thread_local uint8_t bytes[BATCH][LOAD_BODY_MAX];
    struct commitlog_record records[BATCH];
    struct commitlog_slice bodies[BATCH];
    struct commitlog_receipt receipts[BATCH];
    struct commitlog_error err = {.message = ""};
    uint32_t count = rng_chance(&worker->rng, 1, 4) ? BATCH : 1;
    uint64_t first = worker->serial + 1;
    for (uint32_t i = 0; i < count; i++)
        make_record(worker, &records[i], &bodies[i], bytes[i]);
    atomic_fetch_add(&worker->stress->owed, count);
    CHECK_OK(commitlog_append_batch(worker->stress->store, records, count, COMMITLOG_FOREVER,
                                    receipts, &err),
             &err);
    if (rng_chance(&worker->rng, 1, 5))
        cancel(worker, first, receipts[0].position);
}

static void *writer_main(void *arg)
{
    struct worker *worker = arg;
    while (!atomic_load(&worker->stress->stop) && worker->serial + BATCH < SERIALS_MAX) {
        write_some(worker);
        if (rng_chance(&worker->rng, 1, 3))
            sleep_ms((int64_t)rng_below(&worker->rng, 3));
    }
    return NULL;
}

static void take(struct stress *stress, const struct commitlog_message *message)
{
    struct load_head head;
    CHECKF(load_proves(message, &head), "body at %llu", (unsigned long long)message->position);
    CHECK(head.writer < WRITERS_MAX && head.serial < SERIALS_MAX);
    struct sent *sent = &stress->sent[head.writer][head.serial];
    int64_t due_ms = atomic_load(&sent->due_ms);
    CHECKF(message->store_time_ns >= due_ms * MS, "%u.%llu came %lld ns early", head.writer,
           (unsigned long long)head.serial, (long long)(due_ms * MS - message->store_time_ns));
    CHECK(message->deliver_at_ms == due_ms);
    uint32_t before = atomic_exchange(&sent->state, SENT_CAME);
    CHECKF(before == SENT_WAITS || before == SENT_ENDING, "%u.%llu comes in state %u", head.writer,
           (unsigned long long)head.serial, before);
    stress->late_ns[stress->came % LATE_MAX] = message->store_time_ns - due_ms * MS;
    stress->by_reference += message->origin_position != 0 ? 1 : 0;
    stress->came++;
}

static void retain_some(struct stress *stress)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 2 << 20};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_retain(stress->store, &policy, &out, &err);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "retain: %s", err.message);
    stress->carried_bytes += out.bytes_carried;
}

static void *reader_main(void *arg)
{
    struct stress *stress = arg;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[64];
    struct commitlog_error err = {.message = ""};
    uint32_t count = 0;
    uint64_t fetches = 0;
    CHECK_OK(commitlog_cursor_open(stress->store, stress->topic, 0, COMMITLOG_FROM_FIRST, 0,
                                   &cursor, &err),
             &err);
    while (!atomic_load(&stress->writers_done) || stress->came < atomic_load(&stress->owed)) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 64, 100, &count, NULL);
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EEND, "fetch: %s", commitlog_error_name(rc));
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++)
            take(stress, &messages[i]);
        if (++fetches % 64 == 0)
            retain_some(stress);
    }
    commitlog_cursor_close(cursor);
    return NULL;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
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
    CHECK_OK(commitlog_topic_open(stress->store, "later", 5, 1, &stress->topic, &err), &err);
}

static void run(uint64_t engine, uint64_t seed, uint64_t duration_ms, uint32_t writers)
{
    static struct worker workers[WRITERS_MAX];
    struct stress stress = {.path = ""};
    struct commitlog_error err = {.message = ""};
    struct commitlog_timer_info info = {.struct_bytes = sizeof info};
    pthread_t reader;
    char root[DIRS_PATH_MAX];
    dirs_make(root, "timers");
    CHECK(snprintf(stress.path, sizeof stress.path, "%s/store", root) < DIRS_PATH_MAX);
    stress.sent = calloc(WRITERS_MAX, sizeof *stress.sent);
    stress.late_ns = calloc(LATE_MAX, sizeof *stress.late_ns);
    CHECK(stress.sent != NULL && stress.late_ns != NULL);
    open_store(&stress, engine);
    CHECK(pthread_create(&reader, NULL, reader_main, &stress) == 0);
    for (uint32_t i = 0; i < writers; i++) {
        workers[i] = (struct worker){.stress = &stress, .number = i};
        rng_begin(&workers[i].rng, seed * 31 + i);
        CHECK(pthread_create(&workers[i].id, NULL, writer_main, &workers[i]) == 0);
    }
    sleep_ms((int64_t)duration_ms);
    atomic_store(&stress.stop, true);
    uint64_t cancelled = 0;
    for (uint32_t i = 0; i < writers; i++) {
        CHECK(pthread_join(workers[i].id, NULL) == 0);
        cancelled += workers[i].cancelled;
    }
    atomic_store(&stress.writers_done, true);
    CHECK(pthread_join(reader, NULL) == 0);
    CHECK(stress.came == atomic_load(&stress.owed));
    CHECK(stress.came > 0 && cancelled > 0 && stress.by_reference > 0 && stress.carried_bytes > 0);
    CHECK_RC(commitlog_timer_at(stress.store, 0, &info), COMMITLOG_ENOTFOUND);
    CHECK_OK(commitlog_close(stress.store, &err), &err);
    uint64_t kept = stress.came < LATE_MAX ? stress.came : LATE_MAX;
    qsort(stress.late_ns, kept, sizeof *stress.late_ns, by_value);
    printf("%s: %llu came, %llu of them by reference, %llu cancelled, %llu bytes carried; late: "
           "p50 %.3f ms, p99 %.3f ms, most %.3f ms\n",
           engine == COMMITLOG_ENGINE_MMAP ? "mmap" : "staged", (unsigned long long)stress.came,
           (unsigned long long)stress.by_reference, (unsigned long long)cancelled,
           (unsigned long long)stress.carried_bytes, (double)stress.late_ns[kept / 2] / MS,
           (double)stress.late_ns[kept - 1 - kept / 100] / MS,
           (double)stress.late_ns[kept - 1] / MS);
    free(stress.late_ns);
    free(stress.sent);
    dirs_remove(root);
}

int main(void)
{
    uint64_t seed = prog_begin("timers_test");
    uint64_t duration_ms = prog_env("DURATION", 4) * 500;
    uint64_t writers = prog_env("WRITERS", 3);
    prog_watchdog(300);
    writers = writers < 1 ? 1 : writers > WRITERS_MAX ? WRITERS_MAX : writers;
    run(COMMITLOG_ENGINE_STAGED, seed, duration_ms, (uint32_t)writers);
    run(COMMITLOG_ENGINE_MMAP, seed + 1, duration_ms, (uint32_t)writers);
    return prog_end();
}
