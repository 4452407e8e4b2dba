/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_log_fixture.h -- open transactions in plain arrays, and random records of a log that
 * are applied to them and to what is tested beside them; memory that runs out and is counted.
 *
 * Owns: the arrays, the newest records, and where the log ends; one test at a time.
 */
#ifndef TESTS_UNIT_TRANSACTION_LOG_FIXTURE_H
#define TESTS_UNIT_TRANSACTION_LOG_FIXTURE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "commitlog.h"
#include "format/transaction_record.h"
#include "state/transaction_table.h"
#include "support/prog.h"

enum { OPEN_MAX = 24, MESSAGES_MAX = 40, GROUPS = 3, HISTORY = 4000, BODY = 192, ENTRIES = 4 };
enum record_kind { RECORD_HALF, RECORD_MARK, RECORD_DELIVERED };

struct record {
    enum record_kind kind;
    uint32_t size;
    uint64_t position;
    uint64_t transaction; /* of one that is delivered */
    int64_t time_ms;
    size_t bytes;
    uint8_t body[BODY];
};

struct plain_offsets {
    uint64_t position; /* 0: none */
    size_t bytes;
    uint8_t body[BODY];
};

struct plain {
    uint64_t id; /* 0: none */
    uint64_t state_position;
    int64_t begin_ms;
    int64_t expire_at_ms;
    uint32_t whole_messages;
    uint32_t whole_groups;
    bool prepared;
    const char *group;
    uint32_t message_count;
    struct clg_transaction_message messages[MESSAGES_MAX];
    struct plain_offsets offsets[GROUPS];
};

static const char *const groups[GROUPS] = {"one", "one more", "gr\303\266\303\237e"};
static struct plain plain[OPEN_MAX];
static struct record history[HISTORY];
static uint32_t history_count;
static uint32_t carried_from; /* since then every open one was carried; UINT32_MAX: not kept */
static uint64_t log_end;
static int64_t log_ms;
static struct rng rng;

static inline uint32_t draw(uint32_t below)
{
    return (uint32_t)rng_below(&rng, below);
}

/* ---- memory that runs out, and is counted -----------------------------------------------------
 */

#define HEAD_BYTES 16u

static struct commitlog_os scarce;
static uint64_t allocs_left;
static uint64_t held_blocks;
static uint64_t held_bytes;

static inline void *scarce_alloc(const struct commitlog_os *os, size_t bytes)
{
    (void)os;
    if (allocs_left == 0) {
        allocs_left = UINT64_MAX; /* only this one */
        return NULL;
    }
    allocs_left--;
    uint8_t *block = calloc(1, HEAD_BYTES + bytes);
    ck_assert_ptr_nonnull(block);
    memcpy(block, &bytes, sizeof(bytes));
    held_blocks++;
    held_bytes += bytes;
    return block + HEAD_BYTES;
}

static inline void scarce_free(const struct commitlog_os *os, void *memory)
{
    (void)os;
    if (memory != NULL) {
        uint8_t *block = (uint8_t *)memory - HEAD_BYTES;
        size_t bytes;
        memcpy(&bytes, block, sizeof(bytes));
        ck_assert(held_blocks > 0 && held_bytes >= bytes);
        held_blocks--;
        held_bytes -= bytes;
        free(block);
    }
}

static inline void begin(uint64_t seed)
{
    rng_begin(&rng, seed);
    scarce = *clg_os_default();
    scarce.alloc = scarce_alloc;
    scarce.free = scarce_free;
    allocs_left = UINT64_MAX;
    held_blocks = 0;
    held_bytes = 0;
    memset(plain, 0, sizeof(plain));
    history_count = 0;
    carried_from = 0;
    log_end = 8192;
    log_ms = 1700000000000;
}

/* ---- the plain arrays -------------------------------------------------------------------------
 */

static inline struct plain *plain_find(uint64_t id)
{
    for (uint32_t i = 0; i < OPEN_MAX; i++) {
        if (plain[i].id == id) {
            return &plain[i];
        }
    }
    return NULL;
}

/* The one that is there, or a new one of nobody. */
static inline struct plain *plain_take(uint64_t id, int64_t begin_ms)
{
    struct plain *one = plain_find(id);
    if (one == NULL) {
        one = plain_find(0);
        ck_assert_ptr_nonnull(one);
        *one = (struct plain){
            .id = id, .begin_ms = begin_ms, .state_position = CLG_NO_POSITION, .group = ""};
    }
    return one;
}

