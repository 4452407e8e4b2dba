/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_timers_faults.c -- each call of a life with delayed messages fails, once or for ever; then
 * the process dies or the power goes. On a healthy machine what was acknowledged comes, once and
 * not early, and what was cancelled does not.
 */
#include "support/run_suite.h"
#include "unit/each_call_fixture.h"
#include "unit/timer_fixture.h"

enum { TIMERS = 3, ROLL = 1000 };

struct life {
    int64_t due_ms[TIMERS];
    bool stored[TIMERS]; /* durably, said the append */
    bool tried[TIMERS];  /* to store it: it may be there */
    bool cancelled;      /* durably: number 1 */
    bool may_be_cancelled;
};

static void steps(void)
{
    for (int i = 0; i < 5; i++) {
        uint32_t wait_ms = UINT32_MAX - 1;
        if (commitlog_step(store, 100000, &wait_ms) != COMMITLOG_OK) {
            ck_assert_uint_eq(wait_ms, UINT32_MAX - 1); /* untouched */
        }
    }
}

static void delay_one(struct life *life, uint32_t number, struct commitlog_receipt *receipt)
{
    struct commitlog_slice body = {&number, sizeof(number)};
    struct commitlog_slice key = {"key", 3};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = 1,
                                      .level = COMMITLOG_LEVEL_DURABLE,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = 1,
                                      .deliver_at_ms = now_ms() + 1000 * (int64_t)(number + 1)};
    life->due_ms[number] = record.deliver_at_ms;
    life->tried[number] = true;
    life->stored[number] = commitlog_append_record(store, &record, 0, receipt, &err) == 0;
}

/* Whatever fails, it goes on as far as it can. */
static void live(struct life *life)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    struct commitlog_receipt receipts[TIMERS];
    memset(life, 0, sizeof(*life));
    if (store_open(COMMITLOG_ENGINE_STAGED) != COMMITLOG_OK ||
        commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err) != COMMITLOG_OK) {
        return;
    }
    for (uint32_t i = 0; i < TIMERS; i++) {
        delay_one(life, i, &receipts[i]);
    }
    if (life->stored[1]) {
        life->may_be_cancelled = true;
        life->cancelled = commitlog_timer_cancel(store, receipts[1].position,
                                                 COMMITLOG_LEVEL_DURABLE, &err) == COMMITLOG_OK;
    }
    for (uint32_t i = 0; i < ROLL; i++) {
        (void)commitlog_append(store, topic, 0, "0123456789", 10, COMMITLOG_LEVEL_NONE, NULL);
    }
    (void)commitlog_retain(store, &policy, &retained, &err);
    pass_ms(1500);
    steps();
}

static void check_queue(const struct life *life)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t seen[TIMERS] = {0};
    uint32_t count = 0;
    int32_t rc;
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    while ((rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL)) == COMMITLOG_OK) {
        uint32_t number;
        ck_assert_uint_eq(message.body.bytes, sizeof(number));
        memcpy(&number, message.body.data, sizeof(number));
        ck_assert_uint_lt(number, TIMERS);
        ck_assert_int_ge(message.store_time_ns, life->due_ms[number] * MS);
        ck_assert_int_eq(message.deliver_at_ms, life->due_ms[number]);
        seen[number]++;
    }
    commitlog_cursor_close(cursor);
    ck_assert_msg(rc == COMMITLOG_EEND, "the queue ends with %s", commitlog_error_name(rc));
    for (uint32_t i = 0; i < TIMERS; i++) {
        bool must = life->stored[i] && !(i == 1 && life->may_be_cancelled);
        bool may = life->tried[i] && !(i == 1 && life->cancelled);
        ck_assert_msg(seen[i] <= (may ? 1u : 0u), "%u came %u times", i, seen[i]);
        ck_assert_msg(seen[i] >= (must ? 1u : 0u), "%u never came", i);
    }
}

static struct life one;

static void live_one(void)
{
    live(&one);
}

static void check_one(bool complete)
{
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    steps();
    pass_ms(5000);
    steps();
    check_queue(&one);
    ck_assert(!complete || (one.stored[0] && one.stored[1] && one.stored[2] && one.cancelled));
}

START_TEST(each_call_may_fail)
{
    static const struct each_call calls = {.live = live_one, .check = check_one};
    each_call_fails(&calls, _i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timers and faults");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, each_call_may_fail, 0, EACH_CALL_CASES);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
