/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * message_layout.c - see message_layout.h.
 *
 * Happy path: bytes, write; later patch. Failure modes: false or 0 for bytes that others put into
 * the store.
 */
#include "message_layout.h"

#include "codes.h"

#include <assert.h>

enum { LAYOUT_MAGIC_AT = 4, LAYOUT_SYS_FLAG_AT = 36, LAYOUT_BORN_AT = 48 };
#define LAYOUT_MAGIC UINT32_C(0xdaa320a7)

size_t layout_bytes(const struct layout *layout)
{
    return (size_t)LAYOUT_FIXED - 16 + layout->born.count + layout->stored.count +
           layout->body.bytes + layout->topic.bytes + layout->properties.bytes;
}

static uint8_t *put_text(uint8_t *to, struct text text)
{
    if (text.bytes > 0)
        memcpy(to, text.data, text.bytes);
    return to + text.bytes;
}

void layout_write(const struct layout *layout, uint8_t *to)
{
    const uint32_t addresses = (layout->born.count == 20 ? MESSAGE_BORN_V6 : 0) |
                               (layout->stored.count == 20 ? MESSAGE_STORED_V6 : 0);
    bytes_put32(to, (uint32_t)layout_bytes(layout));
    bytes_put32(to + LAYOUT_MAGIC_AT, LAYOUT_MAGIC);
    bytes_put32(to + 8, layout->crc & 0x7fffffff);
    bytes_put32(to + 12, layout->queue);
    bytes_put32(to + 16, layout->flag);
    memset(to + 20, 0, 16);
    bytes_put32(to + LAYOUT_SYS_FLAG_AT,
                (layout->sys_flag & ~(uint32_t)(MESSAGE_BORN_V6 | MESSAGE_STORED_V6)) | addresses);
    bytes_put64(to + 40, (uint64_t)layout->born_ms);
    to += LAYOUT_BORN_AT;
    memcpy(to, layout->born.bytes, layout->born.count);
    to += layout->born.count;
    memset(to, 0, 8);
    to += 8;
    memcpy(to, layout->stored.bytes, layout->stored.count);
    to += layout->stored.count;
    bytes_put32(to, layout->reconsumed);
    bytes_put64(to + 4, (uint64_t)layout->prepared_offset);
    bytes_put32(to + 12, (uint32_t)layout->body.bytes);
    to = put_text(to + 16, layout->body);
    assert(layout->topic.bytes <= LAYOUT_TOPIC_MAX);
    *to++ = (uint8_t)layout->topic.bytes;
    to = put_text(to, layout->topic);
    bytes_put16(to, (uint16_t)layout->properties.bytes);
    (void)put_text(to + 2, layout->properties);
}

/* Is it one, and how long are its addresses? */
static bool layout_check(struct commitlog_slice body, size_t *out_born, size_t *out_stored)
{
    const uint8_t *at = body.data;
    if (body.bytes < LAYOUT_FIXED || bytes_get32(at) != body.bytes ||
        bytes_get32(at + LAYOUT_MAGIC_AT) != LAYOUT_MAGIC)
        return false;
    const uint32_t flag = bytes_get32(at + LAYOUT_SYS_FLAG_AT);
    *out_born = flag & MESSAGE_BORN_V6 ? 20 : 8;
    *out_stored = flag & MESSAGE_STORED_V6 ? 20 : 8;
    return body.bytes >= LAYOUT_FIXED - 16 + *out_born + *out_stored;
}

bool layout_read(struct commitlog_slice body, struct layout *out)
{
    const uint8_t *at = body.data, *const end = at == NULL ? NULL : at + body.bytes;
    size_t born, stored;
    if (at == NULL || !layout_check(body, &born, &stored))
        return false;
    *out = (struct layout){.crc = bytes_get32(at + 8),
                           .queue = bytes_get32(at + 12),
                           .flag = bytes_get32(at + 16),
                           .sys_flag = bytes_get32(at + LAYOUT_SYS_FLAG_AT),
                           .born_ms = (int64_t)bytes_get64(at + 40),
                           .born.count = (uint8_t)born,
                           .stored.count = (uint8_t)stored};
    at += LAYOUT_BORN_AT;
    memcpy(out->born.bytes, at, born);
    at += born + 8;
    memcpy(out->stored.bytes, at, stored);
    at += stored;
    out->reconsumed = bytes_get32(at);
    out->prepared_offset = (int64_t)bytes_get64(at + 4);
    const uint32_t body_bytes = bytes_get32(at + 12);
    at += 16;
    if (body_bytes > (size_t)(end - at))
        return false;
    out->body = (struct text){(const char *)at, body_bytes};
    at += body_bytes;
    if (at == end || *at > LAYOUT_TOPIC_MAX || (size_t)(end - at) < (size_t)*at + 3)
        return false;
    out->topic = (struct text){(const char *)at + 1, *at};
    at += 1 + out->topic.bytes;
    const uint32_t properties = bytes_get16(at);
    at += 2;
    out->properties = (struct text){(const char *)at, properties};
    return properties == (size_t)(end - at);
}

size_t layout_patch(const struct commitlog_message *message, uint8_t to[LAYOUT_PATCH_MAX])
{
    size_t born, stored;
    if (message->body.data == NULL || !layout_check(message->body, &born, &stored))
        return 0;
    const size_t time_at = LAYOUT_BORN_AT + born, prepared_at = time_at + 8 + stored + 4;
    const size_t bytes = message->transaction == 0 ? time_at + 8 : prepared_at + 8;
    memcpy(to, message->body.data, bytes);
    bytes_put32(to + 12, message->queue);
    bytes_put64(to + 20, message->queue_offset);
    bytes_put64(to + 28, message->position);
    bytes_put64(to + time_at, (uint64_t)(message->store_time_ns / 1000000));
    if (message->transaction != 0)
        bytes_put64(to + prepared_at, message->transaction);
    return bytes;
}

size_t layout_id(const struct host *host, uint64_t position, char out[LAYOUT_ID_MAX])
{
    static const char hex[] = "0123456789ABCDEF";
    uint8_t bytes[28];
    memcpy(bytes, host->bytes, host->count);
    bytes_put64(bytes + host->count, position);
    const size_t count = (size_t)host->count + 8;
    for (size_t i = 0; i < count; i++) {
        out[i * 2] = hex[bytes[i] >> 4];
        out[i * 2 + 1] = hex[bytes[i] & 15];
    }
    out[count * 2] = '\0';
    return count * 2;
}
