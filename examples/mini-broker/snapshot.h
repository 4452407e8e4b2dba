/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * snapshot.h - what metrics and the status page show, gathered in one go.
 *
 * Owns: its arrays; topics and groups are borrows, good until the loop turns. Invariants: 1. topics
 * in order of their names, the broker's own last, and none that passes; 2. never more than
 * SNAPSHOT_..., so that no number of topics holds the loop up for long: `left_out` says how much is
 * missing. Threads: the loop's.
 */
#ifndef MINI_BROKER_SNAPSHOT_H
#define MINI_BROKER_SNAPSHOT_H

#include "groups.h"
#include "topics.h"

enum { RATE_SECONDS = 10 };
enum {
    SNAPSHOT_TOPICS_MAX = 5000,
    SNAPSHOT_QUEUES_MAX = 10000,
    SNAPSHOT_LAGS_MAX = 5000,
    SNAPSHOT_LOOKS_MAX = 100000 /* after offsets of groups */
};

struct snapshot_queue {
    uint64_t first;
    uint64_t next;
    int64_t last_ms; /* 0: there is no message */
};

struct snapshot_topic {
    const struct topic *topic;
    size_t queue; /* the first one of it in `queues` */
    uint32_t queue_count;
    uint64_t messages; /* that are kept */
    int64_t last_ms;
    double rate;
};

struct snapshot_lag {
    const struct group *group;
    const struct topic *topic;
    uint64_t messages;
    uint64_t dropped;
    int64_t oldest_ms; /* of what is to be consumed; 0: nothing is */
};

struct snapshot {
    struct broker *broker;
    int64_t now_ms;
    struct snapshot_topic *topics;
    struct snapshot_queue *queues;
    struct snapshot_lag *lags;
    size_t topic_count, queue_count, lag_count;
    size_t topics_all; /* with those that are left out */
    uint64_t left_out;
    uint32_t held; /* pulls that wait for messages */
    struct commitlog_positions positions;
    int32_t failure; /* of the store, or COMMITLOG_OK */
    char failure_text[256];
    bool full; /* the disk: messages are refused */
    uint64_t disk_bytes, disk_free;
    uint64_t resident_bytes, virtual_bytes;
    double cpu_seconds;
};

/* Of all topics, or of one. False: no memory; out is good for snapshot_free all the same. */
bool snapshot_take(struct broker *broker, const struct topic *only, struct snapshot *out);
void snapshot_free(struct snapshot *snapshot);

#endif
