/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts.c -- what recovery knows before it decides: checkpoint, headers, footers. See facts.h. The
 * names are in facts_names.c, whose files they are in facts_owner.c, the records in facts_scan.c.
 */
#include "recovery/facts.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/topic_record.h"
#include "recovery/facts_internal.h"
#include "segment/segment_name.h"

#define FACTS_FIRST_ROOM 16u
#define FACTS_READ_BYTES (64u * 1024u)

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
    facts->clean = facts->have_checkpoint && facts->checkpoint.clean && facts->bad_slots == 0;
    CLG_ASSERT(facts->bad_slots <= CLG_CHECKPOINT_SLOTS);
    return 0;
}

/* A file without a header: how long is it, and is there anything in it? */
static int facts_raw_file(struct clg_facts *facts, const struct clg_store_dir *dir,
                          struct clg_fact_segment *fact, struct commitlog_error *err)
{
    const struct commitlog_os *os = facts->os;
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_LOG, fact->base);
    CLG_ASSERT(fact->segment == NULL);
    struct clg_os_stat stat;
    int rc = os->stat_at(os, dir->log_fd, name, &stat);
    if (rc < 0 || stat.type != CLG_OS_FILE) {
        fact->nonzero = true; /* a link, a directory: never touched */
        return 0;
    }
    fact->file_bytes = stat.size_bytes;
    int fd = os->open_at(os, dir->log_fd, name, CLG_OS_OPEN_READ, 0);
    if (fd < 0) {
        fact->nonzero = true;
        fact->has_data = true;
        return 0;
    }
    uint8_t *buffer = os->alloc(os, FACTS_READ_BYTES);
    if (buffer == NULL) {
        clg_os_close_fd(os, &fd);
        return clg_fail(err, COMMITLOG_ENOMEM, ENOMEM, fact->base, "recovery");
    }
    for (uint64_t at = 0; at < stat.size_bytes && !fact->has_data;) {
        if (at > 0) { /* a file may be nothing but a hole of any size */
            int64_t data = os->next_data(os, fd, at);
            at = data < 0 ? at : (uint64_t)data;
        }
        if (at >= stat.size_bytes) {
            break;
        }
        size_t bytes = at == 0 ? CLG_SEGMENT_DATA_START : FACTS_READ_BYTES;
        int64_t n = os->pread(os, fd, buffer, bytes, at);
        bool zero = n >= 0 && clg_is_zero(buffer, (size_t)n);
        fact->nonzero = fact->nonzero || !zero;
        fact->has_data = !zero && (n < 0 || at > 0);
        if (n <= 0) {
            break;
        }
        at += (uint64_t)n;
    }
    os->free(os, buffer);
    clg_os_close_fd(os, &fd);
    CLG_ASSERT(fd == -1);
    return 0;
}

/* What its first record, an epoch's start or the repetition of one, says of where a session began.
 */
static void facts_read_session(struct clg_fact_segment *fact)
{
    uint8_t bytes[CLG_RECORD_HEADER_BYTES + CLG_EPOCH_BODY_BYTES];
    const struct clg_segment *segment = fact->segment;
    struct clg_record_header header;
    struct clg_epoch_start start;
    CLG_STATIC_ASSERT(sizeof(bytes) % CLG_RECORD_ALIGN == 0, "without padding");
    if (clg_segment_pread(fact->segment, bytes, sizeof(bytes), segment->data_start, NULL) != 0) {
        return;
    }
    clg_record_decode(bytes, &header);
    uint64_t seed = clg_record_seed(segment->salt, segment->data_start);
    if (header.word == clg_record_word(sizeof(bytes), CLG_RECORD_COMMITTED) &&
        header.kind == CLG_KIND_EPOCH && header.attribute_bytes == 0 &&
        clg_record_check_bounds(&header, segment->bytes) && clg_record_verify_header(bytes, seed) &&
        clg_record_verify_body(&header, bytes, seed) &&
        clg_epoch_start_decode(bytes + CLG_RECORD_HEADER_BYTES, CLG_EPOCH_BODY_BYTES, &start) ==
            COMMITLOG_OK) {
        fact->session_from = start.predecessor_end;
        fact->session_epoch = header.epoch;
    }
}

