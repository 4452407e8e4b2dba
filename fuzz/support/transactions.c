/* SPDX-License-Identifier: BSD-2-Clause */
/* transactions.c -- transactions in a store of any kind; see transactions.h. */
#include "transactions.h"

#include <string.h>

#include "check.h"

/* Hostile records may make thousands. */
#define TRANSACTIONS_MAX 8u
#define TRANSACTIONS_MESSAGES_MAX 16u
#define TRANSACTIONS_COMMITTED 2u

static const char transactions_group[] = "fuzz";
static const char transactions_body[] = "together";

/* ---- of any kind ---- */

static void transactions_ask_message(struct commitlog_store *store,
                                     const struct commitlog_transaction_message *where)
{
    struct commitlog_topic_info topic = {.struct_bytes = sizeof(topic)};
    struct commitlog_message message;
    struct commitlog_lease *lease = NULL;
    FUZZ_CHECK((where->topic == UINT32_MAX) == (where->queue == UINT32_MAX));
    if (where->topic != UINT32_MAX) {
        FUZZ_CHECK(where->topic < commitlog_topic_count(store));
        FUZZ_CHECK(commitlog_topic_info(store, where->topic, &topic) != COMMITLOG_OK ||
                   where->queue < topic.queues_total);
    }
    /* A state file may lie about where it is. */
    if (commitlog_get(store, where->position, &message, &lease, NULL) == COMMITLOG_OK) {
        FUZZ_CHECK(message.position == where->position);
    }
    commitlog_lease_release(lease);
}

static void transactions_ask_one(struct commitlog_store *store,
                                 const struct commitlog_transaction_info *info)
{
    struct commitlog_transaction_message where = {.struct_bytes = sizeof(where)};
    uint32_t index = 0;
    FUZZ_CHECK(info->transaction != 0 && info->begin_ms >= 0 && info->expires_at_ms >= 0);
    FUZZ_CHECK(info->prepared <= 1 && info->group_bytes < sizeof(info->group));
    FUZZ_CHECK(info->group[info->group_bytes] == '\0' && strlen(info->group) == info->group_bytes);
    FUZZ_CHECK((info->messages == 0) == (info->bytes == 0));
    while (index < info->messages && index < TRANSACTIONS_MESSAGES_MAX) {
        FUZZ_CHECK(commitlog_transaction_message(store, info->transaction, index, &where) ==
                   COMMITLOG_OK);
        transactions_ask_message(store, &where);
        index++;
    }
    FUZZ_CHECK(commitlog_transaction_message(store, info->transaction, info->messages, &where) ==
               COMMITLOG_ENOTFOUND);
}

void fuzz_transactions_ask(struct commitlog_store *store)
{
    struct commitlog_transaction_info info = {.struct_bytes = sizeof(info)};
    uint64_t after = 0;
    for (uint32_t i = 0; i < TRANSACTIONS_MAX; i++, after = info.transaction) {
        int32_t rc = commitlog_transaction_next(store, after, &info);
        FUZZ_CHECK(rc != COMMITLOG_EINTERNAL && rc != COMMITLOG_EINVAL);
        if (rc != COMMITLOG_OK) {
            return;
        }
        FUZZ_CHECK(info.transaction > after);
        transactions_ask_one(store, &info);
    }
}

/* ---- our own ---- */

static int32_t transactions_append(struct commitlog_transaction *transaction, uint32_t topic)
{
    struct commitlog_slice body = {transactions_body, sizeof(transactions_body) - 1};
    struct commitlog_slice keys[] = {{"key-0", 5}, {"k", 1}};
    struct commitlog_header header = {{"name", 4}, {"value", 5}};
    const struct commitlog_record record = {.struct_bytes = sizeof(record),
                                            .topic = topic,
                                            .level = COMMITLOG_LEVEL_NONE,
                                            .body = &body,
                                            .body_count = 1,
                                            .keys = keys,
                                            .key_count = 2,
                                            .tag = {"tag", 3},
                                            .headers = &header,
                                            .header_count = 1};
    return commitlog_transaction_append(transaction, &record, -1, NULL, NULL);
}

