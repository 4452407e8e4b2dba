/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checksum.c -- chooses the variant of the hash. See checksum.h.
 *
 * Invariants: the choice is a pure function of the CPU, so the unsynchronised cache of it cannot
 *       hold two different answers.
 * Threads and locks: one relaxed atomic word.
 * Happy path: up to 240 bytes every variant runs the same scalar code, so these go straight to the
 *       baseline, without a look at the choice; longer ones through it.
 * Failure modes: none.
 */
#include "base/checksum.h"

#include "base/checksum_variants.h"
#include "base/order.h"

/* XXH3 switches to its vector loop above this size (XXH3_MIDSIZE_MAX). */
#define CHECKSUM_SHORT_MAX 240

struct checksum_variant {
    const char *name;
    uint64_t (*one)(const void *data, size_t size, uint64_t seed);
    uint64_t (*pieces)(const struct clg_piece *pieces, size_t count, uint64_t seed);
};

static const struct checksum_variant checksum_variants[CLG_HASH_VARIANTS] = {
    [CLG_HASH_BASELINE] = {"baseline", clg_checksum_one_baseline, clg_checksum_pieces_baseline},
#if defined(__x86_64__)
    [CLG_HASH_AVX2] = {"avx2", clg_checksum_one_avx2, clg_checksum_pieces_avx2},
    [CLG_HASH_AVX512] = {"avx512", clg_checksum_one_avx512, clg_checksum_pieces_avx512},
#else
    [CLG_HASH_AVX2] = {"avx2", NULL, NULL},
    [CLG_HASH_AVX512] = {"avx512", NULL, NULL},
#endif
};

/* The chosen variant + 1; 0: not asked yet. Not state but a cache of what the CPU says. Any thread,
 * relaxed: whoever misses another's store computes the same value. */
static _Atomic uint32_t checksum_chosen;

const char *clg_hash_variant_name(enum clg_hash_variant variant)
{
    CLG_ASSERT(variant < CLG_HASH_VARIANTS);
    return checksum_variants[variant].name;
}

bool clg_hash_variant_usable(enum clg_hash_variant variant)
{
    CLG_ASSERT(variant < CLG_HASH_VARIANTS);
#if defined(__x86_64__)
    /* __builtin_cpu_supports also asks whether the kernel saves the wide registers. */
    __builtin_cpu_init();
    if (variant == CLG_HASH_AVX2) {
        return __builtin_cpu_supports("avx2") != 0;
    }
    if (variant == CLG_HASH_AVX512) {
        return __builtin_cpu_supports("avx512f") != 0;
    }
#endif
    return variant == CLG_HASH_BASELINE;
}

enum clg_hash_variant clg_hash_variant_chosen(void)
{
    uint32_t chosen = clg_load_relaxed_u32(&checksum_chosen);
    if (CLG_LIKELY(chosen != 0)) {
        return (enum clg_hash_variant)(chosen - 1);
    }
    enum clg_hash_variant variant = CLG_HASH_BASELINE;
    if (clg_hash_variant_usable(CLG_HASH_AVX512)) {
        variant = CLG_HASH_AVX512;
    } else if (clg_hash_variant_usable(CLG_HASH_AVX2)) {
        variant = CLG_HASH_AVX2;
    }
    CLG_ASSERT(checksum_variants[variant].one != NULL);
    clg_store_relaxed_u32(&checksum_chosen, (uint32_t)variant + 1);
    return variant;
}

uint64_t clg_hash64_by(enum clg_hash_variant variant, const void *data, size_t size, uint64_t seed)
{
    CLG_ASSERT(variant < CLG_HASH_VARIANTS);
    CLG_ASSERT(checksum_variants[variant].one != NULL);
    return checksum_variants[variant].one(data, size, seed);
}

uint64_t clg_hash64(const void *data, size_t size, uint64_t seed)
{
    CLG_ASSERT(data != NULL || size == 0);
    if (size <= CHECKSUM_SHORT_MAX) {
        return clg_checksum_one_baseline(data, size, seed);
    }
    return checksum_variants[clg_hash_variant_chosen()].one(data, size, seed);
}

uint64_t clg_hash64_iov_by(enum clg_hash_variant variant, const struct clg_piece *pieces,
                           size_t count, uint64_t seed)
{
    uint8_t gathered[CHECKSUM_SHORT_MAX];
    size_t total = 0;
    size_t full = 0; /* pieces that are not empty */
    size_t last = 0; /* index of the last of them */
    CLG_ASSERT(variant < CLG_HASH_VARIANTS);
    CLG_ASSERT(pieces != NULL || count == 0);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].size > 0) {
            total += pieces[i].size;
            full++;
            last = i;
        }
    }
    if (full == 1) {
        return checksum_variants[variant].one(pieces[last].data, total, seed);
    }
    if (total > CHECKSUM_SHORT_MAX) {
        return checksum_variants[variant].pieces(pieces, count, seed);
    }
    /* Setting up a stream costs more than hashing a header twice: gather small ones. */
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].size > 0) {
            memcpy(gathered + at, pieces[i].data, pieces[i].size);
            at += pieces[i].size;
        }
    }
    CLG_ASSERT(at == total);
    return clg_checksum_one_baseline(gathered, total, seed);
}

uint64_t clg_hash64_iov(const struct clg_piece *pieces, size_t count, uint64_t seed)
{
    CLG_ASSERT(pieces != NULL || count == 0);
    return clg_hash64_iov_by(clg_hash_variant_chosen(), pieces, count, seed);
}
