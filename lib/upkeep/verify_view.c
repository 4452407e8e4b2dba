/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * verify_view.c -- derived files of a sealed segment against the records they point at. See
 * verify.h.
 *
 * A file that is not there is sound: it is made again when it is needed. The file is read into
 * memory as a whole; it is a few percent of its segment.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "format/attributes.h"
#include "format/key_file.h"
#include "format/queue_file.h"
#include "format/record.h"
#include "format/reference_record.h"
#include "segment/segment_name.h"
#include "upkeep/verify_internal.h"

/* Of a record at once: its header and, of nearly all, the attributes. */
#define VERIFY_HEAD_BYTES 512u
/* Further wrong entries of one file say nothing new. */
#define VERIFY_ENTRIES_MAX 16u
/* An attribute is type, size and value. */
#define VERIFY_KEY_BYTES_MIN 4u

struct verify_file {
    struct clg_verify *v;
    struct clg_segment *segment;
    const char *what;
    uint8_t *bytes;
    uint64_t size;
    uint32_t wrong;
    uint64_t entries; /* of records that are there */
};

static int verify_file_say(struct verify_file *file, const char *reason)
{
    char text[100];
    CLG_ASSERT(reason != NULL);
    CLG_ASSERT(file->what != NULL);
    (void)snprintf(text, sizeof(text), "view/%020" PRIu64 ".%s: %s", file->segment->base,
                   file->what, reason);
    return clg_verify_say(file->v, file->segment->base, file->segment->base + file->segment->bytes,
                          text);
}

/* What a later version has written is made again by this one, and is no damage. */
static int verify_file_refused(struct verify_file *file, int rc)
{
    char text[100];
    if (rc != COMMITLOG_EVERSION) {
        return verify_file_say(file, "fails its check");
    }
    (void)snprintf(text, sizeof(text), "view/%020" PRIu64 ".%s: of a later version, not looked at",
                   file->segment->base, file->what);
    return clg_verify_note(file->v, text);
}

/* No more than what can be said of a segment: every record of the least size, with its queue, and
 * every byte of attributes a key of 1 byte. */
static uint64_t verify_file_limit(const struct verify_file *file, enum clg_segment_file kind)
{
    uint64_t records = file->segment->bytes / CLG_RECORD_MIN;
    uint64_t keys = clg_min_u64(file->segment->bytes / VERIFY_KEY_BYTES_MIN, UINT32_MAX - 1);
    CLG_ASSERT(kind == CLG_FILE_CQ || kind == CLG_FILE_KEY);
    CLG_ASSERT(records <= UINT32_MAX);
    return kind == CLG_FILE_CQ ? clg_queue_file_bytes((uint32_t)records, records)
                               : clg_key_file_bytes((uint32_t)keys);
}

/* 0 and the bytes, ENOTFOUND, or reported: bytes stays NULL then. */
static int verify_file_load(struct verify_file *file, enum clg_segment_file kind)
{
    const struct commitlog_os *os = file->v->dir->os;
    char name[CLG_SEGMENT_NAME_BYTES];
    clg_segment_name_make(name, kind, file->segment->base);
    CLG_ASSERT(file->bytes == NULL);
    if (file->v->dir->view_fd < 0) {
        return COMMITLOG_ENOTFOUND;
    }
    struct clg_os_stat stat;
    int rc = os->stat_at(os, file->v->dir->view_fd, name, &stat);
    if (rc == -ENOENT) {
        return COMMITLOG_ENOTFOUND;
    }
    if (rc >= 0 && stat.type != CLG_OS_FILE) {
        return verify_file_say(file, "is not a file: move it away");
    }
    if (rc < 0 || stat.size_bytes == 0) {
        return verify_file_say(file, "is not a file with something in it");
    }
    if (stat.size_bytes > verify_file_limit(file, kind)) {
        return verify_file_say(file, "is larger than its segment can make it");
    }
    int fd = os->open_at(os, file->v->dir->view_fd, name, CLG_OS_OPEN_READ, 0);
    if (fd < 0) {
        return fd == -ENOENT ? COMMITLOG_ENOTFOUND : verify_file_say(file, "cannot be opened");
    }
    uint8_t *bytes = os->alloc(os, stat.size_bytes);
    if (bytes == NULL) {
        clg_os_close_fd(os, &fd);
        return clg_fail(file->v->err, COMMITLOG_ENOMEM, ENOMEM, file->segment->base,
                        "not enough memory to verify view/%s", name);
    }
    rc = clg_os_pread_all(os, fd, bytes, stat.size_bytes, 0);
    clg_os_close_fd(os, &fd);
    if (rc < 0) {
        os->free(os, bytes);
        return verify_file_say(file, "cannot be read");
    }
    file->bytes = bytes;
    file->size = stat.size_bytes;
    CLG_ASSERT(file->size > 0);
    return 0;
}

