/* reader.c -- see reader.h. */
#include "log/reader.h"

#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/order.h"
#include "log/commit_log_internal.h"
#include "log/reader_run.h"

#define READER_BLOCK_BYTES (UINT64_C(256) << 10)
/* Behind these the processor sees by itself where it goes. All of a record of 1 KiB: of its first
 * lines only gained nothing. Into the first cache and past the others (locality 0): what the caller
 * gets is in those. */
#define READER_PREFETCH_BYTES 2048u
#define READER_LINE_BYTES 64u
/* See reader_meet. */
#define READER_TIMED 16u
#define READER_COLD_NS 30000
#define READER_COLD_READS 64u

struct clg_reader_block {
    struct clg_reader_block *next;
    uint64_t used;
    uint64_t room;
    _Alignas(64) uint8_t bytes[];
};

void clg_reader_init(struct clg_reader *reader, const struct commitlog_os *os, bool copies,
                     bool verifies)
{
    CLG_ASSERT(reader != NULL && os != NULL);
    memset(reader, 0, sizeof(*reader));
    reader->os = os;
    reader->copies = copies;
    reader->verifies = verifies;
}

void clg_reader_lend(struct clg_reader *reader, void *memory, uint64_t bytes)
{
    CLG_ASSERT(reader->blocks == NULL && reader->lent == NULL);
    reader->lent = memory;
    reader->lent_bytes = bytes;
}

static void reader_free_blocks(struct clg_reader *reader, bool keep_one)
{
    struct clg_reader_block *block = reader->blocks;
    struct clg_reader_block *kept = NULL;
    while (block != NULL) {
        struct clg_reader_block *next = block->next;
        if (keep_one && kept == NULL && block->room == READER_BLOCK_BYTES) {
            kept = block;
            kept->next = NULL;
            kept->used = 0;
        } else {
            reader->os->free(reader->os, block);
        }
        block = next;
    }
    reader->blocks = kept;
}

static void reader_unpin_from(struct clg_reader *reader, uint32_t from)
{
    CLG_ASSERT(from <= reader->pin_count);
    for (uint32_t i = from; i < reader->pin_count; i++) {
        clg_segment_unref(reader->pins[i]);
    }
    reader->pin_count = from;
    reader->has_spare = false;
}

void clg_reader_keep(struct clg_reader *reader)
{
    reader->kept_pins = reader->pin_count - (reader->has_spare ? 1 : 0);
    reader->kept_block = reader->blocks;
    reader->kept_used = reader->blocks != NULL ? reader->blocks->used : 0;
}

/* The newest pin stays, and one block: the next record is likely to want them. The pin is no more
 * than that: unless something is got from its segment, neither a keep nor a move takes it along. */
void clg_reader_drop(struct clg_reader *reader)
{
    CLG_ASSERT(reader->kept_pins <= reader->pin_count);
    reader->has_spare = reader->pin_count > reader->kept_pins;
    while (reader->pin_count > reader->kept_pins + 1) {
        clg_segment_unref(reader->pins[reader->kept_pins]);
        reader->pin_count--;
        memmove(&reader->pins[reader->kept_pins], &reader->pins[reader->kept_pins + 1],
                (reader->pin_count - reader->kept_pins) * sizeof(struct clg_segment *));
    }
    struct clg_reader_block *block = reader->blocks;
    while (block != reader->kept_block) {
        struct clg_reader_block *next = block->next;
        if (next == reader->kept_block && block->room == READER_BLOCK_BYTES) {
            block->used = 0;
            break;
        }
        reader->os->free(reader->os, block);
        block = next;
    }
    reader->blocks = block;
    if (block != NULL && block == reader->kept_block) {
        block->used = reader->kept_used;
    }
}

void clg_reader_begin(struct clg_reader *reader)
{
    reader_unpin_from(reader, 0);
    reader_free_blocks(reader, true);
    reader->kept_pins = 0;
    reader->kept_block = NULL;
    reader->kept_used = 0;
}

void clg_reader_end(struct clg_reader *reader)
{
    if (reader->os != NULL) {
        reader_unpin_from(reader, 0);
        reader_free_blocks(reader, false);
    }
}

