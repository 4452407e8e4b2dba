/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * durable.c - answers when durable. See durable.h.
 *
 * The loop appends at level none, and puts the reply into a queue. The thread sleeps until there
 * is one, flushes all that is published, and wakes the loop, which answers up to the durable
 * position; meanwhile more replies have come, and the next flush is theirs. What the loop has
 * appended may be claimed and not published: the store's own thread writes something before it. So
 * what is waited for ends where the log is claimed.
 *
 * Fields shared by the threads: `wanted`, `stop` and `failed` under `mutex`.
 * Happy path: append, flush, answer. Failure modes: a flush that takes longer than TIMEOUT_MS is
 * answered REPLY_FLUSH_TIMEOUT, which means "stored, but perhaps not durable", and so is one that
 * failed: the store refuses what comes after it.
 */
#include "durable.h"

#include "codes.h"
#include "log.h"

#include <stdlib.h>

enum { TIMEOUT_MS = 5000, TICK_MS = 250 };

struct pending {
    struct pending *next;
    struct reply_to to;
    uint64_t end;
    int64_t since_ms;
    size_t field_bytes;
    uint8_t fields[];
};

struct durable {
    struct broker *broker;
    struct pending *first, *last;
    uv_async_t wake;
    uv_timer_t tick;
    uv_thread_t thread;
    uv_mutex_t mutex;
    uv_cond_t something;
    uint64_t wanted; /* to be durable; written by the loop */
    bool stop;
    bool failed; /* written by the thread */
};

static void on_thread(void *argument)
{
    struct durable *durable = argument;
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    uv_mutex_lock(&durable->mutex);
    for (;;) {
        while (!durable->stop && (durable->failed || durable->wanted <= positions.durable))
            uv_cond_wait(&durable->something, &durable->mutex);
        if (durable->stop)
            break;
        const uint64_t wanted = durable->wanted;
        uv_mutex_unlock(&durable->mutex);
        struct commitlog_error err = {0};
        int32_t code = commitlog_sync(durable->broker->store, UINT64_MAX, -1, &err);
        if (code == COMMITLOG_OK) /* and what was published meanwhile */
            code = commitlog_sync(durable->broker->store, wanted, -1, &err);
        if (code == COMMITLOG_OK)
            (void)commitlog_positions_get(durable->broker->store, &positions);
        else
            log_line(LOG_ERROR, "flush: %s", err.message);
        uv_mutex_lock(&durable->mutex);
        durable->failed = code != COMMITLOG_OK;
        (void)uv_async_send(&durable->wake);
    }
    uv_mutex_unlock(&durable->mutex);
}

static void durable_answer(struct durable *durable, int32_t code)
{
    struct pending *pending = durable->first;
    durable->first = pending->next;
    if (durable->first == NULL)
        durable->last = NULL;
    struct reply reply = reply_begin(pending->to, code);
    buffer_put(&durable->broker->fields, pending->fields, pending->field_bytes);
    reply_end(&reply, (struct text){0});
    reply_forget(&pending->to);
    free(pending);
}

static void durable_look(struct durable *durable)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    if (durable->first == NULL ||
        commitlog_positions_get(durable->broker->store, &positions) != COMMITLOG_OK)
        return;
    uv_mutex_lock(&durable->mutex);
    const bool failed = durable->failed;
    uv_mutex_unlock(&durable->mutex);
    while (durable->first != NULL && durable->first->end <= positions.durable)
        durable_answer(durable, REPLY_OK);
    const int64_t now = (int64_t)uv_now(&durable->broker->loop);
    while (durable->first != NULL && (failed || now - durable->first->since_ms > TIMEOUT_MS))
        durable_answer(durable, REPLY_FLUSH_TIMEOUT);
}

static void on_wake(uv_async_t *wake)
{
    durable_look(wake->data);
}

static void on_tick(uv_timer_t *tick)
{
    durable_look(tick->data);
}

void durable_reply(struct broker *broker, struct reply *reply, uint64_t end_position, bool wait)
{
    struct durable *durable = broker->durable;
    struct buffer *fields = &broker->fields;
    struct pending *pending = NULL;
    if (!broker->options->sync || !wait || durable == NULL ||
        (pending = malloc(sizeof *pending + fields->used)) == NULL) {
        if (wait && broker->options->sync)
            reply->code = REPLY_FLUSH_TIMEOUT;
        reply_end(reply, (struct text){0});
        if (broker->options->sync)
            durable_soon(broker); /* or consumers do not see it */
        return;
    }
    *pending = (struct pending){.to = reply_keep(reply->to),
                                .end = end_position,
                                .since_ms = (int64_t)uv_now(&broker->loop),
                                .field_bytes = fields->used};
    if (fields->used > 0)
        memcpy(pending->fields, fields->data, fields->used);
    if (durable->last != NULL)
        durable->last->next = pending;
    else
        durable->first = pending;
    durable->last = pending;
    uv_mutex_lock(&durable->mutex);
    if (end_position > durable->wanted)
        durable->wanted = end_position;
    uv_cond_signal(&durable->something);
    uv_mutex_unlock(&durable->mutex);
}

void durable_reply_written(struct broker *broker, struct reply *reply)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    (void)commitlog_positions_get(broker->store, &positions);
    durable_reply(broker, reply, positions.claimed, true);
}

void durable_soon(struct broker *broker)
{
    struct durable *durable = broker->durable;
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    if (durable == NULL || commitlog_positions_get(broker->store, &positions) != COMMITLOG_OK)
        return;
    uv_mutex_lock(&durable->mutex);
    if (positions.claimed > durable->wanted)
        durable->wanted = positions.claimed;
    uv_cond_signal(&durable->something);
    uv_mutex_unlock(&durable->mutex);
}

/* Or the loop would never end. */
static void durable_end(struct broker *broker)
{
    struct durable *durable = broker->durable;
    uv_close((uv_handle_t *)&durable->wake, NULL);
    uv_close((uv_handle_t *)&durable->tick, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    uv_mutex_destroy(&durable->mutex);
    uv_cond_destroy(&durable->something);
    free(durable);
    broker->durable = NULL;
}

bool durable_start(struct broker *broker)
{
    struct durable *durable = calloc(1, sizeof *durable);
    if (durable == NULL)
        return false;
    durable->broker = broker;
    if (uv_mutex_init(&durable->mutex) != 0 || uv_cond_init(&durable->something) != 0)
        return false;
    uv_async_init(&broker->loop, &durable->wake, on_wake);
    uv_timer_init(&broker->loop, &durable->tick);
    durable->wake.data = durable->tick.data = durable;
    uv_timer_start(&durable->tick, on_tick, TICK_MS, TICK_MS);
    broker->durable = durable;
    if (uv_thread_create(&durable->thread, on_thread, durable) != 0) {
        log_line(LOG_ERROR, "no thread that flushes can be had");
        durable_end(broker);
        return false;
    }
    return true;
}

void durable_stop(struct broker *broker)
{
    struct durable *durable = broker->durable;
    if (durable == NULL)
        return;
    uv_mutex_lock(&durable->mutex);
    durable->stop = true;
    uv_cond_signal(&durable->something);
    uv_mutex_unlock(&durable->mutex);
    uv_thread_join(&durable->thread);
    (void)commitlog_sync(broker->store, UINT64_MAX, -1, NULL);
    durable_look(durable);
    while (durable->first != NULL)
        durable_answer(durable, REPLY_FLUSH_TIMEOUT);
    durable_end(broker);
}
