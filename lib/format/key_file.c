/* SPDX-License-Identifier: BSD-2-Clause */
/* key_file.c -- the sealed .key file; see key_file.h */
#include "format/key_file.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/invariant.h"
#include "commitlog.h"

CLG_FORMAT_ASSERT(CLG_KEY_FILE_AT_ENTRIES == CLG_VIEW_AT_END + 8u);
CLG_FORMAT_ASSERT(CLG_KEY_FILE_AT_PREFIX_BITS == CLG_KEY_FILE_AT_ENTRIES + 8u);
CLG_FORMAT_ASSERT(CLG_KEY_FILE_AT_PREFIX_CHECK == CLG_KEY_FILE_AT_PREFIX_BITS + 8u);
CLG_FORMAT_ASSERT(CLG_KEY_FILE_AT_ENTRIES_CHECK == CLG_KEY_FILE_AT_PREFIX_CHECK + 8u);

CLG_FORMAT_ASSERT(CLG_KEY_FILE_ENTRIES_MAX == 0xfffffffeu && CLG_KEY_PREFIX_BITS_MAX == 24u);

/* Offsets in an entry. */
#define KEY_ENTRY_AT_REST 0u
#define KEY_ENTRY_AT_PLACE 4u

CLG_FORMAT_ASSERT(KEY_ENTRY_AT_REST == 0u);
CLG_FORMAT_ASSERT(KEY_ENTRY_AT_PLACE == KEY_ENTRY_AT_REST + 4u);
CLG_FORMAT_ASSERT(CLG_KEY_ENTRY_BYTES == KEY_ENTRY_AT_PLACE + 4u);

#define KEY_BUCKET_MIN 8u /* entries per bucket that the directory aims at, at least */

uint32_t clg_key_prefix_bits(uint32_t entries)
{
    uint32_t bits = 0;
    while (bits < CLG_KEY_PREFIX_BITS_MAX && (entries >> bits) >= 2u * KEY_BUCKET_MIN) {
        bits++;
    }
    CLG_ASSERT(bits <= CLG_KEY_PREFIX_BITS_MAX);
    return bits;
}

/* Two shifts of less than 64, because a shift by 64 has no meaning in C. */
static uint32_t key_bucket(uint64_t hash, uint32_t bits)
{
    CLG_ASSERT(bits <= CLG_KEY_PREFIX_BITS_MAX);
    return bits == 0 ? 0 : (uint32_t)(hash >> (64u - bits));
}

static uint32_t key_rest(uint64_t hash, uint32_t bits)
{
    CLG_ASSERT(bits <= CLG_KEY_PREFIX_BITS_MAX);
    return (uint32_t)((hash << bits) >> 32);
}

uint64_t clg_key_round(uint64_t hash, uint32_t prefix_bits)
{
    CLG_ASSERT(prefix_bits <= CLG_KEY_PREFIX_BITS_MAX);
    return hash & ~((UINT64_C(1) << (32u - prefix_bits)) - 1u);
}

int clg_key_compare(const void *a, const void *b)
{
    const struct clg_key_pair *x = a;
    const struct clg_key_pair *y = b;
    if (x->hash != y->hash) {
        return x->hash < y->hash ? -1 : 1;
    }
    return (x->place < y->place) - (x->place > y->place);
}

static uint64_t key_prefix_words(uint32_t bits)
{
    CLG_ASSERT(bits <= CLG_KEY_PREFIX_BITS_MAX);
    return (UINT64_C(1) << bits) + 1u;
}

static uint64_t key_entries_at(uint32_t bits)
{
    return CLG_VIEW_HEADER_BYTES + clg_align_up(key_prefix_words(bits) * 4u, 8);
}

static uint64_t key_file_bytes(uint32_t entries, uint32_t bits)
{
    return key_entries_at(bits) + (uint64_t)entries * CLG_KEY_ENTRY_BYTES;
}

uint64_t clg_key_file_bytes(uint32_t entries)
{
    CLG_ASSERT(entries <= CLG_KEY_FILE_ENTRIES_MAX);
    return key_file_bytes(entries, clg_key_prefix_bits(entries));
}

