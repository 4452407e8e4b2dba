/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * append.c - the record of a message: keys for queries, tag and headers for selection, and the body
 * that clients decode. See append.h.
 *
 * Happy path: reserve, write in place, commit. A message for later cannot be reserved, so its body
 * is written into the scratch buffer first. Failure modes: those of the store; nothing is stored.
 * Where the store had no room for as long as it was waited
 * for, what comes as long afterwards is not waited for: the loop has others to serve.
 */
#include "append.h"

#include "codes.h"
#include "hold.h"
#include "room.h"

enum { WAIT_MS = 1000 };

int32_t append_wait_ms(const struct broker *broker)
{
    return uv_hrtime() < broker->impatient_ns ? 0 : WAIT_MS;
}

int32_t append_waited(struct broker *broker, int32_t code)
{
    const uint64_t now = uv_hrtime();
    if ((code == COMMITLOG_ETIMEDOUT || code == COMMITLOG_EFULL) && now >= broker->impatient_ns)
        broker->impatient_ns = now + UINT64_C(1000000) * WAIT_MS;
    return code;
}

static void append_key(struct text key, struct commitlog_slice keys[APPEND_KEYS_MAX],
                       uint32_t *count)
{
    if (key.bytes > 0 && key.bytes <= APPEND_KEY_BYTES_MAX && *count < APPEND_KEYS_MAX)
        keys[(*count)++] = (struct commitlog_slice){key.data, key.bytes};
}

/* The id, and each of KEYS, which has blanks between; how many. A trace message has hundreds: by
 * those that are beyond what the store takes it is not found, and its consumer has them all. */
static uint32_t append_keys(const struct properties *known,
                            struct commitlog_slice keys[APPEND_KEYS_MAX])
{
    uint32_t count = 0;
    append_key(known->unique, keys, &count);
    struct text rest = known->keys;
    while (rest.bytes > 0 && count < APPEND_KEYS_MAX) {
        const char *blank = memchr(rest.data, ' ', rest.bytes);
        const size_t bytes = blank == NULL ? rest.bytes : (size_t)(blank - rest.data);
        append_key((struct text){rest.data, bytes}, keys, &count);
        const size_t passed = blank == NULL ? bytes : bytes + 1;
        rest = (struct text){rest.data + passed, rest.bytes - passed};
    }
    return count;
}

void append_record(struct message *message, struct commitlog_slice keys[APPEND_KEYS_MAX],
                   struct commitlog_record *out)
{
    const struct properties *known = message->known;
    message->layout.topic = message->topic->entry.name;
    message->layout.queue = message->queue;
    *out = (struct commitlog_record){.struct_bytes = sizeof *out,
                                     .topic = message->topic->stored,
                                     .queue = message->queue,
                                     .level = COMMITLOG_LEVEL_NONE,
                                     .keys = keys,
                                     .key_count = append_keys(known, keys),
                                     .headers = known->headers,
                                     .header_count = known->header_count,
                                     .deliver_at_ms = message->deliver_at_ms};
    const struct text tag = tag_stored(known->tag, message->tag);
    out->tag = (struct commitlog_slice){tag.data, tag.bytes};
}

bool append_body(struct broker *broker, const struct message *message, struct commitlog_slice *out)
{
    struct buffer *scratch = &broker->scratch;
    const size_t bytes = layout_bytes(&message->layout);
    buffer_clear(scratch);
    uint8_t *to = buffer_room(scratch, bytes);
    if (to == NULL)
        return false;
    layout_write(&message->layout, to);
    *out = (struct commitlog_slice){to, bytes};
    return true;
}

static int32_t append_for_later(struct broker *broker, const struct message *message,
                                struct commitlog_record record,
                                struct commitlog_receipt *out_receipt, struct commitlog_error *err)
{
    struct commitlog_slice body;
    if (!append_body(broker, message, &body))
        return COMMITLOG_ENOMEM;
    record.body = &body;
    record.body_count = 1;
    const int32_t code =
        commitlog_append_record(broker->store, &record, append_wait_ms(broker), out_receipt, err);
    broker->delayed_count += code == COMMITLOG_OK;
    return room_told(broker, append_waited(broker, code), body.bytes);
}

int32_t append_message(struct broker *broker, struct message *message,
                       struct commitlog_receipt *out_receipt, struct commitlog_error *err)
{
    struct commitlog_slice keys[APPEND_KEYS_MAX];
    struct commitlog_record record;
    struct commitlog_reservation *reservation;
    void *body;
    append_record(message, keys, &record);
    if (message->deliver_at_ms != 0)
        return append_for_later(broker, message, record, out_receipt, err);
    const size_t bytes = layout_bytes(&message->layout);
    int32_t code = commitlog_reserve(broker->store, &record, bytes, append_wait_ms(broker),
                                     &reservation, &body, err);
    (void)append_waited(broker, code);
    if (code != COMMITLOG_OK)
        return room_told(broker, code, bytes);
    layout_write(&message->layout, body);
    code = commitlog_commit(reservation, WAIT_MS, out_receipt, err);
    if (code == COMMITLOG_OK)
        hold_grown(broker, message->topic, message->queue, out_receipt->end_position);
    return room_told(broker, code, bytes);
}

int32_t append_reply_code(int32_t code)
{
    switch (code) {
    case COMMITLOG_ETOOBIG:
    case COMMITLOG_EINVAL:
        return REPLY_ILLEGAL;
    case COMMITLOG_ENOSPC:
    case COMMITLOG_EFAILED:
        return REPLY_NOT_AVAILABLE;
    case COMMITLOG_ETIMEDOUT:
    case COMMITLOG_EFULL:
        return REPLY_SYSTEM_BUSY;
    default:
        return REPLY_SYSTEM_ERROR;
    }
}
