/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * topics.c - settings of topics, and their topics of the store. See topics.h.
 *
 * What is in the store and not in the file of settings gets the usual settings, so a topic is never
 * lost when its messages are not.
 * Happy path: find, make at the first send, store. Failure modes: those of the store, to the
 * caller; no memory: NULL; as many as there can be: NULL, and the log says so once, but what was
 * kept, or is in the store, is taken at the start however much it is.
 */
#include "topics.h"

#include "codes.h"
#include "command.h"
#include "config_store.h"
#include "join.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>

struct topics {
    struct table table;
    size_t count;   /* of those that are there, and not passing */
    size_t passing; /* of those that are */
    bool said_full;
    struct topic **by_stored;
    size_t by_stored_room;
};

struct topic *topic_find(const struct broker *broker, struct text name)
{
    struct topic *topic = (struct topic *)(void *)table_find(&broker->topics->table, name);
    return topic == NULL || topic->deleted ? NULL : topic;
}

struct topic *topic_next(const struct broker *broker, const struct topic *topic)
{
    return (struct topic *)(void *)table_next(&broker->topics->table,
                                              topic == NULL ? NULL : &topic->entry);
}

static bool name_is_good(struct text name, size_t most)
{
    for (size_t i = 0; i < name.bytes; i++) {
        const char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-' || c == '%' || c == '|'))
            return false;
    }
    return name.bytes > 0 && name.bytes <= most;
}

bool topic_name_is_good(struct text name)
{
    return name_is_good(name, TOPIC_NAME_MAX);
}

bool group_name_is_good(struct text name)
{
    return name_is_good(name, GROUP_NAME_MAX);
}

bool topic_is_retry(const struct topic *topic)
{
    return text_begins(topic->entry.name, TEXT(RETRY_PREFIX));
}

uint32_t topic_queues(const struct topic *topic)
{
    return topic->read_queues > topic->write_queues ? topic->read_queues : topic->write_queues;
}

static struct topic *topic_new(struct broker *broker, struct text name)
{
    struct topic *topic = calloc(1, sizeof *topic + name.bytes + 1);
    if (topic == NULL)
        return NULL;
    char *copy = (char *)(topic + 1);
    memcpy(copy, name.data, name.bytes);
    topic->entry.name = (struct text){copy, name.bytes};
    topic->stored = TOPIC_NOT_STORED;
    if (!table_insert(&broker->topics->table, &topic->entry)) {
        free(topic);
        return NULL;
    }
    return topic;
}

/* Around each change of what it counts as. */
static void topic_uncount(struct broker *broker, const struct topic *topic)
{
    broker->topics->count -= !topic->deleted && !topic->passing;
    broker->topics->passing -= !topic->deleted && topic->passing;
    if (broker->topics->count < TOPICS_MAX / 10 * 9)
        broker->topics->said_full = false;
}

static void topic_count(struct broker *broker, const struct topic *topic)
{
    broker->topics->count += !topic->deleted && !topic->passing;
    broker->topics->passing += !topic->deleted && topic->passing;
}

/* One of that name may be there, if it was deleted. NULL: no memory. */
static struct topic *topic_add(struct broker *broker, struct text name, uint32_t queues,
                               uint32_t perm, bool passing)
{
    struct topic *topic = (struct topic *)(void *)table_find(&broker->topics->table, name);
    if (topic != NULL && !topic->deleted)
        return topic;
    if (topic == NULL)
        topic = topic_new(broker, name);
    if (topic == NULL)
        return NULL;
    topic->deleted = false;
    topic->passing = passing;
    topic->read_queues = topic->write_queues = queues;
    topic->perm = perm;
    topic->order = false;
    topic->sys_flag = 0;
    topic_count(broker, topic);
    log_line(passing ? LOG_DEBUG : LOG_INFO, "topic %.*s: made, %u queues", (int)name.bytes,
             name.data, queues);
    if (passing)
        join_changed(broker);
    else
        config_changed(broker);
    return topic;
}

/* For one more. */
static bool topics_have_room(const struct broker *broker, struct text name)
{
    struct topics *topics = broker->topics;
    const size_t names = topics->table.count - topics->passing;
    if (topics->count < TOPICS_MAX &&
        (names < 2 * (size_t)TOPICS_MAX || table_find(&topics->table, name) != NULL))
        return true;
    if (!topics->said_full)
        log_line(LOG_WARN, "there are %zu topics, and names of %zu deleted ones: no room",
                 topics->count, names - topics->count);
    topics->said_full = true;
    return false;
}

