/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_descriptors.c -- how many descriptors a store has open, and which files it holds, does not
 * grow with the segments that it has, had or read.
 */
#include "support/run_suite.h"
#include "unit/timer_fixture.h"

/* SOME: what a writer and a reader need, and the 16 that stay open for the next read. */
enum { LOOKS = 30, SOME = 40 };

static struct commitlog_store *reader;

static void own_setup(void)
{
    setup();
    reader = NULL;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
}

static void own_teardown(void)
{
    (void)commitlog_close(reader, NULL);
    teardown();
}

static uint64_t held(uint32_t kind)
{
    return commitlog_fault_held(machine, kind);
}

static void open_reader(void)
{
    const uint64_t read_only[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    struct commitlog_store *writer = store;
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    reader = store;
    store = writer;
}

/* The reader folds all there is. */
static void look(void)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_queue_info written = {.struct_bytes = sizeof(written)};
    uint32_t number = 0;
    ck_assert_int_eq(commitlog_topic_open(reader, "t", 1, 0, &number, &err), 0);
    ck_assert_int_eq(commitlog_queue_info(reader, number, 0, &info), 0);
    ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &written), 0);
    ck_assert_uint_eq(info.next_offset, written.next_offset);
}

/* _i: so many segments come between two looks. */
START_TEST(a_reader_that_looks_seldom_keeps_a_few_open)
{
    open_reader();
    for (uint32_t i = 0; i < LOOKS; i++) {
        fill_segments((uint32_t)_i, true);
        look();
    }
    ck_assert_uint_le(held(COMMITLOG_FAULT_OPEN), SOME);
}
END_TEST

/* It looks at each segment, and the footers of all come later. */
START_TEST(a_reader_closes_what_its_writer_seals_late)
{
    enum { LATE = 20 };
    open_reader();
    for (uint32_t i = 0; i < 3 * LATE; i++) {
        fill_segments(1, i % LATE == 0);
        look();
    }
    step_all();
    for (uint32_t i = 0; i < 2; i++) {
        fill_segments(1, true);
        look();
    }
    ck_assert_uint_le(held(COMMITLOG_FAULT_OPEN), SOME);
}
END_TEST

/* In the middle of a record of each segment: what begins there, and what comes next, is looked for
 * in the file. _i: 0 a single record, 1 a cursor; +2: a reader's. */
START_TEST(places_where_no_record_begins_keep_a_few_open)
{
    enum { MANY = 60 };
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    struct commitlog_cursor *cursor = NULL;
    fill_segments(MANY, true);
    if ((_i & 2) != 0) {
        open_reader();
    }
    struct commitlog_store *asked = (_i & 2) != 0 ? reader : store;
    for (uint64_t base = 0; base < MANY * segment_bytes; base += segment_bytes) {
        const uint64_t position = base + segment_bytes / 2;
        if ((_i & 1) == 0) {
            ck_assert_int_eq(commitlog_get(asked, position, &message, &lease, &err),
                             COMMITLOG_ENOTFOUND);
        } else {
            ck_assert_int_eq(commitlog_cursor_open_log(asked, position, &cursor, &err), 0);
            commitlog_cursor_close(cursor);
        }
    }
    ck_assert_uint_le(held(COMMITLOG_FAULT_OPEN), SOME);
}
END_TEST

/* Of the first segment, too, which was active when the store was opened. _i: the engine. */
START_TEST(retention_gives_back_all_that_it_drops)
{
    enum { FEW = 5 };
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open((uint64_t)_i), 0);
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    uint64_t opened = held(COMMITLOG_FAULT_OPEN);
    const uint64_t mapped = held(COMMITLOG_FAULT_MAP);
    for (uint32_t i = 0; i < 2; i++) {
        fill_segments(FEW, true);
        ck_assert_uint_eq(retain_all().segments_dropped, FEW);
        step_all();
        opened = i == 0 ? held(COMMITLOG_FAULT_OPEN) : opened;
    }
    ck_assert_uint_le(held(COMMITLOG_FAULT_OPEN), opened);
    ck_assert_uint_le(held(COMMITLOG_FAULT_MAP), mapped);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("descriptors");
    Suite *suite = suite_create("descriptors");
    tcase_add_checked_fixture(tcase, own_setup, own_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_reader_that_looks_seldom_keeps_a_few_open, 6, 10);
    tcase_add_test(tcase, a_reader_closes_what_its_writer_seals_late);
    tcase_add_loop_test(tcase, places_where_no_record_begins_keep_a_few_open, 0, 4);
    tcase_add_loop_test(tcase, retention_gives_back_all_that_it_drops, 0, 2);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
