/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transactions_limits.c -- how large a transaction may be, how many there may be, and what
 * retention and other sizes of segments mean for those that are open.
 */
#include "support/run_suite.h"
#include "unit/raw_transaction_fixture.h"

enum { NONE = COMMITLOG_LEVEL_NONE, DURABLE = COMMITLOG_LEVEL_DURABLE };
enum { GROUP_QUEUES = COMMITLOG_GROUP_OFFSETS_MAX };

static struct commitlog_transaction_info info;

static int32_t commit_number(uint64_t id)
{
    struct commitlog_transaction *transaction = NULL;
    int32_t rc = commitlog_transaction_open(store, id, &transaction, &err);
    rc = rc == COMMITLOG_OK ? commit(transaction, NONE, NULL) : rc;
    commitlog_transaction_close(transaction);
    return rc;
}

static void reopen_by(uint64_t segment)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    segment_bytes = segment;
    open_store();
}

static uint64_t topic_end(uint32_t id, uint32_t queues)
{
    uint64_t sum = 0;
    for (uint32_t q = 0; q < queues; q++) {
        struct commitlog_queue_info queue = {.struct_bytes = sizeof(queue)};
        ck_assert_int_eq(commitlog_queue_info(store, id, q, &queue), 0);
        sum += queue.next_offset;
    }
    return sum;
}

/* ---- what fits a segment ---- */

/* Topics whose definitions come before the first of their messages in each segment. */
static uint32_t make_topics(uint32_t *ids, uint32_t count, uint32_t name_bytes)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[256];
        memset(name, 'n', sizeof(name));
        (void)snprintf(name, sizeof(name), "%03u", i);
        name[3] = 'n';
        ck_assert_int_eq(commitlog_topic_open(store, name, name_bytes, 1, &ids[i], &err), 0);
    }
    return count;
}

static int32_t append_to(struct commitlog_transaction *transaction, uint32_t id, uint32_t keys,
                         size_t body_bytes)
{
    struct commitlog_slice body = {filling, body_bytes};
    struct commitlog_slice all_keys[64];
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = id,
                                      .level = NONE,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = all_keys,
                                      .key_count = keys,
                                      .tag = {"tag", keys % 2 == 0 ? 3 : 0}};
    for (uint32_t i = 0; i < keys; i++) {
        all_keys[i] = (struct commitlog_slice){&"0123456789"[i % 10], 1};
    }
    return commitlog_transaction_append(transaction, &record, 0, NULL, &err);
}

/* What was taken can be committed, wherever the segment stands: with many topics, many keys, as
 * many offsets as may be. */
