/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_thread.c -- what appends leave to the library's threads, and what they do themselves.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../support/scratch.h"
#include "store/store.h"
#include "support/run_suite.h"

enum { STAGE = 1 << 20, RECORD = 1000 };

static struct scratch scratch;

static void begin_with(uint64_t thread, uint64_t flush)
{
    scratch_begin(&scratch, "thread");
    scratch_set(&scratch, COMMITLOG_OPT_THREAD, thread);
    scratch_set(&scratch, COMMITLOG_OPT_STAGE_BYTES, STAGE);
    scratch_set(&scratch, COMMITLOG_OPT_SEGMENT_BYTES, 64 << 20);
    scratch_set(&scratch, COMMITLOG_OPT_FLUSH, flush);
}

static void open_with(uint64_t thread, uint64_t flush)
{
    begin_with(thread, flush);
    scratch_open(&scratch, 1);
}

static uint64_t behind(void)
{
    const struct clg_core *core = scratch.store->core;
    return clg_log_published(core->log) - clg_fold_position(core->fold);
}

/* An operating system whose drainer never gets to run, or both threads, or that refuses the other.
 */
static struct {
    struct commitlog_os table;
    bool both;
    bool refused;
    uint32_t started;
    uint32_t joined;
} held_up;

static bool is_drainer(const char *name)
{
    return strcmp(name, "commitlog-drain") == 0;
}

static int start_held_up(const struct commitlog_os *os, void (*fn)(void *arg), void *arg,
                         const char *name, uint64_t *handle)
{
    (void)os;
    if (!is_drainer(name) && held_up.refused) {
        return -EAGAIN;
    }
    held_up.started++;
    *handle = 0;
    return held_up.both || is_drainer(name)
               ? 0
               : clg_os_default()->thread_start(os, fn, arg, name, handle);
}

static int join_held_up(const struct commitlog_os *os, uint64_t handle)
{
    held_up.joined++;
    return handle == 0 ? 0 : clg_os_default()->thread_join(os, handle);
}

static void hold_up(bool refused)
{
    memset(&held_up, 0, sizeof(held_up));
    held_up.refused = refused;
    held_up.table = *clg_os_default();
    held_up.table.thread_start = start_held_up;
    held_up.table.thread_join = join_held_up;
    commitlog_options_set_os(scratch.options, &held_up.table);
}

/* A fold may have to allocate: appends leave it to the thread, as long as that keeps up. Here it is
 * held up, and so is upkeep, for an append does not wait for who is folding just then. */
START_TEST(a_thread_folds_until_it_falls_behind)
{
    begin_with(1, COMMITLOG_FLUSH_ASYNC);
    hold_up(false);
    held_up.both = true;
    scratch_open(&scratch, 1);
    struct commitlog_store *store = scratch.store;
    ck_assert_int_eq(clg_fold_run(store->core->fold, UINT64_MAX, 1000, CLG_FOLD_WAIT, true, NULL),
                     0);
    uint64_t folded = clg_fold_position(store->core->fold);
    while (clg_log_published(store->core->log) - folded < STAGE / 4 - 2 * RECORD) {
        (void)scratch_put(&scratch, 0, RECORD, 1);
        ck_assert_uint_eq(clg_fold_position(store->core->fold), folded);
    }
    for (int i = 0; i < 2000; i++) {
        (void)scratch_put(&scratch, 0, RECORD, 1);
        ck_assert_uint_le(behind(), STAGE / 4);
    }
    ck_assert_uint_gt(scratch_count(&scratch, 0, 0), 2000);
    scratch_end(&scratch);
    ck_assert_uint_eq(held_up.started, 2);
    ck_assert_uint_eq(held_up.joined, 2);
}
END_TEST

/* The other one was started by then, and has to end. */
START_TEST(an_opening_that_gets_one_thread_of_two_fails_and_ends_it)
{
    struct commitlog_store *store = NULL;
    begin_with(1, COMMITLOG_FLUSH_ASYNC);
    hold_up(true);
    ck_assert_int_eq(commitlog_open(scratch.path, scratch.options, &store, &scratch.err),
                     COMMITLOG_ELIMIT);
    ck_assert_ptr_null(store);
    ck_assert_uint_eq(held_up.started, 1);
    ck_assert_uint_eq(held_up.joined, 1);
    commitlog_options_set_os(scratch.options, clg_os_default());
    scratch_open(&scratch, 1);
    (void)scratch_put(&scratch, 0, RECORD, 1);
    ck_assert_uint_eq(scratch_count(&scratch, 0, 0), 1);
    scratch_end(&scratch);
}
END_TEST

