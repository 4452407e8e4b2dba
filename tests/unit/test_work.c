/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_work.c -- messages given out one by one: who gets what, until when, and where it ends.
 */
#include "support/run_suite.h"
#include "unit/receiver_fixture.h"
#include "unit/timer_fixture.h"

static struct commitlog_message messages[64];
static struct commitlog_delivery given[64];
static uint32_t count;

static void open_receiver(uint32_t flags, uint32_t max_attempts)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .flags = flags,
                                                       .max_attempts = max_attempts,
                                                       .visibility_ms = 60000};
    ck_assert_msg(open_receiver_with(&options) == 0, "%s", err.message);
}

static void work_setup(void)
{
    setup();
    open_store();
    open_receiver(0, 3);
}

static void work_teardown(void)
{
    close_receiver();
    teardown();
}

static int32_t receive(uint32_t max)
{
    return commitlog_receive(receiver, messages, given, max, 0, &count, &err);
}

static uint64_t committed(uint32_t queue)
{
    struct commitlog_group_offset offset = {.topic = topic, .queue = queue};
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    return offset.offset;
}

static void reopen(bool power, bool views)
{
    close_receiver();
    if (power) {
        ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    }
    if (views) {
        forget_views();
    }
    restart(power);
    open_receiver(0, 3);
}

