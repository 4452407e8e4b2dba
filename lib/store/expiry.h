/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expiry.h -- messages of a topic expire: by themselves at an age, or because somebody says so.
 *
 * Owns: the writer's expiry table, under expiry_lock.
 * Invariants: 1. what a group that keeps what it has not consumed has yet to consume does not
 *       expire; 2. what is written is what is known under the lock, so that carrying it forward
 *       never takes back what was set meanwhile.
 * Threads and locks: expiry_lock; group_lock and the log's inside.
 * Happy path: upkeep: clg_expiry_run -> tombstone -> look-ups pass over what lies below.
 * Failure modes: COMMITLOG_EAGAIN from run: no room now. A tombstone lost to damage takes back what
 *       it said until the next one: what had expired is there again, nothing else happens.
 */
#ifndef CLG_STORE_EXPIRY_H
#define CLG_STORE_EXPIRY_H

#include "store/store.h"

CLG_MUST_CHECK int clg_expiry_init(struct commitlog_store *store, struct commitlog_error *err);
void clg_expiry_deinit(struct commitlog_store *store);

/* What is said of a topic; zeros: nothing. */
struct clg_expiry clg_expiry_of(struct commitlog_store *store, struct clg_core *core,
                                const struct clg_topic *topic);

/* The first offset of the queue that has not expired, as of the newest record that says so, whether
 * or not readers see that one; 0: nothing was said. Under expiry_lock; all is folded. */
CLG_MUST_CHECK int clg_expiry_first(struct commitlog_store *store, uint32_t queue_number,
                                    uint64_t visible, uint64_t *out_offset);

/* Upkeep: looks at the topics whose time has come. *out_wait_ns: until the next one, INT64_MAX: no
 * topic's messages expire by themselves. */
CLG_MUST_CHECK int clg_expiry_run(struct commitlog_store *store, int64_t *out_wait_ns,
                                  struct commitlog_error *err);

/* Retention: see clg_groups_carry. */
uint64_t clg_expiry_carry_cost(struct commitlog_store *store, uint64_t end);
CLG_MUST_CHECK int clg_expiry_carry(struct commitlog_store *store, uint64_t end,
                                    uint64_t *out_bytes, struct commitlog_error *err);

#endif