static inline void plain_half(const struct clg_transaction_half *half, const struct record *record)
{
    const uint64_t id = half->transaction != 0 ? half->transaction : record->position;
    const uint64_t message = half->message != 0 ? half->message : record->position;
    struct plain *one = plain_take(id, record->time_ms);
    if (half->transaction == 0) {
        one->state_position = record->position;
        one->group = (const char *)half->group;
        one->prepared = half->prepared;
        if (half->prepared) {
            one->whole_messages = 1;
            one->expire_at_ms =
                half->expire_at_ms != 0 ? half->expire_at_ms : record->time_ms + 86400000;
        }
    }
    uint32_t at = 0;
    while (at < one->message_count && one->messages[at].id != message) {
        at++;
    }
    one->message_count += at == one->message_count;
    ck_assert_uint_le(one->message_count, MESSAGES_MAX);
    one->messages[at] = (struct clg_transaction_message){.id = message,
                                                         .position = record->position,
                                                         .queue_number = half->queue_number,
                                                         .size = record->size};
}

static inline void plain_end(uint64_t id)
{
    struct plain *one = plain_find(id);
    if (one != NULL) {
        one->id = 0;
    }
}

static inline void plain_mark(const struct clg_transaction_mark *mark, const struct record *record)
{
    const uint64_t id = mark->transaction != 0 ? mark->transaction : record->position;
    struct plain *one = plain_find(id);
    if (mark->operation == CLG_TRANSACTION_STATE) {
        one = plain_take(id, 0);
        one->state_position = record->position;
        one->begin_ms = mark->begin_ms;
        one->expire_at_ms = mark->expire_at_ms;
        one->prepared = mark->prepared;
        one->whole_messages = mark->messages;
        one->whole_groups = mark->groups;
        one->group = mark->group_bytes == 0 ? "" : (const char *)mark->group;
    } else if (mark->operation == CLG_TRANSACTION_OFFSETS) {
        one = plain_take(id, 0);
        uint32_t g = 0;
        while (strlen(groups[g]) != mark->offsets.name_bytes ||
               memcmp(groups[g], mark->offsets.name, mark->offsets.name_bytes) != 0) {
            g++;
        }
        one->offsets[g].position = record->position;
        one->offsets[g].bytes = record->bytes;
        memcpy(one->offsets[g].body, record->body, record->bytes);
    } else if (mark->operation == CLG_TRANSACTION_PREPARE && one != NULL) {
        one->prepared = true;
        one->whole_messages = mark->messages;
        one->whole_groups = mark->groups;
        one->expire_at_ms = mark->expire_at_ms;
    } else if (mark->operation != CLG_TRANSACTION_PREPARE) {
        plain_end(id);
    }
}

/* ---- the table beside them --------------------------------------------------------------------
 */

static inline void check_messages(const struct clg_transaction *is, const struct plain *want)
{
    uint64_t bytes = 0;
    ck_assert_uint_eq(is->message_count, want->message_count);
    for (uint32_t i = 0; i < is->message_count; i++) {
        uint32_t at = 0;
        while (at < want->message_count && want->messages[at].id != is->messages[i].id) {
            at++;
        }
        ck_assert_uint_lt(at, want->message_count);
        ck_assert_mem_eq(&is->messages[i], &want->messages[at], sizeof(is->messages[i]));
        ck_assert(i == 0 || is->messages[i - 1].id < is->messages[i].id);
        bytes += is->messages[i].size;
    }
    ck_assert_uint_eq(is->bytes, bytes);
}

static inline void check_offsets(const struct clg_transaction *is, const struct plain *want)
{
    uint32_t count = 0;
    for (uint32_t g = 0; g < GROUPS; g++) {
        const struct plain_offsets *one = &want->offsets[g];
        uint32_t found = 0;
        for (uint32_t i = 0; one->position != 0 && i < is->offset_count; i++) {
            found += is->offsets[i]->position == one->position &&
                     is->offsets[i]->bytes == one->bytes &&
                     memcmp(is->offsets[i]->body, one->body, one->bytes) == 0;
        }
        ck_assert_uint_eq(found, one->position != 0);
        count += found;
    }
    ck_assert_uint_eq(is->offset_count, count);
}

