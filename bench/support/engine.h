/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * engine.h -- what each store is asked for in the benchmarks, and nothing more.
 *
 * A queue is a number below `queues`; the records of one queue are appended in order, their place
 * in it (the offset) counts from 0. Each adapter uses its engine as well as its documents allow for
 * the promise asked for, and says in `setting` how; what is lost at kill -9 and at a power cut
 * stands beside every figure.
 *
 * Failure: a benchmark that meets an error is over: adapters call bench_die.
 * Threads: one bench_writer is used by one thread at a time; several may append at once.
 */
#ifndef BENCH_SUPPORT_ENGINE_H
#define BENCH_SUPPORT_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bench_promise {
    BENCH_ASYNC,  /* an append has the process or the kernel hold it; a power cut loses a tail */
    BENCH_DURABLE /* commit returns when a power cut does not lose what was appended before */
};

/* What an engine that writes files of a fixed size, and prepares the next one ahead, has to append
 * to when a run begins. */
enum bench_space {
    BENCH_SPACE_NEW,    /* what a new store has */
    BENCH_SPACE_STEADY, /* a file that was prepared ahead; later ones are prepared meanwhile */
    BENCH_SPACE_READY   /* and the one behind it is ready too: nothing is prepared meanwhile */
};

/* What a run is going to do, so that an engine can be opened for it. */
struct bench_wanted {
    const char *directory; /* exists, and is the engine's own */
    enum bench_promise promise;
    enum bench_space space; /* for engines with `prepares`; not with `again` */
    uint64_t records;
    uint32_t bytes;   /* of each record */
    uint32_t threads; /* that append at once */
    uint32_t queues;
    uint32_t topics; /* so many, with queues / topics each; for engines that have such a thing */
    uint32_t batch;  /* records between two commits */
    uint64_t segment_bytes; /* 0: as the engine has it; only libcommitlog is told */
    bool again; /* the store is there: it was made by the same engine with the same numbers */
};

struct bench_losses {
    const char *kill;  /* what is lost when the process is killed */
    const char *power; /* and when the power goes */
};

/* For each record that a scan meets, in order; the bytes are valid during the call. */
typedef void (*bench_visit)(void *ctx, uint64_t offset, const void *body, size_t bytes);

struct bench_engine {
    const char *name;              /* on the command line and in the tables */
    const char *family;            /* "LMDB": variants of one engine have the same */
    uint32_t batch;                /* records between two commits when nobody says otherwise */
    bool durable;                  /* offered for BENCH_DURABLE; else only for BENCH_ASYNC */
    bool points;                   /* get is offered (a log without an index has none) */
    bool prepares;                 /* its files can be asked for in a state: bench_space */
    bool forgets;                  /* a limit in memory: only the last records can be read */
    const char *setting;           /* one line: how it is opened and what an append calls */
    struct bench_losses losses[2]; /* by promise */
    bool verifies;                 /* what it reads is checked by itself against a checksum */
    void (*version)(char *out, size_t size);
    void *(*open)(const struct bench_engine *engine, const struct bench_wanted *wanted);
    void *(*writer)(void *store, uint32_t thread);
    void (*append)(void *writer, uint32_t queue, uint64_t offset, const void *body, size_t bytes);
    /* What was appended by this writer is in the store, and with BENCH_DURABLE on the disk. */
    void (*commit)(void *writer);
    void (*writer_close)(void *writer);
    /* All that was appended has been given to the kernel: nothing waits in the process. */
    void (*drain)(void *store);
    /* Reads the queue from `from` in order, at most `limit` records; how many there were. */
    uint64_t (*scan)(void *store, uint32_t queue, uint64_t from, uint64_t limit, bench_visit visit,
                     void *ctx);
    /* Copies one record; how many bytes it has. */
    size_t (*get)(void *store, uint32_t queue, uint64_t offset, void *out, size_t room);
    /* The same out of what the engine lends, where `get` is an interface that never lends; NULL:
     * there is but one way. One thread. */
    size_t (*get_lent)(void *store, uint32_t queue, uint64_t offset, void *out, size_t room);
    void (*close)(void *store);
};

extern const struct bench_engine *const bench_engines[]; /* NULL at the end */
/* NULL: there is none of this name. */
const struct bench_engine *bench_engine_find(const char *name);

#endif
