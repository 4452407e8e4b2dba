/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * attributes.c - the attributes of topics, which the broker keeps for its clients. See topics.h.
 *
 * Happy path: a copy is changed, and taken by the topic. Failure modes: what is no UTF-8 is left
 * out; no memory, no room: NULL, and the topic keeps those that it has; in the file of settings,
 * which may be an older one's: left out, and the log says so.
 */
#include "log.h"
#include "topics.h"

#include <stdlib.h>

enum { ATTRIBUTE_COST = 128, LIST_MAX = 65536 };

static size_t cost_of(json_t *attributes)
{
    const char *name;
    json_t *value;
    size_t cost = 0;
    json_object_foreach(attributes, name, value)
    {
        cost += ATTRIBUTE_COST + strlen(name) + json_string_length(value);
        if (!json_is_string(value))
            return SIZE_MAX; /* the file of settings has it from nobody */
    }
    return cost;
}

/* In place of those that the topic has, which may be NULL. */
static bool have_room(const struct broker *broker, const struct topic *topic, size_t cost)
{
    const size_t others = broker->attributes_cost - (topic == NULL ? 0 : topic->attributes_cost);
    return cost <= ATTRIBUTES_COST_MAX && others <= ATTRIBUTES_COSTS_MAX - cost;
}

/* "+a=b", or "-c". */
static void change(json_t *attributes, struct text one)
{
    const bool adds = one.bytes > 0 && one.data[0] == '+';
    const char *equal = one.bytes == 0 ? NULL : memchr(one.data, '=', one.bytes);
    if ((adds && equal == NULL) || (!adds && (one.bytes < 2 || one.data[0] != '-')))
        return;
    const size_t bytes = (adds ? (size_t)(equal - one.data) : one.bytes) - 1;
    char *name = strndup(one.data + 1, bytes);
    if (name != NULL && adds)
        json_object_set_new(attributes, name, json_stringn(equal + 1, one.bytes - bytes - 2));
    else if (name != NULL)
        json_object_del(attributes, name);
    free(name);
}

json_t *topic_new_attributes(const struct broker *broker, const struct topic *topic,
                             struct text list)
{
    if (list.bytes > LIST_MAX)
        return NULL;
    json_t *made =
        topic == NULL || topic->attributes == NULL ? json_object() : json_copy(topic->attributes);
    while (made != NULL && list.bytes > 0) {
        const char *comma = memchr(list.data, ',', list.bytes);
        const size_t bytes = comma == NULL ? list.bytes : (size_t)(comma - list.data);
        const size_t passed = bytes + (comma != NULL ? 1 : 0);
        change(made, (struct text){list.data, bytes});
        list.data += passed;
        list.bytes -= passed;
    }
    if (made == NULL || have_room(broker, topic, cost_of(made)))
        return made;
    json_decref(made);
    return NULL;
}

void topic_take_attributes(struct broker *broker, struct topic *topic, json_t *attributes)
{
    size_t cost = cost_of(attributes);
    if (!have_room(broker, topic, cost)) {
        log_line(LOG_WARN, "topic %s: more attributes than are kept: it has none",
                 topic->entry.name.data);
        json_decref(attributes);
        attributes = NULL;
        cost = 0;
    }
    json_decref(topic->attributes);
    topic->attributes = attributes;
    broker->attributes_cost += cost - topic->attributes_cost;
    topic->attributes_cost = cost;
}
