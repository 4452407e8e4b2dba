/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topics_view.c -- definitions to registry, and what carry-forward has to write. See topics_view.h.
 *
 * Invariants: 1. `oldest` of a topic is a lower bound of the newest evidence of any of its queues.
 *       As evidence only rises, a topic whose bound lies above a segment needs no look at its
 *       queues: retention's cost follows what last changed there, not the number of queues.
 *       2. `save_bytes` is the sum over the topics seen: it is asked for by every round of upkeep,
 *       and a topic never leaves the view or changes its name.
 *       3. of each step that is folded the marks are kept until the record that said them goes:
 *       what lies below a mark lies before that record, so there is nothing left to wait for then.
 * Threads and locks: the fold lock; clg_registry_add takes the registry's.
 * Happy path, failure modes: topics_view.h.
 */
#include "view/topics_internal.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"
#include "format/format.h"
#include "format/record.h"
#include "format/topic_record.h"
#include "view/consume_queue.h"

/* Topics and queues that one call of clg_topics_carry_list looks at, the fold lock being held. */
#define CARRY_LOOKS UINT64_C(4096)

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

/* A definition of the step in that segment. */
static void topics_meet(struct topics_seen *seen, uint32_t step, uint64_t base_plus_1)
{
    const uint32_t steps = seen->growth == NULL ? 0 : seen->growth->steps;
    const uint32_t all = UINT32_MAX >> (CLG_GROWTH_STEPS_MAX - 1 - steps);
    CLG_ASSERT(step <= steps && steps < CLG_GROWTH_STEPS_MAX);
    if (base_plus_1 < seen->newest_base) {
        return;
    }
    if (base_plus_1 > seen->newest_base) {
        seen->newest_base = base_plus_1;
        seen->newest_steps = 0;
    }
    seen->newest_steps |= UINT32_C(1) << step;
    if ((seen->newest_steps & all) == all) {
        seen->defined_base = clg_max_u64(seen->defined_base, base_plus_1);
    }
}

/* The topic as it was created. Contradictions are counted, and *out is NULL. */
int clg_topics_add(struct topics_view *topics, const void *name, uint32_t name_bytes,
                   uint32_t first_queue, uint32_t queues, uint64_t base_plus_1,
                   struct clg_topic **out)
{
    struct clg_topic *topic;
    CLG_ASSERT(name_bytes > 0);
    *out = NULL;
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
    topics->save_bytes += seen->defined_base == 0 ? clg_topics_entry_bytes(name_bytes) : 0;
    topics_meet(seen, 0, base_plus_1);
    *out = topic;
    return 0;
}

/* The topic that a step's definition is of: one whose creation is folded. */
static struct clg_topic *topics_find(const struct topics_view *topics,
                                     const struct clg_topic_definition *definition)
{
    struct clg_registry *registry = topics->view.context.registry;
    struct clg_topic *topic = clg_registry_owner(registry, definition->first_queue, NULL);
    bool same = topic != NULL && topic->name_bytes == definition->name_bytes &&
                memcmp(topic->name, definition->name, topic->name_bytes) == 0;
    if (!same && clg_registry_find(registry, definition->name, definition->name_bytes, &topic) !=
                     COMMITLOG_OK) {
        return NULL;
    }
    CLG_ASSERT(topic != NULL);
    return clg_topics_is_seen(topics, topic->id) ? topic : NULL;
}

/* What a reader is told, and what a claim begins with. */
void clg_topics_route(const struct topics_view *topics, struct clg_topic *topic, uint32_t active)
{
    struct clg_registry *registry = topics->view.context.registry;
    CLG_ASSERT(active < clg_topic_steps(topic));
    if (!registry->is_claimed) {
        clg_registry_route(topic, active);
    }
}

/* Takes the step into the view. The marks become the view's in any case. */
int clg_topics_set_step(struct topics_view *topics, struct clg_topic *topic, uint32_t step,
                        uint64_t marked_at, struct clg_topic_offset *marks, uint32_t mark_count)
{
    const struct commitlog_os *os = topics->view.context.os;
    struct topics_seen *seen = &topics->seen[topic->id];
    CLG_ASSERT(step >= 1 && step < CLG_GROWTH_STEPS_MAX);
    if (seen->growth == NULL) {
        seen->growth = os->alloc(os, sizeof(*seen->growth));
    }
    if (seen->growth == NULL) {
        os->free(os, marks);
        return COMMITLOG_ENOMEM;
    }
    if (step > seen->growth->steps) {
        seen->growth->steps = step;
        topics->save_bytes += STATE_STEP_BYTES;
    }
    if (marked_at != 0) {
        struct topics_step *is = &seen->growth->step[step];
        topics->save_bytes += (uint64_t)mark_count * STATE_MARK_BYTES;
        topics->save_bytes -= (uint64_t)is->mark_count * STATE_MARK_BYTES;
        os->free(os, is->marks);
        *is = (struct topics_step){marked_at, mark_count, marks};
    }
    return 0;
}

