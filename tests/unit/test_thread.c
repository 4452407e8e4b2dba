/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_thread.c -- what appends leave to the library's thread, and what they do themselves.
 */
#include <check.h>
#include <stdlib.h>

#include "../support/scratch.h"
#include "store/store.h"
#include "support/run_suite.h"

enum { STAGE = 1 << 20, RECORD = 1000 };

static struct scratch scratch;

static void open_with(uint64_t thread, uint64_t flush)
{
    scratch_begin(&scratch, "thread");
    scratch_set(&scratch, COMMITLOG_OPT_THREAD, thread);
    scratch_set(&scratch, COMMITLOG_OPT_STAGE_BYTES, STAGE);
    scratch_set(&scratch, COMMITLOG_OPT_SEGMENT_BYTES, 64 << 20);
    scratch_set(&scratch, COMMITLOG_OPT_FLUSH, flush);
    scratch_open(&scratch, 1);
}

static uint64_t behind(void)
{
    const struct clg_core *core = scratch.store->core;
    return clg_log_published(core->log) - clg_fold_position(core->fold);
}

/* A fold may have to allocate: appends leave it to the thread, as long as that keeps up. Here it is
 * held up. */
START_TEST(a_thread_folds_until_it_falls_behind)
{
    open_with(1, COMMITLOG_FLUSH_ASYNC);
    struct commitlog_store *store = scratch.store;
    clg_mutex_lock(store->os, &store->service_lock);
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
    clg_mutex_unlock(store->os, &store->service_lock);
    ck_assert_uint_gt(scratch_count(&scratch, 0, 0), 2000);
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

static Suite *thread_suite(void)
{
    Suite *suite = suite_create("thread");
    TCase *cases = tcase_create("appends and upkeep");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, a_thread_folds_until_it_falls_behind);
    tcase_add_test(cases, without_a_thread_appends_fold_at_once);
    tcase_add_test(cases, upkeep_stays_near_while_there_is_traffic);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(thread_suite());
}
