/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_drain_large.c -- records that are larger than what is drained at a time: each piece of work
 * goes on where the last one ended.
 */
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { RING = 8 << 20, SEGMENT = 16 << 20, STEPS = 40 };

static int32_t large_open(void)
{
    static const uint64_t values[][2] = {{COMMITLOG_OPT_SEGMENT_BYTES, SEGMENT},
                                         {COMMITLOG_OPT_STAGE_BYTES, RING},
                                         {COMMITLOG_OPT_THREAD, 0},
                                         {COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE}};
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ck_assert_int_eq(commitlog_options_set(options, (int32_t)values[i][0], values[i][1], NULL),
                         0);
    }
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    int32_t rc = commitlog_open("/store", options, &store, &err);
    commitlog_options_free(options);
    return rc;
}

/* Below and above what upkeep drains at once. */
START_TEST(upkeep_drains_a_record_that_is_larger_than_a_piece)
{
    static const size_t sizes[] = {300 << 10, 1 << 20, 3 << 20};
    static const uint8_t body[3 << 20];
    uint32_t wait_ms = 0;
    uint32_t busy = 0;
    ck_assert_msg(large_open() == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    ck_assert_int_eq(commitlog_append(store, topic, 0, body, sizes[_i], COMMITLOG_LEVEL_NONE, NULL),
                     0);
    for (uint32_t i = 0; i < STEPS; i++) {
        ck_assert_int_eq(commitlog_step(store, 0, &wait_ms), 0);
        busy += wait_ms == 0 ? 1 : 0;
        commitlog_fault_os(machine)->sleep_ns(commitlog_fault_os(machine), 1000000);
    }
    const struct commitlog_positions at = store_positions();
    ck_assert_uint_lt(busy, STEPS / 2);
    ck_assert_uint_eq(at.written, at.published);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("drain large");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, upkeep_drains_a_record_that_is_larger_than_a_piece, 0, 3);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
