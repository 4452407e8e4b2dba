/* SPDX-License-Identifier: BSD-2-Clause */
/* program.c -- see program.h. */
#include "filter/program.h"

#include <string.h>

#include "base/invariant.h"
#include "commitlog.h"

CLG_STATIC_ASSERT((CLG_OP_NUMBER_EQ & 1) == 0 && (CLG_OP_HEADER_EQ & 1) == 0, "pairs");
CLG_STATIC_ASSERT(CLG_OP_NUMBER_LT % 2 == 0 && CLG_OP_NUMBER_GE == CLG_OP_NUMBER_LT + 1, "pairs");
CLG_STATIC_ASSERT(CLG_OP_NUMBER_GT % 2 == 0 && CLG_OP_NUMBER_LE == CLG_OP_NUMBER_GT + 1, "pairs");
CLG_STATIC_ASSERT((CLG_OP_IS_NULL & 1) == 0 && (CLG_OP_TEXT_EQ & 1) == 0, "pairs");
CLG_STATIC_ASSERT((int)COMMITLOG_FILTER_COMPARISONS_MAX < (int)CLG_FILTER_NO_MATCH,
                  "a term is told from a verdict");
CLG_STATIC_ASSERT(COMMITLOG_FILTER_TEXT_MAX_BYTES < 65536, "nodes are counted in 16 bits");

int clg_draft_init(struct clg_filter_draft *draft, const struct commitlog_os *os,
                   uint32_t text_bytes)
{
    CLG_ASSERT(text_bytes <= COMMITLOG_FILTER_TEXT_MAX_BYTES);
    uint32_t terms = text_bytes < COMMITLOG_FILTER_COMPARISONS_MAX
                         ? text_bytes
                         : COMMITLOG_FILTER_COMPARISONS_MAX;
    memset(draft, 0, sizeof(*draft));
    draft->os = os;
    draft->room = text_bytes;
    draft->terms = clg_os_alloc_array(os, (size_t)terms + 1, sizeof(*draft->terms));
    draft->nodes = clg_os_alloc_array(os, (size_t)text_bytes + 1, sizeof(*draft->nodes));
    draft->names = clg_os_alloc_array(os, COMMITLOG_FILTER_HEADERS_MAX, sizeof(*draft->names));
    draft->bytes = os->alloc(os, (size_t)text_bytes + 1);
    if (draft->terms == NULL || draft->nodes == NULL || draft->names == NULL ||
        draft->bytes == NULL) {
        clg_draft_free(draft);
        return COMMITLOG_ENOMEM;
    }
    return COMMITLOG_OK;
}

void clg_draft_free(struct clg_filter_draft *draft)
{
    draft->os->free(draft->os, draft->terms);
    draft->os->free(draft->os, draft->nodes);
    draft->os->free(draft->os, draft->names);
    draft->os->free(draft->os, draft->bytes);
}

uint16_t clg_draft_name(struct clg_filter_draft *draft, uint32_t bytes)
{
    const uint8_t *name = draft->bytes + draft->used;
    CLG_ASSERT(bytes <= draft->room - draft->used);
    for (uint32_t i = 0; i < draft->name_count; i++) {
        if (draft->names[i].bytes == bytes && memcmp(draft->names[i].data, name, bytes) == 0) {
            return (uint16_t)i;
        }
    }
    if (draft->name_count == COMMITLOG_FILTER_HEADERS_MAX) {
        return CLG_FILTER_NO_SLOT;
    }
    draft->names[draft->name_count] = (struct clg_filter_name){name, (uint16_t)bytes};
    draft->used += bytes;
    return (uint16_t)draft->name_count++;
}

static void draft_push(struct clg_filter_draft *draft, enum clg_draft_kind kind, uint32_t span,
                       uint16_t first_term)
{
    CLG_ASSERT(draft->node_count < draft->room && span <= draft->node_count + 1);
    draft->nodes[draft->node_count++] = (struct clg_draft_node){
        .kind = (uint8_t)kind, .span = (uint16_t)span, .first_term = first_term};
}

int clg_draft_term(struct clg_filter_draft *draft, const struct clg_filter_term *term)
{
    if (draft->term_count == COMMITLOG_FILTER_COMPARISONS_MAX) {
        return COMMITLOG_ETOOBIG;
    }
    CLG_ASSERT(draft->term_count < draft->room);
    draft->terms[draft->term_count] = *term;
    draft_push(draft, CLG_DRAFT_TERM, 1, (uint16_t)draft->term_count);
    draft->term_count++;
    return COMMITLOG_OK;
}

void clg_draft_node(struct clg_filter_draft *draft, enum clg_draft_kind kind)
{
    CLG_ASSERT(kind != CLG_DRAFT_TERM && draft->node_count > 0);
    const struct clg_draft_node *right = &draft->nodes[draft->node_count - 1];
    if (kind == CLG_DRAFT_NOT) {
        draft_push(draft, kind, right->span + 1u, right->first_term);
        return;
    }
    CLG_ASSERT(right->span < draft->node_count);
    const struct clg_draft_node *left = right - right->span;
    draft_push(draft, kind, left->span + right->span + 1u, left->first_term);
}

/* From the root, which is last, to the leaves: a node is told before those below it. */
void clg_draft_link(struct clg_filter_draft *draft)
{
    struct clg_draft_node *node = &draft->nodes[draft->node_count - 1];
    CLG_ASSERT(draft->node_count > 0 && node->span == draft->node_count);
    node->on_true = CLG_FILTER_MATCH;
    node->on_false = CLG_FILTER_NO_MATCH;
    for (uint32_t i = draft->node_count; i > 0; i--) {
        node = &draft->nodes[i - 1];
        if (node->kind == CLG_DRAFT_TERM) {
            struct clg_filter_term *term = &draft->terms[node->first_term];
            term->op = (uint8_t)(term->op ^ node->negated);
            term->on_true = node->on_true;
            term->on_false = node->on_false;
            CLG_ASSERT(term->on_true > node->first_term && term->on_false > node->first_term);
            continue;
        }
        struct clg_draft_node *right = node - 1;
        right->on_true = node->on_true;
        right->on_false = node->on_false;
        right->negated = node->negated != (node->kind == CLG_DRAFT_NOT);
        if (node->kind != CLG_DRAFT_NOT) {
            bool both = (node->kind == CLG_DRAFT_AND) != node->negated;
            struct clg_draft_node *left = right - right->span;
            left->on_true = both ? right->first_term : node->on_true;
            left->on_false = both ? node->on_false : right->first_term;
            left->negated = node->negated;
        }
    }
}
