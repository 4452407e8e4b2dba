/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_walk.c -- look-ups: from a queue's newest part back along its links.
 *
 * A part is what one segment holds of one queue. Walks go from the newest part to older ones by
 * prev and jump, which is taken when its target is not older than what is looked for.
 *
 * Invariants: parts come from queue_part.c, newest first.
 * Threads and locks: the fold lock.
 * Happy path: newest part -> O(log segments) hops -> binary search inside.
 * Failure modes: COMMITLOG_EDAMAGED: a slot was found unusable and is NONE now: rebuild, ask again;
 *       or, where none is NONE, the log contradicts itself.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "view/queue_internal.h"

/* ENOTFOUND: nothing of the queue is kept. */
static int walk_newest(struct clg_consume_queue *cq, uint32_t queue, struct clg_queue_part *out)
{
    const struct clg_queue_head *head = clg_queue_head_find(cq, queue);
    if (head == NULL) {
        return COMMITLOG_ENOTFOUND;
    }
    const struct clg_queue_link link = {.base = head->link_base, .index = head->link_index};
    if (head->count == 0) {
        return clg_queue_part_at(cq, queue, &link, out);
    }
    CLG_ASSERT(head->last != NULL);
    *out = (struct clg_queue_part){.base = cq->view.context.segments->active_base,
                                   .first = head->first,
                                   .prev = link,
                                   .jump = {.base = CLG_LINK_NONE, .index = 0},
                                   .last = head->last,
                                   .count = head->count,
                                   .queue = queue};
    CLG_ASSERT(out->count > 0);
    return 0;
}

/* Offsets of a queue rise along the log. That each file holds by itself does not say so of two. */
static bool walk_is_older(const struct clg_queue_part *older, const struct clg_queue_part *part)
{
    CLG_ASSERT(older->queue == part->queue);
    return older->count <= part->first && older->first <= part->first - older->count;
}

/* Which of the two says what is not so is not known: what is mapped of a file is made again. What
 * was made in this session says what the log says. */
static int walk_contradicts(struct clg_consume_queue *cq, const struct clg_queue_part *part,
                            const struct clg_queue_part *older)
{
    const struct clg_view *view = &cq->view;
    const uint64_t bases[] = {part->base, older->base};
    CLG_ASSERT(!walk_is_older(older, part));
    for (uint32_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        struct clg_view_item *item = clg_view_segments_find(view->context.segments, bases[i]);
        if (item != NULL && item->slots[view->slot].state == CLG_SLOT_MAPPED) {
            clg_view_slot_clear(&cq->view, &item->slots[view->slot]);
        }
    }
    return COMMITLOG_EDAMAGED;
}

