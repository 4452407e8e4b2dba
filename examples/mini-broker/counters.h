/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counters.h - messages put into a topic, and given from it to a group, lately: by name.
 *
 * Owns: struct counter, COUNTERS_MAX of them, until the broker stops. Invariants: a total only
 * grows; what is kept of before is that of the last minute, hour and day. Threads: the loop's.
 */
#ifndef MINI_BROKER_COUNTERS_H
#define MINI_BROKER_COUNTERS_H

#include "broker.h"

#define COUNTER_PUT "TOPIC_PUT_NUMS" /* by topic */
#define COUNTER_GET "GROUP_GET_NUMS" /* by topic@group */

bool counters_start(struct broker *broker);
void counters_stop(struct broker *broker);
/* Nothing happens when there are too many. `group` may be empty. */
void counters_add(struct broker *broker, const char *name, struct text topic, struct text group,
                  uint64_t count);

/* A second, over the last minute, or since it was counted first. */
double counters_rate(struct broker *broker, const char *name, struct text topic, struct text group);

#endif
