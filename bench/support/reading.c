/* SPDX-License-Identifier: BSD-2-Clause */
/* reading.c -- see reading.h. */
#include "support/reading.h"

#include <string.h>

#include "support/bench.h"

static const uint8_t *reading_body(const struct reading *reading, uint64_t offset)
{
    return bench_body(offset * reading->queues + reading->queue, reading->bytes);
}

void reading_touch(void *ctx, uint64_t offset, const void *body, size_t bytes)
{
    struct reading *reading = ctx;
    uint64_t word = 0;
    (void)offset;
    memcpy(&word, body, bytes < sizeof(word) ? bytes : sizeof(word));
    reading->word_sum += word;
    reading->seen_bytes += bytes;
}

void reading_compare(void *ctx, uint64_t offset, const void *body, size_t bytes)
{
    struct reading *reading = ctx;
    bool right = offset == reading->next && bytes == reading->bytes &&
                 memcmp(body, reading_body(reading, offset), bytes) == 0;
    reading->wrong += right ? 0 : 1;
    reading->next++;
}

void reading_expect_one(struct reading *reading, uint64_t offset)
{
    reading_touch(reading, offset, reading_body(reading, offset), reading->bytes);
}

void reading_expect(struct reading *reading, uint64_t records)
{
    for (uint64_t offset = 0; offset < records; offset++) {
        reading_expect_one(reading, offset);
    }
}

void reading_check(const struct reading *seen, const struct reading *expected, const char *what)
{
    if (seen->seen_bytes != expected->seen_bytes || seen->word_sum != expected->word_sum) {
        bench_die("%s: %llu bytes of %llu, or other records than were written", what,
                  (unsigned long long)seen->seen_bytes, (unsigned long long)expected->seen_bytes);
    }
}
