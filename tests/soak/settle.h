/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * settle.h -- the store against the ledger, after it was opened and before anybody acts.
 *
 * Invariants: 1. what a group has committed is what it was told, or what it was being told when the
 *       process died, of all queues together; 2. a timer waits, or its message is in its queue, or
 *       was seen: one of them, and none if it was cancelled; 3. a transaction is there whole, or
 *       not at all, and one that was prepared is listed with all its messages until it is decided;
 *       4. a message that is worked on is out, done or dead as was said, with its attempts and its
 *       time; 5. of each key the numbers follow each other, and a group has consumed a prefix.
 * Happy path: afterwards the ledger says what has come of what was begun.
 * Failure modes: any difference ends the program. A program that dies in here is no loss.
 */
#ifndef TESTS_SOAK_SETTLE_H
#define TESTS_SOAK_SETTLE_H

#include "clerk.h"

/* The desk is open, and was ready before. */
void ledger_settle(struct desk *desk);

/* ---- parts ----------------------------------------------------------------------------------- */

typedef void settle_take(struct desk *desk, uint32_t topic, const struct commitlog_message *message,
                         void *context);
/* All that the audit has not seen of the topic. */
void settle_unseen(struct desk *desk, uint32_t topic, settle_take *take, void *context);
void settle_groups(struct desk *desk); /* settle.c */
void settle_laters(struct desk *desk); /* settle_open.c */
void settle_deals(struct desk *desk);
void settle_keyed(struct desk *desk); /* settle_work.c */
void settle_work(struct desk *desk);

#endif