static inline void check_one(const struct clg_transaction *is, const struct plain *want)
{
    ck_assert_uint_eq(is->state_position, want->state_position);
    ck_assert_int_eq(is->begin_ms, want->begin_ms);
    ck_assert(is->prepared == want->prepared);
    ck_assert_int_eq(is->expire_at_ms, want->expire_at_ms);
    ck_assert_uint_eq(is->whole_messages, want->whole_messages);
    ck_assert_uint_eq(is->whole_groups, want->whole_groups);
    ck_assert_str_eq((const char *)is->group, want->group);
    ck_assert_uint_eq(is->group_bytes, strlen(want->group));
    ck_assert(!is->is_open);
    check_messages(is, want);
    check_offsets(is, want);
}

static inline void check(const struct clg_transaction_table *table)
{
    uint64_t after = 0;
    uint64_t messages = 0;
    uint64_t bytes = 0;
    uint32_t count = 0;
    clg_transaction_table_invariants(table);
    for (uint32_t i = 0; i < OPEN_MAX; i++) {
        count += plain[i].id != 0;
        messages += plain[i].id != 0 ? plain[i].message_count : 0;
    }
    ck_assert_uint_eq(table->count, count);
    ck_assert_uint_eq(table->messages, messages);
    for (const struct clg_transaction *is; (is = clg_transaction_next(table, after)) != NULL;
         count--) {
        ck_assert_uint_gt(is->id, after);
        ck_assert_ptr_eq(clg_transaction_find(table, is->id), is);
        ck_assert_ptr_null(clg_transaction_find(table, is->id + 1));
        const struct plain *want = plain_find(is->id);
        ck_assert_ptr_nonnull(want);
        check_one(is, want);
        bytes += is->bytes;
        after = is->id;
    }
    ck_assert_uint_eq(count, 0);
    ck_assert_uint_eq(table->bytes, bytes);
    ck_assert_ptr_null(clg_transaction_next(table, UINT64_MAX));
    ck_assert_ptr_null(clg_transaction_find(table, 0));
}

/* ---- records ----------------------------------------------------------------------------------
 */

/* COMMITLOG_ENOMEM: nothing was done. */
static inline int apply(struct clg_transaction_table *table, const struct record *record)
{
    struct clg_transaction_half half;
    struct clg_transaction_mark mark;
    int rc = 0;
    if (record->kind == RECORD_DELIVERED) {
        clg_transaction_end(table, record->transaction);
    } else if (record->kind == RECORD_HALF) {
        ck_assert_int_eq(clg_transaction_half_decode(record->body, record->bytes, &half), 0);
        rc = clg_transaction_prepare_message(table, half.transaction != 0 ? half.transaction
                                                                          : record->position);
        if (rc == 0) {
            clg_transaction_apply_half(table, &half, record->position, record->size,
                                       record->time_ms);
        }
    } else {
        ck_assert_int_eq(clg_transaction_mark_decode(record->body, record->bytes, &mark), 0);
        rc = clg_transaction_prepare_mark(table, &mark, record->position, record->bytes);
        if (rc == 0) {
            clg_transaction_apply_mark(table, &mark, record->body, record->bytes, record->position);
        }
    }
    return rc;
}

static inline void apply_from(struct clg_transaction_table *table, uint32_t from)
{
    for (uint32_t i = from; i < history_count; i++) {
        ck_assert_int_eq(apply(table, &history[i]), 0);
        clg_transaction_table_invariants(table);
    }
}

static inline struct record *next_record(enum record_kind kind)
{
    if (history_count == HISTORY) {
        const uint32_t half = HISTORY / 2;
        memmove(&history[0], &history[half], half * sizeof(history[0]));
        history_count = half;
        carried_from =
            carried_from < half || carried_from == UINT32_MAX ? UINT32_MAX : carried_from - half;
    }
    struct record *record = &history[history_count++];
    *record = (struct record){
        .kind = kind, .size = 48 + 8 * draw(100), .position = log_end, .time_ms = log_ms};
    log_end += record->size;
    log_ms += draw(3);
    return record;
}

/* What fails for want of memory has changed nothing, and is done when there is some. */
static inline void put(struct clg_transaction_table *table, const struct record *record)
{
    int rc = apply(table, record);
    if (rc != 0) {
        ck_assert_int_eq(rc, COMMITLOG_ENOMEM);
        check(table);
        ck_assert_int_eq(apply(table, record), 0);
    }
}

