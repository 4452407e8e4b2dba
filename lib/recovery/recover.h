/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recover.h -- the recovery pass: facts -> plan -> run, for an open and for commitlog_recover().
 *
 * Invariants: when it returns 0 to a writer, every byte before `end` is verified and durable,
 *       everything behind it is zero, the epoch is raised and the raise is durable: append.
 *       For a reader nothing was modified; records before `serve_end` are proven.
 * Threads and locks: one thread, with the directory's lock (writer).
 * Happy path: clg_store_dir_open -> clg_recovery_run -> views -> live area ->
 *       clg_store_dir_write_lock -> serve.
 * Failure modes: COMMITLOG_EDAMAGED (damage, or in strict mode any anomaly; nothing modified, the
 *       report made), ENOSPC (no room for quarantine: nothing cut), EIO, EINTERRUPTED, ENOMEM,
 *       EVERSION, EFOREIGN, EFORMAT.
 */
#ifndef CLG_RECOVERY_RECOVER_H
#define CLG_RECOVERY_RECOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "recovery/facts.h"
#include "recovery/plan.h"
#include "recovery/run.h"
#include "recovery/store_dir.h"
#include "segment/segment_set.h"

/* Receives each line of the plan and each damaged range, in order. Non-zero: out of memory. */
struct clg_recovery_report {
    int (*line)(void *ctx, const char *text);
    int (*damage)(void *ctx, const struct commitlog_damage *damage);
    void *ctx;
};

struct clg_recovery_options {
    uint32_t mode;         /* COMMITLOG_RECOVER_... */
    bool read_only;        /* reader: collect and judge, change nothing */
    bool plan_only;        /* writer's plan, not run */
    bool defer_checkpoint; /* see run.h; result.checkpoint_pending tells */
    bool close; /* nobody will append: leave the store as closed, and one that is closed and sound
                   as it is */
    bool full;  /* look at every record, not only behind the checkpoint */
    uint64_t segment_bytes; /* for segments to be created; 0: as the store has them */
    uint64_t session;       /* random, of the new writer */
    const struct clg_recovery_report *report; /* NULL: none */
    clg_progress_fn progress;
    void *progress_ctx;
};

struct clg_recovery_result {
    uint8_t uuid[CLG_UUID_BYTES];
    uint64_t first;        /* data start of the oldest segment that is kept */
    uint64_t checkpointed; /* views may be trusted up to there */
    uint64_t state_position;
    uint64_t end;           /* writer: next record's place; reader: end of what verifies */
    uint64_t serve_end;     /* reader: proven; writer: == end */
    uint64_t verified_from; /* writer: every record from here to the end was verified just now */
    uint64_t unrecovered_bytes; /* reader: [serve_end, end) */
    uint32_t epoch;             /* writer: of this session; reader: highest seen */
    int64_t last_store_time;
    bool created;     /* the store is new */
    bool writer_live; /* reader: follow the live area; end is only where the scan began */
    struct clg_checkpoint checkpoint; /* newest one on disk after recovery */
    const char *checkpoint_wrong;     /* what only damage has left of it; NULL: nothing */
    bool checkpoint_pending; /* it is not written yet: the caller's duty before the first append */
    struct clg_segment *prepared; /* writer: empty one behind the active; a reference, or NULL */
    struct commitlog_recovery summary;
    struct clg_lock_file
        last; /* writer: whose live area was used up, if LOCK itself named nobody */
};

/*
 * `set` is initialised and empty; it is filled on success: all segments from `first` on that have a
 * header, the last of them the active one (for a reader: gaps and short files included). Segments
 * that are not sealed are open for writing in a writer. On COMMITLOG_EDAMAGED only out->summary is
 * filled.
 */
CLG_MUST_CHECK int clg_recovery_run(struct clg_store_dir *dir,
                                    const struct clg_recovery_options *options,
                                    struct clg_segment_set *set, struct clg_recovery_result *out,
                                    struct commitlog_error *err);

/* A range of the facts in public words; topic "", queue is the global queue number. */
void clg_recovery_damage(const struct clg_fact_range *range, struct commitlog_damage *out);

#endif
