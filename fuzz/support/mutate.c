/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * mutate.c -- the mutator of bundles for libFuzzer: changes a field, a record or a file and then,
 * most of the time, makes the checks hold again.
 *
 * A random change of a checked file ends at the check. So: unpack, change one to four things where
 * something is, repair what carries a check (not always, and not always all of it: what a check
 * refuses is to be tried too), pack. One time in eight the packed bytes are left to libFuzzer.
 *
 * Owns: nothing between two calls. Linked into the libFuzzer programs only.
 */
#include <string.h>

#include "base/bytes.h"
#include "format/live_area.h"
#include "format/record.h"
#include "format/segment_header.h"
#include "fuzz.h"
#include "repair.h"

#define MUTATE_RECORDS_MAX 1024u

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_out_size,
                                 unsigned int seed);

static uint64_t mutate_state;

static uint64_t mutate_random(void)
{
    mutate_state ^= mutate_state << 13;
    mutate_state ^= mutate_state >> 7;
    mutate_state ^= mutate_state << 17;
    return mutate_state * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

static uint32_t mutate_below(uint32_t limit)
{
    return limit == 0 ? 0 : (uint32_t)(mutate_random() % limit);
}

/* Numbers at which code changes its mind. */
static uint64_t mutate_number(const struct fuzz_file *file, uint64_t old)
{
    static const uint64_t edges[] = {0,
                                     1,
                                     2,
                                     3,
                                     5,
                                     7,
                                     8,
                                     47,
                                     48,
                                     64,
                                     255,
                                     256,
                                     4095,
                                     4096,
                                     8192,
                                     65535,
                                     65536,
                                     0x3ffffff8,
                                     0x7fffffff,
                                     0x80000000,
                                     0xfffffff8,
                                     1 << 20,
                                     1 << 24,
                                     0xffffffff,
                                     INT64_MAX,
                                     UINT64_C(1) << 63,
                                     UINT64_MAX,
                                     UINT64_MAX - 7,
                                     CLG_POSITION_MAX};
    switch (mutate_below(8)) {
    case 0:
        return edges[mutate_below(sizeof(edges) / sizeof(edges[0]))];
    case 1:
        return old + 1 + mutate_below(16);
    case 2:
        return old - 1 - mutate_below(16);
    case 3:
        return old ^ UINT64_C(1) << mutate_below(64);
    case 4:
        return file->position + mutate_below(file->bytes + 1) / 8 * 8;
    case 5:
        return file->bytes - 8 * (uint64_t)mutate_below(16);
    case 6:
        return file->bytes < 8 ? old
                               : clg_load_le64(file->data + mutate_below(file->bytes / 8) * 8);
    default:
        return mutate_random();
    }
}

/* One number of 1, 2, 4 or 8 bytes in [from, to). */
static void mutate_field(struct fuzz_file *file, uint32_t from, uint32_t to)
{
    uint32_t width = 1u << mutate_below(4);
    to = to < file->bytes ? to : file->bytes;
    if (from >= to || to - from < width) {
        return;
    }
    uint8_t *at = file->data + from + mutate_below((to - from) / width) * width;
    uint8_t number[8] = {0};
    memcpy(number, at, width);
    clg_store_le64(number, mutate_number(file, clg_load_le64(number)));
    memcpy(at, number, width);
}

/* Somewhere near a byte that is not zero: fields lie there. */
static void mutate_anywhere(struct fuzz_file *file)
{
    uint32_t at = mutate_below(file->bytes);
    for (uint32_t i = 0; i < file->bytes && file->data[at] == 0; i++) {
        at = at + 1 == file->bytes ? 0 : at + 1;
    }
    at = at / 8 * 8;
    mutate_field(file, at, at + 16);
}

/* A new record of any kind behind the last one, attributes and body from what is at hand. */
static void mutate_append(struct fuzz_file *segment, uint32_t at, uint32_t end)
{
    uint32_t attributes = mutate_below(3) == 0 ? mutate_below(64) : 0;
    uint32_t body = mutate_below(64);
    uint32_t size = clg_record_bytes(attributes, body);
    if (end - at < size) {
        return;
    }
    uint8_t *record = segment->data + at;
    for (uint32_t i = CLG_RECORD_HEADER_BYTES; i < size; i++) {
        record[i] =
            (uint8_t)(i < CLG_RECORD_HEADER_BYTES + attributes + body ? mutate_random() : 0);
    }
    clg_store_le32(record, clg_record_word(size, mutate_below(8) == 0 ? CLG_RECORD_CLAIMED
                                                                      : CLG_RECORD_COMMITTED));
    record[CLG_RECORD_AT_KIND] = (uint8_t)(1 + mutate_below(14));
    record[CLG_RECORD_AT_FLAGS] = clg_record_padding(attributes, body);
    clg_store_le16(record + CLG_RECORD_AT_ATTRIBUTE_BYTES, (uint16_t)attributes);
}

/* Two records one of which swallows the other, or changes of place. */
static void mutate_pair(struct fuzz_file *segment, uint32_t one, uint32_t two)
{
    uint8_t *left = segment->data + one;
    uint32_t left_size = clg_record_size(clg_load_le32(left));
    uint32_t right_size = clg_record_size(clg_load_le32(segment->data + two));
    if (mutate_below(2) == 0) {
        if (two == one + left_size) {
            clg_store_le32(left, clg_record_word(left_size + right_size, CLG_RECORD_COMMITTED));
        }
    } else if (right_size <= left_size) { /* what is left over of the other lies about */
        memmove(left, segment->data + two, right_size);
    }
}

static void mutate_segment(struct fuzz_file *segment)
{
    static uint32_t offsets[MUTATE_RECORDS_MAX];
    uint32_t count = fuzz_segment_records(segment, offsets, MUTATE_RECORDS_MAX);
    uint32_t what = mutate_below(12);
    if (segment->bytes < 3 * CLG_FORMAT_PAGE_BYTES || count == 0 || what == 0) {
        mutate_field(segment, CLG_FILE_AT_MAGIC, CLG_SEGMENT_AT_ALGORITHM + 4);
        return;
    }
    uint32_t end = segment->bytes - CLG_FORMAT_PAGE_BYTES;
    uint32_t at = offsets[mutate_below(count)];
    uint8_t *record = segment->data + at;
    uint32_t size = clg_record_size(clg_load_le32(record));
    uint32_t last = offsets[count - 1];
    switch (what) {
    case 1:
        mutate_field(segment, end, end + CLG_FOOTER_AT_EPOCH + 4);
        break;
    case 2:
        record[CLG_RECORD_AT_KIND] = (uint8_t)(mutate_below(15));
        break;
    case 3:
        last += clg_record_size(clg_load_le32(segment->data + last));
        mutate_append(segment, last, end);
        break;
    case 4:
        mutate_pair(segment, at, offsets[mutate_below(count)]);
        break;
    case 5: /* the tail did not arrive */
        memset(record, 0, mutate_below(2) == 0 ? end - at : size);
        break;
    case 6:
        clg_store_le32(record, clg_record_word(size + 8 * (mutate_below(9) - 4),
                                               mutate_below(4) == 0 ? 3 : 5));
        break;
    case 7:
    case 8:
        mutate_field(segment, at + CLG_RECORD_HEADER_BYTES, at + size);
        break;
    default:
        mutate_field(segment, at, at + CLG_RECORD_HEADER_BYTES);
        break;
    }
}

static void mutate_files(struct fuzz_bundle *bundle)
{
    uint32_t at = mutate_below(bundle->count);
    struct fuzz_file *file = &bundle->files[at];
    struct fuzz_file *copy;
    switch (mutate_below(6)) {
    case 5: /* a name that is not finished, or not ours, beside this file */
        (void)fuzz_bundle_add(bundle, FUZZ_OTHER,
                              file->position / 8 * 8 * FUZZ_OTHERS + mutate_below(FUZZ_OTHERS),
                              mutate_below(2) * 64);
        break;
    case 0:
        fuzz_bundle_remove(bundle, at);
        break;
    case 1:
        copy = fuzz_bundle_add(bundle, file->kind, file->position + file->bytes, file->bytes);
        if (copy != NULL) {
            memcpy(copy->data, file->data, file->bytes);
        }
        break;
    case 2:
        file->position = mutate_number(file, file->position);
        break;
    default: {
        uint32_t step = mutate_below(2) == 0 ? 1 : CLG_FORMAT_PAGE_BYTES;
        uint64_t bytes = mutate_below(3) == 0 ? mutate_below(file->bytes + 1)
                                              : file->bytes + (uint64_t)step * mutate_below(3);
        bytes -= bytes > step ? step : 0;
        fuzz_file_resize(file, bytes < FUZZ_FILE_BYTES_MAX ? (uint32_t)bytes : FUZZ_FILE_BYTES_MAX);
        break;
    }
    }
}

static void mutate_once(struct fuzz_bundle *bundle)
{
    uint32_t what = mutate_below(16);
    if (what == 0 || bundle->count == 0) {
        bundle->options = mutate_below(2) == 0 ? mutate_random()
                                               : bundle->options ^ UINT64_C(1) << mutate_below(45);
        return;
    }
    if (what == 1) {
        mutate_files(bundle);
        return;
    }
    struct fuzz_file *file = &bundle->files[mutate_below(bundle->count)];
    if (what == 2 && file->bytes > 0) {
        uint32_t from = mutate_below(file->bytes);
        uint32_t bytes = file->bytes - from < 256 ? file->bytes - from : 256;
        (void)LLVMFuzzerMutate(file->data + from, bytes, bytes);
    } else if (file->kind == FUZZ_LOG) {
        mutate_segment(file);
    } else if (file->kind == FUZZ_LIVE && mutate_below(2) == 0) {
        /* A position, or anything in a histogram. */
        uint32_t at =
            mutate_below(4) != 0
                ? CLG_LIVE_SHARED_AT + mutate_below(7) * CLG_LIVE_LINE_BYTES
                : CLG_LIVE_HISTOGRAMS_AT + mutate_below(CLG_HISTOGRAMS) * CLG_LIVE_HISTOGRAM_BYTES;
        mutate_field(file, at,
                     at < CLG_LIVE_COUNTERS_AT ? CLG_LIVE_COUNTERS_AT
                                               : at + CLG_LIVE_HISTOGRAM_BYTES);
    } else if (mutate_below(2) == 0) {
        mutate_field(file, 0, 256);
    } else if (file->bytes > 0) {
        mutate_anywhere(file);
    }
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    mutate_state = (uint64_t)seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    if (mutate_below(8) == 0) {
        return LLVMFuzzerMutate(data, size, max_size);
    }
    struct fuzz_bundle bundle;
    fuzz_bundle_unpack(data, size, &bundle);
    for (uint32_t n = 1 + mutate_below(4); n > 0; n--) {
        mutate_once(&bundle);
    }
    for (uint32_t i = 0; i < bundle.count; i++) {
        if (mutate_below(16) != 0) {
            fuzz_repair_file(&bundle.files[i], bundle.options);
        }
        if (bundle.files[i].kind == FUZZ_LIVE && mutate_below(8) != 0) {
            fuzz_repair_ring(&bundle.files[i], &bundle);
        }
    }
    size_t used = fuzz_bundle_pack(&bundle, data, max_size);
    fuzz_bundle_free(&bundle);
    return used > 0 ? used : size;
}

/* A file of the second input takes the place of one of its kind in the first. */
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_out_size, unsigned int seed)
{
    struct fuzz_bundle one, two;
    mutate_state = (uint64_t)seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    fuzz_bundle_unpack(data1, size1, &one);
    fuzz_bundle_unpack(data2, size2, &two);
    size_t used = 0;
    if (two.count > 0) {
        const struct fuzz_file *from = &two.files[mutate_below(two.count)];
        struct fuzz_file *to = fuzz_bundle_find(&one, from->kind);
        if (to == NULL) {
            to = fuzz_bundle_add(&one, from->kind, from->position, 0);
        }
        if (to != NULL) {
            fuzz_file_resize(to, from->bytes);
            memcpy(to->data, from->data, from->bytes);
            to->position = from->position;
            used = fuzz_bundle_pack(&one, out, max_out_size);
        }
    }
    fuzz_bundle_free(&one);
    fuzz_bundle_free(&two);
    return used;
}
