/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_format.c -- records, attributes and bodies of control records.
 *
 * Hostile input is always handed over in a block of exactly its size, so that the address
 * sanitizer sees the first byte read outside.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "commitlog.h"
#include "format/attributes.h"
#include "format/record.h"
#include "format/topic_record.h"
#include "support/run_suite.h"

#define SALT UINT64_C(0x1122334455667788)
#define POSITION UINT64_C(0x10002000)

static uint64_t random_state = 42;

static uint64_t random_next(void)
{
    random_state = clg_record_seed(random_state, 1);
    return random_state;
}

static uint8_t *exact_copy(const uint8_t *bytes, size_t count)
{
    uint8_t *copy = malloc(count != 0 ? count : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, count);
    return copy;
}

/* A sealed record with the word stored, in a block of exactly its size. */
static uint8_t *make_record(uint8_t kind, uint16_t attribute_bytes, uint32_t body_bytes,
                            uint64_t seed, uint32_t *size)
{
    *size = clg_record_bytes(attribute_bytes, body_bytes);
    ck_assert_uint_ne(*size, 0);
    uint8_t *record = calloc(1, *size);
    ck_assert_ptr_nonnull(record);
    struct clg_record_header header = {.queue_offset = 77,
                                       .store_time = INT64_C(1700000000000000000),
                                       .epoch = 9,
                                       .queue_number = 4,
                                       .durable_back = 123,
                                       .attribute_bytes = attribute_bytes,
                                       .kind = kind,
                                       .flags = clg_record_padding(attribute_bytes, body_bytes)};
    clg_record_encode_header(record, &header);
    for (uint32_t i = 0; i < attribute_bytes + body_bytes; i++) {
        record[CLG_RECORD_HEADER_BYTES + i] = (uint8_t)random_next();
    }
    uint32_t word = clg_record_is_filler(kind) ? clg_record_seal_header(record, *size, seed)
                                               : clg_record_seal(record, *size, seed);
    clg_store_le32(record, word);
    return record;
}

/* What a reader does. */
static bool record_accepted(const uint8_t *record, uint64_t room, uint64_t seed)
{
    uint8_t copy[CLG_RECORD_HEADER_BYTES];
    struct clg_record_header header;
    memcpy(copy, record, sizeof(copy));
    clg_record_decode(copy, &header);
    return clg_record_check_bounds(&header, room) && clg_record_verify_header(copy, seed) &&
           clg_record_verify_body(&header, record, seed);
}

START_TEST(record_round_trip)
{
    uint64_t seed = clg_record_seed(SALT, POSITION);
    for (uint16_t attributes = 0; attributes < 20; attributes++) {
        for (uint32_t body = 0; body < 40; body++) {
            uint32_t size;
            uint8_t *record = make_record(CLG_KIND_MESSAGE, attributes, body, seed, &size);
            struct clg_record_header header;
            clg_record_decode(record, &header);
            ck_assert(record_accepted(record, size, seed));
            ck_assert_uint_eq(clg_record_size(header.word), size);
            ck_assert_uint_eq(clg_record_state(header.word), CLG_RECORD_COMMITTED);
            ck_assert_uint_eq(clg_record_body_bytes(&header), body);
            ck_assert_ptr_eq(clg_record_body(&header, record),
                             clg_record_attributes(record) + attributes);
            ck_assert_uint_eq(header.queue_offset, 77);
            ck_assert_int_eq(header.store_time, INT64_C(1700000000000000000));
            ck_assert_uint_eq(header.epoch, 9);
            ck_assert_uint_eq(header.queue_number, 4);
            ck_assert_uint_eq(header.durable_back, 123);
            ck_assert_uint_eq(header.kind, CLG_KIND_MESSAGE);
            free(record);
        }
    }
}
END_TEST

