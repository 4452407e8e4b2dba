/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counters.c - rings of totals: each 10 seconds for a minute, 5 minutes for an hour, an hour for a
 * day; and VIEW_BROKER_STATS_DATA, which asks for them. See counters.h.
 *
 * Happy path: add; a timer copies the totals. Failure modes: too many names, no memory: not
 * counted.
 */
#include "counters.h"

#include "codes.h"
#include "dispatch.h"
#include "reply.h"
#include "topics.h"

#include <stdlib.h>

enum { COUNTERS_MAX = 20000, TICK_S = 10, RING_COUNT = 3, RING_MOST = 24 };

static const struct {
    const char *name;
    uint32_t every; /* ticks */
    uint32_t room;
} rings[RING_COUNT] = {{"statsMinute", 1, 6}, {"statsHour", 30, 12}, {"statsDay", 360, RING_MOST}};

struct counter {
    struct table_entry entry; /* "name NUL topic@group" */
    uint64_t total;
    uint64_t since; /* tick at which it was made */
    uint64_t before[RING_COUNT][RING_MOST];
};

struct counters {
    struct broker *broker;
    struct table table;
    uv_timer_t timer;
    uint64_t ticks;
};

static struct text counter_name(struct broker *broker, struct text name, struct text topic,
                                struct text group)
{
    struct buffer *out = &broker->scratch;
    buffer_clear(out);
    buffer_put_text(out, name);
    buffer_put_byte(out, 0);
    buffer_put_text(out, topic);
    if (group.bytes > 0)
        buffer_put_byte(out, '@');
    buffer_put_text(out, group);
    return buffer_text(out);
}

static struct counter *counter_make(struct counters *counters, struct text name)
{
    if (counters->table.count >= COUNTERS_MAX)
        return NULL;
    struct counter *counter = calloc(1, sizeof *counter + name.bytes);
    if (counter == NULL)
        return NULL;
    memcpy(counter + 1, name.data, name.bytes);
    counter->entry.name = (struct text){(char *)(counter + 1), name.bytes};
    counter->since = counters->ticks;
    if (!table_insert(&counters->table, &counter->entry)) {
        free(counter);
        return NULL;
    }
    return counter;
}

void counters_add(struct broker *broker, const char *name, struct text topic, struct text group,
                  uint64_t count)
{
    struct counters *counters = broker->counters;
    const struct text full = counter_name(broker, text_of(name), topic, group);
    struct counter *counter = (struct counter *)(void *)table_find(&counters->table, full);
    if (counter == NULL)
        counter = counter_make(counters, full);
    if (counter != NULL)
        counter->total += count;
}

/* What topics have counted by themselves, on the way of each message. */
static void counters_fold(struct broker *broker)
{
    for (struct topic *topic = topic_next(broker, NULL); topic != NULL;
         topic = topic_next(broker, topic)) {
        if (topic->put_count != topic->put_told)
            counters_add(broker, COUNTER_PUT, topic->entry.name, (struct text){0},
                         topic->put_count - topic->put_told);
        topic->put_told = topic->put_count;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct counters *counters = timer->data;
    counters_fold(counters->broker);
    counters->ticks++;
    for (uint32_t ring = 0; ring < RING_COUNT; ring++) {
        if (counters->ticks % rings[ring].every != 0)
            continue;
        const size_t at = counters->ticks / rings[ring].every % rings[ring].room;
        for (struct table_entry *entry = table_next(&counters->table, NULL); entry != NULL;
             entry = table_next(&counters->table, entry)) {
            struct counter *counter = (struct counter *)(void *)entry;
            counter->before[ring][at] = counter->total;
        }
    }
}

/* In the time of the ring; *out_rate: a second.
 * The total as it was a whole ring ago lies where the next one will: 0 if it is younger. */
static uint64_t ring_sum(const struct counters *counters, const struct counter *counter,
                         uint32_t ring, double *out_rate)
{
    const uint64_t steps = counters->ticks / rings[ring].every;
    const size_t oldest = (steps + 1) % rings[ring].room;
    const uint64_t sum = counter->total - counter->before[ring][oldest];
    const uint64_t whole = (uint64_t)rings[ring].every * rings[ring].room;
    uint64_t age = counters->ticks - counter->since + 1;
    age = age > whole ? whole : age;
    *out_rate = (double)sum / (double)(age * TICK_S);
    return sum;
}

static void put_ring(struct buffer *out, const struct counters *counters,
                     const struct counter *counter, uint32_t ring)
{
    double rate;
    const uint64_t sum = ring_sum(counters, counter, ring, &rate);
    buffer_format(out, "%s\"%s\":{\"avgpt\":0.0,\"sum\":%llu,\"tps\":%.2f}", ring > 0 ? "," : "{",
                  rings[ring].name, (unsigned long long)sum, rate);
}

double counters_rate(struct broker *broker, const char *name, struct text topic, struct text group)
{
    const struct counters *counters = broker->counters;
    double rate = 0;
    if (group.bytes == 0)
        counters_fold(broker);
    const struct counter *counter = (const struct counter *)(const void *)table_find(
        &counters->table, counter_name(broker, text_of(name), topic, group));
    if (counter != NULL)
        (void)ring_sum(counters, counter, 0, &rate);
    return rate;
}

void handle_view_stats(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    struct counters *counters = broker->counters;
    const struct text name = command_text(command, "statsName");
    const struct text key = command_text(command, "statsKey");
    counters_fold(broker);
    const struct counter *counter = (const struct counter *)(const void *)table_find(
        &counters->table, counter_name(broker, name, key, (struct text){0}));
    struct buffer *out = &broker->scratch;
    if (counter == NULL) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "The stats <%.*s> <%.*s> not exist",
                    (int)name.bytes, name.data, (int)key.bytes, key.data);
        return;
    }
    buffer_clear(out);
    for (uint32_t ring = 0; ring < RING_COUNT; ring++)
        put_ring(out, counters, counter, ring);
    buffer_put_byte(out, '}');
    reply_body(connection, command, buffer_text(out));
}

bool counters_start(struct broker *broker)
{
    struct counters *counters = calloc(1, sizeof *counters);
    if (counters == NULL)
        return false;
    counters->broker = broker;
    broker->counters = counters;
    uv_timer_init(&broker->loop, &counters->timer);
    counters->timer.data = counters;
    return uv_timer_start(&counters->timer, on_timer, TICK_S * 1000, TICK_S * 1000) == 0;
}

void counters_stop(struct broker *broker)
{
    struct counters *counters = broker->counters;
    if (counters == NULL)
        return;
    struct table_entry *entry;
    while ((entry = table_next(&counters->table, NULL)) != NULL) {
        table_remove(&counters->table, entry);
        free(entry);
    }
    table_free(&counters->table);
    uv_close((uv_handle_t *)&counters->timer, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    free(counters);
    broker->counters = NULL;
}
