/*
 * bench_append.c -- rates of appending at level none and durable, and of reading back.
 */
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "watch.h"
#include "when.h"

enum { BENCH_SMALL = 128, BENCH_LARGE = 1024, BENCH_FETCH = 1024, BENCH_THREADS_MAX = 1024 };

static void bench_fill(char *body, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        body[i] = (char)('a' + (i * 7 + i / 26) % 26);
    }
}

/* Appends `count` bodies of `bytes` at level none; *seconds for these calls alone. */
static int bench_append_run(struct bench *bench, struct commitlog_store *store, uint32_t topic,
                            size_t bytes, uint64_t count, double *seconds)
{
    char body[BENCH_LARGE];
    assert(bytes <= sizeof(body));
    bench_fill(body, bytes);
    const double begin = when_clock();
    for (uint64_t i = 0; i < count; i++) {
        const int32_t rc =
            commitlog_append(store, topic, 0, body, bytes, COMMITLOG_LEVEL_NONE, NULL);
        if (rc != COMMITLOG_OK) {
            return bench_fail(bench, rc, NULL);
        }
    }
    *seconds = when_clock() - begin;
    return CLI_DONE;
}

/* One run in a new store, which stays if `keep`. */
static int bench_append_store(struct bench *bench, const char *name, size_t bytes, uint64_t count,
                              bool keep, double *seconds)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    char path[BENCH_PATH];
    uint32_t topic = 0;
    int status = bench_options(bench, 0, &options);
    if (status == CLI_DONE) {
        status = bench_open(bench, name, options, &store);
    }
    commitlog_options_free(options);
    if (status != CLI_DONE) {
        return status;
    }
    status = bench_topic(bench, store, "bench", 1, &topic);
    if (status == CLI_DONE) {
        status = bench_append_run(bench, store, topic, bytes, count, seconds);
    }
    const int closed = bench_close(bench, store);
    if (!keep) {
        bench_path(bench, name, path, sizeof(path));
        bench_remove(path);
    }
    return status != CLI_DONE ? status : closed;
}

static int bench_append_size(struct bench *bench, size_t bytes, uint64_t count, const char *name,
                             double goal)
{
    struct bench_values rates = {.count = 0};
    for (uint64_t run = 0; run < bench->runs && !watch_ended(bench->cli->watch); run++) {
        double seconds = 0;
        const int status = bench_append_store(bench, "append", bytes, count, false, &seconds);
        if (status != CLI_DONE) {
            return status;
        }
        bench_add(&rates, (double)count / seconds);
    }
    if (rates.count > 0) {
        bench_report(bench, name, "records/s", &rates, BENCH_AT_LEAST, goal);
    }
    return CLI_DONE;
}

int bench_append(struct bench *bench)
{
    assert(bench != NULL);
    int status = bench_append_size(bench, BENCH_LARGE, bench->records,
                                   "append 1 KiB, 1 thread, level none", 1.5e6);
    if (status == CLI_DONE) {
        status = bench_append_size(bench, BENCH_SMALL, bench->records * 4,
                                   "append 128 bytes, 1 thread, level none", 5e6);
    }
    return status;
}

/* One pass over the topic; counts what it saw. */
static int bench_read_pass(struct bench *bench, struct commitlog_store *store, uint32_t topic,
                           uint64_t *records, uint64_t *bytes)
{
    struct commitlog_error err = {0};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message *messages = calloc(BENCH_FETCH, sizeof(*messages));
    *records = 0;
    *bytes = 0;
    if (messages == NULL) {
        cli_error(bench->cli, "not enough memory");
        return CLI_CANNOT;
    }
    int32_t rc = commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err);
    while (rc == COMMITLOG_OK) {
        uint32_t count = 0;
        rc = commitlog_cursor_fetch(cursor, messages, BENCH_FETCH, 0, &count, NULL);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            *bytes += messages[i].next_position - messages[i].position;
            (*records)++;
        }
    }
    commitlog_cursor_close(cursor);
    free(messages);
    return rc == COMMITLOG_EEND ? CLI_DONE : bench_fail(bench, rc, &err);
}

static int bench_read_store(struct bench *bench, struct commitlog_store *store)
{
    struct bench_values rates = {.count = 0};
    struct bench_values counts = {.count = 0};
    uint32_t topic = 0;
    int status = bench_topic(bench, store, "bench", 0, &topic);
    for (uint64_t run = 0;
         status == CLI_DONE && run < bench->runs && !watch_ended(bench->cli->watch); run++) {
        uint64_t records;
        uint64_t bytes;
        const double begin = when_clock();
        status = bench_read_pass(bench, store, topic, &records, &bytes);
        const double seconds = when_clock() - begin;
        if (status == CLI_DONE && records != bench->records) {
            cli_error(bench->cli, "%llu records were appended, %llu read back",
                      (unsigned long long)bench->records, (unsigned long long)records);
            status = CLI_NO;
        }
        bench_add(&rates, (double)bytes / seconds / 1e9);
        bench_add(&counts, (double)records / seconds);
    }
    if (status == CLI_DONE && rates.count > 0) {
        bench_report(bench, "read back 1 KiB in order, verified, hot", "GB/s", &rates,
                     BENCH_AT_LEAST, 6);
        bench_report(bench, "  the same in records", "records/s", &counts, BENCH_INFO, 0);
    }
    return status;
}

