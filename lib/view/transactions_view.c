/* SPDX-License-Identifier: BSD-2-Clause */
/* transactions_view.c -- transactions into a table, and the table into .state. See
 * transactions_view.h. */
#include "view/transactions_view.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/attributes.h"
#include "format/format.h"
#include "format/record.h"
#include "format/reference_record.h"

/* One transaction in .state: this, then its state and its offsets as marks, each behind its
 * position and length and with zeros to a multiple of 8, then its messages. */
#define STATE_TRANSACTION_BYTES 8u
#define STATE_AT_MESSAGES 0u
#define STATE_AT_OFFSETS 4u
#define STATE_MARK_HEADER_BYTES 16u
#define STATE_MARK_AT_POSITION 0u
#define STATE_MARK_AT_BYTES 8u
#define STATE_MARK_AT_ZERO 12u
#define STATE_MESSAGE_BYTES 24u
#define MESSAGE_AT_ID 0u
#define MESSAGE_AT_POSITION 8u
#define MESSAGE_AT_QUEUE 16u
#define MESSAGE_AT_SIZE 20u

CLG_FORMAT_ASSERT(STATE_AT_MESSAGES == 0u && STATE_AT_OFFSETS == 4u);
CLG_FORMAT_ASSERT(STATE_TRANSACTION_BYTES == STATE_AT_OFFSETS + 4u);
CLG_FORMAT_ASSERT(STATE_MARK_AT_POSITION == 0u && STATE_MARK_AT_BYTES == 8u);
CLG_FORMAT_ASSERT(STATE_MARK_HEADER_BYTES == STATE_MARK_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(MESSAGE_AT_ID == 0u && MESSAGE_AT_POSITION == 8u && MESSAGE_AT_QUEUE == 16u);
CLG_FORMAT_ASSERT(STATE_MESSAGE_BYTES == MESSAGE_AT_SIZE + 4u);

struct transactions_view {
    struct clg_view view;
    struct clg_transaction_table table;
    uint64_t contradictions;
};

/* What the record says of a transaction: 1, 0, or COMMITLOG_EDAMAGED, also of one ahead of it. */
static int transactions_half(const struct clg_record_view *record, struct clg_transaction_half *out)
{
    int found =
        clg_transaction_half_first(record->attributes, record->header.attribute_bytes, out, NULL);
    bool ahead =
        found == 1 && (out->transaction >= record->position || out->message >= record->position);
    return ahead ? COMMITLOG_EDAMAGED : found;
}

static int transactions_apply_half(struct transactions_view *transactions,
                                   const struct clg_record_view *record,
                                   const struct clg_transaction_half *half)
{
    int rc = clg_transaction_prepare_message(
        &transactions->table, half->transaction != 0 ? half->transaction : record->position);
    if (rc == 0) {
        int64_t time_ms = record->header.store_time / CLG_OS_NS_PER_MS;
        clg_transaction_apply_half(&transactions->table, half, record->position,
                                   clg_record_size(record->header.word), time_ms < 0 ? 0 : time_ms);
    }
    return rc;
}

static int transactions_apply_mark(struct transactions_view *transactions,
                                   const struct clg_record_view *record)
{
    struct clg_transaction_mark mark;
    if (clg_transaction_mark_decode(record->body, record->body_bytes, &mark) != 0 ||
        mark.transaction >= record->position) {
        transactions->contradictions++;
        return 0;
    }
    int rc = clg_transaction_prepare_mark(&transactions->table, &mark, record->position,
                                          record->body_bytes);
    if (rc == 0) {
        clg_transaction_apply_mark(&transactions->table, &mark, record->body, record->body_bytes,
                                   record->position);
    }
    return rc;
}

static int transactions_apply_kind(struct transactions_view *transactions,
                                   const struct clg_record_view *record)
{
    struct clg_transaction_half half;
    int found = transactions_half(record, &half);
    if (found < 0) {
        transactions->contradictions++;
        return 0;
    }
    return found == 1 ? transactions_apply_half(transactions, record, &half)
                      : transactions_apply_mark(transactions, record);
}

/* The view of groups counts those that contradict. */
static void transactions_apply_group(struct transactions_view *transactions,
                                     const struct clg_record_view *record)
{
    struct clg_group_change change;
    if (transactions->table.count > 0 &&
        clg_group_change_decode(record->body, record->body_bytes, &change) == COMMITLOG_OK &&
        change.operation == CLG_GROUP_DELETE) {
        clg_transaction_void_offsets(&transactions->table, &change);
    }
}

static int transactions_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct transactions_view *transactions = (struct transactions_view *)view;
    CLG_ASSERT(view->ops == &clg_transactions_view_ops);
    struct clg_transaction_half half;
    struct clg_reference reference;
    if (CLG_LIKELY(record->header.kind == CLG_KIND_MESSAGE)) {
        if (transactions_half(record, &half) == 1) { /* a copy of one that was delivered */
            clg_transaction_end(&transactions->table, half.transaction);
        }
        return 0;
    }
    if (record->header.kind == CLG_KIND_TRANSACTION) {
        return transactions_apply_kind(transactions, record);
    }
    if (record->header.kind == CLG_KIND_GROUP) {
        transactions_apply_group(transactions, record);
        return 0;
    }
    if (record->header.kind == CLG_KIND_REFERENCE && !CLG_PLANTED(TRANSACTION_TWICE) &&
        clg_reference_decode(record->body, record->body_bytes, &reference) == COMMITLOG_OK &&
        reference.reason == CLG_REFERENCE_TRANSACTION) {
        clg_transaction_end(&transactions->table, reference.origin);
    }
    return 0;
}

