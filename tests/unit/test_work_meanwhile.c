/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_work_meanwhile.c -- what others do while a receiver waits: whatever gives it something wakes
 * it, visible or not, and nothing else keeps it busy.
 */
#include "support/run_suite.h"
#include "unit/group_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, WAIT_MS = 10000, SOON_MS = 1000, LOOKS_MAX = 100 };
/* Where something comes back, the clock is asked every second. */
enum { WAITS_MAX = WAIT_MS / 1000 };

static struct commitlog_os meddling;
static void (*meddle)(void); /* once */
static struct commitlog_group *group;
static struct commitlog_receiver *other;
static struct commitlog_delivery out[64]; /* the other's */
static uint32_t out_count;
static struct commitlog_reservation *held;
static uint32_t waits;
static uint32_t looks; /* at the clock */

static int meddling_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                         uint32_t expected, int64_t timeout_ns, bool shared)
{
    const struct commitlog_os *below = commitlog_fault_os(machine);
    void (*now)(void) = meddle;
    waits++;
    meddle = NULL;
    if (now != NULL) {
        now();
    }
    int rc = below->futex_wait(os, word, expected, 0, shared);
    if (rc == -ETIMEDOUT) { /* there is nobody else: the machine's time passes, and no other */
        ck_assert_int_ge(timeout_ns, 0);
        below->sleep_ns(os, timeout_ns);
    }
    return rc;
}

static int64_t meddling_clock(const struct commitlog_os *os)
{
    looks++;
    return commitlog_fault_os(machine)->clock_mono_ns(os);
}

static void open_visible(uint64_t visibility)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, segment_bytes, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, stage_bytes, NULL),
                     0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_VISIBILITY, visibility, NULL), 0);
    commitlog_options_set_os(options, &meddling);
    ck_assert_msg(commitlog_open("/store", options, &store, &err) == 0, "%s", err.message);
    commitlog_options_free(options);
}

static void begin(void)
{
    setup();
    meddle = NULL;
    held = NULL;
    waits = 0;
    meddling = *commitlog_fault_os(machine);
    meddling.futex_wait = meddling_wait;
    meddling.clock_mono_ns = meddling_clock;
}

static void end(void)
{
    commitlog_receiver_close(other);
    commitlog_group_close(group);
    other = NULL;
    group = NULL;
    teardown();
}

static void sync_all(void)
{
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, 0, &err), 0);
}

static struct commitlog_receiver *open_receiver(uint32_t flags)
{
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof(options), .flags = flags, .visibility_ms = 3600000};
    struct commitlog_receiver *receiver = NULL;
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
    return receiver;
}

/* Of a topic with one queue, so many of `count` messages are out. */
static void give_out(uint32_t count, uint32_t flags)
{
    struct commitlog_message messages[64];
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    put(0, count);
    sync_all();
    other = open_receiver(flags);
    ck_assert_int_eq(commitlog_receive(other, messages, out, 64, 0, &out_count, &err), 0);
}

/* What is published does not move. */
static void hold_back(void)
{
    const struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .level = NONE};
    void *place = NULL;
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &held, &place, &err), 0);
}

/* The one message that another receiver is given within a second. */
static uint64_t receive_soon(uint32_t queue, uint32_t flags)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    struct commitlog_receiver *receiver = open_receiver(flags);
    struct commitlog_message messages[64];
    struct commitlog_delivery given[64];
    uint32_t given_count = 0;
    const int64_t began = os->clock_mono_ns(os);
    ck_assert_msg(commitlog_receive(receiver, messages, given, 64, WAIT_MS, &given_count, &err) ==
                      0,
                  "%s", err.message);
    ck_assert(meddle == NULL);
    ck_assert_int_lt(os->clock_mono_ns(os) - began, SOON_MS * CLG_OS_NS_PER_MS);
    ck_assert_uint_eq(given_count, 1);
    ck_assert_uint_eq(given[0].queue, queue);
    ck_assert_uint_le(waits, 2);
    commitlog_receiver_close(receiver);
    return given[0].offset;
}

