/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group_fixture.h -- a store with a topic of some queues, for tests of consumer groups.
 *
 * Owns: what fault_fixture.h owns.
 */
#ifndef TESTS_UNIT_GROUP_FIXTURE_H
#define TESTS_UNIT_GROUP_FIXTURE_H

#include <stdio.h>

#include "unit/fault_fixture.h"

enum { QUEUES = 6 };

static inline void open_store(void)
{
    ck_assert_msg(store_open(COMMITLOG_ENGINE_STAGED) == COMMITLOG_OK, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
}

static inline void put(uint32_t queue, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, queue, "0123456789", 10, COMMITLOG_LEVEL_NONE, NULL), 0);
    }
}

static inline void forget_views(void)
{
    const char *name = NULL;
    while (commitlog_fault_name(machine, "/store/view", 0, &name) == COMMITLOG_OK) {
        char path[128];
        (void)snprintf(path, sizeof(path), "/store/view/%s", name);
        ck_assert_int_eq(commitlog_fault_remove(machine, path), 0);
    }
}

static inline struct commitlog_retained retain_all(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    ck_assert_msg(commitlog_retain(store, &policy, &retained, &err) == COMMITLOG_OK, "%s",
                  err.message);
    return retained;
}

#endif
