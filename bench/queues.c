/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queues.c -- what do many queues cost: to append to them in turn, to read each of them, to hold,
 * to open?
 *
 * The same number of records goes into a store with one queue (one_ns) and into one with --queues,
 * spread over --topics; both clocks run until the kernel has it all (`drain`). Then each queue is
 * read in order: right after (read_first_ns), and again (read_ns). The store is closed and opened,
 * and every byte of every queue compared.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/bench.h"
#include "support/machine.h"
#include "support/passes.h"
#include "support/reading.h"

enum { PASSES = 3, RECORD_OVERHEAD_BYTES = 128 };

struct run {
    const struct bench *bench;
    const struct bench_engine *engine;
    struct bench_wanted wanted;
    void *store;
    uint32_t step; /* from one queue to the next that is appended to */
    int topics;
    int passes;
    int scattered;
    json_t *line; /* gets what the appends cost; NULL: they are the ones beside it */
    uint64_t ns;  /* of the last piece of work */
    bench_visit visit;
    struct reading seen;
    struct reading expected;
};

/* The queues in turn: each gets its next record when all have got as many, and the last ones may
 * have one less. */
static uint64_t records_of(const struct run *run, uint64_t turn)
{
    return (run->wanted.records + run->wanted.queues - 1 - turn) / run->wanted.queues;
}

static uint32_t next_queue(const struct run *run, uint32_t queue)
{
    uint64_t next = (uint64_t)queue + run->step;
    return (uint32_t)(next < run->wanted.queues ? next : next - run->wanted.queues);
}

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* In order, or in steps of the golden section, which are far apart and meet all of them. */
static uint32_t step_of(uint32_t queues, bool scattered)
{
    static const double golden = 0.6180339887498949;
    uint32_t step = scattered ? (uint32_t)((double)queues * golden) : 1;
    while (step > 1 && common_divisor(step, queues) != 1) {
        step--;
    }
    return step > 0 ? step : 1;
}

static void append_all(void *ctx)
{
    struct run *run = ctx;
    const struct bench_engine *engine = run->engine;
    struct bench_cost cost;
    uint32_t bytes = run->wanted.bytes;
    uint32_t queue = 0;
    uint32_t in_turn = 0;
    uint32_t in_batch = 0;
    uint64_t offset = 0;
    void *writer = engine->writer(run->store, 0);
    bench_cost_begin(run->bench, &cost);
    for (uint64_t i = 0; i < run->wanted.records; i++) {
        engine->append(writer, queue, offset,
                       bench_body(offset * run->wanted.queues + queue, bytes), bytes);
        if (++in_batch == run->wanted.batch) {
            engine->commit(writer);
            in_batch = 0;
        }
        queue = next_queue(run, queue);
        if (++in_turn == run->wanted.queues) {
            in_turn = 0;
            offset++;
        }
    }
    engine->commit(writer);
    engine->drain(run->store);
    bench_cost_end(run->bench, &cost, run->line);
    engine->writer_close(writer);
    run->ns = cost.wall_ns;
}

static void read_all(void *ctx)
{
    struct run *run = ctx;
    uint32_t queue = 0;
    uint64_t begin = bench_now_ns();
    for (uint32_t turn = 0; turn < run->wanted.queues; turn++) {
        run->seen.queue = queue;
        run->seen.next = 0;
        uint64_t records =
            run->engine->scan(run->store, queue, 0, UINT64_MAX, run->visit, &run->seen);
        if (records != records_of(run, turn)) {
            bench_die("%s: queue %u has %llu records of %llu", run->engine->name, queue,
                      (unsigned long long)records, (unsigned long long)records_of(run, turn));
        }
        queue = next_queue(run, queue);
    }
    run->ns = bench_now_ns() - begin;
}

static void expect(struct run *run)
{
    uint32_t queue = 0;
    run->expected = (struct reading){.queues = run->wanted.queues, .bytes = run->wanted.bytes};
    for (uint32_t turn = 0; turn < run->wanted.queues; turn++) {
        run->expected.queue = queue;
        reading_expect(&run->expected, records_of(run, turn));
        queue = next_queue(run, queue);
    }
}

static double read_once(struct run *run, bench_visit visit)
{
    struct passes pass = {.count = 0};
    run->visit = visit;
    run->seen = (struct reading){.queues = run->wanted.queues, .bytes = run->wanted.bytes};
    bench_run_pinned(run->bench, read_all, run);
    if (visit == reading_touch) {
        reading_check(&run->seen, &run->expected, run->engine->name);
    } else if (run->seen.wrong != 0) {
        bench_die("%s: %llu records are wrong", run->engine->name,
                  (unsigned long long)run->seen.wrong);
    }
    passes_add(&pass, run->ns, run->wanted.records);
    return pass.ns[0];
}

/* Nanoseconds that it takes. */
static uint64_t store_open(struct run *run)
{
    uint64_t begin = bench_now_ns();
    run->store = run->engine->open(run->engine, &run->wanted);
    run->wanted.again = true;
    return bench_now_ns() - begin;
}

