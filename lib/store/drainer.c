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
 * Sleeping: for a millisecond while something is left now and then; when nothing was for a while,
 *       until the next append: ORDER(drainer-1). It is the one who wakes upkeep, so that an append
 *       wakes one thread and not two.
 * Failure modes: a failed write is latched by the log; a fold that found no memory is told and
 *       tried again.
 */
#include "base/error.h"
#include "base/order.h"
#include "base/plant.h"
#include "store/store.h"

#define DRAINER_NEAR_NS (INT64_C(1) * CLG_OS_NS_PER_MS)
#define DRAINER_FAILED_NS (INT64_C(1000) * CLG_OS_NS_PER_MS)
#define DRAINER_FOLD_RECORDS 1024u
#define DRAINER_STEP_BYTES (UINT64_C(1) << 20)
/* As much as is written in one piece: it is not waited for more. */
#define DRAINER_AGAIN_BYTES (UINT64_C(256) << 10)

static void drainer_fold(struct commitlog_store *store)
{
    struct commitlog_error err;
    clg_error_clear(&err);
    int rc = clg_fold_run(store->core->fold, UINT64_MAX, DRAINER_FOLD_RECORDS, CLG_FOLD_WAIT, true,
                          &err);
    if (rc != COMMITLOG_OK && rc != COMMITLOG_EFAILED) {
        clg_store_event(store, COMMITLOG_EVENT_WARNING, &err);
    }
}

int64_t clg_drainer_step(struct commitlog_store *store)
{
    struct clg_log *log = store->core->log;
    const int64_t now = store->os->clock_mono_ns(store->os);
    const uint64_t published = clg_log_published(log);
    if (published != store->drained_seen) {
        store->drained_seen = published;
        store->drained_ns = now;
    }
    drainer_fold(store);
    clg_log_populate(log);
    if (clg_log_staged_bytes(log) == 0) {
        /* A round that follows the last one at once finds nothing, and the next append comes in a
         * moment: to wake this thread would take it ten times as long as it takes itself. */
        return now - store->drained_ns < CLG_STORE_LINGER_NS ? DRAINER_NEAR_NS : CLG_OS_FOREVER;
    }
    int rc = clg_log_drain(log, UINT64_MAX, DRAINER_STEP_BYTES, NULL);
    bool again = rc == COMMITLOG_OK && clg_log_staged_bytes(log) >= DRAINER_AGAIN_BYTES;
    return again ? 0 : DRAINER_NEAR_NS;
}

static void drainer_sleep(struct commitlog_store *store, int64_t wait_ns)
{
    struct clg_log *log = store->core->log;
    const uint32_t depth = wait_ns > DRAINER_NEAR_NS ? CLG_THREAD_ASLEEP : CLG_THREAD_AWAKE;
    if (CLG_PLANTED(DRAINER_UNSEEN)) {
        clg_store_release_u32(&store->drainer.word, depth);
    } else {
        clg_store_seqcst_u32(&store->drainer.word, depth);
        clg_fence_seqcst(); /* ORDER(drainer-1) */
    }
    bool moved = depth != CLG_THREAD_AWAKE && clg_log_published(log) != store->drained_seen;
    /* What a failed store has left stays left. */
    if ((!moved || clg_log_has_failed(log)) && clg_load_acquire_u32(&store->thread_stop) == 0) {
        (void)store->os->futex_wait(store->os, &store->drainer.word, depth, wait_ns, false);
    }
    clg_store_relaxed_u32(&store->drainer.word, CLG_THREAD_AWAKE);
}

void clg_drainer_main(void *arg)
{
    struct commitlog_store *store = arg;
    struct clg_log *log = store->core->log;
    while (clg_load_acquire_u32(&store->thread_stop) == 0) {
        int64_t wait_ns = DRAINER_FAILED_NS; /* then there is nothing to do but to be stopped */
        const uint64_t seen = store->drained_seen;
        if (!clg_log_has_failed(log)) {
            wait_ns = clg_drainer_step(store);
        }
        if (store->drained_seen != seen) {
            clg_fence_seqcst(); /* ORDER(service-1): what was published is before the word */
            clg_services_call(store);
        }
        if (wait_ns > 0) {
            drainer_sleep(store, wait_ns);
        }
    }
}
