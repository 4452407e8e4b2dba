/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_expiry.c -- messages of a topic expire, by age and because somebody says so: what is still
 * given, to whom, and what survives. test_expiry_model.c does the same at random.
 */
#include "support/run_suite.h"
#include "unit/timer_fixture.h"

enum { SECOND_MS = 1000, AGE_MS = 100 * SECOND_MS };

static void begin(void)
{
    setup();
    open_store();
}

static struct commitlog_topic_info info_of(uint32_t which)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_topic_info(store, which, &info), 0);
    return info;
}

static struct commitlog_queue_info queue_of(uint32_t which, uint32_t queue)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, which, queue, &info), 0);
    return info;
}

static uint64_t first_of(uint32_t queue)
{
    return queue_of(topic, queue).first_offset;
}

static int32_t expire_after(uint64_t age_ms)
{
    return commitlog_topic_expire_after(store, topic, age_ms, COMMITLOG_LEVEL_NONE, &err);
}

static int32_t expire(int64_t before_ns)
{
    return commitlog_topic_expire(store, topic, before_ns, COMMITLOG_LEVEL_NONE, &err);
}

/* Messages that a cursor gives, from the first one on. */
static uint32_t given(uint32_t queue, uint64_t *out_first)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    uint32_t n = 0;
    int32_t rc;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    while ((rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL)) == 0) {
        if (n++ == 0 && out_first != NULL) {
            *out_first = message.queue_offset;
        }
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
    return n;
}

START_TEST(messages_expire_at_their_age)
{
    put(0, 3);
    ck_assert_int_eq(expire_after(AGE_MS), 0);
    ck_assert_uint_eq(info_of(topic).keep_age_ms, AGE_MS);
    pass_ms(AGE_MS / 2);
    put(0, 2);
    put(1, 1);
    step_all();
    ck_assert_uint_eq(first_of(0), 0);
    pass_ms(AGE_MS / 2 + 2 * SECOND_MS);
    step_all();
    ck_assert_uint_eq(first_of(0), 3);
    ck_assert_uint_eq(queue_of(topic, 0).next_offset, 5);
    ck_assert_uint_eq(first_of(1), 0);
    uint64_t first = 0;
    ck_assert_uint_eq(given(0, &first), 2);
    ck_assert_uint_eq(first, 3);
    pass_ms(AGE_MS);
    step_all();
    ck_assert_uint_eq(first_of(0), 5);
    ck_assert_uint_eq(first_of(1), 1);
    ck_assert_uint_eq(given(0, NULL), 0);
    /* The next one goes on with the offsets. */
    put(0, 1);
    ck_assert_uint_eq(given(0, &first), 1);
    ck_assert_uint_eq(first, 5);
}
END_TEST

START_TEST(a_shorter_age_counts_at_once)
{
    put(0, 1);
    ck_assert_int_eq(expire_after(1000 * AGE_MS), 0);
    step_all();
    ck_assert_int_eq(expire_after(SECOND_MS), 0);
    pass_ms(2 * SECOND_MS);
    step_all();
    ck_assert_uint_eq(first_of(0), 1);
}
END_TEST

START_TEST(an_idle_topic_is_said_nothing_of)
{
    put(0, 3);
    ck_assert_int_eq(expire_after(AGE_MS), 0);
    pass_ms(2 * AGE_MS);
    step_all();
    ck_assert_uint_eq(first_of(0), 3);
    const uint64_t claimed = store_positions().claimed;
    for (int i = 0; i < 10; i++) {
        pass_ms(AGE_MS);
        step_all();
    }
    ck_assert_uint_eq(store_positions().claimed, claimed);
    ck_assert_int_eq(expire_after(AGE_MS), 0); /* as it is */
    ck_assert_int_eq(expire(INT64_MAX), 0);
    ck_assert_uint_eq(store_positions().claimed, claimed);
    uint32_t wait_ms = 0;
    ck_assert_int_eq(commitlog_step(store, 1000, &wait_ms), 0);
    ck_assert_uint_le(wait_ms, 1000);
    ck_assert_int_eq(expire_after(0), 0);
    ck_assert_uint_eq(info_of(topic).keep_age_ms, 0);
    put(0, 1);
    pass_ms(10 * AGE_MS);
    step_all();
    ck_assert_uint_eq(first_of(0), 3);
}
END_TEST

