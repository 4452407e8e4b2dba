/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_expiry_faults.c -- each call of a life in which messages expire fails, once or for ever;
 * then the process dies or the power goes. On a healthy machine the topic has the age and the first
 * offsets that were said, or those before where it was not known, and no message that was durable
 * and has not expired is missing.
 */
#include "support/run_suite.h"
#include "unit/each_call_fixture.h"
#include "unit/timer_fixture.h"

enum { AGE_MS = 60000, FIRSTS = 16 };

/* What may be true of the topic: ages and first offsets of queue 0; and what must be there. */
struct life {
    uint64_t ages[FIRSTS];
    uint64_t firsts[FIRSTS];
    uint32_t age_count;
    uint32_t first_count;
    uint64_t next; /* durable */
    bool complete;
};

static bool may(const uint64_t *values, uint32_t count, uint64_t value)
{
    bool found = false;
    for (uint32_t i = 0; i < count; i++) {
        found = found || values[i] == value;
    }
    return found;
}

/* A failure has changed nothing, now and later, unless it says that it may have. */
static void said(uint64_t *values, uint32_t *count, uint64_t value, int32_t rc, struct life *life)
{
    ck_assert_uint_lt(*count, FIRSTS);
    if (rc == COMMITLOG_OK) {
        *count = 0;
    }
    if (rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN) {
        values[(*count)++] = value;
    }
    life->complete = life->complete && rc == COMMITLOG_OK;
}

static void live_put(struct life *life, uint32_t count)
{
    struct commitlog_receipt receipt;
    for (uint32_t i = 0; i < count; i++) {
        int32_t rc =
            commitlog_append(store, topic, 0, "0123456789", 10, COMMITLOG_LEVEL_DURABLE, &receipt);
        life->next = rc == COMMITLOG_OK ? receipt.queue_offset + 1 : life->next;
        life->complete = life->complete && rc == COMMITLOG_OK;
    }
}

static void live_age(struct life *life, uint64_t age_ms)
{
    int32_t rc = commitlog_topic_expire_after(store, topic, age_ms, COMMITLOG_LEVEL_DURABLE, &err);
    said(life->ages, &life->age_count, age_ms, rc, life);
}

static void live_expire(struct life *life)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    if (commitlog_queue_info(store, topic, 0, &info) != COMMITLOG_OK) {
        life->complete = false;
        return;
    }
    int32_t rc = commitlog_topic_expire(store, topic, INT64_MAX, COMMITLOG_LEVEL_DURABLE, &err);
    said(life->firsts, &life->first_count, info.next_offset, rc, life);
}

/* Upkeep, which may find what has expired, or may not. */
static void live_step(struct life *life)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    uint32_t wait_ms = 0;
    pass_ms(2 * AGE_MS);
    for (int i = 0; i < 4; i++) {
        (void)commitlog_step(store, 100000, &wait_ms);
    }
    if (commitlog_queue_info(store, topic, 0, &info) != COMMITLOG_OK) {
        life->complete = false;
        return;
    }
    ck_assert_uint_lt(life->first_count, FIRSTS);
    life->firsts[life->first_count++] = info.next_offset;
    life->complete = life->complete && info.first_offset == info.next_offset;
}

static void live(struct life *life)
{
    static const char filling[30000];
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    *life = (struct life){.age_count = 1, .first_count = 1, .complete = true};
    if (store_open(COMMITLOG_ENGINE_STAGED) != COMMITLOG_OK ||
        commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err) != COMMITLOG_OK) {
        life->complete = false;
        return;
    }
    live_put(life, 2);
    live_age(life, AGE_MS);
    live_put(life, 1);
    live_expire(life);
    live_put(life, 2);
    live_step(life);
    live_age(life, 10 * AGE_MS);
    for (int i = 0; i < 6; i++) {
        (void)commitlog_append(store, topic, 1, filling, sizeof(filling), COMMITLOG_LEVEL_NONE,
                               NULL);
    }
    (void)commitlog_retain(store, &policy, &retained, &err);
    live_put(life, 1);
    live_expire(life);
    live_put(life, 1);
}

static void check_life(const struct life *life)
{
    if (commitlog_topic_open(store, "t", 1, 0, &topic, &err) == COMMITLOG_ENOTFOUND) {
        ck_assert(!life->complete && life->next == 0);
        return;
    }
    struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_queue_info queue = {.struct_bytes = sizeof(queue)};
    ck_assert_int_eq(commitlog_topic_info(store, topic, &info), 0);
    ck_assert_msg(may(life->ages, life->age_count, info.keep_age_ms), "age %llu",
                  (unsigned long long)info.keep_age_ms);
    ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &queue), 0);
    ck_assert_uint_ge(queue.next_offset, life->next);
    /* Or retention took it, which takes no more than what had expired in this life. */
    ck_assert_msg(may(life->firsts, life->first_count, queue.first_offset) ||
                      store_positions().first > 8192,
                  "first %llu", (unsigned long long)queue.first_offset);
    if (life->complete) {
        ck_assert_uint_eq(info.keep_age_ms, 10 * AGE_MS);
        ck_assert_uint_eq(queue.first_offset, 6);
        ck_assert_uint_eq(queue.next_offset, 7);
    }
    ck_assert_msg(commitlog_topic_expire(store, topic, INT64_MAX, COMMITLOG_LEVEL_DURABLE, &err) ==
                      0,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &queue), 0);
    ck_assert_uint_eq(queue.first_offset, queue.next_offset);
}

static struct life one;

static void live_one(void)
{
    live(&one);
}

static void forget_some_views(uint64_t nth)
{
    if (nth % 2 == 0) {
        forget_views();
    }
}

static void check_one(bool complete)
{
    check_life(&one);
    ck_assert(!complete || one.complete);
}

START_TEST(each_call_may_fail)
{
    static const struct each_call calls = {
        .live = live_one, .before = forget_some_views, .check = check_one};
    each_call_fails(&calls, _i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("expiry, with faults");
    TCase *faults = tcase_create("each call may fail");
    tcase_set_timeout(faults, 600);
    tcase_add_checked_fixture(faults, setup, teardown);
    tcase_add_loop_test(faults, each_call_may_fail, 0, EACH_CALL_CASES);
    suite_add_tcase(suite, faults);
    return run_suite(suite);
}
