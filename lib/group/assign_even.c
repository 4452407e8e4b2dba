/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assign_even.c -- equal shares: in one piece, or in turn. See assign.h.
 *
 * With Q queues and m members the first Q mod m by rank have one queue more. These are the queues
 * that RocketMQ's AllocateMessageQueueAveragely and ...ByCircle give, if ids sort there as here:
 * Java compares UTF-16 units, which differs for characters beyond U+FFFF only.
 */
#include "base/invariant.h"
#include "group/assign.h"

void clg_assign_average(const struct clg_assignment *assignment, uint32_t *out)
{
    uint32_t share = assignment->queue_count / assignment->member_count;
    uint32_t larger = assignment->queue_count % assignment->member_count;
    uint32_t queue = 0;
    for (uint32_t rank = 0; rank < assignment->member_count; rank++) {
        uint32_t end = queue + share + (rank < larger ? 1 : 0);
        while (queue < end) {
            out[queue++] = assignment->order[rank];
        }
    }
    CLG_ASSERT(queue == assignment->queue_count);
}

void clg_assign_circle(const struct clg_assignment *assignment, uint32_t *out)
{
    uint32_t rank = 0;
    CLG_ASSERT(assignment->member_count > 0);
    for (uint32_t queue = 0; queue < assignment->queue_count; queue++) {
        out[queue] = assignment->order[rank];
        rank = rank + 1 < assignment->member_count ? rank + 1 : 0;
    }
    CLG_ASSERT(rank == assignment->queue_count % assignment->member_count);
}
