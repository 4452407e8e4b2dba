/* SPDX-License-Identifier: BSD-2-Clause */
/* scratch.c -- a store for one test; see scratch.h. */
#include "scratch.h"

#include <stdlib.h>
#include <string.h>

void scratch_set(struct scratch *scratch, int32_t option, uint64_t value)
{
    CHECK_OK(commitlog_options_set(scratch->options, option, value, &scratch->err), &scratch->err);
}

void scratch_begin(struct scratch *scratch, const char *tag)
{
    memset(scratch, 0, sizeof *scratch);
    dirs_make(scratch->root, tag);
    path_join(scratch->path, scratch->root, "store");
    CHECK_RC(commitlog_options_create(&scratch->options), COMMITLOG_OK);
    scratch_set(scratch, COMMITLOG_OPT_SEGMENT_BYTES, 65536);
    scratch_set(scratch, COMMITLOG_OPT_STAGE_BYTES, 65536);
    scratch_set(scratch, COMMITLOG_OPT_THREAD, 0);
    scratch_set(scratch, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_ASYNC);
    scratch_set(scratch, COMMITLOG_OPT_LIVE_AREA, COMMITLOG_LIVE_DIR);
}

void scratch_open(struct scratch *scratch, uint32_t queues)
{
    CHECK_OK(commitlog_open(scratch->path, scratch->options, &scratch->store, &scratch->err),
             &scratch->err);
    CHECK_OK(
        commitlog_topic_open(scratch->store, "test", 4, queues, &scratch->topic, &scratch->err),
        &scratch->err);
}

void scratch_close(struct scratch *scratch)
{
    CHECK_OK(commitlog_close(scratch->store, &scratch->err), &scratch->err);
    scratch->store = NULL;
}

void scratch_end(struct scratch *scratch)
{
    if (scratch->store != NULL) {
        scratch_close(scratch);
    }
    commitlog_options_free(scratch->options);
    dirs_remove(scratch->root);
}

struct commitlog_receipt scratch_put(struct scratch *scratch, uint32_t queue, size_t bytes,
                                     uint64_t seed)
{
    struct commitlog_receipt receipt = {0};
    uint8_t *body = need_alloc(bytes);
    bytes_fill(body, bytes, seed);
    CHECK_RC(commitlog_append(scratch->store, scratch->topic, queue, body, bytes,
                              COMMITLOG_LEVEL_NONE, &receipt),
             COMMITLOG_OK);
    free(body);
    return receipt;
}

struct commitlog_receipt scratch_text(struct scratch *scratch, uint32_t queue, const char *text,
                                      const char *key, const char *tag)
{
    struct commitlog_receipt receipt = {0};
    struct commitlog_slice body = {text, strlen(text)};
    struct commitlog_slice keys = {key, key != NULL ? strlen(key) : 0};
    struct commitlog_record record = {.struct_bytes = sizeof record};
    record.topic = scratch->topic;
    record.queue = queue;
    record.level = COMMITLOG_LEVEL_NONE;
    record.body = &body;
    record.body_count = 1;
    record.keys = key != NULL ? &keys : NULL;
    record.key_count = key != NULL ? 1 : 0;
    record.tag = (struct commitlog_slice){tag, tag != NULL ? strlen(tag) : 0};
    CHECK_OK(commitlog_append_record(scratch->store, &record, COMMITLOG_FOREVER, &receipt,
                                     &scratch->err),
             &scratch->err);
    return receipt;
}

int32_t scratch_get(struct scratch *scratch, uint64_t position, struct commitlog_message *out)
{
    struct commitlog_lease *lease = NULL;
    int32_t rc = commitlog_get(scratch->store, position, out, &lease, &scratch->err);
    commitlog_lease_release(lease);
    return rc;
}

bool scratch_is(struct scratch *scratch, uint64_t position, size_t bytes, uint64_t seed)
{
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    uint8_t *body = need_alloc(bytes);
    bool same = false;
    bytes_fill(body, bytes, seed);
    CHECK_OK(commitlog_get(scratch->store, position, &message, &lease, &scratch->err),
             &scratch->err);
    same = message.body.bytes == bytes && bytes_equal(message.body.data, body, bytes);
    commitlog_lease_release(lease);
    free(body);
    return same;
}

uint32_t scratch_count(struct scratch *scratch, uint32_t queue, uint64_t offset)
{
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[32];
    uint32_t got = 0;
    uint32_t count = 0;
    CHECK_OK(commitlog_cursor_open(scratch->store, scratch->topic, queue, COMMITLOG_FROM_OFFSET,
                                   offset, &cursor, &scratch->err),
             &scratch->err);
    for (;;) {
        int32_t rc = commitlog_cursor_fetch(cursor, messages, 32, 0, &got, NULL);
        if (rc == COMMITLOG_EEND) {
            break;
        }
        CHECK_RC(rc, COMMITLOG_OK);
        count += got;
    }
    commitlog_cursor_close(cursor);
    return count;
}

struct commitlog_queue_info scratch_queue(struct scratch *scratch, uint32_t queue)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof info};
    CHECK_RC(commitlog_queue_info(scratch->store, scratch->topic, queue, &info), COMMITLOG_OK);
    return info;
}

struct commitlog_positions scratch_positions(struct scratch *scratch)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    CHECK_RC(commitlog_positions_get(scratch->store, &positions), COMMITLOG_OK);
    return positions;
}

uint32_t scratch_segments(struct scratch *scratch)
{
    char log[DIRS_PATH_MAX];
    struct name_list names;
    uint32_t count = 0;
    path_join(log, scratch->path, "log");
    names = dirs_list(log, ".log");
    count = names.count;
    names_free(&names);
    return count;
}
