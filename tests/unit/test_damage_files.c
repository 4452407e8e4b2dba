/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_damage_files.c -- files of the log that have lost their header, their end or themselves.
 */
#include <stdio.h>

#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { SEGMENTS = 3, RECORD = 64, PER_SEGMENT = 65536 / RECORD };

static void file_name(char name[64], uint32_t segment)
{
    (void)snprintf(name, 64, "/store/log/%020u.log", segment * 65536);
}

static struct commitlog_report *recover(uint64_t recovery, int32_t expected)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_RECOVERY, recovery, NULL), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_int_eq(commitlog_recover("/store", options, 0, &report, &err), expected);
    commitlog_options_free(options);
    return report;
}

/* Salvage makes a lost or short file first, and judges what is in it in a round of its own. */
START_TEST(damage_that_two_rounds_of_salvage_find_is_told_once)
{
    char name[64];
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(SEGMENTS * PER_SEGMENT, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    file_name(name, 1);
    ck_assert_int_eq(_i == 0 ? commitlog_fault_remove(machine, name)
                             : commitlog_fault_resize(machine, name, 30000),
                     0);
    struct commitlog_report *report = recover(COMMITLOG_RECOVER_SALVAGE, 0);
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    uint32_t count = 0;
    uint64_t end = 0;
    ck_assert_int_eq(commitlog_report_recovery(report, &recovery), 0);
    for (uint32_t i = 0; commitlog_report_damage(report, i, &damage) == 0; i++) {
        ck_assert_uint_ge(damage.from_position, end);
        end = damage.to_position;
        count += end != UINT64_MAX; /* or what the queue has lost, by offsets */
    }
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(recovery.damaged_ranges, count);
    commitlog_report_free(report);
}
END_TEST

/* The device lost both pages of the newest file's header, which a writer had been using. */
START_TEST(a_last_file_with_records_and_no_header_is_no_failed_creation)
{
    static const uint8_t zeros[8192];
    char name[64];
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(PER_SEGMENT + 100, COMMITLOG_LEVEL_DURABLE);
    const uint64_t end = store_positions().durable;
    ck_assert_uint_gt(end, 65536 + 8192);
    die(true);
    file_name(name, 1);
    ck_assert_int_eq(commitlog_fault_write(machine, name, 0, zeros, sizeof(zeros)), 0);
    commitlog_report_free(recover(COMMITLOG_RECOVER_TAIL, COMMITLOG_EDAMAGED));
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    commitlog_report_free(recover(COMMITLOG_RECOVER_SALVAGE, 0));
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_gt(store_count(), PER_SEGMENT - 200);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damaged files");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, damage_that_two_rounds_of_salvage_find_is_told_once, 0, 2);
    tcase_add_test(cases, a_last_file_with_records_and_no_header_is_no_failed_creation);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
