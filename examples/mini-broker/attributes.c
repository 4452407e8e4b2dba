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

/* The name is "+a", or "-c" with any value. */
static void change(json_t *attributes, struct text sign_and_name, struct text value)
{
    const bool adds = text_begins(sign_and_name, TEXT("+"));
    if (!adds && (sign_and_name.bytes < 2 || sign_and_name.data[0] != '-'))
        return;
    char *name = strndup(sign_and_name.data + 1, sign_and_name.bytes - 1);
    if (name != NULL && adds)
        json_object_set_new(attributes, name, json_stringn(value.data, value.bytes));
    else if (name != NULL)
        json_object_del(attributes, name);
    free(name);
}

/* "+a=b", or "-c". */
static void change_by_text(json_t *attributes, struct text one)
{
    const char *equal = one.bytes == 0 ? NULL : memchr(one.data, '=', one.bytes);
    if (one.bytes > 0 && one.data[0] == '-') {
        change(attributes, one, (struct text){0});
    } else if (equal != NULL) {
        const size_t bytes = (size_t)(equal - one.data);
        change(attributes, (struct text){one.data, bytes},
               (struct text){equal + 1, one.bytes - bytes - 1});
    }
}

json_t *topic_new_attributes(const struct broker *broker, const struct topic *topic,
                             struct text list, json_t *changes)
{
    const char *name;
    json_t *value;
    if (list.bytes > LIST_MAX)
        return NULL;
    json_t *made =
        topic == NULL || topic->attributes == NULL ? json_object() : json_copy(topic->attributes);
    while (made != NULL && list.bytes > 0) {
        const char *comma = memchr(list.data, ',', list.bytes);
        const size_t bytes = comma == NULL ? list.bytes : (size_t)(comma - list.data);
        const size_t passed = bytes + (comma != NULL ? 1 : 0);
        change_by_text(made, (struct text){list.data, bytes});
        list.data += passed;
        list.bytes -= passed;
    }
    json_object_foreach(changes, name, value)
    {
        change(made, text_of(name),
               (struct text){json_string_value(value), json_string_length(value)});
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
