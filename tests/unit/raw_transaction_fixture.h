/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raw_transaction_fixture.h -- transactions on a machine in memory, and records that nobody writes.
 *
 * Owns: what transaction_fixture.h owns.
 */
#ifndef TESTS_UNIT_RAW_TRANSACTION_FIXTURE_H
#define TESTS_UNIT_RAW_TRANSACTION_FIXTURE_H

#include "base/bytes.h"
#include "format/attributes.h"
#include "format/reference_record.h"
#include "format/transaction_record.h"
#include "log/commit_log_internal.h"
#include "store/store.h"

#include "unit/transaction_fixture.h"

#include "support/prog.h"

static uint8_t filling[1 << 20];

static inline void edges_setup(void)
{
    setup();
    open_store();
}

/* What was appended raw the writer knows from the log, when it opens it. */
static inline void reopen(void)
{
    ck_assert_int_eq(commitlog_close(store, &err), 0);
    store = NULL;
    open_store();
}

static inline int32_t retain(uint64_t keep_bytes, struct commitlog_retained *retained)
{
    const struct commitlog_retention policy = {.struct_bytes = sizeof(policy),
                                               .keep_bytes = keep_bytes};
    retained->struct_bytes = sizeof(*retained);
    return commitlog_retain(store, &policy, retained, &err);
}

static inline int32_t half_bytes(struct commitlog_transaction *transaction, uint32_t queue,
                                 size_t bytes, struct commitlog_receipt *receipt)
{
    struct commitlog_slice body = {filling, bytes};
    struct commitlog_slice key = {"key", 3};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = queue,
                                      .level = COMMITLOG_LEVEL_NONE,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = 1};
    return commitlog_transaction_append(transaction, &record, 0, receipt, &err);
}

static inline uint64_t append_raw(uint8_t kind, uint32_t queue, const void *attributes,
                                  size_t attribute_bytes, const void *body, size_t body_bytes)
{
    struct commitlog_receipt receipt = {0};
    struct commitlog_slice slice = {body, body_bytes};
    const struct clg_append item = {.kind = kind,
                                    .queue_number = queue,
                                    .takes_offset = queue != CLG_QUEUE_NONE,
                                    .attributes = attributes,
                                    .attribute_bytes = (uint32_t)attribute_bytes,
                                    .body = &slice,
                                    .body_count = 1,
                                    .body_bytes = body_bytes};
    ck_assert_int_eq(clg_store_append(store, &item, 1, clg_store_until(store, 0), &receipt, &err),
                     0);
    return receipt.position;
}

/* A message, or a copy that was delivered (of a queue), whose attribute has these bytes. */
static inline uint64_t append_value_raw(uint8_t kind, uint32_t queue, const uint8_t *value,
                                        size_t bytes)
{
    uint8_t attributes[CLG_ATTRIBUTE_HEADER_BYTES + CLG_TRANSACTION_HALF_BYTES_MAX];
    ck_assert_uint_le(bytes, CLG_TRANSACTION_HALF_BYTES_MAX);
    attributes[0] = CLG_ATTRIBUTE_TRANSACTION | CLG_ATTRIBUTE_CRITICAL;
    clg_store_le16(attributes + 1, (uint16_t)bytes);
    memcpy(attributes + CLG_ATTRIBUTE_HEADER_BYTES, value, bytes);
    return append_raw(kind, queue, attributes, CLG_ATTRIBUTE_HEADER_BYTES + bytes, "raw", 3);
}

static inline uint64_t append_half_raw(const struct clg_transaction_half *half)
{
    uint8_t value[CLG_TRANSACTION_HALF_BYTES_MAX];
    clg_transaction_half_encode(value, half);
    return append_value_raw(CLG_KIND_TRANSACTION, CLG_QUEUE_NONE, value,
                            clg_transaction_half_bytes(half));
}

static inline uint64_t append_mark_raw(const struct clg_transaction_mark *mark,
                                       const struct clg_group_entry *entries)
{
    uint8_t body[4096];
    ck_assert_uint_le(clg_transaction_mark_bytes(mark), sizeof(body));
    ck_assert_int_eq(clg_transaction_mark_encode(body, mark, entries), 0);
    return append_raw(CLG_KIND_TRANSACTION, CLG_QUEUE_NONE, NULL, 0, body,
                      clg_transaction_mark_bytes(mark));
}

static inline uint64_t append_reference_raw(uint32_t queue, uint64_t position, uint32_t check,
                                            uint64_t transaction)
{
    uint8_t body[CLG_REFERENCE_BODY_BYTES_MAX];
    const struct clg_reference reference = {.position = position,
                                            .header_check = check,
                                            .reason = CLG_REFERENCE_TRANSACTION,
                                            .origin = transaction,
                                            .origin_queue = CLG_QUEUE_NONE};
    clg_reference_encode(body, &reference);
    return append_raw(CLG_KIND_REFERENCE, queue, NULL, 0, body, clg_reference_bytes(&reference));
}

/* A bit of the record behind its header, or all of it, is not what was written. */
static inline void spoil(const struct commitlog_receipt *receipt, bool unreadable)
{
    const uint64_t base = receipt->position / segment_bytes * segment_bytes;
    char path[128];
    (void)snprintf(path, sizeof(path), "/store/log/%020llu.log", (unsigned long long)base);
    ck_assert_int_eq(
        unreadable ? commitlog_fault_bad_range(machine, path, receipt->position - base, 64)
                   : commitlog_fault_flip(machine, path, receipt->end_position - base - 20, 1),
        0);
}

/* Takes what has been told; true: something of these words. */
static inline bool was_told(const char *words)
{
    struct commitlog_event event = {.struct_bytes = sizeof(event)};
    bool told = false;
    while (commitlog_event_next(store, &event) == COMMITLOG_OK) {
        told = told || strstr(event.detail.message, words) != NULL;
    }
    return told;
}

#endif
