/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tags.c - see tags.h.
 *
 * Happy path: most tags are as they are. Failure modes: two long tags of one hash: a consumer of
 * one is sent messages of the other, too, and lets them go, as it does with the official broker,
 * which knows hashes alone.
 */
#include "tags.h"

/* 0x02 ends a property, so no message has such a tag of its own. */
#define PREFIX "\002long:"

/* FNV-1a, 64 bits, without a key: what is on disk has to be found again. */
static uint64_t tag_hash(struct text tag)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < tag.bytes; i++)
        hash = (hash ^ (uint8_t)tag.data[i]) * UINT64_C(1099511628211);
    return hash;
}

struct text tag_stored(struct text tag, char to[TAG_SUBSTITUTE_BYTES])
{
    static const char hex[] = "0123456789abcdef";
    _Static_assert(sizeof PREFIX - 1 + 16 == TAG_SUBSTITUTE_BYTES, "a prefix and 16 digits");
    if (!tag_is_long(tag))
        return tag;
    uint64_t hash = tag_hash(tag);
    memcpy(to, PREFIX, sizeof PREFIX - 1);
    for (size_t at = TAG_SUBSTITUTE_BYTES; at > sizeof PREFIX - 1; hash >>= 4)
        to[--at] = hex[hash & 15];
    return (struct text){to, TAG_SUBSTITUTE_BYTES};
}
