/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_timers.c -- delayed messages: never early, once, not after a cancel; what is kept for them
 * and what is said of them. test_timers_model.c does the same at random, test_timers_faults.c lets
 * calls fail.
 */
#include "support/run_suite.h"
#include "unit/timer_fixture.h"

static const uint8_t filling_bytes[64];

static void timers_setup(void)
{
    setup();
    open_store();
}

START_TEST(a_message_comes_when_it_is_due_and_whole)
{
    struct commitlog_receipt receipt;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_slice key;
    struct commitlog_header header;
    struct commitlog_slice tag = {"late", 4};
    uint32_t count = 0;
    int64_t due = now_ms() + 1000;
    ck_assert_msg(delay(2, 77, due, 1, &receipt) == 0, "%s", err.message);
    step_all();
    ck_assert_uint_eq(queue_end(2), 0);
    pass_ms(due - now_ms() - 1);
    step_all();
    ck_assert_uint_eq(queue_end(2), 0);
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
    pass_ms(2);
    step_all();
    ck_assert_uint_eq(queue_end(2), 1);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 2, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &tag, 1), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_int_ge(message.store_time_ns, due * MS);
    ck_assert_int_eq(message.deliver_at_ms, due);
    ck_assert_uint_eq(message.origin_position, receipt.position);
    ck_assert_uint_eq(message.queue, 2);
    ck_assert_uint_eq(message.queue_offset, 0);
    ck_assert_uint_eq(message.body.bytes, 4);
    ck_assert_uint_eq(*(const uint8_t *)message.body.data, 77);
    ck_assert_int_eq(commitlog_message_key(&message, 0, &key), 0);
    ck_assert_mem_eq(key.data, "key", 3);
    ck_assert_int_eq(commitlog_message_header(&message, 0, &header), 0);
    ck_assert_mem_eq(header.value.data, "value", 5);
    commitlog_cursor_close(cursor);
    struct commitlog_lease *lease = NULL;
    ck_assert_int_eq(commitlog_get(store, message.position, &message, &lease, &err), 0);
    ck_assert_uint_eq(message.origin_position, receipt.position);
    ck_assert_uint_eq(message.body.bytes, 4);
    commitlog_lease_release(lease);
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_uint_eq(message.queue, 2);
    ck_assert_uint_eq(message.origin_position, receipt.position);
    commitlog_cursor_close(cursor);
    step_all();
    ck_assert_uint_eq(queue_end(2), 1);
}
END_TEST

START_TEST(a_time_that_has_passed_is_none)
{
    const int64_t times[] = {1, now_ms() - 1, now_ms()};
    struct commitlog_receipt receipt;
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(delay(1, i, times[i], 1, &receipt), 0);
        ck_assert_uint_eq(receipt.queue_offset, i);
        ck_assert_uint_eq(queue_end(1), i + 1);
        ck_assert_int_eq(commitlog_get(store, receipt.position, &message, &lease, &err), 0);
        ck_assert_uint_eq(message.kind, COMMITLOG_KIND_MESSAGE);
        ck_assert_int_eq(message.deliver_at_ms, times[i]);
        ck_assert_uint_eq(message.origin_position, 0);
        commitlog_lease_release(lease);
    }
    step_all();
    ck_assert_uint_eq(queue_end(1), 3);
    restart(true);
    step_all();
    ck_assert_uint_le(queue_end(1), 3);
}
END_TEST

