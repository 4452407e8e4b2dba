/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_internal.h -- shared by run.c, run_checkpoint.c, run_quarantine.c and run_salvage.c.
 */
#ifndef CLG_RECOVERY_RUN_INTERNAL_H
#define CLG_RECOVERY_RUN_INTERNAL_H

#include "recovery/run.h"
#include "recovery/stage.h"

struct run {
    struct clg_store_dir *dir;
    struct clg_facts *facts;
    const struct clg_plan *plan;
    const struct clg_run_options *options;
    struct clg_run_counts *counts;
    struct clg_stage stage;
    struct commitlog_error *err;
    struct clg_segment *rewritten; /* the last one: it was flushed behind that */
    bool viewless;                 /* the segment at viewless_base has no view files, for good */
    uint64_t viewless_base;
    bool is_dir_flushed; /* what earlier recoveries did to it is on the disk */
    bool is_log_flushed; /* the same of log/ */
    bool is_confirmed;   /* CHECKPOINT, as it was read, is durable */
};

CLG_MUST_CHECK int clg_run_sync_dir(const struct run *r, int fd, const char *what);

/* CHECKPOINT. */
CLG_MUST_CHECK int clg_run_checkpoint(struct run *r, const struct clg_plan_step *step);
/* The checkpoint that says where the log begins was read from the cache. A writer that was killed
 * before it had flushed it leaves it there only, and a power cut behind this recovery would bring
 * the one before back, which misses what is removed now. So it is written once more. */
CLG_MUST_CHECK int clg_run_confirm_first(struct run *r);
/* Of one that is killed, or whose flush fails, what it wrote is anywhere and in the cache only:
 * from here to the checkpoint at the end whoever opens the store reads, writes and flushes all of
 * it. */
CLG_MUST_CHECK int clg_run_begin_salvage(struct run *r);

/* QUARANTINE_RANGE and QUARANTINE_FILE. */
CLG_MUST_CHECK int clg_run_quarantine(struct run *r, const struct clg_plan_step *step);
/* QUARANTINE_STAGED. */
CLG_MUST_CHECK int clg_run_quarantine_staged(struct run *r, const struct clg_plan_step *step);

/*
 * Makes holes of exactly [range->from, range->to): one per record whose header still verifies, with
 * its queue and offset; one (or more, each at most CLG_FILLER_MAX) without a queue where nothing is
 * known. The last one in a segment is its closing pad.
 */
CLG_MUST_CHECK int clg_run_salvage(struct run *r, struct clg_segment *segment,
                                   const struct clg_fact_range *range);

#endif