START_TEST(record_every_bit_flip_is_found)
{
    uint64_t seed = clg_record_seed(SALT, POSITION);
    static const uint32_t bodies[] = {0, 1, 100, 301, 1000};
    for (size_t b = 0; b < sizeof(bodies) / sizeof(bodies[0]); b++) {
        uint32_t size;
        uint8_t *record = make_record(CLG_KIND_MESSAGE, 13, bodies[b], seed, &size);
        for (uint32_t bit = 0; bit < size * 8u; bit++) {
            record[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
            ck_assert_msg(!record_accepted(record, size, seed), "bit %u", bit);
            record[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
        }
        ck_assert(record_accepted(record, size, seed));
        free(record);
    }
}
END_TEST

START_TEST(record_filler_covers_its_header_only)
{
    uint64_t seed = clg_record_seed(SALT, POSITION);
    static const uint8_t kinds[] = {CLG_KIND_HOLE, CLG_KIND_PAD};
    for (size_t k = 0; k < sizeof(kinds); k++) {
        uint32_t size;
        uint8_t *record = make_record(kinds[k], 0, 64, seed, &size);
        for (uint32_t bit = 0; bit < CLG_RECORD_HEADER_BYTES * 8u; bit++) {
            record[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
            ck_assert_msg(!record_accepted(record, size, seed), "bit %u", bit);
            record[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
        }
        record[CLG_RECORD_HEADER_BYTES + 5] ^= 0xffu;
        ck_assert(record_accepted(record, size, seed));
        /* A filler has no check, even where the header check agrees with one. */
        clg_store_le32(record, clg_record_seal_check(record, size, seed, 1));
        ck_assert(!record_accepted(record, size, seed));
        free(record);
    }
}
END_TEST

START_TEST(record_elsewhere_fails)
{
    uint32_t size;
    uint8_t *record = make_record(CLG_KIND_MESSAGE, 0, 200, clg_record_seed(SALT, POSITION), &size);
    for (uint64_t step = 8; step < 65536; step += 8) {
        ck_assert(!record_accepted(record, size, clg_record_seed(SALT, POSITION + step)));
        ck_assert(!record_accepted(record, size, clg_record_seed(SALT ^ step, POSITION)));
    }
    free(record);
}
END_TEST

START_TEST(record_zeros_fail)
{
    uint8_t zeros[64] = {0};
    struct clg_record_header header;
    clg_record_decode(zeros, &header);
    ck_assert(!clg_record_check_bounds(&header, sizeof(zeros)));
    for (uint64_t i = 0; i < 1000; i++) {
        ck_assert(!clg_record_verify_header(zeros, clg_record_seed(random_next(), i * 8)));
        ck_assert(!clg_record_verify_claimed(zeros, clg_record_seed(random_next(), i * 8)));
    }
}
END_TEST

START_TEST(record_claimed_is_told_from_committed)
{
    uint64_t seed = clg_record_seed(SALT, POSITION);
    uint32_t size = clg_record_bytes(0, 40);
    uint8_t *record = calloc(1, size);
    ck_assert_ptr_nonnull(record);
    struct clg_record_header header = {.queue_offset = 5, .epoch = 1, .kind = CLG_KIND_MESSAGE};
    clg_record_encode_header(record, &header);
    clg_record_seal_header(record, size, seed);
    clg_store_le32(record, clg_record_word(size, CLG_RECORD_CLAIMED));
    ck_assert(clg_record_verify_claimed(record, seed));
    ck_assert(!clg_record_verify_header(record, seed));
    for (uint32_t bit = 0; bit < CLG_RECORD_HEADER_BYTES * 8u; bit++) {
        /* The check field is what a commit cut short may have written: it does not count. */
        bool counts = bit / 8u < CLG_RECORD_AT_CHECK || bit / 8u >= CLG_RECORD_AT_QUEUE_OFFSET;
        record[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
        ck_assert_msg(clg_record_verify_claimed(record, seed) != counts, "bit %u", bit);
        record[bit / 8u] ^= (uint8_t)(1u << (bit % 8u));
    }
    /* The dead claim becomes a hole in place. */
    record[CLG_RECORD_AT_KIND] = CLG_KIND_HOLE;
    clg_store_le32(record, clg_record_seal_header(record, size, seed));
    ck_assert(record_accepted(record, size, seed));
    free(record);
}
END_TEST

START_TEST(record_check_over_parts_is_the_same)
{
    uint64_t seed = clg_record_seed(SALT, POSITION);
    uint32_t size;
    uint8_t *record = make_record(CLG_KIND_MESSAGE, 10, 5000, seed, &size);
    struct clg_piece pieces[] = {{record + 16, 32}, {record + 48, 10}, {record + 58, size - 58}};
    uint64_t check = clg_hash64_iov(pieces, 3, clg_record_check_seed(seed, size));
    ck_assert_uint_eq(check, clg_load_le64(record + CLG_RECORD_AT_CHECK));
    uint32_t header_check = clg_load_le32(record + CLG_RECORD_AT_HEADER_CHECK);
    uint32_t word = clg_record_seal_check(record, size, seed, check);
    ck_assert_uint_eq(word, clg_load_le32(record));
    ck_assert_uint_eq(header_check, clg_load_le32(record + CLG_RECORD_AT_HEADER_CHECK));
    free(record);
}
END_TEST

static bool bounds(uint32_t word, uint16_t attributes, uint8_t kind, uint8_t flags, uint64_t room)
{
    struct clg_record_header header = {
        .word = word, .attribute_bytes = attributes, .kind = kind, .flags = flags};
    return clg_record_check_bounds(&header, room);
}

START_TEST(record_bounds)
{
    uint8_t m = CLG_KIND_MESSAGE;
    ck_assert(bounds(48 | 5, 0, m, 0, 48));
    ck_assert(bounds(48 | 3, 0, m, 0, 48));
    ck_assert(!bounds(48 | 5, 0, m, 0, 47));
    ck_assert(!bounds(40 | 5, 0, m, 0, 1000));
    ck_assert(!bounds(5, 0, m, 0, 1000));
    ck_assert(!bounds(48 | 5, 1, m, 0, 1000));
    ck_assert(!bounds(48 | 5, 0, m, 1, 1000));
    ck_assert(bounds(56 | 5, 1, m, 7, 1000));
    ck_assert(!bounds(56 | 5, 2, m, 7, 1000));
    ck_assert(!bounds(56 | 5, 65535, m, 0, UINT64_MAX));
    ck_assert(bounds(CLG_RECORD_MAX | 5, 65535, m, 7, CLG_RECORD_MAX));
    ck_assert(!bounds((CLG_RECORD_MAX + 8) | 5, 0, m, 0, UINT64_MAX));
    ck_assert(bounds(CLG_FILLER_MAX | 5, 0, CLG_KIND_PAD, 0, UINT64_MAX));
    ck_assert(!bounds(CLG_FILLER_MAX | 5, 0, CLG_KIND_PAD, 0, CLG_FILLER_MAX - 1));
    for (uint32_t state = 0; state < 8; state++) {
        ck_assert(bounds(64 | state, 0, m, 0, 64) == (state == 3 || state == 5));
    }
    ck_assert_uint_eq(clg_record_bytes(0, 0), 48);
    ck_assert_uint_eq(clg_record_bytes(1, 0), 56);
    ck_assert_uint_eq(clg_record_bytes(0, CLG_RECORD_MAX - 48), CLG_RECORD_MAX);
    ck_assert_uint_eq(clg_record_bytes(0, CLG_RECORD_MAX - 47), 0);
    ck_assert_uint_eq(clg_record_bytes(65536, 0), 0);
    ck_assert_uint_eq(clg_record_bytes(UINT64_MAX, 8), 0);
    ck_assert_uint_eq(clg_record_bytes(0, UINT64_MAX), 0);
}
END_TEST

START_TEST(durable_back)
{
    uint64_t durable;
    for (uint64_t p = 0; p < 4096; p += 8) {
        for (uint64_t d = 0; d <= p; d += 8) {
            ck_assert(clg_durable_back_decode(p, clg_durable_back_encode(p, d), &durable));
            ck_assert_uint_eq(durable, d);
        }
    }
    /* Rounded so that less is claimed. */
    ck_assert(clg_durable_back_decode(800, clg_durable_back_encode(800, 795), &durable));
    ck_assert_uint_eq(durable, 792);
    uint64_t far = (uint64_t)CLG_DURABLE_BACK_NONE * 8;
    ck_assert_uint_eq(clg_durable_back_encode(far, 0), CLG_DURABLE_BACK_NONE);
    ck_assert_uint_eq(clg_durable_back_encode(far, 8), CLG_DURABLE_BACK_NONE - 1);
    ck_assert(!clg_durable_back_decode(far * 2, CLG_DURABLE_BACK_NONE, &durable));
    ck_assert(!clg_durable_back_decode(80, 11, &durable));
    ck_assert(clg_durable_back_decode(80, 10, &durable));
    ck_assert_uint_eq(durable, 0);
}
END_TEST

static size_t sample_attributes(uint8_t *area, size_t room)
{
    struct clg_attribute_writer writer;
    clg_attribute_writer_init(&writer, area, room);
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_TAG, "red", 3), 0);
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_KEY, "k1", 2), 0);
    ck_assert_int_eq(clg_attribute_add_header(&writer, "a", 1, "1", 1), 0);
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_KEY, "key-2", 5), 0);
    ck_assert_int_eq(clg_attribute_add_header(&writer, "empty", 5, NULL, 0), 0);
    ck_assert_int_eq(clg_attribute_add(&writer, 100, "??", 2), 0);
    ck_assert_int_eq(clg_attribute_add_producer_time(&writer, -5), 0);
    return writer.used;
}

