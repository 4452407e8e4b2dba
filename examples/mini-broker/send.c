/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * send.c - SEND_MESSAGE and SEND_MESSAGE_V2: one message. See send.h.
 *
 * Owns: nothing. Invariants: 1. with --flush sync an answer of success means that the disk has it;
 * 2. what is refused is not stored. Threads: the loop's.
 * Happy path: parse, topic, properties, append, answer when durable. Failure modes: a code for each
 * reason, which tell clients whether to try another broker (system error, busy, not available, no
 * permission, no topic) or to give up (illegal, invalid).
 */
#include "send.h"

#include "codes.h"
#include "crc32.h"
#include "delay.h"
#include "dispatch.h"
#include "durable.h"
#include "groups.h"
#include "log.h"
#include "transactions.h"

#include <stdio.h>

#define TRANSACTION_ID "__transactionId__"

/* The first one is the broker's in a transaction; else it is of one before, and stays. */
static const char *const consumed_names[] = {
    TRANSACTION_ID,     "DELAY",    "TIMER_DELAY_SEC", "TIMER_DELAY_MS",
    "TIMER_DELIVER_MS", "TRAN_MSG", "POP_CK",          NULL};

void send_parse(const struct command *command, struct send *out)
{
    const bool v1 = command->code == REQUEST_SEND || command->code == REQUEST_SEND_REPLY;
    out->group = command_text(command, v1 ? "producerGroup" : "a");
    out->topic = command_text(command, v1 ? "topic" : "b");
    out->default_topic = command_text(command, v1 ? "defaultTopic" : "c");
    out->default_queues = command_i64(command, v1 ? "defaultTopicQueueNums" : "d", 0);
    out->queue = command_i64(command, v1 ? "queueId" : "e", -1);
    out->sys_flag = command_i64(command, v1 ? "sysFlag" : "f", 0);
    out->born_ms = command_i64(command, v1 ? "bornTimestamp" : "g", 0);
    out->flag = command_i64(command, v1 ? "flag" : "h", 0);
    out->properties = command_text(command, v1 ? "properties" : "i");
    out->reconsumed = command_i64(command, v1 ? "reconsumeTimes" : "j", 0);
    out->reconsume_max = command_i64(command, v1 ? "maxReconsumeTimes" : "l", -1);
}

/* Of the name of a topic of retries. */
static struct text retry_group(struct text topic)
{
    return (struct text){topic.data + sizeof RETRY_PREFIX - 1,
                         topic.bytes - (sizeof RETRY_PREFIX - 1)};
}

static struct topic *send_new_topic(struct broker *broker, const struct send *send,
                                    int32_t *out_code, const char **out_why)
{
    const struct topic *model = topic_find(broker, send->default_topic);
    if (!broker->options->auto_topics || model == NULL || !(model->perm & PERM_INHERIT)) {
        *out_code = REPLY_NO_TOPIC;
        *out_why = "there is no such topic, and it is not made by sending to it";
        return NULL;
    }
    int64_t queues = send->default_queues < 1 ? 1 : send->default_queues;
    if (queues > model->write_queues)
        queues = model->write_queues;
    return topic_make(broker, send->topic, (uint32_t)queues, model->perm & ~(uint32_t)PERM_INHERIT);
}

