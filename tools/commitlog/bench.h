/*
 * bench.h -- what the parts of `commitlog bench` share.
 *
 * Owns: a working directory of its own below --dir, removed at the end; the table of results.
 * Invariants: a rate is the best of `runs` runs, the median stands beside it: the first run of a
 *       process pays for memory that the machine has yet to hand out.
 * Threads and locks: the main thread, and those of the durable part.
 * Failure modes: reported; the result is an exit code.
 */
#ifndef COMMITLOG_TOOL_BENCH_H
#define COMMITLOG_TOOL_BENCH_H

#include "open.h"

enum { BENCH_RUNS_MAX = 15, BENCH_PATH = 4096, BENCH_NAME = 64 };

struct bench {
    struct cli *cli;
    bool json;
    uint64_t records; /* of the append, read, recovery and overhead parts */
    uint64_t runs;
    uint64_t threads;
    uint64_t seconds; /* of each durable run */
    uint64_t topics;
    uint64_t queues; /* per topic */
    uint64_t each;   /* records per queue */
    const struct store_options *given;
    char directory[BENCH_PATH]; /* ours */
    char head[BENCH_NAME];      /* the last name that was reported without blanks before it */
};

/* What a result is measured against. */
enum { BENCH_INFO, BENCH_AT_LEAST, BENCH_AT_MOST };

struct bench_values {
    double values[BENCH_RUNS_MAX];
    uint32_t count;
};

void bench_add(struct bench_values *values, double value);
/* One line; of times and of what has a BENCH_AT_MOST the smallest value is the best, of the others
 * the largest. A name that begins with two blanks is of the one without before it: an object says
 * so in its name. */
void bench_report(struct bench *bench, const char *name, const char *unit,
                  const struct bench_values *values, int goal_kind, double goal);
void bench_report_one(struct bench *bench, const char *name, const char *unit, double value,
                      int goal_kind, double goal);

/* Options for a new store of the benchmark; the user's --option values come on top. */
int bench_options(struct bench *bench, uint64_t segment_bytes, struct commitlog_options **options);
/* Opens a store named `name` in the working directory. */
int bench_open(struct bench *bench, const char *name, const struct commitlog_options *options,
               struct commitlog_store **store);
int bench_close(struct bench *bench, struct commitlog_store *store);
int bench_topic(struct bench *bench, struct commitlog_store *store, const char *name,
                uint32_t queues, uint32_t *topic);
/* Reports a failed call of the library. */
int bench_fail(struct bench *bench, int32_t rc, const struct commitlog_error *err);

/* bench_host.c: directories and what the kernel says about this process. */
int bench_make_directory(struct bench *bench, const char *below);
void bench_path(const struct bench *bench, const char *name, char *path, size_t size);
void bench_remove(const char *path);
uint64_t bench_files_bytes(const char *path); /* sum of file sizes below a directory */
uint64_t bench_open_files(void);
uint64_t bench_memory_bytes(void); /* anonymous plus shared */

/* The parts. */
int bench_append(struct bench *bench);  /* rates at 1 KiB and 128 bytes, level none */
int bench_read(struct bench *bench);    /* back in order, verified */
int bench_durable(struct bench *bench); /* one thread and many */
int bench_recover(struct bench *bench); /* reopen after kill -9 */
int bench_queues(struct bench *bench);  /* many queues: files, memory, rate */
int bench_overhead(struct bench *bench);
int bench_consume(struct bench *bench); /* offsets of groups, work */
int bench_deliver(struct bench *bench); /* delayed messages, transactions */

/* The process that bench_recover starts and that kills itself. */
int bench_writer(struct bench *bench, const char *path, bool sync);

#endif
