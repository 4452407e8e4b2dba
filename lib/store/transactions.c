/* SPDX-License-Identifier: BSD-2-Clause */
/* transactions.c -- the writer's table of open transactions, and what is asked of it. See
 * transactions.h. */
#include "store/transactions.h"

#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/attributes.h"
#include "log/reader.h"

/* ---- the table ---- */

static int transactions_take(void *ctx, const struct clg_transaction_table *table)
{
    struct commitlog_store *store = ctx;
    return clg_transaction_table_copy(&store->transactions, table);
}

int clg_transactions_init(struct commitlog_store *store, struct commitlog_error *err)
{
    clg_transaction_table_init(&store->transactions, store->os);
    int rc = clg_fold_transactions(store->core->fold, transactions_take, store);
    /* Whose process is gone is known from the first look. */
    store->transaction_due_ms = store->transactions.count > 0 ? 0 : UINT64_MAX;
    return rc == COMMITLOG_OK
               ? rc
               : clg_fail(err, rc, 0, CLG_NO_POSITION, "transactions: out of memory");
}

void clg_transactions_deinit(struct commitlog_store *store)
{
    if (store->transactions.os != NULL) {
        clg_transaction_table_deinit(&store->transactions);
    }
}

void clg_transactions_note_due(struct commitlog_store *store, int64_t due_ms)
{
    CLG_ASSERT(clg_mutex_is_held(&store->transaction_lock));
    if ((uint64_t)due_ms < clg_load_relaxed_u64(&store->transaction_due_ms)) {
        clg_store_relaxed_u64(&store->transaction_due_ms, (uint64_t)due_ms);
        clg_thread_call(store, &store->upkeep);
    }
}

int clg_transactions_not_open(uint64_t id, struct commitlog_error *err)
{
    return clg_fail(err, COMMITLOG_ENOTFOUND, 0, id,
                    "no transaction %llu is open: committed, rolled back, its time over, or never",
                    (unsigned long long)id);
}

/* ---- its records ---- */

int clg_transactions_append_body(struct commitlog_store *store, const uint8_t *body, size_t bytes,
                                 bool carry, struct clg_until until,
                                 struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    struct clg_transaction_mark mark;
    CLG_ASSERT(clg_mutex_is_held(&store->transaction_lock));
    int rc = clg_transaction_mark_decode(body, bytes, &mark);
    if (rc == COMMITLOG_OK) {
        rc = clg_transaction_prepare_mark(&store->transactions, &mark, 0, bytes);
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "a mark of a transaction");
    }
    struct commitlog_slice slice = {body, bytes};
    const struct clg_append item = {.kind = CLG_KIND_TRANSACTION,
                                    .queue_number = CLG_QUEUE_NONE,
                                    .takes_reserve = carry,
                                    .body = &slice,
                                    .body_count = 1,
                                    .body_bytes = bytes};
    rc = clg_store_append(store, &item, 1, until, receipt, err);
    if (rc == COMMITLOG_OK) {
        clg_transaction_apply_mark(&store->transactions, &mark, body, bytes, receipt->position);
    }
    return rc;
}

int clg_transactions_append_mark(struct commitlog_store *store,
                                 const struct clg_transaction_mark *mark,
                                 const struct clg_group_entry *entries, bool carry,
                                 struct clg_until until, struct commitlog_receipt *receipt,
                                 struct commitlog_error *err)
{
    const struct commitlog_os *os = store->os;
    size_t bytes = clg_transaction_mark_bytes(mark);
    uint8_t *body = os->alloc(os, bytes);
    int rc = body == NULL ? COMMITLOG_ENOMEM : clg_transaction_mark_encode(body, mark, entries);
    rc = rc != COMMITLOG_OK
             ? clg_fail(err, rc, 0, CLG_NO_POSITION, "a mark of a transaction")
             : clg_transactions_append_body(store, body, bytes, carry, until, receipt, err);
    os->free(os, body);
    return rc;
}

int clg_transactions_roll_back(struct commitlog_store *store, uint64_t id, uint32_t reason,
                               bool carry, struct clg_until until,
                               struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    const struct clg_transaction_mark mark = {
        .operation = CLG_TRANSACTION_ROLLBACK, .transaction = id, .reason = reason};
    int rc = clg_transactions_append_mark(store, &mark, NULL, carry, until, receipt, err);
    clg_count(store, CLG_COUNT_TRANSACTIONS_ROLLED_BACK, rc == COMMITLOG_OK);
    return rc;
}

