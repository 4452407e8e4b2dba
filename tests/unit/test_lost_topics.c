/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_lost_topics.c -- a topic that a reader knows, and whose definition is lost with its writer:
 * nothing that another one stores is shown under its name, and it can come again.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum { ALL_QUEUES, BY_KEY, ONE_QUEUE, KINDS };
enum { LOST = 5, OTHERS = 7, LOST_QUEUES = 2, AT_A_TIME = 64, OPENS = 6 };

static struct commitlog_store *reader;
static uint32_t lost_topic; /* the reader's number of it */

static uint32_t number_of(struct commitlog_store *of, const char *name, uint32_t queues)
{
    uint32_t number = UINT32_MAX;
    int32_t rc = commitlog_topic_open(of, name, strlen(name), queues, &number, &err);
    ck_assert_msg(rc == COMMITLOG_OK, "%s: %s", name, err.message);
    return number;
}

static void store_in(const char *name, uint32_t count, uint32_t level)
{
    const struct commitlog_slice key = {"k", 1};
    const struct commitlog_slice body = {name, strlen(name)};
    const uint32_t number = number_of(store, name, LOST_QUEUES);
    for (uint32_t i = 0; i < count; i++) {
        const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                                .topic = number,
                                                .queue = 0,
                                                .level = level,
                                                .body = &body,
                                                .body_count = 1,
                                                .keys = &key,
                                                .key_count = 1};
        ck_assert_int_eq(commitlog_append_record(store, &record, COMMITLOG_FOREVER, NULL, &err), 0);
    }
}

static struct commitlog_cursor *open_cursor(uint32_t number, int kind)
{
    struct commitlog_cursor *cursor = NULL;
    int32_t rc =
        kind == BY_KEY
            ? commitlog_cursor_open_key(reader, number, "k", 1, 0, INT64_MAX, &cursor, &err)
            : commitlog_cursor_open(reader, number, kind == ONE_QUEUE ? 0 : COMMITLOG_QUEUE_ALL,
                                    COMMITLOG_FROM_FIRST, 0, &cursor, &err);
    ck_assert_msg(rc == COMMITLOG_OK, "%s", err.message);
    return cursor;
}

static int32_t fetch(struct commitlog_cursor *cursor, const char *body, uint32_t *out_count)
{
    struct commitlog_message messages[AT_A_TIME];
    *out_count = 0;
    int32_t rc = commitlog_cursor_fetch(cursor, messages, AT_A_TIME, 0, out_count, NULL);
    for (uint32_t i = 0; i < *out_count; i++) {
        ck_assert_uint_eq(messages[i].body.bytes, strlen(body));
        ck_assert_mem_eq(messages[i].body.data, body, strlen(body));
    }
    return rc;
}

static int32_t seek_to_begin(struct commitlog_cursor *cursor, int kind)
{
    return commitlog_cursor_seek(cursor, kind == BY_KEY ? COMMITLOG_FROM_END : COMMITLOG_FROM_FIRST,
                                 0);
}

static void expect(struct commitlog_cursor *cursor, const char *body, uint32_t expected)
{
    uint32_t count = 0;
    ck_assert_int_eq(fetch(cursor, body, &count), COMMITLOG_OK);
    ck_assert_uint_eq(count, expected);
}

static void lost_setup(void)
{
    const uint64_t read_only[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    setup();
    open_store();
    store_in("kept", 1, COMMITLOG_LEVEL_DURABLE);
    struct commitlog_store *writer = store;
    ck_assert_int_eq(store_open_by(read_only, 1), 0);
    reader = store;
    store = writer;
}

static void lost_teardown(void)
{
    ck_assert_int_eq(commitlog_close(reader, NULL), 0);
    teardown();
}

/* The reader has read all of a topic that is lost, whose numbers another one has now. */
static struct commitlog_cursor *lose_a_topic(int kind, bool reads)
{
    store_in("lost", LOST, COMMITLOG_LEVEL_NONE);
    lost_topic = number_of(reader, "lost", 0);
    struct commitlog_cursor *cursor = open_cursor(lost_topic, kind);
    if (reads) {
        expect(cursor, "lost", LOST);
    }
    end_with_what_is_durable();
    open_store();
    store_in("other", OTHERS, COMMITLOG_LEVEL_DURABLE);
    pass_ms(600); /* it looks for another writer now and then */
    return cursor;
}

START_TEST(its_queues_are_another_topics)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_queue_info queue = {.struct_bytes = sizeof(queue)};
    uint32_t number = UINT32_MAX;
    commitlog_cursor_close(lose_a_topic(ONE_QUEUE, true));
    ck_assert_int_eq(commitlog_topic_open(reader, "lost", 4, 0, &number, &err),
                     COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_topic_info(reader, lost_topic, &info), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_queue_info(reader, lost_topic, 0, &queue), COMMITLOG_EINVAL);
    number = number_of(reader, "other", 0);
    ck_assert_uint_ne(number, lost_topic);
    ck_assert_int_eq(commitlog_topic_info(reader, number, &info), 0);
    ck_assert_str_eq(info.name, "other");
    ck_assert_uint_lt(number, commitlog_topic_count(reader));
    for (int kind = 0; kind < KINDS; kind++) {
        struct commitlog_cursor *cursor = open_cursor(number, kind);
        expect(cursor, "other", OTHERS);
        commitlog_cursor_close(cursor);
    }
}
END_TEST

