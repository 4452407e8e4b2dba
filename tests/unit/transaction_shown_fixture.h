/* SPDX-License-Identifier: BSD-2-Clause */
/* transaction_shown_fixture.h -- records of transactions as the fold shows them to a view. */
#ifndef TESTS_UNIT_TRANSACTION_SHOWN_FIXTURE_H
#define TESTS_UNIT_TRANSACTION_SHOWN_FIXTURE_H

#include "format/attributes.h"
#include "format/record.h"
#include "format/reference_record.h"
#include "unit/transaction_log_fixture.h"
#include "view/view.h"

enum { AREA = 512 };

struct shown {
    struct clg_record_view view;
    struct clg_attribute_writer writer;
    uint8_t attributes[AREA];
    uint8_t body[BODY];
};

static inline void show(struct shown *out, uint8_t kind, uint64_t position, uint32_t size,
                        int64_t time_ms)
{
    memset(out, 0, sizeof(*out));
    clg_attribute_writer_init(&out->writer, out->attributes, sizeof(out->attributes));
    out->view.position = position;
    out->view.header = (struct clg_record_header){.kind = kind,
                                                  .word = clg_record_word(size, 5),
                                                  .store_time = time_ms * CLG_OS_NS_PER_MS,
                                                  .queue_number = CLG_QUEUE_NONE};
    out->view.attributes = out->attributes;
    out->view.body = out->body;
}

static inline void show_attribute(struct shown *out, uint8_t type, const void *value, size_t bytes)
{
    ck_assert_int_eq(clg_attribute_add(&out->writer, type, value, bytes), 0);
    out->view.header.attribute_bytes = (uint16_t)out->writer.used;
}

static inline void show_body(struct shown *out, const void *body, size_t bytes)
{
    ck_assert_uint_le(bytes, sizeof(out->body));
    memcpy(out->body, body, bytes);
    out->view.body_bytes = bytes;
}

static inline void show_reference(struct shown *out, uint8_t reason, uint64_t origin)
{
    uint8_t body[CLG_REFERENCE_BODY_BYTES_MAX];
    bool dead = reason > CLG_REFERENCE_TRANSACTION;
    const struct clg_reference reference = {.position = origin + 8,
                                            .reason = reason,
                                            .origin = origin,
                                            .origin_queue = dead ? 1 : CLG_QUEUE_NONE};
    clg_reference_encode(body, &reference);
    show_body(out, body, clg_reference_bytes(&reference));
}

static inline void show_copy(struct shown *out, uint64_t transaction, uint64_t message)
{
    uint8_t value[CLG_TRANSACTION_HALF_BYTES_MAX];
    const struct clg_transaction_half half = {.transaction = transaction, .message = message};
    clg_transaction_half_encode(value, &half);
    show_attribute(out, CLG_ATTRIBUTE_TRANSACTION, value, clg_transaction_half_bytes(&half));
}

#endif