static void give_back(void)
{
    struct commitlog_error own;
    ck_assert_int_eq(commitlog_nack(other, out, 1, 0, &own), 0);
}

static void acknowledge(void)
{
    struct commitlog_error own;
    ck_assert_int_eq(commitlog_ack(other, out, out_count, NONE, &own), 0);
}

static void make_durable(void)
{
    put(0, 1);
    sync_all();
}

/* Odd: what is durable is visible; from 2 on: and a reservation is open. */
static void open_as(int i)
{
    open_visible(i % 2 == 1 ? COMMITLOG_VISIBLE_DURABLE : COMMITLOG_VISIBLE_PUBLISHED);
}

START_TEST(what_is_given_back_is_given_out_at_once)
{
    open_as(_i);
    give_out(1, 0);
    if (_i >= 2) {
        hold_back();
    }
    meddle = give_back;
    ck_assert_uint_eq(receive_soon(0, 0), 0);
    ck_assert(held == NULL || commitlog_abort(held) == 0);
}
END_TEST

START_TEST(in_order_the_next_one_follows_at_once)
{
    open_as(_i);
    give_out(2, COMMITLOG_RECEIVE_ORDERED);
    ck_assert_uint_eq(out_count, 1);
    if (_i >= 2) {
        hold_back();
    }
    meddle = acknowledge;
    ck_assert_uint_eq(receive_soon(0, COMMITLOG_RECEIVE_ORDERED), 1);
    ck_assert(held == NULL || commitlog_abort(held) == 0);
}
END_TEST

START_TEST(what_lies_behind_a_gate_is_given_out_when_it_opens)
{
    open_as(_i);
    give_out(1, 0);
    ck_assert_int_eq(commitlog_topic_grow(store, topic, 2, NONE, &err), 0);
    put(1, 1);
    sync_all();
    if (_i >= 2) {
        hold_back();
    }
    meddle = acknowledge;
    ck_assert_uint_eq(receive_soon(1, 0), 0);
    ck_assert(held == NULL || commitlog_abort(held) == 0);
}
END_TEST

START_TEST(what_becomes_visible_is_given_out_at_once)
{
    open_as(_i);
    give_out(1, 0);
    meddle = make_durable;
    ck_assert_uint_eq(receive_soon(0, 0), 1);
}
END_TEST

static void put_two(void)
{
    put(0, 2);
}

/* Nor do messages that nobody sees yet. */
START_TEST(who_waits_for_nothing_sleeps)
{
    struct commitlog_message messages[64];
    struct commitlog_delivery given[64];
    uint32_t given_count = 0;
    const struct commitlog_os *os = commitlog_fault_os(machine);
    open_visible(COMMITLOG_VISIBLE_DURABLE);
    give_out(1, 0);
    struct commitlog_receiver *receiver = open_receiver(0);
    const int64_t began = os->clock_mono_ns(os);
    meddle = put_two;
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, 64, WAIT_MS, &given_count, &err),
                     COMMITLOG_EEND);
    ck_assert(meddle == NULL);
    ck_assert_int_ge(os->clock_mono_ns(os) - began, WAIT_MS * CLG_OS_NS_PER_MS);
    ck_assert_uint_le(waits, WAITS_MAX);
    commitlog_receiver_close(receiver);
}
END_TEST

enum { FORWARD_MIN = 59, SECOND_NS = 1000000000 };

static int64_t forward_ns;

static int64_t forward_clock(const struct commitlog_os *os)
{
    return commitlog_fault_os(machine)->clock_wall_ns(os) + forward_ns;
}

static void set_forward(void)
{
    forward_ns = FORWARD_MIN * INT64_C(60) * SECOND_NS;
}

