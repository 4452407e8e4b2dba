/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_untouched.c -- of a call that fails the caller's outputs are as they were: of the functions
 * with outputs one call at least that fails as late as it can here, and each of them again in a
 * child of fork(). Where calls of the system fail: test_work_faults.c and test_timers_faults.c.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/run_suite.h"
#include "support/scratch.h"

enum { FILL = 0xA5, SOME = 4 };

/* All that a call may write, filled with one byte before it and compared after it. */
static struct outs {
    struct commitlog_message messages[SOME];
    struct commitlog_delivery deliveries[SOME];
    struct commitlog_receipt receipts[SOME];
    struct commitlog_slice slice;
    struct commitlog_header header;
    union {
        struct commitlog_topic_info topic;
        struct commitlog_queue_info queue;
        struct commitlog_option_info option;
        struct commitlog_histogram histogram;
        struct commitlog_event event;
        struct commitlog_retained retained;
        struct commitlog_damage damage;
        struct commitlog_group_info group;
        struct commitlog_group_gate gate;
        struct commitlog_group_lag lag;
        struct commitlog_timer_info timer;
        struct commitlog_work_info work;
        struct commitlog_transaction_info transaction;
        struct commitlog_transaction_message message;
    } info;
    void *handle;
    void *body;
    const char *name;
    uint64_t wide;
    uint32_t number;
    uint32_t numbers[SOME];
    uint8_t buffer[128];
} out;

static struct scratch s;
static uint64_t position; /* of a message that is no longer than it has to be */
static struct commitlog_cursor *cursors[8];
static struct commitlog_group *group;
static struct commitlog_group *deleted;
static struct commitlog_receiver *receiver;
static struct commitlog_transaction *ended;

enum { TAGGED, FILTERED, FILTERED_ALL, FILTERED_LOG, BY_KEY, AT_END, BEYOND, CURSORS };

static void open_cursors(void)
{
    static const struct commitlog_slice tag = {"other", 5};
    struct commitlog_filter *filter = NULL;
    ck_assert_int_eq(commitlog_filter_compile("a = 'none'", 10, &filter, &s.err), 0);
    for (int i = 0; i < CURSORS; i++) {
        int32_t rc;
        if (i == BY_KEY) {
            rc = commitlog_cursor_open_key(s.store, s.topic, "key", 3, 0, INT64_MAX, &cursors[i],
                                           &s.err);
        } else if (i == FILTERED_LOG) {
            rc = commitlog_cursor_open_log(s.store, 0, &cursors[i], &s.err);
        } else {
            uint32_t from = i == AT_END   ? COMMITLOG_FROM_END
                            : i == BEYOND ? COMMITLOG_FROM_OFFSET
                                          : COMMITLOG_FROM_FIRST;
            rc =
                commitlog_cursor_open(s.store, s.topic, i == FILTERED_ALL ? COMMITLOG_QUEUE_ALL : 0,
                                      from, 1000, &cursors[i], &s.err);
        }
        ck_assert_int_eq(rc, COMMITLOG_OK);
        if (i == FILTERED || i == FILTERED_ALL || i == FILTERED_LOG || i == BY_KEY) {
            ck_assert_int_eq(commitlog_cursor_set_filter(cursors[i], filter), COMMITLOG_OK);
        }
    }
    /* The hash of the tag is in the queue's entry: only the log order reads the record for it. */
    commitlog_cursor_close(cursors[TAGGED]);
    ck_assert_int_eq(commitlog_cursor_open_log(s.store, 0, &cursors[TAGGED], &s.err), 0);
    ck_assert_int_eq(commitlog_cursor_set_tags(cursors[TAGGED], &tag, 1), COMMITLOG_OK);
    commitlog_filter_free(filter);
}

