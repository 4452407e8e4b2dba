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

#include "acl.h"
#include "locks.h"
#include "log.h"
#include "notices.h"
#include "topics.h"

#include <stdlib.h>

enum { ID_MAX = 512, AUDIENCES_MAX = 100000, MEMBERS_MAX = 65536, ALLOCATIONS_COST = 96 };
enum { CHANGES_SAID = 10 }; /* lines in LOG_SELDOM_MS */
enum { ASKED_MAX = 64 };    /* members that are looked at for one that can be asked */
/* Each client of RocketMQ is in it, whatever it does. Nobody there asks for answers, and consumers
 * that get all messages have one id on a host, of whichever account they are. */
#define INNER_PRODUCERS TEXT("CLIENT_INNER_PRODUCER")

struct clients {
    struct table consumers;
    struct table producers;
    struct table by_id; /* those that are members */
    size_t bytes;       /* the costs of all members and subscriptions */
    struct log_seldom full;
    int64_t changes_ms; /* when changes began to be counted, */
    uint64_t changes;   /* and how many there were since */
};

/* Of a line about a change of members: a client makes as many as it likes. */
static enum log_level change_level(const struct broker *broker)
{
    struct clients *clients = broker->clients;
    const int64_t now = (int64_t)uv_now(&broker->loop);
    if (now - clients->changes_ms >= LOG_SELDOM_MS) {
        if (clients->changes > CHANGES_SAID)
            log_line(LOG_INFO, "%llu more changes of members of groups before",
                     (unsigned long long)(clients->changes - CHANGES_SAID));
        clients->changes_ms = now;
        clients->changes = 0;
    }
    return ++clients->changes > CHANGES_SAID ? LOG_DEBUG : LOG_INFO;
}

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

