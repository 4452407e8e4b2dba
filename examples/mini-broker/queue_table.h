/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * queue_table.h - tables by queue as Java clients read them: their keys are objects, which JSON
 * does not have.
 *
 * Owns: nothing. Threads: the loop's.
 */
#ifndef MINI_BROKER_QUEUE_TABLE_H
#define MINI_BROKER_QUEUE_TABLE_H

#include "topics.h"

/* The key and the colon; a comma before all but the first. */
void queue_table_key(struct buffer *out, const struct broker *broker, const struct topic *topic,
                     uint32_t queue, bool first);

#endif
