/* SPDX-License-Identifier: BSD-2-Clause */
/* load.c -- bodies that prove themselves; see load.h. */
#include "load.h"

#include <string.h>

#define LOAD_MAGIC UINT64_C(0x6461656862796c6f)

_Static_assert(sizeof(struct load_head) == LOAD_HEAD_BYTES, "the head has no gaps");

void load_fill(uint8_t *out, size_t bytes, uint32_t writer, uint32_t queue, uint64_t serial,
               uint64_t seed)
{
    struct load_head head = {LOAD_MAGIC, serial, bytes, seed, writer, queue};
    CHECK(bytes >= sizeof head && bytes <= LOAD_BODY_MAX);
    memcpy(out, &head, sizeof head);
    bytes_fill(out + sizeof head, bytes - sizeof head, seed);
}

bool load_proves(const struct commitlog_message *message, struct load_head *out)
{
    uint8_t expected[LOAD_BODY_MAX];
    const uint8_t *body = message->body.data;
    if (message->body.bytes < sizeof *out || message->body.bytes > LOAD_BODY_MAX)
        return false;
    memcpy(out, body, sizeof *out);
    if (out->magic != LOAD_MAGIC || out->bytes != message->body.bytes)
        return false;
    if (out->queue != message->queue)
        return false;
    bytes_fill(expected, message->body.bytes - sizeof *out, out->seed);
    return bytes_equal(expected, body + sizeof *out, message->body.bytes - sizeof *out);
}
