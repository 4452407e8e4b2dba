/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_conformance_queue.c -- RocketMQ's store tests on queues and reads, as far as they apply.
 *
 * Ids CF-Q (queue), CF-S (store), CF-R (reading) and CF-T (time) as in our study of that suite.
 * Left out: CF-Q2 to Q3 (light queues, extended entries) and CF-S5 (a state machine that is not
 * ours; a closed store is tested instead).
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/run_suite.h"
#include "support/scratch.h"

static struct scratch s;

static void setup(void)
{
    scratch_begin(&s, "conformance-queue");
    scratch_open(&s, 4);
}

static void teardown(void)
{
    scratch_end(&s);
}

static void views_remove(void)
{
    char view[DIRS_PATH_MAX];
    path_join(view, s.path, "view");
    dirs_remove(view);
}

static uint64_t retain(uint64_t keep_bytes)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = keep_bytes};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    CHECK_OK(commitlog_retain(s.store, &policy, &out, &s.err), &s.err);
    return out.segments_dropped;
}

START_TEST(cf_q1_building_a_queue_again_makes_no_entry_twice)
{
    for (uint32_t i = 0; i < 30; i++) {
        (void)scratch_put(&s, i % 2, 3000, i);
    }
    for (uint32_t round = 0; round < 3; round++) {
        scratch_close(&s);
        views_remove();
        ck_assert_int_eq(commitlog_rebuild(s.path, s.options, &s.err), COMMITLOG_OK);
        scratch_open(&s, 4);
        ck_assert_uint_eq(scratch_queue(&s, 0).next_offset, 15);
        ck_assert_uint_eq(scratch_count(&s, 0, 0), 15);
        ck_assert_uint_eq(scratch_count(&s, 1, 0), 15);
    }
}
END_TEST

START_TEST(cf_q4_the_first_offset_follows_the_first_position)
{
    uint64_t before = 0;
    for (uint32_t i = 0; i < 60; i++) {
        (void)scratch_put(&s, 0, 4000, i);
    }
    ck_assert_uint_eq(scratch_queue(&s, 0).first_offset, 0);
    ck_assert_uint_gt(retain(200000), 0);
    before = scratch_queue(&s, 0).first_offset;
    ck_assert_uint_gt(before, 0);
    ck_assert_uint_gt(retain(1), 0);
    ck_assert_uint_gt(scratch_queue(&s, 0).first_offset, before);
    ck_assert_uint_eq(scratch_queue(&s, 0).next_offset, 60);
    ck_assert_uint_eq(scratch_count(&s, 0, scratch_queue(&s, 0).first_offset),
                      60 - scratch_queue(&s, 0).first_offset);
}
END_TEST

START_TEST(cf_q5_an_idle_queue_whose_records_are_gone_is_empty_but_does_not_restart)
{
    for (uint32_t i = 0; i < 7; i++) {
        (void)scratch_put(&s, 3, 100, i);
    }
    for (uint32_t i = 0; i < 60; i++) {
        (void)scratch_put(&s, 0, 4000, i);
    }
    ck_assert_uint_gt(retain(1), 0);
    for (uint32_t round = 0; round < 3; round++) {
        ck_assert_uint_eq(scratch_queue(&s, 3).first_offset, 7);
        ck_assert_uint_eq(scratch_queue(&s, 3).next_offset, 7);
        ck_assert_int_eq(scratch_queue(&s, 3).first_time_ns, 0);
        scratch_close(&s);
        if (round == 1) {
            views_remove();
        }
        scratch_open(&s, 4);
    }
    ck_assert_uint_eq(scratch_put(&s, 3, 10, 1).queue_offset, 7);
}
END_TEST

START_TEST(cf_q6_a_queue_that_begins_late_survives_a_reload)
{
    struct commitlog_queue_info before, after;
    for (uint32_t i = 0; i < 60; i++) {
        (void)scratch_put(&s, 1, 4000, i);
    }
    ck_assert_uint_gt(retain(100000), 0);
    before = scratch_queue(&s, 1);
    ck_assert_uint_gt(before.first_offset, 0);
    scratch_close(&s);
    views_remove();
    scratch_open(&s, 4);
    after = scratch_queue(&s, 1);
    ck_assert_mem_eq(&before, &after, sizeof before);
    ck_assert_uint_eq(scratch_count(&s, 1, after.first_offset), 60 - after.first_offset);
}
END_TEST

