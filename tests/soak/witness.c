/* SPDX-License-Identifier: BSD-2-Clause */
/* witness.c -- transactions, timers and offsets in another process; see witness.h. */
#include "witness.h"

#include <stdlib.h>
#include <string.h>

#include "clerk.h"

typedef unsigned long long ull;

enum { FETCH = 64, WINDOW_MS = 400, MARGIN_MS = 5 };

/* The newest transaction of each line. */
struct sight {
    uint64_t serial;
    uint32_t count;
    uint32_t there;    /* a bit for each message */
    uint64_t position; /* of one of them */
    bool cut;          /* it may have begun before the window */
};

struct view {
    struct seat *seat;
    int64_t from_ns;
    struct sight sights[LEDGER_THREADS][LEDGER_DEALS];
};

static uint32_t number_of(struct seat *seat, uint32_t topic)
{
    const char *name = ledger_name(topic);
    uint32_t number = UINT32_MAX;
    int32_t rc = commitlog_topic_open(seat->store, name, strlen(name), 0, &number, NULL);
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EBUSY, "%s: %s", name,
           commitlog_error_name(rc));
    return rc == COMMITLOG_OK ? number : UINT32_MAX;
}

static void deal_take(struct view *view, const struct letter *letter,
                      const struct commitlog_message *message)
{
    CHECK(letter->line < LEDGER_DEALS && letter->index < letter->count);
    const struct deal *deal = &view->seat->book->ledger->deals[letter->thread][letter->line];
    struct sight *sight = &view->sights[letter->thread][letter->line];
    uint64_t serial = atomic_load(&deal->serial);
    uint32_t state = atomic_load(&deal->state);
    CHECKF(letter->serial <= serial, "transaction %u/%u/%llu was never begun", letter->thread,
           letter->line, (ull)letter->serial);
    /* The line is used again when all of it was seen: serial first, then the state. */
    if (serial == letter->serial && atomic_load(&deal->serial) == serial)
        CHECKF(state == DEAL_COMMITTING || state == DEAL_COMMITTED,
               "transaction %u/%u/%llu is visible at %llu, in state %u", letter->thread,
               letter->line, (ull)letter->serial, (ull)message->position, state);
    if (letter->serial > sight->serial)
        *sight = (struct sight){.serial = letter->serial, .count = letter->count};
    if (letter->serial == sight->serial) {
        CHECKF((sight->there & 1u << letter->index) == 0,
               "message %u of transaction %u/%u/%llu is there twice", letter->index, letter->thread,
               letter->line, (ull)letter->serial);
        sight->there |= 1u << letter->index;
        sight->position = message->position;
        sight->cut |= message->store_time_ns < view->from_ns + MARGIN_MS * 1000000LL;
    }
}

static void later_take(const struct view *view, const struct letter *letter,
                       const struct commitlog_message *message)
{
    CHECK(letter->line < LEDGER_TIMERS);
    const struct later *later = &view->seat->book->ledger->laters[letter->thread][letter->line];
    uint64_t serial = atomic_load(&later->serial);
    uint32_t state = atomic_load(&later->state);
    CHECKF(letter->serial <= serial, "delayed message %u/%u/%llu was never begun", letter->thread,
           letter->line, (ull)letter->serial);
    if (serial == letter->serial && atomic_load(&later->serial) == serial)
        CHECKF(state != LATER_CANCELLED, "delayed message %u/%u/%llu was cancelled, and is visible",
               letter->thread, letter->line, (ull)letter->serial);
    CHECKF(message->deliver_at_ms == 0 ||
               message->store_time_ns >= message->deliver_at_ms * 1000000,
           "delayed message %u/%u/%llu is there before its time", letter->thread, letter->line,
           (ull)letter->serial);
}

