/* SPDX-License-Identifier: BSD-2-Clause */
/* segment_header.c -- header and footer page of a segment; see segment_header.h */
#include "format/segment_header.h"

#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/record.h"

CLG_FORMAT_ASSERT(CLG_SEGMENT_AT_BASE == CLG_FILE_HEADER_BYTES);
CLG_FORMAT_ASSERT(CLG_SEGMENT_AT_SIZE == CLG_SEGMENT_AT_BASE + 8u);
CLG_FORMAT_ASSERT(CLG_SEGMENT_AT_SALT == CLG_SEGMENT_AT_SIZE + 8u);
CLG_FORMAT_ASSERT(CLG_SEGMENT_AT_PREDECESSOR_END == CLG_SEGMENT_AT_SALT + 8u);
CLG_FORMAT_ASSERT(CLG_SEGMENT_AT_PREDECESSOR_SALT == CLG_SEGMENT_AT_PREDECESSOR_END + 8u);
CLG_FORMAT_ASSERT(CLG_SEGMENT_AT_FIRST_TIME == CLG_SEGMENT_AT_PREDECESSOR_SALT + 8u);
CLG_FORMAT_ASSERT(CLG_SEGMENT_AT_CREATED == CLG_SEGMENT_AT_FIRST_TIME + 8u);
CLG_FORMAT_ASSERT(CLG_SEGMENT_AT_EPOCH == CLG_SEGMENT_AT_CREATED + 8u);
CLG_FORMAT_ASSERT(CLG_SEGMENT_AT_ALGORITHM == CLG_SEGMENT_AT_EPOCH + 4u);
CLG_FORMAT_ASSERT(CLG_FOOTER_AT_BASE == CLG_FILE_HEADER_BYTES);
CLG_FORMAT_ASSERT(CLG_FOOTER_AT_SALT == CLG_FOOTER_AT_BASE + 8u);
CLG_FORMAT_ASSERT(CLG_FOOTER_AT_END == CLG_FOOTER_AT_SALT + 8u);
CLG_FORMAT_ASSERT(CLG_FOOTER_AT_RECORDS == CLG_FOOTER_AT_END + 8u);
CLG_FORMAT_ASSERT(CLG_FOOTER_AT_FIRST_TIME == CLG_FOOTER_AT_RECORDS + 8u);
CLG_FORMAT_ASSERT(CLG_FOOTER_AT_LAST_TIME == CLG_FOOTER_AT_FIRST_TIME + 8u);
CLG_FORMAT_ASSERT(CLG_FOOTER_AT_EPOCH == CLG_FOOTER_AT_LAST_TIME + 8u);
CLG_FORMAT_ASSERT(CLG_CHECK_XXH3_64 == 1u);
CLG_FORMAT_ASSERT(CLG_SEGMENT_MIN == 65536u && CLG_SEGMENT_ALIGN == 4096u);
CLG_FORMAT_ASSERT(CLG_SEGMENT_MAX == UINT64_C(34359738368));
CLG_FORMAT_ASSERT(CLG_SEGMENT_GAP == 12288u);
CLG_FORMAT_ASSERT(CLG_POSITION_MAX == UINT64_C(0x7ffffffffffff000));
CLG_STATIC_ASSERT(CLG_SEGMENT_DATA_START == 2u * CLG_FORMAT_PAGE_BYTES, "header and copy");
CLG_STATIC_ASSERT(CLG_SEGMENT_FOOTER == CLG_FORMAT_PAGE_BYTES, "one page");
CLG_STATIC_ASSERT(CLG_SEGMENT_MAX / 8u <= UINT32_MAX + UINT64_C(1), "a place has 32 bits");

bool clg_segment_size_ok(uint64_t size)
{
    return size >= CLG_SEGMENT_MIN && size <= CLG_SEGMENT_MAX && size % CLG_SEGMENT_ALIGN == 0;
}

static bool segment_header_ok(const struct clg_segment_header *header)
{
    return clg_segment_size_ok(header->size) && header->base % CLG_SEGMENT_ALIGN == 0 &&
           header->base <= CLG_POSITION_MAX - header->size &&
           header->predecessor_end <= header->base &&
           header->predecessor_end % CLG_RECORD_ALIGN == 0;
}

void clg_segment_header_encode(uint8_t page[CLG_FORMAT_PAGE_BYTES],
                               const struct clg_segment_header *header)
{
    CLG_ASSERT(segment_header_ok(header));
    CLG_ASSERT(header->algorithm == CLG_CHECK_XXH3_64);
    clg_format_begin(page, CLG_FORMAT_PAGE_BYTES, CLG_MAGIC_SEGMENT, header->uuid);
    clg_store_le64(page + CLG_SEGMENT_AT_BASE, header->base);
    clg_store_le64(page + CLG_SEGMENT_AT_SIZE, header->size);
    clg_store_le64(page + CLG_SEGMENT_AT_SALT, header->salt);
    clg_store_le64(page + CLG_SEGMENT_AT_PREDECESSOR_END, header->predecessor_end);
    clg_store_le64(page + CLG_SEGMENT_AT_PREDECESSOR_SALT, header->predecessor_salt);
    clg_store_le64(page + CLG_SEGMENT_AT_FIRST_TIME, (uint64_t)header->first_time);
    clg_store_le64(page + CLG_SEGMENT_AT_CREATED, (uint64_t)header->created);
    clg_store_le32(page + CLG_SEGMENT_AT_EPOCH, header->epoch);
    clg_store_le32(page + CLG_SEGMENT_AT_ALGORITHM, header->algorithm);
    clg_format_finish(page, CLG_FORMAT_PAGE_BYTES, 0);
}