START_TEST(a_delivery_costs_at_most_a_hundred_bytes)
{
    struct commitlog_receipt receipts[2];
    uint64_t before = store_positions().claimed;
    ck_assert_int_eq(delay(1, 1, now_ms() - 1, 1, &receipts[0]), 0);
    const uint64_t plain = receipts[0].end_position - receipts[0].position;
    before = store_positions().claimed;
    ck_assert_int_eq(delay(1, 1, now_ms() + 10, 1, &receipts[1]), 0);
    pass_ms(20);
    step_all();
    ck_assert_uint_eq(queue_end(1), 2);
    /* The time to deliver is part of the message in both; one key. */
    ck_assert_uint_le(store_positions().claimed - before - plain, 100);
    const struct commitlog_slice body = {filling_bytes, 64};
    struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .body = &body, .body_count = 1};
    ck_assert_int_eq(commitlog_append_record(store, &record, 0, &receipts[0], &err), 0);
    before = store_positions().claimed;
    record.deliver_at_ms = now_ms() + 10;
    ck_assert_int_eq(commitlog_append_record(store, &record, 0, &receipts[1], &err), 0);
    pass_ms(20);
    step_all();
    ck_assert_uint_le(store_positions().claimed - before -
                          (receipts[0].end_position - receipts[0].position),
                      100);
}
END_TEST

START_TEST(times_that_cannot_be_are_refused)
{
    uint64_t end = store_positions().claimed;
    ck_assert_int_eq(delay(0, 1, -5, 1, NULL), COMMITLOG_ETOOSMALL);
    ck_assert_int_eq(delay(0, 1, INT64_C(9223372036855), 1, NULL), COMMITLOG_ETOOBIG);
    ck_assert_int_eq(delay(0, 1, INT64_MAX, 1, NULL), COMMITLOG_ETOOBIG);
    ck_assert_uint_eq(store_positions().claimed, end);
    ck_assert_int_eq(delay(0, 1, INT64_C(9223372036854), 1, NULL), 0);
}
END_TEST

START_TEST(those_that_wait_are_told)
{
    struct commitlog_receipt receipts[3];
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    const int64_t now = now_ms();
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(delay(i, i, now + 300000 - (int64_t)i * 100000, 3, &receipts[i]), 0);
    }
    for (int i = 0; i < 2; i++) {
        uint64_t seen = 0;
        for (uint32_t index = 0; index < 3; index++) {
            ck_assert_int_eq(commitlog_timer_at(store, index, &info), 0);
            ck_assert_uint_eq(info.topic, topic);
            ck_assert_uint_lt(info.queue, 3);
            ck_assert_uint_eq(info.timer, receipts[info.queue].position);
            ck_assert_uint_eq(info.position, info.timer);
            ck_assert_int_eq(info.deliver_at_ms, now + 300000 - (int64_t)info.queue * 100000);
            ck_assert(index != 0 || info.queue == 2);
            seen |= 1u << info.queue;
        }
        ck_assert_uint_eq(seen, 7);
        ck_assert_int_eq(commitlog_timer_at(store, 3, &info), COMMITLOG_ENOTFOUND);
        restart(i == 0);
    }
    ck_assert_int_eq(commitlog_timer_at(store, 0, NULL), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_timer_cancel(store, receipts[2].position, 1, &err), 0);
    ck_assert_int_eq(commitlog_timer_at(store, 0, &info), 0);
    ck_assert_uint_eq(info.queue, 1);
}
END_TEST

START_TEST(the_levels_are_those_of_rocketmq)
{
    static const int64_t seconds[] = {0,   1,   5,   10,  30,  60,   120,  180,  240,  300,
                                      360, 420, 480, 540, 600, 1200, 1800, 3600, 7200, 7200};
    for (uint32_t level = 0; level < 20; level++) {
        ck_assert_int_eq(commitlog_delay_level_ms(level), seconds[level] * 1000);
    }
    ck_assert_int_eq(commitlog_delay_level_ms(UINT32_MAX), 7200000);
}
END_TEST

START_TEST(what_is_cancelled_never_comes)
{
    struct commitlog_receipt one;
    struct commitlog_receipt other;
    ck_assert_int_eq(delay(0, 1, now_ms() + 100, 1, &one), 0);
    ck_assert_int_eq(delay(0, 2, now_ms() + 100, 1, &other), 0);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position, 9, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position + 8, 1, &err), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position, COMMITLOG_LEVEL_DURABLE, &err), 0);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position, 1, &err), COMMITLOG_ENOTFOUND);
    restart(true);
    pass_ms(200);
    step_all();
    ck_assert_uint_eq(queue_end(0), 1);
    ck_assert_int_eq(commitlog_timer_cancel(store, other.position, 1, &err), COMMITLOG_ENOTFOUND);
}
END_TEST

