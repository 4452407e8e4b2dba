/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shown.h -- what a store shows of its state through the public interface, as text: its topics with
 * their queues and messages, groups with offsets and work, timers, transactions. What cannot be
 * asked for, what is remembered of producers, is not in it.
 *
 * Invariants: two stores of the same state have the same text, whatever numbers their topics have
 * and in whatever order they are told.
 */
#ifndef TESTS_CONCURRENCY_SHOWN_H
#define TESTS_CONCURRENCY_SHOWN_H

#include <stddef.h>

#include "commitlog.h"

enum { SHOWN_BYTES = 64 << 10 };

struct shown {
    size_t bytes;
    char text[SHOWN_BYTES];
};

void shown_take(struct commitlog_store *store, struct shown *out);
/* Fails with the first line that differs, and says when it was taken. */
void shown_compare(const struct shown *before, const struct shown *after, const char *when);

#endif
