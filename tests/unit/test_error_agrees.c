/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_error_agrees.c -- what a call returns is what it writes into its commitlog_error, with a
 * text, whichever call of lib/os fails in it: memory, descriptors, reads, maps. The view files are
 * gone, so that what is looked up is made anew from the log.
 */
#include <stdio.h>

#include "unit/fault_fixture.h"

#include "support/run_suite.h"

enum { BODY = 1000, MESSAGES = 64, FRONT = 70, NTH_MAX = 60, QUIET = 3, POISON = 7777 };

static struct commitlog_fault *base; /* the store as every case finds it, closed */
static struct commitlog_group *group;
static struct commitlog_receiver *receiver;
static struct commitlog_message messages[MESSAGES];
static struct commitlog_delivery deliveries[MESSAGES];

/* ---- the calls ------------------------------------------------------------------------------- */

static int32_t call_receive(struct commitlog_error *out)
{
    uint32_t count = 0;
    return commitlog_receive(receiver, messages, deliveries, 10, 0, &count, out);
}

static int32_t call_nack(struct commitlog_error *out)
{
    const struct commitlog_delivery given = {.queue = 0, .offset = FRONT, .attempt = 1};
    return commitlog_nack(receiver, &given, 1, 0, out);
}

static int32_t call_reset_first(struct commitlog_error *out)
{
    return commitlog_group_reset(group, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0,
                                 COMMITLOG_LEVEL_NONE, out);
}

static int32_t call_reset_end(struct commitlog_error *out)
{
    return commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_END, 0, COMMITLOG_LEVEL_NONE, out);
}

static int32_t call_reset_offset(struct commitlog_error *out)
{
    return commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, 20, COMMITLOG_LEVEL_NONE,
                                 out);
}

static int32_t call_reset_time(struct commitlog_error *out)
{
    return commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_TIME, 5, COMMITLOG_LEVEL_NONE,
                                 out);
}

static int32_t call_commit(struct commitlog_error *out)
{
    const struct commitlog_group_offset at = {topic, 0, 150};
    return commitlog_group_commit(group, 0, &at, 1, COMMITLOG_LEVEL_NONE, 0, NULL, out);
}

static int32_t call_fetch(struct commitlog_error *out)
{
    struct commitlog_group_offset at = {topic, 0, 0};
    return commitlog_group_fetch(group, &at, 1, out);
}

static int32_t call_lag(struct commitlog_error *out)
{
    struct commitlog_group_lag lag = {.struct_bytes = sizeof(lag)};
    return commitlog_group_lag(group, topic, COMMITLOG_QUEUE_ALL, &lag, out);
}

static int32_t call_gate(struct commitlog_error *out)
{
    struct commitlog_group_gate gate = {.struct_bytes = sizeof(gate)};
    return commitlog_group_gate(group, topic, 1, &gate, out);
}

static int32_t call_shrink(struct commitlog_error *out)
{
    return commitlog_topic_shrink(store, topic, 1, COMMITLOG_LEVEL_NONE, out);
}

static int32_t call_grow(struct commitlog_error *out)
{
    return commitlog_topic_grow(store, topic, 4, COMMITLOG_LEVEL_NONE, out);
}

static int32_t call_topic(struct commitlog_error *out)
{
    uint32_t found = 0;
    return commitlog_topic_open(store, "u", 1, 3, &found, out);
}

static int32_t call_retain(struct commitlog_error *out)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy), .keep_bytes = 70000};
    return commitlog_retain(store, &policy, NULL, out);
}

static int32_t call_cursor(struct commitlog_error *out)
{
    struct commitlog_cursor *cursor = NULL;
    const int32_t rc =
        commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_TIME, 20, &cursor, out);
    commitlog_cursor_close(cursor);
    return rc;
}

static int32_t call_checkpoint(struct commitlog_error *out)
{
    return commitlog_checkpoint(store, out);
}

static int32_t call_close(struct commitlog_error *out)
{
    struct commitlog_store *closing = store;
    store = NULL;
    return commitlog_close(closing, out);
}

static const struct {
    int32_t (*call)(struct commitlog_error *out);
    const char *group;
    uint32_t attempts; /* of a receiver; 0: there is none */
} calls[] = {
    {call_receive, "ahead", 16},     {call_receive, "behind", 1},    {call_receive, "new", 16},
    {call_nack, "behind", 1},        {call_reset_first, "ahead", 0}, {call_reset_end, "ahead", 0},
    {call_reset_offset, "ahead", 0}, {call_reset_time, "ahead", 0},  {call_commit, "ahead", 0},
    {call_fetch, "ahead", 0},        {call_lag, "ahead", 0},         {call_gate, "ahead", 0},
    {call_shrink, "ahead", 0},       {call_grow, "ahead", 0},        {call_topic, "ahead", 0},
    {call_retain, "ahead", 0},       {call_cursor, "ahead", 0},      {call_checkpoint, "ahead", 0},
    {call_close, "ahead", 0}};
enum { CALLS = sizeof(calls) / sizeof(calls[0]) };

/* ---- the store ------------------------------------------------------------------------------- */

static void join(const char *name, uint64_t first, uint64_t second)
{
    const struct commitlog_group_offset at[] = {{topic, 0, first}, {topic, 1, second}};
    ck_assert_int_eq(commitlog_group_open(store, name, (uint32_t)strlen(name),
                                          COMMITLOG_GROUP_CREATE, &group, &err),
                     0);
    for (uint32_t i = 1; first > 0 && i <= 2; i++) { /* behind the first one the second is open */
        ck_assert_int_eq(
            commitlog_group_commit(group, 0, at, i, COMMITLOG_LEVEL_NONE, 0, NULL, &err), 0);
    }
    commitlog_group_close(group);
    group = NULL;
}

