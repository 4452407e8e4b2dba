/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_headers.c -- frames and both kinds of header of the mini-broker: what is whole, what is not,
 * and that no bytes lead the parsers out of what they were given.
 *
 * SEED=n for other draws; the seed is printed. What standard JSON means is decided by jansson.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "codes.h"
#include "command.h"
#include "frame.h"
#include "support/prog.h"
#include "support/run_suite.h"

enum { ROUNDS = 20000 };

static uint64_t seed;
static struct command command;

/* A copy whose end is the end of its memory, so that a sanitizer sees a read behind it. */
static uint8_t *exact(const void *data, size_t bytes)
{
    uint8_t *copy = malloc(bytes == 0 ? 1 : bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, bytes);
    return copy;
}

static bool decode_json(const char *text)
{
    static uint8_t *kept;
    free(kept);
    kept = exact(text, strlen(text));
    return header_json_decode(kept, strlen(text), &command);
}

static void expect_field(const char *name, const char *value)
{
    const struct text found = command_text(&command, name);
    ck_assert_msg(text_equal(found, text_of(value)), "%s is %.*s", name, (int)found.bytes,
                  found.data);
}

/* ---- frames ---------------------------------------------------------------------------------- */

START_TEST(a_frame_is_whole_when_its_last_byte_is_there)
{
    uint8_t bytes[64] = {0};
    struct frame frame;
    frame_prefix(bytes, HEADER_JSON, 5, 7);
    for (size_t have = 0; have < 20; have++) {
        uint8_t *copy = exact(bytes, have);
        ck_assert_int_eq(frame_take(copy, have, &frame), FRAME_PART);
        free(copy);
    }
    ck_assert_int_eq(frame_take(bytes, 20, &frame), FRAME_WHOLE);
    ck_assert_uint_eq(frame.header_bytes, 5);
    ck_assert_uint_eq(frame.body_bytes, 7);
    ck_assert_uint_eq(frame.bytes, 20);
    ck_assert_int_eq(frame_take(bytes, 64, &frame), FRAME_WHOLE);
    ck_assert_uint_eq(frame.bytes, 20);
}
END_TEST

START_TEST(lengths_that_cannot_be_are_bad_before_anything_else_comes)
{
    static const uint32_t words[][2] = {{0, 0},          {3, 0},          {0xffffffff, 0},
                                        {0x80000000, 0}, {FRAME_MAX, 0},  {8, 5},
                                        {4, 1},          {8, 0x02000000}, {8, 0xff000004}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        uint8_t bytes[8];
        struct frame frame;
        bytes_put32(bytes, words[i][0]);
        bytes_put32(bytes + 4, words[i][1]);
        ck_assert_int_eq(frame_take(bytes, 8, &frame), FRAME_BAD);
    }
}
END_TEST

/* ---- JSON ------------------------------------------------------------------------------------ */

START_TEST(a_header_as_java_writes_it)
{
    ck_assert(decode_json("{\"code\":310,\"extFields\":{\"a\":\"g\",\"i\":\"KEYS\\u0001k\\u0002\","
                          "\"e\":\"3\",\"k\":\"false\"},\"flag\":2,\"language\":\"JAVA\","
                          "\"opaque\":-7,\"serializeTypeCurrentRPC\":\"JSON\",\"version\":479}"));
    ck_assert_int_eq(command.code, 310);
    ck_assert_int_eq(command.flag, FLAG_ONEWAY);
    ck_assert_int_eq(command.opaque, -7);
    ck_assert_int_eq(command.version, 479);
    ck_assert_uint_eq(command.language, 0);
    expect_field("i", "KEYS\001k\002");
    ck_assert_int_eq(command_i64(&command, "e", 0), 3);
    ck_assert(!command_bool(&command, "k"));
    ck_assert_int_eq(command_i64(&command, "z", -1), -1);
}
END_TEST

START_TEST(numbers_booleans_and_bare_names_are_taken_for_text)
{
    ck_assert(decode_json(" { code : 11 , extFields:{queueId:3, \"batch\":true,x:null, 0:'q',"
                          "n:{\"deep\":[1,{}]}},\n flag:0,remark:null } "));
    ck_assert_int_eq(command.code, 11);
    ck_assert_uint_eq(command.field_count, 3);
    expect_field("queueId", "3");
    ck_assert(command_bool(&command, "batch"));
    expect_field("0", "q");
    ck_assert(decode_json("{\"code\":1,\"extFields\":null}"));
    ck_assert(decode_json("{\"code\":1}"));
    ck_assert(decode_json("{}"));
}
END_TEST

