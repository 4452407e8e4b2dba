/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_arguments.c -- a program that gives what it must not is told so, by every function that
 * takes bytes of it: nothing is stored, no output is written, and it lives on.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "support/run_suite.h"
#include "support/scratch.h"

enum { FILL = 0xA5 };

static struct scratch s;

static void setup(void)
{
    scratch_begin(&s, "arguments");
    scratch_open(&s, 2);
}

static void teardown(void)
{
    scratch_end(&s);
}

/* The ways by which a record comes into the log. */
enum { BY_RECORD, BY_BATCH, BY_RESERVATION, BY_TRANSACTION, WAYS };

static int32_t put_in_transaction(const struct commitlog_record *record,
                                  struct commitlog_receipt *receipt)
{
    struct commitlog_transaction *transaction = NULL;
    ck_assert_int_eq(commitlog_transaction_begin(s.store, "g", 1, NULL, &transaction, &s.err),
                     COMMITLOG_OK);
    int32_t rc = commitlog_transaction_append(transaction, record, 0, receipt, &s.err);
    commitlog_transaction_close(transaction);
    return rc;
}

static int32_t put(int way, const struct commitlog_record *record)
{
    struct commitlog_receipt filled;
    memset(&filled, FILL, sizeof filled);
    struct commitlog_receipt receipts[2] = {filled, filled};
    struct commitlog_reservation *reservation = NULL;
    void *body = NULL;
    struct commitlog_record batch[2] = {*record, *record};
    int32_t rc;
    switch (way) {
    case BY_RECORD:
        rc = commitlog_append_record(s.store, record, 0, receipts, &s.err);
        break;
    case BY_BATCH: /* the first of the two is good */
        batch[0].tag = (struct commitlog_slice){NULL, 0};
        batch[0].key_count = batch[0].header_count = batch[0].body_count = 0;
        rc = commitlog_append_batch(s.store, batch, 2, 0, receipts, &s.err);
        break;
    case BY_RESERVATION:
        rc = commitlog_reserve(s.store, record, 10, 0, &reservation, &body, &s.err);
        ck_assert(rc == COMMITLOG_OK || (reservation == NULL && body == NULL));
        (void)commitlog_abort(reservation);
        break;
    default:
        rc = put_in_transaction(record, receipts);
        break;
    }
    if (rc != COMMITLOG_OK) {
        ck_assert_mem_eq(&receipts[0], &filled, sizeof filled);
        ck_assert_mem_eq(&receipts[1], &filled, sizeof filled);
        ck_assert_int_eq(s.err.code, rc);
    }
    return rc;
}

static struct commitlog_record record_of_topic(void)
{
    return (struct commitlog_record){
        .struct_bytes = sizeof(struct commitlog_record), .topic = s.topic, .queue = 0};
}

static const struct commitlog_slice missing = {NULL, 3};
static const struct commitlog_header missing_name = {{NULL, 3}, {"v", 1}};
static const struct commitlog_header missing_value[] = {{{"n", 1}, {"v", 1}},
                                                        {{"n", 1}, {NULL, 3}}};

START_TEST(a_record_with_bytes_at_null_is_refused)
{
    struct commitlog_record bad[8];
    for (size_t i = 0; i < 8; i++) {
        bad[i] = record_of_topic();
    }
    bad[0].tag = missing;
    bad[1].keys = &missing;
    bad[2].key_count = 1; /* no array */
    bad[1].key_count = 1;
    bad[3].headers = &missing_name;
    bad[3].header_count = 1;
    bad[4].headers = missing_value;
    bad[4].header_count = 2;
    bad[5].header_count = 1;
    bad[6].body_count = 1;
    bad[7].body = &missing;
    bad[7].body_count = 1;
    for (size_t i = 0; i < (_i == BY_RESERVATION ? 6 : 8); i++) { /* its body is not looked at */
        ck_assert_msg(put(_i, &bad[i]) == COMMITLOG_EINVAL, "record %zu", i);
    }
    ck_assert_uint_eq(scratch_queue(&s, 0).next_offset, 0);
}
END_TEST

