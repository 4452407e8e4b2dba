/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_state.c -- where the views will begin to read the log, and what else recovery asks of facts
 * that were collected. See facts.h and facts_internal.h.
 *
 * The views begin with it only if the whole file passes its check; what else is asked here is what
 * damage of the log makes false. Where CHECKPOINT is lost the position alone counts.
 */
#include <errno.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "format/state_file.h"
#include "recovery/facts_internal.h"
#include "segment/segment_name.h"
#include "segment/segment_scan.h"

enum { STATE_SECTION = CLG_VIEW_HEADER_BYTES, STATE_FOLD = STATE_SECTION + 16 };
enum { STATE_READ_BYTES = STATE_FOLD + CLG_STATE_FOLD_BYTES };

CLG_STATIC_ASSERT(STATE_FOLD - STATE_SECTION == CLG_STATE_SECTION_HEADER_BYTES,
                  "what is read of a .state");

static bool state_read(const struct commitlog_os *os, const struct clg_store_dir *dir,
                       uint64_t position, uint8_t out[STATE_READ_BYTES])
{
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, CLG_FILE_STATE, position);
    CLG_ASSERT(dir->view_fd >= 0);
    int fd = os->open_at(os, dir->view_fd, name, CLG_OS_OPEN_READ, 0);
    if (fd < 0) {
        return false;
    }
    int64_t n = clg_os_pread_most(os, fd, out, STATE_READ_BYTES, 0);
    clg_os_close_fd(os, &fd);
    CLG_ASSERT(n <= STATE_READ_BYTES);
    return n == STATE_READ_BYTES;
}

/* Is it of this log? *active: the segment from which on the views will read. */
static bool state_is_of_log(const struct clg_facts *facts, uint64_t position,
                            const uint8_t bytes[STATE_READ_BYTES], uint64_t *active)
{
    const uint8_t *fold = bytes + STATE_FOLD;
    if (clg_load_le64(bytes + CLG_STATE_AT_POSITION) != position ||
        clg_load_le32(bytes + STATE_SECTION) != CLG_STATE_FOLD_ID) {
        return false;
    }
    *active = clg_load_le64(fold + CLG_STATE_FOLD_AT_ACTIVE);
    if (*active > position || *active + CLG_SEGMENT_DATA_START < facts->first) {
        return false;
    }
    uint64_t last = clg_load_le64(fold + CLG_STATE_FOLD_AT_LAST);
    uint32_t check = clg_load_le32(fold + CLG_STATE_FOLD_AT_LAST_CHECK);
    const struct clg_fact_segment *fact = clg_facts_segment_at(facts, last);
    return last == CLG_NO_POSITION || (fact != NULL && fact->segment != NULL &&
                                       clg_scan_is_record(fact->segment, last, check));
}

/* All of a file that its header says is of this size; *out: it is a .state of this position. */
static int state_is_whole(const struct clg_facts *facts, int fd, uint64_t bytes, uint64_t position,
                          bool *out, struct commitlog_error *err)
{
    const struct commitlog_os *os = facts->os;
    struct clg_state_file state;
    uint8_t *file = os->alloc(os, bytes);
    CLG_ASSERT(facts->uuid_known);
    if (file == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, ENOMEM, position, "recovery reads a .state");
    }
    *out = clg_os_pread_all(os, fd, file, bytes, 0) == 0 &&
           clg_state_file_open(&state, file, bytes, facts->uuid) == 0 &&
           state.info.position == position;
    os->free(os, file);
    return 0;
}

