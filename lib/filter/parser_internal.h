/* SPDX-License-Identifier: BSD-2-Clause */
/* parser_internal.h -- between parser.c and comparison.c. */
#ifndef CLG_FILTER_PARSER_INTERNAL_H
#define CLG_FILTER_PARSER_INTERNAL_H

#include <stdbool.h>

#include "filter/lexer.h"
#include "filter/parser.h"

struct clg_filter_parser {
    struct clg_lexer lexer;
    struct clg_token token; /* the one that is looked at */
    struct clg_filter_draft *draft;
    struct commitlog_error *err;
};

void clg_parser_next(struct clg_filter_parser *parser);
/* Both return the code. "column N: what", and "column N: expected what, found ..." at the token. */
CLG_COLD int clg_parser_fail(struct clg_filter_parser *parser, int code, uint32_t at,
                             const char *what);
CLG_COLD int clg_parser_expected(struct clg_filter_parser *parser, const char *what);

/* One comparison, from the token to the one behind it, as one node. *bare: it is a header alone. */
CLG_MUST_CHECK int clg_parser_comparison(struct clg_filter_parser *parser, bool *bare);

#endif
