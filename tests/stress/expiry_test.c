/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expiry_test.c -- messages expire while threads append and read, and retention takes segments.
 * Who begins a fetch after an expiry has returned is given nothing that it named; offsets of a
 * queue, and its first one, only rise, in the writer and in a store that follows it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "commitlog.h"

enum { QUEUES = 4, APPENDERS = 2, READERS = 2, EXPIRIES = 200, MAX = 8, HANGS_S = 120 };

static struct commitlog_store *store;
static struct commitlog_store *follower;
static uint32_t topic;
static uint32_t followed;
static _Atomic uint64_t promised; /* what lies below has expired, and was said to have */
static _Atomic bool ended;
static _Atomic uint64_t given;
static _Atomic uint64_t passed;

static void need(bool good, const char *what)
{
    if (!good) {
        (void)fprintf(stderr, "expiry_test: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static void *append(void *arg)
{
    uint8_t body[200] = {0};
    const uint32_t number = *(const uint32_t *)arg;
    for (uint32_t i = number; !atomic_load(&ended); i++) {
        need(commitlog_append(store, topic, i % QUEUES, body, 1 + i % sizeof(body),
                              COMMITLOG_LEVEL_NONE, NULL) == COMMITLOG_OK,
             "append");
    }
    return NULL;
}

static void *read_queue(void *arg)
{
    const uint32_t queue = *(const uint32_t *)arg;
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message messages[MAX];
    uint64_t next = 0;
    need(commitlog_cursor_open(store, topic, queue, COMMITLOG_FROM_FIRST, 0, &cursor, NULL) ==
             COMMITLOG_OK,
         "open a cursor");
    while (!atomic_load(&ended)) {
        const uint64_t below = atomic_load(&promised);
        uint32_t count = 0;
        uint64_t bound = 0;
        int32_t rc = commitlog_cursor_fetch(cursor, messages, MAX, 0, &count, &bound);
        need(rc == COMMITLOG_OK || rc == COMMITLOG_EEND || rc == COMMITLOG_ETOOSMALL, "fetch");
        for (uint32_t i = 0; i < count; i++) {
            need(messages[i].position >= below, "given, and had expired before it was asked for");
            need(messages[i].queue_offset >= next, "an offset does not rise");
            next = messages[i].queue_offset + 1;
        }
        (void)atomic_fetch_add(&given, count);
        if (rc == COMMITLOG_ETOOSMALL) {
            need(bound > next || next == 0, "the first offset does not rise");
            (void)atomic_fetch_add(&passed, 1);
            need(commitlog_cursor_seek(cursor, COMMITLOG_FROM_OFFSET, bound) == COMMITLOG_OK,
                 "seek");
        }
    }
    commitlog_cursor_close(cursor);
    return NULL;
}

static uint64_t first_offset(struct commitlog_store *which, uint32_t number)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    int32_t rc = commitlog_queue_info(which, number, 0, &info);
    while (rc == COMMITLOG_EBUSY) { /* a follower that retention has overtaken */
        rc = commitlog_queue_info(which, number, 0, &info);
    }
    need(rc == COMMITLOG_OK && info.first_offset <= info.next_offset, "queue info");
    return info.first_offset;
}

static void *watch(void *unused)
{
    uint64_t seen[2] = {0};
    while (!atomic_load(&ended)) {
        const uint64_t here = first_offset(store, topic);
        const uint64_t there = first_offset(follower, followed);
        need(here >= seen[0] && there >= seen[1], "a first offset goes back");
        seen[0] = here;
        seen[1] = there;
    }
    return unused;
}

static void *retain(void *unused)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = 4 << 20};
    while (!atomic_load(&ended)) {
        struct commitlog_retained retained = {.struct_bytes = sizeof(retained)};
        int32_t rc = commitlog_retain(store, &policy, &retained, NULL);
        need(rc == COMMITLOG_OK || rc == COMMITLOG_EBUSY, "retain");
        (void)usleep(5000);
    }
    return unused;
}

static void expire(void)
{
    for (uint32_t i = 0; i < EXPIRIES; i++) {
        struct commitlog_topic_info info = {.struct_bytes = sizeof(info)};
        need(commitlog_topic_expire(store, topic, INT64_MAX, COMMITLOG_LEVEL_NONE, NULL) ==
                 COMMITLOG_OK,
             "expire");
        need(commitlog_topic_expire_after(store, topic, 1000 + i, COMMITLOG_LEVEL_NONE, NULL) ==
                 COMMITLOG_OK,
             "expire after");
        need(commitlog_topic_info(store, topic, &info) == COMMITLOG_OK &&
                 info.keep_age_ms == 1000 + i,
             "topic info");
        if (info.expired_below > atomic_load(&promised)) {
            atomic_store(&promised, info.expired_below);
        }
        (void)usleep(1000);
    }
}

static struct commitlog_store *open_store(const char *path, uint64_t access, uint32_t *out_topic)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *opened = NULL;
    need(commitlog_options_create(&options) == COMMITLOG_OK, "options");
    (void)commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 1 << 20, NULL);
    (void)commitlog_options_set(options, COMMITLOG_OPT_ACCESS, access, NULL);
    need(commitlog_open(path, options, &opened, NULL) == COMMITLOG_OK, "open");
    commitlog_options_free(options);
    need(commitlog_topic_open(opened, "t", 1, access == COMMITLOG_READ_ONLY ? 0 : QUEUES, out_topic,
                              NULL) == COMMITLOG_OK,
         "topic");
    return opened;
}

int main(void)
{
    static uint32_t numbers[] = {0, 1, 2, 3};
    char root[DIRS_PATH_MAX];
    char path[DIRS_PATH_MAX];
    pthread_t threads[APPENDERS + READERS + 2];
    uint32_t count = 0;
    dirs_make(root, "expiry");
    path_join(path, root, "store");
    (void)alarm(HANGS_S);
    store = open_store(path, COMMITLOG_READ_WRITE, &topic);
    need(commitlog_append(store, topic, 0, "first", 5, COMMITLOG_LEVEL_WRITTEN, NULL) ==
             COMMITLOG_OK,
         "append");
    follower = open_store(path, COMMITLOG_READ_ONLY, &followed);
    for (uint32_t i = 0; i < APPENDERS; i++) {
        need(pthread_create(&threads[count++], NULL, append, &numbers[i]) == 0, "thread");
    }
    for (uint32_t i = 0; i < READERS; i++) {
        need(pthread_create(&threads[count++], NULL, read_queue, &numbers[i]) == 0, "thread");
    }
    need(pthread_create(&threads[count++], NULL, watch, NULL) == 0, "thread");
    need(pthread_create(&threads[count++], NULL, retain, NULL) == 0, "thread");
    expire();
    atomic_store(&ended, true);
    for (uint32_t i = 0; i < count; i++) {
        need(pthread_join(threads[i], NULL) == 0, "join");
    }
    need(atomic_load(&given) > 0 && atomic_load(&passed) > 0, "nothing was given, or passed over");
    need(commitlog_close(follower, NULL) == COMMITLOG_OK, "close the follower");
    need(commitlog_close(store, NULL) == COMMITLOG_OK, "close");
    dirs_remove(root);
    (void)printf("%llu messages given, %llu times passed over some\nchecks: %llu\n",
                 (unsigned long long)atomic_load(&given), (unsigned long long)atomic_load(&passed),
                 (unsigned long long)atomic_load(&given));
    return EXIT_SUCCESS;
}