START_TEST(cf_q7_an_empty_queue_counts_nothing)
{
    uint64_t offset = 99;
    ck_assert_uint_eq(scratch_queue(&s, 2).first_offset, 0);
    ck_assert_uint_eq(scratch_queue(&s, 2).next_offset, 0);
    ck_assert_int_eq(scratch_queue(&s, 2).last_time_ns, 0);
    ck_assert_int_eq(commitlog_offset_by_time(s.store, s.topic, 2, 5, COMMITLOG_LOWER, &offset),
                     COMMITLOG_OK);
    ck_assert_uint_eq(offset, 0);
    offset = 99;
    ck_assert_int_eq(commitlog_offset_by_time(s.store, s.topic, 2, 5, COMMITLOG_UPPER, &offset),
                     COMMITLOG_ENOTFOUND);
    ck_assert_uint_eq(offset, 99);
}
END_TEST

START_TEST(cf_q8_every_offset_and_time_is_found_over_hundreds_of_segments)
{
    enum { MANY = 1000 };
    static struct commitlog_receipt receipts[MANY];
    struct commitlog_message message;
    struct commitlog_cursor *cursor = NULL;
    uint64_t offset = 0;
    uint32_t got = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        /* Queue 1 holds one record in every fourth segment or so. */
        receipts[i] = scratch_put(&s, i % 16 == 7 ? 1 : 0, 13000, i);
    }
    ck_assert_uint_gt(receipts[MANY - 1].position / 65536, 200);
    ck_assert_int_eq(
        commitlog_cursor_open(s.store, s.topic, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &s.err),
        COMMITLOG_OK);
    for (uint32_t i = 7; i < MANY; i += 16) {
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, i / 16),
                         COMMITLOG_OK);
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), COMMITLOG_OK);
        ck_assert_uint_eq(message.position, receipts[i].position);
        ck_assert_int_eq(commitlog_offset_by_time(s.store, s.topic, 1, receipts[i].store_time_ns,
                                                  COMMITLOG_LOWER, &offset),
                         COMMITLOG_OK);
        ck_assert_uint_le(offset, i / 16);
        ck_assert_int_eq(commitlog_offset_by_time(s.store, s.topic, 1, receipts[i].store_time_ns,
                                                  COMMITLOG_UPPER, &offset),
                         COMMITLOG_OK);
        ck_assert_uint_ge(offset, i / 16);
    }
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, (MANY - 7 + 15) / 16 + 1),
                     COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), COMMITLOG_EBEYOND);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_offset_by_time(s.store, s.topic, 1, -100, COMMITLOG_LOWER, &offset),
                     COMMITLOG_OK);
    ck_assert_uint_eq(offset, 0);
    ck_assert_int_eq(
        commitlog_offset_by_time(s.store, s.topic, 1, INT64_MAX, COMMITLOG_UPPER, &offset),
        COMMITLOG_OK);
    ck_assert_uint_eq(offset, scratch_queue(&s, 1).next_offset - 1);
}
END_TEST

START_TEST(cf_q9_a_read_may_begin_inside_a_batch)
{
    struct commitlog_record records[5];
    struct commitlog_slice body = {"member", 6};
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < 5; i++) {
        records[i].struct_bytes = sizeof records[i];
        records[i].topic = s.topic;
        records[i].level = COMMITLOG_LEVEL_NONE;
        records[i].body = &body;
        records[i].body_count = 1;
    }
    ck_assert_int_eq(commitlog_append_batch(s.store, records, 5, COMMITLOG_FOREVER, NULL, &s.err),
                     COMMITLOG_OK);
    for (uint32_t i = 0; i <= 5; i++) {
        ck_assert_uint_eq(scratch_count(&s, 0, i), 5 - i);
    }
}
END_TEST

