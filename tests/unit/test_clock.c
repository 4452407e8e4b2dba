/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_clock.c -- somebody sets the machine's clock days forward: store time is held back, and what
 * goes by age goes by store time. When it is set right again, store time follows it again.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

#define MINUTE_MS INT64_C(60000)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)

static struct commitlog_os table;
static int64_t set_forward_ns;

static int64_t wall_of_the_machine(const struct commitlog_os *os)
{
    return commitlog_fault_os(machine)->clock_wall_ns(os) + set_forward_ns;
}

static void clock_setup(void)
{
    setup();
    table = *commitlog_fault_os(machine);
    table.clock_wall_ns = wall_of_the_machine;
    set_forward_ns = 0;
    ck_assert_int_eq(store_open_with(&table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
}

static void clock_teardown(void)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0); /* before its table goes */
    store = NULL;
    teardown();
}

static void put_segments(uint32_t segments)
{
    static const uint8_t body[1000];
    for (uint64_t i = 0; i < segments * segment_bytes / sizeof(body); i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, body, sizeof(body), COMMITLOG_LEVEL_DURABLE, NULL),
            0);
    }
}

START_TEST(retention_by_age_keeps_what_is_young)
{
    const struct commitlog_retention day = {.struct_bytes = sizeof(day), .keep_age_ms = DAY_MS};
    struct commitlog_retained dropped = {.struct_bytes = sizeof(dropped)};
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    put_segments(4);
    set_forward_ns = 10 * DAY_MS * MS;
    put_segments(1);
    ck_assert_int_eq(commitlog_retain(store, &day, &dropped, &err), 0);
    ck_assert_uint_eq(dropped.segments_dropped, 0);
    ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &info), 0);
    ck_assert_uint_eq(info.first_offset, 0);
    /* A day that passes is one all the same. */
    pass_ms(DAY_MS + 1);
    ck_assert_int_eq(commitlog_retain(store, &day, &dropped, &err), 0);
    ck_assert_uint_ge(dropped.segments_dropped, 4);
}
END_TEST

static int32_t produce(uint64_t sequence)
{
    const struct commitlog_slice body = {&sequence, sizeof(sequence)};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .body = &body,
                                            .body_count = 1,
                                            .producer_id = 7,
                                            .producer_epoch = 1,
                                            .sequence = sequence};
    return commitlog_append_record(store, &record, 0, NULL, &err);
}

/* producer_expire_ms is a week. */
START_TEST(producers_are_remembered)
{
    ck_assert_int_eq(produce(1), 0);
    ck_assert_int_eq(produce(2), 0);
    set_forward_ns = 10 * DAY_MS * MS;
    step_all();
    ck_assert_int_eq(produce(2), 0);
    ck_assert_uint_eq(queue_end(0), 2); /* it was known: stored once */
    pass_ms(8 * DAY_MS);
    step_all();
    ck_assert_int_eq(produce(1), 0);
    ck_assert_uint_eq(queue_end(0), 3);
}
END_TEST

/* One message more: how far its store time is behind the wall clock. */
static int64_t behind_ms(void)
{
    static int64_t last_ns;
    struct commitlog_receipt receipt;
    last_ns = queue_end(0) == 0 ? INT64_MIN : last_ns;
    ck_assert_int_eq(commitlog_append(store, topic, 0, "m", 1, COMMITLOG_LEVEL_NONE, &receipt), 0);
    ck_assert_int_ge(receipt.store_time_ns, last_ns);
    last_ns = receipt.store_time_ns;
    return (wall_of_the_machine(&table) - last_ns) / MS;
}

/* Somebody sets the clock, and so much time goes by. */
struct clock_step {
    int64_t set_ms;
    int64_t pass_ms;
    int64_t behind_ms; /* after it, of an append; NOBODY: there is none meanwhile */
};

#define NOBODY INT64_MIN