static inline void put_half(struct clg_transaction_table *table,
                            const struct clg_transaction_half *half)
{
    struct record *record = next_record(RECORD_HALF);
    record->bytes = clg_transaction_half_bytes(half);
    ck_assert_uint_le(record->bytes, BODY);
    clg_transaction_half_encode(record->body, half);
    put(table, record);
    plain_half(half, record);
}

static inline void put_mark(struct clg_transaction_table *table,
                            const struct clg_transaction_mark *mark,
                            const struct clg_group_entry *entries)
{
    struct record *record = next_record(RECORD_MARK);
    record->bytes = clg_transaction_mark_bytes(mark);
    ck_assert_uint_le(record->bytes, BODY);
    ck_assert_int_eq(clg_transaction_mark_encode(record->body, mark, entries), 0);
    put(table, record);
    plain_mark(mark, record);
}

static inline void put_delivered(struct clg_transaction_table *table, uint64_t id)
{
    struct record *record = next_record(RECORD_DELIVERED);
    record->transaction = id;
    put(table, record);
    plain_end(id);
}

/* ---- what a log has in it ---------------------------------------------------------------------
 */

static inline void put_first(struct clg_transaction_table *table)
{
    const char *group = groups[draw(GROUPS)];
    const struct clg_transaction_half half = {.queue_number = draw(9),
                                              .group = (const uint8_t *)group,
                                              .group_bytes = (uint32_t)strlen(group),
                                              .prepared = draw(3) == 0};
    struct clg_transaction_half with = half;
    with.expire_at_ms = half.prepared && draw(2) == 0 ? log_ms + draw(1000) : 0;
    put_half(table, &with);
}

/* What is known of it but messages and offsets; id 0: it begins one. */
static inline void put_state(struct clg_transaction_table *table, uint64_t id)
{
    const struct plain *one = id == 0 ? NULL : plain_find(id);
    /* Sometimes it says something else: what a state says is true from it on. */
    bool known = one != NULL && one->state_position != CLG_NO_POSITION && draw(8) != 0;
    const char *group = known ? one->group : groups[draw(GROUPS)];
    struct clg_transaction_mark mark = {.operation = CLG_TRANSACTION_STATE,
                                        .transaction = id,
                                        .prepared = known ? one->prepared : draw(2) == 0,
                                        .begin_ms = known ? one->begin_ms : log_ms,
                                        .expire_at_ms = known ? one->expire_at_ms : 0,
                                        .group = (const uint8_t *)group,
                                        .group_bytes = (uint32_t)strlen(group)};
    if (mark.prepared) {
        mark.messages = known ? one->whole_messages : draw(MESSAGES_MAX);
        mark.groups = known ? one->whole_groups : draw(GROUPS);
    }
    put_mark(table, &mark, NULL);
}

static inline void put_member(struct clg_transaction_table *table, uint64_t id)
{
    const struct plain *one = plain_find(id);
    if (one == NULL || one->message_count < MESSAGES_MAX) {
        put_half(table, &(struct clg_transaction_half){.transaction = id, .queue_number = draw(9)});
    }
}

static inline void put_message_again(struct clg_transaction_table *table, const struct plain *one,
                                     uint32_t index)
{
    const struct clg_transaction_half half = {.transaction = one->id,
                                              .message = one->messages[index].id,
                                              .queue_number = one->messages[index].queue_number};
    put_half(table, &half);
}

static inline void put_offsets(struct clg_transaction_table *table, uint64_t id, uint32_t group)
{
    struct clg_group_entry entries[ENTRIES];
    struct clg_transaction_mark mark = {.operation = CLG_TRANSACTION_OFFSETS,
                                        .transaction = id,
                                        .offsets = {.name = (const uint8_t *)groups[group],
                                                    .name_bytes = (uint32_t)strlen(groups[group]),
                                                    .operation = CLG_GROUP_OFFSETS,
                                                    .epoch = draw(3),
                                                    .count = 1 + draw(ENTRIES)}};
    for (uint32_t i = 0; i < mark.offsets.count; i++) {
        entries[i] = (struct clg_group_entry){.queue_number = 3 * i + draw(3),
                                              .offset = rng_next(&rng) >> 1};
    }
    put_mark(table, &mark, entries);
}

