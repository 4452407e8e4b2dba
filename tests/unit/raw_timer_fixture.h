/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * raw_timer_fixture.h -- delayed messages on a machine in memory, and records that nobody writes.
 *
 * Owns: what group_fixture.h owns.
 */
#ifndef TESTS_UNIT_RAW_TIMER_FIXTURE_H
#define TESTS_UNIT_RAW_TIMER_FIXTURE_H

#include "format/reference_record.h"
#include "format/timer_record.h"
#include "log/commit_log_internal.h"
#include "store/store.h"

#include "unit/timer_fixture.h"

#include "support/prog.h"

static uint8_t filling[1 << 20];

static inline int32_t delay_bytes(uint32_t queue, size_t bytes, int64_t due_ms, uint32_t level,
                                  struct commitlog_receipt *receipt)
{
    struct commitlog_slice body = {filling, bytes};
    struct commitlog_slice key = {"key", 3};
    struct commitlog_record record = {.struct_bytes = sizeof(record),
                                      .topic = topic,
                                      .queue = queue,
                                      .level = level,
                                      .body = &body,
                                      .body_count = 1,
                                      .keys = &key,
                                      .key_count = 1,
                                      .deliver_at_ms = due_ms};
    return commitlog_append_record(store, &record, 0, receipt, &err);
}

static inline void edges_setup(void)
{
    setup();
    open_store();
}

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

static inline uint64_t append_raw(const struct clg_append *item)
{
    struct commitlog_receipt receipt = {0};
    ck_assert_int_eq(clg_store_append(store, item, 1, clg_store_until(store, 0), &receipt, &err),
                     0);
    return receipt.position;
}

static inline uint64_t append_timer_raw(const struct clg_deliver_at *at)
{
    uint8_t attributes[CLG_ATTRIBUTE_HEADER_BYTES + CLG_DELIVER_AT_BYTES];
    struct clg_attribute_writer writer;
    uint8_t value[CLG_DELIVER_AT_BYTES];
    clg_deliver_at_encode(value, at);
    clg_attribute_writer_init(&writer, attributes, sizeof(attributes));
    ck_assert_int_eq(clg_attribute_add(&writer, CLG_ATTRIBUTE_DELIVER_AT | CLG_ATTRIBUTE_CRITICAL,
                                       value, sizeof(value)),
                     0);
    struct commitlog_slice body = {"x", 1};
    return append_raw(&(struct clg_append){.kind = CLG_KIND_TIMER,
                                           .queue_number = CLG_QUEUE_NONE,
                                           .attributes = attributes,
                                           .attribute_bytes = sizeof(attributes),
                                           .body = &body,
                                           .body_count = 1,
                                           .body_bytes = 1});
}

static inline uint64_t append_reference_raw(uint32_t queue, uint64_t position, uint32_t check)
{
    uint8_t bytes[CLG_REFERENCE_BODY_BYTES_MAX];
    const struct clg_reference reference = {.position = position,
                                            .header_check = check,
                                            .reason = CLG_REFERENCE_TIMER,
                                            .origin_queue = CLG_QUEUE_NONE};
    clg_reference_encode(bytes, &reference);
    struct commitlog_slice body = {bytes, clg_reference_bytes(&reference)};
    return append_raw(&(struct clg_append){.kind = CLG_KIND_REFERENCE,
                                           .queue_number = queue,
                                           .takes_offset = true,
                                           .body = &body,
                                           .body_count = 1,
                                           .body_bytes = body.bytes});
}

#endif
