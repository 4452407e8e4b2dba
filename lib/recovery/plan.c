/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan.c -- from facts to a verdict and the steps that follow from it. See plan.h.
 *
 * The text of a plan is in plan_text.c.
 */
#include "recovery/plan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/limits.h"
#include "recovery/facts_internal.h"
#include "recovery/plan_internal.h"

#define PLAN_TORN_BLOCKS 2u

void clg_plan_add(struct plan_make *m, enum clg_plan_kind kind, uint64_t from, uint64_t to,
                  size_t index)
{
    struct clg_plan *plan = m->plan;
    if (m->rc != 0) {
        return;
    }
    CLG_ASSERT(plan->step_count <= plan->step_room);
    void *items = plan->steps;
    m->rc = clg_facts_grow(plan->os, &items, plan->step_count, &plan->step_room,
                           sizeof(*plan->steps), m->err);
    plan->steps = items;
    if (m->rc != 0) {
        return;
    }
    struct clg_plan_step *step = &plan->steps[plan->step_count++];
    memset(step, 0, sizeof(*step));
    step->kind = kind;
    step->from = from;
    step->to = to;
    step->index = index;
    step->queue = CLG_QUEUE_NONE;
    CLG_ASSERT(plan->step_count <= plan->step_room);
}

static void plan_refuse(struct plan_make *m, int code, const char *reason, uint64_t position)
{
    struct clg_plan *plan = m->plan;
    CLG_ASSERT(code < 0);
    CLG_ASSERT(reason != NULL);
    plan->code = code;
    plan->reason_position = position;
    (void)snprintf(plan->reason, sizeof(plan->reason), "%s (position %" PRIu64 ")", reason,
                   position);
}

/* A file without a header at the very end, above all that is known durable, and without anything
 * behind it: its creation failed. A file is flushed before it gets its name: one that has records
 * had a header.
 * One with an intact header that does not fit its name, or with two that differ, was made whole;
 * one whose header the device does not give may have been. */
bool clg_plan_is_leftover(const struct clg_facts *facts, size_t index)
{
    const struct clg_fact_segment *fact = &facts->segments[index];
    CLG_ASSERT(index < facts->segment_count);
    CLG_ASSERT(fact->segment != NULL || fact->state > CLG_SEGMENT_SHORT);
    return fact->segment == NULL && index + 1 == facts->segment_count &&
           fact->base + CLG_SEGMENT_DATA_START >= facts->witness &&
           fact->base + CLG_SEGMENT_DATA_START >= facts->first &&
           (!fact->has_data || CLG_PLANTED(HEADLESS_DROPPED)) &&
           fact->state != CLG_SEGMENT_NO_FILE && fact->state != CLG_SEGMENT_ODD &&
           fact->state != CLG_SEGMENT_LINKED && fact->state != CLG_SEGMENT_MISNAMED &&
           fact->state != CLG_SEGMENT_DISAGREE && fact->state != CLG_SEGMENT_UNREADABLE;
}

static const char *plan_segment_damage(const struct plan_make *m, size_t i)
{
    const struct clg_facts *facts = m->facts;
    const struct clg_fact_segment *fact = &facts->segments[i];
    CLG_ASSERT(i < facts->segment_count);
    if ((fact->segment == NULL && !clg_plan_is_leftover(facts, i)) || fact->rebuilt) {
        return clg_segment_state_text(fact->state);
    }
    if (fact->state == CLG_SEGMENT_SHORT && fact->base + fact->file_bytes < facts->witness) {
        return "a segment file was cut short";
    }
    return NULL;
}

static void plan_anomaly(struct plan_make *m, const char *what, uint64_t position)
{
    CLG_ASSERT(what != NULL);
    if (m->anomaly == NULL) {
        m->anomaly = what;
        m->anomaly_position = position;
    }
    CLG_ASSERT(m->anomaly != NULL);
}

