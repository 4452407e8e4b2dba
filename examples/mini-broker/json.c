/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.c - see json.h.
 */
#include "json.h"

#include "codes.h"

#include <stdio.h>
#include <stdlib.h>

enum { TRIM_FROM = 64 * 1024 }; /* a body after which the system gets back what is free */

json_t *json_body(struct connection *connection, const struct command *command, size_t max,
                  json_error_t *error)
{
    const struct text body = command->body;
    if (body.bytes > max) {
        (void)snprintf(error->text, sizeof error->text, "a body of %zu bytes: it has at most %zu",
                       body.bytes, max);
        return NULL;
    }
    if (body.bytes >= TRIM_FROM)
        connections_trim(connection->broker);
    json_t *json = json_loadb(body.data, body.bytes, 0, error);
    if (json == NULL || json_is_object(json))
        return json;
    json_decref(json);
    (void)snprintf(error->text, sizeof error->text, "not an object");
    return NULL;
}

json_t *json_body_or_reply(struct connection *connection, const struct command *command, size_t max,
                           const char *what)
{
    json_error_t error = {0};
    json_t *json = json_body(connection, command, max, &error);
    if (json == NULL)
        reply_error(connection, command,
                    command->body.bytes > max ? REPLY_INVALID : REPLY_SYSTEM_ERROR, "%s: %s", what,
                    error.text);
    return json;
}

struct text json_text(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    return (struct text){json_string_value(value), json_string_length(value)};
}

int64_t json_number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);
    if (json_is_real(value)) {
        const double number = json_real_value(value);
        return number > -1e15 && number < 1e15 ? (int64_t)number : 0;
    }
    int64_t number;
    if (json_is_string(value)) /* as the C++ client writes the larger ones */
        return text_to_i64(json_text(object, name), &number) ? number : 0;
    return json_integer_value(value);
}

void reply_json(struct connection *connection, const struct command *command, json_t *json)
{
    char *text = json == NULL ? NULL : json_dumps(json, JSON_COMPACT);
    if (text == NULL)
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "no memory");
    else
        reply_body(connection, command, text_of(text));
    free(text);
    json_decref(json);
}
