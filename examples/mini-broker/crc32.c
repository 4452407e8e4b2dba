/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crc32.c - eight bytes at a time by eight tables. See crc32.h.
 */
#include "crc32.h"

static uint32_t tables[8][256];

static void fill_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t value = i;
        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? UINT32_C(0xedb88320) : 0);
        tables[0][i] = value;
    }
    for (uint32_t i = 0; i < 256; i++) {
        for (int t = 1; t < 8; t++)
            tables[t][i] = tables[t - 1][i] >> 8 ^ tables[0][tables[t - 1][i] & 0xff];
    }
}

static uint32_t little32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t crc32_of(struct text bytes)
{
    if (tables[0][1] == 0)
        fill_tables();
    const uint8_t *at = (const uint8_t *)bytes.data;
    size_t left = bytes.bytes;
    uint32_t crc = UINT32_MAX;
    for (; left >= 8; left -= 8, at += 8) {
        const uint32_t low = little32(at) ^ crc, high = little32(at + 4);
        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
              tables[4][low >> 24] ^ tables[3][high & 0xff] ^ tables[2][high >> 8 & 0xff] ^
              tables[1][high >> 16 & 0xff] ^ tables[0][high >> 24];
    }
    for (; left > 0; left--, at++)
        crc = crc >> 8 ^ tables[0][(crc ^ *at) & 0xff];
    return ~crc;
}
