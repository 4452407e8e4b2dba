/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_table.h -- the open transactions of a store, with what they will deliver.
 *
 * Owns: of each transaction its producer group, when it began and ends, its messages (24 bytes
 *       each), and the offsets of consumer groups as the marks that say them.
 * Invariants: 1. transactions ascend by number, the messages of one by id: that is the order in
 *       which they were appended; 2. applying a run of records again ends in the same state; 3.
 *       apply after prepare of the same record does not fail; 4. a message or mark that comes
 *       without what began its transaction makes one of nobody: in a log that begins in its middle
 *       the state follows, in one that is damaged it is rolled back; 5. `messages` and `bytes` are
 *       the sums.
 * Threads and locks: the owner's: the fold lock, or the writer's lock of transactions.
 * Happy path: init -> prepare, apply for each record -> find, next -> end.
 * Failure modes: COMMITLOG_ENOMEM from prepare.
 */
#ifndef CLG_STATE_TRANSACTION_TABLE_H
#define CLG_STATE_TRANSACTION_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "format/transaction_record.h"
#include "os/os.h"

struct clg_transaction_message {
    uint64_t id;       /* where it was first stored */
    uint64_t position; /* where it lies now */
    uint32_t queue_number;
    uint32_t size; /* of its record */
};

/* The body of a mark of offsets, and where it lies. */
struct clg_transaction_offsets {
    uint64_t position;
    size_t bytes;
    uint8_t body[];
};

struct clg_transaction {
    uint64_t id;
    uint64_t state_position; /* of the record that says all but messages and offsets;
                                CLG_NO_POSITION: none was seen */
    uint64_t bytes;          /* of its messages */
    int64_t begin_ms;
    int64_t expire_at_ms; /* prepared: as the log says. Else the writer's own, not in the log */
    struct clg_transaction_message *messages;
    uint32_t message_count;
    uint32_t message_room;
    struct clg_transaction_offsets **offsets; /* one for each consumer group */
    uint32_t offset_count;
    uint32_t group_bytes;
    uint32_t whole_messages; /* prepared: so many it had, and offsets of so many groups */
    uint32_t whole_groups;
    bool prepared;
    bool is_open;                          /* the writer's: a handle has it */
    uint8_t group[CLG_GROUP_NAME_MAX + 1]; /* ends in NUL */
};

struct clg_transaction_table {
    const struct commitlog_os *os;
    struct clg_transaction **block;        /* its memory */
    struct clg_transaction **transactions; /* in it: the first ones mostly end first */
    uint32_t count;
    uint32_t room; /* from transactions on */
    uint64_t messages;
    uint64_t bytes;
    struct clg_transaction *spare;                 /* prepared; else NULL */
    struct clg_transaction_offsets *spare_offsets; /* the same */
};

void clg_transaction_table_init(struct clg_transaction_table *table, const struct commitlog_os *os);
void clg_transaction_table_deinit(struct clg_transaction_table *table);
/* All of `from` into an empty table. */
CLG_MUST_CHECK int clg_transaction_table_copy(struct clg_transaction_table *table,
                                              const struct clg_transaction_table *from);

/* NULL: it is not open. */
struct clg_transaction *clg_transaction_find(const struct clg_transaction_table *table,
                                             uint64_t id);
/* The lowest number above `after`; NULL: there is none. */
struct clg_transaction *clg_transaction_next(const struct clg_transaction_table *table,
                                             uint64_t after);

/* Makes all room that a message of the transaction takes. A record that begins one has its number
 * in its position; 0: that is not known yet, and nothing is known under it. */
CLG_MUST_CHECK int clg_transaction_prepare_message(struct clg_transaction_table *table,
                                                   uint64_t id);
/* The record at `position`, of that size and store time, says this. */
void clg_transaction_apply_half(struct clg_transaction_table *table,
                                const struct clg_transaction_half *half, uint64_t position,
                                uint32_t size, int64_t time_ms);
/* The same for a mark, `position` 0 as above; `body` is that from which it was decoded. */
CLG_MUST_CHECK int clg_transaction_prepare_mark(struct clg_transaction_table *table,
                                                const struct clg_transaction_mark *mark,
                                                uint64_t position, size_t body_bytes);
void clg_transaction_apply_mark(struct clg_transaction_table *table,
                                const struct clg_transaction_mark *mark, const uint8_t *body,
                                size_t body_bytes, uint64_t position);
/* The group was deleted: what the open ones would commit of it falls out. */
void clg_transaction_void_offsets(struct clg_transaction_table *table,
                                  const struct clg_group_change *deleted);
/* It is committed or rolled back. */
void clg_transaction_end(struct clg_transaction_table *table, uint64_t id);

uint64_t clg_transaction_table_memory(const struct clg_transaction_table *table);
void clg_transaction_table_invariants(const struct clg_transaction_table *table);

#endif
