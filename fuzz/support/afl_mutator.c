/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * afl_mutator.c -- the mutator of bundles as a library that afl-fuzz loads, beside its own
 * mutations (AFL_CUSTOM_MUTATOR_LIBRARY): those repair no check.
 *
 * Owns: the random state between two calls, and the room for what it gives back.
 * Threads and locks: none; one afl-fuzz.
 */
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "check.h"

/* What afl-fuzz and libFuzzer look up by name. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);
size_t LLVMFuzzerCustomCrossOver(const uint8_t *data1, size_t size1, const uint8_t *data2,
                                 size_t size2, uint8_t *out, size_t max_out_size,
                                 unsigned int seed);
void *afl_custom_init(void *afl, unsigned int seed);
size_t afl_custom_fuzz(void *mutator, uint8_t *data, size_t size, uint8_t **out, uint8_t *other,
                       size_t other_size, size_t max_size);
void afl_custom_deinit(void *mutator);

struct afl_mutator {
    unsigned int seed;
    uint8_t room[FUZZ_BUNDLE_BYTES_MAX];
};

static unsigned int afl_state = 1;

static unsigned int afl_random(void)
{
    afl_state = afl_state * 1103515245u + 12345u;
    return afl_state >> 8;
}

/* libFuzzer's own changes of bytes, where there is no libFuzzer. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size)
{
    for (unsigned int n = 1 + afl_random() % 4; size > 0 && n > 0; n--) {
        size_t at = afl_random() % size;
        data[at] = afl_random() % 2 == 0 ? (uint8_t)afl_random()
                                         : (uint8_t)(data[at] ^ 1u << afl_random() % 8);
    }
    if (afl_random() % 4 == 0 && size < max_size) {
        data[size++] = (uint8_t)afl_random();
    } else if (afl_random() % 4 == 0 && size > 1) {
        size--;
    }
    return size;
}

void *afl_custom_init(void *afl, unsigned int seed)
{
    struct afl_mutator *mutator = calloc(1, sizeof(*mutator));
    (void)afl;
    FUZZ_CHECK(mutator != NULL);
    mutator->seed = seed;
    return mutator;
}

size_t afl_custom_fuzz(void *context, uint8_t *data, size_t size, uint8_t **out, uint8_t *other,
                       size_t other_size, size_t max_size)
{
    struct afl_mutator *mutator = context;
    size_t room = max_size < sizeof(mutator->room) ? max_size : sizeof(mutator->room);
    size_t used = 0;
    afl_state = ++mutator->seed * 2654435761u;
    unsigned int seed = afl_random();
    if (other != NULL && seed % 8 == 0) {
        used = LLVMFuzzerCustomCrossOver(data, size, other, other_size, mutator->room, room, seed);
    }
    if (used == 0) {
        used = size < room ? size : room;
        memcpy(mutator->room, data, used);
        used = LLVMFuzzerCustomMutator(mutator->room, used, room, seed);
    }
    *out = mutator->room;
    return used;
}

void afl_custom_deinit(void *mutator)
{
    free(mutator);
}