struct topic *topic_make(struct broker *broker, struct text name, uint32_t queues, uint32_t perm)
{
    struct topic *topic = topic_find(broker, name);
    if (topic == NULL && topics_have_room(broker, name))
        topic = topic_add(broker, name, queues, perm, false);
    return topic;
}

/* It is in no table any more. */
static void topic_drop(struct broker *broker, struct topic *topic)
{
    table_remove(&broker->topics->table, &topic->entry);
    topic_take_attributes(broker, topic, NULL);
    topic->deleted = true;
    topic->gone = true;
    if (topic->lines == 0)
        free(topic);
}

void topic_unwait(struct topic *topic)
{
    topic->lines--;
    if (topic->lines == 0 && topic->gone)
        free(topic);
}

void topic_unmake(struct broker *broker, struct topic *topic)
{
    topic_uncount(broker, topic);
    topic->deleted = true;
    if (topic->stored == TOPIC_NOT_STORED && topic->generation == 0)
        topic_drop(broker, topic);
    config_changed(broker);
}

/* No name: it would be too long for a topic. */
static struct text name_of_group(char name[TOPIC_NAME_MAX + 1], const char *prefix,
                                 struct text group)
{
    const int bytes =
        snprintf(name, TOPIC_NAME_MAX + 1, "%s%.*s", prefix, (int)group.bytes, group.data);
    return bytes < 0 || bytes > TOPIC_NAME_MAX ? (struct text){0}
                                               : (struct text){name, (size_t)bytes};
}

struct topic *topic_of_dead(struct broker *broker, struct text group)
{
    char name[TOPIC_NAME_MAX + 1];
    const struct text dead = name_of_group(name, DEAD_PREFIX, group);
    return dead.bytes == 0 ? NULL : topic_make(broker, dead, 1, PERM_READ | PERM_WRITE);
}

/* It has at least so many queues, if the store can. */
static void topic_widen(struct broker *broker, struct topic *topic, uint32_t queues)
{
    struct commitlog_error err = {0};
    const uint32_t read = topic->read_queues, write = topic->write_queues;
    if (read >= queues && write >= queues)
        return;
    topic->read_queues = read < queues ? queues : read;
    topic->write_queues = write < queues ? queues : write;
    if (topic->stored != TOPIC_NOT_STORED && topic_store(broker, topic, &err) != COMMITLOG_OK) {
        log_line(LOG_ERROR, "topic %s: %s", topic->entry.name.data, err.message);
        topic->read_queues = read;
        topic->write_queues = write;
    }
    config_changed(broker);
}

struct topic *topic_of_retries(struct broker *broker, struct text group, uint32_t queues,
                               bool passing)
{
    char name[TOPIC_NAME_MAX + 1];
    const struct text retries = name_of_group(name, RETRY_PREFIX, group);
    if (retries.bytes == 0)
        return NULL;
    struct topic *topic = passing ? topic_add(broker, retries, queues, PERM_READ | PERM_WRITE, true)
                                  : topic_make(broker, retries, queues, PERM_READ | PERM_WRITE);
    if (topic != NULL)
        topic_widen(broker, topic, queues);
    return topic;
}

static void topic_becomes_lasting(struct broker *broker, struct topic *topic)
{
    if (!topic->passing)
        return;
    topic_uncount(broker, topic);
    topic->passing = false;
    topic_count(broker, topic);
    config_changed(broker);
}

void topic_stay(struct broker *broker, struct text group)
{
    char name[TOPIC_NAME_MAX + 1];
    struct topic *topic = topic_find(broker, name_of_group(name, RETRY_PREFIX, group));
    if (topic != NULL)
        topic_becomes_lasting(broker, topic);
}

void topic_pass(struct broker *broker, struct text group)
{
    char name[TOPIC_NAME_MAX + 1];
    struct topic *topic = topic_find(broker, name_of_group(name, RETRY_PREFIX, group));
    if (topic == NULL || !topic->passing)
        return;
    topic_uncount(broker, topic);
    topic->passing = false;
    topic->deleted = true;
    if (topic->generation == 0)
        topic_drop(broker, topic);
    join_changed(broker);
}

static bool topic_note_stored(struct broker *broker, struct topic *topic)
{
    struct topics *topics = broker->topics;
    if (topic->stored >= topics->by_stored_room) {
        const size_t room = ((size_t)topic->stored + 64) & ~(size_t)63;
        struct topic **grown = realloc(topics->by_stored, room * sizeof *grown);
        if (grown == NULL)
            return false;
        memset(grown + topics->by_stored_room, 0, (room - topics->by_stored_room) * sizeof *grown);
        topics->by_stored = grown;
        topics->by_stored_room = room;
    }
    topics->by_stored[topic->stored] = topic;
    return true;
}

