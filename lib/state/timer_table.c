/* SPDX-License-Identifier: BSD-2-Clause */
/* timer_table.c -- see timer_table.h. */
#include "state/timer_table.h"

#include <string.h>

#include "base/invariant.h"
#include "commitlog.h"
#include "format/limits.h"

#define TIMER_BLOCK 2048u /* nodes */
#define TIMER_NONE UINT32_MAX
/* Of a node of the heap: half the levels of two, and they share a cache line. */
#define TIMER_CHILDREN 4u
#define TIMER_ROOM_MIN 64u
/* Of a size: how often it is doubled, and below that a number of eights. Large records are not
 * eight bytes more or less, small ones are not to count as 2 KiB: half of the log may wait. */
#define TIMER_SIZE_BITS 20u
#define TIMER_EIGHTS_BITS 16u

struct clg_timer_node {
    uint64_t id; /* 0: unused */
    uint64_t position;
    uint64_t packed; /* due_ms, and in the lowest bits the size */
    uint32_t queue_number;
    uint32_t heap_at; /* its place in the heap; of an unused node: the next one */
};

CLG_STATIC_ASSERT(sizeof(struct clg_timer_node) == 32, "two in a cache line");
CLG_STATIC_ASSERT(CLG_TIMER_SIZE_MAX / 8 < UINT64_C(1) << (TIMER_EIGHTS_BITS + 15), "sizes fit");
CLG_STATIC_ASSERT(CLG_DELIVER_AT_MAX_MS < INT64_C(1) << (64 - TIMER_SIZE_BITS), "times fit");

static uint64_t timer_pack(const struct clg_timer *timer)
{
    uint64_t doubled = 0;
    uint64_t eights = ((uint64_t)timer->size + 7) / 8;
    CLG_ASSERT(timer->due_ms >= 0 && timer->due_ms <= CLG_DELIVER_AT_MAX_MS);
    for (; eights >> TIMER_EIGHTS_BITS != 0; doubled++) {
        eights = (eights + 1) / 2;
    }
    return (uint64_t)timer->due_ms << TIMER_SIZE_BITS | doubled << TIMER_EIGHTS_BITS | eights;
}

static uint32_t timer_size(const struct clg_timer_node *node)
{
    uint64_t eights = node->packed & ((UINT64_C(1) << TIMER_EIGHTS_BITS) - 1);
    return (uint32_t)((eights * 8) << ((node->packed >> TIMER_EIGHTS_BITS) & 15));
}

static void timer_give(const struct clg_timer_node *node, struct clg_timer *out)
{
    *out = (struct clg_timer){.id = node->id,
                              .position = node->position,
                              .due_ms = (int64_t)(node->packed >> TIMER_SIZE_BITS),
                              .queue_number = node->queue_number,
                              .size = timer_size(node)};
}

void clg_timer_table_init(struct clg_timer_table *table, const struct commitlog_os *os)
{
    memset(table, 0, sizeof(*table));
    table->os = os;
    table->unused = TIMER_NONE;
}

void clg_timer_table_deinit(struct clg_timer_table *table)
{
    const struct commitlog_os *os = table->os;
    for (uint32_t i = 0; i < table->block_count; i++) {
        os->free(os, table->blocks[i]);
    }
    os->free(os, table->blocks);
    os->free(os, table->heap);
    os->free(os, table->slots);
    clg_timer_table_init(table, os);
}

static struct clg_timer_node *timer_node(const struct clg_timer_table *table, uint32_t number)
{
    CLG_ASSERT(number / TIMER_BLOCK < table->block_count);
    return &table->blocks[number / TIMER_BLOCK][number % TIMER_BLOCK];
}

/* ---- by id ---- */

/* Ids are positions: multiples of eight that come in runs. The high half of the product with 2^64
 * divided by the golden ratio, scaled to a table of any size (Lemire's reduction). */
static uint32_t timer_home(uint32_t slot_count, uint64_t id)
{
    uint64_t hash = (id >> 3) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(((hash >> 32) * slot_count) >> 32);
}

/* The slot that holds the id, or the free one where it belongs. */
static uint32_t timer_slot(const struct clg_timer_table *table, uint64_t id)
{
    uint32_t at = timer_home(table->slot_count, id);
    while (table->slots[at] != 0 && timer_node(table, table->slots[at] - 1)->id != id) {
        at = at + 1 == table->slot_count ? 0 : at + 1;
    }
    return at;
}

bool clg_timer_find(const struct clg_timer_table *table, uint64_t id, struct clg_timer *out)
{
    uint32_t number = table->slot_count == 0 ? 0 : table->slots[timer_slot(table, id)];
    if (number != 0 && out != NULL) {
        timer_give(timer_node(table, number - 1), out);
    }
    return number != 0;
}

/* What the removed one had pushed on moves up (Knuth, 6.4, algorithm R). */
static void timer_free_slot(struct clg_timer_table *table, uint32_t slot)
{
    table->slots[slot] = 0;
    for (uint32_t at = slot;;) {
        at = at + 1 == table->slot_count ? 0 : at + 1;
        uint32_t number = table->slots[at];
        if (number == 0) {
            return;
        }
        table->slots[at] = 0;
        table->slots[timer_slot(table, timer_node(table, number - 1)->id)] = number;
    }
}

