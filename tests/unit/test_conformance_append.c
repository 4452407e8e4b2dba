/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_conformance_append.c -- RocketMQ's store tests on append and files, as far as they apply.
 *
 * The names carry the ids CF-A (append, encode, batch) and CF-M (mapped files) that the cases have
 * in our study of that test suite. CF-A4 is done for every bit in tests/damage/flip_test.c, CF-M1
 * to M8 (concurrent writes) in tests/stress/threads_test.c; CF-M22 to M25 (several paths) and
 * CF-A6's string surgery have no counterpart.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/run_suite.h"
#include "support/scratch.h"

enum { SEGMENT = 65536, COUNT = 10 };

static struct scratch s;

static void setup(void)
{
    scratch_begin(&s, "conformance-append");
    scratch_open(&s, 4);
}

static void teardown(void)
{
    scratch_end(&s);
}

static int32_t put_batch(uint32_t count, size_t bytes, struct commitlog_receipt *receipts)
{
    struct commitlog_record records[COUNT];
    struct commitlog_slice bodies[COUNT];
    uint8_t *data = need_alloc(bytes * count);
    int32_t rc = 0;
    memset(records, 0, sizeof records);
    for (uint32_t i = 0; i < count; i++) {
        bytes_fill(data + i * bytes, bytes, i);
        bodies[i] = (struct commitlog_slice){data + i * bytes, bytes};
        records[i].struct_bytes = sizeof records[i];
        records[i].topic = s.topic;
        records[i].queue = 1;
        records[i].level = COMMITLOG_LEVEL_NONE;
        records[i].body = &bodies[i];
        records[i].body_count = 1;
    }
    rc = commitlog_append_batch(s.store, records, count, COMMITLOG_FOREVER, receipts, &s.err);
    free(data);
    return rc;
}

START_TEST(cf_a1_a_batch_that_does_not_fit_moves_whole_to_the_next_segment)
{
    struct commitlog_receipt receipts[COUNT];
    struct commitlog_receipt before = scratch_put(&s, 0, 40000, 1);
    ck_assert_int_eq(put_batch(COUNT, 2000, receipts), COMMITLOG_OK);
    ck_assert_uint_lt(before.end_position, SEGMENT);
    for (uint32_t i = 0; i < COUNT; i++) {
        ck_assert_uint_gt(receipts[i].position, SEGMENT);
        ck_assert_uint_lt(receipts[i].position, 2 * SEGMENT);
    }
    ck_assert_uint_eq(scratch_count(&s, 1, 0), COUNT);
}
END_TEST

START_TEST(cf_a2_offsets_in_a_batch_are_consecutive_and_times_equal_or_rising)
{
    struct commitlog_receipt receipts[COUNT];
    (void)scratch_put(&s, 1, 10, 1);
    ck_assert_int_eq(put_batch(COUNT, 100, receipts), COMMITLOG_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(receipts[i].queue_offset, i + 1);
        ck_assert_int_ge(receipts[i].store_time_ns, receipts[0].store_time_ns);
    }
}
END_TEST

START_TEST(cf_a3_every_receipt_of_a_batch_resolves_to_its_record)
{
    struct commitlog_receipt receipts[COUNT];
    ck_assert_int_eq(put_batch(COUNT, 333, receipts), COMMITLOG_OK);
    for (uint32_t i = 0; i < COUNT; i++) {
        ck_assert(scratch_is(&s, receipts[i].position, 333, i));
    }
}
END_TEST

START_TEST(cf_a4_a_changed_byte_of_a_header_is_detected)
{
    static const char marker[] = "a-tag-to-look-for-in-the-file";
    struct commitlog_receipt receipt = scratch_text(&s, 0, "body", NULL, marker);
    struct commitlog_message message;
    char name[DIRS_PATH_MAX];
    struct file_bytes file;
    size_t at = 0;
    scratch_close(&s);
    path_join(name, s.path, "log/00000000000000000000.log");
    file = file_read(name);
    while (at + sizeof marker < file.size && memcmp(file.data + at, marker, 8) != 0) {
        at++;
    }
    ck_assert_uint_lt(at + sizeof marker, file.size);
    file.data[at + 3] ^= 1;
    file_write(name, file.data, file.size);
    ck_assert_int_eq(commitlog_open(s.path, s.options, &s.store, &s.err), COMMITLOG_EDAMAGED);
    scratch_set(&s, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY);
    ck_assert_int_eq(commitlog_open(s.path, s.options, &s.store, &s.err), COMMITLOG_OK);
    ck_assert_int_eq(scratch_get(&s, receipt.position, &message), COMMITLOG_EDAMAGED);
    scratch_close(&s);
    file_free(&file);
}
END_TEST

