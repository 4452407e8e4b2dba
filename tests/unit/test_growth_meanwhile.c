/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_growth_meanwhile.c -- what others do while a topic waits for room to grow, or to shrink:
 * upkeep defines topics under the same lock.
 */
#include "store/store.h"

#include "support/run_suite.h"
#include "unit/growth_fixture.h"

static struct commitlog_os meddling;
static struct commitlog_reservation *held;
static uint32_t waits;

/* The call that waits for room holds nothing that retention needs; then there is room. */
static void meanwhile(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_error other = {.message = ""};
    uint32_t again = 0;
    if (held == NULL || waits++ > 0) {
        return;
    }
    ck_assert(!clg_mutex_is_held(&store->growth_lock));
    ck_assert(!clg_mutex_is_held(&store->group_lock));
    ck_assert_int_eq(commitlog_retain(store, &policy, NULL, &other), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, FIRST_QUEUES, &again, &other), 0);
    ck_assert_int_eq(commitlog_abort(held), COMMITLOG_OK);
    held = NULL;
}

static void meddling_sleep(const struct commitlog_os *os, int64_t ns)
{
    meanwhile();
    commitlog_fault_os(machine)->sleep_ns(os, ns);
}

static int meddling_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                         uint32_t expected, int64_t timeout_ns, bool shared)
{
    meanwhile();
    return commitlog_fault_os(machine)->futex_wait(os, word, expected, timeout_ns, shared);
}

static void begin(void)
{
    letters_begin();
    meddling = *commitlog_fault_os(machine);
    meddling.sleep_ns = meddling_sleep;
    meddling.futex_wait = meddling_wait;
    waits = 0;
    held = NULL;
    ck_assert_msg(store_open_with(&meddling, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL) == 0,
                  "%s", err.message);
    topic_again();
}

/* Behind a reservation the stage is full. */
static void fill_the_stage(void)
{
    static const uint8_t body[400];
    const struct commitlog_slice slice = {body, sizeof(body)};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .level = COMMITLOG_LEVEL_NONE,
                                      .body = &slice,
                                      .body_count = 1};
    struct commitlog_reservation *first = NULL;
    void *place = NULL;
    int32_t rc = COMMITLOG_OK;
    ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 1, &record.topic, &err), 0);
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &first, &place, &err), 0);
    for (size_t bytes = sizeof(body); bytes > 0; bytes /= 2) {
        const struct commitlog_slice less = {body, bytes};
        record.body = &less;
        while (rc == COMMITLOG_OK) {
            rc = commitlog_append_record(store, &record, 0, NULL, &err);
        }
        ck_assert_int_eq(rc, COMMITLOG_ETIMEDOUT);
        rc = COMMITLOG_OK;
    }
    held = first;
}

