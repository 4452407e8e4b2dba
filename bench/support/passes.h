/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * passes.h -- the same work done several times: how long each pass took per record, and the middle
 * of them.
 */
#ifndef BENCH_SUPPORT_PASSES_H
#define BENCH_SUPPORT_PASSES_H

#include <jansson.h>
#include <stdint.h>

enum { PASSES_MAX = 64 };

struct passes {
    double ns[PASSES_MAX]; /* per record */
    unsigned count;
};

void passes_add(struct passes *passes, uint64_t wall_ns, uint64_t records);
/* 0 when there was none. */
double passes_median(const struct passes *passes);
/* The median as `name`_ns (ns if it is ""), the extremes as `name`_least_ns and `name`_most_ns. */
void passes_put(const struct passes *passes, json_t *line, const char *name);

#endif
