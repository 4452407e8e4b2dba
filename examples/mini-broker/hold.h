/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hold.h - pulls that wait for messages: long polling.
 *
 * Owns: copies of the pulls. Invariants: 1. one that is held is tried again whenever its queue has
 * grown, and only then; 2. it is answered when its time is over, or its connection gone. Threads:
 * the loop's.
 */
#ifndef MINI_BROKER_HOLD_H
#define MINI_BROKER_HOLD_H

#include "pull.h"

bool hold_start(struct broker *broker);
void hold_stop(struct broker *broker);
/* Takes over what the pull owns. False: too many are held, or no memory. */
bool hold_pull(struct broker *broker, const struct pull *pull);
uint32_t hold_count(const struct broker *broker);

#endif
