/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_format_views.c -- sealed view files: consume queue, key index, state.
 *
 * A hostile file is handed over in a block of exactly its size and then used through every
 * accessor, also after a failed verification: bounds must not depend on checks.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "commitlog.h"
#include "format/key_file.h"
#include "format/queue_file.h"
#include "format/record.h"
#include "format/state_file.h"
#include "support/run_suite.h"

#define BASE (UINT64_C(1) << 30)
#define QUEUES 5u
#define EACH 7u

static const uint8_t uuid[CLG_UUID_BYTES] = {3, 1, 4};
static const uint8_t other[CLG_UUID_BYTES] = {2, 7, 1};
static const struct clg_view_segment segment = {BASE, 0xfeed, BASE + 1000000};

static uint64_t random_state = 7;

static uint64_t random_next(void)
{
    random_state = clg_record_seed(random_state, 1);
    return random_state;
}

static uint8_t *exact_alloc(uint64_t bytes)
{
    uint8_t *block = calloc(1, bytes != 0 ? bytes : 1);
    ck_assert_ptr_nonnull(block);
    return block;
}

static void flip(uint8_t *bytes, size_t bit)
{
    bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
}

static void reseal(uint8_t *file)
{
    uint32_t covered = CLG_VIEW_HEADER_BYTES - 8;
    clg_store_le64(file + covered, clg_hash64(file, covered, 0));
}

/* Queues 10, 20, ... with EACH entries that begin at offset 1000. */
static uint8_t *queue_file_make(uint64_t *bytes)
{
    uint64_t entries = QUEUES * EACH;
    *bytes = clg_queue_file_bytes(QUEUES, entries);
    uint8_t *file = exact_alloc(*bytes);
    for (uint32_t q = 0; q < QUEUES; q++) {
        struct clg_queue_directory directory = {.first_offset = 1000,
                                                .first_entry = q * EACH,
                                                .jump_end = 500,
                                                .prev = {BASE - 4096, q},
                                                .jump = {CLG_LINK_NONE, 0},
                                                .queue = (q + 1) * 10,
                                                .count = EACH,
                                                .ordinal = 4};
        clg_queue_file_put_directory(file, q, &directory);
    }
    for (uint32_t i = 0; i < entries; i++) {
        struct clg_queue_entry entry = {.store_time = i,
                                        .place = 1024 + i * 8,
                                        .size = 64,
                                        .flags = i % 3,
                                        .tag_hash = i,
                                        .header_check = ~i};
        clg_queue_file_put_entry(file, QUEUES, i, &entry);
    }
    clg_queue_file_finish(file, QUEUES, entries, &segment, uuid);
    return file;
}

START_TEST(queue_entry_layout)
{
    uint8_t bytes[CLG_QUEUE_ENTRY_BYTES];
    struct clg_queue_entry in = {.store_time = -2,
                                 .place = UINT32_MAX,
                                 .size = CLG_RECORD_MAX,
                                 .flags = CLG_QUEUE_ENTRY_REFERENCE,
                                 .tag_hash = 7,
                                 .header_check = 8};
    struct clg_queue_entry out;
    clg_queue_entry_encode(bytes, &in);
    clg_queue_entry_decode(bytes, &out);
    ck_assert_int_eq(out.store_time, -2);
    ck_assert_uint_eq(out.place, UINT32_MAX);
    ck_assert_uint_eq(out.size, CLG_RECORD_MAX);
    ck_assert_uint_eq(out.flags, CLG_QUEUE_ENTRY_REFERENCE);
    ck_assert_uint_eq(out.tag_hash, 7);
    ck_assert_uint_eq(out.header_check, 8);
    ck_assert_uint_eq(clg_load_le32(bytes + 12), CLG_RECORD_MAX | 2);
}
END_TEST

