/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * groups.c - settings of consumer groups. See groups.h.
 *
 * Happy path: a consumer's first heartbeat or pull makes one with the usual settings; the offset
 * that it commits makes it stay; an administrator changes its settings. Failure modes: no memory:
 * NULL; as many as there can be: those that nobody needs are forgotten at once, and if that does
 * not help, NULL, and the log says so once; more settings than are kept: refused, or, in the file
 * of settings, which may be an older one's, left out, and the log says so; those of the store:
 * NULL, and the log says why.
 */
#include "groups.h"

#include "clients.h"
#include "codes.h"
#include "config_store.h"
#include "log.h"
#include "offsets.h"

#include <stdlib.h>

enum { LOOK_MS = 10000, LOOK_AGAIN_MS = 1000 /* when there is no room */ };

struct groups {
    struct table table;
    size_t settings_bytes; /* of all */
    size_t count;          /* of those that are there, */
    size_t passing;        /* and those of them that are not kept */
    bool said_full;
    uint64_t looked_ms; /* for room */
    uv_timer_t look;
    struct broker *broker;
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

/* Deleted ones, too. */
static struct group *group_any(const struct broker *broker, struct text name)
{
    return (struct group *)(void *)table_find(&broker->groups->table, name);
}

static struct group *group_any_next(const struct broker *broker, const struct group *group)
{
    return (struct group *)(void *)table_next(&broker->groups->table,
                                              group == NULL ? NULL : &group->entry);
}

struct group *group_find(const struct broker *broker, struct text name)
{
    struct group *group = group_any(broker, name);
    return group == NULL || group->deleted ? NULL : group;
}

struct group *group_next(const struct broker *broker, const struct group *group)
{
    struct group *next = group_any_next(broker, group);
    while (next != NULL && next->deleted)
        next = group_any_next(broker, next);
    return next;
}

/* Around each change of what it counts as. */
static void group_uncount(struct groups *groups, const struct group *group)
{
    groups->count -= !group->deleted;
    groups->passing -= !group->deleted && !group->kept;
}

static void group_count(struct groups *groups, const struct group *group)
{
    groups->count += !group->deleted;
    groups->passing += !group->deleted && !group->kept;
}

static void group_usual(struct group *group)
{
    group->consume = group->broadcast = group->notify = true;
    group->retry_queues = 1;
    group->retry_max = 16;
}

/* NULL: no memory. */
static struct group *group_new(struct broker *broker, struct text name)
{
    struct group *group = calloc(1, sizeof *group + name.bytes + 1);
    if (group == NULL)
        return NULL;
    memcpy(group + 1, name.data, name.bytes);
    group->entry.name = (struct text){(char *)(group + 1), name.bytes};
    group_usual(group);
    if (!table_insert(&broker->groups->table, &group->entry)) {
        free(group);
        return NULL;
    }
    group_count(broker->groups, group);
    return group;
}

static void group_drop(struct broker *broker, struct group *group)
{
    struct groups *groups = broker->groups;
    group_uncount(groups, group);
    if (groups->count < GROUPS_MAX / 10 * 9)
        groups->said_full = false;
    commitlog_group_close(group->stored);
    if (group->settings != NULL)
        groups->settings_bytes -= strlen(group->settings);
    free(group->settings);
    table_remove(&groups->table, &group->entry);
    free(group);
}

/* With the topic of its retries, if that is only there for it. */
static void group_forget(struct broker *broker, struct group *group)
{
    topic_pass(broker, group->entry.name);
    group_drop(broker, group);
}

/* Those that only clients named, and that none has named for so long. */
static void groups_forget(struct broker *broker, uint64_t after_ms)
{
    const uint64_t now = uv_now(&broker->loop);
    struct group *group = group_any_next(broker, NULL);
    if (broker->groups->passing == 0 || broker->clients == NULL) /* it begins, or ends */
        return;
    while (group != NULL) {
        struct group *next = group_any_next(broker, group);
        if (!group->kept && clients_consumers(broker, group->entry.name) != NULL) {
            group->seen_ms = now;
        } else if (!group->kept && now - group->seen_ms >= after_ms) {
            group_forget(broker, group);
        }
        group = next;
    }
}

static void on_look(uv_timer_t *timer)
{
    const struct groups *groups = timer->data;
    groups_forget(groups->broker, GROUP_FORGOTTEN_MS);
}

/* For one more, or for one that is in the table, deleted. */
static bool groups_have_room(struct broker *broker, bool in_table)
{
    struct groups *groups = broker->groups;
    const uint64_t now = uv_now(&broker->loop);
    if (groups->count >= GROUPS_MAX && now - groups->looked_ms >= LOOK_AGAIN_MS) {
        groups->looked_ms = now;
        groups_forget(broker, 0);
    }
    if (groups->count < GROUPS_MAX && (in_table || groups->table.count < 2 * (size_t)GROUPS_MAX))
        return true;
    if (!groups->said_full)
        log_line(LOG_WARN, "there are %zu groups of consumers, and offsets of %zu: no room",
                 groups->count, groups->table.count - groups->count);
    groups->said_full = true;
    return false;
}

struct group *group_make(struct broker *broker, struct text name)
{
    struct groups *groups = broker->groups;
    struct group *group = group_any(broker, name);
    if (group == NULL || group->deleted) {
        if (!group_name_is_good(name) || !groups_have_room(broker, group != NULL))
            return NULL;
        if (group == NULL && (group = group_new(broker, name)) == NULL)
            return NULL;
        if (group->deleted) { /* again: it begins at the offsets that were left */
            group_uncount(groups, group);
            group->deleted = false;
            group_usual(group);
            group_count(groups, group);
            config_changed(broker);
        }
    }
    group->seen_ms = uv_now(&broker->loop);
    return group;
}

void group_keep(struct broker *broker, struct group *group)
{
    if (group->kept)
        return;
    group_uncount(broker->groups, group);
    group->kept = true;
    group_count(broker->groups, group);
    topic_stay(broker, group->entry.name);
    config_changed(broker);
}

uint32_t group_retry_queues(const struct group *group)
{
    return group->retry_queues < 1                  ? 1
           : group->retry_queues > TOPIC_QUEUES_MAX ? TOPIC_QUEUES_MAX
                                                    : (uint32_t)group->retry_queues;
}

struct topic *group_retries(struct broker *broker, const struct group *group)
{
    return topic_of_retries(broker, group->entry.name, group_retry_queues(group), !group->kept);
}

struct commitlog_group *group_stored(struct broker *broker, struct text name, bool create)
{
    struct commitlog_error err = {0};
    struct group *group = create ? group_make(broker, name) : group_any(broker, name);
    if (group == NULL)
        return NULL;
    if (group->stored == NULL) {
        const int32_t code =
            commitlog_group_open(broker->store, name.data, name.bytes,
                                 create ? COMMITLOG_GROUP_CREATE : 0, &group->stored, &err);
        if (code != COMMITLOG_OK && code != COMMITLOG_ENOTFOUND)
            log_line(LOG_ERROR, "group %s: %s", group->entry.name.data, err.message);
    }
    if (group->stored != NULL)
        group_keep(broker, group);
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
    int consume = 1, broadcast = 1, retry_queues = 1, retry_max = 16;
    if (json_unpack(settings, "{s:s, s?b, s?b, s?i, s?i}", "groupName", &name, "consumeEnable",
                    &consume, "consumeBroadcastEnable", &broadcast, "retryQueueNums", &retry_queues,
                    "retryMaxTimes", &retry_max) != 0)
        return NULL;
    struct group *group = group_make(broker, text_of(name));
    if (group == NULL)
        return NULL;
    group->consume = consume != 0;
    group->broadcast = broadcast != 0;
    /* Of any type in a file of a broker that did not look at it. */
    group->notify = !json_is_false(json_object_get(settings, "notifyConsumerIdsChangedEnable"));
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

/* As it was before a change; a group that was not there is gone again. */
static void group_undo(struct broker *broker, struct group *group, const struct group *before)
{
    if (before == NULL) {
        group_drop(broker, group);
    } else {
        const struct table_entry entry = group->entry; /* others beside it in the table have gone */
        group_uncount(broker->groups, group);
        *group = *before;
        group->entry = entry;
        group_count(broker->groups, group);
    }
    config_changed(broker);
}

int32_t group_update(struct broker *broker, json_t *settings, const char **out_why)
{
    const char *name = json_string_value(json_object_get(settings, "groupName"));
    const struct group *old = name == NULL ? NULL : group_any(broker, text_of(name));
    const struct group before = old == NULL ? (struct group){0} : *old;
    if (json_integer_value(json_object_get(settings, "retryQueueNums")) > TOPIC_QUEUES_MAX) {
        *out_why = "so many queues no topic has";
        return REPLY_INVALID;
    }
    char *text = settings_text(settings);
    *out_why = text == NULL ? "no memory" : "too much, of this group or of all";
    if (text == NULL || !settings_have_room(broker, old, text)) {
        free(text);
        return REPLY_INVALID;
    }
    struct group *group = group_take(broker, settings);
    if (group == NULL) {
        *out_why = "not its name and numbers, or no room for another";
        free(text);
        return REPLY_INVALID;
    }
    char *kept = settings_swap(broker, group, text);
    group_keep(broker, group);
    if (saved(broker, out_why)) {
        free(kept);
        return REPLY_OK;
    }
    settings_set(broker, group, kept);
    group_undo(broker, group, old == NULL ? NULL : &before);
    return REPLY_SYSTEM_ERROR;
}

/* It was deleted, and its offsets are left, if the store has them. */
static void group_take_deleted(struct broker *broker, struct text name)
{
    struct group *group = group_any(broker, name);
    if (group == NULL)
        return;
    group_uncount(broker->groups, group);
    group->deleted = true;
    group_count(broker->groups, group);
}

bool group_from_json(struct broker *broker, json_t *settings)
{
    const char *name = json_string_value(json_object_get(settings, "groupName"));
    if (name != NULL && strlen(name) > GROUP_NAME_MAX) { /* an older broker took it */
        log_line(LOG_WARN, "group %s: left out, its name is longer than %d bytes", name,
                 GROUP_NAME_MAX);
        return true;
    }
    if (name != NULL && json_is_true(json_object_get(settings, "deleted"))) {
        group_take_deleted(broker, text_of(name));
        return true;
    }
    /* However many there are: they were taken when there was room. */
    if (name != NULL && group_name_is_good(text_of(name)) &&
        group_any(broker, text_of(name)) == NULL && group_new(broker, text_of(name)) == NULL)
        return false;
    struct group *group = group_take(broker, settings);
    if (group == NULL)
        return false;
    char *text = settings_text(settings);
    if (text != NULL && !settings_have_room(broker, group, text)) {
        log_line(LOG_WARN, "group %s: more settings than are kept: it has the usual ones",
                 group->entry.name.data);
        free(text);
        text = NULL;
    }
    settings_set(broker, group, text);
    group_keep(broker, group);
    return true;
}

static bool group_delete_stored(struct group *group, const char **out_why)
{
    struct commitlog_error err = {0};
    const int32_t code = group->stored == NULL
                             ? COMMITLOG_OK
                             : commitlog_group_delete(group->stored, COMMITLOG_LEVEL_NONE, &err);
    if (code == COMMITLOG_OK || code == COMMITLOG_ENOTFOUND)
        return true;
    log_line(LOG_ERROR, "group %s: %s", group->entry.name.data, err.message);
    *out_why = "the group cannot be deleted";
    return false;
}

bool group_delete(struct broker *broker, struct text name, bool clean, const char **out_why)
{
    struct group *group = group_any(broker, name);
    *out_why = "its offsets cannot be stored";
    if (group == NULL || (group->deleted && !clean))
        return true;
    if (!clean && !offsets_settle(broker, name)) /* later they would make the group again */
        return false;
    const bool left = group_stored(broker, name, false) != NULL && !clean;
    const struct group before = *group;
    group_uncount(broker->groups, group);
    group->deleted = true;
    group->kept = left; /* in the file, too, or it would be there again after a restart */
    group_count(broker->groups, group);
    if (!saved(broker, out_why) || (clean && !group_delete_stored(group, out_why))) {
        group_undo(broker, group, &before);
        return false;
    }
    if (clean)
        offsets_forget(broker, name);
    if (left)
        settings_set(broker, group, NULL);
    else
        group_forget(broker, group);
    return true;
}

json_t *group_settings(const struct group *group)
{
    if (group->settings != NULL)
        return json_loads(group->settings, 0, NULL);
    return json_pack("{s:s, s:b, s:b, s:b, s:b, s:i, s:i, s:i, s:i, s:b, s:i, s:i, s:{}}",
                     "groupName", group->entry.name.data, "consumeEnable", group->consume,
                     "consumeFromMinEnable", 1, "consumeBroadcastEnable", group->broadcast,
                     "consumeMessageOrderly", 0, "retryQueueNums", group->retry_queues,
                     "retryMaxTimes", group->retry_max, "brokerId", 0,
                     "whichBrokerWhenConsumeSlowly", 1, "notifyConsumerIdsChangedEnable",
                     group->notify, "groupSysFlag", 0, "consumeTimeoutMinute", 15, "attributes");
}

void groups_to_json(const struct broker *broker, json_t *array)
{
    for (const struct group *group = group_any_next(broker, NULL); group != NULL;
         group = group_any_next(broker, group)) {
        if (!group->kept)
            continue;
        json_array_append_new(
            array, group->deleted
                       ? json_pack("{s:s, s:b}", "groupName", group->entry.name.data, "deleted", 1)
                       : group_settings(group));
    }
}

/* Groups that the store has offsets of, however many there are. */
static bool groups_of_store(struct broker *broker)
{
    struct commitlog_group_info info = {.struct_bytes = sizeof info};
    for (uint32_t i = 0; commitlog_group_at(broker->store, i, &info) == COMMITLOG_OK; i++) {
        const struct text name = {info.name, info.name_bytes};
        if (!group_name_is_good(name))
            continue;
        struct group *group = group_new(broker, name);
        if (group == NULL)
            return false;
        group_uncount(broker->groups, group);
        group->kept = true;
        group_count(broker->groups, group);
    }
    return true;
}

bool groups_start(struct broker *broker)
{
    struct groups *groups = calloc(1, sizeof *groups);
    if (groups == NULL)
        return false;
    groups->broker = broker;
    groups->look.data = groups;
    broker->groups = groups;
    uv_timer_init(&broker->loop, &groups->look);
    return groups_of_store(broker) && uv_timer_start(&groups->look, on_look, LOOK_MS, LOOK_MS) == 0;
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
    uv_close((uv_handle_t *)&broker->groups->look, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    free(broker->groups);
    broker->groups = NULL;
}
