/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.h - where a frame of the remoting protocol begins, has its header, and ends.
 *
 * Owns: nothing. Invariants: 1. a frame that is taken lies whole in the bytes given; 2. none is
 * larger than FRAME_MAX. Threads: any.
 */
#ifndef MINI_BROKER_FRAME_H
#define MINI_BROKER_FRAME_H

#include "bytes.h"

enum { FRAME_MAX = 16777216, FRAME_PREFIX = 8 };
enum frame_status { FRAME_WHOLE, FRAME_PART, FRAME_BAD };
enum header_type { HEADER_JSON = 0, HEADER_BINARY = 1 };

struct frame {
    uint8_t type; /* enum header_type */
    uint8_t *header;
    size_t header_bytes;
    uint8_t *body;
    size_t body_bytes;
    size_t bytes; /* all of it; of a part: how many it will have, 0: not known yet */
};

enum frame_status frame_take(uint8_t *data, size_t bytes, struct frame *out);
/* The eight bytes in front of header and body. */
void frame_prefix(uint8_t *at, uint8_t type, size_t header_bytes, size_t body_bytes);

#endif
