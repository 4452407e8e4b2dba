/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * commitlog.c -- libcommitlog as a store of records: one topic, one queue, the number as the key.
 *
 * Each append asks for the level durable. Options are the defaults but for the size of a segment,
 * which is small so that a small store has several; the second engine appends through the map.
 *
 * Owns: the store.
 */
#include <commitlog.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"

enum { SEGMENT_BYTES = 256 * 1024 };

struct log {
    struct commitlog_store *store;
    uint32_t topic;
    char path[ENGINE_PATH_MAX];
};

static enum engine_answer failure(const char *what, int32_t rc, const struct commitlog_error *err)
{
    engine_said("%s: %s: %.180s", what, commitlog_error_name(rc),
                err != NULL && err->code == rc ? err->message : commitlog_error_text(rc));
    return ENGINE_ERROR;
}

static void log_version(char out[ENGINE_MESSAGE_MAX])
{
    snprintf(out, ENGINE_MESSAGE_MAX, "libcommitlog %s", commitlog_version_text());
}

static enum engine_answer open_with(const char *directory, bool read_only, uint32_t engine,
                                    void **out)
{
    struct log *log = calloc(1, sizeof *log);
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    if (log == NULL)
        return ENGINE_ERROR;
    snprintf(log->path, sizeof log->path, "%s/records", directory);
    int32_t rc = commitlog_options_create(&options);
    if (rc == COMMITLOG_OK)
        rc = commitlog_options_set(options, COMMITLOG_OPT_ACCESS,
                                   read_only ? COMMITLOG_READ_ONLY : COMMITLOG_READ_WRITE, &err);
    if (rc == COMMITLOG_OK && !read_only)
        rc = commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, SEGMENT_BYTES, &err);
    if (rc == COMMITLOG_OK && !read_only)
        rc = commitlog_options_set(options, COMMITLOG_OPT_ENGINE, engine, &err);
    if (rc == COMMITLOG_OK)
        rc = commitlog_open(log->path, options, &log->store, &err);
    commitlog_options_free(options);
    if (rc == COMMITLOG_OK) {
        rc = commitlog_topic_open(log->store, "records", 7, read_only ? 0 : 1, &log->topic, &err);
        if (rc != COMMITLOG_OK)
            (void)commitlog_close(log->store, NULL);
    }
    if (rc != COMMITLOG_OK) {
        free(log);
        return failure("open", rc, &err);
    }
    *out = log;
    return ENGINE_RIGHT;
}

static enum engine_answer log_open(const char *directory, bool read_only, void **out)
{
    return open_with(directory, read_only, COMMITLOG_ENGINE_STAGED, out);
}

static enum engine_answer log_open_mmap(const char *directory, bool read_only, void **out)
{
    return open_with(directory, read_only, COMMITLOG_ENGINE_MMAP, out);
}

static enum engine_answer log_append(void *handle, uint64_t seq, const void *body, size_t bytes)
{
    struct log *log = handle;
    struct commitlog_error err = {.message = ""};
    struct commitlog_slice key = {&seq, sizeof seq}, slice = {body, bytes};
    struct commitlog_record record = {.struct_bytes = sizeof record,
                                      .topic = log->topic,
                                      .level = COMMITLOG_LEVEL_DURABLE,
                                      .body = &slice,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = 1};
    int32_t rc = commitlog_append_record(log->store, &record, COMMITLOG_FOREVER, NULL, &err);
    return rc == COMMITLOG_OK ? ENGINE_RIGHT : failure("append", rc, &err);
}

static enum engine_answer log_read(void *handle, uint64_t seq, void *out, size_t *out_bytes)
{
    struct log *log = handle;
    struct commitlog_error err = {.message = ""};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    int32_t rc = commitlog_cursor_open_key(log->store, log->topic, &seq, sizeof seq, 0, INT64_MAX,
                                           &cursor, &err);
    if (rc != COMMITLOG_OK)
        return failure("cursor", rc, &err);
    rc = commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL);
    if (rc == COMMITLOG_OK) {
        *out_bytes = message.body.bytes;
        memcpy(out, message.body.data,
               message.body.bytes < ENGINE_BODY_MAX ? message.body.bytes : ENGINE_BODY_MAX);
    }
    commitlog_cursor_close(cursor);
    if (rc == COMMITLOG_EEND)
        return ENGINE_MISSING;
    return rc == COMMITLOG_OK ? ENGINE_RIGHT : failure("fetch", rc, NULL);
}

static enum engine_answer log_check(void *handle)
{
    struct log *log = handle;
    struct commitlog_error err = {.message = ""};
    struct commitlog_damage damage = {.struct_bytes = sizeof damage};
    struct commitlog_report *report = NULL;
    int32_t rc = commitlog_verify(log->path, NULL, &report, &err);
    commitlog_report_free(report);
    if (rc != COMMITLOG_OK)
        return failure("verify", rc, &err);
    if (commitlog_damage_get(log->store, 0, &damage) != COMMITLOG_OK)
        return ENGINE_RIGHT;
    engine_said("damage: %.128s", damage.reason);
    return ENGINE_ERROR;
}

static enum engine_answer log_close(void *handle)
{
    struct log *log = handle;
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_close(log->store, &err);
    free(log);
    return rc == COMMITLOG_OK ? ENGINE_RIGHT : failure("close", rc, &err);
}

const struct engine engine_commitlog = {
    .name = "commitlog",
    .setting =
        "COMMITLOG_LEVEL_DURABLE for each append, segment_bytes=256K, otherwise the defaults "
        "(engine=staged); check: commitlog_verify",
    .version = log_version,
    .open = log_open,
    .append = log_append,
    .read = log_read,
    .check = log_check,
    .close = log_close,
};

const struct engine engine_commitlog_mmap = {
    .name = "commitlog-mmap",
    .setting = "engine=mmap, otherwise as commitlog",
    .version = log_version,
    .open = log_open_mmap,
    .append = log_append,
    .read = log_read,
    .check = log_check,
    .close = log_close,
};
