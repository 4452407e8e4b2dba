/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot.c - topics, queues, lags, and the state of store, disk and process. See snapshot.h.
 *
 * Which topics a group has offsets of is not listed anywhere: it is asked of each, until as many
 * queues were found as the group has.
 * Happy path: gather, show, free. Failure modes: no memory: false; what cannot be asked is 0.
 */
#include "snapshot.h"

#include "hold.h"
#include "ops.h"
#include "reach.h"
#include "room.h"
#include "topic_rates.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000 };

static int by_name(const void *a, const void *b)
{
    const struct topic *left = ((const struct snapshot_topic *)a)->topic;
    const struct topic *right = ((const struct snapshot_topic *)b)->topic;
    if (left->system != right->system)
        return left->system ? 1 : -1;
    return strcmp(left->entry.name.data, right->entry.name.data);
}

static bool gather_topics(struct snapshot *out, const struct topic *only)
{
    size_t room = only != NULL ? 1 : 0;
    for (const struct topic *topic = topic_next(out->broker, NULL); only == NULL && topic != NULL;
         topic = topic_next(out->broker, topic))
        room += !topic->deleted && !topic->passing;
    out->topics = calloc(room + 1, sizeof *out->topics);
    if (out->topics == NULL)
        return false;
    for (const struct topic *topic = only != NULL ? only : topic_next(out->broker, NULL);
         topic != NULL; topic = only != NULL ? NULL : topic_next(out->broker, topic)) {
        if (topic->deleted || (topic->passing && only == NULL))
            continue;
        out->topics[out->topic_count++].topic = topic;
    }
    qsort(out->topics, out->topic_count, sizeof *out->topics, by_name);
    out->topics_all = out->topic_count;
    if (out->topic_count > SNAPSHOT_TOPICS_MAX) {
        out->left_out += out->topic_count - SNAPSHOT_TOPICS_MAX;
        out->topic_count = SNAPSHOT_TOPICS_MAX;
    }
    return true;
}

static void gather_queues_of(struct snapshot *out, struct snapshot_topic *one)
{
    const struct topic *topic = one->topic;
    const uint32_t queues = topic->stored == TOPIC_NOT_STORED ? 0 : topic->stored_queues;
    one->queue = out->queue_count;
    one->rate = topic_rate(out->broker->ops->topic_rates, topic->entry.name);
    for (uint32_t queue = 0; queue < queues; queue++) {
        struct commitlog_queue_info info;
        if (out->queue_count == SNAPSHOT_QUEUES_MAX) {
            out->left_out += queues - queue;
            return;
        }
        (void)topic_bounds(out->broker, topic, queue, &info);
        const int64_t last_ms = info.last_time_ns / NS_PER_MS;
        out->queues[out->queue_count++] = (struct snapshot_queue){
            .first = info.first_offset, .next = info.next_offset, .last_ms = last_ms};
        one->queue_count++;
        one->messages += info.next_offset - info.first_offset;
        if (last_ms > one->last_ms)
            one->last_ms = last_ms;
    }
}

static bool gather_queues(struct snapshot *out)
{
    size_t room = 0;
    for (size_t i = 0; i < out->topic_count; i++) {
        const struct topic *topic = out->topics[i].topic;
        room += topic->stored == TOPIC_NOT_STORED ? 0 : topic->stored_queues;
    }
    room = room > SNAPSHOT_QUEUES_MAX ? SNAPSHOT_QUEUES_MAX : room;
    out->queues = calloc(room + 1, sizeof *out->queues);
    if (out->queues == NULL)
        return false;
    for (size_t i = 0; i < out->topic_count; i++)
        gather_queues_of(out, &out->topics[i]);
    return true;
}

static void gather_lag(struct snapshot *out, const struct group *group,
                       struct commitlog_group *stored, const struct topic *topic)
{
    struct commitlog_group_lag lag = {.struct_bytes = sizeof lag};
    if (commitlog_group_lag(stored, topic->stored, COMMITLOG_QUEUE_ALL, &lag, NULL) != COMMITLOG_OK)
        return;
    if (out->lag_count == SNAPSHOT_LAGS_MAX) {
        out->left_out++;
        return;
    }
    out->lags[out->lag_count++] =
        (struct snapshot_lag){.group = group,
                              .topic = topic,
                              .messages = lag.messages,
                              .dropped = lag.dropped,
                              .oldest_ms = lag.oldest_time_ns / NS_PER_MS};
}

static int by_group(const void *a, const void *b)
{
    const struct snapshot_lag *left = a, *right = b;
    const int order = strcmp(left->group->entry.name.data, right->group->entry.name.data);
    return order != 0 ? order : strcmp(left->topic->entry.name.data, right->topic->entry.name.data);
}

static bool gather_lags(struct snapshot *out)
{
    size_t looks = 0;
    out->lags = calloc(SNAPSHOT_LAGS_MAX, sizeof *out->lags);
    if (out->lags == NULL)
        return false;
    for (const struct group *group = group_next(out->broker, NULL); group != NULL;
         group = group_next(out->broker, group)) {
        struct commitlog_group_info info = {.struct_bytes = sizeof info};
        if (looks >= SNAPSHOT_LOOKS_MAX) {
            out->left_out++;
            continue;
        }
        looks++;
        struct commitlog_group *stored = group_stored(out->broker, group->entry.name, false);
        if (stored == NULL || commitlog_group_info(stored, &info) != COMMITLOG_OK)
            continue;
        uint32_t found = 0;
        for (size_t i = 0; i < out->topic_count && found < info.queues; i++) {
            const struct topic *topic = out->topics[i].topic;
            if (topic->stored == TOPIC_NOT_STORED || looks >= SNAPSHOT_LOOKS_MAX)
                continue;
            looks += topic->stored_queues;
            const uint32_t here = reach_queues(stored, topic);
            if (here > 0)
                gather_lag(out, group, stored, topic);
            found += here;
        }
    }
    qsort(out->lags, out->lag_count, sizeof *out->lags, by_group);
    return true;
}

static void gather_process(struct snapshot *out)
{
    struct statvfs disk;
    struct rusage usage;
    unsigned long long pages = 0, resident = 0;
    if (statvfs(out->broker->options->data, &disk) == 0) {
        out->disk_bytes = (uint64_t)disk.f_blocks * disk.f_frsize;
        out->disk_free = (uint64_t)disk.f_bavail * disk.f_frsize;
    }
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        out->cpu_seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return;
    if (fscanf(file, "%llu %llu", &pages, &resident) == 2) {
        const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        out->virtual_bytes = pages * page;
        out->resident_bytes = resident * page;
    }
    (void)fclose(file);
}

static void gather_store(struct snapshot *out)
{
    struct commitlog_error err = {0};
    out->positions.struct_bytes = sizeof out->positions;
    (void)commitlog_positions_get(out->broker->store, &out->positions);
    out->failure = commitlog_failure(out->broker->store, &err);
    out->full = room_is_full(out->broker);
    if (out->failure != COMMITLOG_OK)
        (void)snprintf(out->failure_text, sizeof out->failure_text, "%s", err.message);
}

bool snapshot_take(struct broker *broker, const struct topic *only, struct snapshot *out)
{
    *out = (struct snapshot){.broker = broker, .now_ms = broker_now_ms()};
    out->held = hold_count(broker);
    gather_process(out);
    gather_store(out);
    return gather_topics(out, only) && gather_queues(out) && gather_lags(out);
}

void snapshot_free(struct snapshot *snapshot)
{
    free(snapshot->topics);
    free(snapshot->queues);
    free(snapshot->lags);
}
