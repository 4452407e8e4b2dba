/* SPDX-License-Identifier: BSD-2-Clause */
/* shown.c -- what a store shows of its state. See shown.h. */
#include "shown.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../support/prog.h"
#include "weave.h"

enum { TOPICS = 16, GROUPS = 32, TIMERS = 16 };

typedef unsigned long long ull;

static struct commitlog_topic_info topics[TOPICS]; /* by name */
static uint32_t topic_count;

static void say(struct shown *out, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(struct shown *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int bytes = vsnprintf(out->text + out->bytes, SHOWN_BYTES - out->bytes, format, args);
    va_end(args);
    CHECK(bytes >= 0 && (size_t)bytes < SHOWN_BYTES - out->bytes);
    out->bytes += (size_t)bytes;
}

/* ---- topics ---------------------------------------------------------------------------------- */

static int topic_compare(const void *a, const void *b)
{
    return strcmp(((const struct commitlog_topic_info *)a)->name,
                  ((const struct commitlog_topic_info *)b)->name);
}

static void topics_collect(struct commitlog_store *store)
{
    topic_count = commitlog_topic_count(store);
    CHECK(topic_count <= TOPICS);
    for (uint32_t i = 0; i < topic_count; i++) {
        topics[i].struct_bytes = sizeof topics[i];
        WEAVE_RC(commitlog_topic_info(store, i, &topics[i]), COMMITLOG_OK);
    }
    qsort(topics, topic_count, sizeof topics[0], topic_compare);
}

static const char *topic_name(uint32_t topic)
{
    for (uint32_t i = 0; i < topic_count; i++) {
        if (topics[i].topic == topic)
            return topics[i].name;
    }
    return "?";
}

static void show_messages(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                          struct shown *out)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[16];
    struct commitlog_error err = {.message = ""};
    uint32_t got = 0;
    WEAVE_OK(commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
             &err);
    while (commitlog_cursor_fetch(cursor, messages, 16, 0, &got, NULL) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < got; i++)
            say(out, "   %llu at %llu, %llu bytes\n", (ull)messages[i].queue_offset,
                (ull)messages[i].position, (ull)messages[i].body.bytes);
    }
    commitlog_cursor_close(cursor);
}

static void show_topic(struct commitlog_store *store, const struct commitlog_topic_info *topic,
                       struct shown *out)
{
    say(out, "topic %s: %u of %u queues, by", topic->name, topic->queues, topic->queues_total);
    for (uint32_t i = 0; i < topic->step_count; i++)
        say(out, " %u", topic->step_queues[i]);
    say(out, ", for %llu ms, expired below %llu\n", (ull)topic->keep_age_ms,
        (ull)topic->expired_below);
    for (uint32_t i = 0; i < topic->queues_total; i++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof info};
        WEAVE_RC(commitlog_queue_info(store, topic->topic, i, &info), COMMITLOG_OK);
        say(out, "  queue %u: [%llu, %llu)\n", i, (ull)info.first_offset, (ull)info.next_offset);
        show_messages(store, topic->topic, i, out);
    }
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void show_group_queue(struct commitlog_group *group,
                             const struct commitlog_topic_info *topic, uint32_t queue,
                             struct shown *out)
{
    struct commitlog_group_offset offset = {.topic = topic->topic, .queue = queue};
    struct commitlog_work_info work = {.struct_bytes = sizeof work};
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_group_fetch(group, &offset, 1, &err), &err);
    if (offset.offset != UINT64_MAX)
        say(out, "  %s, %u: %llu\n", topic->name, queue, (ull)offset.offset);
    for (uint64_t at = 0;
         commitlog_group_work(group, topic->topic, queue, at, &work, &err) == COMMITLOG_OK;
         at = work.offset + work.count)
        say(out, "   %u from %llu: state %u, %u attempts, again at %lld\n", work.count,
            (ull)work.offset, work.state, work.attempts, (long long)work.visible_at_ms);
}

static void show_group(struct commitlog_store *store, const struct commitlog_group_info *info,
                       struct shown *out)
{
    struct commitlog_group *group = NULL;
    struct commitlog_error err = {.message = ""};
    say(out, "group %s: epoch %u, flags %u, %u queues\n", info->name, info->epoch, info->flags,
        info->queues);
    WEAVE_OK(commitlog_group_open(store, info->name, info->name_bytes, 0, &group, &err), &err);
    for (uint32_t i = 0; i < topic_count; i++) {
        for (uint32_t queue = 0; queue < topics[i].queues_total; queue++)
            show_group_queue(group, &topics[i], queue, out);
    }
    commitlog_group_close(group);
}

