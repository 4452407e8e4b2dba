/* SPDX-License-Identifier: BSD-2-Clause */
/* group_record.c -- body of a group record; see group_record.h */
#include "format/group_record.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/format.h"
#include "format/topic_record.h"

#define GROUP_AT_OPERATION 0u
#define GROUP_AT_ZERO 1u
#define GROUP_AT_NAME_BYTES 2u
#define GROUP_AT_EPOCH 4u
#define GROUP_AT_FLAGS 8u
#define GROUP_AT_COUNT 12u
/* In an entry. */
#define ENTRY_AT_QUEUE 0u
#define ENTRY_AT_ZERO 4u
#define ENTRY_AT_OFFSET 8u

CLG_FORMAT_ASSERT(GROUP_AT_OPERATION == 0u && GROUP_AT_ZERO == 1u);
CLG_FORMAT_ASSERT(GROUP_AT_NAME_BYTES == GROUP_AT_ZERO + 1u);
CLG_FORMAT_ASSERT(GROUP_AT_EPOCH == GROUP_AT_NAME_BYTES + 2u);
CLG_FORMAT_ASSERT(GROUP_AT_FLAGS == GROUP_AT_EPOCH + 4u);
CLG_FORMAT_ASSERT(GROUP_AT_COUNT == GROUP_AT_FLAGS + 4u);
CLG_FORMAT_ASSERT(CLG_GROUP_FIXED_BYTES == GROUP_AT_COUNT + 4u);
CLG_FORMAT_ASSERT(ENTRY_AT_QUEUE == 0u && ENTRY_AT_ZERO == 4u && ENTRY_AT_OFFSET == 8u);
CLG_FORMAT_ASSERT(CLG_GROUP_ENTRY_BYTES == ENTRY_AT_OFFSET + 8u);
CLG_FORMAT_ASSERT(CLG_GROUP_SETTINGS == 1 && CLG_GROUP_OFFSETS == 2 && CLG_GROUP_DELETE == 3);
CLG_FORMAT_ASSERT(CLG_GROUP_RESET == 4);
CLG_FORMAT_ASSERT(CLG_GROUP_KEEP == 1u);
CLG_FORMAT_ASSERT(CLG_GROUP_NAME_MAX == 255u && CLG_GROUP_ENTRIES_MAX == 2048u);

static uint64_t group_entries_at(uint32_t name_bytes)
{
    return clg_align_up((uint64_t)CLG_GROUP_FIXED_BYTES + name_bytes, 8);
}

uint64_t clg_group_change_bytes(uint32_t name_bytes, uint32_t count)
{
    return group_entries_at(name_bytes) + (uint64_t)count * CLG_GROUP_ENTRY_BYTES;
}

/* What holds on either side of the bytes; name and operation apart. */
static bool group_numbers_ok(const struct clg_group_change *change)
{
    bool offsets = change->operation == CLG_GROUP_OFFSETS || change->operation == CLG_GROUP_RESET;
    return change->name_bytes >= 1 && change->name_bytes <= CLG_GROUP_NAME_MAX &&
           change->count <= CLG_GROUP_ENTRIES_MAX && (change->count > 0) == offsets &&
           (change->operation == CLG_GROUP_SETTINGS || change->flags == 0);
}

/* Ascending, so that no queue is named twice. */
static bool group_entry_ok(const struct clg_group_entry *entry, uint32_t i, uint32_t previous)
{
    return entry->queue_number != CLG_QUEUE_NONE && (i == 0 || entry->queue_number > previous) &&
           entry->offset <= CLG_QUEUE_OFFSET_MAX;
}

int clg_group_change_encode(uint8_t *body, size_t room, const struct clg_group_change *change,
                            const struct clg_group_entry *entries)
{
    CLG_ASSERT(body != NULL);
    CLG_ASSERT(entries != NULL || change->count == 0);
    if (change->operation < CLG_GROUP_SETTINGS || change->operation > CLG_GROUP_RESET ||
        (change->flags & ~CLG_GROUP_FLAGS_KNOWN) != 0 || !group_numbers_ok(change) ||
        clg_topic_name_check(change->name, change->name_bytes) != COMMITLOG_OK ||
        room != clg_group_change_bytes(change->name_bytes, change->count)) {
        return COMMITLOG_EINVAL;
    }
    memset(body, 0, (size_t)group_entries_at(change->name_bytes));
    body[GROUP_AT_OPERATION] = (uint8_t)change->operation;
    clg_store_le16(body + GROUP_AT_NAME_BYTES, (uint16_t)change->name_bytes);
    clg_store_le32(body + GROUP_AT_EPOCH, change->epoch);
    clg_store_le32(body + GROUP_AT_FLAGS, change->flags);
    clg_store_le32(body + GROUP_AT_COUNT, change->count);
    memcpy(body + CLG_GROUP_FIXED_BYTES, change->name, change->name_bytes);
    uint8_t *at = body + group_entries_at(change->name_bytes);
    for (uint32_t i = 0; i < change->count; i++, at += CLG_GROUP_ENTRY_BYTES) {
        if (!group_entry_ok(&entries[i], i, i > 0 ? entries[i - 1].queue_number : 0)) {
            return COMMITLOG_EINVAL;
        }
        clg_store_le32(at + ENTRY_AT_QUEUE, entries[i].queue_number);
        clg_store_le32(at + ENTRY_AT_ZERO, 0);
        clg_store_le64(at + ENTRY_AT_OFFSET, entries[i].offset);
    }
    CLG_ASSERT(at == body + room);
    return COMMITLOG_OK;
}

