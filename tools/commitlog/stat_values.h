/*
 * stat_values.h -- the numbers of a store at one moment, and what lies between two moments.
 *
 * Owns: copies of positions, counters and histograms; names belong to the library.
 * Threads and locks: one thread.
 * Happy path: stat_take -> (a second later) stat_take -> stat_between.
 * Failure modes: stat_take reports what the library refuses.
 */
#ifndef COMMITLOG_TOOL_STAT_VALUES_H
#define COMMITLOG_TOOL_STAT_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#include "cli.h"

enum { STAT_COUNTERS_MAX = 64, STAT_HISTOGRAMS_MAX = 32 };

struct stat_counter {
    const char *name;
    uint64_t value;
};

struct stat_values {
    double clock;    /* when_clock() */
    int64_t time_ns; /* since 1970 */
    struct commitlog_positions positions;
    uint32_t counter_count;
    uint32_t histogram_count;
    struct stat_counter counters[STAT_COUNTERS_MAX];
    struct commitlog_histogram histograms[STAT_HISTOGRAMS_MAX];
};

/* Quantiles as they are shown, in millionths. */
enum { STAT_QUANTILES = 3 };
extern const uint32_t stat_quantiles[STAT_QUANTILES];
extern const char *const stat_quantile_names[STAT_QUANTILES];

/* CLI_DONE, or the failure is reported. */
int stat_take(struct cli *cli, struct commitlog_store *store, struct stat_values *values);

/* Is `later` of the same writer, or did another one begin anew in between? */
bool stat_is_same_session(const struct stat_values *earlier, const struct stat_values *later);

/* What a counter grew by; `name` must be one that only grows. */
uint64_t stat_grown(const struct stat_values *earlier, const struct stat_values *later,
                    const char *name);

/* What came into the histogram `index` of `later` since `earlier`. Its max is the largest value if
 * that is of this time, else the upper bound of its bucket. */
void stat_between(const struct stat_values *earlier, const struct stat_values *later,
                  uint32_t index, struct commitlog_histogram *between);

#endif
