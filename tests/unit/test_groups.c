/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_groups.c -- consumer groups: what a commit may do, and what is left of it after retention.
 */
#include "unit/group_fixture.h"

#include "base/bytes.h"
#include "format/group_record.h"
#include "format/limits.h"
#include "support/run_suite.h"

static struct commitlog_group *group;

static void close_store(void)
{
    commitlog_group_close(group);
    group = NULL;
    ck_assert_msg(commitlog_close(store, &err) == COMMITLOG_OK, "%s", err.message);
    store = NULL;
}

static void groups_setup(void)
{
    setup();
    open_store();
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
}

static void groups_teardown(void)
{
    commitlog_group_close(group);
    group = NULL;
    teardown();
}

static int32_t commit(uint32_t queue, uint64_t offset, uint32_t epoch, uint32_t level)
{
    struct commitlog_group_offset one = {topic, queue, offset};
    return commitlog_group_commit(group, epoch, &one, 1, level, 0, NULL, &err);
}

static uint64_t fetch(uint32_t queue)
{
    struct commitlog_group_offset one = {topic, queue, 0};
    ck_assert_msg(commitlog_group_fetch(group, &one, 1, &err) == COMMITLOG_OK, "%s", err.message);
    return one.offset;
}

/* ---- the record ------------------------------------------------------------------------------ */

START_TEST(a_record_says_what_it_was_made_of_and_nothing_else_decodes)
{
    uint8_t body[256];
    const struct clg_group_entry entries[] = {{3, 7}, {9, UINT64_C(1) << 40}};
    const struct clg_group_change change = {.name = (const uint8_t *)"orders",
                                            .name_bytes = 6,
                                            .operation = CLG_GROUP_OFFSETS,
                                            .epoch = 5,
                                            .count = 2};
    struct clg_group_change out;
    size_t bytes = (size_t)clg_group_change_bytes(6, 2);
    ck_assert_uint_eq(bytes, 24 + 32);
    ck_assert_int_eq(clg_group_change_encode(body, bytes, &change, entries), 0);
    ck_assert_int_eq(clg_group_change_decode(body, bytes, &out), 0);
    ck_assert_uint_eq(out.epoch, 5);
    ck_assert_uint_eq(out.count, 2);
    ck_assert_mem_eq(out.name, "orders", 6);
    ck_assert_uint_eq(clg_group_change_entry(&out, 1).queue_number, 9);
    ck_assert_uint_eq(clg_group_change_entry(&out, 1).offset, UINT64_C(1) << 40);
    for (size_t cut = 0; cut < bytes; cut++) {
        ck_assert_int_eq(clg_group_change_decode(body, cut, &out), COMMITLOG_EDAMAGED);
    }
    body[0] = 9;
    ck_assert_int_eq(clg_group_change_decode(body, bytes, &out), COMMITLOG_EUNSUPPORTED);
    body[0] = CLG_GROUP_SETTINGS; /* settings have no entries */
    ck_assert_int_eq(clg_group_change_decode(body, bytes, &out), COMMITLOG_EDAMAGED);
    body[0] = CLG_GROUP_OFFSETS;
    body[22] = 1; /* behind the name */
    ck_assert_int_eq(clg_group_change_decode(body, bytes, &out), COMMITLOG_EDAMAGED);
    body[22] = 0;
    clg_store_le32(body + 24 + 16, 3); /* the first queue again */
    ck_assert_int_eq(clg_group_change_decode(body, bytes, &out), COMMITLOG_EDAMAGED);
    clg_store_le32(body + 24 + 16, 9);
    clg_store_le64(body + 24 + 8, UINT64_MAX);
    ck_assert_int_eq(clg_group_change_decode(body, bytes, &out), COMMITLOG_EDAMAGED);
}
END_TEST

/* ---- what a commit may do -------------------------------------------------------------------- */

START_TEST(a_group_begins_with_nothing_and_remembers_what_it_commits)
{
    put(0, 10);
    ck_assert_uint_eq(fetch(0), UINT64_MAX);
    ck_assert_int_eq(commit(0, 4, 0, COMMITLOG_LEVEL_NONE), 0);
    ck_assert_uint_eq(fetch(0), 4);
    ck_assert_uint_eq(fetch(1), UINT64_MAX);
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_group_info(group, &info), 0);
    ck_assert_uint_eq(info.queues, 1);
    ck_assert_uint_eq(info.epoch, 0);
    ck_assert_str_eq(info.name, "g");
    ck_assert_int_eq(commitlog_group_at(store, 0, &info), 0);
    ck_assert_int_eq(commitlog_group_at(store, 1, &info), COMMITLOG_ENOTFOUND);
}
END_TEST

