/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reach.h - in which topics a group has offsets, without asking the store for each queue.
 *
 * Owns: struct reach, one for each group that has committed or was asked about. Invariants: `sum`
 * is that of the queues of all topics in it; where it is `queues`, all that the store has of the
 * group, the topics in it are those that there are. Threads: the loop's.
 */
#ifndef MINI_BROKER_REACH_H
#define MINI_BROKER_REACH_H

#include "topics.h"

struct reach;

/* Before the group commits: what is known of it, or NULL: no memory, nothing is. */
struct reach *reach_of(struct table *all, struct commitlog_group *stored, struct text group);
/* After it has, in one queue of this topic. */
void reach_committed(struct reach *reach, struct commitlog_group *stored, uint32_t topic);
/* Whether it has an offset in some queue of the topic. */
bool reach_has(struct table *all, struct commitlog_group *stored, struct text group,
               const struct topic *topic);
/* In so many queues of the topic, as the store says when each is looked at. */
uint32_t reach_queues(struct commitlog_group *stored, const struct topic *topic);
/* The group is deleted. */
void reach_forget(struct table *all, struct text group);
void reach_free(struct table *all);

#endif
