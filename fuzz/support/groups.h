/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups.h -- what a store of any kind says of its consumer groups, and a group of our own in it.
 *
 * Threads and locks: none.
 */
#ifndef FUZZ_SUPPORT_GROUPS_H
#define FUZZ_SUPPORT_GROUPS_H

#include <stdbool.h>

#include "commitlog.h"

/* Asks for everything that there is to ask, and checks that the answers agree. */
void fuzz_groups_ask(struct commitlog_store *store);
/* Makes the group that is ours, unless it is there, and sets its offset of queue 0 of the topic
 * to `first`, then commits the one after it, durable. False: some of it was refused. */
bool fuzz_groups_change(struct commitlog_store *store, uint32_t topic, uint64_t first);
/* After that: `first` + 1 is what it has. */
void fuzz_groups_changed(struct commitlog_store *store, uint32_t topic, uint64_t first);

#endif