START_TEST(who_has_read_of_it_is_told)
{
    uint32_t count = 0;
    struct commitlog_cursor *cursor = lose_a_topic(_i, true);
    ck_assert_int_eq(fetch(cursor, "", &count), COMMITLOG_EROLLEDBACK);
    ck_assert_int_eq(fetch(cursor, "", &count), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(seek_to_begin(cursor, _i), COMMITLOG_ENOTFOUND);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(who_was_to_read_of_it_finds_nothing)
{
    uint32_t count = 0;
    struct commitlog_cursor *cursor = lose_a_topic(_i, false);
    ck_assert_int_eq(fetch(cursor, "", &count), COMMITLOG_ENOTFOUND);
    commitlog_cursor_close(cursor);
}
END_TEST

START_TEST(it_comes_again_under_its_number)
{
    uint32_t count = 0;
    struct commitlog_cursor *cursor = lose_a_topic(_i, true);
    ck_assert_int_eq(fetch(cursor, "", &count), COMMITLOG_EROLLEDBACK);
    store_in("lost", 1, COMMITLOG_LEVEL_DURABLE);
    ck_assert_uint_eq(number_of(reader, "lost", 0), lost_topic);
    ck_assert_int_eq(seek_to_begin(cursor, _i), 0);
    expect(cursor, "lost", 1);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Its writer was killed, and whether the definition is durable the next one's recovery tells: until
 * then the reader goes on to know it. */
START_TEST(it_is_not_lost_before_the_next_writer_has_recovered)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    uint32_t count = 0;
    store_in("lost", LOST, COMMITLOG_LEVEL_WRITTEN);
    lost_topic = number_of(reader, "lost", 0);
    struct commitlog_cursor *cursor = open_cursor(lost_topic, _i);
    expect(cursor, "lost", LOST);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_WRITE, 1, EIO, 1), 0);
    ck_assert_int_ne(commitlog_close(store, &err), COMMITLOG_OK);
    store = NULL;
    lose_the_stage();
    for (uint64_t n = 1; n <= OPENS; n++) { /* others come, and cannot recover it */
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_WRITE, n, EIO, 1), 0);
        ck_assert_int_ne(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_OK);
        pass_ms(6000);
        (void)fetch(cursor, "lost", &count);
        ck_assert_int_eq(commitlog_topic_info(reader, lost_topic, &info), COMMITLOG_OK);
        ck_assert_str_eq(info.name, "lost");
        ck_assert_uint_eq(number_of(reader, "lost", 0), lost_topic);
        commitlog_cursor_close(open_cursor(lost_topic, _i));
    }
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_WRITE, 0, 0, 0), 0);
}
END_TEST

/* Nor are those that a topic got by a growth that is lost. */
START_TEST(queues_of_a_lost_growth_are_another_topics)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    uint32_t count = 0;
    const uint32_t kept = number_of(store, "kept", LOST_QUEUES);
    const uint32_t number = number_of(reader, "kept", 0);
    ck_assert_int_eq(commitlog_topic_grow(store, kept, 2 * LOST_QUEUES, COMMITLOG_LEVEL_NONE, &err),
                     0);
    ck_assert_int_eq(
        commitlog_append(store, kept, LOST_QUEUES, "new", 3, COMMITLOG_LEVEL_NONE, NULL), 0);
    ck_assert_int_eq(
        commitlog_cursor_open(reader, number, LOST_QUEUES, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
        0);
    expect(cursor, "new", 1);
    end_with_what_is_durable();
    open_store();
    store_in("other", OTHERS, COMMITLOG_LEVEL_DURABLE);
    pass_ms(600);
    ck_assert_int_eq(fetch(cursor, "", &count), COMMITLOG_EROLLEDBACK);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_FIRST, 0), COMMITLOG_ENOTFOUND);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_topic_info(reader, number, &info), 0);
    ck_assert_uint_eq(info.queues_total, LOST_QUEUES);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lost topics");
    TCase *cases = tcase_create("in a reader");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, lost_setup, lost_teardown);
    tcase_add_test(cases, its_queues_are_another_topics);
    tcase_add_loop_test(cases, who_has_read_of_it_is_told, 0, KINDS);
    tcase_add_loop_test(cases, who_was_to_read_of_it_finds_nothing, 0, KINDS);
    tcase_add_loop_test(cases, it_comes_again_under_its_number, 0, KINDS);
    tcase_add_loop_test(cases, it_is_not_lost_before_the_next_writer_has_recovered, 0, KINDS);
    tcase_add_test(cases, queues_of_a_lost_growth_are_another_topics);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