START_TEST(queue_file_round_trip)
{
    uint64_t bytes;
    uint8_t *data = queue_file_make(&bytes);
    struct clg_queue_file file;
    struct clg_queue_directory directory;
    struct clg_queue_entry entry;
    uint32_t index;
    ck_assert_int_eq(clg_queue_file_open(&file, data, bytes, &segment, uuid), 0);
    ck_assert_int_eq(clg_queue_file_verify_directory(&file), 0);
    ck_assert_int_eq(clg_queue_file_verify_entries(&file), 0);
    for (uint32_t q = 0; q < 70; q++) {
        int rc = clg_queue_file_find(&file, q, &directory, &index);
        if (q % 10 != 0 || q == 0 || q > 50) {
            ck_assert_int_eq(rc, COMMITLOG_ENOTFOUND);
            continue;
        }
        ck_assert_int_eq(rc, 0);
        ck_assert_uint_eq(index, q / 10 - 1);
        ck_assert_uint_eq(directory.prev.index, index);
        ck_assert_int_eq(clg_queue_file_entry(&file, &directory, 999, &entry), COMMITLOG_ENOTFOUND);
        ck_assert_int_eq(clg_queue_file_entry(&file, &directory, 1007, &entry),
                         COMMITLOG_ENOTFOUND);
        ck_assert_int_eq(clg_queue_file_entry(&file, &directory, UINT64_MAX, &entry),
                         COMMITLOG_ENOTFOUND);
        for (uint32_t i = 0; i < EACH; i++) {
            ck_assert_int_eq(clg_queue_file_entry(&file, &directory, 1000 + i, &entry), 0);
            ck_assert_int_eq(entry.store_time, index * EACH + i);
        }
    }
    struct clg_view_segment wrong = segment;
    wrong.salt++;
    ck_assert_int_eq(clg_queue_file_open(&file, data, bytes, &wrong, uuid), COMMITLOG_EFOREIGN);
    ck_assert_int_eq(clg_queue_file_open(&file, data, bytes, &segment, other), COMMITLOG_EFOREIGN);
    free(data);
}
END_TEST

START_TEST(queue_file_empty)
{
    uint64_t bytes = clg_queue_file_bytes(0, 0);
    uint8_t *data = exact_alloc(bytes);
    struct clg_queue_file file;
    struct clg_queue_directory directory;
    clg_queue_file_finish(data, 0, 0, &segment, uuid);
    ck_assert_int_eq(clg_queue_file_open(&file, data, bytes, &segment, uuid), 0);
    ck_assert_int_eq(clg_queue_file_verify_directory(&file), 0);
    ck_assert_int_eq(clg_queue_file_verify_entries(&file), 0);
    ck_assert_int_eq(clg_queue_file_find(&file, 1, &directory, NULL), COMMITLOG_ENOTFOUND);
    free(data);
}
END_TEST

/* Use everything, whatever the checks say. Returns true if the file passed all of them. */
static bool queue_file_use(const uint8_t *data, uint64_t bytes)
{
    struct clg_queue_file file;
    struct clg_queue_directory directory;
    struct clg_queue_entry entry;
    if (clg_queue_file_open(&file, data, bytes, NULL, NULL) != 0) {
        return false;
    }
    for (uint32_t q = 0; q < 60; q += 5) {
        (void)clg_queue_file_find(&file, q, &directory, NULL);
    }
    for (uint32_t i = 0; i < file.queue_count; i++) {
        if (clg_queue_file_directory(&file, i, &directory) != 0) {
            continue;
        }
        (void)clg_queue_file_entry(&file, &directory, directory.first_offset, &entry);
        (void)clg_queue_file_entry(&file, &directory, directory.first_offset + directory.count - 1,
                                   &entry);
    }
    return clg_queue_file_verify_directory(&file) == 0 && clg_queue_file_verify_entries(&file) == 0;
}

START_TEST(queue_file_hostile)
{
    uint64_t bytes;
    uint8_t *data = queue_file_make(&bytes);
    ck_assert(queue_file_use(data, bytes));
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        flip(data, bit);
        ck_assert_msg(!queue_file_use(data, bytes), "bit %zu", bit);
        flip(data, bit);
    }
    for (uint64_t cut = 0; cut < bytes; cut++) {
        uint8_t *copy = exact_alloc(cut);
        memcpy(copy, data, cut);
        ck_assert(!queue_file_use(copy, cut));
        free(copy);
    }
    uint8_t *longer = exact_alloc(bytes + 24);
    memcpy(longer, data, bytes);
    ck_assert(!queue_file_use(longer, bytes + 24));
    free(longer);
    /* Random words in a directory whose header is valid. */
    for (int round = 0; round < 5000; round++) {
        uint8_t *copy = exact_alloc(bytes);
        memcpy(copy, data, bytes);
        size_t at = CLG_VIEW_HEADER_BYTES + random_next() % (bytes - CLG_VIEW_HEADER_BYTES - 8);
        clg_store_le64(copy + at, random_next() >> (random_next() % 64));
        (void)queue_file_use(copy, bytes);
        free(copy);
    }
    /* Forged counts with a valid header check. */
    static const uint64_t counts[] = {0, 34, 36, UINT32_MAX, UINT64_C(1) << 32, UINT64_MAX};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        clg_store_le64(data + CLG_QUEUE_FILE_AT_ENTRIES, counts[i]);
        reseal(data);
        ck_assert(!queue_file_use(data, bytes));
    }
    clg_store_le64(data + CLG_QUEUE_FILE_AT_ENTRIES, QUEUES * EACH);
    clg_store_le32(data + CLG_QUEUE_FILE_AT_QUEUES, UINT32_MAX);
    reseal(data);
    ck_assert(!queue_file_use(data, bytes));
    /* 5 * 64 + 35 * 24 = 2 * 64 + 43 * 24: the sum alone does not tell. */
    clg_store_le64(data + CLG_QUEUE_FILE_AT_ENTRIES, 43);
    clg_store_le32(data + CLG_QUEUE_FILE_AT_QUEUES, 2);
    reseal(data);
    ck_assert(!queue_file_use(data, bytes));
    free(data);
}
END_TEST

