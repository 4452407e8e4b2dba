/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * work_view.h -- the view that knows what groups have done, and given out, of single messages.
 *
 * Owns: a work table as of what is folded: work records add to it; a group's offsets, its reset and
 *       its end take away. So does whoever knows what the log does not have any more: a record of
 *       work may be kept longer than some of the messages that it names, and is not carried forward
 *       when it goes.
 * Invariants, threads and locks, failure modes: as groups_view.h.
 */
#ifndef CLG_VIEW_WORK_VIEW_H
#define CLG_VIEW_WORK_VIEW_H

#include <stdint.h>

#include "state/work_table.h"
#include "view/view.h"

extern const struct clg_view_ops clg_work_view_ops;

const struct clg_work_table *clg_work_view_table(const struct clg_view *view);
/* The work on a queue, in the order of the table; NULL: there are no more. */
struct clg_work_queue *clg_work_view_at(struct clg_view *view, uint32_t index);
uint64_t clg_work_view_contradictions(const struct clg_view *view);

#endif
