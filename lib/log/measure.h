/*
 * measure.h -- counting what was measured into the histograms of the live area.
 *
 * Owns: nothing; the pages are the live area's (format/live_area.h, log/live.h).
 * Invariants: 1. counters and buckets only grow; 2. nothing here waits, allocates or calls the
 *       system; 3. which appends are timed depends on how many there were before alone, so a run
 *       of one thread is the same each time.
 * Threads and locks: any thread of the writer, relaxed additions: no count is lost and none is seen
 *       in part, which is all that a statistic needs. Two threads that count into the same bucket
 *       at once cost each other a cache line; of appends that do not wait one in 64 is counted.
 * Cost: two readings of the clock (28 ns each where it was measured) and 10 ns of counting for one
 *       append in 64, and a multiplication and a few tests for each: together 1 to 2 % of an append
 *       of 128 bytes, of which 130 ns were measured. Timing each costs 50 %, and one in 8 of the
 *       small writes, 1.5 us each, what is lost in the noise, where each of them was 4 %.
 *       With -DCLG_NO_MEASURE nothing is timed and no histogram counts: to see what they cost.
 * Failure modes: none.
 */
#ifndef CLG_LOG_MEASURE_H
#define CLG_LOG_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/invariant.h"
#include "base/order.h"
#include "log/live.h"

#ifdef CLG_NO_MEASURE
#define CLG_MEASURES false
#else
#define CLG_MEASURES true
#endif

/* One append in 64 is timed where it waits for no disk, and one in 8 of the writes to the page
 * cache that are so small that the clock would be felt. */
#define CLG_MEASURE_ONE_IN_LOG2 6u
#define CLG_MEASURE_SMALL_BYTES 4096u
#define CLG_MEASURE_SMALL_ONE_IN_LOG2 3u

/* Multiples of the golden ratio spread evenly, and so do those of every n-th number: what a caller
 * does at every n-th append is in the long run drawn as often as the rest. */
static inline bool clg_measure_is_drawn(uint64_t count, uint32_t one_in_log2)
{
    CLG_ASSERT(one_in_log2 > 0);
    return CLG_MEASURES && count * UINT64_C(0x9e3779b97f4a7c15) >> (64u - one_in_log2) == 0;
}

/* Counts a value that stands for so many. */
static inline void clg_measure_times(const struct clg_live *live, enum clg_histogram which,
                                     uint64_t value, uint64_t times)
{
    CLG_ASSERT(live->writable && (uint32_t)which < live->histogram_count);
    if (!CLG_MEASURES) {
        return;
    }
    struct clg_live_histogram *histogram = &live->histograms[which];
    (void)clg_add_relaxed_u64(&histogram->buckets[clg_histogram_bucket(value)], times);
    (void)clg_add_relaxed_u64(&histogram->sum, value * times);
    if (value > clg_load_relaxed_u64(&histogram->max)) {
        clg_raise_release_u64(&histogram->max, value);
    }
}

static inline void clg_measure(const struct clg_live *live, enum clg_histogram which,
                               uint64_t value)
{
    clg_measure_times(live, which, value, 1);
}

/* Nanoseconds between two readings of the monotonic clock. */
static inline uint64_t clg_measure_ns(int64_t began_ns, int64_t ended_ns)
{
    return ended_ns > began_ns ? (uint64_t)(ended_ns - began_ns) : 0;
}

#endif
