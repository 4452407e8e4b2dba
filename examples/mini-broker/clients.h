/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clients.h - who is connected: producers and consumers by group, and what the latter subscribe.
 *
 * Owns: struct audience, one for each group with members, and its members and subscriptions.
 * Invariants: 1. a member's connection is open; 2. an audience without members is gone; 3. members
 * of a consumer group are told of every change of members or subscriptions. Threads: the loop's.
 */
#ifndef MINI_BROKER_CLIENTS_H
#define MINI_BROKER_CLIENTS_H

#include "command.h"
#include "connection.h"
#include "subscription.h"

struct member {
    struct member *next;
    struct connection *connection;
    int32_t version;
    uint8_t language;
    size_t id_bytes;
    char id[];
};

struct audience {
    struct table_entry entry; /* by group */
    struct member *members;
    uint32_t member_count;
    struct table subscriptions;
    bool broadcast;
    bool active; /* lite pull */
    char from_where[40];
};

bool clients_start(struct broker *broker);
void clients_stop(struct broker *broker);

struct audience *clients_consumers(const struct broker *broker, struct text group);
struct audience *clients_producers(const struct broker *broker, struct text group);
struct audience *clients_next_consumers(const struct broker *broker,
                                        const struct audience *audience);

/* Joins, or is refreshed. *out_new: it was not there. NULL: no memory, too many, too long a name.
 */
struct audience *clients_join(struct broker *broker, bool producer, struct text group,
                              struct text id, struct connection *connection,
                              const struct command *command, bool *out_new);
void clients_leave(struct broker *broker, bool producer, struct text group, struct text id);
/* The connection was closed. */
void clients_gone(struct connection *connection);
void clients_notify(struct broker *broker, const struct audience *audience);
/* Some member's connection, not always the same; NULL: none. */
struct connection *clients_any_producer(const struct broker *broker, struct text group);
/* By its own id; NULL: it is not there. */
struct connection *clients_find_producer(const struct broker *broker, struct text id);
/* NULL: not subscribed. */
const struct subscription *clients_subscription(const struct broker *broker, struct text group,
                                                struct text topic);
/* Replaces, or adds. False: it is as it was. */
bool clients_subscribe(struct audience *audience, struct subscription *subscription);
/* Takes away what is not `seen`. True: something was. */
bool clients_unsubscribe_unseen(struct audience *audience);

#endif
