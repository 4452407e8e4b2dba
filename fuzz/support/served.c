/* SPDX-License-Identifier: BSD-2-Clause */
/* served.c -- see served.h */
#include "served.h"

#include <string.h>

#include "base/bytes.h"
#include "check.h"
#include "format/record.h"
#include "format/reference_record.h"
#include "format/segment_header.h"
#include "salts.h"

/* The record as it lies in its file, verified but for its body; NULL: it is not there. */
static const uint8_t *served_record(const struct fuzz_bundle *seen, bool writing, uint64_t position,
                                    struct clg_record_header *record, uint64_t *out_seed)
{
    struct clg_segment_header header;
    const struct fuzz_file *file = fuzz_segment_of(seen, position, &header);
    if (file == NULL) {
        return NULL;
    }
    uint64_t at = position - header.base;
    FUZZ_CHECK(at + CLG_RECORD_HEADER_BYTES <= file->bytes);
    const uint8_t *bytes = file->data + at;
    if (writing && clg_load_le32(bytes) == 0) {
        return NULL; /* it lies in the ring */
    }
    clg_record_decode(bytes, record);
    uint64_t salts[FUZZ_SALTS_MAX];
    uint32_t left = fuzz_salts(seen, file, salts);
    bool good = false;
    while (!good && left > 0) {
        *out_seed = clg_record_seed(salts[--left], position);
        good = clg_record_verify_header(bytes, *out_seed);
    }
    FUZZ_CHECK(good);
    FUZZ_CHECK(clg_record_is_filler(record->kind) ||
               clg_record_size(record->word) <= file->bytes - at);
    return bytes;
}

static void served_same_body(const struct commitlog_message *message,
                             const struct clg_record_header *record, const uint8_t *bytes)
{
    FUZZ_CHECK(message->body.bytes == clg_record_body_bytes(record));
    FUZZ_CHECK(message->body.bytes == 0 ||
               memcmp(message->body.data, clg_record_body(record, bytes), message->body.bytes) ==
                   0);
}

/* The same of what a reference delivers. */
static void served_referred(const struct fuzz_bundle *seen, bool writing,
                            const struct commitlog_message *message,
                            const struct clg_record_header *record, const uint8_t *bytes)
{
    struct clg_reference reference;
    struct clg_record_header original;
    uint64_t seed = 0;
    FUZZ_CHECK(record->kind == CLG_KIND_REFERENCE);
    FUZZ_CHECK(clg_reference_decode(clg_record_body(record, bytes), clg_record_body_bytes(record),
                                    &reference) == COMMITLOG_OK);
    FUZZ_CHECK(reference.position == message->origin_position);
    const uint8_t *there = served_record(seen, writing, reference.position, &original, &seed);
    if (there == NULL) {
        return;
    }
    FUZZ_CHECK(clg_record_verify_body(&original, there, seed));
    FUZZ_CHECK(original.header_check == reference.header_check);
    FUZZ_CHECK(original.kind == CLG_KIND_MESSAGE || original.kind == CLG_KIND_TIMER ||
               original.kind == CLG_KIND_TRANSACTION);
    served_same_body(message, &original, there);
}

void fuzz_served(const struct fuzz_bundle *seen, bool writing,
                 const struct commitlog_message *message)
{
    struct clg_record_header record;
    uint64_t seed = 0;
    const uint8_t *bytes = served_record(seen, writing, message->position, &record, &seed);
    if (bytes == NULL) {
        return;
    }
    FUZZ_CHECK(record.kind == message->kind && record.queue_offset == message->queue_offset);
    if (clg_record_is_filler(record.kind)) {
        return;
    }
    FUZZ_CHECK(clg_record_verify_body(&record, bytes, seed));
    if (message->origin_position != 0) {
        served_referred(seen, writing, message, &record, bytes);
    } else {
        served_same_body(message, &record, bytes);
    }
}
