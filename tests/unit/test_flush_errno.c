/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_flush_errno.c -- a flush or a write that fails is final with whichever errno: none of them
 * is taken for damage of what is stored, or for something to be tried again.
 */
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

enum { STORED = 5, KINDS = 4, LAST_SYNC = 20 };

/* Block layers say ENODATA for a medium error, and a file system hands on what it was told. */
static const int errnos[KINDS] = {EIO, ENODATA, ENOMEM, ENOSPC};

static void open_and_store(void)
{
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(STORED, COMMITLOG_LEVEL_DURABLE);
}

/* Why the store has failed. */
static void check_cause(int os_errno, const char *part)
{
    ck_assert_int_eq(commitlog_failure(store, &err), COMMITLOG_EFAILED);
    ck_assert_int_eq(err.os_errno, os_errno);
    ck_assert_msg(strstr(err.message, part) != NULL, "%s", err.message);
    ck_assert_msg(strstr(err.message, "the file ends before") == NULL, "%s", err.message);
}

START_TEST(a_flush_that_fails_says_so_and_nothing_of_the_file)
{
    ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, 1, errnos[_i], 0), 0);
    ck_assert_int_eq(commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, NULL),
                     COMMITLOG_EUNKNOWN);
    check_cause(errnos[_i], ".log: flush");
}
END_TEST

/* Each flush of an opening, one after the other. */
START_TEST(an_opening_whose_flush_fails_calls_nothing_damaged)
{
    uint64_t nth = 1;
    die(false);
    for (; nth < LAST_SYNC; nth++) {
        ck_assert_int_eq(commitlog_fault_fail(machine, COMMITLOG_FAULT_SYNC, nth, errnos[_i], 0),
                         0);
        const int32_t rc = store_open(COMMITLOG_ENGINE_STAGED);
        if (rc == COMMITLOG_OK) {
            break;
        }
        ck_assert_int_ne(rc, COMMITLOG_EDAMAGED);
        ck_assert_int_eq(err.os_errno, errnos[_i]);
        commitlog_fault_process_death(machine);
    }
    ck_assert_uint_gt(nth, 1);
    ck_assert_uint_lt(nth, LAST_SYNC);
    ck_assert_uint_eq(store_count(), STORED);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("flush errno");
    Suite *suite = suite_create("flush errno");
    tcase_add_checked_fixture(tcase, open_and_store, teardown);
    tcase_add_loop_test(tcase, a_flush_that_fails_says_so_and_nothing_of_the_file, 0, KINDS);
    tcase_add_loop_test(tcase, an_opening_whose_flush_fails_calls_nothing_damaged, 0, KINDS);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
