/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * quarantine.h -- bytes that recovery is about to cut, kept for people to look at.
 *
 * Owns: DIR/quarantine/<epoch>-<position>.<what>, with ".2", ".3" ... behind it if that exists: an
 *       earlier recovery that was killed may have put the same bytes there, and nothing in the
 *       directory is ever replaced or deleted by the library.
 * Invariants: when a function returns 0 the copy and its name are durable; when it fails nothing
 *       with a final name is left behind.
 * Threads and locks: one thread at a time (recovery, salvage).
 * Happy path: clg_quarantine_range, then and only then clg_segment_cut.
 * Failure modes: COMMITLOG_ENOSPC, apart from others, because the caller then cuts nothing and
 *       opens read-only. Blocks that cannot be read are copied as zeros and counted.
 */
#ifndef CLG_SEGMENT_QUARANTINE_H
#define CLG_SEGMENT_QUARANTINE_H

#include <stddef.h>
#include <stdint.h>

#include "segment/segment.h"

#define CLG_QUARANTINE_NAME_BYTES 96

struct clg_quarantine {
    const struct commitlog_os *os;
    int dirfd; /* DIR/quarantine */
    uint32_t epoch;
    uint32_t file_mode;
};

struct clg_quarantine_copy {
    char name[CLG_QUARANTINE_NAME_BYTES];
    uint64_t bytes;
    uint64_t unreadable; /* of them, copied as zeros */
};

/* [from, to) of a segment; `what` is the suffix, letters only ("tail", "damage"). */
CLG_MUST_CHECK int clg_quarantine_range(const struct clg_quarantine *quarantine,
                                        struct clg_segment *segment, uint64_t from, uint64_t to,
                                        const char *what, struct clg_quarantine_copy *out,
                                        struct commitlog_error *err);
/* A whole file of whatever content, e.g. a segment without a header. */
CLG_MUST_CHECK int clg_quarantine_file(const struct clg_quarantine *quarantine, int dirfd,
                                       const char *name, uint64_t position, const char *what,
                                       struct clg_quarantine_copy *out,
                                       struct commitlog_error *err);
/* Bytes from memory, e.g. of the stage. */
CLG_MUST_CHECK int clg_quarantine_bytes(const struct clg_quarantine *quarantine, uint64_t position,
                                        const void *data, size_t size, const char *what,
                                        struct clg_quarantine_copy *out,
                                        struct commitlog_error *err);

#endif
