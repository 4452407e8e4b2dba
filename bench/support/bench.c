/* SPDX-License-Identifier: BSD-2-Clause */
/* bench.c -- see bench.h. */
#include "support/bench.h"

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_USAGE = 2, SECTOR_BYTES = 512, TREE_FILES = 32 };

void bench_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)fprintf(stderr, "%s: ", program_invocation_short_name);
    (void)vfprintf(stderr, format, arguments);
    (void)fputc('\n', stderr);
    va_end(arguments);
    exit(EXIT_FAILURE);
}

void bench_need(int error, const char *what)
{
    if (error != 0) {
        bench_die("%s: %s", what, strerror(error));
    }
}

void *bench_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes);
    if (memory == NULL) {
        bench_die("no memory for %zu bytes", bytes);
    }
    return memory;
}

/* ---- options ---- */

static void add(struct poptOption *table, unsigned *count, const char *name, unsigned kind,
                void *value, const char *text, const char *unit)
{
    table[(*count)++] = (struct poptOption){name, '\0', kind, value, 0, text, unit};
}

static void check_numbers(const struct bench *bench)
{
    if (bench->bytes < 0 || bench->bytes > BENCH_BODY_MAX || bench->threads < 0 ||
        bench->queues < 0 || bench->batch < 0 || bench->records < 0) {
        (void)fprintf(stderr, "%s: a number is out of range\n", bench->question);
        exit(EXIT_USAGE);
    }
}

static void find_engine(struct bench *bench)
{
    bench->engine = bench_engine_find(bench->engine_name);
    if (bench->engine == NULL || (bench->durable && !bench->engine->durable)) {
        (void)fprintf(stderr, "%s: engine %s: %s; there are:", bench->question, bench->engine_name,
                      bench->engine == NULL ? "there is none of this name" : "not durable");
        for (unsigned i = 0; bench_engines[i] != NULL; i++) {
            (void)fprintf(stderr, " %s", bench_engines[i]->name);
        }
        (void)fputc('\n', stderr);
        exit(EXIT_USAGE);
    }
}

static const char *to_remove; /* of the run under way */
static pid_t to_remove_by;

/* Gigabytes are not left behind by a run that dies; nor removed by a child that does. */
static void remove_at_exit(void)
{
    if (to_remove != NULL && getpid() == to_remove_by) {
        bench_tree_remove(to_remove);
    }
}

void bench_begin(struct bench *bench, int argc, const char **argv, unsigned has,
                 const struct poptOption *more, const char *about)
{
    struct poptOption table[16];
    unsigned count = 0;
    bench->question = program_invocation_short_name;
    if ((has & BENCH_HAS_ENGINE) != 0) {
        add(table, &count, "engine", POPT_ARG_STRING, &bench->engine_name, "the store", "NAME");
    }
    add(table, &count, "directory", POPT_ARG_STRING, &bench->below,
        "where a directory for the run is made (default /tmp)", "DIR");
    if ((has & BENCH_HAS_RECORDS) != 0) {
        add(table, &count, "records", POPT_ARG_LONGLONG, &bench->records, "how many", "N");
    }
    if ((has & BENCH_HAS_BYTES) != 0) {
        add(table, &count, "bytes", POPT_ARG_INT, &bench->bytes, "of each record", "N");
    }
    if ((has & BENCH_HAS_THREADS) != 0) {
        add(table, &count, "threads", POPT_ARG_INT, &bench->threads, "that append", "N");
    }
    if ((has & BENCH_HAS_QUEUES) != 0) {
        add(table, &count, "queues", POPT_ARG_INT, &bench->queues, "in turn", "N");
    }
    if ((has & BENCH_HAS_BATCH) != 0) {
        add(table, &count, "batch", POPT_ARG_INT, &bench->batch,
            "records in a transaction or batch (0: what the engine's variant is about)", "N");
    }
    if ((has & BENCH_HAS_DURABLE) != 0) {
        add(table, &count, "durable", POPT_ARG_NONE, &bench->durable,
            "each commit is on the disk when it returns", NULL);
    }
    add(table, &count, "unpinned", POPT_ARG_NONE, &bench->unpinned, "threads may move between CPUs",
        NULL);
    if (more != NULL) {
        table[count++] = (struct poptOption){
            NULL, '\0', POPT_ARG_INCLUDE_TABLE, (void *)(uintptr_t)more, 0, "Of this question:",
            NULL};
    }
    table[count++] = (struct poptOption){
        NULL, '\0', POPT_ARG_INCLUDE_TABLE, poptHelpOptions, 0, "Help options:", NULL};
    table[count] = (struct poptOption){NULL, '\0', 0, NULL, 0, NULL, NULL};
    poptContext context = poptGetContext(bench->question, argc, argv, table, 0);
    poptSetOtherOptionHelp(context, about);
    int code = poptGetNextOpt(context);
    if (code != -1 || poptPeekArg(context) != NULL) {
        (void)fprintf(stderr, "%s: %s\n", bench->question,
                      code != -1 ? poptStrerror(code) : "there are options only");
        exit(EXIT_USAGE);
    }
    poptFreeContext(context);
    check_numbers(bench);
    if ((has & BENCH_HAS_ENGINE) != 0) {
        find_engine(bench);
    }
    int length = snprintf(bench->directory, sizeof(bench->directory), "%s/commitlog-%s-XXXXXX",
                          bench->below != NULL ? bench->below : "/tmp", bench->question);
    if (length < 0 || (size_t)length >= sizeof(bench->directory) ||
        mkdtemp(bench->directory) == NULL) {
        bench_die("%s: cannot make a directory: %s", bench->directory, strerror(errno));
    }
    to_remove = bench->directory;
    to_remove_by = getpid();
    bench_need(atexit(remove_at_exit), "atexit");
}

