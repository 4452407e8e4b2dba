/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scrub.h -- reads sealed segments again, slowly, to find damage while a copy may still exist.
 *
 * Invariants: pread only; a step reads at most what the rate has earned since the last one, and at
 *       most CLG_SCRUB_STEP_MAX; a segment that retention takes away is left at the next step.
 * Threads and locks: one thread at a time (upkeep).
 * Failure modes: EIO and failed checks are damage, reported and passed; ENOMEM ends the step.
 */
#ifndef CLG_UPKEEP_SCRUB_H
#define CLG_UPKEEP_SCRUB_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

#include "base/attr.h"
#include "os/os.h"
#include "segment/segment.h"

#define CLG_SCRUB_STEP_MAX (UINT64_C(4) << 20)

typedef void (*clg_damage_fn)(void *ctx, const struct commitlog_damage *damage);

struct clg_scrub {
    const struct commitlog_os *os;
    uint64_t bytes_per_s; /* 0: off */
    uint64_t position;    /* next record */
    uint64_t credit;      /* bytes that may be read */
    int64_t last_ns;      /* monotonic */
    uint64_t bytes_done;
    uint64_t records_done;
};

void clg_scrub_init(struct clg_scrub *scrub, const struct commitlog_os *os, uint64_t bytes_per_s);

/*
 * One bounded step in the sealed segment that the caller has pinned: the one that holds
 * scrub->position, or the next one that there is. *done: it is finished, the position is behind
 * it.
 */
CLG_MUST_CHECK int clg_scrub_step(struct clg_scrub *scrub, struct clg_segment *segment,
                                  clg_damage_fn damage, void *ctx, bool *done,
                                  struct commitlog_error *err);
/* When the next step can do something, ms from now; -1: never. */
int64_t clg_scrub_wait_ms(const struct clg_scrub *scrub);

#endif
