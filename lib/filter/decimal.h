/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * decimal.h -- numbers as text, compared as what they say: no rounding, no overflow, no locale
 *
 * Owns: what a number is: an optional sign, digits with at most one point among, before or behind
 *       them, an optional exponent (e or E, an optional sign, digits). No blank, no other base, no
 *       infinity. An exponent beyond CLG_DECIMAL_EXPONENT_MAX makes it no number.
 * Invariants: 1. of two numbers exactly one of <, = and > holds, whatever their lengths; 1, 1.0 and
 *       10e-1 are equal, and so are 0 and -0; 2. a decimal points into the text it was read from,
 *       and nothing outside that text is ever looked at, even if the text changes meanwhile; 3. a
 *       comparison costs no more than the shorter of the two.
 * Threads and locks: none; pure.
 * Happy path: clg_decimal_parse once for each text, then clg_decimal_compare.
 * Failure modes: none; a text that is no number is said to be none.
 */
#ifndef CLG_FILTER_DECIMAL_H
#define CLG_FILTER_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#define CLG_DECIMAL_EXPONENT_MAX 999999999

struct clg_decimal {
    const uint8_t *at;  /* first digit that is not 0; of zero: whatever */
    const uint8_t *end; /* behind the last one that is not 0; a point may lie between */
    int64_t magnitude;  /* of the first digit: 0 stands for units, 1 for tens, -1 for tenths */
    int32_t sign;       /* -1, 0 for zero, 1 */
};

/* Reads the longest number that begins at `text`. Returns its bytes, 0 if none begins there. */
size_t clg_decimal_parse(const uint8_t *text, size_t bytes, struct clg_decimal *out);

/* Below 0, 0 or above 0, as a is less than, equal to or greater than b. */
int clg_decimal_compare(const struct clg_decimal *a, const struct clg_decimal *b);

#endif
