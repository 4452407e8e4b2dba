/* SPDX-License-Identifier: BSD-2-Clause */
/* reference_record.c -- see reference_record.h */
#include "format/reference_record.h"

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/format.h"

#define REFERENCE_AT_POSITION 0u
#define REFERENCE_AT_SIZE 8u
#define REFERENCE_AT_HEADER_CHECK 12u
#define REFERENCE_AT_TAG_HASH 16u
#define REFERENCE_AT_REASON 20u
#define REFERENCE_AT_ORIGIN 24u
#define REFERENCE_AT_ORIGIN_QUEUE 32u
#define REFERENCE_AT_ATTEMPTS 36u

CLG_FORMAT_ASSERT(REFERENCE_AT_POSITION == 0u && REFERENCE_AT_SIZE == 8u);
CLG_FORMAT_ASSERT(REFERENCE_AT_HEADER_CHECK == 12u && REFERENCE_AT_TAG_HASH == 16u);
CLG_FORMAT_ASSERT(REFERENCE_AT_REASON == 20u && REFERENCE_AT_ORIGIN == 24u);
CLG_FORMAT_ASSERT(REFERENCE_AT_ORIGIN_QUEUE == 32u && REFERENCE_AT_ATTEMPTS == 36u);
CLG_FORMAT_ASSERT(CLG_REFERENCE_BODY_BYTES == REFERENCE_AT_ATTEMPTS + 4u);
CLG_FORMAT_ASSERT(CLG_REFERENCE_TIMER == 1 && CLG_REFERENCE_TRANSACTION == 2);
CLG_FORMAT_ASSERT(CLG_REFERENCE_RETRY == 3 && CLG_REFERENCE_DEAD == 4);

void clg_reference_encode(uint8_t body[CLG_REFERENCE_BODY_BYTES], const struct clg_reference *in)
{
    CLG_ASSERT(in->position <= CLG_POSITION_MAX && in->position % CLG_RECORD_ALIGN == 0);
    CLG_ASSERT(in->size >= CLG_RECORD_MIN && in->size <= CLG_RECORD_MAX);
    clg_store_le64(body + REFERENCE_AT_POSITION, in->position);
    clg_store_le32(body + REFERENCE_AT_SIZE, in->size);
    clg_store_le32(body + REFERENCE_AT_HEADER_CHECK, in->header_check);
    clg_store_le32(body + REFERENCE_AT_TAG_HASH, in->tag_hash);
    clg_store_le32(body + REFERENCE_AT_REASON, in->reason);
    clg_store_le64(body + REFERENCE_AT_ORIGIN, in->origin);
    clg_store_le32(body + REFERENCE_AT_ORIGIN_QUEUE, in->origin_queue);
    clg_store_le32(body + REFERENCE_AT_ATTEMPTS, in->attempts);
}

int clg_reference_decode(const uint8_t *body, size_t bytes, struct clg_reference *out)
{
    CLG_ASSERT(out != NULL);
    if (bytes != CLG_REFERENCE_BODY_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    struct clg_reference in = {.position = clg_load_le64(body + REFERENCE_AT_POSITION),
                               .size = clg_load_le32(body + REFERENCE_AT_SIZE),
                               .header_check = clg_load_le32(body + REFERENCE_AT_HEADER_CHECK),
                               .tag_hash = clg_load_le32(body + REFERENCE_AT_TAG_HASH),
                               .reason = clg_load_le32(body + REFERENCE_AT_REASON),
                               .origin = clg_load_le64(body + REFERENCE_AT_ORIGIN),
                               .origin_queue = clg_load_le32(body + REFERENCE_AT_ORIGIN_QUEUE),
                               .attempts = clg_load_le32(body + REFERENCE_AT_ATTEMPTS)};
    if (in.reason < CLG_REFERENCE_TIMER || in.reason > CLG_REFERENCE_DEAD) {
        return COMMITLOG_EUNSUPPORTED;
    }
    if (in.position > CLG_POSITION_MAX || in.position % CLG_RECORD_ALIGN != 0 ||
        in.size < CLG_RECORD_MIN || in.size > CLG_RECORD_MAX || in.size % CLG_RECORD_ALIGN != 0 ||
        in.origin > CLG_POSITION_MAX) {
        return COMMITLOG_EDAMAGED;
    }
    *out = in;
    return COMMITLOG_OK;
}
