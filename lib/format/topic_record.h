/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topic_record.h -- bodies of the control records: topic definition, epoch start, first, batch
 *
 * The record's own checks have been verified before a body comes here. It is validated all the
 * same: each count against its limit and against the bytes at hand.
 *
 * Decoders return 0 or COMMITLOG_EDAMAGED. A body is of exactly the size its fields say: new
 * fields come as attributes.
 */
#ifndef CLG_FORMAT_TOPIC_RECORD_H
#define CLG_FORMAT_TOPIC_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/limits.h"
#include "format/record.h"

#define CLG_TOPIC_FIXED_BYTES 24u
#define CLG_TOPIC_PAIR_BYTES 16u
#define CLG_EPOCH_BODY_BYTES 16u
#define CLG_FIRST_BODY_BYTES 8u
#define CLG_BATCH_BODY_BYTES 24u

/* Next offset of one queue, written by carry-forward so that offsets never restart; or, with marks,
 * the next offset of a queue of the steps before when the topic grew. */
struct clg_topic_offset {
    uint32_t index; /* queue number minus the step's first queue number; with marks, in the topic */
    uint64_t next_offset;
};

struct clg_topic_definition {
    const uint8_t *name;  /* into the body when decoded */
    const uint8_t *pairs; /* encoded pairs, into the body; see clg_topic_definition_pair */
    uint32_t name_bytes;
    uint32_t first_queue; /* global number of the step's first queue */
    uint32_t queue_count; /* of this step */
    uint32_t growth_step; /* 0: creation */
    bool marks;           /* the topic grows here, by this step: the pairs are marks of parents */
    bool closed;          /* keys do not go to this step and those behind it (now) */
    uint32_t pair_count;
};

struct clg_epoch_start {
    uint64_t predecessor_end; /* end of the log when the session began */
    uint64_t session;
};

struct clg_batch {
    uint32_t count;         /* members that follow */
    uint64_t member_bytes;  /* their total size, this record not included */
    uint64_t member_checks; /* XXH3, seed 0, over their check fields in order */
};

/* 0 or COMMITLOG_EINVAL: 1 to 255 bytes of valid UTF-8 without NUL. */
int clg_topic_name_check(const uint8_t *name, size_t bytes);

/* Bytes of the body. */
uint64_t clg_topic_definition_bytes(uint32_t name_bytes, uint32_t pair_count);

/* Encode; `pairs` has definition->pair_count elements with ascending index (definition->pairs is
 * not used). `room` must be clg_topic_definition_bytes exactly. 0 or COMMITLOG_EINVAL. */
int clg_topic_definition_encode(uint8_t *body, size_t room,
                                const struct clg_topic_definition *definition,
                                const struct clg_topic_offset *pairs);
int clg_topic_definition_decode(const uint8_t *body, size_t bytes,
                                struct clg_topic_definition *definition);
/* i < pair_count of a decoded definition. */
void clg_topic_definition_pair(const struct clg_topic_definition *definition, uint32_t i,
                               struct clg_topic_offset *pair);

void clg_epoch_start_encode(uint8_t body[CLG_EPOCH_BODY_BYTES], const struct clg_epoch_start *in);
int clg_epoch_start_decode(const uint8_t *body, size_t bytes, struct clg_epoch_start *out);

void clg_first_encode(uint8_t body[CLG_FIRST_BODY_BYTES], uint64_t first);
int clg_first_decode(const uint8_t *body, size_t bytes, uint64_t *first);

void clg_batch_encode(uint8_t body[CLG_BATCH_BODY_BYTES], const struct clg_batch *in);
int clg_batch_decode(const uint8_t *body, size_t bytes, struct clg_batch *out);
/* Its members, where `room` bytes follow its header up to the end of the segment's data; one of
 * them, where `room` follow up to the end of the batch. */
bool clg_batch_fits(const struct clg_batch *batch, uint64_t room);
bool clg_batch_member_fits(const struct clg_record_header *member, uint64_t room);

#endif
