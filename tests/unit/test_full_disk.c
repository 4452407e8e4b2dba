/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_full_disk.c -- what retention waits for can go on when the disk is full: groups that it
 * keeps messages for consume, and delayed messages are delivered or taken back. Otherwise nothing
 * would ever free the disk.
 */
#include "support/run_suite.h"
#include "unit/timer_fixture.h"

static struct commitlog_group *group;
static char filling[1000];

enum { DISK = 4 * 65536 + 40000 }; /* the first is there before it is full */

static void full_setup(void)
{
    setup();
    open_store();
}

static void full_teardown(void)
{
    commitlog_group_close(group);
    group = NULL;
    teardown();
}

/* The oldest of the segments, if it may go. */
static struct commitlog_retained retain_what_may_go(int32_t expected)
{
    const struct commitlog_positions at = store_positions();
    const uint64_t before = at.claimed / segment_bytes - at.first / segment_bytes;
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = segment_bytes * before};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    int32_t rc = commitlog_retain(store, &policy, &retained, &err);
    ck_assert_msg(rc == expected, "%s: %s", commitlog_error_name(rc), err.message);
    return retained;
}

static void check_frees(void)
{
    ck_assert_uint_eq(retain_what_may_go(COMMITLOG_OK).bytes_dropped, segment_bytes);
}

/* ---- inodes ---------------------------------------------------------------------------------- */

static uint32_t inodes;

static int open_with_inode(const struct commitlog_os *os, int dirfd, const char *name,
                           uint32_t flags, uint32_t mode)
{
    const struct commitlog_os *under = commitlog_fault_os(machine);
    struct clg_os_stat stat;
    (void)os;
    if ((flags & CLG_OS_OPEN_CREATE) != 0 && under->stat_at(under, dirfd, name, &stat) == -ENOENT) {
        if (inodes == 0)
            return -ENOSPC;
        inodes--;
    }
    return under->open_at(under, dirfd, name, flags, mode);
}

static void steps(void)
{
    const struct commitlog_os *os = commitlog_fault_os(machine);
    uint32_t wait_ms = 0;
    for (uint32_t i = 0; i < 100; i++) {
        (void)commitlog_step(store, 0, &wait_ms);
        os->sleep_ns(os, INT64_C(10000000));
    }
}

/* Of a disk without inodes one is freed: the log has it, not a view file, which can wait. */
START_TEST(the_first_file_that_can_be_made_is_the_next_segment)
{
    struct commitlog_os table = *commitlog_fault_os(machine);
    int32_t rc = COMMITLOG_OK;
    uint32_t wait_ms = 0;
    table.open_at = open_with_inode;
    inodes = 100;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    ck_assert_int_eq(store_open_with(&table, COMMITLOG_ENGINE_STAGED, COMMITLOG_RECOVER_TAIL), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    inodes = 1;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < 100000; i++)
        rc = commitlog_append(store, topic, 0, filling, sizeof(filling), 0, NULL);
    ck_assert_int_eq(rc, COMMITLOG_ENOSPC);
    steps();
    rc = commitlog_append(store, topic, 0, filling, sizeof(filling), 0, NULL);
    ck_assert_int_eq(rc, COMMITLOG_ENOSPC); /* and is not tried again for a moment */
    inodes = 1;
    (void)commitlog_step(store, 0, &wait_ms);
    steps();
    rc = commitlog_append(store, topic, 0, filling, sizeof(filling), 0, NULL);
    ck_assert_msg(rc == COMMITLOG_OK, "%s", commitlog_error_name(rc));
    inodes = 100;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
}
END_TEST

/* ---- groups ---------------------------------------------------------------------------------- */

static void fill_for_group(void)
{
    const struct commitlog_group_offset none = {topic, 0, 0};
    const uint32_t flags = COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, flags, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &none, 1, 0, 0, NULL, &err), 0);
    commitlog_fault_set_free(machine, DISK);
    fill_disk(step_all);
    struct commitlog_retained retained = retain_what_may_go(COMMITLOG_OK);
    ck_assert_uint_eq(retained.segments_dropped, 0);
    ck_assert_uint_gt(retained.kept_from, 0);
}

enum { COMMITS, COMMITS_BY_TRANSACTION, RESETS, DELETES, CONFIGURES, GROUP_CALLS };

static int32_t commit_by_transaction(const struct commitlog_group_offset *offset)
{
    struct commitlog_transaction *transaction = NULL;
    int32_t rc = commitlog_transaction_begin(store, "p", 1, NULL, &transaction, &err);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_transaction_offsets(transaction, group, 0, offset, 1, &err);
    }
    if (rc == COMMITLOG_OK) {
        rc = commitlog_transaction_commit(transaction, COMMITLOG_LEVEL_DURABLE, 0, NULL, &err);
    }
    commitlog_transaction_close(transaction);
    return rc;
}

START_TEST(what_a_group_has_consumed_frees_the_disk)
{
    int32_t rc;
    fill_for_group();
    const struct commitlog_group_offset some = {topic, 0, 150};
    switch (_i) {
    case COMMITS:
        rc = commitlog_group_commit(group, 0, &some, 1, COMMITLOG_LEVEL_DURABLE, 0, NULL, &err);
        break;
    case COMMITS_BY_TRANSACTION:
        rc = commit_by_transaction(&some);
        break;
    case RESETS:
        rc = commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_END, 0, 0, &err);
        break;
    case DELETES:
        rc = commitlog_group_delete(group, 0, &err);
        break;
    default:
        rc = commitlog_group_configure(group, 0, 0, &err);
        break;
    }
    ck_assert_msg(rc == COMMITLOG_OK, "%s: %s", commitlog_error_name(rc), err.message);
    check_frees();
}
END_TEST

