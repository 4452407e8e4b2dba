/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan_internal.h -- shared by plan.c, plan_footer.c and plan_salvage.c.
 */
#ifndef CLG_RECOVERY_PLAN_INTERNAL_H
#define CLG_RECOVERY_PLAN_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recovery/plan.h"

struct plan_make {
    const struct clg_facts *facts;
    const struct clg_plan_options *options;
    struct clg_plan *plan;
    uint64_t end;   /* X, or an earlier claim that a witness contradicts */
    size_t oldest;  /* index of the first segment that counts */
    bool front_gap; /* the oldest segments are missing */
    bool inner_gap; /* one between two others is */
    bool wide_gap;  /* more is missing than any store lost: whoever says so is not believed */
    bool damaged;
    const char *anomaly; /* what strict mode refuses; NULL: nothing */
    uint64_t anomaly_position;
    struct commitlog_error *err;
    int rc;
};

/* One more step; a failure is m->rc, and then nothing more is added. */
void clg_plan_add(struct plan_make *m, enum clg_plan_kind kind, uint64_t from, uint64_t to,
                  size_t index);

/* Why the footer of this segment is none that a verification would accept; NULL: it is. */
const char *clg_plan_footer_wrong(const struct clg_fact_segment *fact);
/* Steps for the segments before the end of the log whose footer is wrong, or will be once damage
 * in them is one hole in place of several records: first the copies, in the end the zeros. */
void clg_plan_footers(struct plan_make *m, enum clg_plan_kind kind);

/* plan_salvage.c. Segments where some are missing; true: there was a gap, and the rest of the plan
 * is for the next round. */
bool clg_plan_fill_gaps(struct plan_make *m);
/* Nothing would be left that tells of the store: no CHECKPOINT, and no file under the name of the
 * segment in it. Somebody has renamed them, perhaps. */
bool clg_plan_leaves_nothing(const struct plan_make *m);
/* Has salvage given up the beginning of the log, so that no record says where it begins now? */
bool clg_plan_lost_front(const struct plan_make *m);
/* The log ends no earlier than what is known to have been durable. */
void clg_plan_salvage_end(struct plan_make *m);
void clg_plan_salvage_ranges(struct plan_make *m);
/* The facts list no more ranges: another round is for those that follow the ones that this one
 * makes holes of. */
bool clg_plan_salvage_has_more(const struct plan_make *m);

#endif