START_TEST(escapes_are_resolved)
{
    ck_assert(decode_json("{\"extFields\":{\"t\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u4e2d"
                          "\\ud83d\\ude00\\ud83dx\"}}"));
    expect_field("t", "\"\\/\b\f\n\r\t\xc3\xa4\xe4\xb8\xad\xf0\x9f\x98\x80?x");
}
END_TEST

START_TEST(what_is_no_header_is_refused)
{
    static const char *const wrong[] = {"",
                                        "[]",
                                        "{",
                                        "{\"code\"",
                                        "{\"code\":",
                                        "{\"code\":1",
                                        "{\"code\":1,",
                                        "\"code\"",
                                        "{\"a\":\"",
                                        "{\"a\":\"\\",
                                        "{\"a\":\"\\u12\"}",
                                        "{\"a\":\"\\u12zz\"}",
                                        "{:1}",
                                        "{\"code\" 1}",
                                        "{\"a\":1 \"b\":2}",
                                        "{\"a\":[}]}",
                                        "{\"extFields\":{\"a\":\"b\"",
                                        "{\"a\":[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]}"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        ck_assert_msg(!decode_json(wrong[i]), "%s", wrong[i]);
}
END_TEST

START_TEST(more_fields_than_there_is_room_for_are_refused)
{
    struct buffer out = {0};
    buffer_put_text(&out, TEXT("{\"extFields\":{"));
    for (int i = 0; i <= COMMAND_FIELDS_MAX; i++)
        buffer_format(&out, "%s\"f%d\":1", i > 0 ? "," : "", i);
    buffer_put_text(&out, TEXT("}}"));
    ck_assert(!header_json_decode(out.data, out.used, &command));
    buffer_free(&out);
}
END_TEST

/* ---- both ------------------------------------------------------------------------------------ */

static struct text draw_text(struct rng *rng, char *to, size_t most)
{
    const size_t bytes = rng_below(rng, most + 1);
    for (size_t i = 0; i < bytes; i++)
        to[i] = (char)(rng_below(rng, 4) == 0 ? rng_below(rng, 32) + (rng_below(rng, 2) ? 0 : 34)
                                              : 'a' + rng_below(rng, 26));
    return (struct text){to, bytes};
}

/* What was put in comes out, of each kind; and jansson reads the JSON one the same way. */
START_TEST(what_is_written_is_read_back)
{
    struct rng rng = {seed + (uint64_t)_i};
    for (int round = 0; round < 200; round++) {
        char names[8][24], values[8][64];
        struct text name[8], value[8];
        const uint8_t type = (uint8_t)rng_below(&rng, 2);
        const size_t count = rng_below(&rng, 9);
        struct buffer fields = {0}, out = {0};
        const struct header_out header = {type, (int32_t)rng_below(&rng, 400),
                                          (int32_t)rng_next(&rng), FLAG_RESPONSE, TEXT("re\"mark")};
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(names[i], sizeof names[i], "n%u", (unsigned)i);
            name[i] = text_of(names[i]);
            value[i] = draw_text(&rng, values[i], sizeof values[i]);
            (type == HEADER_BINARY ? header_binary_field : header_json_field)(&fields, name[i],
                                                                              value[i]);
        }
        (type == HEADER_BINARY ? header_binary_encode : header_json_encode)(&out, &header,
                                                                            buffer_text(&fields));
        if (type == HEADER_JSON) {
            json_t *json = json_loadb((char *)out.data, out.used, JSON_ALLOW_NUL, NULL);
            ck_assert_ptr_nonnull(json);
            for (size_t i = 0; i < count; i++) {
                json_t *one = json_object_get(json_object_get(json, "extFields"), names[i]);
                ck_assert(text_equal(
                    value[i], (struct text){json_string_value(one), json_string_length(one)}));
            }
            json_decref(json);
        }
        uint8_t *copy = exact(out.data, out.used);
        ck_assert(type == HEADER_BINARY ? header_binary_decode(copy, out.used, &command)
                                        : header_json_decode(copy, out.used, &command));
        ck_assert_int_eq(command.code, header.code);
        ck_assert_int_eq(command.opaque, header.opaque);
        ck_assert_int_eq(command.flag, FLAG_RESPONSE);
        ck_assert(text_equal(command.remark, header.remark));
        ck_assert_uint_eq(command.field_count, count);
        for (size_t i = 0; i < count; i++)
            ck_assert(text_equal(command_text(&command, names[i]), value[i]));
        free(copy);
        buffer_free(&fields);
        buffer_free(&out);
    }
}
END_TEST

