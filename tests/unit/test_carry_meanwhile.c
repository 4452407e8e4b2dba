/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_carry_meanwhile.c -- a message that comes while retention carries the next offsets of its
 * topic forward, and the segment that ends between the two: no offset is given out twice.
 */
#include "support/run_suite.h"
#include "unit/group_fixture.h"

enum { MANY = 2100, IDLE = 7, NONE = COMMITLOG_LEVEL_NONE }; /* a definition of half the stage */

static struct commitlog_os meddling;
static uint32_t large_allocs; /* so many until somebody appends; 0: nobody does */
static uint32_t filler;
static struct commitlog_receipt last; /* of the newest message of the idle queue */

static void fill(uint32_t bytes)
{
    static const uint8_t body[16384];
    ck_assert_int_eq(commitlog_append(store, filler, 0, body, bytes, NONE, NULL), 0);
}

/* What is written is allocated before the offsets are read, and behind that, because the record is
 * too large for the stage, where it is built: then somebody else appends. */
static void *meddling_alloc(const struct commitlog_os *os, size_t size)
{
    if (large_allocs > 0 && size > stage_bytes / 2 && --large_allocs == 0) {
        ck_assert_int_eq(commitlog_append(store, topic, IDLE, "the last", 8, NONE, &last), 0);
    }
    return commitlog_fault_os(machine)->alloc(os, size);
}

static uint64_t next_offset(void)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, IDLE, &info), 0);
    return info.next_offset;
}

static uint64_t segment_of(uint64_t position)
{
    return position / segment_bytes;
}

START_TEST(an_offset_given_out_while_its_topic_is_carried_forward_is_not_given_out_again)
{
    segment_bytes = 256 << 10;
    meddling = *commitlog_fault_os(machine);
    meddling.alloc = meddling_alloc;
    ck_assert_msg(store_open_with(&meddling, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL) == 0,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, MANY, &topic, &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "f", 1, 1, &filler, &err), 0);
    for (uint32_t i = 0; i < MANY; i++) {
        ck_assert_int_eq(commitlog_append(store, topic, i, "x", 1, NONE, NULL), 0);
    }
    ck_assert_uint_eq(segment_of(store_positions().claimed), 0);
    /* To where the next segment is nearly full: a message fits, the definition does not. */
    while (store_positions().claimed < 2 * segment_bytes - 30000) {
        fill(10000);
    }
    ck_assert_uint_eq(segment_of(store_positions().claimed), 1);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
    large_allocs = 3; /* bodies, offsets, the record */
    struct commitlog_retained retained = retain_all();
    ck_assert_uint_eq(large_allocs, 0);
    ck_assert_uint_eq(retained.segments_dropped, 1);
    ck_assert_uint_eq(last.queue_offset, 1);
    ck_assert_uint_eq(segment_of(last.position), 1);
    ck_assert_uint_eq(next_offset(), 2);
    /* The segment with the message goes, too. */
    while (segment_of(store_positions().claimed) < 4) {
        fill(10000);
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), 0);
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = 3 * segment_bytes};
    retained = (struct commitlog_retained){.struct_bytes = sizeof(retained)};
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    ck_assert_uint_eq(retained.segments_dropped, 1);
    ck_assert_uint_gt(retained.first, last.position);
    ck_assert_uint_eq(next_offset(), 2);
    if (_i == 0) {
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        store = NULL;
        forget_views(); /* may be removed while the store is closed */
    } else {
        die(_i == 2);
    }
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_uint_eq(next_offset(), 2);
    ck_assert_int_eq(commitlog_append(store, topic, IDLE, "another", 7, NONE, &last), 0);
    ck_assert_uint_eq(last.queue_offset, 2);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("carry_meanwhile");
    TCase *tc = tcase_create("carry");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(
        tc, an_offset_given_out_while_its_topic_is_carried_forward_is_not_given_out_again, 0, 3);
    suite_add_tcase(suite, tc);
    return suite;
}

int main(void)
{
    return run_suite(make_suite());
}
