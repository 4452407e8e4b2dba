/* SPDX-License-Identifier: BSD-2-Clause */
/* transaction.c -- handles of transactions: begin, open, close, append. See transactions.h. */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/attributes.h"
#include "format/reference_record.h"
#include "format/topic_record.h"
#include "store/encode.h"
#include "store/limits.h"
#include "store/transactions.h"

#define TRANSACTION_TIMEOUT_MS INT64_C(60000)

/* ---- handles ---- */

int clg_transaction_enter(const struct commitlog_transaction *transaction, uint32_t level,
                          const char *what, struct commitlog_error *err)
{
    return transaction == NULL
               ? clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "%s: no transaction", what)
               : clg_groups_enter_write(transaction->store, level, what, err);
}

static int transaction_create(struct commitlog_store *store, struct commitlog_transaction **out,
                              struct commitlog_error *err)
{
    const struct commitlog_os *os = store->os;
    struct commitlog_transaction *transaction = os->alloc(os, sizeof(*transaction));
    if (transaction == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "a transaction");
    }
    memset(transaction, 0, sizeof(*transaction));
    transaction->store = store;
    /* The header of the batch, and what may come before it in a segment. */
    transaction->commit_bytes =
        clg_record_bytes(0, CLG_BATCH_BODY_BYTES) + clg_record_bytes(0, CLG_EPOCH_BODY_BYTES);
    clg_store_ref(store);
    *out = transaction;
    return COMMITLOG_OK;
}

static void transaction_free(struct commitlog_transaction *transaction)
{
    struct commitlog_store *store = transaction->store;
    for (uint32_t i = 0; i < transaction->part_count; i++) {
        store->os->free(store->os, transaction->parts[i].entries);
    }
    store->os->free(store->os, transaction->parts);
    store->os->free(store->os, transaction);
    clg_store_unref(store);
}

int32_t commitlog_transaction_begin(struct commitlog_store *store, const char *group,
                                    size_t group_bytes,
                                    const struct commitlog_transaction_options *options,
                                    struct commitlog_transaction **out_transaction,
                                    struct commitlog_error *err)
{
    struct commitlog_transaction_options wanted = {0};
    int rc = store == NULL || out_transaction == NULL || group == NULL ||
                     clg_topic_name_check((const uint8_t *)group, group_bytes) != COMMITLOG_OK ||
                     (options != NULL && clg_copy_in(&wanted, sizeof(wanted), options) != 0) ||
                     (wanted.flags & ~(uint32_t)COMMITLOG_TRANSACTION_PREPARED) != 0 ||
                     wanted.timeout_ms < 0 || wanted.prepared_ms < 0
                 ? COMMITLOG_EINVAL
                 : COMMITLOG_OK;
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION,
                        "begin a transaction: its producer group has 1 to 255 bytes of UTF-8 "
                        "without NUL; or an option");
    }
    if (wanted.timeout_ms > CLG_TRANSACTION_TIME_MAX_MS ||
        wanted.prepared_ms > CLG_TRANSACTION_TIME_MAX_MS) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "a transaction ends after %lld ms at the latest",
                        (long long)CLG_TRANSACTION_TIME_MAX_MS);
    }
    struct commitlog_transaction *transaction = NULL;
    rc = clg_groups_enter_write(store, COMMITLOG_LEVEL_NONE, "begin a transaction", err);
    if (rc == COMMITLOG_OK) {
        rc = transaction_create(store, &transaction, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    memcpy(transaction->group, group, group_bytes);
    transaction->group_bytes = (uint32_t)group_bytes;
    transaction->begins_prepared = (wanted.flags & COMMITLOG_TRANSACTION_PREPARED) != 0;
    transaction->timeout_ms = wanted.timeout_ms != 0 ? wanted.timeout_ms : TRANSACTION_TIMEOUT_MS;
    transaction->prepared_ms = wanted.prepared_ms;
    *out_transaction = transaction;
    return COMMITLOG_OK;
}

int32_t commitlog_transaction_open(struct commitlog_store *store, uint64_t id,
                                   struct commitlog_transaction **out_transaction,
                                   struct commitlog_error *err)
{
    struct commitlog_transaction *transaction = NULL;
    if (store == NULL || out_transaction == NULL) {
        return clg_fail(err, COMMITLOG_EINVAL, 0, CLG_NO_POSITION, "open a transaction");
    }
    int rc = clg_groups_enter_write(store, COMMITLOG_LEVEL_NONE, "open a transaction", err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    clg_mutex_lock(store->os, &store->transaction_lock);
    const struct clg_transaction *open = clg_transaction_find(&store->transactions, id);
    if (open == NULL) {
        rc = clg_transactions_not_open(id, err);
    } else if (!open->prepared) {
        rc = clg_fail(err, COMMITLOG_EMISUSE, 0, id, "transaction %llu is not prepared",
                      (unsigned long long)id);
    }
    clg_mutex_unlock(store->os, &store->transaction_lock);
    if (rc == COMMITLOG_OK) {
        rc = transaction_create(store, &transaction, err);
    }
    if (rc == COMMITLOG_OK) {
        transaction->id = id;
        *out_transaction = transaction;
    }
    return rc;
}

uint64_t commitlog_transaction_id(const struct commitlog_transaction *transaction)
{
    return transaction == NULL ? 0 : transaction->id;
}

void commitlog_transaction_close(struct commitlog_transaction *transaction)
{
    int rc = transaction == NULL ? COMMITLOG_EINVAL : clg_store_enter(transaction->store);
    if (transaction == NULL || rc == COMMITLOG_EFORK) {
        return; /* the parent's memory */
    }
    struct commitlog_store *store = transaction->store;
    if (rc == COMMITLOG_OK && transaction->id != 0) {
        bool orphaned = false;
        clg_mutex_lock(store->os, &store->transaction_lock);
        struct clg_transaction *open = clg_transaction_find(&store->transactions, transaction->id);
        if (open != NULL && !open->prepared) {
            struct commitlog_receipt receipt = {0};
            open->is_open = false;
            orphaned = clg_transactions_roll_back(store, open->id, CLG_TRANSACTION_ASKED, false,
                                                  clg_store_until(store, 0), &receipt,
                                                  NULL) != COMMITLOG_OK;
        }
        if (orphaned) { /* no room now: upkeep does it */
            clg_transactions_note_due(store, 0);
        }
        clg_mutex_unlock(store->os, &store->transaction_lock);
        clg_thread_notify(store);
    }
    transaction_free(transaction);
}

/* ---- append ---- */

/* What the commit will have more for a message of this topic with so many keys. */
static uint64_t transaction_more_bytes(struct commitlog_transaction *transaction,
                                       const struct clg_topic *topic, uint32_t key_count)
{
    const struct clg_reference reference = {.origin = 8, .origin_queue = CLG_QUEUE_NONE};
    uint32_t hashes = key_count == 0 ? 0 : CLG_ATTRIBUTE_HEADER_BYTES + 8 * key_count;
    uint64_t bytes = clg_record_bytes(hashes, clg_reference_bytes(&reference));
    for (uint32_t i = transaction->topic_count; i > 0; i--) {
        if (transaction->topics[i - 1] == topic->id) {
            return bytes;
        }
    }
    if (transaction->topic_count < CLG_TRANSACTION_TOPICS) {
        transaction->topics[transaction->topic_count++] = topic->id;
    }
    return bytes + clg_topic_steps(topic) *
                       clg_record_bytes(0, clg_topic_definition_bytes(topic->name_bytes, 0));
}

int clg_transaction_check_commit(struct commitlog_transaction *transaction, uint64_t more_bytes,
                                 struct commitlog_error *err)
{
    uint64_t most = clg_log_record_max(transaction->store->core->log);
    if (transaction->commit_bytes + more_bytes > most) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "a transaction is committed in one segment, which takes %llu bytes of "
                        "references and offsets",
                        (unsigned long long)most);
    }
    transaction->commit_bytes += more_bytes;
    return COMMITLOG_OK;
}

