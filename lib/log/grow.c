/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * grow.c -- a topic grows by a step, or shrinks by some.
 *
 * A growth is one record: the step's definition, and of each parent that has messages the mark, its
 * next offset. So neither is ever there without the other, and its position is the point of growth.
 * A shrink is the definition of the first step that keys go to no more.
 *
 * Invariants: 1. under one hold of claim_lock the marks are read, the record gets its place, and
 *       `routed` changes: what is claimed before it was routed by the count before, what is claimed
 *       behind it by the count that it says; 2. in its segment the definitions of the steps before
 *       lie before it; 3. a failure has changed nothing.
 * Threads and locks: claim_lock, for the time it takes to look at each parent; for a record of more
 *       than half the ring drain_lock before it, as large.c. One growth or shrink of a topic at a
 *       time: the caller's lock.
 * Failure modes: COMMITLOG_ENOMEM; those of an append.
 */
#include "base/error.h"
#include "base/invariant.h"
#include "log/commit_log_internal.h"

struct grow {
    struct clg_log *log;
    struct clg_topic *topic;
    uint32_t step;
    bool grows;
    uint64_t sum;        /* of the offsets of the queues that go */
    uint32_t pairs_room; /* parents */
    uint64_t most;       /* bytes of the record */
    struct clg_topic_offset *pairs;
    uint8_t *body;
    uint8_t *buffer; /* of a record that does not fit the ring; NULL: it does */
};

uint64_t clg_log_next_offsets(struct clg_log *log, const struct clg_topic *topic, uint32_t from,
                              uint32_t to, uint64_t *next)
{
    uint64_t sum = 0;
    CLG_ASSERT(from <= to && to <= clg_topic_queues(topic));
    clg_mutex_lock(log->os, &log->claim_lock);
    for (uint32_t i = from; i < to; i++) {
        uint64_t offset =
            clg_registry_queue(log->registry, clg_topic_number(topic, i))->next_offset;
        sum += offset;
        if (next != NULL) {
            next[i - from] = offset;
        }
    }
    clg_mutex_unlock(log->os, &log->claim_lock);
    return sum;
}

uint64_t clg_log_topic_changed_at(struct clg_log *log, const struct clg_topic *topic)
{
    CLG_ASSERT(clg_topic_steps(topic) > 1);
    clg_mutex_lock(log->os, &log->claim_lock);
    uint64_t position = topic->growth->changed_at;
    clg_mutex_unlock(log->os, &log->claim_lock);
    return position;
}

/* The marks: of parents that have no message there is none. */
static uint32_t grow_collect(const struct grow *grow)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < grow->pairs_room; i++) {
        const struct clg_queue *queue =
            clg_registry_queue(grow->log->registry, clg_topic_number(grow->topic, i));
        if (queue->next_offset > 0) {
            grow->pairs[count].index = i;
            grow->pairs[count].next_offset = queue->next_offset;
            count++;
        }
    }
    return count;
}

static bool grow_is_as_before(const struct grow *grow)
{
    uint64_t sum = 0;
    const struct clg_topic *topic = grow->topic;
    const uint32_t from = clg_topic_step(topic, grow->step).from;
    for (uint32_t i = from; i < clg_topic_routed(topic); i++) {
        sum += clg_registry_queue(grow->log->registry, clg_topic_number(topic, i))->next_offset;
    }
    return sum == grow->sum;
}

