/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latency.c -- how long does one append take when they come at a fixed rate, and how much of the
 * longest ones is the machine's doing?
 *
 * One thread appends on a schedule kept by the clock (support/pace.h), while the engine does in the
 * background what it does: libcommitlog's thread drains, flushes every --flush-ms, prepares and
 * seals segments. With --cold-reader another process reads an old part of the store from the device
 * all the time. `--engine memory` is the control: the same loop copies each record into memory that
 * nobody else sees; what is slow there is the machine.
 *
 * The clock begins after a second of the same without it, and the bytes to disk are counted until
 * the kernel has nothing left to write.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/bench.h"
#include "support/cold.h"
#include "support/direct.h"
#include "support/pace.h"

enum { EXIT_USAGE = 2, MEMORY_BYTES = 4 << 20, OPTIONS_BYTES = 512 };

static char *engine_name;
static double rate = 100000;
static double seconds = 60;
static double warm_seconds = 1;
static int flush_ms = 10;
static char *own_options;
static int cold_reader;
static int cold_mib = 1024;
static int same_cpus;

static const struct poptOption options[] = {
    {"engine", '\0', POPT_ARG_STRING, &engine_name, 0, "the store, or memory: the control", "NAME"},
    {"rate", '\0', POPT_ARG_DOUBLE, &rate, 0, "appends a second (100000)", "N"},
    {"seconds", '\0', POPT_ARG_DOUBLE, &seconds, 0, "how long (60)", "N"},
    {"warm-seconds", '\0', POPT_ARG_DOUBLE, &warm_seconds, 0, "before the clock begins (1)", "N"},
    {"flush-ms", '\0', POPT_ARG_INT, &flush_ms, 0,
     "libcommitlog flushes in the background that often (10)", "N"},
    {"options", '\0', POPT_ARG_STRING, &own_options, 0, "more options of libcommitlog",
     "NAME=VALUE,..."},
    {"cold-reader", '\0', POPT_ARG_NONE, &cold_reader, 0,
     "another process scans the old part of the store (libcommitlog only)", NULL},
    {"cold-mib", '\0', POPT_ARG_INT, &cold_mib, 0, "how large that part is (1024)", "N"},
    {"same-cpus", '\0', POPT_ARG_NONE, &same_cpus, 0,
     "the engine's threads may run on the appender's CPU too", NULL},
    POPT_TABLEEND};

struct run {
    struct bench bench;
    struct bench_engine engine; /* with the setting of this run */
    char setting[2 * OPTIONS_BYTES];
    char store_options[OPTIONS_BYTES];
    uint32_t bytes;
    void (*append)(void *ctx, uint64_t number);
    struct commitlog_store *direct; /* libcommitlog */
    uint32_t topic;
    void *store; /* any other engine */
    void *writer;
    uint8_t *memory; /* the control */
    uint64_t appended;
    json_t *line;
};

static struct pace pace; /* large; used by the appender */

/* ---- what an append is ---- */

static void append_direct(void *ctx, uint64_t number)
{
    struct run *run = ctx;
    int32_t rc = commitlog_append(run->direct, run->topic, 0, bench_body(number, run->bytes),
                                  run->bytes, COMMITLOG_LEVEL_NONE, NULL);
    if (rc != COMMITLOG_OK) {
        direct_need(rc, "append", NULL);
    }
}

static void append_engine(void *ctx, uint64_t number)
{
    struct run *run = ctx;
    const struct bench_engine *engine = &run->engine;
    engine->append(run->writer, 0, number, bench_body(number, run->bytes), run->bytes);
    if ((number + 1) % engine->batch == 0) {
        engine->commit(run->writer);
    }
}

static uint8_t *memory_slot(const struct run *run, uint64_t number)
{
    return run->memory + number % (MEMORY_BYTES / run->bytes) * run->bytes;
}

static void append_memory(void *ctx, uint64_t number)
{
    struct run *run = ctx;
    memcpy(memory_slot(run, number), bench_body(number, run->bytes), run->bytes);
}

/* ---- the stores ---- */

