/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_behind.c -- the files behind the end of a log that was closed cleanly. See
 * facts_internal.h.
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
