/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * threads.c -- the threads of the library, upkeep (services.c) and the drainer (drainer.c): how
 * they start, sleep, are woken and end.
 *
 * While there is traffic a thread looks every millisecond, and nobody has to wake it. When there
 * was none for a while it sleeps until it is due. An append wakes the drainer; who sees more
 * published than in its last round calls the other one: the drainer upkeep, and upkeep, which
 * delivers and rolls back, the drainer. So an append makes one system call at most for both.
 *
 * Invariants: 1. one that was started is stopped before the store is freed; thread_stop is set
 *       before; 2. none sleeps though it was called, or more was published, since it looked.
 * Lost wake-ups: a thread stores its word, then looks at `published` and `called`; who publishes or
 *       calls stores these, then looks at the word. With a full fence on either side one of them
 *       sees the other: ORDER(thread-1).
 * Threads and locks: start and stop by who opens and closes; call and wake by any thread.
 * Failure modes: COMMITLOG_ELIMIT where the system has no thread to give.
 */
#include <errno.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "base/plant.h"
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
    clg_store_seqcst_u32(&thread->word, 0);
    (void)store->os->futex_wake(store->os, &thread->word, 1, false);
    (void)store->os->thread_join(store->os, thread->handle);
    thread->runs = false;
}

void clg_thread_begin(struct clg_store_thread *thread)
{
    (void)clg_swap_acqrel_u32(&thread->called, 0); /* ORDER(thread-call) acquire */
}

int64_t clg_thread_look(const struct commitlog_store *store, struct clg_store_thread *thread,
                        int64_t now_ns, bool *out_moved)
{
    const uint64_t published = clg_log_published(store->core->log);
    *out_moved = published != thread->seen_position;
    if (*out_moved) {
        thread->seen_position = published;
        thread->seen_ns = now_ns;
    }
    return now_ns - thread->seen_ns < CLG_THREAD_LINGER_NS ? CLG_THREAD_NEAR_NS : CLG_OS_FOREVER;
}

void clg_thread_sleep(struct commitlog_store *store, struct clg_store_thread *thread,
                      int64_t wait_ns)
{
    const struct clg_log *log = store->core->log;
    /* Who is back in a moment anyway is not to be woken: to do that takes an append ten times as
     * long as it takes itself. */
    const uint32_t word = wait_ns > CLG_THREAD_NEAR_NS ? 1 : 0;
    if (CLG_PLANTED(SLEEP_UNSEEN)) {
        clg_store_release_u32(&thread->word, word);
    } else {
        clg_store_seqcst_u32(&thread->word, word);
        clg_fence_seqcst(); /* ORDER(thread-1) */
    }
    bool stays = word != 0 && (clg_log_published(log) != thread->seen_position ||
                               clg_load_relaxed_u32(&thread->called) != 0);
    /* What a failed store has left stays left. */
    if ((!stays || clg_log_has_failed(log)) && clg_load_acquire_u32(&store->thread_stop) == 0) {
        (void)store->os->futex_wait(store->os, &thread->word, word, wait_ns, false);
    }
    clg_store_relaxed_u32(&thread->word, 0);
}

void clg_thread_call(struct commitlog_store *store, struct clg_store_thread *thread)
{
    clg_store_release_u32(&thread->called, 1); /* ORDER(thread-call) release */
    clg_fence_seqcst();                        /* ORDER(thread-1) */
    clg_thread_wake(store, thread);
}
