/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transaction_carry.c -- open transactions under retention: what is open is stored again at the
 * tail before the segment that it lies in goes, each record by itself. See transactions.h.
 *
 * A log that begins behind a transaction's first record meets what is left of it in any order: the
 * table takes it so.
 */
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "log/reader.h"
#include "store/reference.h"
#include "store/transactions.h"

/* So many messages under the lock at once: appends to transactions get in between. */
#define CARRY_PIECE 256u
#define CARRY_ROOM_MS 1000
#define CARRY_MORE_BYTES 16u

/* It lies in what goes; or damage took it, of one that is prepared: then it is said again. */
static bool carry_needs_state(const struct clg_transaction *open, uint64_t end)
{
    return open->state_position < end ||
           (open->state_position == CLG_NO_POSITION && open->prepared);
}

static uint64_t carry_state_bytes(const struct clg_transaction *open, uint64_t end)
{
    uint64_t bytes = 0;
    if (carry_needs_state(open, end)) {
        bytes += clg_record_bytes(0, CLG_TRANSACTION_STATE_BYTES + open->group_bytes);
    }
    for (uint32_t i = 0; i < open->offset_count; i++) {
        bytes +=
            open->offsets[i]->position < end ? clg_record_bytes(0, open->offsets[i]->bytes) : 0;
    }
    return bytes;
}

/* It says its id, the first time that it is stored again. */
static uint64_t carry_bytes(const struct clg_transaction_message *message)
{
    return message->size + (message->position == message->id ? CARRY_MORE_BYTES : 0);
}

uint64_t clg_transactions_waiting(struct commitlog_store *store, uint64_t end, uint64_t *out_total,
                                  uint64_t *largest)
{
    const struct clg_transaction_table *table = &store->transactions;
    uint64_t bytes = 0;
    uint64_t total = 0;
    clg_mutex_lock(store->os, &store->transaction_lock);
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_transaction *open = table->transactions[i];
        bytes += carry_state_bytes(open, end);
        total += carry_state_bytes(open, UINT64_MAX);
        for (uint32_t j = 0; j < open->message_count; j++) {
            if (open->messages[j].position < end) {
                bytes += carry_bytes(&open->messages[j]);
                *largest = clg_max_u64(*largest, carry_bytes(&open->messages[j]));
            }
        }
    }
    *out_total = total + table->bytes;
    clg_mutex_unlock(store->os, &store->transaction_lock);
    return bytes;
}

/* All but its messages. Under the lock, as all that follows. */
static int carry_state(struct commitlog_store *store, const struct clg_transaction *open,
                       uint64_t end, uint64_t *bytes, struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    if (carry_needs_state(open, end)) {
        const struct clg_transaction_mark state = {
            .operation = CLG_TRANSACTION_STATE,
            .transaction = open->id,
            .prepared = open->prepared,
            .begin_ms = open->begin_ms,
            .expire_at_ms = open->prepared ? open->expire_at_ms : 0,
            .messages = open->prepared ? open->whole_messages : 0,
            .groups = open->prepared ? open->whole_groups : 0,
            .group = open->group,
            .group_bytes = open->group_bytes};
        struct commitlog_receipt receipt = {0};
        rc = clg_transactions_append_mark(store, &state, NULL, true,
                                          clg_store_until(store, CARRY_ROOM_MS), &receipt, err);
        *bytes += receipt.end_position - receipt.position;
    }
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < open->offset_count; i++) {
        if (open->offsets[i]->position < end) {
            const struct clg_transaction_offsets *offsets = open->offsets[i];
            struct commitlog_receipt receipt = {0};
            rc = clg_transactions_append_body(store, offsets->body, offsets->bytes, true,
                                              clg_store_until(store, CARRY_ROOM_MS), &receipt, err);
            *bytes += receipt.end_position - receipt.position;
        }
    }
    return rc;
}

/* A message of it is damaged or gone: it can never be whole again. */
static int carry_give_up(struct commitlog_store *store, uint64_t id, uint64_t position,
                         struct commitlog_error *err)
{
    struct commitlog_receipt receipt = {0};
    clg_store_damage(store, store->core, position, 0, CLG_QUEUE_NONE,
                     "a message of a transaction does not read");
    clg_wrap(err, "transaction %llu is rolled back", (unsigned long long)id);
    clg_store_event(store, COMMITLOG_EVENT_ERROR, err);
    return clg_transactions_roll_back(store, id, CLG_TRANSACTION_UNREADABLE, true,
                                      clg_store_until(store, CARRY_ROOM_MS), &receipt, err);
}

