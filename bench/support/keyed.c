/* SPDX-License-Identifier: BSD-2-Clause */
/* keyed.c -- see keyed.h. */
#include "support/keyed.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "support/bench.h"

enum { KEY_BYTES = 16, FETCH = 1024, SETTLE_POLL_NS = 1000000 };

static void need(int32_t code, const char *what, const struct commitlog_error *err)
{
    if (code != COMMITLOG_OK) {
        bench_die("%s: %s: %s", what, commitlog_error_name(code),
                  err != NULL ? err->message : commitlog_error_text(code));
    }
}

/* The finalizer of SplitMix64 (G. Steele et al., 2014): no two numbers have the same. */
static void key_of(uint64_t i, char key[KEY_BYTES + 1])
{
    i += UINT64_C(0x9e3779b97f4a7c15);
    i = (i ^ (i >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    i = (i ^ (i >> 27)) * UINT64_C(0x94d049bb133111eb);
    i ^= i >> 31;
    for (unsigned digit = 0; digit < KEY_BYTES; digit++) {
        key[digit] = "0123456789abcdef"[(i >> (4 * digit)) & 15];
    }
    key[KEY_BYTES] = '\0';
}

void keyed_open(struct keyed *keyed, const char *directory, uint64_t segment_bytes, uint32_t bytes)
{
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    need(commitlog_options_create(&options), "options", NULL);
    need(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, segment_bytes, &err),
         "segment_bytes", &err);
    need(commitlog_open(directory, options, &keyed->store, &err), "open", &err);
    commitlog_options_free(options);
    need(commitlog_topic_open(keyed->store, "bench", 5, 1, &keyed->topic, &err), "topic", &err);
    keyed->bytes = bytes;
}

void keyed_close(struct keyed *keyed)
{
    struct commitlog_error err = {.message = ""};
    need(commitlog_close(keyed->store, &err), "close", &err);
    keyed->store = NULL;
}

struct commitlog_receipt keyed_append(const struct keyed *keyed, uint64_t i, uint32_t level)
{
    char text[KEY_BYTES + 1];
    struct commitlog_receipt receipt;
    const struct commitlog_slice key = {.data = text, .bytes = KEY_BYTES};
    const struct commitlog_slice body = {.data = bench_body(i, keyed->bytes),
                                         .bytes = keyed->bytes};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = keyed->topic,
                                            .level = level,
                                            .body = &body,
                                            .body_count = 1,
                                            .keys = &key,
                                            .key_count = 1};
    key_of(i, text);
    need(commitlog_append_record(keyed->store, &record, COMMITLOG_FOREVER, &receipt, NULL),
         "append", NULL);
    if (receipt.queue_offset != i) {
        bench_die("record %llu has offset %llu", (unsigned long long)i,
                  (unsigned long long)receipt.queue_offset);
    }
    return receipt;
}

void keyed_settle(const struct keyed *keyed)
{
    struct commitlog_error err = {.message = ""};
    const struct timespec pause = {.tv_nsec = SETTLE_POLL_NS};
    need(commitlog_sync(keyed->store, UINT64_MAX, COMMITLOG_FOREVER, &err), "sync", &err);
    while (keyed_stat(keyed, "view_files_pending") != 0) {
        (void)nanosleep(&pause, NULL);
    }
}

static void compare(const struct keyed *keyed, uint64_t i, const struct commitlog_message *message)
{
    if (message->queue_offset != i || message->body.bytes != keyed->bytes ||
        memcmp(message->body.data, bench_body(i, keyed->bytes), keyed->bytes) != 0) {
        bench_die("record %llu is another one", (unsigned long long)i);
    }
}

/* The cursor's first message, compared where one is expected, and the end of the cursor; `began` is
 * when it was asked for. */
static uint64_t take_one(const struct keyed *keyed, struct commitlog_cursor *cursor, uint64_t i,
                         bool there, uint64_t began)
{
    struct commitlog_message message;
    uint32_t count = 0;
    int32_t rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
    uint64_t took = bench_now_ns() - began;
    if (rc != (there ? COMMITLOG_OK : COMMITLOG_EEND)) {
        bench_die("record %llu: %s", (unsigned long long)i, commitlog_error_name(rc));
    }
    if (there) {
        compare(keyed, i, &message);
    }
    began = bench_now_ns();
    commitlog_cursor_close(cursor);
    return took + (bench_now_ns() - began);
}

uint64_t keyed_find(const struct keyed *keyed, uint64_t i, int64_t since_ns, bool there)
{
    char key[KEY_BYTES + 1];
    struct commitlog_cursor *cursor = NULL;
    key_of(i, key);
    uint64_t began = bench_now_ns();
    need(commitlog_cursor_open_key(keyed->store, keyed->topic, key, KEY_BYTES, since_ns, INT64_MAX,
                                   &cursor, NULL),
         "cursor", NULL);
    return take_one(keyed, cursor, i, there, began);
}

uint64_t keyed_read(const struct keyed *keyed, uint64_t i)
{
    struct commitlog_cursor *cursor = NULL;
    uint64_t began = bench_now_ns();
    need(commitlog_cursor_open(keyed->store, keyed->topic, 0, COMMITLOG_FROM_OFFSET, i, &cursor,
                               NULL),
         "cursor", NULL);
    return take_one(keyed, cursor, i, true, began);
}

void keyed_check(const struct keyed *keyed, uint64_t from, uint64_t to)
{
    static _Thread_local struct commitlog_message messages[FETCH];
    struct commitlog_cursor *cursor = NULL;
    uint64_t next = from;
    int32_t rc = COMMITLOG_OK;
    need(commitlog_cursor_open(keyed->store, keyed->topic, 0, COMMITLOG_FROM_OFFSET, from, &cursor,
                               NULL),
         "cursor", NULL);
    while (rc == COMMITLOG_OK) {
        uint32_t count = 0;
        rc = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, NULL);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            compare(keyed, next++, &messages[i]);
        }
    }
    commitlog_cursor_close(cursor);
    if (rc != COMMITLOG_EEND || next != to) {
        bench_die("records from %llu: %llu instead of %llu: %s", (unsigned long long)from,
                  (unsigned long long)(next - from), (unsigned long long)(to - from),
                  commitlog_error_name(rc));
    }
}

uint64_t keyed_stat(const struct keyed *keyed, const char *name)
{
    const char *has = NULL;
    uint64_t value = 0;
    for (uint32_t i = 0; commitlog_stat(keyed->store, i, &has, &value) == COMMITLOG_OK; i++) {
        if (strcmp(has, name) == 0) {
            return value;
        }
    }
    bench_die("there is no statistic %s", name);
}
