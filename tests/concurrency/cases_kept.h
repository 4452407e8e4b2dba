/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cases_kept.h -- cases of retention beside what delivers by reference a message of the segment
 * that goes: a timer, a transaction, a dead letter. A group that keeps what it has not consumed
 * finds it in the end.
 */
#ifndef TESTS_CONCURRENCY_CASES_KEPT_H
#define TESTS_CONCURRENCY_CASES_KEPT_H

void begin_kept_timer(void);
void begin_kept_transaction(void);
void begin_kept_dead(void);
/* The delivery lies behind a reservation that is open. */
void begin_kept_reserved(void);
void end_kept(void);

#endif