static int transactions_create(const struct clg_view_context *context, uint32_t slot,
                               struct clg_view **out)
{
    CLG_ASSERT(slot < CLG_VIEWS_MAX);
    struct transactions_view *transactions = context->os->alloc(context->os, sizeof(*transactions));
    if (transactions == NULL) {
        return COMMITLOG_ENOMEM;
    }
    transactions->view =
        (struct clg_view){.ops = &clg_transactions_view_ops, .context = *context, .slot = slot};
    clg_transaction_table_init(&transactions->table, context->os);
    *out = &transactions->view;
    return 0;
}

static void transactions_reset(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_transactions_view_ops);
    clg_transaction_table_deinit(&((struct transactions_view *)view)->table);
}

static void transactions_destroy(struct clg_view *view)
{
    const struct commitlog_os *os = view->context.os;
    transactions_reset(view);
    os->free(os, view);
}

/* ---- .state ---- */

static struct clg_transaction_mark transactions_state(const struct clg_transaction *transaction)
{
    return (struct clg_transaction_mark){
        .operation = CLG_TRANSACTION_STATE,
        .transaction = transaction->id,
        .prepared = transaction->prepared,
        .begin_ms = transaction->begin_ms,
        .expire_at_ms = transaction->prepared ? transaction->expire_at_ms : 0,
        .messages = transaction->prepared ? transaction->whole_messages : 0,
        .groups = transaction->prepared ? transaction->whole_groups : 0,
        .group = transaction->group,
        .group_bytes = transaction->group_bytes};
}

static uint64_t transactions_mark_bytes(size_t bytes)
{
    return STATE_MARK_HEADER_BYTES + clg_align_up(bytes, 8);
}

static uint64_t transactions_save_bytes(const struct clg_view *view)
{
    const struct clg_transaction_table *table = &((const struct transactions_view *)view)->table;
    uint64_t bytes = table->messages * STATE_MESSAGE_BYTES;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_transaction *transaction = table->transactions[i];
        const struct clg_transaction_mark state = transactions_state(transaction);
        bytes +=
            STATE_TRANSACTION_BYTES + transactions_mark_bytes(clg_transaction_mark_bytes(&state));
        for (uint32_t j = 0; j < transaction->offset_count; j++) {
            bytes += transactions_mark_bytes(transaction->offsets[j]->bytes);
        }
    }
    return bytes;
}

