/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * check.h -- what a fuzz target says when something that must hold does not.
 *
 * Works in every build: a fuzzer takes the abort for a crash, the replay for a failed test.
 */
#ifndef FUZZ_SUPPORT_CHECK_H
#define FUZZ_SUPPORT_CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define FUZZ_CHECK(x)                                                                              \
    do {                                                                                           \
        if (!(x)) {                                                                                \
            (void)fprintf(stderr, "fuzz: %s:%d: does not hold: %s\n", __FILE__, __LINE__, #x);     \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
