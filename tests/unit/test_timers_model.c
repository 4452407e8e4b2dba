/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_timers_model.c -- random appends, cancels and waits on a machine in memory whose process is
 * killed and whose power goes at random: each delayed message comes once, none early, none after an
 * acknowledged cancel.
 *
 * SEED, TRIALS and STEPS in the environment.
 */
#include "unit/timer_fixture.h"

#include "support/prog.h"
#include "support/run_suite.h"

enum { MESSAGES = 2000 };

struct sent {
    int64_t due_ms;
    uint64_t handle;
    uint64_t end;   /* of the log behind it */
    uint64_t ended; /* the same behind its cancel; 0: none */
    uint32_t queue;
    bool lost;
};

static struct sent sent[MESSAGES];
static uint32_t sent_count;
static struct rng rng;

static uint32_t draw(uint32_t below)
{
    return (uint32_t)(rng_next(&rng) % below);
}

/* Reads all queues: each message at most once, not before its time, not after its cancel. */
static uint32_t check_queues(void)
{
    static uint8_t seen[MESSAGES];
    uint32_t found = 0;
    memset(seen, 0, sizeof(seen));
    for (uint32_t q = 0; q < QUEUES; q++) {
        struct commitlog_cursor *cursor = NULL;
        struct commitlog_message messages[16];
        uint32_t count = 0;
        int32_t rc;
        ck_assert_int_eq(
            commitlog_cursor_open(store, topic, q, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
        while ((rc = commitlog_cursor_fetch(cursor, messages, 16, 0, &count, NULL)) == 0) {
            for (uint32_t i = 0; i < count; i++) {
                uint32_t number;
                if (messages[i].body.bytes != sizeof(number)) {
                    continue; /* of put() */
                }
                memcpy(&number, messages[i].body.data, sizeof(number));
                ck_assert_uint_lt(number, sent_count);
                ck_assert_msg(seen[number]++ == 0, "message %u twice", number);
                ck_assert_int_ge(messages[i].store_time_ns, sent[number].due_ms * MS);
                ck_assert_uint_eq(q, sent[number].queue);
                ck_assert_msg(!sent[number].lost && sent[number].ended == 0,
                              "message %u was cancelled or lost, and is there", number);
                found++;
            }
        }
        ck_assert_msg(rc == COMMITLOG_EEND, "%d", rc);
        commitlog_cursor_close(cursor);
    }
    return found;
}

static void random_restart(void)
{
    bool power = false;
    if (draw(3) == 0) {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
    } else {
        power = draw(2) == 0;
        die(power);
        commitlog_fault_set_survival(machine, draw(101));
    }
    if (draw(2) == 0) {
        forget_views();
    }
    open_store();
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    ck_assert_int_eq(commitlog_recovery_get(store, &recovery), 0);
    for (uint32_t i = 0; i < sent_count; i++) {
        sent[i].lost = sent[i].lost || sent[i].end > recovery.end;
        sent[i].ended = sent[i].ended > recovery.end ? 0 : sent[i].ended;
        ck_assert(power || !sent[i].lost || sent[i].end == UINT64_MAX);
        sent[i].end = sent[i].lost ? UINT64_MAX : sent[i].end; /* its place is another's now */
    }
}

static void random_delay(void)
{
    struct sent *one = &sent[sent_count];
    struct commitlog_receipt receipt;
    *one = (struct sent){.due_ms = now_ms() + draw(3000), .queue = draw(QUEUES)};
    ck_assert_msg(delay(one->queue, sent_count, one->due_ms, draw(5) == 0 ? 3 : 1, &receipt) == 0,
                  "%s", err.message);
    one->handle = receipt.position;
    one->end = store_positions().claimed;
    sent_count++;
}

static void random_cancel(void)
{
    if (sent_count == 0) {
        return;
    }
    struct sent *one = &sent[draw(sent_count)];
    if (one->lost || one->ended != 0) {
        return;
    }
    int32_t rc = commitlog_timer_cancel(store, one->handle, draw(5) == 0 ? 3 : 1, &err);
    if (rc == COMMITLOG_OK) {
        one->ended = store_positions().claimed;
    } else {
        ck_assert_int_eq(rc, COMMITLOG_ENOTFOUND);
        ck_assert_int_le(one->due_ms, now_ms());
    }
}

static void trial(uint64_t seed, uint32_t steps)
{
    rng_begin(&rng, seed);
    ck_assert_int_eq(commitlog_fault_create(seed, &machine), 0);
    open_store();
    sent_count = 0;
    for (uint32_t i = 0; i < steps && sent_count < MESSAGES; i++) {
        switch (draw(10)) {
        case 0:
            random_cancel();
            break;
        case 1:
            pass_ms(draw(1500));
            break;
        case 2:
            step_all();
            break;
        case 3:
            put(draw(QUEUES), draw(60));
            break;
        case 4:
            if (draw(8) == 0) {
                random_restart();
            }
            break;
        case 5:
            if (draw(6) == 0) {
                (void)check_queues();
            }
            break;
        default:
            random_delay();
            break;
        }
    }
    random_restart();
    pass_ms(10000);
    for (int i = 0; i < 20; i++) {
        step_all();
    }
    uint32_t expected = 0;
    for (uint32_t i = 0; i < sent_count; i++) {
        expected += !sent[i].lost && sent[i].ended == 0 ? 1 : 0;
    }
    uint32_t found = check_queues();
    ck_assert_msg(found == expected, "%u of %u came (seed %llu)", found, expected,
                  (unsigned long long)seed);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_uint_eq(commitlog_fault_held(machine, COMMITLOG_FAULT_ALLOC), 0);
    commitlog_fault_free(machine);
    machine = NULL;
}

START_TEST(each_comes_once_and_none_early_whatever_happens)
{
    uint64_t seed = prog_env("SEED", 1);
    uint32_t trials = (uint32_t)prog_env("TRIALS", 20);
    uint32_t steps = (uint32_t)prog_env("STEPS", 400);
    segment_bytes = 65536;
    stage_bytes = 65536;
    printf("timers: SEED=%llu TRIALS=%u STEPS=%u\n", (unsigned long long)seed, trials, steps);
    for (uint32_t i = 0; i < trials; i++) {
        trial(seed + i, steps);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timers model");
    TCase *random = tcase_create("random");
    tcase_set_timeout(random, 300);
    tcase_add_test(random, each_comes_once_and_none_early_whatever_happens);
    suite_add_tcase(suite, random);
    return run_suite(suite);
}
