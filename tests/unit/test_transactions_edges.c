/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transactions_edges.c -- transactions where something else is not as it should be: hostile or
 * damaged stores, bad sectors, segments that are too small.
 */
#include "support/run_suite.h"
#include "unit/raw_transaction_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE };

static struct commitlog_transaction_info info;

/* One that is as it should be beside what is not; its messages go to queue 5. */
static uint64_t prepare_good(void)
{
    struct commitlog_transaction *transaction = begin();
    ck_assert_int_eq(half(transaction, 5, 1, NONE, NULL), 0);
    ck_assert_int_eq(half(transaction, 5, 2, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    return id;
}

static int32_t commit_number(uint64_t id)
{
    struct commitlog_transaction *transaction = NULL;
    int32_t rc = commitlog_transaction_open(store, id, &transaction, &err);
    rc = rc == COMMITLOG_OK ? commit(transaction, NONE, NULL) : rc;
    commitlog_transaction_close(transaction);
    return rc;
}

static int32_t roll_back_number(uint64_t id)
{
    struct commitlog_transaction *transaction = NULL;
    int32_t rc = commitlog_transaction_open(store, id, &transaction, &err);
    rc = rc == COMMITLOG_OK ? roll_back(transaction) : rc;
    commitlog_transaction_close(transaction);
    return rc;
}

static void check_good(uint64_t id)
{
    ck_assert_msg(commit_number(id) == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_eq(queue_end(5), 2);
    ck_assert_uint_eq(number_at(5, 0, NULL), 1);
    ck_assert_uint_eq(number_at(5, 1, NULL), 2);
}

/* ---- logs that nobody writes ---- */

/* As what is left where the first one was damaged. */
START_TEST(a_message_without_what_began_its_transaction_is_rolled_back)
{
    const uint64_t good = prepare_good();
    put(0, 10);
    const uint64_t id = store_positions().claimed - 64;
    (void)append_half_raw(&(struct clg_transaction_half){.transaction = id, .queue_number = 1});
    reopen();
    ck_assert_uint_eq(open_count(&info), 2);
    ck_assert(info.transaction == id && info.messages == 1 && info.prepared == 0);
    ck_assert_uint_eq(info.group_bytes, 0);
    ck_assert_int_eq(commit_number(id), COMMITLOG_EMISUSE);
    step_all();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_uint_eq(queue_end(1), 0);
    ck_assert(was_told("its process is gone"));
    check_good(good);
}
END_TEST

/* What was prepared and lacks a message cannot be whole: it is not delivered in part. */
START_TEST(what_lacks_its_first_message_is_not_committed)
{
    put(0, 10);
    const uint64_t id = store_positions().claimed - 64;
    (void)append_half_raw(&(struct clg_transaction_half){.transaction = id, .queue_number = 1});
    (void)append_mark_raw(&(struct clg_transaction_mark){.operation = CLG_TRANSACTION_PREPARE,
                                                         .transaction = id,
                                                         .expire_at_ms = now_ms() + 1000000,
                                                         .messages = 2},
                          NULL);
    reopen();
    step_all();
    ck_assert_int_eq(commit_number(id), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(roll_back_number(id), COMMITLOG_OK);
    ck_assert_uint_eq(queue_end(1), 0);
}
END_TEST

START_TEST(marks_of_numbers_that_nobody_has_are_passed_over)
{
    const uint64_t good = prepare_good();
    const uint32_t operations[] = {CLG_TRANSACTION_PREPARE, CLG_TRANSACTION_ROLLBACK,
                                   CLG_TRANSACTION_COMMIT};
    const uint64_t numbers[] = {8, good + 8, store_positions().claimed + 80,
                                CLG_POSITION_MAX / 8 * 8};
    for (uint32_t i = 0; i < 12; i++) {
        (void)append_mark_raw(&(struct clg_transaction_mark){.operation = operations[i / 4],
                                                             .transaction = numbers[i % 4],
                                                             .expire_at_ms = 1},
                              NULL);
    }
    reopen();
    step_all();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert(info.transaction == good && info.prepared == 1);
    check_good(good);
}
END_TEST

/* Nothing can belong to what begins behind it. */
START_TEST(numbers_ahead_are_no_transactions)
{
    struct commitlog_group *group = NULL;
    const struct clg_group_entry entry = {.queue_number = 3};
    const uint64_t good = prepare_good();
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    commitlog_group_close(group);
    for (uint64_t ahead = 0; ahead < 8192; ahead += 4000) {
        const struct clg_transaction_mark state = {.operation = CLG_TRANSACTION_STATE,
                                                   .transaction = store_positions().claimed + ahead,
                                                   .prepared = true,
                                                   .expire_at_ms = now_ms() + 100000,
                                                   .group = (const uint8_t *)""};
        (void)append_mark_raw(&state, NULL);
        (void)append_half_raw(&(struct clg_transaction_half){
            .transaction = store_positions().claimed + ahead, .queue_number = 1});
        (void)append_half_raw(&(struct clg_transaction_half){
            .transaction = good, .message = store_positions().claimed + ahead, .queue_number = 1});
        (void)append_mark_raw(
            &(struct clg_transaction_mark){.operation = CLG_TRANSACTION_OFFSETS,
                                           .transaction = store_positions().claimed + ahead,
                                           .offsets = {.name = (const uint8_t *)"g",
                                                       .name_bytes = 1,
                                                       .operation = CLG_GROUP_OFFSETS,
                                                       .count = 1}},
            &entry);
    }
    reopen();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert(info.transaction == good && info.messages == 2);
    step_all();
    check_good(good);
}
END_TEST

/* As a .state that says so would have it: a message lies at nothing, at a mark, at a message of
 * another, at another of its own, beyond the end. */
START_TEST(a_message_that_lies_where_none_is_is_not_committed)
{
    struct commitlog_receipt receipts[3];
    struct commitlog_retained retained;
    struct commitlog_transaction *other = begin();
    struct commitlog_transaction *transaction = begin();
    const uint64_t good = prepare_good();
    ck_assert_int_eq(half(other, 1, 8, NONE, &receipts[0]), 0);
    ck_assert_int_eq(half(transaction, 1, 9, NONE, &receipts[1]), 0);
    ck_assert_int_eq(half(transaction, 2, 10, NONE, &receipts[2]), 0);
    const uint64_t mark = store_positions().claimed;
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    put(0, 3000);
    const uint64_t positions[] = {mark,
                                  receipts[0].position,
                                  receipts[2].position,
                                  receipts[1].position + 8,
                                  CLG_SEGMENT_DATA_START,
                                  CLG_POSITION_MAX / 8 * 8 - 800,
                                  store_positions().claimed + 4096};
    struct clg_transaction *open = clg_transaction_find(&store->transactions, receipts[1].position);
    ck_assert(open != NULL && open->message_count == 2);
    open->messages[0].position = positions[_i];
    int32_t rc = commit(transaction, NONE, NULL);
    ck_assert_msg(rc == COMMITLOG_EDAMAGED, "%s", commitlog_error_name(rc));
    ck_assert_uint_eq(queue_end(1), 0);
    ck_assert_uint_eq(queue_end(2), 0);
    if (positions[_i] < CLG_SEGMENT_DATA_START + segment_bytes / 2) { /* it lies in what goes */
        ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
        ck_assert_int_eq(roll_back(transaction), COMMITLOG_ENOTFOUND);
    }
    commitlog_transaction_close(transaction);
    ck_assert_int_eq(commit(other, NONE, NULL), 0);
    commitlog_transaction_close(other);
    ck_assert_uint_eq(number_at(1, 0, NULL), 8);
    check_good(good);
}
END_TEST

/* Of a transaction that nobody began a state or offsets make one, which ends like others. */
START_TEST(a_state_or_offsets_by_themselves_are_an_empty_transaction)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 3};
    const struct clg_group_entry entry = {.queue_number = 3, .offset = 2};
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    put(3, 4);
    const uint64_t number = store_positions().claimed - 64;
    const struct clg_transaction_mark state = {.operation = CLG_TRANSACTION_STATE,
                                               .transaction = number,
                                               .prepared = true,
                                               .begin_ms = now_ms(),
                                               .expire_at_ms = now_ms() + 100000,
                                               .groups = _i == 0 ? 1 : 0,
                                               .group = (const uint8_t *)""};
    const struct clg_transaction_mark offsets = {.operation = CLG_TRANSACTION_OFFSETS,
                                                 .transaction = _i == 2 ? number - 64 : number,
                                                 .offsets = {.name = (const uint8_t *)"g",
                                                             .name_bytes = 1,
                                                             .operation = CLG_GROUP_OFFSETS,
                                                             .count = 1}};
    if (_i != 1) {
        (void)append_mark_raw(&state, NULL);
    }
    (void)append_mark_raw(&offsets, &entry);
    commitlog_group_close(group);
    reopen();
    ck_assert_uint_eq(open_count(&info), _i == 2 ? 2 : 1);
    step_all();
    ck_assert_uint_eq(open_count(&info), _i == 1 ? 0 : 1);
    ck_assert_int_eq(commit_number(number), _i == 1 ? COMMITLOG_ENOTFOUND : COMMITLOG_OK);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, 0, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    ck_assert_uint_eq(offset.offset, _i == 0 ? 2 : UINT64_MAX);
    commitlog_group_close(group);
    reopen();
    step_all();
    ck_assert_uint_eq(open_count(&info), 0);
}
END_TEST

/* Offsets of a group that is not there, of queues that no topic has, beyond the end of a queue. */
START_TEST(offsets_of_nothing_are_not_committed)
{
    struct commitlog_group *group = NULL;
    const struct clg_group_entry entries[] = {{.queue_number = 3, .offset = 2},
                                              {.queue_number = 999, .offset = 2},
                                              {.queue_number = 3, .offset = 1u << 30}};
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    put(3, 4);
    const uint64_t good = prepare_good();
    (void)append_mark_raw(
        &(struct clg_transaction_mark){.operation = CLG_TRANSACTION_OFFSETS,
                                       .transaction = good,
                                       .offsets = {.name = (const uint8_t *)(_i == 0 ? "n" : "g"),
                                                   .name_bytes = 1,
                                                   .operation = CLG_GROUP_OFFSETS,
                                                   .count = 1}},
        &entries[_i]);
    (void)append_mark_raw(&(struct clg_transaction_mark){.operation = CLG_TRANSACTION_PREPARE,
                                                         .transaction = good,
                                                         .expire_at_ms = now_ms() + 100000,
                                                         .messages = 2,
                                                         .groups = 1},
                          NULL);
    commitlog_group_close(group);
    reopen();
    int32_t rc = commit_number(good);
    ck_assert_msg(_i != 0 || rc == COMMITLOG_OK, "%s", commitlog_error_name(rc));
    if (rc != COMMITLOG_OK) {
        ck_assert_uint_eq(queue_end(5), 0);
        ck_assert_int_eq(roll_back_number(good), COMMITLOG_OK);
    }
    reopen();
    step_all();
    ck_assert_uint_eq(open_count(&info), 0);
}
END_TEST

START_TEST(what_does_not_decode_is_passed_over)
{
    const uint64_t good = prepare_good();
    uint8_t bytes[600];
    struct rng rng;
    rng_begin(&rng, 1 + (uint64_t)_i);
    for (uint32_t i = 0; i < 2000; i++) {
        const size_t count = (size_t)rng_below(&rng, i % 2 == 0 ? 64 : sizeof(bytes));
        bytes_fill(bytes, count, rng_next(&rng));
        for (uint32_t at = 0; at + 4 <= count && at < 48; at += 4) { /* numbers that are near */
            const uint32_t small = (uint32_t)rng_below(&rng, 8);
            if (rng_chance(&rng, 2, 3)) {
                memcpy(bytes + at, &small, sizeof(small));
            }
        }
        if (i % 4 < 2) {
            (void)append_value_raw(CLG_KIND_TRANSACTION, CLG_QUEUE_NONE, bytes,
                                   count < 268 ? count : 268);
        } else {
            (void)append_raw(CLG_KIND_TRANSACTION, CLG_QUEUE_NONE, NULL, 0, bytes, count);
        }
    }
    reopen();
    for (uint32_t i = 0; i < 50; i++) {
        step_all();
    }
    uint64_t after = 0;
    info.struct_bytes = sizeof(info);
    while (commitlog_transaction_next(store, after, &info) == COMMITLOG_OK) {
        after = info.transaction;
        int32_t rc = after == good ? COMMITLOG_OK : commit_number(after);
        if (rc != COMMITLOG_OK) {
            ck_assert_int_eq(roll_back_number(after), COMMITLOG_OK);
        }
    }
    check_good(good);
    reopen();
    step_all();
    ck_assert_uint_eq(open_count(&info), 0);
}
END_TEST

/* A store may say so: by hostility, or because the topic's definition was lost with what was
 * damaged. */
START_TEST(a_message_for_a_queue_that_is_not_there_kills_nobody)
{
    struct commitlog_transaction_message message = {.struct_bytes = sizeof(message)};
    struct commitlog_retained retained;
    const uint8_t name[] = "bank";
    const uint64_t good = prepare_good();
    const uint64_t id = append_half_raw(&(struct clg_transaction_half){
        .queue_number = 999, .group = name, .group_bytes = 4, .prepared = true});
    reopen();
    ck_assert_uint_eq(open_count(&info), 2);
    ck_assert_int_eq(commitlog_transaction_message(store, id, 0, &message), 0);
    ck_assert(message.topic == UINT32_MAX && message.queue == UINT32_MAX);
    put(0, 2500);
    ck_assert_int_eq(retain(1, &retained), 0);
    ck_assert_uint_gt(retained.first, id);
    int32_t rc = commit_number(id);
    ck_assert_msg(rc == COMMITLOG_EDAMAGED, "%s: %s", commitlog_error_name(rc), err.message);
    ck_assert_int_eq(roll_back_number(id), 0);
    check_good(good);
}
END_TEST

/* References that say they deliver a message of a transaction, and lead elsewhere. */
START_TEST(references_to_anything_do_not_stop_a_reader)
{
    struct commitlog_transaction *transaction = begin();
    struct commitlog_receipt receipt;
    struct commitlog_message message;
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    uint64_t bound = 99;
    ck_assert_int_eq(half(transaction, 2, 7, NONE, &receipt), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    commitlog_transaction_close(transaction);
    const uint64_t good = prepare_good();
    const uint64_t end = store_positions().claimed;
    const uint64_t positions[] = {
        end,       end + 80, end + (1u << 20),       CLG_POSITION_MAX / 8 * 8,
        8,         good,     CLG_SEGMENT_DATA_START, receipt.position,
        good + 16, end - 64};
    /* It says so of a number that is not open, its own, or the first's. */
    (void)append_reference_raw(1, positions[_i], 77, _i % 2 == 0 ? 4096 : receipt.position);
    reopen();
    put(1, 1);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound);
    ck_assert_msg(rc == COMMITLOG_EEXPIRED || rc == COMMITLOG_EDAMAGED, "%s",
                  commitlog_error_name(rc));
    ck_assert_uint_eq(bound, 0);
    ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, 1), 0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound), 0);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commit_number(receipt.position),
                     _i % 2 == 0 ? COMMITLOG_OK : COMMITLOG_ENOTFOUND);
    check_good(good);
}
END_TEST

