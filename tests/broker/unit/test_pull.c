/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_pull.c -- pulls of a queue of which the store does not say where it begins and ends, what
 * they hold of the store, and what wakes those that wait.
 *
 * A topic that claims more queues than the store's has such ones. No client is there: what it would
 * be sent is looked at.
 */
#include <check.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "append.h"
#include "clients.h"
#include "codes.h"
#include "command.h"
#include "config_store.h"
#include "connections.h"
#include "counters.h"
#include "dispatch.h"
#include "frame.h"
#include "groups.h"
#include "hold.h"
#include "log.h"
#include "notices.h"
#include "offsets.h"
#include "pull.h"
#include "support/dirs.h"
#include "support/run_suite.h"
#include "topic_rates.h"

enum { QUEUES = 4, UNKNOWN = QUEUES + 2, ASKED = 77, SEGMENT_BYTES = 1 << 20 };

static struct broker broker;
static struct options options;
static struct topic *topic;
static struct connection *connection;
static char directory[DIRS_PATH_MAX];
static uint64_t visibility;
static uint64_t clock_ns, clock_step_ns; /* 0: the time of now */

/* In place of libuv's, for the broker alone. */
uint64_t uv_hrtime(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    clock_ns += clock_step_ns;
    return clock_ns > 0 ? clock_ns : (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void append(const void *data, size_t bytes)
{
    struct commitlog_slice body = {data, bytes};
    const struct commitlog_record record = {.struct_bytes = sizeof record,
                                            .topic = topic->stored,
                                            .queue = 0,
                                            .level = COMMITLOG_LEVEL_DURABLE,
                                            .body = &body,
                                            .body_count = 1};
    ck_assert_int_eq(commitlog_append_record(broker.store, &record, -1, NULL, NULL), COMMITLOG_OK);
}

static void setup(void)
{
    dirs_make(directory, "test-pull");
    broker = (struct broker){0};
    clock_ns = clock_step_ns = 0;
    char name[] = "mini-broker", data[] = "--data";
    char *words[] = {name, data, directory, NULL};
    ck_assert_int_eq(options_parse(3, words, &options), OPTIONS_RUN);
    log_set_level(LOG_ERROR);
    broker.options = &options;
    struct commitlog_options *small;
    ck_assert_int_eq(commitlog_options_create(&small), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_options_set(small, COMMITLOG_OPT_SEGMENT_BYTES, SEGMENT_BYTES, NULL),
                     COMMITLOG_OK);
    ck_assert_int_eq(
        commitlog_options_set(small, COMMITLOG_OPT_MAX_BODY_BYTES, SEGMENT_BYTES / 2, NULL),
        COMMITLOG_OK);
    /* The store's own thread looks into segments, too. */
    ck_assert_int_eq(commitlog_options_set(small, COMMITLOG_OPT_THREAD, 0, NULL), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_options_set(small, COMMITLOG_OPT_VISIBILITY, visibility, NULL),
                     COMMITLOG_OK);
    ck_assert_int_eq(commitlog_open(directory, small, &broker.store, NULL), COMMITLOG_OK);
    commitlog_options_free(small);
    ck_assert_int_eq(uv_loop_init(&broker.loop), 0);
    ck_assert(counters_start(&broker) && config_start(&broker) && groups_start(&broker) &&
              topics_start(&broker) && clients_start(&broker) && notices_start(&broker) &&
              offsets_start(&broker) && connections_start(&broker) && hold_start(&broker));
    topic = topic_make(&broker, TEXT("orders"), QUEUES, PERM_READ | PERM_WRITE);
    ck_assert_int_eq(topic_store(&broker, topic, NULL), COMMITLOG_OK);
    append("body", 4);
    topic->stored_queues = topic->read_queues = topic->write_queues = 2 * QUEUES;
    connection = calloc(1, sizeof *connection);
    connection->broker = &broker;
    connection->refs = 1;
}

static void teardown(void)
{
    topic->stored_queues = QUEUES;
    connection->closed = true; /* nothing of it is sent: it has no socket */
    hold_stop(&broker);
    connections_stop(&broker);
    connection_unref(connection);
    offsets_stop(&broker);
    clients_stop(&broker);
    notices_stop(&broker);
    config_stop(&broker);
    counters_stop(&broker);
    topics_stop(&broker);
    groups_stop(&broker);
    (void)uv_run(&broker.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&broker.loop), 0);
    ck_assert_int_eq(commitlog_close(broker.store, NULL), COMMITLOG_OK);
    buffer_free(&broker.fields);
    buffer_free(&broker.header);
    buffer_free(&broker.properties);
    buffer_free(&broker.scratch);
    dirs_remove(directory);
    options_free(&options);
}

/* What waits to be sent, as a text. */
static const char *answers(void)
{
    static char text[65536];
    const size_t bytes = output_peek(&connection->output, (uint8_t *)text, sizeof text - 1);
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '\0') {
            text[i] = '.';
        }
    }
    text[bytes] = '\0';
    return text;
}

