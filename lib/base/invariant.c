/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * invariant.c -- what happens when an assertion of a debug build is false. See invariant.h.
 */
#include "base/invariant.h"

#include <stdio.h>
#include <stdlib.h>

void clg_assert_failed(const char *expression, const char *file, int line)
{
    (void)fprintf(stderr, "libcommitlog: %s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}
