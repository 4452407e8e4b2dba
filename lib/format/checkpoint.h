/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * checkpoint.h -- one slot of the CHECKPOINT file, and the choice between the two
 *
 * The file is two slots in separate 4 KiB blocks. Slot n & 1 holds sequence n, so a write never
 * touches the newest slot: torn at any byte, it leaves the one before.
 *
 * Invariants
 *   1. first <= checkpointed <= durable; state_position <= durable.
 *   2. A slot's check covers every other bit of its block.
 *   3. A slot written by a newer library is never passed over for an older one of ours.
 */
#ifndef CLG_FORMAT_CHECKPOINT_H
#define CLG_FORMAT_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/format.h"
#include "format/limits.h"

#define CLG_CHECKPOINT_SLOTS 2u
#define CLG_CHECKPOINT_BYTES (CLG_CHECKPOINT_SLOTS * CLG_FORMAT_PAGE_BYTES)

#define CLG_CHECKPOINT_AT_SEQUENCE 64u
#define CLG_CHECKPOINT_AT_FIRST 72u
#define CLG_CHECKPOINT_AT_CHECKPOINTED 80u
#define CLG_CHECKPOINT_AT_DURABLE 88u
#define CLG_CHECKPOINT_AT_STATE_POSITION 96u
#define CLG_CHECKPOINT_AT_SEGMENT_BYTES 104u
#define CLG_CHECKPOINT_AT_SESSION 112u
#define CLG_CHECKPOINT_AT_STORE_TIME 120u
#define CLG_CHECKPOINT_AT_EPOCH 128u
#define CLG_CHECKPOINT_AT_CLEAN 132u
#define CLG_CHECKPOINT_AT_FIRST_UNTOLD 136u
#define CLG_CHECKPOINT_AT_SALVAGING 140u
/* Nobody writes so often. A slot that says more leaves no number for the next one. */
#define CLG_CHECKPOINT_SEQUENCE_MAX (UINT64_C(1) << 62)

struct clg_checkpoint {
    uint64_t sequence; /* 1 for the first one written */
    uint64_t first;
    uint64_t checkpointed; /* everything before was verified and is in the views' files or state */
    uint64_t durable;
    uint64_t state_position; /* names the .state file; 0: none */
    uint64_t segment_bytes;  /* size of the segments being made */
    uint64_t session;        /* of the writer */
    int64_t store_time;      /* largest one handed out, ns */
    uint32_t epoch;
    bool clean;        /* nothing was appended after this slot was written */
    bool first_untold; /* no record says that the log begins at `first` */
    bool salvaging;    /* holes were begun and are not flushed: `clean` is of before */
    uint8_t uuid[CLG_UUID_BYTES];
};

static inline uint32_t clg_checkpoint_slot(uint64_t sequence)
{
    return (uint32_t)(sequence & 1u);
}

void clg_checkpoint_encode(uint8_t slot[CLG_FORMAT_PAGE_BYTES],
                           const struct clg_checkpoint *checkpoint);

/* `index` is the slot the bytes come from. COMMITLOG_ENOTFOUND: all zero. `uuid` may be NULL. */
int clg_checkpoint_decode(const uint8_t slot[CLG_FORMAT_PAGE_BYTES], uint32_t index,
                          const uint8_t *uuid, bool read_only, struct clg_checkpoint *checkpoint);

/* The newer valid slot. `file` holds both. 0, or: COMMITLOG_EVERSION or COMMITLOG_EFOREIGN if one
 * of them says so, COMMITLOG_EDAMAGED if none is valid, COMMITLOG_ENOTFOUND if both are zero. */
int clg_checkpoint_choose(const uint8_t file[CLG_CHECKPOINT_BYTES], const uint8_t *uuid,
                          bool read_only, struct clg_checkpoint *checkpoint);

#endif
