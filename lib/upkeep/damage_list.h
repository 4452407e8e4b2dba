/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * damage_list.h -- what is known to be damaged in an open store, from open, reads, scrub, verify.
 *
 * Owns: a bounded list of struct commitlog_damage.
 * Invariants: ascending from_position; those whose positions nobody knows (CLG_DAMAGE_NO_POSITION
 *       twice: offsets of a queue that the log has lost) come last; what lies within a known one is
 *       not added again; at most CLG_DAMAGE_MAX, then one grows over what comes further, and
 *       only offsets without positions are dropped.
 * Threads and locks: any thread; its own lock, taken last, and never that of two lists.
 * Failure modes: COMMITLOG_ENOMEM on adding: the damage is not in the list.
 */
#ifndef CLG_UPKEEP_DAMAGE_LIST_H
#define CLG_UPKEEP_DAMAGE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "os/lock.h"
#include "os/os.h"

#define CLG_DAMAGE_MAX 1024u
#define CLG_DAMAGE_NO_POSITION UINT64_MAX

struct clg_damage_list {
    const struct commitlog_os *os;
    struct clg_mutex lock;
    struct commitlog_damage *items;
    size_t count;
    size_t room;
};

void clg_damage_list_init(struct clg_damage_list *list, const struct commitlog_os *os);
void clg_damage_list_deinit(struct clg_damage_list *list);

/* 0 added, COMMITLOG_EEXIST known already, ENOMEM, ELIMIT: full, another one reaches over it now.
 */
int clg_damage_list_add(struct clg_damage_list *list, const struct commitlog_damage *damage);
/* COMMITLOG_ENOTFOUND past the last. */
int clg_damage_list_get(struct clg_damage_list *list, size_t index, struct commitlog_damage *out);
/* The first one with positions that has some in [from, to), with `unnamed` only of those that may
 * be of any queue; or COMMITLOG_ENOTFOUND. At once: while they are got one by one, some may be
 * dropped, and the next one is passed over. */
int clg_damage_list_find(struct clg_damage_list *list, uint64_t from, uint64_t to, bool unnamed,
                         struct commitlog_damage *out);
/* The same as in `from`, in place of what there was; COMMITLOG_ENOMEM: nothing has changed. */
int clg_damage_list_assign(struct clg_damage_list *list, struct clg_damage_list *from);
size_t clg_damage_list_count(struct clg_damage_list *list);
/* Retention dropped everything below. What has no positions stays. */
void clg_damage_list_drop_below(struct clg_damage_list *list, uint64_t position);

/* The log has lost the records of these offsets; the caller names the queue. */
void clg_damage_make_lost(struct commitlog_damage *out, uint64_t from_offset, uint64_t to_offset);
/* Fills the fixed part; topic "", queue UINT32_MAX, offsets 0. */
void clg_damage_make(struct commitlog_damage *out, uint64_t from, uint64_t to, const char *reason);

#endif
