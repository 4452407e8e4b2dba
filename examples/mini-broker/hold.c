/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold.c - long polling, woken by the store. See hold.h.
 *
 * The store's event descriptor says that something became visible, whoever appended it: a producer,
 * or the store itself, which delivers what was delayed. It does not say where: queues that the
 * broker has written to are marked, and asked for their ends, once however many wait for one; only
 * the pulls of one that grew are tried. For what the store delivers all queues that are waited for
 * are asked, at once or, if that took long the last time, after WALK_TIMES as long.
 *
 * A mark stays until the log is visible to where the message ends, which with --flush sync is when
 * the disk has it. A pull that comes is marked, too: what was written before may become visible
 * after it was tried.
 *
 * Happy path: hold, event, try, answer. Failure modes: too much is held, or what the client was
 * given before still waits to be taken: it is told that there is nothing, and asks again.
 */
#include "hold.h"

#include "log.h"

#include <stdlib.h>
#include <unistd.h>

enum { HOLDS_MAX = 200000, TICK_MS = 100, ALLOCATION_COST = 32, WALK_TIMES = 20 };
enum { LINE_NAME = sizeof(struct topic *) + sizeof(uint32_t) };

struct line {                 /* those that wait for a queue */
    struct table_entry entry; /* by the address of the topic, and the queue */
    struct topic *topic;
    struct held *first;
    uint32_t queue;
    uint64_t seen; /* its end, when all of them had been tried; UINT64_MAX: one was not */
    struct line *grown_next;
    struct line **grown_at;  /* NULL: it is not marked */
    uint64_t grown_position; /* marked until the log is visible to there */
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
    size_t bytes;            /* the costs of all */
    struct line *grown;      /* a list both ways */
    uint64_t rests_until_ns; /* before, not all lines are looked at */
    uv_timer_t later;        /* then they are */
    uv_poll_t event;
    uv_timer_t tick;
    int fd;
};

static void line_mark(struct holds *holds, struct line *line, uint64_t position)
{
    if (position > line->grown_position)
        line->grown_position = position;
    if (line->grown_at != NULL)
        return;
    line->grown_next = holds->grown;
    if (holds->grown != NULL)
        holds->grown->grown_at = &line->grown_next;
    line->grown_at = &holds->grown;
    holds->grown = line;
}

static void line_unmark(struct line *line)
{
    if (line->grown_at == NULL)
        return;
    *line->grown_at = line->grown_next;
    if (line->grown_next != NULL)
        line->grown_next->grown_at = line->grown_at;
    line->grown_at = NULL;
}

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
        line_unmark(line);
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

/* Likewise. */
static void line_look(struct holds *holds, struct line *line)
{
    struct commitlog_queue_info info;
    if (topic_bounds(holds->broker, line->topic, line->queue, &info) != COMMITLOG_OK)
        return; /* nothing is known: they are held until their time is over */
    if (info.next_offset != line->seen || line->topic->deleted)
        line_try(holds, line, info.next_offset);
}

static void look_at_grown(struct holds *holds)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    struct line *next;
    if (holds->grown == NULL ||
        commitlog_positions_get(holds->broker->store, &positions) != COMMITLOG_OK)
        return;
    for (struct line *line = holds->grown; line != NULL; line = next) {
        next = line->grown_next;
        if (line->grown_position <= positions.visible)
            line_unmark(line);
        line_look(holds, line);
    }
}

static void on_later(uv_timer_t *later);

static void look_at_all(struct holds *holds)
{
    const uint64_t begin = uv_hrtime();
    if (begin < holds->rests_until_ns) {
        (void)uv_timer_start(&holds->later, on_later, (holds->rests_until_ns - begin) / 1000000 + 1,
                             0);
        return;
    }
    (void)uv_timer_stop(&holds->later);
    struct table_entry *entry = table_next(&holds->lines, NULL);
    while (entry != NULL) {
        struct line *line = (struct line *)(void *)entry;
        entry = table_next(&holds->lines, entry);
        line_look(holds, line);
    }
    const uint64_t end = uv_hrtime();
    holds->rests_until_ns = end + WALK_TIMES * (end - begin);
}

static void on_later(uv_timer_t *later)
{
    look_at_all(later->data);
}

static void on_event(uv_poll_t *poll, int status, int events)
{
    struct holds *holds = poll->data;
    uint64_t ignored;
    (void)events;
    if (status < 0 || read(holds->fd, &ignored, sizeof ignored) < 0)
        return;
    look_at_grown(holds);
    look_at_all(holds);
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

/* NULL: nobody waits for it. */
static struct line *line_find(const struct holds *holds, const struct topic *topic, uint32_t queue)
{
    char name[LINE_NAME];
    line_name(name, topic, queue);
    return (struct line *)(void *)table_find(&holds->lines, (struct text){name, sizeof name});
}

/* NULL: no memory. */
static struct line *line_of(struct holds *holds, struct topic *topic, uint32_t queue)
{
    struct line *line = line_find(holds, topic, queue);
    if (line != NULL)
        return line;
    line = calloc(1, sizeof *line + LINE_NAME);
    if (line == NULL)
        return NULL;
    line_name((char *)(line + 1), topic, queue);
    line->entry.name = (struct text){(char *)(line + 1), LINE_NAME};
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
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    if (!hold_listen(holds) || commitlog_positions_get(broker->store, &positions) != COMMITLOG_OK)
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
    line_mark(holds, line, positions.claimed);
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

void hold_grown(struct broker *broker, const struct topic *topic, uint32_t queue,
                uint64_t end_position)
{
    struct line *line = line_find(broker->holds, topic, queue);
    if (line != NULL)
        line_mark(broker->holds, line, end_position);
}

void hold_moved(struct broker *broker, struct text group, const struct topic *topic, uint32_t queue)
{
    struct holds *holds = broker->holds;
    const struct line *line = line_find(holds, topic, queue);
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
    uv_timer_init(&broker->loop, &holds->later);
    holds->event.data = holds->tick.data = holds->later.data = holds;
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
    uv_close((uv_handle_t *)&holds->later, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    free(holds);
    broker->holds = NULL;
}
