/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_filter_cursor.c -- filters on cursors of each kind: exactly what matches comes, whoever
 * frees the filter and when, and what is passed over holds neither memory nor segments.
 */
#include "filter_fixture.h"

#include <pthread.h>
#include <stdatomic.h>

#include "os/os.h"
#include "support/run_suite.h"
#include "support/scratch.h"

enum { QUEUES = 3, RECORDS = 600, FETCH = 64, PASSED = 1500, PASSED_BYTES = 1500 };

static struct scratch s;

static void setup(void)
{
    scratch_begin(&s, "filter");
}

static void teardown(void)
{
    scratch_end(&s);
}

/* Number i: queue i % 3, header n = i, header kind, a tag for every second, the key "k". */
static void put(uint32_t i, size_t body_bytes)
{
    static char zeros[PASSED_BYTES];
    char n[16];
    int digits = snprintf(n, sizeof n, "%u", i);
    struct commitlog_header headers[] = {
        {{"n", 1}, {n, (size_t)digits}},
        {{"kind", 4}, {i % 5 == 0 ? "five" : "none", 4}},
    };
    struct commitlog_slice body = {zeros, body_bytes};
    struct commitlog_slice key = {"k", 1};
    struct commitlog_record record = {.struct_bytes = sizeof record,
                                      .topic = s.topic,
                                      .queue = i % QUEUES,
                                      .level = COMMITLOG_LEVEL_NONE,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = 1,
                                      .headers = headers,
                                      .header_count = i % 7 == 0 ? 1 : 2};
    record.tag = (struct commitlog_slice){"even", i % 2 == 0 ? 4 : 0};
    ck_assert_int_eq(commitlog_append_record(s.store, &record, COMMITLOG_FOREVER, NULL, &s.err),
                     COMMITLOG_OK);
}

static uint32_t number_of(const struct commitlog_message *message)
{
    struct commitlog_header header;
    char text[16] = {0};
    ck_assert_int_eq(commitlog_message_header(message, 0, &header), COMMITLOG_OK);
    memcpy(text, header.value.data, header.value.bytes);
    return (uint32_t)strtoul(text, NULL, 10);
}

enum { ONE_QUEUE, ALL_QUEUES, BY_KEY, THE_LOG, KINDS };

static struct commitlog_cursor *cursor_of(int kind)
{
    struct commitlog_cursor *cursor = NULL;
    int32_t rc;
    if (kind == BY_KEY) {
        rc = commitlog_cursor_open_key(s.store, s.topic, "k", 1, 0, INT64_MAX, &cursor, &s.err);
    } else if (kind == THE_LOG) {
        rc = commitlog_cursor_open_log(s.store, 0, &cursor, &s.err);
    } else {
        rc = commitlog_cursor_open(s.store, s.topic, kind == ONE_QUEUE ? 1 : COMMITLOG_QUEUE_ALL,
                                   COMMITLOG_FROM_FIRST, 0, &cursor, &s.err);
    }
    ck_assert_int_eq(rc, COMMITLOG_OK);
    return cursor;
}

/* All numbers that come, in their order. */
static uint32_t numbers_of(struct commitlog_cursor *cursor, uint32_t *numbers)
{
    struct commitlog_message messages[FETCH];
    uint32_t count = 0;
    uint32_t got = 0;
    int32_t rc;
    while ((rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &got, NULL)) == COMMITLOG_OK) {
        for (uint32_t i = 0; i < got; i++) {
            ck_assert_int_eq(messages[i].kind, COMMITLOG_KIND_MESSAGE);
            numbers[count++] = number_of(&messages[i]);
        }
    }
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    return count;
}

static bool wanted(int kind, uint32_t i, bool even)
{
    bool matches = i >= 100 && i % 5 == 0 && i % 7 != 0;
    return matches && (kind != ONE_QUEUE || i % QUEUES == 1) && (!even || i % 2 == 0);
}

