/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_growth.c -- a topic grows and shrinks: where keys go, which queues a group sees, what is
 * still known after a restart, after retention and without views.
 */
#include "unit/growth_fixture.h"

static void begin(void)
{
    letters_begin();
    open_store();
    open_group();
}

static void again(bool views)
{
    commitlog_group_close(group);
    ck_assert_int_eq(commitlog_close(store, &err), COMMITLOG_OK);
    if (!views) {
        forget_views();
    }
    open_store();
    open_group();
}

START_TEST(keys_go_to_children_of_their_queues)
{
    begin();
    post_all();
    ck_assert_int_eq(grow(6), COMMITLOG_OK);
    struct commitlog_topic_info info = topic_info();
    ck_assert_uint_eq(info.queues, 6);
    ck_assert_uint_eq(info.queues_total, 6);
    ck_assert_uint_eq(info.step_count, 2);
    ck_assert_uint_eq(info.step_queues[0], 2);
    ck_assert_uint_eq(info.step_queues[1], 6);
    post_all();
    ck_assert_int_eq(grow(12), COMMITLOG_OK);
    post_all();
    check_letters();
    for (int views = 1; views >= 0; views--) {
        again(views != 0);
        info = topic_info();
        ck_assert_uint_eq(info.queues, 12);
        ck_assert_uint_eq(info.step_queues[1], 6);
        ck_assert_uint_eq(info.step_queues[2], 12);
        check_letters();
        post_all();
        check_letters();
    }
    commitlog_group_close(group);
}
END_TEST

START_TEST(growth_that_is_none_is_refused)
{
    begin();
    post_all();
    ck_assert_int_eq(grow(2), COMMITLOG_OK); /* nothing to do */
    ck_assert_uint_eq(topic_info().step_count, 1);
    ck_assert_int_eq(grow(3), COMMITLOG_EINVAL);
    ck_assert_int_eq(grow(1), COMMITLOG_EINVAL);
    ck_assert_int_eq(grow(0), COMMITLOG_EINVAL);
    ck_assert_int_eq(grow(COMMITLOG_TOPIC_QUEUES_MAX * 2), COMMITLOG_ETOOBIG);
    ck_assert_int_eq(shrink(1), COMMITLOG_EINVAL);
    ck_assert_int_eq(shrink(4), COMMITLOG_EINVAL);
    ck_assert_int_eq(shrink(2), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_topic_grow(store, 77, 4, COMMITLOG_LEVEL_NONE, &err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_topic_grow(store, topic, 4, 9, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_topic_grow(NULL, topic, 4, 0, &err), COMMITLOG_EINVAL);
    ck_assert_uint_eq(topic_info().step_count, 1);
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    uint32_t same = UINT32_MAX;
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 2, &same, &err), COMMITLOG_OK);
    ck_assert_uint_eq(same, topic);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 4, &same, &err), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 3, &same, &err), COMMITLOG_EEXIST);
    commitlog_group_close(group);
}
END_TEST

START_TEST(steps_end)
{
    begin();
    for (uint32_t queues = 4; queues <= COMMITLOG_TOPIC_QUEUES_MAX; queues *= 2) {
        ck_assert_msg(grow(queues) == COMMITLOG_OK, "%u: %s", queues, err.message);
        post_all();
    }
    ck_assert_uint_eq(topic_info().queues, COMMITLOG_TOPIC_QUEUES_MAX);
    ck_assert_int_eq(grow(COMMITLOG_TOPIC_QUEUES_MAX * 2), COMMITLOG_ETOOBIG);
    again(false);
    ck_assert_uint_eq(topic_info().queues, COMMITLOG_TOPIC_QUEUES_MAX);
    ck_assert_uint_eq(topic_info().step_count, 20);
    commitlog_group_close(group);
}
END_TEST

