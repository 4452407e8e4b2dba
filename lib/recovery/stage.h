/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * stage.h -- the live area of a writer that is gone, as evidence for what it had not drained.
 *
 * Owns: the descriptor of the area's file and a window of what was read of its ring: its writer is
 *       dead, so the ring does not change.
 * Invariants: 1. read with pread, never mapped: the file is not ours to trust; 2. usable only if
 *       boot, device and inode of DIR, store, session and the order of the positions agree; 3. only
 *       positions in its own [written, claimed) are looked at, each record verified in full; 4.
 * LOCK says where it is. When LOCK names nobody it has a fixed name in each place where it may be,
 *       and is used if what it says itself is of this store, and not if its writer lives.
 * Threads and locks: the calling thread, under the writer's lock: the area's writer is dead.
 * Happy path: clg_stage_open -> clg_stage_look ... -> clg_stage_close.
 * Failure modes: ELOCKED; ENOMEM, ELIMIT, EIO: what is there but cannot be read now must not be
 * taken for nothing. An area that does not agree is no evidence, and no failure; one that is
 * damaged, or not where LOCK says, is told (clg_live_facts.unsound, .missing).
 */
#ifndef CLG_RECOVERY_STAGE_H
#define CLG_RECOVERY_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "format/live_area.h"
#include "format/record.h"
#include "recovery/facts.h"
#include "segment/segment_scan.h"

struct clg_stage {
    const struct commitlog_os *os;
    int fd;    /* -1: no evidence */
    bool held; /* LOCK is gone, and its writer is not */
    struct clg_live_header header;
    struct clg_live_facts live;
    uint8_t *buffer;
    size_t buffer_bytes;
    uint64_t window_at; /* position of buffer[0] */
    size_t window_bytes;
    uint64_t hashed_bytes; /* of bodies, so far */
};

enum clg_stage_verdict { CLG_STAGE_NONE, CLG_STAGE_RECORDS, CLG_STAGE_CLAIMED };

/* What follows position: one record, or a whole batch, or one claim. */
struct clg_stage_found {
    enum clg_stage_verdict verdict;
    uint64_t end;
    uint64_t records;
    uint64_t witness;                /* 0: none */
    uint64_t first;                  /* where the log begins, if that is what it says; 0 */
    struct clg_record_header header; /* of the last one */
};

/* Fills stage->live; with live.usable false there is nothing to look at. Its session is that of the
 * newest checkpoint (NULL: it is not known, LOCK alone decides). After a failure it is closed. If
 * LOCK named nobody, dir->last of a writer says then what LOCK would have said. */
CLG_MUST_CHECK int clg_stage_open(struct clg_stage *stage, struct clg_store_dir *dir,
                                  const uint8_t *uuid, const struct clg_checkpoint *newest,
                                  struct commitlog_error *err);
void clg_stage_close(struct clg_stage *stage);

CLG_MUST_CHECK int clg_stage_look(struct clg_stage *stage, const struct clg_segment *segment,
                                  const struct clg_scan_bounds *bounds, uint64_t position,
                                  struct clg_stage_found *out, struct commitlog_error *err);

/* The first position of [from, to), on steps of 8 bytes, at which something is there; `to`: none. A
 * stage that is made to cost hours has nothing after some time. */
CLG_MUST_CHECK int clg_stage_search(struct clg_stage *stage, const struct clg_segment *segment,
                                    const struct clg_scan_bounds *bounds, uint64_t from,
                                    uint64_t to, uint64_t *out_found, struct commitlog_error *err);

/* Bytes of one record that was found, for the segment: all of it, or the header of a filler. With
 * it those that follow before `to`, as far as they are at hand and no filler is among them. The
 * pointer holds until the next call. 0, EAGAIN (not there any more), ENOMEM. */
CLG_MUST_CHECK int clg_stage_fetch(struct clg_stage *stage, const struct clg_segment *segment,
                                   uint64_t position, uint64_t to, const uint8_t **out,
                                   uint32_t *out_bytes, uint32_t *out_size,
                                   struct commitlog_error *err);

#endif
