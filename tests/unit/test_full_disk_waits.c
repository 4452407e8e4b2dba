/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_full_disk_waits.c -- a full disk and an oldest segment full of messages that wait, for their
 * time or for the end of their transaction: they are stored again before it goes, in more bytes
 * than it has, and room for that is kept; where there is none, nothing of it is used up in vain.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum {
    SEGMENT = 128 << 10,
    SMALL_SEGMENT = 64 << 10,
    DISK = 5 * SEGMENT + 100000,
    HOUR_MS = 3600000,
    PRODUCERS = 10,
    PREPARED = 2000
};

static char filling[1000];
static uint32_t since_steps;
static uint64_t sequences[PRODUCERS];

static void waits_setup_with(uint64_t bytes, uint64_t disk_bytes)
{
    setup();
    segment_bytes = bytes;
    stage_bytes = SMALL_SEGMENT;
    memset(sequences, 0, sizeof(sequences));
    open_store();
    commitlog_fault_set_free(machine, disk_bytes);
}

static void waits_setup(void)
{
    waits_setup_with(SEGMENT, DISK);
}

static void small_setup(void)
{
    waits_setup_with(SMALL_SEGMENT, 5 * SMALL_SEGMENT + 40000);
}

/* Upkeep comes by now and then. */
static void step_some(void)
{
    if (++since_steps % 16 == 0) {
        step_all();
    }
}

/* producers 0: of none. */
static void put_delayed(uint32_t number, uint32_t producers)
{
    const struct commitlog_slice body = {filling, 200};
    const uint32_t producer = producers > 0 ? number % producers : 0;
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .queue = 1,
                                            .body = &body,
                                            .body_count = 1,
                                            .deliver_at_ms = now_ms() + HOUR_MS,
                                            .producer_id = producers > 0 ? 1 + producer : 0,
                                            .producer_epoch = producers > 0 ? 1 : 0,
                                            .sequence = producers > 0 ? ++sequences[producer] : 0};
    ck_assert_msg(commitlog_append_record(store, &record, 0, NULL, &err) == 0, "%s", err.message);
    step_some();
}

static uint32_t fill_segment_with_delayed(uint32_t producers)
{
    uint32_t count = 0;
    for (; store_positions().claimed < segment_bytes + 12000; count++) {
        put_delayed(count, producers);
    }
    return count;
}

static struct commitlog_retained retain(uint64_t keep_bytes, int32_t expected)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = keep_bytes};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    int32_t rc = commitlog_retain(store, &policy, &retained, &err);
    ck_assert_msg(rc == expected, "%s: %s", commitlog_error_name(rc), err.message);
    return retained;
}

static void pass_hours(uint32_t hours)
{
    for (uint32_t i = 0; i < 6 * hours; i++) {
        pass_ms(HOUR_MS / 6);
        step_all();
    }
}

static void check_goes_on(void)
{
    ck_assert_int_eq(commitlog_append(store, topic, 0, filling, sizeof(filling), 0, NULL), 0);
}

/* What producers have said is stored again first. _i: so many. */
START_TEST(delayed_messages_that_fill_a_segment_move)
{
    const uint32_t count = fill_segment_with_delayed((uint32_t)_i);
    fill_disk(step_some);
    const struct commitlog_retained retained = retain(2 * SEGMENT, COMMITLOG_OK);
    ck_assert_uint_ge(retained.segments_dropped, 1);
    ck_assert_uint_gt(retained.bytes_carried, SEGMENT - 20000);
    check_goes_on();
    pass_hours(2);
    ck_assert_uint_eq(queue_end(1), count);
    restart(false);
    ck_assert_uint_eq(queue_end(1), count);
}
END_TEST

/* Of a quarter of the bytes: what waits in one of the large segments takes several of them. */
START_TEST(delayed_messages_move_to_smaller_segments)
{
    enum { COUNT = 400 };
    for (uint32_t i = 0; i < COUNT; i++) {
        put_delayed(i, 0);
    }
    while (store_positions().claimed < SEGMENT + 20000) {
        check_goes_on();
        step_all();
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    segment_bytes = SMALL_SEGMENT;
    open_store();
    fill_disk(step_some);
    const struct commitlog_retained retained = retain(1, COMMITLOG_OK);
    ck_assert_uint_ge(retained.segments_dropped, 1);
    ck_assert_uint_gt(retained.bytes_carried, SMALL_SEGMENT);
    check_goes_on();
    pass_hours(2);
    ck_assert_uint_eq(queue_end(1), COUNT);
}
END_TEST

/* Whose id is the result. */
static uint64_t prepare(uint32_t messages, size_t bytes)
{
    const struct commitlog_slice body = {filling, bytes};
    const struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .queue = 1, .body = &body, .body_count = 1};
    struct commitlog_transaction *transaction = begin();
    for (uint32_t i = 0; i < messages; i++) {
        ck_assert_msg(commitlog_transaction_append(transaction, &record, 0, NULL, &err) == 0, "%s",
                      err.message);
    }
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, COMMITLOG_LEVEL_NONE, 0, &err), 0);
    const uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    step_some();
    return id;
}