void clg_reader_move(struct clg_reader *from, struct clg_reader *to)
{
    CLG_ASSERT(to->pin_count == 0 && to->blocks == NULL);
    reader_unpin_from(from, from->kept_pins);
    *to = *from;
    from->pin_count = 0;
    from->blocks = NULL;
    from->kept_pins = 0;
    from->kept_block = NULL;
    from->kept_used = 0;
}

bool clg_reader_reaches_below(const struct clg_reader *reader, uint64_t first)
{
    for (uint32_t i = 0; i < reader->pin_count; i++) {
        if (reader->pins[i]->base + reader->pins[i]->bytes <= first) {
            return true;
        }
    }
    return false;
}

static void reader_prefetch(const struct clg_segment *segment, uint64_t position, uint32_t size)
{
    uint64_t map = clg_load_relaxed_u64(&segment->map); /* an address for a hint */
    if (map == 0 || size > segment->base + segment->bytes - position) {
        return;
    }
    const uint8_t *at = (const uint8_t *)(uintptr_t)(map + (position - segment->base));
    uint32_t most = size < READER_PREFETCH_BYTES ? size : READER_PREFETCH_BYTES;
    for (uint32_t i = 0; i < most; i += READER_LINE_BYTES) {
        __builtin_prefetch(at + i, 0, 0);
    }
}

void clg_reader_prefetch(const struct clg_reader *reader, uint64_t position, uint32_t size)
{
    const struct clg_segment *segment =
        reader->pin_count > 0 && !reader->copies ? reader->pins[reader->pin_count - 1] : NULL;
    if (segment != NULL && clg_segment_holds(segment, position)) {
        reader_prefetch(segment, position, size);
    }
}

static uint8_t *reader_room(struct clg_reader *reader, uint64_t bytes)
{
    struct clg_reader_block *block = reader->blocks;
    uint64_t need = clg_align_up(bytes, 64);
    if (need <= reader->lent_bytes) {
        uint8_t *lent = reader->lent;
        reader->lent += need;
        reader->lent_bytes -= need;
        return lent;
    }
    if (block == NULL || block->room - block->used < need) {
        uint64_t room = need > READER_BLOCK_BYTES ? need : READER_BLOCK_BYTES;
        block = reader->os->alloc(reader->os, sizeof(*block) + room);
        if (block == NULL) {
            return NULL;
        }
        block->room = room;
        block->used = 0;
        block->next = reader->blocks;
        reader->blocks = block;
    }
    uint8_t *at = block->bytes + block->used;
    block->used += need;
    return at;
}

/* The segment of `position`, pinned once per batch. */
static int reader_pin(struct clg_reader *reader, struct clg_log *log, uint64_t position,
                      struct clg_segment **out, struct commitlog_error *err)
{
    for (uint32_t i = reader->pin_count; i > 0; i--) {
        if (clg_segment_holds(reader->pins[i - 1], position)) {
            reader->has_spare = reader->has_spare && i - 1 != reader->kept_pins;
            *out = reader->pins[i - 1];
            return COMMITLOG_OK;
        }
    }
    if (reader->has_spare) {
        reader_unpin_from(reader, reader->kept_pins);
    }
    if (reader->pin_count == CLG_READER_PINS) {
        return COMMITLOG_EAGAIN;
    }
    int rc = clg_segment_set_pin(log->set, position, out);
    if (rc != COMMITLOG_OK && position < clg_log_first(log)) {
        return clg_fail(err, COMMITLOG_ETOOSMALL, 0, position, "before the first position");
    }
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, position, "the segment is missing");
    }
    reader->pins[reader->pin_count++] = *out;
    return COMMITLOG_OK;
}

/* From the ring, if the record is still only there: ORDER(ring-copy), see peek.c. *out is NULL if
 * it was drained meanwhile, or if the ring has no such record: a large one is published before
 * `written` says that it never was there, so the segment has the last word. How much is copied
 * comes from the first look at the word, and what is believed later is the copy's word. The
 * writer's memory may have changed in between if he is broken, or lies, so the copy has to say the
 * same; of a pad nothing behind the header is looked at. */
