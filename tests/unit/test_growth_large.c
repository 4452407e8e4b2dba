/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_growth_large.c -- growths whose record does not fit the stage, or no segment; one that an
 * open reservation holds up; the same by the other engine.
 */
#include "support/run_suite.h"
#include "unit/growth_fixture.h"

enum { WIDE = 4096 };

static void open_wide(uint64_t engine, uint64_t bytes)
{
    segment_bytes = bytes;
    ck_assert_msg(store_open(engine) == COMMITLOG_OK, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, WIDE, &topic, &err), COMMITLOG_OK);
    for (uint32_t q = 0; q < WIDE; q++) {
        for (uint32_t i = 0; i <= q % 3; i++) {
            ck_assert_msg(commitlog_append(store, topic, q, "x", 1, COMMITLOG_LEVEL_NONE, NULL) ==
                              COMMITLOG_OK,
                          "queue %u", q);
        }
    }
    open_group();
}

static void check_wide(void)
{
    ck_assert_uint_eq(topic_info().queues, 2 * WIDE);
    for (uint32_t q = WIDE; q < 2 * WIDE; q += 77) {
        const struct commitlog_group_gate gate = gate_of(q);
        ck_assert_uint_eq(gate.open, 0);
        ck_assert_uint_eq(gate.parent, q - WIDE);
        ck_assert_uint_eq(gate.mark, (q - WIDE) % 3 + 1);
    }
}

START_TEST(a_growth_larger_than_the_stage)
{
    const uint64_t engine = _i == 0 ? COMMITLOG_ENGINE_STAGED : COMMITLOG_ENGINE_MMAP;
    open_wide(engine, 1 << 20);
    struct commitlog_reservation *reservation = NULL;
    struct letter_record letter;
    void *body = NULL;
    letter_make(&letter, 0, COMMITLOG_LEVEL_NONE);
    letter.record.queue = 5;
    ck_assert_int_eq(commitlog_reserve(store, &letter.record, 10, 0, &reservation, &body, &err), 0);
    if (_i == 0) { /* it is claimed when the stage is drained */
        ck_assert_int_eq(grow(2 * WIDE), COMMITLOG_ETIMEDOUT);
        ck_assert_uint_eq(topic_info().queues, WIDE);
        ck_assert_uint_eq(topic_info().step_count, 1);
        ck_assert_int_eq(commitlog_abort(reservation), COMMITLOG_OK);
    }
    ck_assert_msg(grow(2 * WIDE) == COMMITLOG_OK, "%s", err.message);
    if (_i == 1) {
        ck_assert_int_eq(commitlog_abort(reservation), COMMITLOG_OK);
    }
    for (int round = 0; round < 2; round++) {
        const struct commitlog_group_gate gate = gate_of(WIDE + 5);
        ck_assert_uint_eq(gate.mark, 5 % 3 + 2); /* the hole, too */
        ck_assert_uint_eq(topic_info().queues, 2 * WIDE);
        ck_assert_uint_eq(gate_of(WIDE).mark, 1);
        commitlog_group_close(group);
        ck_assert_int_eq(commitlog_close(store, &err), COMMITLOG_OK);
        forget_views();
        ck_assert_int_eq(store_open(engine), COMMITLOG_OK);
        ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), COMMITLOG_OK);
        open_group();
    }
    commitlog_group_close(group);
}
END_TEST

START_TEST(marks_of_many_queues)
{
    open_wide(COMMITLOG_ENGINE_STAGED, 1 << 20);
    ck_assert_msg(grow(2 * WIDE) == COMMITLOG_OK, "%s", err.message);
    check_wide();
    ck_assert_int_eq(commitlog_checkpoint(store, &err), COMMITLOG_OK);
    commitlog_group_close(group);
    die(false);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, WIDE, &topic, &err), COMMITLOG_OK);
    open_group();
    check_wide();
    commitlog_group_close(group);
}
END_TEST

START_TEST(a_growth_larger_than_a_segment)
{
    open_wide(COMMITLOG_ENGINE_STAGED, 65536);
    const struct commitlog_topic_info before = topic_info();
    ck_assert_int_eq(grow(2 * WIDE), COMMITLOG_ETOOBIG);
    const struct commitlog_topic_info after = topic_info();
    ck_assert_mem_eq(&before, &after, sizeof(before));
    ck_assert_int_eq(commitlog_append(store, topic, WIDE, "x", 1, COMMITLOG_LEVEL_NONE, NULL),
                     COMMITLOG_EINVAL);
    commitlog_group_close(group);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("growth, large");
    TCase *cases = tcase_create("large");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, a_growth_larger_than_the_stage, 0, 2);
    tcase_add_test(cases, marks_of_many_queues);
    tcase_add_test(cases, a_growth_larger_than_a_segment);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
