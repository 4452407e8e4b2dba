/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.c - see json.h.
 */
#include "json.h"

#include "codes.h"

#include <stdlib.h>

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
