/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_active.c -- the hash table of the active segment's keys. See key_internal.h.
 *
 * Invariants: tables are at most three quarters full; chunks never move.
 * Threads and locks: the fold lock; a frozen table may be read without it.
 * Happy path: one probe, one entry, one slot.
 * Failure modes: COMMITLOG_ENOMEM before anything is changed; ELIMIT at 2^32 - 2 entries.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "view/key_internal.h"

CLG_STATIC_ASSERT(sizeof(struct clg_key_entry) == 16, "four to a cache line");

const struct clg_key_entry *clg_key_table_entry(const struct clg_key_table *table, uint32_t index)
{
    CLG_ASSERT(index < table->count);
    CLG_ASSERT(table->chunks[index / CLG_KEY_CHUNK] != NULL);
    return &table->chunks[index / CLG_KEY_CHUNK][index % CLG_KEY_CHUNK];
}

static const struct clg_key_slots *table_of(const struct clg_key_table *table, uint64_t hash)
{
    return &table->tables[hash >> 58];
}

/* The slot that holds the hash, or the free one where it belongs. */
static uint32_t table_probe(const struct clg_key_table *table, const struct clg_key_slots *slots,
                            uint64_t hash)
{
    CLG_ASSERT(clg_is_power_of_two(slots->room));
    CLG_ASSERT(slots->used < slots->room);
    uint32_t at = (uint32_t)hash & (slots->room - 1);
    while (slots->slots[at] != 0 &&
           clg_key_table_entry(table, slots->slots[at] - 1)->hash != hash) {
        at = (at + 1) & (slots->room - 1);
    }
    return at;
}

uint32_t clg_key_table_newest(const struct clg_key_table *table, uint64_t hash)
{
    const struct clg_key_slots *slots = table_of(table, hash);
    CLG_ASSERT(slots->used <= slots->room);
    return slots->room == 0 ? 0 : slots->slots[table_probe(table, slots, hash)];
}

static int table_grow_slots(const struct commitlog_os *os, struct clg_key_table *table,
                            struct clg_key_slots *slots)
{
    if (slots->used + 1 <= slots->room / 4 * 3) {
        return 0;
    }
    uint32_t room = slots->room == 0 ? CLG_KEY_SLOTS_FIRST : slots->room * 2;
    uint32_t *grown = clg_os_alloc_array(os, room, sizeof(*grown));
    if (grown == NULL) {
        return COMMITLOG_ENOMEM;
    }
    struct clg_key_slots next = {.slots = grown, .room = room, .used = 0};
    for (uint32_t i = 0; i < slots->room; i++) {
        if (slots->slots[i] != 0) {
            uint64_t hash = clg_key_table_entry(table, slots->slots[i] - 1)->hash;
            next.slots[table_probe(table, &next, hash)] = slots->slots[i];
            next.used++;
        }
    }
    CLG_ASSERT(next.used == slots->used);
    table->bytes += (uint64_t)(room - slots->room) * sizeof(*grown);
    os->free(os, slots->slots);
    *slots = next;
    return 0;
}

static int table_grow_entries(const struct commitlog_os *os, struct clg_key_table *table)
{
    uint32_t chunk = table->count / CLG_KEY_CHUNK;
    if (chunk >= table->chunk_room) {
        uint32_t room = table->chunk_room == 0 ? 8 : table->chunk_room * 2;
        struct clg_key_entry **chunks = (struct clg_key_entry **)clg_os_grow_array(
            os, table->chunks, table->chunk_room, room, sizeof(*chunks));
        if (chunks == NULL) {
            return COMMITLOG_ENOMEM;
        }
        table->bytes += (uint64_t)(room - table->chunk_room) * sizeof(*chunks);
        table->chunks = chunks;
        table->chunk_room = room;
    }
    CLG_ASSERT(chunk < table->chunk_room);
    if (table->chunks[chunk] == NULL) {
        table->chunks[chunk] = clg_os_alloc_array(os, CLG_KEY_CHUNK, sizeof(struct clg_key_entry));
        if (table->chunks[chunk] == NULL) {
            return COMMITLOG_ENOMEM;
        }
        table->bytes += CLG_KEY_CHUNK * sizeof(struct clg_key_entry);
    }
    CLG_ASSERT(table->chunks[chunk] != NULL);
    return 0;
}

int clg_key_table_add(const struct commitlog_os *os, struct clg_key_table *table, uint64_t hash,
                      uint32_t place)
{
    struct clg_key_slots *slots = &table->tables[hash >> 58];
    if (table->count >= CLG_KEY_FILE_ENTRIES_MAX) {
        return COMMITLOG_ELIMIT;
    }
    int rc = table_grow_slots(os, table, slots);
    if (rc == 0) {
        rc = table_grow_entries(os, table);
    }
    if (rc != 0) {
        return rc;
    }
    uint32_t at = table_probe(table, slots, hash);
    uint32_t newest = slots->slots[at];
    if (newest != 0 && clg_key_table_entry(table, newest - 1)->place == place) {
        return 0; /* the same key twice on one record, or this record again after ENOMEM */
    }
    CLG_ASSERT(newest == 0 || clg_key_table_entry(table, newest - 1)->place < place);
    uint32_t index = table->count++;
    table->chunks[index / CLG_KEY_CHUNK][index % CLG_KEY_CHUNK] =
        (struct clg_key_entry){.hash = hash, .place = place, .older = newest};
    slots->slots[at] = index + 1;
    slots->used += newest == 0 ? 1 : 0;
    CLG_ASSERT(slots->used < slots->room);
    return 0;
}

void clg_key_table_free(const struct commitlog_os *os, struct clg_key_table *table)
{
    CLG_ASSERT(os != NULL);
    CLG_ASSERT(table->count == 0 || table->chunks != NULL);
    for (uint32_t i = 0; i < CLG_KEY_TABLES; i++) {
        os->free(os, table->tables[i].slots);
    }
    for (uint32_t i = 0; i < table->chunk_room; i++) {
        os->free(os, table->chunks[i]);
    }
    os->free(os, table->chunks);
    memset(table, 0, sizeof(*table));
}