/* What was read of it, at the tail; `carry`: it may use the stretch that is kept for retention. */
static int carry_copy(struct commitlog_store *store, uint64_t id,
                      const struct clg_transaction_message *message,
                      const struct clg_record_view *view, bool carry, struct clg_until until,
                      uint64_t *bytes, struct commitlog_error *err)
{
    struct commitlog_receipt receipt = {0};
    struct commitlog_slice body;
    struct clg_append item;
    uint8_t *memory = NULL;
    int rc = clg_transactions_copy(store, id, message, view, CLG_KIND_TRANSACTION, false, &body,
                                   &item, &memory, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    item.takes_reserve = carry;
    rc = clg_store_append(store, &item, 1, until, &receipt, err);
    store->os->free(store->os, memory);
    if (rc == COMMITLOG_OK) {
        const struct clg_transaction_half half = {
            .transaction = id, .message = message->id, .queue_number = message->queue_number};
        uint64_t size = receipt.end_position - receipt.position;
        clg_transaction_apply_half(&store->transactions, &half, receipt.position, (uint32_t)size,
                                   receipt.store_time_ns / CLG_OS_NS_PER_MS);
        *bytes += size;
        clg_count(store, CLG_COUNT_TRANSACTION_COPIES, 1);
    }
    return rc;
}

int clg_transactions_renew(struct commitlog_store *store, uint64_t id, struct commitlog_error *err)
{
    const struct clg_transaction *open = clg_transaction_find(&store->transactions, id);
    struct clg_reader reader;
    int rc = COMMITLOG_OK;
    uint64_t bytes = 0;
    CLG_ASSERT(open != NULL && clg_mutex_is_held(&store->transaction_lock));
    clg_reader_init(&reader, store->os, clg_option(&store->options, COMMITLOG_OPT_BORROW) == 0,
                    true);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < open->message_count; i++) {
        const struct clg_transaction_message message = open->messages[i];
        struct clg_record_view view;
        rc = clg_transactions_read(store, &reader, id, &message, &view, err);
        if (rc == COMMITLOG_OK && clg_reference_is_short_lived(store, &view)) {
            rc = carry_copy(store, id, &message, &view, false, clg_store_until(store, 0), &bytes,
                            err);
            rc = rc == COMMITLOG_ETOOBIG ? COMMITLOG_OK : rc; /* segments are smaller than it */
        }
    }
    clg_reader_end(&reader);
    return rc;
}

/* *out_gone: the transaction has ended for it. */
static int carry_message(struct commitlog_store *store, struct clg_reader *reader, uint64_t id,
                         const struct clg_transaction_message *message, bool *out_gone,
                         uint64_t *bytes, struct commitlog_error *err)
{
    struct clg_record_view view;
    int rc = clg_transactions_read(store, reader, id, message, &view, err);
    if (rc == COMMITLOG_EDAMAGED || rc == COMMITLOG_ETOOSMALL) {
        *out_gone = true;
        return carry_give_up(store, id, message->position, err);
    }
    if (rc == COMMITLOG_OK) {
        rc = carry_copy(store, id, message, &view, true, clg_store_until(store, CARRY_ROOM_MS),
                        bytes, err);
    }
    if (rc != COMMITLOG_OK && rc != COMMITLOG_ETIMEDOUT) {
        clg_wrap(err, "retention: transaction %llu", (unsigned long long)id);
    }
    return rc;
}

/* The messages of one from *index on, CARRY_PIECE at the most; *index UINT32_MAX: no more. */
static int carry_piece(struct commitlog_store *store, struct clg_reader *reader, uint64_t id,
                       uint64_t end, uint32_t *index, uint64_t *bytes, struct commitlog_error *err)
{
    int rc = COMMITLOG_OK;
    uint32_t carried = 0;
    bool gone = false;
    const struct clg_transaction *open = clg_transaction_find(&store->transactions, id);
    for (; rc == COMMITLOG_OK && !gone && open != NULL && *index < open->message_count &&
           carried < CARRY_PIECE;
         (*index)++) {
        const struct clg_transaction_message message = open->messages[*index];
        if (message.position < end) {
            rc = carry_message(store, reader, id, &message, &gone, bytes, err);
            carried++;
        }
    }
    if (gone || open == NULL || *index >= open->message_count) {
        *index = UINT32_MAX;
    }
    return rc;
}

static int carry_one(struct commitlog_store *store, struct clg_reader *reader, uint64_t id,
                     uint64_t end, uint64_t *bytes, struct commitlog_error *err)
{
    const struct clg_transaction *open = clg_transaction_find(&store->transactions, id);
    struct commitlog_receipt receipt = {0};
    if (!open->prepared && !open->is_open) {
        return clg_transactions_roll_back(store, id, CLG_TRANSACTION_ORPHANED, true,
                                          clg_store_until(store, CARRY_ROOM_MS), &receipt, err);
    }
    int rc = carry_state(store, open, end, bytes, err);
    uint32_t index = 0;
    while (rc == COMMITLOG_OK && index != UINT32_MAX) {
        rc = carry_piece(store, reader, id, end, &index, bytes, err);
        if (rc == COMMITLOG_OK && index != UINT32_MAX) {
            clg_mutex_unlock(store->os, &store->transaction_lock);
            store->os->sleep_ns(store->os, 1); /* the lock is not fair */
            clg_mutex_lock(store->os, &store->transaction_lock);
        }
    }
    return rc;
}

int clg_transactions_carry(struct commitlog_store *store, uint64_t end, uint64_t *out_bytes,
                           struct commitlog_error *err)
{
    struct clg_reader reader;
    int rc = COMMITLOG_OK;
    struct commitlog_error own; /* an event has a text, whatever the caller wants */
    clg_error_clear(&own);
    clg_reader_init(&reader, store->os, clg_option(&store->options, COMMITLOG_OPT_BORROW) == 0,
                    true);
    clg_mutex_lock(store->os, &store->transaction_lock);
    struct clg_transaction *open = clg_transaction_next(&store->transactions, 0);
    while (rc == COMMITLOG_OK && open != NULL && !CLG_PLANTED(TRANSACTION_UNCARRIED)) {
        const uint64_t id = open->id; /* what begins meanwhile lies behind `end` */
        rc = carry_one(store, &reader, id, end, out_bytes, &own);
        open = clg_transaction_next(&store->transactions, id);
    }
    clg_mutex_unlock(store->os, &store->transaction_lock);
    clg_reader_end(&reader);
    if (rc == COMMITLOG_ETIMEDOUT) {
        return clg_fail(
            err, COMMITLOG_EBUSY, 0, CLG_NO_POSITION,
            "an open reservation holds the log: transactions cannot be carried forward");
    }
    return clg_error_give(err, rc, &own);
}
