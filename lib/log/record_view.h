/*
 * record_view.h -- one record as folds and readers see it: decoded header, pointers to the rest.
 *
 * The pointers are borrowed from whoever made the view; its comment says for how long.
 */
#ifndef CLG_LOG_RECORD_VIEW_H
#define CLG_LOG_RECORD_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "format/record.h"

struct clg_record_view {
    uint64_t position;
    uint64_t
        next_position; /* where the next record begins: behind the segment's edge after a pad */
    uint64_t segment_base;
    struct clg_record_header header; /* a copy, already decoded */
    const uint8_t *attributes;       /* header.attribute_bytes of them */
    const uint8_t *body;
    size_t body_bytes;
};

#endif
