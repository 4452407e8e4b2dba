/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * read.c -- how long does it take to read a queue back: in order, or at random offsets?
 *
 * The store is filled first, untimed. Each pass touches the first word and the length of what it
 * is given; a pass of its own compares every byte and is timed too, which is the fairer figure for
 * engines that have no checksum to verify. Beside libcommitlog stands plain XXH3 over the same
 * files (of_hash: its time by ours), in turns, so that both meet the same machine.
 */
#include <stdlib.h>
#include <string.h>

#include "support/bench.h"
#include "support/histogram.h"
#include "support/log_hash.h"
#include "support/machine.h"
#include "support/passes.h"
#include "support/reading.h"

enum { PASSES = 5, GETS = 200000 };

struct run {
    const struct bench *bench;
    const struct bench_engine *engine;
    struct bench_wanted wanted;
    void *store;
    int passes;
    int cold;
    int random;
    int gets;
    int lent;
    bench_visit visit;       /* of the pass to come */
    struct reading seen;     /* by that pass */
    struct reading expected; /* of one that touches */
    struct histogram *each;  /* of the gets; NULL: they are not timed one by one */
    struct log_hash *log;    /* NULL: not libcommitlog */
    bool whole;              /* how that one is to be hashed */
    uint64_t ns;             /* that the pass took */
    struct passes reads;     /* per record */
    struct passes hashes;    /* of record by record */
    struct passes hashed_whole;
    uint64_t still_cached;
};

static void fill(void *ctx)
{
    struct run *run = ctx;
    const struct bench_engine *engine = run->engine;
    void *writer = engine->writer(run->store, 0);
    for (uint64_t i = 0; i < run->wanted.records; i++) {
        engine->append(writer, 0, i, bench_body(i, run->wanted.bytes), run->wanted.bytes);
        if ((i + 1) % run->wanted.batch == 0) {
            engine->commit(writer);
        }
    }
    engine->commit(writer);
    engine->writer_close(writer);
    engine->drain(run->store);
}

/* ---- passes, each on a pinned thread ---- */

static void pass_in_order(void *ctx)
{
    struct run *run = ctx;
    uint64_t begin = bench_now_ns();
    uint64_t records = run->engine->scan(run->store, 0, 0, UINT64_MAX, run->visit, &run->seen);
    run->ns = bench_now_ns() - begin;
    if (records != run->wanted.records) {
        bench_die("%s: %llu records of %llu", run->engine->name, (unsigned long long)records,
                  (unsigned long long)run->wanted.records);
    }
}

/* SplitMix64 (G. Steele, D. Lea, C. Flood, 2014): the same offsets in each pass and engine. */
static uint64_t offset_of(const struct run *run, uint64_t i)
{
    uint64_t x = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    x ^= x >> 31;
    return ((x >> 32) * run->wanted.records) >> 32;
}

static void pass_at_random(void *ctx)
{
    static uint8_t out[BENCH_BODY_MAX];
    struct run *run = ctx;
    size_t (*get)(void *, uint32_t, uint64_t, void *, size_t) =
        run->lent ? run->engine->get_lent : run->engine->get;
    uint64_t begin = bench_now_ns();
    uint64_t last = begin;
    for (int i = 0; i < run->gets; i++) {
        uint64_t offset = offset_of(run, (uint64_t)i);
        size_t bytes = get(run->store, 0, offset, out, sizeof(out));
        run->seen.next = offset;
        run->visit(&run->seen, offset, out, bytes);
        if (run->each != NULL) {
            uint64_t now = bench_now_ns();
            histogram_add(run->each, now - last);
            last = now;
        }
    }
    run->ns = bench_now_ns() - begin;
}

static void pass_hash(void *ctx)
{
    struct run *run = ctx;
    uint64_t begin = bench_now_ns();
    uint64_t messages = log_hash_run(run->log, run->whole);
    run->ns = bench_now_ns() - begin;
    if (!run->whole && messages < run->wanted.records) {
        bench_die("%llu messages in the segment files", (unsigned long long)messages);
    }
}

/* ---- between passes ---- */

static void store_open(struct run *run)
{
    run->store = run->engine->open(run->engine, &run->wanted);
    run->wanted.again = true;
}

static void store_close(struct run *run)
{
    run->engine->close(run->store);
    run->store = NULL;
}

static void evict(struct run *run)
{
    uint64_t cached = machine_evict(run->wanted.directory);
    run->still_cached = cached > run->still_cached ? cached : run->still_cached;
}

static uint64_t records_of_pass(const struct run *run)
{
    return run->random ? (uint64_t)run->gets : run->wanted.records;
}

static void read_once(struct run *run, bench_visit visit, struct passes *into)
{
    if (run->cold) {
        store_close(run);
        evict(run);
        store_open(run);
        evict(run); /* what open has read: outside the clock */
    }
    run->seen = (struct reading){.queues = 1, .bytes = run->wanted.bytes};
    run->visit = visit;
    bench_run_pinned(run->bench, run->random ? pass_at_random : pass_in_order, run);
    passes_add(into, run->ns, records_of_pass(run));
    if (visit == reading_touch) {
        reading_check(&run->seen, &run->expected, run->engine->name);
    } else if (run->seen.wrong != 0) {
        bench_die("%s: %llu records are wrong", run->engine->name,
                  (unsigned long long)run->seen.wrong);
    }
}

