/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cut_writer.c -- the program that is running when the power goes.
 *
 *     cut_writer STORE ACKS ENGINE SEED LEVEL
 *
 * Several threads append to several topics and queues, alone, in batches and in reservations, at
 * mixed levels; segments are small, so rolls, seals, checkpoints and retention happen all the time.
 * What was acknowledged goes to ACKS, on another disk. LEVEL is `durable`, or `written` for the
 * control: then it waits for less than it claims, which the checker must find out.
 *
 * It ends when the store fails, which it does when the disk does, and then holds the store to what
 * is said about a failed flush: nothing succeeds any more, the durable position stands still, what
 * lies above is not served, what lies below is as long as the file system works. Exit status: 0 all
 * as promised, 1 a promise is broken (stderr says which), 4 the store could not be opened.
 *
 * Owns: the store. Threads: `failed` is set by whoever fails first; each thread has its own rng.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "session.h"

enum { REFUSALS_MAX = 100 };
enum { WRITER_THREADS = 4, BATCH_MAX = 8, BODY_SMALL = 600, BODY_LARGE = 24000 };

struct writer {
    struct commitlog_store *store;
    uint32_t numbers[KILL_TOPICS];
    uint32_t durable; /* the level that is waited for where durable is claimed */
    int acks_fd;
    int tried_fd;
    _Atomic uint64_t acked; /* the highest end that was acknowledged as durable */
    _Atomic bool failed;
};

struct writer_thread {
    struct writer *writer;
    struct rng rng;
    uint64_t tag; /* in the high bits of batch numbers */
    uint64_t batches;
};

/* False: nothing was stored and nothing failed for good, there is only no next segment. */
static bool writer_fails(struct writer *writer, int32_t rc)
{
    if (rc == COMMITLOG_EIO || rc == COMMITLOG_EACCESS)
        return false;
    CHECKF(rc == COMMITLOG_EFAILED || rc == COMMITLOG_EUNKNOWN, "an append answers %s",
           commitlog_error_name(rc));
    atomic_store(&writer->failed, true);
    return true;
}

/* The level that is claimed, and what is asked of the library for it. */
static uint32_t level_draw(struct rng *rng)
{
    uint64_t draw = rng_below(rng, 20);
    return draw < 11   ? COMMITLOG_LEVEL_DURABLE
           : draw < 13 ? COMMITLOG_LEVEL_WRITTEN
                       : COMMITLOG_LEVEL_NONE;
}

static uint32_t level_asked(const struct writer *writer, uint32_t claimed)
{
    return claimed == COMMITLOG_LEVEL_DURABLE ? writer->durable : claimed;
}

static void acked_note(struct writer *writer, uint64_t end)
{
    uint64_t before = atomic_load(&writer->acked);
    while (before < end && !atomic_compare_exchange_weak(&writer->acked, &before, end)) {
    }
}

static struct ack ack_made(struct writer *writer, uint32_t topic, uint32_t queue, uint32_t claimed,
                           const uint8_t *body, size_t bytes,
                           const struct commitlog_receipt *receipt)
{
    CHECK(receipt->level >= level_asked(writer, claimed));
    if (claimed == COMMITLOG_LEVEL_DURABLE || receipt->level == COMMITLOG_LEVEL_DURABLE)
        acked_note(writer, receipt->end_position);
    return (struct ack){receipt->position,
                        receipt->queue_offset,
                        bytes_hash(body, bytes),
                        bytes,
                        receipt->store_time_ns,
                        topic,
                        queue,
                        claimed > receipt->level ? claimed : receipt->level,
                        receipt->epoch};
}

static size_t body_limit(struct rng *rng)
{
    return rng_chance(rng, 1, 40) ? BODY_LARGE : BODY_SMALL;
}

