/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups.h - the settings of consumer groups, as administrators see them.
 *
 * Owns: struct group, all of them, each with its handle to the group of the store, which has the
 * offsets. Invariants: 1. a group that is here was seen or made by somebody, and stays; 2. of the
 * settings that it was given, those are kept that clients know, GROUP_SETTINGS_MAX bytes of one
 * group and GROUPS_SETTINGS_MAX of all. Threads: the loop's.
 */
#ifndef MINI_BROKER_GROUPS_H
#define MINI_BROKER_GROUPS_H

#include "broker.h"

#include <jansson.h>

enum { GROUP_SETTINGS_MAX = 8 * 1024, GROUPS_SETTINGS_MAX = 16 * 1024 * 1024 };

struct group {
    struct table_entry entry;       /* NUL behind the name */
    struct commitlog_group *stored; /* NULL until offsets are asked for */
    bool consume;
    bool from_min;
    bool broadcast;
    int32_t retry_queues;
    int32_t retry_max;
    bool deleted;   /* while it is being deleted: it is not written any more */
    char *settings; /* what is known of what was given, as JSON, or NULL: the usual */
};

bool groups_start(struct broker *broker);
void groups_stop(struct broker *broker);
struct group *group_find(const struct broker *broker, struct text name);
/* Finds or makes it; NULL: no memory, or no such name can be. */
struct group *group_make(struct broker *broker, struct text name);
/* The store's; NULL: there is none (and `create` is false), or it cannot be made. */
struct commitlog_group *group_stored(struct broker *broker, struct text name, bool create);
/* REPLY_OK: the settings are on the disk. Else *out_why, and all is as it was: REPLY_INVALID: they
 * make no sense, or there is no room for them; REPLY_SYSTEM_ERROR: they cannot be written. */
int32_t group_update(struct broker *broker, json_t *settings, const char **out_why);
/* From the file of settings. False: of no group. One with too long a name is left out. */
bool group_from_json(struct broker *broker, json_t *settings);
/* Its settings are gone from the disk before it returns, its offsets with what is published. False:
 * *out_why, and the group stays as it is. */
bool group_delete(struct broker *broker, struct group *group, const char **out_why);
struct group *group_next(const struct broker *broker, const struct group *group);
/* As clients know it; a new reference. */
json_t *group_settings(const struct group *group);

void groups_to_json(const struct broker *broker, json_t *array);

#endif
