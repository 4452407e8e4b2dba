/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics_store.c - the store's statistics and histograms as metrics. See metrics.h,
 * commitlog_stats(3).
 *
 * Times become seconds. A histogram of the store has 497 buckets; here one in sixteen bounds is
 * told, each the largest value below a power of two, so that the counts are exact.
 * Happy path: what the store has, in its order, with the words of the tables below. Failure modes:
 * a statistic that the tables do not have, of a newer library, is untyped.
 */
#include "metrics.h"

#include <stdio.h>

enum stat_kind { STAT_COUNTER, STAT_GAUGE, STAT_NS };

struct stat_words {
    const char *name;
    enum stat_kind kind;
    const char *help;
};

static const struct stat_words stat_words[] = {
    {"appends", STAT_COUNTER, "Records appended."},
    {"appended_bytes", STAT_COUNTER, "Bytes that they take in the log."},
    {"batches", STAT_COUNTER, "Batches appended."},
    {"reads", STAT_COUNTER, "Messages that cursors have yielded."},
    {"read_bytes", STAT_COUNTER, "Bytes of their bodies."},
    {"room_waits", STAT_COUNTER, "Appends that had to wait for room in the stage."},
    {"checkpoints", STAT_COUNTER, "Checkpoints written."},
    {"retained_segments", STAT_COUNTER, "Segments dropped by retention."},
    {"retained_bytes", STAT_COUNTER, "Their size."},
    {"carried_bytes", STAT_COUNTER, "Bytes that retention carried forward."},
    {"open_ns", STAT_NS, "What opening the store took."},
    {"recovery_ns", STAT_NS, "What its recovery took."},
    {"timers_delivered", STAT_COUNTER, "Delayed messages delivered."},
    {"timer_copies", STAT_COUNTER, "Delayed messages that were stored again whole."},
    {"timers_waiting", STAT_GAUGE, "Delayed messages that wait."},
    {"timers_waiting_bytes", STAT_GAUGE, "Bytes of their records."},
    {"limit_waits", STAT_COUNTER, "Appends that found a limit reached, and flushed or waited."},
    {"transactions_committed", STAT_COUNTER, "Transactions committed."},
    {"transactions_rolled_back", STAT_COUNTER, "Transactions rolled back."},
    {"transaction_copies", STAT_COUNTER, "Messages of transactions that were stored again whole."},
    {"transactions_open", STAT_GAUGE, "Open transactions."},
    {"transactions_open_bytes", STAT_GAUGE, "Bytes of the records of their messages."},
    {"damage_found", STAT_COUNTER, "Damaged places found since the open."},
    {"mlock_refused", STAT_COUNTER, "How often memory could not be locked."},
    {"appends_refused_no_space", STAT_COUNTER, "Appends refused because the disk was full."},
    {"flushes", STAT_COUNTER, "Flushes of the log."},
    {"staged_bytes", STAT_GAUGE, "Bytes in the stage that are not in their segment yet."},
    {"segments", STAT_GAUGE, "Segments of the store."},
    {"segment_bytes", STAT_GAUGE, "Their size."},
    {"segments_made_ahead", STAT_COUNTER, "Segments that were ready before they were needed."},
    {"segments_made_late", STAT_COUNTER, "Segments that an append had to make itself."},
    {"segments_refused_no_space", STAT_COUNTER, "Segments not made because the disk was full."},
    {"folded_position", STAT_GAUGE, "The position up to which the views are folded."},
    {"folded_records", STAT_COUNTER, "Records folded."},
    {"fold_contradictions", STAT_COUNTER, "Records left out of a view: they contradict others."},
    {"view_memory_bytes", STAT_GAUGE, "Memory of the views."},
    {"view_mapped_bytes", STAT_GAUGE, "View files that are mapped."},
    {"view_files_written", STAT_COUNTER, "View files written."},
    {"view_files_rebuilt", STAT_COUNTER, "View files made again: missing or damaged."},
    {"view_files_pending", STAT_GAUGE, "View files that are still to be written."},
};

static void put_stat(struct buffer *out, const char *name, uint64_t value)
{
    char full[96];
    const struct stat_words *words = NULL;
    for (size_t i = 0; i < sizeof stat_words / sizeof *stat_words && words == NULL; i++) {
        if (strcmp(name, stat_words[i].name) == 0)
            words = &stat_words[i];
    }
    if (words == NULL) {
        (void)snprintf(full, sizeof full, "commitlog_%s", name);
        metrics_family(out, full, "untyped", "See commitlog_stats(3).");
        metrics_name(out, full);
        metrics_u64(out, value);
        return;
    }
    const size_t bytes = strlen(name);
    if (words->kind == STAT_NS)
        (void)snprintf(full, sizeof full, "commitlog_%.*s_seconds", (int)bytes - 3, name);
    else
        (void)snprintf(full, sizeof full, "commitlog_%s%s", name,
                       words->kind == STAT_COUNTER ? "_total" : "");
    metrics_family(out, full, words->kind == STAT_COUNTER ? "counter" : "gauge", words->help);
    metrics_name(out, full);
    if (words->kind == STAT_NS)
        metrics_decimal(out, value, 9);
    else
        metrics_u64(out, value);
}

