/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_group_queue.c -- which queue a producer chooses: by key, in turn, by load.
 *
 * SEED=n for other draws; the seed is printed. What is expected of the hash was computed by another
 * implementation, in another language, from commitlog_queue_by_key(3).
 */
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/prog.h"
#include "support/run_suite.h"
#include "support/scratch.h"

static uint64_t seed;

static uint32_t by_key(const void *key, size_t key_bytes, uint32_t queues)
{
    uint32_t queue = UINT32_MAX;
    ck_assert_int_eq(commitlog_queue_by_key(key, key_bytes, queues, &queue), COMMITLOG_OK);
    ck_assert_uint_lt(queue, queues);
    return queue;
}

/* ---- by key ---------------------------------------------------------------------------------- */

enum { GOLDEN_COUNTS = 7 };
static const uint32_t golden_queues[GOLDEN_COUNTS] = {1, 2, 3, 8, 24, 1048576, UINT32_MAX};
static const struct {
    const char *key;
    size_t bytes;
    uint32_t queue[GOLDEN_COUNTS];
} golden[] = {
    {"", 0, {0, 0, 1, 2, 10, 234690, 1708790983}},
    {"a", 1, {0, 1, 1, 7, 7, 413215, 89948374}},
    {"table-7", 7, {0, 1, 2, 1, 17, 557441, 1650162425}},
    {"order-1", 7, {0, 0, 2, 6, 14, 927862, 2521992569}},
    {"nul\0inside", 10, {0, 0, 0, 2, 18, 944234, 2747803653}},
};

START_TEST(the_queue_of_a_key_never_changes)
{
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        for (uint32_t n = 0; n < GOLDEN_COUNTS; n++) {
            ck_assert_uint_eq(by_key(golden[i].key, golden[i].bytes, golden_queues[n]),
                              golden[i].queue[n]);
        }
    }
    ck_assert_uint_eq(by_key(NULL, 0, 1048576), 234690);
}
END_TEST

START_TEST(with_k_times_the_queues_a_key_goes_to_a_child_of_its_queue)
{
    struct rng rng;
    rng_begin(&rng, seed + (uint64_t)_i);
    uint32_t queues = (uint32_t)rng_between(&rng, 1, 1000);
    uint32_t factor = (uint32_t)rng_between(&rng, 2, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t key[64];
        size_t bytes = rng_below(&rng, sizeof key + 1);
        bytes_fill(key, bytes, rng_next(&rng));
        uint32_t parent = by_key(key, bytes, queues);
        uint32_t child = by_key(key, bytes, queues * factor);
        ck_assert_uint_eq(child % queues, parent);
        ck_assert_uint_lt((child - parent) / queues, factor);
    }
}
END_TEST

START_TEST(keys_spread_evenly_over_queues_and_over_children)
{
    enum { QUEUES = 6, FACTOR = 4, KEYS = 240000 };
    uint32_t counts[QUEUES * FACTOR] = {0};
    for (uint64_t i = 0; i < KEYS; i++) {
        counts[by_key(&i, sizeof i, QUEUES * FACTOR)]++;
    }
    for (uint32_t q = 0; q < QUEUES * FACTOR; q++) { /* five standard deviations of 100 */
        ck_assert_uint_gt(counts[q], KEYS / (QUEUES * FACTOR) - 500);
        ck_assert_uint_lt(counts[q], KEYS / (QUEUES * FACTOR) + 500);
    }
}
END_TEST

START_TEST(a_store_that_chooses_by_key_chooses_the_same)
{
    enum { QUEUES = 13 };
    struct scratch s;
    scratch_begin(&s, "group-queue");
    scratch_open(&s, QUEUES);
    uint64_t expected[QUEUES] = {0};
    for (uint32_t i = 0; i < 200; i++) {
        char key[32];
        int bytes = snprintf(key, sizeof key, "key %u", i);
        uint32_t queue = by_key(key, (size_t)bytes, QUEUES);
        struct commitlog_receipt receipt =
            scratch_text(&s, COMMITLOG_QUEUE_AUTO, "body", key, NULL);
        ck_assert_uint_eq(receipt.queue_offset, expected[queue]);
        expected[queue]++;
    }
    for (uint32_t queue = 0; queue < QUEUES; queue++) {
        ck_assert_uint_eq(scratch_queue(&s, queue).next_offset, expected[queue]);
    }
    scratch_close(&s);
    scratch_end(&s);
}
END_TEST

/* ---- in turn --------------------------------------------------------------------------------- */

START_TEST(the_queues_take_turns_from_where_the_caller_says)
{
    uint64_t turn = 5;
    for (uint32_t i = 0; i < 30; i++) {
        uint32_t queue = UINT32_MAX;
        ck_assert_int_eq(commitlog_queue_round_robin(&turn, 3, &queue), COMMITLOG_OK);
        ck_assert_uint_eq(queue, (5 + i) % 3);
    }
    ck_assert_uint_eq(turn, 35);
    turn = UINT64_MAX;
    uint32_t queue = UINT32_MAX;
    ck_assert_int_eq(commitlog_queue_round_robin(&turn, 10, &queue), COMMITLOG_OK);
    ck_assert_uint_eq(queue, 5);
    ck_assert_uint_eq(turn, 0);
}
END_TEST

enum { TURN_THREADS = 4, TURN_QUEUES = 10, TURNS = 5000000 };

