/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * statistics_test.c -- counters and histograms, read by another process while they are written.
 *
 * A writer process appends from several threads, at all levels, singly, in batches and in two
 * steps, with a reader that sleeps until there is more. This process has the store open read-only
 * and looks all the time: nothing goes back, every count is that of its buckets, no value is larger
 * than the largest. When the writer says what it has done, the numbers are those, exactly.
 *
 * Environment: SEED, DURATION (seconds, default 4, over both engines).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/dirs.h"
#include "../support/prog.h"

enum { THREADS = 3, BATCH = 4, HISTOGRAMS = 64, STATS = 64 };

struct done { /* what the writer says */
    uint64_t records;
    uint64_t batches;
    uint64_t calls[4]; /* by level */
};

struct work {
    struct commitlog_store *store;
    uint32_t topic;
    uint64_t seed;
    _Atomic bool *stop;
    struct done done;
    pthread_t id;
};

static struct commitlog_store *store_open(const char *path, uint64_t engine, uint64_t access)
{
    struct commitlog_options *options = NULL;
    struct commitlog_store *store = NULL;
    struct commitlog_error err = {.message = ""};
    CHECK_RC(commitlog_options_create(&options), COMMITLOG_OK);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ACCESS, access, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_ENGINE, engine, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_STAGE_BYTES, 64 << 10, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_SEGMENT_BYTES, 4 << 20, &err), &err);
    CHECK_OK(commitlog_options_set(options, COMMITLOG_OPT_FLUSH, COMMITLOG_FLUSH_NONE, &err), &err);
    CHECK_OK(commitlog_open(path, options, &store, &err), &err);
    commitlog_options_free(options);
    return store;
}

/* ---- the writer --------------------------------------------------------------------------------
 */

static void append_one(struct work *work, struct commitlog_record *record, uint64_t how)
{
    struct commitlog_record records[BATCH];
    struct commitlog_receipt receipts[BATCH];
    struct commitlog_error err = {.message = ""};
    if (how == 0) {
        for (int i = 0; i < BATCH; i++)
            records[i] = *record;
        CHECK_OK(
            commitlog_append_batch(work->store, records, BATCH, COMMITLOG_FOREVER, receipts, &err),
            &err);
        work->done.batches++;
        work->done.records += BATCH - 1;
    } else if (how == 1) {
        struct commitlog_reservation *reservation = NULL;
        void *at = NULL;
        CHECK_OK(commitlog_reserve(work->store, record, record->body->bytes, COMMITLOG_FOREVER,
                                   &reservation, &at, &err),
                 &err);
        memset(at, 'r', record->body->bytes);
        CHECK_OK(commitlog_commit(reservation, COMMITLOG_FOREVER, receipts, &err), &err);
    } else {
        CHECK_OK(commitlog_append_record(work->store, record, COMMITLOG_FOREVER, receipts, &err),
                 &err);
    }
    work->done.records++;
    work->done.calls[record->level]++;
}

static void *append_run(void *argument)
{
    static const char bytes[2000];
    struct work *work = argument;
    struct rng rng;
    rng_begin(&rng, work->seed);
    while (!atomic_load(work->stop)) {
        struct commitlog_slice body = {bytes, (size_t)rng_below(&rng, sizeof bytes)};
        uint64_t draw = rng_below(&rng, 100);
        struct commitlog_record record = {.struct_bytes = sizeof record,
                                          .topic = work->topic,
                                          .level = draw < 2    ? COMMITLOG_LEVEL_DURABLE
                                                   : draw < 10 ? COMMITLOG_LEVEL_WRITTEN
                                                               : COMMITLOG_LEVEL_NONE,
                                          .body = &body,
                                          .body_count = 1};
        append_one(work, &record, rng_below(&rng, 10));
    }
    return NULL;
}

/* Sleeps until there is more, so that wake-ups are measured. */
static void *wait_run(void *argument)
{
    struct work *work = argument;
    while (!atomic_load(work->stop)) {
        struct commitlog_positions at = {.struct_bytes = sizeof at};
        CHECK_RC(commitlog_positions_get(work->store, &at), COMMITLOG_OK);
        (void)commitlog_wait(work->store, at.published, 20);
    }
    return NULL;
}

