/* SPDX-License-Identifier: BSD-2-Clause */
/* topic_record.c -- bodies of control records; see topic_record.h */
#include "format/topic_record.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/format.h"

/* Offsets in a topic definition. */
#define TOPIC_AT_FIRST_QUEUE 0u
#define TOPIC_AT_QUEUE_COUNT 4u
#define TOPIC_AT_GROWTH_STEP 8u
#define TOPIC_AT_NAME_BYTES 12u
#define TOPIC_AT_PAIR_COUNT 16u
#define TOPIC_AT_ZERO 20u
/* In the growth step. */
#define TOPIC_STEP_MARKS 0x80000000u
#define TOPIC_STEP_CLOSED 0x40000000u
/* In one of its pairs. */
#define PAIR_AT_INDEX 0u
#define PAIR_AT_ZERO 4u
#define PAIR_AT_NEXT_OFFSET 8u
/* In an epoch start. */
#define EPOCH_AT_END 0u
#define EPOCH_AT_SESSION 8u
/* In a batch. */
#define BATCH_AT_COUNT 0u
#define BATCH_AT_ZERO 4u
#define BATCH_AT_BYTES 8u
#define BATCH_AT_CHECK 16u

CLG_FORMAT_ASSERT(TOPIC_AT_FIRST_QUEUE == 0u);
CLG_FORMAT_ASSERT(TOPIC_AT_QUEUE_COUNT == TOPIC_AT_FIRST_QUEUE + 4u);
CLG_FORMAT_ASSERT(TOPIC_AT_GROWTH_STEP == TOPIC_AT_QUEUE_COUNT + 4u);
CLG_FORMAT_ASSERT(TOPIC_AT_NAME_BYTES == TOPIC_AT_GROWTH_STEP + 4u);
CLG_FORMAT_ASSERT(TOPIC_AT_PAIR_COUNT == TOPIC_AT_NAME_BYTES + 4u);
CLG_FORMAT_ASSERT(TOPIC_AT_ZERO == TOPIC_AT_PAIR_COUNT + 4u);
CLG_FORMAT_ASSERT(TOPIC_AT_ZERO + 4u == CLG_TOPIC_FIXED_BYTES);
CLG_FORMAT_ASSERT(PAIR_AT_INDEX == 0u);
CLG_FORMAT_ASSERT(PAIR_AT_ZERO == PAIR_AT_INDEX + 4u);
CLG_FORMAT_ASSERT(PAIR_AT_NEXT_OFFSET == PAIR_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(CLG_TOPIC_PAIR_BYTES == PAIR_AT_NEXT_OFFSET + 8u);
CLG_FORMAT_ASSERT(EPOCH_AT_END == 0u);
CLG_FORMAT_ASSERT(EPOCH_AT_SESSION == EPOCH_AT_END + 8u);
CLG_FORMAT_ASSERT(CLG_EPOCH_BODY_BYTES == EPOCH_AT_SESSION + 8u);
CLG_FORMAT_ASSERT(CLG_FIRST_BODY_BYTES == 8u);
CLG_FORMAT_ASSERT(BATCH_AT_COUNT == 0u);
CLG_FORMAT_ASSERT(BATCH_AT_ZERO == BATCH_AT_COUNT + 4u);
CLG_FORMAT_ASSERT(BATCH_AT_BYTES == BATCH_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(BATCH_AT_CHECK == BATCH_AT_BYTES + 8u);
CLG_FORMAT_ASSERT(CLG_BATCH_BODY_BYTES == BATCH_AT_CHECK + 8u);
CLG_FORMAT_ASSERT(CLG_TOPIC_QUEUES_MAX == 16777216u && CLG_GROWTH_STEPS_MAX == 32u);
CLG_FORMAT_ASSERT(CLG_TOPIC_NAME_MAX == 255u && CLG_QUEUES_MAX == 0xffffffffu);
CLG_FORMAT_ASSERT(CLG_BATCH_COUNT_MAX == 1048576u && CLG_BATCH_BYTES_MAX == 0x3ffffff8u);
CLG_STATIC_ASSERT((uint64_t)CLG_TOPIC_QUEUES_MAX *CLG_TOPIC_PAIR_BYTES + 4096u < CLG_RECORD_MAX,
                  "a definition with every queue's offset is one record");

/* Length of the UTF-8 sequence at `at`, 0 if it is none: no overlong forms, no surrogates,
 * nothing above U+10FFFF. */
static size_t topic_utf8_sequence(const uint8_t *at, size_t left)
{
    uint8_t lead = at[0];
    CLG_ASSERT(left > 0);
    if (lead < 0x80) {
        return 1;
    }
    size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || length > left) {
        return 0;
    }
    uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return length;
}

int clg_topic_name_check(const uint8_t *name, size_t bytes)
{
    CLG_ASSERT(name != NULL || bytes == 0);
    if (bytes == 0 || bytes > CLG_TOPIC_NAME_MAX) {
        return COMMITLOG_EINVAL;
    }
    size_t at = 0;
    while (at < bytes) {
        size_t step = topic_utf8_sequence(name + at, bytes - at);
        if (step == 0 || name[at] == 0) {
            return COMMITLOG_EINVAL;
        }
        at += step;
    }
    CLG_ASSERT(at == bytes);
    return COMMITLOG_OK;
}

static uint64_t topic_pairs_at(uint32_t name_bytes)
{
    return clg_align_up((uint64_t)CLG_TOPIC_FIXED_BYTES + name_bytes, 8);
}

uint64_t clg_topic_definition_bytes(uint32_t name_bytes, uint32_t pair_count)
{
    return topic_pairs_at(name_bytes) + (uint64_t)pair_count * CLG_TOPIC_PAIR_BYTES;
}

/* What holds for a definition on either side of the bytes. */
static bool topic_numbers_ok(const struct clg_topic_definition *definition)
{
    return definition->queue_count >= 1 && definition->queue_count <= CLG_TOPIC_QUEUES_MAX &&
           definition->queue_count <= CLG_QUEUES_MAX - definition->first_queue &&
           definition->growth_step < CLG_GROWTH_STEPS_MAX &&
           !(definition->marks && definition->closed) &&
           (definition->growth_step > 0 || !(definition->marks || definition->closed)) &&
           definition->pair_count <= definition->queue_count && definition->name_bytes >= 1 &&
           definition->name_bytes <= CLG_TOPIC_NAME_MAX;
}

static bool topic_pair_ok(const struct clg_topic_definition *definition, uint32_t i,
                          uint32_t previous, const struct clg_topic_offset *pair)
{
    return pair->index < definition->queue_count && (i == 0 || pair->index > previous) &&
           pair->next_offset <= CLG_QUEUE_OFFSET_MAX;
}

int clg_topic_definition_encode(uint8_t *body, size_t room,
                                const struct clg_topic_definition *definition,
                                const struct clg_topic_offset *pairs)
{
    CLG_ASSERT(body != NULL);
    CLG_ASSERT(pairs != NULL || definition->pair_count == 0);
    if (!topic_numbers_ok(definition) ||
        clg_topic_name_check(definition->name, definition->name_bytes) != COMMITLOG_OK ||
        room != clg_topic_definition_bytes(definition->name_bytes, definition->pair_count)) {
        return COMMITLOG_EINVAL;
    }
    for (uint32_t i = 0; i < definition->pair_count; i++) {
        if (!topic_pair_ok(definition, i, i > 0 ? pairs[i - 1].index : 0, &pairs[i])) {
            return COMMITLOG_EINVAL;
        }
    }
    memset(body, 0, room);
    clg_store_le32(body + TOPIC_AT_FIRST_QUEUE, definition->first_queue);
    clg_store_le32(body + TOPIC_AT_QUEUE_COUNT, definition->queue_count);
    clg_store_le32(body + TOPIC_AT_GROWTH_STEP, definition->growth_step |
                                                    (definition->marks ? TOPIC_STEP_MARKS : 0) |
                                                    (definition->closed ? TOPIC_STEP_CLOSED : 0));
    clg_store_le32(body + TOPIC_AT_NAME_BYTES, definition->name_bytes);
    clg_store_le32(body + TOPIC_AT_PAIR_COUNT, definition->pair_count);
    memcpy(body + CLG_TOPIC_FIXED_BYTES, definition->name, definition->name_bytes);
    uint8_t *at = body + topic_pairs_at(definition->name_bytes);
    for (uint32_t i = 0; i < definition->pair_count; i++, at += CLG_TOPIC_PAIR_BYTES) {
        clg_store_le32(at + PAIR_AT_INDEX, pairs[i].index);
        clg_store_le64(at + PAIR_AT_NEXT_OFFSET, pairs[i].next_offset);
    }
    CLG_ASSERT(at == body + room);
    return COMMITLOG_OK;
}

void clg_topic_definition_pair(const struct clg_topic_definition *definition, uint32_t i,
                               struct clg_topic_offset *pair)
{
    CLG_ASSERT(i < definition->pair_count);
    CLG_ASSERT(pair != NULL);
    const uint8_t *at = definition->pairs + (size_t)i * CLG_TOPIC_PAIR_BYTES;
    pair->index = clg_load_le32(at + PAIR_AT_INDEX);
    pair->next_offset = clg_load_le64(at + PAIR_AT_NEXT_OFFSET);
}

static bool topic_pairs_ok(const struct clg_topic_definition *definition)
{
    uint32_t previous = 0;
    for (uint32_t i = 0; i < definition->pair_count; i++) {
        struct clg_topic_offset pair;
        clg_topic_definition_pair(definition, i, &pair);
        if (!topic_pair_ok(definition, i, previous, &pair) ||
            !clg_is_zero(definition->pairs + (size_t)i * CLG_TOPIC_PAIR_BYTES + PAIR_AT_ZERO, 4)) {
            return false;
        }
        previous = pair.index;
    }
    return true;
}

int clg_topic_definition_decode(const uint8_t *body, size_t bytes,
                                struct clg_topic_definition *definition)
{
    struct clg_topic_definition decoded;
    CLG_ASSERT(definition != NULL);
    if (bytes < CLG_TOPIC_FIXED_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    decoded.first_queue = clg_load_le32(body + TOPIC_AT_FIRST_QUEUE);
    decoded.queue_count = clg_load_le32(body + TOPIC_AT_QUEUE_COUNT);
    uint32_t step = clg_load_le32(body + TOPIC_AT_GROWTH_STEP);
    decoded.growth_step = step & ~(TOPIC_STEP_MARKS | TOPIC_STEP_CLOSED);
    decoded.marks = (step & TOPIC_STEP_MARKS) != 0;
    decoded.closed = (step & TOPIC_STEP_CLOSED) != 0;
    decoded.name_bytes = clg_load_le32(body + TOPIC_AT_NAME_BYTES);
    decoded.pair_count = clg_load_le32(body + TOPIC_AT_PAIR_COUNT);
    if (!topic_numbers_ok(&decoded) || clg_load_le32(body + TOPIC_AT_ZERO) != 0 ||
        bytes != clg_topic_definition_bytes(decoded.name_bytes, decoded.pair_count)) {
        return COMMITLOG_EDAMAGED;
    }
    size_t pairs_at = (size_t)topic_pairs_at(decoded.name_bytes);
    size_t name_end = CLG_TOPIC_FIXED_BYTES + decoded.name_bytes;
    CLG_ASSERT(pairs_at <= bytes);
    decoded.name = body + CLG_TOPIC_FIXED_BYTES;
    decoded.pairs = body + pairs_at;
    if (clg_topic_name_check(decoded.name, decoded.name_bytes) != COMMITLOG_OK ||
        !clg_is_zero(body + name_end, pairs_at - name_end) || !topic_pairs_ok(&decoded)) {
        return COMMITLOG_EDAMAGED;
    }
    *definition = decoded;
    return COMMITLOG_OK;
}

void clg_epoch_start_encode(uint8_t body[CLG_EPOCH_BODY_BYTES], const struct clg_epoch_start *in)
{
    CLG_ASSERT(in->predecessor_end <= CLG_POSITION_MAX);
    CLG_ASSERT(in->predecessor_end % CLG_RECORD_ALIGN == 0);
    clg_store_le64(body + EPOCH_AT_END, in->predecessor_end);
    clg_store_le64(body + EPOCH_AT_SESSION, in->session);
}

int clg_epoch_start_decode(const uint8_t *body, size_t bytes, struct clg_epoch_start *out)
{
    CLG_ASSERT(out != NULL);
    if (bytes != CLG_EPOCH_BODY_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    uint64_t end = clg_load_le64(body + EPOCH_AT_END);
    if (end > CLG_POSITION_MAX || end % CLG_RECORD_ALIGN != 0) {
        return COMMITLOG_EDAMAGED;
    }
    out->predecessor_end = end;
    out->session = clg_load_le64(body + EPOCH_AT_SESSION);
    return COMMITLOG_OK;
}

void clg_first_encode(uint8_t body[CLG_FIRST_BODY_BYTES], uint64_t first)
{
    CLG_ASSERT(first <= CLG_POSITION_MAX);
    CLG_ASSERT(first % CLG_RECORD_ALIGN == 0);
    clg_store_le64(body, first);
}

int clg_first_decode(const uint8_t *body, size_t bytes, uint64_t *first)
{
    CLG_ASSERT(first != NULL);
    if (bytes != CLG_FIRST_BODY_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    uint64_t position = clg_load_le64(body);
    if (position > CLG_POSITION_MAX || position % CLG_SEGMENT_ALIGN != 0) {
        return COMMITLOG_EDAMAGED; /* whole segments are dropped */
    }
    *first = position;
    return COMMITLOG_OK;
}

static bool topic_batch_ok(const struct clg_batch *batch)
{
    return batch->count >= 1 && batch->count <= CLG_BATCH_COUNT_MAX &&
           batch->member_bytes % CLG_RECORD_ALIGN == 0 &&
           batch->member_bytes >= (uint64_t)batch->count * CLG_RECORD_MIN &&
           batch->member_bytes <= CLG_BATCH_BYTES_MAX;
}

void clg_batch_encode(uint8_t body[CLG_BATCH_BODY_BYTES], const struct clg_batch *in)
{
    CLG_ASSERT(body != NULL);
    CLG_ASSERT(topic_batch_ok(in));
    clg_store_le32(body + BATCH_AT_COUNT, in->count);
    clg_store_le32(body + BATCH_AT_ZERO, 0);
    clg_store_le64(body + BATCH_AT_BYTES, in->member_bytes);
    clg_store_le64(body + BATCH_AT_CHECK, in->member_checks);
}

int clg_batch_decode(const uint8_t *body, size_t bytes, struct clg_batch *out)
{
    struct clg_batch decoded;
    CLG_ASSERT(out != NULL);
    if (bytes != CLG_BATCH_BODY_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    decoded.count = clg_load_le32(body + BATCH_AT_COUNT);
    decoded.member_bytes = clg_load_le64(body + BATCH_AT_BYTES);
    decoded.member_checks = clg_load_le64(body + BATCH_AT_CHECK);
    if (!topic_batch_ok(&decoded) || clg_load_le32(body + BATCH_AT_ZERO) != 0) {
        return COMMITLOG_EDAMAGED;
    }
    *out = decoded;
    return COMMITLOG_OK;
}

bool clg_batch_fits(const struct clg_batch *batch, uint64_t room)
{
    CLG_ASSERT(room >= CLG_RECORD_MIN); /* for what ends the segment */
    return batch->count > 0 && batch->member_bytes <= room - CLG_RECORD_MIN &&
           (uint64_t)batch->count * CLG_RECORD_MIN <= batch->member_bytes;
}

bool clg_batch_member_fits(const struct clg_record_header *member, uint64_t room)
{
    CLG_ASSERT(clg_record_size(member->word) >= CLG_RECORD_MIN);
    return member->kind != CLG_KIND_BATCH && !clg_record_is_filler(member->kind) &&
           clg_record_size(member->word) <= room;
}