/* All of a topic from the window on; false: it proves nothing. */
static bool topic_look(struct view *view, uint32_t topic)
{
    struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    uint32_t number = number_of(view->seat, topic), got = 0;
    int32_t rc = COMMITLOG_OK;
    if (number == UINT32_MAX ||
        commitlog_cursor_open(view->seat->store, number, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_TIME,
                              (uint64_t)view->from_ns, &cursor, NULL) != COMMITLOG_OK)
        return false;
    while ((rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &got, NULL)) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < got; i++) {
            struct letter letter;
            letter_check(view->seat->book->ledger, &messages[i], &letter);
            CHECK(letter.topic == topic);
            if (topic == LEDGER_LATER)
                later_take(view, &letter, &messages[i]);
            else
                deal_take(view, &letter, &messages[i]);
            ledger_count(view->seat->book->ledger, LEDGER_WITNESSED, 1);
        }
    }
    CHECKF(rc == COMMITLOG_EEND || rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_ETOOSMALL ||
               rc == COMMITLOG_EUNRECOVERED || rc == COMMITLOG_EBUSY ||
               rc == COMMITLOG_EROLLEDBACK || rc == COMMITLOG_EBEYOND,
           "topic %u: %s", topic, commitlog_error_name(rc));
    commitlog_cursor_close(cursor);
    return rc == COMMITLOG_EEND;
}

/* The other topic is read behind the first one: what the first had, it has. */
static void wholes_look(struct view *view, struct rng *rng)
{
    struct moment moment = moment_now(view->seat);
    struct commitlog_positions now;
    uint32_t first = rng_chance(rng, 1, 2) ? LEDGER_DEAL_A : LEDGER_DEAL_B;
    struct sight(*before)[LEDGER_DEALS] = NULL;
    if (!topic_look(view, first))
        return;
    before = need_alloc(sizeof view->sights);
    memcpy(before, view->sights, sizeof view->sights);
    bool proves = topic_look(view, LEDGER_DEAL_A + LEDGER_DEAL_B - first) &&
                  moment_holds(view->seat, &moment);
    seat_positions(view->seat, &now); /* retention may have taken the rest meanwhile */
    for (uint32_t t = 0; proves && t < LEDGER_THREADS; t++) {
        for (uint32_t i = 0; i < LEDGER_DEALS; i++) {
            const struct sight *sight = &view->sights[t][i];
            if (sight->cut || sight->position < now.first || before[t][i].there == 0 ||
                sight->serial != before[t][i].serial)
                continue;
            CHECKF(sight->there == (1u << sight->count) - 1,
                   "of the %u messages of transaction %u/%u/%llu these are visible: %x",
                   sight->count, t, i, (ull)sight->serial, sight->there);
            ledger_count(view->seat->book->ledger, LEDGER_WHOLE, 1);
        }
    }
    free(before);
}

/* What the audit has committed, from here. */
static void offsets_look(struct witness *witness, struct seat *seat)
{
    struct moment moment = moment_now(seat);
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offsets[LEDGER_QUEUES];
    char name[24];
    uint32_t count = 0;
    uint32_t places[LEDGER_QUEUES];
    group_name(LEDGER_AUDIT, name);
    if (commitlog_group_open(seat->store, name, strlen(name), 0, &group, NULL) != COMMITLOG_OK)
        return;
    for (uint32_t topic = 0; topic < LEDGER_TOPICS; topic++) {
        uint32_t number = number_of(seat, topic);
        for (uint32_t q = 0; number != UINT32_MAX && q < ledger_queues(topic); q++) {
            places[count] = ledger_place(topic, q);
            offsets[count++] = (struct commitlog_group_offset){number, q, 0};
        }
    }
    int32_t rc =
        count == 0 ? COMMITLOG_ENOTFOUND : commitlog_group_fetch(group, offsets, count, NULL);
    commitlog_group_close(group);
    if (rc != COMMITLOG_OK || !moment_holds(seat, &moment)) {
        witness->life = 0;
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *last = &witness->offsets[places[i]];
        CHECKF(witness->life != moment.life || *last == UINT64_MAX ||
                   (offsets[i].offset != UINT64_MAX && offsets[i].offset >= *last),
               "place %u: %llu is committed, and was %llu", places[i], (ull)offsets[i].offset,
               (ull)*last);
        *last = offsets[i].offset;
    }
    witness->life = moment.life;
}

void witness_look(struct witness *witness, struct seat *seat, struct rng *rng)
{
    static struct view view;
    if (atomic_load(&seat->book->ledger->ready) == 0)
        return;
    memset(&view, 0, sizeof view);
    view.seat = seat;
    view.from_ns = clock_wall_ns() - WINDOW_MS * 1000000LL;
    wholes_look(&view, rng);
    (void)topic_look(&view, LEDGER_LATER);
    offsets_look(witness, seat);
}
