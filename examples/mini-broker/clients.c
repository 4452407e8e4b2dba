/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clients.c - tables of producers and consumers. See clients.h.
 *
 * Happy path: a heartbeat joins, the end of the connection leaves; each change of a consumer group
 * is told to its members, who then share out the queues anew. Failure modes: no memory, or beyond
 * what is kept: a member or subscription is not taken, what was there stays, and the client tries
 * again with its next heartbeat.
 */
#include "clients.h"

#include "locks.h"
#include "log.h"
#include "notices.h"
#include "topics.h"

#include <stdlib.h>

enum { ID_MAX = 512, AUDIENCES_MAX = 100000, MEMBERS_MAX = 65536, ALLOCATIONS_COST = 96 };
enum { ASKED_MAX = 64 }; /* members that are looked at for one that reads */

struct clients {
    struct table consumers;
    struct table producers;
    size_t bytes; /* the costs of all members and subscriptions */
    struct log_seldom full;
};

struct audience *clients_consumers(const struct broker *broker, struct text group)
{
    return (struct audience *)(void *)table_find(&broker->clients->consumers, group);
}

struct audience *clients_producers(const struct broker *broker, struct text group)
{
    return (struct audience *)(void *)table_find(&broker->clients->producers, group);
}

struct audience *clients_next_consumers(const struct broker *broker,
                                        const struct audience *audience)
{
    return (struct audience *)(void *)table_next(&broker->clients->consumers,
                                                 audience == NULL ? NULL : &audience->entry);
}

static struct table *clients_table(struct broker *broker, bool producer)
{
    return producer ? &broker->clients->producers : &broker->clients->consumers;
}

static void discharge(struct broker *broker, struct connection *by, size_t cost)
{
    broker->clients->bytes -= cost;
    if (by != NULL)
        by->told -= cost;
}

/* Whether there is room or not. */
static void charge_anyway(struct broker *broker, struct connection *by, size_t cost)
{
    broker->clients->bytes += cost;
    if (by != NULL)
        by->told += cost;
}

static bool charge(struct connection *by, size_t cost)
{
    const size_t bytes = by->broker->clients->bytes;
    if (bytes > CLIENTS_BYTES_MAX || cost > CLIENTS_BYTES_MAX - bytes ||
        by->told > CLIENT_BYTES_MAX || cost > CLIENT_BYTES_MAX - by->told)
        return false;
    charge_anyway(by->broker, by, cost);
    return true;
}

/* With a share of the audience, which is there as long as it has a member. */
static size_t member_cost(const struct audience *audience, size_t id_bytes)
{
    return sizeof(struct member) + id_bytes + sizeof *audience + audience->entry.name.bytes +
           ALLOCATIONS_COST;
}

/* The connection is a member no more, or one less: others bring anew what it had subscribed. */
static void audience_disown(struct audience *audience, struct connection *by)
{
    for (struct table_entry *entry = table_next(&audience->subscriptions, NULL); entry != NULL;
         entry = table_next(&audience->subscriptions, entry)) {
        struct subscription *subscription = (struct subscription *)(void *)entry;
        if (subscription->by != by)
            continue;
        by->told -= subscription->cost;
        subscription->by = NULL;
    }
}

static void audience_unsubscribe(struct broker *broker, struct audience *audience,
                                 struct subscription *subscription)
{
    discharge(broker, subscription->by, subscription->cost);
    table_remove(&audience->subscriptions, &subscription->entry);
    subscription_free(subscription);
}

static void audience_free(struct broker *broker, struct table *table, struct audience *audience)
{
    struct table_entry *entry;
    notices_forget(broker, audience);
    while ((entry = table_next(&audience->subscriptions, NULL)) != NULL)
        audience_unsubscribe(broker, audience, (struct subscription *)(void *)entry);
    table_free(&audience->subscriptions);
    table_remove(table, &audience->entry);
    free(audience);
}

static struct audience *audience_make(struct table *table, struct text group)
{
    struct audience *audience = (struct audience *)(void *)table_find(table, group);
    if (audience != NULL || table->count >= AUDIENCES_MAX || group.bytes > CLIENTS_GROUP_MAX)
        return audience;
    audience = calloc(1, sizeof *audience + group.bytes + 1);
    if (audience == NULL)
        return NULL;
    if (group.bytes > 0)
        memcpy(audience + 1, group.data, group.bytes);
    audience->entry.name = (struct text){(char *)(audience + 1), group.bytes};
    if (!table_insert(table, &audience->entry)) {
        free(audience);
        return NULL;
    }
    return audience;
}

