/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer_table.h -- the pending timers of a store, by id and by when they are due.
 *
 * Owns: of each timer its id, when it is due, where its message lies now, where it goes. Under 50
 *       bytes each: nodes of 32 bytes in blocks, a heap of numbers with four children to a node,
 * and a table of numbers by id, both grown by half. Invariants: 1. an id occurs once; 2. no timer
 * in the heap is due before its parent, of two that are due together the one with the lower id
 * comes first; 3. adding an id again replaces it, removing one that is not there does nothing: a
 * run of records applied again ends in the same state; 4. add after prepare does not fail. Threads
 * and locks: the owner's. Happy path: init -> prepare, add; first -> remove. Failure modes:
 * COMMITLOG_ENOMEM from prepare.
 */
#ifndef CLG_STATE_TIMER_TABLE_H
#define CLG_STATE_TIMER_TABLE_H

#include <stdint.h>

#include "base/attr.h"
#include "os/os.h"

struct clg_timer {
    uint64_t id;
    uint64_t position; /* of the message now: the id, or where it was carried to */
    int64_t due_ms;
    uint32_t queue_number;
    uint32_t heap_at; /* its place in the heap; of an unused node: the next one */
};

struct clg_timer_table {
    const struct commitlog_os *os;
    struct clg_timer **blocks;
    uint32_t block_count;
    uint32_t block_room;
    uint32_t unused; /* first unused node; UINT32_MAX: none */
    uint32_t count;
    uint32_t *heap; /* numbers of nodes */
    uint32_t heap_room;
    uint32_t *slots; /* by id: number of the node + 1, 0 free */
    uint32_t slot_count;
};

void clg_timer_table_init(struct clg_timer_table *table, const struct commitlog_os *os);
void clg_timer_table_deinit(struct clg_timer_table *table);
/* All of `from` into an empty table. */
CLG_MUST_CHECK int clg_timer_table_copy(struct clg_timer_table *table,
                                        const struct clg_timer_table *from);

/* NULL: not pending. */
const struct clg_timer *clg_timer_find(const struct clg_timer_table *table, uint64_t id);
/* The one that is due first; NULL: there is none. */
const struct clg_timer *clg_timer_first(const struct clg_timer_table *table);
/* Any order; index < count. */
const struct clg_timer *clg_timer_at(const struct clg_timer_table *table, uint32_t index);

/* Room for so many more. */
CLG_MUST_CHECK int clg_timer_table_prepare(struct clg_timer_table *table, uint32_t more);
/* heap_at of `timer` is not used. */
void clg_timer_add(struct clg_timer_table *table, const struct clg_timer *timer);
void clg_timer_remove(struct clg_timer_table *table, uint64_t id);

uint64_t clg_timer_table_memory(const struct clg_timer_table *table);
void clg_timer_table_invariants(const struct clg_timer_table *table);

#endif
