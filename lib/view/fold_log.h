/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fold_log.h -- the open commit log as the fold's source.
 *
 * Kept apart from fold.h so that the fold can be driven without a log.
 */
#ifndef CLG_VIEW_FOLD_LOG_H
#define CLG_VIEW_FOLD_LOG_H

#include "log/commit_log.h"
#include "view/fold.h"

/* The log must outlive the fold's last run. */
void clg_fold_attach_log(struct clg_fold *fold, struct clg_log *log);

#endif
