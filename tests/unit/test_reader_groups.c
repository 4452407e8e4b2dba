/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_reader_groups.c -- what a reader is told of groups where the files that it would look into
 * are gone, for of a writer whose live area it does not see it does not know what retention has
 * taken; and where the next writer comes in the middle of a question.
 */
#include "support/run_suite.h"
#include "unit/fault_fixture.h"

static struct {
    const struct commitlog_os *under;
    struct commitlog_os table;
    struct commitlog_store *store;
    struct commitlog_group *group;
    uint32_t topic;
    uint32_t clocks; /* at which look at the clock the next writer comes; 0: never */
} reader;

static int unseen_open_at(const struct commitlog_os *os, int dirfd, const char *name,
                          uint32_t flags, uint32_t mode)
{
    (void)os;
    return strncmp(name, "commitlog-", 10) == 0
               ? -ENOENT
               : reader.under->open_at(reader.under, dirfd, name, flags, mode);
}

static void put_segments(uint32_t segments)
{
    const uint64_t end = store_positions().claimed + segments * segment_bytes;
    uint32_t wait = 0;
    while (store_positions().claimed < end) {
        store_put(100, COMMITLOG_LEVEL_DURABLE);
        ck_assert_int_eq(commitlog_step(store, 100000, &wait), 0);
    }
}

static void commit(uint64_t next, uint32_t level)
{
    const struct commitlog_group_offset offset = {.topic = topic, .queue = 0, .offset = next};
    struct commitlog_group *group = NULL;
    ck_assert_int_eq(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_commit(group, 0, &offset, 1, level, -1, NULL, &err), 0);
    commitlog_group_close(group);
}

static void reader_begin(const char *name)
{
    struct commitlog_options *options = NULL;
    ck_assert_int_eq(commitlog_options_create(&options), 0);
    ck_assert_int_eq(
        commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, NULL), 0);
    commitlog_options_set_os(options, &reader.table);
    ck_assert_msg(commitlog_open("/store", options, &reader.store, &err) == 0, "%s", err.message);
    commitlog_options_free(options);
    ck_assert_int_eq(commitlog_topic_open(reader.store, name, strlen(name), 0, &reader.topic, &err),
                     0);
    ck_assert_int_eq(commitlog_group_open(reader.store, "g", 1, 0, &reader.group, &err), 0);
}

static void machine_begin(void)
{
    setup();
    memset(&reader, 0, sizeof(reader));
    reader.under = commitlog_fault_os(machine);
    reader.table = *reader.under;
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
}

/* A group that has consumed ten messages, then five segments. */
static void groups_setup(void)
{
    machine_begin();
    store_put(10, COMMITLOG_LEVEL_DURABLE);
    commit(10, COMMITLOG_LEVEL_DURABLE);
    put_segments(2);
    ck_assert_int_eq(commitlog_topic_grow(store, topic, 2, COMMITLOG_LEVEL_DURABLE, &err), 0);
    put_segments(3);
    ck_assert_int_eq(commitlog_checkpoint(store, &err), 0);
    reader.table.open_at = unseen_open_at;
    reader_begin("t");
}

static void groups_teardown(void)
{
    commitlog_group_close(reader.group);
    (void)commitlog_close(reader.store, NULL);
    teardown();
}

static struct commitlog_queue_info retain(void)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    ck_assert_int_eq(commitlog_retain(store, &policy, &retained, &err), 0);
    ck_assert_uint_gt(retained.segments_dropped, 2);
    ck_assert_int_eq(commitlog_queue_info(store, topic, 0, &info), 0);
    return info;
}

START_TEST(the_lag_is_that_of_what_retention_has_left)
{
    const struct commitlog_queue_info info = retain();
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    int32_t rc = commitlog_group_lag(reader.group, reader.topic, 0, &lag, &err);
    ck_assert_msg(rc == 0, "%s", err.message);
    ck_assert_uint_eq(lag.dropped, info.first_offset - 10);
    ck_assert_int_eq(lag.oldest_time_ns, info.first_time_ns);
}
END_TEST

/* The parent of the queue is kept from behind the growth on. */
START_TEST(a_queue_opens_when_what_is_below_the_mark_has_gone)
{
    struct commitlog_group_gate gate = {.struct_bytes = sizeof(gate)};
    (void)retain();
    int32_t rc = commitlog_group_gate(reader.group, reader.topic, 1, &gate, &err);
    ck_assert_msg(rc == 0, "%s", err.message);
    ck_assert_uint_eq(gate.open, 1);
}
END_TEST

START_TEST(what_was_given_out_is_known)
{
    struct commitlog_work_info work = {.struct_bytes = sizeof(work)};
    (void)retain();
    int32_t rc = commitlog_group_work(reader.group, reader.topic, 0, 0, &work, &err);
    ck_assert_msg(rc == COMMITLOG_ENOTFOUND, "%s", err.message);
}
END_TEST

/* ---- the next writer comes ---- */

/* It finds only what is durable, and gives the numbers of the queues of a topic that is lost to
 * another one. */
static void next_writer(void)
{
    end_with_what_is_durable();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "other", 5, 2, &topic, &err), 0);
    ck_assert_int_eq(commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_DURABLE, NULL), 0);
    commit(1, COMMITLOG_LEVEL_DURABLE);
}

/* Each look is so much later that the reader asks who the writer is. */
static int64_t late_clock(const struct commitlog_os *os)
{
    reader.under->sleep_ns(reader.under, INT64_C(6000000000));
    if (reader.clocks > 0 && --reader.clocks == 0) {
        next_writer();
    }
    return reader.under->clock_mono_ns(os);
}

START_TEST(a_gate_has_no_offset_of_another_topic)
{
    struct commitlog_group_gate gate = {.struct_bytes = sizeof(gate)};
    machine_begin();
    store_put(1, COMMITLOG_LEVEL_DURABLE);
    commit(0, COMMITLOG_LEVEL_DURABLE);
    ck_assert_int_eq(commitlog_topic_open(store, "lost", 4, 1, &topic, &err), 0);
    ck_assert_int_eq(commitlog_append(store, topic, 0, "x", 1, COMMITLOG_LEVEL_NONE, NULL), 0);
    ck_assert_int_eq(commitlog_topic_grow(store, topic, 2, COMMITLOG_LEVEL_NONE, &err), 0);
    reader.table.clock_mono_ns = late_clock;
    reader_begin("lost");
    ck_assert_int_eq(commitlog_group_gate(reader.group, reader.topic, 1, &gate, &err), 0);
    reader.clocks = (uint32_t)_i + 1;
    int32_t rc = commitlog_group_gate(reader.group, reader.topic, 1, &gate, &err);
    ck_assert_msg(rc == 0 || rc == COMMITLOG_EINVAL, "%s", err.message);
    ck_assert_uint_eq(gate.open, 0);
    ck_assert_uint_eq(gate.committed, UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reader groups");
    TCase *cases = tcase_create("beside a writer that is not seen");
    tcase_add_checked_fixture(cases, groups_setup, groups_teardown);
    tcase_add_test(cases, the_lag_is_that_of_what_retention_has_left);
    tcase_add_test(cases, a_queue_opens_when_what_is_below_the_mark_has_gone);
    tcase_add_test(cases, what_was_given_out_is_known);
    suite_add_tcase(suite, cases);
    cases = tcase_create("when the next writer comes");
    tcase_add_checked_fixture(cases, NULL, groups_teardown);
    tcase_add_loop_test(cases, a_gate_has_no_offset_of_another_topic, 0, 6);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
