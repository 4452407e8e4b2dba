/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * routes.c - where a topic is, which topics there are, who is in the cluster, and whether producers
 * may go there: what is asked of a name server. There is one broker, ourselves.
 *
 * Owns: nothing. Invariants: the text has no blanks and its numeric names have quotes, which all
 * clients read. Threads: the loop's.
 * Happy path: one answer from the table of topics. Failure modes: REPLY_NO_TOPIC.
 */
#include "codes.h"
#include "dispatch.h"
#include "log.h"
#include "reply.h"
#include "topics.h"

static void put_broker(struct buffer *out, const struct options *options)
{
    buffer_put_text(out, TEXT("{\"brokerAddrs\":{\"0\":"));
    buffer_put_json(out, text_of(options->advertise_text));
    buffer_put_text(out, TEXT("},\"brokerName\":"));
    buffer_put_json(out, text_of(options->name));
    buffer_put_text(out, TEXT(",\"cluster\":"));
    buffer_put_json(out, text_of(options->cluster));
    buffer_put_byte(out, '}');
}

void handle_route(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct text name = command_text(command, "topic");
    const struct topic *topic = topic_find(broker, name);
    if (topic == NULL) {
        reply_error(connection, command, REPLY_NO_TOPIC,
                    "No topic route info in name server for the topic: %.*s", (int)name.bytes,
                    name.data);
        return;
    }
    struct buffer *out = &broker->scratch;
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"brokerDatas\":["));
    put_broker(out, broker->options);
    buffer_put_text(out, TEXT("],\"filterServerTable\":{},"));
    if (topic->order) {
        struct buffer *order = &broker->properties;
        buffer_clear(order);
        buffer_format(order, "%s:%u", broker->options->name, topic->write_queues);
        buffer_put_text(out, TEXT("\"orderTopicConf\":"));
        buffer_put_json(out, buffer_text(order));
        buffer_put_byte(out, ',');
    }
    buffer_put_text(out, TEXT("\"queueDatas\":[{\"brokerName\":"));
    buffer_put_json(out, text_of(broker->options->name));
    buffer_format(out,
                  ",\"perm\":%u,\"readQueueNums\":%u,\"topicSysFlag\":%u,\"writeQueueNums\":%u}]}",
                  broker->write_wiped ? topic->perm & ~(uint32_t)PERM_WRITE : topic->perm,
                  topic->read_queues, topic->sys_flag, topic->write_queues);
    reply_body(connection, command, buffer_text(out));
}

void handle_cluster(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    struct buffer *out = &broker->scratch;
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"brokerAddrTable\":{"));
    buffer_put_json(out, text_of(broker->options->name));
    buffer_put_byte(out, ':');
    put_broker(out, broker->options);
    buffer_put_text(out, TEXT("},\"clusterAddrTable\":{"));
    buffer_put_json(out, text_of(broker->options->cluster));
    buffer_put_text(out, TEXT(":["));
    buffer_put_json(out, text_of(broker->options->name));
    buffer_put_text(out, TEXT("]}}"));
    reply_body(connection, command, buffer_text(out));
}

/* Of our broker: of another one, nothing is known here. It is forgotten when the process ends. */
static void write_set(struct connection *connection, const struct command *command, bool wiped,
                      const char *name)
{
    struct broker *broker = connection->broker;
    int64_t count = 0;
    if (text_equal(command_text(command, "brokerName"), text_of(broker->options->name))) {
        broker->write_wiped = wiped;
        for (const struct topic *topic = topic_next(broker, NULL); topic != NULL;
             topic = topic_next(broker, topic))
            count += !topic->deleted;
        log_line(LOG_INFO, "routes say that %s",
                 wiped ? "nothing is to be written" : "topics are written as set");
    }
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    reply_i64(&reply, name, count);
    reply_end(&reply, (struct text){0});
}

void handle_write_wipe(struct connection *connection, const struct command *command)
{
    write_set(connection, command, true, "wipeTopicCount");
}

void handle_write_add(struct connection *connection, const struct command *command)
{
    write_set(connection, command, false, "addTopicCount");
}

void handle_namesrv_config(struct connection *connection, const struct command *command)
{
    struct buffer *out = &connection->broker->scratch;
    struct host host;
    host_of(&connection->broker->options->namesrv, &host);
    buffer_clear(out);
    buffer_format(out, "listenPort=%u\n", bytes_get32(host.bytes + host.count - 4));
    reply_body(connection, command, buffer_text(out));
}

enum which { ALL_TOPICS, SYSTEM_TOPICS };

static void reply_topics(struct connection *connection, const struct command *command,
                         enum which which)
{
    struct broker *broker = connection->broker;
    struct buffer *out = &broker->scratch;
    const char *separator = "";
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"topicList\":["));
    for (const struct topic *topic = topic_next(broker, NULL); topic != NULL;
         topic = topic_next(broker, topic)) {
        if (topic->deleted || (which == SYSTEM_TOPICS && !topic->system))
            continue;
        buffer_put_text(out, text_of(separator));
        buffer_put_json(out, topic->entry.name);
        separator = ",";
    }
    buffer_put_text(out, TEXT("]}"));
    reply_body(connection, command, buffer_text(out));
}

void handle_topics(struct connection *connection, const struct command *command)
{
    reply_topics(connection, command, ALL_TOPICS);
}

void handle_topics_of_cluster(struct connection *connection, const struct command *command)
{
    if (text_equal(command_text(command, "cluster"), text_of(connection->broker->options->cluster)))
        reply_topics(connection, command, ALL_TOPICS);
    else
        reply_body(connection, command, TEXT("{\"topicList\":[]}"));
}

void handle_topics_system(struct connection *connection, const struct command *command)
{
    reply_topics(connection, command, SYSTEM_TOPICS);
}
