/* SPDX-License-Identifier: BSD-2-Clause */
/* cold.c -- see cold.h. */
#include "support/cold.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "support/bench.h"
#include "support/beside.h"
#include "support/child.h"
#include "support/direct.h"

enum { COLD_FETCH = 1024, COLD_WAIT_NS = 1000000, COLD_BLOCK = 512 };
enum { COLD_WAITS, COLD_READS, COLD_STOPS };

static struct cold {
    const struct bench *bench;
    uint64_t records;
    uint32_t record_bytes;
    uint64_t last_position; /* of the last record */
    _Atomic uint32_t state;
    _Atomic uint64_t bytes;
    _Atomic uint64_t device_bytes;
    _Atomic uint64_t passes;
} * cold; /* seen by both processes */

static void cold_sleep(void)
{
    struct timespec time = {.tv_nsec = COLD_WAIT_NS};
    (void)nanosleep(&time, NULL);
}

static int is_segment(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot != NULL && strcmp(dot, ".log") == 0;
}

static uint64_t base_of(const struct dirent *entry)
{
    return strtoull(entry->d_name, NULL, 10); /* a segment is named by its first position */
}

/* The segments in which there is nothing but the cold part: the one that has its end is written to
 * by the part under test. */
static int segments(int *log, struct dirent ***names)
{
    int store = open(cold->bench->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *log = openat(store, "log", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int all = *log >= 0 ? scandirat(*log, ".", names, is_segment, alphasort) : 0;
    int count = 0;
    (void)close(store);
    for (int i = 0; i < all; i++) {
        if (i + 1 < all && base_of((*names)[i + 1]) <= cold->last_position) {
            count = i + 1;
        } else {
            free((*names)[i]);
        }
    }
    if (count == 0) {
        bench_die("%s: the cold part must fill at least one segment", cold->bench->directory);
    }
    return count;
}

static void drop(int log, const char *name)
{
    int fd = openat(log, name, O_RDONLY | O_CLOEXEC);
    bench_need(fd >= 0 ? 0 : errno, name);
    bench_need(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), name);
    (void)close(fd);
}

static void note(uint64_t bytes)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_SELF, &usage);
    atomic_store(&cold->device_bytes, (uint64_t)usage.ru_inblock * COLD_BLOCK);
    atomic_fetch_add(&cold->bytes, bytes);
}

static void pass(struct commitlog_cursor *cursor)
{
    static struct commitlog_message messages[COLD_FETCH];
    uint64_t seen = 0;
    while (seen < cold->records && atomic_load(&cold->state) == COLD_READS) {
        uint32_t count = 0;
        direct_need(commitlog_cursor_fetch(cursor, messages, COLD_FETCH, 0, &count, NULL),
                    "cold read", NULL);
        for (uint32_t i = 0; i < count; i++) {
            if (messages[i].queue_offset != seen + i ||
                messages[i].body.bytes != cold->record_bytes) {
                bench_die("cold record %llu is another one", (unsigned long long)(seen + i));
            }
        }
        seen += count;
        note((uint64_t)count * cold->record_bytes);
    }
}

static void read_cold(void *ctx)
{
    int log = -1;
    struct dirent **names = NULL;
    struct commitlog_cursor *cursor = NULL;
    (void)ctx;
    while (atomic_load(&cold->state) == COLD_WAITS) {
        cold_sleep();
    }
    int count = segments(&log, &names);
    bench_pin(cold->bench, 1);
    struct commitlog_store *store =
        direct_open(cold->bench->directory, "access=read-only,borrow=0");
    uint32_t topic = direct_topic(store, "cold", 0);
    direct_need(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, NULL),
                "cold cursor", NULL);
    while (atomic_load(&cold->state) == COLD_READS) {
        for (int i = 0; i < count; i++) {
            drop(log, names[i]->d_name);
        }
        direct_need(commitlog_cursor_seek(cursor, COMMITLOG_FROM_FIRST, 0), "cold seek", NULL);
        pass(cursor);
        atomic_fetch_add(&cold->passes, 1);
    }
    commitlog_cursor_close(cursor);
    direct_close(store);
    (void)close(log);
    for (int i = 0; i < count; i++) {
        free(names[i]);
    }
    free(names);
}

void cold_start(const struct bench *bench, const char *options, uint64_t total_bytes,
                uint32_t bytes)
{
    cold = bench_shared(sizeof(*cold));
    cold->bench = bench;
    cold->record_bytes = bytes;
    cold->records = total_bytes / bytes;
    beside_start(read_cold, NULL);
    struct commitlog_store *store = direct_open(bench->directory, options);
    uint32_t topic = direct_topic(store, "cold", 1);
    for (uint64_t i = 0; i < cold->records; i++) {
        struct commitlog_receipt receipt;
        direct_need(commitlog_append(store, topic, 0, bench_body(i, bytes), bytes,
                                     COMMITLOG_LEVEL_NONE, &receipt),
                    "cold append", NULL);
        cold->last_position = receipt.position;
    }
    direct_close(store);
}

void cold_go(void)
{
    atomic_store(&cold->state, COLD_READS);
    while (atomic_load(&cold->bytes) == 0) {
        cold_sleep();
    }
}

struct cold_figures cold_figures(void)
{
    return (struct cold_figures){.bytes = atomic_load(&cold->bytes),
                                 .device_bytes = atomic_load(&cold->device_bytes),
                                 .passes = atomic_load(&cold->passes)};
}

void cold_end(void)
{
    atomic_store(&cold->state, COLD_STOPS);
    beside_end();
}
