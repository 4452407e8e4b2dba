/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * request_reply.c - SEND_REPLY_MESSAGE: what a consumer answers to a request that was a message. It
 * goes to the client that asked, which is connected, and is stored nowhere: nobody else waits for
 * it.
 *
 * Owns: nothing. Threads: the loop's.
 * Happy path: the property REPLY_TO_CLIENT names the client, which is among the producers; the
 * answer is pushed to it. Failure modes: it is not there any more: REPLY_SYSTEM_ERROR; it does not
 * read, and enough waits for it: REPLY_SYSTEM_BUSY; the answer is larger than a message may be:
 * REPLY_ILLEGAL.
 */
#include "clients.h"
#include "codes.h"
#include "dispatch.h"
#include "reply.h"
#include "send.h"

#include <stdio.h>

static void push(struct connection *to, struct connection *from, const struct send *send,
                 const struct command *command)
{
    struct broker *broker = from->broker;
    char host[80];
    struct reply request = request_begin(to, REQUEST_PUSH_REPLY);
    (void)snprintf(host, sizeof host, "/%s", from->host_text);
    reply_text(&request, "bornHost", text_of(host));
    (void)snprintf(host, sizeof host, "/%s", broker->options->advertise_text);
    reply_text(&request, "storeHost", text_of(host));
    reply_i64(&request, "storeTimestamp", broker_now_ms());
    reply_text(&request, "producerGroup", send->group);
    reply_text(&request, "topic", send->topic);
    reply_text(&request, "defaultTopic", send->default_topic);
    reply_i64(&request, "defaultTopicQueueNums", send->default_queues);
    reply_i64(&request, "queueId", send->queue);
    reply_i64(&request, "sysFlag", send->sys_flag);
    reply_i64(&request, "bornTimestamp", send->born_ms);
    reply_i64(&request, "flag", send->flag);
    reply_text(&request, "properties", send->properties);
    reply_i64(&request, "reconsumeTimes", send->reconsumed);
    reply_text(&request, "unitMode", TEXT("false"));
    reply_end(&request, command->body);
}

void handle_send_reply(struct connection *connection, const struct command *command)
{
    struct send send;
    send_parse(command, &send);
    const struct text id = properties_find(send.properties, "REPLY_TO_CLIENT");
    struct connection *to = clients_find_producer(connection->broker, id);
    if (command->body.bytes > SEND_BODY_MAX || send.properties.bytes > PROPERTIES_MAX_BYTES) {
        reply_error(connection, command, REPLY_ILLEGAL, "an answer has at most %d bytes",
                    SEND_BODY_MAX);
        return;
    }
    if (to != NULL && connection_is_behind(to)) {
        reply_error(connection, command, REPLY_SYSTEM_BUSY, "who asked does not read");
        return;
    }
    if (to == NULL || to->closed) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR,
                    "push reply message fail, channel of <%.*s> not found.", (int)id.bytes,
                    id.data);
        return;
    }
    push(to, connection, &send, command);
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    reply_text(&reply, "msgId", TEXT("0"));
    reply_i64(&reply, "queueId", send.queue < 0 ? 0 : send.queue);
    reply_i64(&reply, "queueOffset", 0);
    reply_end(&reply, (struct text){0});
}
