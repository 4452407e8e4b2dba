/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * offset_requests.c - requests about offsets: of groups, of queues, by time.
 *
 * Owns: nothing. Invariants: a queue of which nothing is stored begins and ends at 0. Threads: the
 * loop's.
 * Happy path: topic, queue, number. Failure modes: no such topic: REPLY_NO_TOPIC; no such
 * group, where one is to be set: REPLY_NO_GROUP; no offset:
 * REPLY_NOT_FOUND, and the client decides where it begins; a store that does not take one:
 * REPLY_SYSTEM_ERROR.
 */
#include "codes.h"
#include "dispatch.h"
#include "groups.h"
#include "offsets.h"
#include "reply.h"

/* A new group begins at the first message of a queue that has all of its messages, while the log is
 * not larger than this: as RocketMQ does while they are in its memory. */
#define YOUNG_BYTES (UINT64_C(4) << 30)

/* NULL: it was answered that there is none. */
static struct topic *asked_topic(struct connection *connection, const struct command *command,
                                 uint32_t *out_queue)
{
    const struct text name = command_text(command, "topic");
    struct topic *topic = topic_find(connection->broker, name);
    const int64_t queue = command_i64(command, "queueId", 0);
    if (topic == NULL) {
        reply_error(connection, command, REPLY_NO_TOPIC, "topic %.*s does not exist",
                    (int)name.bytes, name.data);
        return NULL;
    }
    if (queue < 0 || queue >= TOPIC_QUEUES_MAX) {
        reply_error(connection, command, REPLY_INVALID, "there is no queue %lld", (long long)queue);
        return NULL;
    }
    *out_queue = (uint32_t)queue;
    return topic;
}

static void reply_number(struct connection *connection, const struct command *command,
                         const char *name, int64_t value)
{
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    reply_i64(&reply, name, value);
    reply_end(&reply, (struct text){0});
}

/* The store does not say. A number in its place would be believed, and messages passed by it. */
static void reply_unknown(struct connection *connection, const struct command *command)
{
    reply_error(connection, command, REPLY_SYSTEM_ERROR, "the store does not say");
}

static bool is_young(const struct broker *broker, const struct commitlog_queue_info *info)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    return info->first_offset == 0 &&
           commitlog_positions_get(broker->store, &positions) == COMMITLOG_OK &&
           positions.published - positions.first < YOUNG_BYTES;
}

void handle_offset_query(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    struct commitlog_queue_info info;
    uint32_t queue;
    if (topic_find(broker, command_text(command, "topic")) == NULL) {
        reply_error(connection, command, REPLY_NOT_FOUND, "the group has no offset there");
        return;
    }
    const struct topic *topic = asked_topic(connection, command, &queue);
    if (topic == NULL)
        return;
    int64_t offset = offsets_get(broker, command_text(command, "consumerGroup"), topic, queue);
    if (offset == OFFSET_UNKNOWN || topic_bounds(broker, topic, queue, &info) != COMMITLOG_OK) {
        reply_unknown(connection, command);
        return;
    }
    if (offset < 0 && is_young(broker, &info) &&
        !text_equal(command_text(command, "setZeroIfNotFound"), TEXT("false")))
        offset = 0;
    if (offset < 0)
        reply_error(connection, command, REPLY_NOT_FOUND, "the group has no offset there");
    else
        reply_number(connection, command, "offset", offset);
}

void handle_offset_update(struct connection *connection, const struct command *command)
{
    uint32_t queue;
    const struct text group = command_text(command, "consumerGroup");
    if (group_find(connection->broker, group) == NULL) { /* no mistake of a tool makes one */
        reply_error(connection, command, REPLY_NO_GROUP, "Group %.*s not exist!", (int)group.bytes,
                    group.data);
        return;
    }
    const struct topic *topic = asked_topic(connection, command, &queue);
    if (topic == NULL)
        return;
    /* It speaks of where it was before it was reset. */
    if (offsets_reset_waits(connection->broker, group, topic, queue) ||
        offsets_set(connection->broker, group, topic, queue,
                    command_i64(command, "commitOffset", -1)))
        reply_ok(connection, command);
    else
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "the offset cannot be stored");
}

/* False: it was answered that there is no such queue, or that nothing is known of it. */
static bool asked_bounds(struct connection *connection, const struct command *command,
                         struct commitlog_queue_info *out)
{
    uint32_t queue;
    const struct topic *topic = asked_topic(connection, command, &queue);
    if (topic == NULL)
        return false;
    const bool known = topic_bounds(connection->broker, topic, queue, out) == COMMITLOG_OK;
    if (!known)
        reply_unknown(connection, command);
    return known;
}

void handle_offset_max(struct connection *connection, const struct command *command)
{
    struct commitlog_queue_info info;
    if (asked_bounds(connection, command, &info))
        reply_number(connection, command, "offset", (int64_t)info.next_offset);
}

void handle_offset_min(struct connection *connection, const struct command *command)
{
    struct commitlog_queue_info info;
    if (asked_bounds(connection, command, &info))
        reply_number(connection, command, "offset", (int64_t)info.first_offset);
}

void handle_earliest_time(struct connection *connection, const struct command *command)
{
    struct commitlog_queue_info info;
    if (asked_bounds(connection, command, &info))
        reply_number(connection, command, "timestamp",
                     info.first_time_ns == 0 ? -1 : info.first_time_ns / 1000000);
}

void handle_offset_by_time(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    struct commitlog_queue_info info;
    uint32_t queue;
    const struct topic *topic = asked_topic(connection, command, &queue);
    if (topic == NULL)
        return;
    int64_t ms = command_i64(command, "timestamp", 0);
    const bool upper = text_equal(command_text(command, "boundaryType"), TEXT("UPPER"));
    int32_t code = topic_bounds(broker, topic, queue, &info);
    uint64_t offset = info.first_offset;
    if (ms > INT64_MAX / 1000000 - 1)
        ms = INT64_MAX / 1000000 - 1;
    if (code == COMMITLOG_OK && topic->stored != TOPIC_NOT_STORED && queue < topic->stored_queues &&
        ms > 0)
        code = commitlog_offset_by_time(broker->store, topic->stored, queue,
                                        ms * 1000000 + (upper ? 999999 : 0),
                                        upper ? COMMITLOG_UPPER : COMMITLOG_LOWER, &offset);
    if (code != COMMITLOG_OK && code != COMMITLOG_ENOTFOUND)
        reply_unknown(connection, command);
    else
        reply_number(connection, command, "offset", (int64_t)offset);
}
