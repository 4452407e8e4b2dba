/* SPDX-License-Identifier: BSD-2-Clause */
/* acts.c -- what a writer does beside appending, at random; see writer.h. */
#define _GNU_SOURCE
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "writer.h"

typedef unsigned long long ull;

void act_positions(struct seat *seat)
{
    struct book *book = seat->book;
    struct commitlog_positions now;
    seat_positions(seat, &now);
    book_raise(&book->published, now.published);
    book_raise(&book->durable, now.durable);
    book_raise(&book->first, now.first);
}

static void act_sync(struct worker *worker)
{
    struct seat *seat = &worker->writer->seat;
    struct commitlog_positions before, after;
    struct commitlog_error err = {.message = ""};
    uint64_t position = 0;
    int32_t timeout = rng_chance(&worker->rng, 1, 2) ? 2000 : (int32_t)rng_below(&worker->rng, 20);
    int32_t rc = 0;
    seat_positions(seat, &before);
    position = rng_chance(&worker->rng, 1, 2) ? before.published : UINT64_MAX;
    rc = rng_chance(&worker->rng, 3, 4)
             ? commitlog_sync(seat->store, position, timeout, &err)
             : commitlog_wait_durable(seat->store, before.published, timeout);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ETIMEDOUT || rc == COMMITLOG_EINTERRUPTED,
           "sync: %s: %s", commitlog_error_name(rc), err.message);
    seat_positions(seat, &after);
    if (rc == COMMITLOG_OK)
        CHECKF(after.durable >= before.published, "synced to %llu, durable is %llu",
               (ull)before.published, (ull)after.durable);
    CHECK_RC(commitlog_sync(seat->store, after.claimed + (UINT64_C(1) << 40), 0, NULL),
             COMMITLOG_EBEYOND);
}

static void act_checkpoint(struct worker *worker)
{
    struct seat *seat = &worker->writer->seat;
    struct commitlog_positions before, after;
    struct commitlog_error err = {.message = ""};
    int32_t rc = 0;
    seat_positions(seat, &before);
    rc = commitlog_checkpoint(seat->store, &err);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EINTERRUPTED, "checkpoint: %s: %s",
           commitlog_error_name(rc), err.message);
    if (rc != COMMITLOG_OK)
        return;
    seat_positions(seat, &after);
    CHECKF(after.durable >= before.published && after.checkpointed >= before.published,
           "a checkpoint of %llu: durable %llu, checkpointed %llu", (ull)before.published,
           (ull)after.durable, (ull)after.checkpointed);
}

void act_retain(struct worker *worker)
{
    struct seat *seat = &worker->writer->seat;
    struct rng *rng = &worker->rng;
    struct commitlog_retention policy = {.struct_bytes = sizeof policy,
                                         .keep_bytes = PLAN_KEEP_BYTES};
    struct commitlog_retained done = {.struct_bytes = sizeof done};
    struct commitlog_positions now;
    struct commitlog_error err = {.message = ""};
    int32_t rc = 0;
    if (rng_chance(rng, 1, 4))
        policy.keep_bytes = rng_between(rng, 1, PLAN_KEEP_BYTES);
    if (rng_chance(rng, 1, 8))
        policy.keep_age_ms = rng_between(rng, 100, 5000);
    if (rng_chance(rng, 1, 40))
        policy.free_bytes = UINT64_C(1) << 60; /* all but the active segment */
    rc = commitlog_retain(seat->store, &policy, &done, &err);
    /* Refused when it is not worth it, or while a reservation holds what is to be carried. */
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY || rc == COMMITLOG_EINTERRUPTED,
           "retain: %s: %s", commitlog_error_name(rc), err.message);
    seat_positions(seat, &now);
    CHECK(now.first >= done.first);
    book_raise(&seat->book->first, now.first);
    book_count(seat->book, BOOK_RETAINED, done.segments_dropped);
}

static void act_look(struct worker *worker)
{
    struct seat *seat = &worker->writer->seat;
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_event event = {.struct_bytes = sizeof event};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    struct commitlog_error err = {.message = ""};
    const char *name = NULL;
    uint64_t value = 0;
    uint32_t topic = (uint32_t)rng_below(&worker->rng, BOOK_TOPICS);
    uint32_t queue = (uint32_t)rng_below(&worker->rng, book_queues(topic));
    uint32_t number = seat_number(seat, topic);
    for (uint32_t i = 0; commitlog_stat(seat->store, i, &name, &value) == COMMITLOG_OK; i++)
        if (strcmp(name, "damage_found") == 0 || strcmp(name, "fold_contradictions") == 0)
            CHECKF(value == 0, "%s %llu", name, (ull)value);
    while (commitlog_event_next(seat->store, &event) == COMMITLOG_OK)
        CHECKF(event.severity != COMMITLOG_EVENT_ERROR, "event: %s", event.detail.message);
    CHECK_RC(commitlog_damage_get(seat->store, 0, &damage), COMMITLOG_ENOTFOUND);
    CHECK_OK(commitlog_failure(seat->store, &err), &err);
    if (number == UINT32_MAX)
        return;
    CHECK_RC(commitlog_queue_info(seat->store, number, queue, &info), COMMITLOG_OK);
    CHECK(info.first_offset <= info.next_offset && info.first_time_ns <= info.last_time_ns);
}

