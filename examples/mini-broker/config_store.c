/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * config_store.c - DATA/broker.json. See config_store.h.
 *
 * Happy path: load at the start; a change sets a timer, and the file is written once for all
 * changes until then, which takes a small part of the time; what an administrator asked for is
 * written before the answer. Failure modes:
 * a file that is no JSON, or has what is no topic and no group, stops the start, and is left as it
 * is: nothing is written that was not read first; one that cannot be written is tried again, and
 * the log says so.
 */
#include "config_store.h"

#include "groups.h"
#include "join.h"
#include "log.h"
#include "topics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SAVE_AFTER_MS = 200, RETRY_MS = 5000 };
enum { SAVE_TIMES = 20, SAVE_AFTER_MAX_MS = 10000 }; /* as long as a write took, to the next */

struct config {
    uv_timer_t timer;
    struct broker *broker;
    uint64_t took_ms; /* the last write */
    bool changed;
    bool loaded; /* the file was read, or there is none: it may be written */
};

static void config_path(const struct broker *broker, const char *suffix, char *out, size_t room)
{
    (void)snprintf(out, room, "%s/broker.json%s", broker->options->data, suffix);
}

/* Each of the list, which may be missing. False: one of them is not to be taken. */
static bool take_all(struct broker *broker, const char *path, const json_t *list,
                     bool (*take)(struct broker *broker, json_t *json))
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (take(broker, item))
            continue;
        log_line(LOG_ERROR, "%s: number %zu of a list: no settings of a topic or a group", path,
                 i + 1);
        return false;
    }
    return true;
}

bool config_load(struct broker *broker)
{
    char path[4096];
    json_error_t error;
    config_path(broker, "", path, sizeof path);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        broker->config->loaded = true;
        return true;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        log_line(LOG_ERROR, "%s: %s", path, strerror(errno));
        return false;
    }
    json_t *json = json_loadf(file, 0, &error);
    (void)fclose(file);
    if (json == NULL) {
        log_line(LOG_ERROR, "%s: line %d: %s", path, error.line, error.text);
        return false;
    }
    const bool good = json_is_object(json) &&
                      take_all(broker, path, json_object_get(json, "topics"), topic_from_json) &&
                      take_all(broker, path, json_object_get(json, "groups"), group_from_json);
    if (!json_is_object(json))
        log_line(LOG_ERROR, "%s: has to be an object", path);
    json_decref(json);
    if (!good)
        return false;
    broker->config->changed = false;
    broker->config->loaded = true;
    return true;
}

static json_t *config_to_json(const struct broker *broker)
{
    json_t *topics = json_array(), *groups = json_array();
    for (const struct topic *topic = topic_next(broker, NULL); topic != NULL;
         topic = topic_next(broker, topic)) {
        if (topic_is_written(topic))
            json_array_append_new(topics, topic_to_json(topic));
    }
    groups_to_json(broker, groups);
    return json_pack("{s:i, s:o, s:o}", "version", 1, "topics", topics, "groups", groups);
}

static bool write_all(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        const ssize_t done = write(fd, text, bytes);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0)
            return false;
        text += done;
        bytes -= (size_t)done;
    }
    return true;
}

bool config_sync_folder(const char *path)
{
    const int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool synced = folder >= 0 && fsync(folder) == 0;
    if (folder >= 0)
        close(folder);
    return synced;
}

static bool config_write(const struct broker *broker, const char *text)
{
    char path[4096], fresh[4096];
    config_path(broker, "", path, sizeof path);
    config_path(broker, ".new", fresh, sizeof fresh);
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    const bool written = write_all(fd, text, strlen(text)) && fsync(fd) == 0;
    if (close(fd) != 0 || !written || rename(fresh, path) != 0)
        return false;
    return config_sync_folder(broker->options->data);
}

bool config_save(struct broker *broker)
{
    struct config *config = broker->config;
    if (!config->changed)
        return true;
    if (!config->loaded)
        return false; /* what is in memory is not all that there was */
    const uint64_t begin = uv_hrtime();
    json_t *json = config_to_json(broker);
    char *text = json == NULL ? NULL : json_dumps(json, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(json);
    const bool written = text != NULL && config_write(broker, text);
    free(text);
    config->took_ms = (uv_hrtime() - begin) / 1000000;
    if (written)
        config->changed = false;
    else
        log_line(LOG_ERROR, "%s/broker.json cannot be written: %s", broker->options->data,
                 strerror(errno));
    return written;
}

static void on_timer(uv_timer_t *timer)
{
    struct config *config = timer->data;
    if (!config_save(config->broker))
        uv_timer_start(timer, on_timer, RETRY_MS, 0);
}

void config_changed(struct broker *broker)
{
    struct config *config = broker->config;
    uint64_t after = config->took_ms * SAVE_TIMES;
    after = after < SAVE_AFTER_MS       ? SAVE_AFTER_MS
            : after > SAVE_AFTER_MAX_MS ? SAVE_AFTER_MAX_MS
                                        : after;
    config->changed = true;
    join_changed(broker);
    if (!uv_is_active((uv_handle_t *)&config->timer))
        uv_timer_start(&config->timer, on_timer, after, 0);
}

bool config_start(struct broker *broker)
{
    struct config *config = calloc(1, sizeof *config);
    if (config == NULL)
        return false;
    config->broker = broker;
    broker->config = config;
    uv_timer_init(&broker->loop, &config->timer);
    config->timer.data = config;
    return true;
}

void config_stop(struct broker *broker)
{
    if (broker->config == NULL)
        return;
    (void)config_save(broker);
    uv_close((uv_handle_t *)&broker->config->timer, NULL);
    (void)uv_run(&broker->loop, UV_RUN_NOWAIT);
    free(broker->config);
    broker->config = NULL;
}
