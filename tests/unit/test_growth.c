/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_growth.c -- a topic grows and shrinks: where keys go, which queues a group sees, what is
 * still known after a restart, after retention and without views.
 */
#include "support/run_suite.h"
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

/* What a group with KEEP has not begun to consume, because it is not open or was not there, it
 * keeps all the same. */
START_TEST(a_group_keeps_what_lies_in_new_queues)
{
    begin();
    ck_assert_int_eq(
        commitlog_group_configure(group, COMMITLOG_GROUP_KEEP, COMMITLOG_LEVEL_NONE, &err), 0);
    post_all();
    ck_assert_int_eq(commit(0, queue_info(0).next_offset), COMMITLOG_OK);
    ck_assert_int_eq(commit(1, queue_info(1).next_offset), COMMITLOG_OK);
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    ck_assert_int_eq(grow(8), COMMITLOG_OK);
    for (int i = 0; i < 60; i++) {
        post_all();
    }
    for (uint32_t q = 0; q < 4; q++) {
        ck_assert_int_eq(commit(q, queue_info(q).next_offset), COMMITLOG_OK);
    }
    (void)retain_all();
    for (uint32_t q = 4; q < 8; q++) {
        ck_assert_uint_eq(queue_info(q).first_offset, 0);
    }
    for (uint32_t q = 4; q < 8; q++) {
        ck_assert_int_eq(commit(q, queue_info(q).next_offset), COMMITLOG_OK);
    }
    ck_assert_uint_gt(retain_all().segments_dropped, 0);
    commitlog_group_close(group);
}
END_TEST

static void delay_key(uint32_t key, int64_t due_ms, uint32_t level)
{
    struct letter_record letter;
    letter_make(&letter, key, level);
    letter.record.deliver_at_ms = due_ms;
    ck_assert_msg(commitlog_append_record(store, &letter.record, 0, NULL, &err) == COMMITLOG_OK,
                  "%s", err.message);
}

static void pass(int64_t ms)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    uint32_t wait_ms = 0;
    os->sleep_ns(os, ms * 1000000);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(commitlog_step(store, 100000, &wait_ms), COMMITLOG_OK);
    }
}

static int64_t now_ms(void)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    return os->clock_wall_ns(os) / 1000000;
}

static uint32_t moving_key(uint32_t from, uint32_t to)
{
    for (uint32_t key = 0; key < KEYS; key++) {
        if (key_queue(key, to) >= from) {
            return key;
        }
    }
    ck_abort_msg("no key moves");
    return 0;
}

/* It goes to the queue that it was routed to when it was appended, and keeps that from closing. */
START_TEST(a_message_that_waits_goes_where_it_was_routed)
{
    begin();
    const uint32_t key = moving_key(2, 4);
    const uint32_t before = key_queue(key, 2);
    const uint32_t after = key_queue(key, 4);
    delay_key(key, now_ms() + 1000, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    delay_key(key, now_ms() + 1000, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(shrink(2), COMMITLOG_EBUSY);
    ck_assert_ptr_nonnull(strstr(err.message, "waits"));
    pass(2000);
    ck_assert_uint_eq(queue_info(before).next_offset, 1);
    ck_assert_uint_eq(queue_info(after).next_offset, 1);
    ck_assert_int_eq(shrink(2), COMMITLOG_OK); /* no group consumes the topic */
    commitlog_group_close(group);
}
END_TEST

START_TEST(a_transaction_goes_where_it_was_routed)
{
    struct commitlog_transaction *transaction = NULL;
    struct letter_record letter;
    begin();
    const uint32_t key = moving_key(2, 4);
    ck_assert_int_eq(commitlog_transaction_begin(store, "p", 1, NULL, &transaction, &err), 0);
    letter_make(&letter, key, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_transaction_append(transaction, &letter.record, 0, NULL, &err), 0);
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    letter_make(&letter, key, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_transaction_append(transaction, &letter.record, 0, NULL, &err), 0);
    ck_assert_int_eq(shrink(2), COMMITLOG_EBUSY);
    ck_assert_int_eq(commitlog_transaction_commit(transaction, COMMITLOG_LEVEL_NONE, 0, NULL, &err),
                     0);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(queue_info(key_queue(key, 2)).next_offset, 1);
    ck_assert_uint_eq(queue_info(key_queue(key, 4)).next_offset, 1);
    /* Its offsets keep to the gates, too. */
    ck_assert_int_eq(grow(8), COMMITLOG_OK);
    const struct commitlog_group_offset offset = {topic, key_queue(key, 4) + 4, 0};
    ck_assert_int_eq(commitlog_transaction_begin(store, "p", 1, NULL, &transaction, &err), 0);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err),
                     COMMITLOG_EMISUSE);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
}
END_TEST

