/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reopen.c -- how long until a store serves again whose process was killed?
 *
 * A child appends, each record acknowledged by a commit, and kills itself with SIGKILL behind the
 * last one. The clock runs from the call of open until the last record of each queue has been read.
 * Then every record is compared; only an engine that says so may have lost some.
 *
 * What open does is split for libcommitlog, where no other engine tells: commitlog.h says what was
 * read and written again, and the seams of its time are its first write and the requests for
 * durability that open makes (the first is for the directory above, the last for the checkpoint
 * when all is done): scan      up to the first write, that of LOCK: the log is read and verified;
 *   settle    up to the last request but one: what only the stage had is put into the log, what
 * only the cache may have is read, compared and written again, and all of it is flushed; with the
 * first and the last request; fold      the rest: the live area, the views. Beside it stands what
 * the settling has as its limit: a bare pwrite and fdatasync of as many bytes over a file that is
 * as dirty as the log was.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "commitlog.h"

#include "engines/engines.h"
#include "support/bare.h"
#include "support/bench.h"
#include "support/child.h"

enum { FLUSHED_BATCH = 1000, EXIT_USAGE = 2 };

struct reopen {
    struct bench bench;
    int flushed;
    int checkpointed;
    long long tail;
    long long store_bytes;
    long long segment_bytes;
    uint64_t older; /* records that a session before appended, and closed */
    uint64_t total; /* with them */
    uint64_t *acknowledged;
};

static void *store_open(const struct reopen *run, bool again)
{
    struct bench_wanted wanted = bench_wanted(&run->bench);
    wanted.records = run->total;
    wanted.segment_bytes = (uint64_t)run->segment_bytes;
    wanted.again = again;
    return run->bench.engine->open(run->bench.engine, &wanted);
}

static void checkpoint(const struct bench_engine *engine, void *store)
{
    struct commitlog_error err = {.message = ""};
    if (commitlog_checkpoint(bench_commitlog_store(engine, store), &err) != COMMITLOG_OK) {
        bench_die("checkpoint: %s", err.message);
    }
}

/* Record i is in queue i modulo their number: what a session before has appended goes on. */
static void append(const struct reopen *run, void *store, uint64_t from, uint64_t to,
                   uint64_t checkpoint_at)
{
    const struct bench_engine *engine = run->bench.engine;
    uint32_t bytes = (uint32_t)run->bench.bytes;
    uint32_t queues = bench_wanted(&run->bench).queues;
    uint32_t batch = bench_batch(&run->bench);
    uint32_t in_batch = 0;
    void *writer = engine->writer(store, 0);
    for (uint64_t i = from; i < to; i++) {
        if (i == checkpoint_at) {
            engine->commit(writer);
            in_batch = 0;
            checkpoint(engine, store);
        }
        engine->append(writer, (uint32_t)(i % queues), i / queues, bench_body(i, bytes), bytes);
        if (++in_batch == batch) {
            engine->commit(writer);
            *run->acknowledged = i + 1;
            in_batch = 0;
        }
    }
    engine->commit(writer);
    *run->acknowledged = to;
    if (to == run->older) {
        engine->writer_close(writer);
    }
}

static void child_fills(void *ctx)
{
    const struct reopen *run = ctx;
    void *store = store_open(run, false);
    append(run, store, 0, run->older, UINT64_MAX);
    run->bench.engine->close(store);
}

static void child_is_killed(void *ctx)
{
    const struct reopen *run = ctx;
    bench_pin(&run->bench, 0);
    uint64_t tail = (uint64_t)run->tail < run->total - run->older ? (uint64_t)run->tail
                                                                  : run->total - run->older;
    append(run, store_open(run, run->older > 0), run->older, run->total,
           run->checkpointed ? run->total - tail : UINT64_MAX);
}

/* ---- reading ---- */

/* How many of the records are in this queue. */
static uint64_t in_queue(const struct reopen *run, uint32_t queue)
{
    uint32_t queues = bench_wanted(&run->bench).queues;
    return run->total / queues + (queue < run->total % queues ? 1 : 0);
}

static bool may_lose(const struct reopen *run)
{
    enum bench_promise promise = bench_wanted(&run->bench).promise;
    return strcmp(run->bench.engine->losses[promise].kill, "nothing") != 0;
}

struct check {
    const struct reopen *run;
    uint32_t queue;
    uint64_t next; /* offset */
    uint64_t wrong;
};

static void check_one(void *ctx, uint64_t offset, const void *body, size_t bytes)
{
    struct check *check = ctx;
    uint32_t wanted = (uint32_t)check->run->bench.bytes;
    uint64_t i = offset * bench_wanted(&check->run->bench).queues + check->queue;
    bool right =
        offset == check->next && bytes == wanted && memcmp(body, bench_body(i, wanted), bytes) == 0;
    check->wrong += right ? 0 : 1;
    check->next++;
}