struct topic *topic_of_stored(const struct broker *broker, uint32_t stored)
{
    const struct topics *topics = broker->topics;
    return stored < topics->by_stored_room ? topics->by_stored[stored] : NULL;
}

static void topic_drop_cursors(struct topic *topic)
{
    for (uint32_t i = 0; topic->cursors != NULL && i < topic->stored_queues; i++)
        commitlog_cursor_close(topic->cursors[i]);
    free(topic->cursors);
    topic->cursors = NULL;
}

/* The store's topic is there: as large as it has to be. */
static int32_t topic_grow(struct broker *broker, struct topic *topic, uint32_t number,
                          struct commitlog_error *err)
{
    struct commitlog_topic_info info = {.struct_bytes = sizeof info};
    int32_t code = commitlog_topic_info(broker->store, number, &info);
    const uint32_t wanted = topic_queues(topic);
    if (code == COMMITLOG_OK && info.queues_total < wanted) {
        const uint32_t now = info.queues;
        code = commitlog_topic_grow(broker->store, number, (wanted + now - 1) / now * now,
                                    COMMITLOG_LEVEL_NONE, err);
        if (code == COMMITLOG_OK)
            code = commitlog_topic_info(broker->store, number, &info);
    }
    if (code != COMMITLOG_OK)
        return code;
    topic_drop_cursors(topic);
    topic->stored = number;
    topic->stored_queues = info.queues_total;
    return topic_note_stored(broker, topic) ? COMMITLOG_OK : COMMITLOG_ENOMEM;
}

int32_t topic_store(struct broker *broker, struct topic *topic, struct commitlog_error *err)
{
    if (topic->stored != TOPIC_NOT_STORED && topic->stored_queues >= topic_queues(topic))
        return COMMITLOG_OK;
    topic_becomes_lasting(broker, topic);
    char name[COMMITLOG_TOPIC_NAME_MAX_BYTES + 16];
    int bytes = snprintf(name, sizeof name, "%s", topic->entry.name.data);
    if (topic->generation > 0)
        bytes = snprintf(name, sizeof name, "%s#%u", topic->entry.name.data, topic->generation);
    uint32_t number;
    /* One that was deleted and is made again: before it gets a message the settings say so. */
    if (topic->stored == TOPIC_NOT_STORED && topic->generation > 0)
        (void)config_save(broker);
    int32_t code = commitlog_topic_open(broker->store, name, (size_t)bytes, 0, &number, err);
    if (code == COMMITLOG_ENOTFOUND)
        code = commitlog_topic_open(broker->store, name, (size_t)bytes, topic_queues(topic),
                                    &number, err);
    return code == COMMITLOG_OK ? topic_grow(broker, topic, number, err) : code;
}

bool topic_delete(struct broker *broker, struct topic *topic)
{
    /* What the store knows by this name it knows for good: the next one has another. */
    const bool known = topic->stored != TOPIC_NOT_STORED || topic->generation > 0;
    topic_uncount(broker, topic);
    topic->generation += known;
    topic->deleted = true;
    config_changed(broker);
    if (!config_save(broker)) {
        topic->generation -= known;
        topic->deleted = false;
        topic_count(broker, topic);
        config_changed(broker);
        return false;
    }
    topic_drop_cursors(topic);
    if (topic->stored != TOPIC_NOT_STORED)
        broker->topics->by_stored[topic->stored] = NULL;
    topic->stored = TOPIC_NOT_STORED;
    topic->stored_queues = 0;
    topic->passing = false;
    topic_take_attributes(broker, topic, NULL);
    log_line(LOG_INFO, "topic %s: deleted", topic->entry.name.data);
    if (!known)
        topic_drop(broker, topic);
    return true;
}

int32_t topic_bounds(const struct broker *broker, const struct topic *topic, uint32_t queue,
                     struct commitlog_queue_info *out)
{
    *out = (struct commitlog_queue_info){.struct_bytes = sizeof *out};
    if (topic->stored == TOPIC_NOT_STORED || queue >= topic->stored_queues)
        return COMMITLOG_OK;
    const int32_t code = commitlog_queue_info(broker->store, topic->stored, queue, out);
    if (code != COMMITLOG_OK)
        *out = (struct commitlog_queue_info){.struct_bytes = sizeof *out};
    return code;
}