static struct pull pull_of(uint32_t queue, int64_t hold_ms)
{
    struct commitlog_error err;
    struct pull pull = {.to = {connection, 1, HEADER_JSON, false},
                        .topic = topic,
                        .queue = queue,
                        .max = 32,
                        .asked = ASKED,
                        .offset = ASKED,
                        .hold_ms = hold_ms,
                        .group_bytes = 1,
                        .group = "g",
                        .own = subscription_new(TEXT("orders"), TEXT("*"), false, 0, &err)};
    ck_assert_ptr_nonnull(pull.own);
    return pull;
}

static void is_told_to_ask_again(void)
{
    ck_assert_ptr_nonnull(strstr(answers(), "\"code\":1,"));
    ck_assert_ptr_nonnull(strstr(answers(), "\"nextBeginOffset\":\"77\""));
}

START_TEST(a_pull_keeps_its_offset_where_the_store_does_not_say)
{
    struct pull pull = pull_of(UNKNOWN, 0);
    ck_assert(pull_try(&broker, &pull));
    is_told_to_ask_again();
    pull_free(&pull);
}
END_TEST

START_TEST(a_pull_that_is_held_stays_so_until_its_time_is_over)
{
    struct pull pull = pull_of(UNKNOWN, 1500);
    ck_assert(hold_pull(&broker, &pull));
    append("body", 4); /* the store says that there is something */
    for (int64_t until = broker_now_ms() + 500; broker_now_ms() < until; usleep(1000)) {
        (void)uv_run(&broker.loop, UV_RUN_NOWAIT);
    }
    ck_assert_uint_eq(hold_count(&broker), 1);
    ck_assert_str_eq(answers(), "");
    pull = pull_of(UNKNOWN, 0);
    pull_give_up(&broker, &pull);
    is_told_to_ask_again();
    pull_free(&pull);
}
END_TEST

START_TEST(an_offset_is_not_confirmed_where_the_store_does_not_say)
{
    ck_assert(offsets_set(&broker, TEXT("g"), topic, 0, 1));
    ck_assert(!offsets_set(&broker, TEXT("g"), topic, UNKNOWN, 1));
    ck_assert_int_eq(offsets_get(&broker, TEXT("g"), topic, 0), 1);
    ck_assert_int_eq(offsets_get(&broker, TEXT("g"), topic, 1), OFFSET_NONE);
    ck_assert_int_eq(offsets_get(&broker, TEXT("g"), topic, UNKNOWN), OFFSET_UNKNOWN);
}
END_TEST

/* ---- what wakes those that wait ---------------------------------------------------------------
 */

/* Of queue 0, at its end. */
static void wait_for(uint64_t end)
{
    struct pull pull = pull_of(0, 60000);
    pull.asked = pull.offset = end;
    ck_assert(!pull_try(&broker, &pull));
    ck_assert(hold_pull(&broker, &pull));
}

/* As the broker appends. */
static void send_to(uint32_t queue)
{
    static struct properties known;
    struct commitlog_receipt receipt;
    struct message message = {
        .topic = topic, .queue = queue, .known = &known, .layout = {.body = TEXT("body")}};
    ck_assert_int_eq(append_message(&broker, &message, &receipt, NULL), COMMITLOG_OK);
}

static void turns(void)
{
    for (int i = 0; i < 5; i++) {
        (void)uv_run(&broker.loop, UV_RUN_NOWAIT);
    }
}

/* Another pull waits, of a topic that is deleted, which a look at all lines finds out. One look at
 * all was just made, and took a millisecond of a clock that stands still from now on. */
static struct topic *others_wait(void)
{
    struct topic *other = topic_make(&broker, TEXT("other"), 1, PERM_READ | PERM_WRITE);
    struct pull pull = pull_of(0, 60000);
    ck_assert_ptr_nonnull(other);
    uv_prepare_stop(&broker.connections->prepare); /* no socket takes the answers */
    pull.topic = other;
    pull.asked = pull.offset = 0;
    clock_ns = clock_step_ns = 1000000;
    ck_assert(hold_pull(&broker, &pull));
    turns();
    clock_step_ns = 0;
    ck_assert_uint_eq(hold_count(&broker), 1);
    other->deleted = true;
    return other;
}

static void others_are_looked_at(struct topic *other)
{
    clock_ns += 1000000000;
    for (int64_t until = broker_now_ms() + 20000;
         hold_count(&broker) > 0 && broker_now_ms() < until; usleep(1000)) {
        turns();
    }
    ck_assert_uint_eq(hold_count(&broker), 0);
    other->deleted = false;
}