START_TEST(attributes_round_trip)
{
    uint8_t area[256];
    struct clg_attribute attribute;
    struct clg_attribute_header header;
    int64_t time;
    size_t bytes = sample_attributes(area, sizeof(area));
    ck_assert_int_eq(clg_attributes_check(area, bytes), 0);
    ck_assert_int_eq(clg_attributes_tag(area, bytes, &attribute), 1);
    ck_assert_mem_eq(attribute.value, "red", 3);
    ck_assert_int_eq(clg_attributes_key(area, bytes, 1, &attribute), 1);
    ck_assert_uint_eq(attribute.bytes, 5);
    ck_assert_mem_eq(attribute.value, "key-2", 5);
    ck_assert_int_eq(clg_attributes_key(area, bytes, 2, &attribute), 0);
    ck_assert_int_eq(clg_attributes_header(area, bytes, 0, &header), 1);
    ck_assert_mem_eq(header.value, "1", 1);
    ck_assert_int_eq(clg_attributes_header(area, bytes, 1, &header), 1);
    ck_assert_uint_eq(header.name_bytes, 5);
    ck_assert_uint_eq(header.value_bytes, 0);
    ck_assert_int_eq(clg_attributes_header(area, bytes, 2, &header), 0);
    ck_assert_int_eq(clg_attributes_producer_time(area, bytes, &time), 1);
    ck_assert_int_eq(time, -5);
    ck_assert_int_eq(clg_attributes_tag(area, 0, &attribute), 0);
    ck_assert_int_eq(clg_attributes_check(NULL, 0), 0);
}
END_TEST

