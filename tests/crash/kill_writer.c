/* SPDX-License-Identifier: BSD-2-Clause */
/* kill_writer.c -- the process that is killed; see kill_writer.h. */
#define _GNU_SOURCE
#include "kill_writer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "evidence.h"

struct writer {
    struct commitlog_store *store;
    const struct kill_variant *variant;
    uint32_t numbers[KILL_TOPICS];
    int report_fd;
};

struct writer_thread {
    struct writer *writer;
    struct rng rng;
    uint64_t tag; /* in the high bits of batch numbers */
    uint64_t batches;
};

struct body {
    uint8_t *data;
    size_t bytes;
};

struct commitlog_options *kill_options(const struct kill_variant *variant)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, variant->engine, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, variant->segment, &err),
             &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, variant->stage, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_FLUSH, variant->flush, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, variant->live, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_THREAD, variant->thread, &err), &err);
    return options;
}

static struct body body_make(struct writer_thread *thread, uint64_t batch, uint32_t count,
                             uint32_t index)
{
    struct body_head head = {KILL_MAGIC, rng_next(&thread->rng), 0, batch, count, index};
    struct body body = {NULL, 0};
    uint64_t limit = thread->writer->variant->body_max;
    /* Empty bodies only outside of batches: they cannot say which batch they are of. */
    if (batch == 0 && rng_chance(&thread->rng, 1, 12))
        return body;
    if (rng_chance(&thread->rng, 7, 8) || batch != 0)
        limit = limit < 400 ? limit : 400;
    body.bytes = sizeof head + (size_t)rng_below(&thread->rng, limit + 1);
    body.data = need_alloc(body.bytes);
    head.bytes = body.bytes;
    memcpy(body.data, &head, sizeof head);
    bytes_fill(body.data + sizeof head, body.bytes - sizeof head, head.seed);
    return body;
}

static void report(const struct writer_thread *thread, uint32_t topic, uint32_t queue,
                   const struct body *body, const struct commitlog_receipt *receipt)
{
    struct ack ack = {receipt->position,
                      receipt->queue_offset,
                      bytes_hash(body->data, body->bytes),
                      body->bytes,
                      receipt->store_time_ns,
                      topic,
                      queue,
                      receipt->level,
                      receipt->epoch};
    if (write(thread->writer->report_fd, &ack, sizeof ack) != (ssize_t)sizeof ack)
        _exit(3);
}

static uint32_t level_draw(struct rng *rng)
{
    uint64_t draw = rng_below(rng, 40);
    return draw == 0  ? COMMITLOG_LEVEL_DURABLE
           : draw < 6 ? COMMITLOG_LEVEL_WRITTEN
                      : COMMITLOG_LEVEL_NONE;
}

static void append_one(struct writer_thread *thread)
{
    uint32_t topic = (uint32_t)rng_below(&thread->rng, KILL_TOPICS);
    uint32_t queue = (uint32_t)rng_below(&thread->rng, KILL_QUEUES);
    struct body body = body_make(thread, 0, 0, 0);
    struct commitlog_receipt receipt = {0};
    CHECK_RC(commitlog_append(thread->writer->store, thread->writer->numbers[topic], queue,
                              body.data, body.bytes, level_draw(&thread->rng), &receipt),
             COMMITLOG_OK);
    report(thread, topic, queue, &body, &receipt);
    free(body.data);
}

enum { KILL_BATCH_MAX = 8 };