START_TEST(a_child_opens_when_its_parent_is_consumed_to_the_mark)
{
    begin();
    post_all();
    uint64_t mark = queue_info(1).next_offset;
    ck_assert_uint_gt(mark, 1);
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    post_all();
    post_all();
    ck_assert_uint_gt(queue_info(1).next_offset, mark);
    for (int round = 0; round < 3; round++) {
        struct commitlog_group_gate gate = gate_of(0);
        ck_assert_uint_eq(gate.open, 1);
        ck_assert_uint_eq(gate.parent, UINT32_MAX);
        gate = gate_of(3);
        ck_assert_uint_eq(gate.open, 0);
        ck_assert_uint_eq(gate.parent, 1);
        ck_assert_uint_eq(gate.mark, mark);
        ck_assert_uint_eq(gate.committed, round == 0 ? UINT64_MAX : mark - 1);
        ck_assert_int_eq(commit(3, 1), COMMITLOG_EMISUSE);
        ck_assert_ptr_nonnull(strstr(err.message, "queue 1"));
        ck_assert_int_eq(commit(3, 0), COMMITLOG_EMISUSE);
        ck_assert_uint_eq(committed(3), UINT64_MAX);
        ck_assert_int_eq(commit(1, mark - 1), COMMITLOG_OK);
        if (round > 0) {
            again(round == 1);
        }
    }
    ck_assert_int_eq(commit(1, mark), COMMITLOG_OK);
    struct commitlog_group_gate gate = gate_of(3);
    ck_assert_uint_eq(gate.open, 1);
    ck_assert_uint_eq(gate.parent, 1);
    ck_assert_uint_eq(gate.mark, mark);
    ck_assert_uint_eq(gate.committed, mark);
    ck_assert_uint_eq(gate_of(2).open, 0);
    ck_assert_int_eq(commit(3, 1), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_group_gate(group, topic, 4, &gate, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(
        commitlog_group_reset(group, topic, 2, COMMITLOG_FROM_END, 0, COMMITLOG_LEVEL_NONE, &err),
        COMMITLOG_OK);
    commitlog_group_close(group);
}
END_TEST

/* A grandchild waits for both, and a parent without messages keeps nobody waiting. */
START_TEST(a_grandchild_waits_for_all_before_it)
{
    begin();
    post_all();
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    ck_assert_int_eq(grow(8), COMMITLOG_OK); /* queues 2 and 3 have nothing */
    post_all();
    struct commitlog_group_gate gate = gate_of(7);
    ck_assert_uint_eq(gate.open, 0);
    ck_assert_uint_eq(gate.parent, 1);
    ck_assert_uint_eq(gate.mark, queue_info(1).next_offset < gate.mark ? 0 : gate.mark);
    consume_all();
    ck_assert_uint_eq(gate_of(7).open, 1);
    ck_assert_uint_eq(gate_of(7).parent, 3);
    ck_assert_uint_eq(gate_of(7).mark, 0);
    commitlog_group_close(group);
}
END_TEST

START_TEST(every_key_is_consumed_in_order)
{
    begin();
    for (uint32_t queues = 4; queues <= 64; queues *= 4) {
        for (int i = 0; i < 3; i++) {
            post_all();
        }
        (void)consume(0, 5);
        ck_assert_int_eq(grow(queues), COMMITLOG_OK);
        post_all();
        for (uint32_t q = 0; q < queues; q++) {
            (void)consume(q, 2);
        }
    }
    post_all();
    consume_all();
    again(false);
    consumed_again();
    consume_all();
    commitlog_group_close(group);
}
END_TEST

START_TEST(retention_opens_what_it_takes)
{
    begin();
    for (int i = 0; i < 40; i++) {
        post_all();
    }
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    ck_assert_uint_eq(gate_of(2).open, 0);
    uint64_t next = queue_info(1).next_offset;
    for (int i = 0; i < 60; i++) {
        post_all();
    }
    ck_assert_uint_gt(retain_all().segments_dropped, 0);
    for (int views = 0; views < 2; views++) {
        ck_assert_uint_eq(gate_of(2).open, 1);
        ck_assert_uint_eq(gate_of(2).mark, 0);
        ck_assert_uint_eq(topic_info().queues, 4);
        ck_assert_uint_gt(queue_info(1).next_offset, next);
        check_letters();
        again(views == 1);
    }
    consumed_again();
    consume_all();
    commitlog_group_close(group);
}
END_TEST

/* Steps and offsets of an idle topic are carried on, as often as the log is replaced. */
START_TEST(an_idle_topic_keeps_its_steps)
{
    begin();
    post_all();
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    post_all();
    ck_assert_int_eq(grow(8), COMMITLOG_OK);
    uint64_t next[8];
    uint32_t other = 0;
    for (uint32_t q = 0; q < 8; q++) {
        next[q] = queue_info(q).next_offset;
    }
    ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 1, &other, &err), COMMITLOG_OK);
    for (int round = 0; round < 3; round++) {
        uint8_t body[1000] = {0};
        for (int i = 0; i < 150; i++) {
            ck_assert_int_eq(commitlog_append(store, other, 0, body, sizeof(body), 0, NULL), 0);
        }
        ck_assert_uint_gt(retain_all().segments_dropped, 0);
        again(round == 1);
        ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 1, &other, &err), COMMITLOG_OK);
        ck_assert_uint_eq(topic_info().queues, 8);
        ck_assert_uint_eq(topic_info().step_count, 3);
        for (uint32_t q = 0; q < 8; q++) {
            ck_assert_uint_eq(queue_info(q).next_offset, next[q]);
            ck_assert_uint_eq(gate_of(q).open, 1);
        }
    }
    sent_count = 0;
    post_all();
    check_letters();
    commitlog_group_close(group);
}
END_TEST

