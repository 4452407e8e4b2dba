/* SPDX-License-Identifier: BSD-2-Clause */
/* lexer.c -- see lexer.h. No function of the C library that asks the locale. */
#include "filter/lexer.h"

#include <stdbool.h>
#include <string.h>

#include "base/invariant.h"

struct lexer_keyword {
    const char *text; /* upper case */
    uint32_t bytes;
    enum clg_token_kind kind;
};

#define LEXER_KEYWORD(text, kind)                                                                  \
    {                                                                                              \
        text, (uint32_t)sizeof(text) - 1, kind                                                     \
    }

static const struct lexer_keyword lexer_keywords[] = {
    LEXER_KEYWORD("AND", CLG_TOKEN_AND),
    LEXER_KEYWORD("OR", CLG_TOKEN_OR),
    LEXER_KEYWORD("NOT", CLG_TOKEN_NOT),
    LEXER_KEYWORD("BETWEEN", CLG_TOKEN_BETWEEN),
    LEXER_KEYWORD("IN", CLG_TOKEN_IN),
    LEXER_KEYWORD("IS", CLG_TOKEN_IS),
    LEXER_KEYWORD("NULL", CLG_TOKEN_NULL),
    LEXER_KEYWORD("TRUE", CLG_TOKEN_TRUE),
    LEXER_KEYWORD("FALSE", CLG_TOKEN_FALSE),
    LEXER_KEYWORD("CONTAINS", CLG_TOKEN_CONTAINS),
    LEXER_KEYWORD("STARTSWITH", CLG_TOKEN_STARTSWITH),
    LEXER_KEYWORD("ENDSWITH", CLG_TOKEN_ENDSWITH),
};

static bool lexer_is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool lexer_begins_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

static bool lexer_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* The byte so far behind the token's first; 0 behind the end, which no word needs. */
static uint8_t lexer_peek(const struct clg_lexer *lexer, const struct clg_token *token,
                          uint32_t behind)
{
    return behind < lexer->bytes - token->at ? lexer->text[token->at + behind] : 0;
}

static void lexer_wrong(struct clg_token *token, const char *problem)
{
    token->kind = CLG_TOKEN_WRONG;
    token->bytes = 1;
    token->problem = problem;
}

static bool lexer_is_keyword(const uint8_t *word, uint32_t bytes,
                             const struct lexer_keyword *keyword)
{
    if (bytes != keyword->bytes) {
        return false;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t upper = word[i] >= 'a' && word[i] <= 'z' ? (uint8_t)(word[i] - 'a' + 'A') : word[i];
        if (upper != (uint8_t)keyword->text[i]) {
            return false;
        }
    }
    return true;
}

static void lexer_name(const struct clg_lexer *lexer, struct clg_token *token)
{
    uint8_t c;
    do {
        token->bytes++;
        c = lexer_peek(lexer, token, token->bytes);
    } while (lexer_begins_name(c) || lexer_is_digit(c));
    token->kind = CLG_TOKEN_NAME;
    for (size_t i = 0; i < sizeof(lexer_keywords) / sizeof(lexer_keywords[0]); i++) {
        if (lexer_is_keyword(lexer->text + token->at, token->bytes, &lexer_keywords[i])) {
            token->kind = lexer_keywords[i].kind;
        }
    }
}

/* To the quote that is not doubled. */
static void lexer_quoted(const struct clg_lexer *lexer, struct clg_token *token, uint8_t quote)
{
    uint32_t left = lexer->bytes - token->at;
    uint32_t behind = 1;
    while (behind < left && (lexer_peek(lexer, token, behind) != quote ||
                             lexer_peek(lexer, token, behind + 1) == quote)) {
        behind += lexer_peek(lexer, token, behind) == quote ? 2 : 1;
    }
    if (behind >= left) {
        lexer_wrong(token, quote == '\'' ? "the text that begins here does not end"
                                         : "the name that begins here does not end");
        return;
    }
    token->kind = quote == '\'' ? CLG_TOKEN_TEXT : CLG_TOKEN_QUOTED_NAME;
    token->bytes = behind + 1;
}

