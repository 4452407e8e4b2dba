/* SPDX-License-Identifier: BSD-2-Clause */
/* group_table.c -- groups by name, offsets by queue. See group_table.h. */
#include "state/group_table.h"

#include <string.h>

#include "base/checksum.h"
#include "base/error.h"
#include "base/invariant.h"
#include "commitlog.h"

#define TABLE_SLOTS_MIN 8u

void clg_group_table_init(struct clg_group_table *table, const struct commitlog_os *os)
{
    memset(table, 0, sizeof(*table));
    table->os = os;
}

static void group_free(const struct commitlog_os *os, struct clg_group *group)
{
    os->free(os, group->name);
    os->free(os, group->offsets);
    os->free(os, group->slots);
    os->free(os, group);
}

static void table_drop_spare(struct clg_group_table *table)
{
    if (table->spare != NULL) {
        group_free(table->os, table->spare);
        table->spare = NULL;
    }
}

void clg_group_table_deinit(struct clg_group_table *table)
{
    const struct commitlog_os *os = table->os;
    for (uint32_t i = 0; i < table->count; i++) {
        group_free(os, table->groups[i]);
    }
    table_drop_spare(table);
    os->free(os, table->groups);
    os->free(os, table->slots);
    clg_group_table_init(table, os);
}

uint64_t clg_group_name_hash(const void *name, size_t name_bytes)
{
    return clg_hash64(name, name_bytes, 0);
}

