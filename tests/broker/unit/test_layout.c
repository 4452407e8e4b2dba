/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_layout.c -- the layout that clients decode, properties, ids, check sums, and output of
 * pieces that a socket takes bit by bit.
 *
 * SEED=n for other draws; the seed is printed.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "codes.h"
#include "crc32.h"
#include "delay.h"
#include "message_layout.h"
#include "output.h"
#include "properties.h"
#include "support/prog.h"
#include "support/run_suite.h"
#include "tags.h"

enum { ROUNDS = 5000, NOW_MS = 1000000 };

static uint64_t seed;

static struct layout sample(uint8_t born, uint8_t stored)
{
    struct layout layout = {.body = TEXT("the body"),
                            .topic = TEXT("topic"),
                            .properties = TEXT("KEYS\001a b\002TAGS\001t\002"),
                            .flag = 7,
                            .sys_flag = MESSAGE_COMPRESSED,
                            .reconsumed = 3,
                            .crc = crc32_of(TEXT("the body")),
                            .queue = 2,
                            .born_ms = 1234567890123,
                            .prepared_offset = 99,
                            .born.count = born,
                            .stored.count = stored};
    memset(layout.born.bytes, 0xaa, born);
    memset(layout.stored.bytes, 0xbb, stored);
    return layout;
}

/* ---- layout ---------------------------------------------------------------------------------- */

START_TEST(fields_are_where_decoders_look)
{
    const struct layout layout = sample(8, 8);
    uint8_t bytes[512];
    const size_t count = layout_bytes(&layout);
    layout_write(&layout, bytes);
    ck_assert_uint_eq(count, LAYOUT_FIXED + 8 + 5 + layout.properties.bytes);
    ck_assert_uint_eq(bytes_get32(bytes), count);
    ck_assert_uint_eq(bytes_get32(bytes + 4), 0xdaa320a7);
    ck_assert_uint_eq(bytes_get32(bytes + 8), layout.crc & 0x7fffffff);
    ck_assert_uint_eq(bytes_get32(bytes + 12), 2);
    ck_assert_uint_eq(bytes_get32(bytes + 16), 7);
    ck_assert_uint_eq(bytes_get32(bytes + 36), MESSAGE_COMPRESSED);
    ck_assert_uint_eq(bytes_get64(bytes + 40), 1234567890123);
    ck_assert_uint_eq(bytes[48], 0xaa);
    ck_assert_uint_eq(bytes[64], 0xbb);
    ck_assert_uint_eq(bytes_get32(bytes + 72), 3);
    ck_assert_uint_eq(bytes_get64(bytes + 76), 99);
    ck_assert_uint_eq(bytes_get32(bytes + 84), 8);
    ck_assert_mem_eq(bytes + 88, "the body", 8);
    ck_assert_uint_eq(bytes[96], 5);
    ck_assert_mem_eq(bytes + 97, "topic", 5);
    ck_assert_uint_eq(bytes_get16(bytes + 102), layout.properties.bytes);
}
END_TEST