START_TEST(cf_a5_a_batch_is_found_by_offset_and_by_position_after_a_restart)
{
    struct commitlog_receipt receipts[COUNT];
    uint8_t buffer[8192];
    struct commitlog_message messages[COUNT];
    uint32_t got = 0;
    ck_assert_int_eq(put_batch(COUNT, 100, receipts), COMMITLOG_OK);
    scratch_close(&s);
    scratch_open(&s, 4);
    ck_assert_int_eq(commitlog_read_copy(s.store, s.topic, 1, 0, buffer, sizeof buffer, messages,
                                         COUNT, &got, NULL),
                     COMMITLOG_OK);
    ck_assert_uint_eq(got, COUNT);
    for (uint32_t i = 0; i < COUNT; i++) {
        ck_assert_uint_eq(messages[i].queue_offset, i);
        ck_assert_uint_eq(messages[i].position, receipts[i].position);
        ck_assert_int_eq(messages[i].store_time_ns, receipts[i].store_time_ns);
        ck_assert(scratch_is(&s, receipts[i].position, 100, i));
    }
}
END_TEST

START_TEST(cf_a6_headers_and_keys_come_back_in_order_and_binary_safe)
{
    struct commitlog_slice keys[3] = {{"k\0y", 3}, {"", 0}, {"last", 4}};
    struct commitlog_header headers[3] = {
        {{"first", 5}, {"\0\1\2", 3}}, {{"middle", 6}, {"", 0}}, {{"last", 4}, {"\1\2=;", 4}}};
    struct commitlog_record record = {.struct_bytes = sizeof record, .level = COMMITLOG_LEVEL_NONE};
    struct commitlog_receipt receipt;
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_slice key;
    struct commitlog_header header;
    keys[1] = (struct commitlog_slice){"m", 1};
    record.topic = s.topic;
    record.keys = keys;
    record.key_count = 3;
    record.headers = headers;
    record.header_count = 3;
    ck_assert_int_eq(commitlog_append_record(s.store, &record, COMMITLOG_FOREVER, &receipt, &s.err),
                     COMMITLOG_OK);
    ck_assert_int_eq(commitlog_get(s.store, receipt.position, &message, &lease, &s.err),
                     COMMITLOG_OK);
    ck_assert_uint_eq(message.body.bytes, 0);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(commitlog_message_key(&message, i, &key), COMMITLOG_OK);
        ck_assert_uint_eq(key.bytes, keys[i].bytes);
        ck_assert_mem_eq(key.data, keys[i].data, key.bytes);
        ck_assert_int_eq(commitlog_message_header(&message, i, &header), COMMITLOG_OK);
        ck_assert_uint_eq(header.name.bytes, headers[i].name.bytes);
        ck_assert_mem_eq(header.name.data, headers[i].name.data, header.name.bytes);
        ck_assert_uint_eq(header.value.bytes, headers[i].value.bytes);
        ck_assert(bytes_equal(header.value.data, headers[i].value.data, header.value.bytes));
    }
    ck_assert_int_eq(commitlog_message_key(&message, 3, &key), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_message_header(&message, 3, &header), COMMITLOG_ENOTFOUND);
    commitlog_lease_release(lease);
}
END_TEST

START_TEST(cf_a7_a_failed_append_burns_no_offset)
{
    static const char value[40000];
    struct commitlog_header headers[2] = {{{"h", 1}, {value, sizeof value}},
                                          {{"h", 1}, {value, sizeof value}}};
    struct commitlog_record record = {.struct_bytes = sizeof record, .level = COMMITLOG_LEVEL_NONE};
    struct commitlog_positions before = scratch_positions(&s);
    struct commitlog_positions after;
    record.topic = s.topic;
    record.headers = headers;
    record.header_count = 2;
    ck_assert_int_eq(commitlog_append_record(s.store, &record, COMMITLOG_FOREVER, NULL, &s.err),
                     COMMITLOG_ETOOBIG);
    after = scratch_positions(&s);
    ck_assert_uint_eq(after.claimed, before.claimed);
    ck_assert_uint_eq(scratch_put(&s, 0, 10, 1).queue_offset, 0);
    ck_assert_int_eq(commitlog_append_record(s.store, &record, COMMITLOG_FOREVER, NULL, &s.err),
                     COMMITLOG_ETOOBIG);
    ck_assert_uint_eq(scratch_put(&s, 0, 10, 1).queue_offset, 1);
}
END_TEST

