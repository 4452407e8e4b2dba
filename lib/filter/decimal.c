/* SPDX-License-Identifier: BSD-2-Clause */
/* decimal.c -- see decimal.h. */
#include "filter/decimal.h"

#include <stdbool.h>

#include "base/invariant.h"

static bool decimal_is_digit(const uint8_t *at, const uint8_t *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

static const uint8_t *decimal_skip_digits(const uint8_t *at, const uint8_t *end)
{
    while (decimal_is_digit(at, end)) {
        at++;
    }
    return at;
}

/* An exponent at `at`: where it ends, `at` if there is none, NULL if it is out of range. */
static const uint8_t *decimal_exponent(const uint8_t *at, const uint8_t *end, int64_t *out)
{
    const uint8_t *digit = at;
    int64_t value = 0;
    *out = 0;
    if (digit == end || (*digit != 'e' && *digit != 'E')) {
        return at;
    }
    digit++;
    bool negative = digit < end && *digit == '-';
    if (digit < end && (*digit == '-' || *digit == '+')) {
        digit++;
    }
    if (!decimal_is_digit(digit, end)) {
        return at;
    }
    while (decimal_is_digit(digit, end)) {
        value = value * 10 + (*digit - '0');
        if (value > CLG_DECIMAL_EXPONENT_MAX) {
            return NULL;
        }
        digit++;
    }
    *out = negative ? -value : value;
    return digit;
}

size_t clg_decimal_parse(const uint8_t *text, size_t bytes, struct clg_decimal *out)
{
    const uint8_t *end = text + bytes;
    const uint8_t *at = text;
    int64_t exponent = 0;
    CLG_ASSERT(text != NULL && out != NULL);
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+')) {
        at++;
    }
    const uint8_t *whole = at;
    const uint8_t *point = decimal_skip_digits(at, end);
    const uint8_t *behind = point;
    if (behind < end && *behind == '.') {
        behind = decimal_skip_digits(point + 1, end);
    }
    if (behind - whole == (behind > point)) {
        return 0; /* nothing but a point, or not even that */
    }
    const uint8_t *stop = decimal_exponent(behind, end, &exponent);
    if (stop == NULL) {
        return 0;
    }
    while (whole < behind && (*whole == '0' || *whole == '.')) {
        whole++;
    }
    const uint8_t *last = behind;
    while (last > whole && (last[-1] == '0' || last[-1] == '.')) {
        last--;
    }
    out->at = whole;
    out->end = last;
    out->magnitude = exponent + (whole < point ? point - whole - 1 : point - whole);
    out->sign = whole == behind ? 0 : negative ? -1 : 1;
    CLG_ASSERT(stop > text && stop <= end);
    return (size_t)(stop - text);
}

/* The next digit as a character; there is one behind a point. */
static uint8_t decimal_next(const uint8_t **at, const uint8_t *end)
{
    *at += **at == '.' && *at + 1 < end;
    return *(*at)++;
}

/* As far as the shorter one goes: what the longer one has more ends in a digit that is not 0. */
static int decimal_compare_digits(const struct clg_decimal *a, const struct clg_decimal *b)
{
    const uint8_t *left = a->at;
    const uint8_t *right = b->at;
    while (left < a->end && right < b->end) {
        uint8_t x = decimal_next(&left, a->end);
        uint8_t y = decimal_next(&right, b->end);
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return (left < a->end) - (right < b->end);
}

int clg_decimal_compare(const struct clg_decimal *a, const struct clg_decimal *b)
{
    CLG_ASSERT(a != NULL && b != NULL);
    if (a->sign != b->sign) {
        return a->sign < b->sign ? -1 : 1;
    }
    if (a->sign == 0) {
        return 0;
    }
    if (a->magnitude != b->magnitude) {
        return a->magnitude < b->magnitude ? -a->sign : a->sign;
    }
    int order = decimal_compare_digits(a, b);
    return a->sign > 0 ? order : -order;
}
