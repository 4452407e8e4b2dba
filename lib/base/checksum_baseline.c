/* SPDX-License-Identifier: BSD-2-Clause */
/* checksum_baseline.c -- the hash for every CPU of the architecture (SSE2, NEON, scalar). */
#define CLG_HASH_ONE clg_checksum_one_baseline
#define CLG_HASH_PIECES clg_checksum_pieces_baseline
#include "base/checksum_impl.h"
