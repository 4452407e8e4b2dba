/* SPDX-License-Identifier: BSD-2-Clause */
/* test_expiry_table.c -- the table of topics whose messages expire, and the body of its record. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "commitlog.h"
#include "format/limits.h"
#include "os/os.h"
#include "state/expiry_table.h"
#include "support/run_suite.h"

START_TEST(a_row_keeps_the_highest_position)
{
    struct clg_expiry_table table;
    clg_expiry_table_init(&table, clg_os_default());
    const struct clg_tombstone said[] = {{70, 5, 800}, {10, 0, 80}, {70, 3, 400}, {40, 9, 0}};
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(clg_expiry_table_prepare(&table), 0);
        clg_expiry_table_apply(&table, &said[i], 1000 + 8 * i, CLG_POSITION_MAX);
    }
    ck_assert_uint_eq(table.count, 3);
    const struct clg_expiry *row = clg_expiry_find(&table, 70);
    ck_assert_ptr_nonnull(row);
    ck_assert(row->below == 800 && row->age_ms == 3 && row->position == 1016);
    row = clg_expiry_find(&table, 40);
    ck_assert(row != NULL && row->below == 0 && row->age_ms == 9);
    ck_assert_ptr_null(clg_expiry_find(&table, 41));
    clg_expiry_table_deinit(&table);
}
END_TEST

/* For who sees up to a position; in between it may say less than it could, never more. */
START_TEST(a_record_counts_for_who_sees_it)
{
    static const struct {
        uint64_t
            durable; /* when the record at 1000 times its number comes, which says 100 times it */
        struct {
            uint64_t visible;
            uint64_t below;
        } seen[4];
    } steps[] = {{0, {{0, 0}, {1000, 0}, {1001, 100}, {9000, 100}}},
                 {0, {{1000, 0}, {1001, 100}, {2000, 100}, {2001, 200}}},
                 {1000, {{1000, 0}, {1001, 100}, {2001, 100}, {3001, 300}}},
                 {1001, {{1001, 100}, {3000, 100}, {3001, 300}, {4001, 400}}},
                 {2500, {{2500, 100}, {3001, 300}, {5000, 300}, {5001, 500}}},
                 {5001, {{5001, 500}, {6000, 500}, {6001, 600}, {9000, 600}}}};
    struct clg_expiry_table table;
    clg_expiry_table_init(&table, clg_os_default());
    for (uint32_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        const struct clg_tombstone said = {7, 0, 100 * (uint64_t)(i + 1)};
        for (int again = 0; again < 2; again++) {
            ck_assert_int_eq(clg_expiry_table_prepare(&table), 0);
            clg_expiry_table_apply(&table, &said, 1000 * (uint64_t)(i + 1), steps[i].durable);
        }
        const struct clg_expiry *row = clg_expiry_find(&table, 7);
        for (uint32_t j = 0; j < 4; j++) {
            ck_assert_msg(clg_expiry_below(row, steps[i].seen[j].visible) == steps[i].seen[j].below,
                          "record %u, case %u", i + 1, j);
        }
    }
    clg_expiry_table_deinit(&table);
}
END_TEST

/* Readers go up to what is durable, or, _i 1, to all that there is. Nobody sees less than before.
 */
START_TEST(what_was_seen_stays)
{
    struct clg_expiry_table table;
    uint64_t durable = 0;
    uint64_t end = 8;
    uint64_t seen = 0;
    uint64_t said_below = 0;
    uint64_t last = 0;
    uint32_t random = 1;
    clg_expiry_table_init(&table, clg_os_default());
    for (uint32_t i = 0; i < 20000; i++) {
        random = random * 1664525u + 1013904223u;
        const uint32_t dice = random >> 24;
        if (dice < 100) {
            const struct clg_tombstone said = {7, 0, said_below += 8};
            last = end;
            end += 8;
            ck_assert_int_eq(clg_expiry_table_prepare(&table), 0);
            clg_expiry_table_apply(&table, &said, last, _i == 1 ? CLG_POSITION_MAX : durable);
        } else if (dice < 200) {
            end += 8;
        } else {
            durable = dice < 220 ? end : durable + (end - durable) / 16 * 8;
        }
        const struct clg_expiry *row = clg_expiry_find(&table, 7);
        const uint64_t visible = _i == 1 ? end : durable;
        const uint64_t below = row == NULL ? 0 : clg_expiry_below(row, visible);
        ck_assert_uint_ge(below, seen);
        ck_assert(last >= visible || below == said_below);
        seen = below;
    }
    ck_assert_uint_gt(seen, 10000);
    clg_expiry_table_deinit(&table);
}
END_TEST

START_TEST(a_body_that_cannot_be_is_damage)
{
    const struct clg_tombstone in = {7, CLG_AGE_MAX_MS, 8192};
    struct clg_tombstone out = {0};
    uint8_t body[CLG_TOMBSTONE_BYTES + 1] = {0};
    clg_tombstone_encode(body, &in);
    ck_assert_int_eq(clg_tombstone_decode(body, CLG_TOMBSTONE_BYTES, &out), 0);
    ck_assert(out.first_queue == 7 && out.age_ms == CLG_AGE_MAX_MS && out.below == 8192);
    ck_assert_int_eq(clg_tombstone_decode(body, CLG_TOMBSTONE_BYTES - 1, &out), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(clg_tombstone_decode(body, CLG_TOMBSTONE_BYTES + 1, &out), COMMITLOG_EDAMAGED);
    /* No queue; not zero; an age too long by one bit, by the highest; no place of a record; beyond
     * the end of all logs. */
    static const struct {
        uint32_t at;
        uint8_t byte;
    } spoil[] = {{3, 0xff}, {4, 1}, {7, 0x80}, {14, 0xff}, {15, 0x80}, {16, 1}, {23, 0x80}};
    for (uint32_t i = 0; i < sizeof(spoil) / sizeof(spoil[0]); i++) {
        uint8_t bad[CLG_TOMBSTONE_BYTES];
        memcpy(bad, body, sizeof(bad));
        bad[spoil[i].at] = spoil[i].byte;
        if (i == 0) {
            memset(bad, 0xff, 4);
        }
        ck_assert_msg(clg_tombstone_decode(bad, sizeof(bad), &out) == COMMITLOG_EDAMAGED, "%u", i);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("expiry_table");
    TCase *cases = tcase_create("cases");
    tcase_add_test(cases, a_row_keeps_the_highest_position);
    tcase_add_test(cases, a_record_counts_for_who_sees_it);
    tcase_add_loop_test(cases, what_was_seen_stays, 0, 2);
    tcase_add_test(cases, a_body_that_cannot_be_is_damage);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