/* The slot that holds the name, or the free one where it belongs. */
static uint32_t table_slot(const struct clg_group_table *table, uint64_t hash, const void *name,
                           size_t name_bytes)
{
    uint32_t mask = table->slot_count - 1;
    uint32_t at = (uint32_t)hash & mask;
    CLG_ASSERT((table->slot_count & mask) == 0 && table->count < table->slot_count);
    while (table->slots[at] != 0) {
        const struct clg_group *group = table->groups[table->slots[at] - 1];
        if (group->hash == hash && group->name_bytes == name_bytes &&
            memcmp(group->name, name, name_bytes) == 0) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

struct clg_group *clg_group_table_find(const struct clg_group_table *table, const void *name,
                                       size_t name_bytes, uint64_t hash)
{
    if (table->slot_count == 0) {
        return NULL;
    }
    uint32_t index = table->slots[table_slot(table, hash, name, name_bytes)];
    CLG_ASSERT(index <= table->count);
    return index == 0 ? NULL : table->groups[index - 1];
}

/* Queue numbers are dense: the multiplication spreads neighbours (Knuth, 6.4: 2^32 divided by the
 * golden ratio). */
static uint32_t group_slot(const uint32_t *slots, uint32_t slot_count,
                           const struct clg_group_offset *offsets, uint32_t queue_number)
{
    uint32_t mask = slot_count - 1;
    uint32_t at = (queue_number * UINT32_C(2654435769)) & mask;
    while (slots[at] != 0 && offsets[slots[at] - 1].queue_number != queue_number) {
        at = (at + 1) & mask;
    }
    return at;
}

struct clg_group_offset *clg_group_find_offset(const struct clg_group *group, uint32_t queue_number)
{
    if (group->slot_count == 0) {
        return NULL;
    }
    uint32_t index =
        group->slots[group_slot(group->slots, group->slot_count, group->offsets, queue_number)];
    CLG_ASSERT(index <= group->offset_count);
    return index == 0 ? NULL : &group->offsets[index - 1];
}

static void table_fill_slots(struct clg_group_table *table)
{
    memset(table->slots, 0, table->slot_count * sizeof(*table->slots));
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_group *group = table->groups[i];
        table->slots[table_slot(table, group->hash, group->name, group->name_bytes)] = i + 1;
    }
}

/* Room for one more group. */
static int table_reserve(struct clg_group_table *table)
{
    const struct commitlog_os *os = table->os;
    if (table->count == table->room) {
        uint32_t room = table->room == 0 ? 4 : table->room * 2;
        struct clg_group **groups =
            clg_os_grow_array(os, table->groups, table->room, room, sizeof(struct clg_group *));
        if (groups == NULL) {
            return COMMITLOG_ENOMEM;
        }
        table->groups = groups;
        table->room = room;
    }
    if ((table->count + 1) * 2 > table->slot_count) {
        uint32_t slot_count = table->slot_count == 0 ? TABLE_SLOTS_MIN : table->slot_count * 2;
        uint32_t *slots = clg_os_alloc_array(os, slot_count, sizeof(*slots));
        if (slots == NULL) {
            return COMMITLOG_ENOMEM;
        }
        os->free(os, table->slots);
        table->slots = slots;
        table->slot_count = slot_count;
        table_fill_slots(table);
    }
    return COMMITLOG_OK;
}

static struct clg_group *group_create(const struct commitlog_os *os, const uint8_t *name,
                                      uint32_t name_bytes, uint64_t hash)
{
    struct clg_group *group = os->alloc(os, sizeof(*group));
    if (group == NULL) {
        return NULL;
    }
    group->name = os->alloc(os, (size_t)name_bytes + 1);
    if (group->name == NULL) {
        os->free(os, group);
        return NULL;
    }
    memcpy(group->name, name, name_bytes);
    group->name_bytes = name_bytes;
    group->hash = hash;
    group->position = CLG_NO_POSITION;
    group->last_position = CLG_NO_POSITION;
    return group;
}

/* Room for so many more queues. */
static int group_reserve(const struct commitlog_os *os, struct clg_group *group, uint32_t more)
{
    uint64_t wanted = (uint64_t)group->offset_count + more;
    if (wanted > CLG_QUEUES_MAX / 4) {
        return COMMITLOG_ENOMEM;
    }
    if (wanted > group->offset_room) {
        uint32_t room = group->offset_room == 0 ? 4 : group->offset_room;
        while (room < wanted) {
            room *= 2;
        }
        struct clg_group_offset *offsets = clg_os_grow_array(os, group->offsets, group->offset_room,
                                                             room, sizeof(*group->offsets));
        if (offsets == NULL) {
            return COMMITLOG_ENOMEM;
        }
        group->offsets = offsets;
        group->offset_room = room;
    }
    if (wanted * 2 > group->slot_count) {
        uint32_t slot_count = group->slot_count == 0 ? TABLE_SLOTS_MIN : group->slot_count;
        while (slot_count < wanted * 2) {
            slot_count *= 2;
        }
        uint32_t *slots = clg_os_alloc_array(os, slot_count, sizeof(*slots));
        if (slots == NULL) {
            return COMMITLOG_ENOMEM;
        }
        for (uint32_t i = 0; i < group->offset_count; i++) {
            slots[group_slot(slots, slot_count, group->offsets, group->offsets[i].queue_number)] =
                i + 1;
        }
        os->free(os, group->slots);
        group->slots = slots;
        group->slot_count = slot_count;
    }
    return COMMITLOG_OK;
}

static uint32_t group_count_new(const struct clg_group *group,
                                const struct clg_group_change *change)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < change->count; i++) {
        uint32_t queue_number = clg_group_change_entry(change, i).queue_number;
        count += clg_group_find_offset(group, queue_number) == NULL ? 1 : 0;
    }
    return count;
}

int clg_group_table_prepare(struct clg_group_table *table, const struct clg_group_change *change)
{
    const struct commitlog_os *os = table->os;
    CLG_ASSERT(change->name_bytes > 0);
    if (change->operation == CLG_GROUP_DELETE) {
        return COMMITLOG_OK;
    }
    uint64_t hash = clg_group_name_hash(change->name, change->name_bytes);
    struct clg_group *group = clg_group_table_find(table, change->name, change->name_bytes, hash);
    if (group != NULL) {
        return group_reserve(os, group, group_count_new(group, change));
    }
    table_drop_spare(table);
    int rc = table_reserve(table);
    if (rc == COMMITLOG_OK) {
        table->spare = group_create(os, change->name, change->name_bytes, hash);
        rc = table->spare == NULL ? COMMITLOG_ENOMEM
                                  : group_reserve(os, table->spare, change->count);
    }
    return rc;
}

