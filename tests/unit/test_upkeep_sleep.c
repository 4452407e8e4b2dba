/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_upkeep_sleep.c -- whatever upkeep sleeps for, what is appended meanwhile is durable, and
 * said to be so in a checkpoint, as soon as if it had nothing else to do. The library's threads are
 * contexts of this one, and time goes by only while all of them sleep.
 */
#include <ucontext.h>

#include "store/store.h"

#include "support/run_suite.h"
#include "unit/event_fixture.h"
#include "unit/fault_fixture.h"

#define MS CLG_OS_NS_PER_MS

enum { INTERVAL_MS = 50, IDLE_MS = 100, SLACK_MS = 20, DEEP_MS = 1000, MOST_MS = 70000 };
enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE };

enum { THREADS_MOST = 2, STACK_BYTES = 256 * 1024 };

struct sleeper {
    ucontext_t context;
    void (*run)(void *arg);
    void *arg;
    const _Atomic uint32_t *word; /* it sleeps on; NULL: it does not */
    int64_t until_ns;             /* CLG_OS_FOREVER */
    bool woken;
    bool ended;
    uint8_t *stack;
};

static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    struct sleeper threads[THREADS_MOST];
    uint32_t count;
    struct sleeper *current; /* NULL: the test itself */
    ucontext_t test;
    void (*meanwhile)(void); /* in the first deep sleep */
    bool calls;              /* upkeep is called while it waits for the disk, */
    uint32_t called;         /* so often */
    uint32_t level;
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
    ck_assert_uint_lt(upkeep.count, THREADS_MOST);
    *handle = upkeep.count;
    upkeep.threads[upkeep.count].run = fn;
    upkeep.threads[upkeep.count++].arg = arg;
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
    for (uint32_t i = 0; i < upkeep.count; i++) {
        upkeep.threads[i].woken |= upkeep.threads[i].word == word;
    }
    return upkeep.under->futex_wake(upkeep.under, word, count, shared);
}

static int upkeep_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                       uint32_t expected, int64_t timeout_ns, bool shared)
{
    (void)os;
    struct sleeper *self = upkeep.current;
    if (self == NULL) {
        return upkeep.under->futex_wait(upkeep.under, word, expected, timeout_ns, shared);
    }
    const int64_t now = upkeep.under->clock_mono_ns(upkeep.under);
    if (expected != 0) { /* a thread that was called since it looked does not sleep */
        ck_assert_uint_eq(
            clg_load_relaxed_u32(&store->upkeep.called) != 0 && word == &store->upkeep.word, 0);
        ck_assert_uint_eq(
            clg_load_relaxed_u32(&store->drainer.called) != 0 && word == &store->drainer.word, 0);
    }
    self->word = word;
    self->woken = false;
    self->until_ns = timeout_ns == CLG_OS_FOREVER ? CLG_OS_FOREVER : now + timeout_ns;
    ck_assert_int_eq(swapcontext(&self->context, &upkeep.test), 0);
    self->word = NULL;
    return self->woken ? 0 : -ETIMEDOUT;
}

static int upkeep_fdatasync(const struct commitlog_os *os, int fd)
{
    (void)os;
    if (upkeep.calls && upkeep.current == &upkeep.threads[1]) {
        upkeep.calls = false;
        upkeep.called++;
        clg_thread_call(store, &store->upkeep);
        clg_thread_call(store, &store->drainer);
    }
    return upkeep.under->fdatasync(upkeep.under, fd);
}

static void upkeep_look(void)
{
    const struct commitlog_positions at = store_positions();
    const int64_t now = upkeep.under->clock_mono_ns(upkeep.under);
    if (upkeep.durable_ns == CLG_OS_FOREVER && at.durable >= upkeep.end) {
        upkeep.durable_ns = now - upkeep.began_ns;
    }
    if (upkeep.checkpointed_ns == CLG_OS_FOREVER && at.checkpointed >= upkeep.end) {
        upkeep.checkpointed_ns = now - upkeep.began_ns;
    }
}

static void thread_enter(void)
{
    upkeep.current->run(upkeep.current->arg);
    upkeep.current->ended = true;
    (void)swapcontext(&upkeep.current->context, &upkeep.test);
}