void bench_usage(const struct bench *bench, const char *text)
{
    (void)fprintf(stderr, "%s: %s\n", bench->question, text);
    bench_tree_remove(bench->directory);
    exit(EXIT_USAGE);
}

void bench_end(struct bench *bench)
{
    bench_tree_remove(bench->directory);
    to_remove = NULL;
}

struct bench_wanted bench_wanted(const struct bench *bench)
{
    return (struct bench_wanted){
        .directory = bench->directory,
        .promise = bench->durable ? BENCH_DURABLE : BENCH_ASYNC,
        .records = (uint64_t)bench->records,
        .bytes = (uint32_t)bench->bytes,
        .threads = bench->threads > 0 ? (uint32_t)bench->threads : 1,
        .queues = bench->queues > 0 ? (uint32_t)bench->queues : 1,
        .topics = 1,
        .batch = bench->engine != NULL ? bench_batch(bench) : 1,
    };
}

uint32_t bench_batch(const struct bench *bench)
{
    return bench->batch > 0 ? (uint32_t)bench->batch : bench->engine->batch;
}

const struct bench_engine *bench_engine_find(const char *name)
{
    for (unsigned i = 0; name != NULL && bench_engines[i] != NULL; i++) {
        if (strcmp(bench_engines[i]->name, name) == 0) {
            return bench_engines[i];
        }
    }
    return NULL;
}

/* ---- the line ---- */

void bench_put_text(json_t *line, const char *name, const char *text)
{
    bench_need(json_object_set_new(line, name, json_string(text)) == 0 ? 0 : ENOMEM, name);
}

void bench_put(json_t *line, const char *name, double value)
{
    bench_need(json_object_set_new(line, name, json_real(value)) == 0 ? 0 : EINVAL, name);
}

void bench_put_integer(json_t *line, const char *name, uint64_t value)
{
    bench_need(json_object_set_new(line, name, json_integer((json_int_t)value)) == 0 ? 0 : ENOMEM,
               name);
}

static void put_number(json_t *line, const char *name, long long value)
{
    if (value > 0) {
        bench_put_integer(line, name, (uint64_t)value);
    }
}

json_t *bench_line(const struct bench *bench)
{
    json_t *line = json_object();
    char version[128] = "";
    bench_put_text(line, "question", bench->question);
    if (bench->engine != NULL) {
        const struct bench_engine *engine = bench->engine;
        const struct bench_losses *losses =
            &engine->losses[bench->durable ? BENCH_DURABLE : BENCH_ASYNC];
        engine->version(version, sizeof(version));
        bench_put_text(line, "engine", engine->name);
        bench_put_text(line, "family", engine->family);
        bench_put_text(line, "version", version);
        bench_put_text(line, "setting", engine->setting);
        bench_put_text(line, "lost_at_kill", losses->kill);
        bench_put_text(line, "lost_at_power_cut", losses->power);
        bench_put_integer(line, "batch", bench_batch(bench));
        bench_need(json_object_set_new(line, "verifies", json_boolean(engine->verifies)), "JSON");
        bench_put_text(line, "promise", bench->durable ? "durable" : "async");
    }
    put_number(line, "records", bench->records);
    put_number(line, "bytes", bench->bytes);
    put_number(line, "threads", bench->threads);
    put_number(line, "queues", bench->queues);
    return line;
}

void bench_print(json_t *line)
{
    bench_need(json_dumpf(line, stdout, JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(6)) == 0 ? 0
                                                                                           : EIO,
               "standard output");
    (void)putchar('\n');
    json_decref(line);
    bench_need(fflush(stdout) == 0 ? 0 : errno, "standard output");
}

/* ---- clocks, threads, bodies ---- */

uint64_t bench_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * BENCH_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

