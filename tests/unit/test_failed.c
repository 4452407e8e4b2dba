/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_failed.c -- after a failed flush or write: nobody reads what the disk does not have, waits
 * for what cannot come, or is kept busy; and what counts as written before it ends at a record.
 */
#include <stdatomic.h>
#include <unistd.h>

#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum { STORED = 5, BUSY_MAX = 2000, LOOKED_UP = 256 };

static struct commitlog_store *follower;

static void failed_setup(void)
{
    setup();
    follower = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
}

static void failed_teardown(void)
{
    (void)commitlog_close(follower, NULL);
    teardown();
}

static void follow(void)
{
    const uint64_t read_only[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    struct commitlog_store *writer = store;
    ck_assert_int_eq(store_open_by(read_only, 1), 0);
    follower = store;
    store = writer;
}

/* STORED records are durable, one more is published; returns where it lies. */
static uint64_t fail_a_flush(void)
{
    struct commitlog_receipt receipt = {.position = 0};
    store_put(STORED, COMMITLOG_LEVEL_DURABLE);
    if (follower == NULL) {
        follow();
    }
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 1, EIO, 0), 0);
    ck_assert_int_eq(
        commitlog_append(store, topic, 0, "lost", 4, COMMITLOG_LEVEL_DURABLE, &receipt),
        COMMITLOG_EUNKNOWN);
    return receipt.position;
}

static int32_t fetch(struct commitlog_cursor *cursor, uint32_t *count)
{
    struct commitlog_message messages[2 * STORED];
    *count = 0;
    return commitlog_cursor_fetch(cursor, messages, 2 * STORED, 100, count, NULL);
}

START_TEST(who_waits_for_more_is_told_that_the_store_has_failed)
{
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    (void)fail_a_flush();
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(fetch(cursor, &count), 0);
    ck_assert_uint_eq(count, STORED);
    ck_assert_int_eq(fetch(cursor, &count), COMMITLOG_EFAILED);
    ck_assert_int_eq(commitlog_wait(store, store_positions().durable, 100), COMMITLOG_EFAILED);
    commitlog_cursor_close(cursor);
}
END_TEST

/* One that was there before, and one that comes then. */
START_TEST(followers_do_not_read_what_the_disk_may_not_have)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    uint32_t number = 0;
    const uint64_t lost = fail_a_flush();
    if (_i == 1) {
        ck_assert_int_eq(commitlog_close(follower, NULL), 0);
        follow();
    }
    ck_assert_int_eq(commitlog_topic_open(follower, "t", 1, 0, &number, &err), 0);
    ck_assert_int_eq(commitlog_queue_info(follower, number, 0, &info), 0);
    ck_assert_uint_eq(info.next_offset, STORED);
    ck_assert_int_ne(commitlog_get(follower, lost, &message, &lease, &err), 0);
    ck_assert_ptr_null(lease);
}
END_TEST

static void put_keyed(uint32_t count, uint32_t level)
{
    const struct commitlog_slice key = {"k", 1};
    const struct commitlog_slice body = {"0123456789", 10};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = level,
                                            .body = &body,
                                            .body_count = 1,
                                            .keys = &key,
                                            .key_count = 1};
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(commitlog_append_record(store, &record, COMMITLOG_FOREVER, NULL, &err), 0);
    }
}

/* It was opened when more was to be seen. _i: +1: it has given one of those, +2: a follower's; 4:
 * they are more than are looked up at once. */
START_TEST(a_query_by_key_goes_on_at_what_is_durable)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[2 * STORED];
    uint32_t count = 0;
    uint32_t number = 0;
    uint64_t bound = 0;
    store_put(1, COMMITLOG_LEVEL_NONE);
    put_keyed(STORED, COMMITLOG_LEVEL_DURABLE);
    const uint64_t durable = store_positions().durable;
    put_keyed((_i & 4) != 0 ? LOOKED_UP + STORED : STORED, COMMITLOG_LEVEL_NONE);
    follow();
    struct commitlog_store *asked = (_i & 2) != 0 ? follower : store;
    ck_assert_int_eq(commitlog_topic_open(asked, "t", 1, 0, &number, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open_key(asked, number, "k", 1, 0, INT64_MAX, &cursor, &err),
                     0);
    if ((_i & 1) != 0) {
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 1, 0, &count, NULL), 0);
        ck_assert_uint_gt(messages[0].position, durable);
    }
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 1, EIO, 0), 0);
    ck_assert_int_ne(commitlog_sync(store, UINT64_MAX, 1000, &err), COMMITLOG_OK);
    ck_assert_uint_eq(store_positions().visible, durable);
    int32_t rc = commitlog_cursor_fetch(cursor, messages, 2 * STORED, 0, &count, &bound);
    ck_assert_msg(rc == COMMITLOG_OK, "%s", commitlog_error_name(rc));
    ck_assert_uint_eq(count, STORED);
    ck_assert_uint_lt(messages[0].position, durable);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 1, 0, &count, &bound),
                     COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}
END_TEST

static struct commitlog_os counted;
static _Atomic uint64_t looks;

static int64_t counted_mono(const struct commitlog_os *os)
{
    atomic_fetch_add(&looks, 1);
    return commitlog_fault_os(machine)->clock_mono_ns(os);
}

/* What was staged when a write failed stays so: the library's thread does not try it again. */
START_TEST(upkeep_of_a_failed_store_rests)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    counted = *commitlog_fault_os(machine);
    counted.clock_mono_ns = counted_mono;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 1, NULL), 0);
    commitlog_options_set_os(options, &counted);
    ck_assert_int_eq(commitlog_open("/store", options, &store, &err), 0);
    commitlog_options_free(options);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    /* For ever: the thread may write something, too, just now. */
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_WRITE, 1, EIO, 1), 0);
    ck_assert_int_eq(commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_WRITTEN, NULL),
                     COMMITLOG_EUNKNOWN);
    (void)usleep(20000);
    atomic_store(&looks, 0);
    (void)usleep(200000);
    ck_assert_uint_lt(atomic_load(&looks), BUSY_MAX);
    ck_assert_int_eq(commitlog_close(store, &err), COMMITLOG_EFAILED);
    store = NULL;
}
END_TEST

