/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * member_order.c -- members by ascending id. See assign.h.
 *
 * A merge sort of our own: qsort may allocate behind the table of os/, and compares more.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "group/assign.h"

static int order_compare(const struct commitlog_slice *a, const struct commitlog_slice *b)
{
    CLG_ASSERT(a->bytes > 0 && b->bytes > 0);
    int difference = memcmp(a->data, b->data, clg_min_u64(a->bytes, b->bytes));
    if (difference != 0) {
        return difference;
    }
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes;
}

/* Merges the sorted runs from[begin, middle) and from[middle, end) into to[begin, end); of equal
 * ones that of the first run goes first. */
static void order_merge(const struct commitlog_slice *members, const uint32_t *from, uint32_t *to,
                        uint32_t begin, uint32_t middle, uint32_t end)
{
    uint32_t left = begin;
    uint32_t right = middle;
    CLG_ASSERT(begin <= middle && middle <= end);
    for (uint32_t i = begin; i < end; i++) {
        bool take_right =
            right < end &&
            (left == middle || order_compare(&members[from[right]], &members[from[left]]) < 0);
        to[i] = take_right ? from[right++] : from[left++];
    }
    CLG_ASSERT(left == middle && right == end);
}

bool clg_members_order(const struct clg_assignment *assignment, uint32_t *out_first,
                       uint32_t *out_twice)
{
    const struct commitlog_slice *members = assignment->members;
    uint32_t count = assignment->member_count;
    uint32_t *from = assignment->order;
    uint32_t *to = assignment->spare;
    CLG_ASSERT(count > 0 && count <= CLG_MEMBERS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        from[i] = i;
    }
    for (uint32_t width = 1; width < count; width *= 2) {
        for (uint32_t begin = 0; begin < count; begin += 2 * width) {
            uint32_t middle = (uint32_t)clg_min_u64(begin + width, count);
            uint32_t end = (uint32_t)clg_min_u64(begin + 2 * width, count);
            order_merge(members, from, to, begin, middle, end);
        }
        uint32_t *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != assignment->order) {
        memcpy(assignment->order, from, count * sizeof(*from));
    }
    for (uint32_t rank = 1; rank < count; rank++) {
        uint32_t before = assignment->order[rank - 1];
        uint32_t here = assignment->order[rank];
        if (order_compare(&members[before], &members[here]) == 0) {
            *out_first = before;
            *out_twice = here;
            return false;
        }
    }
    return true;
}