START_TEST(what_is_written_is_read_back_with_addresses_of_both_kinds)
{
    for (int i = 0; i < 4; i++) {
        const struct layout layout = sample(i & 1 ? 20 : 8, i & 2 ? 20 : 8);
        uint8_t bytes[512], patched[LAYOUT_PATCH_MAX];
        struct layout back;
        layout_write(&layout, bytes);
        struct commitlog_message message = {.position = 4096,
                                            .queue_offset = 17,
                                            .queue = 5,
                                            .store_time_ns = 8000000,
                                            .body = {bytes, layout_bytes(&layout)}};
        ck_assert(layout_read(message.body, &back));
        ck_assert(text_equal(back.body, layout.body));
        ck_assert(text_equal(back.topic, layout.topic));
        ck_assert(text_equal(back.properties, layout.properties));
        ck_assert_uint_eq(back.reconsumed, 3);
        ck_assert_mem_eq(&back.born, &layout.born, sizeof back.born);
        ck_assert_mem_eq(&back.stored, &layout.stored, sizeof back.stored);
        const size_t count = layout_patch(&message, patched);
        ck_assert_uint_eq(count, i & 1 ? 76 : 64);
        ck_assert_uint_eq(bytes_get32(patched + 12), 5);
        ck_assert_uint_eq(bytes_get64(patched + 20), 17);
        ck_assert_uint_eq(bytes_get64(patched + 28), 4096);
        ck_assert_uint_eq(bytes_get64(patched + count - 8), 8);
        message.transaction = 77; /* and all the rest is as it was written */
        const size_t longer = layout_patch(&message, patched);
        ck_assert_uint_eq(longer, count + layout.stored.count + 4 + 8);
        ck_assert_uint_eq(bytes_get64(patched + count - 8), 8);
        ck_assert_mem_eq(patched + count, bytes + count, layout.stored.count + 4);
        ck_assert_uint_eq(bytes_get64(patched + longer - 8), 77);
        ck_assert_uint_le(longer, LAYOUT_PATCH_MAX);
    }
}
END_TEST

START_TEST(bytes_of_others_are_no_message)
{
    struct rng rng = {seed};
    const struct layout layout = sample(8, 20);
    uint8_t whole[512];
    layout_write(&layout, whole);
    for (int round = 0; round < ROUNDS; round++) {
        const size_t bytes = rng_below(&rng, layout_bytes(&layout) + 1);
        uint8_t *copy = malloc(bytes + (bytes == 0)), patched[LAYOUT_PATCH_MAX];
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, whole, bytes);
        for (size_t i = rng_below(&rng, 5); i > 0 && bytes > 0; i--)
            copy[rng_below(&rng, bytes)] = (uint8_t)rng_next(&rng);
        if (bytes >= 4 && rng_below(&rng, 2) == 0)
            bytes_put32(copy, (uint32_t)bytes); /* so that more than the size is looked at */
        const struct commitlog_message message = {.body = {copy, bytes}};
        struct layout back;
        if (layout_read(message.body, &back)) {
            ck_assert_uint_eq(layout_bytes(&back), bytes);
            ck_assert_uint_gt(layout_patch(&message, patched), 0);
        }
        free(copy);
    }
    struct layout back;
    ck_assert(!layout_read((struct commitlog_slice){NULL, 0}, &back));
}
END_TEST

START_TEST(a_topic_longer_than_a_signed_byte_says_is_no_message)
{
    char name[LAYOUT_TOPIC_MAX];
    struct layout layout = sample(8, 8), back;
    memset(name, 't', sizeof name);
    uint8_t bytes[512];
    layout.topic = (struct text){name, LAYOUT_TOPIC_MAX};
    layout.properties = (struct text){0};
    const size_t count = layout_bytes(&layout), at = count - 2 - LAYOUT_TOPIC_MAX - 1;
    layout_write(&layout, bytes);
    ck_assert(layout_read((struct commitlog_slice){bytes, count}, &back));
    ck_assert_uint_eq(back.topic.bytes, LAYOUT_TOPIC_MAX);
    /* One byte more, as was written once. */
    memmove(bytes + at + 2, bytes + at + 1, count - at - 1);
    bytes[at]++;
    bytes_put32(bytes, (uint32_t)count + 1);
    ck_assert(!layout_read((struct commitlog_slice){bytes, count + 1}, &back));
}
END_TEST

START_TEST(ids_are_address_port_and_position)
{
    const struct host host = {.bytes = {127, 0, 0, 1, 0, 0, 0x2a, 0x9f}, .count = 8};
    char id[LAYOUT_ID_MAX];
    ck_assert_uint_eq(layout_id(&host, 0x123456789a, id), 32);
    ck_assert_str_eq(id, "7F00000100002A9F000000123456789A");
    const struct host v6 = {.bytes = {[15] = 1, [18] = 0x2a, 0x9f}, .count = 20};
    ck_assert_uint_eq(layout_id(&v6, UINT64_MAX, id), 56);
    ck_assert_str_eq(id, "0000000000000000000000000000000100002A9FFFFFFFFFFFFFFFFF");
}
END_TEST

