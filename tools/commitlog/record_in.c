/*
 * record_in.c -- reading of JSON lines: see record_in.h.
 */
#include "record_in.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"

static bool record_in_bad(struct record_in *in, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static bool record_in_bad(struct record_in *in, const char *format, ...)
{
    assert(in != NULL);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(in->reason, sizeof(in->reason), format, arguments);
    va_end(arguments);
    return false;
}

void record_in_free(struct record_in *in)
{
    assert(in != NULL);
    json_decref(in->root);
    free(in->decoded);
    free(in->copy);
    free(in->keys);
    free(in->headers);
    *in = (struct record_in){0};
}

static void record_in_reset(struct record_in *in, const struct record_defaults *defaults)
{
    record_in_free(in);
    in->queue = defaults->queue;
    in->deliver_at_ms = defaults->deliver_at_ms;
    in->used_keys = defaults->keys;
    in->key_count = defaults->key_count;
    if (defaults->topic != NULL) {
        in->topic = (struct commitlog_slice){defaults->topic, strlen(defaults->topic)};
    }
    if (defaults->tag != NULL) {
        in->tag = (struct commitlog_slice){defaults->tag, strlen(defaults->tag)};
    }
}

bool record_in_plain(struct record_in *in, const struct record_defaults *defaults, const char *line,
                     size_t length, bool keep)
{
    assert(in != NULL && defaults != NULL);
    assert(line != NULL || length == 0);
    record_in_reset(in, defaults);
    in->body = (struct commitlog_slice){line, length};
    if (keep && length > 0) {
        in->copy = malloc(length);
        if (in->copy == NULL) {
            return record_in_bad(in, "not enough memory");
        }
        memcpy(in->copy, line, length);
        in->body.data = in->copy;
    }
    return true;
}

/* Decodes into the room that record_in_json made; what is decoded is shorter than the line. */
static bool record_in_decode(struct record_in *in, const char *field, const json_t *text,
                             struct commitlog_slice *bytes)
{
    assert(in->decoded != NULL);
    unsigned char *place = in->decoded + in->decoded_used;
    size_t count = 0;
    if (!json_is_string(text) ||
        !base64_decode(json_string_value(text), json_string_length(text), place, &count)) {
        return record_in_bad(in, "\"%s\" is not base64 (RFC 4648, with padding)", field);
    }
    in->decoded_used += count;
    *bytes = (struct commitlog_slice){place, count};
    return true;
}

/* "text" or {"base64":"..."}. */
static bool record_in_string(struct record_in *in, const char *field, const json_t *value,
                             struct commitlog_slice *bytes)
{
    if (json_is_string(value)) {
        *bytes = (struct commitlog_slice){json_string_value(value), json_string_length(value)};
        return true;
    }
    const json_t *text = json_object_get(value, "base64");
    if (text != NULL && json_object_size(value) == 1) {
        return record_in_decode(in, field, text, bytes);
    }
    return record_in_bad(in, "\"%s\": a value is neither a string nor {\"base64\":\"...\"}", field);
}

static bool record_in_keys(struct record_in *in, const json_t *value)
{
    if (!json_is_array(value)) {
        return record_in_bad(in, "\"keys\" is not an array");
    }
    const size_t count = json_array_size(value);
    in->keys = calloc(count + 1, sizeof(*in->keys));
    if (in->keys == NULL) {
        return record_in_bad(in, "not enough memory");
    }
    for (size_t i = 0; i < count; i++) {
        if (!record_in_string(in, "keys", json_array_get(value, i), &in->keys[i])) {
            return false;
        }
    }
    in->used_keys = in->keys;
    in->key_count = (uint32_t)count;
    return true;
}

static bool record_in_header_pairs(struct record_in *in, const json_t *value)
{
    assert(json_is_array(value));
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *pair = json_array_get(value, i);
        struct commitlog_header *header = &in->headers[i];
        if (json_array_size(pair) != 2) {
            return record_in_bad(in, "\"headers\" is neither an object nor an array of pairs");
        }
        if (!record_in_string(in, "headers", json_array_get(pair, 0), &header->name) ||
            !record_in_string(in, "headers", json_array_get(pair, 1), &header->value)) {
            return false;
        }
        in->header_count++;
    }
    return true;
}

