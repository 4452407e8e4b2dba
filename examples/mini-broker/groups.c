/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups.c - settings of consumer groups. See groups.h.
 *
 * Happy path: a consumer's first heartbeat makes one with the usual settings; an administrator
 * changes them. Failure modes: no memory: NULL; more settings than are kept: refused, or, in the
 * file of settings, which may be an older one's, left out, and the log says so; those of the store:
 * NULL, and the log says why.
 */
#include "groups.h"

#include "codes.h"
#include "config_store.h"
#include "log.h"
#include "offsets.h"
#include "topics.h"

#include <stdlib.h>

enum { GROUPS_MAX = 100000 };

struct groups {
    struct table table;
    size_t settings_bytes; /* of all */
};

/* What official clients and tools say of a group. */
static const char *const known[] = {"groupName",
                                    "consumeEnable",
                                    "consumeFromMinEnable",
                                    "consumeBroadcastEnable",
                                    "consumeMessageOrderly",
                                    "retryQueueNums",
                                    "retryMaxTimes",
                                    "groupRetryPolicy",
                                    "brokerId",
                                    "whichBrokerWhenConsumeSlowly",
                                    "notifyConsumerIdsChangedEnable",
                                    "groupSysFlag",
                                    "consumeTimeoutMinute",
                                    "subscriptionDataSet",
                                    "attributes"};

struct group *group_find(const struct broker *broker, struct text name)
{
    return (struct group *)(void *)table_find(&broker->groups->table, name);
}

struct group *group_next(const struct broker *broker, const struct group *group)
{
    return (struct group *)(void *)table_next(&broker->groups->table,
                                              group == NULL ? NULL : &group->entry);
}

struct group *group_make(struct broker *broker, struct text name)
{
    struct group *group = group_find(broker, name);
    if (group != NULL || !group_name_is_good(name) || broker->groups->table.count >= GROUPS_MAX)
        return group;
    group = calloc(1, sizeof *group + name.bytes + 1);
    if (group == NULL)
        return NULL;
    memcpy(group + 1, name.data, name.bytes);
    group->entry.name = (struct text){(char *)(group + 1), name.bytes};
    group->consume = group->from_min = group->broadcast = true;
    group->retry_queues = 1;
    group->retry_max = 16;
    if (!table_insert(&broker->groups->table, &group->entry)) {
        free(group);
        return NULL;
    }
    config_changed(broker);
    return group;
}

struct commitlog_group *group_stored(struct broker *broker, struct text name, bool create)
{
    struct commitlog_error err = {0};
    struct group *group = group_find(broker, name);
    if (group == NULL && create)
        group = group_make(broker, name);
    if (group == NULL)
        return NULL;
    if (group->stored == NULL) {
        const int32_t code =
            commitlog_group_open(broker->store, name.data, name.bytes,
                                 create ? COMMITLOG_GROUP_CREATE : 0, &group->stored, &err);
        if (code != COMMITLOG_OK && code != COMMITLOG_ENOTFOUND)
            log_line(LOG_ERROR, "group %s: %s", group->entry.name.data, err.message);
    }
    return group->stored;
}

/* What is known of them; NULL: no memory. */
static char *settings_text(const json_t *settings)
{
    json_t *kept = json_object();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        json_t *value = json_object_get(settings, known[i]);
        if (value != NULL)
            json_object_set(kept, known[i], value);
    }
    char *text = json_dumps(kept, JSON_COMPACT);
    json_decref(kept);
    return text;
}

static size_t settings_bytes(const struct group *group)
{
    return group == NULL || group->settings == NULL ? 0 : strlen(group->settings);
}

/* Instead of what it had, which is not there yet if it is NULL. */
static bool settings_have_room(const struct broker *broker, const struct group *group,
                               const char *text)
{
    const size_t others = broker->groups->settings_bytes - settings_bytes(group);
    const size_t bytes = strlen(text);
    return bytes <= GROUP_SETTINGS_MAX && others <= GROUPS_SETTINGS_MAX - bytes;
}

/* Takes over the text, and gives back what was there. */
static char *settings_swap(struct broker *broker, struct group *group, char *text)
{
    char *before = group->settings;
    broker->groups->settings_bytes -= settings_bytes(group);
    group->settings = text;
    broker->groups->settings_bytes += settings_bytes(group);
    return before;
}

static void settings_set(struct broker *broker, struct group *group, char *text)
{
    free(settings_swap(broker, group, text));
}

/* Takes the settings that the broker goes by. NULL: these are of no group. */
static struct group *group_take(struct broker *broker, json_t *settings)
{
    const char *name = NULL;
    int consume = 1, from_min = 1, broadcast = 1, retry_queues = 1, retry_max = 16;
    if (json_unpack(settings, "{s:s, s?b, s?b, s?b, s?i, s?i}", "groupName", &name, "consumeEnable",
                    &consume, "consumeFromMinEnable", &from_min, "consumeBroadcastEnable",
                    &broadcast, "retryQueueNums", &retry_queues, "retryMaxTimes", &retry_max) != 0)
        return NULL;
    struct group *group = group_make(broker, text_of(name));
    if (group == NULL)
        return NULL;
    group->consume = consume != 0;
    group->from_min = from_min != 0;
    group->broadcast = broadcast != 0;
    group->retry_queues = retry_queues;
    group->retry_max = retry_max;
    config_changed(broker);
    return group;
}