START_TEST(what_was_stored_before_a_time_expires_now)
{
    put(0, 4);
    put(2, 1);
    pass_ms(10);
    const int64_t time_ns = now_ms() * MS;
    pass_ms(10);
    put(0, 2);
    put(3, 1);
    ck_assert_int_eq(expire(0), 0);
    ck_assert_int_eq(expire(INT64_MIN), 0);
    ck_assert_uint_eq(first_of(0), 0);
    ck_assert_uint_eq(info_of(topic).expired_below, 0);
    ck_assert_int_eq(expire(time_ns), 0);
    ck_assert_uint_eq(first_of(0), 4);
    ck_assert_uint_eq(first_of(2), 1);
    ck_assert_uint_eq(first_of(3), 0);
    const uint64_t below = info_of(topic).expired_below;
    ck_assert_uint_gt(below, 0);
    ck_assert_int_eq(expire(time_ns - 1), 0); /* it does not go back */
    ck_assert_uint_eq(info_of(topic).expired_below, below);
    uint64_t offset = 0;
    ck_assert_int_eq(commitlog_offset_by_time(store, topic, 0, 0, COMMITLOG_LOWER, &offset), 0);
    ck_assert_uint_eq(offset, 4);
    ck_assert_int_eq(commitlog_offset_by_time(store, topic, 0, time_ns, COMMITLOG_UPPER, &offset),
                     COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(expire(INT64_MAX), 0);
    ck_assert_uint_eq(given(COMMITLOG_QUEUE_ALL, NULL), 0);
    for (uint32_t q = 0; q < QUEUES; q++) {
        ck_assert_uint_eq(first_of(q), queue_of(topic, q).next_offset);
    }
    put(3, 1);
    ck_assert_uint_eq(given(COMMITLOG_QUEUE_ALL, NULL), 1);
}
END_TEST

START_TEST(a_cursor_is_told_and_goes_on)
{
    struct commitlog_cursor *one = NULL;
    struct commitlog_cursor *all = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    uint64_t bound = 0;
    put(0, 3);
    put(1, 3);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &one, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST,
                                           0, &all, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(one, &message, 1, 0, &count, NULL), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(all, &message, 1, 0, &count, NULL), 0);
    ck_assert_int_eq(expire(INT64_MAX), 0);
    put(0, 1);
    ck_assert_int_eq(commitlog_cursor_fetch(one, &message, 1, 0, &count, &bound),
                     COMMITLOG_ETOOSMALL);
    ck_assert_uint_eq(bound, 3);
    ck_assert_int_eq(commitlog_cursor_seek(one, COMMITLOG_FROM_OFFSET, bound), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(one, &message, 1, 0, &count, NULL), 0);
    ck_assert_uint_eq(message.queue_offset, 3);
    int32_t rc = commitlog_cursor_fetch(all, &message, 1, 0, &count, &bound);
    while (rc == 0 && message.queue_offset < 3) { /* what it had read ahead */
        rc = commitlog_cursor_fetch(all, &message, 1, 0, &count, &bound);
    }
    if (rc == COMMITLOG_ETOOSMALL) {
        rc = commitlog_cursor_fetch(all, &message, 1, 0, &count, &bound);
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_uint_eq(message.queue_offset, 3);
    commitlog_cursor_close(one);
    commitlog_cursor_close(all);
}
END_TEST

static uint32_t found_by_key(void)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    uint32_t n = 0;
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL) == 0) {
        n++;
    }
    commitlog_cursor_close(cursor);
    return n;
}

START_TEST(a_key_does_not_find_what_has_expired)
{
    struct commitlog_receipt receipt;
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    for (uint32_t i = 0; i < 200; i++) { /* more than one call of the look-up gives */
        ck_assert_int_eq(delay(0, i, 0, 1, &receipt), 0);
    }
    pass_ms(10);
    ck_assert_int_eq(expire(now_ms() * MS), 0);
    ck_assert_uint_eq(found_by_key(), 0);
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert_int_eq(delay(0, i, 0, 1, NULL), 0);
    }
    ck_assert_uint_eq(found_by_key(), 100);
    /* The bytes are in the log until retention takes them. */
    ck_assert_int_eq(commitlog_get(store, receipt.position, &message, &lease, &err), 0);
    ck_assert_uint_eq(message.queue_offset, 199);
    commitlog_lease_release(lease);
}
END_TEST

