/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * overtaken_test.c -- a reader in another process whose files are removed by a writer it has not
 * heard of: what it asks for is "too small" then, and it goes on at the bound.
 *
 * 1. The writer that it follows is killed before the reader has opened its last segments; the next
 *    writer drops them.
 * 2. A query by key that was begun beside one writer yields the rest beside the next one.
 * 3. The writer's live area is private, so nothing tells the reader where the log begins now; and
 *    what that writer makes durable later comes to the reader all the same.
 *
 * Environment: SEED.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "load.h"

enum {
    SEGMENT = 64 * 1024,
    BODY = 3000,
    SEGMENTS = 24,
    PER_SEGMENT = SEGMENT / BODY,
    PRIVATE_RUNS = 3
};

static const char KEY[] = "key";

/* A writer in another process, which does one thing for each byte it is sent. */
struct writer {
    pid_t pid;
    int order_fd;
    int done_fd;
};

struct writing {
    struct commitlog_store *store;
    uint32_t topic;
    uint64_t serial;
};

static struct commitlog_store *store_open(const char *path, uint64_t access, uint64_t live)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, access, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_LIVE_AREA, live, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, SEGMENT, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE, &err), &err);
    CHECK_OK(commitlog_open(path, options, &store, &err), &err);
    commitlog_options_free(options);
    return store;
}

static uint32_t topic_of(struct commitlog_store *store, uint32_t queues)
{
    struct commitlog_error err = {.message = ""};
    uint32_t topic = 0;
    CHECK_OK(commitlog_topic_open(store, "overtaken", 9, queues, &topic, &err), &err);
    return topic;
}

static void append(struct writing *writing, uint32_t count)
{
    uint8_t body[BODY];
    struct commitlog_error err = {.message = ""};
    for (uint32_t i = 0; i < count; i++, writing->serial++) {
        struct commitlog_slice piece = {body, sizeof body}, key = {KEY, sizeof KEY};
        struct commitlog_record record = {.struct_bytes = sizeof record,
                                          .topic = writing->topic,
                                          .level = COMMITLOG_LEVEL_WRITTEN,
                                          .body = &piece,
                                          .body_count = 1,
                                          .keys = &key,
                                          .key_count = 1};
        load_fill(body, sizeof body, 1, 0, writing->serial, writing->serial);
        CHECK_OK(commitlog_append_record(writing->store, &record, COMMITLOG_FOREVER, NULL, &err),
                 &err);
    }
    CHECK_OK(commitlog_sync(writing->store, UINT64_MAX, COMMITLOG_FOREVER, &err), &err);
}

static void obey(struct writing *writing, char order)
{
    struct commitlog_retention policy = {.struct_bytes = sizeof policy, .keep_bytes = 1};
    struct commitlog_error err = {.message = ""};
    if (order == 'o')
        append(writing, 1);
    else if (order == 'm')
        append(writing, SEGMENTS * PER_SEGMENT);
    else if (order == 'r')
        CHECK_OK(commitlog_retain(writing->store, &policy, NULL, &err), &err);
}

static _Noreturn void writer_run(const char *path, uint64_t live, int order_fd, int done_fd)
{
    struct writing writing = {.store = store_open(path, COMMITLOG_READ_WRITE, live)};
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    char order = 0;
    writing.topic = topic_of(writing.store, 1);
    CHECK_RC(commitlog_queue_info(writing.store, writing.topic, 0, &info), COMMITLOG_OK);
    writing.serial = info.next_offset;
    CHECK(write(done_fd, "o", 1) == 1);
    while (read(order_fd, &order, 1) == 1) {
        obey(&writing, order);
        CHECK(write(done_fd, "d", 1) == 1);
    }
    _exit(0);
}

static void await(struct writer *writer)
{
    char byte = 0;
    CHECK(read(writer->done_fd, &byte, 1) == 1);
}

static struct writer writer_start(const char *path, uint64_t live)
{
    struct writer writer = {0, -1, -1};
    int orders[2], done[2];
    CHECK(pipe2(orders, O_CLOEXEC) == 0 && pipe2(done, O_CLOEXEC) == 0);
    fflush(stdout);
    writer.pid = fork();
    CHECK(writer.pid >= 0);
    if (writer.pid == 0) {
        close(orders[1]);
        close(done[0]);
        writer_run(path, live, orders[0], done[1]);
    }
    close(orders[0]);
    close(done[1]);
    writer.order_fd = orders[1];
    writer.done_fd = done[0];
    await(&writer);
    return writer;
}

static void order(struct writer *writer, const char *orders)
{
    for (; *orders != '\0'; orders++) {
        CHECK(write(writer->order_fd, orders, 1) == 1);
        await(writer);
    }
}

static void writer_kill(struct writer *writer)
{
    CHECK(kill(writer->pid, SIGKILL) == 0);
    CHECK(waitpid(writer->pid, NULL, 0) == writer->pid);
    close(writer->order_fd);
    close(writer->done_fd);
}

