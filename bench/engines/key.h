/* SPDX-License-Identifier: BSD-2-Clause */
/* key.h -- a record's key in engines that order keys as bytes: queue and offset, highest first. */
#ifndef BENCH_ENGINES_KEY_H
#define BENCH_ENGINES_KEY_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { KEY_QUEUE_BYTES = 4, KEY_BYTES = 12 };

struct key {
    uint8_t bytes[KEY_BYTES];
};

static inline struct key key_of(uint32_t queue, uint64_t offset)
{
    struct key key;
    uint32_t high = htobe32(queue);
    uint64_t low = htobe64(offset);
    memcpy(key.bytes, &high, sizeof(high));
    memcpy(&key.bytes[KEY_QUEUE_BYTES], &low, sizeof(low));
    return key;
}

/* False: these bytes are no key of this queue. */
static inline bool key_in_queue(const void *bytes, size_t size, uint32_t queue, uint64_t *offset)
{
    uint32_t high;
    uint64_t low;
    if (size != KEY_BYTES) {
        return false;
    }
    memcpy(&high, bytes, sizeof(high));
    memcpy(&low, (const uint8_t *)bytes + KEY_QUEUE_BYTES, sizeof(low));
    *offset = be64toh(low);
    return be32toh(high) == queue;
}

#endif
