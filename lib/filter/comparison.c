/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * comparison.c -- what stands between AND, OR and NOT: one comparison, and what may be compared.
 *
 * Invariant: a comparison of several terms (BETWEEN, IN) becomes the AND or OR that it stands for,
 * so that it is unknown where SQL says so.
 */
#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "filter/parser_internal.h"
#include "format/limits.h"

/* The limits, as the texts say them. */
CLG_STATIC_ASSERT(COMMITLOG_FILTER_COMPARISONS_MAX == 1024, "more than 1024 comparisons");
CLG_STATIC_ASSERT(COMMITLOG_FILTER_HEADERS_MAX == 64, "more than 64 different headers");
CLG_STATIC_ASSERT(CLG_HEADER_NAME_MAX == 255, "a header's name has at most 255 bytes");

struct comparison_operand {
    enum clg_token_kind kind; /* QUOTED_NAME is NAME here */
    uint32_t at;
    uint16_t slot;
    struct clg_filter_constant constant;
};

static int comparison_header(struct clg_filter_parser *parser, uint16_t *slot)
{
    const struct clg_token *token = &parser->token;
    struct clg_filter_draft *draft = parser->draft;
    const uint8_t *text = parser->lexer.text + token->at;
    uint8_t *name = draft->bytes + draft->used;
    uint32_t bytes = token->bytes;
    if (token->kind == CLG_TOKEN_QUOTED_NAME) {
        bytes = clg_lexer_unquote(&parser->lexer, token, name);
    } else if (bytes == 4 && memcmp(text, "TAGS", 4) == 0) {
        bytes = 0;
    } else if (bytes == 4 && memcmp(text, "KEYS", 4) == 0) {
        return clg_parser_fail(parser, COMMITLOG_EINVAL, token->at,
                               "KEYS cannot be compared: read by key instead, or write \"KEYS\" "
                               "for a header of that name");
    } else {
        memcpy(name, text, bytes);
    }
    if (bytes == 0 && token->kind == CLG_TOKEN_QUOTED_NAME) {
        return clg_parser_fail(parser, COMMITLOG_EINVAL, token->at, "the name is empty");
    }
    if (bytes > CLG_HEADER_NAME_MAX) {
        return clg_parser_fail(parser, COMMITLOG_ETOOBIG, token->at,
                               "a header's name has at most 255 bytes");
    }
    *slot = clg_draft_name(draft, bytes);
    if (*slot == CLG_FILTER_NO_SLOT) {
        return clg_parser_fail(parser, COMMITLOG_ETOOBIG, token->at,
                               "more than 64 different headers");
    }
    return COMMITLOG_OK;
}

/* The digits are copied, and read again where they stay. */
static void comparison_constant(struct clg_filter_parser *parser, struct clg_filter_constant *out)
{
    const struct clg_token *token = &parser->token;
    struct clg_filter_draft *draft = parser->draft;
    uint8_t *data = draft->bytes + draft->used;
    CLG_ASSERT(token->bytes <= draft->room - draft->used);
    out->data = data;
    if (token->kind == CLG_TOKEN_TEXT) {
        out->bytes = clg_lexer_unquote(&parser->lexer, token, data);
    } else {
        out->bytes = token->bytes;
        memcpy(data, parser->lexer.text + token->at, token->bytes);
        size_t bytes = clg_decimal_parse(data, token->bytes, &out->decimal);
        CLG_ASSERT(bytes == token->bytes);
        (void)bytes;
    }
    draft->used += out->bytes;
}

/* A header or a constant; NULL too, which only a condition may be. */
static int comparison_operand(struct clg_filter_parser *parser, const char *wanted,
                              struct comparison_operand *out)
{
    const struct clg_token *token = &parser->token;
    int rc = COMMITLOG_OK;
    *out = (struct comparison_operand){.kind = token->kind, .at = token->at};
    switch ((int)token->kind) {
    case CLG_TOKEN_NAME:
    case CLG_TOKEN_QUOTED_NAME:
        out->kind = CLG_TOKEN_NAME;
        rc = comparison_header(parser, &out->slot);
        break;
    case CLG_TOKEN_NUMBER:
    case CLG_TOKEN_TEXT:
        comparison_constant(parser, &out->constant);
        break;
    case CLG_TOKEN_TRUE:
    case CLG_TOKEN_FALSE:
    case CLG_TOKEN_NULL:
        break;
    default:
        return clg_parser_expected(parser, wanted);
    }
    if (rc == COMMITLOG_OK) {
        clg_parser_next(parser);
    }
    return rc;
}

