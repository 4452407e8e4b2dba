/* SPDX-License-Identifier: BSD-2-Clause */
/* checkpoint.c -- slots of CHECKPOINT; see checkpoint.h */
#include "format/checkpoint.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/segment_header.h"

CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_SEQUENCE == CLG_FILE_HEADER_BYTES);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_FIRST == CLG_CHECKPOINT_AT_SEQUENCE + 8u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_CHECKPOINTED == CLG_CHECKPOINT_AT_FIRST + 8u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_DURABLE == CLG_CHECKPOINT_AT_CHECKPOINTED + 8u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_STATE_POSITION == CLG_CHECKPOINT_AT_DURABLE + 8u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_SEGMENT_BYTES == CLG_CHECKPOINT_AT_STATE_POSITION + 8u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_SESSION == CLG_CHECKPOINT_AT_SEGMENT_BYTES + 8u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_STORE_TIME == CLG_CHECKPOINT_AT_SESSION + 8u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_EPOCH == CLG_CHECKPOINT_AT_STORE_TIME + 8u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_CLEAN == CLG_CHECKPOINT_AT_EPOCH + 4u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_FIRST_UNTOLD == CLG_CHECKPOINT_AT_CLEAN + 4u);
CLG_FORMAT_ASSERT(CLG_CHECKPOINT_AT_SALVAGING == CLG_CHECKPOINT_AT_FIRST_UNTOLD + 4u);

CLG_FORMAT_ASSERT(CLG_CHECKPOINT_SLOTS == 2u);

static bool checkpoint_ok(const struct clg_checkpoint *checkpoint)
{
    return checkpoint->sequence >= 1 && checkpoint->first <= checkpoint->checkpointed &&
           checkpoint->checkpointed <= checkpoint->durable &&
           checkpoint->durable <= CLG_POSITION_MAX &&
           checkpoint->state_position <= checkpoint->durable &&
           checkpoint->first % CLG_SEGMENT_ALIGN == 0 && /* that of a segment */
           (checkpoint->checkpointed | checkpoint->durable | checkpoint->state_position) %
                   CLG_RECORD_ALIGN ==
               0 &&
           clg_segment_size_ok(checkpoint->segment_bytes);
}

void clg_checkpoint_encode(uint8_t slot[CLG_FORMAT_PAGE_BYTES],
                           const struct clg_checkpoint *checkpoint)
{
    CLG_ASSERT(slot != NULL);
    CLG_ASSERT(checkpoint_ok(checkpoint));
    clg_format_begin(slot, CLG_FORMAT_PAGE_BYTES, CLG_MAGIC_CHECKPOINT, checkpoint->uuid);
    clg_store_le64(slot + CLG_CHECKPOINT_AT_SEQUENCE, checkpoint->sequence);
    clg_store_le64(slot + CLG_CHECKPOINT_AT_FIRST, checkpoint->first);
    clg_store_le64(slot + CLG_CHECKPOINT_AT_CHECKPOINTED, checkpoint->checkpointed);
    clg_store_le64(slot + CLG_CHECKPOINT_AT_DURABLE, checkpoint->durable);
    clg_store_le64(slot + CLG_CHECKPOINT_AT_STATE_POSITION, checkpoint->state_position);
    clg_store_le64(slot + CLG_CHECKPOINT_AT_SEGMENT_BYTES, checkpoint->segment_bytes);
    clg_store_le64(slot + CLG_CHECKPOINT_AT_SESSION, checkpoint->session);
    clg_store_le64(slot + CLG_CHECKPOINT_AT_STORE_TIME, (uint64_t)checkpoint->store_time);
    clg_store_le32(slot + CLG_CHECKPOINT_AT_EPOCH, checkpoint->epoch);
    clg_store_le32(slot + CLG_CHECKPOINT_AT_CLEAN, checkpoint->clean ? 1u : 0u);
    clg_store_le32(slot + CLG_CHECKPOINT_AT_FIRST_UNTOLD, checkpoint->first_untold ? 1u : 0u);
    clg_store_le32(slot + CLG_CHECKPOINT_AT_SALVAGING, checkpoint->salvaging ? 1u : 0u);
    clg_format_finish(slot, CLG_FORMAT_PAGE_BYTES, 0);
}

