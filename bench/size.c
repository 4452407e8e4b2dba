/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * size.c -- what does it cost that a log is large?
 *
 * libcommitlog only, through commitlog.h, because the look-ups by key have no interface among the
 * engines. The log grows by doubling, up to half of the disk that was free; at each size:
 *   1. a child fills it up to a whole number of segments, flushes, and waits for the view files;
 *      then it looks records up at random places, by offset and by key, each for the second time;
 *   2. it makes a checkpoint, appends a tail of always the same length into the fresh segment, with
 *      the clock until the kernel has it, and kills itself with SIGKILL; then as many bytes are
 *      put into a file of their own by pwrite, 256 KiB at once;
 *   3. the store is opened, the clock running until its last record has been read; the tail is
 *      compared; it is closed, and opened and closed once more in the same way;
 *   4. its files are taken out of the page cache, and ten records at random places are read;
 *      again, and ten bare preads of as many bytes at random places; and so on. What is between
 *      them is the library's way to the record, and what the kernel reads ahead of each.
 * The rate of step 1 is that of the disk once its cache is full; that of step 2 is the library's,
 * or the kernel's where it has to find memory for its cache: the bare file shows which.
 * One line of JSON for each size.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engines/engines.h"
#include "support/bare.h"
#include "support/bench.h"
#include "support/child.h"
#include "support/histogram.h"
#include "support/keyed.h"
#include "support/machine.h"

enum {
    COLD_AT_ONCE = 10, /* what is read ahead of them must not be most of the log */
    PIECE_BYTES = 256 * 1024,
    EXIT_USAGE = 2
};

/* What one child tells. */
struct grown {
    uint64_t records;      /* of the store, with the tail */
    uint64_t fill_bytes;   /* of the log, in step 1 */
    uint64_t fill_ns;      /* until they were on the disk */
    uint64_t record_bytes; /* of one in the log */
    uint64_t tail_ns;
    uint64_t segments;
    struct histogram offset;
    struct histogram key;
    struct histogram absent;
};

struct size {
    struct bench bench;
    long long from_bytes;
    long long to_bytes;
    long long segment_bytes;
    long long samples;
    long long cold_samples;
    long long tail;
    uint64_t wanted;     /* bytes of the log at this step */
    struct grown *grown; /* shared */
    uint64_t random;
};

static void open_store(const struct size *run, struct keyed *keyed)
{
    keyed_open(keyed, run->bench.directory, (uint64_t)run->segment_bytes,
               (uint32_t)run->bench.bytes);
}

/* Positions are places in the files, so a multiple of the segments' size is a segment's end. */
static void fill(const struct size *run, const struct keyed *keyed)
{
    struct grown *grown = run->grown;
    uint64_t began = bench_now_ns();
    struct commitlog_receipt receipt;
    uint64_t first = UINT64_MAX;
    do {
        receipt = keyed_append(keyed, grown->records++, COMMITLOG_LEVEL_NONE);
        first = first == UINT64_MAX ? receipt.position : first;
    } while (receipt.position < run->wanted);
    grown->record_bytes = receipt.end_position - receipt.position;
    grown->fill_bytes = receipt.end_position - first;
    keyed_settle(keyed);
    grown->fill_ns = bench_now_ns() - began;
}

/* The same places twice: what is told is the second time. */
static void look_up(const struct size *run, const struct keyed *keyed)
{
    struct grown *grown = run->grown;
    memset(&grown->offset, 0, sizeof(grown->offset));
    memset(&grown->key, 0, sizeof(grown->key));
    memset(&grown->absent, 0, sizeof(grown->absent));
    for (unsigned round = 0; round < 2; round++) {
        uint64_t state = run->random;
        for (uint64_t i = 0; i < (uint64_t)run->samples; i++) {
            uint64_t took = keyed_read(keyed, keyed_random(&state) % grown->records);
            if (round == 1) {
                histogram_add(&grown->offset, took);
            }
        }
    }
    for (unsigned round = 0; round < 2; round++) {
        uint64_t state = run->random;
        for (uint64_t i = 0; i < (uint64_t)run->samples; i++) {
            uint64_t at = keyed_random(&state);
            uint64_t took = keyed_find(keyed, at % grown->records, INT64_MIN, true);
            uint64_t missed = keyed_find(keyed, UINT64_MAX / 2 + at / 2, INT64_MIN, false);
            if (round == 1) {
                histogram_add(&grown->key, took);
                histogram_add(&grown->absent, missed);
            }
        }
    }
}

