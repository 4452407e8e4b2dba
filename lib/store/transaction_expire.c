/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_expire.c -- transactions that nobody ends: their time is over, or whoever had them is
 * gone. See transactions.h.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "store/transactions.h"

/* Upkeep ends so many at once. */
#define TRANSACTIONS_EXPIRE_PIECE 64u

static void expire_report(struct commitlog_store *store, uint64_t id, const char *group,
                          uint32_t reason, bool prepared)
{
    struct commitlog_error detail;
    clg_error_clear(&detail);
    (void)clg_fail(&detail, COMMITLOG_ETIMEDOUT, 0, id,
                   "transaction %llu of producer group %s was rolled back: %s",
                   (unsigned long long)id, group,
                   reason == CLG_TRANSACTION_ORPHANED ? "not prepared, and its process is gone"
                   : prepared                         ? "prepared, and nobody decided in time"
                                                      : "neither prepared nor committed in time");
    clg_store_event(store, COMMITLOG_EVENT_WARNING, &detail);
}

/* One that is due; the reason, or UINT32_MAX. */
static uint32_t expire_reason(const struct clg_transaction *open, int64_t now_ms)
{
    return !open->prepared && !open->is_open ? CLG_TRANSACTION_ORPHANED
           : open->expire_at_ms <= now_ms    ? CLG_TRANSACTION_EXPIRED
                                             : UINT32_MAX;
}

static int expire_one(struct commitlog_store *store, const struct clg_transaction *open,
                      uint32_t reason, struct commitlog_error *err)
{
    struct commitlog_receipt receipt = {0};
    char group[CLG_GROUP_NAME_MAX + 1];
    const uint64_t id = open->id;
    const bool prepared = open->prepared;
    memcpy(group, open->group, sizeof(group));
    /* On a full disk, too: it makes room for retention to go on. */
    int rc = clg_transactions_roll_back(store, id, reason, true, clg_store_until(store, 0),
                                        &receipt, err);
    if (rc == COMMITLOG_OK) {
        expire_report(store, id, group, reason, prepared);
    }
    return rc;
}

/* *out_due_ms: when the next one is due; 0: there are more now. */
static int expire_some(struct commitlog_store *store, int64_t now_ms, uint32_t *ended,
                       uint64_t *out_due_ms, struct commitlog_error *err)
{
    const struct clg_transaction_table *table = &store->transactions;
    int rc = COMMITLOG_OK;
    uint64_t due_ms = UINT64_MAX;
    for (uint32_t i = 0; rc == COMMITLOG_OK && due_ms != 0 && i < table->count;) {
        const struct clg_transaction *open = table->transactions[i];
        const uint32_t reason = expire_reason(open, now_ms);
        if (reason == UINT32_MAX) {
            due_ms = clg_min_u64(due_ms, (uint64_t)open->expire_at_ms);
            i++;
        } else if (*ended == TRANSACTIONS_EXPIRE_PIECE) {
            due_ms = 0;
        } else { /* then the next one is the i-th */
            rc = expire_one(store, open, reason, err);
            (*ended)++;
        }
    }
    *out_due_ms = rc == COMMITLOG_OK ? due_ms : 0;
    return rc;
}

int clg_transactions_expire(struct commitlog_store *store, int64_t *out_wait_ns,
                            struct commitlog_error *err)
{
    uint64_t due_ms = clg_load_relaxed_u64(&store->transaction_due_ms);
    *out_wait_ns = INT64_MAX;
    if (due_ms == UINT64_MAX) {
        return COMMITLOG_OK;
    }
    int64_t now_ms = clg_log_time(store->core->log) / CLG_OS_NS_PER_MS;
    uint32_t ended = 0;
    int rc = COMMITLOG_OK;
    if (due_ms <= (uint64_t)now_ms) {
        clg_mutex_lock(store->os, &store->transaction_lock);
        rc = expire_some(store, now_ms, &ended, &due_ms, err);
        clg_store_relaxed_u64(&store->transaction_due_ms, due_ms);
        clg_mutex_unlock(store->os, &store->transaction_lock);
    }
    if (due_ms != UINT64_MAX) {
        *out_wait_ns = due_ms <= (uint64_t)now_ms
                           ? 0
                           : (int64_t)(due_ms - (uint64_t)now_ms) * CLG_OS_NS_PER_MS;
    }
    return rc == COMMITLOG_ETIMEDOUT ? COMMITLOG_EAGAIN : rc;
}

/* Those whose time is over have until upkeep looks. */
void clg_transactions_expire_last(struct commitlog_store *store)
{
    struct clg_transaction_table *table = &store->transactions;
    struct commitlog_error ignored;
    uint64_t due_ms = UINT64_MAX;
    uint32_t ended;
    int rc;
    clg_error_clear(&ignored);
    clg_mutex_lock(store->os, &store->transaction_lock);
    for (uint32_t i = 0; i < table->count; i++) {
        table->transactions[i]->is_open = false;
    }
    do {
        ended = 0;
        rc = expire_some(store, INT64_MIN, &ended, &due_ms, &ignored);
    } while (rc == COMMITLOG_OK && ended > 0);
    clg_mutex_unlock(store->os, &store->transaction_lock);
}
