/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transaction_table.c -- open transactions beside plain arrays, fed with records as a log has
 * them.
 *
 * Applying again, in order, all records since any moment must change nothing: that is what a fold
 * does that begins with an older .state. And a table that sees only what came since everything was
 * carried forward knows the same: so it is when retention has removed the rest.
 *
 * SEED and STEPS in the environment.
 */
#include "support/run_suite.h"
#include "unit/transaction_log_fixture.h"

#include <stdio.h>

/* Into a table that takes the place of the other. */
static void copy_over(struct clg_transaction_table *table)
{
    struct clg_transaction_table copy;
    clg_transaction_table_init(&copy, &scarce);
    ck_assert_int_eq(clg_transaction_table_copy(&copy, table), 0);
    clg_transaction_table_deinit(table);
    *table = copy;
}

static void check_memory(const struct clg_transaction_table *table)
{
    const uint64_t said = clg_transaction_table_memory(table);
    /* What is prepared for the next record, and room for offsets, is not counted. */
    ck_assert_uint_le(said, held_bytes);
    ck_assert_uint_le(held_bytes,
                      said + 2 * (sizeof(struct clg_transaction) + 64 + BODY) + 8 * OPEN_MAX);
}

START_TEST(the_table_does_what_plain_arrays_do)
{
    struct clg_transaction_table table;
    uint64_t seed = prog_env("SEED", 1);
    uint64_t steps = prog_env("STEPS", 10000);
    uint64_t from_middle = 0;
    printf("transaction table: SEED=%llu STEPS=%llu\n", (unsigned long long)seed,
           (unsigned long long)steps);
    begin(seed);
    clg_transaction_table_init(&table, &scarce);
    for (uint64_t step = 1; step <= steps; step++) {
        allocs_left = draw(8) == 0 ? draw(3) : UINT64_MAX;
        put_something(&table);
        allocs_left = UINT64_MAX;
        check(&table);
        if (step % 50 == 0) { /* as if a fold had begun with an older .state */
            apply_from(&table, draw(history_count));
            check(&table);
        }
        if (step % 400 == 0) {
            carry_all(&table);
            check(&table);
        }
        if (step % 100 == 0 && carried_from != UINT32_MAX) {
            struct clg_transaction_table other;
            clg_transaction_table_init(&other, &scarce);
            apply_from(&other, carried_from);
            check(&other);
            clg_transaction_table_deinit(&other);
            from_middle++;
        }
        if (step % 300 == 0) {
            copy_over(&table);
            check(&table);
        }
        check_memory(&table);
    }
    ck_assert_uint_gt(from_middle, steps / 400);
    clg_transaction_table_deinit(&table);
    ck_assert_uint_eq(table.count, 0);
    ck_assert_uint_eq(held_blocks, 0);
}
END_TEST

/* Room is made, twice, and nothing comes of it. */
static void prepare_for_nothing(struct clg_transaction_table *table)
{
    struct clg_transaction_mark mark;
    for (uint32_t i = 0; i < history_count; i++) {
        const struct record *record = &history[i];
        if (record->kind == RECORD_MARK) {
            ck_assert_int_eq(clg_transaction_mark_decode(record->body, record->bytes, &mark), 0);
            ck_assert_int_eq(
                clg_transaction_prepare_mark(table, &mark, record->position, record->bytes), 0);
            ck_assert_int_eq(
                clg_transaction_prepare_mark(table, &mark, record->position, record->bytes), 0);
        }
    }
}

