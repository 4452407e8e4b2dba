/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * facts_note.c -- what the scan of the records has found, in the lists of struct clg_facts. See
 * facts.h and facts_internal.h.
 *
 * Failure modes: ENOMEM: the list is as it was.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/invariant.h"
#include "recovery/facts_internal.h"

void clg_facts_count_queue(struct clg_facts *facts, const struct clg_record_header *header)
{
    if ((header->kind != CLG_KIND_MESSAGE && header->kind != CLG_KIND_REFERENCE) ||
        header->queue_offset > CLG_QUEUE_OFFSET_MAX) { /* which no queue comes to */
        return;
    }
    CLG_ASSERT(facts->cut_queue_count <= CLG_FACTS_QUEUES);
    for (size_t i = 0; i < facts->cut_queue_count; i++) {
        struct clg_fact_queue *queue = &facts->cut_queues[i];
        if (queue->queue == header->queue_number) {
            queue->records++;
            queue->to_offset = clg_max_u64(queue->to_offset, header->queue_offset + 1);
            queue->from_offset = clg_min_u64(queue->from_offset, header->queue_offset);
            return;
        }
    }
    if (facts->cut_queue_count == CLG_FACTS_QUEUES) {
        facts->cut_others++;
        return;
    }
    struct clg_fact_queue *queue = &facts->cut_queues[facts->cut_queue_count++];
    queue->queue = header->queue_number;
    queue->records = 1;
    queue->from_offset = header->queue_offset;
    queue->to_offset = header->queue_offset + 1;
    CLG_ASSERT(queue->to_offset > queue->from_offset);
}

int clg_facts_count_staged(struct clg_facts *facts, struct clg_stage *stage,
                           const struct clg_segment *segment, uint64_t from, uint64_t to,
                           struct commitlog_error *err)
{
    uint32_t size = 0;
    for (uint64_t at = from; at < to; at += size) {
        const uint8_t *bytes;
        uint32_t count;
        struct clg_record_header header;
        int rc = clg_stage_fetch(stage, segment, at, at, &bytes, &count, &size, err);
        if (rc != 0) {
            return rc;
        }
        clg_record_decode(bytes, &header);
        clg_facts_count_queue(facts, &header);
        CLG_ASSERT(size >= CLG_RECORD_MIN);
    }
    return 0;
}

int clg_facts_add_staged(struct clg_facts *facts, uint64_t from,
                         const struct clg_stage_found *found, struct commitlog_error *err)
{
    CLG_ASSERT(found->verdict == CLG_STAGE_RECORDS);
    CLG_ASSERT(from < found->end);
    if (facts->staged_count > 0 && facts->staged[facts->staged_count - 1].to == from) {
        facts->staged[facts->staged_count - 1].to = found->end;
        facts->staged[facts->staged_count - 1].records += found->records;
        return 0;
    }
    void *items = facts->staged;
    int rc = clg_facts_grow(facts->os, &items, facts->staged_count, &facts->staged_room,
                            sizeof(*facts->staged), err);
    facts->staged = items;
    if (rc == 0) {
        struct clg_fact_staged *run = &facts->staged[facts->staged_count++];
        run->from = from;
        run->to = found->end;
        run->records = found->records;
    }
    return rc;
}

int clg_facts_add_claim(struct clg_facts *facts, uint64_t position,
                        const struct clg_record_header *header, enum clg_claim_source source,
                        struct commitlog_error *err)
{
    CLG_ASSERT(clg_record_size(header->word) >= CLG_RECORD_MIN);
    void *items = facts->claims;
    int rc = clg_facts_grow(facts->os, &items, facts->claim_count, &facts->claim_room,
                            sizeof(*facts->claims), err);
    facts->claims = items;
    if (rc == 0) {
        struct clg_fact_claim *claim = &facts->claims[facts->claim_count++];
        memset(claim, 0, sizeof(*claim));
        claim->position = position;
        claim->size = clg_record_size(header->word);
        claim->source = source;
        claim->header = *header;
        CLG_ASSERT(claim->size % CLG_RECORD_ALIGN == 0);
    }
    return rc;
}
