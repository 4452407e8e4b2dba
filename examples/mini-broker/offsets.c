/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * offsets.c - offsets of groups, in the store. See offsets.h.
 *
 * Happy path: commit, which the store forgets in no crash that its level survives. A consumer may
 * also go back, which the store calls a reset. What pulls carry comes with every pull, and becomes
 * one record for many of them. Who is to go on elsewhere is answered so when it asks, as newer
 * brokers of RocketMQ do: not all clients hear what they did not ask for. Failure modes: an offset
 * that no message will have is not taken; where the disk is full, what pulls carried is stored once
 * it is not; one that was carried by a pull is lost when the process is killed at once, and some
 * messages come twice.
 */
#include "offsets.h"

#include "append.h"
#include "groups.h"
#include "log.h"
#include "reach.h"

#include <stdlib.h>

enum { OFFSETS_MS = 1000, NOTED_MAX = 100000 /* of each table */ };

struct noted {
    struct table_entry entry; /* "group NUL topic's number and queue" */
    size_t group_bytes;
    uint32_t topic;
    uint32_t queue;
    uint64_t offset;
    uint64_t until_ms; /* a reset: whom it was not told by then it is not */
};

struct offsets {
    struct broker *broker;
    struct table noted;
    struct table resets; /* of the same kind */
    struct table reach;  /* reach.c's */
    uv_timer_t timer;
};

static int32_t offsets_commit(struct broker *broker, struct text group, uint32_t topic,
                              uint32_t queue, uint64_t offset)
{
    struct commitlog_error err = {0};
    struct commitlog_group *stored = group_stored(broker, group, true);
    const struct commitlog_group_offset one = {topic, queue, offset};
    if (stored == NULL)
        return COMMITLOG_ENOMEM;
    struct reach *reach = reach_of(&broker->offsets->reach, stored, group);
    int32_t code =
        append_waited(broker, commitlog_group_commit(stored, 0, &one, 1, COMMITLOG_LEVEL_NONE,
                                                     append_wait_ms(broker), NULL, &err));
    /* Back, or in a queue that the group would get to later: consumers of this protocol may. */
    if (code == COMMITLOG_ETOOSMALL || code == COMMITLOG_EMISUSE)
        code = commitlog_group_reset(stored, topic, queue, COMMITLOG_FROM_OFFSET, offset,
                                     COMMITLOG_LEVEL_NONE, &err);
    if (code == COMMITLOG_ETOOSMALL)
        code = commitlog_group_reset(stored, topic, queue, COMMITLOG_FROM_FIRST, 0,
                                     COMMITLOG_LEVEL_NONE, &err);
    reach_committed(reach, stored, topic);
    if (code != COMMITLOG_OK)
        log_line(LOG_WARN, "group %.*s: offset %llu: %s", (int)group.bytes, group.data,
                 (unsigned long long)offset, err.message);
    return code;
}

static struct text noted_name(struct broker *broker, struct text group, uint32_t topic,
                              uint32_t queue)
{
    struct buffer *out = &broker->scratch;
    buffer_clear(out);
    buffer_put_text(out, group);
    buffer_put_byte(out, 0);
    buffer_put_u32(out, topic);
    buffer_put_u32(out, queue);
    return buffer_text(out);
}

static struct noted *noted_find(struct broker *broker, const struct table *table, struct text group,
                                const struct topic *topic, uint32_t queue)
{
    return (struct noted *)(void *)table_find(table,
                                              noted_name(broker, group, topic->stored, queue));
}

/* It is not there yet. NULL: no memory, or too many. */
static struct noted *noted_new(struct broker *broker, struct table *table, struct text group,
                               const struct topic *topic, uint32_t queue)
{
    const struct text name = noted_name(broker, group, topic->stored, queue);
    struct noted *noted = table->count >= NOTED_MAX ? NULL : calloc(1, sizeof *noted + name.bytes);
    if (noted == NULL)
        return NULL;
    memcpy(noted + 1, name.data, name.bytes);
    noted->entry.name = (struct text){(char *)(noted + 1), name.bytes};
    noted->group_bytes = group.bytes;
    noted->topic = topic->stored;
    noted->queue = queue;
    if (table_insert(table, &noted->entry))
        return noted;
    free(noted);
    return NULL;
}

static void noted_drop(struct table *table, struct noted *noted)
{
    table_remove(table, &noted->entry);
    free(noted);
}