void bench_pin(const struct bench *bench, uint32_t thread)
{
    static cpu_set_t allowed; /* as the process was started, before the first pin */
    if (bench->unpinned) {
        return;
    }
    if (CPU_COUNT(&allowed) == 0 && sched_getaffinity(0, sizeof(allowed), &allowed) != 0) {
        bench_die("sched_getaffinity: %s", strerror(errno));
    }
    uint32_t number = thread % (uint32_t)CPU_COUNT(&allowed);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && number-- == 0) {
            CPU_SET(cpu, &one);
            break;
        }
    }
    bench_need(pthread_setaffinity_np(pthread_self(), sizeof(one), &one), "pin a thread");
}

struct pinned {
    const struct bench *bench;
    void (*work)(void *ctx);
    void *ctx;
};

static void *pinned_run(void *at)
{
    const struct pinned *pinned = at;
    bench_pin(pinned->bench, 0);
    pinned->work(pinned->ctx);
    return NULL;
}

void bench_run_pinned(const struct bench *bench, void (*work)(void *ctx), void *ctx)
{
    pthread_t id;
    struct pinned pinned = {bench, work, ctx};
    bench_need(pthread_create(&id, NULL, pinned_run, &pinned), "thread");
    bench_need(pthread_join(id, NULL), "join");
}

static uint8_t pool[BENCH_POOL_BYTES + BENCH_BODY_MAX];

static void pool_fill(void)
{
    uint64_t state = UINT64_C(0x9e3779b97f4a7c15);
    for (size_t i = 0; i < sizeof(pool); i += sizeof(state)) {
        state ^= state << 13; /* xorshift64, G. Marsaglia, 2003 */
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(&pool[i], &state, sizeof(state));
    }
}

const uint8_t *bench_body(uint64_t i, uint32_t bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, pool_fill);
    if (bytes > BENCH_BODY_MAX) {
        bench_die("a body of %u bytes", bytes);
    }
    /* An odd step of words walks through all places before one comes again. */
    return &pool[i * (8 * 4099) % BENCH_POOL_BYTES];
}

/* ---- costs ---- */

static uint64_t cpu_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * BENCH_NS_PER_SECOND + (uint64_t)now.tv_nsec;
}

/* False: the file system has no block device of its own (tmpfs, btrfs, overlay). */
static bool device_now(const struct bench *bench, uint64_t *bytes)
{
    struct stat status;
    char path[64];
    unsigned long long sectors = 0;
    if (stat(bench->directory, &status) != 0) {
        return false;
    }
    (void)snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/stat", major(status.st_dev),
                   minor(status.st_dev));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    /* Reads, merged, sectors, ticks; the same for writes: the seventh word. */
    bool known = fscanf(file, "%*u %*u %*u %*u %*u %*u %llu", &sectors) == 1;
    (void)fclose(file);
    *bytes = (uint64_t)sectors * SECTOR_BYTES;
    return known;
}

void bench_cost_begin(const struct bench *bench, struct bench_cost *cost)
{
    for (unsigned i = 0; i < BENCH_SYNCS; i++) {
        cost->syncs[i] = bench_syncs((enum bench_sync)i);
    }
    if (!device_now(bench, &cost->device_bytes)) {
        cost->device_bytes = 0;
    }
    cost->cpu_ns = cpu_now_ns();
    cost->wall_ns = bench_now_ns();
}

void bench_cost_end(const struct bench *bench, struct bench_cost *cost, json_t *line)
{
    static const char *const names[BENCH_SYNCS] = {"fsyncs", "fdatasyncs", "msyncs", "ranges"};
    uint64_t device_bytes = 0;
    cost->wall_ns = bench_now_ns() - cost->wall_ns;
    cost->cpu_ns = cpu_now_ns() - cost->cpu_ns;
    bench_put_integer(line, "wall_ns", cost->wall_ns);
    bench_put_integer(line, "cpu_ns", cost->cpu_ns);
    for (unsigned i = 0; i < BENCH_SYNCS; i++) {
        cost->syncs[i] = bench_syncs((enum bench_sync)i) - cost->syncs[i];
        bench_put_integer(line, names[i], cost->syncs[i]);
    }
    if (device_now(bench, &device_bytes)) {
        cost->device_bytes = device_bytes - cost->device_bytes;
        bench_put_integer(line, "device_bytes", cost->device_bytes);
    }
}

/* ---- directories ---- */

static _Thread_local uint64_t tree_bytes;

static int tree_count(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)path;
    (void)place;
    tree_bytes += kind == FTW_F ? (uint64_t)status->st_blocks * SECTOR_BYTES : 0;
    return 0;
}

static int tree_drop(const char *path, const struct stat *status, int kind, struct FTW *place)
{
    (void)status;
    (void)kind;
    (void)place;
    return remove(path);
}

uint64_t bench_tree_bytes(const char *directory)
{
    tree_bytes = 0;
    (void)nftw(directory, tree_count, TREE_FILES, FTW_PHYS | FTW_MOUNT);
    return tree_bytes;
}

void bench_tree_remove(const char *directory)
{
    (void)nftw(directory, tree_drop, TREE_FILES, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
