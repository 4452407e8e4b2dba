/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_owner.c -- what store the files are of: CHECKPOINT knows, or else a segment says it. See
 * facts.h.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "recovery/facts_internal.h"
#include "segment/segment_name.h"

/* One of the two header pages of a segment. False: there is none, or it cannot be read; then
 * *inout_rc is set if that says nothing about the file. */
static bool facts_header_page(const struct clg_facts *facts, const struct clg_store_dir *dir,
                              size_t index, uint8_t page[CLG_FORMAT_PAGE_BYTES], int *inout_rc)
{
    const struct commitlog_os *os = facts->os;
    char name[CLG_SEGMENT_NAME_BYTES];
    struct clg_os_stat stat;
    clg_segment_name_make(name, CLG_FILE_LOG, facts->segments[index / 2].base);
    int rc = os->stat_at(os, dir->log_fd, name, &stat);
    if (rc < 0) {
        *inout_rc = rc == -ENOENT ? *inout_rc : rc;
        return false;
    }
    rc = stat.type == CLG_OS_FILE ? os->open_at(os, dir->log_fd, name, CLG_OS_OPEN_READ, 0)
                                  : -ENOENT;
    if (rc >= 0) {
        int fd = rc;
        rc = clg_os_pread_all(os, fd, page, CLG_FORMAT_PAGE_BYTES,
                              (index % 2) * CLG_FORMAT_PAGE_BYTES);
        clg_os_close_fd(os, &fd);
    }
    if (rc < 0 && rc != -ENOENT && !clg_os_is_data_error(rc)) {
        *inout_rc = rc;
    }
    return rc >= 0;
}

int clg_facts_uuid(struct clg_facts *facts, const struct clg_store_dir *dir, bool *out_newer,
                   struct commitlog_error *err)
{
    int os_rc = 0;
    *out_newer = false;
    CLG_ASSERT(!facts->uuid_known);
    if (facts->have_checkpoint) {
        memcpy(facts->uuid, facts->checkpoint.uuid, CLG_UUID_BYTES);
        facts->uuid_known = true;
    }
    for (size_t i = 0; i < 2 * facts->segment_count && !facts->uuid_known; i++) {
        uint8_t page[CLG_FORMAT_PAGE_BYTES];
        struct clg_segment_header header;
        if (!facts_header_page(facts, dir, i, page, &os_rc)) {
            continue;
        }
        int rc = clg_segment_header_decode(page, NULL, true, &header);
        if (rc == 0) {
            memcpy(facts->uuid, header.uuid, CLG_UUID_BYTES);
            facts->uuid_known = true;
        }
        *out_newer = *out_newer || rc == COMMITLOG_EVERSION;
    }
    CLG_ASSERT(facts->have_checkpoint ? facts->uuid_known : true);
    if (!facts->uuid_known && os_rc != 0) {
        return clg_fail_os(err, os_rc, CLG_NO_POSITION, "read the headers of the segments");
    }
    *out_newer = *out_newer && !facts->uuid_known;
    return 0;
}

/* A segment is of another store than CHECKPOINT. When all are, CHECKPOINT may be what does not
 * belong here: who then took the segments away would take the store. */
int clg_facts_foreign(const struct clg_facts *facts, const struct clg_store_dir *dir, int code,
                      struct commitlog_error *err)
{
    CLG_ASSERT(facts->uuid_known);
    CLG_ASSERT(code == COMMITLOG_EFOREIGN);
    for (size_t i = 0; i < 2 * facts->segment_count; i++) {
        uint8_t page[CLG_FORMAT_PAGE_BYTES];
        struct clg_segment_header header;
        int os_rc = 0;
        bool read = facts_header_page(facts, dir, i, page, &os_rc);
        if (os_rc != 0 ||
            (read && clg_segment_header_decode(page, facts->uuid, true, &header) == 0)) {
            return code; /* the text names the segment */
        }
    }
    if (!facts->have_checkpoint || facts->segment_count == 0) {
        return code;
    }
    return clg_fail(err, code, 0, CLG_NO_POSITION,
                    "CHECKPOINT is of another store than segment %020" PRIu64
                    ".log and all others: move away what does not belong here",
                    facts->segments[0].base);
}

/* There is something, but nothing that says what store it is of. */
int clg_facts_nameless(const struct clg_facts *facts, bool newer, struct commitlog_error *err)
{
    CLG_ASSERT(!facts->uuid_known && !facts->is_new);
    if (newer) {
        return clg_fail(err, COMMITLOG_EVERSION, 0, CLG_NO_POSITION,
                        "the segments were written by a newer version of the library");
    }
    return clg_fail(err, COMMITLOG_EDAMAGED, 0, CLG_NO_POSITION,
                    facts->segment_count > 0 || facts->checkpoint_file
                        ? "neither CHECKPOINT nor any segment header can be read"
                        : "files are there, but no log");
}
