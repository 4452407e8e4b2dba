/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold.c - long polling, woken by the store. See hold.h.
 *
 * The store's event descriptor says that something became visible, whoever appended it: a producer,
 * or the store itself, which delivers what was delayed. It does not say where, so each queue that
 * is waited for is asked for its end, once however many wait for it, and only the pulls of one that
 * grew are tried.
 *
 * Happy path: hold, event, try, answer. Failure modes: too much is held, or what the client was
 * given before still waits to be taken: it is told that there is nothing, and asks again.
 */
#include "hold.h"

#include "log.h"

#include <stdlib.h>
#include <unistd.h>

enum { HOLDS_MAX = 200000, TICK_MS = 100, ALLOCATION_COST = 32 };
enum { LINE_NAME = sizeof(struct topic *) + sizeof(uint32_t) };

struct line {                 /* those that wait for a queue */
    struct table_entry entry; /* by the address of the topic, and the queue */
    struct topic *topic;
    struct held *first;
    uint32_t queue;
    uint64_t seen; /* its end, when all of them had been tried; UINT64_MAX: one was not */
};

struct held {
    struct held *next, *previous;
    struct line *line;
    struct pull pull;
    int64_t until_ms;
    uint64_t seen; /* end of the queue when it was tried last */
    size_t cost;   /* bytes that it is counted as */
};

struct holds {
    struct broker *broker;
    struct table lines;
    uint32_t count;
    size_t bytes; /* the costs of all */
    uv_poll_t event;
    uv_timer_t tick;
    int fd;
};

/* Nobody of a queue waits any more: the line is gone with the last one. */
static void hold_drop(struct holds *holds, struct held *held)
{
    struct line *line = held->line;
    if (held->next != NULL)
        held->next->previous = held->previous;
    if (held->previous != NULL)
        held->previous->next = held->next;
    else
        line->first = held->next;
    if (line->first == NULL) {
        table_remove(&holds->lines, &line->entry);
        topic_unwait(line->topic);
        free(line);
    }
    holds->count--;
    holds->bytes -= held->cost;
    held->pull.to.connection->held -= held->cost;
    reply_forget(&held->pull.to);
    pull_free(&held->pull);
    free(held);
}

/* As pull_try. Of many pulls of one connection each may be for megabytes: who has not taken enough
 * of them gets no more, and its next requests are read when it has. */
static bool hold_try(struct broker *broker, struct held *held)
{
    if (!connection_is_behind(held->pull.to.connection))
        return pull_try(broker, &held->pull);
    pull_give_up(broker, &held->pull);
    return true;
}

/* The line may be gone when it returns. */
static void line_try(struct holds *holds, struct line *line, uint64_t end)
{
    struct held *next;
    line->seen = end;
    for (struct held *held = line->first; held != NULL; held = next) {
        next = held->next;
        if (end == held->seen && !held->pull.topic->deleted)
            continue;
        held->seen = end;
        if (hold_try(holds->broker, held))
            hold_drop(holds, held);
    }
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct holds *holds = poll->data;
    uint64_t ignored;
    (void)events;
    if (status < 0 || read(holds->fd, &ignored, sizeof ignored) < 0)
        return;
    struct table_entry *entry = table_next(&holds->lines, NULL);
    while (entry != NULL) {
        struct line *line = (struct line *)(void *)entry;
        struct commitlog_queue_info info;
        entry = table_next(&holds->lines, entry);
        if (topic_bounds(holds->broker, line->topic, line->queue, &info) != COMMITLOG_OK)
            continue; /* nothing is known: they are held until their time is over */
        if (info.next_offset != line->seen || line->topic->deleted)
            line_try(holds, line, info.next_offset);
    }
}

