/*
 * stat_values.c -- see stat_values.h.
 */
#include "stat_values.h"

#include <assert.h>
#include <string.h>

#include "when.h"

const uint32_t stat_quantiles[STAT_QUANTILES] = {500000, 990000, 999000};
const char *const stat_quantile_names[STAT_QUANTILES] = {"p50", "p99", "p99.9"};

int stat_take(struct cli *cli, struct commitlog_store *store, struct stat_values *values)
{
    assert(store != NULL && values != NULL);
    memset(values, 0, sizeof(*values));
    values->positions.struct_bytes = sizeof(values->positions);
    const int32_t rc = commitlog_positions_get(store, &values->positions);
    if (rc != COMMITLOG_OK) {
        return cli_fail(cli, cli->dir, rc, NULL);
    }
    values->clock = when_clock();
    values->time_ns = when_now_ns();
    struct stat_counter *counter = values->counters;
    while (values->counter_count < STAT_COUNTERS_MAX &&
           commitlog_stat(store, values->counter_count, &counter->name, &counter->value) ==
               COMMITLOG_OK) {
        values->counter_count++;
        counter++;
    }
    struct commitlog_histogram *histogram = values->histograms;
    for (; values->histogram_count < STAT_HISTOGRAMS_MAX; values->histogram_count++, histogram++) {
        histogram->struct_bytes = sizeof(*histogram);
        if (commitlog_histogram_get(store, values->histogram_count, histogram) != COMMITLOG_OK) {
            break;
        }
    }
    return CLI_DONE;
}

static uint64_t stat_value(const struct stat_values *values, const char *name)
{
    for (uint32_t i = 0; i < values->counter_count; i++) {
        if (strcmp(values->counters[i].name, name) == 0) {
            return values->counters[i].value;
        }
    }
    return 0;
}

bool stat_is_same_session(const struct stat_values *earlier, const struct stat_values *later)
{
    return earlier->positions.epoch == later->positions.epoch &&
           stat_value(earlier, "open_ns") == stat_value(later, "open_ns");
}

uint64_t stat_grown(const struct stat_values *earlier, const struct stat_values *later,
                    const char *name)
{
    const uint64_t before = stat_value(earlier, name);
    const uint64_t now = stat_value(later, name);
    return now > before ? now - before : 0;
}

void stat_between(const struct stat_values *earlier, const struct stat_values *later,
                  uint32_t index, struct commitlog_histogram *between)
{
    assert(index < later->histogram_count);
    const struct commitlog_histogram *now = &later->histograms[index];
    *between = *now;
    if (index >= earlier->histogram_count) {
        return;
    }
    const struct commitlog_histogram *before = &earlier->histograms[index];
    uint32_t last = COMMITLOG_HISTOGRAM_BUCKETS;
    between->count = 0;
    for (uint32_t i = 0; i < COMMITLOG_HISTOGRAM_BUCKETS; i++) {
        between->buckets[i] =
            now->buckets[i] > before->buckets[i] ? now->buckets[i] - before->buckets[i] : 0;
        between->count += between->buckets[i];
        last = between->buckets[i] > 0 ? i : last;
    }
    between->sum = now->sum > before->sum ? now->sum - before->sum : 0;
    if (last == COMMITLOG_HISTOGRAM_BUCKETS) {
        between->max = 0;
    } else if (now->max == before->max) {
        const uint64_t bound = commitlog_histogram_floor(last + 1) - 1;
        between->max = bound < now->max ? bound : now->max;
    }
}
