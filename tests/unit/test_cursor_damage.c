/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_cursor_damage.c -- cursors beside damage: whose it is, how often it is said and where, and
 * that what is sound before and behind it is found.
 */
#include "support/run_suite.h"
#include "unit/damage_fixture.h"

enum { A, B, TOPICS };

static const char log_path[] = "/store/log/00000000000000000000.log";
static const uint64_t salvage[][2] = {{COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_SALVAGE}};
static uint32_t topics[TOPICS];

static void open_topics(void)
{
    ck_assert_int_eq(commitlog_topic_open(store, "a", 1, 2, &topics[A], &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "b", 1, 2, &topics[B], &err), 0);
}

static void damage_setup(void)
{
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    open_topics();
}

static void reopen_with(const uint64_t (*values)[2], size_t count)
{
    close_store();
    ck_assert_msg(store_open_by(values, count) == 0, "%s", err.message);
    open_topics();
}

static struct commitlog_cursor *open_cursor(uint32_t number, uint32_t queue, uint32_t from,
                                            uint64_t value)
{
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(commitlog_cursor_open(store, number, queue, from, value, &cursor, &err), 0);
    return cursor;
}

/* So that it is known to the store. */
static void find_damage(uint32_t number, uint32_t queue)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    const struct told told = read_all(open_cursor(number, queue, COMMITLOG_FROM_FIRST, 0), true);
    ck_assert_uint_eq(told.damages, 1);
    ck_assert_int_eq(commitlog_damage_get(store, 0, &damage), 0);
}

/* Between its messages lies one of another topic. */
START_TEST(damage_of_another_topic_is_none_of_all_queues)
{
    (void)put_one(topics[A], 0, SMALL);
    const struct commitlog_receipt spoiled = put_one(topics[B], 1, SMALL);
    (void)put_one(topics[A], 1, SMALL);
    spoil(&spoiled, false);
    find_damage(topics[B], 1);
    const struct told told =
        read_all(open_cursor(topics[A], COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0), true);
    ck_assert_uint_eq(told.damages, 0);
    ck_assert_uint_eq(told.messages, 2);
}
END_TEST

START_TEST(damage_of_its_own_is_said_once_by_all_queues)
{
    (void)put_one(topics[A], 0, SMALL);
    const struct commitlog_receipt spoiled = put_one(topics[A], 1, SMALL);
    (void)put_one(topics[A], 0, SMALL);
    spoil(&spoiled, false);
    if (_i == 1) {
        find_damage(topics[A], 1);
    }
    const struct told told =
        read_all(open_cursor(topics[A], COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0), true);
    ck_assert_uint_eq(told.damages, 1);
    ck_assert_uint_eq(told.bound, spoiled.position);
    ck_assert_uint_eq(told.messages, 2);
}
END_TEST

/* A reader whose opening found nothing. */
START_TEST(damage_of_another_topic_is_none_of_a_query_by_key)
{
    (void)put_keyed(topics[A]);
    const struct commitlog_receipt spoiled = put_one(topics[B], 0, SMALL);
    (void)put_keyed(topics[A]);
    reopen_with(read_only, 1);
    spoil(&spoiled, false);
    find_damage(topics[B], 0);
    const struct told told = read_all(open_by_key(topics[A]), false);
    ck_assert_uint_eq(told.damages, 0);
    ck_assert_uint_eq(told.messages, 2);
}
END_TEST

/* Its header, so that an opening cannot tell whose it was. */
static void lose(const struct commitlog_receipt *receipt)
{
    static const uint8_t zeros[48];
    ck_assert_int_eq(
        commitlog_fault_write(machine, log_path, receipt->position, zeros, sizeof(zeros)), 0);
}

/* Whose it is commitlog_get does not know. */
static void get_spoiled(const struct commitlog_receipt *receipt)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    spoil(receipt, false);
    ck_assert_int_eq(commitlog_get(store, receipt->position, &message, &lease, NULL),
                     COMMITLOG_EDAMAGED);
}

