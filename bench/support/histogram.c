/* SPDX-License-Identifier: BSD-2-Clause */
/* histogram.c -- see histogram.h. */
#include "support/histogram.h"

#include <stdio.h>

#include "support/bench.h"

static uint64_t histogram_upper(unsigned bucket)
{
    unsigned shift = bucket >> HISTOGRAM_SUB_BITS;
    uint64_t sub = bucket & ((1u << HISTOGRAM_SUB_BITS) - 1);
    if (shift == 0) {
        return sub;
    }
    shift--;
    return (((UINT64_C(1) << HISTOGRAM_SUB_BITS) + sub + 1) << shift) - 1;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        into->counts[i] += from->counts[i];
    }
    into->total += from->total;
    into->max = from->max > into->max ? from->max : into->max;
}

uint64_t histogram_at(const struct histogram *histogram, double share)
{
    uint64_t seen = 0;
    double wanted = share * (double)histogram->total;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (histogram->counts[i] != 0 && (double)seen >= wanted) {
            uint64_t upper = histogram_upper(i);
            return upper < histogram->max ? upper : histogram->max;
        }
    }
    return histogram->max;
}

void histogram_put(const struct histogram *histogram, json_t *line)
{
    histogram_put_as(histogram, line, "");
}

void histogram_put_as(const struct histogram *histogram, json_t *line, const char *prefix)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"p50_ns", 0.5},    {"p90_ns", 0.9},      {"p99_ns", 0.99},
                  {"p999_ns", 0.999}, {"p9999_ns", 0.9999}, {"max_ns", 1.0}};
    char name[64];
    for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s%s", prefix, points[i].name);
        bench_put_integer(line, name, histogram_at(histogram, points[i].share));
    }
}