static const struct {
    const char *what;
    struct clock_step steps[6];
} clock_rows[] = {
    {"forward, and right again after days",
     {{10 * DAY_MS, 0, 10 * DAY_MS},
      {0, 5 * DAY_MS, 10 * DAY_MS},
      {-10 * DAY_MS, 0, 0},
      {0, MINUTE_MS, 0},
      {0, DAY_MS, 0}}},
    {"and right again at once",
     {{10 * DAY_MS, 0, 10 * DAY_MS}, {-10 * DAY_MS, 0, 0}, {0, MINUTE_MS, 0}}},
    {"while nothing happens",
     {{10 * DAY_MS, DAY_MS, NOBODY}, {-10 * DAY_MS, MINUTE_MS, 0}, {0, MINUTE_MS, 0}}},
    {"to where the clock stood when it was looked at last, or nearly: seen within an hour",
     {{10 * DAY_MS, 0, 10 * DAY_MS},
      {0, 10 * DAY_MS, NOBODY},
      {30 * MINUTE_MS - 10 * DAY_MS, 0, 10 * DAY_MS},
      {0, 31 * MINUTE_MS, 0}}},
    {"in two steps",
     {{10 * DAY_MS, MINUTE_MS, 10 * DAY_MS},
      {-4 * DAY_MS, MINUTE_MS, 6 * DAY_MS},
      {-6 * DAY_MS, MINUTE_MS, 0}}},
    {"one of two jumps",
     {{10 * DAY_MS, 0, 10 * DAY_MS},
      {2 * DAY_MS, 0, 12 * DAY_MS},
      {-2 * DAY_MS, MINUTE_MS, 10 * DAY_MS}}},
    {"less than an hour is left: as a jump of less than an hour, it is followed",
     {{10 * DAY_MS, 0, 10 * DAY_MS}, {30 * MINUTE_MS - 10 * DAY_MS, 0, 0}, {0, DAY_MS, 0}}},
    {"too far back: it stands still until the clock has caught up, or is set right",
     {{10 * DAY_MS, 0, 10 * DAY_MS},
      {-12 * DAY_MS, 0, -2 * DAY_MS},
      {0, DAY_MS, -1 * DAY_MS},
      {2 * DAY_MS, 0, 0},
      {0, DAY_MS, 0}}},
    {"back, with nothing held back, and right again",
     {{-10 * DAY_MS, 0, -10 * DAY_MS}, {0, DAY_MS, -9 * DAY_MS}, {10 * DAY_MS, 0, 0}}},
    {"a little back is not what was held back",
     {{10 * DAY_MS, 0, 10 * DAY_MS},
      {-2000, 0, 10 * DAY_MS - 2000},
      {0, 1000, 10 * DAY_MS - 1000},
      {0, MINUTE_MS, 10 * DAY_MS},
      {-10 * DAY_MS, MINUTE_MS, 0}}},
};

START_TEST(store_time_follows_a_clock_that_is_set_right)
{
    ck_assert_int_eq(behind_ms(), 0);
    for (size_t i = 0; i < 6; i++) {
        const struct clock_step *step = &clock_rows[_i].steps[i];
        set_forward_ns += step->set_ms * MS;
        pass_ms(step->pass_ms);
        if (step->behind_ms != NOBODY && (step->set_ms != 0 || step->pass_ms != 0)) {
            const int64_t behind = behind_ms();
            ck_assert_msg(llabs(behind - step->behind_ms) < 500,
                          "%s: step %zu: behind by %lld ms, not %lld", clock_rows[_i].what, i,
                          (long long)behind, (long long)step->behind_ms);
        }
    }
}
END_TEST

/* What a reader of events is told of it. */
START_TEST(events_say_what_is_held_back)
{
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    set_forward_ns = 10 * DAY_MS * MS;
    (void)behind_ms();
    step_all();
    ck_assert_int_eq(commitlog_event_next(store, &event), 0);
    ck_assert_msg(strstr(event.detail.message, "held back by 864000 s") != NULL, "%s",
                  event.detail.message);
    set_forward_ns = 0;
    (void)behind_ms();
    step_all();
    ck_assert_int_eq(commitlog_event_next(store, &event), 0);
    ck_assert_msg(strstr(event.detail.message, "store time follows it again") != NULL, "%s",
                  event.detail.message);
    ck_assert_int_eq(commitlog_event_next(store, &event), COMMITLOG_EEND);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("clock");
    const int rows = (int)(sizeof(clock_rows) / sizeof(clock_rows[0]));
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, clock_setup, clock_teardown);
    tcase_add_test(cases, retention_by_age_keeps_what_is_young);
    tcase_add_test(cases, producers_are_remembered);
    tcase_add_loop_test(cases, store_time_follows_a_clock_that_is_set_right, 0, rows);
    tcase_add_test(cases, events_say_what_is_held_back);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
