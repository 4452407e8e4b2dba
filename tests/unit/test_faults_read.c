/* SPDX-License-Identifier: BSD-2-Clause */
/* test_faults_read.c -- what a reader says on a machine in memory whose files do not read. */
#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "commitlog_fault.h"

#include "os/os.h"
#include "support/run_suite.h"

static struct commitlog_fault *machine;
static struct commitlog_store *store;
static struct commitlog_error err;
static uint32_t topic;
static uint64_t borrow;
static const struct commitlog_os *other_os; /* NULL: the machine's */

static void store_open(uint64_t access)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 65536, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_BORROW, borrow, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, access, NULL), 0);
    commitlog_options_set_os(options, other_os != NULL ? other_os : commitlog_fault_os(machine));
    ck_assert_int_eq(commitlog_open("/store", options, &store, &err), 0);
    commitlog_options_free(options);
}

static void setup(void)
{
    store = NULL;
    borrow = 0;
    other_os = NULL;
    ck_assert_int_eq(commitlog_fault_create(7, &machine), 0);
}

static void teardown(void)
{
    (void)commitlog_close(store, NULL);
    commitlog_fault_free(machine);
}

/* Whether the query yields both sound ones of three messages, and says once of the other what it
 * is, however many it is asked for at a time. */
static void key_query_says(int32_t code, uint32_t at_a_time)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[4];
    uint32_t count = 0;
    uint32_t yielded = 0;
    uint32_t said = 0;
    int32_t rc = commitlog_cursor_open_key(store, topic, "k", 1, 0, INT64_MAX, &cursor, &err);
    ck_assert_int_eq(rc, 0);
    for (uint32_t i = 0; i < 8 && rc != COMMITLOG_EEND; i++) {
        rc = commitlog_cursor_fetch(cursor, messages, at_a_time, 0, &count, NULL);
        yielded += rc == COMMITLOG_OK ? count : 0;
        said += rc == code;
        ck_assert(rc == COMMITLOG_OK || rc == code || rc == COMMITLOG_EEND);
    }
    ck_assert_uint_eq(yielded, 2);
    /* At its end it says of damage that is known that there may be more behind it. */
    ck_assert(said == 1 || (said == 2 && code == COMMITLOG_EDAMAGED));
    commitlog_cursor_close(cursor);
}

START_TEST(a_query_by_key_says_of_each_record_that_it_cannot_have)
{
    static const char path[] = "/store/log/00000000000000000000.log";
    struct commitlog_receipt receipts[3];
    const struct commitlog_slice key = {"k", 1};
    const struct commitlog_slice body = {"0123456789", 10};
    store_open(COMMITLOG_READ_WRITE);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    for (uint32_t i = 0; i < 3; i++) {
        struct commitlog_record record = {.struct_bytes = sizeof(record),
                                          .topic = topic,
                                          .level = COMMITLOG_LEVEL_DURABLE,
                                          .body = &body,
                                          .body_count = 1,
                                          .keys = &key,
                                          .key_count = 1};
        ck_assert_int_eq(
            commitlog_append_record(store, &record, COMMITLOG_FOREVER, &receipts[i], &err), 0);
    }
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    store_open(COMMITLOG_READ_ONLY);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    if (_i % 2 == 0) {
        ck_assert_int_eq(commitlog_fault_bad_range(machine, path, receipts[1].position, 8), 0);
    } else {
        ck_assert_int_eq(commitlog_fault_flip(machine, path, receipts[1].end_position - 4, 0x10),
                         0);
    }
    key_query_says(_i % 2 == 0 ? COMMITLOG_EIO : COMMITLOG_EDAMAGED, _i < 2 ? 1 : 4);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, path, 0, 0), 0);
}
END_TEST

/* Appends `count` messages of the topic, with the key "k" or without one. */
static void append_some(struct commitlog_store *writer, uint32_t count, bool keyed, uint32_t bytes)
{
    static const char zeros[16000];
    const struct commitlog_slice key = {"k", 1};
    const struct commitlog_slice body = {zeros, bytes};
    for (uint32_t i = 0; i < count; i++) {
        struct commitlog_receipt receipt;
        struct commitlog_record record = {.struct_bytes = sizeof(record),
                                          .topic = topic,
                                          .level = COMMITLOG_LEVEL_WRITTEN,
                                          .body = &body,
                                          .body_count = 1,
                                          .keys = &key,
                                          .key_count = keyed ? 1 : 0};
        ck_assert_int_eq(
            commitlog_append_record(writer, &record, COMMITLOG_FOREVER, &receipt, &err), 0);
    }
}

