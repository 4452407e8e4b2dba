/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_timers_edges.c -- delayed messages where something else is not as it should be: hostile or
 * damaged stores, bad sectors, a full disk, open reservations, groups that hold retention back.
 */
#include "support/run_suite.h"
#include "unit/raw_timer_fixture.h"

/* A store may say so: by hostility, or because the topic's definition was lost with what was
 * damaged. */
START_TEST(a_timer_for_a_queue_that_is_not_there_kills_nobody)
{
    struct commitlog_receipt other;
    (void)append_timer_raw(&(struct clg_deliver_at){.due_ms = now_ms() + 10, .queue_number = 999});
    ck_assert_int_eq(delay_bytes(1, 10, now_ms() + 100, 1, &other), 0);
    reopen();
    pass_ms(500);
    step_all();
    ck_assert_uint_eq(queue_end(1), 1);
    reopen();
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_timer_at(store, 0, &info), 0); /* it can be had, and cancelled */
    ck_assert_uint_eq(info.topic, UINT32_MAX);
    ck_assert_int_eq(commitlog_timer_cancel(store, info.timer, 3, &err), 0);
}
END_TEST

/* As a .state that says so would have it: of what is due one lies at nothing, at a cancel, at
 * another timer, beyond the end. */
START_TEST(timers_that_lie_where_none_is_are_given_up)
{
    struct commitlog_receipt one;
    struct commitlog_receipt other;
    ck_assert_int_eq(delay_bytes(1, 10, now_ms() + 100000, 1, &one), 0);
    ck_assert_int_eq(delay_bytes(1, 10, now_ms() + 100000, 1, &other), 0);
    uint64_t cancel = store_positions().claimed;
    ck_assert_int_eq(commitlog_timer_cancel(store, one.position, 1, &err), 0);
    put(0, 3000);
    const uint64_t positions[] = {cancel, other.position, CLG_POSITION_MAX / 8 * 8 - 800,
                                  one.position + 8, store_positions().claimed + 4096};
    const struct clg_timer timer = {.id = one.position,
                                    .position = positions[_i],
                                    .due_ms = now_ms() + 1,
                                    .queue_number = 1,
                                    .size = 2048};
    ck_assert_int_eq(clg_timer_table_prepare(&store->timers, 1), 0);
    clg_timer_add(&store->timers, &timer);
    ck_assert_int_eq(delay_bytes(2, 10, now_ms() + 5, 1, NULL), 0);
    pass_ms(100);
    step_all();
    ck_assert_uint_eq(queue_end(1), 0);
    ck_assert_uint_eq(queue_end(2), 1);
    ck_assert_int_eq(clg_timer_find(&store->timers, one.position, NULL), false);
}
END_TEST

START_TEST(references_to_anything_do_not_stop_a_reader)
{
    struct commitlog_message message;
    uint64_t end = store_positions().claimed;
    const uint64_t positions[] = {end, end + 80, end + (1u << 20),      CLG_POSITION_MAX / 8 * 8,
                                  0,   8,        CLG_SEGMENT_DATA_START};
    (void)append_reference_raw(1, positions[_i], 77);
    put(1, 1);
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    uint64_t bound = 99;
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound);
    ck_assert_msg(rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_EDAMAGED, "%s",
                  commitlog_error_name(rc));
    ck_assert_uint_eq(bound, 0);
    commitlog_cursor_close(cursor);
}
END_TEST

static void expire_some(void)
{
    struct commitlog_retained retained;
    struct commitlog_receipt one;
    put(0, 4000);
    ck_assert_int_eq(delay_bytes(3, 10, now_ms() + 1000, 1, &one), 0); /* in the newer half */
    put(0, 1300);
    pass_ms(2000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    ck_assert_int_eq(retain(1, &retained), 0);
    ck_assert_uint_gt(retained.first, one.position);
}

/* Newest first, the one that is gone is met before older ones. */
START_TEST(a_query_by_key_passes_what_has_expired)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    expire_some();
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}
END_TEST

