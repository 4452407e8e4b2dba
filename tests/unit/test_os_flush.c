/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_os_flush.c -- lib/os: what a flush leaves of a file, and what is known of its blocks then.
 */
#include "support/run_suite.h"
#include "unit/os_fixture.h"

#include <sys/stat.h>

/* A time that was set behind each flush would be one more thing for the next one to write: where
 * there is no journal that cost a third of the rate. */
START_TEST(a_flush_leaves_the_times_of_the_file_alone)
{
    const struct timespec old[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    struct stat before;
    struct stat after;
    int fd = create("a");
    ck_assert_int_eq(clg_os_pwrite_all(os, fd, "hello", 5, 0), 0);
    for (int i = 0; i < 2; i++) {
        const int which = i == 0 ? fd : dir;
        ck_assert_int_eq(futimens(which, old), 0);
        ck_assert_int_eq(fstat(which, &before), 0);
        ck_assert_int_eq(os->fsync(os, which), 0);
        if (which == fd) {
            ck_assert_int_eq(os->fdatasync(os, which), 0);
        }
        ck_assert_int_eq(fstat(which, &after), 0);
        ck_assert_int_eq(after.st_mtim.tv_sec, old[1].tv_sec);
        ck_assert_int_eq(after.st_ctim.tv_sec, before.st_ctim.tv_sec);
        ck_assert_int_eq(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
    }
    clg_os_close_fd(os, &fd);
}
END_TEST

START_TEST(blocks_are_written_once_they_were_flushed)
{
    const uint64_t half = 1u << 20;
    static uint8_t bytes[1u << 20] = {1};
    struct clg_os_fs_info info;
    int fd = create("a");
    ck_assert_int_eq(os->fs_info(os, fd, &info), 0);
    int rc = os->fallocate(os, fd, CLG_OS_FALLOCATE_EXTEND, 0, 2 * half);
    ck_assert_int_eq(os->is_written(os, fd, 0, 2 * half), 0);
    if (rc == 0) {
        ck_assert_int_eq(clg_os_pwrite_all(os, fd, bytes, half, 0), 0);
        ck_assert_int_eq(os->fdatasync(os, fd), 0);
        bool known = info.type == CLG_OS_FS_EXT || info.type == CLG_OS_FS_XFS;
        ck_assert_int_eq(os->is_written(os, fd, 0, half), known ? 1 : 0);
        ck_assert_int_eq(os->is_written(os, fd, half / 2, half / 2), known ? 1 : 0);
        ck_assert_int_eq(os->is_written(os, fd, 0, half + 4096), 0);
        /* In more pieces than one question answers. */
        for (uint64_t at = half; at < 2 * half; at += 8192) {
            ck_assert_int_eq(clg_os_pwrite_all(os, fd, bytes, 4096, at), 0);
        }
        ck_assert_int_eq(os->fdatasync(os, fd), 0);
        ck_assert_int_eq(os->is_written(os, fd, 0, 2 * half), 0);
        ck_assert_int_eq(clg_os_pwrite_all(os, fd, bytes, half, half), 0);
        ck_assert_int_eq(os->fdatasync(os, fd), 0);
        ck_assert_int_eq(os->is_written(os, fd, 0, 2 * half), known ? 1 : 0);
    }
    clg_os_close_fd(os, &fd);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("os_flush");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, setup, teardown);
    tcase_add_test(files, a_flush_leaves_the_times_of_the_file_alone);
    tcase_add_test(files, blocks_are_written_once_they_were_flushed);
    suite_add_tcase(suite, files);
    return run_suite(suite);
}