/* A length, and what comes of it. */
static const struct {
    size_t bytes;
    int32_t tag;
    int32_t key;
    int32_t name;
} lengths[] = {
    {0, COMMITLOG_OK, COMMITLOG_EINVAL, COMMITLOG_EINVAL},
    {1, COMMITLOG_OK, COMMITLOG_OK, COMMITLOG_OK},
    {255, COMMITLOG_OK, COMMITLOG_OK, COMMITLOG_OK},
    {256, COMMITLOG_ETOOBIG, COMMITLOG_OK, COMMITLOG_ETOOBIG},
    {4096, COMMITLOG_ETOOBIG, COMMITLOG_OK, COMMITLOG_ETOOBIG},
    {4097, COMMITLOG_ETOOBIG, COMMITLOG_ETOOBIG, COMMITLOG_ETOOBIG},
    {65536, COMMITLOG_ETOOBIG, COMMITLOG_ETOOBIG, COMMITLOG_ETOOBIG},
    {SIZE_MAX - 2, COMMITLOG_ETOOBIG, COMMITLOG_ETOOBIG, COMMITLOG_ETOOBIG}, /* 3 more are 0 */
    {SIZE_MAX, COMMITLOG_ETOOBIG, COMMITLOG_ETOOBIG, COMMITLOG_ETOOBIG},
};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

START_TEST(what_is_empty_is_invalid_and_what_is_above_its_maximum_too_big)
{
    static const char bytes[65536] = {'b'};
    for (size_t i = 0; i < LENGTHS; i++) {
        const struct commitlog_slice slice = {bytes, lengths[i].bytes};
        const struct commitlog_header header = {slice, {"v", 1}};
        struct commitlog_record with_tag = record_of_topic();
        struct commitlog_record with_key = record_of_topic();
        struct commitlog_record with_header = record_of_topic();
        with_tag.tag = slice;
        with_key.keys = &slice;
        with_key.key_count = 1;
        with_header.headers = &header;
        with_header.header_count = 1;
        ck_assert_int_eq(put(_i, &with_tag), lengths[i].tag);
        ck_assert_int_eq(put(_i, &with_key), lengths[i].key);
        ck_assert_int_eq(put(_i, &with_header), lengths[i].name);
    }
}
END_TEST

/* Nothing is read behind the one that there is. */
START_TEST(more_than_a_record_may_have_is_too_big_before_it_is_looked_at)
{
    struct commitlog_slice *key = malloc(sizeof *key);
    struct commitlog_header *header = malloc(sizeof *header);
    const struct commitlog_slice body[] = {{"b", SIZE_MAX}, {"b", SIZE_MAX}};
    ck_assert(key != NULL && header != NULL);
    *key = (struct commitlog_slice){"k", 1};
    *header = (struct commitlog_header){{"n", 1}, {"v", 1}};
    static const uint32_t counts[] = {65537, UINT32_MAX / 2, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        struct commitlog_record with_keys = record_of_topic();
        struct commitlog_record with_headers = record_of_topic();
        with_keys.keys = key;
        with_keys.key_count = counts[i];
        with_headers.headers = header;
        with_headers.header_count = counts[i];
        ck_assert_int_eq(put(_i, &with_keys), COMMITLOG_ETOOBIG);
        ck_assert_int_eq(put(_i, &with_headers), COMMITLOG_ETOOBIG);
    }
    struct commitlog_record with_body = record_of_topic();
    with_body.body = body;
    for (with_body.body_count = 1; with_body.body_count <= 2; with_body.body_count++) {
        ck_assert_int_eq(_i == BY_RESERVATION ? COMMITLOG_ETOOBIG : put(_i, &with_body),
                         COMMITLOG_ETOOBIG);
    }
    free(key);
    free(header);
}
END_TEST

START_TEST(a_time_that_cannot_be_is_refused)
{
    struct commitlog_cursor *cursor = NULL;
    const uint32_t queue = _i == 0 ? 0 : COMMITLOG_QUEUE_ALL;
    ck_assert_int_eq(commitlog_cursor_open(s.store, s.topic, queue, COMMITLOG_FROM_TIME,
                                           (uint64_t)INT64_MAX + 1, &cursor, &s.err),
                     COMMITLOG_EINVAL);
    ck_assert_ptr_null(cursor);
    ck_assert_int_eq(commitlog_cursor_open(s.store, s.topic, queue, COMMITLOG_FROM_TIME, INT64_MAX,
                                           &cursor, &s.err),
                     COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_TIME, UINT64_MAX),
                     COMMITLOG_EINVAL);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(a_name_that_no_file_can_have_is_refused)
{
    char name[257];
    struct commitlog_store *store = NULL;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    ck_assert_int_eq(commitlog_open(name, NULL, &store, &s.err), COMMITLOG_EINVAL);
    ck_assert_ptr_null(store);
}
END_TEST

