/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * metrics.c - the broker's metrics, and how a line is written. See metrics.h, metrics_store.c,
 * commitlog-mini-broker-ops(7).
 *
 * Happy path: family by family. Failure modes: those of the buffer.
 */
#include "metrics.h"

#include "clients.h"
#include "connection.h"
#include "escape.h"
#include "http.h"
#include "ops.h"
#include "rates.h"

#include <stdio.h>
#include <sys/resource.h>

void metrics_family(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_name(struct buffer *out, const char *name)
{
    buffer_put_text(out, text_of(name));
}

static bool in_labels(const struct buffer *out)
{
    return !out->failed && out->used > 0 && out->data[out->used - 1] == '"'; /* no name ends so */
}

void metrics_label(struct buffer *out, const char *label, struct text value)
{
    buffer_put_byte(out, in_labels(out) ? ',' : '{');
    buffer_put_text(out, text_of(label));
    buffer_put_text(out, TEXT("=\""));
    escape_label(out, value);
    buffer_put_byte(out, '"');
}

static void before_value(struct buffer *out)
{
    if (in_labels(out))
        buffer_put_byte(out, '}');
    buffer_put_byte(out, ' ');
}

void metrics_u64(struct buffer *out, uint64_t value)
{
    before_value(out);
    buffer_format(out, "%llu\n", (unsigned long long)value);
}

void metrics_f64(struct buffer *out, double value)
{
    before_value(out);
    buffer_format(out, "%.9g\n", value);
}

void metrics_decimal(struct buffer *out, uint64_t value, unsigned digits)
{
    uint64_t unit = 1;
    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    before_value(out);
    buffer_format(out, "%llu.%0*llu\n", (unsigned long long)(value / unit), (int)digits,
                  (unsigned long long)(value % unit));
}

static void gauge(struct buffer *out, const char *name, uint64_t value, const char *help)
{
    metrics_family(out, name, "gauge", help);
    metrics_name(out, name);
    metrics_u64(out, value);
}

static void gauge_f64(struct buffer *out, const char *name, double value, const char *help)
{
    metrics_family(out, name, "gauge", help);
    metrics_name(out, name);
    metrics_f64(out, value);
}

static void counter(struct buffer *out, const char *name, uint64_t value, const char *help)
{
    metrics_family(out, name, "counter", help);
    metrics_name(out, name);
    metrics_u64(out, value);
}

static void put_broker(struct buffer *out, const struct snapshot *snapshot)
{
    const struct broker *broker = snapshot->broker;
    const struct options *options = broker->options;
    const struct ops *ops = broker->ops;
    metrics_family(out, "mini_broker_info", "gauge", "Always 1; the labels say what this is.");
    metrics_name(out, "mini_broker_info");
    metrics_label(out, "version", text_of(commitlog_version_text()));
    metrics_label(out, "cluster", text_of(options->cluster));
    metrics_label(out, "name", text_of(options->name));
    metrics_u64(out, 1);
    counter(out, "mini_broker_messages_received_total", broker->put_count,
            "Messages taken from producers; of a transaction when it is committed.");
    counter(out, "mini_broker_messages_delivered_total", broker->get_count,
            "Messages given to consumers that pulled them.");
    gauge_f64(out, "mini_broker_messages_received_per_second",
              rates_over(broker, RATES_PUT, RATE_SECONDS),
              "Messages taken a second, over the last ten seconds.");
    gauge_f64(out, "mini_broker_messages_delivered_per_second",
              rates_over(broker, RATES_GET, RATE_SECONDS),
              "Messages given a second, over the last ten seconds.");
    gauge(out, "mini_broker_connections", connections_count(broker), "Connections of clients.");
    gauge(out, "mini_broker_connections_limit", options->connections,
          "Connections of clients, at most.");
    gauge(out, "mini_broker_held_pulls", snapshot->held, "Pulls that wait for messages.");
    gauge(out, "mini_broker_flush_sync", options->sync,
          "1: producers are answered when their messages are durable; 0: at once.");
    gauge(
        out, "mini_broker_config_last_reload_successful", !ops->reload_failed,
        "0: the last SIGHUP found a mistake in the configuration or the accounts: those that have "
        "it stay as they were.");
    metrics_family(out, "mini_broker_config_last_reload_success_timestamp_seconds", "gauge",
                   "When the configuration was last taken, since 1970.");
    metrics_name(out, "mini_broker_config_last_reload_success_timestamp_seconds");
    metrics_decimal(out, (uint64_t)ops->reloaded_ms, 3);
}

static void put_process(struct buffer *out, const struct snapshot *snapshot)
{
    struct rlimit limit = {0};
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    metrics_family(out, "process_start_time_seconds", "gauge", "Start of the broker, since 1970.");
    metrics_name(out, "process_start_time_seconds");
    metrics_decimal(out, (uint64_t)snapshot->broker->started_ms, 3);
    metrics_family(out, "process_cpu_seconds_total", "counter", "User and system CPU time.");
    metrics_name(out, "process_cpu_seconds_total");
    metrics_f64(out, snapshot->cpu_seconds);
    gauge(out, "process_resident_memory_bytes", snapshot->resident_bytes,
          "Resident memory, mapped pages of the store included.");
    gauge(out, "process_virtual_memory_bytes", snapshot->virtual_bytes, "Virtual memory.");
    gauge(out, "process_max_fds", limit.rlim_cur, "Open descriptors, at most.");
    gauge(out, "mini_broker_disk_size_bytes", snapshot->disk_bytes,
          "Size of the file system that the store is on.");
    gauge(out, "mini_broker_disk_full", snapshot->full,
          "1: messages are refused, because there is no room on it.");
    gauge(out, "mini_broker_disk_free_bytes", snapshot->disk_free, "What is free of it.");
}

static bool is_full(const struct buffer *out)
{
    return out->used > METRICS_BYTES_MAX;
}

static void topic_name(struct buffer *out, const char *name, const struct topic *topic)
{
    metrics_name(out, name);
    metrics_label(out, "topic", topic->entry.name);
}

/* What is said of each topic. */
static const struct {
    const char *name;
    const char *type;
    const char *help;
} topic_families[] = {
    {"mini_broker_topic_messages_received_total", "counter",
     "Messages taken from producers, by topic."},
    {"mini_broker_topic_messages_received_per_second", "gauge",
     "Messages taken a second, over the last ten seconds, by topic."},
    {"mini_broker_topic_messages", "gauge", "Messages kept, by topic."},
    {"mini_broker_topic_read_queues", "gauge", "Queues that consumers read, by topic."},
    {"mini_broker_topic_write_queues", "gauge", "Queues that producers write to, by topic."},
    {"mini_broker_topic_last_message_timestamp_seconds", "gauge",
     "When the last message was stored, since 1970, by topic; 0: there is none."},
};

static void topic_value(struct buffer *out, size_t family, const struct snapshot_topic *one)
{
    switch (family) {
    case 0:
        metrics_u64(out, one->topic->put_count);
        break;
    case 1:
        metrics_f64(out, one->rate);
        break;
    case 2:
        metrics_u64(out, one->messages);
        break;
    case 3:
        metrics_u64(out, one->topic->read_queues);
        break;
    case 4:
        metrics_u64(out, one->topic->write_queues);
        break;
    default:
        metrics_decimal(out, (uint64_t)one->last_ms, 3);
        break;
    }
}

static uint64_t put_topics(struct buffer *out, const struct snapshot *snapshot)
{
    uint64_t left_out = 0;
    gauge(out, "mini_broker_topics", snapshot->topics_all, "Topics, the broker's own included.");
    for (size_t family = 0; family < sizeof topic_families / sizeof *topic_families; family++) {
        const char *name = topic_families[family].name;
        metrics_family(out, name, topic_families[family].type, topic_families[family].help);
        for (size_t i = 0; i < snapshot->topic_count; i++) {
            if (is_full(out)) {
                left_out++;
                continue;
            }
            topic_name(out, name, snapshot->topics[i].topic);
            topic_value(out, family, &snapshot->topics[i]);
        }
    }
    return left_out;
}

static uint64_t put_queues(struct buffer *out, const struct snapshot *snapshot, const char *name,
                           bool next, const char *help)
{
    uint64_t left_out = 0;
    metrics_family(out, name, "gauge", help);
    for (size_t i = 0; i < snapshot->topic_count; i++) {
        const struct snapshot_topic *one = &snapshot->topics[i];
        for (uint32_t queue = 0; queue < one->queue_count; queue++) {
            const struct snapshot_queue *at = &snapshot->queues[one->queue + queue];
            char number[16];
            if (is_full(out)) {
                left_out++;
                continue;
            }
            topic_name(out, name, one->topic);
            (void)snprintf(number, sizeof number, "%u", queue);
            metrics_label(out, "queue", text_of(number));
            metrics_u64(out, next ? at->next : at->first);
        }
    }
    return left_out;
}

enum lag_what { LAG_MESSAGES, LAG_SECONDS, LAG_DROPPED };

static uint64_t put_lags(struct buffer *out, const struct snapshot *snapshot, const char *name,
                         enum lag_what what, const char *help)
{
    uint64_t left_out = 0;
    metrics_family(out, name, "gauge", help);
    for (size_t i = 0; i < snapshot->lag_count; i++) {
        const struct snapshot_lag *lag = &snapshot->lags[i];
        if (is_full(out)) {
            left_out++;
            continue;
        }
        metrics_name(out, name);
        metrics_label(out, "group", lag->group->entry.name);
        metrics_label(out, "topic", lag->topic->entry.name);
        const int64_t age = lag->oldest_ms == 0 ? 0 : snapshot->now_ms - lag->oldest_ms;
        if (what == LAG_SECONDS)
            metrics_decimal(out, age < 0 ? 0 : (uint64_t)age, 3);
        else
            metrics_u64(out, what == LAG_MESSAGES ? lag->messages : lag->dropped);
    }
    return left_out;
}

static uint64_t put_members(struct buffer *out, const struct snapshot *snapshot)
{
    static const char name[] = "mini_broker_group_consumers";
    uint64_t left_out = 0, groups = 0;
    metrics_family(out, name, "gauge", "Consumers that are connected, by group.");
    for (const struct audience *audience = clients_next_consumers(snapshot->broker, NULL);
         audience != NULL; audience = clients_next_consumers(snapshot->broker, audience)) {
        if (is_full(out) || groups++ >= SNAPSHOT_LAGS_MAX) {
            left_out++;
            continue;
        }
        metrics_name(out, name);
        metrics_label(out, "group", audience->entry.name);
        metrics_u64(out, audience->member_count);
    }
    return left_out;
}

void metrics_put(struct buffer *out, const struct snapshot *snapshot)
{
    uint64_t left_out = snapshot->left_out;
    put_broker(out, snapshot);
    put_process(out, snapshot);
    http_put_metrics(out, snapshot->broker->ops->http);
    metrics_put_store(out, snapshot);
    left_out += put_topics(out, snapshot);
    left_out += put_lags(out, snapshot, "mini_broker_group_lag_messages", LAG_MESSAGES,
                         "Messages that a group has yet to consume, by topic.");
    left_out += put_lags(out, snapshot, "mini_broker_group_lag_seconds", LAG_SECONDS,
                         "Age of the oldest of them; 0: there are none.");
    left_out += put_lags(out, snapshot, "mini_broker_group_dropped_messages", LAG_DROPPED,
                         "Messages that retention took before the group consumed them.");
    left_out += put_members(out, snapshot);
    left_out += put_queues(out, snapshot, "mini_broker_queue_first_offset", false,
                           "First offset that is kept.");
    left_out += put_queues(out, snapshot, "mini_broker_queue_next_offset", true,
                           "Offset of the next message: so many there have been.");
    gauge(out, "mini_broker_series_left_out", left_out,
          "Lines that are missing here because there would be too many.");
}
