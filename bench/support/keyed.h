/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * keyed.h -- a store of libcommitlog with a key on each record: what the interface of engines does
 * not reach. One topic, one queue; record i has offset i, the body number i, and a key of 16 digits
 * that tells nothing of its neighbours.
 *
 * Each read is timed from the call to the last byte it gives, and then compared: a wrong or missing
 * record ends the benchmark.
 */
#ifndef BENCH_SUPPORT_KEYED_H
#define BENCH_SUPPORT_KEYED_H

#include <stdbool.h>
#include <stdint.h>

#include "commitlog.h"

struct keyed {
    struct commitlog_store *store;
    uint32_t topic;
    uint32_t bytes; /* of each body */
};

void keyed_open(struct keyed *keyed, const char *directory, uint64_t segment_bytes, uint32_t bytes);
void keyed_close(struct keyed *keyed);

/* `level`: COMMITLOG_LEVEL_... */
struct commitlog_receipt keyed_append(const struct keyed *keyed, uint64_t i, uint32_t level);
/* All of it is on the disk, and every finished segment has its view files. */
void keyed_settle(const struct keyed *keyed);

/* How long it took, in ns: a cursor opened, its first message fetched, the cursor closed. By key:
 * the newest record with the key of i and store time from `since_ns` on; `there`: it is expected to
 * be found. */
uint64_t keyed_find(const struct keyed *keyed, uint64_t i, int64_t since_ns, bool there);
uint64_t keyed_read(const struct keyed *keyed, uint64_t i);
/* Compares records [from, to), and that there is none behind. */
void keyed_check(const struct keyed *keyed, uint64_t from, uint64_t to);

/* A statistic of the store by its name. */
uint64_t keyed_stat(const struct keyed *keyed, const char *name);

/* xorshift64, G. Marsaglia, 2003; *state is not 0. */
static inline uint64_t keyed_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

#endif