/* Fetches one; returns its offset, or UINT64_MAX with the status. */
static uint64_t fetch(struct commitlog_cursor *cursor, int32_t *rc, uint64_t *bound)
{
    struct commitlog_message message;
    struct load_head head;
    uint32_t got = 0;
    *rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &got, bound);
    if (*rc != COMMITLOG_OK)
        return UINT64_MAX;
    CHECK(load_proves(&message, &head) && head.serial == message.queue_offset);
    return message.queue_offset;
}

/* The record at offset 0 and all behind it is gone: each way to read says so, or where to go on. */
static void is_overtaken(struct commitlog_store *store, struct commitlog_cursor *cursor,
                         uint64_t position)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    uint8_t buffer[2 * BODY];
    uint64_t bound = 0, lower = 0;
    uint32_t got = 0, topic = topic_of(store, 0);
    int32_t rc = 0;
    CHECK(fetch(cursor, &rc, &bound) == UINT64_MAX);
    CHECK_RC(rc, COMMITLOG_ETOOSMALL);
    CHECK(bound > PER_SEGMENT);
    CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound), COMMITLOG_OK);
    CHECK(fetch(cursor, &rc, &bound) == commitlog_cursor_tell(cursor) - 1);
    CHECK_RC(rc, COMMITLOG_OK);
    CHECK_RC(commitlog_get(store, position, &message, &lease, NULL), COMMITLOG_ETOOSMALL);
    CHECK_RC(
        commitlog_read_copy(store, topic, 0, 1, buffer, sizeof buffer, &message, 1, &got, &bound),
        COMMITLOG_ETOOSMALL);
    CHECK_RC(commitlog_queue_info(store, topic, 0, &info), COMMITLOG_OK);
    CHECKF(info.first_offset == bound, "first %llu, bound %llu",
           (unsigned long long)info.first_offset, (unsigned long long)bound);
    CHECK_RC(commitlog_offset_by_time(store, topic, 0, 0, COMMITLOG_LOWER, &lower), COMMITLOG_OK);
    CHECK(lower == bound);
}

/* The same while the reader may still hold what is gone: there, or too small, and never an error of
 * a file that is not there. */
static void may_be_overtaken(struct commitlog_store *store, struct commitlog_cursor *cursor)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_message message;
    uint8_t buffer[2 * BODY];
    uint64_t bound = 0, lower = 0;
    uint32_t got = 0, topic = topic_of(store, 0);
    for (uint64_t offset = 1; offset < SEGMENTS * PER_SEGMENT; offset += PER_SEGMENT / 2) {
        int32_t rc = COMMITLOG_OK;
        CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, offset), COMMITLOG_OK);
        if (fetch(cursor, &rc, &bound) != offset)
            CHECK_RC(rc, COMMITLOG_ETOOSMALL);
        rc = commitlog_read_copy(store, topic, 0, offset, buffer, sizeof buffer, &message, 1, &got,
                                 &bound);
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_ETOOSMALL, "%s", commitlog_error_name(rc));
    }
    CHECK_RC(commitlog_queue_info(store, topic, 0, &info), COMMITLOG_OK);
    CHECK_RC(commitlog_offset_by_time(store, topic, 0, 0, COMMITLOG_LOWER, &lower), COMMITLOG_OK);
    CHECK(lower == info.first_offset);
}

