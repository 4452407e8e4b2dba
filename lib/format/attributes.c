/* SPDX-License-Identifier: BSD-2-Clause */
/* attributes.c -- writer, iterator, look-ups and hashes of attributes; see attributes.h */
#include "format/attributes.h"

#include <string.h>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/invariant.h"
#include "commitlog.h"
#include "format/format.h"
#include "format/producer_record.h"
#include "format/reference_record.h"
#include "format/timer_record.h"
#include "format/transaction_record.h"

/* Offsets in an attribute, and in the value of a header. */
#define ATTRIBUTE_AT_TYPE 0u
#define ATTRIBUTE_AT_BYTES 1u
#define ATTRIBUTE_NAME_BYTES 2u /* length of a header's name */

CLG_FORMAT_ASSERT(ATTRIBUTE_AT_TYPE == 0u);
CLG_FORMAT_ASSERT(ATTRIBUTE_AT_BYTES == ATTRIBUTE_AT_TYPE + 1u);
CLG_FORMAT_ASSERT(CLG_ATTRIBUTE_HEADER_BYTES == ATTRIBUTE_AT_BYTES + 2u);
CLG_FORMAT_ASSERT(ATTRIBUTE_NAME_BYTES == 2u);
CLG_FORMAT_ASSERT(CLG_ATTRIBUTE_CRITICAL == 1u << 7);
CLG_FORMAT_ASSERT(CLG_ATTRIBUTE_TAG == 1 && CLG_ATTRIBUTE_KEY == 2 && CLG_ATTRIBUTE_HEADER == 3);
CLG_FORMAT_ASSERT(CLG_ATTRIBUTE_PRODUCER_TIME == 4 && CLG_ATTRIBUTE_DELIVER_AT == 5);
CLG_FORMAT_ASSERT(CLG_ATTRIBUTE_PRODUCER == 6 && CLG_ATTRIBUTE_KEY_HASHES == 7);
CLG_FORMAT_ASSERT(CLG_ATTRIBUTE_ORIGIN == 8 && CLG_ATTRIBUTE_TRANSACTION == 9);
CLG_FORMAT_ASSERT(CLG_TAG_MAX == 255u && CLG_KEY_MAX == 4096u && CLG_RECORD_KEYS_MAX == 64u);
CLG_FORMAT_ASSERT(CLG_HEADER_NAME_MAX == 255u);

CLG_STATIC_ASSERT(CLG_KEY_MAX + CLG_ATTRIBUTE_HEADER_BYTES <= CLG_ATTRIBUTES_MAX, "one key fits");

static bool attribute_header_split(const uint8_t *value, size_t bytes,
                                   struct clg_attribute_header *out)
{
    CLG_ASSERT(out != NULL);
    CLG_ASSERT(bytes <= CLG_ATTRIBUTES_MAX);
    if (bytes < ATTRIBUTE_NAME_BYTES) {
        return false;
    }
    uint16_t name_bytes = clg_load_le16(value);
    size_t left = bytes - ATTRIBUTE_NAME_BYTES;
    if (name_bytes == 0 || name_bytes > CLG_HEADER_NAME_MAX || name_bytes > left) {
        return false;
    }
    out->name = value + ATTRIBUTE_NAME_BYTES;
    out->name_bytes = name_bytes;
    out->value = out->name + name_bytes;
    out->value_bytes = (uint16_t)(left - name_bytes);
    return true;
}