static const struct {
    const char *name;
    const char *metric;
    const char *help;
} histogram_words[] = {
    {"append", "append_seconds", "Appends at level none; one in 64 is counted."},
    {"append_written", "append_written_seconds", "Appends at level written."},
    {"append_durable", "append_durable_seconds", "Appends at level durable."},
    {"room_wait", "room_wait_seconds", "Waits of appends for room in the stage."},
    {"drain", "drain_seconds", "Writes from the stage to a segment."},
    {"flush", "flush_seconds", "Calls of fdatasync."},
    {"flush_bytes", "flush_size_bytes", "Bytes that one flush made durable."},
    {"flush_records", "flush_records", "Records that shared one flush."},
    {"wake_up", "wake_up_seconds", "From the wake-up of a sleeping reader until it ran."},
};

static void put_bucket(struct buffer *out, const char *full, uint64_t largest, bool ns,
                       uint64_t count)
{
    char bound[40];
    const uint64_t second = 1000000000;
    if (largest == UINT64_MAX)
        (void)snprintf(bound, sizeof bound, "+Inf");
    else if (ns)
        (void)snprintf(bound, sizeof bound, "%llu.%09llu", (unsigned long long)(largest / second),
                       (unsigned long long)(largest % second));
    else
        (void)snprintf(bound, sizeof bound, "%llu", (unsigned long long)largest);
    buffer_format(out, "%s_bucket{le=\"%s\"} %llu\n", full, bound, (unsigned long long)count);
}

static void put_histogram(struct buffer *out, const struct commitlog_histogram *it)
{
    char full[96];
    const char *help = "See commitlog_stats(3).";
    const bool ns = strcmp(it->unit, "ns") == 0;
    (void)snprintf(full, sizeof full, "commitlog_%s_%s", it->name, ns ? "seconds" : it->unit);
    for (size_t i = 0; i < sizeof histogram_words / sizeof *histogram_words; i++) {
        if (strcmp(it->name, histogram_words[i].name) == 0) {
            (void)snprintf(full, sizeof full, "commitlog_%s", histogram_words[i].metric);
            help = histogram_words[i].help;
        }
    }
    metrics_family(out, full, "histogram", help);
    const uint64_t least = ns ? 1024 : strcmp(it->unit, "bytes") == 0 ? 64 : 2;
    const uint64_t most = strcmp(it->unit, "records") == 0 ? 1 << 20 : UINT64_C(1) << 34;
    uint64_t count = 0;
    for (uint32_t i = 0; i < COMMITLOG_HISTOGRAM_BUCKETS; i++) {
        count += it->buckets[i];
        const uint64_t next = commitlog_histogram_floor(i + 1);
        if (next >= least && next <= most && (next & (next - 1)) == 0)
            put_bucket(out, full, next - 1, ns, count);
    }
    put_bucket(out, full, UINT64_MAX, ns, count);
    buffer_format(out, "%s_sum", full);
    if (ns)
        metrics_decimal(out, it->sum, 9);
    else
        metrics_u64(out, it->sum);
    buffer_format(out, "%s_count", full);
    metrics_u64(out, count);
}

static void put_position(struct buffer *out, const char *name, uint64_t value)
{
    metrics_name(out, "commitlog_position_bytes");
    metrics_label(out, "position", text_of(name));
    metrics_u64(out, value);
}

void metrics_put_store(struct buffer *out, const struct snapshot *snapshot)
{
    struct commitlog_store *store = snapshot->broker->store;
    const struct commitlog_positions *at = &snapshot->positions;
    metrics_family(out, "commitlog_failed", "gauge",
                   "1: a write or a flush failed, and the store takes nothing until a restart.");
    metrics_name(out, "commitlog_failed");
    metrics_u64(out, snapshot->failure != COMMITLOG_OK);
    metrics_family(out, "commitlog_position_bytes", "gauge", "Positions of the log.");
    put_position(out, "first", at->first);
    put_position(out, "checkpointed", at->checkpointed);
    put_position(out, "durable", at->durable);
    put_position(out, "written", at->written);
    put_position(out, "published", at->published);
    put_position(out, "claimed", at->claimed);
    put_position(out, "visible", at->visible);
    const char *name;
    uint64_t value;
    for (uint32_t i = 0; commitlog_stat(store, i, &name, &value) == COMMITLOG_OK; i++)
        put_stat(out, name, value);
    struct commitlog_histogram it = {.struct_bytes = sizeof it};
    for (uint32_t i = 0; commitlog_histogram_get(store, i, &it) == COMMITLOG_OK; i++)
        put_histogram(out, &it);
}
