/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transaction_refused.c -- what no message says of its transaction, and no mark: each flag,
 * length, number and byte that must be zero.
 */
#include "support/run_suite.h"
#include "unit/transaction_record_fixture.h"

/* Bits that mean something: 1 the first, 2 prepared, 4 with a time, 8 stored again. */
static int flags_verdict(size_t form, uint32_t flags)
{
    static const uint32_t member = 3;
    if (flags > 15) {
        return COMMITLOG_EUNSUPPORTED;
    }
    if (form < member) { /* bytes 5 to 12 of these are a name, or a time with a name behind it */
        bool named = flags == 1 || flags == 3;
        return (form == 2 ? flags == 7 : named) ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
    }
    return flags == (form == member ? 0u : 8u) ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
}

START_TEST(flags_of_a_message_are_those_that_are_known_together)
{
    uint8_t value[32];
    for (size_t i = 0; i < HALVES; i++) {
        memcpy(value, halves[i].value, halves[i].bytes);
        for (uint32_t flags = 0; flags < 256; flags++) {
            value[4] = (uint8_t)flags;
            ck_assert_msg(decode_half(value, halves[i].bytes) == flags_verdict(i, flags),
                          "form %zu, flags %u", i, flags);
        }
    }
}
END_TEST

START_TEST(lengths_of_a_message_are_exact)
{
    uint8_t value[CLG_TRANSACTION_HALF_BYTES_MAX + 64] = {0};
    for (size_t i = 0; i < HALVES; i++) {
        const struct half_form *form = &halves[i];
        memcpy(value, form->value, form->bytes);
        for (size_t bytes = 0; bytes < form->bytes + 8; bytes++) {
            size_t fixed = i == 2 ? 13 : 5;
            bool first = form->half.transaction == 0;
            bool good = first ? bytes > fixed && bytes <= form->bytes : bytes == form->bytes;
            ck_assert_int_eq(decode_half(value, bytes), good ? COMMITLOG_OK : COMMITLOG_EDAMAGED);
        }
    }
    for (uint32_t flags = 1; flags <= 7; flags += 2) { /* one byte more than a name can have */
        memset(value, 1, sizeof(value));
        value[4] = (uint8_t)flags;
        clg_store_le64(value + 5, flags == 7 ? 1 : UINT64_C(0x0101010101010101));
        size_t most = (flags == 7 ? 13 : 5) + NAME_MAX_BYTES;
        int good = flags == 5 ? COMMITLOG_EDAMAGED : COMMITLOG_OK;
        ck_assert_int_eq(decode_half(value, most), good);
        ck_assert_int_eq(decode_half(value, most + 1), COMMITLOG_EDAMAGED);
    }
}
END_TEST

static const uint64_t no_positions[] = {0,
                                        1,
                                        4,
                                        7,
                                        9,
                                        8193,
                                        INT64_MAX,
                                        CLG_POSITION_MAX + 1,
                                        UINT64_MAX,
                                        CLG_POSITION_MAX + 8,
                                        UINT64_MAX - 7};
static const uint64_t no_times[] = {(uint64_t)CLG_DELIVER_AT_MAX_MS + 1, INT64_MAX,
                                    UINT64_C(1) << 63, UINT64_MAX};
static const struct {
    const char *text;
    uint32_t bytes;
} no_names[] = {{"a\0b", 3}, {"\0", 1}, {"\xff", 1}, {"sho\xc3", 4}, {"\xed\xa0\x80", 3}};