/* Where the body goes, behind which zeros are written already. */
static uint8_t *transactions_save_mark(uint8_t **at, uint64_t position, size_t bytes)
{
    uint64_t all = transactions_mark_bytes(bytes);
    uint8_t *body = *at + STATE_MARK_HEADER_BYTES;
    memset(*at, 0, (size_t)all);
    clg_store_le64(*at + STATE_MARK_AT_POSITION, position);
    clg_store_le32(*at + STATE_MARK_AT_BYTES, (uint32_t)bytes);
    *at += all;
    return body;
}

static uint8_t *transactions_save_one(const struct clg_transaction *transaction, uint8_t *at)
{
    const struct clg_transaction_mark state = transactions_state(transaction);
    clg_store_le32(at + STATE_AT_MESSAGES, transaction->message_count);
    clg_store_le32(at + STATE_AT_OFFSETS, transaction->offset_count);
    at += STATE_TRANSACTION_BYTES;
    uint8_t *body = transactions_save_mark(&at, transaction->state_position,
                                           clg_transaction_mark_bytes(&state));
    int rc = clg_transaction_mark_encode(body, &state, NULL);
    CLG_ASSERT(rc == COMMITLOG_OK);
    (void)rc;
    for (uint32_t i = 0; i < transaction->offset_count; i++) {
        const struct clg_transaction_offsets *offsets = transaction->offsets[i];
        memcpy(transactions_save_mark(&at, offsets->position, offsets->bytes), offsets->body,
               offsets->bytes);
    }
    for (uint32_t i = 0; i < transaction->message_count; i++, at += STATE_MESSAGE_BYTES) {
        const struct clg_transaction_message *message = &transaction->messages[i];
        clg_store_le64(at + MESSAGE_AT_ID, message->id);
        clg_store_le64(at + MESSAGE_AT_POSITION, message->position);
        clg_store_le32(at + MESSAGE_AT_QUEUE, message->queue_number);
        clg_store_le32(at + MESSAGE_AT_SIZE, message->size);
    }
    return at;
}

static void transactions_save(const struct clg_view *view, uint8_t *out, uint64_t bytes)
{
    const struct clg_transaction_table *table = &((const struct transactions_view *)view)->table;
    uint8_t *at = out;
    for (uint32_t i = 0; i < table->count; i++) {
        at = transactions_save_one(table->transactions[i], at);
    }
    CLG_ASSERT(at == out + bytes);
    (void)bytes;
}

/* What is left to be read. */
struct transactions_input {
    const uint8_t *at;
    const uint8_t *end;
    uint64_t position; /* of the .state: every record that it speaks of lies below */
};

/* The next mark, of that operation and, unless it is 0, that transaction. */
static int transactions_load_mark(struct transactions_view *transactions,
                                  struct transactions_input *in, uint32_t operation, uint64_t *id)
{
    struct clg_transaction_mark mark;
    uint64_t left = (uint64_t)(in->end - in->at);
    if (left < STATE_MARK_HEADER_BYTES || !clg_is_zero(in->at + STATE_MARK_AT_ZERO, 4)) {
        return COMMITLOG_EDAMAGED;
    }
    const uint64_t position = clg_load_le64(in->at + STATE_MARK_AT_POSITION);
    const uint32_t bytes = clg_load_le32(in->at + STATE_MARK_AT_BYTES);
    const uint8_t *body = in->at + STATE_MARK_HEADER_BYTES;
    if (transactions_mark_bytes(bytes) > left ||
        clg_transaction_mark_decode(body, bytes, &mark) != COMMITLOG_OK ||
        mark.operation != operation || mark.transaction == 0 || mark.transaction >= in->position ||
        (*id != 0 && mark.transaction != *id) ||
        (position != CLG_NO_POSITION &&
         (position < mark.transaction || position >= in->position))) {
        return COMMITLOG_EDAMAGED;
    }
    in->at += transactions_mark_bytes(bytes);
    int rc = clg_transaction_prepare_mark(&transactions->table, &mark, position, bytes);
    if (rc == 0) {
        clg_transaction_apply_mark(&transactions->table, &mark, body, bytes, position);
        *id = mark.transaction;
    }
    return rc;
}

