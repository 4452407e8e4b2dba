/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * consume_queue.c -- heads of the queues: apply, save, restore. See consume_queue.h.
 *
 * Invariants: a head with count > 0 has its bit in `touched`; used_heads counts heads with `used`.
 * Threads and locks: the fold lock.
 * Happy path: a message becomes one entry of 24 bytes behind its queue's newest chunk.
 * Failure modes: ENOMEM before anything changed. Contradictions (an offset that was there already,
 *       a jump of offsets larger than the bytes between the two records can explain, malformed
 *       attributes) are counted; the record is left out, or indexed without its tag. So is an end
 *       that others name and that is further than the bytes can explain.
 */
#include "view/consume_queue.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/attributes.h"
#include "format/format.h"
#include "format/record.h"
#include "format/reference_record.h"
#include "format/topic_record.h"
#include "view/queue_internal.h"

/* One queue in .state. */
#define STATE_QUEUE_BYTES 40u
#define STATE_AT_QUEUE 0u
#define STATE_AT_INDEX 4u
#define STATE_AT_NEXT 8u
#define STATE_AT_LINK 16u
#define STATE_AT_CARRIED 24u
#define STATE_AT_ORDINAL 32u
#define STATE_AT_ZERO 36u

CLG_FORMAT_ASSERT(STATE_AT_QUEUE == 0u);
CLG_FORMAT_ASSERT(STATE_AT_INDEX == STATE_AT_QUEUE + 4u);
CLG_FORMAT_ASSERT(STATE_AT_NEXT == STATE_AT_INDEX + 4u);
CLG_FORMAT_ASSERT(STATE_AT_LINK == STATE_AT_NEXT + 8u);
CLG_FORMAT_ASSERT(STATE_AT_CARRIED == STATE_AT_LINK + 8u);
CLG_FORMAT_ASSERT(STATE_AT_ORDINAL == STATE_AT_CARRIED + 8u);
CLG_FORMAT_ASSERT(STATE_AT_ZERO == STATE_AT_ORDINAL + 4u);
CLG_FORMAT_ASSERT(STATE_QUEUE_BYTES == STATE_AT_ZERO + 4u);
CLG_STATIC_ASSERT(sizeof(struct clg_queue_head) == 64, "a million queues: 64 MB of heads");

struct clg_queue_head *clg_queue_head_find(const struct clg_consume_queue *cq, uint32_t queue)
{
    uint32_t chunk = queue / CLG_HEADS_PER_CHUNK;
    if (queue >= cq->numbers || cq->chunks[chunk] == NULL) {
        return NULL;
    }
    CLG_ASSERT(chunk < CLG_HEAD_CHUNKS);
    struct clg_queue_head *head = &cq->chunks[chunk]->heads[queue % CLG_HEADS_PER_CHUNK];
    CLG_ASSERT(head->count == 0 || head->last != NULL);
    CLG_ASSERT(head->used != 0 || (head->count == 0 && head->next == 0));
    return head->used != 0 ? head : NULL;
}

static struct clg_queue_heads *queue_heads_alloc(const struct commitlog_os *os, bool huge)
{
    struct clg_queue_heads *heads = os->alloc(os, sizeof(*heads));
    CLG_ASSERT(sizeof(heads->heads) % ((size_t)2 << 20) == 0);
    if (heads != NULL && huge) {
        (void)os->advise(os, heads, sizeof(heads->heads), CLG_OS_ADVISE_HUGE); /* a hint */
    }
    return heads;
}

/* Makes the head if it is not there. */
static int queue_head_need(struct clg_consume_queue *cq, uint32_t queue,
                           struct clg_queue_head **out)
{
    uint32_t chunk = queue / CLG_HEADS_PER_CHUNK;
    if (chunk >= CLG_HEAD_CHUNKS) {
        return COMMITLOG_ELIMIT;
    }
    if (cq->chunks[chunk] == NULL) {
        cq->chunks[chunk] = queue_heads_alloc(cq->view.context.os, chunk > 0);
        if (cq->chunks[chunk] == NULL) {
            return COMMITLOG_ENOMEM;
        }
    }
    struct clg_queue_head *head = &cq->chunks[chunk]->heads[queue % CLG_HEADS_PER_CHUNK];
    if (head->used == 0) {
        head->used = 1;
        head->link_base = CLG_LINK_NONE;
        head->carried_base = CLG_LINK_NONE;
        cq->used_heads++;
        cq->numbers = queue >= cq->numbers ? queue + 1 : cq->numbers;
    }
    *out = head;
    return 0;
}

