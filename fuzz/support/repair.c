/* SPDX-License-Identifier: BSD-2-Clause */
/* repair.c -- checks computed anew; see repair.h. */
#include "repair.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "format/checkpoint.h"
#include "format/key_file.h"
#include "format/live_area.h"
#include "format/queue_file.h"
#include "format/record.h"
#include "format/segment_header.h"
#include "format/state_file.h"
#include "format/topic_record.h"

#define REPAIR_RECORDS_MAX 4096u

/* As clg_format_finish, which believes what the header says of itself. */
static void repair_page(uint8_t *header, uint32_t bytes, uint64_t seed)
{
    uint32_t at = bytes - CLG_FORMAT_CHECK_BYTES;
    clg_store_le64(header + at, clg_hash64(header, at, seed));
}

static uint32_t repair_data_end(const struct fuzz_file *segment)
{
    return segment->bytes < CLG_SEGMENT_FOOTER ? 0 : segment->bytes - (uint32_t)CLG_SEGMENT_FOOTER;
}

uint32_t fuzz_segment_records(const struct fuzz_file *segment, uint32_t *offsets, uint32_t max)
{
    uint32_t count = 0;
    uint32_t at = (uint32_t)CLG_SEGMENT_DATA_START;
    uint32_t end = repair_data_end(segment);
    while (at + CLG_RECORD_MIN <= end && count < max) {
        uint32_t word = clg_load_le32(segment->data + at);
        uint32_t size = clg_record_size(word);
        if (word == 0 || size < CLG_RECORD_MIN || size > end - at) {
            at += 8;
            continue;
        }
        offsets[count++] = at;
        at += size;
    }
    return count;
}

static void repair_seal(uint8_t *record, uint32_t size, uint64_t seed)
{
    uint32_t state = clg_record_state(clg_load_le32(record));
    if (state == CLG_RECORD_CLAIMED || clg_record_is_filler(record[CLG_RECORD_AT_KIND])) {
        (void)clg_record_seal_header(record, size, seed);
    } else {
        (void)clg_record_seal(record, size, seed);
    }
}

void fuzz_repair_record(struct fuzz_file *segment, uint32_t at)
{
    uint8_t *record = segment->data + at;
    uint32_t size = clg_record_size(clg_load_le32(record));
    uint64_t salt = clg_load_le64(segment->data + CLG_SEGMENT_AT_SALT);
    uint64_t base = clg_load_le64(segment->data + CLG_SEGMENT_AT_BASE);
    if (size >= CLG_RECORD_MIN && size <= segment->bytes - at) {
        repair_seal(record, size, clg_record_seed(salt, base + at));
    }
}

/* The sums in a batch header, over the members that follow it. */
static void repair_batch(struct fuzz_file *segment, const uint32_t *offsets, uint32_t left)
{
    uint8_t *record = segment->data + offsets[0];
    struct clg_record_header header;
    clg_record_decode(record, &header);
    if (header.kind != CLG_KIND_BATCH || header.attribute_bytes != 0 ||
        clg_record_size(header.word) < CLG_RECORD_HEADER_BYTES + CLG_BATCH_BODY_BYTES) {
        return;
    }
    static uint8_t checks[REPAIR_RECORDS_MAX * 8];
    uint8_t *body = record + CLG_RECORD_HEADER_BYTES;
    uint32_t count = clg_load_le32(body);
    uint64_t bytes = 0;
    if (count >= left) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *member = segment->data + offsets[i + 1];
        memcpy(checks + (size_t)i * 8, member + CLG_RECORD_AT_CHECK, 8);
        bytes += clg_record_size(clg_load_le32(member));
    }
    clg_store_le64(body + 8, bytes);
    clg_store_le64(body + 16, clg_hash64(checks, (size_t)count * 8, 0));
    fuzz_repair_record(segment, offsets[0]);
}

