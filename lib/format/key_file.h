/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_file.h -- the sealed .key file: 64-bit key hash to the records of one segment
 *
 * Layout: header (256 bytes), prefix directory (2^bits + 1 words of 32 bits, padded to 8 bytes),
 * entries (8 bytes each). The first `bits` bits of a hash choose a bucket; the directory gives the
 * bucket's first entry, and the next word its end. An entry holds the following 32 bits of the
 * hash and the record's place; entries are sorted by those, equal ones by descending place.
 *
 * The index answers with candidates: the caller compares the key on the record. It walks a
 * candidate list from newest to oldest.
 *
 * Invariants
 *   1. Every entry points into the file's own segment.
 *   2. clg_key_file_open fixes all bounds from the real length; a bucket is validated when used.
 */
#ifndef CLG_FORMAT_KEY_FILE_H
#define CLG_FORMAT_KEY_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"
#include "format/limits.h"
#include "format/view_header.h"

#define CLG_KEY_ENTRY_BYTES 8u

#define CLG_KEY_FILE_AT_ENTRIES 88u
#define CLG_KEY_FILE_AT_PREFIX_BITS 96u
#define CLG_KEY_FILE_AT_PREFIX_CHECK 104u
#define CLG_KEY_FILE_AT_ENTRIES_CHECK 112u

struct clg_key_pair {
    uint64_t hash;
    uint32_t place; /* (position - segment base) / 8 */
};

struct clg_key_file {
    const uint8_t *prefixes;
    const uint8_t *entries;
    struct clg_view_segment segment;
    uint64_t prefix_check;
    uint64_t entries_check;
    uint32_t entry_count;
    uint32_t prefix_bits;
};

/* Candidates of one hash that are still to be delivered. */
struct clg_key_cursor {
    const struct clg_key_file *file;
    uint32_t next;
    uint32_t end; /* of the bucket */
    uint32_t rest;
};

/* Buckets of 8 to 16 entries: one or two cache lines. */
uint32_t clg_key_prefix_bits(uint32_t entries);

/* The part of a hash that a file with this many prefix bits keeps; the other bits are cleared. */
uint64_t clg_key_round(uint64_t hash, uint32_t prefix_bits);

/* Order of entries, for qsort over struct clg_key_pair with rounded hashes. */
int clg_key_compare(const void *a, const void *b);

uint64_t clg_key_file_bytes(uint32_t entries);

/* Write a whole file into a buffer of clg_key_file_bytes(count). `sorted`: rounded with
 * clg_key_prefix_bits(count) and in the order of clg_key_compare. */
void clg_key_file_write(uint8_t *file, const struct clg_key_pair *sorted, uint32_t count,
                        const struct clg_view_segment *segment, const uint8_t uuid[CLG_UUID_BYTES]);

/* As clg_queue_file_open. */
int clg_key_file_open(struct clg_key_file *out, const uint8_t *file, uint64_t bytes,
                      const struct clg_view_segment *segment, const uint8_t *uuid);

/* Both checks, buckets in order, entries in order. */
int clg_key_file_verify(const struct clg_key_file *file);

/* Position a cursor before the newest candidate: 0 or COMMITLOG_EDAMAGED (a bucket is outside the
 * file). None found is 0 with an exhausted cursor. `file` must outlive the cursor. */
int clg_key_file_find(const struct clg_key_file *file, uint64_t hash,
                      struct clg_key_cursor *cursor);
/* True and the next place, newest first. A place outside the segment is passed over (verify
 * reports it). */
bool clg_key_cursor_next(struct clg_key_cursor *cursor, uint32_t *place);

#endif
