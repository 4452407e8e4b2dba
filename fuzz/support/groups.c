/* SPDX-License-Identifier: BSD-2-Clause */
/* groups.c -- consumer groups of a store of any kind; see groups.h. */
#include "groups.h"

#include <string.h>

#include "check.h"

/* Hostile records may name thousands. */
#define GROUPS_MAX 8u
#define GROUPS_TOPICS_MAX 8u
#define GROUPS_QUEUES_MAX 8u

static const char groups_name[] = "fuzz";

static void groups_ask_queue(struct commitlog_group *group, uint32_t topic, uint32_t queue)
{
    struct commitlog_group_offset offset = {.topic = topic, .queue = queue};
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    if (commitlog_group_fetch(group, &offset, 1, NULL) == COMMITLOG_OK) {
        FUZZ_CHECK(offset.offset == UINT64_MAX || offset.offset <= (uint64_t)INT64_MAX);
    }
    if (commitlog_group_lag(group, topic, queue, &lag, NULL) == COMMITLOG_OK) {
        FUZZ_CHECK(lag.queues == 1 && (offset.offset != UINT64_MAX || lag.dropped == 0));
        FUZZ_CHECK(lag.messages > 0 || lag.oldest_time_ns == 0);
    }
}

static void groups_ask_one(struct commitlog_store *store, const struct commitlog_group_info *info)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_info again = {.struct_bytes = sizeof(again)};
    FUZZ_CHECK(info->name_bytes > 0 && strlen(info->name) == info->name_bytes);
    FUZZ_CHECK((info->flags & ~(uint32_t)COMMITLOG_GROUP_KEEP) == 0);
    if (commitlog_group_open(store, info->name, info->name_bytes, 0, &group, NULL) !=
        COMMITLOG_OK) {
        return;
    }
    if (commitlog_group_info(group, &again) == COMMITLOG_OK) {
        FUZZ_CHECK(memcmp(&again, info, sizeof(again)) == 0);
    }
    uint32_t topics = commitlog_topic_count(store);
    for (uint32_t t = 0; t < topics && t < GROUPS_TOPICS_MAX; t++) {
        struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
        if (commitlog_topic_info(store, t, &topic) != COMMITLOG_OK) {
            continue;
        }
        for (uint32_t q = 0; q < topic.queues_total && q < GROUPS_QUEUES_MAX; q++) {
            groups_ask_queue(group, t, q);
        }
    }
    commitlog_group_close(group);
}

void fuzz_groups_ask(struct commitlog_store *store)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    for (uint32_t i = 0; i < GROUPS_MAX && commitlog_group_at(store, i, &info) == COMMITLOG_OK;
         i++) {
        groups_ask_one(store, &info);
    }
}

bool fuzz_groups_change(struct commitlog_store *store, uint32_t topic, uint64_t first)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .offset = first + 1};
    const uint32_t level = COMMITLOG_LEVEL_DURABLE;
    uint32_t epoch = 0;
    if (commitlog_group_open(store, groups_name, strlen(groups_name), COMMITLOG_GROUP_CREATE,
                             &group, NULL) != COMMITLOG_OK) {
        return false;
    }
    bool done =
        commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, first, level, NULL) ==
            COMMITLOG_OK &&
        commitlog_group_next_epoch(group, level, &epoch, NULL) == COMMITLOG_OK &&
        commitlog_group_commit(group, epoch, &offset, 1, level, -1, NULL, NULL) == COMMITLOG_OK;
    if (done) {
        offset.offset = first;
        FUZZ_CHECK(commitlog_group_commit(group, epoch, &offset, 1, level, -1, NULL, NULL) ==
                   COMMITLOG_ETOOSMALL);
    }
    commitlog_group_close(group);
    return done;
}

void fuzz_groups_changed(struct commitlog_store *store, uint32_t topic, uint64_t first)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic};
    FUZZ_CHECK(commitlog_group_open(store, groups_name, strlen(groups_name), 0, &group, NULL) ==
               COMMITLOG_OK);
    FUZZ_CHECK(commitlog_group_fetch(group, &offset, 1, NULL) == COMMITLOG_OK);
    FUZZ_CHECK(offset.offset == first + 1);
    commitlog_group_close(group);
}
