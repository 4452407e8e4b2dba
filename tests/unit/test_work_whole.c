/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_work_whole.c -- what is acknowledged, or given back, is so as a whole: a call that fails has
 * changed nothing, and is asked again.
 */
#include "support/run_suite.h"
#include "unit/timer_fixture.h"

enum { WIDE = 40, EACH = 3, MANY = 2048, FEW = 4, NONE = COMMITLOG_LEVEL_NONE };

static struct commitlog_group *group;
static struct commitlog_receiver *receiver;
static struct commitlog_receiver *strict; /* two attempts */
static struct commitlog_delivery given[MANY];
static uint32_t dead_topic;

static struct commitlog_receiver *open_receiver(uint32_t attempts)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .flags = COMMITLOG_RECEIVE_DEAD_TOPIC,
                                                       .max_attempts = attempts,
                                                       .dead_topic = dead_topic};
    struct commitlog_receiver *made = NULL;
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &made, &err), 0);
    return made;
}

static void open_work(uint32_t queues)
{
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, queues, &topic, &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "dead", 4, 1, &dead_topic, &err), 0);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    receiver = open_receiver(16);
    strict = open_receiver(2);
}

static void close_work(void)
{
    commitlog_receiver_close(receiver);
    commitlog_receiver_close(strict);
    commitlog_group_close(group);
    receiver = NULL;
    strict = NULL;
    group = NULL;
}

static void work_teardown(void)
{
    close_work();
    teardown();
}

/* So many, behind the first `have` of `given`. */
static void receive_all(uint32_t have, uint32_t number)
{
    struct commitlog_message messages[COMMITLOG_RECEIVE_MAX];
    while (have < number) {
        uint32_t count = 0;
        const uint32_t most =
            number - have < COMMITLOG_RECEIVE_MAX ? number - have : COMMITLOG_RECEIVE_MAX;
        ck_assert_msg(commitlog_receive(receiver, messages, &given[have], most, 0, &count, &err) ==
                          0,
                      "%s", err.message);
        have += count;
    }
}

static uint64_t end_of(uint32_t of)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, of, 0, &info), 0);
    return info.next_offset;
}

/* Of each queue the first is consumed, the next is out, and the last is done. */
static void check_each_queue(void)
{
    for (uint32_t queue = 0; queue < WIDE; queue++) {
        struct commitlog_group_offset offset = {.topic = topic, .queue = queue};
        struct commitlog_work_info info = {.struct_bytes = sizeof(info)};
        ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
        ck_assert_uint_eq(offset.offset, 1);
        for (uint64_t i = 1; i < EACH; i++) {
            ck_assert_int_eq(commitlog_group_work(group, topic, queue, i, &info, &err), 0);
            ck_assert_uint_eq(info.offset, i);
            ck_assert_uint_eq(info.count, 1);
            ck_assert_uint_eq(info.state, i == 1 ? COMMITLOG_WORK_PENDING : COMMITLOG_WORK_DONE);
        }
    }
}

/* Some from the committed offset on, and some beyond. Each allocation may fail. */
START_TEST(an_acknowledgement_is_whole)
{
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        uint32_t asked = 0;
        if (nth > 1) {
            work_teardown();
            setup();
        }
        open_work(WIDE);
        for (uint32_t queue = 0; queue < WIDE; queue++) {
            put(queue, EACH);
        }
        receive_all(0, WIDE * EACH);
        for (uint32_t i = 0; i < WIDE * EACH; i++) {
            if (given[i].offset != 1) {
                given[asked++] = given[i];
            }
        }
        const uint64_t before = store_positions().claimed;
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, nth, ENOMEM, 0), 0);
        int32_t rc = commitlog_ack(receiver, given, asked, NONE, &err);
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 0, 0, 0), 0);
        failed = rc == COMMITLOG_ENOMEM;
        if (failed) {
            ck_assert_uint_eq(store_positions().claimed, before);
            rc = commitlog_ack(receiver, given, asked, NONE, &err);
        }
        ck_assert_msg(rc == 0, "allocation %u: %s", (unsigned)nth, commitlog_error_name(rc));
        check_each_queue();
        ck_assert(failed || nth > 4); /* what is asked for, what is said of it */
    }
    for (int views = 0; views < 2; views++) {
        close_work();
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        if (views == 0) {
            forget_views();
        }
        open_work(WIDE);
        check_each_queue();
    }
}
END_TEST

/* Those that come again are too many for a segment; one does not come again. */
START_TEST(what_cannot_be_given_back_leaves_no_dead_letter)
{
    open_work(1);
    put(0, MANY);
    receive_all(0, 1);
    ck_assert_int_eq(commitlog_nack(receiver, given, 1, 0, &err), 0);
    receive_all(0, 1);
    ck_assert_uint_eq(given[0].attempt, 2);
    receive_all(1, MANY);
    const uint64_t before = store_positions().claimed;
    ck_assert_int_eq(commitlog_nack(strict, given, MANY, 0, &err), COMMITLOG_ETOOBIG);
    ck_assert_uint_eq(store_positions().claimed, before);
    ck_assert_uint_eq(end_of(dead_topic), 0);
    for (uint32_t i = 0; i < MANY; i += MANY / 2) {
        ck_assert_int_eq(commitlog_nack(strict, &given[i], MANY / 2, 0, &err), 0);
    }
    ck_assert_uint_eq(end_of(dead_topic), 1);
    receive_all(0, MANY - 1);
    ck_assert_uint_eq(given[0].offset, 1);
    ck_assert_uint_eq(given[0].attempt, 2);
}
END_TEST

/* The third comes again. */
START_TEST(dead_letters_keep_their_order)
{
    struct commitlog_delivery refused[FEW];
    struct commitlog_message messages[FEW];
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    open_work(1);
    put(0, FEW);
    receive_all(0, FEW);
    memcpy(refused, given, sizeof(refused));
    for (uint32_t i = 0; i < FEW; i++) {
        if (i != 2) {
            ck_assert_int_eq(commitlog_nack(receiver, &refused[i], 1, 0, &err), 0);
            receive_all(0, 1);
            ck_assert_uint_eq(given[0].offset, i);
            refused[i] = given[0];
        }
    }
    ck_assert_int_eq(commitlog_nack(strict, refused, FEW, 0, &err), 0);
    ck_assert_int_eq(
        commitlog_cursor_open(store, dead_topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, FEW, 0, &count, NULL), 0);
    ck_assert_uint_eq(count, FEW - 1);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_uint_eq(messages[i].origin_offset, i < 2 ? i : i + 1);
    }
    commitlog_cursor_close(cursor);
    receive_all(0, 1);
    ck_assert_uint_eq(given[0].offset, 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work as a whole");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, work_teardown);
    tcase_add_test(cases, an_acknowledgement_is_whole);
    tcase_add_test(cases, what_cannot_be_given_back_leaves_no_dead_letter);
    tcase_add_test(cases, dead_letters_keep_their_order);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
