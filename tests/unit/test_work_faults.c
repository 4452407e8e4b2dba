/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_work_faults.c -- each call of a life in which messages are given out, acknowledged and given
 * back fails, once or for ever; then the process dies or the power goes. On a healthy machine what
 * was acknowledged durably never comes again, and of all others each ends, acknowledged or as one
 * dead letter.
 */
#include "support/run_suite.h"
#include "unit/each_call_fixture.h"
#include "unit/receiver_fixture.h"
#include "unit/timer_fixture.h"

enum { MESSAGES = 6, ATTEMPTS = 2 };

static const char filling[1000];

struct life {
    uint64_t stored;     /* durably, of MESSAGES */
    bool done[MESSAGES]; /* acknowledged durably */
    bool may_be_done[MESSAGES];
};

static int32_t open_receiver(void)
{
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof(options), .max_attempts = ATTEMPTS, .visibility_ms = 1000};
    return open_receiver_with(&options);
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

/* Of a message that retention takes soon the letter is a copy. An allocation that fails leaves it
 * where it was: it is never a reference to what will be gone. */
START_TEST(without_memory_for_its_copy_no_dead_letter_is_lost)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .max_attempts = 1};
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = segment_bytes};
    bool reached = true;
    for (uint64_t nth = 1; reached; nth++) {
        struct commitlog_cursor *cursor = NULL;
        struct commitlog_message message;
        struct commitlog_delivery given;
        uint32_t count = 0;
        uint32_t dead = 0;
        if (nth > 1) {
            teardown();
            setup();
        }
        open_store();
        ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%g", 6, 1, &dead, &err), 0);
        ck_assert_int_eq(commitlog_append(store, topic, 0, "precious", 8, 0, NULL), 0);
        ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err),
                         0);
        ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
        ck_assert_int_eq(commitlog_receive(receiver, &message, &given, 1, 0, &count, &err), 0);
        for (uint32_t i = 0; i < 300; i++) {
            ck_assert_int_eq(commitlog_append(store, topic, 0, filling, sizeof(filling), 0, NULL),
                             0);
            step_all();
        }
        uint64_t before = commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC);
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, nth, ENOMEM, 0), 0);
        int32_t rc = commitlog_nack(receiver, &given, 1, 0, &err);
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 0, 0, 0), 0);
        reached = commitlog_fault_count(machine, COMMITLOG_FAULT_ALLOC) >= before + nth;
        bool failed = rc == COMMITLOG_ENOMEM;
        ck_assert(reached || !failed);
        ck_assert_msg(failed || rc == COMMITLOG_OK, "%s", commitlog_error_name(rc));
        if (failed) {
            rc = commitlog_nack(receiver, &given, 1, 0, &err);
            ck_assert_msg(rc == COMMITLOG_OK, "%s", commitlog_error_name(rc));
        }
        ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
        ck_assert_int_eq(
            commitlog_cursor_open(store, dead, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
        rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
        ck_assert_msg(rc == COMMITLOG_OK, "allocation %u: %s", (unsigned)nth,
                      commitlog_error_name(rc));
        ck_assert_uint_eq(message.body.bytes, 8);
        ck_assert_mem_eq(message.body.data, "precious", 8);
        commitlog_cursor_close(cursor);
        close_receiver();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("work and faults");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, each_call_may_fail, 0, EACH_CALL_CASES_WITHOUT_FILES);
    tcase_add_test(cases, without_memory_for_its_copy_no_dead_letter_is_lost);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
