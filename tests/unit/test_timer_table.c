/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_timer_table.c -- timers by id and by time, beside a plain array; and the bodies of records
 * that make, cancel and deliver them.
 *
 * SEED and STEPS in the environment.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "format/reference_record.h"
#include "format/timer_record.h"
#include "state/timer_table.h"
#include "support/prog.h"
#include "support/run_suite.h"

enum { IDS = 300 };

static struct clg_timer plain[IDS]; /* by id / 8 - 1; due_ms -1: not pending */

static const struct clg_timer *plain_first(void)
{
    const struct clg_timer *first = NULL;
    for (uint32_t i = 0; i < IDS; i++) {
        const struct clg_timer *one = &plain[i];
        if (one->due_ms >= 0 && (first == NULL || one->due_ms < first->due_ms)) {
            first = one;
        }
    }
    return first;
}

static void check_same(const struct clg_timer *is, const struct clg_timer *want)
{
    ck_assert_uint_eq(is->id, want->id);
    ck_assert_int_eq(is->due_ms, want->due_ms);
    ck_assert_uint_eq(is->position, want->position);
    ck_assert_uint_eq(is->queue_number, want->queue_number);
    ck_assert_uint_ge(is->size, want->size);
    ck_assert_uint_lt(is->size, want->size + want->size / 32768 + 8);
}

static void check_first(const struct clg_timer_table *table)
{
    const struct clg_timer *want = plain_first();
    struct clg_timer is;
    ck_assert(clg_timer_at(table, 0, &is) == (want != NULL));
    if (want != NULL) {
        check_same(&is, want);
    }
}

static void check_all(const struct clg_timer_table *table)
{
    uint32_t count = 0;
    uint64_t seen = 0;
    struct clg_timer is;
    clg_timer_table_invariants(table);
    check_first(table);
    for (uint32_t i = 0; i < IDS; i++) {
        bool pending = plain[i].due_ms >= 0;
        count += pending ? 1 : 0;
        ck_assert(clg_timer_find(table, (i + 1) * UINT64_C(8), &is) == pending);
        if (pending) {
            check_same(&is, &plain[i]);
        }
    }
    ck_assert_uint_eq(table->count, count);
    for (uint32_t cursor = 0; clg_timer_next(table, &cursor, &is); seen++) {
        ck_assert_int_ge(plain[is.id / 8 - 1].due_ms, 0);
    }
    ck_assert_uint_eq(seen, count);
    ck_assert(!clg_timer_at(table, count, &is));
}

START_TEST(the_table_does_what_a_plain_array_does)
{
    struct rng rng;
    struct clg_timer_table table;
    uint64_t seed = prog_env("SEED", 1);
    uint64_t steps = prog_env("STEPS", 20000);
    printf("timer table: SEED=%llu STEPS=%llu\n", (unsigned long long)seed,
           (unsigned long long)steps);
    rng_begin(&rng, seed);
    clg_timer_table_init(&table, clg_os_default());
    for (uint32_t i = 0; i < IDS; i++) {
        plain[i].due_ms = -1;
    }
    for (uint64_t step = 0; step < steps; step++) {
        uint32_t i = (uint32_t)(rng_next(&rng) % IDS);
        uint64_t id = (i + 1) * UINT64_C(8);
        if (rng_next(&rng) % 5 < (step / 2000) % 5) { /* fuller and emptier by turns */
            clg_timer_remove(&table, id);
            plain[i].due_ms = -1;
        } else {
            const struct clg_timer timer = {
                .id = id,
                .position = rng_next(&rng) % 1000,
                .due_ms = (int64_t)(rng_next(&rng) % 50),
                .queue_number = (uint32_t)(rng_next(&rng) % 7),
                .size = (uint32_t)(rng_next(&rng) % (5000u << rng_next(&rng) % 18))};
            ck_assert_int_eq(clg_timer_table_prepare(&table, 1), 0);
            clg_timer_add(&table, &timer);
            plain[i] = timer;
        }
        if (step % 50 == 0) {
            check_all(&table);
        }
    }
    struct clg_timer_table copy;
    clg_timer_table_init(&copy, clg_os_default());
    ck_assert_int_eq(clg_timer_table_copy(&copy, &table), 0);
    check_all(&copy);
    while (table.count > 0) { /* in order of time, then of id */
        struct clg_timer first;
        check_first(&table);
        ck_assert(clg_timer_at(&table, 0, &first));
        plain[first.id / 8 - 1].due_ms = -1;
        clg_timer_remove(&table, first.id);
    }
    check_first(&table);
    ck_assert_uint_eq(table.bytes, 0);
    clg_timer_table_deinit(&copy);
    clg_timer_table_deinit(&table);
}
END_TEST

START_TEST(a_million_take_less_than_fifty_bytes_each)
{
    struct clg_timer_table table;
    uint64_t worst = 0;
    clg_timer_table_init(&table, clg_os_default());
    for (uint64_t i = 1; i <= 1000000; i++) {
        const struct clg_timer timer = {.id = i * 128, .due_ms = (int64_t)(i * 7919 % 1000003)};
        ck_assert_int_eq(clg_timer_table_prepare(&table, 1), 0);
        clg_timer_add(&table, &timer);
        if (i > 100000 && i % 10000 == 0) {
            uint64_t each = clg_timer_table_memory(&table) / i;
            worst = each > worst ? each : worst;
        }
    }
    printf("timer table: at most %llu bytes a timer\n", (unsigned long long)worst);
    ck_assert_uint_lt(worst, 50);
    clg_timer_table_deinit(&table);
}
END_TEST

