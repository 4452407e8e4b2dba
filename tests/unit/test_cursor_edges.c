/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_cursor_edges.c -- cursors where something happens between two calls: a seek that is refused
 * or fails, messages that expire, another writer, which has cut what was read, or appended more.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum { ALL_QUEUES, BY_KEY, ONE_QUEUE, OF_LOG, KINDS };
enum { COUNT = 20, EXPIRED = 12, CUT = 5, MANY = 22, AT_A_TIME = 64, PASS_LIMIT = 5 };

static const char log_path[] = "/store/log/00000000000000000000.log";
static uint8_t large[40000];
static struct commitlog_store *reader;
static uint32_t reader_topic;

/* Their queues are 0 and 1 in turn, their key is "k". */
static void put_keyed(uint32_t count, uint32_t level)
{
    const struct commitlog_slice key = {"k", 1};
    const struct commitlog_slice body = {"0123456789", 10};
    for (uint32_t i = 0; i < count; i++) {
        const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                                .topic = topic,
                                                .queue = i % 2,
                                                .level = level,
                                                .body = &body,
                                                .body_count = 1,
                                                .keys = &key,
                                                .key_count = 1};
        ck_assert_int_eq(commitlog_append_record(store, &record, COMMITLOG_FOREVER, NULL, &err), 0);
    }
}

static struct commitlog_cursor *open_cursor(struct commitlog_store *of, uint32_t number, int kind)
{
    struct commitlog_cursor *cursor = NULL;
    int32_t rc;
    if (kind == BY_KEY) {
        rc = commitlog_cursor_open_key(of, number, "k", 1, 0, INT64_MAX, &cursor, &err);
    } else if (kind == OF_LOG) {
        rc = commitlog_cursor_open_log(of, 0, &cursor, &err);
    } else {
        rc = commitlog_cursor_open(of, number, kind == ONE_QUEUE ? 0 : COMMITLOG_QUEUE_ALL,
                                   COMMITLOG_FROM_FIRST, 0, &cursor, &err);
    }
    ck_assert_msg(rc == COMMITLOG_OK, "%s", err.message);
    return cursor;
}

static void fetch_one(struct commitlog_cursor *cursor, struct commitlog_message *out)
{
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, out, 1, 0, &count, NULL), COMMITLOG_OK);
    ck_assert_uint_eq(count, 1);
}

/* Up to the end, how many there are; where the last of them lies. */
static uint32_t rest_of(struct commitlog_cursor *cursor, uint64_t *out_last)
{
    struct commitlog_message messages[AT_A_TIME];
    uint32_t got = 0;
    uint32_t count = 0;
    int32_t rc;
    while ((rc = commitlog_cursor_fetch(cursor, messages, AT_A_TIME, 0, &got, NULL)) ==
           COMMITLOG_OK) {
        count += got;
        if (out_last != NULL) {
            *out_last = messages[got - 1].position;
        }
    }
    ck_assert_msg(rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
    return count;
}

static int32_t refused_seek(struct commitlog_cursor *cursor, int kind)
{
    return kind == BY_KEY ? commitlog_cursor_seek(cursor, COMMITLOG_FROM_FIRST, 0)
                          : commitlog_cursor_seek(cursor, 99, 0);
}

static void edges_setup(void)
{
    setup();
    open_store();
    reader = NULL;
}

static void edges_teardown(void)
{
    (void)commitlog_close(reader, NULL);
    teardown();
}

/* Beside the writer; it copies what it reads, so that a bad sector is an error. */
static void reader_open(void)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY},
                                  {COMMITLOG_OPT_BORROW, 0}};
    struct commitlog_store *writer = store;
    store = NULL;
    ck_assert_msg(store_open_by(values, 2) == COMMITLOG_OK, "%s", err.message);
    reader = store;
    store = writer;
    ck_assert_int_eq(commitlog_topic_open(reader, "t", 1, 0, &reader_topic, &err), 0);
}

/* It looks for the next writer now and then. */
static void reader_looks(void)
{
    pass_ms(600);
    struct commitlog_cursor *cursor = open_cursor(reader, reader_topic, OF_LOG);
    (void)rest_of(cursor, NULL);
    commitlog_cursor_close(cursor);
}

