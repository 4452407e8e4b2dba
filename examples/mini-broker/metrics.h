/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.h - Prometheus' text format 0.0.4.
 *
 * Owns: nothing. Invariants: 1. the lines of a metric follow its HELP and TYPE and stand together;
 * 2. names of clients are in label values only, escaped; 3. at most METRICS_BYTES_MAX and a bit:
 * what came later is left out, and counted in a metric of its own. Threads: the loop's.
 */
#ifndef MINI_BROKER_METRICS_H
#define MINI_BROKER_METRICS_H

#include "snapshot.h"

enum { METRICS_BYTES_MAX = 4 * 1024 * 1024 };

void metrics_put(struct buffer *out, const struct snapshot *snapshot);
/* The store's statistics and histograms. */
void metrics_put_store(struct buffer *out, const struct snapshot *snapshot);

/* HELP and TYPE. */
void metrics_family(struct buffer *out, const char *name, const char *type, const char *help);
/* A line: its name, its labels one by one, its value. */
void metrics_name(struct buffer *out, const char *name);
void metrics_label(struct buffer *out, const char *label, struct text value);
void metrics_u64(struct buffer *out, uint64_t value);
void metrics_f64(struct buffer *out, double value);
/* So many thousandths, or billionths, of a unit, exactly. */
void metrics_decimal(struct buffer *out, uint64_t value, unsigned digits);

#endif