START_TEST(a_message_with_a_number_that_none_can_have_is_refused)
{
    uint8_t value[32];
    for (size_t i = 0; i < HALVES; i++) {
        memcpy(value, halves[i].value, halves[i].bytes);
        clg_store_le32(value, CLG_QUEUE_NONE);
        ck_assert_int_eq(decode_half(value, halves[i].bytes), COMMITLOG_EDAMAGED);
    }
    for (size_t i = 0; i < COUNT(no_positions); i++) {
        for (size_t form = 3; form < 5; form++) {
            memcpy(value, halves[form].value, halves[form].bytes);
            clg_store_le64(value + 5, no_positions[i]);
            ck_assert_int_eq(decode_half(value, halves[form].bytes), COMMITLOG_EDAMAGED);
        }
        memcpy(value, halves[4].value, halves[4].bytes);
        clg_store_le64(value + 13, no_positions[i]);
        ck_assert_int_eq(decode_half(value, halves[4].bytes), COMMITLOG_EDAMAGED);
    }
    memcpy(value, halves[4].value, halves[4].bytes);
    clg_store_le64(value + 5, 0x2018); /* behind the message */
    ck_assert_int_eq(decode_half(value, halves[4].bytes), COMMITLOG_EDAMAGED);
    memcpy(value, halves[2].value, halves[2].bytes);
    clg_store_le64(value + 5, 0); /* a time that says nothing */
    ck_assert_int_eq(decode_half(value, halves[2].bytes), COMMITLOG_EDAMAGED);
    for (size_t i = 0; i < COUNT(no_times); i++) {
        clg_store_le64(value + 5, no_times[i]);
        ck_assert_int_eq(decode_half(value, halves[2].bytes), COMMITLOG_EDAMAGED);
    }
    for (size_t i = 0; i < COUNT(no_names); i++) {
        memcpy(value, halves[0].value, 5);
        memcpy(value + 5, no_names[i].text, no_names[i].bytes);
        ck_assert_int_eq(decode_half(value, 5 + no_names[i].bytes), COMMITLOG_EDAMAGED);
    }
}
END_TEST

static int mark_with(size_t form, size_t at, size_t width, uint64_t number)
{
    uint8_t body[96];
    uint8_t bytes[8];
    memcpy(body, marks[form].body, sizeof(body));
    clg_store_le64(bytes, number);
    memcpy(body + at, bytes, width);
    return decode_mark(body, marks[form].bytes);
}

START_TEST(operations_reasons_and_flags_of_newer_versions_are_called_so)
{
    static const uint32_t operations[] = {0, 6, 255, 256, 257, UINT32_MAX};
    for (size_t form = 0; form < MARKS; form++) {
        for (size_t i = 0; i < COUNT(operations); i++) {
            ck_assert_int_eq(mark_with(form, 0, 4, operations[i]), COMMITLOG_EUNSUPPORTED);
        }
        const uint32_t operation = marks[form].mark.operation;
        const uint32_t known = operation == CLG_TRANSACTION_ROLLBACK ? 3
                               : operation == CLG_TRANSACTION_STATE  ? 1
                                                                     : 0;
        for (uint32_t flags = 0; flags <= known; flags++) {
            /* Of one that is not prepared nothing is said of its end and its parts. */
            int want = form == 4 && flags == 0 ? COMMITLOG_EDAMAGED : COMMITLOG_OK;
            ck_assert_int_eq(mark_with(form, 4, 4, flags), want);
        }
        for (uint32_t bit = 0; bit < 32; bit++) {
            if (UINT32_C(1) << bit > known) {
                ck_assert_int_eq(mark_with(form, 4, 4, UINT32_C(1) << bit), COMMITLOG_EUNSUPPORTED);
            }
        }
        ck_assert_int_eq(mark_with(form, 4, 4, known + 1), COMMITLOG_EUNSUPPORTED);
    }
    ck_assert_int_eq(mark_with(6, 16, 1, 5), COMMITLOG_EUNSUPPORTED); /* of the offsets */
    ck_assert_int_eq(mark_with(6, 24, 4, 2), COMMITLOG_EUNSUPPORTED);
}
END_TEST

