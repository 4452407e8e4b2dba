/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clients.h - who is connected: producers and consumers by group, and what the latter subscribe.
 *
 * Owns: struct audience, one for each group with members, its members and subscriptions, and struct
 * client, one for each id that members have. Invariants: 1. a member's connection is open; 2. an
 * audience without members is gone, and so is a client; 3. members of a consumer group are told of
 * every change of members or subscriptions; 4. what is kept is at most CLIENTS_BYTES_MAX, and of
 * the heartbeats of one connection CLIENT_BYTES_MAX, so that a single one cannot keep others
 * out; 5. the end of a connection costs what it has joined, however many others there are; 6. with
 * --acl all members with one id that are producers are of one account, for answers go to the id.
 * Threads: the loop's.
 */
#ifndef MINI_BROKER_CLIENTS_H
#define MINI_BROKER_CLIENTS_H

#include "command.h"
#include "connection.h"
#include "subscription.h"

enum {
    CLIENT_BYTES_MAX = 8 * 1024 * 1024,
    CLIENTS_BYTES_MAX = 128 * 1024 * 1024,
    CLIENTS_SUBSCRIPTIONS_MAX = 4096, /* of a group */
    CLIENTS_GROUP_MAX = 240           /* bytes of its name; consumers: GROUP_NAME_MAX */
};

/* What became of something that a heartbeat says. */
enum taken {
    TAKEN_SAME,
    TAKEN_NEW,
    TAKEN_NOT,   /* too long a name */
    TAKEN_FULL,  /* it would be beyond what is kept, or there is no memory */
    TAKEN_DENIED /* the id is of another account */
};

/* Each member is in three lists. */
enum member_list { MEMBER_OF_AUDIENCE, MEMBER_OF_CONNECTION, MEMBER_OF_CLIENT, MEMBER_LISTS };

struct client {
    struct table_entry entry;  /* by its id, NUL behind it */
    struct member *members[2]; /* of consumers, and of producers */
};

struct member {
    struct member *next[MEMBER_LISTS];
    struct member **at[MEMBER_LISTS]; /* what points to it */
    struct audience *audience;
    struct connection *connection;
    struct client *client;
    struct text account; /* that signed its heartbeat, behind the member; empty without --acl */
    bool owed;           /* notices.c: it is still to be told that the group has changed */
    uint8_t language;
    int32_t version;
};

struct audience {
    struct table_entry entry; /* by group */
    struct member *members;
    struct member *asked; /* clients_any_producer begins here; NULL: with the first */
    bool producers;
    uint32_t member_count;
    uint64_t round;                /* of the last heartbeat that names it, or end of a member */
    struct audience *changed_next; /* notices.c */
    struct audience **changed_at;  /* NULL: it is in no list */
    struct table subscriptions;
    bool broadcast;
    bool active; /* lite pull */
    char from_where[40];
};

bool clients_start(struct broker *broker);
void clients_stop(struct broker *broker);

/* In its audience; NULL ends. */
static inline struct member *member_next(const struct member *member)
{
    return member->next[MEMBER_OF_AUDIENCE];
}

struct audience *clients_consumers(const struct broker *broker, struct text group);
struct audience *clients_producers(const struct broker *broker, struct text group);
struct audience *clients_next_consumers(const struct broker *broker,
                                        const struct audience *audience);

/* Joins, or is refreshed. NULL: *out_taken says why not. */
struct audience *clients_join(struct connection *connection, const struct command *command,
                              bool producer, struct text group, struct text id,
                              enum taken *out_taken);
/* The member with this id, if it is of this connection: nobody says farewell for others. */
void clients_leave(struct connection *connection, bool producer, struct text group, struct text id);
/* The connection was closed. */
void clients_gone(struct connection *connection);
/* Some member's connection, which reads, of an account that may write to the topic, not always the
 * same; NULL: none, or none of those that were looked at; others are the next time. */
struct connection *clients_any_producer(const struct broker *broker, struct text group,
                                        struct text topic);
/* Of the producer with this id that came last; NULL: there is none. */
struct connection *clients_find_producer(const struct broker *broker, struct text id);
/* NULL: not subscribed. */
const struct subscription *clients_subscription(const struct broker *broker, struct text group,
                                                struct text topic);
/* Replaces, or adds; the subscription is taken over. Of a member. */
enum taken clients_subscribe(struct connection *connection, struct audience *audience,
                             struct subscription *subscription);
/* Takes away what is not `seen`. True: something was. */
bool clients_unsubscribe_unseen(struct broker *broker, struct audience *audience);
/* Something was TAKEN_FULL: a line of the log, now and then. */
void clients_say_full(struct connection *connection);

#endif
