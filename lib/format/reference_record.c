/* SPDX-License-Identifier: BSD-2-Clause */
/* reference_record.c -- see reference_record.h */
#include "format/reference_record.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/format.h"

#define REFERENCE_AT_POSITION 0u
#define REFERENCE_AT_HEADER_CHECK 8u
#define REFERENCE_AT_TAG_HASH 12u
#define REFERENCE_AT_ORIGIN 16u
#define REFERENCE_AT_ORIGIN_QUEUE 24u
#define REFERENCE_AT_ATTEMPTS 28u
#define REFERENCE_AT_REASON 30u
#define REFERENCE_AT_ZERO 31u
/* Of the shorter ones the reason is in the low bits of the position. */
#define REFERENCE_REASON_MASK 7u
#define REFERENCE_SAME_BYTES 16u
#define REFERENCE_OTHER_BYTES 24u

CLG_FORMAT_ASSERT(REFERENCE_AT_POSITION == 0u && REFERENCE_AT_HEADER_CHECK == 8u);
CLG_FORMAT_ASSERT(REFERENCE_AT_TAG_HASH == 12u && REFERENCE_AT_ORIGIN == 16u);
CLG_FORMAT_ASSERT(REFERENCE_AT_ORIGIN_QUEUE == 24u && REFERENCE_AT_ATTEMPTS == 28u);
CLG_FORMAT_ASSERT(REFERENCE_AT_REASON == 30u && REFERENCE_AT_ZERO == 31u);
CLG_FORMAT_ASSERT(CLG_REFERENCE_BODY_BYTES_MAX == REFERENCE_AT_ZERO + 1u);
CLG_FORMAT_ASSERT(REFERENCE_SAME_BYTES == REFERENCE_AT_TAG_HASH + 4u);
CLG_FORMAT_ASSERT(REFERENCE_OTHER_BYTES == REFERENCE_AT_ORIGIN + 8u);
CLG_FORMAT_ASSERT(REFERENCE_REASON_MASK < CLG_RECORD_ALIGN);
CLG_FORMAT_ASSERT(CLG_REFERENCE_TIMER == 1 && CLG_REFERENCE_TRANSACTION == 2);
CLG_FORMAT_ASSERT(CLG_REFERENCE_RETRY == 3 && CLG_REFERENCE_EXPIRED == 4);
CLG_FORMAT_ASSERT(CLG_REFERENCE_REFUSED == 5);
CLG_FORMAT_ASSERT(CLG_REFERENCE_ORIGIN_AT == REFERENCE_AT_ORIGIN);

static bool reference_is_long(const struct clg_reference *in)
{
    return in->origin_queue != CLG_QUEUE_NONE || in->attempts != 0;
}

size_t clg_reference_bytes(const struct clg_reference *in)
{
    return reference_is_long(in)        ? CLG_REFERENCE_BODY_BYTES_MAX
           : in->origin == in->position ? REFERENCE_SAME_BYTES
                                        : REFERENCE_OTHER_BYTES;
}

void clg_reference_encode(uint8_t *body, const struct clg_reference *in)
{
    const size_t bytes = clg_reference_bytes(in);
    CLG_ASSERT(in->position <= CLG_POSITION_MAX && in->position % CLG_RECORD_ALIGN == 0);
    CLG_ASSERT(in->reason >= CLG_REFERENCE_TIMER && in->reason <= CLG_REFERENCE_REFUSED);
    const bool is_long = reference_is_long(in);
    CLG_ASSERT(is_long || in->reason <= CLG_REFERENCE_TRANSACTION);
    clg_store_le64(body + REFERENCE_AT_POSITION, in->position | (is_long ? 0 : in->reason));
    clg_store_le32(body + REFERENCE_AT_HEADER_CHECK, in->header_check);
    clg_store_le32(body + REFERENCE_AT_TAG_HASH, in->tag_hash);
    if (bytes > REFERENCE_SAME_BYTES) {
        clg_store_le64(body + REFERENCE_AT_ORIGIN, in->origin);
    }
    if (is_long) {
        clg_store_le32(body + REFERENCE_AT_ORIGIN_QUEUE, in->origin_queue);
        clg_store_le16(body + REFERENCE_AT_ATTEMPTS, in->attempts);
        body[REFERENCE_AT_REASON] = in->reason;
        body[REFERENCE_AT_ZERO] = 0;
    }
}

int clg_reference_decode(const uint8_t *body, size_t bytes, struct clg_reference *out)
{
    CLG_ASSERT(out != NULL);
    const bool is_long = bytes == CLG_REFERENCE_BODY_BYTES_MAX;
    if (!is_long && bytes != REFERENCE_SAME_BYTES && bytes != REFERENCE_OTHER_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    struct clg_reference in = {.position = clg_load_le64(body + REFERENCE_AT_POSITION),
                               .header_check = clg_load_le32(body + REFERENCE_AT_HEADER_CHECK),
                               .tag_hash = clg_load_le32(body + REFERENCE_AT_TAG_HASH),
                               .origin_queue = CLG_QUEUE_NONE};
    if (is_long) {
        in.origin_queue = clg_load_le32(body + REFERENCE_AT_ORIGIN_QUEUE);
        in.attempts = clg_load_le16(body + REFERENCE_AT_ATTEMPTS);
        in.reason = body[REFERENCE_AT_REASON];
    } else {
        in.reason = (uint8_t)(in.position & REFERENCE_REASON_MASK);
        in.position &= ~(uint64_t)REFERENCE_REASON_MASK;
    }
    in.origin =
        bytes == REFERENCE_SAME_BYTES ? in.position : clg_load_le64(body + REFERENCE_AT_ORIGIN);
    if (in.reason < CLG_REFERENCE_TIMER || in.reason > CLG_REFERENCE_REFUSED) {
        return COMMITLOG_EUNSUPPORTED;
    }
    if (in.position > CLG_POSITION_MAX || in.position % CLG_RECORD_ALIGN != 0 ||
        in.origin > CLG_POSITION_MAX ||
        (is_long ? body[REFERENCE_AT_ZERO] != 0 : in.reason > CLG_REFERENCE_TRANSACTION)) {
        return COMMITLOG_EDAMAGED;
    }
    *out = in;
    return COMMITLOG_OK;
}

int clg_reference_decode_origin(const uint8_t *value, size_t bytes, struct clg_reference *out)
{
    uint8_t body[CLG_REFERENCE_BODY_BYTES_MAX] = {0};
    if (bytes != CLG_REFERENCE_ORIGIN_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    memcpy(body + CLG_REFERENCE_ORIGIN_AT, value, bytes);
    return clg_reference_decode(body, sizeof(body), out);
}
