/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan_footer.c -- footers that do not fit what they stand behind. Pure. See plan.h.
 *
 * Invariants: 1. a footer is cleared when all before it is durable again, never earlier: until then
 *       it may be the only witness of that; 2. what it was is in quarantine by then. It is written
 *       again like that of any segment whose writer died before it could: by the next one.
 */
#include "base/invariant.h"
#include "recovery/plan_internal.h"

const char *clg_plan_footer_wrong(const struct clg_fact_segment *fact)
{
    CLG_ASSERT(fact->bytes >= CLG_SEGMENT_DATA_START);
    if (fact->segment == NULL || fact->footer_code == COMMITLOG_ENOTFOUND) {
        return NULL;
    }
    if (fact->footer_code != 0) {
        return "a segment's footer fails its check";
    }
    /* With what failed its check not all is counted: that is told as damage. */
    return fact->whole && fact->segment->footer.records != fact->records
               ? "a segment's footer counts other records than there are"
               : NULL;
}

static bool footer_has_damage(const struct clg_facts *facts, const struct clg_fact_segment *fact)
{
    CLG_ASSERT(facts->range_count <= facts->range_room);
    for (size_t i = 0; i < facts->range_count; i++) {
        const struct clg_fact_range *range = &facts->ranges[i];
        if (range->from < fact->base + fact->bytes && range->to > fact->base) {
            return true;
        }
    }
    return false;
}

void clg_plan_footers(struct plan_make *m, enum clg_plan_kind kind)
{
    const struct clg_facts *facts = m->facts;
    CLG_ASSERT(kind == CLG_STEP_QUARANTINE_RANGE || kind == CLG_STEP_CLEAR_FOOTER);
    for (size_t i = m->oldest; i < facts->segment_count; i++) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        uint64_t end = fact->base + fact->bytes;
        if (fact->segment == NULL || fact->footer_code == COMMITLOG_ENOTFOUND ||
            end > m->plan->end) {
            continue;
        }
        bool seen = fact->whole || footer_has_damage(facts, fact);
        if (seen && (clg_plan_footer_wrong(fact) != NULL || !fact->whole)) {
            clg_plan_add(m, kind, end - CLG_SEGMENT_FOOTER, end, i);
            m->plan->quarantine_bytes += kind == CLG_STEP_QUARANTINE_RANGE ? CLG_SEGMENT_FOOTER : 0;
        }
    }
    CLG_ASSERT(m->oldest <= facts->segment_count);
}