static int reader_copy_staged(struct clg_reader *reader, struct clg_log *log, uint64_t position,
                              uint64_t room, uint64_t seed, const uint8_t **out)
{
    *out = NULL;
    if (log->ring == NULL || clg_live_load(&log->shared->written) > position) {
        return COMMITLOG_OK;
    }
    const uint8_t *record = log->ring + (position & log->ring_mask);
    uint64_t size = clg_record_size(clg_word_load(record));
    if (clg_live_load(&log->shared->written) > position) {
        return COMMITLOG_OK;
    }
    if (record[CLG_RECORD_AT_KIND] == CLG_KIND_PAD) {
        size = CLG_RECORD_HEADER_BYTES;
    }
    if (size < CLG_RECORD_HEADER_BYTES || size > room || size > log->ring_bytes) {
        return COMMITLOG_OK;
    }
    uint8_t *copy = reader_room(reader, size);
    if (copy == NULL) {
        return COMMITLOG_ENOMEM;
    }
    memcpy(copy, record, size);
    clg_fence_acquire();
    bool whole = copy[CLG_RECORD_AT_KIND] == CLG_KIND_PAD ||
                 clg_record_size(clg_load_le32(copy + CLG_RECORD_AT_WORD)) == size;
    if (whole && clg_live_load(&log->shared->written) <= position &&
        clg_record_verify_header(copy, seed)) {
        *out = copy;
    }
    return COMMITLOG_OK;
}

static int reader_pread(struct clg_log *log, struct clg_segment *segment, void *out, size_t size,
                        uint64_t position, struct commitlog_error *err)
{
    int rc = clg_segment_pread(segment, out, size, position, err);
    clg_segment_set_keep_open(log->set, segment);
    return rc;
}

/* All of it at once, as long as the index has it. *out is NULL if the record says otherwise. */
static int reader_copy_expected(struct clg_reader *reader, struct clg_log *log,
                                struct clg_segment *segment, uint64_t position, uint32_t size,
                                const uint8_t **out, struct commitlog_error *err)
{
    *out = NULL;
    if (size < CLG_RECORD_MIN || size > CLG_RECORD_MAX || size > segment->data_end - position) {
        return COMMITLOG_OK;
    }
    uint8_t *copy = reader_room(reader, size);
    if (copy == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, position, "copy a record of %u bytes", size);
    }
    int rc = reader_pread(log, segment, copy, size, position, err);
    if (rc == COMMITLOG_OK && clg_record_size(clg_load_le32(copy + CLG_RECORD_AT_WORD)) == size) {
        *out = copy;
    }
    return rc;
}

/* Header first: its size is checked before that many bytes are asked for. */
static int reader_copy_file(struct clg_reader *reader, struct clg_log *log,
                            struct clg_segment *segment, uint64_t position, uint64_t seed,
                            const uint8_t **out, struct commitlog_error *err)
{
    uint8_t bytes[CLG_RECORD_HEADER_BYTES];
    int rc = reader_pread(log, segment, bytes, sizeof(bytes), position, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    struct clg_record_header header;
    clg_record_decode(bytes, &header);
    if (!clg_record_check_bounds(&header, segment->data_end - position) ||
        !clg_record_verify_header(bytes, seed)) {
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, position, "record header fails its check");
    }
    uint64_t size =
        clg_record_is_filler(header.kind) ? CLG_RECORD_HEADER_BYTES : clg_record_size(header.word);
    uint8_t *copy = reader_room(reader, size);
    if (copy == NULL) {
        return clg_fail(err, COMMITLOG_ENOMEM, 0, position, "copy a record of %llu bytes",
                        (unsigned long long)size);
    }
    memcpy(copy, bytes, sizeof(bytes));
    *out = copy;
    return reader_pread(log, segment, copy + sizeof(bytes), size - sizeof(bytes),
                        position + sizeof(bytes), err);
}

