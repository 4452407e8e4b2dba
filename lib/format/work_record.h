/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work_record.h -- body of a work record: what a consumer group has done, and what it has given out
 * and until when, of single messages above the offset it has committed.
 *
 * As group records do, each says what is true from it on, by name, so that applying a run of them
 * again ends in the same state. A fold reads no clock: that a time has passed is for whoever gives
 * messages out, and giving one out again is another record.
 *
 * The record's own checks have been verified before a body comes here. It is validated all the
 * same: each count against its limit and against the bytes at hand.
 */
#ifndef CLG_FORMAT_WORK_RECORD_H
#define CLG_FORMAT_WORK_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "format/limits.h"

#define CLG_WORK_FIXED_BYTES 8u
#define CLG_WORK_ENTRY_BYTES 32u

enum clg_work_state {
    CLG_WORK_PENDING = 1, /* given out so many times; nobody gets it before visible_at_ms */
    CLG_WORK_DONE = 2     /* acknowledged, a hole, or given up; attempts and time are 0 */
};

/* `count` messages of a queue that stand together. */
struct clg_work_entry {
    uint64_t offset;
    int64_t visible_at_ms; /* since 1970; 0 to CLG_DELIVER_AT_MAX_MS */
    uint32_t queue_number;
    uint32_t count;    /* from 1 on */
    uint32_t attempts; /* 1 to 65535 */
    uint32_t state;    /* enum clg_work_state */
};

struct clg_work_change {
    const uint8_t *name;    /* of the group; into the body when decoded */
    const uint8_t *entries; /* encoded, into the body: see clg_work_change_entry */
    uint32_t name_bytes;
    uint32_t count; /* of entries, 1 to CLG_WORK_ENTRIES_MAX */
};

/* Bytes of the body. */
uint64_t clg_work_change_bytes(uint32_t name_bytes, uint32_t count);

/* Encodes; `entries` has change->count elements (change->entries is not used). `room` must be
 * clg_work_change_bytes exactly. 0 or COMMITLOG_EINVAL. */
int clg_work_change_encode(uint8_t *body, size_t room, const struct clg_work_change *change,
                           const struct clg_work_entry *entries);
/* 0, COMMITLOG_EDAMAGED, or COMMITLOG_EUNSUPPORTED: an operation or state of a newer version. */
int clg_work_change_decode(const uint8_t *body, size_t bytes, struct clg_work_change *out);
/* i < count of a decoded change. */
struct clg_work_entry clg_work_change_entry(const struct clg_work_change *change, uint32_t i);

#endif