/* Retention can store it again, with what it then says more of itself. */
static int transaction_check_carry(struct commitlog_transaction *transaction,
                                   const struct clg_append *item, size_t half_bytes,
                                   struct commitlog_error *err)
{
    const struct clg_transaction_half again = {.transaction = 8, .message = 8};
    uint64_t attributes = item->attribute_bytes - half_bytes + clg_transaction_half_bytes(&again);
    uint64_t bytes = clg_record_bytes(attributes, item->body_bytes);
    if (bytes == 0 || bytes > clg_log_record_max(transaction->store->core->log)) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "a message of a transaction has to fit a segment, and its attributes %u "
                        "bytes, once more",
                        CLG_ATTRIBUTES_MAX);
    }
    return COMMITLOG_OK;
}

struct transaction_append {
    struct commitlog_transaction *transaction;
    const struct clg_transaction_half *half;
    const struct clg_append *item;
    struct commitlog_receipt receipt;
};

int clg_transaction_find_changing(struct commitlog_transaction *transaction,
                                  struct clg_transaction **out, struct commitlog_error *err)
{
    const struct clg_transaction_table *table = &transaction->store->transactions;
    *out = transaction->id == 0 ? NULL : clg_transaction_find(table, transaction->id);
    if (transaction->ended || (transaction->id != 0 && *out == NULL)) {
        return clg_transactions_not_open(transaction->id, err);
    }
    if (*out != NULL && (*out)->prepared) {
        return clg_fail(err, COMMITLOG_EMISUSE, 0, transaction->id,
                        "transaction %llu is prepared: it is committed or rolled back as it is",
                        (unsigned long long)transaction->id);
    }
    if (*out == NULL && table->count >= CLG_TRANSACTIONS_MAX) {
        return clg_fail(err, COMMITLOG_ELIMIT, 0, CLG_NO_POSITION,
                        "%u transactions are open, which is the most", CLG_TRANSACTIONS_MAX);
    }
    return COMMITLOG_OK;
}