/* The padding behind the prefix words is covered too. */
static uint64_t key_prefix_check(const uint8_t *prefixes, uint32_t bits, uint64_t salt)
{
    return clg_hash64(prefixes, key_entries_at(bits) - CLG_VIEW_HEADER_BYTES, salt);
}

static uint64_t key_entries_check(const uint8_t *entries, uint32_t count, uint64_t salt)
{
    return clg_hash64(entries, (size_t)count * CLG_KEY_ENTRY_BYTES, salt);
}

void clg_key_file_write(uint8_t *file, const struct clg_key_pair *sorted, uint32_t count,
                        const struct clg_view_segment *segment, const uint8_t uuid[CLG_UUID_BYTES])
{
    uint32_t bits = clg_key_prefix_bits(count);
    uint8_t *prefixes = file + CLG_VIEW_HEADER_BYTES;
    uint8_t *entries = file + key_entries_at(bits);
    uint64_t buckets = key_prefix_words(bits) - 1u;
    uint64_t bucket = 0; /* the next one whose start is not written */
    CLG_ASSERT(count <= CLG_KEY_FILE_ENTRIES_MAX);
    CLG_ASSERT(sorted != NULL || count == 0);
    memset(prefixes, 0, key_entries_at(bits) - CLG_VIEW_HEADER_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        CLG_ASSERT(i == 0 || clg_key_compare(&sorted[i - 1], &sorted[i]) <= 0);
        CLG_ASSERT(sorted[i].hash == clg_key_round(sorted[i].hash, bits));
        for (; bucket <= key_bucket(sorted[i].hash, bits); bucket++) {
            clg_store_le32(prefixes + bucket * 4u, i);
        }
        uint8_t *at = entries + (size_t)i * CLG_KEY_ENTRY_BYTES;
        clg_store_le32(at + KEY_ENTRY_AT_REST, key_rest(sorted[i].hash, bits));
        clg_store_le32(at + KEY_ENTRY_AT_PLACE, sorted[i].place);
    }
    for (; bucket <= buckets; bucket++) {
        clg_store_le32(prefixes + bucket * 4u, count);
    }
    clg_view_header_begin(file, CLG_MAGIC_KEY_FILE, segment, uuid);
    clg_store_le64(file + CLG_KEY_FILE_AT_ENTRIES, count);
    clg_store_le32(file + CLG_KEY_FILE_AT_PREFIX_BITS, bits);
    clg_store_le64(file + CLG_KEY_FILE_AT_PREFIX_CHECK,
                   key_prefix_check(prefixes, bits, segment->salt));
    clg_store_le64(file + CLG_KEY_FILE_AT_ENTRIES_CHECK,
                   key_entries_check(entries, count, segment->salt));
    clg_format_finish(file, CLG_VIEW_HEADER_BYTES, 0);
}