static void plan_find_anomalies(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    for (size_t i = m->oldest; i < facts->segment_count; i++) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        if (fact->state != CLG_SEGMENT_GOOD) {
            plan_anomaly(m, clg_segment_state_text(fact->state), fact->base);
        } else if (clg_plan_footer_wrong(fact) != NULL) {
            plan_anomaly(m, clg_plan_footer_wrong(fact), fact->base);
        }
    }
    bool torn = false;
    const char *wrong = clg_facts_checkpoint_wrong(facts, &torn);
    if (wrong != NULL && !torn) {
        plan_anomaly(m, wrong, m->end);
    }
    if (facts->claim_count > 0) {
        plan_anomaly(m, "a writer died between claim and commit", facts->claims[0].position);
    }
    if (clg_facts_live_lost(facts) != NULL) {
        plan_anomaly(m, clg_facts_live_lost(facts), m->end);
    }
    if (!facts->tail_zero) {
        plan_anomaly(m, facts->end_why != NULL ? facts->end_why : "bytes behind the end", m->end);
    }
    CLG_ASSERT(m->oldest <= facts->segment_count);
}

/* The verdict: where the log ends, and whether that contradicts what was durable. */
static void plan_judge(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    struct clg_plan *plan = m->plan;
    const char *damage = NULL;
    uint64_t at = facts->prefix_end;
    m->end = facts->prefix_end;
    while (m->oldest < facts->segment_count &&
           clg_facts_is_below(facts, &facts->segments[m->oldest])) {
        m->oldest++;
    }
    m->front_gap = facts->gap && m->oldest < facts->segment_count &&
                   facts->segments[m->oldest].base + CLG_SEGMENT_DATA_START > facts->first;
    for (size_t i = facts->segment_count; i-- > m->oldest;) {
        const char *found = plan_segment_damage(m, i);
        if (found != NULL) {
            damage = found;
            at = facts->segments[i].base;
        }
    }
    for (size_t i = m->oldest; i + 1 < facts->segment_count; i++) {
        if (facts->segments[i].base + facts->segments[i].bytes != facts->segments[i + 1].base) {
            m->inner_gap = true;
            at = facts->segments[i].base + facts->segments[i].bytes;
        }
    }
    if (m->inner_gap || m->front_gap) {
        damage = "a segment is missing";
        at = m->inner_gap ? at : facts->first;
    }
    for (size_t i = facts->segment_count; i-- > m->oldest;) {
        if (clg_facts_is_stray(facts, i)) {
            damage = "a file in log/ is named into another segment and is none: move it away";
            at = facts->segments[i].base;
        }
    }
    if (facts->claim_count > 0 &&
        facts->claims[0].position < clg_min_u64(facts->witness, facts->prefix_end)) {
        /* Flushed, says a witness; not even committed, says the word: the word is wrong. */
        m->end = facts->claims[0].position;
    }
    /* A write that was torn may leave a sector or two that do not read. When there are more, or
     * CHECKPOINT does not read either, the witness may be what is missing, and it may come back. */
    bool blind = facts->unread_slots > 0 && facts->end_reason == CLG_END_UNREADABLE;
    if ((blind || facts->unread_blocks > PLAN_TORN_BLOCKS) && !CLG_PLANTED(BLIND_CUT)) {
        damage = damage != NULL ? damage : "too much behind it cannot be read to call it torn";
        at = m->end;
    }
    if (m->end < facts->witness && !CLG_PLANTED(NO_WATERMARK)) {
        damage = damage != NULL ? damage : facts->end_why;
        at = m->end;
    }
    m->damaged = damage != NULL;
    if (m->damaged) {
        plan->tail = COMMITLOG_TAIL_DAMAGED;
        plan_anomaly(m, damage, at);
        plan->reason_position = at;
        (void)snprintf(plan->reason, sizeof(plan->reason),
                       "acknowledged data is damaged: %s (position %" PRIu64 ")", damage, at);
    } else if (facts->tail_zero && clg_facts_live_lost(facts) == NULL) {
        plan->tail = COMMITLOG_TAIL_CLEAN;
    } else {
        /* Beside the positions of the writer itself nothing proves that a record was not yet
         * acknowledged: its witnesses may be what was lost. */
        plan->tail = facts->live.usable && clg_facts_live_lost(facts) == NULL
                         ? COMMITLOG_TAIL_TORN
                         : COMMITLOG_TAIL_UNPROVABLE;
    }
    CLG_ASSERT(m->end <= facts->prefix_end);
}

