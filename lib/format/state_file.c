/* SPDX-License-Identifier: BSD-2-Clause */
/* state_file.c -- the .state container; see state_file.h */
#include "format/state_file.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/invariant.h"
#include "commitlog.h"

CLG_FORMAT_ASSERT(CLG_STATE_AT_POSITION == CLG_FILE_HEADER_BYTES);
CLG_FORMAT_ASSERT(CLG_STATE_AT_BYTES == CLG_STATE_AT_POSITION + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_AT_BODY_CHECK == CLG_STATE_AT_BYTES + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_AT_EPOCH == CLG_STATE_AT_BODY_CHECK + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_AT_SECTIONS == CLG_STATE_AT_EPOCH + 4u);

/* A state may have so much more than the log has bytes: a million topics take some 80 MB. */
#define STATE_LEAST_MAX (UINT64_C(256) << 20)
/* Offsets in the head of a section. */
#define STATE_AT_ID 0u
#define STATE_AT_ZERO 4u
#define STATE_AT_BYTES 8u

CLG_FORMAT_ASSERT(STATE_AT_ID == 0u);
CLG_FORMAT_ASSERT(STATE_AT_ZERO == STATE_AT_ID + 4u);
CLG_FORMAT_ASSERT(STATE_AT_BYTES == STATE_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(CLG_STATE_SECTION_HEADER_BYTES == STATE_AT_BYTES + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_SECTIONS_MAX == 256u);
CLG_FORMAT_ASSERT(CLG_STATE_FOLD_AT_ACTIVE == 0u);
CLG_FORMAT_ASSERT(CLG_STATE_FOLD_AT_SALT == CLG_STATE_FOLD_AT_ACTIVE + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_FOLD_AT_LAST == CLG_STATE_FOLD_AT_SALT + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_FOLD_AT_LAST_CHECK == CLG_STATE_FOLD_AT_LAST + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_FOLD_AT_COUNT == CLG_STATE_FOLD_AT_LAST_CHECK + 4u);
CLG_FORMAT_ASSERT(CLG_STATE_FOLD_AT_ZERO == CLG_STATE_FOLD_AT_COUNT + 4u);
CLG_FORMAT_ASSERT(CLG_STATE_FOLD_BYTES == CLG_STATE_FOLD_AT_ZERO + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_ITEM_AT_BASE == 0u);
CLG_FORMAT_ASSERT(CLG_STATE_ITEM_AT_SALT == CLG_STATE_ITEM_AT_BASE + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_ITEM_AT_END == CLG_STATE_ITEM_AT_SALT + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_ITEM_AT_OLDEST == CLG_STATE_ITEM_AT_END + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_ITEM_AT_NEWEST == CLG_STATE_ITEM_AT_OLDEST + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_ITEM_BYTES == CLG_STATE_ITEM_AT_NEWEST + 8u);
CLG_FORMAT_ASSERT(CLG_STATE_FOLD_ID == 1u);

bool clg_state_file_can_be(uint64_t file_bytes, uint64_t log_bytes)
{
    return file_bytes <= STATE_LEAST_MAX || file_bytes - STATE_LEAST_MAX <= log_bytes;
}

uint64_t clg_state_section_bytes(uint64_t bytes)
{
    CLG_ASSERT(bytes <= CLG_POSITION_MAX);
    return CLG_STATE_SECTION_HEADER_BYTES + clg_align_up(bytes, 8);
}

void clg_state_writer_init(struct clg_state_writer *writer, uint8_t *out, uint64_t room)
{
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(room >= CLG_VIEW_HEADER_BYTES);
    writer->out = out;
    writer->room = room;
    writer->used = CLG_VIEW_HEADER_BYTES;
    writer->sections = 0;
}

uint8_t *clg_state_writer_section(struct clg_state_writer *writer, uint32_t id, uint64_t bytes)
{
    CLG_ASSERT(writer->used <= writer->room);
    CLG_ASSERT(writer->used % 8u == 0);
    if (bytes > writer->room || writer->sections == CLG_STATE_SECTIONS_MAX ||
        clg_state_section_bytes(bytes) > writer->room - writer->used) {
        return NULL;
    }
    uint64_t total = clg_state_section_bytes(bytes);
    uint8_t *at = writer->out + writer->used;
    clg_store_le32(at + STATE_AT_ID, id);
    clg_store_le32(at + STATE_AT_ZERO, 0);
    clg_store_le64(at + STATE_AT_BYTES, bytes);
    memset(at + CLG_STATE_SECTION_HEADER_BYTES + bytes, 0,
           total - CLG_STATE_SECTION_HEADER_BYTES - bytes);
    writer->used += total;
    writer->sections++;
    return at + CLG_STATE_SECTION_HEADER_BYTES;
}

uint64_t clg_state_writer_finish(struct clg_state_writer *writer, const struct clg_state_info *info)
{
    uint8_t *out = writer->out;
    uint64_t bytes = writer->used - CLG_VIEW_HEADER_BYTES;
    CLG_ASSERT(info->position <= CLG_POSITION_MAX);
    CLG_ASSERT(info->position % CLG_RECORD_ALIGN == 0);
    clg_format_begin(out, CLG_VIEW_HEADER_BYTES, CLG_MAGIC_STATE_FILE, info->uuid);
    clg_store_le64(out + CLG_STATE_AT_POSITION, info->position);
    clg_store_le64(out + CLG_STATE_AT_BYTES, bytes);
    clg_store_le64(out + CLG_STATE_AT_BODY_CHECK,
                   clg_hash64(out + CLG_VIEW_HEADER_BYTES, bytes, info->position));
    clg_store_le32(out + CLG_STATE_AT_EPOCH, info->epoch);
    clg_store_le32(out + CLG_STATE_AT_SECTIONS, writer->sections);
    clg_format_finish(out, CLG_VIEW_HEADER_BYTES, 0);
    return writer->used;
}

/* The section at *at; moves *at behind it. */
static bool state_section_next(const struct clg_state_file *file, uint64_t *at,
                               struct clg_state_section *section)
{
    CLG_ASSERT(*at <= file->section_bytes);
    const uint8_t *head = file->sections + *at;
    uint64_t left = file->section_bytes - *at;
    if (left < CLG_STATE_SECTION_HEADER_BYTES) {
        return false;
    }
    uint64_t bytes = clg_load_le64(head + STATE_AT_BYTES);
    if (clg_load_le32(head + STATE_AT_ZERO) != 0 || bytes > left ||
        clg_state_section_bytes(bytes) > left) {
        return false;
    }
    section->id = clg_load_le32(head + STATE_AT_ID);
    section->bytes = bytes;
    section->data = head + CLG_STATE_SECTION_HEADER_BYTES;
    *at += clg_state_section_bytes(bytes);
    return true;
}

static bool state_sections_ok(const struct clg_state_file *file)
{
    uint64_t at = 0;
    CLG_ASSERT(file->section_count <= CLG_STATE_SECTIONS_MAX);
    for (uint32_t i = 0; i < file->section_count; i++) {
        struct clg_state_section section;
        if (!state_section_next(file, &at, &section)) {
            return false;
        }
    }
    return at == file->section_bytes;
}

int clg_state_file_open(struct clg_state_file *out, const uint8_t *file, uint64_t bytes,
                        const uint8_t *uuid)
{
    struct clg_file_header header;
    struct clg_state_file decoded;
    CLG_ASSERT(out != NULL);
    if (bytes < CLG_VIEW_HEADER_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    int rc = clg_format_decode(file, bytes, CLG_VIEW_HEADER_BYTES, CLG_MAGIC_STATE_FILE, 0, uuid,
                               true, &header);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    decoded.sections = file + CLG_VIEW_HEADER_BYTES;
    decoded.section_bytes = clg_load_le64(file + CLG_STATE_AT_BYTES);
    decoded.section_count = clg_load_le32(file + CLG_STATE_AT_SECTIONS);
    decoded.info.position = clg_load_le64(file + CLG_STATE_AT_POSITION);
    decoded.info.epoch = clg_load_le32(file + CLG_STATE_AT_EPOCH);
    memcpy(decoded.info.uuid, header.uuid, CLG_UUID_BYTES);
    if (decoded.section_bytes != bytes - CLG_VIEW_HEADER_BYTES ||
        decoded.section_count > CLG_STATE_SECTIONS_MAX ||
        decoded.info.position > CLG_POSITION_MAX || decoded.info.position % CLG_RECORD_ALIGN != 0) {
        return COMMITLOG_EDAMAGED;
    }
    uint64_t check = clg_hash64(decoded.sections, decoded.section_bytes, decoded.info.position);
    if (check != clg_load_le64(file + CLG_STATE_AT_BODY_CHECK) || !state_sections_ok(&decoded)) {
        return COMMITLOG_EDAMAGED;
    }
    *out = decoded;
    return COMMITLOG_OK;
}

int clg_state_file_find(const struct clg_state_file *file, uint32_t id,
                        struct clg_state_section *section)
{
    uint64_t at = 0;
    CLG_ASSERT(section != NULL);
    for (uint32_t i = 0; i < file->section_count; i++) {
        struct clg_state_section current;
        if (!state_section_next(file, &at, &current)) {
            return COMMITLOG_ENOTFOUND;
        }
        if (current.id == id) {
            *section = current;
            return COMMITLOG_OK;
        }
    }
    return COMMITLOG_ENOTFOUND;
}
