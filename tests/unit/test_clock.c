/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_clock.c -- somebody sets the machine's clock days forward: store time is held back, and what
 * goes by age goes by store time.
 */
#include "unit/transaction_fixture.h"

#define DAY_MS INT64_C(86400000)

static struct commitlog_os table;
static int64_t set_forward_ns;

static int64_t wall_of_the_machine(const struct commitlog_os *os)
{
    return commitlog_fault_os(machine)->clock_wall_ns(os) + set_forward_ns;
}

static void clock_setup(void)
{
    setup();
    table = *commitlog_fault_os(machine);
    table.clock_wall_ns = wall_of_the_machine;
    set_forward_ns = 0;
    ck_assert_int_eq(store_open_with(&table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
}

static void clock_teardown(void)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0); /* before its table goes */
    store = NULL;
    teardown();
}

static void put_segments(uint32_t segments)
{
    static const uint8_t body[1000];
    for (uint64_t i = 0; i < segments * segment_bytes / sizeof(body); i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, body, sizeof(body), COMMITLOG_LEVEL_DURABLE, NULL),
            0);
    }
}

START_TEST(retention_by_age_keeps_what_is_young)
{
    const struct commitlog_retention day = {.struct_bytes = sizeof(day), .keep_age_ms = DAY_MS};
    struct commitlog_retained dropped = {.struct_bytes = sizeof(dropped)};
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    put_segments(4);
    set_forward_ns = 10 * DAY_MS * MS;
    put_segments(1);
    ck_assert_int_eq(commitlog_retain(store, &day, &dropped, &err), 0);
    ck_assert_uint_eq(dropped.segments_dropped, 0);
    ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &info), 0);
    ck_assert_uint_eq(info.first_offset, 0);
    /* A day that passes is one all the same. */
    pass_ms(DAY_MS + 1);
    ck_assert_int_eq(commitlog_retain(store, &day, &dropped, &err), 0);
    ck_assert_uint_ge(dropped.segments_dropped, 4);
}
END_TEST

static int32_t produce(uint64_t sequence)
{
    const struct commitlog_slice body = {&sequence, sizeof(sequence)};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .body = &body,
                                            .body_count = 1,
                                            .producer_id = 7,
                                            .producer_epoch = 1,
                                            .sequence = sequence};
    return commitlog_append_record(store, &record, 0, NULL, &err);
}

/* producer_expire_ms is a week. */
START_TEST(producers_are_remembered)
{
    ck_assert_int_eq(produce(1), 0);
    ck_assert_int_eq(produce(2), 0);
    set_forward_ns = 10 * DAY_MS * MS;
    step_all();
    ck_assert_int_eq(produce(2), 0);
    ck_assert_uint_eq(queue_end(0), 2); /* it was known: stored once */
    pass_ms(8 * DAY_MS);
    step_all();
    ck_assert_int_eq(produce(1), 0);
    ck_assert_uint_eq(queue_end(0), 3);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clock");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, clock_setup, clock_teardown);
    tcase_add_test(cases, retention_by_age_keeps_what_is_young);
    tcase_add_test(cases, producers_are_remembered);
    suite_add_tcase(suite, cases);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
