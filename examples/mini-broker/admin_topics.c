/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin_topics.c - what administrators ask and change of topics.
 *
 * Owns: nothing. Invariants: a change is on disk before it is answered. Threads: the loop's.
 * Happy path: change, store, save, answer. Failure modes: a name or number that cannot be:
 * REPLY_INVALID; the file of settings cannot be written: REPLY_SYSTEM_ERROR.
 */
#include "codes.h"
#include "config_store.h"
#include "dispatch.h"
#include "groups.h"
#include "json.h"
#include "offsets.h"
#include "queue_table.h"
#include "reply.h"
#include "topics.h"

void handle_topic_update(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct text name = command_text(command, "topic");
    const int64_t read = command_i64(command, "readQueueNums", 8);
    const int64_t write = command_i64(command, "writeQueueNums", 8);
    struct commitlog_error err = {0};
    if (!topic_name_is_good(name) || read < 1 || write < 1 || read > TOPIC_QUEUES_MAX ||
        write > TOPIC_QUEUES_MAX) {
        reply_error(connection, command, REPLY_INVALID, "no topic can have this name and size");
        return;
    }
    json_t *attributes =
        topic_new_attributes(broker, topic_find(broker, name), command_text(command, "attributes"));
    if (attributes == NULL) {
        reply_error(connection, command, REPLY_INVALID, "too many attributes, of it or of all");
        return;
    }
    struct topic *topic =
        topic_make(broker, name, (uint32_t)(read > write ? read : write), PERM_READ | PERM_WRITE);
    if (topic == NULL) {
        json_decref(attributes);
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "no memory");
        return;
    }
    topic->read_queues = (uint32_t)read;
    topic->write_queues = (uint32_t)write;
    topic->perm = (uint32_t)command_i64(command, "perm", PERM_READ | PERM_WRITE) & 7;
    topic->sys_flag = (uint32_t)command_i64(command, "topicSysFlag", 0);
    topic->order = command_bool(command, "order");
    topic_take_attributes(broker, topic, attributes);
    const int32_t code = topic_store(broker, topic, &err);
    config_changed(broker);
    if (code != COMMITLOG_OK)
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "%s", err.message);
    else if (!config_save(broker))
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "the settings cannot be written");
    else
        reply_ok(connection, command);
}

void handle_topic_delete(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    struct topic *topic = topic_find(broker, command_text(command, "topic"));
    if (topic != NULL && topic->system) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "the broker needs this topic");
        return;
    }
    if (topic != NULL)
        topic_delete(broker, topic);
    if (config_save(broker))
        reply_ok(connection, command);
    else
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "the settings cannot be written");
}

/* At the name server: there is one table for both, so it is gone already. */
void handle_topic_delete_route(struct connection *connection, const struct command *command)
{
    reply_ok(connection, command);
}

/* NULL: it was answered that there is none. */
static struct topic *asked(struct connection *connection, const struct command *command)
{
    const struct text name = command_text(command, "topic");
    struct topic *topic = topic_find(connection->broker, name);
    if (topic == NULL)
        reply_error(connection, command, REPLY_NO_TOPIC, "No topic in this broker. topic: %.*s",
                    (int)name.bytes, name.data);
    return topic;
}

void handle_topic_config(struct connection *connection, const struct command *command)
{
    const struct topic *topic = asked(connection, command);
    if (topic != NULL)
        reply_json(connection, command, topic_settings(topic));
}

void handle_topic_all(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    json_t *table = json_object();
    for (const struct topic *topic = topic_next(broker, NULL); topic != NULL;
         topic = topic_next(broker, topic)) {
        if (!topic->deleted)
            json_object_set_new(table, topic->entry.name.data, topic_settings(topic));
    }
    reply_json(connection, command,
               json_pack("{s:{s:I, s:I, s:I}, s:o}", "dataVersion", "counter", (json_int_t)1,
                         "stateVersion", (json_int_t)0, "timestamp", (json_int_t)broker->started_ms,
                         "topicConfigTable", table));
}

void handle_topic_status(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct topic *topic = asked(connection, command);
    if (topic == NULL)
        return;
    struct buffer *out = &broker->properties; /* the other one is offsets.c's */
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"offsetTable\":{"));
    for (uint32_t queue = 0; queue < topic->read_queues; queue++) {
        struct commitlog_queue_info info;
        topic_bounds(broker, topic, queue, &info);
        queue_table_key(out, broker, topic, queue, queue == 0);
        buffer_format(out, "{\"lastUpdateTimestamp\":%lld,\"maxOffset\":%llu,\"minOffset\":%llu}",
                      (long long)(info.last_time_ns / 1000000),
                      (unsigned long long)info.next_offset, (unsigned long long)info.first_offset);
    }
    buffer_put_text(out, TEXT("},\"topicPutTps\":0.0}"));
    reply_body(connection, command, buffer_text(out));
}

/* Groups that have come somewhere in the topic. */
void handle_topic_groups(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct topic *topic = asked(connection, command);
    if (topic == NULL)
        return;
    json_t *list = json_array();
    for (const struct group *group = group_next(broker, NULL); group != NULL;
         group = group_next(broker, group)) {
        bool has = false;
        for (uint32_t queue = 0; queue < topic->read_queues && !has; queue++)
            has = offsets_get(broker, group->entry.name, topic, queue) >= 0;
        if (has)
            json_array_append_new(list, json_string(group->entry.name.data));
    }
    reply_json(connection, command, json_pack("{s:o}", "groupList", list));
}