START_TEST(what_receivers_acknowledge_frees_the_disk)
{
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message messages[64];
    struct commitlog_delivery given[64];
    uint32_t count = 0;
    fill_for_group();
    ck_assert_int_eq(commitlog_receiver_open(group, topic, NULL, &receiver, &err), 0);
    for (int i = 0; i < 3; i++) {
        int32_t rc = commitlog_receive(receiver, messages, given, 64, 0, &count, &err);
        ck_assert_msg(rc == COMMITLOG_OK, "%s: %s", commitlog_error_name(rc), err.message);
        rc = commitlog_ack(receiver, given, count, 0, &err);
        ck_assert_msg(rc == COMMITLOG_OK, "%s: %s", commitlog_error_name(rc), err.message);
    }
    commitlog_receiver_close(receiver);
    check_frees();
}
END_TEST

/* What nobody can do is out of the way, too. _i: 1 the topic of dead letters is made now; 2 whoever
 * had the message has died. */
START_TEST(a_dead_letter_frees_the_disk)
{
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof(options), .max_attempts = 1, .visibility_ms = 1000};
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message messages[64];
    struct commitlog_delivery given[64];
    uint32_t count = 0;
    uint32_t dead = 0;
    const struct commitlog_group_offset some = {topic, 0, 150};
    if ((_i & 1) == 0) {
        ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%g", 6, 1, &dead, &err), 0);
    }
    fill_for_group();
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
    ck_assert_int_eq(commitlog_receive(receiver, messages, given, 1, 0, &count, &err), 0);
    int32_t rc = COMMITLOG_OK;
    if ((_i & 2) == 0) {
        rc = commitlog_nack(receiver, given, 1, 0, &err);
    } else {
        pass_ms(2000);
        rc = commitlog_receive(receiver, messages, given, 1, 0, &count, &err);
        ck_assert_uint_eq(given[0].offset, 1);
    }
    ck_assert_msg(rc == COMMITLOG_OK, "%s: %s", commitlog_error_name(rc), err.message);
    commitlog_receiver_close(receiver);
    ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%g", 6, 0, &dead, &err), 0);
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_queue_info(store, dead, 0, &info), 0);
    ck_assert_uint_eq(info.next_offset, 1);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &some, 1, 0, 0, NULL, &err), 0);
    check_frees();
}
END_TEST

/* However much they do of it, what retention has to carry forward still finds room. */
START_TEST(groups_leave_retention_its_room)
{
    int32_t rc = COMMITLOG_OK;
    uint64_t offset = 0;
    fill_for_group();
    while (rc == COMMITLOG_OK) {
        const struct commitlog_group_offset one = {topic, 0, ++offset};
        ck_assert_uint_lt(offset, 150);
        rc = commitlog_group_commit(group, 0, &one, 1, 0, 0, NULL, &err);
    }
    ck_assert_int_eq(rc, COMMITLOG_ENOSPC);
    commitlog_group_close(group);
    group = NULL;
    ck_assert_uint_gt(offset, 20);
    commitlog_fault_set_free(machine, 0);
    (void)retain_what_may_go(COMMITLOG_OK);
}
END_TEST

/* ---- delayed messages ------------------------------------------------------------------------ */

enum { WAITING = 160 };

static uint64_t delay_filling(void)
{
    const struct commitlog_slice body = {filling, sizeof(filling)};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .queue = 1,
                                            .body = &body,
                                            .body_count = 1,
                                            .deliver_at_ms = now_ms() + 100000};
    struct commitlog_receipt receipt;
    ck_assert_int_eq(commitlog_append_record(store, &record, 0, &receipt, &err), 0);
    step_all();
    return receipt.position;
}

static void fill_with_timers(uint64_t *ids)
{
    commitlog_fault_set_free(machine, DISK);
    for (int i = 0; i < WAITING; i++) {
        ids[i] = delay_filling();
    }
    fill_disk(step_all);
    (void)retain_what_may_go(COMMITLOG_EBUSY); /* more than half waits */
}

START_TEST(a_delayed_message_that_is_taken_back_frees_the_disk)
{
    uint64_t ids[WAITING];
    fill_with_timers(ids);
    for (int i = 0; i < 40; i++) {
        int32_t rc = commitlog_timer_cancel(store, ids[i], 0, &err);
        ck_assert_msg(rc == COMMITLOG_OK, "%s: %s", commitlog_error_name(rc), err.message);
    }
    check_frees();
}
END_TEST

START_TEST(a_delayed_message_that_is_delivered_frees_the_disk)
{
    uint64_t ids[WAITING];
    fill_with_timers(ids);
    pass_ms(200000);
    for (int i = 0; i < 10; i++) {
        step_all();
        pass_ms(2000);
    }
    check_frees();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("full disk");
    TCase *cases = tcase_create("cases");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, full_setup, full_teardown);
    tcase_add_test(cases, the_first_file_that_can_be_made_is_the_next_segment);
    tcase_add_loop_test(cases, what_a_group_has_consumed_frees_the_disk, 0, GROUP_CALLS);
    tcase_add_test(cases, what_receivers_acknowledge_frees_the_disk);
    tcase_add_loop_test(cases, a_dead_letter_frees_the_disk, 0, 4);
    tcase_add_test(cases, groups_leave_retention_its_room);
    tcase_add_test(cases, a_delayed_message_that_is_taken_back_frees_the_disk);
    tcase_add_test(cases, a_delayed_message_that_is_delivered_frees_the_disk);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