/* The limits of a type's value; of an unknown type anything goes. */
static bool attribute_value_ok(uint8_t type, const uint8_t *value, size_t bytes)
{
    struct clg_attribute_header header;
    struct clg_producer_mark mark;
    struct clg_deliver_at at;
    struct clg_reference origin;
    struct clg_transaction_half half;
    CLG_ASSERT((type & CLG_ATTRIBUTE_CRITICAL) == 0);
    CLG_ASSERT(type != 0);
    switch (type) {
    case CLG_ATTRIBUTE_TAG:
        return bytes >= 1 && bytes <= CLG_TAG_MAX;
    case CLG_ATTRIBUTE_KEY:
        return bytes >= 1 && bytes <= CLG_KEY_MAX;
    case CLG_ATTRIBUTE_HEADER:
        return attribute_header_split(value, bytes, &header);
    case CLG_ATTRIBUTE_PRODUCER_TIME:
        return bytes == sizeof(int64_t);
    case CLG_ATTRIBUTE_KEY_HASHES:
        return bytes > 0 && bytes % 8 == 0 && bytes / 8 <= CLG_RECORD_KEYS_MAX;
    case CLG_ATTRIBUTE_DELIVER_AT:
        return clg_deliver_at_decode(value, bytes, &at) == COMMITLOG_OK;
    case CLG_ATTRIBUTE_PRODUCER:
        return clg_producer_mark_decode(value, bytes, &mark) == COMMITLOG_OK;
    case CLG_ATTRIBUTE_ORIGIN:
        return clg_reference_decode_origin(value, bytes, &origin) == COMMITLOG_OK;
    case CLG_ATTRIBUTE_TRANSACTION:
        return clg_transaction_half_decode(value, bytes, &half) == COMMITLOG_OK;
    default:
        return true;
    }
}

void clg_attribute_writer_init(struct clg_attribute_writer *writer, uint8_t *out, size_t room)
{
    CLG_ASSERT(writer != NULL);
    CLG_ASSERT(out != NULL || room == 0);
    writer->out = out;
    writer->room = room < CLG_ATTRIBUTES_MAX ? room : CLG_ATTRIBUTES_MAX;
    writer->used = 0;
}

/* Room for the head and `bytes` of value: where the value goes, or NULL. */
static uint8_t *attribute_append(struct clg_attribute_writer *writer, uint8_t type, size_t bytes)
{
    CLG_ASSERT(writer->used <= writer->room);
    size_t left = writer->room - writer->used;
    if (left < CLG_ATTRIBUTE_HEADER_BYTES || bytes > left - CLG_ATTRIBUTE_HEADER_BYTES) {
        return NULL;
    }
    uint8_t *at = writer->out + writer->used;
    at[ATTRIBUTE_AT_TYPE] = type;
    clg_store_le16(at + ATTRIBUTE_AT_BYTES, (uint16_t)bytes);
    writer->used += CLG_ATTRIBUTE_HEADER_BYTES + bytes;
    CLG_ASSERT(writer->used <= writer->room);
    return at + CLG_ATTRIBUTE_HEADER_BYTES;
}

/* The most that a value may have, of those types that a caller chooses the length of. */
static size_t attribute_value_max(uint8_t number)
{
    return number == CLG_ATTRIBUTE_TAG   ? CLG_TAG_MAX
           : number == CLG_ATTRIBUTE_KEY ? CLG_KEY_MAX
                                         : CLG_ATTRIBUTES_MAX;
}

int clg_attribute_add(struct clg_attribute_writer *writer, uint8_t type, const void *value,
                      size_t bytes)
{
    uint8_t number = (uint8_t)(type & ~CLG_ATTRIBUTE_CRITICAL);
    CLG_ASSERT(value != NULL || bytes == 0);
    if (bytes > attribute_value_max(number)) {
        return COMMITLOG_ETOOBIG;
    }
    if (number == 0 || !attribute_value_ok(number, value, bytes)) {
        return COMMITLOG_EINVAL;
    }
    uint8_t *out = attribute_append(writer, type, bytes);
    if (out == NULL) {
        return COMMITLOG_ETOOBIG;
    }
    if (bytes != 0) {
        memcpy(out, value, bytes);
    }
    return COMMITLOG_OK;
}