/* A copy that was delivered of one that is open: it ends it, and is read like any message. */
START_TEST(a_copy_that_nobody_delivered_ends_its_transaction)
{
    const uint64_t good = prepare_good();
    uint8_t value[CLG_TRANSACTION_HALF_BYTES_MAX];
    const struct clg_transaction_half copy = {
        .transaction = good, .message = good, .queue_number = 1};
    struct commitlog_message message;
    clg_transaction_half_encode(value, &copy);
    (void)append_value_raw(CLG_KIND_MESSAGE, 1, value, clg_transaction_half_bytes(&copy));
    reopen();
    ck_assert_uint_eq(number_at(1, 0, &message), UINT32_MAX);
    ck_assert_uint_eq(message.transaction, good);
    ck_assert_uint_eq(open_count(&info), 0);
    ck_assert_int_eq(commit_number(good), COMMITLOG_ENOTFOUND);
}
END_TEST

/* What retention stores again says, as the format has it, when a prepared one ends and how much it
 * had, and of others nothing: their time is their writer's. */
START_TEST(a_state_that_was_carried_has_a_time_if_it_is_prepared)
{
    struct commitlog_transaction *transaction = begin();
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct clg_transaction_mark mark;
    uint32_t count = 0;
    uint32_t states = 0;
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    if (_i == 1) {
        ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    }
    put(0, 2500);
    (void)retain_all();
    ck_assert_int_eq(commitlog_cursor_open_log(store, 0, &cursor, &err), 0);
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL) == COMMITLOG_OK) {
        if (message.kind == COMMITLOG_KIND_TRANSACTION && message.attributes.bytes == 0 &&
            clg_transaction_mark_decode(message.body.data, message.body.bytes, &mark) == 0 &&
            mark.operation == CLG_TRANSACTION_STATE) {
            ck_assert(mark.prepared == (_i == 1));
            ck_assert_msg(mark.prepared == (mark.expire_at_ms != 0), "it says %lld",
                          (long long)mark.expire_at_ms);
            ck_assert_uint_eq(mark.messages, mark.prepared ? 1 : 0);
            ck_assert_uint_eq(mark.groups, 0);
            states++;
        }
    }
    commitlog_cursor_close(cursor);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(states, 1);
}
END_TEST

