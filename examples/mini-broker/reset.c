/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reset.c - an administrator sets a group to a moment, or in one queue to an offset:
 * INVOKE_BROKER_TO_RESET_OFFSET.
 *
 * Owns: nothing. Invariants: 1. the store has the new offsets before any consumer is told, so one
 * that is not there begins with them, too; 2. where one queue is named the others stay. Threads:
 * the loop's.
 * Happy path: the offset of each queue by time, set, told to the members, answered as a table.
 * Members that share the queues are told when they pull; those that each have all, and keep their
 * offsets themselves, by a request.
 * Failure modes: no such topic: REPLY_NO_TOPIC, no such group: REPLY_NO_GROUP, and none is made; no
 * moment: REPLY_INVALID, and the group stays where it is, for to take that for the end would pass
 * over all that is not consumed; an offset outside the queue, or no such queue, or the store does
 * not take it: REPLY_SYSTEM_ERROR, and nobody is told; clients that do not read, or more than there
 * is room for, are not told, and the log says how many.
 */
#include "clients.h"
#include "codes.h"
#include "dispatch.h"
#include "groups.h"
#include "hold.h"
#include "log.h"
#include "offsets.h"
#include "queue_table.h"
#include "reply.h"

#define RESET_TO_END INT64_C(-1)

enum { TELL_BYTES_MAX = 64 * 1024 * 1024 }; /* for all members */

/* What is asked for. */
struct wish {
    struct text group;
    const struct topic *topic;
    int64_t ms;
    int64_t queue;  /* < 0: all of them, by the moment */
    int64_t offset; /* of that queue; -1: by the moment */
};

static int32_t offset_by_time(struct broker *broker, const struct wish *wish, uint32_t queue,
                              uint64_t *out)
{
    const struct topic *topic = wish->topic;
    const int64_t ms = wish->ms;
    struct commitlog_queue_info info;
    const int32_t code = topic_bounds(broker, topic, queue, &info);
    const bool to_end = ms == RESET_TO_END || ms > INT64_MAX / 1000000 - 1;
    *out = to_end ? info.next_offset : info.first_offset;
    if (code != COMMITLOG_OK || to_end || ms <= 0 || topic->stored == TOPIC_NOT_STORED ||
        queue >= topic->stored_queues)
        return code;
    return commitlog_offset_by_time(broker->store, topic->stored, queue, ms * 1000000,
                                    COMMITLOG_LOWER, out);
}

/* The offset is set, and in the table of the answer. */
static bool reset_queue(struct broker *broker, const struct wish *wish, uint32_t queue,
                        bool is_told, struct buffer *out, bool first)
{
    uint64_t offset = (uint64_t)wish->offset;
    if ((wish->queue < 0 || wish->offset < 0) &&
        offset_by_time(broker, wish, queue, &offset) != COMMITLOG_OK)
        return false;
    queue_table_key(out, broker, wish->topic, queue, first);
    buffer_format(out, "%llu", (unsigned long long)offset);
    if (!is_told)
        return offsets_set(broker, wish->group, wish->topic, queue, (int64_t)offset);
    if (!offsets_reset(broker, wish->group, wish->topic, queue, (int64_t)offset))
        return false;
    hold_moved(broker, wish->group, wish->topic, queue);
    return true;
}

static void tell(struct broker *broker, const struct audience *audience, const struct wish *wish,
                 struct text table)
{
    const uint64_t round = ++broker->round;
    size_t bytes = 0, left = 0;
    for (const struct member *member = audience->members; member != NULL;
         member = member_next(member)) {
        if (member->connection->closed || member->connection->round == round)
            continue;
        member->connection->round = round;
        if (connection_is_behind(member->connection) || bytes > TELL_BYTES_MAX) {
            left++;
            continue;
        }
        bytes += table.bytes;
        struct reply request = request_begin(member->connection, REQUEST_OFFSET_RESET_CLIENT);
        reply_text(&request, "topic", wish->topic->entry.name);
        reply_text(&request, "group", wish->group);
        reply_i64(&request, "timestamp", wish->ms);
        reply_text(&request, "isForce", TEXT("true"));
        reply_end(&request, table);
    }
    if (left > 0)
        log_line(LOG_WARN, "group %.*s: %zu clients are not told that it was reset",
                 (int)wish->group.bytes, wish->group.data, left);
}

/* A number that need not be there. */
static bool take_number(const struct command *command, const char *name, int64_t *out)
{
    struct text value;
    *out = -1;
    return !command_find(command, text_of(name), &value) || value.bytes == 0 ||
           text_to_i64(value, out);
}

/* False: it was answered why not. What is refused with which code and words RocketMQ says, too. */
static bool wish_take(struct connection *connection, const struct command *command,
                      struct wish *out)
{
    struct broker *broker = connection->broker;
    const struct text name = command_text(command, "topic");
    struct commitlog_queue_info info = {0};
    out->group = command_text(command, "group");
    out->topic = topic_find(broker, name);
    if (out->topic == NULL)
        reply_error(connection, command, REPLY_NO_TOPIC, "topic %.*s not exist", (int)name.bytes,
                    name.data);
    else if (group_find(broker, out->group) == NULL)
        reply_error(connection, command, REPLY_NO_GROUP, "Group %.*s does not exist",
                    (int)out->group.bytes, out->group.data);
    else if (!text_to_i64(command_text(command, "timestamp"), &out->ms))
        reply_error(connection, command, REPLY_INVALID, "timestamp: not a number");
    else if (!take_number(command, "queueId", &out->queue) ||
             !take_number(command, "offset", &out->offset))
        reply_error(connection, command, REPLY_INVALID, "queueId and offset have to be numbers");
    else if (out->queue >= (int64_t)topic_queues(out->topic))
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "No queues to reset.");
    else if (out->queue >= 0 &&
             topic_bounds(broker, out->topic, (uint32_t)out->queue, &info) != COMMITLOG_OK)
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "the store does not say");
    else if (out->queue >= 0 && out->offset != -1 &&
             (out->offset < (int64_t)info.first_offset || out->offset > (int64_t)info.next_offset))
        reply_error(connection, command, REPLY_SYSTEM_ERROR,
                    "Target offset %lld not in consume queue range [%llu-%llu]",
                    (long long)out->offset, (unsigned long long)info.first_offset,
                    (unsigned long long)info.next_offset);
    else
        return true;
    return false;
}

void handle_offset_reset(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    struct wish wish;
    if (!wish_take(connection, command, &wish))
        return;
    struct buffer *out = &broker->properties; /* the other one is offsets.c's */
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"offsetTable\":{"));
    const uint32_t begin = wish.queue < 0 ? 0 : (uint32_t)wish.queue;
    const uint32_t end = wish.queue < 0 ? wish.topic->read_queues : begin + 1;
    const struct audience *audience = clients_consumers(broker, wish.group);
    const bool shares = audience != NULL && !audience->broadcast;
    bool stored = true;
    for (uint32_t queue = begin; queue < end && stored; queue++)
        stored = reset_queue(broker, &wish, queue, shares, out, queue == begin);
    if (!stored) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "an offset cannot be stored");
        return;
    }
    buffer_put_text(out, TEXT("}}"));
    if (audience != NULL && audience->broadcast)
        tell(broker, audience, &wish, buffer_text(out));
    reply_body(connection, command, buffer_text(out));
}