START_TEST(what_was_taken_can_be_committed)
{
    static const struct {
        uint32_t topics, name_bytes, keys, offsets, prepares;
    } kinds[] = {{1, 5, 0, 0, 0},     {1, 255, 1, 0, 1},   {60, 255, 3, 0, 0},
                 {100, 255, 2, 0, 1}, {150, 100, 0, 0, 0}, {3, 9, 64, 0, 1},
                 {5, 20, 1, 2000, 0}, {5, 20, 0, 2000, 1}, {70, 255, 0, 500, 0}};
    static struct commitlog_group_offset offsets[GROUP_QUEUES];
    uint32_t ids[150];
    struct commitlog_group *group = NULL;
    uint32_t wide = 0;
    uint32_t count = 0;
    const uint32_t topics = make_topics(ids, kinds[_i / 4].topics, kinds[_i / 4].name_bytes);
    ck_assert_int_eq(commitlog_topic_open(store, "wide", 4, GROUP_QUEUES, &wide, &err), 0);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    struct commitlog_transaction *transaction = begin();
    for (uint32_t i = 0; i < kinds[_i / 4].offsets; i++) {
        offsets[i] = (struct commitlog_group_offset){wide, i, 0};
    }
    if (kinds[_i / 4].offsets > 0) {
        ck_assert_msg(commitlog_transaction_offsets(transaction, group, 0, offsets,
                                                    kinds[_i / 4].offsets, &err) == 0,
                      "%s", err.message);
    }
    int32_t rc = COMMITLOG_OK;
    while (rc == COMMITLOG_OK) {
        rc = append_to(transaction, ids[count % topics], kinds[_i / 4].keys, count % 50);
        count += rc == COMMITLOG_OK ? 1 : 0;
    }
    ck_assert_msg(rc == COMMITLOG_ETOOBIG, "%s: %s", commitlog_error_name(rc), err.message);
    ck_assert_uint_gt(count, 20);
    if (kinds[_i / 4].offsets > 0) { /* no more of these either */
        rc = commitlog_transaction_offsets(transaction, group, 0, offsets, 1, &err);
        ck_assert_msg(rc == COMMITLOG_OK, "%s", err.message);
    }
    if (kinds[_i / 4].prepares != 0) {
        ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    }
    put(0, (uint32_t)_i % 4 * 237); /* another place in the segment */
    ck_assert_msg(commit(transaction, NONE, NULL) == COMMITLOG_OK, "%u messages: %s", count,
                  err.message);
    commitlog_transaction_close(transaction);
    uint64_t delivered = 0;
    for (uint32_t i = 0; i < topics; i++) {
        delivered += topic_end(ids[i], 1);
    }
    ck_assert_uint_eq(delivered, count);
    commitlog_group_close(group);
}
END_TEST

/* What lies behind it in memory is not the caller's to speak of: so many keys no commit would hold.
 */
START_TEST(a_record_is_what_its_size_says)
{
    struct commitlog_transaction *transaction = begin();
    struct commitlog_slice body = {filling, 10};
    const struct commitlog_record record = {.struct_bytes =
                                                offsetof(struct commitlog_record, key_count),
                                            .topic = topic,
                                            .level = NONE,
                                            .body = &body,
                                            .body_count = 1,
                                            .key_count = 8000};
    for (uint32_t i = 0; i < 100; i++) {
        ck_assert_int_eq(commitlog_transaction_append(transaction, &record, 0, NULL, &err), 0);
    }
    ck_assert_int_eq(commitlog_transaction_commit(transaction, NONE, 0, NULL, &err), 0);
    commitlog_transaction_close(transaction);
}
END_TEST

/* Messages that are old are copied at the commit; where that does not fit, they are referred to. */
/* A topic takes room for its definition with the first message of it that is taken, and not with
 * one that is refused: else the next one would be taken, and not fit. */
START_TEST(a_topic_whose_message_is_refused_is_not_counted)
{
    uint32_t ids[2];
    uint32_t fit = 0;
    (void)make_topics(ids, 2, 255);
    struct commitlog_transaction *transaction = begin();
    while (append_to(transaction, ids[0], 0, 1) == COMMITLOG_OK) {
        fit++;
    }
    commitlog_transaction_close(transaction);
    ck_assert_uint_gt(fit, 100);
    transaction = begin();
    for (uint32_t i = 0; i < fit - 2; i++) {
        ck_assert_int_eq(append_to(transaction, ids[0], 0, 1), COMMITLOG_OK);
    }
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(append_to(transaction, ids[1], 0, 1), COMMITLOG_ETOOBIG);
    }
    ck_assert_int_eq(append_to(transaction, ids[0], 0, 1), COMMITLOG_OK);
    ck_assert_int_eq(append_to(transaction, ids[0], 0, 1), COMMITLOG_OK);
    ck_assert_msg(commit(transaction, NONE, NULL) == COMMITLOG_OK, "%s", err.message);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(topic_end(ids[0], 1), fit);
    ck_assert_uint_eq(topic_end(ids[1], 1), 0);
}
END_TEST

