/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lost.c -- which queue offsets went with damaged parts of the log, for a report.
 *
 * A segment that is lost names nothing any more. But the records around it carry their offsets, so
 * what is missing between them tells: a run of lost offsets of a queue lies between the positions
 * of its neighbours. It is reported if that is where the report has damage; what an earlier salvage
 * has made holes of is not.
 *
 * Time: every queue entry of the store is looked at once, and for each run the ranges are searched.
 * Failure modes: best effort; the ranges of positions are in the report whatever happens here.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "store/report.h"
#include "store/store.h"

#define LOST_ENTRIES 256u

struct lost_range {
    uint64_t from;
    uint64_t to;
};

struct lost_run {
    struct commitlog_report *report;
    struct commitlog_store *store;
    struct lost_range *ranges; /* of the log, ascending, none in another */
    size_t count;
    uint32_t queue;  /* number in the store */
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

static int lost_compare(const void *a, const void *b)
{
    const struct lost_range *one = a;
    const struct lost_range *other = b;
    return (one->from > other->from) - (one->from < other->from);
}

/* What the report has up to now, before anything is added here. */
static int lost_collect(struct lost_run *run)
{
    const struct commitlog_report *report = run->report;
    size_t merged = 0;
    run->ranges = clg_os_alloc_array(report->os, report->damage_count + 1, sizeof(*run->ranges));
    if (run->ranges == NULL) {
        return COMMITLOG_ENOMEM;
    }
    for (size_t i = 0; i < report->damage_count; i++) {
        const struct commitlog_damage *damage = &report->damage[i];
        if (lost_is_of_log(damage)) {
            run->ranges[run->count++] =
                (struct lost_range){damage->from_position, damage->to_position};
        }
    }
    qsort(run->ranges, run->count, sizeof(*run->ranges), lost_compare);
    for (size_t i = 0; i < run->count; i++) {
        struct lost_range *last = merged > 0 ? &run->ranges[merged - 1] : NULL;
        if (last != NULL && run->ranges[i].from <= last->to) {
            last->to = clg_max_u64(last->to, run->ranges[i].to);
        } else {
            run->ranges[merged++] = run->ranges[i];
        }
    }
    run->count = merged;
    return COMMITLOG_OK;
}

/* Does one of them reach into (from, to)? */
static bool lost_is_between(const struct lost_run *run, uint64_t from, uint64_t to)
{
    size_t low = 0;
    size_t high = run->count;
    while (low < high) { /* the first that ends behind `from` */
        size_t middle = low + (high - low) / 2;
        if (run->ranges[middle].to > from) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low < run->count && run->ranges[low].from < to;
}

/* The run ends, at an entry that lies at `position` or at the end of the queue. */
static int lost_end(struct lost_run *run, uint64_t position)
{
    int rc = COMMITLOG_OK;
    CLG_ASSERT(run->from <= run->to);
    if (run->from < run->to && lost_is_between(run, run->before, position)) {
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
    struct lost_run run = {.report = report, .store = store};
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = 0;
    int rc = lost_collect(&run);
    if (rc == COMMITLOG_OK) {
        rc = run.count > 0 ? clg_store_fold(store, &core, &visible, NULL) : COMMITLOG_EEND;
    }
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
    report->os->free(report->os, run.ranges);
}
