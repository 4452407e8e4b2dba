/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_err.c -- `err` is written when a call fails, with words, and never when it succeeds: who
 * keeps the first error of many calls in one struct finds it there.
 */
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

static struct commitlog_group *group;
static struct commitlog_receiver *receiver;
static uint64_t position; /* of a record */

static int32_t open_queue(struct commitlog_error *out)
{
    struct commitlog_cursor *cursor = NULL;
    int32_t rc = commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, out);
    commitlog_cursor_close(cursor);
    return rc;
}

static int32_t open_all_queues(struct commitlog_error *out)
{
    struct commitlog_cursor *cursor = NULL;
    int32_t rc = commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_TIME, 1,
                                       &cursor, out);
    commitlog_cursor_close(cursor);
    return rc;
}

static int32_t open_key(struct commitlog_error *out)
{
    struct commitlog_cursor *cursor = NULL;
    int32_t rc = commitlog_cursor_open_key(store, topic, "k", 1, 0, INT64_MAX, &cursor, out);
    commitlog_cursor_close(cursor);
    return rc;
}

static int32_t open_log(struct commitlog_error *out)
{
    struct commitlog_cursor *cursor = NULL;
    int32_t rc = commitlog_cursor_open_log(store, 0, &cursor, out);
    commitlog_cursor_close(cursor);
    return rc;
}

static int32_t get(struct commitlog_error *out)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    int32_t rc = commitlog_get(store, position, &message, &lease, out);
    commitlog_lease_release(lease);
    return rc;
}

static int32_t retain(struct commitlog_error *out)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = UINT64_C(1) << 40};
    struct commitlog_retained done = {.struct_bytes = sizeof(done)};
    return commitlog_retain(store, &policy, &done, out);
}

/* Of this group nobody has heard: its dead letters have no topic until the first of them. */
static int32_t nack_to_death(struct commitlog_error *out)
{
    struct commitlog_message message;
    struct commitlog_delivery delivery;
    uint32_t count = 0;
    int32_t rc = commitlog_receive(receiver, &message, &delivery, 1, 0, &count, out);
    return rc == COMMITLOG_OK ? commitlog_nack(receiver, &delivery, 1, COMMITLOG_LEVEL_NONE, out)
                              : rc;
}

static int32_t append_as_producer(struct commitlog_error *out)
{
    const struct commitlog_slice body = {"x", 1};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = COMMITLOG_LEVEL_NONE,
                                            .producer_id = 7,
                                            .sequence = 1,
                                            .body = &body,
                                            .body_count = 1};
    return commitlog_append_record(store, &record, 0, NULL, out);
}

static int32_t verify(struct commitlog_error *out)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    int32_t rc = commitlog_verify("/store", options, &report, out);
    commitlog_report_free(report);
    commitlog_options_free(options);
    return rc;
}

static int32_t (*const calls[])(struct commitlog_error *) = {
    open_queue, open_all_queues, open_key,      open_log,          get,
    verify,     retain,          nack_to_death, append_as_producer};

enum { CALLS = sizeof(calls) / sizeof(calls[0]), THAT_ALLOCATE = 6 };

static void err_setup(void)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .max_attempts = 1};
    struct commitlog_receipt receipt;
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(3, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(
        commitlog_append(store, topic, 0, "body", 4, COMMITLOG_LEVEL_DURABLE, &receipt), 0);
    position = receipt.position;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
}

static void err_teardown(void)
{
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    teardown();
}

START_TEST(a_call_that_succeeds_leaves_err_as_it_was)
{
    struct commitlog_error kept;
    struct commitlog_error before;
    memset(&kept, 0xa5, sizeof(kept));
    kept.code = 77;
    before = kept;
    ck_assert_int_eq(calls[_i](&kept), COMMITLOG_OK);
    ck_assert_mem_eq(&kept, &before, sizeof(kept));
}
END_TEST

/* Whatever is wrong: an allocation fails, one after the other. */
START_TEST(a_call_that_fails_has_words_of_its_own)
{
    uint32_t failures = 0;
    for (uint64_t nth = 1; nth < 100; nth++) {
        struct commitlog_error kept;
        memset(&kept, 0xa5, sizeof(kept));
        commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, nth, ENOMEM, 0);
        int32_t rc = calls[_i](&kept);
        commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 0, 0, 0);
        if (rc == COMMITLOG_OK || rc == COMMITLOG_EEND) {
            break;
        }
        failures++;
        ck_assert_int_eq(kept.code, rc);
        ck_assert_ptr_nonnull(memchr(kept.message, '\0', sizeof(kept.message)));
        ck_assert_int_ne(kept.message[0], '\0');
    }
    ck_assert(failures > 0 || _i >= THAT_ALLOCATE);
}
END_TEST

START_TEST(a_commit_behind_close_has_words)
{
    const struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    struct commitlog_reservation *reservation = NULL;
    void *body = NULL;
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &reservation, &body, &err), 0);
    ck_assert_int_eq(commitlog_close(store, NULL), 0);
    store = NULL;
    memset(&err, 0xa5, sizeof(err));
    ck_assert_int_eq(commitlog_commit(reservation, 0, NULL, &err), COMMITLOG_ECLOSED);
    ck_assert_int_eq(err.code, COMMITLOG_ECLOSED);
    ck_assert_str_eq(err.message, "commit");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("err");
    TCase *cases = tcase_create("err");
    tcase_add_checked_fixture(cases, err_setup, err_teardown);
    tcase_add_loop_test(cases, a_call_that_succeeds_leaves_err_as_it_was, 0, CALLS);
    tcase_add_loop_test(cases, a_call_that_fails_has_words_of_its_own, 0, CALLS);
    tcase_add_test(cases, a_commit_behind_close_has_words);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
