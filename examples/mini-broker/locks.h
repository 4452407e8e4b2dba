/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * locks.h - which client of a group may consume a queue in order, and until when.
 *
 * Owns: the locks, in memory: after a restart clients lock anew before they go on.
 * Invariants: of a group one client at a time has a queue; a lock ends LOCK_MS after it was last
 * asked for. Threads: the loop's.
 */
#ifndef MINI_BROKER_LOCKS_H
#define MINI_BROKER_LOCKS_H

#include "broker.h"

bool locks_start(struct broker *broker);
void locks_stop(struct broker *broker);
/* The client said farewell: its locks end. */
void locks_release_client(struct broker *broker, struct text group, struct text id);

#endif