START_TEST(attributes_writer_limits)
{
    uint8_t area[8192];
    uint8_t value[5000] = {1};
    struct clg_attribute_writer writer;
    size_t bytes = sample_attributes(area, sizeof(area));
    clg_attribute_writer_init(&writer, area, bytes - 1);
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_TAG, value, 256), COMMITLOG_ETOOBIG);
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_TAG, value, 0), COMMITLOG_EINVAL);
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_KEY, value, 4097), COMMITLOG_ETOOBIG);
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_KEY, value, 0), COMMITLOG_EINVAL);
    ck_assert_int_eq(clg_attribute_add(&writer, 0, value, 1), COMMITLOG_EINVAL);
    ck_assert_int_eq(clg_attribute_add(&writer, 0x80, value, 1), COMMITLOG_EINVAL);
    ck_assert_int_eq(clg_attribute_add(&writer, 100, value, 65536), COMMITLOG_ETOOBIG);
    ck_assert_int_eq(clg_attribute_add_header(&writer, value, 256, "", 0), COMMITLOG_ETOOBIG);
    ck_assert_int_eq(clg_attribute_add_header(&writer, "", 0, "", 0), COMMITLOG_EINVAL);
    ck_assert_int_eq(clg_attribute_add_header(&writer, "a", 1, value, 5000), COMMITLOG_ETOOBIG);
    ck_assert_uint_eq(writer.used, 0);
    clg_attribute_writer_init(&writer, area, 6);
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_TAG, "four", 4), COMMITLOG_ETOOBIG);
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_TAG, "abc", 3), 0);
    ck_assert_int_eq(clg_attribute_add(&writer, 100, "", 0), COMMITLOG_ETOOBIG);
}
END_TEST

