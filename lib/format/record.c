/* SPDX-License-Identifier: BSD-2-Clause */
/* record.c -- record header codec and checks; see record.h */
#include "format/record.h"

#include <stdatomic.h>
#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/format.h"

CLG_FORMAT_ASSERT(CLG_RECORD_HEADER_BYTES == 48u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_WORD == 0u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_HEADER_CHECK == CLG_RECORD_AT_WORD + 4u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_CHECK == CLG_RECORD_AT_HEADER_CHECK + 4u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_QUEUE_OFFSET == CLG_RECORD_AT_CHECK + 8u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_STORE_TIME == CLG_RECORD_AT_QUEUE_OFFSET + 8u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_EPOCH == CLG_RECORD_AT_STORE_TIME + 8u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_QUEUE_NUMBER == CLG_RECORD_AT_EPOCH + 4u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_DURABLE_BACK == CLG_RECORD_AT_QUEUE_NUMBER + 4u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_ATTRIBUTE_BYTES == CLG_RECORD_AT_DURABLE_BACK + 4u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_KIND == CLG_RECORD_AT_ATTRIBUTE_BYTES + 2u);
CLG_FORMAT_ASSERT(CLG_RECORD_AT_FLAGS == CLG_RECORD_AT_KIND + 1u);
CLG_FORMAT_ASSERT(CLG_RECORD_HEADER_BYTES == CLG_RECORD_AT_FLAGS + 1u);
CLG_FORMAT_ASSERT(CLG_RECORD_FREE == 0u && CLG_RECORD_CLAIMED == 3u && CLG_RECORD_COMMITTED == 5u);
CLG_FORMAT_ASSERT(CLG_RECORD_STATE_MASK == 7u && CLG_RECORD_PADDING_MASK == 7u);
CLG_FORMAT_ASSERT(CLG_RECORD_ALIGN == 8u && CLG_RECORD_MIN == 48u);
CLG_FORMAT_ASSERT(CLG_RECORD_MAX == 0x3ffffff8u && CLG_FILLER_MAX == 0xfffffff8u);
CLG_FORMAT_ASSERT(CLG_DURABLE_BACK_NONE == 0xffffffffu);
CLG_FORMAT_ASSERT(CLG_QUEUE_NONE == 0xffffffffu && CLG_QUEUE_OFFSET_MAX == INT64_MAX);
CLG_FORMAT_ASSERT(CLG_KIND_MESSAGE == 1 && CLG_KIND_REFERENCE == 2 && CLG_KIND_HOLE == 3);
CLG_FORMAT_ASSERT(CLG_KIND_PAD == 4 && CLG_KIND_BATCH == 5 && CLG_KIND_TOPIC == 6);
CLG_FORMAT_ASSERT(CLG_KIND_EPOCH == 7 && CLG_KIND_FIRST == 8 && CLG_KIND_TRANSACTION == 9);
CLG_FORMAT_ASSERT(CLG_KIND_TIMER == 10 && CLG_KIND_GROUP == 11 && CLG_KIND_PRODUCER == 12);
CLG_FORMAT_ASSERT(CLG_KIND_TOMBSTONE == 13 && CLG_KIND_WORK == 14);
CLG_STATIC_ASSERT(CLG_RECORD_MAX % CLG_RECORD_ALIGN == 0, "sizes are multiples of 8");

uint8_t clg_record_padding(uint64_t attribute_bytes, uint64_t body_bytes)
{
    return (uint8_t)((8u - ((attribute_bytes + body_bytes) & 7u)) & 7u);
}

uint32_t clg_record_bytes(uint64_t attribute_bytes, uint64_t body_bytes)
{
    if (attribute_bytes > CLG_ATTRIBUTES_MAX || body_bytes > CLG_RECORD_MAX) {
        return 0;
    }
    uint64_t size = CLG_RECORD_HEADER_BYTES + attribute_bytes + body_bytes +
                    clg_record_padding(attribute_bytes, body_bytes);
    CLG_ASSERT(size % CLG_RECORD_ALIGN == 0);
    CLG_ASSERT(size >= CLG_RECORD_MIN);
    return size > CLG_RECORD_MAX ? 0 : (uint32_t)size;
}