/* KEEP: retention keeps what the group has not consumed. */
START_TEST(a_group_that_keeps_keeps_originals)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 3, .offset = 0};
    struct commitlog_retained retained;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_KEEP | COMMITLOG_GROUP_CREATE, &group,
                                          &err),
                     0);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, 1, 0, NULL, &err), 0);
    put(0, 4000);
    ck_assert_int_eq(delay_bytes(3, 10, now_ms() + 1000, 1, NULL), 0);
    put(0, 1300);
    pass_ms(2000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    ck_assert_int_eq(retain(1, &retained), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 3, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
    ck_assert_msg(rc == 0, "%s", commitlog_error_name(rc));
    commitlog_cursor_close(cursor);
    commitlog_group_close(group);
}
END_TEST

static uint32_t warnings(void)
{
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    uint32_t count = 0;
    while (commitlog_event_next(store, &event) == COMMITLOG_OK) {
        count++;
    }
    return count;
}

/* What lies behind an open reservation cannot be read yet: no error, and no second late. */
START_TEST(what_is_due_behind_a_reservation_waits_for_it)
{
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .queue = 0, .level = 1};
    void *body = NULL;
    uint32_t wait_ms = 0;
    ck_assert_int_eq(delay_bytes(2, 10, now_ms() + 12, 1, NULL), 0);
    ck_assert_int_eq(commitlog_reserve(store, &record, 10, 0, &reservation, &body, &err), 0);
    ck_assert_int_eq(delay_bytes(1, 10, now_ms() + 10, 1, NULL), 0);
    pass_ms(20);
    ck_assert_int_eq(commitlog_step(store, 0, &wait_ms), 0);
    memset(body, 0, 10);
    ck_assert_int_eq(commitlog_commit(reservation, 0, NULL, &err), 0);
    ck_assert_uint_eq(warnings(), 0);
    ck_assert_uint_le(wait_ms, 10);
    step_all();
    ck_assert_uint_eq(queue_end(1), 1);
    ck_assert_uint_eq(queue_end(2), 1);
}
END_TEST

/* The stage has no room while a reservation in it is open: no error, and delivered when it has. */
START_TEST(what_is_due_waits_for_room_and_nothing_is_reported)
{
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .queue = 0, .level = 1};
    void *body = NULL;
    uint32_t wait_ms = 0;
    int32_t rc = 0;
    ck_assert_int_eq(delay_bytes(2, 10, now_ms() + 10, 1, NULL), 0);
    ck_assert_int_eq(commitlog_reserve(store, &record, 10, 0, &reservation, &body, &err), 0);
    for (uint32_t i = 0; rc == 0 && i < 100000; i++) {
        rc = commitlog_append_record(store, &record, 0, NULL, &err);
    }
    ck_assert_int_eq(rc, COMMITLOG_ETIMEDOUT);
    pass_ms(20);
    ck_assert_int_eq(commitlog_step(store, 0, &wait_ms), 0);
    ck_assert_uint_eq(warnings(), 0);
    ck_assert_uint_eq(queue_end(2), 0);
    memset(body, 0, 10);
    ck_assert_int_eq(commitlog_commit(reservation, 0, NULL, &err), 0);
    step_all();
    ck_assert_uint_eq(queue_end(2), 1);
}
END_TEST