static int facts_open_one(struct clg_facts *facts, const struct clg_store_dir *dir,
                          struct clg_fact_segment *fact, bool writable, struct commitlog_error *err)
{
    struct commitlog_error why;
    clg_error_clear(&why);
    CLG_ASSERT(fact->segment == NULL);
    int rc = clg_segment_open(&dir->segment_dir, fact->base, writable, &fact->segment, &fact->state,
                              &why);
    fact->footer_code = COMMITLOG_ENOTFOUND;
    if (rc == 0) {
        fact->bytes = fact->segment->bytes;
        fact->file_bytes = fact->segment->file_bytes;
        facts_read_session(fact);
        if ((clg_segment_flags(fact->segment) & CLG_SEGMENT_SEALED) != 0) {
            fact->footer_code = 0;
            fact->footer_end = fact->segment->footer.end;
            clg_facts_witness(facts, fact->footer_end, CLG_WITNESS_FOOTER);
        } else if (fact->state != CLG_SEGMENT_SHORT) {
            struct clg_segment_footer footer;
            fact->footer_code = clg_segment_read_footer(fact->segment, &footer, NULL);
            if (fact->footer_code == 0) {
                /* A live writer has sealed it since it was opened: it counts as it was then. */
                fact->footer_code = COMMITLOG_ENOTFOUND;
            }
        }
        if (fact->segment->header.epoch > facts->max_epoch) {
            facts->max_epoch = fact->segment->header.epoch;
        }
        /* A prepared segment may promise more than the records that are left of its session. */
        if (fact->segment->header.first_time > facts->last_store_time) {
            facts->last_store_time = fact->segment->header.first_time;
        }
        return 0;
    }
    if (fact->state == CLG_SEGMENT_FOREIGN || fact->state == CLG_SEGMENT_NEWER ||
        fact->state == CLG_SEGMENT_NOT_OPENED || rc == COMMITLOG_ENOMEM) {
        if (err != NULL) {
            *err = why;
        }
        return rc;
    }
    fact->segment = NULL;
    return facts_raw_file(facts, dir, fact, err);
}

/* A file that had this name before, put back by a copy or by a disk that did not write: the
 * successor names another salt, and is the younger of the two. */
static bool facts_is_old(const struct clg_facts *facts, size_t i)
{
    const struct clg_fact_segment *fact = &facts->segments[i];
    const struct clg_fact_segment *next = fact + 1;
    CLG_ASSERT(i < facts->segment_count);
    if (i + 1 == facts->segment_count || fact->segment == NULL || next->segment == NULL ||
        fact->base + fact->bytes != next->base) {
        return false;
    }
    const struct clg_segment_header *mine = &fact->segment->header;
    const struct clg_segment_header *after = &next->segment->header;
    return after->predecessor_salt != 0 && after->predecessor_salt != mine->salt &&
           (mine->epoch < after->epoch ||
            (mine->epoch == after->epoch && mine->created <= after->created));
}

/* What the neighbours know of a header that is gone: the successor names this one's salt. */
static void facts_rebuild(struct clg_facts *facts, const struct clg_store_dir *dir, size_t i,
                          bool writable)
{
    struct clg_fact_segment *fact = &facts->segments[i];
    CLG_ASSERT(fact->segment == NULL);
    if (i + 1 >= facts->segment_count || facts->segments[i + 1].segment == NULL ||
        (fact->state != CLG_SEGMENT_EMPTY && fact->state != CLG_SEGMENT_NO_HEADER &&
         fact->state != CLG_SEGMENT_OLD && fact->state != CLG_SEGMENT_UNREADABLE)) {
        return;
    }
    const struct clg_segment_header *next = &facts->segments[i + 1].segment->header;
    struct clg_segment_header header;
    memset(&header, 0, sizeof(header));
    header.base = fact->base;
    header.size = next->base - fact->base;
    if (!clg_segment_size_ok(header.size) ||
        next->predecessor_end != next->base - CLG_SEGMENT_FOOTER ||
        fact->file_bytes < header.size ||
        (i > 0 && facts->segments[i - 1].base + facts->segments[i - 1].bytes > fact->base)) {
        return;
    }
    header.salt = next->predecessor_salt;
    header.epoch = 1;
    header.algorithm = CLG_CHECK_XXH3_64;
    memcpy(header.uuid, facts->uuid, CLG_UUID_BYTES);
    if (i > 0 && facts->segments[i - 1].segment != NULL) {
        const struct clg_segment_header *prev = &facts->segments[i - 1].segment->header;
        header.predecessor_end = prev->base + prev->size - CLG_SEGMENT_FOOTER;
        header.predecessor_salt = prev->salt;
        header.first_time = prev->first_time;
        header.epoch = prev->epoch;
    }
    enum clg_segment_state state;
    if (clg_segment_open_as(&dir->segment_dir, &header, writable, &fact->segment, &state, NULL) !=
        0) {
        fact->segment = NULL;
        return;
    }
    fact->rebuilt = true;
    fact->bytes = header.size;
    facts_read_session(fact);
    struct clg_segment_footer footer;
    fact->footer_code = clg_segment_read_footer(fact->segment, &footer, NULL);
    if (fact->footer_code == 0) {
        fact->footer_end = footer.end;
        clg_facts_witness(facts, footer.end, CLG_WITNESS_FOOTER);
    }
    CLG_ASSERT(fact->segment->base == fact->base);
}

/* Headers that pass their checks, of which one goes beyond where the next begins: which of the two
 * files does not belong here, nobody can say but who put it there. */