START_TEST(more_than_a_segment_of_old_messages_is_committed)
{
    struct commitlog_transaction *transaction = begin_with(0, 10000000, 0);
    for (uint32_t i = 0; i < 200; i++) {
        ck_assert_int_eq(half_bytes(transaction, i % QUEUES, 1000, NULL), 0);
    }
    put(0, 4000);
    step_all();
    ck_assert_msg(commit(transaction, NONE, NULL) == COMMITLOG_OK, "%s", err.message);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(topic_end(topic, QUEUES), 4200);
    for (uint32_t i = 0; i < 200; i++) {
        struct commitlog_message message;
        (void)number_at(i % QUEUES, i / QUEUES + (i % QUEUES == 0 ? 4000 : 0), &message);
        ck_assert_uint_eq(message.body.bytes, 1000);
    }
}
END_TEST

/* In the older half of the log a reference would lead to what retention is about to take. */
START_TEST(what_is_old_is_copied_and_outlives_its_segment)
{
    struct commitlog_retained retained;
    struct commitlog_receipt receipt;
    struct commitlog_message message;
    struct commitlog_transaction *transaction = begin_with(0, 10000000, 0);
    ck_assert_int_eq(half(transaction, 3, 33, NONE, &receipt), 0);
    put(0, 4000);
    step_all();
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
    commitlog_transaction_close(transaction);
    ck_assert_int_eq(retain(3 * segment_bytes, &retained), 0);
    ck_assert_uint_gt(retained.first, receipt.position);
    ck_assert_uint_eq(number_at(3, 0, &message), 33);
    ck_assert_uint_eq(message.transaction, receipt.position);
    ck_assert_uint_eq(message.origin_position, 0);
}
END_TEST

/* ---- how many ---- */

START_TEST(a_transaction_has_65535_messages)
{
    uint32_t count = 0;
    int32_t rc = COMMITLOG_OK;
    stage_bytes = 1 << 20;
    reopen_by(16 << 20);
    struct commitlog_transaction *transaction = begin_with(0, 10000000, 0);
    while (rc == COMMITLOG_OK) {
        rc = half_bytes(transaction, count % QUEUES, 0, NULL);
        count += rc == COMMITLOG_OK ? 1 : 0;
    }
    ck_assert_int_eq(rc, COMMITLOG_ETOOBIG);
    ck_assert_uint_eq(count, 65535);
    ck_assert_msg(commit(transaction, NONE, NULL) == COMMITLOG_OK, "%s", err.message);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(topic_end(topic, QUEUES), count);
    reopen();
    ck_assert_uint_eq(topic_end(topic, QUEUES), count);
    ck_assert_uint_eq(open_count(&info), 0);
}
END_TEST

START_TEST(so_many_are_open_and_no_more)
{
    static struct commitlog_transaction *open[COMMITLOG_TRANSACTIONS_MAX];
    struct commitlog_transaction *one_more = NULL;
    reopen_by(16 << 20);
    for (uint32_t i = 0; i < COMMITLOG_TRANSACTIONS_MAX; i++) {
        open[i] = begin();
        ck_assert_int_eq(half_bytes(open[i], 1, 0, NULL), 0);
    }
    one_more = begin();
    ck_assert_int_eq(half_bytes(one_more, 1, 0, NULL), COMMITLOG_ELIMIT);
    ck_assert_int_eq(commitlog_transaction_prepare(one_more, NONE, 0, &err), COMMITLOG_ELIMIT);
    ck_assert_int_eq(half_bytes(open[77], 1, 0, NULL), 0);
    ck_assert_int_eq(commit(open[77], NONE, NULL), 0);
    ck_assert_int_eq(half_bytes(one_more, 1, 0, NULL), 0);
    ck_assert_int_eq(commit(one_more, NONE, NULL), 0);
    commitlog_transaction_close(one_more);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    for (uint32_t i = 0; i < COMMITLOG_TRANSACTIONS_MAX; i++) {
        commitlog_transaction_close(open[i]);
    }
    open_store();
    for (uint32_t i = 0; i < 1000 && open_count(&info) > 0; i++) {
        step_all();
    }
    ck_assert_uint_eq(open_count(&info), 0);
    ck_assert_uint_eq(queue_end(1), 3);
}
END_TEST

