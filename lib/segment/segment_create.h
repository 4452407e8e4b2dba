/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_create.h -- a new segment file, in the steps that make it appear whole or not at all.
 *
 * Invariants: the final name exists only for a file of full size with both headers, all of it
 *       flushed; an existing name is never replaced. A temporary file left by a crash is removed
 *       and begun again: the store's lock says that nobody else is making it.
 * Threads and locks: none of its own; one thread at a time per struct clg_segment_draft.
 * Happy path: begin -> allocate (in pieces) -> [prewrite] -> finish. clg_segment_create does all.
 * Failure modes: ENOSPC leaves no file and no blocks behind; EEXIST: the name is taken; else the
 *       code of the failing call. clg_segment_draft_abort removes whatever there is.
 */
#ifndef CLG_SEGMENT_SEGMENT_CREATE_H
#define CLG_SEGMENT_SEGMENT_CREATE_H

#include <stdbool.h>
#include <stdint.h>

#include "segment/segment.h"

/* What a segment is made from; creation time, algorithm and UUID are filled in here. */
struct clg_segment_plan {
    uint64_t base;
    uint64_t bytes;
    uint64_t predecessor_end;
    uint64_t predecessor_salt;
    uint64_t salt;      /* 0: a random one */
    int64_t first_time; /* no record in it will be older: the last store time given out */
    uint32_t epoch;
};

/* The plan that follows `last`: the end of its data is known before it is full, because every
 * segment is closed by a pad that ends there. */
void clg_segment_plan_after(const struct clg_segment *last, uint64_t bytes, int64_t first_time,
                            uint32_t epoch, struct clg_segment_plan *out);

struct clg_segment_draft {
    const struct clg_segment_dir *dir;
    struct clg_segment_header header;
    int fd;              /* -1: nothing begun */
    bool named;          /* renamed to its final name */
    bool reserved;       /* false: the file system gives no promise of blocks */
    uint64_t allocated;  /* bytes of the file allocated so far */
    uint64_t prewritten; /* file offset up to which zeros were written */
};

void clg_segment_draft_init(struct clg_segment_draft *draft, const struct clg_segment_dir *dir);
/* Temporary file, O_EXCL, copy-on-write switched off while it is empty where that exists. */
CLG_MUST_CHECK int clg_segment_draft_begin(struct clg_segment_draft *draft,
                                           const struct clg_segment_plan *plan,
                                           struct commitlog_error *err);
/* Reserves up to max_bytes more; done when allocated == header.size. */
CLG_MUST_CHECK int clg_segment_draft_allocate(struct clg_segment_draft *draft, uint64_t max_bytes,
                                              struct commitlog_error *err);
/* Writes up to max_bytes of zeros and waits for the device: afterwards a flush of data needs no
 * change of extents. `zeros` has max_bytes of them. Done when prewritten == header.size. */
CLG_MUST_CHECK int clg_segment_draft_prewrite(struct clg_segment_draft *draft, const uint8_t *zeros,
                                              uint64_t max_bytes, struct commitlog_error *err);
/* Both headers, fsync, rename, fsync of the directory; *out has one reference. */
CLG_MUST_CHECK int clg_segment_draft_finish(struct clg_segment_draft *draft,
                                            struct clg_segment **out, struct commitlog_error *err);
/* Back to nothing; the temporary file goes. */
void clg_segment_draft_abort(struct clg_segment_draft *draft);

/* All of it at once. (*out)->reserved tells whether the file system promised the blocks. */
CLG_MUST_CHECK int clg_segment_create(const struct clg_segment_dir *dir,
                                      const struct clg_segment_plan *plan, struct clg_segment **out,
                                      struct commitlog_error *err);

#endif