START_TEST(a_topic_shrinks_when_it_is_drained)
{
    begin();
    post_all();
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    post_all();
    ck_assert_int_eq(commit(0, 1), COMMITLOG_OK);
    ck_assert_int_eq(shrink(2), COMMITLOG_EBUSY);
    ck_assert_ptr_nonnull(strstr(err.message, "group g"));
    consumed_again();
    consume_all();
    ck_assert_msg(shrink(2) == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_eq(topic_info().queues, 2);
    ck_assert_uint_eq(topic_info().queues_total, 4);
    ck_assert_int_eq(commitlog_append(store, topic, 3, "x", 1, 0, NULL), COMMITLOG_EINVAL);
    post_all();
    check_letters();
    for (int views = 0; views < 2; views++) {
        again(views == 1);
        ck_assert_uint_eq(topic_info().queues, 2);
        ck_assert_uint_eq(topic_info().queues_total, 4);
        check_letters();
        post_all();
        check_letters();
    }
    consumed_again();
    consume_all();
    ck_assert_int_eq(grow(8), COMMITLOG_EINVAL); /* it had 4 */
    uint64_t child = queue_info(3).next_offset;
    post_all();
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    ck_assert_uint_eq(gate_of(3).open, 0);
    ck_assert_uint_eq(gate_of(3).mark, queue_info(1).next_offset);
    post_all();
    ck_assert_uint_gt(queue_info(3).next_offset, child);
    check_letters();
    consume_all();
    again(false);
    ck_assert_uint_eq(topic_info().queues, 4);
    check_letters();
    commitlog_group_close(group);
}
END_TEST

/* Several steps at once; then retention takes the record that said so. */
START_TEST(a_shrunk_topic_stays_so)
{
    begin();
    post_all();
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    ck_assert_int_eq(grow(12), COMMITLOG_OK);
    post_all();
    consume_all();
    ck_assert_int_eq(shrink(2), COMMITLOG_OK);
    for (int i = 0; i < 60; i++) {
        post_all();
    }
    ck_assert_uint_gt(retain_all().segments_dropped, 0);
    for (int views = 0; views < 2; views++) {
        again(views == 1);
        ck_assert_uint_eq(topic_info().queues, 2);
        ck_assert_uint_eq(topic_info().queues_total, 12);
        check_letters();
    }
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    ck_assert_uint_eq(topic_info().queues_total, 12);
    post_all();
    ck_assert_int_eq(grow(12), COMMITLOG_OK);
    post_all();
    consumed_again();
    consume_all();
    again(false);
    ck_assert_uint_eq(topic_info().queues, 12);
    check_letters();
    commitlog_group_close(group);
}
END_TEST

static Suite *growth_suite(void)
{
    Suite *suite = suite_create("growth");
    TCase *basics = tcase_create("basics");
    tcase_set_timeout(basics, 120);
    tcase_add_checked_fixture(basics, setup, teardown);
    tcase_add_test(basics, keys_go_to_children_of_their_queues);
    tcase_add_test(basics, growth_that_is_none_is_refused);
    tcase_add_test(basics, steps_end);
    tcase_add_test(basics, a_child_opens_when_its_parent_is_consumed_to_the_mark);
    tcase_add_test(basics, a_grandchild_waits_for_all_before_it);
    tcase_add_test(basics, every_key_is_consumed_in_order);
    tcase_add_test(basics, retention_opens_what_it_takes);
    tcase_add_test(basics, an_idle_topic_keeps_its_steps);
    tcase_add_test(basics, a_topic_shrinks_when_it_is_drained);
    tcase_add_test(basics, a_shrunk_topic_stays_so);
    suite_add_tcase(suite, basics);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(growth_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
