/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * producer_table.h -- the idempotent producers of a store: the last sequence of each, and what the
 * last few appends returned.
 *
 * A store has two of them: the view's (what is folded) and the writer's (what is claimed), which
 * decides what is a repetition.
 * Invariants: 1. an id occurs once; 2. applying records again that were applied already, in order,
 *       ends in the same state; 3. the list goes from the one that was silent longest to the last
 *       one heard, so the first to expire is found at once; 4. apply after prepare does not fail.
 * Threads and locks: the owner's.
 * Happy path: init -> prepare, apply -> find, judge.
 * Failure modes: COMMITLOG_ENOMEM from prepare.
 */
#ifndef CLG_STATE_PRODUCER_TABLE_H
#define CLG_STATE_PRODUCER_TABLE_H

#include <stdint.h>

#include "base/attr.h"
#include "base/list.h"
#include "format/producer_record.h"
#include "os/os.h"

struct clg_producer {
    struct clg_list heard; /* in the table's list */
    struct clg_producer_state state;
    uint64_t carried_position; /* of the newest record that carried it forward; 0: none */
    int64_t heard_time;        /* store time of its last append */
};

struct clg_producer_table {
    const struct commitlog_os *os;
    struct clg_producer **slots; /* open addressing by id; NULL free */
    uint32_t slot_count;
    uint32_t count;
    uint64_t receipts; /* of all of them: what .state will take is asked for often */
    struct clg_list heard;
    struct clg_producer *spare;  /* prepared; else NULL */
    struct clg_producer *placed; /* the last one that came among others; NULL: none, or moved */
};

void clg_producer_table_init(struct clg_producer_table *table, const struct commitlog_os *os);
void clg_producer_table_deinit(struct clg_producer_table *table);
/* All of `from` into an empty table. */
CLG_MUST_CHECK int clg_producer_table_copy(struct clg_producer_table *table,
                                           const struct clg_producer_table *from);

/* NULL: not known. */
struct clg_producer *clg_producer_find(const struct clg_producer_table *table, uint64_t id);
/* The one that was silent longest; NULL: there is none. */
struct clg_producer *clg_producer_oldest(const struct clg_producer_table *table);
/* The one after it in that order; NULL at the end. */
struct clg_producer *clg_producer_next(const struct clg_producer_table *table,
                                       const struct clg_producer *producer);

/* All that is known of it is said by records from here on. */
uint64_t clg_producer_told_from(const struct clg_producer *producer);

/* What an append with this mark would be. */
enum clg_producer_verdict {
    CLG_PRODUCER_NEW,       /* the next one: append it */
    CLG_PRODUCER_REPEATED,  /* stored; *out_receipt */
    CLG_PRODUCER_FORGOTTEN, /* stored so long ago that its receipt is not known */
    CLG_PRODUCER_UNKNOWN,   /* not the first of a producer that is not known */
    CLG_PRODUCER_GAP,       /* an earlier one is missing */
    CLG_PRODUCER_FENCED     /* of an older epoch */
};
enum clg_producer_verdict clg_producer_judge(const struct clg_producer_table *table,
                                             const struct clg_producer_mark *mark,
                                             struct clg_producer_receipt *out_receipt);

/* Room for one producer that may be new. */
CLG_MUST_CHECK int clg_producer_table_prepare(struct clg_producer_table *table, uint64_t id);
/* A message with this mark was stored. */
void clg_producer_apply_mark(struct clg_producer_table *table, const struct clg_producer_mark *mark,
                             const struct clg_producer_receipt *receipt);
/* A control record says so; it was heard when its last receipt was given. */
void clg_producer_apply_state(struct clg_producer_table *table,
                              const struct clg_producer_state *state, uint64_t position);

uint64_t clg_producer_table_memory(const struct clg_producer_table *table);

#endif
