/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_event.c -- whatever makes records visible is an event; what does not, is none.
 */
#include "support/run_suite.h"
#include "unit/event_fixture.h"
#include "unit/fault_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE, LARGE = 6000 };

static void open_visible(uint64_t visibility, uint64_t flush)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_VISIBILITY, visibility},
                                  {COMMITLOG_OPT_FLUSH, flush},
                                  {COMMITLOG_OPT_FLUSH_INTERVAL_MS, 60000}};
    ck_assert_int_eq(store_open_by(values, 3), 0);
    store_put(1, DURABLE);
    ck_assert_int_eq(commitlog_event_fd(store, &event_fd), 0);
    (void)event_is_signalled(); /* until now */
    ck_assert(!event_is_signalled());
}

static void step(void)
{
    uint32_t wait_ms = 0;
    ck_assert_int_eq(commitlog_step(store, 0, &wait_ms), 0);
}

static void pause_and_step(void)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    step(); /* which sees when the traffic ended */
    os->sleep_ns(os, CLG_OS_NS_PER_S);
    step();
}

static void checkpoint(void)
{
    ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
}

static void synchronize(void)
{
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, 0, &err), 0);
}

static void append_durably(void)
{
    store_put(1, DURABLE);
}

/* The next segment begins with it, and so the one before can be sealed. */
static void fill_and_step(void)
{
    static const uint8_t body[LARGE];
    const uint64_t segments = store_stat("segments");
    while (store_stat("segments") == segments) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, body, LARGE, NONE, NULL), 0);
    }
    step();
}

static void retain(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    fill_and_step();
    (void)event_is_signalled();
    ck_assert_int_eq(commitlog_append(store, topic, 0, "x", 1, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &err), 0);
}

static void (*const makes_durable[])(void) = {synchronize,    checkpoint,    append_durably,
                                              pause_and_step, fill_and_step, retain};
enum { MAKES_DURABLE = sizeof(makes_durable) / sizeof(makes_durable[0]) };

START_TEST(what_becomes_durable_is_an_event_where_that_makes_it_visible)
{
    open_visible(COMMITLOG_VISIBLE_DURABLE, COMMITLOG_FLUSH_ASYNC);
    store_put(1, NONE);
    ck_assert(!event_is_signalled());
    const uint64_t before = store_positions().visible;
    makes_durable[_i]();
    ck_assert_uint_gt(store_positions().visible, before);
    ck_assert(event_is_signalled());
}
END_TEST

START_TEST(what_is_published_is_an_event_and_a_flush_is_none)
{
    open_visible(COMMITLOG_VISIBLE_PUBLISHED, COMMITLOG_FLUSH_NONE);
    store_put(1, NONE);
    ck_assert(event_is_signalled());
    ck_assert(!event_is_signalled());
    synchronize();
    checkpoint();
    ck_assert(!event_is_signalled());
}
END_TEST

/* Nobody has appended it: it is given up when somebody asks for the next one. */
START_TEST(a_dead_letter_is_an_event)
{
    struct commitlog_group *group = NULL;
    struct commitlog_receiver *receiver = NULL;
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof(options), .max_attempts = 1, .visibility_ms = 1000};
    struct commitlog_message message;
    struct commitlog_delivery given;
    uint32_t count = 0;
    const struct commitlog_os *os = commitlog_fault_os(machine);
    open_visible(COMMITLOG_VISIBLE_PUBLISHED, COMMITLOG_FLUSH_NONE);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
    ck_assert_int_eq(commitlog_receive(receiver, &message, &given, 1, 0, &count, &err), 0);
    os->sleep_ns(os, 2 * CLG_OS_NS_PER_S);
    (void)event_is_signalled();
    ck_assert_int_eq(commitlog_receive(receiver, &message, &given, 1, 0, &count, &err),
                     COMMITLOG_EEND);
    ck_assert(event_is_signalled());
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    uint32_t dead = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%g", 6, 0, &dead, &err), 0);
    ck_assert_int_eq(commitlog_queue_info(store, dead, 0, &info), 0);
    ck_assert_uint_eq(info.next_offset, 1);
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
}
END_TEST

static Suite *event_suite(void)
{
    Suite *suite = suite_create("event");
    TCase *cases = tcase_create("what is an event");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, what_becomes_durable_is_an_event_where_that_makes_it_visible, 0,
                        MAKES_DURABLE);
    tcase_add_test(cases, what_is_published_is_an_event_and_a_flush_is_none);
    tcase_add_test(cases, a_dead_letter_is_an_event);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(event_suite());
}