/* --- steps --- */

static void plan_leftovers(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    for (size_t i = 0; i < facts->tmp_count; i++) {
        clg_plan_add(m, CLG_STEP_REMOVE_TMP, i, i, i);
    }
    CLG_ASSERT(m->oldest <= facts->segment_count);
}

/* Files that must change their shape before records can be judged; true if there are any. */
static bool plan_reshape(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    size_t before = m->plan->step_count;
    CLG_ASSERT(!m->options->read_only);
    for (size_t i = m->oldest; i < facts->segment_count; i++) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        if (fact->state == CLG_SEGMENT_SHORT || fact->cut) { /* its header, when it is whole */
            clg_plan_add(m, CLG_STEP_EXTEND, fact->base, fact->base + fact->bytes, i);
        } else if (fact->segment != NULL &&
                   (fact->rebuilt || fact->state == CLG_SEGMENT_ONE_COPY)) {
            if (fact->rebuilt) {
                clg_plan_add(m, CLG_STEP_QUARANTINE_RANGE, fact->base,
                             fact->base + CLG_SEGMENT_DATA_START, i);
                m->plan->quarantine_bytes += CLG_SEGMENT_DATA_START;
            }
            clg_plan_add(m, CLG_STEP_REPAIR_HEADER, fact->base, fact->base + fact->bytes, i);
        } else if (fact->segment == NULL) {
            if (fact->nonzero) {
                clg_plan_add(m, CLG_STEP_QUARANTINE_FILE, fact->base, fact->base + fact->bytes, i);
                m->plan->quarantine_bytes += fact->file_bytes;
            }
            clg_plan_add(m, CLG_STEP_UNLINK, fact->base, fact->base + fact->bytes, i);
        }
    }
    return m->plan->step_count > before;
}

/* What the dead writer had staged or claimed, up to the end of what is kept. */
static void plan_stage(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    CLG_ASSERT(!m->options->read_only);
    const uint64_t end = m->plan->end;
    for (size_t i = 0; i < facts->staged_count && facts->staged[i].from < end; i++) {
        CLG_ASSERT(facts->staged[i].from < facts->staged[i].to);
        clg_plan_add(m, CLG_STEP_RESTORE, facts->staged[i].from, facts->staged[i].to, i);
    }
    for (size_t i = 0; i < facts->claim_count && facts->claims[i].position < end; i++) {
        uint64_t at = facts->claims[i].position;
        clg_plan_add(m, CLG_STEP_HOLE, at, at + facts->claims[i].size, i);
    }
}

/* First segment behind the one that holds `end` that is not an empty one ready for use. */
static size_t plan_first_dirty(const struct plan_make *m, size_t active)
{
    const struct clg_facts *facts = m->facts;
    size_t i = active + 1;
    CLG_ASSERT(active < facts->segment_count);
    /* One prepared segment is of use; what lies behind it would only be in the way. */
    if (i < facts->segment_count && facts->segments[i].segment != NULL &&
        !facts->segments[i].nonzero &&
        facts->segments[i].base == facts->segments[active].base + facts->segments[active].bytes) {
        i++;
    }
    return i;
}

