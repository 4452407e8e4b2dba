/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_damage_read.c -- the newest messages of a queue are damaged, and no record of it lies behind
 * them: a reader does not take the last sound one for the end without a word.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum { WHOLE = 6, SPOILED = 4, OTHERS = 5, BODY = 3000, HEADER = 48 };

/* Queue 0: WHOLE sound messages and SPOILED without a header; queue 1: OTHERS, behind them; queue
 * 2: none. Open read-only. */
static void spoiled_setup(void)
{
    static const uint8_t body[BODY];
    static const uint8_t zeros[HEADER];
    const uint64_t read_only[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    struct commitlog_receipt receipts[WHOLE + SPOILED];
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 3, &topic, &err), 0);
    for (uint32_t i = 0; i < WHOLE + SPOILED + OTHERS; i++) {
        const bool first = i < WHOLE + SPOILED;
        ck_assert_int_eq(commitlog_append(store, topic, first ? 0 : 1, body, BODY,
                                          COMMITLOG_LEVEL_DURABLE, first ? &receipts[i] : NULL),
                         0);
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    for (uint32_t i = WHOLE; i < WHOLE + SPOILED; i++) {
        ck_assert_int_eq(commitlog_fault_write(machine, "/store/log/00000000000000000000.log",
                                               receipts[i].position, zeros, HEADER),
                         0);
    }
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
}

static struct commitlog_cursor *open_cursor(uint32_t queue, uint32_t from, uint64_t value)
{
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(commitlog_cursor_open(store, topic, queue, from, value, &cursor, &err), 0);
    return cursor;
}

/* Fetches until something else is answered. */
static int32_t read_on(struct commitlog_cursor *cursor, uint32_t *out_count, uint64_t *out_bound)
{
    struct commitlog_message messages[4];
    uint32_t count = 0;
    int32_t rc;
    *out_count = 0;
    while ((rc = commitlog_cursor_fetch(cursor, messages, 4, 0, &count, out_bound)) == 0) {
        *out_count += count;
    }
    return rc;
}

START_TEST(damage_behind_the_last_message_is_said_once)
{
    struct commitlog_cursor *cursor = open_cursor(0, COMMITLOG_FROM_FIRST, 0);
    uint32_t count = 0;
    uint64_t bound = 0;
    ck_assert_int_eq(read_on(cursor, &count, &bound), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(count, WHOLE);
    ck_assert_uint_eq(bound, WHOLE);
    if (_i == 0) { /* as the manual says; or just again */
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
    }
    ck_assert_int_eq(read_on(cursor, &count, &bound), COMMITLOG_EEND);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_FIRST, 0), 0);
    ck_assert_int_eq(read_on(cursor, &count, &bound), COMMITLOG_EEND);
    ck_assert_uint_eq(count, WHOLE);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Nobody knows that it is none of theirs, where nothing lies behind it. */
