/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assign_sticky.c -- each member keeps what it has, as far as equal shares allow. See assign.h.
 *
 * Owns: the choice of who has one queue more, of what is given up, and of who gets it.
 * Invariants: 1. of the Q mod m members with one queue more, as many as possible are such that have
 *       more than Q / m already: each of them keeps a queue that it would lose otherwise, and
 * nobody else gains by one more. So the queues that change hands are as few as equal shares allow:
 *       the sum of what each had over Q / m, less the smaller of Q mod m and the number of members
 *       that had more than Q / m. 2. nobody both gives up and gets a queue. 3. when nobody had any,
 *       this is average.
 * Happy path: count what each had, decide how many it shall have, walk the queues: who may keep
 *       keeps (the lowest queues), then hand out what is free, lowest queue to lowest rank.
 */
#include <string.h>

#include "base/invariant.h"
#include "group/assign.h"

static uint32_t sticky_had(const struct clg_assignment *assignment, uint32_t queue)
{
    return assignment->previous != NULL ? assignment->previous[queue] : CLG_MEMBER_NONE;
}

/* From what each had to what each shall have, in the same words. */
static void sticky_decide(const struct clg_assignment *assignment, uint32_t *words)
{
    uint32_t share = assignment->queue_count / assignment->member_count;
    uint32_t larger = assignment->queue_count % assignment->member_count;
    for (uint32_t rank = 0; rank < assignment->member_count; rank++) {
        uint32_t *word = &words[assignment->order[rank]];
        bool gains = larger > 0 && *word > share;
        larger -= gains ? 1 : 0;
        *word = share + (gains ? 1 : 0);
    }
    /* If some are left, everybody who had more has one: those who have none are known by it. */
    for (uint32_t rank = 0; larger > 0; rank++) {
        CLG_ASSERT(rank < assignment->member_count);
        uint32_t *word = &words[assignment->order[rank]];
        larger -= *word == share ? 1 : 0;
        *word = share + 1;
    }
}

void clg_assign_sticky(const struct clg_assignment *assignment, uint32_t *out)
{
    uint32_t *words = assignment->spare;
    memset(words, 0, assignment->member_count * sizeof(*words));
    for (uint32_t queue = 0; queue < assignment->queue_count; queue++) {
        uint32_t member = sticky_had(assignment, queue);
        CLG_ASSERT(member == CLG_MEMBER_NONE || member < assignment->member_count);
        if (member != CLG_MEMBER_NONE) {
            words[member]++;
        }
    }
    sticky_decide(assignment, words);
    for (uint32_t queue = 0; queue < assignment->queue_count; queue++) {
        uint32_t member = sticky_had(assignment, queue);
        bool keeps = member != CLG_MEMBER_NONE && words[member] > 0;
        out[queue] = keeps ? member : CLG_MEMBER_NONE;
        if (keeps) {
            words[member]--;
        }
    }
    uint32_t rank = 0;
    for (uint32_t queue = 0; queue < assignment->queue_count; queue++) {
        if (out[queue] != CLG_MEMBER_NONE) {
            continue;
        }
        while (words[assignment->order[rank]] == 0) {
            rank++;
            CLG_ASSERT(rank < assignment->member_count);
        }
        out[queue] = assignment->order[rank];
        words[assignment->order[rank]]--;
    }
}