static void overtaken_by_a_successor(const char *path)
{
    struct writer writer = writer_start(path, COMMITLOG_LIVE_AUTO);
    struct commitlog_store *store = NULL;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_positions now = {.struct_bytes = sizeof now};
    struct commitlog_error err = {.message = ""};
    uint64_t bound = 0;
    int32_t rc = 0;
    order(&writer, "oo");
    store = store_open(path, COMMITLOG_READ_ONLY, COMMITLOG_LIVE_AUTO);
    CHECK_OK(
        commitlog_cursor_open(store, topic_of(store, 0), 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
        &err);
    CHECK(fetch(cursor, &rc, &bound) == 0);
    CHECK_RC(commitlog_positions_get(store, &now), COMMITLOG_OK);
    order(&writer, "m");
    writer_kill(&writer);
    writer = writer_start(path, COMMITLOG_LIVE_AUTO);
    order(&writer, "mr");
    is_overtaken(store, cursor, now.first);
    commitlog_cursor_close(cursor);
    CHECK_OK(commitlog_close(store, &err), &err);
    writer_kill(&writer);
}

static void asked_across_writers(const char *path)
{
    struct writer writer = writer_start(path, COMMITLOG_LIVE_AUTO);
    struct commitlog_store *store = NULL;
    struct commitlog_cursor *cursor = NULL, *other = NULL;
    struct commitlog_error err = {.message = ""};
    uint64_t bound = 0, expected = 2 * PER_SEGMENT, offset = 0;
    uint32_t topic = 0;
    int32_t rc = 0;
    for (uint64_t i = 0; i < expected; i++)
        order(&writer, "o");
    store = store_open(path, COMMITLOG_READ_ONLY, COMMITLOG_LIVE_AUTO);
    topic = topic_of(store, 0);
    CHECK_OK(commitlog_cursor_open_key(store, topic, KEY, sizeof KEY, 0, INT64_MAX, &cursor, &err),
             &err);
    for (; expected > PER_SEGMENT; expected--)
        CHECK(fetch(cursor, &rc, &bound) == expected - 1);
    writer_kill(&writer);
    writer = writer_start(path, COMMITLOG_LIVE_AUTO);
    order(&writer, "o");
    /* Somebody else finds the new writer. */
    CHECK_OK(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, 2 * PER_SEGMENT, &other,
                                   &err),
             &err);
    for (int64_t until = clock_ms() + 10000; (offset = fetch(other, &rc, &bound)) == UINT64_MAX;) {
        CHECKF(clock_ms() < until, "the next writer is not found: %s", commitlog_error_name(rc));
        sleep_ms(20);
    }
    CHECK(offset == 2 * PER_SEGMENT);
    for (; expected > 0; expected--) {
        offset = fetch(cursor, &rc, &bound);
        CHECKF(offset == expected - 1, "offset %llu, expected %llu: %s", (unsigned long long)offset,
               (unsigned long long)expected - 1, commitlog_error_name(rc));
    }
    CHECK(fetch(cursor, &rc, &bound) == UINT64_MAX);
    CHECK_RC(rc, COMMITLOG_EEND);
    commitlog_cursor_close(other);
    commitlog_cursor_close(cursor);
    CHECK_OK(commitlog_close(store, &err), &err);
    writer_kill(&writer);
}

/* Until most of the segments that are full have their view files: a reader that begins then maps
 * them when it needs them. */
static void await_views(const char *path)
{
    char view[DIRS_PATH_MAX];
    int64_t until = clock_ms() + 10000;
    uint32_t count = 0;
    path_join(view, path, "view");
    while (count < SEGMENTS - 4) {
        struct name_list names = dirs_list(view, ".cq");
        count = names.count;
        names_free(&names);
        CHECKF(clock_ms() < until, "%u view files", count);
        sleep_ms(10);
    }
}

static void overtaken_beside_a_private_area(const char *path)
{
    struct writer writer = writer_start(path, COMMITLOG_LIVE_PRIVATE);
    struct commitlog_store *store = NULL;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    struct commitlog_error err = {.message = ""};
    int64_t until = clock_ms() + 10000;
    uint64_t bound = 0, end = 0;
    int32_t rc = 0;
    order(&writer, "m");
    await_views(path);
    store = store_open(path, COMMITLOG_READ_ONLY, COMMITLOG_LIVE_AUTO);
    CHECK_OK(
        commitlog_cursor_open(store, topic_of(store, 0), 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err),
        &err);
    CHECK(fetch(cursor, &rc, &bound) == 0);
    order(&writer, "mr");
    may_be_overtaken(store, cursor);
    /* A footer says that all of its segment is durable. */
    CHECK_RC(commitlog_queue_info(store, topic_of(store, 0), 0, &info), COMMITLOG_OK);
    end = info.next_offset + 2 * PER_SEGMENT;
    order(&writer, "m");
    CHECK_RC(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, info.first_offset), COMMITLOG_OK);
    while (commitlog_cursor_tell(cursor) < end) {
        (void)fetch(cursor, &rc, &bound);
        if (rc == COMMITLOG_ETOOSMALL)
            rc = commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound);
        CHECKF(rc == COMMITLOG_OK || rc == COMMITLOG_EUNRECOVERED, "%s", commitlog_error_name(rc));
        CHECKF(clock_ms() < until, "at %llu of %llu: %s",
               (unsigned long long)commitlog_cursor_tell(cursor), (unsigned long long)end,
               commitlog_error_name(rc));
        if (rc != COMMITLOG_OK)
            sleep_ms(20);
    }
    commitlog_cursor_close(cursor);
    CHECK_OK(commitlog_close(store, &err), &err);
    writer_kill(&writer);
}

static void run(void (*test)(const char *path))
{
    char root[DIRS_PATH_MAX], path[DIRS_PATH_MAX];
    dirs_make(root, "overtaken");
    path_join(path, root, "store");
    test(path);
    store_live_remove(path);
    dirs_remove(root);
}

int main(void)
{
    prog_begin("overtaken_test");
    prog_watchdog(100);
    run(overtaken_by_a_successor);
    run(asked_across_writers);
    for (int i = 0; i < PRIVATE_RUNS; i++)
        run(overtaken_beside_a_private_area);
    return prog_end();
}
