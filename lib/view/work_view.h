/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work_view.h -- the view that knows what groups have done, and given out, of single messages.
 *
 * Owns: a work table as of what is folded: work records add to it; a group's offsets, its reset and
 *       its end take away.
 * Invariants, threads and locks, failure modes: as groups_view.h.
 */
#ifndef CLG_VIEW_WORK_VIEW_H
#define CLG_VIEW_WORK_VIEW_H

#include <stdint.h>

#include "state/work_table.h"
#include "view/view.h"

extern const struct clg_view_ops clg_work_view_ops;

const struct clg_work_table *clg_work_view_table(const struct clg_view *view);
uint64_t clg_work_view_contradictions(const struct clg_view *view);

#endif