START_TEST(keys_and_tags_that_nothing_can_have_are_not_searched_for)
{
    static const char bytes[4097] = {'b'};
    struct commitlog_cursor *cursor = NULL;
    for (size_t i = 0; lengths[i].bytes <= sizeof bytes; i++) {
        const struct commitlog_slice tag = {bytes, lengths[i].bytes};
        const int32_t wanted = lengths[i].bytes == 0 ? COMMITLOG_EINVAL : lengths[i].tag;
        int32_t rc = commitlog_cursor_open_key(s.store, s.topic, bytes, lengths[i].bytes, 0,
                                               INT64_MAX, &cursor, &s.err);
        ck_assert_int_eq(rc, lengths[i].key);
        commitlog_cursor_close(rc == COMMITLOG_OK ? cursor : NULL);
        rc = commitlog_cursor_open(s.store, s.topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &s.err);
        ck_assert_int_eq(rc, COMMITLOG_OK);
        ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &tag, 1), wanted);
        commitlog_cursor_close(cursor);
    }
}
END_TEST

START_TEST(an_empty_value_may_be_null)
{
    static const struct commitlog_header header = {{"n", 1}, {NULL, 0}};
    static const struct commitlog_slice nothing = {NULL, 0};
    struct commitlog_record record = record_of_topic();
    record.headers = &header;
    record.header_count = 1;
    record.body = &nothing;
    record.body_count = 1;
    ck_assert_int_eq(put(_i, &record), COMMITLOG_OK);
}
END_TEST

START_TEST(names_and_texts_with_bytes_at_null_are_refused)
{
    uint32_t topic = 77;
    uint32_t owner[2] = {77, 77};
    struct commitlog_group *group = NULL;
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_filter *filter = NULL;
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(commitlog_topic_open(s.store, NULL, 3, 1, &topic, &s.err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_group_open(s.store, NULL, 3, COMMITLOG_GROUP_CREATE, &group, &s.err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_transaction_begin(s.store, NULL, 3, NULL, &transaction, &s.err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_filter_compile(NULL, 3, &filter, &s.err), COMMITLOG_EINVAL);
    ck_assert_int_eq(
        commitlog_cursor_open_key(s.store, s.topic, NULL, 3, 0, INT64_MAX, &cursor, &s.err),
        COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_by_key(NULL, 3, 2, &topic), COMMITLOG_EINVAL);
    ck_assert_int_eq(
        commitlog_assign(COMMITLOG_ASSIGN_AVERAGE, &missing, 1, 2, NULL, owner, &s.err),
        COMMITLOG_EINVAL);
    ck_assert(group == NULL && transaction == NULL && filter == NULL && cursor == NULL);
    ck_assert(topic == 77 && owner[0] == 77 && owner[1] == 77);
    ck_assert_uint_eq(commitlog_topic_count(s.store), 1);
}
END_TEST

START_TEST(attributes_with_bytes_at_null_are_refused)
{
    const struct commitlog_message message = {.attributes = {NULL, 3}, .key_count = 1};
    const struct commitlog_slice tags[] = {{"t", 1}, {NULL, 3}};
    struct commitlog_slice key;
    struct commitlog_header header;
    struct commitlog_filter *filter = NULL;
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(commitlog_message_key(&message, 0, &key), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_message_header(&message, 0, &header), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_filter_compile("a = 1", 5, &filter, &s.err), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_filter_test(filter, &message), COMMITLOG_EINVAL);
    commitlog_filter_free(filter);
    ck_assert_int_eq(
        commitlog_cursor_open(s.store, s.topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &s.err),
        COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, tags, 2), COMMITLOG_EINVAL);
    commitlog_cursor_close(cursor);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("arguments");
    TCase *tcase = tcase_create("arguments");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_record_with_bytes_at_null_is_refused, 0, WAYS);
    tcase_add_loop_test(tcase, what_is_empty_is_invalid_and_what_is_above_its_maximum_too_big, 0,
                        WAYS);
    tcase_add_loop_test(tcase, more_than_a_record_may_have_is_too_big_before_it_is_looked_at, 0,
                        WAYS);
    tcase_add_loop_test(tcase, a_time_that_cannot_be_is_refused, 0, 2);
    tcase_add_test(tcase, a_name_that_no_file_can_have_is_refused);
    tcase_add_test(tcase, keys_and_tags_that_nothing_can_have_are_not_searched_for);
    tcase_add_loop_test(tcase, an_empty_value_may_be_null, 0, WAYS);
    tcase_add_test(tcase, names_and_texts_with_bytes_at_null_are_refused);
    tcase_add_test(tcase, attributes_with_bytes_at_null_are_refused);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
