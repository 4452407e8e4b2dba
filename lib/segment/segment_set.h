/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_set.h -- the segments of an open store in order of position.
 *
 * Invariants: bases ascend; the set holds one reference to each member; a member that was removed
 *       lives on while somebody has it pinned.
 * Threads and locks: any thread. One mutex around the array, a leaf but for segment locks; held for
 *       a binary search and a counter. Pinning allocates nothing and makes no system call.
 * Happy path: append at the tail when a segment is taken from the supply, pin to read, remove the
 *       oldest when retention drops it.
 * Failure modes: pin: ETOOSMALL before the first, EBEYOND behind the last, ENOTFOUND in a gap.
 *       append: ENOMEM, and EINVAL if it would not lie behind the last one.
 */
#ifndef CLG_SEGMENT_SEGMENT_SET_H
#define CLG_SEGMENT_SEGMENT_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "os/lock.h"
#include "segment/segment.h"

/* Sealed segments whose descriptors stay open for the next read. */
#define CLG_SEGMENT_SET_KEPT 16u

struct clg_segment_set {
    const struct commitlog_os *os;
    struct clg_mutex lock;
    struct clg_segment **items; /* under lock; [start, start + count) are members */
    uint32_t start;
    uint32_t count;
    uint32_t room;
    /* under lock; bases of the segments with kept_open, a ring: the next one takes the place of the
     * one that has been in it longest */
    uint64_t kept[CLG_SEGMENT_SET_KEPT];
    uint32_t kept_count; /* that were ever put in */
};

/* From `from` on the next segment should begin; `to` begins the one that is there. */
struct clg_segment_gap {
    uint64_t from;
    uint64_t to;
};

void clg_segment_set_init(struct clg_segment_set *set, const struct commitlog_os *os);
/* Drops the set's references. No other call may be running. */
void clg_segment_set_free(struct clg_segment_set *set);

/* Takes over the caller's reference when it returns 0. A gap before it is allowed: recovery
 * decides what it means. */
CLG_MUST_CHECK int clg_segment_set_append(struct clg_segment_set *set, struct clg_segment *segment,
                                          struct commitlog_error *err);
/* Room for one more, so that the next append cannot fail: not on the append path. */
CLG_MUST_CHECK int clg_segment_set_reserve(struct clg_segment_set *set,
                                           struct commitlog_error *err);
/* The set's reference moves to the caller; NULL when empty. */
struct clg_segment *clg_segment_set_remove_first(struct clg_segment_set *set);

/* *out with a reference for the caller. */
CLG_MUST_CHECK int clg_segment_set_pin(struct clg_segment_set *set, uint64_t position,
                                       struct clg_segment **out);
/* As pin; NULL when there is none. Index 0 is the oldest; indices shift when it is removed. */
struct clg_segment *clg_segment_set_pin_at(struct clg_segment_set *set, uint32_t index);
struct clg_segment *clg_segment_set_pin_first(struct clg_segment_set *set);
struct clg_segment *clg_segment_set_pin_last(struct clg_segment_set *set);
/* The one after the segment with this base, also if that one was removed meanwhile. */
struct clg_segment *clg_segment_set_pin_after(struct clg_segment_set *set, uint64_t base);

uint32_t clg_segment_set_count(struct clg_segment_set *set);
/* Sum of the files' sizes. */
uint64_t clg_segment_set_bytes(struct clg_segment_set *set);
/* 0 and the bounds [base of the first, end of the last); ENOTFOUND when empty. */
CLG_MUST_CHECK int clg_segment_set_range(struct clg_segment_set *set, uint64_t *first,
                                         uint64_t *end);
/* True and the oldest gap at or behind `from`. Reported, never repaired. */
bool clg_segment_set_find_gap(struct clg_segment_set *set, uint64_t from,
                              struct clg_segment_gap *out);
/* Closes descriptors of sealed idle segments but for the newest `keep`; returns how many. One
 * descriptor per segment would exhaust the process at a few hundred GiB. */
uint32_t clg_segment_set_close_idle(struct clg_segment_set *set, uint32_t keep);
/* After a read by descriptor of `segment`, a member, pinned: it stays open for the next one, and
 * the one that was kept longest is closed for it when there are CLG_SEGMENT_SET_KEPT. */
void clg_segment_set_keep_open(struct clg_segment_set *set, struct clg_segment *segment);

void clg_segment_set_invariants(struct clg_segment_set *set);

#endif