START_TEST(cf_a8_a9_a_body_or_batch_over_the_maximum_is_refused)
{
    struct commitlog_receipt receipts[COUNT];
    static const uint8_t body[SEGMENT];
    ck_assert_int_eq(
        commitlog_append(s.store, s.topic, 0, body, sizeof body, COMMITLOG_LEVEL_NONE, NULL),
        COMMITLOG_ETOOBIG);
    ck_assert_int_eq(put_batch(COUNT, 6000, receipts), COMMITLOG_ETOOBIG);
    ck_assert_uint_eq(scratch_queue(&s, 0).next_offset, 0);
    ck_assert_uint_eq(scratch_queue(&s, 1).next_offset, 0);
    ck_assert_int_eq(put_batch(COUNT, 4000, receipts), COMMITLOG_OK);
}
END_TEST

START_TEST(cf_a10_the_maximum_is_exact_and_may_change_between_sessions)
{
    static const uint8_t body[8192];
    static const uint64_t limits[] = {1000, 4000, 100, 8000};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        scratch_close(&s);
        scratch_set(&s, COMMITLOG_OPT_MAX_BODY_BYTES, limits[i]);
        scratch_open(&s, 4);
        ck_assert_int_eq(
            commitlog_append(s.store, s.topic, 0, body, limits[i], COMMITLOG_LEVEL_NONE, NULL),
            COMMITLOG_OK);
        ck_assert_int_eq(
            commitlog_append(s.store, s.topic, 0, body, limits[i] + 1, COMMITLOG_LEVEL_NONE, NULL),
            COMMITLOG_ETOOBIG);
    }
    ck_assert_uint_eq(scratch_count(&s, 0, 0), 4);
}
END_TEST

START_TEST(cf_m9_a_lease_outlives_the_segment_it_points_into)
{
    struct commitlog_receipt receipt = scratch_put(&s, 0, 5000, 7);
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    uint8_t expected[5000];
    char name[DIRS_PATH_MAX];
    bytes_fill(expected, sizeof expected, 7);
    for (uint32_t i = 0; i < 40; i++) {
        (void)scratch_put(&s, 0, 5000, i);
    }
    ck_assert_int_eq(commitlog_get(s.store, receipt.position, &message, &lease, &s.err),
                     COMMITLOG_OK);
    ck_assert_int_eq(commitlog_lease_check(lease), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_retain(s.store, &policy, &out, &s.err), COMMITLOG_OK);
    ck_assert_uint_gt(out.segments_dropped, 0);
    ck_assert_uint_gt(out.bytes_held, 0);
    path_join(name, s.path, "log/00000000000000000000.log");
    ck_assert(!path_exists(name));
    ck_assert_int_eq(commitlog_lease_check(lease), COMMITLOG_EREVOKED);
    ck_assert_uint_eq(message.body.bytes, sizeof expected);
    ck_assert_mem_eq(message.body.data, expected, sizeof expected);
    commitlog_lease_release(lease);
    ck_assert_int_eq(scratch_get(&s, receipt.position, &message), COMMITLOG_ETOOSMALL);
}
END_TEST

START_TEST(cf_m10_m11_records_are_found_in_every_segment_and_none_beyond)
{
    struct commitlog_receipt receipts[60];
    struct commitlog_message message;
    uint32_t rolls = 0;
    for (uint32_t i = 0; i < 60; i++) {
        receipts[i] = scratch_put(&s, i % 4, 4000, i);
        if (i > 0 && receipts[i].position / SEGMENT != receipts[i - 1].position / SEGMENT) {
            rolls++;
        }
    }
    ck_assert_uint_ge(rolls, 4);
    for (uint32_t i = 0; i < 60; i++) {
        ck_assert(scratch_is(&s, receipts[i].position, 4000, i));
    }
    ck_assert_int_eq(scratch_get(&s, receipts[59].end_position, &message), COMMITLOG_EBEYOND);
    ck_assert_int_eq(scratch_get(&s, UINT64_C(1) << 40, &message), COMMITLOG_EBEYOND);
}
END_TEST

