/* SPDX-License-Identifier: BSD-2-Clause */
/* passes.c -- see passes.h. */
#include "support/passes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/bench.h"

enum { NAME_BYTES = 64 };

void passes_add(struct passes *passes, uint64_t wall_ns, uint64_t records)
{
    if (passes->count == PASSES_MAX) {
        bench_die("more than %d passes", PASSES_MAX);
    }
    passes->ns[passes->count++] = records > 0 ? (double)wall_ns / (double)records : 0;
}

static int compare(const void *left, const void *right)
{
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

static struct passes passes_sorted(const struct passes *passes)
{
    struct passes sorted = *passes;
    qsort(sorted.ns, sorted.count, sizeof(sorted.ns[0]), compare);
    return sorted;
}

double passes_median(const struct passes *passes)
{
    struct passes sorted = passes_sorted(passes);
    unsigned middle = sorted.count / 2;
    if (sorted.count == 0) {
        return 0;
    }
    return sorted.count % 2 == 1 ? sorted.ns[middle]
                                 : (sorted.ns[middle - 1] + sorted.ns[middle]) / 2;
}

static void put(json_t *line, const char *name, const char *what, double value)
{
    char full[NAME_BYTES];
    (void)snprintf(full, sizeof(full), "%s%s%sns", name, name[0] != '\0' ? "_" : "", what);
    bench_put(line, full, value);
}

void passes_put(const struct passes *passes, json_t *line, const char *name)
{
    struct passes sorted = passes_sorted(passes);
    if (sorted.count > 0) {
        put(line, name, "", passes_median(passes));
        put(line, name, "least_", sorted.ns[0]);
        put(line, name, "most_", sorted.ns[sorted.count - 1]);
    }
}
