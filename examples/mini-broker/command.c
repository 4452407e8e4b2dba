/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * command.c - the fields of a request, by name. See command.h.
 *
 * Happy path: a decoder adds, a handler finds. Failure modes: too many fields (false).
 */
#include "command.h"

#include "codes.h"

void command_init(struct command *command)
{
    command->code = command->version = command->opaque = command->flag = 0;
    command->type = 0;
    command->language = LANGUAGE_OTHER;
    command->field_count = 0;
    memset(command->letter, COMMAND_NO_FIELD, sizeof command->letter);
    command->remark = (struct text){0};
    command->body = (struct text){0};
}

bool command_add(struct command *command, struct text name, struct text value)
{
    if (command->field_count >= COMMAND_FIELDS_MAX)
        return false;
    if (name.bytes == 1 && name.data[0] >= 'a' && name.data[0] <= 'z') {
        uint8_t *letter = &command->letter[name.data[0] - 'a'];
        if (*letter == COMMAND_NO_FIELD)
            *letter = command->field_count;
    }
    command->fields[command->field_count++] = (struct command_field){name, value};
    return true;
}

bool command_find(const struct command *command, struct text name, struct text *out)
{
    *out = (struct text){0};
    if (name.bytes == 1 && name.data[0] >= 'a' && name.data[0] <= 'z') {
        const uint8_t index = command->letter[name.data[0] - 'a'];
        if (index != COMMAND_NO_FIELD)
            *out = command->fields[index].value;
        return index != COMMAND_NO_FIELD;
    }
    for (uint32_t i = 0; i < command->field_count; i++) {
        if (text_equal(command->fields[i].name, name)) {
            *out = command->fields[i].value;
            return true;
        }
    }
    return false;
}

struct text command_text(const struct command *command, const char *name)
{
    struct text value;
    (void)command_find(command, text_of(name), &value);
    return value;
}

int64_t command_i64(const struct command *command, const char *name, int64_t otherwise)
{
    int64_t value;
    return text_to_i64(command_text(command, name), &value) ? value : otherwise;
}

bool command_bool(const struct command *command, const char *name)
{
    return text_equal(command_text(command, name), TEXT("true"));
}

bool text_to_i64(struct text text, int64_t *out)
{
    const bool minus = text.bytes > 0 && text.data[0] == '-';
    const size_t begin = minus || (text.bytes > 0 && text.data[0] == '+') ? 1 : 0;
    uint64_t value = 0;
    if (begin == text.bytes)
        return false;
    for (size_t i = begin; i < text.bytes; i++) {
        const unsigned digit = (unsigned)((uint8_t)text.data[i] - (uint8_t)'0');
        if (digit > 9 || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (value > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return false;
    *out = minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

static const char *const languages[LANGUAGE_COUNT] = {
    "JAVA",  "CPP",  "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY",
    "OTHER", "HTTP", "GO",     "PHP",    "OMS",    "RUST",   "NODE_JS"};

const char *language_name(uint8_t language)
{
    return languages[language < LANGUAGE_COUNT ? language : LANGUAGE_OTHER];
}

uint8_t language_number(struct text name)
{
    for (unsigned i = 0; i < LANGUAGE_COUNT; i++) {
        if (text_equal(name, text_of(languages[i])))
            return (uint8_t)i;
    }
    return LANGUAGE_OTHER;
}
