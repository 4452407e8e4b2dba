/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups.h - the settings of consumer groups, as administrators see them.
 *
 * Owns: struct group, all of them, each with its handle to the group of the store, which has the
 * offsets. Invariants: 1. a group stays if it has something worth keeping: settings, an offset, a
 * retry; one that clients only named is gone, and its topic of retries with it, GROUP_FORGOTTEN_MS
 * after the last of them, and is in no file; 2. one that was deleted with its offsets left is not
 * there to anybody, but they are; 3. there are at most GROUPS_MAX, and as many more that were
 * deleted with their offsets left; 4. of the settings that it was given, those are kept that
 * clients know, GROUP_SETTINGS_MAX bytes of one group and GROUPS_SETTINGS_MAX of all. Threads: the
 * loop's.
 */
#ifndef MINI_BROKER_GROUPS_H
#define MINI_BROKER_GROUPS_H

#include "topics.h"

#include <jansson.h>

enum { GROUPS_MAX = 100000, GROUP_FORGOTTEN_MS = 60000 };
enum { GROUP_SETTINGS_MAX = 8 * 1024, GROUPS_SETTINGS_MAX = 16 * 1024 * 1024 };

struct group {
    struct table_entry entry;       /* NUL behind the name */
    struct commitlog_group *stored; /* NULL until offsets are asked for */
    bool consume;
    bool broadcast;
    bool notify; /* members are told of changes among them */
    int32_t retry_queues;
    int32_t retry_max;
    bool kept;        /* it has something worth keeping */
    bool deleted;     /* its offsets are left */
    uint64_t seen_ms; /* by the loop's clock; of one that is not kept */
    char *settings;   /* what is known of what was given, as JSON, or NULL: the usual */
};

bool groups_start(struct broker *broker);
void groups_stop(struct broker *broker);
struct group *group_find(const struct broker *broker, struct text name);
/* Finds or makes it, for a client that names it; NULL: no memory, no room, or no such name can be.
 */
struct group *group_make(struct broker *broker, struct text name);
/* It has got something worth keeping. */
void group_keep(struct broker *broker, struct group *group);
/* The topic of its retries; NULL: no memory, or no room. */
struct topic *group_retries(struct broker *broker, const struct group *group);
/* Of the queues of that, those that its retries come to: as its settings say. */
uint32_t group_retry_queues(const struct group *group);
/* The store's; NULL: there is none (and `create` is false), or it cannot be made. */
struct commitlog_group *group_stored(struct broker *broker, struct text name, bool create);
/* REPLY_OK: the settings are on the disk. Else *out_why, and all is as it was: REPLY_INVALID: they
 * make no sense, or there is no room for them; REPLY_SYSTEM_ERROR: they cannot be written. */
int32_t group_update(struct broker *broker, json_t *settings, const char **out_why);
/* From the file of settings. False: of no group. One with too long a name is left out. */
bool group_from_json(struct broker *broker, json_t *settings);
/* Its settings are gone from the disk before it returns; with `clean` its offsets, too, those of
 * one that was deleted before included, with what is published. False: *out_why, and the group
 * stays as it is. */
bool group_delete(struct broker *broker, struct text name, bool clean, const char **out_why);
/* Those that are there: NULL begins, and ends. */
struct group *group_next(const struct broker *broker, const struct group *group);
/* As clients know it; a new reference. */
json_t *group_settings(const struct group *group);

void groups_to_json(const struct broker *broker, json_t *array);

#endif
