/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_upkeep_sleep.c -- whatever upkeep sleeps for, what is appended meanwhile is durable, and
 * said to be so in a checkpoint, as soon as if it had nothing else to do. Its thread is this one,
 * and time goes by only while it sleeps.
 */
#include <poll.h>
#include <unistd.h>

#include "store/store.h"

#include "support/run_suite.h"
#include "unit/fault_fixture.h"

#define MS CLG_OS_NS_PER_MS

enum { INTERVAL_MS = 50, IDLE_MS = 100, SLACK_MS = 20, DEEP_MS = 1000, MOST_MS = 70000 };
enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE };

static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    void (*run)(void *arg);
    void *arg;
    void (*meanwhile)(void); /* in the first deep sleep */
    uint32_t level;
    uint32_t wakes;
    uint64_t end; /* of what was appended meanwhile */
    int64_t began_ns;
    int64_t durable_ns; /* so long after; CLG_OS_FOREVER: it did not come to that */
    int64_t checkpointed_ns;
} upkeep;

static int upkeep_start(const struct commitlog_os *os, void (*fn)(void *arg), void *arg,
                        const char *name, uint64_t *handle)
{
    (void)os;
    (void)name;
    upkeep.run = fn;
    upkeep.arg = arg;
    *handle = 0;
    return 0;
}

static int upkeep_join(const struct commitlog_os *os, uint64_t handle)
{
    (void)os;
    (void)handle;
    return 0;
}

static int upkeep_wake(const struct commitlog_os *os, const _Atomic uint32_t *word, int32_t count,
                       bool shared)
{
    (void)os;
    if (store != NULL && word == &store->thread_word) {
        upkeep.wakes++;
    }
    return upkeep.under->futex_wake(upkeep.under, word, count, shared);
}

static void upkeep_look(int64_t now)
{
    const struct commitlog_positions at = store_positions();
    if (upkeep.durable_ns == CLG_OS_FOREVER && at.durable >= upkeep.end) {
        upkeep.durable_ns = now - upkeep.began_ns;
    }
    if (upkeep.checkpointed_ns == CLG_OS_FOREVER && at.checkpointed >= upkeep.end) {
        upkeep.checkpointed_ns = now - upkeep.began_ns;
    }
}

static void upkeep_stop(void)
{
    clg_store_release_u32(&store->thread_stop, 1);
}

static int upkeep_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                       uint32_t expected, int64_t timeout_ns, bool shared)
{
    (void)os;
    if (word != &store->thread_word) {
        return upkeep.under->futex_wait(upkeep.under, word, expected, timeout_ns, shared);
    }
    const uint32_t wakes = upkeep.wakes;
    const int64_t now = upkeep.under->clock_mono_ns(upkeep.under);
    if (upkeep.meanwhile != NULL && timeout_ns > DEEP_MS * MS) {
        void (*const meanwhile)(void) = upkeep.meanwhile;
        upkeep.meanwhile = NULL;
        upkeep.began_ns = now;
        meanwhile();
        upkeep_look(now);
    } else if (upkeep.meanwhile == NULL) {
        upkeep_look(now);
        if (upkeep.checkpointed_ns != CLG_OS_FOREVER || now - upkeep.began_ns > MOST_MS * MS) {
            upkeep_stop();
            return 0;
        }
    }
    if (upkeep.wakes != wakes) {
        return 0;
    }
    if (timeout_ns == CLG_OS_FOREVER) { /* nobody would ever wake it */
        upkeep_stop();
        return 0;
    }
    upkeep.under->sleep_ns(upkeep.under, timeout_ns);
    return -ETIMEDOUT;
}

static void sleep_open(uint64_t flush)
{
    struct commitlog_options *options = NULL;
    const uint64_t values[][2] = {{COMMITLOG_OPT_SEGMENT_BYTES, segment_bytes},
                                  {COMMITLOG_OPT_STAGE_BYTES, stage_bytes},
                                  {COMMITLOG_OPT_THREAD, 1},
                                  {COMMITLOG_OPT_FLUSH, flush},
                                  {COMMITLOG_OPT_FLUSH_INTERVAL_MS, INTERVAL_MS}};
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        ck_assert_int_eq(commitlog_options_set(options, (int32_t)values[i][0], values[i][1], NULL),
                         0);
    }
    memset(&upkeep, 0, sizeof(upkeep));
    upkeep.durable_ns = CLG_OS_FOREVER;
    upkeep.checkpointed_ns = CLG_OS_FOREVER;
    upkeep.under = commitlog_fault_os(machine);
    upkeep.table = *upkeep.under;
    upkeep.table.thread_start = upkeep_start;
    upkeep.table.thread_join = upkeep_join;
    upkeep.table.futex_wake = upkeep_wake;
    upkeep.table.futex_wait = upkeep_wait;
    commitlog_options_set_os(options, &upkeep.table);
    ck_assert_msg(commitlog_open("/store", options, &store, &err) == 0, "%s", err.message);
    commitlog_options_free(options);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
}

