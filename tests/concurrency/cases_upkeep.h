/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cases_upkeep.h -- cases of the library's own threads, upkeep and the drainer: no append is left
 * because one of them sleeps, and each of them ends when the store is closed.
 */
#ifndef TESTS_CONCURRENCY_CASES_UPKEEP_H
#define TESTS_CONCURRENCY_CASES_UPKEEP_H

void begin_upkeep(void);
void begin_upkeep_asleep(void);
void begin_upkeep_durable(void);
void quiet_upkeep(void);
/* Closed as soon as the append has returned, wherever the threads are. */
void begin_close(void);
/* Of one of them alone: each append wakes it. */
void begin_upkeep_alone(void);
void begin_drainer(void);
void quiet_drainer(void);

#endif