static int32_t append_one(struct writer_thread *thread)
{
    struct writer *writer = thread->writer;
    uint32_t topic = (uint32_t)rng_below(&thread->rng, KILL_TOPICS);
    uint32_t queue = (uint32_t)rng_below(&thread->rng, KILL_QUEUES);
    uint32_t claimed = level_draw(&thread->rng);
    struct commitlog_receipt receipt = {0};
    uint8_t *body = NULL;
    size_t bytes = session_body(&thread->rng, body_limit(&thread->rng), 0, 0, 0, &body);
    int32_t rc = COMMITLOG_OK;
    tried_write(writer->tried_fd, body, bytes);
    rc = commitlog_append(writer->store, writer->numbers[topic], queue, body, bytes,
                          level_asked(writer, claimed), &receipt);
    /* Now and then durable by another's work: through sync, or by waiting for it. */
    if (rc == COMMITLOG_OK && claimed == COMMITLOG_LEVEL_NONE &&
        writer->durable == COMMITLOG_LEVEL_DURABLE && rng_chance(&thread->rng, 1, 8)) {
        rc = commitlog_sync(writer->store, receipt.end_position, COMMITLOG_FOREVER, NULL);
        receipt.level = COMMITLOG_LEVEL_DURABLE;
    }
    if (rc == COMMITLOG_OK) {
        struct ack ack = ack_made(writer, topic, queue, claimed, body, bytes, &receipt);
        acks_write(writer->acks_fd, &ack, 1);
    }
    free(body);
    return rc;
}

static int32_t append_batch(struct writer_thread *thread)
{
    struct writer *writer = thread->writer;
    uint32_t count = (uint32_t)rng_between(&thread->rng, 1, BATCH_MAX);
    uint32_t claimed = level_draw(&thread->rng);
    uint64_t batch = thread->tag | ++thread->batches;
    uint8_t *bodies[BATCH_MAX];
    uint32_t topics[BATCH_MAX];
    struct commitlog_slice slices[BATCH_MAX];
    struct commitlog_record records[BATCH_MAX];
    struct commitlog_receipt receipts[BATCH_MAX];
    struct ack acks[BATCH_MAX];
    int32_t rc = COMMITLOG_OK;
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = session_body(&thread->rng, BODY_SMALL, batch, count, i, &bodies[i]);
        slices[i] = (struct commitlog_slice){bodies[i], bytes};
        tried_write(writer->tried_fd, bodies[i], bytes);
        topics[i] = (uint32_t)rng_below(&thread->rng, KILL_TOPICS);
        records[i].struct_bytes = sizeof records[i];
        records[i].topic = writer->numbers[topics[i]];
        records[i].queue = (uint32_t)rng_below(&thread->rng, KILL_QUEUES);
        records[i].level = level_asked(writer, claimed);
        records[i].body = &slices[i];
        records[i].body_count = 1;
    }
    rc = commitlog_append_batch(writer->store, records, count, COMMITLOG_FOREVER, receipts, NULL);
    for (uint32_t i = 0; i < count; i++) {
        if (rc == COMMITLOG_OK)
            acks[i] = ack_made(writer, topics[i], records[i].queue, claimed, bodies[i],
                               slices[i].bytes, &receipts[i]);
        free(bodies[i]);
    }
    if (rc == COMMITLOG_OK)
        acks_write(writer->acks_fd, acks, count);
    return rc;
}

static int32_t append_reserved(struct writer_thread *thread)
{
    struct writer *writer = thread->writer;
    uint32_t topic = (uint32_t)rng_below(&thread->rng, KILL_TOPICS);
    uint32_t claimed = level_draw(&thread->rng);
    struct commitlog_record record = {.struct_bytes = sizeof record};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt = {0};
    void *place = NULL;
    uint8_t *body = NULL;
    size_t bytes = session_body(&thread->rng, body_limit(&thread->rng), 0, 0, 0, &body);
    int32_t rc = COMMITLOG_OK;
    record.topic = writer->numbers[topic];
    record.queue = (uint32_t)rng_below(&thread->rng, KILL_QUEUES);
    record.level = level_asked(writer, claimed);
    rc = commitlog_reserve(writer->store, &record, bytes, COMMITLOG_FOREVER, &reservation, &place,
                           NULL);
    if (rc == COMMITLOG_OK && rng_chance(&thread->rng, 1, 4)) {
        (void)commitlog_abort(reservation);
    } else if (rc == COMMITLOG_OK) {
        tried_write(writer->tried_fd, body, bytes);
        memcpy(place, body, bytes);
        rc = commitlog_commit(reservation, COMMITLOG_FOREVER, &receipt, NULL);
        if (rc == COMMITLOG_OK) {
            struct ack ack = ack_made(writer, topic, record.queue, claimed, body, bytes, &receipt);
            acks_write(writer->acks_fd, &ack, 1);
        }
    }
    free(body);
    return rc;
}