/* It has all its time still: what the log does not say, the writer goes on knowing. */
START_TEST(one_that_was_carried_and_is_not_prepared_is_as_open_as_before)
{
    struct commitlog_transaction *transaction = begin_with(0, 600000, 0);
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    ck_assert_uint_eq(open_count(&info), 1);
    const int64_t expires_at_ms = info.expires_at_ms;
    put(0, 2500);
    (void)retain_all();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_int_eq(info.expires_at_ms, expires_at_ms);
    step_all();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(number_at(1, 0, NULL), 1);
}
END_TEST

/* ---- damage ---- */

/* A transaction of four messages, prepared and durable, one of which rots; 2 segments follow. */
static uint64_t prepare_damaged(uint32_t index, bool unreadable)
{
    struct commitlog_transaction *transaction = begin();
    struct commitlog_receipt receipts[4];
    for (uint32_t i = 0; i < 4; i++) {
        ck_assert_int_eq(half_bytes(transaction, 1, 300, &receipts[i]), 0);
    }
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    commitlog_transaction_close(transaction);
    put(0, 2000);
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    step_all();
    spoil(&receipts[index], unreadable);
    return receipts[0].position;
}

/* The writer knows that there is such a message: it was there when it opened. */
START_TEST(one_that_is_damaged_is_not_committed_and_retention_goes_on)
{
    struct commitlog_retained retained;
    const uint64_t good = prepare_good();
    const uint64_t id = prepare_damaged((uint32_t)_i % 4, false);
    if (_i >= 4) {
        reopen();
    }
    ck_assert_int_eq(commit_number(id), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(queue_end(1), 0);
    ck_assert_uint_eq(open_count(&info), 2);
    ck_assert_uint_eq(info.messages, 4);
    ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
    ck_assert_uint_gt(retained.first, id);
    ck_assert(was_told("is rolled back"));
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_int_eq(commit_number(id), COMMITLOG_ENOTFOUND);
    reopen();
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_uint_eq(queue_end(1), 0);
    check_good(good);
}
END_TEST

/* It may be read another time: it is not given up for that, and retention says which it is. */
START_TEST(one_in_a_bad_sector_holds_retention_until_somebody_decides)
{
    struct commitlog_retained retained;
    char name[64];
    const uint64_t good = prepare_good();
    const uint64_t id = prepare_damaged((uint32_t)_i, true);
    (void)snprintf(name, sizeof(name), "transaction %llu", (unsigned long long)id);
    store->options.values[COMMITLOG_OPT_BORROW] = 0; /* read by calls that can fail */
    ck_assert_int_eq(commit_number(id), COMMITLOG_EIO);
    ck_assert_uint_eq(queue_end(1), 0);
    ck_assert_int_eq(retain(1, &retained), COMMITLOG_EIO);
    ck_assert_msg(strstr(err.message, name) != NULL, "%s", err.message);
    ck_assert_uint_eq(open_count(&info), 2);
    ck_assert_int_eq(roll_back_number(id), 0);
    ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
    ck_assert_uint_gt(retained.first, id);
    check_good(good);
    reopen();
    ck_assert_uint_eq(open_count(&info), 0);
}
END_TEST

/* Carry-forward keeps what is open: one that lies before the first is nowhere, which is damage and
 * no matter of where the caller stands. */
START_TEST(one_whose_message_is_gone_is_damaged)
{
    struct commitlog_transaction *transaction = begin();
    struct commitlog_retained retained;
    put(0, 3000);
    ck_assert_int_eq(retain(1, &retained), 0);
    ck_assert_uint_gt(retained.segments_dropped, 0);
    ck_assert_int_eq(half(transaction, 1, 1, COMMITLOG_LEVEL_NONE, NULL), 0);
    store->transactions.transactions[0]->messages[0].position = retained.first - 4096;
    ck_assert_int_eq(commitlog_transaction_commit(transaction, COMMITLOG_LEVEL_NONE, 0, NULL, &err),
                     COMMITLOG_EDAMAGED);
    ck_assert_ptr_nonnull(strstr(err.message, "is gone"));
    ck_assert_uint_eq(queue_end(1), 0);
    ck_assert(was_told("a message of a transaction does not read"));
    commitlog_transaction_close(transaction);
}
END_TEST

/* Whoever has only the log, and that damaged, does not deliver what is left. */
START_TEST(one_that_is_damaged_is_not_committed_in_part)
{
    const uint64_t good = prepare_good();
    const uint64_t id = prepare_damaged((uint32_t)_i % 4, false);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    forget_views();
    if (_i >= 4) {
        ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
    }
    ck_assert_msg(store_open_with(commitlog_fault_os(machine), COMMITLOG_ENGINE_STAGED,
                                  COMMITLOG_RECOVER_SALVAGE) == COMMITLOG_OK,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    step_all();
    int32_t rc = commit_number(id);
    ck_assert_msg(rc != COMMITLOG_OK, "%llu of 4 messages were committed",
                  (unsigned long long)queue_end(1));
    ck_assert_uint_eq(queue_end(1), 0);
    check_good(good);
}
END_TEST

int main(void)
{
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    Suite *suite = suite_create("transactions, edges");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, edges_setup, teardown);
    tcase_add_test(cases, a_message_without_what_began_its_transaction_is_rolled_back);
    tcase_add_test(cases, what_lacks_its_first_message_is_not_committed);
    tcase_add_test(cases, marks_of_numbers_that_nobody_has_are_passed_over);
    tcase_add_test(cases, numbers_ahead_are_no_transactions);
    tcase_add_loop_test(cases, a_message_that_lies_where_none_is_is_not_committed, 0, 7);
    tcase_add_loop_test(cases, a_state_or_offsets_by_themselves_are_an_empty_transaction, 0, 3);
    tcase_add_loop_test(cases, offsets_of_nothing_are_not_committed, 0, 3);
    tcase_add_loop_test(cases, what_does_not_decode_is_passed_over, 0, 5);
    tcase_add_test(cases, a_message_for_a_queue_that_is_not_there_kills_nobody);
    tcase_add_loop_test(cases, references_to_anything_do_not_stop_a_reader, 0, 10);
    tcase_add_test(cases, a_copy_that_nobody_delivered_ends_its_transaction);
    tcase_add_loop_test(cases, a_state_that_was_carried_has_a_time_if_it_is_prepared, 0, 2);
    tcase_add_test(cases, one_that_was_carried_and_is_not_prepared_is_as_open_as_before);
    tcase_add_loop_test(cases, one_that_is_damaged_is_not_committed_and_retention_goes_on, 0, 8);
    tcase_add_loop_test(cases, one_in_a_bad_sector_holds_retention_until_somebody_decides, 0, 4);
    tcase_add_test(cases, one_whose_message_is_gone_is_damaged);
    tcase_add_loop_test(cases, one_that_is_damaged_is_not_committed_in_part, 0, 8);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