static uint64_t store_close(struct run *run)
{
    uint64_t begin = bench_now_ns();
    run->engine->close(run->store);
    run->store = NULL;
    return bench_now_ns() - begin;
}

static void directory_make(struct run *run, char *path, size_t room, const char *name)
{
    int length = snprintf(path, room, "%s/%s", run->bench->directory, name);
    if (length < 0 || (size_t)length >= room || mkdir(path, S_IRWXU) != 0) {
        bench_die("%s: %s", name, strerror(errno));
    }
    run->wanted.directory = path;
}

/* The same records into a store with one queue; nanoseconds of each. */
static double one_queue(const struct run *many)
{
    char path[BENCH_PATH_MAX];
    struct run run = *many;
    run.line = json_object();
    run.wanted.queues = 1;
    run.wanted.topics = 1;
    run.step = 1;
    directory_make(&run, path, sizeof(path), "one");
    (void)store_open(&run);
    bench_run_pinned(run.bench, append_all, &run);
    (void)store_close(&run);
    bench_tree_remove(path);
    json_decref(run.line);
    return (double)run.ns / (double)run.wanted.records;
}

static void append_and_hold(struct run *run, double one_ns)
{
    uint64_t before = machine_memory_bytes();
    uint64_t descriptors = machine_descriptors();
    bench_put_integer(run->line, "create_wall_ns", store_open(run));
    bench_run_pinned(run->bench, append_all, run);
    uint64_t after = machine_memory_bytes();
    double ns = (double)run->ns / (double)run->wanted.records;
    bench_put(run->line, "ns", ns);
    bench_put(run->line, "one_ns", one_ns);
    bench_put(run->line, "times_one", ns / one_ns);
    bench_put_integer(run->line, "memory_bytes", after > before ? after - before : 0);
    bench_put_integer(run->line, "files", machine_files(run->wanted.directory));
    bench_put_integer(run->line, "descriptors", machine_descriptors() - descriptors);
    bench_put_integer(run->line, "disk_bytes", bench_tree_bytes(run->wanted.directory));
}

static void read_and_reopen(struct run *run)
{
    struct passes hot = {.count = 0};
    expect(run);
    bench_put(run->line, "read_first_ns", read_once(run, reading_touch));
    for (int i = 0; i < run->passes; i++) {
        (void)read_once(run, reading_touch);
        passes_add(&hot, run->ns, run->wanted.records);
    }
    passes_put(&hot, run->line, "read");
    bench_put_integer(run->line, "close_wall_ns", store_close(run));
    uint64_t before = machine_memory_bytes();
    bench_put_integer(run->line, "open_wall_ns", store_open(run));
    uint64_t after = machine_memory_bytes();
    bench_put_integer(run->line, "opened_memory_bytes", after > before ? after - before : 0);
    bench_put(run->line, "compared_ns", read_once(run, reading_compare));
    (void)store_close(run);
}

int main(int argc, const char **argv)
{
    struct bench bench = {.records = 1000000, .bytes = 1024, .queues = 1000};
    struct run run = {.bench = &bench, .topics = 1, .passes = PASSES};
    char path[BENCH_PATH_MAX];
    const struct poptOption more[] = {
        {"topics", '\0', POPT_ARG_INT, &run.topics, 0, "that the queues are spread over", "N"},
        {"passes", '\0', POPT_ARG_INT, &run.passes, 0, "over all queues, after the first", "N"},
        {"scattered", '\0', POPT_ARG_NONE, &run.scattered, 0,
         "the turns go through the queues in large steps, not in order", NULL},
        POPT_TABLEEND};
    bench_begin(&bench, argc, argv,
                BENCH_HAS_ENGINE | BENCH_HAS_RECORDS | BENCH_HAS_BYTES | BENCH_HAS_QUEUES |
                    BENCH_HAS_BATCH | BENCH_HAS_DURABLE,
                more, "what do many queues cost?");
    if (bench.records < 1 || bench.queues < 1 || run.topics < 1 || run.passes < 1 ||
        run.passes > PASSES_MAX || bench.queues % run.topics != 0) {
        bench_usage(&bench, "a number is out of range, or topics do not divide the queues");
    }
    run.engine = bench.engine;
    run.wanted = bench_wanted(&bench);
    run.wanted.topics = (uint32_t)run.topics;
    run.step = step_of(run.wanted.queues, run.scattered != 0);
    run.line = bench_line(&bench);
    bench_put_integer(run.line, "topics", run.wanted.topics);
    bench_put_text(run.line, "order", run.scattered ? "scattered" : "in turn");
    machine_warm(run.wanted.records * (run.wanted.bytes + RECORD_OVERHEAD_BYTES));
    (void)one_queue(&run); /* the first store of a machine is slower than the next: not counted */
    double one_ns = one_queue(&run);
    directory_make(&run, path, sizeof(path), "many");
    append_and_hold(&run, one_ns);
    read_and_reopen(&run);
    bench_end(&bench);
    bench_print(run.line);
    return EXIT_SUCCESS;
}
