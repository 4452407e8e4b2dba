/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_limits_promises.c -- what is promised of limits, where it was not kept at first.
 */
#include "support/run_suite.h"
#include "unit/meddling_fixture.h"

/* "while so many bytes lie behind the first message that a group has yet to consume" */
START_TEST(a_group_that_goes_back_counts_again)
{
    struct commitlog_group *group = keeping_group();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0};
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert_int_eq(append_1000(0, 0), 0);
    }
    offset.offset = 100;
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, NONE, 0, NULL, &err), 0);
    limit(0, 50000);
    if (_i == 0) { /* 1: nothing was looked at before, as a control */
        ck_assert_int_eq(append_1000(0, 0), 0);
    }
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_FIRST, 0, NONE, &err),
                     0);
    ck_assert_msg(append_1000(0, 0) == COMMITLOG_EFULL,
                  "100,000 bytes are unconsumed, the limit is 50,000");
    commitlog_group_close(group);
}
END_TEST

/* Consume, transform, produce: "so consumers can always go on". */
START_TEST(a_limit_lets_the_consumer_go_on_whose_transaction_consumes)
{
    struct commitlog_group *group = keeping_group();
    limit(0, 20000);
    while (append_1000(0, 0) == 0) {
    }
    struct commitlog_transaction *transaction = begin();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 10};
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    int32_t rc = half(transaction, 1, 1, NONE, NULL);
    ck_assert_msg(rc == 0, "%d: only this transaction can make room", rc);
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
}
END_TEST

/* What is before the reservation can be flushed, and is then little enough. */
START_TEST(a_limit_that_a_flush_satisfies_holds_nobody)
{
    struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    struct commitlog_reservation *reservation = NULL;
    void *body = NULL;
    for (uint32_t i = 0; i < 50; i++) {
        ck_assert_int_eq(append_1000(0, 0), 0);
    }
    ck_assert_int_eq(commitlog_reserve(store, &record, 60000, 0, &reservation, &body, &err), 0);
    limit(100000, 0);
    int32_t rc = append_1000(50, 0);
    const struct commitlog_positions at = store_positions();
    ck_assert_msg(rc == 0, "%d with %llu bytes unflushed of 100,000: %s", rc,
                  (unsigned long long)(at.claimed - at.durable), err.message);
    ck_assert_int_eq(commitlog_abort(reservation), 0);
}
END_TEST

/* EFULL says that nothing is stored; of a repeat all is. */
START_TEST(a_repeat_is_not_held_back)
{
    ck_assert_int_eq(append_1000(0, 1), 0);
    limit(500, 0);
    ck_assert_int_eq(append_1000(0, 1), 0);
}
END_TEST

static void meddle_fail(void)
{
    (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 1, EIO, 1);
    ck_assert_int_lt(commitlog_sync(store, UINT64_MAX, 0, NULL), 0);
}

/* Nobody can consume on a store that has failed: with FOREVER this wait would never end. */
START_TEST(who_waits_for_consumers_hears_of_a_failed_store)
{
    meddling_open();
    struct commitlog_group *group = keeping_group();
    limit(0, 20000);
    while (append_1000(0, 0) == 0) {
    }
    meddle = meddle_fail;
    int32_t rc = append_1000(1000, 0);
    ck_assert(meddle == NULL);
    ck_assert_int_eq(commitlog_failure(store, &err), COMMITLOG_EFAILED);
    commitlog_group_close(group);
    ck_assert_int_eq(rc, COMMITLOG_EFAILED);
}
END_TEST

