/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_transactions_promises.c -- what is promised of transactions, where it was not kept at first.
 */
#include "support/run_suite.h"
#include "unit/meddling_fixture.h"

static int32_t commit_number(uint64_t id)
{
    struct commitlog_transaction *transaction = NULL;
    int32_t rc = commitlog_transaction_open(store, id, &transaction, &err);
    rc = rc == COMMITLOG_OK ? commit(transaction, NONE, NULL) : rc;
    commitlog_transaction_close(transaction);
    return rc;
}

static struct commitlog_transaction *meddled;
static int32_t meddled_rc;

static void meddle_commit(void)
{
    meddled_rc = commit(meddled, NONE, NULL);
}

static uint32_t expired_in(uint32_t queue, uint32_t messages)
{
    uint32_t gone = 0;
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_OFFSET, 0, &cursor, &err), 0);
    for (uint32_t i = 0; i < messages; i++) {
        struct commitlog_message message;
        uint32_t count = 0;
        int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
        ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EEXPIRED, "%d", rc);
        gone += rc != COMMITLOG_OK ? 1 : 0;
    }
    commitlog_cursor_close(cursor);
    return gone;
}

/* A group that keeps has yet to consume them: they may not go, whenever the commit comes. */
START_TEST(a_commit_beside_retention_loses_nothing_that_a_group_keeps)
{
    const uint32_t messages = 600;
    struct commitlog_retained retained;
    struct commitlog_group *group = NULL;
    struct commitlog_group_offset offset = {.topic = topic, .queue = 1, .offset = 0};
    struct commitlog_receipt last;
    meddling_open();
    ck_assert_int_eq(commitlog_group_open(store, "g", 1,
                                          COMMITLOG_GROUP_CREATE | COMMITLOG_GROUP_KEEP, &group,
                                          &err),
                     0);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, NONE, 0, NULL, &err), 0);
    meddled = begin_with(0, 10000000, 0);
    for (uint32_t i = 0; i < messages; i++) {
        ck_assert_int_eq(half_bytes(meddled, 1, 120, &last), 0);
    }
    put(0, 8000);
    step_all();
    if (_i == 0) { /* 1: it is committed before, as a control */
        meddle = meddle_commit;
    } else {
        meddle_commit();
    }
    int32_t rc = retain(last.position + 4 * segment_bytes < store_positions().claimed
                            ? store_positions().claimed - last.position - 2 * segment_bytes
                            : 1,
                        &retained);
    ck_assert_msg(rc == 0, "%d %s", rc, err.message);
    ck_assert(meddle == NULL);               /* it did come in between */
    if (meddled_rc == COMMITLOG_ETIMEDOUT) { /* it may wait until retention has carried all */
        meddle_commit();
    }
    ck_assert_int_eq(meddled_rc, 0);
    uint32_t gone = expired_in(1, messages);
    commitlog_transaction_close(meddled);
    commitlog_group_close(group);
    ck_assert_msg(gone == 0, "%u of %u messages that a group keeps are expired, first is %llu",
                  gone, messages, (unsigned long long)retained.first);
}
END_TEST

/* ---- all or nothing ---- */

/* Salvage makes a hole of the message; what is left of the transaction is not all of it. */
START_TEST(what_salvage_has_left_of_a_transaction_is_not_committed)
{
    static const char path[] = "/store/log/00000000000000000000.log";
    const void *content;
    uint64_t bytes;
    struct commitlog_transaction *transaction = begin();
    struct commitlog_receipt receipts[3];
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(half(transaction, 1, 0x11111111 * (i + 1), NONE, &receipts[i]), 0);
    }
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err), 0);
    const uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    die(false);
    ck_assert_int_eq(commitlog_fault_content(machine, path, &content, &bytes), 0);
    static const uint8_t body[4] = {0x22, 0x22, 0x22, 0x22};
    const uint8_t *at = memmem(content, (size_t)bytes, body, sizeof(body));
    ck_assert_ptr_nonnull(at);
    if (_i == 0) { /* 1: as a control it is sound */
        ck_assert_int_eq(
            commitlog_fault_flip(machine, path, (uint64_t)(at - (const uint8_t *)content), 0xff),
            0);
    }
    ck_assert_msg(store_open_with(commitlog_fault_os(machine), COMMITLOG_ENGINE_STAGED,
                                  COMMITLOG_RECOVER_SALVAGE) == 0,
                  "%s", err.message);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    int32_t rc = commit_number(id);
    if (_i == 1) {
        ck_assert(rc == COMMITLOG_OK && queue_end(1) == 3);
        return;
    }
    ck_assert_msg(rc != COMMITLOG_OK && queue_end(1) == 0,
                  "commit of 3 messages, one damaged: %d, %llu of them delivered", rc,
                  (unsigned long long)queue_end(1));
}
END_TEST

