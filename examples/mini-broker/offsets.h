/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * offsets.h - how far consumer groups have come.
 *
 * Owns: the offsets that pulls carry and that are not yet in the store, all others are in the
 * store's groups; and where a group was reset while it had consumers, until they know.
 * Invariants: 1. what was told in a request of its own is in the store before the answer; 2. what a
 * pull carried is so within OFFSETS_MS; 3. an offset is never beyond the end of its queue. Threads:
 * the loop's.
 */
#ifndef MINI_BROKER_OFFSETS_H
#define MINI_BROKER_OFFSETS_H

#include "topics.h"

#include <jansson.h>

enum { OFFSETS_RESET_MS = 60000 };

bool offsets_start(struct broker *broker);
void offsets_stop(struct broker *broker);
/* Or one of these. */
enum { OFFSET_NONE = -1, OFFSET_UNKNOWN = -2 /* the store does not say */ };
int64_t offsets_get(struct broker *broker, struct text group, const struct topic *topic,
                    uint32_t queue);
/* In the store when it returns, at level none. Sets it back, too. False: the store did not take it;
 * one that makes no sense is passed over. */
bool offsets_set(struct broker *broker, struct text group, const struct topic *topic,
                 uint32_t queue, int64_t offset);
/* An administrator sets it, and the group has consumers: what these say of the queue is passed over
 * until one asks for messages from there, but not for longer than OFFSETS_RESET_MS. False: as
 * above; where there is no room to remember it, they go on where they are. */
bool offsets_reset(struct broker *broker, struct text group, const struct topic *topic,
                   uint32_t queue, int64_t offset);
/* True: a consumer may not know yet. */
bool offsets_reset_waits(struct broker *broker, struct text group, const struct topic *topic,
                         uint32_t queue);
/* One asks from an offset. True: it is to go on at another. */
bool offsets_reset_meets(struct broker *broker, struct text group, const struct topic *topic,
                         uint32_t queue, uint64_t asked, uint64_t *out_to);
/* As a pull says it by the way: stored soon. */
void offsets_note(struct broker *broker, struct text group, const struct topic *topic,
                  uint32_t queue, int64_t offset);
/* Adds the names of the groups that have come somewhere in the topic; false: no memory. */
bool offsets_groups(struct broker *broker, const struct topic *topic, json_t *names);
/* What pulls of the group said by the way is in the store when it returns. False: not all. */
bool offsets_settle(struct broker *broker, struct text group);
/* The group was deleted: what pulls of it said is not stored any more. */
void offsets_forget(struct broker *broker, struct text group);

#endif
