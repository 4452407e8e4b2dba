/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verify.h -- reads a whole store and says whether it is sound: every record, footer, derived file.
 *
 * Invariants: nothing is written; pread only; a torn tail is sound (recovery cuts it); beside a
 *       live writer the log is judged up to what is written, the rest is not looked at.
 * Threads and locks: the calling thread; needs no lock.
 * Happy path: clg_store_dir_open (read-only) -> clg_verify_run.
 * Failure modes: COMMITLOG_EDAMAGED when anything was reported; EINTERRUPTED, ENOMEM, EIO for what
 *       cannot be listed, EVERSION, EFOREIGN.
 */
#ifndef CLG_UPKEEP_VERIFY_H
#define CLG_UPKEEP_VERIFY_H

#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "recovery/facts.h"
#include "recovery/recover.h"

struct clg_verify_options {
    const struct clg_recovery_report *report; /* damage and lines; NULL: none */
    clg_progress_fn progress;
    void *progress_ctx;
};

struct clg_verify_counts {
    uint64_t segments;
    uint64_t records;
    uint64_t bytes;
    uint64_t view_files;
    uint64_t damaged_ranges;
};

CLG_MUST_CHECK int clg_verify_run(struct clg_store_dir *dir,
                                  const struct clg_verify_options *options,
                                  struct clg_verify_counts *counts,
                                  struct commitlog_recovery *summary, struct commitlog_error *err);

#endif