struct topic *send_topic(struct broker *broker, const struct send *send, int32_t *out_code,
                         const char **out_why)
{
    struct topic *topic = topic_find(broker, send->topic);
    *out_code = REPLY_SYSTEM_ERROR;
    *out_why = "no memory, or no room for another topic";
    if (topic == NULL && !topic_name_is_good(send->topic)) {
        *out_code = REPLY_INVALID;
        *out_why = "a topic cannot have this name";
        return NULL;
    }
    if (text_begins(send->topic, TEXT(RETRY_PREFIX))) {
        struct group *group = group_make(broker, retry_group(send->topic));
        if (group == NULL) {
            *out_code = REPLY_NO_GROUP;
            *out_why = "subscription group not exist";
            return NULL;
        }
        topic = group_retries(broker, group);
        if (topic != NULL)
            group_keep(broker, group);
    }
    if (topic == NULL)
        topic = send_new_topic(broker, send, out_code, out_why);
    if (topic == NULL)
        return NULL;
    if (!(topic->perm & PERM_WRITE)) {
        *out_code = REPLY_NO_PERMISSION;
        *out_why = "the topic is not to be written";
        return NULL;
    }
    struct commitlog_error err = {0};
    const int32_t code = topic_store(broker, topic, &err);
    if (code == COMMITLOG_OK)
        return topic;
    log_line(LOG_ERROR, "topic %s: %s", topic->entry.name.data, err.message);
    *out_code = append_reply_code(code);
    *out_why = commitlog_error_text(code);
    return NULL;
}

bool send_queue(struct topic *topic, int64_t asked, uint32_t *out_queue)
{
    if (asked >= (int64_t)topic->write_queues && asked >= (int64_t)topic->read_queues)
        return false;
    *out_queue = asked < 0 ? topic->turn++ % topic->write_queues : (uint32_t)asked;
    return true;
}

void send_unique(struct broker *broker, char out[33])
{
    static uint64_t count;
    (void)snprintf(out, 33, "%016llX%016llX", (unsigned long long)broker->started_ms,
                   (unsigned long long)++count);
}

/* A retry that was sent as a message: the rule of dead letters holds for it, too. */
static struct topic *send_retry(struct broker *broker, const struct send *send, struct topic *topic)
{
    const struct text group = retry_group(topic->entry.name);
    const struct group *settings = group_find(broker, group);
    const int64_t most = send->reconsume_max >= 0 ? send->reconsume_max
                         : settings != NULL       ? settings->retry_max
                                                  : 16;
    if (send->reconsumed < most)
        return topic;
    struct topic *dead = topic_of_dead(broker, group);
    return dead != NULL && topic_store(broker, dead, NULL) == COMMITLOG_OK ? dead : topic;
}

/* The properties as they are stored: without what was a wish to the broker, with an id. */
static struct text send_properties(struct broker *broker, const struct send *send,
                                   struct properties *known, bool prepared, int64_t deliver_at_ms)
{
    struct buffer *out = &broker->properties;
    const bool wishes = known->delay_level.bytes + known->delay_s.bytes + known->delay_ms.bytes +
                            known->deliver_ms.bytes + known->prepared.bytes + known->pop.bytes >
                        0;
    const bool request = known->reply_to.bytes > 0;
    if (!wishes && !request && known->unique.bytes > 0)
        return send->properties;
    buffer_clear(out);
    if (wishes)
        properties_copy_without(out, send->properties, consumed_names + (prepared ? 0 : 1));
    else
        buffer_put_text(out, send->properties);
    char text[33], unique[33];
    if (known->unique.bytes == 0) {
        send_unique(broker, unique);
        known->unique = text_of(unique); /* until what is written is looked at */
        properties_put(out, "UNIQ_KEY", known->unique);
    }
    if (prepared)
        properties_put(out, TRANSACTION_ID, known->unique);
    if (deliver_at_ms != 0 && !delay_is_level(known)) {
        (void)snprintf(text, sizeof text, "%lld", (long long)deliver_at_ms);
        properties_put(out, "TIMER_OUT_MS", text_of(text));
    }
    if (request) /* by which the consumer finds the topic of answers */
        properties_put(out, "CLUSTER", text_of(broker->options->cluster));
    properties_scan(buffer_text(out), known);
    return buffer_text(out);
}

