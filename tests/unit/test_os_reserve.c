/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_os_reserve.c -- lib/os: blocks are reserved though signals come. The kernel below is one
 * whose tmpfs undoes a reservation when a signal comes meanwhile, and says so.
 */
#include "unit/os_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/bytes.h"
#include "support/run_suite.h"

enum { CALLS_MAX = 20000 };

static struct {
    uint64_t at_most; /* bytes from one signal to the next; 0: none comes */
    uint32_t signals; /* so many calls are interrupted, however small */
    uint64_t full_at; /* no room from this byte of the file on; 0: there is */
    uint32_t calls;
    uint64_t from; /* what was reserved, all of it without a gap */
    uint64_t to;
} tmpfs;

/* In place of the one of the C library. */
int fallocate(int fd, int mode, off_t at, off_t size)
{
    tmpfs.calls++;
    ck_assert_msg(tmpfs.calls < CALLS_MAX, "it is tried again for ever");
    if (tmpfs.signals > 0 || (tmpfs.at_most > 0 && (uint64_t)size > tmpfs.at_most)) {
        tmpfs.signals -= tmpfs.signals > 0 ? 1 : 0;
        errno = EINTR;
        return -1;
    }
    if (tmpfs.full_at > 0 && (uint64_t)(at + size) > tmpfs.full_at) {
        errno = ENOSPC;
        return -1;
    }
    int rc = (int)syscall(SYS_fallocate, fd, mode, at, size);
    if (rc == 0) {
        ck_assert(tmpfs.to == 0 || tmpfs.to == (uint64_t)at);
        tmpfs.from = tmpfs.to == 0 ? (uint64_t)at : tmpfs.from;
        tmpfs.to = (uint64_t)(at + size);
    }
    return rc;
}

static void reserve_setup(void)
{
    setup();
    memset(&tmpfs, 0, sizeof(tmpfs));
}

static const struct {
    uint64_t at;
    uint64_t size;
    enum clg_os_fallocate_mode mode;
} reserve_rows[] = {{0, UINT64_C(64) << 20, CLG_OS_FALLOCATE_EXTEND},
                    {UINT64_C(3) << 20, UINT64_C(5) << 20, CLG_OS_FALLOCATE_KEEP_SIZE},
                    {0, (UINT64_C(1) << 20) + 65536, CLG_OS_FALLOCATE_EXTEND},
                    {12288, 1000001, CLG_OS_FALLOCATE_EXTEND},
                    {0, 4096, CLG_OS_FALLOCATE_EXTEND}};
static const int reserve_count = (int)(sizeof(reserve_rows) / sizeof(reserve_rows[0]));

/* What the row asks for is there, exactly. */
static void reserved(int i, uint32_t calls_min, uint32_t calls_max)
{
    struct stat st;
    const uint64_t end = reserve_rows[i].at + reserve_rows[i].size;
    int fd = create("a");
    int rc = os->fallocate(os, fd, reserve_rows[i].mode, reserve_rows[i].at, reserve_rows[i].size);
    if (rc == -EOPNOTSUPP) {
        printf("skip: nothing is reserved on this file system\n");
    } else {
        ck_assert_int_eq(rc, 0);
        ck_assert_int_eq(fstat(fd, &st), 0);
        ck_assert_uint_eq(tmpfs.from, reserve_rows[i].at);
        ck_assert_uint_eq(tmpfs.to, end);
        ck_assert_uint_eq((uint64_t)st.st_size,
                          reserve_rows[i].mode == CLG_OS_FALLOCATE_EXTEND ? end : 0);
        ck_assert_uint_ge((uint64_t)st.st_blocks * 512, reserve_rows[i].size);
        ck_assert_uint_ge(tmpfs.calls, calls_min);
        ck_assert_uint_le(tmpfs.calls, calls_max);
    }
    clg_os_close_fd(os, &fd);
}

START_TEST(without_signals_it_is_one_call)
{
    reserved(_i, 1, 1);
}
END_TEST

START_TEST(one_signal_costs_two_calls)
{
    tmpfs.signals = 1;
    reserved(_i, 2, 3);
}
END_TEST

/* The tenth of a millisecond that 64 KiB take passes even between the signals of a fast timer. */
START_TEST(signals_that_come_again_and_again_are_outrun)
{
    static const uint64_t at_most[] = {65536, 1000000, UINT64_C(2) << 20, UINT64_C(40) << 20};
    tmpfs.at_most = at_most[_i / reserve_count];
    reserved(_i % reserve_count, 1, 1100);
}
END_TEST

/* Pieces are not made ever smaller. */
START_TEST(any_number_of_signals_is_passed)
{
    tmpfs.signals = 1000;
    reserved(_i, 1001, 2100);
}
END_TEST

START_TEST(an_error_of_a_later_piece_comes_out)
{
    int fd = create("a");
    tmpfs.at_most = UINT64_C(1) << 20;
    tmpfs.full_at = UINT64_C(3) << 20;
    ck_assert_int_eq(os->fallocate(os, fd, CLG_OS_FALLOCATE_EXTEND, 0, UINT64_C(8) << 20), -ENOSPC);
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(nothing_is_no_range)
{
    int fd = create("a");
    ck_assert_int_eq(os->fallocate(os, fd, CLG_OS_FALLOCATE_EXTEND, 0, 0), -EINVAL);
    clg_os_close_fd(os, &fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("os_reserve");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, reserve_setup, teardown);
    tcase_add_loop_test(cases, without_signals_it_is_one_call, 0, reserve_count);
    tcase_add_loop_test(cases, one_signal_costs_two_calls, 0, reserve_count);
    tcase_add_loop_test(cases, signals_that_come_again_and_again_are_outrun, 0, 4 * reserve_count);
    tcase_add_loop_test(cases, any_number_of_signals_is_passed, 0, reserve_count);
    tcase_add_test(cases, an_error_of_a_later_piece_comes_out);
    tcase_add_test(cases, nothing_is_no_range);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