START_TEST(queue_jumps)
{
    /* Against the recursive definition, and the number of hops to any earlier ordinal. */
    enum { N = 5000 };
    static uint32_t jump[N];
    for (uint32_t n = 1; n < N; n++) {
        uint32_t p = n - 1;
        bool carry = p - jump[p] == jump[p] - jump[jump[p]];
        jump[n] = carry ? jump[jump[p]] : p;
        ck_assert_uint_eq(clg_queue_jump_ordinal(n), jump[n]);
    }
    ck_assert_uint_eq(clg_queue_jump_ordinal(0), 0);
    ck_assert_uint_eq(clg_queue_jump_ordinal(UINT32_MAX), 0);
    ck_assert_uint_eq(clg_queue_jump_ordinal(UINT32_MAX - 1), UINT32_MAX / 2);
    for (uint32_t target = 0; target < N; target += 13) {
        uint32_t at = N - 1;
        uint32_t hops = 0;
        while (at != target) {
            at = clg_queue_jump_ordinal(at) >= target ? clg_queue_jump_ordinal(at) : at - 1;
            hops++;
        }
        ck_assert_uint_le(hops, 3 * 13);
    }
}
END_TEST

static uint8_t *key_file_make(struct clg_key_pair *pairs, uint32_t count, uint64_t *bytes)
{
    uint32_t bits = clg_key_prefix_bits(count);
    for (uint32_t i = 0; i < count; i++) {
        pairs[i].hash = clg_key_round(pairs[i].hash, bits);
    }
    qsort(pairs, count, sizeof(pairs[0]), clg_key_compare);
    *bytes = clg_key_file_bytes(count);
    uint8_t *data = exact_alloc(*bytes);
    clg_key_file_write(data, pairs, count, &segment, uuid);
    return data;
}

START_TEST(key_file_round_trip)
{
    static const uint32_t counts[] = {0, 1, 2, 15, 16, 17, 1000, 20000};
    for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        uint32_t count = counts[c];
        struct clg_key_pair *pairs = calloc(count + 1, sizeof(pairs[0]));
        uint64_t *hashes = calloc(count + 1, sizeof(hashes[0]));
        ck_assert(pairs != NULL && hashes != NULL);
        for (uint32_t i = 0; i < count; i++) {
            hashes[i] = i % 3 == 0 ? clg_record_seed(1, i / 12) : random_next();
            pairs[i].hash = hashes[i];
            pairs[i].place = 1024 + i * 6;
        }
        uint64_t bytes;
        uint8_t *data = key_file_make(pairs, count, &bytes);
        struct clg_key_file file;
        struct clg_key_cursor cursor;
        ck_assert_int_eq(clg_key_file_open(&file, data, bytes, &segment, uuid), 0);
        ck_assert_int_eq(clg_key_file_verify(&file), 0);
        for (uint32_t i = 0; i < count; i += 1 + count / 500) {
            uint32_t place;
            uint32_t before = UINT32_MAX;
            bool found = false;
            ck_assert_int_eq(clg_key_file_find(&file, hashes[i], &cursor), 0);
            while (clg_key_cursor_next(&cursor, &place)) {
                ck_assert_uint_lt(place, before);
                before = place;
                found = found || place == 1024 + i * 6;
            }
            ck_assert(found);
        }
        uint32_t unused;
        ck_assert_int_eq(clg_key_file_find(&file, UINT64_MAX, &cursor), 0);
        ck_assert(!clg_key_cursor_next(&cursor, &unused));
        free(hashes);
        free(pairs);
        free(data);
    }
}
END_TEST