START_TEST(what_is_refused_changes_nothing)
{
    put(0, 10);
    put(1, 3);
    ck_assert_int_eq(commit(0, 4, 0, COMMITLOG_LEVEL_NONE), 0);
    uint64_t end = store_positions().claimed;
    ck_assert_int_eq(commit(0, 3, 0, COMMITLOG_LEVEL_NONE), COMMITLOG_ETOOSMALL);
    ck_assert_int_eq(commit(0, 11, 0, COMMITLOG_LEVEL_NONE), COMMITLOG_EBEYOND);
    ck_assert_int_eq(commit(QUEUES, 0, 0, COMMITLOG_LEVEL_NONE), COMMITLOG_EINVAL);
    ck_assert_int_eq(commit(0, 5, 1, COMMITLOG_LEVEL_NONE), COMMITLOG_EFENCED);
    ck_assert_int_eq(commit(0, 5, 0, 9), COMMITLOG_EINVAL);
    struct commitlog_group_offset some[] = {{topic, 1, 2}, {topic, 0, 3}};
    ck_assert_int_eq(commitlog_group_commit(group, 0, some, 2, 1, 0, NULL, &err),
                     COMMITLOG_ETOOSMALL);
    some[1] = some[0];
    ck_assert_int_eq(commitlog_group_commit(group, 0, some, 2, 1, 0, NULL, &err), COMMITLOG_EINVAL);
    ck_assert_int_eq(
        commitlog_group_commit(group, 0, some, COMMITLOG_GROUP_OFFSETS_MAX + 1, 1, 0, NULL, &err),
        COMMITLOG_ETOOBIG);
    ck_assert_int_eq(commitlog_group_commit(group, 0, some, 0, 1, 0, NULL, &err), COMMITLOG_EINVAL);
    ck_assert_uint_eq(fetch(0), 4);
    ck_assert_uint_eq(fetch(1), UINT64_MAX);
    ck_assert_uint_eq(store_positions().claimed, end);
    struct commitlog_group *none = NULL;
    ck_assert_int_eq(commitlog_group_open(store, "none", 4, 0, &none, &err), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_group_open(store, "", 0, COMMITLOG_GROUP_CREATE, &none, &err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_group_open(store, "n", 1, 64, &none, &err), COMMITLOG_EINVAL);
    ck_assert_ptr_null(none);
}
END_TEST

START_TEST(what_is_committed_already_is_not_written_again_but_gets_its_level)
{
    struct commitlog_receipt receipt;
    struct commitlog_group_offset one = {0, 0, 4};
    put(0, 10);
    one.topic = topic;
    ck_assert_int_eq(commit(0, 4, 0, COMMITLOG_LEVEL_NONE), 0);
    uint64_t end = store_positions().claimed;
    ck_assert_uint_lt(store_positions().durable, end);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &one, 1, COMMITLOG_LEVEL_DURABLE,
                                            COMMITLOG_FOREVER, &receipt, &err),
                     0);
    ck_assert_uint_eq(store_positions().claimed, end);
    ck_assert_uint_eq(store_positions().durable, end);
    ck_assert_uint_eq(receipt.level, COMMITLOG_LEVEL_DURABLE);
    ck_assert_uint_le(receipt.end_position, end);
}
END_TEST

START_TEST(a_member_of_an_earlier_epoch_is_out)
{
    uint32_t epoch = 0;
    put(0, 10);
    ck_assert_int_eq(commitlog_group_next_epoch(group, 1, &epoch, &err), 0);
    ck_assert_uint_eq(epoch, 1);
    ck_assert_int_eq(commit(0, 2, 1, 1), 0);
    ck_assert_int_eq(commitlog_group_next_epoch(group, 1, &epoch, &err), 0);
    ck_assert_int_eq(commit(0, 3, 1, 1), COMMITLOG_EFENCED);
    ck_assert_int_eq(commit(0, 3, 3, 1), COMMITLOG_EFENCED);
    ck_assert_int_eq(commit(0, 3, 2, 1), 0);
    ck_assert_int_eq(commit(0, 4, 0, 1), 0); /* who is not fenced */
    close_store();
    open_store();
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, 0, &group, &err), 0);
    ck_assert_int_eq(commit(0, 5, 1, 1), COMMITLOG_EFENCED);
    ck_assert_int_eq(commit(0, 5, 2, 1), 0);
}
END_TEST

