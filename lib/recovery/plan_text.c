/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * plan_text.c -- a plan in words, one line per fact and step. Pure. See plan.h.
 */
#include <inttypes.h>
#include <stdio.h>

#include "base/invariant.h"
#include "recovery/plan.h"

const char *clg_plan_kind_name(enum clg_plan_kind kind)
{
    switch (kind) {
    case CLG_STEP_CREATE_SEGMENT:
        return "create segment";
    case CLG_STEP_DELETE_BELOW:
        return "delete segment below first";
    case CLG_STEP_REMOVE_TMP:
        return "remove unfinished file";
    case CLG_STEP_REPAIR_HEADER:
        return "repair segment header";
    case CLG_STEP_EXTEND:
        return "extend segment file";
    case CLG_STEP_QUARANTINE_RANGE:
        return "copy to quarantine";
    case CLG_STEP_QUARANTINE_FILE:
        return "copy file to quarantine";
    case CLG_STEP_QUARANTINE_STAGED:
        return "copy from the stage to quarantine";
    case CLG_STEP_RESTORE:
        return "restore from the stage";
    case CLG_STEP_HOLE:
        return "make a hole of a dead claim";
    case CLG_STEP_SALVAGE_HOLE:
        return "make a hole of damage";
    case CLG_STEP_ZERO:
        return "zero";
    case CLG_STEP_UNLINK:
        return "remove segment";
    case CLG_STEP_REWRITE:
        return "rewrite and flush";
    case CLG_STEP_FLUSH:
        return "flush";
    case CLG_STEP_CLEAR_FOOTER:
        return "clear footer";
    case CLG_STEP_CHECKPOINT:
        return "checkpoint";
    }
    return "unknown";
}

static const char *text_tail(uint32_t tail)
{
    static const char *const names[] = {"clean end", "torn tail", "unprovable tail",
                                        "damage to acknowledged data"};
    CLG_ASSERT(tail < sizeof(names) / sizeof(names[0]));
    return tail < sizeof(names) / sizeof(names[0]) ? names[tail] : "unknown";
}

static const char *text_witness(enum clg_witness_source source)
{
    static const char *const names[] = {
        "nothing",  "the checkpoint", "a record", "a record behind the end",
        "a footer", "the live area",  "a .state"};
    CLG_ASSERT((size_t)source < sizeof(names) / sizeof(names[0]));
    return names[source];
}

static int text_verdict(const struct clg_plan *plan, const struct clg_facts *facts, size_t index,
                        char *out, size_t room)
{
    bool torn = false;
    const char *wrong = clg_facts_checkpoint_wrong(facts, &torn);
    CLG_ASSERT(index < 3);
    CLG_ASSERT(room > 0);
    switch (index) {
    case 0:
        return snprintf(out, room, "verdict: %s at %" PRIu64 " (%s)", text_tail(plan->tail),
                        facts->prefix_end,
                        facts->is_new ? "a new store"
                        : plan->tail == COMMITLOG_TAIL_UNPROVABLE && facts->tail_zero
                            ? clg_facts_live_lost(facts)
                        : facts->end_why != NULL ? facts->end_why
                                                 : "not scanned");
    case 1:
        return snprintf(out, room,
                        "durable for certain: %" PRIu64 ", says %s; last writer: %s%s, %s boot",
                        facts->witness, text_witness(facts->witness_source),
                        wrong != NULL ? "not known whether it closed, " : "",
                        wrong != NULL  ? wrong
                        : facts->clean ? "closed"
                                       : "did not close",
                        facts->same_boot ? "this" : "an earlier");
    default:
        if (plan->code != 0) {
            return snprintf(out, room, "refused: %s", plan->reason);
        }
        return snprintf(out, room,
                        "result: log [%" PRIu64 ", %" PRIu64 "), epoch %" PRIu32 ", cut %" PRIu64
                        " bytes with %" PRIu64 " valid records",
                        plan->first, plan->end, plan->epoch, plan->bytes_cut, plan->records_cut);
    }
}

static int text_step(const struct clg_plan_step *step, const struct clg_facts *facts, char *out,
                     size_t room)
{
    const char *name = clg_plan_kind_name(step->kind);
    CLG_ASSERT(room > 0);
    if (step->kind == CLG_STEP_REMOVE_TMP) {
        CLG_ASSERT(step->index < facts->tmp_count);
        return snprintf(out, room, "step: %s %s", name, facts->tmp_names[step->index].name);
    }
    if (step->kind == CLG_STEP_CHECKPOINT) {
        return snprintf(out, room, "step: %s: first %" PRIu64 ", durable %" PRIu64, name,
                        step->from, step->to);
    }
    if (step->queue != CLG_QUEUE_NONE) {
        return snprintf(out, room,
                        "step: %s [%" PRIu64 ", %" PRIu64 "), queue #%" PRIu32 " offset %" PRIu64,
                        name, step->from, step->to, step->queue, step->queue_offset);
    }
    return snprintf(out, room, "step: %s [%" PRIu64 ", %" PRIu64 ")", name, step->from, step->to);
}

bool clg_plan_line(const struct clg_plan *plan, const struct clg_facts *facts, size_t index,
                   char *out, size_t room)
{
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(room > 0);
    if (index < 3) {
        (void)text_verdict(plan, facts, index, out, room);
        return true;
    }
    index -= 3;
    size_t queues = facts->cut_queue_count;
    if (index < queues) {
        const struct clg_fact_queue *queue = &facts->cut_queues[index];
        (void)snprintf(out, room,
                       "behind it: queue #%" PRIu32 ": %" PRIu64 " valid records, offsets %" PRIu64
                       " to %" PRIu64,
                       queue->queue, queue->records, queue->from_offset, queue->to_offset - 1);
        return true;
    }
    index -= queues;
    if (facts->cut_others > 0) {
        if (index == 0) {
            (void)snprintf(out, room, "behind it: other queues: %" PRIu64 " valid records",
                           facts->cut_others);
            return true;
        }
        index--;
    }
    if (index >= plan->step_count) {
        return false;
    }
    (void)text_step(&plan->steps[index], facts, out, room);
    return true;
}
