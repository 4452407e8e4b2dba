/* SPDX-License-Identifier: BSD-2-Clause */
/* work_table.c -- runs of messages by group and queue. See work_table.h. */
#include "state/work_table.h"

#include <string.h>

#include "base/invariant.h"
#include "commitlog.h"
#include "state/group_table.h"

#define WORK_SLOTS_MIN 8u
#define WORK_RUNS_MIN 8u
/* A change of one run makes at most two more: it may split one in three. */
#define WORK_RUNS_MORE 2u

void clg_work_table_init(struct clg_work_table *table, const struct commitlog_os *os)
{
    memset(table, 0, sizeof(*table));
    table->os = os;
}

static void work_queue_free(const struct commitlog_os *os, struct clg_work_queue *queue)
{
    os->free(os, queue->name);
    os->free(os, queue->runs);
    os->free(os, queue);
}

void clg_work_table_deinit(struct clg_work_table *table)
{
    const struct commitlog_os *os = table->os;
    for (uint32_t i = 0; i < table->count; i++) {
        work_queue_free(os, table->queues[i]);
    }
    os->free(os, table->queues);
    os->free(os, table->slots);
    clg_work_table_init(table, os);
}

/* ---- by group and queue ---- */

/* The slot that holds them, or the free one where they belong. Queue numbers are dense: the
 * multiplication spreads neighbours (Knuth, 6.4). */
static uint32_t work_slot(const struct clg_work_table *table, const void *name, uint32_t name_bytes,
                          uint64_t hash, uint32_t queue_number)
{
    uint32_t mask = table->slot_count - 1;
    uint32_t at = ((uint32_t)hash + queue_number * UINT32_C(2654435769)) & mask;
    CLG_ASSERT((table->slot_count & mask) == 0 && table->count < table->slot_count);
    while (table->slots[at] != 0) {
        const struct clg_work_queue *queue = table->queues[table->slots[at] - 1];
        if (queue->hash == hash && queue->queue_number == queue_number &&
            queue->name_bytes == name_bytes && memcmp(queue->name, name, name_bytes) == 0) {
            break;
        }
        at = (at + 1) & mask;
    }
    return at;
}

struct clg_work_queue *clg_work_table_find(const struct clg_work_table *table, const void *name,
                                           uint32_t name_bytes, uint64_t hash,
                                           uint32_t queue_number)
{
    if (table->count == 0) {
        return NULL;
    }
    uint32_t index = table->slots[work_slot(table, name, name_bytes, hash, queue_number)];
    CLG_ASSERT(index <= table->count);
    return index == 0 ? NULL : table->queues[index - 1];
}

static void work_fill_slots(struct clg_work_table *table)
{
    memset(table->slots, 0, table->slot_count * sizeof(*table->slots));
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_work_queue *queue = table->queues[i];
        table->slots[work_slot(table, queue->name, queue->name_bytes, queue->hash,
                               queue->queue_number)] = i + 1;
    }
}

/* Room for one more queue. */
static int work_reserve(struct clg_work_table *table)
{
    const struct commitlog_os *os = table->os;
    if (table->count == table->room) {
        uint32_t room = table->room == 0 ? 4 : table->room * 2;
        struct clg_work_queue **queues = clg_os_grow_array(os, table->queues, table->room, room,
                                                           sizeof(struct clg_work_queue *));
        if (queues == NULL) {
            return COMMITLOG_ENOMEM;
        }
        table->queues = queues;
        table->room = room;
    }
    if ((table->count + 1) * 2 > table->slot_count) {
        uint32_t slot_count = table->slot_count == 0 ? WORK_SLOTS_MIN : table->slot_count * 2;
        uint32_t *slots = clg_os_alloc_array(os, slot_count, sizeof(*slots));
        if (slots == NULL) {
            return COMMITLOG_ENOMEM;
        }
        os->free(os, table->slots);
        table->slots = slots;
        table->slot_count = slot_count;
        work_fill_slots(table);
    }
    return COMMITLOG_OK;
}

