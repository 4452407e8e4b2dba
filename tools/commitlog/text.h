/*
 * text.h -- bytes as JSON strings, written straight into the output: read --json prints millions.
 *
 * Invariants: what text_is_utf8 accepts is what a JSON parser accepts (RFC 3629: no overlong forms,
 *       no surrogates, nothing above U+10FFFF), and NUL is not among it; text_put of it parses back
 *       to the same bytes.
 */
#ifndef COMMITLOG_TOOL_TEXT_H
#define COMMITLOG_TOOL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "commitlog.h"
#include "out.h"

/* UTF-8 without NUL. */
bool text_is_utf8(struct commitlog_slice bytes);
/* The bytes for a line that a person reads: control characters, and all that is not ASCII when it
 * is not UTF-8, as \xNN, so that a name neither breaks the line nor drives the terminal. */
bool text_put_plain(struct out *out, struct commitlog_slice bytes);
/* The same, and blanks up to `width` characters. */
bool text_put_column(struct out *out, struct commitlog_slice bytes, size_t width);
/* How many bytes at `at`, of `left`, may not go to a terminal as they are: a control character, C1
 * ones included, or a byte of what is not UTF-8; 0: they may. */
size_t text_wild(const unsigned char *at, size_t left, bool utf8);
/* A JSON string with its quotes; the bytes must be UTF-8. */
bool text_put(struct out *out, struct commitlog_slice bytes);
/* The same in base64. */
bool text_put_base64(struct out *out, struct commitlog_slice bytes);

#endif
