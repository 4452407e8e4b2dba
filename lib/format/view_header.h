/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * view_header.h -- which segment a sealed view file belongs to
 *
 * Every sealed view file (.cq, .key) carries base and salt of its segment and the position up to
 * which it was folded, at the same place behind the common header. A file whose segment is gone,
 * or was made anew after a cut, is told by the salt.
 */
#ifndef CLG_FORMAT_VIEW_HEADER_H
#define CLG_FORMAT_VIEW_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"
#include "format/limits.h"

#define CLG_VIEW_AT_BASE 64u
#define CLG_VIEW_AT_SALT 72u
#define CLG_VIEW_AT_END 80u

struct clg_view_segment {
    uint64_t base;
    uint64_t salt;
    uint64_t end; /* position up to which the file is folded */
};

/* Write the common header of a view file and its segment. */
void clg_view_header_begin(uint8_t header[CLG_VIEW_HEADER_BYTES], uint64_t magic,
                           const struct clg_view_segment *segment,
                           const uint8_t uuid[CLG_UUID_BYTES]);

/* Verify the header of a file of `bytes`. `expected` NULL: any segment; else another segment or
 * another end is COMMITLOG_EFOREIGN. */
int clg_view_header_decode(const uint8_t *file, uint64_t bytes, uint64_t magic,
                           const struct clg_view_segment *expected, const uint8_t *uuid,
                           struct clg_view_segment *segment);

/* May something of `size` bytes lie at this place? Between the segment's header pages and the
 * end of the fold. */
bool clg_view_place_ok(const struct clg_view_segment *segment, uint32_t place, uint64_t size);

#endif
