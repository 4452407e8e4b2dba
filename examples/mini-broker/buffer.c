/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buffer.c - bytes that grow. See buffer.h.
 *
 * Happy path: put what you have, look at `failed`, use data and used. Failure modes: no memory.
 */
#include "buffer.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BUFFER_FIRST = 256, JSON_BYTE_MAX = 6 /* "\u0001" */ };

void buffer_free(struct buffer *buffer)
{
    free(buffer->data);
    *buffer = (struct buffer){0};
}

void buffer_clear(struct buffer *buffer)
{
    buffer->used = 0;
    buffer->failed = false;
}

uint8_t *buffer_room(struct buffer *buffer, size_t bytes)
{
    if (buffer->failed || bytes > SIZE_MAX / 4 - buffer->used) {
        buffer->failed = true;
        return NULL;
    }
    if (buffer->room - buffer->used < bytes) {
        size_t room = buffer->room < BUFFER_FIRST ? BUFFER_FIRST : buffer->room;
        while (room - buffer->used < bytes)
            room *= 2;
        uint8_t *data = realloc(buffer->data, room);
        if (data == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->used;
}

void buffer_put(struct buffer *buffer, const void *data, size_t bytes)
{
    uint8_t *at = buffer_room(buffer, bytes);
    if (at != NULL && bytes > 0) {
        memcpy(at, data, bytes);
        buffer->used += bytes;
    }
}

void buffer_put_text(struct buffer *buffer, struct text text)
{
    buffer_put(buffer, text.data, text.bytes);
}

void buffer_put_byte(struct buffer *buffer, uint8_t byte)
{
    buffer_put(buffer, &byte, 1);
}

void buffer_put_u32(struct buffer *buffer, uint32_t value)
{
    uint8_t bytes[4];
    bytes_put32(bytes, value);
    buffer_put(buffer, bytes, sizeof bytes);
}

struct text text_of_i64(int64_t value, char to[24])
{
    size_t at = 24;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        to[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        to[--at] = '-';
    return (struct text){to + at, 24 - at};
}

void buffer_put_i64(struct buffer *buffer, int64_t value)
{
    char digits[24];
    buffer_put_text(buffer, text_of_i64(value, digits));
}

size_t utf8_character(const uint8_t *at, size_t bytes)
{
    const uint8_t first = bytes == 0 ? 0xff : at[0];
    if (first < 0x80)
        return 1;
    const size_t count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || count > bytes)
        return 0;
    for (size_t i = 1; i < count; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    const bool overlong = (first == 0xe0 && at[1] < 0xa0) || (first == 0xf0 && at[1] < 0x90);
    const bool surrogate = first == 0xed && at[1] > 0x9f;
    const bool beyond = first == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : count;
}

/* One character, or byte that is none, of a JSON string; behind what was put. */
static uint8_t *put_json_character(uint8_t *to, const uint8_t *at, size_t count)
{
    static const char hex[] = "0123456789abcdef";
    if (count == 0) {
        memcpy(to, REPLACEMENT, sizeof REPLACEMENT - 1);
        return to + sizeof REPLACEMENT - 1;
    }
    if (*at >= 0x20) {
        if (*at == '"' || *at == '\\')
            *to++ = '\\';
        memcpy(to, at, count);
        return to + count;
    }
    memcpy(to, "\\u00", 4);
    to[4] = (uint8_t)hex[*at >> 4];
    to[5] = (uint8_t)hex[*at & 15];
    return to + 6;
}

void buffer_put_json(struct buffer *buffer, struct text text)
{
    uint8_t *to = buffer_room(buffer, text.bytes * JSON_BYTE_MAX + 2);
    if (to == NULL)
        return;
    uint8_t *const begin = to;
    const uint8_t *at = (const uint8_t *)text.data;
    size_t left = text.bytes;
    *to++ = '"';
    while (left > 0) {
        const size_t count = utf8_character(at, left);
        to = put_json_character(to, at, count);
        at += count == 0 ? 1 : count;
        left -= count == 0 ? 1 : count;
    }
    *to++ = '"';
    buffer->used += (size_t)(to - begin);
}

void buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    const int bytes = vsnprintf(NULL, 0, format, list);
    va_end(list);
    uint8_t *at = buffer_room(buffer, bytes < 0 ? 0 : (size_t)bytes + 1);
    if (at == NULL || bytes < 0)
        return;
    va_start(list, format);
    (void)vsnprintf((char *)at, (size_t)bytes + 1, format, list);
    va_end(list);
    buffer->used += (size_t)bytes;
}

struct text buffer_text(const struct buffer *buffer)
{
    return (struct text){(const char *)buffer->data, buffer->used};
}