int clg_attribute_add_header(struct clg_attribute_writer *writer, const void *name,
                             size_t name_bytes, const void *value, size_t value_bytes)
{
    CLG_ASSERT(name != NULL || name_bytes == 0);
    CLG_ASSERT(value != NULL || value_bytes == 0);
    if (name_bytes == 0) {
        return COMMITLOG_EINVAL;
    }
    if (name_bytes > CLG_HEADER_NAME_MAX || value_bytes > CLG_ATTRIBUTES_MAX) {
        return COMMITLOG_ETOOBIG;
    }
    uint8_t *out = attribute_append(writer, CLG_ATTRIBUTE_HEADER,
                                    ATTRIBUTE_NAME_BYTES + name_bytes + value_bytes);
    if (out == NULL) {
        return COMMITLOG_ETOOBIG;
    }
    clg_store_le16(out, (uint16_t)name_bytes);
    memcpy(out + ATTRIBUTE_NAME_BYTES, name, name_bytes);
    if (value_bytes != 0) {
        memcpy(out + ATTRIBUTE_NAME_BYTES + name_bytes, value, value_bytes);
    }
    return COMMITLOG_OK;
}

int clg_attribute_add_producer_time(struct clg_attribute_writer *writer, int64_t time_ms)
{
    uint8_t value[sizeof(int64_t)];
    clg_store_le64(value, (uint64_t)time_ms);
    return clg_attribute_add(writer, CLG_ATTRIBUTE_PRODUCER_TIME, value, sizeof(value));
}

void clg_attribute_iterator_init(struct clg_attribute_iterator *iterator, const uint8_t *area,
                                 size_t bytes)
{
    CLG_ASSERT(iterator != NULL);
    CLG_ASSERT(area != NULL || bytes == 0);
    iterator->at = area;
    iterator->left = bytes;
}

int clg_attribute_next(struct clg_attribute_iterator *iterator, struct clg_attribute *out)
{
    CLG_ASSERT(out != NULL);
    if (iterator->left == 0) {
        return 0;
    }
    if (iterator->left < CLG_ATTRIBUTE_HEADER_BYTES) {
        return COMMITLOG_EDAMAGED;
    }
    uint8_t type = iterator->at[ATTRIBUTE_AT_TYPE];
    uint16_t bytes = clg_load_le16(iterator->at + ATTRIBUTE_AT_BYTES);
    size_t left = iterator->left - CLG_ATTRIBUTE_HEADER_BYTES;
    if ((type & ~CLG_ATTRIBUTE_CRITICAL) == 0 || bytes > left) {
        return COMMITLOG_EDAMAGED;
    }
    out->type = (uint8_t)(type & ~CLG_ATTRIBUTE_CRITICAL);
    out->critical = (type & CLG_ATTRIBUTE_CRITICAL) != 0;
    out->value = iterator->at + CLG_ATTRIBUTE_HEADER_BYTES;
    out->bytes = bytes;
    iterator->at = out->value + bytes;
    iterator->left = left - bytes;
    return 1;
}

static bool attribute_is_known(uint8_t type)
{
    return type >= CLG_ATTRIBUTE_TAG && type <= CLG_ATTRIBUTE_TRANSACTION;
}

int clg_attributes_check(const uint8_t *area, size_t bytes)
{
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    uint32_t tags = 0;
    uint32_t keys = 0;
    uint32_t times = 0;
    uint32_t producers = 0;
    uint32_t waits = 0;
    uint32_t hashes = 0;
    uint32_t origins = 0;
    uint32_t halves = 0;
    bool unsupported = false;
    if (bytes > CLG_ATTRIBUTES_MAX) {
        return COMMITLOG_EDAMAGED;
    }
    clg_attribute_iterator_init(&iterator, area, bytes);
    int rc;
    while ((rc = clg_attribute_next(&iterator, &attribute)) == 1) {
        if (!attribute_value_ok(attribute.type, attribute.value, attribute.bytes)) {
            return COMMITLOG_EDAMAGED;
        }
        unsupported = unsupported || (attribute.critical && !attribute_is_known(attribute.type));
        tags += attribute.type == CLG_ATTRIBUTE_TAG;
        keys += attribute.type == CLG_ATTRIBUTE_KEY;
        times += attribute.type == CLG_ATTRIBUTE_PRODUCER_TIME;
        producers += attribute.type == CLG_ATTRIBUTE_PRODUCER;
        waits += attribute.type == CLG_ATTRIBUTE_DELIVER_AT;
        hashes += attribute.type == CLG_ATTRIBUTE_KEY_HASHES;
        origins += attribute.type == CLG_ATTRIBUTE_ORIGIN;
        halves += attribute.type == CLG_ATTRIBUTE_TRANSACTION;
    }
    if (rc < 0) {
        return rc;
    }
    if (tags > 1 || times > 1 || producers > 1 || waits > 1 || hashes > 1 || origins > 1 ||
        halves > 1 || keys > CLG_RECORD_KEYS_MAX) {
        return COMMITLOG_EDAMAGED;
    }
    return unsupported ? COMMITLOG_EUNSUPPORTED : COMMITLOG_OK;
}

