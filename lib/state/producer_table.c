/* SPDX-License-Identifier: BSD-2-Clause */
/* producer_table.c -- see producer_table.h. */
#include "state/producer_table.h"

#include <string.h>

#include "base/invariant.h"
#include "commitlog.h"

#define TABLE_SLOTS_MIN 16u

void clg_producer_table_init(struct clg_producer_table *table, const struct commitlog_os *os)
{
    memset(table, 0, sizeof(*table));
    table->os = os;
    clg_list_init(&table->heard);
}

void clg_producer_table_deinit(struct clg_producer_table *table)
{
    const struct commitlog_os *os = table->os;
    for (uint32_t i = 0; i < table->slot_count; i++) {
        os->free(os, table->slots[i]);
    }
    os->free(os, table->spare);
    os->free(os, table->slots);
    clg_producer_table_init(table, os);
}

/* Ids may be anything, consecutive numbers too: the finaliser of SplitMix64 spreads them. */
static uint64_t producer_hash(uint64_t id)
{
    id = (id ^ (id >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    id = (id ^ (id >> 27)) * UINT64_C(0x94d049bb133111eb);
    return id ^ (id >> 31);
}

/* The slot that holds the id, or the free one where it belongs. */
static uint32_t producer_slot(struct clg_producer *const *slots, uint32_t slot_count, uint64_t id)
{
    uint32_t mask = slot_count - 1;
    uint32_t at = (uint32_t)producer_hash(id) & mask;
    while (slots[at] != NULL && slots[at]->state.id != id) {
        at = (at + 1) & mask;
    }
    return at;
}

struct clg_producer *clg_producer_find(const struct clg_producer_table *table, uint64_t id)
{
    return table->slot_count == 0
               ? NULL
               : table->slots[producer_slot(table->slots, table->slot_count, id)];
}

static struct clg_producer *producer_of(const struct clg_producer_table *table,
                                        struct clg_list *node)
{
    return node == &table->heard ? NULL : CLG_CONTAINER(node, struct clg_producer, heard);
}

struct clg_producer *clg_producer_oldest(const struct clg_producer_table *table)
{
    return producer_of(table, table->heard.next);
}

struct clg_producer *clg_producer_next(const struct clg_producer_table *table,
                                       const struct clg_producer *producer)
{
    return producer_of(table, producer->heard.next);
}

uint64_t clg_producer_told_from(const struct clg_producer *producer)
{
    uint64_t oldest = producer->state.receipts[0].position;
    CLG_ASSERT(producer->state.count > 0);
    return oldest > producer->carried_position ? oldest : producer->carried_position;
}

enum clg_producer_verdict clg_producer_judge(const struct clg_producer_table *table,
                                             const struct clg_producer_mark *mark,
                                             struct clg_producer_receipt *out_receipt)
{
    const struct clg_producer *known = clg_producer_find(table, mark->id);
    CLG_ASSERT(mark->sequence > 0);
    if (known == NULL) {
        return mark->sequence == 1 ? CLG_PRODUCER_NEW : CLG_PRODUCER_UNKNOWN;
    }
    const struct clg_producer_state *state = &known->state;
    if (mark->epoch != state->epoch) {
        return mark->epoch < state->epoch ? CLG_PRODUCER_FENCED
               : mark->sequence == 1      ? CLG_PRODUCER_NEW
                                          : CLG_PRODUCER_GAP;
    }
    if (mark->sequence > state->sequence) {
        return mark->sequence == state->sequence + 1 ? CLG_PRODUCER_NEW : CLG_PRODUCER_GAP;
    }
    uint64_t back = state->sequence - mark->sequence;
    if (back >= state->count) {
        return CLG_PRODUCER_FORGOTTEN;
    }
    *out_receipt = state->receipts[state->count - 1 - back];
    return CLG_PRODUCER_REPEATED;
}

static int table_reserve(struct clg_producer_table *table)
{
    const struct commitlog_os *os = table->os;
    if ((table->count + 1) * 2 <= table->slot_count) {
        return COMMITLOG_OK;
    }
    uint32_t slot_count = table->slot_count == 0 ? TABLE_SLOTS_MIN : table->slot_count * 2;
    struct clg_producer **slots = clg_os_alloc_array(os, slot_count, sizeof(struct clg_producer *));
    if (slots == NULL) {
        return COMMITLOG_ENOMEM;
    }
    for (uint32_t i = 0; i < table->slot_count; i++) {
        if (table->slots[i] != NULL) {
            slots[producer_slot(slots, slot_count, table->slots[i]->state.id)] = table->slots[i];
        }
    }
    os->free(os, table->slots);
    table->slots = slots;
    table->slot_count = slot_count;
    return COMMITLOG_OK;
}

int clg_producer_table_prepare(struct clg_producer_table *table, uint64_t id)
{
    const struct commitlog_os *os = table->os;
    if (clg_producer_find(table, id) != NULL) {
        return COMMITLOG_OK;
    }
    int rc = table_reserve(table);
    if (rc == COMMITLOG_OK && table->spare == NULL) {
        table->spare = os->alloc(os, sizeof(*table->spare));
        rc = table->spare == NULL ? COMMITLOG_ENOMEM : COMMITLOG_OK;
    }
    return rc;
}

/* The producer, made of the spare one if it is not known, as the last one heard. */
static struct clg_producer *table_hear(struct clg_producer_table *table, uint64_t id)
{
    uint32_t slot = producer_slot(table->slots, table->slot_count, id);
    struct clg_producer *producer = table->slots[slot];
    if (producer == NULL) {
        producer = table->spare;
        table->spare = NULL;
        CLG_ASSERT(producer != NULL && table->count < table->slot_count / 2);
        memset(producer, 0, sizeof(*producer));
        producer->state.id = id;
        producer->state.operation = CLG_PRODUCER_STATE;
        clg_list_init(&producer->heard);
        table->slots[slot] = producer;
        table->count++;
    }
    clg_list_remove(&producer->heard);
    clg_list_append(&table->heard, &producer->heard);
    table->placed = table->placed == producer ? NULL : table->placed;
    return producer;
}

/* The last one of the list, which was heard before some of the others, to where it belongs. They
 * come one behind another: the place of the last one is near. */
static void table_place(struct clg_producer_table *table, struct clg_producer *producer)
{
    const struct clg_producer *before = producer_of(table, producer->heard.prev);
    if (before == NULL || before->heard_time <= producer->heard_time) {
        return;
    }
    struct clg_producer *at =
        table->placed != NULL && table->placed->heard_time <= producer->heard_time
            ? table->placed
            : clg_producer_oldest(table);
    while (at->heard_time <= producer->heard_time) { /* the one before it ends this */
        at = clg_producer_next(table, at);
        CLG_ASSERT(at != NULL && at != producer);
    }
    clg_list_remove(&producer->heard);
    clg_list_append(&at->heard, &producer->heard); /* in front of it */
    table->placed = producer;
}

void clg_producer_apply_mark(struct clg_producer_table *table, const struct clg_producer_mark *mark,
                             const struct clg_producer_receipt *receipt)
{
    struct clg_producer *producer = table_hear(table, mark->id);
    struct clg_producer_state *state = &producer->state;
    table->receipts -= state->count;
    if (mark->epoch == state->epoch && mark->sequence <= state->sequence &&
        state->sequence - mark->sequence < state->count) {
        /* Applied again, and so will be those behind it: what is remembered before it stays. */
        state->count -= (uint32_t)(state->sequence - mark->sequence) + 1;
    } else if (mark->epoch != state->epoch || mark->sequence != state->sequence + 1) {
        state->count = 0; /* begins anew */
    }
    if (state->count == CLG_PRODUCER_RECEIPTS) {
        memmove(&state->receipts[0], &state->receipts[1],
                (CLG_PRODUCER_RECEIPTS - 1) * sizeof(state->receipts[0]));
        state->count--;
    }
    state->receipts[state->count++] = *receipt;
    table->receipts += state->count;
    state->epoch = mark->epoch;
    state->sequence = mark->sequence;
    producer->heard_time = receipt->store_time;
}

/* Open addressing without gaps: what was pushed on by the removed one moves up (Knuth, 6.4,
 * algorithm R). */
static void table_remove(struct clg_producer_table *table, uint32_t slot)
{
    const struct commitlog_os *os = table->os;
    uint32_t mask = table->slot_count - 1;
    table->placed = table->placed == table->slots[slot] ? NULL : table->placed;
    clg_list_remove(&table->slots[slot]->heard);
    table->receipts -= table->slots[slot]->state.count;
    os->free(os, table->slots[slot]);
    table->slots[slot] = NULL;
    table->count--;
    for (uint32_t at = (slot + 1) & mask; table->slots[at] != NULL; at = (at + 1) & mask) {
        struct clg_producer *moved = table->slots[at];
        table->slots[at] = NULL;
        table->slots[producer_slot(table->slots, table->slot_count, moved->state.id)] = moved;
    }
}

void clg_producer_apply_state(struct clg_producer_table *table,
                              const struct clg_producer_state *state, uint64_t position)
{
    if (state->operation == CLG_PRODUCER_EXPIRE) {
        if (table->slot_count > 0) {
            uint32_t slot = producer_slot(table->slots, table->slot_count, state->id);
            if (table->slots[slot] != NULL) {
                table_remove(table, slot);
            }
        }
        return;
    }
    /* Carried forward, not heard: where it is in the list it stays, unless nobody knew it. */
    struct clg_producer *known = clg_producer_find(table, state->id);
    struct clg_producer *producer = known != NULL ? known : table_hear(table, state->id);
    CLG_ASSERT(state->count > 0);
    table->receipts += state->count;
    table->receipts -= producer->state.count;
    producer->state = *state;
    producer->carried_position = position;
    producer->heard_time = state->receipts[state->count - 1].store_time;
    if (known == NULL) {
        table_place(table, producer);
    }
}

int clg_producer_table_copy(struct clg_producer_table *table, const struct clg_producer_table *from)
{
    CLG_ASSERT(table->count == 0);
    for (struct clg_producer *one = clg_producer_oldest(from); one != NULL;
         one = clg_producer_next(from, one)) {
        int rc = clg_producer_table_prepare(table, one->state.id);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        clg_producer_apply_state(table, &one->state, one->carried_position);
    }
    return COMMITLOG_OK;
}

uint64_t clg_producer_table_memory(const struct clg_producer_table *table)
{
    return (uint64_t)table->slot_count * sizeof(struct clg_producer *) +
           (uint64_t)table->count * sizeof(struct clg_producer);
}