static int queue_append(struct clg_consume_queue *cq, uint32_t queue, struct clg_queue_head *head,
                        uint64_t offset, const struct clg_queue_entry *entry)
{
    uint8_t encoded[CLG_QUEUE_ENTRY_BYTES];
    clg_queue_entry_encode(encoded, entry);
    bool first = head->count == 0;
    CLG_ASSERT(first || offset == head->first + head->count);
    int rc = clg_queue_active_append(cq, head, encoded);
    if (rc != 0) {
        return rc;
    }
    if (first) {
        head->first = offset;
        uint32_t at = queue % CLG_HEADS_PER_CHUNK;
        cq->chunks[queue / CLG_HEADS_PER_CHUNK]->touched[at / 64] |= UINT64_C(1) << (at % 64);
        cq->touched_heads++;
    }
    head->next = offset + 1;
    CLG_ASSERT(head->first + head->count == head->next);
    return 0;
}

/* Offsets the log lost inside this segment: entries that say so keep the queue contiguous. 1: they
 * are more than the records that could have been there. */
static int queue_fill_gap(struct clg_consume_queue *cq, uint32_t queue, struct clg_queue_head *head,
                          uint64_t offset, const struct clg_queue_entry *next)
{
    uint64_t have = head->first + head->count;
    CLG_ASSERT(head->count > 0);
    CLG_ASSERT(offset >= have);
    struct clg_queue_entry last;
    clg_queue_entry_decode(clg_queue_chunk_entry(head->last, head->count - 1), &last);
    /* Filled in part before, when memory ran out: the size was found plausible then. */
    bool goes_on = last.size == 0 && last.place == next->place;
    if (!goes_on) {
        uint64_t between = ((uint64_t)next->place - last.place) * CLG_RECORD_ALIGN;
        if (next->place <= last.place || offset - have > between / CLG_RECORD_MIN) {
            return 1;
        }
    }
    const struct clg_queue_entry lost = {
        .store_time = next->store_time, .place = next->place, .flags = CLG_QUEUE_ENTRY_HOLE};
    while (have < offset) {
        int rc = queue_append(cq, queue, head, have, &lost);
        if (rc != 0) {
            return rc;
        }
        have++;
    }
    return 0;
}

static uint32_t queue_tag_hash(struct clg_consume_queue *cq, const struct clg_record_view *record)
{
    CLG_ASSERT(record->header.kind != CLG_KIND_PAD);
    struct clg_reference reference;
    if (record->header.kind == CLG_KIND_REFERENCE &&
        clg_reference_decode(record->body, record->body_bytes, &reference) == COMMITLOG_OK) {
        return reference.tag_hash;
    }
    if (record->header.kind == CLG_KIND_HOLE || record->header.attribute_bytes == 0) {
        return 0; /* no check covers the attributes of a hole */
    }
    CLG_ASSERT(record->attributes != NULL);
    struct clg_attribute tag;
    int rc = clg_attributes_tag(record->attributes, record->header.attribute_bytes, &tag);
    if (rc < 0) {
        cq->contradictions++;
    }
    return rc == 1 ? clg_tag_hash(tag.value, tag.bytes) : 0;
}

static int queue_apply_entry(struct clg_consume_queue *cq, const struct clg_record_view *record)
{
    const struct clg_record_header *header = &record->header;
    uint32_t queue = header->queue_number;
    struct clg_queue_head *head;
    int rc = queue_head_need(cq, queue, &head);
    if (rc == COMMITLOG_ENOMEM) {
        return rc;
    }
    if (rc != 0 || header->queue_offset < head->next ||
        header->queue_offset > CLG_QUEUE_OFFSET_MAX - 2) {
        cq->contradictions++;
        return 0;
    }
    CLG_ASSERT(record->position >= record->segment_base);
    uint32_t flags = 0;
    flags |= header->kind == CLG_KIND_HOLE ? CLG_QUEUE_ENTRY_HOLE : 0;
    flags |= header->kind == CLG_KIND_REFERENCE ? CLG_QUEUE_ENTRY_REFERENCE : 0;
    const struct clg_queue_entry entry = {
        .store_time = header->store_time,
        .place = (uint32_t)((record->position - record->segment_base) / CLG_RECORD_ALIGN),
        .size = clg_record_size(header->word),
        .flags = flags,
        .tag_hash = queue_tag_hash(cq, record),
        .header_check = header->header_check};
    if (head->count > 0 && header->queue_offset > head->first + head->count) {
        rc = queue_fill_gap(cq, queue, head, header->queue_offset, &entry);
        if (rc == 1) {
            cq->contradictions++;
            return 0;
        }
        if (rc != 0) {
            return rc;
        }
    }
    return queue_append(cq, queue, head, header->queue_offset, &entry);
}