START_TEST(lengths_of_marks_are_exact)
{
    uint8_t body[128] = {0};
    for (size_t form = 0; form < MARKS; form++) {
        memcpy(body, marks[form].body, sizeof(marks[form].body));
        for (size_t bytes = 0; bytes < marks[form].bytes + 16; bytes++) {
            int want = bytes == marks[form].bytes ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
            ck_assert_int_eq(decode_mark(body, bytes), want);
        }
    }
    ck_assert_int_eq(mark_with(4, 32, 4, 3), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(mark_with(4, 32, 4, 5), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(mark_with(4, 32, 4, UINT32_MAX), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(mark_with(5, 32, 4, UINT32_MAX - 47), COMMITLOG_EDAMAGED);
    static uint8_t longest[48 + NAME_MAX_BYTES + 1];
    memcpy(longest, marks[4].body, 48);
    memset(longest + 48, 'n', NAME_MAX_BYTES + 1);
    clg_store_le32(longest + 32, NAME_MAX_BYTES);
    ck_assert_int_eq(decode_mark(longest, 48 + NAME_MAX_BYTES), COMMITLOG_OK);
    clg_store_le32(longest + 32, NAME_MAX_BYTES + 1);
    ck_assert_int_eq(decode_mark(longest, 48 + NAME_MAX_BYTES + 1), COMMITLOG_EDAMAGED);
}
END_TEST

START_TEST(a_mark_with_a_number_that_none_can_have_is_refused)
{
    for (size_t form = 0; form < MARKS; form++) {
        const bool may_begin = marks[form].mark.operation == CLG_TRANSACTION_STATE;
        for (size_t i = 0; i < COUNT(no_positions); i++) {
            int want = may_begin && no_positions[i] == 0 ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
            ck_assert_int_eq(mark_with(form, 8, 8, no_positions[i]), want);
        }
    }
    for (size_t i = 0; i < COUNT(no_times); i++) {
        ck_assert_int_eq(mark_with(0, 16, 8, no_times[i]), COMMITLOG_EDAMAGED);
        ck_assert_int_eq(mark_with(4, 16, 8, no_times[i]), COMMITLOG_EDAMAGED);
        ck_assert_int_eq(mark_with(4, 24, 8, no_times[i]), COMMITLOG_EDAMAGED);
    }
    for (size_t at = 44; at < 48; at++) { /* must be zero */
        ck_assert_int_eq(mark_with(4, at, 1, 1), COMMITLOG_EDAMAGED);
        ck_assert_int_eq(mark_with(5, at, 1, 0x80), COMMITLOG_EDAMAGED);
    }
    for (size_t at = 24; at < 44; at++) { /* and what only a prepared one has */
        ck_assert_int_eq(mark_with(5, at, 1, 1), COMMITLOG_EDAMAGED);
    }
    for (uint32_t bit = 0; bit < 32; bit++) { /* how much it had is any number */
        for (size_t at = 0; at < 8; at += 4) {
            ck_assert_int_eq(mark_with(0, 24 + at, 4, UINT32_C(1) << bit), COMMITLOG_OK);
            ck_assert_int_eq(mark_with(4, 36 + at, 4, UINT32_C(1) << bit), COMMITLOG_OK);
        }
    }
    for (size_t i = 0; i < COUNT(no_names); i++) {
        uint8_t body[64];
        memcpy(body, marks[4].body, 48);
        clg_store_le32(body + 32, no_names[i].bytes);
        memcpy(body + 48, no_names[i].text, no_names[i].bytes);
        ck_assert_int_eq(decode_mark(body, 48 + no_names[i].bytes), COMMITLOG_EDAMAGED);
    }
    /* Of a group only offsets. */
    ck_assert_int_eq(mark_with(6, 16, 1, CLG_GROUP_RESET), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(mark_with(6, 24, 4, CLG_GROUP_KEEP), COMMITLOG_EDAMAGED);
    static const uint8_t zeros[] = {17, 36, 37, 38, 39, 44, 47, 60, 76, 79};
    for (size_t i = 0; i < COUNT(zeros); i++) {
        ck_assert_int_eq(mark_with(6, zeros[i], 1, 1), COMMITLOG_EDAMAGED);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transaction refused");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, flags_of_a_message_are_those_that_are_known_together);
    tcase_add_test(all, lengths_of_a_message_are_exact);
    tcase_add_test(all, a_message_with_a_number_that_none_can_have_is_refused);
    tcase_add_test(all, operations_reasons_and_flags_of_newer_versions_are_called_so);
    tcase_add_test(all, lengths_of_marks_are_exact);
    tcase_add_test(all, a_mark_with_a_number_that_none_can_have_is_refused);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
