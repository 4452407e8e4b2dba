/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * durable.h - replies that wait until the disk has what they are about.
 *
 * Owns: those replies, and a thread that flushes when somebody waits. Invariants: 1. they are
 * answered in the order of their positions; 2. one flush serves all that came before it began.
 * Threads: the loop's calls; the other thread calls commitlog_sync and wakes the loop, no more.
 */
#ifndef MINI_BROKER_DURABLE_H
#define MINI_BROKER_DURABLE_H

#include "reply.h"

bool durable_start(struct broker *broker);
/* All that waits is answered before it returns. */
void durable_stop(struct broker *broker);
/* All that is written becomes durable soon; nobody waits for it. */
void durable_soon(struct broker *broker);
/* As durable_reply, for all that is written. */
void durable_reply_written(struct broker *broker, struct reply *reply);
/* In place of reply_end, for what ends at that position of the log. At once with --flush async, or
 * when `wait` is false. No body. */
void durable_reply(struct broker *broker, struct reply *reply, uint64_t end_position, bool wait);

#endif
