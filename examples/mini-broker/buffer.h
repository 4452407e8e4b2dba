/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * buffer.h - bytes that grow.
 *
 * Owns: the memory behind `data`. Invariants: 1. used <= room; 2. once memory was refused, `failed`
 * is set and stays, and everything put from then on is dropped: look at it once, at the end.
 * Threads: one at a time.
 */
#ifndef MINI_BROKER_BUFFER_H
#define MINI_BROKER_BUFFER_H

#include "bytes.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD, for what is no character */

struct buffer {
    uint8_t *data;
    size_t used;
    size_t room;
    bool failed;
};

void buffer_free(struct buffer *buffer);
/* Empty, with the memory it has. */
void buffer_clear(struct buffer *buffer);
/* Room for so many more; where they go, or NULL. `used` is the caller's to move. */
uint8_t *buffer_room(struct buffer *buffer, size_t bytes);
void buffer_put(struct buffer *buffer, const void *data, size_t bytes);
void buffer_put_text(struct buffer *buffer, struct text text);
void buffer_put_byte(struct buffer *buffer, uint8_t byte);
void buffer_put_u32(struct buffer *buffer, uint32_t value);
/* In decimal, somewhere in `to`. */
struct text text_of_i64(int64_t value, char to[24]);
/* The same. */
void buffer_put_i64(struct buffer *buffer, int64_t value);
/* How many bytes the UTF-8 character at the begin of these has; 0: there is none. */
size_t utf8_character(const uint8_t *at, size_t bytes);
/* As a JSON string, with its quotes. A byte that is no UTF-8 becomes U+FFFD: who reads strictly
 * would take none of the answer. */
void buffer_put_json(struct buffer *buffer, struct text text);
void buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
struct text buffer_text(const struct buffer *buffer);

#endif