static bool saved(struct broker *broker, const char **out_why)
{
    config_changed(broker);
    *out_why = "the settings cannot be written";
    return config_save(broker);
}

static void group_drop(struct broker *broker, struct group *group)
{
    commitlog_group_close(group->stored);
    settings_set(broker, group, NULL);
    table_remove(&broker->groups->table, &group->entry);
    free(group);
    config_changed(broker);
}

int32_t group_update(struct broker *broker, json_t *settings, const char **out_why)
{
    const char *name = json_string_value(json_object_get(settings, "groupName"));
    const struct group *old = name == NULL ? NULL : group_find(broker, text_of(name));
    const struct group before = old == NULL ? (struct group){0} : *old;
    char *text = settings_text(settings);
    *out_why = text == NULL ? "no memory" : "too much, of this group or of all";
    if (text == NULL || !settings_have_room(broker, old, text)) {
        free(text);
        return REPLY_INVALID;
    }
    struct group *group = group_take(broker, settings);
    if (group == NULL) {
        *out_why = "not its name and numbers";
        free(text);
        return REPLY_INVALID;
    }
    char *kept = settings_swap(broker, group, text);
    if (saved(broker, out_why)) {
        free(kept);
        return REPLY_OK;
    }
    settings_set(broker, group, kept);
    if (old != NULL)
        *group = before;
    else
        group_drop(broker, group);
    return REPLY_SYSTEM_ERROR;
}

bool group_from_json(struct broker *broker, json_t *settings)
{
    const char *name = json_string_value(json_object_get(settings, "groupName"));
    if (name != NULL && strlen(name) > GROUP_NAME_MAX) { /* an older broker took it */
        log_line(LOG_WARN, "group %s: left out, its name is longer than %d bytes", name,
                 GROUP_NAME_MAX);
        return true;
    }
    struct group *group = group_take(broker, settings);
    char *text = group == NULL ? NULL : settings_text(settings);
    if (text != NULL && !settings_have_room(broker, group, text)) {
        log_line(LOG_WARN, "group %s: more settings than are kept: it has the usual ones",
                 group->entry.name.data);
        free(text);
        text = NULL;
    }
    if (group != NULL)
        settings_set(broker, group, text);
    return group != NULL;
}

static bool group_delete_stored(struct broker *broker, struct group *group, const char **out_why)
{
    struct commitlog_error err = {0};
    offsets_forget(broker, group->entry.name);
    struct commitlog_group *stored = group_stored(broker, group->entry.name, false);
    const int32_t code =
        stored == NULL ? COMMITLOG_OK : commitlog_group_delete(stored, COMMITLOG_LEVEL_NONE, &err);
    if (code == COMMITLOG_OK || code == COMMITLOG_ENOTFOUND)
        return true;
    log_line(LOG_ERROR, "group %s: %s", group->entry.name.data, err.message);
    *out_why = "the group cannot be deleted";
    return false;
}

bool group_delete(struct broker *broker, struct group *group, const char **out_why)
{
    group->deleted = true;
    if (saved(broker, out_why) && group_delete_stored(broker, group, out_why)) {
        group_drop(broker, group);
        return true;
    }
    group->deleted = false;
    config_changed(broker);
    return false;
}

json_t *group_settings(const struct group *group)
{
    if (group->settings != NULL)
        return json_loads(group->settings, 0, NULL);
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:i, s:i, s:i, s:i, s:b, s:i, s:i, s:{}}",
                     "groupName", group->entry.name.data, "consumeEnable", group->consume,
                     "consumeFromMinEnable", group->from_min, "consumeBroadcastEnable",
                     group->broadcast, "consumeMessageOrderly", 0, "retryQueueNums",
                     group->retry_queues, "retryMaxTimes", group->retry_max, "brokerId", 0,
                     "whichBrokerWhenConsumeSlowly", 1, "notifyConsumerIdsChangedEnable", 1,
                     "groupSysFlag", 0, "consumeTimeoutMinute", 15, "attributes");
}

void groups_to_json(const struct broker *broker, json_t *array)
{
    for (const struct group *group = group_next(broker, NULL); group != NULL;
         group = group_next(broker, group)) {
        if (!group->deleted)
            json_array_append_new(array, group_settings(group));
    }
}

/* Groups that the store has offsets of. */
static void groups_of_store(struct broker *broker)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof info};
    for (uint32_t i = 0; commitlog_group_at(broker->store, i, &info) == COMMITLOG_OK; i++)
        (void)group_make(broker, (struct text){info.name, info.name_bytes});
}

bool groups_start(struct broker *broker)
{
    broker->groups = calloc(1, sizeof *broker->groups);
    if (broker->groups == NULL)
        return false;
    groups_of_store(broker);
    return true;
}

void groups_stop(struct broker *broker)
{
    if (broker->groups == NULL)
        return;
    struct table_entry *entry = table_next(&broker->groups->table, NULL);
    while (entry != NULL) {
        struct group *group = (struct group *)(void *)entry;
        entry = table_next(&broker->groups->table, entry);
        commitlog_group_close(group->stored);
        free(group->settings);
        free(group);
    }
    table_free(&broker->groups->table);
    free(broker->groups);
    broker->groups = NULL;
}