static int facts_overlap(const struct clg_facts *facts, struct commitlog_error *err)
{
    const struct clg_fact_segment *before = NULL;
    CLG_ASSERT(facts->segment_count == 0 || facts->segments != NULL);
    for (size_t i = 0; i < facts->segment_count; i++) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        if (fact->segment == NULL) {
            continue;
        }
        if (before != NULL && before->base + before->bytes > fact->base) {
            return clg_fail(err, COMMITLOG_EDAMAGED, 0, fact->base,
                            "segments %020" PRIu64 ".log (%" PRIu64 " bytes by its header) and "
                            "%020" PRIu64 ".log overlap: move the wrong one out of log/",
                            before->base, before->bytes, fact->base);
        }
        before = fact;
    }
    return 0;
}

static int facts_open_segments(struct clg_facts *facts, const struct clg_store_dir *dir,
                               const struct clg_facts_options *options, struct commitlog_error *err)
{
    CLG_ASSERT(facts->uuid_known);
    uint64_t sure = facts->have_checkpoint ? facts->checkpoint.checkpointed : 0;
    for (size_t i = 0; i < facts->segment_count; i++) {
        struct clg_fact_segment *fact = &facts->segments[i];
        bool last = i + 1 == facts->segment_count;
        /* Only what may have to be written: everything behind the checkpoint. */
        bool writable = !options->read_only && (last || facts->segments[i + 1].base > sure);
        int rc = facts_open_one(facts, dir, fact, writable, err);
        if (rc != 0) {
            return rc == COMMITLOG_EFOREIGN ? clg_facts_foreign(facts, dir, rc, err) : rc;
        }
        if (fact->segment == NULL) {
            uint64_t bytes = !last ? facts->segments[i + 1].base - fact->base
                                   : clg_align_down(fact->file_bytes, CLG_SEGMENT_ALIGN);
            /* No segment is smaller: one that ended where its data would begin, because its file or
             * the way to the next name is that short, would count as one below `first`. */
            fact->bytes = clg_max_u64(bytes, CLG_SEGMENT_MIN);
        } else if (!writable) {
            (void)clg_segment_close_idle(fact->segment);
        }
    }
    int rc = facts_overlap(facts, err);
    for (size_t i = rc == 0 ? facts->segment_count : 0; i-- > 0;) {
        struct clg_fact_segment *fact = &facts->segments[i];
        if (facts_is_old(facts, i)) {
            clg_segment_unref(fact->segment);
            fact->segment = NULL;
            fact->state = CLG_SEGMENT_OLD;
            fact->footer_code = COMMITLOG_ENOTFOUND;
            fact->nonzero = true;
        }
        if (fact->segment == NULL) {
            facts_rebuild(facts, dir, i,
                          !options->read_only && (i + 1 == facts->segment_count ||
                                                  facts->segments[i + 1].base > sure));
        }
        const struct clg_fact_segment *next = fact + 1;
        if (i + 1 < facts->segment_count && fact->segment != NULL && next->segment != NULL &&
            fact->base + fact->bytes == next->base) {
            fact->segment->session_from = next->session_from;
            fact->segment->session_epoch = next->session_epoch;
        }
    }
    return rc;
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
 * durable before that, and with it all that was carried forward. */
static bool facts_learn_first(struct clg_facts *facts)
{
    uint64_t told = clg_max_u64(facts->first_record, CLG_SEGMENT_DATA_START);
    uint64_t known = clg_max_u64(facts->valid_end, facts->witness);
    const struct clg_fact_range *range = facts->range_count > 0 ? &facts->ranges[0] : NULL;
    /* Of a file without a segment in it the end counts as where its records would begin. */
    uint64_t from =
        range == NULL
            ? known
            : range->from + (range->kind == CLG_RANGE_SEGMENT ? CLG_SEGMENT_DATA_START : 0);
    bool whole = facts->segment_count > 0 && from >= known;
    bool newest = facts->have_checkpoint && (facts->bad_slots == 0 || told < facts->first);
    if (newest || told == facts->first || (told < facts->first && !whole)) {
        return false;
    }
    facts->first = told;
    facts->first_told = true;
    return true;
}

static int facts_read_log(struct clg_facts *facts, struct clg_store_dir *dir,
                          const struct clg_facts_options *options, struct commitlog_error *err)
{
    struct clg_stage stage;
    CLG_ASSERT(facts->uuid_known);
    memcpy(dir->segment_dir.uuid, facts->uuid, CLG_UUID_BYTES);
    int rc = clg_facts_ask_states(facts, dir, err);
    if (rc == 0) {
        rc = facts_open_segments(facts, dir, options, err);
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
    facts_bounds(facts, options->full);
    if (!facts_all_good(facts) || (!options->read_only && !facts->clean)) {
        (void)facts_scan_more(facts, dir, CLG_POSITION_MAX);
    }
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
        facts_bounds(facts, options->full);
        rc = clg_facts_scan(facts, &stage, options, err);
    }
    if (rc == 0 && !options->read_only && (!facts->clean || !facts->tail_zero) &&
        facts_scan_more(facts, dir, facts->prefix_end)) {
        rc = clg_facts_scan(facts, &stage, options, err);
    }
    clg_stage_close(&stage);
    if (facts->prefix_epoch == 0) {
        facts->prefix_epoch = facts->have_checkpoint ? facts->checkpoint.epoch : 0;
    }
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
