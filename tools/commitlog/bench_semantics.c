/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench_semantics.c -- what delivery and consumption cost: offsets of groups, work, delayed
 * messages and transactions, in time and in bytes of the log.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "watch.h"
#include "when.h"

enum {
    BENCH_BODY = 128,
    BENCH_AT_ONCE = 32,   /* messages of a receive */
    BENCH_DELAY_MS = 500, /* at least so long after the last one was appended */
    BENCH_LARGE = 20      /* messages of the larger transactions */
};

/* A store of its own for each run. */
struct bench_store {
    struct commitlog_store *store;
    uint32_t topic;
    char body[BENCH_BODY];
};

static int bench_store_open(struct bench *bench, struct bench_store *out)
{
    struct commitlog_options *options = NULL;
    memset(out, 0, sizeof(*out));
    memset(out->body, 's', sizeof(out->body));
    int status = bench_options(bench, 0, &options);
    if (status == CLI_DONE) {
        status = bench_open(bench, "semantics", options, &out->store);
    }
    commitlog_options_free(options);
    return status == CLI_DONE ? bench_topic(bench, out->store, "bench", 1, &out->topic) : status;
}

static int bench_store_close(struct bench *bench, struct bench_store *opened, int status)
{
    char path[BENCH_PATH];
    const int closed = opened->store == NULL ? CLI_DONE : bench_close(bench, opened->store);
    bench_path(bench, "semantics", path, sizeof(path));
    bench_remove(path);
    return status != CLI_DONE ? status : closed;
}

static struct commitlog_record bench_record(const struct bench_store *opened,
                                            const struct commitlog_slice *body)
{
    return (struct commitlog_record){.struct_bytes = sizeof(struct commitlog_record),
                                     .topic = opened->topic,
                                     .level = COMMITLOG_LEVEL_NONE,
                                     .body = body,
                                     .body_count = 1};
}

/* Plain appends; the seconds they take. */
static int bench_fill(struct bench *bench, struct bench_store *opened, double *seconds)
{
    const double begin = when_clock();
    for (uint64_t i = 0; i < bench->records; i++) {
        const int32_t rc = commitlog_append(opened->store, opened->topic, 0, opened->body,
                                            BENCH_BODY, COMMITLOG_LEVEL_NONE, NULL);
        if (rc != COMMITLOG_OK) {
            return bench_fail(bench, rc, NULL);
        }
    }
    *seconds = when_clock() - begin;
    return CLI_DONE;
}

static uint64_t bench_claimed(const struct bench_store *opened)
{
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    (void)commitlog_positions_get(opened->store, &at);
    return at.claimed;
}

/* ---- consume ---- */

struct bench_consumed {
    struct bench_values commits;  /* of offsets, one each */
    struct bench_values received; /* and acknowledged */
    struct bench_values acks;     /* of them the acknowledgement alone */
    struct bench_values bytes;
};

static int bench_commits(struct bench *bench, struct bench_store *opened,
                         struct commitlog_group *group, struct bench_consumed *out)
{
    struct commitlog_error err = {0};
    const double begin = when_clock();
    for (uint64_t i = 1; i <= bench->records; i++) {
        const struct commitlog_group_offset offset = {.topic = opened->topic, .offset = i};
        const int32_t rc = commitlog_group_commit(group, 0, &offset, 1, COMMITLOG_LEVEL_NONE,
                                                  COMMITLOG_FOREVER, NULL, &err);
        if (rc != COMMITLOG_OK) {
            return bench_fail(bench, rc, &err);
        }
    }
    bench_add(&out->commits, (double)bench->records / (when_clock() - begin));
    return CLI_DONE;
}

static int bench_receive(struct bench *bench, struct bench_store *opened,
                         struct commitlog_group *group, struct bench_consumed *out)
{
    struct commitlog_error err = {0};
    struct commitlog_receiver *receiver = NULL;
    int32_t rc = commitlog_receiver_open(group, opened->topic, NULL, &receiver, &err);
    const uint64_t before = bench_claimed(opened);
    const double begin = when_clock();
    double acking = 0;
    uint64_t done = 0;
    while (rc == COMMITLOG_OK && done < bench->records) {
        struct commitlog_message messages[BENCH_AT_ONCE];
        struct commitlog_delivery deliveries[BENCH_AT_ONCE];
        uint32_t count = 0;
        rc = commitlog_receive(receiver, messages, deliveries, BENCH_AT_ONCE, 0, &count, &err);
        const double received = when_clock();
        if (rc == COMMITLOG_OK) {
            rc = commitlog_ack(receiver, deliveries, count, COMMITLOG_LEVEL_NONE, &err);
        }
        acking += when_clock() - received;
        done += count;
    }
    const double seconds = when_clock() - begin;
    commitlog_receiver_close(receiver);
    if (rc != COMMITLOG_OK) {
        return bench_fail(bench, rc, &err);
    }
    bench_add(&out->received, (double)done / seconds);
    bench_add(&out->acks, (double)done / acking);
    bench_add(&out->bytes, (double)(bench_claimed(opened) - before) / (double)done);
    return CLI_DONE;
}

