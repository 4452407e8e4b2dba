/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_expiry_visible.c -- where readers see what is durable only, messages expire for them when
 * the record that says so is durable, and those that nobody has seen do not expire. Nor does a
 * group get back what will have gone once readers see the record.
 */
#include "support/run_suite.h"
#include "unit/timer_fixture.h"

enum { COUNT = 5, MORE = 3 };

static struct commitlog_store *reader;

static int32_t open_with(uint64_t access)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_ACCESS, access},
                                  {COMMITLOG_OPT_VISIBILITY, COMMITLOG_VISIBLE_DURABLE}};
    return store_open_by(values, 2);
}

static void visible_setup(void)
{
    setup();
    reader = NULL;
    ck_assert_msg(open_with(COMMITLOG_READ_WRITE) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
}

static void visible_teardown(void)
{
    (void)commitlog_close(reader, NULL);
    teardown();
}

static void reader_open(void)
{
    struct commitlog_store *writer = store;
    uint32_t number = 0;
    ck_assert_msg(open_with(COMMITLOG_READ_ONLY) == 0, "%s", err.message);
    reader = store;
    store = writer;
    ck_assert_int_eq(commitlog_topic_open(reader, "t", 1, 0, &number, &err), 0);
    ck_assert_uint_eq(number, topic);
}

static void put_keyed(uint32_t count, uint32_t level)
{
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(delay(0, i, 0, level, NULL), 0);
    }
}

static void expire(uint32_t level)
{
    ck_assert_int_eq(commitlog_topic_expire(store, topic, INT64_MAX, level, &err), 0);
}

static uint32_t rest_of(struct commitlog_cursor *cursor, uint64_t *out_first)
{
    struct commitlog_message messages[16];
    uint32_t got = 0;
    uint32_t count = 0;
    int32_t rc;
    while ((rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &got, NULL)) == 0) {
        *out_first = count == 0 ? messages[0].queue_offset : *out_first;
        count += got;
    }
    ck_assert_msg(rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
    commitlog_cursor_close(cursor);
    return count;
}

/* A queue's, a topic's and a key's readers have offsets [first, first + count), and no others. */
static void sees(struct commitlog_store *of, uint64_t first, uint64_t count, bool some_expired)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_topic_info about = {.struct_bytes = sizeof(about)};
    struct commitlog_cursor *cursor = NULL;
    uint64_t begins = first;
    ck_assert_int_eq(commitlog_queue_info(of, topic, 0, &info), 0);
    ck_assert_uint_eq(info.first_offset, first);
    ck_assert_uint_eq(info.next_offset, first + count);
    for (uint32_t all = 0; all < 2; all++) {
        ck_assert_int_eq(commitlog_cursor_open(of, topic, all != 0 ? COMMITLOG_QUEUE_ALL : 0,
                                               COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                         0);
        ck_assert_uint_eq(rest_of(cursor, &begins), count);
        ck_assert_uint_eq(begins, first);
    }
    ck_assert_int_eq(commitlog_cursor_open_key(of, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    ck_assert_uint_eq(rest_of(cursor, &begins), count);
    ck_assert_int_eq(commitlog_topic_info(of, topic, &about), 0);
    ck_assert_int_eq(about.expired_below > 0, some_expired);
}

/* The writer, a reader that follows it and one that comes then. */
static void all_see(uint64_t first, uint64_t count, bool some_expired)
{
    sees(store, first, count, some_expired);
    sees(reader, first, count, some_expired);
    ck_assert_int_eq(commitlog_close(reader, &err), 0);
    reader_open();
    sees(reader, first, count, some_expired);
}

static void make_durable(void)
{
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, 1000, &err), 0);
}

