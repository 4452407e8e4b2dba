/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.c -- the adaptive mutex and waiting for a word. See lock.h.
 *
 * Invariants: a thread parks only after it has set the state to PARKED, and whoever takes it from
 *       PARKED to FREE wakes one; a thread that was parked takes the lock as PARKED, because it
 *       cannot know whether others still sleep: one wake-up too many, never one too few.
 * Threads and locks: ORDER(mutex): the release in unlock pairs with the acquire of the exchange or
 *       compare-and-swap that takes the lock.
 * Happy path: FREE -> HELD -> FREE.
 * Failure modes: a time-out leaves the state at PARKED: costs the next unlock one system call.
 */
#include "os/lock.h"

#include <errno.h>

#include "base/invariant.h"
#include "base/order.h"

/* A pause costs 10 to 140 cycles depending on the core: together below or about 1 us. */
#define LOCK_SPINS 24

void clg_mutex_init(struct clg_mutex *m)
{
    CLG_ASSERT(m != NULL);
    clg_store_relaxed_u32(&m->state, CLG_MUTEX_FREE);
}

/* Look at the word without writing it until it seems free: spinning writers starve the holder. */
static bool lock_spin(struct clg_mutex *m)
{
    for (int i = 0; i < LOCK_SPINS; i++) {
        uint32_t seen = clg_load_relaxed_u32(&m->state);
        if (seen == CLG_MUTEX_PARKED) {
            return false; /* others already gave up: the holder is slow or not running */
        }
        if (seen == CLG_MUTEX_FREE && clg_mutex_trylock(m)) {
            return true;
        }
        clg_cpu_relax();
    }
    return false;
}

int clg_mutex_lock_until(const struct commitlog_os *os, struct clg_mutex *m,
                         int64_t deadline_mono_ns)
{
    CLG_ASSERT(m != NULL);
    CLG_ASSERT(deadline_mono_ns >= 0);
    if (CLG_LIKELY(clg_mutex_trylock(m)) || lock_spin(m)) {
        return 0;
    }
    /* ORDER(mutex) acquire side */
    while (clg_swap_acqrel_u32(&m->state, CLG_MUTEX_PARKED) != CLG_MUTEX_FREE) {
        int64_t left = clg_os_left(os, deadline_mono_ns);
        if (left == 0) {
            return -ETIMEDOUT;
        }
        (void)os->futex_wait(os, &m->state, CLG_MUTEX_PARKED, left, false);
    }
    CLG_ASSERT(clg_mutex_is_held(m));
    return 0;
}

void clg_mutex_lock_slow(const struct commitlog_os *os, struct clg_mutex *m)
{
    int rc = clg_mutex_lock_until(os, m, CLG_OS_FOREVER);
    CLG_ASSERT(rc == 0);
    (void)rc;
}

void clg_mutex_unlock_slow(const struct commitlog_os *os, struct clg_mutex *m)
{
    (void)os->futex_wake(os, &m->state, 1, false);
}

bool clg_mutex_is_held(const struct clg_mutex *m)
{
    CLG_ASSERT(m != NULL);
    uint32_t state = clg_load_relaxed_u32(&m->state);
    CLG_ASSERT(state <= CLG_MUTEX_PARKED);
    return state != CLG_MUTEX_FREE;
}

int clg_wait_word(const struct commitlog_os *os, const _Atomic uint32_t *word, uint32_t seen,
                  int64_t deadline_mono_ns, bool shared)
{
    CLG_ASSERT(word != NULL);
    CLG_ASSERT(deadline_mono_ns >= 0);
    /* ORDER(wake-word) acquire side */
    while (clg_load_acquire_u32(word) == seen) {
        int64_t left = clg_os_left(os, deadline_mono_ns);
        if (left == 0) {
            return -ETIMEDOUT;
        }
        (void)os->futex_wait(os, word, seen, left, shared);
    }
    return 0;
}

void clg_wake_word(const struct commitlog_os *os, _Atomic uint32_t *word, bool shared)
{
    CLG_ASSERT(word != NULL);
    CLG_ASSERT(os != NULL);
    /* ORDER(wake-word) release side */
    (void)clg_add_acqrel_u32(word, 1);
    (void)os->futex_wake(os, word, INT32_MAX, shared);
}