static int grow_locked(const struct grow *grow, struct commitlog_receipt *receipt,
                       struct commitlog_error *err)
{
    struct clg_log *log = grow->log;
    struct clg_topic *topic = grow->topic;
    const struct clg_topic_step step = topic->growth->steps[grow->step];
    if (!grow->grows && !grow_is_as_before(grow)) {
        return COMMITLOG_EBUSY;
    }
    struct clg_topic_definition definition = {.name = (const uint8_t *)topic->name,
                                              .name_bytes = topic->name_bytes,
                                              .first_queue = step.first_queue,
                                              .queue_count = step.queues,
                                              .growth_step = grow->step,
                                              .marks = grow->grows,
                                              .closed = !grow->grows,
                                              .pair_count = grow->grows ? grow_collect(grow) : 0};
    size_t bytes = (size_t)clg_topic_definition_bytes(topic->name_bytes, definition.pair_count);
    int rc = clg_topic_definition_encode(grow->body, bytes, &definition, grow->pairs);
    CLG_ASSERT(rc == COMMITLOG_OK);
    const struct commitlog_slice slice = {grow->body, bytes};
    const struct clg_append item = {.kind = CLG_KIND_TOPIC,
                                    .queue_number = step.first_queue,
                                    .defined = topic,
                                    .body = &slice,
                                    .body_count = 1,
                                    .body_bytes = bytes};
    const uint32_t size = clg_append_bytes(&item);
    rc = clg_claim_check_size(log, size, err);
    if (rc == COMMITLOG_OK) {
        rc = grow->buffer != NULL
                 ? clg_large_locked(log, &item, 1, size, grow->buffer, NULL, receipt, err)
                 : clg_appender_locked(log, &item, 1, size, NULL, receipt, err);
    }
    if (rc == COMMITLOG_OK) {
        clg_registry_show_step(log->registry, topic, grow->step);
        topic->growth->changed_at = receipt->position;
        clg_registry_route(topic, grow->grows ? grow->step : grow->step - 1);
    }
    return rc;
}

static int grow_append(struct grow *grow, struct commitlog_receipt *receipt,
                       struct commitlog_error *err)
{
    struct clg_log *log = grow->log;
    const struct commitlog_os *os = log->os;
    const bool large = log->ring != NULL && grow->most > log->ring_bytes / 2;
    grow->pairs = clg_os_alloc_array(os, (size_t)grow->pairs_room + 1, sizeof(*grow->pairs));
    grow->body = os->alloc(os, grow->most);
    grow->buffer = large ? os->alloc(os, grow->most) : NULL;
    int rc = COMMITLOG_ENOMEM;
    if (grow->pairs == NULL || grow->body == NULL || (large && grow->buffer == NULL)) {
        rc = clg_fail(err, rc, 0, CLG_NO_POSITION, "grow topic %s", grow->topic->name);
    } else {
        if (large) {
            clg_mutex_lock(os, &log->drain_lock);
        }
        clg_mutex_lock(os, &log->claim_lock);
        rc = grow_locked(grow, receipt, err);
        clg_mutex_unlock(os, &log->claim_lock);
        if (large) {
            clg_mutex_unlock(os, &log->drain_lock);
        }
        clg_publish_wake(log);
        clg_announce(log);
    }
    os->free(os, grow->pairs);
    os->free(os, grow->body);
    os->free(os, grow->buffer);
    return rc;
}

int clg_log_grow_topic(struct clg_log *log, struct clg_topic *topic, uint32_t step,
                       struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    const uint32_t parents = clg_topic_routed(topic);
    struct grow grow = {.log = log,
                        .topic = topic,
                        .step = step,
                        .grows = true,
                        .pairs_room = parents,
                        .most = CLG_RECORD_MIN + CLG_RECORD_ALIGN +
                                clg_topic_definition_bytes(topic->name_bytes, parents)};
    CLG_ASSERT(step >= 1 && topic->growth->steps[step].from == parents);
    return grow_append(&grow, receipt, err);
}

int clg_log_shrink_topic(struct clg_log *log, struct clg_topic *topic, uint32_t step, uint64_t sum,
                         struct commitlog_receipt *receipt, struct commitlog_error *err)
{
    struct grow grow = {.log = log,
                        .topic = topic,
                        .step = step,
                        .sum = sum,
                        .most = CLG_RECORD_MIN + CLG_RECORD_ALIGN +
                                clg_topic_definition_bytes(topic->name_bytes, 0)};
    CLG_ASSERT(step >= 1 && step < clg_topic_steps(topic));
    return grow_append(&grow, receipt, err);
}
