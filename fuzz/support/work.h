/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work.h -- what groups of a store of any kind have been given out and have done, receivers for
 * them, and work of our own.
 *
 * Threads and locks: none.
 */
#ifndef FUZZ_SUPPORT_WORK_H
#define FUZZ_SUPPORT_WORK_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

typedef void (*fuzz_work_fn)(void *ctx, const struct commitlog_message *message);

/* Asks for what is given out and done, and checks that the answers agree. */
void fuzz_work_ask(struct commitlog_store *store);
/* Receives for groups that are there already, calls `check` with what is given, and acknowledges
 * it, gives it back, or keeps it. */
void fuzz_work_receive(struct commitlog_store *store, fuzz_work_fn check, void *ctx);
/* Of three messages of queue 0 of the topic from `first` on: the first one is given back until it
 * is a dead letter, the second one is done, the third one stays given out. False: some of it was
 * refused. */
bool fuzz_work_change(struct commitlog_store *store, uint32_t topic, uint64_t first);
/* After that. */
void fuzz_work_changed(struct commitlog_store *store, uint32_t topic, uint64_t first);

#endif
