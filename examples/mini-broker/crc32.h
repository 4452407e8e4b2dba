/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crc32.h - the CRC-32 of zip files, which stored messages have of their bodies.
 *
 * Owns: tables, filled by the first call. Threads: the loop's.
 */
#ifndef MINI_BROKER_CRC32_H
#define MINI_BROKER_CRC32_H

#include "bytes.h"

uint32_t crc32_of(struct text bytes);

#endif