/* A gate that closes again by a reset does not keep it back. */
START_TEST(what_is_prepared_has_passed_the_gates)
{
    struct commitlog_transaction *transaction = NULL;
    begin();
    post_all();
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    post_all();
    const struct commitlog_group_offset offset = {topic, 2, queue_info(2).next_offset};
    ck_assert_uint_gt(offset.offset, 0);
    ck_assert_int_eq(commit(0, gate_of(2).mark), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_transaction_begin(store, "p", 1, NULL, &transaction, &err), 0);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, COMMITLOG_LEVEL_NONE, 0, &err), 0);
    ck_assert_int_eq(
        commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_FIRST, 0, COMMITLOG_LEVEL_NONE, &err),
        0);
    ck_assert_int_eq(commit(2, offset.offset), COMMITLOG_EMISUSE);
    ck_assert_msg(commitlog_transaction_commit(transaction, COMMITLOG_LEVEL_NONE, 0, NULL, &err) ==
                      COMMITLOG_OK,
                  "%s", err.message);
    ck_assert_uint_eq(committed(2), offset.offset);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
}
END_TEST

/* Given out: the parents first, whatever the turn. */
START_TEST(a_receiver_keeps_to_the_gates)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .flags = COMMITLOG_RECEIVE_ORDERED};
    struct commitlog_receiver *receiver = NULL;
    uint32_t next[KEYS] = {0};
    uint32_t count = 0;
    begin();
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
    post_all();
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    post_all();
    ck_assert_int_eq(grow(12), COMMITLOG_OK);
    post_all();
    for (uint32_t left = 3 * KEYS; left > 0; left -= count) {
        struct commitlog_message messages[4];
        struct commitlog_delivery deliveries[4];
        ck_assert_msg(commitlog_receive(receiver, messages, deliveries, 4, 0, &count, &err) ==
                          COMMITLOG_OK,
                      "%u left: %s", left, err.message);
        for (uint32_t i = 0; i < count; i++) {
            struct letter letter;
            memcpy(&letter, messages[i].body.data, sizeof(letter));
            ck_assert_uint_eq(letter.number, next[letter.key]);
            ck_assert_uint_eq(deliveries[i].queue, messages[i].queue);
            next[letter.key]++;
        }
        ck_assert_int_eq(commitlog_ack(receiver, deliveries, count, COMMITLOG_LEVEL_NONE, &err), 0);
    }
    struct commitlog_message message;
    struct commitlog_delivery delivery;
    ck_assert_int_eq(commitlog_receive(receiver, &message, &delivery, 1, 0, &count, &err),
                     COMMITLOG_EEND);
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
}
END_TEST

/* A cursor over all queues gets what comes in those that were not there when it was opened; offsets
 * by time, by key and the lag are of all, too. */
START_TEST(what_reads_all_queues_reads_new_ones)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[8];
    uint32_t count = 0;
    uint32_t got = 0;
    begin();
    post_all();
    ck_assert_int_eq(commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST,
                                           0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 8, 0, &count, NULL), 0);
    got += count;
    ck_assert_int_eq(grow(4), COMMITLOG_OK);
    post_all();
    while (commitlog_cursor_fetch(cursor, messages, 8, 0, &count, NULL) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < count; i++) {
            ck_assert_uint_eq(messages[i].position, sent[got + i].position);
        }
        got += count;
    }
    ck_assert_uint_eq(got, 2 * KEYS);
    commitlog_cursor_close(cursor);
    char name[8];
    const uint32_t key = moving_key(2, 4);
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, name, key_name(key, name), 0,
                                               INT64_MAX, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 8, 0, &count, NULL), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(messages[0].queue, key_queue(key, 4));
    ck_assert_uint_eq(messages[1].queue, key_queue(key, 2));
    commitlog_cursor_close(cursor);
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    ck_assert_int_eq(commitlog_group_lag(group, topic, COMMITLOG_QUEUE_ALL, &lag, &err), 0);
    ck_assert_uint_eq(lag.messages, 2 * KEYS);
    ck_assert_uint_eq(lag.queues, 4);
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
    tcase_add_test(basics, a_group_keeps_what_lies_in_new_queues);
    tcase_add_test(basics, a_message_that_waits_goes_where_it_was_routed);
    tcase_add_test(basics, a_transaction_goes_where_it_was_routed);
    tcase_add_test(basics, what_is_prepared_has_passed_the_gates);
    tcase_add_test(basics, a_receiver_keeps_to_the_gates);
    tcase_add_test(basics, what_reads_all_queues_reads_new_ones);
    tcase_add_test(basics, an_idle_topic_keeps_its_steps);
    tcase_add_test(basics, a_topic_shrinks_when_it_is_drained);
    tcase_add_test(basics, a_shrunk_topic_stays_so);
    suite_add_tcase(suite, basics);
    return suite;
}

int main(void)
{
    return run_suite(growth_suite());
}