/* Each record in turn meets memory that runs out, at each of its allocations. */
START_TEST(what_fails_for_want_of_memory_changes_nothing)
{
    struct clg_transaction_table table;
    struct clg_transaction_table again;
    begin(prog_env("SEED", 1));
    clg_transaction_table_init(&table, &scarce);
    for (uint32_t step = 0; step < 1500; step++) {
        put_something(&table);
    }
    clg_transaction_table_init(&again, &scarce);
    for (uint64_t nth = 0, failed = 1; failed > 0; nth++) {
        failed = 0;
        clg_transaction_table_deinit(&again);
        for (uint32_t i = 0; i < history_count; i++) {
            allocs_left = nth;
            int rc = apply(&again, &history[i]);
            allocs_left = UINT64_MAX;
            if (rc != 0) {
                ck_assert_int_eq(rc, COMMITLOG_ENOMEM);
                clg_transaction_table_invariants(&again);
                ck_assert_int_eq(apply(&again, &history[i]), 0);
                failed++;
            }
            clg_transaction_table_invariants(&again);
        }
        check(&again);
    }
    prepare_for_nothing(&again);
    check(&again);
    for (uint64_t nth = 0, failed = 1; failed > 0; nth++) {
        const uint64_t blocks = held_blocks;
        struct clg_transaction_table copy;
        clg_transaction_table_init(&copy, &scarce);
        allocs_left = nth;
        int rc = clg_transaction_table_copy(&copy, &table);
        allocs_left = UINT64_MAX;
        failed = rc != 0;
        ck_assert(rc == 0 || rc == COMMITLOG_ENOMEM);
        clg_transaction_table_invariants(&copy);
        if (rc == 0) {
            check(&copy);
            ck_assert_uint_gt(nth, 20);
        }
        clg_transaction_table_deinit(&copy);
        ck_assert_uint_eq(held_blocks, blocks);
    }
    clg_transaction_table_deinit(&again);
    clg_transaction_table_deinit(&table);
    ck_assert_uint_eq(held_blocks, 0);
}
END_TEST

/* The two shapes that are large: one with all messages, and as many as there can be. */
START_TEST(what_is_large_takes_little_room)
{
    struct clg_transaction_table table;
    begin(1);
    clg_transaction_table_init(&table, &scarce);
    for (uint64_t i = 1; i <= CLG_TRANSACTION_MESSAGES_MAX; i++) {
        const struct clg_transaction_half half = {
            .transaction = i == 1 ? 0 : 8, .group = (const uint8_t *)"g", .group_bytes = 1};
        ck_assert_int_eq(clg_transaction_prepare_message(&table, half.transaction), 0);
        clg_transaction_apply_half(&table, &half, 8 * i, 48, 0);
    }
    ck_assert_uint_eq(table.count, 1);
    ck_assert_uint_eq(table.messages, CLG_TRANSACTION_MESSAGES_MAX);
    ck_assert_uint_eq(table.bytes, 48 * CLG_TRANSACTION_MESSAGES_MAX);
    ck_assert_uint_le(held_bytes, 36 * CLG_TRANSACTION_MESSAGES_MAX + 2000);
    clg_transaction_end(&table, 8);
    ck_assert_uint_eq(table.messages, 0);
    ck_assert_uint_eq(table.bytes, 0);
    for (uint64_t i = 1; i <= CLG_TRANSACTIONS_MAX; i++) {
        const struct clg_transaction_half half = {.group = (const uint8_t *)"g", .group_bytes = 1};
        ck_assert_int_eq(clg_transaction_prepare_message(&table, 0), 0);
        clg_transaction_apply_half(&table, &half, 8 * i, 48, 0);
    }
    clg_transaction_table_invariants(&table);
    ck_assert_uint_eq(table.count, CLG_TRANSACTIONS_MAX);
    printf("transaction table: %llu bytes a transaction of one message\n",
           (unsigned long long)held_bytes / CLG_TRANSACTIONS_MAX);
    ck_assert_uint_lt(held_bytes / CLG_TRANSACTIONS_MAX, 512);
    while (table.count > 0) { /* the oldest ones first, as their time is over */
        clg_transaction_end(&table, clg_transaction_next(&table, 0)->id);
    }
    clg_transaction_table_deinit(&table);
    ck_assert_uint_eq(held_blocks, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transaction table");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 240);
    tcase_add_test(all, the_table_does_what_plain_arrays_do);
    tcase_add_test(all, what_fails_for_want_of_memory_changes_nothing);
    tcase_add_test(all, what_is_large_takes_little_room);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
