/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin_groups.c - what administrators ask and change of groups, and who is in them.
 *
 * Owns: nothing. Invariants: a change is on disk before it is answered; one that is refused changes
 * nothing. Threads: the loop's.
 * Happy path: as admin_topics.c. Failure modes: nobody is there: REPLY_NOT_ONLINE.
 */
#include "clients.h"
#include "codes.h"
#include "counters.h"
#include "dispatch.h"
#include "durable.h"
#include "groups.h"
#include "json.h"
#include "offsets.h"
#include "queue_table.h"
#include "reply.h"

void handle_group_update(struct connection *connection, const struct command *command)
{
    const char *why = "";
    int32_t code;
    json_t *json =
        json_body_or_reply(connection, command, JSON_SETTINGS_MAX, "no settings of a group");
    if (json == NULL)
        return;
    if (json_text(json, "groupName").bytes > GROUP_NAME_MAX)
        reply_error(connection, command, REPLY_INVALID, "a group's name has at most %d bytes",
                    GROUP_NAME_MAX);
    else if ((code = group_update(connection->broker, json, &why)) != REPLY_OK)
        reply_error(connection, command, code, "%s%s",
                    code == REPLY_INVALID ? "no settings of a group: " : "", why);
    else
        reply_ok(connection, command);
    json_decref(json);
}

void handle_group_delete(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const char *why = "";
    if (!group_delete(broker, command_text(command, "groupName"),
                      command_bool(command, "cleanOffset"), &why)) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "%s", why);
        return;
    }
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    durable_reply_written(broker, &reply);
}

void handle_group_all(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    json_t *table = json_object();
    for (const struct group *group = group_next(broker, NULL); group != NULL;
         group = group_next(broker, group))
        json_object_set_new(table, group->entry.name.data, group_settings(group));
    reply_json(connection, command,
               json_pack("{s:{s:I, s:I, s:I}, s:{}, s:o}", "dataVersion", "counter", (json_int_t)1,
                         "stateVersion", (json_int_t)0, "timestamp", (json_int_t)broker->started_ms,
                         "forbiddenTable", "subscriptionGroupTable", table));
}

void handle_group_config(struct connection *connection, const struct command *command)
{
    const struct text name = command_text(command, "group");
    const struct group *group = group_find(connection->broker, name);
    if (group == NULL)
        reply_error(connection, command, REPLY_NO_GROUP, "No group in this broker: %.*s",
                    (int)name.bytes, name.data);
    else
        reply_json(connection, command, group_settings(group));
}

static json_t *members_json(const struct audience *audience)
{
    json_t *list = json_array();
    for (const struct member *member = audience->members; member != NULL;
         member = member_next(member))
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:i}", "clientId", member->client->entry.name.data,
                            "clientAddr", member->connection->host_text, "language",
                            language_name(member->language), "version", (int)member->version));
    return list;
}

void handle_consumer_connection(struct connection *connection, const struct command *command)
{
    const struct text group = command_text(command, "consumerGroup");
    const struct audience *audience = clients_consumers(connection->broker, group);
    if (audience == NULL) {
        reply_error(connection, command, REPLY_NOT_ONLINE, "the consumer group[%.*s] not online",
                    (int)group.bytes, group.data);
        return;
    }
    json_t *table = json_object();
    for (const struct table_entry *entry = table_next(&audience->subscriptions, NULL);
         entry != NULL; entry = table_next(&audience->subscriptions, entry)) {
        const struct subscription *one = (const struct subscription *)(const void *)entry;
        json_object_set_new(table, entry->name.data,
                            one->data == NULL ? NULL : json_loads(one->data, 0, NULL));
    }
    reply_json(connection, command,
               json_pack("{s:o, s:o, s:s, s:s, s:s}", "connectionSet", members_json(audience),
                         "subscriptionTable", table, "consumeType",
                         audience->active ? "CONSUME_ACTIVELY" : "CONSUME_PASSIVELY",
                         "messageModel", audience->broadcast ? "BROADCASTING" : "CLUSTERING",
                         "consumeFromWhere",
                         audience->from_where[0] == '\0' ? "CONSUME_FROM_LAST_OFFSET"
                                                         : audience->from_where));
}

void handle_producer_connection(struct connection *connection, const struct command *command)
{
    const struct text group = command_text(command, "producerGroup");
    const struct audience *audience = clients_producers(connection->broker, group);
    if (audience == NULL)
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "the producer group[%.*s] not exist",
                    (int)group.bytes, group.data);
    else
        reply_json(connection, command,
                   json_pack("{s:o}", "connectionSet", members_json(audience)));
}

/* When the last message that the group has consumed was stored; 0: none, or it is gone. */
static int64_t consumed_ms(struct broker *broker, struct topic *topic, uint32_t queue,
                           int64_t offset, const struct commitlog_queue_info *info)
{
    struct commitlog_message message;
    uint32_t count = 0;
    if (offset <= (int64_t)info->first_offset || offset > (int64_t)info->next_offset)
        return 0;
    struct commitlog_cursor *cursor = topic_cursor(broker, topic, queue);
    const uint64_t last = (uint64_t)offset - 1;
    if (cursor == NULL || /* a pull has left its choice there */
        commitlog_cursor_set_tags(cursor, NULL, 0) != COMMITLOG_OK ||
        commitlog_cursor_set_filter(cursor, NULL) != COMMITLOG_OK ||
        commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, last) != COMMITLOG_OK)
        return 0;
    const bool found =
        commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL) == COMMITLOG_OK &&
        message.queue_offset == last;
    topic_cursor_release(cursor);
    return found ? message.store_time_ns / 1000000 : 0;
}

/* The queues of a topic, if the group has come anywhere in it. True: they are in the table. */
static bool put_consumed(struct buffer *out, struct broker *broker, struct text group,
                         struct topic *topic, bool first)
{
    bool any = false;
    for (uint32_t queue = 0; queue < topic->read_queues && !any; queue++)
        any = offsets_get(broker, group, topic, queue) >= 0;
    for (uint32_t queue = 0; queue < topic->read_queues && any; queue++) {
        struct commitlog_queue_info info;
        int64_t offset = offsets_get(broker, group, topic, queue);
        (void)topic_bounds(broker, topic, queue, &info);
        if (offset < 0)
            offset = 0;
        queue_table_key(out, broker, topic, queue, first && queue == 0);
        buffer_format(out,
                      "{\"brokerOffset\":%llu,\"consumerOffset\":%lld,\"lastTimestamp\":%lld,"
                      "\"pullOffset\":%lld}",
                      (unsigned long long)info.next_offset, (long long)offset,
                      (long long)consumed_ms(broker, topic, queue, offset, &info),
                      (long long)offset);
    }
    return any;
}

void handle_consume_status(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct text group = command_text(command, "consumerGroup");
    const struct text wanted = command_text(command, "topic");
    struct buffer *out = &broker->properties; /* the other one is offsets.c's */
    bool first = true;
    double rate = 0;
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"offsetTable\":{"));
    for (struct topic *topic = topic_next(broker, NULL); topic != NULL;
         topic = topic_next(broker, topic)) {
        if (topic->deleted || topic->stored == TOPIC_NOT_STORED ||
            (wanted.bytes > 0 && !text_equal(wanted, topic->entry.name)))
            continue;
        if (!put_consumed(out, broker, group, topic, first))
            continue;
        first = false;
        rate += counters_rate(broker, COUNTER_GET, topic->entry.name, group);
    }
    buffer_format(out, "},\"consumeTps\":%.2f}", rate);
    reply_body(connection, command, buffer_text(out));
}
