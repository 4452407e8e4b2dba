/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * join_body.h - what a name server is told of this broker's topics.
 *
 * Owns: nothing. Invariants: numeric values are numbers, names have quotes. Threads: the loop's.
 */
#ifndef MINI_BROKER_JOIN_BODY_H
#define MINI_BROKER_JOIN_BODY_H

#include "broker.h"

/* All topics in their state `version`, as JSON; free(3) it. NULL: no memory. */
char *join_body(const struct broker *broker, uint64_t version);

#endif
