/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_behind.c -- behind what was found: files that a clean close has ruled out, and what had
 * been durable and has no file any more. See facts.h and facts_internal.h.
 */
#include "base/bytes.h"
#include "base/invariant.h"
#include "recovery/facts_internal.h"

bool clg_facts_none_behind(const struct clg_facts *facts)
{
    bool none = true;
    CLG_ASSERT(facts->clean);
    for (size_t i = facts->segment_count; none && i-- > 0;) {
        const struct clg_fact_segment *fact = &facts->segments[i];
        uint8_t header[CLG_RECORD_HEADER_BYTES];
        if (fact->base < facts->prefix_end) {
            break;
        }
        /* One that does not read says nothing. */
        none = fact->segment == NULL ||
               clg_segment_pread(fact->segment, header, sizeof(header), fact->segment->data_start,
                                 NULL) != 0 ||
               clg_is_zero(header, sizeof(header));
    }
    return none;
}

/* The last one by its name that is no stray: what no range says may have lain in it. */
static const struct clg_fact_segment *facts_newest_file(const struct clg_facts *facts)
{
    size_t i = facts->segment_count;
    while (i > 0 && clg_facts_is_stray(facts, i - 1)) {
        i--;
    }
    CLG_ASSERT(i > 0 || facts->segment_count == 0);
    return i > 0 ? &facts->segments[i - 1] : NULL;
}

bool clg_facts_lost_end(const struct clg_facts *facts, uint64_t *out_from)
{
    const struct clg_fact_segment *last = facts_newest_file(facts);
    uint64_t from = facts->valid_end;
    CLG_ASSERT(facts->prefix_end <= facts->valid_end);
    for (size_t i = 0; i < facts->range_count; i++) {
        if (facts->ranges[i].from < facts->witness) {
            from = clg_max_u64(from, facts->ranges[i].to);
        }
    }
    /* No record lies in a footer, nor in a header. */
    if (last != NULL && last->segment != NULL && from >= last->segment->data_end) {
        from = clg_max_u64(from, last->base + last->bytes + CLG_SEGMENT_DATA_START);
    }
    *out_from = from;
    return from < facts->witness;
}