static void control_version(char *out, size_t size)
{
    (void)snprintf(out, size, "none");
}

static const struct bench_engine control = {
    .name = "memory",
    .family = "control",
    .batch = 1,
    .setting =
        "memcpy into 4 MiB of private memory that nobody reads: what the machine itself does",
    .losses = {[BENCH_ASYNC] = {.kill = "everything", .power = "everything"}},
    .version = control_version,
};

static _Noreturn void usage(struct run *run, const char *text)
{
    (void)fprintf(stderr, "latency: %s\n", text);
    bench_end(&run->bench);
    exit(EXIT_USAGE);
}

static void choose_direct(struct run *run, const char *engine_option)
{
    int length = snprintf(run->store_options, sizeof(run->store_options),
                          "engine=%s,flush=async,flush_interval_ms=%d%s%s", engine_option, flush_ms,
                          own_options != NULL ? "," : "", own_options != NULL ? own_options : "");
    if (length >= (int)sizeof(run->store_options)) {
        usage(run, "--options is too long");
    }
    (void)snprintf(run->setting, sizeof(run->setting),
                   "%s; commitlog_append at level none; the library's threads %s",
                   run->store_options,
                   same_cpus || run->bench.unpinned ? "where the kernel puts them"
                                                    : "on the other CPU than the appender");
    run->engine.setting = run->setting;
    run->append = append_direct;
}

static void choose(struct run *run)
{
    const struct bench_engine *engine = bench_engine_find(engine_name);
    const char *engine_option = NULL;
    bool is_control = engine_name != NULL && strcmp(engine_name, control.name) == 0;
    if (engine == NULL && !is_control) {
        usage(run, "there is no engine of this name");
    }
    run->engine = is_control ? control : *engine;
    run->append = is_control ? append_memory : append_engine;
    bool direct = !is_control && direct_is(engine, &engine_option);
    if (direct) {
        choose_direct(run, engine_option);
    } else if (cold_reader || own_options != NULL) {
        usage(run, "--cold-reader and --options are for libcommitlog");
    }
    if (rate <= 0 || seconds <= 0 || warm_seconds < 0 || flush_ms <= 0 || cold_mib <= 0 ||
        run->bytes == 0) {
        usage(run, "a number is out of range");
    }
    run->bench.engine = &run->engine;
}

static void store_open(struct run *run)
{
    struct bench_wanted wanted = bench_wanted(&run->bench);
    if (run->append == append_memory) {
        run->memory = bench_alloc(MEMORY_BYTES);
        memset(run->memory, 1, MEMORY_BYTES);
        return;
    }
    if (run->append == append_engine) {
        run->store = run->engine.open(run->bench.engine, &wanted);
        return;
    }
    if (cold_reader) {
        cold_start(&run->bench, run->store_options, (uint64_t)cold_mib << 20, run->bytes);
    }
    run->direct = direct_open(run->bench.directory, run->store_options);
    run->topic = direct_topic(run->direct, "bench", 1);
    if (cold_reader) {
        cold_go();
    }
}