/* In the newer half a reference would do, were retention not about to take what it refers to. */
START_TEST(what_retention_is_about_to_take_is_copied)
{
    struct commitlog_retained retained;
    struct commitlog_message message;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_receipt one;
    uint32_t count = 0;
    put(0, 4000);
    ck_assert_int_eq(delay_bytes(3, 10, now_ms() + 1000, 1, &one), 0);
    put(0, 1300);
    clg_store_release_u64(&store->retention_goes_below, one.end_position);
    pass_ms(2000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    ck_assert_int_eq(retain(1, &retained), 0);
    ck_assert_uint_gt(retained.first, one.position);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 3, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
    ck_assert_msg(rc == 0, "%s", commitlog_error_name(rc));
    commitlog_cursor_close(cursor);
}
END_TEST

/* commitlog_step says when to come back; what it has just delivered has to be drained and, at a
 * time, flushed. */
START_TEST(a_step_that_delivers_comes_back_for_it)
{
    uint32_t wait_ms = 0;
    ck_assert_int_eq(delay_bytes(1, 10, now_ms() + 1000, 1, NULL), 0);
    int64_t late = now_ms() + 100000;
    for (int i = 0; i < 1000 && now_ms() < late && queue_end(1) == 0; i++) {
        ck_assert_int_eq(commitlog_step(store, 0, &wait_ms), 0);
        if (queue_end(1) == 0) {
            pass_ms(wait_ms == 0 ? 1 : wait_ms);
        }
    }
    ck_assert_uint_eq(queue_end(1), 1);
    for (int i = 0; i < 1000; i++) { /* as its caller does: sleeps as long as it says */
        if (wait_ms == UINT32_MAX) {
            break;
        }
        pass_ms(wait_ms == 0 ? 1 : wait_ms);
        ck_assert_int_eq(commitlog_step(store, 0, &wait_ms), 0);
    }
    ck_assert_uint_eq(store_positions().durable, store_positions().published);
}
END_TEST

/* Segments are smaller from now on than a message that waits. */
START_TEST(one_that_does_not_fit_any_more_stops_no_other)
{
    struct commitlog_retained retained;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    segment_bytes = 1 << 20;
    store = NULL;
    open_store();
    put(0, 8000);
    ck_assert_int_eq(delay_bytes(1, 200000, now_ms() + 100, 3, NULL), 0);
    ck_assert_int_eq(delay_bytes(2, 200000, now_ms() + 100000, 3, NULL), 0);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    segment_bytes = 65536;
    store = NULL;
    open_store();
    put(0, 20000);
    ck_assert_int_eq(delay_bytes(3, 10, now_ms() + 500, 3, NULL), 0);
    pass_ms(2000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    ck_assert_int_eq(retain(1, &retained),
                     COMMITLOG_ETOOBIG); /* nothing that waits is lost for it */
}
END_TEST

static void spoil(const struct commitlog_receipt *receipt, bool unreadable)
{
    const uint64_t base = receipt->position / segment_bytes * segment_bytes;
    const char *name = NULL;
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/log", i, &name) == 0; i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "/store/log/%s", name);
        if (strtoull(name, NULL, 10) == base) {
            if (unreadable) {
                ck_assert_int_eq(
                    commitlog_fault_bad_range(machine, path, receipt->position - base, 64), 0);
            } else {
                ck_assert_int_eq(
                    commitlog_fault_flip(machine, path, receipt->end_position - base - 20, 1), 0);
            }
            return;
        }
    }
    ck_abort_msg("no segment of %llu", (unsigned long long)receipt->position);
}

/* Where the log is read by pread: a bad sector is EIO each time. */
START_TEST(one_in_a_bad_sector_stops_no_other)
{
    struct commitlog_receipt one;
    struct commitlog_retained retained;
    ck_assert_int_eq(delay_bytes(1, 100, now_ms() + (_i / 2 == 0 ? 100 : 1000000), 3, &one), 0);
    put(0, 3000);
    ck_assert_int_eq(delay_bytes(2, 10, now_ms() + 200, 3, NULL), 0);
    step_all();
    spoil(&one, _i % 2 == 0);
    store->options.values[COMMITLOG_OPT_BORROW] = 0;
    pass_ms(1000);
    step_all();
    ck_assert_uint_eq(queue_end(2), 1);
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    int32_t rc = _i % 2 == 0 ? retain(1, &retained) : commitlog_retain(store, &policy, NULL, NULL);
    retained.first = store_positions().first;
    if (_i % 2 == 0) { /* it may be read another time: it is not lost for that, but says its name */
        char name[64];
        (void)snprintf(name, sizeof(name), "timer %llu", (unsigned long long)one.position);
        ck_assert_int_eq(rc, COMMITLOG_EIO);
        ck_assert_msg(strstr(err.message, name) != NULL, "%s", err.message);
        ck_assert_int_eq(commitlog_timer_cancel(store, one.position, 1, &err), 0);
        rc = retain(1, &retained);
    }
    ck_assert_msg(rc == 0, "retain: %s", err.message);
    ck_assert_uint_gt(retained.first, one.position);
    reopen();
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_timer_at(store, 0, &info), COMMITLOG_ENOTFOUND);
}
END_TEST

/* A full disk: retention must be able to carry what waits before it frees anything. */
START_TEST(a_full_disk_does_not_stop_retention_for_ever)
{
    struct commitlog_retained retained;
    int32_t rc = 0;
    commitlog_fault_set_free(machine, 65536 * 6);
    uint32_t waiting = 0;
    for (int i = 0; i < 31; i++) { /* about a segment of them */
        ck_assert_int_eq(delay_bytes(1, 2000 - 120, now_ms() + 1000000, 1, NULL), 0);
        waiting++;
    }
    for (uint32_t i = 0; rc == 0 && i < 100000; i++) {
        rc = commitlog_append(store, topic, 0, filling, 1000, 1, NULL);
        if (i % 16 == 0) {
            step_all();
        }
    }
    ck_assert_int_eq(rc, COMMITLOG_ENOSPC);
    for (int i = 0; i < 10; i++) {
        rc = retain(65536 * 3, &retained);
        step_all();
        if (rc == 0) {
            break;
        }
    }
    ck_assert_msg(rc == 0, "retain: %s", err.message);
    ck_assert_int_eq(commitlog_append(store, topic, 0, filling, 1000, 1, NULL), 0);
    struct commitlog_timer_info info = {.struct_bytes = sizeof(info)};
    for (uint32_t i = 0; i < waiting; i++) {
        ck_assert_int_eq(commitlog_timer_at(store, i, &info), COMMITLOG_OK);
    }
}
END_TEST