START_TEST(a_seek_that_is_refused_passes_over_nothing)
{
    struct commitlog_message message;
    put_keyed(COUNT, COMMITLOG_LEVEL_NONE);
    struct commitlog_cursor *cursor = open_cursor(store, topic, _i);
    fetch_one(cursor, &message);
    const uint64_t told = commitlog_cursor_tell(cursor);
    ck_assert_int_eq(refused_seek(cursor, _i), COMMITLOG_EINVAL);
    ck_assert_uint_eq(commitlog_cursor_tell(cursor), told);
    ck_assert_uint_eq(rest_of(cursor, NULL), COUNT - 1);
    commitlog_cursor_close(cursor);
}
END_TEST

/* In between there is no record: it looks for the next one, and has no memory for it. */
START_TEST(a_seek_that_fails_leaves_it_where_it_stood)
{
    struct commitlog_message message;
    struct commitlog_message next;
    put_keyed(COUNT, COMMITLOG_LEVEL_DURABLE);
    struct commitlog_cursor *cursor = open_cursor(store, topic, OF_LOG);
    fetch_one(cursor, &message);
    const uint64_t told = commitlog_cursor_tell(cursor);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 1, ENOMEM, 1), 0);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, told + 8),
                     COMMITLOG_ENOMEM);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 0, 0, 0), 0);
    ck_assert_uint_eq(commitlog_cursor_tell(cursor), told);
    fetch_one(cursor, &next);
    ck_assert_uint_eq(next.position, told);
    commitlog_cursor_close(cursor);
}
END_TEST

/* What was looked up ahead is of the core before, which is gone. */
START_TEST(a_seek_that_is_refused_goes_on_at_the_next_writer)
{
    struct commitlog_message message;
    put_keyed(COUNT, COMMITLOG_LEVEL_NONE);
    reader_open();
    struct commitlog_cursor *cursor = open_cursor(reader, reader_topic, _i);
    fetch_one(cursor, &message);
    restart(false);
    put_keyed(COUNT, COMMITLOG_LEVEL_NONE);
    reader_looks();
    ck_assert_int_eq(refused_seek(cursor, _i), COMMITLOG_EINVAL);
    ck_assert_uint_eq(rest_of(cursor, NULL), _i == BY_KEY ? COUNT - 1 : 2 * COUNT - 1);
    commitlog_cursor_close(cursor);
}
END_TEST

/* The last messages that the cursor has read were not durable, and their writer fails; the next one
 * appends others in their place. The reader knows of it, and the cursor was not asked since. */
static struct commitlog_cursor *cut_under(int kind, uint64_t *out_last)
{
    struct commitlog_message message;
    put_keyed(COUNT, COMMITLOG_LEVEL_DURABLE);
    put_keyed(CUT, COMMITLOG_LEVEL_NONE);
    reader_open();
    struct commitlog_cursor *cursor = open_cursor(reader, reader_topic, kind);
    if (kind == BY_KEY) { /* newest first */
        fetch_one(cursor, &message);
        *out_last = message.position;
    } else {
        ck_assert_uint_ge(rest_of(cursor, out_last), (COUNT + CUT) / 2);
    }
    end_with_what_is_durable();
    open_store();
    ck_assert_uint_eq(queue_end(0), COUNT / 2);
    put_keyed(COUNT, COMMITLOG_LEVEL_DURABLE);
    reader_looks();
    return cursor;
}

