/*
 * bench_queues.c -- very many queues (open files, memory, rate), and the bytes a record costs.
 *
 * The part with the queues runs first: its memory is that of the process.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "watch.h"
#include "when.h"

enum {
    BENCH_QUEUE_BODY = 100,
    BENCH_KEY = 16,
    BENCH_BODY_LEAST = 50, /* 50 to 150 bytes, 100 on average: padding counts as it comes */
    BENCH_BODY_STEPS = 101,
    BENCH_OVERHEAD_SEGMENT = 16 * 1024 * 1024
};

/* Appends `each` records to each of topics x queues, round by round. */
static int bench_queues_append(struct bench *bench, struct commitlog_store *store, uint64_t topics,
                               uint64_t queues, uint64_t each, double *seconds)
{
    char body[BENCH_QUEUE_BODY];
    memset(body, 'q', sizeof(body));
    uint32_t first = 0;
    for (uint64_t t = 0; t < topics; t++) {
        char name[32];
        uint32_t topic = 0;
        (void)snprintf(name, sizeof(name), "topic-%06" PRIu64, t);
        const int status = bench_topic(bench, store, name, (uint32_t)queues, &topic);
        if (status != CLI_DONE) {
            return status;
        }
        first = t == 0 ? topic : first;
    }
    const double begin = when_clock();
    for (uint64_t round = 0; round < each; round++) {
        for (uint64_t t = 0; t < topics; t++) {
            for (uint64_t q = 0; q < queues; q++) {
                const int32_t rc = commitlog_append(store, first + (uint32_t)t, (uint32_t)q, body,
                                                    sizeof(body), COMMITLOG_LEVEL_NONE, NULL);
                if (rc != COMMITLOG_OK) {
                    return bench_fail(bench, rc, NULL);
                }
            }
        }
    }
    *seconds = when_clock() - begin;
    return CLI_DONE;
}

struct bench_queues_result {
    double rate;
    uint64_t files;
    uint64_t memory;
};

static int bench_queues_store(struct bench *bench, uint64_t topics, uint64_t queues, uint64_t each,
                              struct bench_queues_result *result)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    double seconds = 0;
    int status = bench_options(bench, 0, &options);
    if (status == CLI_DONE) {
        status = bench_open(bench, "queues", options, &store);
    }
    commitlog_options_free(options);
    if (status != CLI_DONE) {
        return status;
    }
    status = bench_queues_append(bench, store, topics, queues, each, &seconds);
    if (status == CLI_DONE) {
        /* A look at the far end makes the fold catch up, so that all of it is counted. */
        struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
        const int32_t rc = commitlog_queue_info(store, commitlog_topic_count(store) - 1,
                                                (uint32_t)queues - 1, &info);
        if (rc != COMMITLOG_OK || info.next_offset != each) {
            cli_error(bench->cli, "the last queue does not hold what was appended");
            status = CLI_NO;
        }
    }
    result->rate = (double)(topics * queues * each) / seconds;
    result->files = bench_open_files();
    result->memory = bench_memory_bytes();
    const int closed = bench_close(bench, store);
    char path[BENCH_PATH];
    bench_path(bench, "queues", path, sizeof(path));
    bench_remove(path);
    return status != CLI_DONE ? status : closed;
}

int bench_queues(struct bench *bench)
{
    struct bench_values many = {.count = 0};
    struct bench_values one = {.count = 0};
    struct bench_queues_result result = {0, 0, 0};
    struct bench_queues_result largest = {0, 0, 0};
    for (uint64_t run = 0; run < bench->runs && !watch_ended(bench->cli->watch); run++) {
        int status = bench_queues_store(bench, bench->topics, bench->queues, bench->each, &result);
        if (status != CLI_DONE) {
            return status;
        }
        bench_add(&many, result.rate);
        largest.files = result.files > largest.files ? result.files : largest.files;
        largest.memory = result.memory > largest.memory ? result.memory : largest.memory;
        status =
            bench_queues_store(bench, 1, 1, bench->topics * bench->queues * bench->each, &result);
        if (status != CLI_DONE) {
            return status;
        }
        bench_add(&one, result.rate);
    }
    if (one.count == 0) {
        return CLI_DONE;
    }
    double best_many = 0;
    double best_one = 0;
    for (uint32_t i = 0; i < one.count; i++) {
        best_many = many.values[i] > best_many ? many.values[i] : best_many;
        best_one = one.values[i] > best_one ? one.values[i] : best_one;
    }
    char name[64];
    (void)snprintf(name, sizeof(name), "append 100 bytes in turn to %" PRIu64 " queues",
                   bench->topics * bench->queues);
    bench_report(bench, name, "records/s", &many, BENCH_INFO, 0);
    bench_report(bench, "  the same number to one queue", "records/s", &one, BENCH_INFO, 0);
    bench_report_one(bench, "  times slower", "x", best_one / best_many, BENCH_AT_MOST, 2);
    bench_report_one(bench, "  open files", "files", (double)largest.files, BENCH_AT_MOST, 100);
    bench_report_one(bench, "  anonymous and shared memory", "MiB",
                     (double)largest.memory / 1048576, BENCH_AT_MOST, 300);
    return CLI_DONE;
}

