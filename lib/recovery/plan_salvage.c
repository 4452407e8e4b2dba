/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan_salvage.c -- the steps of salvage: what is damaged becomes holes, what is missing segments
 * of holes. Pure. See plan.h.
 *
 * Invariants: 1. what a hole replaces in a file is in quarantine before; 2. no place that was
 * durable is given out again.
 */
#include "base/invariant.h"
#include "format/limits.h"
#include "recovery/facts_internal.h"
#include "recovery/plan_internal.h"

/* 128 TiB in the largest segments there are. */
#define PLAN_FILL_MAX UINT64_C(4096)

/* A run of missing positions becomes segments that hold nothing; the next round fills them with
 * holes. */
static void plan_fill_gap(struct plan_make *m, uint64_t from, uint64_t to)
{
    CLG_ASSERT(from < to);
    if ((to - from) / CLG_SEGMENT_MAX >= PLAN_FILL_MAX) {
        m->wide_gap = true;
        return;
    }
    while (from < to) {
        uint64_t piece = clg_min_u64(to - from, CLG_SEGMENT_MAX);
        if (to - from > piece && to - from - piece < CLG_SEGMENT_MIN) {
            piece -= CLG_SEGMENT_MIN;
        }
        clg_plan_add(m, CLG_STEP_CREATE_SEGMENT, from, from + piece, 0);
        from += piece;
    }
    CLG_ASSERT(from == to);
}

/* The newest files are missing, with what had been durable in them: so that its place is not given
 * out again, the log goes on behind it. */
static void plan_fill_end(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    const struct clg_fact_segment *last = &facts->segments[facts->segment_count - 1];
    uint64_t end = last->base + last->bytes;
    uint64_t bytes = m->options->segment_bytes;
    CLG_ASSERT(facts->segment_count > m->oldest);
    if (facts->witness <= end + CLG_SEGMENT_DATA_START) {
        return;
    }
    if (bytes == 0) {
        bytes = facts->have_checkpoint ? facts->checkpoint.segment_bytes : CLG_SEGMENT_DEFAULT;
    }
    uint64_t room = CLG_RECORD_MIN + CLG_SEGMENT_FOOTER;
    uint64_t to = clg_align_up(facts->witness + room, CLG_SEGMENT_ALIGN);
    plan_fill_gap(m, end, clg_max_u64(to, end + bytes));
    CLG_ASSERT(facts->witness < to);
}

/* The oldest files are missing, and what the stage alone has belongs in part into one of them: it
 * gets a segment to be restored into, which begins where one may have begun. The salt that its
 * checks need is known to the successor. */
static void plan_fill_front(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    const struct clg_fact_segment *oldest = &facts->segments[m->oldest];
    uint64_t written = facts->live.written;
    if (!facts->live.usable || facts->live.engine != CLG_ENGINE_STAGED ||
        written == facts->live.claimed || written < CLG_SEGMENT_DATA_START ||
        oldest->base < CLG_SEGMENT_MIN ||
        written > oldest->base - CLG_SEGMENT_FOOTER - CLG_RECORD_MIN) {
        return;
    }
    uint64_t from = clg_align_down(written - CLG_SEGMENT_DATA_START, CLG_SEGMENT_ALIGN);
    uint64_t lost = written - CLG_SEGMENT_DATA_START - from;
    if (lost > 0 && lost < CLG_RECORD_MIN && from > 0) { /* no room for the hole */
        from -= CLG_SEGMENT_ALIGN;
    }
    from = clg_min_u64(from, oldest->base - CLG_SEGMENT_MIN);
    if (from + CLG_SEGMENT_DATA_START >= facts->first) {
        plan_fill_gap(m, from, oldest->base);
    }
}

bool clg_plan_fill_gaps(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    size_t before = m->plan->step_count;
    if (m->front_gap) {
        plan_fill_front(m);
    }
    for (size_t i = m->oldest; i + 1 < facts->segment_count; i++) {
        uint64_t end = facts->segments[i].base + facts->segments[i].bytes;
        uint64_t next = facts->segments[i + 1].base;
        if (end < next && clg_segment_size_ok(clg_min_u64(next - end, CLG_SEGMENT_MAX))) {
            plan_fill_gap(m, end, next);
        }
    }
    if (facts->segment_count > m->oldest) {
        plan_fill_end(m);
    }
    CLG_ASSERT(m->plan->step_count >= before);
    return m->plan->step_count > before;
}

bool clg_plan_leaves_nothing(const struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    bool some = false;
    for (size_t i = m->oldest; i < facts->segment_count; i++) {
        if (facts->segments[i].segment != NULL) {
            return false;
        }
        some = some || facts->segments[i].nonzero;
    }
    return some && !facts->have_checkpoint;
}

bool clg_plan_lost_front(const struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    uint64_t told = clg_max_u64(facts->first_record, CLG_SEGMENT_DATA_START);
    return m->plan->first > told && (m->front_gap || facts->scan_from <= facts->first);
}

/* What was durable behind the last record that verifies is lost, but its place is not given out
 * again: it becomes a hole, with queue and offset where a header still tells. */
void clg_plan_salvage_end(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    const struct clg_fact_segment *fact = clg_facts_segment_at(facts, facts->witness);
    CLG_ASSERT(m->options->mode == COMMITLOG_RECOVER_SALVAGE);
    if (fact == NULL || fact->segment == NULL || facts->witness <= m->plan->end) {
        return;
    }
    uint64_t start = fact->base + CLG_SEGMENT_DATA_START;
    uint64_t next = fact->base + fact->bytes + CLG_SEGMENT_DATA_START;
    bool fits = facts->witness <= next - CLG_SEGMENT_GAP - CLG_RECORD_MIN;
    m->plan->end = fits ? clg_max_u64(facts->witness, start) : next;
    CLG_ASSERT(m->plan->end >= facts->witness);
}

static bool plan_becomes_hole(const struct plan_make *m, const struct clg_fact_range *range)
{
    return range->kind != CLG_RANGE_SEGMENT && range->from < m->plan->end;
}

bool clg_plan_salvage_has_more(const struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    bool some = false;
    for (size_t i = 0; facts->more_ranges && !some && i < facts->range_count; i++) {
        some = plan_becomes_hole(m, &facts->ranges[i]);
    }
    return some;
}

void clg_plan_salvage_ranges(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    CLG_ASSERT(m->options->mode == COMMITLOG_RECOVER_SALVAGE);
    for (size_t i = 0; i < facts->range_count; i++) {
        const struct clg_fact_range *range = &facts->ranges[i];
        uint64_t to = clg_min_u64(range->to, m->plan->end);
        if (plan_becomes_hole(m, range)) {
            clg_plan_add(m, CLG_STEP_QUARANTINE_RANGE, range->from, to, i);
            m->plan->quarantine_bytes += to - range->from;
        }
    }
    for (size_t i = 0; i < facts->range_count; i++) {
        const struct clg_fact_range *range = &facts->ranges[i];
        if (!plan_becomes_hole(m, range)) {
            continue;
        }
        clg_plan_add(m, CLG_STEP_SALVAGE_HOLE, range->from, clg_min_u64(range->to, m->plan->end),
                     i);
        if (m->rc == 0) {
            struct clg_plan_step *step = &m->plan->steps[m->plan->step_count - 1];
            step->queue = range->queue;
            step->queue_offset = range->queue_offset;
        }
    }
}
