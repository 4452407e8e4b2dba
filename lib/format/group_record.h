/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * group_record.h -- body of a group record: what a consumer group is, and how far it has consumed.
 *
 * Every record says what is true from it on, by name, without reference to an earlier one: applying
 * a run of them twice, or from its middle, ends in the same state. So none has to be found to read
 * another, and a fold may begin before what it has already seen.
 *
 * The record's own checks have been verified before a body comes here. It is validated all the
 * same: each count against its limit and against the bytes at hand.
 */
#ifndef CLG_FORMAT_GROUP_RECORD_H
#define CLG_FORMAT_GROUP_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/limits.h"

#define CLG_GROUP_FIXED_BYTES 16u
#define CLG_GROUP_ENTRY_BYTES 16u

enum clg_group_operation {
    CLG_GROUP_SETTINGS = 1, /* the group exists, with these flags; no entries */
    CLG_GROUP_OFFSETS = 2,  /* the next offset to consume of each queue named */
    CLG_GROUP_DELETE = 3,   /* nothing of it is left; no entries */
    CLG_GROUP_RESET = 4     /* as OFFSETS, and all work on these queues is forgotten */
};

/* Flags of CLG_GROUP_SETTINGS. */
#define CLG_GROUP_KEEP UINT32_C(1) /* retention keeps what the group has not consumed */
#define CLG_GROUP_FLAGS_KNOWN CLG_GROUP_KEEP

struct clg_group_entry {
    uint32_t queue_number;
    uint64_t offset; /* next to be consumed */
};

struct clg_group_change {
    const uint8_t *name;    /* into the body when decoded */
    const uint8_t *entries; /* encoded, into the body: see clg_group_change_entry */
    uint32_t name_bytes;
    uint32_t operation; /* enum clg_group_operation */
    uint32_t epoch;     /* of the group, from this record on */
    uint32_t flags;
    uint32_t count; /* of entries */
};

/* Bytes of the body. */
uint64_t clg_group_change_bytes(uint32_t name_bytes, uint32_t count);

/* Encodes; `entries` has change->count elements with ascending queue numbers
 * (change->entries is not used). `room` must be
 * clg_group_change_bytes exactly. 0 or COMMITLOG_EINVAL. */
int clg_group_change_encode(uint8_t *body, size_t room, const struct clg_group_change *change,
                            const struct clg_group_entry *entries);
/* 0, COMMITLOG_EDAMAGED, or COMMITLOG_EUNSUPPORTED: an operation or flag of a newer version. */
int clg_group_change_decode(const uint8_t *body, size_t bytes, struct clg_group_change *out);
/* The offsets in `body`, from which `decoded` was, commit nothing any more, for the group has been
 * deleted: the epoch is that of nobody, and all are 0. It stays of the same size. */
#define CLG_GROUP_EPOCH_VOID UINT32_MAX
void clg_group_change_void(uint8_t *body, const struct clg_group_change *decoded);
bool clg_group_change_is_void(const struct clg_group_change *decoded);
/* i < count of a decoded change. */
struct clg_group_entry clg_group_change_entry(const struct clg_group_change *change, uint32_t i);

#endif
