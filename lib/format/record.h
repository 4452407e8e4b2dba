/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * record.h -- the 48-byte record header and the two checks of a record
 *
 * A record is: header (48 bytes), attributes, body, 0 to 7 zero bytes. It lies at a position that
 * is a multiple of 8 and its size is one too.
 *
 * Invariants
 *   1. Both checks depend on the segment's salt and the record's position (through the seed): a
 *      record that is stale, misplaced or of another store fails by itself.
 *   2. Both are computed with the word in its final state (size | COMMITTED), whatever the word
 *      in memory says at that moment.
 *   3. Nothing here stores the word. It is stored last, with release order, by the caller.
 *   4. A header is copied out of a mapping before it is verified; nothing verified is read twice.
 *
 * Write: clg_record_encode_header, attributes, body, padding zeroed, clg_record_seal -> word.
 * Read:  copy 48 bytes, clg_record_decode, clg_record_check_bounds, clg_record_verify_header,
 *        then clg_record_verify_body.
 * A reader that searches for records tests in the same order: the bounds are cheap.
 */
#ifndef CLG_FORMAT_RECORD_H
#define CLG_FORMAT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "format/limits.h"

#define CLG_RECORD_HEADER_BYTES 48u

#define CLG_RECORD_AT_WORD 0u
#define CLG_RECORD_AT_HEADER_CHECK 4u
#define CLG_RECORD_AT_CHECK 8u
#define CLG_RECORD_AT_QUEUE_OFFSET 16u
#define CLG_RECORD_AT_STORE_TIME 24u
#define CLG_RECORD_AT_EPOCH 32u
#define CLG_RECORD_AT_QUEUE_NUMBER 36u
#define CLG_RECORD_AT_DURABLE_BACK 40u
#define CLG_RECORD_AT_ATTRIBUTE_BYTES 44u
#define CLG_RECORD_AT_KIND 46u
#define CLG_RECORD_AT_FLAGS 47u

/* States of the word. They differ in at least two bits: one flipped bit makes no state of
 * another. */
#define CLG_RECORD_FREE 0u
#define CLG_RECORD_CLAIMED 3u
#define CLG_RECORD_COMMITTED 5u
#define CLG_RECORD_STATE_MASK 7u

/* Low bits of flags: number of padding bytes. */
#define CLG_RECORD_PADDING_MASK 7u
/* Of a batch, which stands before it: where that fails to verify, so does this record. The others
 * are zero in version 1 and ignored: a meaning a reader must know comes with an incompatible bit in
 * the segment header. */
#define CLG_RECORD_MEMBER 8u

/* durable-back: the writer knew nothing, or the distance does not fit. */
#define CLG_DURABLE_BACK_NONE UINT32_C(0xffffffff)

enum clg_record_kind {
    CLG_KIND_MESSAGE = 1,
    CLG_KIND_REFERENCE = 2,
    CLG_KIND_HOLE = 3, /* aborted, dead or filler: header check only */
    CLG_KIND_PAD = 4,  /* fills a segment to the end of its data: header check only */
    CLG_KIND_BATCH = 5,
    CLG_KIND_TOPIC = 6,
    CLG_KIND_EPOCH = 7,
    CLG_KIND_FIRST = 8,
    CLG_KIND_TRANSACTION = 9,
    CLG_KIND_TIMER = 10,
    CLG_KIND_GROUP = 11,
    CLG_KIND_PRODUCER = 12,
    CLG_KIND_TOMBSTONE = 13,
    CLG_KIND_WORK = 14
};

struct clg_record_header {
    uint64_t check;
    uint64_t queue_offset;
    int64_t store_time; /* ns since 1970 */
    uint32_t word;      /* size | state */
    uint32_t header_check;
    uint32_t epoch;
    uint32_t queue_number;
    uint32_t durable_back;
    uint16_t attribute_bytes;
    uint8_t kind;  /* enum clg_record_kind, or one that this library does not know */
    uint8_t flags; /* low 3 bits: padding; CLG_RECORD_MEMBER */
};

static inline uint32_t clg_record_word(uint32_t size, uint32_t state)
{
    return size | state;
}

static inline uint32_t clg_record_size(uint32_t word)
{
    return word & ~(uint32_t)CLG_RECORD_STATE_MASK;
}

static inline uint32_t clg_record_state(uint32_t word)
{
    return word & CLG_RECORD_STATE_MASK;
}

/* Hole and pad: the body is not covered by any check. */
static inline bool clg_record_is_filler(uint8_t kind)
{
    return kind == CLG_KIND_HOLE || kind == CLG_KIND_PAD;
}

