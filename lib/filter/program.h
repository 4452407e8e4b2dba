/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * program.h -- what a filter is compiled to, and the draft of it that the parser writes
 *
 * Owns: the terms (one comparison each) and how they follow each other.
 *
 * A program has no NOT and no unknown. NOT moves down to the terms: it turns AND into OR and each
 * comparison into its opposite, which is unknown for the same messages. With AND and OR alone,
 * an unknown term that counts as false changes no verdict of "true". So a term either holds or does
 * not, and says which term comes next in each case; the last ones say "match" or "no match".
 *
 * Invariants: 1. on_true and on_false of a term are greater than its own index, or a verdict: every
 *       run ends after at most term_count steps; 2. an operator and its opposite differ in the
 *       lowest bit only; 3. in the draft a node stands behind all nodes below it, the right one
 *       right before it, and there are never more nodes than bytes of text.
 * Threads and locks: a program is constant once it is made; a draft belongs to one compilation.
 * Happy path: clg_draft_term and clg_draft_node in the order of the parser, clg_draft_link, copy.
 * Failure modes: COMMITLOG_ETOOBIG when the limits of commitlog.h are reached, with nothing added.
 */
#ifndef CLG_FILTER_PROGRAM_H
#define CLG_FILTER_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"
#include "filter/decimal.h"
#include "os/os.h"

enum { CLG_FILTER_MATCH = 0xffff, CLG_FILTER_NO_MATCH = 0xfffe, CLG_FILTER_NO_SLOT = 0xffff };

enum clg_filter_op { /* the value of the header in `slot`, and a constant or another header */
                     CLG_OP_ALWAYS,
                     CLG_OP_NEVER,
                     CLG_OP_UNKNOWN,
                     CLG_OP_NOT_UNKNOWN, /* which is unknown */
                     CLG_OP_IS_NULL,
                     CLG_OP_IS_NOT_NULL,
                     CLG_OP_IS_TRUE,
                     CLG_OP_IS_FALSE,
                     CLG_OP_TEXT_EQ,
                     CLG_OP_TEXT_NE,
                     CLG_OP_CONTAINS,
                     CLG_OP_NOT_CONTAINS,
                     CLG_OP_STARTSWITH,
                     CLG_OP_NOT_STARTSWITH,
                     CLG_OP_ENDSWITH,
                     CLG_OP_NOT_ENDSWITH,
                     CLG_OP_NUMBER_EQ, /* these six in the order of the tokens */
                     CLG_OP_NUMBER_NE,
                     CLG_OP_NUMBER_LT,
                     CLG_OP_NUMBER_GE,
                     CLG_OP_NUMBER_GT,
                     CLG_OP_NUMBER_LE,
                     CLG_OP_HEADER_EQ, /* likewise; = and <> compare bytes, the others numbers */
                     CLG_OP_HEADER_NE,
                     CLG_OP_HEADER_LT,
                     CLG_OP_HEADER_GE,
                     CLG_OP_HEADER_GT,
                     CLG_OP_HEADER_LE
};

struct clg_filter_constant {
    const uint8_t *data;
    uint32_t bytes;
    struct clg_decimal decimal; /* of a number, points into data */
};

struct clg_filter_term {
    uint8_t op; /* enum clg_filter_op */
    uint16_t slot;
    uint16_t other; /* the slot of the second header */
    uint16_t on_true;
    uint16_t on_false;
    struct clg_filter_constant constant;
};

struct clg_filter_name { /* what a slot holds: a header's value, or the tag */
    const uint8_t *data;
    uint16_t bytes; /* 0: the tag */
};

enum clg_draft_kind { CLG_DRAFT_TERM, CLG_DRAFT_AND, CLG_DRAFT_OR, CLG_DRAFT_NOT };

struct clg_draft_node {
    uint8_t kind; /* enum clg_draft_kind */
    bool negated;
    uint16_t span;       /* nodes below and itself */
    uint16_t first_term; /* of all below */
    uint16_t on_true;
    uint16_t on_false;
};

struct clg_filter_draft {
    const struct commitlog_os *os;
    struct clg_filter_term *terms;
    struct clg_draft_node *nodes;
    struct clg_filter_name *names;
    uint8_t *bytes; /* of names and constants; never more than the text has */
    uint32_t room;  /* bytes, and nodes */
    uint32_t used;
    uint32_t term_count;
    uint32_t node_count;
    uint32_t name_count;
};

/* Room for what a text of so many bytes can say. COMMITLOG_ENOMEM: nothing is held. */
CLG_MUST_CHECK int clg_draft_init(struct clg_filter_draft *draft, const struct commitlog_os *os,
                                  uint32_t text_bytes);
void clg_draft_free(struct clg_filter_draft *draft);

/* The slot of a header, or of the tag (0 bytes); NO_SLOT: there are too many. The name lies at the
 * end of draft->bytes, not counted in `used`, and is kept if it is new. */
uint16_t clg_draft_name(struct clg_filter_draft *draft, uint32_t bytes);
/* A term and a node for it. */
CLG_MUST_CHECK int clg_draft_term(struct clg_filter_draft *draft,
                                  const struct clg_filter_term *term);
/* AND and OR take the last two nodes, NOT the last. */
void clg_draft_node(struct clg_filter_draft *draft, enum clg_draft_kind kind);
/* Tells each term what comes next. Whole: one node is left that none has taken. */
void clg_draft_link(struct clg_filter_draft *draft);

#endif
