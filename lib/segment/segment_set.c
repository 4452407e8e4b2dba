/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_set.c -- see segment_set.h.
 *
 * Invariants: [start, start + count) lies in [0, room); the oldest leave by raising `start`, and
 *       append moves the rest down once half of the room is free, so both cost O(1) amortised.
 * Threads and locks: set->lock around every access to the array.
 * Happy path: most pins ask for the newest segment: it is looked at first.
 * Failure modes: only append and reserve can want memory.
 */
#include "segment/segment_set.h"

#include <inttypes.h>
#include <string.h>

#include "base/invariant.h"
#include "base/order.h"

#define SET_FIRST_ROOM 64u

void clg_segment_set_init(struct clg_segment_set *set, const struct commitlog_os *os)
{
    CLG_ASSERT(set != NULL);
    CLG_ASSERT(os != NULL);
    *set = (struct clg_segment_set){.os = os};
    clg_mutex_init(&set->lock);
}

void clg_segment_set_free(struct clg_segment_set *set)
{
    CLG_ASSERT(set->start + set->count <= set->room);
    CLG_ASSERT(!clg_mutex_is_held(&set->lock));
    for (uint32_t i = 0; i < set->count; i++) {
        clg_segment_unref(set->items[set->start + i]);
    }
    set->os->free(set->os, set->items);
    clg_segment_set_init(set, set->os);
}

/* Under lock. */
static struct clg_segment *set_at(const struct clg_segment_set *set, uint32_t index)
{
    CLG_ASSERT(index < set->count);
    CLG_ASSERT(set->items[set->start + index] != NULL);
    return set->items[set->start + index];
}

static uint64_t set_end_of(const struct clg_segment *segment)
{
    CLG_ASSERT(segment->bytes > 0);
    CLG_ASSERT(segment->base <= CLG_POSITION_MAX - segment->bytes);
    return segment->base + segment->bytes;
}

/* Under lock: how many members have a base <= position. */
static uint32_t set_upper_bound(const struct clg_segment_set *set, uint64_t position)
{
    uint32_t low = 0;
    uint32_t high = set->count;
    if (high > 0 && set_at(set, high - 1)->base <= position) {
        return high;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set_at(set, middle)->base <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CLG_ASSERT(low <= set->count);
    CLG_ASSERT(low == 0 || set_at(set, low - 1)->base <= position);
    return low;
}

/* Under lock: room for one more at the end. */
static int set_reserve_locked(struct clg_segment_set *set, struct commitlog_error *err)
{
    CLG_ASSERT(clg_mutex_is_held(&set->lock));
    CLG_ASSERT(set->start + set->count <= set->room);
    if (set->start + set->count < set->room) {
        return 0;
    }
    if (set->start > set->room / 2) {
        memmove(set->items, set->items + set->start, set->count * sizeof(*set->items));
        set->start = 0;
        return 0;
    }
    uint32_t room = set->room == 0 ? SET_FIRST_ROOM : set->room * 2;
    struct clg_segment **items =
        room < set->room ? NULL
                         : clg_os_grow_array(set->os, set->items, set->room, room, sizeof(*items));
    if (items == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, CLG_NO_POSITION,
                        "list of segments: room for %" PRIu32, room);
    }
    set->items = items;
    set->room = room;
    return 0;
}

int clg_segment_set_reserve(struct clg_segment_set *set, struct commitlog_error *err)
{
    CLG_ASSERT(set->os != NULL);
    clg_mutex_lock(set->os, &set->lock);
    int rc = set_reserve_locked(set, err);
    CLG_ASSERT(rc != 0 || set->start + set->count < set->room);
    clg_mutex_unlock(set->os, &set->lock);
    return rc;
}

int clg_segment_set_append(struct clg_segment_set *set, struct clg_segment *segment,
                           struct commitlog_error *err)
{
    CLG_ASSERT(segment != NULL);
    clg_segment_invariants(segment);
    clg_mutex_lock(set->os, &set->lock);
    int rc = set_reserve_locked(set, err);
    if (rc == 0 && set->count > 0 && segment->base < set_end_of(set_at(set, set->count - 1))) {
        rc = clg_fail(err, COMMITLOG_EINVAL, 0, segment->base,
                      "segment %020" PRIu64 ".log: overlaps the one before", segment->base);
    }
    if (rc == 0) {
        set->items[set->start + set->count] = segment;
        set->count++;
        CLG_ASSERT(set->start + set->count <= set->room);
    }
    clg_mutex_unlock(set->os, &set->lock);
    return rc;
}

