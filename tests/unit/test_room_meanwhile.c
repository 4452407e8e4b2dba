/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_room_meanwhile.c -- a reservation holds up what is behind it for some seconds: a time that
 * is given with what waits for room begins when it is stored, and what a topic's queues are said to
 * be at a level is, though their definition lies behind it.
 */
#include "store/store.h"

#include "support/run_suite.h"
#include "unit/timer_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, VISIBILITY_MS = 2000, HELD_MS = 3000 };

static struct commitlog_os meddling;
static struct commitlog_group *group;
static struct commitlog_receiver *receivers[2];
static struct commitlog_reservation *held;
static int64_t held_until_ms; /* 0: as long as nobody waits */
static uint32_t other_topic;
static uint32_t waits;
static int interrupt_at; /* the so-manieth look at the clock from now on; 0: none */

static int meddling_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                         uint32_t expected, int64_t timeout_ns, bool shared)
{
    const struct commitlog_os *below = commitlog_fault_os(machine);
    waits++;
    ck_assert(!clg_mutex_is_held(&store->group_lock)); /* who waits holds up nobody */
    held_until_ms = held_until_ms == 0 ? now_ms() + HELD_MS : held_until_ms;
    if (held != NULL && now_ms() >= held_until_ms) {
        commitlog_abort(held);
        held = NULL;
    }
    int rc = below->futex_wait(os, word, expected, 0, shared);
    if (rc == -ETIMEDOUT) {
        below->sleep_ns(os, timeout_ns > 10 * MS ? 10 * MS : timeout_ns);
        rc = 0; /* woken for no reason, as one may be */
    }
    return rc;
}

static int64_t meddling_clock(const struct commitlog_os *os)
{
    if (interrupt_at > 0 && --interrupt_at == 0) {
        ck_assert_int_eq(commitlog_interrupt(store), 0);
    }
    return commitlog_fault_os(machine)->clock_mono_ns(os);
}

static void begin(void)
{
    setup();
    interrupt_at = 0;
    meddling = *commitlog_fault_os(machine);
    meddling.clock_mono_ns = meddling_clock;
    meddling.futex_wait = meddling_wait;
    held_until_ms = 0;
    ck_assert_msg(store_open_with(&meddling, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL) == 0,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "u", 1, 1, &other_topic, &err), 0);
}

static void end(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        commitlog_receiver_close(receivers[i]);
        receivers[i] = NULL;
    }
    commitlog_group_close(group);
    group = NULL;
    teardown();
}

static void hold(void)
{
    const struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = other_topic};
    void *body = NULL;
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &held, &body, &err), 0);
}

static void fill_stage(void)
{
    static const char filling[400];
    for (size_t bytes = sizeof(filling); bytes > 0; bytes /= 2) {
        const struct commitlog_slice body = {filling, bytes};
        const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                                .topic = other_topic,
                                                .level = NONE,
                                                .body = &body,
                                                .body_count = 1};
        while (commitlog_append_record(store, &record, 0, NULL, &err) == 0) {
        }
    }
}

static int64_t visible_at(void)
{
    struct commitlog_work_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_group_work(group, topic, 0, 0, &info, &err), 0);
    return info.visible_at_ms;
}

static int32_t receive_within(uint32_t by, struct commitlog_delivery *delivery, int32_t timeout_ms)
{
    struct commitlog_message message;
    uint32_t count = 0;
    return commitlog_receive(receivers[by], &message, delivery, 1, timeout_ms, &count, &err);
}

static int32_t receive(uint32_t by, struct commitlog_delivery *delivery)
{
    return receive_within(by, delivery, 0);
}

static void give_one(void)
{
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .visibility_ms = VISIBILITY_MS};
    struct commitlog_delivery delivery;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receivers[i], &err), 0);
    }
    ck_assert_int_eq(receive(0, &delivery), COMMITLOG_EEND); /* where the group begins is stored */
    ck_assert_int_eq(commitlog_append(store, topic, 0, "job", 3, NONE, NULL), 0);
}

/* Were it chosen before the wait, the next receiver would have it at once, too. */
START_TEST(the_time_of_what_is_received_begins_when_it_is_stored)
{
    struct commitlog_delivery delivery;
    struct commitlog_delivery other;
    give_one();
    hold();
    fill_stage();
    const int64_t began_ms = now_ms();
    ck_assert_msg(receive_within(0, &delivery, COMMITLOG_FOREVER) == 0, "%s", err.message);
    ck_assert_int_ge(now_ms(), began_ms + HELD_MS);
    ck_assert_ptr_null(held);
    ck_assert_int_ge(visible_at(), now_ms() + VISIBILITY_MS - 100);
    ck_assert_uint_eq(delivery.attempt, 1);
    ck_assert_int_eq(receive(1, &other), COMMITLOG_EEND);
    ck_assert_int_eq(commitlog_ack(receivers[0], &delivery, 1, NONE, &err), 0);
}
END_TEST