/* The opening has found other damage, between its messages, or none. */
START_TEST(damage_behind_its_last_message_that_was_read_is_none_of_a_queue)
{
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    (void)put_one(topics[A], 0, SMALL);
    const struct commitlog_receipt between = put_one(topics[A], 1, SMALL);
    (void)put_one(topics[A], 0, SMALL);
    const struct commitlog_receipt spoiled = put_one(topics[A], 1, SMALL);
    (void)put_one(topics[A], 1, SMALL);
    if (_i == 1) {
        lose(&between);
    }
    reopen_with(read_only, 1);
    ck_assert_int_eq(commitlog_damage_get(store, 0, &damage),
                     _i == 1 ? COMMITLOG_OK : COMMITLOG_ENOTFOUND);
    get_spoiled(&spoiled);
    const struct told told = read_all(open_cursor(topics[A], 0, COMMITLOG_FROM_FIRST, 0), true);
    ck_assert_uint_eq(told.damages, 0);
    ck_assert_uint_eq(told.messages, 2);
}
END_TEST

/* In each segment there is one of queue 1 in front of it, and retention took others. */
START_TEST(damage_before_its_first_message_that_was_read_is_none_of_a_queue)
{
    enum { PAIRS = 12 };
    struct commitlog_receipt receipts[PAIRS];
    struct commitlog_retained retained;
    uint32_t at = 0;
    for (uint32_t i = 0; i < PAIRS; i++) {
        receipts[i] = put_one(topics[A], 1, LARGE);
        (void)put_one(topics[A], 0, SMALL);
    }
    ck_assert_msg(retain(2 * segment_bytes, &retained) == 0, "%s", err.message);
    while (receipts[at].position < retained.first) {
        at++;
    }
    ck_assert_uint_gt(at, 0);
    reopen_with(read_only, 1);
    get_spoiled(&receipts[at]);
    const struct told told = read_all(open_cursor(topics[A], 0, COMMITLOG_FROM_FIRST, 0), true);
    ck_assert_uint_eq(told.damages, 0);
    ck_assert_uint_eq(told.messages, PAIRS - at);
}
END_TEST

/* In queue 0 the log lost messages of that time, and queue 1 has a later one. */
START_TEST(all_queues_from_a_time_begin_behind_what_was_lost)
{
    static uint8_t garbage[65536];
    struct commitlog_receipt receipts[5];
    struct commitlog_message message;
    uint32_t count = 0;
    int64_t time_ns = 0;
    memset(garbage, 0xab, sizeof(garbage));
    for (uint32_t i = 0; i < 5; i++) {
        time_ns = i == 1 ? now_ms() * MS : time_ns;
        receipts[i] = put_one(topics[A], 0, SMALL);
        pass_ms(10);
    }
    (void)put_one(topics[A], 1, SMALL);
    (void)put_one(topics[A], 0, SMALL);
    close_store();
    ck_assert_int_eq(commitlog_fault_write(machine, log_path, receipts[1].position, garbage,
                                           receipts[4].position - receipts[1].position),
                     0);
    ck_assert_msg(store_open_by(salvage, 1) == 0, "%s", err.message);
    open_topics();
    struct commitlog_cursor *cursor =
        open_cursor(topics[A], COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_TIME, (uint64_t)time_ns);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_uint_eq(message.position, receipts[4].position);
    ck_assert_uint_eq(read_all(cursor, true).messages, 2);
}
END_TEST

/* Of the second segment no record reads, nor when they were stored. */
START_TEST(a_query_by_key_goes_on_before_a_segment_without_records)
{
    static uint8_t garbage[65536 - CLG_SEGMENT_DATA_START];
    uint32_t elsewhere = 0;
    memset(garbage, 0xab, sizeof(garbage));
    for (uint32_t i = 0; i < KEYED; i++) {
        elsewhere += put_keyed(topics[A]).position / segment_bytes != 1;
        (void)put_one(topics[A], 0, LARGE);
    }
    ck_assert_uint_lt(elsewhere, KEYED);
    close_store();
    forget_views();
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/log/00000000000000065536.log",
                                           CLG_SEGMENT_DATA_START, garbage, sizeof(garbage)),
                     0);
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    open_topics();
    const struct told told = read_all(open_by_key(topics[A]), false);
    ck_assert_uint_eq(told.messages, elsewhere);
    ck_assert_uint_eq(told.damages, 1);
}
END_TEST

static void log_stops_at(struct commitlog_cursor *cursor, int32_t code, uint64_t position)
{
    struct commitlog_message message;
    uint32_t count = 0;
    uint64_t bound = 0;
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound), code);
    ck_assert_uint_eq(bound, position);
    ck_assert_uint_eq(commitlog_cursor_tell(cursor), position);
}

