/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * send_back.c - CONSUMER_SEND_MSG_BACK: a message that a consumer could not process comes to the
 * group's topic of retries after a while, or to its dead letters.
 *
 * Owns: nothing. Invariants: the original stays as it is; the copy says how often it was tried, and
 * where it came from. Threads: the loop's.
 * Happy path: read the original by its position, write it anew with a time to be delivered at; of a
 * group whose settings say that it has no queues of retries, nothing. Failure modes: the original
 * is gone: REPLY_SYSTEM_ERROR, and the client sends the message itself.
 */
#include "acl.h"
#include "append.h"
#include "codes.h"
#include "delay.h"
#include "dispatch.h"
#include "durable.h"
#include "groups.h"
#include "record.h"

static const char *const dropped_names[] = {"DELAY", "TIMER_OUT_MS", "RETRY_TOPIC",
                                            "ORIGIN_MESSAGE_ID", NULL};

struct back {
    struct group *group;
    int64_t position;
    int64_t level;
    int64_t most;
};

/* Of the group: the topic and queue that it comes to, and when. False: they cannot be had. */
static bool back_to(struct broker *broker, const struct back *back, uint32_t reconsumed,
                    struct message *out)
{
    const bool dead = back->level < 0 || (int64_t)reconsumed >= back->most;
    const int64_t level = back->level > 0 ? back->level : DELAY_RETRY_FIRST + (int64_t)reconsumed;
    struct topic *topic =
        dead ? topic_of_dead(broker, back->group->entry.name) : group_retries(broker, back->group);
    if (topic == NULL || topic_store(broker, topic, NULL) != COMMITLOG_OK)
        return false;
    group_keep(broker, back->group);
    const uint32_t wanted = group_retry_queues(back->group);
    out->topic = topic;
    out->queue =
        dead ? 0 : topic->turn++ % (wanted < topic->write_queues ? wanted : topic->write_queues);
    out->deliver_at_ms = dead ? 0
                              : broker_now_ms() + commitlog_delay_level_ms(level > DELAY_LEVEL_MAX
                                                                               ? DELAY_LEVEL_MAX
                                                                               : (uint32_t)level);
    return true;
}

/* All that the original had, and its origin. */
static struct text back_properties(struct broker *broker, const struct layout *original,
                                   int64_t position)
{
    struct buffer *out = &broker->properties;
    const struct text topic = properties_find(original->properties, "RETRY_TOPIC");
    const struct text origin = properties_find(original->properties, "ORIGIN_MESSAGE_ID");
    char id[LAYOUT_ID_MAX];
    const size_t bytes = layout_id(&broker->options->advertise, (uint64_t)position, id);
    buffer_clear(out);
    properties_copy_without(out, original->properties, dropped_names);
    properties_put(out, "RETRY_TOPIC", topic.bytes > 0 ? topic : original->topic);
    properties_put(out, "ORIGIN_MESSAGE_ID", origin.bytes > 0 ? origin : (struct text){id, bytes});
    return buffer_text(out);
}

static int32_t back_append(struct broker *broker, const struct back *back,
                           const struct layout *original, struct commitlog_receipt *out_receipt,
                           struct commitlog_error *err)
{
    static struct properties known;
    struct message message = {.known = &known, .layout = *original};
    message.layout.properties = back_properties(broker, original, back->position);
    if (message.layout.properties.bytes > PROPERTIES_MAX_BYTES)
        return COMMITLOG_ETOOBIG;
    if (!back_to(broker, back, original->reconsumed, &message))
        return COMMITLOG_ENOMEM;
    properties_scan(message.layout.properties, &known);
    message.layout.reconsumed = original->reconsumed + 1;
    message.layout.stored = broker->options->advertise;
    const int32_t code = append_message(broker, &message, out_receipt, err);
    message.topic->put_count += code == COMMITLOG_OK;
    return code;
}

void handle_send_back(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct text name = command_text(command, "group");
    struct back back = {.position = command_i64(command, "offset", -1),
                        .level = command_i64(command, "delayLevel", 0)};
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_receipt receipt;
    struct commitlog_error err = {0};
    struct layout original;
    if (name.bytes > GROUP_NAME_MAX) { /* what RocketMQ says, and clients know */
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "MESSAGE_ILLEGAL");
        return;
    }
    back.group = group_make(broker, name); /* it may be here before its client's heartbeat */
    if (back.group == NULL) {
        reply_error(connection, command, REPLY_NO_GROUP, "subscription group not exist, %.*s",
                    (int)name.bytes, name.data);
        return;
    }
    if (back.group->retry_queues <= 0) { /* it retries nothing: what came back is done with */
        reply_ok(connection, command);
        return;
    }
    back.most = command_i64(command, "maxReconsumeTimes", back.group->retry_max);
    int32_t code = record_get(connection, back.position, &message, &lease);
    if (code == COMMITLOG_OK && !layout_read(message.body, &original))
        code = COMMITLOG_ENOTFOUND;
    if (code == COMMITLOG_OK && !acl_may_read(broker, command, original.topic))
        code = COMMITLOG_ENOTFOUND;
    if (code == COMMITLOG_OK)
        code = back_append(broker, &back, &original, &receipt, &err);
    commitlog_lease_release(lease);
    if (code != COMMITLOG_OK) {
        reply_error(connection, command,
                    code == COMMITLOG_EBUSY ? REPLY_SYSTEM_BUSY : REPLY_SYSTEM_ERROR,
                    "message at %lld: %s", (long long)back.position, commitlog_error_text(code));
        return;
    }
    broker->put_count++;
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    durable_reply(broker, &reply, receipt.end_position, true);
}
