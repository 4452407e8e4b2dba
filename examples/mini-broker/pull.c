/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pull.c - PULL_MESSAGE and LITE_PULL_MESSAGE. See pull.h.
 *
 * The answer is a header, and for each message a copy of its first bytes with offset, position and
 * store time, and the rest as it lies in the store: borrowed, by a lease that ends when all is
 * sent.
 *
 * Owns: the array that a fetch fills. Invariants: 1. the next offset is behind all that was looked
 * at, so no client asks for the same again for nothing; 2. the four offsets are in every answer.
 * Threads: the loop's.
 * Happy path: seek, fetch, lease, answer. Failure modes: an offset outside the queue: moved, with
 * the one to go on from; a record that cannot be read is passed, and the log says so, seldom; as
 * many as one pull may pass are passed, unreadable or unwanted: the client asks again from there,
 * so that others are served in between.
 */
#include "pull.h"

#include "clients.h"
#include "codes.h"
#include "counters.h"
#include "dispatch.h"
#include "groups.h"
#include "hold.h"
#include "log.h"
#include "message_layout.h"
#include "offsets.h"

#include <stdlib.h>

enum { UNREADABLE_MAX = 100 }; /* records, passed by one pull */
/* Messages that are not wanted, likewise: by tags the store's index tells, for a condition each is
 * read, few at a time, and for so long only, because they may be large. */
enum { PASS_BY_TAGS = 16000, PASS_READ = 2000, PASS_READ_AT_ONCE = 8, PASS_READ_MS = 10 };

struct found {
    struct commitlog_message messages[PULL_MESSAGES_MAX];
    uint32_t count;
    size_t bytes;
};

static struct reply pull_reply(struct pull *pull, int32_t code, uint64_t next,
                               const struct commitlog_queue_info *info)
{
    struct reply reply = reply_begin(pull->to, code);
    reply_i64(&reply, "suggestWhichBrokerId", 0);
    reply_i64(&reply, "nextBeginOffset", (int64_t)next);
    reply_i64(&reply, "minOffset", (int64_t)info->first_offset);
    reply_i64(&reply, "maxOffset", (int64_t)info->next_offset);
    return reply;
}

static bool pull_answer(struct pull *pull, int32_t code, uint64_t next,
                        const struct commitlog_queue_info *info)
{
    struct reply reply = pull_reply(pull, code, next, info);
    pull->to.connection->broker->pulls_missed++;
    reply_end(&reply, (struct text){0});
    return true;
}

/* The store does not say: the client asks for the same again. */
static bool pull_fail(struct pull *pull, int32_t code, const struct commitlog_queue_info *info)
{
    static struct log_seldom said;
    uint64_t count;
    if (log_seldom(&said, (int64_t)uv_now(&pull->to.connection->broker->loop), &count))
        log_line(LOG_ERROR, "topic %s, queue %u: %s; %llu of all pulls in this second",
                 pull->topic->entry.name.data, pull->queue, commitlog_error_text(code),
                 (unsigned long long)count);
    return pull_answer(pull, REPLY_SYSTEM_ERROR, pull->offset, info);
}

/* Drops what is too much for one answer, or not of our layout. *next: behind what is left. */
static void pull_trim(struct found *found, uint64_t *next)
{
    uint32_t kept = 0;
    uint8_t ignored[LAYOUT_PATCH_MAX];
    found->bytes = 0;
    for (uint32_t i = 0; i < found->count; i++) {
        const struct commitlog_message *message = &found->messages[i];
        if (kept > 0 && found->bytes + message->body.bytes > PULL_BYTES_MAX) {
            *next = message->queue_offset;
            break;
        }
        if (layout_patch(message, ignored) == 0)
            continue;
        found->bytes += message->body.bytes;
        found->messages[kept++] = *message;
    }
    found->count = kept;
}

static bool pull_send(struct broker *broker, struct pull *pull, struct found *found,
                      struct commitlog_cursor *cursor, uint64_t next,
                      const struct commitlog_queue_info *info)
{
    struct commitlog_lease *lease;
    struct connection *connection = pull->to.connection;
    struct reply reply = pull_reply(pull, REPLY_OK, next, info);
    if (commitlog_cursor_lease(cursor, &lease) != COMMITLOG_OK)
        return pull_answer(pull, REPLY_SYSTEM_ERROR, pull->offset, info);
    struct holding *holding = holding_of_lease(lease);
    if (holding == NULL)
        return pull_answer(pull, REPLY_SYSTEM_ERROR, pull->offset, info);
    if (reply_end_header(&reply, found->bytes)) {
        struct output *output = connection_output(connection);
        for (uint32_t i = 0; i < found->count; i++) {
            const struct commitlog_message *message = &found->messages[i];
            uint8_t patched[LAYOUT_PATCH_MAX];
            const size_t bytes = layout_patch(message, patched);
            output_copy(output, patched, bytes);
            output_borrow(output, (const uint8_t *)message->body.data + bytes,
                          message->body.bytes - bytes, holding);
        }
        broker->get_count += found->count;
        broker->pulls_found++;
        counters_add(broker, COUNTER_GET, pull->topic->entry.name,
                     (struct text){pull->group, pull->group_bytes}, found->count);
    }
    holding_release(holding);
    return true;
}

