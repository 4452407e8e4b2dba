/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transactions.h -- messages and offsets that take effect together: stored at once, in no queue,
 * until one batch of references delivers them.
 *
 *   transaction.c          handles; append
 *   transaction_prepare.c  offsets, prepare
 *   transaction_end.c      commit, rollback
 *   transaction_expire.c   those that nobody ends
 *   transaction_carry.c    what retention asks
 *   transactions.c         the writer's table, and what is asked of it
 *
 * A writer keeps a table of its own, as of the last record that was appended, under
 * `transaction_lock`: whether a transaction is still open is decided by it before the record that
 * ends it is appended. The view's table is the same as of what is folded.
 *
 * Until it is prepared a transaction belongs to its handle. One without a handle, because that was
 * closed or because the process that had it is gone, is an orphan: upkeep rolls it back.
 *
 * Threads and locks: transaction_lock is taken before the fold's and the log's, after retention's,
 * and after the lock of groups where offsets are committed.
 */
#ifndef CLG_STORE_TRANSACTIONS_H
#define CLG_STORE_TRANSACTIONS_H

#include "store/groups.h"

/* Of so many topics it is known that they are counted: beyond, a commit is thought larger than it
 * will be. */
#define CLG_TRANSACTION_TOPICS 64u

/* Offsets of one consumer group, before they are in the log. */
struct clg_transaction_part {
    struct commitlog_group group; /* a copy of the caller's handle */
    struct clg_group_entry *entries;
    uint32_t count;
    uint32_t epoch;
};

struct commitlog_transaction {
    struct commitlog_store *store;
    uint64_t id;           /* 0: nothing is stored */
    uint64_t commit_bytes; /* of the batch that will be the commit, and what comes before it */
    int64_t timeout_ms;
    int64_t prepared_ms;
    struct clg_transaction_part *parts;
    uint32_t part_count;
    uint32_t entry_count; /* of all parts */
    uint32_t message_count;
    uint32_t topic_count;
    uint32_t topics[CLG_TRANSACTION_TOPICS];
    uint32_t group_bytes;
    bool begins_prepared;
    bool ended; /* by this handle, before anything was stored */
    char group[CLG_GROUP_NAME_MAX + 1];
};

CLG_MUST_CHECK int clg_transactions_init(struct commitlog_store *store,
                                         struct commitlog_error *err);
void clg_transactions_deinit(struct commitlog_store *store);

/* Upkeep: rolls back orphans and those whose time is over. *out_wait_ns: until the next one, 0:
 * there are more now, INT64_MAX: none is open. */
CLG_MUST_CHECK int clg_transactions_expire(struct commitlog_store *store, int64_t *out_wait_ns,
                                           struct commitlog_error *err);

/* The store closes: what is not prepared is rolled back, or, if that fails, by the next one. */
void clg_transactions_expire_last(struct commitlog_store *store);

/* Bytes of what is open before `end`, and of all that is open. */
uint64_t clg_transactions_waiting(struct commitlog_store *store, uint64_t end, uint64_t *out_total,
                                  uint64_t *largest);
/* Retention, as clg_groups_carry. */
CLG_MUST_CHECK int clg_transactions_carry(struct commitlog_store *store, uint64_t end,
                                          uint64_t *out_bytes, struct commitlog_error *err);

/* ---- between the files of transactions; the first two not under the lock, the others under it
 * ---- */

CLG_MUST_CHECK int clg_transaction_enter(const struct commitlog_transaction *transaction,
                                         uint32_t level, const char *what,
                                         struct commitlog_error *err);
/* Counts what the commit becomes, if that fits. */
CLG_MUST_CHECK int clg_transaction_check_commit(struct commitlog_transaction *transaction,
                                                uint64_t more_bytes, struct commitlog_error *err);
/* It is there, and can still be changed; a new one may be begun. *out: NULL if it is new. */
CLG_MUST_CHECK int clg_transaction_find_changing(struct commitlog_transaction *transaction,
                                                 struct clg_transaction **out,
                                                 struct commitlog_error *err);
/* As clg_group_offsets_judge, but a group that is not there is not said to be a transaction that is
 * not: COMMITLOG_EFENCED. Under the lock of groups. */
CLG_MUST_CHECK int clg_transaction_judge(const struct commitlog_group *group, uint32_t epoch,
                                         bool was_judged, struct clg_group_entry *entries,
                                         uint32_t *count, struct clg_group_change *out,
                                         struct commitlog_error *err);
/* What the writer knows besides the log: whose it is, and until when. */
void clg_transaction_own(const struct commitlog_transaction *transaction);

struct clg_reader;
struct clg_record_view;

/* At this time of the store upkeep has something to do. */
void clg_transactions_note_due(struct commitlog_store *store, int64_t due_ms);
CLG_MUST_CHECK int clg_transactions_not_open(uint64_t id, struct commitlog_error *err);
/* A message of it, verified, with what it says of the transaction. COMMITLOG_EDAMAGED,
 * COMMITLOG_ETOOSMALL: it is not there; COMMITLOG_ETIMEDOUT: behind an open reservation. */
CLG_MUST_CHECK int clg_transactions_read(struct commitlog_store *store, struct clg_reader *reader,
                                         uint64_t transaction,
                                         const struct clg_transaction_message *message,
                                         struct clg_record_view *out, struct commitlog_error *err);
/* The message whole: as one that was delivered (kind message), or that waits still. *out_memory is
 * what the item leads to, with its body if `keeps_body`; for the caller to free. */
CLG_MUST_CHECK int clg_transactions_copy(struct commitlog_store *store, uint64_t transaction,
                                         const struct clg_transaction_message *message,
                                         const struct clg_record_view *view, uint8_t kind,
                                         bool keeps_body, struct commitlog_slice *out_body,
                                         struct clg_append *out_item, uint8_t **out_memory,
                                         struct commitlog_error *err);
/* Stores again at the tail what retention will take before long: a commit of references to it would
 * not keep it. COMMITLOG_ETIMEDOUT: there is no room now; what is done is done. */
CLG_MUST_CHECK int clg_transactions_renew(struct commitlog_store *store, uint64_t id,
                                          struct commitlog_error *err);
/* Appends the mark that is encoded there, and applies it to the writer's table. */
CLG_MUST_CHECK int clg_transactions_append_body(struct commitlog_store *store, const uint8_t *body,
                                                size_t bytes, bool carry, struct clg_until until,
                                                struct commitlog_receipt *receipt,
                                                struct commitlog_error *err);
/* The same of one that is not; `entries` are those of its offsets. */
CLG_MUST_CHECK int clg_transactions_append_mark(struct commitlog_store *store,
                                                const struct clg_transaction_mark *mark,
                                                const struct clg_group_entry *entries, bool carry,
                                                struct clg_until until,
                                                struct commitlog_receipt *receipt,
                                                struct commitlog_error *err);
/* It ends without effect; `reason` is of enum clg_transaction_reason. */
CLG_MUST_CHECK int clg_transactions_roll_back(struct commitlog_store *store, uint64_t id,
                                              uint32_t reason, bool carry, struct clg_until until,
                                              struct commitlog_receipt *receipt,
                                              struct commitlog_error *err);

#endif
