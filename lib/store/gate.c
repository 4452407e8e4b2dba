/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate.c -- a group sees a queue that a growth has made when its parents are consumed to the mark.
 *
 * A key that has moved to a child has its records before the growth in the parent, below the mark.
 * So a queue is open when its parent is, and the group has consumed the parent to the mark, or
 * nothing below the mark is kept any more. Marks are those of the growth that is folded: what is
 * readable of the child lies behind it. The topic has its new queues before that, when the growth
 * is claimed: behind an open reservation, or one that shows what is durable, they are closed.
 *
 * Threads and locks: the fold's, inside the lock of groups.
 * Failure modes: those of a look-up.
 */
#include "store/gate.h"

#include <string.h>

#include "base/error.h"
#include "base/invariant.h"
#include "base/plant.h"

int clg_gate_chain(struct clg_core *core, uint64_t visible, const struct clg_topic *topic,
                   uint32_t queue, struct clg_gate_chain *out)
{
    struct clg_topic_offset marks[CLG_GROWTH_STEPS_MAX];
    int rc = COMMITLOG_OK;
    CLG_ASSERT(queue < clg_topic_queues(topic));
    const uint32_t step = clg_topic_step_of(topic, queue);
    if (step > clg_fold_topic_steps(core->fold, topic, visible) && !CLG_PLANTED(GROWTH_UNSEEN)) {
        const uint32_t parent = queue % clg_topic_step(topic, step).from;
        out->count = 1; /* it closes the queue, whatever lies above */
        out->waits[0] =
            (struct clg_gate_wait){parent, clg_topic_number(topic, parent), CLG_GATE_MARK_UNSEEN};
        return COMMITLOG_OK;
    }
    out->count = step == 0 ? 0 : clg_fold_marks(core->fold, topic, queue, marks);
    for (uint32_t i = 0; rc == COMMITLOG_OK && i < out->count; i++) {
        struct clg_lookup_range range = {0};
        struct clg_gate_wait *wait = &out->waits[i];
        *wait = (struct clg_gate_wait){.queue = marks[i].index,
                                       .number = clg_topic_number(topic, marks[i].index),
                                       .mark = marks[i].next_offset};
        if (wait->mark > 0) {
            rc = clg_lookup_range(core->fold, wait->number, visible, &range);
            wait->mark = range.min >= wait->mark ? 0 : wait->mark;
        }
    }
    return rc;
}

void clg_gate_judge(const struct clg_gate_chain *chain, const struct clg_group *group,
                    struct clg_gate *out)
{
    *out = (struct clg_gate){.open = true, .parent = UINT32_MAX, .committed = UINT64_MAX};
    for (uint32_t i = 0; i < chain->count; i++) {
        const struct clg_gate_wait *wait = &chain->waits[i];
        const struct clg_group_offset *known =
            group == NULL ? NULL : clg_group_find_offset(group, wait->number);
        uint64_t committed = known == NULL ? UINT64_MAX : known->offset;
        bool consumed = wait->mark == 0 || (known != NULL && known->offset >= wait->mark) ||
                        CLG_PLANTED(GROWTH_UNGATED);
        if (i == 0 || !consumed) { /* the one nearest to the creation comes first */
            out->parent = wait->queue;
            out->mark = wait->mark;
            out->committed = committed;
            out->open = out->open && consumed;
        }
    }
}

int clg_gate_look(struct clg_core *core, uint64_t visible, const struct clg_group *group,
                  uint32_t number, struct clg_gate *out)
{
    struct clg_gate_chain chain;
    uint32_t index = 0;
    const struct clg_topic *topic = clg_registry_owner(&core->registry, number, &index);
    CLG_ASSERT(topic != NULL);
    int rc = clg_gate_chain(core, visible, topic, index, &chain);
    if (rc == COMMITLOG_OK) {
        clg_gate_judge(&chain, group, out);
    }
    return rc;
}

/* The newest growth is folded, if it is published: behind one that is not nobody reads. */
static int gate_fold(struct clg_core *core, const struct clg_topic *topic,
                     struct commitlog_error *err)
{
    return clg_fold_position(core->fold) > clg_log_topic_changed_at(core->log, topic)
               ? COMMITLOG_OK
               : clg_fold_run(core->fold, UINT64_MAX, 1024, CLG_FOLD_WAIT, true, err);
}