START_TEST(what_waits_is_carried_and_keeps_its_handle)
{
    struct commitlog_receipt one;
    struct commitlog_receipt other;
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    ck_assert_int_eq(delay(3, 1, now_ms() + 100000, 1, &one), 0);
    ck_assert_int_eq(delay(3, 2, now_ms() + 100000, 1, &other), 0);
    put(0, 4000);
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    ck_assert_uint_gt(retained.segments_dropped, 0);
    ck_assert_uint_gt(retained.bytes_carried, 0);
    restart(false);
    forget_views();
    restart(false);
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position, 1, &err), 0);
    put(0, 4000);
    pass_ms(200000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    put(0, 8000); /* the reference outlives what it refers to, or is a copy: never another record */
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, 3, &info), 0);
    ck_assert_uint_eq(info.next_offset, 1);
}
END_TEST

static uint32_t fill_with_delayed(uint64_t bytes)
{
    struct commitlog_receipt receipt;
    uint64_t end = store_positions().claimed + bytes;
    uint32_t count = 0;
    while (store_positions().claimed < end) {
        ck_assert_int_eq(delay(1, count++, now_ms() + 100000, 1, &receipt), 0);
    }
    return count;
}

/* A segment of nothing else may go; but the log stays twice as large as what waits. */
START_TEST(what_waits_may_be_half_of_the_log)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    uint32_t count = fill_with_delayed(120000);
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), COMMITLOG_EBUSY);
    ck_assert_ptr_nonnull(strstr(err.message, "wait for their time"));
    ck_assert_uint_eq(retained.segments_dropped, 0);
    for (int i = 0; i < 60 && retained.segments_dropped == 0; i++) {
        put(0, 1000);
        int32_t rc = commitlog_retain(store, &policy, &retained, &err);
        ck_assert(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY);
    }
    ck_assert_uint_gt(retained.segments_dropped, 0);
    ck_assert_uint_gt(retained.bytes_carried, 30000);
    restart(true);
    pass_ms(200000);
    for (int i = 0; i < 20 && queue_end(1) < count; i++) {
        step_all();
    }
    ck_assert_uint_eq(queue_end(1), count);
}
END_TEST

START_TEST(a_reference_whose_original_is_gone_is_expired)
{
    struct commitlog_receipt one;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    uint32_t count = 0;
    uint64_t bound = 0;
    put(0, 4000);
    ck_assert_int_eq(delay(3, 1, now_ms() + 1000, 1, &one), 0); /* in the newer half */
    put(0, 1300);
    pass_ms(2000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    ck_assert_uint_gt(retained.first, one.position);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 3, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound);
    ck_assert_int_eq(rc, COMMITLOG_EEXPIRED);
    ck_assert_uint_eq(bound, 0);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound),
                     COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
    /* A query by key gives what there is. */
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}
END_TEST

/* A group that keeps what it has not consumed keeps what that refers to. */
START_TEST(a_group_that_keeps_keeps_originals_too)
{
    struct commitlog_receipt one;
    struct commitlog_group *group = NULL;
    struct commitlog_message message;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_group_offset offset = {.topic = 0, .queue = 3, .offset = 0};
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    offset.topic = topic;
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, 1, -1, NULL, &err), 0);
    put(0, 4000);
    ck_assert_int_eq(delay(3, 1, now_ms() + 1000, 1, &one), 0); /* in the newer half */
    put(0, 1300);
    pass_ms(2000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    put(0, 3000);
    const struct commitlog_retained retained = retain_all();
    ck_assert_uint_gt(retained.segments_dropped, 0); /* those before it */
    ck_assert_uint_le(retained.first, one.position);
    ck_assert_uint_eq(retained.kept_from, one.position);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 3, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_uint_eq(message.origin_position, one.position);
    commitlog_cursor_close(cursor);
    offset.offset = 1;
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, 1, -1, NULL, &err), 0);
    ck_assert_uint_gt(retain_all().first, one.position);
    commitlog_group_close(group);
}
END_TEST

