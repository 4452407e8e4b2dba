/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * follower.h -- a process that reads beside the writers that come and go: several queues, a topic
 * and the log as it lies, with waits, leases and look-ups.
 *
 * Owns: its read-only store. Notes in the book how far it has come in each queue, so that it goes
 *       on there when it is killed and started again.
 * Invariants: 1. every message proves itself, and is the one that was acknowledged there; 2. per
 *       queue no offset twice, none back, none left out but holes and what retention took; 3. at
 *       the end it has seen everything that the running writer had seen visible before the call;
 *       4. within WRITER_SEEN_MS it is at the writer that runs.
 * Failure modes: any violation ends the process with status 1; the driver reports it.
 */
#ifndef TESTS_SOAK_FOLLOWER_H
#define TESTS_SOAK_FOLLOWER_H

#include "seat.h"

_Noreturn void follower_run(struct book *book, const char *path, uint32_t index, uint64_t seed);

#endif