static void send_answer(struct connection *connection, const struct command *command,
                        const struct message *message, const struct commitlog_receipt *receipt,
                        bool wait)
{
    struct broker *broker = connection->broker;
    char id[LAYOUT_ID_MAX];
    const size_t bytes = layout_id(&broker->options->advertise, receipt->position, id);
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    reply_text(&reply, "msgId", (struct text){id, bytes});
    reply_i64(&reply, "queueId", message->queue);
    reply_i64(&reply, "queueOffset", (int64_t)receipt->queue_offset);
    reply_text(&reply, "transactionId", message->known->unique);
    reply_text(&reply, "MSG_REGION", TEXT("DefaultRegion"));
    reply_text(&reply, "TRACE_ON", TEXT("true"));
    durable_reply(broker, &reply, receipt->end_position, wait);
}

static void send_store(struct connection *connection, const struct command *command,
                       const struct send *send, struct message *message, bool prepared, bool wait)
{
    struct broker *broker = connection->broker;
    struct commitlog_receipt receipt;
    struct commitlog_error err = {0};
    int32_t code;
    message->layout.stored = broker->options->advertise;
    if (prepared)
        code = transactions_prepare(broker, send->group, message, &receipt, &err);
    else
        code = append_message(broker, message, &receipt, &err);
    if (code != COMMITLOG_OK) {
        reply_error(connection, command, append_reply_code(code), "%s", err.message);
        return;
    }
    if (!prepared) { /* one of a transaction counts when it is committed */
        broker->put_count++;
        message->topic->put_count++;
    }
    send_answer(connection, command, message, &receipt, wait);
}

void handle_send(struct connection *connection, const struct command *command)
{
    static struct properties known; /* one thread; too large to clear for each message */
    struct broker *broker = connection->broker;
    struct send send;
    struct message message = {.known = &known};
    int32_t code;
    const char *why;
    send_parse(command, &send);
    message.topic = send_topic(broker, &send, &code, &why);
    if (message.topic == NULL) {
        reply_error(connection, command, code, "%s: %.*s", why, (int)send.topic.bytes,
                    send.topic.data);
        return;
    }
    if (topic_is_retry(message.topic))
        message.topic = send_retry(broker, &send, message.topic);
    properties_scan(send.properties, &known);
    /* Clients before 4.6.1 send a retry with all that the original had, of a transaction or not. */
    const bool again = send.reconsumed > 0 && delay_is_level(&known);
    const bool prepared = !again && text_equal(known.prepared, TEXT("true"));
    const bool wait = !text_equal(known.wait, TEXT("false"));
    /* The queue that is asked for is one of the retries': dead letters have their own. */
    const bool dead = text_begins(message.topic->entry.name, TEXT(DEAD_PREFIX));
    if (!send_queue(message.topic, dead ? -1 : send.queue, &message.queue)) {
        reply_error(connection, command, REPLY_INVALID, "there is no queue %lld",
                    (long long)send.queue);
        return;
    }
    if (command->body.bytes == 0 || command->body.bytes > SEND_BODY_MAX ||
        !delay_of(&known, broker_now_ms(), &message.deliver_at_ms) ||
        (prepared && message.deliver_at_ms != 0)) {
        reply_error(connection, command, REPLY_ILLEGAL,
                    "a body is 1 to 4194304 bytes, a delay is a level or a time, and not of a "
                    "transaction");
        return;
    }
    if (dead)
        message.deliver_at_ms = 0;
    message.layout = (struct layout){
        .body = command->body,
        .properties = send_properties(broker, &send, &known, prepared, message.deliver_at_ms),
        .flag = (uint32_t)send.flag,
        .sys_flag = (uint32_t)send.sys_flag & ~(uint32_t)MESSAGE_ROLLED_BACK,
        .reconsumed = (uint32_t)send.reconsumed,
        .crc = crc32_of(command->body),
        .born_ms = send.born_ms,
        .born = connection->host};
    if (message.layout.properties.bytes > PROPERTIES_MAX_BYTES)
        reply_error(connection, command, REPLY_ILLEGAL, "more than %d bytes of properties",
                    PROPERTIES_MAX_BYTES);
    else
        send_store(connection, command, &send, &message, prepared, wait);
}