START_TEST(a_close_delivers_what_is_due)
{
    struct commitlog_receipt receipt;
    ck_assert_int_eq(delay(2, 1, now_ms() + 100, 1, &receipt), 0);
    ck_assert_int_eq(delay(2, 2, now_ms() + 1000, 1, &receipt), 0);
    pass_ms(200);
    restart(false);
    ck_assert_uint_eq(queue_end(2), 1);
}
END_TEST

/* It is due, but what lies before it is not there yet: no error, and it comes when it can. */
START_TEST(an_open_reservation_holds_it_back_and_nothing_is_reported)
{
    struct commitlog_receipt receipt;
    struct commitlog_reservation *held = NULL;
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    void *body = NULL;
    const struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .queue = 0, .level = 1};
    ck_assert_int_eq(commitlog_reserve(store, &record, 10, 0, &held, &body, &err), 0);
    ck_assert_int_eq(delay(2, 1, now_ms() + 100, 1, &receipt), 0);
    pass_ms(200);
    step_all();
    while (commitlog_event_next(store, &event) == COMMITLOG_OK) {
        ck_assert_msg(event.severity != COMMITLOG_EVENT_ERROR, "%s", event.detail.message);
    }
    memset(body, 0, 10);
    ck_assert_int_eq(commitlog_commit(held, 0, &receipt, &err), 0);
    step_all();
    ck_assert_uint_eq(queue_end(2), 1);
}
END_TEST

/* Of the message, not of what refers to it; and one that never came is damage too. */
START_TEST(damage_is_named_where_it_lies)
{
    struct commitlog_receipt receipts[2];
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    ck_assert_int_eq(delay(1, 1, now_ms() + 100, 3, &receipts[0]), 0);
    ck_assert_int_eq(delay(1, 2, now_ms() + 100000, 3, &receipts[1]), 0);
    pass_ms(200);
    step_all();
    ck_assert_uint_eq(queue_end(1), 1);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    put(0, 2000); /* the segment is another's than the writer's ring */
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(commitlog_fault_flip(machine, "/store/log/00000000000000000000.log",
                                              receipts[i].end_position - 12, 3),
                         0);
    }
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL),
                     COMMITLOG_EDAMAGED);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_damage_get(store, 0, &damage), 0);
    ck_assert_uint_eq(damage.from_position, receipts[0].position);
    ck_assert_int_eq(commitlog_damage_get(store, 1, &damage), COMMITLOG_ENOTFOUND);
    pass_ms(200000);
    step_all();
    ck_assert_int_eq(commitlog_damage_get(store, 1, &damage), 0);
    ck_assert_uint_eq(damage.from_position, receipts[1].position);
    ck_assert_uint_eq(queue_end(1), 1);
}
END_TEST

/* It cannot be carried forward; retention says so, and goes on. */
START_TEST(what_waits_and_is_damaged_does_not_stop_retention)
{
    struct commitlog_receipt receipts[2];
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    uint64_t told = 0;
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(delay(1, 1, now_ms() + 100000, 3, &receipts[i]), 0);
    }
    put(0, 3000);
    ck_assert_int_eq(commitlog_fault_flip(machine, "/store/log/00000000000000000000.log",
                                          receipts[0].end_position - 12, 3),
                     0);
    ck_assert_uint_gt(retain_all().segments_dropped, 0);
    while (told == 0 && commitlog_event_next(store, &event) == COMMITLOG_OK) {
        told = event.severity == COMMITLOG_EVENT_ERROR ? event.detail.position : 0;
    }
    ck_assert_uint_eq(told, receipts[0].position);
    ck_assert_int_eq(commitlog_timer_at(store, 0, &info), 0);
    ck_assert_uint_eq(info.timer, receipts[1].position);
    ck_assert_uint_gt(info.position, info.timer);
    ck_assert_int_eq(commitlog_timer_at(store, 1, &info), COMMITLOG_ENOTFOUND);
    forget_views();
    restart(true);
    ck_assert_int_eq(commitlog_timer_at(store, 1, &info), COMMITLOG_ENOTFOUND);
    pass_ms(200000);
    step_all();
    ck_assert_uint_eq(queue_end(1), 1);
}
END_TEST

