/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin_topics.c - what administrators ask and change of topics.
 *
 * Owns: nothing. Invariants: 1. a change is on disk before it is answered; 2. one that is refused
 * changes nothing; of a list, those before the one that the store did not take are changed.
 * Threads: the loop's.
 * Happy path: change, store, save, answer. Failure modes: a name or number that cannot be:
 * REPLY_INVALID; a number that is missing, a store or a file of settings that cannot be written:
 * REPLY_SYSTEM_ERROR.
 */
#include "clients.h"
#include "codes.h"
#include "config_store.h"
#include "counters.h"
#include "dispatch.h"
#include "groups.h"
#include "json.h"
#include "offsets.h"
#include "queue_table.h"
#include "reply.h"
#include "topics.h"

#include <stdio.h>

enum { PERM_ALL = PERM_READ | PERM_WRITE | PERM_INHERIT, TOPICS_AT_ONCE = 1024 };

/* What is asked for. */
struct wanted {
    struct text name;
    int64_t read;
    int64_t write;
    int64_t perm;
    int64_t sys_flag;
    bool order;
    struct text attributes; /* "+a=b,-c": names and values that are set or taken away */
    json_t *changes;        /* {"+a": "b", "-c": ""}: the same, or NULL */
};

static bool wanted_can_be(const struct wanted *wanted)
{
    return topic_name_is_good(wanted->name) && wanted->read >= 1 && wanted->write >= 1 &&
           wanted->read <= TOPIC_QUEUES_MAX && wanted->write <= TOPIC_QUEUES_MAX &&
           wanted->perm >= 0 && wanted->perm <= PERM_ALL;
}

static void put_settings(struct topic *topic, const struct topic *from)
{
    topic->read_queues = from->read_queues;
    topic->write_queues = from->write_queues;
    topic->perm = from->perm;
    topic->sys_flag = from->sys_flag;
    topic->order = from->order;
}

/* REPLY_OK; or err says why not, and the topic, if there was one, is as it was. Without `save` the
 * settings are still to be written. */
static int32_t topic_set(struct broker *broker, const struct wanted *wanted, bool save,
                         struct commitlog_error *err)
{
    const struct topic *old = topic_find(broker, wanted->name);
    struct topic before = {0};
    const struct topic after = {.read_queues = (uint32_t)wanted->read,
                                .write_queues = (uint32_t)wanted->write,
                                .perm = (uint32_t)wanted->perm,
                                .sys_flag = (uint32_t)wanted->sys_flag,
                                .order = wanted->order};
    json_t *attributes = topic_new_attributes(broker, old, wanted->attributes, wanted->changes);
    if (attributes == NULL) {
        (void)snprintf(err->message, sizeof err->message, "too many attributes, of it or of all");
        return REPLY_INVALID;
    }
    if (old != NULL)
        before = *old;
    struct topic *topic = topic_make(broker, wanted->name, after.read_queues, after.perm);
    if (topic == NULL) {
        json_decref(attributes);
        (void)snprintf(err->message, sizeof err->message,
                       "no memory, or no room for another topic: %d", TOPICS_MAX);
        return REPLY_SYSTEM_ERROR;
    }
    json_t *kept = json_incref(before.attributes);
    put_settings(topic, &after);
    topic_take_attributes(broker, topic, attributes);
    bool good = topic_store(broker, topic, err) == COMMITLOG_OK;
    config_changed(broker);
    if (good && save && !config_save(broker)) {
        (void)snprintf(err->message, sizeof err->message, "the settings cannot be written");
        good = false;
    }
    if (!good && old == NULL) {
        topic_unmake(broker, topic);
    } else if (!good) {
        put_settings(topic, &before);
        topic_take_attributes(broker, topic, json_incref(kept));
        config_changed(broker);
    }
    json_decref(kept);
    return good ? REPLY_OK : REPLY_SYSTEM_ERROR;
}

void handle_topic_update(struct connection *connection, const struct command *command)
{
    struct commitlog_error err = {0};
    int32_t code;
    struct wanted wanted = {.name = command_text(command, "topic"),
                            .sys_flag = command_i64(command, "topicSysFlag", 0),
                            .order = command_bool(command, "order"),
                            .attributes = command_text(command, "attributes")};
    if (!text_to_i64(command_text(command, "readQueueNums"), &wanted.read) ||
        !text_to_i64(command_text(command, "writeQueueNums"), &wanted.write) ||
        !text_to_i64(command_text(command, "perm"), &wanted.perm))
        reply_error(connection, command, REPLY_SYSTEM_ERROR,
                    "readQueueNums, writeQueueNums and perm have to be numbers");
    else if (!wanted_can_be(&wanted))
        reply_error(connection, command, REPLY_INVALID,
                    "no topic can have this name, size and permission");
    else if ((code = topic_set(connection->broker, &wanted, true, &err)) != REPLY_OK)
        reply_error(connection, command, code, "%s", err.message);
    else
        reply_ok(connection, command);
}

