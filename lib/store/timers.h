/*
 * timers.h -- messages that are delivered later: stored at once, in no queue; when their time has
 * come a reference in their queue delivers them.
 *
 *   timers.c          append, cancel, list
 *   timer_delivery.c  what is due
 *   timer_carry.c     what retention asks
 *
 * A writer keeps a table of its own, as of the last record that was appended, under `timer_lock`:
 * whether a timer is still pending is decided by it before the record that ends it is appended. The
 * view's table is the same as of what is folded.
 *
 * The clock is the store's: a message is delivered when its reference gets a store time that is not
 * before the time it asks for. A wall clock that is set back delays, one that is set forward
 * hastens, both by what the store time does (clg_claim_time).
 *
 * Copies, in place of references, are made of what lies in the older half of the kept log, because
 * retention will take it first, and of what is still pending in a segment that goes.
 *
 * Threads and locks: timer_lock is taken before the fold's and the log's, after producer_lock and
 * retention's.
 */
#ifndef CLG_STORE_TIMERS_H
#define CLG_STORE_TIMERS_H

#include "store/store.h"

CLG_MUST_CHECK int clg_timers_init(struct commitlog_store *store, struct commitlog_error *err);
void clg_timers_deinit(struct commitlog_store *store);

/* Does a message have to wait for this time? 0, or why it cannot be asked for. */
CLG_MUST_CHECK int clg_timers_check(struct commitlog_store *store, int64_t due_ms, bool *out_waits,
                                    struct commitlog_error *err);
/* As clg_store_append for records of which one at least is a timer. */
CLG_MUST_CHECK int clg_timers_append(struct commitlog_store *store, const struct clg_append *items,
                                     uint32_t count, struct clg_until until,
                                     struct commitlog_receipt *receipts,
                                     struct commitlog_error *err);

/* Of which some may be. */
static inline int clg_timers_append_any(struct commitlog_store *store,
                                        const struct clg_append *items, uint32_t count,
                                        struct clg_until until, struct commitlog_receipt *receipts,
                                        struct commitlog_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        if (CLG_UNLIKELY(items[i].kind == CLG_KIND_TIMER)) {
            return clg_timers_append(store, items, count, until, receipts, err);
        }
    }
    return clg_store_append(store, items, count, until, receipts, err);
}

/* Upkeep: delivers some of those whose time has come. *out_wait_ns: until the next one, 0: there
 * are more now, INT64_MAX: none is pending. */
CLG_MUST_CHECK int clg_timers_deliver(struct commitlog_store *store, int64_t *out_wait_ns,
                                      struct commitlog_error *err);

/* The store closes: what is due is delivered, or some of it, or, if that fails, by the next one. */
void clg_timers_deliver_last(struct commitlog_store *store);

/* Bytes of the messages that wait before `end`, and of all that wait. */
uint64_t clg_timers_waiting(struct commitlog_store *store, uint64_t end, uint64_t *out_total,
                            uint64_t *largest);
/* Retention, as clg_groups_carry. */
CLG_MUST_CHECK int clg_timers_carry(struct commitlog_store *store, uint64_t end,
                                    uint64_t *out_bytes, struct commitlog_error *err);

/* ---- between the files of timers, all under the lock ---- */

struct clg_reader;
struct clg_record_view;

/* When the first one is due, for upkeep to look at without the lock; true: sooner than before. */
bool clg_timers_note_due(struct commitlog_store *store);
void clg_timers_reader(struct commitlog_store *store, struct clg_reader *reader);
/* The message of a timer. COMMITLOG_EDAMAGED or _ETOOSMALL: there is none; _EAGAIN: not yet. */
CLG_MUST_CHECK int clg_timers_read(struct commitlog_store *store, struct clg_reader *reader,
                                   const struct clg_timer *timer, struct clg_record_view *out,
                                   struct commitlog_error *err);
/* The message whole, as one that was delivered (kind message) or that waits still (kind timer). */
CLG_MUST_CHECK int clg_timers_append_copy(struct commitlog_store *store,
                                          const struct clg_timer *timer,
                                          const struct clg_record_view *view, uint8_t kind,
                                          bool carry, struct commitlog_receipt *receipt,
                                          struct commitlog_error *err);
CLG_MUST_CHECK int clg_timers_append_cancel(struct commitlog_store *store,
                                            const struct clg_timer *timer, bool carry,
                                            struct clg_until until,
                                            struct commitlog_receipt *receipt,
                                            struct commitlog_error *err);
/* The message of one is damaged or gone: it ends, and that is said. */
CLG_MUST_CHECK int clg_timers_give_up(struct commitlog_store *store, const struct clg_timer *timer,
                                      bool carry, struct commitlog_error *err);

#endif