static void repair_segment(struct fuzz_file *segment)
{
    static uint32_t offsets[REPAIR_RECORDS_MAX];
    if (segment->bytes < CLG_SEGMENT_DATA_START + CLG_SEGMENT_FOOTER) {
        return;
    }
    repair_page(segment->data, CLG_FORMAT_PAGE_BYTES, 0);
    memcpy(segment->data + CLG_FORMAT_PAGE_BYTES, segment->data, CLG_FORMAT_PAGE_BYTES);
    uint32_t count = fuzz_segment_records(segment, offsets, REPAIR_RECORDS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        fuzz_repair_record(segment, offsets[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        repair_batch(segment, offsets + i, count - i);
    }
    uint8_t *footer = segment->data + repair_data_end(segment);
    if (clg_load_le64(footer) != 0) {
        uint64_t salt = clg_load_le64(segment->data + CLG_SEGMENT_AT_SALT);
        uint64_t base = clg_load_le64(segment->data + CLG_SEGMENT_AT_BASE);
        repair_page(footer, CLG_FORMAT_PAGE_BYTES,
                    clg_record_seed(salt, base + repair_data_end(segment)));
    }
}

/* H of [at, at + bytes), clipped to the file, into the field. */
static void repair_hash(struct fuzz_file *file, uint64_t at, uint64_t bytes, uint32_t field,
                        uint64_t seed)
{
    at = at < file->bytes ? at : file->bytes;
    bytes = bytes < file->bytes - at ? bytes : file->bytes - at;
    clg_store_le64(file->data + field, clg_hash64(file->data + at, bytes, seed));
}

static void repair_view(struct fuzz_file *file)
{
    if (file->bytes < CLG_VIEW_HEADER_BYTES) {
        return;
    }
    uint64_t salt = clg_load_le64(file->data + CLG_VIEW_AT_SALT);
    if (file->kind == FUZZ_CQ) {
        uint64_t directory = (uint64_t)clg_load_le32(file->data + CLG_QUEUE_FILE_AT_QUEUES) *
                             CLG_QUEUE_DIRECTORY_BYTES;
        repair_hash(file, CLG_VIEW_HEADER_BYTES, directory, CLG_QUEUE_FILE_AT_DIRECTORY_CHECK,
                    salt);
        repair_hash(file, CLG_VIEW_HEADER_BYTES + directory, UINT64_MAX,
                    CLG_QUEUE_FILE_AT_ENTRIES_CHECK, salt);
    } else if (file->kind == FUZZ_KEY) {
        uint32_t bits = clg_load_le32(file->data + CLG_KEY_FILE_AT_PREFIX_BITS) & 31u;
        uint64_t prefixes = clg_align_up(((UINT64_C(1) << bits) + 1) * 4, 8);
        repair_hash(file, CLG_VIEW_HEADER_BYTES, prefixes, CLG_KEY_FILE_AT_PREFIX_CHECK, salt);
        repair_hash(file, CLG_VIEW_HEADER_BYTES + prefixes, UINT64_MAX,
                    CLG_KEY_FILE_AT_ENTRIES_CHECK, salt);
    } else {
        repair_hash(file, CLG_VIEW_HEADER_BYTES, clg_load_le64(file->data + CLG_STATE_AT_BYTES),
                    CLG_STATE_AT_BODY_CHECK, clg_load_le64(file->data + CLG_STATE_AT_POSITION));
    }
    repair_page(file->data, CLG_VIEW_HEADER_BYTES, 0);
}

/* The segment that a position lies in, by name. */
static const struct fuzz_file *repair_holder(const struct fuzz_bundle *bundle, uint64_t position)
{
    for (uint32_t i = 0; i < bundle->count; i++) {
        const struct fuzz_file *file = &bundle->files[i];
        if (file->kind == FUZZ_LOG && position >= file->position &&
            position - file->position < file->bytes && file->bytes >= CLG_SEGMENT_DATA_START) {
            return file;
        }
    }
    return NULL;
}

void fuzz_repair_ring(struct fuzz_file *live, const struct fuzz_bundle *bundle)
{
    if (live->bytes < CLG_FORMAT_PAGE_BYTES) {
        return;
    }
    uint64_t ring_at = clg_load_le64(live->data + CLG_LIVE_AT_RING_OFFSET);
    if (ring_at < CLG_LIVE_HISTOGRAMS_AT || ring_at >= live->bytes) {
        return;
    }
    uint64_t ring = live->bytes - ring_at;
    uint64_t at = 0;
    uint64_t end = 0;
    memcpy(&at, live->data + offsetof(struct clg_live_area, written), sizeof(at));
    memcpy(&end, live->data + offsetof(struct clg_live_area, claimed), sizeof(end));
    for (uint32_t i = 0; i < REPAIR_RECORDS_MAX && at < end; i++) {
        const struct fuzz_file *segment = repair_holder(bundle, at);
        uint64_t place = at % ring;
        if (segment == NULL || ring - place < CLG_RECORD_MIN) {
            return;
        }
        uint8_t *record = live->data + ring_at + place;
        uint32_t size = clg_record_size(clg_load_le32(record));
        if (size < CLG_RECORD_MIN || size > ring - place) {
            return;
        }
        uint64_t salt = clg_load_le64(segment->data + CLG_SEGMENT_AT_SALT);
        repair_seal(record, size, clg_record_seed(salt, at));
        at += size;
    }
}

void fuzz_repair_file(struct fuzz_file *file, uint64_t salt)
{
    switch ((enum fuzz_kind)file->kind) {
    case FUZZ_LOG:
        repair_segment(file);
        break;
    case FUZZ_CQ:
    case FUZZ_KEY:
    case FUZZ_STATE:
        repair_view(file);
        break;
    case FUZZ_CHECKPOINT:
        for (uint32_t at = 0; at + CLG_FORMAT_PAGE_BYTES <= file->bytes && at < 8192;
             at += CLG_FORMAT_PAGE_BYTES) {
            if (clg_load_le64(file->data + at) != 0) {
                repair_page(file->data + at, CLG_FORMAT_PAGE_BYTES, 0);
            }
        }
        break;
    case FUZZ_LOCK:
    case FUZZ_LIVE:
        if (file->bytes >= CLG_FORMAT_PAGE_BYTES) {
            repair_page(file->data, CLG_FORMAT_PAGE_BYTES, 0);
        }
        break;
    case FUZZ_RECORD:
        if (file->bytes >= CLG_RECORD_MIN) {
            uint32_t size = clg_record_size(clg_load_le32(file->data));
            if (size >= CLG_RECORD_MIN && size <= file->bytes) {
                repair_seal(file->data, size, clg_record_seed(salt, file->position));
            }
        }
        break;
    case FUZZ_OTHER:
    case FUZZ_KINDS:
        break;
    }
}
