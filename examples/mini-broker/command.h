/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * command.h - what a frame says, whichever way its header is written.
 *
 * Owns: nothing; all text is a borrow from the frame, good while the request is handled.
 * Invariants: 1. at most COMMAND_FIELDS_MAX fields; 2. a field that was named twice counts as it
 * was named first; 3. an index of `letter` is of a field with that one-letter name, or 0xff.
 * Threads: one at a time.
 */
#ifndef MINI_BROKER_COMMAND_H
#define MINI_BROKER_COMMAND_H

#include "buffer.h"

enum { COMMAND_FIELDS_MAX = 128, COMMAND_NO_FIELD = 0xff };

struct command_field {
    struct text name;
    struct text value;
};

struct command {
    int32_t code;
    int32_t version;
    int32_t opaque;
    int32_t flag;
    uint8_t type; /* enum header_type */
    uint8_t language;
    uint8_t field_count;
    uint8_t letter[26]; /* fields that are called a ... z */
    struct text remark;
    struct text body;
    struct command_field fields[COMMAND_FIELDS_MAX];
};

void command_init(struct command *command);
bool command_add(struct command *command, struct text name, struct text value);
/* Empty text and false when it is not there. */
bool command_find(const struct command *command, struct text name, struct text *out);
struct text command_text(const struct command *command, const char *name);
int64_t command_i64(const struct command *command, const char *name, int64_t otherwise);
bool command_bool(const struct command *command, const char *name);

/* False: not a number of 64 bits. */
bool text_to_i64(struct text text, int64_t *out);
/* "JAVA" ... by number, and back; LANGUAGE_OTHER for what is none. */
const char *language_name(uint8_t language);
uint8_t language_number(struct text name);

/* Decoders. The JSON one changes the bytes it is given: escapes are resolved in place. */
bool header_json_decode(uint8_t *header, size_t bytes, struct command *out);
bool header_binary_decode(const uint8_t *header, size_t bytes, struct command *out);

/* Encoders: fields one by one into a buffer, then the header around them. */
struct header_out {
    uint8_t type;
    int32_t code;
    int32_t opaque;
    int32_t flag;
    struct text remark;
};
void header_json_field(struct buffer *fields, struct text name, struct text value);
void header_json_encode(struct buffer *out, const struct header_out *header, struct text fields);
void header_binary_field(struct buffer *fields, struct text name, struct text value);
void header_binary_encode(struct buffer *out, const struct header_out *header, struct text fields);

#endif
