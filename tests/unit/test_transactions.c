/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transactions.c -- transactions: all or nothing, what outlives a process, what is said of
 * those that are open, and what ends them. test_transactions_model.c does the same at random.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE };

static struct commitlog_transaction_info info;

static void transactions_setup(void)
{
    setup();
    open_store();
}

START_TEST(nothing_is_seen_before_the_commit_and_all_after)
{
    struct commitlog_transaction *transaction = begin();
    struct commitlog_receipt receipts[3];
    struct commitlog_receipt committed;
    struct commitlog_message message;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_slice tag = {"half", 4};
    uint32_t count = 0;
    ck_assert_uint_eq(commitlog_transaction_id(transaction), 0);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_msg(half(transaction, i % 2, 70 + i, NONE, &receipts[i]) == 0, "%s", err.message);
        ck_assert_uint_eq(receipts[i].queue_offset, 0);
        ck_assert_uint_eq(commitlog_transaction_id(transaction), receipts[0].position);
    }
    step_all();
    ck_assert_uint_eq(queue_end(0), 0);
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
    put(0, 1);
    ck_assert_msg(commit(transaction, NONE, &committed) == 0, "%s", err.message);
    ck_assert_uint_eq(committed.queue_offset, 1);
    ck_assert_uint_eq(queue_end(0), 3);
    ck_assert_uint_eq(queue_end(1), 1);
    ck_assert_uint_eq(number_at(0, 1, &message), 70);
    ck_assert_uint_eq(message.position, committed.position);
    ck_assert_uint_eq(message.origin_position, receipts[0].position);
    ck_assert_uint_eq(message.transaction, receipts[0].position);
    ck_assert_uint_eq(number_at(1, 0, NULL), 71);
    ck_assert_uint_eq(number_at(0, 2, &message), 72);
    ck_assert_uint_eq(message.transaction, receipts[0].position);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST,
                                           0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursor, &tag, 1), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    ck_assert_uint_eq(message.origin_position, receipts[0].position);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_cursor_open_key(store, topic, "key", 3, 0, INT64_MAX, &cursor, &err),
                     0);
    struct commitlog_message found[4];
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, found, 4, 0, &count, NULL), 0);
    ck_assert_uint_eq(count, 3);
    ck_assert_uint_eq(found[0].origin_position, receipts[2].position);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commit(transaction, NONE, NULL), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(half(transaction, 0, 1, NONE, NULL), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(roll_back(transaction), COMMITLOG_ENOTFOUND);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(open_count(&info), 0);
    restart(true);
    forget_views();
    ck_assert_uint_le(queue_end(0), 3);
}
END_TEST

START_TEST(a_commit_that_is_durable_is_whole_after_a_power_cut)
{
    struct commitlog_transaction *transaction = begin();
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_int_eq(half(transaction, i, i, NONE, NULL), 0);
    }
    ck_assert_int_eq(commit(transaction, DURABLE, NULL), 0);
    commitlog_transaction_close(transaction);
    restart(true);
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(queue_end(i), 1);
        ck_assert_uint_eq(number_at(i, 0, NULL), i);
    }
    ck_assert_uint_eq(open_count(&info), 0);
}
END_TEST

