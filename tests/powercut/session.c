/* SPDX-License-Identifier: BSD-2-Clause */
/* session.c -- how a session opens the store, and the acknowledgements; see session.h. */
#define _GNU_SOURCE
#include "session.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/dirs.h"

enum { KB = 1024 };

static void option_set(struct commitlog_options *options, int32_t id, uint64_t value)
{
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_options_set(options, id, value, &err), &err);
}

struct commitlog_options *session_options(const char *engine, uint64_t seed)
{
    static const uint64_t segments[] = {SESSION_SEGMENT_MIN, 128 * KB, SESSION_SEGMENT_MAX};
    static const uint64_t stages[] = {64 * KB, 256 * KB, 1024 * KB};
    struct commitlog_options *options = NULL;
    struct commitlog_error err = {.message = ""};
    struct rng rng;
    rng_begin(&rng, seed ^ 0x5e55);
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set_text(options, "engine", engine, &err), &err);
    option_set(options, COMMITLOG_OPT_SEGMENT_BYTES, segments[rng_below(&rng, 3)]);
    option_set(options, COMMITLOG_OPT_STAGE_BYTES, stages[rng_below(&rng, 3)]);
    option_set(options, COMMITLOG_OPT_FLUSH, rng_below(&rng, 3));
    option_set(options, COMMITLOG_OPT_FLUSH_ALIGN_BYTES, rng_chance(&rng, 1, 4) ? 4096 : 0);
    option_set(options, COMMITLOG_OPT_VISIBILITY,
               rng_chance(&rng, 1, 3) ? COMMITLOG_VISIBLE_DURABLE : COMMITLOG_VISIBLE_PUBLISHED);
    option_set(options, COMMITLOG_OPT_PREWRITE, rng_below(&rng, 3));
    option_set(options, COMMITLOG_OPT_LIVE_AREA, rng_below(&rng, 4));
    option_set(options, COMMITLOG_OPT_THREAD, rng_chance(&rng, 3, 4));
    option_set(options, COMMITLOG_OPT_RETAIN_BYTES, SESSION_KEEP_BYTES);
    option_set(options, COMMITLOG_OPT_SCRUB_BYTES_PER_S, rng_chance(&rng, 1, 4) ? 1024 * KB : 0);
    return options;
}

/* ---- epochs ------------------------------------------------------------------------------------
 */

static void epoch_note(const char *acks_path, uint32_t epoch)
{
    char path[DIRS_PATH_MAX];
    uint32_t before = 0;
    CHECK(snprintf(path, sizeof path, "%s.epoch", acks_path) < (int)sizeof path);
    if (path_exists(path)) {
        struct file_bytes file = file_read(path);
        CHECK(file.size == sizeof before);
        memcpy(&before, file.data, sizeof before);
        file_free(&file);
    }
    CHECKF(epoch > before, "epoch %u after a session that had %u", epoch, before);
    file_write(path, &epoch, sizeof epoch);
}

int32_t session_open(const char *store_path, const char *acks_path,
                     struct commitlog_options *options, struct commitlog_store **out)
{
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    struct commitlog_error err = {.message = ""};
    int32_t rc = commitlog_open(store_path, options, out, &err);
    if (rc == COMMITLOG_EUNSUPPORTED) {
        option_set(options, COMMITLOG_OPT_LIVE_AREA, COMMITLOG_LIVE_AUTO);
        rc = commitlog_open(store_path, options, out, &err);
    }
    if (rc != COMMITLOG_OK) {
        printf("no open: %s, errno %d: %s\n", commitlog_error_name(rc), err.os_errno, err.message);
        CHECKF(rc == COMMITLOG_EIO || rc == COMMITLOG_EACCESS || rc == COMMITLOG_EFAILED, "%s: %s",
               commitlog_error_name(rc), err.message);
        return rc;
    }
    CHECK_RC(commitlog_positions_get(*out, &positions), COMMITLOG_OK);
    epoch_note(acks_path, positions.epoch);
    printf("open %u\n", positions.epoch);
    fflush(stdout);
    return rc;
}

uint32_t session_topics(struct commitlog_store *store, bool create, uint32_t numbers[KILL_TOPICS])
{
    uint32_t failed = 0;
    for (uint32_t t = 0; t < KILL_TOPICS; t++) {
        char name[32];
        size_t size = kill_topic_name(t, name);
        numbers[t] = UINT32_MAX;
        if (commitlog_topic_open(store, name, size, create ? KILL_QUEUES : 0, &numbers[t], NULL) !=
            COMMITLOG_OK)
            failed++;
    }
    return failed;
}

size_t session_body(struct rng *rng, size_t limit, uint64_t batch, uint32_t count, uint32_t index,
                    uint8_t **out)
{
    struct body_head head = {KILL_MAGIC, rng_next(rng), 0, batch, count, index};
    head.bytes = sizeof head + rng_below(rng, limit + 1);
    *out = need_alloc((size_t)head.bytes);
    memcpy(*out, &head, sizeof head);
    bytes_fill(*out + sizeof head, (size_t)head.bytes - sizeof head, head.seed);
    return (size_t)head.bytes;
}

/* ---- acknowledgements --------------------------------------------------------------------------
 */

int acks_open(const char *path, const char *suffix)
{
    char name[DIRS_PATH_MAX];
    int fd = -1;
    CHECK(snprintf(name, sizeof name, "%s%s", path, suffix) < (int)sizeof name);
    fd = open(name, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    CHECKF(fd >= 0, "%s", name);
    return fd;
}

void tried_write(int fd, const void *body, size_t bytes)
{
    uint64_t hash = bytes_hash(body, bytes);
    CHECK(write(fd, &hash, sizeof hash) == (ssize_t)sizeof hash);
}

void acks_write(int fd, const struct ack *acks, uint32_t count)
{
    CHECK(write(fd, acks, count * sizeof *acks) == (ssize_t)(count * sizeof *acks));
}

void acks_load(const char *path, struct evidence *out)
{
    struct file_bytes file = {NULL, 0};
    memset(out, 0, sizeof *out);
    if (!path_exists(path))
        return;
    file = file_read(path);
    for (size_t at = 0; at + sizeof(struct ack) <= file.size; at += sizeof(struct ack)) {
        struct ack ack;
        memcpy(&ack, file.data + at, sizeof ack);
        evidence_add(out, &ack);
    }
    file_free(&file);
}

void acks_replace(const char *path, const struct evidence *evidence)
{
    char temporary[DIRS_PATH_MAX];
    CHECK(snprintf(temporary, sizeof temporary, "%s.new", path) < (int)sizeof temporary);
    file_write(temporary, evidence->acks, evidence->count * sizeof *evidence->acks);
    CHECK(rename(temporary, path) == 0);
}
