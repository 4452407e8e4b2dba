/* SPDX-License-Identifier: BSD-2-Clause */
/* parser.c -- conditions: see parser.h. comparison.c has what stands between AND, OR and NOT. */
#include "filter/parser.h"

#include <stdio.h>

#include "base/error.h"
#include "base/invariant.h"
#include "filter/parser_internal.h"

/* What is open: at most DEPTH_MAX of ( and NOT, and between two of them an OR and an AND. */
#define PARSER_STACK_MAX (3u * (COMMITLOG_FILTER_DEPTH_MAX + 1u))
#define PARSER_FOUND_BYTES 24u

CLG_STATIC_ASSERT(COMMITLOG_FILTER_DEPTH_MAX == 64, "more than 64 of ( and NOT");

struct parser_open {
    enum clg_token_kind kind;
    uint32_t at;
};

struct parser_stack {
    struct parser_open open[PARSER_STACK_MAX];
    uint32_t count;
    uint32_t depth; /* of ( and NOT */
};

void clg_parser_next(struct clg_filter_parser *parser)
{
    clg_lexer_next(&parser->lexer, &parser->token);
}

int clg_parser_fail(struct clg_filter_parser *parser, int code, uint32_t at, const char *what)
{
    return clg_fail(parser->err, code, 0, (uint64_t)at + 1, "column %u: %s", at + 1, what);
}

/* The token as far as it fits; what a terminal might obey, or is no ASCII, as a question mark. */
static void parser_found(const struct clg_filter_parser *parser, char *out, size_t room)
{
    const struct clg_token *token = &parser->token;
    uint32_t bytes = token->bytes < PARSER_FOUND_BYTES ? token->bytes : PARSER_FOUND_BYTES;
    CLG_ASSERT(room > PARSER_FOUND_BYTES + 4);
    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t c = parser->lexer.text[token->at + i];
        out[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
    }
    (void)snprintf(out + bytes, room - bytes, "%s", token->bytes > bytes ? "..." : "");
}

int clg_parser_expected(struct clg_filter_parser *parser, const char *what)
{
    const struct clg_token *token = &parser->token;
    char found[PARSER_FOUND_BYTES + 8];
    if (token->kind == CLG_TOKEN_WRONG) {
        return clg_parser_fail(parser, COMMITLOG_EINVAL, token->at, token->problem);
    }
    if (token->kind == CLG_TOKEN_END) {
        return clg_fail(parser->err, COMMITLOG_EINVAL, 0, (uint64_t)token->at + 1,
                        "column %u: expected %s, found the end", token->at + 1, what);
    }
    parser_found(parser, found, sizeof(found));
    return clg_fail(parser->err, COMMITLOG_EINVAL, 0, (uint64_t)token->at + 1,
                    "column %u: expected %s, found %s", token->at + 1, what, found);
}

static uint32_t parser_binding(enum clg_token_kind kind)
{
    return kind == CLG_TOKEN_NOT ? 3 : kind == CLG_TOKEN_AND ? 2 : kind == CLG_TOKEN_OR ? 1 : 0;
}

static int parser_push(struct clg_filter_parser *parser, struct parser_stack *stack)
{
    const struct clg_token *token = &parser->token;
    if (token->kind == CLG_TOKEN_OPEN || token->kind == CLG_TOKEN_NOT) {
        if (stack->depth == COMMITLOG_FILTER_DEPTH_MAX) {
            return clg_parser_fail(parser, COMMITLOG_ETOOBIG, token->at,
                                   "more than 64 of ( and NOT are open at once");
        }
        stack->depth++;
    }
    CLG_ASSERT(stack->count < PARSER_STACK_MAX);
    stack->open[stack->count++] = (struct parser_open){token->kind, token->at};
    clg_parser_next(parser);
    return COMMITLOG_OK;
}

/* Everything on top that binds at least so closely is complete. */
static void parser_reduce(struct clg_filter_parser *parser, struct parser_stack *stack,
                          uint32_t binding)
{
    while (stack->count > 0 && parser_binding(stack->open[stack->count - 1].kind) >= binding) {
        enum clg_token_kind kind = stack->open[--stack->count].kind;
        stack->depth -= kind == CLG_TOKEN_NOT;
        clg_draft_node(parser->draft, kind == CLG_TOKEN_NOT   ? CLG_DRAFT_NOT
                                      : kind == CLG_TOKEN_AND ? CLG_DRAFT_AND
                                                              : CLG_DRAFT_OR);
    }
}

/* Behind a comparison or a closed parenthesis: up to the AND or OR before the next one, or to the
 * end, which *done says. */
static int parser_after(struct clg_filter_parser *parser, struct parser_stack *stack, bool bare,
                        bool *done)
{
    for (;;) {
        enum clg_token_kind kind = parser->token.kind;
        if (kind == CLG_TOKEN_AND || kind == CLG_TOKEN_OR) {
            parser_reduce(parser, stack, parser_binding(kind));
            return parser_push(parser, stack);
        }
        if (kind == CLG_TOKEN_CLOSE || kind == CLG_TOKEN_END) {
            parser_reduce(parser, stack, 1);
        }
        bool inside = stack->count > 0 && stack->open[stack->count - 1].kind == CLG_TOKEN_OPEN;
        if (kind == CLG_TOKEN_END && stack->count == 0) {
            *done = true;
            return COMMITLOG_OK;
        }
        if (kind == CLG_TOKEN_END) {
            return clg_parser_fail(parser, COMMITLOG_EINVAL, stack->open[stack->count - 1].at,
                                   "the ( here is not closed");
        }
        if (kind == CLG_TOKEN_CLOSE && !inside) {
            return clg_parser_fail(parser, COMMITLOG_EINVAL, parser->token.at,
                                   "there is no ( that this one closes");
        }
        if (kind != CLG_TOKEN_CLOSE) {
            return clg_parser_expected(parser, bare ? "a comparison, AND, OR or the end"
                                                    : "AND, OR, ) or the end");
        }
        stack->count--;
        stack->depth--;
        bare = false;
        clg_parser_next(parser);
    }
}

int clg_filter_parse(struct clg_filter_draft *draft, const void *text, uint32_t bytes,
                     struct commitlog_error *err)
{
    struct clg_filter_parser parser = {.draft = draft, .err = err};
    struct parser_stack stack;
    bool done = false;
    int rc = COMMITLOG_OK;
    stack.count = 0;
    stack.depth = 0;
    clg_lexer_init(&parser.lexer, text, bytes);
    clg_parser_next(&parser);
    while (rc == COMMITLOG_OK && !done) {
        if (parser.token.kind == CLG_TOKEN_NOT || parser.token.kind == CLG_TOKEN_OPEN) {
            rc = parser_push(&parser, &stack);
            continue;
        }
        bool bare = false;
        rc = clg_parser_comparison(&parser, &bare);
        if (rc == COMMITLOG_OK) {
            rc = parser_after(&parser, &stack, bare, &done);
        }
    }
    CLG_ASSERT(rc != COMMITLOG_OK || stack.depth == 0);
    return rc;
}