static void child_grows(void *ctx)
{
    const struct size *run = ctx;
    struct grown *grown = run->grown;
    struct keyed keyed;
    struct commitlog_error err = {.message = ""};
    bench_pin(&run->bench, 0);
    open_store(run, &keyed);
    fill(run, &keyed);
    look_up(run, &keyed);
    grown->segments = keyed_stat(&keyed, "segments");
    if (commitlog_checkpoint(keyed.store, &err) != COMMITLOG_OK) {
        bench_die("checkpoint: %s", err.message);
    }
    uint64_t began = bench_now_ns();
    uint64_t end = grown->records + (uint64_t)run->tail;
    while (grown->records < end) {
        bool last = grown->records + 1 == end;
        (void)keyed_append(&keyed, grown->records,
                           last ? COMMITLOG_LEVEL_WRITTEN : COMMITLOG_LEVEL_NONE);
        grown->records++;
    }
    grown->tail_ns = bench_now_ns() - began;
}

/* ---- what is left ---- */

/* As many bytes as the tail had, and no store. */
static uint64_t bare_tail(const struct size *run)
{
    uint64_t bytes = (uint64_t)run->tail * run->grown->record_bytes;
    int fd = bare_open(run->bench.directory, bytes);
    uint64_t began = bench_now_ns();
    bare_write(fd, bytes, PIECE_BYTES);
    uint64_t took = bench_now_ns() - began;
    (void)close(fd);
    return took;
}

/* Until the last record has been read. */
static uint64_t reopen(const struct size *run, struct keyed *keyed)
{
    uint64_t began = bench_now_ns();
    open_store(run, keyed);
    (void)keyed_read(keyed, run->grown->records - 1);
    return bench_now_ns() - began;
}

static void open_again(const struct size *run, json_t *line)
{
    const struct grown *grown = run->grown;
    struct keyed keyed;
    struct commitlog_recovery recovery = {.struct_bytes = sizeof(recovery)};
    bench_put_integer(line, "open_killed_ns", reopen(run, &keyed));
    if (commitlog_recovery_get(keyed.store, &recovery) != COMMITLOG_OK ||
        recovery.clean_close != 0) {
        bench_die("that was no store of a writer that was killed");
    }
    bench_put_integer(line, "scanned_bytes", recovery.bytes_scanned);
    bench_put_integer(line, "rewritten_bytes", recovery.bytes_rewritten);
    keyed_check(&keyed, grown->records - (uint64_t)run->tail, grown->records);
    keyed_close(&keyed);
    bench_put_integer(line, "open_closed_ns", reopen(run, &keyed));
    keyed_close(&keyed);
}

/* Bytes at `at` of the log, wherever they are; how long it took. */
static uint64_t bare_read(const struct size *run, uint64_t at, uint32_t bytes)
{
    static uint8_t body[BENCH_BODY_MAX + 1024];
    char path[BENCH_PATH_MAX + 64];
    uint64_t base = at / (uint64_t)run->segment_bytes * (uint64_t)run->segment_bytes;
    (void)snprintf(path, sizeof(path), "%s/log/%020llu.log", run->bench.directory,
                   (unsigned long long)base);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        bench_die("%s: %s", path, strerror(errno));
    }
    uint64_t began = bench_now_ns();
    ssize_t got = pread(fd, body, bytes, (off_t)(at - base));
    uint64_t took = bench_now_ns() - began;
    (void)close(fd);
    if (got != (ssize_t)bytes) {
        bench_die("%s: pread at %llu gave %zd", path, (unsigned long long)(at - base), got);
    }
    return took;
}

/* A place in a finished segment. */
static uint64_t somewhere(struct size *run, uint32_t bytes)
{
    uint64_t segment_bytes = (uint64_t)run->segment_bytes;
    uint64_t room = segment_bytes - bytes;
    uint64_t at = keyed_random(&run->random) % (run->wanted / segment_bytes * room);
    return at / room * segment_bytes + at % room;
}

static void read_cold(struct size *run, json_t *line)
{
    static struct histogram ours;
    static struct histogram bare;
    struct keyed keyed;
    uint32_t bytes = (uint32_t)run->grown->record_bytes;
    uint64_t older = run->grown->records - (uint64_t)run->tail;
    uint64_t cached = 0;
    memset(&ours, 0, sizeof(ours));
    memset(&bare, 0, sizeof(bare));
    for (uint64_t done = 0; done < (uint64_t)run->cold_samples; done += COLD_AT_ONCE) {
        cached += machine_evict(run->bench.directory);
        open_store(run, &keyed);
        for (unsigned i = 0; i < COLD_AT_ONCE; i++) {
            histogram_add(&ours, keyed_read(&keyed, keyed_random(&run->random) % older));
        }
        keyed_close(&keyed);
        cached += machine_evict(run->bench.directory);
        for (unsigned i = 0; i < COLD_AT_ONCE; i++) {
            histogram_add(&bare, bare_read(run, somewhere(run, bytes), bytes));
        }
    }
    bench_put_integer(line, "cached_bytes", cached);
    histogram_put_as(&ours, line, "cold_");
    histogram_put_as(&bare, line, "cold_bare_");
}

