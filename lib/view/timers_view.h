/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * timers_view.h -- the view that knows the messages that wait for their time.
 *
 * Owns: a timer table as of what is folded. A timer is added by its message, and ended by the
 *       reference or copy that delivers it or the record that cancels it.
 * Invariants, threads and locks, failure modes: as groups_view.h.
 */
#ifndef CLG_VIEW_TIMERS_VIEW_H
#define CLG_VIEW_TIMERS_VIEW_H

#include <stdint.h>

#include "state/timer_table.h"
#include "view/view.h"

extern const struct clg_view_ops clg_timers_view_ops;

const struct clg_timer_table *clg_timers_view_table(const struct clg_view *view);
uint64_t clg_timers_view_contradictions(const struct clg_view *view);

#endif
