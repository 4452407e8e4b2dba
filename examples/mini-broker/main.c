/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * main.c - the mini-broker: a message broker for clients of RocketMQ, on libcommitlog's public
 * interface alone.
 *
 * The way of a message, by file names: listeners.c accepts, connection.c reads frames, frame.c and
 * header_json.c or header_binary.c take them apart, dispatch.c finds who handles them; send.c
 * checks, topics.c and properties.c know what is asked for, append.c puts it into the store in the
 * layout of message_layout.c, durable.c answers when the disk has it. And back: pull.c reads,
 * hold.c waits, output.c sends what lies in the store without copying it.
 *
 * Owns: the store, the loop, and the order in which the parts start and stop.
 * Threads: one runs the loop and all handlers; durable.c has one that flushes; lookup.c one for
 * each name; the store has one.
 * Happy path: open, start, run until a signal, stop, close. Failure modes: what cannot start says
 * why, status 1; a store that failed later refuses what is sent, and only a new start clears that.
 */
#include "broker.h"

#include "acl.h"
#include "clients.h"
#include "config_store.h"
#include "connection.h"
#include "counters.h"
#include "durable.h"
#include "groups.h"
#include "hold.h"
#include "join.h"
#include "listeners.h"
#include "locks.h"
#include "log.h"
#include "namesrv.h"
#include "notices.h"
#include "offsets.h"
#include "ops.h"
#include "rates.h"
#include "send.h"
#include "tls.h"
#include "topics.h"
#include "transactions.h"

#include <errno.h>
#include <libgen.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { EVENTS_MS = 1000, SIGNALS = 3, PART_MS = 2000, PART_LOOK_MS = 10 };

static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};

static struct {
    struct broker broker;
    uv_signal_t signals[SIGNALS];
    uv_timer_t events;
    uv_timer_t look;
} all;

/* Made or there; one that was made is there after a power cut, too. */
static bool make_folder(const char *path)
{
    struct stat there;
    if (mkdir(path, 0700) != 0) {
        if (errno == EEXIST && stat(path, &there) == 0 && !S_ISDIR(there.st_mode))
            errno = ENOTDIR;
        return errno == EEXIST;
    }
    char *copy = strdup(path);
    const bool synced = copy != NULL && config_sync_folder(dirname(copy));
    free(copy);
    return synced;
}

