/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_step.c -- when commitlog_step says that it is due, it is: who calls it then, and not before,
 * has everything done in time, and who is told that nothing is due has nothing left.
 */
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, EXPIRE_MS = 1500, STEPS_MOST = 1000, HOURS_MS = 10000000 };

static void open_with(uint64_t option, uint64_t value)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_ASYNC}, {option, value}};
    ck_assert_int_eq(store_open_by(values, 2), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
}

static int32_t put_of_a_producer(uint64_t sequence)
{
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = NONE,
                                            .producer_id = 7,
                                            .sequence = sequence};
    return commitlog_append_record(store, &record, 0, NULL, &err);
}

static uint32_t step(void)
{
    uint32_t wait_ms = 0;
    ck_assert_int_eq(commitlog_step(store, 0, &wait_ms), 0);
    return wait_ms;
}

/* As long as something is due: how long that was. */
static uint64_t step_until_nothing_is_due(void)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    uint64_t passed_ms = 0;
    for (int i = 0; i < STEPS_MOST; i++) {
        const uint32_t wait_ms = step();
        if (wait_ms == UINT32_MAX || passed_ms > HOURS_MS) {
            return passed_ms;
        }
        os->sleep_ns(os, ((int64_t)wait_ms + 1) * CLG_OS_NS_PER_MS);
        passed_ms += wait_ms + 1;
    }
    ck_abort_msg("it never comes to an end");
    return 0;
}

static void check_nothing_is_left(void)
{
    const struct commitlog_positions at = store_positions();
    ck_assert_uint_eq(at.written, at.claimed);
    ck_assert_uint_eq(at.durable, at.claimed);
    ck_assert_uint_eq(at.checkpointed, at.claimed);
}

/* Whether or not it was looked for producers just before. */
START_TEST(a_producer_is_forgotten_in_time_and_that_is_flushed)
{
    open_with(COMMITLOG_OPT_PRODUCER_EXPIRE_MS, EXPIRE_MS);
    if (_i > 0) {
        (void)step_until_nothing_is_due();
    }
    ck_assert_int_eq(put_of_a_producer(1), 0);
    const uint64_t end = store_positions().claimed;
    ck_assert_uint_ge(step_until_nothing_is_due(), EXPIRE_MS);
    ck_assert_uint_gt(store_positions().claimed, end); /* the record that says so */
    check_nothing_is_left();
    ck_assert_int_eq(put_of_a_producer(2), COMMITLOG_ENOTFOUND);
}
END_TEST

/* Retention is due each second as long as there is a policy. */
START_TEST(what_retention_appends_is_flushed)
{
    static const uint8_t body[6000];
    open_with(COMMITLOG_OPT_RETAIN_BYTES, 1);
    for (int i = 0; i < 30; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, body, sizeof(body), NONE, NULL), 0);
    }
    const uint64_t first = store_positions().first;
    const struct commitlog_os *os = commitlog_fault_os(machine);
    for (int i = 0; i < 20; i++) {
        const uint32_t wait_ms = step();
        ck_assert_uint_le(wait_ms, 1000);
        os->sleep_ns(os, ((int64_t)wait_ms + 1) * CLG_OS_NS_PER_MS);
    }
    ck_assert_uint_gt(store_positions().first, first);
    check_nothing_is_left();
}
END_TEST

static Suite *step_suite(void)
{
    Suite *suite = suite_create("step");
    TCase *cases = tcase_create("what is due");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, a_producer_is_forgotten_in_time_and_that_is_flushed, 0, 2);
    tcase_add_test(cases, what_retention_appends_is_flushed);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(step_suite());
}