/* The end of the log moved into a segment that cannot be opened: that is said, and it is not the
 * fault of the candidate that the query stands at. */
START_TEST(a_query_by_key_passes_nothing_for_an_error_elsewhere)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    uint32_t yielded = 1;
    store_open(COMMITLOG_READ_WRITE);
    struct commitlog_store *writer = store;
    ck_assert_int_eq(commitlog_topic_open(writer, "t", 1, 1, &topic, &err), 0);
    append_some(writer, 3, true, 10);
    store_open(COMMITLOG_READ_ONLY);
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "k", 1, 0, INT64_MAX, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    append_some(writer, 8, false, 16000);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_OPEN, 1, EIO, 1), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), COMMITLOG_EIO);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_OPEN, 0, 0, 0), 0);
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL) == COMMITLOG_OK) {
        yielded++;
    }
    ck_assert_uint_eq(yielded, 3);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_close(writer, &err), 0);
}
END_TEST

static int32_t copy_one(uint64_t offset, uint32_t max)
{
    static uint8_t buffer[65536];
    struct commitlog_message messages[4];
    uint32_t count = 0;
    int32_t rc = commitlog_read_copy(store, topic, 0, offset, buffer, sizeof(buffer), messages, max,
                                     &count, NULL);
    ck_assert(rc != COMMITLOG_OK || (count >= 1 && messages[0].queue_offset == offset));
    return rc;
}

START_TEST(a_copy_is_one_read_and_nothing_else)
{
    enum { COUNT = 200 }; /* in four sealed segments and one that is not */
    store_open(COMMITLOG_READ_WRITE);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    append_some(store, COUNT, false, 1000);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    store_open(COMMITLOG_READ_WRITE);
    for (uint64_t i = 0; i < COUNT; i++) {
        ck_assert_int_eq(copy_one(i, 1), COMMITLOG_OK);
    }
    uint64_t reads = commitlog_fault_count(machine, COMMITLOG_FAULT_READ);
    uint64_t all = commitlog_fault_count(machine, COMMITLOG_FAULT_ANY);
    for (uint64_t i = 0; i < COUNT; i++) {
        ck_assert_int_eq(copy_one(i * 37 % COUNT, 1), COMMITLOG_OK);
    }
    ck_assert_uint_eq(commitlog_fault_count(machine, COMMITLOG_FAULT_READ) - reads, COUNT);
    ck_assert_uint_eq(commitlog_fault_count(machine, COMMITLOG_FAULT_ANY) - all, COUNT);
    /* Where there is nothing it says so, and reads nothing. */
    ck_assert_int_eq(copy_one(COUNT, 1), COMMITLOG_EEND);
    ck_assert_int_eq(copy_one(COUNT + 1, 1), COMMITLOG_EBEYOND);
    ck_assert_uint_eq(commitlog_fault_count(machine, COMMITLOG_FAULT_ANY) - all, COUNT);
}
END_TEST

/* Two messages, then the code, at each turn. */
static void cursor_says(int32_t code)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[4];
    uint32_t count = 0;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, 0, &cursor, &err), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 4, 0, &count, NULL), COMMITLOG_OK);
    ck_assert_uint_eq(count, code == COMMITLOG_OK ? 4 : 2);
    if (code != COMMITLOG_OK) {
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 4, 0, &count, NULL), code);
    }
    commitlog_cursor_close(cursor);
}

/* The index vouches for some bytes of a header and the check of the body for the others: no byte
 * of a record is left that may be another one, however it is read. */
