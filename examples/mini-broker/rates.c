/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rates.c - rings of counts, all written at the same moments. See rates.h.
 *
 * Happy path: tick, then newest less oldest by the time between. Failure modes: no memory: a topic
 * has the rate 0.
 */
#include "rates.h"

#include "topics.h"

#include <stdlib.h>

enum { RATES_RING = 11 }; /* ten seconds lie between the ends */

struct ring {
    uint64_t counts[RATES_RING];
};

struct topic_ring {
    struct table_entry entry; /* by topic; the name lies behind */
    struct ring ring;
};

struct rates {
    const struct broker *broker;
    uint64_t times_ms[RATES_RING];
    unsigned at; /* of the newest */
    unsigned filled;
    struct ring received, delivered;
    struct table topics;
};

static struct topic_ring *ring_of(struct rates *rates, const struct topic *topic)
{
    const struct text name = topic->entry.name;
    struct topic_ring *one = (struct topic_ring *)(void *)table_find(&rates->topics, name);
    if (one != NULL)
        return one;
    one = calloc(1, sizeof *one + name.bytes);
    if (one == NULL)
        return NULL;
    memcpy(one + 1, name.data, name.bytes);
    one->entry.name = (struct text){(char *)(one + 1), name.bytes};
    if (!table_insert(&rates->topics, &one->entry)) {
        free(one);
        return NULL;
    }
    return one;
}

void rates_tick(struct rates *rates)
{
    rates->at = (rates->at + 1) % RATES_RING;
    rates->filled += rates->filled < RATES_RING;
    rates->times_ms[rates->at] = uv_now(&rates->broker->loop);
    rates->received.counts[rates->at] = rates->broker->put_count;
    rates->delivered.counts[rates->at] = rates->broker->get_count;
    for (const struct topic *topic = topic_next(rates->broker, NULL); topic != NULL;
         topic = topic_next(rates->broker, topic)) {
        struct topic_ring *one = ring_of(rates, topic);
        if (one != NULL)
            one->ring.counts[rates->at] = topic->put_count;
    }
}

static double rate(const struct rates *rates, const struct ring *ring)
{
    if (rates->filled < 2)
        return 0;
    const unsigned oldest = (rates->at + RATES_RING - (rates->filled - 1)) % RATES_RING;
    const uint64_t ms = rates->times_ms[rates->at] - rates->times_ms[oldest];
    const uint64_t count = ring->counts[rates->at] - ring->counts[oldest];
    return ms == 0 ? 0 : (double)count * 1000 / (double)ms;
}

double rates_received(const struct rates *rates)
{
    return rate(rates, &rates->received);
}

double rates_delivered(const struct rates *rates)
{
    return rate(rates, &rates->delivered);
}

double rates_of_topic(const struct rates *rates, struct text topic)
{
    const struct topic_ring *one =
        (const struct topic_ring *)(const void *)table_find(&rates->topics, topic);
    return one == NULL ? 0 : rate(rates, &one->ring);
}

struct rates *rates_start(const struct broker *broker)
{
    struct rates *rates = calloc(1, sizeof *rates);
    if (rates == NULL)
        return NULL;
    rates->broker = broker;
    rates_tick(rates);
    return rates;
}

void rates_stop(struct rates *rates)
{
    if (rates == NULL)
        return;
    struct table_entry *entry;
    while ((entry = table_next(&rates->topics, NULL)) != NULL) {
        table_remove(&rates->topics, entry);
        free((void *)entry);
    }
    table_free(&rates->topics);
    free(rates);
}