/* The n-th attribute of a type. */
static int attribute_find(const uint8_t *area, size_t bytes, uint8_t type, uint32_t n,
                          struct clg_attribute *out)
{
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    CLG_ASSERT(attribute_is_known(type));
    clg_attribute_iterator_init(&iterator, area, bytes);
    int rc;
    while ((rc = clg_attribute_next(&iterator, &attribute)) == 1) {
        if (attribute.type != type) {
            continue;
        }
        if (n > 0) {
            n--;
            continue;
        }
        if (!attribute_value_ok(type, attribute.value, attribute.bytes)) {
            return COMMITLOG_EDAMAGED;
        }
        *out = attribute;
        return 1;
    }
    return rc;
}

int clg_attributes_tag(const uint8_t *area, size_t bytes, struct clg_attribute *tag)
{
    return attribute_find(area, bytes, CLG_ATTRIBUTE_TAG, 0, tag);
}

int clg_attributes_key(const uint8_t *area, size_t bytes, uint32_t n, struct clg_attribute *key)
{
    return attribute_find(area, bytes, CLG_ATTRIBUTE_KEY, n, key);
}

int clg_attributes_header(const uint8_t *area, size_t bytes, uint32_t n,
                          struct clg_attribute_header *header)
{
    struct clg_attribute attribute;
    int rc = attribute_find(area, bytes, CLG_ATTRIBUTE_HEADER, n, &attribute);
    return rc == 1 ? clg_attribute_header(&attribute, header) : rc;
}

int clg_attribute_header(const struct clg_attribute *attribute, struct clg_attribute_header *header)
{
    CLG_ASSERT(attribute->type == CLG_ATTRIBUTE_HEADER);
    return attribute_header_split(attribute->value, attribute->bytes, header) ? 1
                                                                              : COMMITLOG_EDAMAGED;
}

int clg_attributes_producer_time(const uint8_t *area, size_t bytes, int64_t *time_ms)
{
    struct clg_attribute attribute;
    CLG_ASSERT(time_ms != NULL);
    int rc = attribute_find(area, bytes, CLG_ATTRIBUTE_PRODUCER_TIME, 0, &attribute);
    if (rc == 1) {
        *time_ms = (int64_t)clg_load_le64(attribute.value);
    }
    return rc;
}

uint32_t clg_tag_hash(const void *tag, size_t bytes)
{
    CLG_ASSERT(tag != NULL || bytes == 0);
    if (bytes == 0) {
        return 0;
    }
    uint32_t hash = (uint32_t)clg_hash64(tag, bytes, 0);
    return hash != 0 ? hash : 1;
}

uint64_t clg_topic_seed(const void *name, size_t bytes)
{
    CLG_ASSERT(name != NULL);
    return clg_hash64(name, bytes, 0);
}

uint64_t clg_key_hash(uint64_t topic_seed, const void *key, size_t bytes)
{
    CLG_ASSERT(key != NULL);
    return clg_hash64(key, bytes, topic_seed);
}