/* Every look-up over an area that may be anything. */
static void attributes_use(const uint8_t *bytes, size_t count)
{
    uint8_t *area = exact_copy(bytes, count);
    struct clg_attribute attribute;
    struct clg_attribute_header header;
    int64_t time;
    (void)clg_attributes_check(area, count);
    (void)clg_attributes_tag(area, count, &attribute);
    (void)clg_attributes_producer_time(area, count, &time);
    for (uint32_t n = 0; n < 4; n++) {
        (void)clg_attributes_key(area, count, n, &attribute);
        (void)clg_attributes_header(area, count, n, &header);
    }
    free(area);
}

START_TEST(attributes_hostile)
{
    uint8_t area[256];
    size_t bytes = sample_attributes(area, sizeof(area));
    for (size_t cut = 0; cut < bytes; cut++) {
        attributes_use(area, cut);
    }
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        area[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        attributes_use(area, bytes);
        area[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (int round = 0; round < 20000; round++) {
        size_t count = random_next() % 64;
        for (size_t i = 0; i < count; i++) {
            area[i] = (uint8_t)(random_next() % 8);
        }
        attributes_use(area, count);
    }
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x01\x03\x00"
                                                           "ab",
                                          5),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x01\x01", 2), COMMITLOG_EDAMAGED);
    /* A header whose name ends behind its value, behind the area, or is empty. */
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x03\x04\x00\x03\x00"
                                                           "ab",
                                          7),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x03\x04\x00\xff\x00"
                                                           "ab",
                                          7),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x03\x04\x00\x00\x00"
                                                           "ab",
                                          7),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x03\x01\x00\x01", 4),
                     COMMITLOG_EDAMAGED);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x00\x00\x00", 3), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\xe4\x00\x00", 3),
                     COMMITLOG_EUNSUPPORTED);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x64\x00\x00", 3), 0);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\xbf\x00\x00", 3),
                     COMMITLOG_EUNSUPPORTED);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x81\x01\x00x", 4), 0);
    ck_assert_int_eq(clg_attributes_check((const uint8_t *)"\x01\x01\x00x\x01\x01\x00y", 8),
                     COMMITLOG_EDAMAGED);
}
END_TEST

START_TEST(hashes)
{
    ck_assert_uint_eq(clg_tag_hash("", 0), 0);
    ck_assert_uint_eq(clg_tag_hash("red", 3), (uint32_t)clg_hash64("red", 3, 0));
    ck_assert_uint_ne(clg_key_hash(clg_topic_seed("a", 1), "k", 1),
                      clg_key_hash(clg_topic_seed("b", 1), "k", 1));
}
END_TEST

