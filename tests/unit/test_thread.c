/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_thread.c -- what appends leave to the library's thread, and what they do themselves.
 */
#include <check.h>
#include <stdlib.h>

#include "../support/scratch.h"
#include "store/store.h"

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
    tcase_add_test(cases, upkeep_stays_near_while_there_is_traffic);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    SRunner *runner = srunner_create(thread_suite());
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
