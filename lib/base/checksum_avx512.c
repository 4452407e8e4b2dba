/* SPDX-License-Identifier: BSD-2-Clause */
/* checksum_avx512.c -- the hash for x86-64 with AVX-512F. Compiled with -mavx512f, else empty. */
#if defined(__x86_64__)
#if !defined(__AVX512F__)
#error "compile this file with -mavx512f"
#endif
#define CLG_HASH_ONE clg_checksum_one_avx512
#define CLG_HASH_PIECES clg_checksum_pieces_avx512
#include "base/checksum_impl.h"
#else
#include "base/checksum_variants.h"
#endif
