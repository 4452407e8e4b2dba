/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_receipts.c -- what is acknowledged has the level that was asked for, also where nothing has
 * to be stored for it; and what batches and failed appends leave behind.
 */
#include "unit/transaction_fixture.h"

#include "../support/scratch.h"
#include "support/run_suite.h"

enum { BATCH = 300, BODY = 200, PRODUCERS = 131072 };

static void receipts_setup(void)
{
    setup();
    open_store();
}

static uint64_t not_durable(void)
{
    const struct commitlog_positions at = store_positions();
    return at.published - at.durable;
}

/* Each record says when it waits until, else what is in a batch is one and the same. */
static void batch(int64_t due_ms)
{
    static const uint8_t body[BODY];
    const struct commitlog_slice slice = {body, BODY};
    struct commitlog_record records[BATCH];
    struct commitlog_receipt receipts[BATCH];
    for (uint32_t i = 0; i < BATCH; i++) {
        records[i] = (struct commitlog_record){.struct_bytes = sizeof(records[i]),
                                               .topic = topic,
                                               .body = &slice,
                                               .body_count = 1,
                                               .level = COMMITLOG_LEVEL_DURABLE,
                                               .deliver_at_ms = due_ms};
    }
    ck_assert_msg(commitlog_append_batch(store, records, BATCH, 0, receipts, &err) == 0, "%s",
                  err.message);
}

/* What waits counts as large as it is, not as its batch: it is less than half of what is kept. */
START_TEST(a_batch_that_waits_does_not_stop_retention)
{
    static const uint8_t body[BODY];
    uint32_t dropped = 0;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    segment_bytes = 256 * 1024;
    stage_bytes = 1 << 20;
    open_store();
    batch(now_ms() + 1000000000);
    for (uint32_t i = 0; i < 8000; i++) {
        ck_assert_int_eq(
            commitlog_append(store, topic, 1, body, BODY, COMMITLOG_LEVEL_WRITTEN, NULL), 0);
    }
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = 4 * segment_bytes};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    ck_assert_msg(commitlog_retain(store, &policy, &retained, &err) == 0, "%s", err.message);
    dropped = retained.segments_dropped;
    ck_assert_uint_ge(dropped, 1);
}
END_TEST

static struct commitlog_record produced(uint64_t id, uint64_t sequence, uint32_t level,
                                        const struct commitlog_slice *body)
{
    return (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                     .topic = topic,
                                     .level = level,
                                     .body = body,
                                     .body_count = 1,
                                     .producer_id = id,
                                     .producer_epoch = 1,
                                     .sequence = sequence};
}

/* What the batch repeats was stored one by one, and only the first is durable. */
START_TEST(a_repeated_batch_is_durable_as_a_whole)
{
    const struct commitlog_slice body = {"x", 1};
    struct commitlog_record records[3];
    struct commitlog_receipt receipts[3];
    for (uint32_t i = 0; i < 3; i++) {
        records[i] =
            produced(7, i + 1, i == 0 ? COMMITLOG_LEVEL_DURABLE : COMMITLOG_LEVEL_NONE, &body);
        ck_assert_int_eq(commitlog_append_record(store, &records[i], 0, NULL, &err), 0);
        records[i].level = COMMITLOG_LEVEL_DURABLE;
    }
    ck_assert_uint_gt(not_durable(), 0);
    ck_assert_int_eq(commitlog_append_batch(store, records, 3, 0, receipts, &err), 0);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_uint_eq(receipts[i].duplicate, 1);
        ck_assert_uint_eq(receipts[i].level, COMMITLOG_LEVEL_DURABLE);
        ck_assert_uint_le(receipts[i].end_position, store_positions().durable);
    }
    ck_assert_uint_eq(store_stat("batches"), 0); /* nothing of it was stored */
}
END_TEST

/* Offsets that were committed already, in a transaction; a topic that has so many queues already.
 */
START_TEST(what_is_so_already_has_the_level_then)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 1};
    struct commitlog_receipt receipt = {.position = 0};
    put(0, 3);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, &receipt, &err), 0);
    ck_assert_uint_gt(not_durable(), 0);
    if (_i == 0) {
        struct commitlog_transaction *transaction = begin();
        ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
        ck_assert_int_eq(commit(transaction, COMMITLOG_LEVEL_DURABLE, NULL), 0);
        commitlog_transaction_close(transaction);
    } else {
        ck_assert_int_eq(commitlog_topic_grow(store, topic, QUEUES, COMMITLOG_LEVEL_DURABLE, &err),
                         0);
    }
    ck_assert_uint_eq(not_durable(), 0);
    commitlog_group_close(group);
}
END_TEST