/* It would be back after a power cut. */
START_TEST(messages_expire_when_the_record_is_durable)
{
    const uint32_t level = _i % 2 == 0 ? COMMITLOG_LEVEL_NONE : COMMITLOG_LEVEL_WRITTEN;
    put_keyed(COUNT, COMMITLOG_LEVEL_DURABLE);
    reader_open();
    expire(level);
    all_see(0, COUNT, false);
    if (_i / 2 == 0) {
        make_durable();
        all_see(COUNT, 0, true);
        return;
    }
    ck_assert_int_eq(commitlog_close(reader, &err), 0);
    reader = NULL;
    die(true);
    ck_assert_int_eq(open_with(COMMITLOG_READ_WRITE), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    sees(store, 0, COUNT, false);
}
END_TEST

/* However many records say more, of which none is durable. */
START_TEST(what_had_expired_before_stays_so_meanwhile)
{
    put_keyed(COUNT, COMMITLOG_LEVEL_DURABLE);
    reader_open();
    expire(COMMITLOG_LEVEL_DURABLE);
    all_see(COUNT, 0, true);
    put_keyed(MORE, COMMITLOG_LEVEL_DURABLE);
    for (uint64_t i = 0; i < 4; i++) {
        if (i == (uint64_t)_i) {
            expire(COMMITLOG_LEVEL_WRITTEN);
        }
        ck_assert_int_eq(
            commitlog_topic_expire_after(store, topic, 1000000 + i, COMMITLOG_LEVEL_WRITTEN, &err),
            0);
        all_see(COUNT, MORE, true);
    }
    make_durable();
    all_see(COUNT + MORE, 0, true);
    put_keyed(MORE, COMMITLOG_LEVEL_DURABLE);
    expire(COMMITLOG_LEVEL_NONE);
    all_see(COUNT + MORE, MORE, true);
    make_durable();
    all_see(COUNT + 2 * MORE, 0, true);
}
END_TEST

START_TEST(what_nobody_could_see_does_not_expire)
{
    put_keyed(COUNT, COMMITLOG_LEVEL_DURABLE);
    put_keyed(MORE, COMMITLOG_LEVEL_NONE);
    reader_open();
    expire(COMMITLOG_LEVEL_DURABLE);
    all_see(COUNT, MORE, true);
}
END_TEST

static void open_published(void)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_VISIBILITY, COMMITLOG_VISIBLE_PUBLISHED}};
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_msg(store_open_by(values, 1) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
}

static struct commitlog_group *open_keeping_group(uint64_t at)
{
    const struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = at};
    struct commitlog_group *group = NULL;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_DURABLE, 0, NULL, &err), 0);
    return group;
}

/* Nothing is taken from it: it has so many to consume, and no message that it had has gone. */
static void group_has(struct commitlog_group *group, uint64_t offset, uint64_t messages)
{
    struct commitlog_group_offset at = {.topic = topic, .queue = 0};
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    ck_assert_int_eq(commitlog_group_fetch(group, &at, 1, &err), 0);
    ck_assert_uint_eq(at.offset, offset);
    ck_assert_int_eq(commitlog_group_lag(group, topic, 0, &lag, &err), 0);
    ck_assert_uint_eq(lag.messages, messages);
    ck_assert_uint_eq(lag.dropped, 0);
}

/* The record that says so is not durable where that counts, or lies behind an open reservation. By
 * loops: that, and where the group is set to. */
START_TEST(a_group_is_not_set_back_to_what_will_have_expired)
{
    static const uint32_t places[] = {COMMITLOG_FROM_FIRST, COMMITLOG_FROM_TIME,
                                      COMMITLOG_FROM_OFFSET};
    const uint32_t from = places[_i / 2];
    const struct commitlog_record empty = {.struct_bytes = sizeof(empty), .topic = topic};
    struct commitlog_reservation *held = NULL;
    void *body = NULL;
    put_keyed(COUNT, COMMITLOG_LEVEL_DURABLE);
    if (_i % 2 == 1) {
        open_published();
    }
    struct commitlog_group *group = open_keeping_group(COUNT);
    ck_assert_int_eq(commitlog_reserve(store, &empty, 8, 0, &held, &body, &err), 0);
    expire(COMMITLOG_LEVEL_NONE);
    sees(store, 0, COUNT, false);
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, from, from == COMMITLOG_FROM_OFFSET,
                                           COMMITLOG_LEVEL_NONE, &err),
                     from == COMMITLOG_FROM_OFFSET ? COMMITLOG_ETOOSMALL : 0);
    group_has(group, COUNT, 0);
    ck_assert_int_eq(commitlog_commit(held, 0, NULL, &err), 0);
    make_durable();
    group_has(group, COUNT, 1);
    /* What has not expired it gets back, and keeps. */
    ck_assert_int_eq(
        commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_END, 0, COMMITLOG_LEVEL_NONE, &err),
        0);
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, COUNT,
                                           COMMITLOG_LEVEL_NONE, &err),
                     0);
    expire(COMMITLOG_LEVEL_DURABLE);
    group_has(group, COUNT, 1);
    commitlog_group_close(group);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("expiry, durable only");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, visible_setup, visible_teardown);
    tcase_add_loop_test(cases, messages_expire_when_the_record_is_durable, 0, 4);
    tcase_add_loop_test(cases, what_had_expired_before_stays_so_meanwhile, 0, 4);
    tcase_add_test(cases, what_nobody_could_see_does_not_expire);
    tcase_add_loop_test(cases, a_group_is_not_set_back_to_what_will_have_expired, 0, 6);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
