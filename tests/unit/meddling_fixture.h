/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * meddling_fixture.h -- a machine that does something else while a call waits, and limits.
 *
 * Owns: what raw_transaction_fixture.h owns.
 */
#ifndef TESTS_UNIT_MEDDLING_FIXTURE_H
#define TESTS_UNIT_MEDDLING_FIXTURE_H

#include "unit/raw_transaction_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE };

static struct commitlog_transaction_info info;

static inline void limit(uint64_t unflushed, uint64_t unconsumed)
{
    const struct commitlog_limits limits = {.struct_bytes = sizeof(limits),
                                            .unflushed_bytes = unflushed,
                                            .unconsumed_bytes = unconsumed};
    ck_assert_int_eq(commitlog_limits_set(store, &limits, &err), 0);
}

static inline int32_t append_1000(int32_t timeout_ms, uint64_t sequence)
{
    const struct commitlog_slice body = {filling, 1000};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = NONE,
                                            .producer_id = sequence == 0 ? 0 : 77,
                                            .sequence = sequence,
                                            .body = &body,
                                            .body_count = 1};
    return commitlog_append_record(store, &record, timeout_ms, NULL, &err);
}

static inline struct commitlog_group *keeping_group(void)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 0};
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, NONE, 0, NULL, &err), 0);
    return group;
}

/* ---- a machine that does something in between ---- */

static struct commitlog_os meddling;
static void (*meddle)(void); /* once */

static inline void meddle_now(void)
{
    void (*now)(void) = meddle;
    meddle = NULL;
    if (now != NULL) {
        now();
    }
}

static inline void meddling_sleep(const struct commitlog_os *os, int64_t ns)
{
    meddle_now();
    commitlog_fault_os(machine)->sleep_ns(os, ns);
}

static inline int meddling_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                                uint32_t expected, int64_t timeout_ns, bool shared)
{
    meddle_now();
    return commitlog_fault_os(machine)->futex_wait(os, word, expected, timeout_ns, shared);
}

static inline void meddling_open(void)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    meddling = *commitlog_fault_os(machine);
    meddling.sleep_ns = meddling_sleep;
    meddling.futex_wait = meddling_wait;
    meddle = NULL;
    ck_assert_msg(store_open_with(&meddling, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL) == 0,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
}

#endif