/* _i: its time-out in seconds; -1: it waits for ever, which is for 5 s where it is for room. */
START_TEST(a_receive_waits_for_room_no_longer_than_for_messages)
{
    struct commitlog_delivery delivery;
    const int32_t timeout_ms = _i < 0 ? COMMITLOG_FOREVER : 1000 * _i;
    const int64_t most_ms = _i < 0 ? 5000 : timeout_ms;
    give_one();
    hold();
    held_until_ms = now_ms() + 10 * HELD_MS;
    fill_stage();
    waits = 0;
    const int64_t began_ms = now_ms();
    ck_assert_int_eq(receive_within(0, &delivery, timeout_ms), COMMITLOG_ETIMEDOUT);
    ck_assert_int_ge(now_ms(), began_ms + most_ms);
    ck_assert_int_le(now_ms(), began_ms + most_ms + 100);
    ck_assert_int_eq(waits > 0, _i != 0);
    ck_assert_int_eq(commitlog_abort(held), 0);
    held = NULL;
    ck_assert_int_eq(receive(0, &delivery), 0); /* nobody was given it */
    ck_assert_uint_eq(delivery.attempt, 1);
}
END_TEST

/* Whenever it comes. */
START_TEST(an_interrupt_ends_a_receive_that_waits_for_room)
{
    struct commitlog_delivery delivery;
    give_one();
    hold();
    fill_stage();
    interrupt_at = _i;
    ck_assert_int_eq(receive_within(0, &delivery, 2 * HELD_MS), COMMITLOG_EINTERRUPTED);
    ck_assert_ptr_nonnull(held);
    ck_assert_int_eq(commitlog_abort(held), 0);
    held = NULL;
}
END_TEST

/* _i: 0 it is extended, 1 it is given back for later. */
START_TEST(a_time_that_is_given_later_begins_when_it_is_stored)
{
    struct commitlog_delivery delivery;
    give_one();
    ck_assert_msg(receive(0, &delivery) == 0, "%s", err.message);
    hold();
    fill_stage();
    const int64_t began_ms = now_ms();
    int32_t rc = _i == 0 ? commitlog_extend(receivers[0], &delivery, 1, VISIBILITY_MS, &err)
                         : commitlog_nack(receivers[0], &delivery, 1, VISIBILITY_MS, &err);
    ck_assert_msg(rc == 0, "%s", err.message);
    ck_assert_int_ge(now_ms(), began_ms + HELD_MS);
    ck_assert_int_ge(visible_at(), now_ms() + VISIBILITY_MS - 100);
}
END_TEST

/* An acknowledgement has no time: it waits, and is whole. */
START_TEST(an_acknowledgement_waits_for_room)
{
    struct commitlog_delivery delivery;
    give_one();
    ck_assert_msg(receive(0, &delivery) == 0, "%s", err.message);
    hold();
    fill_stage();
    ck_assert_msg(commitlog_ack(receivers[0], &delivery, 1, NONE, &err) == 0, "%s", err.message);
    ck_assert_ptr_null(held);
    pass_ms(2 * VISIBILITY_MS);
    ck_assert_int_eq(receive(1, &delivery), COMMITLOG_EEND);
}
END_TEST

/* To the queues that it has: its definition lies behind what is not there yet, or, in a full stage,
 * nowhere. _i: 1 shrink, 2 a full stage. */
START_TEST(what_a_topic_has_is_durable_when_that_is_said)
{
    uint32_t made = 0;
    ck_assert_int_eq(commitlog_append(store, other_topic, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, NULL),
                     0);
    hold();
    if ((_i & 2) != 0) {
        fill_stage();
    }
    ck_assert_int_eq(commitlog_topic_open(store, "b", 1, 2, &made, &err), 0);
    int32_t rc = (_i & 1) != 0
                     ? commitlog_topic_shrink(store, made, 2, COMMITLOG_LEVEL_DURABLE, &err)
                     : commitlog_topic_grow(store, made, 2, COMMITLOG_LEVEL_DURABLE, &err);
    ck_assert_msg(rc == 0, "%s", err.message);
    ck_assert_ptr_null(held);
    commitlog_fault_set_survival(machine, 0);
    die(true);
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    ck_assert_msg(commitlog_topic_open(store, "b", 1, 0, &made, &err) == 0, "%s", err.message);
}
END_TEST

/* And where its definition is durable, nobody waits for what others hold. */
START_TEST(what_a_topic_has_and_was_durable_waits_for_nobody)
{
    ck_assert_int_eq(commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, NULL), 0);
    hold();
    ck_assert_int_eq(commitlog_topic_grow(store, topic, 1, COMMITLOG_LEVEL_DURABLE, &err), 0);
    ck_assert_int_eq(commitlog_topic_shrink(store, topic, 1, COMMITLOG_LEVEL_DURABLE, &err), 0);
    ck_assert_ptr_nonnull(held);
    ck_assert_int_eq(commitlog_abort(held), 0);
    held = NULL;
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("room meanwhile");
    Suite *suite = suite_create("room meanwhile");
    tcase_add_checked_fixture(tcase, begin, end);
    tcase_add_test(tcase, the_time_of_what_is_received_begins_when_it_is_stored);
    tcase_add_loop_test(tcase, a_receive_waits_for_room_no_longer_than_for_messages, -1, 5);
    tcase_add_loop_test(tcase, an_interrupt_ends_a_receive_that_waits_for_room, 2, 5);
    tcase_add_loop_test(tcase, a_time_that_is_given_later_begins_when_it_is_stored, 0, 2);
    tcase_add_test(tcase, an_acknowledgement_waits_for_room);
    tcase_add_loop_test(tcase, what_a_topic_has_is_durable_when_that_is_said, 0, 4);
    tcase_add_test(tcase, what_a_topic_has_and_was_durable_waits_for_nobody);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
