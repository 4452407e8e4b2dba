/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_work_faults.c -- each call of a life in which messages are given out, acknowledged and given
 * back fails, once or for ever; then the process dies or the power goes. On a healthy machine what
 * was acknowledged durably never comes again, and of all others each ends, acknowledged or as one
 * dead letter.
 */
#include "support/run_suite.h"
#include "unit/each_call_fixture.h"
#include "unit/timer_fixture.h"

enum { MESSAGES = 6, ATTEMPTS = 2 };

static struct commitlog_group *group;
static struct commitlog_receiver *receiver;

struct life {
    uint64_t stored;     /* durably, of MESSAGES */
    bool done[MESSAGES]; /* acknowledged durably */
    bool may_be_done[MESSAGES];
};

static int32_t open_receiver(void)
{
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof(options), .max_attempts = ATTEMPTS, .visibility_ms = 1000};
    int32_t rc = commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err);
    return rc == COMMITLOG_OK ? commitlog_receiver_open(group, topic, &options, &receiver, &err)
                              : rc;
}

static void close_receiver(void)
{
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    receiver = NULL;
    group = NULL;
}

/* What a receive gives out, and nothing else of it: it is untouched by one that fails. */
static bool receives(struct commitlog_message *messages, struct commitlog_delivery *given,
                     uint32_t *count)
{
    struct commitlog_message messages_before[MESSAGES];
    struct commitlog_delivery given_before[MESSAGES];
    memset(messages_before, 0xA5, sizeof(messages_before));
    memset(given_before, 0xA5, sizeof(given_before));
    memcpy(messages, messages_before, sizeof(messages_before));
    memcpy(given, given_before, sizeof(given_before));
    *count = 77;
    if (commitlog_receive(receiver, messages, given, MESSAGES / 2, 0, count, &err) ==
        COMMITLOG_OK) {
        return true;
    }
    ck_assert_uint_eq(*count, 77);
    ck_assert_mem_eq(messages, messages_before, sizeof(messages_before));
    ck_assert_mem_eq(given, given_before, sizeof(given_before));
    return false;
}

/* Whatever fails, it goes on as far as it can. */
static void live(struct life *life)
{
    struct commitlog_message messages[MESSAGES];
    struct commitlog_delivery given[MESSAGES];
    uint32_t count = 0;
    memset(life, 0, sizeof(*life));
    if (store_open(COMMITLOG_ENGINE_STAGED) != COMMITLOG_OK ||
        commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err) != COMMITLOG_OK) {
        return;
    }
    for (uint32_t i = 0; i < MESSAGES; i++) {
        if (commitlog_append(store, topic, 1, "0123456789", 10, COMMITLOG_LEVEL_DURABLE, NULL) ==
            COMMITLOG_OK) {
            life->stored = i + 1;
        }
    }
    if (open_receiver() != COMMITLOG_OK) {
        return;
    }
    for (uint32_t round = 0; round < 4; round++) {
        if (!receives(messages, given, &count)) {
            continue;
        }
        for (uint32_t i = 0; i < count; i++) {
            if (given[i].offset % 3 == 0) {
                life->may_be_done[given[i].offset] = true;
                life->done[given[i].offset] =
                    commitlog_ack(receiver, &given[i], 1, COMMITLOG_LEVEL_DURABLE, &err) ==
                    COMMITLOG_OK;
            } else if (given[i].offset % 3 == 1) {
                (void)commitlog_nack(receiver, &given[i], 1, 0, &err);
            }
        }
        pass_ms(600);
    }
}

/* Nobody acknowledges any more: all that is not done dies. */
static void end(const struct life *life)
{
    struct commitlog_message messages[MESSAGES];
    struct commitlog_delivery given[MESSAGES];
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_group_offset offset = {.topic = topic, .queue = 1};
    struct commitlog_cursor *cursor = NULL;
    uint32_t dead = 0;
    uint32_t died[MESSAGES] = {0};
    uint32_t count = 0;
    int32_t rc;
    ck_assert_msg(open_receiver() == COMMITLOG_OK, "%s", err.message);
    for (uint32_t idle = 0; idle < 3;) {
        rc = commitlog_receive(receiver, messages, given, MESSAGES, 0, &count, &err);
        ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EEND, "%s", err.message);
        idle = rc == COMMITLOG_OK ? 0 : idle + 1;
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            ck_assert_msg(!life->done[given[i].offset], "%u comes again",
                          (unsigned)given[i].offset);
            ck_assert_uint_le(given[i].attempt, ATTEMPTS);
        }
        pass_ms(1100);
    }
    ck_assert_int_eq(commitlog_queue_info(store, topic, 1, &info), 0);
    ck_assert_uint_ge(info.next_offset, life->stored);
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    ck_assert_uint_eq(offset.offset, info.next_offset);
    if (commitlog_topic_open(store, "%DLQ%g", 6, 0, &dead, &err) == COMMITLOG_OK) {
        ck_assert_int_eq(
            commitlog_cursor_open(store, dead, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
        while (commitlog_cursor_fetch(cursor, messages, 1, 0, &count, NULL) == COMMITLOG_OK) {
            ck_assert_uint_lt(messages[0].origin_offset, MESSAGES);
            died[messages[0].origin_offset]++;
        }
        commitlog_cursor_close(cursor);
    }
    for (uint64_t o = 0; o < info.next_offset; o++) {
        ck_assert_msg(died[o] <= (life->done[o] ? 0u : 1u), "%u died %u times", (unsigned)o,
                      died[o]);
        ck_assert_msg(died[o] == 1 || life->may_be_done[o], "%u is lost", (unsigned)o);
    }
    close_receiver();
}

static struct life one;

static void live_one(void)
{
    live(&one);
}

static void check_one(bool complete)
{
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    end(&one);
    ck_assert(!complete || (one.stored == MESSAGES && one.done[0] && one.done[3]));
}

START_TEST(each_call_may_fail)
{
    static const struct each_call calls = {
        .live = live_one, .leave = close_receiver, .check = check_one};
    each_call_fails(&calls, _i);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work and faults");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, each_call_may_fail, 0, EACH_CALL_CASES_WITHOUT_FILES);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
