/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_header.h -- header page (written twice) and footer page of a segment
 *
 * Layout of a segment file of `size` bytes at position `base`:
 *   [0, 4096)            header page
 *   [4096, 8192)         its copy, the same bytes
 *   [8192, size - 4096)  records, the last of them a pad that ends exactly there
 *   [size - 4096, size)  footer page: zero until the segment is sealed
 *
 * Invariants
 *   1. The check of either page covers every other bit of its 4096 bytes.
 *   2. The footer's check is seeded with salt and position of its page: it belongs to this segment
 *      and this place only.
 *   3. A footer is written only once everything before it is durable.
 */
#ifndef CLG_FORMAT_SEGMENT_HEADER_H
#define CLG_FORMAT_SEGMENT_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"
#include "format/limits.h"

#define CLG_CHECK_XXH3_64 1u

#define CLG_SEGMENT_AT_BASE 64u
#define CLG_SEGMENT_AT_SIZE 72u
#define CLG_SEGMENT_AT_SALT 80u
#define CLG_SEGMENT_AT_PREDECESSOR_END 88u
#define CLG_SEGMENT_AT_PREDECESSOR_SALT 96u
#define CLG_SEGMENT_AT_FIRST_TIME 104u
#define CLG_SEGMENT_AT_CREATED 112u
#define CLG_SEGMENT_AT_EPOCH 120u
#define CLG_SEGMENT_AT_ALGORITHM 124u

#define CLG_FOOTER_AT_BASE 64u
#define CLG_FOOTER_AT_SALT 72u
#define CLG_FOOTER_AT_END 80u
#define CLG_FOOTER_AT_RECORDS 88u
#define CLG_FOOTER_AT_FIRST_TIME 96u
#define CLG_FOOTER_AT_LAST_TIME 104u
#define CLG_FOOTER_AT_EPOCH 112u

struct clg_segment_header {
    uint64_t base;             /* position of the file's first byte */
    uint64_t size;             /* of the file, final */
    uint64_t salt;             /* random */
    uint64_t predecessor_end;  /* end of the data of the segment before; 0 for the first one */
    uint64_t predecessor_salt; /* 0 for the first one */
    int64_t first_time;        /* no record in it is older than this store time, ns */
    int64_t created;           /* wall clock, ns */
    uint32_t epoch;            /* of the session that prepared it */
    uint32_t algorithm;        /* CLG_CHECK_XXH3_64 */
    uint8_t uuid[CLG_UUID_BYTES];
};

struct clg_segment_footer {
    uint64_t end;       /* position after the last record: always data end in version 1 */
    uint64_t records;   /* all of them, fillers and the closing pad included */
    int64_t first_time; /* store time of the first record, ns */
    int64_t last_time;  /* and of the last */
    uint32_t epoch;     /* of the last record */
};

static inline uint64_t clg_segment_data_start(const struct clg_segment_header *header)
{
    return header->base + CLG_SEGMENT_DATA_START;
}

/* Also the position of the footer page. */
static inline uint64_t clg_segment_data_end(const struct clg_segment_header *header)
{
    return header->base + header->size - CLG_SEGMENT_FOOTER;
}

/* Whole pages between the limits. */
bool clg_segment_size_ok(uint64_t size);

void clg_segment_header_encode(uint8_t page[CLG_FORMAT_PAGE_BYTES],
                               const struct clg_segment_header *header);

/* 0, or the codes of clg_format_decode, or COMMITLOG_EDAMAGED for an impossible field, or
 * COMMITLOG_EVERSION for an unknown check algorithm. `uuid` may be NULL. */
int clg_segment_header_decode(const uint8_t page[CLG_FORMAT_PAGE_BYTES], const uint8_t *uuid,
                              bool read_only, struct clg_segment_header *header);

void clg_segment_footer_encode(uint8_t page[CLG_FORMAT_PAGE_BYTES],
                               const struct clg_segment_header *header,
                               const struct clg_segment_footer *footer);

/* COMMITLOG_ENOTFOUND: the page is all zero, the segment is not sealed. */
int clg_segment_footer_decode(const uint8_t page[CLG_FORMAT_PAGE_BYTES],
                              const struct clg_segment_header *header,
                              struct clg_segment_footer *footer);

#endif
