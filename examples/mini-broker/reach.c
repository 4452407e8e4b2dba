/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reach.c - the topics of each group, learned from what it commits and from what was asked. See
 * reach.h.
 *
 * The store tells the number of queues in which a group has offsets, but not which. A commit that
 * makes it larger by one was the first in a queue of its topic. Of what was there at the start
 * nothing is known: a topic is looked through once when somebody asks for it.
 *
 * Happy path: commits are counted, and an answer costs a look at a few numbers. Failure modes: the
 * number is another one than was counted (a topic was deleted): all is learned anew; no memory: the
 * store is asked for each queue.
 */
#include "reach.h"

#include <stdlib.h>

struct reach_topic {
    uint32_t topic;
    uint32_t queues; /* 0: it was looked through, and there is none */
};

struct reach {
    struct table_entry entry; /* by group; the name lies behind */
    uint32_t queues;          /* what the store has said last */
    uint32_t sum;
    uint32_t count, room;
    struct reach_topic *topics;
};

static uint32_t queues_of(struct commitlog_group *stored)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof info};
    return commitlog_group_info(stored, &info) == COMMITLOG_OK ? info.queues : 0;
}

static struct reach *reach_make(struct table *all, struct text group)
{
    struct reach *made = calloc(1, sizeof *made + group.bytes);
    if (made == NULL)
        return NULL;
    memcpy(made + 1, group.data, group.bytes);
    made->entry.name = (struct text){(char *)(made + 1), group.bytes};
    if (table_insert(all, &made->entry))
        return made;
    free(made);
    return NULL;
}

struct reach *reach_of(struct table *all, struct commitlog_group *stored, struct text group)
{
    const uint32_t queues = queues_of(stored);
    struct reach *reach = (struct reach *)(void *)table_find(all, group);
    if (reach == NULL)
        reach = reach_make(all, group);
    if (reach != NULL && reach->queues != queues) {
        reach->queues = queues;
        reach->sum = reach->count = 0;
    }
    return reach;
}

static struct reach_topic *topic_in(const struct reach *reach, uint32_t topic)
{
    for (uint32_t i = 0; i < reach->count; i++) {
        if (reach->topics[i].topic == topic)
            return &reach->topics[i];
    }
    return NULL;
}

static struct reach_topic *topic_made(struct reach *reach, uint32_t topic)
{
    if (reach->count == reach->room) {
        const uint32_t room = reach->room == 0 ? 4 : reach->room * 2;
        struct reach_topic *topics = realloc(reach->topics, room * sizeof *topics);
        if (topics == NULL)
            return NULL;
        reach->topics = topics;
        reach->room = room;
    }
    reach->topics[reach->count] = (struct reach_topic){.topic = topic};
    return &reach->topics[reach->count++];
}

void reach_committed(struct reach *reach, struct commitlog_group *stored, uint32_t topic)
{
    const uint32_t queues = reach == NULL ? 0 : queues_of(stored);
    if (reach == NULL || queues == reach->queues)
        return;
    struct reach_topic *one = topic_in(reach, topic);
    if (one == NULL && reach->sum == reach->queues)
        one = topic_made(reach, topic); /* else others of its queues may have been there before */
    if (one != NULL) {
        one->queues++;
        reach->sum++;
    }
    reach->queues = queues;
}

/* Many with one question, or the store would be asked for every one. */
uint32_t reach_queues(struct commitlog_group *stored, const struct topic *topic)
{
    static struct commitlog_group_offset offsets[COMMITLOG_GROUP_OFFSETS_MAX]; /* one thread */
    uint32_t found = 0;
    for (uint32_t begin = 0; begin < topic->stored_queues; begin += COMMITLOG_GROUP_OFFSETS_MAX) {
        uint32_t count = topic->stored_queues - begin;
        count = count > COMMITLOG_GROUP_OFFSETS_MAX ? COMMITLOG_GROUP_OFFSETS_MAX : count;
        for (uint32_t i = 0; i < count; i++)
            offsets[i] = (struct commitlog_group_offset){topic->stored, begin + i, UINT64_MAX};
        if (commitlog_group_fetch(stored, offsets, count, NULL) != COMMITLOG_OK)
            return found;
        for (uint32_t i = 0; i < count; i++)
            found += offsets[i].offset != UINT64_MAX;
    }
    return found;
}

bool reach_has(struct table *all, struct commitlog_group *stored, struct text group,
               const struct topic *topic)
{
    struct reach *reach = reach_of(all, stored, group);
    struct reach_topic *one = reach == NULL ? NULL : topic_in(reach, topic->stored);
    if (one == NULL && reach != NULL && reach->sum == reach->queues)
        return false;
    if (one != NULL)
        return one->queues > 0;
    const uint32_t queues = reach_queues(stored, topic);
    one = reach == NULL ? NULL : topic_made(reach, topic->stored);
    if (one != NULL) {
        one->queues = queues;
        reach->sum += queues;
    }
    return queues > 0;
}

static void reach_drop(struct table *all, struct reach *reach)
{
    table_remove(all, &reach->entry);
    free(reach->topics);
    free(reach);
}

void reach_forget(struct table *all, struct text group)
{
    struct reach *reach = (struct reach *)(void *)table_find(all, group);
    if (reach != NULL)
        reach_drop(all, reach);
}

void reach_free(struct table *all)
{
    struct table_entry *entry = table_next(all, NULL);
    while (entry != NULL) {
        struct reach *reach = (struct reach *)(void *)entry;
        entry = table_next(all, entry);
        reach_drop(all, reach);
    }
    table_free(all);
}