/* Next offsets that carry-forward wrote into a definition. */
static int queue_apply_topic(struct clg_consume_queue *cq, const struct clg_record_view *record)
{
    struct clg_topic_definition definition;
    if (clg_topic_definition_decode(record->body, record->body_bytes, &definition) != 0) {
        cq->contradictions++;
        return 0;
    }
    uint32_t pair_count = definition.marks ? 0 : definition.pair_count; /* marks are no news */
    for (uint32_t i = 0; i < pair_count; i++) {
        struct clg_topic_offset pair;
        clg_topic_definition_pair(&definition, i, &pair);
        if (pair.index >= definition.queue_count || pair.next_offset > CLG_QUEUE_OFFSET_MAX) {
            cq->contradictions++;
            continue;
        }
        struct clg_queue_head *head;
        int rc = queue_head_need(cq, definition.first_queue + pair.index, &head);
        if (rc == COMMITLOG_ENOMEM) {
            return rc;
        }
        if (rc != 0) {
            cq->contradictions++;
            continue;
        }
        /* One that others overtook, between its collection and its record, carries nothing: what
         * they appended may lie in a segment before this. */
        if (pair.next_offset >= head->next || CLG_PLANTED(CARRY_OVERTAKEN)) {
            head->next = clg_max_u64(head->next, pair.next_offset);
            head->carried_base = record->segment_base;
        }
    }
    CLG_ASSERT(definition.name_bytes > 0);
    return 0;
}

static int queue_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct clg_consume_queue *cq = clg_queue_of(view);
    CLG_ASSERT(record->next_position > record->position);
    switch (record->header.kind) {
    case CLG_KIND_MESSAGE:
    case CLG_KIND_REFERENCE:
    case CLG_KIND_HOLE:
        return record->header.queue_number == CLG_QUEUE_NONE ? 0 : queue_apply_entry(cq, record);
    case CLG_KIND_TOPIC:
        return queue_apply_topic(cq, record);
    default:
        return 0;
    }
}

static int queue_apply_control(struct clg_view *view, const struct clg_record_view *record)
{
    CLG_ASSERT(view != NULL);
    CLG_ASSERT(record != NULL);
    return record->header.kind == CLG_KIND_TOPIC ? queue_apply_topic(clg_queue_of(view), record)
                                                 : 0;
}

static int queue_create(const struct clg_view_context *context, uint32_t slot,
                        struct clg_view **out)
{
    CLG_ASSERT(context->os != NULL);
    CLG_ASSERT(slot < CLG_VIEWS_MAX);
    struct clg_consume_queue *cq = context->os->alloc(context->os, sizeof(*cq));
    if (cq == NULL) {
        return COMMITLOG_ENOMEM;
    }
    cq->view = (struct clg_view){.ops = &clg_consume_queue_ops, .context = *context, .slot = slot};
    *out = &cq->view;
    return 0;
}

static void queue_reset(struct clg_view *view)
{
    struct clg_consume_queue *cq = clg_queue_of(view);
    const struct commitlog_os *os = view->context.os;
    for (uint32_t i = 0; i < CLG_HEAD_CHUNKS; i++) {
        os->free(os, cq->chunks[i]); /* one may be there whose heads nobody came to use */
        cq->chunks[i] = NULL;
    }
    clg_queue_arena_free(os, &cq->arena);
    cq->numbers = 0;
    cq->used_heads = 0;
    cq->touched_heads = 0;
    cq->active_entries = 0;
    CLG_ASSERT(cq->chunks[0] == NULL);
    CLG_ASSERT(cq->arena.blocks == NULL);
}

static void queue_destroy(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_consume_queue_ops);
    const struct commitlog_os *os = view->context.os;
    queue_reset(view);
    os->free(os, view);
}