/* "more than half of the log": of bytes that are there, however small the messages. */
START_TEST(small_messages_count_as_what_they_are)
{
    struct commitlog_retained retained;
    for (int i = 0; i < 200; i++) {
        ck_assert_int_eq(delay_bytes(1, 10, now_ms() + 1000000, 1, NULL), 0);
    }
    put(0, 8000);
    int32_t rc = retain(1, &retained);
    ck_assert_msg(rc == 0, "%s", err.message);
}
END_TEST

/* Retention by age: where little is written, what is old may lie in the newer half of the log. */
START_TEST(what_has_just_come_is_not_too_old)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_receipt one;
    uint32_t count = 0;
    store->options.values[COMMITLOG_OPT_RETAIN_AGE_MS] = 60000;
    put(0, 700);
    ck_assert_int_eq(delay_bytes(3, 10, now_ms() + 55000, 1, &one), 0);
    put(0, 300);
    pass_ms(56000);
    step_all();
    ck_assert_uint_eq(queue_end(3), 1);
    pass_ms(10000);
    step_all();
    ck_assert_uint_gt(store_positions().first, one.position);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 3, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
    ck_assert_msg(rc == COMMITLOG_OK, "%s", commitlog_error_name(rc));
    commitlog_cursor_close(cursor);
}
END_TEST

static int64_t set_forward_ns; /* somebody sets the machine's clock */

static int64_t other_wall(const struct commitlog_os *os)
{
    return commitlog_fault_os(machine)->clock_wall_ns(os) + set_forward_ns;
}

/* However far away the next one is: upkeep is told to come back within a second, and finds a clock
 * that was set meanwhile. Nothing else is due. */
START_TEST(a_clock_that_is_set_is_seen_within_a_second)
{
    struct commitlog_os table = *commitlog_fault_os(machine);
    struct commitlog_receipt receipt;
    uint32_t wait_ms = 0;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    set_forward_ns = 0;
    table.clock_wall_ns = other_wall;
    ck_assert_int_eq(store_open_with(&table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    ck_assert_int_eq(delay(1, 7, now_ms() + 1800000, COMMITLOG_LEVEL_NONE, &receipt), 0);
    for (int i = 0; i < 100; i++) { /* all that traffic left is done */
        pass_ms(100);
        ck_assert_int_eq(commitlog_step(store, 100000, &wait_ms), 0);
    }
    ck_assert_uint_gt(wait_ms, 0);
    ck_assert_uint_le(wait_ms, 1000);
    set_forward_ns = INT64_C(1800001) * MS;
    pass_ms(wait_ms);
    ck_assert_int_eq(commitlog_step(store, 100000, &wait_ms), 0);
    ck_assert_uint_eq(queue_end(1), 1);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}
END_TEST

int main(void)
{
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    Suite *suite = suite_create("timers, edges");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, edges_setup, teardown);
    tcase_add_test(cases, a_timer_for_a_queue_that_is_not_there_kills_nobody);
    tcase_add_loop_test(cases, timers_that_lie_where_none_is_are_given_up, 0, 5);
    tcase_add_loop_test(cases, references_to_anything_do_not_stop_a_reader, 0, 7);
    tcase_add_test(cases, a_query_by_key_passes_what_has_expired);
    tcase_add_test(cases, a_group_that_keeps_keeps_originals);
    tcase_add_test(cases, what_is_due_behind_a_reservation_waits_for_it);
    tcase_add_test(cases, what_is_due_waits_for_room_and_nothing_is_reported);
    tcase_add_test(cases, what_retention_is_about_to_take_is_copied);
    tcase_add_test(cases, a_step_that_delivers_comes_back_for_it);
    tcase_add_test(cases, one_that_does_not_fit_any_more_stops_no_other);
    tcase_add_loop_test(cases, one_in_a_bad_sector_stops_no_other, 0, 4);
    tcase_add_test(cases, a_full_disk_does_not_stop_retention_for_ever);
    tcase_add_test(cases, small_messages_count_as_what_they_are);
    tcase_add_test(cases, what_has_just_come_is_not_too_old);
    tcase_add_test(cases, a_clock_that_is_set_is_seen_within_a_second);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