/* ---- by time ---- */

static bool timer_before(const struct clg_timer_table *table, uint32_t a, uint32_t b)
{
    const struct clg_timer_node *one = timer_node(table, a);
    const struct clg_timer_node *other = timer_node(table, b);
    uint64_t due = one->packed >> TIMER_SIZE_BITS;
    uint64_t other_due = other->packed >> TIMER_SIZE_BITS;
    return due != other_due ? due < other_due : one->id < other->id;
}

static void timer_place(struct clg_timer_table *table, uint32_t at, uint32_t number)
{
    table->heap[at] = number;
    timer_node(table, number)->heap_at = at;
}

static void timer_rise(struct clg_timer_table *table, uint32_t at)
{
    uint32_t number = table->heap[at];
    while (at > 0) {
        uint32_t parent = (at - 1) / TIMER_CHILDREN;
        if (!timer_before(table, number, table->heap[parent])) {
            break;
        }
        timer_place(table, at, table->heap[parent]);
        at = parent;
    }
    timer_place(table, at, number);
}

static void timer_sink(struct clg_timer_table *table, uint32_t at)
{
    uint32_t number = table->heap[at];
    for (;;) {
        uint64_t child = (uint64_t)at * TIMER_CHILDREN + 1;
        uint64_t end =
            child + TIMER_CHILDREN < table->count ? child + TIMER_CHILDREN : table->count;
        if (child >= end) {
            break;
        }
        uint32_t best = (uint32_t)child;
        for (uint32_t i = best + 1; i < end; i++) {
            best = timer_before(table, table->heap[i], table->heap[best]) ? i : best;
        }
        if (!timer_before(table, table->heap[best], number)) {
            break;
        }
        timer_place(table, at, table->heap[best]);
        at = best;
    }
    timer_place(table, at, number);
}

bool clg_timer_at(const struct clg_timer_table *table, uint32_t index, struct clg_timer *out)
{
    if (index >= table->count) {
        return false;
    }
    timer_give(timer_node(table, table->heap[index]), out);
    return true;
}

bool clg_timer_next(const struct clg_timer_table *table, uint32_t *cursor, struct clg_timer *out)
{
    uint64_t end = (uint64_t)table->block_count * TIMER_BLOCK;
    while (*cursor < end) {
        const struct clg_timer_node *node = timer_node(table, (*cursor)++);
        if (node->id != 0) {
            timer_give(node, out);
            return true;
        }
    }
    return false;
}

/* ---- room ---- */

static int timer_add_block(struct clg_timer_table *table)
{
    const struct commitlog_os *os = table->os;
    if (table->block_count == table->block_room) {
        uint32_t room = table->block_room == 0 ? 8 : table->block_room * 2;
        struct clg_timer_node **blocks = clg_os_grow_array(os, table->blocks, table->block_room,
                                                           room, sizeof(struct clg_timer_node *));
        if (blocks == NULL) {
            return COMMITLOG_ENOMEM;
        }
        table->blocks = blocks;
        table->block_room = room;
    }
    struct clg_timer_node *block = clg_os_alloc_array(os, TIMER_BLOCK, sizeof(*block));
    if (block == NULL) {
        return COMMITLOG_ENOMEM;
    }
    uint32_t first = table->block_count * TIMER_BLOCK;
    table->blocks[table->block_count++] = block;
    for (uint32_t i = 0; i < TIMER_BLOCK; i++) {
        block[i].id = 0;
        block[i].heap_at = i + 1 < TIMER_BLOCK ? first + i + 1 : table->unused;
    }
    table->unused = first;
    return COMMITLOG_OK;
}

static int timer_reserve_heap(struct clg_timer_table *table, uint32_t count)
{
    uint32_t room = table->heap_room == 0 ? TIMER_ROOM_MIN : table->heap_room;
    while (room < count) {
        room = room / 2 * 3;
    }
    if (room == table->heap_room) {
        return COMMITLOG_OK;
    }
    uint32_t *heap =
        clg_os_grow_array(table->os, table->heap, table->heap_room, room, sizeof(*heap));
    if (heap == NULL) {
        return COMMITLOG_ENOMEM;
    }
    table->heap = heap;
    table->heap_room = room;
    return COMMITLOG_OK;
}