START_TEST(a_queue_without_messages_may_have_lost_them)
{
    struct commitlog_cursor *cursor = open_cursor(2, COMMITLOG_FROM_END, 0);
    uint32_t count = 0;
    uint64_t bound = 1;
    ck_assert_int_eq(read_on(cursor, &count, &bound), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(bound, 0);
    ck_assert_int_eq(read_on(cursor, &count, &bound), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}
END_TEST

/* The second file, which is the last, is gone. */
static void cut_setup(void)
{
    const uint64_t read_only[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    static const uint8_t body[BODY];
    struct commitlog_receipt receipt = {.position = 0};
    char path[64];
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    while (receipt.position < segment_bytes) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, body, BODY, COMMITLOG_LEVEL_DURABLE, &receipt), 0);
        step_all();
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    (void)snprintf(path, sizeof(path), "/store/log/%020u.log", (unsigned)segment_bytes);
    ck_assert_int_eq(commitlog_fault_remove(machine, path), 0);
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
}

START_TEST(an_end_that_was_cut_is_said_once_in_log_order)
{
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    uint64_t bound = 0;
    if (_i % 2 == 0) {
        ck_assert_int_eq(commitlog_cursor_open_log(store, 0, &cursor, &err), 0);
    } else {
        cursor = open_cursor(COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0);
    }
    ck_assert_int_eq(read_on(cursor, &count, &bound), COMMITLOG_EDAMAGED);
    ck_assert_uint_ge(count, segment_bytes / BODY / 2);
    if (_i / 2 == 0) { /* as the manual says; or just again */
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 8), 0);
    }
    ck_assert_int_eq(read_on(cursor, &count, &bound), COMMITLOG_EEND);
    ck_assert_uint_eq(count, 0);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, UINT64_MAX / 2), 0);
    ck_assert_int_eq(read_on(cursor, &count, &bound), COMMITLOG_EBEYOND);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(a_queue_that_goes_on_behind_it_is_whole)
{
    struct commitlog_cursor *cursor = open_cursor(1, COMMITLOG_FROM_OFFSET, 0);
    uint32_t count = 0;
    uint64_t bound = 0;
    ck_assert_int_eq(read_on(cursor, &count, &bound), COMMITLOG_EEND);
    ck_assert_uint_eq(count, OTHERS);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(a_copy_at_the_end_says_it_each_time)
{
    static uint8_t buffer[2 * BODY];
    struct commitlog_message message;
    uint32_t count = 0;
    uint64_t bound = 0;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(commitlog_read_copy(store, topic, 0, WHOLE, buffer, sizeof(buffer),
                                             &message, 1, &count, &bound),
                         COMMITLOG_EDAMAGED);
        ck_assert_uint_eq(bound, WHOLE);
    }
    ck_assert_int_eq(commitlog_read_copy(store, topic, 0, WHOLE - 1, buffer, sizeof(buffer),
                                         &message, 1, &count, &bound),
                     0);
    ck_assert_int_eq(commitlog_read_copy(store, topic, 1, OTHERS, buffer, sizeof(buffer), &message,
                                         1, &count, &bound),
                     COMMITLOG_EEND);
}
END_TEST

/* All its messages lie behind what is proven durable: it is not the end, and not to be passed. */
START_TEST(an_end_that_is_not_recovered_is_no_damage)
{
    static const uint8_t zeros[HEADER];
    const uint64_t read_only[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    static uint8_t buffer[64];
    struct commitlog_receipt receipts[WHOLE];
    struct commitlog_message message;
    uint32_t count = 0;
    uint64_t bound = 1;
    teardown();
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 2, &topic, &err), 0);
    for (uint32_t i = 0; i < WHOLE; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, &receipts[i]), 0);
    }
    ck_assert_int_eq(commitlog_append(store, topic, 1, "y", 1, COMMITLOG_LEVEL_WRITTEN, NULL), 0);
    die(false);
    (void)commitlog_fault_remove(machine, "/store/LIVE");
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/log/00000000000000000000.log",
                                           receipts[1].position, zeros, HEADER),
                     0);
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(commitlog_read_copy(store, topic, 1, 0, buffer, sizeof(buffer), &message,
                                             1, &count, &bound),
                         COMMITLOG_EUNRECOVERED);
        ck_assert_uint_eq(bound, 0);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reading beside damage");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, spoiled_setup, teardown);
    tcase_add_loop_test(cases, damage_behind_the_last_message_is_said_once, 0, 2);
    tcase_add_test(cases, a_queue_without_messages_may_have_lost_them);
    tcase_add_test(cases, a_queue_that_goes_on_behind_it_is_whole);
    tcase_add_test(cases, a_copy_at_the_end_says_it_each_time);
    tcase_add_test(cases, an_end_that_is_not_recovered_is_no_damage);
    suite_add_tcase(suite, cases);
    TCase *cut = tcase_create("cut");
    tcase_set_timeout(cut, 60);
    tcase_add_checked_fixture(cut, cut_setup, teardown);
    tcase_add_loop_test(cut, an_end_that_was_cut_is_said_once_in_log_order, 0, 4);
    suite_add_tcase(suite, cut);
    return run_suite(suite);
}
