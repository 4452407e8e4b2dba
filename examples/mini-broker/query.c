/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * query.c - QUERY_MESSAGE by key, where the id that a sender gave is a key too, and
 * VIEW_MESSAGE_BY_ID, by position.
 *
 * Owns: nothing. Invariants: an answer is QUERY_BYTES_MAX and one message at most, and what is
 * found in QUERY_MS. Threads: the loop's. Happy path: the store's index, newest first. Failure
 * modes: none there: REPLY_NOT_FOUND, or REPLY_SYSTEM_ERROR as clients expect it of a view; one
 * that cannot be read is passed.
 */
#include "acl.h"
#include "codes.h"
#include "dispatch.h"
#include "message_layout.h"
#include "record.h"
#include "reply.h"
#include "topics.h"

enum { QUERY_MAX = 1024, QUERY_AT_ONCE = 32, QUERY_BYTES_MAX = 4 * 1024 * 1024 };
enum { QUERY_PASS = 1000, QUERY_MS = 100 };

static void put_message(struct buffer *out, const struct commitlog_message *message)
{
    uint8_t patched[LAYOUT_PATCH_MAX];
    const size_t bytes = layout_patch(message, patched);
    if (bytes == 0)
        return;
    buffer_put(out, patched, bytes);
    buffer_put(out, (const uint8_t *)message->body.data + bytes, message->body.bytes - bytes);
}

/* The first or the last nanosecond of a millisecond. */
static int64_t to_ns(int64_t ms, bool last)
{
    if (ms > INT64_MAX / 1000000 - 1)
        return INT64_MAX;
    return (ms < 0 ? 0 : ms * 1000000) + (last && ms >= 0 ? 999999 : 0);
}

static void collect(struct commitlog_cursor *cursor, int64_t max, struct buffer *out)
{
    struct commitlog_message messages[QUERY_AT_ONCE];
    const uint64_t until = uv_hrtime() + UINT64_C(1000000) * QUERY_MS;
    while (max > 0 && out->used < QUERY_BYTES_MAX && uv_hrtime() < until) {
        uint32_t count = 0;
        const uint32_t most = max < QUERY_AT_ONCE ? (uint32_t)max : QUERY_AT_ONCE;
        const int32_t code = commitlog_cursor_fetch(cursor, messages, most, 0, &count, NULL);
        if (code == COMMITLOG_EDAMAGED || code == COMMITLOG_EUNSUPPORTED ||
            code == COMMITLOG_EAGAIN)
            continue; /* by key it goes on behind what it said that of */
        if (code != COMMITLOG_OK)
            return;
        for (uint32_t i = 0; i < count && out->used < QUERY_BYTES_MAX; i++)
            put_message(out, &messages[i]);
        max -= count;
    }
}

void handle_query(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct topic *topic = topic_find(broker, command_text(command, "topic"));
    const struct text key = command_text(command, "key");
    int64_t max = command_i64(command, "maxNum", 32);
    struct buffer *out = &broker->scratch;
    struct commitlog_cursor *cursor;
    buffer_clear(out);
    max = max > QUERY_MAX ? QUERY_MAX : max;
    if (topic != NULL && topic->stored != TOPIC_NOT_STORED && key.bytes > 0 &&
        commitlog_cursor_open_key(broker->store, topic->stored, key.data, key.bytes,
                                  to_ns(command_i64(command, "beginTimestamp", 0), false),
                                  to_ns(command_i64(command, "endTimestamp", INT64_MAX), true),
                                  &cursor, NULL) == COMMITLOG_OK) {
        if (commitlog_cursor_set_pass_limit(cursor, QUERY_PASS) == COMMITLOG_OK)
            collect(cursor, max, out);
        commitlog_cursor_close(cursor);
    }
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    (void)commitlog_positions_get(broker->store, &positions);
    struct reply reply =
        reply_begin(reply_to(connection, command), out->used > 0 ? REPLY_OK : REPLY_NOT_FOUND);
    reply_i64(&reply, "indexLastUpdateTimestamp", broker_now_ms());
    reply_i64(&reply, "indexLastUpdatePhyoffset", (int64_t)positions.published);
    if (out->used == 0)
        reply.remark = TEXT("can not find message, maybe time range not correct");
    reply_end(&reply, buffer_text(out));
}

static bool may_view(const struct broker *broker, const struct command *command,
                     const struct commitlog_message *message)
{
    struct layout layout;
    return layout_read(message->body, &layout) && acl_may_read(broker, command, layout.topic);
}

void handle_view(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const int64_t position = command_i64(command, "offset", -1);
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct buffer *out = &broker->scratch;
    buffer_clear(out);
    const int32_t code = record_get(connection, position, &message, &lease);
    if (code == COMMITLOG_OK && may_view(broker, command, &message))
        put_message(out, &message);
    commitlog_lease_release(lease);
    if (out->used > 0)
        reply_body(connection, command, buffer_text(out));
    else if (code == COMMITLOG_EBUSY)
        reply_error(connection, command, REPLY_SYSTEM_BUSY,
                    "there was no message at the offset before: ask again later");
    else
        reply_error(connection, command, REPLY_SYSTEM_ERROR,
                    "can not find message by the offset: %lld", (long long)position);
}
