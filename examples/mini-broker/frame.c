/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * frame.c - length, type and length of the header, header, body. See frame.h.
 *
 * Happy path: take, use, go on behind it. Failure modes: a length, or a length of the header, that
 * cannot be, or a type that is none: bad, and the connection cannot be used any more.
 */
#include "frame.h"

enum frame_status frame_take(uint8_t *data, size_t bytes, struct frame *out)
{
    *out = (struct frame){0};
    if (bytes < 4)
        return FRAME_PART;
    const uint32_t length = bytes_get32(data); /* of all behind itself */
    if (length < 4 || length > FRAME_MAX - 4)
        return FRAME_BAD;
    out->bytes = (size_t)length + 4;
    if (bytes < FRAME_PREFIX)
        return FRAME_PART;
    const uint32_t word = bytes_get32(data + 4);
    const uint32_t header = word & 0xffffff;
    out->type = (uint8_t)(word >> 24);
    if (out->type > HEADER_BINARY || header > length - 4)
        return FRAME_BAD;
    if (bytes < out->bytes)
        return FRAME_PART;
    out->header = data + FRAME_PREFIX;
    out->header_bytes = header;
    out->body = out->header + header;
    out->body_bytes = length - 4 - header;
    return FRAME_WHOLE;
}

void frame_prefix(uint8_t *at, uint8_t type, size_t header_bytes, size_t body_bytes)
{
    bytes_put32(at, (uint32_t)(4 + header_bytes + body_bytes));
    bytes_put32(at + 4, (uint32_t)type << 24 | (uint32_t)header_bytes);
}
