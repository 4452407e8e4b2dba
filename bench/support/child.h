/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * child.h -- part of a benchmark in a process of its own: one that ends, or dies as by kill -9.
 *
 * An engine is opened by children only where the parent opens it afterwards: threads and tables
 * that a library keeps when its store is closed do not survive a fork.
 *
 * Failure: the parent dies (bench_die) when a child does not end as it should.
 */
#ifndef BENCH_SUPPORT_CHILD_H
#define BENCH_SUPPORT_CHILD_H

#include <stddef.h>

enum bench_child_end {
    BENCH_CHILD_EXITS,
    /* By SIGKILL, from itself, at once: no thread of it has a moment to tidy up or to pause. */
    BENCH_CHILD_IS_KILLED
};

/* Returns when it is gone. */
void bench_child(enum bench_child_end end, void (*run)(void *ctx), void *ctx);

/* Zeros that children share with their parent; for ever. */
void *bench_shared(size_t bytes);

#endif
