/* SPDX-License-Identifier: BSD-2-Clause */
/* follower.c -- a process that reads beside the writers; see follower.h. */
#define _GNU_SOURCE
#include "follower.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tail.h"
#include "witness.h"

typedef unsigned long long ull;

enum { TAILS = BOOK_QUEUES + 2, LEASES = 6, WRITER_SEEN_MS = 20000, WRITER_SEEN_LOOPS = 200 };

struct held {
    struct commitlog_lease *lease;
    struct commitlog_message message;
    uint64_t hash;
};

struct follower {
    struct seat seat;
    const char *path;
    uint32_t index;
    struct rng rng;
    struct tail tails[TAILS];
    struct held held[LEASES];
    struct witness witness;
    uint32_t behind_life; /* the writer it is not at, and since when */
    uint32_t behind_loops;
    int64_t behind_since_ms;
};

static struct commitlog_options *options_draw(struct follower *follower)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    struct rng *rng = &follower->rng;
    follower->seat.durable_only = rng_chance(rng, 1, 4);
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_VISIBILITY,
                                   follower->seat.durable_only ? COMMITLOG_VISIBLE_DURABLE
                                                               : COMMITLOG_VISIBLE_PUBLISHED,
                                   &err),
             &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_BORROW, rng_chance(rng, 2, 3), &err),
             &err);
    CHECK_OK(
        commitlog_options_set(options, COMMITLOG_OPT_VERIFY_READS, rng_chance(rng, 3, 4), &err),
        &err);
    return options;
}

/* Waits for the store to be there, and for its writer to be past its opening. */
static void store_open(struct follower *follower)
{
    struct book *book = follower->seat.book;
    struct commitlog_store *store = NULL;
    bool durable_only = false;
    for (;;) {
        struct commitlog_options *options = options_draw(follower);
        struct commitlog_error err = {.message = ""};
        int32_t rc = commitlog_open(follower->path, options, &store, &err);
        commitlog_options_free(options);
        book_beat(book, 1 + follower->index, 0);
        if (rc == COMMITLOG_OK)
            break;
        CHECKF(rc == COMMITLOG_EBUSY ||
                   (rc == COMMITLOG_ENOTFOUND && atomic_load(&book->life) == 0),
               "%s: %s", commitlog_error_name(rc), err.message);
        usleep((useconds_t)rng_between(&follower->rng, 100, 20000));
    }
    durable_only = follower->seat.durable_only;
    seat_begin(&follower->seat, book, store);
    follower->seat.follower = true;
    follower->seat.durable_only = durable_only;
    book_count(book, BOOK_FOLLOWED, 1);
}

/* The tails: each queue of one wide topic, all of another one, and the log. */
static void tail_place(const struct follower *follower, uint32_t tail, uint32_t *out_topic,
                       uint32_t *out_queue)
{
    *out_topic = tail < BOOK_QUEUES    ? follower->index % BOOK_WIDE
                 : tail == BOOK_QUEUES ? (follower->index + 1) % (BOOK_WIDE + 1)
                                       : (uint32_t)TAIL_LOG;
    *out_queue = tail < BOOK_QUEUES ? tail : (uint32_t)COMMITLOG_QUEUE_ALL;
}

static void lease_end(struct follower *follower, struct held *held)
{
    const struct commitlog_slice *body = &held->message.body;
    int32_t rc = commitlog_lease_check(held->lease);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EREVOKED, "lease: %s", commitlog_error_name(rc));
    CHECKF(bytes_hash(body->data, body->bytes) == held->hash, "what was leased of %llu has changed",
           (ull)held->message.position);
    commitlog_lease_release(held->lease);
    memset(held, 0, sizeof *held);
    (void)follower;
}

/* Keeps what was just read, over whatever the writers and retention do. */
static void lease_turn(struct follower *follower, struct tail *tail)
{
    struct held *held = &follower->held[rng_below(&follower->rng, LEASES)];
    if (held->lease != NULL) {
        lease_end(follower, held);
    } else if (tail->got > 0) {
        held->message = tail->messages[tail->got - 1];
        held->hash = bytes_hash(held->message.body.data, held->message.body.bytes);
        CHECK_RC(commitlog_cursor_lease(tail->cursor, &held->lease), COMMITLOG_OK);
        tail->got = 0;
    }
}

