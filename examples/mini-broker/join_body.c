/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * join_body.c - the body of REGISTER_BROKER. See join_body.h.
 *
 * The version of the topics is a count and the time at which the broker started: a broker that
 * comes back with other topics has another one. A name server that is told of the same version
 * again looks at no topic, and it forgets none that it is not told of, so each part has a version
 * of its own: as a broker of RocketMQ does it that splits its registration.
 * Happy path: an object for each topic that is not deleted. Failure modes: no memory: NULL.
 */
#include "join_body.h"

#include "topics.h"

static json_t *version_of(const struct broker *broker, uint64_t version)
{
    return json_pack("{s:I, s:I, s:I}", "counter", (json_int_t)version, "stateVersion",
                     (json_int_t)0, "timestamp", (json_int_t)broker->started_ms);
}

enum { PART_BITS = 16, TOPIC_COST = 256, ESCAPED = 6 /* bytes, of one of an attribute */ };

/* No more than that are its settings as JSON. */
static size_t cost_of(const struct topic *topic)
{
    return TOPIC_COST + 2 * topic->entry.name.bytes + ESCAPED * topic->attributes_cost;
}

static json_t *topics_of(const struct broker *broker, uint32_t part, bool *out_more)
{
    json_t *topics = json_object();
    uint32_t at = 0;
    size_t cost = 0;
    for (const struct topic *topic = topic_next(broker, NULL); topic != NULL;
         topic = topic_next(broker, topic)) {
        if (topic->deleted)
            continue;
        cost += cost_of(topic);
        if (cost > JOIN_PART_BYTES) {
            cost = cost_of(topic);
            at++;
        }
        if (at == part)
            json_object_set_new(topics, topic->entry.name.data, topic_settings(topic));
    }
    *out_more = at > part;
    return topics;
}

char *join_body(const struct broker *broker, uint64_t version, uint32_t part, bool *out_more)
{
    json_t *body = json_pack(
        "{s:[], s:{s:o, s:o, s:o, s:{}, s:{}}}", "filterServerList", "topicConfigSerializeWrapper",
        "dataVersion", version_of(broker, version << PART_BITS | part), "mappingDataVersion",
        version_of(broker, 0), "topicConfigTable", topics_of(broker, part, out_more),
        "topicQueueMappingDetailMap", "topicQueueMappingInfoMap");
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}
