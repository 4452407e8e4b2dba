/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work.c -- messages that receivers take one by one: given out, acknowledged, given back, held
 * longer, forgotten until their time is over, dead after too many attempts; see clerk.h.
 *
 * All of it under desk->work, so that of each message the ledger knows who has it and until when.
 */
#include "clerk.h"

typedef unsigned long long ull;

enum { TAKE_MAX = 8, WAITING_MAX = 300, VISIBILITY_MS = 120, SLACK_MS = 20 };

static int64_t now_ms(void)
{
    return clock_wall_ns() / 1000000;
}

static struct cell *cell_at(struct work *work, uint32_t queue, uint64_t offset)
{
    return &work->cells[queue][offset % LEDGER_CELLS];
}

static void floor_raise(struct work *work, uint32_t queue)
{
    while (work->floor[queue] < work->next[queue]) {
        const struct cell *cell = cell_at(work, queue, work->floor[queue]);
        if (cell->state != CELL_DONE && cell->dead == 0)
            break;
        work->floor[queue]++;
    }
}

void work_dead_check(const struct desk *desk, const struct letter *letter,
                     const struct commitlog_message *message)
{
    const struct work *work = &desk->ledger->work;
    uint32_t queue = message->origin_queue;
    uint64_t offset = message->origin_offset;
    CHECKF(message->origin_topic == atomic_load(&desk->numbers[LEDGER_WORK]) && queue < 2 &&
               offset < work->next[queue],
           "a dead letter of topic %u queue %u offset %llu", message->origin_topic, queue,
           (ull)offset);
    const struct cell *cell = &work->cells[queue][offset % LEDGER_CELLS];
    CHECKF(cell->serial == letter->serial && cell->dead == 0 && cell->attempt == LEDGER_ATTEMPTS &&
               message->attempts == LEDGER_ATTEMPTS &&
               (cell->state == CELL_OUT || cell->acking != 0),
           "queue %u offset %llu is dead after %u attempts, in state %u after %u, dead %u", queue,
           (ull)offset, message->attempts, cell->state, cell->attempt, cell->dead);
    CHECK(message->reason == COMMITLOG_DEAD_EXPIRED || message->reason == COMMITLOG_DEAD_REFUSED);
}

/* ---- acts ------------------------------------------------------------------------------------ */

static void put(struct clerk *clerk)
{
    struct ledger *ledger = clerk->desk->ledger;
    struct work *work = &ledger->work;
    uint32_t queue = (uint32_t)rng_below(clerk->rng, 2);
    struct letter letter = {.topic = LEDGER_WORK, .serial = ++work->serial};
    uint8_t bytes[LEDGER_BODY_MAX];
    struct commitlog_slice body = {bytes, letter_make(ledger, &letter, bytes)};
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    const struct commitlog_record record = {.struct_bytes = sizeof record,
                                            .topic =
                                                atomic_load(&clerk->desk->numbers[LEDGER_WORK]),
                                            .queue = queue,
                                            .level = COMMITLOG_LEVEL_NONE,
                                            .body = &body,
                                            .body_count = 1};
    work->putting = 1 + queue;
    if (call_done(commitlog_append_record(desk_store(clerk->desk), &record, COMMITLOG_FOREVER,
                                          &receipt, &err),
                  &err, "put")) {
        desk_firm(clerk->desk);
        CHECKF(receipt.queue_offset == work->next[queue], "queue %u: offset %llu, not %llu", queue,
               (ull)receipt.queue_offset, (ull)work->next[queue]);
        *cell_at(work, queue, work->next[queue]) =
            (struct cell){.serial = letter.serial, .state = CELL_FRESH};
        work->next[queue]++;
        ledger_count(ledger, LEDGER_PUT, 1);
    }
    work->putting = 0;
}