/*
 * A fault in a map reads around the page, megabytes where the device is set to (8 MiB, 7 ms), which
 * is right for who reads on in order and a hundred times too much for one record somewhere. Advice
 * (MADV_RANDOM) would be the map's, so that of those who read in order too, and asking for the
 * record's own pages takes 0.5 us where they are there. So one in some random reads is timed; when
 * one has waited for a disk the next ones ask first, until so many in a row have had their pages.
 */
static void reader_meet(const struct clg_reader *reader, struct clg_log *log, const uint8_t *record,
                        uint64_t bytes)
{
    uint32_t cold = clg_load_relaxed_u32(&log->cold_reads);
    uint32_t turn = clg_load_relaxed_u32(&log->random_reads);
    clg_store_relaxed_u32(&log->random_reads, turn + 1);
    if (cold == 0 && turn % READER_TIMED != 0) {
        return;
    }
    const struct commitlog_os *os = reader->os;
    int64_t began = os->clock_mono_ns(os);
    if (cold > 0) {
        const uintptr_t page = os->page_size(os);
        uintptr_t from = (uintptr_t)record & ~(page - 1);
        uintptr_t to = (uintptr_t)clg_align_up((uintptr_t)record + bytes, page);
        (void)os->advise(os, (void *)from, to - from, CLG_OS_ADVISE_WILLNEED);
    }
    (void)*(const volatile uint8_t *)record; /* what would have been read next anyway */
    uint32_t left = cold > 0 ? cold - 1 : 0;
    bool waited = os->clock_mono_ns(os) - began >= READER_COLD_NS;
    clg_store_relaxed_u32(&log->cold_reads, waited ? READER_COLD_READS : left);
}

static int reader_locate(struct clg_reader *reader, struct clg_log *log,
                         struct clg_segment *segment, uint64_t position, uint64_t seed,
                         const struct clg_reader_expected *expected, const uint8_t **out,
                         struct commitlog_error *err)
{
    int rc = reader_copy_staged(reader, log, position, segment->data_end - position, seed, out);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, position, "copy a staged record");
    }
    if (*out != NULL) {
        return COMMITLOG_OK;
    }
    /* A file that was cut short has no map: what is left of it is read. */
    if (reader->copies || clg_segment_is_short(segment)) {
        rc = expected == NULL
                 ? COMMITLOG_OK
                 : reader_copy_expected(reader, log, segment, position, expected->size, out, err);
        return rc != COMMITLOG_OK || *out != NULL
                   ? rc
                   : reader_copy_file(reader, log, segment, position, seed, out, err);
    }
    const uint8_t *map = NULL;
    rc = clg_segment_map(segment, &map, err);
    if (rc == COMMITLOG_OK) {
        *out = map + (position - segment->base);
        uint64_t bytes = expected != NULL ? expected->size : CLG_RECORD_HEADER_BYTES;
        if (reader->random && bytes <= segment->data_end - position) {
            reader_prefetch(segment, position, (uint32_t)bytes);
            reader_meet(reader, log, *out, bytes);
        }
    }
    return rc;
}

/*
 * Copies the header and checks it and, with `verifies`, all.
 *
 * The check of the body covers the bytes from 16 on and, by its seed, the word, the salt and the
 * position; at 8 it is itself. That leaves the header check at 4 and the word at 0. Where these are
 * what the index says, the header check has no byte of its own left to witness, and is not
 * computed; the size that is hashed is the index's then, so a header that is damaged never leads
 * astray. Its state is compared with the word: nothing but a committed record is vouched for.
 */
static int reader_check(const struct clg_reader *reader, const struct clg_segment *segment,
                        const uint8_t *record, uint64_t position, uint64_t room, uint64_t seed,
                        const struct clg_reader_expected *expected,
                        struct clg_record_header *header, struct commitlog_error *err)
{
    uint8_t bytes[CLG_RECORD_HEADER_BYTES];
    memcpy(bytes, record, sizeof(bytes));
    clg_record_decode(bytes, header);
    bool vouched = expected != NULL && reader->verifies &&
                   header->word == clg_record_word(expected->size, CLG_RECORD_COMMITTED) &&
                   header->header_check == expected->header_check &&
                   !clg_record_is_filler(header->kind);
    if (clg_segment_is_ghost(segment, position, header)) {
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, position,
                        "record of a session whose end was cut here");
    }
    bool good = clg_record_check_bounds(header, room);
    if (!good || (!vouched && !clg_record_verify_header(bytes, seed))) {
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, position, "record header fails its check");
    }
    if (reader->verifies && !clg_record_verify_body(header, record, seed)) {
        good = !vouched || clg_record_verify_header(bytes, seed);
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, position,
                        good ? "record fails its check" : "record header fails its check");
    }
    return COMMITLOG_OK;
}

