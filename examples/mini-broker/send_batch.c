/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * send_batch.c - SEND_BATCH_MESSAGE: many messages of a queue in one body, stored together or not
 * at all. See send.h.
 *
 *   each: size i32, magic i32, CRC i32, flag i32, length i32 and body, length i16 and properties
 *
 * Owns: the arrays for the records of a batch, while it is stored. Invariants: as send.c. Threads:
 * the loop's. Happy path: one pass checks and measures, one writes the bodies and makes the
 * records, one append. Failure modes: a length that leads out of the body, or more than
 * BATCH_BYTES_MAX or BATCH_HEADERS_MAX once each has the properties of all: illegal.
 */
#include "codes.h"
#include "crc32.h"
#include "dispatch.h"
#include "durable.h"
#include "hold.h"
#include "room.h"
#include "send.h"

#include <stdlib.h>

enum { BATCH_MAX = 65536, INNER_FIXED = 22 };
enum { BATCH_BYTES_MAX = 16 * 1024 * 1024, SCRATCH_KEEP = BATCH_BYTES_MAX };
enum { BATCH_HEADERS_MAX = 1024 * 1024 }; /* a slice of name and value each: 32 MiB */

struct inner {
    struct text body;
    struct text properties;
    uint32_t flag;
};

struct batch { /* arrays of `room` elements */
    uint32_t count;
    uint32_t room;
    struct commitlog_record *records;
    struct commitlog_slice *bodies;
    struct commitlog_receipt *receipts;
    struct buffer keys;    /* struct commitlog_slice, of all */
    struct buffer headers; /* struct commitlog_header, of all */
    struct buffer tags;    /* substitutes of long ones, TAG_SUBSTITUTE_BYTES each */
};

static bool batch_make(struct batch *batch, uint32_t count)
{
    batch->room = count;
    batch->records = calloc(count, sizeof *batch->records);
    batch->bodies = calloc(count, sizeof *batch->bodies);
    batch->receipts = calloc(count, sizeof *batch->receipts);
    return batch->records != NULL && batch->bodies != NULL && batch->receipts != NULL;
}

static void batch_free(struct batch *batch)
{
    free(batch->records);
    free(batch->bodies);
    free(batch->receipts);
    buffer_free(&batch->keys);
    buffer_free(&batch->headers);
    buffer_free(&batch->tags);
}

/* The next one of `rest`, which is moved on. */
static bool next_inner(struct text *rest, struct inner *out)
{
    const uint8_t *at = (const uint8_t *)rest->data;
    if (rest->bytes < INNER_FIXED)
        return false;
    const size_t size = bytes_get32(at), body = bytes_get32(at + 16);
    if (size > rest->bytes || size < INNER_FIXED || body > size - INNER_FIXED)
        return false;
    const size_t properties = bytes_get16(at + 20 + body);
    if (properties != size - INNER_FIXED - body)
        return false;
    out->flag = bytes_get32(at + 12);
    out->body = (struct text){rest->data + 20, body};
    out->properties = (struct text){rest->data + INNER_FIXED + body, properties};
    rest->data += size;
    rest->bytes -= size;
    return true;
}

/* 0: something is wrong. */
static uint32_t count_inner(struct text body)
{
    struct inner inner;
    uint32_t count = 0;
    while (body.bytes > 0 && next_inner(&body, &inner)) {
        if (inner.body.bytes == 0 || ++count > BATCH_MAX)
            return 0;
    }
    return body.bytes == 0 ? count : 0;
}

/* Properties of its own, those of the batch behind them, and an id. */
static struct text inner_properties(struct broker *broker, struct text own, struct text common,
                                    char unique[33], struct properties *known)
{
    struct buffer *out = &broker->properties;
    buffer_clear(out);
    buffer_put_text(out, own);
    if (common.bytes > 0) {
        if (out->used > 0 && out->data[out->used - 1] != 2)
            buffer_put_byte(out, 2);
        buffer_put_text(out, common);
    }
    properties_scan(buffer_text(out), known);
    if (known->unique.bytes == 0) {
        send_unique(broker, unique);
        properties_put(out, "UNIQ_KEY", text_of(unique));
    }
    return buffer_text(out);
}

/* Writes the bodies into the scratch buffer. Pointers into it are set when it no longer moves, so
 * records first hold offsets. */
static bool write_bodies(struct connection *connection, const struct send *send,
                         struct message *message, struct text rest, struct batch *batch)
{
    static struct properties known;
    struct broker *broker = connection->broker;
    struct buffer *out = &broker->scratch;
    struct inner inner;
    char unique[33];
    size_t headers = 0;
    buffer_clear(out);
    while (rest.bytes > 0 && next_inner(&rest, &inner)) {
        message->layout =
            (struct layout){.body = inner.body,
                            .topic = message->topic->entry.name,
                            .properties = inner_properties(broker, inner.properties,
                                                           send->properties, unique, &known),
                            .flag = inner.flag,
                            .sys_flag = (uint32_t)send->sys_flag & ~(uint32_t)MESSAGE_ROLLED_BACK,
                            .crc = crc32_of(inner.body),
                            .queue = message->queue,
                            .born_ms = send->born_ms,
                            .born = connection->host,
                            .stored = broker->options->advertise};
        headers += known.header_count;
        if (message->layout.properties.bytes > PROPERTIES_MAX_BYTES || headers > BATCH_HEADERS_MAX)
            return false;
        const size_t bytes = layout_bytes(&message->layout);
        uint8_t *to = out->used + bytes > BATCH_BYTES_MAX ? NULL : buffer_room(out, bytes);
        if (to == NULL)
            return false;
        layout_write(&message->layout, to);
        out->used += bytes;
        batch->bodies[batch->count++].bytes = bytes;
    }
    return true;
}

