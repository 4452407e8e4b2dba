/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recover.c -- the recovery pass: facts -> plan -> run, in rounds. See recover.h.
 *
 * Most stores need one round. A second one follows when files had to change their shape before
 * records could be judged, when a salvage has more damage than one list holds, or when bytes that
 * were rewritten did not read back.
 */
#include "recovery/recover.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "recovery/facts_internal.h"
#include "segment/segment_name.h"
#include "view/checkpoint_file.h"

#define RECOVER_ROUNDS_MAX 1024u
#define RECOVER_READ_BACKS 3u
#define RECOVER_WRITER_RACES 5u
#define RECOVER_LINE_BYTES 256u

struct recover {
    struct clg_store_dir *dir;
    const struct clg_recovery_options *options;
    struct clg_segment_set *set;
    struct clg_recovery_result *out;
    struct clg_facts facts;
    struct clg_plan plan;
    struct clg_run_counts counts;
    struct clg_checkpoint checkpoint; /* newest on disk */
    bool deferred;                    /* it is still to be written */
    bool have_facts;
    bool have_plan;
    bool unchanged; /* there was nothing to be done */
    bool full;      /* scan everything: files were rebuilt below the checkpoint */
    bool refold;
    bool created;
    uint64_t bytes_cut; /* over all rounds */
    uint64_t records_cut;
    /* Damage that was told, by its place: a round that follows another one finds again what that
     * one has told. */
    struct recover_told {
        uint64_t from;
        uint64_t to;
    } * told;
    size_t told_count;
    size_t told_room;
    uint32_t worst_tail;
    struct commitlog_error *err;
};

static const char *recover_range_reason(enum clg_range_kind kind)
{
    switch (kind) {
    case CLG_RANGE_BODY:
        return "the record's content fails its check";
    case CLG_RANGE_HEADER:
        return "no record verifies here";
    case CLG_RANGE_UNREADABLE:
        return "the device does not give these bytes";
    case CLG_RANGE_CLAIMED:
        return "claimed, never committed, and its writer is unknown";
    case CLG_RANGE_BATCH:
        return "a record of this batch is damaged";
    case CLG_RANGE_MEMBER:
        return "the header of the batch it belongs to is damaged";
    case CLG_RANGE_SEGMENT:
        return "the segment or its header is missing";
    }
    return "damaged";
}

void clg_recovery_damage(const struct clg_fact_range *range, struct commitlog_damage *out)
{
    memset(out, 0, sizeof(*out));
    CLG_ASSERT(range->from <= range->to);
    out->struct_bytes = sizeof(*out);
    out->queue = range->queue;
    out->from_position = range->from;
    out->to_position = range->to;
    if (range->queue != CLG_QUEUE_NONE) {
        out->from_offset = range->queue_offset;
        out->to_offset = range->queue_offset + 1;
    }
    (void)snprintf(out->reason, sizeof(out->reason), "%s", recover_range_reason(range->kind));
    CLG_ASSERT(out->reason[0] != '\0');
}

/* 1: within what was told. Otherwise it is now: 0, or COMMITLOG_ENOMEM. */
static int recover_tell(struct recover *v, uint64_t from, uint64_t to)
{
    size_t at = 0;
    void *items = v->told;
    for (size_t high = v->told_count; at < high;) {
        size_t middle = at + (high - at) / 2;
        if (v->told[middle].from <= from) {
            at = middle + 1;
        } else {
            high = middle;
        }
    }
    if (at > 0 && v->told[at - 1].to >= to) {
        return 1;
    }
    int rc =
        clg_facts_grow(v->dir->os, &items, v->told_count, &v->told_room, sizeof(*v->told), v->err);
    v->told = items;
    if (rc == 0) {
        memmove(v->told + at + 1, v->told + at, (v->told_count - at) * sizeof(*v->told));
        v->told[at] = (struct recover_told){from, to};
        v->told_count++;
    }
    return rc;
}

