/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cases_carry.h -- retention beside whatever changes the state that it carries forward: what the
 * store shows in the end is what the next process finds, after a kill, and after a close without
 * CHECKPOINT and views, when the segment that was active meanwhile has gone, too.
 *
 * The second thread does all that a case is about twice, to others of each kind and in another
 * segment: one preemption puts all of it, or any part, at any lock of retention. What one case is
 * about waits for the same lock of retention, or for none, so that nothing holds up the rest.
 */
#ifndef TESTS_CONCURRENCY_CASES_CARRY_H
#define TESTS_CONCURRENCY_CASES_CARRY_H

void begin_carry_messages(void);
void begin_carry_topics(void);
void begin_carry_growth(void);
void begin_carry_groups(void);
void begin_carry_work(void);
void begin_carry_timers(void);
void begin_carry_prepared(void);
/* Reservations are open until retention has returned. */
void begin_carry_reserved(void);
void end_carry(void);
/* Nothing more goes, but a group comes to need what retention has left. */
void end_carry_kept(void);

#endif
