/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_interrupt.c -- one call waits once: however many sleeps it is made of, an interrupt that
 * comes between two of them ends it, and there is one time-out for all.
 */
#include "store/store.h"
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { QUEUES = 2, SLEEPS_MAX = 2 };

/* A machine on which something happens while a call sleeps, and time goes by as it asks. */
static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    uint32_t sleeps;
    void (*meanwhile)(void);
    uint32_t quiet; /* the topic that gets nothing */
} other;

static int other_futex_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                            uint32_t expected, int64_t timeout_ns, bool shared)
{
    (void)os;
    (void)word;
    (void)expected;
    (void)shared;
    other.sleeps++;
    if (timeout_ns != CLG_OS_FOREVER) {
        other.under->sleep_ns(other.under, timeout_ns);
    }
    other.meanwhile();
    return 0; /* woken */
}

static void interrupt_setup(void)
{
    setup();
    memset(&other, 0, sizeof(other));
    other.under = commitlog_fault_os(machine);
    other.table = *other.under;
    other.table.futex_wait = other_futex_wait;
    ck_assert_int_eq(store_open_with(&other.table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL),
                     0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "quiet", 5, 1, &other.quiet, &err), 0);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
}

/* Whoever sleeps is woken for a message that is none of his, and while he looks comes the
 * interrupt. He may not sleep on. */
static void append_and_interrupt(void)
{
    ck_assert_msg(other.sleeps <= SLEEPS_MAX, "it sleeps on");
    if (other.sleeps == 1) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 1, "not his", 7, COMMITLOG_LEVEL_NONE, NULL), 0);
        ck_assert_int_eq(commitlog_interrupt(store), 0);
    }
}

START_TEST(a_fetch_that_was_woken_for_nothing_sees_the_interrupt)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_END, 0, &cursor, &err),
                     0);
    other.meanwhile = append_and_interrupt;
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, COMMITLOG_FOREVER, &count, NULL),
                     COMMITLOG_EINTERRUPTED);
    ck_assert_uint_eq(other.sleeps, 1);
    commitlog_cursor_close(cursor);
}
END_TEST

static struct commitlog_group *group;
static struct commitlog_receiver *receiver;

/* Of the topic that gets nothing. */
static void receiver_begin(const struct commitlog_receiver_options *wanted)
{
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(commitlog_receiver_open(group, other.quiet, wanted, &receiver, &err), 0);
}

static void receiver_end(void)
{
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
}

START_TEST(so_does_a_receive)
{
    struct commitlog_message message;
    struct commitlog_delivery delivery;
    uint32_t count = 0;
    receiver_begin(NULL);
    other.meanwhile = append_and_interrupt;
    ck_assert_int_eq(
        commitlog_receive(receiver, &message, &delivery, 1, COMMITLOG_FOREVER, &count, &err),
        COMMITLOG_EINTERRUPTED);
    ck_assert_uint_eq(other.sleeps, 1);
    receiver_end();
}
END_TEST

enum { DEAD = 40 };

static uint64_t queue_end(uint32_t number)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, number, 0, &info), 0);
    return info.next_offset;
}

static int64_t interrupting_clock_wall_ns(const struct commitlog_os *os)
{
    (void)os;
    (void)clg_add_acqrel_u32(&store->interrupts, 1);
    return other.under->clock_wall_ns(other.under);
}

