/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * settings.c - the configuration file. See settings.h.
 *
 * jansson says whether the text is JSON, and what is in it, but of a key that is no option it does
 * not know the line: that is looked for in the text, which is JSON by then.
 *
 * Happy path: read, parse, give one by one. Failure modes: a file that cannot be read, is larger
 * than SETTINGS_BYTES_MAX, no JSON, or no object: a line of the log, and nothing is given.
 */
#include "settings.h"

#include "log.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* NUL behind it; NULL and a line in the log: it cannot be had. */
static char *read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        log_line(LOG_ERROR, "%s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = malloc(SETTINGS_BYTES_MAX + 1);
    const size_t bytes = text == NULL ? 0 : fread(text, 1, SETTINGS_BYTES_MAX + 1, file);
    const char *why = text == NULL                        ? "no memory"
                      : ferror(file) != 0                 ? strerror(errno)
                      : bytes > SETTINGS_BYTES_MAX        ? "is too large"
                      : memchr(text, '\0', bytes) != NULL ? "is no text"
                                                          : NULL;
    (void)fclose(file);
    if (why != NULL) {
        log_line(LOG_ERROR, "%s: %s", path, why);
        free(text);
        return NULL;
    }
    text[bytes] = '\0';
    return text;
}

static const char *string_end(const char *quote)
{
    const char *at = quote + 1;
    while (*at != '"')
        at += *at == '\\' ? 2 : 1;
    return at + 1;
}

/* Is the string between these the key, and what follows it a colon? */
static bool is_key(const char *begin, const char *end, const char *key)
{
    const char *after = end + strspn(end, " \t\r\n");
    json_t *string = json_loadb(begin, (size_t)(end - begin), JSON_DECODE_ANY, NULL);
    const char *value = json_string_value(string);
    const bool same = *after == ':' && value != NULL && strcmp(value, key) == 0;
    json_decref(string);
    return same;
}

/* Of a key of the outermost object. */
static int line_of(const char *text, const char *key)
{
    int line = 1, depth = 0;
    for (const char *at = text; *at != '\0'; at++) {
        if (*at == '\n') {
            line++;
        } else if (*at == '{' || *at == '[') {
            depth++;
        } else if (*at == '}' || *at == ']') {
            depth--;
        } else if (*at == '"') {
            const char *end = string_end(at);
            if (depth == 1 && is_key(at, end, key))
                return line;
            at = end - 1;
        }
    }
    return 0;
}

static const char *give(const char *name, const json_t *json,
                        const char *(*take)(void *context, const struct setting *setting),
                        void *context)
{
    char digits[32];
    struct setting setting = {.name = name};
    if (json_is_string(json)) {
        setting.value = json_string_value(json);
    } else if (json_is_integer(json)) {
        (void)snprintf(digits, sizeof digits, "%" JSON_INTEGER_FORMAT, json_integer_value(json));
        setting.value = digits;
    } else if (json_is_boolean(json)) {
        setting.is_bool = true;
        setting.value = json_is_true(json) ? "true" : "false";
    } else {
        return "has to be a string, a whole number, true or false";
    }
    return take(context, &setting);
}

bool settings_read(const char *path,
                   const char *(*take)(void *context, const struct setting *setting), void *context)
{
    char *text = read_file(path);
    if (text == NULL)
        return false;
    json_error_t error;
    json_t *root = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    bool good = json_is_object(root);
    if (root == NULL)
        log_line(LOG_ERROR, "%s: line %d: %s", path, error.line, error.text);
    else if (!good)
        log_line(LOG_ERROR, "%s: line 1: has to be an object: {\"option\": value, ...}", path);
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        const char *wrong = give(name, value, take, context);
        if (wrong == NULL)
            continue;
        log_line(LOG_ERROR, "%s: line %d: \"%s\" %s", path, line_of(text, name), name, wrong);
        good = false;
    }
    json_decref(root);
    free(text);
    return good;
}
