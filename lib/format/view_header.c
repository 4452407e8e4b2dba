/* SPDX-License-Identifier: BSD-2-Clause */
/* view_header.c -- common part of the sealed view files; see view_header.h */
#include "format/view_header.h"

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"

CLG_FORMAT_ASSERT(CLG_VIEW_AT_BASE == CLG_FILE_HEADER_BYTES);
CLG_FORMAT_ASSERT(CLG_VIEW_AT_SALT == CLG_VIEW_AT_BASE + 8u);
CLG_FORMAT_ASSERT(CLG_VIEW_AT_END == CLG_VIEW_AT_SALT + 8u);

static bool view_segment_ok(const struct clg_view_segment *segment)
{
    return segment->base % CLG_SEGMENT_ALIGN == 0 && segment->end <= CLG_POSITION_MAX &&
           segment->end % CLG_RECORD_ALIGN == 0 && segment->end >= CLG_SEGMENT_DATA_START &&
           segment->base <= segment->end - CLG_SEGMENT_DATA_START &&
           segment->end - segment->base <= CLG_SEGMENT_MAX - CLG_SEGMENT_FOOTER;
}

void clg_view_header_begin(uint8_t header[CLG_VIEW_HEADER_BYTES], uint64_t magic,
                           const struct clg_view_segment *segment,
                           const uint8_t uuid[CLG_UUID_BYTES])
{
    CLG_ASSERT(header != NULL);
    CLG_ASSERT(view_segment_ok(segment));
    clg_format_begin(header, CLG_VIEW_HEADER_BYTES, magic, uuid);
    clg_store_le64(header + CLG_VIEW_AT_BASE, segment->base);
    clg_store_le64(header + CLG_VIEW_AT_SALT, segment->salt);
    clg_store_le64(header + CLG_VIEW_AT_END, segment->end);
}

int clg_view_header_decode(const uint8_t *file, uint64_t bytes, uint64_t magic,
                           const struct clg_view_segment *expected, const uint8_t *uuid,
                           struct clg_view_segment *segment)
{
    struct clg_file_header header;
    struct clg_view_segment decoded;
    CLG_ASSERT(segment != NULL);
    if (bytes < CLG_VIEW_HEADER_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = clg_format_decode(file, bytes, CLG_VIEW_HEADER_BYTES, magic, 0, uuid, true, &header);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    decoded.base = clg_load_le64(file + CLG_VIEW_AT_BASE);
    decoded.salt = clg_load_le64(file + CLG_VIEW_AT_SALT);
    decoded.end = clg_load_le64(file + CLG_VIEW_AT_END);
    if (!view_segment_ok(&decoded)) {
        return COMMITLOG_EDAMAGED;
    }
    if (expected != NULL && (decoded.base != expected->base || decoded.salt != expected->salt ||
                             decoded.end != expected->end)) {
        return COMMITLOG_EFOREIGN;
    }
    *segment = decoded;
    return COMMITLOG_OK;
}

bool clg_view_place_ok(const struct clg_view_segment *segment, uint32_t place, uint64_t size)
{
    uint64_t at = (uint64_t)place * CLG_RECORD_ALIGN;
    uint64_t end = segment->end - segment->base;
    CLG_ASSERT(view_segment_ok(segment));
    return at >= CLG_SEGMENT_DATA_START && at <= end && size <= end - at;
}