struct verify_record {
    struct clg_record_header header;
    uint64_t position;
    size_t have;
    uint8_t head[VERIFY_HEAD_BYTES];
};

/* The record an entry points at, if there is one. */
static bool verify_record_at(struct clg_segment *segment, uint32_t place,
                             struct verify_record *record)
{
    uint64_t position = segment->base + (uint64_t)place * CLG_RECORD_ALIGN;
    CLG_ASSERT(record != NULL);
    if (position < segment->data_start || position >= segment->data_end ||
        segment->data_end - position < CLG_RECORD_HEADER_BYTES) {
        return false;
    }
    record->position = position;
    record->have = (size_t)clg_min_u64(segment->data_end - position, sizeof(record->head));
    if (clg_segment_pread_raw(segment, record->head, record->have, position) < 0) {
        return false;
    }
    clg_record_decode(record->head, &record->header);
    CLG_ASSERT(position % CLG_RECORD_ALIGN == 0);
    return clg_record_verify_header(record->head, clg_record_seed(segment->salt, position)) &&
           clg_record_check_bounds(&record->header, segment->data_end - position);
}

/* What its queue's entry has to say of its tag. The scan has found it sound, else the segment is
 * reported anyway. */
static uint32_t verify_tag_of(const struct clg_record_header *header, const uint8_t *record)
{
    struct clg_reference reference;
    struct clg_attribute tag;
    if (header->kind == CLG_KIND_REFERENCE &&
        clg_reference_decode(clg_record_body(header, record), clg_record_body_bytes(header),
                             &reference) == COMMITLOG_OK) {
        return reference.tag_hash;
    }
    return clg_attributes_tag(clg_record_attributes(record), header->attribute_bytes, &tag) == 1
               ? clg_tag_hash(tag.value, tag.bytes)
               : 0;
}

/* 0 and whether it is the tag, or ENOMEM. */
static int verify_tag(const struct verify_file *file, const struct verify_record *record,
                      uint32_t tag_hash, bool *out_same)
{
    const struct clg_record_header *header = &record->header;
    const struct commitlog_os *os = file->v->dir->os;
    size_t bytes = header->kind == CLG_KIND_REFERENCE
                       ? clg_record_size(header->word)
                       : CLG_RECORD_HEADER_BYTES + (size_t)header->attribute_bytes;
    if (header->kind == CLG_KIND_HOLE) {
        *out_same = tag_hash == 0;
        return 0;
    }
    if (bytes <= record->have) {
        *out_same = verify_tag_of(header, record->head) == tag_hash;
        return 0;
    }
    uint8_t *larger = os->alloc(os, bytes);
    if (larger == NULL) {
        return clg_fail(file->v->err, COMMITLOG_ENOMEM, ENOMEM, record->position,
                        "not enough memory to verify a tag");
    }
    *out_same = clg_segment_pread_raw(file->segment, larger, bytes, record->position) >= 0 &&
                verify_tag_of(header, larger) == tag_hash;
    os->free(os, larger);
    return 0;
}

static uint32_t verify_flags(const struct clg_record_header *header)
{
    return header->kind == CLG_KIND_HOLE        ? CLG_QUEUE_ENTRY_HOLE
           : header->kind == CLG_KIND_REFERENCE ? CLG_QUEUE_ENTRY_REFERENCE
                                                : 0;
}

/* Does entry `i` stand for an offset that the log has lost? It has no size, and time and place of
 * the next record of the queue, which is verified when its turn comes. */
static bool verify_lost(const struct clg_queue_file *queues,
                        const struct clg_queue_directory *directory, uint32_t i)
{
    CLG_ASSERT(directory->first_entry + directory->count <= queues->entry_count);
    if (i + 1 >= directory->count) {
        return false;
    }
    const uint8_t *at = queues->entries + (directory->first_entry + i) * CLG_QUEUE_ENTRY_BYTES;
    struct clg_queue_entry entry;
    struct clg_queue_entry next;
    clg_queue_entry_decode(at, &entry);
    clg_queue_entry_decode(at + CLG_QUEUE_ENTRY_BYTES, &next);
    return entry.size == 0 && entry.flags == CLG_QUEUE_ENTRY_HOLE && entry.tag_hash == 0 &&
           entry.header_check == 0 && entry.place == next.place &&
           entry.store_time == next.store_time;
}