static void take(struct clerk *clerk, const struct commitlog_delivery *given,
                 const struct commitlog_message *message, int64_t before_ms, int64_t after_ms)
{
    struct ledger *ledger = clerk->desk->ledger;
    struct work *work = &ledger->work;
    struct letter letter;
    CHECK(given->queue < 2 && message->queue == given->queue &&
          message->queue_offset == given->offset);
    CHECKF(given->offset >= work->floor[given->queue] && given->offset < work->next[given->queue],
           "queue %u offset %llu is given out; [%llu, %llu) is to be done", given->queue,
           (ull)given->offset, (ull)work->floor[given->queue], (ull)work->next[given->queue]);
    struct cell *cell = cell_at(work, given->queue, given->offset);
    letter_check(ledger, message, &letter);
    CHECKF(letter.topic == LEDGER_WORK && letter.serial == cell->serial,
           "queue %u offset %llu is message %llu, not %llu", given->queue, (ull)given->offset,
           (ull)letter.serial, (ull)cell->serial);
    CHECKF(cell->state == CELL_FRESH ||
               (cell->state == CELL_OUT && cell->from_ms <= after_ms + SLACK_MS),
           "queue %u offset %llu is given out in state %u, %lld ms too early", given->queue,
           (ull)given->offset, cell->state, (long long)(cell->from_ms - after_ms));
    CHECKF(given->attempt == cell->attempt + 1 && given->attempt <= LEDGER_ATTEMPTS,
           "queue %u offset %llu: attempt %u after %u", given->queue, (ull)given->offset,
           given->attempt, cell->attempt);
    cell->state = CELL_OUT;
    cell->attempt = given->attempt;
    cell->from_ms = before_ms + VISIBILITY_MS;
    cell->to_ms = after_ms + VISIBILITY_MS;
    ledger_count(ledger, given->attempt > 1 ? LEDGER_AGAIN : LEDGER_OUT, 1);
}

static void receive(struct clerk *clerk)
{
    struct work *work = &clerk->desk->ledger->work;
    struct commitlog_message messages[TAKE_MAX];
    struct commitlog_delivery given[TAKE_MAX];
    struct commitlog_error err = {.message = ""};
    uint32_t count = 0;
    int64_t before = now_ms(), after = 0;
    work->receive_ms = before;
    work->receiving = 1;
    int32_t rc = commitlog_receive(clerk->receiver, messages, given,
                                   (uint32_t)rng_between(clerk->rng, 1, TAKE_MAX), 0, &count, &err);
    after = now_ms();
    CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EEND || rc == COMMITLOG_EINTERRUPTED ||
               rc == COMMITLOG_ETIMEDOUT,
           "receive: %s: %s", commitlog_error_name(rc), err.message);
    if (rc == COMMITLOG_OK)
        desk_firm(clerk->desk);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++)
        take(clerk, &given[i], &messages[i], before, after);
    work->receiving = 0;
}

/* It may have become a dead letter by now, whatever is said of it. */
static bool may_be_dead(const struct cell *cell)
{
    return cell->attempt == LEDGER_ATTEMPTS && cell->from_ms <= now_ms() + SLACK_MS;
}

/* Some that are out, each once; of one queue or both. */
static uint32_t draw_given(struct clerk *clerk, struct commitlog_delivery *given, uint32_t max)
{
    struct work *work = &clerk->desk->ledger->work;
    uint32_t count = 0;
    for (uint32_t q = 0; q < 2; q++) {
        for (uint64_t o = work->floor[q]; o < work->next[q] && count < max; o++) {
            const struct cell *cell = cell_at(work, q, o);
            if (cell->state == CELL_OUT && cell->dead == 0 && rng_chance(clerk->rng, 2, 3))
                given[count++] = (struct commitlog_delivery){o, q, cell->attempt};
        }
    }
    return count;
}

/* The acknowledgement has returned: what it says of each. */
static void acked(struct clerk *clerk, const struct commitlog_delivery *given, uint32_t count,
                  int32_t rc)
{
    struct ledger *ledger = clerk->desk->ledger;
    bool excused = rc != COMMITLOG_ENOTFOUND;
    for (uint32_t i = 0; i < count; i++) {
        struct cell *cell = cell_at(&ledger->work, given[i].queue, given[i].offset);
        bool either = rc == COMMITLOG_ENOTFOUND && may_be_dead(cell);
        excused |= either;
        cell->state = CELL_DONE;
        cell->acking = either ? 1 : 0;
        ledger_count(ledger, LEDGER_ACKED, 1);
    }
    CHECKF(excused, "%u that are out are not to be acknowledged", count);
}

