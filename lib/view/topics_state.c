/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topics_state.c -- topics, their steps and marks in .state. See topics_internal.h.
 *
 * Threads and locks: the fold lock. Failure modes: COMMITLOG_EDAMAGED for bytes that contradict
 * themselves or what is known already; COMMITLOG_ENOMEM.
 */
#include <string.h>

#include "base/invariant.h"
#include "format/format.h"
#include "view/topics_internal.h"

/* One topic in .state: fixed part, then the name, zeros to a multiple of 8, then each step behind
 * the creation: fixed part, marks as in the log. */
#define STATE_AT_FIRST_QUEUE 0u
#define STATE_AT_QUEUES 4u
#define STATE_AT_DEFINED_BASE 8u
#define STATE_AT_NAME_BYTES 16u
#define STATE_AT_STEPS 20u /* behind the creation, two bytes; then those that keys go to */
#define STATE_AT_ACTIVE 22u
#define STATE_STEP_AT_FIRST_QUEUE 0u
#define STATE_STEP_AT_QUEUES 4u
#define STATE_STEP_AT_MARKED_AT 8u
#define STATE_STEP_AT_MARKS 16u
#define STATE_STEP_AT_ZERO 20u
#define STATE_MARK_AT_INDEX 0u
#define STATE_MARK_AT_ZERO 4u
#define STATE_MARK_AT_OFFSET 8u

CLG_FORMAT_ASSERT(STATE_AT_FIRST_QUEUE == 0u);
CLG_FORMAT_ASSERT(STATE_AT_QUEUES == STATE_AT_FIRST_QUEUE + 4u);
CLG_FORMAT_ASSERT(STATE_AT_DEFINED_BASE == STATE_AT_QUEUES + 4u);
CLG_FORMAT_ASSERT(STATE_AT_NAME_BYTES == STATE_AT_DEFINED_BASE + 8u);
CLG_FORMAT_ASSERT(STATE_AT_STEPS == STATE_AT_NAME_BYTES + 4u);
CLG_FORMAT_ASSERT(STATE_AT_ACTIVE == STATE_AT_STEPS + 2u);
CLG_FORMAT_ASSERT(STATE_TOPIC_BYTES == STATE_AT_ACTIVE + 2u);
CLG_FORMAT_ASSERT(STATE_STEP_BYTES == STATE_STEP_AT_ZERO + 4u);
CLG_FORMAT_ASSERT(STATE_MARK_BYTES == STATE_MARK_AT_OFFSET + 8u);

uint64_t clg_topics_save_bytes(const struct clg_view *view)
{
    const struct topics_view *topics = (const struct topics_view *)view;
    CLG_ASSERT(view->ops == &clg_topics_view_ops);
    CLG_ASSERT(topics->save_bytes % 8 == 0);
    return topics->save_bytes;
}

static uint8_t *topics_save_growth(const struct topics_growth *growth,
                                   const struct clg_topic *topic, uint8_t *at)
{
    for (uint32_t i = 1; i <= growth->steps; i++) {
        const struct topics_step *step = &growth->step[i];
        const struct clg_topic_step is = clg_topic_step(topic, i);
        memset(at, 0, STATE_STEP_BYTES);
        clg_store_le32(at + STATE_STEP_AT_FIRST_QUEUE, is.first_queue);
        clg_store_le32(at + STATE_STEP_AT_QUEUES, is.queues);
        clg_store_le64(at + STATE_STEP_AT_MARKED_AT, step->marked_at);
        clg_store_le32(at + STATE_STEP_AT_MARKS, step->mark_count);
        at += STATE_STEP_BYTES;
        for (uint32_t m = 0; m < step->mark_count; m++, at += STATE_MARK_BYTES) {
            clg_store_le32(at + STATE_MARK_AT_INDEX, step->marks[m].index);
            clg_store_le32(at + STATE_MARK_AT_ZERO, 0);
            clg_store_le64(at + STATE_MARK_AT_OFFSET, step->marks[m].next_offset);
        }
    }
    return at;
}

void clg_topics_save(const struct clg_view *view, uint8_t *out, uint64_t bytes)
{
    const struct topics_view *topics = (const struct topics_view *)view;
    uint8_t *at = out;
    for (uint32_t id = 0; at < out + bytes; id++) {
        if (!clg_topics_is_seen(topics, id)) {
            continue;
        }
        const struct clg_topic *topic = clg_registry_topic(view->context.registry, id);
        const struct topics_growth *growth = topics->seen[id].growth;
        CLG_ASSERT(topic != NULL);
        uint64_t entry = clg_topics_entry_bytes(topic->name_bytes);
        memset(at, 0, (size_t)entry);
        clg_store_le32(at + STATE_AT_FIRST_QUEUE, topic->first_queue);
        clg_store_le32(at + STATE_AT_QUEUES, clg_topic_step(topic, 0).queues);
        clg_store_le64(at + STATE_AT_DEFINED_BASE, topics->seen[id].defined_base - 1);
        clg_store_le32(at + STATE_AT_NAME_BYTES, topic->name_bytes);
        memcpy(at + STATE_TOPIC_BYTES, topic->name, topic->name_bytes);
        if (growth != NULL) {
            clg_store_le16(at + STATE_AT_STEPS, (uint16_t)growth->steps);
            clg_store_le16(at + STATE_AT_ACTIVE, (uint16_t)growth->active);
        }
        at = growth != NULL ? topics_save_growth(growth, topic, at + entry) : at + entry;
    }
    CLG_ASSERT(at == out + bytes);
}

