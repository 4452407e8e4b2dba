/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wake.c -- how long until a reader that waits has a record that was appended?
 *
 * The writer, on one CPU, puts the time into the body of each record and appends it; the reader, on
 * the other one, looks at the clock when its fetch returns. The next record comes a pause after it
 * has seen this one, so that a reader that sleeps does sleep. Beside it, in turns with it, the same
 * with nothing but a word of shared memory and futex(2): the least that a sleeping reader can take
 * on this machine at this moment.
 *
 *   futex          a bare wake, between two threads
 *   spin           a reader in the same process that fetches all the time
 *   asleep         one that waits in fetch
 *   futex_process  a bare wake, between two processes
 *   process        a reader in another process that waits in fetch; each record is written
 *   process_none   the same at level none: what the library tells other processes by itself
 *   process_spin   a reader in another process that fetches all the time, level none
 *
 * Every record's number and bytes are checked by its reader.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/bench.h"
#include "support/beside.h"
#include "support/child.h"
#include "support/direct.h"
#include "support/histogram.h"

enum { EXIT_USAGE = 2, ROUNDS = 10, FETCH = 64, PATIENCE_MS = 10000, JITTER_NS = 1 << 16 };

struct stamp {
    uint64_t at_ns;
    uint64_t number;
};

struct kind {
    const char *name;
    bool beside; /* the reader is another process */
    bool bare;   /* no library, only a futex */
    bool spins;
    uint32_t level; /* of the appends */
};

static const struct kind kinds[] = {
    {"futex", false, true, false, 0},
    {"spin", false, false, true, COMMITLOG_LEVEL_NONE},
    {"asleep", false, false, false, COMMITLOG_LEVEL_NONE},
    {"futex_process", true, true, false, 0},
    {"process", true, false, false, COMMITLOG_LEVEL_WRITTEN},
    {"process_none", true, false, false, COMMITLOG_LEVEL_NONE},
    {"process_spin", true, false, true, COMMITLOG_LEVEL_NONE},
};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

struct wakes { /* of one kind */
    struct histogram histogram;
    uint64_t sum_ns;
    uint64_t min_ns;
    uint64_t slept; /* times that the reader gave its CPU away */
};

/* Seen by both processes. */
struct shared {
    struct wakes wakes[KINDS];
    pthread_barrier_t barriers[2];       /* the writer, and the reader: beside it, or a thread */
    _Alignas(128) _Atomic uint32_t word; /* of a bare wake */
    struct stamp stamp;
    _Alignas(128) _Atomic uint64_t seen; /* records of this round that the reader has */
};

static char *engine_name;
static int gap_us = 200;

static const struct poptOption options[] = {
    {"engine", '\0', POPT_ARG_STRING, &engine_name, 0, "commitlog or commitlog-mmap", "NAME"},
    {"gap-us", '\0', POPT_ARG_INT, &gap_us, 0, "between two records (200)", "N"},
    POPT_TABLEEND};

static struct bench bench = {.records = 5000, .bytes = 128};
static struct shared *shared;
static struct commitlog_store *store; /* of the writer's process */
static uint32_t topic;

static uint64_t per_round(void)
{
    return (uint64_t)bench.records / ROUNDS;
}

static void meet(bool beside)
{
    int rc = pthread_barrier_wait(&shared->barriers[beside ? 1 : 0]);
    bench_need(rc == PTHREAD_BARRIER_SERIAL_THREAD ? 0 : rc, "barrier");
}

/* ---- the writer ---- */

static void bare_wake(bool beside, const struct stamp *stamp)
{
    shared->stamp = *stamp;
    atomic_fetch_add_explicit(&shared->word, 1, memory_order_release);
    (void)syscall(SYS_futex, &shared->word, beside ? FUTEX_WAKE : FUTEX_WAKE_PRIVATE, INT_MAX, NULL,
                  NULL, 0);
}

static void append(const struct kind *kind, uint8_t *body, const struct stamp *stamp)
{
    uint32_t bytes = (uint32_t)bench.bytes;
    memcpy(body, stamp, sizeof(*stamp));
    direct_need(commitlog_append(store, topic, 0, body, bytes, kind->level, NULL), "append", NULL);
}

/* A reader that sleeps has the time to fall asleep; no period of the library's is met always. */
static void pause_a_moment(uint64_t *state, uint64_t seen)
{
    uint64_t patient_until = bench_now_ns() + (uint64_t)PATIENCE_MS * 1000000;
    while (atomic_load_explicit(&shared->seen, memory_order_acquire) < seen) {
        if (bench_now_ns() > patient_until) {
            bench_die("the reader has not seen the last record");
        }
    }
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407; /* D. Knuth, MMIX */
    uint64_t until = bench_now_ns() + (uint64_t)gap_us * 1000 + (*state >> 48) % JITTER_NS;
    while (bench_now_ns() < until) {
    }
}