static uint64_t queue_save_bytes(const struct clg_view *view)
{
    const struct clg_consume_queue *cq = clg_queue_of_const(view);
    CLG_ASSERT(cq->used_heads <= cq->numbers);
    return cq->used_heads * STATE_QUEUE_BYTES;
}

static void queue_save(const struct clg_view *view, uint8_t *out, uint64_t bytes)
{
    const struct clg_consume_queue *cq = clg_queue_of_const(view);
    uint8_t *at = out;
    for (uint32_t queue = 0; queue < cq->numbers; queue++) {
        const struct clg_queue_head *head = clg_queue_head_find(cq, queue);
        if (head == NULL) {
            continue;
        }
        CLG_ASSERT(at + STATE_QUEUE_BYTES <= out + bytes);
        clg_store_le32(at + STATE_AT_QUEUE, queue);
        clg_store_le32(at + STATE_AT_INDEX, head->link_index);
        /* The active segment is folded again from its beginning. */
        clg_store_le64(at + STATE_AT_NEXT, head->count > 0 ? head->first : head->next);
        clg_store_le64(at + STATE_AT_LINK, head->link_base);
        clg_store_le64(at + STATE_AT_CARRIED, head->carried_base);
        clg_store_le32(at + STATE_AT_ORDINAL, head->link_ordinal);
        clg_store_le32(at + STATE_AT_ZERO, 0);
        at += STATE_QUEUE_BYTES;
    }
    CLG_ASSERT(at == out + bytes);
}

static int queue_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes, uint64_t upto)
{
    (void)upto;
    struct clg_consume_queue *cq = clg_queue_of(view);
    CLG_ASSERT(cq->used_heads == 0);
    if (bytes % STATE_QUEUE_BYTES != 0) {
        return COMMITLOG_EDAMAGED;
    }
    uint64_t active = view->context.segments->active_base;
    for (uint64_t at = 0; at < bytes; at += STATE_QUEUE_BYTES) {
        const uint8_t *from = data + at;
        struct clg_queue_head *head;
        int rc = queue_head_need(cq, clg_load_le32(from + STATE_AT_QUEUE), &head);
        if (rc != 0) {
            return rc == COMMITLOG_ELIMIT ? COMMITLOG_EDAMAGED : rc;
        }
        head->next = clg_load_le64(from + STATE_AT_NEXT);
        head->link_base = clg_load_le64(from + STATE_AT_LINK);
        head->link_index = clg_load_le32(from + STATE_AT_INDEX);
        head->link_ordinal = clg_load_le32(from + STATE_AT_ORDINAL);
        head->carried_base = clg_load_le64(from + STATE_AT_CARRIED);
        if (head->next > CLG_QUEUE_OFFSET_MAX ||
            (head->link_base != CLG_LINK_NONE && head->link_base >= active) ||
            (head->carried_base != CLG_LINK_NONE && head->carried_base > active)) {
            return COMMITLOG_EDAMAGED;
        }
    }
    CLG_ASSERT(cq->used_heads <= bytes / STATE_QUEUE_BYTES);
    return 0;
}

int clg_queue_raise(struct clg_consume_queue *cq, const struct clg_queue_directory *directory,
                    uint64_t base, uint32_t index)
{
    struct clg_queue_head *head;
    int rc = queue_head_need(cq, directory->queue, &head);
    if (rc != 0) {
        return rc == COMMITLOG_ELIMIT ? COMMITLOG_EDAMAGED : rc;
    }
    CLG_ASSERT(head->count == 0);
    CLG_ASSERT(head->link_base == CLG_LINK_NONE || head->link_base < base);
    head->next = clg_max_u64(head->next, directory->first_offset + directory->count);
    head->link_base = base;
    head->link_index = index;
    head->link_ordinal = directory->ordinal;
    return 0;
}

static uint64_t queue_memory(const struct clg_view *view)
{
    const struct clg_consume_queue *cq = clg_queue_of_const(view);
    CLG_ASSERT(view->ops == &clg_consume_queue_ops);
    return sizeof(*cq) + cq->used_heads * sizeof(struct clg_queue_head) + cq->arena.bytes +
           cq->frozen_bytes;
}

