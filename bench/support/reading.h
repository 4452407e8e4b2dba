/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reading.h -- what the programs that read do with a record, the same for all engines.
 *
 * Record `offset` of queue `queue` has the body number offset * queues + queue. A timed pass
 * touches the first word and the length of each, and both sums must be what was written; another
 * pass compares every byte.
 */
#ifndef BENCH_SUPPORT_READING_H
#define BENCH_SUPPORT_READING_H

#include <stddef.h>
#include <stdint.h>

struct reading {
    uint32_t queues;
    uint32_t queue; /* that is being read */
    uint32_t bytes; /* of each record */
    uint64_t next;  /* offset that the next record must have; of comparing only */
    uint64_t seen_bytes;
    uint64_t word_sum;
    uint64_t wrong;
};

/* Callbacks of bench_visit; ctx: a struct reading. */
void reading_touch(void *ctx, uint64_t offset, const void *body, size_t bytes);
void reading_compare(void *ctx, uint64_t offset, const void *body, size_t bytes);
/* What touching records [0, records) of the queue adds to the sums. */
void reading_expect(struct reading *reading, uint64_t records);
void reading_expect_one(struct reading *reading, uint64_t offset);
/* Dies unless both have seen the same. */
void reading_check(const struct reading *seen, const struct reading *expected, const char *what);

#endif