static int bench_consume_run(struct bench *bench, struct bench_store *opened,
                             struct bench_consumed *out)
{
    struct commitlog_error err = {0};
    struct commitlog_group *groups[2] = {NULL, NULL};
    double seconds = 0;
    int status = bench_fill(bench, opened, &seconds);
    for (int i = 0; status == CLI_DONE && i < 2; i++) {
        const int32_t rc = commitlog_group_open(opened->store, i == 0 ? "a" : "b", 1,
                                                COMMITLOG_GROUP_CREATE, &groups[i], &err);
        status = rc == COMMITLOG_OK ? CLI_DONE : bench_fail(bench, rc, &err);
    }
    if (status == CLI_DONE) {
        status = bench_commits(bench, opened, groups[0], out);
    }
    if (status == CLI_DONE) {
        status = bench_receive(bench, opened, groups[1], out);
    }
    commitlog_group_close(groups[0]);
    commitlog_group_close(groups[1]);
    return status;
}

int bench_consume(struct bench *bench)
{
    struct bench_consumed all = {.commits = {.count = 0}};
    for (uint64_t run = 0; run < bench->runs && !watch_ended(bench->cli->watch); run++) {
        struct bench_store opened;
        int status = bench_store_open(bench, &opened);
        if (status == CLI_DONE) {
            status = bench_consume_run(bench, &opened, &all);
        }
        status = bench_store_close(bench, &opened, status);
        if (status != CLI_DONE) {
            return status;
        }
    }
    if (all.bytes.count > 0) {
        bench_report(bench, "commit an offset of a group, level none", "commits/s", &all.commits,
                     BENCH_AT_LEAST, 200000);
        bench_report(bench, "receive and acknowledge, 32 at once", "messages/s", &all.received,
                     BENCH_INFO, 0);
        bench_report(bench, "  of that the acknowledgement", "messages/s", &all.acks,
                     BENCH_AT_LEAST, 500000);
        bench_report(bench, "  bytes of the log for each", "bytes", &all.bytes, BENCH_AT_MOST, 100);
    }
    return CLI_DONE;
}

/* ---- deliver ---- */

struct bench_delivered {
    struct bench_values plain; /* appends */
    struct bench_values delayed;
    struct bench_values due; /* deliveries */
    struct bench_values due_bytes;
    struct bench_values small; /* messages in transactions of one */
    struct bench_values small_bytes;
    struct bench_values large; /* of BENCH_LARGE */
    struct bench_values large_bytes;
    double plain_bytes; /* of a record */
};

/* Until the queue has so many messages. */
static int bench_wait_for(struct bench *bench, struct bench_store *opened, uint64_t least,
                          uint64_t *end)
{
    struct commitlog_queue_info info = {.struct_bytes = sizeof(info)};
    int32_t rc = commitlog_queue_info(opened->store, opened->topic, 0, &info);
    while (rc == COMMITLOG_OK && info.next_offset < least) {
        rc = commitlog_wait(opened->store, bench_claimed(opened), 5);
        if (rc == COMMITLOG_OK || rc == COMMITLOG_ETIMEDOUT) {
            rc = commitlog_queue_info(opened->store, opened->topic, 0, &info);
        }
    }
    *end = info.next_offset;
    return rc == COMMITLOG_OK ? CLI_DONE : bench_fail(bench, rc, NULL);
}

/* All due at the same time; delivered by the library's thread. */
static int bench_delay(struct bench *bench, struct bench_store *opened, struct bench_delivered *out)
{
    struct commitlog_error err = {0};
    const struct commitlog_slice body = {opened->body, BENCH_BODY};
    struct commitlog_record record = bench_record(opened, &body);
    const uint64_t before = bench_claimed(opened);
    const double begin = when_clock();
    /* As long as the slowest machine takes to append them. */
    record.deliver_at_ms =
        when_now_ns() / 1000000 + BENCH_DELAY_MS + (int64_t)(bench->records / 200);
    for (uint64_t i = 0; i < bench->records; i++) {
        const int32_t rc =
            commitlog_append_record(opened->store, &record, COMMITLOG_FOREVER, NULL, &err);
        if (rc != COMMITLOG_OK) {
            return bench_fail(bench, rc, &err);
        }
    }
    bench_add(&out->delayed, (double)bench->records / (when_clock() - begin));
    uint64_t end = 0;
    int status = bench_wait_for(bench, opened, 1, &end);
    const double started = when_clock();
    const uint64_t started_at = end;
    if (status == CLI_DONE) {
        status = bench_wait_for(bench, opened, bench->records, &end);
    }
    if (status != CLI_DONE) {
        return status;
    }
    if (end > started_at) { /* few are delivered at once, in no time that could be measured */
        bench_add(&out->due, (double)(end - started_at) / (when_clock() - started));
    }
    bench_add(&out->due_bytes,
              (double)(bench_claimed(opened) - before) / (double)bench->records - out->plain_bytes);
    return CLI_DONE;
}

