/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * texts.h -- first inputs that are texts: lines of JSON, and filters with headers to run them on.
 *
 * Threads and locks: none.
 */
#ifndef FUZZ_SUPPORT_TEXTS_H
#define FUZZ_SUPPORT_TEXTS_H

#include <stddef.h>

typedef void (*fuzz_text_fn)(const char *target, const char *name, const void *data, size_t bytes);

void fuzz_texts(fuzz_text_fn write);

#endif
