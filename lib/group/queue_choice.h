/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_choice.h -- which queue of a topic a producer appends to.
 *
 * Owns: the rule by which a key becomes a queue, for the store and for the public functions alike.
 * Invariants: 1. a key's queue is XXH3-64 of the key, with seed 0, modulo the number of queues: a
 *       function of these two only, in every version and on every machine; 2. when n queues become
 *       k * n, a key of queue q goes to one of q, q + n, ..., q + (k - 1) * n. For n divides k * n,
 *       so (hash mod k * n) mod n = hash mod n = q: what hash mod k * n is, it differs from q by a
 *       multiple of n. 3. the shares that queues have of the 2^64 hashes differ by
 *       at most one hash.
 * Threads and locks: pure, but for the caller's turn, which is taken by one relaxed atomic
 * addition: it orders nothing else. Happy path: none to describe. Failure modes: none here; the
 * public functions refuse wrong arguments.
 */
#ifndef CLG_GROUP_QUEUE_CHOICE_H
#define CLG_GROUP_QUEUE_CHOICE_H

#include <stddef.h>
#include <stdint.h>

/* queues > 0; key may be NULL when key_bytes is 0. */
uint32_t clg_queue_by_key(const void *key, size_t key_bytes, uint32_t queues);

#endif
