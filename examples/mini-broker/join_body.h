/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * join_body.h - what a name server is told of this broker's topics.
 *
 * Owns: nothing. Invariants: 1. numeric values are numbers, names have quotes; 2. no part is longer
 * than JOIN_PART_BYTES, half of what a frame may have. Threads: the loop's.
 */
#ifndef MINI_BROKER_JOIN_BODY_H
#define MINI_BROKER_JOIN_BODY_H

#include "broker.h"

enum { JOIN_PART_BYTES = 8 * 1024 * 1024 };

/* A part of the topics, the first of which is 0, in their state `version`, as JSON; free(3) it.
 * *out_more: there is another part. NULL: no memory. */
char *join_body(const struct broker *broker, uint64_t version, uint32_t part, bool *out_more);

#endif
