/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * content.h -- what a random record carries, as a pure function of one number.
 *
 * Owns: the bytes of one record: body, keys, tag, headers, producer's time.
 * Invariants: the same (seed, topic salt, body size) gives the same record in every process, so a
 *       model need only keep the seed.
 */
#ifndef TESTS_MODEL_CONTENT_H
#define TESTS_MODEL_CONTENT_H

#include "../support/prog.h"

enum {
    CONTENT_KEYS_MAX = 3,
    CONTENT_HEADERS_MAX = 3,
    CONTENT_KEY_POOL = 24,
    CONTENT_TAG_POOL = 5,
    CONTENT_SHORT_MAX = 320,
    CONTENT_PIECES_MAX = 5
};

struct content {
    uint8_t *body;
    size_t body_bytes;
    uint32_t key_count;
    uint32_t header_count;
    uint32_t key_numbers[CONTENT_KEYS_MAX];
    uint32_t tag_number; /* UINT32_MAX: none */
    bool has_time;
    int64_t time_ms;
    struct commitlog_slice keys[CONTENT_KEYS_MAX];
    struct commitlog_slice tag;
    struct commitlog_header headers[CONTENT_HEADERS_MAX];
    struct commitlog_slice pieces[CONTENT_PIECES_MAX];
    uint32_t piece_count;
    uint8_t room[(CONTENT_KEYS_MAX + 1 + 2 * CONTENT_HEADERS_MAX) * CONTENT_SHORT_MAX];
};

/* A plain record (an even seed) has a body only. */
void content_make(struct content *out, uint64_t seed, size_t body_bytes);
void content_free(struct content *content);
/* The record as the library takes it; the content must outlive it. */
void content_record(const struct content *content, uint32_t topic, uint32_t queue, uint32_t level,
                    struct commitlog_record *out);

/* Key or tag of the pool by number: its bytes into `out`, the size returned. */
size_t content_key(uint32_t number, uint8_t out[CONTENT_SHORT_MAX]);
size_t content_tag(uint32_t number, uint8_t out[CONTENT_SHORT_MAX]);

/* Whether a message that was read is exactly this content; ends the program if not. */
void content_check(const struct content *content, const struct commitlog_message *message);

#endif
