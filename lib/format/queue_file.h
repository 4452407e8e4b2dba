/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_file.h -- consume-queue entries, and the sealed .cq file that holds those of one segment
 *
 * Layout: header (256 bytes), directory (64 bytes per queue, ascending queue number), entries
 * (24 bytes each, grouped by queue in directory order, ascending queue offset). Nothing follows.
 * The header holds one check for the directory and one for the entries, so that a reader may
 * verify the directory when it opens the file and leave the entries to the scrub: a wrong entry is
 * found out by the record it points at.
 *
 * Invariants
 *   1. Every entry points into the file's own segment.
 *   2. Queue numbers ascend strictly; the groups cover the entries without gap or overlap.
 *   3. Links lead to lower bases only, so a walk along them ends.
 *   4. clg_queue_file_open fixes all bounds from the real length; accessors test every value read
 *      from the directory again, so an unverified or changing file can yield wrong entries, never
 *      a read outside the buffer.
 *
 * Links. The files that hold a queue are numbered along the queue, 0, 1, 2, ...: the ordinal. Each
 * directory entry links to the file before (ordinal - 1) and to one further back, its jump
 * (Myers' skew-binary links): any earlier file is reached in O(log n) hops with two links instead
 * of log n.
 */
#ifndef CLG_FORMAT_QUEUE_FILE_H
#define CLG_FORMAT_QUEUE_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"
#include "format/limits.h"
#include "format/view_header.h"

#define CLG_QUEUE_ENTRY_BYTES 24u
#define CLG_QUEUE_DIRECTORY_BYTES 64u

/* Low bits of an entry's size. */
#define CLG_QUEUE_ENTRY_HOLE 1u
#define CLG_QUEUE_ENTRY_REFERENCE 2u
#define CLG_QUEUE_ENTRY_FLAGS_MASK 7u

#define CLG_QUEUE_ENTRY_AT_TIME 0u
#define CLG_QUEUE_ENTRY_AT_PLACE 8u
#define CLG_QUEUE_ENTRY_AT_SIZE 12u
#define CLG_QUEUE_ENTRY_AT_TAG_HASH 16u
#define CLG_QUEUE_ENTRY_AT_HEADER_CHECK 20u

#define CLG_QUEUE_DIRECTORY_AT_QUEUE 0u
#define CLG_QUEUE_DIRECTORY_AT_COUNT 4u
#define CLG_QUEUE_DIRECTORY_AT_FIRST_OFFSET 8u
#define CLG_QUEUE_DIRECTORY_AT_FIRST_ENTRY 16u
#define CLG_QUEUE_DIRECTORY_AT_PREV_BASE 24u
#define CLG_QUEUE_DIRECTORY_AT_JUMP_BASE 32u
#define CLG_QUEUE_DIRECTORY_AT_PREV_INDEX 40u
#define CLG_QUEUE_DIRECTORY_AT_JUMP_INDEX 44u
#define CLG_QUEUE_DIRECTORY_AT_JUMP_END 48u
#define CLG_QUEUE_DIRECTORY_AT_ORDINAL 56u
#define CLG_QUEUE_DIRECTORY_AT_ZERO 60u

#define CLG_QUEUE_FILE_AT_ENTRIES 88u
#define CLG_QUEUE_FILE_AT_QUEUES 96u
#define CLG_QUEUE_FILE_AT_DIRECTORY_CHECK 104u
#define CLG_QUEUE_FILE_AT_ENTRIES_CHECK 112u

/* Base of a link that leads nowhere. */
#define CLG_LINK_NONE UINT64_MAX

struct clg_queue_entry {
    int64_t store_time;
    uint32_t place; /* (position - segment base) / 8 */
    uint32_t size;  /* of the record, flags removed */
    uint32_t flags; /* CLG_QUEUE_ENTRY_* */
    uint32_t tag_hash;
    uint32_t header_check; /* of the record: entry and record witness each other */
};

struct clg_queue_link {
    uint64_t base;  /* of the segment whose .cq holds the target, or CLG_LINK_NONE */
    uint32_t index; /* in its directory */
};

struct clg_queue_directory {
    uint64_t first_offset; /* queue offset of the first entry */
    uint64_t first_entry;  /* its index among the file's entries */
    uint64_t jump_end;     /* offset after the last entry of the jump's target; 0 without jump */
    struct clg_queue_link prev;
    struct clg_queue_link jump;
    uint32_t queue;
    uint32_t count;
    uint32_t ordinal;
};

struct clg_queue_file {
    const uint8_t *directory;
    const uint8_t *entries;
    struct clg_view_segment segment;
    uint64_t entry_count;
    uint64_t directory_check;
    uint64_t entries_check;
    uint32_t queue_count;
};

void clg_queue_entry_encode(uint8_t out[CLG_QUEUE_ENTRY_BYTES],
                            const struct clg_queue_entry *entry);
void clg_queue_entry_decode(const uint8_t in[CLG_QUEUE_ENTRY_BYTES], struct clg_queue_entry *entry);

/* Ordinal the jump of `ordinal` leads to; 0 for 0 (which has no links). For 1 and where the jump
 * equals prev it is ordinal - 1. */
uint32_t clg_queue_jump_ordinal(uint32_t ordinal);

/* Size of a file. */
uint64_t clg_queue_file_bytes(uint32_t queues, uint64_t entries);

/* Fill a buffer of clg_queue_file_bytes: every directory entry and every entry once, then
 * finish, which writes the header and all checks. */
void clg_queue_file_put_directory(uint8_t *file, uint32_t index,
                                  const struct clg_queue_directory *directory);
void clg_queue_file_put_entry(uint8_t *file, uint32_t queues, uint64_t index,
                              const struct clg_queue_entry *entry);
void clg_queue_file_finish(uint8_t *file, uint32_t queues, uint64_t entries,
                           const struct clg_view_segment *segment,
                           const uint8_t uuid[CLG_UUID_BYTES]);

/* Verify the header and fix the bounds. `segment` NULL: of any; else a file of another segment, or
 * of another end, is COMMITLOG_EFOREIGN. The buffer must outlive `out`. */
int clg_queue_file_open(struct clg_queue_file *out, const uint8_t *file, uint64_t bytes,
                        const struct clg_view_segment *segment, const uint8_t *uuid);

/* Check and structure of the directory (invariants 2 and 3), and check of the entries. */
int clg_queue_file_verify_directory(const struct clg_queue_file *file);
int clg_queue_file_verify_entries(const struct clg_queue_file *file);

/* 0, COMMITLOG_ENOTFOUND (index beyond the directory) or COMMITLOG_EDAMAGED. */
int clg_queue_file_directory(const struct clg_queue_file *file, uint32_t index,
                             struct clg_queue_directory *directory);
/* Binary search. `index` may be NULL. */
int clg_queue_file_find(const struct clg_queue_file *file, uint32_t queue,
                        struct clg_queue_directory *directory, uint32_t *index);
/* COMMITLOG_ENOTFOUND: the queue offset is not in this file. */
int clg_queue_file_entry(const struct clg_queue_file *file,
                         const struct clg_queue_directory *directory, uint64_t queue_offset,
                         struct clg_queue_entry *entry);

#endif
