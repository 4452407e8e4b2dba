/* SPDX-License-Identifier: BSD-2-Clause */
/* cases_growth.c -- a topic grows meanwhile. See cases_growth.h. */
#define _GNU_SOURCE
#include "cases_growth.h"

#include <string.h>

#include "actors.h"
#include "scene.h"

enum { FEW = 2, MANY = 6 };

static const struct scene_options options_staged = {.flush = COMMITLOG_FLUSH_NONE};
/* So long that the ring has no room for its definition when it is full but for a small record. */
static const char name_of_it[] =
    "a topic that grows, with a name that takes more than a record without a body";
static const char key[] = "k5"; /* in one queue of FEW, and in another one of MANY */

static struct {
    uint32_t topic;
    uint32_t appended;
    uint32_t definitions; /* of its creation that the log may have */
} grows;

static void info_get(struct commitlog_store *store, uint32_t topic,
                     struct commitlog_topic_info *info)
{
    info->struct_bytes = sizeof *info;
    WEAVE_RC(commitlog_topic_info(store, topic, info), COMMITLOG_OK);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* As somebody who has always opened it so: before, while and after it grows. */
static void open_as_always(void *arg)
{
    struct commitlog_error err = {.message = ""};
    uint32_t topic = UINT32_MAX;
    (void)arg;
    WEAVE_OK(commitlog_topic_open(scene.store, name_of_it, strlen(name_of_it), FEW, &topic, &err),
             &err);
    WEAVE_CHECK(topic == grows.topic, "number %u", topic);
}

static void grow(void *arg)
{
    struct commitlog_error err = {.message = ""};
    (void)arg;
    WEAVE_OK(commitlog_topic_grow(scene.store, grows.topic, MANY, COMMITLOG_LEVEL_NONE, &err),
             &err);
}

static void append_keyed(void *arg)
{
    const struct commitlog_slice name = {key, strlen(key)};
    const struct commitlog_slice body = {"keyed", 5};
    const struct commitlog_record record = {.struct_bytes = sizeof record,
                                            .topic = grows.topic,
                                            .queue = COMMITLOG_QUEUE_AUTO,
                                            .level = COMMITLOG_LEVEL_NONE,
                                            .body = &body,
                                            .body_count = 1,
                                            .keys = &name,
                                            .key_count = 1};
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; i < number_of(arg); i++)
        WEAVE_OK(commitlog_append_record(scene.store, &record, COMMITLOG_FOREVER, NULL, &err),
                 &err);
    grows.appended += number_of(arg);
}

/* ---- cases ----------------------------------------------------------------------------------- */

static void topic_make(void)
{
    struct commitlog_error err = {.message = ""};
    memset(&grows, 0, sizeof grows);
    grows.definitions = 1;
    WEAVE_OK(
        commitlog_topic_open(scene.store, name_of_it, strlen(name_of_it), FEW, &grows.topic, &err),
        &err);
}

void begin_grow_open(void)
{
    scene_open(&options_staged);
    topic_make();
    weave_spawn("open", open_as_always, NULL);
    weave_spawn("grow", grow, NULL);
}

void begin_grow_undefined(void)
{
    scene_open(&options_staged);
    struct commitlog_reservation *held = scene_reserve(1, COMMITLOG_LEVEL_NONE);
    scene_fill(48);
    topic_make();
    WEAVE_CHECK(
        !clg_log_topic_is_defined(scene.log, clg_registry_topic(scene.log->registry, grows.topic)),
        "there was room");
    scene_commit(held, 1, COMMITLOG_LEVEL_NONE);
    /* Not commitlog_sync, which would define it. */
    WEAVE_CHECK(clg_log_flush(scene.log, clg_log_published(scene.log), clg_log_forever(scene.log),
                              NULL) == COMMITLOG_OK,
                "flush");
    weave_spawn("open-1", open_as_always, NULL);
    weave_spawn("open-2", open_as_always, NULL);
    weave_spawn("grow", grow, NULL);
}

void begin_grow_append(void)
{
    scene_open(&options_staged);
    topic_make();
    weave_spawn("append", append_keyed, number(2));
    weave_spawn("grow", grow, NULL);
}

/* The definition lies in the segment that goes. */
void begin_grow_retention(void)
{
    scene_open(&options_staged);
    topic_make();
    grows.definitions = 2; /* carried forward, too */
    scene_fill(160);
    scene_append_bytes(0, COMMITLOG_LEVEL_DURABLE, 1000);
    scene_step();
    weave_spawn("retain", retain_all, NULL);
    weave_spawn("grow", grow, NULL);
}