static void writer_is_seen(struct follower *follower)
{
    struct book *book = follower->seat.book;
    struct moment moment = moment_now(&follower->seat);
    if (moment.life == 0 || !moment.shared || moment_holds(&follower->seat, &moment) ||
        moment.life != follower->behind_life) {
        follower->behind_life = moment.life;
        follower->behind_since_ms = clock_ms();
        follower->behind_loops = 0;
        return;
    }
    follower->behind_loops++;
    if (clock_ms() - follower->behind_since_ms > WRITER_SEEN_MS &&
        follower->behind_loops > WRITER_SEEN_LOOPS) {
        struct commitlog_positions now;
        seat_positions(&follower->seat, &now);
        CHECKF(atomic_load(&book->alive) != moment.life,
               "for %d ms not at the writer of life %u, epoch %u, but at epoch %u", WRITER_SEEN_MS,
               moment.life, moment.epoch, now.epoch);
    }
}

/* A reader cannot write, and what only writers do is refused. */
static void misuse(struct follower *follower)
{
    struct commitlog_store *store = follower->seat.store;
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1};
    uint32_t number = 0;
    int32_t fd = -1;
    CHECK_RC(commitlog_append(store, 0, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL), COMMITLOG_EMISUSE);
    CHECK_RC(commitlog_topic_open(store, "never", 5, 1, &number, NULL), COMMITLOG_EMISUSE);
    CHECK_RC(commitlog_retain(store, &policy, NULL, NULL), COMMITLOG_EMISUSE);
    CHECK_RC(commitlog_checkpoint(store, NULL), COMMITLOG_EMISUSE);
    CHECK_RC(commitlog_sync(store, 0, 0, NULL), COMMITLOG_EMISUSE);
    CHECK_RC(commitlog_event_fd(store, &fd), COMMITLOG_EUNSUPPORTED);
}

static void follow_once(struct follower *follower)
{
    struct rng *rng = &follower->rng;
    uint32_t index = (uint32_t)rng_below(rng, TAILS);
    struct tail *tail = &follower->tails[index];
    if (tail->cursor == NULL) {
        uint32_t topic = 0, queue = 0;
        tail_place(follower, index, &topic, &queue);
        if (!tail_begin(tail, &follower->seat, follower->index, topic, queue, rng)) {
            sleep_ms(2); /* no such topic yet */
            return;
        }
    }
    if (tail_step(tail, (int32_t)rng_below(rng, 40)) == COMMITLOG_EUNRECOVERED)
        sleep_ms(2);
    if (rng_chance(rng, 1, 20))
        lease_turn(follower, tail);
    if (rng_chance(rng, 1, 6))
        seat_probe(&follower->seat, rng);
    if (rng_chance(rng, 1, 40))
        witness_look(&follower->witness, &follower->seat, rng);
    if (rng_chance(rng, 1, 400))
        tail_end(tail);
    if (rng_chance(rng, 1, 500))
        misuse(follower);
    writer_is_seen(follower);
}

static void store_close(struct follower *follower)
{
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; i < TAILS; i++)
        tail_end(&follower->tails[i]);
    for (uint32_t i = 0; i < LEASES; i++)
        if (follower->held[i].lease != NULL)
            lease_end(follower, &follower->held[i]);
    CHECK_OK(commitlog_close(follower->seat.store, &err), &err);
}

_Noreturn void follower_run(struct book *book, const char *path, uint32_t index, uint64_t seed)
{
    static struct follower follower;
    follower.seat.book = book;
    follower.path = path;
    follower.index = index;
    rng_begin(&follower.rng, seed);
    for (;;) {
        uint64_t loops = rng_between(&follower.rng, 50, 20000);
        store_open(&follower);
        while (loops-- > 0) {
            follow_once(&follower);
            book_beat(book, 1 + index, 0);
        }
        store_close(&follower);
    }
}