/* Of `limit` records from this one on: how many there are. */
static uint64_t check_from(const struct reopen *run, void *store, uint32_t queue, uint64_t from,
                           uint64_t limit)
{
    struct check check = {.run = run, .queue = queue, .next = from};
    uint64_t seen = run->bench.engine->scan(store, queue, from, limit, check_one, &check);
    if (check.wrong != 0 || seen > in_queue(run, queue) - from) {
        bench_die("%s: queue %u: %llu records from %llu, %llu wrong", run->bench.engine->name,
                  queue, (unsigned long long)seen, (unsigned long long)from,
                  (unsigned long long)check.wrong);
    }
    return seen;
}

/* The last record of each queue, compared by all engines alike. */
static void read_last(const struct reopen *run, void *store)
{
    const struct bench_engine *engine = run->bench.engine;
    static uint8_t body[BENCH_BODY_MAX];
    uint32_t queues = bench_wanted(&run->bench).queues;
    for (uint32_t queue = 0; queue < queues; queue++) {
        uint64_t count = in_queue(run, queue);
        if (count == 0) {
            continue;
        }
        if (!engine->points || may_lose(run)) {
            uint64_t seen = check_from(run, store, queue, count - 1, 1);
            if (seen == 0 && !may_lose(run)) {
                bench_die("%s: queue %u: its last record is lost", engine->name, queue);
            }
            continue;
        }
        size_t bytes = engine->get(store, queue, count - 1, body, sizeof(body));
        struct check check = {.run = run, .queue = queue, .next = count - 1};
        check_one(&check, count - 1, body, bytes);
        if (check.wrong != 0) {
            bench_die("%s: queue %u: its last record is another one", engine->name, queue);
        }
    }
}

/* All of them, the older ones too. */
static void check_all(const struct reopen *run, void *store, json_t *line)
{
    uint64_t seen = 0;
    uint32_t queues = bench_wanted(&run->bench).queues;
    for (uint32_t queue = 0; queue < queues; queue++) {
        seen += check_from(run, store, queue, 0, UINT64_MAX);
    }
    if (*run->acknowledged != run->total || (seen < run->total && !may_lose(run))) {
        bench_die("%s: %llu records of %llu acknowledged ones", run->bench.engine->name,
                  (unsigned long long)seen, (unsigned long long)*run->acknowledged);
    }
    bench_put_integer(line, "acknowledged", run->total);
    bench_put_integer(line, "recovered", seen);
    bench_put_integer(line, "lost", run->total - seen);
}

/* ---- what libcommitlog tells ---- */

/* A file that was written and not flushed, as the log was: how long to write it again and flush. */
static uint64_t bare_ns(const struct bench *bench, uint64_t bytes)
{
    int fd = bare_open(bench->directory, bytes);
    bare_write(fd, bytes, BARE_PIECE_MAX);
    uint64_t began = bench_now_ns();
    bare_write(fd, bytes, BARE_PIECE_MAX);
    bench_need(fdatasync(fd) == 0 ? 0 : errno, "fdatasync");
    uint64_t took = bench_now_ns() - began;
    (void)close(fd);
    return took;
}

/* See the head of this file. */
static void put_parts(uint64_t began_ns, uint64_t opened_ns, json_t *line)
{
    const struct bench_sync_span *spans = NULL;
    unsigned count = bench_syncs_spans(&spans);
    const uint64_t first_write_ns = bench_syncs_first_write_ns();
    if (count < 3 || count == BENCH_SYNC_SPANS || first_write_ns == 0) {
        return; /* too few for parts; or too many to know the last */
    }
    const struct bench_sync_span *last = &spans[count - 1];
    uint64_t waited = 0;
    for (unsigned i = 0; i < count; i++) {
        waited += spans[i].to_ns - spans[i].from_ns;
    }
    uint64_t scan = first_write_ns - began_ns - (spans[0].to_ns - spans[0].from_ns);
    uint64_t fold = opened_ns - spans[count - 2].to_ns - (last->to_ns - last->from_ns);
    bench_put_integer(line, "scan_ns", scan);
    bench_put_integer(line, "settle_ns", opened_ns - began_ns - scan - fold);
    bench_put_integer(line, "settle_syncs_ns", waited);
    bench_put_integer(line, "fold_ns", fold);
    bench_put_integer(line, "scan_and_fold_ns", scan + fold);
}

/* How many bytes were written again. */
static uint64_t put_recovery(struct commitlog_store *store, json_t *line)
{
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    if (commitlog_recovery_get(store, &recovery) != COMMITLOG_OK) {
        bench_die("no report of the recovery");
    }
    if (recovery.clean_close != 0 || recovery.same_boot == 0) {
        bench_die("that was no store of a writer that was killed");
    }
    bench_put_integer(line, "scanned_bytes", recovery.bytes_scanned);
    bench_put_integer(line, "scanned_records", recovery.records_scanned);
    bench_put_integer(line, "staged_records", recovery.records_from_stage);
    bench_put_integer(line, "rewritten_bytes", recovery.bytes_rewritten);
    bench_put_integer(line, "views_rebuilt", recovery.views_rebuilt);
    return recovery.bytes_rewritten;
}