START_TEST(another_topic_keeps_its_messages)
{
    uint32_t other = 0;
    put(0, 2);
    ck_assert_int_eq(commitlog_topic_open(store, "u", 1, 1, &other, &err), 0);
    ck_assert_int_eq(commitlog_append(store, other, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL), 0);
    put(0, 2);
    ck_assert_int_eq(expire(INT64_MAX), 0);
    ck_assert_uint_eq(first_of(0), 4);
    ck_assert_uint_eq(queue_of(other, 0).first_offset, 0);
    ck_assert_uint_eq(info_of(other).expired_below, 0);
}
END_TEST

START_TEST(a_group_that_keeps_holds_its_messages)
{
    struct commitlog_group *keeper = NULL;
    struct commitlog_group *other = NULL;
    uint32_t elsewhere = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "u", 1, 1, &elsewhere, &err), 0);
    ck_assert_int_eq(commitlog_append(store, elsewhere, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL), 0);
    put(0, 4);
    put(1, 1);
    ck_assert_int_eq(commitlog_group_open(store, "k", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &keeper,
                                          &err),
                     0);
    ck_assert_int_eq(commitlog_group_open(store, "o", 1, COMMITLOG_GROUP_CREATE, &other, &err), 0);
    struct commitlog_group_offset offset = {topic, 0, 2};
    ck_assert_int_eq(
        commitlog_group_commit(keeper, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    offset.offset = 1;
    ck_assert_int_eq(
        commitlog_group_commit(other, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    /* What it has yet to consume of another topic lies before, and is nothing to this one. */
    offset = (struct commitlog_group_offset){elsewhere, 0, 0};
    ck_assert_int_eq(
        commitlog_group_commit(keeper, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    ck_assert_int_eq(expire(INT64_MAX), 0);
    ck_assert_uint_eq(first_of(0), 2);
    ck_assert_uint_eq(first_of(1), 0); /* it lies behind */
    ck_assert_int_eq(expire_after(AGE_MS), 0);
    pass_ms(2 * AGE_MS);
    step_all();
    ck_assert_uint_eq(first_of(0), 2);
    offset = (struct commitlog_group_offset){topic, 0, 4};
    ck_assert_int_eq(
        commitlog_group_commit(keeper, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    pass_ms(2 * SECOND_MS);
    step_all();
    ck_assert_uint_eq(first_of(0), 4);
    ck_assert_uint_eq(first_of(1), 1);
    ck_assert_uint_eq(queue_of(elsewhere, 0).first_offset, 0);
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    ck_assert_int_eq(commitlog_group_lag(other, topic, 0, &lag, &err), 0);
    ck_assert_uint_eq(lag.messages, 0);
    commitlog_group_close(keeper);
    commitlog_group_close(other);
}
END_TEST

/* What a topic had first lies in a segment that is gone, file and all. */
START_TEST(one_that_does_not_read_holds_up_no_other)
{
    static const char filling[8000];
    static const char *const gone[] = {"/store/log/00000000000000000000.log",
                                       "/store/view/00000000000000000000.cq",
                                       "/store/view/00000000000000000000.key"};
    uint32_t other = 0;
    uint32_t third = 0;
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    ck_assert_int_eq(commitlog_topic_open(store, "f", 1, 1, &third, &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "u", 1, 1, &other, &err), 0);
    put(0, 3);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(
            commitlog_append(store, third, 0, filling, sizeof(filling), COMMITLOG_LEVEL_NONE, NULL),
            0);
    }
    ck_assert_int_eq(commitlog_append(store, other, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL), 0);
    step_all();
    restart(false);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(commitlog_fault_remove(machine, gone[i]), 0);
    }
    ck_assert_int_eq(commitlog_topic_open(store, "u", 1, 0, &other, &err), 0);
    ck_assert_int_eq(expire_after(AGE_MS), 0);
    ck_assert_int_eq(commitlog_topic_expire_after(store, other, AGE_MS, COMMITLOG_LEVEL_NONE, &err),
                     0);
    while (commitlog_event_next(store, &event) == 0) {
    }
    pass_ms(2 * AGE_MS);
    step_all();
    ck_assert_uint_eq(queue_of(other, 0).first_offset, 1);
    uint32_t told = 0;
    while (commitlog_event_next(store, &event) == 0) {
        told += strstr(event.detail.message, "topic t") != NULL ? 1 : 0;
    }
    ck_assert_uint_eq(told, 1); /* not each time that upkeep looks */
    ck_assert_int_ne(expire(INT64_MAX), 0);
    ck_assert_uint_eq(info_of(topic).expired_below, 0);
}
END_TEST

START_TEST(a_receiver_passes_over_what_has_expired)
{
    struct commitlog_group *workers = NULL;
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message messages[8];
    struct commitlog_delivery deliveries[8];
    uint32_t count = 0;
    put(0, 3);
    ck_assert_int_eq(commitlog_group_open(store, "w", 1, COMMITLOG_GROUP_CREATE, &workers, &err),
                     0);
    ck_assert_int_eq(commitlog_receiver_open(workers, topic, NULL, &receiver, &err), 0);
    ck_assert_int_eq(commitlog_receive(receiver, messages, deliveries, 1, 0, &count, &err), 0);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(expire(INT64_MAX), 0);
    put(0, 2);
    pass_ms(120 * SECOND_MS); /* the first one is not out any more */
    ck_assert_int_eq(commitlog_receive(receiver, messages, deliveries, 8, 0, &count, &err), 0);
    ck_assert_uint_eq(count, 2);
    ck_assert_uint_eq(deliveries[0].offset, 3);
    ck_assert_uint_eq(deliveries[1].offset, 4);
    commitlog_receiver_close(receiver);
    commitlog_group_close(workers);
}
END_TEST

START_TEST(a_message_that_waited_is_as_old_as_its_delivery)
{
    struct commitlog_receipt receipt;
    ck_assert_int_eq(delay(0, 1, now_ms() + 3 * AGE_MS, 1, &receipt), 0);
    ck_assert_int_eq(expire_after(AGE_MS), 0);
    ck_assert_int_eq(expire(INT64_MAX), 0);
    pass_ms(3 * AGE_MS + SECOND_MS);
    step_all();
    uint64_t first = 9;
    ck_assert_uint_eq(given(0, &first), 1);
    ck_assert_uint_eq(first, 0);
    ck_assert_uint_eq(found_by_key(), 1);
    pass_ms(2 * AGE_MS);
    step_all();
    ck_assert_uint_eq(given(0, NULL), 0);
    ck_assert_uint_eq(found_by_key(), 0);
}
END_TEST

START_TEST(it_survives_a_restart)
{
    for (int views = 0; views < 2; views++) {
        for (int power = 0; power < 2; power++) {
            put(0, 3);
            ck_assert_int_eq(expire_after(AGE_MS + (uint64_t)(2 * views + power)), 0);
            ck_assert_int_eq(
                commitlog_topic_expire(store, topic, INT64_MAX, COMMITLOG_LEVEL_DURABLE, &err), 0);
            const struct commitlog_topic_info before = info_of(topic);
            const uint64_t first = first_of(0);
            ck_assert_uint_eq(first, queue_of(topic, 0).next_offset);
            if (views == 0) {
                forget_views();
            }
            restart(power != 0);
            const struct commitlog_topic_info after = info_of(topic);
            ck_assert_uint_eq(after.keep_age_ms, before.keep_age_ms);
            ck_assert_uint_eq(after.expired_below, before.expired_below);
            ck_assert_uint_eq(first_of(0), first);
            ck_assert_uint_eq(given(0, NULL), 0);
            put(0, 1);
            pass_ms(2 * AGE_MS);
            step_all();
            ck_assert_uint_eq(first_of(0), first + 1);
        }
    }
}
END_TEST

static uint32_t tombstones(void)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    uint32_t n = 0;
    ck_assert_int_eq(commitlog_cursor_open_log(store, store_positions().first, &cursor, &err), 0);
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL) == 0) {
        n += message.kind == COMMITLOG_KIND_TOMBSTONE ? 1 : 0;
    }
    commitlog_cursor_close(cursor);
    return n;
}

START_TEST(retention_carries_it_forward)
{
    static const char filling[8000];
    const struct commitlog_retention half = {.struct_bytes = sizeof(half), .keep_bytes = 3 * 65536};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    uint32_t other = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "u", 1, 1, &other, &err), 0);
    ck_assert_int_eq(expire_after(AGE_MS), 0);
    const uint64_t said = store_positions().claimed;
    for (int i = 0; i < 60; i++) {
        ck_assert_int_eq(
            commitlog_append(store, other, 0, filling, sizeof(filling), COMMITLOG_LEVEL_NONE, NULL),
            0);
    }
    put(0, 3);
    ck_assert_int_eq(commitlog_retain(store, &half, &retained, &err), 0);
    ck_assert_uint_gt(store_positions().first, said);
    ck_assert_uint_eq(tombstones(), 1);
    for (int views = 0; views < 2; views++) {
        if (views == 0) {
            forget_views();
        }
        restart(false);
        ck_assert_uint_eq(info_of(topic).keep_age_ms, AGE_MS);
    }
    pass_ms(2 * AGE_MS);
    step_all();
    ck_assert_uint_eq(first_of(0), 3);
    /* A position that only says what is gone anyway is not worth a record. */
    ck_assert_int_eq(expire_after(0), 0);
    for (int i = 0; i < 60; i++) {
        ck_assert_int_eq(
            commitlog_append(store, other, 0, filling, sizeof(filling), COMMITLOG_LEVEL_NONE, NULL),
            0);
    }
    (void)retain_all();
    ck_assert_uint_eq(tombstones(), 0);
    forget_views();
    restart(false);
    ck_assert_uint_eq(info_of(topic).expired_below, 0);
    ck_assert_uint_eq(first_of(0), 3);
    ck_assert_uint_eq(queue_of(topic, 0).next_offset, 3);
}
END_TEST

