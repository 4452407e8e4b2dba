/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment.c -- fuzz target: a segment file, opened, scanned in both modes, searched.
 *
 * Input: a bundle; its first .log file. Lowest option bits: where the search begins.
 *
 * Held: a record that a scan calls good verifies in the file itself; both modes agree on every
 * record as far as a full scan gets; a scan ends.
 */
#include <string.h>

#include "format/record.h"
#include "segment/segment_scan.h"
#include "support/check.h"
#include "support/disk.h"
#include "support/fuzz.h"

/* One scan never takes more steps than there are places for records. */
#define SEGMENT_STEPS_MAX (FUZZ_FILE_BYTES_MAX / 8u)

static void segment_record(const struct clg_segment *segment, const struct fuzz_file *file,
                           const struct clg_scan_record *record, bool full)
{
    uint64_t at = record->position - segment->base;
    struct clg_record_header header;
    FUZZ_CHECK(record->position >= segment->data_start && at % 8 == 0);
    FUZZ_CHECK(record->next_position <= segment->data_end &&
               record->next_position > record->position);
    FUZZ_CHECK(at + CLG_RECORD_HEADER_BYTES <= file->bytes);
    const uint8_t *bytes = file->data + at;
    uint64_t seed = clg_record_seed(segment->salt, record->position);
    clg_record_decode(bytes, &header);
    FUZZ_CHECK(clg_record_verify_header(bytes, seed));
    if (full && !clg_record_is_filler(header.kind)) {
        FUZZ_CHECK(at + record->size <= file->bytes);
        FUZZ_CHECK(clg_record_verify_body(&header, bytes, seed));
        FUZZ_CHECK(record->body != NULL && record->body_bytes == clg_record_body_bytes(&header));
        FUZZ_CHECK(memcmp(record->body, clg_record_body(&header, bytes), record->body_bytes) == 0);
    }
}

/* Position at which the scan stops. */
static uint64_t segment_scan(struct clg_segment *segment, const struct fuzz_file *file,
                             enum clg_scan_mode mode, uint64_t limit)
{
    struct clg_scan scan;
    struct clg_scan_record record;
    struct clg_scan_record again;
    uint32_t steps = 0;
    clg_scan_init(&scan, segment, 0, mode);
    uint64_t at = segment->data_start;
    for (;;) {
        FUZZ_CHECK(steps++ < SEGMENT_STEPS_MAX);
        FUZZ_CHECK(clg_scan_step(&scan, &record, NULL) == 0 && record.position == at);
        if (record.verdict != CLG_SCAN_OK || at >= limit) {
            break;
        }
        segment_record(segment, file, &record, mode == CLG_SCAN_FULL);
        at = record.next_position;
    }
    if (record.verdict != CLG_SCAN_OK) { /* it does not move and says the same again */
        FUZZ_CHECK(clg_scan_step(&scan, &again, NULL) == 0);
        FUZZ_CHECK(again.verdict == record.verdict && again.position == record.position);
        FUZZ_CHECK(clg_scan_verdict_text(record.verdict) != NULL && record.why != NULL);
    }
    FUZZ_CHECK(scan.witnessed <= segment->data_end);
    clg_scan_free(&scan);
    return at;
}

/* Every good record that can be found anywhere, and whether what lies between is zero. */
static void segment_search(struct clg_segment *segment, const struct fuzz_file *file,
                           enum clg_scan_mode mode, uint64_t from)
{
    struct clg_scan scan;
    struct clg_scan_search search;
    struct clg_scan_record record;
    uint64_t end = 0;
    clg_scan_init(&scan, segment, 0, mode);
    uint64_t at = segment->data_start + from % (segment->data_end - segment->data_start) / 8 * 8;
    for (uint32_t found = 0; found < 64 && at < segment->data_end; found++) {
        int rc = clg_scan_resync(&scan, at, segment->data_end, &search, NULL);
        if (rc != 0) {
            FUZZ_CHECK(rc == COMMITLOG_ENOTFOUND || rc == COMMITLOG_EDAMAGED);
            break;
        }
        FUZZ_CHECK(search.found >= at && search.found < segment->data_end);
        clg_scan_seek(&scan, search.found);
        FUZZ_CHECK(clg_scan_step(&scan, &record, NULL) == 0);
        if (record.verdict == CLG_SCAN_OK) {
            segment_record(segment, file, &record, mode == CLG_SCAN_FULL);
        }
        at = search.found + 8;
    }
    int rc = clg_scan_last_nonzero(&scan, segment->data_start, segment->data_end, &end, NULL);
    FUZZ_CHECK(rc != 0 || (end >= segment->data_start && end <= segment->data_end));
    rc = clg_scan_all_zero(&scan, segment->data_start, segment->data_end, &end, NULL);
    FUZZ_CHECK(rc != 0 || end <= segment->data_end);
    clg_scan_free(&scan);
}

static void segment_file(struct fuzz_disk *disk, const struct fuzz_file *file, uint64_t options)
{
    struct clg_segment_dir dir = {.os = &disk->os, .file_mode = 0600, .read_only = true};
    struct clg_segment *segment = NULL;
    enum clg_segment_state state = CLG_SEGMENT_NOT_OPENED;
    struct clg_segment_footer footer;
    const uint8_t *map;
    dir.fd = disk->os.open_dir(&disk->os, FUZZ_STORE "/log");
    FUZZ_CHECK(dir.fd >= 0);
    if (file->bytes >= CLG_FILE_AT_UUID + CLG_UUID_BYTES) {
        memcpy(dir.uuid, file->data + CLG_FILE_AT_UUID, CLG_UUID_BYTES);
    }
    int rc = clg_segment_open(&dir, file->position, false, &segment, &state, NULL);
    FUZZ_CHECK(clg_segment_state_text(state) != NULL);
    if (rc == 0) {
        clg_segment_invariants(segment);
        uint64_t full = segment_scan(segment, file, CLG_SCAN_FULL, UINT64_MAX);
        uint64_t hops = segment_scan(segment, file, CLG_SCAN_HEADER_ONLY, full);
        FUZZ_CHECK(hops == full);
        segment_search(segment, file, CLG_SCAN_FULL, options >> 1);
        segment_search(segment, file, CLG_SCAN_HEADER_ONLY, options >> 1);
        rc = clg_segment_read_footer(segment, &footer, NULL);
        FUZZ_CHECK(rc != 0 || footer.end == segment->data_end);
        if (clg_segment_map(segment, &map, NULL) == 0) {
            FUZZ_CHECK(memcmp(map, file->data, (size_t)segment->bytes) == 0);
        }
        clg_segment_unref(segment);
    }
    FUZZ_CHECK(disk->os.close(&disk->os, dir.fd) >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_bundle bundle;
    struct fuzz_disk disk;
    fuzz_bundle_unpack(data, size, &bundle);
    const struct fuzz_file *file = fuzz_bundle_find(&bundle, FUZZ_LOG);
    if (file != NULL && file->position <= CLG_POSITION_MAX) {
        fuzz_disk_load(&disk, &bundle);
        fuzz_disk_set_exact(true);
        segment_file(&disk, file, bundle.options);
        fuzz_disk_free(&disk);
    }
    fuzz_bundle_free(&bundle);
    return 0;
}