START_TEST(key_prefix)
{
    ck_assert_uint_eq(clg_key_prefix_bits(0), 0);
    ck_assert_uint_eq(clg_key_prefix_bits(15), 0);
    ck_assert_uint_eq(clg_key_prefix_bits(16), 1);
    ck_assert_uint_eq(clg_key_prefix_bits(1u << 20), 17);
    ck_assert_uint_eq(clg_key_prefix_bits(CLG_KEY_FILE_ENTRIES_MAX), CLG_KEY_PREFIX_BITS_MAX);
    ck_assert_uint_eq(clg_key_round(UINT64_MAX, 0), UINT64_C(0xffffffff00000000));
    ck_assert_uint_eq(clg_key_round(UINT64_MAX, 24), UINT64_C(0xffffffffffffff00));
}
END_TEST

static bool key_file_use(const uint8_t *data, uint64_t bytes)
{
    struct clg_key_file file;
    struct clg_key_cursor cursor;
    uint32_t place;
    if (clg_key_file_open(&file, data, bytes, NULL, NULL) != 0) {
        return false;
    }
    for (uint64_t i = 0; i < 64; i++) {
        if (clg_key_file_find(&file, i << 58 | (i % 2 ? UINT32_MAX : 0), &cursor) == 0) {
            while (clg_key_cursor_next(&cursor, &place)) {
                ck_assert(clg_view_place_ok(&file.segment, place, CLG_RECORD_MIN));
            }
        }
    }
    return clg_key_file_verify(&file) == 0;
}

START_TEST(key_file_hostile)
{
    struct clg_key_pair pairs[60];
    for (uint32_t i = 0; i < 60; i++) {
        pairs[i].hash = random_next();
        pairs[i].place = 1024 + i * 6;
    }
    uint64_t bytes;
    uint8_t *data = key_file_make(pairs, 60, &bytes);
    ck_assert(key_file_use(data, bytes));
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        flip(data, bit);
        ck_assert_msg(!key_file_use(data, bytes), "bit %zu", bit);
        flip(data, bit);
    }
    for (uint64_t cut = 0; cut < bytes; cut++) {
        uint8_t *copy = exact_alloc(cut);
        memcpy(copy, data, cut);
        ck_assert(!key_file_use(copy, cut));
        free(copy);
    }
    for (int round = 0; round < 5000; round++) {
        uint8_t *copy = exact_alloc(bytes);
        memcpy(copy, data, bytes);
        size_t at = CLG_VIEW_HEADER_BYTES + random_next() % (bytes - CLG_VIEW_HEADER_BYTES - 4);
        clg_store_le32(copy + at, (uint32_t)(random_next() >> (32 + random_next() % 32)));
        (void)key_file_use(copy, bytes);
        free(copy);
    }
    /* A bucket that ends before it begins. */
    struct clg_key_file file;
    struct clg_key_cursor cursor;
    uint32_t first_end = clg_load_le32(data + CLG_VIEW_HEADER_BYTES + 4);
    ck_assert_int_eq(clg_key_file_open(&file, data, bytes, &segment, uuid), 0);
    clg_store_le32(data + CLG_VIEW_HEADER_BYTES, first_end + 1);
    ck_assert_int_eq(clg_key_file_find(&file, 0, &cursor), COMMITLOG_EDAMAGED);
    clg_store_le32(data + CLG_VIEW_HEADER_BYTES, 0);
    for (uint32_t bits = 0; bits < 70; bits++) {
        clg_store_le32(data + CLG_KEY_FILE_AT_PREFIX_BITS, bits);
        reseal(data);
        ck_assert(key_file_use(data, bytes) == (bits == clg_key_prefix_bits(60)));
    }
    free(data);
}
END_TEST

static uint8_t *state_file_make(uint64_t *bytes)
{
    *bytes = CLG_VIEW_HEADER_BYTES + clg_state_section_bytes(5) + clg_state_section_bytes(0) +
             clg_state_section_bytes(16);
    uint8_t *file = exact_alloc(*bytes);
    memset(file, 0xee, *bytes);
    struct clg_state_writer writer;
    struct clg_state_info info = {.position = 4096 * 8, .epoch = 6};
    memcpy(info.uuid, uuid, sizeof(uuid));
    clg_state_writer_init(&writer, file, *bytes);
    memcpy(clg_state_writer_section(&writer, 1, 5), "topic", 5);
    ck_assert_ptr_nonnull(clg_state_writer_section(&writer, 2, 0));
    ck_assert_ptr_null(clg_state_writer_section(&writer, 3, 17));
    ck_assert_ptr_null(clg_state_writer_section(&writer, 3, UINT64_MAX));
    memcpy(clg_state_writer_section(&writer, 3, 16), "0123456789abcdef", 16);
    ck_assert_ptr_null(clg_state_writer_section(&writer, 4, 0));
    ck_assert_uint_eq(clg_state_writer_finish(&writer, &info), *bytes);
    return file;
}

