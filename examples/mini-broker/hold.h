/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold.h - pulls that wait for messages: long polling.
 *
 * Owns: copies of the pulls. Invariants: 1. one that is held is tried again whenever its queue has
 * grown, and only then; 2. it is answered when its time is over, or its connection gone; 3. what
 * is kept of them is at most HOLDS_BYTES_MAX, and of one connection HOLD_BYTES_MAX; 4. a message
 * costs a look at its own queue, and looks at all queues take a small part of the time. Threads:
 * the loop's.
 */
#ifndef MINI_BROKER_HOLD_H
#define MINI_BROKER_HOLD_H

#include "pull.h"

enum { HOLD_BYTES_MAX = 16 * 1024 * 1024, HOLDS_BYTES_MAX = 128 * 1024 * 1024 };

bool hold_start(struct broker *broker);
void hold_stop(struct broker *broker);
/* Takes over what the pull owns. False: too much is held, or no memory. */
bool hold_pull(struct broker *broker, const struct pull *pull);
/* The queue has grown, and shows it when the log is visible up to that position. */
void hold_grown(struct broker *broker, const struct topic *topic, uint32_t queue,
                uint64_t end_position);
/* The group was reset in this queue: those of its pulls that wait for it are told. */
void hold_moved(struct broker *broker, struct text group, const struct topic *topic,
                uint32_t queue);
uint32_t hold_count(const struct broker *broker);

#endif