static bool open_store(struct broker *broker)
{
    struct commitlog_error err = {0};
    struct commitlog_options *options = NULL;
    char path[4096];
    if (!make_folder(broker->options->data)) {
        log_line(LOG_ERROR, "%s: %s", broker->options->data, strerror(errno));
        return false;
    }
    (void)snprintf(path, sizeof path, "%s/store", broker->options->data);
    int32_t code = commitlog_options_create(&options);
    if (code == COMMITLOG_OK)
        code = commitlog_options_set(
            options, COMMITLOG_OPT_FLUSH,
            broker->options->sync ? COMMITLOG_FLUSH_SYNC : COMMITLOG_FLUSH_ASYNC, &err);
    /* A consumer that was given what a power cut takes away would pass what is acknowledged for the
     * same offsets afterwards. */
    if (code == COMMITLOG_OK)
        code = commitlog_options_set(
            options, COMMITLOG_OPT_VISIBILITY,
            broker->options->sync ? COMMITLOG_VISIBLE_DURABLE : COMMITLOG_VISIBLE_PUBLISHED, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_options_set(options, COMMITLOG_OPT_MAX_BODY_BYTES, SEND_BODY_MAX + 65536,
                                     &err);
    if (code == COMMITLOG_OK)
        code = commitlog_options_set(options, COMMITLOG_OPT_RETAIN_BYTES,
                                     broker->options->retain_bytes, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_options_set(options, COMMITLOG_OPT_RETAIN_AGE_MS,
                                     (uint64_t)broker->options->retain_hours * 3600000, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_open(path, options, &broker->store, &err);
    commitlog_options_free(options);
    if (code != COMMITLOG_OK && strstr(err.message, path) != NULL)
        log_line(LOG_ERROR, "%s", err.message);
    else if (code != COMMITLOG_OK)
        log_line(LOG_ERROR, "store %s: %s", path, err.message);
    return code == COMMITLOG_OK;
}

static void say_recovery(struct broker *broker)
{
    struct commitlog_recovery recovery = {.struct_bytes = sizeof recovery};
    if (commitlog_recovery_get(broker->store, &recovery) == COMMITLOG_OK)
        log_line(LOG_INFO, "store: %s, from %llu to %llu, opened in %llu ms",
                 recovery.clean_close ? "was closed" : "recovered",
                 (unsigned long long)recovery.first, (unsigned long long)recovery.end,
                 (unsigned long long)recovery.duration_ns / 1000000);
}

static void on_events(uv_timer_t *timer)
{
    static const enum log_level levels[] = {LOG_INFO, LOG_WARN, LOG_ERROR};
    struct broker *broker = timer->data;
    struct commitlog_event event = {.struct_bytes = sizeof event};
    while (commitlog_event_next(broker->store, &event) == COMMITLOG_OK)
        log_line(levels[event.severity > 2 ? 2 : event.severity], "store: %s",
                 event.detail.message);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct broker *broker = handle->data;
    if (broker->stopping)
        return; /* it ends already, and some parts are gone */
    if (number == SIGHUP) {
        log_line(LOG_INFO, "%u connections, %llu messages taken, %llu given",
                 connections_count(broker), (unsigned long long)broker->put_count,
                 (unsigned long long)broker->get_count);
        (void)config_save(broker);
        ops_reload(broker, acl_reload(broker));
        return;
    }
    log_line(LOG_INFO, "stopping");
    broker->stopping = true;
    uv_stop(&broker->loop);
}

static bool start_signals(struct broker *broker)
{
    bool good = true;
    for (int i = 0; i < SIGNALS; i++) {
        good = good && uv_signal_init(&broker->loop, &all.signals[i]) == 0;
        all.signals[i].data = broker;
        good = good && uv_signal_start(&all.signals[i], on_signal, numbers[i]) == 0;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    uv_timer_init(&broker->loop, &all.events);
    all.events.data = broker;
    return good && uv_timer_start(&all.events, on_events, EVENTS_MS, EVENTS_MS) == 0;
}

/* As many descriptors as the system grants: one for each client. */
static void raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static bool start(struct broker *broker)
{
    return rates_start(broker) && counters_start(broker) && config_start(broker) &&
           groups_start(broker) && topics_start(broker) && clients_start(broker) &&
           notices_start(broker) && locks_start(broker) && namesrv_start(broker) &&
           offsets_start(broker) && transactions_start(broker) && acl_start(broker) &&
           tls_start(broker) && connections_start(broker) && listeners_start(broker) &&
           hold_start(broker) && durable_start(broker) && start_signals(broker) &&
           listeners_add(broker, &broker->options->namesrv, "name server") &&
           listeners_add(broker, &broker->options->listen, "broker") && join_start(broker);
}

static void on_look(uv_timer_t *timer)
{
    (void)timer; /* the loop wakes: no event tells what the other end's system has taken */
}

/* Clients take what they were answered, and name servers hear the farewell; who does neither holds
 * up the end for PART_MS. */
static void part(struct broker *broker)
{
    const uint64_t end = uv_hrtime() + (uint64_t)PART_MS * 1000000;
    if (uv_timer_init(&broker->loop, &all.look) != 0)
        return;
    (void)uv_timer_start(&all.look, on_look, PART_LOOK_MS, PART_LOOK_MS);
    while (uv_hrtime() < end && !(connections_left(broker) && join_left(broker)))
        (void)uv_run(&broker->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&all.look, NULL);
}

/* They were heard until now, and changed nothing; for the rest of the process they are blocked, or
 * one that comes when its handler is gone would end it with another status. */
static void stop_signals(struct broker *broker)
{
    sigset_t set;
    (void)sigemptyset(&set);
    for (int i = 0; i < SIGNALS; i++)
        (void)sigaddset(&set, numbers[i]);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    for (int i = 0; i < SIGNALS; i++) {
        if (all.signals[i].data != NULL)
            uv_close((uv_handle_t *)&all.signals[i], NULL);
    }
    if (all.events.data != NULL)
        uv_close((uv_handle_t *)&all.events, NULL);
    (void)uv_run(&broker->loop, UV_RUN_DEFAULT);
}

/* What waits is answered and taken, then connections end, then the store. */
static int32_t stop(struct broker *broker)
{
    struct commitlog_error err = {0};
    broker->stopping = true;
    ops_stop(broker);
    listeners_stop(broker);
    connections_leave(broker);
    join_leave(broker);
    transactions_stop(broker);
    durable_stop(broker);
    hold_stop(broker);
    part(broker);
    connections_stop(broker);
    join_stop(broker);
    tls_stop(broker);
    acl_stop(broker);
    offsets_stop(broker);
    namesrv_stop(broker);
    locks_stop(broker);
    clients_stop(broker);
    notices_stop(broker);
    config_stop(broker);
    rates_stop(broker);
    counters_stop(broker);
    topics_stop(broker);
    groups_stop(broker);
    const int32_t code = commitlog_close(broker->store, &err);
    if (code != COMMITLOG_OK)
        log_line(LOG_ERROR, "store: %s", err.message);
    stop_signals(broker);
    (void)uv_loop_close(&broker->loop);
    buffer_free(&broker->fields);
    buffer_free(&broker->header);
    buffer_free(&broker->properties);
    buffer_free(&broker->scratch);
    return code;
}

int main(int argc, char **argv)
{
    struct broker *broker = &all.broker;
    struct options options;
    const enum options_status status = options_parse(argc, argv, &options);
    if (status != OPTIONS_RUN) {
        options_free(&options);
        return status == OPTIONS_DONE ? 0 : 2;
    }
    log_set_level(options.log_level);
    broker->options = &options;
    broker->started_ms = broker_now_ms();
    raise_limit();
    if (!open_store(broker) || uv_loop_init(&broker->loop) != 0) {
        options_free(&options);
        return 1;
    }
    say_recovery(broker);
    const bool started = start(broker) && ops_start(broker, &options);
    if (started) {
        log_line(LOG_INFO, "broker %s of %s, reached at %s, flush %s", options.name,
                 options.cluster, options.advertise_text, options.sync ? "sync" : "async");
        (void)uv_run(&broker->loop, UV_RUN_DEFAULT);
    }
    const int32_t code = stop(broker);
    options_free(&options);
    return code == COMMITLOG_OK && started ? 0 : 1;
}