START_TEST(each_message_is_given_once_until_its_time_is_over)
{
    put(1, 5);
    ck_assert_int_eq(receive(3), 0);
    ck_assert_uint_eq(count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(given[i].queue, 1);
        ck_assert_uint_eq(given[i].offset, i);
        ck_assert_uint_eq(given[i].attempt, 1);
        ck_assert_uint_eq(messages[i].queue_offset, i);
        ck_assert_uint_eq(messages[i].body.bytes, 10);
    }
    ck_assert_int_eq(receive(64), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(given[0].offset, 3);
    ck_assert_int_eq(receive(64), COMMITLOG_EEND);
    ck_assert_uint_eq(committed(1), 0);
    pass_ms(60001);
    ck_assert_int_eq(receive(2), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(given[0].offset, 0);
    ck_assert_uint_eq(given[0].attempt, 2);
    ck_assert_uint_eq(given[1].offset, 1);
}
END_TEST

START_TEST(what_is_acknowledged_never_comes_again)
{
    struct commitlog_delivery kept[5];
    put(1, 5);
    ck_assert_int_eq(receive(5), 0);
    memcpy(kept, given, sizeof(kept));
    ck_assert_int_eq(commitlog_ack(receiver, &kept[3], 1, 1, &err), 0);
    ck_assert_uint_eq(committed(1), 0);
    ck_assert_int_eq(commitlog_ack(receiver, &kept[0], 2, COMMITLOG_LEVEL_DURABLE, &err), 0);
    ck_assert_uint_eq(committed(1), 2);
    ck_assert_int_eq(commitlog_ack(receiver, &kept[0], 1, 1, &err), COMMITLOG_ENOTFOUND);
    const struct commitlog_delivery mixed[2] = {kept[2], kept[3]}; /* one is done */
    ck_assert_int_eq(commitlog_ack(receiver, mixed, 2, 1, &err), COMMITLOG_ENOTFOUND);
    ck_assert_uint_eq(committed(1), 4); /* over what was done before */
    for (int i = 0; i < 3; i++) {
        reopen(i == 1, i == 2);
        pass_ms(60001);
        ck_assert_int_eq(receive(5), 0);
        ck_assert_uint_eq(count, 1);
        ck_assert_uint_eq(given[0].offset, 4);
        ck_assert_uint_eq(given[0].attempt, (uint32_t)i + 2);
        if (i == 1) {
            break;
        }
    }
    ck_assert_int_eq(commitlog_ack(receiver, &kept[4], 1, 1, &err), COMMITLOG_ENOTFOUND); /* old */
    ck_assert_int_eq(commitlog_ack(receiver, given, 1, 1, &err), 0);
    ck_assert_uint_eq(committed(1), 5);
    pass_ms(60001);
    ck_assert_int_eq(receive(5), COMMITLOG_EEND);
}
END_TEST

START_TEST(time_is_extended_and_given_back)
{
    put(2, 3);
    ck_assert_int_eq(receive(3), 0);
    struct commitlog_delivery kept[3];
    memcpy(kept, given, sizeof(kept));
    ck_assert_int_eq(commitlog_extend(receiver, &kept[0], 1, 200000, &err), 0);
    ck_assert_int_eq(commitlog_nack(receiver, &kept[1], 1, 1000, &err), 0);
    ck_assert_int_eq(commitlog_nack(receiver, &kept[2], 1, -1, &err), 0); /* 10 s */
    ck_assert_int_eq(receive(3), COMMITLOG_EEND);
    pass_ms(1001);
    ck_assert_int_eq(receive(3), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(given[0].offset, 1);
    ck_assert_uint_eq(given[0].attempt, 2);
    ck_assert_int_eq(commitlog_nack(receiver, given, 1, -1, &err), 0); /* 30 s */
    pass_ms(9001);
    ck_assert_int_eq(receive(3), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(given[0].offset, 2);
    pass_ms(21000);
    ck_assert_int_eq(receive(3), 0);
    ck_assert_uint_eq(given[0].offset, 1);
    ck_assert_uint_eq(given[0].attempt, 3);
    ck_assert_int_eq(receive(3), COMMITLOG_EEND);
    pass_ms(175000);
    ck_assert_int_eq(receive(1), 0);
    ck_assert_uint_eq(given[0].offset, 0);
    ck_assert_int_eq(commitlog_nack(receiver, given, 1, -2, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_extend(receiver, given, 1, -1, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_ack(receiver, given, 0, 1, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_ack(receiver, given, 4000, 1, &err), COMMITLOG_ETOOBIG);
}
END_TEST

static void check_dead(uint64_t offset, uint64_t origin, uint32_t reason)
{
    uint32_t dead = 0;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t got = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%g", 6, 0, &dead, &err), 0);
    ck_assert_int_eq(
        commitlog_cursor_open(store, dead, 0, COMMITLOG_FROM_OFFSET, offset, &cursor, &err), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), 0);
    ck_assert_uint_eq(message.origin_topic, topic);
    ck_assert_uint_eq(message.origin_queue, 1);
    ck_assert_uint_eq(message.origin_offset, origin);
    ck_assert_uint_eq(message.attempts, 3);
    ck_assert_uint_eq(message.reason, reason);
    ck_assert_uint_eq(message.body.bytes, 10);
    commitlog_cursor_close(cursor);
}

/* The second time the originals lie in the older half of the log, and are copied. */
START_TEST(after_the_last_attempt_it_is_a_dead_letter)
{
    put(1, 2);
    put(0, _i == 0 ? 0 : 3000);
    for (uint32_t attempt = 1; attempt <= 3; attempt++) {
        do {
            ck_assert_int_eq(receive(2), 0);
            if (given[0].queue == 0) {
                ck_assert_int_eq(commitlog_ack(receiver, given, count, 1, &err), 0);
            }
        } while (given[0].queue == 0);
        ck_assert_uint_eq(count, 2);
        ck_assert_uint_eq(given[0].attempt, attempt);
        if (attempt == 3) {
            ck_assert_int_eq(commitlog_nack(receiver, &given[1], 1, 0, &err), 0); /* refused */
        }
        pass_ms(60001);
    }
    int32_t rc;
    while ((rc = receive(64)) == COMMITLOG_OK) {
        ck_assert_uint_eq(given[0].queue, 0);
        ck_assert_int_eq(commitlog_ack(receiver, given, count, 1, &err), 0);
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    ck_assert_uint_eq(committed(1), 2);
    check_dead(0, 1, COMMITLOG_DEAD_REFUSED);
    check_dead(1, 0, COMMITLOG_DEAD_EXPIRED);
    reopen(true, true);
    check_dead(1, 0, COMMITLOG_DEAD_EXPIRED);
    ck_assert_int_eq(receive(64), COMMITLOG_EEND);
}
END_TEST

/* The group of the dead letters' readers gives them up, too: what they were before is not said. */
START_TEST(a_dead_letter_can_die_again)
{
    struct commitlog_group *second = NULL;
    struct commitlog_receiver *other = NULL;
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .max_attempts = 1};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t dead = 0;
    uint32_t last = 0;
    put(1, 1);
    put(0, _i == 0 ? 0 : 3000);
    for (uint32_t attempt = 0; attempt < 3;) {
        ck_assert_int_eq(receive(1), 0);
        bool one = given[0].queue == 1;
        attempt += one ? 1 : 0;
        ck_assert_int_eq(one ? commitlog_nack(receiver, given, 1, 0, &err)
                             : commitlog_ack(receiver, given, 1, 1, &err),
                         0);
    }
    ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%g", 6, 0, &dead, &err), 0);
    put(0, _i == 0 ? 0 : 6000);
    ck_assert_int_eq(commitlog_group_open(store, "h", 1, COMMITLOG_GROUP_CREATE, &second, &err), 0);
    ck_assert_int_eq(commitlog_receiver_open(second, dead, &options, &other, &err), 0);
    ck_assert_int_eq(commitlog_receive(other, messages, given, 1, 0, &count, &err), 0);
    ck_assert_uint_eq(messages[0].origin_topic, topic);
    ck_assert_int_eq(commitlog_nack(other, given, 1, 0, &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%h", 6, 0, &last, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, last, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_uint_eq(message.origin_topic, dead);
    ck_assert_uint_eq(message.origin_offset, 0);
    ck_assert_uint_eq(message.attempts, 1);
    ck_assert_uint_eq(message.attributes.bytes, _i == 0 ? 0 : 19);
    commitlog_cursor_close(cursor);
    commitlog_receiver_close(other);
    commitlog_group_close(second);
}
END_TEST

/* Too large to be copied in one batch with what says that it is done. */
START_TEST(a_dead_letter_that_cannot_be_copied_is_referred_to)
{
    static uint8_t body[52900];
    ck_assert_int_eq(
        commitlog_append(store, topic, 1, body, sizeof(body), COMMITLOG_LEVEL_NONE, NULL), 0);
    put(0, 3000);
    for (uint32_t attempt = 0; attempt < 3;) {
        ck_assert_msg(receive(1) == COMMITLOG_OK, "%s", err.message);
        bool one = given[0].queue == 1;
        attempt += one ? 1 : 0;
        ck_assert_int_eq(one ? commitlog_nack(receiver, given, 1, 0, &err)
                             : commitlog_ack(receiver, given, 1, 1, &err),
                         0);
    }
    uint32_t dead = 0;
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%g", 6, 0, &dead, &err), 0);
    ck_assert_int_eq(commitlog_queue_info(store, dead, 0, &info), 0);
    ck_assert_uint_eq(info.next_offset, 1);
    ck_assert_uint_eq(committed(1), 1);
}
END_TEST

START_TEST(dead_letters_go_to_each_queue_in_turn)
{
    uint32_t dead = 0;
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_topic_open(store, "dead", 4, 2, &dead, &err), 0);
    close_receiver();
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .flags = COMMITLOG_RECEIVE_DEAD_TOPIC,
                                                       .max_attempts = 1,
                                                       .dead_topic = dead};
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
    put(1, 4);
    ck_assert_int_eq(receive(4), 0);
    ck_assert_int_eq(commitlog_nack(receiver, given, 4, 0, &err), 0);
    for (uint32_t queue = 0; queue < 2; queue++) {
        ck_assert_int_eq(commitlog_queue_info(store, dead, queue, &info), 0);
        ck_assert_uint_eq(info.next_offset, 2);
    }
}
END_TEST

/* It cannot be given out, is told once, and is done. */
START_TEST(what_refers_to_nothing_any_more_stops_no_worker)
{
    struct commitlog_receipt one;
    uint32_t expired = 0;
    int32_t rc = COMMITLOG_OK;
    put(0, 4000);
    ck_assert_int_eq(delay(3, 1, now_ms() + 1000, 1, &one), 0); /* in the newer half */
    put(0, 1300);
    pass_ms(2000);
    step_all();
    put(3, 1);
    ck_assert_uint_gt(retain_all().first, one.position);
    for (uint32_t i = 0; rc != COMMITLOG_EEND && i < 10000; i++) {
        rc = receive(64);
        expired += rc == COMMITLOG_EEXPIRED ? 1 : 0;
        ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_EEND, "%s",
                      commitlog_error_name(rc));
        if (rc == COMMITLOG_OK) {
            ck_assert_int_eq(commitlog_ack(receiver, given, count, 1, &err), 0);
        }
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    ck_assert_uint_eq(expired, 1);
    ck_assert_uint_eq(committed(3), 2);
}
END_TEST

START_TEST(in_order_one_of_a_queue_at_a_time)
{
    close_receiver();
    open_receiver(COMMITLOG_RECEIVE_ORDERED, 3);
    put(1, 3);
    put(2, 1);
    ck_assert_int_eq(receive(5), 0);
    ck_assert_uint_eq(count, 1);
    struct commitlog_delivery first = given[0];
    ck_assert_uint_eq(first.queue, 1);
    ck_assert_int_eq(receive(5), 0);
    ck_assert_uint_eq(given[0].queue, 2);
    ck_assert_int_eq(receive(5), COMMITLOG_EEND);
    ck_assert_int_eq(commitlog_nack(receiver, &first, 1, 1000, &err), 0);
    ck_assert_int_eq(receive(5), COMMITLOG_EEND); /* nobody passes it */
    pass_ms(1001);
    ck_assert_int_eq(receive(5), 0);
    ck_assert_uint_eq(given[0].offset, 0);
    ck_assert_uint_eq(given[0].attempt, 2);
    ck_assert_int_eq(commitlog_ack(receiver, given, 1, 1, &err), 0);
    ck_assert_int_eq(receive(5), 0);
    ck_assert_uint_eq(given[0].offset, 1);
}
END_TEST

START_TEST(what_retention_takes_is_over)
{
    put(1, 10);
    put(0, 3000);
    uint32_t got = 0;
    while (got < 10) { /* of queue 1 only the odd ones are done */
        ck_assert_int_eq(receive(64), 0);
        for (uint32_t i = 0; i < count; i++) {
            bool odd = given[i].queue == 1 && given[i].offset % 2 == 1;
            got += given[i].queue == 1 ? 1 : 0;
            if (odd || given[i].queue == 0) {
                ck_assert_int_eq(commitlog_ack(receiver, &given[i], 1, 1, &err), 0);
            }
        }
    }
    while (receive(64) == COMMITLOG_OK) {
        ck_assert_int_eq(commitlog_ack(receiver, given, count, 1, &err), 0);
    }
    put(0, 2000);
    while (receive(64) == COMMITLOG_OK) {
        ck_assert_int_eq(commitlog_ack(receiver, given, count, 1, &err), 0);
    }
    /* The records of work in the first segments go, the messages of queue 1 too. */
    ck_assert_uint_gt(retain_all().segments_dropped, 1);
    reopen(true, true);
    ck_assert_uint_eq(committed(0), 5000);
    pass_ms(60001);
    ck_assert_int_eq(receive(64), COMMITLOG_EEND); /* they are gone, as the policy said */
    ck_assert_uint_eq(committed(1), 10);
}
END_TEST

/* It would be a dead letter: there is nothing left to bury, and it is done. */
START_TEST(what_retention_has_taken_can_be_given_back)
{
    close_receiver();
    open_receiver(0, 1);
    put(1, 2);
    ck_assert_int_eq(receive(2), 0);
    ck_assert_uint_eq(count, 2);
    const struct commitlog_delivery one[] = {given[0], given[1]};
    put(0, 3000);
    ck_assert_uint_gt(retain_all().segments_dropped, 0);
    ck_assert_msg(commitlog_nack(receiver, one, 2, 0, &err) == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_eq(committed(1), 2);
    ck_assert_int_eq(commitlog_nack(receiver, one, 2, 0, &err), COMMITLOG_ENOTFOUND);
    reopen(true, true);
    ck_assert_uint_eq(committed(1), 2);
}
END_TEST

/* Of one run a part is in the segment that goes: what a fold of the log that is left knows is the
 * other part, and so is what is answered, whatever the views still have. */
START_TEST(of_what_retention_has_taken_nothing_is_told)
{
    struct commitlog_work_info work = {.struct_bytes = sizeof(work)};
    struct commitlog_queue_info queue = {.struct_bytes = sizeof(queue)};
    const struct commitlog_delivery first = {.offset = 0, .queue = 1, .attempt = 1};
    put(1, 1500);
    while (receive(64) == COMMITLOG_OK) {
    }
    ck_assert_int_eq(commitlog_group_work(group, topic, 1, 0, &work, &err), 0);
    ck_assert_uint_eq(work.offset, 0);
    ck_assert_uint_gt(retain_all().segments_dropped, 0);
    ck_assert_int_eq(commitlog_queue_info(store, topic, 1, &queue), 0);
    ck_assert(queue.first_offset > 0 && queue.first_offset < 1500);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(commitlog_group_work(group, topic, 1, 0, &work, &err), 0);
        ck_assert_uint_eq(work.offset, queue.first_offset);
        ck_assert_uint_eq(work.count, 1500 - queue.first_offset);
        ck_assert_uint_eq(work.state, COMMITLOG_WORK_PENDING);
        if (i > 0) { /* before it was no error: nobody has received since */
            ck_assert_int_eq(commitlog_ack(receiver, &first, 1, 1, &err), COMMITLOG_ENOTFOUND);
        }
        close_receiver();
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        if (i % 2 != 0) {
            forget_views();
        }
        open_store();
        open_receiver(0, 3);
    }
}
END_TEST

/* What nobody acknowledged has expired, before or after all that is left was acknowledged. */
START_TEST(what_is_done_behind_what_has_expired_is_committed)
{
    put(1, 5);
    ck_assert_int_eq(receive(5), 0);
    pass_ms(10);
    int64_t before_ns = now_ms() * MS;
    put(1, 5);
    ck_assert_int_eq(receive(5), 0);
    ck_assert_uint_eq(given[0].offset, 5);
    for (int i = 0; i < 2; i++, step_all()) {
        ck_assert_int_eq(i == _i ? commitlog_topic_expire(store, topic, before_ns, 1, &err)
                                 : commitlog_ack(receiver, given, count, 1, &err),
                         0);
    }
    ck_assert_uint_eq(committed(1), _i == 0 ? 10 : 0);
    reopen(true, true);
    ck_assert_int_eq(receive(5), COMMITLOG_EEND);
    ck_assert_uint_eq(committed(1), 10);
}
END_TEST

START_TEST(a_reset_begins_anew)
{
    put(1, 4);
    ck_assert_int_eq(receive(4), 0);
    ck_assert_int_eq(commitlog_ack(receiver, given, 3, 1, &err), 0);
    ck_assert_uint_eq(committed(1), 3);
    ck_assert_int_eq(commitlog_group_reset(group, topic, 1, COMMITLOG_FROM_OFFSET, 1, 1, &err), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(receive(1), 0);
        ck_assert_uint_eq(given[0].offset, 1 + (uint64_t)i);
        ck_assert_uint_eq(given[0].attempt, 1);
        reopen(i == 0, i == 0);
    }
    ck_assert_int_eq(commitlog_group_delete(group, 1, &err), 0);
    ck_assert_int_eq(receive(1), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_ack(receiver, given, 1, 1, &err), COMMITLOG_ENOTFOUND);
}
END_TEST

START_TEST(holes_are_done_and_damage_is_told)
{
    struct commitlog_reservation *held = NULL;
    struct commitlog_receipt receipt = {0};
    void *body = NULL;
    const struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .queue = 1, .level = 1};
    ck_assert_int_eq(commitlog_reserve(store, &record, 10, 0, &held, &body, &err), 0);
    ck_assert_int_eq(commitlog_abort(held), 0);
    ck_assert_int_eq(receive(5), COMMITLOG_EEND);
    ck_assert_uint_eq(committed(1), 1);
    ck_assert_int_eq(
        commitlog_append(store, topic, 1, "0123456789", 10, COMMITLOG_LEVEL_DURABLE, &receipt), 0);
    put(1, 1500);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    ck_assert_int_eq(commitlog_fault_flip(machine, "/store/log/00000000000000000000.log",
                                          receipt.position + 50, 3),
                     0);
    ck_assert_int_eq(receive(5), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(committed(1), 2);
    ck_assert_int_eq(receive(5), 0);
    ck_assert_uint_eq(count, 5);
    ck_assert_uint_eq(given[0].offset, 2);
}
END_TEST

START_TEST(what_is_given_out_can_be_looked_at)
{
    struct commitlog_work_info info = {.struct_bytes = sizeof(info)};
    put(1, 10);
    ck_assert_int_eq(commitlog_group_work(group, topic, 1, 0, &info, &err), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(receive(8), 0);
    ck_assert_int_eq(commitlog_ack(receiver, &given[4], 2, 1, &err), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(commitlog_group_work(group, topic, 1, 0, &info, &err), 0);
        ck_assert_uint_eq(info.state, COMMITLOG_WORK_PENDING);
        ck_assert_uint_eq(info.offset, 0);
        ck_assert_uint_eq(info.count, 4);
        ck_assert_uint_eq(info.attempts, 1);
        ck_assert_int_gt(info.visible_at_ms, now_ms());
        ck_assert_int_eq(commitlog_group_work(group, topic, 1, 4, &info, &err), 0);
        ck_assert_uint_eq(info.state, COMMITLOG_WORK_DONE);
        ck_assert_uint_eq(info.count, 2);
        ck_assert_int_eq(commitlog_group_work(group, topic, 1, 6, &info, &err), 0);
        ck_assert_uint_eq(info.offset, 6);
        ck_assert_int_eq(commitlog_group_work(group, topic, 1, 8, &info, &err),
                         COMMITLOG_ENOTFOUND);
        reopen(true, i == 0);
    }
    ck_assert_int_eq(commitlog_group_work(group, topic, 77, 0, &info, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_group_work(group, topic, 1, 0, NULL, &err), COMMITLOG_EINVAL);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    struct commitlog_receiver *other = NULL;
    struct commitlog_receiver_options options = {.struct_bytes = sizeof(options), .flags = 4};
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &other, &err),
                     COMMITLOG_EINVAL);
    options = (struct commitlog_receiver_options){
        .struct_bytes = sizeof(options), .flags = COMMITLOG_RECEIVE_DEAD_TOPIC, .dead_topic = 77};
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &other, &err),
                     COMMITLOG_EINVAL);
    options.dead_topic = UINT32_MAX;
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &other, &err),
                     COMMITLOG_EINVAL);
    options.flags = 0;
    options.visibility_ms = -1;
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &other, &err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_receiver_open(group, 99, NULL, &other, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_receiver_open(NULL, topic, NULL, &other, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, 0, 0, &count, &err),
                     COMMITLOG_EINVAL);
    const struct commitlog_delivery never[2] = {{.offset = 5, .queue = 1, .attempt = 1},
                                                {.offset = 5, .queue = 99, .attempt = 1}};
    ck_assert_int_eq(commitlog_ack(receiver, never, 2, 1, &err), COMMITLOG_ENOTFOUND);
    commitlog_receiver_close(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work");
    TCase *single = tcase_create("single");
    tcase_set_timeout(single, 60);
    tcase_add_checked_fixture(single, work_setup, work_teardown);
    tcase_add_test(single, each_message_is_given_once_until_its_time_is_over);
    tcase_add_test(single, what_is_acknowledged_never_comes_again);
    tcase_add_test(single, time_is_extended_and_given_back);
    tcase_add_loop_test(single, after_the_last_attempt_it_is_a_dead_letter, 0, 2);
    tcase_add_loop_test(single, a_dead_letter_can_die_again, 0, 2);
    tcase_add_test(single, a_dead_letter_that_cannot_be_copied_is_referred_to);
    tcase_add_test(single, dead_letters_go_to_each_queue_in_turn);
    tcase_add_test(single, what_refers_to_nothing_any_more_stops_no_worker);
    tcase_add_test(single, in_order_one_of_a_queue_at_a_time);
    tcase_add_test(single, what_retention_takes_is_over);
    tcase_add_test(single, what_retention_has_taken_can_be_given_back);
    tcase_add_test(single, of_what_retention_has_taken_nothing_is_told);
    tcase_add_loop_test(single, what_is_done_behind_what_has_expired_is_committed, 0, 2);
    tcase_add_test(single, a_reset_begins_anew);
    tcase_add_test(single, holes_are_done_and_damage_is_told);
    tcase_add_test(single, what_is_given_out_can_be_looked_at);
    tcase_add_test(single, what_cannot_be_is_refused);
    suite_add_tcase(suite, single);
    return run_suite(suite);
}
