/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * subscription.h - which messages of a topic a consumer wants: tags, or a condition of SQL92.
 *
 * Owns: the parsed form. Invariants: no tags and no filter: all messages. Threads: the loop's.
 */
#ifndef MINI_BROKER_SUBSCRIPTION_H
#define MINI_BROKER_SUBSCRIPTION_H

#include "broker.h"

#include <jansson.h>

struct subscription {
    struct table_entry entry; /* by topic */
    int64_t version;
    bool sql;
    bool seen; /* in the heartbeat at hand */
    struct text expression;
    struct commitlog_slice *tags;
    uint32_t tag_count;
    struct commitlog_filter *filter;
    json_t *data; /* as the heartbeat had it, for administrators; or NULL */
};

/* NULL: no memory, or the condition is none: err says what is wrong. */
struct subscription *subscription_new(struct text topic, struct text expression, bool sql,
                                      int64_t version, struct commitlog_error *err);
void subscription_free(struct subscription *subscription);

#endif