/* Nobody else has the groups' lock until all are buried, unless it is given back in between. */
START_TEST(a_receive_that_buries_many_sees_the_interrupt)
{
    struct commitlog_message messages[DEAD];
    struct commitlog_delivery deliveries[DEAD];
    struct commitlog_receiver_options wanted = {.struct_bytes = sizeof(wanted),
                                                .flags = COMMITLOG_RECEIVE_DEAD_TOPIC,
                                                .max_attempts = 1,
                                                .visibility_ms = 1000};
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_topic_open(store, "dead", 4, 1, &wanted.dead_topic, &err), 0);
    receiver_begin(&wanted);
    for (uint32_t i = 0; i < DEAD; i++) {
        ck_assert_int_eq(
            commitlog_append(store, other.quiet, 0, "m", 1, COMMITLOG_LEVEL_NONE, NULL), 0);
    }
    ck_assert_int_eq(commitlog_receive(receiver, messages, deliveries, DEAD, 0, &count, &err), 0);
    ck_assert_uint_eq(count, DEAD);
    ck_assert_int_eq(commitlog_append(store, other.quiet, 0, "last", 4, COMMITLOG_LEVEL_NONE, NULL),
                     0);
    other.under->sleep_ns(other.under, INT64_C(2000) * CLG_OS_NS_PER_MS);
    other.table.clock_wall_ns = interrupting_clock_wall_ns;
    ck_assert_int_eq(
        commitlog_receive(receiver, messages, deliveries, 1, COMMITLOG_FOREVER, &count, &err),
        COMMITLOG_EINTERRUPTED);
    other.table.clock_wall_ns = other.under->clock_wall_ns;
    ck_assert_uint_gt(queue_end(wanted.dead_topic), 0);
    ck_assert_uint_lt(queue_end(wanted.dead_topic), DEAD);
    ck_assert_int_eq(commitlog_receive(receiver, messages, deliveries, 1, 0, &count, &err), 0);
    ck_assert_uint_eq(messages[0].body.bytes, 4);
    ck_assert_uint_eq(queue_end(wanted.dead_topic), DEAD);
    receiver_end();
}
END_TEST

START_TEST(a_call_that_begins_later_waits_again)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_interrupt(store), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 1, COMMITLOG_FROM_END, 0, &cursor, &err),
                     0);
    other.meanwhile = append_and_interrupt;
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, COMMITLOG_FOREVER, &count, NULL),
                     0);
    ck_assert_uint_eq(count, 1);
    ck_assert_uint_eq(other.sleeps, 1);
    commitlog_cursor_close(cursor);
}
END_TEST

/* Each time that it reads a record another one comes, which its filter does not match either. */
static int64_t busy_pread(const struct commitlog_os *os, int fd, void *buf, size_t size,
                          uint64_t at)
{
    (void)os;
    static bool appending;
    if (!appending) {
        appending = true;
        ck_assert_int_eq(commitlog_append(store, topic, 0, "m", 1, COMMITLOG_LEVEL_WRITTEN, NULL),
                         0);
        other.under->sleep_ns(other.under, 10 * CLG_OS_NS_PER_MS);
        appending = false;
        ck_assert_uint_lt(++other.sleeps, 1000);
    }
    return other.under->pread(other.under, fd, buf, size, at);
}

START_TEST(a_fetch_ends_while_others_go_on_publishing)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_filter *filter = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_THREAD, 0, NULL), 0);
    ck_assert_int_eq(commitlog_options_set(options, COMMITLOG_OPT_BORROW, 0, NULL), 0);
    commitlog_options_set_os(options, &other.table);
    ck_assert_int_eq(commitlog_open("/store", options, &store, &err), 0);
    commitlog_options_free(options);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_int_eq(commitlog_append(store, topic, 0, "m", 1, COMMITLOG_LEVEL_WRITTEN, NULL), 0);
    ck_assert_int_eq(commitlog_filter_compile("a = 1", 5, &filter, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_set_filter(cursor, filter), 0);
    commitlog_filter_free(filter);
    other.table.pread = busy_pread;
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 1000, &count, NULL),
                     COMMITLOG_EEND);
    other.table.pread = other.under->pread;
    ck_assert_uint_gt(other.sleeps, 1);
    commitlog_cursor_close(cursor);
}
END_TEST

/* ---- one time-out ---- */

enum { TIMEOUT_MS = 1000, LIFTED_MS = 900, BODY = 1000, LOOKS_MAX = 1000 };

static struct {
    uint32_t looks;
    uint32_t interrupt_at; /* 0: never */
} busy;

/* Each time that a receiver looks, something comes that is none of its messages. */
static int64_t busy_clock_wall_ns(const struct commitlog_os *os)
{
    (void)os;
    busy.looks++;
    ck_assert_msg(busy.looks < LOOKS_MAX, "it looks for ever");
    clg_log_nudge(store->core->log);
    if (busy.looks == busy.interrupt_at) {
        (void)clg_add_acqrel_u32(&store->interrupts, 1);
    }
    other.under->sleep_ns(other.under, 10 * CLG_OS_NS_PER_MS);
    return other.under->clock_wall_ns(other.under);
}