START_TEST(a_message_costs_a_look_at_its_own_queue)
{
    struct topic *other = others_wait();
    for (uint64_t end = 1; end < 10; end++) {
        wait_for(end);
        send_to(0);
        turns();
        ck_assert_uint_eq(hold_count(&broker), 1);
    }
    others_are_looked_at(other);
}
END_TEST

START_TEST(a_message_of_the_store_wakes_when_all_are_looked_at)
{
    struct topic *other = others_wait();
    wait_for(1);
    send_to(1); /* a pull that comes is looked at with the next event */
    turns();
    append("body", 4);
    turns();
    ck_assert_uint_eq(hold_count(&broker), 2);
    others_are_looked_at(other);
}
END_TEST

START_TEST(a_message_wakes_when_the_disk_has_it)
{
    struct topic *other = others_wait();
    wait_for(1);
    turns();
    send_to(0);
    turns();
    ck_assert_uint_eq(hold_count(&broker), 2);
    ck_assert_int_eq(commitlog_sync(broker.store, UINT64_MAX, -1, NULL), COMMITLOG_OK);
    turns();
    ck_assert_uint_eq(hold_count(&broker), 1);
    send_to(0); /* and one that was sent before the pull came */
    wait_for(2);
    turns();
    ck_assert_uint_eq(hold_count(&broker), 2);
    ck_assert_int_eq(commitlog_sync(broker.store, UINT64_MAX, -1, NULL), COMMITLOG_OK);
    turns();
    ck_assert_uint_eq(hold_count(&broker), 1);
    others_are_looked_at(other);
}
END_TEST

/* ---- groups ---- */

START_TEST(a_pull_that_makes_its_group_outlives_the_one_that_goes_for_it)
{
    static struct command command;
    static char header[] =
        "{\"code\":11,\"language\":\"JAVA\",\"version\":1,\"opaque\":1,\"flag\":0,"
        "\"extFields\":{\"consumerGroup\":\"new\",\"topic\":\"%RETRY%gone\",\"queueId\":\"0\","
        "\"queueOffset\":\"0\",\"maxMsgNums\":\"1\",\"sysFlag\":\"4\",\"subscription\":\"*\"}}";
    char name[32];
    const struct group *gone = group_make(&broker, TEXT("gone"));
    ck_assert_ptr_nonnull(gone);
    ck_assert_ptr_nonnull(group_retries(&broker, gone));
    for (uint32_t i = 1; i < GROUPS_MAX; i++) {
        (void)snprintf(name, sizeof name, "g%u", i);
        ck_assert_ptr_nonnull(group_make(&broker, text_of(name)));
    }
    ck_assert(header_json_decode((uint8_t *)header, sizeof header - 1, &command));
    handle_pull(connection, &command);
    ck_assert_ptr_nonnull(strstr(answers(), "\"code\":17,"));
    ck_assert_ptr_nonnull(strstr(answers(), "not exist"));
    ck_assert_ptr_nonnull(group_find(&broker, TEXT("new")));
}
END_TEST

/* It makes room for itself, and cannot be written. */
START_TEST(a_change_of_a_group_that_is_undone_leaves_what_has_gone)
{
    enum { LEFT = 64 };
    struct group *left[LEFT], *group = NULL;
    const struct table_entry *gone = NULL;
    const char *why;
    char name[32];
    for (uint32_t i = 0; i < GROUPS_MAX + LEFT; i++) {
        (void)snprintf(name, sizeof name, "g%u", i);
        struct group *made = group_make(&broker, text_of(name));
        ck_assert_ptr_nonnull(made);
        if (i >= LEFT) {
            continue;
        }
        left[i] = made;
        group_keep(&broker, made); /* deleted, with its offsets left */
        json_t *json = json_pack("{s:s, s:b}", "groupName", name, "deleted", 1);
        ck_assert(group_from_json(&broker, json));
        json_decref(json);
    }
    for (uint32_t i = 0; i < LEFT && gone == NULL; i++) { /* one before a group that will go */
        const struct group *next = (const struct group *)(const void *)left[i]->entry.next;
        if (next != NULL && !next->kept) {
            group = left[i];
            gone = &next->entry;
        }
    }
    ck_assert_ptr_nonnull(group);
    json_t *json = json_pack("{s:s}", "groupName", group->entry.name.data);
    const char *data = options.data;
    options.data = "/dev/null";
    ck_assert_int_eq(group_update(&broker, json, &why), REPLY_SYSTEM_ERROR);
    options.data = data;
    json_decref(json);
    ck_assert_ptr_null(group_next(&broker, NULL));
    ck_assert_ptr_ne(group->entry.next, gone);
}
END_TEST