/* The header on the left and what the other side has: a constant, another header, or nothing. */
static int comparison_term(struct clg_filter_parser *parser, uint32_t op,
                           const struct comparison_operand *left,
                           const struct comparison_operand *right)
{
    struct clg_filter_term term = {
        .op = (uint8_t)op, .slot = left->slot, .other = right->slot, .constant = right->constant};
    uint32_t at = left->at > right->at ? left->at : right->at;
    int rc = clg_draft_term(parser->draft, &term);
    return rc == COMMITLOG_OK ? rc : clg_parser_fail(parser, rc, at, "more than 1024 comparisons");
}

/* Which of the six, counted from =. */
static uint32_t comparison_index(enum clg_token_kind op)
{
    CLG_ASSERT(op >= CLG_TOKEN_EQ && op <= CLG_TOKEN_LE);
    return (uint32_t)op - CLG_TOKEN_EQ;
}

/* b op a in place of a op b */
static enum clg_token_kind comparison_mirror(enum clg_token_kind op)
{
    switch ((int)op) {
    case CLG_TOKEN_LT:
        return CLG_TOKEN_GT;
    case CLG_TOKEN_GT:
        return CLG_TOKEN_LT;
    case CLG_TOKEN_LE:
        return CLG_TOKEN_GE;
    case CLG_TOKEN_GE:
        return CLG_TOKEN_LE;
    default:
        return op;
    }
}

static bool comparison_is_truth(enum clg_token_kind kind)
{
    return kind == CLG_TOKEN_TRUE || kind == CLG_TOKEN_FALSE;
}

/* Two constants, of one type: the verdict is known now. */
static bool comparison_holds(enum clg_token_kind op, const struct comparison_operand *left,
                             const struct comparison_operand *right)
{
    const struct clg_filter_constant *a = &left->constant;
    const struct clg_filter_constant *b = &right->constant;
    int order = left->kind != right->kind; /* TRUE and FALSE */
    if (left->kind == CLG_TOKEN_NUMBER) {
        order = clg_decimal_compare(&a->decimal, &b->decimal);
    } else if (left->kind == CLG_TOKEN_TEXT) {
        order = a->bytes != b->bytes || memcmp(a->data, b->data, a->bytes) != 0;
    }
    bool holds = op == CLG_TOKEN_EQ || op == CLG_TOKEN_NE   ? order == 0
                 : op == CLG_TOKEN_LT || op == CLG_TOKEN_GE ? order < 0
                                                            : order > 0;
    return holds != ((comparison_index(op) & 1u) != 0);
}

/* What may not be compared, with the place of the culprit. */
static int comparison_check(struct clg_filter_parser *parser, enum clg_token_kind op,
                            const struct comparison_operand *left,
                            const struct comparison_operand *right)
{
    bool ordered = op != CLG_TOKEN_EQ && op != CLG_TOKEN_NE;
    const struct comparison_operand *both[] = {left, right};
    for (int i = 0; i < 2; i++) {
        enum clg_token_kind kind = both[i]->kind;
        if (kind == CLG_TOKEN_NULL) {
            return clg_parser_fail(parser, COMMITLOG_EINVAL, both[i]->at,
                                   "nothing compares with NULL: write IS NULL or IS NOT NULL");
        }
        if (ordered && kind != CLG_TOKEN_NAME && kind != CLG_TOKEN_NUMBER) {
            return clg_parser_fail(parser, COMMITLOG_EINVAL, both[i]->at,
                                   "expected a number or a header: a text, TRUE and FALSE know "
                                   "only =, <> and IN");
        }
    }
    bool alike = left->kind == right->kind || left->kind == CLG_TOKEN_NAME ||
                 right->kind == CLG_TOKEN_NAME ||
                 (comparison_is_truth(left->kind) && comparison_is_truth(right->kind));
    return alike ? COMMITLOG_OK
                 : clg_parser_fail(parser, COMMITLOG_EINVAL, right->at,
                                   "these two constants are of different types");
}