static void *writer_main(void *arg)
{
    struct writer_thread *thread = arg;
    struct writer *writer = thread->writer;
    uint32_t refused = 0;
    while (!atomic_load(&writer->failed) && refused < REFUSALS_MAX) {
        uint64_t draw = rng_below(&thread->rng, 100);
        uint32_t wait_ms = 0;
        int32_t rc = COMMITLOG_OK;
        if (draw < 75)
            rc = append_one(thread);
        else if (draw < 88)
            rc = append_batch(thread);
        else if (draw < 96)
            rc = append_reserved(thread);
        else if (draw < 98)
            rc = commitlog_step(writer->store, 300, &wait_ms) == COMMITLOG_EFAILED
                     ? COMMITLOG_EFAILED
                     : COMMITLOG_OK;
        else if (draw == 98 && rng_chance(&thread->rng, 1, 4))
            (void)commitlog_checkpoint(writer->store, NULL);
        else if (draw == 99 && rng_chance(&thread->rng, 1, 8))
            sleep_ms(120); /* long enough for a pause that upkeep notices */
        if (rc != COMMITLOG_OK && !writer_fails(writer, rc)) {
            refused++;
            sleep_ms(5);
        }
    }
    return NULL;
}

/* The file system still does what it is told; if not, even reading may end in SIGBUS. */
static bool disk_works(const char *store_path)
{
    char path[512];
    int fd = -1;
    bool works = false;
    CHECK(snprintf(path, sizeof path, "%s.works", store_path) < (int)sizeof path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    works = fd >= 0 && write(fd, "?", 1) == 1 && fsync(fd) == 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return unlink(path) == 0 && works;
}

/* What is durable is served to its end, and not a record more. Retention may still take segments
 * whose end CHECKPOINT had already recorded. */
static void check_served(struct writer *writer, uint64_t durable)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    struct commitlog_error err = {.message = ""};
    struct commitlog_message message = {0};
    uint64_t from = 0, next = 0;
    uint32_t got = 0;
    int32_t rc = COMMITLOG_ETOOSMALL;
    while (rc == COMMITLOG_ETOOSMALL) {
        struct commitlog_cursor *cursor = NULL;
        CHECK_RC(commitlog_positions_get(writer->store, &positions), COMMITLOG_OK);
        CHECKF(from == 0 || positions.first > next, "nothing at %llu", (unsigned long long)next);
        from = next = positions.first;
        CHECK_OK(commitlog_cursor_open_log(writer->store, from, &cursor, &err), &err);
        while ((rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL)) == COMMITLOG_OK)
            next = message.next_position;
        commitlog_cursor_close(cursor);
    }
    CHECKF(rc == COMMITLOG_EFAILED || rc == COMMITLOG_EEND, "at %llu, durable to %llu: %s",
           (unsigned long long)next, (unsigned long long)durable, commitlog_error_name(rc));
    /* A pad is no record that is served. */
    CHECKF(next <= durable && durable - next < SESSION_SEGMENT_MIN, "served to %llu of %llu",
           (unsigned long long)next, (unsigned long long)durable);
    printf("served %llu of %llu\n", (unsigned long long)(next - from),
           (unsigned long long)(durable - from));
}

