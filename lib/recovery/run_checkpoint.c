/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * run_checkpoint.c -- CHECKPOINT while a plan is run: what is said before a step, and at the end.
 *
 * Invariants: a slot is written when all that it speaks of is flushed, and the newest one is never
 *       written over.
 * Failure modes: EIO where the newest slot does not read twice; what clg_checkpoint_file_write has.
 */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "recovery/run_internal.h"
#include "view/checkpoint_file.h"

static void run_fill_checkpoint(const struct run *r, const struct clg_plan_step *step,
                                struct clg_checkpoint *checkpoint)
{
    const struct clg_facts *facts = r->facts;
    memset(checkpoint, 0, sizeof(*checkpoint));
    CLG_ASSERT(step->from <= step->to);
    checkpoint->first = step->from;
    checkpoint->durable = step->to;
    checkpoint->checkpointed = step->from;
    checkpoint->segment_bytes = CLG_SEGMENT_DEFAULT;
    if (facts->have_checkpoint) {
        checkpoint->segment_bytes = facts->checkpoint.segment_bytes;
        bool kept = facts->checkpoint.checkpointed >= step->from &&
                    facts->checkpoint.checkpointed <= step->to && !r->options->refold;
        checkpoint->sequence = facts->checkpoint.sequence;
        if (kept) {
            checkpoint->checkpointed = facts->checkpoint.checkpointed;
            checkpoint->state_position = facts->checkpoint.state_position;
        }
    }
    checkpoint->first_untold = r->plan->first_untold;
    checkpoint->clean = r->options->close;
    if (r->options->close && !r->options->refold && facts->scan_from <= step->from) {
        checkpoint->checkpointed = step->to; /* all of it was verified */
    }
    if (r->options->segment_bytes != 0) {
        checkpoint->segment_bytes = r->options->segment_bytes;
    }
    checkpoint->session = r->options->session;
    checkpoint->store_time = facts->last_store_time;
    if (facts->have_checkpoint && facts->checkpoint.store_time > checkpoint->store_time) {
        checkpoint->store_time = facts->checkpoint.store_time;
    }
    checkpoint->epoch = r->plan->epoch;
    if (CLG_PLANTED(NO_EPOCH)) {
        checkpoint->epoch = facts->max_epoch > 0 ? facts->max_epoch : 1;
    }
    memcpy(checkpoint->uuid, r->dir->segment_dir.uuid, CLG_UUID_BYTES);
    CLG_ASSERT(checkpoint->checkpointed <= checkpoint->durable);
}

/* The file must give what the facts rest on: a slot that cannot be read now, and is the newest,
 * would be written over with what is older. */
static int run_open_checkpoint(struct run *r, struct clg_checkpoint_file *file)
{
    struct clg_checkpoint newest;
    CLG_ASSERT(r->facts->have_checkpoint);
    clg_checkpoint_file_init(file, r->dir->os);
    int rc = clg_checkpoint_file_open(file, r->dir->dir_fd, true, r->err);
    if (rc == 0) {
        rc = clg_checkpoint_file_read(file, r->dir->segment_dir.uuid, false, &newest, r->err);
    }
    if (rc == 0 && newest.sequence != r->facts->checkpoint.sequence) {
        rc = clg_fail(r->err, COMMITLOG_EIO, 0, CLG_NO_POSITION,
                      "CHECKPOINT: the newest slot does not read twice");
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

int clg_run_checkpoint(struct run *r, const struct clg_plan_step *step)
{
    struct clg_checkpoint_file file;
    struct clg_checkpoint checkpoint;
    run_fill_checkpoint(r, step, &checkpoint);
    if (r->options->defer_checkpoint && r->facts->have_checkpoint && r->facts->bad_slots == 0 &&
        !r->facts->checkpoint.salvaging) {
        *r->options->checkpoint = checkpoint;
        *r->options->deferred = true;
        /* Its name too may not be on the disk, if the one who created it died or failed. */
        bool flushed =
            (r->facts->clean && r->facts->checkpoint.sequence > 1) || CLG_PLANTED(NAME_UNFLUSHED);
        return flushed ? 0 : clg_run_sync_dir(r, r->dir->dir_fd, "the store's directory");
    }
    clg_checkpoint_file_init(&file, r->dir->os);
    int rc = COMMITLOG_ENOTFOUND;
    CLG_ASSERT(r->dir->locked);
    if (r->facts->have_checkpoint) {
        rc = run_open_checkpoint(r, &file);
        if (rc == 0) {
            rc = clg_checkpoint_file_write(&file, &checkpoint, r->err);
        }
    } else {
        rc = clg_checkpoint_file_create(&file, r->dir->dir_fd, r->dir->file_mode, &checkpoint,
                                        r->err);
    }
    clg_checkpoint_file_close(&file);
    if (rc == 0) {
        /* The one who created it may have died before its name was flushed. */
        rc = clg_run_sync_dir(r, r->dir->dir_fd, "the store's directory");
    }
    if (rc == 0) {
        *r->options->checkpoint = checkpoint;
    }
    return rc;
}

int clg_run_confirm_first(struct run *r)
{
    struct clg_checkpoint_file file;
    struct clg_checkpoint known = r->facts->checkpoint;
    CLG_ASSERT(r->dir->locked);
    if (r->facts->clean || r->is_confirmed || !*r->options->deferred) {
        return 0;
    }
    int rc = run_open_checkpoint(r, &file);
    if (rc == 0) {
        rc = clg_checkpoint_file_write(&file, &known, r->err);
    }
    if (rc == 0) {
        r->options->checkpoint->sequence = known.sequence;
    }
    clg_checkpoint_file_close(&file);
    r->is_confirmed = rc == 0;
    CLG_ASSERT(rc <= 0);
    return rc;
}

int clg_run_begin_salvage(struct run *r)
{
    struct clg_checkpoint_file file;
    struct clg_checkpoint *known = &r->facts->checkpoint;
    if (!r->facts->have_checkpoint || known->salvaging) {
        return 0;
    }
    struct clg_checkpoint next = *known;
    next.salvaging = true;
    /* What tells it otherwise may be what the holes take the place of, or goes with the boot. */
    next.durable = clg_max_u64(next.durable, r->facts->witness);
    if (r->facts->bad_slots > 0) {
        /* The slot that is lost may have said more, and is written over: what it would be asked for
         * is what the facts have learnt elsewhere. LOCK tells the session. */
        next.first = clg_max_u64(next.first, r->facts->first);
        next.durable = clg_max_u64(next.durable, next.first);
        next.epoch = r->plan->epoch - 1 > next.epoch ? r->plan->epoch - 1 : next.epoch;
        next.session = 0;
    }
    next.checkpointed = next.first;
    next.state_position = 0;
    int rc = run_open_checkpoint(r, &file);
    if (rc == 0) {
        rc = clg_checkpoint_file_write(&file, &next, r->err);
    }
    clg_checkpoint_file_close(&file);
    if (rc == 0) {
        *known = next;
    }
    return rc;
}
