/* SPDX-License-Identifier: BSD-2-Clause */
/* topics_internal.h -- the view of topics, for topics_view.c and topics_state.c only. */
#ifndef CLG_VIEW_TOPICS_INTERNAL_H
#define CLG_VIEW_TOPICS_INTERNAL_H

#include <stdbool.h>

#include "base/bytes.h"
#include "view/topics_view.h"

/* In .state: fixed part of a topic, of a step, and a mark; see topics_state.c. */
#define STATE_TOPIC_BYTES 24u
#define STATE_STEP_BYTES 24u
#define STATE_MARK_BYTES 16u

/* A step behind the creation, as of what is folded. */
struct topics_step {
    uint64_t marked_at; /* position of the growth; 0: it is gone, or there is none */
    uint32_t mark_count;
    struct clg_topic_offset *marks; /* by ascending index of the parent */
};

struct topics_growth {
    uint32_t steps;  /* behind the creation */
    uint32_t active; /* of them: keys go to these and the creation's queues */
    struct topics_step step[CLG_GROWTH_STEPS_MAX]; /* [0] is not used */
};

struct topics_seen {
    uint64_t defined_base; /* + 1, of the newest segment with definitions of all its steps; 0: never
                              seen */
    uint64_t newest_base;  /* + 1, of the newest segment with any of them, */
    uint32_t newest_steps; /* and of which, a bit each: a crash may have kept some of them only */
    uint64_t oldest;
    struct topics_growth *growth; /* NULL: did not grow */
};

struct topics_view {
    struct clg_view view;
    struct topics_seen *seen; /* by topic id */
    uint32_t room;
    uint64_t save_bytes; /* in .state, of all that are seen */
    uint64_t contradictions;
};

/* Topics this view has met. A writer may have created others whose definition is not folded. */
static inline bool clg_topics_is_seen(const struct topics_view *topics, uint32_t id)
{
    return id < topics->room && topics->seen[id].defined_base != 0;
}

static inline uint64_t clg_topics_entry_bytes(uint32_t name_bytes)
{
    return clg_align_up(STATE_TOPIC_BYTES + name_bytes, 8);
}

/* The topic as it was created. Contradictions are counted, and *out is NULL. */
CLG_MUST_CHECK int clg_topics_add(struct topics_view *topics, const void *name, uint32_t name_bytes,
                                  uint32_t first_queue, uint32_t queues, uint64_t base_plus_1,
                                  struct clg_topic **out);
/* Takes the step into the view. The marks become the view's in any case. */
CLG_MUST_CHECK int clg_topics_set_step(struct topics_view *topics, struct clg_topic *topic,
                                       uint32_t step, uint64_t marked_at,
                                       struct clg_topic_offset *marks, uint32_t mark_count);
/* What a reader is told, and what a claim begins with. */
void clg_topics_route(const struct topics_view *topics, struct clg_topic *topic, uint32_t active);

/* topics_state.c */
uint64_t clg_topics_save_bytes(const struct clg_view *view);
void clg_topics_save(const struct clg_view *view, uint8_t *out, uint64_t bytes);
CLG_MUST_CHECK int clg_topics_restore(struct clg_view *view, const uint8_t *data, uint64_t bytes,
                                      uint64_t end);

#endif
