/* SPDX-License-Identifier: BSD-2-Clause */
/* actors.c -- what a thread of a case does. See actors.h. */
#include "actors.h"

#include "scene.h"

void *number(uint32_t n)
{
    return (void *)(uintptr_t)n;
}

uint32_t number_of(const void *arg)
{
    return (uint32_t)(uintptr_t)arg;
}

void append_one(void *arg)
{
    scene_append(number_of(arg), COMMITLOG_LEVEL_NONE);
}

void append_two(void *arg)
{
    append_one(arg);
    append_one(arg);
}

void append_written(void *arg)
{
    scene_append(number_of(arg), COMMITLOG_LEVEL_WRITTEN);
}

void append_durable(void *arg)
{
    scene_append(number_of(arg), COMMITLOG_LEVEL_DURABLE);
}

void append_large(void *arg)
{
    scene_append_bytes(number_of(arg), COMMITLOG_LEVEL_NONE, SCENE_RING / 2 + 1000);
}

void append_batch(void *arg)
{
    scene_batch(number_of(arg), 3, COMMITLOG_LEVEL_NONE);
}

/* Three segments in five records. */
void append_segments(void *arg)
{
    for (int i = 0; i < 5; i++)
        scene_append_bytes(number_of(arg), COMMITLOG_LEVEL_NONE, 25000);
}

void drain(void *arg)
{
    struct commitlog_error err = {.message = ""};
    (void)arg;
    WEAVE_OK(clg_log_drain(scene.log, UINT64_MAX, UINT64_MAX, &err), &err);
}

void sync_all(void *arg)
{
    struct commitlog_error err = {.message = ""};
    (void)arg;
    WEAVE_OK(commitlog_sync(scene.store, UINT64_MAX, COMMITLOG_FOREVER, &err), &err);
}

void upkeep_rounds(void *arg)
{
    for (uint32_t i = 0; i < number_of(arg); i++) {
        uint32_t wait_ms = 0;
        WEAVE_RC(commitlog_step(scene.store, 0, &wait_ms), COMMITLOG_OK);
    }
}

void reserve_and_commit(void *arg)
{
    struct commitlog_reservation *it = scene_reserve(number_of(arg), COMMITLOG_LEVEL_NONE);
    scene_commit(it, number_of(arg), COMMITLOG_LEVEL_NONE);
}

void reserve_and_abort(void *arg)
{
    struct commitlog_reservation *it = scene_reserve(number_of(arg), COMMITLOG_LEVEL_NONE);
    scene_abort(it, number_of(arg));
}

/* Waits until the queue has so many records, and sees each once. */
static void read_queue(struct commitlog_store *store, uint32_t topic, uint64_t want)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[8];
    struct commitlog_error err = {.message = ""};
    uint64_t next = 0;
    WEAVE_OK(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err), &err);
    while (next < want) {
        uint32_t got = 0;
        uint64_t bound = 0;
        WEAVE_RC(commitlog_cursor_fetch(cursor, messages, 8, COMMITLOG_FOREVER, &got, &bound),
                 COMMITLOG_OK);
        for (uint32_t i = 0; i < got; i++, next++)
            WEAVE_CHECK(messages[i].queue_offset == next, "offset %llu, not %llu",
                        (unsigned long long)messages[i].queue_offset, (unsigned long long)next);
    }
    commitlog_cursor_close(cursor);
}

void read_all(void *arg)
{
    read_queue(scene.store, scene.topic, number_of(arg));
}

/* Counts what the queue shows: never a part of the batch. */
void look(void *arg)
{
    for (uint32_t i = 0; i < number_of(arg); i++) {
        uint64_t visible = scene_visible();
        WEAVE_CHECK(visible == 1 || visible >= 4, "%llu records are visible",
                    (unsigned long long)visible);
    }
}

void retain_all(void *arg)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1};
    struct commitlog_retained out = {.struct_bytes = sizeof out};
    struct commitlog_error err = {.message = ""};
    (void)arg;
    int32_t rc = commitlog_retain(scene.store, &policy, &out, &err);
    /* A flush that takes longer than it waits is as good as a reservation that holds it up. */
    WEAVE_CHECK(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "retain: %s", err.message);
}

