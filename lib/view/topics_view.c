/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topics_view.c -- definitions to registry, and what carry-forward has to write. See topics_view.h.
 *
 * Invariants: 1. `oldest` of a topic is a lower bound of the newest evidence of any of its queues.
 *       As evidence only rises, a topic whose bound lies above a segment needs no look at its
 *       queues: retention's cost follows what last changed there, not the number of queues.
 *       2. `save_bytes` is the sum over the topics seen: it is asked for by every round of upkeep,
 *       and a topic never leaves the view or changes its name.
 * Threads and locks: the fold lock; clg_registry_add takes the registry's.
 * Happy path, failure modes: topics_view.h.
 */
#include "view/topics_view.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/format.h"
#include "format/record.h"
#include "format/topic_record.h"
#include "view/consume_queue.h"

/* One topic in .state: fixed part, then the name, zeros to a multiple of 8. */
#define STATE_TOPIC_BYTES 24u
#define STATE_AT_FIRST_QUEUE 0u
#define STATE_AT_QUEUES 4u
#define STATE_AT_DEFINED_BASE 8u
#define STATE_AT_NAME_BYTES 16u
#define STATE_AT_ZERO 20u

CLG_FORMAT_ASSERT(STATE_AT_FIRST_QUEUE == 0u);
CLG_FORMAT_ASSERT(STATE_AT_QUEUES == STATE_AT_FIRST_QUEUE + 4u);
CLG_FORMAT_ASSERT(STATE_AT_DEFINED_BASE == STATE_AT_QUEUES + 4u);
CLG_FORMAT_ASSERT(STATE_AT_NAME_BYTES == STATE_AT_DEFINED_BASE + 8u);
CLG_FORMAT_ASSERT(STATE_AT_ZERO == STATE_AT_NAME_BYTES + 4u);
CLG_FORMAT_ASSERT(STATE_TOPIC_BYTES == STATE_AT_ZERO + 4u);

/* Topics and queues that one call of clg_topics_carry_list looks at, the fold lock being held. */
#define CARRY_LOOKS UINT64_C(4096)

struct topics_seen {
    uint64_t defined_base; /* + 1; 0: never seen */
    uint64_t oldest;
};

struct topics_view {
    struct clg_view view;
    struct topics_seen *seen; /* by topic id */
    uint32_t room;
    uint64_t save_bytes; /* in .state, of all that are seen */
    uint64_t contradictions;
};

static int topics_need(struct topics_view *topics, uint32_t id)
{
    if (id < topics->room) {
        return 0;
    }
    uint32_t room = topics->room == 0 ? 64 : topics->room;
    while (room <= id) {
        room *= 2;
    }
    CLG_ASSERT(room > id);
    struct topics_seen *seen =
        clg_os_grow_array(topics->view.context.os, topics->seen, topics->room, room, sizeof(*seen));
    if (seen == NULL) {
        return COMMITLOG_ENOMEM;
    }
    topics->seen = seen;
    topics->room = room;
    CLG_ASSERT(topics->seen[id].defined_base == 0);
    return 0;
}

/* Topics this view has met. A writer may have created others whose definition is not folded. */
static bool topics_is_seen(const struct topics_view *topics, uint32_t id)
{
    return id < topics->room && topics->seen[id].defined_base != 0;
}

static uint64_t topics_entry_bytes(uint32_t name_bytes)
{
    return clg_align_up(STATE_TOPIC_BYTES + name_bytes, 8);
}

static int topics_add(struct topics_view *topics, const void *name, uint32_t name_bytes,
                      uint32_t first_queue, uint32_t queues, uint64_t base_plus_1)
{
    struct clg_topic *topic;
    CLG_ASSERT(name_bytes > 0);
    if (queues == 0 || first_queue >= CLG_QUEUE_NONE) {
        topics->contradictions++;
        return 0;
    }
    struct clg_registry *registry = topics->view.context.registry;
    /* A segment defines again what it uses: nearly every definition is of a topic that is there. */
    topic = clg_registry_same(registry, name, name_bytes, first_queue, queues);
    int rc = topic != NULL
                 ? 0
                 : clg_registry_add(registry, name, name_bytes, first_queue, queues, &topic);
    if (rc == COMMITLOG_ENOMEM) {
        return rc;
    }
    if (rc != 0) {
        topics->contradictions++;
        return 0;
    }
    CLG_ASSERT(topic != NULL);
    rc = topics_need(topics, topic->id);
    if (rc != 0) {
        return rc;
    }
    struct topics_seen *seen = &topics->seen[topic->id];
    topics->save_bytes += seen->defined_base == 0 ? topics_entry_bytes(name_bytes) : 0;
    seen->defined_base = clg_max_u64(seen->defined_base, base_plus_1);
    return 0;
}

