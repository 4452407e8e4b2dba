/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * json.h - bodies that are JSON, by jansson.
 *
 * Owns: nothing. Invariants: what is not there, or of another type, is empty text or 0; but a
 * string of digits is a number, too. Threads: the loop's.
 */
#ifndef MINI_BROKER_JSON_H
#define MINI_BROKER_JSON_H

#include "reply.h"

#include <jansson.h>

/* What is parsed takes up to a hundred times as much memory as its text, and time of all clients:
 * so much is beyond what any needs, and costs little. */
enum {
    JSON_CLIENT_MAX = 1024 * 1024, /* of heartbeats, checks, and locks */
    JSON_SETTINGS_MAX = 64 * 1024  /* of settings */
};

/* The object in the body of a request, of at most so many bytes. NULL: it is larger, or none: see
 * error->text. */
json_t *json_body(struct connection *connection, const struct command *command, size_t max,
                  json_error_t *error);
/* The same. NULL is answered, with REPLY_INVALID or REPLY_SYSTEM_ERROR. */
json_t *json_body_or_reply(struct connection *connection, const struct command *command, size_t max,
                           const char *what);
/* A borrow from the object. */
struct text json_text(const json_t *object, const char *name);
int64_t json_number(const json_t *object, const char *name);
/* Takes over `json`; NULL: there was no memory, which is said. */
void reply_json(struct connection *connection, const struct command *command, json_t *json);

#endif