/* 0, and NULL where there is none; COMMITLOG_EDAMAGED: one of no parent. */
static int topics_read_marks(const struct topics_view *topics,
                             const struct clg_topic_definition *definition, uint32_t parents,
                             struct clg_topic_offset **out)
{
    const struct commitlog_os *os = topics->view.context.os;
    *out = NULL;
    if (!definition->marks || definition->pair_count == 0) {
        return 0;
    }
    struct clg_topic_offset *marks = clg_os_alloc_array(os, definition->pair_count, sizeof(*marks));
    if (marks == NULL) {
        return COMMITLOG_ENOMEM;
    }
    for (uint32_t i = 0; i < definition->pair_count; i++) {
        clg_topic_definition_pair(definition, i, &marks[i]);
    }
    if (marks[definition->pair_count - 1].index >= parents) {
        os->free(os, marks);
        return COMMITLOG_EDAMAGED;
    }
    *out = marks;
    return 0;
}

/* A step behind the creation. */
static int topics_apply_step(struct topics_view *topics,
                             const struct clg_topic_definition *definition,
                             const struct clg_record_view *record)
{
    struct clg_registry *registry = topics->view.context.registry;
    const uint32_t step = definition->growth_step;
    struct clg_topic *topic = topics_find(topics, definition);
    struct topics_seen *seen = topic == NULL ? NULL : &topics->seen[topic->id];
    uint32_t folded = seen == NULL || seen->growth == NULL ? 0 : seen->growth->steps;
    struct clg_topic_offset *marks = NULL;
    int rc = topic == NULL || step > folded + 1
                 ? COMMITLOG_EDAMAGED
                 : clg_registry_add_step(registry, topic, step, definition->first_queue,
                                         definition->queue_count);
    if (rc == 0) {
        clg_registry_show_step(registry, topic, step);
        rc = topics_read_marks(topics, definition, clg_topic_step(topic, step).from, &marks);
    }
    if (rc == 0) {
        rc = clg_topics_set_step(topics, topic, step, definition->marks ? record->position : 0,
                                 marks, definition->marks ? definition->pair_count : 0);
    }
    if (rc == COMMITLOG_ENOMEM) {
        return rc;
    }
    if (rc != 0) {
        topics->contradictions++;
        return 0;
    }
    struct topics_growth *growth = seen->growth;
    growth->active = definition->marks    ? step
                     : definition->closed ? (growth->active < step ? growth->active : step - 1)
                                          : (growth->active > step ? growth->active : step);
    clg_topics_route(topics, topic, growth->active);
    topics_meet(seen, step, record->segment_base + 1);
    return 0;
}