int64_t offsets_get(struct broker *broker, struct text group, const struct topic *topic,
                    uint32_t queue)
{
    if (topic->stored == TOPIC_NOT_STORED || queue >= topic->stored_queues)
        return OFFSET_NONE;
    const struct noted *noted = noted_find(broker, &broker->offsets->noted, group, topic, queue);
    if (noted != NULL)
        return (int64_t)noted->offset;
    struct commitlog_group *stored = group_stored(broker, group, false);
    struct commitlog_group_offset one = {topic->stored, queue, UINT64_MAX};
    const int32_t code =
        stored == NULL ? COMMITLOG_ENOTFOUND : commitlog_group_fetch(stored, &one, 1, NULL);
    if (code != COMMITLOG_OK && code != COMMITLOG_ENOTFOUND)
        return OFFSET_UNKNOWN;
    return one.offset == UINT64_MAX ? OFFSET_NONE : (int64_t)one.offset;
}

/* COMMITLOG_EBEYOND: no message will have it. */
static int32_t offsets_check(const struct broker *broker, const struct topic *topic, uint32_t queue,
                             int64_t offset)
{
    struct commitlog_queue_info info;
    if (offset < 0 || topic->stored == TOPIC_NOT_STORED || queue >= topic->stored_queues)
        return COMMITLOG_EBEYOND;
    const int32_t code = topic_bounds(broker, topic, queue, &info);
    return code == COMMITLOG_OK && (uint64_t)offset > info.next_offset ? COMMITLOG_EBEYOND : code;
}

bool offsets_set(struct broker *broker, struct text group, const struct topic *topic,
                 uint32_t queue, int64_t offset)
{
    const int32_t code = offsets_check(broker, topic, queue, offset);
    if (code != COMMITLOG_OK)
        return code == COMMITLOG_EBEYOND;
    log_line(LOG_DEBUG, "group %.*s: %s %u: offset %lld", (int)group.bytes, group.data,
             topic->entry.name.data, queue, (long long)offset);
    struct table *table = &broker->offsets->noted;
    struct noted *noted = noted_find(broker, table, group, topic, queue);
    if (noted != NULL)
        noted_drop(table, noted);
    return offsets_commit(broker, group, topic->stored, queue, (uint64_t)offset) == COMMITLOG_OK;
}

void offsets_note(struct broker *broker, struct text group, const struct topic *topic,
                  uint32_t queue, int64_t offset)
{
    struct offsets *offsets = broker->offsets;
    if (offsets_check(broker, topic, queue, offset) != COMMITLOG_OK)
        return;
    struct noted *noted = noted_find(broker, &offsets->noted, group, topic, queue);
    if (noted == NULL && offsets_get(broker, group, topic, queue) >= offset)
        return; /* a pull that was overtaken sets nothing back */
    if (noted == NULL)
        noted = noted_new(broker, &offsets->noted, group, topic, queue);
    if (noted == NULL)
        return;
    if ((uint64_t)offset > noted->offset)
        noted->offset = (uint64_t)offset;
}

/* NULL: there is none, or its time is over. */
static struct noted *reset_find(struct broker *broker, struct text group, const struct topic *topic,
                                uint32_t queue)
{
    struct table *table = &broker->offsets->resets;
    struct noted *reset = table->count == 0 ? NULL : noted_find(broker, table, group, topic, queue);
    if (reset == NULL || uv_now(&broker->loop) < reset->until_ms)
        return reset;
    noted_drop(table, reset);
    return NULL;
}

bool offsets_reset(struct broker *broker, struct text group, const struct topic *topic,
                   uint32_t queue, int64_t offset)
{
    if (!offsets_set(broker, group, topic, queue, offset))
        return false;
    if (topic->stored == TOPIC_NOT_STORED)
        return true; /* there is nothing that they could have come to */
    struct noted *reset = reset_find(broker, group, topic, queue);
    if (reset == NULL)
        reset = noted_new(broker, &broker->offsets->resets, group, topic, queue);
    if (reset == NULL) {
        log_line(LOG_WARN, "group %.*s: %s %u: no room to tell consumers that it was reset",
                 (int)group.bytes, group.data, topic->entry.name.data, queue);
        return true;
    }
    reset->offset = (uint64_t)offset;
    reset->until_ms = uv_now(&broker->loop) + OFFSETS_RESET_MS;
    return true;
}

bool offsets_reset_waits(struct broker *broker, struct text group, const struct topic *topic,
                         uint32_t queue)
{
    return reset_find(broker, group, topic, queue) != NULL;
}

bool offsets_reset_meets(struct broker *broker, struct text group, const struct topic *topic,
                         uint32_t queue, uint64_t asked, uint64_t *out_to)
{
    struct noted *reset = reset_find(broker, group, topic, queue);
    if (reset == NULL)
        return false;
    *out_to = reset->offset;
    if (asked != reset->offset)
        return true;
    noted_drop(&broker->offsets->resets, reset);
    return false;
}