START_TEST(only_a_reset_moves_an_offset_back)
{
    put(0, 10);
    put(1, 5);
    ck_assert_int_eq(commit(0, 8, 0, 1), 0);
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, 2, 1, &err), 0);
    ck_assert_uint_eq(fetch(0), 2);
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, 11, 1, &err),
                     COMMITLOG_EBEYOND);
    ck_assert_int_eq(
        commitlog_group_reset(group, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_OFFSET, 0, 1, &err),
        COMMITLOG_EINVAL);
    ck_assert_int_eq(commitlog_group_reset(group, topic, QUEUES, COMMITLOG_FROM_END, 0, 1, &err),
                     COMMITLOG_EINVAL);
    ck_assert_int_eq(
        commitlog_group_reset(group, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_END, 0, 1, &err),
        0);
    ck_assert_uint_eq(fetch(0), 10);
    ck_assert_uint_eq(fetch(1), 5);
    ck_assert_uint_eq(fetch(5), 0);
    ck_assert_int_eq(commitlog_group_reset(group, topic, 1, COMMITLOG_FROM_TIME, 0, 1, &err), 0);
    ck_assert_uint_eq(fetch(1), 0);
}
END_TEST

START_TEST(lag_counts_what_is_left)
{
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    put(0, 10);
    put(1, 5);
    ck_assert_int_eq(commit(0, 8, 0, 1), 0);
    ck_assert_int_eq(commitlog_group_lag(group, topic, 0, &lag, &err), 0);
    ck_assert_uint_eq(lag.messages, 2);
    ck_assert_int_gt(lag.oldest_time_ns, 0);
    ck_assert_int_eq(commitlog_group_lag(group, topic, COMMITLOG_QUEUE_ALL, &lag, &err), 0);
    ck_assert_uint_eq(lag.messages, 7);
    ck_assert_uint_eq(lag.queues, QUEUES);
    ck_assert_uint_eq(lag.dropped, 0);
    ck_assert_int_eq(commit(0, 10, 0, 1), 0);
    ck_assert_int_eq(commitlog_group_lag(group, topic, 0, &lag, &err), 0);
    ck_assert_uint_eq(lag.messages, 0);
    ck_assert_int_eq(lag.oldest_time_ns, 0);
    ck_assert_int_eq(commitlog_group_lag(group, topic, QUEUES, &lag, &err), COMMITLOG_EINVAL);
}
END_TEST

START_TEST(a_deleted_group_is_gone_and_begins_anew)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_group_offset one = {topic, 0, 0};
    put(0, 10);
    ck_assert_int_eq(commit(0, 8, 0, 1), 0);
    ck_assert_int_eq(commitlog_group_delete(group, 1, &err), 0);
    ck_assert_int_eq(commitlog_group_delete(group, 1, &err), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_group_info(group, &info), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commit(0, 9, 0, 1), COMMITLOG_ENOTFOUND);
    ck_assert_int_eq(commitlog_group_fetch(group, &one, 1, &err), COMMITLOG_ENOTFOUND);
    struct commitlog_group *again = NULL;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &again, &err), 0);
    ck_assert_uint_eq(fetch(0), UINT64_MAX);
    ck_assert_int_eq(commit(0, 1, 0, 1), 0);
    commitlog_group_close(again);
}
END_TEST

/* ---- retention ------------------------------------------------------------------------------- */