/* A new producer beyond the most, whose append fails: the one heard longest ago is still known. */
START_TEST(a_failed_append_forgets_no_producer)
{
    static const uint8_t large[20000];
    const struct commitlog_slice body = {"x", 1};
    const struct commitlog_slice most = {large, sizeof(large)};
    struct commitlog_record record;
    struct commitlog_receipt receipt = {.position = 0};
    struct commitlog_reservation *reservation = NULL;
    void *place = NULL;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    segment_bytes = 64 << 20;
    open_store();
    for (uint64_t id = 1; id <= PRODUCERS; id++) {
        record = produced(id, 1, COMMITLOG_LEVEL_NONE, &body);
        ck_assert_int_eq(commitlog_append_record(store, &record, 1000, NULL, &err), 0);
    }
    record = (struct commitlog_record){.struct_bytes = sizeof(record), .topic = topic};
    ck_assert_int_eq(commitlog_reserve(store, &record, 10, 0, &reservation, &place, &err), 0);
    record.body = &most;
    record.body_count = 1;
    record.level = COMMITLOG_LEVEL_NONE;
    while (commitlog_append_record(store, &record, 0, NULL, &err) == 0) {
    }
    record = produced(PRODUCERS + 1, 1, COMMITLOG_LEVEL_NONE, &most);
    ck_assert_int_eq(commitlog_append_record(store, &record, 0, NULL, &err), COMMITLOG_ETIMEDOUT);
    ck_assert_int_eq(commitlog_abort(reservation), 0);
    record = produced(1, 1, COMMITLOG_LEVEL_NONE, &body);
    ck_assert_int_eq(commitlog_append_record(store, &record, 1000, &receipt, &err), 0);
    ck_assert_uint_eq(receipt.duplicate, 1);
    /* One that is stored takes the place of the oldest. */
    record = produced(PRODUCERS + 1, 1, COMMITLOG_LEVEL_NONE, &most);
    ck_assert_int_eq(commitlog_append_record(store, &record, 1000, &receipt, &err), 0);
    record = produced(1, 1, COMMITLOG_LEVEL_NONE, &body);
    ck_assert_int_ne(commitlog_append_record(store, &record, 1000, &receipt, &err) == 0 &&
                         receipt.duplicate == 1,
                     1);
}
END_TEST

/* Of topic 0, which is one: that a message is no dead letter is said as of any other. On files,
 * where messages without attributes are read in one go. */
START_TEST(a_message_that_is_no_dead_letter_has_no_origin)
{
    struct commitlog_message messages[4];
    struct commitlog_cursor *cursor = NULL;
    struct scratch scratch;
    uint32_t count = 0;
    scratch_begin(&scratch, "receipts");
    scratch_open(&scratch, 1);
    for (uint32_t i = 0; i < 4; i++) {
        (void)scratch_put(&scratch, 0, BODY, 1);
    }
    ck_assert_int_eq(commitlog_sync(scratch.store, UINT64_MAX, 1000, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(scratch.store, scratch.topic, 0, COMMITLOG_FROM_FIRST, 0,
                                           &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, messages, 4, 0, &count, NULL), 0);
    ck_assert_uint_eq(count, 4);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_uint_eq(messages[i].origin_topic, UINT32_MAX);
        ck_assert_uint_eq(messages[i].origin_queue, messages[0].origin_queue);
    }
    commitlog_cursor_close(cursor);
    scratch_end(&scratch);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("receipts");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, receipts_setup, teardown);
    tcase_add_test(cases, a_batch_that_waits_does_not_stop_retention);
    tcase_add_test(cases, a_repeated_batch_is_durable_as_a_whole);
    tcase_add_loop_test(cases, what_is_so_already_has_the_level_then, 0, 2);
    tcase_add_test(cases, a_failed_append_forgets_no_producer);
    tcase_add_test(cases, a_message_that_is_no_dead_letter_has_no_origin);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