int clg_checkpoint_decode(const uint8_t slot[CLG_FORMAT_PAGE_BYTES], uint32_t index,
                          const uint8_t *uuid, bool read_only, struct clg_checkpoint *checkpoint)
{
    struct clg_file_header file;
    struct clg_checkpoint decoded;
    CLG_ASSERT(index < CLG_CHECKPOINT_SLOTS);
    CLG_ASSERT(checkpoint != NULL);
    if (clg_is_zero(slot, CLG_FORMAT_PAGE_BYTES)) {
        return COMMITLOG_ENOTFOUND;
    }
    int rc = clg_format_decode(slot, CLG_FORMAT_PAGE_BYTES, CLG_FORMAT_PAGE_BYTES,
                               CLG_MAGIC_CHECKPOINT, 0, uuid, read_only, &file);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    decoded.sequence = clg_load_le64(slot + CLG_CHECKPOINT_AT_SEQUENCE);
    decoded.first = clg_load_le64(slot + CLG_CHECKPOINT_AT_FIRST);
    decoded.checkpointed = clg_load_le64(slot + CLG_CHECKPOINT_AT_CHECKPOINTED);
    decoded.durable = clg_load_le64(slot + CLG_CHECKPOINT_AT_DURABLE);
    decoded.state_position = clg_load_le64(slot + CLG_CHECKPOINT_AT_STATE_POSITION);
    decoded.segment_bytes = clg_load_le64(slot + CLG_CHECKPOINT_AT_SEGMENT_BYTES);
    decoded.session = clg_load_le64(slot + CLG_CHECKPOINT_AT_SESSION);
    decoded.store_time = (int64_t)clg_load_le64(slot + CLG_CHECKPOINT_AT_STORE_TIME);
    decoded.epoch = clg_load_le32(slot + CLG_CHECKPOINT_AT_EPOCH);
    uint32_t clean = clg_load_le32(slot + CLG_CHECKPOINT_AT_CLEAN);
    uint32_t untold = clg_load_le32(slot + CLG_CHECKPOINT_AT_FIRST_UNTOLD);
    uint32_t salvaging = clg_load_le32(slot + CLG_CHECKPOINT_AT_SALVAGING);
    decoded.clean = clean == 1u;
    decoded.first_untold = untold == 1u;
    decoded.salvaging = salvaging == 1u;
    memcpy(decoded.uuid, file.uuid, CLG_UUID_BYTES);
    if (clean > 1u || untold > 1u || salvaging > 1u ||
        clg_checkpoint_slot(decoded.sequence) != index || !checkpoint_ok(&decoded) ||
        decoded.sequence > CLG_CHECKPOINT_SEQUENCE_MAX) {
        return COMMITLOG_EDAMAGED;
    }
    *checkpoint = decoded;
    return COMMITLOG_OK;
}

int clg_checkpoint_choose(const uint8_t file[CLG_CHECKPOINT_BYTES], const uint8_t *uuid,
                          bool read_only, struct clg_checkpoint *checkpoint)
{
    struct clg_checkpoint slots[CLG_CHECKPOINT_SLOTS];
    int rc[CLG_CHECKPOINT_SLOTS];
    CLG_ASSERT(checkpoint != NULL);
    for (uint32_t i = 0; i < CLG_CHECKPOINT_SLOTS; i++) {
        rc[i] = clg_checkpoint_decode(file + (size_t)i * CLG_FORMAT_PAGE_BYTES, i, uuid, read_only,
                                      &slots[i]);
    }
    if (rc[0] == COMMITLOG_EVERSION || rc[1] == COMMITLOG_EVERSION) {
        return COMMITLOG_EVERSION;
    }
    if (rc[0] == COMMITLOG_EFOREIGN || rc[1] == COMMITLOG_EFOREIGN) {
        return COMMITLOG_EFOREIGN;
    }
    if (rc[0] != COMMITLOG_OK && rc[1] != COMMITLOG_OK) {
        bool empty = rc[0] == COMMITLOG_ENOTFOUND && rc[1] == COMMITLOG_ENOTFOUND;
        return empty ? COMMITLOG_ENOTFOUND : COMMITLOG_EDAMAGED;
    }
    if (rc[0] == COMMITLOG_OK && rc[1] == COMMITLOG_OK) {
        if (memcmp(slots[0].uuid, slots[1].uuid, CLG_UUID_BYTES) != 0) {
            return COMMITLOG_EFOREIGN;
        }
        *checkpoint = slots[0].sequence > slots[1].sequence ? slots[0] : slots[1];
        return COMMITLOG_OK;
    }
    *checkpoint = rc[0] == COMMITLOG_OK ? slots[0] : slots[1];
    return COMMITLOG_OK;
}