/* What a .state says of it may be of another log. */
static bool transactions_is_message(uint64_t transaction,
                                    const struct clg_transaction_message *message,
                                    const struct clg_record_view *view)
{
    struct clg_transaction_half half;
    if (view->header.kind != CLG_KIND_TRANSACTION ||
        clg_transaction_half_first(view->attributes, view->header.attribute_bytes, &half, NULL) !=
            1) {
        return false;
    }
    uint64_t own = half.transaction != 0 ? half.transaction : view->position;
    uint64_t id = half.message != 0 ? half.message : view->position;
    return own == transaction && id == message->id && half.queue_number == message->queue_number;
}

int clg_transactions_read(struct commitlog_store *store, struct clg_reader *reader,
                          uint64_t transaction, const struct clg_transaction_message *message,
                          struct clg_record_view *out, struct commitlog_error *err)
{
    struct clg_log *log = store->core->log;
    clg_reader_begin(reader);
    int rc = clg_reader_get(reader, log, message->position, clg_log_published(log), NULL, out, err);
    if (rc == COMMITLOG_EBEYOND) { /* behind an open reservation, or nowhere */
        rc = message->position < clg_log_claimed(log) ? COMMITLOG_ETIMEDOUT : COMMITLOG_EDAMAGED;
        return clg_fail(err, rc, 0, message->position, "a message of transaction %llu is not there",
                        (unsigned long long)transaction);
    }
    if (rc == COMMITLOG_OK && !transactions_is_message(transaction, message, out)) {
        rc = clg_fail(err, COMMITLOG_EDAMAGED, 0, message->position,
                      "no message of transaction %llu lies there", (unsigned long long)transaction);
    }
    return rc;
}

int clg_transactions_copy(struct commitlog_store *store, uint64_t transaction,
                          const struct clg_transaction_message *message,
                          const struct clg_record_view *view, uint8_t kind, bool keeps_body,
                          struct commitlog_slice *out_body, struct clg_append *out_item,
                          uint8_t **out_memory, struct commitlog_error *err)
{
    const struct commitlog_os *os = store->os;
    const struct clg_transaction_half half = {
        .transaction = transaction, .message = message->id, .queue_number = message->queue_number};
    const bool waits = kind == CLG_KIND_TRANSACTION;
    uint8_t value[CLG_TRANSACTION_HALF_BYTES_MAX];
    const size_t value_bytes = clg_transaction_half_bytes(&half);
    struct clg_transaction_half before;
    size_t was = 0;
    int rc =
        clg_transaction_half_first(view->attributes, view->header.attribute_bytes, &before, &was);
    CLG_ASSERT(rc == 1); /* clg_transactions_read has looked */
    const size_t rest = view->header.attribute_bytes - was;
    const size_t attribute_bytes = CLG_ATTRIBUTE_HEADER_BYTES + value_bytes + rest;
    if (attribute_bytes > CLG_ATTRIBUTES_MAX) {
        return clg_fail(err, COMMITLOG_ETOOBIG, 0, message->position, "copy a message");
    }
    uint8_t *memory = os->alloc(os, attribute_bytes + (keeps_body ? view->body_bytes : 0));
    if (memory == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, message->position, "copy a message");
    }
    struct clg_attribute_writer writer;
    clg_attribute_writer_init(&writer, memory, attribute_bytes);
    clg_transaction_half_encode(value, &half);
    rc = clg_attribute_add(
        &writer, (uint8_t)(CLG_ATTRIBUTE_TRANSACTION | (waits ? CLG_ATTRIBUTE_CRITICAL : 0)), value,
        value_bytes);
    CLG_ASSERT(rc == COMMITLOG_OK);
    (void)rc;
    memcpy(memory + writer.used, view->attributes + was, rest);
    *out_body = (struct commitlog_slice){view->body, view->body_bytes};
    if (keeps_body && view->body_bytes > 0) {
        memcpy(memory + attribute_bytes, view->body, view->body_bytes);
        out_body->data = memory + attribute_bytes;
    }
    *out_item = (struct clg_append){.kind = kind,
                                    .queue_number = waits ? CLG_QUEUE_NONE : message->queue_number,
                                    .takes_offset = !waits,
                                    .attributes = memory,
                                    .attribute_bytes = (uint32_t)attribute_bytes,
                                    .body = out_body,
                                    .body_count = 1,
                                    .body_bytes = view->body_bytes};
    *out_memory = memory;
    return COMMITLOG_OK;
}

