/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * assign.h -- which member of a group reads which queue of a topic.
 *
 * Owns: the four strategies behind commitlog_assign, and the order of the members.
 * Invariants: 1. an assignment is a function of the set of members (and, sticky, of who had what):
 *       neither the order in which the caller lists them nor the machine matters, so that members
 *       that compute it each for itself agree; 2. every queue gets exactly one member; 3. average,
 *       circle and sticky differ by at most one queue between members; 4. nothing is written to the
 *       result before everything that can fail has been done.
 * Words: a member's index is its place in the caller's list; its rank its place by ascending id,
 *       bytes compared as unsigned, a prefix first.
 * Threads and locks: pure; the work memory is the call's own.
 * Happy path: commitlog_assign checks, takes memory, clg_members_order, then one of the strategies.
 * Failure modes: wrong arguments, two equal ids, no memory; the strategies cannot fail.
 * Cost: m members, Q queues: O(m log m + Q) and 8 bytes of memory a member; consistent hash
 *       O(m log m + Q log m), with CLG_RING_POINTS hashes for each m, and 2 KiB a member.
 */
#ifndef CLG_GROUP_ASSIGN_H
#define CLG_GROUP_ASSIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"

/* Nobody, in a previous assignment. */
#define CLG_MEMBER_NONE UINT32_MAX
#define CLG_MEMBER_ID_MAX 255u
/* A rank takes 16 bits of a point on the ring. */
#define CLG_MEMBERS_MAX (UINT32_C(1) << 16)

/* Virtual nodes of a member. Its part of the ring then has a standard deviation of 9 percent of the
 * mean (1 / sqrt(128)); that it is under half or over twice the mean, is one case in 10^10. Part of
 * the documented function: another number gives other assignments. */
#define CLG_RING_POINTS 128u

struct clg_assignment {
    const struct commitlog_slice *members;
    uint32_t member_count;
    uint32_t queue_count;
    const uint32_t *previous; /* by queue: index of a member, or CLG_MEMBER_NONE; NULL: none had */
    uint32_t *order;          /* by rank: index */
    uint32_t *spare;          /* member_count words for whoever works */
    uint64_t *ring;           /* consistent hash: 2 * CLG_RING_POINTS * member_count words */
};

/* Sorts the members by id: fills order, uses spare. Two that are equal: false, *out_twice is the
 * index of the later one of them, *out_first of the other. */
CLG_MUST_CHECK bool clg_members_order(const struct clg_assignment *assignment, uint32_t *out_first,
                                      uint32_t *out_twice);

/* Each fills out with an index for every queue. They need order; sticky uses spare, hash ring. */
void clg_assign_average(const struct clg_assignment *assignment, uint32_t *out);
void clg_assign_circle(const struct clg_assignment *assignment, uint32_t *out);
void clg_assign_hash(const struct clg_assignment *assignment, uint32_t *out);
/* out may be previous. */
void clg_assign_sticky(const struct clg_assignment *assignment, uint32_t *out);

#endif