/* Nothing is expected of them but that they stay within their bytes; sanitizers look. */
START_TEST(changed_bytes_lead_nowhere)
{
    static const char json[] =
        "{\"code\":310,\"extFields\":{\"a\":\"g\",\"i\":\"K\\u0001k\\ud83d\\ude00\\n\",e:3,"
        "\"x\":{\"y\":[1,2,{\"z\":null}]}},\"flag\":2,\"language\":\"JAVA\",\"opaque\":7}";
    struct buffer fields = {0}, binary = {0};
    const struct header_out header = {HEADER_BINARY, 310, 5, 0, TEXT("mark")};
    struct rng rng = {seed + 99};
    header_binary_field(&fields, TEXT("topic"), TEXT("t"));
    header_binary_field(&fields, TEXT("i"), TEXT("K\001v\002"));
    header_binary_encode(&binary, &header, buffer_text(&fields));
    for (int round = 0; round < ROUNDS; round++) {
        const bool as_json = rng_below(&rng, 2) == 0;
        const size_t whole = as_json ? sizeof json - 1 : binary.used;
        const size_t bytes = rng_below(&rng, 3) == 0 ? rng_below(&rng, whole + 1) : whole;
        uint8_t *copy = exact(as_json ? (const void *)json : binary.data, bytes);
        for (size_t i = rng_below(&rng, 4); i > 0 && bytes > 0; i--)
            copy[rng_below(&rng, bytes)] = rng_below(&rng, 2) == 0
                                               ? (uint8_t) "{}[]\",:\\u0 "[rng_below(&rng, 11)]
                                               : (uint8_t)rng_next(&rng);
        if (as_json)
            (void)header_json_decode(copy, bytes, &command);
        else
            (void)header_binary_decode(copy, bytes, &command);
        struct frame frame;
        (void)frame_take(copy, bytes, &frame);
        free(copy);
    }
    buffer_free(&fields);
    buffer_free(&binary);
}
END_TEST

START_TEST(numbers_are_numbers_of_64_bits_or_none)
{
    int64_t value = 5;
    ck_assert(text_to_i64(TEXT("9223372036854775807"), &value) && value == INT64_MAX);
    ck_assert(text_to_i64(TEXT("-9223372036854775808"), &value) && value == INT64_MIN);
    ck_assert(text_to_i64(TEXT("+1"), &value) && value == 1);
    ck_assert(!text_to_i64(TEXT("9223372036854775808"), &value));
    ck_assert(!text_to_i64(TEXT("-9223372036854775809"), &value));
    ck_assert(!text_to_i64(TEXT("99999999999999999999999"), &value));
    ck_assert(!text_to_i64(TEXT(""), &value));
    ck_assert(!text_to_i64(TEXT("-"), &value));
    ck_assert(!text_to_i64(TEXT("1x"), &value));
    ck_assert_int_eq(value, 1);
}
END_TEST

static Suite *headers_suite(void)
{
    Suite *suite = suite_create("broker-headers");
    TCase *cases = tcase_create("headers");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, a_frame_is_whole_when_its_last_byte_is_there);
    tcase_add_test(cases, lengths_that_cannot_be_are_bad_before_anything_else_comes);
    tcase_add_test(cases, a_header_as_java_writes_it);
    tcase_add_test(cases, numbers_booleans_and_bare_names_are_taken_for_text);
    tcase_add_test(cases, escapes_are_resolved);
    tcase_add_test(cases, what_is_no_header_is_refused);
    tcase_add_test(cases, more_fields_than_there_is_room_for_are_refused);
    tcase_add_loop_test(cases, what_is_written_is_read_back, 0, 10);
    tcase_add_test(cases, changed_bytes_lead_nowhere);
    tcase_add_test(cases, numbers_are_numbers_of_64_bits_or_none);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    seed = prog_env("SEED", 1);
    printf("test_headers: seed %llu\n", (unsigned long long)seed);
    return run_suite(headers_suite());
}
