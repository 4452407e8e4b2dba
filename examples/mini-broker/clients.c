/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clients.c - tables of producers and consumers. See clients.h.
 *
 * Happy path: a heartbeat joins, the end of the connection leaves; each change of a consumer group
 * is told to its members, who then share out the queues anew. Failure modes: no memory: a member
 * is not taken, and tries again with its next heartbeat.
 */
#include "clients.h"

#include "codes.h"
#include "locks.h"
#include "log.h"
#include "reply.h"
#include "topics.h"

#include <stdlib.h>

enum { ID_MAX = 512, GROUPS_MAX = 100000, MEMBERS_MAX = 65536, SUBSCRIPTIONS_MAX = 4096 };

struct clients {
    struct table consumers;
    struct table producers;
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

static void audience_free(struct table *table, struct audience *audience)
{
    struct table_entry *entry;
    while ((entry = table_next(&audience->subscriptions, NULL)) != NULL) {
        table_remove(&audience->subscriptions, entry);
        subscription_free((struct subscription *)(void *)entry);
    }
    table_free(&audience->subscriptions);
    table_remove(table, &audience->entry);
    free(audience);
}

static struct audience *audience_make(struct table *table, struct text group)
{
    struct audience *audience = (struct audience *)(void *)table_find(table, group);
    if (audience != NULL || table->count >= GROUPS_MAX || group.bytes > GROUP_NAME_MAX)
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

struct audience *clients_join(struct broker *broker, bool producer, struct text group,
                              struct text id, struct connection *connection,
                              const struct command *command, bool *out_new)
{
    struct table *table = clients_table(broker, producer);
    struct audience *audience = audience_make(table, group);
    if (audience == NULL)
        return NULL;
    struct member *member = audience->members;
    while (member != NULL && !text_equal((struct text){member->id, member->id_bytes}, id))
        member = member->next;
    *out_new = member == NULL;
    if (member == NULL)
        member = audience_add(audience, id);
    if (member == NULL) {
        if (audience->members == NULL)
            audience_free(table, audience);
        return NULL;
    }
    if (*out_new)
        log_line(LOG_INFO, "%s: %.*s joins %s %.*s", connection->host_text, (int)id.bytes, id.data,
                 producer ? "producers" : "consumers", (int)group.bytes, group.data);
    member->connection = connection;
    member->version = command->version;
    member->language = command->language;
    connection->is_client = true;
    return audience;
}

/* Members with this id (connection NULL), or of this connection. True: there were some. */
static bool audience_remove(struct audience *audience, struct text id,
                            const struct connection *connection)
{
    bool removed = false;
    struct member **at = &audience->members;
    while (*at != NULL) {
        struct member *member = *at;
        if (connection != NULL ? member->connection == connection
                               : text_equal((struct text){member->id, member->id_bytes}, id)) {
            *at = member->next;
            free(member);
            audience->member_count--;
            removed = true;
        } else {
            at = &member->next;
        }
    }
    return removed;
}

static void audience_changed(struct broker *broker, bool producer, struct audience *audience)
{
    log_line(LOG_INFO, "%s %.*s: %u members", producer ? "producers" : "consumers",
             (int)audience->entry.name.bytes, audience->entry.name.data, audience->member_count);
    if (audience->members == NULL)
        audience_free(clients_table(broker, producer), audience);
    else if (!producer)
        clients_notify(broker, audience);
}

void clients_leave(struct broker *broker, bool producer, struct text group, struct text id)
{
    struct audience *audience =
        producer ? clients_producers(broker, group) : clients_consumers(broker, group);
    if (audience == NULL || !audience_remove(audience, id, NULL))
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
            if (audience_remove(audience, (struct text){0}, connection))
                audience_changed(broker, producer != 0, audience);
        }
    }
}

void clients_notify(struct broker *broker, const struct audience *audience)
{
    if (broker->stopping)
        return;
    for (const struct member *member = audience->members; member != NULL; member = member->next) {
        struct reply request = request_begin(member->connection, REQUEST_CONSUMERS_CHANGED);
        reply_text(&request, "consumerGroup", audience->entry.name);
        if (!member->connection->closed)
            reply_end(&request, (struct text){0});
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
    return member->connection;
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

bool clients_subscribe(struct audience *audience, struct subscription *subscription)
{
    struct table *table = &audience->subscriptions;
    struct table_entry *entry = table_find(table, subscription->entry.name);
    struct subscription *old = (struct subscription *)(void *)entry;
    bool changed = old == NULL;
    subscription->seen = true;
    if (old != NULL) {
        if (subscription->version < old->version) { /* of a member that is not up to date */
            old->seen = true;
            subscription_free(subscription);
            return false;
        }
        changed =
            old->sql != subscription->sql || !text_equal(old->expression, subscription->expression);
        table_remove(table, entry);
        subscription_free(old);
    }
    if (table->count >= SUBSCRIPTIONS_MAX || !table_insert(table, &subscription->entry)) {
        subscription_free(subscription);
        return false;
    }
    return changed;
}

bool clients_unsubscribe_unseen(struct audience *audience)
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
        table_remove(&audience->subscriptions, &subscription->entry);
        subscription_free(subscription);
        changed = true;
    }
    return changed;
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
