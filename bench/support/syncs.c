/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * syncs.c -- counts the requests that make data durable, whoever in the process makes them: the
 * functions of the same names in libc are not reached. Linked into each program, and built as a
 * library for one that is not ours (LD_PRELOAD), which prints the counts when the process ends.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/syncs.h"

static _Atomic uint64_t counts[BENCH_SYNCS];

#define EXPORTED __attribute__((visibility("default")))

static void count(enum bench_sync which)
{
    atomic_fetch_add_explicit(&counts[which], 1, memory_order_relaxed);
}

EXPORTED int fsync(int fd)
{
    count(BENCH_FSYNC);
    return (int)syscall(SYS_fsync, fd);
}

EXPORTED int fdatasync(int fd)
{
    count(BENCH_FDATASYNC);
    return (int)syscall(SYS_fdatasync, fd);
}

EXPORTED int msync(void *at, size_t bytes, int flags)
{
    count(BENCH_MSYNC);
    return (int)syscall(SYS_msync, at, bytes, flags);
}

EXPORTED int sync_file_range(int fd, off_t from, off_t bytes, unsigned flags)
{
    count(BENCH_SYNC_RANGE);
    return (int)syscall(SYS_sync_file_range, fd, from, bytes, flags);
}

uint64_t bench_syncs(enum bench_sync which)
{
    return atomic_load_explicit(&counts[which], memory_order_relaxed);
}

/* For a program that cannot ask: BENCH_SYNCS_FILE names where the counts go. */
__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("BENCH_SYNCS_FILE");
    FILE *out = path != NULL ? fopen(path, "we") : NULL;
    if (out != NULL) {
        (void)fprintf(out, "%llu %llu %llu %llu\n", (unsigned long long)bench_syncs(BENCH_FSYNC),
                      (unsigned long long)bench_syncs(BENCH_FDATASYNC),
                      (unsigned long long)bench_syncs(BENCH_MSYNC),
                      (unsigned long long)bench_syncs(BENCH_SYNC_RANGE));
        (void)fclose(out);
    }
}
