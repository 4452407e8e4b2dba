/* SPDX-License-Identifier: BSD-2-Clause */
/* segment_setup.h -- a world for each test of one program, and the error of its last call. */
#ifndef TESTS_UNIT_SEGMENT_SETUP_H
#define TESTS_UNIT_SEGMENT_SETUP_H

#include "unit/segment_fixture.h"

static struct world world;
static struct commitlog_error err;

static void setup(void)
{
    world_begin(&world);
    clg_error_clear(&err);
}

static void teardown(void)
{
    world_end(&world);
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        int ok_rc = (call);                                                                        \
        ck_assert_msg(ok_rc == 0, "%d: %s", ok_rc, err.message);                                   \
    } while (0)

#endif
