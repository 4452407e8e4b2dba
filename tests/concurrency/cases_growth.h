/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cases_growth.h -- cases of a second topic, which grows while others open it, append to it, or
 * retention carries it forward; in the end it has all its queues, also after it was opened again.
 */
#ifndef TESTS_CONCURRENCY_CASES_GROWTH_H
#define TESTS_CONCURRENCY_CASES_GROWTH_H

void begin_grow_open(void);
/* Its definition is not in the log yet: there was no room. */
void begin_grow_undefined(void);
void begin_grow_append(void);
void begin_grow_retention(void);
void end_grow(void);

#endif