START_TEST(what_is_set_meanwhile_is_not_taken_back)
{
    static const char filling[8000];
    ck_assert_int_eq(expire_after(AGE_MS), 0);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, filling, sizeof(filling), COMMITLOG_LEVEL_NONE, NULL),
            0);
    }
    ck_assert_int_eq(expire_after(2 * AGE_MS), 0);
    (void)retain_all();
    forget_views();
    restart(false);
    ck_assert_uint_eq(info_of(topic).keep_age_ms, 2 * AGE_MS);
}
END_TEST

START_TEST(an_open_reservation_does_not_deceive)
{
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt;
    void *place = NULL;
    struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic, .queue = 0};
    put(0, 2);
    ck_assert_int_eq(commitlog_reserve(store, &record, 10, 0, &reservation, &place, &err), 0);
    put(0, 2);
    ck_assert_int_eq(expire_after(AGE_MS), 0);
    ck_assert_int_eq(expire_after(3 * AGE_MS), 0);
    ck_assert_uint_eq(info_of(topic).keep_age_ms, 3 * AGE_MS);
    ck_assert_int_eq(expire(INT64_MAX), 0); /* what can be seen */
    memset(place, 'x', 10);
    ck_assert_int_eq(commitlog_commit(reservation, 0, &receipt, &err), 0);
    ck_assert_uint_eq(first_of(0), 2);
    ck_assert_uint_eq(given(0, NULL), 3);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    put(0, 1);
    ck_assert_int_eq(commitlog_topic_expire_after(store, 77, 1, 0, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_topic_expire(store, 77, 1, 0, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(expire_after(UINT64_MAX), COMMITLOG_EINVAL);
    ck_assert_int_eq(expire_after(9223372036855), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_topic_expire(store, topic, 1, 9, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_topic_expire(NULL, topic, 1, 0, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(expire_after(9223372036854), 0);
    step_all();
    ck_assert_uint_eq(first_of(0), 0);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_int_eq(commitlog_open("/store", options, &store, &err), 0);
    commitlog_options_free(options);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_uint_eq(info_of(topic).keep_age_ms, 9223372036854);
    ck_assert_int_eq(expire_after(1), COMMITLOG_EMISUSE);
    ck_assert_int_eq(expire(INT64_MAX), COMMITLOG_EMISUSE);
    ck_assert_uint_eq(given(0, NULL), 1);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("expiry");
    TCase *states = tcase_create("states");
    tcase_add_checked_fixture(states, begin, teardown);
    tcase_add_test(states, messages_expire_at_their_age);
    tcase_add_test(states, a_shorter_age_counts_at_once);
    tcase_add_test(states, an_idle_topic_is_said_nothing_of);
    tcase_add_test(states, what_was_stored_before_a_time_expires_now);
    tcase_add_test(states, a_cursor_is_told_and_goes_on);
    tcase_add_test(states, a_key_does_not_find_what_has_expired);
    tcase_add_test(states, another_topic_keeps_its_messages);
    tcase_add_test(states, a_group_that_keeps_holds_its_messages);
    tcase_add_test(states, one_that_does_not_read_holds_up_no_other);
    tcase_add_test(states, a_receiver_passes_over_what_has_expired);
    tcase_add_test(states, a_message_that_waited_is_as_old_as_its_delivery);
    tcase_add_test(states, it_survives_a_restart);
    tcase_add_test(states, retention_carries_it_forward);
    tcase_add_test(states, what_is_set_meanwhile_is_not_taken_back);
    tcase_add_test(states, an_open_reservation_does_not_deceive);
    tcase_add_test(states, what_cannot_be_is_refused);
    suite_add_tcase(suite, states);
    return run_suite(suite);
}
