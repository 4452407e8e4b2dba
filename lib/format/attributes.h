/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attributes.h -- the typed list between a record's header and its body
 *
 * One attribute: u8 type (bit 7 critical), u16 length, value; no alignment, in the order added.
 * A reader that does not know a critical type refuses the record; unknown ordinary ones are
 * skipped and kept.
 *
 * The area is untrusted even after the record's check held: a program other than this library may
 * have written it. Every function validates each length before it is used and never reads outside
 * [area, area + bytes).
 *
 * Look-ups return 1 (found), 0 (absent) or COMMITLOG_EDAMAGED (a length contradicts the area).
 */
#ifndef CLG_FORMAT_ATTRIBUTES_H
#define CLG_FORMAT_ATTRIBUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/limits.h"

#define CLG_ATTRIBUTE_CRITICAL 0x80u
#define CLG_ATTRIBUTE_HEADER_BYTES 3u

enum clg_attribute_type {
    CLG_ATTRIBUTE_TAG = 1,           /* 1 to 255 bytes, at most one */
    CLG_ATTRIBUTE_KEY = 2,           /* 1 to 4096 bytes, up to 64 */
    CLG_ATTRIBUTE_HEADER = 3,        /* u16 name length, name, value; repeatable */
    CLG_ATTRIBUTE_PRODUCER_TIME = 4, /* i64, ms since 1970; at most one */
    CLG_ATTRIBUTE_DELIVER_AT = 5,    /* timer_record.h; the first one, at most one */
    CLG_ATTRIBUTE_PRODUCER = 6,      /* producer_record.h; before any but 5, at most one */
    CLG_ATTRIBUTE_KEY_HASHES = 7,    /* of a reference: u64 each, 1 to 64; at most one */
    CLG_ATTRIBUTE_ORIGIN = 8, /* reference_record.h: of a dead letter that is a copy; the first */
    CLG_ATTRIBUTE_TRANSACTION = 9 /* transaction_record.h; the first one, at most one */
};

/* Of a message's first attribute: does state come from it, so that where only headers are checked
 * this record is checked whole? */
static inline bool clg_attributes_steer(const uint8_t *area, size_t bytes)
{
    unsigned type = bytes > 0 ? area[0] & ~CLG_ATTRIBUTE_CRITICAL : 0;
    return type == CLG_ATTRIBUTE_DELIVER_AT || type == CLG_ATTRIBUTE_PRODUCER ||
           type == CLG_ATTRIBUTE_TRANSACTION;
}

/* A view into an attribute area; lives as long as the area. */
struct clg_attribute {
    const uint8_t *value;
    uint16_t bytes;
    uint8_t type; /* without the critical bit */
    bool critical;
};

struct clg_attribute_header {
    const uint8_t *name;
    const uint8_t *value;
    uint16_t name_bytes;
    uint16_t value_bytes;
};

struct clg_attribute_writer {
    uint8_t *out;
    size_t room; /* at most CLG_ATTRIBUTES_MAX */
    size_t used;
};

struct clg_attribute_iterator {
    const uint8_t *at;
    size_t left;
};

void clg_attribute_writer_init(struct clg_attribute_writer *writer, uint8_t *out, size_t room);

/* 0, or nothing is written: COMMITLOG_ETOOBIG (above the maximum of a tag, a key, a header's name
 * or all together, or no room) or COMMITLOG_EINVAL (empty, or not as its type has it). `type` may
 * carry the critical bit. */
int clg_attribute_add(struct clg_attribute_writer *writer, uint8_t type, const void *value,
                      size_t bytes);
int clg_attribute_add_header(struct clg_attribute_writer *writer, const void *name,
                             size_t name_bytes, const void *value, size_t value_bytes);
int clg_attribute_add_producer_time(struct clg_attribute_writer *writer, int64_t time_ms);

void clg_attribute_iterator_init(struct clg_attribute_iterator *iterator, const uint8_t *area,
                                 size_t bytes);
/* 1 and *out, 0 at the end, COMMITLOG_EDAMAGED. */
int clg_attribute_next(struct clg_attribute_iterator *iterator, struct clg_attribute *out);

/* Validate the whole area: 0, COMMITLOG_EDAMAGED (a length, a type 0, a value outside the limits
 * of its type, a repeated single one) or COMMITLOG_EUNSUPPORTED (an unknown critical one). */
int clg_attributes_check(const uint8_t *area, size_t bytes);

int clg_attributes_tag(const uint8_t *area, size_t bytes, struct clg_attribute *tag);
int clg_attributes_key(const uint8_t *area, size_t bytes, uint32_t n, struct clg_attribute *key);
int clg_attributes_header(const uint8_t *area, size_t bytes, uint32_t n,
                          struct clg_attribute_header *header);
/* The same of an attribute that the iterator gave, whose type is CLG_ATTRIBUTE_HEADER. */
int clg_attribute_header(const struct clg_attribute *attribute,
                         struct clg_attribute_header *header);
int clg_attributes_producer_time(const uint8_t *area, size_t bytes, int64_t *time_ms);

/* 0 means "no tag": an empty one; a hash of 0 becomes 1. */
uint32_t clg_tag_hash(const void *tag, size_t bytes);

/* The seed makes equal keys of different topics different in the index. */
uint64_t clg_topic_seed(const void *name, size_t bytes);
uint64_t clg_key_hash(uint64_t topic_seed, const void *key, size_t bytes);

#endif
