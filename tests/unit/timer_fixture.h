/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer_fixture.h -- a store with delayed messages on a machine in memory whose clock is its own.
 *
 * Owns: what group_fixture.h owns.
 */
#ifndef TESTS_UNIT_TIMER_FIXTURE_H
#define TESTS_UNIT_TIMER_FIXTURE_H

#include "unit/group_fixture.h"

enum { MS = 1000000 };

static inline int64_t now_ms(void)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    return os->clock_wall_ns(os) / MS;
}

static inline void pass_ms(int64_t ms)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    os->sleep_ns(os, ms * MS);
}

static inline void step_all(void)
{
    uint32_t wait_ms = 0;
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(commitlog_step(store, 100000, &wait_ms), 0);
    }
}

/* So many more segments of messages; `seals`: upkeep keeps up with them. */
static inline void fill_segments(uint32_t count, bool seals)
{
    static const char filling[8000];
    const uint64_t end = store_positions().claimed + count * segment_bytes;
    while (store_positions().claimed < end) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 0, filling, sizeof(filling), COMMITLOG_LEVEL_NONE, NULL),
            0);
        if (seals) {
            step_all();
        }
    }
}

/* With large messages, and what is left with small ones; `step` behind each. */
static inline void fill_disk(void (*step)(void))
{
    static const char body[1000];
    for (size_t bytes = sizeof(body); bytes > 0; bytes = bytes > 1 ? 1 : 0) {
        int32_t rc = COMMITLOG_OK;
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < 100000; i++) {
            rc = commitlog_append(store, topic, 0, body, bytes, COMMITLOG_LEVEL_NONE, NULL);
            step();
        }
        ck_assert_int_eq(rc, COMMITLOG_ENOSPC);
    }
}

static inline int32_t delay(uint32_t queue, uint32_t number, int64_t due_ms, uint32_t level,
                            struct commitlog_receipt *receipt)
{
    struct commitlog_slice body = {&number, sizeof(number)};
    struct commitlog_slice key = {"key", 3};
    struct commitlog_header header = {{"name", 4}, {"value", 5}};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = queue,
                                      .level = level,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = 1,
                                      .tag = {"late", 4},
                                      .headers = &header,
                                      .header_count = 1,
                                      .deliver_at_ms = due_ms};
    return commitlog_append_record(store, &record, 0, receipt, &err);
}

static inline uint64_t queue_end(uint32_t q)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, q, &info), 0);
    return info.next_offset;
}

static inline void restart(bool power)
{
    if (power) {
        die(true);
    } else {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    }
    open_store();
}

#endif