/* At most four fifths full. */
static int timer_reserve_slots(struct clg_timer_table *table, uint32_t count)
{
    const struct commitlog_os *os = table->os;
    uint32_t slot_count = table->slot_count == 0 ? TIMER_ROOM_MIN : table->slot_count;
    while ((uint64_t)count * 5 > (uint64_t)slot_count * 4) {
        slot_count = slot_count / 2 * 3;
    }
    if (slot_count == table->slot_count) {
        return COMMITLOG_OK;
    }
    uint32_t *slots = clg_os_alloc_array(os, slot_count, sizeof(*slots));
    if (slots == NULL) {
        return COMMITLOG_ENOMEM;
    }
    os->free(os, table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    for (uint32_t i = 0; i < table->count; i++) {
        uint32_t number = table->heap[i];
        table->slots[timer_slot(table, timer_node(table, number)->id)] = number + 1;
    }
    return COMMITLOG_OK;
}

int clg_timer_table_prepare(struct clg_timer_table *table, uint32_t more)
{
    uint64_t count = (uint64_t)table->count + more;
    if (count > UINT32_MAX / 4) {
        return COMMITLOG_ENOMEM;
    }
    int rc = COMMITLOG_OK;
    while (rc == COMMITLOG_OK && (uint64_t)table->block_count * TIMER_BLOCK < count) {
        rc = timer_add_block(table);
    }
    if (rc == COMMITLOG_OK) {
        rc = timer_reserve_heap(table, (uint32_t)count);
    }
    return rc == COMMITLOG_OK ? timer_reserve_slots(table, (uint32_t)count) : rc;
}

static void timer_fill(struct clg_timer_table *table, struct clg_timer_node *node,
                       const struct clg_timer *timer)
{
    node->id = timer->id;
    node->position = timer->position;
    node->packed = timer_pack(timer);
    node->queue_number = timer->queue_number;
    table->bytes += timer_size(node);
}

void clg_timer_add(struct clg_timer_table *table, const struct clg_timer *timer)
{
    CLG_ASSERT(table->slot_count > 0);
    CLG_ASSERT(timer->id != 0);
    uint32_t slot = timer_slot(table, timer->id);
    if (table->slots[slot] != 0) {
        struct clg_timer_node *known = timer_node(table, table->slots[slot] - 1);
        table->bytes -= timer_size(known);
        timer_fill(table, known, timer);
        timer_rise(table, known->heap_at);
        timer_sink(table, known->heap_at);
        return;
    }
    CLG_ASSERT(table->unused != TIMER_NONE && table->count < table->heap_room);
    uint32_t number = table->unused;
    struct clg_timer_node *node = timer_node(table, number);
    table->unused = node->heap_at;
    timer_fill(table, node, timer);
    table->slots[slot] = number + 1;
    table->heap[table->count] = number;
    node->heap_at = table->count++;
    timer_rise(table, node->heap_at);
}

void clg_timer_remove(struct clg_timer_table *table, uint64_t id)
{
    uint32_t slot = table->slot_count == 0 ? 0 : timer_slot(table, id);
    if (table->slot_count == 0 || table->slots[slot] == 0) {
        return;
    }
    uint32_t number = table->slots[slot] - 1;
    struct clg_timer_node *node = timer_node(table, number);
    uint32_t at = node->heap_at;
    timer_free_slot(table, slot);
    uint32_t last = table->heap[--table->count];
    if (last != number) {
        timer_place(table, at, last);
        timer_rise(table, at);
        timer_sink(table, timer_node(table, last)->heap_at);
    }
    CLG_ASSERT(table->bytes >= timer_size(node));
    table->bytes -= timer_size(node);
    node->id = 0;
    node->heap_at = table->unused;
    table->unused = number;
}

int clg_timer_table_copy(struct clg_timer_table *table, const struct clg_timer_table *from)
{
    CLG_ASSERT(table->count == 0);
    int rc = clg_timer_table_prepare(table, from->count);
    struct clg_timer timer;
    for (uint32_t cursor = 0; rc == COMMITLOG_OK && clg_timer_next(from, &cursor, &timer);) {
        clg_timer_add(table, &timer);
    }
    return rc;
}

uint64_t clg_timer_table_memory(const struct clg_timer_table *table)
{
    return (uint64_t)table->block_count * TIMER_BLOCK * sizeof(struct clg_timer_node) +
           (uint64_t)table->block_room * sizeof(struct clg_timer_node *) +
           (uint64_t)table->heap_room * sizeof(*table->heap) +
           (uint64_t)table->slot_count * sizeof(*table->slots);
}

void clg_timer_table_invariants(const struct clg_timer_table *table)
{
    uint32_t held = 0;
    for (uint32_t i = 0; i < table->slot_count; i++) {
        held += table->slots[i] != 0 ? 1 : 0;
    }
    uint64_t bytes = 0;
    uint32_t found = 0;
    struct clg_timer timer;
    for (uint32_t cursor = 0; clg_timer_next(table, &cursor, &timer); found++) {
        bytes += timer.size;
    }
    CLG_ASSERT(held == table->count && found == table->count && bytes == table->bytes);
    (void)held;
    for (uint32_t i = 0; i < table->count; i++) {
        CLG_ASSERT(timer_node(table, table->heap[i])->heap_at == i);
        CLG_ASSERT(i == 0 ||
                   !timer_before(table, table->heap[i], table->heap[(i - 1) / TIMER_CHILDREN]));
        CLG_ASSERT(table->slots[timer_slot(table, timer_node(table, table->heap[i])->id)] ==
                   table->heap[i] + 1);
    }
}