START_TEST(a_prepared_one_outlives_its_process_and_others_do_not)
{
    struct commitlog_transaction *prepared = begin();
    struct commitlog_transaction *other = begin();
    struct commitlog_transaction_message message = {.struct_bytes = sizeof(message)};
    struct commitlog_receipt receipts[2];
    const int64_t began = now_ms();
    ck_assert_int_eq(half(prepared, 1, 1, NONE, &receipts[0]), 0);
    ck_assert_int_eq(half(other, 1, 2, NONE, NULL), 0);
    ck_assert_int_eq(half(prepared, 2, 3, NONE, &receipts[1]), 0);
    ck_assert_uint_eq(open_count(&info), 2);
    ck_assert_uint_eq(info.prepared, 0);
    ck_assert_int_eq(commitlog_transaction_prepare(prepared, DURABLE, 0, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(prepared, DURABLE, 0, &err), COMMITLOG_EMISUSE);
    ck_assert_int_eq(half(prepared, 1, 1, NONE, NULL), COMMITLOG_EMISUSE);
    commitlog_transaction_close(prepared);
    ck_assert_uint_eq(open_count(&info), 2);
    struct commitlog_fault *next = NULL; /* as it is with the other handle open */
    ck_assert_int_eq(commitlog_fault_clone(machine, 5, &next), 0);
    commitlog_transaction_close(other);
    die_on(next, true);
    open_store();
    step_all();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_uint_eq(info.transaction, receipts[0].position);
    ck_assert_uint_eq(info.prepared, 1);
    ck_assert_uint_eq(info.messages, 2);
    ck_assert_uint_eq(info.group_bytes, 4);
    ck_assert_str_eq(info.group, "bank");
    ck_assert_int_ge(info.begin_ms, began);
    ck_assert_int_ge(info.expires_at_ms, began + 86400000);
    for (uint32_t i = 0; i < 2; i++) {
        ck_assert_int_eq(commitlog_transaction_message(store, info.transaction, i, &message), 0);
        ck_assert_uint_eq(message.position, receipts[i].position);
        ck_assert_uint_eq(message.topic, topic);
        ck_assert_uint_eq(message.queue, i + 1);
    }
    ck_assert_int_eq(commitlog_transaction_message(store, info.transaction, 2, &message),
                     COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_transaction_open(store, info.transaction, &prepared, &err), 0);
    ck_assert_int_eq(commit(prepared, NONE, NULL), 0);
    ck_assert_uint_eq(number_at(1, 0, NULL), 1);
    ck_assert_uint_eq(number_at(2, 0, NULL), 3);
    commitlog_transaction_close(prepared);
    ck_assert_int_eq(commitlog_transaction_open(store, info.transaction, &prepared, &err),
                     COMMITLOG_ENOTFOUND);
}
END_TEST

START_TEST(one_that_begins_prepared_needs_no_more)
{
    struct commitlog_transaction *transaction = begin_with(COMMITLOG_TRANSACTION_PREPARED, 0, 5000);
    struct commitlog_receipt receipt;
    ck_assert_int_eq(half(transaction, 1, 1, DURABLE, &receipt), 0);
    ck_assert_int_eq(half(transaction, 2, 2, DURABLE, NULL), COMMITLOG_EMISUSE);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err),
                     COMMITLOG_EMISUSE);
    commitlog_transaction_close(transaction);
    restart(true);
    step_all();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_uint_eq(info.prepared, 1);
    ck_assert_uint_eq(info.messages, 1);
    ck_assert_int_le(info.expires_at_ms, now_ms() + 5000);
    pass_ms(6000);
    step_all();
    ck_assert_uint_eq(open_count(&info), 0);
    ck_assert_uint_eq(queue_end(1), 0);
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    bool told = false;
    while (commitlog_event_next(store, &event) == COMMITLOG_OK) {
        told = told || strstr(event.detail.message, "nobody decided in time") != NULL;
    }
    ck_assert(told);
}
END_TEST

/* Which may end before the time to prepare would have. */
START_TEST(a_prepared_one_has_a_time_of_its_own)
{
    struct commitlog_transaction *transaction = begin_with(0, 600000, 1000);
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    step_all();
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    step_all();
    ck_assert_uint_eq(open_count(&info), 1);
    pass_ms(1100);
    step_all();
    ck_assert_uint_eq(open_count(&info), 0);
    ck_assert_int_eq(commit(transaction, NONE, NULL), COMMITLOG_ENOTFOUND);
    commitlog_transaction_close(transaction);
}
END_TEST

START_TEST(what_is_rolled_back_never_comes)
{
    struct commitlog_transaction *transaction = begin();
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    ck_assert_int_eq(roll_back(transaction), 0);
    ck_assert_int_eq(commit(transaction, NONE, NULL), COMMITLOG_ENOTFOUND);
    commitlog_transaction_close(transaction);
    transaction = begin();
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(open_count(&info), 0);
    restart(false);
    step_all();
    ck_assert_uint_eq(open_count(&info), 0);
    ck_assert_uint_eq(queue_end(1), 0);
}
END_TEST

