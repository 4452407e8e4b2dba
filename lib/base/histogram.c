/* SPDX-License-Identifier: BSD-2-Clause */
/* histogram.c -- see histogram.h. */
#include "base/histogram.h"

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/invariant.h"

CLG_STATIC_ASSERT(CLG_HISTOGRAM_BUCKETS == 497u, "as commitlog.h and commitlog-format(5) say");

uint64_t clg_histogram_floor(uint32_t bucket)
{
    if (bucket < CLG_HISTOGRAM_STEPS) {
        return bucket;
    }
    if (bucket >= CLG_HISTOGRAM_BUCKETS) {
        return UINT64_MAX;
    }
    uint32_t shift = bucket / CLG_HISTOGRAM_STEPS - 1;
    uint64_t floor = (uint64_t)(CLG_HISTOGRAM_STEPS + bucket % CLG_HISTOGRAM_STEPS) << shift;
    CLG_ASSERT(clg_histogram_bucket(floor) == bucket);
    CLG_ASSERT(clg_histogram_bucket(floor - 1) == bucket - 1);
    return floor;
}

uint64_t clg_histogram_total(const uint64_t counts[CLG_HISTOGRAM_BUCKETS])
{
    uint64_t total = 0;
    CLG_ASSERT(counts != NULL);
    for (uint32_t i = 0; i < CLG_HISTOGRAM_BUCKETS; i++) {
        total = counts[i] < UINT64_MAX - total ? total + counts[i] : UINT64_MAX;
    }
    return total;
}

/* ceil(total * millionths / a million), without more than 64 bits. */
static uint64_t histogram_rank(uint64_t total, uint32_t millionths)
{
    uint64_t rest = total % CLG_HISTOGRAM_MILLION * millionths;
    uint64_t rank = total / CLG_HISTOGRAM_MILLION * millionths + rest / CLG_HISTOGRAM_MILLION +
                    (rest % CLG_HISTOGRAM_MILLION != 0 ? 1 : 0);
    CLG_ASSERT(rank <= total);
    return clg_max_u64(rank, 1);
}

uint64_t clg_histogram_quantile(const uint64_t counts[CLG_HISTOGRAM_BUCKETS], uint32_t millionths,
                                uint64_t max)
{
    uint64_t total = clg_histogram_total(counts);
    if (total == 0) {
        return 0;
    }
    uint64_t left = histogram_rank(
        total, millionths < CLG_HISTOGRAM_MILLION ? millionths : CLG_HISTOGRAM_MILLION);
    CLG_ASSERT(left >= 1 && left <= total);
    uint32_t bucket = 0;
    while (bucket + 1 < CLG_HISTOGRAM_BUCKETS && counts[bucket] < left) {
        left -= counts[bucket++];
    }
    bool last = bucket + 1 == CLG_HISTOGRAM_BUCKETS;
    uint64_t largest = last ? UINT64_MAX : clg_histogram_floor(bucket + 1) - 1;
    return clg_max_u64(clg_histogram_floor(bucket), clg_min_u64(max, largest));
}
