/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * gate.h -- may a group consume a queue that a growth has made? See gate.c.
 */
#ifndef CLG_STORE_GATE_H
#define CLG_STORE_GATE_H

#include "format/limits.h"
#include "store/groups.h"

/* The growth is not visible yet, and nor is where the parent ended. No offset reaches it. */
#define CLG_GATE_MARK_UNSEEN UINT64_MAX

/* What has to be consumed first: offsets of a parent below its mark. */
struct clg_gate_wait {
    uint32_t queue; /* index of the parent */
    uint32_t number;
    uint64_t mark; /* 0: there is nothing of it */
};

/* Of one queue, from its parent up to a queue of the topic's creation. */
struct clg_gate_chain {
    uint32_t count;
    struct clg_gate_wait waits[CLG_GROWTH_STEPS_MAX];
};

struct clg_gate {
    bool open;
    uint32_t parent; /* the one that keeps it closed, or its own; UINT32_MAX: it has none */
    uint64_t mark;
    uint64_t committed; /* offset of the group in the parent; UINT64_MAX: none */
};

/* As of what is folded. */
CLG_MUST_CHECK int clg_gate_chain(struct clg_core *core, uint64_t visible,
                                  const struct clg_topic *topic, uint32_t queue,
                                  struct clg_gate_chain *out);
/* Under the lock that covers the group. NULL: it has consumed nothing. */
void clg_gate_judge(const struct clg_gate_chain *chain, const struct clg_group *group,
                    struct clg_gate *out);
/* Both, of a queue by its number. Under the lock of groups. */
CLG_MUST_CHECK int clg_gate_look(struct clg_core *core, uint64_t visible,
                                 const struct clg_group *group, uint32_t number,
                                 struct clg_gate *out);
/* A writer's group is to commit these offsets: COMMITLOG_EMISUSE if one of the queues is not open.
 * Under the lock of groups. */
CLG_MUST_CHECK int clg_gate_check(struct commitlog_store *store, const struct clg_group *group,
                                  const struct clg_group_entry *entries, uint32_t count,
                                  struct commitlog_error *err);

#endif
