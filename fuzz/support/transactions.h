/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transactions.h -- what a store of any kind says of its open transactions, and some of our own.
 *
 * Threads and locks: none.
 */
#ifndef FUZZ_SUPPORT_TRANSACTIONS_H
#define FUZZ_SUPPORT_TRANSACTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

/* Asks for what is open, and checks that the answers agree. */
void fuzz_transactions_ask(struct commitlog_store *store);
/* Three with messages to queue 0 of the topic: one is committed, one rolled back, one stays
 * prepared: *prepared is its number. *committed: how many messages of the queue these became.
 * False: some of it was refused. */
bool fuzz_transactions_change(struct commitlog_store *store, uint32_t topic, uint32_t *committed,
                              uint64_t *prepared);
/* After that: the one that is prepared is there, and is committed. */
void fuzz_transactions_changed(struct commitlog_store *store, uint32_t topic, uint64_t prepared);
/* For seeds: one in each form that there is, with offsets of a group, and an end of each kind. The
 * one that is returned is neither prepared nor ended. *prepared: its number. */
struct commitlog_transaction *fuzz_transactions_fill(struct commitlog_store *store, uint32_t topic,
                                                     uint64_t *prepared);

#endif