START_TEST(the_close_of_the_store_rolls_back)
{
    struct commitlog_transaction *prepared = begin();
    struct commitlog_transaction *other = begin();
    ck_assert_int_eq(half(prepared, 1, 1, NONE, NULL), 0);
    ck_assert_int_eq(half(other, 1, 1, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(prepared, NONE, 0, &err), 0);
    restart(false);
    ck_assert_uint_eq(open_count(&info), 1); /* without a step */
    ck_assert_uint_eq(info.transaction, commitlog_transaction_id(prepared));
    ck_assert_int_eq(commit(other, NONE, NULL), COMMITLOG_ECLOSED);
    commitlog_transaction_close(other);
    commitlog_transaction_close(prepared);
    ck_assert_uint_eq(open_count(&info), 1);
}
END_TEST

START_TEST(its_time_ends)
{
    struct commitlog_transaction *transaction = begin_with(0, 1000, 0);
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    pass_ms(900);
    step_all();
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    pass_ms(200);
    step_all();
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commit(transaction, NONE, NULL), COMMITLOG_ENOTFOUND);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(queue_end(1), 0);
}
END_TEST

START_TEST(one_without_messages_commits_offsets_or_nothing)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 3, .offset = 2};
    struct commitlog_receipt receipt = {.position = 5};
    put(3, 4);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    struct commitlog_transaction *transaction = begin();
    ck_assert_int_eq(commit(transaction, NONE, &receipt), 0);
    ck_assert_uint_eq(receipt.position, 5);
    ck_assert_int_eq(commit(transaction, NONE, NULL), COMMITLOG_ENOTFOUND);
    commitlog_transaction_close(transaction);

    transaction = begin();
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    ck_assert_uint_eq(offset.offset, UINT64_MAX);
    ck_assert_int_eq(commit(transaction, NONE, &receipt), 0);
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    ck_assert_uint_eq(offset.offset, 2);
    commitlog_transaction_close(transaction);

    transaction = begin();
    offset.offset = 3;
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err), 0);
    uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
    restart(true);
    step_all();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_uint_eq(info.transaction, id);
    ck_assert_uint_eq(info.messages, 0);
    ck_assert_uint_eq(info.offset_groups, 1);
    ck_assert_int_eq(commitlog_transaction_open(store, id, &transaction, &err), 0);
    ck_assert_int_eq(commit(transaction, DURABLE, &receipt), 0);
    commitlog_transaction_close(transaction);
    restart(true);
    forget_views();
    step_all();
    ck_assert_uint_eq(open_count(&info), 0);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, 0, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    ck_assert_uint_eq(offset.offset, 3);
    commitlog_group_close(group);
}
END_TEST

START_TEST(offsets_are_judged_at_once_and_at_the_commit)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offsets[2] = {{topic, 3, 2}, {topic, 4, 0}};
    uint32_t epoch = 0;
    put(3, 4);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    struct commitlog_transaction *transaction = begin();
    offsets[0].offset = 9;
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, offsets, 1, &err),
                     COMMITLOG_EBEYOND);
    offsets[0].offset = 3;
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 5, offsets, 1, &err),
                     COMMITLOG_EFENCED);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, offsets, 2, &err), 0);
    offsets[0].offset = 4;
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, offsets, 1, &err), 0);
    ck_assert_int_eq(half(transaction, 0, 1, NONE, NULL), 0);
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
    commitlog_transaction_close(transaction);
    ck_assert_int_eq(commitlog_group_fetch(group, offsets, 2, &err), 0);
    ck_assert_uint_eq(offsets[0].offset, 4);
    ck_assert_uint_eq(offsets[1].offset, 0);

    put(3, 4);
    transaction = begin();
    offsets[0].offset = 6;
    ck_assert_int_eq(half(transaction, 0, 1, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, offsets, 1, &err), 0);
    offsets[0].offset = 7; /* somebody else is further */
    ck_assert_int_eq(commitlog_group_commit(group, 0, offsets, 1, NONE, 0, NULL, &err), 0);
    ck_assert_int_eq(commit(transaction, NONE, NULL), COMMITLOG_ETOOSMALL);
    ck_assert_uint_eq(queue_end(0), 1);
    ck_assert_int_eq(roll_back(transaction), 0);
    commitlog_transaction_close(transaction);

    transaction = begin();
    offsets[0].offset = 8;
    ck_assert_int_eq(commitlog_group_next_epoch(group, NONE, &epoch, &err), 0);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, epoch, offsets, 1, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    ck_assert_int_eq(commitlog_group_next_epoch(group, NONE, &epoch, &err), 0);
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0); /* it was prepared before */
    ck_assert_int_eq(commitlog_group_fetch(group, offsets, 1, &err), 0);
    ck_assert_uint_eq(offsets[0].offset, 8);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
}
END_TEST