/* The message is back in an hour; while a receiver sleeps until then, the clock is set forward. */
START_TEST(who_waits_hears_of_a_clock_that_is_set_forward)
{
    struct commitlog_message messages[64];
    struct commitlog_delivery given[64];
    uint32_t given_count = 0;
    const struct commitlog_os *os = commitlog_fault_os(machine);
    forward_ns = 0;
    meddling.clock_wall_ns = forward_clock;
    open_visible(COMMITLOG_VISIBLE_PUBLISHED);
    give_out(1, 0);
    struct commitlog_receiver *receiver = open_receiver(0);
    const int64_t began = os->clock_mono_ns(os);
    meddle = set_forward;
    ck_assert_int_eq(
        commitlog_receive(receiver, messages, given, 64, COMMITLOG_FOREVER, &given_count, &err), 0);
    ck_assert_uint_eq(given_count, 1);
    ck_assert_int_le(os->clock_mono_ns(os) - began,
                     (60 - FORWARD_MIN + 1) * INT64_C(60) * SECOND_NS);
    commitlog_receiver_close(receiver);
}
END_TEST

/* Two messages are out, and the second is back: in order the first one comes before it. */
static void give_out_of_order(int64_t first_ms)
{
    open_visible(COMMITLOG_VISIBLE_PUBLISHED);
    give_out(2, 0);
    ck_assert_uint_eq(out_count, 2);
    ck_assert_int_eq(commitlog_extend(other, &out[0], 1, first_ms, &err), 0);
    ck_assert_int_eq(commitlog_nack(other, &out[1], 1, 0, &err), 0);
    waits = 0;
}

START_TEST(in_order_what_is_back_behind_another_keeps_nobody_busy)
{
    enum { FIRST_MS = 3 * WAIT_MS };
    struct commitlog_message messages[64];
    struct commitlog_delivery given[64];
    uint32_t given_count = 0;
    give_out_of_order(FIRST_MS);
    const int64_t began = commitlog_fault_os(machine)->clock_mono_ns(&meddling);
    looks = 0;
    struct commitlog_receiver *receiver = open_receiver(COMMITLOG_RECEIVE_ORDERED);
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, 64, WAIT_MS, &given_count, &err),
                     COMMITLOG_EEND);
    ck_assert_uint_le(waits, WAITS_MAX);
    ck_assert_uint_lt(looks, LOOKS_MAX);
    /* When the time of the first one is over it is given out, and no sooner. */
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, 64, FIRST_MS, &given_count, &err),
                     0);
    ck_assert_uint_eq(given_count, 1);
    ck_assert_uint_eq(given[0].offset, 0);
    ck_assert_int_ge(commitlog_fault_os(machine)->clock_mono_ns(&meddling) - began,
                     (FIRST_MS - 1) * CLG_OS_NS_PER_MS);
    ck_assert_uint_le(waits, FIRST_MS / 1000 + 2);
    ck_assert_uint_lt(looks, LOOKS_MAX * FIRST_MS / WAIT_MS);
    commitlog_receiver_close(receiver);
}
END_TEST

static void acknowledge_first(void)
{
    struct commitlog_error own;
    ck_assert_int_eq(commitlog_ack(other, out, 1, NONE, &own), 0);
}

START_TEST(in_order_what_is_back_comes_when_the_one_before_it_is_done)
{
    give_out_of_order(3 * WAIT_MS);
    meddle = acknowledge_first;
    ck_assert_uint_eq(receive_soon(0, COMMITLOG_RECEIVE_ORDERED), 1);
}
END_TEST

static Suite *work_meanwhile_suite(void)
{
    Suite *suite = suite_create("work, meanwhile");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 20);
    tcase_add_checked_fixture(cases, begin, end);
    tcase_add_loop_test(cases, what_is_given_back_is_given_out_at_once, 0, 4);
    tcase_add_loop_test(cases, in_order_the_next_one_follows_at_once, 0, 4);
    tcase_add_loop_test(cases, what_lies_behind_a_gate_is_given_out_when_it_opens, 0, 4);
    tcase_add_loop_test(cases, what_becomes_visible_is_given_out_at_once, 0, 2);
    tcase_add_test(cases, who_waits_for_nothing_sleeps);
    tcase_add_test(cases, who_waits_hears_of_a_clock_that_is_set_forward);
    tcase_add_test(cases, in_order_what_is_back_behind_another_keeps_nobody_busy);
    tcase_add_test(cases, in_order_what_is_back_comes_when_the_one_before_it_is_done);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(work_meanwhile_suite());
}
