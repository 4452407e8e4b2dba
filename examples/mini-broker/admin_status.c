/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * admin_status.c - what the broker says of itself.
 *
 * Owns: nothing. Threads: the loop's. Happy path: a table of names and values, all text. Failure
 * modes: none.
 */
#include "codes.h"
#include "dispatch.h"
#include "rates.h"
#include "reply.h"
#include "stat.h"
#include "topics.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/statvfs.h>

static void put_pair(struct buffer *out, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void put_pair(struct buffer *out, const char *name, const char *format, ...)
{
    char value[256];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(value, sizeof value, format, list);
    va_end(list);
    if (out->data[out->used - 1] != '{')
        buffer_put_byte(out, ',');
    buffer_put_json(out, text_of(name));
    buffer_put_byte(out, ':');
    buffer_put_json(out, text_of(value));
}

static double disk_ratio(const struct broker *broker)
{
    struct statvfs info;
    if (statvfs(broker->options->data, &info) != 0 || info.f_blocks == 0)
        return 0;
    return 1 - (double)info.f_bavail / (double)info.f_blocks;
}

/* Of both together; RATES_COUNT: there is no other. */
static void put_rates(struct buffer *out, const struct broker *broker, const char *name,
                      enum rates_of which, enum rates_of other)
{
    static const uint32_t seconds[] = {10, 60, 600};
    double rates[3];
    for (unsigned i = 0; i < 3; i++)
        rates[i] = rates_over(broker, which, seconds[i]) +
                   (other == RATES_COUNT ? 0 : rates_over(broker, other, seconds[i]));
    put_pair(out, name, "%.2f %.2f %.2f", rates[0], rates[1], rates[2]);
}

/* Since the start, at three times: what came on a day is the difference of two. */
static void put_totals(struct buffer *out, const struct broker *broker, const char *name,
                       enum rates_of which, uint64_t now)
{
    static const char *const days[] = {"TodayMorning", "YesterdayMorning"};
    char full[64];
    for (unsigned day = 0; day < 2; day++) {
        (void)snprintf(full, sizeof full, "%s%s", name, days[day]);
        put_pair(out, full, "%llu",
                 (unsigned long long)rates_until_morning(broker, which, day == 1));
    }
    (void)snprintf(full, sizeof full, "%sTodayNow", name);
    put_pair(out, full, "%llu", (unsigned long long)now);
}

static void put_counts(struct buffer *out, const struct broker *broker)
{
    put_rates(out, broker, "putTps", RATES_PUT, RATES_COUNT);
    put_rates(out, broker, "getTransferredTps", RATES_GET, RATES_COUNT);
    put_rates(out, broker, "getTransferedTps", RATES_GET, RATES_COUNT); /* what 4.x calls it */
    put_rates(out, broker, "getFoundTps", RATES_FOUND, RATES_COUNT);
    put_rates(out, broker, "getMissTps", RATES_MISSED, RATES_COUNT);
    put_rates(out, broker, "getTotalTps", RATES_FOUND, RATES_MISSED);
    put_totals(out, broker, "msgPutTotal", RATES_PUT, broker->put_count);
    put_totals(out, broker, "msgGetTotal", RATES_GET, broker->get_count);
}

static void put_timers(struct buffer *out, const struct broker *broker)
{
    put_pair(out, "timerCongestNum", "%llu", (unsigned long long)stat_of(broker, "timers_waiting"));
    put_pair(out, "timerEnqueueTps", "%.2f", rates_over(broker, RATES_DELAYED, 60));
    put_pair(out, "timerDequeueTps", "%.2f", rates_over(broker, RATES_DELIVERED, 60));
    put_pair(out, "timerReadBehind", "0"); /* nothing lies between the store and its timers */
    put_pair(out, "timerOffsetBehind", "0");
}

/* There are no threads that requests would wait for. */
static void put_queues(struct buffer *out)
{
    put_pair(out, "sendThreadPoolQueueSize", "0");
    put_pair(out, "pullThreadPoolQueueSize", "0");
    put_pair(out, "sendThreadPoolQueueHeadWaitTimeMills", "0");
    put_pair(out, "pullThreadPoolQueueHeadWaitTimeMills", "0");
    put_pair(out, "queryThreadPoolQueueSize", "0");
    put_pair(out, "pageCacheLockTimeMills", "0");
}

/* Store time of the oldest message; now: there is none. */
static int64_t earliest_ms(const struct broker *broker)
{
    int64_t earliest = broker_now_ms();
    for (const struct topic *topic = topic_next(broker, NULL); topic != NULL;
         topic = topic_next(broker, topic)) {
        for (uint32_t queue = 0; queue < topic->stored_queues; queue++) {
            struct commitlog_queue_info info;
            (void)topic_bounds(broker, topic, queue, &info);
            const int64_t ms = info.first_time_ns / 1000000;
            if (ms > 0 && ms < earliest)
                earliest = ms;
        }
    }
    return earliest;
}

void handle_broker_status(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    struct commitlog_positions positions = {.struct_bytes = sizeof positions};
    struct buffer *out = &broker->scratch;
    (void)commitlog_positions_get(broker->store, &positions);
    buffer_clear(out);
    buffer_put_text(out, TEXT("{\"table\":{"));
    put_pair(out, "brokerVersionDesc", "mini-broker %s", commitlog_version_text());
    put_pair(out, "brokerVersion", "%d", BROKER_VERSION);
    put_pair(out, "brokerActive", "true");
    put_pair(out, "bootTimestamp", "%lld", (long long)broker->started_ms);
    const long long up = (broker_now_ms() - broker->started_ms) / 1000;
    put_pair(out, "runtime", "[ %lld days, %lld hours, %lld minutes, %lld seconds ]", up / 86400,
             up / 3600 % 24, up / 60 % 60, up % 60);
    put_counts(out, broker);
    put_queues(out);
    put_timers(out, broker);
    put_pair(out, "earliestMessageTimeStamp", "%lld", (long long)earliest_ms(broker));
    put_pair(out, "commitLogMinOffset", "%llu", (unsigned long long)positions.first);
    put_pair(out, "commitLogMaxOffset", "%llu", (unsigned long long)positions.published);
    put_pair(out, "durableOffset", "%llu", (unsigned long long)positions.durable);
    put_pair(out, "commitLogDiskRatio", "%.4f", disk_ratio(broker));
    put_pair(out, "consumeQueueDiskRatio", "%.4f", disk_ratio(broker));
    put_pair(out, "connections", "%u", connections_count(broker));
    buffer_put_text(out, TEXT("}}"));
    reply_body(connection, command, buffer_text(out));
}

void handle_broker_config(struct connection *connection, const struct command *command)
{
    struct broker *broker = connection->broker;
    const struct options *options = broker->options;
    struct buffer *out = &broker->scratch;
    buffer_clear(out);
    buffer_format(out,
                  "brokerClusterName=%s\nbrokerName=%s\nbrokerId=0\nflushDiskType=%s\n"
                  "autoCreateTopicEnable=%s\ndefaultTopicQueueNums=%u\nmaxMessageSize=4194304\n",
                  options->cluster, options->name, options->sync ? "SYNC_FLUSH" : "ASYNC_FLUSH",
                  options->auto_topics ? "true" : "false", options->queues);
    reply_body(connection, command, buffer_text(out));
}
