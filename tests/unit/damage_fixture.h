/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * damage_fixture.h -- messages on a machine in memory whose bytes are spoiled, and what cursors
 * give and say of them.
 *
 * Owns: what raw_transaction_fixture.h owns.
 */
#ifndef TESTS_UNIT_DAMAGE_FIXTURE_H
#define TESTS_UNIT_DAMAGE_FIXTURE_H

#include "unit/raw_transaction_fixture.h"

enum { SMALL = 8, LARGE = 20000, AT_A_TIME = 16, KEYED = 9 };

/* What a cursor gave and said. */
struct told {
    uint32_t messages;
    uint32_t damages;
    uint64_t bound; /* of the last of these */
};

static const uint64_t read_only[][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};

static inline void close_store(void)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

static inline struct commitlog_receipt put_one(uint32_t number, uint32_t queue, size_t bytes)
{
    struct commitlog_receipt receipt = {0};
    ck_assert_int_eq(
        commitlog_append(store, number, queue, filling, bytes, COMMITLOG_LEVEL_DURABLE, &receipt),
        0);
    return receipt;
}

/* With the key "k". */
static inline struct commitlog_receipt put_keyed(uint32_t number)
{
    struct commitlog_receipt receipt = {0};
    const struct commitlog_slice key = {"k", 1};
    const struct commitlog_slice body = {"0123456789", 10};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = number,
                                            .level = COMMITLOG_LEVEL_DURABLE,
                                            .body = &body,
                                            .body_count = 1,
                                            .keys = &key,
                                            .key_count = 1};
    ck_assert_int_eq(commitlog_append_record(store, &record, COMMITLOG_FOREVER, &receipt, &err), 0);
    return receipt;
}

static inline struct commitlog_cursor *open_by_key(uint32_t number)
{
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(commitlog_cursor_open_key(store, number, "k", 1, 0, INT64_MAX, &cursor, &err),
                     0);
    return cursor;
}

/* To the end, past damage as the manual says; by key it is passed by itself. */
static inline struct told read_on(struct commitlog_cursor *cursor, bool seeks)
{
    struct commitlog_message messages[AT_A_TIME];
    struct told told = {0};
    uint32_t got = 0;
    uint64_t bound = 0;
    int32_t rc;
    while ((rc = commitlog_cursor_fetch(cursor, messages, AT_A_TIME, 0, &got, &bound)) ==
               COMMITLOG_OK ||
           rc == COMMITLOG_EDAMAGED) {
        if (rc == COMMITLOG_OK) {
            told.messages += got;
            continue;
        }
        told.bound = bound;
        told.damages++;
        ck_assert_uint_lt(told.damages, 5);
        if (seeks) {
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
        }
    }
    ck_assert_msg(rc == COMMITLOG_EEND, "%s", commitlog_error_name(rc));
    return told;
}

static inline struct told read_all(struct commitlog_cursor *cursor, bool seeks)
{
    const struct told told = read_on(cursor, seeks);
    commitlog_cursor_close(cursor);
    return told;
}

#endif