/* Names come and go; what is kept of their rates goes with them. */
START_TEST(rates_of_topics_that_are_gone_take_no_memory)
{
    enum { ROUNDS = 200, NAMES = 100, MORE_MAX = 256 * 1024 };
    struct topic_rates *rates = topic_rates_start(&broker);
    size_t before = 0;
    char name[64];
    ck_assert_ptr_nonnull(rates);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        struct topic *made[NAMES];
        for (uint32_t i = 0; i < NAMES; i++) {
            (void)snprintf(name, sizeof name, "passes-%u-%u", round, i);
            made[i] = topic_make(&broker, text_of(name), 1, PERM_READ | PERM_WRITE);
            ck_assert_ptr_nonnull(made[i]);
        }
        topic_rates_tick(rates);
        for (uint32_t i = 0; i < NAMES; i++) {
            topic_unmake(&broker, made[i]);
        }
        topic_rates_tick(rates);
        if (round == 0) {
            before = mallinfo2().uordblks;
        }
    }
    ck_assert_uint_lt(mallinfo2().uordblks, before + MORE_MAX);
    topic_rates_stop(rates);
}
END_TEST

/* ---- segments -------------------------------------------------------------------------------- */

/* Retention takes what is there by then away; how much of it stays mapped. */
static uint64_t held_after_retention(void)
{
    static char large[SEGMENT_BYTES / 4];
    const struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1};
    struct commitlog_retained retained = {.struct_bytes = sizeof retained};
    for (int i = 0; i < 8; i++) {
        append(large, sizeof large);
    }
    ck_assert_int_eq(commitlog_retain(broker.store, &policy, &retained, NULL), COMMITLOG_OK);
    ck_assert_uint_gt(retained.segments_dropped, 0);
    return retained.bytes_held;
}

START_TEST(a_pull_that_found_nothing_holds_no_segment)
{
    struct commitlog_error err;
    struct pull pull = pull_of(0, 0);
    pull_free(&pull);
    pull.offset = pull.asked = 0;
    pull.own = subscription_new(TEXT("orders"), TEXT("a = 1"), true, 0, &err);
    ck_assert_ptr_nonnull(pull.own);
    ck_assert(!pull_try(&broker, &pull));
    ck_assert_uint_eq(held_after_retention(), 0);
    pull_free(&pull);
}
END_TEST

START_TEST(the_progress_of_a_group_holds_no_segment)
{
    static struct command command;
    static char header[] =
        "{\"code\":208,\"language\":\"JAVA\",\"version\":1,\"opaque\":1,\"flag\":0,"
        "\"extFields\":{\"consumerGroup\":\"g\",\"topic\":\"orders\"}}";
    topic->read_queues = QUEUES;
    ck_assert(offsets_set(&broker, TEXT("g"), topic, 0, 1));
    ck_assert(header_json_decode((uint8_t *)header, sizeof header - 1, &command));
    handle_consume_status(connection, &command);
    ck_assert_ptr_nonnull(strstr(answers(), "\"consumerOffset\":1"));
    ck_assert_ptr_null(strstr(answers(), "\"consumerOffset\":1,\"lastTimestamp\":0"));
    ck_assert_uint_eq(held_after_retention(), 0);
}
END_TEST

static void setup_durable(void)
{
    visibility = COMMITLOG_VISIBLE_DURABLE;
    setup();
}

static Suite *pull_suite(void)
{
    Suite *suite = suite_create("broker-pull");
    TCase *cases = tcase_create("unknown");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, a_pull_keeps_its_offset_where_the_store_does_not_say);
    tcase_add_test(cases, a_pull_that_is_held_stays_so_until_its_time_is_over);
    tcase_add_test(cases, a_pull_that_found_nothing_holds_no_segment);
    tcase_add_test(cases, the_progress_of_a_group_holds_no_segment);
    tcase_add_test(cases, an_offset_is_not_confirmed_where_the_store_does_not_say);
    tcase_add_test(cases, a_pull_that_makes_its_group_outlives_the_one_that_goes_for_it);
    tcase_add_test(cases, a_change_of_a_group_that_is_undone_leaves_what_has_gone);
    tcase_add_test(cases, rates_of_topics_that_are_gone_take_no_memory);
    tcase_add_test(cases, a_message_costs_a_look_at_its_own_queue);
    tcase_add_test(cases, a_message_of_the_store_wakes_when_all_are_looked_at);
    suite_add_tcase(suite, cases);
    cases = tcase_create("durable");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup_durable, teardown);
    tcase_add_test(cases, a_message_wakes_when_the_disk_has_it);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(pull_suite());
}
