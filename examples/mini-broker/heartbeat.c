/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * heartbeat.c - heartbeats, farewells, and the question who else is in a group.
 *
 * Owns: nothing; clients.c keeps what is said here. Invariants: 1. a heartbeat is never refused for
 * what a newer client says in it, only for more than clients.h lets one client, or all, say; 2.
 * each consumer group that retries has its topic for them; 3. a group counts once in a heartbeat,
 * as it is named first. Threads: the loop's. Happy path: JSON, join, subscribe, tell the others.
 * Failure modes: a body that is no JSON: REPLY_SYSTEM_ERROR; one that is too large for any
 * client's: REPLY_INVALID; the id of a producer of another account: REPLY_NO_PERMISSION; a
 * subscription that cannot be parsed is left out, and its pulls say so; too much is said:
 * REPLY_SYSTEM_BUSY, with what has room kept.
 */
#include "clients.h"
#include "codes.h"
#include "dispatch.h"
#include "groups.h"
#include "json.h"
#include "log.h"
#include "notices.h"
#include "reply.h"
#include "topics.h"

struct beat {
    struct connection *connection;
    const struct command *command;
    struct text id;             /* of the client */
    uint64_t round;             /* of this heartbeat */
    bool without_subscriptions; /* those that are there stay */
    bool full;                  /* not all of it could be kept */
    bool denied;                /* the id is of another account */
};

/* True: other messages than before are wanted. */
static bool subscribe(struct beat *beat, struct audience *audience, const json_t *data)
{
    struct commitlog_error err = {0};
    const struct text type = json_text(data, "expressionType");
    const struct text topic = json_text(data, "topic");
    struct subscription *subscription =
        subscription_new(topic, json_text(data, "subString"), text_equal(type, TEXT("SQL92")),
                         json_number(data, "subVersion"), &err);
    if (subscription == NULL) {
        static struct log_seldom said;
        uint64_t count;
        if (log_seldom(&said, (int64_t)uv_now(&beat->connection->broker->loop), &count))
            log_line(LOG_WARN,
                     "group %.*s, topic %.*s: subscription: %s; %llu of all groups since the last "
                     "line",
                     (int)audience->entry.name.bytes, audience->entry.name.data, (int)topic.bytes,
                     topic.data, err.message, (unsigned long long)count);
        return false;
    }
    subscription_keep(subscription, json_dumps(data, JSON_COMPACT));
    const enum taken taken = clients_subscribe(beat->connection, audience, subscription);
    beat->full |= taken == TAKEN_FULL;
    return taken == TAKEN_NEW;
}

/* NULL: it cannot, or has by this heartbeat already. */
static struct audience *join(struct beat *beat, bool producer, struct text group, bool *out_new)
{
    enum taken taken;
    const struct broker *broker = beat->connection->broker;
    struct audience *audience =
        producer ? clients_producers(broker, group) : clients_consumers(broker, group);
    if (audience != NULL && audience->round == beat->round)
        return NULL;
    audience = clients_join(beat->connection, beat->command, producer, group, beat->id, &taken);
    beat->full |= taken == TAKEN_FULL;
    beat->denied |= taken == TAKEN_DENIED;
    if (audience != NULL)
        audience->round = beat->round;
    *out_new = taken == TAKEN_NEW;
    return audience;
}

static void consumer_beats(struct beat *beat, const json_t *data)
{
    struct broker *broker = beat->connection->broker;
    const struct text group = json_text(data, "groupName");
    bool changed;
    struct group *made = group_make(broker, group);
    if (made == NULL) { /* a name that cannot be is passed over, as RocketMQ does */
        beat->full |= group_name_is_good(group);
        return;
    }
    struct audience *audience = join(beat, false, group, &changed);
    if (audience == NULL)
        return;
    beat->full |= made->retry_queues > 0 && group_retries(broker, made) == NULL;
    audience->broadcast = text_equal(json_text(data, "messageModel"), TEXT("BROADCASTING"));
    audience->active = text_equal(json_text(data, "consumeType"), TEXT("CONSUME_ACTIVELY")) ||
                       text_equal(json_text(data, "consumeType"), TEXT("PULL"));
    const struct text from = json_text(data, "consumeFromWhere");
    if (from.bytes < sizeof audience->from_where && from.bytes > 0) {
        memcpy(audience->from_where, from.data, from.bytes);
        audience->from_where[from.bytes] = '\0';
    }
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(data, "subscriptionDataSet"), i, item) changed |=
        subscribe(beat, audience, item);
    if (!beat->without_subscriptions)
        changed |= clients_unsubscribe_unseen(broker, audience);
    if (changed)
        notices_changed(broker, audience);
}

