/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transactions.h - messages that wait for their producer's decision.
 *
 * Owns: how often each was asked after, in memory. The transactions themselves are the store's:
 * prepared ones, each of one message, whose number is what clients are told as its two offsets.
 * Invariants: nobody is asked more often than --checks; then it is rolled back. Threads: the
 * loop's.
 */
#ifndef MINI_BROKER_TRANSACTIONS_H
#define MINI_BROKER_TRANSACTIONS_H

#include "append.h"

bool transactions_start(struct broker *broker);
void transactions_stop(struct broker *broker);
/* The receipt's position and offset are the transaction's number. */
int32_t transactions_prepare(struct broker *broker, struct text group, struct message *message,
                             struct commitlog_receipt *out_receipt, struct commitlog_error *err);

#endif