/* The queue, made when it is not there. NULL: no memory. */
static struct clg_work_queue *work_need(struct clg_work_table *table, const void *name,
                                        uint32_t name_bytes, uint64_t hash, uint32_t queue_number)
{
    const struct commitlog_os *os = table->os;
    struct clg_work_queue *queue = clg_work_table_find(table, name, name_bytes, hash, queue_number);
    if (queue != NULL) {
        return queue;
    }
    if (work_reserve(table) != COMMITLOG_OK) {
        return NULL;
    }
    queue = os->alloc(os, sizeof(*queue));
    uint8_t *copy = queue == NULL ? NULL : os->alloc(os, name_bytes);
    if (copy == NULL) {
        os->free(os, queue);
        return NULL;
    }
    memcpy(copy, name, name_bytes);
    *queue = (struct clg_work_queue){
        .name = copy, .hash = hash, .name_bytes = name_bytes, .queue_number = queue_number};
    table->slots[work_slot(table, name, name_bytes, hash, queue_number)] = table->count + 1;
    table->queues[table->count++] = queue;
    return queue;
}

/* ---- runs ---- */

static uint64_t run_end(const struct clg_work_run *run)
{
    return run->offset + run->count;
}

/* Index of the first run that ends behind the offset. */
static uint32_t work_first_behind(const struct clg_work_queue *queue, uint64_t offset)
{
    uint32_t low = 0;
    uint32_t high = queue->run_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (run_end(&queue->runs[middle]) <= offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct clg_work_run *clg_work_queue_from(const struct clg_work_queue *queue, uint64_t offset)
{
    uint32_t at = work_first_behind(queue, offset);
    return at < queue->run_count ? &queue->runs[at] : NULL;
}

const struct clg_work_run *clg_work_queue_at(const struct clg_work_queue *queue, uint64_t offset)
{
    const struct clg_work_run *run = clg_work_queue_from(queue, offset);
    return run != NULL && run->offset <= offset ? run : NULL;
}

static int work_reserve_runs(const struct commitlog_os *os, struct clg_work_queue *queue,
                             uint32_t more)
{
    uint64_t wanted = (uint64_t)queue->run_count + more;
    if (wanted <= queue->run_room) {
        return COMMITLOG_OK;
    }
    if (wanted > UINT32_MAX / 2) {
        return COMMITLOG_ENOMEM;
    }
    uint32_t room = queue->run_room == 0 ? WORK_RUNS_MIN : queue->run_room;
    while (room < wanted) {
        room *= 2;
    }
    struct clg_work_run *runs =
        clg_os_grow_array(os, queue->runs, queue->run_room, room, sizeof(*runs));
    if (runs == NULL) {
        return COMMITLOG_ENOMEM;
    }
    queue->runs = runs;
    queue->run_room = room;
    return COMMITLOG_OK;
}

/* Takes `gone` runs out at `at` and puts `count` in. */
static void work_splice(struct clg_work_queue *queue, uint32_t at, uint32_t gone,
                        const struct clg_work_run *runs, uint32_t count)
{
    CLG_ASSERT(at + gone <= queue->run_count);
    CLG_ASSERT(queue->run_count - gone + count <= queue->run_room);
    if (queue->run_count > at + gone) {
        memmove(&queue->runs[at + count], &queue->runs[at + gone],
                (queue->run_count - at - gone) * sizeof(*queue->runs));
    }
    if (count > 0) {
        memcpy(&queue->runs[at], runs, count * sizeof(*runs));
    }
    queue->run_count = queue->run_count - gone + count;
}

static bool run_joins(const struct clg_work_run *one, const struct clg_work_run *next)
{
    return run_end(one) == next->offset && one->state == next->state &&
           one->attempts == next->attempts && one->visible_at_ms == next->visible_at_ms &&
           one->count <= UINT32_MAX - next->count;
}

/* The run at `at` with the one behind it, if they say the same. */
static void work_join(struct clg_work_queue *queue, uint32_t at)
{
    if (at + 1 < queue->run_count && run_joins(&queue->runs[at], &queue->runs[at + 1])) {
        struct clg_work_run joined = queue->runs[at];
        const struct clg_work_run *next = &queue->runs[at + 1];
        joined.count += next->count;
        work_splice(queue, at, 2, &joined, 1);
    }
}

static void work_put(struct clg_work_queue *queue, const struct clg_work_run *run)
{
    struct clg_work_run pieces[3];
    uint32_t count = 0;
    uint32_t from = work_first_behind(queue, run->offset);
    uint32_t to = from;
    while (to < queue->run_count && queue->runs[to].offset < run_end(run)) {
        to++;
    }
    if (from < to && queue->runs[from].offset < run->offset) {
        pieces[count] = queue->runs[from];
        pieces[count].count = (uint32_t)(run->offset - pieces[count].offset);
        count++;
    }
    uint32_t at = from + count;
    pieces[count++] = *run;
    if (from < to && run_end(&queue->runs[to - 1]) > run_end(run)) {
        struct clg_work_run rest = queue->runs[to - 1];
        rest.count = (uint32_t)(run_end(&rest) - run_end(run));
        rest.offset = run_end(run);
        pieces[count++] = rest;
    }
    work_splice(queue, from, to - from, pieces, count);
    work_join(queue, at);
    if (at > 0) {
        work_join(queue, at - 1);
    }
    clg_work_queue_invariants(queue);
}

/* ---- changes ---- */

int clg_work_table_prepare(struct clg_work_table *table, const struct clg_work_change *change)
{
    uint64_t hash = clg_group_name_hash(change->name, change->name_bytes);
    int rc = COMMITLOG_OK;
    uint32_t counted = 0;
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < change->count; i++) {
        struct clg_work_queue *queue = work_need(table, change->name, change->name_bytes, hash,
                                                 clg_work_change_entry(change, i).queue_number);
        if (queue == NULL) {
            rc = COMMITLOG_ENOMEM;
        } else {
            queue->run_more += WORK_RUNS_MORE;
            counted++;
        }
    }
    /* The entries of a queue may be anywhere in the change: the first that is met reserves for all.
     */
    for (uint32_t i = 0; i < counted; i++) {
        struct clg_work_queue *queue =
            clg_work_table_find(table, change->name, change->name_bytes, hash,
                                clg_work_change_entry(change, i).queue_number);
        CLG_ASSERT(queue != NULL);
        if (rc == COMMITLOG_OK && queue->run_more > 0) {
            rc = work_reserve_runs(table->os, queue, queue->run_more);
        }
        queue->run_more = 0;
    }
    return rc;
}

void clg_work_table_apply(struct clg_work_table *table, const struct clg_work_change *change)
{
    uint64_t hash = clg_group_name_hash(change->name, change->name_bytes);
    for (uint32_t i = 0; i < change->count; i++) {
        const struct clg_work_entry entry = clg_work_change_entry(change, i);
        struct clg_work_queue *queue =
            clg_work_table_find(table, change->name, change->name_bytes, hash, entry.queue_number);
        CLG_ASSERT(queue != NULL);
        const struct clg_work_run run = {.offset = entry.offset,
                                         .visible_at_ms = entry.visible_at_ms,
                                         .count = entry.count,
                                         .attempts = (uint16_t)entry.attempts,
                                         .state = (uint16_t)entry.state};
        work_put(queue, &run);
    }
}

void clg_work_queue_trim(struct clg_work_queue *queue, uint64_t offset)
{
    work_splice(queue, 0, work_first_behind(queue, offset), NULL, 0);
    if (queue->run_count > 0 && queue->runs[0].offset < offset) {
        struct clg_work_run *first = &queue->runs[0];
        first->count = (uint32_t)(run_end(first) - offset);
        first->offset = offset;
    }
    clg_work_queue_invariants(queue);
}

static void work_trim(struct clg_work_table *table, const void *name, uint32_t name_bytes,
                      uint64_t hash, uint32_t queue_number, uint64_t offset)
{
    struct clg_work_queue *queue = clg_work_table_find(table, name, name_bytes, hash, queue_number);
    if (queue != NULL) {
        clg_work_queue_trim(queue, offset);
    }
}

static void work_forget(struct clg_work_table *table, const void *name, uint32_t name_bytes,
                        uint64_t hash)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        struct clg_work_queue *queue = table->queues[i];
        if (queue->hash == hash && queue->name_bytes == name_bytes &&
            memcmp(queue->name, name, name_bytes) == 0) {
            work_queue_free(table->os, queue);
        } else {
            table->queues[kept++] = queue;
        }
    }
    if (kept < table->count) {
        table->count = kept;
        work_fill_slots(table);
    }
}