static bool record_in_headers(struct record_in *in, json_t *value)
{
    if (!json_is_object(value) && !json_is_array(value)) {
        return record_in_bad(in, "\"headers\" is neither an object nor an array of pairs");
    }
    const size_t count = json_is_object(value) ? json_object_size(value) : json_array_size(value);
    in->headers = calloc(count + 1, sizeof(*in->headers));
    if (in->headers == NULL) {
        return record_in_bad(in, "not enough memory");
    }
    if (json_is_array(value)) {
        return record_in_header_pairs(in, value);
    }
    const char *name;
    json_t *each;
    json_object_foreach(value, name, each)
    {
        struct commitlog_header *header = &in->headers[in->header_count];
        header->name = (struct commitlog_slice){name, strlen(name)};
        if (!record_in_string(in, "headers", each, &header->value)) {
            return false;
        }
        in->header_count++;
    }
    return true;
}

static bool record_in_number(struct record_in *in, const char *field, const json_t *value,
                             json_int_t maximum, json_int_t *number)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > maximum) {
        return record_in_bad(in, "\"%s\" is not a whole number between 0 and %lld", field,
                             (long long)maximum);
    }
    *number = json_integer_value(value);
    return true;
}

/* Those that record_in_field takes, then those that `commitlog read' and others print besides. */
static bool record_in_known(const char *name)
{
    static const char *const names[] = {
        "topic",         "queue",        "keys",     "tag",           "headers",
        "time_ms",       "body",         "position", "deliver_at_ms", "body_base64",
        "queue_offset",  "offset",       "epoch",    "store_time_ns", "origin_position",
        "origin_offset", "origin_topic", "attempt",  "origin_queue",  "transaction",
        "attempts",      "reason"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* A field that is known, there and not null. */
static bool record_in_field(struct record_in *in, const char *name, json_t *value, bool *body)
{
    json_int_t number = 0;
    if (strcmp(name, "topic") == 0) {
        if (!json_is_string(value)) {
            return record_in_bad(in, "\"topic\" is not a string");
        }
        return record_in_string(in, name, value, &in->topic);
    }
    if (strcmp(name, "tag") == 0) {
        return record_in_string(in, name, value, &in->tag);
    }
    if (strcmp(name, "keys") == 0) {
        return record_in_keys(in, value);
    }
    if (strcmp(name, "headers") == 0) {
        return record_in_headers(in, value);
    }
    if (strcmp(name, "queue") == 0) {
        const bool good =
            record_in_number(in, name, value, COMMITLOG_TOPIC_QUEUES_MAX - 1, &number);
        in->queue = good ? (uint32_t)number : in->queue;
        return good;
    }
    if (strcmp(name, "time_ms") == 0) {
        if (!json_is_integer(value)) {
            return record_in_bad(in, "\"time_ms\" is not a whole number");
        }
        in->has_time = 1;
        in->time_ms = json_integer_value(value); /* before 1970 it is negative */
        return true;
    }
    if (strcmp(name, "deliver_at_ms") == 0) {
        const bool good = record_in_number(in, name, value, RECORD_DELIVER_AT_MAX_MS, &number);
        in->deliver_at_ms = good ? number : in->deliver_at_ms;
        return good;
    }
    if (strcmp(name, "body") == 0 || strcmp(name, "body_base64") == 0) {
        if (*body) {
            return record_in_bad(in, "both \"body\" and \"body_base64\"");
        }
        *body = true;
        if (name[4] != '\0') {
            return record_in_decode(in, name, value, &in->body);
        }
        if (!json_is_string(value)) {
            return record_in_bad(in, "\"body\" is not a string");
        }
        return record_in_string(in, name, value, &in->body);
    }
    return true; /* one that is ignored: record_in_known */
}

bool record_in_json(struct record_in *in, const struct record_defaults *defaults, const char *line,
                    size_t length)
{
    assert(in != NULL && defaults != NULL);
    assert(line != NULL || length == 0);
    record_in_reset(in, defaults);
    json_error_t error;
    in->root = json_loadb(length == 0 ? "" : line, length, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL,
                          &error);
    if (in->root == NULL) {
        return record_in_bad(in, "not JSON: %s (column %d)", error.text, error.column);
    }
    if (!json_is_object(in->root)) {
        return record_in_bad(in, "not a JSON object");
    }
    in->decoded = malloc(length + 1);
    if (in->decoded == NULL) {
        return record_in_bad(in, "not enough memory");
    }
    bool body = false;
    const char *name;
    json_t *value;
    json_object_foreach(in->root, name, value)
    {
        if (!record_in_known(name)) {
            return record_in_bad(in, "unknown field \"%.60s\"", name);
        }
        if (!json_is_null(value) && !record_in_field(in, name, value, &body)) {
            return false;
        }
    }
    return body ? true : record_in_bad(in, "neither \"body\" nor \"body_base64\"");
}