static int64_t number_or(const json_t *json, const char *name, int64_t otherwise)
{
    return json_is_number(json_object_get(json, name)) ? json_number(json, name) : otherwise;
}

/* What is not said is as RocketMQ takes it. */
static struct wanted wanted_of_json(const json_t *json)
{
    return (struct wanted){.name = json_text(json, "topicName"),
                           .read = number_or(json, "readQueueNums", 16),
                           .write = number_or(json, "writeQueueNums", 16),
                           .perm = number_or(json, "perm", PERM_READ | PERM_WRITE),
                           .sys_flag = number_or(json, "topicSysFlag", 0),
                           .order = json_is_true(json_object_get(json, "order")),
                           .changes = json_object_get(json, "attributes")};
}

static int32_t say(struct commitlog_error *err, int32_t code, const char *why)
{
    (void)snprintf(err->message, sizeof err->message, "%s", why);
    return code;
}

/* REPLY_OK; or err says why not. */
static int32_t topics_set(struct broker *broker, const json_t *list, struct commitlog_error *err)
{
    size_t i;
    json_t *item;
    int32_t code = REPLY_OK;
    if (!json_is_array(list) || json_array_size(list) > TOPICS_AT_ONCE)
        return say(err, REPLY_SYSTEM_ERROR, "topicConfigList has to be a list, and not too long");
    json_array_foreach(list, i, item)
    {
        const struct wanted wanted = wanted_of_json(item);
        if (!wanted_can_be(&wanted))
            return say(err, REPLY_INVALID, "no topic can be as one of the list");
    }
    for (i = 0; code == REPLY_OK && i < json_array_size(list); i++) {
        const struct wanted wanted = wanted_of_json(json_array_get(list, i));
        code = topic_set(broker, &wanted, false, err);
    }
    if (!config_save(broker) && code == REPLY_OK)
        return say(err, REPLY_SYSTEM_ERROR, "the settings cannot be written");
    return code;
}

void handle_topic_update_list(struct connection *connection, const struct command *command)
{
    struct commitlog_error err = {0};
    json_t *json =
        json_body_or_reply(connection, command, JSON_CLIENT_MAX, "no settings of topics");
    if (json == NULL)
        return;
    const int32_t code =
        topics_set(connection->broker, json_object_get(json, "topicConfigList"), &err);
    if (code != REPLY_OK)
        reply_error(connection, command, code, "%s", err.message);
    else
        reply_ok(connection, command);
    json_decref(json);
}

void handle_topic_delete(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    struct topic *topic = topic_find(broker, command_text(command, "topic"));
    if (topic != NULL && topic->system) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "the broker needs this topic");
        return;
    }
    if (topic != NULL ? topic_delete(broker, topic) : config_save(broker))
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
    for (uint32_t queue = 0; queue < topic_queues(topic); queue++) { /* written or read */
        struct commitlog_queue_info info;
        (void)topic_bounds(broker, topic, queue, &info);
        queue_table_key(out, broker, topic, queue, queue == 0);
        buffer_format(out, "{\"lastUpdateTimestamp\":%lld,\"maxOffset\":%llu,\"minOffset\":%llu}",
                      (long long)(info.last_time_ns / 1000000),
                      (unsigned long long)info.next_offset, (unsigned long long)info.first_offset);
    }
    buffer_format(out, "},\"topicPutTps\":%.2f}",
                  counters_rate(broker, COUNTER_PUT, topic->entry.name, (struct text){0}));
    reply_body(connection, command, buffer_text(out));
}

/* Groups that have come somewhere in the topic, or subscribe it now. */
void handle_topic_groups(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct topic *topic = asked(connection, command);
    const char *name;
    json_t *ignored;
    if (topic == NULL)
        return;
    json_t *names = json_object(), *list = json_array();
    bool good = offsets_groups(broker, topic, names);
    for (const struct audience *audience = clients_next_consumers(broker, NULL);
         audience != NULL && good; audience = clients_next_consumers(broker, audience)) {
        const struct text group = audience->entry.name;
        if (table_find(&audience->subscriptions, topic->entry.name) != NULL)
            good = json_object_setn(names, group.data, group.bytes, json_true()) == 0;
    }
    json_object_foreach(names, name, ignored)
    {
        json_array_append_new(list, json_string(name));
    }
    json_decref(names);
    reply_json(connection, command, json_pack("{s:o}", "groupList", list));
}