/* What somebody asks for that is so already answers when the record that said it is written: the
 * rest of the stage is not half written for that. */
START_TEST(what_counts_as_written_ends_at_a_record)
{
    struct commitlog_group *group = NULL;
    const struct commitlog_group_offset offset = {.topic = 0, .queue = 0, .offset = 3};
    struct commitlog_receipt receipt = {.position = 0};
    struct commitlog_fault *next = NULL;
    store_put(STORED, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    for (uint32_t level = COMMITLOG_LEVEL_NONE; level <= COMMITLOG_LEVEL_WRITTEN;
         level += COMMITLOG_LEVEL_WRITTEN - COMMITLOG_LEVEL_NONE) {
        switch (_i) {
        case 0:
            ck_assert_int_eq(
                commitlog_group_commit(group, 0, &offset, 1, level, -1, &receipt, &err), 0);
            break;
        case 1:
            ck_assert_int_eq(commitlog_topic_grow(store, topic, 4, level, &err), 0);
            break;
        default:
            ck_assert_int_eq(commitlog_topic_expire_after(store, topic, 100000, level, &err), 0);
            break;
        }
        if (level == COMMITLOG_LEVEL_NONE) {
            store_put(STORED, COMMITLOG_LEVEL_NONE);
        }
    }
    ck_assert_uint_eq(store_positions().written % 8, 0);
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
    commitlog_group_close(group);
    die_on(next, false);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    uint64_t stored = 0;
    for (uint32_t queue = 0; queue < (_i == 1 ? 4 : 1); queue++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
        ck_assert_int_eq(commitlog_queue_info(store, topic, queue, &info), 0);
        stored += info.next_offset - info.first_offset;
    }
    ck_assert_uint_eq(stored, 2 * STORED);
}
END_TEST

/* Bytes that are written where they will lie, and bytes that are not. */
START_TEST(nothing_is_committed_to_a_failed_store)
{
    const struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .level = COMMITLOG_LEVEL_NONE};
    const size_t bytes = _i / 2 == 0 ? 10 : 2 * stage_bytes;
    const struct commitlog_receipt untouched = {.position = 77, .end_position = 78};
    struct commitlog_receipt receipt = untouched;
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    void *body = NULL;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    segment_bytes = 1 << 20;
    ck_assert_int_eq(store_open((uint64_t)_i % 2), 0);
    store_put(STORED, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_append(store, topic, 0, "lost", 4, COMMITLOG_LEVEL_NONE, NULL), 0);
    ck_assert_int_eq(commitlog_reserve(store, &record, bytes, 0, &reservation, &body, &err), 0);
    memset(body, 1, bytes);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 1, EIO, 0), 0);
    ck_assert_int_eq(commitlog_sync(store, store_positions().published, 0, &err),
                     COMMITLOG_EFAILED);
    ck_assert_int_eq(commitlog_commit(reservation, 0, &receipt, &err), COMMITLOG_EFAILED);
    ck_assert_int_eq(memcmp(&receipt, &untouched, sizeof(receipt)), 0);
    ck_assert_int_eq(commitlog_close(store, &err), COMMITLOG_EFAILED);
    store = NULL;
    die(false);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(fetch(cursor, &count), 0);
    ck_assert_uint_le(count, STORED + 1);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Where its queues end then is where they are durable: that is no reason to call an offset of
 * before one that lies beyond. */
START_TEST(who_changes_a_group_is_told_that_the_store_has_failed)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group *other = NULL;
    const struct commitlog_group_offset offset = {.topic = topic, .offset = STORED + 1};
    uint32_t epoch = 0;
    const uint32_t none = COMMITLOG_LEVEL_NONE;
    int32_t rc = COMMITLOG_OK;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    (void)fail_a_flush();
    switch (_i) {
    case 0:
        rc = commitlog_group_commit(group, 0, &offset, 1, none, 0, NULL, &err);
        break;
    case 1:
        rc = commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, STORED + 1, none, &err);
        break;
    case 2:
        rc = commitlog_group_configure(group, COMMITLOG_GROUP_KEEP, none, &err);
        break;
    case 3:
        rc = commitlog_group_next_epoch(group, none, &epoch, &err);
        break;
    case 4:
        rc = commitlog_group_delete(group, none, &err);
        break;
    default:
        rc = commitlog_group_open(store, "other", 5, COMMITLOG_GROUP_CREATE, &other, &err);
        break;
    }
    ck_assert_int_eq(rc, COMMITLOG_EFAILED);
    ck_assert_ptr_null(other);
    commitlog_group_close(group);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("failed");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, failed_setup, failed_teardown);
    tcase_add_test(cases, who_waits_for_more_is_told_that_the_store_has_failed);
    tcase_add_loop_test(cases, followers_do_not_read_what_the_disk_may_not_have, 0, 2);
    tcase_add_loop_test(cases, a_query_by_key_goes_on_at_what_is_durable, 0, 8);
    tcase_add_test(cases, upkeep_of_a_failed_store_rests);
    tcase_add_loop_test(cases, what_counts_as_written_ends_at_a_record, 0, 3);
    tcase_add_loop_test(cases, nothing_is_committed_to_a_failed_store, 0, 4);
    tcase_add_loop_test(cases, who_changes_a_group_is_told_that_the_store_has_failed, 0, 6);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