/* ---- other segments, retention ---- */

/* It was taken when segments were larger. */
START_TEST(one_that_does_not_fit_any_more_can_be_rolled_back)
{
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_retained retained;
    reopen_by(1 << 20);
    transaction = begin();
    for (uint32_t i = 0; i < 2000; i++) {
        ck_assert_int_eq(half(transaction, i % QUEUES, i, NONE, NULL), 0);
    }
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    const uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    put(0, 15000);
    reopen_by(65536);
    put(0, 20000); /* the one that was made with another size is full */
    step_all();
    int32_t rc = commit_number(id);
    ck_assert_msg(rc == COMMITLOG_ETOOBIG, "%s: %s", commitlog_error_name(rc), err.message);
    ck_assert_uint_eq(queue_end(1), 0);
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
    ck_assert_uint_gt(retained.first, id);
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_uint_eq(info.messages, 2000);
    ck_assert_int_eq(commit_number(id), COMMITLOG_ETOOBIG);
    reopen_by(1 << 20);
    put(0, 2000);
    ck_assert_msg(commit_number(id) == COMMITLOG_OK, "%s", err.message);
    ck_assert_uint_eq(number_at(1, 0, NULL), 1);
    ck_assert_uint_eq(queue_end(1), 334);
}
END_TEST

/* A message by itself that no segment takes any more: nothing is lost for it before somebody
 * decides, and then nothing is held up. */
START_TEST(a_message_that_no_segment_takes_holds_retention_until_somebody_decides)
{
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_retained retained;
    reopen_by(1 << 20);
    transaction = begin();
    ck_assert_int_eq(half_bytes(transaction, 1, 200000, NULL), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    const uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    put(0, 15000);
    reopen_by(65536);
    put(0, 20000);
    step_all();
    ck_assert_int_eq(retain(1, &retained), COMMITLOG_ETOOBIG);
    ck_assert_uint_lt(store_positions().first, id);
    if (_i == 0) { /* a reference fits */
        ck_assert_msg(commit_number(id) == COMMITLOG_OK, "%s", err.message);
        ck_assert_uint_eq(queue_end(1), 1);
    } else {
        ck_assert_int_eq(commitlog_transaction_open(store, id, &transaction, &err), 0);
        ck_assert_int_eq(roll_back(transaction), 0);
        commitlog_transaction_close(transaction);
    }
    ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
    ck_assert_uint_gt(retained.first, id);
}
END_TEST

/* The first position lies behind all that was first said of it; nothing but the log is left, or
 * all that was derived from it. Without a writer it reads the same. */
START_TEST(one_that_was_carried_is_what_it_was)
{
    struct commitlog_transaction_message part = {.struct_bytes = sizeof(part)};
    struct commitlog_transaction *transaction = begin();
    struct commitlog_receipt receipts[5];
    struct commitlog_transaction_info before = {.struct_bytes = sizeof(before)};
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_int_eq(half(transaction, 1, i, NONE, &receipts[i]), 0);
        put(0, i < 3 ? 1200 : 0); /* some lie further behind than others */
    }
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(open_count(&before), 1);
    for (int32_t i = 0; i <= _i / 2; i++) {
        put(0, 1000);
        (void)retain_all();
    }
    ck_assert_uint_gt(store_positions().first, receipts[0].position);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    if (_i % 2 == 1) {
        forget_views();
        ck_assert_int_eq(commitlog_fault_remove(machine, "/store/CHECKPOINT"), 0);
    }
    const uint64_t read_only[2] = {COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY};
    for (uint32_t i = 0; i < 2; i++) {
        if (i == 0) {
            ck_assert_msg(store_open_by(&read_only, 1) == 0, "%s", err.message);
        } else {
            open_store();
        }
        ck_assert_uint_eq(open_count(&info), 1);
        ck_assert_msg(memcmp(&before, &info, offsetof(struct commitlog_transaction_info, bytes)) ==
                          0,
                      "as %s", i == 0 ? "a reader" : "a writer");
        ck_assert(info.messages == 5 && info.group_bytes == 4 && strcmp(info.group, "bank") == 0);
        for (uint32_t j = 0; j < 5; j++) {
            ck_assert_int_eq(commitlog_transaction_message(store, info.transaction, j, &part), 0);
            ck_assert_uint_ge(part.position, store_positions().first);
        }
        if (i == 0) {
            ck_assert_int_eq(
                commitlog_transaction_open(store, info.transaction, &transaction, &err),
                COMMITLOG_EMISUSE);
            ck_assert_int_eq(commitlog_close(store, &err), 0);
        }
    }
    ck_assert_int_eq(commit_number(info.transaction), 0);
    for (uint32_t i = 0; i < 5; i++) {
        ck_assert_uint_eq(number_at(1, i, NULL), i);
    }
}
END_TEST