int clg_segment_header_decode(const uint8_t page[CLG_FORMAT_PAGE_BYTES], const uint8_t *uuid,
                              bool read_only, struct clg_segment_header *header)
{
    struct clg_file_header file;
    struct clg_segment_header decoded;
    CLG_ASSERT(header != NULL);
    int rc = clg_format_decode(page, CLG_FORMAT_PAGE_BYTES, CLG_FORMAT_PAGE_BYTES,
                               CLG_MAGIC_SEGMENT, 0, uuid, read_only, &file);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    decoded.base = clg_load_le64(page + CLG_SEGMENT_AT_BASE);
    decoded.size = clg_load_le64(page + CLG_SEGMENT_AT_SIZE);
    decoded.salt = clg_load_le64(page + CLG_SEGMENT_AT_SALT);
    decoded.predecessor_end = clg_load_le64(page + CLG_SEGMENT_AT_PREDECESSOR_END);
    decoded.predecessor_salt = clg_load_le64(page + CLG_SEGMENT_AT_PREDECESSOR_SALT);
    decoded.first_time = (int64_t)clg_load_le64(page + CLG_SEGMENT_AT_FIRST_TIME);
    decoded.created = (int64_t)clg_load_le64(page + CLG_SEGMENT_AT_CREATED);
    decoded.epoch = clg_load_le32(page + CLG_SEGMENT_AT_EPOCH);
    decoded.algorithm = clg_load_le32(page + CLG_SEGMENT_AT_ALGORITHM);
    memcpy(decoded.uuid, file.uuid, CLG_UUID_BYTES);
    if (decoded.algorithm != CLG_CHECK_XXH3_64) {
        return COMMITLOG_EVERSION;
    }
    if (!segment_header_ok(&decoded)) {
        return COMMITLOG_EDAMAGED;
    }
    *header = decoded;
    return COMMITLOG_OK;
}

static bool segment_footer_ok(const struct clg_segment_header *header,
                              const struct clg_segment_footer *footer)
{
    return footer->end % CLG_RECORD_ALIGN == 0 && footer->end > clg_segment_data_start(header) &&
           footer->end <= clg_segment_data_end(header) && footer->records >= 1 &&
           footer->records <= (footer->end - clg_segment_data_start(header)) / CLG_RECORD_MIN &&
           footer->first_time <= footer->last_time;
}

static uint64_t segment_footer_seed(const struct clg_segment_header *header)
{
    return clg_record_seed(header->salt, clg_segment_data_end(header));
}

void clg_segment_footer_encode(uint8_t page[CLG_FORMAT_PAGE_BYTES],
                               const struct clg_segment_header *header,
                               const struct clg_segment_footer *footer)
{
    CLG_ASSERT(segment_header_ok(header));
    CLG_ASSERT(segment_footer_ok(header, footer));
    clg_format_begin(page, CLG_FORMAT_PAGE_BYTES, CLG_MAGIC_FOOTER, header->uuid);
    clg_store_le64(page + CLG_FOOTER_AT_BASE, header->base);
    clg_store_le64(page + CLG_FOOTER_AT_SALT, header->salt);
    clg_store_le64(page + CLG_FOOTER_AT_END, footer->end);
    clg_store_le64(page + CLG_FOOTER_AT_RECORDS, footer->records);
    clg_store_le64(page + CLG_FOOTER_AT_FIRST_TIME, (uint64_t)footer->first_time);
    clg_store_le64(page + CLG_FOOTER_AT_LAST_TIME, (uint64_t)footer->last_time);
    clg_store_le32(page + CLG_FOOTER_AT_EPOCH, footer->epoch);
    clg_format_finish(page, CLG_FORMAT_PAGE_BYTES, segment_footer_seed(header));
}

int clg_segment_footer_decode(const uint8_t page[CLG_FORMAT_PAGE_BYTES],
                              const struct clg_segment_header *header,
                              struct clg_segment_footer *footer)
{
    struct clg_file_header file;
    struct clg_segment_footer decoded;
    CLG_ASSERT(segment_header_ok(header));
    CLG_ASSERT(footer != NULL);
    if (clg_is_zero(page, CLG_FORMAT_PAGE_BYTES)) {
        return COMMITLOG_ENOTFOUND;
    }
    int rc = clg_format_decode(page, CLG_FORMAT_PAGE_BYTES, CLG_FORMAT_PAGE_BYTES, CLG_MAGIC_FOOTER,
                               segment_footer_seed(header), header->uuid, true, &file);
    if (rc != COMMITLOG_OK) {
        /* The header said that this file is ours: another magic is damage here. */
        return rc == COMMITLOG_EFORMAT ? COMMITLOG_EDAMAGED : rc;
    }
    decoded.end = clg_load_le64(page + CLG_FOOTER_AT_END);
    decoded.records = clg_load_le64(page + CLG_FOOTER_AT_RECORDS);
    decoded.first_time = (int64_t)clg_load_le64(page + CLG_FOOTER_AT_FIRST_TIME);
    decoded.last_time = (int64_t)clg_load_le64(page + CLG_FOOTER_AT_LAST_TIME);
    decoded.epoch = clg_load_le32(page + CLG_FOOTER_AT_EPOCH);
    if (clg_load_le64(page + CLG_FOOTER_AT_BASE) != header->base ||
        clg_load_le64(page + CLG_FOOTER_AT_SALT) != header->salt ||
        !segment_footer_ok(header, &decoded)) {
        return COMMITLOG_EDAMAGED;
    }
    *footer = decoded;
    return COMMITLOG_OK;
}