/* The same of the file of that name, if its size can be one of such a log. */
static int state_has_whole(const struct clg_facts *facts, const struct clg_store_dir *dir,
                           uint64_t position, bool *out, struct commitlog_error *err)
{
    const struct commitlog_os *os = facts->os;
    char name[CLG_SEGMENT_NAME_BYTES];
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    struct clg_os_stat stat;
    int rc = 0;
    *out = false;
    CLG_ASSERT(position >= facts->first);
    clg_segment_name_make(name, CLG_FILE_STATE, position);
    if (os->stat_at(os, dir->view_fd, name, &stat) < 0 || stat.type != CLG_OS_FILE ||
        stat.size_bytes < sizeof(header) ||
        !clg_state_file_can_be(stat.size_bytes, position - facts->first)) {
        return 0;
    }
    int fd = os->open_at(os, dir->view_fd, name, CLG_OS_OPEN_READ, 0);
    if (fd < 0) {
        return 0; /* what does not read proves nothing */
    }
    if (clg_os_pread_all(os, fd, header, sizeof(header), 0) == 0 &&
        clg_load_le64(header + CLG_STATE_AT_BYTES) == stat.size_bytes - sizeof(header)) {
        rc = state_is_whole(facts, fd, stat.size_bytes, position, out, err);
    }
    clg_os_close_fd(os, &fd);
    return rc;
}

uint64_t clg_facts_views_from(const struct clg_facts *facts, const struct clg_store_dir *dir,
                              uint64_t end)
{
    uint8_t bytes[STATE_READ_BYTES];
    uint64_t newest = 0;
    uint64_t from = facts->first;
    CLG_ASSERT(facts->state_count <= CLG_FACTS_STATES);
    for (uint32_t i = 0; i < facts->state_count; i++) {
        uint64_t position = facts->states[i];
        uint64_t active = 0;
        if (position >= clg_max_u64(facts->first, newest) && position <= end &&
            state_read(facts->os, dir, position, bytes) &&
            state_is_of_log(facts, position, bytes, &active)) {
            bool whole = false;
            int rc = state_has_whole(facts, dir, position, &whole, NULL);
            if (rc == 0 && whole) { /* without memory for it the views will have none either */
                newest = position;
                from = active + CLG_SEGMENT_DATA_START;
            }
        }
    }
    CLG_ASSERT(from >= facts->first);
    return from;
}

int clg_facts_ask_states(struct clg_facts *facts, const struct clg_store_dir *dir,
                         struct commitlog_error *err)
{
    int rc = 0;
    if (facts->writer_live || (facts->have_checkpoint && facts->bad_slots == 0)) {
        return 0;
    }
    for (uint32_t i = 0; rc == 0 && i < facts->state_count; i++) {
        const uint64_t position = facts->states[i];
        bool whole = false;
        if (position > facts->witness && position >= facts->first && position <= CLG_POSITION_MAX) {
            rc = state_has_whole(facts, dir, position, &whole, err);
        }
        if (whole) {
            clg_facts_witness(facts, position, CLG_WITNESS_STATE);
        }
    }
    return rc;
}

bool clg_facts_outruns(const struct clg_facts *facts, const struct clg_record_header *header)
{
    CLG_ASSERT(!facts->clean || facts->have_checkpoint);
    return facts->clean && (header->epoch > facts->checkpoint.epoch ||
                            header->store_time > facts->checkpoint.store_time);
}

const char *clg_facts_checkpoint_wrong(const struct clg_facts *facts, bool *out_torn)
{
    /* Without any record the creation of the store may not have come to it. */
    const bool begun = facts->records_scanned > 0;
    *out_torn = facts->have_checkpoint && facts->bad_slots == 1;
    CLG_ASSERT(facts->bad_slots <= CLG_CHECKPOINT_SLOTS);
    return facts->writer_live     ? NULL
           : facts->bad_slots > 1 ? "both slots of CHECKPOINT are damaged"
           : *out_torn            ? "a slot of CHECKPOINT is damaged"
           : facts->is_outrun ? "CHECKPOINT says that the store was closed before its newest record"
           : facts->have_checkpoint || !begun ? NULL
           : facts->checkpoint_file           ? "CHECKPOINT says nothing"
                                              : "there is no CHECKPOINT";
}

const char *clg_facts_live_lost(const struct clg_facts *facts)
{
    CLG_ASSERT(!facts->live.usable || (!facts->live.unsound && !facts->live.missing));
    return facts->clean          ? NULL
           : facts->live.unsound ? "the live area of the last writer fails its checks"
           : facts->live.missing ? "the live area of the last writer is gone"
           : facts->live.usable && !facts->writer_live && facts->prefix_end < facts->live.published
               ? "not all that the last writer had published is there"
               : NULL;
}
