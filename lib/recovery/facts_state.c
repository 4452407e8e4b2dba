/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_state.c -- where the views will begin to read the log, and what else recovery asks of facts
 * that were collected. See facts.h and facts_internal.h.
 *
 * The views ask more of the file; what is asked here is what damage of the log makes false.
 */
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
            newest = position;
            from = active + CLG_SEGMENT_DATA_START;
        }
    }
    CLG_ASSERT(from >= facts->first);
    return from;
}

const char *clg_facts_live_lost(const struct clg_facts *facts)
{
    CLG_ASSERT(!facts->live.usable || (!facts->live.unsound && !facts->live.missing));
    return facts->clean          ? NULL
           : facts->live.unsound ? "the live area of the last writer fails its checks"
           : facts->live.missing ? "the live area of the last writer is gone"
                                 : NULL;
}