/* What it finds is whole, and what it does not find is before the first. */
static void read_retained(struct commitlog_store *store, uint32_t topic, uint64_t end)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[2];
    struct commitlog_error err = {.message = ""};
    uint64_t next = 0;
    WEAVE_OK(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, 0, &cursor, &err), &err);
    while (next < end) {
        uint32_t got = 0;
        uint64_t bound = 0;
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 2, COMMITLOG_FOREVER, &got, &bound);
        if (rc == COMMITLOG_ETOOSMALL) {
            WEAVE_CHECK(bound > next, "bound %llu at %llu", (unsigned long long)bound,
                        (unsigned long long)next);
            next = bound;
            WEAVE_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, next), COMMITLOG_OK);
            continue;
        }
        WEAVE_RC(rc, COMMITLOG_OK);
        for (uint32_t i = 0; i < got; i++, next++)
            WEAVE_CHECK(messages[i].queue_offset == next && messages[i].body.bytes >= 8,
                        "offset %llu, not %llu", (unsigned long long)messages[i].queue_offset,
                        (unsigned long long)next);
    }
    commitlog_cursor_close(cursor);
}

void read_while_retained(void *arg)
{
    read_retained(scene.store, scene.topic, number_of(arg));
}

void read_topic_while_retained(void *arg)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[2];
    struct commitlog_error err = {.message = ""};
    uint64_t next = 0;
    bool told = true; /* the first one that is kept */
    WEAVE_OK(commitlog_cursor_open(scene.store, scene.topic, COMMITLOG_QUEUE_ALL,
                                   COMMITLOG_FROM_FIRST, 0, &cursor, &err),
             &err);
    while (next < number_of(arg)) {
        uint32_t got = 0;
        uint64_t bound = 0;
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 2, COMMITLOG_FOREVER, &got, &bound);
        if (rc == COMMITLOG_ETOOSMALL) {
            told = true;
            WEAVE_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound), COMMITLOG_OK);
            continue;
        }
        WEAVE_RC(rc, COMMITLOG_OK);
        for (uint32_t i = 0; i < got; i++) {
            WEAVE_CHECK(messages[i].queue_offset == next ||
                            (told && messages[i].queue_offset > next),
                        "offset %llu, not %llu, and nobody was told",
                        (unsigned long long)messages[i].queue_offset, (unsigned long long)next);
            next = messages[i].queue_offset + 1;
            told = false;
        }
    }
    commitlog_cursor_close(cursor);
}

/* A reader as another process has it: the store opened again, read-only, beside its writer. */
static struct commitlog_store *follow_open(void)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    WEAVE_RC(commitlog_options_create(&options), COMMITLOG_OK);
    commitlog_options_set_os(options, scene_os());
    WEAVE_OK(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, &err), &err);
    WEAVE_OK(commitlog_open("/store", options, &store, &err), &err);
    commitlog_options_free(options);
    return store;
}

/* Opens at any moment, and then finds so many records. */
void follow(void *arg)
{
    struct commitlog_store *store = follow_open();
    struct commitlog_error err = {.message = ""};
    uint32_t topic = 0;
    WEAVE_OK(commitlog_topic_open(store, "t", 1, 0, &topic, &err), &err);
    read_queue(store, topic, number_of(arg));
    WEAVE_OK(commitlog_close(store, &err), &err);
}

/* Retention may be faster: what is not found then is before the first. */
void follow_while_retained(void *arg)
{
    struct commitlog_store *store = follow_open();
    struct commitlog_error err = {.message = ""};
    uint32_t topic = 0;
    WEAVE_OK(commitlog_topic_open(store, "t", 1, 0, &topic, &err), &err);
    read_retained(store, topic, number_of(arg));
    WEAVE_OK(commitlog_close(store, &err), &err);
}

/* What another thread does meanwhile is not damage. */
void verify(void *arg)
{
    struct commitlog_options *options = NULL;
    struct commitlog_report *report = NULL;
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    struct commitlog_error err = {.message = ""};
    (void)arg;
    WEAVE_RC(commitlog_options_create(&options), COMMITLOG_OK);
    commitlog_options_set_os(options, scene_os());
    int32_t rc = commitlog_verify("/store", options, &report, &err);
    if (rc == COMMITLOG_EDAMAGED)
        (void)commitlog_report_damage(report, 0, &damage);
    WEAVE_CHECK(rc == COMMITLOG_OK, "verify: %s: [%llu, %llu): %s", err.message,
                (unsigned long long)damage.from_position, (unsigned long long)damage.to_position,
                damage.reason);
    commitlog_report_free(report);
    commitlog_options_free(options);
}