void clg_transaction_own(const struct commitlog_transaction *transaction)
{
    struct commitlog_store *store = transaction->store;
    struct clg_transaction *open = clg_transaction_find(&store->transactions, transaction->id);
    CLG_ASSERT(open != NULL);
    open->is_open = true;
    if (!open->prepared) {
        open->expire_at_ms = open->begin_ms + transaction->timeout_ms;
    }
    clg_transactions_note_due(store, open->expire_at_ms);
}

/* COMMITLOG_ETIMEDOUT: there is no room now. */
static int transaction_append_now(void *ctx, struct commitlog_error *err)
{
    struct transaction_append *append = ctx;
    struct commitlog_transaction *transaction = append->transaction;
    struct commitlog_store *store = transaction->store;
    struct commitlog_receipt *receipt = &append->receipt;
    struct clg_transaction *open;
    clg_mutex_lock(store->os, &store->transaction_lock);
    int rc = clg_transaction_find_changing(transaction, &open, err);
    if (rc == COMMITLOG_OK &&
        clg_transaction_prepare_message(&store->transactions, transaction->id) != COMMITLOG_OK) {
        rc = clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION, "a message of a transaction");
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_store_append(store, append->item, 1, clg_store_until(store, 0), receipt, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_transaction_apply_half(&store->transactions, append->half, receipt->position,
                                   (uint32_t)(receipt->end_position - receipt->position),
                                   receipt->store_time_ns / CLG_OS_NS_PER_MS);
        if (transaction->id == 0) {
            transaction->id = receipt->position;
            clg_transaction_own(transaction);
        }
    }
    clg_mutex_unlock(store->os, &store->transaction_lock);
    return rc;
}

static int transaction_append(struct commitlog_transaction *transaction,
                              const struct clg_encoded *encoded, struct clg_transaction_half *half,
                              struct clg_append *item, struct clg_until until,
                              struct commitlog_receipt *out_receipt, struct commitlog_error *err)
{
    struct commitlog_store *store = transaction->store;
    const struct clg_topic *topic =
        clg_registry_owner(&store->core->registry, half->queue_number, NULL);
    struct transaction_append append = {.transaction = transaction, .half = half, .item = item};
    uint64_t before = transaction->commit_bytes;
    uint32_t topics_before = transaction->topic_count;
    int rc = transaction_check_carry(transaction, item, clg_transaction_half_bytes(half), err);
    if (rc == COMMITLOG_OK) {
        rc = clg_transaction_check_commit(
            transaction, transaction_more_bytes(transaction, topic, encoded->key_count), err);
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_store_attempt(store, transaction_append_now, &append, until, err);
    }
    if (rc != COMMITLOG_OK) {
        transaction->commit_bytes = before;
        transaction->topic_count = topics_before;
        return rc;
    }
    transaction->message_count++;
    rc = clg_append_finish(store, clg_append_level(store, encoded->level), 1, until, 0,
                           &append.receipt, err);
    if (out_receipt != NULL) {
        *out_receipt = append.receipt;
    }
    return rc;
}

int32_t commitlog_transaction_append(struct commitlog_transaction *transaction,
                                     const struct commitlog_record *record, int32_t timeout_ms,
                                     struct commitlog_receipt *out_receipt,
                                     struct commitlog_error *err)
{
    int rc =
        clg_transaction_enter(transaction, COMMITLOG_LEVEL_NONE, "append to a transaction", err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct commitlog_store *store = transaction->store;
    if (transaction->message_count >= CLG_TRANSACTION_MESSAGES_MAX) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, CLG_NO_POSITION,
                        "a transaction has %u messages at most", CLG_TRANSACTION_MESSAGES_MAX);
    }
    const struct clg_until until = clg_store_until(store, timeout_ms);
    rc = clg_limits_wait(store, transaction->part_count > 0, until, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_transaction_half half = {.transaction = transaction->id};
    if (transaction->id == 0) {
        half.group = (const uint8_t *)transaction->group;
        half.group_bytes = transaction->group_bytes;
        half.prepared = transaction->begins_prepared;
        if (half.prepared && transaction->prepared_ms != 0) {
            half.expire_at_ms =
                clg_log_time(store->core->log) / CLG_OS_NS_PER_MS + transaction->prepared_ms;
        }
    }
    uint8_t attributes[CLG_ENCODE_STACK_BYTES];
    struct clg_append item;
    struct clg_encoded encoded;
    do {
        struct clg_encode_room room = {attributes, sizeof(attributes)};
        rc = clg_encode_half(store, record, &half, &room, &item, &encoded, err);
        if (rc == COMMITLOG_OK) {
            rc = transaction_append(transaction, &encoded, &half, &item, until, out_receipt, err);
            clg_encoded_free(store, &encoded);
        }
    } while (CLG_UNLIKELY(rc == CLG_LOG_ROUTED_ANEW));
    return rc;
}