static inline void put_offsets_again(struct clg_transaction_table *table, uint64_t id,
                                     uint32_t group)
{
    struct record *record = next_record(RECORD_MARK);
    struct clg_transaction_mark mark;
    const struct plain_offsets *known = &plain_find(id)->offsets[group];
    record->bytes = known->bytes;
    memcpy(record->body, known->body, known->bytes);
    put(table, record);
    ck_assert_int_eq(clg_transaction_mark_decode(record->body, record->bytes, &mark), 0);
    plain_mark(&mark, record);
}

/* Of one that is open everything again, in any order, as if it had lain in segments that go. */
static inline void carry(struct clg_transaction_table *table, uint64_t id)
{
    const struct plain *one = plain_find(id);
    const uint32_t state_at = draw(3);
    for (uint32_t part = 0; part < 3; part++) {
        if (part == state_at) {
            put_state(table, id);
        }
        for (uint32_t i = 0; part == 1 && i < one->message_count; i++) {
            put_message_again(table, one, i);
        }
        for (uint32_t g = 0; part == 2 && g < GROUPS; g++) {
            if (one->offsets[g].position != 0) {
                put_offsets_again(table, id, g);
            }
        }
    }
}

static inline void carry_all(struct clg_transaction_table *table)
{
    /* As much as there can be of it, so that the history does not move meanwhile. */
    if (history_count + OPEN_MAX * (MESSAGES_MAX + GROUPS + 1) > HISTORY) {
        return;
    }
    const uint32_t from = history_count;
    for (uint32_t i = 0; i < OPEN_MAX; i++) {
        if (plain[i].id != 0) {
            carry(table, plain[i].id);
        }
    }
    carried_from = from;
}

/* Of one that is open; else of one that was, or never. */
static inline uint64_t draw_id(bool open)
{
    uint32_t at = draw(OPEN_MAX);
    for (uint32_t i = 0; open && i < OPEN_MAX && plain[at].id == 0; i++) {
        at = (at + 1) % OPEN_MAX;
    }
    return open ? plain[at].id : 8192 + 8 * rng_below(&rng, (log_end - 8192) / 8);
}

static inline void put_end(struct clg_transaction_table *table, uint64_t id)
{
    const struct clg_transaction_mark mark = {.operation = draw(2) == 0 ? CLG_TRANSACTION_ROLLBACK
                                                                        : CLG_TRANSACTION_COMMIT,
                                              .transaction = id};
    if (draw(2) == 0) {
        put_mark(table, &mark, NULL);
    } else {
        put_delivered(table, id);
    }
}

/* What does not come of a writer, but of a log that begins in its middle, or has damage. */
static inline void put_stray(struct clg_transaction_table *table)
{
    const uint64_t id = draw_id(false);
    const uint32_t what = draw(4);
    if (what == 0) {
        put_member(table, id);
    } else if (what == 1) {
        put_offsets(table, id, draw(GROUPS));
    } else if (what == 2) {
        put_end(table, id);
    } else { /* of one that is not known: changes nothing, for what is known of it follows */
        const struct clg_transaction_mark mark = {.operation = CLG_TRANSACTION_PREPARE,
                                                  .transaction = 8 + 8 * draw(1000),
                                                  .expire_at_ms = log_ms,
                                                  .messages = draw(MESSAGES_MAX),
                                                  .groups = draw(GROUPS)};
        put_mark(table, &mark, NULL);
    }
}

static inline void put_something(struct clg_transaction_table *table)
{
    const uint64_t id = draw_id(true);
    const bool full = plain_find(0) == NULL;
    const uint32_t what = draw(100);
    if (id == 0 || (what < 12 && !full)) {
        put_first(table);
    } else if (what < 15 && !full) {
        put_state(table, 0);
    } else if (what < 50) {
        put_member(table, id);
    } else if (what < 60) {
        const struct plain *one = plain_find(id);
        if (one->message_count > 0) {
            put_message_again(table, one, draw(one->message_count));
        }
    } else if (what < 70) {
        put_offsets(table, id, draw(GROUPS));
    } else if (what < 76) {
        put_mark(table,
                 &(struct clg_transaction_mark){.operation = CLG_TRANSACTION_PREPARE,
                                                .transaction = id,
                                                .expire_at_ms = log_ms + draw(1000),
                                                .messages = draw(MESSAGES_MAX),
                                                .groups = draw(GROUPS)},
                 NULL);
    } else if (what < 82) {
        put_state(table, id);
    } else if (what < 95) {
        put_end(table, id);
    } else if (!full) {
        put_stray(table);
    }
}

#endif