static const struct subscription *pull_subscription(const struct broker *broker,
                                                    const struct pull *pull)
{
    if (pull->own != NULL)
        return pull->own;
    return clients_subscription(broker, (struct text){pull->group, pull->group_bytes},
                                pull->topic->entry.name);
}

/* How many to fetch: what does not fit the answer would be read, and checked, for nothing. */
static uint32_t pull_count(const struct pull *pull)
{
    const uint32_t fit = pull->topic->fetch == 0 ? PULL_MESSAGES_MAX : pull->topic->fetch;
    return pull->max < fit ? pull->max : fit;
}

static void pull_learn(struct topic *topic, uint32_t fetched, const struct found *found)
{
    if (found->count < fetched && found->count > 0)
        topic->fetch = found->count;
    else if (topic->fetch != 0 && topic->fetch < PULL_MESSAGES_MAX &&
             found->bytes < PULL_BYTES_MAX / 2)
        topic->fetch *= 2;
}

/* A record that cannot be read: on behind it. */
static int32_t pull_pass(struct commitlog_cursor *cursor, const struct pull *pull, int32_t why,
                         uint64_t offset)
{
    static struct log_seldom said;
    uint64_t count;
    if (log_seldom(&said, (int64_t)uv_now(&pull->to.connection->broker->loop), &count))
        log_line(LOG_WARN, "topic %s, queue %u: offset %llu: %s; %llu of all topics in this second",
                 pull->topic->entry.name.data, pull->queue, (unsigned long long)offset,
                 commitlog_error_text(why), (unsigned long long)count);
    return commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, offset + 1);
}

/* Fills `found`, passing what cannot be read, and what is not wanted. EEND: there is nothing more,
 * *next is the end. EAGAIN: enough was passed, *next is where to go on. */
static int32_t pull_fetch(struct commitlog_cursor *cursor, struct pull *pull, bool reads,
                          struct found *found, uint64_t *next)
{
    const uint64_t until = uv_hrtime() + UINT64_C(1000000) * PASS_READ_MS;
    uint32_t unreadable = 0, passed = 0;
    int32_t code = commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, pull->offset);
    while (code == COMMITLOG_OK) {
        uint64_t bound = pull->offset;
        found->count = 0;
        code = commitlog_cursor_fetch(cursor, found->messages, pull_count(pull), 0, &found->count,
                                      &bound);
        *next = code == COMMITLOG_OK ? commitlog_cursor_tell(cursor) : bound;
        if (code == COMMITLOG_EAGAIN && reads) {
            passed += PASS_READ_AT_ONCE;
            if (passed < PASS_READ && uv_hrtime() < until)
                code = COMMITLOG_OK;
            continue;
        }
        if (code != COMMITLOG_EDAMAGED && code != COMMITLOG_EEXPIRED &&
            code != COMMITLOG_EUNSUPPORTED)
            return code;
        *next = bound + 1;
        code = pull_pass(cursor, pull, code, bound);
        if (code == COMMITLOG_OK && (++unreadable == UNREADABLE_MAX || uv_hrtime() >= until))
            code = COMMITLOG_EAGAIN;
    }
    return code;
}

/* The offset lies in the queue, and there is something behind it. */
static bool pull_read(struct broker *broker, struct pull *pull,
                      const struct commitlog_queue_info *info)
{
    static struct found found;
    const struct subscription *wanted = pull_subscription(broker, pull);
    struct commitlog_cursor *cursor = topic_cursor(broker, pull->topic, pull->queue);
    const bool reads = wanted != NULL && wanted->filter != NULL;
    uint64_t next = pull->offset;
    if (cursor == NULL || wanted == NULL ||
        commitlog_cursor_set_pass_limit(cursor, reads ? PASS_READ_AT_ONCE : PASS_BY_TAGS) !=
            COMMITLOG_OK ||
        commitlog_cursor_set_tags(cursor, wanted->tags, wanted->tag_count) != COMMITLOG_OK ||
        commitlog_cursor_set_filter(cursor, wanted->filter) != COMMITLOG_OK)
        return pull_answer(pull, wanted == NULL ? REPLY_NO_SUBSCRIPTION : REPLY_SYSTEM_ERROR,
                           pull->offset, info);
    const int32_t code = pull_fetch(cursor, pull, reads, &found, &next);
    if (code != COMMITLOG_OK)
        topic_cursor_release(cursor); /* of what it passed */
    if (code == COMMITLOG_EEND) {
        pull->offset = next; /* nobody wanted those before */
        return false;
    }
    if (code == COMMITLOG_EAGAIN)
        return pull_answer(pull, REPLY_PULL_RETRY, next, info);
    if (code != COMMITLOG_OK)
        return pull_fail(pull, code, info);
    const uint32_t fetched = found.count;
    pull_trim(&found, &next);
    pull_learn(pull->topic, fetched, &found);
    if (found.count == 0) {
        topic_cursor_release(cursor);
        return pull_answer(pull, REPLY_PULL_RETRY, next, info);
    }
    return pull_send(broker, pull, &found, cursor, next, info);
}

