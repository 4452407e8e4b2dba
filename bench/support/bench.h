/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench.h -- what the programs of bench/ share: their options, clocks, bodies, and the one line of
 * JSON that each prints.
 *
 * A program answers one question about one engine, in one process and one directory, and prints one
 * line. What is repeated, interleaved and compared is the work of run.py; so a program that is run
 * by hand tells the same as in a table.
 *
 * Failure: bench_die: a line on stderr and exit status 1. Bad arguments: exit status 2.
 */
#ifndef BENCH_SUPPORT_BENCH_H
#define BENCH_SUPPORT_BENCH_H

#include <jansson.h>
#include <popt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/engine.h"
#include "support/syncs.h"

enum { BENCH_POOL_BYTES = 256 * 1024, BENCH_BODY_MAX = 64 * 1024, BENCH_PATH_MAX = 4096 };

#define BENCH_NS_PER_SECOND UINT64_C(1000000000)

struct bench {
    const char *question; /* name of the program */
    /* Options; each program says which of them it has, and sets what it has when none is given. */
    char *engine_name;
    char *below; /* the directory in which one for this run is made, and removed */
    long long records;
    int bytes;
    int threads;
    int queues;
    int batch; /* 0: the engine's own */
    int durable;
    int unpinned;
    /* From them. */
    const struct bench_engine *engine; /* NULL where the program has no --engine */
    char directory[BENCH_PATH_MAX];
};

/* Which of the options a program has. */
enum {
    BENCH_HAS_ENGINE = 1 << 0,
    BENCH_HAS_RECORDS = 1 << 1,
    BENCH_HAS_BYTES = 1 << 2,
    BENCH_HAS_THREADS = 1 << 3,
    BENCH_HAS_QUEUES = 1 << 4,
    BENCH_HAS_BATCH = 1 << 5,
    BENCH_HAS_DURABLE = 1 << 6
};

/* Reads the command line into *bench, whose numbers are the defaults, finds the engine and makes
 * the directory, which goes when the process exits, however it does. `more`: options of the
 * program's own, ended by POPT_TABLEEND, or NULL. */
void bench_begin(struct bench *bench, int argc, const char **argv, unsigned has,
                 const struct poptOption *more, const char *about);
/* Of an option of the program's own that is out of place: says so, removes the directory, exits
 * with status 2. */
_Noreturn void bench_usage(const struct bench *bench, const char *text);
/* Removes the directory. */
void bench_end(struct bench *bench);
struct bench_wanted bench_wanted(const struct bench *bench);
uint32_t bench_batch(const struct bench *bench);

/* The line: question, engine, version, setting, losses and the options that the program has are in
 * it. bench_print takes the reference. */
json_t *bench_line(const struct bench *bench);
void bench_put_text(json_t *line, const char *name, const char *text);
void bench_put(json_t *line, const char *name, double value);
void bench_put_integer(json_t *line, const char *name, uint64_t value);
void bench_print(json_t *line);

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Dies with the text of `error` unless it is 0. */
void bench_need(int error, const char *what);
void *bench_alloc(size_t bytes);

uint64_t bench_now_ns(void); /* CLOCK_MONOTONIC */
/* The thread stays on one CPU: number `thread` of those that this process may use, round and round.
 * Only for threads of the benchmark: those that an engine starts would inherit it from the thread
 * that opens it. Does nothing with --unpinned. */
void bench_pin(const struct bench *bench, uint32_t thread);

/* Threads that are started from now on stay where the caller is; else they may run anywhere. */
void bench_threads_stay(void);

/* Runs `work` on a pinned thread of its own: the caller, which opens engines, stays free. */
void bench_run_pinned(const struct bench *bench, void (*work)(void *ctx), void *ctx);

/* The body of record i: the same in every program and engine; no two within a pool are the same,
 * and they do not compress. Valid for ever. bytes <= BENCH_BODY_MAX. */
const uint8_t *bench_body(uint64_t i, uint32_t bytes);

/* What a stretch of a run has cost, between begin and end: put into the line as wall_ns, cpu_ns,
 * fsyncs, fdatasyncs, msyncs, ranges (sync_file_range), device_bytes (of the disk below the
 * directory, other programs' too; absent where there is none). */
struct bench_cost {
    uint64_t wall_ns;
    uint64_t cpu_ns;
    uint64_t syncs[BENCH_SYNCS];
    uint64_t device_bytes;
};
void bench_cost_begin(const struct bench *bench, struct bench_cost *cost);
void bench_cost_end(const struct bench *bench, struct bench_cost *cost, json_t *line);

uint64_t
bench_tree_bytes(const char *directory); /* blocks that the files below it have, in bytes */
void bench_tree_remove(const char *directory);

#endif
