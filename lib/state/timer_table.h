/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer_table.h -- the pending timers of a store, by id and by when they are due.
 *
 * Owns: of each timer its id, when it is due, where its message lies now and how large it is, where
 *       it goes. Under 50 bytes each: nodes of 32 bytes in blocks, a heap of numbers with four
 *       children to a node, and a table of numbers by id, both grown by half.
 * Invariants: 1. an id occurs once; 2. no timer in the heap is due before its parent, of two that
 *       are due together the one with the lower id comes first; 3. adding an id again replaces it,
 *       removing one that is not there does nothing: a run of records applied again ends in the
 *       same state; 4. add after prepare does not fail; 5. `bytes` is the sum of the sizes.
 * Threads and locks: the owner's.
 * Happy path: init -> prepare, add; first -> remove.
 * Failure modes: COMMITLOG_ENOMEM from prepare.
 */
#ifndef CLG_STATE_TIMER_TABLE_H
#define CLG_STATE_TIMER_TABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "format/limits.h"
#include "os/os.h"

/* Sizes are kept in 20 bits, rounded up by less than a 32768th. */
#define CLG_TIMER_SIZE_MAX (CLG_RECORD_MAX + CLG_RECORD_MAX / 32768 + 8)

struct clg_timer {
    uint64_t id;
    uint64_t position; /* of the message now: the id, or where it was carried to */
    int64_t due_ms;    /* 0 to CLG_DELIVER_AT_MAX_MS */
    uint32_t queue_number;
    uint32_t size; /* of the message's record; the table rounds it up a little */
};

struct clg_timer_node;

struct clg_timer_table {
    const struct commitlog_os *os;
    struct clg_timer_node **blocks;
    uint32_t block_count;
    uint32_t block_room;
    uint32_t unused; /* first unused node; UINT32_MAX: none */
    uint32_t count;
    uint64_t bytes; /* of the messages that wait */
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

/* False: not pending. `out` may be NULL. */
bool clg_timer_find(const struct clg_timer_table *table, uint64_t id, struct clg_timer *out);
/* Index 0 is the one that is due first, the others follow in no order. False: so many there are
 * not. */
bool clg_timer_at(const struct clg_timer_table *table, uint32_t index, struct clg_timer *out);
/* All of them, in the order of memory: *cursor begins with 0. False: that was the last. */
bool clg_timer_next(const struct clg_timer_table *table, uint32_t *cursor, struct clg_timer *out);

/* Room for so many more. */
CLG_MUST_CHECK int clg_timer_table_prepare(struct clg_timer_table *table, uint32_t more);
void clg_timer_add(struct clg_timer_table *table, const struct clg_timer *timer);
void clg_timer_remove(struct clg_timer_table *table, uint64_t id);

uint64_t clg_timer_table_memory(const struct clg_timer_table *table);
void clg_timer_table_invariants(const struct clg_timer_table *table);

#endif