static int topics_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct topics_view *topics = (struct topics_view *)view;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    if (record->header.kind != CLG_KIND_TOPIC) {
        return 0;
    }
    struct clg_topic_definition definition;
    int rc = clg_topic_definition_decode(record->body, record->body_bytes, &definition);
    if (rc != 0 || definition.growth_step != 0 ||
        clg_topic_name_check(definition.name, definition.name_bytes) != 0) {
        topics->contradictions++;
        return 0;
    }
    CLG_ASSERT(definition.name_bytes <= CLG_TOPIC_NAME_MAX);
    return topics_add(topics, definition.name, definition.name_bytes, definition.first_queue,
                      definition.queue_count, record->segment_base + 1);
}

static int topics_create(const struct clg_view_context *context, uint32_t slot,
                         struct clg_view **out)
{
    CLG_ASSERT(context->registry != NULL);
    CLG_ASSERT(slot < CLG_VIEWS_MAX);
    struct topics_view *topics = context->os->alloc(context->os, sizeof(*topics));
    if (topics == NULL) {
        return COMMITLOG_ENOMEM;
    }
    topics->view =
        (struct clg_view){.ops = &clg_topics_view_ops, .context = *context, .slot = slot};
    *out = &topics->view;
    return 0;
}

static void topics_reset(struct clg_view *view)
{
    struct topics_view *topics = (struct topics_view *)view;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    view->context.os->free(view->context.os, topics->seen);
    topics->seen = NULL;
    topics->room = 0;
    topics->save_bytes = 0;
    CLG_ASSERT(topics->seen == NULL);
}

static void topics_destroy(struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    const struct commitlog_os *os = view->context.os;
    topics_reset(view);
    os->free(os, view);
}

static uint64_t topics_save_bytes(const struct clg_view *view)
{
    const struct topics_view *topics = (const struct topics_view *)view;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    CLG_ASSERT(topics->save_bytes % 8 == 0);
    return topics->save_bytes;
}

static void topics_save(const struct clg_view *view, uint8_t *out, uint64_t bytes)
{
    const struct topics_view *topics = (const struct topics_view *)view;
    uint8_t *at = out;
    for (uint32_t id = 0; at < out + bytes; id++) {
        if (!topics_is_seen(topics, id)) {
            continue;
        }
        const struct clg_topic *topic = clg_registry_topic(view->context.registry, id);
        CLG_ASSERT(topic != NULL);
        uint64_t entry = topics_entry_bytes(topic->name_bytes);
        memset(at, 0, (size_t)entry);
        clg_store_le32(at + STATE_AT_FIRST_QUEUE, topic->first_queue);
        clg_store_le32(at + STATE_AT_QUEUES, topic->queues);
        clg_store_le64(at + STATE_AT_DEFINED_BASE, topics->seen[id].defined_base - 1);
        clg_store_le32(at + STATE_AT_NAME_BYTES, topic->name_bytes);
        memcpy(at + STATE_TOPIC_BYTES, topic->name, topic->name_bytes);
        at += entry;
    }
    CLG_ASSERT(at == out + bytes);
}

static int topics_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes)
{
    struct topics_view *topics = (struct topics_view *)view;
    uint64_t refused = topics->contradictions;
    for (uint64_t at = 0; at < bytes;) {
        if (bytes - at < STATE_TOPIC_BYTES) {
            return COMMITLOG_EDAMAGED;
        }
        const uint8_t *from = data + at;
        uint32_t name_bytes = clg_load_le32(from + STATE_AT_NAME_BYTES);
        uint64_t base = clg_load_le64(from + STATE_AT_DEFINED_BASE);
        if (name_bytes > CLG_TOPIC_NAME_MAX || topics_entry_bytes(name_bytes) > bytes - at ||
            clg_topic_name_check(from + STATE_TOPIC_BYTES, name_bytes) != 0 ||
            base > view->context.segments->active_base) {
            return COMMITLOG_EDAMAGED;
        }
        int rc = topics_add(topics, from + STATE_TOPIC_BYTES, name_bytes,
                            clg_load_le32(from + STATE_AT_FIRST_QUEUE),
                            clg_load_le32(from + STATE_AT_QUEUES), base + 1);
        if (rc != 0) {
            return rc;
        }
        at += topics_entry_bytes(name_bytes);
        CLG_ASSERT(at <= bytes);
    }
    return topics->contradictions == refused ? 0 : COMMITLOG_EDAMAGED;
}

