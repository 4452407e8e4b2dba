/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * os_fixture.h -- the default table and a directory to try it in.
 *
 * Owns: the directory, with all that a test leaves in it; one test at a time.
 */
#ifndef TESTS_UNIT_OS_FIXTURE_H
#define TESTS_UNIT_OS_FIXTURE_H

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "os/os.h"

static const struct commitlog_os *os;
static char root[64];
static int dir = -1;

static inline int remove_one(void *ctx, const char *name, enum clg_os_type type)
{
    int at = *(int *)ctx;
    if (type == CLG_OS_DIRECTORY) {
        int inner = openat(at, name, O_RDONLY | O_DIRECTORY);
        ck_assert_int_ge(inner, 0);
        ck_assert_int_eq(os->list_dir(os, inner, remove_one, &inner), 0);
        (void)close(inner);
        return os->rmdir_at(os, at, name);
    }
    return os->unlink_at(os, at, name);
}

static inline void setup(void)
{
    os = clg_os_default();
    (void)snprintf(root, sizeof(root), "/tmp/clg-test-os-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    dir = os->open_dir(os, root);
    ck_assert_int_ge(dir, 0);
}

static inline void teardown(void)
{
    (void)os->list_dir(os, dir, remove_one, &dir);
    clg_os_close_fd(os, &dir);
    ck_assert_int_eq(rmdir(root), 0);
}

static inline int create(const char *name)
{
    int fd = os->open_at(
        os, dir, name,
        CLG_OS_OPEN_READ | CLG_OS_OPEN_WRITE | CLG_OS_OPEN_CREATE | CLG_OS_OPEN_EXCLUSIVE, 0600);
    ck_assert_int_ge(fd, 0);
    return fd;
}

#endif
