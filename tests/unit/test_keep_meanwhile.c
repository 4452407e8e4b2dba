/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_keep_meanwhile.c -- a group comes to need messages while retention or expiry is under way:
 * what it was told that it has stays, and what goes it is told of.
 */
#include "store/store.h"

#include "support/run_suite.h"
#include "unit/group_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, BIG = 20000 };

static struct commitlog_os meddling;
static void (*meddle)(void); /* once, when nobody holds the lock of groups */
static struct commitlog_group *group;
static uint64_t kept; /* the offset that the group has been told that it has */
static int32_t told;

static void meddle_now(void)
{
    void (*now)(void) = meddle;
    if (now != NULL && !clg_mutex_is_held(&store->group_lock)) {
        meddle = NULL;
        now();
    }
}

static int meddling_unlink(const struct commitlog_os *os, int dirfd, const char *name)
{
    meddle_now();
    return commitlog_fault_os(machine)->unlink_at(os, dirfd, name);
}

static int clock_calls; /* so many go by before; -1: it is not asked */

static int64_t meddling_clock(const struct commitlog_os *os)
{
    if (clock_calls >= 0 && clock_calls-- == 0) {
        meddle_now();
    }
    return commitlog_fault_os(machine)->clock_mono_ns(os);
}

static void begin(void)
{
    setup();
    meddle = NULL;
    clock_calls = -1;
    meddling = *commitlog_fault_os(machine);
    meddling.unlink_at = meddling_unlink;
    meddling.clock_mono_ns = meddling_clock;
    ck_assert_msg(store_open_with(&meddling, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL) == 0,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
}

static void end(void)
{
    commitlog_group_close(group);
    teardown();
}

static struct commitlog_queue_info queue_info(void)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &info), 0);
    return info;
}

static void open_group(uint32_t flags)
{
    ck_assert_int_eq(
        commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE | flags, &group, &err), 0);
}

static int32_t commit(uint64_t offset)
{
    const struct commitlog_group_offset offsets = {topic, 0, offset};
    struct commitlog_error own;
    return commitlog_group_commit(group, 0, &offsets, 1, NONE, 0, NULL, &own);
}

/* Two of them in a segment. */
static void put_big(uint32_t count)
{
    static const uint8_t body[BIG];
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, 0, body, sizeof(body), NONE, NULL), 0);
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
}

static void meddle_reset(void)
{
    struct commitlog_error own;
    kept = queue_info().first_offset;
    told = commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_FIRST, 0, NONE, &own);
}

static void meddle_reset_to(void)
{
    struct commitlog_error own;
    kept = queue_info().first_offset + 1;
    told = commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, kept, NONE, &own);
}

static void meddle_configure(void)
{
    struct commitlog_error own;
    kept = queue_info().first_offset;
    told = commitlog_group_configure(group, COMMITLOG_GROUP_KEEP, NONE, &own);
}

static void meddle_begin(void)
{
    kept = queue_info().first_offset;
    told = commit(kept);
}

static void meddle_receive(void)
{
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message message;
    struct commitlog_delivery delivery;
    struct commitlog_error own;
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_receiver_open(group, topic, NULL, &receiver, &own), 0);
    told = commitlog_receive(receiver, &message, &delivery, 1, 0, &count, &own);
    ck_assert_uint_eq(count, 1);
    kept = delivery.offset;
    commitlog_receiver_close(receiver);
}

static void (*const needs[])(void) = {meddle_reset, meddle_reset_to, meddle_configure, meddle_begin,
                                      meddle_receive};

/* The first of many segments is unlinked. */
START_TEST(what_a_group_comes_to_need_while_retention_drops_others_stays)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    put_big(12);
    open_group(needs[_i] == meddle_configure ? 0 : COMMITLOG_GROUP_KEEP);
    if (needs[_i] == meddle_configure) {
        ck_assert_int_eq(commit(0), 0);
    } else if (needs[_i] != meddle_begin && needs[_i] != meddle_receive) {
        ck_assert_int_eq(commit(12), 0);
    }
    meddle = needs[_i];
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    ck_assert(meddle == NULL);
    ck_assert_int_eq(told, 0);
    ck_assert_uint_le(queue_info().first_offset, kept);
    ck_assert_uint_eq(retained.segments_dropped, 1);
    ck_assert_uint_ne(retained.kept_from, 0);
    /* Nor does it go later, until it is consumed. */
    ck_assert_uint_eq(retain_all().segments_dropped, 0);
    ck_assert_int_eq(commit(12), 0);
    ck_assert_uint_gt(retain_all().segments_dropped, 2);
}
END_TEST

static void meddle_begin_at_two(void)
{
    kept = 2;
    told = commit(kept);
}

static void meddle_keep_from_two(void)
{
    struct commitlog_error own;
    kept = 2;
    told = commitlog_group_configure(group, COMMITLOG_GROUP_KEEP, NONE, &own);
}

/* Whenever it is that the group is told so, while upkeep or a call lets all expire. */
START_TEST(what_a_group_comes_to_need_while_others_expire_does_not)
{
    const bool begins = _i % 2 == 0;
    open_group(begins ? COMMITLOG_GROUP_KEEP : 0);
    put(0, 4);
    if (!begins) {
        ck_assert_int_eq(commit(2), 0);
    }
    meddle = begins ? meddle_begin_at_two : meddle_keep_from_two;
    clock_calls = _i / 2;
    ck_assert_int_eq(commitlog_topic_expire(store, topic, INT64_MAX, NONE, &err), 0);
    clock_calls = -1;
    if (meddle == NULL) {
        ck_assert_int_eq(told, 0);
        ck_assert_uint_eq(queue_info().first_offset, kept);
    }
    meddle = NULL;
    /* What is gone is refused. */
    ck_assert_int_eq(commit(4), 0);
    ck_assert_int_eq(commitlog_topic_expire(store, topic, INT64_MAX, NONE, &err), 0);
    ck_assert_int_eq(
        commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, kept, NONE, &err),
        COMMITLOG_ETOOSMALL);
}
END_TEST

static Suite *keep_meanwhile_suite(void)
{
    Suite *suite = suite_create("keep_meanwhile");
    TCase *cases = tcase_create("groups beside retention and expiry");
    tcase_set_timeout(cases, 20);
    tcase_add_checked_fixture(cases, begin, end);
    tcase_add_loop_test(cases, what_a_group_comes_to_need_while_retention_drops_others_stays, 0,
                        sizeof(needs) / sizeof(needs[0]));
    tcase_add_loop_test(cases, what_a_group_comes_to_need_while_others_expire_does_not, 0, 8);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(keep_meanwhile_suite());
}