/* left op right, as one term. */
static int comparison_two(struct clg_filter_parser *parser, enum clg_token_kind op,
                          const struct comparison_operand *left,
                          const struct comparison_operand *right)
{
    int rc = comparison_check(parser, op, left, right);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (left->kind != CLG_TOKEN_NAME && right->kind == CLG_TOKEN_NAME) {
        const struct comparison_operand *header = right;
        right = left;
        left = header;
        op = comparison_mirror(op);
    }
    uint32_t index = comparison_index(op);
    if (left->kind != CLG_TOKEN_NAME) {
        bool holds = comparison_holds(op, left, right);
        return comparison_term(parser, holds ? CLG_OP_ALWAYS : CLG_OP_NEVER, left, right);
    }
    switch ((int)right->kind) {
    case CLG_TOKEN_NUMBER:
        return comparison_term(parser, CLG_OP_NUMBER_EQ + index, left, right);
    case CLG_TOKEN_TEXT:
        return comparison_term(parser, CLG_OP_TEXT_EQ + index, left, right);
    case CLG_TOKEN_TRUE:
        return comparison_term(parser, CLG_OP_IS_TRUE + index, left, right);
    case CLG_TOKEN_FALSE:
        return comparison_term(parser, CLG_OP_IS_FALSE - index, left, right);
    default:
        CLG_ASSERT(right->kind == CLG_TOKEN_NAME);
        return comparison_term(parser, CLG_OP_HEADER_EQ + index, left, right);
    }
}

static int comparison_between(struct clg_filter_parser *parser,
                              const struct comparison_operand *left)
{
    struct comparison_operand low;
    struct comparison_operand high;
    int rc = comparison_operand(parser, "a number or a header", &low);
    if (rc == COMMITLOG_OK && parser->token.kind != CLG_TOKEN_AND) {
        rc = clg_parser_expected(parser, "the AND of BETWEEN");
    }
    if (rc == COMMITLOG_OK) {
        clg_parser_next(parser);
        rc = comparison_operand(parser, "a number or a header", &high);
    }
    if (rc == COMMITLOG_OK) {
        rc = comparison_two(parser, CLG_TOKEN_GE, left, &low);
    }
    if (rc == COMMITLOG_OK) {
        rc = comparison_two(parser, CLG_TOKEN_LE, left, &high);
    }
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    if (low.kind == CLG_TOKEN_NUMBER && high.kind == CLG_TOKEN_NUMBER &&
        clg_decimal_compare(&low.constant.decimal, &high.constant.decimal) > 0) {
        return clg_parser_fail(parser, COMMITLOG_EINVAL, high.at,
                               "the upper bound of BETWEEN is below the lower one");
    }
    clg_draft_node(parser->draft, CLG_DRAFT_AND);
    return COMMITLOG_OK;
}

static int comparison_in(struct clg_filter_parser *parser, const struct comparison_operand *left)
{
    bool first = true;
    if (parser->token.kind != CLG_TOKEN_OPEN) {
        return clg_parser_expected(parser, "the ( of IN");
    }
    do {
        struct comparison_operand element;
        clg_parser_next(parser);
        enum clg_token_kind kind = parser->token.kind;
        if (kind != CLG_TOKEN_NUMBER && kind != CLG_TOKEN_TEXT && !comparison_is_truth(kind)) {
            return clg_parser_expected(parser, "a number, a text, TRUE or FALSE");
        }
        int rc = comparison_operand(parser, "", &element);
        if (rc == COMMITLOG_OK) {
            rc = comparison_two(parser, CLG_TOKEN_EQ, left, &element);
        }
        if (rc != COMMITLOG_OK) {
            return rc;
        }
        if (!first) {
            clg_draft_node(parser->draft, CLG_DRAFT_OR);
        }
        first = false;
    } while (parser->token.kind == CLG_TOKEN_COMMA);
    if (parser->token.kind != CLG_TOKEN_CLOSE) {
        return clg_parser_expected(parser, "a comma or the ) of IN");
    }
    clg_parser_next(parser);
    return COMMITLOG_OK;
}

static int comparison_search(struct clg_filter_parser *parser, uint32_t op,
                             const struct comparison_operand *left)
{
    struct comparison_operand text;
    if (parser->token.kind != CLG_TOKEN_TEXT) {
        return clg_parser_expected(parser, "a text in single quotes");
    }
    int rc = comparison_operand(parser, "", &text);
    return rc == COMMITLOG_OK ? comparison_term(parser, op, left, &text) : rc;
}