/* The same without salvage: what is folded again, because view files are gone, meets the damage. */
START_TEST(what_a_rebuild_has_left_of_a_transaction_is_not_committed)
{
    static const char path[] = "/store/log/00000000000000000000.log";
    const void *content;
    uint64_t bytes;
    struct commitlog_transaction *transaction = begin();
    for (uint32_t i = 0; i < 3; i++) {
        ck_assert_int_eq(half(transaction, 1, 0x11111111 * (i + 1), NONE, NULL), 0);
    }
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err), 0);
    const uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    put(0, _i < 2 ? 3000 : 10);
    step_all();
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    ck_assert_int_eq(commitlog_fault_content(machine, path, &content, &bytes), 0);
    static const uint8_t body[4] = {0x22, 0x22, 0x22, 0x22};
    const uint8_t *at = memmem(content, (size_t)bytes, body, sizeof(body));
    ck_assert_ptr_nonnull(at);
    ck_assert_int_eq(
        commitlog_fault_flip(machine, path, (uint64_t)(at - (const uint8_t *)content), 0xff), 0);
    if (_i % 2 == 0) {
        forget_views();
    }
    if (store_open(COMMITLOG_ENGINE_STAGED) != COMMITLOG_OK) {
        return; /* refused: good */
    }
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, QUEUES, &topic, &err), 0);
    int32_t rc = commit_number(id);
    ck_assert_msg(rc != COMMITLOG_OK && queue_end(1) == 0,
                  "commit of 3 messages, one damaged: %d, %llu of them delivered", rc,
                  (unsigned long long)queue_end(1));
}
END_TEST

/* A commit is an acknowledged append of now: what it delivers is not older than what is appended
 * beside it. */
START_TEST(what_was_just_committed_is_not_the_next_to_go)
{
    /* _i 1: so few that the copies fit, as a control. */
    const uint32_t messages = _i == 0 ? 200 : 20;
    struct commitlog_retained retained;
    struct commitlog_transaction *transaction = begin_with(0, 10000000, 0);
    struct commitlog_receipt first;
    struct commitlog_receipt last;
    for (uint32_t i = 0; i < messages; i++) {
        ck_assert_int_eq(half_bytes(transaction, 1, 1000, i == 0 ? &first : &last), 0);
    }
    put(0, 8000);
    step_all();
    ck_assert_int_eq(commit(transaction, DURABLE, NULL), 0);
    commitlog_transaction_close(transaction);
    ck_assert_int_eq(retain((store_positions().claimed - last.position) * 3 / 4, &retained), 0);
    ck_assert_uint_gt(retained.first, last.position);
    uint32_t gone = 0;
    struct commitlog_cursor *cursor = NULL;
    ck_assert_int_eq(
        commitlog_cursor_open(store, topic, 1, COMMITLOG_FROM_OFFSET, 0, &cursor, &err), 0);
    for (uint32_t i = 0; i < messages; i++) {
        struct commitlog_message message;
        uint32_t count = 0;
        int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
        ck_assert_msg(rc == COMMITLOG_OK || rc == COMMITLOG_EEXPIRED, "%d", rc);
        gone += rc != COMMITLOG_OK ? 1 : 0;
    }
    commitlog_cursor_close(cursor);
    ck_assert_msg(gone == 0, "%u of %u that were committed last are expired", gone, messages);
}
END_TEST

/* ---- what is told of them ---- */

/* commitlog_transaction_info: 0 of another process's that is not prepared; the format: a state that
 * is not prepared has 0. */