static int group_compare(const void *a, const void *b)
{
    return strcmp(((const struct commitlog_group_info *)a)->name,
                  ((const struct commitlog_group_info *)b)->name);
}

static void show_groups(struct commitlog_store *store, struct shown *out)
{
    static struct commitlog_group_info groups[GROUPS];
    uint32_t count = 0;
    for (groups[0].struct_bytes = sizeof groups[0];
         commitlog_group_at(store, count, &groups[count]) == COMMITLOG_OK;
         groups[count].struct_bytes = sizeof groups[0])
        CHECK(++count < GROUPS);
    qsort(groups, count, sizeof groups[0], group_compare);
    for (uint32_t i = 0; i < count; i++)
        show_group(store, &groups[i], out);
}

/* ---- what waits ------------------------------------------------------------------------------ */

static void show_waiting(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                         uint64_t position, struct shown *out)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_get(store, position, &message, &lease, &err), &err);
    say(out, "  to %s, %u, at %llu: %.*s\n", topic_name(topic), queue, (ull)position,
        (int)message.body.bytes, (const char *)message.body.data);
    commitlog_lease_release(lease);
}

static int timer_compare(const void *a, const void *b)
{
    const struct commitlog_timer_info *x = a;
    const struct commitlog_timer_info *y = b;
    return (x->timer > y->timer) - (x->timer < y->timer);
}

static void show_timers(struct commitlog_store *store, struct shown *out)
{
    static struct commitlog_timer_info timers[TIMERS];
    uint32_t count = 0;
    for (timers[0].struct_bytes = sizeof timers[0];
         commitlog_timer_at(store, count, &timers[count]) == COMMITLOG_OK;
         timers[count].struct_bytes = sizeof timers[0])
        CHECK(++count < TIMERS);
    qsort(timers, count, sizeof timers[0], timer_compare);
    for (uint32_t i = 0; i < count; i++) {
        say(out, "timer %llu, due at %lld\n", (ull)timers[i].timer,
            (long long)timers[i].deliver_at_ms);
        show_waiting(store, timers[i].topic, timers[i].queue, timers[i].position, out);
    }
}

static void show_transactions(struct commitlog_store *store, struct shown *out)
{
    struct commitlog_transaction_info it = {.struct_bytes = sizeof it};
    struct commitlog_transaction_message message = {.struct_bytes = sizeof message};
    while (commitlog_transaction_next(store, it.transaction, &it) == COMMITLOG_OK) {
        say(out, "transaction %llu of %s: prepared %u, from %lld to %lld, %llu bytes, %u groups\n",
            (ull)it.transaction, it.group, it.prepared, (long long)it.begin_ms,
            (long long)it.expires_at_ms, (ull)it.bytes, it.offset_groups);
        for (uint32_t i = 0;
             commitlog_transaction_message(store, it.transaction, i, &message) == COMMITLOG_OK; i++)
            show_waiting(store, message.topic, message.queue, message.position, out);
    }
}

/* ---- all of it ------------------------------------------------------------------------------- */

void shown_take(struct commitlog_store *store, struct shown *out)
{
    out->bytes = 0;
    topics_collect(store);
    for (uint32_t i = 0; i < topic_count; i++)
        show_topic(store, &topics[i], out);
    show_groups(store, out);
    show_timers(store, out);
    show_transactions(store, out);
}

void shown_compare(const struct shown *before, const struct shown *after, const char *when)
{
    const char *a = before->text;
    const char *b = after->text;
    while (*a != '\0' && *b != '\0') {
        size_t one = strcspn(a, "\n");
        size_t other = strcspn(b, "\n");
        if (one != other || memcmp(a, b, one) != 0)
            break;
        a += one + 1;
        b += other + 1;
    }
    WEAVE_CHECK(*a == '\0' && *b == '\0', "%s: was '%.*s', is '%.*s'", when, (int)strcspn(a, "\n"),
                a, (int)strcspn(b, "\n"), b);
}
