/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rates.c - a ring of counts, one each RATES_EVERY_S seconds. See rates.h.
 */
#include "rates.h"

#include <stdlib.h>

enum { RATES_EVERY_S = 2, RATES_ROOM = 600 / RATES_EVERY_S + 1 };

struct rates {
    struct broker *broker;
    uv_timer_t timer;
    uint64_t times; /* that counts were kept */
    struct {
        int64_t at_ms;
        uint64_t counts[2];
    } ring[RATES_ROOM];
};

static void on_timer(uv_timer_t *timer)
{
    struct rates *rates = timer->data;
    const size_t at = rates->times++ % RATES_ROOM;
    rates->ring[at].at_ms = (int64_t)uv_now(timer->loop);
    rates->ring[at].counts[RATES_PUT] = rates->broker->put_count;
    rates->ring[at].counts[RATES_GET] = rates->broker->get_count;
}

double rates_over(const struct broker *broker, enum rates_of which, uint32_t seconds)
{
    const struct rates *rates = broker->rates;
    const uint64_t kept = rates->times < RATES_ROOM ? rates->times : RATES_ROOM;
    uint64_t back = seconds / RATES_EVERY_S;
    back = back < 1 ? 1 : back > kept ? kept : back;
    const size_t at = (rates->times - back) % RATES_ROOM;
    const uint64_t now = which == RATES_PUT ? broker->put_count : broker->get_count;
    const int64_t ms = (int64_t)uv_now(&broker->loop) - rates->ring[at].at_ms;
    return ms <= 0 ? 0 : (double)(now - rates->ring[at].counts[which]) * 1000 / (double)ms;
}

bool rates_start(struct broker *broker)
{
    struct rates *rates = calloc(1, sizeof *rates);
    if (rates == NULL)
        return false;
    rates->broker = broker;
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