static void write_round(const struct kind *kind, uint64_t *number)
{
    static uint8_t body[BENCH_BODY_MAX];
    static uint64_t random = 1;
    memcpy(body, bench_body(0, (uint32_t)bench.bytes), (size_t)bench.bytes);
    meet(kind->beside); /* its turn */
    meet(kind->beside); /* the reader is ready */
    for (uint64_t i = 0; i < per_round(); i++) {
        pause_a_moment(&random, i);
        struct stamp stamp = {.at_ns = bench_now_ns(), .number = *number};
        if (kind->bare) {
            stamp.number = i;
            bare_wake(kind->beside, &stamp);
        } else {
            (*number)++;
            append(kind, body, &stamp);
        }
    }
    meet(kind->beside);
}

/* ---- the reader ---- */

static void note(struct wakes *wakes, uint64_t now, const struct stamp *stamp)
{
    uint64_t took = now - stamp->at_ns;
    histogram_add(&wakes->histogram, took);
    wakes->sum_ns += took;
    wakes->min_ns = wakes->min_ns == 0 || took < wakes->min_ns ? took : wakes->min_ns;
}

static void wait_bare(const struct kind *kind, struct wakes *wakes)
{
    uint32_t seen = atomic_load_explicit(&shared->word, memory_order_acquire);
    meet(kind->beside);
    for (uint64_t i = 0; i < per_round(); i++) {
        while (atomic_load_explicit(&shared->word, memory_order_acquire) == seen) {
            (void)syscall(SYS_futex, &shared->word, kind->beside ? FUTEX_WAIT : FUTEX_WAIT_PRIVATE,
                          seen, NULL, NULL, 0);
        }
        uint64_t now = bench_now_ns();
        struct stamp stamp = shared->stamp;
        if (stamp.number != i) {
            bench_die("%s: wake %llu came instead of %llu", kind->name,
                      (unsigned long long)stamp.number, (unsigned long long)i);
        }
        note(wakes, now, &stamp);
        seen++;
        atomic_store_explicit(&shared->seen, i + 1, memory_order_release);
    }
}

static void check_body(const struct kind *kind, const struct commitlog_message *message,
                       const struct stamp *stamp)
{
    size_t bytes = (size_t)bench.bytes;
    const uint8_t *body = message->body.data;
    if (message->body.bytes != bytes || stamp->number != message->queue_offset ||
        memcmp(body + sizeof(*stamp), bench_body(0, (uint32_t)bytes) + sizeof(*stamp),
               bytes - sizeof(*stamp)) != 0) {
        bench_die("%s: record %llu is not what was appended", kind->name,
                  (unsigned long long)message->queue_offset);
    }
}

static void wait_fetch(const struct kind *kind, struct wakes *wakes,
                       struct commitlog_cursor *cursor)
{
    struct commitlog_message messages[FETCH];
    int32_t timeout_ms = kind->spins ? 0 : PATIENCE_MS;
    uint64_t patience_ns = (uint64_t)PATIENCE_MS * 1000000;
    direct_need(commitlog_cursor_seek(cursor, COMMITLOG_FROM_END, 0), "seek", NULL);
    meet(kind->beside);
    uint64_t last_ns = bench_now_ns();
    for (uint64_t seen = 0; seen < per_round();) {
        uint32_t count = 0;
        int32_t rc = commitlog_cursor_fetch(cursor, messages, FETCH, timeout_ms, &count, NULL);
        uint64_t now = bench_now_ns();
        if (rc == COMMITLOG_EEND && kind->spins && now - last_ns < patience_ns) {
            continue;
        }
        direct_need(rc, kind->name, NULL);
        for (uint32_t i = 0; i < count; i++) {
            struct stamp stamp;
            memcpy(&stamp, messages[i].body.data, sizeof(stamp));
            note(wakes, now, &stamp);
            check_body(kind, &messages[i], &stamp);
        }
        seen += count;
        last_ns = now;
        atomic_store_explicit(&shared->seen, seen, memory_order_release);
    }
}

static uint64_t sleeps(void)
{
    struct rusage usage;
    bench_need(getrusage(RUSAGE_THREAD, &usage) == 0 ? 0 : errno, "getrusage");
    return (uint64_t)usage.ru_nvcsw;
}

static void read_rounds(bool beside, struct commitlog_store *from, uint32_t its_topic)
{
    struct commitlog_cursor *cursor = NULL;
    direct_need(commitlog_cursor_open(from, its_topic, 0, COMMITLOG_FROM_END, 0, &cursor, NULL),
                "cursor", NULL);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < KINDS; i++) {
            struct wakes *wakes = &shared->wakes[i];
            if (kinds[i].beside != beside) {
                continue;
            }
            meet(beside); /* what the rounds before have left behind is not for this one */
            atomic_store_explicit(&shared->seen, 0, memory_order_relaxed);
            uint64_t before = sleeps();
            if (kinds[i].bare) {
                wait_bare(&kinds[i], wakes);
            } else {
                wait_fetch(&kinds[i], wakes, cursor);
            }
            wakes->slept += sleeps() - before;
            meet(beside);
        }
    }
    commitlog_cursor_close(cursor);
}

