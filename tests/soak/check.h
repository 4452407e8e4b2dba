/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h -- the whole store against the book, after it was opened and before anything is appended.
 *
 * Invariants: 1. every message proves itself, is where its note says, and was either acknowledged
 *       or in flight when the last writer died; 2. everything acknowledged is there, but what
 *       retention took, and what a private live area took with it: an end of the log; 3. offsets
 *       of a queue have no gaps but holes, times, epochs and lives never go back, batches are
 *       whole; 4. queues, keys and times, which are views, say the same as the log.
 * Happy path: afterwards the book says what the store has, and that it has to stay.
 * Failure modes: any difference ends the program. A program that dies in here is no loss: what is
 *       not settled yet is settled by the next one.
 */
#ifndef TESTS_SOAK_CHECK_H
#define TESTS_SOAK_CHECK_H

#include "seat.h"

/* was_clean: the last writer closed the store, and nobody has touched it since. */
void check_store(struct seat *seat, bool was_clean, struct rng *rng);

#endif