static _Noreturn void writer_run(const char *path, uint64_t engine, uint64_t seed, int64_t ms,
                                 const int pipes[2])
{
    struct work works[THREADS + 1];
    struct done sum = {0};
    struct commitlog_error err = {.message = ""};
    _Atomic bool stop = false;
    CHECK(prctl(PR_SET_PDEATHSIG, SIGKILL) == 0); /* it ends for nobody else */
    struct commitlog_store *store = store_open(path, engine, COMMITLOG_READ_WRITE);
    uint32_t topic = 0;
    CHECK_OK(commitlog_topic_open(store, "t", 1, 1, &topic, &err), &err);
    CHECK(write(pipes[1], &sum, sizeof sum) == sizeof sum);
    for (uint32_t i = 0; i <= THREADS; i++) {
        works[i] = (struct work){.store = store, .topic = topic, .seed = seed + i, .stop = &stop};
        CHECK(pthread_create(&works[i].id, NULL, i < THREADS ? append_run : wait_run, &works[i]) ==
              0);
    }
    sleep_ms(ms);
    atomic_store(&stop, true);
    for (uint32_t i = 0; i <= THREADS; i++) {
        CHECK(pthread_join(works[i].id, NULL) == 0);
        sum.records += works[i].done.records;
        sum.batches += works[i].done.batches;
        for (uint32_t level = 0; level < 4; level++)
            sum.calls[level] += works[i].done.calls[level];
    }
    /* At rest: a flush of the library's thread is counted before it is measured. */
    CHECK_OK(commitlog_sync(store, UINT64_MAX, COMMITLOG_FOREVER, &err), &err);
    CHECK(write(pipes[1], &sum, sizeof sum) == sizeof sum);
    for (;;) /* the last look is at a live writer */
        (void)pause();
}

/* ---- the reader --------------------------------------------------------------------------------
 */

static struct {
    struct commitlog_histogram last[HISTOGRAMS];
    uint64_t counters[STATS];
    uint64_t looks;
    uint32_t count;
} seen;

static void look_histogram(struct commitlog_store *store, uint32_t index, bool at_rest)
{
    static struct commitlog_histogram now;
    struct commitlog_histogram *last = &seen.last[index];
    uint64_t count = 0;
    uint64_t least = 0;
    now = (struct commitlog_histogram){.struct_bytes = sizeof now};
    CHECK_RC(commitlog_histogram_get(store, index, &now), COMMITLOG_OK);
    for (uint32_t i = 0; i < COMMITLOG_HISTOGRAM_BUCKETS; i++) {
        CHECKF(now.buckets[i] >= last->buckets[i], "%s: bucket %u goes back", now.name, i);
        count += now.buckets[i];
        least += now.buckets[i] * commitlog_histogram_floor(i);
    }
    CHECKF(now.count == count && now.sum >= last->sum && now.max >= last->max,
           "%s: count %llu of %llu, sum %llu, max %llu", now.name, (unsigned long long)now.count,
           (unsigned long long)count, (unsigned long long)now.sum, (unsigned long long)now.max);
    CHECK(commitlog_histogram_quantile(&now, 500000) <= commitlog_histogram_quantile(&now, 999000));
    if (at_rest) {
        CHECKF(now.sum >= least && now.sum - least <= least / 16 + 1, "%s: sum %llu, least %llu",
               now.name, (unsigned long long)now.sum, (unsigned long long)least);
        CHECKF(commitlog_histogram_quantile(&now, 1000000) == now.max, "%s: max", now.name);
    }
    *last = now;
}

static void look(struct commitlog_store *store, bool at_rest)
{
    const char *name;
    uint64_t value;
    /* Of the counters only the first ones are the live area's; those grow too, but for gauges. */
    for (uint32_t i = 0; i < 10; i++) {
        CHECK_RC(commitlog_stat(store, i, &name, &value), COMMITLOG_OK);
        CHECKF(value >= seen.counters[i], "%s goes back", name);
        seen.counters[i] = value;
    }
    for (uint32_t i = 0; i < seen.count; i++)
        look_histogram(store, i, at_rest);
    seen.looks++;
}

