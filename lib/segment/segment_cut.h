/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_cut.h -- the only changes that recovery makes to bytes of a segment.
 *
 * Invariants: the size of the file never changes; each function may be killed anywhere and called
 *       again; cut, clear_footer and rewrite are durable when they return 0.
 * Threads and locks: one thread, before the segment is served.
 * Happy path: tail cut: quarantine -> clg_segment_cut -> new epoch. After a crash in the same boot:
 *       clg_segment_rewrite of what was verified.
 * Failure modes: EIO, ENOSPC where blocks were not reserved; COMMITLOG_EMISUSE without a descriptor
 *       for writing. The file is then in some state between: call again.
 */
#ifndef CLG_SEGMENT_SEGMENT_CUT_H
#define CLG_SEGMENT_SEGMENT_CUT_H

#include <stdbool.h>
#include <stdint.h>

#include "format/record.h"
#include "segment/segment.h"

/* The footer page becomes zeros: the segment is not sealed afterwards. For a footer that fails its
 * check, or that counts other records than there are since some became one hole. */
CLG_MUST_CHECK int clg_segment_clear_footer(struct clg_segment *segment,
                                            struct commitlog_error *err);

/* Zeros from `position` to the end of the file, the footer first: a footer over a half cut segment
 * would call the cut damage. The segment is not sealed afterwards. */
CLG_MUST_CHECK int clg_segment_cut(struct clg_segment *segment, uint64_t position,
                                   struct commitlog_error *err);

/*
 * Writes the pages of [from, to) again with the bytes it has and flushes: after a failed write-back
 * the cache holds clean pages that the disk never got, and only a new write makes the kernel try
 * again. Past the cache, because a write through it may not do: ext4 remembers with the cached page
 * that its block is allocated, forgets that it is still marked as never written, and so the data
 * gets to the disk, the flush succeeds, and after a power cut the block reads as zeros.
 */
CLG_MUST_CHECK int clg_segment_rewrite(struct clg_segment *segment, uint64_t from, uint64_t to,
                                       struct commitlog_error *err);
/*
 * The quick way, at the pace of the device: through the cache, and then look whether that did.
 * Begin writes whole pages again, with `bytes`, which were read from them a moment ago, or with
 * what they have (NULL), and lets the device start; the caller compares what is in the cache after
 * that with what it wants there; end flushes, and says whether the pages of [from, to) are durable:
 * none was lost before the flush, which would have failed, and none of their blocks is still marked
 * as never written. False: it could not be told or is not so, or the flush told of a failure,
 * perhaps an old one that the dead writer had no time to hear of. Then clg_segment_rewrite is to
 * write again what was written since the segment was opened.
 */
CLG_MUST_CHECK int clg_segment_rewrite_begin(struct clg_segment *segment, const uint8_t *bytes,
                                             uint64_t from, uint64_t to,
                                             struct commitlog_error *err);
CLG_MUST_CHECK bool clg_segment_rewrite_end(struct clg_segment *segment, uint64_t from,
                                            uint64_t to);
/* The same for the pages behind the end of the log, all zeros, that the dead writer may have
 * touched: what is appended next would go through them. */
CLG_MUST_CHECK int clg_segment_rewrite_ahead(struct clg_segment *segment, uint64_t from,
                                             struct commitlog_error *err);

/* A hole over [position, position + size): a header of 48 bytes, the rest stays. `like` gives queue
 * number and offset, store time, epoch, durable-back; kind, sizes and checks are set here. The
 * caller flushes. size: a multiple of 8 from CLG_RECORD_MIN to CLG_FILLER_MAX, inside the data. */
CLG_MUST_CHECK int clg_segment_write_hole(struct clg_segment *segment, uint64_t position,
                                          uint32_t size, const struct clg_record_header *like,
                                          struct commitlog_error *err);

#endif