static int name_check(const char *name)
{
    size_t bytes = strlen(name);
    uint8_t *copy = exact_copy((const uint8_t *)name, bytes);
    int rc = clg_topic_name_check(copy, bytes);
    free(copy);
    return rc;
}

START_TEST(topic_names)
{
    static const char *const good[] = {"a",
                                       "orders/eu",
                                       "\xc3\xa9",
                                       "\xe2\x82\xac",
                                       "\xf0\x9f\x98\x80",
                                       "\xed\x9f\xbf",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"",
                                      "\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x80\x80",
                                      "\xed\xa0\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "a\xe2\x82",
                                      "\xe2\x28\xa1",
                                      "\xff"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        ck_assert_int_eq(name_check(good[i]), 0);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        ck_assert_msg(name_check(bad[i]) == COMMITLOG_EINVAL, "name %zu", i);
    }
    uint8_t longest[256];
    memset(longest, 'x', sizeof(longest));
    ck_assert_int_eq(clg_topic_name_check(longest, 255), 0);
    ck_assert_int_eq(clg_topic_name_check(longest, 256), COMMITLOG_EINVAL);
    ck_assert_int_eq(clg_topic_name_check((const uint8_t *)"a\0b", 3), COMMITLOG_EINVAL);
}
END_TEST

START_TEST(topic_definition)
{
    const struct clg_topic_offset pairs[] = {{0, 10}, {2, CLG_QUEUE_OFFSET_MAX}, {7, 0}};
    struct clg_topic_definition in = {.name = (const uint8_t *)"orders",
                                      .name_bytes = 6,
                                      .first_queue = 100,
                                      .queue_count = 8,
                                      .pair_count = 3};
    struct clg_topic_definition out;
    struct clg_topic_offset pair;
    uint8_t body[128];
    size_t bytes = (size_t)clg_topic_definition_bytes(6, 3);
    ck_assert_uint_eq(bytes, 32 + 48);
    ck_assert_int_eq(clg_topic_definition_encode(body, bytes, &in, pairs), 0);
    for (size_t cut = 0; cut <= bytes; cut++) {
        uint8_t *copy = exact_copy(body, cut);
        int rc = clg_topic_definition_decode(copy, cut, &out);
        ck_assert_int_eq(rc, cut == bytes ? 0 : COMMITLOG_EDAMAGED);
        if (rc == 0) {
            ck_assert_uint_eq(out.first_queue, 100);
            ck_assert_uint_eq(out.queue_count, 8);
            ck_assert_mem_eq(out.name, "orders", 6);
            clg_topic_definition_pair(&out, 1, &pair);
            ck_assert_uint_eq(pair.index, 2);
            ck_assert_uint_eq(pair.next_offset, CLG_QUEUE_OFFSET_MAX);
        }
        free(copy);
    }
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        uint8_t *copy = exact_copy(body, bytes);
        copy[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        (void)clg_topic_definition_decode(copy, bytes, &out);
        free(copy);
    }
    in.queue_count = 7; /* index 7 is outside */
    ck_assert_int_eq(clg_topic_definition_encode(body, bytes, &in, pairs), COMMITLOG_EINVAL);
    in.queue_count = 0;
    ck_assert_int_eq(clg_topic_definition_encode(body, bytes, &in, pairs), COMMITLOG_EINVAL);
    in.queue_count = 8;
    in.first_queue = CLG_QUEUES_MAX - 7;
    ck_assert_int_eq(clg_topic_definition_encode(body, bytes, &in, pairs), COMMITLOG_EINVAL);
    in.first_queue = CLG_QUEUES_MAX - 8;
    ck_assert_int_eq(clg_topic_definition_encode(body, bytes, &in, pairs), 0);
}
END_TEST

