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

/* All of it is durable, and the first write or flush of a retention is that of the footer. _i:
 * which errno; + KINDS: the write fails. */
START_TEST(a_footer_that_cannot_be_written_or_flushed_fails_the_store)
{
    static const char filling[8000];
    const int os_errno = errnos[_i % KINDS];
    const uint32_t kind = _i < KINDS ? COMMITLOG_FAULT_SYNC : COMMITLOG_FAULT_WRITE;
    const struct commitlog_retention keep = {.struct_bytes = sizeof(keep),
                                             .keep_bytes = UINT64_MAX};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    uint64_t stored = STORED;
    for (; store_positions().claimed < segment_bytes; stored++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, filling, sizeof(filling),
                                          COMMITLOG_LEVEL_DURABLE, NULL),
                         0);
    }
    ck_assert_int_eq(commitlog_fault_fail(machine, kind, 1, os_errno, 0), 0);
    ck_assert_int_eq(commitlog_retain(store, &keep, &retained, &err), COMMITLOG_EFAILED);
    check_cause(os_errno, "seal: ");
    /* Nothing is flushed any more: it would look like a success. */
    const uint64_t flushes = commitlog_fault_count(machine, COMMITLOG_FAULT_SYNC);
    ck_assert_int_eq(commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, NULL),
                     COMMITLOG_EFAILED);
    ck_assert_int_eq(commitlog_retain(store, &keep, &retained, &err), COMMITLOG_EFAILED);
    ck_assert_int_eq(commitlog_close(store, &err), COMMITLOG_EFAILED);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_count(machine, COMMITLOG_FAULT_SYNC), flushes);
    die(true);
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == 0, "%s", err.message);
    ck_assert_uint_eq(store_count(), stored);
}
END_TEST

int main(void)
{
    TCase *tcase = tcase_create("flush errno");
    Suite *suite = suite_create("flush errno");
    tcase_add_checked_fixture(tcase, open_and_store, teardown);
    tcase_add_loop_test(tcase, a_flush_that_fails_says_so_and_nothing_of_the_file, 0, KINDS);
    tcase_add_loop_test(tcase, an_opening_whose_flush_fails_calls_nothing_damaged, 0, KINDS);
    tcase_add_loop_test(tcase, a_footer_that_cannot_be_written_or_flushed_fails_the_store, 0,
                        2 * KINDS);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
