/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_os_link.c -- a file system that cannot rename without replacing: a name is made by a link.
 * These calls of the C library are answered here.
 */
#include "unit/segment_setup.h"

#include <errno.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "segment/segment_supply.h"
#include "support/run_suite.h"

static int unlink_errno;

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned int flags)
{
    (void)from_dir;
    (void)from;
    (void)to_dir;
    (void)to;
    (void)flags;
    errno = EINVAL;
    return -1;
}

int unlinkat(int dir, const char *name, int flags)
{
    if (unlink_errno != 0) {
        errno = unlink_errno;
        return -1;
    }
    return (int)syscall(SYS_unlinkat, dir, name, flags);
}

/* The old name stays beside it until the next writer removes it: a failure would be told of a
 * segment that is there, and every further try would find its name taken. */
START_TEST(a_name_that_is_made_counts_also_if_the_old_one_does_not_go)
{
    struct clg_segment_plan plan = {.base = 0, .bytes = SMALL, .epoch = 4};
    struct clg_segment_supply supply;
    struct clg_segment *segment = NULL;
    enum clg_segment_state state;
    clg_segment_supply_init(&supply, &world.dir, false);
    clg_segment_supply_want(&supply, &plan);
    unlink_errno = _i == 0 ? 0 : EIO;
    OK(clg_segment_supply_take(&supply, 0, &segment, &err));
    unlink_errno = 0;
    clg_segment_unref(segment);
    clg_segment_supply_free(&supply);
    struct name_list names = dirs_list(world.path, "");
    ck_assert_uint_eq(names.count, _i == 0 ? 1 : 2);
    names_free(&names);
    OK(clg_segment_open(&world.dir, 0, true, &segment, &state, &err));
    ck_assert_int_eq(state, CLG_SEGMENT_GOOD);
    clg_segment_unref(segment);
}
END_TEST

START_TEST(what_has_the_name_is_not_replaced)
{
    const struct commitlog_os *os = clg_os_default();
    const uint32_t make = CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE | CLG_OS_OPEN_EXCLUSIVE;
    for (uint32_t i = 0; i < 2; i++) {
        int fd = os->open_at(os, world.dir.fd, i == 0 ? "a" : "b", make, 0600);
        ck_assert_int_ge(fd, 0);
        (void)os->close(os, fd);
    }
    ck_assert_int_eq(os->rename_at(os, world.dir.fd, "a", world.dir.fd, "b", true), -EEXIST);
    ck_assert_int_eq(os->rename_at(os, world.dir.fd, "a", world.dir.fd, "c", true), 0);
    struct clg_os_stat stat;
    ck_assert_int_eq(os->stat_at(os, world.dir.fd, "a", &stat), -ENOENT);
    ck_assert_int_eq(os->stat_at(os, world.dir.fd, "c", &stat), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("os link");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, setup, teardown);
    tcase_add_loop_test(all, a_name_that_is_made_counts_also_if_the_old_one_does_not_go, 0, 2);
    tcase_add_test(all, what_has_the_name_is_not_replaced);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
