/* progress.h -- the library's side of struct commitlog_progress. */
#ifndef CLG_STORE_PROGRESS_H
#define CLG_STORE_PROGRESS_H

#include <stdint.h>

#include "commitlog.h"

/* Fits clg_progress_fn and clg_fold_progress_fn; NULL is fine. Non-zero: cancelled. */
int clg_progress_report(void *progress_or_null, uint64_t done, uint64_t total);

#endif