START_TEST(state_file_round_trip)
{
    uint64_t bytes;
    uint8_t *data = state_file_make(&bytes);
    struct clg_state_file file;
    struct clg_state_section section;
    ck_assert_int_eq(clg_state_file_open(&file, data, bytes, uuid), 0);
    ck_assert_uint_eq(file.info.position, 4096 * 8);
    ck_assert_uint_eq(file.info.epoch, 6);
    ck_assert_int_eq(clg_state_file_find(&file, 1, &section), 0);
    ck_assert_uint_eq(section.bytes, 5);
    ck_assert_mem_eq(section.data, "topic", 5);
    ck_assert_int_eq(clg_state_file_find(&file, 2, &section), 0);
    ck_assert_uint_eq(section.bytes, 0);
    ck_assert_int_eq(clg_state_file_find(&file, 3, &section), 0);
    ck_assert_mem_eq(section.data, "0123456789abcdef", 16);
    ck_assert_int_eq(clg_state_file_find(&file, 4, &section), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(clg_state_file_open(&file, data, bytes, other), COMMITLOG_EFOREIGN);
    free(data);
}
END_TEST

START_TEST(state_file_hostile)
{
    uint64_t bytes;
    uint8_t *data = state_file_make(&bytes);
    struct clg_state_file file;
    for (size_t bit = 0; bit < bytes * 8; bit++) {
        flip(data, bit);
        ck_assert_msg(clg_state_file_open(&file, data, bytes, uuid) != 0, "bit %zu", bit);
        flip(data, bit);
    }
    for (uint64_t cut = 0; cut < bytes; cut++) {
        uint8_t *copy = exact_alloc(cut);
        memcpy(copy, data, cut);
        ck_assert_int_ne(clg_state_file_open(&file, copy, cut, uuid), 0);
        free(copy);
    }
    /* Hostile section lengths under valid checks. */
    static const uint64_t lengths[] = {
        0, 8, 9, 64, 65, 80, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 63};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        clg_store_le64(data + CLG_VIEW_HEADER_BYTES + 8, lengths[i]);
        clg_store_le64(
            data + CLG_STATE_AT_BODY_CHECK,
            clg_hash64(data + CLG_VIEW_HEADER_BYTES, bytes - CLG_VIEW_HEADER_BYTES, 4096 * 8));
        reseal(data);
        int rc = clg_state_file_open(&file, data, bytes, uuid);
        /* 8 takes the same room as 5. */
        ck_assert_int_eq(rc, lengths[i] == 8 ? 0 : COMMITLOG_EDAMAGED);
    }
    /* Rounded up to 8, this one wraps to the room of an empty section. */
    clg_store_le64(data + CLG_VIEW_HEADER_BYTES + 8, 5);
    clg_store_le64(data + CLG_VIEW_HEADER_BYTES + 24 + 8, UINT64_MAX);
    clg_store_le64(
        data + CLG_STATE_AT_BODY_CHECK,
        clg_hash64(data + CLG_VIEW_HEADER_BYTES, bytes - CLG_VIEW_HEADER_BYTES, 4096 * 8));
    reseal(data);
    ck_assert_int_eq(clg_state_file_open(&file, data, bytes, uuid), COMMITLOG_EDAMAGED);
    free(data);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("format_views");
    TCase *views = tcase_create("views");
    tcase_set_timeout(views, 120);
    tcase_add_test(views, queue_entry_layout);
    tcase_add_test(views, queue_file_round_trip);
    tcase_add_test(views, queue_file_empty);
    tcase_add_test(views, queue_file_hostile);
    tcase_add_test(views, queue_jumps);
    tcase_add_test(views, key_file_round_trip);
    tcase_add_test(views, key_prefix);
    tcase_add_test(views, key_file_hostile);
    tcase_add_test(views, state_file_round_trip);
    tcase_add_test(views, state_file_hostile);
    suite_add_tcase(suite, views);
    return run_suite(suite);
}
