/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verify_internal.h -- shared by verify.c, verify_view.c and verify_state.c.
 */
#ifndef CLG_UPKEEP_VERIFY_INTERNAL_H
#define CLG_UPKEEP_VERIFY_INTERNAL_H

#include "segment/segment.h"
#include "upkeep/verify.h"

struct clg_verify {
    struct clg_store_dir *dir;
    const struct clg_verify_options *options;
    struct clg_verify_counts *counts;
    struct commitlog_error *err;
    uint64_t end; /* records before it are judged */
    uint64_t total;
    uint64_t reported;
    uint32_t min_epoch;
    int64_t min_time;
    uint64_t queue_records; /* of the segment that is looked at: those that are in a queue, */
    uint64_t keys;          /* their keys, as far as it defines the topics, */
    bool counted;           /* and that is all of them: it is sound to its end */
    bool is_outrun;         /* as in the facts, of all records */
    bool damaged;           /* some of its records are not there: who points there may be right */
};

/* 0, or ENOMEM from the report. */
CLG_MUST_CHECK int clg_verify_damage(struct clg_verify *v, const struct commitlog_damage *damage);
CLG_MUST_CHECK int clg_verify_say(struct clg_verify *v, uint64_t from, uint64_t to,
                                  const char *reason);
/* A line of the report, of what is no damage. */
CLG_MUST_CHECK int clg_verify_note(struct clg_verify *v, const char *text);
CLG_MUST_CHECK int clg_verify_tick(struct clg_verify *v, uint64_t bytes);

/* The .cq and .key of a sealed segment, where they are there, against its records. */
CLG_MUST_CHECK int clg_verify_views(struct clg_verify *v, struct clg_segment *segment);
/* The .state files; `first` is the first position kept. */
CLG_MUST_CHECK int clg_verify_states(struct clg_verify *v, uint64_t first);

#endif
