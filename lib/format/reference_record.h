/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reference_record.h -- body of a reference: a record of a queue that says which other record is
 * delivered there.
 *
 * It names the original by position and header check, so that a reference whose original is gone or
 * cut reads as expired and never as another record. Tag, keys and headers are those of the
 * original; the reference repeats the hash of the tag and, as an attribute, those of the keys, so
 * that its segment can be indexed without another.
 */
#ifndef CLG_FORMAT_REFERENCE_RECORD_H
#define CLG_FORMAT_REFERENCE_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "format/limits.h"

#define CLG_REFERENCE_BODY_BYTES 32u

enum clg_reference_reason {
    CLG_REFERENCE_TIMER = 1,       /* its time had come */
    CLG_REFERENCE_TRANSACTION = 2, /* its transaction was committed */
    CLG_REFERENCE_RETRY = 3,       /* a consumer group gets it again */
    CLG_REFERENCE_DEAD = 4         /* a consumer group has given it up */
};

struct clg_reference {
    uint64_t position; /* of the original */
    uint32_t header_check;
    uint32_t tag_hash;
    uint64_t origin;       /* timer: its id; retry, dead: queue offset where it was first */
    uint32_t origin_queue; /* retry, dead: the queue's number; else CLG_QUEUE_NONE */
    uint16_t attempts;     /* retry, dead: deliveries so far */
    uint8_t reason;        /* enum clg_reference_reason */
};

void clg_reference_encode(uint8_t body[CLG_REFERENCE_BODY_BYTES], const struct clg_reference *in);
/* 0, COMMITLOG_EDAMAGED, or COMMITLOG_EUNSUPPORTED: a reason of a newer version. */
int clg_reference_decode(const uint8_t *body, size_t bytes, struct clg_reference *out);

#endif