static void setup(void)
{
    scratch_begin(&s, "untouched");
    scratch_open(&s, 2);
    for (int i = 0; i < 3; i++) {
        position = scratch_text(&s, 0, "body", "key", "tag").position;
        (void)scratch_put(&s, 0, 5000, 1);
    }
    open_cursors();
    ck_assert_int_eq(commitlog_group_open(s.store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &s.err),
                     0);
    ck_assert_int_eq(
        commitlog_group_open(s.store, "d", 1, COMMITLOG_GROUP_CREATE, &deleted, &s.err), 0);
    ck_assert_int_eq(commitlog_group_delete(deleted, COMMITLOG_LEVEL_NONE, &s.err), 0);
    uint32_t empty = 0;
    ck_assert_int_eq(commitlog_topic_open(s.store, "empty", 5, 1, &empty, &s.err), 0);
    ck_assert_int_eq(commitlog_receiver_open(group, empty, NULL, &receiver, &s.err), 0);
    ck_assert_int_eq(commitlog_transaction_begin(s.store, "g", 1, NULL, &ended, &s.err), 0);
    ck_assert_int_eq(commitlog_transaction_commit(ended, 0, 0, NULL, &s.err), 0);
}

static void teardown(void)
{
    for (int i = 0; i < CURSORS; i++) {
        commitlog_cursor_close(cursors[i]);
    }
    commitlog_transaction_close(ended);
    commitlog_receiver_close(receiver);
    commitlog_group_close(deleted);
    commitlog_group_close(group);
    scratch_end(&s);
}

/* ---- read ---- */

static int32_t fetch(int cursor)
{
    return commitlog_cursor_fetch(cursors[cursor], out.messages, SOME, 0, &out.number, NULL);
}
static int32_t fetch_tagged(void)
{
    return fetch(TAGGED);
}
static int32_t fetch_filtered(void)
{
    return fetch(FILTERED);
}
static int32_t fetch_filtered_all(void)
{
    return fetch(FILTERED_ALL);
}
static int32_t fetch_filtered_log(void)
{
    return fetch(FILTERED_LOG);
}
static int32_t fetch_by_key(void)
{
    return fetch(BY_KEY);
}
static int32_t fetch_at_end(void)
{
    return fetch(AT_END);
}
static int32_t fetch_beyond(void)
{
    return fetch(BEYOND);
}
static int32_t fetch_nothing(void)
{
    return commitlog_cursor_fetch(cursors[FILTERED], out.messages, 0, 0, &out.number, &out.wide);
}
static int32_t read_too_big(void)
{
    return commitlog_read_copy(s.store, s.topic, 0, 1, out.buffer, sizeof out.buffer, out.messages,
                               SOME, &out.number, NULL);
}
static int32_t read_at_end(void)
{
    return commitlog_read_copy(s.store, s.topic, 0, 6, out.buffer, sizeof out.buffer, out.messages,
                               SOME, &out.number, NULL);
}
static int32_t read_of_no_topic(void)
{
    return commitlog_read_copy(s.store, 77, 0, 0, out.buffer, sizeof out.buffer, out.messages, SOME,
                               &out.number, &out.wide);
}
static int32_t get_between(void)
{
    return commitlog_get(s.store, position + 8, out.messages,
                         (struct commitlog_lease **)&out.handle, &s.err);
}
static int32_t get_beyond(void)
{
    return commitlog_get(s.store, 1 << 30, out.messages, (struct commitlog_lease **)&out.handle,
                         &s.err);
}
static int32_t time_before_all(void)
{
    return commitlog_offset_by_time(s.store, s.topic, 0, 1, COMMITLOG_UPPER, &out.wide);
}
static int32_t key_past_last(void)
{
    static const struct commitlog_message message;
    return commitlog_message_key(&message, 0, &out.slice);
}
static int32_t header_past_last(void)
{
    static const struct commitlog_message message;
    return commitlog_message_header(&message, 0, &out.header);
}
static int32_t cursor_of_no_queue(void)
{
    return commitlog_cursor_open(s.store, s.topic, 2, COMMITLOG_FROM_FIRST, 0,
                                 (struct commitlog_cursor **)&out.handle, &s.err);
}
static int32_t cursor_of_no_place(void)
{
    return commitlog_cursor_open(s.store, s.topic, 0, 77, 0,
                                 (struct commitlog_cursor **)&out.handle, &s.err);
}
static int32_t cursor_by_key_of_no_topic(void)
{
    return commitlog_cursor_open_key(s.store, 77, "k", 1, 0, 0,
                                     (struct commitlog_cursor **)&out.handle, &s.err);
}
static int32_t filter_that_is_none(void)
{
    return commitlog_filter_compile("a =", 3, (struct commitlog_filter **)&out.handle, &s.err);
}