int clg_key_file_open(struct clg_key_file *out, const uint8_t *file, uint64_t bytes,
                      const struct clg_view_segment *segment, const uint8_t *uuid)
{
    struct clg_key_file decoded;
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(file != NULL);
    if (bytes < CLG_VIEW_HEADER_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    memcpy(header, file, sizeof(header)); /* the file may be mapped and change */
    int rc = clg_view_header_decode(header, sizeof(header), CLG_MAGIC_KEY_FILE, segment, uuid,
                                    &decoded.segment);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    uint64_t count = clg_load_le64(header + CLG_KEY_FILE_AT_ENTRIES);
    decoded.prefix_bits = clg_load_le32(header + CLG_KEY_FILE_AT_PREFIX_BITS);
    decoded.prefix_check = clg_load_le64(header + CLG_KEY_FILE_AT_PREFIX_CHECK);
    decoded.entries_check = clg_load_le64(header + CLG_KEY_FILE_AT_ENTRIES_CHECK);
    /* Each entry is of a key, or of the hash of one, that takes a byte of the segment at least. The
     * length of the file bounds nothing, for it may be one long hole. */
    if (count > CLG_KEY_FILE_ENTRIES_MAX || count > decoded.segment.end - decoded.segment.base ||
        decoded.prefix_bits > CLG_KEY_PREFIX_BITS_MAX) {
        return COMMITLOG_EDAMAGED;
    }
    decoded.entry_count = (uint32_t)count;
    if (key_file_bytes(decoded.entry_count, decoded.prefix_bits) != bytes) {
        return COMMITLOG_EDAMAGED;
    }
    decoded.prefixes = file + CLG_VIEW_HEADER_BYTES;
    decoded.entries = file + key_entries_at(decoded.prefix_bits);
    *out = decoded;
    return COMMITLOG_OK;
}

static uint32_t key_entry_rest(const struct clg_key_file *file, uint32_t i)
{
    CLG_ASSERT(i < file->entry_count);
    return clg_load_le32(file->entries + (size_t)i * CLG_KEY_ENTRY_BYTES + KEY_ENTRY_AT_REST);
}

static uint32_t key_entry_place(const struct clg_key_file *file, uint32_t i)
{
    CLG_ASSERT(i < file->entry_count);
    return clg_load_le32(file->entries + (size_t)i * CLG_KEY_ENTRY_BYTES + KEY_ENTRY_AT_PLACE);
}

/* The entries of one bucket; false if the directory contradicts itself or the file. */
static bool key_bucket_range(const struct clg_key_file *file, uint64_t bucket, uint32_t *start,
                             uint32_t *end)
{
    CLG_ASSERT(bucket + 1 < key_prefix_words(file->prefix_bits));
    *start = clg_load_le32(file->prefixes + bucket * 4u);
    *end = clg_load_le32(file->prefixes + bucket * 4u + 4u);
    return *start <= *end && *end <= file->entry_count;
}

static bool key_bucket_sorted(const struct clg_key_file *file, uint32_t start, uint32_t end)
{
    CLG_ASSERT(start <= end && end <= file->entry_count);
    for (uint32_t i = start; i < end; i++) {
        if (!clg_view_place_ok(&file->segment, key_entry_place(file, i), CLG_RECORD_MIN)) {
            return false;
        }
        if (i == start) {
            continue;
        }
        uint32_t before = key_entry_rest(file, i - 1);
        uint32_t rest = key_entry_rest(file, i);
        if (rest < before ||
            (rest == before && key_entry_place(file, i) > key_entry_place(file, i - 1))) {
            return false;
        }
    }
    return true;
}

int clg_key_file_verify(const struct clg_key_file *file)
{
    uint32_t next = 0;
    uint64_t buckets = key_prefix_words(file->prefix_bits) - 1u;
    CLG_ASSERT(file->entries != NULL);
    if (key_prefix_check(file->prefixes, file->prefix_bits, file->segment.salt) !=
            file->prefix_check ||
        key_entries_check(file->entries, file->entry_count, file->segment.salt) !=
            file->entries_check) {
        return COMMITLOG_EDAMAGED;
    }
    for (uint64_t bucket = 0; bucket < buckets; bucket++) {
        uint32_t start;
        uint32_t end;
        if (!key_bucket_range(file, bucket, &start, &end) || start != next ||
            !key_bucket_sorted(file, start, end)) {
            return COMMITLOG_EDAMAGED;
        }
        next = end;
    }
    return next == file->entry_count ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
}

int clg_key_file_find(const struct clg_key_file *file, uint64_t hash, struct clg_key_cursor *cursor)
{
    uint32_t low;
    uint32_t end;
    uint32_t rest = key_rest(hash, file->prefix_bits);
    CLG_ASSERT(cursor != NULL);
    if (!key_bucket_range(file, key_bucket(hash, file->prefix_bits), &low, &end)) {
        return COMMITLOG_EDAMAGED;
    }
    uint32_t high = end;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (key_entry_rest(file, middle) < rest) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    cursor->file = file;
    cursor->next = low;
    cursor->end = end;
    cursor->rest = rest;
    return COMMITLOG_OK;
}

bool clg_key_cursor_next(struct clg_key_cursor *cursor, uint32_t *place)
{
    const struct clg_key_file *file = cursor->file;
    CLG_ASSERT(cursor->end <= file->entry_count);
    while (cursor->next < cursor->end && key_entry_rest(file, cursor->next) == cursor->rest) {
        uint32_t candidate = key_entry_place(file, cursor->next);
        cursor->next++;
        if (clg_view_place_ok(&file->segment, candidate, CLG_RECORD_MIN)) {
            *place = candidate;
            return true;
        }
    }
    return false;
}