/* With so many messages; NULL: it was refused. */
static struct commitlog_transaction *
transactions_begin(struct commitlog_store *store, uint32_t topic, uint32_t flags, uint32_t messages)
{
    const struct commitlog_transaction_options options = {
        .struct_bytes = sizeof(options), .flags = flags, .prepared_ms = flags != 0 ? 1000000 : 0};
    struct commitlog_transaction *transaction = NULL;
    if (commitlog_transaction_begin(store, transactions_group, sizeof(transactions_group) - 1,
                                    &options, &transaction, NULL) != COMMITLOG_OK) {
        return NULL;
    }
    for (uint32_t i = 0; i < messages; i++) {
        if (transactions_append(transaction, topic) != COMMITLOG_OK) {
            commitlog_transaction_close(transaction);
            return NULL;
        }
    }
    return transaction;
}

enum transactions_end { TRANSACTIONS_COMMIT, TRANSACTIONS_ROLL_BACK, TRANSACTIONS_PREPARE };

/* Begun, ended and closed; what has ended is not there any more. Its number; 0: it was refused. */
static uint64_t transactions_do(struct commitlog_store *store, uint32_t topic, uint32_t messages,
                                enum transactions_end how)
{
    const uint32_t level = COMMITLOG_LEVEL_DURABLE;
    struct commitlog_transaction *transaction = transactions_begin(store, topic, 0, messages);
    if (transaction == NULL) {
        return 0;
    }
    const uint64_t number = commitlog_transaction_id(transaction);
    int32_t rc = how == TRANSACTIONS_COMMIT
                     ? commitlog_transaction_commit(transaction, level, -1, NULL, NULL)
                 : how == TRANSACTIONS_ROLL_BACK
                     ? commitlog_transaction_rollback(transaction, level, -1, NULL)
                     : commitlog_transaction_prepare(transaction, level, -1, NULL);
    if (rc == COMMITLOG_OK && how != TRANSACTIONS_PREPARE) {
        FUZZ_CHECK(commitlog_transaction_commit(transaction, level, -1, NULL, NULL) ==
                   COMMITLOG_ENOTFOUND);
    }
    commitlog_transaction_close(transaction);
    return rc == COMMITLOG_OK ? number : 0;
}

/* A state file may tell of some that begin where the log is not yet. */
static bool transactions_ahead(struct commitlog_store *store)
{
    struct commitlog_transaction_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_positions at = {.struct_bytes = sizeof(at)};
    return commitlog_positions_get(store, &at) != COMMITLOG_OK ||
           commitlog_transaction_next(store, at.claimed - 1, &info) != COMMITLOG_ENOTFOUND;
}

bool fuzz_transactions_change(struct commitlog_store *store, uint32_t topic, uint32_t *committed,
                              uint64_t *prepared)
{
    struct commitlog_queue_info before = {.struct_bytes = sizeof(before)};
    struct commitlog_queue_info after = {.struct_bytes = sizeof(after)};
    *committed = 0;
    if (transactions_ahead(store) ||
        commitlog_queue_info(store, topic, 0, &before) != COMMITLOG_OK) {
        return false;
    }
    *prepared = transactions_do(store, topic, 1, TRANSACTIONS_PREPARE);
    if (*prepared == 0 || transactions_do(store, topic, 1, TRANSACTIONS_ROLL_BACK) == 0) {
        return false;
    }
    FUZZ_CHECK(commitlog_queue_info(store, topic, 0, &after) != COMMITLOG_OK ||
               after.next_offset == before.next_offset);
    if (transactions_do(store, topic, TRANSACTIONS_COMMITTED, TRANSACTIONS_COMMIT) == 0) {
        return false;
    }
    FUZZ_CHECK(commitlog_queue_info(store, topic, 0, &after) != COMMITLOG_OK ||
               after.next_offset == before.next_offset + TRANSACTIONS_COMMITTED);
    *committed = TRANSACTIONS_COMMITTED;
    return true;
}