static int transactions_load_message(struct transactions_view *transactions,
                                     const struct transactions_input *in, uint64_t id)
{
    const uint8_t *at = in->at;
    const struct clg_transaction_half half = {.transaction = id,
                                              .message = clg_load_le64(at + MESSAGE_AT_ID),
                                              .queue_number = clg_load_le32(at + MESSAGE_AT_QUEUE)};
    uint64_t position = clg_load_le64(at + MESSAGE_AT_POSITION);
    uint32_t size = clg_load_le32(at + MESSAGE_AT_SIZE);
    if (half.message < id || position < half.message || position >= in->position ||
        !clg_is_aligned(half.message | position, CLG_RECORD_ALIGN) ||
        half.queue_number == CLG_QUEUE_NONE || size < CLG_RECORD_MIN || size % 8 != 0) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = clg_transaction_prepare_message(&transactions->table, id);
    if (rc == 0) {
        clg_transaction_apply_half(&transactions->table, &half, position, size, 0);
    }
    return rc;
}

static int transactions_load_one(struct transactions_view *transactions,
                                 struct transactions_input *in)
{
    if ((uint64_t)(in->end - in->at) < STATE_TRANSACTION_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    const uint32_t messages = clg_load_le32(in->at + STATE_AT_MESSAGES);
    const uint32_t offsets = clg_load_le32(in->at + STATE_AT_OFFSETS);
    uint64_t id = 0;
    in->at += STATE_TRANSACTION_BYTES;
    int rc = transactions_load_mark(transactions, in, CLG_TRANSACTION_STATE, &id);
    for (uint32_t i = 0; rc == 0 && i < offsets; i++) {
        rc = transactions_load_mark(transactions, in, CLG_TRANSACTION_OFFSETS, &id);
    }
    if (rc == 0 && (uint64_t)(in->end - in->at) / STATE_MESSAGE_BYTES < messages) {
        rc = COMMITLOG_EDAMAGED;
    }
    for (uint32_t i = 0; rc == 0 && i < messages; i++, in->at += STATE_MESSAGE_BYTES) {
        rc = transactions_load_message(transactions, in, id);
    }
    return rc;
}

static int transactions_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes,
                                uint64_t upto)
{
    struct transactions_input in = {.at = data, .end = data + bytes, .position = upto};
    int rc = 0;
    while (rc == 0 && in.at < in.end) {
        rc = transactions_load_one((struct transactions_view *)view, &in);
    }
    return rc;
}

static uint64_t transactions_memory(const struct clg_view *view)
{
    const struct transactions_view *transactions = (const struct transactions_view *)view;
    return sizeof(*transactions) + clg_transaction_table_memory(&transactions->table);
}

const struct clg_transaction_table *clg_transactions_view_table(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_transactions_view_ops);
    return &((const struct transactions_view *)view)->table;
}

uint64_t clg_transactions_view_contradictions(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_transactions_view_ops);
    return ((const struct transactions_view *)view)->contradictions;
}

const struct clg_view_ops clg_transactions_view_ops = {
    .name = "transactions",
    .state_id = 8,
    .kinds = CLG_VIEW_TAKES(CLG_KIND_MESSAGE) | CLG_VIEW_TAKES(CLG_KIND_TRANSACTION) |
             CLG_VIEW_TAKES(CLG_KIND_REFERENCE) | CLG_VIEW_TAKES(CLG_KIND_GROUP),
    .attribute_kinds = CLG_VIEW_TAKES(CLG_KIND_MESSAGE),
    .sealed = false,
    .create = transactions_create,
    .destroy = transactions_destroy,
    .reset = transactions_reset,
    .apply = transactions_apply,
    .save_bytes = transactions_save_bytes,
    .save = transactions_save,
    .restore = transactions_restore,
    .memory = transactions_memory,
};