static int recover_report_range(struct recover *v, const struct clg_fact_range *range)
{
    const struct clg_recovery_report *report = v->options->report;
    struct commitlog_damage damage;
    int rc = recover_tell(v, range->from, range->to);
    if (rc != 0) {
        return rc < 0 ? rc : 0;
    }
    clg_recovery_damage(range, &damage);
    if (report != NULL && report->damage(report->ctx, &damage) != 0) {
        return clg_fail(v->err, COMMITLOG_ENOMEM, ENOMEM, CLG_NO_POSITION, "report");
    }
    return 0;
}

static int recover_report_segment(struct recover *v, uint64_t from, uint64_t to)
{
    struct clg_fact_range range;
    memset(&range, 0, sizeof(range));
    CLG_ASSERT(from < to);
    range.from = from;
    range.to = to;
    range.queue = CLG_QUEUE_NONE;
    range.kind = CLG_RANGE_SEGMENT;
    return recover_report_range(v, &range);
}

/* Beside a live writer retention may have taken the files after CHECKPOINT was read. It raises the
 * first position before it removes a file, there and then in its live area, which was read after
 * the files were listed: what is missing above both is lost. The slot of CHECKPOINT that says it
 * may be lost. */
static int recover_report_live(struct recover *v, uint64_t from, uint64_t to)
{
    uint64_t now = 0;
    CLG_ASSERT(v->facts.writer_live);
    int rc = clg_checkpoint_first_now(v->dir->os, v->dir->dir_fd, v->facts.uuid, &now, v->err);
    if (rc != 0) {
        return rc;
    }
    now = clg_max_u64(now, v->facts.live.first); /* 0: it is not to be seen */
    v->plan.first = clg_min_u64(clg_max_u64(v->plan.first, now), v->plan.end);
    uint64_t first = clg_max_u64(from, now - CLG_SEGMENT_DATA_START);
    return first < to ? recover_report_segment(v, first, to) : 0;
}

/* Files before `upto` that are missing, or of which no header is left (one range for both: a run of
 * them says nothing new). */
static int recover_report_gaps(struct recover *v, uint64_t upto)
{
    const struct clg_facts *facts = &v->facts;
    /* Everything before it is there, or was reported. */
    uint64_t next = clg_align_down(facts->first, CLG_SEGMENT_ALIGN) - CLG_SEGMENT_DATA_START;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < facts->segment_count; i++) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        uint64_t end = fact->base + fact->bytes;
        if (clg_facts_is_below(facts, fact) || clg_facts_is_stray(facts, i)) {
            continue;
        }
        if (fact->segment == NULL && end <= upto) {
            continue; /* up to where a file has a header again */
        }
        if (fact->base > next && fact->base <= upto) {
            rc = facts->writer_live ? recover_report_live(v, next, fact->base)
                                    : recover_report_segment(v, next, fact->base);
        }
        next = end;
    }
    return rc;
}

/* Everything that fails in front of something valid, or of something that had been durable. */
static int recover_report_damage(struct recover *v)
{
    uint64_t known = clg_max_u64(v->facts.valid_end, v->facts.witness);
    uint64_t lost = 0;
    CLG_ASSERT(v->plan.tail == COMMITLOG_TAIL_DAMAGED);
    int rc = recover_report_gaps(v, v->facts.scan_from); /* the scan has found those within */
    for (size_t i = 0; rc == 0 && i < v->facts.range_count; i++) {
        struct clg_fact_range range = v->facts.ranges[i];
        if (range.from >= known) {
            break;
        }
        range.to = clg_min_u64(range.to, known);
        rc = recover_report_range(v, &range);
    }
    if (rc == 0 && clg_facts_lost_end(&v->facts, &lost)) {
        rc = recover_report_segment(v, lost, v->facts.witness);
    }
    CLG_ASSERT(rc != 0 || v->facts.prefix_end >= v->facts.witness || v->told_count > 0);
    return rc;
}

