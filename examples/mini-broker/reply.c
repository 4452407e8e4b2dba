/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reply.c - a frame to a client. See reply.h.
 *
 * Happy path: begin, fields, end: the frame is in the connection's output, and sent at the end of
 * the turn. Failure modes: no memory: the connection is closed, for its client would wait for ever;
 * the connection is closed: nothing.
 */
#include "reply.h"

#include "codes.h"
#include "frame.h"
#include "log.h"

#include <stdarg.h>
#include <stdio.h>

struct reply_to reply_to(struct connection *connection, const struct command *command)
{
    return (struct reply_to){connection, command->opaque, command->type,
                             (command->flag & FLAG_ONEWAY) != 0};
}

struct reply_to reply_keep(struct reply_to to)
{
    connection_waits(connection_ref(to.connection), 1);
    return to;
}

void reply_forget(struct reply_to *to)
{
    connection_waits(to->connection, -1);
    connection_unref(to->connection);
    to->connection = NULL;
}

struct reply reply_begin(struct reply_to to, int32_t code)
{
    buffer_clear(&to.connection->broker->fields);
    return (struct reply){.to = to, .code = code, .flag = FLAG_RESPONSE};
}

struct reply request_begin(struct connection *connection, int32_t code)
{
    struct broker *broker = connection->broker;
    const struct reply_to to = {connection, broker->next_opaque, HEADER_JSON, false};
    broker->next_opaque = broker->next_opaque == INT32_MAX ? 0 : broker->next_opaque + 1;
    struct reply request = reply_begin(to, code);
    request.flag = FLAG_ONEWAY;
    return request;
}

void reply_text(struct reply *reply, const char *name, struct text value)
{
    struct buffer *fields = &reply->to.connection->broker->fields;
    if (reply->to.type == HEADER_BINARY)
        header_binary_field(fields, text_of(name), value);
    else
        header_json_field(fields, text_of(name), value);
}

void reply_i64(struct reply *reply, const char *name, int64_t value)
{
    char digits[24];
    reply_text(reply, name, text_of_i64(value, digits));
}

bool reply_end_header(struct reply *reply, size_t body_bytes)
{
    struct connection *connection = reply->to.connection;
    struct broker *broker = connection->broker;
    struct buffer *header = &broker->header;
    const struct header_out out = {reply->to.type, reply->code, reply->to.opaque, reply->flag,
                                   reply->remark};
    if (connection->closed || connection->gone || reply->to.oneway)
        return false;
    buffer_clear(header);
    uint8_t *prefix = buffer_room(header, FRAME_PREFIX);
    if (prefix != NULL)
        header->used = FRAME_PREFIX;
    if (out.type == HEADER_BINARY)
        header_binary_encode(header, &out, buffer_text(&broker->fields));
    else
        header_json_encode(header, &out, buffer_text(&broker->fields));
    const size_t header_bytes = header->used - FRAME_PREFIX;
    if (header->failed || broker->fields.failed || header_bytes + body_bytes + 8 > FRAME_MAX) {
        /* Closed when the turn ends: who answers may be looking at others. */
        log_line(LOG_DEBUG, "%s: an answer that cannot be made", connection->host_text);
        connection_output(connection)->failed = true;
        return false;
    }
    frame_prefix(header->data, out.type, header_bytes, body_bytes);
    output_copy(connection_output(connection), header->data, header->used);
    return true;
}

void reply_end(struct reply *reply, struct text body)
{
    if (reply_end_header(reply, body.bytes))
        output_copy(connection_output(reply->to.connection), body.data, body.bytes);
}

void reply_ok(struct connection *connection, const struct command *command)
{
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    reply_end(&reply, (struct text){0});
}

void reply_body(struct connection *connection, const struct command *command, struct text body)
{
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    reply_end(&reply, body);
}

/* Without a character of which the end was cut off. */
static struct text whole(const char *text, size_t bytes)
{
    size_t at = bytes;
    while (at > 0 && bytes - at < 4) {
        at--;
        if (((uint8_t)text[at] & 0xc0) == 0x80)
            continue; /* not the first byte of one */
        if (utf8_character((const uint8_t *)text + at, bytes - at) == 0)
            return (struct text){text, at};
        break;
    }
    return (struct text){text, bytes};
}

static void reply_remark(struct reply_to to, int32_t code, const char *format, va_list list)
    __attribute__((format(printf, 3, 0)));

static void reply_remark(struct reply_to to, int32_t code, const char *format, va_list list)
{
    char remark[512];
    const int bytes = vsnprintf(remark, sizeof remark, format, list);
    struct reply reply = reply_begin(to, code);
    if (bytes >= (int)sizeof remark)
        reply.remark = whole(remark, sizeof remark - 1);
    else if (bytes > 0)
        reply.remark = (struct text){remark, (size_t)bytes};
    reply_end(&reply, (struct text){0});
}

void reply_error(struct connection *connection, const struct command *command, int32_t code,
                 const char *format, ...)
{
    va_list list;
    va_start(list, format);
    reply_remark(reply_to(connection, command), code, format, list);
    va_end(list);
}

void reply_error_to(struct reply_to to, int32_t code, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    reply_remark(to, code, format, list);
    va_end(list);
}