struct commitlog_cursor *topic_cursor(struct broker *broker, struct topic *topic, uint32_t queue)
{
    if (topic->cursors == NULL)
        topic->cursors = calloc(topic->stored_queues, sizeof *topic->cursors);
    if (topic->cursors == NULL)
        return NULL;
    if (topic->cursors[queue] == NULL &&
        commitlog_cursor_open(broker->store, topic->stored, queue, COMMITLOG_FROM_FIRST, 0,
                              &topic->cursors[queue], NULL) != COMMITLOG_OK)
        return NULL;
    return topic->cursors[queue];
}

void topic_cursor_release(struct commitlog_cursor *cursor)
{
    struct commitlog_lease *lease;
    if (commitlog_cursor_lease(cursor, &lease) == COMMITLOG_OK)
        commitlog_lease_release(lease);
}

json_t *topic_settings(const struct topic *topic)
{
    json_t *attributes = topic->attributes != NULL ? json_incref(topic->attributes) : json_object();
    return json_pack("{s:o, s:b, s:i, s:i, s:s, s:s, s:i, s:i}", "attributes", attributes, "order",
                     (int)topic->order, "perm", (int)topic->perm, "readQueueNums",
                     (int)topic->read_queues, "topicFilterType", "SINGLE_TAG", "topicName",
                     topic->entry.name.data, "topicSysFlag", (int)topic->sys_flag, "writeQueueNums",
                     (int)topic->write_queues);
}

bool topic_is_written(const struct topic *topic)
{
    return topic->generation > 0 ||
           (!topic->passing && (!topic->deleted || topic->stored != TOPIC_NOT_STORED));
}

json_t *topic_to_json(const struct topic *topic)
{
    json_t *json = json_pack(
        "{s:s, s:i, s:i, s:i, s:i, s:i, s:b, s:b}", "name", topic->entry.name.data, "readQueues",
        (int)topic->read_queues, "writeQueues", (int)topic->write_queues, "perm", (int)topic->perm,
        "sysFlag", (int)topic->sys_flag, "generation", (int)topic->generation, "order",
        (int)topic->order, "deleted", (int)(topic->deleted || topic->passing));
    if (json != NULL && topic->attributes != NULL && !topic->deleted)
        json_object_set(json, "attributes", topic->attributes);
    return json;
}

bool topic_from_json(struct broker *broker, json_t *json)
{
    const char *name = NULL;
    int read = 0, write = 0, perm = 0, flag = 0, generation = 0, order = 0, deleted = 0;
    json_t *attributes = NULL;
    if (json_unpack(json, "{s:s, s:i, s:i, s:i, s?i, s?i, s?b, s?b, s?o}", "name", &name,
                    "readQueues", &read, "writeQueues", &write, "perm", &perm, "sysFlag", &flag,
                    "generation", &generation, "order", &order, "deleted", &deleted, "attributes",
                    &attributes) != 0 ||
        read < 1 || write < 1 || read > TOPIC_QUEUES_MAX || write > TOPIC_QUEUES_MAX ||
        (attributes != NULL && !json_is_object(attributes)))
        return false;
    if (!topic_name_is_good(text_of(name)))
        return true; /* the broker's or the cluster's name, which may be any: made anew */
    struct topic *topic = topic_add(broker, text_of(name), (uint32_t)read, (uint32_t)perm, false);
    if (topic == NULL)
        return false;
    topic_uncount(broker, topic);
    topic->write_queues = (uint32_t)write;
    topic->read_queues = (uint32_t)read;
    topic->perm = (uint32_t)perm;
    topic->sys_flag = (uint32_t)flag;
    topic->generation = (uint32_t)generation;
    topic->order = order != 0;
    topic->deleted = deleted != 0;
    topic_count(broker, topic);
    topic_take_attributes(broker, topic, json_incref(attributes));
    return true;
}

static bool has_messages(const struct broker *broker, const struct commitlog_topic_info *info)
{
    for (uint32_t queue = 0; queue < info->queues_total; queue++) {
        struct commitlog_queue_info bounds = {.struct_bytes = sizeof bounds};
        if (commitlog_queue_info(broker->store, info->topic, queue, &bounds) != COMMITLOG_OK ||
            bounds.next_offset > 0)
            return true;
    }
    return false;
}

/* A topic of the store: one that the settings do not know is made, with as many queues as can be
 * read. "name#3" that they take for an older one was made when they could not be written. One that
 * they take for deleted was made again by who sent to it, if it has messages, and they were not
 * written since: who deletes a topic takes the next number. */