bool pull_try(struct broker *broker, struct pull *pull)
{
    struct commitlog_queue_info info;
    if (pull->topic->deleted) {
        reply_error_to(pull->to, REPLY_NO_TOPIC, "the topic was deleted");
        return true;
    }
    const int32_t code = topic_bounds(broker, pull->topic, pull->queue, &info);
    if (code != COMMITLOG_OK)
        return pull_fail(pull, code, &info);
    if (pull->offset > info.next_offset)
        return pull_answer(pull, REPLY_PULL_MOVED, info.next_offset, &info);
    if (pull->offset < info.first_offset)
        return pull_answer(pull, REPLY_PULL_MOVED, info.first_offset, &info);
    if (pull->offset == info.next_offset)
        return false;
    return pull_read(broker, pull, &info);
}

bool pull_moved(struct broker *broker, struct pull *pull)
{
    struct commitlog_queue_info info;
    uint64_t to;
    if (!offsets_reset_meets(broker, (struct text){pull->group, pull->group_bytes}, pull->topic,
                             pull->queue, pull->asked, &to))
        return false;
    (void)topic_bounds(broker, pull->topic, pull->queue, &info);
    return pull_answer(pull, REPLY_PULL_MOVED, to, &info);
}

void pull_give_up(struct broker *broker, struct pull *pull)
{
    struct commitlog_queue_info info;
    const int32_t code = topic_bounds(broker, pull->topic, pull->queue, &info);
    if (code != COMMITLOG_OK) {
        pull_fail(pull, code, &info);
        return;
    }
    pull_answer(pull, pull->offset == pull->asked ? REPLY_PULL_NOT_FOUND : REPLY_PULL_RETRY,
                pull->offset, &info);
}

void pull_free(struct pull *pull)
{
    subscription_free(pull->own);
    pull->own = NULL;
}

/* True: what heartbeats of the group said holds for this pull. One that is newer than they are
 * waits for the next: by the old words it would be led past messages that it wants. */
static bool pull_told(struct connection *connection, const struct command *command,
                      const struct pull *pull)
{
    const struct text group = {pull->group, pull->group_bytes};
    const struct group *settings = group_find(connection->broker, group);
    const struct audience *audience = clients_consumers(connection->broker, group);
    const struct subscription *known = pull_subscription(connection->broker, pull);
    if (audience == NULL)
        reply_error(connection, command, REPLY_NO_SUBSCRIPTION,
                    "the consumer's group info not exist");
    else if (audience->broadcast && settings != NULL && !settings->broadcast)
        reply_error(connection, command, REPLY_NO_PERMISSION,
                    "the consumer group[%.*s] can not consume by broadcast way", (int)group.bytes,
                    group.data);
    else if (known == NULL)
        reply_error(connection, command, REPLY_NO_SUBSCRIPTION,
                    "the consumer's subscription not exist");
    else if (known->version < command_i64(command, "subVersion", 0))
        reply_error(connection, command, REPLY_OLD_SUBSCRIPTION,
                    "the consumer's subscription not latest");
    else
        return true;
    return false;
}

/* NULL: err says why not. */
static struct subscription *pull_own(const struct pull *pull, struct text expression, bool sql,
                                     struct commitlog_error *err)
{
    struct subscription *own = subscription_new(pull->topic->entry.name, expression, sql, 0, err);
    if (own != NULL)
        subscription_keep(own, NULL);
    return own;
}

