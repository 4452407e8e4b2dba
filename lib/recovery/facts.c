/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts.c -- what recovery knows before it decides, and where it begins to read. See facts.h. The
 * names are in facts_names.c, headers and footers in facts_segments.c, whose files they are in
 * facts_owner.c, the records in facts_scan.c.
 */
#include "recovery/facts.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "recovery/facts_internal.h"
#include "segment/segment_name.h"

#define FACTS_FIRST_ROOM 16u

int clg_facts_grow(const struct commitlog_os *os, void **items, size_t count, size_t *room,
                   size_t item_bytes, struct commitlog_error *err)
{
    CLG_ASSERT(count <= *room);
    CLG_ASSERT(item_bytes > 0);
    if (count < *room) {
        return 0;
    }
    size_t larger = *room == 0 ? FACTS_FIRST_ROOM : *room * 2;
    void *grown = *room == 0 ? clg_os_alloc_array(os, larger, item_bytes)
                             : clg_os_grow_array(os, *items, *room, larger, item_bytes);
    if (grown == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, ENOMEM, CLG_NO_POSITION, "recovery");
    }
    *items = grown;
    *room = larger;
    return 0;
}

/* Both slots by themselves: that the newer one is lost matters, and choosing would hide it. */
static int facts_checkpoint(struct clg_facts *facts, const struct clg_store_dir *dir,
                            struct commitlog_error *err)
{
    const struct commitlog_os *os = facts->os;
    CLG_ASSERT(!facts->have_checkpoint);
    struct clg_os_stat stat;
    int fd = clg_store_dir_open_file(dir, CLG_STORE_CHECKPOINT_NAME, CLG_OS_OPEN_READ, &stat, err);
    if (fd < 0) {
        return fd == COMMITLOG_ENOTFOUND ? 0 : fd;
    }
    facts->checkpoint_file = true;
    bool empty = false;
    for (uint32_t i = 0; i < CLG_CHECKPOINT_SLOTS; i++) {
        uint8_t slot[CLG_FORMAT_PAGE_BYTES] = {0};
        struct clg_checkpoint found;
        int rc = clg_os_pread_all(os, fd, slot, sizeof(slot), i * (uint64_t)sizeof(slot));
        if (rc < 0 && !clg_os_is_data_error(rc)) {
            clg_os_close_fd(os, &fd);
            return clg_fail_os(err, rc, CLG_NO_POSITION, "read CHECKPOINT");
        }
        facts->unread_slots += rc < 0 ? 1 : 0;
        rc = rc < 0 ? COMMITLOG_EDAMAGED
                    : clg_checkpoint_decode(slot, i, NULL, dir->read_only, &found);
        if (rc == COMMITLOG_EVERSION) {
            clg_os_close_fd(os, &fd);
            return clg_fail(err, rc, 0, CLG_NO_POSITION,
                            "CHECKPOINT was written by a newer version of the library");
        }
        if (rc == COMMITLOG_ENOTFOUND) {
            empty = true;
        } else if (rc != 0) {
            facts->bad_slots++;
        } else if (!facts->have_checkpoint || found.sequence > facts->checkpoint.sequence) {
            facts->checkpoint = found;
            facts->have_checkpoint = true;
            facts->first_told = true;
        }
    }
    clg_os_close_fd(os, &fd);
    /* One slot is empty only in a store that has written a single checkpoint. */
    if (empty && facts->have_checkpoint && facts->checkpoint.sequence > 1) {
        facts->bad_slots++;
    }
    facts->clean = facts->have_checkpoint && facts->checkpoint.clean &&
                   !facts->checkpoint.salvaging && facts->bad_slots == 0;
    CLG_ASSERT(facts->bad_slots <= CLG_CHECKPOINT_SLOTS);
    return 0;
}

/* Does this segment lie before `first`, so that retention's work on it is to be finished? */
bool clg_facts_is_below(const struct clg_facts *facts, const struct clg_fact_segment *fact)
{
    CLG_ASSERT(fact->bytes >= CLG_SEGMENT_DATA_START);
    return fact->base + fact->bytes <= facts->first;
}

/* Sets first, scan_from and gap, and says where the oldest segment that counts is. */
static void facts_bounds(struct clg_facts *facts, bool full)
{
    size_t at = 0;
    while (at < facts->segment_count && clg_facts_is_below(facts, &facts->segments[at])) {
        at++;
    }
    facts->gap = false;
    bool any = at < facts->segment_count;
    uint64_t oldest = any ? facts->segments[at].base + CLG_SEGMENT_DATA_START : 0;
    if (facts->first < CLG_SEGMENT_DATA_START) {
        /* No record lies there; but what a checkpoint says is not to be read as what was found. */
        facts->first = any && !facts->first_told ? oldest : CLG_SEGMENT_DATA_START;
    }
    if (any && oldest > facts->first) {
        facts->gap = facts->first_told;
        facts->first = facts->first_told ? facts->first : oldest;
    } else if (any) {
        facts->first = oldest; /* whole segments are dropped, never half of one */
    }
    for (size_t i = at; i + 1 < facts->segment_count; i++) {
        if (facts->segments[i].base + facts->segments[i].bytes != facts->segments[i + 1].base) {
            facts->gap = true;
        }
    }
    facts->scan_from = facts->first;
    if (facts->have_checkpoint && !full) {
        facts->scan_from = clg_max_u64(facts->first, facts->checkpoint.checkpointed);
    }
    CLG_ASSERT(facts->scan_from >= facts->first);
}

