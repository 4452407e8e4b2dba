/* SPDX-License-Identifier: BSD-2-Clause */
/* transaction_table.c -- see transaction_table.h. */
#include "state/transaction_table.h"

#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "commitlog.h"

#define TRANSACTION_ROOM_MIN 16u
#define TRANSACTION_MESSAGES_MIN 4u

void clg_transaction_table_init(struct clg_transaction_table *table, const struct commitlog_os *os)
{
    memset(table, 0, sizeof(*table));
    table->os = os;
}

static void transaction_free(const struct commitlog_os *os, struct clg_transaction *transaction)
{
    if (transaction == NULL) {
        return;
    }
    for (uint32_t i = 0; i < transaction->offset_count; i++) {
        os->free(os, transaction->offsets[i]);
    }
    os->free(os, transaction->offsets);
    os->free(os, transaction->messages);
    os->free(os, transaction);
}

void clg_transaction_table_deinit(struct clg_transaction_table *table)
{
    const struct commitlog_os *os = table->os;
    for (uint32_t i = 0; i < table->count; i++) {
        transaction_free(os, table->transactions[i]);
    }
    transaction_free(os, table->spare);
    os->free(os, table->spare_offsets);
    os->free(os, table->block);
    clg_transaction_table_init(table, os);
}

/* ---- find ---- */

