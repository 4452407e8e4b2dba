/* SPDX-License-Identifier: BSD-2-Clause */
/* checksum_avx2.c -- the hash for x86-64 with AVX2. Compiled with -mavx2, empty elsewhere. */
#if defined(__x86_64__)
#if !defined(__AVX2__)
#error "compile this file with -mavx2"
#endif
#define CLG_HASH_ONE clg_checksum_one_avx2
#define CLG_HASH_PIECES clg_checksum_pieces_avx2
#include "base/checksum_impl.h"
#else
#include "base/checksum_variants.h"
#endif