START_TEST(the_check_sum_is_that_of_zip)
{
    ck_assert_uint_eq(crc32_of(TEXT("123456789")), 0xcbf43926);
    ck_assert_uint_eq(crc32_of(TEXT("")), 0);
    ck_assert_uint_eq(crc32_of(TEXT("The quick brown fox jumps over the lazy dog")), 0x414fa339);
}
END_TEST

/* ---- properties ------------------------------------------------------------------------------ */

START_TEST(properties_are_found_and_headers_are_what_conditions_see)
{
    static struct properties known;
    properties_scan(TEXT("KEYS\001a b\002TAGS\001t\002color\001red\002WAIT\001false\002empty\001"
                         "\002\002broken\002UNIQ_KEY\001u"),
                    &known);
    ck_assert(text_equal(known.keys, TEXT("a b")));
    ck_assert(text_equal(known.tag, TEXT("t")));
    ck_assert(text_equal(known.unique, TEXT("u")));
    ck_assert(text_equal(known.wait, TEXT("false")));
    ck_assert_uint_eq(known.header_count, 4); /* KEYS, TAGS, color, empty */
    properties_scan(TEXT(""), &known);
    ck_assert_uint_eq(known.header_count, 0);
    ck_assert_uint_eq(known.keys.bytes, 0);
}
END_TEST

START_TEST(properties_can_be_taken_away_and_added)
{
    static const char *const names[] = {"DELAY", "X", NULL};
    struct buffer out = {0};
    properties_copy_without(&out, TEXT("DELAY\0013\002a\001b\002X\001\002c\001d"), names);
    properties_put(&out, "e", TEXT("f"));
    ck_assert(text_equal(buffer_text(&out), TEXT("a\001b\002c\001d\002e\001f\002")));
    ck_assert(text_equal(properties_find(buffer_text(&out), "c"), TEXT("d")));
    buffer_free(&out);
}
END_TEST

/* The substitute of a long tag is on disk: it is the same for ever. */
START_TEST(a_tag_is_itself_or_what_stands_for_it)
{
    char name[400], to[TAG_SUBSTITUTE_BYTES];
    memset(name, 'x', sizeof name);
    for (size_t bytes = 0; bytes < sizeof name; bytes++) {
        const struct text tag = {name, bytes}, stored = tag_stored(tag, to);
        ck_assert_uint_eq(stored.bytes, bytes <= 255 ? bytes : TAG_SUBSTITUTE_BYTES);
        ck_assert(bytes > 255 || stored.data == name);
    }
    ck_assert(
        text_equal(tag_stored((struct text){name, 256}, to), TEXT("\002long:295fa478294e7725")));
}
END_TEST

START_TEST(a_delay_is_a_level_or_a_time_or_nonsense)
{
    static const struct {
        const char *text;
        bool good;
        int64_t at;
    } rows[] = {{"a\001b\002", true, 0},
                {"DELAY\0010\002", true, 0},
                {"DELAY\0011\002", true, NOW_MS + 1000},
                {"DELAY\00118\002", true, NOW_MS + 7200000},
                {"DELAY\00199\002", true, NOW_MS + 7200000},
                {"DELAY\001x\002", false, 0},
                {"DELAY\0011\002TIMER_DELAY_SEC\00150\002", true, NOW_MS + 1000},
                {"DELAY\0010\002TIMER_DELAY_SEC\0015\002", true, NOW_MS + 5000},
                {"DELAY\001-1\002TIMER_DELAY_MS\0015\002", true, NOW_MS + 5},
                {"TIMER_DELAY_SEC\0015\002", true, NOW_MS + 5000},
                {"TIMER_DELAY_MS\0015\002", true, NOW_MS + 5},
                {"TIMER_DELIVER_MS\0015\002", true, 0},
                {"TIMER_DELIVER_MS\0011000005\002", true, NOW_MS + 5},
                {"TIMER_DELIVER_MS\001soon\002", false, 0},
                {"TIMER_DELAY_SEC\0019223372036854775807\002", false, 0},
                {"TIMER_DELAY_SEC\001-9223372036854775807\002", true, 0},
                {"TIMER_DELAY_MS\001-9223372036854775807\002", true, 0}};
    static struct properties known;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t at = -1;
        properties_scan(text_of(rows[i].text), &known);
        ck_assert_msg(delay_of(&known, NOW_MS, &at) == rows[i].good, "%s", rows[i].text);
        if (rows[i].good)
            ck_assert_int_eq(at, rows[i].at);
    }
}
END_TEST

