/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_damage_batch.c -- damage to one record of a batch, or of the commit of a transaction, is
 * damage to all of it: nobody reads a part of it, before salvage or behind it.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum { MEMBERS = 4, BODY = 96, HEADER = 48, BATCH_RECORD = HEADER + 24 };

/* What is spoiled, from the batch's header record on. */
static const struct spoil {
    uint64_t from;
    uint64_t bytes;
    const char *what;
} spoils[] = {{0, HEADER, "the header record"},
              {0, BATCH_RECORD + HEADER, "the header record and the head of the first member"},
              {HEADER, 8, "the body of the header record"},
              {HEADER, 24 + HEADER, "its body and the head of the first member"},
              {BATCH_RECORD, HEADER, "the head of the first member"},
              {BATCH_RECORD + HEADER, 8, "the body of the first member"},
              {BATCH_RECORD + HEADER + BODY, HEADER, "the head of the second member"},
              {4, 2 * BATCH_RECORD + BODY, "the header record and two members"}};
enum { SPOILS = sizeof(spoils) / sizeof(*spoils) };

static uint64_t batch_at;

static void spoil(const struct spoil *what)
{
    static const uint8_t noise[512] = {1, 2, 3};
    ck_assert_uint_lt(what->bytes, sizeof(noise));
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/log/00000000000000000000.log",
                                           batch_at + what->from, noise, what->bytes),
                     0);
}

static void append_one(uint32_t queue, uint8_t value)
{
    uint8_t body[BODY] = {value};
    ck_assert_int_eq(
        commitlog_append(store, topic, queue, body, BODY, COMMITLOG_LEVEL_DURABLE, NULL), 0);
}

/* In each of two queues one message with body 1, two of a batch with body 2, one with 3. */
static void batch_setup(void)
{
    uint8_t body[BODY] = {2};
    const struct commitlog_slice slice = {body, BODY};
    struct commitlog_record records[MEMBERS];
    struct commitlog_receipt receipts[MEMBERS];
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 2, &topic, &err), 0);
    append_one(0, 1);
    append_one(1, 1);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        records[i] = (struct commitlog_record){.struct_bytes = sizeof(*records),
                                               .topic = topic,
                                               .queue = i % 2,
                                               .level = COMMITLOG_LEVEL_DURABLE,
                                               .body = &slice,
                                               .body_count = 1};
    }
    ck_assert_int_eq(commitlog_append_batch(store, records, MEMBERS, -1, receipts, &err), 0);
    batch_at = receipts[0].position - BATCH_RECORD;
    append_one(0, 3);
    append_one(1, 3);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}

static int32_t open_with(uint32_t option, uint64_t value)
{
    const uint64_t values[][2] = {{option, value}};
    return store_open_by(values, 1);
}

/* How many messages with this first byte a cursor gives, whatever it has to say beside. */
static uint32_t count_of(uint32_t queue, uint8_t value)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[4];
    uint32_t found = 0;
    uint32_t count = 0;
    uint64_t bound = 0;
    int32_t rc;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
    do {
        rc = commitlog_cursor_fetch(cursor, messages, 4, 0, &count, &bound);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            found += *(const uint8_t *)messages[i].body.data == value;
        }
        if (rc == COMMITLOG_EDAMAGED) {
            ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
        }
    } while (rc == COMMITLOG_OK || rc == COMMITLOG_EDAMAGED);
    ck_assert_int_eq(rc, COMMITLOG_EEND);
    commitlog_cursor_close(cursor);
    return found;
}

static void check_queues(const char *what)
{
    for (uint32_t queue = 0; queue < 2; queue++) {
        ck_assert_msg(count_of(queue, 1) == 1 && count_of(queue, 3) == 1,
                      "%s: what lies beside the batch is gone", what);
        ck_assert_msg(count_of(queue, 2) == 0, "%s: %u of the batch in queue %u", what,
                      count_of(queue, 2), queue);
    }
}

START_TEST(nobody_reads_a_part_of_a_damaged_batch)
{
    const struct spoil *what = &spoils[_i];
    spoil(what);
    ck_assert_int_eq(open_with(COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_TAIL), COMMITLOG_EDAMAGED);
    ck_assert_int_eq(open_with(COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    check_queues(what->what);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_msg(open_with(COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_SALVAGE) == 0, "%s: %s",
                  what->what, err.message);
    check_queues(what->what);
    ck_assert_uint_eq(count_of(COMMITLOG_QUEUE_ALL, 1), 2);
    ck_assert_uint_eq(count_of(COMMITLOG_QUEUE_ALL, 2), 0);
    ck_assert_uint_eq(count_of(COMMITLOG_QUEUE_ALL, 3), 2);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_msg(open_with(COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_STRICT) == 0, "%s: %s",
                  what->what, err.message);
}
END_TEST

/* In the order of the log: what a header that fails leaves of its batch is passed over. */
START_TEST(a_cursor_in_the_order_of_the_log_passes_over_members)
{
    const struct spoil *what = &spoils[_i];
    spoil(what);
    ck_assert_int_eq(open_with(COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_uint_eq(count_of(COMMITLOG_QUEUE_ALL, 1), 2);
    ck_assert_msg(count_of(COMMITLOG_QUEUE_ALL, 2) == 0, "%s: %u", what->what,
                  count_of(COMMITLOG_QUEUE_ALL, 2));
    ck_assert_uint_eq(count_of(COMMITLOG_QUEUE_ALL, 3), 2);
}
END_TEST

/* Record by record: a position inside of a member is followed by the next one. */
START_TEST(a_cursor_by_position_gives_members_one_by_one)
{
    const uint64_t member = HEADER + BODY;
    const uint64_t first = batch_at + BATCH_RECORD;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    uint64_t bound = 0;
    if (_i == 1) {
        spoil(&spoils[6]); /* the second one */
    }
    ck_assert_int_eq(open_with(COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY), 0);
    ck_assert_int_eq(commitlog_cursor_open_log(store, first + (_i == 0 ? 8 : 0), &cursor, &err), 0);
    if (_i == 1) {
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound), 0);
        ck_assert_uint_eq(message.position, first);
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound),
                         COMMITLOG_EDAMAGED);
        ck_assert_int_eq(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound + 1), 0);
    }
    for (uint32_t i = _i == 0 ? 1 : 2; i < MEMBERS; i++) {
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, &bound), 0);
        ck_assert_uint_eq(message.position, first + i * member);
    }
    commitlog_cursor_close(cursor);
}
END_TEST

