/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * send.h - what the ways of sending have in common.
 *
 * Owns: nothing. Threads: the loop's.
 */
#ifndef MINI_BROKER_SEND_H
#define MINI_BROKER_SEND_H

#include "append.h"
#include "command.h"
#include "connection.h"

enum { SEND_BODY_MAX = 4 * 1024 * 1024 };

struct send { /* as it was asked for, whichever names the fields have */
    struct text group;
    struct text topic;
    struct text default_topic;
    struct text properties;
    int64_t default_queues;
    int64_t queue;
    int64_t sys_flag;
    int64_t born_ms;
    int64_t flag;
    int64_t reconsumed;
    int64_t reconsume_max; /* -1: not said */
};

void send_parse(const struct command *command, struct send *out);
/* The topic, made if need be, and stored; NULL: *out_code and *out_why say why not. */
struct topic *send_topic(struct broker *broker, const struct send *send, int32_t *out_code,
                         const char **out_why);
/* The queue that is asked for, or one in turn. False: there is none of this number. */
bool send_queue(struct topic *topic, int64_t asked, uint32_t *out_queue);
/* An id for a message whose sender made none: 32 digits, with a NUL. */
void send_unique(struct broker *broker, char out[33]);

#endif
