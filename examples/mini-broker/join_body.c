/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * join_body.c - the body of REGISTER_BROKER. See join_body.h.
 *
 * The version of the topics is a count and the time at which the broker started: a broker that
 * comes back with other topics has another one.
 * Happy path: an object for each topic that is not deleted. Failure modes: no memory: NULL.
 */
#include "join_body.h"

#include "topics.h"

static json_t *version_of(const struct broker *broker, uint64_t version)
{
    return json_pack("{s:I, s:I, s:I}", "counter", (json_int_t)version, "stateVersion",
                     (json_int_t)0, "timestamp", (json_int_t)broker->started_ms);
}

char *join_body(const struct broker *broker, uint64_t version)
{
    json_t *topics = json_object();
    for (const struct topic *topic = topic_next(broker, NULL); topic != NULL;
         topic = topic_next(broker, topic)) {
        if (!topic->deleted)
            json_object_set_new(topics, topic->entry.name.data, topic_settings(topic));
    }
    json_t *body = json_pack(
        "{s:[], s:{s:o, s:o, s:o, s:{}, s:{}}}", "filterServerList", "topicConfigSerializeWrapper",
        "dataVersion", version_of(broker, version), "mappingDataVersion", version_of(broker, 0),
        "topicConfigTable", topics, "topicQueueMappingDetailMap", "topicQueueMappingInfoMap");
    char *text = body == NULL ? NULL : json_dumps(body, JSON_COMPACT);
    json_decref(body);
    return text;
}
