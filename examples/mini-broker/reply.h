/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reply.h - answers to requests, and the broker's own requests to clients.
 *
 * Owns: nothing but what is in the broker's two buffers between begin and end.
 * Invariants: 1. one reply at a time is between begin and end; 2. extFields is always there, since
 * clients look into it without asking; 3. the header is of the type of the request's; 4. nothing
 * is sent to who asked one-way. Threads: the loop's.
 */
#ifndef MINI_BROKER_REPLY_H
#define MINI_BROKER_REPLY_H

#include "command.h"
#include "connection.h"

/* To whom, and for what. Kept over turns it has a reference to the connection: reply_keep. */
struct reply_to {
    struct connection *connection;
    int32_t opaque;
    uint8_t type;
    bool oneway;
};

struct reply {
    struct reply_to to;
    int32_t code;
    int32_t flag;
    struct text remark; /* alive until the end */
};

struct reply_to reply_to(struct connection *connection, const struct command *command);
/* For an answer in a later turn, which ends with reply_forget. */
struct reply_to reply_keep(struct reply_to to);
/* After the answer to one that was kept. */
void reply_forget(struct reply_to *to);

struct reply reply_begin(struct reply_to to, int32_t code);
/* Of the broker, one-way; JSON, which all clients read. */
struct reply request_begin(struct connection *connection, int32_t code);
void reply_text(struct reply *reply, const char *name, struct text value);
void reply_i64(struct reply *reply, const char *name, int64_t value);
/* The body is copied. */
void reply_end(struct reply *reply, struct text body);
/* The header for a body of so many bytes, which the caller then puts into the output. False: there
 * is nobody to send it to. */
bool reply_end_header(struct reply *reply, size_t body_bytes);

/* Whole answers in one call. */
void reply_ok(struct connection *connection, const struct command *command);
void reply_body(struct connection *connection, const struct command *command, struct text body);
void reply_error(struct connection *connection, const struct command *command, int32_t code,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));
void reply_error_to(struct reply_to to, int32_t code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
