/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * batch.c - a transfer between two accounts: two records in two topics, stored as one.
 *
 * Whatever happens, a power cut included, a reader finds both records or neither. The program
 * makes a few transfers and then adds up both topics: the sum is always zero.
 *
 *   batch [DIR]        default: transfers.store
 */
#include <commitlog.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FETCH = 64, TEXT = 32 };

static int32_t complain(const char *what, int32_t code, const struct commitlog_error *err)
{
    const int detailed = err != NULL && err->code == code;
    fprintf(stderr, "batch: %s: %s\n", what, detailed ? err->message : commitlog_error_text(code));
    return code;
}

static int32_t open_topic(struct commitlog_store *store, const char *name, uint32_t *out_topic)
{
    struct commitlog_error err = {0};
    const int32_t code = commitlog_topic_open(store, name, strlen(name), 1, out_topic, &err);
    return code == COMMITLOG_OK ? code : complain(name, code, &err);
}

/* Takes `amount` from one topic and gives it to the other, in one batch. */
static int32_t transfer(struct commitlog_store *store, uint32_t from, uint32_t to, int amount)
{
    char taken[TEXT], given[TEXT];
    snprintf(taken, sizeof taken, "%d", -amount);
    snprintf(given, sizeof given, "%d", amount);
    const struct commitlog_slice take = {taken, strlen(taken)};
    const struct commitlog_slice give = {given, strlen(given)};

    struct commitlog_record records[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        records[i].struct_bytes = sizeof records[i];
        records[i].level = COMMITLOG_LEVEL_DURABLE;
        records[i].body_count = 1;
    }
    records[0].topic = from;
    records[0].body = &take;
    records[1].topic = to;
    records[1].body = &give;

    struct commitlog_error err = {0};
    struct commitlog_receipt receipts[2];
    const int32_t code =
        commitlog_append_batch(store, records, 2, COMMITLOG_FOREVER, receipts, &err);
    if (code != COMMITLOG_OK)
        return complain("transfer", code, &err);
    printf("moved %d: records at %" PRIu64 " and %" PRIu64 "\n", amount, receipts[0].position,
           receipts[1].position);
    return COMMITLOG_OK;
}

/* Adds up the bodies of queue 0 of a topic. */
static int32_t total(struct commitlog_store *store, uint32_t topic, long *out_sum)
{
    struct commitlog_error err = {0};
    struct commitlog_cursor *cursor = NULL;
    int32_t code = commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_FIRST, 0, &cursor, &err);
    if (code != COMMITLOG_OK)
        return complain("open a cursor", code, &err);

    struct commitlog_message messages[FETCH];
    uint32_t count = 0;
    long sum = 0;
    while ((code = commitlog_cursor_fetch(cursor, messages, FETCH, 0, &count, NULL)) ==
           COMMITLOG_OK) {
        for (uint32_t i = 0; i < count; i++) {
            char text[TEXT] = {0}; /* a body has no NUL at its end */
            const size_t bytes = messages[i].body.bytes;
            memcpy(text, messages[i].body.data, bytes < TEXT ? bytes : TEXT - 1);
            sum += strtol(text, NULL, 10);
        }
    }
    commitlog_cursor_close(cursor);
    if (code != COMMITLOG_EEND)
        return complain("read", code, NULL);
    *out_sum = sum;
    return COMMITLOG_OK;
}

static int32_t run(struct commitlog_store *store)
{
    uint32_t savings = 0, current = 0;
    long in_savings = 0, in_current = 0;
    int32_t code = open_topic(store, "savings", &savings);
    if (code == COMMITLOG_OK)
        code = open_topic(store, "current", &current);
    for (int amount = 10; code == COMMITLOG_OK && amount <= 30; amount += 10)
        code = transfer(store, savings, current, amount);
    if (code == COMMITLOG_OK)
        code = total(store, savings, &in_savings);
    if (code == COMMITLOG_OK)
        code = total(store, current, &in_current);
    if (code == COMMITLOG_OK)
        printf("savings %ld, current %ld, sum %ld\n", in_savings, in_current,
               in_savings + in_current);
    return code;
}

int main(int argc, char **argv)
{
    struct commitlog_error err = {0};
    struct commitlog_store *store = NULL;
    int32_t code = commitlog_open(argc > 1 ? argv[1] : "transfers.store", NULL, &store, &err);
    if (code != COMMITLOG_OK) {
        complain("open", code, &err);
        return 1;
    }
    code = run(store);
    const int32_t closed = commitlog_close(store, &err);
    if (closed != COMMITLOG_OK)
        complain("close", closed, &err);
    return code == COMMITLOG_OK && closed == COMMITLOG_OK ? 0 : 1;
}