/* Tag (if it is not long), keys and headers are taken from the bodies as they were written: that
 * memory stays. */
static int32_t make_records(struct message *message, const struct buffer *bodies,
                            struct batch *batch)
{
    static struct properties known;
    struct commitlog_slice keys[APPEND_KEYS_MAX];
    size_t at = 0;
    buffer_clear(&batch->keys);
    buffer_clear(&batch->headers);
    buffer_clear(&batch->tags);
    message->known = &known;
    for (uint32_t i = 0; i < batch->count; i++) {
        struct commitlog_slice *body = &batch->bodies[i];
        struct layout layout = {0};
        body->data = bodies->data + at;
        at += body->bytes;
        (void)layout_read(*body, &layout);
        properties_scan(layout.properties, &known);
        struct commitlog_record *record = &batch->records[i];
        append_record(message, keys, record);
        record->body = body;
        record->body_count = 1;
        buffer_put(&batch->keys, keys, record->key_count * sizeof *keys);
        buffer_put(&batch->headers, known.headers, known.header_count * sizeof *known.headers);
        if (tag_is_long(known.tag))
            buffer_put(&batch->tags, record->tag.data, record->tag.bytes);
    }
    /* Now they do not move any more. */
    const struct commitlog_slice *key = (const void *)batch->keys.data;
    const struct commitlog_header *header = (const void *)batch->headers.data;
    const uint8_t *tag = batch->tags.data;
    for (uint32_t i = 0; i < batch->count; i++) {
        batch->records[i].keys = key;
        batch->records[i].headers = header;
        key += batch->records[i].key_count;
        header += batch->records[i].header_count;
        if (batch->records[i].tag.data == message->tag) {
            batch->records[i].tag.data = tag;
            tag += TAG_SUBSTITUTE_BYTES;
        }
    }
    return batch->keys.failed || batch->headers.failed || batch->tags.failed ? COMMITLOG_ENOMEM
                                                                             : COMMITLOG_OK;
}

static void batch_answer(struct connection *connection, const struct command *command,
                         const struct message *message, const struct batch *batch, bool wait)
{
    struct broker *broker = connection->broker;
    struct buffer *ids = &broker->scratch;
    char id[LAYOUT_ID_MAX];
    buffer_clear(ids);
    for (uint32_t i = 0; i < batch->count; i++) {
        if (i > 0)
            buffer_put_byte(ids, ',');
        buffer_put(ids, id,
                   layout_id(&broker->options->advertise, batch->receipts[i].position, id));
    }
    struct reply reply = reply_begin(reply_to(connection, command), REPLY_OK);
    reply_text(&reply, "msgId", buffer_text(ids));
    reply_i64(&reply, "queueId", message->queue);
    reply_i64(&reply, "queueOffset", (int64_t)batch->receipts[0].queue_offset);
    reply_text(&reply, "MSG_REGION", TEXT("DefaultRegion"));
    reply_text(&reply, "TRACE_ON", TEXT("true"));
    durable_reply(broker, &reply, batch->receipts[batch->count - 1].end_position, wait);
}

static void batch_store(struct connection *connection, const struct command *command,
                        const struct send *send, struct message *message, struct batch *batch)
{
    struct broker *broker = connection->broker;
    struct commitlog_error err = {.code = COMMITLOG_ETOOBIG};
    int32_t code = COMMITLOG_ETOOBIG;
    if (write_bodies(connection, send, message, command->body, batch))
        code = make_records(message, &broker->scratch, batch);
    if (code == COMMITLOG_OK)
        code = append_waited(broker,
                             commitlog_append_batch(broker->store, batch->records, batch->count,
                                                    append_wait_ms(broker), batch->receipts, &err));
    (void)room_told(broker, code, broker->scratch.used);
    if (code != COMMITLOG_OK) {
        reply_error(connection, command, append_reply_code(code), "%s", err.message);
        return;
    }
    hold_grown(broker, message->topic, message->queue,
               batch->receipts[batch->count - 1].end_position);
    broker->put_count += batch->count;
    message->topic->put_count += batch->count;
    const bool wait = !text_equal(properties_find(send->properties, "WAIT"), TEXT("false"));
    batch_answer(connection, command, message, batch, wait);
}

void handle_send_batch(struct connection *connection, const struct command *command)
{
    struct batch batch = {0};
    struct send send;
    struct message message = {0};
    int32_t code;
    const char *why;
    send_parse(command, &send);
    message.topic = send_topic(connection->broker, &send, &code, &why);
    const uint32_t count = count_inner(command->body);
    if (message.topic == NULL)
        reply_error(connection, command, code, "%s", why);
    else if (topic_is_retry(message.topic) || command->body.bytes > SEND_BODY_MAX || count == 0)
        reply_error(connection, command, REPLY_ILLEGAL, "not a batch that can be stored");
    else if (!send_queue(message.topic, send.queue, &message.queue))
        reply_error(connection, command, REPLY_INVALID, "there is no queue %lld",
                    (long long)send.queue);
    else if (!batch_make(&batch, count))
        reply_error(connection, command, REPLY_SYSTEM_ERROR, "no memory");
    else
        batch_store(connection, command, &send, &message, &batch);
    batch_free(&batch);
    if (connection->broker->scratch.room > SCRATCH_KEEP)
        buffer_free(&connection->broker->scratch);
}