struct clg_group_entry clg_group_change_entry(const struct clg_group_change *change, uint32_t i)
{
    CLG_ASSERT(i < change->count);
    const uint8_t *at = change->entries + (size_t)i * CLG_GROUP_ENTRY_BYTES;
    return (struct clg_group_entry){.queue_number = clg_load_le32(at + ENTRY_AT_QUEUE),
                                    .offset = clg_load_le64(at + ENTRY_AT_OFFSET)};
}

void clg_group_change_void(uint8_t *body, const struct clg_group_change *decoded)
{
    uint8_t *at = body + group_entries_at(decoded->name_bytes);
    CLG_ASSERT(decoded->operation == CLG_GROUP_OFFSETS && decoded->entries == at);
    clg_store_le32(body + GROUP_AT_EPOCH, CLG_GROUP_EPOCH_VOID);
    for (uint32_t i = 0; i < decoded->count; i++, at += CLG_GROUP_ENTRY_BYTES) {
        clg_store_le64(at + ENTRY_AT_OFFSET, 0);
    }
}

bool clg_group_change_is_void(const struct clg_group_change *decoded)
{
    bool is_void = decoded->epoch == CLG_GROUP_EPOCH_VOID;
    for (uint32_t i = 0; is_void && i < decoded->count; i++) {
        is_void = clg_group_change_entry(decoded, i).offset == 0;
    }
    return is_void;
}

static bool group_entries_ok(const struct clg_group_change *change)
{
    uint32_t previous = 0;
    for (uint32_t i = 0; i < change->count; i++) {
        const struct clg_group_entry entry = clg_group_change_entry(change, i);
        if (!group_entry_ok(&entry, i, previous) ||
            !clg_is_zero(change->entries + (size_t)i * CLG_GROUP_ENTRY_BYTES + ENTRY_AT_ZERO, 4)) {
            return false;
        }
        previous = entry.queue_number;
    }
    return true;
}

int clg_group_change_decode(const uint8_t *body, size_t bytes, struct clg_group_change *out)
{
    CLG_ASSERT(out != NULL);
    if (bytes < CLG_GROUP_FIXED_BYTES || body[GROUP_AT_ZERO] != 0) {
        return COMMITLOG_EDAMAGED;
    }
    struct clg_group_change change = {.operation = body[GROUP_AT_OPERATION],
                                      .name_bytes = clg_load_le16(body + GROUP_AT_NAME_BYTES),
                                      .epoch = clg_load_le32(body + GROUP_AT_EPOCH),
                                      .flags = clg_load_le32(body + GROUP_AT_FLAGS),
                                      .count = clg_load_le32(body + GROUP_AT_COUNT)};
    if (change.operation < CLG_GROUP_SETTINGS || change.operation > CLG_GROUP_RESET ||
        (change.flags & ~CLG_GROUP_FLAGS_KNOWN) != 0) {
        return COMMITLOG_EUNSUPPORTED;
    }
    if (!group_numbers_ok(&change) ||
        bytes != clg_group_change_bytes(change.name_bytes, change.count)) {
        return COMMITLOG_EDAMAGED;
    }
    size_t name_end = CLG_GROUP_FIXED_BYTES + change.name_bytes;
    size_t entries_at = (size_t)group_entries_at(change.name_bytes);
    CLG_ASSERT(entries_at <= bytes);
    change.name = body + CLG_GROUP_FIXED_BYTES;
    change.entries = body + entries_at;
    if (clg_topic_name_check(change.name, change.name_bytes) != COMMITLOG_OK ||
        !clg_is_zero(body + name_end, entries_at - name_end) || !group_entries_ok(&change)) {
        return COMMITLOG_EDAMAGED;
    }
    *out = change;
    return COMMITLOG_OK;
}
