/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expiry_view.h -- the view that knows which messages of a topic have expired.
 *
 * Owns: an expiry table as of what is folded, which may be ahead of what is visible. A writer
 * decides by its own, which is ahead of both.
 * Invariants: expiry_table.h.
 * Threads and locks: the fold lock.
 * Happy path: apply -> look-ups ask clg_expiry_view_below. Opening: clg_expiry_view_table -> the
 *       writer's copy.
 * Failure modes: ENOMEM. A record of this kind whose body does not decode is counted and left out.
 */
#ifndef CLG_VIEW_EXPIRY_VIEW_H
#define CLG_VIEW_EXPIRY_VIEW_H

#include <stdint.h>

#include "state/expiry_table.h"
#include "view/view.h"

extern const struct clg_view_ops clg_expiry_view_ops;

/* Messages of this queue at positions below have expired, for who sees the log up to `visible`; 0:
 * none. */
uint64_t clg_expiry_view_below(const struct clg_view *view, uint32_t queue, uint64_t visible);

const struct clg_expiry_table *clg_expiry_view_table(const struct clg_view *view);
uint64_t clg_expiry_view_contradictions(const struct clg_view *view);

#endif