static void receiver_begin(uint32_t attempts)
{
    const struct commitlog_receiver_options options = {
        .struct_bytes = sizeof(options), .max_attempts = attempts, .visibility_ms = 1};
    ck_assert_int_eq(commitlog_receiver_open(group, topic, &options, &receiver, &err), 0);
}

static void put(uint32_t queue)
{
    static const char body[BODY];
    ck_assert_int_eq(commitlog_append(store, topic, queue, body, BODY, COMMITLOG_LEVEL_NONE, NULL),
                     0);
}

static void agrees_setup(void)
{
    setup();
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 1, &topic, &err), 0);
    for (uint32_t i = 0; i < 100; i++)
        put(0);
    ck_assert_int_eq(commitlog_topic_grow(store, topic, 2, COMMITLOG_LEVEL_NONE, &err), 0);
    for (uint32_t i = 0; i < 200; i++)
        put(i % 2);
    join("ahead", 130, 30);
    join("behind", 0, 0);
    join("new", 0, 0);
    ck_assert_int_eq(commitlog_group_open(store, "behind", 6, 0, &group, &err), 0);
    ck_assert_int_eq(commitlog_group_reset(group, topic, 0, COMMITLOG_FROM_OFFSET, FRONT,
                                           COMMITLOG_LEVEL_NONE, &err),
                     0);
    receiver_begin(1);
    ck_assert_int_eq(call_receive(&err), 0);
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    receiver = NULL;
    group = NULL;
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    base = machine;
}

static void drop_views(void)
{
    const char *name = NULL;
    for (uint32_t i = 0; commitlog_fault_name(machine, "/store/view", i, &name) == 0;) {
        char path[300];
        if (strstr(name, ".state") != NULL) {
            i++;
            continue;
        }
        (void)snprintf(path, sizeof(path), "/store/view/%s", name);
        ck_assert_int_eq(commitlog_fault_remove(machine, path), 0);
    }
}

/* What the call returned; the nth of the kind fails in it, 0: none. */
static int32_t agrees(int number, uint32_t kind, uint64_t nth, int32_t os_errno)
{
    const struct commitlog_os *os = NULL;
    struct commitlog_error out = {.code = POISON};
    ck_assert_int_eq(commitlog_fault_clone(base, nth + 1, &machine), 0);
    os = commitlog_fault_os(machine);
    ck_assert_int_eq(store_open(COMMITLOG_ENGINE_STAGED), 0);
    ck_assert_int_eq(commitlog_topic_open(store, "t", 1, 0, &topic, &err), 0);
    ck_assert_int_eq(commitlog_group_open(store, calls[number].group,
                                          (uint32_t)strlen(calls[number].group), 0, &group, &err),
                     0);
    if (calls[number].attempts > 0)
        receiver_begin(calls[number].attempts);
    os->sleep_ns(os, INT64_C(50000000)); /* what was given out comes again */
    drop_views();
    ck_assert_int_eq(commitlog_fault_fail(machine, kind, nth, os_errno, 0), 0);
    const int32_t rc = calls[number].call(&out);
    ck_assert_int_eq(commitlog_fault_fail(machine, kind, 0, 0, 0), 0);
    if (rc != COMMITLOG_OK) {
        ck_assert_msg(out.code == rc && out.message[0] != '\0',
                      "call %d, kind %u, number %llu: returned %s, wrote %d \"%s\"", number, kind,
                      (unsigned long long)nth, commitlog_error_name(rc), out.code, out.message);
    }
    commitlog_receiver_close(receiver);
    commitlog_group_close(group);
    (void)commitlog_close(store, NULL);
    commitlog_fault_free(machine);
    receiver = NULL;
    group = NULL;
    store = NULL;
    machine = base;
    return rc;
}

START_TEST(with_what_is_written)
{
    static const struct {
        uint32_t kind;
        int32_t os_errno;
    } faults[] = {{COMMITLOG_FAULT_ALLOC, ENOMEM}, {COMMITLOG_FAULT_OPEN, EMFILE},
                  {COMMITLOG_FAULT_READ, EIO},     {COMMITLOG_FAULT_WRITE, EIO},
                  {COMMITLOG_FAULT_SYNC, EIO},     {COMMITLOG_FAULT_MAP, ENOMEM},
                  {COMMITLOG_FAULT_STAT, EIO},     {COMMITLOG_FAULT_RENAME, EIO}};
    const int32_t without = agrees(_i, COMMITLOG_FAULT_ALLOC, 0, 0);
    ck_assert(without == COMMITLOG_OK || calls[_i].call == call_shrink);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        uint32_t quiet = 0;
        for (uint64_t nth = 1; nth <= NTH_MAX && quiet < QUIET; nth++) {
            quiet = agrees(_i, faults[i].kind, nth, faults[i].os_errno) == without ? quiet + 1 : 0;
        }
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("error agrees");
    TCase *cases = tcase_create("agrees");
    tcase_add_checked_fixture(cases, agrees_setup, teardown);
    tcase_add_loop_test(cases, with_what_is_written, 0, CALLS);
    suite_add_tcase(suite, cases);
    return run_suite(suite);
}