START_TEST(references_are_no_longer_than_they_have_to_be)
{
    uint8_t body[64];
    struct clg_reference out;
    struct clg_reference shorter = {.position = 8192,
                                    .header_check = 7,
                                    .tag_hash = 9,
                                    .reason = CLG_REFERENCE_TRANSACTION,
                                    .origin = 8192,
                                    .origin_queue = CLG_QUEUE_NONE};
    for (size_t bytes = 16; bytes <= 24; bytes += 8, shorter.origin = 4096) {
        ck_assert_uint_eq(clg_reference_bytes(&shorter), bytes);
        clg_reference_encode(body, &shorter);
        for (size_t given = 0; given < 32; given++) {
            int32_t rc = clg_reference_decode(body, given, &out);
            ck_assert((rc == COMMITLOG_OK) == (given == 16 || given == 24));
        }
        ck_assert_int_eq(clg_reference_decode(body, bytes, &out), 0);
        ck_assert_uint_eq(out.position, 8192);
        ck_assert_uint_eq(out.header_check, 7);
        ck_assert_uint_eq(out.tag_hash, 9);
        ck_assert_uint_eq(out.origin, shorter.origin);
        ck_assert_uint_eq(out.origin_queue, CLG_QUEUE_NONE);
        ck_assert_uint_eq(out.attempts, 0);
        ck_assert_uint_eq(out.reason, CLG_REFERENCE_TRANSACTION);
        for (uint64_t reason = 0; reason < 8; reason++) {
            clg_store_le64(body, 8192 | reason);
            ck_assert_int_eq(clg_reference_decode(body, bytes, &out),
                             reason == 1 || reason == 2  ? COMMITLOG_OK
                             : reason == 0 || reason > 5 ? COMMITLOG_EUNSUPPORTED
                                                         : COMMITLOG_EDAMAGED);
        }
    }
}
END_TEST

START_TEST(bodies_say_what_they_were_made_of)
{
    uint8_t body[64];
    const struct clg_reference in = {.position = 8192,
                                     .header_check = 7,
                                     .tag_hash = 9,
                                     .reason = CLG_REFERENCE_RETRY,
                                     .origin = 3,
                                     .origin_queue = 5,
                                     .attempts = 2};
    struct clg_reference out;
    clg_reference_encode(body, &in);
    ck_assert_int_eq(clg_reference_decode(body, CLG_REFERENCE_BODY_BYTES_MAX, &out), 0);
    ck_assert_uint_eq(out.position, 8192);
    ck_assert_uint_eq(out.header_check, 7);
    ck_assert_uint_eq(out.tag_hash, 9);
    ck_assert_uint_eq(out.origin, 3);
    ck_assert_uint_eq(out.origin_queue, 5);
    ck_assert_uint_eq(out.attempts, 2);
    ck_assert_int_eq(clg_reference_decode(body, CLG_REFERENCE_BODY_BYTES_MAX - 1, &out),
                     COMMITLOG_EDAMAGED);
    body[30] = 6;
    ck_assert_int_eq(clg_reference_decode(body, CLG_REFERENCE_BODY_BYTES_MAX, &out),
                     COMMITLOG_EUNSUPPORTED);
    clg_reference_encode(body, &in);
    clg_store_le64(body, 8193);
    ck_assert_int_eq(clg_reference_decode(body, CLG_REFERENCE_BODY_BYTES_MAX, &out),
                     COMMITLOG_EDAMAGED);
    clg_reference_encode(body, &in);
    body[31] = 1;
    ck_assert_int_eq(clg_reference_decode(body, CLG_REFERENCE_BODY_BYTES_MAX, &out),
                     COMMITLOG_EDAMAGED);

    const struct clg_deliver_at at = {.due_ms = 1700000000123, .id = 8200, .queue_number = 4};
    struct clg_deliver_at back;
    clg_deliver_at_encode(body, &at);
    ck_assert_int_eq(clg_deliver_at_decode(body, CLG_DELIVER_AT_BYTES, &back), 0);
    ck_assert_int_eq(back.due_ms, at.due_ms);
    ck_assert_uint_eq(back.id, at.id);
    ck_assert_uint_eq(back.queue_number, at.queue_number);
    body[20] = 1;
    ck_assert_int_eq(clg_deliver_at_decode(body, CLG_DELIVER_AT_BYTES, &back), COMMITLOG_EDAMAGED);
    body[20] = 0;
    clg_store_le64(body, UINT64_MAX); /* before 1970 */
    ck_assert_int_eq(clg_deliver_at_decode(body, CLG_DELIVER_AT_BYTES, &back), COMMITLOG_EDAMAGED);

    uint64_t id = 0;
    clg_timer_cancel_encode(body, 8200);
    ck_assert_int_eq(clg_timer_cancel_decode(body, CLG_TIMER_CANCEL_BYTES, &id), 0);
    ck_assert_uint_eq(id, 8200);
    for (size_t cut = 0; cut < CLG_TIMER_CANCEL_BYTES; cut++) {
        ck_assert_int_eq(clg_timer_cancel_decode(body, cut, &id), COMMITLOG_EDAMAGED);
    }
    body[0] = 2;
    ck_assert_int_eq(clg_timer_cancel_decode(body, CLG_TIMER_CANCEL_BYTES, &id),
                     COMMITLOG_EUNSUPPORTED);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timer table");
    TCase *all = tcase_create("all");
    tcase_set_timeout(all, 120);
    tcase_add_test(all, the_table_does_what_a_plain_array_does);
    tcase_add_test(all, a_million_take_less_than_fifty_bytes_each);
    tcase_add_test(all, bodies_say_what_they_were_made_of);
    tcase_add_test(all, references_are_no_longer_than_they_have_to_be);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
