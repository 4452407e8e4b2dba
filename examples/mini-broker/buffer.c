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

enum { BUFFER_FIRST = 256 };

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

void buffer_put_json(struct buffer *buffer, struct text text)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t *at = buffer_room(buffer, text.bytes * 6 + 2);
    if (at == NULL)
        return;
    uint8_t *const begin = at;
    *at++ = '"';
    for (size_t i = 0; i < text.bytes; i++) {
        const uint8_t c = (uint8_t)text.data[i];
        if (c == '"' || c == '\\') {
            *at++ = '\\';
            *at++ = c;
        } else if (c >= 0x20) {
            *at++ = c;
        } else {
            at[0] = '\\';
            at[1] = 'u';
            at[2] = at[3] = '0';
            at[4] = (uint8_t)hex[c >> 4];
            at[5] = (uint8_t)hex[c & 15];
            at += 6;
        }
    }
    *at++ = '"';
    buffer->used += (size_t)(at - begin);
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
