/* SPDX-License-Identifier: BSD-2-Clause */
/* cases_kept.c -- retention beside deliveries by reference. See cases_kept.h. */
#include "cases_kept.h"

#include <string.h>

#include "actors.h"
#include "scene.h"

enum { DUE_MS = 1000 };

static const struct scene_options options_staged = {.flush = COMMITLOG_FLUSH_NONE};

static struct {
    uint32_t topic;                /* where it is delivered */
    uint32_t source;               /* of the one that dies */
    struct commitlog_group *group; /* keeps what is delivered */
    struct commitlog_group *workers;
    struct commitlog_receiver *receiver;
    struct commitlog_delivery given;
    struct commitlog_transaction *transaction;
    struct commitlog_reservation *held;
} kept;

static void begin_topic(void)
{
    memset(&kept, 0, sizeof kept);
    scene_open(&options_staged);
    kept.topic = scene_topic("kept", 1);
}

static void begin_group(void)
{
    struct commitlog_error err = {.message = ""};
    kept.group = scene_group("g", COMMITLOG_GROUP_KEEP);
    const struct commitlog_group_offset offset = {kept.topic, 0, 0};
    WEAVE_OK(commitlog_group_commit(kept.group, 0, &offset, 1, COMMITLOG_LEVEL_NONE,
                                    COMMITLOG_FOREVER, NULL, &err),
             &err);
}

static void begin(void)
{
    begin_topic();
    begin_group();
}

/* What comes now lies in the newer half of the log, in the segment that is full afterwards. */
static void near_the_end(void)
{
    scene_fill(2000);
}

static void fill(void)
{
    scene_fill(160);
    scene_append_bytes(0, COMMITLOG_LEVEL_DURABLE, 1000);
    scene_step();
}

static void delayed(void)
{
    const struct commitlog_slice body = {"kept", 4};
    struct commitlog_record record = scene_record(&body, kept.topic);
    struct commitlog_error err = {.message = ""};
    record.deliver_at_ms = scene_now_ms() + DUE_MS;
    near_the_end();
    WEAVE_OK(commitlog_append_record(scene.store, &record, COMMITLOG_FOREVER, NULL, &err), &err);
    fill();
}

/* ---- threads --------------------------------------------------------------------------------- */

static void deliver(void *arg)
{
    scene_os()->sleep_ns(scene_os(), INT64_C(2) * DUE_MS * 1000000);
    upkeep_rounds(arg);
}

static void commit(void *arg)
{
    struct commitlog_error err = {.message = ""};
    (void)arg;
    WEAVE_OK(commitlog_transaction_commit(kept.transaction, COMMITLOG_LEVEL_NONE, COMMITLOG_FOREVER,
                                          NULL, &err),
             &err);
}

static void refuse(void *arg)
{
    struct commitlog_error err = {.message = ""};
    (void)arg;
    WEAVE_OK(commitlog_nack(kept.receiver, &kept.given, 1, 0, &err), &err);
}

static void commit_held(void *arg)
{
    (void)arg;
    scene_commit(kept.held, 1, COMMITLOG_LEVEL_NONE);
}

/* ---- cases ----------------------------------------------------------------------------------- */

void begin_kept_timer(void)
{
    begin();
    delayed();
    weave_spawn("deliver", deliver, number(1));
    weave_spawn("retain", retain_all, NULL);
}

void begin_kept_transaction(void)
{
    const struct commitlog_slice body = {"kept", 4};
    struct commitlog_error err = {.message = ""};
    begin();
    const struct commitlog_record record = scene_record(&body, kept.topic);
    near_the_end();
    WEAVE_OK(commitlog_transaction_begin(scene.store, "p", 1, NULL, &kept.transaction, &err), &err);
    WEAVE_OK(commitlog_transaction_append(kept.transaction, &record, COMMITLOG_FOREVER, NULL, &err),
             &err);
    fill();
    weave_spawn("commit", commit, NULL);
    weave_spawn("retain", retain_all, NULL);
}

void begin_kept_dead(void)
{
    struct commitlog_error err = {.message = ""};
    struct commitlog_message message;
    uint32_t count = 0;
    begin();
    kept.source = scene_topic("source", 1);
    kept.workers = scene_group("w", COMMITLOG_GROUP_KEEP); /* until it is dead */
    WEAVE_OK(commitlog_group_reset(kept.workers, kept.source, 0, COMMITLOG_FROM_FIRST, 0,
                                   COMMITLOG_LEVEL_NONE, &err),
             &err);
    const struct commitlog_receiver_options options = {.struct_bytes = sizeof options,
                                                       .flags = COMMITLOG_RECEIVE_DEAD_TOPIC,
                                                       .max_attempts = 1,
                                                       .dead_topic = kept.topic,
                                                       .visibility_ms = 3600000};
    near_the_end();
    WEAVE_RC(commitlog_append(scene.store, kept.source, 0, "kept", 4, COMMITLOG_LEVEL_NONE, NULL),
             COMMITLOG_OK);
    fill();
    WEAVE_OK(commitlog_receiver_open(kept.workers, kept.source, &options, &kept.receiver, &err),
             &err);
    WEAVE_OK(commitlog_receive(kept.receiver, &message, &kept.given, 1, 0, &count, &err), &err);
    weave_spawn("refuse", refuse, NULL);
    weave_spawn("retain", retain_all, NULL);
}

void begin_kept_reserved(void)
{
    begin_topic();
    delayed();
    begin_group(); /* carried forward, it would be asked again what it needs, after a flush */
    kept.held = scene_reserve(1, COMMITLOG_LEVEL_NONE);
    weave_spawn("deliver", deliver, number(1));
    weave_spawn("retain", retain_all, NULL);
    weave_spawn("commit", commit_held, NULL);
}

/* ---- in the end ------------------------------------------------------------------------------ */

void end_kept(void)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    uint32_t got = 0;
    scene_step();
    upkeep_rounds(number(2)); /* what found no room */
    WEAVE_OK(
        commitlog_cursor_open(scene.store, kept.topic, 0, COMMITLOG_FROM_OFFSET, 0, &cursor, &err),
        &err);
    WEAVE_RC(commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL), COMMITLOG_OK);
    WEAVE_CHECK(message.body.bytes == 4 && memcmp(message.body.data, "kept", 4) == 0,
                "another message");
    commitlog_cursor_close(cursor);
    commitlog_receiver_close(kept.receiver);
    commitlog_transaction_close(kept.transaction);
    commitlog_group_close(kept.workers);
    commitlog_group_close(kept.group);
    scene_close();
    scene_finish();
}