/* After the first failure: nothing is acknowledged, nothing unproven is served. */
static void check_latched(struct writer *writer, const char *store_path)
{
    struct commitlog_positions before = {.struct_bytes = sizeof before};
    struct commitlog_positions after = {.struct_bytes = sizeof after};
    struct commitlog_error err = {.message = ""};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t got = 0;
    CHECK(commitlog_failure(writer->store, &err) != COMMITLOG_OK);
    printf("failed at %llu, errno %d: %s\n", (unsigned long long)err.position, err.os_errno,
           err.message);
    CHECK_RC(commitlog_positions_get(writer->store, &before), COMMITLOG_OK);
    for (uint32_t level = COMMITLOG_LEVEL_NONE; level <= COMMITLOG_LEVEL_DURABLE; level++)
        CHECK_RC(commitlog_append(writer->store, writer->numbers[0], 0, "late", 4, level, NULL),
                 COMMITLOG_EFAILED);
    if (before.published > before.durable) {
        CHECK(commitlog_sync(writer->store, UINT64_MAX, 1000, NULL) != COMMITLOG_OK);
        CHECK(commitlog_wait_durable(writer->store, before.published, 0) != COMMITLOG_OK);
        CHECK_OK(commitlog_cursor_open_log(writer->store, before.durable, &cursor, &err), &err);
        CHECK(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL) != COMMITLOG_OK);
        commitlog_cursor_close(cursor);
    }
    CHECK_RC(commitlog_positions_get(writer->store, &after), COMMITLOG_OK);
    CHECKF(after.durable == before.durable, "durable moved from %llu to %llu after the failure",
           (unsigned long long)before.durable, (unsigned long long)after.durable);
    CHECKF(atomic_load(&writer->acked) <= after.durable,
           "false ack: up to %llu, durable is only what lies before %llu",
           (unsigned long long)atomic_load(&writer->acked), (unsigned long long)after.durable);
    if (disk_works(store_path))
        check_served(writer, after.durable);
}

int main(int argc, char **argv)
{
    struct writer writer = {.durable = COMMITLOG_LEVEL_DURABLE};
    struct writer_thread threads[WRITER_THREADS];
    pthread_t ids[WRITER_THREADS];
    struct commitlog_options *options = NULL;
    uint64_t seed = 0;
    int32_t rc = COMMITLOG_OK;
    CHECKF(argc == 6, "usage: %s STORE ACKS ENGINE SEED durable|written", argv[0]);
    seed = strtoull(argv[4], NULL, 0);
    prog_seed_set(seed);
    if (strcmp(argv[5], "written") == 0)
        writer.durable = COMMITLOG_LEVEL_WRITTEN;
    options = session_options(argv[3], seed);
    /* The disk may die while this reads what is durable, and a map of it with it. */
    CHECK_RC(commitlog_options_set(options, COMMITLOG_OPT_BORROW, 0, NULL), COMMITLOG_OK);
    rc = session_open(argv[1], argv[2], options, &writer.store);
    commitlog_options_free(options);
    if (rc != COMMITLOG_OK)
        return 4;
    writer.acks_fd = acks_open(argv[2], "");
    writer.tried_fd = acks_open(argv[2], ".tried");
    if (session_topics(writer.store, true, writer.numbers) > 0)
        atomic_store(&writer.failed, true);
    for (uint32_t i = 0; i < WRITER_THREADS; i++) {
        threads[i] = (struct writer_thread){.writer = &writer, .tag = (seed << 2 | i) << 32};
        rng_begin(&threads[i].rng, seed * 31 + i);
        CHECK(pthread_create(&ids[i], NULL, writer_main, &threads[i]) == 0);
    }
    for (uint32_t i = 0; i < WRITER_THREADS; i++)
        CHECK(pthread_join(ids[i], NULL) == 0);
    if (commitlog_failure(writer.store, NULL) == COMMITLOG_OK) {
        puts("refused: no next segment"); /* nothing failed for good, and nothing goes on */
        return 0;
    }
    check_latched(&writer, argv[1]);
    /* Half of them die as they are; the others close, which must not hide the failure. */
    if (seed % 2 == 0)
        CHECK(commitlog_close(writer.store, NULL) != COMMITLOG_OK);
    return 0;
}