START_TEST(cf_m13_a_flush_covers_every_segment_up_to_its_position)
{
    struct commitlog_receipt receipts[40];
    struct commitlog_positions now;
    for (uint32_t i = 0; i < 40; i++) {
        receipts[i] = scratch_put(&s, 0, 4000, i);
    }
    ck_assert_int_eq(commitlog_sync(s.store, receipts[10].end_position, COMMITLOG_FOREVER, &s.err),
                     COMMITLOG_OK);
    now = scratch_positions(&s);
    ck_assert_uint_ge(now.durable, receipts[10].end_position);
    ck_assert_int_eq(commitlog_sync(s.store, UINT64_MAX, COMMITLOG_FOREVER, &s.err), COMMITLOG_OK);
    now = scratch_positions(&s);
    ck_assert_uint_eq(now.durable, now.published);
    ck_assert_uint_ge(now.durable, receipts[39].end_position);
    ck_assert_int_eq(commitlog_wait_durable(s.store, receipts[39].end_position, 0), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_wait_durable(s.store, now.claimed + 8, 0), COMMITLOG_ETIMEDOUT);
}
END_TEST

START_TEST(cf_m14_m15_nothing_is_dropped_before_it_may_be)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof policy};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    for (uint32_t i = 0; i < 60; i++) {
        (void)scratch_put(&s, 0, 4000, i);
    }
    ck_assert_int_eq(commitlog_retain(s.store, &policy, &out, &s.err), COMMITLOG_OK);
    ck_assert_uint_eq(out.segments_dropped, 0);
    policy.keep_age_ms = 3600000;
    policy.keep_bytes = UINT64_C(1) << 30;
    ck_assert_int_eq(commitlog_retain(s.store, &policy, &out, &s.err), COMMITLOG_OK);
    ck_assert_uint_eq(out.segments_dropped, 0);
    ck_assert_uint_eq(scratch_queue(&s, 0).first_offset, 0);
    policy.keep_bytes = 3 * SEGMENT;
    ck_assert_int_eq(commitlog_retain(s.store, &policy, &out, &s.err), COMMITLOG_OK);
    ck_assert_uint_ge(out.segments_dropped, 1);
    ck_assert_uint_eq(scratch_queue(&s, 0).next_offset, 60);
    ck_assert_uint_gt(scratch_queue(&s, 0).first_offset, 0);
}
END_TEST

static Suite *append_suite(void)
{
    Suite *suite = suite_create("conformance_append");
    TCase *append = tcase_create("append");
    tcase_set_timeout(append, 60);
    tcase_add_checked_fixture(append, setup, teardown);
    tcase_add_test(append, cf_a1_a_batch_that_does_not_fit_moves_whole_to_the_next_segment);
    tcase_add_test(append, cf_a2_offsets_in_a_batch_are_consecutive_and_times_equal_or_rising);
    tcase_add_test(append, cf_a3_every_receipt_of_a_batch_resolves_to_its_record);
    tcase_add_test(append, cf_a4_a_changed_byte_of_a_header_is_detected);
    tcase_add_test(append, cf_a5_a_batch_is_found_by_offset_and_by_position_after_a_restart);
    tcase_add_test(append, cf_a6_headers_and_keys_come_back_in_order_and_binary_safe);
    tcase_add_test(append, cf_a7_a_failed_append_burns_no_offset);
    tcase_add_test(append, cf_a8_a9_a_body_or_batch_over_the_maximum_is_refused);
    tcase_add_test(append, cf_a10_the_maximum_is_exact_and_may_change_between_sessions);
    suite_add_tcase(suite, append);
    TCase *files = tcase_create("files");
    tcase_set_timeout(files, 60);
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, cf_m9_a_lease_outlives_the_segment_it_points_into);
    tcase_add_test(files, cf_m10_m11_records_are_found_in_every_segment_and_none_beyond);
    tcase_add_test(files, cf_m13_a_flush_covers_every_segment_up_to_its_position);
    tcase_add_test(files, cf_m14_m15_nothing_is_dropped_before_it_may_be);
    suite_add_tcase(suite, files);
    return suite;
}

int main(void)
{
    return run_suite(append_suite());
}