static int32_t delay_once(uint64_t sequence, int64_t due_ms, struct commitlog_receipt *receipt)
{
    struct commitlog_slice body = {"once", 4};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = 4,
                                      .level = COMMITLOG_LEVEL_DURABLE,
                                      .body = &body,
                                      .body_count = 1,
                                      .producer_id = 11,
                                      .sequence = sequence,
                                      .producer_epoch = 1,
                                      .deliver_at_ms = due_ms};
    return commitlog_append_record(store, &record, 0, receipt, &err);
}

/* Its producer gives it again before and after it was delivered, at once or later, to a store that
 * was opened again: it is the same timer. What carry-forward stores again is nobody's append. */
START_TEST(a_producer_may_repeat_what_waits)
{
    struct commitlog_receipt first;
    struct commitlog_receipt again;
    struct commitlog_retained retained;
    const int64_t due = now_ms() + 1000;
    ck_assert_int_eq(delay_once(1, due, &first), 0);
    ck_assert_uint_eq(first.duplicate, 0);
    for (int i = 0; i < 4; i++) {
        ck_assert_msg(delay_once(1, due + i, &again) == 0, "%s", err.message);
        ck_assert_uint_eq(again.duplicate, 1);
        ck_assert_uint_eq(again.position, first.position);
        if (i == 0) {
            put(0, 3000);
            retained = retain_all();
            ck_assert_uint_gt(retained.bytes_carried, 0);
        } else {
            forget_views();
            restart(i == 2);
        }
    }
    pass_ms(5000);
    step_all();
    ck_assert_uint_eq(queue_end(4), 1);
    ck_assert_int_eq(delay_once(1, due, &again), 0);
    ck_assert_uint_eq(again.duplicate, 1);
    ck_assert_int_eq(delay_once(2, 1, &again), 0); /* has passed: at once, and is known too */
    ck_assert_uint_eq(again.duplicate, 0);
    restart(true);
    ck_assert_int_eq(delay_once(2, 1, &again), 0);
    ck_assert_uint_eq(again.duplicate, 1);
    step_all();
    ck_assert_uint_eq(queue_end(4), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timers");
    TCase *single = tcase_create("single");
    tcase_add_checked_fixture(single, timers_setup, teardown);
    tcase_add_test(single, a_message_comes_when_it_is_due_and_whole);
    tcase_add_test(single, a_time_that_has_passed_is_none);
    tcase_add_test(single, a_delivery_costs_at_most_a_hundred_bytes);
    tcase_add_test(single, times_that_cannot_be_are_refused);
    tcase_add_test(single, those_that_wait_are_told);
    tcase_add_test(single, the_levels_are_those_of_rocketmq);
    tcase_add_test(single, what_is_cancelled_never_comes);
    tcase_add_test(single, what_waits_is_carried_and_keeps_its_handle);
    tcase_add_test(single, what_waits_may_be_half_of_the_log);
    tcase_add_test(single, a_reference_whose_original_is_gone_is_expired);
    tcase_add_test(single, a_group_that_keeps_keeps_originals_too);
    tcase_add_test(single, a_close_delivers_what_is_due);
    tcase_add_test(single, an_open_reservation_holds_it_back_and_nothing_is_reported);
    tcase_add_test(single, damage_is_named_where_it_lies);
    tcase_add_test(single, what_waits_and_is_damaged_does_not_stop_retention);
    tcase_add_test(single, a_producer_may_repeat_what_waits);
    suite_add_tcase(suite, single);
    return run_suite(suite);
}