static struct member *audience_add(struct audience *audience, struct text id)
{
    if (audience->member_count >= MEMBERS_MAX || id.bytes > ID_MAX)
        return NULL;
    struct member *member = calloc(1, sizeof *member + id.bytes + 1);
    if (member == NULL)
        return NULL;
    if (id.bytes > 0)
        memcpy(member->id, id.data, id.bytes);
    member->id_bytes = id.bytes;
    member->next = audience->members;
    audience->members = member;
    audience->member_count++;
    return member;
}

/* To another connection than it had. */
static bool member_move(struct audience *audience, struct member *member,
                        struct connection *connection)
{
    const size_t cost = member_cost(audience, member->id_bytes);
    discharge(connection->broker, member->connection, cost);
    if (!charge(connection, cost)) {
        charge_anyway(connection->broker, member->connection, cost);
        return false;
    }
    audience_disown(audience, member->connection);
    member->connection = connection;
    return true;
}

/* NULL: *out_taken says why. */
static struct member *member_make(struct audience *audience, struct text id,
                                  struct connection *connection, enum taken *out_taken)
{
    const size_t cost = member_cost(audience, id.bytes);
    *out_taken = TAKEN_FULL;
    if (!charge(connection, cost))
        return NULL;
    struct member *member = audience_add(audience, id);
    *out_taken = member != NULL ? TAKEN_NEW : id.bytes > ID_MAX ? TAKEN_NOT : TAKEN_FULL;
    if (member == NULL)
        discharge(connection->broker, connection, cost);
    else
        member->connection = connection;
    return member;
}

struct audience *clients_join(struct connection *connection, const struct command *command,
                              bool producer, struct text group, struct text id,
                              enum taken *out_taken)
{
    struct broker *broker = connection->broker;
    struct table *table = clients_table(broker, producer);
    struct audience *audience = audience_make(table, group);
    *out_taken = group.bytes > CLIENTS_GROUP_MAX ? TAKEN_NOT : TAKEN_FULL;
    if (audience == NULL)
        return NULL;
    struct member *member = audience->members;
    while (member != NULL && !text_equal((struct text){member->id, member->id_bytes}, id))
        member = member->next;
    if (member == NULL) {
        member = member_make(audience, id, connection, out_taken);
    } else {
        *out_taken = TAKEN_SAME;
        if (member->connection != connection && !member_move(audience, member, connection)) {
            *out_taken = TAKEN_FULL;
            return NULL;
        }
    }
    if (member == NULL) {
        if (audience->members == NULL)
            audience_free(broker, table, audience);
        return NULL;
    }
    if (*out_taken == TAKEN_NEW)
        log_line(LOG_INFO, "%s: %.*s joins %s %.*s", connection->host_text, (int)id.bytes, id.data,
                 producer ? "producers" : "consumers", (int)group.bytes, group.data);
    member->version = command->version;
    member->language = command->language;
    connection->is_client = true;
    return audience;
}

/* Members of this connection: all (id NULL), or that with the id. True: there were some. */
static bool audience_remove(struct audience *audience, struct connection *connection,
                            const struct text *id)
{
    bool left = false;
    struct member **at = &audience->members;
    while (*at != NULL) {
        struct member *member = *at;
        if (member->connection == connection &&
            (id == NULL || text_equal((struct text){member->id, member->id_bytes}, *id))) {
            *at = member->next;
            left = true;
            discharge(connection->broker, connection, member_cost(audience, member->id_bytes));
            free(member);
            audience->member_count--;
        } else {
            at = &member->next;
        }
    }
    if (left)
        audience_disown(audience, connection);
    return left;
}

static void audience_changed(struct broker *broker, bool producer, struct audience *audience)
{
    log_line(LOG_INFO, "%s %.*s: %u members", producer ? "producers" : "consumers",
             (int)audience->entry.name.bytes, audience->entry.name.data, audience->member_count);
    if (audience->members == NULL)
        audience_free(broker, clients_table(broker, producer), audience);
    else if (!producer)
        notices_changed(broker, audience);
}

void clients_leave(struct connection *connection, bool producer, struct text group, struct text id)
{
    struct broker *broker = connection->broker;
    struct audience *audience =
        producer ? clients_producers(broker, group) : clients_consumers(broker, group);
    if (audience == NULL || !audience_remove(audience, connection, &id))
        return;
    if (!producer)
        locks_release_client(broker, group, id);
    audience_changed(broker, producer, audience);
}