static void group_set_offset(struct clg_group *group, const struct clg_group_entry *entry,
                             uint64_t position)
{
    uint32_t slot =
        group_slot(group->slots, group->slot_count, group->offsets, entry->queue_number);
    if (group->slots[slot] == 0) {
        CLG_ASSERT(group->offset_count < group->offset_room);
        group->offsets[group->offset_count].queue_number = entry->queue_number;
        group->slots[slot] = ++group->offset_count;
    }
    struct clg_group_offset *offset = &group->offsets[group->slots[slot] - 1];
    CLG_ASSERT(offset->queue_number == entry->queue_number);
    offset->offset = entry->offset;
    offset->position = position;
}

static void table_remove(struct clg_group_table *table, struct clg_group *group)
{
    uint32_t at = 0;
    while (table->groups[at] != group) {
        at++;
        CLG_ASSERT(at < table->count);
    }
    memmove(&table->groups[at], &table->groups[at + 1],
            (table->count - at - 1) * sizeof(struct clg_group *));
    table->count--;
    group_free(table->os, group);
    table_fill_slots(table);
}

void clg_group_table_apply(struct clg_group_table *table, const struct clg_group_change *change,
                           uint64_t position)
{
    uint64_t hash = clg_group_name_hash(change->name, change->name_bytes);
    struct clg_group *group = clg_group_table_find(table, change->name, change->name_bytes, hash);
    if (change->operation == CLG_GROUP_DELETE) {
        if (group != NULL) {
            table_remove(table, group);
        }
        return;
    }
    if (group == NULL) {
        group = table->spare;
        table->spare = NULL;
        CLG_ASSERT(group != NULL && group->hash == hash);
        CLG_ASSERT(table->count < table->room);
        table->slots[table_slot(table, hash, group->name, group->name_bytes)] = table->count + 1;
        table->groups[table->count++] = group;
        group->birth = ++table->births;
    }
    group->epoch = change->epoch;
    group->last_position = position;
    if (change->operation == CLG_GROUP_SETTINGS) {
        group->flags = change->flags;
        group->position = position;
    }
    for (uint32_t i = 0; i < change->count; i++) {
        const struct clg_group_entry entry = clg_group_change_entry(change, i);
        group_set_offset(group, &entry, position);
    }
}

static struct clg_group *group_clone(const struct commitlog_os *os, const struct clg_group *from)
{
    struct clg_group *group = group_create(os, from->name, from->name_bytes, from->hash);
    if (group == NULL) {
        return NULL;
    }
    group->position = from->position;
    group->last_position = from->last_position;
    group->epoch = from->epoch;
    group->flags = from->flags;
    if (group_reserve(os, group, from->offset_count) != COMMITLOG_OK) {
        group_free(os, group);
        return NULL;
    }
    for (uint32_t i = 0; i < from->offset_count; i++) {
        const struct clg_group_offset *offset = &from->offsets[i];
        const struct clg_group_entry entry = {.queue_number = offset->queue_number,
                                              .offset = offset->offset};
        group_set_offset(group, &entry, offset->position);
    }
    return group;
}

int clg_group_table_copy(struct clg_group_table *table, const struct clg_group_table *from)
{
    CLG_ASSERT(table->count == 0);
    for (uint32_t i = 0; i < from->count; i++) {
        struct clg_group *group = NULL;
        if (table_reserve(table) != COMMITLOG_OK ||
            (group = group_clone(table->os, from->groups[i])) == NULL) {
            return COMMITLOG_ENOMEM;
        }
        table->slots[table_slot(table, group->hash, group->name, group->name_bytes)] =
            table->count + 1;
        table->groups[table->count++] = group;
        group->birth = ++table->births;
    }
    return COMMITLOG_OK;
}

uint64_t clg_group_table_memory(const struct clg_group_table *table)
{
    uint64_t bytes = (uint64_t)table->room * sizeof(struct clg_group *) +
                     (uint64_t)table->slot_count * sizeof(*table->slots);
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_group *group = table->groups[i];
        bytes += sizeof(*group) + group->name_bytes + 1 +
                 (uint64_t)group->offset_room * sizeof(*group->offsets) +
                 (uint64_t)group->slot_count * sizeof(*group->slots);
    }
    return bytes;
}
