/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_last_room.c -- what is kept of a full disk for retention stays so: commits that end the wait
 * of some messages leave the room for state, a record that is refused has padded nothing away, and
 * who is refused is not let in behind one that is not.
 */
#include "support/run_suite.h"
#include "unit/transaction_fixture.h"

enum { KIB = 1024, SMALL = 64 * KIB, LARGE = 1024 * KIB, HOUR_MS = 3600000 };

static char filling[150000];

static void begin_on(uint64_t bytes, uint64_t disk)
{
    setup();
    segment_bytes = bytes;
    stage_bytes = LARGE;
    open_store();
    commitlog_fault_set_free(machine, disk);
}

static void no_setup(void)
{
}

static int32_t put_bytes(size_t bytes)
{
    int32_t rc = commitlog_append(store, topic, 0, filling, bytes, COMMITLOG_LEVEL_NONE, NULL);
    step_all();
    return rc;
}

static void put_up_to(uint64_t position, size_t bytes)
{
    while (store_positions().claimed < position) {
        ck_assert_int_eq(put_bytes(bytes), 0);
    }
}

static void check_retention_goes_on(uint64_t keep_bytes)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = keep_bytes};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    int32_t rc = commitlog_retain(store, &policy, &retained, &err);
    ck_assert_msg(rc == 0, "%s: %s", commitlog_error_name(rc), err.message);
    ck_assert_uint_ge(retained.segments_dropped, 1);
    ck_assert_int_eq(put_bytes(1), 0);
}

static void put_half(struct commitlog_transaction *transaction)
{
    ck_assert_int_eq(half(transaction, 1, 7, COMMITLOG_LEVEL_NONE, NULL), 0);
    step_all();
}

/* Of each transaction one message lies in the segment that goes next, and many do not: the room
 * that is kept is for the one. */
START_TEST(commits_leave_what_state_needs)
{
    enum { TRANSACTIONS = 12, MORE = 25, TOPICS = 40, NAME = 200 };
    struct commitlog_transaction *transactions[TRANSACTIONS];
    char name[NAME];
    uint32_t committed = 0;
    begin_on(SMALL, 4 * SMALL + 40000);
    for (uint32_t i = 0; i < TOPICS; i++) {
        uint32_t id = 0;
        memset(name, 'a', sizeof(name));
        name[0] = (char)('0' + i / 10);
        name[1] = (char)('0' + i % 10);
        ck_assert_int_eq(commitlog_topic_open(store, name, sizeof(name), 1, &id, &err), 0);
    }
    for (uint32_t i = 0; i < TRANSACTIONS; i++) {
        transactions[i] = begin();
        put_half(transactions[i]);
    }
    put_up_to(SMALL + 100, 1000);
    for (uint32_t i = 0; i < TRANSACTIONS * MORE; i++) {
        put_half(transactions[i / MORE]);
    }
    fill_disk(step_all);
    while (committed < TRANSACTIONS &&
           commit(transactions[committed], COMMITLOG_LEVEL_NONE, NULL) == 0) {
        committed++;
        step_all();
    }
    ck_assert_uint_gt(committed, 0);
    check_retention_goes_on(SMALL);
    for (uint32_t i = 0; i < TRANSACTIONS; i++) {
        commitlog_transaction_close(transactions[i]);
    }
}
END_TEST

/* More than a segment of today's size waits in one of an earlier size. */
static void fill_with_delayed(uint64_t smaller, uint64_t upto, uint64_t disk)
{
    const struct commitlog_slice body = {filling, 1000};
    begin_on(LARGE, UINT64_MAX);
    for (uint32_t i = 0; i < 300; i++) {
        const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                                .topic = topic,
                                                .queue = 1,
                                                .body = &body,
                                                .body_count = 1,
                                                .deliver_at_ms = now_ms() + HOUR_MS};
        ck_assert_int_eq(commitlog_append_record(store, &record, 0, NULL, &err), 0);
        step_all();
    }
    put_up_to(LARGE + 20000, 10000);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    segment_bytes = smaller;
    open_store();
    put_up_to(upto, 10000);
    step_all();
    commitlog_fault_set_free(machine, disk);
    fill_disk(step_all);
}

START_TEST(a_record_that_is_refused_pads_nothing_away)
{
    fill_with_delayed(4 * SMALL, 2 * LARGE + 100000, 0);
    const uint64_t claimed = store_positions().claimed;
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(put_bytes(sizeof(filling)), COMMITLOG_ENOSPC);
        ck_assert_uint_eq(store_positions().claimed, claimed);
    }
    check_retention_goes_on(LARGE);
}
END_TEST

START_TEST(nobody_is_let_in_behind_what_frees)
{
    struct commitlog_group *group = NULL;
    uint32_t commits = 0;
    fill_with_delayed(SMALL, 2 * LARGE + 1000, 9 * SMALL);
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    for (; commits < 30; commits++) {
        const struct commitlog_group_offset one = {topic, 0, commits + 1};
        ck_assert_msg(commitlog_group_commit(group, 0, &one, 1, 0, 0, NULL, &err) == 0, "%s",
                      err.message);
        ck_assert_int_eq(put_bytes(100), COMMITLOG_ENOSPC);
    }
    commitlog_group_close(group);
    check_retention_goes_on(LARGE);
}
END_TEST

/* Without its time anybody may append again: upkeep looks what is kept when one was refused. */
START_TEST(what_has_ended_is_not_kept_room_for)
{
    fill_with_delayed(4 * SMALL, 2 * LARGE + 100000, 0);
    for (uint32_t i = 0; i < 12; i++) {
        pass_ms(HOUR_MS / 6);
        step_all();
    }
    ck_assert_uint_eq(queue_end(1), 300);
    (void)put_bytes(1);
    ck_assert_int_eq(put_bytes(1), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("last room");
    TCase *tcase = tcase_create("last room");
    tcase_set_timeout(tcase, 120);
    tcase_add_checked_fixture(tcase, no_setup, teardown);
    tcase_add_test(tcase, commits_leave_what_state_needs);
    tcase_add_test(tcase, a_record_that_is_refused_pads_nothing_away);
    tcase_add_test(tcase, nobody_is_let_in_behind_what_frees);
    tcase_add_test(tcase, what_has_ended_is_not_kept_room_for);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
