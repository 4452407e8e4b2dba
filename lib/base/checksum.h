/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checksum.h -- the one hash of the library: XXH3, 64 bits.
 *
 * Owns: the choice of the implementation (baseline, AVX2, AVX-512) at run time.
 * Invariants: 1. every variant returns XXH3_64bits_withSeed of the same bytes, so a file written
 *       on one machine verifies on any other; 2. the hash loops live in their own translation
 *       units and are never inlined into callers: there they run at a ninth of their speed when
 *       the surrounding function was compiled for other instructions.
 * Threads and locks: any thread. The choice is kept in one relaxed atomic word: each thread that
 *       finds it unset computes the same answer.
 * Happy path: clg_hash64 -> chosen variant.
 * Failure modes: none; hashing cannot fail.
 */
#ifndef CLG_BASE_CHECKSUM_H
#define CLG_BASE_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"

/* XXH3_64bits_withSeed(data, size, seed). data may be NULL when size is 0. */
uint64_t clg_hash64(const void *data, size_t size, uint64_t seed);

/* The same value as clg_hash64 over the pieces laid end to end. */
uint64_t clg_hash64_iov(const struct clg_piece *pieces, size_t count, uint64_t seed);

/* For tests and `commitlog` tool output: which variants this machine can run, and their names. */
enum clg_hash_variant { CLG_HASH_BASELINE, CLG_HASH_AVX2, CLG_HASH_AVX512, CLG_HASH_VARIANTS };

const char *clg_hash_variant_name(enum clg_hash_variant variant);
bool clg_hash_variant_usable(enum clg_hash_variant variant);
enum clg_hash_variant clg_hash_variant_chosen(void);

/* The variant must be usable. */
uint64_t clg_hash64_by(enum clg_hash_variant variant, const void *data, size_t size, uint64_t seed);
uint64_t clg_hash64_iov_by(enum clg_hash_variant variant, const struct clg_piece *pieces,
                           size_t count, uint64_t seed);

#endif
