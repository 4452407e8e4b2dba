/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work_table.h -- what consumer groups have done, and given out, of single messages.
 *
 * Owns: for a group and a queue, runs of messages above the offset that the group has committed:
 *       done, or pending: given out so many times and nobody's before a time. What no run covers
 *       was never given out.
 * Invariants: 1. runs ascend and do not overlap; neighbours that say the same are one; 2. applying
 *       records again, in order, to the state behind them changes nothing; 3. clg_work_table_apply
 *       after clg_work_table_prepare of the same change does not fail.
 * Threads and locks: the owner's: the fold lock, or the writer's lock of groups.
 * Happy path: init -> prepare, apply, apply_group -> find.
 * Failure modes: COMMITLOG_ENOMEM from prepare.
 */
#ifndef CLG_STATE_WORK_TABLE_H
#define CLG_STATE_WORK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "format/group_record.h"
#include "format/work_record.h"
#include "os/os.h"

struct clg_work_run {
    uint64_t offset;
    int64_t visible_at_ms;
    uint32_t count;
    uint16_t attempts;
    uint16_t state; /* enum clg_work_state */
};

struct clg_work_queue {
    uint8_t *name; /* of the group */
    uint64_t hash; /* clg_group_name_hash */
    uint32_t name_bytes;
    uint32_t queue_number;
    struct clg_work_run *runs;
    uint32_t run_count;
    uint32_t run_room;
    uint32_t run_more; /* that a change may make, while it is prepared; else 0 */
};

struct clg_work_table {
    const struct commitlog_os *os;
    struct clg_work_queue **queues; /* in the order in which they appeared; some without runs */
    uint32_t count;
    uint32_t room;
    uint32_t *slots; /* open addressing by group and queue: index + 1, 0 free */
    uint32_t slot_count;
};

void clg_work_table_init(struct clg_work_table *table, const struct commitlog_os *os);
void clg_work_table_deinit(struct clg_work_table *table);
/* All of `from` into an empty table. */
CLG_MUST_CHECK int clg_work_table_copy(struct clg_work_table *table,
                                       const struct clg_work_table *from);

/* NULL: nothing is known of it. */
struct clg_work_queue *clg_work_table_find(const struct clg_work_table *table, const void *name,
                                           uint32_t name_bytes, uint64_t hash,
                                           uint32_t queue_number);

/* Makes all room that applying the change takes. */
CLG_MUST_CHECK int clg_work_table_prepare(struct clg_work_table *table,
                                          const struct clg_work_change *change);
/* Only after prepare of it. */
void clg_work_table_apply(struct clg_work_table *table, const struct clg_work_change *change);
/* What a group record says of the work on single messages: below an offset that was committed it
 * is over; of a queue that was reset, or a group that was deleted, nothing is known any more. */
void clg_work_table_apply_group(struct clg_work_table *table,
                                const struct clg_group_change *change);

/* Nothing is known any more of what is below the offset. */
void clg_work_queue_trim(struct clg_work_queue *queue, uint64_t offset);

/* The run that holds the offset, and the first that ends behind it; NULL: none. */
const struct clg_work_run *clg_work_queue_at(const struct clg_work_queue *queue, uint64_t offset);
const struct clg_work_run *clg_work_queue_from(const struct clg_work_queue *queue, uint64_t offset);

uint64_t clg_work_table_memory(const struct clg_work_table *table);
void clg_work_queue_invariants(const struct clg_work_queue *queue);

#endif
