/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * notices.h - members of a consumer group are told that it has changed, so that they share out the
 * queues anew.
 *
 * Owns: which groups have changed in this turn, and who is still to be told. Invariants: 1. however
 * often a group changes in a turn, and however many of its members a connection is, the connection
 * is told once; 2. one that is behind is told when it is not any more. Threads: the loop's.
 */
#ifndef MINI_BROKER_NOTICES_H
#define MINI_BROKER_NOTICES_H

#include "clients.h"

bool notices_start(struct broker *broker);
void notices_stop(struct broker *broker);
/* Of consumers. */
void notices_changed(struct broker *broker, struct audience *audience);
/* It is about to be freed. */
void notices_forget(struct broker *broker, struct audience *audience);
/* The turn ends: members are told. */
void notices_send(struct broker *broker);
/* Now and then: so are those that were behind. */
void notices_again(struct broker *broker);

#endif
