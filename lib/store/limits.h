/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * limits.h -- back-pressure: user appends wait, or are refused, while too much is not flushed or
 * not consumed.
 *
 * A limit is looked at before the append and without a lock: what threads append at the same time
 * goes beyond it once. Control records, retention and what is delivered later do not wait.
 *
 * Threads and locks: any thread; takes the flush's, the lock of groups and the fold's, alone.
 */
#ifndef CLG_STORE_LIMITS_H
#define CLG_STORE_LIMITS_H

#include "store/store.h"

static inline bool clg_limits_hold(const struct commitlog_store *store)
{
    return clg_load_relaxed_u32(&store->limits_on) != 0;
}

/* Before a user's append. COMMITLOG_EFULL: a limit holds until the deadline. `consumes`: of one who
 * is about to commit what he has consumed, and is not to wait for that. */
CLG_MUST_CHECK int clg_limits_wait_slow(struct commitlog_store *store, bool consumes,
                                        struct clg_until until, struct commitlog_error *err);

static inline int clg_limits_wait(struct commitlog_store *store, bool consumes,
                                  struct clg_until until, struct commitlog_error *err)
{
    return CLG_LIKELY(!clg_limits_hold(store)) ? COMMITLOG_OK
                                               : clg_limits_wait_slow(store, consumes, until, err);
}

#endif