static void hash_once(struct run *run, bool whole, struct passes *into)
{
    if (run->cold) {
        store_close(run);
        log_hash_close(run->log);
        evict(run);
        run->log = log_hash_open(run->wanted.directory);
    }
    run->whole = whole;
    bench_run_pinned(run->bench, pass_hash, run);
    passes_add(into, run->ns, run->wanted.records);
    if (run->cold) {
        log_hash_close(run->log); /* what is mapped cannot be evicted */
        run->log = NULL;
        store_open(run);
    }
}

static void hash_passes(struct run *run)
{
    hash_once(run, false, &run->hashes);
    if (!run->cold) { /* whose maps are new each time, and the ends in them unknown */
        hash_once(run, true, &run->hashed_whole);
    }
}

static void expect(struct run *run)
{
    run->expected = (struct reading){.queues = 1, .bytes = run->wanted.bytes};
    for (uint64_t i = 0; i < records_of_pass(run); i++) {
        reading_expect_one(&run->expected, run->random ? offset_of(run, i) : i);
    }
}

static void put_latencies(struct run *run, json_t *line)
{
    struct passes unused = {.count = 0};
    run->each = bench_alloc(sizeof(*run->each));
    read_once(run, reading_touch, &unused);
    histogram_put(run->each, line);
    free(run->each);
}

static void read_all(struct run *run, json_t *line)
{
    struct passes compared = {.count = 0};
    struct passes first = {.count = 0};
    expect(run);
    run->log = run->random ? NULL : log_hash_open(run->wanted.directory);
    bool hashes = run->log != NULL;
    if (run->cold) {
        log_hash_close(run->log);
        run->log = NULL;
    }
    read_once(run, reading_touch, &first); /* hot: meets all pages of the map, as the next does */
    if (hashes) {
        struct passes unused = {.count = 0};
        hash_once(run, false, &unused);
    }
    for (int i = 0; i < run->passes; i++) {
        read_once(run, reading_touch, &run->reads);
        if (hashes) {
            hash_passes(run);
        }
    }
    read_once(run, reading_compare, &compared);
    passes_put(&run->reads, line, "");
    double ns = passes_median(&run->reads);
    bench_put(line, "gb_per_s", (double)run->wanted.bytes / ns);
    bench_put(line, "first_ns", first.ns[0]);
    bench_put(line, "compared_ns", compared.ns[0]);
    if (run->random) {
        put_latencies(run, line);
    }
    if (hashes) {
        passes_put(&run->hashes, line, "hash");
        bench_put(line, "of_hash", passes_median(&run->hashes) / ns);
    }
    if (hashes && !run->cold) {
        passes_put(&run->hashed_whole, line, "hash_whole");
        bench_put(line, "of_hash_whole", passes_median(&run->hashed_whole) / ns);
    }
    log_hash_close(run->log);
    if (run->cold) {
        bench_put_integer(line, "still_cached_bytes", run->still_cached);
    }
}

int main(int argc, const char **argv)
{
    struct bench bench = {.records = 1000000, .bytes = 1024, .queues = 1};
    struct run run = {.bench = &bench, .passes = PASSES, .gets = GETS};
    const struct poptOption more[] = {
        {"passes", '\0', POPT_ARG_INT, &run.passes, 0, "over the whole queue", "N"},
        {"random", '\0', POPT_ARG_NONE, &run.random, 0, "records at random offsets, one by one",
         NULL},
        {"gets", '\0', POPT_ARG_INT, &run.gets, 0, "in a pass, with --random", "N"},
        {"lent", '\0', POPT_ARG_NONE, &run.lent, 0,
         "with --random, by the interface that lends what it reads (libcommitlog's cursor)", NULL},
        {"cold", '\0', POPT_ARG_NONE, &run.cold, 0,
         "before each pass the store is closed, taken out of the page cache, opened", NULL},
        POPT_TABLEEND};
    bench_begin(&bench, argc, argv,
                BENCH_HAS_ENGINE | BENCH_HAS_RECORDS | BENCH_HAS_BYTES | BENCH_HAS_BATCH, more,
                "how long does it take to read a queue back?");
    if (run.passes < 1 || run.passes > PASSES_MAX || run.gets < 1 || bench.records < 1 ||
        bench.records > UINT32_MAX) {
        bench_usage(&bench, "a number is out of range");
    }
    if (run.random && !bench.engine->points) {
        bench_usage(&bench, "this engine has no look-up by offset");
    }
    if (run.lent && (!run.random || bench.engine->get_lent == NULL)) {
        bench_usage(&bench, "--lent is for --random, and for an engine that has the choice");
    }
    run.engine = bench.engine;
    run.wanted = bench_wanted(&bench);
    json_t *line = bench_line(&bench);
    bench_put_integer(line, "passes", (uint64_t)run.passes);
    bench_put_text(line, "access", run.random ? "random" : "in order");
    bench_put_text(line, "cache", run.cold ? "cold" : "hot");
    if (run.random) {
        bench_put_integer(line, "gets", (uint64_t)run.gets);
        bench_put_text(line, "by", run.lent ? "lending" : "get");
    }
    store_open(&run);
    bench_run_pinned(&bench, fill, &run);
    read_all(&run, line);
    store_close(&run);
    bench_put_integer(line, "disk_bytes", bench_tree_bytes(bench.directory));
    bench_end(&bench);
    bench_print(line);
    return EXIT_SUCCESS;
}
