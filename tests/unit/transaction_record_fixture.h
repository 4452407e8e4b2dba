/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_record_fixture.h -- the forms of what a message says of its transaction, and of the
 * marks, with the bytes of each.
 *
 * Everything is decoded in a block of exactly its size; what a decoder takes, encoded again, is the
 * same bytes, so nothing of it goes without a meaning.
 */
#ifndef TESTS_UNIT_TRANSACTION_RECORD_FIXTURE_H
#define TESTS_UNIT_TRANSACTION_RECORD_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "commitlog.h"
#include "format/transaction_record.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HALVES COUNT(halves)
#define MARKS COUNT(marks)

enum { BYTES_MAX = 8192, NAME_MAX_BYTES = CLG_GROUP_NAME_MAX, OFFSETS = 3 };

/* ---- forms, with their bytes ------------------------------------------------------------------
 */

struct half_form {
    struct clg_transaction_half half;
    size_t bytes;
    uint8_t value[32];
};

static const uint8_t shop[] = "shop";

static const struct half_form halves[] = {
    {{.queue_number = 0x01020304, .group = shop, .group_bytes = 4},
     9,
     {4, 3, 2, 1, 1, 's', 'h', 'o', 'p'}},
    {{.queue_number = 0, .group = shop, .group_bytes = 4, .prepared = true},
     9,
     {0, 0, 0, 0, 3, 's', 'h', 'o', 'p'}},
    {{.queue_number = 7,
      .group = shop,
      .group_bytes = 4,
      .prepared = true,
      .expire_at_ms = 0x0102030405},
     17,
     {7, 0, 0, 0, 7, 5, 4, 3, 2, 1, 0, 0, 0, 's', 'h', 'o', 'p'}},
    {{.queue_number = 0xfffffffe, .transaction = 0x0102030405060008},
     13,
     {0xfe, 0xff, 0xff, 0xff, 0, 8, 0, 6, 5, 4, 3, 2, 1}},
    {{.queue_number = 9, .transaction = 8, .message = 0x2010},
     21,
     {9, 0, 0, 0, 8, 8, 0, 0, 0, 0, 0, 0, 0, 0x10, 0x20, 0, 0, 0, 0, 0, 0}}};

struct mark_form {
    struct clg_transaction_mark mark;
    size_t bytes;
    uint8_t body[96];
};

static const struct clg_group_entry entries[OFFSETS] = {
    {.queue_number = 0, .offset = 0},
    {.queue_number = 3, .offset = 0x0102030405060708},
    {.queue_number = 0xfffffffe, .offset = INT64_MAX}};

static const struct mark_form marks[] = {
    {{.operation = CLG_TRANSACTION_PREPARE,
      .transaction = 0x0102030405060708,
      .expire_at_ms = 0x010203040506,
      .messages = 0x0a0b0c0d,
      .groups = 0x0102},
     32,
     {1, 0, 0, 0, 0, 0, 0, 0, 8,   7,   6,   5,   4, 3, 2, 1,
      6, 5, 4, 3, 2, 1, 0, 0, 0xd, 0xc, 0xb, 0xa, 2, 1, 0, 0}},
    {{.operation = CLG_TRANSACTION_ROLLBACK, .transaction = 16}, 16, {2, 0, 0, 0, 0, 0, 0, 0, 16}},
    {{.operation = CLG_TRANSACTION_ROLLBACK,
      .transaction = 16,
      .reason = CLG_TRANSACTION_UNREADABLE},
     16,
     {2, 0, 0, 0, 3, 0, 0, 0, 16}},
    {{.operation = CLG_TRANSACTION_COMMIT, .transaction = 24}, 16, {3, 0, 0, 0, 0, 0, 0, 0, 24}},
    {{.operation = CLG_TRANSACTION_STATE,
      .transaction = 0x2000,
      .prepared = true,
      .begin_ms = 0x0102,
      .expire_at_ms = 0x0304,
      .messages = 0x0506,
      .groups = 0x0a0b0c0d,
      .group = shop,
      .group_bytes = 4},
     52,
     {4, 0, 0, 0, 1,   0,   0,   0,   0, 0x20, 0, 0, 0,   0,   0,   0,  2, 1,
      0, 0, 0, 0, 0,   0,   4,   3,   0, 0,    0, 0, 0,   0,   4,   0,  0, 0,
      6, 5, 0, 0, 0xd, 0xc, 0xb, 0xa, 0, 0,    0, 0, 's', 'h', 'o', 'p'}},
    {{.operation = CLG_TRANSACTION_STATE, .group = shop}, /* begun by it, of nobody */
     48,
     {4}},
    {{.operation = CLG_TRANSACTION_OFFSETS,
      .transaction = 32,
      .offsets = {.name = shop,
                  .name_bytes = 4,
                  .operation = CLG_GROUP_OFFSETS,
                  .epoch = 0x01020304,
                  .count = OFFSETS}},
     88,
     {5,    0,    0,    0,    0, 0, 0, 0, 32,   0,    0,    0,    0,    0,    0,    0,   2,   0,
      4,    0,    4,    3,    2, 1, 0, 0, 0,    0,    3,    0,    0,    0,    's',  'h', 'o', 'p',
      0,    0,    0,    0,    0, 0, 0, 0, 0,    0,    0,    0,    0,    0,    0,    0,   0,   0,
      0,    0,    3,    0,    0, 0, 0, 0, 0,    0,    8,    7,    6,    5,    4,    3,   2,   1,
      0xfe, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}}};

