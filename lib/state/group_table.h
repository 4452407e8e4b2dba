/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group_table.h -- the consumer groups of a store: their settings, and the offsets they committed.
 *
 * Owns: for each group its name, epoch and flags, and for each queue it has committed the next
 *       offset to consume, with the position of the record that says so. A store has two of them:
 *       the view's (what is folded) and the writer's (what is claimed), which decides whether the
 *       next change is allowed.
 * Invariants: 1. a name occurs once, and so does a queue within a group; 2. applying a record again
 *       that was applied already, and all those after it again, in order, changes nothing: a
 *       record's values are absolute; 3. clg_group_table_apply after clg_group_table_prepare of the
 *       same change does not fail: the writer prepares before it appends.
 * Threads and locks: the owner's: the fold lock, or the writer's lock of groups.
 * Happy path: init -> prepare, apply for each record -> find, get, list.
 * Failure modes: COMMITLOG_ENOMEM from prepare, which leaves the table as it was.
 */
#ifndef CLG_STATE_GROUP_TABLE_H
#define CLG_STATE_GROUP_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "format/group_record.h"
#include "os/os.h"

struct clg_group_offset {
    uint32_t queue_number;
    uint32_t reserved;
    uint64_t offset;
    uint64_t position; /* of the newest record that names it */
};

struct clg_group {
    uint8_t *name; /* ends in NUL */
    uint64_t hash;
    uint64_t position; /* of the newest record of its settings; CLG_NO_POSITION: none was seen */
    uint64_t last_position; /* of the newest record of any kind */
    uint64_t birth; /* of this table, not in the log: one that is made anew has another; not 0 */
    uint32_t name_bytes;
    uint32_t epoch;
    uint32_t flags;
    struct clg_group_offset *offsets; /* in the order in which they were first committed */
    uint32_t offset_count;
    uint32_t offset_room;
    uint32_t *slots; /* open addressing by queue number: index + 1, 0 free */
    uint32_t slot_count;
};

struct clg_group_table {
    const struct commitlog_os *os;
    struct clg_group **groups; /* in the order in which they appeared */
    uint32_t count;
    uint32_t room;
    uint32_t *slots; /* open addressing by name: index + 1, 0 free */
    uint32_t slot_count;
    uint64_t births;
    struct clg_group *spare; /* prepared, for a name that is not in the table; else NULL */
};

void clg_group_table_init(struct clg_group_table *table, const struct commitlog_os *os);
void clg_group_table_deinit(struct clg_group_table *table);
/* All of `from` into an empty table. */
CLG_MUST_CHECK int clg_group_table_copy(struct clg_group_table *table,
                                        const struct clg_group_table *from);

uint64_t clg_group_name_hash(const void *name, size_t name_bytes);
/* NULL when there is none. */
struct clg_group *clg_group_table_find(const struct clg_group_table *table, const void *name,
                                       size_t name_bytes, uint64_t hash);
/* NULL when the group has not committed this queue. */
struct clg_group_offset *clg_group_find_offset(const struct clg_group *group,
                                               uint32_t queue_number);

/* Makes all room that applying the change takes. */
CLG_MUST_CHECK int clg_group_table_prepare(struct clg_group_table *table,
                                           const struct clg_group_change *change);
/* The change as the record at `position` says it. Only after prepare of it. */
void clg_group_table_apply(struct clg_group_table *table, const struct clg_group_change *change,
                           uint64_t position);

uint64_t clg_group_table_memory(const struct clg_group_table *table);

#endif
