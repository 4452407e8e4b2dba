/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * syncs.c -- counts and times the requests that make data durable, whoever in the process makes
 * them: the functions of the same names in libc are not reached. Linked into each program, and
 * built as a library for one that is not ours (LD_PRELOAD).
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "support/syncs.h"

static _Atomic uint64_t counts[BENCH_SYNCS];
/* NULL in a thread that has set no mark. Not an array: of a library that is preloaded it would lie
 * in the stack of every thread, and Java has threads with very little. */
static _Thread_local struct bench_sync_span *spans;
static _Thread_local unsigned span_count;

#define EXPORTED __attribute__((visibility("default")))

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint64_t begin(enum bench_sync which)
{
    atomic_fetch_add_explicit(&counts[which], 1, memory_order_relaxed);
    return now_ns();
}

static int end(uint64_t began_ns, long result)
{
    if (spans != NULL && span_count < BENCH_SYNC_SPANS) {
        spans[span_count++] = (struct bench_sync_span){.from_ns = began_ns, .to_ns = now_ns()};
    }
    return (int)result;
}

static _Thread_local uint64_t first_write_ns; /* since the mark; 0: none */

EXPORTED ssize_t pwrite(int fd, const void *from, size_t bytes, off_t at)
{
    if (spans != NULL && first_write_ns == 0) {
        first_write_ns = now_ns();
    }
    return syscall(SYS_pwrite64, fd, from, bytes, at);
}

uint64_t bench_syncs_first_write_ns(void)
{
    return first_write_ns;
}

EXPORTED int fsync(int fd)
{
    uint64_t began_ns = begin(BENCH_FSYNC);
    return end(began_ns, syscall(SYS_fsync, fd));
}

EXPORTED int fdatasync(int fd)
{
    uint64_t began_ns = begin(BENCH_FDATASYNC);
    return end(began_ns, syscall(SYS_fdatasync, fd));
}

EXPORTED int msync(void *at, size_t bytes, int flags)
{
    uint64_t began_ns = begin(BENCH_MSYNC);
    return end(began_ns, syscall(SYS_msync, at, bytes, flags));
}

EXPORTED int sync_file_range(int fd, off_t from, off_t bytes, unsigned flags)
{
    uint64_t began_ns = begin(BENCH_SYNC_RANGE);
    return end(began_ns, syscall(SYS_sync_file_range, fd, from, bytes, flags));
}

/* Of a program that is not ours, what runs in it may ask by this name (bench/rocketmq). */
EXPORTED uint64_t bench_syncs(enum bench_sync which)
{
    return atomic_load_explicit(&counts[which], memory_order_relaxed);
}

void bench_syncs_mark(void)
{
    span_count = 0;
    first_write_ns = 0;
    if (spans == NULL) {
        spans = calloc(BENCH_SYNC_SPANS, sizeof(*spans));
    }
}

unsigned bench_syncs_spans(const struct bench_sync_span **out)
{
    *out = spans;
    return span_count;
}