int clg_gate_check(struct commitlog_store *store, const struct clg_group *group,
                   const struct clg_group_entry *entries, uint32_t count,
                   struct commitlog_error *err)
{
    struct clg_core *core = store->core;
    CLG_ASSERT(clg_mutex_is_held(&store->group_lock) && !store->read_only);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = 0;
        struct clg_gate gate = {.open = true};
        const struct clg_topic *topic =
            clg_registry_owner(&core->registry, entries[i].queue_number, &index);
        if (topic == NULL || index < clg_topic_step(topic, 0).queues) {
            continue; /* no topic has it: the record of a transaction may lie */
        }
        int rc = gate_fold(core, topic, err);
        if (rc == COMMITLOG_OK) {
            uint64_t visible =
                clg_min_u64(clg_store_visible(store, core), clg_fold_position(core->fold));
            rc = clg_gate_look(core, visible, group, entries[i].queue_number, &gate);
        }
        if (rc != COMMITLOG_OK) {
            return clg_fail(err, rc, 0, CLG_NO_POSITION, "commit offsets");
        }
        if (!gate.open && gate.mark == CLG_GATE_MARK_UNSEEN) {
            return clg_fail(err, COMMITLOG_EMISUSE, 0, CLG_NO_POSITION,
                            "queue %u of topic %s is not open before its growth is visible", index,
                            topic->name);
        }
        if (!gate.open) {
            return clg_fail(err, COMMITLOG_EMISUSE, 0, CLG_NO_POSITION,
                            "queue %u of topic %s is not open for group %s before it has consumed "
                            "queue %u to offset %llu",
                            index, topic->name, (const char *)group->name, gate.parent,
                            (unsigned long long)gate.mark);
        }
    }
    return COMMITLOG_OK;
}

struct gate_ask {
    const struct commitlog_group *handle;
    struct clg_gate_chain *chain;
    struct clg_gate gate;
};

static int gate_look(void *ctx, const struct clg_group_table *table)
{
    struct gate_ask *ask = ctx;
    const struct clg_group *group = clg_groups_find(ask->handle, table);
    if (group == NULL) {
        return COMMITLOG_ENOTFOUND;
    }
    clg_gate_judge(ask->chain, group, &ask->gate);
    return COMMITLOG_OK;
}

/* At the core of now, of which the numbers of the queues are: at the next one another topic may
 * have them. *out_again: the core is one whose files another writer has taken. */
static int gate_ask_once(struct commitlog_store *store, uint32_t topic, uint32_t queue,
                         struct gate_ask *ask, struct clg_follow_reads *reads, bool *out_again,
                         struct commitlog_error *err)
{
    struct clg_core *core = clg_store_core(store);
    uint64_t visible = 0;
    int rc = clg_store_fold_now(store, &core, &visible, err);
    *out_again = false;
    if (rc == COMMITLOG_OK) {
        const struct clg_topic *found = clg_registry_topic(&core->registry, topic);
        rc = found == NULL || queue >= clg_topic_queues(found) ? COMMITLOG_EINVAL : COMMITLOG_OK;
        if (rc == COMMITLOG_OK && !store->read_only && queue >= clg_topic_step(found, 0).queues) {
            rc = gate_fold(core, found, err); /* what a commit of now would be told */
        }
        if (rc == COMMITLOG_OK) {
            rc = clg_gate_chain(core, visible, found, queue, ask->chain);
            *out_again = clg_follow_again(store, core->generation, reads, &rc);
        }
    }
    if (rc == COMMITLOG_OK) {
        rc = clg_groups_look_at(store, core, gate_look, ask);
    }
    clg_core_unref(core);
    return rc;
}

int32_t commitlog_group_gate(struct commitlog_group *group, uint32_t topic, uint32_t queue,
                             struct commitlog_group_gate *out, struct commitlog_error *err)
{
    int rc = group == NULL || out == NULL ? COMMITLOG_EINVAL : clg_store_enter(group->store);
    if (rc != COMMITLOG_OK) {
        return clg_fail(err, rc, 0, CLG_NO_POSITION, "gate of a queue");
    }
    struct clg_gate_chain chain;
    struct gate_ask ask = {.handle = group, .chain = &chain};
    struct clg_follow_reads reads = {0};
    bool again;
    do {
        rc = gate_ask_once(group->store, topic, queue, &ask, &reads, &again, err);
    } while (again);
    if (rc != COMMITLOG_OK) {
        return rc == COMMITLOG_ENOTFOUND ? clg_groups_not_found(group, err)
                                         : clg_fail(err, rc, 0, CLG_NO_POSITION,
                                                    "gate of queue %u of topic %u", queue, topic);
    }
    const struct commitlog_group_gate gate = {.struct_bytes = sizeof(gate),
                                              .open = ask.gate.open,
                                              .parent = ask.gate.parent,
                                              .mark = ask.gate.mark,
                                              .committed = ask.gate.committed};
    clg_copy_out(out, &gate, sizeof(gate));
    return COMMITLOG_OK;
}
