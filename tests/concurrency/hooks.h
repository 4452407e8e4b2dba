/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * hooks.h -- put in front of every source of the library (-include) when it is compiled for the
 * exhaustive scheduler: each access to an atomic becomes a call that the scheduler sees first.
 *
 * Nothing in lib/ is changed or left out: only what <stdatomic.h> names is given another meaning.
 * What the calls do is in weave.c, which is compiled without this.
 */
#ifndef TESTS_CONCURRENCY_HOOKS_H
#define TESTS_CONCURRENCY_HOOKS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define WEAVE_DECLARE(suffix, type)                                                                \
    type weave_load_##suffix(const _Atomic type *at, memory_order order);                          \
    void weave_store_##suffix(_Atomic type *at, type value, memory_order order);                   \
    type weave_swap_##suffix(_Atomic type *at, type value);                                        \
    type weave_add_##suffix(_Atomic type *at, type value, memory_order order);                     \
    type weave_sub_##suffix(_Atomic type *at, type value, memory_order order);                     \
    type weave_or_##suffix(_Atomic type *at, type value);                                          \
    type weave_and_##suffix(_Atomic type *at, type value);                                         \
    bool weave_cas_##suffix(_Atomic type *at, type *expected, type desired);

WEAVE_DECLARE(u32, uint32_t)
WEAVE_DECLARE(u64, uint64_t)
WEAVE_DECLARE(i32, int32_t)
WEAVE_DECLARE(i64, int64_t)
void weave_fence(memory_order order);

#undef WEAVE_DECLARE

#ifndef WEAVE_NO_HOOKS

#define CLG_RMW_IS_FENCE 0

#define WEAVE_PICK(at, verb)                                                                       \
    _Generic((at),                                                                                 \
        _Atomic uint32_t *: weave_##verb##_u32,                                                    \
        _Atomic uint64_t *: weave_##verb##_u64,                                                    \
        _Atomic int32_t *: weave_##verb##_i32,                                                     \
        _Atomic int64_t *: weave_##verb##_i64)
#define WEAVE_PICK_LOAD(at)                                                                        \
    _Generic((at),                                                                                 \
        _Atomic uint32_t *: weave_load_u32,                                                        \
        const _Atomic uint32_t *: weave_load_u32,                                                  \
        _Atomic uint64_t *: weave_load_u64,                                                        \
        const _Atomic uint64_t *: weave_load_u64,                                                  \
        _Atomic int32_t *: weave_load_i32,                                                         \
        const _Atomic int32_t *: weave_load_i32,                                                   \
        _Atomic int64_t *: weave_load_i64,                                                         \
        const _Atomic int64_t *: weave_load_i64)

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_thread_fence
/* Only where an order is said are accesses written in lib/; these would pass unseen. */
#undef atomic_load
#undef atomic_store
#undef atomic_fetch_add
#undef atomic_fetch_sub
#undef atomic_compare_exchange_weak

#define atomic_load_explicit(at, order) WEAVE_PICK_LOAD(at)(at, order)
#define atomic_store_explicit(at, value, order) WEAVE_PICK(at, store)(at, value, order)
#define atomic_exchange(at, value) WEAVE_PICK(at, swap)(at, value)
#define atomic_exchange_explicit(at, value, order) WEAVE_PICK(at, swap)(at, value)
#define atomic_fetch_add_explicit(at, value, order) WEAVE_PICK(at, add)(at, value, order)
#define atomic_fetch_sub_explicit(at, value, order) WEAVE_PICK(at, sub)(at, value, order)
#define atomic_fetch_or_explicit(at, value, order) WEAVE_PICK(at, or)(at, value)
#define atomic_fetch_and_explicit(at, value, order) WEAVE_PICK(at, and)(at, value)
#define atomic_compare_exchange_strong(at, expected, desired)                                      \
    WEAVE_PICK(at, cas)(at, expected, desired)
#define atomic_compare_exchange_strong_explicit(at, expected, desired, yes, no)                    \
    WEAVE_PICK(at, cas)(at, expected, desired)
#define atomic_compare_exchange_weak_explicit(at, expected, desired, yes, no)                      \
    WEAVE_PICK(at, cas)(at, expected, desired)
#define atomic_thread_fence(order) weave_fence(order)

#endif

#endif
