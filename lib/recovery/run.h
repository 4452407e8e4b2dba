/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run.h -- executes a plan: the only part of recovery that writes.
 *
 * Invariants: each step is idempotent; a step's effect is durable before a later step depends on
 *       it; killed or failing anywhere, the next recovery reaches the same log.
 * Threads and locks: the calling thread, which holds the writer's lock.
 * Failure modes: COMMITLOG_EIO, ENOSPC (no room for quarantine: nothing was cut), EINTERRUPTED
 *       (cancelled between steps), EAGAIN (what was rewritten does not read back: collect facts
 *       again). No flush is ever repeated after it failed.
 */
#ifndef CLG_RECOVERY_RUN_H
#define CLG_RECOVERY_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "recovery/facts.h"
#include "recovery/plan.h"

struct clg_run_counts {
    uint32_t quarantined; /* files */
    uint64_t bytes_rewritten;
    uint64_t records_from_stage;
    uint64_t holes_made;
    bool salvaged; /* holes were made that are not flushed */
};

struct clg_run_options {
    uint64_t session;       /* of the new writer, for the checkpoint */
    uint64_t segment_bytes; /* 0: as the store has it */
    bool close;             /* the checkpoint calls the store closed */
    bool refold;            /* views must not trust what they have: damage was salvaged */
    struct clg_checkpoint *checkpoint; /* out: what the CHECKPOINT step wrote, or would have */
    bool defer_checkpoint; /* leave an intact CHECKPOINT to the caller, who writes it before the
                            * first append: an open that is refused after all changes nothing */
    bool *deferred;        /* out: it was left */
    clg_progress_fn progress;
    void *progress_ctx;
};

CLG_MUST_CHECK int clg_run_plan(struct clg_store_dir *dir, struct clg_facts *facts,
                                const struct clg_plan *plan, const struct clg_run_options *options,
                                struct clg_run_counts *counts, struct commitlog_error *err);

#endif
