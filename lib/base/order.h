/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * order.h -- C11 atomics whose names carry their memory order.
 *
 * Owns: the only spelling of atomic accesses in lib/. A reader of `clg_store_release_u64(&p, v)`
 *       knows the guarantee without looking anything up, and a grep for one order finds its uses.
 * Invariants: the fields are `_Atomic uint32_t` or `_Atomic uint64_t`, lock-free on every platform
 *       we support (asserted below), therefore also valid in memory shared between processes.
 * Threads and locks: any thread. Each release has its acquire; both sides carry the same
 *       ORDER(name) comment.
 * Happy path: none to describe.
 * Failure modes: none.
 */
#ifndef CLG_BASE_ORDER_H
#define CLG_BASE_ORDER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/invariant.h"

CLG_STATIC_ASSERT(ATOMIC_INT_LOCK_FREE == 2, "u32 atomics live in shared memory");
CLG_STATIC_ASSERT(ATOMIC_LLONG_LOCK_FREE == 2, "u64 atomics live in shared memory");
CLG_STATIC_ASSERT(sizeof(_Atomic uint32_t) == 4, "an atomic has the layout of its plain type");
CLG_STATIC_ASSERT(sizeof(_Atomic uint64_t) == 8, "an atomic has the layout of its plain type");

/* A type in parentheses would not be one. NOLINTBEGIN(bugprone-macro-parentheses) */
#define CLG_ORDER_DEFINE(suffix, type)                                                             \
    static inline type clg_load_relaxed_##suffix(const _Atomic type *p)                            \
    {                                                                                              \
        return atomic_load_explicit(p, memory_order_relaxed);                                      \
    }                                                                                              \
    static inline type clg_load_acquire_##suffix(const _Atomic type *p)                            \
    {                                                                                              \
        return atomic_load_explicit(p, memory_order_acquire);                                      \
    }                                                                                              \
    static inline type clg_load_seqcst_##suffix(const _Atomic type *p)                             \
    {                                                                                              \
        return atomic_load_explicit(p, memory_order_seq_cst);                                      \
    }                                                                                              \
    static inline void clg_store_relaxed_##suffix(_Atomic type *p, type value)                     \
    {                                                                                              \
        atomic_store_explicit(p, value, memory_order_relaxed);                                     \
    }                                                                                              \
    static inline void clg_store_release_##suffix(_Atomic type *p, type value)                     \
    {                                                                                              \
        atomic_store_explicit(p, value, memory_order_release);                                     \
    }                                                                                              \
    static inline void clg_store_seqcst_##suffix(_Atomic type *p, type value)                      \
    {                                                                                              \
        atomic_store_explicit(p, value, memory_order_seq_cst);                                     \
    }                                                                                              \
    /* All the read-modify-write helpers return the value before the change. */                    \
    static inline type clg_add_relaxed_##suffix(_Atomic type *p, type delta)                       \
    {                                                                                              \
        return atomic_fetch_add_explicit(p, delta, memory_order_relaxed);                          \
    }                                                                                              \
    static inline type clg_sub_relaxed_##suffix(_Atomic type *p, type delta)                       \
    {                                                                                              \
        return atomic_fetch_sub_explicit(p, delta, memory_order_relaxed);                          \
    }                                                                                              \
    static inline type clg_add_acqrel_##suffix(_Atomic type *p, type delta)                        \
    {                                                                                              \
        return atomic_fetch_add_explicit(p, delta, memory_order_acq_rel);                          \
    }                                                                                              \
    static inline type clg_sub_acqrel_##suffix(_Atomic type *p, type delta)                        \
    {                                                                                              \
        return atomic_fetch_sub_explicit(p, delta, memory_order_acq_rel);                          \
    }                                                                                              \
    static inline type clg_or_acqrel_##suffix(_Atomic type *p, type bits)                          \
    {                                                                                              \
        return atomic_fetch_or_explicit(p, bits, memory_order_acq_rel);                            \
    }                                                                                              \
    static inline type clg_swap_acqrel_##suffix(_Atomic type *p, type value)                       \
    {                                                                                              \
        return atomic_exchange_explicit(p, value, memory_order_acq_rel);                           \
    }                                                                                              \
    /* True: it was *expected and is now desired. False: *expected holds what it was. */           \
    static inline bool clg_cas_acqrel_##suffix(_Atomic type *p, type *expected, type desired)      \
    {                                                                                              \
        return atomic_compare_exchange_strong_explicit(p, expected, desired, memory_order_acq_rel, \
                                                       memory_order_acquire);                      \
    }                                                                                              \
    /* Raise to at least value, release; for positions that several threads push forward. */       \
    static inline void clg_raise_release_##suffix(_Atomic type *p, type value)                     \
    {                                                                                              \
        type seen = atomic_load_explicit(p, memory_order_relaxed);                                 \
        while (seen < value && !atomic_compare_exchange_weak_explicit(                             \
                                   p, &seen, value, memory_order_release, memory_order_relaxed)) { \
        }                                                                                          \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

CLG_ORDER_DEFINE(u32, uint32_t)
CLG_ORDER_DEFINE(u64, uint64_t)

#undef CLG_ORDER_DEFINE

/* Store-then-load ordering: the one thing release and acquire cannot give. */
static inline void clg_fence_seqcst(void)
{
    atomic_thread_fence(memory_order_seq_cst);
}

/* On x86 a read-modify-write is a full barrier (Intel SDM 3A, 8.2.3.9): behind one the compiler
 * alone has to be told. The scheduler of tests/concurrency knows of no such thing. */
#ifndef CLG_RMW_IS_FENCE
#if defined(__x86_64__)
#define CLG_RMW_IS_FENCE 1
#else
#define CLG_RMW_IS_FENCE 0
#endif
#endif

/* The same where this thread's last access to an atomic was a read-modify-write, as an unlock is.
 */
static inline void clg_fence_seqcst_behind_rmw(void)
{
    if (CLG_RMW_IS_FENCE) {
        atomic_signal_fence(memory_order_seq_cst);
    } else {
        clg_fence_seqcst();
    }
}

static inline void clg_fence_acquire(void)
{
    atomic_thread_fence(memory_order_acquire);
}

static inline void clg_fence_release(void)
{
    atomic_thread_fence(memory_order_release);
}

#endif
