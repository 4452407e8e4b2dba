/* SPDX-License-Identifier: BSD-2-Clause */
/* work_record.c -- body of a work record; see work_record.h */
#include "format/work_record.h"

#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/format.h"
#include "format/topic_record.h"

#define WORK_AT_OPERATION 0u
#define WORK_AT_ZERO 1u
#define WORK_AT_NAME_BYTES 2u
#define WORK_AT_COUNT 4u
/* In an entry. */
#define ENTRY_AT_QUEUE 0u
#define ENTRY_AT_COUNT 4u
#define ENTRY_AT_OFFSET 8u
#define ENTRY_AT_VISIBLE 16u
#define ENTRY_AT_ATTEMPTS 24u
#define ENTRY_AT_STATE 28u

#define WORK_ENTRIES 1u /* the only operation */

CLG_FORMAT_ASSERT(WORK_AT_OPERATION == 0u && WORK_AT_ZERO == 1u && WORK_AT_NAME_BYTES == 2u);
CLG_FORMAT_ASSERT(WORK_AT_COUNT == 4u && CLG_WORK_FIXED_BYTES == WORK_AT_COUNT + 4u);
CLG_FORMAT_ASSERT(ENTRY_AT_QUEUE == 0u && ENTRY_AT_COUNT == 4u && ENTRY_AT_OFFSET == 8u);
CLG_FORMAT_ASSERT(ENTRY_AT_VISIBLE == 16u && ENTRY_AT_ATTEMPTS == 24u && ENTRY_AT_STATE == 28u);
CLG_FORMAT_ASSERT(CLG_WORK_ENTRY_BYTES == ENTRY_AT_STATE + 4u);
CLG_FORMAT_ASSERT(CLG_WORK_PENDING == 1 && CLG_WORK_DONE == 2 && WORK_ENTRIES == 1u);
CLG_FORMAT_ASSERT(CLG_WORK_ENTRIES_MAX == 2048u && CLG_WORK_ATTEMPTS_MAX == 65535u);

static uint64_t work_entries_at(uint32_t name_bytes)
{
    return clg_align_up((uint64_t)CLG_WORK_FIXED_BYTES + name_bytes, 8);
}

uint64_t clg_work_change_bytes(uint32_t name_bytes, uint32_t count)
{
    return work_entries_at(name_bytes) + (uint64_t)count * CLG_WORK_ENTRY_BYTES;
}

static bool work_numbers_ok(const struct clg_work_change *change)
{
    return change->name_bytes >= 1 && change->name_bytes <= CLG_GROUP_NAME_MAX &&
           change->count >= 1 && change->count <= CLG_WORK_ENTRIES_MAX;
}

static bool work_entry_ok(const struct clg_work_entry *entry)
{
    bool pending = entry->state == CLG_WORK_PENDING;
    return entry->queue_number != CLG_QUEUE_NONE && entry->count >= 1 &&
           entry->offset <= CLG_QUEUE_OFFSET_MAX &&
           entry->count <= CLG_QUEUE_OFFSET_MAX - entry->offset + 1 && entry->visible_at_ms >= 0 &&
           entry->visible_at_ms <= CLG_DELIVER_AT_MAX_MS &&
           (pending ? entry->attempts >= 1 && entry->attempts <= CLG_WORK_ATTEMPTS_MAX
                    : entry->attempts == 0 && entry->visible_at_ms == 0);
}