static int bench_transactions(struct bench *bench, struct bench_store *opened, uint64_t each,
                              struct bench_values *rate, struct bench_values *bytes,
                              double plain_bytes)
{
    struct commitlog_error err = {0};
    const struct commitlog_slice body = {opened->body, BENCH_BODY};
    const struct commitlog_record record = bench_record(opened, &body);
    const uint64_t before = bench_claimed(opened);
    const double begin = when_clock();
    uint64_t done = 0;
    int32_t rc = COMMITLOG_OK;
    while (rc == COMMITLOG_OK && done < bench->records) {
        struct commitlog_transaction *transaction = NULL;
        rc = commitlog_transaction_begin(opened->store, "bench", 5, NULL, &transaction, &err);
        for (uint64_t i = 0; rc == COMMITLOG_OK && i < each; i++) {
            rc = commitlog_transaction_append(transaction, &record, COMMITLOG_FOREVER, NULL, &err);
        }
        if (rc == COMMITLOG_OK) {
            rc = commitlog_transaction_commit(transaction, COMMITLOG_LEVEL_NONE, COMMITLOG_FOREVER,
                                              NULL, &err);
        }
        commitlog_transaction_close(transaction);
        done += each;
    }
    if (rc != COMMITLOG_OK) {
        return bench_fail(bench, rc, &err);
    }
    bench_add(rate, (double)done / (when_clock() - begin));
    bench_add(bytes, (double)(bench_claimed(opened) - before) / (double)done - plain_bytes);
    return CLI_DONE;
}

static int bench_plain(struct bench *bench, struct bench_store *opened, struct bench_delivered *out)
{
    double seconds = 0;
    const uint64_t before = bench_claimed(opened);
    const int status = bench_fill(bench, opened, &seconds);
    if (status == CLI_DONE) {
        bench_add(&out->plain, (double)bench->records / seconds);
        out->plain_bytes = (double)(bench_claimed(opened) - before) / (double)bench->records;
    }
    return status;
}

static int bench_small(struct bench *bench, struct bench_store *opened, struct bench_delivered *out)
{
    return bench_transactions(bench, opened, 1, &out->small, &out->small_bytes, out->plain_bytes);
}

static int bench_large(struct bench *bench, struct bench_store *opened, struct bench_delivered *out)
{
    return bench_transactions(bench, opened, BENCH_LARGE, &out->large, &out->large_bytes,
                              out->plain_bytes);
}

/* Each in a store of its own: what the others have stored decides what is delivered as a copy. */
static int bench_deliver_run(struct bench *bench, struct bench_delivered *out)
{
    static int (*const parts[])(struct bench *, struct bench_store *, struct bench_delivered *) = {
        bench_plain, bench_delay, bench_small, bench_large};
    int status = CLI_DONE;
    for (size_t i = 0; status == CLI_DONE && i < sizeof(parts) / sizeof(parts[0]); i++) {
        struct bench_store opened;
        status = bench_store_open(bench, &opened);
        if (status == CLI_DONE) {
            status = parts[i](bench, &opened, out);
        }
        status = bench_store_close(bench, &opened, status);
    }
    return status;
}

int bench_deliver(struct bench *bench)
{
    struct bench_delivered all = {.plain_bytes = 0};
    for (uint64_t run = 0; run < bench->runs && !watch_ended(bench->cli->watch); run++) {
        const int status = bench_deliver_run(bench, &all);
        if (status != CLI_DONE) {
            return status;
        }
    }
    if (all.large.count == 0) {
        return CLI_DONE;
    }
    bench_report(bench, "append 128 bytes", "records/s", &all.plain, BENCH_INFO, 0);
    bench_report(bench, "  the same to be delivered later", "records/s", &all.delayed, BENCH_INFO,
                 0);
    if (all.due.count > 0) {
        bench_report(bench, "  deliver what is due", "messages/s", &all.due, BENCH_INFO, 0);
    }
    bench_report(bench, "  bytes of the log more for each delayed one", "bytes", &all.due_bytes,
                 BENCH_AT_MOST, 100);
    bench_report(bench, "  in transactions of 1", "messages/s", &all.small, BENCH_INFO, 0);
    bench_report(bench, "  bytes of the log more in transactions of 1", "bytes", &all.small_bytes,
                 BENCH_AT_MOST, 100);
    bench_report(bench, "  in transactions of 20", "messages/s", &all.large, BENCH_INFO, 0);
    bench_report(bench, "  bytes of the log more in transactions of 20", "bytes", &all.large_bytes,
                 BENCH_AT_MOST, 100);
    return CLI_DONE;
}