static int reader_get(struct clg_reader *reader, struct clg_log *log, uint64_t position,
                      uint64_t limit, const struct clg_reader_expected *expected,
                      struct clg_record_view *out, struct commitlog_error *err)
{
    if (position < clg_log_first(log)) {
        return clg_fail(err, COMMITLOG_ETOOSMALL, 0, position, "before the first position");
    }
    if (position >= limit) {
        return clg_fail(err, COMMITLOG_EBEYOND, 0, position, "beyond the end");
    }
    struct clg_segment *segment = NULL;
    int rc = reader_pin(reader, log, position, &segment, err);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (!clg_is_aligned(position, CLG_RECORD_ALIGN) || position < segment->data_start ||
        position + CLG_RECORD_MIN > segment->data_end) {
        return clg_fail(err, COMMITLOG_EDAMAGED, 0, position, "no record can begin here");
    }
    uint64_t seed = clg_record_seed(segment->salt, position);
    const uint8_t *record = NULL;
    rc = reader_locate(reader, log, segment, position, seed, expected, &record, err);
    if (rc == COMMITLOG_OK) {
        rc = reader_check(reader, segment, record, position, segment->data_end - position, seed,
                          expected, &out->header, err);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    const struct clg_record_header *header = &out->header;
    out->position = position;
    out->next_position = clg_record_next(position, clg_record_size(header->word), header->kind);
    out->segment_base = segment->base;
    out->attributes = clg_record_attributes(record);
    out->body = clg_record_body(header, record);
    out->body_bytes = clg_record_is_filler(header->kind) ? 0 : clg_record_body_bytes(header);
    return COMMITLOG_OK;
}

int clg_reader_get(struct clg_reader *reader, struct clg_log *log, uint64_t position,
                   uint64_t limit, const struct clg_reader_expected *expected,
                   struct clg_record_view *out, struct commitlog_error *err)
{
    int rc = reader_get(reader, log, position, limit, expected, out, err);
    if (rc != COMMITLOG_OK && rc != COMMITLOG_EAGAIN && position < clg_log_first(log)) {
        /* Another process's retention took the file away while it was being opened or read. */
        rc = clg_fail(err, COMMITLOG_ETOOSMALL, 0, position, "before the first position");
    }
    return rc;
}

void clg_reader_run(const struct clg_reader *reader, struct clg_log *log, uint64_t limit,
                    struct clg_reader_run *out)
{
    memset(out, 0, sizeof(*out));
    bool fits = reader->pin_count > 0 && !reader->copies && reader->verifies;
    const struct clg_segment *segment = fits ? reader->pins[reader->pin_count - 1] : NULL;
    uint64_t map = fits ? clg_load_acquire_u64(&segment->map) : 0; /* ORDER(segment-map) */
    if (map == 0) {
        return;
    }
    /* What is in the segment for good; of the rest clg_reader_get knows where it is. */
    uint64_t there = log->ring == NULL ? limit : clg_live_load(&log->shared->written);
    uint64_t to = clg_min_u64(clg_min_u64(limit, there), segment->data_end);
    uint64_t from = clg_max_u64(clg_log_first(log), segment->data_start);
    *out = (struct clg_reader_run){.map = (const uint8_t *)(uintptr_t)map,
                                   .base = segment->base,
                                   .salt = segment->salt,
                                   .session_from = segment->session_from,
                                   .session_epoch = segment->session_epoch,
                                   .from = from < to ? from : to,
                                   .to = to,
                                   .end = segment->data_end};
}