START_TEST(control_bodies)
{
    uint8_t body[24];
    struct clg_epoch_start epoch = {.predecessor_end = 81920, .session = 0xabcdef};
    struct clg_epoch_start epoch_out;
    clg_epoch_start_encode(body, &epoch);
    ck_assert_int_eq(clg_epoch_start_decode(body, 16, &epoch_out), 0);
    ck_assert_uint_eq(epoch_out.predecessor_end, 81920);
    ck_assert_uint_eq(epoch_out.session, 0xabcdef);
    ck_assert_int_eq(clg_epoch_start_decode(body, 15, &epoch_out), COMMITLOG_EDAMAGED);
    body[0] = 1;
    ck_assert_int_eq(clg_epoch_start_decode(body, 16, &epoch_out), COMMITLOG_EDAMAGED);

    uint64_t first;
    clg_first_encode(body, 8192);
    ck_assert_int_eq(clg_first_decode(body, 8, &first), 0);
    ck_assert_uint_eq(first, 8192);
    ck_assert_int_eq(clg_first_decode(body, 7, &first), COMMITLOG_EDAMAGED);
    clg_first_encode(body, 8200);
    ck_assert_int_eq(clg_first_decode(body, 8, &first), COMMITLOG_EDAMAGED);
    memset(body, 0xff, 8);
    ck_assert_int_eq(clg_first_decode(body, 8, &first), COMMITLOG_EDAMAGED);

    struct clg_batch batch = {.count = 3, .member_bytes = 3 * 48, .member_checks = 99};
    struct clg_batch batch_out;
    clg_batch_encode(body, &batch);
    ck_assert_int_eq(clg_batch_decode(body, 24, &batch_out), 0);
    ck_assert_uint_eq(batch_out.count, 3);
    ck_assert_uint_eq(batch_out.member_bytes, 144);
    ck_assert_uint_eq(batch_out.member_checks, 99);
    ck_assert_int_eq(clg_batch_decode(body, 23, &batch_out), COMMITLOG_EDAMAGED);
    clg_store_le32(body, 4);
    ck_assert_int_eq(clg_batch_decode(body, 24, &batch_out), COMMITLOG_EDAMAGED);
    clg_store_le32(body, 0);
    ck_assert_int_eq(clg_batch_decode(body, 24, &batch_out), COMMITLOG_EDAMAGED);
    clg_store_le32(body, CLG_BATCH_COUNT_MAX + 1);
    clg_store_le64(body + 8, CLG_BATCH_BYTES_MAX);
    ck_assert_int_eq(clg_batch_decode(body, 24, &batch_out), COMMITLOG_EDAMAGED);
    clg_store_le32(body, 1);
    ck_assert_int_eq(clg_batch_decode(body, 24, &batch_out), 0);
    clg_store_le64(body + 8, UINT64_MAX & ~UINT64_C(7));
    ck_assert_int_eq(clg_batch_decode(body, 24, &batch_out), COMMITLOG_EDAMAGED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format");
    TCase *records = tcase_create("record");
    tcase_set_timeout(records, 60);
    tcase_add_test(records, record_round_trip);
    tcase_add_test(records, record_every_bit_flip_is_found);
    tcase_add_test(records, record_filler_covers_its_header_only);
    tcase_add_test(records, record_elsewhere_fails);
    tcase_add_test(records, record_zeros_fail);
    tcase_add_test(records, record_claimed_is_told_from_committed);
    tcase_add_test(records, record_check_over_parts_is_the_same);
    tcase_add_test(records, record_bounds);
    tcase_add_test(records, durable_back);
    suite_add_tcase(suite, records);
    TCase *bodies = tcase_create("bodies");
    tcase_set_timeout(bodies, 60);
    tcase_add_test(bodies, attributes_round_trip);
    tcase_add_test(bodies, attributes_writer_limits);
    tcase_add_test(bodies, attributes_hostile);
    tcase_add_test(bodies, hashes);
    tcase_add_test(bodies, topic_names);
    tcase_add_test(bodies, topic_definition);
    tcase_add_test(bodies, control_bodies);
    suite_add_tcase(suite, bodies);
    return run_suite(suite);
}
