/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * maker.h -- what the programs that make golden stores share: a store without a thread, with small
 * segments, and messages in it. What does not go well ends the program.
 */
#ifndef MAKER_H
#define MAKER_H

#include <commitlog.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void need(int32_t rc, const struct commitlog_error *err, const char *what)
{
    if (rc == COMMITLOG_OK) {
        return;
    }
    fprintf(stderr, "%s: %s %s\n", what, commitlog_error_name(rc), err->message);
    exit(1);
}

static struct commitlog_store *open_store(const char *path, uint64_t engine, uint64_t align)
{
    const struct {
        int32_t id;
        uint64_t value;
    } set[] = {
        {COMMITLOG_OPT_SEGMENT_BYTES, 65536},
        {COMMITLOG_OPT_ENGINE, engine},
        {COMMITLOG_OPT_FLUSH_ALIGN_BYTES, align},
        {COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE},
        {COMMITLOG_OPT_THREAD, 0},
        /* LOCK then names no path, and nothing but the files is left of a dead writer. */
        {COMMITLOG_OPT_LIVE_AREA, COMMITLOG_LIVE_PRIVATE},
    };
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    need(commitlog_options_create(&options), &err, "options");
    for (size_t i = 0; i < sizeof set / sizeof set[0]; i++) {
        need(commitlog_options_set(options, set[i].id, set[i].value, &err), &err, "option");
    }
    need(commitlog_open(path, options, &store, &err), &err, path);
    commitlog_options_free(options);
    return store;
}

static void close_store(struct commitlog_store *store)
{
    struct commitlog_error err = {.message = ""};
    need(commitlog_close(store, &err), &err, "close");
}

static uint32_t topic(struct commitlog_store *store, const char *name, uint32_t queues)
{
    struct commitlog_error err = {.message = ""};
    uint32_t number = 0;
    need(commitlog_topic_open(store, name, strlen(name), queues, &number, &err), &err, name);
    return number;
}

static struct commitlog_slice text(const char *data)
{
    return (struct commitlog_slice){data, strlen(data)};
}

/* Returns the position. */
static uint64_t put(struct commitlog_store *store, struct commitlog_record *record,
                    struct commitlog_slice body)
{
    struct commitlog_receipt receipt = {0};
    struct commitlog_error err = {.message = ""};
    record->struct_bytes = sizeof *record;
    record->body = &body;
    record->body_count = 1;
    need(commitlog_append_record(store, record, COMMITLOG_FOREVER, &receipt, &err), &err, "append");
    return receipt.position;
}

#endif
