/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keys.c -- how long does it take to find one record by its key, over many segments?
 *
 * libcommitlog only, through commitlog.h. Of the others only RocketMQ's store finds the records of
 * a log by keys that they carry; its index is not asked here. A look-up is a cursor opened, its
 * first message fetched, the cursor closed. Disk: about 205 bytes for each record of 100 bytes and
 * its key, so 100 million records take 21 GB.
 *
 * After the fill the store is closed, taken out of the page cache, and opened. `first` are the keys
 * asked for then; `hot` the same ones again, in the same order, which is the worst for a cache they
 * do not fit; `absent` are keys that no record has, each asked for the second time. An absent key
 * costs every segment one look into its index: asked for with a time that only the newest records
 * have, it costs one, and the difference of the medians is what a segment costs.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engines/engines.h"
#include "support/bench.h"
#include "support/child.h"
#include "support/histogram.h"
#include "support/keyed.h"
#include "support/machine.h"

enum {
    SEGMENTS = 100,
    RECORD_EXTRA_BYTES = 68, /* header 48, a key of 16 with its 3; padding of 1, of 100 bytes */
    SEGMENT_LEAST_BYTES = 64 * 1024,
    EXIT_USAGE = 2
};

struct keys {
    struct bench bench;
    long long samples;
    long long segment_bytes;
    struct filled {
        uint64_t ns;
        int64_t last_time_ns;
    } * filled; /* shared with the child that fills */
};

static void child_fills(void *ctx)
{
    const struct keys *run = ctx;
    struct keyed keyed;
    struct commitlog_receipt receipt = {.position = 0};
    bench_pin(&run->bench, 0);
    keyed_open(&keyed, run->bench.directory, (uint64_t)run->segment_bytes,
               (uint32_t)run->bench.bytes);
    uint64_t began = bench_now_ns();
    for (uint64_t i = 0; i < (uint64_t)run->bench.records; i++) {
        receipt = keyed_append(&keyed, i, COMMITLOG_LEVEL_NONE);
    }
    run->filled->ns = bench_now_ns() - began;
    run->filled->last_time_ns = receipt.store_time_ns;
    keyed_settle(&keyed);
    keyed_close(&keyed);
}

/* Of the files in view/ whose names end so. */
static uint64_t view_bytes(const struct bench *bench, const char *suffix)
{
    char path[BENCH_PATH_MAX + 300];
    uint64_t bytes = 0;
    (void)snprintf(path, sizeof(path), "%s/view", bench->directory);
    DIR *directory = opendir(path);
    if (directory == NULL) {
        bench_die("%s: %s", path, strerror(errno));
    }
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat status;
        const char *dot = strrchr(entry->d_name, '.');
        (void)snprintf(path, sizeof(path), "%s/view/%s", bench->directory, entry->d_name);
        if (dot != NULL && strcmp(dot, suffix) == 0 && stat(path, &status) == 0) {
            bytes += (uint64_t)status.st_size;
        }
    }
    (void)closedir(directory);
    return bytes;
}

/* Asks for all of them once. */
static void pass(const struct keys *run, const struct keyed *keyed, const uint64_t *wanted,
                 int64_t since_ns, bool there, struct histogram *out)
{
    memset(out, 0, sizeof(*out));
    for (uint64_t i = 0; i < (uint64_t)run->samples; i++) {
        histogram_add(out, keyed_find(keyed, wanted[i], since_ns, there));
    }
}

static void look_up(const struct keys *run, const struct keyed *keyed, json_t *line)
{
    static struct histogram times;
    uint64_t samples = (uint64_t)run->samples;
    uint64_t *there = bench_alloc(samples * sizeof(*there));
    uint64_t *missing = bench_alloc(samples * sizeof(*missing));
    uint64_t state = UINT64_C(0x2545f4914f6cdd1d);
    for (uint64_t i = 0; i < samples; i++) {
        there[i] = keyed_random(&state) % (uint64_t)run->bench.records;
        missing[i] = (uint64_t)run->bench.records + keyed_random(&state) / 2;
    }
    pass(run, keyed, there, INT64_MIN, true, &times);
    histogram_put_as(&times, line, "first_");
    pass(run, keyed, there, INT64_MIN, true, &times);
    histogram_put_as(&times, line, "hot_");
    bench_put_integer(line, "ns", histogram_at(&times, 0.5));
    pass(run, keyed, missing, INT64_MIN, false, &times);
    pass(run, keyed, missing, INT64_MIN, false, &times);
    histogram_put_as(&times, line, "absent_");
    uint64_t absent_ns = histogram_at(&times, 0.5);
    pass(run, keyed, missing, run->filled->last_time_ns, false, &times);
    histogram_put_as(&times, line, "absent_newest_");
    uint64_t newest_ns = histogram_at(&times, 0.5);
    uint64_t segments = keyed_stat(keyed, "segments");
    bench_put_integer(line, "segments", segments);
    if (segments > 1) {
        bench_put(line, "segment_ns",
                  ((double)absent_ns - (double)newest_ns) / (double)(segments - 1));
    }
    free(there);
    free(missing);
}

static void begin(struct keys *run, int argc, const char **argv)
{
    const struct poptOption more[] = {{"samples", '\0', POPT_ARG_LONGLONG, &run->samples, 0,
                                       "keys that are asked for (10000)", "N"},
                                      {"segment-bytes", '\0', POPT_ARG_LONGLONG,
                                       &run->segment_bytes, 0,
                                       "of each segment (0: so that there are about 100)", "N"},
                                      POPT_TABLEEND};
    bench_begin(&run->bench, argc, argv, BENCH_HAS_RECORDS | BENCH_HAS_BYTES, more,
                "how long does it take to find one record by its key, over many segments?");
    if (run->samples <= 0 || run->bench.records <= 0 || run->segment_bytes < 0) {
        (void)fprintf(stderr, "%s: a number is out of range\n", run->bench.question);
        exit(EXIT_USAGE);
    }
    if (run->segment_bytes == 0) {
        long long each = (run->bench.bytes + RECORD_EXTRA_BYTES) * run->bench.records / SEGMENTS;
        run->segment_bytes = (each / SEGMENT_LEAST_BYTES + 1) * SEGMENT_LEAST_BYTES;
    }
    run->bench.engine = &bench_engine_commitlog;
    run->filled = bench_shared(sizeof(*run->filled));
}

int main(int argc, const char **argv)
{
    static struct keys run = {.bench = {.records = 1000000, .bytes = 100, .threads = 1},
                              .samples = 10000};
    struct keyed keyed;
    begin(&run, argc, argv);
    json_t *line = bench_line(&run.bench);
    bench_child(BENCH_CHILD_EXITS, child_fills, &run);
    bench_pin(&run.bench, 0);
    bench_put_integer(line, "segment_bytes", (uint64_t)run.segment_bytes);
    bench_put(line, "append_ns", (double)run.filled->ns / (double)run.bench.records);
    bench_put_integer(line, "disk_bytes", bench_tree_bytes(run.bench.directory));
    bench_put(line, "key_file_bytes_each",
              (double)view_bytes(&run.bench, ".key") / (double)run.bench.records);
    bench_put_integer(line, "cached_bytes", machine_evict(run.bench.directory));
    keyed_open(&keyed, run.bench.directory, 0, (uint32_t)run.bench.bytes);
    look_up(&run, &keyed, line);
    keyed_close(&keyed);
    bench_end(&run.bench);
    bench_print(line);
    return EXIT_SUCCESS;
}