static struct client *client_find(const struct broker *broker, struct text id)
{
    return (struct client *)(void *)table_find(&broker->clients->by_id, id);
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

/* With a share of the audience and of the client, which are there as long as they have a member. */
static size_t member_cost(const struct audience *audience, struct text id, struct text account)
{
    return sizeof(struct member) + account.bytes + sizeof(struct client) + id.bytes +
           sizeof *audience + audience->entry.name.bytes + ALLOCATIONS_COST;
}

static struct text account_of(const struct broker *broker, const struct command *command)
{
    return broker->acl == NULL ? (struct text){0} : command_text(command, "AccessKey");
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

static void audience_free(struct broker *broker, struct audience *audience)
{
    struct table_entry *entry;
    notices_forget(broker, audience);
    while ((entry = table_next(&audience->subscriptions, NULL)) != NULL)
        audience_unsubscribe(broker, audience, (struct subscription *)(void *)entry);
    table_free(&audience->subscriptions);
    table_remove(clients_table(broker, audience->producers), &audience->entry);
    free(audience);
}

static struct audience *audience_make(struct broker *broker, bool producers, struct text group)
{
    struct table *table = clients_table(broker, producers);
    struct audience *audience = (struct audience *)(void *)table_find(table, group);
    if (audience != NULL || table->count >= AUDIENCES_MAX || group.bytes > CLIENTS_GROUP_MAX)
        return audience;
    audience = calloc(1, sizeof *audience + group.bytes + 1);
    if (audience == NULL)
        return NULL;
    if (group.bytes > 0)
        memcpy(audience + 1, group.data, group.bytes);
    audience->entry.name = (struct text){(char *)(audience + 1), group.bytes};
    audience->producers = producers;
    if (!table_insert(table, &audience->entry)) {
        free(audience);
        return NULL;
    }
    return audience;
}

/* NULL: no memory. */
static struct client *client_make(struct broker *broker, struct text id)
{
    struct table *table = &broker->clients->by_id;
    struct client *client = client_find(broker, id);
    if (client != NULL)
        return client;
    client = calloc(1, sizeof *client + id.bytes + 1);
    if (client == NULL)
        return NULL;
    if (id.bytes > 0)
        memcpy(client + 1, id.data, id.bytes);
    client->entry.name = (struct text){(char *)(client + 1), id.bytes};
    if (!table_insert(table, &client->entry)) {
        free(client);
        return NULL;
    }
    return client;
}

/* It is gone with its last member. */
static void client_settle(struct broker *broker, struct client *client)
{
    if (client->members[0] != NULL || client->members[1] != NULL)
        return;
    table_remove(&broker->clients->by_id, &client->entry);
    free(client);
}

static void member_link(struct member *member, enum member_list list, struct member **head)
{
    member->next[list] = *head;
    member->at[list] = head;
    if (*head != NULL)
        (*head)->at[list] = &member->next[list];
    *head = member;
}

static void member_unlink(struct member *member, enum member_list list)
{
    *member->at[list] = member->next[list];
    if (member->next[list] != NULL)
        member->next[list]->at[list] = member->at[list];
}

/* It may be one of many, in a group of many: whichever list ends first says. */
static struct member *member_find(const struct audience *audience, const struct client *client)
{
    struct member *in_group = audience->members;
    struct member *of_client = client == NULL ? NULL : client->members[audience->producers];
    while (in_group != NULL && of_client != NULL) {
        if (in_group->client == client)
            return in_group;
        if (of_client->audience == audience)
            return of_client;
        in_group = member_next(in_group);
        of_client = of_client->next[MEMBER_OF_CLIENT];
    }
    return NULL;
}

static struct member *audience_add(struct broker *broker, struct audience *audience, struct text id,
                                   struct text account)
{
    if (audience->member_count >= MEMBERS_MAX || id.bytes > ID_MAX)
        return NULL;
    struct client *client = client_make(broker, id);
    struct member *member = client == NULL ? NULL : calloc(1, sizeof *member + account.bytes);
    if (member == NULL) {
        if (client != NULL)
            client_settle(broker, client);
        return NULL;
    }
    if (account.bytes > 0)
        memcpy(member + 1, account.data, account.bytes);
    member->account = (struct text){(char *)(member + 1), account.bytes};
    member->client = client;
    member->audience = audience;
    member_link(member, MEMBER_OF_CLIENT, &client->members[audience->producers]);
    member_link(member, MEMBER_OF_AUDIENCE, &audience->members);
    audience->member_count++;
    return member;
}

/* To another connection than it had. */
static bool member_move(struct member *member, struct connection *connection)
{
    const size_t cost = member_cost(member->audience, member->client->entry.name, member->account);
    discharge(connection->broker, member->connection, cost);
    if (!charge(connection, cost)) {
        charge_anyway(connection->broker, member->connection, cost);
        return false;
    }
    audience_disown(member->audience, member->connection);
    member->connection = connection;
    member_unlink(member, MEMBER_OF_CONNECTION);
    member_link(member, MEMBER_OF_CONNECTION, &connection->members);
    member_unlink(member, MEMBER_OF_CLIENT);
    member_link(member, MEMBER_OF_CLIENT, &member->client->members[member->audience->producers]);
    return true;
}

/* NULL: *out_taken says why. */
static struct member *member_make(struct audience *audience, struct text id, struct text account,
                                  struct connection *connection, enum taken *out_taken)
{
    const size_t cost = member_cost(audience, id, account);
    *out_taken = TAKEN_FULL;
    if (!charge(connection, cost))
        return NULL;
    struct member *member = audience_add(connection->broker, audience, id, account);
    *out_taken = member != NULL ? TAKEN_NEW : id.bytes > ID_MAX ? TAKEN_NOT : TAKEN_FULL;
    if (member == NULL) {
        discharge(connection->broker, connection, cost);
        return NULL;
    }
    member->connection = connection;
    member_link(member, MEMBER_OF_CONNECTION, &connection->members);
    return member;
}

static void member_drop(struct broker *broker, struct member *member)
{
    struct audience *audience = member->audience;
    discharge(broker, member->connection,
              member_cost(audience, member->client->entry.name, member->account));
    if (audience->asked == member)
        audience->asked = member_next(member);
    for (unsigned list = 0; list < MEMBER_LISTS; list++)
        member_unlink(member, (enum member_list)list);
    client_settle(broker, member->client);
    free(member);
    audience->member_count--;
}

/* Those of one id in groups of their own are of one account. */
static const struct member *client_producer(const struct client *client)
{
    const struct member *member = client == NULL ? NULL : client->members[true];
    while (member != NULL && text_equal(member->audience->entry.name, INNER_PRODUCERS))
        member = member->next[MEMBER_OF_CLIENT];
    return member;
}

/* A producer with this id is there, of another account. */
static bool id_is_taken(const struct broker *broker, struct text id, struct text account)
{
    const struct member *member = client_producer(client_find(broker, id));
    return member != NULL && !text_equal(member->account, account);
}

struct audience *clients_join(struct connection *connection, const struct command *command,
                              bool producer, struct text group, struct text id,
                              enum taken *out_taken)
{
    struct broker *broker = connection->broker;
    const struct text account = account_of(broker, command);
    *out_taken = TAKEN_DENIED;
    if (producer && !text_equal(group, INNER_PRODUCERS) && id_is_taken(broker, id, account))
        return NULL;
    struct audience *audience = audience_make(broker, producer, group);
    *out_taken = group.bytes > CLIENTS_GROUP_MAX ? TAKEN_NOT : TAKEN_FULL;
    if (audience == NULL)
        return NULL;
    struct member *member = member_find(audience, client_find(broker, id));
    if (member != NULL && !text_equal(member->account, account)) {
        audience_disown(audience, member->connection);
        member_drop(broker, member);
        member = NULL;
    }
    if (member == NULL) {
        member = member_make(audience, id, account, connection, out_taken);
    } else {
        *out_taken = TAKEN_SAME;
        if (member->connection != connection && !member_move(member, connection)) {
            *out_taken = TAKEN_FULL;
            return NULL;
        }
    }
    if (member == NULL) {
        if (audience->members == NULL)
            audience_free(broker, audience);
        return NULL;
    }
    if (*out_taken == TAKEN_NEW)
        log_line(change_level(broker), "%s: %.*s joins %s %.*s", connection->host_text,
                 (int)id.bytes, id.data, producer ? "producers" : "consumers", (int)group.bytes,
                 group.data);
    member->version = command->version;
    member->language = command->language;
    return audience;
}

/* Who is left is told; the audience is gone with the last member. */
static void audience_changed(struct broker *broker, struct audience *audience)
{
    log_line(change_level(broker), "%s %.*s: %u members",
             audience->producers ? "producers" : "consumers", (int)audience->entry.name.bytes,
             audience->entry.name.data, audience->member_count);
    if (audience->members == NULL)
        audience_free(broker, audience);
    else if (!audience->producers)
        notices_changed(broker, audience);
}

void clients_leave(struct connection *connection, bool producer, struct text group, struct text id)
{
    struct broker *broker = connection->broker;
    struct audience *audience =
        producer ? clients_producers(broker, group) : clients_consumers(broker, group);
    struct member *member =
        audience == NULL ? NULL : member_find(audience, client_find(broker, id));
    if (member == NULL || member->connection != connection)
        return;
    audience_disown(audience, connection);
    member_drop(broker, member);
    if (!producer)
        locks_release_client(broker, group, id);
    audience_changed(broker, audience);
}

void clients_gone(struct connection *connection)
{
    struct broker *broker = connection->broker;
    const uint64_t round = ++broker->round;
    struct member *next;
    for (struct member *member = connection->members; member != NULL; member = next) {
        struct audience *audience = member->audience;
        next = member->next[MEMBER_OF_CONNECTION];
        if (audience->round != round) /* once, however many members of it go */
            audience_disown(audience, connection);
        audience->round = round;
        member_drop(broker, member);
        audience_changed(broker, audience);
    }
}

struct connection *clients_any_producer(const struct broker *broker, struct text group,
                                        struct text topic)
{
    struct audience *audience = clients_producers(broker, group);
    for (uint32_t i = 0; audience != NULL && i < audience->member_count && i < ASKED_MAX; i++) {
        const struct member *member = audience->asked != NULL ? audience->asked : audience->members;
        audience->asked = member_next(member);
        if (!member->connection->closed && !connection_is_behind(member->connection) &&
            acl_key_may_write(broker, member->account, topic))
            return member->connection;
    }
    return NULL;
}

struct connection *clients_find_producer(const struct broker *broker, struct text id)
{
    const struct member *member = client_producer(client_find(broker, id));
    return member == NULL ? NULL : member->connection;
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
    table_free(&clients->by_id);
    free(clients);
    broker->clients = NULL;
}