uint64_t clg_consume_queue_next(const struct clg_view *view, uint32_t queue)
{
    CLG_ASSERT(view->ops == &clg_consume_queue_ops);
    const struct clg_queue_head *head = clg_queue_head_find(clg_queue_of_const(view), queue);
    return head == NULL ? 0 : head->next;
}

uint32_t clg_consume_queue_numbers(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_consume_queue_ops);
    return clg_queue_of_const(view)->numbers;
}

bool clg_consume_queue_evidence(const struct clg_view *view, uint32_t queue, uint64_t *base)
{
    const struct clg_queue_head *head = clg_queue_head_find(clg_queue_of_const(view), queue);
    CLG_ASSERT(base != NULL);
    if (head == NULL || head->next == 0) {
        return false;
    }
    uint64_t newest = head->count > 0 ? view->context.segments->active_base : 0;
    if (head->link_base != CLG_LINK_NONE) {
        newest = clg_max_u64(newest, head->link_base);
    }
    if (head->carried_base != CLG_LINK_NONE) {
        newest = clg_max_u64(newest, head->carried_base);
    }
    *base = newest;
    return true;
}

/* What is known of the queue lies before the messages that are missing, *have the offset of the
 * first of them. */
static uint64_t queue_known_to(const struct clg_consume_queue *cq,
                               const struct clg_queue_head *head, uint64_t *have)
{
    *have = head == NULL ? 0 : head->next;
    if (head == NULL) {
        return 0;
    }
    if (head->count > 0) {
        struct clg_queue_entry last;
        clg_queue_entry_decode(clg_queue_chunk_entry(head->last, head->count - 1), &last);
        *have = head->first + head->count; /* as queue_fill_gap counts */
        return cq->view.context.segments->active_base + (uint64_t)last.place * CLG_RECORD_ALIGN;
    }
    return head->link_base == CLG_LINK_NONE ? 0 : head->link_base;
}

int clg_consume_queue_reach(struct clg_view *view, uint32_t queue, uint64_t next, uint64_t position)
{
    struct clg_consume_queue *cq = clg_queue_of(view);
    struct clg_registry *registry = view->context.registry;
    struct clg_queue_head *head = clg_queue_head_find(cq, queue);
    if (CLG_LIKELY(head != NULL && head->next >= next)) {
        return 0;
    }
    if (clg_registry_queue(registry, queue) == NULL) {
        if (queue / CLG_REGISTRY_CHUNK < CLG_REGISTRY_CHUNKS) {
            clg_registry_skip(registry, queue + 1);
        }
        return 0;
    }
    if (next == 0) {
        return 0;
    }
    uint64_t have;
    uint64_t from = queue_known_to(cq, head, &have);
    CLG_ASSERT(next > have);
    if (position <= from || next - have > (position - from) / CLG_RECORD_MIN ||
        next > CLG_QUEUE_OFFSET_MAX) {
        cq->contradictions++;
        return 0;
    }
    int rc = queue_head_need(cq, queue, &head);
    if (rc == 0) {
        head->next = next;
    }
    CLG_ASSERT(rc == 0 || rc == COMMITLOG_ENOMEM);
    return rc;
}

uint64_t clg_consume_queue_contradictions(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_consume_queue_ops);
    return clg_queue_of_const(view)->contradictions;
}

const struct clg_view_ops clg_consume_queue_ops = {
    .name = "consume queues",
    .state_id = 3,
    .kinds = CLG_VIEW_TAKES(CLG_KIND_MESSAGE) | CLG_VIEW_TAKES(CLG_KIND_REFERENCE) |
             CLG_VIEW_TAKES(CLG_KIND_HOLE) | CLG_VIEW_TAKES(CLG_KIND_TOPIC),
    .sealed = true,
    .file = CLG_FILE_CQ,
    .create = queue_create,
    .destroy = queue_destroy,
    .reset = queue_reset,
    .apply = queue_apply,
    .apply_control = queue_apply_control,
    .reserve = clg_queue_reserve,
    .freeze = clg_queue_freeze,
    .link = clg_queue_link_some,
    .build = clg_queue_build,
    .install = clg_queue_install,
    .check = clg_queue_check,
    .advance = clg_queue_advance,
    .verify = clg_queue_verify,
    .release = clg_queue_release,
    .detach_links = clg_queue_detach_links,
    .save_bytes = queue_save_bytes,
    .save = queue_save,
    .restore = queue_restore,
    .memory = queue_memory,
};
