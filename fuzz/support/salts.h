/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * salts.h -- which salts the files of a store name for a segment: what is read there must verify by
 * one of them.
 *
 * Threads and locks: none. Failure modes: none; what does not decode is passed over.
 */
#ifndef FUZZ_SUPPORT_SALTS_H
#define FUZZ_SUPPORT_SALTS_H

#include <stdbool.h>
#include <stdint.h>

#include "bundle.h"
#include "format/segment_header.h"

#define FUZZ_SALTS_MAX 64u

/* The segment that holds the position. One that has no header of its own is read by what its
 * neighbours know: NULL. */
const struct fuzz_file *fuzz_segment_of(const struct fuzz_bundle *seen, uint64_t position,
                                        struct clg_segment_header *header);
/* The salts by which the segment may be read: those of both copies of its header, the older of
 * which is a page that was never overwritten, and the one that a successor names. */
uint32_t fuzz_salts(const struct fuzz_bundle *seen, const struct fuzz_file *file,
                    uint64_t salts[FUZZ_SALTS_MAX]);

#endif
