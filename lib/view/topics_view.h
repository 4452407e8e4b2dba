/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topics_view.h -- the view that knows the topics and where their newest definition lies.
 *
 * Owns: per topic the base of the segment with its newest definitions, which of its growth steps
 * are folded, and of each the marks: how far its parents had come when the topic grew. The topics
 * themselves live in the registry, which this view fills when it meets a definition; a writer's own
 * definitions are there already. Invariants: defined_base never decreases. A segment that holds a
 * definition of a topic holds those of all steps that it had then. The registry's next offsets and
 * defined_base belong to the claim side: they are set once, when the store opens, by
 * clg_topics_publish. Threads and locks: the fold lock. Happy path: apply -> clg_registry_add.
 * Retention: clg_topics_carry_list -> the caller appends new definitions with offsets -> they are
 * folded -> the list is empty. Failure modes: ENOMEM. A definition that contradicts the registry is
 * counted and left out.
 */
#ifndef CLG_VIEW_TOPICS_VIEW_H
#define CLG_VIEW_TOPICS_VIEW_H

#include <stdint.h>

#include "format/topic_record.h"
#include "view/view.h"

extern const struct clg_view_ops clg_topics_view_ops;

/* See clg_fold_carry_list. `queues` is the consume queue view. */
void clg_topics_carry_list(struct clg_view *view, const struct clg_view *queues, uint64_t base,
                           uint32_t from, uint32_t *ids, uint32_t max, uint32_t *out_count,
                           uint32_t *out_next, uint64_t *out_bytes);

/* Steps behind its creation that are folded, with their newest growth below `visible`; those that
 * are claimed and not visible yet are not, nor is what lies above them. */
uint32_t clg_topics_steps(const struct clg_view *view, const struct clg_topic *topic,
                          uint64_t visible);
/* What the queue of this index has to wait for, as of what is folded: of its parent the mark, then
 * of the parent's parent, up to a queue of the creation. At most CLG_GROWTH_STEPS_MAX - 1. 0: there
 * is nothing to wait for (any more). */
uint32_t clg_topics_marks(const struct clg_view *view, const struct clg_topic *topic,
                          uint32_t index, struct clg_topic_offset *out);

/* How far the parents of each growth had come, for clg_consume_queue_reach. */
CLG_MUST_CHECK int clg_topics_reach_marks(const struct clg_view *view, struct clg_view *queues);

/* After everything was folded at opening: what the claim side needs to go on from there. */
void clg_topics_publish(struct clg_view *view, const struct clg_view *queues);

uint64_t clg_topics_contradictions(const struct clg_view *view);

#endif
