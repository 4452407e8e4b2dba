/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * room.h - whether messages are refused because the disk is full.
 *
 * Owns: struct room of the broker. Invariants: it is full from a message that was refused for that
 * until one as large was taken, or the store, which tries by itself, finds room. Threads: the
 * loop's.
 */
#ifndef MINI_BROKER_ROOM_H
#define MINI_BROKER_ROOM_H

#include "broker.h"

/* What the store said of a message of so many bytes; the same code. */
int32_t room_told(struct broker *broker, int32_t code, size_t bytes);
/* Asked once a second or so, or it may end as much later. */
bool room_is_full(struct broker *broker);

#endif
