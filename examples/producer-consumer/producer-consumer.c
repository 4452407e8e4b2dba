/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * producer-consumer.c - one process appends, another follows the live store.
 *
 * The follower opens the store read-only: it needs no permission to write, takes no lock and
 * sleeps until the writer wakes it. Both processes open the store after the fork, because a
 * handle must never be used across one.
 *
 *   producer-consumer [DIR]        default: orders.store
 */
#define _POSIX_C_SOURCE 200809L

#include <commitlog.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGES = 20, PATIENCE_MS = 5000 };

static int complain(const char *who, const char *what, int32_t code,
                    const struct commitlog_error *err)
{
    const int detailed = err != NULL && err->code == code;
    fprintf(stderr, "%s: %s: %s\n", who, what,
            detailed ? err->message : commitlog_error_text(code));
    return 1;
}

/* Appends MESSAGES orders. Where the queue ended before the first goes into the pipe: by then the
 * store and its topic exist, and the follower knows where to begin. */
static int32_t append_orders(struct commitlog_store *store, uint32_t topic, int ready_fd,
                             const char **out_what)
{
    const struct timespec pause = {0, 20 * 1000 * 1000};
    for (int i = 0; i < MESSAGES; i++) {
        char body[64];
        struct commitlog_receipt receipt;
        const int bytes = snprintf(body, sizeof body, "order %d", i);
        *out_what = "append";
        const int32_t code = commitlog_append(store, topic, 0, body, (size_t)bytes,
                                              COMMITLOG_LEVEL_DURABLE, &receipt);
        if (code != COMMITLOG_OK)
            return code;
        if (i == 0 && write(ready_fd, &receipt.queue_offset, sizeof receipt.queue_offset) < 0)
            perror("producer: pipe");
        nanosleep(&pause, NULL);
    }
    return COMMITLOG_OK;
}

static int produce(const char *path, int ready_fd)
{
    struct commitlog_error err = {0};
    struct commitlog_store *store = NULL;
    uint32_t topic = 0;
    const char *what = "open";
    int32_t code = commitlog_open(path, NULL, &store, &err);
    if (code != COMMITLOG_OK)
        return complain("producer", what, code, &err);
    what = "topic";
    code = commitlog_topic_open(store, "orders", 6, 1, &topic, &err);
    if (code == COMMITLOG_OK)
        code = append_orders(store, topic, ready_fd, &what);
    int failed = code == COMMITLOG_OK ? 0 : complain("producer", what, code, &err);
    code = commitlog_close(store, &err);
    if (code != COMMITLOG_OK)
        failed = complain("producer", "close", code, &err);
    return failed;
}

/* Prints MESSAGES orders from `offset` as they arrive. */
static int follow(struct commitlog_cursor *cursor)
{
    struct commitlog_message messages[8];
    uint32_t seen = 0;
    while (seen < MESSAGES) {
        uint32_t count = 0;
        const int32_t code = commitlog_cursor_fetch(cursor, messages, 8, PATIENCE_MS, &count, NULL);
        if (code == COMMITLOG_EBUSY) /* the producer is just closing the store, or opening it */
            continue;
        if (code != COMMITLOG_OK) /* COMMITLOG_EEND: nothing came in time */
            return complain("consumer", "fetch", code, NULL);
        for (uint32_t i = 0; i < count; i++)
            printf("consumer: offset %" PRIu64 ": %.*s\n", messages[i].queue_offset,
                   (int)messages[i].body.bytes, (const char *)messages[i].body.data);
        seen += count;
    }
    return 0;
}

static int consume(const char *path, uint64_t offset)
{
    struct commitlog_error err = {0};
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_cursor *cursor = NULL;
    uint32_t topic = 0;
    const char *what = "open";
    int32_t code = commitlog_options_create(&options);
    if (code == COMMITLOG_OK)
        code = commitlog_options_set(options, COMMITLOG_OPT_ACCESS, COMMITLOG_READ_ONLY, &err);
    if (code == COMMITLOG_OK)
        code = commitlog_open(path, options, &store, &err);
    commitlog_options_free(options);
    if (code == COMMITLOG_OK) {
        what = "topic";
        code = commitlog_topic_open(store, "orders", 6, 0, &topic, &err);
    }
    if (code == COMMITLOG_OK)
        code = commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, offset, &cursor, &err);
    const int failed =
        code == COMMITLOG_OK ? follow(cursor) : complain("consumer", what, code, &err);
    commitlog_cursor_close(cursor);
    code = commitlog_close(store, &err);
    return code == COMMITLOG_OK ? failed : complain("consumer", "close", code, &err);
}

int main(int argc, char **argv)
{
    const char *path = argc > 1 ? argv[1] : "orders.store";
    int ready[2];
    if (pipe(ready) != 0) {
        perror("pipe");
        return 1;
    }
    const pid_t producer = fork();
    if (producer < 0) {
        perror("fork");
        return 1;
    }
    if (producer == 0) {
        close(ready[0]);
        return produce(path, ready[1]);
    }
    close(ready[1]);

    uint64_t offset = 0;
    int failed = 1;
    if (read(ready[0], &offset, sizeof offset) == (ssize_t)sizeof offset)
        failed = consume(path, offset);
    int status = 1;
    if (waitpid(producer, &status, 0) != producer || status != 0)
        failed = 1;
    return failed;
}