START_TEST(no_byte_of_a_record_goes_unchecked)
{
    static const char path[] = "/store/log/00000000000000000000.log";
    borrow = (uint64_t)_i % 2;
    store_open(COMMITLOG_READ_WRITE);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    append_some(store, 4, _i >= 2, 100);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    store_open(COMMITLOG_READ_WRITE);
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[4];
    uint32_t count = 0;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, 0, &cursor, &err), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 4, 0, &count, NULL), COMMITLOG_OK);
    ck_assert_uint_eq(count, 4);
    uint64_t from = messages[2].position;
    uint64_t to = messages[2].next_position;
    commitlog_cursor_close(cursor);
    for (uint64_t at = from; at < to; at++) {
        ck_assert_int_eq(commitlog_fault_flip(machine, path, at, 0x08), 0);
        cursor_says(COMMITLOG_EDAMAGED);
        ck_assert_int_eq(copy_one(2, 1), COMMITLOG_EDAMAGED);
        ck_assert_int_eq(commitlog_fault_flip(machine, path, at, 0x08), 0);
    }
    cursor_says(COMMITLOG_OK);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, path, to - 8, 8), 0);
    ck_assert_int_eq(copy_one(2, 1), COMMITLOG_EIO);
    ck_assert_int_eq(copy_one(1, 1), COMMITLOG_OK);
    ck_assert_int_eq(copy_one(1, 4), COMMITLOG_OK); /* what it got before */
    ck_assert_int_eq(commitlog_fault_bad_range(machine, path, 0, 0), 0);
    ck_assert_int_eq(copy_one(2, 2), COMMITLOG_OK);
}
END_TEST

/* ---- a disk that makes readers wait, by the clock ---- */

static int64_t slow_ns; /* that pass between any two looks at the clock */
static int64_t slow_now_ns;
static uint32_t slow_asked;

static int64_t slow_clock(const struct commitlog_os *os)
{
    (void)os;
    slow_now_ns += slow_ns;
    return slow_now_ns;
}

static int slow_advise(const struct commitlog_os *os, void *addr, size_t size,
                       enum clg_os_advice advice)
{
    slow_asked += advice == CLG_OS_ADVISE_WILLNEED ? 1 : 0;
    return commitlog_fault_os(machine)->advise(os, addr, size, advice);
}

static uint32_t asked_by_reads(uint32_t reads)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    slow_asked = 0;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, 0, &cursor, &err), 0);
    for (uint32_t i = 0; i < reads; i++) {
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, i % 4), 0);
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    }
    commitlog_cursor_close(cursor);
    return slow_asked;
}

START_TEST(random_reads_ask_for_their_pages_while_they_wait_for_a_disk)
{
    struct commitlog_os os = *commitlog_fault_os(machine);
    os.clock_mono_ns = slow_clock;
    os.advise = slow_advise;
    slow_ns = 1;
    borrow = 1;
    store_open(COMMITLOG_READ_WRITE);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    append_some(store, 4, false, 100);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    other_os = &os;
    store_open(COMMITLOG_READ_WRITE);
    ck_assert_uint_eq(asked_by_reads(100), 0);
    slow_ns = 1000000;
    ck_assert_uint_ge(asked_by_reads(100), 100 - 16); /* it finds out */
    slow_ns = 1;
    ck_assert_uint_eq(asked_by_reads(200), 64); /* and again */
    ck_assert_uint_eq(asked_by_reads(100), 0);
    /* Who reads on in order leaves that to the kernel. */
    slow_ns = 1000000;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    ck_assert_uint_ge(asked_by_reads(20), 1);
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, 0, &cursor, &err), 0);
    slow_asked = 0;
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    }
    ck_assert_uint_eq(slow_asked, 1);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}
END_TEST

static Suite *faults_read_suite(void)
{
    Suite *suite = suite_create("faults_read");
    TCase *cases = tcase_create("machine and reader");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, a_query_by_key_says_of_each_record_that_it_cannot_have, 0, 4);
    tcase_add_test(cases, a_query_by_key_passes_nothing_for_an_error_elsewhere);
    tcase_add_test(cases, a_copy_is_one_read_and_nothing_else);
    tcase_add_loop_test(cases, no_byte_of_a_record_goes_unchecked, 0, 4);
    tcase_add_test(cases, random_reads_ask_for_their_pages_while_they_wait_for_a_disk);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(faults_read_suite());
}