static void plan_cut(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    struct clg_plan *plan = m->plan;
    size_t active = m->oldest;
    while (active < facts->segment_count &&
           facts->segments[active].base + facts->segments[active].bytes <= plan->end) {
        active++;
    }
    if (active == facts->segment_count) {
        return; /* the log ends where no file is: plan_end creates one */
    }
    const struct clg_fact_segment *fact = &facts->segments[active];
    CLG_ASSERT(fact->segment != NULL);
    size_t dirty = plan_first_dirty(m, active);
    bool zero = fact->nonzero && fact->used_end > plan->end;
    if (zero) {
        clg_plan_add(m, CLG_STEP_QUARANTINE_RANGE, plan->end, fact->used_end, active);
        plan->bytes_cut += fact->used_end - plan->end;
    }
    for (size_t i = dirty; i < facts->segment_count; i++) {
        const struct clg_fact_segment *later = &facts->segments[i];
        uint64_t start = later->base + CLG_SEGMENT_DATA_START;
        if (later->nonzero && later->used_end > start) {
            clg_plan_add(m, CLG_STEP_QUARANTINE_RANGE, start, later->used_end, i);
            plan->bytes_cut += later->used_end - start;
        }
    }
    plan->quarantine_bytes += plan->bytes_cut;
    for (size_t i = 0; i < facts->staged_count; i++) {
        const struct clg_fact_staged *run = &facts->staged[i];
        if (run->from >= plan->end) { /* kept nowhere else */
            clg_plan_add(m, CLG_STEP_QUARANTINE_STAGED, run->from, run->to, i);
            plan->quarantine_bytes += run->to - run->from;
        }
    }
    if (zero) {
        clg_plan_add(m, CLG_STEP_ZERO, plan->end, fact->base + fact->bytes, active);
    }
    for (size_t i = facts->segment_count; i-- > dirty;) {
        clg_plan_add(m, CLG_STEP_UNLINK, facts->segments[i].base,
                     facts->segments[i].base + facts->segments[i].bytes, i);
    }
}

/* Closed, sound, and nobody wants to append: recovering it once more changes nothing. */
static bool plan_is_closed(const struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    CLG_ASSERT(!m->options->read_only);
    return m->options->close && facts->clean && !facts->is_outrun && !m->damaged &&
           m->plan->step_count == 0 && m->plan->first == facts->checkpoint.first &&
           m->plan->end == facts->checkpoint.durable;
}

static void plan_end(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    struct clg_plan *plan = m->plan;
    CLG_ASSERT(plan->first <= plan->end);
    if (!facts->clean && facts->same_boot) {
        /* A salvage that came to no end may have left holes anywhere, in the cache alone. */
        uint64_t sure = clg_max_u64(plan->first, facts->checkpoint.salvaging ? 0 : facts->sure);
        if (facts->straddled && facts->straddling < sure) {
            sure = clg_max_u64(plan->first, facts->straddling);
        }
        for (size_t i = 0; i < facts->range_count; i++) {
            /* A record begins where the hole does that salvage makes of it, not inside. */
            if (facts->ranges[i].from < sure && sure < facts->ranges[i].to) {
                sure = clg_max_u64(plan->first, facts->ranges[i].from);
            }
        }
        if (sure < plan->end) {
            clg_plan_add(m, CLG_STEP_REWRITE, sure, plan->end, 0);
            plan->bytes_rewritten = plan->end - sure;
        }
    }
    uint64_t from = clg_min_u64(facts->scan_from, plan->end);
    if (!facts->clean && from > plan->first + CLG_SEGMENT_GAP) {
        /* With the segment before: its footer may have been written, but not flushed. */
        const struct clg_fact_segment *fact = clg_facts_segment_at(facts, from);
        from = fact != NULL && fact->base > 0 ? clg_max_u64(plan->first, fact->base - 1) : from;
    }
    clg_plan_add(m, CLG_STEP_FLUSH, from, plan->end, 0);
    if (m->options->close || m->options->mode == COMMITLOG_RECOVER_SALVAGE) {
        clg_plan_footers(m, CLG_STEP_CLEAR_FOOTER);
    }
    if (clg_facts_segment_at(facts, plan->end) == NULL) {
        uint64_t bytes = m->options->segment_bytes;
        if (bytes == 0) {
            bytes = facts->have_checkpoint ? facts->checkpoint.segment_bytes : CLG_SEGMENT_DEFAULT;
        }
        uint64_t base = plan->end - CLG_SEGMENT_DATA_START;
        clg_plan_add(m, CLG_STEP_CREATE_SEGMENT, base, base + bytes, 0);
    }
    clg_plan_add(m, CLG_STEP_CHECKPOINT, plan->first, plan->end, 0);
    /* Last: the position that makes them superfluous is durable then. */
    for (size_t i = 0; i < m->oldest; i++) {
        if (facts->segments[i].state != CLG_SEGMENT_ODD) {
            clg_plan_add(m, CLG_STEP_DELETE_BELOW, facts->segments[i].base,
                         facts->segments[i].base + facts->segments[i].bytes, i);
        }
    }
}

