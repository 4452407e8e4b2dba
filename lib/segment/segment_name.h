/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_name.h -- a position and the name of the file that belongs to it.
 *
 * Owns: the spelling of every file name that carries a position: log/%020llu.log, view/%020llu.cq,
 *       .key, .state, and the temporary form of each, the name with ".tmp" behind it.
 * Invariants: one position has exactly one name of a kind and the other way round: what does not
 *       print back to the same bytes is not a name of ours and is never touched.
 * Threads and locks: none; pure.
 * Happy path: clg_segment_name_make to open, clg_segment_name_parse while listing a directory.
 * Failure modes: parse answers false.
 */
#ifndef CLG_SEGMENT_SEGMENT_NAME_H
#define CLG_SEGMENT_SEGMENT_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"

/* 20 digits, the longest suffix, ".tmp" and NUL, with room to spare. */
#define CLG_SEGMENT_NAME_BYTES 48

enum clg_segment_file { CLG_FILE_LOG, CLG_FILE_CQ, CLG_FILE_KEY, CLG_FILE_STATE, CLG_FILE_KINDS };

struct clg_segment_name {
    uint64_t position;
    enum clg_segment_file kind;
    bool temporary;
};

void clg_segment_name_make(char out[CLG_SEGMENT_NAME_BYTES], enum clg_segment_file kind,
                           uint64_t position);
void clg_segment_name_make_temp(char out[CLG_SEGMENT_NAME_BYTES], enum clg_segment_file kind,
                                uint64_t position);
/* True and *out if the text is exactly what one of the two above writes. */
CLG_MUST_CHECK bool clg_segment_name_parse(const char *text, struct clg_segment_name *out);

#endif
