/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * append.c -- how long does an append take, by one thread or several, until the kernel has it all?
 *
 * The clock runs from the first append until nothing waits in the process any more (`drain`), so
 * that no engine wins by keeping records to itself.
 */
#include <pthread.h>
#include <stdlib.h>

#include "support/bench.h"
#include "support/check.h"

struct appender {
    pthread_t id;
    const struct bench *bench;
    void *store;
    uint32_t thread;
    uint64_t from; /* its records, by number */
    uint64_t to;
    pthread_barrier_t *barrier;
};

static void append_all(const struct appender *appender)
{
    const struct bench *bench = appender->bench;
    const struct bench_engine *engine = bench->engine;
    void *writer = engine->writer(appender->store, appender->thread);
    uint32_t bytes = (uint32_t)bench->bytes;
    uint32_t batch = bench_batch(bench);
    uint32_t in_batch = 0;
    for (uint64_t i = appender->from; i < appender->to; i++) {
        /* A thread has a queue to itself: the order within one is the engine's business. */
        engine->append(writer, appender->thread, i - appender->from, bench_body(i, bytes), bytes);
        if (++in_batch == batch) {
            engine->commit(writer);
            in_batch = 0;
        }
    }
    engine->commit(writer);
    engine->writer_close(writer);
}

static void *appender_run(void *at)
{
    struct appender *appender = at;
    bench_pin(appender->bench, appender->thread);
    (void)pthread_barrier_wait(appender->barrier);
    append_all(appender);
    return NULL;
}

/* `count` records by all threads together. */
static void append_records(const struct bench *bench, void *store, uint64_t count,
                           struct bench_cost *cost, json_t *line)
{
    uint32_t threads = bench_wanted(bench).threads;
    struct appender *appenders = bench_alloc(threads * sizeof(*appenders));
    pthread_barrier_t barrier;
    bench_need(pthread_barrier_init(&barrier, NULL, threads + 1), "barrier");
    for (uint32_t i = 0; i < threads; i++) {
        appenders[i] = (struct appender){.bench = bench,
                                         .store = store,
                                         .thread = i,
                                         .from = count * i / threads,
                                         .to = count * (i + 1) / threads,
                                         .barrier = &barrier};
        bench_need(pthread_create(&appenders[i].id, NULL, appender_run, &appenders[i]), "thread");
    }
    bench_cost_begin(bench, cost);
    (void)pthread_barrier_wait(&barrier);
    for (uint32_t i = 0; i < threads; i++) {
        bench_need(pthread_join(appenders[i].id, NULL), "join");
    }
    bench->engine->drain(store);
    bench_cost_end(bench, cost, line);
    (void)pthread_barrier_destroy(&barrier);
    free(appenders);
}

static void check_records(const struct bench *bench, void *store)
{
    uint64_t count = (uint64_t)bench->records;
    uint32_t threads = bench_wanted(bench).threads;
    for (uint32_t i = 0; i < threads; i++) {
        uint64_t from = count * i / threads;
        bench_check_queue(bench, store, i, from, count * (i + 1) / threads - from);
    }
}

int main(int argc, const char **argv)
{
    struct bench bench = {.records = 1000000, .bytes = 1024, .threads = 1};
    struct bench_cost cost;
    bench_begin(&bench, argc, argv,
                BENCH_HAS_ENGINE | BENCH_HAS_RECORDS | BENCH_HAS_BYTES | BENCH_HAS_THREADS |
                    BENCH_HAS_BATCH,
                NULL, "how long does an append take until the kernel has it?");
    bench.queues = bench.threads;
    struct bench_wanted wanted = bench_wanted(&bench);
    json_t *line = bench_line(&bench);
    void *store = bench.engine->open(bench.engine, &wanted);
    append_records(&bench, store, wanted.records, &cost, line);
    check_records(&bench, store);
    bench.engine->close(store);
    bench_put(line, "ns", (double)cost.wall_ns / (double)wanted.records);
    bench_put(line, "cpu_ns_each", (double)cost.cpu_ns / (double)wanted.records);
    bench_put_integer(line, "disk_bytes", bench_tree_bytes(bench.directory));
    bench_end(&bench);
    bench_print(line);
    return EXIT_SUCCESS;
}
