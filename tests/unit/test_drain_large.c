/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_drain_large.c -- records that are larger than what is drained at a time: each piece of work
 * goes on where the last one ended.
 */
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { RING = 8 << 20, SEGMENT = 16 << 20, STEPS = 40 };

static const uint64_t unflushed[][2] = {{COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE}};

/* Below and above what upkeep drains at once. */
START_TEST(upkeep_drains_a_record_that_is_larger_than_a_piece)
{
    static const size_t sizes[] = {300 << 10, 1 << 20, 3 << 20};
    static const uint8_t body[3 << 20];
    uint32_t wait_ms = 0;
    uint32_t busy = 0;
    segment_bytes = SEGMENT;
    stage_bytes = RING;
    ck_assert_msg(store_open_by(unflushed, 1) == 0, "%s", err.message);
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