/* ---- output ---------------------------------------------------------------------------------- */

static void drain(int fd, struct buffer *to)
{
    char bytes[1000];
    ssize_t got;
    while ((got = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT)) > 0)
        buffer_put(to, bytes, (size_t)got);
}

/* Copies and borrows in any order and size, a socket that takes little, and a detach now and then:
 * what arrives is what was put. */
START_TEST(bytes_arrive_in_order_however_the_socket_takes_them)
{
    struct rng rng = {seed + (uint64_t)_i};
    int pair[2], small = 4096;
    static uint8_t source[65536];
    struct output output = {0};
    struct buffer expected = {0}, arrived = {0};
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    (void)setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = (uint8_t)rng_next(&rng);
    for (int round = 0; round < 2000; round++) {
        const size_t at = rng_below(&rng, sizeof source);
        const size_t most = rng_below(&rng, 10) == 0 ? sizeof source : 200;
        size_t bytes = rng_below(&rng, most);
        bytes = bytes > sizeof source - at ? sizeof source - at : bytes;
        buffer_put(&expected, source + at, bytes);
        if (rng_below(&rng, 2) == 0) {
            output_copy(&output, source + at, bytes);
        } else {
            struct holding *holding = holding_of_lease(NULL);
            ck_assert_ptr_nonnull(holding);
            output_borrow(&output, source + at, bytes, holding);
            holding_release(holding);
        }
        if (rng_below(&rng, 8) == 0)
            ck_assert_int_ge(output_write(&output, pair[0]), 0);
        if (rng_below(&rng, 50) == 0)
            output_detach(&output);
        if (rng_below(&rng, 8) == 0)
            drain(pair[1], &arrived);
    }
    while (output_write(&output, pair[0]) == 0)
        drain(pair[1], &arrived);
    drain(pair[1], &arrived);
    ck_assert_uint_eq(output.bytes, 0);
    ck_assert_uint_eq(output.count, 0);
    ck_assert_uint_eq(arrived.used, expected.used);
    ck_assert_mem_eq(arrived.data, expected.data, expected.used);
    output_free(&output);
    buffer_free(&expected);
    buffer_free(&arrived);
    close(pair[0]);
    close(pair[1]);
}
END_TEST

static Suite *layout_suite(void)
{
    Suite *suite = suite_create("broker-layout");
    TCase *cases = tcase_create("layout");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, fields_are_where_decoders_look);
    tcase_add_test(cases, what_is_written_is_read_back_with_addresses_of_both_kinds);
    tcase_add_test(cases, bytes_of_others_are_no_message);
    tcase_add_test(cases, a_topic_longer_than_a_signed_byte_says_is_no_message);
    tcase_add_test(cases, ids_are_address_port_and_position);
    tcase_add_test(cases, the_check_sum_is_that_of_zip);
    tcase_add_test(cases, properties_are_found_and_headers_are_what_conditions_see);
    tcase_add_test(cases, properties_can_be_taken_away_and_added);
    tcase_add_test(cases, a_tag_is_itself_or_what_stands_for_it);
    tcase_add_test(cases, a_delay_is_a_level_or_a_time_or_nonsense);
    tcase_add_loop_test(cases, bytes_arrive_in_order_however_the_socket_takes_them, 0, 5);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    seed = prog_env("SEED", 1);
    printf("test_layout: seed %llu\n", (unsigned long long)seed);
    return run_suite(layout_suite());
}
