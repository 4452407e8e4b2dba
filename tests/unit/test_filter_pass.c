/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_filter_pass.c -- what a cursor passes over: messages without attributes too, and by one
 * fetch no more than it may.
 */
#include "filter_fixture.h"

#include "support/run_suite.h"
#include "support/scratch.h"

enum { QUEUES = 2, RECORDS = 400, FETCH = 16, MATCHING = 37, LIMIT = 7 };

static struct scratch s;

static void setup(void)
{
    scratch_begin(&s, "filter-pass");
    scratch_open(&s, QUEUES);
}

static void teardown(void)
{
    scratch_end(&s);
}

/* Number i goes to queue i % 2, in pairs: one queue of two has what the other one has. What does
 * not match has other attributes, or none at all. */
static bool matches(uint32_t i)
{
    return i / QUEUES % MATCHING == 5;
}

static void put(uint32_t i, bool plain)
{
    const struct commitlog_slice body = {&i, sizeof i};
    const struct commitlog_slice key = {"k", 1};
    const struct commitlog_header header = {{"a", 1}, {matches(i) ? "1" : "2", 1}};
    struct commitlog_record record = {.struct_bytes = sizeof record,
                                      .topic = s.topic,
                                      .queue = i % QUEUES,
                                      .level = COMMITLOG_LEVEL_WRITTEN,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = 1,
                                      .headers = &header,
                                      .header_count = 1};
    record.tag = (struct commitlog_slice){matches(i) ? "yes" : "no", matches(i) ? 3 : 2};
    if (plain && !matches(i)) {
        record.key_count = record.header_count = 0;
        record.tag.bytes = 0;
    }
    ck_assert_int_eq(commitlog_append_record(s.store, &record, COMMITLOG_FOREVER, NULL, &s.err), 0);
}

enum { ONE_QUEUE, ALL_QUEUES, THE_LOG, BY_KEY, KINDS };

static uint32_t matching(int kind)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < RECORDS; i++) {
        count += matches(i) && (kind != ONE_QUEUE || i % QUEUES == 1);
    }
    return count;
}

static struct commitlog_cursor *cursor_of(int kind, bool by_tag)
{
    static const struct commitlog_slice yes = {"yes", 3};
    struct commitlog_cursor *cursor = NULL;
    int32_t rc;
    if (kind == THE_LOG) {
        rc = commitlog_cursor_open_log(s.store, 0, &cursor, &s.err);
    } else if (kind == BY_KEY) {
        rc = commitlog_cursor_open_key(s.store, s.topic, "k", 1, 0, INT64_MAX, &cursor, &s.err);
    } else {
        rc = commitlog_cursor_open(s.store, s.topic, kind == ONE_QUEUE ? 1 : COMMITLOG_QUEUE_ALL,
                                   COMMITLOG_FROM_FIRST, 0, &cursor, &s.err);
    }
    ck_assert_int_eq(rc, COMMITLOG_OK);
    if (by_tag) {
        ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &yes, 1), 0);
    } else {
        struct commitlog_filter *filter = filter_of("a = '1'");
        ck_assert_int_eq(commitlog_cursor_set_filter(cursor, filter), 0);
        commitlog_filter_free(filter);
    }
    return cursor;
}

/* The message is the next one of those that match. */
static void check_next(int kind, const struct commitlog_message *message, uint32_t *next)
{
    uint32_t number = 0;
    while (*next < RECORDS) {
        uint32_t i = kind == BY_KEY ? RECORDS - 1 - *next : *next;
        ++*next;
        if (matches(i) && (kind != ONE_QUEUE || i % QUEUES == 1)) {
            ck_assert_uint_eq(message->body.bytes, sizeof number);
            memcpy(&number, message->body.data, sizeof number);
            ck_assert_uint_eq(number, i);
            return;
        }
    }
    ck_abort_msg("more messages than match");
}

START_TEST(what_has_no_attributes_matches_nothing_that_is_compared)
{
    const int kind = _i / 2;
    struct commitlog_message messages[RECORDS];
    uint32_t count = 0;
    uint32_t next = 0;
    for (uint32_t i = 0; i < RECORDS; i++) {
        put(i, true);
    }
    struct commitlog_cursor *cursor = cursor_of(kind, _i % 2 == 1);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, RECORDS, 0, &count, NULL), 0);
    for (uint32_t i = 0; i < count; i++) {
        check_next(kind, &messages[i], &next);
    }
    ck_assert_uint_eq(count, matching(kind));
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 1, 0, &count, NULL), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(a_fetch_passes_over_no_more_than_it_may)
{
    const int kind = _i / 2;
    struct commitlog_message messages[FETCH];
    uint32_t next = 0;
    uint32_t found = 0;
    uint32_t again = 0;
    int32_t rc = COMMITLOG_OK;
    for (uint32_t i = 0; i < RECORDS; i++) {
        put(i, false);
    }
    struct commitlog_cursor *cursor = cursor_of(kind, _i % 2 == 1);
    ck_assert_int_eq(commitlog_cursor_set_pass_limit(cursor, LIMIT), 0);
    while (rc == COMMITLOG_OK || rc == COMMITLOG_EAGAIN) {
        const uint64_t from = commitlog_cursor_tell(cursor);
        uint32_t count = 0;
        uint64_t bound = 0;
        rc = commitlog_cursor_fetch(cursor, messages, FETCH, again > 0 ? COMMITLOG_FOREVER : 0,
                                    &count, &bound);
        for (uint32_t i = 0; i < count; i++) {
            check_next(kind, &messages[i], &next);
        }
        found += count;
        again += rc == COMMITLOG_EAGAIN;
        if (rc == COMMITLOG_EAGAIN) {
            ck_assert_uint_eq(count, 0);
            ck_assert(kind == BY_KEY || bound == commitlog_cursor_tell(cursor));
        }
        if (kind == ONE_QUEUE) {
            ck_assert_uint_le(commitlog_cursor_tell(cursor) - from, LIMIT + count);
        }
        if (found == matching(kind)) {
            break;
        }
    }
    ck_assert_uint_eq(found, matching(kind));
    ck_assert_uint_ge(again, 3 * found / 2);
    /* Without a limit the end is found. */
    ck_assert_int_eq(commitlog_cursor_set_pass_limit(cursor, 0), 0);
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, NULL),
                     COMMITLOG_EEND);
    ck_assert_int_eq(commitlog_cursor_set_pass_limit(NULL, 1), COMMITLOG_EINVAL);
    commitlog_cursor_close(cursor);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filter pass");
    TCase *cases = tcase_create("pass");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, what_has_no_attributes_matches_nothing_that_is_compared, 0,
                        KINDS * 2);
    tcase_add_loop_test(cases, a_fetch_passes_over_no_more_than_it_may, 0, KINDS * 2);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