/* ---- in the end ------------------------------------------------------------------------------ */

/* Nothing of the key lies in the old queue behind the point at which the topic has grown. */
static void check_mark(struct commitlog_store *store, uint32_t topic, uint32_t parent,
                       uint32_t child)
{
    struct commitlog_group *group = NULL;
    struct commitlog_group_gate gate = {.struct_bytes = sizeof gate};
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_error err = {.message = ""};
    WEAVE_OK(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, &err), &err);
    WEAVE_OK(commitlog_group_gate(group, topic, child, &gate, &err), &err);
    WEAVE_RC(commitlog_queue_info(store, topic, parent, &info), COMMITLOG_OK);
    WEAVE_CHECK(gate.parent == parent && gate.mark == info.next_offset,
                "queue %u ends at %llu, behind its mark %llu", gate.parent,
                (unsigned long long)info.next_offset, (unsigned long long)gate.mark);
    commitlog_group_close(group);
}

/* How often the log says how the topic was created. */
static uint32_t definitions(struct commitlog_store *store)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    uint32_t got = 0, found = 0;
    WEAVE_OK(commitlog_cursor_open_log(store, 0, &cursor, &err), &err);
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL) == COMMITLOG_OK) {
        const uint8_t *body = message.body.data;
        found += message.kind == COMMITLOG_KIND_TOPIC && message.body.bytes > strlen(name_of_it) &&
                 body[8] == 0 && body[20] == 0 &&
                 memmem(body, message.body.bytes, name_of_it, strlen(name_of_it)) != NULL;
    }
    commitlog_cursor_close(cursor);
    return found;
}

/* The key's messages lie in the old queue, and then in the new one. */
static void check_keyed(struct commitlog_store *store, uint32_t topic)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    struct commitlog_error err = {.message = ""};
    uint32_t few = 0, many = 0, got = 0, found = 0;
    bool moved = false;
    WEAVE_RC(commitlog_queue_by_key(key, strlen(key), FEW, &few), COMMITLOG_OK);
    WEAVE_RC(commitlog_queue_by_key(key, strlen(key), MANY, &many), COMMITLOG_OK);
    CHECK(few != many);
    WEAVE_OK(commitlog_cursor_open(store, topic, COMMITLOG_QUEUE_ALL, COMMITLOG_FROM_FIRST, 0,
                                   &cursor, &err),
             &err);
    while (commitlog_cursor_fetch(cursor, &message, 1, 0, &got, NULL) == COMMITLOG_OK) {
        moved |= message.queue == many;
        WEAVE_CHECK(message.queue == (moved ? many : few), "message %u lies in queue %u", found,
                    message.queue);
        found++;
    }
    commitlog_cursor_close(cursor);
    WEAVE_CHECK(found == grows.appended, "%u messages of %u", found, grows.appended);
    check_mark(store, topic, few, many);
}

static void check_grown(struct commitlog_store *store)
{
    struct commitlog_topic_info info;
    struct commitlog_error err = {.message = ""};
    const char *name = NULL;
    uint64_t value = 0;
    uint32_t topic = 0;
    WEAVE_OK(commitlog_topic_open(store, name_of_it, strlen(name_of_it), 0, &topic, &err), &err);
    info_get(store, topic, &info);
    WEAVE_CHECK(info.queues == MANY && info.queues_total == MANY && info.step_count == 2 &&
                    info.step_queues[0] == FEW && info.step_queues[1] == MANY,
                "%u of %u queues by %u steps, %u and %u", info.queues, info.queues_total,
                info.step_count, info.step_queues[0], info.step_queues[1]);
    for (uint32_t i = 0; commitlog_stat(store, i, &name, &value) == COMMITLOG_OK; i++)
        WEAVE_CHECK(strcmp(name, "fold_contradictions") != 0 || value == 0,
                    "%llu records contradict each other", (unsigned long long)value);
    check_keyed(store, topic);
}

void end_grow(void)
{
    struct commitlog_error err = {.message = ""};
    scene_step();
    check_grown(scene.store);
    WEAVE_CHECK(definitions(scene.store) <= grows.definitions, "%u definitions in the log",
                definitions(scene.store));
    scene_close();
    struct commitlog_store *store = scene_reopen(scene_os());
    check_grown(store);
    WEAVE_OK(commitlog_close(store, &err), &err);
    scene_finish();
}
