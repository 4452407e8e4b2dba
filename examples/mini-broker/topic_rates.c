/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topic_rates.c - rings of counts, all written at the same moments. A topic that passes has none,
 * nor one that is gone. See topic_rates.h.
 *
 * Happy path: tick, then newest less oldest by the time between. Failure modes: no memory: a topic
 * has the rate 0.
 */
#include "topic_rates.h"

#include "topics.h"

#include <stdlib.h>

enum { RATES_RING = 11 }; /* ten seconds lie between the ends */

struct ring {
    uint64_t counts[RATES_RING];
};

struct topic_ring {
    struct table_entry entry; /* by topic; the name lies behind */
    struct ring ring;
    bool seen; /* in this tick */
};

struct topic_rates {
    const struct broker *broker;
    uint64_t times_ms[RATES_RING];
    unsigned at; /* of the newest */
    unsigned filled;
    struct table topics;
};

static struct topic_ring *ring_of(struct topic_rates *rates, const struct topic *topic)
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

/* Of topics that are gone. */
static void rings_forget(struct topic_rates *rates)
{
    struct table_entry *entry = table_next(&rates->topics, NULL);
    while (entry != NULL) {
        struct topic_ring *one = (struct topic_ring *)(void *)entry;
        entry = table_next(&rates->topics, entry);
        if (!one->seen) {
            table_remove(&rates->topics, &one->entry);
            free(one);
        } else {
            one->seen = false;
        }
    }
}

void topic_rates_tick(struct topic_rates *rates)
{
    rates->at = (rates->at + 1) % RATES_RING;
    rates->filled += rates->filled < RATES_RING;
    rates->times_ms[rates->at] = uv_now(&rates->broker->loop);
    for (const struct topic *topic = topic_next(rates->broker, NULL); topic != NULL;
         topic = topic_next(rates->broker, topic)) {
        struct topic_ring *one = topic->passing ? NULL : ring_of(rates, topic);
        if (one == NULL)
            continue;
        one->ring.counts[rates->at] = topic->put_count;
        one->seen = true;
    }
    rings_forget(rates);
}

static double rate(const struct topic_rates *rates, const struct ring *ring)
{
    if (rates->filled < 2)
        return 0;
    const unsigned oldest = (rates->at + RATES_RING - (rates->filled - 1)) % RATES_RING;
    const uint64_t ms = rates->times_ms[rates->at] - rates->times_ms[oldest];
    const uint64_t count = ring->counts[rates->at] - ring->counts[oldest];
    return ms == 0 ? 0 : (double)count * 1000 / (double)ms;
}

double topic_rate(const struct topic_rates *rates, struct text topic)
{
    const struct topic_ring *one =
        (const struct topic_ring *)(const void *)table_find(&rates->topics, topic);
    return one == NULL ? 0 : rate(rates, &one->ring);
}

struct topic_rates *topic_rates_start(const struct broker *broker)
{
    struct topic_rates *rates = calloc(1, sizeof *rates);
    if (rates == NULL)
        return NULL;
    rates->broker = broker;
    topic_rates_tick(rates);
    return rates;
}

void topic_rates_stop(struct topic_rates *rates)
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