/* True: what the consumer wants is known, by this request or a heartbeat. */
static bool pull_wants(struct connection *connection, const struct command *command,
                       struct pull *pull, int64_t flags)
{
    struct commitlog_error err = {0};
    struct text expression;
    if (!(flags & PULL_HAS_SUBSCRIPTION) ||
        !command_find(command, TEXT("subscription"), &expression))
        return pull_told(connection, command, pull);
    const struct subscription *known = pull_subscription(connection->broker, pull);
    const bool sql = text_equal(command_text(command, "expressionType"), TEXT("SQL92"));
    if (known != NULL && known->sql == sql && text_equal(known->expression, expression))
        return true;
    if (expression.bytes > PULL_SUBSCRIPTION_MAX) {
        reply_error(connection, command, REPLY_BAD_SUBSCRIPTION,
                    "a subscription of %zu bytes: with a pull at most %d can come",
                    expression.bytes, PULL_SUBSCRIPTION_MAX);
        return false;
    }
    pull->own = pull_own(pull, expression, sql, &err);
    if (pull->own == NULL)
        reply_error(connection, command, REPLY_BAD_SUBSCRIPTION, "%s", err.message);
    return pull->own != NULL;
}

/* It waits. What came with the request holds until it is answered, though it was what heartbeats
 * said: other members may say something else meanwhile. */
static bool pull_hold(struct broker *broker, const struct command *command, struct pull *pull,
                      int64_t flags)
{
    struct commitlog_error err = {0};
    struct text expression;
    if (pull->hold_ms <= 0)
        return false;
    if (pull->own == NULL && (flags & PULL_HAS_SUBSCRIPTION) &&
        command_find(command, TEXT("subscription"), &expression)) {
        const bool sql = text_equal(command_text(command, "expressionType"), TEXT("SQL92"));
        pull->own = pull_own(pull, expression, sql, &err);
        if (pull->own == NULL)
            return false;
    }
    return hold_pull(broker, pull);
}

static bool pull_parse(struct connection *connection, const struct command *command,
                       struct pull *out, int64_t flags)
{
    struct broker *broker = connection->broker;
    const struct text group = command_text(command, "consumerGroup");
    const struct text topic = command_text(command, "topic");
    const int64_t queue = command_i64(command, "queueId", -1);
    const int64_t offset = command_i64(command, "queueOffset", 0);
    int64_t max = command_i64(command, "maxMsgNums", 32);
    max = max < 1 ? 1 : max > PULL_MESSAGES_MAX ? PULL_MESSAGES_MAX : max;
    *out = (struct pull){.to = reply_to(connection, command),
                         .topic = topic_find(broker, topic),
                         .queue = (uint32_t)queue,
                         .max = (uint32_t)max,
                         .asked = offset < 0 ? 0 : (uint64_t)offset,
                         .offset = offset < 0 ? 0 : (uint64_t)offset,
                         .group_bytes = group.bytes};
    if (flags & PULL_SUSPEND)
        out->hold_ms = command_i64(command, "suspendTimeoutMillis", 0);
    if (out->hold_ms > PULL_HOLD_MAX_MS)
        out->hold_ms = PULL_HOLD_MAX_MS;
    const struct group *settings = group_find(broker, group);
    if (settings != NULL && !settings->consume)
        reply_error(connection, command, REPLY_NO_PERMISSION, "the group may not consume");
    else if (!group_name_is_good(group))
        reply_error(connection, command, REPLY_NO_GROUP, "a group cannot have this name");
    else if (out->topic == NULL)
        reply_error(connection, command, REPLY_NO_TOPIC, "topic %.*s not exist", (int)topic.bytes,
                    topic.data);
    else if (!(out->topic->perm & PERM_READ))
        reply_error(connection, command, REPLY_NO_PERMISSION, "the topic is not to be read");
    else if (queue < 0 || queue >= (int64_t)topic_queues(out->topic))
        reply_error(connection, command, REPLY_INVALID, "there is no queue %lld", (long long)queue);
    else {
        (void)group_make(broker, group);        /* who pulls may commit, as with RocketMQ */
        out->topic = topic_find(broker, topic); /* where groups had to go, their retries did, too */
        memcpy(out->group, group.data, group.bytes);
        if (out->topic != NULL)
            return pull_wants(connection, command, out, flags);
        reply_error(connection, command, REPLY_NO_TOPIC, "topic %.*s not exist", (int)topic.bytes,
                    topic.data);
    }
    return false;
}

void handle_pull(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const int64_t flags = command_i64(command, "sysFlag", 0);
    struct pull pull;
    if (!pull_parse(connection, command, &pull, flags))
        return;
    const struct text group = {pull.group, pull.group_bytes};
    const bool moved = offsets_reset_waits(broker, group, pull.topic, pull.queue);
    if ((flags & PULL_HAS_COMMIT) && !moved)
        offsets_note(broker, group, pull.topic, pull.queue,
                     command_i64(command, "commitOffset", -1));
    /* Where nobody reads the answer it is not looked for. */
    if (connection->gone || (moved && pull_moved(broker, &pull)) || pull_try(broker, &pull)) {
        pull_free(&pull);
    } else if (!pull_hold(broker, command, &pull, flags)) {
        pull_give_up(broker, &pull);
        pull_free(&pull);
    }
}
