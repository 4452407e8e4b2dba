/* SPDX-License-Identifier: BSD-2-Clause */
/* expiry_table.c -- see expiry_table.h. */
#include "state/expiry_table.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"

#define EXPIRY_ROOM_FIRST 8u

void clg_expiry_table_init(struct clg_expiry_table *table, const struct commitlog_os *os)
{
    CLG_ASSERT(os != NULL);
    *table = (struct clg_expiry_table){.os = os};
}

void clg_expiry_table_deinit(struct clg_expiry_table *table)
{
    CLG_ASSERT(table->os != NULL);
    table->os->free(table->os, table->rows);
    table->rows = NULL;
    table->count = 0;
    table->room = 0;
}

int clg_expiry_table_copy(struct clg_expiry_table *table, const struct clg_expiry_table *from)
{
    CLG_ASSERT(table->count == 0 && table->rows == NULL);
    if (from->count == 0) {
        return COMMITLOG_OK;
    }
    table->rows = clg_os_alloc_array(table->os, from->count, sizeof(*table->rows));
    if (table->rows == NULL) {
        return COMMITLOG_ENOMEM;
    }
    memcpy(table->rows, from->rows, from->count * sizeof(*table->rows));
    table->count = from->count;
    table->room = from->count;
    return COMMITLOG_OK;
}

/* Index of the first row that is not below it. */
static uint32_t expiry_place(const struct clg_expiry_table *table, uint32_t first_queue)
{
    uint32_t low = 0;
    uint32_t high = table->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (table->rows[middle].first_queue < first_queue) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CLG_ASSERT(low <= table->count);
    return low;
}

struct clg_expiry *clg_expiry_find(const struct clg_expiry_table *table, uint32_t first_queue)
{
    uint32_t at = expiry_place(table, first_queue);
    bool found = at < table->count && table->rows[at].first_queue == first_queue;
    return found ? &table->rows[at] : NULL;
}

int clg_expiry_table_prepare(struct clg_expiry_table *table)
{
    if (table->count < table->room) {
        return COMMITLOG_OK;
    }
    uint32_t room = table->room == 0 ? EXPIRY_ROOM_FIRST : table->room * 2;
    struct clg_expiry *rows =
        clg_os_grow_array(table->os, table->rows, table->room, room, sizeof(*rows));
    if (rows == NULL) {
        return COMMITLOG_ENOMEM;
    }
    table->rows = rows;
    table->room = room;
    return COMMITLOG_OK;
}

/* Makes room for what the next record says: what the last one said is kept for who does not see
 * that, unless an earlier one still waits for its readers, too. Then the last one gives way, so
 * that what waits is not put off by each that comes. */
static void expiry_step(struct clg_expiry *row, uint64_t durable)
{
    const bool newest_settled = row->position < durable;
    if (!newest_settled && row->earlier.position != 0 && row->earlier.position >= durable) {
        return;
    }
    row->settled = newest_settled ? row->below : row->earlier.below;
    row->earlier.below = row->below;
    row->earlier.position = row->position;
    CLG_ASSERT(row->settled <= row->earlier.below);
}

uint64_t clg_expiry_below(const struct clg_expiry *row, uint64_t visible)
{
    CLG_ASSERT(row->settled <= row->earlier.below && row->earlier.below <= row->below);
    return row->position < visible           ? row->below
           : row->earlier.position < visible ? row->earlier.below
                                             : row->settled;
}

void clg_expiry_table_apply(struct clg_expiry_table *table, const struct clg_tombstone *said,
                            uint64_t position, uint64_t durable)
{
    uint32_t at = expiry_place(table, said->first_queue);
    if (at == table->count || table->rows[at].first_queue != said->first_queue) {
        CLG_ASSERT(table->count < table->room);
        memmove(&table->rows[at + 1], &table->rows[at], (table->count - at) * sizeof(*table->rows));
        table->rows[at] = (struct clg_expiry){.first_queue = said->first_queue};
        table->count++;
    }
    struct clg_expiry *row = &table->rows[at];
    if (position > row->position) {
        expiry_step(row, durable);
    }
    row->look_ns = row->age_ms == said->age_ms ? row->look_ns : 0;
    row->age_ms = said->age_ms;
    row->below = clg_max_u64(row->below, said->below);
    row->position = clg_max_u64(row->position, position);
}