static void ack(struct clerk *clerk)
{
    struct ledger *ledger = clerk->desk->ledger;
    struct commitlog_delivery given[TAKE_MAX];
    struct commitlog_error err = {.message = ""};
    uint32_t count = draw_given(clerk, given, (uint32_t)rng_between(clerk->rng, 1, TAKE_MAX));
    int32_t rc = 0;
    if (count == 0)
        return;
    if (given[0].attempt > 1 && rng_chance(clerk->rng, 1, 4)) { /* of an earlier attempt */
        struct commitlog_delivery stale = given[0];
        stale.attempt--;
        CHECK_RC(commitlog_ack(clerk->receiver, &stale, 1, COMMITLOG_LEVEL_NONE, NULL),
                 COMMITLOG_ENOTFOUND);
    }
    for (uint32_t i = 0; i < count; i++)
        cell_at(&ledger->work, given[i].queue, given[i].offset)->acking = 1;
    rc = commitlog_ack(
        clerk->receiver, given, count,
        rng_chance(clerk->rng, 1, 60) ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE, &err);
    if (rc == COMMITLOG_ENOTFOUND || call_done(rc, &err, "ack")) {
        desk_firm(clerk->desk);
        acked(clerk, given, count, rc);
    } else {
        for (uint32_t i = 0; i < count; i++)
            cell_at(&ledger->work, given[i].queue, given[i].offset)->acking = 0;
    }
}

/* Given back, or held longer. */
static void move(struct clerk *clerk, bool back)
{
    struct work *work = &clerk->desk->ledger->work;
    struct commitlog_delivery given[TAKE_MAX];
    struct commitlog_error err = {.message = ""};
    uint32_t count = draw_given(clerk, given, 1);
    int64_t ms = (int64_t)rng_below(clerk->rng, 100), before = now_ms();
    int32_t rc = 0;
    if (count == 0)
        return;
    struct cell *cell = cell_at(work, given[0].queue, given[0].offset);
    cell->moving = 1;
    rc = back ? commitlog_nack(clerk->receiver, given, 1, ms, &err)
              : commitlog_extend(clerk->receiver, given, 1, ms, &err);
    if (rc == COMMITLOG_ENOTFOUND) {
        CHECKF(may_be_dead(cell), "queue %u offset %llu is out, and not found", given[0].queue,
               (ull)given[0].offset);
    } else if (call_done(rc, &err, back ? "nack" : "extend")) {
        desk_firm(clerk->desk);
        cell->from_ms = before + ms;
        cell->to_ms = now_ms() + ms;
        if (back && cell->attempt == LEDGER_ATTEMPTS)
            cell->from_ms = 0; /* a dead letter from now on */
        if (back)
            ledger_count(clerk->desk->ledger, LEDGER_NACKED, 1);
    }
    cell->moving = 0;
}

static void act(struct clerk *clerk, uint64_t draw)
{
    struct work *work = &clerk->desk->ledger->work;
    CHECK(pthread_mutex_lock(&clerk->desk->work) == 0);
    for (uint32_t q = 0; q < 2; q++)
        floor_raise(work, q);
    if (draw < 35 && work->next[0] - work->floor[0] < WAITING_MAX &&
        work->next[1] - work->floor[1] < WAITING_MAX)
        put(clerk);
    else if (draw < 65)
        receive(clerk);
    else if (draw < 85)
        ack(clerk);
    else
        move(clerk, draw < 95);
    CHECK(pthread_mutex_unlock(&clerk->desk->work) == 0);
}

void work_act(struct clerk *clerk)
{
    act(clerk, rng_below(clerk->rng, 100));
}

void work_catch_up(struct clerk *clerk)
{
    act(clerk, rng_between(clerk->rng, 35, 84));
}