START_TEST(cf_q10_a_topic_of_another_shape_is_refused)
{
    uint32_t topic = 77;
    ck_assert_int_eq(commitlog_topic_open(s.store, "test", 4, 5, &topic, &s.err), COMMITLOG_EEXIST);
    ck_assert_uint_eq(topic, 77);
    ck_assert_int_eq(commitlog_topic_open(s.store, "none", 4, 0, &topic, &s.err),
                     COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_topic_open(s.store, "", 0, 1, &topic, &s.err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_topic_open(s.store, "a\0b", 3, 1, &topic, &s.err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_topic_open(s.store, "\xff\xfe", 2, 1, &topic, &s.err),
                     COMMITLOG_EINVAL);
    ck_assert_uint_eq(topic, 77);
    ck_assert_int_eq(commitlog_append(s.store, s.topic, 4, "x", 1, COMMITLOG_LEVEL_NONE, NULL),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_append(s.store, 77, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL),
                     COMMITLOG_EINVAL);
}
END_TEST

START_TEST(cf_s1_a_store_may_be_opened_and_closed_again_and_again)
{
    uint64_t claimed = 0;
    for (uint32_t i = 0; i < 20; i++) {
        scratch_close(&s);
        scratch_open(&s, 4);
        /* The topic's definition aside, an open and a close add nothing to the log. */
        if (i > 0) {
            ck_assert_uint_eq(scratch_positions(&s).claimed, claimed);
        }
        claimed = scratch_positions(&s).claimed;
    }
    ck_assert_int_eq(commitlog_close(NULL, NULL), COMMITLOG_OK);
}
END_TEST

START_TEST(cf_s2_s3_a_hundred_records_are_read_by_offset_and_position)
{
    struct commitlog_receipt receipts[100];
    struct commitlog_message message;
    for (uint32_t i = 0; i < 100; i++) {
        receipts[i] = scratch_put(&s, 0, i, i);
    }
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert(scratch_is(&s, receipts[i].position, i, i));
        ck_assert_uint_eq(scratch_count(&s, 0, i), 100 - i);
    }
    struct commitlog_lease *lease = NULL;
    const struct {
        uint64_t position;
        int32_t rc;
        const char *text;
    } wrong[] = {{5, COMMITLOG_ETOOSMALL,
                  "get position 5: before the first record that is kept: the log holds positions "
                  "8192 to "},
                 {1u << 30, COMMITLOG_EBEYOND,
                  "get position 1073741824: beyond the end: the log holds positions 8192 to "},
                 {receipts[7].position + 16, COMMITLOG_ENOTFOUND, "no record begins here"}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        ck_assert_int_eq(commitlog_get(s.store, wrong[i].position, &message, &lease, &s.err),
                         wrong[i].rc);
        ck_assert_int_eq(s.err.code, wrong[i].rc);
        ck_assert_uint_eq(s.err.position, wrong[i].position);
        ck_assert_msg(strstr(s.err.message, wrong[i].text) != NULL, "%s", s.err.message);
        ck_assert_ptr_null(lease);
    }
    ck_assert_int_eq(scratch_get(&s, receipts[99].end_position, &message), COMMITLOG_EBEYOND);
    ck_assert_int_eq(scratch_get(&s, UINT64_MAX, &message), COMMITLOG_EBEYOND);
    ck_assert_int_eq(scratch_get(&s, receipts[50].position + 8, &message), COMMITLOG_ENOTFOUND);
}
END_TEST

START_TEST(cf_s4_the_visible_end_waits_for_a_claim_in_front)
{
    struct commitlog_record record = {.struct_bytes = sizeof record, .level = COMMITLOG_LEVEL_NONE};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt;
    void *body = NULL;
    (void)scratch_put(&s, 0, 10, 0);
    record.topic = s.topic;
    ck_assert_int_eq(
        commitlog_reserve(s.store, &record, 8, COMMITLOG_FOREVER, &reservation, &body, &s.err),
        COMMITLOG_OK);
    ck_assert_uint_eq(scratch_put(&s, 0, 10, 2).queue_offset, 2);
    ck_assert_uint_eq(scratch_put(&s, 1, 10, 3).queue_offset, 0);
    ck_assert_uint_eq(scratch_queue(&s, 0).next_offset, 1);
    ck_assert_uint_eq(scratch_queue(&s, 1).next_offset, 0);
    ck_assert_uint_gt(scratch_positions(&s).claimed, scratch_positions(&s).published);
    memcpy(body, "reserved", 8);
    ck_assert_int_eq(commitlog_commit(reservation, COMMITLOG_FOREVER, &receipt, &s.err),
                     COMMITLOG_OK);
    ck_assert_uint_eq(receipt.queue_offset, 1);
    ck_assert_uint_eq(scratch_queue(&s, 0).next_offset, 3);
    ck_assert_uint_eq(scratch_queue(&s, 1).next_offset, 1);
    ck_assert_uint_eq(scratch_positions(&s).claimed, scratch_positions(&s).published);
}
END_TEST

START_TEST(cf_s5_a_closed_store_answers_closed)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t got = 0;
    (void)scratch_put(&s, 0, 10, 0);
    ck_assert_int_eq(
        commitlog_cursor_open(s.store, s.topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &s.err),
        COMMITLOG_OK);
    scratch_close(&s);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), COMMITLOG_ECLOSED);
    commitlog_cursor_close(cursor);
    scratch_open(&s, 4);
}
END_TEST

