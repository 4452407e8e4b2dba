/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * drainer.c -- folds and drains what appenders leave: by a thread of its own, or as a part of
 * commitlog_step.
 *
 * A thread of its own, because the rest of upkeep waits for the disk, for a tenth of a second where
 * a segment is sealed. With one thread for both the appenders did this work meanwhile, and took a
 * quarter longer for the same records (bench/COST.md, "Kept").
 *
 * Threads and locks: one at a time: the drainer, or who has service_lock; none of its own.
 * Failure modes: a failed write is latched by the log; a fold that found no memory is told and
 *       tried again.
 */
#include "base/error.h"
#include "base/order.h"
#include "store/store.h"

#define DRAINER_FAILED_NS (INT64_C(1000) * CLG_OS_NS_PER_MS)
#define DRAINER_FOLD_RECORDS 1024u
#define DRAINER_STEP_BYTES (UINT64_C(1) << 20)
/* As much as is written in one piece: it is not waited for more. */
#define DRAINER_AGAIN_BYTES (UINT64_C(256) << 10)

/* How long until it is to be tried again; CLG_OS_FOREVER: it did not fail. */
static int64_t drainer_fold(struct commitlog_store *store)
{
    struct commitlog_error err;
    clg_error_clear(&err);
    int rc = clg_fold_run(store->core->fold, UINT64_MAX, DRAINER_FOLD_RECORDS, CLG_FOLD_WAIT, true,
                          &err);
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EFAILED) {
        return CLG_OS_FOREVER;
    }
    clg_store_event(store, COMMITLOG_EVENT_WARNING, &err);
    return DRAINER_FAILED_NS;
}

int64_t clg_drainer_step(struct commitlog_store *store)
{
    struct clg_log *log = store->core->log;
    int64_t wait = drainer_fold(store);
    clg_log_populate(log);
    if (clg_log_staged_bytes(log) == 0) {
        return wait;
    }
    int rc = clg_log_drain(log, UINT64_MAX, DRAINER_STEP_BYTES, NULL);
    bool again = rc == COMMITLOG_OK && clg_log_staged_bytes(log) >= DRAINER_AGAIN_BYTES;
    return again ? 0 : CLG_THREAD_NEAR_NS;
}

void clg_drainer_main(void *arg)
{
    struct commitlog_store *store = arg;
    struct clg_store_thread *self = &store->drainer;
    while (clg_load_acquire_u32(&store->thread_stop) == 0) {
        int64_t wait = DRAINER_FAILED_NS; /* then there is nothing to do but to be stopped */
        bool moved = false;
        clg_thread_begin(self);
        if (!clg_log_has_failed(store->core->log)) {
            const int64_t near =
                clg_thread_look(store, self, store->os->clock_mono_ns(store->os), &moved);
            wait = clg_drainer_step(store);
            wait = near < wait ? near : wait;
        }
        if (moved) { /* behind the fold: it has images to write of a segment that has ended */
            clg_thread_call(store, &store->upkeep);
        }
        if (wait > 0) {
            clg_thread_sleep(store, self, wait);
        }
    }
}
