/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * join.h - the broker as a member of a cluster that name servers of RocketMQ know.
 *
 * Owns: a connection to each name server of --join. Invariants: 1. each is told of the broker and
 * its topics when it is reached, every JOIN_BEAT_MS, and soon after topics changed; 2. one request
 * at a time is at a name server, so what waits is bounded; 3. one that is not there is tried again
 * for ever, and keeps nobody from anything. Threads: the loop's.
 */
#ifndef MINI_BROKER_JOIN_H
#define MINI_BROKER_JOIN_H

#include "broker.h"

enum { JOIN_PEERS_MAX = 16, JOIN_BEAT_MS = 30000 };

/* Nothing without --join. */
bool join_start(struct broker *broker);
/* The broker stops: says farewell to each that knows it. */
void join_leave(struct broker *broker);
/* Each of those has heard it, or is gone. */
bool join_left(const struct broker *broker);
/* After join_leave. */
void join_stop(struct broker *broker);
/* Topics are not what they were. */
void join_changed(struct broker *broker);

#endif