/* ---- */

static uint64_t disk_free(const struct size *run)
{
    struct statvfs status;
    if (statvfs(run->bench.directory, &status) != 0) {
        bench_die("%s: %s", run->bench.directory, strerror(errno));
    }
    return (uint64_t)status.f_bavail * status.f_frsize;
}

static void one_size(struct size *run)
{
    const struct grown *grown = run->grown;
    bench_child(BENCH_CHILD_IS_KILLED, child_grows, run);
    run->bench.records = (long long)grown->records;
    json_t *line = bench_line(&run->bench);
    bench_put_integer(line, "log_bytes", run->wanted);
    bench_put_integer(line, "segments", grown->segments);
    bench_put_integer(line, "segment_bytes", (uint64_t)run->segment_bytes);
    bench_put(line, "ns", (double)grown->tail_ns / (double)run->tail);
    bench_put(line, "bare_ns", (double)bare_tail(run) / (double)run->tail);
    bench_put(line, "fill_bytes_per_s",
              (double)grown->fill_bytes / ((double)grown->fill_ns / BENCH_NS_PER_SECOND));
    histogram_put_as(&grown->offset, line, "offset_");
    histogram_put_as(&grown->key, line, "key_");
    histogram_put_as(&grown->absent, line, "key_absent_");
    bench_put(line, "key_segment_ns",
              (double)histogram_at(&grown->absent, 0.5) / (double)grown->segments);
    bench_put_integer(line, "tail", (uint64_t)run->tail);
    open_again(run, line);
    read_cold(run, line);
    bench_put_integer(line, "disk_bytes", bench_tree_bytes(run->bench.directory));
    bench_print(line);
}

static void begin(struct size *run, int argc, const char **argv)
{
    const struct poptOption more[] = {
        {"from-bytes", '\0', POPT_ARG_LONGLONG, &run->from_bytes, 0, "smallest log (1 GiB)", "N"},
        {"to-bytes", '\0', POPT_ARG_LONGLONG, &run->to_bytes, 0, "largest log (64 GiB)", "N"},
        {"segment-bytes", '\0', POPT_ARG_LONGLONG, &run->segment_bytes, 0,
         "of each segment (256 MiB); the sizes are multiples of it", "N"},
        {"samples", '\0', POPT_ARG_LONGLONG, &run->samples, 0, "look-ups of each kind (10000)",
         "N"},
        {"cold-samples", '\0', POPT_ARG_LONGLONG, &run->cold_samples, 0, "cold reads (200)", "N"},
        {"tail", '\0', POPT_ARG_LONGLONG, &run->tail, 0,
         "records behind the last checkpoint (0: half of a segment)", "N"},
        POPT_TABLEEND};
    bench_begin(&run->bench, argc, argv, BENCH_HAS_BYTES, more,
                "what does it cost that a log is large?");
    bool right = run->segment_bytes > 0 && run->from_bytes > 0 && run->samples > 0 &&
                 run->from_bytes % run->segment_bytes == 0 && run->cold_samples > 0 &&
                 run->tail >= 0 && run->tail * run->bench.bytes < run->segment_bytes;
    if (!right) {
        (void)fprintf(stderr, "%s: a number is out of range\n", run->bench.question);
        exit(EXIT_USAGE);
    }
    if (run->tail == 0) {
        run->tail = run->segment_bytes / 2 / (run->bench.bytes + 100);
    }
    run->bench.engine = &bench_engine_commitlog;
    run->grown = bench_shared(sizeof(*run->grown));
}

int main(int argc, const char **argv)
{
    static struct size run = {.bench = {.bytes = 1024, .threads = 1},
                              .from_bytes = 1ll << 30,
                              .to_bytes = 64ll << 30,
                              .segment_bytes = 256ll << 20,
                              .samples = 10000,
                              .cold_samples = 200,
                              .random = UINT64_C(0x2545f4914f6cdd1d)};
    begin(&run, argc, argv);
    uint64_t most = disk_free(&run) / 2;
    most = most < (uint64_t)run.to_bytes ? most : (uint64_t)run.to_bytes;
    for (run.wanted = (uint64_t)run.from_bytes; run.wanted <= most; run.wanted *= 2) {
        one_size(&run);
    }
    bench_end(&run.bench);
    return EXIT_SUCCESS;
}