/* ---- topics, append, look ---- */

static int32_t topic_not_there(void)
{
    return commitlog_topic_open(s.store, "no", 2, 0, &out.number, &s.err);
}
static int32_t topic_of_another_width(void)
{
    return commitlog_topic_open(s.store, "test", 4, 3, &out.number, &s.err);
}
static int32_t topic_info(void)
{
    return commitlog_topic_info(s.store, 77, &out.info.topic);
}
static int32_t queue_info(void)
{
    return commitlog_queue_info(s.store, s.topic, 2, &out.info.queue);
}
static int32_t append_to_no_queue(void)
{
    return commitlog_append(s.store, s.topic, 2, "x", 1, 0, out.receipts);
}
static int32_t batch_with_a_bad_one(void)
{
    struct commitlog_record records[2] = {
        {.struct_bytes = sizeof *records, .topic = s.topic},
        {.struct_bytes = sizeof *records, .topic = s.topic, .queue = 2}};
    return commitlog_append_batch(s.store, records, 2, 0, out.receipts, &s.err);
}
static int32_t reserve_too_much(void)
{
    const struct commitlog_record record = {.struct_bytes = sizeof record, .topic = s.topic};
    return commitlog_reserve(s.store, &record, 3 << 20, 0,
                             (struct commitlog_reservation **)&out.handle, &out.body, &s.err);
}
static int32_t stat_past_last(void)
{
    return commitlog_stat(s.store, 9999, &out.name, &out.wide);
}
static int32_t histogram_past_last(void)
{
    return commitlog_histogram_get(s.store, 9999, &out.info.histogram);
}
static int32_t event_past_last(void)
{
    static struct commitlog_event event;
    int32_t rc = COMMITLOG_OK;
    while (rc == COMMITLOG_OK) {
        rc = commitlog_event_next(s.store, &event);
    }
    return commitlog_event_next(s.store, &out.info.event);
}
static int32_t damage_past_last(void)
{
    return commitlog_damage_get(s.store, 9999, &out.info.damage);
}
static int32_t option_past_last(void)
{
    return commitlog_option_info(9999, &out.info.option);
}
static int32_t option_that_is_none(void)
{
    return commitlog_options_get(s.options, 9999, &out.wide);
}
static int32_t retain_too_long(void)
{
    const struct commitlog_retention policy = {.keep_age_ms = UINT64_MAX};
    return commitlog_retain(s.store, &policy, &out.info.retained, &s.err);
}

/* ---- stores ---- */

static int32_t open_again(void)
{
    return commitlog_open(s.path, s.options, (struct commitlog_store **)&out.handle, &s.err);
}
static int32_t recover_while_open(void)
{
    return commitlog_recover(s.path, NULL, 0, (struct commitlog_report **)&out.handle, &s.err);
}
static int32_t verify_what_is_none(void)
{
    return commitlog_verify(s.root, NULL, (struct commitlog_report **)&out.handle, &s.err);
}

/* ---- choice and shares ---- */

