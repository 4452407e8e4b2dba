/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * load.h -- bodies that prove themselves: whose they are, in which order, and every byte.
 *
 * Shared by the stress programs. A body is a head and bytes that follow from its seed.
 */
#ifndef TESTS_STRESS_LOAD_H
#define TESTS_STRESS_LOAD_H

#include "../support/prog.h"

enum { LOAD_HEAD_BYTES = 40, LOAD_BODY_MAX = 4096 };

struct load_head {
    uint64_t magic;
    uint64_t serial; /* per writer and queue, from 1, rising */
    uint64_t bytes;
    uint64_t seed;
    uint32_t writer;
    uint32_t queue;
};

/* Writes head and bytes; `bytes` in [LOAD_HEAD_BYTES, LOAD_BODY_MAX]. */
void load_fill(uint8_t *out, size_t bytes, uint32_t writer, uint32_t queue, uint64_t serial,
               uint64_t seed);
/* Whether the message is whole; the head is copied out. */
bool load_proves(const struct commitlog_message *message, struct load_head *out);

#endif
