/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * jsonl.c -- fuzz target: the JSON lines that `commitlog append --jsonl` reads.
 *
 * Input: lines; each is parsed from a block of exactly its size.
 *
 * Held: a line is a record or has a reason; a record that fits the format's limits, printed as
 * `read --json` prints it and read again, is the same record.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "../tools/commitlog/base64.h"
#include "../tools/commitlog/record_in.h"
#include "../tools/commitlog/record_out.h"
#include "../tools/commitlog/text.h"
#include "base/bytes.h"
#include "format/attributes.h"
#include "support/check.h"
#include "support/fuzz.h"

static bool jsonl_same(struct commitlog_slice left, struct commitlog_slice right)
{
    return left.bytes == right.bytes &&
           (left.bytes == 0 || memcmp(left.data, right.data, left.bytes) == 0);
}

static bool jsonl_add(struct clg_attribute_writer *writer, uint8_t type,
                      struct commitlog_slice value)
{
    return value.bytes <= UINT16_MAX &&
           clg_attribute_add(writer, type, value.data, value.bytes) == 0;
}

/* What the store would have made of it; false where it would have refused. */
static bool jsonl_message(const struct record_in *in, uint8_t *room, size_t room_bytes,
                          struct commitlog_message *out)
{
    struct clg_attribute_writer writer;
    clg_attribute_writer_init(&writer, room, room_bytes);
    if (in->tag.bytes > 0 && !jsonl_add(&writer, CLG_ATTRIBUTE_TAG, in->tag)) {
        return false;
    }
    if (in->key_count > CLG_RECORD_KEYS_MAX || in->topic.bytes > COMMITLOG_TOPIC_NAME_MAX_BYTES ||
        in->topic.bytes == 0 || !text_is_utf8(in->topic)) {
        return false;
    }
    for (uint32_t i = 0; i < in->key_count; i++) {
        if (!jsonl_add(&writer, CLG_ATTRIBUTE_KEY, in->used_keys[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < in->header_count; i++) {
        const struct commitlog_header *header = &in->headers[i];
        if (header->value.bytes > UINT16_MAX || header->name.bytes > UINT16_MAX ||
            clg_attribute_add_header(&writer, header->name.data, header->name.bytes,
                                     header->value.data, header->value.bytes) != 0) {
            return false;
        }
    }
    *out = (struct commitlog_message){.next_position = 48,
                                      .time_ms = in->time_ms,
                                      .deliver_at_ms = in->deliver_at_ms,
                                      .queue = in->queue & 0xfffffu,
                                      .kind = COMMITLOG_KIND_MESSAGE,
                                      .body = in->body,
                                      .tag = in->tag,
                                      .attributes = {room, writer.used},
                                      .key_count = in->key_count,
                                      .header_count = in->header_count};
    return true;
}

static void jsonl_compare(const struct record_in *in, const struct record_in *again)
{
    FUZZ_CHECK(jsonl_same(in->topic, again->topic));
    FUZZ_CHECK(jsonl_same(in->body, again->body));
    FUZZ_CHECK(jsonl_same(in->tag, again->tag));
    FUZZ_CHECK(again->has_time == 1 && in->time_ms == again->time_ms);
    FUZZ_CHECK(in->deliver_at_ms == again->deliver_at_ms && in->deliver_at_ms >= 0);
    FUZZ_CHECK(in->key_count == again->key_count && in->header_count == again->header_count);
    for (uint32_t i = 0; i < in->key_count; i++) {
        FUZZ_CHECK(jsonl_same(in->used_keys[i], again->used_keys[i]));
    }
    for (uint32_t i = 0; i < in->header_count; i++) {
        FUZZ_CHECK(jsonl_same(in->headers[i].name, again->headers[i].name));
        FUZZ_CHECK(jsonl_same(in->headers[i].value, again->headers[i].value));
    }
}

/* Prints into memory: the buffer of `struct out` is large enough for what a short line holds. */
static void jsonl_again(const struct record_in *in, const struct record_defaults *defaults)
{
    static uint8_t room[CLG_ATTRIBUTES_MAX];
    static int null = -1;
    static struct out out;
    struct record_names names = {.valid = true};
    struct commitlog_message message;
    struct record_in again = {0};
    if (!jsonl_message(in, room, sizeof(room), &message)) {
        return;
    }
    if (null < 0) {
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        FUZZ_CHECK(null >= 0 && out_init(&out, null));
    }
    names.store = (struct commitlog_store *)(void *)&names; /* never asked: the name is known */
    memcpy(names.info.name, in->topic.data, in->topic.bytes);
    out.used = 0;
    FUZZ_CHECK(record_print_json(&out, &names, &message, false));
    if (out.used == 0 || out.bytes[0] != '{') { /* it was flushed on the way */
        return;
    }
    FUZZ_CHECK(record_in_json(&again, defaults, out.bytes, out.used - 1));
    jsonl_compare(in, &again);
    record_in_free(&again);
}

static void jsonl_base64(const char *line, size_t bytes)
{
    size_t count = 0;
    uint8_t *decoded = malloc(bytes / 4 * 3 + 1);
    char *text = malloc(bytes + 1);
    FUZZ_CHECK(decoded != NULL && text != NULL);
    if (base64_decode(line, bytes, decoded, &count)) {
        FUZZ_CHECK(base64_length(count) == bytes);
        base64_encode(decoded, count, text);
        FUZZ_CHECK(memcmp(text, line, bytes) == 0);
    }
    free(text);
    free(decoded);
}

static void jsonl_line(const uint8_t *data, size_t bytes)
{
    static const struct commitlog_slice keys[] = {{"given", 5}};
    static const struct record_defaults given = {
        .topic = "t", .tag = "tag", .keys = keys, .key_count = 1, .queue = COMMITLOG_QUEUE_AUTO};
    static const struct record_defaults bare = {.queue = 0};
    struct record_in in = {0};
    char *line = malloc(bytes == 0 ? 1 : bytes); /* not one byte more: no NUL behind it */
    FUZZ_CHECK(line != NULL);
    memcpy(line, data, bytes);
    jsonl_base64(line, bytes);
    const struct record_defaults *defaults = bytes % 2 == 0 ? &given : &bare;
    if (record_in_json(&in, defaults, line, bytes)) {
        FUZZ_CHECK(in.decoded_used <= bytes);
        jsonl_again(&in, defaults);
    } else {
        FUZZ_CHECK(in.reason[0] != '\0' && memchr(in.reason, '\0', sizeof(in.reason)) != NULL);
    }
    FUZZ_CHECK(record_in_plain(&in, defaults, line, bytes, true) && in.body.bytes == bytes);
    record_in_free(&in);
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        size_t bytes = end == NULL ? size : (size_t)(end - data);
        jsonl_line(data, bytes);
        bytes = end == NULL ? bytes : bytes + 1;
        data += bytes;
        size -= bytes;
    }
    return 0;
}
