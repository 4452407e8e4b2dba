/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scrub.c -- reads sealed segments again, slowly. See scrub.h.
 */
#include "upkeep/scrub.h"

#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "segment/segment_scan.h"
#include "upkeep/damage_list.h"

/* Not more than a second's worth is saved up while nothing calls. */
#define SCRUB_CREDIT_S 1u

void clg_scrub_init(struct clg_scrub *scrub, const struct commitlog_os *os, uint64_t bytes_per_s)
{
    CLG_ASSERT(scrub != NULL);
    CLG_ASSERT(os != NULL);
    memset(scrub, 0, sizeof(*scrub));
    scrub->os = os;
    scrub->bytes_per_s = bytes_per_s;
    scrub->last_ns = os->clock_mono_ns(os);
}

static void scrub_earn(struct clg_scrub *scrub)
{
    int64_t now = scrub->os->clock_mono_ns(scrub->os);
    uint64_t passed = now > scrub->last_ns ? (uint64_t)(now - scrub->last_ns) : 0;
    uint64_t limit = clg_max_u64(scrub->bytes_per_s * SCRUB_CREDIT_S, CLG_RECORD_MIN);
    CLG_ASSERT(scrub->bytes_per_s > 0);
    uint64_t ms = clg_min_u64(passed / (uint64_t)CLG_OS_NS_PER_MS, 1000u * SCRUB_CREDIT_S);
    uint64_t earned = scrub->bytes_per_s / 1000u * ms + scrub->bytes_per_s % 1000u * ms / 1000u;
    if (earned > 0) {
        scrub->last_ns = now;
        scrub->credit = clg_min_u64(scrub->credit + earned, limit);
    }
    CLG_ASSERT(scrub->credit <= limit);
}

/* From a position that does not verify to the next that does. */
static int scrub_damage(struct clg_scan *scan, const struct clg_scan_record *record,
                        clg_damage_fn damage, void *ctx, struct commitlog_error *err)
{
    uint64_t data_end = scan->segment->data_end;
    uint64_t to = clg_scan_damage_end(record);
    CLG_ASSERT(record->verdict != CLG_SCAN_OK);
    if (to == 0) {
        struct clg_scan_search search;
        uint64_t from = record->position + CLG_RECORD_ALIGN;
        int rc = from < data_end ? clg_scan_resync(scan, from, data_end, &search, NULL)
                                 : COMMITLOG_ENOTFOUND;
        if (rc != 0 && rc != COMMITLOG_ENOTFOUND && rc != COMMITLOG_EDAMAGED) {
            return clg_fail(err, rc, 0, from, "scrub");
        }
        to = rc == 0 ? search.found : data_end;
    }
    struct commitlog_damage report;
    clg_damage_make(&report, record->position, to, clg_scan_verdict_text(record->verdict));
    if (clg_scan_damage_is_one(record)) {
        report.queue = record->header.queue_number;
        report.from_offset = record->header.queue_offset;
        report.to_offset = record->header.queue_offset + 1;
    }
    damage(ctx, &report);
    CLG_ASSERT(to > record->position);
    clg_scan_seek(scan, to);
    return 0;
}

int clg_scrub_step(struct clg_scrub *scrub, struct clg_segment *segment, clg_damage_fn damage,
                   void *ctx, bool *done, struct commitlog_error *err)
{
    *done = false;
    CLG_ASSERT(damage != NULL);
    if (scrub->bytes_per_s == 0) {
        return 0;
    }
    scrub_earn(scrub);
    uint64_t start = scrub->position;
    if (start < segment->data_start || start > segment->data_end) {
        start = segment->data_start;
    }
    struct clg_scan scan;
    clg_scan_init(&scan, segment, start, CLG_SCAN_FULL);
    uint64_t begun = start;
    uint64_t allowed = clg_min_u64(scrub->credit, CLG_SCRUB_STEP_MAX);
    int rc = 0;
    /* A record may cost more than is allowed: the debt is paid by waiting. */
    while (rc == 0 && !*done && (scan.next - begun < allowed || scan.next < scan.batch_end)) {
        struct clg_scan_record record;
        rc = clg_scan_step(&scan, &record, err);
        if (rc != 0) {
            break;
        }
        if (record.verdict == CLG_SCAN_END) {
            *done = true;
        } else if (record.verdict == CLG_SCAN_OK) {
            scrub->records_done++;
        } else {
            rc = scrub_damage(&scan, &record, damage, ctx, err);
        }
    }
    uint64_t used = scan.next - begun;
    scrub->bytes_done += used;
    scrub->credit -= clg_min_u64(used, scrub->credit);
    /* Where a step failed may be within a batch, where none can begin. */
    scrub->position = *done ? segment->base + segment->bytes : rc != 0 ? begun : scan.next;
    clg_scan_free(&scan);
    CLG_ASSERT(scrub->position >= segment->base);
    return rc;
}

int64_t clg_scrub_wait_ms(const struct clg_scrub *scrub)
{
    CLG_ASSERT(scrub->os != NULL);
    if (scrub->bytes_per_s == 0) {
        return -1;
    }
    /* Steps of about a tenth of a second keep the reads small and the wake-ups rare. */
    uint64_t wanted = clg_min_u64(clg_max_u64(scrub->bytes_per_s / 10u, 1), CLG_SCRUB_STEP_MAX);
    CLG_ASSERT(wanted > 0);
    return scrub->credit >= wanted ? 0 : 100;
}