static void append_batch(struct writer_thread *thread)
{
    uint32_t count = (uint32_t)rng_between(&thread->rng, 1, KILL_BATCH_MAX);
    uint64_t batch = thread->tag << 32 | ++thread->batches;
    struct body bodies[KILL_BATCH_MAX];
    struct commitlog_slice slices[KILL_BATCH_MAX];
    struct commitlog_record records[KILL_BATCH_MAX];
    struct commitlog_receipt receipts[KILL_BATCH_MAX];
    uint32_t topics[KILL_BATCH_MAX];
    struct commitlog_error err = {.message = ""};
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < count; i++) {
        bodies[i] = body_make(thread, batch, count, i);
        slices[i] = (struct commitlog_slice){bodies[i].data, bodies[i].bytes};
        topics[i] = (uint32_t)rng_below(&thread->rng, KILL_TOPICS);
        records[i].struct_bytes = sizeof records[i];
        records[i].topic = thread->writer->numbers[topics[i]];
        records[i].queue = (uint32_t)rng_below(&thread->rng, KILL_QUEUES);
        records[i].level = level_draw(&thread->rng);
        records[i].body = &slices[i];
        records[i].body_count = 1;
    }
    CHECK_OK(commitlog_append_batch(thread->writer->store, records, count, COMMITLOG_FOREVER,
                                    receipts, &err),
             &err);
    for (uint32_t i = 0; i < count; i++) {
        report(thread, topics[i], records[i].queue, &bodies[i], &receipts[i]);
        free(bodies[i].data);
    }
}

static void append_reserved(struct writer_thread *thread)
{
    uint32_t topic = (uint32_t)rng_below(&thread->rng, KILL_TOPICS);
    struct body body = body_make(thread, 0, 0, 0);
    struct commitlog_record record = {.struct_bytes = sizeof record};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    void *place = NULL;
    record.topic = thread->writer->numbers[topic];
    record.queue = (uint32_t)rng_below(&thread->rng, KILL_QUEUES);
    record.level = COMMITLOG_LEVEL_NONE;
    CHECK_OK(commitlog_reserve(thread->writer->store, &record, body.bytes, COMMITLOG_FOREVER,
                               &reservation, &place, &err),
             &err);
    if (body.bytes > 0)
        memcpy(place, body.data, body.bytes / 2);
    if (rng_chance(&thread->rng, 1, 4))
        usleep((useconds_t)rng_below(&thread->rng, 300));
    if (rng_chance(&thread->rng, 1, 4)) {
        CHECK_RC(commitlog_abort(reservation), COMMITLOG_OK);
    } else {
        if (body.bytes > 0)
            memcpy(place, body.data, body.bytes);
        CHECK_OK(commitlog_commit(reservation, COMMITLOG_FOREVER, &receipt, &err), &err);
        report(thread, topic, record.queue, &body, &receipt);
    }
    free(body.data);
}

static void *writer_main(void *arg)
{
    struct writer_thread *thread = arg;
    struct commitlog_store *store = thread->writer->store;
    struct commitlog_error err = {.message = ""};
    for (;;) {
        uint64_t draw = rng_below(&thread->rng, 100);
        uint32_t wait_ms = 0;
        if (draw < 70)
            append_one(thread);
        else if (draw < 84)
            append_batch(thread);
        else if (draw < 96)
            append_reserved(thread);
        else if (draw < 98 && thread->writer->variant->thread == 0)
            CHECK_RC(commitlog_step(store, 200, &wait_ms), COMMITLOG_OK);
        else if (draw == 99 && rng_chance(&thread->rng, 1, 20))
            CHECK_OK(commitlog_checkpoint(store, &err), &err);
    }
    return NULL;
}

_Noreturn void kill_writer_run(const char *path, const struct kill_variant *variant, uint64_t seed,
                               int report_fd)
{
    struct writer writer = {.variant = variant, .report_fd = report_fd};
    struct writer_thread threads[KILL_THREADS];
    struct commitlog_options *options = kill_options(variant);
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_open(path, options, &writer.store, &err), &err);
    commitlog_options_free(options);
    for (uint32_t t = 0; t < KILL_TOPICS; t++) {
        char name[32];
        size_t size = kill_topic_name(t, name);
        CHECK_OK(
            commitlog_topic_open(writer.store, name, size, KILL_QUEUES, &writer.numbers[t], &err),
            &err);
    }
    for (uint32_t i = 0; i < KILL_THREADS; i++) {
        pthread_t id;
        threads[i] = (struct writer_thread){.writer = &writer, .tag = seed << 4 | i};
        rng_begin(&threads[i].rng, seed * 31 + i);
        CHECK(pthread_create(&id, NULL, writer_main, &threads[i]) == 0);
    }
    for (;;)
        pause();
}
