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

#define CLG_REFERENCE_BODY_BYTES_MAX 32u

enum clg_reference_reason {
    CLG_REFERENCE_TIMER = 1,       /* its time had come */
    CLG_REFERENCE_TRANSACTION = 2, /* its transaction was committed */
    CLG_REFERENCE_RETRY = 3,       /* a consumer group gets it again */
    CLG_REFERENCE_EXPIRED = 4,     /* a dead letter: its time ran out once more */
    CLG_REFERENCE_REFUSED = 5      /* a dead letter: it was given back once more */
};

struct clg_reference {
    uint64_t position; /* of the original */
    uint32_t header_check;
    uint32_t tag_hash;
    uint64_t origin;       /* timer, transaction: its id; retry, dead: queue offset where it was
                              first */
    uint32_t origin_queue; /* retry, dead: the queue's number; else CLG_QUEUE_NONE */
    uint16_t attempts;     /* retry, dead: deliveries so far */
    uint8_t reason;        /* enum clg_reference_reason */
};

/* A dead letter that is a copy says the same of where it was as a reference would, as the value of
 * CLG_ATTRIBUTE_ORIGIN: the end of the body, from `origin` on. */
#define CLG_REFERENCE_ORIGIN_AT 16u
#define CLG_REFERENCE_ORIGIN_BYTES (CLG_REFERENCE_BODY_BYTES_MAX - CLG_REFERENCE_ORIGIN_AT)

/* 16 where the origin is the original's position, 24 where it is another, 32 where there is more to
 * be said: most deliveries are of the first kind. */
size_t clg_reference_bytes(const struct clg_reference *in);
/* `body` has that many bytes. */
void clg_reference_encode(uint8_t *body, const struct clg_reference *in);
/* 0, COMMITLOG_EDAMAGED, or COMMITLOG_EUNSUPPORTED: a reason of a newer version. */
int clg_reference_decode(const uint8_t *body, size_t bytes, struct clg_reference *out);
/* Of an attribute: position, header check and tag hash are 0 then. */
int clg_reference_decode_origin(const uint8_t *value, size_t bytes, struct clg_reference *out);

#endif