START_TEST(retention_carries_what_is_open)
{
    struct commitlog_transaction *prepared = begin();
    struct commitlog_transaction *other = begin_with(0, 600000, 0);
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 3, .offset = 2};
    put(3, 4);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(half(prepared, 1, 10 + i, NONE, NULL), 0);
        ck_assert_int_eq(half(other, 2, 20 + i, NONE, NULL), 0);
    }
    ck_assert_int_eq(commitlog_transaction_offsets(prepared, group, 0, &offset, 1, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(prepared, NONE, 0, &err), 0);
    for (int round = 0; round < 3; round++) {
        put(0, 2500);
        ck_assert_uint_gt(retain_all().segments_dropped, 0);
        ck_assert_uint_eq(open_count(&info), 2);
    }
    uint64_t first = store_positions().first;
    ck_assert_uint_gt(first, commitlog_transaction_id(other));
    ck_assert_int_eq(half(other, 2, 23, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, 0, &err), 0);
    ck_assert_int_eq(commit(other, NONE, NULL), 0);
    commitlog_transaction_close(other);
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_uint_eq(number_at(2, i, NULL), 20 + i);
    }
    uint64_t id = commitlog_transaction_id(prepared);
    commitlog_transaction_close(prepared);
    commitlog_group_close(group);
    restart(true);
    forget_views();
    restart(false);
    step_all();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_uint_eq(info.transaction, id);
    ck_assert_uint_eq(info.messages, 3);
    ck_assert_uint_eq(info.offset_groups, 1);
    ck_assert_str_eq(info.group, "bank");
    ck_assert_int_eq(commitlog_transaction_open(store, id, &prepared, &err), 0);
    ck_assert_msg(commit(prepared, NONE, NULL) == 0, "%s", err.message);
    commitlog_transaction_close(prepared);
    for (uint32_t i = 0; i < 3; i++) {
        struct commitlog_message message;
        ck_assert_uint_eq(number_at(1, i, &message), 10 + i);
        ck_assert_uint_eq(message.transaction, id);
    }
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, 0, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    ck_assert_uint_eq(offset.offset, 2);
    commitlog_group_close(group);
}
END_TEST