/* Everything is with the kernel, and what the kernel had to write is written. */
static void store_settle(struct run *run)
{
    int fd = open(run->bench.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (run->direct != NULL) {
        struct commitlog_error err = {.message = ""};
        direct_need(commitlog_sync(run->direct, UINT64_MAX, COMMITLOG_FOREVER, &err), "sync", &err);
    } else if (run->store != NULL) {
        run->engine.commit(run->writer);
        run->engine.drain(run->store);
    }
    if (fd < 0 || syncfs(fd) != 0) {
        bench_die("syncfs: %s", strerror(errno));
    }
    (void)close(fd);
}

struct check {
    const struct run *run;
    uint64_t wrong;
};

static void check_one(void *ctx, uint64_t offset, const void *body, size_t bytes)
{
    struct check *check = ctx;
    bool right = bytes == check->run->bytes &&
                 memcmp(body, bench_body(offset, check->run->bytes), bytes) == 0;
    check->wrong += right ? 0 : 1;
}

static void check_memory(const struct run *run)
{
    uint64_t slots = MEMORY_BYTES / run->bytes;
    for (uint64_t i = run->appended > slots ? run->appended - slots : 0; i < run->appended; i++) {
        if (memcmp(memory_slot(run, i), bench_body(i, run->bytes), run->bytes) != 0) {
            bench_die("record %llu is not what was copied", (unsigned long long)i);
        }
    }
}

static void store_check_and_close(struct run *run)
{
    if (run->direct != NULL) {
        direct_check(run->direct, run->topic, run->appended, run->bytes);
        direct_close(run->direct);
    } else if (run->store != NULL) {
        struct check check = {.run = run};
        uint64_t seen = run->engine.scan(run->store, 0, 0, UINT64_MAX, check_one, &check);
        if (seen != run->appended || check.wrong != 0) {
            bench_die("%llu records of %llu, %llu wrong", (unsigned long long)seen,
                      (unsigned long long)run->appended, (unsigned long long)check.wrong);
        }
        run->engine.close(run->store);
    } else {
        check_memory(run);
        free(run->memory);
    }
}

/* ---- the run ---- */

static void put_cold(const struct run *run, const struct cold_figures *before)
{
    struct cold_figures now = cold_figures();
    double took = (double)pace.wall_ns / (double)BENCH_NS_PER_SECOND;
    bench_put(run->line, "reader_bytes_per_s", (double)(now.bytes - before->bytes) / took);
    bench_put(run->line, "reader_device_bytes_per_s",
              (double)(now.device_bytes - before->device_bytes) / took);
    bench_put_integer(run->line, "reader_passes", now.passes - before->passes);
}

static void *appender_run(void *ctx)
{
    struct run *run = ctx;
    uint64_t warm = (uint64_t)(rate * warm_seconds);
    uint64_t count = (uint64_t)(rate * seconds);
    struct bench_cost cost;
    struct cold_figures cold = {0};
    bench_pin(&run->bench, 0);
    if (run->store != NULL) {
        run->writer = run->engine.writer(run->store, 0);
    }
    pace_run(&pace, rate, 0, warm, run->append, run);
    store_settle(run);
    bench_cost_begin(&run->bench, &cost);
    cold = cold_reader ? cold_figures() : cold;
    pace_run(&pace, rate, warm, count, run->append, run);
    if (cold_reader) {
        put_cold(run, &cold);
        cold_end();
    }
    run->appended = warm + count;
    store_settle(run);
    bench_cost_end(&run->bench, &cost, run->line);
    pace_put(&pace, run->line);
    if (run->store != NULL) {
        run->engine.writer_close(run->writer);
    }
    if (cost.device_bytes != 0 && run->append != append_memory) {
        bench_put(run->line, "disk_bytes_per_byte",
                  (double)cost.device_bytes / ((double)count * run->bytes));
    }
    return NULL;
}

int main(int argc, const char **argv)
{
    static struct run run = {.bench = {.bytes = 1024}};
    pthread_t appender;
    bench_begin(&run.bench, argc, argv, BENCH_HAS_BYTES, options,
                "how long does an append take when they come at a fixed rate?");
    run.bytes = (uint32_t)run.bench.bytes;
    choose(&run);
    run.line = bench_line(&run.bench);
    bench_put(run.line, "rate_per_s", rate);
    bench_put(run.line, "seconds", seconds);
    if (run.append == append_direct) {
        bench_put_integer(run.line, "flush_ms", (uint64_t)flush_ms);
        bench_put_integer(run.line, "cold_bytes", cold_reader ? (uint64_t)cold_mib << 20 : 0);
    }
    if (!same_cpus) {
        bench_pin(&run.bench, 1);
        bench_threads_stay(); /* those that the engine starts */
    }
    store_open(&run);
    bench_need(pthread_create(&appender, NULL, appender_run, &run), "thread");
    bench_need(pthread_join(appender, NULL), "join");
    store_check_and_close(&run);
    bench_end(&run.bench);
    bench_print(run.line);
    return EXIT_SUCCESS;
}