START_TEST(every_kind_of_cursor_yields_exactly_what_matches)
{
    uint32_t numbers[RECORDS];
    struct commitlog_slice even = {"even", 4};
    int kind = _i / 2;
    bool tags = _i % 2 == 1;
    scratch_open(&s, QUEUES);
    for (uint32_t i = 0; i < RECORDS; i++) {
        put(i, 10);
    }
    struct commitlog_filter *filter = filter_of("n >= 100 AND kind = 'five'");
    struct commitlog_cursor *cursor = cursor_of(kind);
    ck_assert_int_eq(commitlog_cursor_set_filter(cursor, filter), COMMITLOG_OK);
    commitlog_filter_free(filter);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &even, tags), COMMITLOG_OK);
    uint32_t count = numbers_of(cursor, numbers);
    uint32_t at = 0;
    for (uint32_t n = 0; n < RECORDS; n++) {
        uint32_t i = kind == BY_KEY ? RECORDS - 1 - n : n;
        if (wanted(kind, i, tags)) {
            ck_assert_uint_lt(at, count);
            ck_assert_uint_eq(numbers[at++], i);
        }
    }
    ck_assert_uint_eq(at, count);
    ck_assert_uint_gt(count, 5);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(a_filter_may_be_shared_replaced_lifted_and_freed_at_once)
{
    uint32_t numbers[RECORDS];
    scratch_open(&s, QUEUES);
    for (uint32_t i = 0; i < 30; i++) {
        put(i, 10);
    }
    struct commitlog_cursor *first = cursor_of(ALL_QUEUES);
    struct commitlog_cursor *second = cursor_of(ALL_QUEUES);
    struct commitlog_filter *filter = filter_of("n < 10");
    ck_assert_int_eq(commitlog_cursor_set_filter(first, filter), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_set_filter(first, filter), COMMITLOG_OK); /* its own */
    ck_assert_int_eq(commitlog_cursor_set_filter(second, filter), COMMITLOG_OK);
    commitlog_filter_free(filter);
    ck_assert_uint_eq(numbers_of(first, numbers), 10);
    commitlog_cursor_close(first);
    ck_assert_uint_eq(numbers_of(second, numbers), 10);
    filter = filter_of("n >= 28");
    ck_assert_int_eq(commitlog_cursor_set_filter(second, filter), COMMITLOG_OK);
    commitlog_filter_free(filter);
    ck_assert_int_eq(commitlog_cursor_seek(second, COMMITLOG_FROM_FIRST, 0), COMMITLOG_OK);
    ck_assert_uint_eq(numbers_of(second, numbers), 2);
    ck_assert_int_eq(commitlog_cursor_set_filter(second, NULL), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_seek(second, COMMITLOG_FROM_FIRST, 0), COMMITLOG_OK);
    ck_assert_uint_eq(numbers_of(second, numbers), 30);
    ck_assert_int_eq(commitlog_cursor_set_filter(NULL, NULL), COMMITLOG_EINVAL);
    filter = filter_of("TRUE");
    ck_assert_int_eq(commitlog_cursor_set_filter(second, filter), COMMITLOG_OK);
    scratch_close(&s);
    ck_assert_int_eq(commitlog_cursor_set_filter(second, NULL), COMMITLOG_ECLOSED);
    commitlog_cursor_close(second);
    commitlog_filter_free(filter);
}
END_TEST

START_TEST(what_does_not_match_is_behind_the_cursor)
{
    struct commitlog_message message;
    uint32_t got = 0;
    uint64_t bound = 0;
    scratch_open(&s, 1);
    struct commitlog_filter *filter = filter_of("n = 3");
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(
        commitlog_cursor_open(s.store, s.topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &s.err),
        COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_set_filter(cursor, filter), COMMITLOG_OK);
    for (uint32_t i = 0; i < 3; i++) {
        (void)scratch_text(&s, 0, "other", NULL, NULL);
    }
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, &bound), COMMITLOG_EEND);
    ck_assert_uint_eq(bound, 3);
    ck_assert_uint_eq(commitlog_cursor_tell(cursor), 3);
    put(3, 10);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, &bound), COMMITLOG_OK);
    ck_assert_uint_eq(message.queue_offset, 3);
    commitlog_cursor_close(cursor);
    commitlog_filter_free(filter);
}
END_TEST

/* ---- what is passed over ----------------------------------------------------------------------
 */

/* Blocks of the size in which readers copy. */
enum { BLOCK_BYTES = 256 << 10, BLOCKS_MAX = 64 };

static void *blocks[BLOCKS_MAX];
static uint32_t blocks_held;
static uint32_t blocks_most;

static void *counting_alloc(const struct commitlog_os *os, size_t bytes)
{
    void *memory = clg_os_default()->alloc(os, bytes);
    for (uint32_t i = 0; bytes >= BLOCK_BYTES && bytes < BLOCK_BYTES + 4096 && i < BLOCKS_MAX;
         i++) {
        if (blocks[i] == NULL) {
            blocks[i] = memory;
            blocks_held++;
            blocks_most = blocks_held > blocks_most ? blocks_held : blocks_most;
            break;
        }
    }
    return memory;
}

static void counting_free(const struct commitlog_os *os, void *memory)
{
    for (uint32_t i = 0; memory != NULL && i < BLOCKS_MAX; i++) {
        if (blocks[i] == memory) {
            blocks[i] = NULL;
            blocks_held--;
        }
    }
    clg_os_default()->free(os, memory);
}

/* Over more segments than a fetch may pin, and more bytes than a few blocks hold; the first and the
 * last record match, what came first must still be there when the last came. */