/* Whether it is there cannot be told as long as its place does not read. */
START_TEST(what_was_cut_is_told_when_its_place_reads_again)
{
    struct commitlog_message messages[AT_A_TIME];
    uint32_t count = 0;
    uint64_t last = 0;
    struct commitlog_cursor *cursor = cut_under(_i, &last);
    ck_assert_int_eq(commitlog_fault_bad_range(machine, log_path, last, 8), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, AT_A_TIME, 0, &count, NULL),
                         COMMITLOG_EIO);
    }
    ck_assert_int_eq(commitlog_fault_bad_range(machine, log_path, 0, 0), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, AT_A_TIME, 0, &count, NULL),
                     COMMITLOG_EROLLEDBACK);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(what_was_cut_is_told_behind_a_seek_that_is_refused)
{
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    struct commitlog_message message;
    uint32_t count = 0;
    uint64_t last = 0;
    uint64_t bound = UINT64_MAX;
    struct commitlog_cursor *cursor = cut_under(_i, &last);
    ck_assert_int_eq(refused_seek(cursor, _i), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound),
                     COMMITLOG_EROLLEDBACK);
    ck_assert_int_eq(commitlog_positions_get(reader, &at), 0);
    ck_assert_uint_eq(bound, _i == ONE_QUEUE ? queue_end(0) : at.visible);
    commitlog_cursor_close(cursor);
}
END_TEST

/* A reader of a closed store, or one that follows its writer. */
static void reader_begins(bool follows)
{
    put_keyed(COUNT, COMMITLOG_LEVEL_DURABLE);
    if (!follows) {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    }
    reader_open();
}

/* Another writer has appended and gone, and the reader was asked nothing since. */
static void reader_falls_behind(void)
{
    (void)commitlog_close(store, NULL);
    open_store();
    put_keyed(COUNT, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    pass_ms(600);
}

START_TEST(the_end_is_that_of_the_next_writer)
{
    struct commitlog_cursor *cursor = NULL;
    const bool follows = (_i & 1) != 0;
    const uint32_t queue = (_i & 2) != 0 ? COMMITLOG_QUEUE_ALL : 0;
    const uint32_t from = (_i & 4) != 0 ? COMMITLOG_FROM_END : COMMITLOG_FROM_TIME;
    const bool seeks = (_i & 8) != 0;
    reader_begins(follows);
    if (seeks) {
        cursor = open_cursor(reader, reader_topic, queue == 0 ? ONE_QUEUE : ALL_QUEUES);
    }
    reader_falls_behind();
    const uint64_t now_ns = (uint64_t)(now_ms() * MS); /* all of them are older */
    ck_assert_int_eq(
        seeks ? commitlog_cursor_seek(cursor, from, now_ns)
              : commitlog_cursor_open(reader, reader_topic, queue, from, now_ns, &cursor, &err),
        0);
    ck_assert_uint_eq(rest_of(cursor, NULL), 0);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(a_query_by_key_begins_at_the_newest_of_the_next_writer)
{
    struct commitlog_cursor *cursor = NULL;
    const bool follows = (_i & 1) != 0;
    const bool seeks = (_i & 2) != 0;
    reader_begins(follows);
    if (seeks) {
        cursor = open_cursor(reader, reader_topic, BY_KEY);
    }
    reader_falls_behind();
    if (seeks) {
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_END, 0), 0);
    } else {
        cursor = open_cursor(reader, reader_topic, BY_KEY);
    }
    ck_assert_uint_eq(rest_of(cursor, NULL), 2 * COUNT);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Whether another writer has come could not be looked at. */
START_TEST(a_seek_that_cannot_know_the_end_leaves_it_where_it_stood)
{
    struct commitlog_message message;
    reader_begins(false);
    struct commitlog_cursor *cursor = open_cursor(reader, reader_topic, _i);
    fetch_one(cursor, &message);
    reader_falls_behind();
    const uint64_t told = commitlog_cursor_tell(cursor);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 1, ENOMEM, 1), 0);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_END, 0), COMMITLOG_ENOMEM);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 0, 0, 0), 0);
    ck_assert_uint_eq(commitlog_cursor_tell(cursor), told);
    /* It looks again at once: an end that is an old one would be taken for the end. */
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_END, 0), 0);
    pass_ms(600);
    ck_assert_uint_eq(rest_of(cursor, NULL), _i == BY_KEY ? 2 * COUNT : 0);
    commitlog_cursor_close(cursor);
}
END_TEST