static int32_t queue_of_none(void)
{
    return commitlog_queue_by_key("k", 1, 0, &out.number);
}
static int32_t turn_of_none(void)
{
    uint64_t turn = 0;
    return commitlog_queue_round_robin(&turn, 0, &out.number);
}
static int32_t all_loaded(void)
{
    static const uint64_t loads[] = {UINT64_MAX, UINT64_MAX};
    return commitlog_queue_least_loaded(loads, 2, 0, &out.number);
}
static int32_t members_alike(void)
{
    static const struct commitlog_slice members[] = {{"a", 1}, {"b", 1}, {"a", 1}};
    return commitlog_assign(COMMITLOG_ASSIGN_AVERAGE, members, 3, SOME, NULL, out.numbers, &s.err);
}

/* ---- groups, timers, work, transactions ---- */

static int32_t group_not_there(void)
{
    return commitlog_group_open(s.store, "no", 2, 0, (struct commitlog_group **)&out.handle,
                                &s.err);
}
static int32_t group_info(void)
{
    return commitlog_group_info(deleted, &out.info.group);
}
static int32_t group_past_last(void)
{
    return commitlog_group_at(s.store, 9999, &out.info.group);
}
static int32_t epoch_of_none(void)
{
    return commitlog_group_next_epoch(deleted, COMMITLOG_LEVEL_NONE, &out.number, &s.err);
}
static int32_t commit_beyond(void)
{
    const struct commitlog_group_offset offset = {.topic = s.topic, .offset = 1000};
    return commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_NONE, 0, out.receipts,
                                  &s.err);
}
static int32_t fetch_of_no_queue(void)
{
    struct commitlog_group_offset offsets[2] = {{.topic = s.topic, .offset = 9},
                                                {.topic = s.topic, .queue = 2, .offset = 9}};
    int32_t rc = commitlog_group_fetch(group, offsets, 2, &s.err);
    ck_assert(offsets[0].offset == 9 && offsets[1].offset == 9);
    return rc;
}
static int32_t gate_of_no_queue(void)
{
    return commitlog_group_gate(group, s.topic, 2, &out.info.gate, &s.err);
}
static int32_t lag_of_none(void)
{
    return commitlog_group_lag(deleted, s.topic, COMMITLOG_QUEUE_ALL, &out.info.lag, &s.err);
}
static int32_t timer_past_last(void)
{
    return commitlog_timer_at(s.store, 9999, &out.info.timer);
}
static int32_t receiver_of_no_topic(void)
{
    return commitlog_receiver_open(group, 77, NULL, (struct commitlog_receiver **)&out.handle,
                                   &s.err);
}
static int32_t receive_nothing(void)
{
    return commitlog_receive(receiver, out.messages, out.deliveries, SOME, 0, &out.number, &s.err);
}
static int32_t no_work(void)
{
    return commitlog_group_work(group, s.topic, 0, 0, &out.info.work, &s.err);
}
static int32_t transaction_not_there(void)
{
    return commitlog_transaction_open(s.store, 8, (struct commitlog_transaction **)&out.handle,
                                      &s.err);
}
static int32_t transaction_of_nobody(void)
{
    return commitlog_transaction_begin(s.store, "", 0, NULL,
                                       (struct commitlog_transaction **)&out.handle, &s.err);
}
static int32_t append_to_an_ended_one(void)
{
    const struct commitlog_record record = {.struct_bytes = sizeof record, .topic = s.topic};
    return commitlog_transaction_append(ended, &record, 0, out.receipts, &s.err);
}
static int32_t commit_an_ended_one(void)
{
    return commitlog_transaction_commit(ended, COMMITLOG_LEVEL_NONE, 0, out.receipts, &s.err);
}
static int32_t transaction_past_last(void)
{
    return commitlog_transaction_next(s.store, 0, &out.info.transaction);
}
static int32_t message_of_none(void)
{
    return commitlog_transaction_message(s.store, 8, 0, &out.info.message);
}

