/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * producers_view.h -- the view that knows the idempotent producers: by the marks on messages and by
 * the control records that carry their state forward or end it.
 *
 * Owns: a producer table as of what is folded.
 * Invariants, threads and locks, failure modes: as groups_view.h.
 */
#ifndef CLG_VIEW_PRODUCERS_VIEW_H
#define CLG_VIEW_PRODUCERS_VIEW_H

#include <stdint.h>

#include "state/producer_table.h"
#include "view/view.h"

extern const struct clg_view_ops clg_producers_view_ops;

const struct clg_producer_table *clg_producers_view_table(const struct clg_view *view);
uint64_t clg_producers_view_contradictions(const struct clg_view *view);

#endif
