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

/* A borrow from the object. */
struct text json_text(const json_t *object, const char *name);
int64_t json_number(const json_t *object, const char *name);
/* Takes over `json`; NULL: there was no memory, which is said. */
void reply_json(struct connection *connection, const struct command *command, json_t *json);

#endif
