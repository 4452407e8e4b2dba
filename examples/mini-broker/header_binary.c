/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * header_binary.c - the header as RocketMQ's binary one. See command.h.
 *
 *   code i16, language u8, version i16, opaque i32, flag i32, remark (length i32), fields (length
 *   i32 of all; each name with i16, value with i32)
 *
 * Owns: nothing. Invariants: nothing outside the header is read, each length is looked at before
 * it is used. Happy path: one pass, all text a borrow. Failure modes: false.
 */
#include "codes.h"
#include "command.h"
#include "frame.h"

enum { BINARY_FIXED = 13 };

struct scan {
    const uint8_t *at;
    const uint8_t *end;
};

static bool take_text(struct scan *scan, size_t length_bytes, struct text *out)
{
    if ((size_t)(scan->end - scan->at) < length_bytes)
        return false;
    const uint32_t length = length_bytes == 2 ? bytes_get16(scan->at) : bytes_get32(scan->at);
    scan->at += length_bytes;
    if (length > (size_t)(scan->end - scan->at))
        return false;
    *out = (struct text){(const char *)scan->at, length};
    scan->at += length;
    return true;
}

bool header_binary_decode(const uint8_t *header, size_t bytes, struct command *out)
{
    command_init(out);
    out->type = HEADER_BINARY;
    if (bytes < BINARY_FIXED)
        return false;
    out->code = (int16_t)bytes_get16(header);
    out->language = header[2];
    out->version = (int16_t)bytes_get16(header + 3);
    out->opaque = (int32_t)bytes_get32(header + 5);
    out->flag = (int32_t)bytes_get32(header + 9);
    struct scan scan = {header + BINARY_FIXED, header + bytes};
    struct text fields;
    if (!take_text(&scan, 4, &out->remark) || !take_text(&scan, 4, &fields))
        return false;
    scan = (struct scan){(const uint8_t *)fields.data, (const uint8_t *)fields.data + fields.bytes};
    while (scan.at < scan.end) {
        struct text name, value;
        if (!take_text(&scan, 2, &name) || !take_text(&scan, 4, &value) ||
            !command_add(out, name, value))
            return false;
    }
    return true;
}

void header_binary_field(struct buffer *fields, struct text name, struct text value)
{
    const uint8_t length[2] = {(uint8_t)(name.bytes >> 8), (uint8_t)name.bytes};
    buffer_put(fields, length, sizeof length);
    buffer_put_text(fields, name);
    buffer_put_u32(fields, (uint32_t)value.bytes);
    buffer_put_text(fields, value);
}

void header_binary_encode(struct buffer *out, const struct header_out *header, struct text fields)
{
    uint8_t fixed[BINARY_FIXED];
    bytes_put16(fixed, (uint16_t)header->code);
    fixed[2] = LANGUAGE_OTHER;
    bytes_put16(fixed + 3, BROKER_VERSION);
    bytes_put32(fixed + 5, (uint32_t)header->opaque);
    bytes_put32(fixed + 9, (uint32_t)header->flag);
    buffer_put(out, fixed, sizeof fixed);
    buffer_put_u32(out, (uint32_t)header->remark.bytes);
    buffer_put_text(out, header->remark);
    buffer_put_u32(out, (uint32_t)fields.bytes);
    buffer_put_text(out, fields);
}