/* What commitlog_stat has to say, by its own names. */
static void put_stats(struct commitlog_store *store, json_t *line)
{
    static const char *const wanted[] = {"segments", "segment_bytes", "view_memory_bytes",
                                         "view_mapped_bytes"};
    const char *name = NULL;
    uint64_t value = 0;
    for (uint32_t i = 0; commitlog_stat(store, i, &name, &value) == COMMITLOG_OK; i++) {
        for (unsigned k = 0; k < sizeof(wanted) / sizeof(wanted[0]); k++) {
            if (strcmp(name, wanted[k]) == 0) {
                bench_put_integer(line, name, value);
            }
        }
    }
}

static void reopen(const struct reopen *run, json_t *line)
{
    struct bench_cost cost;
    uint64_t rewritten = 0;
    bench_pin(&run->bench, 0);
    bench_cost_begin(&run->bench, &cost);
    bench_syncs_mark();
    uint64_t began = bench_now_ns();
    void *store = store_open(run, true);
    uint64_t opened = bench_now_ns();
    read_last(run, store);
    uint64_t read = bench_now_ns();
    bench_cost_end(&run->bench, &cost, line);
    bench_put_integer(line, "ns", read - began);
    bench_put_integer(line, "open_ns", opened - began);
    bench_put_integer(line, "first_read_ns", read - opened);
    struct commitlog_store *ours = bench_commitlog_store(run->bench.engine, store);
    if (ours != NULL) {
        put_parts(began, opened, line);
        rewritten = put_recovery(ours, line);
        put_stats(ours, line);
    }
    check_all(run, store, line);
    run->bench.engine->close(store);
    if (rewritten > 0) {
        bench_put_integer(line, "bare_rewrite_ns", bare_ns(&run->bench, rewritten));
    }
}

static void begin(struct reopen *run, int argc, const char **argv)
{
    const struct poptOption more[] = {
        {"flushed", '\0', POPT_ARG_NONE, &run->flushed, 0,
         "all of it was made durable before, in batches of 1,000 where the engine has no larger",
         NULL},
        {"checkpointed", '\0', POPT_ARG_NONE, &run->checkpointed, 0,
         "libcommitlog: with a checkpoint before the last records", NULL},
        {"tail", '\0', POPT_ARG_LONGLONG, &run->tail, 0, "how many those are (100000)", "N"},
        {"store-bytes", '\0', POPT_ARG_LONGLONG, &run->store_bytes, 0,
         "of bodies, by a session before that was closed", "N"},
        {"segment-bytes", '\0', POPT_ARG_LONGLONG, &run->segment_bytes, 0,
         "libcommitlog: of each segment (0: its default)", "N"},
        POPT_TABLEEND};
    bench_begin(&run->bench, argc, argv,
                BENCH_HAS_ENGINE | BENCH_HAS_RECORDS | BENCH_HAS_BYTES | BENCH_HAS_QUEUES |
                    BENCH_HAS_BATCH,
                more, "how long until a store serves again whose process was killed?");
    const struct bench_engine *engine = run->bench.engine;
    bool ours = strcmp(engine->family, bench_engine_commitlog.family) == 0;
    bool only_ours = run->checkpointed || run->segment_bytes != 0;
    if (run->tail < 0 || run->store_bytes < 0 || run->segment_bytes < 0 || run->bench.bytes == 0 ||
        run->bench.records == 0 || (run->flushed && !engine->durable) || (only_ours && !ours)) {
        (void)fprintf(stderr, "%s: a number or a combination is out of range\n",
                      run->bench.question);
        exit(EXIT_USAGE);
    }
    if (run->flushed) {
        run->bench.durable = 1;
        if (bench_batch(&run->bench) < FLUSHED_BATCH && run->bench.batch == 0) {
            run->bench.batch = FLUSHED_BATCH;
        }
    }
    run->older = (uint64_t)run->store_bytes / (uint64_t)run->bench.bytes;
    run->total = run->older + (uint64_t)run->bench.records;
    run->acknowledged = bench_shared(sizeof(*run->acknowledged));
}

int main(int argc, const char **argv)
{
    static struct reopen run = {
        .bench = {.records = 1000000, .bytes = 1024, .threads = 1, .queues = 1}, .tail = 100000};
    begin(&run, argc, argv);
    json_t *line = bench_line(&run.bench);
    bench_put_integer(line, "store_bytes", run.older * (uint64_t)run.bench.bytes);
    bench_put_integer(line, "checkpointed_tail", run.checkpointed ? (uint64_t)run.tail : 0);
    if (run.older > 0) {
        bench_child(BENCH_CHILD_EXITS, child_fills, &run);
    }
    bench_child(BENCH_CHILD_IS_KILLED, child_is_killed, &run);
    reopen(&run, line);
    bench_put_integer(line, "disk_bytes", bench_tree_bytes(run.bench.directory));
    bench_end(&run.bench);
    bench_print(line);
    return EXIT_SUCCESS;
}
