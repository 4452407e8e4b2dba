/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timer_record.h -- a message that is to be delivered later, and what ends it.
 *
 * A record of kind timer with the attribute CLG_ATTRIBUTE_DELIVER_AT (critical, the first one) is
 * the message itself, with its other attributes and its body; it lies in no queue until a reference
 * delivers it. Without that attribute it cancels one. The id of a timer is the position of the
 * message as it was first stored; what carry-forward stores again keeps the id.
 */
#ifndef CLG_FORMAT_TIMER_RECORD_H
#define CLG_FORMAT_TIMER_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "format/limits.h"

#define CLG_DELIVER_AT_BYTES 24u /* the value */
#define CLG_TIMER_CANCEL_BYTES 16u

struct clg_deliver_at {
    int64_t due_ms;        /* since 1970, not negative */
    uint64_t id;           /* 0: the record's own position */
    uint32_t queue_number; /* where to */
};

void clg_deliver_at_encode(uint8_t value[CLG_DELIVER_AT_BYTES], const struct clg_deliver_at *in);
/* 0 or COMMITLOG_EDAMAGED. */
int clg_deliver_at_decode(const uint8_t *value, size_t bytes, struct clg_deliver_at *out);

void clg_timer_cancel_encode(uint8_t body[CLG_TIMER_CANCEL_BYTES], uint64_t id);
/* 0, COMMITLOG_EDAMAGED, or COMMITLOG_EUNSUPPORTED: an operation of a newer version. */
int clg_timer_cancel_decode(const uint8_t *body, size_t bytes, uint64_t *out_id);

#endif