START_TEST(a_topic_that_waits_to_grow_holds_up_nobody)
{
    begin();
    post_all();
    fill_the_stage();
    ck_assert_msg(grow(6) == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_gt(waits, 0);
    ck_assert_uint_eq(topic_info().queues, 6);
    post_all();
    check_letters();
}
END_TEST

START_TEST(a_topic_that_waits_to_shrink_holds_up_nobody)
{
    begin();
    post_all();
    ck_assert_int_eq(grow(6), COMMITLOG_OK);
    fill_the_stage();
    ck_assert_msg(shrink(FIRST_QUEUES) == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_gt(waits, 0);
    ck_assert_uint_eq(topic_info().queues, FIRST_QUEUES);
    post_all();
    check_letters();
}
END_TEST

/* The topic has its new queue from the claim on; what closes it is not visible yet. */
START_TEST(a_queue_is_closed_before_its_growth_is_visible)
{
    struct commitlog_record record = {.struct_bytes = sizeof(record)};
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message message;
    struct commitlog_delivery delivery;
    void *place = NULL;
    uint32_t count = 0;
    begin();
    open_group();
    post_all();
    const uint64_t ends[FIRST_QUEUES] = {queue_info(0).next_offset, queue_info(1).next_offset};
    ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 1, &record.topic, &err), 0);
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &reservation, &place, &err), 0);
    ck_assert_int_eq(grow(2 * FIRST_QUEUES), COMMITLOG_OK);
    struct commitlog_group_gate gate = gate_of(2);
    ck_assert_uint_eq(gate.open, 0);
    ck_assert(gate.parent == 0 && gate.mark == UINT64_MAX);
    ck_assert_uint_eq(gate_of(0).open, 1);
    ck_assert_int_eq(commit(2, 0), COMMITLOG_EMISUSE);
    /* Nor is it open when the parent is consumed as far as can be seen. */
    ck_assert_int_eq(commit(0, ends[0]), COMMITLOG_OK);
    ck_assert_int_eq(commit(1, ends[1]), COMMITLOG_OK);
    ck_assert_uint_eq(gate_of(2).open, 0);
    ck_assert_int_eq(commitlog_receiver_open(group, topic, NULL, &receiver, &err), 0);
    ck_assert_int_eq(commitlog_receive(receiver, &message, &delivery, 1, 0, &count, &err),
                     COMMITLOG_EEND);
    ck_assert_uint_eq(committed(2), UINT64_MAX);
    ck_assert_int_eq(commitlog_commit(reservation, 0, NULL, &err), COMMITLOG_OK);
    gate = gate_of(2);
    ck_assert_uint_eq(gate.open, 1);
    ck_assert(gate.parent == 0 && gate.mark == ends[0]);
    ck_assert_int_eq(commit(2, 0), COMMITLOG_OK);
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
}
END_TEST

static void sync_all(void)
{
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), COMMITLOG_OK);
}

/* Where only what is durable is seen; the second time it grows again. */
START_TEST(a_queue_is_closed_before_its_growth_is_durable)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_SEGMENT_BYTES, segment_bytes},
                                  {COMMITLOG_OPT_STAGE_BYTES, stage_bytes},
                                  {COMMITLOG_OPT_THREAD, 0},
                                  {COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE},
                                  {COMMITLOG_OPT_VISIBILITY, COMMITLOG_VISIBLE_DURABLE}};
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    for (size_t i = 0; i < 5; i++) {
        ck_assert_int_eq(commitlog_options_set(options, (int32_t)values[i][0], values[i][1], NULL),
                         0);
    }
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_int_eq(commitlog_open("/store", options, &store, &err), 0);
    commitlog_options_free(options);
    topic_again();
    open_group();
    for (uint32_t time = 0; time < 2; time++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, NULL),
                         0);
        ck_assert_int_eq(commit(0, time + 1), COMMITLOG_OK);
        ck_assert_int_eq(grow(2 * FIRST_QUEUES), COMMITLOG_OK);
        for (int i = 0; i < 2; i++) {
            struct commitlog_group_gate gate = gate_of(2);
            ck_assert_msg(gate.open == 0 && gate.parent == 0 && gate.mark == UINT64_MAX,
                          "time %u, %d: open %u, mark %llu", time, i, gate.open,
                          (unsigned long long)gate.mark);
            if (time == 0) { /* what is committed already is not looked at */
                ck_assert_int_eq(commit(2, 0), COMMITLOG_EMISUSE);
            }
        }
        sync_all();
        struct commitlog_group_gate gate = gate_of(2);
        ck_assert(gate.open == 1 && gate.parent == 0 && gate.mark == time + 1);
        ck_assert_int_eq(commit(2, 0), COMMITLOG_OK);
        ck_assert_int_eq(shrink(FIRST_QUEUES), COMMITLOG_OK);
        sync_all();
    }
    commitlog_group_close(group);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("growth, meanwhile");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, a_topic_that_waits_to_grow_holds_up_nobody);
    tcase_add_test(cases, a_topic_that_waits_to_shrink_holds_up_nobody);
    tcase_add_test(cases, a_queue_is_closed_before_its_growth_is_visible);
    tcase_add_test(cases, a_queue_is_closed_before_its_growth_is_durable);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
