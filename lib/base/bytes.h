/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bytes.h -- alignment, checked arithmetic, and little-endian loads and stores.
 *
 * Owns: the one way in which numbers become bytes of a file and come back.
 * Invariants: loads and stores take any address (memcpy, which both compilers turn into one move);
 *       files are little-endian whatever the host; checked arithmetic never wraps silently.
 * Threads and locks: none; pure.
 * Happy path: none to describe.
 * Failure modes: clg_add_u64, clg_mul_u64 and clg_align_up_checked return false on overflow and
 *       leave *out as it was.
 */
#ifndef CLG_BASE_BYTES_H
#define CLG_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/invariant.h"

CLG_STATIC_ASSERT(sizeof(size_t) == 8, "segments are mapped whole: a 64-bit address space");

/* A run of bytes somewhere in memory; for scattered bodies, hashes over pieces and pwritev. */
struct clg_piece {
    const void *data; /* may be NULL when size is 0 */
    size_t size;
};

static inline bool clg_is_power_of_two(uint64_t x)
{
    return x != 0 && (x & (x - 1)) == 0;
}

static inline uint64_t clg_align_down(uint64_t x, uint64_t to)
{
    CLG_ASSERT(clg_is_power_of_two(to));
    return x & ~(to - 1);
}

/* The caller knows that x is far from 2^64: sizes of records, files, pages. */
static inline uint64_t clg_align_up(uint64_t x, uint64_t to)
{
    CLG_ASSERT(clg_is_power_of_two(to));
    CLG_ASSERT(x <= UINT64_MAX - (to - 1));
    return (x + (to - 1)) & ~(to - 1);
}

static inline bool clg_is_aligned(uint64_t x, uint64_t to)
{
    CLG_ASSERT(clg_is_power_of_two(to));
    return (x & (to - 1)) == 0;
}

CLG_MUST_CHECK static inline bool clg_add_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *out = sum;
    return true;
}

CLG_MUST_CHECK static inline bool clg_mul_u64(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product)) {
        return false;
    }
    *out = product;
    return true;
}

CLG_MUST_CHECK static inline bool clg_align_up_checked(uint64_t x, uint64_t to, uint64_t *out)
{
    CLG_ASSERT(clg_is_power_of_two(to));
    uint64_t sum;
    if (__builtin_add_overflow(x, to - 1, &sum)) {
        return false;
    }
    *out = sum & ~(to - 1);
    return true;
}

static inline uint64_t clg_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t clg_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Pointer arithmetic on untyped memory, spelled once. */
static inline uint8_t *clg_at(void *base, size_t offset)
{
    return (uint8_t *)base + offset;
}

static inline const uint8_t *clg_at_const(const void *base, size_t offset)
{
    return (const uint8_t *)base + offset;
}

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define CLG_LE16(x) (x)
#define CLG_LE32(x) (x)
#define CLG_LE64(x) (x)
#else
#define CLG_LE16(x) __builtin_bswap16(x)
#define CLG_LE32(x) __builtin_bswap32(x)
#define CLG_LE64(x) __builtin_bswap64(x)
#endif

static inline uint16_t clg_load_le16(const void *at)
{
    uint16_t x;
    memcpy(&x, at, sizeof(x));
    return CLG_LE16(x);
}

static inline uint32_t clg_load_le32(const void *at)
{
    uint32_t x;
    memcpy(&x, at, sizeof(x));
    return CLG_LE32(x);
}

static inline uint64_t clg_load_le64(const void *at)
{
    uint64_t x;
    memcpy(&x, at, sizeof(x));
    return CLG_LE64(x);
}

static inline void clg_store_le16(void *at, uint16_t x)
{
    x = CLG_LE16(x);
    memcpy(at, &x, sizeof(x));
}

static inline void clg_store_le32(void *at, uint32_t x)
{
    x = CLG_LE32(x);
    memcpy(at, &x, sizeof(x));
}

static inline void clg_store_le64(void *at, uint64_t x)
{
    x = CLG_LE64(x);
    memcpy(at, &x, sizeof(x));
}

/* For reserved room that a format promises to be zero. */
static inline bool clg_is_zero(const void *at, size_t size)
{
    const uint8_t *p = (const uint8_t *)at;
    return size == 0 || (p[0] == 0 && memcmp(p, p + 1, size - 1) == 0); /* all as the first */
}

#endif
