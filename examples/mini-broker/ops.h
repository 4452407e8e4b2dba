/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ops.h - what operators need: HTTP port, rates, SIGHUP, word to the service manager.
 *
 * Owns: struct ops and what hangs on it. Invariants: the broker works the same without it.
 * Threads: the loop's.
 */
#ifndef MINI_BROKER_OPS_H
#define MINI_BROKER_OPS_H

#include "broker.h"

struct ops {
    struct broker *broker;
    struct options *options;         /* broker->options, to be changed by reload.c */
    struct http *http;               /* NULL: not asked for */
    struct topic_rates *topic_rates; /* NULL, too, then */
    uv_timer_t tick;
    uv_timer_t flush;    /* runs in a store that was opened as sync */
    uv_timer_t watchdog; /* runs when the service manager wants to hear from us */
    int64_t reloaded_ms; /* of the last one that was good, the start included */
    bool reload_failed;
};

/* Last of all starts: the service manager is told that the broker is ready. */
bool ops_start(struct broker *broker, struct options *options);
/* First of all stops. */
void ops_stop(struct broker *broker);
/* SIGHUP. `accounts_good`: those were read again, or there are none. */
void ops_reload(struct broker *broker, bool accounts_good);

#endif