static void sleep_run(void (*meanwhile)(void))
{
    upkeep.meanwhile = meanwhile;
    upkeep.run(upkeep.arg);
    ck_assert_msg(upkeep.meanwhile == NULL, "it never slept for long");
}

/* Upkeep looks at producers that are known: the next time in a minute. */
static void put_of_a_producer(void)
{
    const struct commitlog_slice body = {"x", 1};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = NONE,
                                            .producer_id = 7,
                                            .producer_epoch = 1,
                                            .sequence = 1,
                                            .body = &body,
                                            .body_count = 1};
    ck_assert_int_eq(commitlog_append_record(store, &record, 0, NULL, &err), 0);
}

static void append_meanwhile(void)
{
    struct commitlog_receipt receipt = {0};
    ck_assert_int_eq(commitlog_append(store, topic, 0, "hello", 5, upkeep.level, &receipt), 0);
    upkeep.end = receipt.end_position;
}

START_TEST(what_is_appended_while_upkeep_sleeps_is_not_late)
{
    static const uint32_t levels[] = {NONE, COMMITLOG_LEVEL_WRITTEN, DURABLE};
    const bool async = _i / 6 == 0;
    sleep_open(async ? COMMITLOG_FLUSH_ASYNC : COMMITLOG_FLUSH_SYNC);
    if (_i / 3 % 2 == 0) {
        put_of_a_producer();
    }
    upkeep.level = levels[_i % 3];
    sleep_run(append_meanwhile);
    ck_assert_int_le(upkeep.durable_ns, ((async ? INTERVAL_MS : IDLE_MS) + SLACK_MS) * MS);
    ck_assert_int_le(upkeep.checkpointed_ns, (INTERVAL_MS + IDLE_MS + SLACK_MS) * MS);
}
END_TEST

/* ---- what lies behind a reservation is published when that ends ---- */

static struct commitlog_reservation *held;
static int32_t event_fd;

static bool event_is_signalled(void)
{
    struct pollfd ask = {.fd = event_fd, .events = POLLIN};
    uint64_t value = 0;
    const bool signalled = poll(&ask, 1, 0) == 1;
    if (signalled) {
        ck_assert_int_eq(read(event_fd, &value, sizeof(value)), (ssize_t)sizeof(value));
    }
    return signalled;
}

static void end_the_reservation(void)
{
    const uint64_t published = store_positions().published;
    ck_assert_uint_lt(published, upkeep.end);
    (void)event_is_signalled(); /* until now */
    ck_assert(!event_is_signalled());
    if (upkeep.level == 0) {
        ck_assert_int_eq(commitlog_abort(held), 0);
    } else {
        ck_assert_int_eq(commitlog_commit(held, 0, NULL, &err), 0);
    }
    ck_assert_uint_ge(store_positions().published, upkeep.end);
}

static void reserve_and_append(uint64_t flush)
{
    const struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .level = NONE};
    struct commitlog_receipt receipt = {0};
    void *body = NULL;
    sleep_open(flush);
    ck_assert_int_eq(commitlog_event_fd(store, &event_fd), 0);
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &held, &body, &err), 0);
    memset(body, 0, 8);
    ck_assert_int_eq(commitlog_append(store, topic, 0, "behind", 6, NONE, &receipt), 0);
    upkeep.end = receipt.end_position;
}

/* Aborted, and committed. */
START_TEST(the_end_of_a_reservation_wakes_upkeep)
{
    const bool async = _i / 2 == 0;
    reserve_and_append(async ? COMMITLOG_FLUSH_ASYNC : COMMITLOG_FLUSH_SYNC);
    upkeep.level = (uint32_t)_i % 2;
    sleep_run(end_the_reservation);
    ck_assert_int_le(upkeep.durable_ns, ((async ? INTERVAL_MS : IDLE_MS) + SLACK_MS) * MS);
    ck_assert_int_le(upkeep.checkpointed_ns, (INTERVAL_MS + IDLE_MS + SLACK_MS) * MS);
}
END_TEST

START_TEST(the_end_of_a_reservation_is_an_event)
{
    reserve_and_append(COMMITLOG_FLUSH_SYNC);
    upkeep.level = (uint32_t)_i;
    end_the_reservation();
    ck_assert(event_is_signalled());
}
END_TEST

static Suite *upkeep_sleep_suite(void)
{
    Suite *suite = suite_create("upkeep_sleep");
    TCase *cases = tcase_create("what comes while upkeep sleeps");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_loop_test(cases, what_is_appended_while_upkeep_sleeps_is_not_late, 0, 12);
    tcase_add_loop_test(cases, the_end_of_a_reservation_wakes_upkeep, 0, 4);
    tcase_add_loop_test(cases, the_end_of_a_reservation_is_an_event, 0, 2);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(upkeep_sleep_suite());
}