static void *thread_run(void *ctx)
{
    (void)ctx;
    bench_pin(&bench, 1);
    read_rounds(false, store, topic);
    return NULL;
}

static void beside_run(void *ctx)
{
    (void)ctx;
    meet(true); /* the writer has opened the store */
    bench_pin(&bench, 1);
    struct commitlog_store *follower = direct_open(bench.directory, "access=read-only");
    read_rounds(true, follower, direct_topic(follower, "wake", 0));
    direct_close(follower);
}

/* ---- the run ---- */

static void put(json_t *line, const char *kind, const char *what, double value)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "%s_%s", kind, what);
    bench_put(line, name, value);
}

static double mean_ns(const struct wakes *wakes)
{
    return (double)wakes->sum_ns / (double)wakes->histogram.total;
}

static const struct wakes *wakes_of(const char *name)
{
    for (unsigned i = 0; i < KINDS; i++) {
        if (strcmp(kinds[i].name, name) == 0) {
            return &shared->wakes[i];
        }
    }
    bench_die("no kind %s", name);
}

static void put_ratio(json_t *line, const char *name, const char *to)
{
    const struct wakes *wakes = wakes_of(name);
    const struct wakes *bare = wakes_of(to);
    put(line, name, "to_futex", mean_ns(wakes) / mean_ns(bare));
    put(line, name, "to_futex_p50",
        (double)histogram_at(&wakes->histogram, 0.5) / (double)histogram_at(&bare->histogram, 0.5));
}

static void put_all(json_t *line)
{
    for (unsigned i = 0; i < KINDS; i++) {
        const struct wakes *wakes = &shared->wakes[i];
        char prefix[32];
        (void)snprintf(prefix, sizeof(prefix), "%s_", kinds[i].name);
        put(line, kinds[i].name, "mean_ns", mean_ns(wakes));
        put(line, kinds[i].name, "min_ns", (double)wakes->min_ns);
        histogram_put_as(&wakes->histogram, line, prefix);
        /* 1 where the reader slept before each record. */
        put(line, kinds[i].name, "slept", (double)wakes->slept / (double)wakes->histogram.total);
    }
    put_ratio(line, "asleep", "futex");
    put_ratio(line, "process", "futex_process");
}

static void choose(const char **engine_option)
{
    static struct bench_engine chosen;
    const struct bench_engine *engine = bench_engine_find(engine_name);
    bool right = engine != NULL && direct_is(engine, engine_option) && bench.records >= ROUNDS &&
                 gap_us > 0 && bench.bytes >= (int)sizeof(struct stamp);
    if (!right) {
        (void)fprintf(stderr,
                      "wake: --engine commitlog or commitlog-mmap, at least %d records and %zu "
                      "bytes, a pause\n",
                      ROUNDS, sizeof(struct stamp));
        bench_end(&bench);
        exit(EXIT_USAGE);
    }
    bench.records -= bench.records % ROUNDS;
    chosen = *engine;
    chosen.setting = "flush=async; the level of each append is in bench/wake.c by kind of reader";
    bench.engine = &chosen;
}

static void make_barriers(void)
{
    pthread_barrierattr_t attributes;
    bench_need(pthread_barrierattr_init(&attributes), "barrier");
    bench_need(pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED), "barrier");
    for (unsigned i = 0; i < 2; i++) {
        bench_need(pthread_barrier_init(&shared->barriers[i], &attributes, 2), "barrier");
    }
    (void)pthread_barrierattr_destroy(&attributes);
}

int main(int argc, const char **argv)
{
    const char *engine_option = NULL;
    char store_options[64];
    pthread_t reader;
    uint64_t number = 0;
    bench_begin(&bench, argc, argv, BENCH_HAS_RECORDS | BENCH_HAS_BYTES, options,
                "how long until a reader that waits has a record?");
    choose(&engine_option);
    shared = bench_shared(sizeof(*shared));
    make_barriers();
    beside_start(beside_run, NULL);
    json_t *line = bench_line(&bench);
    bench_put_integer(line, "gap_ns", (uint64_t)gap_us * 1000);
    (void)snprintf(store_options, sizeof(store_options), "engine=%s,flush=async", engine_option);
    store = direct_open(bench.directory, store_options);
    topic = direct_topic(store, "wake", 1);
    meet(true);
    bench_pin(&bench, 0);
    bench_need(pthread_create(&reader, NULL, thread_run, NULL), "thread");
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < KINDS; i++) {
            write_round(&kinds[i], &number);
        }
    }
    bench_need(pthread_join(reader, NULL), "join");
    beside_end();
    direct_close(store);
    put_all(line);
    bench_end(&bench);
    bench_print(line);
    return EXIT_SUCCESS;
}