START_TEST(without_a_thread_appends_fold_at_once)
{
    open_with(0, COMMITLOG_FLUSH_ASYNC);
    for (int i = 0; i < 500; i++) {
        (void)scratch_put(&scratch, 0, RECORD, 1);
        ck_assert_uint_lt(behind(), 32 << 10);
    }
    scratch_end(&scratch);
}
END_TEST

/* Where records were a moment ago there will be more: upkeep, by a thread or not, does not go away
 * for so long that the next append would have to wake it. What the machine makes of the moment is
 * another thing, so it may be tried again. */
START_TEST(upkeep_stays_near_while_there_is_traffic)
{
    uint32_t wait_ms = UINT32_MAX;
    open_with(0, COMMITLOG_FLUSH_NONE);
    for (int i = 0; i < 100 && wait_ms > 1; i++) {
        (void)scratch_put(&scratch, 0, RECORD, 1);
        ck_assert_int_eq(commitlog_step(scratch.store, 0, &wait_ms), 0);
        ck_assert_uint_eq(scratch_positions(&scratch).written,
                          scratch_positions(&scratch).published);
        ck_assert_int_eq(commitlog_step(scratch.store, 0, &wait_ms), 0);
    }
    ck_assert_uint_le(wait_ms, 1);
    scratch_end(&scratch);
}
END_TEST

/* ---- the next segment is made before a full one is flushed, which may take as long as to fill it
 */

static struct {
    struct commitlog_os table;
    struct commitlog_store *store; /* NULL: not looked at yet */
    uint64_t flushes;
    uint64_t next;
    int64_t now_ns; /* 0: the machine's clock counts */
    uint32_t seen;
    bool ready;
} rolled;

/* However long the machine takes, a step of upkeep is within its time. */
static int64_t slow_clock(const struct commitlog_os *os)
{
    return rolled.now_ns == 0 ? clg_os_default()->clock_mono_ns(os) : rolled.now_ns++;
}

static int look_at_flush(const struct commitlog_os *os, int fd)
{
    struct commitlog_store *store = rolled.store;
    if (store != NULL && rolled.seen == 0 && clg_log_flushes(store->core->log) > rolled.flushes) {
        rolled.seen++;
        rolled.ready = clg_segment_supply_is_ready(&store->supply, rolled.next);
    }
    return clg_os_default()->fdatasync(os, fd);
}

START_TEST(the_next_segment_is_made_before_the_full_one_is_flushed)
{
    enum { SEGMENT = 1 << 20 };
    uint32_t wait_ms = 0;
    memset(&rolled, 0, sizeof(rolled));
    begin_with(0, COMMITLOG_FLUSH_NONE);
    scratch_set(&scratch, COMMITLOG_OPT_SEGMENT_BYTES, SEGMENT);
    rolled.table = *clg_os_default();
    rolled.table.fdatasync = look_at_flush;
    rolled.table.clock_mono_ns = slow_clock;
    commitlog_options_set_os(scratch.options, &rolled.table);
    scratch_open(&scratch, 1);
    struct clg_log *log = scratch.store->core->log;
    const uint64_t first = clg_log_active_base(log);
    while (clg_log_active_base(log) == first) {
        (void)scratch_put(&scratch, 0, RECORD, 1);
    }
    rolled.next = clg_log_active_base(log) + SEGMENT;
    rolled.flushes = clg_log_flushes(log);
    rolled.store = scratch.store;
    rolled.now_ns = slow_clock(&rolled.table);
    for (int i = 0; i < 100 && clg_log_unsealed(log) > 0; i++) {
        ck_assert_int_eq(commitlog_step(scratch.store, 0, &wait_ms), 0);
    }
    ck_assert_uint_eq(clg_log_unsealed(log), 0);
    ck_assert_uint_eq(rolled.seen, 1);
    ck_assert(rolled.ready);
    rolled.store = NULL;
    rolled.now_ns = 0;
    scratch_end(&scratch);
}
END_TEST

static Suite *thread_suite(void)
{
    Suite *suite = suite_create("thread");
    TCase *cases = tcase_create("appends and upkeep");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, a_thread_folds_until_it_falls_behind);
    tcase_add_test(cases, an_opening_that_gets_one_thread_of_two_fails_and_ends_it);
    tcase_add_test(cases, without_a_thread_appends_fold_at_once);
    tcase_add_test(cases, the_next_segment_is_made_before_the_full_one_is_flushed);
    tcase_add_test(cases, upkeep_stays_near_while_there_is_traffic);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(thread_suite());
}