/* True: a number, or one that is wrong. */
static bool lexer_number(const struct clg_lexer *lexer, struct clg_token *token, uint8_t first)
{
    uint32_t behind = first == '+' || first == '-';
    uint8_t c = lexer_peek(lexer, token, behind);
    if (!lexer_is_digit(c) && !(c == '.' && lexer_is_digit(lexer_peek(lexer, token, behind + 1)))) {
        return false;
    }
    size_t bytes =
        clg_decimal_parse(lexer->text + token->at, lexer->bytes - token->at, &token->decimal);
    if (bytes == 0) {
        lexer_wrong(token, "the exponent of this number is out of range");
        return true;
    }
    token->kind = CLG_TOKEN_NUMBER;
    token->bytes = (uint32_t)bytes;
    return true;
}

static void lexer_sign(const struct clg_lexer *lexer, struct clg_token *token, uint8_t first)
{
    uint8_t second = lexer_peek(lexer, token, 1);
    token->bytes = 1;
    switch (first) {
    case '(':
        token->kind = CLG_TOKEN_OPEN;
        return;
    case ')':
        token->kind = CLG_TOKEN_CLOSE;
        return;
    case ',':
        token->kind = CLG_TOKEN_COMMA;
        return;
    case '=':
        token->kind = CLG_TOKEN_EQ;
        return;
    case '<':
        token->kind = second == '=' ? CLG_TOKEN_LE : second == '>' ? CLG_TOKEN_NE : CLG_TOKEN_LT;
        token->bytes = token->kind == CLG_TOKEN_LT ? 1 : 2;
        return;
    case '>':
        token->kind = second == '=' ? CLG_TOKEN_GE : CLG_TOKEN_GT;
        token->bytes = token->kind == CLG_TOKEN_GT ? 1 : 2;
        return;
    case '!':
        lexer_wrong(token, "not equal is written <>, and what is not to hold begins with NOT");
        return;
    case '+':
    case '-':
        lexer_wrong(token, "a sign stands right before the digits of a number");
        return;
    default:
        lexer_wrong(token, "nothing in a filter begins with this byte");
        return;
    }
}

void clg_lexer_init(struct clg_lexer *lexer, const void *text, uint32_t bytes)
{
    CLG_ASSERT(text != NULL || bytes == 0);
    *lexer = (struct clg_lexer){text, bytes, 0};
}

void clg_lexer_next(struct clg_lexer *lexer, struct clg_token *out)
{
    while (lexer->at < lexer->bytes && lexer_is_blank(lexer->text[lexer->at])) {
        lexer->at++;
    }
    *out = (struct clg_token){.kind = CLG_TOKEN_END, .at = lexer->at};
    if (lexer->at == lexer->bytes) {
        return;
    }
    uint8_t first = lexer->text[lexer->at];
    if (lexer_begins_name(first)) {
        lexer_name(lexer, out);
    } else if (first == '\'' || first == '"') {
        lexer_quoted(lexer, out, first);
    } else if (!lexer_number(lexer, out, first)) {
        lexer_sign(lexer, out, first);
    }
    CLG_ASSERT(out->bytes > 0 && out->bytes <= lexer->bytes - lexer->at);
    if (out->kind != CLG_TOKEN_WRONG) {
        lexer->at += out->bytes;
    }
}

uint32_t clg_lexer_unquote(const struct clg_lexer *lexer, const struct clg_token *token,
                           uint8_t *out)
{
    CLG_ASSERT(token->kind == CLG_TOKEN_TEXT || token->kind == CLG_TOKEN_QUOTED_NAME);
    CLG_ASSERT(token->bytes >= 2);
    const uint8_t *at = lexer->text + token->at;
    uint8_t quote = at[0];
    uint32_t bytes = 0;
    for (uint32_t i = 1; i < token->bytes - 1; i++) {
        out[bytes++] = at[i];
        i += at[i] == quote; /* the second of two */
    }
    return bytes;
}
