/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan.h -- from facts to a verdict and the steps that follow from it. Pure.
 *
 * Owns: struct clg_plan and its steps.
 * Invariants: 1. a function of facts and mode only: no clock, no I/O, no state; 2. the steps are in
 *       the only safe order: what is to be cut is copied to quarantine and flushed before one byte
 *       is overwritten; later segments go newest first; the epoch rises, in the checkpoint, after
 *       all that is durable; 3. running the steps again from any point gives the same bytes; 4. a
 *       plan that refuses has no step that changes anything.
 * Threads and locks: none.
 * Happy path: a store that was closed: no step but the new epoch, and none at all with `close`.
 * Failure modes: COMMITLOG_ENOMEM. A refusal is a result (clg_plan.code), not a failure.
 *
 * The table of verdicts is in commitlog-recovery(7).
 */
#ifndef CLG_RECOVERY_PLAN_H
#define CLG_RECOVERY_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "recovery/facts.h"

enum clg_plan_kind {
    CLG_STEP_CREATE_SEGMENT,    /* [from, to): a whole file, prepared and empty */
    CLG_STEP_DELETE_BELOW,      /* segment at from: retention had been interrupted */
    CLG_STEP_REMOVE_TMP,        /* names[from] of the facts */
    CLG_STEP_REPAIR_HEADER,     /* segment at from: both copies as they are known */
    CLG_STEP_EXTEND,            /* segment at from gets the missing bytes up to position `to` */
    CLG_STEP_QUARANTINE_RANGE,  /* copy of [from, to) */
    CLG_STEP_QUARANTINE_FILE,   /* copy of the whole segment at from */
    CLG_STEP_QUARANTINE_STAGED, /* copy of [from, to) of the stage */
    CLG_STEP_RESTORE,           /* [from, to) from the stage */
    CLG_STEP_HOLE,              /* claimed record [from, to) becomes a hole */
    CLG_STEP_SALVAGE_HOLE,      /* damaged [from, to) becomes one or more holes */
    CLG_STEP_ZERO,              /* [from, to) within one segment */
    CLG_STEP_UNLINK,            /* segment at from */
    CLG_STEP_REWRITE,           /* [from, to): same bytes again, then flushed and read back */
    CLG_STEP_FLUSH,             /* every segment that holds some of [from, to), and log/ */
    CLG_STEP_CLEAR_FOOTER,      /* [from, to): the segment is sealed anew by the next writer */
    CLG_STEP_CHECKPOINT         /* new epoch; first, durable = from, to */
};

struct clg_plan_step {
    enum clg_plan_kind kind;
    uint32_t queue; /* SALVAGE_HOLE: CLG_QUEUE_NONE when not known */
    uint64_t from;
    uint64_t to;
    uint64_t queue_offset;
    size_t index; /* of the claim, staged run, range or name in the facts */
};

struct clg_plan {
    const struct commitlog_os *os;
    int code;                 /* 0: run it. COMMITLOG_EDAMAGED, ENOTFOUND: no step is to be run */
    char reason[200];         /* why it refuses; "" otherwise */
    uint64_t reason_position; /* and where */
    uint32_t tail;            /* COMMITLOG_TAIL_... */
    uint64_t first;
    uint64_t end;               /* X of the log as it will be: where the next record goes */
    uint64_t serve_end;         /* reader: records before are proven; never above end */
    uint64_t unrecovered_bytes; /* reader: verified, but not proven durable */
    uint64_t witness;
    uint64_t bytes_cut;
    uint64_t records_cut;
    uint64_t bytes_rewritten;
    uint64_t quarantine_bytes; /* what the copies need */
    uint32_t epoch;            /* of the new session */
    bool first_untold;         /* nothing in the log says that it begins at `first` */
    bool again;                /* after these steps facts are collected again (salvage in rounds) */
    struct clg_plan_step *steps;
    size_t step_count;
    size_t step_room;
};

struct clg_plan_options {
    uint32_t mode; /* COMMITLOG_RECOVER_... */
    bool read_only;
    bool close; /* nobody appends afterwards: what a writer would put right later is done now, and
                   the store is left as closed */
    uint64_t segment_bytes; /* of a segment to be created; 0: the checkpoint's, else the default */
};

CLG_MUST_CHECK int clg_plan_make(const struct clg_facts *facts,
                                 const struct clg_plan_options *options, struct clg_plan *out,
                                 struct commitlog_error *err);
void clg_plan_free(struct clg_plan *plan);

/* A file without a header behind all that is known durable: its creation failed, nothing is lost
 * with it. */
bool clg_plan_is_leftover(const struct clg_facts *facts, size_t index);

/* One line of text for step `index`, or for verdict lines before the steps: lines are numbered
 * 0 ... count - 1. False past the last. */
bool clg_plan_line(const struct clg_plan *plan, const struct clg_facts *facts, size_t index,
                   char *out, size_t room);

/* "create segment" ...; static. */
const char *clg_plan_kind_name(enum clg_plan_kind kind);

#endif
