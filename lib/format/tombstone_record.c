/* SPDX-License-Identifier: BSD-2-Clause */
/* tombstone_record.c -- see tombstone_record.h */
#include "format/tombstone_record.h"

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/format.h"
#include "format/limits.h"

#define TOMBSTONE_AT_QUEUE 0u
#define TOMBSTONE_AT_ZERO 4u
#define TOMBSTONE_AT_AGE 8u
#define TOMBSTONE_AT_BELOW 16u

CLG_FORMAT_ASSERT(TOMBSTONE_AT_QUEUE == 0u && TOMBSTONE_AT_ZERO == 4u);
CLG_FORMAT_ASSERT(TOMBSTONE_AT_AGE == 8u && TOMBSTONE_AT_BELOW == 16u);
CLG_FORMAT_ASSERT(CLG_TOMBSTONE_BYTES == TOMBSTONE_AT_BELOW + 8u);

void clg_tombstone_encode(uint8_t body[CLG_TOMBSTONE_BYTES], const struct clg_tombstone *in)
{
    CLG_ASSERT(in->first_queue != CLG_QUEUE_NONE && in->below <= CLG_POSITION_MAX);
    CLG_ASSERT(in->below % CLG_RECORD_ALIGN == 0 && in->age_ms <= CLG_AGE_MAX_MS);
    clg_store_le32(body + TOMBSTONE_AT_QUEUE, in->first_queue);
    clg_store_le32(body + TOMBSTONE_AT_ZERO, 0);
    clg_store_le64(body + TOMBSTONE_AT_AGE, in->age_ms);
    clg_store_le64(body + TOMBSTONE_AT_BELOW, in->below);
}

int clg_tombstone_decode(const uint8_t *body, size_t bytes, struct clg_tombstone *out)
{
    CLG_ASSERT(out != NULL);
    if (bytes != CLG_TOMBSTONE_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    const struct clg_tombstone said = {.first_queue = clg_load_le32(body + TOMBSTONE_AT_QUEUE),
                                       .age_ms = clg_load_le64(body + TOMBSTONE_AT_AGE),
                                       .below = clg_load_le64(body + TOMBSTONE_AT_BELOW)};
    if (said.first_queue == CLG_QUEUE_NONE || said.below > CLG_POSITION_MAX ||
        said.below % CLG_RECORD_ALIGN != 0 || said.age_ms > CLG_AGE_MAX_MS ||
        !clg_is_zero(body + TOMBSTONE_AT_ZERO, 4)) {
        return COMMITLOG_EDAMAGED;
    }
    *out = said;
    return COMMITLOG_OK;
}
