/*
 * record_out.c -- printing of records: see record_out.h.
 */
#include "record_out.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"

const char *record_topic(struct record_names *names, uint32_t topic)
{
    assert(names != NULL && names->store != NULL);
    if (!names->valid || names->info.topic != topic) {
        names->info = (struct commitlog_topic_info){.struct_bytes = sizeof(names->info)};
        names->valid = topic != UINT32_MAX &&
                       commitlog_topic_info(names->store, topic, &names->info) == COMMITLOG_OK;
    }
    return names->valid ? names->info.name : "";
}

const char *record_kind(uint32_t kind)
{
    static const char *const kinds[] = {
        [COMMITLOG_KIND_MESSAGE] = "message", [COMMITLOG_KIND_REFERENCE] = "reference",
        [COMMITLOG_KIND_HOLE] = "hole",       [COMMITLOG_KIND_PAD] = "pad",
        [COMMITLOG_KIND_BATCH] = "batch",     [COMMITLOG_KIND_TOPIC] = "topic",
        [COMMITLOG_KIND_EPOCH] = "epoch",     [COMMITLOG_KIND_FIRST] = "first",
    };
    const bool known = kind >= COMMITLOG_KIND_MESSAGE && kind <= COMMITLOG_KIND_FIRST;
    return known ? kinds[kind] : "other";
}

bool record_print_body(struct out *out, const struct commitlog_message *message)
{
    assert(message != NULL);
    return out_put(out, message->body.data, message->body.bytes) && out_put(out, "\n", 1);
}

/* A JSON string, or NULL when the bytes are not UTF-8 without NUL. */
static json_t *record_text(struct commitlog_slice bytes)
{
    if (bytes.bytes == 0) {
        return json_string("");
    }
    if (memchr(bytes.data, '\0', bytes.bytes) != NULL) {
        return NULL;
    }
    return json_stringn(bytes.data, bytes.bytes); /* checks the UTF-8 */
}

static json_t *record_base64(struct commitlog_slice bytes)
{
    const size_t length = base64_length(bytes.bytes);
    char *text = malloc(length + 1);
    if (text == NULL) {
        return NULL;
    }
    base64_encode(bytes.data, bytes.bytes, text);
    json_t *value = json_stringn_nocheck(text, length);
    free(text);
    return value;
}

static json_t *record_string(struct commitlog_slice bytes)
{
    json_t *text = record_text(bytes);
    return text != NULL ? text : json_pack("{s:o}", "base64", record_base64(bytes));
}

static json_t *record_keys(const struct commitlog_message *message)
{
    json_t *keys = json_array();
    struct commitlog_slice key;
    for (uint32_t i = 0; commitlog_message_key(message, i, &key) == COMMITLOG_OK; i++) {
        if (json_array_append_new(keys, record_string(key)) != 0) {
            json_decref(keys);
            return NULL;
        }
    }
    return keys;
}

/* NULL when the names do not fit an object (or no memory: then the pairs fail as well). */
static json_t *record_headers_object(const struct commitlog_message *message)
{
    json_t *object = json_object();
    struct commitlog_header header;
    for (uint32_t i = 0; commitlog_message_header(message, i, &header) == COMMITLOG_OK; i++) {
        json_t *name = record_text(header.name);
        const bool fits = name != NULL && json_object_get(object, json_string_value(name)) == NULL;
        const int rc =
            fits ? json_object_set_new(object, json_string_value(name), record_string(header.value))
                 : -1;
        json_decref(name);
        if (rc != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

static json_t *record_headers(const struct commitlog_message *message)
{
    json_t *object = record_headers_object(message);
    if (object != NULL) {
        return object;
    }
    json_t *pairs = json_array();
    struct commitlog_header header;
    for (uint32_t i = 0; commitlog_message_header(message, i, &header) == COMMITLOG_OK; i++) {
        json_t *pair = json_pack("[o,o]", record_string(header.name), record_string(header.value));
        if (json_array_append_new(pairs, pair) != 0) {
            json_decref(pairs);
            return NULL;
        }
    }
    return pairs;
}

static json_t *record_object(struct record_names *names, const struct commitlog_message *message,
                             bool log)
{
    const bool control = message->topic == UINT32_MAX;
    json_t *object = json_object();
    int bad = json_object_set_new(object, "position", json_integer((json_int_t)message->position));
    if (log) {
        const uint64_t size = message->next_position - message->position;
        bad |= json_object_set_new(object, "kind", json_string(record_kind(message->kind)));
        bad |= json_object_set_new(object, "size", json_integer((json_int_t)size));
    }
    bad |= json_object_set_new(
        object, "topic", control ? json_null() : json_string(record_topic(names, message->topic)));
    bad |=
        json_object_set_new(object, "queue", control ? json_null() : json_integer(message->queue));
    bad |= json_object_set_new(object, "queue_offset",
                               control ? json_null()
                                       : json_integer((json_int_t)message->queue_offset));
    bad |= json_object_set_new(object, "store_time_ns", json_integer(message->store_time_ns));
    bad |= json_object_set_new(object, "time_ms", json_integer(message->time_ms));
    bad |= json_object_set_new(object, "epoch", json_integer(message->epoch));
    bad |= json_object_set_new(object, "keys", record_keys(message));
    bad |= json_object_set_new(object, "tag", record_string(message->tag));
    bad |= json_object_set_new(object, "headers", record_headers(message));
    json_t *body = record_text(message->body);
    bad |= body != NULL ? json_object_set_new(object, "body", body)
                        : json_object_set_new(object, "body_base64", record_base64(message->body));
    if (bad != 0) {
        json_decref(object);
        return NULL;
    }
    return object;
}

static int record_dump(const char *text, size_t length, void *data)
{
    return out_put(data, text, length) ? 0 : -1;
}

bool record_print_value(struct out *out, json_t *value)
{
    assert(out != NULL);
    if (value == NULL) {
        out->error = out->error != 0 ? out->error : ENOMEM;
        return false;
    }
    const int rc = json_dump_callback(value, record_dump, out, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(value);
    if (rc != 0) {
        out->error = out->error != 0 ? out->error : ENOMEM;
        return false;
    }
    return out_put(out, "\n", 1);
}

bool record_print_json(struct out *out, struct record_names *names,
                       const struct commitlog_message *message, bool log)
{
    assert(names != NULL && message != NULL);
    return record_print_value(out, record_object(names, message, log));
}
