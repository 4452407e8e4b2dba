/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * witness.h -- what a follower sees of that which the library decides, while it happens.
 *
 * Invariants: 1. a transaction is there whole, over both topics, or not at all; 2. nothing comes
 *       that was rolled back or cancelled, and nothing before its time; 3. what the audit has
 *       committed never moves back, and never beyond what it was being told.
 * Threads: as a follower, one.
 * Failure modes: as of a follower. What was looked at while the writer changed proves nothing.
 */
#ifndef TESTS_SOAK_WITNESS_H
#define TESTS_SOAK_WITNESS_H

#include "ledger.h"
#include "seat.h"

struct witness {
    uint32_t life; /* in which the offsets were seen; 0: none were */
    uint64_t offsets[LEDGER_QUEUES];
};

void witness_look(struct witness *witness, struct seat *seat, struct rng *rng);

#endif