/* Where nothing that had been durable is damaged, salvage makes holes as well: so that what lies
 * behind stays. */
static int recover_report_holes(struct recover *v)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < v->plan.step_count; i++) {
        const struct clg_plan_step *step = &v->plan.steps[i];
        if (step->kind == CLG_STEP_SALVAGE_HOLE) {
            struct clg_fact_range range = v->facts.ranges[step->index];
            range.to = step->to;
            rc = recover_report_range(v, &range);
        }
    }
    return rc;
}

static int recover_report(struct recover *v)
{
    const struct clg_recovery_report *report = v->options->report;
    char line[RECOVER_LINE_BYTES];
    CLG_ASSERT(v->have_facts);
    for (size_t i = 0; report != NULL && clg_plan_line(&v->plan, &v->facts, i, line, sizeof(line));
         i++) {
        if (report->line(report->ctx, line) != 0) {
            return clg_fail(v->err, COMMITLOG_ENOMEM, ENOMEM, CLG_NO_POSITION, "report");
        }
    }
    CLG_ASSERT(v->plan.os != NULL);
    if (v->facts.writer_live) {
        /* A file that came after the listing lies behind what was durable before it. */
        return v->facts.have_checkpoint ? recover_report_gaps(v, v->facts.checkpoint.durable) : 0;
    }
    return v->plan.tail == COMMITLOG_TAIL_DAMAGED ? recover_report_damage(v)
                                                  : recover_report_holes(v);
}

/* Its files cannot even be told apart: why not is all that there is to report. */
static int recover_report_refused(struct recover *v)
{
    const struct clg_recovery_report *report = v->options->report;
    uint64_t at = v->err != NULL && v->err->position != CLG_NO_POSITION ? v->err->position : 0;
    struct commitlog_damage damage = {.struct_bytes = sizeof(damage),
                                      .queue = CLG_QUEUE_NONE,
                                      .from_position = at,
                                      .to_position = at};
    (void)snprintf(damage.reason, sizeof(damage.reason), "%.*s", (int)sizeof(damage.reason) - 1,
                   v->err != NULL ? v->err->message : commitlog_error_text(COMMITLOG_EDAMAGED));
    CLG_ASSERT(!v->have_facts);
    v->worst_tail = COMMITLOG_TAIL_DAMAGED;
    if (recover_tell(v, at, at) < 0 ||
        (report != NULL && report->damage(report->ctx, &damage) != 0)) {
        return clg_fail(v->err, COMMITLOG_ENOMEM, ENOMEM, CLG_NO_POSITION, "report");
    }
    return COMMITLOG_EDAMAGED;
}

static void recover_drop_round(struct recover *v)
{
    if (v->have_plan) {
        clg_plan_free(&v->plan);
        v->have_plan = false;
    }
    if (v->have_facts) {
        clg_facts_free(&v->facts);
        v->have_facts = false;
    }
    CLG_ASSERT(!v->have_plan);
    CLG_ASSERT(!v->have_facts);
}