bool offsets_groups(struct broker *broker, const struct topic *topic, json_t *names)
{
    const struct table *noted = &broker->offsets->noted;
    bool good = true;
    if (topic->stored == TOPIC_NOT_STORED)
        return true;
    for (const struct table_entry *entry = table_next(noted, NULL); entry != NULL;
         entry = table_next(noted, entry)) {
        const struct noted *one = (const struct noted *)(const void *)entry;
        if (one->topic == topic->stored)
            good &= json_object_setn(names, entry->name.data, one->group_bytes, json_true()) == 0;
    }
    for (const struct group *group = group_next(broker, NULL); group != NULL;
         group = group_next(broker, group)) {
        struct commitlog_group *stored = group_stored(broker, group->entry.name, false);
        if (stored != NULL && reach_has(&broker->offsets->reach, stored, group->entry.name, topic))
            good &= json_object_set(names, group->entry.name.data, json_true()) == 0;
    }
    return good;
}

static bool noted_of(const struct noted *noted, struct text group)
{
    return text_equal((struct text){noted->entry.name.data, noted->group_bytes}, group);
}

bool offsets_settle(struct broker *broker, struct text group)
{
    struct offsets *offsets = broker->offsets;
    struct table_entry *entry = table_next(&offsets->noted, NULL);
    bool settled = true;
    while (entry != NULL) {
        struct noted *noted = (struct noted *)(void *)entry;
        entry = table_next(&offsets->noted, entry);
        if (!noted_of(noted, group))
            continue;
        if (offsets_commit(broker, group, noted->topic, noted->queue, noted->offset) ==
            COMMITLOG_OK)
            noted_drop(&offsets->noted, noted);
        else
            settled = false;
    }
    return settled;
}

/* Those of a group; NULL: all. */
static void noted_forget(struct table *table, const struct text *group)
{
    struct table_entry *entry = table_next(table, NULL);
    while (entry != NULL) {
        struct noted *noted = (struct noted *)(void *)entry;
        entry = table_next(table, entry);
        if (group == NULL || noted_of(noted, *group))
            noted_drop(table, noted);
    }
}

void offsets_forget(struct broker *broker, struct text group)
{
    struct offsets *offsets = broker->offsets;
    reach_forget(&offsets->reach, group);
    noted_forget(&offsets->noted, &group);
    noted_forget(&offsets->resets, &group);
}

/* All of them; while there is no room, what is left stays noted, and is tried again. */
static void offsets_store(struct offsets *offsets)
{
    struct table_entry *entry = table_next(&offsets->noted, NULL);
    while (entry != NULL) {
        struct noted *noted = (struct noted *)(void *)entry;
        const struct text group = {entry->name.data, noted->group_bytes};
        entry = table_next(&offsets->noted, entry); /* not from the front: most of that is empty */
        const int32_t code =
            offsets_commit(offsets->broker, group, noted->topic, noted->queue, noted->offset);
        if (code == COMMITLOG_ENOSPC || code == COMMITLOG_EFULL || code == COMMITLOG_ETIMEDOUT)
            return;
        noted_drop(&offsets->noted, noted);
    }
}

/* Nobody asked in time. */
static void resets_end(struct offsets *offsets)
{
    struct table_entry *entry = table_next(&offsets->resets, NULL);
    while (entry != NULL) {
        struct noted *reset = (struct noted *)(void *)entry;
        entry = table_next(&offsets->resets, entry);
        if (uv_now(&offsets->broker->loop) >= reset->until_ms)
            noted_drop(&offsets->resets, reset);
    }
}

static void on_timer(uv_timer_t *timer)
{
    offsets_store(timer->data);
    resets_end(timer->data);
}

bool offsets_start(struct broker *broker)
{
    struct offsets *offsets = calloc(1, sizeof *offsets);
    if (offsets == NULL)
        return false;
    offsets->broker = broker;
    broker->offsets = offsets;
    uv_timer_init(&broker->loop, &offsets->timer);
    offsets->timer.data = offsets;
    return uv_timer_start(&offsets->timer, on_timer, OFFSETS_MS, OFFSETS_MS) == 0;
}

void offsets_stop(struct broker *broker)
{
    struct offsets *offsets = broker->offsets;
    if (offsets == NULL)
        return;
    offsets_store(offsets);
    noted_forget(&offsets->noted, NULL);
    noted_forget(&offsets->resets, NULL);
    uv_close((uv_handle_t *)&offsets->timer, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    table_free(&offsets->noted);
    table_free(&offsets->resets);
    reach_free(&offsets->reach);
    free(offsets);
    broker->offsets = NULL;
}