/* What is left of a section of .state. */
struct topics_input {
    const uint8_t *at;
    uint64_t left;
};

/* NULL: there are not so many bytes. */
static const uint8_t *topics_take(struct topics_input *in, uint64_t bytes)
{
    if (bytes > in->left) {
        return NULL;
    }
    const uint8_t *taken = in->at;
    in->at += bytes;
    in->left -= bytes;
    return taken;
}

static int topics_restore_marks(const struct topics_view *topics, struct topics_input *in,
                                uint32_t count, uint32_t parents, struct clg_topic_offset **out)
{
    const struct commitlog_os *os = topics->view.context.os;
    const uint8_t *from = topics_take(in, (uint64_t)count * STATE_MARK_BYTES);
    *out = NULL;
    if (from == NULL || count > parents) {
        return COMMITLOG_EDAMAGED;
    }
    struct clg_topic_offset *marks =
        count == 0 ? NULL : clg_os_alloc_array(os, count, sizeof(*marks));
    if (marks == NULL && count > 0) {
        return COMMITLOG_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++, from += STATE_MARK_BYTES) {
        marks[i].index = clg_load_le32(from + STATE_MARK_AT_INDEX);
        marks[i].next_offset = clg_load_le64(from + STATE_MARK_AT_OFFSET);
        if (marks[i].index >= parents || (i > 0 && marks[i].index <= marks[i - 1].index) ||
            marks[i].next_offset > CLG_QUEUE_OFFSET_MAX) {
            os->free(os, marks);
            return COMMITLOG_EDAMAGED;
        }
    }
    *out = marks;
    return 0;
}

static int topics_restore_growth(struct topics_view *topics, struct clg_topic *topic,
                                 struct topics_input *in, uint32_t steps, uint32_t active)
{
    struct clg_registry *registry = topics->view.context.registry;
    if (steps >= CLG_GROWTH_STEPS_MAX || active > steps) {
        return COMMITLOG_EDAMAGED;
    }
    for (uint32_t i = 1; i <= steps; i++) {
        const uint8_t *from = topics_take(in, STATE_STEP_BYTES);
        struct clg_topic_offset *marks = NULL;
        if (from == NULL || clg_load_le32(from + STATE_STEP_AT_ZERO) != 0 ||
            clg_load_le32(from + STATE_STEP_AT_FIRST_QUEUE) >= CLG_QUEUE_NONE) {
            return COMMITLOG_EDAMAGED;
        }
        uint64_t marked_at = clg_load_le64(from + STATE_STEP_AT_MARKED_AT);
        uint32_t count = clg_load_le32(from + STATE_STEP_AT_MARKS);
        int rc = clg_registry_add_step(registry, topic, i,
                                       clg_load_le32(from + STATE_STEP_AT_FIRST_QUEUE),
                                       clg_load_le32(from + STATE_STEP_AT_QUEUES));
        if (rc != 0 || (marked_at == 0 && count > 0)) {
            return rc == COMMITLOG_ENOMEM ? rc : COMMITLOG_EDAMAGED;
        }
        clg_registry_show_step(registry, topic, i);
        rc = topics_restore_marks(topics, in, count, clg_topic_step(topic, i).from, &marks);
        if (rc == 0) {
            rc = clg_topics_set_step(topics, topic, i, marked_at, marks, count);
        }
        if (rc != 0) {
            return rc;
        }
    }
    if (steps > 0) {
        topics->seen[topic->id].growth->active = active;
        clg_topics_route(topics, topic, active);
    }
    return 0;
}

int clg_topics_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes, uint64_t upto)
{
    (void)upto;
    struct topics_view *topics = (struct topics_view *)view;
    struct topics_input in = {data, bytes};
    while (in.left > 0) {
        const uint8_t *from = topics_take(&in, STATE_TOPIC_BYTES);
        struct clg_topic *topic = NULL;
        if (from == NULL) {
            return COMMITLOG_EDAMAGED;
        }
        uint32_t name_bytes = clg_load_le32(from + STATE_AT_NAME_BYTES);
        uint64_t base = clg_load_le64(from + STATE_AT_DEFINED_BASE);
        if (name_bytes > CLG_TOPIC_NAME_MAX ||
            topics_take(&in, clg_topics_entry_bytes(name_bytes) - STATE_TOPIC_BYTES) == NULL ||
            clg_topic_name_check(from + STATE_TOPIC_BYTES, name_bytes) != 0 ||
            base > view->context.segments->active_base) {
            return COMMITLOG_EDAMAGED;
        }
        int rc = clg_topics_add(topics, from + STATE_TOPIC_BYTES, name_bytes,
                                clg_load_le32(from + STATE_AT_FIRST_QUEUE),
                                clg_load_le32(from + STATE_AT_QUEUES), base + 1, &topic);
        if (rc == 0 && topic == NULL) {
            rc = COMMITLOG_EDAMAGED;
        }
        if (rc == 0) {
            rc = topics_restore_growth(topics, topic, &in, clg_load_le16(from + STATE_AT_STEPS),
                                       clg_load_le16(from + STATE_AT_ACTIVE));
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}