static uint64_t topics_memory(const struct clg_view *view)
{
    const struct topics_view *topics = (const struct topics_view *)view;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    return sizeof(*topics) + (uint64_t)topics->room * sizeof(*topics->seen);
}

/* Lowest base that holds the newest evidence of one of the topic's queues. A queue without any will
 * get its first one in the active segment at the earliest, which bounds the answer too. */
static uint64_t topics_oldest(const struct clg_view *queues, const struct clg_topic *topic,
                              uint32_t *out_pairs)
{
    uint64_t oldest = queues->context.segments->active_base;
    CLG_ASSERT(topic->queues > 0);
    *out_pairs = 0;
    for (uint32_t i = 0; i < topic->queues; i++) {
        uint64_t base;
        if (clg_consume_queue_evidence(queues, topic->first_queue + i, &base)) {
            oldest = clg_min_u64(oldest, base);
            (*out_pairs)++;
        }
    }
    return oldest;
}

void clg_topics_carry_list(struct clg_view *view, const struct clg_view *queues, uint64_t base,
                           uint32_t from, uint32_t *ids, uint32_t max, uint32_t *out_count,
                           uint32_t *out_next, uint64_t *out_bytes)
{
    struct topics_view *topics = (struct topics_view *)view;
    uint32_t topic_count = clg_registry_topic_count(view->context.registry);
    uint32_t count = 0;
    uint64_t looks = 0;
    uint64_t bytes = 0;
    uint32_t id = from;
    CLG_ASSERT(max > 0);
    for (; id < topic_count && count < max && looks < CARRY_LOOKS; id++) {
        looks++;
        if (!topics_is_seen(topics, id)) {
            continue;
        }
        struct topics_seen *seen = &topics->seen[id];
        const struct clg_topic *topic = clg_registry_topic(view->context.registry, id);
        if (seen->defined_base - 1 > base && seen->oldest > base) {
            continue;
        }
        uint32_t pairs;
        looks += topic->queues;
        seen->oldest = topics_oldest(queues, topic, &pairs);
        if (seen->defined_base - 1 <= base || seen->oldest <= base) {
            ids[count++] = id;
            bytes += CLG_RECORD_MIN +
                     clg_align_up(clg_topic_definition_bytes(topic->name_bytes, pairs), 8);
        }
    }
    CLG_ASSERT(count <= max);
    *out_count = count;
    *out_next = id < topic_count ? id : UINT32_MAX;
    if (out_bytes != NULL) {
        *out_bytes = bytes;
    }
}

void clg_topics_publish(struct clg_view *view, const struct clg_view *queues)
{
    struct topics_view *topics = (struct topics_view *)view;
    struct clg_registry *registry = view->context.registry;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    CLG_ASSERT(queues->ops == &clg_consume_queue_ops);
    uint32_t topic_count = clg_registry_topic_count(registry);
    for (uint32_t id = 0; id < topic_count; id++) {
        if (topics_is_seen(topics, id)) {
            clg_registry_topic(registry, id)->defined_base = topics->seen[id].defined_base - 1;
        }
    }
    clg_registry_skip(registry, CLG_PLANTED(NUMBERS_AGAIN) ? 0 : clg_consume_queue_numbers(queues));
    uint32_t queue_count = clg_registry_queue_count(registry);
    for (uint32_t number = 0; number < queue_count; number++) {
        clg_registry_raise_next(registry, number, clg_consume_queue_next(queues, number));
    }
}

uint64_t clg_topics_contradictions(const struct clg_view *view)
{
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    return ((const struct topics_view *)view)->contradictions;
}

const struct clg_view_ops clg_topics_view_ops = {
    .name = "topics",
    .state_id = 2,
    .sealed = false,
    .create = topics_create,
    .destroy = topics_destroy,
    .reset = topics_reset,
    .apply = topics_apply,
    .save_bytes = topics_save_bytes,
    .save = topics_save,
    .restore = topics_restore,
    .memory = topics_memory,
};
