/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * histogram.h -- latencies: a count for each 1/64 of each power of two, so that a percentile is
 * right to 1.6 %; the largest one is kept exactly. From 0 to 2^40 ns.
 *
 * Source: the log-linear buckets of HdrHistogram (Gil Tene), with a fixed range.
 */
#ifndef BENCH_SUPPORT_HISTOGRAM_H
#define BENCH_SUPPORT_HISTOGRAM_H

#include <jansson.h>
#include <stdint.h>

enum { HISTOGRAM_SUB_BITS = 6, HISTOGRAM_BITS = 40 };
enum { HISTOGRAM_BUCKETS = (HISTOGRAM_BITS - HISTOGRAM_SUB_BITS + 1) << HISTOGRAM_SUB_BITS };

struct histogram {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
    uint64_t max;
};

static inline unsigned histogram_bucket(uint64_t value)
{
    if (value >> HISTOGRAM_BITS != 0) {
        return HISTOGRAM_BUCKETS - 1;
    }
    if (value >> HISTOGRAM_SUB_BITS == 0) {
        return (unsigned)value;
    }
    unsigned shift = 63u - (unsigned)__builtin_clzll(value) - HISTOGRAM_SUB_BITS;
    return ((shift + 1) << HISTOGRAM_SUB_BITS) +
           (unsigned)((value >> shift) & ((1u << HISTOGRAM_SUB_BITS) - 1));
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->counts[histogram_bucket(value)]++;
    histogram->total++;
    histogram->max = value > histogram->max ? value : histogram->max;
}

void histogram_merge(struct histogram *into, const struct histogram *from);
/* The upper bound of the bucket in which this share (0 to 1) of all values is reached; 0 if none.
 */
uint64_t histogram_at(const struct histogram *histogram, double share);
/* p50_ns, p90_ns, p99_ns, p999_ns, p9999_ns, max_ns. */
void histogram_put(const struct histogram *histogram, json_t *line);
/* The same with this in front of each name: a line may have several. */
void histogram_put_as(const struct histogram *histogram, json_t *line, const char *prefix);

#endif
