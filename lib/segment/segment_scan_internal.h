/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_scan_internal.h -- what the walk (segment_scan.c) and the search share.
 *
 * Invariants: the pointers handed out hold until the next load of the same scan.
 * Threads and locks: as the scan.
 * Happy path: load, or examine a record.
 * Failure modes: load: 0, a positive errno of the read, or a negative COMMITLOG_E... code.
 */
#ifndef CLG_SEGMENT_SEGMENT_SCAN_INTERNAL_H
#define CLG_SEGMENT_SEGMENT_SCAN_INTERNAL_H

#include "segment/segment_scan.h"

/* [at, at + need) in one piece; reads scan->read_ahead bytes at once if it can. */
CLG_MUST_CHECK int clg_scan_load(struct clg_scan *scan, uint64_t at, uint64_t need,
                                 const uint8_t **out, struct commitlog_error *err);
/* Does the file end before at + need, and is what there is of it from `at` on zero? What a short
 * file lacks is as good as zeros: recovery makes it so. */
bool clg_scan_file_ends(struct clg_scan *scan, uint64_t at, uint64_t need);
/* Everything the header alone can tell; the scan's position is not touched. */
CLG_MUST_CHECK int clg_scan_examine_header(struct clg_scan *scan,
                                           const struct clg_scan_bounds *bounds, uint64_t position,
                                           struct clg_scan_record *out,
                                           struct commitlog_error *err);
/* And the rest, as the mode demands. */
CLG_MUST_CHECK int clg_scan_examine(struct clg_scan *scan, const struct clg_scan_bounds *bounds,
                                    uint64_t position, struct clg_scan_record *out,
                                    struct commitlog_error *err);

#endif
