/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * segment_name.c -- see segment_name.h.
 *
 * Invariants: parse accepts what make writes and nothing else, because it prints the number again
 *       and compares.
 * Threads and locks: none.
 * Happy path: 20 digits, suffix, perhaps ".tmp".
 * Failure modes: none but "not a name of ours".
 */
#include "segment/segment_name.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/invariant.h"
#include "format/limits.h"

#define NAME_DIGITS 20

static const char *const name_suffixes[CLG_FILE_KINDS] = {".log", ".cq", ".key", ".state"};

void clg_segment_name_make(char out[CLG_SEGMENT_NAME_BYTES], enum clg_segment_file kind,
                           uint64_t position)
{
    CLG_ASSERT((unsigned)kind < CLG_FILE_KINDS);
    CLG_ASSERT(position <= CLG_POSITION_MAX);
    (void)snprintf(out, CLG_SEGMENT_NAME_BYTES, "%020" PRIu64 "%s", position, name_suffixes[kind]);
}

void clg_segment_name_make_temp(char out[CLG_SEGMENT_NAME_BYTES], enum clg_segment_file kind,
                                uint64_t position)
{
    CLG_ASSERT((unsigned)kind < CLG_FILE_KINDS);
    CLG_ASSERT(position <= CLG_POSITION_MAX);
    (void)snprintf(out, CLG_SEGMENT_NAME_BYTES, "%020" PRIu64 "%s.tmp", position,
                   name_suffixes[kind]);
}

/* 20 digits give at most 10^20 - 1, more than 2^64: the overflow must be seen. */
static bool name_digits(const char *text, uint64_t *out)
{
    CLG_ASSERT(text != NULL && out != NULL);
    uint64_t value = 0;
    for (int i = 0; i < NAME_DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (value > (CLG_POSITION_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    CLG_ASSERT(value <= CLG_POSITION_MAX);
    *out = value;
    return true;
}

bool clg_segment_name_parse(const char *text, struct clg_segment_name *out)
{
    CLG_ASSERT(text != NULL);
    CLG_ASSERT(out != NULL);
    uint64_t position;
    if (!name_digits(text, &position)) {
        return false;
    }
    const char *rest = text + NAME_DIGITS;
    for (int kind = 0; kind < CLG_FILE_KINDS; kind++) {
        size_t length = strlen(name_suffixes[kind]);
        if (strncmp(rest, name_suffixes[kind], length) != 0) {
            continue;
        }
        bool temporary = strcmp(rest + length, ".tmp") == 0;
        if (!temporary && rest[length] != '\0') {
            continue;
        }
        out->position = position;
        out->kind = (enum clg_segment_file)kind;
        out->temporary = temporary;
        return true;
    }
    return false;
}
