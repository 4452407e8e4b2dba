/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_flush_align.c -- flush_align_bytes: whatever is open, however full the ring is and however
 * the log was entered, what is durable ends where a block does, so that no block of it is written
 * again.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum { BLOCK = 4096, WAIT_MS = 2000 };

static uint64_t engine;
static uint64_t last_durable;

static void open_aligned(uint64_t align)
{
    const uint64_t values[][2] = {{COMMITLOG_OPT_ENGINE, engine},
                                  {COMMITLOG_OPT_FLUSH_ALIGN_BYTES, align}};
    ck_assert_msg(store_open_by(values, 2) == 0, "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
}

static void align_setup(void)
{
    setup();
    segment_bytes = UINT64_C(1) << 20;
    last_durable = 0;
    engine = COMMITLOG_ENGINE_STAGED;
}

static void check_aligned(void)
{
    last_durable = store_positions().durable;
    ck_assert_uint_eq(last_durable % BLOCK, 0);
}

static int32_t append_bytes(size_t bytes, uint32_t level, struct commitlog_receipt *receipt)
{
    static const uint8_t body[300000];
    ck_assert_uint_le(bytes, sizeof(body));
    return commitlog_append(store, topic, 0, body, bytes, level, receipt);
}

static struct commitlog_reservation *reserve(size_t bytes)
{
    const struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .level = COMMITLOG_LEVEL_NONE};
    struct commitlog_reservation *reservation = NULL;
    void *at = NULL;
    ck_assert_msg(commitlog_reserve(store, &record, bytes, 0, &reservation, &at, &err) == 0, "%s",
                  err.message);
    memset(at, 'r', bytes);
    return reservation;
}

static void sync_to(uint64_t position)
{
    ck_assert_msg(commitlog_sync(store, position, WAIT_MS, &err) == 0, "%s", err.message);
    check_aligned();
}

static const uint64_t engines[] = {COMMITLOG_ENGINE_STAGED, COMMITLOG_ENGINE_MMAP};

START_TEST(what_is_durable_ends_at_a_block_while_reservations_are_open)
{
    struct commitlog_receipt receipt = {0};
    engine = engines[_i];
    open_aligned(BLOCK);
    for (size_t i = 0; i < 60; i++) { /* through several segments */
        ck_assert_int_eq(append_bytes(100 + 40 * i, COMMITLOG_LEVEL_NONE, &receipt), 0);
        struct commitlog_reservation *first = reserve(100 + i);
        struct commitlog_reservation *second = reserve(10000);
        sync_to(receipt.end_position);
        ck_assert_int_eq(commitlog_commit(second, 0, NULL, &err), 0);
        sync_to(receipt.end_position);
        ck_assert_int_eq(append_bytes(1, COMMITLOG_LEVEL_NONE, NULL), 0);
        second = reserve(1);
        if (i % 2 == 0) {
            ck_assert_int_eq(commitlog_commit(first, 0, &receipt, &err), 0);
            sync_to(receipt.end_position);
        } else {
            ck_assert_int_eq(commitlog_abort(first), 0);
        }
        ck_assert_int_eq(commitlog_commit(second, 0, NULL, &err), 0);
        sync_to(UINT64_MAX);
    }
    ck_assert_uint_gt(store_positions().claimed, segment_bytes);
    const uint64_t offsets = store_count();
    die(true);
    open_aligned(BLOCK);
    check_aligned();
    ck_assert_uint_eq(store_count(), offsets);
}
END_TEST

/* Nobody folds or drains before the flush, and a large record leaves the fold more than a ring
 * behind. */