static void on_tick(uv_timer_t *tick)
{
    struct holds *holds = tick->data;
    const int64_t now = (int64_t)uv_now(tick->loop);
    struct table_entry *entry = table_next(&holds->lines, NULL);
    while (entry != NULL) {
        struct held *next;
        struct held *held = ((struct line *)(void *)entry)->first;
        entry = table_next(&holds->lines, entry);
        for (; held != NULL; held = next) {
            next = held->next;
            if (held->pull.to.connection->closed) {
                hold_drop(holds, held);
            } else if (held->until_ms <= now) {
                if (!hold_try(holds->broker, held))
                    pull_give_up(holds->broker, &held->pull);
                hold_drop(holds, held);
            }
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

static void line_name(char name[LINE_NAME], const struct topic *topic, uint32_t queue)
{
    memcpy(name, &topic, sizeof topic);
    memcpy(name + sizeof topic, &queue, sizeof queue);
}

/* NULL: no memory. */
static struct line *line_of(struct holds *holds, struct topic *topic, uint32_t queue)
{
    char name[LINE_NAME];
    line_name(name, topic, queue);
    struct table_entry *found = table_find(&holds->lines, (struct text){name, sizeof name});
    if (found != NULL)
        return (struct line *)(void *)found;
    struct line *line = calloc(1, sizeof *line + sizeof name);
    if (line == NULL)
        return NULL;
    memcpy(line + 1, name, sizeof name);
    line->entry.name = (struct text){(char *)(line + 1), sizeof name};
    line->topic = topic;
    line->queue = queue;
    line->seen = UINT64_MAX;
    if (!table_insert(&holds->lines, &line->entry)) {
        free(line);
        return NULL;
    }
    topic->lines++;
    return line;
}

bool hold_pull(struct broker *broker, const struct pull *pull)
{
    struct holds *holds = broker->holds;
    if (!hold_listen(holds))
        return false;
    const size_t cost = sizeof(struct held) + sizeof(struct line) + LINE_NAME +
                        2 * ALLOCATION_COST + (pull->own == NULL ? 0 : pull->own->cost);
    struct held *held =
        hold_has_room(holds, pull->to.connection, cost) ? calloc(1, sizeof *held) : NULL;
    struct line *line = held == NULL ? NULL : line_of(holds, pull->topic, pull->queue);
    if (line == NULL) {
        free(held);
        return false;
    }
    held->pull = *pull;
    held->line = line;
    held->seen = pull->offset; /* if it has grown since, the event is still to come */
    if (line->seen != held->seen)
        line->seen = UINT64_MAX;
    held->until_ms = (int64_t)uv_now(&broker->loop) + pull->hold_ms;
    held->pull.to = reply_keep(pull->to);
    held->next = line->first;
    if (line->first != NULL)
        line->first->previous = held;
    line->first = held;
    holds->count++;
    holds->bytes += cost;
    held->cost = cost;
    pull->to.connection->held += cost;
    return true;
}

void hold_moved(struct broker *broker, struct text group, const struct topic *topic, uint32_t queue)
{
    struct holds *holds = broker->holds;
    char name[LINE_NAME];
    line_name(name, topic, queue);
    const struct line *line = (const struct line *)(const void *)table_find(
        &holds->lines, (struct text){name, sizeof name});
    struct held *next;
    for (struct held *held = line == NULL ? NULL : line->first; held != NULL; held = next) {
        struct pull *pull = &held->pull;
        next = held->next; /* with the last one the line is gone */
        if (text_equal((struct text){pull->group, pull->group_bytes}, group) &&
            pull_moved(broker, pull))
            hold_drop(holds, held);
    }
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
    struct table_entry *entry;
    while ((entry = table_next(&holds->lines, NULL)) != NULL) {
        struct held *held = ((struct line *)(void *)entry)->first;
        pull_give_up(broker, &held->pull);
        hold_drop(holds, held);
    }
    table_free(&holds->lines);
    if (holds->fd >= 0)
        uv_close((uv_handle_t *)&holds->event, NULL);
    uv_close((uv_handle_t *)&holds->tick, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    free(holds);
    broker->holds = NULL;
}
