/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_groups_meanwhile.c -- what others do while a group is changed: who holds back the room that
 * it waits for may ask the group first; queues grow while offsets are looked up in them.
 */
#include "store/store.h"

#include "support/run_suite.h"
#include "unit/group_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE };

static struct commitlog_os meddling;
static void (*meddle)(void); /* once */
static struct commitlog_group *group;
static struct commitlog_reservation *held;

static void meddle_now(void)
{
    void (*now)(void) = meddle;
    meddle = NULL;
    if (now != NULL) {
        now();
    }
}

static int meddling_wait(const struct commitlog_os *os, const _Atomic uint32_t *word,
                         uint32_t expected, int64_t timeout_ns, bool shared)
{
    const struct commitlog_os *below = commitlog_fault_os(machine);
    meddle_now();
    int rc = below->futex_wait(os, word, expected, 0, shared);
    if (rc == -ETIMEDOUT) { /* there is nobody else: the machine's time passes, and no other */
        ck_assert_int_ge(timeout_ns, 0);
        below->sleep_ns(os, timeout_ns);
    }
    return rc;
}

static int allocations; /* so many go by before; -1: none is looked at */

static void *meddling_alloc(const struct commitlog_os *os, size_t bytes)
{
    if (allocations >= 0 && allocations-- == 0) {
        meddle_now();
    }
    return commitlog_fault_os(machine)->alloc(os, bytes);
}

static void begin(void)
{
    setup();
    meddle = NULL;
    allocations = -1;
    held = NULL;
    meddling = *commitlog_fault_os(machine);
    meddling.futex_wait = meddling_wait;
    meddling.alloc = meddling_alloc;
    ck_assert_msg(store_open_with(&meddling, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL) == 0,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    put(0, 4);
    put(1, 4);
}

static void end(void)
{
    commitlog_group_close(group);
    teardown();
}

static int32_t commit(uint64_t of_first, uint64_t of_second, int32_t timeout_ms)
{
    const struct commitlog_group_offset offsets[] = {{topic, 0, of_first}, {topic, 1, of_second}};
    return commitlog_group_commit(group, 0, offsets, 2, NONE, timeout_ms, NULL, &err);
}

static uint64_t fetch(uint32_t queue)
{
    struct commitlog_group_offset one = {topic, queue, 0};
    struct commitlog_error own;
    ck_assert_int_eq(commitlog_group_fetch(group, &one, 1, &own), 0);
    return one.offset;
}

/* Behind a reservation. */
static void fill_the_stage(void)
{
    static const uint8_t body[400];
    struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .queue = 2, .level = NONE, .body_count = 1};
    void *place = NULL;
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &held, &place, &err), 0);
    for (size_t bytes = sizeof(body); bytes > 0; bytes /= 2) {
        const struct commitlog_slice less = {body, bytes};
        int32_t rc = COMMITLOG_OK;
        record.body = &less;
        while (rc == COMMITLOG_OK) {
            rc = commitlog_append_record(store, &record, 0, NULL, &err);
        }
        ck_assert_int_eq(rc, COMMITLOG_ETIMEDOUT);
    }
}

/* Nothing is held that a fetch takes; then there is room. */
static void ask_and_make_room(void)
{
    ck_assert(!clg_mutex_is_held(&store->group_lock));
    ck_assert_uint_eq(fetch(0), 1);
    ck_assert_int_eq(commitlog_abort(held), 0);
    held = NULL;
}

/* And of what was committed already when the wait began, that is not true any more. */
static void ask_make_room_and_reset(void)
{
    struct commitlog_error own;
    ask_and_make_room();
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, 0, NONE, &own),
                     0);
    ck_assert_uint_eq(fetch(0), 0);
}

START_TEST(a_commit_that_waits_for_room_holds_up_nobody)
{
    ck_assert_int_eq(commit(1, 1, 0), 0);
    fill_the_stage();
    ck_assert_int_eq(commit(1, 2, 0), COMMITLOG_ETIMEDOUT);
    ck_assert_uint_eq(fetch(1), 1);
    meddle = ask_and_make_room;
    ck_assert_msg(commit(1, 2, COMMITLOG_FOREVER) == COMMITLOG_OK, "%s", err.message);
    ck_assert(meddle == NULL);
    ck_assert_uint_eq(fetch(0), 1);
    ck_assert_uint_eq(fetch(1), 2);
}
END_TEST

