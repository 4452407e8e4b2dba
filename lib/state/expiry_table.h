/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expiry_table.h -- which messages of which topics have expired, and which will by themselves.
 *
 * A store has two of them: the view's (what is folded), which look-ups obey, and the writer's (what
 * is claimed), by which it decides what to say next.
 *
 * A record counts for who sees it: with visibility = durable no power cut is to bring back what was
 * gone. Of those that not everybody is certain to see a row keeps two, however many there are: the
 * newest, and one that was the newest when no other was waiting. Who sees that and not all behind
 * it has it alone, which may be less than could be known, until more is durable.
 *
 * Invariants: 1. a topic occurs once, rows ascend by its first queue; 2. `below` never decreases,
 *       and settled <= earlier.below <= below; 3. applying records again that were applied already,
 *       in order, says the same to who sees them all; 4. apply after prepare does not fail. Topics
 *       of which nothing was ever said have no row.
 * Threads and locks: the owner's.
 * Happy path: init -> prepare, apply -> find, clg_expiry_below.
 * Failure modes: COMMITLOG_ENOMEM from prepare.
 */
#ifndef CLG_STATE_EXPIRY_TABLE_H
#define CLG_STATE_EXPIRY_TABLE_H

#include <stdint.h>

#include "base/attr.h"
#include "format/tombstone_record.h"
#include "os/os.h"

struct clg_expiry {
    uint32_t first_queue; /* of the topic */
    uint64_t age_ms;      /* 0: messages do not expire by themselves */
    uint64_t below;       /* position: those stored before it have expired */
    uint64_t position;    /* of the newest record that says so */
    struct {
        uint64_t below;
        uint64_t position;
    } earlier;        /* what is so without that record; position 0: no record has to be seen */
    uint64_t settled; /* and without this one, either: said by what is durable */
    int64_t look_ns;  /* store time at which the writer looks again; not in the log */
};

struct clg_expiry_table {
    const struct commitlog_os *os;
    struct clg_expiry *rows;
    uint32_t count;
    uint32_t room;
};

void clg_expiry_table_init(struct clg_expiry_table *table, const struct commitlog_os *os);
void clg_expiry_table_deinit(struct clg_expiry_table *table);
/* All of `from` into an empty table. */
CLG_MUST_CHECK int clg_expiry_table_copy(struct clg_expiry_table *table,
                                         const struct clg_expiry_table *from);

/* NULL: nothing was ever said of this topic. */
struct clg_expiry *clg_expiry_find(const struct clg_expiry_table *table, uint32_t first_queue);

/* Room for one topic that may be new. */
CLG_MUST_CHECK int clg_expiry_table_prepare(struct clg_expiry_table *table);
/* `durable`: what lies before it is visible to all, from now on; CLG_POSITION_MAX: all is, once it
 * is applied. Not lower than what somebody has seen: else he would see less than before. */
void clg_expiry_table_apply(struct clg_expiry_table *table, const struct clg_tombstone *said,
                            uint64_t position, uint64_t durable);

/* Positions below which messages have expired for who sees the log up to `visible`. */
uint64_t clg_expiry_below(const struct clg_expiry *row, uint64_t visible);

#endif