/* Where a reader may begin to follow a live writer. The live area was read after the files were
 * listed: what was written meanwhile may lie in files that are not in the list, and a fold that
 * began there would have left out what is before. */
static uint64_t facts_live_end(const struct clg_facts *facts)
{
    uint64_t end = facts->live.usable ? facts->live.written : facts->checkpoint.durable;
    uint64_t listed = CLG_POSITION_MAX;
    for (size_t i = 0; i < facts->segment_count; i++) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        listed = fact->segment != NULL ? fact->base + fact->bytes : listed;
    }
    return clg_max_u64(facts->first, clg_min_u64(end, listed + CLG_SEGMENT_DATA_START));
}

/* What is going to be changed was looked at before: the views will read the segment in which the
 * checkpoint lies, those without view files and those that are reshaped from their beginning, and
 * all from the one on that was active in the .state they begin with, which a cut to `end` may make
 * an older one. An open that they refuse must not have cut a tail, taken over the stage or repaired
 * a header. And of a segment whose header was put together nothing is taken on trust, by a reader
 * either. What is verified here they need not verify again. True: there is more to scan than there
 * was. */
static bool facts_scan_more(struct clg_facts *facts, const struct clg_store_dir *dir, uint64_t end)
{
    const uint32_t both = UINT32_C(1) << CLG_FILE_CQ | UINT32_C(1) << CLG_FILE_KEY;
    uint64_t before = facts->scan_from;
    uint64_t from = clg_min_u64(before, clg_facts_views_from(facts, dir, end));
    for (size_t i = facts->segment_count; i-- > 0;) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        bool sealed = fact->base + fact->bytes <= before && fact->footer_code == 0;
        if (fact->base <= before && !clg_facts_is_below(facts, fact) &&
            !clg_facts_is_stray(facts, i) &&
            (!sealed || (fact->views & both) != both || fact->state != CLG_SEGMENT_GOOD)) {
            from = clg_min_u64(from, fact->base + CLG_SEGMENT_DATA_START);
        }
    }
    facts->scan_from = clg_max_u64(facts->first, from);
    CLG_ASSERT(facts->scan_from >= facts->first);
    return facts->scan_from < before;
}

static bool facts_all_good(const struct clg_facts *facts)
{
    bool good = true;
    for (size_t i = 0; i < facts->segment_count; i++) {
        good = good && facts->segments[i].state == CLG_SEGMENT_GOOD;
    }
    CLG_ASSERT(facts->segment_count <= facts->segment_room);
    return good;
}

/* Without CHECKPOINT the log itself says where it begins: above it, files are missing; below, they
 * were unlinked and came back. Of a log with damage in it the record that says so may be lost. With
 * one slot lost the other one may be of before retention dropped what is missing: the record was
 * durable before that, and with it all that was carried forward: a tail that was never durable,
 * though something in it is valid, has not lost it. */
static bool facts_learn_first(struct clg_facts *facts)
{
    uint64_t told = clg_max_u64(facts->first_record, CLG_SEGMENT_DATA_START);
    const struct clg_fact_range *range = facts->range_count > 0 ? &facts->ranges[0] : NULL;
    /* Of a file without a segment in it the end counts as where its records would begin. */
    uint64_t from =
        range == NULL
            ? facts->witness
            : range->from + (range->kind == CLG_RANGE_SEGMENT ? CLG_SEGMENT_DATA_START : 0);
    bool whole = facts->segment_count > 0 && from >= facts->witness;
    bool newest = facts->have_checkpoint && (facts->bad_slots == 0 || told < facts->first);
    if (newest || told == facts->first || (told < facts->first && !whole)) {
        return false;
    }
    facts->first = told;
    facts->first_told = true;
    return true;
}

static void facts_begin(struct clg_facts *facts, const struct clg_store_dir *dir,
                        const struct clg_facts_options *options)
{
    facts_bounds(facts, options->full);
    if (!facts_all_good(facts) || (!options->read_only && !facts->clean)) {
        (void)facts_scan_more(facts, dir, CLG_POSITION_MAX);
    }
}