START_TEST(passing_over_many_records_holds_one_segment_and_one_block)
{
    struct commitlog_os os = *clg_os_default();
    struct commitlog_message messages[3];
    uint32_t got = 0;
    int kind = _i / 2;
    os.alloc = counting_alloc;
    os.free = counting_free;
    commitlog_options_set_os(s.options, &os);
    scratch_set(&s, COMMITLOG_OPT_BORROW, _i % 2 == 0);
    scratch_open(&s, QUEUES);
    for (uint32_t i = 1; i <= PASSED; i++) {
        put(i, PASSED_BYTES);
    }
    ck_assert_uint_gt(scratch_segments(&s), 20);
    struct commitlog_filter *filter = filter_of("n IN (1, 1498)");
    struct commitlog_cursor *cursor = cursor_of(kind);
    ck_assert_int_eq(commitlog_cursor_set_filter(cursor, filter), COMMITLOG_OK);
    blocks_most = blocks_held;
    uint32_t before = blocks_held;
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 3, 0, &got, NULL), COMMITLOG_OK);
    ck_assert_uint_eq(got, 2);
    ck_assert_uint_eq(number_of(&messages[kind == BY_KEY]), 1);
    ck_assert_uint_eq(number_of(&messages[kind != BY_KEY]), 1498);
    ck_assert_uint_eq(messages[0].body.bytes, PASSED_BYTES);
    ck_assert_uint_le(blocks_most - before, 2);
    commitlog_filter_free(filter);
    filter = filter_of("n IN ('none')");
    ck_assert_int_eq(commitlog_cursor_set_filter(cursor, filter), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_seek(
                         cursor, kind == BY_KEY ? COMMITLOG_FROM_END : COMMITLOG_FROM_FIRST, 0),
                     COMMITLOG_OK);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 3, 0, &got, NULL), COMMITLOG_EEND);
    ck_assert_uint_le(blocks_most - before, 2);
    commitlog_cursor_close(cursor);
    commitlog_filter_free(filter);
    scratch_close(&s);
    ck_assert_uint_eq(blocks_held, 0);
}
END_TEST

static atomic_bool interrupted;

static void *interrupter(void *store)
{
    while (!atomic_load(&interrupted)) {
        (void)commitlog_interrupt(store);
    }
    return NULL;
}

/* The place stays, and what was passed over is not lost. */
START_TEST(a_fetch_that_passes_over_many_records_can_be_interrupted)
{
    struct commitlog_message message;
    struct commitlog_filter *filter = filter_of(_i == BY_KEY ? "n = 0" : "n = 4999");
    struct commitlog_cursor *cursor;
    pthread_t thread;
    uint32_t got = 0;
    int32_t rc = COMMITLOG_EEND;
    scratch_open(&s, QUEUES);
    for (uint32_t i = 0; i < 5000; i++) {
        put(i, 10);
    }
    cursor = cursor_of(_i);
    ck_assert_int_eq(commitlog_cursor_set_filter(cursor, filter), COMMITLOG_OK);
    commitlog_filter_free(filter);
    atomic_store(&interrupted, false);
    ck_assert_int_eq(pthread_create(&thread, NULL, interrupter, s.store), 0);
    while (rc != COMMITLOG_EINTERRUPTED) { /* or the test's time is up */
        ck_assert_int_eq(commitlog_cursor_seek(
                             cursor, _i == BY_KEY ? COMMITLOG_FROM_END : COMMITLOG_FROM_FIRST, 0),
                         COMMITLOG_OK);
        rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL);
        ck_assert(rc == COMMITLOG_OK || rc == COMMITLOG_EINTERRUPTED);
    }
    atomic_store(&interrupted, true);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL);
    ck_assert(rc == COMMITLOG_OK && number_of(&message) == (_i == BY_KEY ? 0 : 4999));
    commitlog_cursor_close(cursor);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("filter cursor");
    TCase *cursors = tcase_create("cursors");
    tcase_add_checked_fixture(cursors, setup, teardown);
    tcase_set_timeout(cursors, 60);
    tcase_add_loop_test(cursors, every_kind_of_cursor_yields_exactly_what_matches, 0, KINDS * 2);
    tcase_add_test(cursors, a_filter_may_be_shared_replaced_lifted_and_freed_at_once);
    tcase_add_test(cursors, what_does_not_match_is_behind_the_cursor);
    tcase_add_loop_test(cursors, passing_over_many_records_holds_one_segment_and_one_block, 0,
                        KINDS * 2);
    tcase_add_loop_test(cursors, a_fetch_that_passes_over_many_records_can_be_interrupted, 0,
                        KINDS);
    suite_add_tcase(suite, cursors);
    return run_suite(suite);
}
