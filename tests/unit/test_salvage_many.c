/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_salvage_many.c -- more damaged places than recovery lists at a time: a salvage goes on in
 * rounds as long as some of the listed become holes, and no longer.
 */
#include "unit/fault_fixture.h"

#include "format/record.h"
#include "recovery/facts.h"
#include "support/run_suite.h"

enum { BEHIND = 10, KEPT = 20 };

/* With assertions, and more so with sanitizers, that many holes take a minute. */
#ifdef CLG_DEBUG
enum { FULL = 0 };
#else
enum { FULL = 1 };
#endif

static const uint32_t listed = CLG_FACTS_RANGES_MAX;

static void many_setup(void)
{
    setup();
    segment_bytes = UINT64_C(16) << 20;
}

/* What the only segment holds, to be spoiled and written back; the caller frees it. */
static uint8_t *copy_segment(uint64_t *out_bytes)
{
    const void *data = NULL;
    ck_assert_int_eq(commitlog_fault_content(machine, segment_path(0), &data, out_bytes), 0);
    uint8_t *copy = malloc(*out_bytes);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, data, *out_bytes);
    return copy;
}

static void write_back(uint8_t *copy, uint64_t bytes)
{
    ck_assert_int_eq(commitlog_fault_write(machine, segment_path(0), 0, copy, bytes), 0);
    free(copy);
}

/* The next message of store_put behind `at`: where its body is; NULL: there is none. */
static uint8_t *next_body(uint8_t *copy, uint64_t bytes, uint8_t *at)
{
    return memmem(at, bytes - (size_t)(at - copy), "0123456789", 10);
}

/* A clean store of which each second message has become zeros. */
static void zero_each_second(uint32_t count)
{
    uint64_t bytes = 0;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(2 * count, COMMITLOG_LEVEL_NONE);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    uint8_t *copy = copy_segment(&bytes);
    uint8_t *at = copy;
    for (uint32_t i = 0; i < 2 * count; i++) {
        struct clg_record_header header;
        at = next_body(copy, bytes, at);
        ck_assert_ptr_nonnull(at);
        uint8_t *record = at - CLG_RECORD_HEADER_BYTES;
        clg_record_decode(record, &header);
        at += 10;
        if (i % 2 == 0) {
            memset(record, 0, clg_record_size(header.word));
        }
    }
    write_back(copy, bytes);
}

START_TEST(a_salvage_of_more_than_is_listed_comes_to_its_end)
{
    const uint32_t count = listed + BEHIND;
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    zero_each_second(count);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), COMMITLOG_EDAMAGED);
    ck_assert_msg(store_recover(COMMITLOG_RECOVER_SALVAGE, &found) == 0, "%s", err.message);
    ck_assert_uint_eq(found.holes_made, count);
    ck_assert_msg(verify_store() == COMMITLOG_OK, "%s", err.message);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), 2 * count);
}
END_TEST

/* The process died before any of the last messages was durable, and of none of them the body is
 * whole: nothing that is kept lies behind them, so none becomes a hole, and the log is cut there in
 * the one round that it takes. */
START_TEST(a_salvage_whose_listed_ranges_all_lie_behind_the_end_cuts_them)
{
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    uint64_t bytes = 0;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    store_put(KEPT, COMMITLOG_LEVEL_DURABLE);
    store_put(listed + BEHIND - 1, COMMITLOG_LEVEL_NONE);
    store_put(1, COMMITLOG_LEVEL_WRITTEN);
    die(false);
    uint8_t *copy = copy_segment(&bytes);
    uint8_t *at = copy;
    for (uint32_t i = 0; i < KEPT + listed + BEHIND; i++) {
        at = next_body(copy, bytes, at);
        ck_assert_ptr_nonnull(at);
        *at ^= i >= KEPT ? 1 : 0;
        at += 10;
    }
    write_back(copy, bytes);
    ck_assert_msg(store_recover(COMMITLOG_RECOVER_SALVAGE, &found) == 0, "%s", err.message);
    ck_assert_uint_eq(found.holes_made, 0);
    /* Nothing is left to be cut, which this mode would refuse. */
    ck_assert_msg(store_recover(COMMITLOG_RECOVER_STRICT, NULL) == 0, "%s", err.message);
    ck_assert_msg(verify_store() == COMMITLOG_OK, "%s", err.message);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_uint_eq(store_count(), KEPT);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("salvage many");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, many_setup, teardown);
    tcase_set_timeout(all, 120);
    tcase_add_loop_test(all, a_salvage_of_more_than_is_listed_comes_to_its_end, 0, FULL);
    tcase_add_test(all, a_salvage_whose_listed_ranges_all_lie_behind_the_end_cuts_them);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