static uint32_t fill_segment_with_prepared(uint32_t messages, uint64_t *ids)
{
    uint32_t count = 0;
    while (store_positions().claimed < SEGMENT - 12000) {
        ck_assert_uint_lt(count, PREPARED);
        ids[count++] = prepare(messages, 20);
    }
    return count;
}

static int32_t end_prepared(uint64_t id, bool commits)
{
    struct commitlog_transaction *transaction = NULL;
    ck_assert_int_eq(commitlog_transaction_open(store, id, &transaction, &err), 0);
    int32_t rc =
        commits ? commit(transaction, COMMITLOG_LEVEL_DURABLE, NULL) : roll_back(transaction);
    commitlog_transaction_close(transaction);
    return rc;
}

/* With what is said of each transaction they grow. _i: messages in each. */
START_TEST(prepared_transactions_that_fill_a_segment_move)
{
    static uint64_t ids[PREPARED];
    struct commitlog_transaction_info info;
    const uint32_t count = fill_segment_with_prepared((uint32_t)_i, ids);
    fill_disk(step_some);
    ck_assert_uint_ge(retain(2 * SEGMENT, COMMITLOG_OK).segments_dropped, 1);
    check_goes_on();
    ck_assert_uint_eq(open_count(&info), count);
    ck_assert_int_eq(end_prepared(ids[count - 1], true), 0);
    ck_assert_uint_eq(queue_end(1), (uint32_t)_i);
    ck_assert_uint_eq(open_count(&info), count - 1);
}
END_TEST

/* So much waits that retention stops: the commits that it waits for find room, without offsets,
 * too, or else it can go on by then. */
START_TEST(what_is_prepared_can_be_committed)
{
    enum { COUNT = 30, EACH = 5 };
    uint64_t ids[COUNT];
    uint32_t refused = 0;
    for (uint32_t i = 0; i < COUNT; i++) {
        ids[i] = prepare(EACH, sizeof(filling));
    }
    fill_disk(step_some);
    (void)retain(1, COMMITLOG_EBUSY);
    for (uint32_t i = 0; i < COUNT; i++) {
        if (end_prepared(ids[i], true) != 0) {
            ck_assert_uint_gt(i, 5);
            refused++;
            ck_assert_uint_ge(retain(1, COMMITLOG_OK).segments_dropped, 1);
            ck_assert_msg(end_prepared(ids[i], true) == 0, "%u: %s", i, err.message);
        }
    }
    ck_assert_uint_le(refused, 2);
    ck_assert_uint_eq(queue_end(1), COUNT * EACH);
    ck_assert_uint_ge(retain(1, COMMITLOG_OK).segments_dropped, 1);
    check_goes_on();
}
END_TEST

/* Others have taken the room: retention says so before it has stored anything again, and what waits
 * is ended in what is left. */
START_TEST(retention_that_cannot_end_does_not_begin)
{
    static uint64_t ids[PREPARED];
    const uint32_t count = fill_segment_with_prepared(1, ids);
    while (store_positions().claimed < 3 * SEGMENT - 8192) {
        check_goes_on();
        step_all();
    }
    commitlog_fault_set_free(machine, 0);
    for (uint32_t i = 0; i < 3; i++) {
        const uint64_t claimed = store_positions().claimed;
        const struct commitlog_retained retained = retain(2 * SEGMENT, COMMITLOG_ENOSPC);
        ck_assert_msg(strstr(err.message, "would be stored again") != NULL, "%s", err.message);
        ck_assert_uint_eq(retained.bytes_carried, 0);
        ck_assert_uint_eq(store_positions().claimed, claimed);
    }
    ck_assert_int_eq(commitlog_append(store, topic, 0, filling, 1, 0, NULL), COMMITLOG_ENOSPC);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_msg(end_prepared(ids[i], i % 4 == 0) == 0, "%u: %s", i, err.message);
    }
    ck_assert_uint_eq(queue_end(1), (count + 3) / 4);
    ck_assert_uint_ge(retain(2 * SEGMENT, COMMITLOG_OK).segments_dropped, 1);
    check_goes_on();
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("full disk waits");
    Suite *suite = suite_create("full disk waits");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, waits_setup, teardown);
    tcase_add_loop_test(tcase, delayed_messages_that_fill_a_segment_move, 0, 1);
    tcase_add_loop_test(tcase, delayed_messages_that_fill_a_segment_move, PRODUCERS, PRODUCERS + 1);
    tcase_add_test(tcase, delayed_messages_move_to_smaller_segments);
    tcase_add_loop_test(tcase, prepared_transactions_that_fill_a_segment_move, 1, 2);
    tcase_add_loop_test(tcase, prepared_transactions_that_fill_a_segment_move, 10, 11);
    tcase_add_test(tcase, retention_that_cannot_end_does_not_begin);
    suite_add_tcase(suite, tcase);
    TCase *small = tcase_create("small segments");
    tcase_add_checked_fixture(small, small_setup, teardown);
    tcase_add_test(small, what_is_prepared_can_be_committed);
    suite_add_tcase(suite, small);
    return run_suite(suite);
}
