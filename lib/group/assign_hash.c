/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assign_hash.c -- consistent hashing. See assign.h.
 *
 * Owns: the ring, which is a documented function: commitlog_assign(3) says it for those who compute
 *       the same in another language, and golden values in the tests hold it.
 * Invariants: 1. the ring has 2^48 places. Point i of a member, 0 <= i < CLG_RING_POINTS, is at
 *       XXH3-64 of its id followed by i as four bytes, little-endian, shifted right by 16. Queue q
 *       is at XXH3-64 of q as four bytes, shifted likewise. (With i as the seed instead, ids of
 * seven bytes that differ in the fourth share half of their points.) 2. a queue belongs to the
 * first point at its place or behind it, round the end; of points at one place, to the smaller id.
 *       3. so a member that comes takes queues for itself only, and one that leaves frees its own
 *       only: the order of the other points does not depend on it.
 * Happy path: points in one word each, place above rank, sorted as numbers; binary search by queue.
 * Failure modes: none. Ids chosen to collide make shares unequal, and nothing slower.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/invariant.h"
#include "group/assign.h"

#define RING_RANK_MASK UINT64_C(0xffff)
#define RING_DIGIT_BITS 8u
#define RING_DIGITS 256u
#define RING_PLACE_FROM 16u /* lowest bit of the place in a point */

CLG_STATIC_ASSERT(CLG_MEMBERS_MAX - 1 <= RING_RANK_MASK, "a rank fits a point");

/* Sorts by the place, stable; the ranks below it ascend already within equal places. `count` words
 * at points, as many to work in behind them. An even number of passes: the result is where the
 * points were. */
static void ring_sort(uint64_t *points, size_t count)
{
    uint64_t *from = points;
    uint64_t *to = points + count;
    for (uint32_t shift = RING_PLACE_FROM; shift < 64; shift += RING_DIGIT_BITS) {
        size_t starts[RING_DIGITS] = {0};
        for (size_t i = 0; i < count; i++) {
            starts[(from[i] >> shift) % RING_DIGITS]++;
        }
        size_t start = 0;
        for (uint32_t digit = 0; digit < RING_DIGITS; digit++) {
            size_t here = starts[digit];
            starts[digit] = start;
            start += here;
        }
        for (size_t i = 0; i < count; i++) {
            to[starts[(from[i] >> shift) % RING_DIGITS]++] = from[i];
        }
        uint64_t *sorted = to;
        to = from;
        from = sorted;
    }
    CLG_ASSERT(from == points);
}

/* For assertions. */
CLG_UNUSED static bool ring_is_sorted(const uint64_t *points, size_t count)
{
    size_t i = 1;
    while (i < count && points[i - 1] < points[i]) {
        i++;
    }
    return i >= count;
}

/* Index of the first point that is not below `from`; count when there is none. */
static size_t ring_find(const uint64_t *points, size_t count, uint64_t from)
{
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        low = points[middle] < from ? middle + 1 : low;
        high = points[middle] < from ? high : middle;
    }
    CLG_ASSERT(low == count || points[low] >= from);
    return low;
}

void clg_assign_hash(const struct clg_assignment *assignment, uint32_t *out)
{
    uint64_t *points = assignment->ring;
    size_t count = 0;
    uint8_t text[CLG_MEMBER_ID_MAX + 4];
    for (uint32_t rank = 0; rank < assignment->member_count; rank++) {
        const struct commitlog_slice *id = &assignment->members[assignment->order[rank]];
        CLG_ASSERT(id->bytes <= CLG_MEMBER_ID_MAX);
        memcpy(text, id->data, id->bytes);
        for (uint32_t i = 0; i < CLG_RING_POINTS; i++) {
            clg_store_le32(text + id->bytes, i);
            points[count++] = (clg_hash64(text, id->bytes + 4, 0) & ~RING_RANK_MASK) | rank;
        }
    }
    ring_sort(points, count);
    CLG_ASSERT(ring_is_sorted(points, count));
    for (uint32_t queue = 0; queue < assignment->queue_count; queue++) {
        uint8_t number[4];
        clg_store_le32(number, queue);
        uint64_t place = clg_hash64(number, sizeof(number), 0) & ~RING_RANK_MASK;
        size_t found = ring_find(points, count, place);
        uint64_t point = points[found < count ? found : 0];
        out[queue] = assignment->order[point & RING_RANK_MASK];
    }
}