/* Appends records to 8 queues; *bytes: what the user gave, body and key. */
static int bench_overhead_append(struct bench *bench, struct commitlog_store *store, bool key,
                                 uint64_t *bytes)
{
    char body[BENCH_BODY_LEAST + BENCH_BODY_STEPS];
    char text[BENCH_KEY + 1];
    uint32_t topic = 0;
    struct commitlog_error err = {0};
    int status = bench_topic(bench, store, "bench", 8, &topic);
    memset(body, 'o', sizeof(body));
    *bytes = 0;
    for (uint64_t i = 0; status == CLI_DONE && i < bench->records; i++) {
        (void)snprintf(text, sizeof(text), "k%015" PRIu64, i % UINT64_C(1000000000000000));
        const struct commitlog_slice piece = {body, BENCH_BODY_LEAST + i % BENCH_BODY_STEPS};
        const struct commitlog_slice keys = {text, BENCH_KEY};
        const struct commitlog_record record = {
            .struct_bytes = sizeof(record),
            .topic = topic,
            .queue = (uint32_t)(i % 8),
            .level = COMMITLOG_LEVEL_NONE,
            .body = &piece,
            .body_count = 1,
            .keys = key ? &keys : NULL,
            .key_count = key ? 1 : 0,
        };
        const int32_t rc = commitlog_append_record(store, &record, COMMITLOG_FOREVER, NULL, &err);
        if (rc != COMMITLOG_OK) {
            return bench_fail(bench, rc, &err);
        }
        *bytes += piece.bytes + (key ? BENCH_KEY : 0);
    }
    return status;
}

/* Bytes per record beyond what the user gave: in the log and in the files derived from it. */
static int bench_overhead_case(struct bench *bench, bool key, double *overhead)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    uint64_t given = 0;
    int status = bench_options(bench, BENCH_OVERHEAD_SEGMENT, &options);
    if (status == CLI_DONE) {
        status = bench_open(bench, "overhead", options, &store);
    }
    commitlog_options_free(options);
    if (status != CLI_DONE) {
        return status;
    }
    status = bench_overhead_append(bench, store, key, &given);
    struct commitlog_positions positions = {.struct_bytes = sizeof(positions)};
    if (status == CLI_DONE && commitlog_positions_get(store, &positions) != COMMITLOG_OK) {
        status = CLI_CANNOT;
    }
    const int closed = bench_close(bench, store);
    char path[BENCH_PATH];
    bench_path(bench, "overhead/view", path, sizeof(path));
    const uint64_t derived = bench_files_bytes(path);
    bench_path(bench, "overhead", path, sizeof(path));
    bench_remove(path);
    const uint64_t used = positions.claimed - positions.first + derived;
    *overhead = ((double)used - (double)given) / (double)bench->records;
    return status != CLI_DONE ? status : closed;
}

int bench_overhead(struct bench *bench)
{
    double plain = 0;
    double keyed = 0;
    int status = bench_overhead_case(bench, false, &plain);
    if (status == CLI_DONE) {
        status = bench_overhead_case(bench, true, &keyed);
    }
    if (status == CLI_DONE) {
        bench_report_one(bench, "overhead of a record without keys, 8 queues", "bytes", plain,
                         BENCH_AT_MOST, 80);
        bench_report_one(bench, "  more for a key, beside the key's own bytes", "bytes",
                         keyed - plain, BENCH_AT_MOST, 24);
    }
    return status;
}
