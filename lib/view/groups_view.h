/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups_view.h -- the view that knows the consumer groups and what they have committed.
 *
 * Owns: a group table as of what is folded. A writer decides by its own, which is ahead of it.
 * Invariants: group_table.h. What .state says may hold records of the active segment that will be
 *       folded again: their values are absolute.
 * Threads and locks: the fold lock.
 * Happy path: apply. Opening: clg_groups_view_table -> the writer's copy.
 * Failure modes: ENOMEM. A record of this kind whose body does not decode is counted and left out.
 */
#ifndef CLG_VIEW_GROUPS_VIEW_H
#define CLG_VIEW_GROUPS_VIEW_H

#include <stdint.h>

#include "state/group_table.h"
#include "view/view.h"

extern const struct clg_view_ops clg_groups_view_ops;

const struct clg_group_table *clg_groups_view_table(const struct clg_view *view);
uint64_t clg_groups_view_contradictions(const struct clg_view *view);

#endif
