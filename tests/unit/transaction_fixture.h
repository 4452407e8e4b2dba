/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_fixture.h -- a store with transactions on a machine in memory whose clock is its own.
 *
 * Owns: what timer_fixture.h owns.
 */
#ifndef TESTS_UNIT_TRANSACTION_FIXTURE_H
#define TESTS_UNIT_TRANSACTION_FIXTURE_H

#include "unit/timer_fixture.h"

static inline struct commitlog_transaction *begin_with(uint32_t flags, int64_t timeout_ms,
                                                       int64_t prepared_ms)
{
    const struct commitlog_transaction_options options = {.struct_bytes = sizeof(options),
                                                          .flags = flags,
                                                          .timeout_ms = timeout_ms,
                                                          .prepared_ms = prepared_ms};
    struct commitlog_transaction *transaction = NULL;
    ck_assert_msg(commitlog_transaction_begin(store, "bank", 4, &options, &transaction, &err) == 0,
                  "%s", err.message);
    return transaction;
}

static inline struct commitlog_transaction *begin(void)
{
    struct commitlog_transaction *transaction = NULL;
    ck_assert_msg(commitlog_transaction_begin(store, "bank", 4, NULL, &transaction, &err) == 0,
                  "%s", err.message);
    return transaction;
}

/* A message with key, tag and header whose body is the number. */
static inline int32_t half(struct commitlog_transaction *transaction, uint32_t queue,
                           uint32_t number, uint32_t level, struct commitlog_receipt *receipt)
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
                                      .tag = {"half", 4},
                                      .headers = &header,
                                      .header_count = 1};
    return commitlog_transaction_append(transaction, &record, 0, receipt, &err);
}

static inline int32_t commit(struct commitlog_transaction *transaction, uint32_t level,
                             struct commitlog_receipt *receipt)
{
    return commitlog_transaction_commit(transaction, level, 0, receipt, &err);
}

static inline int32_t roll_back(struct commitlog_transaction *transaction)
{
    return commitlog_transaction_rollback(transaction, COMMITLOG_LEVEL_NONE, 0, &err);
}

/* How many are open; the last of them in `info`. */
static inline uint32_t open_count(struct commitlog_transaction_info *info)
{
    uint32_t count = 0;
    uint64_t after = 0;
    int32_t rc;
    info->struct_bytes = sizeof(*info);
    while ((rc = commitlog_transaction_next(store, after, info)) == COMMITLOG_OK) {
        ck_assert_uint_gt(info->transaction, after);
        after = info->transaction;
        count++;
    }
    ck_assert_int_eq(rc, COMMITLOG_ENOTFOUND);
    return count;
}

/* The number in the message at this place of a queue; UINT32_MAX: it is none of half(). */
static inline uint32_t number_at(uint32_t queue, uint64_t offset,
                                 struct commitlog_message *out_message)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    uint32_t number = UINT32_MAX;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_OFFSET, offset, &cursor, &err),
        0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    if (message.body.bytes == sizeof(number)) {
        memcpy(&number, message.body.data, sizeof(number));
    }
    if (out_message != NULL) {
        *out_message = message; /* the pointers end with the cursor */
    }
    commitlog_cursor_close(cursor);
    return number;
}

#endif
