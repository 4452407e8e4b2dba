/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expiry_table.h -- which messages of which topics have expired, and which will by themselves.
 *
 * A store has two of them: the view's (what is folded), which look-ups obey, and the writer's (what
 * is claimed), by which it decides what to say next.
 * Invariants: 1. a topic occurs once, rows ascend by its first queue; 2. `below` never decreases;
 *       3. applying records again that were applied already, in order, ends in the same state;
 *       4. apply after prepare does not fail. Topics of which nothing was ever said have no row.
 * Threads and locks: the owner's.
 * Happy path: init -> prepare, apply -> find.
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
    int64_t look_ns;      /* store time at which the writer looks again; not in the log */
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
void clg_expiry_table_apply(struct clg_expiry_table *table, const struct clg_tombstone *said,
                            uint64_t position);

#endif
