/* SPDX-License-Identifier: BSD-2-Clause */
/* timer_record.c -- see timer_record.h */
#include "format/timer_record.h"

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/format.h"

#define DELIVER_AT_DUE 0u
#define DELIVER_AT_ID 8u
#define DELIVER_AT_QUEUE 16u
#define DELIVER_AT_ZERO 20u
#define CANCEL_AT_OPERATION 0u
#define CANCEL_AT_ZERO 4u
#define CANCEL_AT_ID 8u
#define TIMER_CANCEL 1u

CLG_FORMAT_ASSERT(DELIVER_AT_DUE == 0u && DELIVER_AT_ID == 8u && DELIVER_AT_QUEUE == 16u);
CLG_FORMAT_ASSERT(CLG_DELIVER_AT_BYTES == DELIVER_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(CANCEL_AT_OPERATION == 0u && CANCEL_AT_ZERO == 4u);
CLG_FORMAT_ASSERT(CLG_TIMER_CANCEL_BYTES == CANCEL_AT_ID + 8u);
CLG_FORMAT_ASSERT(TIMER_CANCEL == 1u);
CLG_FORMAT_ASSERT(CLG_DELIVER_AT_MAX_MS == INT64_C(9223372036854));

void clg_deliver_at_encode(uint8_t value[CLG_DELIVER_AT_BYTES], const struct clg_deliver_at *in)
{
    CLG_ASSERT(in->due_ms >= 0 && in->queue_number != CLG_QUEUE_NONE);
    CLG_ASSERT(in->id % CLG_RECORD_ALIGN == 0);
    clg_store_le64(value + DELIVER_AT_DUE, (uint64_t)in->due_ms);
    clg_store_le64(value + DELIVER_AT_ID, in->id);
    clg_store_le32(value + DELIVER_AT_QUEUE, in->queue_number);
    clg_store_le32(value + DELIVER_AT_ZERO, 0);
}

int clg_deliver_at_decode(const uint8_t *value, size_t bytes, struct clg_deliver_at *out)
{
    CLG_ASSERT(out != NULL);
    if (bytes != CLG_DELIVER_AT_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    uint64_t due = clg_load_le64(value + DELIVER_AT_DUE);
    uint64_t id = clg_load_le64(value + DELIVER_AT_ID);
    uint32_t queue_number = clg_load_le32(value + DELIVER_AT_QUEUE);
    if (due > (uint64_t)CLG_DELIVER_AT_MAX_MS || id > CLG_POSITION_MAX ||
        id % CLG_RECORD_ALIGN != 0 || queue_number == CLG_QUEUE_NONE ||
        !clg_is_zero(value + DELIVER_AT_ZERO, 4)) {
        return COMMITLOG_EDAMAGED;
    }
    *out = (struct clg_deliver_at){.due_ms = (int64_t)due, .id = id, .queue_number = queue_number};
    return COMMITLOG_OK;
}

void clg_timer_cancel_encode(uint8_t body[CLG_TIMER_CANCEL_BYTES], uint64_t id)
{
    CLG_ASSERT(id != 0 && id <= CLG_POSITION_MAX && id % CLG_RECORD_ALIGN == 0);
    clg_store_le32(body + CANCEL_AT_OPERATION, TIMER_CANCEL);
    clg_store_le32(body + CANCEL_AT_ZERO, 0);
    clg_store_le64(body + CANCEL_AT_ID, id);
}

int clg_timer_cancel_decode(const uint8_t *body, size_t bytes, uint64_t *out_id)
{
    CLG_ASSERT(out_id != NULL);
    if (bytes < CANCEL_AT_ZERO) {
        return COMMITLOG_EDAMAGED;
    }
    if (clg_load_le32(body + CANCEL_AT_OPERATION) != TIMER_CANCEL) {
        return COMMITLOG_EUNSUPPORTED;
    }
    uint64_t id = bytes == CLG_TIMER_CANCEL_BYTES ? clg_load_le64(body + CANCEL_AT_ID) : 0;
    if (id == 0 || id > CLG_POSITION_MAX || id % CLG_RECORD_ALIGN != 0 ||
        !clg_is_zero(body + CANCEL_AT_ZERO, 4)) {
        return COMMITLOG_EDAMAGED;
    }
    *out_id = id;
    return COMMITLOG_OK;
}
