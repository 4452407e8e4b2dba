/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rates.c - a ring of counts, one each RATES_EVERY_S seconds. See rates.h.
 *
 * Happy path: a timer keeps the counts, and sees when a day is over. Failure modes: a clock that is
 * set to another day ends the day that it was.
 */
#include "rates.h"

#include "stat.h"

#include <stdlib.h>
#include <time.h>

enum { RATES_EVERY_S = 2, RATES_ROOM = 600 / RATES_EVERY_S + 1 };

struct rates {
    struct broker *broker;
    uv_timer_t timer;
    uint64_t times; /* that counts were kept */
    int day;        /* of the year */
    uint64_t mornings[2][RATES_COUNT];
    struct {
        int64_t at_ms;
        uint64_t counts[RATES_COUNT];
    } ring[RATES_ROOM];
};

static uint64_t count_of(const struct broker *broker, enum rates_of which)
{
    switch (which) {
    case RATES_PUT:
        return broker->put_count;
    case RATES_GET:
        return broker->get_count;
    case RATES_FOUND:
        return broker->pulls_found;
    case RATES_MISSED:
        return broker->pulls_missed;
    case RATES_DELAYED:
        return broker->delayed_count;
    case RATES_DELIVERED:
        return stat_of(broker, "timers_delivered");
    case RATES_COUNT:
        break;
    }
    return 0;
}

static int day_of_year(void)
{
    struct tm local = {0};
    const time_t now = time(NULL);
    return localtime_r(&now, &local) == NULL ? 0 : local.tm_yday;
}

static void on_timer(uv_timer_t *timer)
{
    struct rates *rates = timer->data;
    const size_t at = rates->times++ % RATES_ROOM;
    rates->ring[at].at_ms = (int64_t)uv_now(timer->loop);
    uint64_t *counts = rates->ring[at].counts;
    for (unsigned which = 0; which < RATES_COUNT; which++)
        counts[which] = count_of(rates->broker, (enum rates_of)which);
    const int day = day_of_year();
    if (day == rates->day)
        return;
    rates->day = day;
    memcpy(rates->mornings[1], rates->mornings[0], sizeof rates->mornings[0]);
    memcpy(rates->mornings[0], counts, sizeof rates->mornings[0]);
}

double rates_over(const struct broker *broker, enum rates_of which, uint32_t seconds)
{
    const struct rates *rates = broker->rates;
    const uint64_t kept = rates->times < RATES_ROOM ? rates->times : RATES_ROOM;
    uint64_t back = seconds / RATES_EVERY_S;
    back = back < 1 ? 1 : back > kept ? kept : back;
    const size_t at = (rates->times - back) % RATES_ROOM;
    const uint64_t now = count_of(broker, which);
    const int64_t ms = (int64_t)uv_now(&broker->loop) - rates->ring[at].at_ms;
    return ms <= 0 ? 0 : (double)(now - rates->ring[at].counts[which]) * 1000 / (double)ms;
}

uint64_t rates_until_morning(const struct broker *broker, enum rates_of which, bool yesterday)
{
    return broker->rates->mornings[yesterday][which];
}

bool rates_start(struct broker *broker)
{
    struct rates *rates = calloc(1, sizeof *rates);
    if (rates == NULL)
        return false;
    rates->broker = broker;
    rates->day = day_of_year();
    broker->rates = rates;
    uv_timer_init(&broker->loop, &rates->timer);
    rates->timer.data = rates;
    on_timer(&rates->timer);
    return uv_timer_start(&rates->timer, on_timer, RATES_EVERY_S * 1000, RATES_EVERY_S * 1000) == 0;
}

void rates_stop(struct broker *broker)
{
    if (broker->rates == NULL)
        return;
    uv_close((uv_handle_t *)&broker->rates->timer, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    free(broker->rates);
    broker->rates = NULL;
}
