/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold.c - long polling, woken by the store. See hold.h.
 *
 * The store's event descriptor says that something became visible, whoever appended it: a producer,
 * or the store itself, which delivers what was delayed. It does not say where, so each queue that
 * is waited for is asked for its end, which is cheap, and only the pulls of one that grew are
 * tried.
 *
 * Happy path: hold, event, try, answer. Failure modes: too much is held: the client is told that
 * there is nothing, and asks again.
 */
#include "hold.h"

#include "log.h"

#include <stdlib.h>
#include <unistd.h>

enum { HOLDS_MAX = 200000, TICK_MS = 100, ALLOCATION_COST = 32 };

struct held {
    struct held *next, *previous;
    struct pull pull;
    int64_t until_ms;
    uint64_t seen; /* end of the queue when it was tried last */
    size_t cost;   /* bytes that it is counted as */
};

struct holds {
    struct broker *broker;
    struct held *first;
    uint32_t count;
    size_t bytes; /* the costs of all */
    uv_poll_t event;
    uv_timer_t tick;
    int fd;
};

static void hold_drop(struct holds *holds, struct held *held)
{
    if (held->next != NULL)
        held->next->previous = held->previous;
    if (held->previous != NULL)
        held->previous->next = held->next;
    else
        holds->first = held->next;
    holds->count--;
    holds->bytes -= held->cost;
    held->pull.to.connection->held -= held->cost;
    reply_forget(&held->pull.to);
    pull_free(&held->pull);
    free(held);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct holds *holds = poll->data;
    uint64_t ignored;
    (void)events;
    if (status < 0 || read(holds->fd, &ignored, sizeof ignored) < 0)
        return;
    struct held *next;
    for (struct held *held = holds->first; held != NULL; held = next) {
        struct commitlog_queue_info info;
        next = held->next;
        if (topic_bounds(holds->broker, held->pull.topic, held->pull.queue, &info) != COMMITLOG_OK)
            continue; /* nothing is known: it is held until its time is over */
        if (info.next_offset == held->seen && !held->pull.topic->deleted)
            continue;
        held->seen = info.next_offset;
        if (pull_try(holds->broker, &held->pull))
            hold_drop(holds, held);
    }
}

static void on_tick(uv_timer_t *tick)
{
    struct holds *holds = tick->data;
    const int64_t now = (int64_t)uv_now(tick->loop);
    struct held *next;
    for (struct held *held = holds->first; held != NULL; held = next) {
        next = held->next;
        if (held->pull.to.connection->closed) {
            hold_drop(holds, held);
        } else if (held->until_ms <= now) {
            if (!pull_try(holds->broker, &held->pull))
                pull_give_up(holds->broker, &held->pull);
            hold_drop(holds, held);
        }
    }
}

/* The descriptor is asked for when somebody waits for the first time: from then on each append
 * signals it. */
static bool hold_listen(struct holds *holds)
{
    const uint64_t once = 1;
    if (holds->fd >= 0)
        return true;
    if (commitlog_event_fd(holds->broker->store, &holds->fd) == COMMITLOG_OK &&
        uv_poll_init(&holds->broker->loop, &holds->event, holds->fd) == 0 &&
        uv_poll_start(&holds->event, UV_READABLE, on_event) == 0 &&
        write(holds->fd, &once, sizeof once) == (ssize_t)sizeof once) /* what came meanwhile */
        return true;
    log_line(LOG_ERROR, "the store's event descriptor cannot be had");
    holds->fd = -1;
    return false;
}

static bool hold_has_room(const struct holds *holds, const struct connection *connection,
                          size_t cost)
{
    return holds->count < HOLDS_MAX && cost <= HOLDS_BYTES_MAX - holds->bytes &&
           cost <= HOLD_BYTES_MAX - connection->held;
}

bool hold_pull(struct broker *broker, const struct pull *pull)
{
    struct holds *holds = broker->holds;
    if (!hold_listen(holds))
        return false;
    const size_t cost =
        sizeof(struct held) + ALLOCATION_COST + (pull->own == NULL ? 0 : pull->own->cost);
    struct held *held =
        hold_has_room(holds, pull->to.connection, cost) ? calloc(1, sizeof *held) : NULL;
    if (held == NULL)
        return false;
    held->pull = *pull;
    held->seen = pull->offset; /* if it has grown since, the event is still to come */
    held->until_ms = (int64_t)uv_now(&broker->loop) + pull->hold_ms;
    held->pull.to = reply_keep(pull->to);
    held->next = holds->first;
    if (holds->first != NULL)
        holds->first->previous = held;
    holds->first = held;
    holds->count++;
    holds->bytes += cost;
    held->cost = cost;
    pull->to.connection->held += cost;
    return true;
}

uint32_t hold_count(const struct broker *broker)
{
    return broker->holds->count;
}

bool hold_start(struct broker *broker)
{
    struct holds *holds = calloc(1, sizeof *holds);
    if (holds == NULL)
        return false;
    holds->broker = broker;
    holds->fd = -1;
    broker->holds = holds;
    uv_timer_init(&broker->loop, &holds->tick);
    holds->event.data = holds->tick.data = holds;
    return uv_timer_start(&holds->tick, on_tick, TICK_MS, TICK_MS) == 0;
}

void hold_stop(struct broker *broker)
{
    struct holds *holds = broker->holds;
    if (holds == NULL)
        return;
    while (holds->first != NULL) {
        pull_give_up(broker, &holds->first->pull);
        hold_drop(holds, holds->first);
    }
    if (holds->fd >= 0)
        uv_close((uv_handle_t *)&holds->event, NULL);
    uv_close((uv_handle_t *)&holds->tick, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    free(holds);
    broker->holds = NULL;
}
