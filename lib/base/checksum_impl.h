/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checksum_impl.h -- the hash loops, compiled once per instruction set.
 *
 * Owns: the bodies behind checksum_baseline.c, checksum_avx2.c and checksum_avx512.c, which differ
 *       in nothing but their compiler flags and the two names they define before including this.
 * Invariants: only these three files see xxhash.h; the functions are never inlined, so their code
 *       is exactly what the flags of their own file ask for.
 * Threads and locks: pure.
 * Failure modes: none.
 */
#ifndef CLG_BASE_CHECKSUM_IMPL_H
#define CLG_BASE_CHECKSUM_IMPL_H

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/checksum_variants.h"

CLG_NOINLINE uint64_t CLG_HASH_ONE(const void *data, size_t size, uint64_t seed)
{
    CLG_ASSERT(data != NULL || size == 0);
    return XXH3_64bits_withSeed(data, size, seed);
}

CLG_NOINLINE uint64_t CLG_HASH_PIECES(const struct clg_piece *pieces, size_t count, uint64_t seed)
{
    XXH3_state_t state;
    CLG_ASSERT(pieces != NULL);
    /* The reset reads these two: it derives a new secret only if the seed differs. */
    state.seed = 0;
    state.extSecret = NULL;
    (void)XXH3_64bits_reset_withSeed(&state, seed);
    for (size_t i = 0; i < count; i++) {
        CLG_ASSERT(pieces[i].data != NULL || pieces[i].size == 0);
        if (pieces[i].size > 0) {
            (void)XXH3_64bits_update(&state, pieces[i].data, pieces[i].size);
        }
    }
    return XXH3_64bits_digest(&state);
}

#endif