/* ---- what is asked of them ---- */

struct transactions_ask {
    uint64_t id;
    uint32_t index;
    const struct clg_registry *registry;
    struct commitlog_transaction_info info;
    struct commitlog_transaction_message message;
};

static int transactions_fill_info(void *ctx, const struct clg_transaction_table *table)
{
    struct transactions_ask *ask = ctx;
    const struct clg_transaction *transaction = clg_transaction_next(table, ask->id);
    if (transaction == NULL) {
        return COMMITLOG_ENOTFOUND;
    }
    ask->info = (struct commitlog_transaction_info){.struct_bytes = sizeof(ask->info),
                                                    .prepared = transaction->prepared ? 1 : 0,
                                                    .transaction = transaction->id,
                                                    .begin_ms = transaction->begin_ms,
                                                    .expires_at_ms = transaction->expire_at_ms,
                                                    .bytes = transaction->bytes,
                                                    .messages = transaction->message_count,
                                                    .offset_groups = transaction->offset_count,
                                                    .group_bytes = transaction->group_bytes};
    memcpy(ask->info.group, transaction->group, transaction->group_bytes);
    return COMMITLOG_OK;
}

static int transactions_fill_message(void *ctx, const struct clg_transaction_table *table)
{
    struct transactions_ask *ask = ctx;
    const struct clg_transaction *transaction = clg_transaction_find(table, ask->id);
    if (transaction == NULL || ask->index >= transaction->message_count) {
        return COMMITLOG_ENOTFOUND;
    }
    const struct clg_transaction_message *message = &transaction->messages[ask->index];
    ask->message = (struct commitlog_transaction_message){
        .struct_bytes = sizeof(ask->message), .queue = UINT32_MAX, .position = message->position};
    const struct clg_topic *topic =
        clg_registry_owner(ask->registry, message->queue_number, &ask->message.queue);
    ask->message.topic = topic != NULL ? topic->id : UINT32_MAX;
    return COMMITLOG_OK;
}

/* The writer's table, or what is folded of the log. */
static int transactions_look(struct commitlog_store *store, clg_fold_transactions_fn look,
                             struct transactions_ask *ask)
{
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = 0;
    int rc = COMMITLOG_OK;
    if (store->read_only) {
        rc = clg_store_fold_now(store, &core, &visible, NULL);
    }
    ask->registry = &core->registry;
    if (rc == COMMITLOG_OK && store->read_only) {
        rc = clg_fold_transactions(core->fold, look, ask);
    } else if (rc == COMMITLOG_OK) {
        clg_mutex_lock(store->os, &store->transaction_lock);
        rc = look(ask, &store->transactions);
        clg_mutex_unlock(store->os, &store->transaction_lock);
    }
    clg_core_unref(core);
    return rc;
}

int32_t commitlog_transaction_next(struct commitlog_store *store, uint64_t after,
                                   struct commitlog_transaction_info *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct transactions_ask ask = {.id = after};
    rc = transactions_look(store, transactions_fill_info, &ask);
    if (rc == COMMITLOG_OK) {
        clg_copy_out(out, &ask.info, sizeof(ask.info));
    }
    return rc;
}

int32_t commitlog_transaction_message(struct commitlog_store *store, uint64_t transaction,
                                      uint32_t index, struct commitlog_transaction_message *out)
{
    int rc = clg_store_enter(store);
    if (rc != COMMITLOG_OK || out == NULL) {
        return rc != COMMITLOG_OK ? rc : COMMITLOG_EINVAL;
    }
    struct transactions_ask ask = {.id = transaction, .index = index};
    rc = transactions_look(store, transactions_fill_message, &ask);
    if (rc == COMMITLOG_OK) {
        clg_copy_out(out, &ask.message, sizeof(ask.message));
    }
    return rc;
}