void fuzz_transactions_changed(struct commitlog_store *store, uint32_t topic, uint64_t prepared)
{
    struct commitlog_transaction_info info = {.struct_bytes = sizeof(info)};
    struct commitlog_transaction *transaction = NULL;
    struct commitlog_receipt receipt = {0};
    struct commitlog_cursor *cursor = NULL;
    struct commitlog_message message;
    uint32_t count = 0;
    FUZZ_CHECK(commitlog_transaction_next(store, prepared - 1, &info) == COMMITLOG_OK);
    FUZZ_CHECK(info.transaction == prepared && info.prepared == 1 && info.messages == 1);
    FUZZ_CHECK(strcmp(info.group, transactions_group) == 0 && info.offset_groups == 0);
    FUZZ_CHECK(commitlog_transaction_open(store, prepared, &transaction, NULL) == COMMITLOG_OK);
    const int32_t rc =
        commitlog_transaction_commit(transaction, COMMITLOG_LEVEL_NONE, -1, &receipt, NULL);
    commitlog_transaction_close(transaction);
    if (rc == COMMITLOG_ENOSPC) { /* the disk was nearly full before */
        return;
    }
    FUZZ_CHECK(rc == COMMITLOG_OK);
    FUZZ_CHECK(commitlog_cursor_open(store, topic, 0, COMMITLOG_FROM_OFFSET, receipt.queue_offset,
                                     &cursor, NULL) == COMMITLOG_OK);
    FUZZ_CHECK(commitlog_cursor_fetch(cursor, &message, 1, 0, &count, NULL) == COMMITLOG_OK);
    FUZZ_CHECK(message.transaction == prepared && message.key_count == 2);
    FUZZ_CHECK(message.body.bytes == sizeof(transactions_body) - 1 &&
               memcmp(message.body.data, transactions_body, message.body.bytes) == 0);
    commitlog_cursor_close(cursor);
}

/* ---- for seeds ---- */

static void transactions_consume(struct commitlog_transaction *transaction,
                                 struct commitlog_group *group, uint32_t topic)
{
    const struct commitlog_group_offset offsets[] = {{topic, 0, 1}, {topic, 1, 1}};
    FUZZ_CHECK(commitlog_transaction_offsets(transaction, group, 0, offsets, 2, NULL) ==
               COMMITLOG_OK);
}

struct commitlog_transaction *fuzz_transactions_fill(struct commitlog_store *store, uint32_t topic,
                                                     uint64_t *prepared)
{
    const uint32_t level = COMMITLOG_LEVEL_NONE;
    const uint32_t begun = COMMITLOG_TRANSACTION_PREPARED;
    struct commitlog_group *group = NULL;
    FUZZ_CHECK(commitlog_group_open(store, "g", 1, COMMITLOG_GROUP_CREATE, &group, NULL) ==
               COMMITLOG_OK);
    struct commitlog_transaction *left = transactions_begin(store, topic, 0, 2);
    struct commitlog_transaction *whole = transactions_begin(store, topic, 0, 2);
    struct commitlog_transaction *early = transactions_begin(store, topic, begun, 1);
    struct commitlog_transaction *bare = transactions_begin(store, topic, 0, 0);
    FUZZ_CHECK(left != NULL && whole != NULL && early != NULL && bare != NULL);
    transactions_consume(whole, group, topic);
    transactions_consume(bare, group, topic);
    FUZZ_CHECK(commitlog_transaction_prepare(whole, level, -1, NULL) == COMMITLOG_OK &&
               commitlog_transaction_prepare(bare, level, -1, NULL) == COMMITLOG_OK);
    *prepared = commitlog_transaction_id(whole);
    FUZZ_CHECK(transactions_do(store, topic, 2, TRANSACTIONS_COMMIT) != 0 &&
               transactions_do(store, topic, 1, TRANSACTIONS_ROLL_BACK) != 0 &&
               transactions_do(store, topic, 1, TRANSACTIONS_PREPARE) != 0);
    FUZZ_CHECK(commitlog_transaction_commit(bare, level, -1, NULL, NULL) == COMMITLOG_OK);
    commitlog_transaction_close(bare);
    commitlog_transaction_close(early);
    commitlog_transaction_close(whole);
    commitlog_group_close(group);
    return left;
}