/* ---- decoding in a block that ends where the bytes do -----------------------------------------
 */

/* Within the block, or nowhere. */
static inline void check_inside(const uint8_t *block, size_t bytes, const uint8_t *part,
                                size_t part_bytes)
{
    if (part_bytes > 0) {
        ck_assert(part >= block && part_bytes <= bytes);
        ck_assert((size_t)(part - block) <= bytes - part_bytes);
    }
}

/* Refused, and nothing given; or taken, and the same when it is encoded again. */
static inline int decode_half(const uint8_t *value, size_t bytes)
{
    struct clg_transaction_half half;
    struct clg_transaction_half before;
    uint8_t again[BYTES_MAX];
    uint8_t *block = malloc(bytes + (bytes == 0));
    ck_assert_ptr_nonnull(block);
    memcpy(block, value, bytes);
    memset(&half, 0x5a, sizeof(half));
    before = half;
    int rc = clg_transaction_half_decode(block, bytes, &half);
    if (rc == COMMITLOG_OK) {
        ck_assert_uint_eq(clg_transaction_half_bytes(&half), bytes);
        ck_assert_uint_le(bytes, CLG_TRANSACTION_HALF_BYTES_MAX);
        check_inside(block, bytes, half.group, half.group_bytes);
        clg_transaction_half_encode(again, &half);
        ck_assert_mem_eq(again, value, bytes);
    } else {
        ck_assert_mem_eq(&half, &before, sizeof(half));
        ck_assert(rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EUNSUPPORTED);
    }
    free(block);
    return rc;
}

static inline int encode_mark_again(const struct clg_transaction_mark *mark, uint8_t *again)
{
    struct clg_group_entry out[CLG_GROUP_ENTRIES_MAX];
    for (uint32_t i = 0; i < mark->offsets.count; i++) {
        out[i] = clg_group_change_entry(&mark->offsets, i);
    }
    return clg_transaction_mark_encode(again, mark, out);
}

static inline int decode_mark(const uint8_t *body, size_t bytes)
{
    struct clg_transaction_mark mark;
    struct clg_transaction_mark before;
    uint8_t again[BYTES_MAX];
    uint8_t *block = malloc(bytes + (bytes == 0));
    ck_assert_ptr_nonnull(block);
    memcpy(block, body, bytes);
    memset(&mark, 0x5a, sizeof(mark));
    before = mark;
    int rc = clg_transaction_mark_decode(block, bytes, &mark);
    if (rc == COMMITLOG_OK) {
        ck_assert_uint_eq(clg_transaction_mark_bytes(&mark), bytes);
        check_inside(block, bytes, mark.group, mark.group_bytes);
        check_inside(block, bytes, mark.offsets.name, mark.offsets.name_bytes);
        ck_assert_int_eq(encode_mark_again(&mark, again), 0);
        ck_assert_mem_eq(again, body, bytes);
    } else {
        ck_assert_mem_eq(&mark, &before, sizeof(mark));
        ck_assert(rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_EUNSUPPORTED);
    }
    free(block);
    return rc;
}

#endif
