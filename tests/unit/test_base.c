/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_base.c -- lib/base: errors, bytes, atomics, hash, list.
 */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/error.h"
#include "base/list.h"
#include "base/order.h"
#include "support/run_suite.h"

/* Bytes that depend on a seed only: splitmix64. */
static void fill(uint8_t *to, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed += UINT64_C(0x9e3779b97f4a7c15);
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        to[i] = (uint8_t)(z ^ (z >> 31));
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

START_TEST(every_code_has_its_own_name_and_text)
{
    uint32_t count = commitlog_error_count();
    ck_assert_uint_eq(count, 38);
    ck_assert_int_eq(commitlog_error_at(0), COMMITLOG_OK);
    for (uint32_t i = 0; i < count; i++) {
        int32_t code = commitlog_error_at(i);
        ck_assert_int_le(code, 0);
        ck_assert_int_eq(strncmp(commitlog_error_name(code), "COMMITLOG_", 10), 0);
        ck_assert_uint_gt(strlen(commitlog_error_text(code)), 5);
        for (uint32_t j = 0; j < i; j++) {
            ck_assert_int_gt(commitlog_error_at(j), code);
            ck_assert_str_ne(commitlog_error_name(commitlog_error_at(j)),
                             commitlog_error_name(code));
        }
    }
}
END_TEST

START_TEST(a_name_belongs_to_the_code_of_the_header)
{
    ck_assert_str_eq(commitlog_error_name(0), "COMMITLOG_OK");
    ck_assert_str_eq(commitlog_error_name(-203), "COMMITLOG_EUNRECOVERED");
    ck_assert_str_eq(commitlog_error_name(-402), "COMMITLOG_EINTERNAL");
}
END_TEST

START_TEST(an_unknown_code_is_answered_not_crashed_on)
{
    ck_assert_ptr_nonnull(commitlog_error_name(12345));
    ck_assert_ptr_nonnull(commitlog_error_text(INT32_MIN));
    ck_assert_int_eq(commitlog_error_at(UINT32_MAX), COMMITLOG_EINVAL);
}
END_TEST

START_TEST(fail_fills_every_field_and_returns_the_code)
{
    struct commitlog_error err;
    memset(&err, 0xff, sizeof(err));
    int rc = clg_fail(&err, COMMITLOG_EDAMAGED, EIO, 8192, "record of %d bytes", 48);
    ck_assert_int_eq(rc, COMMITLOG_EDAMAGED);
    ck_assert_int_eq(err.code, COMMITLOG_EDAMAGED);
    ck_assert_int_eq(err.os_errno, EIO);
    ck_assert_uint_eq(err.position, 8192);
    ck_assert_str_eq(err.message, "record of 48 bytes");
}
END_TEST

START_TEST(no_error_struct_is_fine_everywhere)
{
    ck_assert_int_eq(clg_fail(NULL, COMMITLOG_EIO, 0, 0, "x"), COMMITLOG_EIO);
    ck_assert_int_eq(clg_fail_os(NULL, -ENOSPC, 0, "x"), COMMITLOG_ENOSPC);
    clg_wrap(NULL, "x");
    clg_error_clear(NULL);
}
END_TEST

START_TEST(wrap_puts_the_outside_first)
{
    struct commitlog_error err;
    (void)clg_fail(&err, COMMITLOG_EDAMAGED, 0, 7, "check mismatch");
    clg_wrap(&err, "record at %d", 7);
    clg_wrap(&err, "open segment %s", "X");
    ck_assert_str_eq(err.message, "open segment X: record at 7: check mismatch");
    ck_assert_int_eq(err.code, COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(err.position, 7);
}
END_TEST

START_TEST(a_long_message_is_cut_at_its_end_at_a_whole_character)
{
    struct commitlog_error err;
    char text[400];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    memcpy(text + 238, "\xc3\xa4\xc3\xa4", 4); /* the first one is split by the end at 239 */
    (void)clg_fail(&err, COMMITLOG_EIO, 0, 0, "%s", text);
    ck_assert_uint_eq(strlen(err.message), 238);
    clg_wrap(&err, "outside");
    ck_assert_int_eq(strncmp(err.message, "outside: aaaa", 13), 0);
    ck_assert_uint_eq(strlen(err.message), 239);
}
END_TEST

/* A store may lie behind a path of 4095 bytes. */
START_TEST(a_reason_stays_whole_behind_a_long_path)
{
    struct commitlog_error err;
    char path[4096];
    memset(path, 'a', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    memcpy(path + 56, "\xc3\xa4", 2); /* is split by the end of what stays */
    static const char reason[] = "another process has it open for writing: process 4711";
    (void)clg_fail(&err, COMMITLOG_ELOCKED, 0, 0, "%s", reason);
    clg_wrap(&err, "store /%s", path);
    ck_assert_int_eq(strncmp(err.message, "store /aaaa", 11), 0);
    ck_assert_str_eq(err.message + 63,
                     "...: another process has it open for writing: process 4711");
    clg_wrap(&err, "open store /%s", path);
    ck_assert_ptr_nonnull(strstr(err.message, reason));
    (void)clg_fail_os(&err, -EACCES, 0, "open %s", path);
    ck_assert_ptr_nonnull(strstr(err.message, "...: EACCES (13)"));
}
END_TEST

START_TEST(an_errno_becomes_its_code_and_its_name)
{
    static const struct {
        int number;
        int code;
    } cases[] = {
        {ENOSPC, COMMITLOG_ENOSPC}, {EDQUOT, COMMITLOG_ENOSPC},  {ENOMEM, COMMITLOG_ENOMEM},
        {EROFS, COMMITLOG_EACCESS}, {EACCES, COMMITLOG_EACCESS}, {EPERM, COMMITLOG_EACCESS},
        {EMFILE, COMMITLOG_ELIMIT}, {ENFILE, COMMITLOG_ELIMIT},  {EIO, COMMITLOG_EIO},
        {ENOENT, COMMITLOG_EIO},    {9999, COMMITLOG_EIO},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct commitlog_error err;
        ck_assert_int_eq(clg_fail_os(&err, -cases[i].number, 1, "write"), cases[i].code);
        ck_assert_int_eq(err.os_errno, cases[i].number);
    }
    struct commitlog_error err;
    (void)clg_fail_os(&err, -EDQUOT, CLG_NO_POSITION, "write segment");
    ck_assert_str_eq(err.message, "write segment: EDQUOT (122)");
}
END_TEST

/* ---- bytes ----------------------------------------------------------------------------------- */

START_TEST(numbers_are_little_endian_at_any_address)
{
    uint8_t buf[16] = {0};
    clg_store_le64(buf + 1, UINT64_C(0x0807060504030201));
    for (uint8_t i = 1; i <= 8; i++) {
        ck_assert_uint_eq(buf[i], i);
    }
    ck_assert_uint_eq(clg_load_le64(buf + 1), UINT64_C(0x0807060504030201));
    ck_assert_uint_eq(clg_load_le32(buf + 2), 0x05040302);
    ck_assert_uint_eq(clg_load_le16(buf + 3), 0x0403);
    clg_store_le32(buf + 3, 0xfffefdfc);
    clg_store_le16(buf + 7, 0x1122);
    ck_assert_uint_eq(buf[3], 0xfc);
    ck_assert_uint_eq(buf[6], 0xff);
    ck_assert_uint_eq(buf[7], 0x22);
    ck_assert_uint_eq(buf[8], 0x11);
}
END_TEST

START_TEST(alignment_has_the_identity_at_multiples)
{
    ck_assert_uint_eq(clg_align_up(0, 8), 0);
    ck_assert_uint_eq(clg_align_up(1, 8), 8);
    ck_assert_uint_eq(clg_align_up(8, 8), 8);
    ck_assert_uint_eq(clg_align_down(4097, 4096), 4096);
    ck_assert(clg_is_aligned(8192, 4096));
    ck_assert(!clg_is_aligned(8193, 4096));
    ck_assert(clg_is_power_of_two(1) && !clg_is_power_of_two(0) && !clg_is_power_of_two(12));
}
END_TEST

START_TEST(checked_arithmetic_refuses_to_wrap_and_leaves_the_output)
{
    uint64_t out = 42;
    ck_assert(!clg_add_u64(UINT64_MAX, 1, &out));
    ck_assert(!clg_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
    ck_assert(!clg_align_up_checked(UINT64_MAX - 6, 8, &out));
    ck_assert_uint_eq(out, 42);
    ck_assert(clg_add_u64(UINT64_MAX - 1, 1, &out));
    ck_assert_uint_eq(out, UINT64_MAX);
    ck_assert(clg_mul_u64(3, 5, &out));
    ck_assert_uint_eq(out, 15);
    ck_assert(clg_align_up_checked(UINT64_MAX - 7, 8, &out));
    ck_assert_uint_eq(out, UINT64_MAX - 7);
}
END_TEST

START_TEST(zeros_are_recognised_whole)
{
    uint8_t room[33] = {0};
    ck_assert(clg_is_zero(room, sizeof(room)));
    ck_assert(clg_is_zero(room, 0));
    for (size_t i = 0; i < sizeof(room); i++) {
        room[i] = 0x80;
        ck_assert(!clg_is_zero(room, sizeof(room)));
        room[i] = 0;
    }
}
END_TEST

START_TEST(atomics_return_the_old_value)
{
    _Atomic uint64_t x = 5;
    _Atomic uint32_t y = 1;
    uint64_t expected = 4;
    ck_assert_uint_eq(clg_add_relaxed_u64(&x, 2), 5);
    ck_assert_uint_eq(clg_sub_acqrel_u64(&x, 1), 7);
    ck_assert(!clg_cas_acqrel_u64(&x, &expected, 9));
    ck_assert_uint_eq(expected, 6);
    ck_assert(clg_cas_acqrel_u64(&x, &expected, 9));
    clg_raise_release_u64(&x, 8);
    ck_assert_uint_eq(clg_load_acquire_u64(&x), 9);
    clg_raise_release_u64(&x, 11);
    ck_assert_uint_eq(clg_load_relaxed_u64(&x), 11);
    ck_assert_uint_eq(clg_swap_acqrel_u32(&y, 3), 1);
    ck_assert_uint_eq(clg_or_acqrel_u32(&y, 4), 3);
    ck_assert_uint_eq(clg_load_seqcst_u32(&y), 7);
}
END_TEST

START_TEST(a_list_keeps_its_order_and_a_removed_node_is_alone)
{
    struct item {
        int value;
        struct clg_list link;
    } items[3];
    struct clg_list head;
    clg_list_init(&head);
    ck_assert(clg_list_empty(&head));
    for (int i = 0; i < 3; i++) {
        items[i].value = i;
        clg_list_init(&items[i].link);
        clg_list_append(&head, &items[i].link);
    }
    clg_list_remove(&items[1].link);
    clg_list_remove(&items[1].link);
    ck_assert_int_eq(CLG_CONTAINER(head.next, struct item, link)->value, 0);
    ck_assert_int_eq(CLG_CONTAINER(head.prev, struct item, link)->value, 2);
    clg_list_remove(&items[0].link);
    clg_list_remove(&items[2].link);
    ck_assert(clg_list_empty(&head));
}
END_TEST

/* ---- hash ------------------------------------------------------------------------------------ */

START_TEST(the_hash_is_xxh3_as_published)
{
    /* The sanity buffer of xxHash's own self-test, and vectors of its table. */
    uint8_t buffer[2367];
    uint64_t generator = UINT64_C(2654435761);
    for (size_t i = 0; i < sizeof(buffer); i++) {
        buffer[i] = (uint8_t)(generator >> 56);
        generator *= UINT64_C(11400714785074694797);
    }
    const uint64_t seed = UINT64_C(0x9e3779b185ebca8d);
    static const struct {
        size_t size;
        int seeded;
        uint64_t want;
    } vectors[] = {
        {0, 0, UINT64_C(0x2d06800538d394c2)},    {0, 1, UINT64_C(0xa8a6b918b2f0364a)},
        {1, 0, UINT64_C(0xc44bdff4074eecdb)},    {1, 1, UINT64_C(0x032be332dd766ef8)},
        {6, 0, UINT64_C(0x27b56a84cd2d7325)},    {6, 1, UINT64_C(0x84589c116ab59ab9)},
        {12, 0, UINT64_C(0xa713daf0dfbb77e7)},   {12, 1, UINT64_C(0xe7303e1b2336de0e)},
        {24, 0, UINT64_C(0xa3fe70bf9d3510eb)},   {24, 1, UINT64_C(0x850e80fc35bdd690)},
        {48, 0, UINT64_C(0x397da259ecba1f11)},   {48, 1, UINT64_C(0xadc2cbaa44acc616)},
        {80, 0, UINT64_C(0xbcdefbbb2c47c90a)},   {80, 1, UINT64_C(0xc6dd0cb699532e73)},
        {195, 0, UINT64_C(0xcd94217ee362ec3a)},  {195, 1, UINT64_C(0xba68003d370cb3d9)},
        {403, 0, UINT64_C(0xcdeb804d65c6dea4)},  {403, 1, UINT64_C(0x6259f6ecfd6443fd)},
        {512, 0, UINT64_C(0x617e49599013cb6b)},  {512, 1, UINT64_C(0x3ce457de14c27708)},
        {2048, 0, UINT64_C(0xdd59e2c3a5f038e0)}, {2048, 1, UINT64_C(0x66f81670669ababc)},
        {2367, 0, UINT64_C(0xcb37aeb9e5d361ed)}, {2367, 1, UINT64_C(0xd2db3415b942b42a)},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        uint64_t got = clg_hash64(buffer, vectors[i].size, vectors[i].seeded ? seed : 0);
        ck_assert_msg(got == vectors[i].want, "size %zu seeded %d: %016llx", vectors[i].size,
                      vectors[i].seeded, (unsigned long long)got);
    }
}
END_TEST

START_TEST(all_variants_agree_at_every_size_around_the_limits)
{
    static uint8_t buffer[5000];
    enum clg_hash_variant variant = (enum clg_hash_variant)_i;
    fill(buffer, sizeof(buffer), 1);
    ck_assert_ptr_nonnull(clg_hash_variant_name(variant));
    if (!clg_hash_variant_usable(variant)) {
        printf("skip: this CPU has no %s\n", clg_hash_variant_name(variant));
        return;
    }
    for (size_t size = 0; size < 1300; size++) {
        uint64_t seed = size % 3 == 0 ? 0 : size * UINT64_C(0x9e3779b97f4a7c15);
        size_t at = size % 64; /* alignments */
        uint64_t want = clg_hash64_by(CLG_HASH_BASELINE, buffer + at, size, seed);
        ck_assert_uint_eq(clg_hash64_by(variant, buffer + at, size, seed), want);
        ck_assert_uint_eq(clg_hash64(buffer + at, size, seed), want);
    }
    for (size_t size = 4000; size < 4900; size += 7) {
        ck_assert_uint_eq(clg_hash64_by(variant, buffer, size, size),
                          clg_hash64_by(CLG_HASH_BASELINE, buffer, size, size));
    }
}
END_TEST

START_TEST(pieces_hash_like_the_whole)
{
    static uint8_t buffer[3000];
    enum clg_hash_variant variant = (enum clg_hash_variant)_i;
    fill(buffer, sizeof(buffer), 2);
    if (!clg_hash_variant_usable(variant)) {
        return;
    }
    for (size_t total = 0; total < sizeof(buffer); total += total < 300 ? 1 : 37) {
        for (size_t cut = 0; cut <= total; cut += 1 + total / 5) {
            size_t middle = (total - cut) / 2;
            struct clg_piece pieces[5] = {
                {buffer, cut},
                {NULL, 0},
                {buffer + cut, middle},
                {buffer + cut + middle, total - cut - middle},
                {NULL, 0},
            };
            uint64_t want = clg_hash64(buffer, total, total);
            ck_assert_uint_eq(clg_hash64_iov_by(variant, pieces, 5, total), want);
            ck_assert_uint_eq(clg_hash64_iov(pieces, 5, total), want);
        }
    }
    ck_assert_uint_eq(clg_hash64_iov(NULL, 0, 9), clg_hash64(NULL, 0, 9));
}
END_TEST

START_TEST(one_changed_bit_or_seed_changes_the_hash)
{
    uint8_t buffer[600];
    fill(buffer, sizeof(buffer), 3);
    for (size_t size = 1; size < sizeof(buffer); size += 11) {
        uint64_t before = clg_hash64(buffer, size, 5);
        ck_assert_uint_ne(clg_hash64(buffer, size, 6), before);
        buffer[size / 2] ^= 0x10;
        ck_assert_uint_ne(clg_hash64(buffer, size, 5), before);
        buffer[size / 2] ^= 0x10;
        ck_assert_uint_eq(clg_hash64(buffer, size, 5), before);
    }
}
END_TEST

START_TEST(the_chosen_variant_is_usable_and_stays)
{
    enum clg_hash_variant chosen = clg_hash_variant_chosen();
    ck_assert(clg_hash_variant_usable(chosen));
    ck_assert(clg_hash_variant_usable(CLG_HASH_BASELINE));
    ck_assert_int_eq((int)clg_hash_variant_chosen(), (int)chosen);
}
END_TEST

static Suite *base_suite(void)
{
    Suite *suite = suite_create("base");
    TCase *errors = tcase_create("error");
    tcase_add_test(errors, every_code_has_its_own_name_and_text);
    tcase_add_test(errors, a_name_belongs_to_the_code_of_the_header);
    tcase_add_test(errors, an_unknown_code_is_answered_not_crashed_on);
    tcase_add_test(errors, fail_fills_every_field_and_returns_the_code);
    tcase_add_test(errors, no_error_struct_is_fine_everywhere);
    tcase_add_test(errors, wrap_puts_the_outside_first);
    tcase_add_test(errors, a_long_message_is_cut_at_its_end_at_a_whole_character);
    tcase_add_test(errors, a_reason_stays_whole_behind_a_long_path);
    tcase_add_test(errors, an_errno_becomes_its_code_and_its_name);
    suite_add_tcase(suite, errors);
    TCase *bytes = tcase_create("bytes");
    tcase_add_test(bytes, numbers_are_little_endian_at_any_address);
    tcase_add_test(bytes, alignment_has_the_identity_at_multiples);
    tcase_add_test(bytes, checked_arithmetic_refuses_to_wrap_and_leaves_the_output);
    tcase_add_test(bytes, zeros_are_recognised_whole);
    tcase_add_test(bytes, atomics_return_the_old_value);
    tcase_add_test(bytes, a_list_keeps_its_order_and_a_removed_node_is_alone);
    suite_add_tcase(suite, bytes);
    TCase *hash = tcase_create("checksum");
    tcase_add_test(hash, the_hash_is_xxh3_as_published);
    tcase_add_loop_test(hash, all_variants_agree_at_every_size_around_the_limits, 0,
                        CLG_HASH_VARIANTS);
    tcase_add_loop_test(hash, pieces_hash_like_the_whole, 0, CLG_HASH_VARIANTS);
    tcase_add_test(hash, one_changed_bit_or_seed_changes_the_hash);
    tcase_add_test(hash, the_chosen_variant_is_usable_and_stays);
    suite_add_tcase(suite, hash);
    return suite;
}

int main(void)
{
    return run_suite(base_suite());
}
