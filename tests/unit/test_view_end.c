/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_view_end.c -- where a segment ends and memory is short, and where a queue ends behind
 * messages that are lost.
 */
#include "unit/view_fixture.h"

#include "support/run_suite.h"
#include "unit/view_compare.h"
#include "view/fold_internal.h"

enum { NUMBERS = 16, KEYS = 5, HAVE = 10, END = 20 };

static struct town *town;

static void setup(void)
{
    town = malloc(sizeof(*town));
    town_begin(town, 5);
    town_define(town, NUMBERS, false);
    town_open(town, true);
}

static void teardown(void)
{
    town_end(town);
    free(town);
}

static void write_over_the_end(void)
{
    uint64_t base = town->active->base;
    while (town->active->base == base) {
        (void)town_message(town, (uint32_t)town_below(town, NUMBERS), 1,
                           1 + (uint32_t)town_below(town, KEYS), 24);
        if (town->active->base == base) {
            town_fold(town);
        }
    }
}

/* The segment is the active one until all views have ended it: it is not made again from a file
 * that lacks its end, and what it has is not taken for the next one's. */
START_TEST(no_memory_at_the_end_of_a_segment_hides_nothing)
{
    uint32_t failures = 0;
    for (int nth = 0; nth < 8; nth++) {
        write_over_the_end();
        town->fail_alloc_in = nth;
        int rc = clg_fold_run(town->fold, UINT64_MAX, 1, CLG_FOLD_WAIT, true, &town->err);
        town->fail_alloc_in = -1;
        ck_assert(rc == 0 || rc == COMMITLOG_ENOMEM);
        uint64_t folded = clg_fold_position(town->fold);
        failures += rc != 0 && folded < town->active->base;
        for (uint32_t i = 0; i < 8; i++) {
            town_check_below(town, NUMBERS, KEYS, folded);
        }
        town_fold(town);
        town_check(town, NUMBERS, KEYS);
    }
    ck_assert_uint_ge(failures, 2); /* a block for each view */
    struct clg_fold_stats stats;
    clg_fold_get_stats(town->fold, &stats);
    ck_assert_uint_eq(stats.images_rebuilt, 0);
}
END_TEST

static uint64_t next_of(uint32_t queue, uint64_t visible)
{
    struct clg_lookup_range range;
    TOWN_OK(town, clg_lookup_range(town->fold, queue, visible, &range));
    return range.next;
}

/* The log has HAVE messages of queue 0, and says elsewhere that there were END. */
static void lose_the_newest(void)
{
    for (uint32_t i = 0; i < HAVE; i++) {
        (void)town_message(town, 0, 1, 1, 24);
    }
    town_fold(town);
    for (uint32_t i = 0; i < END - HAVE; i++) {
        (void)town_message(town, 8, 0, 0, 100); /* the room that they had */
    }
    town->queues[0].next = END;
    town_define(town, NUMBERS, true);
    town_fold(town);
}

START_TEST(a_raised_end_does_not_fall_back_while_another_queue_waits)
{
    lose_the_newest();
    uint64_t durable = town->published;
    ck_assert_uint_eq(next_of(0, UINT64_MAX), END);
    (void)town_message(town, 9, 0, 0, 24);
    town_fold(town);
    ck_assert_uint_eq(next_of(0, durable), END);
    ck_assert_uint_eq(next_of(0, UINT64_MAX), END);
}
END_TEST

/* What is not seen yet is the next one, not those before it that are lost. */
START_TEST(a_raised_end_does_not_fall_back_while_its_next_message_waits)
{
    lose_the_newest();
    while (town->active->base == 0) {
        (void)town_message(town, 8, 0, 0, 900);
    }
    town_fold(town);
    uint64_t durable = town->published;
    ck_assert_uint_eq(next_of(0, durable), END);
    (void)town_message(town, 0, 1, 1, 24);
    town_fold(town);
    ck_assert_uint_eq(next_of(0, UINT64_MAX), END + 1);
    ck_assert_uint_eq(next_of(0, durable), END);
}
END_TEST

int main(void)
{
    TCase *tc = tcase_create("ends");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, no_memory_at_the_end_of_a_segment_hides_nothing);
    tcase_add_test(tc, a_raised_end_does_not_fall_back_while_another_queue_waits);
    tcase_add_test(tc, a_raised_end_does_not_fall_back_while_its_next_message_waits);
    Suite *s = suite_create("view end");
    suite_add_tcase(s, tc);
    return run_suite(s);
}
