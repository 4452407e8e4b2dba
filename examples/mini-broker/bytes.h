/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bytes.h - text by pointer and length, and the big-endian integers of the protocol.
 *
 * Owns: nothing. Invariants: 1. a struct text is a borrow, and ends in no NUL; 2. the readers and
 * writers below check no bounds: who calls them has. Threads: any.
 */
#ifndef MINI_BROKER_BYTES_H
#define MINI_BROKER_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct text {
    const char *data;
    size_t bytes;
};

/* Of a literal. */
#define TEXT(literal) ((struct text){literal, sizeof(literal) - 1})

static inline struct text text_of(const char *string)
{
    return (struct text){string, strlen(string)};
}

static inline bool text_equal(struct text a, struct text b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

static inline bool text_begins(struct text text, struct text with)
{
    return text.bytes >= with.bytes && memcmp(text.data, with.data, with.bytes) == 0;
}

static inline uint16_t bytes_get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static inline uint32_t bytes_get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static inline uint64_t bytes_get64(const uint8_t *at)
{
    return (uint64_t)bytes_get32(at) << 32 | bytes_get32(at + 4);
}

static inline void bytes_put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static inline void bytes_put32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static inline void bytes_put64(uint8_t *at, uint64_t value)
{
    bytes_put32(at, (uint32_t)(value >> 32));
    bytes_put32(at + 4, (uint32_t)value);
}

#endif
