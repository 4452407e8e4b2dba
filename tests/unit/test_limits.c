/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_limits.c -- back-pressure: appends flush, wait or are refused beyond a limit, and everything
 * that makes room goes on.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

static const uint8_t bytes_1000[1000];

static void limits_setup(void)
{
    setup();
    segment_bytes = 1 << 20;
    open_store();
}

static void limit(uint64_t unflushed, uint64_t unconsumed)
{
    const struct commitlog_limits limits = {.struct_bytes = sizeof(limits),
                                            .unflushed_bytes = unflushed,
                                            .unconsumed_bytes = unconsumed};
    struct commitlog_limits back = {.struct_bytes = sizeof(back)};
    ck_assert_int_eq(commitlog_limits_set(store, &limits, &err), 0);
    ck_assert_int_eq(commitlog_limits_get(store, &back), 0);
    ck_assert_uint_eq(back.unflushed_bytes, unflushed);
    ck_assert_uint_eq(back.unconsumed_bytes, unconsumed);
}

static int32_t append(int32_t timeout_ms)
{
    const struct commitlog_slice body = {bytes_1000, sizeof(bytes_1000)};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = COMMITLOG_LEVEL_NONE,
                                            .body = &body,
                                            .body_count = 1};
    return commitlog_append_record(store, &record, timeout_ms, NULL, &err);
}

static uint64_t unflushed(void)
{
    const struct commitlog_positions at = store_positions();
    return at.claimed - at.durable;
}

START_TEST(too_much_that_is_not_flushed_is_flushed_or_refused)
{
    limit(10000, 0);
    int32_t rc = 0;
    uint32_t count = 0;
    while ((rc = append(0)) == 0 && count < 100) {
        count++;
    }
    ck_assert_int_eq(rc, COMMITLOG_EFULL);
    ck_assert_ptr_nonnull(strstr(err.message, "flushed"));
    ck_assert_uint_ge(count, 8);
    ck_assert_uint_le(count, 11);
    ck_assert_uint_le(unflushed(), 10000 + 1100);
    const uint64_t claimed = store_positions().claimed;
    ck_assert_int_eq(append(0), COMMITLOG_EFULL);
    ck_assert_uint_eq(store_positions().claimed, claimed);
    for (int i = 0; i < 100; i++) { /* with time it flushes */
        ck_assert_int_eq(append(1000), 0);
        ck_assert_uint_le(unflushed(), 10000 + 1100);
    }
    while (append(0) == 0) {
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, 0, &err), 0);
    ck_assert_int_eq(append(0), 0);
    limit(0, 0);
    for (int i = 0; i < 30; i++) {
        ck_assert_int_eq(append(0), 0);
    }
}
END_TEST

START_TEST(too_much_that_is_not_consumed_is_refused)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 0};
    uint32_t count = 0;
    int32_t rc;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    limit(0, 20000);
    while ((rc = append(0)) == 0 && count < 100) {
        count++;
    }
    ck_assert_int_eq(rc, COMMITLOG_EFULL);
    ck_assert_ptr_nonnull(strstr(err.message, "consumed"));
    ck_assert_uint_ge(count, 17);
    ck_assert_uint_le(count, 21);
    ck_assert_int_eq(append(50), COMMITLOG_EFULL); /* it waits, and nobody comes */

    /* What consumers do is not held back, and lets producers go on. */
    offset.offset = 10;
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    uint32_t more = 0;
    while ((rc = append(0)) == 0 && more < 100) {
        more++;
    }
    ck_assert_int_eq(rc, COMMITLOG_EFULL);
    ck_assert_uint_ge(more, 8);
    ck_assert_uint_le(more, 11);

    struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    struct commitlog_reservation *reservation = NULL;
    void *body = NULL;
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &reservation, &body, &err),
                     COMMITLOG_EFULL);
    ck_assert_int_eq(commitlog_append_batch(store, &record, 1, 0, NULL, &err), COMMITLOG_EFULL);
    struct commitlog_transaction *transaction = begin();
    ck_assert_int_eq(half(transaction, 0, 1, COMMITLOG_LEVEL_NONE, NULL), COMMITLOG_EFULL);
    commitlog_transaction_close(transaction);

    /* A group that does not keep counts for nothing. */
    ck_assert_int_eq(commitlog_group_configure(group, 0, COMMITLOG_LEVEL_NONE, &err), 0);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(append(0), 0);
    }
    commitlog_group_close(group);
}
END_TEST

/* What is kept of where consumers are is a bound for those that only go on. */
START_TEST(a_group_that_is_set_back_has_all_to_consume_again)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 0};
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    limit(0, 10000);
    for (int i = 0; i < 40; i++) { /* consumed as they come */
        ck_assert_int_eq(append(0), 0);
        offset.offset++;
        ck_assert_int_eq(
            commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    }
    for (int way = 0; way < 2; way++) {
        ck_assert_int_eq(append(0), 0);
        if (way == 0) {
            ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_FIRST, 0,
                                                   COMMITLOG_LEVEL_NONE, &err),
                             0);
        } else { /* it keeps again what it has not consumed */
            ck_assert_int_eq(
                commitlog_group_configure(group, COMMITLOG_GROUP_KEEP, COMMITLOG_LEVEL_NONE, &err),
                0);
        }
        ck_assert_int_eq(append(0), COMMITLOG_EFULL);
        ck_assert_ptr_nonnull(strstr(err.message, "consumed"));
        ck_assert_int_eq(commitlog_group_configure(group, 0, COMMITLOG_LEVEL_NONE, &err), 0);
    }
    commitlog_group_close(group);
}
END_TEST

/* What is delivered by reference lies where it was delivered, as far as consumers are concerned. */
START_TEST(a_message_counts_from_its_delivery)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 0};
    teardown(); /* small segments from the first one on */
    setup();
    open_store();
    for (int i = 0; i < 80; i++) { /* more than one */
        ck_assert_int_eq(append(0), 0);
    }
    struct commitlog_transaction *transaction = begin();
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    ck_assert_int_eq(half(transaction, 0, 1, COMMITLOG_LEVEL_NONE, NULL), 0);
    for (int i = 0; i < 40; i++) {
        ck_assert_int_eq(append(0), 0);
    }
    offset.offset = 120;
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    ck_assert_int_eq(commit(transaction, COMMITLOG_LEVEL_NONE, NULL), 0);
    commitlog_transaction_close(transaction);
    limit(0, 10000);
    uint32_t more = 0;
    int32_t rc = 0;
    while ((rc = append(0)) == 0 && more < 100) {
        more++;
    }
    ck_assert_int_eq(rc, COMMITLOG_EFULL);
    ck_assert_uint_ge(more, 8);
    ck_assert_uint_le(more, 11);
    commitlog_group_close(group);
}
END_TEST

START_TEST(limits_that_cannot_be_are_refused)
{
    struct commitlog_limits limits = {.struct_bytes = sizeof(limits), .reserved = 1};
    ck_assert_int_eq(commitlog_limits_set(store, &limits, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_limits_set(store, NULL, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_limits_set(NULL, &limits, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_limits_get(store, NULL), COMMITLOG_EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("limits");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, limits_setup, teardown);
    tcase_add_test(all, too_much_that_is_not_flushed_is_flushed_or_refused);
    tcase_add_test(all, too_much_that_is_not_consumed_is_refused);
    tcase_add_test(all, a_group_that_is_set_back_has_all_to_consume_again);
    tcase_add_test(all, a_message_counts_from_its_delivery);
    tcase_add_test(all, limits_that_cannot_be_are_refused);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
