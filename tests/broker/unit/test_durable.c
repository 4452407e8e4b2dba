/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_durable.c -- an answer about what is written waits for it, though somebody else is not done
 * with a record before it.
 */
#include <check.h>
#include <stdlib.h>
#include <unistd.h>

#include "codes.h"
#include "connections.h"
#include "durable.h"
#include "frame.h"
#include "notices.h"
#include "support/dirs.h"
#include "support/run_suite.h"

static struct broker broker;
static struct options options;
static struct connection *connection;
static char directory[DIRS_PATH_MAX];
static struct commitlog_record record;

static void setup(void)
{
    dirs_make(directory, "test-durable");
    broker = (struct broker){.options = &options};
    options = (struct options){.sync = true};
    log_set_level(LOG_ERROR);
    struct commitlog_options *own;
    ck_assert_int_eq(commitlog_options_create(&own), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_options_set(own, COMMITLOG_OPT_THREAD, 0, NULL), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_open(directory, own, &broker.store, NULL), COMMITLOG_OK);
    commitlog_options_free(own);
    record =
        (struct commitlog_record){.struct_bytes = sizeof record, .level = COMMITLOG_LEVEL_NONE};
    ck_assert_int_eq(commitlog_topic_open(broker.store, "orders", 6, 1, &record.topic, NULL),
                     COMMITLOG_OK);
    ck_assert_int_eq(uv_loop_init(&broker.loop), 0);
    ck_assert(notices_start(&broker) && connections_start(&broker) && durable_start(&broker));
    uv_prepare_stop(&broker.connections->prepare); /* no socket takes the answers */
    connection = calloc(1, sizeof *connection);
    connection->broker = &broker;
    connection->refs = 1;
}

static void teardown(void)
{
    durable_stop(&broker);
    connections_stop(&broker);
    notices_stop(&broker);
    connection_unref(connection);
    (void)uv_run(&broker.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&broker.loop), 0);
    ck_assert_int_eq(commitlog_close(broker.store, NULL), COMMITLOG_OK);
    buffer_free(&broker.fields);
    buffer_free(&broker.header);
    dirs_remove(directory);
}

static struct commitlog_positions positions(void)
{
    struct commitlog_positions out = {.struct_bytes = sizeof out};
    ck_assert_int_eq(commitlog_positions_get(broker.store, &out), COMMITLOG_OK);
    return out;
}

/* Whether it is, within that time. */
static bool is_answered(int64_t ms)
{
    for (int64_t until = broker_now_ms() + ms;
         connection->output.bytes == 0 && broker_now_ms() < until; usleep(1000)) {
        (void)uv_run(&broker.loop, UV_RUN_NOWAIT);
    }
    return connection->output.bytes > 0;
}

START_TEST(an_answer_waits_for_what_was_written_beside_an_open_record)
{
    struct commitlog_reservation *open;
    void *body;
    ck_assert_int_eq(commitlog_sync(broker.store, UINT64_MAX, -1, NULL), COMMITLOG_OK);
    ck_assert_int_eq(commitlog_reserve(broker.store, &record, 4, -1, &open, &body, NULL),
                     COMMITLOG_OK);
    ck_assert_int_eq(commitlog_append_record(broker.store, &record, -1, NULL, NULL), COMMITLOG_OK);
    const uint64_t written = positions().claimed;
    ck_assert_uint_lt(positions().published, written);
    struct reply reply =
        reply_begin((struct reply_to){connection, 1, HEADER_JSON, false}, REPLY_OK);
    durable_reply_written(&broker, &reply);
    ck_assert(!is_answered(800));
    memcpy(body, "body", 4);
    ck_assert_int_eq(commitlog_commit(open, -1, NULL, NULL), COMMITLOG_OK);
    ck_assert(is_answered(30000));
    ck_assert_uint_ge(positions().durable, written);
}
END_TEST

static Suite *durable_suite(void)
{
    Suite *suite = suite_create("broker-durable");
    TCase *cases = tcase_create("durable");
    tcase_set_timeout(cases, 60);
    tcase_add_checked_fixture(cases, setup, teardown);
    tcase_add_test(cases, an_answer_waits_for_what_was_written_beside_an_open_record);
    suite_add_tcase(suite, cases);
    return suite;
}

int main(void)
{
    return run_suite(durable_suite());
}