/* Facts and plan of one round; nothing is changed. */
static int recover_think(struct recover *v)
{
    struct clg_facts_options facts_options = {.read_only =
                                                  v->options->read_only || v->options->plan_only,
                                              .full = v->full || v->options->full,
                                              .progress = v->options->progress,
                                              .progress_ctx = v->options->progress_ctx};
    CLG_ASSERT(!v->have_facts);
    int rc = clg_facts_collect(v->dir, &facts_options, &v->facts, v->err);
    if (rc != 0) {
        return rc;
    }
    v->have_facts = true;
    struct clg_plan_options plan_options = {.mode = v->options->mode,
                                            .read_only = v->options->read_only,
                                            .close = v->options->close,
                                            .segment_bytes = v->options->segment_bytes};
    rc = clg_plan_make(&v->facts, &plan_options, &v->plan, v->err);
    v->have_plan = rc == 0;
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* The store has a name before anything of it is written. */
static int recover_name_store(struct recover *v)
{
    struct clg_segment_dir *segments = &v->dir->segment_dir;
    const struct commitlog_os *os = v->dir->os;
    CLG_ASSERT(v->dir->locked);
    if (v->facts.is_new) {
        int rc = os->random(os, segments->uuid, sizeof(segments->uuid));
        if (rc < 0) {
            return clg_fail_os(v->err, rc, CLG_NO_POSITION, "make the store's UUID");
        }
        v->created = true;
    }
    CLG_ASSERT(!clg_is_zero(segments->uuid, sizeof(segments->uuid)));
    return clg_store_dir_take_over(v->dir, segments->uuid, v->err);
}

static void recover_count(struct recover *v)
{
    CLG_ASSERT(v->have_plan);
    CLG_ASSERT(v->plan.tail <= COMMITLOG_TAIL_DAMAGED);
    v->bytes_cut += v->plan.bytes_cut;
    v->records_cut += v->plan.records_cut;
    if (v->plan.tail > v->worst_tail) {
        v->worst_tail = v->plan.tail;
    }
    if (v->plan.tail == COMMITLOG_TAIL_DAMAGED) {
        v->refold = true;
        /* What is rebuilt may lie below the checkpoint, where a scan would not look. */
        v->full = true;
    }
}

/* Writer: rounds until a plan ends with its checkpoint. */
static int recover_write(struct recover *v)
{
    uint32_t read_backs = 0;
    for (uint32_t round = 0; round < RECOVER_ROUNDS_MAX; round++) {
        recover_drop_round(v);
        int rc = recover_think(v);
        rc = rc == 0                    ? recover_report(v)
             : rc == COMMITLOG_EDAMAGED ? recover_report_refused(v)
                                        : rc;
        if (rc != 0) {
            return rc;
        }
        recover_count(v);
        if (v->plan.code != 0) {
            return clg_fail(v->err, v->plan.code, 0, v->plan.reason_position, "%s", v->plan.reason);
        }
        if (v->options->plan_only) {
            return 0;
        }
        if (v->plan.step_count == 0) {
            v->unchanged = true;
            v->checkpoint = v->facts.checkpoint;
            return 0;
        }
        rc = recover_name_store(v);
        if (rc != 0) {
            return rc;
        }
        struct clg_run_options run_options = {.session = v->options->session,
                                              .segment_bytes = v->options->segment_bytes,
                                              .close = v->options->close,
                                              .refold = v->refold,
                                              .checkpoint = &v->checkpoint,
                                              .defer_checkpoint = v->options->defer_checkpoint,
                                              .deferred = &v->deferred,
                                              .progress = v->options->progress,
                                              .progress_ctx = v->options->progress_ctx};
        rc = clg_run_plan(v->dir, &v->facts, &v->plan, &run_options, &v->counts, v->err);
        if (rc == COMMITLOG_EAGAIN && ++read_backs < RECOVER_READ_BACKS) {
            continue;
        }
        if (rc == COMMITLOG_EAGAIN) {
            rc = COMMITLOG_EIO; /* the text is of what did not read back */
            if (v->err != NULL) {
                v->err->code = rc;
            }
        }
        if (rc != 0) {
            return rc;
        }
        if (!v->plan.again) {
            CLG_ASSERT(v->checkpoint.durable == v->plan.end);
            return 0;
        }
    }
    return clg_fail(v->err, COMMITLOG_EINTERNAL, 0, CLG_NO_POSITION,
                    "recovery does not come to an end");
}

/* Reader: what a writer that appears meanwhile does to the files must not be judged, and nothing is
 * said of it. */
static int recover_read(struct recover *v)
{
    for (uint32_t i = 0; i < RECOVER_WRITER_RACES; i++) {
        recover_drop_round(v);
        int rc = clg_store_dir_probe(v->dir, v->err);
        bool live = v->dir->writer_live;
        const struct clg_lock_file last = v->dir->last;
        if (rc == 0) {
            rc = recover_think(v);
        }
        if (clg_store_dir_moved(v->dir, live, &last)) {
            continue;
        }
        rc = rc == 0 ? recover_report(v) : rc;
        if (rc == 0 && v->plan.code != 0) {
            rc = clg_fail(v->err, v->plan.code, 0, v->plan.reason_position, "%s", v->plan.reason);
        }
        if (rc == 0) {
            recover_count(v);
        }
        return rc;
    }
    CLG_ASSERT(v->dir->read_only);
    return clg_fail(v->err, COMMITLOG_EAGAIN, 0, CLG_NO_POSITION,
                    "writers come and go while the store is being read");
}

static void recover_summary(struct recover *v, int64_t began_ns)
{
    const struct commitlog_os *os = v->dir->os;
    struct commitlog_recovery *s = &v->out->summary;
    memset(s, 0, sizeof(*s));
    s->struct_bytes = sizeof(*s);
    int64_t now = os->clock_mono_ns(os);
    s->duration_ns = now > began_ns ? (uint64_t)(now - began_ns) : 0;
    s->tail = v->worst_tail;
    s->quarantined = v->counts.quarantined;
    s->bytes_rewritten = v->counts.bytes_rewritten;
    s->records_from_stage = v->counts.records_from_stage;
    s->holes_made = v->counts.holes_made;
    s->bytes_cut = v->bytes_cut;
    s->records_cut = v->records_cut;
    s->damaged_ranges = v->told_count;
    if (v->have_facts) {
        s->clean_close = v->facts.clean ? 1 : 0;
        s->same_boot = v->facts.same_boot ? 1 : 0;
        s->witness = v->facts.witness;
        s->bytes_scanned = v->facts.bytes_scanned;
        s->records_scanned = v->facts.records_scanned;
    }
    if (v->have_plan) {
        s->epoch = v->options->read_only ? v->facts.max_epoch : v->plan.epoch;
        s->first = v->plan.first;
        s->end = v->plan.end;
    }
    CLG_ASSERT(s->tail <= COMMITLOG_TAIL_DAMAGED);
}

static int recover_take(struct recover *v, struct clg_segment *segment)
{
    CLG_ASSERT(segment != NULL);
    int rc = clg_segment_set_append(v->set, segment, v->err);
    if (rc != 0) {
        clg_segment_unref(segment);
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

/* Moves the references from the facts to the set: those that are kept. Behind the active segment
 * that is an empty one that begins where it ends (plan_first_dirty), which is of use to a writer.
 */
static int recover_fill_set(struct recover *v)
{
    const struct clg_plan *plan = &v->plan;
    uint64_t next = 0;
    bool reader = v->options->read_only;
    CLG_ASSERT(v->have_plan);
    for (size_t i = 0; i < v->facts.segment_count; i++) {
        struct clg_fact_segment *fact = &v->facts.segments[i];
        struct clg_segment *segment = fact->segment;
        if (segment == NULL || fact->base + fact->bytes <= plan->first) {
            continue;
        }
        bool behind = fact->base > plan->end;
        bool prepared = behind && !fact->nonzero && v->out->prepared == NULL &&
                        (fact->base == next || CLG_PLANTED(GAP_PREPARED));
        if (!reader && behind && !prepared) {
            continue; /* unlinked by the plan */
        }
        fact->segment = NULL;
        if (!reader && behind) {
            v->out->prepared = segment;
            continue;
        }
        next = segment->base + segment->bytes;
        int rc = recover_take(v, segment);
        if (rc != 0) {
            return rc;
        }
    }
    CLG_ASSERT(v->set != NULL);
    return 0;
}

/* The active segment was created by the plan: open it like any other. */
static int recover_open_created(struct recover *v)
{
    uint64_t base = v->plan.end - CLG_SEGMENT_DATA_START;
    struct clg_segment *last = clg_segment_set_pin_last(v->set);
    bool there = last != NULL && clg_segment_holds(last, v->plan.end);
    clg_segment_unref(last);
    if (there || v->options->read_only) {
        return 0;
    }
    struct clg_segment *segment = NULL;
    enum clg_segment_state state;
    int rc = clg_segment_open(&v->dir->segment_dir, base, true, &segment, &state, v->err);
    CLG_ASSERT(rc <= 0);
    CLG_ASSERT(rc != 0 || segment != NULL);
    return rc != 0 ? rc : recover_take(v, segment);
}

static int recover_finish(struct recover *v)
{
    struct clg_recovery_result *out = v->out;
    const struct clg_facts *facts = &v->facts;
    memcpy(out->uuid, v->dir->segment_dir.uuid, CLG_UUID_BYTES);
    out->first = v->plan.first;
    out->end = v->plan.end;
    out->serve_end = v->options->read_only ? v->plan.serve_end : v->plan.end;
    out->unrecovered_bytes = v->plan.unrecovered_bytes;
    /* A reader's log may have damage in it, which is not made good. */
    out->verified_from = v->options->read_only ? CLG_NO_POSITION : facts->scan_from;
    out->epoch = v->options->read_only ? facts->max_epoch : v->plan.epoch;
    out->last_store_time = facts->last_store_time;
    out->created = v->created;
    out->writer_live = facts->writer_live;
    bool torn = false;
    out->checkpoint_wrong = clg_facts_checkpoint_wrong(facts, &torn);
    out->checkpoint_wrong = torn ? NULL : out->checkpoint_wrong;
    out->checkpoint = v->options->read_only ? facts->checkpoint : v->checkpoint;
    out->checkpoint_pending = v->deferred;
    out->checkpointed = clg_max_u64(out->checkpoint.checkpointed, out->first);
    out->state_position = out->checkpoint.state_position;
    CLG_ASSERT(out->first <= out->end);
    int rc = recover_fill_set(v);
    if (rc == 0) {
        rc = recover_open_created(v);
    }
    if (rc == 0 && clg_segment_set_count(v->set) == 0) {
        CLG_ASSERT(v->options->read_only);
        return clg_fail(v->err, COMMITLOG_EDAMAGED, 0, v->plan.first,
                        v->dir->log_fd < 0
                            ? "its directory log/ is missing, and all records with it"
                            : "no segment in log/ can be read: all records are missing");
    }
    if (rc == 0 && !v->options->read_only && !v->unchanged) {
        /* What the old live area had to say is in the log now, and must not be asked again. */
        out->last = v->dir->last;
        rc = clg_store_dir_write_lock(v->dir, out->uuid, v->options->session, "", v->err);
    }
    return rc;
}

int clg_recovery_run(struct clg_store_dir *dir, const struct clg_recovery_options *options,
                     struct clg_segment_set *set, struct clg_recovery_result *out,
                     struct commitlog_error *err)
{
    struct recover v;
    memset(&v, 0, sizeof(v));
    memset(out, 0, sizeof(*out));
    CLG_ASSERT(dir->locked || options->read_only || options->plan_only);
    CLG_ASSERT(set != NULL);
    v.dir = dir;
    v.options = options;
    v.set = set;
    v.out = out;
    v.err = err;
    int64_t began_ns = dir->os->clock_mono_ns(dir->os);
    int rc = options->read_only ? recover_read(&v) : recover_write(&v);
    recover_summary(&v, began_ns);
    if (rc == 0 && !options->plan_only) {
        rc = recover_finish(&v);
        if (rc != 0) {
            clg_segment_unref(out->prepared);
            out->prepared = NULL;
        }
    }
    recover_drop_round(&v);
    dir->os->free(dir->os, v.told);
    CLG_ASSERT(!v.have_facts);
    return rc;
}