static int comparison_is_null(struct clg_filter_parser *parser,
                              const struct comparison_operand *left)
{
    uint32_t op = CLG_OP_IS_NULL;
    if (parser->token.kind == CLG_TOKEN_NOT) {
        op = CLG_OP_IS_NOT_NULL;
        clg_parser_next(parser);
    }
    if (parser->token.kind != CLG_TOKEN_NULL) {
        return clg_parser_expected(parser, op == CLG_OP_IS_NULL ? "NULL or NOT NULL" : "NULL");
    }
    clg_parser_next(parser);
    return comparison_term(parser, op, left, left);
}

static bool comparison_is_word(enum clg_token_kind kind)
{
    return kind == CLG_TOKEN_BETWEEN || kind == CLG_TOKEN_IN || kind == CLG_TOKEN_CONTAINS ||
           kind == CLG_TOKEN_STARTSWITH || kind == CLG_TOKEN_ENDSWITH || kind == CLG_TOKEN_IS;
}

/* [NOT] and a word. A NOT is applied to what follows it. */
static int comparison_word(struct clg_filter_parser *parser, const struct comparison_operand *left)
{
    bool negated = parser->token.kind == CLG_TOKEN_NOT;
    if (negated) {
        clg_parser_next(parser);
    }
    enum clg_token_kind word = parser->token.kind;
    int rc = COMMITLOG_OK;
    if (!comparison_is_word(word) || (negated && word == CLG_TOKEN_IS)) {
        return clg_parser_expected(parser, "BETWEEN, IN, CONTAINS, STARTSWITH or ENDSWITH");
    }
    if (word != CLG_TOKEN_BETWEEN && left->kind != CLG_TOKEN_NAME) {
        return clg_parser_fail(parser, COMMITLOG_EINVAL, left->at,
                               "expected a header on the left of IN, CONTAINS, STARTSWITH, "
                               "ENDSWITH and IS");
    }
    clg_parser_next(parser);
    if (word == CLG_TOKEN_BETWEEN) {
        rc = comparison_between(parser, left);
    } else if (word == CLG_TOKEN_IN) {
        rc = comparison_in(parser, left);
    } else if (word == CLG_TOKEN_IS) {
        rc = comparison_is_null(parser, left);
    } else {
        rc = comparison_search(parser,
                               word == CLG_TOKEN_CONTAINS     ? CLG_OP_CONTAINS
                               : word == CLG_TOKEN_STARTSWITH ? CLG_OP_STARTSWITH
                                                              : CLG_OP_ENDSWITH,
                               left);
    }
    if (rc == COMMITLOG_OK && negated) {
        clg_draft_node(parser->draft, CLG_DRAFT_NOT);
    }
    return rc;
}

static int comparison_alone(struct clg_filter_parser *parser, const struct comparison_operand *left)
{
    switch ((int)left->kind) {
    case CLG_TOKEN_NAME:
        return comparison_term(parser, CLG_OP_IS_TRUE, left, left);
    case CLG_TOKEN_TRUE:
        return comparison_term(parser, CLG_OP_ALWAYS, left, left);
    case CLG_TOKEN_FALSE:
        return comparison_term(parser, CLG_OP_NEVER, left, left);
    case CLG_TOKEN_NULL:
        return comparison_term(parser, CLG_OP_UNKNOWN, left, left);
    default:
        return clg_parser_expected(parser, "a comparison");
    }
}

int clg_parser_comparison(struct clg_filter_parser *parser, bool *bare)
{
    struct comparison_operand left;
    struct comparison_operand right;
    int rc = comparison_operand(parser, "a header, a constant, NOT or (", &left);
    if (rc != COMMITLOG_OK) {
        return rc;
    }
    enum clg_token_kind op = parser->token.kind;
    if (op >= CLG_TOKEN_EQ && op <= CLG_TOKEN_LE) {
        clg_parser_next(parser);
        rc = comparison_operand(parser, "a header or a constant", &right);
        return rc == COMMITLOG_OK ? comparison_two(parser, op, &left, &right) : rc;
    }
    if (op == CLG_TOKEN_NOT || comparison_is_word(op)) {
        return comparison_word(parser, &left);
    }
    *bare = left.kind == CLG_TOKEN_NAME;
    return comparison_alone(parser, &left);
}
