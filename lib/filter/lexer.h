/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lexer.h -- the words of a filter's text, one at a time
 *
 * Owns: what a word is: keywords in any case, names of headers, numbers, texts, signs.
 * Invariants: 1. a token is a range of the text, and what follows begins behind it: nothing is
 *       copied; 2. nothing outside [text, text + bytes) is looked at: the text needs no NUL, and
 *       a NUL in it is a wrong byte like others.
 * Threads and locks: none; one lexer belongs to one compilation.
 * Happy path: clg_lexer_next until CLG_TOKEN_END.
 * Failure modes: CLG_TOKEN_WRONG with what is wrong in `problem`; the next call says the same.
 */
#ifndef CLG_FILTER_LEXER_H
#define CLG_FILTER_LEXER_H

#include <stddef.h>
#include <stdint.h>

#include "filter/decimal.h"

enum clg_token_kind {
    CLG_TOKEN_END,
    CLG_TOKEN_WRONG,
    CLG_TOKEN_NAME,
    CLG_TOKEN_QUOTED_NAME, /* in double quotes: any bytes, never a keyword, never TAGS */
    CLG_TOKEN_NUMBER,
    CLG_TOKEN_TEXT, /* in single quotes */
    CLG_TOKEN_OPEN,
    CLG_TOKEN_CLOSE,
    CLG_TOKEN_COMMA,
    /* Comparisons: in pairs, the second of which is what is left when the first does not hold. */
    CLG_TOKEN_EQ,
    CLG_TOKEN_NE,
    CLG_TOKEN_LT,
    CLG_TOKEN_GE,
    CLG_TOKEN_GT,
    CLG_TOKEN_LE,
    /* Keywords */
    CLG_TOKEN_AND,
    CLG_TOKEN_OR,
    CLG_TOKEN_NOT,
    CLG_TOKEN_BETWEEN,
    CLG_TOKEN_IN,
    CLG_TOKEN_IS,
    CLG_TOKEN_NULL,
    CLG_TOKEN_TRUE,
    CLG_TOKEN_FALSE,
    CLG_TOKEN_CONTAINS,
    CLG_TOKEN_STARTSWITH,
    CLG_TOKEN_ENDSWITH
};

struct clg_token {
    enum clg_token_kind kind;
    uint32_t at;                /* offset of its first byte in the text */
    uint32_t bytes;             /* quotes included */
    const char *problem;        /* of a wrong one; static */
    struct clg_decimal decimal; /* of a number; points into the text */
};

struct clg_lexer {
    const uint8_t *text;
    uint32_t bytes;
    uint32_t at;
};

void clg_lexer_init(struct clg_lexer *lexer, const void *text, uint32_t bytes);
void clg_lexer_next(struct clg_lexer *lexer, struct clg_token *out);

/* What a quoted token says: the bytes between the quotes, doubled ones once. Writes to `out`, which
 * has room for token->bytes, and returns how many. */
uint32_t clg_lexer_unquote(const struct clg_lexer *lexer, const struct clg_token *token,
                           uint8_t *out);

#endif
