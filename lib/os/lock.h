/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lock.h -- an adaptive mutex on a futex, and waiting for a word to change.
 *
 * Owns: struct clg_mutex, four bytes, in the private memory of one process; zeroed is unlocked.
 * Invariants: state is 0 free, 1 held, 2 held and somebody may be parked. Only the holder unlocks.
 * Threads and locks: any thread. Not recursive, not fair: a thread that is running takes it before
 *       one that must first be woken, because sections under it last less than a wake-up.
 * Happy path: one compare-and-swap to lock, one exchange to unlock, no system call. Contended: spin
 *       for about a microsecond, then park.
 * Failure modes: clg_mutex_lock_until returns -ETIMEDOUT; the others do not fail.
 */
#ifndef CLG_OS_LOCK_H
#define CLG_OS_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/invariant.h"
#include "base/order.h"
#include "os/os.h"

struct clg_mutex {
    _Atomic uint32_t state;
};

enum { CLG_MUTEX_FREE = 0, CLG_MUTEX_HELD = 1, CLG_MUTEX_PARKED = 2 };

void clg_mutex_init(struct clg_mutex *m);
/* lock.c: what follows where the short way does not do. */
void clg_mutex_lock_slow(const struct commitlog_os *os, struct clg_mutex *m);
void clg_mutex_unlock_slow(const struct commitlog_os *os, struct clg_mutex *m);
/* 0 or -ETIMEDOUT; deadline as clg_os_deadline gives it. */
CLG_MUST_CHECK int clg_mutex_lock_until(const struct commitlog_os *os, struct clg_mutex *m,
                                        int64_t deadline_mono_ns);
/* For assertions: somebody holds it (nobody can say who). */
bool clg_mutex_is_held(const struct clg_mutex *m);

/* Here, because an append takes a lock and gives it back in a hundred nanoseconds. */
CLG_MUST_CHECK static inline bool clg_mutex_trylock(struct clg_mutex *m)
{
    uint32_t expected = CLG_MUTEX_FREE;
    CLG_ASSERT(m != NULL);
    /* ORDER(mutex) acquire side */
    return clg_cas_acqrel_u32(&m->state, &expected, CLG_MUTEX_HELD);
}

static inline void clg_mutex_lock(const struct commitlog_os *os, struct clg_mutex *m)
{
    if (CLG_UNLIKELY(!clg_mutex_trylock(m))) {
        clg_mutex_lock_slow(os, m);
    }
}

static inline void clg_mutex_unlock(const struct commitlog_os *os, struct clg_mutex *m)
{
    CLG_ASSERT(m != NULL);
    CLG_ASSERT(clg_mutex_is_held(m));
    /* ORDER(mutex) release side */
    if (CLG_UNLIKELY(clg_swap_acqrel_u32(&m->state, CLG_MUTEX_FREE) == CLG_MUTEX_PARKED)) {
        clg_mutex_unlock_slow(os, m);
    }
}

/* Wait while *word == seen: 0 once it is not (acquire), -ETIMEDOUT at the deadline. Whoever changes
 * the word (release) calls clg_wake_word after. */
CLG_MUST_CHECK int clg_wait_word(const struct commitlog_os *os, const _Atomic uint32_t *word,
                                 uint32_t seen, int64_t deadline_mono_ns, bool shared);

/* Change the word and wake everybody who waits for it. */
void clg_wake_word(const struct commitlog_os *os, _Atomic uint32_t *word, bool shared);

#endif