void clients_gone(struct connection *connection)
{
    struct broker *broker = connection->broker;
    if (!connection->is_client || broker->clients == NULL)
        return;
    for (int producer = 0; producer < 2; producer++) {
        struct table *table = clients_table(broker, producer != 0);
        struct table_entry *entry = table_next(table, NULL);
        while (entry != NULL) {
            struct audience *audience = (struct audience *)(void *)entry;
            entry = table_next(table, entry);
            if (audience_remove(audience, connection, NULL))
                audience_changed(broker, producer != 0, audience);
        }
    }
}

struct connection *clients_any_producer(const struct broker *broker, struct text group)
{
    const struct audience *audience = clients_producers(broker, group);
    if (audience == NULL)
        return NULL;
    uint32_t steps = (uint32_t)broker->next_opaque % audience->member_count;
    const struct member *member = audience->members;
    while (steps-- > 0)
        member = member->next;
    for (uint32_t i = 0; i < audience->member_count && i < ASKED_MAX; i++) {
        if (!member->connection->closed && !connection_is_behind(member->connection))
            return member->connection;
        member = member->next != NULL ? member->next : audience->members;
    }
    return NULL;
}

struct connection *clients_find_producer(const struct broker *broker, struct text id)
{
    const struct table *table = &broker->clients->producers;
    for (const struct table_entry *entry = table_next(table, NULL); entry != NULL;
         entry = table_next(table, entry)) {
        const struct member *member = ((const struct audience *)(const void *)entry)->members;
        for (; member != NULL; member = member->next) {
            if (text_equal((struct text){member->id, member->id_bytes}, id))
                return member->connection;
        }
    }
    return NULL;
}

const struct subscription *clients_subscription(const struct broker *broker, struct text group,
                                                struct text topic)
{
    const struct audience *audience = clients_consumers(broker, group);
    if (audience == NULL)
        return NULL;
    return (const struct subscription *)(const void *)table_find(&audience->subscriptions, topic);
}

enum taken clients_subscribe(struct connection *connection, struct audience *audience,
                             struct subscription *subscription)
{
    struct broker *broker = connection->broker;
    struct table *table = &audience->subscriptions;
    struct table_entry *entry = table_find(table, subscription->entry.name);
    struct subscription *old = (struct subscription *)(void *)entry;
    enum taken taken = TAKEN_NEW;
    if (old != NULL) {
        old->seen = true;
        if (subscription->version < old->version) { /* of a member that is not up to date */
            subscription_free(subscription);
            return TAKEN_SAME;
        }
        if (old->sql == subscription->sql && text_equal(old->expression, subscription->expression))
            taken = TAKEN_SAME;
        discharge(broker, old->by, old->cost);
    }
    if ((old == NULL && table->count >= CLIENTS_SUBSCRIPTIONS_MAX) ||
        !charge(connection, subscription->cost)) {
        if (old != NULL)
            charge_anyway(broker, old->by, old->cost);
        subscription_free(subscription);
        return TAKEN_FULL;
    }
    if (old != NULL) {
        table_remove(table, entry);
        subscription_free(old);
    }
    subscription->seen = true;
    subscription->by = connection;
    if (!table_insert(table, &subscription->entry)) {
        discharge(broker, connection, subscription->cost);
        subscription_free(subscription);
        return TAKEN_NOT;
    }
    return taken;
}

bool clients_unsubscribe_unseen(struct broker *broker, struct audience *audience)
{
    bool changed = false;
    struct table_entry *entry = table_next(&audience->subscriptions, NULL);
    while (entry != NULL) {
        struct subscription *subscription = (struct subscription *)(void *)entry;
        entry = table_next(&audience->subscriptions, entry);
        if (subscription->seen) {
            subscription->seen = false;
            continue;
        }
        audience_unsubscribe(broker, audience, subscription);
        changed = true;
    }
    return changed;
}

void clients_say_full(struct connection *connection)
{
    struct clients *clients = connection->broker->clients;
    uint64_t count;
    if (log_seldom(&clients->full, (int64_t)uv_now(&connection->broker->loop), &count))
        log_line(LOG_WARN,
                 "%s: a heartbeat is not kept as a whole: %zu bytes are of it, %zu of all clients; "
                 "%llu since the last line",
                 connection->host_text, connection->told, clients->bytes,
                 (unsigned long long)count);
}

bool clients_start(struct broker *broker)
{
    broker->clients = calloc(1, sizeof *broker->clients);
    return broker->clients != NULL;
}

void clients_stop(struct broker *broker)
{
    struct clients *clients = broker->clients;
    if (clients == NULL)
        return;
    table_free(&clients->consumers); /* connections_stop has emptied them */
    table_free(&clients->producers);
    free(clients);
    broker->clients = NULL;
}
