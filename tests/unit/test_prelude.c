/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_prelude.c -- records of more topics than whose definitions the ring takes at once: in each
 * segment they are stored all the same, and whatever happens between the pieces.
 */
#include <stdio.h>

#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum {
    NAME_BYTES = 250,
    FEW = 300, /* topics; a batch of them goes by way of the ring, beside it no definitions do */
    MANY =
        1000, /* a batch of them does not, and the definitions are more than the ring four times */
    WAIT_MS = 2000
};

static uint32_t topics[MANY];
static uint64_t stored; /* batches */

static void prelude_setup(void)
{
    setup();
    segment_bytes = UINT64_C(1) << 20;
    stored = 0;
}

static void open_by(uint64_t engine)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_ENGINE, engine}};
    ck_assert_msg(store_open_by(values, 1) == 0, "%s", err.message);
    for (uint32_t i = 0; i < MANY; i++) {
        char name[NAME_BYTES];
        memset(name, 'x', sizeof(name));
        int digits = snprintf(name, sizeof(name), "topic-%u", i);
        name[digits] = '-';
        ck_assert_int_eq(commitlog_topic_open(store, name, sizeof(name), 1, &topics[i], &err), 0);
    }
}

static struct commitlog_record record_of(uint32_t i, const struct commitlog_slice *body)
{
    return (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                     .topic = topics[i],
                                     .level = COMMITLOG_LEVEL_NONE,
                                     .body = body,
                                     .body_count = 1};
}

static int32_t put_all(uint32_t count, int32_t timeout_ms)
{
    static struct commitlog_record records[MANY];
    const struct commitlog_slice body = {"0123456789", 10};
    for (uint32_t i = 0; i < count; i++) {
        records[i] = record_of(i, &body);
    }
    int32_t rc = commitlog_append_batch(store, records, count, timeout_ms, NULL, &err);
    stored += rc == 0 ? 1 : 0;
    return rc;
}

/* Each of the first `count` topics has what was stored, and no more. */
static void check(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        ck_assert_int_eq(commitlog_queue_info(store, topics[i], 0, &info), 0);
        ck_assert_uint_eq(info.next_offset, stored);
    }
}

static const struct {
    uint64_t engine;
    uint32_t count;
} cases[] = {{COMMITLOG_ENGINE_STAGED, FEW},
             {COMMITLOG_ENGINE_STAGED, MANY},
             {COMMITLOG_ENGINE_MMAP, FEW},
             {COMMITLOG_ENGINE_MMAP, MANY}};
enum { CASES = (int)(sizeof(cases) / sizeof(cases[0])) };

START_TEST(a_batch_of_many_topics_is_stored_in_each_segment)
{
    open_by(cases[_i].engine);
    while (store_positions().claimed < 4 * segment_bytes) {
        ck_assert_msg(put_all(cases[_i].count, WAIT_MS) == 0, "%s", err.message);
    }
    check(cases[_i].count);
    die(false);
    open_by(cases[_i].engine);
    check(cases[_i].count);
}
END_TEST

/* Who does not wait gets there, too: each call has less to write. */
START_TEST(whoever_does_not_wait_tries_again_and_process_or_power_may_go_in_between)
{
    const bool power = _i != 0;
    uint32_t early = 0;
    open_by(COMMITLOG_ENGINE_STAGED);
    for (uint32_t tries = 0; store_positions().claimed < 3 * segment_bytes; tries++) {
        ck_assert_uint_lt(tries, 100);
        const struct commitlog_positions before = store_positions();
        const int32_t rc = put_all(MANY, 0);
        if (rc == 0) {
            ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, WAIT_MS, &err), 0);
            continue;
        }
        ck_assert_int_eq(rc, COMMITLOG_ETIMEDOUT);
        ck_assert_uint_gt(store_positions().claimed, before.claimed);
        ck_assert_uint_eq(store_positions().claimed, store_positions().published);
        early++;
        if (tries % 8 == 2) { /* or what the power takes would never be enough */
            die(power);
            open_by(COMMITLOG_ENGINE_STAGED);
            check(MANY);
        }
    }
    ck_assert_uint_gt(early, 2);
    check(MANY);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    open_by(COMMITLOG_ENGINE_STAGED);
    check(MANY);
}
END_TEST

START_TEST(a_transaction_over_many_topics_is_committed)
{
    const struct commitlog_slice body = {"0123456789", 10};
    open_by(COMMITLOG_ENGINE_STAGED);
    while (store_positions().claimed < 4 * segment_bytes) {
        struct commitlog_transaction *transaction = begin();
        for (uint32_t i = 0; i < MANY; i++) {
            const struct commitlog_record record = record_of(i, &body);
            ck_assert_int_eq(commitlog_transaction_append(transaction, &record, 0, NULL, &err), 0);
        }
        ck_assert_msg(commitlog_transaction_commit(transaction, COMMITLOG_LEVEL_NONE, WAIT_MS, NULL,
                                                   &err) == 0,
                      "%s", err.message);
        commitlog_transaction_close(transaction);
        stored++;
    }
    check(MANY);
}
END_TEST

/* Beside an open reservation there is no room for all of them: what lies before it is not lost. */
START_TEST(a_reservation_that_is_open_is_waited_for)
{
    const struct commitlog_slice body = {"0123456789", 10};
    struct commitlog_reservation *reservation = NULL;
    void *at = NULL;
    open_by(COMMITLOG_ENGINE_STAGED);
    ck_assert_int_eq(put_all(FEW, WAIT_MS), 0);
    while (store_positions().claimed < segment_bytes - UINT64_C(32768)) {
        ck_assert_int_eq(put_all(FEW, WAIT_MS), 0);
    }
    const struct commitlog_record record = record_of(MANY - 1, &body);
    ck_assert_int_eq(commitlog_reserve(store, &record, 100, 0, &reservation, &at, &err), 0);
    memset(at, 'r', 100);
    ck_assert_int_eq(put_all(FEW, 0), COMMITLOG_ETIMEDOUT);
    ck_assert_int_eq(put_all(FEW, 0), COMMITLOG_ETIMEDOUT);
    ck_assert_int_eq(commitlog_commit(reservation, 0, NULL, &err), 0);
    ck_assert_msg(put_all(FEW, WAIT_MS) == 0, "%s", err.message);
    check(FEW);
    die(false);
    open_by(COMMITLOG_ENGINE_STAGED);
    check(FEW);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("prelude");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, prelude_setup, teardown);
    tcase_set_timeout(all, 120); /* what could hang, and under valgrind */
    tcase_add_loop_test(all, a_batch_of_many_topics_is_stored_in_each_segment, 0, CASES);
    tcase_add_loop_test(
        all, whoever_does_not_wait_tries_again_and_process_or_power_may_go_in_between, 0, 2);
    tcase_add_test(all, a_transaction_over_many_topics_is_committed);
    tcase_add_test(all, a_reservation_that_is_open_is_waited_for);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
