/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * format.h -- what every file of a store has in common
 *
 * Owns: the magics, the version, the three flag words and the common file header, the first 64
 * bytes of every file (a segment's footer page begins with one too).
 *
 * Invariants
 *   1. Everything in lib/format is pure: bytes in, values out. No I/O, no allocation, no clock,
 *      no state. Every function may be called from any thread.
 *   2. Numbers are little-endian on every machine and are loaded byte by byte in effect: no
 *      alignment is assumed of a buffer.
 *   3. The place and the algorithm of the header check and the meaning of the first 48 bytes
 *      never change. So a file of a newer version is told apart from a damaged one.
 *   4. A decoder writes to its output only when it returns 0.
 *
 * Order of the tests in clg_format_decode, and what each failure means
 *   magic        COMMITLOG_EFORMAT    not a file of this kind
 *   header size  COMMITLOG_EDAMAGED   does not fit the bytes at hand
 *   check        COMMITLOG_EDAMAGED   some bit of the header changed
 *   version      COMMITLOG_EVERSION   written by a newer library
 *   flag words   COMMITLOG_EVERSION   uses something this library cannot honour
 *   store UUID   COMMITLOG_EFOREIGN   intact, but of another store
 *
 * The byte tables are in man/commitlog-format.5.
 */
#ifndef CLG_FORMAT_FORMAT_H
#define CLG_FORMAT_FORMAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/invariant.h"

/* Holds a constant to the tables of the page. */
#define CLG_FORMAT_ASSERT(x) CLG_STATIC_ASSERT(x, "man/commitlog-format.5 says otherwise")

/* The first byte is no ASCII and no valid UTF-8: a text tool that touched the file is noticed. */
#define CLG_MAGIC_SEGMENT UINT64_C(0x48474553474c4389)    /* 89 "CLGSEGH" */
#define CLG_MAGIC_FOOTER UINT64_C(0x46474553474c4389)     /* 89 "CLGSEGF" */
#define CLG_MAGIC_CHECKPOINT UINT64_C(0x544b4843474c4389) /* 89 "CLGCHKT" */
#define CLG_MAGIC_QUEUE_FILE UINT64_C(0x46455551474c4389) /* 89 "CLGQUEF" */
#define CLG_MAGIC_KEY_FILE UINT64_C(0x4659454b474c4389)   /* 89 "CLGKEYF" */
#define CLG_MAGIC_STATE_FILE UINT64_C(0x54415453474c4389) /* 89 "CLGSTAT" */
#define CLG_MAGIC_LIVE_AREA UINT64_C(0x4556494c474c4389)  /* 89 "CLGLIVE" */
#define CLG_MAGIC_LOCK_FILE UINT64_C(0x4b434f4c474c4389)  /* 89 "CLGLOCK" */

#define CLG_FORMAT_VERSION 1u

#define CLG_UUID_BYTES 16u

/* Bits this library knows. An unknown compatible bit is ignored, an unknown read-only-compatible
 * one refuses to write, an unknown incompatible one refuses to open. Version 1 defines none. */
#define CLG_COMPAT_KNOWN UINT32_C(0)
#define CLG_RO_COMPAT_KNOWN UINT32_C(0)
#define CLG_INCOMPAT_KNOWN UINT32_C(0)

#define CLG_FILE_HEADER_BYTES 64u   /* the common part */
#define CLG_FORMAT_PAGE_BYTES 4096u /* header of a segment, footer, checkpoint slot, LOCK */
#define CLG_VIEW_HEADER_BYTES 256u  /* header of the sealed view files and of .state */
#define CLG_FORMAT_CHECK_BYTES 8u   /* the check is the last 8 bytes of a header */

/* Offsets in the common header. */
#define CLG_FILE_AT_MAGIC 0u
#define CLG_FILE_AT_VERSION 8u
#define CLG_FILE_AT_HEADER_BYTES 12u
#define CLG_FILE_AT_UUID 16u
#define CLG_FILE_AT_COMPAT 32u
#define CLG_FILE_AT_RO_COMPAT 36u
#define CLG_FILE_AT_INCOMPAT 40u
#define CLG_FILE_AT_ZERO 44u /* u32 and 16 bytes of room, zero in version 1 */

struct clg_file_header {
    uint64_t magic;
    uint32_t version;
    uint32_t header_bytes;
    uint32_t compat;
    uint32_t ro_compat;
    uint32_t incompat;
    uint8_t uuid[CLG_UUID_BYTES];
};

/* Zero `header` (header_bytes long) and write the common part of the current version. */
void clg_format_begin(uint8_t *header, uint32_t header_bytes, uint64_t magic,
                      const uint8_t uuid[CLG_UUID_BYTES]);

/* Write the check over everything before it. The header is final afterwards. */
void clg_format_finish(uint8_t *header, uint32_t header_bytes, uint64_t seed);

/* Verify a header of exactly header_bytes and decode its common part. `uuid` NULL: any store.
 * Unknown read-only-compatible bits are refused unless read_only. */
int clg_format_decode(const uint8_t *header, uint64_t bytes, uint32_t header_bytes, uint64_t magic,
                      uint64_t seed, const uint8_t *uuid, bool read_only,
                      struct clg_file_header *out);

/* 0 or COMMITLOG_EVERSION. */
int clg_format_check_flags(uint32_t ro_compat, uint32_t incompat, bool read_only);

#endif