START_TEST(one_that_is_carried_says_no_time_that_is_not_in_the_log)
{
    /* _i 1: not carried, as a control. */
    struct commitlog_retained retained;
    struct commitlog_transaction *transaction = begin_with(0, 10000000, 0);
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    put(0, 2000);
    step_all();
    if (_i == 0) {
        ck_assert_int_eq(retain(1, &retained), 0);
        ck_assert_uint_gt(retained.first, commitlog_transaction_id(transaction));
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    struct commitlog_store *writer = store;
    const uint64_t read_only[1][2] = {{COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY}};
    ck_assert_msg(store_open_by(read_only, 1) == 0, "%s", err.message);
    ck_assert_uint_eq(open_count(&info), 1);
    int64_t expires = info.expires_at_ms;
    ck_assert_uint_eq(info.prepared, 0);
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = writer;
    commitlog_transaction_close(transaction);
    ck_assert_int_eq(expires, 0);
}
END_TEST

/* What is carried is the same as before: the writer's own time for it, too. */
START_TEST(one_that_is_carried_keeps_its_time)
{
    struct commitlog_retained retained;
    struct commitlog_transaction *other = NULL;
    struct commitlog_transaction *transaction = begin_with(0, 10000000, 0);
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    put(0, 2000);
    step_all();
    if (_i == 0) { /* 1: not carried, as a control */
        ck_assert_int_eq(retain(1, &retained), 0);
        ck_assert_uint_gt(retained.first, commitlog_transaction_id(transaction));
    }
    other = begin_with(0, 1000, 0); /* lets upkeep look */
    ck_assert_int_eq(half(other, 2, 2, NONE, NULL), 0);
    pass_ms(2000);
    step_all();
    int32_t rc = commit(transaction, NONE, NULL);
    commitlog_transaction_close(transaction);
    commitlog_transaction_close(other);
    ck_assert_msg(rc == 0, "after 2 of 10,000 s: %d %s", rc, err.message);
}
END_TEST

/* What it has written is of one that is not prepared. */
START_TEST(a_prepare_that_fails_has_prepared_nothing)
{
    struct commitlog_group *group = keeping_group();
    struct commitlog_transaction *transaction = begin();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 0};
    put(0, 5);
    offset.offset = 5;
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    uint64_t before = store_positions().claimed;
    int32_t rc = COMMITLOG_ENOMEM;
    for (uint64_t nth = 1; rc != COMMITLOG_OK; nth++) {
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, nth, ENOMEM, 1);
        rc = commitlog_transaction_prepare(transaction, NONE, 0, &err);
        (void)commitlog_fault_fail(machine, COMMITLOG_FAULT_ALLOC, 0, 0, 0);
        if (rc != COMMITLOG_OK) {
            ck_assert(store_positions().claimed == before || open_count(&info) == 1);
            ck_assert(open_count(&info) == 0 || info.prepared == 0);
        }
    }
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
}
END_TEST

/* What was said for a member stays fenced, whatever is said of other queues. */
START_TEST(offsets_of_a_member_stay_fenced)
{
    struct commitlog_group *group = keeping_group();
    struct commitlog_transaction *transaction = begin();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 5};
    uint32_t epoch = 0;
    put(0, 5);
    put(1, 5);
    ck_assert_int_eq(commitlog_group_next_epoch(group, NONE, &epoch, &err), 0);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, epoch, &offset, 1, &err), 0);
    offset.queue = 1;
    if (_i == 0) { /* 1: alone, as a control */
        ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err),
                         COMMITLOG_EINVAL);
    }
    uint32_t next = 0;
    ck_assert_int_eq(commitlog_group_next_epoch(group, NONE, &next, &err), 0);
    ck_assert_int_eq(commit(transaction, NONE, NULL), COMMITLOG_EFENCED);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
}
END_TEST

/* What is prepared can be committed: that is what a prepare is for. A restart begins an epoch. */
START_TEST(a_prepared_one_can_be_committed_after_a_restart)
{
    struct commitlog_group *group = keeping_group();
    struct commitlog_transaction *transaction = begin();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 5};
    uint32_t epoch = 0;
    put(0, 5);
    ck_assert_int_eq(commitlog_group_next_epoch(group, NONE, &epoch, &err), 0);
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, epoch, &offset, 1, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err), 0);
    const uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
    restart(true);
    if (_i == 0) { /* 1: the group stays in its epoch, as a control */
        ck_assert_int_eq(commitlog_group_open(store, "g", 1, 0, &group, &err), 0);
        ck_assert_int_eq(commitlog_group_next_epoch(group, NONE, &epoch, &err), 0);
        commitlog_group_close(group);
    }
    int32_t rc = commit_number(id);
    ck_assert_msg(rc == 0, "%d %s", rc, err.message);
}
END_TEST

/* "Of a commit and a rollback that meet one is first: the second answers ENOTFOUND": so whoever
 * gets it has nothing left to do. */