START_TEST(one_that_does_not_fit_a_segment_is_refused_in_time)
{
    struct commitlog_transaction *transaction = begin();
    uint32_t count = 0;
    int32_t rc;
    while ((rc = half(transaction, count % QUEUES, count, NONE, NULL)) == COMMITLOG_OK) {
        count++;
        ck_assert_uint_lt(count, 2000);
    }
    ck_assert_int_eq(rc, COMMITLOG_ETOOBIG);
    ck_assert_uint_gt(count, 500); /* references of 96 bytes in a segment of 65,536 */
    ck_assert_msg(commit(transaction, NONE, NULL) == 0, "%s", err.message);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_uint_eq(number_at(i % QUEUES, i / QUEUES, NULL), i);
    }
    commitlog_transaction_close(transaction);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    struct commitlog_transaction_options options = {.struct_bytes = sizeof(options),
                                                    .timeout_ms = INT64_C(2592000001)};
    struct commitlog_transaction *transaction = NULL;
    const uint64_t claimed = store_positions().claimed;
    ck_assert_int_eq(commitlog_transaction_begin(store, "g", 1, &options, &transaction, &err),
                     COMMITLOG_ETOOBIG);
    options.timeout_ms = -1;
    ck_assert_int_eq(commitlog_transaction_begin(store, "g", 1, &options, &transaction, &err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_transaction_begin(store, "", 0, NULL, &transaction, &err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_transaction_begin(store, "a\0b", 3, NULL, &transaction, &err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_transaction_open(store, 4096, &transaction, &err),
                     COMMITLOG_ENOTFOUND);
    ck_assert_ptr_null(transaction);
    transaction = begin();
    struct commitlog_slice body = {"x", 1};
    struct commitlog_record record = {
        .topic = topic, .body = &body, .body_count = 1, .deliver_at_ms = 1};
    ck_assert_int_eq(commitlog_transaction_append(transaction, &record, 0, NULL, &err),
                     COMMITLOG_EINVAL);
    record.deliver_at_ms = 0;
    record.producer_id = 1;
    record.sequence = 1;
    ck_assert_int_eq(commitlog_transaction_append(transaction, &record, 0, NULL, &err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(half(transaction, QUEUES, 1, NONE, NULL), COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, NULL, 0, NULL, 0, &err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_transaction_commit(transaction, 9, 0, NULL, &err), COMMITLOG_EINVAL);
    ck_assert_uint_eq(store_positions().claimed, claimed);
    ck_assert_uint_eq(open_count(&info), 0);
    ck_assert_int_eq(half(transaction, 0, 1, NONE, NULL), 0);
    struct commitlog_transaction *again = NULL;
    ck_assert_int_eq(
        commitlog_transaction_open(store, commitlog_transaction_id(transaction), &again, &err),
        COMMITLOG_EMISUSE);
    commitlog_transaction_close(transaction);
    commitlog_transaction_close(NULL);
}
END_TEST

START_TEST(a_reservation_before_it_makes_a_commit_wait)
{
    struct commitlog_transaction *transaction = begin();
    struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    struct commitlog_reservation *reservation = NULL;
    void *body = NULL;
    ck_assert_int_eq(commitlog_reserve(store, &record, 8, 0, &reservation, &body, &err), 0);
    ck_assert_int_eq(half(transaction, 1, 5, NONE, NULL), 0);
    ck_assert_int_eq(commit(transaction, NONE, NULL), COMMITLOG_ETIMEDOUT);
    memset(body, 1, 8);
    ck_assert_int_eq(commitlog_commit(reservation, 0, NULL, &err), 0);
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
    ck_assert_uint_eq(number_at(1, 0, NULL), 5);
    commitlog_transaction_close(transaction);
}
END_TEST

START_TEST(a_delivery_costs_at_most_a_hundred_bytes)
{
    struct commitlog_slice body = {
        "0123456789012345678901234567890123456789012345678901234567890123", 64};
    struct commitlog_record record = {
        .struct_bytes = sizeof(record), .topic = topic, .body = &body, .body_count = 1};
    struct commitlog_receipt receipt;
    ck_assert_int_eq(commitlog_append_record(store, &record, 0, &receipt, &err), 0);
    uint64_t plain = receipt.end_position - receipt.position;
    const uint32_t counts[] = {1, 20};
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t before = store_positions().claimed;
        struct commitlog_transaction *transaction = begin();
        for (uint32_t n = 0; n < counts[i]; n++) {
            ck_assert_int_eq(commitlog_transaction_append(transaction, &record, 0, NULL, &err), 0);
        }
        ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
        commitlog_transaction_close(transaction);
        uint64_t bytes = store_positions().claimed - before;
        printf("%u messages a transaction: %llu bytes of log for each beside itself\n", counts[i],
               (unsigned long long)(bytes / counts[i] - plain));
        ck_assert_uint_le(bytes - counts[i] * plain, counts[i] * UINT64_C(100));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("transactions");
    TCase *all = tcase_create("all");
    tcase_add_checked_fixture(all, transactions_setup, teardown);
    tcase_add_test(all, nothing_is_seen_before_the_commit_and_all_after);
    tcase_add_test(all, a_commit_that_is_durable_is_whole_after_a_power_cut);
    tcase_add_test(all, a_prepared_one_outlives_its_process_and_others_do_not);
    tcase_add_test(all, one_that_begins_prepared_needs_no_more);
    tcase_add_test(all, a_prepared_one_has_a_time_of_its_own);
    tcase_add_test(all, what_is_rolled_back_never_comes);
    tcase_add_test(all, the_close_of_the_store_rolls_back);
    tcase_add_test(all, its_time_ends);
    tcase_add_test(all, one_without_messages_commits_offsets_or_nothing);
    tcase_add_test(all, offsets_are_judged_at_once_and_at_the_commit);
    tcase_add_test(all, retention_carries_what_is_open);
    tcase_add_test(all, one_that_does_not_fit_a_segment_is_refused_in_time);
    tcase_add_test(all, what_cannot_be_is_refused);
    tcase_add_test(all, a_reservation_before_it_makes_a_commit_wait);
    tcase_add_test(all, a_delivery_costs_at_most_a_hundred_bytes);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
