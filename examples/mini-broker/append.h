/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * append.h - a message into the store.
 *
 * Owns: nothing. Invariants: level none: who answers waits by durable.h. Threads: the loop's.
 */
#ifndef MINI_BROKER_APPEND_H
#define MINI_BROKER_APPEND_H

#include "message_layout.h"
#include "properties.h"
#include "tags.h"
#include "topics.h"

enum { APPEND_KEYS_MAX = 64, APPEND_KEY_BYTES_MAX = 4096 };

struct message {
    struct topic *topic; /* stored already: topic_store */
    uint32_t queue;
    int64_t deliver_at_ms;          /* 0: at once */
    const struct properties *known; /* of layout.properties */
    struct layout layout;           /* topic and queue are set by append_* */
    char tag[TAG_SUBSTITUTE_BYTES]; /* append_record's, for a tag that the store does not take */
};

/* The record of it, all but the body. Keys are put into `keys`, the first ones that the store
 * takes; the tag may be in the message. */
void append_record(struct message *message, struct commitlog_slice keys[APPEND_KEYS_MAX],
                   struct commitlog_record *out);
/* Its body in the scratch buffer, where it cannot be written in place. False: no memory. */
bool append_body(struct broker *broker, const struct message *message, struct commitlog_slice *out);
/* How long the store may be waited for, on the loop: once that was for nothing, not for some time.
 */
int32_t append_wait_ms(const struct broker *broker);
/* The code of what may have waited, as it is. */
int32_t append_waited(struct broker *broker, int32_t code);
int32_t append_message(struct broker *broker, struct message *message,
                       struct commitlog_receipt *out_receipt, struct commitlog_error *err);
/* What clients are told of a code of the store. */
int32_t append_reply_code(int32_t code);

#endif