/* Retention would move most of what it has, again and again. */
START_TEST(more_than_half_of_the_log_holds_retention)
{
    struct commitlog_transaction *transaction = begin_with(0, 10000000, 0);
    struct commitlog_retained retained;
    for (uint32_t i = 0; i < 200; i++) {
        ck_assert_int_eq(half_bytes(transaction, 1, 1000, NULL), 0);
    }
    put(0, 500);
    ck_assert_int_eq(retain(1, &retained), COMMITLOG_EBUSY);
    ck_assert_uint_eq(open_count(&info), 1);
    put(0, 6000);
    ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
    commitlog_transaction_close(transaction);
    ck_assert_uint_eq(queue_end(1), 200);
}
END_TEST

/* What fits a segment only as it was appended would stop retention. */
START_TEST(the_largest_message_can_be_carried)
{
    struct commitlog_transaction *transaction = begin();
    struct commitlog_retained retained;
    uint32_t bytes = 53200; /* about what a segment of 65,536 takes */
    int32_t rc;
    while ((rc = half_bytes(transaction, 1, bytes, NULL)) != COMMITLOG_OK) {
        ck_assert_int_eq(rc, COMMITLOG_ETOOBIG);
        bytes--;
        ck_assert_uint_gt(bytes, 53000);
    }
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), 0);
    put(0, 8000); /* of the log it is less than half */
    step_all();
    ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
    ck_assert_uint_gt(retained.first, commitlog_transaction_id(transaction));
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
    commitlog_transaction_close(transaction);
}
END_TEST

int main(void)
{
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    Suite *suite = suite_create("transactions, limits");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 120);
    tcase_add_checked_fixture(cases, edges_setup, teardown);
    tcase_add_loop_test(cases, what_was_taken_can_be_committed, 0, 36);
    tcase_add_test(cases, a_record_is_what_its_size_says);
    tcase_add_test(cases, a_topic_whose_message_is_refused_is_not_counted);
    tcase_add_test(cases, more_than_a_segment_of_old_messages_is_committed);
    tcase_add_test(cases, what_is_old_is_copied_and_outlives_its_segment);
    tcase_add_test(cases, a_transaction_has_65535_messages);
    tcase_add_test(cases, so_many_are_open_and_no_more);
    tcase_add_test(cases, the_largest_message_can_be_carried);
    tcase_add_test(cases, one_that_does_not_fit_any_more_can_be_rolled_back);
    tcase_add_loop_test(
        cases, a_message_that_no_segment_takes_holds_retention_until_somebody_decides, 0, 2);
    tcase_add_loop_test(cases, one_that_was_carried_is_what_it_was, 0, 6);
    tcase_add_test(cases, more_than_half_of_the_log_holds_retention);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
