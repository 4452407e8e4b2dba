/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * actors.h -- what a thread of a case does, by its name; `arg` is a number: whose records they are,
 * or how many are waited for.
 */
#ifndef TESTS_CONCURRENCY_ACTORS_H
#define TESTS_CONCURRENCY_ACTORS_H

#include <stdint.h>

void *number(uint32_t n);
uint32_t number_of(const void *arg);

void append_one(void *arg);
void append_two(void *arg);
void append_written(void *arg);
void append_durable(void *arg);
/* Too large for the ring. */
void append_large(void *arg);
void append_batch(void *arg);
/* Three segments in five records. */
void append_segments(void *arg);
void drain(void *arg);
void sync_all(void *arg);
void upkeep_rounds(void *arg);
void reserve_and_commit(void *arg);
void reserve_and_abort(void *arg);
/* Until the queue has so many records: each once, in order. */
void read_all(void *arg);
/* So often: never a part of the batch of three that comes after one record. */
void look(void *arg);
void retain_all(void *arg);
/* Up to this offset, or what retention has left of it. */
void read_while_retained(void *arg);
/* The same over all queues of the topic: what is passed over, is said. */
void read_topic_while_retained(void *arg);
/* The same by a reader as another process has it: the store opened again, beside its writer. */
void follow(void *arg);
void follow_while_retained(void *arg);
/* commitlog_verify: what another thread does meanwhile is not damage. */
void verify(void *arg);

#endif
