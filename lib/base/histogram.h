/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * histogram.h -- the buckets of a distribution: which one a value belongs to, which values one has.
 *
 * Owns: nothing; arithmetic. The idea is HdrHistogram's (Gil Tene): each power of two is cut into
 *       the same number of equal buckets, so that one fixed table holds nanoseconds and seconds
 *       with the same relative width, and finding a bucket takes a shift.
 * Invariants: 1. a value below 16 has a bucket of its own; 2. another one up to 2^34 lies in one of
 *       16 buckets between two powers of two: not wider than a sixteenth of its smallest value;
 *       3. all values from 2^34 on (17 seconds, 16 GiB) share the last bucket.
 * Threads and locks: none; see clg_measure (log/measure.h) for who counts.
 * Happy path: clg_histogram_bucket(value) -> add one there.
 * Failure modes: none. Counts may come from memory of another process, so sums saturate.
 */
#ifndef CLG_BASE_HISTOGRAM_H
#define CLG_BASE_HISTOGRAM_H

#include <stdint.h>

#define CLG_HISTOGRAM_STEPS_LOG2 4u
#define CLG_HISTOGRAM_STEPS (1u << CLG_HISTOGRAM_STEPS_LOG2)
#define CLG_HISTOGRAM_TOP_LOG2 34u
#define CLG_HISTOGRAM_BUCKETS                                                                      \
    ((CLG_HISTOGRAM_TOP_LOG2 - CLG_HISTOGRAM_STEPS_LOG2 + 1u) * CLG_HISTOGRAM_STEPS + 1u)
#define CLG_HISTOGRAM_MILLION 1000000u

static inline uint32_t clg_histogram_bucket(uint64_t value)
{
    if (value >> CLG_HISTOGRAM_TOP_LOG2 != 0) {
        return CLG_HISTOGRAM_BUCKETS - 1;
    }
    /* With that bit set the smallest values follow the rule of the others. */
    uint32_t log2 = 63u - (uint32_t)__builtin_clzll(value | CLG_HISTOGRAM_STEPS);
    uint32_t shift = log2 - CLG_HISTOGRAM_STEPS_LOG2;
    return shift * CLG_HISTOGRAM_STEPS + (uint32_t)(value >> shift);
}

/* The smallest value of a bucket; of one behind the last: UINT64_MAX. */
uint64_t clg_histogram_floor(uint32_t bucket);

/* What all counts make together; UINT64_MAX if that is more. */
uint64_t clg_histogram_total(const uint64_t counts[CLG_HISTOGRAM_BUCKETS]);

/*
 * The value that so many of a million do not exceed, but for the width of its bucket: the largest
 * one of the bucket, or `max` if that lies in it. 0 of an empty histogram; millionths above a
 * million count as a million.
 */
uint64_t clg_histogram_quantile(const uint64_t counts[CLG_HISTOGRAM_BUCKETS], uint32_t millionths,
                                uint64_t max);

#endif
