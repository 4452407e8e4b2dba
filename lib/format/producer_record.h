/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * producer_record.h -- what makes a repeated append known: the attribute of a message that names
 * its producer and sequence, and the control record that carries a producer's state forward or ends
 * it.
 *
 * Both say what is true from them on, so that applying a run of them again ends in the same state.
 */
#ifndef CLG_FORMAT_PRODUCER_RECORD_H
#define CLG_FORMAT_PRODUCER_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "format/attributes.h"
#include "format/limits.h"
#include "format/record.h"
#include "format/timer_record.h"

#define CLG_PRODUCER_ATTRIBUTE_BYTES 20u /* the value */
#define CLG_PRODUCER_FIXED_BYTES 32u
#define CLG_PRODUCER_ENTRY_BYTES 40u

/* Value of CLG_ATTRIBUTE_PRODUCER. */
struct clg_producer_mark {
    uint64_t id;       /* not 0 */
    uint64_t sequence; /* from 1 on within an epoch */
    uint32_t epoch;
};

void clg_producer_mark_encode(uint8_t value[CLG_PRODUCER_ATTRIBUTE_BYTES],
                              const struct clg_producer_mark *mark);
/* 0 or COMMITLOG_EDAMAGED. */
int clg_producer_mark_decode(const uint8_t *value, size_t bytes, struct clg_producer_mark *out);

static inline bool clg_attribute_is(const uint8_t *attribute, size_t left, uint8_t type,
                                    uint16_t bytes)
{
    return left >= CLG_ATTRIBUTE_HEADER_BYTES + (size_t)bytes &&
           (attribute[0] & ~CLG_ATTRIBUTE_CRITICAL) == type &&
           clg_load_le16(attribute + 1) == bytes;
}

/* The value of a record's mark, or NULL. It is the first attribute, or the one behind the time of
 * delivery: a look at three bytes for most records. What is stored again of a delayed message is
 * nobody's append. `area` as long as the header says; its lengths are not checked otherwise. */
static inline const uint8_t *clg_producer_find_mark(const struct clg_record_header *header,
                                                    const uint8_t *area)
{
    size_t left = header->attribute_bytes;
    if (header->kind != CLG_KIND_MESSAGE && header->kind != CLG_KIND_TIMER) {
        return NULL;
    }
    if (clg_attribute_is(area, left, CLG_ATTRIBUTE_DELIVER_AT, CLG_DELIVER_AT_BYTES)) {
        struct clg_deliver_at at;
        if (clg_deliver_at_decode(area + CLG_ATTRIBUTE_HEADER_BYTES, CLG_DELIVER_AT_BYTES, &at) !=
                0 ||
            at.id != 0) {
            return NULL;
        }
        area += CLG_ATTRIBUTE_HEADER_BYTES + CLG_DELIVER_AT_BYTES;
        left -= CLG_ATTRIBUTE_HEADER_BYTES + CLG_DELIVER_AT_BYTES;
    }
    return clg_attribute_is(area, left, CLG_ATTRIBUTE_PRODUCER, CLG_PRODUCER_ATTRIBUTE_BYTES)
               ? area + CLG_ATTRIBUTE_HEADER_BYTES
               : NULL;
}

enum clg_producer_operation {
    CLG_PRODUCER_STATE = 1, /* what is known of it */
    CLG_PRODUCER_EXPIRE = 2 /* nothing is known of it any more; no entries */
};

/* What is remembered of one append. */
struct clg_producer_receipt {
    uint64_t position;
    uint64_t end_position;
    uint64_t queue_offset;
    int64_t store_time;
    uint32_t epoch; /* of the log */
};

struct clg_producer_state {
    uint64_t id;
    uint64_t sequence; /* the last one */
    uint32_t epoch;
    uint32_t operation;
    uint32_t count; /* of receipts: those of sequence - count + 1 ... sequence */
    struct clg_producer_receipt receipts[CLG_PRODUCER_RECEIPTS];
};

size_t clg_producer_state_bytes(uint32_t count);
/* `room` is clg_producer_state_bytes(state->count). */
void clg_producer_state_encode(uint8_t *body, size_t room, const struct clg_producer_state *state);
/* 0, COMMITLOG_EDAMAGED, or COMMITLOG_EUNSUPPORTED: an operation of a newer version. */
int clg_producer_state_decode(const uint8_t *body, size_t bytes, struct clg_producer_state *out);

#endif