START_TEST(retention_keeps_what_a_group_has_yet_to_consume)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    put(0, 4000); /* some five segments */
    ck_assert_int_eq(commit(0, 1500, 0, 1), 0);
    ck_assert_int_eq(commitlog_group_configure(group, COMMITLOG_GROUP_KEEP, 1, &err), 0);
    struct commitlog_retained retained = retain_all();
    struct commitlog_queue_info queue = {.struct_bytes = sizeof(queue)};
    ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &queue), 0);
    ck_assert_uint_gt(retained.segments_dropped, 0);
    ck_assert_uint_gt(retained.kept_from, 0);
    ck_assert_uint_gt(queue.first_offset, 0);
    ck_assert_uint_le(queue.first_offset, 1500);
    ck_assert_int_eq(commitlog_group_info(group, &info), 0);
    ck_assert_uint_eq(info.flags, COMMITLOG_GROUP_KEEP);
    ck_assert_int_eq(commit(0, 4000, 0, 1), 0);
    retained = retain_all();
    ck_assert_uint_gt(retained.segments_dropped, 0);
    ck_assert_uint_eq(retained.kept_from, 0);
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    ck_assert_int_eq(commitlog_group_configure(group, 0, 1, &err), 0);
    ck_assert_int_eq(commitlog_group_lag(group, topic, 0, &lag, &err), 0);
    ck_assert_uint_eq(lag.dropped, 0);
}
END_TEST

START_TEST(offsets_outlive_the_segments_that_say_them)
{
    put(0, 10);
    uint32_t epoch = 0;
    ck_assert_int_eq(commitlog_group_next_epoch(group, 1, &epoch, &err), 0);
    ck_assert_int_eq(commit(0, 8, 1, 1), 0);
    put(0, 4000);
    ck_assert_int_eq(commit(1, 0, 1, 1), 0);
    ck_assert_uint_gt(retain_all().bytes_carried, 0);
    uint64_t end = store_positions().claimed;
    retain_all(); /* nothing left to be carried or dropped */
    ck_assert_uint_eq(store_positions().claimed, end);
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    ck_assert_int_eq(commitlog_group_lag(group, topic, 0, &lag, &err), 0);
    ck_assert_uint_gt(lag.dropped, 0);
    ck_assert_uint_eq(lag.messages + lag.dropped, 4002);
    close_store();
    open_store();
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, 0, &group, &err), 0);
    ck_assert_uint_eq(fetch(0), 8);
    ck_assert_uint_eq(fetch(1), 0);
    ck_assert_int_eq(commit(0, 9, 2, 1), COMMITLOG_EFENCED);
    ck_assert_int_eq(commit(0, 9, 1, 1), 0);
}
END_TEST

START_TEST(a_group_that_never_commits_is_carried_too)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof(info)};
    uint32_t epoch = 0;
    ck_assert_int_eq(commitlog_group_configure(group, COMMITLOG_GROUP_KEEP, 1, &err), 0);
    ck_assert_int_eq(commitlog_group_next_epoch(group, 1, &epoch, &err), 0);
    put(0, 4000);
    ck_assert_uint_gt(retain_all().segments_dropped, 0);
    close_store();
    forget_views();
    open_store();
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, 0, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_info(group, &info), 0);
    ck_assert_uint_eq(info.flags, COMMITLOG_GROUP_KEEP);
    ck_assert_uint_eq(info.epoch, 1);
}
END_TEST

static Suite *groups_suite(void)
{
    Suite *suite = suite_create("groups");
    TCase *single = tcase_create("single");
    tcase_add_checked_fixture(single, groups_setup, groups_teardown);
    tcase_add_test(single, a_record_says_what_it_was_made_of_and_nothing_else_decodes);
    tcase_add_test(single, a_group_begins_with_nothing_and_remembers_what_it_commits);
    tcase_add_test(single, what_is_refused_changes_nothing);
    tcase_add_test(single, what_is_committed_already_is_not_written_again_but_gets_its_level);
    tcase_add_test(single, a_member_of_an_earlier_epoch_is_out);
    tcase_add_test(single, only_a_reset_moves_an_offset_back);
    tcase_add_test(single, lag_counts_what_is_left);
    tcase_add_test(single, a_deleted_group_is_gone_and_begins_anew);
    tcase_add_test(single, retention_keeps_what_a_group_has_yet_to_consume);
    tcase_add_test(single, offsets_outlive_the_segments_that_say_them);
    tcase_add_test(single, a_group_that_never_commits_is_carried_too);
    suite_add_tcase(suite, single);
    return suite;
}

int main(void)
{
    return run_suite(groups_suite());
}
