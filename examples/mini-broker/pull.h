/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pull.h - a consumer's wish for messages of a queue, tried now or held until there are some.
 *
 * Owns: nothing but a subscription that came with the request. Threads: the loop's.
 */
#ifndef MINI_BROKER_PULL_H
#define MINI_BROKER_PULL_H

#include "reply.h"
#include "subscription.h"
#include "topics.h"

enum { PULL_MESSAGES_MAX = 256, PULL_BYTES_MAX = 262144, PULL_HOLD_MAX_MS = 300000 };
enum { PULL_SUBSCRIPTION_MAX = 16384 }; /* bytes of one that comes with the request */

struct pull {
    struct reply_to to;
    struct topic *topic;
    uint32_t queue;
    uint32_t max;
    uint64_t asked;  /* offset, as it was asked for */
    uint64_t offset; /* where to go on: beyond what nobody wanted */
    int64_t hold_ms; /* 0: it is not to be held */
    size_t group_bytes;
    char group[GROUP_NAME_MAX];
    struct subscription *own; /* that came with the request, or NULL: that of the heartbeat */
};

/* Answers if there is anything to say. False: the queue has nothing (more) that is wanted. */
bool pull_try(struct broker *broker, struct pull *pull);
/* Its group was reset in this queue, to elsewhere: answers where to go on. False: it was not. */
bool pull_moved(struct broker *broker, struct pull *pull);
/* Its time is over: answers that there was nothing. */
void pull_give_up(struct broker *broker, struct pull *pull);
void pull_free(struct pull *pull);

#endif