struct taker {
    pthread_t thread;
    uint64_t *turn;
    pthread_barrier_t *together;
    uint32_t counts[TURN_QUEUES];
};

static void *take_turns(void *argument)
{
    struct taker *taker = argument;
    (void)pthread_barrier_wait(taker->together);
    for (uint32_t i = 0; i < TURNS; i++) {
        uint32_t queue = 0;
        if (commitlog_queue_round_robin(taker->turn, TURN_QUEUES, &queue) == COMMITLOG_OK) {
            taker->counts[queue]++;
        }
    }
    return NULL;
}

START_TEST(threads_that_share_a_turn_never_take_the_same)
{
    struct taker takers[TURN_THREADS];
    pthread_barrier_t together;
    uint64_t turn = 0;
    ck_assert_int_eq(pthread_barrier_init(&together, NULL, TURN_THREADS), 0);
    memset(takers, 0, sizeof takers);
    for (uint32_t i = 0; i < TURN_THREADS; i++) {
        takers[i].turn = &turn;
        takers[i].together = &together;
        ck_assert_int_eq(pthread_create(&takers[i].thread, NULL, take_turns, &takers[i]), 0);
    }
    for (uint32_t i = 0; i < TURN_THREADS; i++) {
        ck_assert_int_eq(pthread_join(takers[i].thread, NULL), 0);
    }
    ck_assert_int_eq(pthread_barrier_destroy(&together), 0);
    ck_assert_uint_eq(turn, TURN_THREADS * TURNS);
    for (uint32_t queue = 0; queue < TURN_QUEUES; queue++) {
        uint32_t sum = 0;
        for (uint32_t i = 0; i < TURN_THREADS; i++) {
            sum += takers[i].counts[queue];
        }
        ck_assert_uint_eq(sum, TURN_THREADS * TURNS / TURN_QUEUES);
    }
}
END_TEST

/* ---- by load --------------------------------------------------------------------------------- */

START_TEST(the_least_loaded_queue_is_the_first_such_from_the_start)
{
    struct rng rng;
    rng_begin(&rng, seed + (uint64_t)_i);
    uint32_t queues = (uint32_t)rng_between(&rng, 1, 12);
    uint64_t loads[12];
    for (uint32_t q = 0; q < queues; q++) {
        loads[q] = rng_chance(&rng, 1, 3) ? UINT64_MAX : rng_below(&rng, 4);
    }
    uint64_t start = rng_chance(&rng, 1, 2) ? rng_below(&rng, queues) : rng_next(&rng);
    /* The smallest pair of load and distance from the start. */
    uint32_t expected = UINT32_MAX;
    uint64_t least = UINT64_MAX;
    for (uint32_t q = 0; q < queues; q++) {
        uint64_t distance = (q + queues - start % queues) % queues;
        if (loads[q] != UINT64_MAX && loads[q] * queues + distance < least) {
            least = loads[q] * queues + distance;
            expected = q;
        }
    }
    uint32_t queue = UINT32_MAX;
    ck_assert_int_eq(commitlog_queue_least_loaded(loads, queues, start, &queue),
                     expected == UINT32_MAX ? COMMITLOG_ENOTFOUND : COMMITLOG_OK);
    ck_assert_uint_eq(queue, expected);
}
END_TEST

START_TEST(wrong_arguments_are_refused_and_change_nothing)
{
    const uint64_t loads[2] = {1, 2};
    uint64_t turns[2] = {7, 7};
    uint32_t queue = 42;
    ck_assert_int_eq(commitlog_queue_by_key(NULL, 1, 2, &queue), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_by_key("k", 1, 0, &queue), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_by_key("k", 1, 2, NULL), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_round_robin(NULL, 2, &queue), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_round_robin(turns, 0, &queue), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_round_robin(turns, 2, NULL), COMMITLOG_EINVAL);
    void *between = (uint8_t *)turns + 4;
    ck_assert_int_eq(commitlog_queue_round_robin(between, 2, &queue), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_least_loaded(NULL, 2, 0, &queue), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_least_loaded(loads, 0, 0, &queue), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_queue_least_loaded(loads, 2, 0, NULL), COMMITLOG_EINVAL);
    ck_assert_uint_eq(queue, 42);
    ck_assert_uint_eq(turns[0], 7);
    ck_assert_uint_eq(turns[1], 7);
}
END_TEST

static Suite *group_queue_suite(void)
{
    Suite *suite = suite_create("group-queue");
    TCase *cases = tcase_create("choice");
    tcase_set_timeout(cases, 60);
    tcase_add_test(cases, the_queue_of_a_key_never_changes);
    tcase_add_loop_test(cases, with_k_times_the_queues_a_key_goes_to_a_child_of_its_queue, 0, 50);
    tcase_add_test(cases, keys_spread_evenly_over_queues_and_over_children);
    tcase_add_test(cases, a_store_that_chooses_by_key_chooses_the_same);
    tcase_add_test(cases, the_queues_take_turns_from_where_the_caller_says);
    tcase_add_test(cases, threads_that_share_a_turn_never_take_the_same);
    tcase_add_loop_test(cases, the_least_loaded_queue_is_the_first_such_from_the_start, 0, 200);
    tcase_add_test(cases, wrong_arguments_are_refused_and_change_nothing);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    seed = prog_env("SEED", 1);
    printf("test_group_queue: seed %llu\n", (unsigned long long)seed);
    return run_suite(group_queue_suite());
}