/* Until it sleeps, or ends. */
static void thread_run(struct sleeper *thread)
{
    upkeep.current = thread;
    if (thread->stack == NULL) {
        thread->stack = malloc(STACK_BYTES);
        ck_assert_ptr_nonnull(thread->stack);
        ck_assert_int_eq(getcontext(&thread->context), 0);
        thread->context.uc_stack.ss_sp = thread->stack;
        thread->context.uc_stack.ss_size = STACK_BYTES;
        makecontext(&thread->context, thread_enter, 0);
    }
    ck_assert_int_eq(swapcontext(&upkeep.test, &thread->context), 0);
    upkeep.current = NULL;
}

/* Runs whoever was woken. False: there was nobody. */
static bool threads_run_woken(void)
{
    bool ran = false;
    for (uint32_t i = 0; i < upkeep.count; i++) {
        struct sleeper *thread = &upkeep.threads[i];
        if (!thread->ended && (thread->word == NULL || thread->woken)) {
            thread_run(thread);
            ran = true;
        }
    }
    return ran;
}

/* Who wakes first by himself; NULL: nobody ever. */
static struct sleeper *threads_next(void)
{
    struct sleeper *next = NULL;
    for (uint32_t i = 0; i < upkeep.count; i++) {
        struct sleeper *thread = &upkeep.threads[i];
        if (thread->until_ns != CLG_OS_FOREVER &&
            (next == NULL || thread->until_ns < next->until_ns)) {
            next = thread;
        }
    }
    return next;
}

static void threads_end(void)
{
    clg_store_release_u32(&store->thread_stop, 1);
    for (uint32_t i = 0; i < upkeep.count; i++) {
        while (!upkeep.threads[i].ended) {
            thread_run(&upkeep.threads[i]);
        }
        free(upkeep.threads[i].stack);
    }
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
    upkeep.table.fdatasync = upkeep_fdatasync;
    commitlog_options_set_os(options, &upkeep.table);
    ck_assert_msg(commitlog_open("/store", options, &store, &err) == 0, "%s", err.message);
    commitlog_options_free(options);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
}

static void sleep_run(void (*meanwhile)(void))
{
    upkeep.meanwhile = meanwhile;
    for (;;) {
        if (threads_run_woken()) {
            continue;
        }
        struct sleeper *next = threads_next();
        const int64_t now = upkeep.under->clock_mono_ns(upkeep.under);
        if (upkeep.meanwhile != NULL && (next == NULL || next->until_ns - now > DEEP_MS * MS)) {
            upkeep.meanwhile = NULL;
            upkeep.began_ns = now;
            meanwhile();
            upkeep_look();
            continue;
        }
        if (upkeep.meanwhile == NULL) {
            upkeep_look();
        }
        if (next == NULL ||
            (upkeep.meanwhile == NULL &&
             (upkeep.checkpointed_ns != CLG_OS_FOREVER || now - upkeep.began_ns > MOST_MS * MS))) {
            break;
        }
        upkeep.under->sleep_ns(upkeep.under, next->until_ns > now ? next->until_ns - now : 0);
        thread_run(next);
    }
    threads_end();
    ck_assert_msg(upkeep.meanwhile == NULL, "they never slept for long");
    ck_assert_uint_eq(upkeep.count, THREADS_MOST);
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

static void append_and_call(void)
{
    append_meanwhile();
    upkeep.calls = true;
}

/* What is due then is not told by what was published: a call must not be forgotten. */
START_TEST(a_thread_that_is_called_during_its_round_goes_another)
{
    sleep_open(_i == 0 ? COMMITLOG_FLUSH_ASYNC : COMMITLOG_FLUSH_SYNC);
    upkeep.level = NONE;
    sleep_run(append_and_call);
    ck_assert_uint_eq(upkeep.called, 1);
    ck_assert_uint_eq(clg_load_relaxed_u32(&store->upkeep.called), 0);
    ck_assert_uint_eq(clg_load_relaxed_u32(&store->drainer.called), 0);
}
END_TEST

/* ---- what lies behind a reservation is published when that ends ---- */

static struct commitlog_reservation *held;
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
    tcase_add_loop_test(cases, a_thread_that_is_called_during_its_round_goes_another, 0, 2);
    tcase_add_loop_test(cases, the_end_of_a_reservation_wakes_upkeep, 0, 4);
    tcase_add_loop_test(cases, the_end_of_a_reservation_is_an_event, 0, 2);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(upkeep_sleep_suite());
}
