/*
 * producers.h -- appends of idempotent producers.
 *
 * A writer keeps a table of its own, as of the last record that was appended. What is a repetition
 * is decided by it under `producer_lock`, and a new record is appended before the lock is given
 * back. The view's table is the same as of what is folded.
 *
 * Threads and locks: producer_lock is taken before the fold's and the log's, after retention's.
 */
#ifndef CLG_STORE_PRODUCERS_H
#define CLG_STORE_PRODUCERS_H

#include "store/encode.h"
#include "store/store.h"

CLG_MUST_CHECK int clg_producers_init(struct commitlog_store *store, struct commitlog_error *err);
void clg_producers_deinit(struct commitlog_store *store);

/* Is it stored already? Then appending it takes no room. */
bool clg_producers_know(struct commitlog_store *store, const struct clg_producer_mark *mark);

/* The marks of `count` encoded records are those of one producer in sequence, or none has one. */
CLG_MUST_CHECK int clg_producers_check(const struct clg_encoded *encoded, uint32_t count,
                                       struct commitlog_error *err);
/* As clg_store_append for records with marks: the first is `first`. Of a repetition the receipts
 * are those of the first time, marked. */
CLG_MUST_CHECK int clg_producers_append(struct commitlog_store *store,
                                        const struct clg_append *items, uint32_t count,
                                        const struct clg_producer_mark *first,
                                        struct clg_until until, struct commitlog_receipt *receipts,
                                        struct commitlog_error *err);

/* Upkeep: ends some of those that were silent longer than `expire_ns`. *out_wait_ns: when the next
 * one will have been, 0: there are more now, at least a second otherwise. */
CLG_MUST_CHECK int clg_producers_expire(struct commitlog_store *store, int64_t expire_ns,
                                        int64_t *out_wait_ns, struct commitlog_error *err);

/* Retention, as clg_groups_carry_cost and clg_groups_carry. */
uint64_t clg_producers_carry_cost(struct commitlog_store *store, uint64_t end);
CLG_MUST_CHECK int clg_producers_carry(struct commitlog_store *store, uint64_t end,
                                       uint64_t *out_bytes, struct commitlog_error *err);

#endif
