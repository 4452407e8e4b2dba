/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * durable.c -- how many appends a second, each on the disk when it is acknowledged, and how long
 * does each wait?
 *
 * Every thread appends to a queue of its own and waits for each commit (--batch records; one, if
 * nobody says otherwise) before it goes on. A warm-up in the same store comes first and is not
 * counted; what is counted ends after --seconds or --records, whichever is sooner. Afterwards every
 * record that was acknowledged, those of the warm-up too, is read back and compared.
 *
 * An engine that prepares its files ahead can be asked for a state of them (--space):
 *   new      the store as it was created;
 *   ready    a file that was prepared, and the next one too: with --records and --segment-bytes
 *            such that the run ends in it, nothing is prepared while the clock runs;
 *   steady   a file that was prepared, and the following ones are prepared while it is filled:
 *            with records for four segments, what a store sustains.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engines/engines.h"
#include "support/bench.h"
#include "support/check.h"
#include "support/histogram.h"

enum { NUMBERS_APART = 7919, WARM_UP_SHARE = 8, MS_PER_SECOND = 1000 };

struct options {
    double seconds;
    int warm_up_ms;
    long long segment_bytes;
    char *space_name;
    enum bench_space space;
};

/* One stretch of the run, by all threads. */
struct stretch {
    pthread_barrier_t barrier;
    uint64_t records; /* by all threads together, at most */
    uint64_t until_ns;
};

struct appender {
    pthread_t id;
    const struct bench *bench;
    void *store;
    uint32_t thread;
    struct stretch *stretch;
    uint64_t next; /* offset in its queue: what was acknowledged ends there */
    struct histogram latencies;
};

/* The bodies of two threads differ. */
static uint64_t first_number(uint32_t thread)
{
    return (uint64_t)thread * NUMBERS_APART;
}

static void append_batch(struct appender *appender, void *writer, uint32_t count)
{
    const struct bench *bench = appender->bench;
    uint32_t bytes = (uint32_t)bench->bytes;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = appender->next + i;
        bench->engine->append(writer, appender->thread, offset,
                              bench_body(first_number(appender->thread) + offset, bytes), bytes);
    }
    bench->engine->commit(writer);
    appender->next += count;
}

static void append_until(struct appender *appender, void *writer)
{
    const struct stretch *stretch = appender->stretch;
    uint32_t threads = bench_wanted(appender->bench).threads;
    uint32_t batch = bench_batch(appender->bench);
    uint64_t end = appender->next + stretch->records / threads;
    uint64_t now = bench_now_ns();
    while (appender->next < end && now < stretch->until_ns) {
        uint64_t began = now;
        append_batch(appender, writer, batch);
        now = bench_now_ns();
        histogram_add(&appender->latencies, now - began);
    }
}

static void *appender_run(void *at)
{
    struct appender *appender = at;
    const struct bench_engine *engine = appender->bench->engine;
    pthread_barrier_t *barrier = &appender->stretch->barrier;
    bench_pin(appender->bench, appender->thread);
    void *writer = engine->writer(appender->store, appender->thread);
    (void)pthread_barrier_wait(barrier); /* all are there */
    (void)pthread_barrier_wait(barrier); /* the clock runs */
    append_until(appender, writer);
    (void)pthread_barrier_wait(barrier); /* all are done */
    engine->writer_close(writer);
    return NULL;
}

static uint64_t acknowledged(const struct appender *appenders, uint32_t threads)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < threads; i++) {
        count += appenders[i].next;
    }
    return count;
}

/* How many records were acknowledged in it. */
static uint64_t run(const struct bench *bench, struct appender *appenders, uint64_t records,
                    uint64_t ns, struct bench_cost *cost, json_t *line)
{
    uint32_t threads = bench_wanted(bench).threads;
    struct stretch stretch = {.records = records};
    uint64_t before = acknowledged(appenders, threads);
    bench_need(pthread_barrier_init(&stretch.barrier, NULL, threads + 1), "barrier");
    for (uint32_t i = 0; i < threads; i++) {
        appenders[i].stretch = &stretch;
        appenders[i].latencies = (struct histogram){.total = 0};
        bench_need(pthread_create(&appenders[i].id, NULL, appender_run, &appenders[i]), "thread");
    }
    (void)pthread_barrier_wait(&stretch.barrier);
    bench_cost_begin(bench, cost);
    stretch.until_ns = cost->wall_ns + ns;
    (void)pthread_barrier_wait(&stretch.barrier);
    (void)pthread_barrier_wait(&stretch.barrier);
    bench_cost_end(bench, cost, line);
    for (uint32_t i = 0; i < threads; i++) {
        bench_need(pthread_join(appenders[i].id, NULL), "join");
    }
    (void)pthread_barrier_destroy(&stretch.barrier);
    return acknowledged(appenders, threads) - before;
}

/* Files that libcommitlog went over to, and those of them that an append had to make itself. */
struct segments {
    uint64_t begun;
    uint64_t late;
};

static bool segments_now(const struct bench *bench, void *store, struct segments *out)
{
    struct commitlog_store *commitlog = bench_commitlog_store(bench->engine, store);
    if (commitlog == NULL) {
        return false;
    }
    out->late = bench_commitlog_stat(commitlog, "segments_made_late");
    out->begun = bench_commitlog_stat(commitlog, "segments_made_ahead") + out->late;
    return true;
}

