/* SPDX-License-Identifier: BSD-2-Clause */
/* writer.c -- the process that writes; see writer.h. */
#define _GNU_SOURCE
#include "writer.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "settle.h"

enum { BEAT_MAIN = 0, BEAT_WORKER = 1, BEAT_UPKEEP = BOOK_THREADS + 1 };
enum { BEHIND_MAX = PLAN_KEEP_BYTES / 8 * 7 };

/* About how many microseconds a worker rests after an act. */
static void rest(struct worker *worker, uint64_t act)
{
    struct rng *rng = &worker->rng;
    uint64_t us = 0;
    switch (worker->writer->plan.pace) {
    case PLAN_TRICKLE:
        /* Pauses that are long enough for the checkpoint of an idle store. */
        us = rng_chance(rng, 1, 40) ? rng_between(rng, 60000, 250000) : rng_below(rng, 4000);
        break;
    case PLAN_STEADY:
        us = rng_below(rng, 1000);
        break;
    case PLAN_BURSTS:
    default:
        us = act % 1024 == 1023 ? rng_between(rng, 50000, 300000) : 0;
        break;
    }
    if (us > 0)
        usleep((useconds_t)us);
}

/* Groups keep what they have not consumed, and the log would grow: first they catch up. */
static bool is_behind(struct writer *writer)
{
    struct commitlog_positions now;
    seat_positions(&writer->seat, &now);
    return now.published - now.first > BEHIND_MAX;
}

static void catch_up(struct worker *worker)
{
    clerk_catch_up(&worker->clerk);
    if (rng_chance(&worker->rng, 1, 4))
        act_retain(worker);
    else
        act_other(worker);
}

static void *worker_main(void *arg)
{
    struct worker *worker = arg;
    struct writer *writer = worker->writer;
    for (uint64_t act = 0; !atomic_load(&writer->stop); act++) {
        if (is_behind(writer))
            catch_up(worker);
        else if (rng_chance(&worker->rng, 1, 4))
            clerk_act(&worker->clerk);
        else if (rng_chance(&worker->rng, 4, 5))
            act_append(worker);
        else
            act_other(worker);
        book_beat(writer->seat.book, 0, BEAT_WORKER + worker->thread);
        rest(worker, act);
    }
    clerk_end(&worker->clerk);
    act_end(worker);
    book_rest(writer->seat.book, 0, BEAT_WORKER + worker->thread);
    return NULL;
}

static void *upkeep_main(void *arg)
{
    struct writer *writer = arg;
    struct rng rng;
    rng_begin(&rng, writer->plan.seed ^ 0x57e9);
    while (!atomic_load(&writer->stop)) {
        uint32_t wait_ms = 0;
        CHECK_RC(
            commitlog_step(writer->seat.store, (uint32_t)rng_between(&rng, 50, 5000), &wait_ms),
            COMMITLOG_OK);
        book_beat(writer->seat.book, 0, BEAT_UPKEEP);
        sleep_ms(wait_ms < 20 ? wait_ms : 20);
    }
    book_rest(writer->seat.book, 0, BEAT_UPKEEP);
    return NULL;
}

static void store_open(struct writer *writer, const struct plan *plan)
{
    struct commitlog_options *options = plan_options(plan);
    struct commitlog_error err = {.message = ""};
    struct commitlog_store *store = NULL;
    int32_t rc = commitlog_open(writer->path, options, &store, &err);
    if (rc == COMMITLOG_EUNSUPPORTED && plan->engine == COMMITLOG_ENGINE_MMAP) {
        /* Not on this file system. */
        CHECK_OK(
            commitlog_options_set(options, COMMITLOG_OPT_ENGINE, COMMITLOG_ENGINE_STAGED, &err),
            &err);
        rc = commitlog_open(writer->path, options, &store, &err);
    }
    CHECKF(rc == COMMITLOG_OK, "%s: %s", commitlog_error_name(rc), err.message);
    commitlog_options_free(options);
    writer->seat.store = store;
}

/* From here on there are appends, and readers can be held against what this writer sees. */
static void life_begin(struct book *book, struct writer *writer)
{
    struct commitlog_positions now;
    seat_positions(&writer->seat, &now);
    atomic_fetch_add(&book->life, 1); /* first: what is begun is of this life */
    for (uint32_t i = 0; i < BOOK_THREADS; i++)
        book_begin(book, i, 0, 0, BOOK_TOPICS);
    atomic_store(&book->private, writer->plan.live == COMMITLOG_LIVE_PRIVATE);
    atomic_store(&book->published, now.published);
    atomic_store(&book->durable, now.durable);
    atomic_store(&book->epoch, now.epoch);
    atomic_store(&book->bare, 0);
    atomic_store(&book->alive, atomic_load(&book->life));
}

/* What outlives the store answers so, and nothing else. */
static void store_close(struct writer *writer)
{
    struct commitlog_store *store = writer->seat.store;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    uint32_t got = 0;
    CHECK_OK(commitlog_failure(store, &err), &err);
    CHECK_OK(commitlog_cursor_open_log(store, 0, &cursor, &err), &err);
    CHECK_OK(commitlog_close(store, &err), &err);
    CHECK_RC(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), COMMITLOG_ECLOSED);
    commitlog_cursor_close(cursor);
}

static void ledger_begin(struct writer *writer)
{
    bool ready = atomic_load(&writer->seat.book->ledger->ready) != 0;
    desk_open(&writer->desk, &writer->seat, writer->plan.live == COMMITLOG_LIVE_PRIVATE);
    if (ready)
        ledger_settle(&writer->desk);
}

_Noreturn void writer_run(struct book *book, const char *path, const struct plan *plan)
{
    static struct writer writer;
    static struct worker workers[BOOK_THREADS];
    pthread_t ids[BOOK_THREADS], upkeep;
    struct rng rng;
    bool was_clean = atomic_exchange(&book->clean, 0) != 0;
    rng_begin(&rng, plan->seed ^ 0x3417e5);
    book_beat(book, 0, BEAT_MAIN);
    seat_begin(&writer.seat, book, NULL);
    writer.plan = *plan;
    writer.path = path;
    writer.seat.durable_only = plan->visibility == COMMITLOG_VISIBLE_DURABLE;
    store_open(&writer, plan);
    book_count(book, BOOK_OPENS, 1);
    check_store(&writer.seat, was_clean, &rng);
    ledger_begin(&writer);
    life_begin(book, &writer);
    for (uint32_t i = 0; i < BOOK_THREADS; i++) {
        workers[i] = (struct worker){.writer = &writer, .thread = i, .serial = 1};
        rng_begin(&workers[i].rng, plan->seed * 31 + i);
        clerk_begin(&workers[i].clerk, &writer.desk, i, &workers[i].rng);
        CHECK(pthread_create(&ids[i], NULL, worker_main, &workers[i]) == 0);
    }
    if (plan->thread == 0)
        CHECK(pthread_create(&upkeep, NULL, upkeep_main, &writer) == 0);
    while (atomic_load(&book->ask_close) == 0) {
        act_positions(&writer.seat);
        book_beat(book, 0, BEAT_MAIN);
        usleep((useconds_t)rng_between(&rng, 500, 20000));
    }
    atomic_store(&writer.stop, true);
    for (uint32_t i = 0; i < BOOK_THREADS; i++)
        CHECK(pthread_join(ids[i], NULL) == 0);
    if (plan->thread == 0)
        CHECK(pthread_join(upkeep, NULL) == 0);
    act_positions(&writer.seat);
    store_close(&writer);
    atomic_store(&book->clean, 1);
    _exit(0);
}
