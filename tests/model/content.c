/* SPDX-License-Identifier: BSD-2-Clause */
/* content.c -- what a random record carries; see content.h. */
#include "content.h"

#include <stdlib.h>
#include <string.h>

/* Sizes of keys: mostly short, one that is long, one of a single byte, some with a NUL inside. */
size_t content_key(uint32_t number, uint8_t out[CONTENT_SHORT_MAX])
{
    size_t size = number == 0 ? 1 : number == 1 ? 300 : 2 + number % 19;
    bytes_fill(out, size, 7000 + number);
    if (number % 4 == 2)
        out[0] = 0;
    /* The last byte tells the keys apart whatever the filler did. */
    out[size - 1] = (uint8_t)number;
    return size;
}

size_t content_tag(uint32_t number, uint8_t out[CONTENT_SHORT_MAX])
{
    static const char *const names[CONTENT_TAG_POOL] = {"a", "b", "ab", "\xc3\xa9t\xc3\xa9",
                                                        "a much longer tag than anyone would use"};
    size_t size = strlen(names[number]);
    memcpy(out, names[number], size);
    return size;
}

static void content_pieces(struct content *out, struct rng *rng)
{
    size_t at = 0;
    out->piece_count = (uint32_t)rng_between(rng, out->body_bytes == 0 ? 0 : 1, CONTENT_PIECES_MAX);
    for (uint32_t i = 0; i < out->piece_count; i++) {
        size_t left = out->body_bytes - at;
        size_t take = i + 1 == out->piece_count ? left : (size_t)rng_below(rng, left + 1);
        out->pieces[i].data = take == 0 && rng_chance(rng, 1, 2) ? NULL : out->body + at;
        out->pieces[i].bytes = take;
        at += take;
    }
}

static void content_attributes(struct content *out, struct rng *rng)
{
    uint8_t *room = out->room;
    out->key_count = (uint32_t)rng_below(rng, CONTENT_KEYS_MAX + 1);
    for (uint32_t i = 0; i < out->key_count; i++, room += CONTENT_SHORT_MAX) {
        out->key_numbers[i] = (uint32_t)rng_below(rng, CONTENT_KEY_POOL);
        out->keys[i].data = room;
        out->keys[i].bytes = content_key(out->key_numbers[i], room);
    }
    if (rng_chance(rng, 2, 3)) {
        out->tag_number = (uint32_t)rng_below(rng, CONTENT_TAG_POOL);
        out->tag.data = room;
        out->tag.bytes = content_tag(out->tag_number, room);
        room += CONTENT_SHORT_MAX;
    }
    out->header_count = (uint32_t)rng_below(rng, CONTENT_HEADERS_MAX + 1);
    for (uint32_t i = 0; i < out->header_count; i++) {
        out->headers[i].name.data = room;
        out->headers[i].name.bytes = (size_t)rng_between(rng, 1, 60);
        bytes_fill(room, out->headers[i].name.bytes, rng_next(rng));
        room += CONTENT_SHORT_MAX;
        out->headers[i].value.data = room;
        out->headers[i].value.bytes = (size_t)rng_below(rng, 200);
        bytes_fill(room, out->headers[i].value.bytes, rng_next(rng));
        room += CONTENT_SHORT_MAX;
    }
    out->has_time = rng_chance(rng, 1, 2);
    if (out->has_time)
        out->time_ms = (int64_t)(rng_next(rng) >> 2);
}

void content_make(struct content *out, uint64_t seed, size_t body_bytes)
{
    struct rng rng;
    memset(out, 0, sizeof *out);
    rng_begin(&rng, seed);
    out->body_bytes = body_bytes;
    out->body = need_alloc(body_bytes);
    bytes_fill(out->body, body_bytes, seed ^ 0x5bd1e995U);
    out->tag_number = UINT32_MAX;
    if (seed % 2 == 1)
        content_attributes(out, &rng);
    /* Last, so that the attributes do not depend on the size of the body. */
    content_pieces(out, &rng);
}

void content_free(struct content *content)
{
    free(content->body);
    content->body = NULL;
}

void content_record(const struct content *content, uint32_t topic, uint32_t queue, uint32_t level,
                    struct commitlog_record *out)
{
    memset(out, 0, sizeof *out);
    out->struct_bytes = sizeof *out;
    out->topic = topic;
    out->queue = queue;
    out->level = level;
    out->body = content->pieces;
    out->body_count = content->piece_count;
    out->keys = content->key_count > 0 ? content->keys : NULL;
    out->key_count = content->key_count;
    out->tag = content->tag;
    out->headers = content->header_count > 0 ? content->headers : NULL;
    out->header_count = content->header_count;
    out->has_time = content->has_time ? 1 : 0;
    out->time_ms = content->time_ms;
}

static bool slice_is(const struct commitlog_slice *a, const struct commitlog_slice *b)
{
    return a->bytes == b->bytes && bytes_equal(a->data, b->data, a->bytes);
}

void content_check(const struct content *content, const struct commitlog_message *message)
{
    struct commitlog_slice body = {content->body, content->body_bytes};
    struct commitlog_slice key;
    struct commitlog_header header;
    unsigned long long at = (unsigned long long)message->position;
    CHECKF(slice_is(&body, &message->body), "body at %llu: %zu bytes, expected %zu", at,
           message->body.bytes, body.bytes);
    CHECKF(slice_is(&content->tag, &message->tag), "tag at %llu", at);
    CHECKF(message->key_count == content->key_count, "keys at %llu", at);
    CHECKF(message->header_count == content->header_count, "headers at %llu", at);
    for (uint32_t i = 0; i < content->key_count; i++) {
        CHECK_RC(commitlog_message_key(message, i, &key), COMMITLOG_OK);
        CHECKF(slice_is(&key, &content->keys[i]), "key %u at %llu", i, at);
    }
    CHECK_RC(commitlog_message_key(message, content->key_count, &key), COMMITLOG_ENOTFOUND);
    for (uint32_t i = 0; i < content->header_count; i++) {
        CHECK_RC(commitlog_message_header(message, i, &header), COMMITLOG_OK);
        CHECKF(slice_is(&header.name, &content->headers[i].name), "header %u at %llu", i, at);
        CHECKF(slice_is(&header.value, &content->headers[i].value), "header %u at %llu", i, at);
    }
    CHECK_RC(commitlog_message_header(message, content->header_count, &header),
             COMMITLOG_ENOTFOUND);
    if (content->has_time)
        CHECKF(message->time_ms == content->time_ms, "producer's time at %llu", at);
    else
        CHECKF(message->time_ms == message->store_time_ns / 1000000, "time at %llu", at);
}