START_TEST(not_found_says_that_the_transaction_has_ended)
{
    struct commitlog_group *group = keeping_group();
    struct commitlog_transaction *transaction = begin();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 5};
    put(0, 5);
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err), 0);
    ck_assert_int_eq(commitlog_group_delete(group, NONE, &err), 0);
    int32_t rc = commit(transaction, NONE, NULL);
    uint32_t count = open_count(&info);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
    ck_assert_msg(rc != COMMITLOG_ENOTFOUND || count == 0, "not found, and it is open");
}
END_TEST

static struct commitlog_group *open_group(void)
{
    struct commitlog_group *group = NULL;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    return group;
}

static void group_made_anew(void)
{
    struct commitlog_group *group = open_group();
    ck_assert_int_eq(commitlog_group_delete(group, NONE, &err), 0);
    commitlog_group_close(group);
    commitlog_group_close(open_group());
}

static uint64_t committed_of_group(void)
{
    struct commitlog_group *group = open_group();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0};
    ck_assert_int_eq(commitlog_group_fetch(group, &offset, 1, &err), 0);
    commitlog_group_close(group);
    return offset.offset;
}

static void stored_again(uint64_t id)
{
    struct commitlog_retained retained;
    put(0, 2000);
    step_all();
    ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
    ck_assert_uint_gt(retained.first, id);
}

/* "Of a prepared one all of a group that was deleted falls out at the commit": also if there is a
 * new one of that name, whatever retention has stored again, before or after, and from wherever it
 * is known. 12 and 13: it was not deleted, as a control. */
START_TEST(offsets_of_a_deleted_group_are_not_those_of_the_next_one)
{
    struct commitlog_group *group = open_group();
    struct commitlog_transaction *transaction = begin();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 5};
    put(0, 5);
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err), 0);
    const uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
    if (_i % 4 == 1 || _i % 4 == 3) {
        stored_again(id);
    }
    if (_i < 12) {
        group_made_anew();
    }
    if (_i % 4 >= 2) {
        stored_again(id);
    }
    ck_assert_int_eq(commitlog_sync(store, UINT64_MAX, -1, &err), 0);
    if (_i / 4 == 1) {
        restart(false); /* from .state */
    } else if (_i / 4 >= 2) {
        die(true);
        forget_views();
        open_store();
    }
    ck_assert_uint_eq(open_count(&info), 1);
    ck_assert_msg(commit_number(id) == 0, "%s", err.message);
    for (int views = 1; views >= 0; views--) {
        ck_assert_uint_eq(committed_of_group(), _i < 12 ? UINT64_MAX : 5);
        ck_assert_uint_eq(queue_end(1), 1);
        ck_assert_uint_eq(open_count(&info), 0);
        ck_assert_int_eq(commitlog_close(store, &err), 0);
        if (views == 0) {
            forget_views();
        }
        open_store();
    }
    ck_assert_uint_eq(committed_of_group(), _i < 12 ? UINT64_MAX : 5);
}
END_TEST

/* The same of one that is not prepared: it is told. */
START_TEST(offsets_of_a_deleted_group_are_fenced)
{
    struct commitlog_group *group = open_group();
    struct commitlog_transaction *transaction = begin();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = 5};
    put(0, 5);
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    group_made_anew();
    ck_assert_int_eq(commit(transaction, NONE, NULL), COMMITLOG_EFENCED);
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, NONE, 0, &err), COMMITLOG_EFENCED);
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err),
                     COMMITLOG_EFENCED);
    ck_assert_uint_eq(committed_of_group(), UINT64_MAX);
    ck_assert_int_eq(roll_back(transaction), 0);
    commitlog_transaction_close(transaction);
    transaction = begin(); /* the new one's own */
    ck_assert_int_eq(commitlog_transaction_offsets(transaction, group, 0, &offset, 1, &err), 0);
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
    ck_assert_uint_eq(committed_of_group(), 5);
    commitlog_transaction_close(transaction);
    commitlog_group_close(group);
}
END_TEST