static int walk_prev(struct clg_consume_queue *cq, struct clg_queue_part *part)
{
    struct clg_queue_part older;
    int rc = clg_queue_part_at(cq, part->queue, &part->prev, &older);
    if (rc == 0 && older.base >= part->base) {
        return COMMITLOG_EINTERNAL; /* links lead down: checked when they were read */
    }
    if (rc == 0 && !walk_is_older(&older, part)) {
        return walk_contradicts(cq, part, &older);
    }
    if (rc == 0) {
        *part = older;
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* Entry i; *here: so many from it on lie one behind another. */
static const uint8_t *part_bytes(const struct clg_queue_part *part, uint32_t i, uint32_t *here)
{
    CLG_ASSERT(i < part->count);
    CLG_ASSERT(part->flat != NULL || part->last != NULL);
    if (part->flat != NULL) {
        *here = part->count - i;
        return part->flat + (size_t)i * CLG_QUEUE_ENTRY_BYTES;
    }
    const struct clg_queue_chunk *chunk = clg_queue_chunk_find(part->last, i);
    *here = chunk->first + chunk->room - i; /* of the last chunk as far as `count` goes */
    return chunk->entries + (size_t)(i - chunk->first) * CLG_QUEUE_ENTRY_BYTES;
}

static int64_t part_time(const struct clg_queue_part *part, uint32_t i)
{
    uint32_t here;
    return (int64_t)clg_load_le64(part_bytes(part, i, &here) + CLG_QUEUE_ENTRY_AT_TIME);
}

static uint64_t part_position(const struct clg_queue_part *part, uint32_t i)
{
    uint32_t here;
    uint64_t place = clg_load_le32(part_bytes(part, i, &here) + CLG_QUEUE_ENTRY_AT_PLACE);
    return part->base + place * CLG_RECORD_ALIGN;
}

static uint64_t part_end(const struct clg_queue_part *part)
{
    CLG_ASSERT(part->count > 0);
    return part->first + part->count;
}

/* First index with time >= t, count if none. */
static uint32_t part_lower_time(const struct clg_queue_part *part, int64_t t)
{
    uint32_t low = 0;
    uint32_t high = part->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (part_time(part, middle) < t) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CLG_ASSERT(low <= part->count);
    return low;
}

static uint32_t part_lower_position(const struct clg_queue_part *part, uint64_t position)
{
    uint32_t low = 0;
    uint32_t high = part->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (part_position(part, middle) < position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    CLG_ASSERT(low <= part->count);
    return low;
}

/* Takes the jump if its target exists: 1, else 0 and part is unchanged, or a code. */
static int walk_jump(struct clg_consume_queue *cq, struct clg_queue_part *part)
{
    struct clg_queue_part target;
    if (part->jump.base == CLG_LINK_NONE) {
        return 0;
    }
    int rc = clg_queue_part_at(cq, part->queue, &part->jump, &target);
    if (rc == COMMITLOG_ENOTFOUND || (rc == 0 && target.base != part->jump.base)) {
        return 0;
    }
    if (rc != 0) {
        return rc;
    }
    CLG_ASSERT(target.queue == part->queue);
    if (!walk_is_older(&target, part)) {
        return walk_contradicts(cq, part, &target);
    }
    *part = target;
    return 1;
}

/* From *part to the newest part with first <= offset. ENOTFOUND: *part is the oldest one kept.
 * *above: first offset of the part next above, when the last step came from there, else 0. */
static int walk_to_offset(struct clg_consume_queue *cq, uint64_t offset,
                          struct clg_queue_part *part, uint64_t *above)
{
    CLG_ASSERT(part->count > 0);
    *above = 0;
    while (part->first > offset) {
        if (part->jump.base != CLG_LINK_NONE && part->jump_end > offset) {
            int rc = walk_jump(cq, part);
            if (rc < 0) {
                return rc;
            }
            if (rc == 1) {
                *above = 0;
                continue;
            }
        }
        *above = part->first;
        int rc = walk_prev(cq, part);
        if (rc != 0) {
            return rc;
        }
    }
    CLG_ASSERT(part->first <= offset);
    return 0;
}

static int walk_to_oldest(struct clg_consume_queue *cq, struct clg_queue_part *part)
{
    CLG_ASSERT(part->count > 0);
    for (;;) {
        int rc = walk_jump(cq, part);
        if (rc == 1) {
            continue;
        }
        if (rc == 0) {
            rc = walk_prev(cq, part);
        }
        if (rc != 0) {
            CLG_ASSERT(rc < 0);
            return rc == COMMITLOG_ENOTFOUND ? 0 : rc;
        }
    }
}

/* Smallest offset with position >= `position`, from *part on down, or the first of those that were
 * lost before it between two parts. *above: first offset of the part next above, 0 where *part is
 * still the first one. */
static int walk_position(struct clg_consume_queue *cq, struct clg_queue_part *part,
                         uint64_t position, uint64_t *above, uint64_t *out)
{
    CLG_ASSERT(part->count > 0);
    *above = 0;
    while (part->base >= position) {
        int rc = 0;
        if (part->jump.base != CLG_LINK_NONE && part->jump.base >= position) {
            rc = walk_jump(cq, part);
        }
        if (rc == 0) {
            *above = part->first;
            rc = walk_prev(cq, part);
            if (rc == COMMITLOG_ENOTFOUND) {
                *out = *above;
                return 0;
            }
        }
        if (rc < 0) {
            return rc;
        }
    }
    uint32_t index = part_lower_position(part, position);
    *out = part->first + index;
    CLG_ASSERT(*out <= part_end(part));
    return 0;
}

/* Smallest offset with time >= t; the end of the newest part if there is none. */
static int walk_time(struct clg_consume_queue *cq, struct clg_queue_part *part, int64_t t,
                     uint64_t *out)
{
    CLG_ASSERT(part->count > 0);
    while (part_time(part, 0) >= t) {
        struct clg_queue_part target = *part;
        int rc = walk_jump(cq, &target);
        if (rc == 1 && part_time(&target, target.count - 1) >= t) {
            *part = target;
            continue;
        }
        if (rc < 0) {
            return rc;
        }
        uint64_t first = part->first;
        rc = walk_prev(cq, part);
        if (rc == COMMITLOG_ENOTFOUND) {
            *out = first;
            return 0;
        }
        if (rc != 0) {
            return rc;
        }
    }
    *out = part->first + part_lower_time(part, t);
    CLG_ASSERT(*out <= part_end(part));
    return 0;
}

/* The visible end. Where no entry is hidden it is the head's, which counts messages that were lost,
 * too; else it is the first hidden entry's offset. */
static int walk_next(struct clg_consume_queue *cq, const struct clg_queue_part *newest,
                     const struct clg_queue_bounds *bounds, uint64_t *out)
{
    if (bounds->all_visible || part_position(newest, newest->count - 1) < bounds->visible) {
        /* A file that told the head less than the log has may have been made anew since. */
        *out = clg_max_u64(clg_consume_queue_next(&cq->view, newest->queue), part_end(newest));
        return 0;
    }
    struct clg_queue_part part = *newest;
    uint64_t above = 0;
    int rc = walk_position(cq, &part, bounds->visible, &above, out);
    if (rc == 0 && *out == part_end(&part)) {
        CLG_ASSERT(above > 0);
        *out = above; /* what lies between was lost */
    }
    return rc;
}

/* First offset that is kept and has not expired, `next` if there is none. */
static int walk_min(struct clg_consume_queue *cq, const struct clg_queue_part *newest,
                    const struct clg_queue_bounds *bounds, uint64_t next, uint64_t *out)
{
    struct clg_queue_part part = *newest;
    uint64_t min = next;
    int rc = 0;
    if (bounds->expired == 0) {
        rc = walk_to_oldest(cq, &part);
        min = part.first;
        CLG_ASSERT(rc != 0 || part.first <= newest->first);
    } else if (part_position(newest, newest->count - 1) >= bounds->expired) {
        uint64_t above = 0;
        rc = walk_position(cq, &part, bounds->expired, &above, &min);
    }
    if (rc == 0) {
        *out = clg_min_u64(min, next);
    }
    return rc;
}

/* Time of the entry at `offset`; of the one before it where the log lost that offset. */
static int walk_time_at(struct clg_consume_queue *cq, const struct clg_queue_part *newest,
                        uint64_t offset, int64_t *out)
{
    struct clg_queue_part part = *newest;
    uint64_t above;
    int rc = walk_to_offset(cq, offset, &part, &above);
    if (rc == 0) {
        uint64_t index = clg_min_u64(offset - part.first, part.count - 1u);
        CLG_ASSERT(index < part.count);
        *out = part_time(&part, (uint32_t)index);
    }
    return rc == COMMITLOG_ENOTFOUND ? COMMITLOG_EINTERNAL : rc;
}

int clg_consume_queue_range(struct clg_view *view, uint32_t queue,
                            const struct clg_queue_bounds *bounds, struct clg_lookup_range *out)
{
    struct clg_consume_queue *cq = clg_queue_of(view);
    CLG_ASSERT(out != NULL);
    struct clg_queue_part newest;
    int rc = walk_newest(cq, queue, &newest);
    struct clg_lookup_range range = {0};
    if (rc == COMMITLOG_ENOTFOUND) {
        range.next = clg_consume_queue_next(view, queue);
        range.min = range.next;
        *out = range;
        return 0;
    }
    if (rc == 0) {
        rc = walk_next(cq, &newest, bounds, &range.next);
    }
    if (rc == 0) {
        rc = walk_min(cq, &newest, bounds, range.next, &range.min);
    }
    if (rc == 0 && range.min < range.next) {
        rc = walk_time_at(cq, &newest, range.min, &range.first_time);
    }
    if (rc == 0 && range.min < range.next) {
        rc = walk_time_at(cq, &newest, range.next - 1, &range.last_time);
    }
    if (rc == 0) {
        CLG_ASSERT(range.min <= range.next);
        *out = range;
    }
    return rc;
}

/* Entry i, which `bytes` are, for the caller. `item` is the part's if it comes from a file: there a
 * place outside its segment is damage. */
static int walk_emit(struct clg_view *view, const struct clg_queue_part *part,
                     struct clg_view_item *item, uint32_t i, const uint8_t *bytes,
                     struct clg_lookup_entry *out)
{
    struct clg_queue_entry entry;
    clg_queue_entry_decode(bytes, &entry);
    *out = (struct clg_lookup_entry){.queue_offset = part->first + i,
                                     .position = part->base + (uint64_t)entry.place * 8,
                                     .segment_base = part->base,
                                     .store_time = entry.store_time,
                                     .size = entry.size,
                                     .tag_hash = entry.tag_hash,
                                     .header_check = entry.header_check,
                                     .flags = entry.flags};
    if (entry.size == 0 && (entry.flags & CLG_QUEUE_ENTRY_HOLE) != 0) {
        out->position = CLG_NO_POSITION;
        out->lost = 1;
        return 0;
    }
    if (item == NULL) {
        CLG_ASSERT(entry.size >= CLG_RECORD_MIN);
        return 0;
    }
    bool inside =
        entry.size >= CLG_RECORD_MIN && clg_view_place_ok(&item->id, entry.place, entry.size);
    return inside ? 0 : clg_queue_part_damaged(view, item);
}

/* Entries from `offset` on as far as one part goes; behind it, one for a lost offset. `above` is
 * the first offset behind that gap, 0 when it is not known. */
static int walk_copy(struct clg_view *view, const struct clg_queue_part *part, uint64_t offset,
                     uint64_t count, uint64_t above, struct clg_lookup_entry *out, uint32_t *done)
{
    uint64_t in_part = part_end(part) > offset ? part_end(part) - offset : 0;
    uint64_t n = clg_min_u64(count, in_part);
    CLG_ASSERT(offset >= part->first);
    struct clg_view_item *item =
        part->flat != NULL ? clg_view_segments_find(view->context.segments, part->base) : NULL;
    CLG_ASSERT(part->flat == NULL || item != NULL);
    const uint8_t *bytes = NULL;
    uint32_t here = 0; /* entries that lie at `bytes`, one behind another */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t index = (uint32_t)(offset - part->first) + i;
        if (here == 0) {
            bytes = part_bytes(part, index, &here);
        }
        int rc = walk_emit(view, part, item, index, bytes, &out[i]);
        if (rc != 0) {
            return rc;
        }
        bytes += CLG_QUEUE_ENTRY_BYTES;
        here--;
    }
    *done = (uint32_t)n;
    if (n == 0) {
        out[0] = (struct clg_lookup_entry){.queue_offset = offset,
                                           .position = CLG_NO_POSITION,
                                           .segment_base = part->base,
                                           .lost = above > offset ? above - offset : 1,
                                           .store_time = part_time(part, part->count - 1),
                                           .flags = CLG_QUEUE_ENTRY_HOLE};
        *done = 1;
    }
    CLG_ASSERT(*done > 0);
    return 0;
}

int clg_consume_queue_entries(struct clg_view *view, uint32_t queue, uint64_t offset,
                              const struct clg_queue_bounds *bounds,
                              struct clg_lookup_entry *entries, uint32_t max, uint32_t *out_count,
                              uint64_t *out_bound)
{
    struct clg_consume_queue *cq = clg_queue_of(view);
    CLG_ASSERT(max > 0);
    struct clg_queue_part newest = {0};
    uint64_t next = clg_consume_queue_next(view, queue);
    int rc = walk_newest(cq, queue, &newest);
    bool empty = rc == COMMITLOG_ENOTFOUND;
    rc = empty ? 0 : rc;
    if (rc == 0 && !empty) {
        rc = walk_next(cq, &newest, bounds, &next);
    }
    uint64_t min = 0;
    if (rc == 0 && !empty && bounds->expired > 0) {
        rc = walk_min(cq, &newest, bounds, next, &min);
    }
    if (rc != 0) {
        return rc;
    }
    if (offset >= next || offset < min) {
        *out_bound = offset >= next ? next : min;
        return offset < min     ? COMMITLOG_ETOOSMALL
               : offset == next ? COMMITLOG_EEND
                                : COMMITLOG_EBEYOND;
    }
    uint32_t count = 0;
    uint32_t want = (uint32_t)clg_min_u64(max, next - offset);
    while (!empty && count < want) {
        struct clg_queue_part part = newest;
        uint32_t done = 0;
        uint64_t above = 0;
        rc = walk_to_offset(cq, offset + count, &part, &above);
        if (rc == COMMITLOG_ENOTFOUND && count == 0) {
            empty = true;
            break;
        }
        if (rc == 0) {
            /* Above the newest part there is nothing but the end. */
            above = part.base == newest.base ? next : clg_min_u64(above, next);
            rc =
                walk_copy(view, &part, offset + count, want - count, above, entries + count, &done);
        }
        if (rc != 0) {
            return rc;
        }
        count += done;
    }
    if (empty) {
        min = next;
        rc = newest.count > 0 ? walk_min(cq, &newest, bounds, next, &min) : 0;
        if (rc != 0) {
            return rc;
        }
        *out_bound = min;
        return COMMITLOG_ETOOSMALL;
    }
    *out_count = count;
    return 0;
}

int clg_consume_queue_position(struct clg_view *view, uint32_t queue, uint64_t position,
                               const struct clg_queue_bounds *bounds, uint64_t *out_offset)
{
    struct clg_consume_queue *cq = clg_queue_of(view);
    CLG_ASSERT(out_offset != NULL);
    struct clg_queue_part newest;
    int rc = walk_newest(cq, queue, &newest);
    if (rc == COMMITLOG_ENOTFOUND) {
        *out_offset = clg_consume_queue_next(view, queue);
        return 0;
    }
    uint64_t next = 0;
    uint64_t found = 0;
    if (rc == 0) {
        rc = walk_next(cq, &newest, bounds, &next);
    }
    position = clg_max_u64(position, bounds->expired);
    if (rc == 0 && part_position(&newest, newest.count - 1) < position) {
        found = next;
    } else if (rc == 0) {
        struct clg_queue_part part = newest;
        uint64_t above = 0;
        rc = walk_position(cq, &part, position, &above, &found);
    }
    if (rc == 0) {
        *out_offset = clg_min_u64(found, next);
    }
    return rc;
}

int clg_consume_queue_time(struct clg_view *view, uint32_t queue, int64_t time_ns, uint32_t bound,
                           const struct clg_queue_bounds *bounds, uint64_t *out_offset)
{
    struct clg_consume_queue *cq = clg_queue_of(view);
    CLG_ASSERT(bound == COMMITLOG_LOWER || bound == COMMITLOG_UPPER);
    bool upper = bound == COMMITLOG_UPPER;
    struct clg_queue_part newest;
    int rc = walk_newest(cq, queue, &newest);
    if (rc == COMMITLOG_ENOTFOUND) {
        if (!upper) {
            *out_offset = clg_consume_queue_next(view, queue);
        }
        return upper ? COMMITLOG_ENOTFOUND : 0;
    }
    uint64_t next = 0;
    uint64_t found = 0;
    if (rc == 0) {
        rc = walk_next(cq, &newest, bounds, &next);
    }
    /* Largest with time <= t is the one before the smallest with time > t. */
    if (rc == 0 && (part_time(&newest, newest.count - 1) < time_ns ||
                    (upper && part_time(&newest, newest.count - 1) == time_ns))) {
        found = next;
    } else if (rc == 0) {
        struct clg_queue_part part = newest;
        rc = walk_time(cq, &part, upper ? time_ns + 1 : time_ns, &found);
        found = rc == 0 ? clg_min_u64(found, next) : found;
    }
    uint64_t min = 0;
    if (rc == 0 && (upper || bounds->expired > 0)) {
        rc = walk_min(cq, &newest, bounds, next, &min);
    }
    if (rc == 0 && upper && found <= min) {
        return COMMITLOG_ENOTFOUND;
    }
    if (rc == 0) {
        *out_offset = upper ? found - 1 : clg_max_u64(found, min);
    }
    return rc;
}