START_TEST(cf_r1_a_fetch_gives_what_was_asked_for)
{
    static const uint32_t sizes[] = {1, 10, 20, 32};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[32];
    uint32_t got = 0;
    uint32_t next = 0;
    for (uint32_t i = 0; i < 100; i++) {
        (void)scratch_put(&s, 0, 100, i);
    }
    ck_assert_int_eq(
        commitlog_cursor_open(s.store, s.topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &s.err),
        COMMITLOG_OK);
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, sizes[i], 0, &got, NULL),
                         COMMITLOG_OK);
        ck_assert_uint_eq(got, sizes[i]);
        ck_assert_uint_eq(messages[0].queue_offset, next);
        next += got;
        ck_assert_uint_eq(commitlog_cursor_tell(cursor), next);
    }
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 0, 0, &got, NULL), COMMITLOG_EINVAL);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(cf_r2_a_tag_is_matched_exactly_and_not_by_hash)
{
    static const char *const tags[] = {"a", "b", "ab", "A", NULL};
    struct commitlog_slice wanted[2] = {{"a", 1}, {"zz", 2}};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[32];
    uint32_t got = 0;
    for (uint32_t i = 0; i < 25; i++) {
        (void)scratch_text(&s, 0, "x", NULL, tags[i % 5]);
    }
    ck_assert_int_eq(
        commitlog_cursor_open(s.store, s.topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &s.err),
        COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, wanted, 2), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 32, 0, &got, NULL), COMMITLOG_OK);
    ck_assert_uint_eq(got, 5);
    for (uint32_t i = 0; i < got; i++) {
        ck_assert_uint_eq(messages[i].queue_offset, 5 * i);
        ck_assert_uint_eq(messages[i].tag.bytes, 1);
    }
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 32, 0, &got, NULL), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(cf_r2_a_cursor_over_the_log_passes_over_other_tags_and_control_records)
{
    struct commitlog_slice wanted = {"a", 1};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[32];
    uint32_t got = 0;
    for (uint32_t i = 0; i < 20; i++) {
        (void)scratch_text(&s, 0, "x", NULL, i % 4 == 3 ? "a" : "b");
    }
    ck_assert_int_eq(commitlog_cursor_open_log(s.store, 0, &cursor, &s.err), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &wanted, 1), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 32, 0, &got, NULL), COMMITLOG_OK);
    ck_assert_uint_eq(got, 5);
    for (uint32_t i = 0; i < got; i++) {
        ck_assert_uint_eq(messages[i].queue_offset, 4 * i + 3);
    }
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 32, 0, &got, NULL), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Ten records at least 2 ms apart. */
static void put_apart(struct commitlog_receipt receipts[10])
{
    for (uint32_t i = 0; i < 10; i++) {
        receipts[i] = scratch_put(&s, 0, 10, i);
        sleep_ms(3);
    }
}

