/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_retain_unsealed.c -- a full segment without a footer goes like any other: one in which a
 * header does not verify when it is to be sealed, and those of a writer that died with more of them
 * than the next one takes on. Else retention would free nothing any more, without a word.
 */
#include "support/run_suite.h"
#include "unit/timer_fixture.h"

enum { SECOND_MS = 1000, OLD_MS = 60 * SECOND_MS };

static uint64_t drop(const struct commitlog_retention *policy)
{
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    ck_assert_msg(commitlog_retain(store, policy, &retained, &err) == 0, "%s", err.message);
    ck_assert_uint_eq(retained.bytes_dropped, retained.segments_dropped * segment_bytes);
    return retained.segments_dropped;
}

/* All but the active one. */
static uint64_t drop_all(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    return drop(&policy);
}

static void check_only_active(void)
{
    const struct commitlog_positions at = store_positions();
    ck_assert_uint_eq(at.first - at.first % segment_bytes, at.claimed - at.claimed % segment_bytes);
    restart(false);
    fill_segments(2, true);
    ck_assert_uint_eq(drop_all(), 2);
}

/* The tally of the segment that was active at the opening is not known: its headers are read when
 * it is full. _i: 0 one has rotted, 1 it does not read just then. */
START_TEST(one_whose_header_does_not_verify_goes)
{
    const char *path = "/store/log/00000000000000000000.log";
    struct commitlog_receipt receipt = {0};
    open_store();
    ck_assert_int_eq(commitlog_append(store, topic, 0, "a", 1, COMMITLOG_LEVEL_NONE, &receipt), 0);
    restart(false);
    if (_i == 0) {
        ck_assert_int_eq(commitlog_fault_flip(machine, path, receipt.position + 17, 1), 0);
    } else {
        ck_assert_int_eq(commitlog_fault_bad_range(machine, path, receipt.position, 48), 0);
    }
    fill_segments(5, true);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, path, 0, 0), 0);
    ck_assert_uint_eq(drop_all(), 5);
    check_only_active();
}
END_TEST

/* How old it is, the segment behind it says: the first of its records is younger. */
START_TEST(its_age_is_that_of_what_follows)
{
    const char *path = "/store/log/00000000000000000000.log";
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_age_ms = OLD_MS};
    struct commitlog_receipt receipt = {0};
    open_store();
    ck_assert_int_eq(commitlog_append(store, topic, 0, "a", 1, COMMITLOG_LEVEL_NONE, &receipt), 0);
    restart(false);
    ck_assert_int_eq(commitlog_fault_flip(machine, path, receipt.position + 17, 1), 0);
    pass_ms(OLD_MS);
    fill_segments(3, true);
    pass_ms(OLD_MS - SECOND_MS);
    ck_assert_uint_eq(drop(&policy), 0);
    pass_ms(2 * SECOND_MS);
    ck_assert_uint_eq(drop(&policy), 3);
    check_only_active();
}
END_TEST

/* A later version may give it a meaning: this one does not pass over it. */
START_TEST(a_policy_of_a_later_version_is_refused)
{
    const struct commitlog_retention policy = {
        .struct_bytes = sizeof(policy), .reserved = 1, .keep_bytes = 1};
    open_store();
    fill_segments(3, true);
    ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), COMMITLOG_EINVAL);
}
END_TEST

START_TEST(more_than_are_sealed_at_an_opening_go)
{
    enum { MANY = 40 };
    open_store();
    fill_segments(MANY, false);
    die(false);
    open_store();
    ck_assert_uint_eq(drop_all(), MANY);
    check_only_active();
}
END_TEST

/* What is not durable yet does not go: its footer is not missing, it is not due. */
START_TEST(what_is_not_durable_stays)
{
    open_store();
    fill_segments(3, false);
    const struct commitlog_positions at = store_positions();
    ck_assert_uint_lt(at.durable, segment_bytes);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 1, EIO, 1), 0);
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    ck_assert_int_ne(commitlog_retain(store, &policy, &retained, &err), 0);
    ck_assert_uint_eq(retained.segments_dropped, 0);
    ck_assert_uint_eq(store_positions().first, at.first);
    die(false);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("retain unsealed");
    Suite *suite = suite_create("retain unsealed");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, one_whose_header_does_not_verify_goes, 0, 2);
    tcase_add_test(tcase, its_age_is_that_of_what_follows);
    tcase_add_test(tcase, a_policy_of_a_later_version_is_refused);
    tcase_add_test(tcase, more_than_are_sealed_at_an_opening_go);
    tcase_add_test(tcase, what_is_not_durable_stays);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
