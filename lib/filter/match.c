/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * match.c -- runs a filter on the attributes of a message: see filter.h and program.h.
 *
 * First the values of the headers that are asked for, in one pass over the attributes; then the
 * terms. A text is read as a number when a term first asks for that, and then kept.
 */
#include <string.h>

#include "base/invariant.h"
#include "filter/filter.h"
#include "format/attributes.h"

enum match_state { MATCH_MISSING, MATCH_TEXT, MATCH_NUMBER, MATCH_NO_NUMBER };

struct match_slot {
    const uint8_t *value;
    uint32_t bytes;
    uint8_t state; /* enum match_state; TEXT: nobody asked yet whether it is a number */
    struct clg_decimal decimal;
};

static void match_set(struct match_slot *slot, const uint8_t *value, uint32_t bytes)
{
    if (slot->state == MATCH_MISSING) { /* of several headers of one name the first counts */
        slot->value = value;
        slot->bytes = bytes;
        slot->state = MATCH_TEXT;
    }
}

static void match_header(const struct commitlog_filter *filter,
                         const struct clg_attribute_header *header, struct match_slot *slots)
{
    if ((filter->name_marks & clg_filter_mark(header->name, header->name_bytes)) == 0) {
        return;
    }
    for (uint32_t i = 0; i < filter->name_count; i++) {
        if (filter->names[i].bytes == header->name_bytes &&
            memcmp(filter->names[i].data, header->name, header->name_bytes) == 0) {
            match_set(&slots[i], header->value, header->value_bytes);
            return;
        }
    }
}

/* 0, or COMMITLOG_EDAMAGED. */
static int match_values(const struct commitlog_filter *filter, const uint8_t *area, size_t bytes,
                        struct match_slot *slots)
{
    struct clg_attribute_iterator iterator;
    struct clg_attribute attribute;
    struct clg_attribute_header header;
    int rc;
    for (uint32_t i = 0; i < filter->name_count; i++) {
        slots[i].state = MATCH_MISSING;
    }
    clg_attribute_iterator_init(&iterator, area, bytes);
    while ((rc = clg_attribute_next(&iterator, &attribute)) == 1) {
        if (attribute.type == CLG_ATTRIBUTE_HEADER) {
            rc = clg_attribute_header(&attribute, &header);
            if (rc != 1) {
                return rc;
            }
            match_header(filter, &header, slots);
        } else if (attribute.type == CLG_ATTRIBUTE_TAG && filter->tag_slot != CLG_FILTER_NO_SLOT) {
            match_set(&slots[filter->tag_slot], attribute.value, attribute.bytes);
        }
    }
    return rc;
}

static bool match_is_number(struct match_slot *slot)
{
    if (slot->state == MATCH_TEXT) {
        bool whole = slot->bytes > 0 &&
                     clg_decimal_parse(slot->value, slot->bytes, &slot->decimal) == slot->bytes;
        slot->state = whole ? MATCH_NUMBER : MATCH_NO_NUMBER;
    }
    return slot->state == MATCH_NUMBER;
}

static bool match_word(const struct match_slot *slot, const char *lower, uint32_t bytes)
{
    if (slot->bytes != bytes) {
        return false;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t c = slot->value[i];
        c = c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
        if (c != (uint8_t)lower[i]) {
            return false;
        }
    }
    return true;
}

static bool match_bytes(const uint8_t *a, size_t a_bytes, const uint8_t *b, size_t b_bytes)
{
    return a_bytes == b_bytes && (a_bytes == 0 || memcmp(a, b, a_bytes) == 0);
}

/* `op` counted from that of =. */
static bool match_order(uint32_t op, const struct clg_decimal *a, const struct clg_decimal *b)
{
    int order = clg_decimal_compare(a, b);
    switch (op) {
    case 0:
        return order == 0;
    case 1:
        return order != 0;
    case 2:
        return order < 0;
    case 3:
        return order >= 0;
    case 4:
        return order > 0;
    default:
        CLG_ASSERT(op == 5);
        return order <= 0;
    }
}

/* The header has a value. */
static bool match_constant(const struct clg_filter_term *term, const struct match_slot *slot)
{
    const uint8_t *text = term->constant.data;
    size_t bytes = term->constant.bytes;
    size_t left = slot->bytes >= bytes ? slot->bytes - bytes : 0;
    bool fits = slot->bytes >= bytes;
    switch (term->op & ~1u) {
    case CLG_OP_TEXT_EQ:
        return match_bytes(slot->value, slot->bytes, text, bytes);
    case CLG_OP_CONTAINS:
        return fits && (bytes == 0 || memmem(slot->value, slot->bytes, text, bytes) != NULL);
    case CLG_OP_STARTSWITH:
        return fits && match_bytes(slot->value, bytes, text, bytes);
    default:
        CLG_ASSERT((term->op & ~1u) == CLG_OP_ENDSWITH);
        return fits && match_bytes(slot->value + left, bytes, text, bytes);
    }
}

/* True: it holds; false: it does not, or it is unknown. */
static bool match_term(const struct clg_filter_term *term, struct match_slot *slots)
{
    if (term->op <= CLG_OP_NOT_UNKNOWN) {
        return term->op == CLG_OP_ALWAYS;
    }
    struct match_slot *slot = &slots[term->slot];
    if (slot->state == MATCH_MISSING) {
        return term->op == CLG_OP_IS_NULL;
    }
    if (term->op >= CLG_OP_HEADER_EQ) {
        struct match_slot *other = &slots[term->other];
        uint32_t op = term->op - (uint32_t)CLG_OP_HEADER_EQ;
        if (other->state == MATCH_MISSING) {
            return false;
        }
        if (op < 2) {
            return match_bytes(slot->value, slot->bytes, other->value, other->bytes) == (op == 0);
        }
        return match_is_number(slot) && match_is_number(other) &&
               match_order(op, &slot->decimal, &other->decimal);
    }
    if (term->op >= CLG_OP_NUMBER_EQ) {
        return match_is_number(slot) && match_order(term->op - (uint32_t)CLG_OP_NUMBER_EQ,
                                                    &slot->decimal, &term->constant.decimal);
    }
    if (term->op >= CLG_OP_TEXT_EQ) {
        return match_constant(term, slot) == ((term->op & 1u) == 0);
    }
    return (term->op == CLG_OP_IS_TRUE && match_word(slot, "true", 4)) ||
           (term->op == CLG_OP_IS_FALSE && match_word(slot, "false", 5)) ||
           term->op == CLG_OP_IS_NOT_NULL;
}

int clg_filter_match(const struct commitlog_filter *filter, const uint8_t *area, size_t bytes)
{
    struct match_slot slots[COMMITLOG_FILTER_HEADERS_MAX];
    CLG_ASSERT(bytes <= CLG_ATTRIBUTES_MAX && filter->term_count > 0);
    int rc = match_values(filter, area, bytes, slots);
    if (rc != 0) {
        return rc;
    }
    uint32_t next = 0;
    while (next < filter->term_count) {
        const struct clg_filter_term *term = &filter->terms[next];
        uint32_t now = next;
        next = match_term(term, slots) ? term->on_true : term->on_false;
        CLG_ASSERT(next > now);
        (void)now;
    }
    CLG_ASSERT(next == CLG_FILTER_MATCH || next == CLG_FILTER_NO_MATCH);
    return next == CLG_FILTER_MATCH;
}
