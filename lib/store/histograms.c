/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * histograms.c -- distributions of durations and sizes, for the public interface.
 *
 * Owns: their names and units.
 * Invariants: what is read may have been written by another process: no value is trusted for more
 *       than to be a number, and sums saturate.
 * Threads and locks: any thread; the pages are read word by word while they are counted into.
 * Failure modes: COMMITLOG_ENOTFOUND past the last one that the writer of the live area has.
 */
#include <stddef.h>
#include <string.h>

#include "base/histogram.h"
#include "base/invariant.h"
#include "base/order.h"
#include "log/measure.h"
#include "store/store.h"

CLG_STATIC_ASSERT((uint32_t)COMMITLOG_HISTOGRAM_BUCKETS == CLG_HISTOGRAM_BUCKETS, "commitlog.h");

static const struct {
    const char *name;
    const char *unit;
} histogram_names[CLG_HISTOGRAMS] = {
    [CLG_HISTOGRAM_APPEND] = {"append", "ns"},
    [CLG_HISTOGRAM_APPEND_WRITTEN] = {"append_written", "ns"},
    [CLG_HISTOGRAM_APPEND_DURABLE] = {"append_durable", "ns"},
    [CLG_HISTOGRAM_ROOM_WAIT] = {"room_wait", "ns"},
    [CLG_HISTOGRAM_DRAIN] = {"drain", "ns"},
    [CLG_HISTOGRAM_FLUSH] = {"flush", "ns"},
    [CLG_HISTOGRAM_FLUSH_BYTES] = {"flush_bytes", "bytes"},
    [CLG_HISTOGRAM_FLUSH_RECORDS] = {"flush_records", "records"},
    [CLG_HISTOGRAM_WAKE_UP] = {"wake_up", "ns"},
};

/* A number below 2^63, whatever is there. */
static uint64_t histogram_load(const _Atomic uint64_t *word)
{
    return clg_min_u64(clg_load_relaxed_u64(word), INT64_MAX);
}

static void histogram_read(const struct clg_live_histogram *page, struct commitlog_histogram *out)
{
    out->one_in = (uint32_t)clg_min_u64(histogram_load(&page->one_in), UINT32_MAX);
    out->one_in = out->one_in > 0 ? out->one_in : 1;
    for (uint32_t i = 0; i < CLG_HISTOGRAM_BUCKETS; i++) {
        out->buckets[i] = histogram_load(&page->buckets[i]);
    }
    out->sum = histogram_load(&page->sum);
    out->max = histogram_load(&page->max);
    out->count = clg_min_u64(clg_histogram_total(out->buckets), INT64_MAX);
}

int32_t commitlog_histogram_get(struct commitlog_store *store, uint32_t index,
                                struct commitlog_histogram *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct clg_core *core = clg_store_core(store);
    struct commitlog_histogram histogram;
    CLG_ASSERT(core->live.histogram_count <= CLG_HISTOGRAMS);
    if (index >= core->live.histogram_count) {
        clg_core_unref(core);
        return COMMITLOG_ENOTFOUND;
    }
    memset(&histogram, 0, sizeof(histogram));
    histogram.name = histogram_names[index].name;
    histogram.unit = histogram_names[index].unit;
    histogram_read(&core->live.histograms[index], &histogram);
    clg_core_unref(core);
    clg_copy_out(out, &histogram, sizeof(histogram));
    return COMMITLOG_OK;
}

uint64_t commitlog_histogram_floor(uint32_t bucket)
{
    return clg_histogram_floor(bucket);
}

uint64_t commitlog_histogram_quantile(const struct commitlog_histogram *histogram,
                                      uint32_t millionths)
{
    struct commitlog_histogram ours;
    if (histogram == NULL || clg_copy_in(&ours, sizeof(ours), histogram) != COMMITLOG_OK) {
        return 0;
    }
    return clg_histogram_quantile(ours.buckets, millionths, ours.max);
}