/* What follows each other is told as one: there is room for 1024 in the list that cursors ask. */
START_TEST(a_large_batch_is_one_damage_and_hides_none_behind_it)
{
    enum { LARGE = 3000 };
    static struct commitlog_record records[LARGE];
    static struct commitlog_receipt receipts[LARGE];
    struct commitlog_receipt last;
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage)};
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    static const uint8_t noise[HEADER] = {1, 2, 3};
    uint32_t count = 0;
    teardown();
    setup();
    segment_bytes = 1 << 20;
    stage_bytes = 1 << 20;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 2, &topic, &err), 0);
    for (uint32_t i = 0; i < LARGE; i++) {
        records[i] = (struct commitlog_record){
            .struct_bytes = sizeof(*records), .topic = topic, .level = COMMITLOG_LEVEL_NONE};
    }
    ck_assert_int_eq(commitlog_append_batch(store, records, LARGE, -1, receipts, &err), 0);
    batch_at = receipts[0].position - BATCH_RECORD;
    ck_assert_int_eq(
        commitlog_append(store, topic, 1, noise, HEADER, COMMITLOG_LEVEL_DURABLE, &last), 0);
    append_one(0, 3);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    spoil(&spoils[0]);
    ck_assert_int_eq(commitlog_fault_write(machine, "/store/log/00000000000000000000.log",
                                           last.position, noise, sizeof(noise)),
                     0);

    ck_assert_int_eq(commitlog_options_create(&options), 0);
    commitlog_options_set_os(options, commitlog_fault_os(machine));
    ck_assert_int_eq(commitlog_verify("/store", options, &report, &err), COMMITLOG_EDAMAGED);
    for (uint32_t i = 0; commitlog_report_damage(report, i, &damage) == 0; i++) {
        count += damage.to_position != UINT64_MAX; /* not by offsets of a queue */
    }
    ck_assert_uint_le(count, 4); /* header, members, the one behind, views */
    commitlog_report_free(report);
    commitlog_options_free(options);

    ck_assert_int_eq(open_with(COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, topic, 1, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL),
                     COMMITLOG_EDAMAGED);
    commitlog_cursor_close(cursor);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(open_with(COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_SALVAGE), 0);
    struct commitlog_recovery found = {.struct_bytes = sizeof(found)};
    ck_assert_int_eq(commitlog_recovery_get(store, &found), 0);
    ck_assert_uint_le(found.quarantined, 4);
    ck_assert_uint_ge(found.holes_made, LARGE);
    struct commitlog_lease *lease = NULL;
    ck_assert_int_eq(commitlog_get(store, receipts[LARGE / 2].position, &message, &lease, &err),
                     COMMITLOG_EHOLE);
    commitlog_lease_release(lease);
}
END_TEST

/* A transaction is committed by a batch of references. */
START_TEST(nobody_reads_a_part_of_a_damaged_commit)
{
    struct commitlog_receipt receipt;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "tx", 2, 2, &topic, &err), 0);
    struct commitlog_transaction *transaction = begin();
    for (uint32_t i = 0; i < MEMBERS; i++) {
        ck_assert_int_eq(half(transaction, i % 2, i, COMMITLOG_LEVEL_NONE, NULL), 0);
    }
    ck_assert_int_eq(commit(transaction, COMMITLOG_LEVEL_DURABLE, &receipt), 0);
    commitlog_transaction_close(transaction);
    batch_at = receipt.position - BATCH_RECORD;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    spoil(&spoils[1]);
    ck_assert_int_eq(open_with(COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_TAIL), COMMITLOG_EDAMAGED);
    ck_assert_uint_eq(err.position, batch_at);
    ck_assert_int_eq(open_with(COMMITLOG_OPT_RECOVERY, COMMITLOG_RECOVER_SALVAGE), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "tx", 2, 0, &topic, &err), 0);
    for (uint32_t queue = 0; queue < 2; queue++) {
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        struct commitlog_cursor *cursor = NULL;
        struct commitlog_message message;
        uint32_t count = 0;
        ck_assert_int_eq(commitlog_queue_info(store, topic, queue, &info), 0);
        ck_assert_int_eq(
            commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_FIRST, 0, &cursor, &err), 0);
        ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL),
                         COMMITLOG_EEND);
        commitlog_cursor_close(cursor);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("damaged batches");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, batch_setup, teardown);
    tcase_add_loop_test(cases, nobody_reads_a_part_of_a_damaged_batch, 0, SPOILS);
    tcase_add_loop_test(cases, a_cursor_in_the_order_of_the_log_passes_over_members, 0, 2);
    tcase_add_loop_test(cases, a_cursor_by_position_gives_members_one_by_one, 0, 2);
    tcase_add_test(cases, a_large_batch_is_one_damage_and_hides_none_behind_it);
    tcase_add_test(cases, nobody_reads_a_part_of_a_damaged_commit);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