static int facts_read_log(struct clg_facts *facts, struct clg_store_dir *dir,
                          const struct clg_facts_options *options, struct commitlog_error *err)
{
    struct clg_stage stage;
    CLG_ASSERT(facts->uuid_known);
    memcpy(dir->segment_dir.uuid, facts->uuid, CLG_UUID_BYTES);
    int rc = clg_facts_ask_states(facts, dir, err);
    if (rc == 0) {
        rc = clg_facts_open_segments(facts, dir, options, err);
    }
    if (rc != 0) {
        return rc;
    }
    rc = clg_stage_open(&stage, dir, facts->uuid, clg_facts_newest(facts), err);
    if (rc != 0) {
        return rc;
    }
    facts->live = stage.live;
    if (facts->live.usable) {
        clg_facts_witness(facts, facts->live.durable, CLG_WITNESS_LIVE);
    }
    facts->sure = clg_max_u64(facts->have_checkpoint ? facts->checkpoint.durable : 0,
                              facts->live.usable ? facts->live.durable : 0);
    facts_begin(facts, dir, options);
    if (facts->writer_live) {
        /* Its records change under us; the one who asks follows the live area. */
        facts->valid_end = facts->prefix_end = facts_live_end(facts);
        facts->witness = clg_min_u64(facts->witness, facts->prefix_end);
        facts->end_why = "a writer is there";
        clg_stage_close(&stage);
        return 0;
    }
    rc = clg_facts_scan(facts, &stage, options, err);
    if (rc == 0 && facts_learn_first(facts)) {
        facts_begin(facts, dir, options);
        rc = clg_facts_scan(facts, &stage, options, err);
    }
    if (rc == 0 && !options->read_only && (!facts->clean || !facts->tail_zero) &&
        facts_scan_more(facts, dir, facts->prefix_end)) {
        rc = clg_facts_scan(facts, &stage, options, err);
    }
    clg_stage_close(&stage);
    CLG_ASSERT(rc != 0 || facts->valid_end >= facts->prefix_end);
    return rc;
}

int clg_facts_collect(struct clg_store_dir *dir, const struct clg_facts_options *options,
                      struct clg_facts *out, struct commitlog_error *err)
{
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(dir->dir_fd >= 0);
    struct clg_facts *facts = out;
    memset(facts, 0, sizeof(*facts));
    facts->os = dir->os;
    facts->is_new = true;
    facts->tail_zero = true;
    facts->same_boot = dir->same_boot;
    facts->writer_live = dir->read_only && dir->writer_live;
    int rc = facts_checkpoint(facts, dir, err);
    if (rc == 0) {
        rc = clg_facts_list(facts, dir, err);
    }
    if (rc == 0) {
        facts->is_new = facts->is_new && !facts->checkpoint_file && facts->segment_count == 0;
        bool newer = false;
        rc = clg_facts_uuid(facts, dir, &newer, err);
        if (facts->have_checkpoint) {
            facts->first = facts->checkpoint.first;
            facts->max_epoch = facts->checkpoint.epoch;
            facts->last_store_time = facts->checkpoint.store_time;
            clg_facts_witness(facts, facts->checkpoint.durable, CLG_WITNESS_CHECKPOINT);
        }
        if (rc == 0 && facts->uuid_known) {
            rc = facts_read_log(facts, dir, options, err);
        } else if (rc == 0 && !facts->is_new) {
            rc = clg_facts_nameless(facts, newer, err);
        }
    }
    if (rc != 0) {
        clg_facts_free(facts);
    }
    return rc;
}

void clg_facts_free(struct clg_facts *facts)
{
    const struct commitlog_os *os = facts->os;
    CLG_ASSERT(os != NULL);
    for (size_t i = 0; i < facts->segment_count; i++) {
        clg_segment_unref(facts->segments[i].segment);
    }
    os->free(os, facts->segments);
    os->free(os, facts->tmp_names);
    os->free(os, facts->ranges);
    os->free(os, facts->claims);
    os->free(os, facts->staged);
    memset(facts, 0, sizeof(*facts));
    facts->os = os;
    CLG_ASSERT(facts->segment_count == 0);
}

/* A file without a header may have a name in the middle of a segment: that one holds the place. */
const struct clg_fact_segment *clg_facts_segment_at(const struct clg_facts *facts,
                                                    uint64_t position)
{
    size_t low = 0;
    size_t high = facts->segment_count;
    const struct clg_fact_segment *found = NULL;
    CLG_ASSERT(high <= facts->segment_room);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (facts->segments[middle].base <= position) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (size_t i = low; i-- > 0;) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        bool holds = position - fact->base < fact->bytes;
        found = holds && (found == NULL || fact->segment != NULL) ? fact : found;
        if (fact->segment != NULL) {
            break;
        }
    }
    CLG_ASSERT(found == NULL || found->base <= position);
    return found;
}