struct clg_segment *clg_segment_set_remove_first(struct clg_segment_set *set)
{
    struct clg_segment *segment = NULL;
    clg_mutex_lock(set->os, &set->lock);
    if (set->count > 0) {
        segment = set_at(set, 0);
        set->items[set->start] = NULL;
        set->start++;
        set->count--;
    }
    CLG_ASSERT(set->start + set->count <= set->room);
    CLG_ASSERT(segment == NULL || clg_load_relaxed_u32(&segment->refs) > 0);
    clg_mutex_unlock(set->os, &set->lock);
    return segment;
}

int clg_segment_set_pin(struct clg_segment_set *set, uint64_t position, struct clg_segment **out)
{
    CLG_ASSERT(out != NULL);
    int rc;
    clg_mutex_lock(set->os, &set->lock);
    uint32_t bound = set_upper_bound(set, position);
    if (set->count == 0) {
        rc = COMMITLOG_EBEYOND;
    } else if (bound == 0) {
        rc = COMMITLOG_ETOOSMALL;
    } else {
        struct clg_segment *segment = set_at(set, bound - 1);
        if (clg_segment_holds(segment, position)) {
            clg_segment_ref(segment);
            *out = segment;
            rc = 0;
        } else {
            rc = bound == set->count ? COMMITLOG_EBEYOND : COMMITLOG_ENOTFOUND;
        }
    }
    CLG_ASSERT(rc <= 0);
    clg_mutex_unlock(set->os, &set->lock);
    return rc;
}

struct clg_segment *clg_segment_set_pin_at(struct clg_segment_set *set, uint32_t index)
{
    struct clg_segment *segment = NULL;
    clg_mutex_lock(set->os, &set->lock);
    if (index < set->count) {
        segment = set_at(set, index);
        clg_segment_ref(segment);
    }
    clg_mutex_unlock(set->os, &set->lock);
    CLG_ASSERT(segment == NULL || clg_load_relaxed_u32(&segment->refs) > 0);
    return segment;
}

struct clg_segment *clg_segment_set_pin_first(struct clg_segment_set *set)
{
    CLG_ASSERT(set->os != NULL);
    return clg_segment_set_pin_at(set, 0);
}

struct clg_segment *clg_segment_set_pin_last(struct clg_segment_set *set)
{
    struct clg_segment *segment = NULL;
    clg_mutex_lock(set->os, &set->lock);
    if (set->count > 0) {
        segment = set_at(set, set->count - 1);
        clg_segment_ref(segment);
    }
    clg_mutex_unlock(set->os, &set->lock);
    CLG_ASSERT(segment == NULL || clg_load_relaxed_u32(&segment->refs) > 0);
    return segment;
}

struct clg_segment *clg_segment_set_pin_after(struct clg_segment_set *set, uint64_t base)
{
    struct clg_segment *segment = NULL;
    clg_mutex_lock(set->os, &set->lock);
    uint32_t index = set_upper_bound(set, base);
    if (index < set->count) {
        segment = set_at(set, index);
        clg_segment_ref(segment);
    }
    CLG_ASSERT(segment == NULL || segment->base > base);
    clg_mutex_unlock(set->os, &set->lock);
    return segment;
}

uint32_t clg_segment_set_count(struct clg_segment_set *set)
{
    clg_mutex_lock(set->os, &set->lock);
    uint32_t count = set->count;
    CLG_ASSERT(count <= set->room);
    clg_mutex_unlock(set->os, &set->lock);
    return count;
}

uint64_t clg_segment_set_bytes(struct clg_segment_set *set)
{
    uint64_t bytes = 0;
    clg_mutex_lock(set->os, &set->lock);
    for (uint32_t i = 0; i < set->count; i++) {
        bytes += set_at(set, i)->bytes;
    }
    clg_mutex_unlock(set->os, &set->lock);
    CLG_ASSERT(bytes <= CLG_POSITION_MAX);
    return bytes;
}