static uint64_t counted(const char *name)
{
    for (uint32_t i = 0; i < seen.count; i++) {
        if (strcmp(seen.last[i].name, name) == 0)
            return seen.last[i].count;
    }
    CHECKF(false, "no histogram %s", name);
    return 0;
}

static uint64_t stat_of(struct commitlog_store *store, const char *wanted)
{
    const char *name;
    uint64_t value = 0;
    for (uint32_t i = 0; commitlog_stat(store, i, &name, &value) == COMMITLOG_OK; i++) {
        if (strcmp(name, wanted) == 0)
            return value;
    }
    CHECKF(false, "no statistic %s", wanted);
    return 0;
}

static void check_end(struct commitlog_store *store, const struct done *done, uint64_t engine)
{
    const bool staged = engine == COMMITLOG_ENGINE_STAGED;
    struct commitlog_positions at = {.struct_bytes = sizeof at};
    look(store, true);
    CHECK_RC(commitlog_positions_get(store, &at), COMMITLOG_OK);
    CHECKF(stat_of(store, "appends") == done->records, "%llu records, %llu counted",
           (unsigned long long)done->records, (unsigned long long)stat_of(store, "appends"));
    CHECK(stat_of(store, "batches") == done->batches);
    CHECK(stat_of(store, "appended_bytes") <= at.published - at.first);
    CHECK(stat_of(store, "flushes") == counted("flush"));
    CHECK(stat_of(store, "flushes") == counted("flush_bytes"));
    CHECK(counted("flush_records") <= counted("flush"));
    CHECK(counted("append_durable") == done->calls[COMMITLOG_LEVEL_DURABLE]);
    CHECK((counted("drain") > 0) == staged);
    /* The draw goes by what others have appended too, so it is even only in the long run. */
    uint64_t fair = done->calls[COMMITLOG_LEVEL_NONE] / 64;
    CHECKF(counted("append") >= fair / 4 && counted("append") <= fair * 4 + 64,
           "%llu of %llu timed", (unsigned long long)counted("append"),
           (unsigned long long)done->calls[COMMITLOG_LEVEL_NONE]);
}

static void run(const char *root, uint64_t engine, uint64_t seed, int64_t ms)
{
    char path[DIRS_PATH_MAX];
    int pipes[2];
    struct done done;
    int status;
    memset(&seen, 0, sizeof seen);
    path_join(path, root, engine == COMMITLOG_ENGINE_STAGED ? "staged" : "mmap");
    CHECK(pipe(pipes) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0)
        writer_run(path, engine, seed, ms, pipes);
    close(pipes[1]); /* a writer that fails ends the reading */
    CHECK(read(pipes[0], &done, sizeof done) == sizeof done);
    struct commitlog_store *store = store_open(path, engine, COMMITLOG_READ_ONLY);
    while (seen.count < HISTOGRAMS &&
           commitlog_histogram_get(store, seen.count, &seen.last[seen.count]) == COMMITLOG_OK)
        seen.count++;
    CHECK(seen.count >= 9);
    memset(seen.last, 0, sizeof seen.last);
    int64_t until = clock_ms() + ms;
    while (clock_ms() < until)
        look(store, false);
    CHECK(read(pipes[0], &done, sizeof done) == sizeof done);
    check_end(store, &done, engine);
    CHECK(seen.looks > 10 && done.records > 100);
    struct commitlog_error err = {.message = ""};
    CHECK_OK(commitlog_close(store, &err), &err);
    CHECK(kill(pid, SIGKILL) == 0 && waitpid(pid, &status, 0) == pid);
    CHECKF(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %d", status);
    close(pipes[0]);
    store_live_remove(path);
}

int main(void)
{
    char root[DIRS_PATH_MAX];
    uint64_t seed = prog_begin("statistics_test");
    int64_t ms = (int64_t)prog_env("DURATION", 4) * 1000 / 2;
    prog_watchdog((uint64_t)ms / 1000 * 2 + 300);
    dirs_make(root, "statistics");
    run(root, COMMITLOG_ENGINE_STAGED, seed, ms);
    run(root, COMMITLOG_ENGINE_MMAP, seed + 1, ms);
    dirs_remove(root);
    return prog_end();
}