/* Does entry `i` say what the record says that it points at? 0, or ENOMEM. */
static int verify_entry(const struct verify_file *file, const struct clg_queue_file *queues,
                        const struct clg_queue_directory *directory, uint32_t i, bool *out_same)
{
    struct clg_queue_entry entry;
    struct verify_record record;
    const struct clg_record_header *header = &record.header;
    uint64_t offset = directory->first_offset + i;
    CLG_ASSERT(i < directory->count);
    bool read = clg_queue_file_entry(queues, directory, offset, &entry) == 0;
    if (read && !verify_record_at(file->segment, entry.place, &record)) {
        *out_same = file->v->damaged;
        return 0;
    }
    *out_same = read && header->header_check == entry.header_check &&
                header->queue_number == directory->queue && header->queue_offset == offset &&
                clg_record_size(header->word) == entry.size &&
                header->store_time == entry.store_time && verify_flags(header) == entry.flags;
    return *out_same ? verify_tag(file, &record, entry.tag_hash, out_same) : 0;
}

static int verify_queue(struct verify_file *file, const struct clg_queue_file *queues,
                        const struct clg_queue_directory *directory)
{
    int rc = 0;
    CLG_ASSERT(queues != NULL);
    for (uint32_t i = 0; rc == 0 && i < directory->count && file->wrong < VERIFY_ENTRIES_MAX; i++) {
        if (verify_lost(queues, directory, i)) {
            continue;
        }
        bool same = false;
        file->entries++;
        rc = verify_entry(file, queues, directory, i, &same);
        if (rc == 0 && !same) {
            file->wrong++;
            rc = verify_file_say(file, "an entry does not fit the record it points at");
        }
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

static int verify_queues(struct verify_file *file, const struct clg_view_segment *segment)
{
    struct clg_queue_file queues;
    int rc = clg_queue_file_open(&queues, file->bytes, file->size, segment,
                                 file->v->dir->segment_dir.uuid);
    CLG_ASSERT(file->bytes != NULL);
    if (rc == 0) {
        rc = clg_queue_file_verify_directory(&queues);
    }
    if (rc == 0) {
        rc = clg_queue_file_verify_entries(&queues);
    }
    if (rc != 0) {
        return verify_file_refused(file, rc);
    }
    for (uint32_t i = 0; rc == 0 && i < queues.queue_count && file->wrong < VERIFY_ENTRIES_MAX;
         i++) {
        struct clg_queue_directory directory;
        if (clg_queue_file_directory(&queues, i, &directory) != 0) {
            file->wrong++;
            rc = verify_file_say(file, "a queue's directory entry is wrong");
        } else {
            rc = verify_queue(file, &queues, &directory);
        }
    }
    if (rc == 0 && file->wrong == 0 && file->v->counted && file->entries < file->v->queue_records) {
        rc = verify_file_say(file, "it lacks records of its segment");
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

static int verify_keys(struct verify_file *file, const struct clg_view_segment *segment)
{
    struct clg_key_file keys;
    int rc =
        clg_key_file_open(&keys, file->bytes, file->size, segment, file->v->dir->segment_dir.uuid);
    CLG_ASSERT(file->bytes != NULL);
    if (rc == 0) {
        rc = clg_key_file_verify(&keys);
    }
    if (rc != 0) {
        return verify_file_refused(file, rc);
    }
    for (uint32_t i = 0; rc == 0 && i < keys.entry_count && file->wrong < VERIFY_ENTRIES_MAX; i++) {
        struct verify_record record;
        /* An entry is 32 bits of the hash, then the place. */
        const uint8_t *entry = keys.entries + (uint64_t)i * CLG_KEY_ENTRY_BYTES;
        bool there = verify_record_at(file->segment, clg_load_le32(entry + 4), &record);
        if (there ? record.header.attribute_bytes == 0 : !file->v->damaged) {
            file->wrong++;
            rc = verify_file_say(file, "an entry points at no record with a key");
        }
    }
    if (rc == 0 && file->wrong == 0 && file->v->counted && keys.entry_count < file->v->keys) {
        rc = verify_file_say(file, "it lacks keys of its segment");
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}

int clg_verify_views(struct clg_verify *v, struct clg_segment *segment)
{
    static const struct {
        enum clg_segment_file kind;
        const char *what;
        int (*check)(struct verify_file *file, const struct clg_view_segment *segment);
    } kinds[] = {{CLG_FILE_CQ, "cq", verify_queues}, {CLG_FILE_KEY, "key", verify_keys}};
    struct clg_view_segment expected = {segment->base, segment->salt, segment->data_end};
    int rc = 0;
    CLG_ASSERT(segment != NULL);
    for (size_t i = 0; rc == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct verify_file file = {.v = v, .segment = segment, .what = kinds[i].what};
        rc = verify_file_load(&file, kinds[i].kind);
        if (rc == COMMITLOG_ENOTFOUND) {
            rc = 0;
            continue;
        }
        if (rc == 0 && file.bytes != NULL) {
            v->counts->view_files++;
            rc = kinds[i].check(&file, &expected);
        }
        v->dir->os->free(v->dir->os, file.bytes);
        if (rc == 0) {
            rc = clg_verify_tick(v, file.size);
        }
    }
    CLG_ASSERT(rc <= 0);
    return rc;
}