START_TEST(cf_t1_t2_t3_a_time_finds_its_record_its_neighbour_or_the_first)
{
    struct commitlog_receipt receipts[10];
    uint64_t offset = 0;
    put_apart(receipts);
    for (uint32_t i = 0; i < 10; i++) {
        int64_t time = receipts[i].store_time_ns;
        ck_assert_int_eq(
            commitlog_offset_by_time(s.store, s.topic, 0, time, COMMITLOG_LOWER, &offset),
            COMMITLOG_OK);
        ck_assert_uint_eq(offset, i);
        ck_assert_int_eq(
            commitlog_offset_by_time(s.store, s.topic, 0, time - 2000000, COMMITLOG_LOWER, &offset),
            COMMITLOG_OK);
        ck_assert_uint_eq(offset, i);
        ck_assert_int_eq(
            commitlog_offset_by_time(s.store, s.topic, 0, time + 2000000, COMMITLOG_UPPER, &offset),
            COMMITLOG_OK);
        ck_assert_uint_eq(offset, i);
    }
    ck_assert_int_eq(commitlog_offset_by_time(s.store, s.topic, 0,
                                              receipts[0].store_time_ns - INT64_C(20000000000),
                                              COMMITLOG_LOWER, &offset),
                     COMMITLOG_OK);
    ck_assert_uint_eq(offset, 0);
    ck_assert_int_eq(commitlog_offset_by_time(s.store, s.topic, 0, receipts[9].store_time_ns + 1,
                                              COMMITLOG_LOWER, &offset),
                     COMMITLOG_OK);
    ck_assert_uint_eq(offset, 10);
}
END_TEST

START_TEST(cf_t4_t5_times_of_what_is_not_there)
{
    uint64_t offset = 5;
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    ck_assert_int_eq(commitlog_offset_by_time(s.store, s.topic, 9, 0, COMMITLOG_LOWER, &offset),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_offset_by_time(s.store, s.topic, 0, 0, 2, &offset),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_info(s.store, s.topic, 9, &info), COMMITLOG_EINVAL);
    ck_assert_uint_eq(offset, 5);
    ck_assert_int_eq(scratch_queue(&s, 0).first_time_ns, 0);
    (void)scratch_put(&s, 0, 1, 1);
    ck_assert_int_eq(scratch_queue(&s, 0).first_time_ns, scratch_queue(&s, 0).last_time_ns);
    ck_assert_int_gt(scratch_queue(&s, 0).first_time_ns, 0);
}
END_TEST

static Suite *queue_suite(void)
{
    Suite *suite = suite_create("conformance_queue");
    TCase *queue = tcase_create("queue");
    tcase_set_timeout(queue, 60);
    tcase_add_checked_fixture(queue, setup, teardown);
    tcase_add_test(queue, cf_q1_building_a_queue_again_makes_no_entry_twice);
    tcase_add_test(queue, cf_q4_the_first_offset_follows_the_first_position);
    tcase_add_test(queue, cf_q5_an_idle_queue_whose_records_are_gone_is_empty_but_does_not_restart);
    tcase_add_test(queue, cf_q6_a_queue_that_begins_late_survives_a_reload);
    tcase_add_test(queue, cf_q7_an_empty_queue_counts_nothing);
    tcase_add_test(queue, cf_q8_every_offset_and_time_is_found_over_hundreds_of_segments);
    tcase_add_test(queue, cf_q9_a_read_may_begin_inside_a_batch);
    tcase_add_test(queue, cf_q10_a_topic_of_another_shape_is_refused);
    suite_add_tcase(suite, queue);
    TCase *store = tcase_create("store");
    tcase_set_timeout(store, 60);
    tcase_add_checked_fixture(store, setup, teardown);
    tcase_add_test(store, cf_s1_a_store_may_be_opened_and_closed_again_and_again);
    tcase_add_test(store, cf_s2_s3_a_hundred_records_are_read_by_offset_and_position);
    tcase_add_test(store, cf_s4_the_visible_end_waits_for_a_claim_in_front);
    tcase_add_test(store, cf_s5_a_closed_store_answers_closed);
    tcase_add_test(store, cf_r1_a_fetch_gives_what_was_asked_for);
    tcase_add_test(store, cf_r2_a_tag_is_matched_exactly_and_not_by_hash);
    tcase_add_test(store, cf_r2_a_cursor_over_the_log_passes_over_other_tags_and_control_records);
    tcase_add_test(store, cf_t1_t2_t3_a_time_finds_its_record_its_neighbour_or_the_first);
    tcase_add_test(store, cf_t4_t5_times_of_what_is_not_there);
    suite_add_tcase(suite, store);
    return suite;
}

int main(void)
{
    return run_suite(queue_suite());
}
