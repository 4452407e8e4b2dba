/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * subscription.h - which messages of a topic a consumer wants: tags, or a condition of SQL92.
 *
 * Owns: the parsed form, and the text it was. Invariants: no tags and no filter: all messages.
 * Threads: the loop's.
 */
#ifndef MINI_BROKER_SUBSCRIPTION_H
#define MINI_BROKER_SUBSCRIPTION_H

#include "broker.h"

struct subscription {
    struct table_entry entry; /* by topic */
    int64_t version;
    bool sql;
    bool seen; /* in the heartbeat at hand */
    struct text expression;
    struct commitlog_slice *tags; /* as the store has them: tags.h */
    size_t tags_bytes;
    uint32_t tag_count;
    struct commitlog_filter *filter;
    char *data;            /* JSON, as the heartbeat had it, for administrators; or NULL */
    size_t cost;           /* bytes of memory, or some more, that it is counted as */
    struct connection *by; /* whose heartbeat it is of; NULL: that one has left the group */
};

/* NULL: no memory, or the condition is none: err says what is wrong. */
struct subscription *subscription_new(struct text topic, struct text expression, bool sql,
                                      int64_t version, struct commitlog_error *err);
/* Takes over the text, from malloc(3), or NULL. */
void subscription_keep(struct subscription *subscription, char *data);
void subscription_free(struct subscription *subscription);

#endif