int clg_work_change_encode(uint8_t *body, size_t room, const struct clg_work_change *change,
                           const struct clg_work_entry *entries)
{
    CLG_ASSERT(body != NULL);
    CLG_ASSERT(entries != NULL);
    if (!work_numbers_ok(change) ||
        clg_topic_name_check(change->name, change->name_bytes) != COMMITLOG_OK ||
        room != clg_work_change_bytes(change->name_bytes, change->count)) {
        return COMMITLOG_EINVAL;
    }
    memset(body, 0, (size_t)work_entries_at(change->name_bytes));
    body[WORK_AT_OPERATION] = WORK_ENTRIES;
    clg_store_le16(body + WORK_AT_NAME_BYTES, (uint16_t)change->name_bytes);
    clg_store_le32(body + WORK_AT_COUNT, change->count);
    memcpy(body + CLG_WORK_FIXED_BYTES, change->name, change->name_bytes);
    uint8_t *at = body + work_entries_at(change->name_bytes);
    for (uint32_t i = 0; i < change->count; i++, at += CLG_WORK_ENTRY_BYTES) {
        const struct clg_work_entry *entry = &entries[i];
        if (entry->state < CLG_WORK_PENDING || entry->state > CLG_WORK_DONE ||
            !work_entry_ok(entry)) {
            return COMMITLOG_EINVAL;
        }
        clg_store_le32(at + ENTRY_AT_QUEUE, entry->queue_number);
        clg_store_le32(at + ENTRY_AT_COUNT, entry->count);
        clg_store_le64(at + ENTRY_AT_OFFSET, entry->offset);
        clg_store_le64(at + ENTRY_AT_VISIBLE, (uint64_t)entry->visible_at_ms);
        clg_store_le32(at + ENTRY_AT_ATTEMPTS, entry->attempts);
        clg_store_le32(at + ENTRY_AT_STATE, entry->state);
    }
    CLG_ASSERT(at == body + room);
    return COMMITLOG_OK;
}

struct clg_work_entry clg_work_change_entry(const struct clg_work_change *change, uint32_t i)
{
    CLG_ASSERT(i < change->count);
    const uint8_t *at = change->entries + (size_t)i * CLG_WORK_ENTRY_BYTES;
    return (struct clg_work_entry){.queue_number = clg_load_le32(at + ENTRY_AT_QUEUE),
                                   .count = clg_load_le32(at + ENTRY_AT_COUNT),
                                   .offset = clg_load_le64(at + ENTRY_AT_OFFSET),
                                   .visible_at_ms = (int64_t)clg_load_le64(at + ENTRY_AT_VISIBLE),
                                   .attempts = clg_load_le32(at + ENTRY_AT_ATTEMPTS),
                                   .state = clg_load_le32(at + ENTRY_AT_STATE)};
}

static int work_check_entries(const struct clg_work_change *change)
{
    for (uint32_t i = 0; i < change->count; i++) {
        const struct clg_work_entry entry = clg_work_change_entry(change, i);
        if (entry.state < CLG_WORK_PENDING || entry.state > CLG_WORK_DONE) {
            return COMMITLOG_EUNSUPPORTED;
        }
        if (!work_entry_ok(&entry)) {
            return COMMITLOG_EDAMAGED;
        }
    }
    return COMMITLOG_OK;
}

int clg_work_change_decode(const uint8_t *body, size_t bytes, struct clg_work_change *out)
{
    CLG_ASSERT(out != NULL);
    if (bytes < CLG_WORK_FIXED_BYTES || body[WORK_AT_ZERO] != 0) {
        return COMMITLOG_EDAMAGED;
    }
    if (body[WORK_AT_OPERATION] != WORK_ENTRIES) {
        return COMMITLOG_EUNSUPPORTED;
    }
    struct clg_work_change change = {.name_bytes = clg_load_le16(body + WORK_AT_NAME_BYTES),
                                     .count = clg_load_le32(body + WORK_AT_COUNT)};
    if (!work_numbers_ok(&change) ||
        bytes != clg_work_change_bytes(change.name_bytes, change.count)) {
        return COMMITLOG_EDAMAGED;
    }
    size_t name_end = CLG_WORK_FIXED_BYTES + change.name_bytes;
    size_t entries_at = (size_t)work_entries_at(change.name_bytes);
    CLG_ASSERT(entries_at <= bytes);
    change.name = body + CLG_WORK_FIXED_BYTES;
    change.entries = body + entries_at;
    if (clg_topic_name_check(change.name, change.name_bytes) != COMMITLOG_OK ||
        !clg_is_zero(body + name_end, entries_at - name_end)) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = work_check_entries(&change);
    if (rc == COMMITLOG_OK) {
        *out = change;
    }
    return rc;
}