/* Of a later version, say. */
START_TEST(the_log_says_where_a_record_is_that_it_does_not_know)
{
    const uint8_t unknown[] = {CLG_ATTRIBUTE_CRITICAL | 60, 1, 0, 7};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    const uint64_t first = put_one(topics[A], 0, SMALL).position;
    const uint64_t position = append_raw(CLG_KIND_MESSAGE, 0, unknown, sizeof(unknown), "raw", 3);
    (void)put_one(topics[A], 0, SMALL);
    ck_assert_int_eq(commitlog_cursor_open_log(store, first, &cursor, &err), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    log_stops_at(cursor, COMMITLOG_EUNSUPPORTED, position);
    log_stops_at(cursor, COMMITLOG_EUNSUPPORTED, position);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(the_log_says_where_it_had_no_memory)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    (void)put_one(topics[A], 0, SMALL);
    ck_assert_int_eq(commitlog_cursor_open_log(store, 0, &cursor, &err), 0);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_MAP, 1, ENOMEM, 1), 0);
    log_stops_at(cursor, COMMITLOG_ENOMEM, store_positions().first);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_MAP, 0, 0, 0), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_uint_eq(message.position, store_positions().first);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Queue 0 of the one topic has three messages; behind them lies damage. Open read-only. */
static void damage_at_the_end(void)
{
    for (uint32_t i = 0; i < 3; i++) {
        (void)put_one(topics[A], 0, SMALL);
    }
    const struct commitlog_receipt spoiled = put_one(topics[B], 0, SMALL);
    (void)put_one(topics[B], 0, SMALL);
    lose(&spoiled);
    reopen_with(read_only, 1);
}

/* A cursor has passed that; then a writer salvages and goes on, and the cursor has read so far, or
 * was at the beginning meanwhile. */
START_TEST(a_seek_behind_an_end_that_was_damaged_lands_there)
{
    const uint64_t offsets[] = {4, 3, 5, 6};
    struct commitlog_message message;
    uint32_t count = 0;
    damage_at_the_end();
    struct commitlog_cursor *cursor = open_cursor(topics[A], 0, COMMITLOG_FROM_FIRST, 0);
    struct commitlog_cursor *other = open_cursor(topics[A], 0, COMMITLOG_FROM_END, 0);
    const struct told told = read_on(cursor, true);
    ck_assert(told.messages == 3 && told.damages == 1 && told.bound == 3);
    (void)read_on(other, true);
    struct commitlog_store *reader = store;
    ck_assert_msg(store_open_by(salvage, 1) == 0, "%s", err.message);
    open_topics();
    for (uint32_t i = 0; i < 4; i++) {
        (void)put_one(topics[A], 0, SMALL);
    }
    pass_ms(600); /* the reader looks for the next writer now and then */
    ck_assert_uint_eq(read_all(other, true).messages, 4);
    if (_i == 0) {
        ck_assert_uint_eq(read_on(cursor, true).messages, 4);
    }
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, _i == 0 ? 3 : 0), 0);
    for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, offsets[i]), 0);
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
        ck_assert_uint_eq(message.queue_offset, offsets[i]);
    }
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_close(reader, &err), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cursors beside damage");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, damage_setup, teardown);
    tcase_add_test(cases, damage_of_another_topic_is_none_of_all_queues);
    tcase_add_loop_test(cases, damage_of_its_own_is_said_once_by_all_queues, 0, 2);
    tcase_add_test(cases, damage_of_another_topic_is_none_of_a_query_by_key);
    tcase_add_loop_test(cases, damage_behind_its_last_message_that_was_read_is_none_of_a_queue, 0,
                        2);
    tcase_add_test(cases, damage_before_its_first_message_that_was_read_is_none_of_a_queue);
    tcase_add_test(cases, all_queues_from_a_time_begin_behind_what_was_lost);
    tcase_add_test(cases, a_query_by_key_goes_on_before_a_segment_without_records);
    tcase_add_test(cases, the_log_says_where_a_record_is_that_it_does_not_know);
    tcase_add_test(cases, the_log_says_where_it_had_no_memory);
    tcase_add_loop_test(cases, a_seek_behind_an_end_that_was_damaged_lands_there, 0, 2);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
