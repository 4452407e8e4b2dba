/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads.c -- the threads of the library: upkeep (services.c) and the drainer (drainer.c).
 *
 * Invariants: one that was started is stopped before the store is freed; thread_stop is set before.
 * Threads and locks: start and stop by who opens and closes.
 * Failure modes: COMMITLOG_ELIMIT where the system has no thread to give.
 */
#include <errno.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "store/store.h"

int clg_thread_start(struct commitlog_store *store, struct clg_store_thread *thread,
                     void (*fn)(void *arg), const char *name, struct commitlog_error *err)
{
    CLG_ASSERT(!thread->runs);
    int rc = store->os->thread_start(store->os, fn, store, name, &thread->handle);
    if (rc == -EAGAIN) {
        return clg_fail(err, COMMITLOG_ELIMIT, EAGAIN, CLG_NO_POSITION,
                        "start a thread of the library: the system has none to give");
    }
    if (rc < 0) {
        return clg_fail_os(err, rc, CLG_NO_POSITION, "start a thread of the library");
    }
    thread->runs = true;
    return COMMITLOG_OK;
}

void clg_thread_stop(struct commitlog_store *store, struct clg_store_thread *thread)
{
    CLG_ASSERT(clg_load_relaxed_u32(&store->thread_stop) != 0);
    if (!thread->runs) {
        return;
    }
    clg_store_seqcst_u32(&thread->word, CLG_THREAD_AWAKE);
    (void)store->os->futex_wake(store->os, &thread->word, 1, false);
    (void)store->os->thread_join(store->os, thread->handle);
    thread->runs = false;
}
