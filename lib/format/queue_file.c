/* SPDX-License-Identifier: BSD-2-Clause */
/* queue_file.c -- consume-queue entries and the sealed .cq file; see queue_file.h */
#include "format/queue_file.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/invariant.h"
#include "commitlog.h"

CLG_FORMAT_ASSERT(CLG_QUEUE_ENTRY_BYTES == 24u);
CLG_FORMAT_ASSERT(CLG_QUEUE_ENTRY_HOLE == 1u && CLG_QUEUE_ENTRY_REFERENCE == 2u);
CLG_FORMAT_ASSERT(CLG_QUEUE_ENTRY_AT_TIME == 0u);
CLG_FORMAT_ASSERT(CLG_QUEUE_ENTRY_AT_PLACE == CLG_QUEUE_ENTRY_AT_TIME + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_ENTRY_AT_SIZE == CLG_QUEUE_ENTRY_AT_PLACE + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_ENTRY_AT_TAG_HASH == CLG_QUEUE_ENTRY_AT_SIZE + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_ENTRY_AT_HEADER_CHECK == CLG_QUEUE_ENTRY_AT_TAG_HASH + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_ENTRY_BYTES == CLG_QUEUE_ENTRY_AT_HEADER_CHECK + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_BYTES == 64u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_QUEUE == 0u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_COUNT == CLG_QUEUE_DIRECTORY_AT_QUEUE + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_FIRST_OFFSET == CLG_QUEUE_DIRECTORY_AT_COUNT + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_FIRST_ENTRY == CLG_QUEUE_DIRECTORY_AT_FIRST_OFFSET + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_PREV_BASE == CLG_QUEUE_DIRECTORY_AT_FIRST_ENTRY + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_JUMP_BASE == CLG_QUEUE_DIRECTORY_AT_PREV_BASE + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_PREV_INDEX == CLG_QUEUE_DIRECTORY_AT_JUMP_BASE + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_JUMP_INDEX == CLG_QUEUE_DIRECTORY_AT_PREV_INDEX + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_JUMP_END == CLG_QUEUE_DIRECTORY_AT_JUMP_INDEX + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_ORDINAL == CLG_QUEUE_DIRECTORY_AT_JUMP_END + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_AT_ZERO == CLG_QUEUE_DIRECTORY_AT_ORDINAL + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_DIRECTORY_BYTES == CLG_QUEUE_DIRECTORY_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(CLG_QUEUE_FILE_AT_ENTRIES == CLG_VIEW_AT_END + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_FILE_AT_QUEUES == CLG_QUEUE_FILE_AT_ENTRIES + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_FILE_AT_DIRECTORY_CHECK == CLG_QUEUE_FILE_AT_QUEUES + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_FILE_AT_ENTRIES_CHECK == CLG_QUEUE_FILE_AT_DIRECTORY_CHECK + 8u);
CLG_FORMAT_ASSERT(CLG_QUEUE_FILE_ENTRIES_MAX == 0xffffffffu);
CLG_FORMAT_ASSERT(CLG_LINK_NONE == UINT64_MAX);

void clg_queue_entry_encode(uint8_t out[CLG_QUEUE_ENTRY_BYTES], const struct clg_queue_entry *entry)
{
    CLG_ASSERT((entry->size & CLG_QUEUE_ENTRY_FLAGS_MASK) == 0);
    CLG_ASSERT((entry->flags & ~CLG_QUEUE_ENTRY_FLAGS_MASK) == 0);
    clg_store_le64(out + CLG_QUEUE_ENTRY_AT_TIME, (uint64_t)entry->store_time);
    clg_store_le32(out + CLG_QUEUE_ENTRY_AT_PLACE, entry->place);
    clg_store_le32(out + CLG_QUEUE_ENTRY_AT_SIZE, entry->size | entry->flags);
    clg_store_le32(out + CLG_QUEUE_ENTRY_AT_TAG_HASH, entry->tag_hash);
    clg_store_le32(out + CLG_QUEUE_ENTRY_AT_HEADER_CHECK, entry->header_check);
}

void clg_queue_entry_decode(const uint8_t in[CLG_QUEUE_ENTRY_BYTES], struct clg_queue_entry *entry)
{
    uint32_t size = clg_load_le32(in + CLG_QUEUE_ENTRY_AT_SIZE);
    CLG_ASSERT(entry != NULL);
    entry->store_time = (int64_t)clg_load_le64(in + CLG_QUEUE_ENTRY_AT_TIME);
    entry->place = clg_load_le32(in + CLG_QUEUE_ENTRY_AT_PLACE);
    entry->size = size & ~(uint32_t)CLG_QUEUE_ENTRY_FLAGS_MASK;
    entry->flags = size & CLG_QUEUE_ENTRY_FLAGS_MASK;
    entry->tag_hash = clg_load_le32(in + CLG_QUEUE_ENTRY_AT_TAG_HASH);
    entry->header_check = clg_load_le32(in + CLG_QUEUE_ENTRY_AT_HEADER_CHECK);
}

uint32_t clg_queue_jump_ordinal(uint32_t ordinal)
{
    /* Write the ordinal greedily as a sum of numbers 2^k - 1; the jump drops the last of them. */
    uint32_t left = ordinal;
    uint32_t last = 0;
    while (left > 0) {
        last = UINT32_MAX >> __builtin_clz(left);
        if (last > left) {
            last >>= 1;
        }
        CLG_ASSERT(last > 0 && last <= left);
        left -= last;
    }
    return ordinal - last;
}

static uint64_t queue_entries_at(uint32_t queues)
{
    return CLG_VIEW_HEADER_BYTES + (uint64_t)queues * CLG_QUEUE_DIRECTORY_BYTES;
}

uint64_t clg_queue_file_bytes(uint32_t queues, uint64_t entries)
{
    CLG_ASSERT(entries <= CLG_QUEUE_FILE_ENTRIES_MAX);
    return queue_entries_at(queues) + entries * CLG_QUEUE_ENTRY_BYTES;
}

void clg_queue_file_put_directory(uint8_t *file, uint32_t index,
                                  const struct clg_queue_directory *directory)
{
    uint8_t *at = file + queue_entries_at(index);
    CLG_ASSERT(directory->count > 0);
    CLG_ASSERT(directory->queue != CLG_QUEUE_NONE);
    clg_store_le32(at + CLG_QUEUE_DIRECTORY_AT_QUEUE, directory->queue);
    clg_store_le32(at + CLG_QUEUE_DIRECTORY_AT_COUNT, directory->count);
    clg_store_le64(at + CLG_QUEUE_DIRECTORY_AT_FIRST_OFFSET, directory->first_offset);
    clg_store_le64(at + CLG_QUEUE_DIRECTORY_AT_FIRST_ENTRY, directory->first_entry);
    clg_store_le64(at + CLG_QUEUE_DIRECTORY_AT_PREV_BASE, directory->prev.base);
    clg_store_le64(at + CLG_QUEUE_DIRECTORY_AT_JUMP_BASE, directory->jump.base);
    clg_store_le32(at + CLG_QUEUE_DIRECTORY_AT_PREV_INDEX, directory->prev.index);
    clg_store_le32(at + CLG_QUEUE_DIRECTORY_AT_JUMP_INDEX, directory->jump.index);
    clg_store_le64(at + CLG_QUEUE_DIRECTORY_AT_JUMP_END, directory->jump_end);
    clg_store_le32(at + CLG_QUEUE_DIRECTORY_AT_ORDINAL, directory->ordinal);
    clg_store_le32(at + CLG_QUEUE_DIRECTORY_AT_ZERO, 0);
}

void clg_queue_file_put_entry(uint8_t *file, uint32_t queues, uint64_t index,
                              const struct clg_queue_entry *entry)
{
    CLG_ASSERT(file != NULL);
    CLG_ASSERT(index < CLG_QUEUE_FILE_ENTRIES_MAX);
    clg_queue_entry_encode(file + queue_entries_at(queues) + index * CLG_QUEUE_ENTRY_BYTES, entry);
}

/* Checks of the two parts: seeded with the segment's salt, so that parts of two files cannot be
 * mixed. */
static uint64_t queue_directory_check(const uint8_t *directory, uint32_t queues, uint64_t salt)
{
    return clg_hash64(directory, (size_t)queues * CLG_QUEUE_DIRECTORY_BYTES, salt);
}

static uint64_t queue_entries_check(const uint8_t *entries, uint64_t count, uint64_t salt)
{
    return clg_hash64(entries, count * CLG_QUEUE_ENTRY_BYTES, salt);
}

/*
 * More than this no segment gives, whatever its log says. Let n be the records that have room in
 * it. A queue is in the file because a record of it is in the segment: at most n queues. Its
 * entries are those of its records, n in all queues together, and those of offsets that were lost
 * between two of its records, at most as many as records have room between the two (queue_fill_gap
 * in consume_queue.c). These spaces do not overlap, as records of one queue come in ascending
 * places, so that they are at most n for each queue. Spaces of two queues may overlap: a log that
 * is not ours can pretend so, and the file that is made of it has to open. The length of a file
 * does not bound anything, for it may be one long hole.
 */
static bool queue_counts_ok(uint32_t queues, uint64_t entries,
                            const struct clg_view_segment *segment)
{
    CLG_ASSERT(segment->base <= segment->end);
    uint64_t records = (segment->end - segment->base) / CLG_RECORD_MIN;
    CLG_ASSERT(records <= CLG_SEGMENT_MAX / CLG_RECORD_MIN); /* the product below fits 64 bits */
    return entries <= CLG_QUEUE_FILE_ENTRIES_MAX && queues <= entries && queues <= records &&
           entries <= records + records * queues;
}

void clg_queue_file_finish(uint8_t *file, uint32_t queues, uint64_t entries,
                           const struct clg_view_segment *segment,
                           const uint8_t uuid[CLG_UUID_BYTES])
{
    CLG_ASSERT(queue_counts_ok(queues, entries, segment));
    clg_view_header_begin(file, CLG_MAGIC_QUEUE_FILE, segment, uuid);
    clg_store_le64(file + CLG_QUEUE_FILE_AT_ENTRIES, entries);
    clg_store_le32(file + CLG_QUEUE_FILE_AT_QUEUES, queues);
    clg_store_le64(file + CLG_QUEUE_FILE_AT_DIRECTORY_CHECK,
                   queue_directory_check(file + CLG_VIEW_HEADER_BYTES, queues, segment->salt));
    clg_store_le64(file + CLG_QUEUE_FILE_AT_ENTRIES_CHECK,
                   queue_entries_check(file + queue_entries_at(queues), entries, segment->salt));
    clg_format_finish(file, CLG_VIEW_HEADER_BYTES, 0);
}

int clg_queue_file_open(struct clg_queue_file *out, const uint8_t *file, uint64_t bytes,
                        const struct clg_view_segment *segment, const uint8_t *uuid)
{
    struct clg_queue_file decoded;
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(file != NULL);
    if (bytes < CLG_VIEW_HEADER_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    uint8_t header[CLG_VIEW_HEADER_BYTES];
    memcpy(header, file, sizeof(header)); /* the file may be mapped and change */
    int rc = clg_view_header_decode(header, sizeof(header), CLG_MAGIC_QUEUE_FILE, segment, uuid,
                                    &decoded.segment);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    decoded.entry_count = clg_load_le64(header + CLG_QUEUE_FILE_AT_ENTRIES);
    decoded.queue_count = clg_load_le32(header + CLG_QUEUE_FILE_AT_QUEUES);
    decoded.directory_check = clg_load_le64(header + CLG_QUEUE_FILE_AT_DIRECTORY_CHECK);
    decoded.entries_check = clg_load_le64(header + CLG_QUEUE_FILE_AT_ENTRIES_CHECK);
    if (!queue_counts_ok(decoded.queue_count, decoded.entry_count, &decoded.segment) ||
        clg_queue_file_bytes(decoded.queue_count, decoded.entry_count) != bytes) {
        return COMMITLOG_EDAMAGED;
    }
    decoded.directory = file + CLG_VIEW_HEADER_BYTES;
    decoded.entries = file + queue_entries_at(decoded.queue_count);
    *out = decoded;
    return COMMITLOG_OK;
}

static void queue_directory_load(const uint8_t *at, struct clg_queue_directory *out)
{
    out->queue = clg_load_le32(at + CLG_QUEUE_DIRECTORY_AT_QUEUE);
    out->count = clg_load_le32(at + CLG_QUEUE_DIRECTORY_AT_COUNT);
    out->first_offset = clg_load_le64(at + CLG_QUEUE_DIRECTORY_AT_FIRST_OFFSET);
    out->first_entry = clg_load_le64(at + CLG_QUEUE_DIRECTORY_AT_FIRST_ENTRY);
    out->prev.base = clg_load_le64(at + CLG_QUEUE_DIRECTORY_AT_PREV_BASE);
    out->jump.base = clg_load_le64(at + CLG_QUEUE_DIRECTORY_AT_JUMP_BASE);
    out->prev.index = clg_load_le32(at + CLG_QUEUE_DIRECTORY_AT_PREV_INDEX);
    out->jump.index = clg_load_le32(at + CLG_QUEUE_DIRECTORY_AT_JUMP_INDEX);
    out->jump_end = clg_load_le64(at + CLG_QUEUE_DIRECTORY_AT_JUMP_END);
    out->ordinal = clg_load_le32(at + CLG_QUEUE_DIRECTORY_AT_ORDINAL);
}

static bool queue_link_ok(const struct clg_queue_file *file,
                          const struct clg_queue_directory *directory,
                          const struct clg_queue_link *link)
{
    if (link->base == CLG_LINK_NONE) {
        return true;
    }
    return directory->ordinal > 0 && link->base < file->segment.base &&
           link->base % CLG_SEGMENT_ALIGN == 0;
}

static bool queue_directory_ok(const struct clg_queue_file *file,
                               const struct clg_queue_directory *directory)
{
    return directory->queue != CLG_QUEUE_NONE && directory->count > 0 &&
           directory->first_entry <= file->entry_count &&
           directory->count <= file->entry_count - directory->first_entry &&
           directory->first_offset <= CLG_QUEUE_OFFSET_MAX - directory->count &&
           directory->jump_end <= directory->first_offset &&
           queue_link_ok(file, directory, &directory->prev) &&
           queue_link_ok(file, directory, &directory->jump);
}

int clg_queue_file_directory(const struct clg_queue_file *file, uint32_t index,
                             struct clg_queue_directory *directory)
{
    struct clg_queue_directory loaded;
    CLG_ASSERT(directory != NULL);
    if (index >= file->queue_count) {
        return COMMITLOG_ENOTFOUND;
    }
    queue_directory_load(file->directory + (size_t)index * CLG_QUEUE_DIRECTORY_BYTES, &loaded);
    if (!queue_directory_ok(file, &loaded)) {
        return COMMITLOG_EDAMAGED;
    }
    *directory = loaded;
    return COMMITLOG_OK;
}

int clg_queue_file_verify_directory(const struct clg_queue_file *file)
{
    uint64_t next_entry = 0;
    uint64_t next_queue = 0;
    CLG_ASSERT(file->queue_count <= file->entry_count);
    if (queue_directory_check(file->directory, file->queue_count, file->segment.salt) !=
        file->directory_check) {
        return COMMITLOG_EDAMAGED;
    }
    for (uint32_t i = 0; i < file->queue_count; i++) {
        struct clg_queue_directory directory;
        int rc = clg_queue_file_directory(file, i, &directory);
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        if (directory.queue < next_queue || directory.first_entry != next_entry) {
            return COMMITLOG_EDAMAGED;
        }
        next_queue = (uint64_t)directory.queue + 1;
        next_entry += directory.count;
    }
    return next_entry == file->entry_count ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
}

int clg_queue_file_verify_entries(const struct clg_queue_file *file)
{
    CLG_ASSERT(file->entries != NULL);
    CLG_ASSERT(file->entry_count <= CLG_QUEUE_FILE_ENTRIES_MAX);
    uint64_t check = queue_entries_check(file->entries, file->entry_count, file->segment.salt);
    return check == file->entries_check ? COMMITLOG_OK : COMMITLOG_EDAMAGED;
}

int clg_queue_file_find(const struct clg_queue_file *file, uint32_t queue,
                        struct clg_queue_directory *directory, uint32_t *index)
{
    uint32_t low = 0;
    uint32_t high = file->queue_count;
    CLG_ASSERT(directory != NULL);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const uint8_t *at = file->directory + (size_t)middle * CLG_QUEUE_DIRECTORY_BYTES;
        if (clg_load_le32(at + CLG_QUEUE_DIRECTORY_AT_QUEUE) < queue) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    struct clg_queue_directory found;
    int rc = clg_queue_file_directory(file, low, &found);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (found.queue != queue) {
        return COMMITLOG_ENOTFOUND;
    }
    *directory = found;
    if (index != NULL) {
        *index = low;
    }
    return COMMITLOG_OK;
}

int clg_queue_file_entry(const struct clg_queue_file *file,
                         const struct clg_queue_directory *directory, uint64_t queue_offset,
                         struct clg_queue_entry *entry)
{
    struct clg_queue_entry decoded;
    CLG_ASSERT(entry != NULL);
    if (!queue_directory_ok(file, directory)) {
        return COMMITLOG_EDAMAGED;
    }
    if (queue_offset < directory->first_offset ||
        queue_offset - directory->first_offset >= directory->count) {
        return COMMITLOG_ENOTFOUND;
    }
    uint64_t index = directory->first_entry + (queue_offset - directory->first_offset);
    CLG_ASSERT(index < file->entry_count);
    clg_queue_entry_decode(file->entries + index * CLG_QUEUE_ENTRY_BYTES, &decoded);
    if (decoded.size < CLG_RECORD_MIN ||
        !clg_view_place_ok(&file->segment, decoded.place, decoded.size)) {
        return COMMITLOG_EDAMAGED;
    }
    *entry = decoded;
    return COMMITLOG_OK;
}