int bench_read(struct bench *bench)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    double seconds = 0;
    int status = bench_append_store(bench, "read", BENCH_LARGE, bench->records, true, &seconds);
    if (status == CLI_DONE) {
        status = bench_options(bench, 0, &options);
    }
    if (status == CLI_DONE) {
        status = bench_open(bench, "read", options, &store);
    }
    commitlog_options_free(options);
    if (status == CLI_DONE) {
        status = bench_read_store(bench, store);
        const int closed = bench_close(bench, store);
        status = status != CLI_DONE ? status : closed;
    }
    char path[BENCH_PATH];
    bench_path(bench, "read", path, sizeof(path));
    bench_remove(path);
    return status;
}

struct bench_appender {
    struct commitlog_store *store;
    const struct watch *watch; /* its end is ours */
    uint32_t topic;
    uint32_t queue;
    double until; /* on when_clock */
    uint64_t count;
    int32_t rc;
    pthread_t thread;
};

static void *bench_durable_thread(void *argument)
{
    struct bench_appender *appender = argument;
    char body[BENCH_LARGE];
    bench_fill(body, sizeof(body));
    while (appender->rc == COMMITLOG_OK && when_clock() < appender->until &&
           !watch_ended(appender->watch)) {
        appender->rc = commitlog_append(appender->store, appender->topic, appender->queue, body,
                                        sizeof(body), COMMITLOG_LEVEL_DURABLE, NULL);
        appender->count += appender->rc == COMMITLOG_OK ? 1 : 0;
    }
    /* The watch gets the append out of its wait. */
    if (appender->rc != COMMITLOG_OK && watch_ended(appender->watch)) {
        appender->rc = COMMITLOG_OK;
    }
    return NULL;
}

static int bench_durable_run(struct bench *bench, struct commitlog_store *store, uint32_t topic,
                             uint32_t threads, double *rate)
{
    assert(threads > 0 && threads <= BENCH_THREADS_MAX);
    struct bench_appender *all = calloc(threads, sizeof(*all));
    uint32_t started = 0;
    uint64_t count = 0;
    int32_t rc = all == NULL ? COMMITLOG_ENOMEM : COMMITLOG_OK;
    const double begin = when_clock();
    for (; rc == COMMITLOG_OK && started < threads; started++) {
        all[started] = (struct bench_appender){.store = store,
                                               .watch = bench->cli->watch,
                                               .topic = topic,
                                               .queue = started,
                                               .until = begin + (double)bench->seconds};
        if (pthread_create(&all[started].thread, NULL, bench_durable_thread, &all[started]) != 0) {
            rc = COMMITLOG_ELIMIT;
            break;
        }
    }
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(all[i].thread, NULL);
        count += all[i].count;
        rc = rc == COMMITLOG_OK ? all[i].rc : rc;
    }
    *rate = (double)count / (when_clock() - begin);
    free(all);
    return rc == COMMITLOG_OK ? CLI_DONE : bench_fail(bench, rc, NULL);
}

int bench_durable(struct bench *bench)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    uint32_t topic = 0;
    const uint32_t threads = (uint32_t)bench->threads;
    double one = 0;
    double many = 0;
    int status = bench_options(bench, 0, &options);
    if (status == CLI_DONE) {
        status = bench_open(bench, "durable", options, &store);
    }
    commitlog_options_free(options);
    if (status != CLI_DONE) {
        return status;
    }
    status = bench_topic(bench, store, "bench", threads, &topic);
    if (status == CLI_DONE) {
        status = bench_durable_run(bench, store, topic, 1, &one);
    }
    if (status == CLI_DONE) {
        status = bench_durable_run(bench, store, topic, threads, &many);
    }
    if (status == CLI_DONE && !watch_ended(bench->cli->watch)) {
        char name[64];
        bench_report_one(bench, "append 1 KiB, 1 thread, level durable", "records/s", one,
                         BENCH_INFO, 0);
        (void)snprintf(name, sizeof(name), "append 1 KiB, %u threads, level durable", threads);
        bench_report_one(bench, name, "records/s", many, BENCH_INFO, 0);
    }
    const int closed = bench_close(bench, store);
    char path[BENCH_PATH];
    bench_path(bench, "durable", path, sizeof(path));
    bench_remove(path);
    return status != CLI_DONE ? status : closed;
}