void clg_record_encode_header(uint8_t out[CLG_RECORD_HEADER_BYTES],
                              const struct clg_record_header *header)
{
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(header != NULL);
    clg_store_le32(out + CLG_RECORD_AT_HEADER_CHECK, header->header_check);
    clg_store_le64(out + CLG_RECORD_AT_CHECK, header->check);
    clg_store_le64(out + CLG_RECORD_AT_QUEUE_OFFSET, header->queue_offset);
    clg_store_le64(out + CLG_RECORD_AT_STORE_TIME, (uint64_t)header->store_time);
    clg_store_le32(out + CLG_RECORD_AT_EPOCH, header->epoch);
    clg_store_le32(out + CLG_RECORD_AT_QUEUE_NUMBER, header->queue_number);
    clg_store_le32(out + CLG_RECORD_AT_DURABLE_BACK, header->durable_back);
    clg_store_le16(out + CLG_RECORD_AT_ATTRIBUTE_BYTES, header->attribute_bytes);
    out[CLG_RECORD_AT_KIND] = header->kind;
    out[CLG_RECORD_AT_FLAGS] = header->flags;
}

bool clg_record_check_bounds(const struct clg_record_header *header, uint64_t room)
{
    uint32_t state = clg_record_state(header->word);
    uint64_t size = clg_record_size(header->word);
    uint64_t max = clg_record_is_filler(header->kind) ? CLG_FILLER_MAX : CLG_RECORD_MAX;
    if (state != CLG_RECORD_COMMITTED && state != CLG_RECORD_CLAIMED) {
        return false;
    }
    room += CLG_PLANTED(LENGTH_OFF) ? CLG_RECORD_HEADER_BYTES : 0;
    if (size < CLG_RECORD_MIN || size > max || size > room) {
        return false;
    }
    uint64_t parts = (uint64_t)CLG_RECORD_HEADER_BYTES + header->attribute_bytes +
                     (header->flags & CLG_RECORD_PADDING_MASK);
    CLG_ASSERT(parts >= CLG_RECORD_MIN);
    return parts <= size;
}

/* Over the header from the check field on. The final word comes in through the seed: the bytes
 * stay contiguous and need no copy (assembling them before the word in a buffer took twice the
 * time of the hash), and what memory says at the word and at the header check is not read. */
static uint32_t record_header_check(const uint8_t *header, uint32_t word, uint64_t seed)
{
    CLG_ASSERT(clg_record_state(word) == CLG_RECORD_COMMITTED);
    return (uint32_t)clg_hash64(header + CLG_RECORD_AT_CHECK,
                                CLG_RECORD_HEADER_BYTES - CLG_RECORD_AT_CHECK, seed ^ word);
}

uint64_t clg_record_check_seed(uint64_t seed, uint32_t size)
{
    CLG_ASSERT(size % CLG_RECORD_ALIGN == 0);
    return seed ^ clg_record_word(size, CLG_RECORD_COMMITTED);
}

static uint64_t record_check(const uint8_t *record, uint32_t size, uint64_t seed)
{
    CLG_ASSERT(size >= CLG_RECORD_MIN);
    uint64_t check_seed = clg_record_check_seed(seed, size);
    size -=
        CLG_PLANTED(NO_PADDING_CHECK) ? record[CLG_RECORD_AT_FLAGS] & CLG_RECORD_PADDING_MASK : 0;
    return clg_hash64(record + CLG_RECORD_AT_QUEUE_OFFSET, size - CLG_RECORD_AT_QUEUE_OFFSET,
                      check_seed);
}

