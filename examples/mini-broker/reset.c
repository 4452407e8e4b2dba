/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reset.c - an administrator sets a group to a moment: INVOKE_BROKER_TO_RESET_OFFSET.
 *
 * Owns: nothing. Invariants: the store has the new offsets before any consumer is told, so one that
 * is not there begins with them, too. Threads: the loop's.
 * Happy path: the offset of each queue by time, set, told to the members, answered as a table.
 * Failure modes: no such topic: REPLY_NO_TOPIC; no moment: REPLY_INVALID, and the group stays where
 * it is, for to take that for the end would pass over all that is not consumed; the store does not
 * take it: REPLY_SYSTEM_ERROR, and nobody is told; clients that do not read, or more than there is
 * room for, are not told, and the log says how many.
 */
#include "clients.h"
#include "codes.h"
#include "dispatch.h"
#include "log.h"
#include "offsets.h"
#include "queue_table.h"
#include "reply.h"

#define RESET_TO_END INT64_C(-1)

enum { TELL_BYTES_MAX = 64 * 1024 * 1024 }; /* for all members */

static int32_t reset_offset(struct broker *broker, const struct topic *topic, uint32_t queue,
                            int64_t ms, uint64_t *out)
{
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

static void tell(struct broker *broker, const struct audience *audience, struct text group,
                 const struct topic *topic, int64_t ms, struct text table)
{
    const uint64_t round = ++broker->round;
    size_t bytes = 0, left = 0;
    for (const struct member *member = audience->members; member != NULL; member = member->next) {
        if (member->connection->closed || member->connection->round == round)
            continue;
        member->connection->round = round;
        if (connection_is_behind(member->connection) || bytes > TELL_BYTES_MAX) {
            left++;
            continue;
        }
        bytes += table.bytes;
        struct reply request = request_begin(member->connection, REQUEST_OFFSET_RESET_CLIENT);
        reply_text(&request, "topic", topic->entry.name);
        reply_text(&request, "group", group);
        reply_i64(&request, "timestamp", ms);
        reply_text(&request, "isForce", TEXT("true"));
        reply_end(&request, table);
    }
    if (left > 0)
        log_line(LOG_WARN, "group %.*s: %zu clients are not told that it was reset",
                 (int)group.bytes, group.data, left);
}

void handle_offset_reset(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct text name = command_text(command, "topic");
    const struct text group = command_text(command, "group");
    const struct topic *topic = topic_find(broker, name);
    int64_t ms;
    if (topic == NULL) {
        reply_error(connection, command, REPLY_NO_TOPIC, "topic %.*s not exist", (int)name.bytes,
                    name.data);
        return;
    }
    if (!text_to_i64(command_text(command, "timestamp"), &ms)) {
        reply_error(connection, command, REPLY_INVALID, "timestamp: not a number");
        return;
    }
    struct buffer *out = &broker->properties; /* the other one is offsets.c's */
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"offsetTable\":{"));
    bool stored = true;
    for (uint32_t queue = 0; queue < topic->read_queues; queue++) {
        uint64_t offset = 0;
        stored = stored && reset_offset(broker, topic, queue, ms, &offset) == COMMITLOG_OK &&
                 offsets_set(broker, group, topic, queue, (int64_t)offset);
        queue_table_key(out, broker, topic, queue, queue == 0);
        buffer_format(out, "%llu", (unsigned long long)offset);
    }
    if (!stored) {
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "an offset cannot be stored");
        return;
    }
    buffer_put_text(out, TEXT("}}"));
    const struct audience *audience = clients_consumers(broker, group);
    if (audience != NULL)
        tell(broker, audience, group, topic, ms, buffer_text(out));
    reply_body(connection, command, buffer_text(out));
}