/* Only after clg_record_check_bounds. */
static inline uint32_t clg_record_body_bytes(const struct clg_record_header *header)
{
    return clg_record_size(header->word) - CLG_RECORD_HEADER_BYTES - header->attribute_bytes -
           (header->flags & CLG_RECORD_PADDING_MASK);
}

static inline const uint8_t *clg_record_attributes(const uint8_t *record)
{
    return record + CLG_RECORD_HEADER_BYTES;
}

static inline const uint8_t *clg_record_body(const struct clg_record_header *header,
                                             const uint8_t *record)
{
    return record + CLG_RECORD_HEADER_BYTES + header->attribute_bytes;
}

/* Size of a record with padding, or 0 if it would exceed CLG_RECORD_MAX or attribute_bytes
 * exceeds CLG_ATTRIBUTES_MAX. */
uint32_t clg_record_bytes(uint64_t attribute_bytes, uint64_t body_bytes);

/* Padding count that belongs to these parts: 0 to 7. */
uint8_t clg_record_padding(uint64_t attribute_bytes, uint64_t body_bytes);

/* Seed of both checks of the record at `position` in a segment with this salt. */
static inline uint64_t clg_record_seed(uint64_t salt, uint64_t position)
{
    /* An odd multiplier and xor-shifts: for one salt no two positions share a seed. */
    uint64_t x = salt + position * UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Write every field but the word (bytes 4 to 47, both checks as given). */
void clg_record_encode_header(uint8_t out[CLG_RECORD_HEADER_BYTES],
                              const struct clg_record_header *header);

/* No validation: any 48 bytes decode. */
static inline void clg_record_decode(const uint8_t in[CLG_RECORD_HEADER_BYTES],
                                     struct clg_record_header *header)
{
    header->word = clg_load_le32(in + CLG_RECORD_AT_WORD);
    header->header_check = clg_load_le32(in + CLG_RECORD_AT_HEADER_CHECK);
    header->check = clg_load_le64(in + CLG_RECORD_AT_CHECK);
    header->queue_offset = clg_load_le64(in + CLG_RECORD_AT_QUEUE_OFFSET);
    header->store_time = (int64_t)clg_load_le64(in + CLG_RECORD_AT_STORE_TIME);
    header->epoch = clg_load_le32(in + CLG_RECORD_AT_EPOCH);
    header->queue_number = clg_load_le32(in + CLG_RECORD_AT_QUEUE_NUMBER);
    header->durable_back = clg_load_le32(in + CLG_RECORD_AT_DURABLE_BACK);
    header->attribute_bytes = clg_load_le16(in + CLG_RECORD_AT_ATTRIBUTE_BYTES);
    header->kind = in[CLG_RECORD_AT_KIND];
    header->flags = in[CLG_RECORD_AT_FLAGS];
}

/* May a record with this header lie where `room` bytes are left? Size at least 48 and not above
 * the limit of its kind, inside room, parts consistent, state claimed or committed. */
bool clg_record_check_bounds(const struct clg_record_header *header, uint64_t room);

/* Complete the record of `size` bytes, whose fields, attributes, body and padding are in place:
 * writes both checks, returns the committed word for the caller to store. */
uint32_t clg_record_seal(uint8_t *record, uint32_t size, uint64_t seed);

/* The same for hole, pad and a claimed record: check field 0, header check only. Returns the
 * committed word; a claim stores clg_record_word(size, CLG_RECORD_CLAIMED) instead. */
uint32_t clg_record_seal_header(uint8_t *record, uint32_t size, uint64_t seed);

/* The same for a record whose check was computed over scattered parts: XXH3 over bytes [16, size)
 * with clg_record_check_seed. */
uint32_t clg_record_seal_check(uint8_t *record, uint32_t size, uint64_t seed, uint64_t check);
uint64_t clg_record_check_seed(uint64_t seed, uint32_t size);

/* True if the word says committed and the header check holds. `header` is the caller's copy. */
bool clg_record_verify_header(const uint8_t header[CLG_RECORD_HEADER_BYTES], uint64_t seed);

/* True if the word says claimed and the header check holds, for the header as it was claimed or for
 * what a commit or an abort had made of it when its writer died. */
bool clg_record_verify_claimed(const uint8_t header[CLG_RECORD_HEADER_BYTES], uint64_t seed);

/* True if the check holds over record[16, size). `header` is the verified copy; size and kind are
 * taken from it. A filler has nothing to verify. */
bool clg_record_verify_body(const struct clg_record_header *header, const uint8_t *record,
                            uint64_t seed);

/* durable <= position. Rounded up, so that a record never claims more than was durable. */
uint32_t clg_durable_back_encode(uint64_t position, uint64_t durable);

/* False: no witness. */
bool clg_durable_back_decode(uint64_t position, uint32_t back, uint64_t *durable);

#endif
