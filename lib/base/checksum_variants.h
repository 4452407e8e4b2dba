/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checksum_variants.h -- the compiled variants of the hash; only for the checksum family.
 *
 * Owns: nothing; declares what checksum_impl.h defines under three pairs of names.
 * Invariants: calling a variant whose instructions the CPU lacks is a crash; checksum.c prevents
 *       it.
 * Threads and locks: pure.
 * Failure modes: none.
 */
#ifndef CLG_BASE_CHECKSUM_VARIANTS_H
#define CLG_BASE_CHECKSUM_VARIANTS_H

#include "base/checksum.h"

uint64_t clg_checksum_one_baseline(const void *data, size_t size, uint64_t seed);
uint64_t clg_checksum_pieces_baseline(const struct clg_piece *pieces, size_t count, uint64_t seed);

#if defined(__x86_64__)
uint64_t clg_checksum_one_avx2(const void *data, size_t size, uint64_t seed);
uint64_t clg_checksum_pieces_avx2(const struct clg_piece *pieces, size_t count, uint64_t seed);
uint64_t clg_checksum_one_avx512(const void *data, size_t size, uint64_t seed);
uint64_t clg_checksum_pieces_avx512(const struct clg_piece *pieces, size_t count, uint64_t seed);
#endif

#endif
