/* SPDX-License-Identifier: BSD-2-Clause */
/* format.c -- the common file header; see format.h */
#include "format/format.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/invariant.h"
#include "commitlog.h"

/* The sizes that the offsets of every file are counted from. */
CLG_FORMAT_ASSERT(CLG_FILE_HEADER_BYTES == 64u);
CLG_FORMAT_ASSERT(CLG_FORMAT_PAGE_BYTES == 4096u);
CLG_FORMAT_ASSERT(CLG_VIEW_HEADER_BYTES == 256u);
CLG_FORMAT_ASSERT(CLG_FORMAT_CHECK_BYTES == 8u);
CLG_FORMAT_ASSERT(CLG_UUID_BYTES == 16u);
CLG_FORMAT_ASSERT(CLG_FORMAT_VERSION == 1u);
CLG_FORMAT_ASSERT(CLG_FILE_AT_MAGIC == 0u);
CLG_FORMAT_ASSERT(CLG_FILE_AT_VERSION == CLG_FILE_AT_MAGIC + 8u);
CLG_FORMAT_ASSERT(CLG_FILE_AT_HEADER_BYTES == CLG_FILE_AT_VERSION + 4u);
CLG_FORMAT_ASSERT(CLG_FILE_AT_UUID == CLG_FILE_AT_HEADER_BYTES + 4u);
CLG_FORMAT_ASSERT(CLG_FILE_AT_COMPAT == CLG_FILE_AT_UUID + CLG_UUID_BYTES);
CLG_FORMAT_ASSERT(CLG_FILE_AT_RO_COMPAT == CLG_FILE_AT_COMPAT + 4u);
CLG_FORMAT_ASSERT(CLG_FILE_AT_INCOMPAT == CLG_FILE_AT_RO_COMPAT + 4u);
CLG_FORMAT_ASSERT(CLG_FILE_AT_ZERO == CLG_FILE_AT_INCOMPAT + 4u);
CLG_FORMAT_ASSERT(CLG_FILE_AT_ZERO + 4u + 16u == CLG_FILE_HEADER_BYTES);

void clg_format_begin(uint8_t *header, uint32_t header_bytes, uint64_t magic,
                      const uint8_t uuid[CLG_UUID_BYTES])
{
    CLG_ASSERT(header_bytes >= CLG_FILE_HEADER_BYTES + CLG_FORMAT_CHECK_BYTES);
    CLG_ASSERT(header_bytes % 8u == 0);
    memset(header, 0, header_bytes);
    clg_store_le64(header + CLG_FILE_AT_MAGIC, magic);
    clg_store_le32(header + CLG_FILE_AT_VERSION, CLG_FORMAT_VERSION);
    clg_store_le32(header + CLG_FILE_AT_HEADER_BYTES, header_bytes);
    memcpy(header + CLG_FILE_AT_UUID, uuid, CLG_UUID_BYTES);
}

void clg_format_finish(uint8_t *header, uint32_t header_bytes, uint64_t seed)
{
    CLG_ASSERT(header_bytes >= CLG_FILE_HEADER_BYTES + CLG_FORMAT_CHECK_BYTES);
    CLG_ASSERT(clg_load_le32(header + CLG_FILE_AT_HEADER_BYTES) == header_bytes);
    uint32_t covered = header_bytes - CLG_FORMAT_CHECK_BYTES;
    clg_store_le64(header + covered, clg_hash64(header, covered, seed));
}

int clg_format_check_flags(uint32_t ro_compat, uint32_t incompat, bool read_only)
{
    if ((incompat & ~CLG_INCOMPAT_KNOWN) != 0) {
        return COMMITLOG_EVERSION;
    }
    if (!read_only && (ro_compat & ~CLG_RO_COMPAT_KNOWN) != 0) {
        return COMMITLOG_EVERSION;
    }
    return COMMITLOG_OK;
}

/* The header's own size is believed only for finding its check, and only inside the bytes at
 * hand: a newer version may have a longer header, and is to be reported as newer. */
static int format_verify(const uint8_t *header, uint64_t bytes, uint64_t magic, uint64_t seed)
{
    CLG_ASSERT(header != NULL);
    CLG_ASSERT(magic != 0);
    if (bytes < CLG_FILE_HEADER_BYTES + CLG_FORMAT_CHECK_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    if (clg_load_le64(header + CLG_FILE_AT_MAGIC) != magic) {
        return COMMITLOG_EFORMAT;
    }
    uint32_t stated = clg_load_le32(header + CLG_FILE_AT_HEADER_BYTES);
    if (stated < CLG_FILE_HEADER_BYTES + CLG_FORMAT_CHECK_BYTES || stated % 8u != 0 ||
        stated > bytes) {
        return COMMITLOG_EDAMAGED;
    }
    uint32_t covered = stated - CLG_FORMAT_CHECK_BYTES;
    if (clg_load_le64(header + covered) != clg_hash64(header, covered, seed)) {
        return COMMITLOG_EDAMAGED;
    }
    return COMMITLOG_OK;
}

int clg_format_decode(const uint8_t *header, uint64_t bytes, uint32_t header_bytes, uint64_t magic,
                      uint64_t seed, const uint8_t *uuid, bool read_only,
                      struct clg_file_header *out)
{
    CLG_ASSERT(header_bytes >= CLG_FILE_HEADER_BYTES + CLG_FORMAT_CHECK_BYTES);
    CLG_ASSERT(out != NULL);
    int rc = format_verify(header, bytes, magic, seed);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_file_header decoded;
    decoded.magic = magic;
    decoded.version = clg_load_le32(header + CLG_FILE_AT_VERSION);
    decoded.header_bytes = clg_load_le32(header + CLG_FILE_AT_HEADER_BYTES);
    decoded.compat = clg_load_le32(header + CLG_FILE_AT_COMPAT);
    decoded.ro_compat = clg_load_le32(header + CLG_FILE_AT_RO_COMPAT);
    decoded.incompat = clg_load_le32(header + CLG_FILE_AT_INCOMPAT);
    memcpy(decoded.uuid, header + CLG_FILE_AT_UUID, CLG_UUID_BYTES);
    if (decoded.version != CLG_FORMAT_VERSION) {
        return COMMITLOG_EVERSION;
    }
    if (decoded.header_bytes != header_bytes) {
        return COMMITLOG_EDAMAGED;
    }
    rc = clg_format_check_flags(decoded.ro_compat, decoded.incompat, read_only);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (uuid != NULL && memcmp(uuid, decoded.uuid, CLG_UUID_BYTES) != 0) {
        return COMMITLOG_EFOREIGN;
    }
    *out = decoded;
    return COMMITLOG_OK;
}