static const struct {
    int32_t (*call)(void);
    int32_t rc;
    bool no_handle; /* a child may call it too */
} rows[] = {
    {fetch_tagged, COMMITLOG_EEND, false},
    {fetch_filtered, COMMITLOG_EEND, false},
    {fetch_filtered_all, COMMITLOG_EEND, false},
    {fetch_filtered_log, COMMITLOG_EEND, false},
    {fetch_by_key, COMMITLOG_EEND, false},
    {fetch_at_end, COMMITLOG_EEND, false},
    {fetch_beyond, COMMITLOG_EBEYOND, false},
    {fetch_nothing, COMMITLOG_EINVAL, true},
    {read_too_big, COMMITLOG_ETOOBIG, false},
    {read_at_end, COMMITLOG_EEND, false},
    {read_of_no_topic, COMMITLOG_ENOTFOUND, false},
    {get_between, COMMITLOG_ENOTFOUND, false},
    {get_beyond, COMMITLOG_EBEYOND, false},
    {time_before_all, COMMITLOG_ENOTFOUND, false},
    {key_past_last, COMMITLOG_ENOTFOUND, true},
    {header_past_last, COMMITLOG_ENOTFOUND, true},
    {cursor_of_no_queue, COMMITLOG_EINVAL, false},
    {cursor_of_no_place, COMMITLOG_EINVAL, false},
    {cursor_by_key_of_no_topic, COMMITLOG_ENOTFOUND, false},
    {filter_that_is_none, COMMITLOG_EINVAL, true},
    {topic_not_there, COMMITLOG_ENOTFOUND, false},
    {topic_of_another_width, COMMITLOG_EEXIST, false},
    {topic_info, COMMITLOG_ENOTFOUND, false},
    {queue_info, COMMITLOG_EINVAL, false},
    {append_to_no_queue, COMMITLOG_EINVAL, false},
    {batch_with_a_bad_one, COMMITLOG_EINVAL, false},
    {reserve_too_much, COMMITLOG_ETOOBIG, false},
    {stat_past_last, COMMITLOG_ENOTFOUND, false},
    {histogram_past_last, COMMITLOG_ENOTFOUND, false},
    {event_past_last, COMMITLOG_EEND, false},
    {damage_past_last, COMMITLOG_ENOTFOUND, false},
    {option_past_last, COMMITLOG_ENOTFOUND, true},
    {option_that_is_none, COMMITLOG_ENOTFOUND, true},
    {retain_too_long, COMMITLOG_EINVAL, false},
    {open_again, COMMITLOG_ELOCKED, true},
    {recover_while_open, COMMITLOG_ELOCKED, true},
    {verify_what_is_none, COMMITLOG_EFORMAT, true},
    {queue_of_none, COMMITLOG_EINVAL, true},
    {turn_of_none, COMMITLOG_EINVAL, true},
    {all_loaded, COMMITLOG_ENOTFOUND, true},
    {members_alike, COMMITLOG_EINVAL, true},
    {group_not_there, COMMITLOG_ENOTFOUND, false},
    {group_info, COMMITLOG_ENOTFOUND, false},
    {group_past_last, COMMITLOG_ENOTFOUND, false},
    {epoch_of_none, COMMITLOG_ENOTFOUND, false},
    {commit_beyond, COMMITLOG_EBEYOND, false},
    {fetch_of_no_queue, COMMITLOG_EINVAL, false},
    {gate_of_no_queue, COMMITLOG_EINVAL, false},
    {lag_of_none, COMMITLOG_ENOTFOUND, false},
    {timer_past_last, COMMITLOG_ENOTFOUND, false},
    {receiver_of_no_topic, COMMITLOG_EINVAL, false},
    {receive_nothing, COMMITLOG_EEND, false},
    {no_work, COMMITLOG_ENOTFOUND, false},
    {transaction_not_there, COMMITLOG_ENOTFOUND, false},
    {transaction_of_nobody, COMMITLOG_EINVAL, true},
    {append_to_an_ended_one, COMMITLOG_ENOTFOUND, false},
    {commit_an_ended_one, COMMITLOG_ENOTFOUND, false},
    {transaction_past_last, COMMITLOG_ENOTFOUND, false},
    {message_of_none, COMMITLOG_ENOTFOUND, false},
};
enum { ROWS = sizeof rows / sizeof *rows };