int clg_segment_set_range(struct clg_segment_set *set, uint64_t *first, uint64_t *end)
{
    CLG_ASSERT(first != NULL && end != NULL);
    int rc = COMMITLOG_ENOTFOUND;
    clg_mutex_lock(set->os, &set->lock);
    if (set->count > 0) {
        *first = set_at(set, 0)->base;
        *end = set_end_of(set_at(set, set->count - 1));
        CLG_ASSERT(*first < *end);
        rc = 0;
    }
    clg_mutex_unlock(set->os, &set->lock);
    return rc;
}

bool clg_segment_set_find_gap(struct clg_segment_set *set, uint64_t from,
                              struct clg_segment_gap *out)
{
    CLG_ASSERT(out != NULL);
    bool found = false;
    clg_mutex_lock(set->os, &set->lock);
    for (uint32_t i = 1; i < set->count && !found; i++) {
        uint64_t end = set_end_of(set_at(set, i - 1));
        uint64_t next = set_at(set, i)->base;
        CLG_ASSERT(next >= end);
        if (next > end && next > from) {
            *out = (struct clg_segment_gap){.from = end, .to = next};
            found = true;
        }
    }
    clg_mutex_unlock(set->os, &set->lock);
    return found;
}

uint32_t clg_segment_set_close_idle(struct clg_segment_set *set, uint32_t keep)
{
    uint32_t closed = 0;
    uint32_t count = clg_segment_set_count(set);
    for (uint32_t i = 0; i + keep < count; i++) {
        /* One at a time, outside of the set's lock: closing is a system call. */
        struct clg_segment *segment = clg_segment_set_pin_at(set, i);
        if (segment == NULL) {
            break;
        }
        closed += clg_segment_close_idle(segment) ? 1 : 0;
        clg_segment_unref(segment);
    }
    CLG_ASSERT(closed <= count);
    return closed;
}

/*
 * Whoever opens a descriptor by reading calls this behind the read, so every open one is of a kept
 * segment, or that call is still to come, or it is nobody's business here (the writer's own, until
 * clg_segment_set_close_idle). One that is put out while somebody reads it is not closed, but that
 * reader comes here afterwards: it gave the descriptor back under the segment's lock, behind the
 * failed close and so behind the store of 0, finds it, and the segment is kept again.
 */
void clg_segment_set_keep_open(struct clg_segment_set *set, struct clg_segment *segment)
{
    CLG_ASSERT(clg_load_relaxed_u32(&segment->refs) > 0);
    if (CLG_LIKELY(clg_load_relaxed_u32(&segment->kept_open) != 0)) {
        return;
    }
    struct clg_segment *oldest = NULL;
    clg_mutex_lock(set->os, &set->lock);
    if (clg_load_relaxed_u32(&segment->kept_open) == 0) {
        uint64_t *place = &set->kept[set->kept_count % CLG_SEGMENT_SET_KEPT];
        uint32_t bound = set->kept_count < CLG_SEGMENT_SET_KEPT ? 0 : set_upper_bound(set, *place);
        oldest = bound > 0 ? set_at(set, bound - 1) : NULL;
        if (oldest != NULL && oldest->base == *place) {
            clg_segment_ref(oldest);
            clg_store_relaxed_u32(&oldest->kept_open, 0);
        } else {
            oldest = NULL; /* retention took it away: closed with its last reference */
        }
        *place = segment->base;
        set->kept_count = set->kept_count + 1 < 2 * CLG_SEGMENT_SET_KEPT ? set->kept_count + 1
                                                                         : CLG_SEGMENT_SET_KEPT;
        clg_store_relaxed_u32(&segment->kept_open, 1);
    }
    clg_mutex_unlock(set->os, &set->lock);
    if (oldest != NULL) {
        (void)clg_segment_close_idle(oldest); /* a system call: outside of the set's lock */
        clg_segment_unref(oldest);
    }
}

void clg_segment_set_invariants(struct clg_segment_set *set)
{
    clg_mutex_lock(set->os, &set->lock);
    CLG_ASSERT(set->start + set->count <= set->room);
    for (uint32_t i = 0; i < set->count; i++) {
        clg_segment_invariants(set_at(set, i));
        CLG_ASSERT(clg_load_relaxed_u32(&set_at(set, i)->refs) > 0);
        CLG_ASSERT(i == 0 || set_end_of(set_at(set, i - 1)) <= set_at(set, i)->base);
    }
    clg_mutex_unlock(set->os, &set->lock);
}