/* Something that is not the store's, or not only, has the name of a segment: what is behind a link
 * may be the very records that are missing. Whose it is decides; a salvage would remove it. */
static bool plan_is_foreign(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    CLG_ASSERT(m->oldest <= facts->segment_count);
    for (size_t i = m->oldest; i < facts->segment_count; i++) {
        enum clg_segment_state state = facts->segments[i].state;
        if (state == CLG_SEGMENT_ODD || state == CLG_SEGMENT_LINKED) {
            char reason[160];
            (void)snprintf(reason, sizeof(reason),
                           "%s: put a file in its place or move it out of log/ first",
                           clg_segment_state_text(state));
            plan_refuse(m, COMMITLOG_EDAMAGED, reason, facts->segments[i].base);
            return true;
        }
    }
    return false;
}

/* Behind the pad of a segment the log goes on in the next one. */
static uint64_t plan_behind_pad(const struct clg_facts *facts, uint64_t end)
{
    const struct clg_fact_segment *last = clg_facts_segment_at(facts, end);
    CLG_ASSERT(end <= CLG_POSITION_MAX);
    return last != NULL && end == last->base + last->bytes - CLG_SEGMENT_FOOTER
               ? end + CLG_SEGMENT_GAP
               : end;
}

/* A writer's steps when records decide everything. */
static void plan_writer(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    struct clg_plan *plan = m->plan;
    bool salvage = m->options->mode == COMMITLOG_RECOVER_SALVAGE;
    if (plan_is_foreign(m)) {
        return;
    }
    if (salvage && clg_plan_leaves_nothing(m)) {
        plan_refuse(m, COMMITLOG_EDAMAGED, "no file of the log is the segment of its name",
                    facts->prefix_end);
        return;
    }
    plan_leftovers(m);
    bool again = plan_reshape(m) || (salvage && clg_plan_fill_gaps(m));
    if (m->rc != 0) {
        return; /* what is missing in the list would be taken for what is not to be done */
    }
    if (again && !m->wide_gap) {
        plan->again = true;
        return;
    }
    if (m->inner_gap || m->wide_gap) {
        plan_refuse(m, COMMITLOG_EDAMAGED, "a gap that no segment can fill", facts->prefix_end);
        plan->step_count = 0;
        return;
    }
    if (m->front_gap) {
        CLG_ASSERT(salvage);
        plan->first = facts->segments[m->oldest].base + CLG_SEGMENT_DATA_START;
    }
    /* Or one says more than was done: its writer died before the checkpoint. */
    plan->first_untold = facts->have_checkpoint &&
                         (facts->checkpoint.first_untold || facts->first_record > facts->first);
    plan->end = facts->prefix_end;
    if (salvage) {
        plan->end = plan_behind_pad(facts, clg_max_u64(facts->valid_end, plan->first));
        if (facts->segment_count == m->oldest && plan->end < facts->witness) {
            /* Every file is gone: go on above all positions that were ever handed out. */
            plan->end = clg_align_up(facts->witness, CLG_SEGMENT_ALIGN) + CLG_SEGMENT_DATA_START;
            plan->first = plan->end;
        }
        clg_plan_salvage_end(m);
        plan->first_untold = plan->first_untold || clg_plan_lost_front(m);
    }
    plan->again = salvage && clg_plan_salvage_has_more(m);
    if ((salvage || m->options->close) && !plan->again) {
        clg_plan_footers(m, CLG_STEP_QUARANTINE_RANGE);
    }
    if (salvage) {
        clg_plan_salvage_ranges(m);
    }
    if (plan->again) {
        return;
    }
    plan->records_cut = plan->end == facts->prefix_end ? facts->records_behind : 0;
    plan_stage(m);
    plan_cut(m);
    if (plan_is_closed(m)) {
        plan->epoch = facts->checkpoint.epoch;
        return;
    }
    plan_end(m);
}

