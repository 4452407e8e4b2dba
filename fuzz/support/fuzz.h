/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h -- the one function that every fuzz target defines.
 *
 * libFuzzer calls it for ever, the replay once for each file. It returns 0; whatever is wrong ends
 * the process: a sanitizer, an assertion of the library, FUZZ_CHECK.
 */
#ifndef FUZZ_SUPPORT_FUZZ_H
#define FUZZ_SUPPORT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
