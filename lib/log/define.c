/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * define.c -- a topic's definitions at the tail: when it is made, and when retention carries them.
 *
 * Invariants: the definitions of all steps lie in one segment, as one batch where there are
 * several: whoever finds one of them finds the others, and which the newest are is one position.
 * Threads and locks: claim_lock. The caller keeps the topic from growing meanwhile.
 * Happy path: collect the offsets -> encode -> append.
 * Failure modes: COMMITLOG_ENOMEM; those of an append.
 */
#include "base/error.h"
#include "base/invariant.h"
#include "log/commit_log_internal.h"

bool clg_log_topic_is_defined(struct clg_log *log, const struct clg_topic *topic)
{
    CLG_ASSERT(topic != NULL);
    clg_mutex_lock(log->os, &log->claim_lock);
    bool defined = topic->defined_base != UINT64_MAX;
    clg_mutex_unlock(log->os, &log->claim_lock);
    CLG_ASSERT(!log->is_follower);
    return defined;
}

uint64_t clg_log_topic_defined_end(struct clg_log *log, const struct clg_topic *topic)
{
    clg_mutex_lock(log->os, &log->claim_lock);
    uint64_t end = topic->defined_end;
    clg_mutex_unlock(log->os, &log->claim_lock);
    return end;
}

/* The next offsets of the queues of a step, for the definition that carries them forward. */
static uint32_t define_collect(const struct clg_log *log, const struct clg_topic_step *step,
                               struct clg_topic_offset *pairs)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < step->queues; i++) {
        const struct clg_queue *queue = clg_registry_queue(log->registry, step->first_queue + i);
        if (queue != NULL && queue->next_offset > 0) {
            pairs[count].index = i;
            pairs[count].next_offset = queue->next_offset;
            count++;
        }
    }
    return count;
}

/* What is to be written: one record for each step. */
struct define_records {
    uint8_t *bodies;
    struct clg_topic_offset *pairs; /* of one step at a time */
    struct commitlog_slice slices[CLG_GROWTH_STEPS_MAX];
    struct clg_append items[CLG_GROWTH_STEPS_MAX];
};

static void define_build(struct clg_log *log, const struct clg_topic *topic, bool with_offsets,
                         struct define_records *out)
{
    uint8_t *at = out->bodies;
    for (uint32_t i = 0; i < clg_topic_steps(topic); i++) {
        const struct clg_topic_step step = clg_topic_step(topic, i);
        clg_mutex_lock(log->os, &log->claim_lock);
        uint32_t count = with_offsets ? define_collect(log, &step, out->pairs) : 0;
        struct clg_topic_definition definition = clg_claim_definition(topic, i);
        clg_mutex_unlock(log->os, &log->claim_lock);
        definition.pair_count = count;
        size_t bytes = (size_t)clg_topic_definition_bytes(topic->name_bytes, count);
        int rc = clg_topic_definition_encode(at, bytes, &definition, out->pairs);
        CLG_ASSERT(rc == COMMITLOG_OK);
        (void)rc;
        out->slices[i] = (struct commitlog_slice){at, bytes};
        out->items[i] = (struct clg_append){.kind = CLG_KIND_TOPIC,
                                            .queue_number = step.first_queue,
                                            .takes_reserve = with_offsets,
                                            .body = &out->slices[i],
                                            .body_count = 1,
                                            .body_bytes = bytes};
        at += bytes;
    }
}

int clg_log_define_topic(struct clg_log *log, struct clg_topic *topic, bool with_offsets,
                         struct commitlog_error *err)
{
    const struct commitlog_os *os = log->os;
    const uint32_t steps = clg_topic_steps(topic);
    const uint32_t queues = with_offsets ? clg_topic_queues(topic) : 0;
    size_t most = (size_t)(steps * clg_topic_definition_bytes(topic->name_bytes, 0) +
                           (uint64_t)queues * CLG_TOPIC_PAIR_BYTES);
    struct define_records *records = os->alloc(os, sizeof(*records));
    uint8_t *bodies = os->alloc(os, most);
    struct clg_topic_offset *pairs =
        clg_os_alloc_array(os, with_offsets ? queues : 1, sizeof(*pairs));
    struct commitlog_receipt receipts[CLG_GROWTH_STEPS_MAX];
    int rc = COMMITLOG_ENOMEM;
    if (records != NULL && bodies != NULL && pairs != NULL) {
        records->bodies = bodies;
        records->pairs = pairs;
        define_build(log, topic, with_offsets, records);
        rc = clg_log_append(log, records->items, steps, receipts, err);
    } else {
        rc = clg_fail(err, rc, 0, CLG_NO_POSITION, "define topic %s", topic->name);
    }
    if (rc == COMMITLOG_OK) {
        clg_mutex_lock(os, &log->claim_lock);
        if (topic->defined_base == UINT64_MAX) {
            topic->defined_end = receipts[steps - 1].end_position;
        }
        if (clg_segment_holds(log->active, receipts[0].position)) {
            topic->defined_base = log->active->base;
        }
        clg_mutex_unlock(os, &log->claim_lock);
    }
    os->free(os, records);
    os->free(os, bodies);
    os->free(os, pairs);
    return rc;
}