/* _i: at once, after its time-out, or when it is interrupted. */
START_TEST(a_receive_ends_while_others_go_on_publishing)
{
    static const int32_t timeouts[] = {0, TIMEOUT_MS, COMMITLOG_FOREVER};
    struct commitlog_message message;
    struct commitlog_delivery delivery;
    uint32_t count = 0;
    receiver_begin(NULL);
    busy.looks = 0;
    busy.interrupt_at = _i == 2 ? 50 : 0;
    other.table.clock_wall_ns = busy_clock_wall_ns;
    ck_assert_int_eq(
        commitlog_receive(receiver, &message, &delivery, 1, timeouts[_i], &count, &err),
        _i == 2 ? COMMITLOG_EINTERRUPTED : COMMITLOG_EEND);
    other.table.clock_wall_ns = other.under->clock_wall_ns;
    ck_assert_uint_lt(busy.looks, LOOKS_MAX / 2);
    receiver_end();
}
END_TEST

static int64_t began_ns;

static int64_t passed_ms(void)
{
    return (other.under->clock_mono_ns(other.under) - began_ns) / CLG_OS_NS_PER_MS;
}

/* Consumers have caught up, so to say. */
static void lift_the_limit(void)
{
    const struct commitlog_limits none = {.struct_bytes = sizeof(none)};
    ck_assert_int_lt(passed_ms(), 4 * TIMEOUT_MS);
    if (passed_ms() >= LIFTED_MS) {
        ck_assert_int_eq(commitlog_limits_set(store, &none, &err), 0);
    }
}

START_TEST(a_reservation_that_waits_for_consumers_and_then_for_room_has_one_time_out)
{
    static const char bytes[BODY];
    const struct commitlog_limits limits = {.struct_bytes = sizeof(limits),
                                            .unconsumed_bytes = BODY};
    const struct commitlog_group_offset offset = {.topic = topic};
    const struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    struct commitlog_reservation *first = NULL;
    struct commitlog_reservation *second = NULL;
    void *body = NULL;
    int32_t rc = COMMITLOG_OK;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &first, &body, &err), 0);
    const struct commitlog_slice slice = {bytes, BODY};
    const struct commitlog_record full = {.struct_bytes = sizeof(full),
                                          .topic = topic,
                                          .level = COMMITLOG_LEVEL_NONE,
                                          .body = &slice,
                                          .body_count = 1};
    while (rc == COMMITLOG_OK) { /* nothing is drained behind what is open */
        rc = commitlog_append_record(store, &full, 0, NULL, &err);
    }
    ck_assert_int_eq(rc, COMMITLOG_ETIMEDOUT);
    ck_assert_int_eq(commitlog_limits_set(store, &limits, &err), 0);
    other.meanwhile = lift_the_limit;
    began_ns = other.under->clock_mono_ns(other.under);
    rc = commitlog_reserve(store, &record, BODY, TIMEOUT_MS, &second, &body, &err);
    ck_assert_int_eq(rc, COMMITLOG_ETIMEDOUT);
    ck_assert_int_ge(passed_ms(), LIFTED_MS);
    ck_assert_int_lt(passed_ms(), LIFTED_MS + TIMEOUT_MS / 2);
    commitlog_group_close(group);
    ck_assert_int_eq(commitlog_commit(first, 0, NULL, &err), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("interrupt");
    TCase *cases = tcase_create("interrupt");
    tcase_add_checked_fixture(cases, interrupt_setup, teardown);
    tcase_add_test(cases, a_fetch_that_was_woken_for_nothing_sees_the_interrupt);
    tcase_add_test(cases, so_does_a_receive);
    tcase_add_test(cases, a_receive_that_buries_many_sees_the_interrupt);
    tcase_add_test(cases, a_call_that_begins_later_waits_again);
    tcase_add_test(cases, a_fetch_ends_while_others_go_on_publishing);
    tcase_add_loop_test(cases, a_receive_ends_while_others_go_on_publishing, 0, 3);
    tcase_add_test(cases,
                   a_reservation_that_waits_for_consumers_and_then_for_room_has_one_time_out);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