/* The first that is not below `id`. */
static uint32_t transaction_index(const struct clg_transaction_table *table, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->transactions[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct clg_transaction *clg_transaction_find(const struct clg_transaction_table *table, uint64_t id)
{
    uint32_t at = transaction_index(table, id);
    return at < table->count && table->transactions[at]->id == id ? table->transactions[at] : NULL;
}

struct clg_transaction *clg_transaction_next(const struct clg_transaction_table *table,
                                             uint64_t after)
{
    uint32_t at = after == UINT64_MAX ? table->count : transaction_index(table, after + 1);
    return at < table->count ? table->transactions[at] : NULL;
}

static uint32_t transaction_message_index(const struct clg_transaction *transaction, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = transaction->message_count;
    if (high > 0 && transaction->messages[high - 1].id < id) {
        return high; /* mostly */
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (transaction->messages[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* ---- room ---- */

static int transaction_prepare_new(struct clg_transaction_table *table)
{
    const struct commitlog_os *os = table->os;
    if (table->count == table->room) {
        uint32_t room =
            table->count < TRANSACTION_ROOM_MIN / 2 ? TRANSACTION_ROOM_MIN : table->count * 2;
        struct clg_transaction **grown = clg_os_alloc_array(os, room, sizeof(*grown));
        if (grown == NULL) {
            return COMMITLOG_ENOMEM;
        }
        if (table->count > 0) {
            memcpy(grown, table->transactions, table->count * sizeof(*grown));
        }
        os->free(os, table->block);
        table->block = grown;
        table->transactions = grown;
        table->room = room;
    }
    if (table->spare == NULL) {
        table->spare = clg_os_alloc_array(os, 1, sizeof(*table->spare));
    }
    return table->spare == NULL ? COMMITLOG_ENOMEM : COMMITLOG_OK;
}

static int transaction_grow_messages(const struct commitlog_os *os,
                                     struct clg_transaction *transaction)
{
    if (transaction->message_count < transaction->message_room) {
        return COMMITLOG_OK;
    }
    uint32_t room = transaction->message_room < TRANSACTION_MESSAGES_MIN
                        ? (transaction->message_room == 0 ? 1 : TRANSACTION_MESSAGES_MIN)
                        : transaction->message_room / 2 * 3;
    struct clg_transaction_message *grown = clg_os_grow_array(
        os, transaction->messages, transaction->message_room, room, sizeof(*transaction->messages));
    if (grown == NULL) {
        return COMMITLOG_ENOMEM;
    }
    transaction->messages = grown;
    transaction->message_room = room;
    return COMMITLOG_OK;
}

int clg_transaction_prepare_message(struct clg_transaction_table *table, uint64_t id)
{
    struct clg_transaction *transaction = clg_transaction_find(table, id);
    if (transaction == NULL) {
        int rc = transaction_prepare_new(table);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        transaction = table->spare;
    }
    return transaction_grow_messages(table->os, transaction);
}

int clg_transaction_prepare_mark(struct clg_transaction_table *table,
                                 const struct clg_transaction_mark *mark, uint64_t position,
                                 size_t body_bytes)
{
    const struct commitlog_os *os = table->os;
    struct clg_transaction *transaction =
        clg_transaction_find(table, mark->transaction != 0 ? mark->transaction : position);
    if (mark->operation != CLG_TRANSACTION_STATE && mark->operation != CLG_TRANSACTION_OFFSETS) {
        return COMMITLOG_OK;
    }
    if (transaction == NULL) {
        int rc = transaction_prepare_new(table);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        transaction = table->spare;
    }
    if (mark->operation == CLG_TRANSACTION_STATE) {
        return COMMITLOG_OK;
    }
    os->free(os, table->spare_offsets);
    table->spare_offsets = os->alloc(os, sizeof(*table->spare_offsets) + body_bytes);
    struct clg_transaction_offsets **grown =
        clg_os_grow_array(os, transaction->offsets, transaction->offset_count,
                          (size_t)transaction->offset_count + 1, sizeof(*grown));
    if (grown != NULL) {
        transaction->offsets = grown;
    }
    return table->spare_offsets == NULL || grown == NULL ? COMMITLOG_ENOMEM : COMMITLOG_OK;
}

/* ---- apply ---- */

static struct clg_transaction *transaction_take(struct clg_transaction_table *table, uint64_t id,
                                                int64_t time_ms)
{
    uint32_t at = transaction_index(table, id);
    if (at < table->count && table->transactions[at]->id == id) {
        return table->transactions[at];
    }
    CLG_ASSERT(table->spare != NULL && table->count < table->room);
    struct clg_transaction *transaction = table->spare;
    table->spare = NULL;
    transaction->id = id;
    transaction->begin_ms = time_ms;
    transaction->state_position = CLG_NO_POSITION;
    memmove(table->transactions + at + 1, table->transactions + at,
            (table->count - at) * sizeof(struct clg_transaction *));
    table->transactions[at] = transaction;
    table->count++;
    return transaction;
}

static void transaction_set_group(struct clg_transaction *transaction, const uint8_t *group,
                                  uint32_t group_bytes)
{
    CLG_ASSERT(group_bytes <= CLG_GROUP_NAME_MAX);
    memset(transaction->group, 0, sizeof(transaction->group));
    if (group_bytes > 0) {
        memcpy(transaction->group, group, group_bytes);
    }
    transaction->group_bytes = group_bytes;
}

static void transaction_put_message(struct clg_transaction_table *table,
                                    struct clg_transaction *transaction,
                                    const struct clg_transaction_message *message)
{
    uint32_t at = transaction_message_index(transaction, message->id);
    struct clg_transaction_message *to = &transaction->messages[at];
    if (at < transaction->message_count && to->id == message->id) {
        transaction->bytes -= to->size;
        table->bytes -= to->size;
    } else {
        CLG_ASSERT(transaction->message_count < transaction->message_room);
        memmove(to + 1, to, (transaction->message_count - at) * sizeof(*to));
        transaction->message_count++;
        table->messages++;
    }
    *to = *message;
    transaction->bytes += message->size;
    table->bytes += message->size;
}

void clg_transaction_apply_half(struct clg_transaction_table *table,
                                const struct clg_transaction_half *half, uint64_t position,
                                uint32_t size, int64_t time_ms)
{
    uint64_t id = half->transaction != 0 ? half->transaction : position;
    struct clg_transaction *transaction = transaction_take(table, id, time_ms);
    if (half->transaction == 0) {
        transaction->begin_ms = time_ms;
        transaction->state_position = position;
        transaction->prepared = transaction->prepared || half->prepared;
        transaction_set_group(transaction, half->group, half->group_bytes);
        if (half->prepared) {
            transaction->whole_messages = 1;
            transaction->expire_at_ms =
                half->expire_at_ms != 0 ? half->expire_at_ms
                : time_ms < CLG_DELIVER_AT_MAX_MS - CLG_TRANSACTION_PREPARED_MS
                    ? time_ms + CLG_TRANSACTION_PREPARED_MS
                    : CLG_DELIVER_AT_MAX_MS;
        }
    }
    const struct clg_transaction_message message = {.id = half->message != 0 ? half->message
                                                                             : position,
                                                    .position = position,
                                                    .queue_number = half->queue_number,
                                                    .size = size};
    transaction_put_message(table, transaction, &message);
}

/* *out: decoded. */
static bool offsets_are_of(const struct clg_transaction_offsets *offsets,
                           const struct clg_group_change *change, struct clg_transaction_mark *out)
{
    int rc = clg_transaction_mark_decode(offsets->body, offsets->bytes, out);
    CLG_ASSERT(rc == COMMITLOG_OK);
    return rc == COMMITLOG_OK && out->offsets.name_bytes == change->name_bytes &&
           memcmp(out->offsets.name, change->name, change->name_bytes) == 0;
}

static void transaction_put_offsets(struct clg_transaction_table *table,
                                    struct clg_transaction *transaction,
                                    const struct clg_group_change *change, const uint8_t *body,
                                    size_t body_bytes, uint64_t position)
{
    struct clg_transaction_offsets *offsets = table->spare_offsets;
    struct clg_transaction_mark mark;
    CLG_ASSERT(offsets != NULL);
    table->spare_offsets = NULL;
    offsets->position = position;
    offsets->bytes = body_bytes;
    memcpy(offsets->body, body, body_bytes);
    uint32_t at = 0;
    while (at < transaction->offset_count &&
           !offsets_are_of(transaction->offsets[at], change, &mark)) {
        at++;
    }
    if (at == transaction->offset_count) {
        transaction->offset_count++;
    } else {
        table->os->free(table->os, transaction->offsets[at]);
    }
    transaction->offsets[at] = offsets;
}

void clg_transaction_void_offsets(struct clg_transaction_table *table,
                                  const struct clg_group_change *deleted)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_transaction *transaction = table->transactions[i];
        for (uint32_t j = 0; j < transaction->offset_count; j++) {
            struct clg_transaction_mark mark;
            if (offsets_are_of(transaction->offsets[j], deleted, &mark)) {
                clg_transaction_mark_void(transaction->offsets[j]->body, &mark);
            }
        }
    }
}

void clg_transaction_apply_mark(struct clg_transaction_table *table,
                                const struct clg_transaction_mark *mark, const uint8_t *body,
                                size_t body_bytes, uint64_t position)
{
    uint64_t id = mark->transaction != 0 ? mark->transaction : position;
    if (mark->operation == CLG_TRANSACTION_STATE) {
        struct clg_transaction *begun = transaction_take(table, id, mark->begin_ms);
        begun->begin_ms = mark->begin_ms;
        begun->state_position = position;
        begun->prepared = mark->prepared;
        if (mark->prepared || !begun->is_open) { /* else the handle's own time goes on */
            begun->expire_at_ms = mark->expire_at_ms;
        }
        begun->whole_messages = mark->messages;
        begun->whole_groups = mark->groups;
        transaction_set_group(begun, mark->group, mark->group_bytes);
        return;
    }
    if (mark->operation == CLG_TRANSACTION_ROLLBACK || mark->operation == CLG_TRANSACTION_COMMIT) {
        clg_transaction_end(table, id);
        return;
    }
    if (mark->operation == CLG_TRANSACTION_OFFSETS) {
        transaction_put_offsets(table, transaction_take(table, id, 0), &mark->offsets, body,
                                body_bytes, position);
        return;
    }
    struct clg_transaction *transaction = clg_transaction_find(table, id);
    if (transaction != NULL) { /* else its state follows, or it has ended */
        transaction->prepared = true;
        transaction->expire_at_ms = mark->expire_at_ms;
        transaction->whole_messages = mark->messages;
        transaction->whole_groups = mark->groups;
    }
}

void clg_transaction_end(struct clg_transaction_table *table, uint64_t id)
{
    uint32_t at = transaction_index(table, id);
    if (at == table->count || table->transactions[at]->id != id) {
        return;
    }
    struct clg_transaction *transaction = table->transactions[at];
    CLG_ASSERT(table->messages >= transaction->message_count);
    CLG_ASSERT(table->bytes >= transaction->bytes);
    table->messages -= transaction->message_count;
    table->bytes -= transaction->bytes;
    table->count--;
    if (at == 0) {
        table->transactions++;
        table->room--;
    } else {
        memmove(table->transactions + at, table->transactions + at + 1,
                (table->count - at) * sizeof(struct clg_transaction *));
    }
    transaction_free(table->os, transaction);
}

/* ---- whole tables ---- */

static int transaction_copy_one(struct clg_transaction_table *table,
                                const struct clg_transaction *from)
{
    const struct commitlog_os *os = table->os;
    int rc = transaction_prepare_new(table);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_transaction *to = table->spare;
    struct clg_transaction_message *messages =
        from->message_count == 0 ? NULL
                                 : clg_os_alloc_array(os, from->message_count, sizeof(*messages));
    struct clg_transaction_offsets **offsets =
        from->offset_count == 0 ? NULL
                                : clg_os_alloc_array(os, from->offset_count, sizeof(*offsets));
    if ((messages == NULL && from->message_count > 0) ||
        (offsets == NULL && from->offset_count > 0)) {
        os->free(os, messages);
        os->free(os, offsets);
        return COMMITLOG_ENOMEM;
    }
    *to = *from;
    to->messages = messages;
    to->message_room = from->message_count;
    to->offsets = offsets;
    to->offset_count = 0;
    if (messages != NULL) {
        memcpy(messages, from->messages, from->message_count * sizeof(*messages));
    }
    for (uint32_t i = 0; i < from->offset_count; i++) {
        size_t bytes = sizeof(**offsets) + from->offsets[i]->bytes;
        offsets[i] = os->alloc(os, bytes);
        if (offsets[i] == NULL) {
            return COMMITLOG_ENOMEM; /* what it has is freed as the spare */
        }
        memcpy(offsets[i], from->offsets[i], bytes);
        to->offset_count++;
    }
    table->spare = NULL;
    table->transactions[table->count++] = to;
    table->messages += to->message_count;
    table->bytes += to->bytes;
    return COMMITLOG_OK;
}

int clg_transaction_table_copy(struct clg_transaction_table *table,
                               const struct clg_transaction_table *from)
{
    CLG_ASSERT(table->count == 0);
    int rc = COMMITLOG_OK;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < from->count; i++) {
        rc = transaction_copy_one(table, from->transactions[i]);
    }
    return rc;
}

uint64_t clg_transaction_table_memory(const struct clg_transaction_table *table)
{
    uint64_t bytes = (uint64_t)table->room * sizeof(struct clg_transaction *);
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_transaction *transaction = table->transactions[i];
        bytes += sizeof(*transaction) +
                 (uint64_t)transaction->message_room * sizeof(*transaction->messages);
        for (uint32_t j = 0; j < transaction->offset_count; j++) {
            bytes += sizeof(struct clg_transaction_offsets *) +
                     sizeof(struct clg_transaction_offsets) + transaction->offsets[j]->bytes;
        }
    }
    return bytes;
}

void clg_transaction_table_invariants(const struct clg_transaction_table *table)
{
    uint64_t messages = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_transaction *transaction = table->transactions[i];
        uint64_t own = 0;
        CLG_ASSERT(i == 0 || table->transactions[i - 1]->id < transaction->id);
        for (uint32_t j = 0; j < transaction->message_count; j++) {
            const struct clg_transaction_message *message = &transaction->messages[j];
            CLG_ASSERT(j == 0 || transaction->messages[j - 1].id < message->id);
            CLG_ASSERT(message->position >= message->id && message->id >= transaction->id);
            own += message->size;
        }
        CLG_ASSERT(own == transaction->bytes);
        messages += transaction->message_count;
        bytes += own;
    }
    CLG_ASSERT(messages == table->messages && bytes == table->bytes);
    (void)messages;
    (void)bytes;
}
