/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_slow_clock.c -- where the kernel takes long to say the time, it is asked once for a time,
 * and no more. The clock of this program is its own.
 */
#include <check.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "os/os.h"
#include "support/run_suite.h"

enum { SLOW_NS = 700, UNTIL_GIVEN_UP = 5000, ASKED = 1000 };
enum { LATE_NS = 120, COUNTED_FROM_NS = 50 * 1000000, COUNTED = 200000, SET_MOST = 1 };

static uint64_t calls;
static int64_t takes_ns; /* behind the moment whose time it says */

static int (*kernel_clock)(clockid_t id, struct timespec *out);

static int64_t kernel_ns(clockid_t id)
{
    struct timespec now;
    if (kernel_clock == NULL) {
        void *found = dlsym(RTLD_NEXT, "clock_gettime");
        memcpy(&kernel_clock, &found, sizeof(kernel_clock));
    }
    if (kernel_clock(id, &now) != 0) { /* an assertion takes longer than all this */
        abort();
    }
    return (int64_t)now.tv_sec * CLG_OS_NS_PER_S + (int64_t)now.tv_nsec;
}

/* Instead of that of the C library. */
int clock_gettime(clockid_t id, struct timespec *out)
{
    const int64_t now = kernel_ns(id);
    const int64_t until = takes_ns == 0 ? 0 : kernel_ns(CLOCK_MONOTONIC) + takes_ns;
    calls++;
    out->tv_sec = now / CLG_OS_NS_PER_S;
    out->tv_nsec = now % CLG_OS_NS_PER_S;
    while (takes_ns != 0 && kernel_ns(CLOCK_MONOTONIC) < until) {
    }
    return 0;
}

/* Who takes the time, appends, and looks for what came from that time on, finds it. */
START_TEST(what_is_counted_is_never_behind)
{
    const struct commitlog_os *os = clg_os_default();
    const int64_t counts_from = kernel_ns(CLOCK_MONOTONIC) + COUNTED_FROM_NS;
    int behind = 0;
    takes_ns = LATE_NS;
    while (kernel_ns(CLOCK_MONOTONIC) < counts_from) {
        (void)os->clock_wall_ns(os);
    }
    calls = 0;
    for (int i = 0; i < COUNTED; i++) {
        const int64_t before = kernel_ns(CLOCK_REALTIME);
        behind += os->clock_wall_ns(os) < before ? 1 : 0;
    }
    printf("asked %llu times of %d\n", (unsigned long long)calls, COUNTED);
    ck_assert_int_le(behind, SET_MOST); /* a clock that is set meanwhile shows once */
}
END_TEST

START_TEST(a_slow_clock_is_asked_once)
{
    const struct commitlog_os *os = clg_os_default();
    takes_ns = SLOW_NS;
    for (int i = 0; i < UNTIL_GIVEN_UP; i++) {
        ck_assert_int_gt(os->clock_wall_ns(os), 0);
    }
    calls = 0;
    for (int i = 0; i < ASKED; i++) {
        ck_assert_int_gt(os->clock_wall_ns(os), 0);
    }
    ck_assert_uint_eq(calls, ASKED);
}
END_TEST

static Suite *clock_suite(void)
{
    Suite *suite = suite_create("slow_clock");
    TCase *cases = tcase_create("slow clock");
    tcase_add_test(cases, what_is_counted_is_never_behind);
    tcase_add_test(cases, a_slow_clock_is_asked_once);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(clock_suite());
}