static bool is_untouched(void)
{
    const uint8_t *bytes = (const uint8_t *)&out;
    for (size_t i = 0; i < sizeof out; i++) {
        if (bytes[i] != FILL) {
            return false;
        }
    }
    return true;
}

START_TEST(a_call_that_fails_leaves_its_outputs_as_they_were)
{
    memset(&out, FILL, sizeof out);
    int32_t rc = rows[_i].call();
    ck_assert_msg(rc == rows[_i].rc, "%s", commitlog_error_name(rc));
    ck_assert(is_untouched());
}
END_TEST

/* Emulators of user programs do not: there no library knows that it is in a child. */
static bool pages_are_wiped_in_a_child(void)
{
    uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int status = 1;
    ck_assert(page != MAP_FAILED);
    *page = 1;
    if (madvise(page, 4096, MADV_WIPEONFORK) == 0) {
        pid_t child = fork();
        ck_assert_int_ne(child, -1);
        if (child == 0) {
            _exit(*page);
        }
        ck_assert_int_eq(waitpid(child, &status, 0), child);
    }
    ck_assert_int_eq(munmap(page, 4096), 0);
    return status == 0;
}

START_TEST(a_child_that_uses_the_handles_of_its_parent_gets_no_outputs)
{
    if (!pages_are_wiped_in_a_child()) {
        printf("skip: a child of fork(): no MADV_WIPEONFORK here\n");
        return;
    }
    pid_t child = fork();
    ck_assert_int_ne(child, -1);
    if (child == 0) {
        int wrong = 0;
        for (int i = 0; i < ROWS && wrong == 0; i++) {
            memset(&out, FILL, sizeof out);
            int32_t rc = rows[i].call();
            wrong = (rc == COMMITLOG_EFORK || rows[i].no_handle) && is_untouched() ? 0 : i + 1;
        }
        _exit(wrong);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_msg(WEXITSTATUS(status) == 0, "row %d", WEXITSTATUS(status) - 1);
}
END_TEST

START_TEST(messages_behind_those_that_were_copied_are_as_they_were)
{
    static uint8_t all[8192];
    memset(&out, FILL, sizeof out);
    struct commitlog_message before = out.messages[1];
    uint32_t count = 0;
    ck_assert_int_eq(commitlog_read_copy(s.store, s.topic, 0, 0, out.buffer, sizeof out.buffer,
                                         out.messages, SOME, &count, NULL),
                     COMMITLOG_OK);
    ck_assert_uint_eq(count, 1);
    ck_assert_mem_eq(&out.messages[1], &before, sizeof before);
    ck_assert_ptr_eq(out.messages[0].attributes.data, out.buffer);
    ck_assert_int_eq(commitlog_read_copy(s.store, s.topic, 0, 0, all, sizeof all, out.messages,
                                         SOME, &count, NULL),
                     COMMITLOG_OK);
    ck_assert_uint_eq(count, 3); /* of 4, 5000 and 4 bytes, each within the buffer */
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *body = out.messages[i].body.data;
        ck_assert(body >= all && body + out.messages[i].body.bytes <= all + sizeof all);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("untouched");
    TCase *tcase = tcase_create("untouched");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, a_call_that_fails_leaves_its_outputs_as_they_were, 0, ROWS);
    tcase_add_test(tcase, a_child_that_uses_the_handles_of_its_parent_gets_no_outputs);
    tcase_add_test(tcase, messages_behind_those_that_were_copied_are_as_they_were);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
