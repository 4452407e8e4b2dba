/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * escape.h - names that anybody may have chosen, in HTML, in label values of metrics, in addresses.
 *
 * Owns: nothing. Invariants: 1. what is put is UTF-8, whatever was given: a byte that is none, and
 * a control character, becomes U+FFFD; 2. none of it is markup, ends a value, or begins a line.
 * Threads: any.
 */
#ifndef MINI_BROKER_ESCAPE_H
#define MINI_BROKER_ESCAPE_H

#include "buffer.h"

/* As text of an element, or a value of an attribute in quotes. */
void escape_html(struct buffer *out, struct text text);
/* Between the quotes of a label value of the text format 0.0.4. */
void escape_label(struct buffer *out, struct text text);
/* As a value in the query of an address. */
void escape_query(struct buffer *out, struct text text);

#endif
