/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * transactions_view.h -- the view that knows the open transactions.
 *
 * Owns: a transaction table as of what is folded: messages and marks of kind transaction add to it;
 *       what delivers a message, by reference or as a copy, and the marks that end one take away,
 * and so does, of their offsets, a group that is deleted. Invariants, threads and locks, failure
 * modes: as groups_view.h.
 */
#ifndef CLG_VIEW_TRANSACTIONS_VIEW_H
#define CLG_VIEW_TRANSACTIONS_VIEW_H

#include <stdint.h>

#include "state/transaction_table.h"
#include "view/view.h"

extern const struct clg_view_ops clg_transactions_view_ops;

const struct clg_transaction_table *clg_transactions_view_table(const struct clg_view *view);
uint64_t clg_transactions_view_contradictions(const struct clg_view *view);

#endif
