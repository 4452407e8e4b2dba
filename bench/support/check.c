/* SPDX-License-Identifier: BSD-2-Clause */
/* check.c -- see check.h. */
#include "support/check.h"

#include <string.h>

struct check {
    uint32_t bytes;
    uint64_t first; /* number of the record with offset 0 */
    uint64_t next;  /* the offset that comes next */
    uint64_t wrong;
    bool forgets;
    bool begun;
};

static void check_one(void *ctx, uint64_t offset, const void *body, size_t bytes)
{
    struct check *check = ctx;
    if (check->forgets && !check->begun) {
        check->next = offset;
    }
    bool right = offset == check->next && bytes == check->bytes &&
                 memcmp(body, bench_body(check->first + offset, check->bytes), bytes) == 0;
    check->wrong += right ? 0 : 1;
    check->next = offset + 1;
    check->begun = true;
}

void bench_check_queue(const struct bench *bench, void *store, uint32_t queue, uint64_t first,
                       uint64_t count)
{
    struct check check = {
        .bytes = (uint32_t)bench->bytes, .first = first, .forgets = bench->engine->forgets};
    uint64_t seen = bench->engine->scan(store, queue, 0, UINT64_MAX, check_one, &check);
    bool all = check.next == count && (seen == count || check.forgets);
    if (!all || check.wrong != 0) {
        bench_die("%s: queue %u: %llu records of %llu, the last has offset %llu, %llu wrong",
                  bench->engine->name, queue, (unsigned long long)seen, (unsigned long long)count,
                  (unsigned long long)check.next - 1, (unsigned long long)check.wrong);
    }
}
