/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_lease.c -- a lease holds the segments of what was given, no others, and says when retention
 * has taken one of them: of a writer, and of a reader that follows one.
 */
#include "support/run_suite.h"
#include "support/scratch.h"

enum { BODY_BYTES = 5000, RECORDS = 60, OLD = 3 };

static struct scratch s;
static struct commitlog_store *reader;

static void setup(void)
{
    scratch_begin(&s, "lease");
    scratch_open(&s, 1);
    reader = NULL;
}

static void teardown(void)
{
    if (reader != NULL) {
        ck_assert_int_eq(commitlog_close(reader, &s.err), COMMITLOG_OK);
    }
    scratch_end(&s);
}

static struct commitlog_receipt put(const char *want)
{
    static const char zeros[BODY_BYTES];
    struct commitlog_header header = {{"want", 4}, {want, strlen(want)}};
    struct commitlog_slice body = {zeros, sizeof zeros};
    struct commitlog_slice key = {"k", 1};
    struct commitlog_record record = {.struct_bytes = sizeof record,
                                      .topic = s.topic,
                                      .level = COMMITLOG_LEVEL_WRITTEN,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = 1,
                                      .headers = &header,
                                      .header_count = 1};
    struct commitlog_receipt receipt;
    ck_assert_int_eq(commitlog_append_record(s.store, &record, COMMITLOG_FOREVER, &receipt, &s.err),
                     COMMITLOG_OK);
    return receipt;
}

static uint64_t first(void)
{
    return scratch_positions(&s).first;
}

static uint64_t retain(uint64_t keep_bytes)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = keep_bytes};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    ck_assert_int_eq(commitlog_retain(s.store, &policy, &out, &s.err), COMMITLOG_OK);
    ck_assert_uint_gt(out.segments_dropped, 0);
    return out.bytes_held;
}

static void only_wanted(struct commitlog_cursor *cursor)
{
    struct commitlog_filter *filter = NULL;
    ck_assert_int_eq(commitlog_filter_compile("want = 'yes'", 12, &filter, &s.err), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_set_filter(cursor, filter), COMMITLOG_OK);
    commitlog_filter_free(filter);
}

static struct commitlog_lease *lease_of(struct commitlog_cursor *cursor, uint64_t position)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    uint32_t got = 0;
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), COMMITLOG_OK);
    ck_assert_uint_eq(message.position, position);
    ck_assert_int_eq(commitlog_cursor_lease(cursor, &lease), COMMITLOG_OK);
    commitlog_cursor_close(cursor);
    return lease;
}

enum { ONE_QUEUE, ALL_QUEUES, THE_LOG, KINDS };

/* What a filter passes over in older segments is none of it. */
START_TEST(a_lease_holds_no_segment_that_was_passed_over)
{
    struct commitlog_cursor *cursor = NULL;
    for (uint32_t i = 0; i < RECORDS; i++) {
        (void)put("no");
    }
    struct commitlog_receipt receipt = put("yes");
    if (_i == THE_LOG) {
        ck_assert_int_eq(commitlog_cursor_open_log(s.store, 0, &cursor, &s.err), COMMITLOG_OK);
    } else {
        ck_assert_int_eq(commitlog_cursor_open(s.store, s.topic,
                                               _i == ONE_QUEUE ? 0 : COMMITLOG_QUEUE_ALL,
                                               COMMITLOG_FROM_FIRST, 0, &cursor, &s.err),
                         COMMITLOG_OK);
    }
    only_wanted(cursor);
    struct commitlog_lease *lease = lease_of(cursor, receipt.position);
    ck_assert_uint_eq(retain(1), 0);
    ck_assert_uint_gt(first(), 0);
    ck_assert_uint_le(first(), receipt.position);
    ck_assert_int_eq(commitlog_lease_check(lease), COMMITLOG_OK);
    commitlog_lease_release(lease);
}
END_TEST

/* By key the newest comes first: what is passed over behind it is older. */
START_TEST(a_lease_holds_nothing_that_was_looked_at_behind_it)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[2];
    struct commitlog_lease *lease = NULL;
    uint32_t got = 0;
    for (uint32_t i = 0; i < RECORDS; i++) {
        (void)put("no");
    }
    struct commitlog_receipt receipt = put("yes");
    ck_assert_int_eq(
        commitlog_cursor_open_key(s.store, s.topic, "k", 1, 0, INT64_MAX, &cursor, &s.err),
        COMMITLOG_OK);
    only_wanted(cursor);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 2, 0, &got, NULL), COMMITLOG_OK);
    ck_assert_uint_eq(got, 1);
    ck_assert_uint_eq(messages[0].position, receipt.position);
    ck_assert_int_eq(commitlog_cursor_lease(cursor, &lease), COMMITLOG_OK);
    ck_assert_uint_eq(retain(1), 0);
    ck_assert_int_eq(commitlog_lease_check(lease), COMMITLOG_OK);
    commitlog_cursor_close(cursor);
    commitlog_lease_release(lease);
}
END_TEST

/* Another handle's retention is known at once, also to who has not fetched since. */
START_TEST(the_lease_of_a_reader_is_told_of_retention)
{
    struct commitlog_options *options = NULL;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_receipt old = {0};
    for (uint32_t i = 0; i < RECORDS; i++) {
        struct commitlog_receipt receipt = put(i < OLD ? "yes" : "no");
        old = i == 0 ? receipt : old;
    }
    struct commitlog_receipt young = put("yes");
    ck_assert_int_eq(commitlog_options_create(&options), COMMITLOG_OK);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL),
        COMMITLOG_OK);
    ck_assert_int_eq(commitlog_open(s.path, options, &reader, &s.err), COMMITLOG_OK);
    commitlog_options_free(options);
    ck_assert_int_eq(
        commitlog_cursor_open(reader, s.topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &s.err),
        COMMITLOG_OK);
    struct commitlog_lease *of_old = lease_of(cursor, old.position);
    ck_assert_int_eq(commitlog_cursor_open(reader, s.topic, 0, COMMITLOG_FROM_OFFSET,
                                           young.queue_offset, &cursor, &s.err),
                     COMMITLOG_OK);
    struct commitlog_lease *of_young = lease_of(cursor, young.position);
    ck_assert_int_eq(commitlog_lease_check(of_old), COMMITLOG_OK);
    (void)retain(1);
    ck_assert_uint_gt(first(), old.position);
    ck_assert_int_eq(commitlog_lease_check(of_old), COMMITLOG_EREVOKED);
    ck_assert_int_eq(commitlog_lease_check(of_young), COMMITLOG_OK);
    commitlog_lease_release(of_old);
    commitlog_lease_release(of_young);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lease");
    TCase *tcase = tcase_create("lease");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_lease_holds_no_segment_that_was_passed_over, 0, KINDS);
    tcase_add_test(tcase, a_lease_holds_nothing_that_was_looked_at_behind_it);
    tcase_add_test(tcase, the_lease_of_a_reader_is_told_of_retention);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