static int topics_apply(struct clg_view *view, const struct clg_record_view *record)
{
    struct topics_view *topics = (struct topics_view *)view;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    CLG_ASSERT(record->header.kind == CLG_KIND_TOPIC);
    struct clg_topic_definition definition;
    int rc = clg_topic_definition_decode(record->body, record->body_bytes, &definition);
    if (rc != 0 || clg_topic_name_check(definition.name, definition.name_bytes) != 0) {
        topics->contradictions++;
        return 0;
    }
    CLG_ASSERT(definition.name_bytes <= CLG_TOPIC_NAME_MAX);
    struct clg_topic *topic;
    return definition.growth_step > 0
               ? topics_apply_step(topics, &definition, record)
               : clg_topics_add(topics, definition.name, definition.name_bytes,
                                definition.first_queue, definition.queue_count,
                                record->segment_base + 1, &topic);
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

static void topics_free_growth(const struct commitlog_os *os, struct topics_growth *growth)
{
    if (growth == NULL) {
        return;
    }
    for (uint32_t i = 0; i <= growth->steps; i++) {
        os->free(os, growth->step[i].marks);
    }
    os->free(os, growth);
}

static void topics_reset(struct clg_view *view)
{
    struct topics_view *topics = (struct topics_view *)view;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    for (uint32_t id = 0; id < topics->room; id++) {
        topics_free_growth(view->context.os, topics->seen[id].growth);
    }
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
    *out_pairs = 0;
    for (uint32_t s = 0; s < clg_topic_steps(topic); s++) {
        const struct clg_topic_step step = clg_topic_step(topic, s);
        CLG_ASSERT(step.queues > 0);
        for (uint32_t i = 0; i < step.queues; i++) {
            uint64_t base;
            if (clg_consume_queue_evidence(queues, step.first_queue + i, &base)) {
                oldest = clg_min_u64(oldest, base);
                (*out_pairs)++;
            }
        }
    }
    return oldest;
}

/* Marks that a dropped segment said are of no use any more: what lies below them is gone, too. */
static void topics_forget_marks(struct topics_view *topics, struct topics_growth *growth)
{
    const struct commitlog_os *os = topics->view.context.os;
    for (uint32_t i = 1; i <= growth->steps; i++) {
        struct topics_step *step = &growth->step[i];
        if (step->marked_at < topics->view.context.segments->first) {
            topics->save_bytes -= (uint64_t)step->mark_count * STATE_MARK_BYTES;
            os->free(os, step->marks);
            *step = (struct topics_step){0};
        }
    }
}

uint32_t clg_topics_steps(const struct clg_view *view, const struct clg_topic *topic,
                          uint64_t visible)
{
    const struct topics_view *topics = (const struct topics_view *)view;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    const struct topics_growth *growth =
        clg_topics_is_seen(topics, topic->id) ? topics->seen[topic->id].growth : NULL;
    uint32_t steps = 0;
    while (growth != NULL && steps < growth->steps && growth->step[steps + 1].marked_at < visible) {
        steps++;
    }
    return steps;
}

uint32_t clg_topics_marks(const struct clg_view *view, const struct clg_topic *topic,
                          uint32_t index, struct clg_topic_offset *out)
{
    const struct topics_view *topics = (const struct topics_view *)view;
    const struct topics_growth *growth =
        clg_topics_is_seen(topics, topic->id) ? topics->seen[topic->id].growth : NULL;
    uint32_t count = 0;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    for (uint32_t s = clg_topic_step_of(topic, index); s > 0; s = clg_topic_step_of(topic, index)) {
        const struct topics_step none = {0};
        const struct topics_step *step =
            growth != NULL && s <= growth->steps ? &growth->step[s] : &none;
        index %= clg_topic_step(topic, s).from;
        uint32_t low = 0;
        uint32_t high = step->mark_count;
        while (low < high) {
            uint32_t middle = low + (high - low) / 2;
            if (step->marks[middle].index < index) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        bool marked = low < step->mark_count && step->marks[low].index == index;
        out[count++] = (struct clg_topic_offset){index, marked ? step->marks[low].next_offset : 0};
        CLG_ASSERT(count < CLG_GROWTH_STEPS_MAX);
    }
    return count;
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
        if (!clg_topics_is_seen(topics, id)) {
            continue;
        }
        struct topics_seen *seen = &topics->seen[id];
        const struct clg_topic *topic = clg_registry_topic(view->context.registry, id);
        if (seen->growth != NULL) {
            topics_forget_marks(topics, seen->growth);
        }
        if (seen->defined_base - 1 > base && seen->oldest > base) {
            continue;
        }
        uint32_t pairs;
        looks += clg_topic_queues(topic);
        seen->oldest = topics_oldest(queues, topic, &pairs);
        if (seen->defined_base - 1 <= base || seen->oldest <= base) {
            ids[count++] = id;
            bytes += clg_topic_steps(topic) *
                         (CLG_RECORD_MIN + clg_topic_definition_bytes(topic->name_bytes, 0)) +
                     (uint64_t)pairs * CLG_TOPIC_PAIR_BYTES;
        }
    }
    CLG_ASSERT(count <= max);
    *out_count = count;
    *out_next = id < topic_count ? id : UINT32_MAX;
    if (out_bytes != NULL) {
        *out_bytes = bytes;
    }
}

static int topics_reach_step(struct clg_view *queues, const struct clg_topic *topic,
                             const struct topics_step *step)
{
    int rc = 0;
    for (uint32_t m = 0; rc == 0 && m < step->mark_count; m++) {
        const struct clg_topic_offset *mark = &step->marks[m];
        CLG_ASSERT(mark->index < clg_topic_queues(topic));
        rc = clg_consume_queue_reach(queues, clg_topic_number(topic, mark->index),
                                     mark->next_offset, step->marked_at);
    }
    return rc;
}

int clg_topics_reach_marks(const struct clg_view *view, struct clg_view *queues)
{
    const struct topics_view *topics = (const struct topics_view *)view;
    uint32_t topic_count = clg_registry_topic_count(view->context.registry);
    int rc = 0;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    for (uint32_t id = 0; rc == 0 && id < topic_count; id++) {
        const struct topics_growth *growth =
            clg_topics_is_seen(topics, id) ? topics->seen[id].growth : NULL;
        const struct clg_topic *topic = clg_registry_topic(view->context.registry, id);
        for (uint32_t s = 1; rc == 0 && growth != NULL && s <= growth->steps; s++) {
            rc = topics_reach_step(queues, topic, &growth->step[s]);
        }
    }
    return rc;
}

void clg_topics_publish(struct clg_view *view, const struct clg_view *queues)
{
    struct topics_view *topics = (struct topics_view *)view;
    struct clg_registry *registry = view->context.registry;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    CLG_ASSERT(queues->ops == &clg_consume_queue_ops);
    uint32_t topic_count = clg_registry_topic_count(registry);
    for (uint32_t id = 0; id < topic_count; id++) {
        if (clg_topics_is_seen(topics, id)) {
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
    .kinds = CLG_VIEW_TAKES(CLG_KIND_TOPIC),
    .sealed = false,
    .create = topics_create,
    .destroy = topics_destroy,
    .reset = topics_reset,
    .apply = topics_apply,
    .save_bytes = clg_topics_save_bytes,
    .save = clg_topics_save,
    .restore = clg_topics_restore,
    .memory = topics_memory,
};