/* What was known to be consumed is no bound for a group that begins a queue lower. */
START_TEST(a_queue_that_is_begun_behind_others_counts_at_once)
{
    struct commitlog_group *group = keeping_group();
    const struct commitlog_group_offset begins = {.topic = topic, .queue = 1, .offset = 0};
    struct commitlog_group_offset ends = {.topic = topic, .queue = 0, .offset = 0};
    limit(0, 20000);
    for (uint32_t i = 0; i < 24; i++) { /* nobody's: 20,000 bytes go by */
        ck_assert_int_eq(commitlog_append(store, topic, 1, filling, 1000, NONE, NULL), 0);
    }
    ck_assert_int_eq(append_1000(0, 0), 0);
    ends.offset = 1;
    ck_assert_int_eq(commitlog_group_commit(group, 0, &ends, 1, NONE, 0, NULL, &err), 0);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &begins, 1, NONE, 0, NULL, &err), 0);
    ck_assert_int_eq(append_1000(0, 0), COMMITLOG_EFULL);
    commitlog_group_close(group);
}
END_TEST

static void meddle_no_limit(void)
{
    limit(0, 0);
}

/* "can be changed at any time": who waits forever hears of it, too. */
START_TEST(a_limit_that_is_taken_away_holds_nobody)
{
    meddling_open();
    struct commitlog_group *group = keeping_group();
    limit(0, 20000);
    while (append_1000(0, 0) == 0) {
    }
    meddle = meddle_no_limit;
    int32_t rc = append_1000(1000, 0);
    ck_assert(meddle == NULL);
    commitlog_group_close(group);
    ck_assert_msg(rc == 0, "%d %s", rc, err.message);
}
END_TEST

static struct commitlog_group *meddled_group;

static void meddle_consume(void)
{
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = queue_end(0)};
    struct commitlog_error own;
    pass_ms(200);
    ck_assert_int_eq(commitlog_group_commit(meddled_group, 0, &offset, 1, NONE, 0, NULL, &own), 0);
}

/* The time of a prepared one begins with its first message, not when it was asked for. */
START_TEST(the_time_of_one_that_waited_for_a_limit_begins_when_it_is_stored)
{
    meddling_open();
    meddled_group = keeping_group();
    struct commitlog_transaction *transaction =
        begin_with(COMMITLOG_TRANSACTION_PREPARED, 10000, 100);
    limit(0, 20000);
    while (append_1000(0, 0) == 0) {
    }
    const struct commitlog_slice body = {filling, 10};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .queue = 1,
                                            .level = NONE,
                                            .body = &body,
                                            .body_count = 1};
    struct commitlog_receipt receipt;
    meddle = _i == 0 ? meddle_consume : NULL;
    if (_i == 1) { /* it does not wait, as a control */
        meddle_consume();
    }
    ck_assert_msg(commitlog_transaction_append(transaction, &record, 1000, &receipt, &err) == 0,
                  "%s", err.message);
    ck_assert(meddle == NULL);
    ck_assert_uint_eq(open_count(&info), 1);
    commitlog_transaction_close(transaction);
    commitlog_group_close(meddled_group);
    ck_assert_msg(info.expires_at_ms >= info.begin_ms + 100, "it ends %lld ms after it began",
                  (long long)(info.expires_at_ms - info.begin_ms));
}
END_TEST

static void wide_setup(void)
{
    setup();
    segment_bytes = 1 << 20;
    stage_bytes = 1 << 20;
    open_store();
}

int main(void)
{
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    Suite *suite = suite_create("limits, promises");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, wide_setup, teardown);
    tcase_set_timeout(cases, 30);
    tcase_add_loop_test(cases, a_group_that_goes_back_counts_again, 0, 2);
    tcase_add_test(cases, a_queue_that_is_begun_behind_others_counts_at_once);
    tcase_add_test(cases, a_limit_lets_the_consumer_go_on_whose_transaction_consumes);
    tcase_add_test(cases, a_limit_that_a_flush_satisfies_holds_nobody);
    tcase_add_test(cases, a_repeat_is_not_held_back);
    tcase_add_test(cases, a_limit_that_is_taken_away_holds_nobody);
    tcase_add_loop_test(cases, the_time_of_one_that_waited_for_a_limit_begins_when_it_is_stored, 0,
                        2);
    tcase_add_test(cases, who_waits_for_consumers_hears_of_a_failed_store);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