/* The older ones or all. */
START_TEST(what_expires_is_not_given_from_what_was_looked_up_before)
{
    struct commitlog_message message;
    const bool all = _i / 2 != 0;
    put_keyed(EXPIRED, COMMITLOG_LEVEL_NONE);
    pass_ms(1000);
    const int64_t before_ns = now_ms() * MS;
    pass_ms(1000);
    put_keyed(COUNT - EXPIRED, COMMITLOG_LEVEL_NONE);
    struct commitlog_cursor *cursor = open_cursor(store, topic, _i % 2);
    fetch_one(cursor, &message);
    ck_assert_int_eq(commitlog_topic_expire(store, topic, all ? INT64_MAX : before_ns,
                                            COMMITLOG_LEVEL_NONE, &err),
                     0);
    /* By key the one that was given is the newest. */
    const uint32_t kept = COUNT - EXPIRED - (_i % 2 == BY_KEY ? 1 : 0);
    ck_assert_uint_eq(rest_of(cursor, NULL), all ? 0 : kept);
    commitlog_cursor_close(cursor);
}
END_TEST

/* References in more segments than a fetch can hold, to delayed messages that retention took. */
static void expire_many(void)
{
    const uint32_t before = 3 * MANY;
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = (MANY + 2) * segment_bytes};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    struct commitlog_receipt first;
    const int64_t due_ms = now_ms() + 1000000;
    for (uint32_t i = 0; i < before; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, large, sizeof(large), COMMITLOG_LEVEL_NONE, NULL), 0);
        step_all();
    }
    for (uint32_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(delay(1, i, due_ms + i * 1000, COMMITLOG_LEVEL_NONE, &first), 0);
    }
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, large, sizeof(large), COMMITLOG_LEVEL_NONE, NULL), 0);
    }
    pass_ms(due_ms - now_ms());
    for (uint32_t i = 0; i < MANY; i++) {
        step_all();
        ck_assert_uint_eq(queue_end(1), i + 1);
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, large, sizeof(large), COMMITLOG_LEVEL_NONE, NULL), 0);
        pass_ms(due_ms + (i + 1) * 1000 - now_ms());
    }
    ck_assert_msg(commitlog_retain(store, &policy, &retained, &err) == 0, "%s", err.message);
    ck_assert_uint_gt(retained.first, first.end_position);
}

START_TEST(a_query_by_key_holds_nothing_of_what_has_expired)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    int32_t rc;
    expire_many();
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    if (_i == 1) { /* and it is one of those that it passes over */
        ck_assert_int_eq(commitlog_cursor_set_pass_limit(cursor, PASS_LIMIT), 0);
        for (uint32_t i = 0; i < MANY / PASS_LIMIT; i++) {
            rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
            ck_assert_msg(rc == COMMITLOG_EAGAIN, "%u: %s", i, commitlog_error_name(rc));
        }
    }
    rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
    ck_assert_msg(rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
    commitlog_cursor_close(cursor);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cursor edges");
    TCase *cases = tcase_create("between two calls");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, edges_setup, edges_teardown);
    tcase_add_loop_test(cases, a_seek_that_is_refused_passes_over_nothing, 0, ONE_QUEUE);
    tcase_add_test(cases, a_seek_that_fails_leaves_it_where_it_stood);
    tcase_add_loop_test(cases, a_seek_that_is_refused_goes_on_at_the_next_writer, 0, ONE_QUEUE);
    tcase_add_loop_test(cases, what_was_cut_is_told_when_its_place_reads_again, 0, KINDS);
    tcase_add_loop_test(cases, what_was_cut_is_told_behind_a_seek_that_is_refused, 0, KINDS);
    tcase_add_loop_test(cases, what_expires_is_not_given_from_what_was_looked_up_before, 0, 4);
    tcase_add_loop_test(cases, a_query_by_key_holds_nothing_of_what_has_expired, 0, 2);
    tcase_add_loop_test(cases, the_end_is_that_of_the_next_writer, 0, 16);
    tcase_add_loop_test(cases, a_query_by_key_begins_at_the_newest_of_the_next_writer, 0, 4);
    tcase_add_loop_test(cases, a_seek_that_cannot_know_the_end_leaves_it_where_it_stood, 0, KINDS);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
