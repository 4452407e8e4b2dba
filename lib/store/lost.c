/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lost.c -- which queue offsets went with damaged parts of the log, for a report.
 *
 * A segment that is lost names nothing any more. But the records around it carry their offsets, so
 * what is missing between them tells: a run of lost offsets of a queue lies between the positions
 * of its neighbours. It is reported if that is where the report has damage; what an earlier salvage
 * has made holes of is not.
 *
 * Time: every queue entry of the store is looked at once.
 * Failure modes: best effort; the ranges of positions are in the report whatever happens here.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "store/report.h"
#include "store/store.h"

#define LOST_ENTRIES 256u

struct lost_run {
    struct commitlog_report *report;
    struct commitlog_store *store;
    uint32_t queue;  /* number in the store */
    size_t ranges;   /* of the report, before anything was added here */
    uint64_t before; /* position of the last entry that has one */
    uint64_t from;   /* offsets [from, to) are lost; equal: none just now */
    uint64_t to;
};

/* Derived files lose no records. */
static bool lost_is_of_log(const struct commitlog_damage *damage)
{
    CLG_ASSERT(damage->from_position <= damage->to_position);
    return damage->from_position != CLG_NO_POSITION && damage->queue == UINT32_MAX &&
           strncmp(damage->reason, "view/", strlen("view/")) != 0;
}

/* The run ends, at an entry that lies at `position` or at the end of the queue. */
static int lost_end(struct lost_run *run, uint64_t position)
{
    int rc = COMMITLOG_OK;
    bool damaged = false;
    CLG_ASSERT(run->from <= run->to);
    for (size_t i = 0; run->from < run->to && i < run->ranges && !damaged; i++) {
        const struct commitlog_damage *range = &run->report->damage[i];
        damaged = lost_is_of_log(range) && run->before < range->to_position &&
                  range->from_position < position;
    }
    if (damaged) {
        struct commitlog_damage damage;
        clg_damage_make_lost(&damage, run->from, run->to);
        damage.queue = run->queue;
        clg_store_name_damage(run->store, &damage);
        rc = run->report->sink.damage(run->report->sink.ctx, &damage);
    }
    run->from = run->to;
    run->before = position;
    return rc;
}

static int lost_queue(struct lost_run *run, const struct clg_core *core, uint64_t visible)
{
    struct clg_lookup_entry entries[LOST_ENTRIES];
    struct clg_lookup_range range;
    int rc = clg_lookup_range(core->fold, run->queue, visible, &range);
    uint64_t next = rc == COMMITLOG_OK ? range.min : 0;
    run->before = 0;
    run->to = next;
    /* Retention never dropped anything: the queue began at 0. */
    run->from = clg_log_first(core->log) > CLG_SEGMENT_DATA_START ? next : 0;
    while (rc == COMMITLOG_OK && next < range.next) {
        uint32_t count = 0;
        uint64_t bound = 0;
        rc = clg_lookup_entries(core->fold, run->queue, next, visible, entries, LOST_ENTRIES,
                                &count, &bound);
        for (uint32_t i = 0; rc == COMMITLOG_OK && i < count; i++) {
            const struct clg_lookup_entry *entry = &entries[i];
            next = entry->queue_offset + clg_max_u64(entry->lost, 1);
            if (entry->position != CLG_NO_POSITION) {
                rc = lost_end(run, entry->position);
                continue;
            }
            run->from = run->from == run->to ? entry->queue_offset : run->from;
            run->to = next;
        }
    }
    return rc == COMMITLOG_OK ? lost_end(run, CLG_NO_POSITION) : rc;
}

void clg_store_report_lost(struct commitlog_store *store, struct commitlog_report *report)
{
    struct lost_run run = {.report = report, .store = store, .ranges = report->damage_count};
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = 0;
    bool any = false;
    for (size_t i = 0; i < run.ranges; i++) {
        any = any || lost_is_of_log(&report->damage[i]);
    }
    int rc = any ? clg_store_fold(store, &core, &visible, NULL) : COMMITLOG_EEND;
    uint32_t topics = clg_registry_topic_count(&core->registry);
    for (uint32_t t = 0; rc == COMMITLOG_OK && t < topics; t++) {
        const struct clg_topic *topic = clg_registry_topic(&core->registry, t);
        for (uint32_t q = 0; topic != NULL && rc == COMMITLOG_OK && q < clg_topic_queues(topic);
             q++) {
            run.queue = clg_topic_number(topic, q);
            rc = lost_queue(&run, core, visible);
        }
    }
    clg_core_unref(core);
}