static void put_figures(const struct bench *bench, const struct appender *appenders,
                        uint64_t records, const struct bench_cost *cost, json_t *line)
{
    struct histogram *all = bench_alloc(sizeof(*all));
    double each = 1.0 / (double)(records > 0 ? records : 1);
    double per_s = (double)BENCH_NS_PER_SECOND / (double)cost->wall_ns;
    double flushes = (double)(cost->syncs[BENCH_FSYNC] + cost->syncs[BENCH_FDATASYNC] +
                              cost->syncs[BENCH_MSYNC]);
    for (uint32_t i = 0; i < bench_wanted(bench).threads; i++) {
        histogram_merge(all, &appenders[i].latencies);
    }
    bench_put_integer(line, "records", records);
    bench_put(line, "ns", (double)cost->wall_ns * each);
    bench_put(line, "cpu_ns_each", (double)cost->cpu_ns * each);
    bench_put(line, "records_per_s", (double)records * per_s);
    /* fsync, fdatasync and msync; files that are opened with O_DSYNC need none. */
    bench_put(line, "flushes_each", flushes * each);
    bench_put(line, "flushes_per_s", flushes * per_s);
    if (cost->device_bytes != 0) {
        bench_put(line, "device_bytes_each", (double)cost->device_bytes * each);
    }
    histogram_put(all, line); /* of commits */
    free(all);
}

static void durable(const struct bench *bench, const struct options *options, json_t *line)
{
    struct bench_wanted wanted = bench_wanted(bench);
    uint64_t warm_up = wanted.records / WARM_UP_SHARE;
    struct appender *appenders = bench_alloc(wanted.threads * sizeof(*appenders));
    struct bench_cost cost;
    struct segments before = {0};
    struct segments after = {0};
    json_t *unwanted = json_object();
    wanted.records += warm_up;
    wanted.segment_bytes = (uint64_t)options->segment_bytes;
    wanted.space = options->space;
    void *store = bench->engine->open(bench->engine, &wanted);
    for (uint32_t i = 0; i < wanted.threads; i++) {
        appenders[i] = (struct appender){.bench = bench, .store = store, .thread = i};
    }
    (void)run(bench, appenders, warm_up,
              (uint64_t)options->warm_up_ms * (BENCH_NS_PER_SECOND / MS_PER_SECOND), &cost,
              unwanted);
    json_decref(unwanted);
    bool told = segments_now(bench, store, &before);
    uint64_t records = run(bench, appenders, (uint64_t)bench->records,
                           (uint64_t)(options->seconds * (double)BENCH_NS_PER_SECOND), &cost, line);
    if (told && segments_now(bench, store, &after)) {
        bench_put_integer(line, "segments_begun", after.begun - before.begun);
        bench_put_integer(line, "segments_late", after.late - before.late);
    }
    put_figures(bench, appenders, records, &cost, line);
    for (uint32_t i = 0; i < wanted.threads; i++) {
        bench_check_queue(bench, store, i, first_number(i), appenders[i].next);
    }
    bench->engine->close(store);
    free(appenders);
}

static const char *const space_names[] = {
    [BENCH_SPACE_NEW] = "new", [BENCH_SPACE_STEADY] = "steady", [BENCH_SPACE_READY] = "ready"};

/* False: a bad argument, and it was said. */
static bool options_make_sense(const struct bench *bench, struct options *options)
{
    unsigned space = BENCH_SPACE_NEW;
    const char *name = options->space_name != NULL ? options->space_name : space_names[space];
    while (space <= BENCH_SPACE_READY && strcmp(space_names[space], name) != 0) {
        space++;
    }
    options->space = (enum bench_space)space;
    bool prepares =
        bench->engine->prepares || (options->space_name == NULL && options->segment_bytes == 0);
    bool right = space <= BENCH_SPACE_READY && options->seconds > 0 && options->warm_up_ms >= 0 &&
                 options->segment_bytes >= 0 && bench->records > 0;
    if (!right || !prepares) {
        (void)fprintf(stderr, "durable: %s\n",
                      right ? "--space and --segment-bytes are not for this engine"
                            : "a number or --space is out of range");
    }
    return right && prepares;
}

int main(int argc, const char **argv)
{
    struct bench bench = {.records = 250000, .bytes = 1024, .threads = 1, .batch = 1, .durable = 1};
    struct options options = {.seconds = 5, .warm_up_ms = 500};
    const struct poptOption more[] = {
        {"seconds", '\0', POPT_ARG_DOUBLE, &options.seconds, 0, "after which it ends", "S"},
        {"warm-up-ms", '\0', POPT_ARG_INT, &options.warm_up_ms, 0,
         "before the clock runs; an eighth of --records at most", "MS"},
        {"space", '\0', POPT_ARG_STRING, &options.space_name, 0,
         "what is appended to: new, steady or ready", "STATE"},
        {"segment-bytes", '\0', POPT_ARG_LONGLONG, &options.segment_bytes, 0,
         "of a file of the engine (0: its own default)", "N"},
        POPT_TABLEEND};
    bench_begin(&bench, argc, argv,
                BENCH_HAS_ENGINE | BENCH_HAS_RECORDS | BENCH_HAS_BYTES | BENCH_HAS_THREADS |
                    BENCH_HAS_BATCH,
                more, "how many appends a second that are on the disk when they return?");
    bench.queues = bench.threads;
    if (!options_make_sense(&bench, &options)) {
        bench_end(&bench);
        return 2;
    }
    json_t *line = bench_line(&bench);
    if (bench.engine->prepares) {
        bench_need(json_object_set_new(line, "space", json_string(space_names[options.space])),
                   "JSON");
        bench_put_integer(line, "segment_bytes", (uint64_t)options.segment_bytes);
    }
    durable(&bench, &options, line);
    bench_put_integer(line, "disk_bytes", bench_tree_bytes(bench.directory));
    bench_end(&bench);
    bench_print(line);
    return EXIT_SUCCESS;
}