START_TEST(what_is_durable_ends_at_a_block_however_full_the_ring_is)
{
    uint64_t appended = 0;
    engine = engines[_i];
    open_aligned(BLOCK);
    for (size_t i = 0; store_positions().claimed < 6 * segment_bytes; i++) {
        const size_t bytes = i % 5 == 4 ? 100000 + 2 * i : 30000 - i % 97;
        ck_assert_int_eq(append_bytes(bytes, COMMITLOG_LEVEL_NONE, NULL), 0);
        ck_assert_int_eq(
            append_bytes(i % 3 == 0 ? 200000 : 1 + i % 4000, COMMITLOG_LEVEL_DURABLE, NULL), 0);
        appended += 2;
        check_aligned();
    }
    die(true);
    open_aligned(BLOCK);
    check_aligned();
    ck_assert_uint_eq(store_count(), appended);
}
END_TEST

/* The fold finds no memory, so the ring fills up: what is acknowledged is so to the last. */
START_TEST(what_is_durable_ends_at_a_block_though_the_fold_stands)
{
    uint64_t appended = 0;
    open_aligned(BLOCK);
    for (size_t round = 0; round < 6; round++) { /* all in one segment: there is no other */
        int32_t rc = 0;
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 1, ENOMEM, 1);
        for (size_t i = 0; rc == 0 && i < 20000; i++) {
            const bool durable = i % 64 == round;
            rc = append_bytes(durable ? 128 * round : 8,
                              durable ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE, NULL);
            appended += rc == 0 ? 1 : 0;
            if (durable) {
                check_aligned();
            }
        }
        ck_assert_int_eq(rc, COMMITLOG_ENOMEM);
        sync_to(UINT64_MAX);
        (void)commitlog_fault_fail(machine, 0, 0, 0, 0);
        ck_assert_int_eq(append_bytes(8, COMMITLOG_LEVEL_DURABLE, NULL), 0);
        check_aligned();
        ck_assert_uint_eq(store_count(), ++appended);
    }
}
END_TEST

/* A write of a large record, or of the filler behind it, fails: the process dies, or the power
 * goes. */
START_TEST(a_write_that_fails_leaves_all_or_nothing_of_a_large_record)
{
    open_aligned(BLOCK);
    for (uint64_t nth = 1; nth < 8; nth++) {
        ck_assert_int_eq(append_bytes(10 * nth, COMMITLOG_LEVEL_DURABLE, NULL), 0);
        check_aligned();
        const uint64_t durable = last_durable;
        const uint64_t offsets = store_count();
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_WRITE, nth, EIO, 0);
        const int32_t rc = append_bytes(100000 + nth, COMMITLOG_LEVEL_DURABLE, NULL);
        die(_i != 0);
        (void)commitlog_fault_fail(machine, 0, 0, 0, 0);
        open_aligned(BLOCK);
        check_aligned();
        ck_assert_uint_ge(last_durable, durable);
        ck_assert_uint_ge(store_count(), offsets + (rc == 0 ? 1 : 0));
        ck_assert_uint_le(store_count(), offsets + 1);
    }
}
END_TEST

/* At each distance from the end of a segment, and of a block. */
START_TEST(what_is_durable_ends_at_a_block_at_the_end_of_a_segment)
{
    uint64_t appended = 0;
    engine = engines[_i];
    segment_bytes = 65536;
    open_aligned(BLOCK);
    for (size_t i = 0; i < 600; i++) {
        ck_assert_int_eq(append_bytes((i * 1999) % 12000, COMMITLOG_LEVEL_NONE, NULL), 0);
        ck_assert_int_eq(append_bytes((i * 8) % 4200, COMMITLOG_LEVEL_DURABLE, NULL), 0);
        appended += 2;
        check_aligned();
    }
    die(true);
    open_aligned(BLOCK);
    check_aligned();
    ck_assert_uint_eq(store_count(), appended);
}
END_TEST