void handle_heartbeat(struct connection *connection, const struct command *command)
{
    json_t *json = json_body_or_reply(connection, command, JSON_CLIENT_MAX, "heartbeat");
    if (json == NULL)
        return;
    struct beat beat = {.connection = connection,
                        .command = command,
                        .id = json_text(json, "clientID"),
                        .round = ++connection->broker->round,
                        .without_subscriptions = json_is_true(json_object_get(json, "withoutSub"))};
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(json, "producerDataSet"), i, item)
    {
        bool is_new;
        (void)join(&beat, true, json_text(item, "groupName"), &is_new);
    }
    json_array_foreach(json_object_get(json, "consumerDataSet"), i, item)
        consumer_beats(&beat, item);
    json_decref(json);
    if (beat.denied) {
        reply_error(connection, command, REPLY_NO_PERMISSION, "the client id of another account");
        return;
    }
    if (!beat.full) {
        reply_ok(connection, command);
        return;
    }
    clients_say_full(connection);
    reply_error(connection, command, REPLY_SYSTEM_BUSY,
                "heartbeat: too many groups and subscriptions, of this client or of all: a client "
                "has room for %d MiB, all for %d MiB and %d groups, a group for %d subscriptions",
                CLIENT_BYTES_MAX >> 20, CLIENTS_BYTES_MAX >> 20, GROUPS_MAX,
                CLIENTS_SUBSCRIPTIONS_MAX);
}

void handle_unregister(struct connection *connection, const struct command *command)
{
    const struct text id = command_text(command, "clientID");
    struct text group;
    if (command_find(command, TEXT("producerGroup"), &group))
        clients_leave(connection, true, group, id);
    if (command_find(command, TEXT("consumerGroup"), &group))
        clients_leave(connection, false, group, id);
    reply_ok(connection, command);
}

void handle_consumers(struct connection *connection, const struct command *command)
{
    const struct text group = command_text(command, "consumerGroup");
    const struct audience *audience = clients_consumers(connection->broker, group);
    if (audience == NULL) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "no consumer for this group, %.*s",
                    (int)group.bytes, group.data);
        return;
    }
    struct buffer *out = &connection->broker->scratch;
    const char *separator = "";
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"consumerIdList\":["));
    for (const struct member *member = audience->members; member != NULL;
         member = member_next(member)) {
        buffer_put_text(out, text_of(separator));
        buffer_put_json(out, member->client->entry.name);
        separator = ",";
    }
    buffer_put_text(out, TEXT("]}"));
    reply_body(connection, command, buffer_text(out));
}

/* Before a consumer with a condition begins: is it one? */
void handle_client_check(struct connection *connection, const struct command *command)
{
    struct commitlog_error err = {0};
    json_t *json = json_body_or_reply(connection, command, JSON_CLIENT_MAX, "subscription");
    if (json == NULL)
        return;
    const json_t *data = json_object_get(json, "subscriptionData");
    const bool sql = text_equal(json_text(data, "expressionType"), TEXT("SQL92"));
    struct subscription *subscription =
        subscription_new(json_text(data, "topic"), json_text(data, "subString"), sql, 0, &err);
    if (subscription == NULL)
        reply_error(connection, command, REPLY_BAD_SUBSCRIPTION, "%s", err.message);
    else
        reply_ok(connection, command);
    subscription_free(subscription);
    json_decref(json);
}