START_TEST(a_commit_that_has_waited_for_room_is_whole)
{
    ck_assert_int_eq(commit(1, 1, 0), 0);
    fill_the_stage();
    meddle = ask_make_room_and_reset;
    ck_assert_msg(commit(1, 2, COMMITLOG_FOREVER) == COMMITLOG_OK, "%s", err.message);
    ck_assert(meddle == NULL);
    ck_assert_uint_eq(fetch(0), 1);
    ck_assert_uint_eq(fetch(1), 2);
}
END_TEST

START_TEST(a_reset_that_waits_for_room_holds_up_nobody)
{
    ck_assert_int_eq(commit(1, 1, 0), 0);
    fill_the_stage();
    meddle = ask_and_make_room;
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_END, 0, NONE, &err), 0);
    ck_assert(meddle == NULL);
    ck_assert_uint_eq(fetch(0), 4);
}
END_TEST

START_TEST(a_reset_does_not_wait_for_ever_for_room)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    ck_assert_int_eq(commit(1, 1, 0), 0);
    fill_the_stage();
    const int64_t began = os->clock_mono_ns(os);
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_FIRST, 0, NONE, &err),
                     COMMITLOG_ETIMEDOUT);
    const int64_t took = os->clock_mono_ns(os) - began;
    ck_assert_int_ge(took, 5 * CLG_OS_NS_PER_S);
    ck_assert_int_lt(took, 6 * CLG_OS_NS_PER_S);
    ck_assert_uint_eq(fetch(0), 1);
    ck_assert_int_eq(commitlog_abort(held), 0);
}
END_TEST

/* What comes then is consumed, and that is acknowledged. */
static void make_room_and_consume(void)
{
    ask_and_make_room();
    put(0, 1);
    ck_assert_int_eq(commit(5, 4, 0), 0);
}

/* Whichever of the two was first: nobody has anything left to consume. */
START_TEST(a_reset_to_the_end_takes_back_nothing_that_was_committed_meanwhile)
{
    const uint32_t from = _i == 0 ? COMMITLOG_FROM_END : COMMITLOG_FROM_TIME;
    ck_assert_int_eq(commit(1, 1, 0), 0);
    fill_the_stage();
    meddle = make_room_and_consume;
    ck_assert_int_eq(
        commitlog_group_reset(group, topic, 0, from, _i == 0 ? 0 : INT64_MAX, NONE, &err), 0);
    ck_assert(meddle == NULL);
    ck_assert_uint_eq(fetch(0), 5);
}
END_TEST

static void put_one(void)
{
    put(0, 1);
}

/* Whenever it is that the queue becomes longer. */
START_TEST(a_reset_to_a_time_is_not_beyond_a_queue_that_grows)
{
    put(0, 60); /* not folded yet: that allocates */
    meddle = put_one;
    allocations = _i;
    ck_assert_msg(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_TIME, INT64_MAX, NONE,
                                        &err) == COMMITLOG_OK,
                  "%s", err.message);
    allocations = -1;
    ck_assert_uint_ge(fetch(0), 64);
    ck_assert_uint_le(fetch(0), meddle == NULL ? 65 : 64);
    ck_assert(_i > 0 || meddle == NULL);
}
END_TEST

static Suite *groups_meanwhile_suite(void)
{
    Suite *suite = suite_create("groups, meanwhile");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 20);
    tcase_add_checked_fixture(cases, begin, end);
    tcase_add_test(cases, a_commit_that_waits_for_room_holds_up_nobody);
    tcase_add_test(cases, a_commit_that_has_waited_for_room_is_whole);
    tcase_add_test(cases, a_reset_that_waits_for_room_holds_up_nobody);
    tcase_add_loop_test(cases, a_reset_to_the_end_takes_back_nothing_that_was_committed_meanwhile,
                        0, 2);
    tcase_add_test(cases, a_reset_does_not_wait_for_ever_for_room);
    tcase_add_loop_test(cases, a_reset_to_a_time_is_not_beyond_a_queue_that_grows, 0, 8);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(groups_meanwhile_suite());
}