/* A process that dies leaves an end within a block, which recovery makes durable. */
START_TEST(the_log_is_entered_at_a_block)
{
    struct commitlog_receipt receipt = {0};
    engine = engines[_i];
    open_aligned(BLOCK);
    for (uint64_t i = 1; i < 40; i++) {
        ck_assert_int_eq(append_bytes(i * 100, COMMITLOG_LEVEL_DURABLE, NULL), 0);
        check_aligned();
        const uint64_t durable = last_durable;
        ck_assert_int_eq(append_bytes(i * 131, COMMITLOG_LEVEL_WRITTEN, &receipt), 0);
        die(false);
        open_aligned(BLOCK);
        check_aligned();
        ck_assert_uint_gt(last_durable, durable);
        ck_assert_uint_eq(store_count(), 2 * i);
        ck_assert_int_eq(append_bytes(1, COMMITLOG_LEVEL_NONE, &receipt), 0);
        ck_assert_uint_ge(receipt.position, last_durable);
        die(true); /* it was durable when the store was open */
        open_aligned(BLOCK);
        check_aligned();
        ck_assert_uint_eq(store_count(), 2 * i);
    }
}
END_TEST

/* Of one that did not align the last block is filled; at the end of a segment it is the pad. */
START_TEST(a_store_that_did_not_align_does_from_its_opening_on)
{
    engine = engines[_i];
    segment_bytes = 65536;
    open_aligned(0);
    for (uint64_t i = 1; i < 150; i++) {
        ck_assert_int_eq(append_bytes(1200 + 8 * i, COMMITLOG_LEVEL_DURABLE, NULL), 0);
        if (i % 2 == 0) {
            ck_assert_int_eq(commitlog_close(store, &err), 0);
        } else {
            die(false);
        }
        open_aligned(BLOCK);
        check_aligned();
        ck_assert_uint_eq(store_count(), 2 * i - 1);
        ck_assert_int_eq(append_bytes(8 * i, COMMITLOG_LEVEL_DURABLE, NULL), 0);
        check_aligned();
        die(true);
        open_aligned(0);
        ck_assert_uint_eq(store_count(), 2 * i);
    }
}
END_TEST

START_TEST(what_fits_no_segment_beside_a_filler_is_refused_and_the_largest_is_not)
{
    struct commitlog_reservation *reservation = NULL;
    void *at = NULL;
    const struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .level = COMMITLOG_LEVEL_DURABLE};
    engine = engines[_i];
    segment_bytes = 65536;
    open_aligned(BLOCK);
    size_t most = 65536;
    while (append_bytes(most, COMMITLOG_LEVEL_DURABLE, NULL) == COMMITLOG_ETOOBIG) {
        most -= 8;
    }
    ck_assert_uint_gt(most, 65536 - 5 * BLOCK);
    check_aligned();
    for (size_t bytes = most; bytes > 64; bytes /= 2) {
        ck_assert_int_eq(commitlog_reserve(store, &record, bytes, 0, &reservation, &at, &err), 0);
        memset(at, 'r', bytes);
        ck_assert_msg(commitlog_commit(reservation, 0, NULL, &err) == 0, "%s", err.message);
        check_aligned();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("flush_align");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, align_setup, teardown);
    tcase_set_timeout(all, 120); /* valgrind */
    tcase_add_loop_test(all, what_is_durable_ends_at_a_block_while_reservations_are_open, 0, 2);
    tcase_add_loop_test(all, what_is_durable_ends_at_a_block_however_full_the_ring_is, 0, 2);
    tcase_add_test(all, what_is_durable_ends_at_a_block_though_the_fold_stands);
    tcase_add_loop_test(all, what_is_durable_ends_at_a_block_at_the_end_of_a_segment, 0, 2);
    tcase_add_loop_test(all, a_write_that_fails_leaves_all_or_nothing_of_a_large_record, 0, 2);
    tcase_add_loop_test(all, the_log_is_entered_at_a_block, 0, 2);
    tcase_add_loop_test(all, a_store_that_did_not_align_does_from_its_opening_on, 0, 2);
    tcase_add_loop_test(all, what_fits_no_segment_beside_a_filler_is_refused_and_the_largest_is_not,
                        0, 2);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
