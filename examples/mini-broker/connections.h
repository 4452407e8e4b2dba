/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * connections.h - what connection.c, which is about one, and connections.c, about all, share.
 *
 * Owns: struct connections, made and freed by connections.c. Invariants: 1. `leased` and `kept` are
 * the sums of what the open connections are counted as; 2. one in a list is referred to by it.
 * Threads: the loop's.
 */
#ifndef MINI_BROKER_CONNECTIONS_H
#define MINI_BROKER_CONNECTIONS_H

#include "connection.h"
#include "log.h"

enum { CONNECTIONS_BLOCK = 262144, CONNECTIONS_LAST_READS = 64 };
enum { CONNECTIONS_TRIM_FROM = 32 * 1024 * 1024 };
enum { CONNECTIONS_KEPT_TO = CONNECTIONS_KEPT_MAX / 8 * 7 }; /* once it is reached */

struct connections {
    struct broker *broker;
    struct connection *first;
    struct connection *dirty;
    struct connection *later, *later_last; /* whose frames wait for the next turn */
    uint64_t turn_ends_ns;                 /* 0: no frame was handled in this one */
    uint32_t count;
    size_t leased;
    size_t kept;
    bool trim;                    /* much was used: give it back to the system once it is not */
    struct log_seldom shed, late; /* lines about those that were closed */
    uv_prepare_t prepare;
    uv_idle_t idle; /* runs while somebody's frames wait, so the loop does not sleep */
    uv_timer_t tick;
    struct command *command;
    uint8_t *block; /* CONNECTIONS_BLOCK */
};

/* Frames were handled for so long that it is the turn of others. The first call begins a turn. */
bool connections_turn_is_over(struct connections *all);
/* Its frames wait for the next turn. */
void connection_later(struct connection *connection);
void connection_close(struct connection *connection, const char *why);
/* Sends what it was answered, and goes on. */
void connection_write(struct connection *connection);
/* With what had to wait: until answers were taken, or for its turn. */
void connection_go_on(struct connection *connection);
/* The sums of what is borrowed and kept by all. Past the limit of the former this one's is copied.
 */
void connection_count(struct connection *connection);
/* Past CONNECTIONS_KEPT_MAX: the worst are closed. Not from within a handler of a request. */
void connections_shed(struct connections *all);
/* Nothing of what it says is handled now. */
bool connection_rests(const struct connection *connection);
void connection_poll(struct connection *connection);

#endif