static void topic_of_store(struct broker *broker, const struct commitlog_topic_info *info)
{
    const char *mark = memchr(info->name, '#', info->name_bytes);
    const size_t bytes = mark == NULL ? info->name_bytes : (size_t)(mark - info->name);
    const struct text name = {info->name, bytes};
    int64_t generation = 0;
    if (!topic_name_is_good(name) ||
        (mark != NULL &&
         (!text_to_i64((struct text){mark + 1, info->name_bytes - bytes - 1}, &generation) ||
          generation < 1 || generation > UINT32_MAX)))
        return;
    struct topic *topic = (struct topic *)(void *)table_find(&broker->topics->table, name);
    if (topic != NULL &&
        (topic->generation > generation ||
         (topic->generation == generation && topic->deleted && !has_messages(broker, info))))
        return;
    const bool newer = topic == NULL || topic->generation < generation;
    topic = topic_add(broker, name, info->queues_total, PERM_READ | PERM_WRITE, false);
    if (topic == NULL)
        return;
    topic->generation = (uint32_t)generation;
    if (newer && topic_queues(topic) < info->queues_total)
        topic->read_queues = topic->write_queues = info->queues_total;
    if (topic->system)
        (void)topic_store(broker, topic, NULL); /* the others follow below */
}

/* What the store has: topics that the settings do not know, and the numbers of those they do. */
static bool topics_of_store(struct broker *broker)
{
    for (uint32_t i = 0; i < commitlog_topic_count(broker->store); i++) {
        struct commitlog_topic_info info = {.struct_bytes = sizeof info};
        if (commitlog_topic_info(broker->store, i, &info) == COMMITLOG_OK)
            topic_of_store(broker, &info);
    }
    for (struct topic *topic = topic_next(broker, NULL); topic != NULL;
         topic = topic_next(broker, topic)) {
        struct commitlog_error err = {0};
        if (topic->deleted || topic->system)
            continue;
        const int32_t code = topic_store(broker, topic, &err);
        if (code != COMMITLOG_OK) {
            log_line(LOG_ERROR, "topic %s: %s", topic->entry.name.data, err.message);
            return false;
        }
    }
    return true;
}

/* By the command line or its file: it then counts more than what was kept. */
static bool queues_are_given(const struct options *options)
{
    unsigned i = 0;
    while (options_name(i) != NULL && strcmp(options_name(i), "queues") != 0)
        i++;
    return options_name(i) != NULL && options->given[i] != NULL;
}

static void topics_system(struct broker *broker)
{
    const struct options *options = broker->options;
    char reply[160];
    (void)snprintf(reply, sizeof reply, "%s_REPLY_TOPIC", options->cluster);
    const struct {
        const char *name;
        uint32_t queues;
        uint32_t perm;
    } list[] = {{"TBW102", options->queues, PERM_READ | PERM_WRITE | PERM_INHERIT},
                {"SELF_TEST_TOPIC", 1, PERM_READ | PERM_WRITE},
                {"BenchmarkTest", 1024, PERM_READ | PERM_WRITE},
                {"OFFSET_MOVED_EVENT", 1, PERM_READ | PERM_WRITE},
                {options->cluster, 16, PERM_READ},
                {options->name, 1, PERM_READ | PERM_WRITE},
                {reply, 1, PERM_READ | PERM_WRITE}};
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        if (strlen(list[i].name) > TOPIC_NAME_MAX) {
            log_line(LOG_WARN, "no topic %s: its name is longer than %d bytes", list[i].name,
                     TOPIC_NAME_MAX);
            continue;
        }
        struct topic *topic =
            topic_add(broker, text_of(list[i].name), list[i].queues, list[i].perm, false);
        if (topic == NULL)
            continue;
        topic->system = true;
        if (i == 0 && topic->write_queues != options->queues && queues_are_given(options)) {
            topic->read_queues = topic->write_queues = options->queues;
            config_changed(broker);
        }
    }
}

bool topics_start(struct broker *broker)
{
    if (broker->topics == NULL)
        broker->topics = calloc(1, sizeof *broker->topics);
    if (broker->topics == NULL || !config_load(broker))
        return false;
    topics_system(broker);
    return topics_of_store(broker);
}

void topics_stop(struct broker *broker)
{
    struct topics *topics = broker->topics;
    if (topics == NULL)
        return;
    struct table_entry *entry = table_next(&topics->table, NULL);
    while (entry != NULL) {
        struct topic *topic = (struct topic *)(void *)entry;
        entry = table_next(&topics->table, entry);
        topic_drop_cursors(topic);
        json_decref(topic->attributes);
        free(topic);
    }
    table_free(&topics->table);
    free(topics->by_stored);
    free(topics);
    broker->topics = NULL;
}