/* commitlog_message: "transaction that it was appended to; 0: to none" */
START_TEST(a_dead_letter_says_its_transaction)
{
    struct commitlog_transaction *transaction = begin_with(0, 10000000, 0);
    struct commitlog_group *group = NULL;
    struct commitlog_receiver *receiver = NULL;
    struct commitlog_message message;
    struct commitlog_delivery given;
    struct commitlog_cursor *cursor = NULL;
    uint32_t count = 0;
    uint32_t dead = 0;
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof(options),
                                                       .max_attempts = 1};
    ck_assert_int_eq(half(transaction, 1, 1, NONE, NULL), 0);
    const uint64_t id = commitlog_transaction_id(transaction);
    ck_assert_int_eq(commit(transaction, NONE, NULL), 0);
    commitlog_transaction_close(transaction);
    put(0, _i == 0 ? 4000 : 0); /* 1: young, so the dead letter is a reference, as a control */
    step_all();
    struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = queue_end(0)};
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, NONE, 0, NULL, &err), 0);
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
    ck_assert_int_eq(commitlog_receive(receiver, &message, &given, 1, 0, &count, &err), 0);
    ck_assert(message.transaction == id && given.queue == 1);
    ck_assert_int_eq(commitlog_nack(receiver, &given, 1, 0, &err), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "%DLQ%g", 6, 0, &dead, &err), 0);
    ck_assert_int_eq(commitlog_cursor_open(store, dead, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
                     0);
    ck_assert_int_eq(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL), 0);
    uint64_t said = message.transaction;
    ck_assert_uint_eq(message.kind, _i == 0 ? COMMITLOG_KIND_MESSAGE : COMMITLOG_KIND_REFERENCE);
    commitlog_cursor_close(cursor);
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    ck_assert_uint_eq(said, id);
}
END_TEST

/* Retention waits for the transactions, and the transactions for retention. */
START_TEST(a_full_disk_is_freed_by_a_rollback)
{
    struct commitlog_transaction *transaction = begin();
    struct commitlog_retained retained;
    for (uint32_t i = 0; i < 300; i++) {
        ck_assert_int_eq(half_bytes(transaction, 1, 1000, NULL), 0);
    }
    ck_assert_int_eq(commitlog_transaction_prepare(transaction, DURABLE, 0, &err), 0);
    const uint64_t id = commitlog_transaction_id(transaction);
    commitlog_transaction_close(transaction);
    step_all();
    commitlog_fault_set_free(machine, 0);
    int32_t rc = COMMITLOG_OK;
    while (rc == COMMITLOG_OK) {
        rc = commitlog_append(store, topic, 0, "0123456789", 10, NONE, NULL);
    }
    ck_assert_int_eq(rc, COMMITLOG_ENOSPC);
    ck_assert_int_eq(retain(1, &retained), COMMITLOG_EBUSY); /* more than half is open */
    transaction = NULL;
    ck_assert_int_eq(commitlog_transaction_open(store, id, &transaction, &err), 0);
    rc = roll_back(transaction);
    commitlog_transaction_close(transaction);
    ck_assert_msg(rc == 0, "nothing frees the disk for a day: %d %s", rc, err.message);
    ck_assert_msg(retain(1, &retained) == 0, "%s", err.message);
    ck_assert_uint_gt(retained.first, id);
}
END_TEST

int main(void)
{
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    Suite *suite = suite_create("transactions, promises");
    TCase *cases = tcase_create("cases");
    tcase_add_checked_fixture(cases, edges_setup, teardown);
    tcase_set_timeout(cases, 30);
    tcase_add_loop_test(cases, what_salvage_has_left_of_a_transaction_is_not_committed, 0, 2);
    tcase_add_loop_test(cases, what_a_rebuild_has_left_of_a_transaction_is_not_committed, 0, 4);
    tcase_add_loop_test(cases, what_was_just_committed_is_not_the_next_to_go, 0, 2);
    tcase_add_loop_test(cases, one_that_is_carried_says_no_time_that_is_not_in_the_log, 0, 2);
    tcase_add_loop_test(cases, one_that_is_carried_keeps_its_time, 0, 2);
    tcase_add_test(cases, a_prepare_that_fails_has_prepared_nothing);
    tcase_add_loop_test(cases, offsets_of_a_member_stay_fenced, 0, 2);
    tcase_add_loop_test(cases, a_commit_beside_retention_loses_nothing_that_a_group_keeps, 0, 2);
    tcase_add_loop_test(cases, a_dead_letter_says_its_transaction, 0, 2);
    tcase_add_loop_test(cases, a_prepared_one_can_be_committed_after_a_restart, 0, 2);
    tcase_add_test(cases, not_found_says_that_the_transaction_has_ended);
    tcase_add_loop_test(cases, offsets_of_a_deleted_group_are_not_those_of_the_next_one, 0, 14);
    tcase_add_test(cases, offsets_of_a_deleted_group_are_fenced);
    tcase_add_test(cases, a_full_disk_is_freed_by_a_rollback);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