static void work_forget_queue(struct clg_work_table *table, const void *name, uint32_t name_bytes,
                              uint64_t hash, uint32_t queue_number)
{
    struct clg_work_queue *queue = clg_work_table_find(table, name, name_bytes, hash, queue_number);
    if (queue != NULL) {
        queue->run_count = 0;
    }
}

void clg_work_table_apply_group(struct clg_work_table *table, const struct clg_group_change *change)
{
    if (table->count == 0) {
        return;
    }
    uint64_t hash = clg_group_name_hash(change->name, change->name_bytes);
    if (change->operation == CLG_GROUP_DELETE) {
        work_forget(table, change->name, change->name_bytes, hash);
    }
    for (uint32_t i = 0; i < change->count; i++) {
        const struct clg_group_entry entry = clg_group_change_entry(change, i);
        if (change->operation == CLG_GROUP_RESET) {
            work_forget_queue(table, change->name, change->name_bytes, hash, entry.queue_number);
        } else {
            work_trim(table, change->name, change->name_bytes, hash, entry.queue_number,
                      entry.offset);
        }
    }
}

int clg_work_table_copy(struct clg_work_table *table, const struct clg_work_table *from)
{
    CLG_ASSERT(table->count == 0);
    for (uint32_t i = 0; i < from->count; i++) {
        const struct clg_work_queue *queue = from->queues[i];
        if (queue->run_count == 0) {
            continue;
        }
        struct clg_work_queue *copy =
            work_need(table, queue->name, queue->name_bytes, queue->hash, queue->queue_number);
        if (copy == NULL || work_reserve_runs(table->os, copy, queue->run_count) != COMMITLOG_OK) {
            return COMMITLOG_ENOMEM;
        }
        work_splice(copy, 0, 0, queue->runs, queue->run_count);
    }
    return COMMITLOG_OK;
}

uint64_t clg_work_table_memory(const struct clg_work_table *table)
{
    uint64_t bytes = (uint64_t)table->room * sizeof(struct clg_work_queue *) +
                     (uint64_t)table->slot_count * sizeof(*table->slots);
    for (uint32_t i = 0; i < table->count; i++) {
        const struct clg_work_queue *queue = table->queues[i];
        bytes +=
            sizeof(*queue) + queue->name_bytes + (uint64_t)queue->run_room * sizeof(*queue->runs);
    }
    return bytes;
}

void clg_work_queue_invariants(const struct clg_work_queue *queue)
{
    for (uint32_t i = 0; i < queue->run_count; i++) {
        const struct clg_work_run *run = &queue->runs[i];
        CLG_ASSERT(run->count > 0);
        CLG_ASSERT(run->state == CLG_WORK_PENDING || run->state == CLG_WORK_DONE);
        CLG_ASSERT(i == 0 || run_end(&queue->runs[i - 1]) <= run->offset);
        CLG_ASSERT(i == 0 || !run_joins(&queue->runs[i - 1], run));
        (void)run;
    }
}
