/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * promise_fixture.h -- how many of the changes that a life makes must be there after it: all of
 * them if only the process dies, those that were durable if the power goes. With a stage that could
 * not be shared, and so dies with the process, those that were written.
 *
 * Owns: what each_call_fixture.h owns; where the log ended behind each change.
 */
#ifndef TESTS_UNIT_PROMISE_FIXTURE_H
#define TESTS_UNIT_PROMISE_FIXTURE_H

#include "unit/each_call_fixture.h"

enum { CHANGES_MAX = 128 };

static struct {
    uint64_t ends[CHANGES_MAX];
    uint32_t count;
    uint64_t durable;
    uint64_t written;
    bool is_private;
    bool power; /* goes, as each_call_fixture.h has it */
} promised;

/* Of the case. */
static int each_call_number;
static uint64_t promise_engine;

static inline void promise_begin(void)
{
    memset(&promised, 0, sizeof(promised));
}

/* After each call: what the store says that it has reached is a promise too. */
static inline void promise_look(void)
{
    const struct commitlog_positions at = store_positions();
    promised.durable = at.durable;
    promised.written = at.written;
}

/* A change is stored. */
static inline void promise_add(void)
{
    ck_assert_uint_lt(promised.count, CHANGES_MAX);
    promised.ends[promised.count++] = store_positions().claimed;
}

static inline uint32_t promise_up_to(uint64_t position)
{
    uint32_t kept = 0;
    while (kept < promised.count && promised.ends[kept] <= position) {
        kept++;
    }
    return kept;
}

static inline uint32_t promise_kept(void)
{
    return promised.power        ? promise_up_to(promised.durable)
           : promised.is_private ? promise_up_to(promised.written)
                                 : promised.count;
}

static inline void promise_power(uint64_t nth)
{
    promised.power = nth % 3 == 0;
}

static inline void promise_explained(const char *what, int32_t rc)
{
    ck_assert_msg(each_call_explains(each_call_number, rc), "%s: %s: %s", what,
                  commitlog_error_name(rc), err.message);
}

static inline int32_t promise_open(void)
{
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    const int32_t rc = store_open(promise_engine);
    const bool is_unreadable = /* whatever it is that the disk does not give */
        rc == COMMITLOG_EDAMAGED &&
        each_call_faults[each_call_number / 2].kind == COMMITLOG_FAULT_READ;
    if (!is_unreadable) {
        promise_explained("open", rc);
    }
    promised.is_private = promised.is_private && rc != COMMITLOG_OK;
    while (rc == COMMITLOG_OK && commitlog_event_next(store, &event) == COMMITLOG_OK) {
        promised.is_private =
            promised.is_private || strstr(event.detail.message, "no shared memory") != NULL;
    }
    return rc;
}

static inline int32_t promise_close(void)
{
    const uint64_t end = store_positions().claimed;
    const int32_t rc = commitlog_close(store, &err);
    store = NULL;
    promise_explained("close", rc);
    promised.durable = rc == COMMITLOG_OK ? end : promised.durable;
    promised.written = rc == COMMITLOG_OK ? end : promised.written;
    return rc;
}

/* Topic "t" of some queues. */
static inline int32_t promise_topic(uint32_t queues)
{
    const int32_t rc = commitlog_topic_open(store, "t", 1, queues, &topic, &err);
    promise_explained("topic", rc);
    return rc;
}

/* Up to the end of the segment: what comes next needs another one. */
static inline void promise_fill(uint32_t queue)
{
    static const char filling[30000];
    const uint64_t end = segment_bytes - 4096 - 48;
    uint64_t at = store_positions().claimed % segment_bytes;
    int32_t rc = COMMITLOG_OK;
    while (rc == COMMITLOG_OK && at + 88 < end) {
        const uint64_t bytes = end - at - 80;
        rc = commitlog_append(store, topic, queue, filling,
                              bytes < sizeof(filling) ? bytes : sizeof(filling),
                              COMMITLOG_LEVEL_NONE, NULL);
        promise_explained("fill", rc);
        at = store_positions().claimed % segment_bytes;
    }
}

/* So much that the segment before it may go. */
static inline int32_t promise_retain(uint32_t queue)
{
    static const char filling[30000];
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    for (int i = 0; i < 3; i++) {
        const int32_t rc = commitlog_append(store, topic, queue, filling, sizeof(filling),
                                            COMMITLOG_LEVEL_NONE, NULL);
        promise_explained("fill", rc);
    }
    const int32_t rc = commitlog_retain(store, &policy, NULL, &err);
    promise_explained("retain", rc);
    return rc;
}

/* What was said in the first segments must have been carried forward. */
static inline bool promise_has_dropped(void)
{
    return store_positions().first > segment_bytes;
}

/* A loop test: each case of each_call_fixture.h, and by the mmap engine those that fail once. */
enum { PROMISE_CASES = EACH_CALL_CASES + EACH_CALL_CASES / 2 };

static inline void promise_each_call_fails(const struct each_call *calls, int i)
{
    const bool mapped = i >= EACH_CALL_CASES;
    each_call_number = mapped ? 2 * (i - EACH_CALL_CASES) : i;
    promise_engine = mapped ? COMMITLOG_ENGINE_MMAP : COMMITLOG_ENGINE_STAGED;
    each_call_fails(calls, each_call_number);
}

#endif