static void plan_reader(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    struct clg_plan *plan = m->plan;
    CLG_ASSERT(m->options->read_only);
    plan->end = m->damaged ? plan_behind_pad(facts, facts->valid_end) : facts->prefix_end;
    plan->serve_end = plan->end;
    if (facts->staged_count > 0) {
        /* Only in the memory of a dead writer: no reader can borrow that from a segment. */
        plan->serve_end = clg_min_u64(plan->serve_end, facts->staged[0].from);
    }
    if (facts->claim_count > 0) {
        plan->serve_end = clg_min_u64(plan->serve_end, facts->claims[0].position);
    }
    if (!facts->clean && facts->same_boot) {
        plan->serve_end = clg_min_u64(plan->serve_end, clg_max_u64(facts->witness, facts->first));
    }
    plan->unrecovered_bytes = plan->end - plan->serve_end;
    CLG_ASSERT(plan->serve_end <= plan->end);
}

static void plan_new(struct plan_make *m)
{
    struct clg_plan *plan = m->plan;
    CLG_ASSERT(m->facts->is_new);
    if (m->options->read_only) {
        plan_refuse(m, COMMITLOG_ENOTFOUND, "the creation of the store was never finished", 0);
        return;
    }
    uint64_t bytes =
        m->options->segment_bytes != 0 ? m->options->segment_bytes : CLG_SEGMENT_DEFAULT;
    plan->tail = COMMITLOG_TAIL_CLEAN;
    plan->first = CLG_SEGMENT_DATA_START;
    plan->end = plan->first;
    plan->serve_end = plan->end;
    plan_leftovers(m);
    clg_plan_add(m, CLG_STEP_CREATE_SEGMENT, 0, bytes, 0);
    clg_plan_add(m, CLG_STEP_CHECKPOINT, plan->first, plan->end, 0);
    CLG_ASSERT(plan->epoch == 1);
}

static void plan_decide(struct plan_make *m)
{
    const struct clg_facts *facts = m->facts;
    struct clg_plan *plan = m->plan;
    CLG_ASSERT(plan->step_count == 0);
    if (facts->writer_live) {
        CLG_ASSERT(m->options->read_only);
        plan->end = facts->prefix_end;
        plan->serve_end = facts->prefix_end;
        return;
    }
    if (facts->is_new) {
        plan_new(m);
        return;
    }
    plan_judge(m);
    plan_find_anomalies(m);
    plan->end = m->end;
    plan->serve_end = m->end;
    if (m->options->mode == COMMITLOG_RECOVER_STRICT && m->anomaly != NULL) {
        plan_refuse(m, COMMITLOG_EDAMAGED, m->anomaly, m->anomaly_position);
    } else if (m->options->read_only) {
        plan_reader(m);
    } else if (m->damaged && m->options->mode != COMMITLOG_RECOVER_SALVAGE) {
        plan->code = COMMITLOG_EDAMAGED;
    } else {
        plan_writer(m);
        plan->serve_end = plan->end;
    }
}

int clg_plan_make(const struct clg_facts *facts, const struct clg_plan_options *options,
                  struct clg_plan *out, struct commitlog_error *err)
{
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(options->mode <= COMMITLOG_RECOVER_SALVAGE);
    memset(out, 0, sizeof(*out));
    out->os = facts->os;
    if (!options->read_only && facts->max_epoch > UINT32_MAX - 2) {
        return clg_fail(err, COMMITLOG_ELIMIT, 0, CLG_NO_POSITION,
                        "epoch %u: no session of a writer can follow", facts->max_epoch);
    }
    out->first = facts->first;
    out->witness = facts->witness;
    /* A slot that is lost may have been the newer one, of a session above the one that is known. */
    out->epoch = facts->max_epoch + (facts->bad_slots > 0 && !CLG_PLANTED(SLOT_EPOCH) ? 2 : 1);
    struct plan_make m;
    memset(&m, 0, sizeof(m));
    m.facts = facts;
    m.options = options;
    m.plan = out;
    m.err = err;
    plan_decide(&m);
    if (m.rc != 0) {
        clg_plan_free(out);
    }
    return m.rc;
}

void clg_plan_free(struct clg_plan *plan)
{
    CLG_ASSERT(plan->os != NULL);
    CLG_ASSERT(plan->step_count <= plan->step_room);
    plan->os->free(plan->os, plan->steps);
    plan->steps = NULL;
    plan->step_count = 0;
    plan->step_room = 0;
}
