/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * key_index.h -- the view that finds records by key.
 *
 * Shape: for the active segment 16 bytes per key in chunks, and 64 small hash tables that point at
 *       the newest entry of each hash (small ones, because growing one big table would stop the
 *       fold for tens of milliseconds); for finished segments the sorted .key files.
 * Invariants: entries of one hash are chained from newest to oldest, each record once per hash.
 * Threads and locks: the fold lock.
 * Happy path: apply -> freeze -> build (radix sort, no lock) -> install.
 * Failure modes: as view.h. A record whose queue belongs to no known topic cannot be indexed (the
 *       seed is the topic's); it is counted.
 */
#ifndef CLG_VIEW_KEY_INDEX_H
#define CLG_VIEW_KEY_INDEX_H

#include <stdint.h>

#include "view/lookup.h"
#include "view/view.h"

extern const struct clg_view_ops clg_key_index_ops;

/* As clg_lookup_key_next, under the fold lock; EDAMAGED: rebuild and ask again. */
CLG_MUST_CHECK int clg_key_index_next(struct clg_view *view, struct clg_lookup_key *query,
                                      uint64_t *positions, uint32_t max, uint32_t *out_count);

/* What apply does for each key of a record. */
CLG_MUST_CHECK int clg_key_index_add(struct clg_view *view, uint64_t hash, uint32_t place);

uint64_t clg_key_index_contradictions(const struct clg_view *view);

#endif
