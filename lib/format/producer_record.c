/* SPDX-License-Identifier: BSD-2-Clause */
/* producer_record.c -- see producer_record.h */
#include "format/producer_record.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/format.h"

#define MARK_AT_ID 0u
#define MARK_AT_SEQUENCE 8u
#define MARK_AT_EPOCH 16u
#define STATE_AT_OPERATION 0u
#define STATE_AT_EPOCH 4u
#define STATE_AT_ID 8u
#define STATE_AT_SEQUENCE 16u
#define STATE_AT_COUNT 24u
#define STATE_AT_ZERO 28u
#define ENTRY_AT_POSITION 0u
#define ENTRY_AT_END 8u
#define ENTRY_AT_OFFSET 16u
#define ENTRY_AT_TIME 24u
#define ENTRY_AT_EPOCH 32u
#define ENTRY_AT_ZERO 36u

CLG_FORMAT_ASSERT(MARK_AT_ID == 0u && MARK_AT_SEQUENCE == 8u && MARK_AT_EPOCH == 16u);
CLG_FORMAT_ASSERT(CLG_PRODUCER_ATTRIBUTE_BYTES == MARK_AT_EPOCH + 4u);
CLG_FORMAT_ASSERT(STATE_AT_OPERATION == 0u && STATE_AT_EPOCH == 4u && STATE_AT_ID == 8u);
CLG_FORMAT_ASSERT(STATE_AT_SEQUENCE == 16u && STATE_AT_COUNT == 24u && STATE_AT_ZERO == 28u);
CLG_FORMAT_ASSERT(CLG_PRODUCER_FIXED_BYTES == STATE_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(ENTRY_AT_POSITION == 0u && ENTRY_AT_END == 8u && ENTRY_AT_OFFSET == 16u);
CLG_FORMAT_ASSERT(ENTRY_AT_TIME == 24u && ENTRY_AT_EPOCH == 32u && ENTRY_AT_ZERO == 36u);
CLG_FORMAT_ASSERT(CLG_PRODUCER_ENTRY_BYTES == ENTRY_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(CLG_PRODUCER_STATE == 1 && CLG_PRODUCER_EXPIRE == 2);
CLG_FORMAT_ASSERT(CLG_PRODUCER_RECEIPTS == 5u);

void clg_producer_mark_encode(uint8_t value[CLG_PRODUCER_ATTRIBUTE_BYTES],
                              const struct clg_producer_mark *mark)
{
    CLG_ASSERT(mark->id != 0 && mark->sequence != 0);
    clg_store_le64(value + MARK_AT_ID, mark->id);
    clg_store_le64(value + MARK_AT_SEQUENCE, mark->sequence);
    clg_store_le32(value + MARK_AT_EPOCH, mark->epoch);
}

int clg_producer_mark_decode(const uint8_t *value, size_t bytes, struct clg_producer_mark *out)
{
    CLG_ASSERT(out != NULL);
    if (bytes != CLG_PRODUCER_ATTRIBUTE_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    struct clg_producer_mark mark = {.id = clg_load_le64(value + MARK_AT_ID),
                                     .sequence = clg_load_le64(value + MARK_AT_SEQUENCE),
                                     .epoch = clg_load_le32(value + MARK_AT_EPOCH)};
    if (mark.id == 0 || mark.sequence == 0 || mark.sequence > CLG_PRODUCER_SEQUENCE_MAX) {
        return COMMITLOG_EDAMAGED;
    }
    *out = mark;
    return COMMITLOG_OK;
}

size_t clg_producer_state_bytes(uint32_t count)
{
    return CLG_PRODUCER_FIXED_BYTES + (size_t)count * CLG_PRODUCER_ENTRY_BYTES;
}

void clg_producer_state_encode(uint8_t *body, size_t room, const struct clg_producer_state *state)
{
    CLG_ASSERT(state->count <= CLG_PRODUCER_RECEIPTS);
    CLG_ASSERT(room == clg_producer_state_bytes(state->count));
    memset(body, 0, room);
    clg_store_le32(body + STATE_AT_OPERATION, state->operation);
    clg_store_le32(body + STATE_AT_EPOCH, state->epoch);
    clg_store_le64(body + STATE_AT_ID, state->id);
    clg_store_le64(body + STATE_AT_SEQUENCE, state->sequence);
    clg_store_le32(body + STATE_AT_COUNT, state->count);
    uint8_t *at = body + CLG_PRODUCER_FIXED_BYTES;
    for (uint32_t i = 0; i < state->count; i++, at += CLG_PRODUCER_ENTRY_BYTES) {
        clg_store_le64(at + ENTRY_AT_POSITION, state->receipts[i].position);
        clg_store_le64(at + ENTRY_AT_END, state->receipts[i].end_position);
        clg_store_le64(at + ENTRY_AT_OFFSET, state->receipts[i].queue_offset);
        clg_store_le64(at + ENTRY_AT_TIME, (uint64_t)state->receipts[i].store_time);
        clg_store_le32(at + ENTRY_AT_EPOCH, state->receipts[i].epoch);
    }
    CLG_ASSERT(at == body + room);
    (void)room;
}

static bool producer_receipt_ok(const struct clg_producer_receipt *receipt, const uint8_t *at)
{
    return receipt->position <= CLG_POSITION_MAX && receipt->end_position <= CLG_POSITION_MAX &&
           receipt->position < receipt->end_position && receipt->position % CLG_RECORD_ALIGN == 0 &&
           receipt->end_position % CLG_RECORD_ALIGN == 0 &&
           receipt->queue_offset <= CLG_QUEUE_OFFSET_MAX && clg_is_zero(at + ENTRY_AT_ZERO, 4);
}

int clg_producer_state_decode(const uint8_t *body, size_t bytes, struct clg_producer_state *out)
{
    CLG_ASSERT(out != NULL);
    if (bytes < CLG_PRODUCER_FIXED_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    struct clg_producer_state state = {.operation = clg_load_le32(body + STATE_AT_OPERATION),
                                       .epoch = clg_load_le32(body + STATE_AT_EPOCH),
                                       .id = clg_load_le64(body + STATE_AT_ID),
                                       .sequence = clg_load_le64(body + STATE_AT_SEQUENCE),
                                       .count = clg_load_le32(body + STATE_AT_COUNT)};
    if (state.operation < CLG_PRODUCER_STATE || state.operation > CLG_PRODUCER_EXPIRE) {
        return COMMITLOG_EUNSUPPORTED;
    }
    bool is_state = state.operation == CLG_PRODUCER_STATE;
    if (state.id == 0 || state.sequence == 0 || state.sequence > CLG_PRODUCER_SEQUENCE_MAX ||
        state.count > CLG_PRODUCER_RECEIPTS || state.count > state.sequence ||
        (state.count > 0) != is_state || !clg_is_zero(body + STATE_AT_ZERO, 4) ||
        bytes != clg_producer_state_bytes(state.count)) {
        return COMMITLOG_EDAMAGED;
    }
    const uint8_t *at = body + CLG_PRODUCER_FIXED_BYTES;
    for (uint32_t i = 0; i < state.count; i++, at += CLG_PRODUCER_ENTRY_BYTES) {
        state.receipts[i] =
            (struct clg_producer_receipt){.position = clg_load_le64(at + ENTRY_AT_POSITION),
                                          .end_position = clg_load_le64(at + ENTRY_AT_END),
                                          .queue_offset = clg_load_le64(at + ENTRY_AT_OFFSET),
                                          .store_time = (int64_t)clg_load_le64(at + ENTRY_AT_TIME),
                                          .epoch = clg_load_le32(at + ENTRY_AT_EPOCH)};
        if (!producer_receipt_ok(&state.receipts[i], at)) {
            return COMMITLOG_EDAMAGED;
        }
    }
    *out = state;
    return COMMITLOG_OK;
}