uint32_t clg_record_seal_check(uint8_t *record, uint32_t size, uint64_t seed, uint64_t check)
{
    CLG_ASSERT(record != NULL);
    CLG_ASSERT(size >= CLG_RECORD_MIN && size % CLG_RECORD_ALIGN == 0);
    uint32_t word = clg_record_word(size, CLG_RECORD_COMMITTED);
    clg_store_le64(record + CLG_RECORD_AT_CHECK, check);
    /* A writer killed between these two, or before it stores the word, has left one of the headers
     * that clg_record_verify_claimed knows: the compiler must keep the order. */
    atomic_signal_fence(memory_order_seq_cst);
    clg_store_le32(record + CLG_RECORD_AT_HEADER_CHECK, record_header_check(record, word, seed));
    atomic_signal_fence(memory_order_seq_cst);
    return word;
}

uint32_t clg_record_seal(uint8_t *record, uint32_t size, uint64_t seed)
{
    CLG_ASSERT(record != NULL);
    CLG_ASSERT(!clg_record_is_filler(record[CLG_RECORD_AT_KIND]));
    return clg_record_seal_check(record, size, seed, record_check(record, size, seed));
}

uint32_t clg_record_seal_header(uint8_t *record, uint32_t size, uint64_t seed)
{
    return clg_record_seal_check(record, size, seed, 0);
}

static bool record_verify_state(const uint8_t *header, uint32_t state, uint64_t seed)
{
    uint32_t word = clg_load_le32(header + CLG_RECORD_AT_WORD);
    CLG_ASSERT(state != CLG_RECORD_FREE);
    if (clg_record_state(word) != state) {
        return false;
    }
    word = clg_record_word(clg_record_size(word), CLG_RECORD_COMMITTED);
    return clg_load_le32(header + CLG_RECORD_AT_HEADER_CHECK) ==
           record_header_check(header, word, seed);
}

bool clg_record_verify_header(const uint8_t header[CLG_RECORD_HEADER_BYTES], uint64_t seed)
{
    return record_verify_state(header, CLG_RECORD_COMMITTED, seed);
}

/*
 * The writer may have died in the few instructions of a commit or an abort. What they store, in
 * order: commit: check, header check, word; abort: header check (of the hole), kind with flags and
 * attribute size, word. So the header check is that of the header as claimed (check 0), as it is,
 * or of the hole that was being made.
 */
bool clg_record_verify_claimed(const uint8_t header[CLG_RECORD_HEADER_BYTES], uint64_t seed)
{
    if (record_verify_state(header, CLG_RECORD_CLAIMED, seed)) {
        return true;
    }
    uint8_t other[CLG_RECORD_HEADER_BYTES];
    memcpy(other, header, sizeof(other));
    clg_store_le64(other + CLG_RECORD_AT_CHECK, 0);
    if (record_verify_state(other, CLG_RECORD_CLAIMED, seed)) {
        return true;
    }
    clg_store_le16(other + CLG_RECORD_AT_ATTRIBUTE_BYTES, 0);
    other[CLG_RECORD_AT_KIND] = CLG_KIND_HOLE;
    other[CLG_RECORD_AT_FLAGS] = 0;
    return record_verify_state(other, CLG_RECORD_CLAIMED, seed);
}

bool clg_record_verify_body(const struct clg_record_header *header, const uint8_t *record,
                            uint64_t seed)
{
    CLG_ASSERT(clg_record_state(header->word) == CLG_RECORD_COMMITTED);
    if (clg_record_is_filler(header->kind)) {
        return header->check == 0;
    }
    return header->check == record_check(record, clg_record_size(header->word), seed) ||
           CLG_PLANTED(NO_CHECK);
}

uint32_t clg_durable_back_encode(uint64_t position, uint64_t durable)
{
    CLG_ASSERT(durable <= position);
    CLG_ASSERT(position <= CLG_POSITION_MAX);
    uint64_t units = (position - durable + 7u) / 8u;
    return units >= CLG_DURABLE_BACK_NONE ? CLG_DURABLE_BACK_NONE : (uint32_t)units;
}

bool clg_durable_back_decode(uint64_t position, uint32_t back, uint64_t *durable)
{
    uint64_t distance = (uint64_t)back * 8u;
    CLG_ASSERT(durable != NULL);
    if (back == CLG_DURABLE_BACK_NONE || distance > position) {
        return false;
    }
    *durable = position - distance;
    return true;
}
