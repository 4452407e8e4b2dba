/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * room_test.c -- a full stage behind an open reservation, and appends that are decided under a
 * lock: delayed messages, those of producers, and both. One thread waits for room without a limit;
 * the one that has the reservation gives up at its own limit, and makes room by its commit.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "commitlog.h"

enum { BODY = 60000, APPENDS = 20, LIMIT_MS = 100, HANGS_S = 20 };

static struct commitlog_store *store;
static uint32_t topic;
static uint8_t body[BODY];
static bool delayed;
static bool produced;

static void need(bool good, const char *what)
{
    if (!good) {
        (void)fprintf(stderr, "room_test: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static int32_t put(uint64_t producer, uint64_t sequence, size_t bytes, int32_t timeout_ms,
                   struct commitlog_receipt *receipt)
{
    struct commitlog_slice slice = {body, bytes};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .level = COMMITLOG_LEVEL_NONE,
                                      .body = &slice,
                                      .body_count = 1,
                                      .producer_id = produced ? producer : 0,
                                      .sequence = produced ? sequence : 0,
                                      .deliver_at_ms =
                                          delayed ? ((int64_t)time(NULL) + 1000) * 1000 : 0};
    return commitlog_append_record(store, &record, timeout_ms, receipt, NULL);
}

static void *fill(void *unused)
{
    for (uint64_t i = 1; i <= APPENDS; i++) {
        need(put(1, i, BODY, COMMITLOG_FOREVER, NULL) == COMMITLOG_OK, "append without a limit");
    }
    return unused;
}

static void run(const char *path)
{
    struct commitlog_options *options = NULL;
    struct commitlog_reservation *reservation = NULL;
    struct commitlog_receipt receipt;
    void *reserved = NULL;
    pthread_t filler;
    need(commitlog_options_create(&options) == COMMITLOG_OK, "options");
    (void)commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 1 << 22, NULL);
    (void)commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, 1 << 18, NULL);
    need(commitlog_open(path, options, &store, NULL) == COMMITLOG_OK, "open");
    commitlog_options_free(options);
    need(commitlog_topic_open(store, "t", 1, 1, &topic, NULL) == COMMITLOG_OK, "topic");
    need(put(2, 1, 1, 0, &receipt) == COMMITLOG_OK, "append");
    struct commitlog_record record = {.struct_bytes = sizeof(record), .topic = topic};
    need(commitlog_reserve(store, &record, 1, 0, &reservation, &reserved, NULL) == COMMITLOG_OK,
         "reserve");
    need(pthread_create(&filler, NULL, fill, NULL) == 0, "thread");
    (void)usleep(300000); /* it waits; were it later, nothing would be shown */
    int32_t rc = put(2, 2, BODY, LIMIT_MS, NULL);
    need(rc == COMMITLOG_ETIMEDOUT, "an append with a limit does not end at it");
    memset(reserved, 0, 1);
    need(commitlog_commit(reservation, 0, NULL, NULL) == COMMITLOG_OK, "commit");
    need(pthread_join(filler, NULL) == 0, "join");
    need(!delayed || commitlog_timer_cancel(store, receipt.position, COMMITLOG_LEVEL_DURABLE,
                                            NULL) == COMMITLOG_OK,
         "cancel");
    need(commitlog_close(store, NULL) == COMMITLOG_OK, "close");
}

int main(void)
{
    char root[DIRS_PATH_MAX];
    char path[DIRS_PATH_MAX];
    for (int i = 1; i < 4; i++) {
        delayed = (i & 1) != 0;
        produced = (i & 2) != 0;
        dirs_make(root, "room");
        path_join(path, root, "store");
        (void)alarm(HANGS_S);
        run(path);
        dirs_remove(root);
    }
    (void)puts("checks: 3");
    return EXIT_SUCCESS;
}
