/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_growth_faults.c -- each call of a life in which a topic grows and shrinks fails, once or for
 * ever; then the process dies or the power goes. On a healthy machine the topic has grown as far as
 * was said, or not at all, and a group consumes every key in order.
 */
#include "support/run_suite.h"
#include "unit/each_call_fixture.h"
#include "unit/growth_fixture.h"

/* What may be true of the topic: bits by the number of queues. */
struct life {
    uint32_t may;
    bool complete;
};

static uint32_t bit_of(uint32_t queues)
{
    return queues == 2 ? 1u : queues == 4 ? 2u : queues == 12 ? 4u : 8u;
}

static void live_post(uint32_t rounds)
{
    for (uint32_t i = 0; i < rounds * KEYS; i++) {
        struct letter_record letter;
        letter_make(&letter, i % KEYS, COMMITLOG_LEVEL_NONE);
        key_next[i % KEYS]++; /* a number is not used again whatever becomes of it */
        (void)commitlog_append_record(store, &letter.record, 0, NULL, &err);
    }
}

/* A failure has changed nothing, now and later, unless it says that it may have. */
static void live_change(struct life *life, uint32_t queues, bool grows)
{
    const struct commitlog_topic_info before = topic_info();
    int32_t rc = grows
                     ? commitlog_topic_grow(store, topic, queues, COMMITLOG_LEVEL_DURABLE, &err)
                     : commitlog_topic_shrink(store, topic, queues, COMMITLOG_LEVEL_DURABLE, &err);
    const struct commitlog_topic_info after = topic_info();
    bool changed = rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN;
    ck_assert_uint_eq(after.queues, changed ? queues : before.queues);
    ck_assert(changed || memcmp(&before, &after, sizeof(before)) == 0);
    if (rc == COMMITLOG_OK) {
        life->may = bit_of(queues);
    } else if (rc == COMMITLOG_EUNKNOWN) {
        life->may |= bit_of(queues);
    }
    life->complete = life->complete && rc == COMMITLOG_OK;
}

/* False: the group has not committed anything. */
static bool live_consume(void)
{
    bool some = false;
    struct commitlog_group *live_group = NULL;
    if (commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &live_group, &err) !=
        COMMITLOG_OK) {
        return false;
    }
    for (int round = 0; round < 4; round++) {
        for (uint32_t q = 0; q < topic_info().queues_total; q++) {
            struct commitlog_group_gate gate = {.struct_bytes = sizeof(gate)};
            struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
            if (commitlog_group_gate(live_group, topic, q, &gate, &err) == COMMITLOG_OK &&
                commitlog_queue_info(store, topic, q, &info) == COMMITLOG_OK) {
                const struct commitlog_group_offset offset = {topic, q, info.next_offset};
                int32_t rc = commitlog_group_commit(live_group, 0, &offset, 1, COMMITLOG_LEVEL_NONE,
                                                    0, NULL, &err);
                ck_assert(gate.open == 1 || rc != COMMITLOG_OK);
                some = some || rc == COMMITLOG_OK || rc == COMMITLOG_EUNKNOWN;
            }
        }
    }
    commitlog_group_close(live_group);
    return some;
}

/* Whatever fails, it goes on as far as it can. */
static void live(struct life *life)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    letters_begin();
    *life = (struct life){.may = bit_of(2), .complete = true};
    if (store_open(COMMITLOG_ENGINE_STAGED) != COMMITLOG_OK ||
        commitlog_topic_open(store, "t", 1, FIRST_QUEUES, &topic, &err) != COMMITLOG_OK) {
        life->complete = false;
        return;
    }
    live_post(3);
    live_change(life, 4, true);
    live_post(10);
    live_change(life, 12, true);
    live_post(1);
    if (live_consume()) { /* a group that begins later would not be asked */
        live_change(life, 4, false);
    }
    live_post(12);
    (void)commitlog_retain(store, &policy, &retained, &err);
    live_change(life, 12, true);
    live_post(1);
}

static void check_life(const struct life *life)
{
    if (commitlog_topic_open(store, "t", 1, 0, &topic, &err) == COMMITLOG_ENOTFOUND) {
        ck_assert(!life->complete && (life->may & bit_of(2)) != 0);
        topic_again();
    }
    ck_assert_msg((life->may & bit_of(topic_info().queues)) != 0, "%u queues, may be %x",
                  topic_info().queues, life->may);
    ck_assert(!life->complete || topic_info().queues == 12);
    letters_from_log();
    open_group();
    consumed_again();
    consume_all();
    uint32_t queues = topic_info().queues;
    ck_assert_msg(grow(queues == topic_info().queues_total ? 2 * queues : queues) == COMMITLOG_OK,
                  "%s", err.message);
    post_all();
    consume_all();
    commitlog_group_close(group);
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
    Suite *suite = suite_create("growth, with faults");
    TCase *faults = tcase_create("each call may fail");
    tcase_set_timeout(faults, 600);
    tcase_add_checked_fixture(faults, setup, teardown);
    tcase_add_loop_test(faults, each_call_may_fail, 0, EACH_CALL_CASES);
    suite_add_tcase(suite, faults);
    return run_suite(suite);
}