/* A few messages from anywhere, through a cursor that is thrown away. */
static void act_read(struct worker *worker)
{
    struct seat *seat = &worker->writer->seat;
    struct rng *rng = &worker->rng;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[32];
    struct commitlog_error err = {.message = ""};
    uint32_t topic = (uint32_t)rng_below(rng, BOOK_WIDE), got = 0;
    uint32_t number = seat_number(seat, topic);
    uint32_t from = rng_chance(rng, 1, 2) ? COMMITLOG_FROM_FIRST : COMMITLOG_FROM_TIME;
    int32_t rc = 0;
    if (number == UINT32_MAX)
        return;
    CHECK_OK(commitlog_cursor_open(
                 seat->store, number, COMMITLOG_QUEUE_ALL, from,
                 (uint64_t)(clock_wall_ns() - (int64_t)rng_below(rng, 2000000000)), &cursor, &err),
             &err);
    rc = commitlog_cursor_fetch(cursor, messages, 32, (int32_t)rng_below(rng, 20), &got, NULL);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EEND || rc == COMMITLOG_ETOOSMALL ||
               rc == COMMITLOG_EINTERRUPTED,
           "read: %s", commitlog_error_name(rc));
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < got; i++) {
        struct item_head head;
        item_check(seat->book, &messages[i], topic, &head);
    }
    if (rc == COMMITLOG_OK && worker->lease == NULL && rng_chance(rng, 1, 2)) {
        CHECK_RC(commitlog_cursor_lease(cursor, &worker->lease), COMMITLOG_OK);
        worker->leased = messages[0];
        worker->leased_hash = bytes_hash(messages[0].body.data, messages[0].body.bytes);
    }
    commitlog_cursor_close(cursor);
}

/* What a lease holds stays as it was, whatever retention does. */
static void act_lease(struct worker *worker)
{
    const struct commitlog_slice *body = &worker->leased.body;
    int32_t rc = 0;
    if (worker->lease == NULL)
        return;
    rc = commitlog_lease_check(worker->lease);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EREVOKED, "lease: %s", commitlog_error_name(rc));
    CHECKF(bytes_hash(body->data, body->bytes) == worker->leased_hash,
           "what was leased of %llu has changed", (ull)worker->leased.position);
    commitlog_lease_release(worker->lease);
    worker->lease = NULL;
}

/* Nobody else gets in; and a live store is sound to whoever looks. */
static void act_intrude(struct worker *worker)
{
    struct writer *writer = worker->writer;
    struct commitlog_store *second = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_open(writer->path, NULL, &second, NULL), COMMITLOG_ELOCKED);
    CHECK_RC(commitlog_recover(writer->path, NULL, 0, &report, NULL), COMMITLOG_ELOCKED);
    commitlog_report_free(report);
    report = NULL;
    if (rng_chance(&worker->rng, 1, 4)) {
        int32_t rc = commitlog_verify(writer->path, NULL, &report, &err);
        CHECKF(rc == COMMITLOG_OK, "verify beside the writer: %s: %s", commitlog_error_name(rc),
               err.message);
        commitlog_report_free(report);
    }
}

static void act_wait(struct worker *worker)
{
    struct seat *seat = &worker->writer->seat;
    struct commitlog_positions now;
    struct pollfd event = {.fd = -1, .events = POLLIN};
    int32_t rc = 0;
    seat_positions(seat, &now);
    rc = commitlog_wait(seat->store, now.visible, (int32_t)rng_below(&worker->rng, 30));
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ETIMEDOUT || rc == COMMITLOG_EINTERRUPTED,
           "wait: %s", commitlog_error_name(rc));
    CHECK_RC(commitlog_event_fd(seat->store, &event.fd), COMMITLOG_OK);
    if (poll(&event, 1, (int)rng_below(&worker->rng, 10)) == 1) {
        uint64_t drained = 0;
        /* Another thread may have been faster. */
        if (read(event.fd, &drained, sizeof drained) < 0)
            return;
    }
    if (rng_chance(&worker->rng, 1, 20))
        CHECK_RC(commitlog_interrupt(seat->store), COMMITLOG_OK);
}

void act_other(struct worker *worker)
{
    uint64_t draw = rng_below(&worker->rng, 1000);
    if (draw < 500)
        seat_probe(&worker->writer->seat, &worker->rng);
    else if (draw < 600)
        act_read(worker);
    else if (draw < 700)
        act_lease(worker);
    else if (draw < 780)
        act_look(worker);
    else if (draw < 850)
        act_positions(&worker->writer->seat);
    else if (draw < 890)
        act_wait(worker);
    else if (draw < 940)
        act_sync(worker);
    else if (draw < 985)
        act_retain(worker);
    else if (draw < 995)
        act_checkpoint(worker);
    else
        act_intrude(worker);
}

void act_end(struct worker *worker)
{
    act_lease(worker);
}
