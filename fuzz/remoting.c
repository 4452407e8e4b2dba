/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * remoting.c -- fuzz target: what a client of the mini-broker sends: frames, both kinds of headers,
 * properties.
 *
 * Input: bytes as they come from a connection, in a block of exactly their size.
 *
 * Held: a frame that is taken lies in the bytes; what a header says can be found by its name, and
 * written anew, in its kind and the other, it says the same; properties end.
 */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "frame.h"
#include "properties.h"
#include "support/check.h"
#include "support/fuzz.h"

enum { REMOTING_NAME_MAX = 32767 };

static void remoting_write(const struct command *command, uint8_t type, struct buffer *out)
{
    const struct header_out header = {type, command->code, command->opaque, command->flag,
                                      command->remark};
    struct buffer fields = {0};
    for (unsigned i = 0; i < command->field_count; i++) {
        const struct command_field *field = &command->fields[i];
        if (type == HEADER_BINARY) {
            header_binary_field(&fields, field->name, field->value);
        } else {
            header_json_field(&fields, field->name, field->value);
        }
    }
    if (type == HEADER_BINARY) {
        header_binary_encode(out, &header, buffer_text(&fields));
    } else {
        header_json_encode(out, &header, buffer_text(&fields));
    }
    FUZZ_CHECK(!fields.failed && !out->failed);
    buffer_free(&fields);
}

static bool remoting_is_utf8(struct text text)
{
    const uint8_t *at = (const uint8_t *)text.data;
    while (text.bytes > 0) {
        const size_t count = utf8_character(at, text.bytes);
        if (count == 0) {
            return false;
        }
        at += count;
        text.bytes -= count;
    }
    return true;
}

/* The code is of 16 bits in one kind, and a name of so many bytes; text is UTF-8 in the other: what
 * cannot be said so need not come back. */
static bool remoting_can_be(const struct command *command, uint8_t type)
{
    bool can = type == HEADER_JSON || command->code == (int16_t)command->code;
    can = can && (type == HEADER_BINARY || remoting_is_utf8(command->remark));
    for (unsigned i = 0; i < command->field_count; i++) {
        const struct command_field *field = &command->fields[i];
        can = can && field->name.bytes <= REMOTING_NAME_MAX;
        can = can && (type == HEADER_BINARY ||
                      (remoting_is_utf8(field->name) && remoting_is_utf8(field->value)));
    }
    return can;
}

static void remoting_again(const struct command *command, uint8_t type)
{
    static struct command again;
    struct buffer out = {0};
    if (!remoting_can_be(command, type)) {
        return;
    }
    remoting_write(command, type, &out);
    FUZZ_CHECK(type == HEADER_BINARY ? header_binary_decode(out.data, out.used, &again)
                                     : header_json_decode(out.data, out.used, &again));
    FUZZ_CHECK(again.code == command->code && again.opaque == command->opaque);
    FUZZ_CHECK(again.flag == command->flag && text_equal(again.remark, command->remark));
    FUZZ_CHECK(again.field_count == command->field_count);
    for (unsigned i = 0; i < command->field_count; i++) {
        FUZZ_CHECK(text_equal(again.fields[i].name, command->fields[i].name));
        FUZZ_CHECK(text_equal(again.fields[i].value, command->fields[i].value));
    }
    buffer_free(&out);
}

static void remoting_properties(struct text text)
{
    static struct properties known;
    struct text rest = text;
    struct text name;
    struct text value;
    size_t steps = 0;
    while (properties_next(&rest, &name, &value)) {
        FUZZ_CHECK(name.bytes + value.bytes <= text.bytes && ++steps <= text.bytes);
    }
    properties_scan(text, &known);
    FUZZ_CHECK(known.header_count <= PROPERTIES_HEADERS_MAX);
    FUZZ_CHECK(known.keys.bytes <= text.bytes && known.unique.bytes <= text.bytes);
}

static void remoting_frame(struct frame *frame)
{
    static struct command command;
    const bool good = frame->type == HEADER_BINARY
                          ? header_binary_decode(frame->header, frame->header_bytes, &command)
                          : header_json_decode(frame->header, frame->header_bytes, &command);
    remoting_properties((struct text){(const char *)frame->body, frame->body_bytes});
    if (!good) {
        return;
    }
    FUZZ_CHECK(command.field_count <= COMMAND_FIELDS_MAX);
    for (unsigned i = 0; i < command.field_count; i++) {
        struct text found;
        FUZZ_CHECK(command_find(&command, command.fields[i].name, &found));
        remoting_properties(command.fields[i].value);
    }
    remoting_again(&command, HEADER_BINARY);
    remoting_again(&command, HEADER_JSON);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t *block = malloc(size == 0 ? 1 : size);
    size_t done = 0;
    FUZZ_CHECK(block != NULL);
    memcpy(block, data, size);
    while (done < size) {
        struct frame frame = {0};
        if (frame_take(block + done, size - done, &frame) != FRAME_WHOLE) {
            break;
        }
        FUZZ_CHECK(frame.bytes >= FRAME_PREFIX && frame.bytes <= size - done);
        FUZZ_CHECK(frame.header >= block + done &&
                   frame.header + frame.header_bytes <= block + done + frame.bytes);
        FUZZ_CHECK(frame.body >= frame.header &&
                   frame.body + frame.body_bytes == block + done + frame.bytes);
        remoting_frame(&frame);
        done += frame.bytes;
    }
    free(block);
    return 0;
}
