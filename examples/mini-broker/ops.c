/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops.c - starts, ticks and stops what operators need. See ops.h.
 *
 * A store that was opened to flush with each append does not flush by itself while there is
 * traffic, and shows only what is durable. For what nobody waits for (deliveries of delayed
 * messages, and everything once the broker is told at run time to answer at once) somebody has to:
 * the flush timer here.
 *
 * Happy path: limits, rates, HTTP, READY; a tick a second; STOPPING. Failure modes: an HTTP port
 * that cannot be had stops the start.
 */
#include "ops.h"

#include "durable.h"
#include "http.h"
#include "log.h"
#include "notify.h"
#include "reload.h"
#include "room.h"
#include "topic_rates.h"

#include <stdlib.h>
#include <sys/resource.h>

enum { TICK_MS = 1000, FLUSH_MS = 50, DESCRIPTORS_KEPT = 512 };

static void on_tick(uv_timer_t *timer)
{
    const struct ops *ops = timer->data;
    topic_rates_tick(ops->topic_rates);
    (void)room_is_full(ops->broker);
    http_tick(ops->http);
}

static void on_flush(uv_timer_t *timer)
{
    const struct ops *ops = timer->data;
    durable_soon(ops->broker);
}

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    notify("WATCHDOG=1");
}

/* Clients must not take all descriptors: the store and the HTTP port need some. */
static void bound_connections(struct options *options)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    const rlim_t kept =
        limit.rlim_cur < 2 * DESCRIPTORS_KEPT ? limit.rlim_cur / 2 : DESCRIPTORS_KEPT;
    if (options->connections <= limit.rlim_cur - kept)
        return;
    options->connections = (uint32_t)(limit.rlim_cur - kept);
    log_line(LOG_INFO, "connections: at most %u, because of %llu descriptors", options->connections,
             (unsigned long long)limit.rlim_cur);
}

static void ops_apply(struct ops *ops)
{
    bound_connections(ops->options);
    log_set_level(ops->options->log_level);
    durable_soon(ops->broker);
    struct commitlog_error err = {0};
    const struct commitlog_limits limits = {.struct_bytes = sizeof limits,
                                            .unflushed_bytes = ops->options->unflushed_bytes};
    if (commitlog_limits_set(ops->broker->store, &limits, &err) != COMMITLOG_OK)
        log_line(LOG_ERROR, "limits: %s", err.message);
}

/* Rates of topics are for its pages only. */
static bool start_http(struct ops *ops)
{
    ops->topic_rates = topic_rates_start(ops->broker);
    if (ops->topic_rates == NULL || uv_timer_start(&ops->tick, on_tick, TICK_MS, TICK_MS) != 0)
        return false;
    ops->http = http_start(ops->broker, &ops->options->http);
    return ops->http != NULL;
}

bool ops_start(struct broker *broker, struct options *options)
{
    struct ops *ops = calloc(1, sizeof *ops);
    if (ops == NULL)
        return false;
    *ops = (struct ops){.broker = broker, .options = options, .reloaded_ms = broker_now_ms()};
    broker->ops = ops;
    (void)uv_timer_init(&broker->loop, &ops->tick);
    (void)uv_timer_init(&broker->loop, &ops->flush);
    (void)uv_timer_init(&broker->loop, &ops->watchdog);
    ops->tick.data = ops->flush.data = ops->watchdog.data = ops;
    ops_apply(ops);
    if (options->sync)
        (void)uv_timer_start(&ops->flush, on_flush, FLUSH_MS, FLUSH_MS);
    if (options->has_http && !start_http(ops))
        return false;
    const uint64_t watchdog_ms = notify_watchdog_ms();
    if (watchdog_ms > 0)
        (void)uv_timer_start(&ops->watchdog, on_watchdog, 0, watchdog_ms);
    notify("READY=1\nSTATUS=serving");
    return true;
}

void ops_reload(struct broker *broker, bool accounts_good)
{
    struct ops *ops = broker->ops;
    if (ops == NULL)
        return;
    notify_reloading();
    const bool options_good = reload(ops->options);
    ops->reload_failed = !options_good || !accounts_good;
    if (options_good)
        ops_apply(ops);
    if (!ops->reload_failed)
        ops->reloaded_ms = broker_now_ms();
    notify("READY=1");
}

void ops_stop(struct broker *broker)
{
    struct ops *ops = broker->ops;
    if (ops == NULL)
        return;
    notify("STOPPING=1\nSTATUS=stopping");
    http_stop(ops->http);
    uv_close((uv_handle_t *)&ops->tick, NULL);
    uv_close((uv_handle_t *)&ops->flush, NULL);
    uv_close((uv_handle_t *)&ops->watchdog, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    topic_rates_stop(ops->topic_rates);
    free(ops);
    broker->ops = NULL;
}
